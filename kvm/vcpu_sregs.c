/* SPDX-License-Identifier: BSD-2-Clause */
/* Segments, descriptor tables and control registers (api.rst 4.13, 4.14, 4.131, 4.132). */
#include <string.h>

#include "base/bits.h"
#include "base/assert.h"
#include "kvm/ioctl_table.h"
#include "vcpu/x86/lapic.h"

static struct kvm_segment segment_out(const struct x86_segment *seg)
{
	return (struct kvm_segment){
		.base = seg->base,
		.limit = seg->limit,
		.selector = seg->selector,
		.type = seg->type,
		.present = seg->present,
		.dpl = seg->dpl,
		.db = seg->db,
		.s = seg->s,
		.l = seg->l,
		.g = seg->g,
		.avl = seg->avl,
		.unusable = seg->unusable,
	};
}

/* A segment that is not present cannot be used, whatever "unusable" says. */
static struct x86_segment segment_in(const struct kvm_segment *seg)
{
	return (struct x86_segment){
		.base = seg->base,
		.limit = seg->limit,
		.selector = seg->selector,
		.type = seg->type & 15,
		.s = seg->s & 1,
		.present = seg->present & 1,
		.avl = seg->avl & 1,
		.l = seg->l & 1,
		.db = seg->db & 1,
		.g = seg->g & 1,
		.unusable = (seg->unusable & 1) || !(seg->present & 1),
		.dpl = seg->dpl & 3,
	};
}

/* The parts that kvm_sregs and kvm_sregs2 have in common come first in both. */
static void read_common(const struct x86_cpu *cpu, struct kvm_sregs *sregs)
{
	sregs->cs = segment_out(&cpu->seg[X86_CS]);
	sregs->ds = segment_out(&cpu->seg[X86_DS]);
	sregs->es = segment_out(&cpu->seg[X86_ES]);
	sregs->fs = segment_out(&cpu->seg[X86_FS]);
	sregs->gs = segment_out(&cpu->seg[X86_GS]);
	sregs->ss = segment_out(&cpu->seg[X86_SS]);
	sregs->tr = segment_out(&cpu->seg[X86_TR]);
	sregs->ldt = segment_out(&cpu->seg[X86_LDTR]);
	sregs->gdt = (struct kvm_dtable){.base = cpu->gdt.base, .limit = cpu->gdt.limit};
	sregs->idt = (struct kvm_dtable){.base = cpu->idt.base, .limit = cpu->idt.limit};
	sregs->cr0 = cpu->cr0;
	sregs->cr2 = cpu->cr2;
	sregs->cr3 = cpu->cr3;
	sregs->cr4 = cpu->cr4;
	sregs->cr8 = cpu->cr8;
	sregs->efer = cpu->efer;
	sregs->apic_base = cpu->apic_base;
}

