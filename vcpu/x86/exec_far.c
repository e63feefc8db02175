// SPDX-License-Identifier: BSD-2-Clause
/*
 * Far transfers: JMP, CALL, RET far; INT n, INT3, INTO, INT1; IRET; SYSCALL,
 * SYSRET, SYSENTER, SYSEXIT (SDM vol. 2, the instructions' pages; vol. 3, 6.8).
 *
 * Call gates, task gates and hardware task switches are not implemented and
 * end in an emulation failure.
 */
#include <string.h>

#include "vcpu/x86/core.h"
#include "vcpu/x86/exec_int.h"

/* ---- software interrupts ----------------------------------------------------------------- */

X86_HANDLER(int_n)
{
	x86_soft_interrupt(cpu, op, (u8)op->imm, true);
}

X86_HANDLER(into)
{
	if (!(x86_flags_compute(cpu) & X86_EFLAGS_OF))
		X86_NEXT(cpu, op);
	x86_soft_interrupt(cpu, op, X86_OF, true);
}

/* INT1 is no software interrupt: the gate's DPL is not checked. */
X86_HANDLER(int1)
{
	x86_soft_interrupt(cpu, op, X86_DB, false);
}

static x86_op_fn *select_int(struct x86_decode *d)
{
	d->ends_block = true;
	switch (d->insn->mnemonic) {
	case ZYDIS_MNEMONIC_INT1:
		return int1;
	case ZYDIS_MNEMONIC_INT3:
		d->op->imm = X86_BP;
		return int_n;
	case ZYDIS_MNEMONIC_INTO:
		return into;
	default:
		d->op->imm = (u8)d->operands[0].imm.value.u;
		return int_n;
	}
}

/* ---- code segments -------------------------------------------------------------------------- */

/* CS for a return to privilege @rpl, or for a direct transfer at the current one. */
static struct x86_segment checked_code(struct x86_cpu *cpu, u16 selector, bool returning)
{
	struct x86_descriptor desc;
	struct x86_segment seg;
	u8 rpl = selector & 3;
	bool conforming, ok;

	if (!(selector & ~3))
		x86_raise_code(cpu, X86_GP, 0);
	if (!x86_read_descriptor(cpu, selector, &desc))
		x86_raise_code(cpu, X86_GP, selector & ~3u);
	x86_unpack_descriptor(selector, desc.low, &seg);
	if (!seg.s && !returning)
		x86_unsupported(cpu); /* a gate or a TSS */
	if (!seg.s || !(seg.type & 8))
		x86_raise_code(cpu, X86_GP, selector & ~3u);
	conforming = seg.type & 4;
	if (returning)
		ok = rpl >= cpu->cpl && (conforming ? seg.dpl <= rpl : seg.dpl == rpl);
	else
		ok = conforming ? seg.dpl <= cpu->cpl : rpl <= cpu->cpl && seg.dpl == cpu->cpl;
	if (!ok || (x86_long_mode(cpu) && seg.l && seg.db))
		x86_raise_code(cpu, X86_GP, selector & ~3u);
	if (!seg.present)
		x86_raise_code(cpu, X86_NP, selector & ~3u);
	x86_mark_accessed(cpu, selector, desc.low);
	seg.type |= 1;
	if (!returning)
		seg.selector = (u16)((selector & ~3u) | cpu->cpl);
	return seg;
}

static void check_target(struct x86_cpu *cpu, const struct x86_segment *cs, u64 rip)
{
	bool code64 = x86_long_mode(cpu) && cs->l;

	if (code64 ? !x86_canonical(cpu, rip) : rip > cs->limit)
		x86_raise_code(cpu, X86_GP, 0);
}

static struct x86_segment target_code(struct x86_cpu *cpu, u16 selector, u64 rip)
{
	struct x86_segment cs;

	if (x86_protected(cpu)) {
		cs = checked_code(cpu, selector, false);
	} else {
		cs = x86_vm86(cpu) ? x86_real_segment(X86_CS, selector, true) : cpu->seg[X86_CS];
		cs.selector = selector;
		cs.base = (u64)selector << 4;
	}
	check_target(cpu, &cs, rip);
	return cs;
}

static const struct x86_op *go_far(struct x86_cpu *cpu, const struct x86_segment *cs, u64 rip)
{
	x86_set_segment(cpu, X86_CS, cs);
	return x86_done_at(cpu, cpu->op, rip);
}

/* ---- JMP and CALL far -------------------------------------------------------- */

struct far_pointer {
	u16 selector;
	u64 offset;
};

