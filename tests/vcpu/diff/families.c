/* SPDX-License-Identifier: BSD-2-Clause */
/* What the differential tester tests: see diff.h for how to add to it. */
#include <string.h>

#include "tests/vcpu/diff/diff.h"

#define M(name) ZYDIS_MNEMONIC_##name
#define ALL	15 /* 8, 16, 32 and 64 bits */
#define WIDE	14 /* all but 8 */
#define DQ	12 /* 32 and 64 */

#define BINARY(name)                                       \
	{                                                  \
		M(name), "ee|ei|re|er", ALL, DIFF_LOCKABLE \
	}
#define SHIFT(name)                            \
	{                                      \
		M(name), "ec|ej|e1|ej", ALL, 0 \
	}
#define UNARY(name)                              \
	{                                        \
		M(name), "e", ALL, DIFF_LOCKABLE \
	}
#define CMOV(name)                           \
	{                                    \
		M(CMOV##name), "re", WIDE, 0 \
	}
#define SETCC(name)                     \
	{                               \
		M(SET##name), "B", 1, 0 \
	}
#define STRING(name)                     \
	{                                \
		M(name), "", 0, DIFF_REP \
	}

static const struct diff_template integer_templates[] = {
	/* ALU */
	BINARY(ADD),
	BINARY(ADC),
	BINARY(SUB),
	BINARY(SBB),
	BINARY(AND),
	BINARY(OR),
	BINARY(XOR),
	{M(CMP), "ee|ei|re|er", ALL, 0},
	{M(TEST), "er|ei", ALL, 0},
	UNARY(INC),
	UNARY(DEC),
	UNARY(NEG),
	UNARY(NOT),
	/* data movement */
	{M(MOV), "er|re|ei|rI", ALL, 0},
	{M(MOVZX), "rB|rW", WIDE, 0},
	{M(MOVSX), "rB|rW", WIDE, 0},
	{M(MOVSXD), "rD", 8, DIFF_ONLY64},
	{M(LEA), "ra", WIDE, 0},
	{M(PUSH), "e|i|j", WIDE, DIFF_STACK},
	{M(POP), "e", WIDE, DIFF_STACK},
	{M(PUSHA), "", 0, DIFF_STACK | DIFF_ONLY32},
	{M(PUSHAD), "", 0, DIFF_STACK | DIFF_ONLY32},
	{M(POPA), "", 0, DIFF_STACK | DIFF_ONLY32},
	{M(POPAD), "", 0, DIFF_STACK | DIFF_ONLY32},
	{M(ENTER), "wj", 0, DIFF_STACK},
	{M(LEAVE), "", 0, DIFF_STACK},
	{M(BSWAP), "r", DQ, 0},
	{M(MOVBE), "rm|mr", WIDE, 0},
	{M(XLAT), "", 0, 0},
	{M(SALC), "", 0, DIFF_ONLY32},
	{M(CBW), "", 0, 0},
	{M(CWDE), "", 0, 0},
	{M(CDQE), "", 0, DIFF_ONLY64},
	{M(CWD), "", 0, 0},
	{M(CDQ), "", 0, 0},
	{M(CQO), "", 0, DIFF_ONLY64},
	CMOV(O),
	CMOV(NO),
	CMOV(B),
	CMOV(NB),
	CMOV(Z),
	CMOV(NZ),
	CMOV(BE),
	CMOV(NBE),
	CMOV(S),
	CMOV(NS),
	CMOV(P),
	CMOV(NP),
	CMOV(L),
	CMOV(NL),
	CMOV(LE),
	CMOV(NLE),
	SETCC(O),
	SETCC(NO),
	SETCC(B),
	SETCC(NB),
	SETCC(Z),
	SETCC(NZ),
	SETCC(BE),
	SETCC(NBE),
	SETCC(S),
	SETCC(NS),
	SETCC(P),
	SETCC(NP),
	SETCC(L),
	SETCC(NL),
	SETCC(LE),
	SETCC(NLE),
	/* shifts */
	SHIFT(SHL),
	SHIFT(SHR),
	SHIFT(SAR),
	SHIFT(ROL),
	SHIFT(ROR),
	SHIFT(RCL),
	SHIFT(RCR),
	{M(SHLD), "erj|erc", WIDE, 0},
	{M(SHRD), "erj|erc", WIDE, 0},
	{M(RORX), "rej", DQ, 0},
	{M(SARX), "rer", DQ, 0},
	{M(SHLX), "rer", DQ, 0},
	{M(SHRX), "rer", DQ, 0},
	/* bits */
	{M(BT), "er|ej", WIDE, DIFF_BITSTRING},
	{M(BTS), "er|ej", WIDE, DIFF_BITSTRING | DIFF_LOCKABLE},
	{M(BTR), "er|ej", WIDE, DIFF_BITSTRING | DIFF_LOCKABLE},
	{M(BTC), "er|ej", WIDE, DIFF_BITSTRING | DIFF_LOCKABLE},
	{M(BSF), "re", WIDE, 0},
	{M(BSR), "re", WIDE, 0},
	{M(TZCNT), "re", WIDE, 0},
	{M(LZCNT), "re", WIDE, 0},
	{M(POPCNT), "re", WIDE, 0},
	{M(ANDN), "rre", DQ, 0},
	{M(BEXTR), "rer", DQ, 0},
	{M(BLSI), "re", DQ, 0},
	{M(BLSMSK), "re", DQ, 0},
	{M(BLSR), "re", DQ, 0},
	{M(BZHI), "rer", DQ, 0},
	{M(PDEP), "rre", DQ, 0},
	{M(PEXT), "rre", DQ, 0},
	{M(CRC32), "ke", 7, 0},
	{M(CRC32), "rB|re", 8, 0},
	/* multiplication and division */
	{M(MUL), "e", ALL, 0},
	{M(IMUL), "e", ALL, 0},
	{M(IMUL), "re|rei|rej", WIDE, 0},
	{M(MULX), "rre", DQ, 0},
	{M(DIV), "e", ALL, 0},
	{M(IDIV), "e", ALL, 0},
	{M(ADCX), "re", DQ, 0},
	{M(ADOX), "re", DQ, 0},
	{M(BOUND), "rQ", 4, DIFF_ONLY32},
	{M(ARPL), "er", 2, DIFF_ONLY32},
	{M(AAA), "", 0, DIFF_ONLY32},
	{M(AAS), "", 0, DIFF_ONLY32},
	{M(DAA), "", 0, DIFF_ONLY32},
	{M(DAS), "", 0, DIFF_ONLY32},
	{M(AAM), "j", 0, DIFF_ONLY32},
	{M(AAD), "j", 0, DIFF_ONLY32},
	/* exchange */
	{M(XCHG), "er|re", ALL, DIFF_LOCKABLE},
	{M(XADD), "er", ALL, DIFF_LOCKABLE},
	{M(CMPXCHG), "er", ALL, DIFF_LOCKABLE},
	{M(CMPXCHG8B), "m", 8, DIFF_LOCKABLE},
	{M(CMPXCHG16B), "O", 0, DIFF_LOCKABLE | DIFF_ONLY64 | DIFF_ALIGN16},
	/* strings */
	STRING(MOVSB),
	STRING(MOVSW),
	STRING(MOVSD),
	STRING(MOVSQ),
	STRING(STOSB),
	STRING(STOSW),
	STRING(STOSD),
	STRING(STOSQ),
	STRING(LODSB),
	STRING(LODSW),
	STRING(LODSD),
	STRING(LODSQ),
	STRING(CMPSB),
	STRING(CMPSW),
	STRING(CMPSD),
	STRING(CMPSQ),
	STRING(SCASB),
	STRING(SCASW),
	STRING(SCASD),
	STRING(SCASQ),
};

static u32 shift_undefined(u32 count, u32 bits, bool keeps_cf)
{
	u32 undefined = 0;

	if (count != 1)
		undefined |= X86_EFLAGS_OF;
	if (count > bits || (count == bits && !keeps_cf))
		undefined |= X86_EFLAGS_CF;
	return undefined;
}

/* The count of a shift or rotate, masked as the processor does. */
static u32 masked_count(const struct diff_case *c, unsigned int operand)
{
	u64 count = c->operands[operand].type == ZYDIS_OPERAND_TYPE_IMMEDIATE
			    ? c->operands[operand].imm.value.u
			    : c->in.gpr[X86_RCX];

	return (u32)count & (c->operands[0].size == 64 ? 63 : 31);
}

/*
 * Beyond Zydis: a count of 0 leaves all flags alone, so nothing is undefined;
 * and it calls CF of long shifts defined.
 */
static u32 integer_undefined(const struct diff_case *c)
{
	u32 zydis = c->insn.cpu_flags ? c->insn.cpu_flags->undefined : 0;
	u32 bits = c->operands[0].size, count;

	switch (c->insn.mnemonic) {
	case M(SHL):
	case M(SHR):
	case M(SAR):
		count = masked_count(c, 1);
		if (count == 0)
			return 0;
		return X86_EFLAGS_AF |
		       shift_undefined(count, bits, c->insn.mnemonic == M(SAR) || bits > 16);
	case M(ROL):
	case M(ROR):
	case M(RCL):
	case M(RCR):
		return masked_count(c, 1) == 1 ? 0 : X86_EFLAGS_OF;
	case M(SHLD):
	case M(SHRD):
		count = masked_count(c, 2);
		if (count == 0)
			return 0;
		return X86_EFLAGS_AF | (count == 1 ? 0 : X86_EFLAGS_OF);
	case M(MUL):
	case M(IMUL):
		return X86_EFLAGS_SF | X86_EFLAGS_ZF | X86_EFLAGS_AF | X86_EFLAGS_PF;
	case M(DIV):
	case M(IDIV):
		return X86_EFLAGS_ARITH;
	case M(BSF):
	case M(BSR):
		return X86_EFLAGS_ARITH & ~X86_EFLAGS_ZF;
	case M(BT):
	case M(BTS):
	case M(BTR):
	case M(BTC):
		return X86_EFLAGS_ARITH & ~(X86_EFLAGS_CF | X86_EFLAGS_ZF);
	case M(BEXTR):
		return X86_EFLAGS_SF | X86_EFLAGS_AF | X86_EFLAGS_PF;
	case M(ANDN):
	case M(BLSI):
	case M(BLSMSK):
	case M(BLSR):
	case M(BZHI):
		return X86_EFLAGS_AF | X86_EFLAGS_PF;
	case M(TZCNT):
	case M(LZCNT):
		return X86_EFLAGS_ARITH & ~(X86_EFLAGS_CF | X86_EFLAGS_ZF);
	case M(AND):
	case M(OR):
	case M(XOR):
	case M(TEST):
		return X86_EFLAGS_AF;
	default:
		return zydis;
	}
}

static bool uses_rax_or_rdx(const ZydisDecodedOperandMem *m)
{
	int base = ZydisRegisterGetId(m->base), index = ZydisRegisterGetId(m->index);

	return base == X86_RAX || base == X86_RDX || index == X86_RAX || index == X86_RDX;
}

static u64 truncate(u64 value, unsigned int bits)
{
	return bits == 64 ? value : value & ((1ull << bits) - 1);
}

/*
 * Make the quotient come out near the border of what fits: dividend =
 * quotient * divisor + remainder in twice the width.
 */
static void choose_dividend(struct diff_case *c)
{
	const ZydisDecodedOperand *o = &c->operands[0];
	unsigned int bits = o->size;
	bool is_signed = c->insn.mnemonic == ZYDIS_MNEMONIC_IDIV;
	u64 quotient = is_signed ? 1ull << (bits - 1) : 0, divisor = c->in.gpr[X86_RBX];
	unsigned __int128 dividend;

	if (o->type == ZYDIS_OPERAND_TYPE_MEMORY && uses_rax_or_rdx(&o->mem))
		return;
	if (o->type == ZYDIS_OPERAND_TYPE_MEMORY)
		memcpy(&divisor, c->patch, 8);
	else if (bits > 8)
		divisor = c->in.gpr[ZydisRegisterGetId(o->reg.value)];
	quotient += diff_below(5) - 2ull;
	divisor = truncate(divisor, bits);
	if (is_signed) {
		s64 q = (s64)(quotient << (64 - bits)) >> (64 - bits);
		s64 d = (s64)(divisor << (64 - bits)) >> (64 - bits);

		dividend = (unsigned __int128)((__int128)q * d);
	} else {
		dividend = (unsigned __int128)truncate(quotient, bits) * divisor;
	}
	dividend += diff_below(3);
	if (bits == 8) {
		c->in.gpr[X86_RAX] = (c->in.gpr[X86_RAX] & ~0xffffull) | (u16)dividend;
		return;
	}
	c->in.gpr[X86_RAX] = truncate((u64)dividend, bits);
	c->in.gpr[X86_RDX] = truncate((u64)(dividend >> bits), bits);
}

/* Results that the manuals leave open are refused; divisions are helped. */
static bool integer_adjust(struct diff_case *c)
{
	switch (c->insn.mnemonic) {
	case M(SHLD):
	case M(SHRD):
		return c->operands[0].size > 16 || masked_count(c, 2) <= 16;
	case M(BSWAP):
		return c->operands[0].size > 16;
	case M(DIV):
	case M(IDIV):
		if (c->seed & 1)
			choose_dividend(c);
		return true;
	default:
		return true;
	}
}

static const struct diff_family integer_family = {
	.name = "integer",
	.templates = integer_templates,
	.nr_templates = ARRAY_SIZE(integer_templates),
	.tables = {x86_family_alu, x86_family_move, x86_family_shift, x86_family_bit,
		   x86_family_muldiv, x86_family_atomic, x86_family_string, NULL},
	.adjust = integer_adjust,
	.undefined_flags = integer_undefined,
};

const struct diff_family *const diff_families[] = {
	&integer_family,
	&diff_sse_family,
	&diff_avx_family,
	NULL,
};