void vcpu_sregs_read(struct vcpu *vcpu, struct kvm_sregs *sregs)
{
	const struct x86_event *irq = &vcpu->cpu->interrupt;

	memset(sregs, 0, sizeof(*sregs));
	read_common(vcpu->cpu, sregs);
	if (irq->pending && !irq->soft)
		sregs->interrupt_bitmap[irq->vector / 64] |= BIT_ULL(irq->vector % 64);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Long mode and CS must agree (SDM vol. 3, 5.2.1 and 26.3.1.2). */
static bool mode_consistent(const struct kvm_sregs *sregs)
{
	bool paging_long = (sregs->efer & X86_EFER_LME) && (sregs->cr0 & X86_CR0_PG);

	if (paging_long)
		return (sregs->cr4 & X86_CR4_PAE) && (sregs->efer & X86_EFER_LMA) &&
		       !(sregs->cs.l && sregs->cs.db);
	return !(sregs->efer & X86_EFER_LMA) && !sregs->cs.l;
}

static bool sregs_valid(const struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	return mode_consistent(sregs) && x86_apic_base_valid(vcpu->cpu, sregs->apic_base) &&
	       x86_sregs_valid(vcpu->cpu, sregs->cr0, sregs->cr3, sregs->cr4, sregs->efer);
}

static void write_segments(struct x86_cpu *cpu, const struct kvm_sregs *sregs)
{
	cpu->seg[X86_CS] = segment_in(&sregs->cs);
	cpu->seg[X86_DS] = segment_in(&sregs->ds);
	cpu->seg[X86_ES] = segment_in(&sregs->es);
	cpu->seg[X86_FS] = segment_in(&sregs->fs);
	cpu->seg[X86_GS] = segment_in(&sregs->gs);
	cpu->seg[X86_SS] = segment_in(&sregs->ss);
	cpu->seg[X86_TR] = segment_in(&sregs->tr);
	cpu->seg[X86_LDTR] = segment_in(&sregs->ldt);
	/* The privilege level is SS's, as in the VMCS and the VMCB. */
	cpu->cpl = cpu->cr0 & X86_CR0_PE ? cpu->seg[X86_SS].dpl : 0;
	cpu->gdt = (struct x86_dtable){.base = sregs->gdt.base, .limit = sregs->gdt.limit};
	cpu->idt = (struct x86_dtable){.base = sregs->idt.base, .limit = sregs->idt.limit};
}

static void write_common(struct x86_cpu *cpu, const struct kvm_sregs *sregs)
{
	cpu->cr0 = sregs->cr0 | X86_CR0_ET;
	cpu->cr2 = sregs->cr2;
	cpu->cr3 = sregs->cr3;
	cpu->cr4 = sregs->cr4;
	x86_set_cr8(cpu, sregs->cr8);
	cpu->efer = sregs->efer;
	/* Checked with the others: it cannot fail any more. */
	KVMU_BUG_ON(x86_set_apic_base(cpu, sregs->apic_base, true));
	write_segments(cpu, sregs);
}

/* An interrupt that was on its way when the state was saved. */
static void write_interrupt_bitmap(struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	for (u32 v = 0; v < KVM_NR_INTERRUPTS && !vcpu->vm->has_irqchip; v++) {
		if (sregs->interrupt_bitmap[v / 64] & BIT_ULL(v % 64)) {
			vcpu->cpu->interrupt = (struct x86_event){.pending = true, .vector = (u8)v};
			return;
		}
	}
}

int vcpu_sregs_write(struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if (!sregs_valid(vcpu, sregs))
		return -EINVAL;
	write_common(vcpu->cpu, sregs);
	x86_cpu_state_changed(vcpu->cpu);
	write_interrupt_bitmap(vcpu, sregs);
	return 0;
}

long do_get_sregs(struct ioctl_call *call)
{
	vcpu_sregs_read(call->vcpu, call->data);
	return 0;
}

long do_set_sregs(struct ioctl_call *call)
{
	return vcpu_sregs_write(call->vcpu, call->data);
}

/* ---- sregs2: the same without the bitmap, with the PDPTEs -------------------- */

static bool pae_paging(const struct x86_cpu *cpu)
{
	return (cpu->cr0 & X86_CR0_PG) && (cpu->cr4 & X86_CR4_PAE) && !(cpu->efer & X86_EFER_LMA);
}

#define COMMON_BYTES offsetof(struct kvm_sregs, interrupt_bitmap)

long do_get_sregs2(struct ioctl_call *call)
{
	const struct x86_cpu *cpu = call->vcpu->cpu;
	struct kvm_sregs2 *out = call->data;
	struct kvm_sregs sregs;

	vcpu_sregs_read(call->vcpu, &sregs);
	memcpy(out, &sregs, COMMON_BYTES);
	if (pae_paging(cpu)) {
		memcpy(out->pdptrs, cpu->pdptr, sizeof(out->pdptrs));
		out->flags |= KVM_SREGS2_FLAGS_PDPTRS_VALID;
	}
	return 0;
}

long do_set_sregs2(struct ioctl_call *call)
{
	const struct kvm_sregs2 *in = call->data;
	struct x86_cpu *cpu = call->vcpu->cpu;
	bool valid_pdptrs = in->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	struct kvm_sregs sregs = {0};
	bool is_pae =
		(in->cr0 & X86_CR0_PG) && (in->cr4 & X86_CR4_PAE) && !(in->efer & X86_EFER_LMA);

	if (in->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID || (valid_pdptrs && !is_pae))
		return -EINVAL;
	memcpy(&sregs, in, COMMON_BYTES);
	if (!sregs_valid(call->vcpu, &sregs))
		return -EINVAL;
	write_common(cpu, &sregs);
	x86_cpu_state_changed(cpu);
	if (valid_pdptrs)
		memcpy(cpu->pdptr, in->pdptrs, sizeof(cpu->pdptr));
	return 0;
}
