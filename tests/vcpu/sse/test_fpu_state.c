/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FXSAVE and XSAVE images: against the processor's own, through the
 * instructions and through the functions for user space; and the modes in
 * which instructions are refused.
 */
#include <cpuid.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/vcpu/sse/harness.h"

static struct x86_cpu cpu;

static void random_ymm(u8 *image)
{
	for (unsigned int i = X86_XS_YMM; i < X86_XSAVE_BYTES; i += 8) {
		u64 v = random64();

		memcpy(image + i, &v, 8);
	}
}

static void random_image(u8 *image)
{
	struct x87_state st;
	u32 mxcsr = (u32)random64() & 0xffff;

	random_x87_state(&st);
	memcpy(image, st.image, X86_FXSAVE_BYTES);
	memcpy(image + X86_FX_MXCSR, &mxcsr, 4);
	for (unsigned int i = X86_FX_XMM; i < X86_FX_XMM_END; i += 8) {
		u64 v = random64();

		memcpy(image + i, &v, 8);
	}
}

/* ---- what user space sees -------------------------------------------------------------- */

static void test_fxsave_image_like_host(void **unused)
{
	static _Alignas(16) u8 in[X86_FXSAVE_BYTES], host[X86_FXSAVE_BYTES],
		saved[X86_FXSAVE_BYTES], ours[X86_FXSAVE_BYTES];

	(void)unused;
	for (unsigned int round = 0; round < 2000; round++) {
		random_image(in);
		__asm__ volatile("fxsave64 %0; fxrstor64 %2; fxsave64 %1; fxrstor64 %0"
				 : "=m"(saved), "=m"(host)
				 : "m"(in));
		assert_int_equal(x86_fxrstor_image(&cpu, in), 0);
		x86_fxsave_image(&cpu, ours);
		/* Control and status, MXCSR, registers; pointers are only kept with an exception.
		 */
		assert_memory_equal(ours, host, 5);
		assert_memory_equal(ours + X86_FX_MXCSR, host + X86_FX_MXCSR, 4);
		assert_memory_equal(ours + X86_FX_XMM, host + X86_FX_XMM, 256);
		for (unsigned int i = 0; i < 8; i++)
			assert_memory_equal(ours + X86_FX_ST + 16 * i, host + X86_FX_ST + 16 * i,
					    10);
	}
}

static void test_reserved_mxcsr_bits_change_nothing(void **unused)
{
	static u8 good[X86_XSAVE_BYTES], bad[X86_XSAVE_BYTES], after[X86_XSAVE_BYTES];

	(void)unused;
	random_image(good);
	assert_int_equal(x86_fxrstor_image(&cpu, good), 0);
	x86_xsave_image(&cpu, good, sizeof(good), X86_XFEATURES);
	random_image(bad);
	bad[X86_FX_MXCSR + 2] = 1;
	bad[X86_XS_XSTATE_BV] = 7;
	assert_int_equal(x86_fxrstor_image(&cpu, bad), -EINVAL);
	assert_int_equal(x86_xrstor_image(&cpu, bad, sizeof(bad)), -EINVAL);
	x86_xsave_image(&cpu, after, sizeof(after), X86_XFEATURES);
	assert_memory_equal(good, after, sizeof(good));
}

static void test_xsave_image_round_trip(void **unused)
{
	static u8 in[X86_XSAVE_BYTES], out[4096], again[4096];

	(void)unused;
	for (unsigned int round = 0; round < 500; round++) {
		random_image(in);
		random_ymm(in);
		in[X86_XS_XSTATE_BV] = (u8)(random64() & 7);
		assert_int_equal(x86_xrstor_image(&cpu, in, sizeof(in)), 0);
		x86_xsave_image(&cpu, out, sizeof(out), X86_XFEATURES);
		assert_int_equal((in[X86_XS_XSTATE_BV] ^ out[X86_XS_XSTATE_BV]) & 4, 0);
		if (in[X86_XS_XSTATE_BV] & 4)
			assert_memory_equal(in + X86_XS_YMM, out + X86_XS_YMM, 256);
		else
			for (unsigned int i = 0; i < 256; i++)
				assert_int_equal(out[X86_XS_YMM + i], 0);
		assert_int_equal(out[X86_XS_XSTATE_BV] & ~in[X86_XS_XSTATE_BV] & 1, 0);
		if (in[X86_XS_XSTATE_BV] & 2)
			assert_memory_equal(in + X86_FX_XMM, out + X86_FX_XMM, 256);
		else
			for (unsigned int i = 0; i < 256; i++)
				assert_int_equal(out[X86_FX_XMM + i], 0);
		if (!(in[X86_XS_XSTATE_BV] & 1))
			assert_int_equal(cpu.x87.fcw, X86_FCW_INIT);
		assert_int_equal(x86_xrstor_image(&cpu, out, sizeof(out)), 0);
		x86_xsave_image(&cpu, again, sizeof(again), X86_XFEATURES);
		assert_memory_equal(out, again, sizeof(out));
	}
}

