// SPDX-License-Identifier: BSD-2-Clause
/*
 * When a guest may use AVX and when it gets #UD or #NM (SDM vol. 1, 14.3; vol. 2,
 * 2.3, 2.4), on the whole CPU.  What the instructions do: tests/vcpu/sse, tests/vcpu/diff.
 */
#include "tests/vcpu/core/guest_vm.h"
#include "vcpu/x86/core.h"
#include "vcpu/x86/fpu_state.h"

#define LEAF1_ECX_AVX BIT_ULL(28)
#define AVX_CR4	      (X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXSAVE)

static int setup(void **state)
{
	*state = guest_vm_new();
	return 0;
}

static int teardown(void **state)
{
	guest_vm_free(*state);
	return 0;
}

static struct x86_cpuid_entry *leaf(struct guest_vm *vm, u32 function, u32 index)
{
	return (struct x86_cpuid_entry *)x86_find_cpuid(vm->cpu, function, index);
}

/* ---- what an instruction ends in ------------------------------------------------------ */

GUEST(handler, "64", "hlt");

/* A gate and a one-byte handler for each vector, so that RIP tells which. */
static void install_handlers(struct guest_vm *vm)
{
	memset(vm->memory + 0x11000, *handler_begin, 32);
	for (unsigned int vector = 0; vector < 20; vector++)
		guest_gate(vm, vector, 0x11000 + vector, 0x8e);
}

#define NONE (-1)

/* The vector that @bytes raise with these registers, or NONE. */
static int vector_of(struct guest_vm *vm, const char *bytes, size_t len, u64 cr0, u64 cr4, u64 xcr0)
{
	struct x86_cpu *cpu = vm->cpu;
	char code[16] = {0};

	memcpy(code, bytes, len);
	code[len] = *handler_begin;
	guest_long(vm, code, code + len + 1);
	install_handlers(vm);
	cpu->cr0 |= cr0;
	cpu->cr4 = cr4;
	cpu->xcr0 = xcr0;
	cpu->regs[X86_RSI] = FREE_GPA;
	x86_cpu_state_changed(cpu);
	guest_run_to(vm, X86_EXIT_HLT);
	if (cpu->regs[X86_REG_RIP] == CODE_GPA + len + 1)
		return NONE;
	return (int)(cpu->regs[X86_REG_RIP] - 0x11000 - 1);
}

#define VECTOR(vm, bytes) vector_of(vm, bytes, sizeof(bytes) - 1, 0, AVX_CR4, 7)

static void avx_needs_osxsave_and_xcr0(void **state)
{
	struct guest_vm *vm = *state;
	static const struct {
		u64 cr0, cr4, xcr0;
		int vector;
	} rows[] = {
		{0, AVX_CR4, 7, NONE},
		{0, AVX_CR4, 3, X86_UD},
		{0, AVX_CR4, 1, X86_UD},
		{0, AVX_CR4 & ~X86_CR4_OSXSAVE, 7, X86_UD},
		/* Neither CR0.EM nor CR4.OSFXSR matters to VEX. */
		{X86_CR0_EM, AVX_CR4, 7, NONE},
		{0, AVX_CR4 & ~X86_CR4_OSFXSR, 7, NONE},
		{X86_CR0_TS, AVX_CR4, 7, X86_NM},
		{X86_CR0_TS, AVX_CR4, 3, X86_UD},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
		/* vaddps ymm0, ymm1, ymm2; vmovups xmm0, [rsi]; vzeroupper */
		static const char *const insns[] = {"\xc5\xf4\x58\xc2", "\xc5\xf8\x10\x06",
						    "\xc5\xf8\x77\x90"};

		for (unsigned int k = 0; k < ARRAY_SIZE(insns); k++)
			assert_int_equal(
				vector_of(vm, insns[k], 4, rows[i].cr0, rows[i].cr4, rows[i].xcr0),
				rows[i].vector);
	}
}

