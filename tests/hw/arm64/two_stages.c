/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest with tables of its own: each access is translated twice, and stage 2 may
 * refuse the walk of stage 1 as well.  Everything is mapped on demand, by what
 * the abort says, and taken away again at random.
 *
 * The guest's table is one page of blocks of 1 GiB (Arm ARM D8.3.1, level 1 with
 * the 4K granule), which lead to the guest's physical memory in another order.
 */
#include "base/assert.h"
#include "el2/fault.h"
#include "el2/sysreg.h"
#include "el2/vcpu.h"
#include "tests/hw/arm64/machine.h"

#define VA_BITS	   39u
#define GIB_LG2	   30u
#define ENTRIES	   (1u << (VA_BITS - GIB_LG2))
#define TOUCHES	   600
#define FAULTS_MAX 8 /* table, code, data; each absent, then forbidden */

/* Block, attribute 0, read and write for EL1, inner shareable, accessed. */
#define BLOCK (BIT_ULL(0) | 3ull << 8 | BIT_ULL(10))
/* 39 bits from TTBR0, write-back inner shareable walks of 4K, none from TTBR1, 48-bit output. */
#define TCR_EL1_VALUE \
	((64 - VA_BITS) | 1ull << 8 | 1ull << 10 | 3ull << 12 | BIT_ULL(23) | 5ull << 32)

/* An access needs three pages of the guest's memory. */
enum part {
	TABLE,
	CODE,
	DATA,
	PARTS,
};

struct two_stages {
	struct hw_test test;
	u64 table_gpa;
	u64 code_va;
	u64 va; /* what is touched now */
	bool mapped[PARTS];
	u64 walks; /* faults of the walk of stage 1 */
	u64 others;
};

static bool is_code(const struct two_stages *s, u64 gpa)
{
	return gpa - s->test.reserved[0].gpa < s->test.reserved[0].size;
}

static bool is_table(const struct two_stages *s, u64 gpa)
{
	return gpa - s->table_gpa < PAGE_SIZE;
}

/* The guest's memory: any page of it leads to some page of the test memory, its table to the first.
 */
static u64 hpa_of(const struct two_stages *s, u64 gpa)
{
	const u64 pages = BACKING_BYTES / PAGE_SIZE - 1;

	if (is_code(s, gpa))
		return s->test.reserved[0].hpa + (gpa - s->test.reserved[0].gpa);
	if (is_table(s, gpa))
		return BACKING_START;
	return BACKING_START +
	       PAGE_SIZE * (1 + (gpa / PAGE_SIZE * 0x9e3779b97f4a7c15ull >> 20) % pages);
}

static u64 gpa_of(const struct two_stages *s, u64 va)
{
	const u64 *table = hva_to_ptr(hpa_of(s, s->table_gpa));

	return (table[va >> GIB_LG2] & GENMASK_ULL(47, GIB_LG2)) |
	       (va & GENMASK_ULL(GIB_LG2 - 1, 0));
}

static void build_guest_tables(struct two_stages *s)
{
	struct hw_test *t = &s->test;
	const u64 gibs = 1ull << (t->format->config.input_bits - GIB_LG2);
	u64 *table;

	KVMU_BUG_ON(!hw_place(t, PAGE_SIZE, &s->table_gpa));
	table = hva_to_ptr(hpa_of(s, s->table_gpa));
	for (unsigned int i = 0; i < ENTRIES; i++)
		table[i] = hw_below(t, gibs) << GIB_LG2 | BLOCK;
	/* One of them leads to the code. */
	table[0] = align_down(t->reserved[0].gpa, 1ull << GIB_LG2) | BLOCK;
	s->code_va = t->reserved[0].gpa & GENMASK_ULL(GIB_LG2 - 1, 0);
	sysreg_write(mair_el1, 0xff);
	sysreg_write(tcr_el1, TCR_EL1_VALUE);
	sysreg_write(ttbr0_el1, s->table_gpa);
	sysreg_write(sctlr_el1, SCTLR_EL1_OFF | SCTLR_M | SCTLR_C | SCTLR_I);
	sysreg_write(hcr_el2, HCR_RW | HCR_VM);
	isb();
}

static u64 part_gpa(const struct two_stages *s, enum part part)
{
	switch (part) {
	case TABLE:
		return s->table_gpa;
	case CODE:
		return s->test.reserved[0].gpa;
	default:
		return align_down(gpa_of(s, s->va), PAGE_SIZE);
	}
}

/* Whose page was refused; PARTS: none that the access needs, or not as it was said. */
static enum part part_of(const struct two_stages *s, const struct el2_fault *fault)
{
	enum part part = TABLE;

	while (part < PARTS && align_down(fault->gpa, PAGE_SIZE) != part_gpa(s, part))
		part++;
	return fault->stage1_walk == (part == TABLE) ? part : PARTS;
}

