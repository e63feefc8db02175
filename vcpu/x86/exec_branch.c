// SPDX-License-Identifier: BSD-2-Clause
/*
 * Near branches: JMP, Jcc, CALL, RET, LOOP, JCXZ (SDM vol. 2).
 *
 * A branch that is not taken goes on inside the block, so a block may have
 * many exits.  Targets known at decode time are kept relative to the start of
 * the block, like everything that depends on RIP.
 */
#include "vcpu/x86/core.h"
#include "vcpu/x86/exec_int.h"

/* ---- going there ------------------------------------------------------------------------ */

/* In 64-bit code the target of a direct branch. */
static inline u64 target64(const struct x86_cpu *cpu, const struct x86_op *op)
{
	return cpu->regs[X86_REG_RIP] + op->imm64;
}

/* SDM vol. 2, JMP: truncated to the operand size, then checked. */
static u64 checked_target(struct x86_cpu *cpu, const struct x86_op *op, u64 rip)
{
	cpu->op = op;
	if (op->size == 2)
		rip = (u16)rip;
	else if (!(cpu->mode & X86_MODE_CS64))
		rip = (u32)rip;
	if (cpu->mode & X86_MODE_CS64) {
		if (unlikely(!x86_canonical(cpu, rip)))
			x86_raise_code(cpu, X86_GP, 0);
	} else if (unlikely(rip > cpu->seg[X86_CS].limit)) {
		x86_raise_code(cpu, X86_GP, 0);
	}
	return rip;
}

/* Direct targets in 64-bit code: only those near the hole can be non-canonical. */
static inline bool plainly_canonical(u64 rip)
{
	return (s64)(rip << 16) >> 16 == (s64)rip;
}

/* Beyond 48 bits: fine with 5-level paging. */
static __attribute__((noinline)) const struct x86_op *go_far_away(struct x86_cpu *cpu,
								  const struct x86_op *op, u64 rip)
{
	cpu->op = op;
	if (!x86_canonical(cpu, rip))
		x86_raise_code(cpu, X86_GP, 0);
	X86_GOTO(cpu, x86_chain(cpu, op, rip));
}

static inline __attribute__((always_inline)) const struct x86_op *
go64(struct x86_cpu *cpu, const struct x86_op *op, u64 rip)
{
	if (unlikely(!plainly_canonical(rip)))
		return go_far_away(cpu, op, rip);
	X86_GOTO(cpu, x86_chain(cpu, op, rip));
}

/* To a target known at decode time. */
static inline __attribute__((always_inline)) const struct x86_op *go_direct(struct x86_cpu *cpu,
									    const struct x86_op *op)
{
	u64 rip = target64(cpu, op);

	if (unlikely(!plainly_canonical(rip)))
		return go_far_away(cpu, op, rip);
	X86_GOTO(cpu, x86_chain_direct(cpu, op, rip));
}

static const struct x86_op *go_any(struct x86_cpu *cpu, const struct x86_op *op, u64 rip)
{
	rip = checked_target(cpu, op, rip);
	X86_GOTO(cpu, x86_chain(cpu, op, rip));
}

/* ---- conditions -------------------------------------------------------------------------- */

