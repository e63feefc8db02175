/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared memory as the threads see it.  A delayed store is in memory for its own
 * thread, plain reads included; until something orders it, the others are shown
 * what was there before.
 */
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "explore/atomics.h"
#include "explore/history.h"
#include "explore/sched.h"
#include "explore/trace.h"

/* ---- plain access ------------------------------------------------------------------ */

static u64 read_bytes(const void *at, u8 bytes)
{
	u64 value = 0;

	/* Nearly all are: the oracles of the end read every entry of every table. */
	if (likely(bytes == sizeof(value)))
		memcpy(&value, at, sizeof(value));
	else
		memcpy(&value, at, bytes);
	return value;
}

static void write_bytes(void *at, u8 bytes, u64 value)
{
	if (sched.current)
		history_note(sched.current, at, bytes, read_bytes(at, bytes), value);
	memcpy(at, &value, bytes);
	sched_wrote();
}

/* ---- memory that was given back ---------------------------------------------------- */

#define FORGOTTEN_MAX 64u

static struct {
	uintptr_t start, end;
} forgotten[FORGOTTEN_MAX];
static u32 nr_forgotten;

void memory_reset(void)
{
	nr_forgotten = 0;
	history_reset();
}

void memory_forget(const void *at, size_t bytes)
{
	if (nr_forgotten == FORGOTTEN_MAX)
		return;
	forgotten[nr_forgotten].start = (uintptr_t)at;
	forgotten[nr_forgotten++].end = (uintptr_t)at + bytes;
}

static void check_alive(const void *at, const struct explore_site *site)
{
	for (u32 i = 0; i < nr_forgotten; i++) {
		if ((uintptr_t)at - forgotten[i].start < forgotten[i].end - forgotten[i].start)
			sched_fail("%s:%d uses %s after it was freed", trace_file(site->file),
				   site->line, site->text);
	}
}

/* ---- late stores --------------------------------------------------------------------- */

/* What @thread's late store @nr put there, before it stored there again. */
static u64 stored(const struct sched_thread *thread, u32 nr)
{
	const struct late_store *late = &thread->late[nr];

	for (u32 i = nr + 1; i < thread->nr_late; i++) {
		if (thread->late[i].at == late->at)
			return thread->late[i].before;
	}
	return read_bytes(late->at, late->bytes);
}

static void make_visible(struct sched_thread *thread, u32 upto)
{
	for (u32 i = 0; i < upto; i++) {
		const struct late_store *late = &thread->late[i];

		history_note(thread, late->at, late->bytes, late->before, stored(thread, i));
		trace_late(thread, late);
		sched.writes++;
		thread->writes++;
	}
	thread->nr_late -= upto;
	memmove(thread->late, &thread->late[upto], thread->nr_late * sizeof(thread->late[0]));
}

void memory_drain(struct sched_thread *thread)
{
	make_visible(thread, thread->nr_late);
}

void memory_drain_as_step(void)
{
	if (sched.current->nr_late)
		sched_point();
	memory_drain(sched.current);
}

/* What a store to @at may not overtake: ordered ones, and those to the same place. */
static void drain_before(struct sched_thread *thread, const void *at)
{
	u32 upto = 0;

	for (u32 i = 0; i < thread->nr_late; i++) {
		if (thread->late[i].ordered || thread->late[i].at == at)
			upto = i + 1;
	}
	make_visible(thread, upto);
}

/* A place that two threads write: what the other has delayed comes first. */
static void drain_others(const void *at)
{
	for (u32 i = 0; i < sched.nr_threads; i++) {
		struct sched_thread *thread = &sched.thread[i];

		for (u32 k = 0; thread != sched.current && k < thread->nr_late; k++) {
			if (thread->late[k].at == at) {
				make_visible(thread, k + 1);
				k = (u32)-1;
			}
		}
	}
}

/* What @at holds for @viewer; for NULL, what nobody has delayed. */
static u64 visible(const struct sched_thread *viewer, const void *at, u8 bytes)
{
	for (u32 i = 0; i < sched.nr_threads; i++) {
		const struct sched_thread *thread = &sched.thread[i];

		for (u32 k = 0; thread != viewer && k < thread->nr_late; k++) {
			if (thread->late[k].at == at)
				return thread->late[k].before;
		}
	}
	return read_bytes(at, bytes);
}