/* Absent: mapped, now and then without what is asked for; forbidden: allowed. */
static int answer(struct two_stages *s, const struct el2_fault *fault)
{
	struct hw_test *t = &s->test;
	const enum part part = part_of(s, fault);
	/* The table is read and the code fetched, the data neither. */
	const u32 wrong = part == DATA ? KVM_PGTABLE_PROT_X : KVM_PGTABLE_PROT_W;
	struct kvm_pgtable_flush flush = {0};
	struct hw_point page;
	int err = 0;

	if (part == PARTS || (fault->kind == EL2_FAULT_TRANSLATION) == s->mapped[part])
		return -EIO;
	page = (struct hw_point){.gpa = part_gpa(s, part),
				 .mapped = true,
				 .hpa = align_down(hpa_of(s, part_gpa(s, part)), PAGE_SIZE),
				 .prot = hw_below(t, 4) ? KVM_PGTABLE_PROT_RWX : wrong};
	if (fault->kind == EL2_FAULT_TRANSLATION)
		err = hw_map(t, &page, PAGE_SIZE, 1, KVM_PGTABLE_PROT_ACCESSED) ? 0 : -EIO;
	else
		err = t->format->op.relax_perms(&t->pgt, page.gpa, KVM_PGTABLE_PROT_RWX,
						(enum kvm_pgtable_walk_flags)0, &flush);
	hw_settle(t, &flush);
	s->mapped[part] = true;
	s->walks += fault->stage1_walk;
	s->others += !fault->stage1_walk;
	return err;
}

static void check_passed(struct two_stages *s, u64 seen, u64 value)
{
	if (seen != value)
		hw_fail(&s->test, NULL, "0x%lx: wrong value", s->va);
	if (!s->mapped[TABLE] || !s->mapped[CODE] || !s->mapped[DATA])
		hw_fail(&s->test, NULL, "0x%lx: went through what is not mapped: %d %d %d", s->va,
			s->mapped[TABLE], s->mapped[CODE], s->mapped[DATA]);
}

static void touch(struct two_stages *s, bool write)
{
	struct hw_test *t = &s->test;
	const u64 gpa = gpa_of(s, s->va), value = test_random(&t->random);
	volatile u64 *memory = hva_to_ptr(hpa_of(s, gpa) | (gpa & (PAGE_SIZE - 1)));
	struct el2_fault fault = {.kind = EL2_FAULT_NONE};

	*memory = write ? ~value : value;
	for (unsigned int i = 0; i < FAULTS_MAX; i++) {
		struct el2_vcpu vcpu = {.x = {s->va, value}, .pstate = SPSR_EL1H_MASKED};

		vcpu.pc = s->code_va + (u64)((write ? guest_store : guest_load) - guest_page);
		el2_enter(&vcpu);
		if (ESR_EC(vcpu.esr) == ESR_EC_HVC) {
			check_passed(s, write ? *memory : vcpu.x[0], value);
			return;
		}
		if (!el2_decode_abort(vcpu.esr, vcpu.far, vcpu.hpfar, &fault) ||
		    answer(s, &fault)) {
			hw_fail(t, NULL, "0x%lx: ESR 0x%lx, gpa 0x%lx", s->va, vcpu.esr, fault.gpa);
			return;
		}
	}
	hw_fail(t, NULL, "0x%lx: faults without end", s->va);
}

static void take_away(struct two_stages *s, enum part part)
{
	hw_unmap(&s->test, part_gpa(s, part), PAGE_SIZE);
	s->mapped[part] = false;
}

/* Somewhere else, where the guest does not spoil itself. */
static void move_on(struct two_stages *s)
{
	take_away(s, DATA);
	do {
		s->va = hw_aligned_below(&s->test, 8, 1ull << VA_BITS);
	} while (is_table(s, gpa_of(s, s->va)) || is_code(s, gpa_of(s, s->va)));
}

u64 stage2_test_two_stages(struct hw_machine *machine, const struct format *format,
			   const struct hw_params *params)
{
	static struct two_stages s;
	struct hw_test *t = &s.test;

	s = (struct two_stages){.test = {.machine = machine,
					 .format = format,
					 .random = params->seed,
					 .doing = "two stages"}};
	hw_table_setup(t);
	build_guest_tables(&s);
	s.mapped[CODE] = true;
	move_on(&s);
	for (u64 i = 0; i < TOUCHES * params->scale / 100 + 1 && !t->failures; i++) {
		touch(&s, hw_below(t, 2));
		if (!hw_below(t, 3))
			take_away(&s, (enum part)hw_below(t, PARTS));
		if (!hw_below(t, 2))
			move_on(&s);
	}
	if (!s.walks || !s.others)
		hw_fail(t, NULL, "a kind of fault was not met");
	hw_table_teardown(t);
	hw_printf("a guest with tables of its own: %lu faults of its walks, %lu others answered, "
		  "%lu failures\n",
		  s.walks, s.others, t->failures);
	return t->failures;
}
