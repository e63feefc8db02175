/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Negative controls: the table is damaged behind the model's back, and the check
 * through the MMU must notice.  A check that notices nothing proves nothing.
 */
#include "base/assert.h"
#include "base/bits.h"
#include "tests/hw/common/driver.h"

#define ROUNDS 12

static int note_entry(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
{
	(void)visit;
	*(kvm_pte_t **)ctx->arg = ctx->ptep;
	return 0;
}

static kvm_pte_t *entry_of(struct hw_test *t, u64 gpa)
{
	kvm_pte_t *ptep = NULL;
	const struct kvm_pgtable_walker walker = {
		.cb = note_entry, .arg = &ptep, .flags = KVM_PGTABLE_WALK_LEAF};

	KVMU_BUG_ON(t->format->op.walk(&t->pgt, gpa, format_page(t->format), &walker) || !ptep);
	return ptep;
}

static void flush_page(struct hw_test *t, u64 gpa)
{
	t->machine->flush(t->machine,
			  &(struct kvm_pgtable_flush){
				  .start = gpa, .end = gpa + format_page(t->format), .entries = 1});
}

/* The check must fail; what it counts as failures are none. */
static void must_notice(struct hw_test *t, const struct hw_point *p, enum hw_op op,
			const char *what)
{
	const u64 before = t->failures;
	bool noticed;

	t->expect_damage = true;
	noticed = !hw_check_mmu(t, p, op, 1);
	t->expect_damage = false;
	t->failures = before;
	if (noticed)
		t->n.controls++;
	else
		hw_fail(t, p, "%s was not noticed", what);
}

/* The entry leads to the page beside the right one. */
static void tampered_address(struct hw_test *t, const struct hw_point *p)
{
	const u64 bit = t->machine->tamper ? t->machine->tamper : format_page(t->format);
	kvm_pte_t *ptep = entry_of(t, p->gpa);

	for (unsigned int op = 0; op < HW_OPS; op++) {
		*ptep ^= bit;
		flush_page(t, p->gpa);
		must_notice(t, p, (enum hw_op)op, "a tampered address");
		*ptep ^= bit;
		flush_page(t, p->gpa);
	}
}

static void tampered_absence(struct hw_test *t, const struct hw_point *p)
{
	kvm_pte_t *ptep = entry_of(t, p->gpa), pte = *ptep;

	*ptep = 0;
	flush_page(t, p->gpa);
	must_notice(t, p, HW_READ, "a cleared entry");
	*ptep = pte;
	flush_page(t, p->gpa);
}

static void wrong_expectations(struct hw_test *t, const struct hw_point *p)
{
	struct hw_point wrong = *p;

	wrong.prot &= ~(u32)KVM_PGTABLE_PROT_W;
	must_notice(t, &wrong, HW_WRITE, "a write that should have been refused");
	wrong = (struct hw_point){.gpa = p->gpa};
	must_notice(t, &wrong, HW_READ, "a page that should have been absent");
}

/* At the page's first bytes, so that it meets what an earlier one left in the cache. */
static enum hw_fault write_once(struct hw_test *t, const struct hw_point *p)
{
	struct hw_access access = {.gpa = p->gpa, .op = HW_WRITE};

	hw_access(t, &access);
	return access.fault;
}

/* Write-protected without the flush that is owed: the old translation is still used. */
static void forgotten_flush(struct hw_test *t, struct hw_point *p)
{
	struct kvm_pgtable_flush owed = {0};

	if (!t->machine->caches)
		return;
	if (write_once(t, p) != HW_FAULT_NONE)
		hw_fail(t, p, "could not be written");
	if (t->format->op.wrprotect(&t->pgt, p->gpa, format_page(t->format),
				    (enum kvm_pgtable_walk_flags)0, &owed) ||
	    !kvm_pgtable_flush_owed(&owed))
		hw_fail(t, p, "wrprotect owes no flush");
	p->prot &= ~(u32)KVM_PGTABLE_PROT_W;
	t->n.stale += write_once(t, p) == HW_FAULT_NONE;
	hw_settle(t, &owed);
	hw_check_all_ops(t, p);
}

static void damage_one(struct hw_test *t)
{
	const u64 page = format_page(t->format);
	struct hw_point p = {.mapped = true, .prot = KVM_PGTABLE_PROT_RWX};

	KVMU_BUG_ON(!hw_place(t, page, &p.gpa));
	p.hpa = t->machine->backing + hw_aligned_below(t, page, t->machine->backing_size);
	if (!hw_map(t, &p, page, 1, KVM_PGTABLE_PROT_ACCESSED))
		return;
	hw_check_all_ops(t, &p);
	tampered_address(t, &p);
	tampered_absence(t, &p);
	wrong_expectations(t, &p);
	hw_check_all_ops(t, &p);
	forgotten_flush(t, &p);
	hw_unmap(t, p.gpa, page);
}

void hw_test_controls(struct hw_test *t)
{
	t->doing = "negative control";
	for (unsigned int i = 0; i < ROUNDS; i++)
		damage_one(t);
	if (!t->n.controls)
		hw_fail(t, NULL, "nothing was noticed");
	/* Now and then something else takes the place in the cache; not always. */
	if (t->machine->caches && !t->n.stale)
		hw_fail(t, NULL, "a forgotten flush does not show");
}
