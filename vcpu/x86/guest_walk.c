// SPDX-License-Identifier: BSD-2-Clause
/*
 * The guest's own page tables: SDM vol. 3, 5.3 (32-bit), 5.4 (PAE), 5.5
 * (4-level and 5-level), 5.6 (access rights), 5.7 (error code), 5.8 (accessed
 * and dirty).
 *
 * One walk for all modes: they differ in depth, in the size of an entry and in
 * the reserved bits.  Every table access goes through the second stage.
 */
#include "vcpu/x86/core.h"

#define PTE_P	  BIT_ULL(0)
#define PTE_W	  BIT_ULL(1)
#define PTE_U	  BIT_ULL(2)
#define PTE_A	  BIT_ULL(5)
#define PTE_D	  BIT_ULL(6)
#define PTE_PS	  BIT_ULL(7)
#define PTE_NX	  BIT_ULL(63)
#define PTE_FRAME GENMASK_ULL(51, 12)

#define MAX_DEPTH 5

/* What the control registers make of the tables. */
struct paging {
	u8 levels;
	u8 index_bits; /* 10 with 4-byte entries */
	u8 entry_bytes;
	gpa_t root;
	u64 reserved; /* in every entry */
};

/* One entry on the way down. */
struct step {
	gpa_t gpa;
	u64 pte;
};

struct path {
	struct step step[MAX_DEPTH];
	unsigned int nr;
	unsigned int level; /* of the last step */
};

static struct paging long_paging(const struct x86_cpu *cpu)
{
	return (struct paging){
		.levels = cpu->cr4 & X86_CR4_LA57 ? 5 : 4,
		.index_bits = 9,
		.entry_bytes = 8,
		.root = cpu->cr3 & PTE_FRAME,
		.reserved = PTE_FRAME & ~((1ull << cpu->maxphyaddr) - 1),
	};
}

/* The top level of PAE is in registers: start one below it.  False: not present there. */
static bool pae_paging(const struct x86_cpu *cpu, u64 addr, struct paging *paging)
{
	u64 pdpte = cpu->pdptr[(addr >> 30) & 3];

	*paging = (struct paging){
		.levels = 2,
		.index_bits = 9,
		.entry_bytes = 8,
		.root = pdpte & PTE_FRAME,
		.reserved = GENMASK_ULL(62, 12) & ~((1ull << cpu->maxphyaddr) - 1),
	};
	return pdpte & PTE_P;
}

static bool choose_paging(const struct x86_cpu *cpu, u64 addr, struct paging *paging)
{
	bool found = true;

	if (x86_long_mode(cpu))
		*paging = long_paging(cpu);
	else if (cpu->cr4 & X86_CR4_PAE)
		found = pae_paging(cpu, addr, paging);
	else
		*paging = (struct paging){
			.levels = 2,
			.index_bits = 10,
			.entry_bytes = 4,
			.root = cpu->cr3 & 0xfffff000,
		};
	if (paging->entry_bytes == 8 && !(cpu->efer & X86_EFER_NXE))
		paging->reserved |= PTE_NX;
	return found;
}

/* ---- entries ------------------------------------------------------------------------ */

/* A table that is not in memory reads as absent, as KVM's own walk has it. */
static bool table_is_mmio(const struct x86_cpu *cpu, gpa_t gpa, enum x86_access access)
{
	const struct x86_run_state *run = &cpu->run;

	for (unsigned int i = 0; i < run->nr_mmio_pages; i++)
		if (run->mmio_pages[i].gfn == gpa_to_gfn(gpa) &&
		    run->mmio_pages[i].access == ((u8)access | X86_ACCESS_TABLE))
			return true;
	return false;
}

