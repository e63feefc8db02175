/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8254 through its ports, as the datasheet has it; time is what the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kvm/irqchip/pit.h"

#define CONTROL		  0x43
#define START		  1000000000ull
#define LOW_HIGH(n, mode) ((n) << 6 | 3 << 4 | (mode) << 1)

/* When so many cycles of the timer's clock are over. */
static u64 after(u64 cycles)
{
	return START + (cycles * 1000000000ull + PIT_HZ - 1) / PIT_HZ;
}

static struct pit loaded(u32 n, u8 mode, u16 count)
{
	struct pit pit;

	pit_reset(&pit, START);
	pit_write(&pit, CONTROL, (u8)LOW_HIGH(n, mode), START);
	pit_write(&pit, (u16)(0x40 + n), (u8)count, START);
	pit_write(&pit, (u16)(0x40 + n), (u8)(count >> 8), START);
	return pit;
}

static u16 read_count(struct pit *pit, u32 n, u64 now)
{
	u8 low = pit_read(pit, (u16)(0x40 + n), now);

	return (u16)(low | pit_read(pit, (u16)(0x40 + n), now) << 8);
}

/* Bit 7 of a status byte. */
static bool output(struct pit *pit, u32 n, u64 now)
{
	pit_write(pit, CONTROL, (u8)(0xe0 | 2 << n), now);
	return pit_read(pit, (u16)(0x40 + n), now) & 0x80;
}

static void a_rate_generator_counts_down_and_begins_again(void **state)
{
	struct pit pit = loaded(0, 2, 1000);

	(void)state;
	assert_int_equal(read_count(&pit, 0, START), 1000);
	assert_int_equal(read_count(&pit, 0, after(1)), 999);
	assert_int_equal(read_count(&pit, 0, after(999)), 1);
	assert_int_equal(read_count(&pit, 0, after(1000)), 1000);
	assert_true(output(&pit, 0, after(998)));
	assert_false(output(&pit, 0, after(999)));
	assert_true(output(&pit, 0, after(1000)));
}

static void a_square_wave_counts_in_twos(void **state)
{
	struct pit pit = loaded(0, 3, 1000);

	(void)state;
	assert_int_equal(read_count(&pit, 0, after(1)), 998);
	assert_int_equal(read_count(&pit, 0, after(500)), 1000);
	assert_true(output(&pit, 0, after(499)));
	assert_false(output(&pit, 0, after(500)));
	assert_true(output(&pit, 0, after(1000)));
}

static void a_terminal_count_goes_on_below_zero(void **state)
{
	struct pit pit = loaded(0, 0, 1000);

	(void)state;
	assert_false(output(&pit, 0, after(999)));
	assert_true(output(&pit, 0, after(1000)));
	assert_int_equal(read_count(&pit, 0, after(1000)), 0);
	assert_int_equal(read_count(&pit, 0, after(1001)), 0xffff);
	assert_true(output(&pit, 0, after(70000)));
}

static void zero_is_the_largest_count(void **state)
{
	struct pit pit = loaded(0, 2, 0);

	(void)state;
	assert_int_equal(pit.counter[0].count, 0x10000);
	assert_int_equal(read_count(&pit, 0, after(1)), 0xffff);
	assert_int_equal(pit_next_tick(&pit, START), after(0x10000));
}

static void counts_may_be_decimal(void **state)
{
	struct pit pit;

	(void)state;
	pit_reset(&pit, START);
	pit_write(&pit, CONTROL, LOW_HIGH(0, 2) | 1, START);
	pit_write(&pit, 0x40, 0x34, START);
	pit_write(&pit, 0x40, 0x12, START);
	assert_int_equal(pit.counter[0].count, 1234);
	assert_int_equal(read_count(&pit, 0, after(1)), 0x1233);
	assert_int_equal(read_count(&pit, 0, after(1235)), 0x1233);
}

static void a_latched_count_waits_until_it_has_been_read(void **state)
{
	struct pit pit = loaded(0, 2, 1000);

	(void)state;
	pit_write(&pit, CONTROL, 0x00, after(10));
	pit_write(&pit, CONTROL, 0x00, after(20)); /* the first one counts */
	assert_int_equal(read_count(&pit, 0, after(30)), 990);
	assert_int_equal(read_count(&pit, 0, after(30)), 970);
}

static void a_read_back_latches_several(void **state)
{
	struct pit pit = loaded(2, 3, 400);

	(void)state;
	pit_write(&pit, CONTROL, 0xc0 | 2 << 2, after(10)); /* status and count of 2 */
	assert_int_equal(pit_read(&pit, 0x42, after(50)), 0x80 | 3 << 4 | 3 << 1);
	assert_int_equal(read_count(&pit, 2, after(50)), 380);
	assert_int_equal(read_count(&pit, 2, after(50)), 300);
}

