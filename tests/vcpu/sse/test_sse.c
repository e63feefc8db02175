/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SSE family against the host processor: every encoding of the three
 * opcode maps that the family has a handler for, in register and memory form.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/vcpu/sse/harness.h"

#define MODE64 (X86_MODE_CS64 | X86_MODE_PE)

/* Built a second time with the computations for hosts that are not x86; sse_fp_portable.h has their
 * limits. */
#if defined(KVMU_SSE_PORTABLE)
#define PORTABLE true
#else
#define PORTABLE false
#endif

static u64 seed;
static unsigned int rounds = 300;

/* ---- enumerating encodings ---------------------------------------------------------------- */

typedef void visit_fn(const struct insn *insn, const struct x86_op *op);

static bool state_instruction(ZydisMnemonic m)
{
	static const ZydisMnemonic list[] = {
		ZYDIS_MNEMONIC_FXSAVE, ZYDIS_MNEMONIC_FXSAVE64,	  ZYDIS_MNEMONIC_FXRSTOR,
		ZYDIS_MNEMONIC_XSAVE,  ZYDIS_MNEMONIC_XSAVE64,	  ZYDIS_MNEMONIC_FXRSTOR64,
		ZYDIS_MNEMONIC_XSAVEC, ZYDIS_MNEMONIC_XSAVEC64,	  ZYDIS_MNEMONIC_XSAVEOPT,
		ZYDIS_MNEMONIC_XRSTOR, ZYDIS_MNEMONIC_XSAVEOPT64, ZYDIS_MNEMONIC_XRSTOR64};

	for (unsigned int i = 0; i < ARRAY_SIZE(list); i++)
		if (m == list[i])
			return true;
	return false;
}

/* ModRM by kind: registers of both halves of the file, an operand with itself, memory at RSI. */
static u8 modrm_byte(unsigned int kind, unsigned int opcode_reg)
{
	static const u8 rm[] = {0xc2, 0xc0, 0xc3, 0x06};

	return (u8)(rm[kind] | opcode_reg << 3);
}

/* Does it name a general register that the harness does not carry? */
static bool outside_harness(const struct insn *insn)
{
	for (unsigned int i = 0; i < insn->decoded.operand_count; i++) {
		ZydisRegister r = insn->operands[i].reg.value;

		if (insn->operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ((r >= ZYDIS_REGISTER_R10 && r <= ZYDIS_REGISTER_R15) ||
		     (r >= ZYDIS_REGISTER_R10D && r <= ZYDIS_REGISTER_R15D)))
			return true;
	}
	return false;
}

static void visit_encoding(unsigned int map, u8 prefix, unsigned int rex_w, u8 opcode,
			   unsigned int kind, unsigned int reg, visit_fn *visit)
{
	static const u8 map_bytes[3] = {0, 0x38, 0x3a};
	u8 bytes[16] = {0}, rex = (u8)(0x40 | rex_w << 3);
	unsigned int len = 0;
	struct insn insn;
	struct x86_op op;

	if (kind == 2)
		rex |= 5; /* R and B: registers 8 and up */
	if (prefix)
		bytes[len++] = prefix;
	if (rex != 0x40)
		bytes[len++] = rex;
	bytes[len++] = 0x0f;
	if (map)
		bytes[len++] = map_bytes[map];
	bytes[len++] = opcode;
	bytes[len++] = modrm_byte(kind, reg);
	bytes[len++] = (u8)random64();
	if (!decode(&insn, bytes, sizeof(bytes)) || state_instruction(insn.decoded.mnemonic))
		return;
	if (outside_harness(&insn))
		return;
	if (select_handler(&insn, MODE64, &op))
		visit(&insn, &op);
}

/* Opcodes whose ModRM.reg is more opcode. */
static bool is_group(unsigned int map, unsigned int opcode)
{
	return map == 0 && (opcode == 0xae || (opcode >= 0x71 && opcode <= 0x73));
}

