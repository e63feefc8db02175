/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O APIC: entries, edges and levels, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kvm/irqchip/ioapic.h"
#include "vcpu/x86/lapic.h"

#define LEVEL  (1u << 15)
#define MASKED (1u << 16)

struct bus {
	struct ioapic io;
	struct x86_irq_msg last;
	unsigned int nr;
	unsigned int takers; /* what the bus answers */
};

static unsigned int on_send(void *arg, const struct x86_irq_msg *msg)
{
	struct bus *bus = arg;

	bus->last = *msg;
	bus->nr++;
	return bus->takers;
}

static struct bus *prepared(void)
{
	static struct bus bus;

	bus = (struct bus){.takers = 1, .io = {.send = on_send, .arg = &bus}};
	ioapic_reset(&bus.io);
	return &bus;
}

static void write_reg(struct bus *bus, u32 index, u32 value)
{
	ioapic_write(&bus->io, 0, index);
	ioapic_write(&bus->io, 0x10, value);
}

static u32 read_reg(struct bus *bus, u32 index)
{
	ioapic_write(&bus->io, 0, index);
	return ioapic_read(&bus->io, 0x10);
}

static void set_entry(struct bus *bus, u32 pin, u32 low, u32 dest)
{
	write_reg(bus, 0x10 + 2 * pin + 1, dest << 24);
	write_reg(bus, 0x10 + 2 * pin, low);
}

static void an_edge_is_one_message(void **state)
{
	struct bus *bus = prepared();

	(void)state;
	set_entry(bus, 4, 0x0831, 7); /* logical, fixed */
	assert_int_equal(ioapic_set(&bus->io, 4, true), 1);
	assert_int_equal(bus->last.vector, 0x31);
	assert_int_equal(bus->last.dest, 7);
	assert_true(bus->last.logical);
	assert_false(bus->last.level);
	assert_int_equal(ioapic_set(&bus->io, 4, true), 0);
	ioapic_set(&bus->io, 4, false);
	assert_int_equal(bus->nr, 1);
	assert_int_equal(ioapic_set(&bus->io, 4, true), 1);
}

static void an_edge_while_masked_is_lost(void **state)
{
	struct bus *bus = prepared();

	(void)state;
	set_entry(bus, 4, 0x31 | MASKED, 0);
	ioapic_set(&bus->io, 4, true);
	set_entry(bus, 4, 0x31, 0);
	assert_int_equal(bus->nr, 0);
	ioapic_set(&bus->io, 4, false);
	ioapic_set(&bus->io, 4, true);
	assert_int_equal(bus->nr, 1);
}

static void a_level_comes_again_after_its_end(void **state)
{
	struct bus *bus = prepared();
	u32 pins;

	(void)state;
	set_entry(bus, 9, 0x41 | LEVEL, 0);
	ioapic_set(&bus->io, 9, true);
	assert_int_equal(bus->nr, 1);
	assert_true(bus->last.level);
	assert_int_equal(read_reg(bus, 0x10 + 18), 0x41 | LEVEL | 1u << 14);
	ioapic_set(&bus->io, 9, true);
	assert_int_equal(bus->nr, 1);
	ioapic_eoi(&bus->io, 0x41, &pins);
	assert_int_equal(pins, 1u << 9);
	assert_int_equal(bus->nr, 2);
	ioapic_set(&bus->io, 9, false);
	ioapic_eoi(&bus->io, 0x41, &pins);
	assert_int_equal(bus->nr, 2);
	assert_int_equal(read_reg(bus, 0x10 + 18), 0x41 | LEVEL);
}

static void a_level_while_masked_waits(void **state)
{
	struct bus *bus = prepared();

	(void)state;
	set_entry(bus, 9, 0x41 | LEVEL | MASKED, 0);
	ioapic_set(&bus->io, 9, true);
	assert_int_equal(bus->nr, 0);
	set_entry(bus, 9, 0x41 | LEVEL, 0);
	assert_int_equal(bus->nr, 1);
}

static void a_level_that_nobody_takes_is_offered_again(void **state)
{
	struct bus *bus = prepared();

	(void)state;
	bus->takers = 0;
	set_entry(bus, 9, 0x41 | LEVEL, 0);
	ioapic_set(&bus->io, 9, true);
	bus->takers = 1;
	ioapic_set(&bus->io, 9, true);
	assert_int_equal(bus->nr, 2);
	ioapic_set(&bus->io, 9, true);
	assert_int_equal(bus->nr, 2);
}

static void an_end_concerns_all_pins_with_the_vector(void **state)
{
	struct bus *bus = prepared();
	u32 pins;

	(void)state;
	set_entry(bus, 9, 0x41 | LEVEL, 0);
	set_entry(bus, 10, 0x41 | LEVEL, 0);
	set_entry(bus, 11, 0x41, 0);
	set_entry(bus, 12, 0x42 | LEVEL, 0);
	ioapic_eoi(&bus->io, 0x41, &pins);
	assert_int_equal(pins, 3u << 9);
}

static void making_it_an_edge_frees_a_stuck_entry(void **state)
{
	struct bus *bus = prepared();

	(void)state;
	set_entry(bus, 9, 0x41 | LEVEL, 0);
	ioapic_set(&bus->io, 9, true);
	write_reg(bus, 0x10 + 18, 0x41 | MASKED);
	write_reg(bus, 0x10 + 18, 0x41 | LEVEL);
	assert_int_equal(bus->nr, 2);
}

static void registers(void **state)
{
	struct bus *bus = prepared();

	(void)state;
	assert_int_equal(read_reg(bus, 1), 0x170011);
	write_reg(bus, 0, 0xffffffff);
	assert_int_equal(read_reg(bus, 0), 0x0f000000);
	assert_int_equal(read_reg(bus, 2), 0x0f000000);
	for (u32 pin = 0; pin < IOAPIC_PINS; pin++)
		assert_int_equal(read_reg(bus, 0x10 + 2 * pin), MASKED);
	write_reg(bus, 0x10, 0xffffffff);
	assert_int_equal(read_reg(bus, 0x10) & (1u << 12 | 1u << 14), 0);
	assert_int_equal(read_reg(bus, 0x40), ~0u);
	write_reg(bus, 0xff, 0);
	assert_int_equal(ioapic_read(&bus->io, 0x20), 0);
}

static void loading_a_state_resumes_levels(void **state)
{
	struct bus *bus = prepared();

	(void)state;
	bus->io.irr = 1u << 9 | 1u << 4;
	bus->io.entry[9] = 0x41 | LEVEL;
	bus->io.entry[4] = 0x31;
	ioapic_resume(&bus->io);
	assert_int_equal(bus->nr, 1);
	assert_int_equal(bus->last.vector, 0x41);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_edge_is_one_message),
		cmocka_unit_test(an_edge_while_masked_is_lost),
		cmocka_unit_test(a_level_comes_again_after_its_end),
		cmocka_unit_test(a_level_while_masked_waits),
		cmocka_unit_test(a_level_that_nobody_takes_is_offered_again),
		cmocka_unit_test(an_end_concerns_all_pins_with_the_vector),
		cmocka_unit_test(making_it_an_edge_frees_a_stuck_entry),
		cmocka_unit_test(registers),
		cmocka_unit_test(loading_a_state_resumes_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
