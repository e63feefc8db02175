/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults on private memory: which page, how big, what is refused and with what,
 * and what happens meanwhile.  (Linked with --wrap=mmu_host_faultin_page.)
 */
#include "tests/mmu/private_vm.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK	    (2ull << 20)
#define BLOCK_PAGES (BLOCK >> PAGE_SHIFT)
#define PRIVATE	    PFERR_PRIVATE_ACCESS
#define WRITE	    PFERR_WRITE_MASK

/* ---- the host, with something in between --------------------------------------------- */

int __real_mmu_host_faultin_page(hva_t hva, bool write);
int __wrap_mmu_host_faultin_page(hva_t hva, bool write);

static int refuse_with;
static void (*meanwhile)(struct private_vm *p);
static struct private_vm *the_vm;

int __wrap_mmu_host_faultin_page(hva_t hva, bool write)
{
	int err = refuse_with ? refuse_with : __real_mmu_host_faultin_page(hva, write);

	if (meanwhile)
		meanwhile(the_vm);
	return err;
}

static int setup(void **state)
{
	*state = the_vm = private_vm_new();
	return 0;
}

static int teardown(void **state)
{
	private_vm_free(*state);
	return 0;
}

static enum kvm_mmu_verdict fault(struct private_vm *p, u64 page, u64 code, int *err)
{
	enum kvm_mmu_verdict verdict = test_fault(p->vm, TEST_GPA + page * PAGE_SIZE, code, err);

	/* Whatever happened: the page was put back. */
	if (p->gmem)
		assert_int_equal(p->gmem->refs, 1);
	return verdict;
}

static void assert_resumes(struct private_vm *p, u64 page, u64 code)
{
	int err;

	assert_int_equal(fault(p, page, code, &err), KVM_MMU_RESUME_GUEST);
}

/* A memory fault of @code's kind, and nothing mapped by it. */
static void assert_refused(struct private_vm *p, u64 page, u64 code, int wanted)
{
	const struct kvm_memory_fault *info = &p->vm->vcpu[0].memory_fault;
	u64 mapped = test_outcomes(p->vm, RET_PF_FIXED);
	int err;

	assert_int_equal(fault(p, page, code, &err), KVM_MMU_EXIT_USER);
	assert_int_equal(err, wanted);
	assert_true(p->vm->vcpu[0].has_memory_fault);
	assert_int_equal(info->gpa, TEST_GPA + page * PAGE_SIZE);
	assert_int_equal(info->size, PAGE_SIZE);
	assert_int_equal(info->flags, code & PRIVATE ? KVM_MEMORY_FAULT_PRIVATE : 0);
	assert_int_equal(test_outcomes(p->vm, RET_PF_FIXED), mapped);
}

/* ---- which page ------------------------------------------------------------------------- */

static void private_fault_maps_the_page_of_the_file(void **state)
{
	struct private_vm *p = *state;

	private_set(p, 3, 1, true);
	assert_resumes(p, 3, PRIVATE);
	assert_true(private_is_mapped(p, 3));
	/* The file is the guest's to write, whatever this access was. */
	assert_true(test_leaf(p->vm, TEST_GPA + 3 * PAGE_SIZE).prot & KVM_PGTABLE_PROT_W);
	assert_false(test_leaf(p->vm, TEST_GPA + 3 * PAGE_SIZE).dirty);
	assert_int_equal(test_outcomes(p->vm, RET_PF_FIXED), 1);
	assert_resumes(p, 3, PRIVATE | WRITE);
	assert_int_equal(test_outcomes(p->vm, RET_PF_SPURIOUS), 1);
	assert_resumes(p, 4, WRITE);
	assert_true(shared_is_mapped(p, 4));
}

