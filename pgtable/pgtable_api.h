/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operations, declared for one format.  Included by the header of each
 * instance with PGT_NAME(op) defined, e.g. ept_##op; no include guard.
 *
 * Locks: "exclusive" means the caller holds its MMU lock for writing, "shared"
 * for reading; get_leaf needs only a read-side critical section (or either
 * lock).  No operation sleeps unless the consumer's ops do.  All check their
 * arguments first: -EINVAL for misaligned, empty or wrapping ranges and bad
 * levels, -ERANGE beyond the input size; nothing has changed then.
 */

/*
 * Prepare @pgt and allocate its root.  -EINVAL for a geometry the format does
 * not have, -ENOMEM.
 */
int PGT_NAME(init)(struct kvm_pgtable *pgt, const struct kvm_pgtable_config *config);

/*
 * Free every table page and the root at once.  Exclusive, and no lock-free
 * walker may be left.  Owes a flush of everything to the caller.
 */
void PGT_NAME(destroy)(struct kvm_pgtable *pgt);

/*
 * Exchange the trees of two tables of one geometry, so that all of a tree can
 * be left behind at once.  Both exclusive; get_leaf may run, and sees one tree
 * or the other.  Owes a flush of everything.
 */
void PGT_NAME(swap_roots)(struct kvm_pgtable *pgt, struct kvm_pgtable *other);

/*
 * Map [addr, addr + size) with the largest leaves that alignment of addr and
 * hpa, the remaining size and max_level allow.  Existing leaves are replaced;
 * a leaf that already is what is asked for is left alone (installed stays as
 * it is).  A block in the way of smaller leaves is replaced by a table that
 * keeps the rest of it mapped; a table in the way of a block is unlinked and
 * retired (exclusive) or, when shared, the block is not formed and the smaller
 * leaves are kept.
 *
 * Shared with HANDLE_FAULT: -EAGAIN when another thread changed the entry at
 * the same time, the vCPU faults again.  A bigger leaf that already permits what
 * is asked for stays whole and gets the ACCESSED and DIRTY asked for.  -ENOMEM:
 * what is in map->mapped is mapped, the table is valid, the call may be repeated.
 * A fresh mapping owes no flush; a replaced one does.
 */
int PGT_NAME(map)(struct kvm_pgtable *pgt, struct kvm_pgtable_map *map);

/*
 * Remove all leaves and annotations in the range.  A block that sticks out is
 * split first (this may allocate from @cache, -ENOMEM).  Emptied table pages
 * are unlinked and retired.  @flags may hold SHARED.  Owes @flush.
 */
int PGT_NAME(unmap)(struct kvm_pgtable *pgt, u64 addr, u64 size, enum kvm_pgtable_walk_flags flags,
		    struct kvm_pgtable_cache *cache, struct kvm_pgtable_flush *flush);

/* Look @addr up without a lock; never fails inside the input size (-ERANGE). */
int PGT_NAME(get_leaf)(struct kvm_pgtable *pgt, u64 addr, struct kvm_pgtable_leaf *leaf);

/*
 * Add to @leaves, by level, how many leaves intersect [addr, addr + size); after
 * @max entries looked at it stops.  Returns where to go on, addr + size at the
 * end.  Shared or exclusive.
 */
u64 PGT_NAME(count_leaves)(struct kvm_pgtable *pgt, u64 addr, u64 size, u64 max, u64 *leaves);

/* Walk [addr, addr + size), rounded outwards to pages, with the caller's visitor. */
int PGT_NAME(walk)(struct kvm_pgtable *pgt, u64 addr, u64 size,
		   const struct kvm_pgtable_walker *walker);

/* Remove write permission from every leaf that intersects the range.  Owes @flush. */
int PGT_NAME(wrprotect)(struct kvm_pgtable *pgt, u64 addr, u64 size,
			enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_flush *flush);

/*
 * Make the next write to each page of every leaf that intersects the range be
 * noticed: a page loses its dirty mark, which the MMU then sets again; a block,
 * whose mark would not say which page, and any leaf where the MMU sets no marks
 * (accessed_dirty) loses its write permission as well.  Owes @flush.
 */
int PGT_NAME(mkclean)(struct kvm_pgtable *pgt, u64 addr, u64 size,
		      enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_flush *flush);

/*
 * Annotate the range with @owner (not 0): no leaf is left in it, and get_leaf
 * tells the owner of each absent page.  map and unmap forget the annotation.
 * Blocks that stick out are split, -ENOMEM as in map.  @flags may hold SHARED;
 * then a table in the way is kept and annotated below.  Owes @flush.
 */
int PGT_NAME(set_owner)(struct kvm_pgtable *pgt, u64 addr, u64 size, u32 owner,
			enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_cache *cache,
			struct kvm_pgtable_flush *flush);

/*
 * Note that no memory is behind @addr, as of @generation (not 0) of whatever says
 * so; get_leaf tells.  The note is one absent entry, the largest up to @max_level
 * (from 1, root included) where no table hangs, and speaks for all it covers.  It
 * replaces an earlier one and nothing else: -EEXIST for a leaf or an owner.  A
 * note may be lost at any time: whatever maps, annotates or unmaps a part of it
 * forgets the whole.  @flags may hold SHARED.  -EAGAIN: someone else changed
 * the entry; -ENOMEM.  Owes nothing.
 */