static void visit_opcode(unsigned int map, u8 prefix, u8 opcode, visit_fn *visit)
{
	unsigned int regs = is_group(map, opcode) ? 8 : 2;

	if (map == 0 && (opcode == 0x38 || opcode == 0x3a))
		return; /* the other maps */
	for (unsigned int kind = 0; kind < 4; kind++)
		for (unsigned int reg = 0; reg < regs; reg++)
			for (unsigned int rex_w = 0; rex_w < 2; rex_w++)
				visit_encoding(map, prefix, rex_w, opcode, kind, reg, visit);
}

static void visit_all(visit_fn *visit)
{
	static const u8 prefixes[] = {0, 0x66, 0xf3, 0xf2};

	harness_catch_signals();
	for (unsigned int map = 0; map < 3; map++)
		for (unsigned int p = 0; p < 4; p++)
			for (unsigned int opcode = 0; opcode < 256; opcode++)
				visit_opcode(map, prefixes[p], (u8)opcode, visit);
}

/* ---- comparing --------------------------------------------------------------- */

static void print_insn(const struct insn *insn)
{
	for (unsigned int i = 0; i < insn->len; i++)
		fprintf(stderr, "%02x ", insn->bytes[i]);
	fprintf(stderr, " %s\n", ZydisMnemonicGetString(insn->decoded.mnemonic));
}

static void print_vec(const char *what, const union vec *v)
{
	fprintf(stderr, "  %-8s %016llx %016llx\n", what, (unsigned long long)v->uq[1],
		(unsigned long long)v->uq[0]);
}

static void report(const struct insn *insn, const struct state *in, const struct state *ours,
		   const struct state *host)
{
	fprintf(stderr, "seed %llu: ", (unsigned long long)seed);
	print_insn(insn);
	fprintf(stderr, "  mxcsr in %04x ours %04x host %04x; fault ours %d host %d\n", in->mxcsr,
		ours->mxcsr, host->mxcsr, ours->fault, host->fault);
	fprintf(stderr, "  flags ours %03llx host %03llx\n", (unsigned long long)ours->rflags,
		(unsigned long long)host->rflags);
	for (unsigned int i = 0; i < 16; i++) {
		if (memcmp(&ours->xmm[i], &host->xmm[i], 16) == 0 && i > 3)
			continue;
		fprintf(stderr, " xmm%u\n", i);
		print_vec("in", &in->xmm[i]);
		print_vec("ours", &ours->xmm[i]);
		print_vec("host", &host->xmm[i]);
	}
	for (unsigned int i = 0; i < 8; i++)
		if (ours->gpr[i] != host->gpr[i])
			fprintf(stderr, "  gpr%u in %llx ours %llx host %llx\n", i,
				(unsigned long long)in->gpr[i], (unsigned long long)ours->gpr[i],
				(unsigned long long)host->gpr[i]);
	print_vec("memory", (const union vec *)(const void *)in->buffer);
}

/*
 * The limits stated in exec_sse_float.c: underflow stays masked here, and PE is
 * not compared when an overflow was unmasked.
 */
static u32 comparable_mxcsr(const struct state *st)
{
	bool overflow = st->fault == X86_XM && (st->mxcsr & 0x408) == 8;

	if (PORTABLE)
		return 0;
	return overflow ? st->mxcsr & ~0x20u : st->mxcsr;
}

static bool same(const struct state *a, const struct state *b)
{
	return a->fault == b->fault && comparable_mxcsr(a) == comparable_mxcsr(b) &&
	       a->rflags == b->rflags && memcmp(a->xmm, b->xmm, sizeof(a->xmm)) == 0 &&
	       memcmp(a->gpr, b->gpr, sizeof(a->gpr)) == 0 &&
	       memcmp(a->buffer, b->buffer, sizeof(a->buffer)) == 0;
}

static unsigned int nr_forms, nr_wrong;
static bool unmasked_run;

