/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ADD, ADC, SUB, SBB, AND, OR, XOR, CMP, TEST, INC, DEC, NEG, NOT in all forms
 * and sizes, plain and locked; BOUND and ARPL (SDM vol. 2, the instructions' pages).
 *
 * Each operation is a pair of macros: CALC_x computes r from a (and b, and the
 * carry c where it takes one), SETF_x records the flags afterwards.  Between
 * the two a memory destination is written, which may unwind.
 */
#include "vcpu/x86/exec_int.h"

/* ---- operands ------------------------------------------------------------------------ */

int x86_dec_unary(struct x86_decode *d, unsigned int n)
{
	d->op->size = x86_dec_bytes(d, n);
	if (x86_dec_is_mem(d, n)) {
		x86_dec_mem(d, n);
		return X86_FORM_M;
	}
	if (!x86_dec_is_reg(d, n))
		return -1;
	d->op->dst = x86_dec_gpr(d, n);
	return X86_FORM_R;
}

int x86_dec_binary(struct x86_decode *d)
{
	bool mem = x86_dec_unary(d, 0) == X86_FORM_M;

	if (x86_dec_is_imm(d, 1)) {
		d->op->imm = (s32)d->operands[1].imm.value.s;
		return mem ? X86_FORM_MI : X86_FORM_RI;
	}
	if (x86_dec_is_mem(d, 1)) {
		x86_dec_mem(d, 1);
		return X86_FORM_RM;
	}
	if (!x86_dec_is_reg(d, 1))
		return -1;
	d->op->src = x86_dec_gpr(d, 1);
	return mem ? X86_FORM_MR : X86_FORM_RR;
}

/* ---- the operations ------------------------------------------------------------------- */

#define S64(bits, v) ((s64)(s##bits)(v))

/* The carry into @c; without a call, so that the handler needs no stack frame. */
#define TAKE_CARRY(c)                                  \
	u32 c;                                         \
	if (slow) {                                    \
		if (unlikely(!x86_carry_is_easy(cpu))) \
			return slow(cpu, op);          \
		c = x86_easy_carry(cpu);               \
	} else {                                       \
		c = x86_carry(cpu);                    \
	}

#define CALC_add(bits) u##bits r = (u##bits)(a + b)
#define SETF_add(bits) \
	x86_cc_record(cpu, X86_CC(X86_CC_ADD, X86_SI##bits), S64(bits, r), S64(bits, b))

#define CALC_adc(bits) \
	TAKE_CARRY(c)  \
	u##bits r = (u##bits)(a + b + (u##bits)c)
#define SETF_adc(bits) \
	x86_cc_record3(cpu, X86_CC(X86_CC_ADC, X86_SI##bits), S64(bits, r), S64(bits, b), c)

#define CALC_sub(bits) u##bits r = (u##bits)(a - b)
#define SETF_sub(bits)                                                                    \
	x86_cc_record3(cpu, X86_CC(X86_CC_SUB, X86_SI##bits), S64(bits, r), S64(bits, b), \
		       S64(bits, a))

#define CALC_sbb(bits) \
	TAKE_CARRY(c)  \
	u##bits r = (u##bits)(a - b - (u##bits)c)
#define SETF_sbb(bits)                                                                    \
	x86_cc_record3(cpu, X86_CC(X86_CC_SBB, X86_SI##bits), S64(bits, r), S64(bits, b), \
		       S64(bits, a))

#define CALC_and(bits) u##bits r = a & b
#define CALC_or(bits)  u##bits r = a | b
#define CALC_xor(bits) u##bits r = a ^ b
#define SETF_and(bits) x86_cc_result(cpu, X86_SI##bits, S64(bits, r), 0)
#define SETF_or(bits)  SETF_and(bits)
#define SETF_xor(bits) SETF_and(bits)

#define CALC_inc(bits) \
	TAKE_CARRY(c)  \
	u##bits r = (u##bits)(a + 1)
#define SETF_inc(bits) x86_cc_record(cpu, X86_CC(X86_CC_INC, X86_SI##bits), S64(bits, r), c)
#define CALC_dec(bits) \
	TAKE_CARRY(c)  \
	u##bits r = (u##bits)(a - 1)
#define SETF_dec(bits) x86_cc_record(cpu, X86_CC(X86_CC_DEC, X86_SI##bits), S64(bits, r), c)
#define CALC_neg(bits) u##bits r = (u##bits) - a
#define SETF_neg(bits) \
	x86_cc_record3(cpu, X86_CC(X86_CC_SUB, X86_SI##bits), S64(bits, r), S64(bits, a), 0)
#define CALC_not(bits) u##bits r = (u##bits) ~a
#define SETF_not(bits) ((void)0)

/* ---- stamping out handlers ---------------------------------------------------------------- */

/* Register destination, any source form. */
#define BINARY_REG(name, form, read, bits)                  \
	X86_HANDLER(name##_##form##bits)                    \
	{                                                   \
		read(bits, b);                              \
		u##bits a = X86_REG(cpu, op->dst, u##bits); \
		CALC_##name(bits);                          \
		X86_SET_REG##bits(cpu, op->dst, r);         \
		SETF_##name(bits);                          \
		X86_NEXT(cpu, op);                          \
	}

/* Memory destination. */
#define BINARY_MEM(name, form, read, bits) \
	X86_HANDLER(name##_##form##bits)   \
	{                                  \
		read(bits, b);             \
		X86_RMW_BEGIN(bits, a);    \
		CALC_##name(bits);         \
		X86_RMW_END(bits, r);      \
		SETF_##name(bits);         \
		X86_NEXT(cpu, op);         \
	}

/* Flags are those of the attempt that succeeded. */
#define LOCKED(name, bits)                                   \
	struct x86_atomic at;                                \
	u##bits a = x86_atomic_begin##bits(cpu, op, &at);    \
	for (;;) {                                           \
		CALC_##name(bits);                           \
		if (x86_atomic_end##bits(cpu, &at, &a, r)) { \
			SETF_##name(bits);                   \
			break;                               \
		}                                            \
	}

#define BINARY_LOCK(name, form, read, bits)   \
	X86_HANDLER(name##_lock_##form##bits) \
	{                                     \
		read(bits, b);                \
		LOCKED(name, bits)            \
		X86_NEXT(cpu, op);            \
	}

/* CMP and TEST: no destination. */
#define BINARY_COMPARE(name, how, form, reada, readb, bits) \
	X86_HANDLER(name##_##form##bits)                    \
	{                                                   \
		readb(bits, b);                             \
		reada(bits, a);                             \
		CALC_##how(bits);                           \
		SETF_##how(bits);                           \
		X86_NEXT(cpu, op);                          \
	}

#define UNARY(name, bits)                           \
	X86_HANDLER(name##_r##bits)                 \
	{                                           \
		X86_READ_R(bits, a);                \
		CALC_##name(bits);                  \
		X86_SET_REG##bits(cpu, op->dst, r); \
		SETF_##name(bits);                  \
		X86_NEXT(cpu, op);                  \
	}                                           \
	X86_HANDLER(name##_m##bits)                 \
	{                                           \
		X86_RMW_BEGIN(bits, a);             \
		CALC_##name(bits);                  \
		X86_RMW_END(bits, r);               \
		SETF_##name(bits);                  \
		X86_NEXT(cpu, op);                  \
	}                                           \
	X86_HANDLER(name##_lock_m##bits)            \
	{                                           \
		LOCKED(name, bits)                  \
		X86_NEXT(cpu, op);                  \
	}

struct binary_ops {
	x86_op_fn *plain[X86_NR_FORMS][4];
	x86_op_fn *lock_mr[4], *lock_mi[4];
};

struct unary_ops {
	x86_op_fn *plain[X86_NR_FORMS1][4];
	x86_op_fn *lock[4];
};

static x86_op_fn *select_binary(struct x86_decode *d, const struct binary_ops *ops)
{
	int form = x86_dec_binary(d);
	unsigned int size = x86_size_index(d->op->size);

	if (form < 0)
		return NULL;
	if (d->op->flags & X86_OP_LOCK)
		return form == X86_FORM_MR   ? ops->lock_mr[size]
		       : form == X86_FORM_MI ? ops->lock_mi[size]
					     : NULL;
	return ops->plain[form][size];
}

static x86_op_fn *select_unary(struct x86_decode *d, const struct unary_ops *ops)
{
	int form = x86_dec_unary(d, 0);
	unsigned int size = x86_size_index(d->op->size);

	if (form < 0)
		return NULL;
	if (d->op->flags & X86_OP_LOCK)
		return form == X86_FORM_M ? ops->lock[size] : NULL;
	return ops->plain[form][size];
}

#define FOR_SIZES(macro, ...) \
	macro(__VA_ARGS__, 8) macro(__VA_ARGS__, 16) macro(__VA_ARGS__, 32) macro(__VA_ARGS__, 64)

#define DEFINE_BINARY(name)                                                   \
	FOR_SIZES(BINARY_REG, name, rr, X86_READ_RR)                          \
	FOR_SIZES(BINARY_REG, name, ri, X86_READ_RI)                          \
	FOR_SIZES(BINARY_REG, name, rm, X86_READ_RM)                          \
	FOR_SIZES(BINARY_MEM, name, mr, X86_READ_RR)                          \
	FOR_SIZES(BINARY_MEM, name, mi, X86_READ_RI)                          \
	FOR_SIZES(BINARY_LOCK, name, mr, X86_READ_RR)                         \
	FOR_SIZES(BINARY_LOCK, name, mi, X86_READ_RI)                         \
	static x86_op_fn *select_##name(struct x86_decode *d)                 \
	{                                                                     \
		static const struct binary_ops ops = {                        \
			.plain = {X86_SIZES(name##_rr), X86_SIZES(name##_ri), \
				  X86_SIZES(name##_rm), X86_SIZES(name##_mr), \
				  X86_SIZES(name##_mi)},                      \
			.lock_mr = X86_SIZES(name##_lock_mr),                 \
			.lock_mi = X86_SIZES(name##_lock_mi),                 \
		};                                                            \
		return select_binary(d, &ops);                                \
	}

/* Reading the first operand of a comparison, by form. */
#define READ_DST(bits, var) X86_READ_R(bits, var)

#define DEFINE_COMPARE(name, how)                                             \
	FOR_SIZES(BINARY_COMPARE, name, how, rr, READ_DST, X86_READ_RR)       \
	FOR_SIZES(BINARY_COMPARE, name, how, ri, READ_DST, X86_READ_RI)       \
	FOR_SIZES(BINARY_COMPARE, name, how, rm, READ_DST, X86_READ_RM)       \
	FOR_SIZES(BINARY_COMPARE, name, how, mr, X86_READ_M, X86_READ_RR)     \
	FOR_SIZES(BINARY_COMPARE, name, how, mi, X86_READ_M, X86_READ_RI)     \
	static x86_op_fn *select_##name(struct x86_decode *d)                 \
	{                                                                     \
		static const struct binary_ops ops = {                        \
			.plain = {X86_SIZES(name##_rr), X86_SIZES(name##_ri), \
				  X86_SIZES(name##_rm), X86_SIZES(name##_mr), \
				  X86_SIZES(name##_mi)},                      \
		};                                                            \
		return select_binary(d, &ops);                                \
	}

#define DEFINE_UNARY(name)                                                   \
	FOR_SIZES(UNARY, name)                                               \
	static x86_op_fn *select_##name(struct x86_decode *d)                \
	{                                                                    \
		static const struct unary_ops ops = {                        \
			.plain = {X86_SIZES(name##_r), X86_SIZES(name##_m)}, \
			.lock = X86_SIZES(name##_lock_m),                    \
		};                                                           \
		return select_unary(d, &ops);                                \
	}

DEFINE_BINARY(add)
DEFINE_BINARY(adc)
DEFINE_BINARY(sub)
DEFINE_BINARY(sbb)
DEFINE_BINARY(and)
DEFINE_BINARY(or)
DEFINE_BINARY(xor)
DEFINE_COMPARE(cmp, sub)
DEFINE_COMPARE(test, and)
DEFINE_UNARY(inc)
DEFINE_UNARY(dec)
DEFINE_UNARY(neg)
DEFINE_UNARY(not )

/* ---- BOUND and ARPL (16- and 32-bit code only) -------------------------------------------- */

/* The pair of bounds is one access of twice the operand size. */
#define DEFINE_BOUND(bits)                                                       \
	X86_HANDLER(bound##bits)                                                 \
	{                                                                        \
		s##bits bounds[2], index = X86_REG(cpu, op->dst, const s##bits); \
		u64 addr = x86_ea(cpu, op, sizeof(bounds), false);               \
		x86_load_bytes(cpu, addr, bounds, sizeof(bounds));               \
		if (index < bounds[0] || index > bounds[1])                      \
			x86_raise(cpu, X86_BR);                                  \
		X86_NEXT(cpu, op);                                               \
	}

DEFINE_BOUND(16)
DEFINE_BOUND(32)

static x86_op_fn *select_bound(struct x86_decode *d)
{
	d->op->dst = x86_dec_gpr(d, 0);
	x86_dec_mem(d, 1);
	return x86_dec_bytes(d, 0) == 2 ? bound16 : bound32;
}

/* Raise the RPL of the destination to that of the source; ZF says whether it was lower. */
static bool adjusted_rpl(u16 *selector, u16 source)
{
	if ((*selector & 3) >= (source & 3))
		return false;
	*selector = (u16)((*selector & ~3u) | (source & 3));
	return true;
}

X86_HANDLER(arpl_r)
{
	u16 selector = X86_REG(cpu, op->dst, u16);
	bool raised = adjusted_rpl(&selector, X86_REG(cpu, op->src, u16));

	X86_REG(cpu, op->dst, u16) = selector;
	x86_cc_replace_zf(cpu, raised);
	X86_NEXT(cpu, op);
}

/* Memory is written only when the selector changes. */
X86_HANDLER(arpl_m)
{
	u64 addr = x86_ea(cpu, op, 2, false);
	u16 selector = x86_load16(cpu, addr);
	bool raised = adjusted_rpl(&selector, X86_REG(cpu, op->src, u16));

	if (raised)
		x86_store16(cpu, x86_ea(cpu, op, 2, true), selector);
	x86_cc_replace_zf(cpu, raised);
	X86_NEXT(cpu, op);
}

X86_HANDLER(arpl_real_mode)
{
	x86_raise_op(cpu, op, X86_UD);
}

static x86_op_fn *select_arpl(struct x86_decode *d)
{
	int form = x86_dec_binary(d);

	if (!(d->mode & X86_MODE_PE))
		return arpl_real_mode;
	return form == X86_FORM_RR ? arpl_r : form == X86_FORM_MR ? arpl_m : NULL;
}

const struct x86_family_entry x86_family_alu[] = {
	{ZYDIS_MNEMONIC_ADD, select_add},     {ZYDIS_MNEMONIC_ADC, select_adc},
	{ZYDIS_MNEMONIC_SUB, select_sub},     {ZYDIS_MNEMONIC_SBB, select_sbb},
	{ZYDIS_MNEMONIC_AND, select_and},     {ZYDIS_MNEMONIC_OR, select_or},
	{ZYDIS_MNEMONIC_XOR, select_xor},     {ZYDIS_MNEMONIC_CMP, select_cmp},
	{ZYDIS_MNEMONIC_TEST, select_test},   {ZYDIS_MNEMONIC_INC, select_inc},
	{ZYDIS_MNEMONIC_DEC, select_dec},     {ZYDIS_MNEMONIC_NEG, select_neg},
	{ZYDIS_MNEMONIC_BOUND, select_bound}, {ZYDIS_MNEMONIC_ARPL, select_arpl},
	{ZYDIS_MNEMONIC_NOT, select_not},     {ZYDIS_MNEMONIC_INVALID, NULL},
};
