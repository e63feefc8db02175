/* SPDX-License-Identifier: BSD-2-Clause */
/* Leaving a whole tree behind, and the limit on table pages that does it. */
#include "tests/mmu/test_vm.h"

#include <pthread.h>
#include <sys/mman.h>

#include "pgtable/instance/ept.h"
#include "tests/random.h"

#define SPARSE_GPA   0x80000000ull
#define SPARSE_BYTES (1ull << 30)
#define BLOCK	     (2ull << 20)

static int setup(void **state)
{
	*state = test_vm_new();
	return 0;
}

static int teardown(void **state)
{
	test_vm_free(*state);
	return 0;
}

static enum kvm_mmu_verdict write_at(struct test_vm *vm, gpa_t gpa)
{
	int err;

	return test_fault(vm, gpa, PFERR_WRITE_MASK, &err);
}

static void zap_all_leaves_no_leaf_and_owes_one_flush(void **state)
{
	struct test_vm *vm = *state;
	u64 flushes = vm->kvm.stat.remote_tlb_flush_requests;
	u64 tables;

	for (u64 i = 0; i < TEST_BYTES; i += PAGE_SIZE)
		assert_int_equal(write_at(vm, TEST_GPA + i), KVM_MMU_RESUME_GUEST);
	tables = vm->kvm.arena.pages;
	assert_int_equal(kvm_mmu_zap_all_fast(&vm->kvm), 0);
	assert_int_equal(vm->kvm.stat.remote_tlb_flush_requests, flushes + 1);
	for (u64 i = 0; i < TEST_BYTES; i += PAGE_SIZE)
		assert_false(test_leaf(vm, TEST_GPA + i).present);
	assert_int_equal(ept_check(&vm->kvm.pgt[0]), 0);
	/* Four page tables and the two above are free again. */
	assert_int_equal(vm->kvm.arena.pages, tables - 6);
}

/* A fault of a vCPU that still has the old root maps nothing, neither there nor here. */
static void an_obsolete_root_gets_no_leaf(void **state)
{
	struct test_vm *vm = *state;

	assert_int_equal(kvm_mmu_zap_all_fast(&vm->kvm), 0);
	assert_true(vm->vcpu[0].requests & KVM_REQ_TLB_FLUSH);
	assert_int_equal(write_at(vm, TEST_GPA), KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_outcomes(vm, RET_PF_RETRY), 1);
	assert_false(test_leaf(vm, TEST_GPA).present);

	kvm_mmu_reload(&vm->vcpu[0]);
	assert_ptr_equal(vm->vcpu[0].mmu->root, vm->kvm.pgt[0].root);
	assert_int_equal(write_at(vm, TEST_GPA), KVM_MMU_RESUME_GUEST);
	assert_true(test_leaf(vm, TEST_GPA).present);
}

static void the_limit_on_table_pages_holds(void **state)
{
	struct test_vm *vm = *state;
	char *memory = mmap(NULL, SPARSE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	const u64 limit = 100;
	u64 most = limit + TEST_VCPUS * KVM_PGTABLE_CACHE_PAGES;

	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(madvise(memory, SPARSE_BYTES, MADV_NOHUGEPAGE), 0);
	assert_int_equal(test_set_slot(vm, 1, 0, SPARSE_GPA, SPARSE_BYTES, memory), 0);
	assert_int_equal(kvm_mmu_table_limit(&vm->kvm), vm->kvm.memslots[0]->npages / 50);
	assert_int_equal(kvm_mmu_set_table_limit(&vm->kvm, limit), 0);
	assert_int_equal(kvm_mmu_table_limit(&vm->kvm), limit);
	for (u64 at = 0; at < SPARSE_BYTES; at += BLOCK) {
		/* One retry where the limit was met, as the CPU would. */
		while (!test_leaf(vm, SPARSE_GPA + at).present) {
			kvm_mmu_reload(&vm->vcpu[0]);
			assert_int_equal(write_at(vm, SPARSE_GPA + at), KVM_MMU_RESUME_GUEST);
		}
		assert_true(vm->kvm.arena.pages <= most + KVM_PGTABLE_CACHE_PAGES);
	}
	assert_true(vm->kvm.stat.zapped_all > 2);
	/* What a fault reclaims may be the tree that it was to be mapped in. */
	assert_int_equal(test_outcomes(vm, RET_PF_RETRY), vm->kvm.stat.zapped_all);
	assert_int_equal(ept_check(&vm->kvm.pgt[0]), 0);
	assert_int_equal(test_set_slot(vm, 1, 0, 0, 0, NULL), 0);
	munmap(memory, SPARSE_BYTES);
}

/* ---- together with faults and host changes ------------------------------------------ */

struct racer {
	struct test_vm *vm;
	struct kvm_vcpu *vcpu;
	u64 random;
	bool *stop;
};

static void *fault_for_a_while(void *arg)
{
	struct racer *racer = arg;
	int err;

	while (!atomic_peek(racer->stop)) {
		gpa_t gpa = TEST_GPA + test_below(&racer->random, TEST_BYTES);

		if (atomic_and(&racer->vcpu->requests, 0u) & KVM_REQ_TLB_FLUSH)
			kvm_mmu_reload(racer->vcpu);
		assert_int_equal(kvm_mmu_page_fault(racer->vcpu, gpa, PFERR_WRITE_MASK, &err),
				 KVM_MMU_RESUME_GUEST);
	}
	return NULL;
}

static void zap_all_races_with_faults_and_changes(void **state)
{
	struct test_vm *vm = *state;
	struct racer racer[TEST_VCPUS];
	pthread_t thread[TEST_VCPUS];
	u64 seed = test_seed("zap");
	bool stop = false;

	for (u32 i = 0; i < TEST_VCPUS; i++) {
		racer[i] = (struct racer){vm, &vm->vcpu[i], seed + i, &stop};
		assert_int_equal(pthread_create(&thread[i], NULL, fault_for_a_while, &racer[i]), 0);
	}
	for (u64 i = 0; i < test_scaled(400); i++) {
		hva_t hva = ptr_to_hva(vm->memory) +
			    align_down(test_below(&seed, TEST_BYTES), PAGE_SIZE);

		kvm_mmu_hva_change_begin(&vm->kvm, hva, hva + PAGE_SIZE);
		kvm_mmu_hva_change_end(&vm->kvm, hva, hva + PAGE_SIZE);
		assert_int_equal(kvm_mmu_zap_all_fast(&vm->kvm), 0);
	}
	atomic_poke(&stop, true);
	for (u32 i = 0; i < TEST_VCPUS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(ept_check(&vm->kvm.pgt[0]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(zap_all_leaves_no_leaf_and_owes_one_flush, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_obsolete_root_gets_no_leaf, setup, teardown),
		cmocka_unit_test_setup_teardown(the_limit_on_table_pages_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(zap_all_races_with_faults_and_changes, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("zap", tests, NULL, NULL);
}
