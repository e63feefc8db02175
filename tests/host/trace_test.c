/* SPDX-License-Identifier: BSD-2-Clause */
/* The rings of trace records: order, loss, many threads, signals, ends of threads, fork. */
#include "host/trace.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomics.h"

#define RING HOST_TRACE_RING_RECORDS

static void record(u64 a, u64 b)
{
	kvmu_trace(kvm, kvm_age_hva, a, b);
}

static bool take(struct host_trace_record *r)
{
	struct host_trace_thread thread;

	return host_trace_take(~0ull, r, &thread);
}

/* Everything there is, and how many of them. */
static u64 take_all(u64 *lost)
{
	struct host_trace_record r;
	u64 nr = 0;

	for (*lost = 0; take(&r); nr++)
		*lost += r.lost;
	return nr;
}

static int enable(void **state)
{
	(void)state;
	assert_int_equal(host_trace_enable(KVMU_TRACE_kvm_age_hva), 0);
	return 0;
}

static int disable(void **state)
{
	u64 lost;

	(void)state;
	host_trace_disable();
	take_all(&lost);
	return 0;
}

static void records_come_back_as_they_were(void **state)
{
	struct host_trace_thread thread;
	struct host_trace_record r;
	u64 before = host_trace_now();

	(void)state;
	record(11, 12);
	kvmu_trace(kvm, kvm_test_age_hva, 13); /* not enabled */
	record(14, 15);
	assert_true(host_trace_take(~0ull, &r, &thread));
	assert_int_equal(r.event, KVMU_TRACE_kvm_age_hva);
	assert_int_equal(r.fields[0], 11);
	assert_int_equal(r.fields[1], 12);
	assert_int_equal(r.lost, 0);
	assert_true(r.ns >= before && r.ns <= host_trace_now());
	assert_int_equal(thread.tid, gettid());
	assert_string_equal(thread.comm, "host_trace_test");
	assert_true(take(&r));
	assert_int_equal(r.fields[0], 14);
	assert_false(take(&r));
}

static void what_is_younger_waits(void **state)
{
	struct host_trace_thread thread;
	struct host_trace_record r;
	u64 between;

	(void)state;
	record(1, 0);
	between = host_trace_now() + 1;
	while (host_trace_now() <= between)
		continue;
	record(2, 0);
	assert_true(host_trace_take(between, &r, &thread));
	assert_int_equal(r.fields[0], 1);
	assert_false(host_trace_take(between, &r, &thread));
	assert_true(take(&r));
	assert_int_equal(r.fields[0], 2);
}

static void a_full_ring_drops_and_tells(void **state)
{
	struct host_trace_record r;
	u64 before = host_trace_lost();

	(void)state;
	for (u64 i = 0; i < RING + 77; i++)
		record(i, 0);
	assert_int_equal(host_trace_lost() - before, 77);
	for (u64 i = 0; i < RING; i++) {
		assert_true(take(&r));
		assert_int_equal(r.fields[0], i);
		assert_int_equal(r.lost, 0);
	}
	assert_false(take(&r));
	record(5, 0);
	assert_true(take(&r));
	assert_int_equal(r.lost, 77);
	assert_int_equal(host_trace_lost(), before);
}

/* ---- many threads --------------------------------------------------------------------------- */

#define WRITERS	  4
#define PER_WRITE 200000u

static void *write_many(void *arg)
{
	for (u64 i = 0; i < PER_WRITE; i++)
		record((u64)(uintptr_t)arg, i);
	return NULL;
}

