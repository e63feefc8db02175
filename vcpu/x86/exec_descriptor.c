// SPDX-License-Identifier: BSD-2-Clause
/*
 * Segment and descriptor instructions: MOV, PUSH, POP of segment registers,
 * LDS to LSS, the table registers, LAR, LSL, VERR, VERW (SDM vol. 2, the
 * instructions' pages).
 */
#include <string.h>

#include "vcpu/x86/core.h"
#include "vcpu/x86/exec_int.h"

static void require_cpl0(struct x86_cpu *cpu, const struct x86_op *op)
{
	cpu->op = op;
	if (unlikely(cpu->cpl != 0))
		x86_raise_code(cpu, X86_GP, 0);
}

static void require_umip(struct x86_cpu *cpu, const struct x86_op *op)
{
	cpu->op = op;
	if ((cpu->cr4 & X86_CR4_UMIP) && cpu->cpl > 0)
		x86_raise_code(cpu, X86_GP, 0);
}

static void require_protected(struct x86_cpu *cpu, const struct x86_op *op)
{
	cpu->op = op;
	if (!x86_protected(cpu))
		x86_raise(cpu, X86_UD);
}

/* ---- MOV, PUSH, POP of segment registers ----------------------------------------------------- */

X86_HANDLER(mov_from_seg_reg)
{
	u16 selector = cpu->seg[op->aux].selector;

	if (op->size == 2)
		X86_SET_REG16(cpu, op->dst, selector);
	else
		X86_REG(cpu, op->dst, u64) = selector;
	X86_NEXT(cpu, op);
}

X86_HANDLER(mov_from_seg_mem)
{
	x86_store16(cpu, x86_ea(cpu, op, 2, true), cpu->seg[op->aux].selector);
	X86_NEXT(cpu, op);
}

static void load_seg(struct x86_cpu *cpu, enum x86_seg_reg reg, u16 selector)
{
	x86_load_segment(cpu, reg, selector);
	/* The next instruction is meant to load the stack pointer (SDM vol. 3, 7.8.3). */
	if (reg == X86_SS)
		cpu->ss_shadow = true;
}

X86_HANDLER(mov_to_seg_reg)
{
	cpu->op = op;
	load_seg(cpu, (enum x86_seg_reg)op->aux, X86_REG(cpu, op->src, const u16));
	return x86_done(cpu, op);
}

X86_HANDLER(mov_to_seg_mem)
{
	u16 selector = x86_load16(cpu, x86_ea(cpu, op, 2, false));

	load_seg(cpu, (enum x86_seg_reg)op->aux, selector);
	return x86_done(cpu, op);
}

/* A 32- or 64-bit push of a selector writes zeros above it. */
X86_HANDLER(push_seg)
{
	u64 rsp = x86_stack_add(cpu, cpu->regs[X86_RSP], -(s64)op->size), slot;
	u16 selector = cpu->seg[op->aux].selector;

	cpu->op = op;
	slot = x86_stack_linear(cpu, rsp, op->size, true);
	if (op->size == 2)
		x86_store16(cpu, slot, selector);
	else if (op->size == 4)
		x86_store32(cpu, slot, selector);
	else
		x86_store64(cpu, slot, selector);
	cpu->regs[X86_RSP] = rsp;
	X86_NEXT(cpu, op);
}

X86_HANDLER(pop_seg)
{
	u64 rsp = cpu->regs[X86_RSP];
	u16 selector;

	cpu->op = op;
	selector = x86_load16(cpu, x86_stack_linear(cpu, rsp, op->size, false));
	/* The pop is in the width of the stack as it was. */
	rsp = x86_stack_add(cpu, rsp, op->size);
	load_seg(cpu, (enum x86_seg_reg)op->aux, selector);
	cpu->regs[X86_RSP] = rsp;
	return x86_done(cpu, op);
}

static enum x86_seg_reg seg_number(ZydisRegister reg)
{
	static const u8 by_id[] = {X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS};

	return (enum x86_seg_reg)by_id[ZydisRegisterGetId(reg)];
}

static bool is_class(const struct x86_decode *d, unsigned int n, ZydisRegisterClass class)
{
	return x86_dec_is_reg(d, n) && ZydisRegisterGetClass(d->operands[n].reg.value) == class;
}

