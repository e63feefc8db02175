/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest_memfd files: bindings, holes, the end of a file, want of memory.
 * (Linked with --wrap=mmu_host_alloc.)
 */
#include "tests/mmu/private_vm.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define PRIVATE PFERR_PRIVATE_ACCESS

void *__real_mmu_host_alloc(enum kvmu_site site, size_t bytes);
void *__wrap_mmu_host_alloc(enum kvmu_site site, size_t bytes);

static long fail_after = -1; /* so many succeed; negative: all */

void *__wrap_mmu_host_alloc(enum kvmu_site site, size_t bytes)
{
	if (!fail_after)
		return NULL;
	if (fail_after > 0)
		fail_after--;
	return __real_mmu_host_alloc(site, bytes);
}

static int setup(void **state)
{
	*state = private_vm_new();
	return 0;
}

static int teardown(void **state)
{
	private_vm_free(*state);
	return 0;
}

static void fault_private(struct private_vm *p, u64 page)
{
	int err;

	assert_int_equal(test_fault(p->vm, TEST_GPA + page * PAGE_SIZE, PRIVATE, &err),
			 KVM_MMU_RESUME_GUEST);
	assert_true(private_is_mapped(p, page));
}

static unsigned char *byte_of(struct private_vm *p, u64 page)
{
	return hva_to_ptr(kvm_gmem_hva(p->gmem, page));
}

/* ---- requests -------------------------------------------------------------------------------- */

#define OTHER_GPA (4 * TEST_GPA)

struct bad_request {
	const char *why;
	u64 size, offset;
	u32 flags;
	int wanted;
};

/* Slot 0 is bound to the first half of the file here. */
static const struct bad_request bad_requests[] = {
	{"misaligned offset", PAGE_SIZE, TEST_BYTES / 2 + 8, KVM_SLOT_GUEST_MEMFD, -EINVAL},
	{"offset wraps", 2 * PAGE_SIZE, ~0ull << PAGE_SHIFT, KVM_SLOT_GUEST_MEMFD, -EINVAL},
	{"offset beyond the end", PAGE_SIZE, TEST_BYTES, KVM_SLOT_GUEST_MEMFD, -EINVAL},
	{"end beyond the end", TEST_BYTES / 2 + PAGE_SIZE, TEST_BYTES / 2, KVM_SLOT_GUEST_MEMFD,
	 -EINVAL},
	{"bound already, all", TEST_BYTES / 2, 0, KVM_SLOT_GUEST_MEMFD, -EINVAL},
	{"bound already, first page", PAGE_SIZE, 0, KVM_SLOT_GUEST_MEMFD, -EINVAL},
	{"bound already, last page", 2 * PAGE_SIZE, TEST_BYTES / 2 - PAGE_SIZE,
	 KVM_SLOT_GUEST_MEMFD, -EINVAL},
	{"bound already, around", TEST_BYTES, 0, KVM_SLOT_GUEST_MEMFD, -EINVAL},
	{"logged", PAGE_SIZE, TEST_BYTES / 2, KVM_SLOT_GUEST_MEMFD | KVM_SLOT_LOG_DIRTY, -EINVAL},
	{"read-only", PAGE_SIZE, TEST_BYTES / 2, KVM_SLOT_GUEST_MEMFD | KVM_SLOT_READONLY, -EINVAL},
};

static int request(struct private_vm *p, const struct bad_request *bad, struct kvm_gmem *gmem)
{
	const struct kvm_slot_request request = {
		.slot = 1,
		.flags = bad->flags,
		.guest_phys_addr = OTHER_GPA,
		.memory_size = bad->size,
		.userspace_addr = ptr_to_hva(p->vm->memory),
		.gmem = gmem,
		.gmem_error = -EBADF,
		.gmem_offset = bad->offset,
	};

	return kvm_set_memory_region(&p->vm->kvm, &request);
}

static void bad_requests_change_nothing(void **state)
{
	static const struct bad_request no_file = {.size = PAGE_SIZE,
						   .flags = KVM_SLOT_GUEST_MEMFD};
	struct private_vm *p = *state;
	const struct kvm_memslots *before;

	assert_int_equal(test_set_slot(p->vm, 0, 0, 0, 0, NULL), 0);
	assert_int_equal(private_set_slot(p, 0, TEST_GPA, TEST_BYTES / 2, p->gmem, 0), 0);
	before = p->vm->kvm.memslots[0];
	for (size_t i = 0; i < ARRAY_SIZE(bad_requests); i++) {
		int err = request(p, &bad_requests[i], p->gmem);

		if (err != bad_requests[i].wanted)
			fail_msg("%s: %d", bad_requests[i].why, err);
	}
	assert_int_equal(request(p, &no_file, NULL), -EBADF);
	p->vm->kvm.has_private_mem = false;
	assert_int_equal(request(p,
				 &(struct bad_request){.size = PAGE_SIZE,
						       .offset = TEST_BYTES / 2,
						       .flags = KVM_SLOT_GUEST_MEMFD},
				 p->gmem),
			 -EINVAL);
	assert_ptr_equal(p->vm->kvm.memslots[0], before);
	assert_int_equal(p->gmem->nr_bound, 1);
}

