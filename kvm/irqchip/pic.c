/* SPDX-License-Identifier: BSD-2-Clause */
/* See pic.h. */
#include "kvm/irqchip/pic.h"

#include "base/bits.h"

#define MASTER	     0
#define SLAVE	     1
#define CASCADE	     2u
#define PORT_MASTER  0x20u
#define PORT_SLAVE   0xa0u
#define PORT_ELCR    0x4d0u
#define NONE	     8u /* no input: lower than the lowest priority */
#define SPURIOUS_PIN 7u

/* ---- priorities ---------------------------------------------------------------------- */

/* How many places behind the highest priority the first of @mask is. */
static u32 rank_of(const struct pic_chip *chip, u8 mask)
{
	u32 rank = 0;

	if (!mask)
		return NONE;
	while (!(mask & BIT_ULL((rank + chip->priority_add) & 7)))
		rank++;
	return rank;
}

/* The input to be served now, or NONE. */
static u32 chosen(const struct pic *pic, u32 n)
{
	const struct pic_chip *chip = &pic->chip[n];
	u32 rank = rank_of(chip, chip->irr & (u8)~chip->imr);
	u8 busy = chip->isr;

	if (rank == NONE)
		return NONE;
	if (chip->special_mask)
		busy &= (u8)~chip->imr;
	/* The slave's inputs have an order among themselves. */
	if (chip->special_fully_nested_mode && n == MASTER)
		busy &= (u8) ~(1u << CASCADE);
	return rank < rank_of(chip, busy) ? (rank + chip->priority_add) & 7 : NONE;
}

static void set_input(struct pic_chip *chip, u32 pin, bool level)
{
	u8 bit = (u8)(1u << pin);

	if (level) {
		if ((chip->elcr & bit) || !(chip->last_irr & bit))
			chip->irr |= bit;
		chip->last_irr |= bit;
	} else {
		if (chip->elcr & bit)
			chip->irr &= (u8)~bit;
		chip->last_irr &= (u8)~bit;
	}
}

/* The slave's output is an input of the master: an edge for each request. */
static void cascade(struct pic *pic)
{
	if (chosen(pic, SLAVE) == NONE)
		return;
	set_input(&pic->chip[MASTER], CASCADE, false);
	set_input(&pic->chip[MASTER], CASCADE, true);
	set_input(&pic->chip[MASTER], CASCADE, false);
}

bool pic_output(const struct pic *pic)
{
	return chosen(pic, MASTER) != NONE;
}

bool pic_is_masked(const struct pic *pic, u32 pin)
{
	return pic->chip[pin / 8].imr & BIT_ULL(pin % 8);
}

bool pic_is_busy(const struct pic *pic, u32 pin)
{
	const struct pic_chip *chip = &pic->chip[pin / 8];

	return (chip->irr | chip->isr) & BIT_ULL(pin % 8);
}

void pic_set(struct pic *pic, u32 pin, bool level)
{
	set_input(&pic->chip[pin / 8], pin % 8, level);
	cascade(pic);
}

static void begin_service(struct pic_chip *chip, u32 pin)
{
	u8 bit = (u8)(1u << pin);

	chip->isr |= bit;
	/* A level stays requested for as long as it is there. */
	if (!(chip->elcr & bit))
		chip->irr &= (u8)~bit;
	if (chip->auto_eoi) {
		if (chip->rotate_on_auto_eoi)
			chip->priority_add = (pin + 1) & 7;
		chip->isr &= (u8)~bit;
	}
}

u8 pic_acknowledge(struct pic *pic)
{
	struct pic_chip *master = &pic->chip[MASTER], *slave = &pic->chip[SLAVE];
	u32 pin = chosen(pic, MASTER);
	u8 vector;

	if (pin == NONE)
		return (u8)(master->irq_base + SPURIOUS_PIN);
	begin_service(master, pin);
	if (pin == CASCADE) {
		u32 second = chosen(pic, SLAVE);

		if (second != NONE)
			begin_service(slave, second);
		else
			second = SPURIOUS_PIN;
		vector = (u8)(slave->irq_base + second);
	} else {
		vector = (u8)(master->irq_base + pin);
	}
	cascade(pic);
	return vector;
}

/* ---- commands -------------------------------------------------------------------------- */