static enum x86_walk_outcome read_entry(struct x86_cpu *cpu, const struct x86_walk *walk, gpa_t gpa,
					unsigned int bytes, u64 *pte)
{
	struct x86_ept_leaf leaf;

	*pte = 0;
	if (walk->peek)
		return kvm_vcpu_read_guest(&cpu->vcpu, gpa, pte, bytes) ? X86_WALK_FAULT
									: X86_WALK_OK;
	if (!x86_ept_walk(cpu, gpa, X86_ACCESS_READ, true, &leaf))
		return table_is_mmio(cpu, gpa, X86_ACCESS_READ) ? X86_WALK_OK : X86_WALK_VIOLATION;
	if (bytes == 8)
		*pte = __atomic_load_n((u64 *)hva_to_ptr(leaf.hva), __ATOMIC_ACQUIRE);
	else
		*pte = __atomic_load_n((u32 *)hva_to_ptr(leaf.hva), __ATOMIC_ACQUIRE);
	return X86_WALK_OK;
}

static bool exchange_entry(hva_t hva, unsigned int bytes, u64 old, u64 new)
{
	u32 old32 = (u32)old;

	if (bytes == 8)
		return atomic_cmpxchg_u64(hva_to_ptr(hva), &old, new);
	return __atomic_compare_exchange_n((u32 *)hva_to_ptr(hva), &old32, (u32) new, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* OR @bits into the entry.  FAULT stands for "it changed, walk again". */
static enum x86_walk_outcome set_bits(struct x86_cpu *cpu, const struct step *step,
				      unsigned int bytes, u64 bits)
{
	struct x86_ept_leaf leaf;

	if ((step->pte & bits) == bits)
		return X86_WALK_OK;
	if (!x86_ept_walk(cpu, step->gpa, X86_ACCESS_WRITE, true, &leaf)) {
		/* A table in a read-only slot keeps its bits as they are. */
		return table_is_mmio(cpu, step->gpa, X86_ACCESS_WRITE) ? X86_WALK_OK
								       : X86_WALK_VIOLATION;
	}
	return exchange_entry(leaf.hva, bytes, step->pte, step->pte | bits) ? X86_WALK_OK
									    : X86_WALK_FAULT;
}

/* Does the entry map a page by itself? */
static bool is_leaf(const struct x86_cpu *cpu, const struct paging *paging, u64 pte,
		    unsigned int level)
{
	if (level == 1)
		return true;
	if (!(pte & PTE_PS) || level > 3)
		return false;
	return paging->entry_bytes == 8 || (cpu->cr4 & X86_CR4_PSE);
}

static bool has_pdpe1gb(const struct x86_cpu *cpu)
{
	const struct x86_cpuid_entry *e = x86_find_cpuid(cpu, 0x80000001, 0);

	return e && (e->edx & BIT_ULL(26));
}

/* SDM vol. 3, 5.3, tables 5-4 to 5-6, and 5.5, figure 5-11. */
static u64 reserved_bits(const struct x86_cpu *cpu, const struct paging *paging, u64 pte,
			 unsigned int level)
{
	u64 reserved = paging->reserved;

	if (paging->entry_bytes == 4) {
		if (!is_leaf(cpu, paging, pte, level) || level == 1)
			return 0;
		/* PSE-36: bits 20..13 are address bits 39..32. */
		return BIT_ULL(21) |
		       (cpu->maxphyaddr < 40
				? GENMASK_ULL(20, 13) & ~((1ull << (cpu->maxphyaddr - 19)) - 1)
				: 0);
	}
	if (!(pte & PTE_PS) || level == 1)
		return reserved;
	if (level == 2)
		return reserved | GENMASK_ULL(20, 13);
	if (level == 3 && has_pdpe1gb(cpu))
		return reserved | GENMASK_ULL(29, 13);
	return reserved | PTE_PS;
}

static gpa_t leaf_gpa(const struct paging *paging, u64 pte, unsigned int level, u64 addr)
{
	u64 mask = (1ull << (PAGE_SHIFT + paging->index_bits * (level - 1u))) - 1;

	if (paging->entry_bytes == 4 && level == 2)
		return (pte & 0xffc00000) | ((pte & GENMASK_ULL(20, 13)) << 19) | (addr & mask);
	return (pte & PTE_FRAME & ~mask) | (addr & mask);
}

/* ---- the walk ------------------------------------------------------------------------- */

static u32 error_code(const struct x86_cpu *cpu, const struct x86_walk *walk, u32 why)
{
	u32 code = why;

	if (walk->bank == X86_TLB_USER)
		code |= PFERR_USER_MASK;
	if (walk->access == X86_ACCESS_WRITE)
		code |= PFERR_WRITE_MASK;
	if (walk->access == X86_ACCESS_EXEC &&
	    (((cpu->cr4 & X86_CR4_PAE) && (cpu->efer & X86_EFER_NXE)) || (cpu->cr4 & X86_CR4_SMEP)))
		code |= PFERR_FETCH_MASK;
	return code;
}

static enum x86_walk_outcome descend(struct x86_cpu *cpu, struct x86_walk *walk,
				     const struct paging *paging, struct path *path)
{
	gpa_t table = paging->root;

	path->nr = 0;
	for (path->level = paging->levels;; path->level--) {
		unsigned int shift = PAGE_SHIFT + paging->index_bits * (path->level - 1);
		u64 index = (walk->addr >> shift) & ((1u << paging->index_bits) - 1);
		struct step *step = &path->step[path->nr++];
		enum x86_walk_outcome outcome;

		step->gpa = table + index * paging->entry_bytes;
		outcome = read_entry(cpu, walk, step->gpa, paging->entry_bytes, &step->pte);
		if (outcome != X86_WALK_OK) {
			walk->code = error_code(cpu, walk, 0);
			return outcome;
		}
		if (!(step->pte & PTE_P)) {
			walk->code = error_code(cpu, walk, 0);
			return X86_WALK_FAULT;
		}
		if (step->pte & reserved_bits(cpu, paging, step->pte, path->level)) {
			walk->code = error_code(cpu, walk, PFERR_PRESENT_MASK | PFERR_RSVD_MASK);
			return X86_WALK_FAULT;
		}
		if (is_leaf(cpu, paging, step->pte, path->level))
			return X86_WALK_OK;
		table = step->pte & PTE_FRAME;
	}
}

/* SDM vol. 3, 5.6.1. */
static u8 allowed(const struct x86_cpu *cpu, const struct x86_walk *walk, bool nx)
{
	bool user_bank = walk->bank == X86_TLB_USER;
	u8 perms = 0;

	if (user_bank) {
		if (!walk->user)
			return 0;
		perms = X86_PERM_R | (walk->writable ? X86_PERM_W : 0) | (nx ? 0 : X86_PERM_X);
		return perms;
	}
	if (!(walk->user && (cpu->cr4 & X86_CR4_SMAP)) || walk->bank == X86_TLB_KERNEL_AC) {
		perms |= X86_PERM_R;
		if (walk->writable || !(cpu->cr0 & X86_CR0_WP))
			perms |= X86_PERM_W;
	}
	if (!nx && !(walk->user && (cpu->cr4 & X86_CR4_SMEP)))
		perms |= X86_PERM_X;
	return perms;
}

static void gather_rights(struct x86_walk *walk, const struct path *path, bool *nx)
{
	walk->user = walk->writable = true;
	*nx = false;
	for (unsigned int i = 0; i < path->nr; i++) {
		u64 pte = path->step[i].pte;

		walk->user &= (pte & PTE_U) != 0;
		walk->writable &= (pte & PTE_W) != 0;
		*nx |= (pte & PTE_NX) != 0;
	}
}

/* Returns FAULT when an entry changed meanwhile. */
static enum x86_walk_outcome update_tables(struct x86_cpu *cpu, const struct x86_walk *walk,
					   const struct paging *paging, const struct path *path)
{
	for (unsigned int i = 0; i < path->nr; i++) {
		bool dirty = i + 1 == path->nr && walk->access == X86_ACCESS_WRITE;
		enum x86_walk_outcome outcome = set_bits(cpu, &path->step[i], paging->entry_bytes,
							 PTE_A | (dirty ? PTE_D : 0));

		if (outcome != X86_WALK_OK)
			return outcome;
	}
	return X86_WALK_OK;
}

static enum x86_walk_outcome walk_once(struct x86_cpu *cpu, struct x86_walk *walk, bool *again)
{
	struct paging paging;
	struct path path;
	enum x86_walk_outcome outcome;
	bool nx;
	u64 pte;

	if (!choose_paging(cpu, walk->addr, &paging)) {
		walk->code = error_code(cpu, walk, 0);
		return X86_WALK_FAULT;
	}
	outcome = descend(cpu, walk, &paging, &path);
	if (outcome != X86_WALK_OK)
		return outcome;
	gather_rights(walk, &path, &nx);
	pte = path.step[path.nr - 1].pte;
	walk->gpa = leaf_gpa(&paging, pte, path.level, walk->addr);
	if (walk->peek)
		return X86_WALK_OK;
	walk->perms = allowed(cpu, walk, nx);
	if (!(walk->perms & (1u << walk->access))) {
		walk->code = error_code(cpu, walk, PFERR_PRESENT_MASK);
		return X86_WALK_FAULT;
	}
	outcome = update_tables(cpu, walk, &paging, &path);
	*again = outcome == X86_WALK_FAULT;
	if (walk->access != X86_ACCESS_WRITE && !(pte & PTE_D))
		walk->perms &= (u8)~X86_PERM_W;
	return outcome;
}

enum x86_walk_outcome x86_guest_walk(struct x86_cpu *cpu, struct x86_walk *walk)
{
	enum x86_walk_outcome outcome;
	bool again;

	if (!(cpu->cr0 & X86_CR0_PG)) {
		walk->gpa = walk->addr;
		walk->perms = X86_PERM_R | X86_PERM_W | X86_PERM_X;
		walk->user = walk->writable = true;
		return X86_WALK_OK;
	}
	/* Each turn lost means that another CPU changed an entry: it made progress. */
	do {
		again = false;
		outcome = walk_once(cpu, walk, &again);
	} while (again);
	return outcome;
}

/* SDM vol. 3, 5.4.1: bits 2..1, 8..5 and those above the address are reserved. */
bool x86_load_pdptrs(struct x86_cpu *cpu, u64 cr3, u64 out[4], bool in_guest)
{
	const u64 reserved = GENMASK_ULL(63, 0) & ~((1ull << cpu->maxphyaddr) - 1);
	const struct x86_walk walk = {.peek = !in_guest};

	for (unsigned int i = 0; i < 4; i++) {
		enum x86_walk_outcome outcome =
			read_entry(cpu, &walk, (cr3 & 0xffffffe0) + i * 8, 8, &out[i]);

		if (outcome == X86_WALK_VIOLATION)
			x86_unwind(cpu, X86_UNWIND_EPT);
		if (outcome != X86_WALK_OK)
			return false;
		if ((out[i] & PTE_P) && (out[i] & (reserved | 0x1e6)))
			return false;
	}
	return true;
}

bool x86_translate(struct x86_cpu *cpu, u64 gva, gpa_t *gpa, bool *writable, bool *user)
{
	struct x86_walk walk = {.addr = gva, .peek = true};

	if ((cpu->cr0 & X86_CR0_PG) && x86_long_mode(cpu) && !x86_canonical(cpu, gva))
		return false;
	if (x86_guest_walk(cpu, &walk) != X86_WALK_OK)
		return false;
	*gpa = walk.gpa;
	*writable = walk.writable;
	*user = walk.user;
	return true;
}