static void conversion_changes_the_memory_behind_a_gfn(void **state)
{
	struct private_vm *p = *state;

	assert_resumes(p, 7, WRITE);
	assert_true(shared_is_mapped(p, 7));
	private_set(p, 7, 1, true);
	assert_false(test_leaf(p->vm, TEST_GPA + 7 * PAGE_SIZE).present);
	assert_resumes(p, 7, PRIVATE | WRITE);
	assert_true(private_is_mapped(p, 7));
	private_set(p, 7, 1, false);
	assert_false(test_leaf(p->vm, TEST_GPA + 7 * PAGE_SIZE).present);
	assert_resumes(p, 7, WRITE);
	assert_true(shared_is_mapped(p, 7));
}

static void offset_in_the_file_is_the_slots(void **state)
{
	struct private_vm *p = *state;
	int err;

	assert_int_equal(test_set_slot(p->vm, 0, 0, 0, 0, NULL), 0);
	assert_int_equal(
		private_set_slot(p, 5, 4 * TEST_GPA, 4 * PAGE_SIZE, p->gmem, 9 * PAGE_SIZE), 0);
	assert_int_equal(kvm_set_memory_attributes(&p->vm->kvm, 4 * TEST_GFN, 4 * TEST_GFN + 4,
						   KVM_ATTRIBUTE_PRIVATE),
			 0);
	assert_int_equal(test_fault(p->vm, 4 * TEST_GPA + 2 * PAGE_SIZE, PRIVATE, &err),
			 KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_leaf(p->vm, 4 * TEST_GPA + 2 * PAGE_SIZE).hpa,
			 kvm_gmem_hva(p->gmem, 11));
}

/* The VM without hardware that tells: the attributes decide. */
static void accesses_are_what_the_attributes_say(void **state)
{
	struct private_vm *p = *state;

	p->vm->kvm.private_by_attribute = true;
	private_set(p, 1, 1, true);
	assert_resumes(p, 1, WRITE);
	assert_true(private_is_mapped(p, 1));
	assert_resumes(p, 2, WRITE);
	assert_true(shared_is_mapped(p, 2));
}

static void read_only_slot_is_not_writable(void **state)
{
	struct private_vm *p = *state;

	/* No request makes such a slot; the rule holds all the same. */
	p->vm->kvm.slot_by_id[0][0]->flags |= KVM_SLOT_READONLY;
	private_set(p, 0, 1, true);
	assert_resumes(p, 0, PRIVATE);
	assert_true(private_is_mapped(p, 0));
	assert_false(test_leaf(p->vm, TEST_GPA).prot & KVM_PGTABLE_PROT_W);
}

/* ---- what is refused --------------------------------------------------------------------- */

static void mismatch_leaves_and_maps_nothing(void **state)
{
	struct private_vm *p = *state;

	assert_refused(p, 5, PRIVATE | WRITE, -EFAULT);
	assert_false(test_leaf(p->vm, TEST_GPA + 5 * PAGE_SIZE).present);
	private_set(p, 5, 1, true);
	assert_refused(p, 5, WRITE, -EFAULT);
	assert_false(test_leaf(p->vm, TEST_GPA + 5 * PAGE_SIZE).present);
}

/* A leaf of the other kind is no answer to an access. */
static void mismatch_is_not_spurious(void **state)
{
	struct private_vm *p = *state;

	assert_resumes(p, 5, WRITE);
	assert_refused(p, 5, PRIVATE, -EFAULT);
	assert_true(shared_is_mapped(p, 5));
	private_set(p, 5, 1, true);
	assert_resumes(p, 5, PRIVATE);
	assert_refused(p, 5, 0, -EFAULT);
	assert_true(private_is_mapped(p, 5));
	assert_int_equal(test_outcomes(p->vm, RET_PF_SPURIOUS), 0);
}

