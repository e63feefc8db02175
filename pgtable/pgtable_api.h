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
 * Map [addr, addr + size) with the largest leaves that alignment of addr and
 * hpa, the remaining size and max_level allow.  Existing leaves are replaced;
 * a leaf that already is what is asked for is left alone (installed stays as
 * it is).  A block in the way of smaller leaves is replaced by a table that
 * keeps the rest of it mapped; a table in the way of a block is unlinked and
 * retired (exclusive) or, when shared, the block is not formed and the smaller
 * leaves are kept.
 *
 * Shared with HANDLE_FAULT: -EAGAIN when another thread changed the entry at
 * the same time, the vCPU faults again.  -ENOMEM: what is in map->mapped is
 * mapped, the table is valid, the call may be repeated.
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

/* Walk [addr, addr + size), rounded outwards to pages, with the caller's visitor. */
int PGT_NAME(walk)(struct kvm_pgtable *pgt, u64 addr, u64 size,
		   const struct kvm_pgtable_walker *walker);

/* Remove write permission from every leaf that intersects the range.  Owes @flush. */
int PGT_NAME(wrprotect)(struct kvm_pgtable *pgt, u64 addr, u64 size,
			enum kvm_pgtable_walk_flags flags, struct kvm_pgtable_flush *flush);

/*
 * Verify the structure: every table reachable once, live-entry counts exact,
 * reserved bits clear.  Exclusive.  0 or -EIO after reporting what is wrong.
 */
int PGT_NAME(check)(struct kvm_pgtable *pgt);
