/* SPDX-License-Identifier: BSD-2-Clause */
/* The 8259 pair through its ports, as the datasheet has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kvm/irqchip/pic.h"

#define BASE_MASTER 0x20
#define BASE_SLAVE  0x28

/* As a BIOS does it; @icw4 for both. */
static struct pic prepared(u8 icw4)
{
	struct pic pic;

	pic_reset(&pic);
	pic_write(&pic, 0x20, 0x11);
	pic_write(&pic, 0x21, BASE_MASTER);
	pic_write(&pic, 0x21, 4);
	pic_write(&pic, 0x21, icw4);
	pic_write(&pic, 0xa0, 0x11);
	pic_write(&pic, 0xa1, BASE_SLAVE);
	pic_write(&pic, 0xa1, 2);
	pic_write(&pic, 0xa1, icw4);
	return pic;
}

static void pulse(struct pic *pic, u32 pin)
{
	pic_set(pic, pin, true);
	pic_set(pic, pin, false);
}

static void expect(struct pic *pic, u8 vector)
{
	assert_true(pic_output(pic));
	assert_int_equal(pic_acknowledge(pic), vector);
}

static void eoi(struct pic *pic, u16 port)
{
	pic_write(pic, port, 0x20);
}

static void each_input_has_its_vector(void **state)
{
	struct pic pic = prepared(1);

	(void)state;
	for (u32 pin = 0; pin < 16; pin++) {
		if (pin == 2)
			continue;
		pulse(&pic, pin);
		expect(&pic, (u8)(pin < 8 ? BASE_MASTER + pin : BASE_SLAVE + pin - 8));
		assert_false(pic_output(&pic));
		if (pin >= 8)
			eoi(&pic, 0xa0);
		eoi(&pic, 0x20);
	}
}

static void lower_numbers_come_first(void **state)
{
	struct pic pic = prepared(1);

	(void)state;
	pulse(&pic, 5);
	pulse(&pic, 1);
	pulse(&pic, 12); /* by way of input 2 */
	expect(&pic, BASE_MASTER + 1);
	assert_false(pic_output(&pic)); /* the others wait for the end */
	eoi(&pic, 0x20);
	expect(&pic, BASE_SLAVE + 4);
	pulse(&pic, 0); /* higher than what is served */
	expect(&pic, BASE_MASTER);
	eoi(&pic, 0x20);
	eoi(&pic, 0xa0);
	eoi(&pic, 0x20);
	expect(&pic, BASE_MASTER + 5);
}

static void masks_hold_back(void **state)
{
	struct pic pic = prepared(1);

	(void)state;
	pic_write(&pic, 0x21, 0x10);
	pulse(&pic, 4);
	assert_false(pic_output(&pic));
	assert_int_equal(pic_read(&pic, 0x21), 0x10);
	pic_write(&pic, 0x21, 0);
	expect(&pic, BASE_MASTER + 4);
}

static void an_edge_counts_once_a_level_as_long_as_it_lasts(void **state)
{
	struct pic pic = prepared(1);

	(void)state;
	pic_set(&pic, 4, true);
	expect(&pic, BASE_MASTER + 4);
	eoi(&pic, 0x20);
	assert_false(pic_output(&pic)); /* still high */
	pic_write(&pic, 0x4d0, 0xff);
	assert_int_equal(pic_read(&pic, 0x4d0), 0xf8); /* not the timer, keyboard, cascade */
	pic_set(&pic, 5, true);
	expect(&pic, BASE_MASTER + 5);
	assert_false(pic_output(&pic));
	eoi(&pic, 0x20);
	expect(&pic, BASE_MASTER + 5);
	pic_set(&pic, 5, false);
	eoi(&pic, 0x20);
	assert_false(pic_output(&pic));
}

static void one_that_goes_away_is_spurious(void **state)
{
	struct pic pic = prepared(1);

	(void)state;
	pic_write(&pic, 0x4d0, 0xf8);
	pic_set(&pic, 4, true);
	pic_set(&pic, 4, false);
	assert_false(pic_output(&pic));
	assert_int_equal(pic_acknowledge(&pic), BASE_MASTER + 7);
	assert_int_equal(pic_read(&pic, 0x20), 0);
	/* Nothing is in service then. */
	pulse(&pic, 1);
	expect(&pic, BASE_MASTER + 1);
}

static void automatic_end(void **state)
{
	struct pic pic = prepared(3);

	(void)state;
	pulse(&pic, 3);
	expect(&pic, BASE_MASTER + 3);
	pulse(&pic, 6);
	expect(&pic, BASE_MASTER + 6);
}