static void slot_without_a_file_is_refused(void **state)
{
	struct private_vm *p = *state;
	gpa_t gpa = 4 * TEST_GPA;
	int err;

	assert_int_equal(test_set_slot(p->vm, 1, 0, gpa, PAGE_SIZE, p->vm->memory), 0);
	assert_int_equal(kvm_set_memory_attributes(&p->vm->kvm, gpa >> PAGE_SHIFT,
						   (gpa >> PAGE_SHIFT) + 1, KVM_ATTRIBUTE_PRIVATE),
			 0);
	assert_int_equal(test_fault(p->vm, gpa, PRIVATE, &err), KVM_MMU_EXIT_USER);
	assert_int_equal(err, -EFAULT);
	assert_int_equal(p->vm->vcpu[0].memory_fault.flags, KVM_MEMORY_FAULT_PRIVATE);
	assert_false(test_leaf(p->vm, gpa).present);
}

/* Private means memory: what has no slot is not a device then, even if it was one before. */
static void private_is_never_mmio(void **state)
{
	struct private_vm *p = *state;
	gpa_t gpa = 8 * TEST_GPA;
	int err;

	assert_int_equal(test_fault(p->vm, gpa, 0, &err), KVM_MMU_EMULATE);
	assert_int_equal(test_fault(p->vm, gpa, PRIVATE, &err), KVM_MMU_EXIT_USER);
	assert_int_equal(kvm_set_memory_attributes(&p->vm->kvm, gpa >> PAGE_SHIFT,
						   (gpa >> PAGE_SHIFT) + 1, KVM_ATTRIBUTE_PRIVATE),
			 0);
	assert_int_equal(test_fault(p->vm, gpa, 0, &err), KVM_MMU_EXIT_USER);
	assert_int_equal(err, -EFAULT);
	assert_int_equal(p->vm->vcpu[0].memory_fault.flags, 0);
	assert_int_equal(test_fault(p->vm, gpa, PRIVATE, &err), KVM_MMU_EXIT_USER);
	assert_int_equal(p->vm->vcpu[0].memory_fault.flags, KVM_MEMORY_FAULT_PRIVATE);
}

static void what_the_host_refuses_is_passed_on(void **state)
{
	static const int errors[] = {-ENOMEM, -EHWPOISON, -EFAULT};
	struct private_vm *p = *state;

	private_set(p, 0, 1, true);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		refuse_with = errors[i];
		assert_refused(p, 0, PRIVATE, errors[i]);
		refuse_with = 0;
		assert_false(test_leaf(p->vm, TEST_GPA).present);
	}
	assert_resumes(p, 0, PRIVATE);
}

static void closed_file_is_refused(void **state)
{
	struct private_vm *p = *state;

	private_set(p, 0, 2, true);
	assert_resumes(p, 0, PRIVATE);
	private_close(p);
	assert_false(test_leaf(p->vm, TEST_GPA).present);
	assert_refused(p, 0, PRIVATE, -EFAULT);
	/* The other half of the slot goes on. */
	assert_resumes(p, 2, WRITE);
	assert_int_equal(test_set_slot(p->vm, 0, 0, 0, 0, NULL), 0);
}

/* ---- how big -------------------------------------------------------------------------------- */

static enum pg_level level_at(struct private_vm *p, u64 page, u64 code)
{
	assert_resumes(p, page, code);
	return (enum pg_level)test_leaf(p->vm, TEST_GPA + page * PAGE_SIZE).level;
}

static void resident_block_is_mapped_as_one(void **state)
{
	struct private_vm *p = *state;

	private_set(p, 0, TEST_PAGES, true);
	assert_int_equal(level_at(p, 5, PRIVATE), PG_LEVEL_4K);
	assert_int_equal(kvm_gmem_allocate(p->gmem, BLOCK_PAGES, 2 * BLOCK_PAGES), 0);
	assert_int_equal(level_at(p, BLOCK_PAGES + 5, PRIVATE), PG_LEVEL_2M);
	assert_true(private_is_mapped(p, 2 * BLOCK_PAGES - 1));
}

