/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How an entry of a live tree changes; the runs of op_map.h, op_unmap.h and
 * op_attr.h batch the same for consecutive pages.  A change is seen here as
 * (old, new, level, shared): it is held against the table of legal transitions,
 * the live entries of its table page are counted, and what flush it owes is
 * noted.
 *
 * Legal transitions ("x": exclusive only, "B": not on formats that must break
 * before they make; docs/pgtable.md gives the reasons):
 *
 *   old \ new    absent  annotated  locked  leaf   table
 *   absent         -        yes      yes    yes     yes
 *   annotated     yes       yes      yes    yes     yes
 *   locked        yes       yes       -     yes     yes
 *   leaf          yes       yes      yes    yes(1)  B
 *   table         yes(2)    x        yes    x,B     -
 *
 *   (1) on B formats only with the same address; (2) shared: only a table page
 *   that pgt_table_kill() has closed.
 */
#ifndef KVMU_PGTABLE_ENGINE_ENTRY_CHANGE_H
#define KVMU_PGTABLE_ENGINE_ENTRY_CHANGE_H

#include "pgtable/engine/geometry.h"

/* ---- legality -------------------------------------------------------------------- */

static inline bool pgt_transition_legal(kvm_pte_t old, kvm_pte_t new, unsigned int level,
					bool shared)
{
	enum pgt_kind from = pgt_kind(old, level), to = pgt_kind(new, level);

	if (old == new)
		return false;
	switch (from) {
	case PGT_ABSENT:
	case PGT_ANNOTATED:
		return true;
	case PGT_LOCKED_ENTRY:
		return to != PGT_LOCKED_ENTRY;
	case PGT_LEAF:
		if (!FMT_BREAK_BEFORE_MAKE)
			return true;
		return to != PGT_TABLE &&
		       (to != PGT_LEAF || fmt_leaf_hpa(old, level) == fmt_leaf_hpa(new, level));
	case PGT_TABLE:
		if (to == PGT_ABSENT || to == PGT_LOCKED_ENTRY)
			return true;
		return to != PGT_TABLE && !shared && !(FMT_BREAK_BEFORE_MAKE && to == PGT_LEAF);
	case PGT_KINDS:
		break;
	}
	return false;
}

/* ---- live entries ------------------------------------------------------------------ */

/* Exclusive: nobody else counts. */
pgt_inline void pgt_live_adjust(kvm_pte_t *ptep, u32 delta)
{
	struct pgt_table_meta *meta = pgt_env_meta(pgt_table_of(ptep));

	atomic_poke(&meta->live, atomic_peek(&meta->live) + delta);
}

/* Shared: count before filling.  False: the table page has been closed. */
pgt_inline bool pgt_live_reserve(kvm_pte_t *ptep)
{
	struct pgt_table_meta *meta = pgt_env_meta(pgt_table_of(ptep));

	/*
	 * A closed page is only ever left alone from here on, so the count may
	 * wander while it is dead.  Pairs with pgt_table_kill().
	 */
	if (likely(!(atomic_add_ordered(&meta->live, 1u) & PGT_META_DEAD)))
		return true;
	atomic_sub(&meta->live, 1u);
	return false;
}

/* Shared: count after clearing. */
pgt_inline void pgt_live_release(kvm_pte_t *ptep)
{
	atomic_sub_ordered(&pgt_env_meta(pgt_table_of(ptep))->live, 1u);
}

pgt_inline u32 pgt_table_live(const kvm_pte_t *table)
{
	return atomic_peek(&pgt_env_meta(table)->live);
}

/* Shared: close an empty table page for good.  False: it is not empty, or closed already. */
pgt_inline bool pgt_table_kill(kvm_pte_t *table)
{
	u32 empty = 0;

	return atomic_cmpxchg_u32(&pgt_env_meta(table)->live, &empty, PGT_META_DEAD);
}

/* ---- flush owed ---------------------------------------------------------------------- */

#define PGT_FLUSH_NONE ((struct kvm_pgtable_flush){.start = ~0ull})

pgt_inline void pgt_flush_add(struct kvm_pgtable_flush *owed, u64 start, u64 end, u64 entries)
{
	owed->start = min_u64(owed->start, start);
	owed->end = max_u64(owed->end, end);
	owed->entries += entries;
}

