/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walker.  Always inlined: with constant visitors and predicates an
 * operation becomes a loop without a call per entry.
 *
 *   1. read the entry at (addr, level)
 *   2. a table: show it (TABLE_PRE), step down
 *   3. anything else: show it (LEAF); if it has become a table, step down
 *   4. step sideways; at the end of a table step up and show it (TABLE_POST)
 *
 * Visitor, predicates and the order of the questions: pgtable.h.
 */
#ifndef KVMU_PGTABLE_ENGINE_WALK_H
#define KVMU_PGTABLE_ENGINE_WALK_H

#include "pgtable/engine/table_page.h"

/*
 * Retries of one entry that nobody else changes meanwhile.  A retry after a
 * lost race finds the entry changed and does not count; an entry locked by
 * another thread does, and that thread may be preempted: hence so many.
 */
#ifndef PGT_RETRY_MAX
#define PGT_RETRY_MAX (1u << 20)
#endif

/*
 * The code a walk is made of.  Passed by value and constant in every operation,
 * so that it folds into the walker; only walk() of the API has it at run time.
 */
typedef unsigned int (*pgt_run_fn)(struct kvm_pgtable_visit_ctx *ctx, unsigned int nr);

struct pgt_code {
	kvm_pgtable_visitor_fn_t cb;
	kvm_pgtable_walker_action_fn_t ignore;
	kvm_pgtable_walker_action_fn_t retry;
	/*
	 * The inner loop: up to @nr consecutive entries of level 1 from
	 * ctx->ptep on, none of which must be a special case.  Returns how many
	 * it did; the entry after them is shown to cb.  Exclusive walks only.
	 */
	pgt_run_fn run;
	unsigned int visits; /* LEAF, TABLE_PRE, TABLE_POST */
};

enum pgt_verdict {
	PGT_NEXT,
	PGT_AGAIN,
	PGT_LEAVE,
};

/* A bug of the visitor: it can only retry itself.  The sink does not return. */
pgt_cold void pgt_endless_retry(void)
{
#ifdef KVMU_DEBUG
	kvmu_bug(__FILE__, __LINE__, "page-table visitor retries an unchanged entry for ever");
#endif
}

/* The three things a visitor's value can lead to. */
pgt_inline enum pgt_verdict pgt_verdict(const struct pgt_code code,
					const struct kvm_pgtable_walker *walker, int ret,
					unsigned int *retries)
{
	if (likely(!ret))
		return PGT_NEXT;
	if (code.retry && code.retry(walker, ret)) {
		if (likely(++*retries < PGT_RETRY_MAX)) {
			cpu_relax();
			return PGT_AGAIN;
		}
		pgt_endless_retry();
		return PGT_LEAVE;
	}
	return code.ignore && code.ignore(walker, ret) ? PGT_NEXT : PGT_LEAVE;
}

/* Read the entry again; a change by someone else is progress. */
pgt_inline void pgt_reread(struct kvm_pgtable_visit_ctx *ctx, unsigned int *retries)
{
	kvm_pte_t now = KVMU_MUTANT(RETRY_STALE_COPY) ? ctx->old : pgt_env_load(ctx->ptep);

	if (now != ctx->old)
		*retries = 0;
	ctx->old = now;
}

enum pgt_step {
	PGT_STEP_SIDE,
	PGT_STEP_DOWN,
	PGT_STEP_OUT,
};

/* Steps 2 and 3 for the entry in ctx. */
pgt_inline enum pgt_step pgt_visit_entry(struct kvm_pgtable_visit_ctx *ctx,
					 const struct pgt_code code,
					 const struct kvm_pgtable_walker *walker, int *ret)
{
	unsigned int retries = 0;

	for (;;) {
		bool table = pgt_is_table(ctx->old, ctx->level);
		enum pgt_verdict verdict;
		enum kvm_pgtable_walk_flags visit =
			table ? KVM_PGTABLE_WALK_TABLE_PRE : KVM_PGTABLE_WALK_LEAF;

		if (!(code.visits & visit))
			return table ? PGT_STEP_DOWN : PGT_STEP_SIDE;
		*ret = code.cb(ctx, visit);
		verdict = pgt_verdict(code, walker, *ret, &retries);
		if (unlikely(verdict == PGT_LEAVE))
			return PGT_STEP_OUT;
		if (verdict == PGT_NEXT && (*ret || ctx->level == 1))
			return PGT_STEP_SIDE; /* done, or refused: nothing below is visited */
		pgt_reread(ctx, &retries);
		if (verdict == PGT_NEXT)
			return pgt_is_table(ctx->old, ctx->level) ? PGT_STEP_DOWN : PGT_STEP_SIDE;
	}
}

