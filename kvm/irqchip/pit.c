/* SPDX-License-Identifier: BSD-2-Clause */
/* See pit.h. */
#include "kvm/irqchip/pit.h"

#include "base/bits.h"

#define NS_PER_S     1000000000ull
#define PORT_FIRST   0x40u
#define PORT_CONTROL 0x43u
#define MODE_UNSET   0xffu
#define MODES	     6u
#define SPEAKER	     2u /* the counter behind port 0x61 */

/* Control word. */
#define CONTROL_COUNTER(value) ((value) >> 6)
#define CONTROL_BYTES(value)   (((value) >> 4) & 3)
#define CONTROL_MODE(value)    (((value) >> 1) & 7)
#define CONTROL_BCD	       BIT_ULL(0)
#define READ_BACK	       3u
#define READ_BACK_NO_COUNT     BIT_ULL(5)
#define READ_BACK_NO_STATUS    BIT_ULL(4)

/* Port 0x61. */
#define SPEAKER_GATE	BIT_ULL(0)
#define SPEAKER_DATA	BIT_ULL(1)
#define SPEAKER_REFRESH BIT_ULL(4) /* memory refresh: toggles all the time */
#define SPEAKER_OUT	BIT_ULL(5)
#define REFRESH_LG2_NS	14

/*
 * A guest can ask for a tick every microsecond; what it gets is one in 200,
 * as from KVM, or the host would do nothing else.
 */
#define MIN_TICK_COUNT (PIT_HZ * 200 / 1000000)

/* ---- time -------------------------------------------------------------------------------- */

static u64 cycles_of(u64 ns)
{
	return (u64)((unsigned __int128)ns * PIT_HZ / NS_PER_S);
}

/* Rounded up: at that time the cycles are over. */
static u64 ns_of(u64 cycles)
{
	return (u64)(((unsigned __int128)cycles * NS_PER_S + PIT_HZ - 1) / PIT_HZ);
}

static u64 elapsed(const struct pit_counter *c, u64 now)
{
	return now > c->loaded_ns ? cycles_of(now - c->loaded_ns) : 0;
}

