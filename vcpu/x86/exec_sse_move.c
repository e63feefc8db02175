/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moves to, from and between vector registers, inserts and extracts of lanes,
 * and masks of sign bits (SDM vol. 1, 10.4.1.1, 11.4.1.1, 12.3; vol. 2).
 *
 * Non-temporal moves are ordinary ones: the hint has no visible effect on
 * write-back memory.
 */
#include "vcpu/x86/exec_sse.h"

/* ---- whole registers ------------------------------------------------------------ */

static const struct x86_op *mov128_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	*x86_vec(cpu, op->dst) = *x86_vec(cpu, op->src);
	X86_NEXT(cpu, op);
}

/* Each twice: any address (_any), and the plain one that leaves what is rare to the first. */
#define MOVE128(name, aligned, ea)                                                                 \
	static const struct x86_op *name##_load_any(struct x86_cpu *cpu, const struct x86_op *op)  \
	{                                                                                          \
		*x86_vec(cpu, op->dst) = x86_load128(cpu, ea(cpu, op, false));                     \
		X86_NEXT(cpu, op);                                                                 \
	}                                                                                          \
	static const struct x86_op *name##_load(struct x86_cpu *cpu, const struct x86_op *op)      \
	{                                                                                          \
		const void *ptr = x86_host_ptr128(cpu, op, false, (aligned) ? 15 : 0);             \
		if (unlikely(!ptr))                                                                \
			return name##_load_any(cpu, op);                                           \
		*x86_vec(cpu, op->dst) = x86_host_load128(ptr);                                    \
		X86_NEXT(cpu, op);                                                                 \
	}                                                                                          \
	static const struct x86_op *name##_store_any(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                          \
		x86_store128(cpu, ea(cpu, op, true), x86_vec(cpu, op->src));                       \
		X86_NEXT(cpu, op);                                                                 \
	}                                                                                          \
	static const struct x86_op *name##_store(struct x86_cpu *cpu, const struct x86_op *op)     \
	{                                                                                          \
		void *ptr = x86_host_ptr128(cpu, op, true, (aligned) ? 15 : 0);                    \
		if (unlikely(!ptr))                                                                \
			return name##_store_any(cpu, op);                                          \
		x86_host_store128(ptr, x86_vec(cpu, op->src));                                     \
		X86_NEXT(cpu, op);                                                                 \
	}

static inline u64 ea_unaligned16(struct x86_cpu *cpu, const struct x86_op *op, bool write)
{
	return x86_ea(cpu, op, 16, write);
}

MOVE128(mova, true, x86_ea_aligned16)
MOVE128(movu, false, ea_unaligned16)

/* A move whose two operands are an XMM register and an XMM register or memory, either way round. */
static x86_op_fn *select_move(struct x86_decode *d, x86_op_fn *rr, x86_op_fn *load,
			      x86_op_fn *store)
{
	x86_op_fn *refused = x86_sse_refused(d);

	if (!x86_dec_is_mem(d, 0))
		return x86_sse_select(d, rr, load);
	if (!x86_dec_is_xmm(d, 1))
		return NULL;
	if (refused)
		return refused;
	x86_dec_mem(d, 0);
	d->op->src = x86_dec_vec(d, 1);
	x86_sse_take_imm(d);
	return store;
}

x86_op_fn *x86_select_movaps(struct x86_decode *d)
{
	x86_op_fn *fn = select_move(d, mov128_rr, mova_load_any, mova_store_any);

	if (fn == mova_load_any && x86_vec_plain(d->op))
		return mova_load;
	if (fn == mova_store_any && x86_vec_plain(d->op))
		return mova_store;
	return fn;
}

x86_op_fn *x86_select_movups(struct x86_decode *d)
{
	x86_op_fn *fn = select_move(d, mov128_rr, movu_load_any, movu_store_any);

	if (fn == movu_load_any && x86_vec_plain(d->op))
		return movu_load;
	if (fn == movu_store_any && x86_vec_plain(d->op))
		return movu_store;
	return fn;
}

