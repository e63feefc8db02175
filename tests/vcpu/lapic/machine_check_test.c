/* SPDX-License-Identifier: BSD-2-Clause */
/* Machine checks that a VMM injects: banks, what they raise, and their MSRs. */
#include "tests/vcpu/lapic/lapic_fixture.h"
#include "vcpu/x86/mce.h"

#define VAL  (1ull << 63)
#define OVER (1ull << 62)
#define UC   (1ull << 61)
#define PCC  (1ull << 57)
#define CAPS (X86_MCG_CTL_P | X86_MCG_CMCI_P | 8)

#define MC_CTL(n)    (0x400u + 4 * (n))
#define MC_STATUS(n) (0x401u + 4 * (n))
#define MC_ADDR(n)   (0x402u + 4 * (n))
#define MC_CTL2(n)   (0x280u + (n))

static struct x86_cpu *prepared(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];

	assert_int_equal(x86_mce_setup(cpu, CAPS), 0);
	cpu->cr4 |= X86_CR4_MCE;
	return cpu;
}

static u64 msr(struct x86_cpu *cpu, u32 index)
{
	u64 value;

	assert_int_equal(x86_get_msr(cpu, index, &value, false), 0);
	return value;
}

static void inject(struct x86_cpu *cpu, u64 status, u64 addr)
{
	const struct x86_mce_error error = {
		.status = status, .addr = addr, .mcg_status = 5, .bank = 3};

	assert_int_equal(x86_mce_inject(cpu, &error), 0);
}

static void corrected_errors_fill_the_bank(void **state)
{
	struct x86_cpu *cpu = prepared(state);

	inject(cpu, VAL | 1, 0x1000);
	assert_true(msr(cpu, MC_STATUS(3)) == (VAL | 1));
	assert_int_equal(msr(cpu, MC_ADDR(3)), 0x1000);
	inject(cpu, VAL | 2, 0x2000);
	assert_true(msr(cpu, MC_STATUS(3)) == (VAL | OVER | 2));
	assert_int_equal(msr(cpu, MC_ADDR(3)), 0x2000);
	assert_false(cpu->exception.pending);
}

static void uncorrected_errors_are_exceptions(void **state)
{
	struct x86_cpu *cpu = prepared(state);

	inject(cpu, VAL | UC | PCC | 7, 0x1000);
	assert_true(cpu->exception.pending);
	assert_int_equal(cpu->exception.vector, X86_MC);
	assert_int_equal(msr(cpu, 0x17a), 5);
	/* A corrected one does not hide it. */
	inject(cpu, VAL | 1, 0x3000);
	assert_true(msr(cpu, MC_STATUS(3)) == (VAL | OVER | UC | PCC | 7));
	assert_int_equal(msr(cpu, MC_ADDR(3)), 0x1000);
	/* The first is still in progress. */
	inject(cpu, VAL | UC | PCC, 0);
	assert_true(cpu->shutdown_pending);
}

static void nobody_to_take_it_is_a_shutdown(void **state)
{
	struct x86_cpu *cpu = prepared(state);

	cpu->cr4 &= ~X86_CR4_MCE;
	inject(cpu, VAL | UC | PCC, 0);
	assert_true(cpu->shutdown_pending);
	assert_int_equal(x86_cpu_run(cpu, false), X86_EXIT_SHUTDOWN);
	assert_false(cpu->shutdown_pending);
}

static void reporting_can_be_switched_off(void **state)
{
	struct x86_cpu *cpu = prepared(state);

	assert_int_equal(x86_set_msr(cpu, MC_CTL(3), 0, false), 0);
	inject(cpu, VAL | UC | PCC, 0x1000);
	assert_int_equal(msr(cpu, MC_STATUS(3)), 0);
	assert_int_equal(x86_set_msr(cpu, MC_CTL(3), ~0ull, false), 0);
	assert_int_equal(x86_set_msr(cpu, 0x17b, 0, false), 0);
	inject(cpu, VAL | UC | PCC, 0x1000);
	assert_int_equal(msr(cpu, MC_STATUS(3)), 0);
	assert_false(cpu->exception.pending);
}

