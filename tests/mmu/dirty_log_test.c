/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dirty logging by bitmap and by ring, under both methods: which pages are
 * logged and when, what becomes of leaves, and what the calls refuse.
 */
#include "tests/mmu/test_vm.h"

#include <string.h>
#include <sys/mman.h>

#include "pgtable/instance/ept.h"

#define BLOCK	    (2ull << 20)
#define NR_PAGES    (TEST_BYTES / PAGE_SIZE)
#define NR_WORDS    (NR_PAGES / 64)
#define PAGE_GPA(n) (TEST_GPA + (n)*PAGE_SIZE)

struct log {
	struct test_vm *vm;
	u64 bitmap[NR_WORDS]; /* what was put, or is to be got */
	bool refuse;	      /* user space's memory is not there */
};

/* Each test runs under both methods. */
static enum kvm_dirty_method method;

static int setup(void **state)
{
	static struct log log;

	log = (struct log){.vm = test_vm_new()};
	log.vm->kvm.dirty.method = method;
	log.vm->kvm.dirty.eager_split = true;
	*state = &log;
	return 0;
}

static int teardown(void **state)
{
	struct log *log = *state;

	test_vm_free(log->vm);
	return 0;
}

/* ---- the user's side ----------------------------------------------------------------- */

static int put(void *ctx, u64 offset, const void *from, u64 bytes)
{
	struct log *log = ctx;

	if (log->refuse)
		return -EFAULT;
	assert_true(offset + bytes <= sizeof(log->bitmap));
	if (from)
		memcpy((char *)log->bitmap + offset, from, bytes);
	else
		memset((char *)log->bitmap + offset, 0, bytes);
	return 0;
}

static int get(void *ctx, u64 offset, void *to, u64 bytes)
{
	struct log *log = ctx;

	if (log->refuse)
		return -EFAULT;
	assert_true(offset + bytes <= sizeof(log->bitmap));
	memcpy(to, (char *)log->bitmap + offset, bytes);
	return 0;
}

static int get_log(struct log *log, u32 slot)
{
	const struct kvm_dirty_user user = {.put = put, .get = get, .ctx = log};

	memset(log->bitmap, 0x55, sizeof(log->bitmap));
	return kvm_get_dirty_log(&log->vm->kvm, slot, &user);
}

static int clear_log(struct log *log, u64 first, u32 nr)
{
	const struct kvm_dirty_user user = {.put = put, .get = get, .ctx = log};

	return kvm_clear_dirty_log(&log->vm->kvm, 0, first, nr, &user);
}

static u64 pages_in_log(struct log *log)
{
	u64 nr = 0;

	assert_int_equal(get_log(log, 0), 0);
	for (u64 i = 0; i < NR_WORDS; i++)
		nr += (u64)__builtin_popcountll(log->bitmap[i]);
	return nr;
}

static bool in_log(const struct log *log, u64 page)
{
	return log->bitmap[page / 64] >> (page % 64) & 1;
}

static int set_flags(struct log *log, u32 flags)
{
	return test_set_slot(log->vm, 0, flags, TEST_GPA, TEST_BYTES, log->vm->memory);
}

static void start(struct log *log)
{
	assert_int_equal(set_flags(log, KVM_SLOT_LOG_DIRTY), 0);
}

/* ---- the guest's side ----------------------------------------------------------------- */

static enum kvm_ret_pf fault(struct log *log, u64 page, u64 error_code)
{
	u64 before[RET_PF_NR];
	int err;

	memcpy(before, log->vm->vcpu[0].stat.pf_by_outcome, sizeof(before));
	assert_int_equal(test_fault(log->vm, PAGE_GPA(page), error_code, &err),
			 KVM_MMU_RESUME_GUEST);
	for (u32 ret = 0; ret < RET_PF_NR; ret++) {
		if (log->vm->vcpu[0].stat.pf_by_outcome[ret] != before[ret])
			return (enum kvm_ret_pf)ret;
	}
	return RET_PF_INVALID;
}