static void block_needs_the_same_attributes_all_over(void **state)
{
	struct private_vm *p = *state;

	memset(p->vm->memory, 1, 4 * BLOCK);
	assert_int_equal(kvm_gmem_allocate(p->gmem, 0, TEST_PAGES), 0);
	private_set(p, 0, BLOCK_PAGES - 1, true);
	private_set(p, BLOCK_PAGES + 7, 1, true);
	private_set(p, 2 * BLOCK_PAGES, BLOCK_PAGES, true);
	assert_int_equal(level_at(p, 0, PRIVATE), PG_LEVEL_4K);
	assert_int_equal(level_at(p, BLOCK_PAGES, WRITE), PG_LEVEL_4K);
	assert_int_equal(level_at(p, 2 * BLOCK_PAGES, PRIVATE), PG_LEVEL_2M);
	assert_int_equal(level_at(p, 3 * BLOCK_PAGES, WRITE), PG_LEVEL_2M);
}

/* Converting one page of a block leaves what is around it of the kind it was. */
static void conversion_breaks_a_block(void **state)
{
	struct private_vm *p = *state;

	private_set(p, 0, BLOCK_PAGES, true);
	assert_int_equal(kvm_gmem_allocate(p->gmem, 0, BLOCK_PAGES), 0);
	assert_int_equal(level_at(p, 0, PRIVATE), PG_LEVEL_2M);
	private_set(p, 100, 1, false);
	assert_false(test_leaf(p->vm, TEST_GPA + 100 * PAGE_SIZE).present);
	assert_int_equal(level_at(p, 100, WRITE), PG_LEVEL_4K);
	assert_true(shared_is_mapped(p, 100));
	assert_int_equal(level_at(p, 99, PRIVATE), PG_LEVEL_4K);
	assert_true(private_is_mapped(p, 99));
}

/* A hole in a block takes its pages away, and leaves what is around it. */
static void hole_breaks_a_block(void **state)
{
	struct private_vm *p = *state;

	private_set(p, 0, BLOCK_PAGES, true);
	assert_int_equal(kvm_gmem_allocate(p->gmem, 0, BLOCK_PAGES), 0);
	assert_int_equal(level_at(p, 0, PRIVATE), PG_LEVEL_2M);
	assert_int_equal(kvm_gmem_punch_hole(p->gmem, 100, 102), 0);
	assert_false(test_leaf(p->vm, TEST_GPA + 100 * PAGE_SIZE).present);
	assert_false(test_leaf(p->vm, TEST_GPA + 101 * PAGE_SIZE).present);
	assert_true(private_is_mapped(p, 99) && private_is_mapped(p, 102));
	assert_int_equal(level_at(p, 100, PRIVATE), PG_LEVEL_4K);
}

static void block_needs_congruent_places(void **state)
{
	struct private_vm *p = *state;
	gpa_t gpa = 4 * TEST_GPA;
	int err;

	assert_int_equal(test_set_slot(p->vm, 0, 0, 0, 0, NULL), 0);
	assert_int_equal(kvm_gmem_allocate(p->gmem, 0, TEST_PAGES), 0);
	assert_int_equal(private_set_slot(p, 1, gpa, 2 * BLOCK, p->gmem, PAGE_SIZE), 0);
	assert_int_equal(kvm_set_memory_attributes(&p->vm->kvm, gpa >> PAGE_SHIFT,
						   (gpa + 2 * BLOCK) >> PAGE_SHIFT,
						   KVM_ATTRIBUTE_PRIVATE),
			 0);
	assert_int_equal(test_fault(p->vm, gpa, PRIVATE, &err), KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_leaf(p->vm, gpa).level, PG_LEVEL_4K);
	assert_int_equal(test_leaf(p->vm, gpa).hpa, kvm_gmem_hva(p->gmem, 1));
}

/* ---- meanwhile ---------------------------------------------------------------------------- */

static void punch_here(struct private_vm *p)
{
	assert_int_equal(kvm_gmem_punch_hole(p->gmem, 4, 8), 0);
}

static void punch_elsewhere(struct private_vm *p)
{
	/* Opens no bracket over page 5, but moves the sequence: a retry, as in KVM. */
	assert_int_equal(kvm_gmem_punch_hole(p->gmem, 100, 101), 0);
}