static void initialise(struct pic_chip *chip, u8 icw1)
{
	u8 levels = chip->irr & chip->elcr;

	*chip = (struct pic_chip){
		/* Lines keep their levels, edges are forgotten. */
		.last_irr = chip->last_irr,   .irr = levels,   .elcr = chip->elcr,
		.elcr_mask = chip->elcr_mask, .init_state = 1, .init4 = icw1 & 1,
	};
}

static void end_of_interrupt(struct pic_chip *chip, u32 pin)
{
	chip->isr &= (u8) ~(1u << pin);
}

/* OCW2: end of interrupt, and who is first after it. */
static void ocw2(struct pic_chip *chip, u8 value)
{
	u32 rank = rank_of(chip, chip->isr), pin = (rank + chip->priority_add) & 7;

	switch (value >> 5) {
	case 0: /* rotate in automatic mode: off, on */
	case 4:
		chip->rotate_on_auto_eoi = value >> 7;
		break;
	case 1: /* non-specific, without and with rotation */
	case 5:
		if (rank == NONE)
			break;
		end_of_interrupt(chip, pin);
		if (value >> 5 == 5)
			chip->priority_add = (u8)((pin + 1) & 7);
		break;
	case 3: /* specific */
		end_of_interrupt(chip, value & 7);
		break;
	case 6: /* set priority */
		chip->priority_add = (value + 1) & 7;
		break;
	case 7: /* specific with rotation */
		end_of_interrupt(chip, value & 7);
		chip->priority_add = (value + 1) & 7;
		break;
	default:
		break;
	}
}

static void ocw3(struct pic_chip *chip, u8 value)
{
	if (value & 4)
		chip->poll = 1;
	if (value & 2)
		chip->read_isr = value & 1;
	if (value & 0x40)
		chip->special_mask = (value >> 5) & 1;
}

static void write_command(struct pic_chip *chip, u8 value)
{
	if (value & 0x10)
		initialise(chip, value);
	else if (value & 0x08)
		ocw3(chip, value);
	else
		ocw2(chip, value);
}

/* ICW2, ICW3 and ICW4 in turn, and the mask at other times. */
static void write_data(struct pic_chip *chip, u8 value)
{
	switch (chip->init_state) {
	case 0:
		chip->imr = value;
		break;
	case 1:
		chip->irq_base = value & 0xf8;
		chip->init_state = 2;
		break;
	case 2:
		chip->init_state = chip->init4 ? 3 : 0;
		break;
	default:
		chip->special_fully_nested_mode = (value >> 4) & 1;
		chip->auto_eoi = (value >> 1) & 1;
		chip->init_state = 0;
		break;
	}
}

/* The read that follows a poll command acknowledges. */
static u8 read_poll(struct pic *pic, u32 n)
{
	struct pic_chip *chip = &pic->chip[n];
	u32 pin = chosen(pic, n);

	chip->poll = 0;
	if (pin == NONE)
		return 0;
	begin_service(chip, pin);
	cascade(pic);
	return (u8)(0x80 | pin);
}

/* ---- ports ------------------------------------------------------------------------------- */

bool pic_has_port(u16 port)
{
	u16 even = port & 0xfffe;

	return even == PORT_MASTER || even == PORT_SLAVE || even == PORT_ELCR;
}

u8 pic_read(struct pic *pic, u16 port)
{
	u32 n = (port & 0xfffe) == PORT_SLAVE ? SLAVE : MASTER;
	const struct pic_chip *chip = &pic->chip[n];

	if ((port & 0xfffe) == PORT_ELCR)
		return pic->chip[port & 1].elcr;
	if (chip->poll)
		return read_poll(pic, n);
	if (port & 1)
		return chip->imr;
	return chip->read_isr ? chip->isr : chip->irr;
}

void pic_write(struct pic *pic, u16 port, u8 value)
{
	struct pic_chip *chip = &pic->chip[(port & 0xfffe) == PORT_SLAVE ? SLAVE : MASTER];

	if ((port & 0xfffe) == PORT_ELCR) {
		chip = &pic->chip[port & 1];
		chip->elcr = value & chip->elcr_mask;
	} else if (port & 1) {
		write_data(chip, value);
	} else {
		write_command(chip, value);
	}
	cascade(pic);
}

/* The timer, the keyboard, the cascade, the clock and the coprocessor are edges for ever. */
void pic_reset(struct pic *pic)
{
	*pic = (struct pic){.chip = {{.elcr_mask = 0xf8}, {.elcr_mask = 0xde}}};
}
