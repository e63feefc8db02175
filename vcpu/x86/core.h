/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the CPU's core share with each other: unwinding, address
 * translation, the code cache, events, segments.  Instruction families use
 * mem.h and exception.h instead.
 */
#ifndef KVMU_VCPU_X86_CORE_H
#define KVMU_VCPU_X86_CORE_H

#include "base/bits.h"
#include "vcpu/x86/cpu.h"
#include "vcpu/x86/exception.h"
#include "vcpu/x86/mem.h"

/* ---- leaving an instruction (run.c) ------------------------------------------------ */

enum x86_unwind {
	X86_UNWIND_NONE,
	X86_UNWIND_RETRY,      /* nothing happened, start over */
	X86_UNWIND_EVENT,      /* cpu->exception has something to deliver */
	X86_UNWIND_EPT,	       /* run.fault_gpa, run.fault_code */
	X86_UNWIND_EXIT,       /* cpu->exit says why */
	X86_UNWIND_ALONE,      /* run this instruction again, alone and uncached */
	X86_UNWIND_HOST_FAULT, /* a signal at run.host_fault */
	X86_UNWIND_RSM,	       /* the instruction, which reads the state from SMRAM */
};

_Noreturn void x86_unwind(struct x86_cpu *cpu, enum x86_unwind why);
_Noreturn void x86_leave_to_user(struct x86_cpu *cpu, enum x86_exit exit);

/* RIP wraps at the width of the code segment. */
static inline u64 x86_wrap_rip(const struct x86_cpu *cpu, u64 rip)
{
	return cpu->mode & X86_MODE_CS64 ? rip : (u32)rip;
}

static inline u64 x86_linear_rip(const struct x86_cpu *cpu)
{
	u64 linear = cpu->seg_base[X86_CS] + cpu->regs[X86_REG_RIP];

	return cpu->mode & X86_MODE_CS64 ? linear : (u32)linear;
}

/* Address of the instruction after @op. */
static inline u64 x86_next_rip(const struct x86_cpu *cpu, const struct x86_op *op)
{
	return x86_wrap_rip(cpu, x86_op_rip(cpu, op) + op->len);
}

/*
 * The block has run up to and including @op.  One counter serves two ends: what
 * is taken from the budget until the next poll is what has been retired.
 */
static inline void x86_retire(struct x86_cpu *cpu, const struct x86_op *op)
{
	cpu->poll_budget -= op->nth + 1;
}

/* This was worth @instructions more than the count says: look at the outside world sooner. */
static inline void x86_hasten_poll(struct x86_cpu *cpu, u32 instructions)
{
	cpu->poll_budget -= (s32)instructions;
	cpu->run.granted -= instructions;
}

/* The instruction is done; leave the block because events, mode or memory may have changed. */
static inline const struct x86_op *x86_done(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_retire(cpu, op);
	cpu->regs[X86_REG_RIP] = x86_next_rip(cpu, op);
	cpu->op = NULL;
	return NULL;
}

static inline const struct x86_op *x86_done_at(struct x86_cpu *cpu, const struct x86_op *op,
					       u64 rip)
{
	x86_retire(cpu, op);
	cpu->regs[X86_REG_RIP] = rip;
	cpu->op = NULL;
	return NULL;
}

/* A REP stops after some 10 us of work. */
#define X86_SUSPEND_COST 4096

/* Leave the block with the instruction still to be continued (REP). */
static inline const struct x86_op *x86_suspend(struct x86_cpu *cpu, const struct x86_op *op)
{
	cpu->poll_budget -= op->nth;
	x86_hasten_poll(cpu, X86_SUSPEND_COST);
	cpu->regs[X86_REG_RIP] = x86_wrap_rip(cpu, x86_op_rip(cpu, op));
	cpu->op = NULL;
	return NULL;
}

/* ---- translation -------------------------------------------------------------------- */

enum x86_access {
	X86_ACCESS_READ,
	X86_ACCESS_WRITE,
	X86_ACCESS_EXEC,
};
#define X86_ACCESS_TABLE 4 /* of a guest table, not of what the guest asked for */

enum x86_perm {
	X86_PERM_R = 1u << X86_ACCESS_READ,
	X86_PERM_W = 1u << X86_ACCESS_WRITE,
	X86_PERM_X = 1u << X86_ACCESS_EXEC,
};

