/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VEX encoding of vector instructions (SDM vol. 1, 14; vol. 2, 2.3).
 *
 * Against the legacy encoding of the same operation: the destination is one
 * operand and the first source another; registers are of one or two 128-bit
 * lanes; what the result does not fill of the 256 bits is cleared; memory
 * needs no alignment but for the aligned moves.
 *
 * In such an operation op->dst, op->aux and op->src number the destination,
 * the first and the second source, op->size is 16 or 32.
 */
#ifndef KVMU_VCPU_X86_VEX_H
#define KVMU_VCPU_X86_VEX_H

#include "vcpu/x86/vec.h"

#define X86_LANES 2

static_assert(sizeof(union x86_ymm) == X86_LANES * sizeof(union vec), "lanes are an array");

/* A register as an array of lanes. */
static inline union vec *x86_ymm(struct x86_cpu *cpu, unsigned int n)
{
	return (union vec *)(void *)&cpu->ymm[n];
}

static inline unsigned int x86_vex_lanes(const struct x86_op *op)
{
	return op->size / 16;
}

/* Results of VEX instructions: 128 bits, or as many lanes as the operation has. */
static inline void x86_put_xmm(struct x86_cpu *cpu, unsigned int n, union vec low)
{
	union vec *ymm = x86_ymm(cpu, n);

	ymm[0] = low;
	ymm[1] = (union vec){.uq = {0, 0}};
}

static inline void x86_put_lanes(struct x86_cpu *cpu, const struct x86_op *op,
				 const union vec r[X86_LANES])
{
	union vec *ymm = x86_ymm(cpu, op->dst);

	ymm[0] = r[0];
	ymm[1] = op->size == 32 ? r[1] : (union vec){.uq = {0, 0}};
}

/*
 * 32 bytes translate as one access where they are in one page; elsewhere both
 * lanes are looked at before the first moves.
 */
static inline void x86_load256(struct x86_cpu *cpu, u64 addr, union vec s[X86_LANES])
{
	const struct x86_tlb_entry *e = &cpu->tlb->entry[x86_tlb_index(addr)];

	if (unlikely(addr - e->read_tag > PAGE_SIZE - 32)) {
		x86_load_bytes(cpu, addr, s, 32);
		return;
	}
	s[0] = x86_host_load128(hva_to_ptr(addr + e->addend));
	s[1] = x86_host_load128(hva_to_ptr(addr + e->addend + 16));
}

static inline void x86_store256(struct x86_cpu *cpu, u64 addr, const union vec s[X86_LANES])
{
	const struct x86_tlb_entry *e = &cpu->tlb->entry[x86_tlb_index(addr)];

	if (unlikely(addr - e->write_tag > PAGE_SIZE - 32)) {
		x86_store_bytes(cpu, addr, s, 32);
		return;
	}
	x86_host_store128(hva_to_ptr(addr + e->addend), &s[0]);
	x86_host_store128(hva_to_ptr(addr + e->addend + 16), &s[1]);
}

/*
 * The memory source of the VEX form, by the name of the legacy form's loader:
 * whole lanes, or the few bytes that a scalar or widening operation takes.
 */
static inline void x86_src128_lanes(struct x86_cpu *cpu, const struct x86_op *op, union vec *s)
{
	u64 addr = x86_ea(cpu, op, op->size, false);

	s[1] = (union vec){.uq = {0, 0}};
	if (op->size == 32)
		x86_load256(cpu, addr, s);
	else
		s[0] = x86_load128(cpu, addr);
}

#define x86_src128_aligned_lanes x86_src128_lanes

/* Of a loader for 128-bit operations only. */
#define X86_VEX_NARROW_SOURCE(load)                                                   \
	static inline void load##_lanes(struct x86_cpu *cpu, const struct x86_op *op, \
					union vec *s)                                 \
	{                                                                             \
		s[0] = load(cpu, op);                                                 \
		s[1] = (union vec){.uq = {0, 0}};                                     \
	}
X86_VEX_NARROW_SOURCE(x86_src64)
X86_VEX_NARROW_SOURCE(x86_src32)
X86_VEX_NARROW_SOURCE(x86_src16)

/* ---- selecting (exec_sse.c) --------------------------------------------------------- */

static inline bool x86_dec_is_vex(const struct x86_decode *d)
{
	return d->insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
}

static inline bool x86_dec_is_xmm(const struct x86_decode *d, unsigned int n)
{
	ZydisRegister reg = d->operands[n].reg.value;

	return x86_dec_is_reg(d, n) && reg >= ZYDIS_REGISTER_XMM0 && reg <= ZYDIS_REGISTER_XMM15;
}

static inline bool x86_dec_is_ymm(const struct x86_decode *d, unsigned int n)
{
	return x86_dec_is_reg(d, n) &&
	       ZydisRegisterGetClass(d->operands[n].reg.value) == ZYDIS_REGCLASS_YMM;
}

/* Vector register operand @n is one of 128 or 256 bits. */
static inline bool x86_dec_is_vec(const struct x86_decode *d, unsigned int n)
{
	return x86_dec_is_xmm(d, n) || x86_dec_is_ymm(d, n);
}

/*
 * The function to return instead when the mode forbids SSE instructions: one
 * that raises #UD (CR0.EM, no CR4.OSFXSR) or #NM (CR0.TS); NULL when it does not.
 */
x86_op_fn *x86_sse_refused(const struct x86_decode *d);
/* The same for VEX: #UD unless CR4.OSXSAVE and XCR0 enable AVX, #NM with CR0.TS. */
x86_op_fn *x86_vex_refused(const struct x86_decode *d);

static inline x86_op_fn *x86_vec_refused(const struct x86_decode *d)
{
	return x86_dec_is_vex(d) ? x86_vex_refused(d) : x86_sse_refused(d);
}

/*
 * A vector destination, one or two sources of which the last may be memory, an
 * immediate or the register that stands in its place (in op->imm).
 */
x86_op_fn *x86_vex_select(struct x86_decode *d, x86_op_fn *rr, x86_op_fn *rm);

#endif
