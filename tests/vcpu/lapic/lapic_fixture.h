/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A few CPUs with local APICs and no memory.  Nobody runs: the tests play the
 * guest through registers and MSRs, and time passes when they say so.
 *
 * Cannot show: races between threads (tests/kvm/lapic_test.c has threads).
 */
#ifndef KVMU_TESTS_LAPIC_FIXTURE_H
#define KVMU_TESTS_LAPIC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "vcpu/x86/core.h"
#include "vcpu/x86/lapic.h"

#define NR_CPUS	 4u
#define TSC_KHZ	 1000000u /* the guest's TSC and the clock advance alike */
#define PAGE_GPA 0xfee00000ull

struct machine {
	struct kvm kvm;
	struct x86_machine machine;
	char pio[NR_CPUS][X86_PIO_BYTES];
	struct x86_cpu *cpu[NR_CPUS];
};

extern u64 test_now_ns;
extern unsigned int test_wakes; /* calls of ops->wake */
extern int test_eoi_vector;	/* of the last ops->eoi, -1: none */

/* cmocka's; *state is a struct machine.  The APICs are software-enabled, in xAPIC mode. */
int machine_setup(void **state);
int machine_teardown(void **state);

u32 apic_read(struct x86_cpu *cpu, u32 offset);
void apic_write(struct x86_cpu *cpu, u32 offset, u32 value);
void to_x2apic(struct x86_cpu *cpu);

/* What a CPU with interrupts enabled does now: takes the highest; its vector or -1. */
int take(struct x86_cpu *cpu);
/* Is this vector requested? */
bool requested(struct x86_cpu *cpu, u8 vector);
/* Bit n: CPU n has @vector requested; forgets them all. */
unsigned int who_got(struct machine *m, u8 vector);

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

#endif