x86_op_fn *x86_select_movnt(struct x86_decode *d)
{
	return select_move(d, NULL, NULL, mova_store_any);
}

/* ---- MOVNTI: a general register; needs no SSE state, so no mode refuses it --------- */

static const struct x86_op *movnti32(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_store32(cpu, x86_ea(cpu, op, 4, true), X86_REG(cpu, op->src, u32));
	X86_NEXT(cpu, op);
}

static const struct x86_op *movnti64(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_store64(cpu, x86_ea(cpu, op, 8, true), X86_REG(cpu, op->src, u64));
	X86_NEXT(cpu, op);
}

x86_op_fn *x86_select_movnti(struct x86_decode *d)
{
	x86_dec_mem(d, 0);
	d->op->src = x86_dec_gpr(d, 1);
	return d->operands[1].size == 64 ? movnti64 : movnti32;
}

/* ---- MOVD, MOVQ ------------------------------------------------------------------- */

static const struct x86_op *movd_from_gpr(struct x86_cpu *cpu, const struct x86_op *op)
{
	*x86_vec(cpu, op->dst) = (union vec){.uq = {X86_REG(cpu, op->src, u32), 0}};
	X86_NEXT(cpu, op);
}

static const struct x86_op *movd_load(struct x86_cpu *cpu, const struct x86_op *op)
{
	*x86_vec(cpu, op->dst) = x86_src32(cpu, op);
	X86_NEXT(cpu, op);
}

static const struct x86_op *movd_to_gpr(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_set_reg32(cpu, op->dst, x86_vec(cpu, op->src)->ud[0]);
	X86_NEXT(cpu, op);
}

static const struct x86_op *movd_store(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_store32(cpu, x86_ea(cpu, op, 4, true), x86_vec(cpu, op->src)->ud[0]);
	X86_NEXT(cpu, op);
}

static const struct x86_op *movq_from_gpr(struct x86_cpu *cpu, const struct x86_op *op)
{
	*x86_vec(cpu, op->dst) = (union vec){.uq = {X86_REG(cpu, op->src, u64), 0}};
	X86_NEXT(cpu, op);
}

static const struct x86_op *movq_to_gpr(struct x86_cpu *cpu, const struct x86_op *op)
{
	X86_REG(cpu, op->dst, u64) = x86_vec(cpu, op->src)->uq[0];
	X86_NEXT(cpu, op);
}

static const struct x86_op *movq_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	*x86_vec(cpu, op->dst) = (union vec){.uq = {x86_vec(cpu, op->src)->uq[0], 0}};
	X86_NEXT(cpu, op);
}

static const struct x86_op *movq_load(struct x86_cpu *cpu, const struct x86_op *op)
{
	*x86_vec(cpu, op->dst) = x86_src64(cpu, op);
	X86_NEXT(cpu, op);
}

static const struct x86_op *movq_store(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_store64(cpu, x86_ea(cpu, op, 8, true), x86_vec(cpu, op->src)->uq[0]);
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_from_gpr(struct x86_decode *d, x86_op_fn *fn)
{
	x86_op_fn *refused = x86_sse_refused(d);

	if (refused)
		return refused;
	d->op->dst = x86_dec_vec(d, 0);
	d->op->src = x86_dec_gpr(d, 1);
	x86_sse_take_imm(d);
	return fn;
}

static x86_op_fn *select_to_gpr(struct x86_decode *d, x86_op_fn *fn)
{
	x86_op_fn *refused = x86_sse_refused(d);

	if (refused)
		return refused;
	d->op->dst = x86_dec_gpr(d, 0);
	d->op->src = x86_dec_vec(d, 1);
	x86_sse_take_imm(d);
	return fn;
}

x86_op_fn *x86_select_movd(struct x86_decode *d)
{
	if (x86_dec_is_xmm(d, 0) && x86_dec_is_gpr(d, 1))
		return select_from_gpr(d, movd_from_gpr);
	if (x86_dec_is_gpr(d, 0) && x86_dec_is_xmm(d, 1))
		return select_to_gpr(d, movd_to_gpr);
	return select_move(d, NULL, movd_load, movd_store);
}

x86_op_fn *x86_select_movq(struct x86_decode *d)
{
	if (x86_dec_is_xmm(d, 0) && x86_dec_is_gpr(d, 1))
		return select_from_gpr(d, movq_from_gpr);
	if (x86_dec_is_gpr(d, 0) && x86_dec_is_xmm(d, 1))
		return select_to_gpr(d, movq_to_gpr);
	return select_move(d, movq_rr, movq_load, movq_store);
}

/* ---- MOVSS, MOVSD: between registers they merge, from memory they clear the rest ---- */

static const struct x86_op *movss_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_vec(cpu, op->dst)->ud[0] = x86_vec(cpu, op->src)->ud[0];
	X86_NEXT(cpu, op);
}

