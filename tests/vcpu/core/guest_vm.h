/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM with one software CPU on the real mmu/ and host/, for tests of the CPU
 * itself: memory from gpa 0, helpers for the three modes, and guests written as
 * assembly in the test.
 *
 * Cannot show: anything of the ioctl API, and nothing about several CPUs.
 */
#ifndef KVMU_TESTS_VCPU_GUEST_VM_H
#define KVMU_TESTS_VCPU_GUEST_VM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "mmu/mmu.h"
#include "vcpu/x86/cpu.h"
#include "vcpu/x86/flags.h"

#define GUEST_BYTES (32ull << 20)
#define CODE_GPA    0x10000ull
#define STACK_GPA   0x80000ull
#define GDT_GPA	    0x1000ull
#define IDT_GPA	    0x2000ull
#define TSS_GPA	    0x3000ull
#define PML4_GPA    0x4000ull /* and two more pages; identity, 2 MiB pages, user */
#define FREE_GPA    0x200000ull
#define MMIO_GPA    0x10000000ull

/* Selectors of the GDT that guest_vm_new() writes. */
#define SEL_CODE64  0x08
#define SEL_DATA    0x10
#define SEL_UDATA   0x18
#define SEL_UCODE64 0x20
#define SEL_CODE32  0x28
#define SEL_UCODE32 0x30
#define SEL_TSS	    0x38

struct guest_vm {
	struct kvm kvm;
	struct x86_machine machine;
	struct x86_cpu *cpu;
	char *memory;
	char *area;
	void *pio;
};

#define GUEST(name, bits, body)                                                           \
	extern const char name##_begin[], name##_end[];                                   \
	__asm__(".pushsection .rodata\n.code" bits "\n" #name "_begin:\n" body "\n" #name \
		"_end:\n.code64\n.popsection")

struct guest_vm *guest_vm_new(void);
void guest_vm_free(struct guest_vm *vm);
/* Copy code to CODE_GPA and point RIP (real mode: CS base CODE_GPA, IP 0) at it. */
void guest_real(struct guest_vm *vm, const char *begin, const char *end);
void guest_protected(struct guest_vm *vm, const char *begin, const char *end);
void guest_long(struct guest_vm *vm, const char *begin, const char *end);
/* Run; any exit but @exit fails the test. */
void guest_run_to(struct guest_vm *vm, enum x86_exit exit);
/* A 64-bit interrupt gate. */
void guest_gate(struct guest_vm *vm, unsigned int vector, u64 offset, u8 type_dpl);
u64 *guest_u64(struct guest_vm *vm, gpa_t gpa);
/* Whether x86_cpu_host_pending() says yes, and how often it was asked. */
extern bool guest_signal_pending;

#endif