/* A write as a CPU does it that has no translation: by the leaf, or by a fault first. */
static void write_page(struct log *log, u64 page)
{
	struct kvm_pgtable_leaf leaf = test_leaf(log->vm, PAGE_GPA(page));

	if (!leaf.present || !(leaf.prot & KVM_PGTABLE_PROT_W)) {
		fault(log, page, PFERR_WRITE_MASK);
		leaf = test_leaf(log->vm, PAGE_GPA(page));
	}
	assert_true(leaf.prot & KVM_PGTABLE_PROT_W);
	if (leaf.dirty)
		return;
	assert_int_equal(ept_relax_leaf(&log->vm->kvm.pgt[0], PAGE_GPA(page), &leaf,
					KVM_PGTABLE_PROT_DIRTY, NULL),
			 0);
	kvm_vcpu_dirty_mark_set(&log->vm->vcpu[0], PAGE_GPA(page));
}

/* Would the next write to @page be noticed? */
static bool is_watched(struct log *log, u64 page)
{
	struct kvm_pgtable_leaf leaf = test_leaf(log->vm, PAGE_GPA(page));

	if (!leaf.present || !(leaf.prot & KVM_PGTABLE_PROT_W))
		return true;
	return method == KVM_DIRTY_BY_MARK && leaf.level == PG_LEVEL_4K && !leaf.dirty;
}

static void map_block(struct log *log, u64 block)
{
	memset(log->vm->memory + block * BLOCK, 1, BLOCK);
	write_page(log, block * 512);
	assert_int_equal(test_leaf(log->vm, PAGE_GPA(block * 512)).level, PG_LEVEL_2M);
}

/* ---- bitmap: what is in it ---------------------------------------------------------------- */

static void written_pages_and_no_others_are_logged(void **state)
{
	struct log *log = *state;

	write_page(log, 1);
	start(log);
	assert_true(is_watched(log, 1));
	assert_int_equal(pages_in_log(log), 0);
	write_page(log, 1);   /* was mapped before */
	write_page(log, 700); /* was not */
	fault(log, 8, 0);
	assert_int_equal(pages_in_log(log), 2);
	assert_true(in_log(log, 1) && in_log(log, 700));
	assert_true(is_watched(log, 1) && is_watched(log, 700));
	assert_int_equal(pages_in_log(log), 0);
	write_page(log, 700);
	write_page(log, 8); /* was read only */
	assert_int_equal(pages_in_log(log), 2);
}

static void what_only_logging_forbids_is_fixed_without_the_lock(void **state)
{
	struct log *log = *state;
	u64 fast = log->vm->vcpu[0].stat.pf_fast;

	method = KVM_DIRTY_BY_FAULT;
	log->vm->kvm.dirty.method = method;
	write_page(log, 3);
	start(log);
	/* Held for writing: whoever asks for it now waits for ever. */
	mmu_write_lock(&log->vm->kvm.mmu_lock);
	assert_int_equal(fault(log, 3, PFERR_WRITE_MASK), RET_PF_FIXED);
	assert_int_equal(fault(log, 3, PFERR_WRITE_MASK), RET_PF_SPURIOUS);
	mmu_write_unlock(&log->vm->kvm.mmu_lock);
	assert_int_equal(log->vm->vcpu[0].stat.pf_fast, fast + 2);
	assert_int_equal(pages_in_log(log), 1);
}

static void a_page_that_the_host_shares_is_not_made_writable(void **state)
{
	struct log *log = *state;

	fault(log, 5, 0);
	start(log);
	assert_int_equal(set_flags(log, 0), 0);
	assert_int_equal(mprotect(log->vm->memory + 5 * PAGE_SIZE, PAGE_SIZE, PROT_READ), 0);
	/* Mapped by a read only: nothing says that the host allows writing. */
	assert_false(test_leaf(log->vm, PAGE_GPA(5)).prot & KVM_PGTABLE_PROT_W);
	int err;
	assert_int_equal(test_fault(log->vm, PAGE_GPA(5), PFERR_WRITE_MASK, &err),
			 KVM_MMU_EXIT_USER);
	assert_false(test_leaf(log->vm, PAGE_GPA(5)).prot & KVM_PGTABLE_PROT_W);
}

static void writes_of_kvm_itself_are_logged(void **state)
{
	struct log *log = *state;
	const char text[] = "across two pages";

	start(log);
	assert_int_equal(kvm_write_guest(&log->vm->kvm, PAGE_GPA(21) - 4, text, sizeof(text)), 0);
	assert_int_equal(kvm_vcpu_write_guest(&log->vm->vcpu[1], PAGE_GPA(30), text, sizeof(text)),
			 0);
	assert_int_equal(pages_in_log(log), 3);
	assert_true(in_log(log, 20) && in_log(log, 21) && in_log(log, 30));
}

