// SPDX-License-Identifier: BSD-2-Clause
/*
 * Delivery through the interrupt table: SDM vol. 3, 7.12 (protected mode),
 * 7.14 (64-bit mode), 22.1.4 (real mode), 22.2 (virtual-8086); and when an
 * external interrupt or NMI may be taken.
 *
 * A delivery touches memory only before it changes registers, and writes the
 * same values again when it is repeated after a second-stage fault.
 */
#include "base/trace.h"
#include "vcpu/x86/core.h"
#include "vcpu/x86/debug.h"
#include "vcpu/x86/flags.h"
#include "vcpu/x86/lapic.h"
#include "vcpu/x86/smm.h"

enum gate_type {
	GATE_TASK = 5,
	GATE_INT16 = 6,
	GATE_TRAP16 = 7,
	GATE_INT32 = 14,
	GATE_TRAP32 = 15,
};

struct gate {
	u64 offset;
	u16 selector;
	u8 type, dpl, ist;
	bool present;
};

/* One delivery. */
struct delivery {
	const struct x86_event *event;
	struct gate gate;
	u32 ext; /* the EXT bit of error codes raised now */
	struct x86_segment cs, ss;
	u8 cpl; /* of the handler */
	bool switches;
	u64 rsp;
	u64 return_rip;
	u64 rflags; /* image to push */
};

/* Only faults have the instruction run again, and RF keeps its breakpoint from doing so. */
static bool is_fault(const struct x86_event *event)
{
	return !event->soft && event->vector != X86_DB && event->vector != X86_NMI &&
	       event->vector != X86_BP && event->vector != X86_OF && event->vector != X86_DF &&
	       event->vector != X86_MC;
}

static void fill_return(struct x86_cpu *cpu, struct delivery *d, bool external)
{
	d->return_rip = cpu->regs[X86_REG_RIP];
	if (d->event->soft || (!external && d->event->insn_len))
		d->return_rip = x86_wrap_rip(cpu, d->return_rip + d->event->insn_len);
	d->rflags = x86_rflags(cpu);
	if (!external && is_fault(d->event) && !d->event->insn_len)
		d->rflags |= X86_EFLAGS_RF;
	d->ext = external || !d->event->soft ? 1 : 0;
}

/* ---- real mode ------------------------------------------------------------------------- */

static void real_mode(struct x86_cpu *cpu, struct delivery *d)
{
	u64 rsp = cpu->regs[X86_RSP], slot[3];
	const u16 frame[3] = {(u16)d->rflags, cpu->seg[X86_CS].selector, (u16)d->return_rip};
	struct x86_segment cs;
	u16 vector[2];

	if (d->event->vector * 4u + 3 > cpu->idt.limit)
		x86_raise(cpu, X86_GP);
	x86_load_sys(cpu, cpu->idt.base + d->event->vector * 4u, vector, 4);
	for (unsigned int i = 0; i < 3; i++) {
		rsp = x86_stack_add(cpu, rsp, -2);
		slot[i] = x86_stack_linear(cpu, rsp, 2, true);
		x86_probe(cpu, slot[i], 2, true);
	}
	for (unsigned int i = 0; i < 3; i++)
		x86_store16(cpu, slot[i], frame[i]);
	cpu->regs[X86_RSP] = rsp;
	cpu->regs[X86_REG_RIP] = vector[0];
	cs = cpu->seg[X86_CS];
	cs.selector = vector[1];
	cs.base = (u64)vector[1] << 4;
	x86_set_segment(cpu, X86_CS, &cs);
	cpu->rflags &= ~(u64)(X86_EFLAGS_IF | X86_EFLAGS_TF | X86_EFLAGS_AC | X86_EFLAGS_RF);
}

/* ---- gates --------------------------------------------------------------------------------- */

static u32 idt_error(const struct delivery *d)
{
	return d->event->vector * 8u + 2 + d->ext;
}

