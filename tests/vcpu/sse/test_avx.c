/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VEX encoding against the host processor: every opcode of the three maps
 * that the family has a handler for, in both lengths, with all of the YMM registers compared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/vcpu/sse/compare.h"

#define MODE64 (X86_MODE_CS64 | X86_MODE_PE | X86_MODE_AVX)

struct encoding {
	unsigned int map, pp, opcode; /* VEX.mmmmm, VEX.pp */
	bool w, l;
	unsigned int kind, reg; /* ModRM: see modrm_byte() */
	unsigned int vvvv;
};

/* Registers of both halves of the file, an operand with itself, memory at RSI. */
static u8 modrm_byte(const struct encoding *e)
{
	static const u8 rm[] = {0xc2, 0xc0, 0xc3, 0x06};

	return (u8)(rm[e->kind] | e->reg << 3);
}

static void write_encoding(const struct encoding *e, u8 bytes[16])
{
	bool high = e->kind == 2; /* R and B: registers 8 and up */

	memset(bytes, 0, 16);
	bytes[0] = 0xc4;
	bytes[1] = (u8)((high ? 0x40 : 0xe0) | e->map);
	bytes[2] = (u8)(e->w << 7 | (~e->vvvv & 15) << 3 | e->l << 2 | e->pp);
	bytes[3] = (u8)e->opcode;
	bytes[4] = modrm_byte(e);
	bytes[5] = (u8)random64();
}

/* AVX2 and what else has VEX encodings is not offered: decode.c goes by the same word. */
static bool is_avx(const struct insn *insn)
{
	return insn->decoded.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX &&
	       x86_offers_avx(insn->decoded.meta.isa_ext);
}

static unsigned int nr_without_handler;

static void visit_encoding(const struct encoding *e, visit_fn *visit)
{
	struct insn insn;
	struct x86_op op;
	u8 bytes[16];

	write_encoding(e, bytes);
	if (!decode(&insn, bytes, sizeof(bytes)) || !is_avx(&insn) || outside_harness(&insn))
		return;
	if (select_handler(&insn, MODE64, &op)) {
		visit(&insn, &op);
	} else {
		print_error("no handler: %s\n", ZydisMnemonicGetString(insn.decoded.mnemonic));
		nr_without_handler++;
	}
}

/* Opcodes whose ModRM.reg is more opcode. */
static bool is_group(unsigned int map, unsigned int opcode)
{
	return map == 1 && (opcode == 0xae || (opcode >= 0x71 && opcode <= 0x73));
}

static void visit_opcode(struct encoding *e, visit_fn *visit)
{
	unsigned int regs = is_group(e->map, e->opcode) ? 8 : 2;
	/* No register, which some must say; one of their own; the destination or the source. */
	static const unsigned int vvvv[] = {0, 5, 1, 2};

	for (unsigned int v = 0; v < ARRAY_SIZE(vvvv); v++)
		for (e->kind = 0; e->kind < 4; e->kind++)
			for (e->reg = 0; e->reg < regs; e->reg++) {
				e->vvvv = vvvv[v];
				visit_encoding(e, visit);
			}
}

static void visit_all(visit_fn *visit)
{
	struct encoding e = {0};

	harness_catch_signals();
	for (e.map = 1; e.map <= 3; e.map++)
		for (e.pp = 0; e.pp < 4; e.pp++)
			for (e.opcode = 0; e.opcode < 256; e.opcode++)
				for (unsigned int wl = 0; wl < 4; wl++) {
					e.w = wl & 1;
					e.l = wl >> 1;
					visit_opcode(&e, visit);
				}
}

static void compare_all(bool unmasked)
{
	if (!host_has_avx())
		skip();
	unmasked_run = unmasked;
	nr_forms = nr_wrong = 0;
	visit_all(compare_form);
	print_message("%u forms, %u rounds each\n", nr_forms, rounds);
	assert_true(nr_forms > 16000);
	assert_int_equal(nr_wrong, 0);
}

static void vex_instructions_like_host(void **unused)
{
	(void)unused;
	compare_all(false);
}

static void unmasked_exceptions_like_host(void **unused)
{
	(void)unused;
	if (PORTABLE)
		skip();
	compare_all(true);
}

/* ---- every mnemonic of the table is reached ------------------------------------------------ */

static bool seen[ZYDIS_MNEMONIC_MAX_VALUE + 1];

static void note_mnemonic(const struct insn *insn, const struct x86_op *op)
{
	(void)op;
	seen[insn->decoded.mnemonic] = true;
}

static void every_form_has_a_handler_and_every_mnemonic_a_form(void **unused)
{
	unsigned int missing = 0;

	(void)unused;
	nr_without_handler = 0;
	visit_all(note_mnemonic);
	assert_int_equal(nr_without_handler, 0);
	for (const struct x86_family_entry *e = x86_family_sse; e->select; e++) {
		if (seen[e->mnemonic] || ZydisMnemonicGetString(e->mnemonic)[0] != 'v')
			continue;
		print_error("not reached: %s\n", ZydisMnemonicGetString(e->mnemonic));
		missing++;
	}
	assert_int_equal(missing, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_has_a_handler_and_every_mnemonic_a_form),
		cmocka_unit_test(vex_instructions_like_host),
		cmocka_unit_test(unmasked_exceptions_like_host),
	};

	compare_init();
	rounds = (rounds + 7) / 8; /* of eight times the forms: 10^6 cases still */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
