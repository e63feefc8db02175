/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the integer families share: operand forms, register writes by width,
 * read-modify-write access, and the macros that stamp out handlers.
 *
 * A handler exists per operation, form and size, so that no form is looked at
 * when it runs.  Naming: NAME_FORMBITS, e.g. add_mr32.
 */
#ifndef KVMU_VCPU_X86_EXEC_INT_H
#define KVMU_VCPU_X86_EXEC_INT_H

#include "vcpu/x86/exception.h"
#include "vcpu/x86/flags_inline.h"
#include "vcpu/x86/mem.h"

/* Destination and source: register, memory, immediate. */
enum x86_form {
	X86_FORM_RR,
	X86_FORM_RI,
	X86_FORM_RM,
	X86_FORM_MR,
	X86_FORM_MI,
	X86_NR_FORMS,
};

/* One operand. */
enum x86_form1 {
	X86_FORM_R,
	X86_FORM_M,
	X86_NR_FORMS1,
};

/*
 * Fill the operation from visible operands 0 and 1 (dst, src, imm, the memory
 * operand and size) and say which form they are; -1 for anything else.  (exec_alu.c)
 */
int x86_dec_binary(struct x86_decode *d);
/* The same for operand @n alone: a register lands in op->dst. */
int x86_dec_unary(struct x86_decode *d, unsigned int n);

/* Bytes of visible operand @n. */
static inline u8 x86_dec_bytes(const struct x86_decode *d, unsigned int n)
{
	return (u8)(d->operands[n].size / 8);
}

/* Supplied by exec_system.c: MOV to and from segment, control and debug registers; PUSH and POP of
 * segment registers. */
x86_op_fn *x86_select_mov_system(struct x86_decode *d);
x86_op_fn *x86_select_pushpop_seg(struct x86_decode *d);

/*
 * Locked operations that the host cannot do in one go: those that cross a
 * page, and on hosts that need alignment the misaligned ones.  They exclude
 * each other, not plain accesses of other CPUs to the same bytes.  (exec_atomic.c)
 */
void x86_split_lock(struct x86_cpu *cpu);
void x86_split_unlock(struct x86_cpu *cpu);

/* Stores at the end of which registers are written, by width. */
#define X86_SET_REG8(cpu, off, v)  (X86_REG(cpu, off, u8) = (u8)(v))
#define X86_SET_REG16(cpu, off, v) (X86_REG(cpu, off, u16) = (u16)(v))
#define X86_SET_REG32(cpu, off, v) (X86_REG(cpu, off, u64) = (u32)(v))
#define X86_SET_REG64(cpu, off, v) (X86_REG(cpu, off, u64) = (u64)(v))

/* Size index of a width in bits, as a constant. */
#define X86_SI8	 0
#define X86_SI16 1
#define X86_SI32 2
#define X86_SI64 3

/*
 * Handlers.  Each is compiled twice from one body: the handler proper, which
 * knows only flat addresses that hit the TLB and so needs no calls and no
 * stack frame, and NAME_general, which it jumps to for everything else.  In the
 * body @slow is that function, or NULL when the body is the slow one; both
 * are constants.  Bodies without memory operands get no slow twin.
 */
#define X86_HANDLER(name)                                                                 \
	static inline __attribute__((always_inline)) const struct x86_op *name##_body(    \
		struct x86_cpu *cpu, const struct x86_op *op, x86_op_fn *slow);           \
	static __attribute__((noinline, cold))                                            \
	const struct x86_op *name##_general(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                 \
		return name##_body(cpu, op, NULL);                                        \
	}                                                                                 \
	static const struct x86_op *name(struct x86_cpu *cpu, const struct x86_op *op)    \
	{                                                                                 \
		return name##_body(cpu, op, name##_general);                              \
	}                                                                                 \
	static inline const struct x86_op *name##_body(struct x86_cpu *cpu,               \
						       const struct x86_op *op,           \
						       x86_op_fn *slow __attribute__((unused)))

/* Host address of the TLB's page for @addr, or NULL. */
static inline __attribute__((always_inline)) void *x86_tlb_hit(const struct x86_cpu *cpu, u64 addr,
							       unsigned int bytes, bool write)
{
	const struct x86_tlb_entry *e = &cpu->tlb->entry[x86_tlb_index(addr)];

	if (unlikely(addr - (write ? e->write_tag : e->read_tag) > PAGE_SIZE - bytes))
		return NULL;
	return hva_to_ptr(addr + e->addend);
}

/* Host address of the memory operand when it is flat and the TLB has it, else NULL. */
static inline __attribute__((always_inline)) void *
x86_fast_ptr(struct x86_cpu *cpu, const struct x86_op *op, unsigned int bytes, bool write)
{
	u64 addr = cpu->seg_base[op->seg] + X86_REG(cpu, op->base, const u64) +
		   (X86_REG(cpu, op->index, const u64) << op->scale) + (u64)(s64)op->disp;

	if (unlikely(op->flags & (X86_OP_ADDR32 | X86_OP_ADDR16 | X86_OP_LEGACY_SEG)))
		return NULL;
	cpu->op = op;
	return x86_tlb_hit(cpu, addr, bytes, write);
}

/* A source operand read into @var. */
#define X86_READ_RR(bits, var) u##bits var = X86_REG(cpu, op->src, const u##bits)
#define X86_READ_RI(bits, var) u##bits var = (u##bits)op->imm
#define X86_READ_RM(bits, var)                                                 \
	u##bits var;                                                           \
	if (slow) {                                                            \
		void *from_ = x86_fast_ptr(cpu, op, (bits) / 8, false);        \
		if (unlikely(!from_))                                          \
			return slow(cpu, op);                                  \
		var = x86_host_load##bits(from_);                              \
	} else {                                                               \
		var = x86_load##bits(cpu, x86_ea(cpu, op, (bits) / 8, false)); \
	}
