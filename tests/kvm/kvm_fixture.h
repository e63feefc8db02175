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
int fixture_teardown(void **state);

/* Put @bytes at FIXTURE_CODE and start there, in real mode with flat bases. */
void fixture_load(struct fixture *f, const uint8_t *code, size_t bytes);
#define LOAD(f, ...)                                          \
	do {                                                  \
		static const uint8_t code_[] = {__VA_ARGS__}; \
		fixture_load((f), code_, sizeof(code_));      \
	} while (0)

/* KVM_RUN; 0 or the errno. */
int run_errno(const struct fixture *f);
/* ioctl(): 0 or the errno. */
int ioctl_errno(int fd, unsigned long request, void *arg);
/* An address where nothing is mapped. */
void *unmapped_pointer(void);
int count_open_fds(void);

#endif
