/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every request to the host fails once: in turn the first, the second, ... of a
 * whole VM's life.  The step that needed it says -ENOMEM and has changed
 * nothing, works when it is repeated, and nothing is leaked in the end.
 * (Linked with --wrap for what is counted.)
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host/inject.h"
#include "pgtable/instance/ept.h"
#include "tests/mmu/private_vm.h"

/* ---- what the host has given ---------------------------------------------------------- */

static long objects, chunks, files; /* outstanding */

void *__real_mmu_host_alloc(enum kvmu_site site, size_t bytes);
void *__wrap_mmu_host_alloc(enum kvmu_site site, size_t bytes);
void __real_mmu_host_free(void *ptr);
void __wrap_mmu_host_free(void *ptr);
void *__real_mmu_host_alloc_chunk(enum kvmu_site site, size_t bytes);
void *__wrap_mmu_host_alloc_chunk(enum kvmu_site site, size_t bytes);
void __real_mmu_host_free_chunk(void *chunk, size_t bytes);
void __wrap_mmu_host_free_chunk(void *chunk, size_t bytes);
int __real_mmu_host_gmem_map(u64 bytes, hva_t *base);
int __wrap_mmu_host_gmem_map(u64 bytes, hva_t *base);
void __real_mmu_host_gmem_unmap(hva_t base, u64 bytes);
void __wrap_mmu_host_gmem_unmap(hva_t base, u64 bytes);

void *__wrap_mmu_host_alloc(enum kvmu_site site, size_t bytes)
{
	void *object = __real_mmu_host_alloc(site, bytes);

	objects += object != NULL;
	return object;
}

void __wrap_mmu_host_free(void *ptr)
{
	objects -= ptr != NULL;
	__real_mmu_host_free(ptr);
}

void *__wrap_mmu_host_alloc_chunk(enum kvmu_site site, size_t bytes)
{
	void *chunk = __real_mmu_host_alloc_chunk(site, bytes);

	chunks += chunk != NULL;
	return chunk;
}

void __wrap_mmu_host_free_chunk(void *chunk, size_t bytes)
{
	chunks--;
	__real_mmu_host_free_chunk(chunk, bytes);
}

int __wrap_mmu_host_gmem_map(u64 bytes, hva_t *base)
{
	int err = __real_mmu_host_gmem_map(bytes, base);

	files += !err;
	return err;
}

void __wrap_mmu_host_gmem_unmap(hva_t base, u64 bytes)
{
	files--;
	__real_mmu_host_gmem_unmap(base, bytes);
}

static u64 times_failed(void)
{
	u64 nr = 0;

	for (unsigned int i = 0; i < NR_SITES; i++)
		nr += inject_times_failed((enum kvmu_site)i);
	return nr;
}

/* ---- a VM's life, in steps that can be repeated --------------------------------------- */

#define PAGES  1024u
#define MEMORY ((u64)PAGES << PAGE_SHIFT)
#define OTHER  (TEST_GPA + (1ull << 32))

struct life {
	struct kvm kvm;
	struct kvm_vcpu vcpu;
	struct kvm_gmem *gmem;
	char *memory;
};

static int set_slot(struct life *l, u32 id, gpa_t gpa, u64 bytes, u32 flags)
{
	const struct kvm_slot_request request = {
		.slot = id,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = ptr_to_hva(l->memory),
		.gmem = flags & KVM_SLOT_GUEST_MEMFD ? l->gmem : NULL,
	};

	return kvm_set_memory_region(&l->kvm, &request);
}

static int fault(struct life *l, gpa_t gpa, u64 code)
{
	int err = 0;

	kvm_mmu_reload(&l->vcpu);
	if (kvm_mmu_page_fault(&l->vcpu, gpa, code, &err) == KVM_MMU_EXIT_USER)
		return err;
	return 0;
}

static int step_vm(struct life *l)
{
	int err = kvm_mmu_init_vm(&l->kvm);

	l->kvm.has_private_mem = !err;
	return err;
}

static int step_vcpu(struct life *l)
{
	return kvm_mmu_add_vcpu(&l->kvm, &l->vcpu, 0);
}

static int step_slot(struct life *l)
{
	return set_slot(l, 0, TEST_GPA, MEMORY, 0);
}

static int step_fault_block(struct life *l)
{
	return fault(l, TEST_GPA, PFERR_WRITE_MASK);
}

static int step_fault_far(struct life *l)
{
	return fault(l, TEST_GPA + MEMORY - PAGE_SIZE, PFERR_WRITE_MASK);
}

/* Takes a page out of a block, which may need a table page and may not fail. */
static int step_change(struct life *l)
{
	hva_t page = ptr_to_hva(l->memory) + 5 * PAGE_SIZE;
	struct kvm_pgtable_leaf leaf;

	kvm_mmu_hva_change_begin(&l->kvm, page, page + PAGE_SIZE);
	kvm_mmu_hva_change_end(&l->kvm, page, page + PAGE_SIZE);
	assert_false(l->kvm.vm_bugged);
	assert_int_equal(ept_get_leaf(&l->kvm.pgt[0], TEST_GPA + 5 * PAGE_SIZE, &leaf), 0);
	assert_false(leaf.present);
	return 0;
}

