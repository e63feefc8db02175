/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reading side of the trace points: what threads have recorded, in rings of
 * their own, for one reader at a time.
 *
 * A ring that is full drops what comes and counts it: a guest never waits for
 * the reader.
 */
#ifndef KVMU_HOST_TRACE_H
#define KVMU_HOST_TRACE_H

#include "base/errno.h"
#include "base/trace.h"

#define HOST_TRACE_RING_RECORDS 32768u
#define HOST_TRACE_COMM_BYTES	16u

struct host_trace_record {
	u64 ns; /* CLOCK_MONOTONIC */
	u16 event;
	u16 cpu;
	u32 lost; /* records of this thread dropped just before this one */
	u64 fields[KVMU_TRACE_FIELDS_MAX];
};

/* Of the thread that recorded. */
struct host_trace_thread {
	int tid;
	char comm[HOST_TRACE_COMM_BYTES];
};

/* From now on @event is recorded; once per event.  0, -EAGAIN, -ENOMEM. */
int host_trace_enable(enum kvmu_trace_event event) KVMU_MUST_CHECK;
/* Nothing is recorded any more; what is in the rings stays. */
void host_trace_disable(void);

/*
 * The earliest record before @until_ns over all threads, taken off its ring;
 * false: there is none.  Records of different threads come in the order of
 * their times as far as @until_ns is far enough back for each to have put its
 * record in.
 */
bool host_trace_take(u64 until_ns, struct host_trace_record *record,
		     struct host_trace_thread *thread);
u64 host_trace_now(void);
/* Dropped by threads that recorded nothing after it, so that no record tells. */
u64 host_trace_lost(void);

/* In a child of fork, where only the forking thread is left: forget what the parent recorded. */
void host_trace_fork_child(void);

#endif