static void prefixes_before_vex(void **state)
{
	struct guest_vm *vm = *state;

	/* vaddps xmm0, xmm1, [rsi] */
	assert_int_equal(VECTOR(vm, "\xc5\xf0\x58\x06"), NONE);
	assert_int_equal(VECTOR(vm, "\xf0\xc5\xf0\x58\x06"), X86_UD);
	assert_int_equal(VECTOR(vm, "\x66\xc5\xf0\x58\x06"), X86_UD);
	assert_int_equal(VECTOR(vm, "\xf2\xc5\xf0\x58\x06"), X86_UD);
	assert_int_equal(VECTOR(vm, "\xf3\xc5\xf0\x58\x06"), X86_UD);
	for (u8 rex = 0x40; rex < 0x50; rex++) {
		char bytes[] = {(char)rex, '\xc5', '\xf0', '\x58', '\x06'};

		assert_int_equal(vector_of(vm, bytes, 5, 0, AVX_CR4, 7), X86_UD);
	}
	/* Address size and segments are others' business. */
	assert_int_equal(VECTOR(vm, "\x67\xc5\xf0\x58\x06"), NONE);
	assert_int_equal(VECTOR(vm, "\x3e\xc5\xf0\x58\x06"), NONE);
}

static void fields_that_must_be_so(void **state)
{
	struct guest_vm *vm = *state;

	/* VEX.vvvv is 1111 where there is no second source: vsqrtps, vmovaps, a store, vpshufd. */
	assert_int_equal(VECTOR(vm, "\xc5\xf8\x51\xc1"), NONE);
	assert_int_equal(VECTOR(vm, "\xc5\xf0\x51\xc1"), X86_UD);
	assert_int_equal(VECTOR(vm, "\xc5\xf0\x28\xc1"), X86_UD);
	assert_int_equal(VECTOR(vm, "\xc5\xf0\x29\x06"), X86_UD);
	assert_int_equal(VECTOR(vm, "\xc5\xf1\x70\xc1\x00"), X86_UD);
	/* VEX.L: one length only (vmovd, vextractf128), or none (vaddss). */
	assert_int_equal(VECTOR(vm, "\xc5\xf9\x6e\xc0"), NONE);
	assert_int_equal(VECTOR(vm, "\xc5\xfd\x6e\xc0"), X86_UD);
	assert_int_equal(VECTOR(vm, "\xc4\xe3\x7d\x19\xc1\x01"), NONE);
	assert_int_equal(VECTOR(vm, "\xc4\xe3\x79\x19\xc1\x01"), X86_UD);
	assert_int_equal(VECTOR(vm, "\xc5\xf2\x58\xc2"), NONE);
	assert_int_equal(VECTOR(vm, "\xc5\xf6\x58\xc2"), NONE);
	/* VEX.W: vperm2f128 wants 0. */
	assert_int_equal(VECTOR(vm, "\xc4\xe3\x75\x06\xc2\x00"), NONE);
	assert_int_equal(VECTOR(vm, "\xc4\xe3\xf5\x06\xc2\x00"), X86_UD);
}

static void what_came_after_avx_is_undefined(void **state)
{
	struct guest_vm *vm = *state;

	assert_int_equal(VECTOR(vm, "\xc5\xf5\xfc\xc2"), X86_UD);	  /* vpaddb ymm: AVX2 */
	assert_int_equal(VECTOR(vm, "\xc4\xe2\x79\x18\xc1"), X86_UD);	  /* vbroadcastss reg */
	assert_int_equal(VECTOR(vm, "\xc4\xe2\x71\x98\xc2"), X86_UD);	  /* vfmadd132ps: FMA */
	assert_int_equal(VECTOR(vm, "\xc4\xe2\x79\x13\xc1"), X86_UD);	  /* vcvtph2ps: F16C */
	assert_int_equal(VECTOR(vm, "\xc4\xe2\x75\xdc\xc2"), X86_UD);	  /* vaesenc ymm: VAES */
	assert_int_equal(VECTOR(vm, "\x62\xf1\x74\x08\x58\xc2"), X86_UD); /* vaddps by EVEX */
}

static void aligned_moves_alone_want_alignment(void **state)
{
	struct guest_vm *vm = *state;

	assert_int_equal(VECTOR(vm, "\xc5\xf8\x28\x46\x10"), NONE); /* vmovaps xmm0, [rsi + 16] */
	assert_int_equal(VECTOR(vm, "\xc5\xf8\x28\x46\x08"), X86_GP);
	assert_int_equal(VECTOR(vm, "\xc5\xfc\x28\x46\x20"), NONE); /* ymm0 */
	assert_int_equal(VECTOR(vm, "\xc5\xfc\x28\x46\x10"), X86_GP);
	assert_int_equal(VECTOR(vm, "\xc5\xfc\x29\x46\x10"), X86_GP);
	assert_int_equal(VECTOR(vm, "\xc5\xfc\x2b\x46\x10"), X86_GP); /* vmovntps */
	assert_int_equal(VECTOR(vm, "\xc5\xfc\x10\x46\x01"), NONE);
	assert_int_equal(VECTOR(vm, "\xc5\xf4\x58\x46\x01"), NONE); /* vaddps ymm */
	assert_int_equal(VECTOR(vm, "\xc5\xf1\xef\x46\x01"), NONE); /* vpxor xmm */
}

