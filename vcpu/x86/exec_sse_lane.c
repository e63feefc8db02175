/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single lanes of vector registers: inserts, extracts, masks of sign bits and
 * the stores that such a mask selects (SDM vol. 1, 10.4.1.1, 12.3; vol. 2).
 */
#include "vcpu/x86/exec_sse.h"

/* ---- masks of sign bits -------------------------------------------------------------- */

static u32 byte_signs(const union vec *v)
{
#if defined(__x86_64__)
	typedef char v16qi __attribute__((vector_size(16)));

	return (u32)__builtin_ia32_pmovmskb128((v16qi)v->vub);
#else
	u32 mask = 0;

	for (unsigned int i = 0; i < 16; i++)
		mask |= (u32)(v->ub[i] >> 7) << i;
	return mask;
#endif
}

static u32 single_signs(const union vec *v)
{
	u32 mask = 0;

	for (unsigned int i = 0; i < 4; i++)
		mask |= (v->ud[i] >> 31) << i;
	return mask;
}

static u32 double_signs(const union vec *v)
{
	return (u32)(v->uq[0] >> 63 | (v->uq[1] >> 63) << 1);
}

#define SIGNS(name, signs, count)                                                                \
	static const struct x86_op *name##_rr(struct x86_cpu *cpu, const struct x86_op *op)      \
	{                                                                                        \
		x86_set_reg32(cpu, op->dst, signs(x86_vec(cpu, op->src)));                       \
		X86_NEXT(cpu, op);                                                               \
	}                                                                                        \
	static const struct x86_op *name##_wide(struct x86_cpu *cpu, const struct x86_op *op)    \
	{                                                                                        \
		const union vec *s = x86_ymm(cpu, op->src);                                      \
		x86_set_reg32(cpu, op->dst, signs(&s[0]) | signs(&s[1]) << (count));             \
		X86_NEXT(cpu, op);                                                               \
	}                                                                                        \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                                       \
	{                                                                                        \
		return x86_vec_select_to_gpr(d, x86_dec_is_ymm(d, 1) ? name##_wide : name##_rr); \
	}

SIGNS(pmovmskb, byte_signs, 16)
SIGNS(movmskps, single_signs, 4)
SIGNS(movmskpd, double_signs, 2)

/*
 * MASKMOVDQU: bytes whose mask byte has its top bit set, at DS:RDI.  Runs of
 * such bytes are stored in one go; every fault is taken before the first.
 */
static unsigned int next_run(u32 mask, unsigned int *start)
{
	if (!(mask >> *start))
		return 0;
	*start += (unsigned int)__builtin_ctz(mask >> *start);
	return (unsigned int)__builtin_ctz(~(mask >> *start));
}

static const struct x86_op *maskmovdqu_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	const union vec *data = x86_vec(cpu, op->dst);
	u32 mask = byte_signs(x86_vec(cpu, op->src));
	u64 addr = x86_ea(cpu, op, 16, true);
	unsigned int start, len;

	for (start = 0; (len = next_run(mask, &start)); start += len)
		x86_probe(cpu, addr + start, len, true);
	for (start = 0; (len = next_run(mask, &start)); start += len)
		x86_store_bytes(cpu, addr + start, &data->ub[start], len);
	X86_NEXT(cpu, op);
}

x86_op_fn *x86_select_maskmovdqu(struct x86_decode *d)
{
	unsigned int n = d->insn->operand_count_visible;
	x86_op_fn *fn = x86_vec_select(d, maskmovdqu_rr, NULL, maskmovdqu_rr, NULL);

	if (fn != maskmovdqu_rr)
		return fn;
	/* The memory operand is a hidden one. */
	for (; n < d->insn->operand_count; n++) {
		if (x86_dec_is_mem(d, n)) {
			x86_dec_mem(d, n);
			return fn;
		}
	}
	return NULL;
}

/* ---- inserting and extracting lanes ----------------------------------------------------- */

