/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Floating-point computations in C, for hosts that are not x86.
 *
 * Results are IEEE 754's in round-to-nearest with x86's choices where the
 * standard leaves one: which NaN wins, the sign of the default NaN, what MIN
 * and MAX do with NaNs and zeroes, the "integer indefinite" of conversions.
 * RCPxx and RSQRTxx are correctly rounded, where processors approximate.
 *
 * Included by sse_fp.h only.
 */
#ifndef KVMU_VCPU_X86_SSE_FP_PORTABLE_H
#define KVMU_VCPU_X86_SSE_FP_PORTABLE_H

#include "vcpu/x86/exec_sse.h"

#define X86_FP_COMPUTE(name) \
	static inline __attribute__((unused)) x86_v2u64 name##_fp(x86_v2u64 d, x86_v2u64 s, u32 imm)

/* Lanes are kept as bits: a float that passes through a register may lose its NaN's kind. */
static inline float x86_f32(u32 bits)
{
	float f;

	__builtin_memcpy(&f, &bits, 4);
	return f;
}

static inline u32 x86_bits32(float f)
{
	u32 bits;

	__builtin_memcpy(&bits, &f, 4);
	return bits;
}

static inline double x86_f64(u64 bits)
{
	double f;

	__builtin_memcpy(&f, &bits, 8);
	return f;
}

static inline u64 x86_bits64(double f)
{
	u64 bits;

	__builtin_memcpy(&bits, &f, 8);
	return bits;
}

#define X86_NAN32(bits)	  (((bits)&0x7fffffffu) > 0x7f800000u)
#define X86_NAN64(bits)	  (((bits)&0x7fffffffffffffffull) > 0x7ff0000000000000ull)
#define X86_QUIET32	  0x00400000u
#define X86_QUIET64	  0x0008000000000000ull
#define X86_DEFAULT_NAN32 0xffc00000u
#define X86_DEFAULT_NAN64 0xfff8000000000000ull

/* A NaN operand, the first before the second, made quiet; or the result; or the default NaN. */
static inline u32 x86_pick32(u32 a, u32 b, float result)
{
	if (X86_NAN32(a) || X86_NAN32(b))
		return (X86_NAN32(a) ? a : b) | X86_QUIET32;
	return __builtin_isnan(result) ? X86_DEFAULT_NAN32 : x86_bits32(result);
}

static inline u64 x86_pick64(u64 a, u64 b, double result)
{
	if (X86_NAN64(a) || X86_NAN64(b))
		return (X86_NAN64(a) ? a : b) | X86_QUIET64;
	return __builtin_isnan(result) ? X86_DEFAULT_NAN64 : x86_bits64(result);
}

/* @expression over a and b of the lane's type. */
#define X86_FP_LANE(name, expression)                                     \
	static inline __attribute__((unused)) u32 name##_32(u32 x, u32 y) \
	{                                                                 \
		float a = x86_f32(x), b = x86_f32(y);                     \
		(void)a, (void)b;                                         \
		return x86_pick32(x, y, (float)(expression));             \
	}                                                                 \
	static inline __attribute__((unused)) u64 name##_64(u64 x, u64 y) \
	{                                                                 \
		double a = x86_f64(x), b = x86_f64(y);                    \
		(void)a, (void)b;                                         \
		return x86_pick64(x, y, (double)(expression));            \
	}

/* MIN and MAX: the second operand when the comparison does not decide. */
#define X86_FP_CHOOSE(name, relation)                                     \
	static inline __attribute__((unused)) u32 name##_32(u32 x, u32 y) \
	{                                                                 \
		return x86_f32(x) relation x86_f32(y) ? x : y;            \
	}                                                                 \
	static inline __attribute__((unused)) u64 name##_64(u64 x, u64 y) \
	{                                                                 \
		return x86_f64(x) relation x86_f64(y) ? x : y;            \
	}

/* Operations of the source alone. */
static inline u32 sqrt_32(u32 x, u32 y)
{
	(void)x;
	return x86_pick32(y, y, __builtin_sqrtf(x86_f32(y)));
}

