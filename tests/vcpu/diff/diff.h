/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Differential tester: the host processor is the golden model.
 *
 * A case is one instruction and a machine state.  It runs natively (native.c)
 * and in the interpreter (interp.c); afterwards registers, defined flags,
 * memory and the exception, if there was one, must agree.
 *
 * Memory: the instruction may touch DIFF_SCRATCH_PAGES pages, of which the
 * last is read-only, and their surroundings, where nothing is mapped.  The
 * interpreter sees its own copy of them at the same guest addresses.
 *
 * ---- adding a family of instructions --------------------------------------------------
 *
 * Append a struct diff_family to diff_families[] (families.c).  It has
 *  - templates: a mnemonic and the forms of its operands, one letter each, see
 *    enum diff_letters below.  They are encoded by ZydisEncoder with random
 *    registers and addresses;
 *  - the select tables (x86_family_*) it tests.  Random bytes that decode to
 *    one of the templates' mnemonics are run as well, so one template per
 *    mnemonic is the least, and forms without templates are still met;
 *  - fx: true when the instructions touch YMM, x87 or MXCSR.  Then
 *    diff_state.fx is loaded with XRSTOR before and stored with XSAVE after (on
 *    hosts without AVX FXRSTOR and FXSAVE), and compared: fx_mask says which
 *    bytes count.  The interpreter side copies it to and from struct x86_cpu in
 *    the family's fx_to_cpu / fx_from_cpu;
 *  - adjust(): optional, to bend the state (legal MXCSR, tame exponents) or to
 *    refuse a case;
 *  - undefined_flags(): optional, flags not to compare beyond what Zydis knows.
 */
#ifndef KVMU_TESTS_VCPU_DIFF_H
#define KVMU_TESTS_VCPU_DIFF_H

#include <Zydis/Zydis.h>

#include "vcpu/x86/cpu_state.h"
#include "vcpu/x86/op.h"

/* Fixed and below 2 GiB: reachable by absolute addresses in both modes. */
#define DIFF_CODE	   0x10000000ull
#define DIFF_STATE	   0x10010000ull
#define DIFF_SCRATCH	   0x10200000ull
#define DIFF_GUARD	   0x100000ull
#define DIFF_SCRATCH_PAGES 3
#define DIFF_RW_BYTES	   (2 * PAGE_SIZE)

/* Operand letters: size means the template's chosen size. */
enum diff_letters {
	DIFF_REG = 'r',	  /* general register of the size */
	DIFF_MEM = 'm',	  /* memory of the size */
	DIFF_RM = 'e',	  /* either */
	DIFF_RM8 = 'B',	  /* register or memory of 8 bits */
	DIFF_RM16 = 'W',  /* ... 16 */
	DIFF_RM32 = 'D',  /* ... 32 */
	DIFF_REG32 = 'k', /* 32-bit general register */
	DIFF_RM_NATURAL =
		'n',	/* register or memory of size; registers narrower than 32 are widened */
	DIFF_IMM = 'i', /* immediate up to 32 bits */
	DIFF_IMM8 = 'j',
	DIFF_IMM16 = 'w', /* 0 to 4095 */
	DIFF_IMM64 = 'I',
	DIFF_CL = 'c',
	DIFF_ONE = '1',
	DIFF_MEM_ANY = 'a',  /* memory whose size does not matter (LEA) */
	DIFF_MEM128 = 'O',   /* 16 bytes of memory, aligned */
	DIFF_MEM64 = 'Q',    /* 8 bytes of memory */
	DIFF_XMM = 'x',	     /* vector register */
	DIFF_XMM_M128 = 'X', /* vector register or 16 bytes of memory, aligned */
	DIFF_XMM_M64 = 'y',
	DIFF_XMM_M32 = 'z',
	DIFF_YMM = 'v',
	DIFF_YMM_M256 = 'Y',
};