/* Second stage (ept_walk.c). */
struct x86_ept_leaf {
	hva_t hva;
	u8 perms; /* enum x86_perm; W only when the leaf is dirty */
};

/*
 * Walk the second stage for @gpa and set accessed and dirty.  False: a
 * violation, in run.fault_gpa and run.fault_code.  @table: enum above.
 */
bool x86_ept_walk(struct x86_cpu *cpu, gpa_t gpa, enum x86_access access, bool table,
		  struct x86_ept_leaf *leaf);

/* First stage (guest_walk.c). */
enum x86_walk_outcome {
	X86_WALK_OK,
	X86_WALK_FAULT,	    /* #PF with code */
	X86_WALK_VIOLATION, /* the second stage, see x86_ept_walk() */
};

struct x86_walk {
	const u64 addr;
	const enum x86_access access;
	const enum x86_tlb_bank bank;
	const bool peek; /* no side effects, outside guest mode, no permission checks */

	gpa_t gpa;
	u8 perms;	     /* what the bank may do; W only when the leaf is dirty */
	bool writable, user; /* the tables' own bits */
	u32 code;
};

enum x86_walk_outcome x86_guest_walk(struct x86_cpu *cpu, struct x86_walk *walk);
/* PAE: load the four entries CR3 points at; false: reserved bits (or no memory there). */
bool x86_load_pdptrs(struct x86_cpu *cpu, u64 cr3, u64 out[4], bool in_guest);
static inline bool x86_pae_paging(u64 cr0, u64 cr4, u64 efer)
{
	return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & X86_EFER_LMA);
}

/* Both stages through the TLB (tlb.c). */
struct x86_place {
	hva_t hva; /* of the byte asked for; 0 for MMIO */
	gpa_t gpa;
	bool mmio;
	u8 perms;
};

/* Fills the TLB; unwinds on faults.  @addr is canonical or gets its #GP or #SS. */
struct x86_place x86_tlb_translate(struct x86_cpu *cpu, u64 addr, enum x86_access access,
				   enum x86_tlb_bank bank);
int x86_tlb_create(struct x86_cpu *cpu) KVMU_MUST_CHECK;
void x86_tlb_destroy(struct x86_cpu *cpu);
/* No write tag may lead to the host page any more: it holds cached code now. */
void x86_tlb_withdraw_writes(struct x86_cpu *cpu, hva_t page);

static inline enum x86_tlb_bank x86_current_bank(const struct x86_cpu *cpu)
{
	return (enum x86_tlb_bank)(cpu->tlb - cpu->tlbs);
}

bool x86_canonical(const struct x86_cpu *cpu, u64 addr);

/* ---- the code cache (code_cache.c) ----------------------------------------------------- */

#define X86_JUMP_LG2 13

/* Linear address -> first operation, valid while key matches the cache's. */
struct x86_jump {
	u64 rip;
	u64 key; /* stamp << 32 | mode */
	const struct x86_op *op;
	u64 spare; /* a power of two indexes faster */
};

struct x86_block;

struct x86_code_cache {
	u64 stamp; /* in the upper half; entries with another are void */
	u32 epoch; /* blocks verified in another must be compared with memory */
	struct x86_jump jump[1u << X86_JUMP_LG2];
	/* the rest is code_cache.c's */
};

int x86_code_create(struct x86_cpu *cpu) KVMU_MUST_CHECK;
void x86_code_destroy(struct x86_cpu *cpu);
/* Translations changed: the jump cache is void, blocks are not. */
void x86_code_forget_jumps(struct x86_cpu *cpu);
/* First operation of the block at RIP; unwinds on fetch faults. */
const struct x86_op *x86_code_find(struct x86_cpu *cpu);
/* The one instruction at RIP, not cached, followed by an operation that leaves. */
const struct x86_op *x86_code_alone(struct x86_cpu *cpu);
bool x86_code_holds(const struct x86_cpu *cpu, hva_t page);
/*
 * The guest is about to write [hva, hva + bytes) inside a page that holds
 * code.  Unwinds with ALONE when cpu->op's own block is hit.
 */
void x86_code_store(struct x86_cpu *cpu, hva_t hva, u64 bytes);

