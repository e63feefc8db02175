/* SPDX-License-Identifier: BSD-2-Clause */
/* See ioapic.h. */
#include "kvm/irqchip/ioapic.h"

#include "base/bits.h"
#include "vcpu/x86/lapic.h"

#define VERSION 0x11u

enum ioapic_offset {
	REG_SELECT = 0x00,
	REG_WINDOW = 0x10,
};

enum ioapic_register {
	REG_ID = 0,
	REG_VERSION = 1,
	REG_ARBITRATION = 2,
	REG_ENTRIES = 0x10, /* two each */
};

/* An entry's bits. */
#define ENTRY_LOGICAL	 BIT_ULL(11)
#define ENTRY_PENDING	 BIT_ULL(12) /* read-only, never set: messages go out at once */
#define ENTRY_REMOTE_IRR BIT_ULL(14) /* read-only: taken, and not ended */
#define ENTRY_LEVEL	 BIT_ULL(15)
#define ENTRY_MASKED	 BIT_ULL(16)
#define ENTRY_READ_ONLY	 (ENTRY_PENDING | ENTRY_REMOTE_IRR)

static unsigned int send_entry(struct ioapic *io, u64 entry)
{
	const struct x86_irq_msg msg = {
		.vector = (u8)entry,
		.delivery = (entry >> 8) & 7,
		.logical = entry & ENTRY_LOGICAL,
		.level = entry & ENTRY_LEVEL,
		.dest = (u32)(entry >> 56),
	};

	return io->send(io->arg, &msg);
}

/* A level that is there goes out, unless it is masked or the last one is not ended. */
static unsigned int service_level(struct ioapic *io, u32 pin)
{
	u64 *entry = &io->entry[pin];
	unsigned int taken;

	if (!(*entry & ENTRY_LEVEL) || !(io->irr & BIT_ULL(pin)) ||
	    (*entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
		return 0;
	taken = send_entry(io, *entry);
	if (taken)
		*entry |= ENTRY_REMOTE_IRR;
	return taken;
}

/* An edge goes out at once, or is lost while the entry is masked. */
static unsigned int service_edge(struct ioapic *io, u32 pin)
{
	u64 entry = io->entry[pin];

	return entry & ENTRY_MASKED ? 0 : send_entry(io, entry);
}

unsigned int ioapic_set(struct ioapic *io, u32 pin, bool level)
{
	bool was_high = io->irr & BIT_ULL(pin);

	if (!level) {
		io->irr &= ~(1u << pin);
		return 0;
	}
	io->irr |= 1u << pin;
	if (io->entry[pin] & ENTRY_LEVEL)
		return service_level(io, pin);
	return was_high ? 0 : service_edge(io, pin);
}

bool ioapic_passes(const struct ioapic *io, u32 pin, u8 *vector)
{
	u64 entry = io->entry[pin];
	u32 delivery = (entry >> 8) & 7;

	*vector = delivery <= X86_DELIVER_LOWEST ? (u8)entry : 0;
	return !(entry & ENTRY_MASKED);
}

void ioapic_eoi(struct ioapic *io, u8 vector, u32 *pins)
{
	*pins = 0;
	for (u32 pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 *entry = &io->entry[pin];

		if ((u8)*entry != vector || !(*entry & ENTRY_LEVEL))
			continue;
		*pins |= 1u << pin;
		*entry &= ~ENTRY_REMOTE_IRR;
		/* Still high: again. */
		service_level(io, pin);
	}
}

void ioapic_resume(struct ioapic *io)
{
	for (u32 pin = 0; pin < IOAPIC_PINS; pin++)
		service_level(io, pin);
}

/* ---- registers --------------------------------------------------------------------------- */

static u32 read_register(const struct ioapic *io)
{
	u32 index = io->select;

	switch (index) {
	case REG_ID:
	case REG_ARBITRATION:
		return (u32)(io->id & 15) << 24;
	case REG_VERSION:
		return VERSION | (IOAPIC_PINS - 1) << 16;
	default:
		if (index < REG_ENTRIES || index >= REG_ENTRIES + 2 * IOAPIC_PINS)
			return ~0u;
		return (u32)(io->entry[(index - REG_ENTRIES) / 2] >> (index & 1 ? 32 : 0));
	}
}

static void write_entry(struct ioapic *io, u32 pin, bool high, u32 value)
{
	u64 old = io->entry[pin], new;

	if (high)
		new = (old & 0xffffffffull) | (u64)value << 32;
	else
		new = (old & ~0xffffffffull) | value;
	new = (new & ~ENTRY_READ_ONLY) | (old & ENTRY_READ_ONLY);
	/* Guests clear a stuck one by making the entry an edge for a moment. */
	if (!(new &ENTRY_LEVEL))
		new &= ~ENTRY_REMOTE_IRR;
	io->entry[pin] = new;
	service_level(io, pin);
}

static void write_register(struct ioapic *io, u32 value)
{
	u32 index = io->select;

	if (index == REG_ID)
		io->id = (value >> 24) & 15;
	else if (index >= REG_ENTRIES && index < REG_ENTRIES + 2 * IOAPIC_PINS)
		write_entry(io, (index - REG_ENTRIES) / 2, index & 1, value);
}

u32 ioapic_read(struct ioapic *io, u32 offset)
{
	switch (offset) {
	case REG_SELECT:
		return io->select;
	case REG_WINDOW:
		return read_register(io);
	default:
		return 0;
	}
}

void ioapic_write(struct ioapic *io, u32 offset, u32 value)
{
	if (offset == REG_SELECT)
		io->select = (u8)value;
	else if (offset == REG_WINDOW)
		write_register(io, value);
}

void ioapic_reset(struct ioapic *io)
{
	io->base = IOAPIC_BASE_DEFAULT;
	io->select = io->id = 0;
	io->irr = 0;
	for (u32 pin = 0; pin < IOAPIC_PINS; pin++)
		io->entry[pin] = ENTRY_MASKED;
}
