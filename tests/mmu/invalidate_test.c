/* SPDX-License-Identifier: BSD-2-Clause */
/* begin / range_add / end, retry by gfn, and host changes against faults. */
#include "tests/mmu/test_vm.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "tests/random.h"

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

static const u64 first_seqs[] = {
	0, BIT_ULL(31) - 1, BIT_ULL(32) - 1, BIT_ULL(63) - 1, ~0ull,
};

/* A bracket over [10, 20), asked from inside and after, for sequences near each edge. */
static void retry_is_by_gfn_and_by_sequence(void **state)
{
	struct test_vm *vm = *state;
	struct kvm *kvm = &vm->kvm;

	for (size_t i = 0; i < ARRAY_SIZE(first_seqs); i++) {
		u64 seq = first_seqs[i];

		mmu_write_lock(&kvm->mmu_lock);
		kvm->mmu_invalidate_seq = seq;
		assert_false(kvm_mmu_invalidate_retry_gfn(kvm, seq, 15));
		kvm_mmu_invalidate_begin(kvm);
		assert_true(kvm_mmu_invalidate_retry_gfn(kvm, seq, 1000)); /* no range yet */
		kvm_mmu_invalidate_range_add(kvm, 10, 20);
		assert_true(kvm_mmu_invalidate_retry_gfn(kvm, seq, 10));
		assert_true(kvm_mmu_invalidate_retry_gfn(kvm, seq, 19));
		assert_false(kvm_mmu_invalidate_retry_gfn(kvm, seq, 9));
		assert_false(kvm_mmu_invalidate_retry_gfn(kvm, seq, 20));
		kvm_mmu_invalidate_end(kvm);
		assert_true(kvm_mmu_invalidate_retry_gfn(kvm, seq, 15));
		assert_false(kvm_mmu_invalidate_retry_gfn(kvm, kvm->mmu_invalidate_seq, 15));
		mmu_write_unlock(&kvm->mmu_lock);
	}
}

static void nested_brackets_cover_the_union(void **state)
{
	struct test_vm *vm = *state;
	struct kvm *kvm = &vm->kvm;
	u64 seq;

	mmu_write_lock(&kvm->mmu_lock);
	kvm_mmu_invalidate_begin(kvm);
	kvm_mmu_invalidate_range_add(kvm, 10, 20);
	kvm_mmu_invalidate_begin(kvm);
	kvm_mmu_invalidate_range_add(kvm, 40, 50);
	seq = kvm->mmu_invalidate_seq;
	assert_true(kvm_mmu_invalidate_retry_gfn(kvm, seq, 10));
	assert_true(kvm_mmu_invalidate_retry_gfn(kvm, seq, 49));
	assert_false(kvm_mmu_invalidate_retry_gfn(kvm, seq, 50));
	kvm_mmu_invalidate_end(kvm);
	seq = kvm->mmu_invalidate_seq;
	assert_true(kvm_mmu_invalidate_retry_gfn(kvm, seq, 10));
	kvm_mmu_invalidate_end(kvm);
	assert_int_equal(kvm->mmu_invalidate_in_progress, 0);
	assert_false(kvm->vm_bugged);
	mmu_write_unlock(&kvm->mmu_lock);
}

static unsigned int warnings;

void __real_kvmu_warn(const char *file, int line, const char *what);
void __wrap_kvmu_warn(const char *file, int line, const char *what);

void __wrap_kvmu_warn(const char *file, int line, const char *what)
{
	warnings++;
	__real_kvmu_warn(file, line, what);
}

/* The first test to end a bracket without a range: each place warns once in a process. */
static void end_without_a_range_warns_and_goes_on(void **state)
{
	struct test_vm *vm = *state;
	struct kvm *kvm = &vm->kvm;

	mmu_write_lock(&kvm->mmu_lock);
	kvm_mmu_invalidate_begin(kvm);
	kvm_mmu_invalidate_range_add(kvm, 10, 20);
	kvm_mmu_invalidate_end(kvm);
	assert_int_equal(warnings, 0);
	kvm_mmu_invalidate_begin(kvm);
	kvm_mmu_invalidate_end(kvm);
	assert_int_equal(warnings, 1);
	assert_int_equal(kvm->mmu_invalidate_in_progress, 0);
	assert_false(kvm->vm_bugged);
	mmu_write_unlock(&kvm->mmu_lock);
}

