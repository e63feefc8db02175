/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private memory under everything that happens to it: at random against two
 * plain arrays of contents, and with vCPUs that fault all the time, where no
 * leaf may lead to the wrong kind of memory.
 */
#include "tests/mmu/private_vm.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/random.h"

#define PAGES (3 * 512u) /* of slot 0 that the tests play with: whole blocks and parts */

/* ---- at random -------------------------------------------------------------------------- */

/* What the first byte of each page holds, and of which kind the page is. */
struct model {
	struct private_vm *p;
	u64 random;
	u8 shared[PAGES], private[PAGES];
	bool is_private[PAGES];
	bool has_slot, has_file;
};

static u64 below(struct model *m, u64 limit)
{
	return test_below(&m->random, limit);
}

static void random_range(struct model *m, u64 *start, u64 *pages)
{
	u64 most = below(m, 8) ? 12 : PAGES;

	*start = below(m, PAGES);
	if (!below(m, 4))
		*start = align_down(*start, 512);
	*pages = 1 + below(m, min_u64(most, PAGES - *start));
}

static void convert(struct model *m)
{
	bool is_private = below(m, 2);
	u64 start, pages;

	random_range(m, &start, &pages);
	private_set(m->p, start, pages, is_private);
	memset(&m->is_private[start], is_private, pages);
}

static void punch(struct model *m)
{
	u64 start, pages;

	random_range(m, &start, &pages);
	if (!m->has_file)
		return;
	assert_int_equal(kvm_gmem_punch_hole(m->p->gmem, start, start + pages), 0);
	memset(&m->private[start], 0, pages);
}

static void allocate(struct model *m)
{
	u64 start, pages;

	random_range(m, &start, &pages);
	if (m->has_file)
		assert_int_equal(kvm_gmem_allocate(m->p->gmem, start, start + pages), 0);
}

/* The program drops some of its own, shared half. */
static void drop_shared(struct model *m)
{
	u64 start, pages;
	struct kvm *kvm = &m->p->vm->kvm;
	hva_t hva, end;

	random_range(m, &start, &pages);
	hva = ptr_to_hva(m->p->vm->memory) + start * PAGE_SIZE;
	end = hva + pages * PAGE_SIZE;
	kvm_mmu_hva_change_begin(kvm, hva, end);
	assert_int_equal(kvm->mmu_invalidate_in_progress, m->has_slot);
	madvise(hva_to_ptr(hva), pages * PAGE_SIZE, MADV_DONTNEED);
	kvm_mmu_hva_change_end(kvm, hva, end);
	memset(&m->shared[start], 0, pages);
}

static void write_shared(struct model *m)
{
	u64 page = below(m, PAGES);

	m->shared[page] = (u8)below(m, 256);
	m->p->vm->memory[page * PAGE_SIZE] = (char)m->shared[page];
}

static void toggle_slot(struct model *m)
{
	if (m->has_slot) {
		assert_int_equal(test_set_slot(m->p->vm, 0, 0, 0, 0, NULL), 0);
		m->has_slot = false;
	} else if (m->has_file) {
		assert_int_equal(private_set_slot(m->p, 0, TEST_GPA, TEST_BYTES, m->p->gmem, 0), 0);
		m->has_slot = true;
	}
}

/* Closed, perhaps under its slot; a new file is another memory, and not bound yet. */
static void replace_file(struct model *m)
{
	private_close(m->p);
	m->has_file = false;
	memset(m->private, 0, sizeof(m->private));
	if (!below(m, 4))
		return;
	if (m->has_slot)
		toggle_slot(m);
	assert_int_equal(kvm_gmem_create(&m->p->vm->kvm, TEST_PAGES, &m->p->gmem), 0);
	m->has_file = true;
	toggle_slot(m);
}

/* What a guest would find, or NULL: no memory there. */
static u8 *guest_page(struct model *m, u64 page)
{
	gpa_t gpa = TEST_GPA + page * PAGE_SIZE;
	enum kvm_mmu_verdict verdict = KVM_MMU_RESUME_GUEST;
	int err = 0;

	for (int i = 0; i < 3 && verdict == KVM_MMU_RESUME_GUEST; i++) {
		struct kvm_pgtable_leaf leaf = test_leaf(m->p->vm, gpa);

		if (leaf.present && (leaf.prot & KVM_PGTABLE_PROT_W))
			return hva_to_ptr(leaf.hpa);
		verdict = test_fault(m->p->vm, gpa, PFERR_WRITE_MASK, &err);
	}
	if (m->is_private[page] || !m->has_slot)
		assert_int_equal(verdict, !m->has_slot && !m->is_private[page] ? KVM_MMU_EMULATE
									       : KVM_MMU_EXIT_USER);
	else
		fail_msg("page %llu: no memory", (unsigned long long)page);
	return NULL;
}