/* In real and virtual-8086 mode the bytes are LDS and LES, whose operand is no register. */
static void vex_is_undefined_without_protection(void **state)
{
	static const u32 modes[] = {0, X86_MODE_CS32, X86_MODE_USER | X86_MODE_LEGACY_SEG};
	static const u8 vex2[] = {0xc5, 0xf4, 0x58, 0xc2}, vex3[] = {0xc4, 0xe1, 0x74, 0x58, 0xc2};
	static const u8 ud2[] = {0x0f, 0x0b};
	struct x86_op expected, op;

	(void)state;
	x86_decode_one(0, ud2, sizeof(ud2), 0, &expected);
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		u32 mode = modes[i] | X86_MODE_AVX;

		assert_int_equal(x86_decode_one(mode, vex2, sizeof(vex2), 0, &op), X86_DECODE_LAST);
		assert_true(op.fn == expected.fn && op.aux == X86_UD);
		assert_int_equal(x86_decode_one(mode, vex3, sizeof(vex3), 0, &op), X86_DECODE_LAST);
		assert_true(op.fn == expected.fn && op.aux == X86_UD);
		mode |= X86_MODE_PE;
		assert_int_equal(x86_decode_one(mode, vex2, sizeof(vex2), 0, &op), X86_DECODE_OK);
	}
}

/* ---- registers ------------------------------------------------------------------------ */

static void fill_ymm(struct x86_cpu *cpu)
{
	for (unsigned int n = 0; n < 16; n++)
		for (unsigned int i = 0; i < 4; i++)
			cpu->ymm[n].q[i] = 0x1111 * (n + 1) + i;
}

static void run_protected(struct guest_vm *vm, const char *begin, const char *end)
{
	guest_protected(vm, begin, end);
	vm->cpu->cr4 = X86_CR4_OSXSAVE;
	vm->cpu->xcr0 = 7;
	x86_cpu_state_changed(vm->cpu);
	fill_ymm(vm->cpu);
	guest_run_to(vm, X86_EXIT_HLT);
}

GUEST(upper32, "32", "vzeroupper\n hlt");
GUEST(all32, "32", "vzeroall\n hlt");

static void clearing_reaches_the_registers_of_the_mode(void **state)
{
	struct guest_vm *vm = *state;
	const struct x86_cpu *cpu = vm->cpu;

	run_protected(vm, upper32_begin, upper32_end);
	assert_int_equal(cpu->ymm[7].q[1], 0x8889);
	assert_int_equal(cpu->ymm[7].q[2] | cpu->ymm[7].q[3], 0);
	assert_int_equal(cpu->ymm[8].q[3], 0x999c);
	run_protected(vm, all32_begin, all32_end);
	assert_int_equal(cpu->ymm[7].q[0] | cpu->ymm[7].q[3], 0);
	assert_int_equal(cpu->ymm[8].q[0], 0x9999);
}

static void init_keeps_ymm_and_xcr0(void **state)
{
	struct guest_vm *vm = *state;

	fill_ymm(vm->cpu);
	vm->cpu->xcr0 = 7;
	x86_cpu_reset(vm->cpu, true);
	assert_int_equal(vm->cpu->ymm[3].q[3], 0x4447);
	assert_int_equal(vm->cpu->xcr0, 7);
	x86_cpu_reset(vm->cpu, false);
	assert_int_equal(vm->cpu->ymm[3].q[3], 0);
	assert_int_equal(vm->cpu->xcr0, 1);
}

/* ---- CPUID and XCR0 --------------------------------------------------------------------- */

static void xcr0_has_what_cpuid_offers(void **state)
{
	struct guest_vm *vm = *state;
	struct x86_cpu *cpu = vm->cpu;

	for (u64 value = 0; value < 16; value++)
		assert_int_equal(x86_xcr0_valid(cpu, value),
				 value == 1 || value == 3 || value == 7);
	assert_false(x86_xcr0_valid(cpu, 1ull << 63 | 1));
	leaf(vm, 0xd, 0)->eax = 3;
	x86_cpuid_changed(cpu);
	assert_true(x86_xcr0_valid(cpu, 3));
	assert_false(x86_xcr0_valid(cpu, 7));
	leaf(vm, 0xd, 0)->eax = 7;
	leaf(vm, 1, 0)->ecx &= ~(u32)LEAF1_ECX_AVX;
	x86_cpuid_changed(cpu);
	assert_false(x86_xcr0_valid(cpu, 7));
}