u64 memory_settled(const void *at, u8 bytes)
{
	return visible(NULL, at, bytes);
}

static bool delay(struct sched_thread *self, void *at, u8 bytes, u64 value,
		  const struct explore_site *site)
{
	if (self->nr_late == SCHED_LATE_STORES ||
	    !search_decide(sched.search, DECIDE_DELAY, 2, NULL, false))
		return false;
	self->late[self->nr_late++] =
		(struct late_store){.at = at, .bytes = bytes, .before = read_bytes(at, bytes)};
	memcpy(at, &value, bytes);
	trace_step(site, "delays", at, self->late[self->nr_late - 1].before, value);
	return true;
}

/* ---- the steps ----------------------------------------------------------------------- */

u64 explore_load(const void *at, u8 bytes, bool is_pointer, enum explore_load_order order,
		 const struct explore_site *site)
{
	u64 now, value;

	if (!sched.current)
		return read_bytes(at, bytes);
	sched_point();
	check_alive(at, site);
	now = visible(sched.current, at, bytes);
	value = sched.quiet ? now
			    : history_load(at, bytes, now, is_pointer || order == EXPLORE_ACQUIRE);
	trace_step(site, value == now ? "reads" : "reads ahead", at, value, value);
	if (is_pointer)
		sched_point();
	return value;
}

void explore_store(void *at, u8 bytes, u64 value, enum explore_order order,
		   const struct explore_site *site)
{
	struct sched_thread *self = sched.current;
	u64 before;

	sched_point();
	check_alive(at, site);
	if (self) {
		drain_others(at);
		if (order == EXPLORE_PUBLISH)
			memory_drain(self);
		if (delay(self, at, bytes, value, site))
			return;
		drain_before(self, at);
	}
	before = read_bytes(at, bytes);
	write_bytes(at, bytes, value);
	trace_step(site, "writes", at, before, value);
}

static void catch_up(void)
{
	if (sched.current)
		history_catch_up(sched.current);
}

static u64 combine(enum explore_rmw how, u64 old, u64 operand)
{
	switch (how) {
	case EXPLORE_ADD:
		return old + operand;
	case EXPLORE_SUB:
		return old - operand;
	case EXPLORE_OR:
		return old | operand;
	case EXPLORE_AND:
		return old & operand;
	case EXPLORE_EXCHANGE:
		break;
	}
	return operand;
}

u64 explore_count(void *at, u8 bytes, enum explore_rmw how, u64 operand)
{
	u64 old = read_bytes(at, bytes), new = combine(how, old, operand);

	memcpy(at, &new, bytes);
	return old;
}

static void drain_own(void)
{
	if (sched.current)
		memory_drain(sched.current);
}

static void begin_rmw(const void *at, const struct explore_site *site)
{
	sched_point();
	check_alive(at, site);
	if (sched.current)
		drain_others(at);
}

u64 explore_rmw(void *at, u8 bytes, enum explore_rmw how, u64 operand,
		const struct explore_site *site)
{
	u64 old;

	begin_rmw(at, site);
	drain_own();
	old = read_bytes(at, bytes);
	write_bytes(at, bytes, combine(how, old, operand));
	catch_up();
	trace_step(site, "changes", at, old, read_bytes(at, bytes));
	return old;
}

bool explore_cmpxchg(void *at, u8 bytes, u64 *expected, u64 desired,
		     const struct explore_site *site)
{
	u64 old;

	begin_rmw(at, site);
	old = read_bytes(at, bytes);
	/* Then it is a load and no more: what was stored before may still be seen late. */
	if (old != *expected) {
		trace_step(site, "fails to change", at, old, old);
		*expected = old;
		catch_up();
		return false;
	}
	drain_own();
	write_bytes(at, bytes, desired);
	catch_up();
	trace_step(site, "exchanges", at, old, desired);
	return true;
}

void explore_barrier_full(const struct explore_site *site)
{
	(void)site;
	if (!sched.current || sched.quiet)
		return;
	memory_drain_as_step();
	catch_up();
}

void explore_barrier_write(void)
{
	struct sched_thread *self = sched.current;

	for (u32 i = 0; self && i < self->nr_late; i++)
		self->late[i].ordered = true;
}

void explore_barrier_read(void)
{
	history_order_loads();
}

void explore_relax(void)
{
	sched_relax();
}