static void guest_access(struct model *m)
{
	u64 page = below(m, PAGES);
	bool there = m->has_slot && (!m->is_private[page] || m->has_file);
	u8 *wanted = m->is_private[page] ? &m->private[page] : &m->shared[page];
	u8 *byte = guest_page(m, page);

	assert_int_equal(byte != NULL, there);
	if (!byte)
		return;
	assert_int_equal(*byte, *wanted);
	if (below(m, 2))
		*byte = *wanted = (u8)below(m, 256);
}

typedef void step(struct model *m);

static step *const steps[] = {
	convert,      convert,	    punch,	  allocate,	drop_shared,  write_shared,
	guest_access, guest_access, guest_access, guest_access, guest_access, guest_access,
};

static void check_contents(struct model *m)
{
	for (u64 page = 0; page < PAGES; page++) {
		assert_int_equal((u8)m->p->vm->memory[page * PAGE_SIZE], m->shared[page]);
		if (m->has_file)
			assert_int_equal(*(u8 *)hva_to_ptr(kvm_gmem_hva(m->p->gmem, page)),
					 m->private[page]);
	}
}

static void random_steps_agree_with_two_arrays(void **state)
{
	struct model *m = calloc(1, sizeof(*m));

	(void)state;
	assert_non_null(m);
	m->p = private_vm_new();
	m->p->vm->kvm.private_by_attribute = true;
	m->has_slot = m->has_file = true;
	m->random = test_seed("private_race");
	for (u64 i = 0; i < test_scaled(30000); i++) {
		if (!below(m, 200))
			toggle_slot(m);
		else if (!below(m, 200))
			replace_file(m);
		else
			steps[below(m, ARRAY_SIZE(steps))](m);
	}
	check_contents(m);
	private_vm_free(m->p);
	free(m);
}

/* ---- while vCPUs fault --------------------------------------------------------------------- */

#define RACE_PAGES 24u /* around the border of a block */
#define RACE_FIRST 500u

struct racer {
	struct private_vm *p;
	struct kvm_vcpu *vcpu;
	bool stop;
	u64 resumed, refused;
};

static void *fault_all_the_time(void *arg)
{
	struct racer *r = arg;
	u64 random = r->vcpu->vcpu_id + 1;

	while (!atomic_peek(&r->stop)) {
		u64 page = RACE_FIRST + test_below(&random, RACE_PAGES);
		u64 code = test_below(&random, 2) ? PFERR_WRITE_MASK : 0;
		int err;

		if (kvm_mmu_page_fault(r->vcpu, TEST_GPA + page * PAGE_SIZE, code, &err) ==
		    KVM_MMU_RESUME_GUEST)
			r->resumed++;
		else
			r->refused++;
	}
	return NULL;
}

/* Under mmu_lock nothing is between two states: each leaf is of the kind that its gfn is. */
static void assert_no_leaf_is_of_the_wrong_kind(struct private_vm *p)
{
	struct kvm *kvm = &p->vm->kvm;

	mmu_write_lock(&kvm->mmu_lock);
	for (u64 page = RACE_FIRST; page < RACE_FIRST + RACE_PAGES; page++) {
		if (!test_leaf(p->vm, TEST_GPA + page * PAGE_SIZE).present)
			continue;
		if (kvm_mem_is_private(kvm, TEST_GFN + page))
			assert_true(p->gmem && private_is_mapped(p, page));
		else
			assert_true(shared_is_mapped(p, page));
	}
	mmu_write_unlock(&kvm->mmu_lock);
}

static void disturb(struct private_vm *p, u64 *random)
{
	u64 first = RACE_FIRST + test_below(random, RACE_PAGES);
	u64 pages = 1 + test_below(random, RACE_FIRST + RACE_PAGES - first);
	hva_t hva = ptr_to_hva(p->vm->memory) + first * PAGE_SIZE;

	switch (test_below(random, 40)) {
	case 0:
		assert_int_equal(test_set_slot(p->vm, 0, 0, 0, 0, NULL), 0);
		assert_false(test_leaf(p->vm, TEST_GPA + first * PAGE_SIZE).present);
		assert_int_equal(private_set_slot(p, 0, TEST_GPA, TEST_BYTES, p->gmem, 0), 0);
		break;
	case 1:
		private_close(p);
		assert_no_leaf_is_of_the_wrong_kind(p);
		assert_int_equal(test_set_slot(p->vm, 0, 0, 0, 0, NULL), 0);
		assert_int_equal(kvm_gmem_create(&p->vm->kvm, TEST_PAGES, &p->gmem), 0);
		assert_int_equal(private_set_slot(p, 0, TEST_GPA, TEST_BYTES, p->gmem, 0), 0);
		break;
	case 2 ... 9:
		assert_int_equal(kvm_gmem_punch_hole(p->gmem, first, first + pages), 0);
		break;
	case 10 ... 14:
		assert_int_equal(kvm_gmem_allocate(p->gmem, 0, 1024), 0);
		break;
	case 15 ... 19:
		kvm_mmu_hva_change_begin(&p->vm->kvm, hva, hva + pages * PAGE_SIZE);
		madvise(hva_to_ptr(hva), pages * PAGE_SIZE, MADV_DONTNEED);
		kvm_mmu_hva_change_end(&p->vm->kvm, hva, hva + pages * PAGE_SIZE);
		break;
	default:
		private_set(p, first, pages, test_below(random, 2));
		break;
	}
}