static void read_gate(struct x86_cpu *cpu, struct delivery *d)
{
	unsigned int bytes = x86_long_mode(cpu) ? 16 : 8;
	u64 raw[2] = {0, 0};
	bool type_ok;

	if (d->event->vector * bytes + bytes - 1 > cpu->idt.limit)
		x86_raise_code(cpu, X86_GP, idt_error(d));
	x86_load_sys(cpu, cpu->idt.base + d->event->vector * bytes, raw, bytes);
	d->gate = (struct gate){
		.offset = (raw[0] & 0xffff) | (raw[0] >> 48 << 16) | (raw[1] << 32),
		.selector = (u16)(raw[0] >> 16),
		.type = (raw[0] >> 40) & 31,
		.dpl = (raw[0] >> 45) & 3,
		.ist = (raw[0] >> 32) & 7,
		.present = (raw[0] >> 47) & 1,
	};
	type_ok = d->gate.type == GATE_INT32 || d->gate.type == GATE_TRAP32;
	if (!x86_long_mode(cpu))
		type_ok = type_ok || d->gate.type == GATE_INT16 || d->gate.type == GATE_TRAP16 ||
			  d->gate.type == GATE_TASK;
	if (!type_ok || (d->event->soft && d->gate.dpl < cpu->cpl))
		x86_raise_code(cpu, X86_GP, idt_error(d));
	if (!d->gate.present)
		x86_raise_code(cpu, X86_NP, idt_error(d));
	/* Hardware task switches are not implemented. */
	if (d->gate.type == GATE_TASK)
		x86_unsupported(cpu);
}

static void check_code_segment(struct x86_cpu *cpu, struct delivery *d)
{
	u16 selector = d->gate.selector;
	struct x86_descriptor desc;

	if (!(selector & ~3))
		x86_raise_code(cpu, X86_GP, d->ext);
	if (!x86_read_descriptor(cpu, selector, &desc))
		x86_raise_code(cpu, X86_GP, (selector & ~3u) + d->ext);
	x86_unpack_descriptor(selector, desc.low, &d->cs);
	if (!d->cs.s || !(d->cs.type & 8) || d->cs.dpl > cpu->cpl)
		x86_raise_code(cpu, X86_GP, (selector & ~3u) + d->ext);
	if (x86_long_mode(cpu) && (!d->cs.l || d->cs.db))
		x86_raise_code(cpu, X86_GP, (selector & ~3u) + d->ext);
	if (!d->cs.present)
		x86_raise_code(cpu, X86_NP, (selector & ~3u) + d->ext);
	d->switches = !(d->cs.type & 4) && d->cs.dpl < cpu->cpl;
	d->cpl = d->switches ? d->cs.dpl : cpu->cpl;
	if (x86_vm86(cpu) && d->cpl != 0)
		x86_raise_code(cpu, X86_GP, (selector & ~3u) + d->ext);
	x86_mark_accessed(cpu, selector, desc.low);
	d->cs.selector = (u16)((selector & ~3u) | d->cpl);
}

static void commit(struct x86_cpu *cpu, struct delivery *d)
{
	u64 clear = X86_EFLAGS_TF | X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_VM;

	if (d->gate.type == GATE_INT32 || d->gate.type == GATE_INT16)
		clear |= X86_EFLAGS_IF;
	cpu->rflags &= ~clear;
	cpu->cpl = d->cpl;
	cpu->seg[X86_CS] = d->cs;
	if (d->switches)
		cpu->seg[X86_SS] = d->ss;
	cpu->regs[X86_RSP] = d->rsp;
	cpu->regs[X86_REG_RIP] = d->gate.offset;
	x86_code_forget_jumps(cpu);
	x86_update_mode(cpu);
}

/* ---- 64-bit ---------------------------------------------------------------------------------- */