/* xsetbv with EDX:EAX = 7 */
static const char xsetbv[] = "\x31\xc9\x31\xd2\xb8\x07\x00\x00\x00\x0f\x01\xd1";

static void cpu_without_avx_has_none(void **state)
{
	struct guest_vm *vm = *state;

	assert_int_equal(vector_of(vm, xsetbv, 12, 0, AVX_CR4, 1), NONE);
	assert_int_equal(vm->cpu->xcr0, 7);
	leaf(vm, 1, 0)->ecx &= ~(u32)LEAF1_ECX_AVX;
	x86_cpuid_changed(vm->cpu);
	assert_int_equal(vector_of(vm, xsetbv, 12, 0, AVX_CR4, 1), X86_GP);
	/* Not even where XCR0 was loaded before CPUID. */
	assert_int_equal(VECTOR(vm, "\xc5\xf4\x58\xc2"), X86_UD);
}

static void area_size_follows_xcr0(void **state)
{
	struct guest_vm *vm = *state;
	u32 out[4];

	x86_cpuid(vm->cpu, 0xd, 0, out);
	assert_int_equal(out[0], 7);
	assert_int_equal(out[1], 576);
	assert_int_equal(out[2], 832);
	vm->cpu->xcr0 = 7;
	x86_cpuid(vm->cpu, 0xd, 0, out);
	assert_int_equal(out[1], 832);
	x86_cpuid(vm->cpu, 0xd, 1, out);
	assert_int_equal(out[1], 832);
	x86_cpuid(vm->cpu, 0xd, 2, out);
	assert_int_equal(out[0], 256);
	assert_int_equal(out[1], 576);
}

/* ---- devices ---------------------------------------------------------------------------- */

GUEST(device, "64",
      "mov $0x10000000, %esi\n vmovups (%rsi), %ymm1\n"
      "vmaskmovps %ymm1, %ymm2, 64(%rsi)\n hlt");

/* Four accesses of 8 bytes; then one for each element that is not masked out. */
static void wide_accesses_of_devices_are_split(void **state)
{
	struct guest_vm *vm = *state;
	struct x86_cpu *cpu = vm->cpu;
	static const unsigned int moved[] = {1, 4, 7};

	guest_long(vm, device_begin, device_end);
	cpu->cr4 = AVX_CR4;
	cpu->xcr0 = 7;
	cpu->ymm[2].q[0] = cpu->ymm[2].q[2] = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(moved); i++)
		cpu->ymm[2].x[moved[i] / 4].d[moved[i] % 4] = 1u << 31;
	x86_cpu_state_changed(cpu);
	for (u64 i = 0; i < 4; i++) {
		u64 value = 0x0101010101010101 * (i + 1);
		struct x86_mmio_frag *frag;

		guest_run_to(vm, X86_EXIT_MMIO);
		frag = &cpu->mmio.frag[cpu->mmio.done];
		assert_int_equal(frag->gpa, MMIO_GPA + 8 * i);
		assert_int_equal(frag->len, 8);
		memcpy(frag->data, &value, 8);
	}
	for (u64 i = 0; i < ARRAY_SIZE(moved); i++) {
		const struct x86_mmio_frag *frag;

		guest_run_to(vm, X86_EXIT_MMIO);
		frag = &cpu->mmio.frag[cpu->mmio.done];
		assert_true(frag->is_write);
		assert_int_equal(frag->gpa, MMIO_GPA + 64 + 4 * moved[i]);
		assert_int_equal(frag->len, 4);
		assert_int_equal(frag->data[0], moved[i] / 2 + 1);
	}
	guest_run_to(vm, X86_EXIT_HLT);
	assert_true(cpu->ymm[1].q[3] == 0x0404040404040404);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(avx_needs_osxsave_and_xcr0),
		T(prefixes_before_vex),
		T(fields_that_must_be_so),
		T(what_came_after_avx_is_undefined),
		T(aligned_moves_alone_want_alignment),
		T(vex_is_undefined_without_protection),
		T(clearing_reaches_the_registers_of_the_mode),
		T(init_keeps_ymm_and_xcr0),
		T(xcr0_has_what_cpuid_offers),
		T(cpu_without_avx_has_none),
		T(area_size_follows_xcr0),
		T(wide_accesses_of_devices_are_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