static void end_without_begin_bugs_the_vm(void **state)
{
	struct test_vm *vm = *state;
	int err;

	mmu_write_lock(&vm->kvm.mmu_lock);
	kvm_mmu_invalidate_end(&vm->kvm);
	mmu_write_unlock(&vm->kvm.mmu_lock);
	assert_true(vm->kvm.vm_bugged);
	assert_int_equal(test_fault(vm, TEST_GPA, 0, &err), KVM_MMU_EXIT_USER);
	assert_int_equal(err, -EIO);
}

static void host_change_zaps_its_range_and_no_more(void **state)
{
	struct test_vm *vm = *state;
	hva_t start = ptr_to_hva(vm->memory) + 2 * PAGE_SIZE;
	int err;

	for (u64 i = 0; i < 6; i++)
		test_fault(vm, TEST_GPA + i * PAGE_SIZE, PFERR_WRITE_MASK, &err);
	kvm_mmu_hva_change_begin(&vm->kvm, start, start + 2 * PAGE_SIZE);
	for (u64 i = 0; i < 6; i++)
		assert_int_equal(test_leaf(vm, TEST_GPA + i * PAGE_SIZE).present, i < 2 || i > 3);
	/* Inside: no progress.  Outside: no delay. */
	test_fault(vm, TEST_GPA + 2 * PAGE_SIZE, PFERR_WRITE_MASK, &err);
	assert_int_equal(test_outcomes(vm, RET_PF_RETRY), 1);
	test_fault(vm, TEST_GPA + 9 * PAGE_SIZE, PFERR_WRITE_MASK, &err);
	assert_true(test_leaf(vm, TEST_GPA + 9 * PAGE_SIZE).present);
	kvm_mmu_hva_change_end(&vm->kvm, start, start + 2 * PAGE_SIZE);
	test_fault(vm, TEST_GPA + 2 * PAGE_SIZE, PFERR_WRITE_MASK, &err);
	assert_true(test_leaf(vm, TEST_GPA + 2 * PAGE_SIZE).present);
}

static void change_elsewhere_opens_no_bracket(void **state)
{
	struct test_vm *vm = *state;
	const hva_t start = ptr_to_hva(vm->memory);
	const hva_t beside[] = {start - PAGE_SIZE, start + TEST_BYTES};

	for (size_t i = 0; i < ARRAY_SIZE(beside); i++) {
		const u64 seq = vm->kvm.mmu_invalidate_seq;

		kvm_mmu_hva_change_begin(&vm->kvm, beside[i], beside[i] + PAGE_SIZE);
		assert_int_equal(vm->kvm.mmu_invalidate_in_progress, 0);
		kvm_mmu_hva_change_end(&vm->kvm, beside[i], beside[i] + PAGE_SIZE);
		assert_int_equal(vm->kvm.mmu_invalidate_seq, seq);
	}
	assert_int_equal(vm->kvm.active_hva_changes, 0);
}

/* ---- faults and changes from several threads ----------------------------------- */

#define ROUNDS 400
#define PAGES  16

struct racer {
	struct test_vm *vm;
	struct kvm_vcpu *vcpu;
	bool stop;
};

static void *fault_all_the_time(void *arg)
{
	struct racer *racer = arg;
	int err;

	for (u64 i = 0; !atomic_peek(&racer->stop); i++)
		kvm_mmu_page_fault(racer->vcpu, TEST_GPA + (i % PAGES) * PAGE_SIZE,
				   i & 1 ? PFERR_WRITE_MASK : 0, &err);
	return NULL;
}

/*
 * While a bracket is open nothing of its range may be mapped, whatever the
 * faulting threads were doing when it opened.
 */
