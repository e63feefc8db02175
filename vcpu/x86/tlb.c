// SPDX-License-Identifier: BSD-2-Clause
/*
 * The soft TLB: filling the banks of mem.h from a second level, and that from
 * the two walks; flushing.
 *
 * The second level is set-associative and shared by the banks; its entries
 * carry the generation in which they were made, so that a flush of it is one
 * increment.  A first-level flush rewrites the tags of the banks in use.
 */
#include <string.h>

#include "pgtable/instance/ept.h"
#include "vcpu/x86/core.h"
#include "vcpu/x86/debug.h"
#include "vcpu/x86/lapic.h"

#define TLB2_LG2  11
#define TLB2_WAYS 4

struct tlb2_entry {
	u64 page; /* linear */
	hva_t hva;
	gpa_t gpa;
	u32 generation;
	u8 bank;
	u8 perms;
};

struct x86_tlb2 {
	u32 generation; /* entries start at 0, this at 1 */
	u32 victim;
	u32 runs, judged; /* x86_tlb_judge() */
	struct tlb2_entry set[1u << TLB2_LG2][TLB2_WAYS];
};

/* No address of set @index is within a page of this: it belongs to the neighbour set. */
static u64 empty_tag(unsigned int index)
{
	return (u64)(index ^ 1) << PAGE_SHIFT;
}

static void empty_entry(struct x86_tlb_entry *e, unsigned int index)
{
	e->read_tag = e->write_tag = e->exec_tag = empty_tag(index);
	e->addend = 0;
}

static void empty_bank(struct x86_tlb *tlb)
{
	for (unsigned int i = 0; i < X86_TLB_ENTRIES; i++)
		empty_entry(&tlb->entry[i], i);
	tlb->dirty = false;
}

int x86_tlb_create(struct x86_cpu *cpu)
{
	cpu->tlbs = mmu_host_alloc(SITE_tlb, X86_TLB_BANKS * sizeof(*cpu->tlbs));
	cpu->tlb2 = mmu_host_alloc(SITE_tlb, sizeof(*cpu->tlb2));
	if (!cpu->tlbs || !cpu->tlb2)
		return -ENOMEM;
	for (unsigned int i = 0; i < X86_TLB_BANKS; i++)
		empty_bank(&cpu->tlbs[i]);
	cpu->tlb2->generation = 1;
	cpu->tlb = &cpu->tlbs[X86_TLB_KERNEL];
	return 0;
}

void x86_tlb_destroy(struct x86_cpu *cpu)
{
	mmu_host_free(cpu->tlbs);
	mmu_host_free(cpu->tlb2);
}

void x86_flush_tlb(struct x86_cpu *cpu)
{
	for (unsigned int i = 0; i < X86_TLB_BANKS; i++)
		if (cpu->tlbs[i].dirty)
			empty_bank(&cpu->tlbs[i]);
	if (++cpu->tlb2->generation == 0) {
		memset(cpu->tlb2->set, 0, sizeof(cpu->tlb2->set));
		cpu->tlb2->generation = 1;
	}
	x86_code_forget_jumps(cpu);
}

void x86_tlb_withdraw_writes(struct x86_cpu *cpu, hva_t page)
{
	for (unsigned int b = 0; b < X86_TLB_BANKS; b++) {
		struct x86_tlb *tlb = &cpu->tlbs[b];

		for (unsigned int i = 0; tlb->dirty && i < X86_TLB_ENTRIES; i++) {
			struct x86_tlb_entry *e = &tlb->entry[i];

			if (e->write_tag + e->addend == page)
				e->write_tag = empty_tag(i);
		}
	}
}

/* ---- second level ------------------------------------------------------------------- */

static struct tlb2_entry *tlb2_set(struct x86_cpu *cpu, u64 addr)
{
	u64 page = addr >> PAGE_SHIFT;

	return cpu->tlb2->set[(page ^ (page >> TLB2_LG2) ^ (page >> 2 * TLB2_LG2)) &
			      ((1u << TLB2_LG2) - 1)];
}

static struct tlb2_entry *tlb2_find(struct x86_cpu *cpu, u64 addr, enum x86_tlb_bank bank)
{
	struct tlb2_entry *set = tlb2_set(cpu, addr);

	for (unsigned int way = 0; way < TLB2_WAYS; way++)
		if (set[way].page == (addr & PAGE_MASK) && set[way].bank == bank &&
		    set[way].generation == cpu->tlb2->generation)
			return &set[way];
	return NULL;
}

static struct tlb2_entry *tlb2_slot(struct x86_cpu *cpu, u64 addr, enum x86_tlb_bank bank)
{
	struct tlb2_entry *set = tlb2_set(cpu, addr), *e = tlb2_find(cpu, addr, bank);

	if (e)
		return e;
	for (unsigned int way = 0; way < TLB2_WAYS; way++)
		if (set[way].generation != cpu->tlb2->generation)
			return &set[way];
	return &set[cpu->tlb2->victim++ % TLB2_WAYS];
}

/* ---- first level ---------------------------------------------------------------------- */

static void fill_tags(struct x86_cpu *cpu, const struct tlb2_entry *from)
{
	struct x86_tlb *tlb = &cpu->tlbs[from->bank];
	unsigned int index = x86_tlb_index(from->page);
	struct x86_tlb_entry *e = &tlb->entry[index];

	empty_entry(e, index);
	if (unlikely(x86_debug_hides_page(cpu, from->page)))
		return;
	e->addend = from->hva - from->page;
	if (from->perms & X86_PERM_R)
		e->read_tag = from->page;
	/* Stores into code take the slow path, which looks what they hit. */
	if ((from->perms & X86_PERM_W) && !x86_code_holds(cpu, from->hva))
		e->write_tag = from->page;
	if (from->perms & X86_PERM_X)
		e->exec_tag = from->page;
	tlb->dirty = true;
}

