/* SPDX-License-Identifier: BSD-2-Clause */
/* One page of the guest: what the model says of it, and what the MMU does. */
#include "tests/hw/common/driver.h"

static const char *const op_names[HW_OPS] = {"read", "write", "fetch"};
static const char *const fault_names[HW_FAULTS] = {"no fault",		 "an absent-entry fault",
						   "a permission fault", "an accessed fault",
						   "a refusal",		 "something else"};

static const u32 op_prot[HW_OPS] = {KVM_PGTABLE_PROT_R, KVM_PGTABLE_PROT_W, KVM_PGTABLE_PROT_X};

static enum hw_fault expected_fault(const struct hw_point *p, enum hw_op op)
{
	if (!p->mapped)
		return HW_FAULT_ABSENT;
	return p->prot & op_prot[op] ? HW_FAULT_NONE : HW_FAULT_PERM;
}

static bool fault_as_expected(enum hw_fault got, enum hw_fault want)
{
	return got == want || (got == HW_FAULT_UNTOLD && want != HW_FAULT_NONE);
}

/* ---- the library's own view ---------------------------------------------------------- */

static bool check_leaf(struct hw_test *t, const struct hw_point *p, struct kvm_pgtable_leaf *leaf)
{
	const u32 said = KVM_PGTABLE_PROT_RWX | KVM_PGTABLE_PROT_DEVICE;
	int err = t->format->op.get_leaf(&t->pgt, p->gpa, leaf);

	if (err || leaf->present != p->mapped) {
		hw_fail(t, p, "get_leaf: error %d, present %d", err, leaf->present);
		return false;
	}
	if (p->mapped && (leaf->hpa != p->hpa || (leaf->prot & said) != (p->prot & said))) {
		hw_fail(t, p, "get_leaf: 0x%lx, prot 0x%x", leaf->hpa, leaf->prot);
		return false;
	}
	if (!p->mapped && leaf->owner != p->owner) {
		hw_fail(t, p, "get_leaf: owner %u, not %u", leaf->owner, p->owner);
		return false;
	}
	return true;
}

/* ---- probes ----------------------------------------------------------------------------- */

static bool check_probe(struct hw_test *t, const struct hw_point *p, enum hw_op op,
			unsigned int level)
{
	struct hw_probe probe = {.gpa = p->gpa + 8 * hw_below(t, format_page(t->format) / 8),
				 .op = op};
	enum hw_fault want = expected_fault(p, op);

	t->n.probes++;
	t->machine->probe(t->machine, &probe);
	if (probe.fault == HW_FAULT_YOUNG)
		return true; /* judged by the access */
	if (!fault_as_expected(probe.fault, want)) {
		hw_fail(t, p, "probe of a %s: %s, not %s", op_names[op], fault_names[probe.fault],
			fault_names[want]);
		return false;
	}
	if (probe.fault != HW_FAULT_NONE && probe.level && probe.level != level) {
		hw_fail(t, p, "probe of a %s: fault at level %u, not %u", op_names[op], probe.level,
			level);
		return false;
	}
	if (probe.fault == HW_FAULT_NONE &&
	    (probe.hpa != p->hpa + (probe.gpa - p->gpa) ||
	     probe.device != !!(p->prot & KVM_PGTABLE_PROT_DEVICE))) {
		hw_fail(t, p, "probe of a %s: 0x%lx, device %d", op_names[op], probe.hpa,
			probe.device);
		return false;
	}
	return true;
}

/* ---- accesses --------------------------------------------------------------------------- */

/* The MMU refuses for want of the mark: the library must agree, and can help. */
static void set_mark(struct hw_test *t, const struct hw_access *access)
{
	struct kvm_pgtable_leaf leaf = {0};

	if (t->format->op.get_leaf(&t->pgt, access->gpa, &leaf) || !leaf.present || leaf.accessed)
		hw_fail(t, NULL, "accessed fault at 0x%lx: present %d, accessed %d", access->gpa,
			leaf.present, leaf.accessed);
	if (t->format->op.mkyoung(&t->pgt, access->gpa, (enum kvm_pgtable_walk_flags)0))
		hw_fail(t, NULL, "mkyoung of 0x%lx", access->gpa);
}

static void access_once(struct hw_test *t, struct hw_access *access)
{
	access->fault = HW_FAULT_NONE;
	access->level = 0;
	access->fault_op = access->op;
	access->fault_gpa = access->gpa;
	t->n.accesses++;
	t->machine->access(t->machine, access);
	t->n.faults[access->fault]++;
}

