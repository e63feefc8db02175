/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Long-mode page tables: APM vol. 2, 5.3 (formats), 5.4 (fields), 5.6
 * (protection); SDM vol. 3, 4.5.  AMD's nested page tables are the same, walked
 * as user accesses (APM 15.25.5), so that every entry must have U/S set.
 * Levels: x86_tree.h.
 *
 * Upper entries permit everything and leaves decide.  The MMU sets accessed
 * bits in tables and leaves, and dirty bits in leaves; no mode keeps it from
 * that, so config.accessed_dirty must say so.  A present leaf is readable:
 * there is no leaf without R.
 *
 * PCD and PWT together choose PAT entry 3, which is uncached as the register
 * comes out of reset; NPT combines it with the guest's type (APM 15.25.8).
 */
#ifndef KVMU_PGTABLE_FORMAT_X86_64_H
#define KVMU_PGTABLE_FORMAT_X86_64_H

#define FMT_NAME "x86_64"

#include "pgtable/format/x86_tree.h"

#define X86_64_PRESENT	BIT_ULL(0)
#define X86_64_WRITE	BIT_ULL(1)
#define X86_64_USER	BIT_ULL(2)
#define X86_64_PWT	BIT_ULL(3)
#define X86_64_PCD	BIT_ULL(4)
#define X86_64_ACCESSED BIT_ULL(5)
#define X86_64_DIRTY	BIT_ULL(6)
#define X86_64_NX	BIT_ULL(63)
#define X86_64_UNCACHED (X86_64_PCD | X86_64_PWT)
#define X86_64_TABLE	(X86_64_PRESENT | X86_64_WRITE | X86_64_USER)
#define X86_64_MARKS	(X86_64_ACCESSED | X86_64_DIRTY)

#define X86_64_MARKS_SHIFT 3 /* from here up to the portable ones */
_Static_assert(X86_64_MARKS << X86_64_MARKS_SHIFT ==
		       (KVM_PGTABLE_PROT_ACCESSED | KVM_PGTABLE_PROT_DIRTY),
	       "marks are in the order of the portable ones");
_Static_assert(X86_64_WRITE == KVM_PGTABLE_PROT_W && X86_64_PWT == KVM_PGTABLE_PROT_DEVICE,
	       "these are where the portable ones are");

#define FMT_BIT_WRITE	 X86_64_WRITE
#define FMT_BIT_ACCESSED X86_64_ACCESSED
#define FMT_BIT_DIRTY	 X86_64_DIRTY
#include "pgtable/format/one_bit_each.h"

static inline int fmt_geometry(const struct kvm_pgtable_config *config, u8 *levels,
			       size_t *root_bytes)
{
	return config->accessed_dirty ? x86_geometry(config, levels, root_bytes) : -EINVAL;
}

static inline bool fmt_present(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & X86_64_PRESENT;
}

static inline kvm_pte_t fmt_make_table(hpa_t hpa, unsigned int level)
{
	(void)level;
	return hpa | X86_64_TABLE;
}

static inline bool fmt_prot_valid(const struct kvm_pgtable *pgt, enum kvm_pgtable_prot prot)
{
	(void)pgt;
	return !(prot & ~KVM_PGTABLE_PROT_ALL) && (prot & KVM_PGTABLE_PROT_R);
}

static inline kvm_pte_t fmt_make_leaf(const struct kvm_pgtable *pgt, hpa_t hpa,
				      enum kvm_pgtable_prot prot, unsigned int level)
{
	kvm_pte_t pte = hpa | X86_64_PRESENT | x86_make_sw(prot);

	pte |= prot & X86_64_WRITE;
	pte |= (prot & KVM_PGTABLE_PROT_X) ? 0 : X86_64_NX;
	pte |= (prot & KVM_PGTABLE_PROT_DEVICE) ? X86_64_UNCACHED : 0;
	pte |= (u64)prot >> X86_64_MARKS_SHIFT & X86_64_MARKS;
	pte |= pgt->config.supervisor ? 0 : X86_64_USER;
	return level > 1 ? pte | X86_PAGE : pte;
}

static inline enum kvm_pgtable_prot fmt_leaf_prot(kvm_pte_t pte, unsigned int level)
{
	u64 prot = KVM_PGTABLE_PROT_R | x86_sw_prot(pte);

	(void)level;
	prot |= pte & X86_64_WRITE;
	prot |= (pte & X86_64_NX) ? 0 : KVM_PGTABLE_PROT_X;
	prot |= pte & X86_64_PWT; /* of X86_64_UNCACHED: where DEVICE is */
	prot |= (pte & X86_64_MARKS) << X86_64_MARKS_SHIFT;
	return (enum kvm_pgtable_prot)prot;
}

static inline bool fmt_flush_owed(kvm_pte_t old, kvm_pte_t new, unsigned int level)
{
	const u64 gone = old & ~new, come = new & ~old;

	(void)level;
	return (gone & ~(X86_64_NX | X86_SW)) || (come & ~(X86_64_WRITE | X86_64_MARKS | X86_SW));
}

static inline bool fmt_entry_valid(const struct kvm_pgtable *pgt, kvm_pte_t pte, unsigned int level)
{
	const u64 leaf =
		X86_64_TABLE | X86_64_UNCACHED | X86_64_MARKS | X86_64_NX | X86_PAGE | X86_SW;

	/* In tables the accessed bit is the MMU's, the dirty bit is ignored. */
	if (level > 1 && fmt_is_table(pte, level))
		return (pte & ~(X86_ADDR | X86_64_MARKS)) == X86_64_TABLE;
	return x86_leaf_shape_valid(pte, level) && !(pte & ~(X86_ADDR | leaf)) &&
	       ((pte & X86_64_USER) == 0) == pgt->config.supervisor;
}

#endif
