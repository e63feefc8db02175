/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every sequence of four operations from a long list, and of five from a short
 * one, on the tiny format against the array model, with the structural
 * check after each.  KVMU_TEST_SCALE below 100 takes a random share of them.
 */
#include "tests/pgtable/model.h"

#define RW    KVM_PGTABLE_PROT_RW
#define RX    (KVM_PGTABLE_PROT_R | KVM_PGTABLE_PROT_X)
#define SH    KVM_PGTABLE_WALK_SHARED
#define FAULT (KVM_PGTABLE_WALK_SHARED | KVM_PGTABLE_WALK_HANDLE_FAULT)

enum kind { MAP, UNMAP, OWNER, WRPROTECT, AGE, TOUCH, RELAX, SPLIT, COLLAPSE, LINK, MMIO };

struct step {
	enum kind kind;
	u8 first;
	u8 end;
	u8 flags;
	u8 max_level; /* MAP, MMIO */
	u16 prot;     /* MAP, RELAX, LINK; owner; generation */
	u8 shift;     /* MAP: pages */
};

/* Pages 0..3 are a level 2 block, 0..15 a level 3 one, 63 is the last page. */
static const struct step steps[] = {
	/* the first ones make the short list */
	{MAP, 0, 16, 0, 0, RW, 0},
	{MAP, 0, 4, FAULT, 0, RX, 0},
	{MAP, 1, 2, 0, 1, RX, 0},
	{MAP, 2, 9, SH, 0, RW, 0},
	{UNMAP, 0, 64, 0, 0, 0, 0},
	{UNMAP, 1, 2, SH, 0, 0, 0},
	{UNMAP, 3, 5, 0, 0, 0, 0},
	{OWNER, 0, 4, 0, 0, 2, 0},
	{OWNER, 2, 3, SH, 0, 3, 0},
	{WRPROTECT, 1, 6, 0, 0, 0, 0},
	{COLLAPSE, 0, 2, 0, 0, 0, 0},
	{SPLIT, 0, 16, SH, 0, 0, 0},
	{LINK, 0, 4, 0, 0, RW, 0},
	/* the rest */
	{MAP, 0, 64, 0, 0, RX, 0},
	{MAP, 0, 16, SH, 3, RX, 0},
	{MAP, 4, 8, 0, 2, RW, 4},
	{MAP, 4, 8, SH, 1, RW, 0},
	{MAP, 5, 6, FAULT, 0, RX, 0},
	{MAP, 5, 6, FAULT, 1, RW | KVM_PGTABLE_PROT_ACCESSED, 0},
	{MAP, 63, 64, 0, 0, RW | KVM_PGTABLE_PROT_DIRTY, 1},
	{MAP, 15, 17, 0, 0, RW | KVM_PGTABLE_PROT_SW1, 0},
	{UNMAP, 0, 16, SH, 0, 0, 0},
	{UNMAP, 4, 8, 0, 0, 0, 0},
	{UNMAP, 62, 64, 0, 0, 0, 0},
	{OWNER, 0, 64, 0, 0, 7, 0},
	{OWNER, 4, 6, 0, 0, 2, 0},
	{WRPROTECT, 0, 64, SH, 0, 0, 0},
	{AGE, 0, 64, 0, 0, 0, 0},
	{AGE, 5, 6, SH, 0, 0, 0},
	{TOUCH, 0, 1, SH, 0, 0, 0},
	{TOUCH, 5, 6, FAULT, 0, 0, 0},
	{RELAX, 1, 2, SH, 0, RX, 0},
	{RELAX, 5, 6, 0, 0, RW, 0},
	{SPLIT, 5, 6, 0, 0, 0, 0},
	{COLLAPSE, 4, 1, 0, 0, 0, 0},
	{LINK, 4, 8, SH, 0, RX, 0},
	{MMIO, 5, 6, SH, 2, 3, 0},
};
#define SHORT_LIST 13

static void apply(struct model *m, const struct step *step)
{
	struct range r = {step->first, step->end};
	enum kvm_pgtable_walk_flags flags = (enum kvm_pgtable_walk_flags)step->flags;
	enum kvm_pgtable_prot prot = (enum kvm_pgtable_prot)step->prot;

	switch (step->kind) {
	case MAP:
		model_map(m, r, step->shift * format_page(m->format), prot, step->max_level, flags);
		break;
	case UNMAP:
		model_unmap(m, r, flags);
		break;
	case OWNER:
		model_set_owner(m, r, step->prot, flags);
		break;
	case WRPROTECT:
		model_wrprotect(m, r, flags);
		break;
	case MMIO:
		model_set_mmio(m, step->first, step->prot, step->max_level, flags);
		break;
	case AGE:
		model_age(m, r, flags);
		break;
	case TOUCH:
		model_touch(m, step->first, flags);
		break;
	case RELAX:
		model_relax(m, step->first, prot, flags);
		break;
	case SPLIT:
		model_split(m, r, flags);
		break;
	case COLLAPSE:
		model_collapse(m, step->first, step->end);
		break;
	case LINK:
		model_link(m, step->first, (1ull << 33) + step->first * format_page(m->format),
			   prot, flags);
		break;
	}
}

static void empty_model(struct model *m)
{
	assert_int_equal(m->format->op.unmap(&m->t.pgt, 0, 1ull << 18, 0, NULL, NULL), 0);
	table_settle(&m->t);
	assert_int_equal(m->t.arena.pages, 1);
	for (u64 i = 0; i < m->nr; i++)
		m->page[i] = (struct page){0};
}

/* Sequence number @number in base @list. */
static void run_sequence(struct model *m, unsigned int number, unsigned int length,
			 unsigned int list)
{
	empty_model(m);
	for (unsigned int i = 0; i < length; i++, number /= list) {
		model_begin(m);
		apply(m, &steps[number % list]);
		model_end(m);
	}
	model_verify(m, 0, m->nr);
	assert_int_equal(m->format->op.check(&m->t.pgt), 0);
}

static void run_all(const char *name, unsigned int length, unsigned int list)
{
	struct model m;
	unsigned int sequences = 1;
	u64 chosen = test_seed(name), percent = test_scaled(100);

	model_setup(&m, format_named(name));
	for (unsigned int i = 0; i < length; i++)
		sequences *= list;
	for (unsigned int i = 0; i < sequences; i++) {
		if (test_random(&chosen) % 100 < percent)
			run_sequence(&m, i, length, list);
	}
	model_teardown(&m);
}

static void every_four_operations(void **state)
{
	(void)state;
	run_all("tiny", 4, ARRAY_SIZE(steps));
}

static void every_five_operations(void **state)
{
	(void)state;
	run_all("tiny", 5, SHORT_LIST);
}

static void every_four_operations_break_before_make(void **state)
{
	(void)state;
	run_all("tiny-bbm", 4, ARRAY_SIZE(steps));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_four_operations),
		cmocka_unit_test(every_five_operations),
		cmocka_unit_test(every_four_operations_break_before_make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