static void nothing_is_forgotten_when_user_space_is_not_there(void **state)
{
	struct log *log = *state;

	start(log);
	write_page(log, 4);
	write_page(log, 2000);
	log->refuse = true;
	assert_int_equal(get_log(log, 0), -EFAULT);
	assert_int_equal(clear_log(log, 0, NR_PAGES), -EFAULT);
	log->refuse = false;
	assert_int_equal(pages_in_log(log), 2);
}

/* ---- bitmap: get and clear ------------------------------------------------------------------ */

static void manual_get_only_looks(void **state)
{
	struct log *log = *state;

	log->vm->kvm.dirty.manual = KVM_DIRTY_MANUAL_PROTECT;
	start(log);
	write_page(log, 64);
	write_page(log, 130);
	assert_int_equal(pages_in_log(log), 2);
	assert_int_equal(pages_in_log(log), 2);
	assert_false(is_watched(log, 64));
	/* One word of the log, whose first bit is page 64. */
	log->bitmap[0] = log->bitmap[1];
	assert_int_equal(clear_log(log, 64, 64), 0);
	assert_true(is_watched(log, 64));
	assert_false(is_watched(log, 130));
	assert_int_equal(pages_in_log(log), 1);
	assert_true(in_log(log, 130));
}

static void clear_takes_only_what_it_names(void **state)
{
	struct log *log = *state;

	log->vm->kvm.dirty.manual = KVM_DIRTY_MANUAL_PROTECT;
	start(log);
	for (u64 page = 0; page < 8; page++)
		write_page(log, page);
	memset(log->bitmap, 0, sizeof(log->bitmap));
	log->bitmap[0] = 0xff5a; /* some that were not written, too */
	assert_int_equal(clear_log(log, 0, 64), 0);
	assert_int_equal(pages_in_log(log), 4);
	assert_int_equal(log->bitmap[0], 0xa5);
	for (u64 page = 0; page < 8; page++)
		assert_int_equal(is_watched(log, page), 0x5a >> page & 1);
}

static void a_log_may_begin_with_everything_set(void **state)
{
	struct log *log = *state;
	const u64 odd = TEST_BYTES - 5 * PAGE_SIZE;

	log->vm->kvm.dirty.manual = KVM_DIRTY_MANUAL_PROTECT | KVM_DIRTY_INITIALLY_SET;
	assert_int_equal(test_set_slot(log->vm, 0, 0, TEST_GPA, 0, NULL), 0);
	assert_int_equal(test_set_slot(log->vm, 0, 0, TEST_GPA, odd, log->vm->memory), 0);
	write_page(log, 9);
	assert_int_equal(
		test_set_slot(log->vm, 0, KVM_SLOT_LOG_DIRTY, TEST_GPA, odd, log->vm->memory), 0);
	assert_false(is_watched(log, 9)); /* nothing is protected before it is cleared */
	assert_int_equal(pages_in_log(log), odd / PAGE_SIZE);
	assert_int_equal(log->bitmap[NR_WORDS - 1], ~0ull >> 5);
	assert_int_equal(clear_log(log, 0, (u32)(odd / PAGE_SIZE)), 0);
	assert_true(is_watched(log, 9));
	assert_int_equal(pages_in_log(log), 0);
}

static void bad_ranges_and_slots_are_refused(void **state)
{
	struct log *log = *state;

	assert_int_equal(get_log(log, 0), -ENOENT);
	assert_int_equal(get_log(log, 1), -ENOENT);
	assert_int_equal(get_log(log, KVM_USER_MEM_SLOTS), -EINVAL);
	assert_int_equal(get_log(log, 1u << 16), -ENOENT);
	assert_int_equal(get_log(log, 2u << 16), -EINVAL);
	assert_int_equal(clear_log(log, 0, 64), -ENOENT);
	start(log);
	assert_int_equal(clear_log(log, 1, 64), -EINVAL);
	assert_int_equal(clear_log(log, 0, 63), -EINVAL);
	assert_int_equal(clear_log(log, NR_PAGES, 64), -EINVAL);
	assert_int_equal(clear_log(log, NR_PAGES + 64, 0), -EINVAL);
	assert_int_equal(clear_log(log, 64, (u32)NR_PAGES), -EINVAL);
	assert_int_equal(clear_log(log, NR_PAGES, 0), 0);
	assert_int_equal(clear_log(log, NR_PAGES - 64, 64), 0);
	log->vm->kvm.dirty.ring_bytes = 4096;
	assert_int_equal(get_log(log, 0), -ENXIO);
	assert_int_equal(clear_log(log, 0, 64), -ENXIO);
	log->vm->kvm.dirty.ring_bytes = 0;
	assert_int_equal(kvm_reset_dirty_rings(&log->vm->kvm), -EINVAL);
}