#define PINSR(name, lane, count, bits)                                                            \
	static const struct x86_op *name##_gpr(struct x86_cpu *cpu, const struct x86_op *op)      \
	{                                                                                         \
		x86_vec(cpu, op->dst)->lane[op->imm & ((count)-1)] =                              \
			X86_REG(cpu, op->src, u##bits);                                           \
		X86_NEXT(cpu, op);                                                                \
	}                                                                                         \
	static const struct x86_op *name##_load(struct x86_cpu *cpu, const struct x86_op *op)     \
	{                                                                                         \
		u##bits v = x86_load##bits(cpu, x86_ea(cpu, op, (bits) / 8, false));              \
		x86_vec(cpu, op->dst)->lane[op->imm & ((count)-1)] = v;                           \
		X86_NEXT(cpu, op);                                                                \
	}                                                                                         \
	static const struct x86_op *name##_vgpr(struct x86_cpu *cpu, const struct x86_op *op)     \
	{                                                                                         \
		union vec r = *x86_vec(cpu, op->aux);                                             \
		r.lane[op->imm & ((count)-1)] = X86_REG(cpu, op->src, u##bits);                   \
		x86_put_xmm(cpu, op->dst, r);                                                     \
		X86_NEXT(cpu, op);                                                                \
	}                                                                                         \
	static const struct x86_op *name##_vload(struct x86_cpu *cpu, const struct x86_op *op)    \
	{                                                                                         \
		u##bits v = x86_load##bits(cpu, x86_ea(cpu, op, (bits) / 8, false));              \
		union vec r = *x86_vec(cpu, op->aux);                                             \
		r.lane[op->imm & ((count)-1)] = v;                                                \
		x86_put_xmm(cpu, op->dst, r);                                                     \
		X86_NEXT(cpu, op);                                                                \
	}                                                                                         \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                                        \
	{                                                                                         \
		return x86_vec_select_gpr(d, name##_gpr, name##_load, name##_vgpr, name##_vload); \
	}

PINSR(pinsrb, ub, 16, 8)
PINSR(pinsrw, uw, 8, 16)
PINSR(pinsrd, ud, 4, 32)
PINSR(pinsrq, uq, 2, 64)

/* To a general register or memory: the encodings do not differ. */
#define PEXTR(name, lane, count, bits)                                                           \
	static const struct x86_op *name##_gpr(struct x86_cpu *cpu, const struct x86_op *op)     \
	{                                                                                        \
		X86_REG(cpu, op->dst, u64) = x86_vec(cpu, op->src)->lane[op->imm & ((count)-1)]; \
		X86_NEXT(cpu, op);                                                               \
	}                                                                                        \
	static const struct x86_op *name##_store(struct x86_cpu *cpu, const struct x86_op *op)   \
	{                                                                                        \
		x86_store##bits(cpu, x86_ea(cpu, op, (bits) / 8, true),                          \
				x86_vec(cpu, op->src)->lane[op->imm & ((count)-1)]);             \
		X86_NEXT(cpu, op);                                                               \
	}                                                                                        \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                                       \
	{                                                                                        \
		return x86_dec_is_mem(d, 0) ? x86_vec_select_store(d, name##_store)              \
					    : x86_vec_select_to_gpr(d, name##_gpr);              \
	}

PEXTR(pextrb, ub, 16, 8)
PEXTR(pextrw, uw, 8, 16)
PEXTR(pextrd, ud, 4, 32)
PEXTR(pextrq, uq, 2, 64)

/* INSERTPS: imm[7:6] source lane (registers only), imm[5:4] destination lane, imm[3:0] zeroes. */
static union vec insertps_src(struct x86_cpu *cpu, const struct x86_op *op)
{
	u32 v = x86_load32(cpu, x86_ea(cpu, op, 4, false));

	return (union vec){.ud = {v, v, v, v}};
}
X86_VEX_NARROW_SOURCE(insertps_src)

X86_SSE_OP(insertps)
{
	*r = *d;
	r->ud[imm >> 4 & 3] = s->ud[imm >> 6 & 3];
	for (unsigned int i = 0; i < 4; i++)
		if (imm >> i & 1)
			r->ud[i] = 0;
}
X86_SSE_HANDLERS(insertps, insertps_src)
