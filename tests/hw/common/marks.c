/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accessed and dirty: cleared by the library, set by the MMU (or by the library
 * when the MMU faults for want of them), and seen by the library again.
 */
#include "base/assert.h"
#include "tests/hw/common/driver.h"

#define PAGES  16
#define ROUNDS 200

static void expect(struct hw_test *t, u64 gpa, bool accessed, bool dirty)
{
	struct kvm_pgtable_leaf leaf = {0};
	bool young = !accessed;

	if (t->format->op.get_leaf(&t->pgt, gpa, &leaf) ||
	    t->format->op.test_young(&t->pgt, gpa, format_page(t->format), &young))
		hw_fail(t, NULL, "look-up of 0x%lx", gpa);
	if (leaf.accessed != accessed || young != accessed)
		hw_fail(t, NULL, "0x%lx: accessed %d, young %d, not %d", gpa, leaf.accessed, young,
			accessed);
	if (t->format->config.accessed_dirty && leaf.dirty != dirty)
		hw_fail(t, NULL, "0x%lx: dirty %d, not %d", gpa, leaf.dirty, dirty);
}

static void make_old(struct hw_test *t, u64 gpa, bool was_young)
{
	struct kvm_pgtable_flush flush = {0};
	bool young = false;

	if (t->format->op.mkold(&t->pgt, gpa, format_page(t->format),
				(enum kvm_pgtable_walk_flags)0, &young, &flush))
		hw_fail(t, NULL, "mkold of 0x%lx", gpa);
	if (young != was_young)
		hw_fail(t, NULL, "mkold of 0x%lx: young %d", gpa, young);
	t->n.ops++;
	hw_settle(t, &flush);
}

static void access_page(struct hw_test *t, const struct hw_point *at, u64 offset, enum hw_op op)
{
	struct hw_access access = {.gpa = at->gpa + offset, .op = op};

	if (op == HW_FETCH)
		t->machine->put_code(t->machine, hva_to_ptr(at->hpa + offset), 1);
	hw_access(t, &access);
	if (access.fault != HW_FAULT_NONE)
		hw_fail(t, NULL, "0x%lx: fault %u", access.gpa, access.fault);
}

/* Each page: old, accessed or not, seen so; dirty once it has been written. */
static void age_and_touch(struct hw_test *t, const struct hw_point *at)
{
	const u64 rounds = ROUNDS * t->scale / 100 + 1;
	bool young[PAGES] = {false}, dirty[PAGES] = {false};

	for (u64 i = 0; i < rounds; i++) {
		const unsigned int page = (unsigned int)hw_below(t, PAGES);
		const u64 offset = page * format_page(t->format);

		if (hw_below(t, 3)) {
			enum hw_op op = (enum hw_op)hw_below(t, HW_OPS);

			access_page(t, at, offset, op);
			young[page] = true;
			dirty[page] |= op == HW_WRITE;
		} else {
			make_old(t, at->gpa + offset, young[page]);
			young[page] = false;
		}
		expect(t, at->gpa + offset, young[page], dirty[page]);
	}
	for (unsigned int page = 0; page < PAGES; page++)
		expect(t, at->gpa + page * format_page(t->format), young[page], dirty[page]);
}

void hw_test_marks(struct hw_test *t)
{
	const u64 bytes = PAGES * format_page(t->format);
	struct hw_point at = {
		.mapped = true, .hpa = t->machine->backing, .prot = KVM_PGTABLE_PROT_RWX};

	t->doing = "accessed and dirty";
	/* Where every mapping is marked from the start there is nothing to see. */
	if (t->machine->preset & KVM_PGTABLE_PROT_ACCESSED)
		return;
	KVMU_BUG_ON(!hw_place(t, bytes, &at.gpa));
	if (hw_map(t, &at, bytes, 1, 0))
		age_and_touch(t, &at);
	hw_unmap(t, at.gpa, bytes);
}