x86_op_fn *x86_select_mov_seg(struct x86_decode *d)
{
	bool to = is_class(d, 0, ZYDIS_REGCLASS_SEGMENT);
	unsigned int seg = to ? 0 : 1, other = 1 - seg;

	d->op->aux = (u8)seg_number(d->operands[seg].reg.value);
	if (to) {
		d->ends_block = true;
		if (d->op->aux == X86_CS)
			return NULL;
	}
	if (x86_dec_is_mem(d, other)) {
		x86_dec_mem(d, other);
		return to ? mov_to_seg_mem : mov_from_seg_mem;
	}
	d->op->size = x86_dec_bytes(d, other);
	if (to)
		d->op->src = x86_dec_gpr(d, other);
	else
		d->op->dst = x86_dec_gpr(d, other);
	return to ? mov_to_seg_reg : mov_from_seg_reg;
}

x86_op_fn *x86_select_pushpop_seg(struct x86_decode *d)
{
	d->op->aux = (u8)seg_number(d->operands[0].reg.value);
	d->op->size = (u8)(d->insn->operand_width / 8);
	if (d->mode & X86_MODE_CS64 && d->op->size == 4)
		d->op->size = 8;
	if (d->insn->mnemonic == ZYDIS_MNEMONIC_PUSH)
		return push_seg;
	d->ends_block = true;
	return pop_seg;
}

/* LDS, LES, LFS, LGS, LSS: a far pointer. */
X86_HANDLER(load_far_pointer)
{
	u64 addr = x86_ea(cpu, op, op->size + 2u, false), offset = 0;
	u16 selector;
	u8 raw[10];

	x86_load_bytes(cpu, addr, raw, op->size + 2u);
	memcpy(&offset, raw, op->size);
	memcpy(&selector, raw + op->size, 2);
	load_seg(cpu, (enum x86_seg_reg)op->aux, selector);
	cpu->ss_shadow = false;
	if (op->size == 2)
		X86_SET_REG16(cpu, op->dst, offset);
	else
		X86_REG(cpu, op->dst, u64) = offset;
	return x86_done(cpu, op);
}

static x86_op_fn *select_load_far_pointer(struct x86_decode *d)
{
	switch (d->insn->mnemonic) {
	case ZYDIS_MNEMONIC_LDS:
		d->op->aux = X86_DS;
		break;
	case ZYDIS_MNEMONIC_LES:
		d->op->aux = X86_ES;
		break;
	case ZYDIS_MNEMONIC_LFS:
		d->op->aux = X86_FS;
		break;
	case ZYDIS_MNEMONIC_LGS:
		d->op->aux = X86_GS;
		break;
	default:
		d->op->aux = X86_SS;
		break;
	}
	d->ends_block = true;
	d->op->dst = x86_dec_gpr(d, 0);
	d->op->size = x86_dec_bytes(d, 0);
	x86_dec_mem(d, 1);
	return load_far_pointer;
}

/* ---- descriptor table registers ---------------------------------------------- */

static unsigned int base_bytes(const struct x86_cpu *cpu)
{
	return cpu->mode & X86_MODE_CS64 ? 8 : 4;
}

X86_HANDLER(store_table)
{
	const struct x86_dtable *table = op->aux ? &cpu->idt : &cpu->gdt;
	unsigned int bytes = 2 + base_bytes(cpu);
	u8 raw[10];

	require_umip(cpu, op);
	memcpy(raw, &table->limit, 2);
	memcpy(raw + 2, &table->base, 8);
	x86_store_bytes(cpu, x86_ea(cpu, op, bytes, true), raw, bytes);
	X86_NEXT(cpu, op);
}

X86_HANDLER(load_table)
{
	struct x86_dtable *table = op->aux ? &cpu->idt : &cpu->gdt;
	unsigned int bytes = 2 + base_bytes(cpu);
	u64 base = 0;
	u8 raw[10];

	require_cpl0(cpu, op);
	x86_load_bytes(cpu, x86_ea(cpu, op, bytes, false), raw, bytes);
	memcpy(&base, raw + 2, base_bytes(cpu));
	if (op->size == 2)
		base &= 0xffffff;
	if (!x86_canonical(cpu, base) && x86_long_mode(cpu))
		x86_raise_code(cpu, X86_GP, 0);
	memcpy(&table->limit, raw, 2);
	table->base = base;
	return x86_done(cpu, op);
}

static x86_op_fn *select_table(struct x86_decode *d)
{
	bool load = d->insn->mnemonic == ZYDIS_MNEMONIC_LGDT ||
		    d->insn->mnemonic == ZYDIS_MNEMONIC_LIDT;

	d->op->aux = d->insn->mnemonic == ZYDIS_MNEMONIC_LIDT ||
		     d->insn->mnemonic == ZYDIS_MNEMONIC_SIDT;
	d->op->size = (u8)(d->insn->operand_width / 8);
	x86_dec_mem(d, 0);
	d->ends_block = load;
	return load ? load_table : store_table;
}