/* Hand what an operation gathered to its caller, whose own may hold earlier ones. */
static inline void pgt_flush_merge(struct kvm_pgtable_flush *flush,
				   const struct kvm_pgtable_flush *owed)
{
	if (!flush || !kvm_pgtable_flush_owed(owed))
		return;
	if (!kvm_pgtable_flush_owed(flush)) {
		flush->start = owed->start;
		flush->end = owed->end;
	} else {
		flush->start = min_u64(flush->start, owed->start);
		flush->end = max_u64(flush->end, owed->end);
	}
	flush->entries += owed->entries;
	flush->tables |= owed->tables;
}

pgt_inline bool pgt_change_owes(kvm_pte_t old, kvm_pte_t new, unsigned int level)
{
	if (!fmt_present(old, level))
		return false;
	if (pgt_is_table(old, level))
		return true;
	/* A block that becomes a table of equal leaves translates as before. */
	if (pgt_is_table(new, level))
		return false;
	return !fmt_present(new, level) || fmt_flush_owed(old, new, level);
}

/*
 * An unlinked table page that was empty translated nothing, but walk caches may
 * still point at it.  Invalidating any address below the entry makes them forget
 * it, so one page is enough, and none where leaves below have been noted.
 */
pgt_inline void pgt_note_table(struct kvm_pgtable_flush *owed, u64 addr, u64 start, u64 end)
{
	owed->tables = true;
	if (owed->end <= start || owed->start >= end)
		pgt_flush_add(owed, addr, addr + PGT_PAGE_BYTES, 0);
}

pgt_inline void pgt_note_flush(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t new,
			       struct kvm_pgtable_flush *owed)
{
	u64 start = align_down(ctx->addr, pgt_level_bytes(ctx->level));
	u64 end = start + pgt_level_bytes(ctx->level);

	if (!pgt_change_owes(ctx->old, new, ctx->level))
		return;
	if (pgt_is_table(ctx->old, ctx->level) && !KVMU_MUTANT(TABLE_NOT_NOTED)) {
		pgt_note_table(owed, ctx->addr, start, end);
		if (!new)
			return; /* only an empty table page becomes absent */
	}
	if (KVMU_MUTANT(SHORT_FLUSH_RANGE))
		end = start + PGT_PAGE_BYTES;
	pgt_flush_add(owed, start, end, 1);
}

/* ---- the change ------------------------------------------------------------------------ */

/*
 * Exclusive, but the MMU itself may set accessed and dirty bits at any moment:
 * what it sets between our read and our write goes over into the new leaf.
 */
pgt_inline void pgt_store_against_mmu(kvm_pte_t *ptep, kvm_pte_t old, kvm_pte_t new,
				      unsigned int level)
{
	kvm_pte_t seen = old;

	while (!pgt_env_cmpxchg(ptep, &seen, new)) {
		if (fmt_young(seen, level) && !fmt_young(old, level))
			new = fmt_mkyoung(new, level);
		if (fmt_dirty(seen, level) && !fmt_dirty(old, level))
			new = fmt_mkdirty(new, level);
		old = seen;
	}
}

pgt_inline int pgt_change_shared(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t new)
{
	kvm_pte_t seen = ctx->old;

	if (!ctx->old && !KVMU_MUTANT(COUNT_NOT_RESERVED) && !pgt_live_reserve(ctx->ptep))
		return -EAGAIN;
	if (KVMU_MUTANT(STORE_IN_SHARED_WALK))
		pgt_env_store(ctx->ptep, new);
	else if (unlikely(!pgt_env_cmpxchg(ctx->ptep, &seen, new))) {
		if (!ctx->old)
			pgt_live_release(ctx->ptep);
		return -EAGAIN;
	}
	if (!ctx->old && KVMU_MUTANT(COUNT_NOT_RESERVED))
		(void)pgt_live_reserve(ctx->ptep);
	if (!new)
		pgt_live_release(ctx->ptep);
	return 0;
}

/*
 * -EAGAIN: what the leaf said was to go on in a table, and the MMU has marked the
 * leaf meanwhile; the table must hold that mark.  Nothing has changed.
 */