/* The only operand of a one-operand form. */
#define X86_READ_R(bits, var) u##bits var = X86_REG(cpu, op->dst, const u##bits)
#define X86_READ_M(bits, var) X86_READ_RM(bits, var)

/* A host pointer for read-modify-write, or NULL; see x86_rmw_ptr(). */
static inline void *x86_rmw_fast(struct x86_cpu *cpu, u64 addr, unsigned int bytes)
{
	const struct x86_tlb_entry *e = &cpu->tlb->entry[x86_tlb_index(addr)];

	if (likely(addr - e->write_tag <= PAGE_SIZE - bytes))
		return hva_to_ptr(addr + e->addend);
	return x86_rmw_ptr(cpu, addr, bytes);
}

/* Write @value to the memory operand. */
#define X86_WRITE_MEM(bits, value)                                                        \
	do {                                                                              \
		if (slow) {                                                               \
			void *to_ = x86_fast_ptr(cpu, op, (bits) / 8, true);              \
			if (unlikely(!to_))                                               \
				return slow(cpu, op);                                     \
			x86_host_store##bits(to_, (value));                               \
		} else {                                                                  \
			x86_store##bits(cpu, x86_ea(cpu, op, (bits) / 8, true), (value)); \
		}                                                                         \
	} while (0)

/* Memory as the destination, not locked: find, read old value @var, later write back. */
#define X86_RMW_BEGIN(bits, var)                                    \
	u64 addr_ = slow ? 0 : x86_ea(cpu, op, (bits) / 8, true);   \
	void *ptr_ = slow ? x86_fast_ptr(cpu, op, (bits) / 8, true) \
			  : x86_rmw_fast(cpu, addr_, (bits) / 8);   \
	if (slow && unlikely(!ptr_))                                \
		return slow(cpu, op);                               \
	u##bits var = likely(ptr_ != NULL) ? x86_host_load##bits(ptr_) : x86_load##bits(cpu, addr_)

#define X86_RMW_END(bits, value)                              \
	do {                                                  \
		if (likely(ptr_ != NULL))                     \
			x86_host_store##bits(ptr_, (value));  \
		else                                          \
			x86_store##bits(cpu, addr_, (value)); \
	} while (0)

/*
 * Memory as the destination of a locked operation.  The body between BEGIN and
 * END computes @result from @var and is repeated until nobody interfered.
 */
struct x86_atomic {
	u64 addr;
	void *ptr;   /* one compare-and-exchange does it */
	void *part2; /* page crossing: host bytes of the second page */
	u8 bytes1;   /* bytes in the first page */
	bool split;  /* part1 and part2 under the split lock */
	void *part1;
};

/* Unwinds on faults, takes the split lock where it is needed.  (exec_atomic.c) */
void x86_atomic_begin_slow(struct x86_cpu *cpu, struct x86_atomic *at, u64 addr,
			   unsigned int bytes);
u64 x86_atomic_load_slow(struct x86_cpu *cpu, const struct x86_atomic *at, unsigned int bytes);
void x86_atomic_store_slow(struct x86_cpu *cpu, const struct x86_atomic *at, unsigned int bytes,
			   u64 value);

#define X86_DEFINE_ATOMIC(bits)                                                                    \
	static inline u##bits x86_atomic_begin_at##bits(struct x86_cpu *cpu, u64 addr,             \
							struct x86_atomic *at)                     \
	{                                                                                          \
		at->addr = addr;                                                                   \
		at->ptr = x86_rmw_fast(cpu, at->addr, (bits) / 8);                                 \
		if (likely(at->ptr && X86_HOST_ALIGNED(at->ptr, u##bits)))                         \
			return __atomic_load_n((u##bits *)at->ptr, __ATOMIC_RELAXED);              \
		x86_atomic_begin_slow(cpu, at, at->addr, (bits) / 8);                              \
		return (u##bits)x86_atomic_load_slow(cpu, at, (bits) / 8);                         \
	}                                                                                          \
	static inline u##bits x86_atomic_begin##bits(struct x86_cpu *cpu, const struct x86_op *op, \
						     struct x86_atomic *at)                        \
	{                                                                                          \
		return x86_atomic_begin_at##bits(cpu, x86_ea(cpu, op, (bits) / 8, true), at);      \
	}                                                                                          \
	/* True when @desired is in place; else @old is what was there. */                         \
	X86_GUEST_SHARED static inline bool x86_atomic_end##bits(                                  \
		struct x86_cpu *cpu, struct x86_atomic *at, u##bits *old, u##bits desired)         \
	{                                                                                          \
		bool done = true;                                                                  \
		if (likely(at->ptr != NULL))                                                       \
			done = __atomic_compare_exchange_n((u##bits *)at->ptr, old, desired,       \
							   false, __ATOMIC_SEQ_CST,                \
							   __ATOMIC_SEQ_CST);                      \
		else                                                                               \
			x86_atomic_store_slow(cpu, at, (bits) / 8, desired);                       \
		barrier_compiler();                                                                \
		return done;                                                                       \
	}

X86_DEFINE_ATOMIC(8)
X86_DEFINE_ATOMIC(16)
X86_DEFINE_ATOMIC(32)
X86_DEFINE_ATOMIC(64)

/* Table rows of handlers for all sizes; 0 where 8 bits do not exist. */
#define X86_SIZES(prefix)                                     \
	{                                                     \
		prefix##8, prefix##16, prefix##32, prefix##64 \
	}
#define X86_SIZES_W(prefix)                              \
	{                                                \
		NULL, prefix##16, prefix##32, prefix##64 \
	}

#endif
