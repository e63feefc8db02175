/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables: types shared by every format.  The operations themselves are
 * declared once in pgtable_api.h and instantiated per format (ept_map(),
 * tiny_map(), ...), see instance/ for the list.
 *
 * The library owns no policy and knows no operating system.  What it needs
 * comes through two doors: an inline environment chosen when it is compiled
 * (env.h: table address to pointer, live-entry count), and struct
 * kvm_pgtable_ops for what is slow (table pages, flushes).
 *
 * Addresses are bytes, end is exclusive, levels count from 1 at the leaf.
 */
#ifndef KVMU_PGTABLE_PGTABLE_H
#define KVMU_PGTABLE_PGTABLE_H

#include "base/errno.h"
#include "base/types.h"

typedef u64 kvm_pte_t;

/*
 * Portable permissions and attributes of a leaf.  ACCESSED and DIRTY preset
 * what the MMU would set on first use: a leaf that a fault installs is about to
 * be used, and presetting spares the MMU a locked write.  A leaf replaced by
 * one of the same hpa keeps the accessed and dirty state it has.
 */
enum kvm_pgtable_prot {
	KVM_PGTABLE_PROT_R = 1u << 0,
	KVM_PGTABLE_PROT_W = 1u << 1,
	KVM_PGTABLE_PROT_X = 1u << 2,
	KVM_PGTABLE_PROT_DEVICE = 1u << 3, /* uncached device memory; default: write-back */
	KVM_PGTABLE_PROT_SW0 = 1u << 4,	   /* software bits: kept, never interpreted */
	KVM_PGTABLE_PROT_SW1 = 1u << 5,
	KVM_PGTABLE_PROT_SW2 = 1u << 6,
	KVM_PGTABLE_PROT_SW3 = 1u << 7,
	KVM_PGTABLE_PROT_ACCESSED = 1u << 8,
	KVM_PGTABLE_PROT_DIRTY = 1u << 9,
	KVM_PGTABLE_PROT_RW = KVM_PGTABLE_PROT_R | KVM_PGTABLE_PROT_W,
	KVM_PGTABLE_PROT_RWX = KVM_PGTABLE_PROT_RW | KVM_PGTABLE_PROT_X,
	KVM_PGTABLE_PROT_SW = KVM_PGTABLE_PROT_SW0 | KVM_PGTABLE_PROT_SW1 | KVM_PGTABLE_PROT_SW2 |
			      KVM_PGTABLE_PROT_SW3,
	KVM_PGTABLE_PROT_ALL = (1u << 10) - 1,
};

enum kvm_pgtable_walk_flags {
	KVM_PGTABLE_WALK_LEAF = 1u << 0,       /* visit leaves and absent entries */
	KVM_PGTABLE_WALK_TABLE_PRE = 1u << 1,  /* visit tables before their children */
	KVM_PGTABLE_WALK_TABLE_POST = 1u << 2, /* ... and after */
	KVM_PGTABLE_WALK_SHARED = 1u << 3, /* others walk and change entries too: cmpxchg only */
	KVM_PGTABLE_WALK_HANDLE_FAULT = 1u << 4, /* a vCPU waits: losing a race leaves the walk */
};

/*
 * The flushes an operation owes to the translation caches, gathered as one
 * range.  Nothing is owed while start >= end.  The caller flushes before it
 * gives pages back; the library flushes by itself only where the architecture
 * demands it in the middle of an operation (break-before-make).
 */
struct kvm_pgtable_flush {
	u64 start;
	u64 end;
	u64 entries; /* entries changed so that a cached translation is now wrong */
	bool tables; /* a table page was unlinked: walk caches too */
};

static inline bool kvm_pgtable_flush_owed(const struct kvm_pgtable_flush *flush)
{
	return flush->start < flush->end;
}

/*
 * Table pages a caller took from its allocator before it took a lock.  An
 * operation that is given a cache allocates from nothing else and returns
 * -ENOMEM when it is empty, leaving a valid table.
 */
#define KVM_PGTABLE_CACHE_PAGES 16
struct kvm_pgtable_cache {
	unsigned int nr;
	void *pages[KVM_PGTABLE_CACHE_PAGES]; /* zeroed */
};

/* Slow services of the consumer.  @ctx is kvm_pgtable_config::ctx. */
struct kvm_pgtable_ops {
	/* One zeroed table page, NULL when there is none.  May sleep if the caller of the operation
	 * may. */
	void *(*alloc_table)(void *ctx);
	/* A table page that no walker can reach: free at once. */
	void (*free_table)(void *ctx, void *table);
	/*
	 * A table page just unlinked from a live tree: free it when the flush
	 * owed is done and all lock-free walkers have passed (grace period).
	 */
	void (*retire_table)(void *ctx, void *table);
	/* The root: @bytes is a power of two, naturally aligned, zeroed. */
	void *(*alloc_root)(void *ctx, size_t bytes);
	void (*free_root)(void *ctx, void *root, size_t bytes);
	/* Break-before-make only: flush now, synchronously.  NULL where the format never asks. */
	void (*flush)(void *ctx, const struct kvm_pgtable_flush *flush);
	/* Cache maintenance to the point of coherency for @bytes at hpa; NULL: not needed. */
	void (*clean_dcache)(void *ctx, hpa_t hpa, size_t bytes);
	/*
	 * While config.watched is not 0: the entry for @addr has changed.  Under the
	 * walk's lock, in a shared walk beside others.  Not told: what happens to a
	 * tree that nobody can reach, and destroy.  NULL: nobody ever asks.
	 */
	void (*entry_changed)(void *ctx, u64 addr, u8 level, kvm_pte_t old, kvm_pte_t new);
};