static void long_mode(struct x86_cpu *cpu, struct delivery *d)
{
	u64 frame[6], rsp = cpu->regs[X86_RSP];
	unsigned int nr = 0;

	if (d->gate.ist)
		rsp = x86_tss_rsp(cpu, 3u + d->gate.ist);
	else if (d->switches)
		rsp = x86_tss_rsp(cpu, d->cpl);
	if (!x86_canonical(cpu, rsp))
		x86_raise_code(cpu, X86_STACK, d->ext);
	if (!x86_canonical(cpu, d->gate.offset))
		x86_raise_code(cpu, X86_GP, d->ext);
	if (d->event->has_error_code)
		frame[nr++] = d->event->error_code;
	frame[nr++] = d->return_rip;
	frame[nr++] = cpu->seg[X86_CS].selector;
	frame[nr++] = d->rflags;
	frame[nr++] = cpu->regs[X86_RSP];
	frame[nr++] = cpu->seg[X86_SS].selector;
	d->rsp = (rsp & ~15ull) - nr * 8;
	if (!x86_canonical(cpu, d->rsp))
		x86_raise_code(cpu, X86_STACK, d->ext);
	if (d->cpl == 3)
		x86_store_bytes(cpu, d->rsp, frame, nr * 8);
	else
		x86_store_sys(cpu, d->rsp, frame, nr * 8);
	/* The new SS is null, with the new privilege as RPL. */
	d->ss = (struct x86_segment){.selector = d->cpl,
				     .dpl = d->cpl,
				     .unusable = true,
				     .type = 3,
				     .s = true,
				     .present = true,
				     .db = true,
				     .g = true,
				     .limit = ~0u};
	commit(cpu, d);
}

/* ---- 16- and 32-bit ---------------------------------------------------------- */

/* Words of @bytes each, the first pushed first. */
static void push_frame(struct x86_cpu *cpu, struct delivery *d, const u32 *words, unsigned int nr,
		       unsigned int bytes)
{
	const struct x86_segment *ss = d->switches ? &d->ss : &cpu->seg[X86_SS];
	u64 mask = ss->db ? 0xffffffff : 0xffff, rsp = d->rsp;
	bool expand_down = ss->type & 4;

	for (unsigned int i = 0; i < nr; i++) {
		u64 off = (rsp - bytes) & mask, last = off + bytes - 1;

		if (expand_down ? off <= ss->limit || last > mask : last > ss->limit)
			x86_raise_code(cpu, X86_STACK,
				       (d->switches ? ss->selector & ~3u : 0) + d->ext);
		if (d->cpl == 3)
			x86_store_bytes(cpu, (u32)(ss->base + off), &words[i], bytes);
		else
			x86_store_sys(cpu, (u32)(ss->base + off), &words[i], bytes);
		rsp = (rsp & ~mask) | off;
	}
	d->rsp = rsp;
}

static void null_data_segments(struct x86_cpu *cpu)
{
	static const enum x86_seg_reg data[] = {X86_ES, X86_DS, X86_FS, X86_GS};

	for (unsigned int i = 0; i < ARRAY_SIZE(data); i++)
		cpu->seg[data[i]] = (struct x86_segment){.unusable = true};
}

static void protected_mode(struct x86_cpu *cpu, struct delivery *d)
{
	unsigned int bytes = d->gate.type & 8 ? 4 : 2, nr = 0;
	bool vm86 = x86_vm86(cpu);
	u32 words[10];

	d->rsp = cpu->regs[X86_RSP];
	if (d->switches) {
		u16 ss;
		u32 esp;

		x86_tss_stack(cpu, d->cpl, &ss, &esp);
		d->ss = x86_check_stack_segment(cpu, ss, d->cpl, X86_TS);
		d->rsp = esp;
		if (vm86) {
			words[nr++] = cpu->seg[X86_GS].selector;
			words[nr++] = cpu->seg[X86_FS].selector;
			words[nr++] = cpu->seg[X86_DS].selector;
			words[nr++] = cpu->seg[X86_ES].selector;
		}
		words[nr++] = cpu->seg[X86_SS].selector;
		words[nr++] = (u32)cpu->regs[X86_RSP];
	}
	words[nr++] = (u32)d->rflags;
	words[nr++] = cpu->seg[X86_CS].selector;
	words[nr++] = (u32)d->return_rip;
	if (d->event->has_error_code)
		words[nr++] = d->event->error_code;
	if (!(d->gate.type & 8))
		d->gate.offset &= 0xffff;
	d->gate.offset &= 0xffffffff;
	if (d->gate.offset > d->cs.limit)
		x86_raise_code(cpu, X86_GP, d->ext);
	push_frame(cpu, d, words, nr, bytes);
	if (vm86)
		null_data_segments(cpu);
	commit(cpu, d);
}