static const struct x86_op *movsd_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_vec(cpu, op->dst)->uq[0] = x86_vec(cpu, op->src)->uq[0];
	X86_NEXT(cpu, op);
}

x86_op_fn *x86_select_movss(struct x86_decode *d)
{
	return select_move(d, movss_rr, movd_load, movd_store);
}

x86_op_fn *x86_select_movsd(struct x86_decode *d)
{
	return select_move(d, movsd_rr, movq_load, movq_store);
}

/* ---- halves ----------------------------------------------------------------------- */

static const struct x86_op *movhlps_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_vec(cpu, op->dst)->uq[0] = x86_vec(cpu, op->src)->uq[1];
	X86_NEXT(cpu, op);
}

static const struct x86_op *movlhps_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_vec(cpu, op->dst)->uq[1] = x86_vec(cpu, op->src)->uq[0];
	X86_NEXT(cpu, op);
}

static const struct x86_op *movlps_load(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_vec(cpu, op->dst)->uq[0] = x86_load64(cpu, x86_ea(cpu, op, 8, false));
	X86_NEXT(cpu, op);
}

static const struct x86_op *movhps_load(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_vec(cpu, op->dst)->uq[1] = x86_load64(cpu, x86_ea(cpu, op, 8, false));
	X86_NEXT(cpu, op);
}

static const struct x86_op *movhps_store(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_store64(cpu, x86_ea(cpu, op, 8, true), x86_vec(cpu, op->src)->uq[1]);
	X86_NEXT(cpu, op);
}

x86_op_fn *x86_select_movhlps(struct x86_decode *d)
{
	return x86_sse_select(d, movhlps_rr, NULL);
}

x86_op_fn *x86_select_movlhps(struct x86_decode *d)
{
	return x86_sse_select(d, movlhps_rr, NULL);
}

x86_op_fn *x86_select_movlps(struct x86_decode *d)
{
	return select_move(d, NULL, movlps_load, movq_store);
}

x86_op_fn *x86_select_movhps(struct x86_decode *d)
{
	return select_move(d, NULL, movhps_load, movhps_store);
}

/* clang-format off */
X86_SSE_SIMPLE(movddup, x86_src64, r->uq[0] = r->uq[1] = s->uq[0])
X86_SSE_SIMPLE(movsldup, x86_src128_aligned,
	       r->ud[0] = r->ud[1] = s->ud[0]; r->ud[2] = r->ud[3] = s->ud[2])
X86_SSE_SIMPLE(movshdup, x86_src128_aligned,
	       r->ud[0] = r->ud[1] = s->ud[1]; r->ud[2] = r->ud[3] = s->ud[3])
/* clang-format on */

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

static const struct x86_op *pmovmskb_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_set_reg32(cpu, op->dst, byte_signs(x86_vec(cpu, op->src)));
	X86_NEXT(cpu, op);
}

static const struct x86_op *movmskps_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	const union vec *s = x86_vec(cpu, op->src);
	u32 mask = 0;

	for (unsigned int i = 0; i < 4; i++)
		mask |= (s->ud[i] >> 31) << i;
	x86_set_reg32(cpu, op->dst, mask);
	X86_NEXT(cpu, op);
}

