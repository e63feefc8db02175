/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cooperative threads on one real one.  Nothing runs at the same time; a thread
 * is left only before a step that others can see, and the search says for whom.
 */
#ifndef KVMU_EXPLORE_SCHED_H
#define KVMU_EXPLORE_SCHED_H

#include "base/types.h"
#include "explore/search.h"

#define SCHED_THREADS_MAX 8u
/* A run with more steps makes no progress. */
#define SCHED_STEPS_MAX	  20000u
#define SCHED_LATE_STORES 16u

struct sched;

/* A store that others do not see yet: for them the place holds what it held. */
struct late_store {
	void *at;
	u64 before;
	u8 bytes;
	bool ordered; /* what its thread stores from now on may not overtake it */
};

enum sched_state {
	SCHED_READY,
	SCHED_BLOCKED,	/* until condition() */
	SCHED_RELAXING, /* in a loop, until another thread has written something */
	SCHED_DONE,
};

struct sched_thread {
	char name[16];
	void (*body)(void *arg);
	void *arg;
	enum sched_state state;
	bool (*condition)(void *arg);
	void *condition_arg;
	const char *waits_for;
	u64 writes;  /* its own */
	u64 seen;    /* of the others, before it looked at what it waits for */
	u64 relaxed; /* of the others, when it relaxed last */
	u32 rcu_depth;
	u64 rcu_sections; /* ended so far */
	struct late_store late[SCHED_LATE_STORES];
	u32 nr_late;
	u64 loads_from, loads_seen; /* history.c: no load runs ahead of; the latest seen */
	void *context;		    /* ucontext_t */
};

struct sched {
	struct sched_thread thread[SCHED_THREADS_MAX];
	u32 nr_threads;
	struct sched_thread *current; /* NULL: not running threads, steps are not scheduled */
	struct search *search;
	u64 writes;
	u32 steps;
	bool quiet;
	bool failed;
	char failure[512];
	void *main_context;
};

/* One at a time. */
extern struct sched sched;

/* Signals of a crash become failures of the schedule. */
void sched_catch_crashes(void);
void sched_reset(struct search *search);
struct sched_thread *sched_add(const char *name, void (*body)(void *arg), void *arg);
/* Run all threads to their ends, or to a failure. */
void sched_run(void);
/* Before and after the threads, with failures told as theirs are. */
void sched_outside(void (*body)(void));

/* An oracle reads through the code under test: no steps meanwhile. */
void sched_quiet(bool quiet);
/* Before a step that others can see. */
void sched_point(void);
/* This thread has written something. */
void sched_wrote(void);
/* Wait for @what; the condition must not have side effects.  Late stores become visible. */
void sched_wait(const char *what, bool (*condition)(void *arg), void *arg);
void sched_relax(void);

/* An oracle has spoken: the run ends here. */
__attribute__((format(printf, 1, 2))) _Noreturn void sched_fail(const char *format, ...);

/* ---- memory.c -------------------------------------------------------------------- */

/* Make the late stores of @thread visible. */
void memory_drain(struct sched_thread *thread);
/* The same where the running thread takes no other step: others may come in before. */
void memory_drain_as_step(void);

/* What everybody sees at @at: without the stores that are delayed.  No step. */
u64 memory_settled(const void *at, u8 bytes);

/* Told of each freed piece of memory, so that later accesses are noticed. */
void memory_forget(const void *at, size_t bytes);
void memory_reset(void);

#endif
