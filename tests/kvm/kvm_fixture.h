/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the ioctl tests share: a VM with a megabyte of memory and a vCPU in
 * real mode.  The tests are ordinary KVM programs: they also run on a real
 * /dev/kvm, which is how their expectations were found out.
 */
#ifndef KVMU_TESTS_KVM_FIXTURE_H
#define KVMU_TESTS_KVM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kvm/kvm_newer.h"

#define FIXTURE_MEM  0x100000ul
#define FIXTURE_CODE 0x1000ul
#define RUN_BYTES    12288ul

struct fixture {
	int sys, vm, vcpu;
	uint8_t *mem;
	struct kvm_run *run;
};

/* cmocka's setup and teardown; *state is a struct fixture. */
int fixture_setup(void **state);
int fixture_setup_irqchip(void **state);
/* Its memory may be private (KVM_X86_SW_PROTECTED_VM). */
int fixture_setup_private(void **state);
int fixture_teardown(void **state);
/* Memory and a vCPU for a VM of the test's own making in f->vm. */
void fixture_attach(struct fixture *f);

/* Put @bytes at FIXTURE_CODE and start there, in real mode with flat bases. */
void fixture_load(struct fixture *f, const uint8_t *code, size_t bytes);
#define LOAD(f, ...)                                          \
	do {                                                  \
		static const uint8_t code_[] = {__VA_ARGS__}; \
		fixture_load((f), code_, sizeof(code_));      \
	} while (0)

/* The same from assembly for real mode, which begins and ends at file scope. */
#define GUEST16(name, body)                                                         \
	extern const uint8_t name##_begin[], name##_end[];                          \
	__asm__(".pushsection .rodata\n.code16\n" #name "_begin:\n" body "\n" #name \
		"_end:\n.code64\n.popsection")
#define LOAD_GUEST(f, name) fixture_load((f), name##_begin, (size_t)(name##_end - name##_begin))

/* KVM_RUN; 0 or the errno. */
int run_errno(const struct fixture *f);
/* ioctl(): 0 or the errno. */
int ioctl_errno(int fd, unsigned long request, void *arg);
/* KVM_ENABLE_CAP with one argument; 0 or the errno. */
int enable_cap_errno(int fd, uint32_t cap, uint64_t arg);
/* One MSR; whether the call took it. */
bool set_msr(const struct fixture *f, uint32_t index, uint64_t value);
bool get_msr(const struct fixture *f, uint32_t index, uint64_t *value);
/* Everything that KVM_GET_SUPPORTED_CPUID offers; before the first run. */
void set_supported_cpuid(const struct fixture *f);
struct kvm_regs get_regs(const struct fixture *f);
/* Run; any other exit fails the test. */
void run_to(const struct fixture *f, uint32_t exit_reason);
/* An address where nothing is mapped. */
void *unmapped_pointer(void);
int count_open_fds(void);

#endif
