/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoded operations and how instruction families plug in.
 *
 * An instruction is decoded once (Zydis) into one 32-byte operation whose fn
 * executes it.  A family file (exec_*.c) owns a group of mnemonics: for each it
 * has a select function that looks at the decoded operands, fills the
 * operation and returns the fn, or NULL for a form it does not have (which
 * becomes #UD or an emulation exit, never a wrong result).
 */
#ifndef KVMU_VCPU_X86_OP_H
#define KVMU_VCPU_X86_OP_H

#include <Zydis/Zydis.h>

#include "vcpu/x86/cpu_state.h"

enum x86_op_flags {
	X86_OP_ADDR32 = 1u << 0,     /* effective address wraps at 32 bits */
	X86_OP_ADDR16 = 1u << 1,     /* ... at 16 bits */
	X86_OP_LEGACY_SEG = 1u << 2, /* the access goes through segment limit and type checks */
	X86_OP_LOCK = 1u << 3,
	X86_OP_REP = 1u << 4, /* REP or REPE */
	X86_OP_REPNE = 1u << 5,
	X86_OP_NO_DEVICE = 1u << 6, /* KVM does not emulate it on device memory: nor do we */
};

struct x86_op {
	x86_op_fn *fn;
	/* 64-bit immediates and far pointers use the second view and have no memory operand. */
	union {
		struct {
			s32 disp; /* RIP-relative: already relative to the start of the block */
			s32 imm;  /* sign-extended by the user */
		};
		u64 imm64;
	};
	u16 rip : 10; /* offset of this instruction from the start of its block */
	u16 nth : 6;  /* its number in the block, for counting */
	u8 len;	      /* bytes of the instruction */
	u8 flags;     /* enum x86_op_flags */
	/* Registers as byte offsets into struct x86_cpu: AH is RAX's offset + 1. */
	u8 dst;
	u8 src;
	/* Memory operand: [seg + base + (index << scale) + disp] */
	u8 base; /* byte offset; X86_REG_ZERO * 8 where absent, X86_REG_RIP * 8 for RIP */
	u8 index;
	u8 scale;  /* 0..3 */
	u8 seg;	   /* enum x86_seg_reg */
	u8 size;   /* of the operand, bytes */
	u8 aux;	   /* the family's own: vector register numbers, condition, ... */
	u32 aux32; /* the family's own */
};

static_assert(sizeof(struct x86_op) == 40 || sizeof(struct x86_op) == 32,
	      "operations stay compact");

/*
 * Go on to the next operation.  In optimised builds a tail call (threaded
 * code, one indirect jump per handler so that the host predicts each), in
 * sanitizer and debug builds a return to the loop.
 */
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
	!defined(KVMU_NO_THREADED_OPS)
#define X86_NEXT(cpu, op) return (op)[1].fn((cpu), (op) + 1)
#else
#define X86_NEXT(cpu, op) return (void)(cpu), (op) + 1
#endif

/* A register by byte offset, in the width of the type. */
#define X86_REG(cpu, offset, type) (*(type *)(void *)((char *)(cpu)->regs + (offset)))

/* 32-bit writes clear the upper half; 8- and 16-bit ones leave it. */
static inline void x86_set_reg32(struct x86_cpu *cpu, unsigned int offset, u32 value)
{
	X86_REG(cpu, offset, u64) = value;
}

/* Address of the instruction @op (RIP as the guest would see it in an exception). */
static inline u64 x86_op_rip(const struct x86_cpu *cpu, const struct x86_op *op)
{
	return cpu->regs[X86_REG_RIP] + op->rip;
}

/* What a select function is given. */
struct x86_decode {
	const ZydisDecodedInstruction *insn;
	const ZydisDecodedOperand *operands; /* all, hidden ones included */
	struct x86_op *op; /* zeroed but for rip, len and flags (address size, LOCK, REP) */
	u32 mode;	   /* enum x86_mode */
	u16 block_offset;  /* == op->rip */
	bool ends_block;   /* set it for anything that may change RIP or the mode */
};

typedef x86_op_fn *x86_select_fn(struct x86_decode *d);

/* Operand helpers for select functions (decode.c). */

/* Byte offset of general register operand @n; the operand must be one. */
u8 x86_dec_gpr(const struct x86_decode *d, unsigned int n);
/* Number 0..15 of vector register operand @n. */
u8 x86_dec_vec(const struct x86_decode *d, unsigned int n);
/* Fill base, index, scale, disp, seg and the flags from memory operand @n. */
void x86_dec_mem(struct x86_decode *d, unsigned int n);
static inline bool x86_dec_is_reg(const struct x86_decode *d, unsigned int n)
{
	return d->operands[n].type == ZYDIS_OPERAND_TYPE_REGISTER;
}
static inline bool x86_dec_is_mem(const struct x86_decode *d, unsigned int n)
{
	return d->operands[n].type == ZYDIS_OPERAND_TYPE_MEMORY;
}
static inline bool x86_dec_is_imm(const struct x86_decode *d, unsigned int n)
{
	return d->operands[n].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
}

/* Does AVX have it, of what is encoded with VEX?  The AES and PCLMULQDQ forms need no more than it.
 */
static inline bool x86_offers_avx(ZydisISAExt ext)
{
	return ext == ZYDIS_ISA_EXT_AVX || ext == ZYDIS_ISA_EXT_AVXAES;
}

/* Index of an operand size: 1, 2, 4, 8 -> 0..3. */
static inline unsigned int x86_size_index(unsigned int bytes)
{
	return (unsigned int)__builtin_ctz(bytes);
}

/*
 * One family: mnemonic -> select.  decode.c concatenates the families' tables
 * (x86_family_alu, ...), each ended by a NULL select.
 */
struct x86_family_entry {
	ZydisMnemonic mnemonic;
	x86_select_fn *select;
};

extern const struct x86_family_entry
	x86_family_alu[]; /* exec_alu.c: add..cmp, inc, dec, neg, not, test */
extern const struct x86_family_entry x86_family_move[]; /* exec_move.c: mov, movzx, lea, push, pop,
							   xchg, cmov, set, bswap, cbw.. */
extern const struct x86_family_entry
	x86_family_shift[]; /* exec_shift.c: shl..rcr, shld, shrd, rorx, sarx.. */
extern const struct x86_family_entry
	x86_family_bit[]; /* exec_bit.c: bt*, bsf, bsr, tzcnt, lzcnt, popcnt, BMI, crc32 */
extern const struct x86_family_entry
	x86_family_muldiv[]; /* exec_muldiv.c: mul, imul, mulx, div, idiv, adcx, adox, aaa.. */
extern const struct x86_family_entry
	x86_family_string[]; /* exec_string.c: movs, stos, lods, cmps, scas */
extern const struct x86_family_entry
	x86_family_atomic[]; /* exec_atomic.c: xadd, cmpxchg, cmpxchg8b/16b, xchg mem */
extern const struct x86_family_entry
	x86_family_branch[]; /* exec_branch.c: jmp, jcc, call, ret, loop, jcxz near */
extern const struct x86_family_entry
	x86_family_far[]; /* exec_far.c: far jmp/call/ret, int, iret, syscall, sysret, sysenter.. */
extern const struct x86_family_entry x86_family_system[]; /* exec_system.c: cr, dr, msr, cpuid, hlt,
							     lgdt, invlpg, segment loads, flags.. */
extern const struct x86_family_entry x86_family_msr[];	  /* exec_msr.c: rdmsr, wrmsr */
extern const struct x86_family_entry x86_family_io[];	  /* exec_io.c: in, out, ins, outs */
extern const struct x86_family_entry x86_family_sse[];	  /* exec_sse*.c */
extern const struct x86_family_entry x86_family_x87[];	  /* exec_x87.c */

#endif
