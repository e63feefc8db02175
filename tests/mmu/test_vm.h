/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM with vCPUs and one slot of anonymous memory, for tests that drive the
 * MMU without a CPU.  The host is the real one (host/).
 *
 * Cannot show: anything about guest code; TLBs here are the tests' own threads.
 */
#ifndef KVMU_TESTS_MMU_TEST_VM_H
#define KVMU_TESTS_MMU_TEST_VM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mmu/mmu.h"

#define TEST_VCPUS 4
#define TEST_GPA   0x40000000ull
#define TEST_BYTES (8ull << 20)

struct test_vm {
	struct kvm kvm;
	struct kvm_vcpu vcpu[TEST_VCPUS];
	char *memory; /* TEST_BYTES, 2 MiB aligned, slot 0 at TEST_GPA */
	char *area;
};

struct test_vm *test_vm_new(void);
void test_vm_free(struct test_vm *vm);

/* One fault of vCPU 0. */
enum kvm_mmu_verdict test_fault(struct test_vm *vm, gpa_t gpa, u64 error_code, int *err);
/* How often vCPU 0 has seen @ret. */
u64 test_outcomes(const struct test_vm *vm, enum kvm_ret_pf ret);
/* The leaf at @gpa. */
struct kvm_pgtable_leaf test_leaf(struct test_vm *vm, gpa_t gpa);
int test_set_slot(struct test_vm *vm, u32 id, u32 flags, gpa_t gpa, u64 size, const void *memory);

#endif