/* With private memory a slot is created and deleted, and nothing else. */
static void live_slots_stay_as_they_are(void **state)
{
	struct private_vm *p = *state;

	assert_int_equal(private_set_slot(p, 0, TEST_GPA, TEST_BYTES, p->gmem, 0), -EINVAL);
	assert_int_equal(private_set_slot(p, 0, OTHER_GPA, TEST_BYTES, p->gmem, 0), -EINVAL);
	assert_int_equal(test_set_slot(p->vm, 0, 0, TEST_GPA, TEST_BYTES, p->vm->memory), -EINVAL);
	assert_int_equal(test_set_slot(p->vm, 1, 0, OTHER_GPA, PAGE_SIZE, p->vm->memory), 0);
	assert_int_equal(private_set_slot(p, 1, OTHER_GPA, PAGE_SIZE, p->gmem, 0), -EINVAL);
	/* An overlap of slots is found before one of bindings. */
	assert_int_equal(private_set_slot(p, 2, TEST_GPA, PAGE_SIZE, p->gmem, 0), -EEXIST);
}

static void deletion_frees_the_binding(void **state)
{
	struct private_vm *p = *state;

	assert_int_equal(test_set_slot(p->vm, 0, 0, 0, 0, NULL), 0);
	assert_int_equal(p->gmem->nr_bound, 0);
	/* The file's page stays: the slot is only a view of it. */
	*byte_of(p, 1) = 42;
	assert_int_equal(private_set_slot(p, 7, OTHER_GPA, TEST_BYTES, p->gmem, 0), 0);
	assert_int_equal(*byte_of(p, 1), 42);
	/* The flag makes no difference, nor what stands beside it. */
	assert_int_equal(private_set_slot(p, 7, OTHER_GPA, 0, NULL, 0), 0);
	assert_int_equal(p->gmem->nr_bound, 0);
}

#define BINDINGS 300u

static void many_bindings_in_any_order(void **state)
{
	struct private_vm *p = *state;

	assert_int_equal(test_set_slot(p->vm, 0, 0, 0, 0, NULL), 0);
	for (u32 round = 0; round < 2; round++) {
		for (u32 i = 0; i < BINDINGS; i++) {
			u64 page = i * 7 % BINDINGS;

			assert_int_equal(private_set_slot(p, (u32)page,
							  OTHER_GPA + 2 * page * PAGE_SIZE,
							  PAGE_SIZE, p->gmem, page * PAGE_SIZE),
					 0);
		}
		assert_int_equal(p->gmem->nr_bound, BINDINGS);
		for (u32 i = 0; i < BINDINGS; i++) {
			u32 id = i * 11 % BINDINGS;

			assert_ptr_equal(p->gmem->bound[i], p->vm->kvm.slot_by_id[0][i]);
			assert_int_equal(private_set_slot(p, BINDINGS, 16 * TEST_GPA, PAGE_SIZE,
							  p->gmem, id * PAGE_SIZE),
					 -EINVAL);
		}
		for (u32 i = 0; i < BINDINGS; i++)
			assert_int_equal(test_set_slot(p->vm, i * 11 % BINDINGS, 0, 0, 0, NULL), 0);
		assert_int_equal(p->gmem->nr_bound, 0);
	}
}

/* Table pages below the root, those that wait in vCPUs' caches aside. */
static u64 tables_in_use(const struct private_vm *p)
{
	u64 pages = p->vm->kvm.arena.pages;

	for (u32 i = 0; i < TEST_VCPUS; i++)
		pages -= p->vm->vcpu[i].table_cache.nr;
	return pages;
}

/* ---- holes ----------------------------------------------------------------------------------- */