void hw_access(struct hw_test *t, struct hw_access *access)
{
	access_once(t, access);
	if (access->fault != HW_FAULT_YOUNG)
		return;
	set_mark(t, access);
	access_once(t, access);
}

/* What must be in memory before the access, and what the access must bring. */
static u64 prepare(struct hw_test *t, void *memory, struct hw_access *access)
{
	u64 value = test_random(&t->random);

	switch (access->op) {
	case HW_READ:
		*(volatile u64 *)memory = value;
		break;
	case HW_WRITE:
		*(volatile u64 *)memory = ~value;
		access->value = value;
		break;
	default:
		value = (u32)value;
		t->machine->put_code(t->machine, memory, (u32)value);
	}
	return value;
}

static bool check_refusal(struct hw_test *t, const struct hw_point *p,
			  const struct hw_access *access, unsigned int level)
{
	const u64 page = ~(u64)(PAGE_SIZE - 1);

	if ((access->fault_gpa ^ access->gpa) & page) {
		hw_fail(t, p, "%s fault reported at 0x%lx", op_names[access->op],
			access->fault_gpa);
		return false;
	}
	if (access->fault_op != access->op) {
		hw_fail(t, p, "fault of a %s reported as of a %s", op_names[access->op],
			op_names[access->fault_op]);
		return false;
	}
	if (access->level && access->level != level) {
		hw_fail(t, p, "%s fault at level %u, not %u", op_names[access->op], access->level,
			level);
		return false;
	}
	return true;
}

/* The marks that the MMU leaves in the leaf. */
static bool check_marks(struct hw_test *t, const struct hw_point *p, enum hw_op op)
{
	struct kvm_pgtable_leaf leaf = {0};

	if (t->format->op.get_leaf(&t->pgt, p->gpa, &leaf) || !leaf.accessed ||
	    (op == HW_WRITE && !leaf.dirty && t->format->config.accessed_dirty)) {
		hw_fail(t, p, "after a %s: accessed %d, dirty %d", op_names[op], leaf.accessed,
			leaf.dirty);
		return false;
	}
	return true;
}

static bool in_backing(const struct hw_test *t, u64 hpa)
{
	return hpa - t->machine->backing < t->machine->backing_size;
}

/*
 * Offset of an access in its page: 64 bytes are left for code.  Mostly near the
 * start, because an emulator may cache a part of a big page, and what has become
 * wrong is seen where it is cached.
 */
static u64 random_offset(struct hw_test *t)
{
	return hw_aligned_below(t, 64, hw_below(t, 4) ? PAGE_SIZE : format_page(t->format));
}

static bool check_access(struct hw_test *t, const struct hw_point *p, enum hw_op op,
			 unsigned int level)
{
	const u64 offset = random_offset(t);
	struct hw_access access = {.gpa = p->gpa + offset, .op = op};
	enum hw_fault want = expected_fault(p, op);
	u64 value = 0, seen;

	/* With a wrong entry the guest could go anywhere: only RAM is really touched. */
	if (want == HW_FAULT_NONE)
		value = prepare(t, hva_to_ptr(p->hpa + offset), &access);
	hw_access(t, &access);
	if (!fault_as_expected(access.fault, want)) {
		hw_fail(t, p, "%s: %s, not %s", op_names[op], fault_names[access.fault],
			fault_names[want]);
		return false;
	}
	if (access.fault != HW_FAULT_NONE)
		return check_refusal(t, p, &access, level);
	seen = op == HW_WRITE ? *(volatile u64 *)hva_to_ptr(p->hpa + offset) : access.value;
	if (seen != value) {
		hw_fail(t, p, "%s: 0x%lx, not 0x%lx", op_names[op], seen, value);
		return false;
	}
	return check_marks(t, p, op);
}

bool hw_check_mmu(struct hw_test *t, const struct hw_point *p, enum hw_op op, unsigned int level)
{
	if (t->machine->probe && op != HW_FETCH && !check_probe(t, p, op, level))
		return false;
	if (p->mapped && !in_backing(t, p->hpa))
		return true;
	return check_access(t, p, op, level);
}

bool hw_check(struct hw_test *t, const struct hw_point *p, enum hw_op op)
{
	struct kvm_pgtable_leaf leaf;

	return check_leaf(t, p, &leaf) && hw_check_mmu(t, p, op, leaf.level);
}

bool hw_check_all_ops(struct hw_test *t, const struct hw_point *p)
{
	bool well = true;

	for (unsigned int op = 0; op < HW_OPS; op++)
		well = hw_check(t, p, (enum hw_op)op) && well;
	return well;
}
