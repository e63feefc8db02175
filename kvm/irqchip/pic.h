/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pair of 8259A interrupt controllers, the second behind input 2 of the
 * first, as in a PC (Intel's 8259A datasheet; ELCR: 82093's neighbour in the
 * PIIX datasheets).  No locks and no threads in here: the caller serialises.
 */
#ifndef KVMU_KVM_IRQCHIP_PIC_H
#define KVMU_KVM_IRQCHIP_PIC_H

#include "base/types.h"

#define PIC_PINS 16u

struct pic_chip {
	u8 last_irr; /* levels of the inputs, to see edges */
	u8 irr, imr, isr;
	u8 priority_add; /* number of the highest priority */
	u8 irq_base;	 /* vector of input 0 */
	u8 read_isr;	 /* OCW3: which one the command port shows */
	u8 poll;
	u8 special_mask;
	u8 init_state; /* next initialisation word expected, 0: none */
	u8 auto_eoi, rotate_on_auto_eoi;
	u8 special_fully_nested_mode;
	u8 init4; /* ICW4 will come */
	u8 elcr;  /* level-triggered inputs */
	u8 elcr_mask;
};

struct pic {
	struct pic_chip chip[2];
};

void pic_reset(struct pic *pic);
/* Does it ask for attention? */
bool pic_output(const struct pic *pic);
/* Set the level of an input, 0 .. 15. */
void pic_set(struct pic *pic, u32 pin, bool level);
/* Is the input masked?  Is an edge of it waiting, or being served? */
bool pic_is_masked(const struct pic *pic, u32 pin);
bool pic_is_busy(const struct pic *pic, u32 pin);
/* The interrupt is taken: its vector. */
u8 pic_acknowledge(struct pic *pic);

/* Is it one of its ports? */
bool pic_has_port(u16 port);
u8 pic_read(struct pic *pic, u16 port);
void pic_write(struct pic *pic, u16 port, u8 value);

#endif