pgt_inline int pgt_change_exclusive(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t new)
{
	bool mmu_writes = pgt_is_leaf(ctx->old, ctx->level) &&
			  fmt_mmu_may_write(ctx->pgt, ctx->old, ctx->level);
	enum pgt_kind to = pgt_kind(new, ctx->level);
	kvm_pte_t seen = ctx->old;

	if (unlikely(mmu_writes && (to == PGT_TABLE || to == PGT_LOCKED_ENTRY)))
		return pgt_env_cmpxchg(ctx->ptep, &seen, new) ? 0 : -EAGAIN;
	if (!ctx->old != !new || (new &&KVMU_MUTANT(COUNT_REPLACED_TWICE)))
		pgt_live_adjust(ctx->ptep, new ? 1u : -1u);
	if (mmu_writes && to == PGT_LEAF && !KVMU_MUTANT(MARKS_LOST))
		pgt_store_against_mmu(ctx->ptep, ctx->old, new, ctx->level);
	else
		pgt_env_store(ctx->ptep, new);
	return 0;
}

/* ---- who watches ---------------------------------------------------------------------- */

/* By a builtin: this is no part of any protocol between threads. */
pgt_inline bool pgt_watched(const struct kvm_pgtable *pgt)
{
	return unlikely(pgt->config.watched &&
			__atomic_load_n(pgt->config.watched, __ATOMIC_RELAXED));
}

pgt_cold void pgt_tell_watcher(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t old,
			       kvm_pte_t new)
{
	const struct kvm_pgtable_config *config = &ctx->pgt->config;

	if (config->ops->entry_changed)
		config->ops->entry_changed(config->ctx,
					   align_down(ctx->addr, pgt_level_bytes(ctx->level)),
					   ctx->level, old, new);
}

/*
 * Change the entry the walker shows from ctx->old to @new.  -EAGAIN: someone else
 * was faster, under an exclusive walk the MMU; nothing has changed.
 */
pgt_inline int pgt_entry_change(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t new,
				struct kvm_pgtable_flush *owed)
{
	bool shared = ctx->flags & KVM_PGTABLE_WALK_SHARED;
	int err;

	kvmu_assert(pgt_transition_legal(ctx->old, new, ctx->level, shared));
	err = shared ? pgt_change_shared(ctx, new) : pgt_change_exclusive(ctx, new);
	if (err)
		return err;
	pgt_note_flush(ctx, new, owed);
	if (pgt_watched(ctx->pgt))
		pgt_tell_watcher(ctx, ctx->old, new);
	return 0;
}

/* Does this change have to go through an absent entry and a flush? */
pgt_inline bool pgt_must_break(kvm_pte_t old, kvm_pte_t new, unsigned int level)
{
	if (!FMT_BREAK_BEFORE_MAKE || KVMU_MUTANT(SKIP_BREAK) || !fmt_present(old, level) ||
	    !fmt_present(new, level))
		return false;
	if (pgt_is_table(old, level) || pgt_is_table(new, level))
		return true;
	return fmt_leaf_hpa(old, level) != fmt_leaf_hpa(new, level);
}

/* Lock the entry, flush, make.  Who meets the locked entry meanwhile gets -EAGAIN. */
pgt_cold int pgt_break_before_make(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t new,
				   struct kvm_pgtable_flush *owed)
{
	struct kvm_pgtable_visit_ctx locked = *ctx;
	struct kvm_pgtable_flush now = PGT_FLUSH_NONE;
	int err = pgt_entry_change(ctx, PGT_LOCKED, &now);

	(void)owed; /* nothing is left to do for the caller */
	if (err)
		return err;
	ctx->pgt->config.ops->flush(ctx->pgt->config.ctx, &now);
	kvmu_assert(pgt_transition_legal(PGT_LOCKED, new, ctx->level, false));
	/* Ours alone: no one changes a locked entry but who locked it. */
	pgt_env_store(locked.ptep, new);
	if (pgt_watched(ctx->pgt))
		pgt_tell_watcher(ctx, PGT_LOCKED, new);
	return 0;
}

/* As pgt_entry_change(), for changes that some formats cannot do in one step. */
pgt_inline int pgt_entry_replace(const struct kvm_pgtable_visit_ctx *ctx, kvm_pte_t new,
				 struct kvm_pgtable_flush *owed)
{
	if (pgt_must_break(ctx->old, new, ctx->level))
		return pgt_break_before_make(ctx, new, owed);
	return pgt_entry_change(ctx, new, owed);
}

#endif
