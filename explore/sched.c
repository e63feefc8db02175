/* SPDX-License-Identifier: BSD-2-Clause */
#include "explore/sched.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "explore/history.h"
#include "explore/trace.h"

#define STACK_BYTES (64u << 10)

struct sched sched;

_Static_assert(SEARCH_DECISIONS_MAX > 2 * SCHED_STEPS_MAX + 1, "each step may be decided");

static sigjmp_buf outside;
static ucontext_t contexts[SCHED_THREADS_MAX], main_context;
static char stacks[SCHED_THREADS_MAX][STACK_BYTES] __attribute__((aligned(64)));

/* ---- life ------------------------------------------------------------------------ */

void sched_reset(struct search *search)
{
	sched = (struct sched){.search = search, .main_context = &main_context};
	search_begin(search);
	memory_reset();
}

struct sched_thread *sched_add(const char *name, void (*body)(void *arg), void *arg)
{
	struct sched_thread *thread = &sched.thread[sched.nr_threads];

	snprintf(thread->name, sizeof(thread->name), "%s", name);
	thread->body = body;
	thread->arg = arg;
	thread->context = &contexts[sched.nr_threads++];
	return thread;
}

static _Noreturn void leave_for_good(void)
{
	sched.current = NULL;
	setcontext(sched.main_context);
	abort();
}

void sched_fail(const char *format, ...)
{
	va_list args;

	if (!sched.failed) {
		sched.failed = true;
		va_start(args, format);
		vsnprintf(sched.failure, sizeof(sched.failure), format, args);
		va_end(args);
		trace_note("FAILED: %s", sched.failure);
	}
	if (sched.current)
		leave_for_good();
	siglongjmp(outside, 1);
}

void sched_outside(void (*body)(void))
{
	if (!sigsetjmp(outside, 0))
		body();
}

/* The code under test has crashed: that is an answer too. */
static void crashed(int signal)
{
	sched_fail("the MMU's code crashes (signal %d)", signal);
}

void sched_catch_crashes(void)
{
	struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_NODEFER};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGFPE, &action, NULL);
}

/* ---- who can go on ----------------------------------------------------------------- */

static bool others_wrote(const struct sched_thread *thread)
{
	return sched.writes - thread->writes != thread->seen;
}

static bool can_go_on(const struct sched_thread *thread)
{
	switch (thread->state) {
	case SCHED_READY:
		return true;
	case SCHED_BLOCKED:
		return thread->condition(thread->condition_arg);
	case SCHED_RELAXING:
		return others_wrote(thread);
	case SCHED_DONE:
		break;
	}
	return false;
}

/* The running thread first, if it can go on; then the others in turn behind it. */
static u32 list_runnable(u8 *list)
{
	u32 first = (u32)(sched.current - sched.thread);
	u32 nr = 0;

	for (u32 i = 0; i < sched.nr_threads; i++) {
		u32 at = (first + i) % sched.nr_threads;

		if (can_go_on(&sched.thread[at]))
			list[nr++] = (u8)at;
	}
	return nr;
}

static void fail_stuck(void)
{
	char who[256] = "";
	size_t used = 0;

	for (u32 i = 0; i < sched.nr_threads && used < sizeof(who); i++) {
		const struct sched_thread *thread = &sched.thread[i];

		if (thread->state != SCHED_DONE)
			used += (size_t)snprintf(who + used, sizeof(who) - used, "%s %s (for %s)",
						 used ? "," : "", thread->name, thread->waits_for);
	}
	sched_fail("no thread can go on; waiting:%s", who);
}

/* ---- switching ----------------------------------------------------------------------- */

static void switch_to(struct sched_thread *next)
{
	struct sched_thread *from = sched.current;

	next->state = SCHED_READY;
	if (next == from)
		return;
	sched.current = next;
	swapcontext(from->context, next->context);
}

static void pass_on(bool may_stay)
{
	u8 list[SCHED_THREADS_MAX];
	u32 nr = list_runnable(list);

	if (!nr)
		fail_stuck();
	else if (nr == 1)
		switch_to(&sched.thread[list[0]]);
	else
		switch_to(&sched.thread[list[search_decide(sched.search, DECIDE_THREAD, nr, list,
							   !may_stay)]]);
}

void sched_quiet(bool quiet)
{
	sched.quiet = quiet;
}

void sched_point(void)
{
	if (!sched.current || sched.quiet)
		return;
	if (++sched.steps > SCHED_STEPS_MAX)
		sched_fail("no end after %u steps", SCHED_STEPS_MAX);
	pass_on(true);
}

void sched_wrote(void)
{
	sched.writes++;
	if (sched.current)
		sched.current->writes++;
}

void sched_wait(const char *what, bool (*condition)(void *arg), void *arg)
{
	struct sched_thread *self = sched.current;

	if (!self && !condition(arg))
		sched_fail("waits for ever for %s, outside any thread", what);
	if (!self)
		return;
	sched_point();
	while (!condition(arg)) {
		memory_drain(self);
		self->state = SCHED_BLOCKED;
		self->condition = condition;
		self->condition_arg = arg;
		self->waits_for = what;
		pass_on(false);
	}
	history_catch_up(self);
}

void sched_relax(void)
{
	struct sched_thread *self = sched.current;

	if (!self)
		sched_fail("waits for ever outside any thread");
	memory_drain_as_step();
	if (++sched.steps > SCHED_STEPS_MAX)
		sched_fail("no end after %u steps", SCHED_STEPS_MAX);
	/*
	 * It looked at some moment since it relaxed last; what was written since
	 * then it may not have seen, so it is entitled to look once more.
	 */
	self->seen = self->relaxed;
	self->relaxed = sched.writes - self->writes;
	self->state = SCHED_RELAXING;
	self->waits_for = "what others do, in a loop";
	pass_on(false);
	history_catch_up(self);
}

/* ---- running ------------------------------------------------------------------------- */

static bool all_done(void)
{
	for (u32 i = 0; i < sched.nr_threads; i++) {
		if (sched.thread[i].state != SCHED_DONE)
			return false;
	}
	return true;
}

static void thread_main(void)
{
	struct sched_thread *self = sched.current;

	self->body(self->arg);
	memory_drain_as_step();
	self->state = SCHED_DONE;
	sched_wrote();
	if (!all_done())
		pass_on(false);
	leave_for_good();
}

static void prepare(u32 i)
{
	ucontext_t *context = &contexts[i];

	getcontext(context);
	context->uc_stack.ss_sp = stacks[i];
	context->uc_stack.ss_size = STACK_BYTES;
	context->uc_link = NULL;
	makecontext(context, thread_main, 0);
}

void sched_run(void)
{
	u8 list[SCHED_THREADS_MAX];

	for (u32 i = 0; i < sched.nr_threads; i++) {
		prepare(i);
		list[i] = (u8)i;
	}
	/* Who begins is a decision too, and no interruption. */
	sched.current = &sched.thread[search_decide(sched.search, DECIDE_THREAD, sched.nr_threads,
						    list, true)];
	swapcontext(&main_context, sched.current->context);
}