static void single_bytes_can_be_chosen(void **state)
{
	struct pit pit;

	(void)state;
	pit_reset(&pit, START);
	pit_write(&pit, CONTROL, 1 << 4 | 2 << 1, START); /* low only */
	pit_write(&pit, 0x40, 0x80, START);
	assert_int_equal(pit.counter[0].count, 0x80);
	assert_int_equal(pit_read(&pit, 0x40, after(1)), 0x7f);
	assert_int_equal(pit_read(&pit, 0x40, after(1)), 0x7f);
	pit_write(&pit, CONTROL, 2 << 4 | 2 << 1, START); /* high only */
	pit_write(&pit, 0x40, 0x12, START);
	assert_int_equal(pit.counter[0].count, 0x1200);
	assert_int_equal(pit_read(&pit, 0x40, START), 0x12);
}

static void ticks_come_at_the_period(void **state)
{
	struct pit pit = loaded(0, 2, 11932);
	u64 next = pit_next_tick(&pit, START);

	(void)state;
	for (u64 k = 1; k <= 1000; k++) {
		assert_int_equal(next, after(k * 11932));
		next = pit_next_tick(&pit, next);
	}
	/* Also from between two of them. */
	assert_int_equal(pit_next_tick(&pit, after(11932) + 7), after(2 * 11932));
}

static void some_modes_tick_once_and_some_never(void **state)
{
	struct pit pit = loaded(0, 0, 5000);

	(void)state;
	assert_int_equal(pit_next_tick(&pit, START), after(5000));
	assert_int_equal(pit_next_tick(&pit, after(5000)), 0);
	pit = loaded(0, 4, 5000);
	assert_int_equal(pit_next_tick(&pit, START), after(5000));
	pit = loaded(0, 5, 5000);
	assert_int_equal(pit_next_tick(&pit, START), 0);
	pit = loaded(1, 2, 5000); /* not the counter that ticks */
	assert_int_equal(pit_next_tick(&pit, START), 0);
	pit = loaded(0, 2, 5000);
	pit.silent = true;
	assert_int_equal(pit_next_tick(&pit, START), 0);
}

static void nobody_gets_a_tick_each_microsecond(void **state)
{
	struct pit pit = loaded(0, 2, 1);

	(void)state;
	assert_in_range(pit_next_tick(&pit, START) - START, 199000, 201000);
}

static void the_speakers_gate_starts_its_counter(void **state)
{
	struct pit pit = loaded(2, 3, 1000);

	(void)state;
	pit_speaker_write(&pit, 0, START);
	pit_speaker_write(&pit, 3, after(5000));
	assert_int_equal(pit.counter[2].loaded_ns, after(5000));
	pit.counter[2].loaded_ns = START; /* the same moment, without rounding */
	assert_int_equal(pit_speaker_read(&pit, after(1)) & 0x23, 0x23);
	assert_int_equal(pit_speaker_read(&pit, after(501)) & 0x23, 0x03);
	assert_int_equal(read_count(&pit, 2, after(1)), 998);
}

/* Whatever a guest writes, whenever: counts stay in their range and nothing divides by 0. */
static void any_bytes_are_taken(void **state)
{
	struct pit pit;
	u64 seed = 0x5eed, now = START;

	(void)state;
	pit_reset(&pit, now);
	for (int i = 0; i < 200000; i++) {
		u16 port;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		port = (u16)(0x40 + (seed >> 60 & 3));
		now += seed >> 40 & 0xffffff;
		if (seed >> 59 & 1)
			pit_write(&pit, port, (u8)(seed >> 32), now);
		else
			pit_read(&pit, port, now);
		pit_speaker_write(&pit, (u8)(seed >> 24), now);
		for (u32 n = 0; n < PIT_COUNTERS; n++)
			assert_in_range(pit.counter[n].count, 1, 0x10000);
		assert_true(!pit_next_tick(&pit, now) || pit_next_tick(&pit, now) > now);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_generator_counts_down_and_begins_again),
		cmocka_unit_test(a_square_wave_counts_in_twos),
		cmocka_unit_test(a_terminal_count_goes_on_below_zero),
		cmocka_unit_test(zero_is_the_largest_count),
		cmocka_unit_test(counts_may_be_decimal),
		cmocka_unit_test(a_latched_count_waits_until_it_has_been_read),
		cmocka_unit_test(a_read_back_latches_several),
		cmocka_unit_test(single_bytes_can_be_chosen),
		cmocka_unit_test(ticks_come_at_the_period),
		cmocka_unit_test(some_modes_tick_once_and_some_never),
		cmocka_unit_test(nobody_gets_a_tick_each_microsecond),
		cmocka_unit_test(the_speakers_gate_starts_its_counter),
		cmocka_unit_test(any_bytes_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
