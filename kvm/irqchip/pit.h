/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An 8254 interval timer as in a PC (Intel's 8254 datasheet): three counters
 * of 1.193182 MHz.  Counter 0 gives the ticks, 2 is behind the gate of the
 * speaker's port 0x61.  Counters do not run: what they would show follows from
 * the time, which the caller passes in ns of any clock that never goes back.
 * No locks and no threads in here: the caller serialises.
 *
 * As in KVM, a gate that closes does not stop modes 0 and 4.
 */
#ifndef KVMU_KVM_IRQCHIP_PIT_H
#define KVMU_KVM_IRQCHIP_PIT_H

#include "base/types.h"

#define PIT_COUNTERS 3u
#define PIT_HZ	     1193182ull

/* Which byte of a counter is next (RW in the control word). */
enum pit_bytes {
	PIT_LATCH = 0, /* nothing latched, nothing chosen */
	PIT_LOW = 1,
	PIT_HIGH = 2,
	PIT_LOW_THEN_HIGH = 3,
	PIT_HIGH_OF_BOTH = 4, /* the low one of the two has been moved */
};

struct pit_counter {
	u32 count;	  /* 1 .. 0x10000, in BCD mode 1 .. 10000 */
	u16 latched;	  /* as the guest reads it */
	u8 count_latched; /* enum pit_bytes */
	u8 status_latched, status;
	u8 read_state, write_state, rw_mode; /* enum pit_bytes */
	u8 write_latch;			     /* the low byte of two */
	u8 mode;			     /* 0 .. 5; larger: not set yet */
	u8 bcd, gate;
	u64 loaded_ns; /* when the count began */
};

struct pit {
	struct pit_counter counter[PIT_COUNTERS];
	bool speaker_on;
	bool silent; /* an HPET has taken the ticks over */
};

void pit_reset(struct pit *pit, u64 now);
/* When counter 0 gives its next tick after @after; 0: never. */
u64 pit_next_tick(const struct pit *pit, u64 after);

/* Is it one of its four ports? */
bool pit_has_port(u16 port);
u8 pit_read(struct pit *pit, u16 port, u64 now);
void pit_write(struct pit *pit, u16 port, u8 value, u64 now);

#define PIT_SPEAKER_PORT 0x61u
u8 pit_speaker_read(const struct pit *pit, u64 now);
void pit_speaker_write(struct pit *pit, u8 value, u64 now);

#endif