static int step_log(struct life *l)
{
	return set_slot(l, 0, TEST_GPA, MEMORY, KVM_SLOT_LOG_DIRTY);
}

static int step_stop_log(struct life *l)
{
	return set_slot(l, 0, TEST_GPA, MEMORY, 0);
}

static int step_move(struct life *l)
{
	return set_slot(l, 0, OTHER, MEMORY, 0);
}

static int step_fault_moved(struct life *l)
{
	return fault(l, OTHER + PAGE_SIZE, 0);
}

static int step_zap_all(struct life *l)
{
	return kvm_mmu_zap_all_fast(&l->kvm);
}

static int step_delete(struct life *l)
{
	return set_slot(l, 0, OTHER, 0, 0);
}

static int step_gmem(struct life *l)
{
	return kvm_gmem_create(&l->kvm, PAGES, &l->gmem);
}

static int step_private_slot(struct life *l)
{
	return set_slot(l, 1, TEST_GPA, MEMORY, KVM_SLOT_GUEST_MEMFD);
}

static int step_convert(struct life *l)
{
	return kvm_set_memory_attributes(&l->kvm, TEST_GFN + 3, TEST_GFN + 700,
					 KVM_ATTRIBUTE_PRIVATE);
}

static int step_allocate(struct life *l)
{
	return kvm_gmem_allocate(l->gmem, 0, 16);
}

static int step_private_fault(struct life *l)
{
	return fault(l, TEST_GPA + 5 * PAGE_SIZE, PFERR_PRIVATE_ACCESS);
}

static int step_delete_private(struct life *l)
{
	return set_slot(l, 1, TEST_GPA, 0, 0);
}

static const struct step {
	const char *name;
	int (*run)(struct life *life);
	bool cannot_fail;
} steps[] = {
	{"create the VM", step_vm, false},
	{"add a vCPU", step_vcpu, false},
	{"create a slot", step_slot, false},
	{"map a block", step_fault_block, false},
	{"map far from it", step_fault_far, false},
	{"the host takes a page", step_change, true},
	{"log written pages", step_log, false},
	{"write a logged page", step_fault_block, false},
	{"stop the log", step_stop_log, false},
	{"move the slot", step_move, false},
	{"map there", step_fault_moved, false},
	{"leave the tree", step_zap_all, false},
	{"delete the slot", step_delete, false},
	{"create a guest_memfd", step_gmem, false},
	{"create a private slot", step_private_slot, false},
	{"convert", step_convert, false},
	{"allocate", step_allocate, false},
	{"map a private page", step_private_fault, false},
	{"delete the private slot", step_delete_private, false},
};

static void end_life(struct life *l)
{
	assert_int_equal(ept_check(&l->kvm.pgt[0]), 0);
	if (l->gmem)
		kvm_gmem_release(l->gmem);
	kvm_mmu_destroy_vcpu(&l->vcpu);
	kvm_mmu_uninit_vm(&l->kvm);
	assert_int_equal(objects, 0);
	assert_int_equal(chunks, 0);
	assert_int_equal(files, 0);
}

/* A page that cannot be had is EFAULT, as it is to KVM; all else is memory. */
static int expected_error(void)
{
	bool page = inject_times_failed(SITE_faultin) || inject_times_failed(SITE_populate);

	return page ? -EFAULT : -ENOMEM;
}

static void run_step(struct life *l, const struct step *step, u64 nth)
{
	u64 before = times_failed();
	int err = step->run(l);

	if (!err)
		return;
	if (times_failed() == before || err != expected_error() || step->cannot_fail)
		fail_msg("request %llu: to %s: %d", (unsigned long long)nth, step->name, err);
	err = step->run(l);
	if (err)
		fail_msg("request %llu: to %s once more: %d", (unsigned long long)nth, step->name,
			 err);
}

/* False: the life had fewer requests than @nth. */
static bool live_with_failure(char *memory, u64 nth)
{
	struct life *l = aligned_alloc(_Alignof(struct life), sizeof(*l));
	const struct inject_plan plan = {
		.nr = 1,
		.rule = {{.sites = BIT_ULL(NR_SITES) - 1, .when = INJECT_NTH, .n = nth}},
	};
	bool reached;

	assert_non_null(l);
	memset(l, 0, sizeof(*l));
	l->memory = memory;
	inject_start(&plan);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		run_step(l, &steps[i], nth);
	reached = times_failed() != 0;
	inject_stop();
	end_life(l);
	free(l);
	return reached;
}

static void each_request_fails_once(void **state)
{
	char *area =
		mmap(NULL, 2 * MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *memory = hva_to_ptr(align_up(ptr_to_hva(area), 2ull << 20));
	u64 nth = 1;

	(void)state;
	assert_ptr_not_equal(area, MAP_FAILED);
	memset(area, 1, 2 * MEMORY); /* all of it, so that blocks are made */
	while (live_with_failure(memory, nth))
		nth++;
	print_message("%llu requests failed, each once\n", (unsigned long long)nth - 1);
	assert_in_range(nth, 20, 1000);
	munmap(area, 2 * MEMORY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_fails_once),
	};

	return cmocka_run_group_tests_name("failure", tests, NULL, NULL);
}