struct kvm_pgtable_config {
	u8 input_bits;	/* size of the input address space; the format says which are allowed */
	u8 levels;	/* 0: what input_bits needs */
	u8 granule_lg2; /* 12, 14 or 16; 0: 12 */
	bool accessed_dirty; /* the MMU sets accessed and dirty bits by itself */
	bool supervisor;     /* x86_64: leaves without U/S; NPT and user space need it clear */
	bool svpbmt;	     /* RISC-V: the MMU knows memory types, DEVICE may be asked for */
	const u16 *watched;  /* see ops->entry_changed; may be set at any moment; NULL: never */
	void *ctx;
	const struct kvm_pgtable_ops *ops;
};

struct kvm_pgtable {
	struct kvm_pgtable_config config;
	u8 levels; /* depth; the root's entries are of this level */
	kvm_pte_t *root;
	size_t root_bytes; /* more than one page where roots are concatenated */
};

/* What a visitor is shown. */
struct kvm_pgtable_visit_ctx {
	struct kvm_pgtable *pgt;
	kvm_pte_t *ptep;
	kvm_pte_t old; /* as last read by the walker */
	u64 addr;      /* first address of this entry that lies inside the walk */
	u64 start;     /* of the walk */
	u64 end;
	u8 level;
	enum kvm_pgtable_walk_flags flags;
	void *arg;
};

struct kvm_pgtable_walker;

typedef int (*kvm_pgtable_visitor_fn_t)(const struct kvm_pgtable_visit_ctx *ctx,
					enum kvm_pgtable_walk_flags visit);
typedef bool (*kvm_pgtable_walker_action_fn_t)(const struct kvm_pgtable_walker *walker, int ret);

/*
 * The visitor contract.  For a visitor's value of 0 the walk goes on.  For any
 * other value the walker is asked, retry first:
 *
 *   retry(walker, ret)   look at this entry again, re-read; bounded: when the
 *                        entry stays unchanged over very many retries the walk
 *                        is left with ret, and a debug build stops in kvmu_bug()
 *   ignore(walker, ret)  go to the next entry; below a table that the visitor
 *                        refused in TABLE_PRE nothing is visited
 *   neither              leave the walk with ret
 *
 * After a visit that is not refused the entry is read again: a LEAF that has
 * become a table is walked into (no TABLE_PRE), a table that has become
 * something else is not; TABLE_POST is shown only while the entry is a table.
 *
 * NULL means "no".  The attribute operations (write-protect, age, relax) use:
 *
 *   visitor says         | shared        | shared + HANDLE_FAULT | exclusive
 *   0                    | next          | next                  | next
 *   -EAGAIN (lost race)  | retry entry   | leave with -EAGAIN    | next (cannot race)
 *   -ENOENT (no leaf)    | next          | leave with -ENOENT    | next
 *   anything else        | leave with it | leave with it         | leave with it
 *
 * The idea is from a proposal on the kernel list (see docs/mails.md), whose
 * sample asks the predicates for 0 as well, inverts its last test and puts no
 * bound on retries.  The table above is what holds here; each cell is a test.
 */
struct kvm_pgtable_walker {
	kvm_pgtable_visitor_fn_t cb;
	kvm_pgtable_walker_action_fn_t ignore;
	kvm_pgtable_walker_action_fn_t retry;
	void *arg;
	enum kvm_pgtable_walk_flags flags;
};

/*
 * The two predicates behind the table above, for a caller's own attribute
 * walker.  They see the walker's flags and nothing else.
 */
static inline bool kvm_pgtable_attr_retry(const struct kvm_pgtable_walker *walker, int ret)
{
	return ret == -EAGAIN && (walker->flags & KVM_PGTABLE_WALK_SHARED) &&
	       !(walker->flags & KVM_PGTABLE_WALK_HANDLE_FAULT);
}

static inline bool kvm_pgtable_attr_ignore(const struct kvm_pgtable_walker *walker, int ret)
{
	bool shared = walker->flags & KVM_PGTABLE_WALK_SHARED;

	if (ret == -EAGAIN)
		return !shared;
	return ret == -ENOENT && !(shared && (walker->flags & KVM_PGTABLE_WALK_HANDLE_FAULT));
}

/* One request to map; inputs are const, what the operation found is not. */
struct kvm_pgtable_map {
	const u64 addr;	 /* page aligned */
	const u64 size;	 /* page aligned, not 0 */
	const hpa_t hpa; /* page aligned */
	const enum kvm_pgtable_prot prot;
	const u8 max_level;			 /* biggest leaf allowed; 0: as the format allows */
	const enum kvm_pgtable_walk_flags flags; /* SHARED, HANDLE_FAULT */
	struct kvm_pgtable_cache *const cache;	 /* NULL: ops->alloc_table */

	struct kvm_pgtable_flush *const flush; /* may be NULL if the caller flushes everything */
	u64 mapped;    /* bytes now mapped from addr on, valid also on error */
	u64 installed; /* leaves written, per call; 0 after success: all were there already */
	u8 level;      /* of the last leaf */
};

struct kvm_pgtable_leaf {
	kvm_pte_t pte;	 /* 0 where absent and nothing is noted */
	kvm_pte_t *ptep; /* where it was read; for relax_leaf, in the same read-side section */
	u8 level;	 /* where the walk ended */
	hpa_t hpa;	 /* of the address asked for, when present */
	enum kvm_pgtable_prot prot;
	bool present;
	bool accessed;
	bool dirty;
	u32 owner;	     /* of an absent entry, see set_owner */
	bool mmio;	     /* an absent entry that set_mmio has made ... */
	u32 mmio_generation; /* ... as of this */
};

#endif
