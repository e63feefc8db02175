/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shifts and rotates: SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD and the
 * flagless RORX, SARX, SHLX, SHRX (SDM vol. 2, the instructions' pages).
 *
 * Each operation is an inline function on a value of @bits bits held in a u64,
 * which returns the result and what happens to the flags.  With a constant
 * @bits the compiler folds everything that depends on the size.  A count of 0
 * (after masking to 5 bits, 6 for 64-bit operands) leaves the flags alone but
 * still writes the destination.
 */
#include "vcpu/x86/exec_int.h"

enum shift_flags {
	SHIFT_NONE,   /* flags as they were */
	SHIFT_RESULT, /* ZF, SF, PF of the result; CF and OF given */
	SHIFT_CF_OF,  /* only CF and OF change */
};

struct shifted {
	u64 value;
	u32 cf_of;
	enum shift_flags kind;
};

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE unsigned int shift_count(u64 count, unsigned int bits)
{
	return (unsigned int)count & (bits == 64 ? 63 : 31);
}

ALWAYS_INLINE u32 cf_of(u64 cf, u64 of)
{
	return (u32)(cf & 1) * X86_EFLAGS_CF | (u32)(of & 1) * X86_EFLAGS_OF;
}

ALWAYS_INLINE struct shifted shift_shl(u64 a, unsigned int n, unsigned int bits, u64 carry)
{
	struct shifted s = {.value = a, .kind = SHIFT_NONE};

	(void)carry;
	if (n) {
		/* Bit @bits of the wide result is the last one shifted out. */
		u64 cf = bits == 64 ? a >> (64 - n) : (a << n) >> bits;

		s.value = a << n;
		s.cf_of = cf_of(cf, cf ^ (s.value >> (bits - 1)));
		s.kind = SHIFT_RESULT;
	}
	return s;
}

ALWAYS_INLINE struct shifted shift_shr(u64 a, unsigned int n, unsigned int bits, u64 carry)
{
	struct shifted s = {.value = a, .kind = SHIFT_NONE};

	(void)carry;
	if (n) {
		s.value = a >> n;
		s.cf_of = cf_of(a >> (n - 1), a >> (bits - 1));
		s.kind = SHIFT_RESULT;
	}
	return s;
}

ALWAYS_INLINE s64 sign_extend(u64 a, unsigned int bits)
{
	return (s64)(a << (64 - bits)) >> (64 - bits);
}

ALWAYS_INLINE struct shifted shift_sar(u64 a, unsigned int n, unsigned int bits, u64 carry)
{
	struct shifted s = {.value = a, .kind = SHIFT_NONE};
	s64 wide = sign_extend(a, bits);

	(void)carry;
	if (n) {
		s.value = (u64)(wide >> n);
		s.cf_of = cf_of((u64)(wide >> (n - 1)), 0);
		s.kind = SHIFT_RESULT;
	}
	return s;
}

ALWAYS_INLINE u64 rotate_left(u64 a, unsigned int n, unsigned int bits)
{
	n &= bits - 1;
	return n ? (a << n) | (a >> (bits - n)) : a;
}

/* A masked count that is a multiple of the size still sets CF. */
ALWAYS_INLINE struct shifted shift_rol(u64 a, unsigned int n, unsigned int bits, u64 carry)
{
	struct shifted s = {.value = a, .kind = SHIFT_NONE};

	(void)carry;
	if (n) {
		s.value = rotate_left(a, n, bits);
		s.cf_of = cf_of(s.value, s.value ^ (s.value >> (bits - 1)));
		s.kind = SHIFT_CF_OF;
	}
	return s;
}

ALWAYS_INLINE struct shifted shift_ror(u64 a, unsigned int n, unsigned int bits, u64 carry)
{
	struct shifted s = {.value = a, .kind = SHIFT_NONE};

	(void)carry;
	if (n) {
		s.value = rotate_left(a, bits - (n & (bits - 1)), bits);
		s.cf_of = cf_of(s.value >> (bits - 1),
				(s.value >> (bits - 1)) ^ (s.value >> (bits - 2)));
		s.kind = SHIFT_CF_OF;
	}
	return s;
}

/* Rotates through CF are rotates of bits + 1 bits. */
ALWAYS_INLINE unsigned int carry_count(unsigned int n, unsigned int bits)
{
	return bits < 32 ? n % (bits + 1) : n;
}

ALWAYS_INLINE struct shifted shift_rcl(u64 a, unsigned int n, unsigned int bits, u64 carry)
{
	struct shifted s = {.value = a, .kind = SHIFT_NONE};
	u64 cf;

	n = carry_count(n, bits);
	if (n) {
		cf = a >> (bits - n);
		s.value = (n == 64 ? 0 : a << n) | (carry << (n - 1));
		if (n > 1)
			s.value |= a >> (bits + 1 - n);
		s.cf_of = cf_of(cf, cf ^ (s.value >> (bits - 1)));
		s.kind = SHIFT_CF_OF;
	}
	return s;
}

ALWAYS_INLINE struct shifted shift_rcr(u64 a, unsigned int n, unsigned int bits, u64 carry)
{
	struct shifted s = {.value = a, .kind = SHIFT_NONE};

	n = carry_count(n, bits);
	if (n) {
		s.value = (a >> n) | (carry << (bits - n));
		if (n > 1)
			s.value |= a << (bits + 1 - n);
		s.cf_of = cf_of(a >> (n - 1), (s.value >> (bits - 1)) ^ (s.value >> (bits - 2)));
		s.kind = SHIFT_CF_OF;
	}
	return s;
}

/* ---- commits ------------------------------------------------------------------------------- */

ALWAYS_INLINE void shift_set_flags(struct x86_cpu *cpu, const struct shifted *s, unsigned int bits)
{
	if (s->kind == SHIFT_RESULT)
		x86_cc_result(cpu, x86_size_index(bits / 8), sign_extend(s->value, bits), s->cf_of);
	else if (s->kind == SHIFT_CF_OF)
		x86_cc_replace_cf_of(cpu, s->cf_of);
}

/* The count: an immediate (D1 is an immediate 1) or CL. */
#define COUNT_i ((u64)op->imm)
#define COUNT_c (cpu->regs[X86_RCX])

#define NO_CARRY   0
#define WITH_CARRY x86_carry(cpu)

#define DEFINE_SHIFT(name, carry, count, bits)                                                     \
	X86_HANDLER(name##_r##count##bits)                                                         \
	{                                                                                          \
		X86_READ_R(bits, a);                                                               \
		struct shifted s = shift_##name(a, shift_count(COUNT_##count, bits), bits, carry); \
		X86_SET_REG##bits(cpu, op->dst, s.value);                                          \
		shift_set_flags(cpu, &s, bits);                                                    \
		X86_NEXT(cpu, op);                                                                 \
	}                                                                                          \
	X86_HANDLER(name##_m##count##bits)                                                         \
	{                                                                                          \
		X86_RMW_BEGIN(bits, a);                                                            \
		struct shifted s = shift_##name(a, shift_count(COUNT_##count, bits), bits, carry); \
		X86_RMW_END(bits, (u##bits)s.value);                                               \
		shift_set_flags(cpu, &s, bits);                                                    \
		X86_NEXT(cpu, op);                                                                 \
	}

struct shift_ops {
	x86_op_fn *fn[X86_NR_FORMS1][2][4]; /* register or memory; immediate or CL */
};

static x86_op_fn *select_shift(struct x86_decode *d, const struct shift_ops *ops)
{
	int form = x86_dec_unary(d, 0);
	bool by_cl = x86_dec_is_reg(d, 1);

	if (form < 0 || d->op->flags & X86_OP_LOCK)
		return NULL;
	if (!by_cl)
		d->op->imm = (s32)d->operands[1].imm.value.u;
	return ops->fn[form][by_cl][x86_size_index(d->op->size)];
}

#define FOR_SIZES(macro, ...) \
	macro(__VA_ARGS__, 8) macro(__VA_ARGS__, 16) macro(__VA_ARGS__, 32) macro(__VA_ARGS__, 64)

#define DEFINE_SHIFTS(name, carry)                                    \
	FOR_SIZES(DEFINE_SHIFT, name, carry, i)                       \
	FOR_SIZES(DEFINE_SHIFT, name, carry, c)                       \
	static x86_op_fn *select_##name(struct x86_decode *d)         \
	{                                                             \
		static const struct shift_ops ops = {{                \
			{X86_SIZES(name##_ri), X86_SIZES(name##_rc)}, \
			{X86_SIZES(name##_mi), X86_SIZES(name##_mc)}, \
		}};                                                   \
		return select_shift(d, &ops);                         \
	}

DEFINE_SHIFTS(shl, NO_CARRY)
DEFINE_SHIFTS(shr, NO_CARRY)
DEFINE_SHIFTS(sar, NO_CARRY)
DEFINE_SHIFTS(rol, NO_CARRY)
DEFINE_SHIFTS(ror, NO_CARRY)
DEFINE_SHIFTS(rcl, WITH_CARRY)
DEFINE_SHIFTS(rcr, WITH_CARRY)

/* ---- SHLD, SHRD ------------------------------------------------------------------------------ */

/*
 * Counts above the size exist for 16 bits only and are undefined; processors
 * go on with the first operand's bits behind the second's, as here.
 */
ALWAYS_INLINE struct shifted shift_shld(u64 a, u64 b, unsigned int n, unsigned int bits)
{
	struct shifted s = {.value = a, .kind = SHIFT_NONE};
	u64 cf;

	if (!n)
		return s;
	if (bits == 16) {
		u64 wide = (a << 32) | (b << 16) | a;

		s.value = (wide << n) >> 32;
		cf = wide >> (48 - n);
	} else {
		s.value = (a << n) | (b >> (bits - n));
		cf = a >> (bits - n);
	}
	s.cf_of = cf_of(cf, (s.value ^ a) >> (bits - 1));
	s.kind = SHIFT_RESULT;
	return s;
}

ALWAYS_INLINE struct shifted shift_shrd(u64 a, u64 b, unsigned int n, unsigned int bits)
{
	struct shifted s = {.value = a, .kind = SHIFT_NONE};
	u64 cf;

	if (!n)
		return s;
	if (bits == 16) {
		u64 wide = (a << 32) | (b << 16) | a;

		s.value = wide >> n;
		cf = wide >> (n - 1);
	} else {
		s.value = (a >> n) | (b << (bits - n));
		cf = a >> (n - 1);
	}
	s.cf_of = cf_of(cf, (s.value ^ a) >> (bits - 1));
	s.kind = SHIFT_RESULT;
	return s;
}

#define DEFINE_DOUBLE(name, count, bits)                                                       \
	X86_HANDLER(name##_r##count##bits)                                                     \
	{                                                                                      \
		X86_READ_R(bits, a);                                                           \
		X86_READ_RR(bits, b);                                                          \
		struct shifted s = shift_##name(a, b, shift_count(COUNT_##count, bits), bits); \
		X86_SET_REG##bits(cpu, op->dst, s.value);                                      \
		shift_set_flags(cpu, &s, bits);                                                \
		X86_NEXT(cpu, op);                                                             \
	}                                                                                      \
	X86_HANDLER(name##_m##count##bits)                                                     \
	{                                                                                      \
		X86_READ_RR(bits, b);                                                          \
		X86_RMW_BEGIN(bits, a);                                                        \
		struct shifted s = shift_##name(a, b, shift_count(COUNT_##count, bits), bits); \
		X86_RMW_END(bits, (u##bits)s.value);                                           \
		shift_set_flags(cpu, &s, bits);                                                \
		X86_NEXT(cpu, op);                                                             \
	}

#define DEFINE_DOUBLES(name)                                              \
	DEFINE_DOUBLE(name, i, 16)                                        \
	DEFINE_DOUBLE(name, i, 32)                                        \
	DEFINE_DOUBLE(name, i, 64)                                        \
	DEFINE_DOUBLE(name, c, 16)                                        \
	DEFINE_DOUBLE(name, c, 32)                                        \
	DEFINE_DOUBLE(name, c, 64)                                        \
	static x86_op_fn *select_##name(struct x86_decode *d)             \
	{                                                                 \
		static const struct shift_ops ops = {{                    \
			{X86_SIZES_W(name##_ri), X86_SIZES_W(name##_rc)}, \
			{X86_SIZES_W(name##_mi), X86_SIZES_W(name##_mc)}, \
		}};                                                       \
		return select_double(d, &ops);                            \
	}

static x86_op_fn *select_double(struct x86_decode *d, const struct shift_ops *ops)
{
	int form = x86_dec_binary(d);
	bool by_cl = x86_dec_is_reg(d, 2);

	if (form != X86_FORM_RR && form != X86_FORM_MR)
		return NULL;
	if (!by_cl)
		d->op->imm = (s32)d->operands[2].imm.value.u;
	return ops->fn[form == X86_FORM_MR][by_cl][x86_size_index(d->op->size)];
}

DEFINE_DOUBLES(shld)
DEFINE_DOUBLES(shrd)

/* ---- RORX, SARX, SHLX, SHRX: no flags -------------------------------------------------------- */

/* The count is an immediate (RORX) or a register, whose offset is in aux. */
#define XCOUNT_i ((u64)op->imm)
#define XCOUNT_r X86_REG(cpu, op->aux, const u64)

#define DEFINE_FLAGLESS(name, how, count, form, read, bits)                                    \
	X86_HANDLER(name##_##form##bits)                                                       \
	{                                                                                      \
		read(bits, a);                                                                 \
		struct shifted s = shift_##how(a, shift_count(XCOUNT_##count, bits), bits, 0); \
		X86_SET_REG##bits(cpu, op->dst, s.value);                                      \
		X86_NEXT(cpu, op);                                                             \
	}

#define DEFINE_FLAGLESS_ALL(name, how, count)                                     \
	DEFINE_FLAGLESS(name, how, count, rr, X86_READ_RR, 32)                    \
	DEFINE_FLAGLESS(name, how, count, rr, X86_READ_RR, 64)                    \
	DEFINE_FLAGLESS(name, how, count, rm, X86_READ_RM, 32)                    \
	DEFINE_FLAGLESS(name, how, count, rm, X86_READ_RM, 64)                    \
	static x86_op_fn *select_##name(struct x86_decode *d)                     \
	{                                                                         \
		static x86_op_fn *const ops[2][2] = {{name##_rr32, name##_rr64},  \
						     {name##_rm32, name##_rm64}}; \
		return select_flagless(d, ops);                                   \
	}

static x86_op_fn *select_flagless(struct x86_decode *d, x86_op_fn *const ops[2][2])
{
	int form = x86_dec_binary(d);

	if (form != X86_FORM_RR && form != X86_FORM_RM)
		return NULL;
	if (x86_dec_is_imm(d, 2))
		d->op->imm = (s32)d->operands[2].imm.value.u;
	else
		d->op->aux = x86_dec_gpr(d, 2);
	return ops[form == X86_FORM_RM][d->op->size == 8];
}

DEFINE_FLAGLESS_ALL(rorx, ror, i)
DEFINE_FLAGLESS_ALL(sarx, sar, r)
DEFINE_FLAGLESS_ALL(shlx, shl, r)
DEFINE_FLAGLESS_ALL(shrx, shr, r)

const struct x86_family_entry x86_family_shift[] = {
	{ZYDIS_MNEMONIC_SHL, select_shl},   {ZYDIS_MNEMONIC_SHR, select_shr},
	{ZYDIS_MNEMONIC_SAR, select_sar},   {ZYDIS_MNEMONIC_ROL, select_rol},
	{ZYDIS_MNEMONIC_ROR, select_ror},   {ZYDIS_MNEMONIC_RCL, select_rcl},
	{ZYDIS_MNEMONIC_RCR, select_rcr},   {ZYDIS_MNEMONIC_SHLD, select_shld},
	{ZYDIS_MNEMONIC_SHRD, select_shrd}, {ZYDIS_MNEMONIC_RORX, select_rorx},
	{ZYDIS_MNEMONIC_SARX, select_sarx}, {ZYDIS_MNEMONIC_SHLX, select_shlx},
	{ZYDIS_MNEMONIC_SHRX, select_shrx}, {ZYDIS_MNEMONIC_INVALID, NULL},
};