static inline u64 sqrt_64(u64 x, u64 y)
{
	(void)x;
	return x86_pick64(y, y, __builtin_sqrt(x86_f64(y)));
}

static inline u32 rcp_32(u32 x, u32 y)
{
	(void)x;
	return x86_pick32(y, y, 1.0f / x86_f32(y));
}

static inline u32 rsqrt_32(u32 x, u32 y)
{
	(void)x;
	return x86_pick32(y, y, 1.0f / __builtin_sqrtf(x86_f32(y)));
}

/* Comparisons; @a and @b as double, which changes no relation. */
static inline bool x86_fp_holds(double a, double b, u32 imm)
{
	u32 relation = X86_FP_GREATER;

	if (__builtin_isunordered(a, b))
		relation = X86_FP_UNORDERED;
	else if (a <= b)
		relation = a < b ? X86_FP_LESS : X86_FP_EQUAL;
	return x86_fp_relations(imm) & relation;
}

static inline u32 vcmp_32(u32 x, u32 y, u32 imm)
{
	return x86_fp_holds(x86_f32(x), x86_f32(y), imm) ? ~0u : 0;
}

static inline u64 vcmp_64(u64 x, u64 y, u32 imm)
{
	return x86_fp_holds(x86_f64(x), x86_f64(y), imm) ? ~0ull : 0;
}

static inline u32 cmp_32(u32 x, u32 y, u32 imm)
{
	return vcmp_32(x, y, imm & 7);
}

static inline u64 cmp_64(u64 x, u64 y, u32 imm)
{
	return vcmp_64(x, y, imm & 7);
}

/* Rounding to an integral value by the two bits of a rounding control. */
static inline double x86_round_by(double v, u32 control)
{
	switch (control & 3) {
	case 0:
		return __builtin_rint(v);
	case 1:
		return __builtin_floor(v);
	case 2:
		return __builtin_ceil(v);
	default:
		return __builtin_trunc(v);
	}
}

/* ROUNDxx: imm[2] says that MXCSR.RC, in bits 9:8 here, decides. */
static inline u32 round_32(u32 x, u32 y, u32 imm)
{
	(void)x;
	return x86_pick32(y, y, (float)x86_round_by(x86_f32(y), imm & 4 ? imm >> 8 : imm));
}

static inline u64 round_64(u64 x, u64 y, u32 imm)
{
	(void)x;
	return x86_pick64(y, y, x86_round_by(x86_f64(y), imm & 4 ? imm >> 8 : imm));
}

/* To integers: out of range and NaN give the indefinite integer. */
static inline u32 x86_to_int32(double v, u32 control)
{
	v = x86_round_by(v, control);
	return v >= -2147483648.0 && v < 2147483648.0 ? (u32)(s32)v : 0x80000000u;
}

static inline u64 x86_to_int64(double v, u32 control)
{
	v = x86_round_by(v, control);
	return v >= -9223372036854775808.0 && v < 9223372036854775808.0 ? (u64)(s64)v : 1ull << 63;
}

#define X86_RC(imm) ((imm) >> 8)
#define X86_CHOP    3u

/* Between the two widths; a NaN keeps the upper bits of its payload. */
static inline u64 x86_widen(u32 x)
{
	if (X86_NAN32(x))
		return (u64)(x >> 31) << 63 | 0x7ff0000000000000ull | (u64)(x & 0x7fffff) << 29 |
		       X86_QUIET64;
	return x86_bits64(x86_f32(x));
}

static inline u32 x86_narrow(u64 x)
{
	if (X86_NAN64(x))
		return (u32)(x >> 63) << 31 | 0x7f800000u | (u32)(x >> 29 & 0x7fffff) | X86_QUIET32;
	return x86_bits32((float)x86_f64(x));
}

/* ---- lanes to vectors ---------------------------------------------------------------- */