static void open_bracket_keeps_its_range_unmapped(void **state)
{
	struct test_vm *vm = *state;
	hva_t start = ptr_to_hva(vm->memory);
	struct racer racers[TEST_VCPUS];
	pthread_t threads[TEST_VCPUS];

	for (u32 i = 0; i < TEST_VCPUS; i++) {
		racers[i] = (struct racer){.vm = vm, .vcpu = &vm->vcpu[i]};
		assert_int_equal(pthread_create(&threads[i], NULL, fault_all_the_time, &racers[i]),
				 0);
	}
	for (int round = 0; round < ROUNDS; round++) {
		kvm_mmu_hva_change_begin(&vm->kvm, start, start + PAGES * PAGE_SIZE);
		madvise(vm->memory, PAGES * PAGE_SIZE, MADV_DONTNEED);
		for (u64 page = 0; page < PAGES; page++)
			assert_false(test_leaf(vm, TEST_GPA + page * PAGE_SIZE).present);
		kvm_mmu_hva_change_end(&vm->kvm, start, start + PAGES * PAGE_SIZE);
	}
	for (u32 i = 0; i < TEST_VCPUS; i++) {
		atomic_poke(&racers[i].stop, true);
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(vm->kvm.mmu_invalidate_in_progress, 0);
}

/* A slot that comes and goes while faults hit it: no leaf survives its slot. */
static void deleted_slot_leaves_no_leaf(void **state)
{
	struct test_vm *vm = *state;
	struct racer racer = {.vm = vm, .vcpu = &vm->vcpu[1]};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, fault_all_the_time, &racer), 0);
	for (int round = 0; round < ROUNDS; round++) {
		assert_int_equal(test_set_slot(vm, 0, 0, TEST_GPA, 0, NULL), 0);
		for (u64 page = 0; page < PAGES; page++)
			assert_false(test_leaf(vm, TEST_GPA + page * PAGE_SIZE).present);
		assert_int_equal(test_set_slot(vm, 0, 0, TEST_GPA, TEST_BYTES, vm->memory), 0);
	}
	atomic_poke(&racer.stop, true);
	pthread_join(thread, NULL);
}

/* ---- the kick protocol ------------------------------------------------------------ */

/*
 * A vCPU of one translation: the version it read when it last flushed.  The
 * flusher moves the version, flushes, and announces that the flush is done; an
 * access that begins after the announcement must not use an older version.
 */
struct translation {
	struct kvm_vcpu *vcpu;
	u64 current;   /* what a flush would pick up */
	u64 announced; /* all vCPUs have flushed since this one */
	u64 accesses;
	u64 stale_accesses;
	bool stop;
};

/* A block of instructions between two looks at the requests. */
static void use_translation(struct translation *t, u64 cached)
{
	for (int i = 0; i < 64; i++) {
		if (cached < atomic_observe(&t->announced))
			t->stale_accesses++;
	}
	atomic_add(&t->accesses, 64);
}

static void *run_guest(void *arg)
{
	struct translation *t = arg;
	u64 cached = 0;

	while (!atomic_peek(&t->stop)) {
		kvm_vcpu_enter_guest_mode(t->vcpu);
		while (!atomic_peek(&t->vcpu->requests) && !atomic_peek(&t->stop))
			use_translation(t, cached);
		kvm_vcpu_leave_guest_mode(t->vcpu);
		atomic_and(&t->vcpu->requests, ~(u32)KVM_REQ_TLB_FLUSH);
		cached = atomic_observe(&t->current);
	}
	return NULL;
}

static void no_access_uses_what_was_flushed_before_it(void **state)
{
	struct test_vm *vm = *state;
	struct translation t = {.vcpu = &vm->vcpu[2]};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run_guest, &t), 0);
	for (u64 version = 1; version <= test_scaled(2000); version++) {
		u64 before = atomic_peek(&t.accesses);

		while (atomic_peek(&t.accesses) == before)
			sched_yield(); /* on one processor it could not come */
		atomic_publish(&t.current, version);
		kvm_flush_remote_tlbs(&vm->kvm);
		atomic_publish(&t.announced, version);
	}
	atomic_poke(&t.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(t.stale_accesses, 0);
	assert_int_equal(vm->kvm.stat.remote_tlb_flush_requests, test_scaled(2000));
	assert_in_range(vm->kvm.stat.remote_tlb_flushes, 1, test_scaled(2000));
}

static void flush_does_not_wait_for_vcpus_outside(void **state)
{
	struct test_vm *vm = *state;

	kvm_flush_remote_tlbs(&vm->kvm);
	for (u32 i = 0; i < TEST_VCPUS; i++)
		assert_true(vm->vcpu[i].requests & KVM_REQ_TLB_FLUSH);
	assert_int_equal(vm->kvm.stat.remote_tlb_flush_requests, 1);
	assert_int_equal(vm->kvm.stat.remote_tlb_flushes, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(retry_is_by_gfn_and_by_sequence),
		TEST(nested_brackets_cover_the_union),
		TEST(end_without_a_range_warns_and_goes_on),
		TEST(end_without_begin_bugs_the_vm),
		TEST(host_change_zaps_its_range_and_no_more),
		TEST(change_elsewhere_opens_no_bracket),
		TEST(open_bracket_keeps_its_range_unmapped),
		TEST(deleted_slot_leaves_no_leaf),
		TEST(no_access_uses_what_was_flushed_before_it),
		TEST(flush_does_not_wait_for_vcpus_outside),
	};

	return cmocka_run_group_tests_name("invalidate", tests, NULL, NULL);
}