static void punch_zaps_and_zeroes_its_range_and_no_more(void **state)
{
	struct private_vm *p = *state;
	u64 seq;

	private_set(p, 0, 10, true);
	for (u64 page = 0; page < 10; page++) {
		fault_private(p, page);
		*byte_of(p, page) = 7;
	}
	seq = p->vm->kvm.mmu_invalidate_seq;
	p->vm->kvm.stat.invalidated_leaves = 0;
	assert_int_equal(kvm_gmem_punch_hole(p->gmem, 3, 6), 0);
	assert_int_equal(p->vm->kvm.stat.invalidated_leaves, 3);
	assert_int_equal(p->vm->kvm.mmu_invalidate_seq, seq + 1);
	assert_int_equal(p->vm->kvm.mmu_invalidate_in_progress, 0);
	for (u64 page = 0; page < 10; page++) {
		bool punched = page >= 3 && page < 6;

		assert_int_equal(private_is_mapped(p, page), !punched);
		assert_int_equal(*byte_of(p, page), punched ? 0 : 7);
	}
}

static void tables_come_back(void **state)
{
	struct private_vm *p = *state;
	u64 before = tables_in_use(p);

	private_set(p, 0, TEST_PAGES, true);
	for (int round = 0; round < 3; round++) {
		for (u64 page = 0; page < TEST_PAGES; page += 64)
			fault_private(p, page);
		assert_true(tables_in_use(p) > before);
		if (round == 0)
			assert_int_equal(kvm_gmem_punch_hole(p->gmem, 0, TEST_PAGES), 0);
		else if (round == 1)
			private_set(p, 0, TEST_PAGES, false);
		else
			private_close(p);
		assert_int_equal(tables_in_use(p), before);
		private_set(p, 0, TEST_PAGES, true);
	}
}

static void punch_meets_every_binding_it_overlaps(void **state)
{
	struct private_vm *p = *state;
	int err;

	assert_int_equal(test_set_slot(p->vm, 0, 0, 0, 0, NULL), 0);
	/* File pages 0-3 at the higher gpa, 4-7 at the lower, 8 nowhere, 9-10 apart. */
	assert_int_equal(private_set_slot(p, 1, OTHER_GPA, 4 * PAGE_SIZE, p->gmem, 0), 0);
	assert_int_equal(private_set_slot(p, 2, TEST_GPA, 4 * PAGE_SIZE, p->gmem, 4 * PAGE_SIZE),
			 0);
	assert_int_equal(
		private_set_slot(p, 3, 2 * OTHER_GPA, 2 * PAGE_SIZE, p->gmem, 9 * PAGE_SIZE), 0);
	assert_int_equal(
		kvm_set_memory_attributes(&p->vm->kvm, 0, 1ull << 36, KVM_ATTRIBUTE_PRIVATE), 0);
	for (u64 i = 0; i < 4; i++) {
		test_fault(p->vm, OTHER_GPA + i * PAGE_SIZE, PRIVATE, &err);
		test_fault(p->vm, TEST_GPA + i * PAGE_SIZE, PRIVATE, &err);
	}
	test_fault(p->vm, 2 * OTHER_GPA, PRIVATE, &err);
	assert_int_equal(kvm_gmem_punch_hole(p->gmem, 3, 6), 0);
	for (u64 i = 0; i < 4; i++) {
		assert_int_equal(test_leaf(p->vm, OTHER_GPA + i * PAGE_SIZE).present, i < 3);
		assert_int_equal(test_leaf(p->vm, TEST_GPA + i * PAGE_SIZE).present, i >= 2);
	}
	assert_true(test_leaf(p->vm, 2 * OTHER_GPA).present);
}

static void punch_where_nothing_is_bound_opens_no_bracket(void **state)
{
	struct private_vm *p = *state;
	u64 seq = p->vm->kvm.mmu_invalidate_seq;

	assert_int_equal(kvm_gmem_punch_hole(p->gmem, TEST_PAGES, TEST_PAGES + 5), 0);
	assert_int_equal(kvm_gmem_punch_hole(p->gmem, TEST_PAGES + 5, ~0ull), 0);
	assert_int_equal(p->vm->kvm.mmu_invalidate_seq, seq);
	assert_int_equal(test_set_slot(p->vm, 0, 0, 0, 0, NULL), 0);
	seq = p->vm->kvm.mmu_invalidate_seq;
	*byte_of(p, 2) = 9;
	assert_int_equal(kvm_gmem_punch_hole(p->gmem, 0, ~0ull), 0);
	assert_int_equal(*byte_of(p, 2), 0);
	assert_int_equal(p->vm->kvm.mmu_invalidate_seq, seq);
}