static void harmless_ones_interrupt_if_asked_to(void **state)
{
	struct x86_cpu *cpu = prepared(state);

	apic_write(cpu, X86_LAPIC_LVT_CMCI, 0x77);
	inject(cpu, VAL | UC | 1, 0x1000);
	assert_false(requested(cpu, 0x77));
	assert_int_equal(x86_set_msr(cpu, MC_CTL2(3), 1u << 30, false), 0);
	inject(cpu, VAL | UC | 1, 0x2000);
	assert_true(requested(cpu, 0x77));
	assert_int_equal(msr(cpu, MC_ADDR(3)), 0x2000);
	assert_false(cpu->exception.pending);
}

static void the_vector_table_has_its_entry_only_then(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[1];

	apic_write(cpu, X86_LAPIC_LVT_CMCI, 0x77);
	assert_int_equal(apic_read(cpu, X86_LAPIC_LVT_CMCI), 0);
	assert_int_equal(apic_read(cpu, X86_LAPIC_VERSION), 0x50014);
	assert_int_equal(x86_mce_setup(cpu, CAPS), 0);
	assert_int_equal(apic_read(cpu, X86_LAPIC_VERSION), 0x60014);
	assert_int_equal(apic_read(cpu, X86_LAPIC_LVT_CMCI), X86_LVT_MASKED);
}

static void impossible_setups_and_errors(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];
	struct x86_mce_error error = {.status = VAL, .bank = 8};

	assert_int_equal(x86_mce_setup(cpu, 0), -EINVAL);
	assert_int_equal(x86_mce_setup(cpu, X86_MCE_BANKS + 1), -EINVAL);
	assert_int_equal(x86_mce_setup(cpu, 1ull << 40 | 1), -EINVAL);
	assert_int_equal(x86_mce_setup(cpu, CAPS), 0);
	assert_int_equal(x86_mce_inject(cpu, &error), -EINVAL);
	error = (struct x86_mce_error){.status = 1};
	assert_int_equal(x86_mce_inject(cpu, &error), -EINVAL);
}

static void msr_rules(void **state)
{
	static const struct {
		u32 index;
		u64 value;
		int guest, host;
	} rows[] = {
		{0x179, 1, -EINVAL, -EINVAL},
		{0x17a, 7, 0, 0},
		{0x17b, 1, -EINVAL, -EINVAL},
		{0x17b, ~0ull, 0, 0},
		{MC_CTL(0), 1, -EINVAL, -EINVAL},
		{MC_CTL(0), ~0ull & ~(1ull << 10), 0, 0},
		{MC_STATUS(0), 1, -EINVAL, 0},
		{MC_STATUS(0), 0, 0, 0},
		{MC_ADDR(7), 0x1234, 0, 0},
		{MC_ADDR(8), 0, -EINVAL, -EINVAL},
		{MC_CTL2(0), 1u << 29, -EINVAL, -EINVAL},
		{MC_CTL2(0), 0x40007fff, 0, 0},
	};
	struct x86_cpu *cpu = prepared(state);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int guest = x86_set_msr(cpu, rows[i].index, rows[i].value, false);
		int host = x86_set_msr(cpu, rows[i].index, rows[i].value, true);

		if (guest != rows[i].guest || host != rows[i].host)
			fail_msg("MSR %#x: %d and %d", rows[i].index, guest, host);
	}
	/* AMD's way to let software write the status. */
	assert_int_equal(x86_set_msr(cpu, 0xc0010015, 1u << 18, false), 0);
	assert_int_equal(x86_set_msr(cpu, MC_STATUS(0), 1, false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(corrected_errors_fill_the_bank),
		TEST(uncorrected_errors_are_exceptions),
		TEST(nobody_to_take_it_is_a_shutdown),
		TEST(reporting_can_be_switched_off),
		TEST(harmless_ones_interrupt_if_asked_to),
		TEST(the_vector_table_has_its_entry_only_then),
		TEST(impossible_setups_and_errors),
		TEST(msr_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