static bool approximates(ZydisMnemonic m)
{
	return m == ZYDIS_MNEMONIC_RCPPS || m == ZYDIS_MNEMONIC_RCPSS ||
	       m == ZYDIS_MNEMONIC_RSQRTPS || m == ZYDIS_MNEMONIC_RSQRTSS;
}

static bool rounds_to_integer(ZydisMnemonic m)
{
	const char *name = ZydisMnemonicGetString(m);

	return strncmp(name, "round", 5) == 0 || strstr(name, "2dq") || strstr(name, "2si");
}

static void compare_form(const struct insn *insn, const struct x86_op *op)
{
	(void)op;
	if (PORTABLE && approximates(insn->decoded.mnemonic))
		return;
	nr_forms++;
	for (unsigned int i = 0; i < rounds; i++) {
		struct state in, ours, host;
		struct insn varied;
		u8 bytes[16];

		/* A fresh immediate where there is one. */
		memcpy(bytes, insn->bytes, sizeof(bytes));
		if (insn->decoded.raw.imm[0].size)
			bytes[insn->decoded.raw.imm[0].offset] = (u8)random64();
		if (!decode(&varied, bytes, sizeof(bytes)))
			continue;
		random_state(&in, unmasked_run);
		in.mxcsr |= 0x800;
		if (PORTABLE)
			in.mxcsr = 0x1f80 | (rounds_to_integer(insn->decoded.mnemonic)
						     ? (u32)(random64() & 3) << 13
						     : 0);
		if (varied.uses_memory)
			in.gpr[varied.fixed_rdi ? 5 : 4] = (u64)(uintptr_t)in.memory;
		ours = host = in;
		run_host(&varied, &host);
		run_ours(&varied, &ours);
		if (same(&ours, &host))
			continue;
		if (nr_wrong++ < 12)
			report(&varied, &in, &ours, &host);
		return;
	}
}

static void test_like_host(void **unused)
{
	(void)unused;
	unmasked_run = false;
	nr_forms = nr_wrong = 0;
	visit_all(compare_form);
	print_message("%u forms, %u rounds each\n", nr_forms, rounds);
	assert_true(nr_forms > 900);
	assert_int_equal(nr_wrong, 0);
}

static void test_unmasked_exceptions_like_host(void **unused)
{
	(void)unused;
	if (PORTABLE)
		skip();
	unmasked_run = true;
	nr_forms = nr_wrong = 0;
	visit_all(compare_form);
	assert_int_equal(nr_wrong, 0);
}

/* ---- every mnemonic of the table is reached ---------------------------------- */

static bool seen[ZYDIS_MNEMONIC_MAX_VALUE + 1];

static void note_mnemonic(const struct insn *insn, const struct x86_op *op)
{
	(void)op;
	seen[insn->decoded.mnemonic] = true;
}

static void test_all_mnemonics_reached(void **unused)
{
	unsigned int missing = 0;

	(void)unused;
	visit_all(note_mnemonic);
	for (const struct x86_family_entry *e = x86_family_sse; e->select; e++) {
		if (seen[e->mnemonic] || state_instruction(e->mnemonic))
			continue;
		print_error("not reached: %s\n", ZydisMnemonicGetString(e->mnemonic));
		missing++;
	}
	assert_int_equal(missing, 0);
}

int main(void)
{
	const char *given = getenv("KVMU_TEST_SEED"), *count = getenv("KVMU_TEST_ROUNDS");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_mnemonics_reached),
		cmocka_unit_test(test_like_host),
		cmocka_unit_test(test_unmasked_exceptions_like_host),
	};

	seed = given ? strtoull(given, NULL, 0) : (u64)time(NULL);
	if (count)
		rounds = (unsigned int)strtoul(count, NULL, 0);
	printf("seed %llu\n", (unsigned long long)seed);
	random_seed(seed);
	harness_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
