/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers, reserved bits, modes and reset. */
#include "tests/vcpu/lapic/lapic_fixture.h"

static void reset_values(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[2];

	x86_lapic_reset(cpu, false);
	assert_int_equal(apic_read(cpu, X86_LAPIC_ID), 2u << 24);
	assert_int_equal(apic_read(cpu, X86_LAPIC_VERSION) & 0xff00ff, 0x50014);
	assert_int_equal(apic_read(cpu, X86_LAPIC_TPR), 0);
	assert_int_equal(apic_read(cpu, X86_LAPIC_LDR), 0);
	assert_int_equal(apic_read(cpu, X86_LAPIC_DFR), ~0u);
	assert_int_equal(apic_read(cpu, X86_LAPIC_SPIV), 0xff);
	for (u32 lvt = X86_LAPIC_LVT_TIMER; lvt <= X86_LAPIC_LVT_ERROR; lvt += 16)
		assert_int_equal(apic_read(cpu, lvt), X86_LVT_MASKED);
}

static void lint0_of_the_boot_cpu_is_open_by_a_quirk(void **state)
{
	struct machine *m = *state;

	x86_lapic_reset(m->cpu[0], false);
	assert_int_equal(apic_read(m->cpu[0], X86_LAPIC_LVT_LINT0), 0x700);
	m->machine.disabled_quirks = X86_QUIRK_LINT0_REENABLED;
	x86_lapic_reset(m->cpu[0], false);
	assert_int_equal(apic_read(m->cpu[0], X86_LAPIC_LVT_LINT0), X86_LVT_MASKED);
}

/* What can be changed by writing all ones, and then zeros. */
static void writable_bits(void **state)
{
	static const struct {
		u32 offset, ones;
	} regs[] = {
		{X86_LAPIC_ID, 0xff000000},
		{X86_LAPIC_VERSION, 0},
		{X86_LAPIC_TPR, 0xff},
		{X86_LAPIC_APR, 0},
		{X86_LAPIC_PPR, 0},
		{X86_LAPIC_LDR, 0xff000000},
		{X86_LAPIC_ISR, 0},
		{X86_LAPIC_TMR, 0},
		{X86_LAPIC_IRR, 0},
		{X86_LAPIC_ESR, 0},
		{X86_LAPIC_ICR2, 0xff000000},
		{X86_LAPIC_LVT_TIMER, 0x710ff},
		{X86_LAPIC_LVT_THERMAL, 0x117ff},
		{X86_LAPIC_LVT_PERF, 0x117ff},
		{X86_LAPIC_LVT_LINT0, 0x1f7ff},
		{X86_LAPIC_LVT_LINT1, 0x1f7ff},
		{X86_LAPIC_LVT_ERROR, 0x110ff},
		{X86_LAPIC_TIMER_DIVIDE, 0xb},
		{X86_LAPIC_TIMER_CURRENT, 0},
	};
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];

	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		u32 ones, zeros;

		apic_write(cpu, regs[i].offset, ~0u);
		ones = apic_read(cpu, regs[i].offset);
		apic_write(cpu, regs[i].offset, 0);
		zeros = apic_read(cpu, regs[i].offset);
		if ((ones ^ zeros) != regs[i].ones)
			fail_msg("register %#x: %#x and %#x", regs[i].offset, ones, zeros);
	}
}

static void odd_accesses(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[3];
	u8 byte;
	u64 eight = ~0ull;

	x86_lapic_mmio_read(cpu, PAGE_GPA + X86_LAPIC_ID + 3, &byte, 1);
	assert_int_equal(byte, 3);
	x86_lapic_mmio_read(cpu, PAGE_GPA + X86_LAPIC_ID, &eight, 8);
	assert_int_equal(eight, 0);
	byte = 0x55;
	x86_lapic_mmio_write(cpu, PAGE_GPA + X86_LAPIC_TPR, &byte, 1);
	assert_int_equal(apic_read(cpu, X86_LAPIC_TPR), 0);
	apic_write(cpu, X86_LAPIC_TPR + 4, 0x55);
	assert_int_equal(apic_read(cpu, X86_LAPIC_TPR), 0);
	assert_int_equal(apic_read(cpu, 0x800), 0);
	apic_write(cpu, 0xffc, 1);
}

static void software_disabling_masks_the_table(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];

	apic_write(cpu, X86_LAPIC_LVT_ERROR, 0x44);
	apic_write(cpu, X86_LAPIC_SPIV, 0xff);
	assert_int_equal(apic_read(cpu, X86_LAPIC_LVT_ERROR), X86_LVT_MASKED | 0x44);
	apic_write(cpu, X86_LAPIC_LVT_ERROR, 0x45);
	assert_int_equal(apic_read(cpu, X86_LAPIC_LVT_ERROR), X86_LVT_MASKED | 0x45);
}

/* ---- x2APIC ------------------------------------------------------------------------------- */