/* ---- a slot's life --------------------------------------------------------------------------- */

static void a_moved_slot_keeps_its_log(void **state)
{
	struct log *log = *state;

	start(log);
	write_page(log, 11);
	assert_int_equal(test_set_slot(log->vm, 0, KVM_SLOT_LOG_DIRTY, 2 * TEST_GPA, TEST_BYTES,
				       log->vm->memory),
			 0);
	assert_int_equal(pages_in_log(log), 1);
	assert_true(in_log(log, 11));
}

static void a_new_log_knows_nothing_of_the_old(void **state)
{
	struct log *log = *state;

	start(log);
	write_page(log, 11);
	assert_int_equal(set_flags(log, 0), 0);
	assert_int_equal(get_log(log, 0), -ENOENT);
	start(log);
	assert_int_equal(pages_in_log(log), 0);
	assert_true(is_watched(log, 11));
}

/* A fault that has looked the slot up before logging began must look again. */
static void changed_flags_make_faults_look_again(void **state)
{
	struct log *log = *state;
	u64 seq = log->vm->kvm.mmu_invalidate_seq;

	start(log);
	assert_true(kvm_mmu_invalidate_retry_gfn(&log->vm->kvm, seq, gpa_to_gfn(TEST_GPA)));
	seq = log->vm->kvm.mmu_invalidate_seq;
	start(log); /* nothing changes */
	assert_int_equal(log->vm->kvm.mmu_invalidate_seq, seq);
}

/* ---- blocks ----------------------------------------------------------------------------- */

static void blocks_are_split_when_logging_begins(void **state)
{
	struct log *log = *state;

	map_block(log, 1);
	map_block(log, 2);
	start(log);
	for (u64 page = 512; page < 3 * 512; page++) {
		assert_int_equal(test_leaf(log->vm, PAGE_GPA(page)).level, PG_LEVEL_4K);
		assert_true(is_watched(log, page));
	}
	write_page(log, 600);
	assert_int_equal(pages_in_log(log), 1);
	assert_true(in_log(log, 600));
}

static void blocks_are_split_by_the_first_write_otherwise(void **state)
{
	struct log *log = *state;

	log->vm->kvm.dirty.eager_split = false;
	map_block(log, 1);
	start(log);
	assert_int_equal(test_leaf(log->vm, PAGE_GPA(512)).level, PG_LEVEL_2M);
	assert_true(is_watched(log, 512));
	write_page(log, 600);
	assert_int_equal(test_leaf(log->vm, PAGE_GPA(512)).level, PG_LEVEL_4K);
	assert_int_equal(pages_in_log(log), 1);
	assert_true(in_log(log, 600));
	write_page(log, 601);
	assert_int_equal(pages_in_log(log), 1);
}

static void a_block_of_a_log_with_everything_set_is_split_when_cleared(void **state)
{
	struct log *log = *state;

	for (int eager = 0; eager < 2; eager++) {
		log->vm->kvm.dirty.eager_split = eager;
		log->vm->kvm.dirty.manual = KVM_DIRTY_MANUAL_PROTECT | KVM_DIRTY_INITIALLY_SET;
		map_block(log, 1);
		start(log);
		assert_int_equal(test_leaf(log->vm, PAGE_GPA(512)).level, PG_LEVEL_2M);
		memset(log->bitmap, 0, sizeof(log->bitmap));
		log->bitmap[0] = 1;
		assert_int_equal(clear_log(log, 512, 64), 0);
		assert_int_equal(test_leaf(log->vm, PAGE_GPA(512)).level,
				 eager ? PG_LEVEL_4K : PG_LEVEL_2M);
		assert_true(is_watched(log, 512));
		/* A block is protected for all of its pages; pages that were not named need not be.
		 */
		assert_int_equal(is_watched(log, 513), !eager);
		write_page(log, 512);
		assert_int_equal(pages_in_log(log), NR_PAGES);
		assert_int_equal(set_flags(log, 0), 0);
	}
}

