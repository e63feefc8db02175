/* SPDX-License-Identifier: BSD-2-Clause */
/* Each outcome of a page fault, and what it leaves in the tables. */
#include "tests/mmu/test_vm.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK (2ull << 20)

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

static void write_fault_maps_the_page_writable(void **state)
{
	struct test_vm *vm = *state;
	struct kvm_pgtable_leaf leaf;
	int err;

	assert_int_equal(test_fault(vm, TEST_GPA + 0x3008, PFERR_WRITE_MASK, &err),
			 KVM_MMU_RESUME_GUEST);
	leaf = test_leaf(vm, TEST_GPA + 0x3000);
	assert_true(leaf.present);
	assert_int_equal(leaf.level, PG_LEVEL_4K);
	assert_int_equal(leaf.hpa, ptr_to_hva(vm->memory) + 0x3000);
	assert_true(leaf.prot & KVM_PGTABLE_PROT_W);
	assert_int_equal(test_outcomes(vm, RET_PF_FIXED), 1);
	assert_int_equal(vm->vcpu[0].stat.pages_mapped[PG_LEVEL_4K], 1);
}

static void read_fault_maps_read_only_until_written(void **state)
{
	struct test_vm *vm = *state;
	int err;

	assert_int_equal(test_fault(vm, TEST_GPA, 0, &err), KVM_MMU_RESUME_GUEST);
	assert_false(test_leaf(vm, TEST_GPA).prot & KVM_PGTABLE_PROT_W);
	assert_int_equal(test_fault(vm, TEST_GPA, PFERR_WRITE_MASK, &err), KVM_MMU_RESUME_GUEST);
	assert_true(test_leaf(vm, TEST_GPA).prot & KVM_PGTABLE_PROT_W);
	assert_int_equal(test_outcomes(vm, RET_PF_FIXED), 2);
}

static void fault_on_a_mapped_page_is_spurious(void **state)
{
	struct test_vm *vm = *state;
	int err;

	assert_int_equal(test_fault(vm, TEST_GPA, PFERR_WRITE_MASK, &err), KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_fault(vm, TEST_GPA, PFERR_WRITE_MASK, &err), KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_outcomes(vm, RET_PF_SPURIOUS), 1);
}

static void no_slot_means_emulate(void **state)
{
	struct test_vm *vm = *state;
	int err;

	assert_int_equal(test_fault(vm, 0x1000, 0, &err), KVM_MMU_EMULATE);
	assert_int_equal(test_fault(vm, TEST_GPA + TEST_BYTES, 0, &err), KVM_MMU_EMULATE);
	assert_int_equal(test_fault(vm, TEST_GPA - 1, 0, &err), KVM_MMU_EMULATE);
	assert_int_equal(test_fault(vm, 1ull << 50, 0, &err), KVM_MMU_EMULATE);
	assert_int_equal(test_outcomes(vm, RET_PF_EMULATE), 4);
}

static void write_to_a_read_only_slot_means_emulate(void **state)
{
	struct test_vm *vm = *state;
	gpa_t rom = 0x10000;
	int err;

	assert_int_equal(test_set_slot(vm, 1, KVM_SLOT_READONLY, rom, PAGE_SIZE, vm->memory), 0);
	assert_int_equal(test_fault(vm, rom, PFERR_WRITE_MASK, &err), KVM_MMU_EMULATE);
	assert_int_equal(test_fault(vm, rom, 0, &err), KVM_MMU_RESUME_GUEST);
	assert_false(test_leaf(vm, rom).prot & KVM_PGTABLE_PROT_W);
	assert_int_equal(test_fault(vm, rom, PFERR_WRITE_MASK, &err), KVM_MMU_EMULATE);
}

static void memory_that_is_gone_leaves_to_user_space(void **state)
{
	struct test_vm *vm = *state;
	int err;

	assert_int_equal(mprotect(vm->memory + 0x1000, PAGE_SIZE, PROT_NONE), 0);
	assert_int_equal(test_fault(vm, TEST_GPA + 0x1000, 0, &err), KVM_MMU_EXIT_USER);
	assert_int_equal(err, -EFAULT);
	assert_true(vm->vcpu[0].has_memory_fault);
	assert_int_equal(vm->vcpu[0].memory_fault.gpa, TEST_GPA + 0x1000);
	assert_int_equal(vm->vcpu[0].memory_fault.size, PAGE_SIZE);
	assert_int_equal(vm->vcpu[0].memory_fault.flags, 0);
	assert_false(test_leaf(vm, TEST_GPA + 0x1000).present);

	assert_int_equal(mprotect(vm->memory + 0x2000, PAGE_SIZE, PROT_READ), 0);
	assert_int_equal(test_fault(vm, TEST_GPA + 0x2000, 0, &err), KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_fault(vm, TEST_GPA + 0x2000, PFERR_WRITE_MASK, &err),
			 KVM_MMU_EXIT_USER);
	assert_int_equal(err, -EFAULT);
}

