/* SPDX-License-Identifier: BSD-2-Clause */
/* See model_ops.h. */
#include "tests/pgtable/model_ops.h"

#define RWX   KVM_PGTABLE_PROT_RWX
#define MARKS (KVM_PGTABLE_PROT_ACCESSED | KVM_PGTABLE_PROT_DIRTY)

static u64 rnd(const struct dice *d, u64 bound)
{
	return d->below(d->source, bound);
}

static struct range random_range(const struct dice *d)
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

static enum kvm_pgtable_prot random_prot(const struct dice *d)
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

static enum kvm_pgtable_walk_flags random_flags(const struct dice *d, unsigned int kinds)
{
	static const u8 flags[] = {0, KVM_PGTABLE_WALK_SHARED,
				   KVM_PGTABLE_WALK_SHARED | KVM_PGTABLE_WALK_HANDLE_FAULT};

	return (enum kvm_pgtable_walk_flags)flags[rnd(d, kinds)];
}

static void random_map(const struct dice *d)
{
	u64 page = format_page(d->m->format);
	/* Often where the page already is, so that leaves are met again and blocks fit. */
	u64 shift = rnd(d, 3) ? 0 : (1 + rnd(d, 64)) * page * (rnd(d, 2) ? d->m->block : 1);

	model_map(d->m, random_range(d), shift, random_prot(d), (u8)rnd(d, 3), random_flags(d, 3));
}

static void random_owner(const struct dice *d)
{
	u32 owner = rnd(d, 2) ? 1 + (u32)rnd(d, 3) : 0xffffffffu;

	model_set_owner(d->m, random_range(d), owner, random_flags(d, 2));
}

static void random_mmio(const struct dice *d)
{
	u32 generation = rnd(d, 2) ? 1 + (u32)rnd(d, 3) : 0xffffffffu;

	model_set_mmio(d->m, rnd(d, d->m->nr), generation, 1 + (u32)rnd(d, 4), random_flags(d, 2));
}

static void random_link(const struct dice *d)
{
	u64 first = align_down(rnd(d, d->m->nr), d->m->block);
	hpa_t hpa = (1ull << 33) + rnd(d, 64) * d->m->block * format_page(d->m->format);

	model_link(d->m, first, hpa, random_prot(d), random_flags(d, 3));
}

static void random_common(const struct dice *d)
{
	struct range r = random_range(d);
	enum kvm_pgtable_walk_flags flags = random_flags(d, 2);
	u64 page = rnd(d, d->m->nr);

	switch (rnd(d, 10)) {
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
	case 9:
		random_mmio(d);
		break;
	}
}

void model_random_operation(const struct dice *d)
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