static struct far_pointer read_far_pointer(struct x86_cpu *cpu, const struct x86_op *op)
{
	struct far_pointer p = {.selector = 0};
	u8 raw[10];

	cpu->op = op;
	if (op->aux) { /* immediate */
		p.offset = (u32)op->imm64;
		p.selector = (u16)(op->imm64 >> 32);
		return p;
	}
	x86_load_bytes(cpu, x86_ea(cpu, op, op->size + 2u, false), raw, op->size + 2u);
	memcpy(&p.offset, raw, op->size);
	memcpy(&p.selector, raw + op->size, 2);
	return p;
}

X86_HANDLER(jmp_far)
{
	struct far_pointer p = read_far_pointer(cpu, op);
	struct x86_segment cs = target_code(cpu, p.selector, p.offset);

	return go_far(cpu, &cs, p.offset);
}

/* Push values of @size bytes, the first one first; all or none. */
static u64 push_all(struct x86_cpu *cpu, const u64 *values, unsigned int nr, unsigned int size)
{
	u64 rsp = cpu->regs[X86_RSP], slot[4];

	for (unsigned int i = 0; i < nr; i++) {
		rsp = x86_stack_add(cpu, rsp, -(s64)size);
		slot[i] = x86_stack_linear(cpu, rsp, size, true);
		x86_probe(cpu, slot[i], size, true);
	}
	for (unsigned int i = 0; i < nr; i++)
		x86_store_bytes(cpu, slot[i], &values[i], size);
	return rsp;
}

X86_HANDLER(call_far)
{
	struct far_pointer p = read_far_pointer(cpu, op);
	struct x86_segment cs = target_code(cpu, p.selector, p.offset);
	const u64 frame[2] = {cpu->seg[X86_CS].selector, x86_next_rip(cpu, op)};
	u64 rsp = push_all(cpu, frame, 2, op->size);

	cpu->regs[X86_RSP] = rsp;
	return go_far(cpu, &cs, p.offset);
}

/* ---- the stack, read without moving it --------------------------------------- */

struct popper {
	u64 rsp;
	unsigned int size;
};

static u64 pop(struct x86_cpu *cpu, struct popper *p)
{
	u64 value = 0;

	x86_load_bytes(cpu, x86_stack_linear(cpu, p->rsp, p->size, false), &value, p->size);
	p->rsp = x86_stack_add(cpu, p->rsp, p->size);
	return value;
}

/* After a return to an outer ring: data segments it may not have become null. */
static void drop_inner_segments(struct x86_cpu *cpu)
{
	static const enum x86_seg_reg data[] = {X86_ES, X86_DS, X86_FS, X86_GS};

	for (unsigned int i = 0; i < ARRAY_SIZE(data); i++) {
		struct x86_segment *seg = &cpu->seg[data[i]];
		bool conforming = (seg->type & 12) == 12;

		if (!seg->unusable && seg->dpl < cpu->cpl && !conforming)
			*seg = (struct x86_segment){.unusable = true};
	}
}

/* SS of a return to outer privilege; null is fine for 64-bit code below ring 3. */
static struct x86_segment outer_stack(struct x86_cpu *cpu, u16 selector, u8 rpl, bool code64)
{
	if (!(selector & ~3) && code64 && rpl != 3 && (selector & 3) == rpl)
		return (struct x86_segment){
			.selector = selector, .unusable = true, .dpl = rpl, .db = true};
	return x86_check_stack_segment(cpu, selector, rpl, X86_GP);
}

/* ---- RET far ----------------------------------------------------------------- */

static const struct x86_op *ret_far_real(struct x86_cpu *cpu, const struct x86_op *op, u64 rip,
					 u16 selector, u64 rsp)
{
	struct x86_segment cs = target_code(cpu, selector, rip);

	cpu->regs[X86_RSP] = x86_stack_add(cpu, rsp, op->imm);
	return go_far(cpu, &cs, rip);
}

X86_HANDLER(ret_far)
{
	struct popper p = {cpu->regs[X86_RSP], op->size};
	struct x86_segment cs, ss;
	u16 selector;
	u64 rip;

	cpu->op = op;
	rip = pop(cpu, &p);
	selector = (u16)pop(cpu, &p);
	if (!x86_protected(cpu))
		return ret_far_real(cpu, op, rip, selector, p.rsp);
	cs = checked_code(cpu, selector, true);
	check_target(cpu, &cs, rip);
	p.rsp = x86_stack_add(cpu, p.rsp, op->imm);
	if ((selector & 3) == cpu->cpl) {
		cpu->regs[X86_RSP] = p.rsp;
		return go_far(cpu, &cs, rip);
	}
	{
		u64 rsp = pop(cpu, &p);
		u16 ss_selector = (u16)pop(cpu, &p);

		ss = outer_stack(cpu, ss_selector, selector & 3, x86_long_mode(cpu) && cs.l);
		cpu->cpl = selector & 3;
		cpu->seg[X86_SS] = ss;
		cpu->seg[X86_CS] = cs;
		drop_inner_segments(cpu);
		x86_update_mode(cpu);
		cpu->regs[X86_RSP] = x86_stack_add(cpu, op->size == 2 ? (u16)rsp : rsp, op->imm);
	}
	return go_far(cpu, &cs, rip);
}

