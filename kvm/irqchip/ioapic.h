/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An I/O APIC (Intel 82093AA datasheet): 24 inputs, each with an entry that
 * says which message it becomes.  The caller serialises.
 */
#ifndef KVMU_KVM_IRQCHIP_IOAPIC_H
#define KVMU_KVM_IRQCHIP_IOAPIC_H

#include "base/types.h"

#define IOAPIC_PINS	    24u
#define IOAPIC_BASE_DEFAULT 0xfec00000ull
#define IOAPIC_BYTES	    0x100u

struct x86_irq_msg;

struct ioapic {
	u64 base;
	u8 select; /* the register that the window shows */
	u8 id;
	u32 irr; /* inputs that are high */
	u64 entry[IOAPIC_PINS];

	/* A message goes out; how many CPUs took it. */
	unsigned int (*send)(void *arg, const struct x86_irq_msg *msg);
	void *arg;
};

void ioapic_reset(struct ioapic *io);
/* The level of an input; how many CPUs took the message that this led to. */
unsigned int ioapic_set(struct ioapic *io, u32 pin, bool level);
/* Would an edge of the input get out?  @vector gets what it becomes; 0 is none of a CPU's own. */
bool ioapic_passes(const struct ioapic *io, u32 pin, u8 *vector);
/* A CPU has ended the level-triggered @vector; @pins gets the inputs that used it. */
void ioapic_eoi(struct ioapic *io, u8 vector, u32 *pins);
/* After its state was loaded: what waits goes out. */
void ioapic_resume(struct ioapic *io);

/* @offset into its page; 32-bit accesses are all there is. */
u32 ioapic_read(struct ioapic *io, u32 offset);
void ioapic_write(struct ioapic *io, u32 offset, u32 value);

#endif