/* SLDT, STR, SMSW: to a register in full width, to memory always 16 bits. */
static u64 store_value(const struct x86_cpu *cpu, unsigned int what)
{
	if (what == 0)
		return cpu->seg[X86_LDTR].selector;
	return what == 1 ? cpu->seg[X86_TR].selector : cpu->cr0;
}

X86_HANDLER(store_word)
{
	u64 value = store_value(cpu, op->aux);

	require_umip(cpu, op);
	if (op->aux != 2)
		require_protected(cpu, op);
	if (!op->size)
		x86_store16(cpu, x86_ea(cpu, op, 2, true), (u16)value);
	else if (op->size == 2)
		X86_SET_REG16(cpu, op->dst, value);
	else
		X86_REG(cpu, op->dst, u64) = op->size == 8 ? value : (u32)value;
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_store_word(struct x86_decode *d)
{
	if (d->insn->mnemonic == ZYDIS_MNEMONIC_STR)
		d->op->aux = 1;
	if (d->insn->mnemonic == ZYDIS_MNEMONIC_SMSW)
		d->op->aux = 2;
	if (x86_dec_is_mem(d, 0)) {
		x86_dec_mem(d, 0);
		return store_word;
	}
	d->op->dst = x86_dec_gpr(d, 0);
	d->op->size = x86_dec_bytes(d, 0);
	return store_word;
}

/* A 16-bit operand from a register or memory. */
static u16 word_operand(struct x86_cpu *cpu, const struct x86_op *op)
{
	cpu->op = op;
	return op->size ? X86_REG(cpu, op->src, const u16)
			: x86_load16(cpu, x86_ea(cpu, op, 2, false));
}

static void take_word_operand(struct x86_decode *d, unsigned int n)
{
	if (x86_dec_is_mem(d, n)) {
		x86_dec_mem(d, n);
		return;
	}
	d->op->src = x86_dec_gpr(d, n);
	d->op->size = 2;
}

/* LMSW sets PE but cannot clear it. */
X86_HANDLER(lmsw_op)
{
	u64 value;

	require_cpl0(cpu, op);
	value = word_operand(cpu, op);
	value = (cpu->cr0 & ~0xeull) | (value & 0xf);
	if (!x86_write_cr0(cpu, value))
		x86_raise_code(cpu, X86_GP, 0);
	return x86_done(cpu, op);
}

static void system_descriptor(struct x86_cpu *cpu, u16 selector, struct x86_segment *seg, bool ldt)
{
	struct x86_descriptor desc;

	if ((selector & 4) || !x86_read_descriptor(cpu, selector, &desc))
		x86_raise_code(cpu, X86_GP, selector & ~3u);
	x86_unpack_descriptor(selector, desc.low, seg);
	seg->base |= desc.high << 32;
	if (seg->s ||
	    (ldt ? seg->type != 2 : seg->type != 9 && (seg->type != 1 || x86_long_mode(cpu))))
		x86_raise_code(cpu, X86_GP, selector & ~3u);
	if (!seg->present)
		x86_raise_code(cpu, X86_NP, selector & ~3u);
	if (x86_long_mode(cpu) && !x86_canonical(cpu, seg->base))
		x86_raise_code(cpu, X86_GP, selector & ~3u);
}

X86_HANDLER(lldt_op)
{
	struct x86_segment seg;
	u16 selector;

	require_protected(cpu, op);
	require_cpl0(cpu, op);
	selector = word_operand(cpu, op);
	if (!(selector & ~3))
		seg = (struct x86_segment){.selector = selector, .unusable = true};
	else
		system_descriptor(cpu, selector, &seg, true);
	cpu->seg[X86_LDTR] = seg;
	return x86_done(cpu, op);
}

X86_HANDLER(ltr_op)
{
	struct x86_segment seg;
	u16 selector;
	u8 busy;

	require_protected(cpu, op);
	require_cpl0(cpu, op);
	selector = word_operand(cpu, op);
	if (!(selector & ~3))
		x86_raise_code(cpu, X86_GP, 0);
	system_descriptor(cpu, selector, &seg, false);
	seg.type |= 2;
	busy = (u8)(seg.type | seg.dpl << 5 | 0x80);
	x86_store_sys(cpu, cpu->gdt.base + (selector & ~7u) + 5, &busy, 1);
	cpu->seg[X86_TR] = seg;
	return x86_done(cpu, op);
}

static x86_op_fn *select_word_load(struct x86_decode *d)
{
	d->ends_block = true;
	take_word_operand(d, 0);
	switch (d->insn->mnemonic) {
	case ZYDIS_MNEMONIC_LLDT:
		return lldt_op;
	case ZYDIS_MNEMONIC_LTR:
		return ltr_op;
	default:
		return lmsw_op;
	}
}

/* ---- LAR, LSL, VERR, VERW ---------------------------------------------------- */

enum query {
	QUERY_LAR,
	QUERY_LSL,
	QUERY_VERR,
	QUERY_VERW,
};

/* System types that LAR and LSL know (SDM vol. 2, their tables). */
static bool system_type_known(const struct x86_cpu *cpu, u8 type, enum query query)
{
	if (x86_long_mode(cpu))
		return type == 2 || type == 9 || type == 11 || (query == QUERY_LAR && type == 12);
	switch (type) {
	case 1:
	case 2:
	case 3:
	case 9:
	case 11:
		return true;
	case 4:
	case 5:
	case 12:
		return query == QUERY_LAR;
	default:
		return false;
	}
}

static bool query_allowed(const struct x86_cpu *cpu, u16 selector, const struct x86_segment *seg,
			  enum query query)
{
	bool code = seg->type & 8, conforming = code && (seg->type & 4);
	u8 rpl = selector & 3;

	if (!seg->s && (query >= QUERY_VERR || !system_type_known(cpu, seg->type, query)))
		return false;
	if (query == QUERY_VERR && code && !(seg->type & 2))
		return false;
	if (query == QUERY_VERW && (code || !(seg->type & 2)))
		return false;
	return (seg->s && conforming) || (cpu->cpl <= seg->dpl && rpl <= seg->dpl);
}

X86_HANDLER(query_op)
{
	enum query query = (enum query)op->aux;
	struct x86_descriptor desc;
	struct x86_segment seg;
	u16 selector;
	bool ok;
	u32 flags;

	require_protected(cpu, op);
	selector = word_operand(cpu, op);
	ok = (selector & ~3) && x86_read_descriptor(cpu, selector, &desc);
	if (ok) {
		x86_unpack_descriptor(selector, desc.low, &seg);
		ok = query_allowed(cpu, selector, &seg, query);
	}
	if (ok && query <= QUERY_LSL) {
		u32 value = query == QUERY_LSL ? seg.limit : (u32)(desc.low >> 32) & 0xffff00;

		if (op->aux32 == 2)
			X86_SET_REG16(cpu, op->dst, value);
		else
			X86_REG(cpu, op->dst, u64) = value;
	}
	flags = x86_flags_compute(cpu) & ~X86_EFLAGS_ZF;
	x86_flags_set(cpu, flags | (ok ? X86_EFLAGS_ZF : 0));
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_query(struct x86_decode *d)
{
	unsigned int source = 0;

	switch (d->insn->mnemonic) {
	case ZYDIS_MNEMONIC_LAR:
		d->op->aux = QUERY_LAR;
		source = 1;
		break;
	case ZYDIS_MNEMONIC_LSL:
		d->op->aux = QUERY_LSL;
		source = 1;
		break;
	case ZYDIS_MNEMONIC_VERR:
		d->op->aux = QUERY_VERR;
		break;
	default:
		d->op->aux = QUERY_VERW;
		break;
	}
	if (source) {
		d->op->dst = x86_dec_gpr(d, 0);
		d->op->aux32 = x86_dec_bytes(d, 0);
	}
	take_word_operand(d, source);
	return query_op;
}

/* ---- the table ---- */

#define ROW(name, select)                              \
	{                                              \
		ZYDIS_MNEMONIC_##name, select_##select \
	}

const struct x86_family_entry x86_family_descriptor[] = {
	ROW(LDS, load_far_pointer),
	ROW(LES, load_far_pointer),
	ROW(LFS, load_far_pointer),
	ROW(LGS, load_far_pointer),
	ROW(LSS, load_far_pointer),
	ROW(SGDT, table),
	ROW(SIDT, table),
	ROW(LGDT, table),
	ROW(LIDT, table),
	ROW(SLDT, store_word),
	ROW(STR, store_word),
	ROW(SMSW, store_word),
	ROW(LMSW, word_load),
	ROW(LLDT, word_load),
	ROW(LTR, word_load),
	ROW(LAR, query),
	ROW(LSL, query),
	ROW(VERR, query),
	ROW(VERW, query),
	{ZYDIS_MNEMONIC_INVALID, NULL},
};