x86_op_fn *x86_select_far_branch(struct x86_decode *d)
{
	d->ends_block = true;
	d->op->size = (u8)(d->insn->operand_width / 8);
	if (d->insn->mnemonic == ZYDIS_MNEMONIC_RET) {
		if (d->insn->operand_count_visible)
			d->op->imm = (u16)d->operands[0].imm.value.u;
		return ret_far;
	}
	if (d->operands[0].type == ZYDIS_OPERAND_TYPE_POINTER) {
		d->op->aux = 1;
		d->op->imm64 = d->operands[0].ptr.offset | (u64)d->operands[0].ptr.segment << 32;
		if (d->op->size == 2)
			d->op->imm64 &= ~0xffff0000ull;
	} else {
		x86_dec_mem(d, 0);
		/* m16:16, m16:32, m16:64 */
		d->op->size = (u8)(x86_dec_bytes(d, 0) - 2);
	}
	return d->insn->mnemonic == ZYDIS_MNEMONIC_JMP ? jmp_far : call_far;
}

/* ---- IRET -------------------------------------------------------------------- */

static u64 iret_flags_mask(const struct x86_cpu *cpu, unsigned int size)
{
	u64 mask = X86_EFLAGS_ARITH | X86_EFLAGS_TF | X86_EFLAGS_DF | X86_EFLAGS_NT |
		   X86_EFLAGS_AC | X86_EFLAGS_ID | X86_EFLAGS_RF;
	unsigned int iopl = (cpu->rflags & X86_EFLAGS_IOPL) >> 12;

	if (cpu->cpl <= iopl)
		mask |= X86_EFLAGS_IF;
	if (cpu->cpl == 0)
		mask |= X86_EFLAGS_IOPL;
	return size == 2 ? mask & 0xffff : mask;
}

static const struct x86_op *iret_finish(struct x86_cpu *cpu, u64 rip)
{
	cpu->nmi_masked = false;
	x86_code_changed(cpu); /* IRET serialises */
	x86_update_mode(cpu);
	return x86_done_at(cpu, cpu->op, rip);
}

static const struct x86_op *iret_real(struct x86_cpu *cpu, const struct x86_op *op)
{
	struct popper p = {cpu->regs[X86_RSP], op->size};
	u64 rip = pop(cpu, &p), flags, mask;
	u16 selector = (u16)pop(cpu, &p);
	struct x86_segment cs;

	flags = pop(cpu, &p);
	if (x86_vm86(cpu) && (cpu->rflags & X86_EFLAGS_IOPL) != X86_EFLAGS_IOPL)
		x86_raise_code(cpu, X86_GP, 0);
	cs = target_code(cpu, selector, rip);
	mask = iret_flags_mask(cpu, op->size);
	if (x86_vm86(cpu))
		mask &= ~(u64)X86_EFLAGS_IOPL;
	cpu->regs[X86_RSP] = p.rsp;
	cpu->seg[X86_CS] = cs;
	x86_write_rflags(cpu, flags, mask);
	return iret_finish(cpu, rip);
}

/* Back to virtual-8086 code, from ring 0 only. */
static const struct x86_op *iret_to_vm86(struct x86_cpu *cpu, struct popper *p, u64 rip,
					 u16 selector, u64 flags)
{
	static const enum x86_seg_reg order[] = {X86_SS, X86_ES, X86_DS, X86_FS, X86_GS};
	u64 rsp = pop(cpu, p);
	u16 selectors[ARRAY_SIZE(order)];

	for (unsigned int i = 0; i < ARRAY_SIZE(order); i++)
		selectors[i] = (u16)pop(cpu, p);
	x86_set_rflags_raw(cpu, flags & 0x3f7fd7);
	cpu->cpl = 3;
	cpu->seg[X86_CS] = x86_real_segment(X86_CS, selector, true);
	for (unsigned int i = 0; i < ARRAY_SIZE(order); i++)
		cpu->seg[order[i]] = x86_real_segment(order[i], selectors[i], true);
	cpu->regs[X86_RSP] = (u32)rsp;
	return iret_finish(cpu, (u16)rip);
}