static void convert_here(struct private_vm *p)
{
	private_set(p, 5, 1, false);
}

static void convert_to_what_it_is(struct private_vm *p)
{
	private_set(p, 5, 1, true);
}

static void delete_slot(struct private_vm *p)
{
	assert_int_equal(test_set_slot(p->vm, 0, 0, 0, 0, NULL), 0);
}

static void close_file(struct private_vm *p)
{
	private_close(p);
}

static void nothing(struct private_vm *p)
{
	(void)p;
}

struct race {
	const char *what;
	void (*meanwhile)(struct private_vm *p);
	enum kvm_ret_pf outcome;
	bool mapped;
};

static const struct race races[] = {
	{"nothing", nothing, RET_PF_FIXED, true},
	{"punch", punch_here, RET_PF_RETRY, false},
	{"punch elsewhere", punch_elsewhere, RET_PF_RETRY, false},
	{"conversion", convert_here, RET_PF_RETRY, false},
	{"no conversion", convert_to_what_it_is, RET_PF_FIXED, true},
	{"slot deleted", delete_slot, RET_PF_RETRY, false},
	{"file closed", close_file, RET_PF_RETRY, false},
};

static void run_race(const struct race *race)
{
	struct private_vm *p = the_vm = private_vm_new();
	int err;

	private_set(p, 5, 1, true);
	meanwhile = race->meanwhile;
	assert_int_equal(fault(p, 5, PRIVATE, &err), KVM_MMU_RESUME_GUEST);
	meanwhile = NULL;
	if (test_outcomes(p->vm, race->outcome) != 1 ||
	    test_leaf(p->vm, TEST_GPA + 5 * PAGE_SIZE).present != race->mapped)
		fail_msg("%s: not %s", race->what, kvm_ret_pf_name(race->outcome));
	private_vm_free(p);
}

static void what_happens_during_the_lookup_is_noticed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(races); i++)
		run_race(&races[i]);
}

/* ---- before the guest asks ------------------------------------------------------------------- */

/* Seconds; whoever waits for the page may be who was to bring it. */
#define PATIENCE 5u

static int prefault(struct private_vm *p, u64 page, enum pg_level *level)
{
	int err;

	alarm(PATIENCE);
	err = kvm_mmu_prefault(&p->vm->vcpu[0], TEST_GPA + page * PAGE_SIZE, level);
	alarm(0);
	if (p->gmem)
		assert_int_equal(p->gmem->refs, 1);
	return err;
}

static void prefault_maps_either_kind_unaccessed(void **state)
{
	struct private_vm *p = *state;
	enum pg_level level;

	private_set(p, 1, 1, true);
	assert_int_equal(prefault(p, 0, &level), 0);
	assert_int_equal(level, PG_LEVEL_4K);
	assert_true(shared_is_mapped(p, 0));
	assert_false(test_leaf(p->vm, TEST_GPA).accessed);
	assert_int_equal(prefault(p, 1, &level), 0);
	assert_true(private_is_mapped(p, 1));
	assert_false(test_leaf(p->vm, TEST_GPA + PAGE_SIZE).accessed);
	/* No fault of the guest, so none is counted. */
	assert_int_equal(p->vm->vcpu[0].stat.pf_taken, 0);
	assert_int_equal(prefault(p, 1, &level), 0);
	assert_resumes(p, 2, WRITE);
	assert_true(test_leaf(p->vm, TEST_GPA + 2 * PAGE_SIZE).accessed);
}

static void prefault_tells_the_level(void **state)
{
	struct private_vm *p = *state;
	enum pg_level level;

	private_set(p, 0, TEST_PAGES, true);
	assert_int_equal(kvm_gmem_allocate(p->gmem, 0, BLOCK_PAGES), 0);
	assert_int_equal(prefault(p, 17, &level), 0);
	assert_int_equal(level, PG_LEVEL_2M);
	/* Also of what is there already. */
	assert_int_equal(prefault(p, 18, &level), 0);
	assert_int_equal(level, PG_LEVEL_2M);
}

