/* SPDX-License-Identifier: BSD-2-Clause */
/* A table under test: the services it needs, what the machine reserves, reports. */
#include "base/assert.h"
#include "tests/hw/common/driver.h"

/* A run that has gone wrong says so often enough. */
#define REPORTS_MAX 12

/* ---- services ------------------------------------------------------------------- */

static void *alloc_table(void *ctx)
{
	return table_arena_alloc(&((struct hw_test *)ctx)->arena);
}

static void free_table(void *ctx, void *table)
{
	table_arena_free(&((struct hw_test *)ctx)->arena, table);
}

static void retire_table(void *ctx, void *table)
{
	table_list_push(&((struct hw_test *)ctx)->retired, table);
}

static void *alloc_root(void *ctx, size_t bytes)
{
	return table_arena_alloc_root(&((struct hw_test *)ctx)->arena, bytes);
}

static void free_root(void *ctx, void *root, size_t bytes)
{
	table_arena_free_root(&((struct hw_test *)ctx)->arena, root, bytes);
}

static void flush_midway(void *ctx, const struct kvm_pgtable_flush *flush)
{
	struct hw_test *t = ctx;

	t->n.midway++;
	t->machine->flush(t->machine, flush);
}

static const struct kvm_pgtable_ops table_ops = {
	.alloc_table = alloc_table,
	.free_table = free_table,
	.retire_table = retire_table,
	.alloc_root = alloc_root,
	.free_root = free_root,
	.flush = flush_midway,
};

/* What was unlinked is overwritten: a walk that still comes by must not go unnoticed. */
static void free_retired(struct hw_test *t)
{
	void *table;

	while ((table = table_list_pop(&t->retired))) {
		__builtin_memset(table, 0xff, (size_t)1 << t->arena.page_lg2);
		table_arena_free(&t->arena, table);
	}
}

void hw_settle(struct hw_test *t, struct kvm_pgtable_flush *flush)
{
	if (kvm_pgtable_flush_owed(flush)) {
		t->n.flushes++;
		t->machine->flush(t->machine, flush);
	}
	*flush = (struct kvm_pgtable_flush){0};
	free_retired(t);
}

/* ---- life ------------------------------------------------------------------------- */

static void map_reserved(struct hw_test *t)
{
	struct hw_machine *m = t->machine;

	t->nr_reserved = m->reserve ? m->reserve(m, &t->pgt, t->format, t->reserved) : 0;
	for (unsigned int i = 0; i < t->nr_reserved; i++) {
		const struct hw_reserved *r = &t->reserved[i];
		/* The guest's own memory is marked: only what is tested takes such faults. */
		struct kvm_pgtable_map map = {
			.addr = r->gpa,
			.size = r->size,
			.hpa = r->hpa,
			.prot = (enum kvm_pgtable_prot)(r->prot | KVM_PGTABLE_PROT_ACCESSED |
							KVM_PGTABLE_PROT_DIRTY),
		};

		KVMU_BUG_ON(t->format->op.map(&t->pgt, &map));
	}
}

void hw_table_setup(struct hw_test *t)
{
	struct kvm_pgtable_config config = t->format->config;

	t->ops = table_ops;
	config.ctx = t;
	config.ops = &t->ops;
	KVMU_BUG_ON(table_arena_init(&t->arena, &t->machine->tables, t->format->page_lg2));
	KVMU_BUG_ON(t->format->op.init(&t->pgt, &config));
	map_reserved(t);
	t->machine->load(t->machine, &t->pgt);
}

void hw_table_teardown(struct hw_test *t)
{
	if (t->format->op.check(&t->pgt))
		hw_fail(t, NULL, "the structure of the table is damaged");
	free_retired(t);
	if (t->machine->unload)
		t->machine->unload(t->machine);
	t->format->op.destroy(&t->pgt);
	if (t->arena.pages)
		hw_fail(t, NULL, "%lu table pages were not given back", t->arena.pages);
	table_arena_destroy(&t->arena);
}

bool hw_overlaps_reserved(const struct hw_test *t, u64 start, u64 size)
{
	for (unsigned int i = 0; i < t->nr_reserved; i++) {
		const struct hw_reserved *r = &t->reserved[i];

		if (start < r->gpa + r->size && r->gpa < start + size)
			return true;
	}
	return false;
}

bool hw_place(struct hw_test *t, u64 bytes, u64 *gpa)
{
	const u64 input = 1ull << t->format->config.input_bits;

	for (unsigned int tries = 0; tries < 64 && bytes <= input; tries++) {
		*gpa = hw_aligned_below(t, bytes, input);
		if (!hw_overlaps_reserved(t, *gpa, bytes))
			return true;
	}
	return false;
}

bool hw_map(struct hw_test *t, const struct hw_point *p, u64 bytes, unsigned int max_level,
	    u32 marks)
{
	struct kvm_pgtable_flush flush = {0};
	struct kvm_pgtable_map map = {
		.addr = p->gpa,
		.size = bytes,
		.hpa = p->hpa,
		.prot = (enum kvm_pgtable_prot)(p->prot | marks | t->machine->preset),
		.max_level = (u8)max_level,
		.flush = &flush,
	};
	int err = t->format->op.map(&t->pgt, &map);

	t->n.maps++;
	t->n.leaves += map.installed;
	if (err)
		hw_fail(t, p, "map of 0x%lx bytes: error %d", bytes, err);
	if (kvm_pgtable_flush_owed(&flush))
		hw_fail(t, p, "a fresh mapping owes a flush");
	return !err;
}

void hw_unmap(struct hw_test *t, u64 gpa, u64 bytes)
{
	struct kvm_pgtable_flush flush = {0};
	int err = t->format->op.unmap(&t->pgt, gpa, bytes, (enum kvm_pgtable_walk_flags)0, NULL,
				      &flush);

	t->n.ops++;
	if (err)
		hw_fail(t, NULL, "unmap of 0x%lx + 0x%lx: error %d", gpa, bytes, err);
	hw_settle(t, &flush);
}

void hw_fail(struct hw_test *t, const struct hw_point *p, const char *format, ...)
{
	va_list args;

	t->failures++;
	if (t->expect_damage || t->failures > REPORTS_MAX)
		return;
	hw_printf("FAIL %s, %s: ", t->format->name, t->doing);
	va_start(args, format);
	hw_vprintf(format, args);
	va_end(args);
	if (p && p->mapped)
		hw_printf(" (page 0x%lx -> 0x%lx, prot 0x%x)", p->gpa, p->hpa, p->prot);
	else if (p)
		hw_printf(" (page 0x%lx, not mapped)", p->gpa);
	hw_printf("\n");
}
