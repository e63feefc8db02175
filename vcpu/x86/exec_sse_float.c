/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Floating-point arithmetic on vectors and scalars (SDM vol. 1, 10.4.1.2,
 * 11.4.1.2, 12.3, 12.8.5; vol. 2), and MXCSR's exceptions (vol. 1, 11.5).
 *
 * Exceptions are found by running the masked form.  Where that says less than
 * the unmasked one, so do we: with underflow unmasked, a tiny result that is
 * exact raises nothing, and beside an unmasked overflow or underflow the PE
 * flag is that of the masked response (SDM vol. 1, 4.9.1.4, 4.9.1.5).
 */
#include "vcpu/x86/exec_sse.h"
#include "vcpu/x86/sse_fp.h"

#define MEM16 x86_src128_aligned

#if defined(__x86_64__) && !defined(KVMU_SSE_PORTABLE)

/* @flags: what the operation raised.  Records them; unwinds if one is unmasked. */
static void take_flags(struct x86_cpu *cpu, const struct x86_op *op, u32 flags)
{
	u32 unmasked = flags & ~(cpu->mxcsr >> 7) & X86_MXCSR_FLAGS;

	/* An exception found before computing hides those of the result. */
	if (unmasked & X86_MXCSR_PRE)
		flags &= X86_MXCSR_PRE;
	cpu->mxcsr |= flags;
	if (unmasked)
		x86_raise_op(cpu, op, cpu->cr4 & X86_CR4_OSXMMEXCPT ? X86_XM : X86_UD);
}

/* @fn on each lane with every exception masked; the flags that it raised. */
static u32 run_masked(const struct x86_cpu *cpu, const struct x86_op *op, x86_fp_fn *fn,
		      union vec *r, const union vec *d, const union vec *s, unsigned int lanes)
{
	u32 host = x86_host_mxcsr() & ~X86_MXCSR_FLAGS, flags;

	/* Masked, so that the host takes no SIGFPE for what the guest wants to see. */
	x86_host_set_mxcsr((cpu->mxcsr & ~X86_MXCSR_FLAGS) | X86_MXCSR_MASKS);
	for (unsigned int l = 0; l < lanes; l++)
		r[l].vuq = fn(d[l].vuq, s[l].vuq, (u32)op->imm);
	flags = x86_host_mxcsr() & X86_MXCSR_FLAGS;
	x86_host_set_mxcsr(host);
	return flags;
}

__attribute__((noinline, cold)) x86_v2u64 x86_fp_slow(struct x86_cpu *cpu, const struct x86_op *op,
						      x86_fp_fn *fn, x86_v2u64 d, x86_v2u64 s)
{
	union vec r, first = {.vuq = d}, second = {.vuq = s};

	take_flags(cpu, op, run_masked(cpu, op, fn, &r, &first, &second, 1));
	return r.vuq;
}

__attribute__((noinline, cold)) void x86_fp_slow_lanes(struct x86_cpu *cpu, const struct x86_op *op,
						       x86_fp_fn *fn, union vec *r,
						       const union vec *d, const union vec *s)
{
	take_flags(cpu, op, run_masked(cpu, op, fn, r, d, s, X86_LANES));
}

u32 x86_fp_enter(void)
{
	u32 saved = x86_host_mxcsr();

	x86_host_set_mxcsr(X86_MXCSR_INIT);
	return saved;
}

void x86_fp_leave(u32 saved)
{
	x86_host_set_mxcsr(saved);
}

/* May instructions of SSE3 and SSE4.1 be executed here? */
static bool host_has_sse41(void)
{
	return __builtin_cpu_supports("sse3") && __builtin_cpu_supports("sse4.1");
}

#else

u32 x86_fp_enter(void)
{
	return 0;
}

void x86_fp_leave(u32 saved)
{
	(void)saved;
}

static bool host_has_sse41(void)
{
	return true;
}

#endif