static void blocks_come_back_when_logging_ends(void **state)
{
	struct log *log = *state;
	u64 flushes;

	map_block(log, 1);
	write_page(log, 3); /* its neighbours are not resident */
	start(log);
	write_page(log, 600);
	flushes = log->vm->kvm.stat.remote_tlb_flush_requests;
	assert_int_equal(set_flags(log, 0), 0);
	assert_int_equal(log->vm->kvm.stat.remote_tlb_flush_requests, flushes + 1);
	assert_true(test_leaf(log->vm, PAGE_GPA(3)).present);
	assert_false(test_leaf(log->vm, PAGE_GPA(600)).present);
	write_page(log, 601);
	assert_int_equal(test_leaf(log->vm, PAGE_GPA(601)).level, PG_LEVEL_2M);
	assert_true(test_leaf(log->vm, PAGE_GPA(1023)).prot & KVM_PGTABLE_PROT_W);
}

/* ---- rings ------------------------------------------------------------------------------ */

#define RING_ENTRIES 128u

static struct kvm_ring_entry rings[TEST_VCPUS][RING_ENTRIES];

static void use_rings(struct log *log)
{
	memset(rings, 0, sizeof(rings));
	log->vm->kvm.dirty.ring_bytes = sizeof(rings[0]);
	for (u32 i = 0; i < TEST_VCPUS; i++)
		kvm_dirty_ring_init(&log->vm->vcpu[i].dirty_ring, rings[i], sizeof(rings[0]),
				    KVM_RING_RESERVED);
	start(log);
}

static void release(u32 vcpu, u32 index)
{
	assert_int_equal(rings[vcpu][index % RING_ENTRIES].flags, KVM_RING_DIRTY);
	rings[vcpu][index % RING_ENTRIES].flags = KVM_RING_RESET;
}

static bool soft_full(const struct log *log)
{
	return kvm_dirty_ring_soft_full(&log->vm->vcpu[0].dirty_ring);
}

static void a_ring_names_what_its_vcpu_wrote(void **state)
{
	struct log *log = *state;

	use_rings(log);
	write_page(log, 100);
	write_page(log, 7);
	write_page(log, 100);
	assert_int_equal(rings[0][0].offset, 100);
	assert_int_equal(rings[0][1].offset, 7);
	assert_int_equal(rings[0][1].slot, 0);
	assert_int_equal(rings[0][2].flags, 0);
	assert_int_equal(kvm_reset_dirty_rings(&log->vm->kvm), 0);
	assert_false(is_watched(log, 100));

	release(0, 0);
	assert_int_equal(kvm_reset_dirty_rings(&log->vm->kvm), 1);
	assert_true(is_watched(log, 100));
	assert_false(is_watched(log, 7));
	assert_int_equal(rings[0][0].flags, 0);
	write_page(log, 100);
	assert_int_equal(rings[0][2].offset, 100);
}

/* Pages that follow each other, but not in one slot. */
static void a_reset_protects_each_page_in_its_own_slot(void **state)
{
	const u64 pages[] = {3, NR_PAGES + 4, 5};
	struct log *log = *state;

	use_rings(log);
	assert_int_equal(test_set_slot(log->vm, 1, KVM_SLOT_LOG_DIRTY, PAGE_GPA(NR_PAGES),
				       16 * PAGE_SIZE, log->vm->memory),
			 0);
	for (u32 i = 0; i < ARRAY_SIZE(pages); i++) {
		write_page(log, pages[i]);
		assert_int_equal(rings[0][i].slot, pages[i] >= NR_PAGES);
		assert_int_equal(rings[0][i].offset, pages[i] % NR_PAGES);
		release(0, i);
	}
	assert_int_equal(kvm_reset_dirty_rings(&log->vm->kvm), ARRAY_SIZE(pages));
	for (u32 i = 0; i < ARRAY_SIZE(pages); i++)
		assert_true(is_watched(log, pages[i]));
}

static void a_ring_goes_round(void **state)
{
	struct log *log = *state;
	u32 index = 0;

	use_rings(log);
	for (u32 round = 0; round < 5; round++) {
		for (u32 i = 0; i < 50; i++)
			write_page(log, round * 50 + i);
		for (u32 i = 0; i < 50; i++, index++) {
			assert_int_equal(rings[0][index % RING_ENTRIES].offset, index);
			release(0, index);
		}
		assert_int_equal(kvm_reset_dirty_rings(&log->vm->kvm), 50);
	}
	assert_false(soft_full(log));
}

