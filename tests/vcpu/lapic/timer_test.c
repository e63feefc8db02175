/* SPDX-License-Identifier: BSD-2-Clause */
/* The local APIC's timer against a clock that stands still until told. */
#include "tests/vcpu/lapic/lapic_fixture.h"

#define VECTOR	     0xe0
#define PERIODIC     (1u << 17)
#define TSC_DEADLINE (2u << 17)
#define BY_ONE	     0xbu

static bool fires_at(struct x86_cpu *cpu, u64 ns)
{
	test_now_ns = ns;
	x86_lapic_timer_poll(cpu);
	if (take(cpu) != VECTOR)
		return false;
	x86_lapic_eoi(cpu);
	return true;
}

static void start(struct x86_cpu *cpu, u32 mode, u32 count)
{
	apic_write(cpu, X86_LAPIC_LVT_TIMER, mode | VECTOR);
	apic_write(cpu, X86_LAPIC_TIMER_DIVIDE, BY_ONE);
	apic_write(cpu, X86_LAPIC_TIMER_INITIAL, count);
}

static void one_shot_fires_once(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];
	u64 t0 = test_now_ns;

	start(cpu, 0, 500000);
	assert_false(fires_at(cpu, t0 + 499999));
	assert_int_equal(apic_read(cpu, X86_LAPIC_TIMER_CURRENT), 1);
	assert_true(fires_at(cpu, t0 + 500000));
	assert_int_equal(apic_read(cpu, X86_LAPIC_TIMER_CURRENT), 0);
	assert_false(fires_at(cpu, t0 + 100000000));
}

static void periodic_keeps_its_phase(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];
	u64 t0 = test_now_ns;

	start(cpu, PERIODIC, 1000000);
	assert_true(fires_at(cpu, t0 + 1000300));
	assert_int_equal(apic_read(cpu, X86_LAPIC_TIMER_CURRENT), 999700);
	assert_false(fires_at(cpu, t0 + 1999999));
	assert_true(fires_at(cpu, t0 + 2000000));
	/* Four periods at once are one interrupt, and the phase stays. */
	assert_true(fires_at(cpu, t0 + 6500000));
	assert_false(fires_at(cpu, t0 + 6999999));
	assert_true(fires_at(cpu, t0 + 7000000));
}

static void a_very_short_period_is_made_longer(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];
	unsigned int fired = 0;
	u64 t0 = test_now_ns;

	start(cpu, PERIODIC, 1);
	for (u64 ns = 0; ns < 10000000; ns += 1000)
		fired += fires_at(cpu, t0 + ns);
	assert_in_range(fired, 2, 60);
}

static void every_divisor(void **state)
{
	static const struct {
		u32 code, by;
	} divisors[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];

	for (size_t i = 0; i < ARRAY_SIZE(divisors); i++) {
		u64 t0 = test_now_ns;

		apic_write(cpu, X86_LAPIC_LVT_TIMER, VECTOR);
		apic_write(cpu, X86_LAPIC_TIMER_DIVIDE, divisors[i].code);
		apic_write(cpu, X86_LAPIC_TIMER_INITIAL, 10000);
		assert_false(fires_at(cpu, t0 + 10000 * divisors[i].by - 1));
		assert_true(fires_at(cpu, t0 + 10000 * divisors[i].by));
	}
}

static void the_bus_may_be_slower(void **state)
{
	struct machine *m = *state;
	u64 t0 = test_now_ns;

	m->machine.apic_bus_ns = 40; /* 25 MHz */
	start(m->cpu[0], 0, 1000);
	assert_false(fires_at(m->cpu[0], t0 + 39999));
	assert_true(fires_at(m->cpu[0], t0 + 40000));
}

static void a_new_divisor_takes_the_count_along(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];
	u64 t0 = test_now_ns;

	start(cpu, 0, 1000);
	test_now_ns = t0 + 400;
	apic_write(cpu, X86_LAPIC_TIMER_DIVIDE, 0); /* by two */
	assert_int_equal(apic_read(cpu, X86_LAPIC_TIMER_CURRENT), 600);
	assert_false(fires_at(cpu, t0 + 400 + 1199));
	assert_true(fires_at(cpu, t0 + 400 + 1200));
}

