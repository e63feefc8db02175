/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RISC-V second stage: privileged spec, hypervisor extension, "Guest Physical
 * Address Translation" (Sv39x4, Sv48x4, Sv57x4), with the entries of Sv39 and
 * the Svpbmt memory types.
 *
 *   mode     input bits   levels   root
 *   Sv39x4   41           3        16 KiB: four pages, index two bits wider
 *   Sv48x4   50           4        16 KiB
 *   Sv57x4   59           5        16 KiB
 *
 * Every level may hold leaves: 4 KiB, 2 MiB, 1 GiB, 512 GiB, 256 TiB.  Guest
 * accesses count as user accesses, so leaves have U set; G stays clear.  A leaf
 * must have A, and D to be written: where config.accessed_dirty is set the MMU
 * sets them (Svadu), otherwise it faults, and whoever handles the fault maps with
 * the marks preset.
 *
 * Only two bits are left to software: SW2 and SW3 cannot be said.  Neither can
 * DEVICE unless config.svpbmt is set; without Svpbmt the physical memory
 * attributes alone decide, and for devices they do so rightly.
 *
 * The MMU may cache any entry that it could read, absent ones too, and until the
 * fence it may use the old entry or the new ("unpredictable, but otherwise well
 * defined").  So permissions or marks added owe a flush; and a vCPU that faulted
 * executes HFENCE.GVMA for the address itself before it tries again: a fresh
 * mapping and mkyoung() owe the other harts nothing.  As the manual advises where
 * a page changes its size, an entry is cleared and fenced before it is made anew.
 */
#ifndef KVMU_PGTABLE_FORMAT_RISCV_G_H
#define KVMU_PGTABLE_FORMAT_RISCV_G_H

#define FMT_NAME	      "riscv_g"
#define FMT_PAGE_LG2	      12
#define FMT_TABLE_BITS	      9
#define FMT_TABLE_LG2	      12
#define FMT_MAX_LEVELS	      5
#define FMT_LEAF_LEVEL_MAX    5
#define FMT_BREAK_BEFORE_MAKE 1

#include "pgtable/format/contract.h"

#define RISCV_VALID    BIT_ULL(0)
#define RISCV_READ     BIT_ULL(1)
#define RISCV_WRITE    BIT_ULL(2)
#define RISCV_EXEC     BIT_ULL(3)
#define RISCV_RWX      (RISCV_READ | RISCV_WRITE | RISCV_EXEC)
#define RISCV_USER     BIT_ULL(4)
#define RISCV_ACCESSED BIT_ULL(6)
#define RISCV_DIRTY    BIT_ULL(7)
#define RISCV_RSW      GENMASK_ULL(9, 8)
#define RISCV_PPN      GENMASK_ULL(53, 10)
#define RISCV_PBMT     GENMASK_ULL(62, 61)
#define RISCV_PBMT_IO  (2ull << 61)

#define RISCV_PROT_SW (KVM_PGTABLE_PROT_SW0 | KVM_PGTABLE_PROT_SW1)
/* The PPN field starts two bits below the page size. */
#define RISCV_PPN_SHIFT (FMT_PAGE_LG2 - 10)

_Static_assert(RISCV_RWX == KVM_PGTABLE_PROT_RWX << 1 && RISCV_READ == KVM_PGTABLE_PROT_R << 1,
	       "permissions are one bit above the portable ones");
_Static_assert(RISCV_RSW == (u64)RISCV_PROT_SW << 4, "RSW is four bits above SW0");
_Static_assert(RISCV_ACCESSED == KVM_PGTABLE_PROT_ACCESSED >> 2 &&
		       RISCV_DIRTY == KVM_PGTABLE_PROT_DIRTY >> 2,
	       "marks are two bits below the portable ones");
#define RISCV_MARKS (RISCV_ACCESSED | RISCV_DIRTY)

#define FMT_BIT_WRITE	 RISCV_WRITE
#define FMT_BIT_ACCESSED RISCV_ACCESSED
#define FMT_BIT_DIRTY	 RISCV_DIRTY
#include "pgtable/format/one_bit_each.h"

static inline int fmt_geometry(const struct kvm_pgtable_config *config, u8 *levels,
			       size_t *root_bytes)
{
	if (config->granule_lg2 && config->granule_lg2 != 12)
		return -EINVAL;
	if (config->input_bits < 30 || config->input_bits > 59)
		return -EINVAL;
	if (!*levels)
		*levels = config->input_bits > 50 ? 5 : config->input_bits > 41 ? 4 : 3;
	if (*levels < 3 || *levels > 5 || config->input_bits > 12 + 9 * *levels + 2)
		return -EINVAL;
	*root_bytes = 16384;
	return 0;
}

static inline bool fmt_present(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte & RISCV_VALID;
}

static inline bool fmt_is_table(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return !(pte & RISCV_RWX);
}

static inline kvm_pte_t fmt_make_table(hpa_t hpa, unsigned int level)
{
	(void)level;
	return hpa >> RISCV_PPN_SHIFT | RISCV_VALID;
}

static inline hpa_t fmt_table_hpa(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return (pte & RISCV_PPN) << RISCV_PPN_SHIFT;
}

static inline bool fmt_prot_valid(const struct kvm_pgtable *pgt, enum kvm_pgtable_prot prot)
{
	unsigned int lacks = KVM_PGTABLE_PROT_SW2 | KVM_PGTABLE_PROT_SW3;

	lacks |= pgt->config.svpbmt ? 0 : KVM_PGTABLE_PROT_DEVICE;
	if (prot & (~(unsigned int)KVM_PGTABLE_PROT_ALL | lacks))
		return false;
	/* Write without read is reserved; without any permission it is a table. */
	return (prot & KVM_PGTABLE_PROT_W) ? (prot & KVM_PGTABLE_PROT_R) != 0
					   : (prot & KVM_PGTABLE_PROT_RWX) != 0;
}

static inline bool fmt_hpa_valid(const struct kvm_pgtable *pgt, hpa_t hpa)
{
	(void)pgt;
	return !(hpa & ~(RISCV_PPN << RISCV_PPN_SHIFT));
}

static inline kvm_pte_t fmt_make_leaf(const struct kvm_pgtable *pgt, hpa_t hpa,
				      enum kvm_pgtable_prot prot, unsigned int level)
{
	kvm_pte_t pte = hpa >> RISCV_PPN_SHIFT | RISCV_VALID | RISCV_USER;

	(void)pgt;
	(void)level;
	pte |= (u64)(prot & KVM_PGTABLE_PROT_RWX) << 1;
	pte |= (u64)(prot & RISCV_PROT_SW) << 4;
	pte |= (u64)prot >> 2 & RISCV_MARKS;
	return (prot & KVM_PGTABLE_PROT_DEVICE) ? pte | RISCV_PBMT_IO : pte;
}

static inline hpa_t fmt_leaf_hpa(kvm_pte_t pte, unsigned int level)
{
	return fmt_table_hpa(pte, level);
}

static inline enum kvm_pgtable_prot fmt_leaf_prot(kvm_pte_t pte, unsigned int level)
{
	u64 prot = (pte & RISCV_RWX) >> 1 | (pte & RISCV_RSW) >> 4 | (pte & RISCV_MARKS) << 2;

	(void)level;
	if ((pte & RISCV_PBMT) == RISCV_PBMT_IO)
		prot |= KVM_PGTABLE_PROT_DEVICE;
	return (enum kvm_pgtable_prot)prot;
}

static inline kvm_pte_t fmt_leaf_next(kvm_pte_t pte, unsigned int level)
{
	return pte + (1ull << (FMT_PAGE_LG2 + FMT_TABLE_BITS * (level - 1) - RISCV_PPN_SHIFT));
}

/* A leaf says the same at every level; what differs is how much of it. */
static inline kvm_pte_t fmt_leaf_shrink(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte;
}

static inline kvm_pte_t fmt_leaf_grow(kvm_pte_t pte, unsigned int level)
{
	(void)level;
	return pte;
}

static inline bool fmt_flush_owed(kvm_pte_t old, kvm_pte_t new, unsigned int level)
{
	(void)level;
	return (old ^ new) & ~RISCV_RSW;
}

static inline bool fmt_entry_valid(const struct kvm_pgtable *pgt, kvm_pte_t pte, unsigned int level)
{
	const u64 leaf = RISCV_RWX | RISCV_USER | RISCV_MARKS | RISCV_RSW | RISCV_PBMT_IO;
	u64 bytes = 1ull << (FMT_PAGE_LG2 + FMT_TABLE_BITS * (level - 1));

	if (level > 1 && fmt_is_table(pte, level))
		return !(pte & ~(RISCV_VALID | RISCV_PPN));
	return !(pte & ~(RISCV_VALID | RISCV_PPN | leaf)) && (pte & RISCV_USER) &&
	       fmt_prot_valid(pgt, fmt_leaf_prot(pte, level)) &&
	       is_aligned(fmt_leaf_hpa(pte, level), bytes);
}

#endif
