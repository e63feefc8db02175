/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A watcher is told of every change: from what it is told it keeps a copy of all
 * entries of a window, and each old entry it is shown, and in the end every
 * entry of the table, is what the copy says.
 */
#include "tests/pgtable/model.h"

#include <stdlib.h>
#include <string.h>

#define LEVELS	6
#define RWX	KVM_PGTABLE_PROT_RWX
#define MARKS	(KVM_PGTABLE_PROT_ACCESSED | KVM_PGTABLE_PROT_DIRTY)
#define EXCLUDE (KVM_PGTABLE_PROT_DEVICE)

struct copy {
	struct model *m;
	u64 told;
	kvm_pte_t *entry[LEVELS]; /* by level and distance from the window's first */
	u64 nr[LEVELS];
};

static u64 level_bytes(const struct copy *c, unsigned int level)
{
	return format_level_bytes(c->m->format, level);
}

static kvm_pte_t *entry_of(struct copy *c, u64 addr, unsigned int level)
{
	u64 bytes = level_bytes(c, level), first = align_down(c->m->base, bytes);
	u64 index = (addr - first) / bytes;

	assert_true(level && level < LEVELS);
	assert_true(addr >= first && index < c->nr[level]);
	return &c->entry[level][index];
}

/* A table that is replaced takes what is below it along. */
static void forget_below(struct copy *c, u64 addr, unsigned int level)
{
	u64 end = addr + level_bytes(c, level), last = model_addr(c->m, c->m->nr);

	while (--level) {
		u64 bytes = level_bytes(c, level), from = align_down(c->m->base, bytes);

		for (u64 at = from > addr ? from : addr; at < end && at < last; at += bytes)
			*entry_of(c, at, level) = 0;
	}
}

static int note(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
{
	struct copy *c = ctx->arg;

	(void)visit;
	*entry_of(c, align_down(ctx->addr, level_bytes(c, ctx->level)), ctx->level) = ctx->old;
	return 0;
}

/* The part of [addr, addr + bytes) that is in the window. */
static void walk(struct copy *c, u64 addr, u64 bytes, kvm_pgtable_visitor_fn_t cb)
{
	const struct kvm_pgtable_walker walker = {
		.cb = cb,
		.arg = c,
		.flags = KVM_PGTABLE_WALK_LEAF | KVM_PGTABLE_WALK_TABLE_PRE,
	};
	u64 start = addr > c->m->base ? addr : c->m->base;
	u64 end = min_u64(addr + bytes, model_addr(c->m, c->m->nr));

	assert_int_equal(c->m->format->op.walk(&c->m->t.pgt, start, end - start, &walker), 0);
}

static void on_change(void *arg, u64 addr, u8 level, kvm_pte_t old, kvm_pte_t new)
{
	struct copy *c = arg;
	kvm_pte_t *entry = entry_of(c, addr, level);

	assert_int_equal(*entry, old);
	assert_int_not_equal(old, new);
	*entry = new;
	c->told++;
	if (level == 1)
		return;
	forget_below(c, addr, level);
	/* A block's parts are put into the table that replaces it before anybody can see them. */
	if (old && new)
		walk(c, addr, level_bytes(c, level), note);
}

static void copy_setup(struct copy *c, struct model *m)
{
	*c = (struct copy){.m = m};
	for (unsigned int level = 1; level < LEVELS; level++) {
		u64 bytes;

		if (m->format->page_lg2 + m->format->table_bits * (level - 1) > 62)
			break;
		bytes = level_bytes(c, level);
		c->nr[level] = (model_addr(m, m->nr) - 1) / bytes - m->base / bytes + 1;
		c->entry[level] = calloc(c->nr[level], sizeof(kvm_pte_t));
	}
	m->t.on_change = on_change;
	m->t.on_change_arg = c;
	m->t.watched = 1;
}

static void copy_free(struct copy *c)
{
	for (unsigned int level = 1; level < LEVELS; level++)
		free(c->entry[level]);
}

static int compare(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
{
	struct copy *c = ctx->arg;

	(void)visit;
	assert_int_equal(
		*entry_of(c, align_down(ctx->addr, level_bytes(c, ctx->level)), ctx->level),
		ctx->old);
	return 0;
}

static void compare_all(struct copy *c)
{
	struct range all = {0, c->m->nr};

	walk(c, c->m->base, model_bytes(c->m, all), compare);
}

/* ---- what happens -------------------------------------------------------------------------- */

static u64 seed;

static struct range random_range(const struct model *m)
{
	u64 first = test_below(&seed, m->nr), most = test_below(&seed, 4) ? 8 : m->nr;
	u64 end = first + 1 + test_below(&seed, most);

	return (struct range){first, end < m->nr ? end : m->nr};
}

static enum kvm_pgtable_prot random_prot(const struct model *m)
{
	u64 prot = KVM_PGTABLE_PROT_R | (test_random(&seed) & (RWX | MARKS));

	return (enum kvm_pgtable_prot)(prot & ~(u64)(m->format->lacks | EXCLUDE));
}

static void random_operation(struct model *m)
{
	enum kvm_pgtable_walk_flags flags = test_below(&seed, 2) ? KVM_PGTABLE_WALK_SHARED : 0;
	struct range r = random_range(m);

	model_begin(m);
	switch (test_below(&seed, 8)) {
	case 0:
	case 1:
		model_map(m, r, 0, random_prot(m), 0, flags);
		break;
	case 2:
	case 3:
		model_unmap(m, r, flags);
		break;
	case 4:
		model_wrprotect(m, r, flags);
		break;
	case 5:
		model_age(m, r, flags);
		break;
	case 6:
		model_split(m, r, flags);
		break;
	case 7:
		model_collapse(m, align_down(r.first, m->block), 1);
		break;
	}
	model_end(m);
}

static void watch(const struct format *format, u64 operations)
{
	struct model m;
	struct copy c;

	model_setup(&m, format);
	copy_setup(&c, &m);
	for (u64 i = 0; i < operations; i++) {
		random_operation(&m);
		if (!(i % 64))
			compare_all(&c);
	}
	compare_all(&c);
	assert_true(c.told > operations);
	m.t.watched = 0;
	model_teardown(&m);
	copy_free(&c);
}

static void a_watcher_can_keep_a_copy(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < nr_formats; i++)
		watch(&formats[i], test_scaled(3000));
}

/* Nobody is told of what happens while nobody watches (harness.c asserts it). */
static void watching_may_begin_and_end(void **state)
{
	struct model m;
	struct copy c;
	u64 told;

	(void)state;
	model_setup(&m, &formats[0]);
	model_begin(&m);
	model_map(&m, (struct range){0, 8}, 0, KVM_PGTABLE_PROT_RW, 1, 0);
	model_end(&m);
	copy_setup(&c, &m);
	for (u64 page = 0; page < 8; page++) {
		struct kvm_pgtable_leaf leaf;

		assert_int_equal(m.format->op.get_leaf(&m.t.pgt, model_addr(&m, page), &leaf), 0);
		*entry_of(&c, model_addr(&m, page), 1) = leaf.pte;
	}
	model_begin(&m);
	model_wrprotect(&m, (struct range){0, 8}, 0);
	model_end(&m);
	assert_int_equal(c.told, 8);
	told = c.told;
	m.t.watched = 0;
	model_begin(&m);
	model_unmap(&m, (struct range){0, 8}, 0);
	model_end(&m);
	assert_int_equal(c.told, told);
	model_teardown(&m);
	copy_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_watcher_can_keep_a_copy),
		cmocka_unit_test(watching_may_begin_and_end),
	};

	seed = test_seed("pgtable_watch");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