static void allocation_makes_resident_and_has_an_end(void **state)
{
	struct private_vm *p = *state;
	unsigned char here[4];

	assert_int_equal(kvm_gmem_allocate(p->gmem, 1, 3), 0);
	assert_int_equal(mincore(byte_of(p, 0), 4 * PAGE_SIZE, here), 0);
	assert_false(here[0] & 1);
	assert_true(here[1] & here[2] & 1);
	assert_false(here[3] & 1);
	assert_int_equal(kvm_gmem_allocate(p->gmem, TEST_PAGES - 1, TEST_PAGES + 1), -EINVAL);
	assert_int_equal(kvm_gmem_allocate(p->gmem, TEST_PAGES, TEST_PAGES + 1), -EINVAL);
	assert_int_equal(kvm_gmem_allocate(p->gmem, 5, ~0ull), -EINVAL);
}

/* ---- the end of a file --------------------------------------------------------------------- */

static void released_file_leaves_nothing(void **state)
{
	struct private_vm *p = *state;
	unsigned char *where = byte_of(p, 0);
	unsigned char here;

	private_set(p, 0, 3, true);
	for (u64 page = 0; page < 3; page++)
		fault_private(p, page);
	p->vm->kvm.stat.invalidated_leaves = 0;
	private_close(p);
	assert_int_equal(p->vm->kvm.stat.invalidated_leaves, 3);
	for (u64 page = 0; page < 3; page++)
		assert_false(test_leaf(p->vm, TEST_GPA + page * PAGE_SIZE).present);
	assert_null(p->vm->kvm.slot_by_id[0][0]->gmem);
	assert_int_equal(mincore(where, PAGE_SIZE, &here), -1);
	assert_int_equal(errno, ENOMEM);
}

/* Who still finds it in a slot while it ends must not bring it back. */
static void ending_file_is_not_revived(void **state)
{
	struct private_vm *p = *state;
	const struct kvm_memory_slot *slot = p->vm->kvm.slot_by_id[0][0];

	assert_ptr_equal(kvm_gmem_get_file(slot), p->gmem);
	kvm_gmem_put(p->gmem);
	p->gmem->refs = 0;
	assert_null(kvm_gmem_get_file(slot));
	assert_int_equal(p->gmem->refs, 0);
	p->gmem->refs = 1;
}

/* Only the creating process has the memory, and only while it runs. */
static void memory_is_not_inherited(void **state)
{
	struct private_vm *p = *state;

	hva_t hva = kvm_gmem_hva(p->gmem, 9);
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[512], flags[512] = "";
	unsigned long start = 0, end = 0;

	assert_non_null(smaps);
	while (!flags[0] && fgets(line, sizeof(line), smaps)) {
		sscanf(line, "%lx-%lx ", &start, &end);
		if (hva >= start && hva < end && !strncmp(line, "VmFlags:", 8))
			memcpy(flags, line, sizeof(flags));
	}
	fclose(smaps);
	/* Not copied by fork, not dumped. */
	assert_non_null(strstr(flags, " dc"));
	assert_non_null(strstr(flags, " dd"));
}

/* ---- want of memory --------------------------------------------------------------------- */

static void without_memory_nothing_changes(void **state)
{
	struct private_vm *p = *state;
	struct kvm_gmem *other;
	int err = -ENOMEM;

	fail_after = 0;
	assert_int_equal(kvm_gmem_create(&p->vm->kvm, 1, &other), -ENOMEM);
	fail_after = -1;
	assert_int_equal(kvm_gmem_create(&p->vm->kvm, 1ull << 50, &other), -ENOMEM);
	assert_int_equal(kvm_gmem_create(&p->vm->kvm, (1ull << 51) - 1, &other), -ENOMEM);

	assert_int_equal(kvm_gmem_create(&p->vm->kvm, 8, &other), 0);
	for (long n = 0; err; n++) {
		fail_after = n;
		err = private_set_slot(p, 1, OTHER_GPA, 4 * PAGE_SIZE, other, 0);
		fail_after = -1;
		assert_true(err == 0 || err == -ENOMEM);
		assert_int_equal(other->nr_bound, err ? 0 : 1);
		assert_int_equal(p->vm->kvm.memslots[0]->nr, err ? 1 : 2);
		assert_in_range(n, 0, 30);
	}
	kvm_gmem_release(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bad_requests_change_nothing),
		TEST(live_slots_stay_as_they_are),
		TEST(deletion_frees_the_binding),
		TEST(many_bindings_in_any_order),
		TEST(punch_zaps_and_zeroes_its_range_and_no_more),
		TEST(tables_come_back),
		TEST(punch_meets_every_binding_it_overlaps),
		TEST(punch_where_nothing_is_bound_opens_no_bracket),
		TEST(allocation_makes_resident_and_has_an_end),
		TEST(released_file_leaves_nothing),
		TEST(ending_file_is_not_revived),
		TEST(memory_is_not_inherited),
		TEST(without_memory_nothing_changes),
	};

	return cmocka_run_group_tests_name("gmem", tests, NULL, NULL);
}
