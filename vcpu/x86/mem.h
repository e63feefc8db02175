/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory as instructions see it: effective addresses, loads, stores,
 * read-modify-write, at the current privilege, through the soft TLB.
 *
 * None of these returns when the access does not complete: they unwind to the
 * run loop, which faults the page in and retries, raises #PF / #GP / #SS / #AC
 * or leaves for MMIO.  Callers therefore change no architectural state before.
 *
 * Page-crossing accesses translate both pages before the first byte moves.
 */
#ifndef KVMU_VCPU_X86_MEM_H
#define KVMU_VCPU_X86_MEM_H

#include "vcpu/x86/op.h"

/*
 * ---- the soft TLB -------------------------------------------------------------
 * A tag is the page's linear address when the access may go ahead, or a value
 * that no address in this set can be near (x86_tlb_empty_tag()).  One unsigned
 * comparison then tests tag and page crossing: addr - tag <= PAGE_SIZE - size.
 * Host address = addr + addend.
 */
struct x86_tlb_entry {
	u64 read_tag;
	u64 write_tag;
	u64 exec_tag;
	u64 addend;
};

#define X86_TLB_LG2	10
#define X86_TLB_ENTRIES (1u << X86_TLB_LG2)

/* Banks by privilege, chosen through cpu->tlb. */
enum x86_tlb_bank {
	X86_TLB_KERNEL,	   /* supervisor accesses (with SMAP: AC clear) */
	X86_TLB_KERNEL_AC, /* supervisor, SMAP suspended by AC */
	X86_TLB_USER,
	X86_TLB_BANKS,
};

struct x86_tlb {
	struct x86_tlb_entry entry[X86_TLB_ENTRIES];
	bool dirty; /* something was put in since the last flush */
};

/* Hashed so that addresses a power of two apart do not fight for one entry. */
static inline unsigned int x86_tlb_index(u64 addr)
{
	u64 page = addr >> PAGE_SHIFT;

	return (unsigned int)((page ^ (page >> X86_TLB_LG2)) & (X86_TLB_ENTRIES - 1));
}

/* ---- slow paths (mem_slow.c) ---------------------------------------------------- */

u64 x86_load_slow(struct x86_cpu *cpu, u64 addr, unsigned int bytes);
void x86_store_slow(struct x86_cpu *cpu, u64 addr, unsigned int bytes, u64 value);

/*
 * Any length up to 64 bytes (vector registers, far pointers, frames); MMIO is
 * split into accesses of at most 8 bytes.
 */
void x86_load_bytes(struct x86_cpu *cpu, u64 addr, void *buf, unsigned int bytes);
void x86_store_bytes(struct x86_cpu *cpu, u64 addr, const void *buf, unsigned int bytes);

/*
 * A host pointer good for reading and writing @bytes at @addr until the end of
 * this instruction, or NULL when the bytes are not plain memory in one page
 * (MMIO, page crossing): use loads and stores then.  Unwinds on faults, which
 * are those of a write.
 */
void *x86_rmw_ptr(struct x86_cpu *cpu, u64 addr, unsigned int bytes);

/*
 * As x86_rmw_ptr() for a run of bytes: how many of @bytes from @addr on are
 * plain memory in one page (at least 1, or 0 with *ptr NULL for MMIO).  For
 * string instructions.
 */
unsigned int x86_span(struct x86_cpu *cpu, u64 addr, u64 bytes, bool write, void **ptr);

/*
 * Force the fault, if there is one, that a write (or read) of the range would
 * take, without accessing it.  MMIO counts as accessible.
 */
void x86_probe(struct x86_cpu *cpu, u64 addr, unsigned int bytes, bool write);

/* System accesses: as supervisor whatever CPL is (descriptor tables, TSS, IDT). */
void x86_load_sys(struct x86_cpu *cpu, u64 addr, void *buf, unsigned int bytes);
void x86_store_sys(struct x86_cpu *cpu, u64 addr, const void *buf, unsigned int bytes);

/* ---- effective addresses ---------------------------------------------------------- */

/* Linear address of offset @off in @op's segment with limit and type checks; unwinds with #GP or
 * #SS. */
u64 x86_legacy_linear(struct x86_cpu *cpu, unsigned int seg, u64 off, unsigned int bytes,
		      bool write);

/* The offset part alone (LEA, and what address-size wrapping needs). */
static inline u64 x86_offset(const struct x86_cpu *cpu, const struct x86_op *op)
{
	u64 off = X86_REG(cpu, op->base, const u64) +
		  (X86_REG(cpu, op->index, const u64) << op->scale) + (u64)(s64)op->disp;

	if (unlikely(op->flags & (X86_OP_ADDR32 | X86_OP_ADDR16)))
		off = op->flags & X86_OP_ADDR32 ? (u32)off : (u16)off;
	return off;
}