static void a_full_ring_asks_for_an_exit_and_loses_nothing(void **state)
{
	struct log *log = *state;
	const u32 soft = RING_ENTRIES - KVM_RING_RESERVED;
	u32 *requests = &log->vm->vcpu[0].requests;

	use_rings(log);
	atomic_poke(requests, 0u);
	for (u32 i = 0; i < soft - 1; i++)
		write_page(log, i);
	assert_false(soft_full(log));
	assert_int_equal(atomic_peek(requests) & KVM_REQ_DIRTY_RING_SOFT_FULL, 0);
	for (u32 i = soft - 1; i < RING_ENTRIES; i++)
		write_page(log, i);
	assert_true(soft_full(log));
	assert_int_not_equal(atomic_peek(requests) & KVM_REQ_DIRTY_RING_SOFT_FULL, 0);
	/* Full to the brim: the next is in another vCPU's. */
	write_page(log, 500);
	assert_int_equal(rings[1][0].offset, 500);
	for (u32 i = 0; i < RING_ENTRIES; i++)
		assert_int_equal(rings[0][i].offset, i);
}

static void writes_for_no_vcpu_are_in_some_ring(void **state)
{
	struct log *log = *state;
	const u8 byte = 1;

	use_rings(log);
	assert_int_equal(kvm_write_guest(&log->vm->kvm, PAGE_GPA(40), &byte, 1), 0);
	assert_int_equal(rings[0][0].offset, 40);
	assert_int_equal(kvm_vcpu_write_guest(&log->vm->vcpu[2], PAGE_GPA(41), &byte, 1), 0);
	assert_int_equal(rings[2][0].offset, 41);
}

static void what_user_space_writes_into_a_ring_is_not_believed(void **state)
{
	struct log *log = *state;

	use_rings(log);
	write_page(log, 1);
	write_page(log, 2);
	write_page(log, 3);
	rings[0][0] = (struct kvm_ring_entry){KVM_RING_RESET, 0, NR_PAGES};
	rings[0][1] = (struct kvm_ring_entry){KVM_RING_RESET, 77, 0};
	rings[0][2] = (struct kvm_ring_entry){~0u, 0xffff0000u, ~0ull};
	rings[0][3].flags = KVM_RING_RESET; /* was never given out */
	assert_int_equal(kvm_reset_dirty_rings(&log->vm->kvm), 3);
	assert_int_equal(kvm_reset_dirty_rings(&log->vm->kvm), 0);
	assert_false(is_watched(log, 1));
	write_page(log, 4);
	assert_int_equal(rings[0][3].offset, 4);
	assert_int_equal(rings[0][3].flags, KVM_RING_DIRTY);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(written_pages_and_no_others_are_logged),
		T(a_page_that_the_host_shares_is_not_made_writable),
		T(writes_of_kvm_itself_are_logged),
		T(nothing_is_forgotten_when_user_space_is_not_there),
		T(manual_get_only_looks),
		T(clear_takes_only_what_it_names),
		T(a_log_may_begin_with_everything_set),
		T(bad_ranges_and_slots_are_refused),
		T(a_moved_slot_keeps_its_log),
		T(a_new_log_knows_nothing_of_the_old),
		T(changed_flags_make_faults_look_again),
		T(blocks_are_split_when_logging_begins),
		T(blocks_are_split_by_the_first_write_otherwise),
		T(a_block_of_a_log_with_everything_set_is_split_when_cleared),
		T(blocks_come_back_when_logging_ends),
		T(a_ring_names_what_its_vcpu_wrote),
		T(a_reset_protects_each_page_in_its_own_slot),
		T(a_ring_goes_round),
		T(a_full_ring_asks_for_an_exit_and_loses_nothing),
		T(writes_for_no_vcpu_are_in_some_ring),
		T(what_user_space_writes_into_a_ring_is_not_believed),
		T(what_only_logging_forbids_is_fixed_without_the_lock),
	};
	int failed;

	method = KVM_DIRTY_BY_MARK;
	failed = cmocka_run_group_tests_name("dirty_log, by marks", tests, NULL, NULL);
	method = KVM_DIRTY_BY_FAULT;
	return failed + cmocka_run_group_tests_name("dirty_log, by faults", tests, NULL, NULL);
}