#define X86_FP_VECTORS(name, single, all, ...)            \
	X86_FP_COMPUTE(name)                              \
	{                                                 \
		union vec v = {.vuq = d}, w = {.vuq = s}; \
		(void)imm;                                \
		for (unsigned int i = 0; i < (all); i++)  \
			v.single[i] = __VA_ARGS__;        \
		return v.vuq;                             \
	}

#define X86_FP_FOUR(name)                                            \
	X86_FP_VECTORS(name##ps, ud, 4, name##_32(v.ud[i], w.ud[i])) \
	X86_FP_VECTORS(name##ss, ud, 1, name##_32(v.ud[i], w.ud[i])) \
	X86_FP_VECTORS(name##pd, uq, 2, name##_64(v.uq[i], w.uq[i])) \
	X86_FP_VECTORS(name##sd, uq, 1, name##_64(v.uq[i], w.uq[i]))

#define X86_FP_FOUR_IMM(name)                                             \
	X86_FP_VECTORS(name##ps, ud, 4, name##_32(v.ud[i], w.ud[i], imm)) \
	X86_FP_VECTORS(name##ss, ud, 1, name##_32(v.ud[i], w.ud[i], imm)) \
	X86_FP_VECTORS(name##pd, uq, 2, name##_64(v.uq[i], w.uq[i], imm)) \
	X86_FP_VECTORS(name##sd, uq, 1, name##_64(v.uq[i], w.uq[i], imm))

/* Two neighbours of the destination, then of the source. */
#define X86_FP_NEIGHBOURS(name, lane)                                                      \
	X86_FP_COMPUTE(h##name##ps)                                                        \
	{                                                                                  \
		union vec v = {.vuq = d}, w = {.vuq = s}, r;                               \
		(void)imm;                                                                 \
		for (unsigned int i = 0; i < 4; i++) {                                     \
			const union vec *from = i < 2 ? &v : &w;                           \
			r.ud[i] = lane##_32(from->ud[2 * i % 4], from->ud[2 * i % 4 + 1]); \
		}                                                                          \
		return r.vuq;                                                              \
	}                                                                                  \
	X86_FP_COMPUTE(h##name##pd)                                                        \
	{                                                                                  \
		(void)imm;                                                                 \
		return (x86_v2u64){lane##_64(d[0], d[1]), lane##_64(s[0], s[1])};          \
	}

#define X86_FP_TO_INT(name, source, bits, widen, control)                             \
	X86_FP_COMPUTE(name)                                                          \
	{                                                                             \
		union vec w = {.vuq = s};                                             \
		(void)d, (void)imm;                                                   \
		return (x86_v2u64){x86_to_int##bits(widen(w.source[0]), control), 0}; \
	}

#define X86_FP_FROM_INT(name, lane, put, type, value) \
	X86_FP_COMPUTE(name)                          \
	{                                             \
		union vec v = {.vuq = d};             \
		(void)imm;                            \
		v.lane[0] = put((type)(value)s[0]);   \
		return v.vuq;                         \
	}

/* CF, PF, ZF of a comparison, in RFLAGS' positions. */
#define X86_FP_COMPARE(name, lane, convert)                                                        \
	X86_FP_COMPUTE(name)                                                                       \
	{                                                                                          \
		union vec v = {.vuq = d}, w = {.vuq = s};                                          \
		double a = convert(v.lane[0]), b = convert(w.lane[0]);                             \
		(void)imm;                                                                         \
		if (__builtin_isunordered(a, b))                                                   \
			return (x86_v2u64){X86_EFLAGS_ZF | X86_EFLAGS_PF | X86_EFLAGS_CF, 0};      \
		return (x86_v2u64){(a == b ? X86_EFLAGS_ZF : 0) | (a < b ? X86_EFLAGS_CF : 0), 0}; \
	}

/* One operation, one line. */
/* clang-format off */
X86_FP_LANE(add, a + b) X86_FP_LANE(sub, a - b) X86_FP_LANE(mul, a * b) X86_FP_LANE(div, a / b)
X86_FP_CHOOSE(min, <) X86_FP_CHOOSE(max, >)
X86_FP_FOUR(add) X86_FP_FOUR(sub) X86_FP_FOUR(mul) X86_FP_FOUR(div)
X86_FP_FOUR(min) X86_FP_FOUR(max) X86_FP_FOUR(sqrt)
X86_FP_FOUR_IMM(cmp) X86_FP_FOUR_IMM(vcmp) X86_FP_FOUR_IMM(round)
X86_FP_VECTORS(rcpps, ud, 4, rcp_32(0, w.ud[i]))
X86_FP_VECTORS(rcpss, ud, 1, rcp_32(0, w.ud[i]))
X86_FP_VECTORS(rsqrtps, ud, 4, rsqrt_32(0, w.ud[i]))
X86_FP_VECTORS(rsqrtss, ud, 1, rsqrt_32(0, w.ud[i]))
X86_FP_VECTORS(addsubps, ud, 4, i & 1 ? add_32(v.ud[i], w.ud[i]) : sub_32(v.ud[i], w.ud[i]))
X86_FP_VECTORS(addsubpd, uq, 2, i & 1 ? add_64(v.uq[i], w.uq[i]) : sub_64(v.uq[i], w.uq[i]))
X86_FP_NEIGHBOURS(add, add)
X86_FP_NEIGHBOURS(sub, sub)

X86_FP_VECTORS(cvtdq2ps, ud, 4, x86_bits32((float)w.sd[i]))
X86_FP_VECTORS(cvtdq2pd, uq, 2, x86_bits64((double)w.sd[i]))
X86_FP_VECTORS(cvtps2dq, ud, 4, x86_to_int32(x86_f32(w.ud[i]), X86_RC(imm)))
X86_FP_VECTORS(cvttps2dq, ud, 4, x86_to_int32(x86_f32(w.ud[i]), X86_CHOP))
X86_FP_VECTORS(cvtpd2dq, ud, 4, i < 2 ? x86_to_int32(x86_f64(w.uq[i]), X86_RC(imm)) : 0)
X86_FP_VECTORS(cvttpd2dq, ud, 4, i < 2 ? x86_to_int32(x86_f64(w.uq[i]), X86_CHOP) : 0)
X86_FP_VECTORS(cvtps2pd, uq, 2, x86_widen(w.ud[i]))
X86_FP_VECTORS(cvtpd2ps, ud, 4, i < 2 ? x86_narrow(w.uq[i]) : 0)
X86_FP_VECTORS(cvtss2sd, uq, 1, x86_widen(w.ud[i]))
X86_FP_VECTORS(cvtsd2ss, ud, 1, x86_narrow(w.uq[i]))

X86_FP_FROM_INT(cvtsi2ss32, ud, x86_bits32, float, s32)
X86_FP_FROM_INT(cvtsi2ss64, ud, x86_bits32, float, s64)
X86_FP_FROM_INT(cvtsi2sd32, uq, x86_bits64, double, s32)
X86_FP_FROM_INT(cvtsi2sd64, uq, x86_bits64, double, s64)
X86_FP_TO_INT(cvtss2si32, ud, 32, x86_f32, X86_RC(imm))
X86_FP_TO_INT(cvtss2si64, ud, 64, x86_f32, X86_RC(imm))
X86_FP_TO_INT(cvtsd2si32, uq, 32, x86_f64, X86_RC(imm))
X86_FP_TO_INT(cvtsd2si64, uq, 64, x86_f64, X86_RC(imm))
X86_FP_TO_INT(cvttss2si32, ud, 32, x86_f32, X86_CHOP)
X86_FP_TO_INT(cvttss2si64, ud, 64, x86_f32, X86_CHOP)
X86_FP_TO_INT(cvttsd2si32, uq, 32, x86_f64, X86_CHOP)
X86_FP_TO_INT(cvttsd2si64, uq, 64, x86_f64, X86_CHOP)
X86_FP_COMPARE(comiss, ud, x86_f32)
X86_FP_COMPARE(comisd, uq, x86_f64)
X86_FP_COMPARE(ucomiss, ud, x86_f32)
X86_FP_COMPARE(ucomisd, uq, x86_f64)
/* clang-format on */

#endif