static void no_leaf_leads_to_the_wrong_kind(void **state)
{
	struct private_vm *p = private_vm_new();
	struct racer racers[TEST_VCPUS];
	pthread_t threads[TEST_VCPUS];
	u64 random = test_seed("private_race");

	(void)state;
	p->vm->kvm.private_by_attribute = true;
	for (u32 i = 0; i < TEST_VCPUS; i++) {
		racers[i] = (struct racer){.p = p, .vcpu = &p->vm->vcpu[i]};
		assert_int_equal(pthread_create(&threads[i], NULL, fault_all_the_time, &racers[i]),
				 0);
	}
	for (u64 i = 0; i < test_scaled(1500); i++) {
		disturb(p, &random);
		assert_no_leaf_is_of_the_wrong_kind(p);
	}
	for (u32 i = 0; i < TEST_VCPUS; i++) {
		atomic_poke(&racers[i].stop, true);
		pthread_join(threads[i], NULL);
		assert_true(racers[i].resumed > 0);
	}
	assert_int_equal(p->gmem->refs, 1);
	assert_int_equal(p->vm->kvm.mmu_invalidate_in_progress, 0);
	assert_false(p->vm->kvm.vm_bugged);
	private_vm_free(p);
}

/* ---- conversions that the guest's accesses ask for ------------------------------------------ */

struct implicit {
	struct private_vm *p;
	struct kvm_vcpu *vcpu;
	u64 conversions, done;
	bool stop;
};

/*
 * Hardware that knows: each vCPU wants each page now as one, now as the other,
 * and its VMM converts when it is told.
 */
static void *want_either(void *arg)
{
	struct implicit *r = arg;
	u64 random = r->vcpu->vcpu_id + 1;

	while (!atomic_peek(&r->stop)) {
		u64 page = RACE_FIRST + test_below(&random, RACE_PAGES);
		u64 code = test_below(&random, 2) ? PFERR_PRIVATE_ACCESS : 0;
		const struct kvm_memory_fault *info = &r->vcpu->memory_fault;
		int err = 0;

		r->done++;
		if (kvm_mmu_page_fault(r->vcpu, TEST_GPA + page * PAGE_SIZE, code, &err) ==
		    KVM_MMU_RESUME_GUEST)
			continue;
		assert_int_equal(err, -EFAULT);
		assert_int_equal(info->gpa, TEST_GPA + page * PAGE_SIZE);
		assert_int_equal(info->flags, code ? KVM_MEMORY_FAULT_PRIVATE : 0);
		private_set(r->p, page, 1, info->flags & KVM_MEMORY_FAULT_PRIVATE);
		atomic_add(&r->conversions, 1);
	}
	return NULL;
}

static void implicit_conversions_go_both_ways(void **state)
{
	struct private_vm *p = private_vm_new();
	struct implicit vcpus[TEST_VCPUS];
	pthread_t threads[TEST_VCPUS];

	(void)state;
	for (u32 i = 0; i < TEST_VCPUS; i++) {
		vcpus[i] = (struct implicit){.p = p, .vcpu = &p->vm->vcpu[i]};
		assert_int_equal(pthread_create(&threads[i], NULL, want_either, &vcpus[i]), 0);
	}
	for (u64 i = 0; i < test_scaled(700); i++)
		assert_no_leaf_is_of_the_wrong_kind(p);
	for (u32 i = 0; i < TEST_VCPUS; i++) {
		while (!atomic_peek(&vcpus[i].conversions))
			mmu_host_wait_turn(1000);
		atomic_poke(&vcpus[i].stop, true);
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(p->gmem->refs, 1);
	private_vm_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_steps_agree_with_two_arrays),
		cmocka_unit_test(no_leaf_leads_to_the_wrong_kind),
		cmocka_unit_test(implicit_conversions_go_both_ways),
	};

	return cmocka_run_group_tests_name("private race", tests, NULL, NULL);
}
