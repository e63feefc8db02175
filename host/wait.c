/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting for another thread without a lock to sleep on. */
#include <sched.h>
#include <time.h>

#include "base/atomics.h"
#include "mmu/mmu_host.h"

#define SPIN_TURNS  64u
#define YIELD_TURNS 256u
#define NAP_NS	    50000l

void mmu_host_wait_turn(unsigned int turn)
{
	const struct timespec nap = {.tv_nsec = NAP_NS};

	if (turn < SPIN_TURNS)
		cpu_relax();
	else if (turn < YIELD_TURNS)
		sched_yield();
	else
		nanosleep(&nap, NULL);
}