/* As a CPU without AVX saved it, in the bytes that it had. */
static void test_image_without_avx_restores(void **unused)
{
	static u8 in[X86_XSAVE_BYTES], out[4096];

	(void)unused;
	random_image(in);
	random_ymm(in);
	in[X86_XS_XSTATE_BV] = 7;
	assert_int_equal(x86_xrstor_image(&cpu, in, sizeof(in)), 0);
	assert_int_equal(x86_xrstor_image(&cpu, in, X86_XS_HEADER_END), -EINVAL);
	in[X86_XS_XSTATE_BV] = 3;
	assert_int_equal(x86_xrstor_image(&cpu, in, X86_XS_HEADER_END), 0);
	x86_xsave_image(&cpu, out, sizeof(out), X86_XFEATURES);
	assert_int_equal(out[X86_XS_XSTATE_BV], 3);
	assert_memory_equal(in + X86_FX_XMM, out + X86_FX_XMM, 256);
	/* And for one: neither the bit nor the bytes. */
	in[X86_XS_XSTATE_BV] = 7;
	assert_int_equal(x86_xrstor_image(&cpu, in, sizeof(in)), 0);
	x86_xsave_image(&cpu, out, sizeof(out), X86_XFEATURES_LEGACY);
	assert_int_equal(out[X86_XS_XSTATE_BV], 3);
	for (unsigned int i = X86_XS_YMM; i < X86_XSAVE_BYTES; i++)
		assert_int_equal(out[i], 0);
}

/* Where the host has AVX it has it there too: CPUID 0xD. */
static void test_layout_is_the_hosts(void **unused)
{
	unsigned int size, at, ecx, edx;

	(void)unused;
	if (!host_has_avx())
		skip();
	__cpuid_count(0xd, 2, size, at, ecx, edx);
	assert_int_equal(size, X86_XSAVE_BYTES - X86_XS_YMM);
	assert_int_equal(at, X86_XS_YMM);
	assert_int_equal(ecx, 0);
	assert_int_equal(edx, 0);
}

static void test_bad_headers_refused(void **unused)
{
	static const unsigned int offsets[] = {X86_XS_XSTATE_BV,    X86_XS_XSTATE_BV + 7,
					       X86_XS_XCOMP_BV,	    X86_XS_XCOMP_BV + 7,
					       X86_XS_XCOMP_BV + 8, X86_XS_HEADER_END - 1};
	static u8 image[X86_XSAVE_BYTES];

	(void)unused;
	random_image(image);
	assert_int_equal(x86_xrstor_image(&cpu, image, X86_XS_HEADER_END - 1), -EINVAL);
	for (unsigned int i = 0; i < ARRAY_SIZE(offsets); i++) {
		image[offsets[i]] = 0x84;
		assert_int_equal(x86_xrstor_image(&cpu, image, sizeof(image)), -EINVAL);
		image[offsets[i]] = 0;
	}
	assert_int_equal(x86_xrstor_image(&cpu, image, sizeof(image)), 0);
}

/* ---- modes --------------------------------------------------------------------------------- */

static int fault_in_mode(const char *bytes, unsigned int len, u32 mode)
{
	struct insn insn;

	assert_true(decode(&insn, (const u8 *)bytes, len));
	return fault_of(&insn, mode);
}

static void test_refused_by_mode(void **unused)
{
	static const struct {
		const char *bytes;
		unsigned int len;
		int sse_ud, ts, em;
	} rows[] = {
		{"\x0f\x28\xc1", 3, X86_UD, X86_NM, NO_FAULT}, /* movaps; EM comes with SSE_UD */
		{"\x66\x0f\xef\xc0", 4, X86_UD, X86_NM, NO_FAULT},     /* pxor */
		{"\xf2\x0f\x58\xc1", 4, X86_UD, X86_NM, NO_FAULT},     /* addsd */
		{"\xf3\x0f\x2d\xc1", 4, X86_UD, X86_NM, NO_FAULT},     /* cvtss2si */
		{"\x66\x0f\xd7\xc1", 4, X86_UD, X86_NM, NO_FAULT},     /* pmovmskb */
		{"\x66\x0f\x73\xf8\x03", 5, X86_UD, X86_NM, NO_FAULT}, /* pslldq */
		{"\xd9\xe8", 2, NO_FAULT, X86_NM, X86_NM},	       /* fld1 */
		{"\xdb\xe3", 2, NO_FAULT, X86_NM, X86_NM},	       /* fninit */
		{"\x0f\x77", 2, NO_FAULT, X86_NM, X86_UD},	       /* emms */
	};

	(void)unused;
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *b = rows[i].bytes;
		u32 mode = X86_MODE_CS64 | X86_MODE_PE;

		assert_int_equal(fault_in_mode(b, rows[i].len, mode), NO_FAULT);
		assert_int_equal(fault_in_mode(b, rows[i].len, mode | X86_MODE_SSE_UD),
				 rows[i].sse_ud);
		assert_int_equal(fault_in_mode(b, rows[i].len, mode | X86_MODE_TS), rows[i].ts);
		assert_int_equal(fault_in_mode(b, rows[i].len, mode | X86_MODE_EM), rows[i].em);
	}
}

