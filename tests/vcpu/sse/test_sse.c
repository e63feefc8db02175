/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SSE family against the host processor: every encoding of the three
 * opcode maps that the family has a handler for, in register and memory form.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/vcpu/sse/compare.h"

#define MODE64 (X86_MODE_CS64 | X86_MODE_PE)

/* ---- enumerating encodings ---------------------------------------------------------------- */

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
		if (ZydisMnemonicGetString(e->mnemonic)[0] == 'v')
			continue; /* test_avx.c's */
		print_error("not reached: %s\n", ZydisMnemonicGetString(e->mnemonic));
		missing++;
	}
	assert_int_equal(missing, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_mnemonics_reached),
		cmocka_unit_test(test_like_host),
		cmocka_unit_test(test_unmasked_exceptions_like_host),
	};

	compare_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
