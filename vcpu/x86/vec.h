/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Vector registers and 16-byte memory accesses.
 *
 * The accesses follow mem.h: they unwind when they cannot complete, so callers
 * change no state before.  A 16-byte access is not one atomic access, as the
 * architecture promises none (SDM vol. 3, 9.1.1).
 */
#ifndef KVMU_VCPU_X86_VEC_H
#define KVMU_VCPU_X86_VEC_H

#include "vcpu/x86/exception.h"
#include "vcpu/x86/mem.h"

typedef u8 x86_v16u8 __attribute__((vector_size(16)));
typedef s8 x86_v16s8 __attribute__((vector_size(16)));
typedef u16 x86_v8u16 __attribute__((vector_size(16)));
typedef s16 x86_v8s16 __attribute__((vector_size(16)));
typedef u32 x86_v4u32 __attribute__((vector_size(16)));
typedef s32 x86_v4s32 __attribute__((vector_size(16)));
typedef u64 x86_v2u64 __attribute__((vector_size(16)));
typedef s64 x86_v2s64 __attribute__((vector_size(16)));

/* One XMM register by lane type: as compiler vectors (v...) and as arrays. */
union vec {
	x86_v16u8 vub;
	x86_v16s8 vsb;
	x86_v8u16 vuw;
	x86_v8s16 vsw;
	x86_v4u32 vud;
	x86_v4s32 vsd;
	x86_v2u64 vuq;
	x86_v2s64 vsq;
	u8 ub[16];
	s8 sb[16];
	u16 uw[8];
	s16 sw[8];
	u32 ud[4];
	s32 sd[4];
	u64 uq[2];
	s64 sq[2];
	float f[4];
	double lf[2];
};

static_assert(sizeof(union vec) == sizeof(union x86_xmm), "one XMM register");

static inline union vec *x86_vec(struct x86_cpu *cpu, unsigned int n)
{
	return (union vec *)(void *)&cpu->ymm[n].x[0];
}

/* Thread sanitizer builds: guests race by design, so go through atomics there. */
static inline union vec x86_host_load128(const void *ptr)
{
	union vec value;
#if defined(__SANITIZE_THREAD__)
	value.uq[0] = x86_host_load64(ptr);
	value.uq[1] = x86_host_load64((const u8 *)ptr + 8);
#else
	__builtin_memcpy(&value, ptr, 16);
	barrier_compiler();
#endif
	return value;
}

static inline void x86_host_store128(void *ptr, const union vec *value)
{
#if defined(__SANITIZE_THREAD__)
	x86_host_store64(ptr, value->uq[0]);
	x86_host_store64((u8 *)ptr + 8, value->uq[1]);
#else
	__builtin_memcpy(ptr, value, 16);
	barrier_compiler();
#endif
}

static inline __attribute__((always_inline)) union vec x86_load128(struct x86_cpu *cpu, u64 addr)
{
	const struct x86_tlb_entry *e = &cpu->tlb->entry[x86_tlb_index(addr)];
	union vec value;

	if (likely(addr - e->read_tag <= PAGE_SIZE - 16))
		return x86_host_load128(hva_to_ptr(addr + e->addend));
	x86_load_bytes(cpu, addr, &value, 16);
	return value;
}

static inline void x86_store128(struct x86_cpu *cpu, u64 addr, const union vec *value)
{
	const struct x86_tlb_entry *e = &cpu->tlb->entry[x86_tlb_index(addr)];

	if (likely(addr - e->write_tag <= PAGE_SIZE - 16))
		x86_host_store128(hva_to_ptr(addr + e->addend), value);
	else
		x86_store_bytes(cpu, addr, value, 16);
}

/* Legacy SSE forms that want alignment: #GP(0) otherwise (SDM vol. 1, 10.4.1.1). */
static inline __attribute__((always_inline)) u64
x86_ea_aligned16(struct x86_cpu *cpu, const struct x86_op *op, bool write)
{
	u64 addr = x86_ea_inline(cpu, op, 16, write);

	if (unlikely(addr & 15))
		x86_raise_code(cpu, X86_GP, 0);
	return addr;
}

/*
 * The plain case of a hot 16-byte move, without a call in it so that the
 * handler needs no stack frame: NULL when the access misses the TLB, crosses
 * pages or is not a multiple of @align_mask + 1, for the general handler to sort out.
 * For operations with x86_vec_plain() only.
 */
static inline void *x86_host_ptr128(struct x86_cpu *cpu, const struct x86_op *op, bool write,
				    u64 align_mask)
{
	u64 addr = cpu->seg_base[op->seg] + X86_REG(cpu, op->base, const u64) +
		   (X86_REG(cpu, op->index, const u64) << op->scale) + (u64)(s64)op->disp;
	const struct x86_tlb_entry *e = &cpu->tlb->entry[x86_tlb_index(addr)];
	u64 tag = write ? e->write_tag : e->read_tag;

	cpu->op = op;
	if (unlikely(addr - tag > PAGE_SIZE - 16 || addr & align_mask))
		return NULL;
	return hva_to_ptr(addr + e->addend);
}

/* A 64-bit flat address: none of what makes x86_ea() look twice. */
static inline bool x86_vec_plain(const struct x86_op *op)
{
	return !(op->flags & (X86_OP_ADDR32 | X86_OP_ADDR16 | X86_OP_LEGACY_SEG));
}

/*
 * ---- the memory operand of @op as a source, by width; the rest is zero -------------
 * Always inline: files that have many would else share a function, and pay for its call.
 */
#define X86_SOURCE static inline __attribute__((always_inline)) union vec

X86_SOURCE x86_src128_aligned(struct x86_cpu *cpu, const struct x86_op *op)
{
	return x86_load128(cpu, x86_ea_aligned16(cpu, op, false));
}

X86_SOURCE x86_src128(struct x86_cpu *cpu, const struct x86_op *op)
{
	return x86_load128(cpu, x86_ea_inline(cpu, op, 16, false));
}

X86_SOURCE x86_src64(struct x86_cpu *cpu, const struct x86_op *op)
{
	return (union vec){.uq = {x86_load64(cpu, x86_ea_inline(cpu, op, 8, false)), 0}};
}

X86_SOURCE x86_src32(struct x86_cpu *cpu, const struct x86_op *op)
{
	return (union vec){.uq = {x86_load32(cpu, x86_ea_inline(cpu, op, 4, false)), 0}};
}

X86_SOURCE x86_src16(struct x86_cpu *cpu, const struct x86_op *op)
{
	return (union vec){.uq = {x86_load16(cpu, x86_ea_inline(cpu, op, 2, false)), 0}};
}

X86_SOURCE x86_src8(struct x86_cpu *cpu, const struct x86_op *op)
{
	return (union vec){.uq = {x86_load8(cpu, x86_ea_inline(cpu, op, 1, false)), 0}};
}

#endif