/* MMX forms share mnemonics with ours and must not be taken for them. */
static void test_mmx_forms_not_taken(void **unused)
{
	static const char *const forms[] = {
		"\x0f\xfc\xc1",	    "\x0f\x6e\xc0",	"\x0f\x7e\xc0",	    "\x0f\x6f\xc1",
		"\x0f\x7f\xc1",	    "\x0f\xd7\xc1",	"\x0f\x70\xc1\x01", "\x0f\x71\xd0\x01",
		"\x0f\xc4\xc0\x01", "\x0f\xc5\xc0\x01", "\x0f\x38\x00\xc1", "\x0f\xe7\x06",
		"\x0f\xef\x06"};

	(void)unused;
	for (unsigned int i = 0; i < ARRAY_SIZE(forms); i++) {
		u8 bytes[16] = {0};
		struct insn insn;
		struct x86_op op;

		for (unsigned int k = 0; k < 3; k++)
			bytes[k] = (u8)forms[i][k];
		assert_true(decode(&insn, bytes, sizeof(bytes)));
		assert_null(select_handler(&insn, X86_MODE_CS64 | X86_MODE_PE, &op));
	}
}

/* ---- the instructions, against the host's ------------------------------------ */

static void compare_instruction(const char *bytes, unsigned int len, u32 rfbm)
{
	static const u8 spoiled[] = {5, 6, 7, 13, 14, 16, 20, 23, 24, 63};
	struct insn insn;

	assert_true(decode(&insn, (const u8 *)bytes, len));
	for (unsigned int round = 0; round < 300; round++) {
		struct image_case c = {.rfbm = rfbm};

		random_image(c.state);
		if (!(random64() & 3)) /* SSE initial, but for MXCSR */
			memset(c.state + X86_FX_XMM, 0, X86_FX_XMM_END - X86_FX_XMM);
		if (!(random64() & 3))
			memcpy(c.state + X86_FX_MXCSR, &(u32){X86_MXCSR_INIT}, 4);
		random_ymm(c.state);
		if (!(random64() & 3))
			memset(c.state + X86_XS_YMM, 0, X86_XSAVE_BYTES - X86_XS_YMM);
		random_image(c.memory);
		random_ymm(c.memory);
		memset(c.memory + X86_XS_XSTATE_BV, 0, 64);
		c.memory[X86_XS_XSTATE_BV] = (u8)(random64() & 7);
		if (!(random64() & 3)) { /* compacted */
			c.memory[X86_XS_XCOMP_BV] = (u8)(random64() & 7);
			c.memory[X86_XS_XCOMP_BV + 7] = 0x80;
		}
		/* Components that no processor has, and reserved bytes. */
		if (!(random64() & 7))
			c.memory[X86_XS_XSTATE_BV + spoiled[random64() % sizeof(spoiled)]] = 0x40;
		if (!(random64() & 7))
			c.memory[X86_FX_MXCSR + 2] = 1;
		assert_true(same_image_case(&insn, &c));
	}
}

#define COMPARE(bytes, rfbm) compare_instruction(bytes, sizeof(bytes) - 1, rfbm)

static void test_instructions_like_host(void **unused)
{
	(void)unused;
	harness_catch_signals();
	COMPARE("\x0f\xae\x06", 0);	/* fxsave (rsi) */
	COMPARE("\x48\x0f\xae\x06", 0); /* fxsave64 */
	COMPARE("\x0f\xae\x0e", 0);	/* fxrstor */
	COMPARE("\x48\x0f\xae\x0e", 0);
	for (u32 rfbm = 0; rfbm < 8; rfbm++) {
		COMPARE("\x48\x0f\xae\x26", rfbm); /* xsave64 */
		COMPARE("\x0f\xae\x26", rfbm);	   /* xsave */
		COMPARE("\x48\x0f\xae\x2e", rfbm); /* xrstor64 */
		COMPARE("\x0f\xae\x2e", rfbm);	   /* xrstor */
		COMPARE("\x48\x0f\xc7\x26", rfbm); /* xsavec64 */
	}
}

int main(void)
{
	const char *given = getenv("KVMU_TEST_SEED");
	u64 seed = given ? strtoull(given, NULL, 0) : (u64)time(NULL);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fxsave_image_like_host),
		cmocka_unit_test(test_reserved_mxcsr_bits_change_nothing),
		cmocka_unit_test(test_xsave_image_round_trip),
		cmocka_unit_test(test_image_without_avx_restores),
		cmocka_unit_test(test_layout_is_the_hosts),
		cmocka_unit_test(test_bad_headers_refused),
		cmocka_unit_test(test_refused_by_mode),
		cmocka_unit_test(test_mmx_forms_not_taken),
		cmocka_unit_test(test_instructions_like_host),
	};

	printf("seed %llu\n", (unsigned long long)seed);
	random_seed(seed);
	harness_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