static void private_access_without_private_memory_is_a_memory_fault(void **state)
{
	struct test_vm *vm = *state;
	int err;

	for (gpa_t gpa = TEST_GPA; gpa; gpa = gpa == TEST_GPA ? 0x1000 : 0) {
		assert_int_equal(test_fault(vm, gpa, PFERR_PRIVATE_ACCESS, &err),
				 KVM_MMU_EXIT_USER);
		assert_int_equal(err, -EFAULT);
		assert_int_equal(vm->vcpu[0].memory_fault.flags, KVM_MEMORY_FAULT_PRIVATE);
		assert_false(test_leaf(vm, gpa).present);
	}
}

static void resident_block_is_mapped_as_one(void **state)
{
	struct test_vm *vm = *state;
	int err;

	memset(vm->memory, 1, BLOCK);
	assert_int_equal(test_fault(vm, TEST_GPA + 0x5000, PFERR_WRITE_MASK, &err),
			 KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_leaf(vm, TEST_GPA).level, PG_LEVEL_2M);
	assert_int_equal(vm->vcpu[0].stat.pages_mapped[PG_LEVEL_2M], 1);
}

/* A descriptor that watches writes to the first block, or -1: not offered here. */
static int watch_writes(const struct test_vm *vm)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP};
	struct uffdio_register range = {.range = {ptr_to_hva(vm->memory), BLOCK},
					.mode = UFFDIO_REGISTER_MODE_WP};
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (uffd < 0)
		return -1;
	if (!ioctl(uffd, UFFDIO_API, &api) && !ioctl(uffd, UFFDIO_REGISTER, &range))
		return uffd;
	close(uffd);
	return -1;
}