/* ---- misses ------------------------------------------------------------------------------ */

bool x86_canonical(const struct x86_cpu *cpu, u64 addr)
{
	unsigned int shift = cpu->cr4 & X86_CR4_LA57 ? 7 : 16;

	return (u64)((s64)(addr << shift) >> shift) == addr;
}

/* The stack's own registers as base make it a stack access (SDM vol. 1, 3.3.7.1). */
static bool is_stack_access(const struct x86_op *op)
{
	return op && op->seg == X86_SEG_NONE &&
	       (op->base == X86_RSP * 8 || op->base == X86_RBP * 8);
}

static _Noreturn void page_fault(struct x86_cpu *cpu, const struct x86_walk *walk)
{
	x86_raise_pf(cpu, walk->addr, walk->code);
}

static bool known_mmio(const struct x86_cpu *cpu, gpa_t gpa, enum x86_access access)
{
	const struct x86_run_state *run = &cpu->run;

	for (unsigned int i = 0; i < run->nr_mmio_pages; i++)
		if (run->mmio_pages[i].gfn == gpa_to_gfn(gpa) &&
		    run->mmio_pages[i].access == (u8)access)
			return true;
	return false;
}

static struct x86_place miss(struct x86_cpu *cpu, u64 addr, enum x86_access access,
			     enum x86_tlb_bank bank)
{
	struct x86_walk walk = {.addr = addr, .access = access, .bank = bank};
	struct x86_ept_leaf leaf;
	struct tlb2_entry *e;

	cpu->tlb_misses++;
	switch (x86_guest_walk(cpu, &walk)) {
	case X86_WALK_OK:
		break;
	case X86_WALK_FAULT:
		page_fault(cpu, &walk);
	case X86_WALK_VIOLATION:
		x86_unwind(cpu, X86_UNWIND_EPT);
	}
	/* As on hardware the APIC's page comes before memory. */
	if (unlikely(x86_lapic_covers(cpu, walk.gpa)) && access != X86_ACCESS_EXEC)
		return (struct x86_place){.gpa = walk.gpa, .mmio = true};
	if (!x86_ept_walk(cpu, walk.gpa, access, false, &leaf)) {
		if (!known_mmio(cpu, walk.gpa, access))
			x86_unwind(cpu, X86_UNWIND_EPT);
		return (struct x86_place){.gpa = walk.gpa, .mmio = true};
	}
	e = tlb2_slot(cpu, addr, bank);
	*e = (struct tlb2_entry){
		.page = addr & PAGE_MASK,
		.hva = leaf.hva & PAGE_MASK,
		.gpa = walk.gpa & PAGE_MASK,
		.generation = cpu->tlb2->generation,
		.bank = (u8)bank,
		.perms = walk.perms & leaf.perms,
	};
	fill_tags(cpu, e);
	return (struct x86_place){.hva = leaf.hva, .gpa = walk.gpa, .perms = e->perms};
}

struct x86_place x86_tlb_translate(struct x86_cpu *cpu, u64 addr, enum x86_access access,
				   enum x86_tlb_bank bank)
{
	u64 offset = addr & ~PAGE_MASK;
	struct tlb2_entry *e;

	if (x86_long_mode(cpu) && unlikely(!x86_canonical(cpu, addr)))
		x86_raise_code(cpu, is_stack_access(cpu->op) ? X86_STACK : X86_GP, 0);
	e = tlb2_find(cpu, addr, bank);
	if (!e || !(e->perms & (1u << access)))
		return miss(cpu, addr, access, bank);
	fill_tags(cpu, e);
	return (struct x86_place){
		.hva = e->hva + offset, .gpa = e->gpa + offset, .perms = e->perms};
}

/* ---- the oracle of translations ------------------------------------------------------------- */

#ifdef KVMU_DEBUG
#define JUDGE_RUNS 8u  /* one of so many runs is judged, */
#define JUDGE_SETS 64u /* and of it so many sets, in turn */

static bool leads_elsewhere(const struct x86_cpu *cpu, const struct tlb2_entry *e)
{
	struct kvm_pgtable_leaf leaf;

	if (e->generation != cpu->tlb2->generation)
		return false;
	if (ept_get_leaf(&cpu->vcpu.kvm->pgt[kvm_vcpu_as_id(&cpu->vcpu)], e->gpa, &leaf) != 0 ||
	    !leaf.present)
		return true;
	return leaf.hpa != e->hva;
}

/*
 * Who takes leaves away asks for the flush before it leaves the lock.  Under it, then,
 * what the TLB holds leads where the tables lead, or the flush is already asked for.
 * Not so for what may be written: the dirty log flushes after it has left the lock.
 */
void x86_tlb_judge(struct x86_cpu *cpu)
{
	struct kvm *kvm = cpu->vcpu.kvm;
	struct x86_tlb2 *tlb2 = cpu->tlb2;

	if (++tlb2->runs % JUDGE_RUNS)
		return;
	mmu_write_lock(&kvm->mmu_lock);
	for (unsigned int i = 0; i < JUDGE_SETS * TLB2_WAYS; i++) {
		const struct tlb2_entry *e = &tlb2->set[(tlb2->judged + i / TLB2_WAYS) %
							(1u << TLB2_LG2)][i % TLB2_WAYS];

		if (cpu->vcpu.mmu->root_epoch != kvm->root_epoch ||
		    (atomic_observe(&cpu->vcpu.requests) & KVM_REQ_TLB_FLUSH))
			break;
		KVMU_BUG_ON(leads_elsewhere(cpu, e));
	}
	tlb2->judged += JUDGE_SETS;
	mmu_write_unlock(&kvm->mmu_lock);
}
#endif
