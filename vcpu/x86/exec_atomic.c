/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XCHG, XADD, CMPXCHG, CMPXCHG8B/16B, and what locked operations do when the
 * host cannot do them in one go (SDM vol. 3, 9.1.2).
 *
 * Locked operations are compare-and-exchange loops on the host address, so
 * they are atomic against other vCPUs and against the program itself.  Two
 * cases are not: an operand that crosses a page (its halves may be anywhere in
 * the host's memory) and, on hosts other than x86, a misaligned one.  Those
 * exclude each other through one global lock; against plain or single-word
 * accesses of other CPUs they may tear.  Device memory needs no lock: user
 * space sees one read and one write.
 */
#include <string.h>

#include "base/atomics.h"
#include "vcpu/x86/exec_int.h"

/* ---- the split lock --------------------------------------------------------------------- */

/*
 * The owner copies at most 16 bytes while it holds the lock.  A host fault in
 * there unwinds to the run loop with the lock held; the retry finds itself the
 * owner.  If the owner never comes back (the page is gone for good) waiters
 * take over after a time no live owner needs.
 */
static struct x86_cpu *split_owner;
#define SPLIT_PATIENCE (1u << 20)

void x86_split_lock(struct x86_cpu *cpu)
{
	for (unsigned int patience = SPLIT_PATIENCE; patience; patience--) {
		struct x86_cpu *seen = NULL;

		if (__atomic_compare_exchange_n(&split_owner, &seen, cpu, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED) ||
		    seen == cpu)
			return;
		cpu_relax();
	}
	(void)atomic_exchange(&split_owner, cpu);
}

void x86_split_unlock(struct x86_cpu *cpu)
{
	struct x86_cpu *me = cpu;

	/* Not ours any more if a waiter lost patience. */
	(void)__atomic_compare_exchange_n(&split_owner, &me, NULL, false, __ATOMIC_RELEASE,
					  __ATOMIC_RELAXED);
}

void x86_atomic_begin_slow(struct x86_cpu *cpu, struct x86_atomic *at, u64 addr, unsigned int bytes)
{
	unsigned int first = (unsigned int)(PAGE_SIZE - (addr & ~PAGE_MASK));

	at->part1 = at->ptr;
	at->part2 = NULL;
	at->bytes1 = (u8)bytes;
	if (!at->ptr && first < bytes) {
		at->bytes1 = (u8)first;
		at->part1 = x86_rmw_ptr(cpu, addr, first);
		at->part2 = x86_rmw_ptr(cpu, addr + first, bytes - first);
	}
	at->ptr = NULL;
	at->split = at->part1 && (at->part2 || at->bytes1 == bytes);
	if (at->split)
		x86_split_lock(cpu);
}

u64 x86_atomic_load_slow(struct x86_cpu *cpu, const struct x86_atomic *at, unsigned int bytes)
{
	u64 value = 0;

	if (!at->split) {
		x86_load_bytes(cpu, at->addr, &value, bytes);
		return value;
	}
	memcpy(&value, at->part1, at->bytes1);
	if (at->part2)
		memcpy((char *)&value + at->bytes1, at->part2, bytes - at->bytes1);
	return value;
}

void x86_atomic_store_slow(struct x86_cpu *cpu, const struct x86_atomic *at, unsigned int bytes,
			   u64 value)
{
	if (!at->split) {
		x86_store_bytes(cpu, at->addr, &value, bytes);
		return;
	}
	memcpy(at->part1, &value, at->bytes1);
	if (at->part2)
		memcpy(at->part2, (const char *)&value + at->bytes1, bytes - at->bytes1);
	x86_split_unlock(cpu);
}

/* ---- XCHG: with memory always locked ------------------------------------------------------- */

#define DEFINE_XCHG(bits)                                         \
	X86_HANDLER(xchg_r##bits)                                 \
	{                                                         \
		u##bits a = X86_REG(cpu, op->dst, const u##bits); \
		u##bits b = X86_REG(cpu, op->src, const u##bits); \
		X86_SET_REG##bits(cpu, op->dst, b);               \
		X86_SET_REG##bits(cpu, op->src, a);               \
		X86_NEXT(cpu, op);                                \
	}                                                         \
	X86_HANDLER(xchg_m##bits)                                 \
	{                                                         \
		X86_READ_RR(bits, b);                             \
		struct x86_atomic at;                             \
		u##bits a = x86_atomic_begin##bits(cpu, op, &at); \
		while (!x86_atomic_end##bits(cpu, &at, &a, b))    \
			;                                         \
		X86_SET_REG##bits(cpu, op->src, a);               \
		X86_NEXT(cpu, op);                                \
	}

DEFINE_XCHG(8)
DEFINE_XCHG(16)
DEFINE_XCHG(32)
DEFINE_XCHG(64)

/* ---- XADD ------------------------------------------------------------------------------------ */

#define XADD_FLAGS(bits) \
	x86_cc_record(cpu, X86_CC(X86_CC_ADD, X86_SI##bits), (s64)(s##bits)(a + b), (s64)(s##bits)b)

/* The register form writes the source first: XADD of a register with itself doubles it. */
#define DEFINE_XADD(bits)                                                     \
	X86_HANDLER(xadd_r##bits)                                             \
	{                                                                     \
		u##bits a = X86_REG(cpu, op->dst, const u##bits);             \
		u##bits b = X86_REG(cpu, op->src, const u##bits);             \
		X86_SET_REG##bits(cpu, op->src, a);                           \
		X86_SET_REG##bits(cpu, op->dst, a + b);                       \
		XADD_FLAGS(bits);                                             \
		X86_NEXT(cpu, op);                                            \
	}                                                                     \
	X86_HANDLER(xadd_m##bits)                                             \
	{                                                                     \
		X86_READ_RR(bits, b);                                         \
		X86_RMW_BEGIN(bits, a);                                       \
		X86_RMW_END(bits, (u##bits)(a + b));                          \
		X86_SET_REG##bits(cpu, op->src, a);                           \
		XADD_FLAGS(bits);                                             \
		X86_NEXT(cpu, op);                                            \
	}                                                                     \
	X86_HANDLER(xadd_lock_m##bits)                                        \
	{                                                                     \
		X86_READ_RR(bits, b);                                         \
		struct x86_atomic at;                                         \
		u##bits a = x86_atomic_begin##bits(cpu, op, &at);             \
		while (!x86_atomic_end##bits(cpu, &at, &a, (u##bits)(a + b))) \
			;                                                     \
		X86_SET_REG##bits(cpu, op->src, a);                           \
		XADD_FLAGS(bits);                                             \
		X86_NEXT(cpu, op);                                            \
	}

DEFINE_XADD(8)
DEFINE_XADD(16)
DEFINE_XADD(32)
DEFINE_XADD(64)

/* ---- CMPXCHG ----------------------------------------------------------------- */

#define ACC(bits) X86_REG(cpu, X86_RAX * 8, const u##bits)
#define CMPXCHG_FLAGS(bits)                                                            \
	x86_cc_record3(cpu, X86_CC(X86_CC_SUB, X86_SI##bits), (s64)(s##bits)(acc - a), \
		       (s64)(s##bits)a, (s64)(s##bits)acc)

/* Memory is written back unchanged when the comparison fails, as the SDM says. */
#define DEFINE_CMPXCHG(bits)                                                       \
	X86_HANDLER(cmpxchg_r##bits)                                               \
	{                                                                          \
		u##bits acc = ACC(bits), a = X86_REG(cpu, op->dst, const u##bits); \
		u##bits b = X86_REG(cpu, op->src, const u##bits);                  \
		if (a == acc)                                                      \
			X86_SET_REG##bits(cpu, op->dst, b);                        \
		else                                                               \
			X86_SET_REG##bits(cpu, X86_RAX * 8, a);                    \
		CMPXCHG_FLAGS(bits);                                               \
		X86_NEXT(cpu, op);                                                 \
	}                                                                          \
	X86_HANDLER(cmpxchg_m##bits)                                               \
	{                                                                          \
		X86_READ_RR(bits, b);                                              \
		X86_RMW_BEGIN(bits, a);                                            \
		u##bits acc = ACC(bits);                                           \
		X86_RMW_END(bits, a == acc ? b : a);                               \
		if (a != acc)                                                      \
			X86_SET_REG##bits(cpu, X86_RAX * 8, a);                    \
		CMPXCHG_FLAGS(bits);                                               \
		X86_NEXT(cpu, op);                                                 \
	}                                                                          \
	X86_HANDLER(cmpxchg_lock_m##bits)                                          \
	{                                                                          \
		X86_READ_RR(bits, b);                                              \
		struct x86_atomic at;                                              \
		u##bits a = x86_atomic_begin##bits(cpu, op, &at);                  \
		u##bits acc = ACC(bits);                                           \
		while (!x86_atomic_end##bits(cpu, &at, &a, a == acc ? b : a))      \
			;                                                          \
		if (a != acc)                                                      \
			X86_SET_REG##bits(cpu, X86_RAX * 8, a);                    \
		CMPXCHG_FLAGS(bits);                                               \
		X86_NEXT(cpu, op);                                                 \
	}

DEFINE_CMPXCHG(8)
DEFINE_CMPXCHG(16)
DEFINE_CMPXCHG(32)
DEFINE_CMPXCHG(64)

/* ---- CMPXCHG8B and CMPXCHG16B ------------------------------------------------ */

static u64 pair32(const struct x86_cpu *cpu, enum x86_reg high, enum x86_reg low)
{
	return (cpu->regs[high] << 32) | (u32)cpu->regs[low];
}

/* Plain CMPXCHG8B takes the locked way too: it is rare, and nobody can tell. */
X86_HANDLER(cmpxchg8b_m)
{
	u64 acc = pair32(cpu, X86_RDX, X86_RAX), desired = pair32(cpu, X86_RCX, X86_RBX);
	struct x86_atomic at;
	u64 a = x86_atomic_begin64(cpu, op, &at);

	while (!x86_atomic_end64(cpu, &at, &a, a == acc ? desired : a))
		;
	if (a != acc) {
		X86_SET_REG32(cpu, X86_RAX * 8, a);
		X86_SET_REG32(cpu, X86_RDX * 8, a >> 32);
	}
	x86_cc_replace_zf(cpu, a == acc);
	X86_NEXT(cpu, op);
}

/* 16 aligned bytes at @ptr: what was there, and @desired in place if that was @old. */
static void host_cmpxchg16(struct x86_cpu *cpu, u64 *ptr, u64 old[2], const u64 desired[2])
{
#if defined(__x86_64__)
	(void)cpu;
	__asm__ volatile("lock cmpxchg16b %0"
			 : "+m"(*(unsigned __int128 *)(void *)ptr), "+a"(old[0]), "+d"(old[1])
			 : "b"(desired[0]), "c"(desired[1])
			 : "cc", "memory");
#else
	u64 seen[2];

	x86_split_lock(cpu);
	memcpy(seen, ptr, sizeof(seen));
	if (seen[0] == old[0] && seen[1] == old[1])
		memcpy(ptr, desired, sizeof(seen));
	memcpy(old, seen, sizeof(seen));
	x86_split_unlock(cpu);
#endif
}

X86_HANDLER(cmpxchg16b_m)
{
	u64 addr = x86_ea(cpu, op, 16, true);
	u64 acc[2] = {cpu->regs[X86_RAX], cpu->regs[X86_RDX]};
	u64 desired[2] = {cpu->regs[X86_RBX], cpu->regs[X86_RCX]}, seen[2];
	void *ptr;
	bool equal;

	if (addr & 15)
		x86_raise_code(cpu, X86_GP, 0);
	ptr = x86_rmw_ptr(cpu, addr, 16);
	if (ptr) {
		memcpy(seen, acc, sizeof(seen));
		host_cmpxchg16(cpu, ptr, seen, desired);
		barrier_compiler();
		equal = seen[0] == acc[0] && seen[1] == acc[1];
	} else {
		x86_load_bytes(cpu, addr, seen, 16);
		equal = seen[0] == acc[0] && seen[1] == acc[1];
		x86_store_bytes(cpu, addr, equal ? desired : seen, 16);
	}
	if (!equal) {
		cpu->regs[X86_RAX] = seen[0];
		cpu->regs[X86_RDX] = seen[1];
	}
	x86_cc_replace_zf(cpu, equal);
	X86_NEXT(cpu, op);
}

/* ---- selection --------------------------------------------------------------- */

struct exchange_ops {
	x86_op_fn *reg[4], *mem[4], *lock[4];
};

static x86_op_fn *select_exchange(struct x86_decode *d, const struct exchange_ops *ops)
{
	/* XCHG has its operands in either order. */
	unsigned int m = x86_dec_is_mem(d, 1) ? 1 : 0;
	unsigned int size = x86_size_index(x86_dec_bytes(d, m));

	d->op->size = x86_dec_bytes(d, m);
	d->op->src = x86_dec_gpr(d, 1 - m);
	if (x86_dec_is_mem(d, m)) {
		x86_dec_mem(d, m);
		return d->op->flags & X86_OP_LOCK ? ops->lock[size] : ops->mem[size];
	}
	if (d->op->flags & X86_OP_LOCK)
		return NULL;
	d->op->dst = x86_dec_gpr(d, m);
	return ops->reg[size];
}

#define DEFINE_SELECT(name, lock_prefix)                      \
	static x86_op_fn *select_##name(struct x86_decode *d) \
	{                                                     \
		static const struct exchange_ops ops = {      \
			X86_SIZES(name##_r),                  \
			X86_SIZES(name##_m),                  \
			X86_SIZES(lock_prefix),               \
		};                                            \
		return select_exchange(d, &ops);              \
	}

DEFINE_SELECT(xchg, xchg_m)
DEFINE_SELECT(xadd, xadd_lock_m)
DEFINE_SELECT(cmpxchg, cmpxchg_lock_m)

static x86_op_fn *select_cmpxchg8b(struct x86_decode *d)
{
	x86_dec_mem(d, 0);
	return cmpxchg8b_m;
}

static x86_op_fn *select_cmpxchg16b(struct x86_decode *d)
{
	x86_dec_mem(d, 0);
	return cmpxchg16b_m;
}

const struct x86_family_entry x86_family_atomic[] = {
	{ZYDIS_MNEMONIC_XCHG, select_xchg},
	{ZYDIS_MNEMONIC_XADD, select_xadd},
	{ZYDIS_MNEMONIC_CMPXCHG, select_cmpxchg},
	{ZYDIS_MNEMONIC_CMPXCHG8B, select_cmpxchg8b},
	{ZYDIS_MNEMONIC_CMPXCHG16B, select_cmpxchg16b},
	{ZYDIS_MNEMONIC_INVALID, NULL},
};