static const struct x86_op *movmskpd_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	const union vec *s = x86_vec(cpu, op->src);

	x86_set_reg32(cpu, op->dst, (u32)(s->uq[0] >> 63 | (s->uq[1] >> 63) << 1));
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_mask(struct x86_decode *d, x86_op_fn *fn)
{
	return x86_dec_is_xmm(d, 1) ? select_to_gpr(d, fn) : NULL;
}

x86_op_fn *x86_select_pmovmskb(struct x86_decode *d)
{
	return select_mask(d, pmovmskb_rr);
}

x86_op_fn *x86_select_movmskps(struct x86_decode *d)
{
	return select_mask(d, movmskps_rr);
}

x86_op_fn *x86_select_movmskpd(struct x86_decode *d)
{
	return select_mask(d, movmskpd_rr);
}

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
	x86_op_fn *fn = x86_sse_select(d, maskmovdqu_rr, NULL);

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

#define PINSR(name, lane, count, bits)                                                        \
	static const struct x86_op *name##_gpr(struct x86_cpu *cpu, const struct x86_op *op)  \
	{                                                                                     \
		x86_vec(cpu, op->dst)->lane[op->imm & ((count)-1)] =                          \
			X86_REG(cpu, op->src, u##bits);                                       \
		X86_NEXT(cpu, op);                                                            \
	}                                                                                     \
	static const struct x86_op *name##_load(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                     \
		u##bits v = x86_load##bits(cpu, x86_ea(cpu, op, (bits) / 8, false));          \
		x86_vec(cpu, op->dst)->lane[op->imm & ((count)-1)] = v;                       \
		X86_NEXT(cpu, op);                                                            \
	}                                                                                     \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                                    \
	{                                                                                     \
		if (x86_dec_is_xmm(d, 0) && x86_dec_is_gpr(d, 1))                             \
			return select_from_gpr(d, name##_gpr);                                \
		return x86_sse_select(d, NULL, name##_load);                                  \
	}

PINSR(pinsrb, ub, 16, 8)
PINSR(pinsrw, uw, 8, 16)
PINSR(pinsrd, ud, 4, 32)
PINSR(pinsrq, uq, 2, 64)

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
		if (x86_dec_is_gpr(d, 0) && x86_dec_is_xmm(d, 1))                                \
			return select_to_gpr(d, name##_gpr);                                     \
		return select_move(d, NULL, NULL, name##_store);                                 \
	}

PEXTR(pextrb, ub, 16, 8)
PEXTR(pextrw, uw, 8, 16)
PEXTR(pextrd, ud, 4, 32)
PEXTR(pextrq, uq, 2, 64)

/* INSERTPS: imm[7:6] source lane (registers only), imm[5:4] destination lane, imm[3:0] zeroes. */
static void insert_single(union vec *d, u32 value, u32 imm)
{
	d->ud[imm >> 4 & 3] = value;
	for (unsigned int i = 0; i < 4; i++)
		if (imm >> i & 1)
			d->ud[i] = 0;
}

static const struct x86_op *insertps_rr(struct x86_cpu *cpu, const struct x86_op *op)
{
	u32 value = x86_vec(cpu, op->src)->ud[op->imm >> 6 & 3];

	insert_single(x86_vec(cpu, op->dst), value, (u32)op->imm);
	X86_NEXT(cpu, op);
}

static const struct x86_op *insertps_rm(struct x86_cpu *cpu, const struct x86_op *op)
{
	u32 value = x86_load32(cpu, x86_ea(cpu, op, 4, false));

	insert_single(x86_vec(cpu, op->dst), value, (u32)op->imm);
	X86_NEXT(cpu, op);
}

x86_op_fn *x86_select_insertps(struct x86_decode *d)
{
	return x86_sse_select(d, insertps_rr, insertps_rm);
}