#define DEFINE_JCC(cc)                                             \
	X86_HANDLER(jcc_##cc)                                      \
	{                                                          \
		if (x86_cond_inline(cpu, cc))                      \
			return go_direct(cpu, op);                 \
		X86_NEXT(cpu, op);                                 \
	}                                                          \
	X86_HANDLER(jcc_legacy_##cc)                               \
	{                                                          \
		if (x86_cond_inline(cpu, cc))                      \
			return go_any(cpu, op, target64(cpu, op)); \
		X86_NEXT(cpu, op);                                 \
	}

DEFINE_JCC(0)
DEFINE_JCC(1)
DEFINE_JCC(2)
DEFINE_JCC(3)
DEFINE_JCC(4)
DEFINE_JCC(5)
DEFINE_JCC(6)
DEFINE_JCC(7)
DEFINE_JCC(8)
DEFINE_JCC(9)
DEFINE_JCC(10)
DEFINE_JCC(11)
DEFINE_JCC(12)
DEFINE_JCC(13)
DEFINE_JCC(14)
DEFINE_JCC(15)

/* Bytes of the operand: 2 only where a prefix or 16-bit code says so. */
static u8 branch_size(const struct x86_decode *d)
{
	if (d->mode & X86_MODE_CS64)
		return 8;
	return (u8)(d->insn->operand_width / 8);
}

static void take_target(struct x86_decode *d)
{
	d->op->size = branch_size(d);
	d->op->imm64 = d->block_offset + d->insn->length + d->operands[0].imm.value.u;
}

static x86_op_fn *select_jcc(struct x86_decode *d)
{
	static x86_op_fn *const fast[16] = {jcc_0,  jcc_1,  jcc_2,  jcc_3, jcc_4,  jcc_5,
					    jcc_6,  jcc_7,  jcc_8,  jcc_9, jcc_10, jcc_11,
					    jcc_12, jcc_13, jcc_14, jcc_15};
	static x86_op_fn *const legacy[16] = {
		jcc_legacy_0,  jcc_legacy_1,  jcc_legacy_2,  jcc_legacy_3,
		jcc_legacy_4,  jcc_legacy_5,  jcc_legacy_6,  jcc_legacy_7,
		jcc_legacy_8,  jcc_legacy_9,  jcc_legacy_10, jcc_legacy_11,
		jcc_legacy_12, jcc_legacy_13, jcc_legacy_14, jcc_legacy_15};

	take_target(d);
	return (d->mode & X86_MODE_CS64 ? fast : legacy)[d->insn->opcode & 15];
}

/* ---- JMP --------------------------------------------------------------------- */

X86_HANDLER(jmp_direct64)
{
	return go_direct(cpu, op);
}

X86_HANDLER(jmp_direct)
{
	return go_any(cpu, op, target64(cpu, op));
}

X86_HANDLER(jmp_reg64)
{
	return go64(cpu, op, X86_REG(cpu, op->src, const u64));
}

X86_HANDLER(jmp_mem64)
{
	return go64(cpu, op, x86_load64(cpu, x86_ea(cpu, op, 8, false)));
}

static u64 read_target(struct x86_cpu *cpu, const struct x86_op *op)
{
	u64 addr = x86_ea(cpu, op, op->size, false);

	return op->size == 2 ? x86_load16(cpu, addr) : x86_load32(cpu, addr);
}

X86_HANDLER(jmp_reg)
{
	return go_any(cpu, op, X86_REG(cpu, op->src, const u64));
}

X86_HANDLER(jmp_mem)
{
	return go_any(cpu, op, read_target(cpu, op));
}

struct indirect {
	x86_op_fn *direct64, *direct, *reg64, *reg, *mem64, *mem;
};

static x86_op_fn *select_indirect(struct x86_decode *d, const struct indirect *ops)
{
	bool code64 = d->mode & X86_MODE_CS64;

	/* Far forms: exec_far.c. */
	if (d->insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return x86_select_far_branch(d);
	d->ends_block = true;
	if (x86_dec_is_imm(d, 0)) {
		take_target(d);
		return code64 ? ops->direct64 : ops->direct;
	}
	d->op->size = branch_size(d);
	if (x86_dec_is_reg(d, 0)) {
		d->op->src = x86_dec_gpr(d, 0);
		return code64 ? ops->reg64 : ops->reg;
	}
	x86_dec_mem(d, 0);
	return code64 ? ops->mem64 : ops->mem;
}

static x86_op_fn *select_jmp(struct x86_decode *d)
{
	static const struct indirect ops = {
		.direct64 = jmp_direct64,
		.direct = jmp_direct,
		.reg64 = jmp_reg64,
		.reg = jmp_reg,
		.mem64 = jmp_mem64,
		.mem = jmp_mem,
	};

	return select_indirect(d, &ops);
}

/* ---- CALL -------------------------------------------------------------------- */

static inline __attribute__((always_inline)) const struct x86_op *
call64(struct x86_cpu *cpu, const struct x86_op *op, u64 target)
{
	u64 rsp = cpu->regs[X86_RSP] - 8;

	cpu->op = op;
	if (unlikely(!plainly_canonical(target)) && !x86_canonical(cpu, target))
		x86_raise_code(cpu, X86_GP, 0);
	x86_store64(cpu, rsp, x86_op_rip(cpu, op) + op->len);
	cpu->regs[X86_RSP] = rsp;
	X86_GOTO(cpu, x86_chain(cpu, op, target));
}

static const struct x86_op *call_any(struct x86_cpu *cpu, const struct x86_op *op, u64 target)
{
	u64 rsp = x86_stack_add(cpu, cpu->regs[X86_RSP], -(s64)op->size);
	u64 slot, back = x86_next_rip(cpu, op);

	target = checked_target(cpu, op, target);
	slot = x86_stack_linear(cpu, rsp, op->size, true);
	if (op->size == 2)
		x86_store16(cpu, slot, (u16)back);
	else
		x86_store32(cpu, slot, (u32)back);
	cpu->regs[X86_RSP] = rsp;
	X86_GOTO(cpu, x86_chain(cpu, op, target));
}

static __attribute__((noinline)) const struct x86_op *call_direct64_slow(struct x86_cpu *cpu,
									 const struct x86_op *op)
{
	return call64(cpu, op, target64(cpu, op));
}

/* The plain case has no call in it, so that it needs no stack frame. */
X86_HANDLER(call_direct64)
{
	u64 rsp = cpu->regs[X86_RSP] - 8, target = target64(cpu, op);
	const struct x86_tlb_entry *e = &cpu->tlb->entry[x86_tlb_index(rsp)];

	cpu->op = op;
	if (unlikely(!plainly_canonical(target)) || unlikely(rsp - e->write_tag > PAGE_SIZE - 8))
		return call_direct64_slow(cpu, op);
	x86_host_store64(hva_to_ptr(rsp + e->addend), x86_op_rip(cpu, op) + op->len);
	cpu->regs[X86_RSP] = rsp;
	X86_GOTO(cpu, x86_chain_direct(cpu, op, target));
}

X86_HANDLER(call_direct)
{
	return call_any(cpu, op, target64(cpu, op));
}

X86_HANDLER(call_reg64)
{
	return call64(cpu, op, X86_REG(cpu, op->src, const u64));
}

X86_HANDLER(call_mem64)
{
	return call64(cpu, op, x86_load64(cpu, x86_ea(cpu, op, 8, false)));
}

X86_HANDLER(call_reg)
{
	return call_any(cpu, op, X86_REG(cpu, op->src, const u64));
}

X86_HANDLER(call_mem)
{
	return call_any(cpu, op, read_target(cpu, op));
}

static x86_op_fn *select_call(struct x86_decode *d)
{
	static const struct indirect ops = {
		.direct64 = call_direct64,
		.direct = call_direct,
		.reg64 = call_reg64,
		.reg = call_reg,
		.mem64 = call_mem64,
		.mem = call_mem,
	};

	return select_indirect(d, &ops);
}

/* ---- RET --------------------------------------------------------------------- */

static __attribute__((noinline)) const struct x86_op *ret64_slow(struct x86_cpu *cpu,
								 const struct x86_op *op)
{
	u64 rsp = cpu->regs[X86_RSP], rip;

	rip = x86_load64(cpu, rsp);
	if (!x86_canonical(cpu, rip))
		x86_raise_code(cpu, X86_GP, 0);
	cpu->regs[X86_RSP] = rsp + 8 + (u32)op->imm;
	X86_GOTO(cpu, x86_chain(cpu, op, rip));
}

X86_HANDLER(ret64)
{
	u64 rsp = cpu->regs[X86_RSP], rip;
	const struct x86_tlb_entry *e = &cpu->tlb->entry[x86_tlb_index(rsp)];

	cpu->op = op;
	if (unlikely(rsp - e->read_tag > PAGE_SIZE - 8))
		return ret64_slow(cpu, op);
	rip = x86_host_load64(hva_to_ptr(rsp + e->addend));
	if (unlikely(!plainly_canonical(rip)))
		return ret64_slow(cpu, op);
	cpu->regs[X86_RSP] = rsp + 8 + (u32)op->imm;
	X86_GOTO(cpu, x86_chain(cpu, op, rip));
}

X86_HANDLER(ret_any)
{
	u64 rsp = cpu->regs[X86_RSP], rip, slot;

	cpu->op = op;
	slot = x86_stack_linear(cpu, rsp, op->size, false);
	rip = op->size == 2 ? x86_load16(cpu, slot) : x86_load32(cpu, slot);
	rip = checked_target(cpu, op, rip);
	cpu->regs[X86_RSP] = x86_stack_add(cpu, rsp, op->size + op->imm);
	X86_GOTO(cpu, x86_chain(cpu, op, rip));
}

static x86_op_fn *select_ret(struct x86_decode *d)
{
	if (d->insn->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return x86_select_far_branch(d);
	d->ends_block = true;
	d->op->size = branch_size(d);
	if (d->insn->operand_count_visible)
		d->op->imm = (u16)d->operands[0].imm.value.u;
	return d->mode & X86_MODE_CS64 ? ret64 : ret_any;
}

/* ---- LOOP, JCXZ -------------------------------------------------------------- */

/* RCX in the width of addresses. */
static u64 count(const struct x86_cpu *cpu, const struct x86_op *op)
{
	if (op->flags & X86_OP_ADDR16)
		return (u16)cpu->regs[X86_RCX];
	return op->flags & X86_OP_ADDR32 ? (u32)cpu->regs[X86_RCX] : cpu->regs[X86_RCX];
}

static void set_count(struct x86_cpu *cpu, const struct x86_op *op, u64 value)
{
	if (op->flags & X86_OP_ADDR16)
		X86_SET_REG16(cpu, X86_RCX * 8, value);
	else if (op->flags & X86_OP_ADDR32)
		X86_SET_REG32(cpu, X86_RCX * 8, value);
	else
		cpu->regs[X86_RCX] = value;
}

enum loop_kind {
	LOOP_PLAIN,
	LOOP_WHILE_ZERO,
	LOOP_WHILE_NOT_ZERO,
};

X86_HANDLER(loop_op)
{
	u64 left = count(cpu, op) - 1, target;
	bool taken;

	if (op->flags & X86_OP_ADDR16)
		left = (u16)left;
	else if (op->flags & X86_OP_ADDR32)
		left = (u32)left;
	taken = left != 0;
	if (op->aux != LOOP_PLAIN)
		taken = taken && x86_cc_zero(cpu) == (op->aux == LOOP_WHILE_ZERO);
	if (!taken) {
		set_count(cpu, op, left);
		X86_NEXT(cpu, op);
	}
	target = checked_target(cpu, op, target64(cpu, op));
	set_count(cpu, op, left);
	X86_GOTO(cpu, x86_chain(cpu, op, target));
}

X86_HANDLER(jcxz)
{
	if (count(cpu, op) == 0)
		return go_any(cpu, op, target64(cpu, op));
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_loop(struct x86_decode *d)
{
	take_target(d);
	d->op->aux = LOOP_PLAIN;
	if (d->insn->mnemonic == ZYDIS_MNEMONIC_LOOPE)
		d->op->aux = LOOP_WHILE_ZERO;
	if (d->insn->mnemonic == ZYDIS_MNEMONIC_LOOPNE)
		d->op->aux = LOOP_WHILE_NOT_ZERO;
	return loop_op;
}

static x86_op_fn *select_jcxz(struct x86_decode *d)
{
	take_target(d);
	return jcxz;
}

#define JCC_ENTRY(name)                           \
	{                                         \
		ZYDIS_MNEMONIC_##name, select_jcc \
	}

const struct x86_family_entry x86_family_branch[] = {
	JCC_ENTRY(JO),
	JCC_ENTRY(JNO),
	JCC_ENTRY(JB),
	JCC_ENTRY(JNB),
	JCC_ENTRY(JZ),
	JCC_ENTRY(JNZ),
	JCC_ENTRY(JBE),
	JCC_ENTRY(JNBE),
	JCC_ENTRY(JS),
	JCC_ENTRY(JNS),
	JCC_ENTRY(JP),
	JCC_ENTRY(JNP),
	JCC_ENTRY(JL),
	JCC_ENTRY(JNL),
	JCC_ENTRY(JLE),
	JCC_ENTRY(JNLE),
	{ZYDIS_MNEMONIC_JMP, select_jmp},
	{ZYDIS_MNEMONIC_CALL, select_call},
	{ZYDIS_MNEMONIC_RET, select_ret},
	{ZYDIS_MNEMONIC_LOOP, select_loop},
	{ZYDIS_MNEMONIC_LOOPE, select_loop},
	{ZYDIS_MNEMONIC_LOOPNE, select_loop},
	{ZYDIS_MNEMONIC_JCXZ, select_jcxz},
	{ZYDIS_MNEMONIC_JECXZ, select_jcxz},
	{ZYDIS_MNEMONIC_JRCXZ, select_jcxz},
	{ZYDIS_MNEMONIC_INVALID, NULL},
};