static void msrs_exist_only_in_their_mode(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[1];
	u64 value;

	for (u32 msr = 0x800; msr <= 0x8ff; msr++) {
		assert_int_equal(x86_get_msr(cpu, msr, &value, false), -EINVAL);
		assert_int_equal(x86_set_msr(cpu, msr, 0, false), -EINVAL);
	}
	to_x2apic(cpu);
	assert_int_equal(x86_get_msr(cpu, 0x802, &value, false), 0);
	assert_int_equal(value, 1);
	assert_int_equal(x86_get_msr(cpu, 0x80d, &value, false), 0);
	assert_int_equal(value, 2);
}

static void x2apic_reserved_bits(void **state)
{
	static const struct {
		u32 msr;
		u64 value;
		int err;
	} rows[] = {
		{0x802, 0, -EINVAL},
		{0x803, 0, -EINVAL},
		{0x808, 0xff, 0},
		{0x808, 0x100, -EINVAL},
		{0x80b, 0, 0},
		{0x80b, 1, -EINVAL},
		{0x80d, 0, -EINVAL},
		{0x80e, 0, -EINVAL},
		{0x80f, 0x1ff, 0},
		{0x80f, 1ull << 32, -EINVAL},
		{0x810, 0, -EINVAL},
		{0x820, 0, -EINVAL},
		{0x828, 0, 0},
		{0x828, 1, -EINVAL},
		{0x830, 1u << 13, -EINVAL},
		{0x830, 1u << 16, -EINVAL},
		{0x830, 1u << 20, -EINVAL},
		{0x830, 0x5ull << 32 | 0x44, 0},
		{0x831, 0, -EINVAL},
		{0x832, 0x10000, 0},
		{0x838, 0, 0},
		{0x839, 0, -EINVAL},
		{0x83e, 0xb, 0},
		{0x83f, 0x100, -EINVAL},
		{0x8ff, 0, -EINVAL},
	};
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];

	to_x2apic(cpu);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int err = x86_set_msr(cpu, rows[i].msr, rows[i].value, false);

		if (err != rows[i].err)
			fail_msg("MSR %#x = %#llx: %d", rows[i].msr,
				 (unsigned long long)rows[i].value, err);
	}
}

/* All pairs of modes; the guest may not do what the owner may. */
static void mode_changes(void **state)
{
	static const u64 modes[] = {0, X86_APIC_BASE_ENABLE,
				    X86_APIC_BASE_ENABLE | X86_APIC_BASE_X2APIC};
	static const bool guest_may[3][3] = {
		{true, true, false}, {true, true, true}, {true, false, true}};
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[1];

	for (int from = 0; from < 3; from++) {
		for (int to = 0; to < 3; to++) {
			assert_int_equal(x86_set_apic_base(cpu, PAGE_GPA | modes[from], true), 0);
			assert_int_equal(x86_set_apic_base(cpu, PAGE_GPA | modes[to], false),
					 guest_may[from][to] ? 0 : -EINVAL);
		}
	}
	assert_int_equal(x86_set_apic_base(cpu, PAGE_GPA | X86_APIC_BASE_X2APIC, true), -EINVAL);
	assert_int_equal(x86_set_apic_base(cpu, PAGE_GPA | 1, true), -EINVAL);
	assert_int_equal(x86_set_apic_base(cpu, 1ull << 60, true), -EINVAL);
}

static void the_page_moves_and_vanishes(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];

	assert_true(x86_lapic_covers(cpu, PAGE_GPA + 0x20));
	assert_false(x86_lapic_covers(cpu, PAGE_GPA + 0x1000));
	assert_int_equal(x86_set_apic_base(cpu, 0x12345000 | X86_APIC_BASE_ENABLE, false), 0);
	assert_true(x86_lapic_covers(cpu, 0x12345fff));
	assert_false(x86_lapic_covers(cpu, PAGE_GPA));
	to_x2apic(cpu);
	assert_false(x86_lapic_covers(cpu, 0x12345000));
}

static void init_keeps_the_id_and_the_mode(void **state)
{
	struct machine *m = *state;

	apic_write(m->cpu[1], X86_LAPIC_ID, 0x33u << 24);
	x86_cpu_reset(m->cpu[1], true);
	assert_int_equal(apic_read(m->cpu[1], X86_LAPIC_ID), 0x33u << 24);
	to_x2apic(m->cpu[2]);
	x86_cpu_reset(m->cpu[2], true);
	assert_true(x86_lapic_is_x2apic(m->cpu[2]));
	assert_int_equal(*x86_lapic_reg(m->cpu[2], X86_LAPIC_ID), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reset_values),
		TEST(lint0_of_the_boot_cpu_is_open_by_a_quirk),
		TEST(writable_bits),
		TEST(odd_accesses),
		TEST(software_disabling_masks_the_table),
		TEST(msrs_exist_only_in_their_mode),
		TEST(x2apic_reserved_bits),
		TEST(mode_changes),
		TEST(the_page_moves_and_vanishes),
		TEST(init_keeps_the_id_and_the_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