enum diff_template_flags {
	DIFF_LOCKABLE = 1, /* with a memory destination */
	DIFF_REP = 2,	   /* REP / REPE / REPNE allowed, count in CX */
	DIFF_STACK = 4,	   /* touches the stack */
	DIFF_ONLY32 = 8,   /* not in 64-bit code */
	DIFF_ONLY64 = 16,
	DIFF_BITSTRING = 32, /* a register second operand moves the address */
	DIFF_ALIGN16 = 64,   /* memory operands of 16 bytes are usually aligned */
};

struct diff_template {
	ZydisMnemonic mnemonic;
	const char *operands; /* alternatives separated by '|' */
	u8 sizes;	      /* sum of 1, 2, 4, 8; 0: no size (hidden operands only) */
	u8 flags;	      /* enum diff_template_flags */
};

/* As XSAVE stores them: FXSAVE's 512 bytes, the header, the upper halves of the YMM registers. */
struct diff_fx {
	_Alignas(64) u8 b[832];
};

struct diff_state {
	u64 gpr[16];
	u64 rflags;
	struct diff_fx fx;
};

struct diff_case {
	u64 seed;
	bool mode32;
	u8 bytes[16];
	u8 len;
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	const struct diff_family *family;
	const struct diff_template *tmpl;
	struct diff_state in;
	u64 patch_addr; /* operand bytes in memory, different in each case */
	u8 patch[64];
};

#define DIFF_NO_EXCEPTION -1
#define DIFF_NOT_SELECTED -2 /* the interpreter lacks the form */

struct diff_result {
	struct diff_state out;
	int exception; /* vector, or one of the above */
	u32 error_code;
	u64 cr2;
};

struct diff_family {
	const char *name;
	const struct diff_template *templates;
	unsigned int nr_templates;
	const struct x86_family_entry *tables[10]; /* NULL-terminated */
	bool fx;
	bool (*adjust)(struct diff_case *c);
	u32 (*undefined_flags)(const struct diff_case *c);
	void (*fx_to_cpu)(struct x86_cpu *cpu, const struct diff_fx *fx);
	void (*fx_from_cpu)(const struct x86_cpu *cpu, struct diff_fx *fx);
	/* Bytes of the image to compare; NULL: MXCSR and YMM. */
	const u8 *fx_mask;
};

extern const struct diff_family diff_sse_family, diff_avx_family; /* families_sse.c */
extern const struct diff_family *const diff_families[];		  /* NULL-terminated */

/* ---- random numbers -------------------------------------------------------------------- */

u64 diff_random(void);
void diff_random_seed(u64 seed);
static inline u32 diff_below(u32 n)
{
	return (u32)((diff_random() >> 32) % n);
}
/* A number of the kind that finds bugs. */
u64 diff_random_value(void);

/* ---- generate.c ------------------------------------------------------------------------- */

void diff_generate_init(void);
/* Fill @c from the random stream; false when this attempt came to nothing. */
bool diff_generate(struct diff_case *c, bool allow32);
/* Flags to compare after @c. */
u32 diff_defined_flags(const struct diff_case *c);

/* ---- native.c --------------------------------------------------------------------------- */

/* False when this host cannot run cases at all; *mode32 says whether 32-bit code can. */
bool diff_native_init(bool *mode32);
/* Without it YMM registers are not loaded, and cases that need them are not made. */
bool diff_host_has_avx(void);
void diff_native_run(const struct diff_case *c, struct diff_result *r);
u8 *diff_native_memory(void);
/* The address the instruction has, natively and in the interpreter. */
u64 diff_native_rip(const struct diff_case *c);

/* ---- decode.c: the operation of a case; false when the families lack the form ------------- */

bool diff_decode(const struct diff_case *c, u32 mode, struct x86_op *op);

/* ---- interp.c ---------------------------------------------------------------------------- */

void diff_interp_init(void);
void diff_interp_run(const struct diff_case *c, struct diff_result *r);
u8 *diff_interp_memory(void);

#endif
