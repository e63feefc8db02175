/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data movement: MOV, MOVZX, MOVSX, LEA, CMOVcc, SETcc, the sign extensions of
 * the accumulator, BSWAP, MOVBE, XLAT and the stack (PUSH, POP, PUSHA, POPA,
 * ENTER, LEAVE).  SDM vol. 1, 7.3.1; none of them touches the flags.
 */
#include "vcpu/x86/exec_int.h"

/* ---- MOV ------------------------------------------------------------------------------ */

#define DEFINE_MOV(bits)                                                               \
	X86_HANDLER(mov_rr##bits)                                                      \
	{                                                                              \
		X86_READ_RR(bits, v);                                                  \
		X86_SET_REG##bits(cpu, op->dst, v);                                    \
		X86_NEXT(cpu, op);                                                     \
	}                                                                              \
	X86_HANDLER(mov_ri##bits)                                                      \
	{                                                                              \
		X86_SET_REG##bits(cpu, op->dst, op->imm64);                            \
		X86_NEXT(cpu, op);                                                     \
	}                                                                              \
	X86_HANDLER(mov_rm##bits)                                                      \
	{                                                                              \
		X86_READ_RM(bits, v);                                                  \
		X86_SET_REG##bits(cpu, op->dst, v);                                    \
		X86_NEXT(cpu, op);                                                     \
	}                                                                              \
	X86_HANDLER(mov_mr##bits)                                                      \
	{                                                                              \
		X86_READ_RR(bits, v);                                                  \
		X86_WRITE_MEM(bits, v);                                                \
		X86_NEXT(cpu, op);                                                     \
	}                                                                              \
	X86_HANDLER(mov_mi##bits)                                                      \
	{                                                                              \
		X86_READ_RI(bits, v);                                                  \
		X86_WRITE_MEM(bits, v);                                                \
		X86_NEXT(cpu, op);                                                     \
	}                                                                              \
	X86_HANDLER(mov_load_abs##bits)                                                \
	{                                                                              \
		u##bits v = x86_load##bits(cpu, absolute(cpu, op, (bits) / 8, false)); \
		X86_SET_REG##bits(cpu, X86_RAX * 8, v);                                \
		X86_NEXT(cpu, op);                                                     \
	}                                                                              \
	X86_HANDLER(mov_store_abs##bits)                                               \
	{                                                                              \
		u##bits v = X86_REG(cpu, X86_RAX * 8, const u##bits);                  \
		x86_store##bits(cpu, absolute(cpu, op, (bits) / 8, true), v);          \
		X86_NEXT(cpu, op);                                                     \
	}

/* Linear address of an operand that is a bare offset (opcodes A0 to A3), in imm64. */
static u64 absolute(struct x86_cpu *cpu, const struct x86_op *op, unsigned int bytes, bool write)
{
	cpu->op = op;
	if (op->flags & X86_OP_LEGACY_SEG)
		return x86_legacy_linear(cpu, op->seg, op->imm64, bytes, write);
	return cpu->seg_base[op->seg] + op->imm64;
}

DEFINE_MOV(8)
DEFINE_MOV(16)
DEFINE_MOV(32)
DEFINE_MOV(64)

static x86_op_fn *select_mov_absolute(struct x86_decode *d)
{
	static x86_op_fn *const load[4] = X86_SIZES(mov_load_abs);
	static x86_op_fn *const store[4] = X86_SIZES(mov_store_abs);
	unsigned int m = x86_dec_is_mem(d, 1) ? 1 : 0;
	u64 offset = (u64)d->operands[m].mem.disp.value;

	x86_dec_mem(d, m);
	if (d->insn->address_width == 32)
		offset = (u32)offset;
	else if (d->insn->address_width == 16)
		offset = (u16)offset;
	d->op->imm64 = offset;
	d->op->size = x86_dec_bytes(d, m);
	return (m ? load : store)[x86_size_index(d->op->size)];
}

/* Not a general register on both sides: MOV of segment, control and debug registers. */
static bool is_system_register(const struct x86_decode *d, unsigned int n)
{
	ZydisRegisterClass class;

	if (!x86_dec_is_reg(d, n))
		return false;
	class = ZydisRegisterGetClass(d->operands[n].reg.value);
	return class == ZYDIS_REGCLASS_SEGMENT || class == ZYDIS_REGCLASS_CONTROL ||
	       class == ZYDIS_REGCLASS_DEBUG;
}

static x86_op_fn *select_mov(struct x86_decode *d)
{
	static x86_op_fn *const ops[X86_NR_FORMS][4] = {
		X86_SIZES(mov_rr), X86_SIZES(mov_ri), X86_SIZES(mov_rm),
		X86_SIZES(mov_mr), X86_SIZES(mov_mi),
	};
	int form;

	if (is_system_register(d, 0) || is_system_register(d, 1))
		return x86_select_mov_system(d);
	if (d->insn->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && (d->insn->opcode & 0xfc) == 0xa0)
		return select_mov_absolute(d);
	form = x86_dec_binary(d);
	if (form < 0)
		return NULL;
	if (form == X86_FORM_RI)
		d->op->imm64 = d->operands[1].imm.value.u;
	return ops[form][x86_size_index(d->op->size)];
}

/* ---- MOVZX, MOVSX, MOVSXD ------------------------------------------------------------------- */

#define EXTEND(name, to, type, from)                                    \
	X86_HANDLER(name##from##_rr##to)                                \
	{                                                               \
		X86_READ_RR(from, v);                                   \
		X86_SET_REG##to(cpu, op->dst, (type##to)(type##from)v); \
		X86_NEXT(cpu, op);                                      \
	}                                                               \
	X86_HANDLER(name##from##_rm##to)                                \
	{                                                               \
		X86_READ_RM(from, v);                                   \
		X86_SET_REG##to(cpu, op->dst, (type##to)(type##from)v); \
		X86_NEXT(cpu, op);                                      \
	}

#define EXTEND_FROM(name, type, from) \
	EXTEND(name, 16, type, from)  \
	EXTEND(name, 32, type, from)  \
	EXTEND(name, 64, type, from)

EXTEND_FROM(movzx, u, 8)
EXTEND_FROM(movzx, u, 16)
EXTEND_FROM(movsx, s, 8)
EXTEND_FROM(movsx, s, 16)
EXTEND_FROM(movsx, s, 32)

/* By bytes of the source, register or memory, size of the destination. */
struct extend_ops {
	x86_op_fn *fn[3][2][4];
};

static x86_op_fn *select_extend(struct x86_decode *d, const struct extend_ops *ops)
{
	int form = x86_dec_binary(d);
	unsigned int from = x86_size_index(x86_dec_bytes(d, 1));

	if ((form != X86_FORM_RR && form != X86_FORM_RM) || from > 2)
		return NULL;
	return ops->fn[from][form == X86_FORM_RM][x86_size_index(d->op->size)];
}

static x86_op_fn *select_movzx(struct x86_decode *d)
{
	static const struct extend_ops ops = {{
		{X86_SIZES_W(movzx8_rr), X86_SIZES_W(movzx8_rm)},
		{X86_SIZES_W(movzx16_rr), X86_SIZES_W(movzx16_rm)},
	}};

	return select_extend(d, &ops);
}

/* MOVSXD without REX.W is a move of 32 or 16 bits. */
static x86_op_fn *select_movsx(struct x86_decode *d)
{
	static const struct extend_ops ops = {{
		{X86_SIZES_W(movsx8_rr), X86_SIZES_W(movsx8_rm)},
		{X86_SIZES_W(movsx16_rr), X86_SIZES_W(movsx16_rm)},
		{X86_SIZES_W(movsx32_rr), X86_SIZES_W(movsx32_rm)},
	}};

	return select_extend(d, &ops);
}

/* ---- LEA, CBW.., BSWAP, MOVBE, XLAT ------------------------------------------ */

#define DEFINE_LEA(bits)                                              \
	X86_HANDLER(lea##bits)                                        \
	{                                                             \
		X86_SET_REG##bits(cpu, op->dst, x86_offset(cpu, op)); \
		X86_NEXT(cpu, op);                                    \
	}

DEFINE_LEA(16)
DEFINE_LEA(32)
DEFINE_LEA(64)

static x86_op_fn *select_lea(struct x86_decode *d)
{
	static x86_op_fn *const ops[4] = X86_SIZES_W(lea);

	d->op->dst = x86_dec_gpr(d, 0);
	x86_dec_mem(d, 1);
	return ops[x86_size_index(x86_dec_bytes(d, 0))];
}

/* CBW, CWDE, CDQE widen the accumulator; CWD, CDQ, CQO spread its sign over the data register. */
#define DEFINE_WIDEN(name, from, to)                                                   \
	X86_HANDLER(name##_op)                                                         \
	{                                                                              \
		X86_SET_REG##to(cpu, X86_RAX * 8, X86_REG(cpu, X86_RAX * 8, s##from)); \
		X86_NEXT(cpu, op);                                                     \
	}                                                                              \
	static x86_op_fn *select_##name(struct x86_decode *d)                          \
	{                                                                              \
		(void)d;                                                               \
		return name##_op;                                                      \
	}

#define DEFINE_SPREAD(name, bits)                                                           \
	X86_HANDLER(name##_op)                                                              \
	{                                                                                   \
		s##bits sign = (s##bits)(X86_REG(cpu, X86_RAX * 8, s##bits) >> ((bits)-1)); \
		X86_SET_REG##bits(cpu, X86_RDX * 8, sign);                                  \
		X86_NEXT(cpu, op);                                                          \
	}                                                                                   \
	static x86_op_fn *select_##name(struct x86_decode *d)                               \
	{                                                                                   \
		(void)d;                                                                    \
		return name##_op;                                                           \
	}

DEFINE_WIDEN(cbw, 8, 16)
DEFINE_WIDEN(cwde, 16, 32)
DEFINE_WIDEN(cdqe, 32, 64)
DEFINE_SPREAD(cwd, 16)
DEFINE_SPREAD(cdq, 32)
DEFINE_SPREAD(cqo, 64)

#define DEFINE_MOVBE(bits)                                                 \
	X86_HANDLER(movbe_rm##bits)                                        \
	{                                                                  \
		X86_READ_RM(bits, v);                                      \
		X86_SET_REG##bits(cpu, op->dst, __builtin_bswap##bits(v)); \
		X86_NEXT(cpu, op);                                         \
	}                                                                  \
	X86_HANDLER(movbe_mr##bits)                                        \
	{                                                                  \
		X86_READ_RR(bits, v);                                      \
		X86_WRITE_MEM(bits, __builtin_bswap##bits(v));             \
		X86_NEXT(cpu, op);                                         \
	}

DEFINE_MOVBE(16)
DEFINE_MOVBE(32)
DEFINE_MOVBE(64)

X86_HANDLER(bswap32)
{
	X86_SET_REG32(cpu, op->dst, __builtin_bswap32(X86_REG(cpu, op->dst, u32)));
	X86_NEXT(cpu, op);
}

X86_HANDLER(bswap64)
{
	X86_SET_REG64(cpu, op->dst, __builtin_bswap64(X86_REG(cpu, op->dst, u64)));
	X86_NEXT(cpu, op);
}

/* Undefined for 16 bits; processors clear the register's low half. */
X86_HANDLER(bswap16_undefined)
{
	X86_SET_REG16(cpu, op->dst, 0);
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_bswap(struct x86_decode *d)
{
	d->op->dst = x86_dec_gpr(d, 0);
	switch (x86_dec_bytes(d, 0)) {
	case 2:
		return bswap16_undefined;
	case 4:
		return bswap32;
	default:
		return bswap64;
	}
}

static x86_op_fn *select_movbe(struct x86_decode *d)
{
	static x86_op_fn *const load[4] = X86_SIZES_W(movbe_rm);
	static x86_op_fn *const store[4] = X86_SIZES_W(movbe_mr);
	int form = x86_dec_binary(d);

	if (form != X86_FORM_RM && form != X86_FORM_MR)
		return NULL;
	return (form == X86_FORM_RM ? load : store)[x86_size_index(d->op->size)];
}

/* The index is AL, which no operation can name as an index: op->base holds RBX, index nothing. */
X86_HANDLER(xlat_op)
{
	u64 off = cpu->regs[X86_RBX] + (u8)cpu->regs[X86_RAX], addr;

	if (op->flags & (X86_OP_ADDR32 | X86_OP_ADDR16))
		off = op->flags & X86_OP_ADDR32 ? (u32)off : (u16)off;
	cpu->op = op;
	addr = op->flags & X86_OP_LEGACY_SEG ? x86_legacy_linear(cpu, op->seg, off, 1, false)
					     : cpu->seg_base[op->seg] + off;
	X86_SET_REG8(cpu, X86_RAX * 8, x86_load8(cpu, addr));
	X86_NEXT(cpu, op);
}

/* AL follows the carry; what assemblers do not know and processors have (SDM vol. 2 leaves D6
 * blank). */
X86_HANDLER(salc_op)
{
	X86_SET_REG8(cpu, X86_RAX * 8, x86_carry(cpu) ? 0xff : 0);
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_salc(struct x86_decode *d)
{
	(void)d;
	return salc_op;
}

static x86_op_fn *select_xlat(struct x86_decode *d)
{
	for (unsigned int n = 0; n < d->insn->operand_count; n++) {
		if (x86_dec_is_mem(d, n)) {
			x86_dec_mem(d, n);
			return xlat_op;
		}
	}
	return NULL;
}

/* ---- CMOVcc and SETcc -------------------------------------------------------- */

/* The memory operand is read, and a 32-bit destination zero-extended, whatever the condition. */
#define CMOV(cc, form, read, bits)                                                   \
	X86_HANDLER(cmov##cc##_##form##bits)                                         \
	{                                                                            \
		read(bits, v);                                                       \
		u##bits old = X86_REG(cpu, op->dst, const u##bits);                  \
		X86_SET_REG##bits(cpu, op->dst, x86_cond_inline(cpu, cc) ? v : old); \
		X86_NEXT(cpu, op);                                                   \
	}

#define CONDITIONAL(cc)                                               \
	CMOV(cc, rr, X86_READ_RR, 16)                                 \
	CMOV(cc, rr, X86_READ_RR, 32)                                 \
	CMOV(cc, rr, X86_READ_RR, 64)                                 \
	CMOV(cc, rm, X86_READ_RM, 16)                                 \
	CMOV(cc, rm, X86_READ_RM, 32)                                 \
	CMOV(cc, rm, X86_READ_RM, 64)                                 \
	X86_HANDLER(set##cc##_r)                                      \
	{                                                             \
		X86_SET_REG8(cpu, op->dst, x86_cond_inline(cpu, cc)); \
		X86_NEXT(cpu, op);                                    \
	}                                                             \
	X86_HANDLER(set##cc##_m)                                      \
	{                                                             \
		X86_WRITE_MEM(8, x86_cond_inline(cpu, cc));           \
		X86_NEXT(cpu, op);                                    \
	}

#define FOR_CONDITIONS(m) \
	m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7) m(8) m(9) m(10) m(11) m(12) m(13) m(14) m(15)

FOR_CONDITIONS(CONDITIONAL)

#define CMOV_ROW(cc)  {X86_SIZES_W(cmov##cc##_rr), X86_SIZES_W(cmov##cc##_rm)},
#define SETCC_ROW(cc) {set##cc##_r, set##cc##_m},

/* The condition is in the opcode: 0F 40+cc and 0F 90+cc. */
static x86_op_fn *select_cmov(struct x86_decode *d)
{
	static x86_op_fn *const ops[16][2][4] = {FOR_CONDITIONS(CMOV_ROW)};
	int form = x86_dec_binary(d);

	if (form != X86_FORM_RR && form != X86_FORM_RM)
		return NULL;
	return ops[d->insn->opcode & 15][form == X86_FORM_RM][x86_size_index(d->op->size)];
}

static x86_op_fn *select_setcc(struct x86_decode *d)
{
	static x86_op_fn *const ops[16][2] = {FOR_CONDITIONS(SETCC_ROW)};
	int form = x86_dec_unary(d, 0);

	return form < 0 ? NULL : ops[d->insn->opcode & 15][form];
}

/* ---- the stack --------------------------------------------------------------- */

/* RSP moved by @delta as the stack's width demands: in 16-bit stacks only SP changes. */
static u64 moved_rsp(const struct x86_cpu *cpu, s64 delta)
{
	return x86_stack_add(cpu, cpu->regs[X86_RSP], delta);
}

static u64 push_address(struct x86_cpu *cpu, const struct x86_op *op, unsigned int bytes)
{
	cpu->op = op;
	return x86_stack_linear(cpu, moved_rsp(cpu, -(s64)bytes), bytes, true);
}

static u64 pop_address(struct x86_cpu *cpu, const struct x86_op *op, unsigned int bytes)
{
	cpu->op = op;
	return x86_stack_linear(cpu, cpu->regs[X86_RSP], bytes, false);
}

/*
 * In 64-bit code (@flat) the stack is flat and RSP whole: the TLB is asked
 * directly.  The slow twin does it as everywhere else, #SS and all.
 */
#define PUSH(form, read, bits, suffix, flat)                                        \
	X86_HANDLER(push_##form##bits##suffix)                                      \
	{                                                                           \
		read(bits, v);                                                      \
		if (flat && slow) {                                                 \
			u64 rsp = cpu->regs[X86_RSP] - (bits) / 8;                  \
			void *to = x86_tlb_hit(cpu, rsp, (bits) / 8, true);         \
			if (unlikely(!to))                                          \
				return slow(cpu, op);                               \
			cpu->op = op;                                               \
			x86_host_store##bits(to, v);                                \
			cpu->regs[X86_RSP] = rsp;                                   \
		} else {                                                            \
			x86_store##bits(cpu, push_address(cpu, op, (bits) / 8), v); \
			cpu->regs[X86_RSP] = moved_rsp(cpu, -(s64)((bits) / 8));    \
		}                                                                   \
		X86_NEXT(cpu, op);                                                  \
	}

/* The top of the stack into @var. */
#define POP_VALUE(bits, flat, var)                                                    \
	u##bits var;                                                                  \
	if (flat && slow) {                                                           \
		void *from = x86_tlb_hit(cpu, cpu->regs[X86_RSP], (bits) / 8, false); \
		if (unlikely(!from))                                                  \
			return slow(cpu, op);                                         \
		cpu->op = op;                                                         \
		var = x86_host_load##bits(from);                                      \
	} else {                                                                      \
		var = x86_load##bits(cpu, pop_address(cpu, op, (bits) / 8));          \
	}

#define POP_DONE(bits, flat)  \
	(cpu->regs[X86_RSP] = \
		 flat && slow ? cpu->regs[X86_RSP] + (bits) / 8 : moved_rsp(cpu, (bits) / 8))

/* POP to memory computes its address after RSP has moved; see select_pop(). */
#define DEFINE_STACK(bits, suffix, flat)            \
	PUSH(r, X86_READ_R, bits, suffix, flat)     \
	PUSH(m, X86_READ_M, bits, suffix, flat)     \
	PUSH(i, X86_READ_RI, bits, suffix, flat)    \
	X86_HANDLER(pop_r##bits##suffix)            \
	{                                           \
		POP_VALUE(bits, flat, v)            \
		POP_DONE(bits, flat);               \
		X86_SET_REG##bits(cpu, op->dst, v); \
		X86_NEXT(cpu, op);                  \
	}                                           \
	X86_HANDLER(pop_m##bits##suffix)            \
	{                                           \
		POP_VALUE(bits, flat, v)            \
		X86_WRITE_MEM(bits, v);             \
		POP_DONE(bits, flat);               \
		X86_NEXT(cpu, op);                  \
	}

DEFINE_STACK(64, _flat, true)
DEFINE_STACK(16, _flat, true)
DEFINE_STACK(32, , false)
DEFINE_STACK(16, , false)

static bool is_segment_register(const struct x86_decode *d)
{
	return x86_dec_is_reg(d, 0) &&
	       ZydisRegisterGetClass(d->operands[0].reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

/* 16 bits, or the natural width of a stack slot. */
static x86_op_fn *by_slot(const struct x86_decode *d, x86_op_fn *flat16, x86_op_fn *flat64,
			  x86_op_fn *legacy16, x86_op_fn *legacy32)
{
	bool narrow = d->insn->operand_width == 16;

	if (d->mode & X86_MODE_CS64)
		return narrow ? flat16 : flat64;
	return narrow ? legacy16 : legacy32;
}

static x86_op_fn *select_push(struct x86_decode *d)
{
	if (is_segment_register(d))
		return x86_select_pushpop_seg(d);
	if (x86_dec_is_imm(d, 0)) {
		d->op->imm = (s32)d->operands[0].imm.value.s;
		return by_slot(d, push_i16_flat, push_i64_flat, push_i16, push_i32);
	}
	if (x86_dec_unary(d, 0) == X86_FORM_M)
		return by_slot(d, push_m16_flat, push_m64_flat, push_m16, push_m32);
	return by_slot(d, push_r16_flat, push_r64_flat, push_r16, push_r32);
}

static x86_op_fn *select_pop(struct x86_decode *d)
{
	if (is_segment_register(d))
		return x86_select_pushpop_seg(d);
	if (x86_dec_unary(d, 0) == X86_FORM_M) {
		/* An address based on RSP uses RSP as it is after the pop. */
		if (d->op->base == X86_RSP * 8 &&
		    __builtin_add_overflow(d->op->disp, d->insn->operand_width / 8, &d->op->disp))
			return NULL;
		return by_slot(d, pop_m16_flat, pop_m64_flat, pop_m16, pop_m32);
	}
	return by_slot(d, pop_r16_flat, pop_r64_flat, pop_r16, pop_r32);
}

/* ---- PUSHA, POPA ------------------------------------------------------------- */

/*
 * All eight slots are checked before the first is written; then faults can
 * only come from device memory, which restarts the whole instruction.
 */
#define DEFINE_PUSHA(bits)                                                                         \
	X86_HANDLER(pusha##bits)                                                                   \
	{                                                                                          \
		u64 addr[8];                                                                       \
		cpu->op = op;                                                                      \
		for (unsigned int i = 0; i < 8; i++) {                                             \
			u64 sp = moved_rsp(cpu, -(s64)((i + 1) * (bits) / 8));                     \
			addr[i] = x86_stack_linear(cpu, sp, (bits) / 8, true);                     \
			x86_probe(cpu, addr[i], (bits) / 8, true);                                 \
		}                                                                                  \
		for (unsigned int i = 0; i < 8; i++)                                               \
			x86_store##bits(cpu, addr[i], (u##bits)cpu->regs[i]);                      \
		cpu->regs[X86_RSP] = moved_rsp(cpu, -(bits));                                      \
		X86_NEXT(cpu, op);                                                                 \
	}                                                                                          \
	X86_HANDLER(popa##bits)                                                                    \
	{                                                                                          \
		u##bits value[8];                                                                  \
		cpu->op = op;                                                                      \
		for (unsigned int i = 0; i < 8; i++) {                                             \
			u64 sp = moved_rsp(cpu, i * (bits) / 8);                                   \
			value[7 - i] =                                                             \
				x86_load##bits(cpu, x86_stack_linear(cpu, sp, (bits) / 8, false)); \
		}                                                                                  \
		for (unsigned int i = 0; i < 8; i++)                                               \
			if (i != X86_RSP)                                                          \
				X86_SET_REG##bits(cpu, i * 8, value[i]);                           \
		cpu->regs[X86_RSP] = moved_rsp(cpu, bits);                                         \
		X86_NEXT(cpu, op);                                                                 \
	}

DEFINE_PUSHA(16)
DEFINE_PUSHA(32)

static x86_op_fn *select_pusha(struct x86_decode *d)
{
	return d->insn->mnemonic == ZYDIS_MNEMONIC_PUSHA ? pusha16 : pusha32;
}

static x86_op_fn *select_popa(struct x86_decode *d)
{
	return d->insn->mnemonic == ZYDIS_MNEMONIC_POPA ? popa16 : popa32;
}

/* ---- ENTER, LEAVE ------------------------------------------------------------ */

static u64 load_slot(struct x86_cpu *cpu, u64 rsp, unsigned int bytes)
{
	u64 addr = x86_stack_linear(cpu, rsp, bytes, false);

	return bytes == 8   ? x86_load64(cpu, addr)
	       : bytes == 4 ? x86_load32(cpu, addr)
			    : x86_load16(cpu, addr);
}

static void store_slot(struct x86_cpu *cpu, u64 rsp, unsigned int bytes, u64 value)
{
	u64 addr = x86_stack_linear(cpu, rsp, bytes, true);

	if (bytes == 8)
		x86_store64(cpu, addr, value);
	else if (bytes == 4)
		x86_store32(cpu, addr, (u32)value);
	else
		x86_store16(cpu, addr, (u16)value);
}

static void set_by_size(struct x86_cpu *cpu, enum x86_reg reg, unsigned int bytes, u64 value)
{
	if (bytes == 8)
		X86_SET_REG64(cpu, reg * 8, value);
	else if (bytes == 4)
		X86_SET_REG32(cpu, reg * 8, value);
	else
		X86_SET_REG16(cpu, reg * 8, value);
}

X86_HANDLER(leave_op)
{
	u64 rsp = cpu->regs[X86_RSP], frame = cpu->regs[X86_RBP], value;

	cpu->op = op;
	/* RSP takes RBP's value in the width of the stack. */
	rsp = x86_stack_add(cpu, rsp, (s64)(frame - rsp));
	value = load_slot(cpu, rsp, op->size);
	cpu->regs[X86_RSP] = x86_stack_add(cpu, rsp, op->size);
	set_by_size(cpu, X86_RBP, op->size, value);
	X86_NEXT(cpu, op);
}

/* Everything ENTER will touch, in its order, so that no fault finds it half done. */
static void enter_probe(struct x86_cpu *cpu, unsigned int bytes, unsigned int level, u64 top)
{
	u64 rsp = cpu->regs[X86_RSP], rbp = cpu->regs[X86_RBP];

	for (unsigned int i = 1; i <= level + 1; i++) {
		u64 from = x86_stack_add(cpu, rbp, -(s64)((i - 1) * bytes));
		u64 to = x86_stack_add(cpu, rsp, -(s64)(i * bytes));

		if (i > 1 && i <= level)
			x86_probe(cpu, x86_stack_linear(cpu, from, bytes, false), bytes, false);
		x86_probe(cpu, x86_stack_linear(cpu, to, bytes, true), bytes, true);
	}
	/* The processor checks that the new top of the stack can be written. */
	x86_probe(cpu, x86_stack_linear(cpu, top, bytes, true), bytes, true);
}

/*
 * imm is the size of the frame, aux the nesting level (0 to 31).  The outer
 * frames' pointers are read and pushed one by one: the two may overlap.
 */
X86_HANDLER(enter_op)
{
	const unsigned int bytes = op->size, level = op->aux;
	u64 rsp = cpu->regs[X86_RSP], rbp = cpu->regs[X86_RBP];
	u64 frame = x86_stack_add(cpu, rsp, -(s64)bytes);
	u64 top = x86_stack_add(cpu, frame, -(s64)(level * bytes + (u16)op->imm));

	cpu->op = op;
	enter_probe(cpu, bytes, level, top);
	store_slot(cpu, frame, bytes, rbp);
	for (unsigned int i = 1; i < level; i++)
		store_slot(cpu, x86_stack_add(cpu, frame, -(s64)(i * bytes)), bytes,
			   load_slot(cpu, x86_stack_add(cpu, rbp, -(s64)(i * bytes)), bytes));
	if (level)
		store_slot(cpu, x86_stack_add(cpu, frame, -(s64)(level * bytes)), bytes, frame);
	set_by_size(cpu, X86_RBP, bytes, frame);
	cpu->regs[X86_RSP] = top;
	X86_NEXT(cpu, op);
}

static u8 slot_bytes(const struct x86_decode *d)
{
	if (d->insn->operand_width == 16)
		return 2;
	return d->mode & X86_MODE_CS64 ? 8 : 4;
}

static x86_op_fn *select_leave(struct x86_decode *d)
{
	d->op->size = slot_bytes(d);
	return leave_op;
}

static x86_op_fn *select_enter(struct x86_decode *d)
{
	d->op->size = slot_bytes(d);
	d->op->imm = (s32)(u16)d->operands[0].imm.value.u;
	d->op->aux = d->operands[1].imm.value.u & 31;
	return enter_op;
}

/* ---- the table --------------------------------------------------------------- */

#define CMOV_ENTRY(name)                               \
	{                                              \
		ZYDIS_MNEMONIC_CMOV##name, select_cmov \
	}
#define SETCC_ENTRY(name)                              \
	{                                              \
		ZYDIS_MNEMONIC_SET##name, select_setcc \
	}

const struct x86_family_entry x86_family_move[] = {
	{ZYDIS_MNEMONIC_MOV, select_mov},
	{ZYDIS_MNEMONIC_MOVZX, select_movzx},
	{ZYDIS_MNEMONIC_MOVSX, select_movsx},
	{ZYDIS_MNEMONIC_MOVSXD, select_movsx},
	{ZYDIS_MNEMONIC_LEA, select_lea},
	{ZYDIS_MNEMONIC_PUSH, select_push},
	{ZYDIS_MNEMONIC_POP, select_pop},
	{ZYDIS_MNEMONIC_PUSHA, select_pusha},
	{ZYDIS_MNEMONIC_PUSHAD, select_pusha},
	{ZYDIS_MNEMONIC_POPA, select_popa},
	{ZYDIS_MNEMONIC_POPAD, select_popa},
	{ZYDIS_MNEMONIC_ENTER, select_enter},
	{ZYDIS_MNEMONIC_LEAVE, select_leave},
	{ZYDIS_MNEMONIC_BSWAP, select_bswap},
	{ZYDIS_MNEMONIC_MOVBE, select_movbe},
	{ZYDIS_MNEMONIC_XLAT, select_xlat},
	{ZYDIS_MNEMONIC_SALC, select_salc},
	{ZYDIS_MNEMONIC_CBW, select_cbw},
	{ZYDIS_MNEMONIC_CWDE, select_cwde},
	{ZYDIS_MNEMONIC_CDQE, select_cdqe},
	{ZYDIS_MNEMONIC_CWD, select_cwd},
	{ZYDIS_MNEMONIC_CDQ, select_cdq},
	{ZYDIS_MNEMONIC_CQO, select_cqo},
	CMOV_ENTRY(O),
	CMOV_ENTRY(NO),
	CMOV_ENTRY(B),
	CMOV_ENTRY(NB),
	CMOV_ENTRY(Z),
	CMOV_ENTRY(NZ),
	CMOV_ENTRY(BE),
	CMOV_ENTRY(NBE),
	CMOV_ENTRY(S),
	CMOV_ENTRY(NS),
	CMOV_ENTRY(P),
	CMOV_ENTRY(NP),
	CMOV_ENTRY(L),
	CMOV_ENTRY(NL),
	CMOV_ENTRY(LE),
	CMOV_ENTRY(NLE),
	SETCC_ENTRY(O),
	SETCC_ENTRY(NO),
	SETCC_ENTRY(B),
	SETCC_ENTRY(NB),
	SETCC_ENTRY(Z),
	SETCC_ENTRY(NZ),
	SETCC_ENTRY(BE),
	SETCC_ENTRY(NBE),
	SETCC_ENTRY(S),
	SETCC_ENTRY(NS),
	SETCC_ENTRY(P),
	SETCC_ENTRY(NP),
	SETCC_ENTRY(L),
	SETCC_ENTRY(NL),
	SETCC_ENTRY(LE),
	SETCC_ENTRY(NLE),
	{ZYDIS_MNEMONIC_INVALID, NULL},
};