static bool is_periodic(const struct pit_counter *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* What the count would be now (datasheet, "mode definitions"). */
static u32 count_now(const struct pit_counter *c, u64 now)
{
	u32 modulus = c->bcd ? 10000 : 0x10000;
	u64 cycles = elapsed(c, now);

	switch (c->mode) {
	case 2:
		return c->count - (u32)(cycles % c->count);
	case 3: /* in steps of two */
		return c->count - (u32)(2 * cycles % c->count);
	default: /* goes on below zero */
		return (u32)((c->count + modulus - cycles % modulus) % modulus);
	}
}

static bool output(const struct pit_counter *c, u64 now)
{
	u64 cycles = elapsed(c, now);

	switch (c->mode) {
	case 0:
		return cycles >= c->count;
	case 1:
		return cycles < c->count;
	case 2: /* low for the last cycle of each period */
		return cycles % c->count != c->count - 1;
	case 3: /* high for the first half */
		return cycles % c->count < (c->count + 1) / 2;
	case 4:
	case 5: /* low for one cycle */
		return cycles != c->count;
	default:
		return false;
	}
}

u64 pit_next_tick(const struct pit *pit, u64 after)
{
	const struct pit_counter *c = &pit->counter[0];
	u64 period = c->count;

	if (pit->silent || c->mode >= MODES || c->mode == 5)
		return 0;
	if (!is_periodic(c))
		return elapsed(c, after) < period ? c->loaded_ns + ns_of(period) : 0;
	if (period < MIN_TICK_COUNT)
		period = MIN_TICK_COUNT;
	return c->loaded_ns + ns_of((elapsed(c, after) / period + 1) * period);
}

/* ---- counts as guests see them ----------------------------------------------------------- */

static u16 to_bcd(u32 value)
{
	return (u16)(value / 1000 % 10 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 |
		     value % 10);
}

static u32 from_bcd(u16 bcd)
{
	return (bcd >> 12) * 1000u + (bcd >> 8 & 15) * 100u + (bcd >> 4 & 15) * 10u + (bcd & 15);
}

static u16 shown_count(const struct pit_counter *c, u64 now)
{
	u32 count = count_now(c, now);

	return c->bcd ? to_bcd(count) : (u16)count;
}

/* The largest count is written as 0. */
static void load(struct pit_counter *c, u16 value, u64 now)
{
	u32 count = c->bcd ? from_bcd(value) : value;

	if (!count)
		count = c->bcd ? 10000 : 0x10000;
	c->count = count;
	c->loaded_ns = now;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* The byte of @value that @state says is next. */
static u8 next_byte(u8 *state, u16 value)
{
	switch (*state) {
	case PIT_HIGH:
		return (u8)(value >> 8);
	case PIT_LOW_THEN_HIGH:
		*state = PIT_HIGH_OF_BOTH;
		return (u8)value;
	case PIT_HIGH_OF_BOTH:
		*state = PIT_LOW_THEN_HIGH;
		return (u8)(value >> 8);
	default:
		return (u8)value;
	}
}

static u8 read_latched(struct pit_counter *c)
{
	u8 byte = next_byte(&c->count_latched, c->latched);

	/* All of it has been read, unless the second of two bytes is still to come. */
	if (c->count_latched != PIT_HIGH_OF_BOTH)
		c->count_latched = PIT_LATCH;
	return byte;
}

u8 pit_read(struct pit *pit, u16 port, u64 now)
{
	struct pit_counter *c;

	if (port == PORT_CONTROL)
		return 0; /* cannot be read */
	c = &pit->counter[port - PORT_FIRST];
	if (c->status_latched) {
		c->status_latched = 0;
		return c->status;
	}
	if (c->count_latched != PIT_LATCH)
		return read_latched(c);
	return next_byte(&c->read_state, shown_count(c, now));
}

/* ---- writing ------------------------------------------------------------------------------- */

/* What is latched stays until it has been read. */
static void latch_count(struct pit_counter *c, u64 now)
{
	if (c->count_latched != PIT_LATCH)
		return;
	c->latched = shown_count(c, now);
	c->count_latched = c->rw_mode;
}

static void latch_status(struct pit_counter *c, u64 now)
{
	if (c->status_latched)
		return;
	c->status =
		(u8)((output(c, now) ? 0x80 : 0) | c->rw_mode << 4 | (c->mode & 7) << 1 | c->bcd);
	c->status_latched = 1;
}

static void read_back(struct pit *pit, u8 control, u64 now)
{
	for (u32 n = 0; n < PIT_COUNTERS; n++) {
		if (!(control & (2u << n)))
			continue;
		if (!(control & READ_BACK_NO_COUNT))
			latch_count(&pit->counter[n], now);
		if (!(control & READ_BACK_NO_STATUS))
			latch_status(&pit->counter[n], now);
	}
}

static void write_control(struct pit *pit, u8 control, u64 now)
{
	struct pit_counter *c;

	if (CONTROL_COUNTER(control) == READ_BACK) {
		read_back(pit, control, now);
		return;
	}
	c = &pit->counter[CONTROL_COUNTER(control)];
	if (CONTROL_BYTES(control) == PIT_LATCH) {
		latch_count(c, now);
		return;
	}
	c->rw_mode = c->read_state = c->write_state = CONTROL_BYTES(control);
	c->mode = CONTROL_MODE(control);
	if (c->mode >= MODES)
		c->mode &= 3; /* 6 and 7 are 2 and 3 */
	c->bcd = control & CONTROL_BCD;
	c->count_latched = PIT_LATCH;
}

static void write_count(struct pit_counter *c, u8 value, u64 now)
{
	switch (c->write_state) {
	case PIT_HIGH:
		load(c, (u16)(value << 8), now);
		break;
	case PIT_LOW_THEN_HIGH:
		c->write_latch = value;
		c->write_state = PIT_HIGH_OF_BOTH;
		break;
	case PIT_HIGH_OF_BOTH:
		load(c, (u16)(value << 8 | c->write_latch), now);
		c->write_state = PIT_LOW_THEN_HIGH;
		break;
	default:
		load(c, value, now);
	}
}

bool pit_has_port(u16 port)
{
	return port >= PORT_FIRST && port <= PORT_CONTROL;
}

void pit_write(struct pit *pit, u16 port, u8 value, u64 now)
{
	if (port == PORT_CONTROL)
		write_control(pit, value, now);
	else
		write_count(&pit->counter[port - PORT_FIRST], value, now);
}

/* ---- the speaker's port ----------------------------------------------------------------- */

u8 pit_speaker_read(const struct pit *pit, u64 now)
{
	const struct pit_counter *c = &pit->counter[SPEAKER];

	return (u8)((c->gate ? SPEAKER_GATE : 0) | (pit->speaker_on ? SPEAKER_DATA : 0) |
		    (now >> REFRESH_LG2_NS & 1 ? SPEAKER_REFRESH : 0) |
		    (output(c, now) ? SPEAKER_OUT : 0));
}

void pit_speaker_write(struct pit *pit, u8 value, u64 now)
{
	struct pit_counter *c = &pit->counter[SPEAKER];
	bool opens = !c->gate && (value & SPEAKER_GATE);

	/* A gate that opens starts these modes anew. */
	if (opens && c->mode != 0 && c->mode != 4)
		c->loaded_ns = now;
	c->gate = value & SPEAKER_GATE;
	pit->speaker_on = value & SPEAKER_DATA;
}

void pit_reset(struct pit *pit, u64 now)
{
	*pit = (struct pit){.silent = false};
	for (u32 n = 0; n < PIT_COUNTERS; n++) {
		pit->counter[n] = (struct pit_counter){
			.count = 0x10000,
			.mode = MODE_UNSET,
			.gate = n != SPEAKER,
			.loaded_ns = now,
		};
	}
}