/* Show a table after its children, as long as it is one. */
pgt_inline enum pgt_step pgt_visit_post(struct kvm_pgtable_visit_ctx *ctx,
					const struct pgt_code code,
					const struct kvm_pgtable_walker *walker, int *ret)
{
	unsigned int retries = 0;

	ctx->old = pgt_env_load(ctx->ptep);
	while (pgt_is_table(ctx->old, ctx->level)) {
		enum pgt_verdict verdict;

		*ret = code.cb(ctx, KVM_PGTABLE_WALK_TABLE_POST);
		verdict = pgt_verdict(code, walker, *ret, &retries);
		if (unlikely(verdict == PGT_LEAVE))
			return PGT_STEP_OUT;
		if (verdict == PGT_NEXT)
			break;
		pgt_reread(ctx, &retries);
	}
	return PGT_STEP_SIDE;
}

pgt_inline unsigned int pgt_run_length(const struct kvm_pgtable_visit_ctx *ctx, u64 end)
{
	u64 left = (end - ctx->addr + PGT_PAGE_BYTES - 1) >> FMT_PAGE_LG2;
	u64 here = PGT_TABLE_ENTRIES - pgt_index(ctx->addr, 1);

	return (unsigned int)min_u64(left, here);
}

/* Is addr the first of a table of @level, which is not the root? */
pgt_inline bool pgt_table_begins(u64 addr, unsigned int level)
{
	return !pgt_index(addr, level);
}

/*
 * Walk [ctx->start, ctx->end).  The caller sets pgt, start, end, flags and arg;
 * on return ctx->addr is where the walk stopped.
 */
pgt_inline int pgt_walk(struct kvm_pgtable_visit_ctx *ctx, const struct kvm_pgtable_walker *walker,
			const struct pgt_code code)
{
	struct kvm_pgtable *const pgt = ctx->pgt;
	const unsigned int top = pgt->levels;
	const u64 end = ctx->end;
	/* A watcher is told of each entry by the visitor's way. */
	const bool runs = code.run && !(ctx->flags & KVM_PGTABLE_WALK_SHARED) && !pgt_watched(pgt);
	const bool posts = code.visits & KVM_PGTABLE_WALK_TABLE_POST;
	kvm_pte_t *tables[FMT_MAX_LEVELS + 1];
	kvm_pte_t *table = pgt->root;
	unsigned int level = top;
	u64 addr = ctx->start;
	int ret = 0;

	tables[top] = table;
	ctx->addr = addr;
	ctx->level = (u8)level;
	ctx->ptep = table + pgt_root_index(pgt, addr);
	for (;;) {
		enum pgt_step step = PGT_STEP_SIDE;

		if (runs && level == 1) {
			unsigned int nr = pgt_run_length(ctx, end), done = code.run(ctx, nr);

			addr += (u64)done << FMT_PAGE_LG2;
			if (done == nr)
				goto up;
			ctx->ptep += done;
			ctx->addr = addr;
		}
		ctx->old = pgt_env_load(ctx->ptep);
		step = pgt_visit_entry(ctx, code, walker, &ret);
		if (step == PGT_STEP_DOWN) {
			table = pgt_follow(ctx->old, level);
			tables[--level] = table;
			ctx->level = (u8)level;
			ctx->ptep = table + pgt_index(addr, level);
			continue;
		}
		if (unlikely(step == PGT_STEP_OUT))
			return ret;
		addr = align_down(addr, pgt_level_bytes(level)) + pgt_level_bytes(level);
	up:
		if (addr >= end && !posts)
			break;
		while (level < top && (addr >= end || pgt_table_begins(addr, level))) {
			level++;
			if (!posts)
				continue;
			ctx->level = (u8)level;
			ctx->addr =
				max_u64(align_down(addr - 1, pgt_level_bytes(level)), ctx->start);
			ctx->ptep = tables[level] + (level == top ? pgt_root_index(pgt, ctx->addr)
								  : pgt_index(ctx->addr, level));
			if (unlikely(pgt_visit_post(ctx, code, walker, &ret) == PGT_STEP_OUT))
				return ret;
		}
		if (addr >= end)
			break;
		ctx->level = (u8)level;
		ctx->addr = addr;
		ctx->ptep = tables[level] +
			    (level == top ? pgt_root_index(pgt, addr) : pgt_index(addr, level));
	}
	ctx->addr = end;
	return 0;
}

#endif
