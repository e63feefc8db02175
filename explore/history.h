/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What places of shared memory held before, for loads that run ahead of earlier
 * ones: such a load finds what its place held at some moment since its thread
 * was last ordered.
 */
#ifndef KVMU_EXPLORE_HISTORY_H
#define KVMU_EXPLORE_HISTORY_H

#include "base/types.h"

struct sched_thread;

void history_reset(void);
/* A store of @writer has become visible to all. */
void history_note(const struct sched_thread *writer, const void *at, u8 bytes, u64 before,
		  u64 after);
/*
 * What the running thread loads, where all see @now: that, or, by a decision of the
 * search, something older.  @acquire: its later loads do not run ahead of this one.
 */
u64 history_load(const void *at, u8 bytes, u64 now, bool acquire);
/* The running thread's later loads do not run ahead of its earlier ones. */
void history_order_loads(void);
/* @thread's later loads do not run ahead of this moment. */
void history_catch_up(struct sched_thread *thread);

#endif
