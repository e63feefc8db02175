/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest that runs for ever is ended by a signal: KVM_RUN answers EINTR. */
#ifndef KVMU_FUZZ_TICK_H
#define KVMU_FUZZ_TICK_H

#include <signal.h>
#include <time.h>

#include "tests/clients/client.h"

#define FUZZ_TICK_NS 300000

static inline void fuzz_ignore_signal(int signal)
{
	(void)signal;
}

/* Again and again: the first may come between two runs and interrupt neither. */
static inline void fuzz_tick(bool on)
{
	static timer_t timer;
	static bool there;
	/* To this thread: the fuzzer has others, which would swallow it. */
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2};
	const struct sigaction act = {.sa_handler = fuzz_ignore_signal};
	const long ns = on ? FUZZ_TICK_NS : 0;
	const struct itimerspec every = {.it_value.tv_nsec = ns, .it_interval.tv_nsec = ns};

	if (!there) {
		event._sigev_un._tid = gettid();
		EXPECT_EQ(sigaction(SIGUSR2, &act, NULL), 0);
		EXPECT_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
		there = true;
	}
	EXPECT_EQ(timer_settime(timer, 0, &every, NULL), 0);
}

#endif