/* Each writer's numbers only grow; what is missing is exactly what is said to be lost. */
static void threads_are_each_in_order_and_all_accounted_for(void **state)
{
	u64 next[WRITERS] = {0}, taken = 0, said = 0, before = host_trace_lost();
	pthread_t writer[WRITERS];
	struct host_trace_record r;
	bool over = false;

	(void)state;
	for (u64 i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&writer[i], NULL, write_many, (void *)(uintptr_t)i),
				 0);
	for (u64 turns = 0; !over; turns++) {
		/* Now and then the reader is slow, so that something is lost. */
		if (turns == 1000 || turns == 50000)
			usleep(30000);
		if (take(&r)) {
			u64 who = r.fields[0];

			assert_int_equal(r.fields[1], next[who] + r.lost);
			next[who] = r.fields[1] + 1;
			said += r.lost;
			taken++;
			continue;
		}
		over = true;
		for (u64 i = 0; i < WRITERS; i++)
			over = over && next[i] == PER_WRITE;
		/* A writer whose last records were lost never tells; it ends, and that does. */
		if (!over && taken + said + host_trace_lost() - before >= WRITERS * PER_WRITE)
			over = true;
	}
	for (u64 i = 0; i < WRITERS; i++)
		pthread_join(writer[i], NULL);
	assert_false(take(&r));
	assert_int_equal(taken + said + host_trace_lost() - before, WRITERS * PER_WRITE);
}

static void *write_one(void *arg)
{
	record((u64)(uintptr_t)arg, 0);
	return NULL;
}

static u64 mapped_kib(void)
{
	char line[256];
	unsigned long kib = 0;
	FILE *file = fopen("/proc/self/status", "r");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "VmSize: %lu", &kib) == 1)
			break;
	}
	fclose(file);
	return kib;
}

/* A ring outlives its thread until it is read, and no longer. */
static void rings_of_ended_threads_are_given_back(void **state)
{
	struct host_trace_record r;
	u64 before = 0;

	(void)state;
	for (u64 i = 0; i < 200; i++) {
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, write_one, (void *)(uintptr_t)i), 0);
		pthread_join(thread, NULL);
		assert_true(take(&r));
		assert_int_equal(r.fields[0], i);
		assert_false(take(&r));
		if (i == 20)
			before = mapped_kib();
	}
	/* 180 rings would be some 500 MiB. */
	assert_true(mapped_kib() < before + 50 * 1024);
}

/* ---- signals and fork ------------------------------------------------------------------- */

static u64 nr_signals;

static void on_alarm(int sig)
{
	(void)sig;
	nr_signals++;
	record(1, nr_signals);
}

/* A handler that records while its thread records: its record is in or counted as lost. */
static void a_signal_handler_may_record(void **state)
{
	const struct itimerval fast = {{.tv_usec = 50}, {.tv_usec = 50}}, off = {{0}, {0}};
	struct sigaction action = {.sa_handler = on_alarm};
	u64 own = 0, taken = 0, lost, before = host_trace_lost();

	(void)state;
	nr_signals = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &fast, NULL);
	while (atomic_peek(&nr_signals) < 500) {
		for (u32 i = 0; i < 100; i++, own++)
			record(0, own);
		taken += take_all(&lost) + lost;
	}
	setitimer(ITIMER_REAL, &off, NULL);
	taken += take_all(&lost) + lost;
	assert_int_equal(taken + host_trace_lost() - before, own + nr_signals);
}

static void a_child_of_fork_starts_with_nothing(void **state)
{
	struct host_trace_record r;
	int status;
	pid_t child;

	(void)state;
	record(1, 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		host_trace_fork_child();
		if (take(&r))
			_exit(1);
		record(2, 0);
		_exit(take(&r) && r.fields[0] == 2 ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(take(&r));
	assert_int_equal(r.fields[0], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_come_back_as_they_were, enable, disable),
		cmocka_unit_test_setup_teardown(what_is_younger_waits, enable, disable),
		cmocka_unit_test_setup_teardown(a_full_ring_drops_and_tells, enable, disable),
		cmocka_unit_test_setup_teardown(threads_are_each_in_order_and_all_accounted_for,
						enable, disable),
		cmocka_unit_test_setup_teardown(rings_of_ended_threads_are_given_back, enable,
						disable),
		cmocka_unit_test_setup_teardown(a_signal_handler_may_record, enable, disable),
		cmocka_unit_test_setup_teardown(a_child_of_fork_starts_with_nothing, enable,
						disable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
