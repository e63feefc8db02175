/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The x87 family against the host processor: every register and memory form
 * of opcodes D8h to DFh that the family has, on random states including
 * empty registers, unmasked and pending exceptions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/vcpu/sse/harness.h"

static u64 seed;
static unsigned int rounds = 200, nr_forms, nr_wrong;

/* What FNSTENV and FNSAVE say about pointers and opcode is not compared: bytes 12 to 26. */
static bool has_environment(ZydisMnemonic m)
{
	return m == ZYDIS_MNEMONIC_FNSTENV || m == ZYDIS_MNEMONIC_FNSAVE;
}

/* In an image: control, status, tags, registers; not opcode and pointers. */
static bool same_image(const u8 *a, const u8 *b)
{
	for (unsigned int i = 0; i < 8; i++)
		if (memcmp(a + X86_FX_ST + 16 * i, b + X86_FX_ST + 16 * i, 10))
			return false;
	return memcmp(a, b, 5) == 0;
}

static bool same(const struct insn *insn, const struct x87_state *a, const struct x87_state *b)
{
	if (a->fault != b->fault || a->rax != b->rax || a->rflags != b->rflags)
		return false;
	if (!same_image(a->image, b->image))
		return false;
	if (!has_environment(insn->decoded.mnemonic))
		return memcmp(a->buffer, b->buffer, X87_BUFFER_BYTES) == 0;
	return memcmp(a->buffer, b->buffer, 12) == 0 &&
	       memcmp(a->buffer + 28, b->buffer + 28, X87_BUFFER_BYTES - 28) == 0;
}

static void print_state(const char *what, const struct x87_state *st)
{
	fprintf(stderr, "  %-5s fault %d ax %04llx flags %03llx image ", what, st->fault,
		(unsigned long long)st->rax & 0xffff, (unsigned long long)st->rflags);
	for (unsigned int i = 0; i < 5; i++)
		fprintf(stderr, "%02x", st->image[i]);
	for (unsigned int i = 0; i < 3; i++) {
		fprintf(stderr, " st%u ", i);
		for (unsigned int k = 10; k--;)
			fprintf(stderr, "%02x", st->image[X86_FX_ST + 16 * i + k]);
	}
	fprintf(stderr, " mem ");
	for (unsigned int k = 0; k < 28; k++)
		fprintf(stderr, "%02x", st->buffer[k]);
	fprintf(stderr, "\n");
}

static void compare_form(const struct insn *insn)
{
	nr_forms++;
	for (unsigned int i = 0; i < rounds; i++) {
		struct x87_state in, ours, host;

		random_x87_state(&in);
		ours = host = in;
		run_x87_host(insn, &host);
		run_x87_ours(insn, &ours);
		if (same(insn, &ours, &host))
			continue;
		if (nr_wrong++ < 12) {
			fprintf(stderr, "seed %llu: %02x %02x %s\n", (unsigned long long)seed,
				insn->bytes[0], insn->bytes[1],
				ZydisMnemonicGetString(insn->decoded.mnemonic));
			print_state("in", &in);
			print_state("ours", &ours);
			print_state("host", &host);
		}
		return;
	}
}

static void test_like_host(void **unused)
{
	(void)unused;
	harness_catch_signals();
	for (unsigned int opcode = 0xd8; opcode <= 0xdf; opcode++) {
		for (unsigned int n = 0; n < 64 + 8; n++) {
			u8 modrm = (u8)(n < 64 ? 0xc0 + n : (n - 64) << 3 | 6);
			u8 bytes[16] = {(u8)opcode, modrm};
			struct insn insn;
			struct x86_op op;

			if (decode(&insn, bytes, sizeof(bytes)) &&
			    select_handler(&insn, X86_MODE_CS64 | X86_MODE_PE, &op))
				compare_form(&insn);
		}
	}
	print_message("%u forms, %u rounds each\n", nr_forms, rounds);
	assert_true(nr_forms > 350);
	assert_int_equal(nr_wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_host),
	};

	seed = harness_start(&rounds);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
