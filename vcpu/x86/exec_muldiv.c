/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiplication, division, the wide additions ADCX and ADOX, and decimal
 * arithmetic (SDM vol. 2, the instructions' pages).
 */
#include "vcpu/x86/exec_int.h"

typedef unsigned __int128 u128;
typedef __int128 s128;

#define BOTH(macro, ...) macro(__VA_ARGS__, r, X86_READ_R) macro(__VA_ARGS__, m, X86_READ_M)

#define REG(reg, type) X86_REG(cpu, (reg)*8, type)

/* CF and OF say that the upper half matters; SF, ZF, AF and PF are undefined. */
#define MUL_FLAGS(bits, low, overflow)                        \
	x86_cc_result(cpu, X86_SI##bits, (s64)(s##bits)(low), \
		      (overflow) ? X86_EFLAGS_CF | X86_EFLAGS_OF : 0)

/* ---- MUL and IMUL with one operand ------------------------------------------- */

#define MUL8(name, type, wide, form, read)                           \
	X86_HANDLER(name##_##form##8)                                \
	{                                                            \
		read(8, v);                                          \
		wide r = (wide)((wide)REG(X86_RAX, type) * (type)v); \
		X86_SET_REG16(cpu, X86_RAX * 8, r);                  \
		MUL_FLAGS(8, r, r != (type)r);                       \
		X86_NEXT(cpu, op);                                   \
	}

#define MUL(name, bits, type, wide, form, read)                      \
	X86_HANDLER(name##_##form##bits)                             \
	{                                                            \
		read(bits, v);                                       \
		wide r = (wide)((wide)REG(X86_RAX, type) * (type)v); \
		X86_SET_REG##bits(cpu, X86_RAX * 8, r);              \
		X86_SET_REG##bits(cpu, X86_RDX * 8, r >> (bits));    \
		MUL_FLAGS(bits, r, r != (type)r);                    \
		X86_NEXT(cpu, op);                                   \
	}

BOTH(MUL8, mul, u8, u16)
BOTH(MUL8, imul, s8, s16)
BOTH(MUL, mul, 16, u16, u32)
BOTH(MUL, imul, 16, s16, s32)
BOTH(MUL, mul, 32, u32, u64)
BOTH(MUL, imul, 32, s32, s64)
BOTH(MUL, mul, 64, u64, u128)
BOTH(MUL, imul, 64, s64, s128)

struct one_operand_ops {
	x86_op_fn *fn[X86_NR_FORMS1][4];
};

static x86_op_fn *select_one(struct x86_decode *d, const struct one_operand_ops *ops)
{
	int form = x86_dec_unary(d, 0);

	return form < 0 ? NULL : ops->fn[form][x86_size_index(d->op->size)];
}

#define DEFINE_ONE_SELECT(name)                                      \
	static x86_op_fn *select_##name(struct x86_decode *d)        \
	{                                                            \
		static const struct one_operand_ops ops = {          \
			{X86_SIZES(name##_r), X86_SIZES(name##_m)}}; \
		return select_one(d, &ops);                          \
	}

DEFINE_ONE_SELECT(mul)
DEFINE_ONE_SELECT(imul)

/* ---- IMUL with two and three operands ---------------------------------------- */

#define IMUL(bits, wide, form, read, factor)                   \
	X86_HANDLER(imul_##form##bits)                         \
	{                                                      \
		read(bits, v);                                 \
		wide r = (wide)(s##bits)v * (s##bits)(factor); \
		X86_SET_REG##bits(cpu, op->dst, r);            \
		MUL_FLAGS(bits, r, r != (s##bits)r);           \
		X86_NEXT(cpu, op);                             \
	}

#define IMUL_FORMS(bits, wide)                                                  \
	IMUL(bits, wide, rr, X86_READ_RR, X86_REG(cpu, op->dst, const s##bits)) \
	IMUL(bits, wide, rm, X86_READ_RM, X86_REG(cpu, op->dst, const s##bits)) \
	IMUL(bits, wide, rri, X86_READ_RR, op->imm)                             \
	IMUL(bits, wide, rmi, X86_READ_RM, op->imm)

IMUL_FORMS(16, s32)
IMUL_FORMS(32, s64)
IMUL_FORMS(64, s128)

static x86_op_fn *select_imul_any(struct x86_decode *d)
{
	static x86_op_fn *const ops[2][2][4] = {
		{X86_SIZES_W(imul_rr), X86_SIZES_W(imul_rm)},
		{X86_SIZES_W(imul_rri), X86_SIZES_W(imul_rmi)},
	};
	unsigned int visible = d->insn->operand_count_visible;
	int form;

	if (visible == 1)
		return select_imul(d);
	form = x86_dec_binary(d);
	if (form != X86_FORM_RR && form != X86_FORM_RM)
		return NULL;
	if (visible == 3)
		d->op->imm = (s32)d->operands[2].imm.value.s;
	return ops[visible == 3][form == X86_FORM_RM][x86_size_index(d->op->size)];
}

/* ---- MULX -------------------------------------------------------------------- */

/* dst takes the upper half, aux the lower; the upper one wins when they are the same register. */
#define MULX(bits, wide, form, read)                          \
	X86_HANDLER(mulx_##form##bits)                        \
	{                                                     \
		read(bits, v);                                \
		wide r = (wide)REG(X86_RDX, u##bits) * v;     \
		X86_SET_REG##bits(cpu, op->aux, r);           \
		X86_SET_REG##bits(cpu, op->dst, r >> (bits)); \
		X86_NEXT(cpu, op);                            \
	}

MULX(32, u64, r, X86_READ_RR)
MULX(32, u64, m, X86_READ_RM)
MULX(64, u128, r, X86_READ_RR)
MULX(64, u128, m, X86_READ_RM)

static x86_op_fn *select_mulx(struct x86_decode *d)
{
	static x86_op_fn *const ops[2][2] = {{mulx_r32, mulx_r64}, {mulx_m32, mulx_m64}};
	bool mem = x86_dec_is_mem(d, 2);

	d->op->size = x86_dec_bytes(d, 0);
	d->op->dst = x86_dec_gpr(d, 0);
	d->op->aux = x86_dec_gpr(d, 1);
	if (mem)
		x86_dec_mem(d, 2);
	else
		d->op->src = x86_dec_gpr(d, 2);
	return ops[mem][d->op->size == 8];
}

/* ---- DIV and IDIV: #DE for 0 and for a quotient that does not fit ------------ */

#define DIV8(name, type, wide, form, read)                                                     \
	X86_HANDLER(name##_##form##8)                                                          \
	{                                                                                      \
		read(8, v);                                                                    \
		wide dividend = REG(X86_RAX, wide), q;                                         \
		if ((type)v == 0)                                                              \
			x86_raise_op(cpu, op, X86_DE);                                         \
		q = (wide)(dividend / (type)v);                                                \
		if (q != (type)q)                                                              \
			x86_raise_op(cpu, op, X86_DE);                                         \
		X86_SET_REG16(cpu, X86_RAX * 8, (u8)q | (u16)((u8)(dividend % (type)v) << 8)); \
		X86_NEXT(cpu, op);                                                             \
	}

/* The dividend is computed in @uwide, has the sign of @swide and is divided as @wide. */
#define DIV(name, bits, type, wide, swide, uwide, form, read)                      \
	X86_HANDLER(name##_##form##bits)                                           \
	{                                                                          \
		read(bits, v);                                                     \
		wide dividend = (swide)(((uwide)REG(X86_RDX, u##bits) << (bits)) | \
					REG(X86_RAX, u##bits)),                    \
		     q;                                                            \
		if ((type)v == 0 || IS_MIN_BY_MINUS_ONE_##name(bits, dividend, v)) \
			x86_raise_op(cpu, op, X86_DE);                             \
		q = dividend / (type)v;                                            \
		if (q != (type)q)                                                  \
			x86_raise_op(cpu, op, X86_DE);                             \
		X86_SET_REG##bits(cpu, X86_RAX * 8, q);                            \
		X86_SET_REG##bits(cpu, X86_RDX * 8, dividend % (type)v);           \
		X86_NEXT(cpu, op);                                                 \
	}

/* What C cannot divide: the smallest number by -1. */
#define IS_MIN_BY_MINUS_ONE_div(bits, n, v) false
#define IS_MIN_BY_MINUS_ONE_idiv(bits, n, v) \
	((s##bits)(v) == -1 && sizeof(n) == 8 && (s64)(n) == INT64_MIN)

BOTH(DIV8, div, u8, u16)
BOTH(DIV8, idiv, s8, s16)
BOTH(DIV, div, 16, u16, u32, u32, u32)
BOTH(DIV, idiv, 16, s16, s64, s32, u32)
BOTH(DIV, div, 32, u32, u64, u64, u64)
BOTH(DIV, idiv, 32, s32, s64, s64, u64)

/* 128 by 64 bits with @high < @d: the quotient fits. */
static u64 div_wide(u64 high, u64 low, u64 d, u64 *rem)
{
#if defined(__x86_64__)
	u64 q;

	__asm__("divq %4" : "=a"(q), "=d"(*rem) : "a"(low), "d"(high), "r"(d) : "cc");
	return q;
#else
	u128 n = (u128)high << 64 | low;

	*rem = (u64)(n % d);
	return (u64)(n / d);
#endif
}

#define DIV64(unused, form, read)                                             \
	X86_HANDLER(div_##form##64)                                           \
	{                                                                     \
		read(64, v);                                                  \
		u64 high = cpu->regs[X86_RDX], low = cpu->regs[X86_RAX], rem; \
		if (high >= v) /* also 0 */                                   \
			x86_raise_op(cpu, op, X86_DE);                        \
		cpu->regs[X86_RAX] = div_wide(high, low, v, &rem);            \
		cpu->regs[X86_RDX] = rem;                                     \
		X86_NEXT(cpu, op);                                            \
	}

/* By magnitudes; false for #DE.  The remainder has the sign of the dividend. */
static bool idiv64(s64 high, u64 low, s64 divisor, s64 *quotient, s64 *remainder)
{
	u128 n = (u128)high << 64 | low;
	u64 d = divisor < 0 ? -(u64)divisor : (u64)divisor, q, rem;
	bool negative = (high < 0) != (divisor < 0);

	if (high < 0)
		n = -n;
	if ((u64)(n >> 64) >= d)
		return false;
	q = div_wide((u64)(n >> 64), (u64)n, d, &rem);
	if (q > (u64)INT64_MAX + negative)
		return false;
	*quotient = (s64)(negative ? -q : q);
	*remainder = (s64)(high < 0 ? -rem : rem);
	return true;
}

#define IDIV64(unused, form, read)                                                          \
	X86_HANDLER(idiv_##form##64)                                                        \
	{                                                                                   \
		read(64, v);                                                                \
		s64 q, rem;                                                                 \
		if (!idiv64((s64)cpu->regs[X86_RDX], cpu->regs[X86_RAX], (s64)v, &q, &rem)) \
			x86_raise_op(cpu, op, X86_DE);                                      \
		cpu->regs[X86_RAX] = (u64)q;                                                \
		cpu->regs[X86_RDX] = (u64)rem;                                              \
		X86_NEXT(cpu, op);                                                          \
	}

BOTH(DIV64, 64)
BOTH(IDIV64, 64)
DEFINE_ONE_SELECT(div)
DEFINE_ONE_SELECT(idiv)

/* ---- ADCX and ADOX: one flag in and out -------------------------------------- */

#define ADX(name, flag, bits, form, read)                                                 \
	X86_HANDLER(name##_##form##bits)                                                  \
	{                                                                                 \
		read(bits, v);                                                            \
		u32 flags = x86_flags_compute(cpu);                                       \
		u##bits a = X86_REG(cpu, op->dst, const u##bits), r;                      \
		bool carry = __builtin_add_overflow(a, v, &r);                            \
		carry |= __builtin_add_overflow(r, (u##bits)((flags & (flag)) != 0), &r); \
		X86_SET_REG##bits(cpu, op->dst, r);                                       \
		x86_flags_set(cpu, (flags & ~(flag)) | (carry ? (flag) : 0));             \
		X86_NEXT(cpu, op);                                                        \
	}

#define DEFINE_ADX(name, flag)                                                    \
	ADX(name, flag, 32, rr, X86_READ_RR)                                      \
	ADX(name, flag, 32, rm, X86_READ_RM)                                      \
	ADX(name, flag, 64, rr, X86_READ_RR)                                      \
	ADX(name, flag, 64, rm, X86_READ_RM)                                      \
	static x86_op_fn *select_##name(struct x86_decode *d)                     \
	{                                                                         \
		static x86_op_fn *const ops[2][2] = {{name##_rr32, name##_rr64},  \
						     {name##_rm32, name##_rm64}}; \
		int form = x86_dec_binary(d);                                     \
		if (form != X86_FORM_RR && form != X86_FORM_RM)                   \
			return NULL;                                              \
		return ops[form == X86_FORM_RM][d->op->size == 8];                \
	}

DEFINE_ADX(adcx, X86_EFLAGS_CF)
DEFINE_ADX(adox, X86_EFLAGS_OF)

/* ---- decimal arithmetic (16- and 32-bit code only) --------------------------- */

/* Flags of an 8-bit result, with CF and AF given. */
static void set_decimal_flags(struct x86_cpu *cpu, u8 result, u32 cf_af)
{
	x86_cc_result(cpu, 0, (s8)result, cf_af);
}

/* AAA and AAS: @sign is +1 or -1. */
static void adjust_ascii(struct x86_cpu *cpu, int sign)
{
	u16 ax = REG(X86_RAX, u16);
	bool adjust = (ax & 15) > 9 || x86_flags_compute(cpu) & X86_EFLAGS_AF;

	if (adjust)
		ax = (u16)(ax + sign * 0x106);
	REG(X86_RAX, u16) = ax & 0xff0f;
	set_decimal_flags(cpu, (u8)(ax & 15), adjust ? X86_EFLAGS_CF | X86_EFLAGS_AF : 0);
}

/* DAA and DAS. */
static void adjust_decimal(struct x86_cpu *cpu, int sign)
{
	u32 flags = x86_flags_compute(cpu), out = 0;
	u8 old = REG(X86_RAX, u8), al = old;

	if ((old & 15) > 9 || flags & X86_EFLAGS_AF) {
		int wide = al + sign * 6;

		out = X86_EFLAGS_AF | (flags & X86_EFLAGS_CF);
		if (wide < 0 || wide > 0xff)
			out |= X86_EFLAGS_CF;
		al = (u8)wide;
	}
	if (old > 0x99 || flags & X86_EFLAGS_CF) {
		al = (u8)(al + sign * 0x60);
		out |= X86_EFLAGS_CF;
	} else if (sign > 0) {
		out &= ~X86_EFLAGS_CF;
	}
	REG(X86_RAX, u8) = al;
	set_decimal_flags(cpu, al, out);
}

X86_HANDLER(aaa_op)
{
	adjust_ascii(cpu, 1);
	X86_NEXT(cpu, op);
}

X86_HANDLER(aas_op)
{
	adjust_ascii(cpu, -1);
	X86_NEXT(cpu, op);
}

X86_HANDLER(daa_op)
{
	adjust_decimal(cpu, 1);
	X86_NEXT(cpu, op);
}

X86_HANDLER(das_op)
{
	adjust_decimal(cpu, -1);
	X86_NEXT(cpu, op);
}

X86_HANDLER(aam_op)
{
	u8 base = (u8)op->imm, al = REG(X86_RAX, u8);

	if (base == 0)
		x86_raise_op(cpu, op, X86_DE);
	REG(X86_RAX, u16) = (u16)((al / base) << 8 | al % base);
	set_decimal_flags(cpu, (u8)(al % base), 0);
	X86_NEXT(cpu, op);
}

X86_HANDLER(aad_op)
{
	u16 ax = REG(X86_RAX, u16);
	u8 al = (u8)((u8)ax + (ax >> 8) * (u8)op->imm);

	REG(X86_RAX, u16) = al;
	set_decimal_flags(cpu, al, 0);
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_decimal(struct x86_decode *d)
{
	switch (d->insn->mnemonic) {
	case ZYDIS_MNEMONIC_AAA:
		return aaa_op;
	case ZYDIS_MNEMONIC_AAS:
		return aas_op;
	case ZYDIS_MNEMONIC_DAA:
		return daa_op;
	case ZYDIS_MNEMONIC_DAS:
		return das_op;
	default:
		d->op->imm = (s32)d->operands[0].imm.value.u;
		return d->insn->mnemonic == ZYDIS_MNEMONIC_AAM ? aam_op : aad_op;
	}
}

const struct x86_family_entry x86_family_muldiv[] = {
	{ZYDIS_MNEMONIC_MUL, select_mul},     {ZYDIS_MNEMONIC_IMUL, select_imul_any},
	{ZYDIS_MNEMONIC_MULX, select_mulx},   {ZYDIS_MNEMONIC_DIV, select_div},
	{ZYDIS_MNEMONIC_IDIV, select_idiv},   {ZYDIS_MNEMONIC_ADCX, select_adcx},
	{ZYDIS_MNEMONIC_ADOX, select_adox},   {ZYDIS_MNEMONIC_AAA, select_decimal},
	{ZYDIS_MNEMONIC_AAS, select_decimal}, {ZYDIS_MNEMONIC_DAA, select_decimal},
	{ZYDIS_MNEMONIC_DAS, select_decimal}, {ZYDIS_MNEMONIC_AAM, select_decimal},
	{ZYDIS_MNEMONIC_AAD, select_decimal}, {ZYDIS_MNEMONIC_INVALID, NULL},
};