static void a_masked_timer_runs_in_silence(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];
	u64 t0 = test_now_ns;

	start(cpu, X86_LVT_MASKED, 1000);
	test_now_ns = t0 + 300;
	assert_int_equal(apic_read(cpu, X86_LAPIC_TIMER_CURRENT), 700);
	assert_false(fires_at(cpu, t0 + 2000));
	apic_write(cpu, X86_LAPIC_LVT_TIMER, VECTOR);
	assert_false(fires_at(cpu, t0 + 3000));
}

static void writing_zero_stops(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];

	start(cpu, PERIODIC, 1000000);
	apic_write(cpu, X86_LAPIC_TIMER_INITIAL, 0);
	assert_false(fires_at(cpu, test_now_ns + 5000000));
}

static void tsc_deadline(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];
	u64 t0 = test_now_ns, value;

	apic_write(cpu, X86_LAPIC_LVT_TIMER, TSC_DEADLINE | VECTOR);
	apic_write(cpu, X86_LAPIC_TIMER_INITIAL, 1000); /* ignored in this mode */
	assert_int_equal(apic_read(cpu, X86_LAPIC_TIMER_CURRENT), 0);
	assert_int_equal(x86_set_msr(cpu, 0x6e0, x86_read_tsc(cpu) + 10000000000ull, false), 0);
	assert_false(fires_at(cpu, t0 + 1000));
	assert_int_equal(x86_get_msr(cpu, 0x6e0, &value, false), 0);
	assert_true(value != 0);
	/* The test's TSC is the host's: only the order of magnitude is certain. */
	assert_false(fires_at(cpu, t0 + 8000000000ull));
	assert_true(fires_at(cpu, t0 + 10000000001ull));
	assert_int_equal(x86_get_msr(cpu, 0x6e0, &value, false), 0);
	assert_int_equal(value, 0);
	/* One that has passed fires at once. */
	assert_int_equal(x86_set_msr(cpu, 0x6e0, 1, false), 0);
	assert_true(fires_at(cpu, test_now_ns));
}

static void a_mode_change_disarms_the_deadline(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];
	u64 value;

	apic_write(cpu, X86_LAPIC_LVT_TIMER, TSC_DEADLINE | VECTOR);
	assert_int_equal(x86_set_msr(cpu, 0x6e0, x86_read_tsc(cpu) + 1000, false), 0);
	apic_write(cpu, X86_LAPIC_LVT_TIMER, VECTOR);
	assert_false(fires_at(cpu, test_now_ns + 1000000000));
	/* And in other modes the MSR is not there to be set. */
	assert_int_equal(x86_set_msr(cpu, 0x6e0, 5, false), 0);
	assert_int_equal(x86_get_msr(cpu, 0x6e0, &value, false), 0);
	assert_int_equal(value, 0);
}

static void a_saved_timer_goes_on_where_it_was(void **state)
{
	struct machine *m = *state;
	u32 regs[X86_LAPIC_WORDS];
	u64 t0;

	start(m->cpu[0], 0, 1000);
	test_now_ns += 300;
	x86_lapic_save(m->cpu[0], regs);
	test_now_ns += 1000000;
	t0 = test_now_ns;
	x86_lapic_load(m->cpu[0], regs);
	assert_false(fires_at(m->cpu[0], t0 + 699));
	assert_true(fires_at(m->cpu[0], t0 + 700));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_shot_fires_once),
		TEST(periodic_keeps_its_phase),
		TEST(a_very_short_period_is_made_longer),
		TEST(every_divisor),
		TEST(the_bus_may_be_slower),
		TEST(a_new_divisor_takes_the_count_along),
		TEST(a_masked_timer_runs_in_silence),
		TEST(writing_zero_stops),
		TEST(tsc_deadline),
		TEST(a_mode_change_disarms_the_deadline),
		TEST(a_saved_timer_goes_on_where_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
