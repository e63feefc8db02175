/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random operations on every format, held against the array model.
 * KVMU_TEST_SEED repeats a run, KVMU_TEST_SCALE changes its length in percent.
 */
#include "tests/pgtable/model.h"

#include <string.h>

#define RWX   KVM_PGTABLE_PROT_RWX
#define MARKS (KVM_PGTABLE_PROT_ACCESSED | KVM_PGTABLE_PROT_DIRTY)

struct dice {
	u64 seed;
	struct model *m;
};

static u64 rnd(struct dice *d, u64 bound)
{
	return test_below(&d->seed, bound);
}

static struct range random_range(struct dice *d)
{
	u64 dice = rnd(d, 1000), size, first;

	if (dice < 700)
		size = 1 + rnd(d, 4);
	else if (dice < 1000 - 25600 / d->m->block)
		size = 1 + rnd(d, min_u64(64, d->m->nr));
	else
		size = d->m->block * (1 + rnd(d, 2));
	size = min_u64(size, d->m->nr);
	first = rnd(d, d->m->nr - size + 1);
	if (size >= d->m->block && rnd(d, 4))
		first = align_down(first, d->m->block);
	return (struct range){first, first + size};
}

static enum kvm_pgtable_prot random_prot(struct dice *d)
{
	static const u8 rwx[] = {1, 3, 5, 7};
	u32 prot = rwx[rnd(d, 4)];

	if (!rnd(d, 8))
		prot |= KVM_PGTABLE_PROT_DEVICE;
	if (!rnd(d, 4))
		prot |= KVM_PGTABLE_PROT_SW0 << rnd(d, 4);
	if (rnd(d, 2))
		prot |= KVM_PGTABLE_PROT_ACCESSED;
	if ((prot & KVM_PGTABLE_PROT_W) && rnd(d, 2))
		prot |= KVM_PGTABLE_PROT_DIRTY | KVM_PGTABLE_PROT_ACCESSED;
	return (enum kvm_pgtable_prot)(prot & ~d->m->format->lacks);
}

static enum kvm_pgtable_walk_flags random_flags(struct dice *d, unsigned int kinds)
{
	static const u8 flags[] = {0, KVM_PGTABLE_WALK_SHARED,
				   KVM_PGTABLE_WALK_SHARED | KVM_PGTABLE_WALK_HANDLE_FAULT};

	return (enum kvm_pgtable_walk_flags)flags[rnd(d, kinds)];
}

static void random_map(struct dice *d)
{
	u64 page = format_page(d->m->format);
	/* Often where the page already is, so that leaves are met again and blocks fit. */
	u64 shift = rnd(d, 3) ? 0 : (1 + rnd(d, 64)) * page * (rnd(d, 2) ? d->m->block : 1);

	model_map(d->m, random_range(d), shift, random_prot(d), (u8)rnd(d, 3), random_flags(d, 3));
}

static void random_owner(struct dice *d)
{
	u32 owner = rnd(d, 2) ? 1 + (u32)rnd(d, 3) : 0xffffffffu;

	model_set_owner(d->m, random_range(d), owner, random_flags(d, 2));
}

static void random_link(struct dice *d)
{
	u64 first = align_down(rnd(d, d->m->nr), d->m->block);
	hpa_t hpa = (1ull << 33) + rnd(d, 64) * d->m->block * format_page(d->m->format);

	model_link(d->m, first, hpa, random_prot(d), random_flags(d, 3));
}

static void random_common(struct dice *d)
{
	struct range r = random_range(d);
	enum kvm_pgtable_walk_flags flags = random_flags(d, 2);
	u64 page = rnd(d, d->m->nr);

	switch (rnd(d, 9)) {
	case 0:
	case 1:
		model_unmap(d->m, r, flags);
		break;
	case 2:
		model_wrprotect(d->m, r, flags);
		break;
	case 3:
		model_age(d->m, r, flags);
		break;
	case 4:
		model_touch(d->m, page, random_flags(d, 3));
		break;
	case 5:
		model_relax(d->m, page, random_prot(d) & RWX, random_flags(d, 3));
		break;
	case 6:
		random_owner(d);
		break;
	case 7:
		model_clean(d->m, r, flags);
		break;
	case 8:
		model_relax_leaf(d->m, page, random_prot(d) & (RWX | MARKS));
		break;
	}
}

static void random_operation(struct dice *d)
{
	u64 kind = rnd(d, 1000);

	model_begin(d->m);
	if (kind < 10)
		model_collapse(d->m, align_down(rnd(d, d->m->nr), d->m->block), 2);
	else if (kind < 20)
		random_link(d);
	else if (kind < 80)
		model_split(d->m, random_range(d), random_flags(d, 2));
	else if (kind < 480)
		random_map(d);
	else
		random_common(d);
	model_end(d->m);
}

static void run_model(const struct format *format, u64 seed, u64 operations)
{
	struct model m;
	struct dice d = {.seed = seed, .m = &m};

	model_setup(&m, format);
	for (u64 i = 0; i < operations; i++) {
		random_operation(&d);
		if (!(i % 512)) {
			model_verify(&m, 0, m.nr);
			model_verify_count(&m, 1 + test_below(&d.seed, 1000));
			assert_int_equal(format->op.check(&m.t.pgt), 0);
		}
	}
	model_teardown(&m);
}

/* One format by name, or all. */
static const char *only;
static u64 first_seed;

static void random_operations_match_the_array(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++) {
		if (!only || !strcmp(only, formats[i].name))
			run_model(&formats[i], first_seed + i, test_scaled(1000000));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations_match_the_array)};

	only = argc > 1 ? argv[1] : NULL;
	first_seed = test_seed("model");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