void x86_vector_through_idt(struct x86_cpu *cpu, const struct x86_event *event, bool external)
{
	struct delivery d = {.event = event};

	fill_return(cpu, &d, external);
	if (!(cpu->cr0 & X86_CR0_PE)) {
		real_mode(cpu, &d);
	} else {
		/* Under CR4.VME a bitmap could redirect INT n; it is not offered. */
		if (x86_vm86(cpu) && event->soft && event->vector != X86_BP &&
		    (cpu->rflags & X86_EFLAGS_IOPL) != X86_EFLAGS_IOPL)
			x86_raise_code(cpu, X86_GP, 0);
		read_gate(cpu, &d);
		check_code_segment(cpu, &d);
		if (x86_long_mode(cpu))
			long_mode(cpu, &d);
		else
			protected_mode(cpu, &d);
	}
	x86_update_mode(cpu);
}

/* ---- taking interrupts ------------------------------------------------------- */

bool x86_interrupts_open(const struct x86_cpu *cpu)
{
	return (cpu->rflags & X86_EFLAGS_IF) && !cpu->sti_shadow && !cpu->ss_shadow;
}

static void deliver(struct x86_cpu *cpu, u8 vector)
{
	const struct x86_event event = {.vector = vector};

	cpu->run.delivering = true;
	cpu->run.delivering_vector = vector;
	cpu->run.delivering_external = true;
	x86_vector_through_idt(cpu, &event, true);
	cpu->run.delivering = false;
	/* Device answers belong to the instruction that is now put off. */
	x86_code_changed(cpu);
}

static bool has_extint(const struct x86_cpu *cpu)
{
	return unlikely(atomic_observe(&cpu->machine->extint)) && x86_lapic_passes_extint(cpu);
}

/* As KVM does: what the APIC gives up is held until its delivery has succeeded. */
static void fetch_interrupt(struct x86_cpu *cpu)
{
	int vector = has_extint(cpu) ? cpu->machine->ops->acknowledge_extint(cpu) : -1;

	if (vector < 0) {
		vector = x86_lapic_highest(cpu);
		if (vector < 0)
			return;
		x86_lapic_accept(cpu, (u8)vector);
	}
	cpu->interrupt = (struct x86_event){.pending = true, .vector = (u8)vector};
}

bool x86_would_wake(struct x86_cpu *cpu)
{
	if (x86_smi_open(cpu) || (cpu->nmi_pending && !cpu->nmi_masked))
		return true;
	if (!(cpu->rflags & X86_EFLAGS_IF))
		return false;
	if (cpu->interrupt.pending)
		return true;
	return cpu->lapic && (has_extint(cpu) || x86_lapic_highest(cpu) >= 0);
}

bool x86_cpu_wakes(struct x86_cpu *cpu)
{
	if (cpu->lapic) {
		x86_lapic_timer_poll(cpu);
		/* A kick ends one halt, also one to come. */
		if (cpu->lapic->unhalted) {
			cpu->lapic->unhalted = false;
			return true;
		}
	}
	return x86_would_wake(cpu);
}

bool x86_take_interrupt(struct x86_cpu *cpu)
{
	if (unlikely(cpu->nmi_pending) && !cpu->nmi_masked && !cpu->ss_shadow && !cpu->sti_shadow) {
		deliver(cpu, X86_NMI);
		kvm_stat_add(&cpu->vcpu.stat.nmi_injections, 1);
		cpu->nmi_pending = false;
		cpu->nmi_masked = true;
		return true;
	}
	if (!x86_interrupts_open(cpu) || (cpu->debug.control & X86_DEBUG_BLOCK_IRQ))
		return false;
	if (cpu->lapic && !cpu->interrupt.pending &&
	    (atomic_peek(&cpu->lapic->irr_pending) || has_extint(cpu)))
		fetch_interrupt(cpu);
	if (unlikely(cpu->interrupt.pending)) {
		deliver(cpu, cpu->interrupt.vector);
		kvm_stat_add(&cpu->vcpu.stat.irq_injections, 1);
		kvmu_trace(kvm, kvm_inj_virq, cpu->interrupt.vector, false, false);
		cpu->interrupt.pending = false;
		return true;
	}
	return false;
}