static const struct x86_op *iret_protected(struct x86_cpu *cpu, const struct x86_op *op)
{
	struct popper p = {cpu->regs[X86_RSP], op->size};
	u64 rip, flags, mask, rsp = 0;
	struct x86_segment cs, ss;
	bool outer, code64;
	u16 selector;

	if (cpu->rflags & X86_EFLAGS_NT) {
		if (x86_long_mode(cpu))
			x86_raise_code(cpu, X86_GP, 0);
		x86_unsupported(cpu); /* a task return */
	}
	rip = pop(cpu, &p);
	selector = (u16)pop(cpu, &p);
	flags = pop(cpu, &p);
	if ((flags & X86_EFLAGS_VM) && cpu->cpl == 0 && !x86_long_mode(cpu) && op->size == 4)
		return iret_to_vm86(cpu, &p, rip, selector, flags);
	cs = checked_code(cpu, selector, true);
	code64 = x86_long_mode(cpu) && cs.l;
	check_target(cpu, &cs, rip);
	outer = (selector & 3) != cpu->cpl;
	ss = cpu->seg[X86_SS];
	/* 64-bit code always pops the stack too. */
	if (outer || (cpu->mode & X86_MODE_CS64)) {
		u16 ss_selector;

		rsp = pop(cpu, &p);
		ss_selector = (u16)pop(cpu, &p);
		ss = outer_stack(cpu, ss_selector, selector & 3, code64);
	} else {
		rsp = p.rsp;
	}
	mask = iret_flags_mask(cpu, op->size);
	cpu->cpl = selector & 3;
	cpu->seg[X86_CS] = cs;
	cpu->seg[X86_SS] = ss;
	if (outer)
		drop_inner_segments(cpu);
	x86_write_rflags(cpu, flags, mask);
	if (outer || code64 || (cpu->mode & X86_MODE_CS64) || x86_long_mode(cpu))
		cpu->regs[X86_RSP] =
			code64 || ss.db ? rsp : (cpu->regs[X86_RSP] & ~0xffffull) | (u16)rsp;
	else
		cpu->regs[X86_RSP] = rsp;
	return iret_finish(cpu, rip);
}

X86_HANDLER(iret_op)
{
	cpu->op = op;
	return x86_protected(cpu) ? iret_protected(cpu, op) : iret_real(cpu, op);
}

static x86_op_fn *select_iret(struct x86_decode *d)
{
	d->ends_block = true;
	d->op->size = 2;
	if (d->insn->mnemonic == ZYDIS_MNEMONIC_IRETD)
		d->op->size = 4;
	if (d->insn->mnemonic == ZYDIS_MNEMONIC_IRETQ)
		d->op->size = 8;
	return iret_op;
}

/* ---- SYSCALL, SYSRET --------------------------------------------------------- */

/* The flat segments these instructions put into the hidden parts. */
static void flat_code(struct x86_cpu *cpu, u16 selector, u8 dpl, bool code64)
{
	cpu->seg[X86_CS] = (struct x86_segment){.limit = ~0u,
						.selector = selector,
						.type = 11,
						.s = true,
						.present = true,
						.l = code64,
						.db = !code64,
						.g = true,
						.dpl = dpl};
}

static void flat_stack(struct x86_cpu *cpu, u16 selector, u8 dpl)
{
	cpu->seg[X86_SS] = (struct x86_segment){.limit = ~0u,
						.selector = selector,
						.type = 3,
						.s = true,
						.present = true,
						.db = true,
						.g = true,
						.dpl = dpl};
}

static const struct x86_op *enter_ring(struct x86_cpu *cpu, u8 cpl, u64 rip)
{
	cpu->cpl = cpl;
	if (x86_long_mode(cpu) && cpu->seg[X86_CS].l) {
		x86_update_mode(cpu);
		return x86_done_at(cpu, cpu->op, rip);
	}
	x86_code_forget_jumps(cpu);
	x86_update_mode(cpu);
	return x86_done_at(cpu, cpu->op, (u32)rip);
}

X86_HANDLER(syscall_op)
{
	bool from64 = cpu->mode & X86_MODE_CS64;
	u16 selector = (u16)(cpu->star >> 32) & 0xfffc;
	u64 flags;

	cpu->op = op;
	if (!(cpu->efer & X86_EFER_SCE) || !x86_long_mode(cpu))
		x86_raise(cpu, X86_UD);
	flags = x86_rflags(cpu) & ~(u64)X86_EFLAGS_RF;
	cpu->regs[X86_RCX] = x86_next_rip(cpu, op);
	cpu->regs[X86_R11] = flags;
	x86_set_rflags_raw(cpu, flags & ~cpu->sfmask);
	flat_code(cpu, selector, 0, true);
	flat_stack(cpu, (u16)(selector + 8), 0);
	return enter_ring(cpu, 0, from64 ? cpu->lstar : cpu->cstar);
}