static void rotation_makes_the_served_one_last(void **state)
{
	struct pic pic = prepared(1);

	(void)state;
	pulse(&pic, 4);
	expect(&pic, BASE_MASTER + 4);
	pic_write(&pic, 0x20, 0xa0); /* rotate on non-specific EOI */
	pulse(&pic, 4);
	pulse(&pic, 0);
	pulse(&pic, 5);
	expect(&pic, BASE_MASTER + 5);
	eoi(&pic, 0x20);
	expect(&pic, BASE_MASTER + 0);
	eoi(&pic, 0x20);
	expect(&pic, BASE_MASTER + 4);
}

static void priority_can_be_set(void **state)
{
	struct pic pic = prepared(1);

	(void)state;
	pic_write(&pic, 0x20, 0xc0 | 5); /* 5 is the lowest, so 6 the highest */
	pulse(&pic, 0);
	pulse(&pic, 6);
	expect(&pic, BASE_MASTER + 6);
	pic_write(&pic, 0x20, 0x60 | 6); /* specific EOI */
	expect(&pic, BASE_MASTER + 0);
}

static void special_mask_lets_lower_ones_through(void **state)
{
	struct pic pic = prepared(1);

	(void)state;
	pulse(&pic, 1);
	expect(&pic, BASE_MASTER + 1);
	pulse(&pic, 6);
	assert_false(pic_output(&pic));
	pic_write(&pic, 0x21, 2);
	pic_write(&pic, 0x20, 0x68);
	expect(&pic, BASE_MASTER + 6);
}

static void registers_can_be_read(void **state)
{
	struct pic pic = prepared(1);

	(void)state;
	pulse(&pic, 3);
	pulse(&pic, 9);
	assert_int_equal(pic_read(&pic, 0x20), 0x0c);
	assert_int_equal(pic_read(&pic, 0xa0), 0x02);
	expect(&pic, BASE_SLAVE + 1);
	pic_write(&pic, 0x20, 0x0b); /* ISR from now on */
	assert_int_equal(pic_read(&pic, 0x20), 0x04);
	pic_write(&pic, 0xa0, 0x0b);
	assert_int_equal(pic_read(&pic, 0xa0), 0x02);
	pic_write(&pic, 0x20, 0x0a);
	assert_int_equal(pic_read(&pic, 0x20), 0x08);
}

static void polling_takes_the_place_of_acknowledging(void **state)
{
	struct pic pic = prepared(1);

	(void)state;
	pic_write(&pic, 0x20, 0x0c);
	assert_int_equal(pic_read(&pic, 0x20), 0);
	pulse(&pic, 6);
	pic_write(&pic, 0x20, 0x0c);
	assert_int_equal(pic_read(&pic, 0x20), 0x86);
	assert_false(pic_output(&pic));
	eoi(&pic, 0x20);
}

static void initialisation_forgets(void **state)
{
	struct pic pic = prepared(1);

	(void)state;
	pulse(&pic, 3);
	pic_write(&pic, 0x21, 0xf0);
	pic_write(&pic, 0x20, 0x11);
	pic_write(&pic, 0x21, 0x70);
	pic_write(&pic, 0x21, 4);
	pic_write(&pic, 0x21, 1);
	assert_int_equal(pic_read(&pic, 0x21), 0);
	assert_false(pic_output(&pic));
	pulse(&pic, 3);
	expect(&pic, 0x73);
}

static void ports(void **state)
{
	static const u16 mine[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};

	(void)state;
	for (u32 port = 0; port < 0x10000; port++) {
		bool is_mine = false;

		for (unsigned int i = 0; i < 6; i++)
			is_mine |= mine[i] == port;
		assert_int_equal(pic_has_port((u16)port), is_mine);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_input_has_its_vector),
		cmocka_unit_test(lower_numbers_come_first),
		cmocka_unit_test(masks_hold_back),
		cmocka_unit_test(an_edge_counts_once_a_level_as_long_as_it_lasts),
		cmocka_unit_test(one_that_goes_away_is_spurious),
		cmocka_unit_test(automatic_end),
		cmocka_unit_test(rotation_makes_the_served_one_last),
		cmocka_unit_test(priority_can_be_set),
		cmocka_unit_test(special_mask_lets_lower_ones_through),
		cmocka_unit_test(registers_can_be_read),
		cmocka_unit_test(polling_takes_the_place_of_acknowledging),
		cmocka_unit_test(initialisation_forgets),
		cmocka_unit_test(ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