static inline u64 x86_jump_index(u64 rip)
{
	return (rip ^ (rip >> X86_JUMP_LG2)) & ((1u << X86_JUMP_LG2) - 1);
}

/*
 * @op is done, go on at @rip: the first operation there if nothing wants attention and the
 * block is known, else NULL.  regs[RIP] is set either way.
 */
static inline __attribute__((always_inline)) const struct x86_op *
x86_chain(struct x86_cpu *cpu, const struct x86_op *op, u64 rip)
{
	const struct x86_code_cache *code = cpu->code;
	u64 linear = cpu->seg_base[X86_CS] + rip;
	const struct x86_jump *jump = &code->jump[x86_jump_index(linear)];

	x86_retire(cpu, op);
	cpu->regs[X86_REG_RIP] = rip;
	if (unlikely(cpu->poll_budget < 0) || unlikely(atomic_peek(&cpu->vcpu.requests)))
		goto leave;
	if (likely(jump->rip == linear && jump->key == (code->stamp | cpu->mode)))
		return jump->op;
leave:
	cpu->op = NULL;
	return NULL;
}

/* As x86_chain(), and let @op remember the answer. (code_cache.c) */
const struct x86_op *x86_chain_link(struct x86_cpu *cpu, const struct x86_op *op, u64 rip);

/*
 * The same for a direct branch of 64-bit code, which remembers where it went:
 * the pointer lies in the operand bytes that it has no use for, the stamp that
 * makes it valid in aux32.  Mode changes end a block, so the mode is the same.
 */
static inline __attribute__((always_inline)) const struct x86_op *
x86_chain_direct(struct x86_cpu *cpu, const struct x86_op *op, u64 rip)
{
	const struct x86_op *to;

	if (unlikely(op->aux32 != (u32)(cpu->code->stamp >> 32)))
		return x86_chain_link(cpu, op, rip);
	x86_retire(cpu, op);
	cpu->regs[X86_REG_RIP] = rip;
	if (unlikely(cpu->poll_budget < 0) || unlikely(atomic_peek(&cpu->vcpu.requests))) {
		cpu->op = NULL;
		return NULL;
	}
	__builtin_memcpy(&to, &op->dst, sizeof(to));
	return to;
}

static_assert(offsetof(struct x86_op, aux32) - offsetof(struct x86_op, dst) == 8,
	      "room for a pointer");

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
	!defined(KVMU_NO_THREADED_OPS)
#define X86_GOTO(cpu, target)                        \
	do {                                         \
		const struct x86_op *to_ = (target); \
		if (unlikely(!to_))                  \
			return NULL;                 \
		return to_->fn((cpu), to_);          \
	} while (0)
#else
#define X86_GOTO(cpu, target) return (void)(cpu), (target)
#endif

/* ---- oracle (tlb.c) --------------------------------------------------------------------- */

#ifdef KVMU_DEBUG
/*
 * Now and then: is each translation held here still that of the tables, unless a flush
 * is asked for?  Outside guest mode; takes mmu_lock.
 */
void x86_tlb_judge(struct x86_cpu *cpu);
#else
static inline void x86_tlb_judge(struct x86_cpu *cpu)
{
	(void)cpu;
}
#endif

/* ---- decoding (decode.c) ---------------------------------------------------------------- */

enum x86_decode_result {
	X86_DECODE_OK,
	X86_DECODE_LAST,     /* ends the block */
	X86_DECODE_MORE,     /* needs bytes beyond those given */
	X86_DECODE_TOO_LONG, /* #GP */
};

/* Decode one instruction from @bytes into @op. */
enum x86_decode_result x86_decode_one(u32 mode, const u8 *bytes, unsigned int avail,
				      unsigned int offset, struct x86_op *op);
/* The operation after the last: goes on at the next instruction. */
void x86_decode_end(struct x86_op *op, unsigned int offset, unsigned int last_index);
void x86_decode_raise(struct x86_op *op, enum x86_exception vector);

/* ---- events (exception.c, interrupt.c) ------------------------------------------------------ */