static void prefault_ends_without_a_slot(void **state)
{
	struct private_vm *p = *state;
	enum pg_level level;

	assert_int_equal(kvm_mmu_prefault(&p->vm->vcpu[0], 8 * TEST_GPA, &level), -ENOENT);
	assert_int_equal(prefault(p, TEST_PAGES, &level), -ENOENT);
	/* Deleted at the very moment: one more look, and that is the end. */
	meanwhile = delete_slot;
	assert_int_equal(prefault(p, 0, &level), -EAGAIN);
	meanwhile = NULL;
	assert_int_equal(prefault(p, 0, &level), -ENOENT);
}

static void prefault_in_an_open_bracket_asks_for_patience(void **state)
{
	struct private_vm *p = *state;
	hva_t start = ptr_to_hva(p->vm->memory);
	enum pg_level level;

	kvm_mmu_hva_change_begin(&p->vm->kvm, start, start + PAGE_SIZE);
	assert_int_equal(prefault(p, 0, &level), -EAGAIN);
	assert_int_equal(prefault(p, 1, &level), 0);
	kvm_mmu_hva_change_end(&p->vm->kvm, start, start + PAGE_SIZE);
	assert_int_equal(prefault(p, 0, &level), 0);
}

/* Between two runs nobody serves the request to leave an old root. */
static void prefault_leaves_an_obsolete_root_itself(void **state)
{
	struct private_vm *p = *state;
	enum pg_level level;

	assert_int_equal(prefault(p, 0, &level), 0);
	assert_int_equal(kvm_mmu_zap_all_fast(&p->vm->kvm), 0);
	assert_int_equal(prefault(p, 0, &level), 0);
	assert_true(shared_is_mapped(p, 0));
}

static void prefault_passes_errors_on(void **state)
{
	struct private_vm *p = *state;
	enum pg_level level;

	assert_int_equal(mprotect(p->vm->memory, PAGE_SIZE, PROT_NONE), 0);
	assert_int_equal(prefault(p, 0, &level), -EFAULT);
	private_set(p, 0, 1, true);
	refuse_with = -ENOMEM;
	assert_int_equal(prefault(p, 0, &level), -ENOMEM);
	refuse_with = 0;
	private_close(p);
	assert_int_equal(prefault(p, 0, &level), -EFAULT);
	p->vm->vcpu[0].mmu->page_fault = NULL;
	assert_int_equal(prefault(p, 0, &level), -EOPNOTSUPP);
	p->vm->vcpu[0].mmu->page_fault = kvm_tdp_page_fault;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(private_fault_maps_the_page_of_the_file),
		TEST(conversion_changes_the_memory_behind_a_gfn),
		TEST(offset_in_the_file_is_the_slots),
		TEST(accesses_are_what_the_attributes_say),
		TEST(read_only_slot_is_not_writable),
		TEST(mismatch_leaves_and_maps_nothing),
		TEST(mismatch_is_not_spurious),
		TEST(slot_without_a_file_is_refused),
		TEST(private_is_never_mmio),
		TEST(what_the_host_refuses_is_passed_on),
		TEST(closed_file_is_refused),
		TEST(resident_block_is_mapped_as_one),
		TEST(block_needs_the_same_attributes_all_over),
		TEST(conversion_breaks_a_block),
		TEST(hole_breaks_a_block),
		TEST(block_needs_congruent_places),
		cmocka_unit_test(what_happens_during_the_lookup_is_noticed),
		TEST(prefault_maps_either_kind_unaccessed),
		TEST(prefault_tells_the_level),
		TEST(prefault_ends_without_a_slot),
		TEST(prefault_in_an_open_bracket_asks_for_patience),
		TEST(prefault_leaves_an_obsolete_root_itself),
		TEST(prefault_passes_errors_on),
	};

	return cmocka_run_group_tests_name("private fault", tests, NULL, NULL);
}
