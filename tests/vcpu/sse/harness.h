/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One instruction, executed by a family's handler and by the host processor,
 * on the same state and memory.  The handler runs on an identity-mapped
 * memory (guest address = host address) without the rest of the CPU.
 */
#ifndef KVMU_TESTS_VCPU_SSE_HARNESS_H
#define KVMU_TESTS_VCPU_SSE_HARNESS_H

#include "vcpu/x86/fpu_state.h"
#include "vcpu/x86/op.h"
#include "vcpu/x86/exec_sse.h"

#define BUFFER_BYTES 64
#define NO_FAULT     (-1)

struct insn {
	u8 bytes[16];
	unsigned int len;
	ZydisDecodedInstruction decoded;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	bool uses_memory, fixed_rdi;
};

struct state {
	union vec xmm[16];
	u64 gpr[8]; /* RAX RCX RDX RBX RSI RDI R8 R9 */
	u64 rflags;
	u32 mxcsr;
	int fault; /* vector or NO_FAULT */
	u8 *memory;
	u8 buffer[BUFFER_BYTES];
	union vec high[16]; /* of the YMM registers; unused where the host has none */
};

/*
 * Seed and rounds from the environment (KVMU_TEST_SEED, KVMU_TEST_ROUNDS; else
 * the time, and *@rounds as it is), then the harness.  Prints and returns the seed.
 */
u64 harness_start(unsigned int *rounds);
void harness_init(void);
bool host_has_avx(void);
/* In each test: the test framework puts its own handlers in place before. */
void harness_catch_signals(void);
bool decode(struct insn *insn, const u8 *bytes, unsigned int len);
/* The handler the SSE or x87 family has for it in @mode, or NULL; *op is filled. */
x86_op_fn *select_handler(const struct insn *insn, u32 mode, struct x86_op *op);
void run_ours(const struct insn *insn, struct state *st);
void run_host(const struct insn *insn, struct state *st);

/*
 * An x87 instruction: the state is an FXSAVE image, memory is at RSI, AX and
 * the arithmetic flags go in and out.
 */
#define X87_BUFFER_BYTES 112
struct x87_state {
	_Alignas(16) u8 image[X86_FXSAVE_BYTES];
	u64 rax, rflags;
	int fault;
	u8 buffer[X87_BUFFER_BYTES];
};

void run_x87_ours(const struct insn *insn, struct x87_state *st);
void run_x87_host(const struct insn *insn, struct x87_state *st);

/* The vector @insn ends in when decoded in @mode, on some state. */
int fault_of(const struct insn *insn, u32 mode);

/*
 * FXSAVE and its relatives with the area at RSI: the state before as an
 * XSAVE image, the area before, EDX:EAX.  Do state, area and fault agree
 * afterwards?  Pointers and opcode are not compared.
 */
struct image_case {
	_Alignas(64) u8 memory[X86_XSAVE_BYTES];
	_Alignas(64) u8 state[X86_XSAVE_BYTES];
	u32 rfbm;
	int fault;
};
bool same_image_case(const struct insn *insn, const struct image_case *c);

u64 random64(void);
void random_seed(u64 seed);
void random_state(struct state *st, bool unmasked);
void random_x87_state(struct x87_state *st);

#endif