int PGT_NAME(set_mmio)(struct kvm_pgtable *pgt, u64 addr, u32 generation, unsigned int max_level,
		       enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_cache *cache);

/*
 * Mark the leaf around @addr (any byte of it) accessed.  -ENOENT: no leaf.
 * -EAGAIN: SHARED with HANDLE_FAULT, and someone else changed it.  Owes nothing.
 */
int PGT_NAME(mkyoung)(struct kvm_pgtable *pgt, u64 addr, enum kvm_pgtable_walk_flags flags);

/*
 * Clear the accessed mark of every leaf that intersects the range; *@young: one
 * was marked.  Until @flush is done the MMU may go on using what it cached and
 * mark nothing; a caller that only wants a hint may leave it undone.
 */
int PGT_NAME(mkold)(struct kvm_pgtable *pgt, u64 addr, u64 size, enum kvm_pgtable_walk_flags flags,
		    bool *young, struct kvm_pgtable_flush *flush);

/* *@young: a leaf that intersects the range is marked accessed.  Shared or exclusive. */
int PGT_NAME(test_young)(struct kvm_pgtable *pgt, u64 addr, u64 size, bool *young);

/*
 * Add the permissions in @prot (R, W, X only) to the leaf around @addr; none is
 * taken away.  -ENOENT, -EAGAIN as mkyoung; -EINVAL where the format cannot say
 * the result.  Owes @flush where the MMU keeps refusing what it cached as
 * refused (arm64, RISC-V); x86 forgets that with the fault.
 */
int PGT_NAME(relax_perms)(struct kvm_pgtable *pgt, u64 addr, enum kvm_pgtable_prot prot,
			  enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_flush *flush);

/*
 * Add @prot (R, W, X, ACCESSED, DIRTY) to the very leaf that get_leaf has shown
 * for @addr.  Lock-free: both calls in one read-side section.  Only adds, so
 * that an exclusive walk may run over it: what that takes away, the next fault
 * asks for again.  -EAGAIN: the entry has changed since; -EINVAL as relax_perms,
 * and for an absent leaf.  Owes @flush as relax_perms.
 */
int PGT_NAME(relax_leaf)(struct kvm_pgtable *pgt, u64 addr, const struct kvm_pgtable_leaf *leaf,
			 enum kvm_pgtable_prot prot, struct kvm_pgtable_flush *flush);

/*
 * Cache maintenance: ops->clean_dcache() for what each leaf of normal memory in
 * the range leads to.  Shared or exclusive.  Nothing to do without that service.
 */
int PGT_NAME(flush)(struct kvm_pgtable *pgt, u64 addr, u64 size);

/*
 * Split every block that intersects the range until no leaf is above @level
 * (from 1).  -ENOMEM: some are split, the table is valid, and a call with a
 * refilled @cache goes on.  Owes nothing where a table may replace a block of
 * the same content; elsewhere the library breaks, flushes and makes.
 */
int PGT_NAME(split)(struct kvm_pgtable *pgt, u64 addr, u64 size, unsigned int level,
		    enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_cache *cache,
		    struct kvm_pgtable_flush *flush);

/*
 * Replace each table inside the range, up to @max_level, whose leaves are the
 * parts of one block by that block; accessed and dirty are or'ed, and set where
 * the MMU may be setting them meanwhile (config.accessed_dirty; dirty where it is
 * writable).  Exclusive.  The table pages are retired.  Owes @flush.
 */
int PGT_NAME(collapse)(struct kvm_pgtable *pgt, u64 addr, u64 size, unsigned int max_level,
		       struct kvm_pgtable_flush *flush);

/*
 * Build a table for one entry of @level (from 2) that leads to [hpa, ...) with
 * leaves of @max_level (0: pages); nobody sees it until it is linked.  No lock.
 * -EINVAL, -ERANGE, -ENOMEM (nothing is left behind).
 */
int PGT_NAME(create_unlinked)(struct kvm_pgtable *pgt, hpa_t hpa, unsigned int level,
			      enum kvm_pgtable_prot prot, unsigned int max_level,
			      struct kvm_pgtable_cache *cache, kvm_pte_t **table);

/* Free what create_unlinked built and nobody linked.  No lock. */
void PGT_NAME(free_unlinked)(struct kvm_pgtable *pgt, kvm_pte_t *table, unsigned int level);

/*
 * Put such a table at @addr (aligned to @level), in place of an absent entry or
 * a leaf; tables above it are taken from @cache.  -EEXIST: a table is there.
 * On any error @table is still the caller's.  Owes @flush when a leaf went.
 */
int PGT_NAME(link_unlinked)(struct kvm_pgtable *pgt, u64 addr, kvm_pte_t *table, unsigned int level,
			    enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_cache *cache,
			    struct kvm_pgtable_flush *flush);

/*
 * Verify the structure: every table reachable once, live-entry counts exact,
 * reserved bits clear.  Exclusive.  0 or -EIO after reporting what is wrong.
 */
int PGT_NAME(check)(struct kvm_pgtable *pgt);
