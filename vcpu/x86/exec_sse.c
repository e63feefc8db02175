/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SSE family: its table and what its select functions have in common.
 * When SSE instructions are refused: SDM vol. 3, table 2-2 and 13.1.
 */
#include "vcpu/x86/exec_sse.h"

static const struct x86_op *sse_raise_ud(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_raise_op(cpu, op, X86_UD);
}

static const struct x86_op *sse_raise_nm(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_raise_op(cpu, op, X86_NM);
}

x86_op_fn *x86_sse_refused(const struct x86_decode *d)
{
	if (d->mode & X86_MODE_SSE_UD)
		return sse_raise_ud;
	if (d->mode & X86_MODE_TS)
		return sse_raise_nm;
	return NULL;
}

void x86_sse_take_imm(struct x86_decode *d)
{
	for (unsigned int n = 0; n < d->insn->operand_count_visible; n++)
		if (x86_dec_is_imm(d, n))
			d->op->imm = (u8)d->operands[n].imm.value.u;
}

x86_op_fn *x86_sse_select(struct x86_decode *d, x86_op_fn *rr, x86_op_fn *rm)
{
	x86_op_fn *refused = x86_sse_refused(d);

	if (!x86_dec_is_xmm(d, 0))
		return NULL;
	if (refused)
		return refused;
	d->op->dst = x86_dec_vec(d, 0);
	x86_sse_take_imm(d);
	if (x86_dec_is_mem(d, 1)) {
		x86_dec_mem(d, 1);
		return rm;
	}
	if (!x86_dec_is_xmm(d, 1))
		return NULL;
	d->op->src = x86_dec_vec(d, 1);
	return rr;
}

/* ---- the VEX encoding --------------------------------------------------------------- */

x86_op_fn *x86_vex_refused(const struct x86_decode *d)
{
	if (!(d->mode & X86_MODE_AVX))
		return sse_raise_ud;
	if (d->mode & X86_MODE_TS)
		return sse_raise_nm;
	return NULL;
}

/* The operand that ModRM.rm gives: the third where there are two sources, else the second. */
static unsigned int last_source(const struct x86_decode *d)
{
	return d->insn->operand_count_visible > 2 && !x86_dec_is_imm(d, 2) ? 2 : 1;
}

/* The immediate, or the number of the register whose number is one. */
static void take_vex_imm(struct x86_decode *d)
{
	x86_sse_take_imm(d);
	if (d->insn->operand_count_visible > 3 && x86_dec_is_vec(d, 3))
		d->op->imm = x86_dec_vec(d, 3);
}

/* All operands but the last source. */
static bool take_vex_operands(struct x86_decode *d, unsigned int last)
{
	if (!x86_dec_is_vec(d, 0) || (last == 2 && !x86_dec_is_vec(d, 1)))
		return false;
	d->op->dst = x86_dec_vec(d, 0);
	if (last == 2)
		d->op->aux = x86_dec_vec(d, 1);
	d->op->size = x86_dec_is_ymm(d, 0) ? 32 : 16;
	take_vex_imm(d);
	if (x86_dec_is_mem(d, last))
		x86_dec_mem(d, last);
	return true;
}

x86_op_fn *x86_vex_select(struct x86_decode *d, x86_op_fn *rr, x86_op_fn *rm)
{
	x86_op_fn *refused = x86_vex_refused(d);
	unsigned int last = last_source(d);

	if (refused)
		return refused;
	if (!take_vex_operands(d, last))
		return NULL;
	if (x86_dec_is_mem(d, last))
		return rm;
	if (!x86_dec_is_vec(d, last))
		return NULL;
	d->op->src = x86_dec_vec(d, last);
	return rr;
}

/* ---- general registers, either encoding --------------------------------------------- */

static bool take_legacy_operands(struct x86_decode *d)
{
	if (!x86_dec_is_xmm(d, 0))
		return false;
	d->op->dst = x86_dec_vec(d, 0);
	x86_sse_take_imm(d);
	if (x86_dec_is_mem(d, 1))
		x86_dec_mem(d, 1);
	return true;
}

x86_op_fn *x86_vec_select_gpr(struct x86_decode *d, x86_op_fn *gpr, x86_op_fn *rm, x86_op_fn *vgpr,
			      x86_op_fn *vrm)
{
	x86_op_fn *refused = x86_vec_refused(d);
	bool vex = x86_dec_is_vex(d);
	unsigned int last = vex ? last_source(d) : 1;

	if (vex ? !take_vex_operands(d, last) : !take_legacy_operands(d))
		return NULL;
	if (refused)
		return refused;
	if (x86_dec_is_mem(d, last))
		return vex ? vrm : rm;
	if (!x86_dec_is_gpr(d, last))
		return NULL;
	d->op->src = x86_dec_gpr(d, last);
	return vex ? vgpr : gpr;
}

x86_op_fn *x86_vec_select_to_gpr(struct x86_decode *d, x86_op_fn *fn)
{
	x86_op_fn *refused = x86_vec_refused(d);

	if (!x86_dec_is_gpr(d, 0) || !x86_dec_is_vec(d, 1))
		return NULL;
	if (refused)
		return refused;
	d->op->dst = x86_dec_gpr(d, 0);
	d->op->src = x86_dec_vec(d, 1);
	x86_sse_take_imm(d);
	return fn;
}

x86_op_fn *x86_vec_select_store(struct x86_decode *d, x86_op_fn *fn)
{
	x86_op_fn *refused = x86_vec_refused(d);

	if (!x86_dec_is_mem(d, 0) || !x86_dec_is_vec(d, 1))
		return NULL;
	if (refused)
		return refused;
	x86_dec_mem(d, 0);
	d->op->src = x86_dec_vec(d, 1);
	d->op->size = x86_dec_is_ymm(d, 1) ? 32 : 16;
	x86_sse_take_imm(d);
	return fn;
}

/* ---- the table ---------------------------------------------------------------------- */

/*
 * MOVSD and CMPSD name two instructions each.  Whichever family's entry is
 * found, both must be reached: the string forms are in the one-byte opcode map.
 */
static x86_op_fn *select_twin(struct x86_decode *d, x86_select_fn *vector)
{
	const struct x86_family_entry *e = x86_family_string;

	if (d->insn->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return vector(d);
	while (e->select && e->mnemonic != d->insn->mnemonic)
		e++;
	return e->select ? e->select(d) : NULL;
}

x86_op_fn *x86_select_movsd_or_string(struct x86_decode *d)
{
	return select_twin(d, x86_select_movsd);
}

x86_op_fn *x86_select_cmpsd_or_string(struct x86_decode *d)
{
	return select_twin(d, x86_select_cmpsd);
}

#define ENTRY(mnemonic, name)	  {ZYDIS_MNEMONIC_##mnemonic, x86_select_##name},
#define VEX_ENTRY(mnemonic, name) ENTRY(V##mnemonic, name)
/* clang-format off */
const struct x86_family_entry x86_family_sse[] = {
	X86_SSE_ALL_LISTS(ENTRY)
	X86_SSE_VEX_LISTS(VEX_ENTRY)
	X86_AVX_LIST(ENTRY)
	{ZYDIS_MNEMONIC_INVALID, NULL},
};
/* clang-format on */