/*
 * Linear address of the memory operand for an access of @bytes.  The first form
 * always in line, the other as the compiler likes.
 */
static inline __attribute__((always_inline)) u64
x86_ea_inline(struct x86_cpu *cpu, const struct x86_op *op, unsigned int bytes, bool write)
{
	u64 off = x86_offset(cpu, op);

	cpu->op = op;
	if (unlikely(op->flags & X86_OP_LEGACY_SEG))
		return x86_legacy_linear(cpu, op->seg, off, bytes, write);
	return cpu->seg_base[op->seg] + off;
}

static inline u64 x86_ea(struct x86_cpu *cpu, const struct x86_op *op, unsigned int bytes,
			 bool write)
{
	return x86_ea_inline(cpu, op, bytes, write);
}

/* ---- loads and stores --------------------------------------------------------------- */

/*
 * Guest memory is shared with other vCPUs and the program: acquire and release
 * give x86's ordering on hosts that have less, and cost nothing on x86.
 * Misaligned accesses inside a page are plain copies elsewhere.  The compiler
 * barrier keeps the commits of the instruction behind its accesses, which the
 * unwinding from a host fault relies on.
 */
#if defined(__x86_64__)
#define X86_HOST_ALIGNED(ptr, type) true
#else
#define X86_HOST_ALIGNED(ptr, type) (((uintptr_t)(ptr) & (sizeof(type) - 1)) == 0)
#endif

/*
 * Guests and programs race on guest memory by design, so the thread sanitizer
 * does not look at the accesses themselves.  A mere suppression would not do:
 * to match one it symbolises, which calls munmap(), which is ours and may need
 * a lock that waits for this very thread.
 */
#if defined(__SANITIZE_THREAD__)
#define X86_GUEST_SHARED __attribute__((no_sanitize_thread))
#else
#define X86_GUEST_SHARED
#endif

#define X86_DEFINE_ACCESS(bits)                                                            \
	X86_GUEST_SHARED static inline u##bits x86_host_load##bits(const void *ptr)        \
	{                                                                                  \
		u##bits value;                                                             \
		if (likely(X86_HOST_ALIGNED(ptr, u##bits)))                                \
			value = __atomic_load_n((const u##bits *)ptr, __ATOMIC_ACQUIRE);   \
		else                                                                       \
			__builtin_memcpy(&value, ptr, sizeof(value));                      \
		barrier_compiler();                                                        \
		return value;                                                              \
	}                                                                                  \
	X86_GUEST_SHARED static inline void x86_host_store##bits(void *ptr, u##bits value) \
	{                                                                                  \
		if (likely(X86_HOST_ALIGNED(ptr, u##bits)))                                \
			__atomic_store_n((u##bits *)ptr, value, __ATOMIC_RELEASE);         \
		else                                                                       \
			__builtin_memcpy(ptr, &value, sizeof(value));                      \
		barrier_compiler();                                                        \
	}                                                                                  \
	static inline u##bits x86_load##bits(struct x86_cpu *cpu, u64 addr)                \
	{                                                                                  \
		const struct x86_tlb_entry *e = &cpu->tlb->entry[x86_tlb_index(addr)];     \
		if (likely(addr - e->read_tag <= PAGE_SIZE - (bits) / 8))                  \
			return x86_host_load##bits(hva_to_ptr(addr + e->addend));          \
		return (u##bits)x86_load_slow(cpu, addr, (bits) / 8);                      \
	}                                                                                  \
	static inline void x86_store##bits(struct x86_cpu *cpu, u64 addr, u##bits value)   \
	{                                                                                  \
		const struct x86_tlb_entry *e = &cpu->tlb->entry[x86_tlb_index(addr)];     \
		if (likely(addr - e->write_tag <= PAGE_SIZE - (bits) / 8))                 \
			x86_host_store##bits(hva_to_ptr(addr + e->addend), value);         \
		else                                                                       \
			x86_store_slow(cpu, addr, (bits) / 8, value);                      \
	}

X86_DEFINE_ACCESS(8)
X86_DEFINE_ACCESS(16)
X86_DEFINE_ACCESS(32)
X86_DEFINE_ACCESS(64)

/* ---- the stack ------------------------------------------------------------------------ */

/* RSP after adding @delta, in the stack's own width (16, 32 or 64 bits). */
u64 x86_stack_add(const struct x86_cpu *cpu, u64 rsp, s64 delta);
/* Linear address of the stack slot at @rsp for @bytes; unwinds with #SS. */
u64 x86_stack_linear(struct x86_cpu *cpu, u64 rsp, unsigned int bytes, bool write);

#endif