/* Offered only where the host can. */
#define FP_SSE41(name, load)                                                            \
	X86_FP_HANDLERS(name, load, name##_fp, name##_fp)                               \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                              \
	{                                                                               \
		if (!host_has_sse41())                                                  \
			return NULL;                                                    \
		return x86_vec_select(d, name##_rr, name##_rm, name##_vrr, name##_vrm); \
	}

/* The VEX encoding has 32 predicates, the legacy one 8. */
#define FP_CMP(name, load)                                   \
	X86_FP_HANDLERS(name, load, name##_fp, v##name##_fp) \
	X86_SSE_SELECT(name)

#define FP_FOUR(name)                      \
	X86_FP_SIMPLE(name##ps, MEM16)     \
	X86_FP_SIMPLE(name##pd, MEM16)     \
	X86_FP_SIMPLE(name##ss, x86_src32) \
	X86_FP_SIMPLE(name##sd, x86_src64)

/* clang-format off */
FP_FOUR(add)
FP_FOUR(sub)
FP_FOUR(mul)
FP_FOUR(div)
FP_FOUR(min)
FP_FOUR(max)
FP_FOUR(sqrt)
FP_CMP(cmpps, MEM16)
FP_CMP(cmppd, MEM16)
FP_CMP(cmpss, x86_src32)
FP_CMP(cmpsd, x86_src64)
X86_FP_SIMPLE(rcpps, MEM16)
X86_FP_SIMPLE(rcpss, x86_src32)
X86_FP_SIMPLE(rsqrtps, MEM16)
X86_FP_SIMPLE(rsqrtss, x86_src32)
FP_SSE41(haddps, MEM16)
FP_SSE41(haddpd, MEM16)
FP_SSE41(hsubps, MEM16)
FP_SSE41(hsubpd, MEM16)
FP_SSE41(addsubps, MEM16)
FP_SSE41(addsubpd, MEM16)
FP_SSE41(roundps, MEM16)
FP_SSE41(roundpd, MEM16)
FP_SSE41(roundss, x86_src32)
FP_SSE41(roundsd, x86_src64)
/* clang-format on */

/*
 * Dot products: lanes that imm[7:4] leaves out count as +0 and are not
 * multiplied, so their operands are cleared; neighbours are added first.  Each
 * step raises its own exceptions.
 */
#define SHUFFLE(v, ...) ((x86_v2u64)__builtin_shufflevector((v), (v), __VA_ARGS__))

static void dot_single(struct x86_cpu *cpu, const struct x86_op *op, union vec *r,
		       const union vec *first, const union vec *second, unsigned int lanes)
{
	u32 imm = (u32)op->imm;
	x86_v4u32 on = {imm >> 4 & 1, imm >> 5 & 1, imm >> 6 & 1, imm >> 7 & 1};
	x86_v4u32 out = {imm & 1, imm >> 1 & 1, imm >> 2 & 1, imm >> 3 & 1};
	union vec d[X86_LANES] = {first[0]}, s[X86_LANES] = {second[0]};

	for (unsigned int l = 0; l < lanes; l++) {
		d[l].vud = first[l].vud & -on;
		s[l].vud = second[l].vud & -on;
	}
	x86_fp_run_lanes(cpu, op, mulps_fp, r, d, s, lanes);
	for (unsigned int l = 0; l < lanes; l++) {
		d[l].vuq = SHUFFLE(r[l].vud, 0, 2, 0, 2);
		s[l].vuq = SHUFFLE(r[l].vud, 1, 3, 1, 3);
	}
	x86_fp_run_lanes(cpu, op, addps_fp, r, d, s, lanes);
	for (unsigned int l = 0; l < lanes; l++) {
		d[l].vuq = SHUFFLE(r[l].vud, 0, 0, 0, 0);
		s[l].vuq = SHUFFLE(r[l].vud, 1, 1, 1, 1);
	}
	x86_fp_run_lanes(cpu, op, addps_fp, r, d, s, lanes);
	for (unsigned int l = 0; l < lanes; l++)
		r[l].vud &= -out;
}

/* In 128 bits only. */
static void dot_double(struct x86_cpu *cpu, const struct x86_op *op, union vec *r,
		       const union vec *d, const union vec *s, unsigned int lanes)
{
	u32 imm = (u32)op->imm;
	x86_v2u64 on = {imm >> 4 & 1, imm >> 5 & 1}, out = {imm & 1, imm >> 1 & 1}, t;

	(void)lanes;
	t = x86_fp_run(cpu, op, mulpd_fp, d->vuq & -on, s->vuq & -on);
	r->vuq = x86_fp_run(cpu, op, addpd_fp, SHUFFLE(t, 0, 0), SHUFFLE(t, 1, 1)) & -out;
}

#define DOT(name, compute)                                                                  \
	static inline void name##_legacy(struct x86_cpu *cpu, const struct x86_op *op,      \
					 const union vec *s)                                \
	{                                                                                   \
		union vec *d = x86_vec(cpu, op->dst), r[X86_LANES];                         \
		compute(cpu, op, r, d, s, 1);                                               \
		*d = r[0];                                                                  \
	}                                                                                   \
	static inline void name##_lanes(struct x86_cpu *cpu, const struct x86_op *op,       \
					const union vec *s)                                 \
	{                                                                                   \
		union vec r[X86_LANES] = {{.uq = {0, 0}}};                                  \
		compute(cpu, op, r, x86_ymm(cpu, op->aux), s, x86_vex_lanes(op));           \
		x86_put_lanes(cpu, op, r);                                                  \
	}                                                                                   \
	static const struct x86_op *name##_rr(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                   \
		name##_legacy(cpu, op, x86_vec(cpu, op->src));                              \
		X86_NEXT(cpu, op);                                                          \
	}                                                                                   \
	static const struct x86_op *name##_rm(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                   \
		union vec s = MEM16(cpu, op);                                               \
		name##_legacy(cpu, op, &s);                                                 \
		X86_NEXT(cpu, op);                                                          \
	}                                                                                   \
	X86_VEX_FORMS(name, x86_src128)                                                     \
	X86_SSE_SELECT(name)

DOT(dpps, dot_single)
DOT(dppd, dot_double)