/* Deliver cpu->exception; unwinds when that faults in turn. */
void x86_deliver_exception(struct x86_cpu *cpu);
/* NMI or interrupt if one can be taken now; true: state changed. */
bool x86_take_interrupt(struct x86_cpu *cpu);
/* Is there an SMI, an NMI or an interrupt that ends a HLT? */
bool x86_would_wake(struct x86_cpu *cpu);
bool x86_interrupts_open(const struct x86_cpu *cpu);
/* Through the IDT.  @event as struct x86_event says; unwinds on faults. */
void x86_vector_through_idt(struct x86_cpu *cpu, const struct x86_event *event, bool external);
/* INT n, INT3, INTO, INT1 from their handlers. */
_Noreturn void x86_soft_interrupt(struct x86_cpu *cpu, const struct x86_op *op, u8 vector,
				  bool soft);

/* ---- segments (segment.c) -------------------------------------------------------------------- */

struct x86_descriptor {
	u64 low, high; /* high: system descriptors in long mode */
};

/* One descriptor of the GDT or LDT; false: beyond the limit or a null LDT. */
bool x86_read_descriptor(struct x86_cpu *cpu, u16 selector, struct x86_descriptor *desc);
void x86_unpack_descriptor(u16 selector, u64 low, struct x86_segment *seg);
void x86_mark_accessed(struct x86_cpu *cpu, u16 selector, u64 low);
/* MOV or POP or LDS..LGS to a segment register other than CS; unwinds. */
void x86_load_segment(struct x86_cpu *cpu, enum x86_seg_reg reg, u16 selector);
/* Base and mode as real and virtual-8086 mode have them. */
struct x86_segment x86_real_segment(enum x86_seg_reg reg, u16 selector, bool vm86);
void x86_set_segment(struct x86_cpu *cpu, enum x86_seg_reg reg, const struct x86_segment *seg);
/* A stack segment for privilege @cpl; raises @vector with the selector. */
struct x86_segment x86_check_stack_segment(struct x86_cpu *cpu, u16 selector, u8 cpl,
					   enum x86_exception vector);
/* The stack of privilege @cpl from the TSS (protected mode, not long). */
void x86_tss_stack(struct x86_cpu *cpu, u8 cpl, u16 *ss, u32 *esp);
u64 x86_tss_rsp(struct x86_cpu *cpu, unsigned int slot);

static inline bool x86_protected(const struct x86_cpu *cpu)
{
	return cpu->mode & X86_MODE_PE;
}

static inline bool x86_long_mode(const struct x86_cpu *cpu)
{
	return cpu->efer & X86_EFER_LMA;
}

static inline bool x86_vm86(const struct x86_cpu *cpu)
{
	return cpu->rflags & X86_EFLAGS_VM;
}

/* Segment and descriptor instructions (exec_descriptor.c). */
x86_op_fn *x86_select_mov_seg(struct x86_decode *d);
extern const struct x86_family_entry x86_family_descriptor[];

/* Far JMP, CALL, RET (exec_far.c). */
x86_op_fn *x86_select_far_branch(struct x86_decode *d);

/* ---- state (regs.c) ---------------------------------------------------------- */

/* Recompute the mode word, the TLB bank and segment bases. */
void x86_update_mode(struct x86_cpu *cpu);
void x86_set_cpl(struct x86_cpu *cpu, u8 cpl);
/* MOV to a control register from the guest: #GP by return value, then all consequences. */
bool x86_write_cr0(struct x86_cpu *cpu, u64 value);
bool x86_write_cr3(struct x86_cpu *cpu, u64 value);
bool x86_write_cr4(struct x86_cpu *cpu, u64 value);
/* RFLAGS as POPF and IRET may change it: only bits of @mask. */
void x86_write_rflags(struct x86_cpu *cpu, u64 value, u64 mask);
const struct x86_cpuid_entry *x86_find_cpuid(const struct x86_cpu *cpu, u32 function, u32 index);

/* Feature words: of the CPUID table, or all that is offered while none is set. */
struct x86_features {
	u32 leaf1_ecx, leaf7_ebx, leaf7_ecx;
};
struct x86_features x86_features(const struct x86_cpu *cpu);
bool x86_cpuid_has_mwait(const struct x86_cpu *cpu);
/* The vendor that x86_supported_cpuid() names: AMD, or else Intel. */
bool x86_vendor_is_amd(void);

#define X86_MISC_ENABLE_MWAIT BIT_ULL(18)
/* MSR_PLATFORM_INFO of a new CPU: base clock ratio 20, as good as any (SDM vol. 4). */
#define X86_PLATFORM_INFO (20ull << 8)

#endif
