/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A plain array of pages beside a real table.  Each model_*() does one operation
 * on both and fails the test where they differ: in what a page leads to, its
 * permissions, marks and owner, the size of its leaf, or the flush owed.
 */
#ifndef KVMU_TESTS_PGTABLE_MODEL_H
#define KVMU_TESTS_PGTABLE_MODEL_H

#include "tests/pgtable/harness.h"

struct page {
	bool present;
	u8 level; /* as the table said last */
	u32 owner;
	u32 mmio; /* generation of a note that may have been lost since */
	u32 prot; /* with ACCESSED and DIRTY */
	hpa_t hpa;
};

struct model {
	struct test_table t;
	const struct format *format;
	u64 base;  /* address of page 0 */
	u64 nr;	   /* pages in the window */
	u64 block; /* pages in a level 2 block */
	struct page *page;
	struct page *before; /* what the operation may change, as it was when it began */
};

struct range {
	u64 first; /* pages */
	u64 end;
};

static inline u64 model_addr(const struct model *m, u64 page)
{
	return m->base + page * format_page(m->format);
}

static inline u64 model_bytes(const struct model *m, struct range r)
{
	return (r.end - r.first) * format_page(m->format);
}

void model_setup(struct model *m, const struct format *format);
void model_teardown(struct model *m);
/* Before and after each operation: count anew, free what was retired. */
void model_begin(struct model *m);
void model_end(struct model *m);
void model_verify(struct model *m, u64 first, u64 end);
/* count_leaves agrees with get_leaf on the whole window, in turns of at most @max entries. */
void model_verify_count(struct model *m, u64 max);

/* Page 0 of the window at @shift = 0 leads to this. */
#define MODEL_HPA (1ull << 32)

void model_map(struct model *m, struct range r, u64 shift, enum kvm_pgtable_prot prot, u8 max_level,
	       enum kvm_pgtable_walk_flags flags);
void model_unmap(struct model *m, struct range r, enum kvm_pgtable_walk_flags flags);
void model_set_mmio(struct model *m, u64 page, u32 generation, unsigned int max_level,
		    enum kvm_pgtable_walk_flags flags);
void model_set_owner(struct model *m, struct range r, u32 owner, enum kvm_pgtable_walk_flags flags);
void model_wrprotect(struct model *m, struct range r, enum kvm_pgtable_walk_flags flags);
void model_clean(struct model *m, struct range r, enum kvm_pgtable_walk_flags flags);
void model_age(struct model *m, struct range r, enum kvm_pgtable_walk_flags flags);
void model_touch(struct model *m, u64 page, enum kvm_pgtable_walk_flags flags);
void model_relax(struct model *m, u64 page, u32 prot, enum kvm_pgtable_walk_flags flags);
/* By get_leaf and relax_leaf, as a fault without a lock does. */
void model_relax_leaf(struct model *m, u64 page, u32 prot);
void model_split(struct model *m, struct range r, enum kvm_pgtable_walk_flags flags);
/* These two work on whole level 2 blocks, @page is the first of one. */
void model_collapse(struct model *m, u64 page, u64 blocks);
void model_link(struct model *m, u64 page, hpa_t hpa, enum kvm_pgtable_prot prot,
		enum kvm_pgtable_walk_flags flags);

#endif
