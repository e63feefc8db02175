/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapping on demand: the guest touches memory that is not there, what the
 * hardware says of the fault decides what is mapped, and the access is tried
 * again.  As a hypervisor does it: shared walks that handle a fault, with table
 * pages taken from a cache.
 */
#include "base/assert.h"
#include "base/bits.h"
#include "tests/hw/common/driver.h"

/* The guest's memory: a window of addresses that leads to test memory. */
struct window {
	u64 gpa;
	u64 hpa;
	u64 bytes;
	unsigned int level; /* blocks up to this are mapped */
};

#define TOUCHES	  300
#define TRIES_MAX 4 /* absent, then read, write and fetch one after the other */
#define AS_VCPU \
	((enum kvm_pgtable_walk_flags)(KVM_PGTABLE_WALK_SHARED | KVM_PGTABLE_WALK_HANDLE_FAULT))

static bool place_window(struct hw_test *t, struct window *w)
{
	*w = (struct window){.bytes = t->machine->backing_size, .hpa = t->machine->backing};
	w->level = 1 + (unsigned int)hw_below(t, 2);
	return hw_place(t, w->bytes, &w->gpa);
}

/* The least that is asked for, in a form that the format has. */
static u32 least_prot(const struct hw_test *t, u32 asked)
{
	u32 best = KVM_PGTABLE_PROT_RWX;

	for (unsigned int i = 0; i < t->machine->nr_prots; i++) {
		u32 prot = t->machine->prots[i];

		if (!(asked & ~prot) && __builtin_popcount(prot) < __builtin_popcount(best))
			best = prot;
	}
	return best;
}

static int map_one(struct hw_test *t, const struct window *w, u64 gpa, u32 prot)
{
	const u64 bytes = format_level_bytes(t->format, w->level), start = align_down(gpa, bytes);
	struct kvm_pgtable_flush flush = {0};
	struct kvm_pgtable_cache cache = {0};
	struct kvm_pgtable_map map = {
		.addr = start,
		.size = bytes,
		.hpa = w->hpa + (start - w->gpa),
		.prot = (enum kvm_pgtable_prot)(prot | t->machine->preset),
		.flags = AS_VCPU,
		.cache = &cache,
		.flush = &flush,
	};
	int err = table_arena_fill(&t->arena, &cache, t->pgt.levels);

	if (!err)
		err = t->format->op.map(&t->pgt, &map);
	t->n.maps++;
	t->n.leaves += map.installed;
	hw_settle(t, &flush);
	table_arena_drain(&t->arena, &cache);
	return err;
}

static int relax(struct hw_test *t, u64 gpa, u32 prot)
{
	struct kvm_pgtable_flush flush = {0};
	int err = t->format->op.relax_perms(&t->pgt, gpa, (enum kvm_pgtable_prot)prot, AS_VCPU,
					    &flush);

	t->n.ops++;
	hw_settle(t, &flush);
	return err;
}

/* Only what the hardware reports is used, but for hardware that does not say why. */
static int answer(struct hw_test *t, const struct window *w, const struct hw_access *access)
{
	static const u32 asked[HW_OPS] = {KVM_PGTABLE_PROT_R, KVM_PGTABLE_PROT_W,
					  KVM_PGTABLE_PROT_X};
	const u64 gpa = align_down(access->fault_gpa, format_page(t->format));
	const u32 prot = least_prot(t, asked[access->fault_op]);
	struct kvm_pgtable_leaf leaf = {0};
	bool present = access->fault == HW_FAULT_PERM;

	if (gpa - w->gpa >= w->bytes)
		return -EIO;
	if (access->fault == HW_FAULT_UNTOLD)
		present = !t->format->op.get_leaf(&t->pgt, gpa, &leaf) && leaf.present;
	t->n.on_demand++;
	return present ? relax(t, gpa, prot) : map_one(t, w, gpa, prot);
}

static void touch(struct hw_test *t, const struct window *w, u64 offset, enum hw_op op)
{
	const u64 value = (u32)test_random(&t->random);
	u64 *memory = hva_to_ptr(w->hpa + offset);
	struct hw_access access;

	if (op == HW_FETCH)
		t->machine->put_code(t->machine, memory, (u32)value);
	else
		*(volatile u64 *)memory = op == HW_READ ? value : ~value;
	for (unsigned int tries = 0;; tries++) {
		access = (struct hw_access){.gpa = w->gpa + offset, .op = op, .value = value};
		hw_access(t, &access);
		if (access.fault == HW_FAULT_NONE)
			break;
		if (tries == TRIES_MAX || answer(t, w, &access)) {
			hw_fail(t, NULL, "0x%lx: fault %u at 0x%lx could not be answered",
				access.gpa, access.fault, access.fault_gpa);
			return;
		}
	}
	if ((op == HW_WRITE ? *(volatile u64 *)memory : access.value) != value)
		hw_fail(t, NULL, "0x%lx: wrong value", access.gpa);
}

void hw_test_on_demand(struct hw_test *t)
{
	const u64 touches = TOUCHES * t->scale / 100 + 1;
	struct window w;

	t->doing = "on demand";
	for (unsigned int round = 0; round < 3 && place_window(t, &w); round++) {
		const u64 bytes = format_level_bytes(t->format, w.level);
		/* Few enough leaves that many are touched again, otherwise than at first. */
		const u64 leaves = min_u64(w.bytes / bytes, 16);

		for (u64 i = 0; i < touches / 3; i++)
			touch(t, &w,
			      bytes * hw_below(t, leaves) +
				      hw_aligned_below(t, 64, format_page(t->format)),
			      (enum hw_op)hw_below(t, HW_OPS));
		hw_unmap(t, w.gpa, w.bytes);
	}
}