X86_HANDLER(sysret_op)
{
	bool to64 = op->size == 8;
	u16 base = (u16)(cpu->star >> 48);
	u64 rip = cpu->regs[X86_RCX];

	cpu->op = op;
	if (!(cpu->efer & X86_EFER_SCE) || !x86_long_mode(cpu) || !(cpu->mode & X86_MODE_CS64))
		x86_raise(cpu, X86_UD);
	if (cpu->cpl != 0 || (to64 && !x86_canonical(cpu, rip)))
		x86_raise_code(cpu, X86_GP, 0);
	x86_set_rflags_raw(cpu, cpu->regs[X86_R11] & 0x3c7fd7);
	cpu->rflags &= ~(u64)X86_EFLAGS_RF;
	flat_code(cpu, (u16)((to64 ? base + 16 : base) | 3), 3, to64);
	flat_stack(cpu, (u16)((base + 8) | 3), 3);
	return enter_ring(cpu, 3, rip);
}

X86_HANDLER(sysenter_op)
{
	u16 selector = (u16)cpu->sysenter_cs & 0xfffc;
	bool to64 = x86_long_mode(cpu);

	cpu->op = op;
	if (!(cpu->cr0 & X86_CR0_PE) || !selector)
		x86_raise_code(cpu, X86_GP, 0);
	cpu->rflags &= ~(u64)(X86_EFLAGS_VM | X86_EFLAGS_IF | X86_EFLAGS_RF);
	flat_code(cpu, selector, 0, to64);
	flat_stack(cpu, (u16)(selector + 8), 0);
	cpu->regs[X86_RSP] = to64 ? cpu->sysenter_esp : (u32)cpu->sysenter_esp;
	return enter_ring(cpu, 0, cpu->sysenter_eip);
}

X86_HANDLER(sysexit_op)
{
	u16 selector = (u16)cpu->sysenter_cs & 0xfffc;
	bool to64 = op->size == 8;
	u64 rip = cpu->regs[X86_RDX], rsp = cpu->regs[X86_RCX];

	cpu->op = op;
	if (!x86_protected(cpu) || !selector || cpu->cpl != 0)
		x86_raise_code(cpu, X86_GP, 0);
	if (to64 && (!x86_canonical(cpu, rip) || !x86_canonical(cpu, rsp)))
		x86_raise_code(cpu, X86_GP, 0);
	flat_code(cpu, (u16)((selector + (to64 ? 32 : 16)) | 3), 3, to64);
	flat_stack(cpu, (u16)((selector + (to64 ? 40 : 24)) | 3), 3);
	cpu->regs[X86_RSP] = to64 ? rsp : (u32)rsp;
	return enter_ring(cpu, 3, rip);
}

static x86_op_fn *select_fast_call(struct x86_decode *d)
{
	d->ends_block = true;
	d->op->size = d->insn->attributes & ZYDIS_ATTRIB_HAS_REX && d->insn->raw.rex.W ? 8 : 4;
	switch (d->insn->mnemonic) {
	case ZYDIS_MNEMONIC_SYSCALL:
		return syscall_op;
	case ZYDIS_MNEMONIC_SYSRET:
		return sysret_op;
	case ZYDIS_MNEMONIC_SYSENTER:
		return sysenter_op;
	default:
		return sysexit_op;
	}
}

const struct x86_family_entry x86_family_far[] = {
	{ZYDIS_MNEMONIC_INT, select_int},	    {ZYDIS_MNEMONIC_INT1, select_int},
	{ZYDIS_MNEMONIC_INT3, select_int},	    {ZYDIS_MNEMONIC_INTO, select_int},
	{ZYDIS_MNEMONIC_IRET, select_iret},	    {ZYDIS_MNEMONIC_IRETD, select_iret},
	{ZYDIS_MNEMONIC_IRETQ, select_iret},	    {ZYDIS_MNEMONIC_SYSCALL, select_fast_call},
	{ZYDIS_MNEMONIC_SYSRET, select_fast_call},  {ZYDIS_MNEMONIC_SYSENTER, select_fast_call},
	{ZYDIS_MNEMONIC_SYSEXIT, select_fast_call}, {ZYDIS_MNEMONIC_INVALID, NULL},
};