/* A guest's store to it would wait in the middle of guest code. */
static void block_with_a_watched_page_is_mapped_by_pages(void **state)
{
	struct test_vm *vm = *state;
	struct uffdio_writeprotect wp = {
		.range = {ptr_to_hva(vm->memory) + 7 * PAGE_SIZE, PAGE_SIZE},
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	int uffd = watch_writes(vm), err;

	if (uffd < 0) {
		print_message("no userfaultfd here: not shown\n");
		skip();
	}
	memset(vm->memory, 1, BLOCK);
	assert_int_equal(ioctl(uffd, UFFDIO_WRITEPROTECT, &wp), 0);
	assert_int_equal(test_fault(vm, TEST_GPA, PFERR_WRITE_MASK, &err), KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_leaf(vm, TEST_GPA).level, PG_LEVEL_4K);
	assert_false(test_leaf(vm, TEST_GPA + 7 * PAGE_SIZE).present);
	close(uffd);
}

/* One block of memory, mapped again and again until it fills a GiB. */
static char *gib_of_one_block(void)
{
	const u64 gib = 1ull << 30;
	int fd = memfd_create("block", 0);
	char *area =
		mmap(NULL, 2 * gib, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start = hva_to_ptr(align_up(ptr_to_hva(area), gib));

	assert_ptr_not_equal(area, MAP_FAILED);
	assert_int_equal(ftruncate(fd, (off_t)BLOCK), 0);
	for (u64 at = 0; at < gib; at += BLOCK)
		assert_ptr_equal(mmap(start + at, BLOCK, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_FIXED, fd, 0),
				 start + at);
	close(fd);
	munmap(area, (size_t)(start - area));
	munmap(start + gib, (size_t)(area + gib - start));
	return start;
}

static void a_gib_is_one_leaf_when_all_of_it_is_resident(void **state)
{
	struct test_vm *vm = *state;
	const u64 gib = 1ull << 30;
	char *memory = gib_of_one_block();
	const gpa_t gpa = 4 * gib;
	int err;

	assert_int_equal(test_set_slot(vm, 1, 0, gpa, gib, memory), 0);
	assert_int_equal(madvise(memory, gib, MADV_POPULATE_WRITE), 0);
	assert_int_equal(test_fault(vm, gpa + gib / 2, PFERR_WRITE_MASK, &err),
			 KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_leaf(vm, gpa).level, PG_LEVEL_1G);

	/* A change inside it takes it away; with a page missing it comes back smaller. */
	kvm_mmu_hva_change_begin(&vm->kvm, ptr_to_hva(memory), ptr_to_hva(memory) + PAGE_SIZE);
	assert_int_equal(munmap(memory, PAGE_SIZE), 0);
	kvm_mmu_hva_change_end(&vm->kvm, ptr_to_hva(memory), ptr_to_hva(memory) + PAGE_SIZE);
	assert_false(test_leaf(vm, gpa).present);
	assert_int_equal(test_set_slot(vm, 1, 0, 0, 0, NULL), 0);
	assert_int_equal(test_set_slot(vm, 1, 0, gpa, gib, memory), 0);
	assert_int_equal(test_fault(vm, gpa + gib / 2, PFERR_WRITE_MASK, &err),
			 KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_leaf(vm, gpa + gib / 2).level, PG_LEVEL_2M);
	munmap(memory, gib);
}

static void block_with_a_hole_is_mapped_in_pages(void **state)
{
	struct test_vm *vm = *state;
	int err;

	memset(vm->memory, 1, BLOCK);
	assert_int_equal(madvise(vm->memory + BLOCK - PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED), 0);
	assert_int_equal(test_fault(vm, TEST_GPA, PFERR_WRITE_MASK, &err), KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_leaf(vm, TEST_GPA).level, PG_LEVEL_4K);
}

static void block_needs_congruent_addresses(void **state)
{
	struct test_vm *vm = *state;
	gpa_t gpa = 4 * TEST_GPA + PAGE_SIZE;
	int err;

	memset(vm->memory, 1, 2 * BLOCK);
	assert_int_equal(test_set_slot(vm, 1, 0, gpa, 2 * BLOCK, vm->memory), 0);
	assert_int_equal(test_fault(vm, align_up(gpa, BLOCK), PFERR_WRITE_MASK, &err),
			 KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_leaf(vm, align_up(gpa, BLOCK)).level, PG_LEVEL_4K);
}

static void block_stays_inside_its_slot(void **state)
{
	struct test_vm *vm = *state;
	gpa_t gpa = 4 * TEST_GPA;
	int err;

	memset(vm->memory, 1, BLOCK);
	assert_int_equal(test_set_slot(vm, 1, 0, gpa, BLOCK - PAGE_SIZE, vm->memory), 0);
	assert_int_equal(test_fault(vm, gpa, PFERR_WRITE_MASK, &err), KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_leaf(vm, gpa).level, PG_LEVEL_4K);
	assert_int_equal(test_fault(vm, gpa + BLOCK - PAGE_SIZE, 0, &err), KVM_MMU_EMULATE);
}

static enum kvm_ret_pf undecided(struct kvm_vcpu *vcpu, struct kvm_page_fault *fault)
{
	(void)vcpu;
	assert_false(fault->is_tdp);
	return RET_PF_INVALID;
}

static void undecided_handler_bugs_the_vm_and_nothing_else(void **state)
{
	struct test_vm *vm = *state;
	int err;

	vm->vcpu[0].mmu->page_fault = undecided;
	assert_int_equal(test_fault(vm, TEST_GPA, 0, &err), KVM_MMU_EXIT_USER);
	assert_int_equal(err, -EIO);
	assert_true(vm->kvm.vm_bugged);
	vm->vcpu[0].mmu->page_fault = kvm_tdp_page_fault;
	assert_int_equal(test_fault(vm, TEST_GPA, 0, &err), KVM_MMU_EXIT_USER);
	assert_int_equal(err, -EIO);
	assert_int_equal(test_set_slot(vm, 1, 0, 0x1000, PAGE_SIZE, vm->memory), -EIO);
}

static void fault_in_an_obsolete_root_is_retried(void **state)
{
	struct test_vm *vm = *state;
	int err;

	vm->kvm.root_epoch++;
	assert_int_equal(test_fault(vm, TEST_GPA, 0, &err), KVM_MMU_RESUME_GUEST);
	assert_int_equal(test_outcomes(vm, RET_PF_RETRY), 1);
	assert_false(test_leaf(vm, TEST_GPA).present);
	vm->kvm.root_epoch--;
}

static void every_outcome_has_its_own_name_and_value(void **state)
{
	(void)state;
#define NAME_IS_RIGHT(name, value, permuted) \
	assert_string_equal(kvm_ret_pf_name(RET_PF_##name), "RET_PF_" #name);
	KVM_RET_PF_OUTCOMES(NAME_IS_RIGHT)
	assert_string_equal(kvm_ret_pf_name(RET_PF_NR), "RET_PF_?");
#ifdef KVMU_RET_PF_PERMUTED
	assert_int_not_equal(RET_PF_CONTINUE, 0);
#endif
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(write_fault_maps_the_page_writable),
		TEST(read_fault_maps_read_only_until_written),
		TEST(fault_on_a_mapped_page_is_spurious),
		TEST(no_slot_means_emulate),
		TEST(write_to_a_read_only_slot_means_emulate),
		TEST(memory_that_is_gone_leaves_to_user_space),
		TEST(private_access_without_private_memory_is_a_memory_fault),
		TEST(resident_block_is_mapped_as_one),
		TEST(block_with_a_watched_page_is_mapped_by_pages),
		TEST(a_gib_is_one_leaf_when_all_of_it_is_resident),
		TEST(block_with_a_hole_is_mapped_in_pages),
		TEST(block_needs_congruent_addresses),
		TEST(block_stays_inside_its_slot),
		TEST(undecided_handler_bugs_the_vm_and_nothing_else),
		TEST(fault_in_an_obsolete_root_is_retried),
		cmocka_unit_test(every_outcome_has_its_own_name_and_value),
	};

	return cmocka_run_group_tests_name("page fault", tests, NULL, NULL);
}
