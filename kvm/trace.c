/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `kvmu trace`: a thread of ours takes records from the rings and writes them as
 * text.  It exists only in processes that are traced and have opened /dev/kvm.
 *
 * The program may close our descriptor, and the number may become one of its
 * own files: before each write the file behind the number is looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/atomics.h"
#include "base/bits.h"
#include "host/sys.h"
#include "host/trace.h"
#include "kvm/file.h"
#include "kvm/kvm_api.h"
#include "kvm/process.h"
#include "kvm/trace.h"
#include "kvm/trace_text.h"

/* How long a record may wait in its ring, which holds some thousands. */
#define TURN_NS 5000000u
/* What is younger waits for the next turn: a thread may be between the clock and its ring. */
#define SETTLE_NS    1000000u
#define BUSY_RECORDS (HOST_TRACE_RING_RECORDS / 16)
#define OUT_BYTES    65536u
/* Away from the low numbers that programs expect to get. */
#define HIGH_FD 900

static struct {
	pthread_mutex_t lock; /* of everything below, and of the reader's side of the rings */
	bool wanted;
	bool running; /* the thread */
	bool header;  /* written */
	int fd;
	dev_t dev;
	ino_t ino;
	char path[PATH_MAX]; /* "": standard error */
	u64 records, lost;
	size_t used;
	char out[OUT_BYTES];
} session = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

/* ---- where it goes ------------------------------------------------------------------------- */

static int open_output(void)
{
	long fd = session.path[0] ? host_call(trace_output, SYS_openat, AT_FDCWD, session.path,
					      O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)
				  : 2;
	long high;

	if (fd < 0)
		return -1;
	high = host_call(trace_output, SYS_fcntl, fd, F_DUPFD_CLOEXEC, HIGH_FD);
	/* The program may not have that many. */
	if (high < 0)
		high = host_call(trace_output, SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
	if (fd != 2)
		kvm_raw_close((int)fd);
	return (int)high;
}

static bool is_our_output(int fd)
{
	struct stat st;

	return fd >= 0 && host_call(trace_output, SYS_fstat, fd, &st) == 0 &&
	       st.st_dev == session.dev && st.st_ino == session.ino;
}

static bool output_ready(void)
{
	struct stat st;

	if (is_our_output(session.fd))
		return true;
	/* The program has closed our copy of its standard error, and may have replaced that too. */
	if (session.fd >= 0 && !session.path[0] && !is_our_output(2))
		return false;
	session.fd = open_output();
	if (session.fd < 0 || host_call(trace_output, SYS_fstat, session.fd, &st) < 0)
		return false;
	session.dev = st.st_dev;
	session.ino = st.st_ino;
	return true;
}

/* Whole lines in one call: another process may be writing to the same file. */
static void write_out(void)
{
	size_t done = 0;

	if (session.used && output_ready()) {
		while (done < session.used) {
			long n = host_call(trace_output, SYS_write, session.fd, session.out + done,
					   session.used - done);

			if (n < 0 && n != -EINTR)
				break;
			done += n > 0 ? (size_t)n : 0;
		}
	}
	session.used = 0;
}

static void put(const char *text, size_t bytes)
{
	if (session.used + bytes > OUT_BYTES)
		write_out();
	memcpy(session.out + session.used, text, bytes);
	session.used += bytes;
}

/* ---- the turns ----------------------------------------------------------------------------- */

static void print_record(const struct host_trace_record *record,
			 const struct host_trace_thread *thread)
{
	char line[TRACE_LINE_BYTES];

	if (!session.header)
		put(trace_text_header, strlen(trace_text_header));
	session.header = true;
	session.records++;
	session.lost += record->lost;
	put(line, trace_text_line(line, sizeof(line), record, thread));
}

static u32 drain_locked(u64 until_ns)
{
	struct host_trace_record record;
	struct host_trace_thread thread;
	int saved = errno;
	u32 nr = 0;

	for (; host_trace_take(until_ns, &record, &thread); nr++)
		print_record(&record, &thread);
	write_out();
	errno = saved;
	return nr;
}

static void *run(void *arg)
{
	const struct timespec turn = {.tv_nsec = TURN_NS};

	u32 nr = 0;

	(void)arg;
	prctl(PR_SET_NAME, "kvmu-trace");
	for (;;) {
		/* Much to write: more has come meanwhile. */
		if (nr < BUSY_RECORDS)
			clock_nanosleep(CLOCK_MONOTONIC, 0, &turn, NULL);
		pthread_mutex_lock(&session.lock);
		nr = drain_locked(host_trace_now() - SETTLE_NS);
		pthread_mutex_unlock(&session.lock);
	}
	return NULL;
}

static bool create_thread(void)
{
	pthread_t thread;
	int err = host_thread_create(SITE_trace_thread, &thread, run, NULL);

	if (!err)
		pthread_detach(thread);
	return !err;
}

void kvm_api_trace_open(void)
{
	if (likely(!session.wanted))
		return;
	pthread_mutex_lock(&session.lock);
	if (!session.running)
		session.running = create_thread();
	pthread_mutex_unlock(&session.lock);
}

/* ---- start and end ------------------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t len;
} names[] = {
#define NAME(system, name, nr, fields) {#name, sizeof(#name) - 1},
	KVMU_TRACE_EVENTS(NAME)};

static void say_no_trace(void)
{
	static const char text[] = "kvmu: no trace: threads' ends cannot be watched\n";

	host_sure(SYS_write, 2, text, sizeof(text) - 1);
}

static void enable_named(const char *name, size_t len)
{
	for (u32 i = 0; i < KVMU_TRACE_NR; i++) {
		if (names[i].len == len && !memcmp(names[i].name, name, len)) {
			if (host_trace_enable((enum kvmu_trace_event)i))
				say_no_trace();
			else
				session.wanted = true;
		}
	}
}

void kvm_api_trace_start(const char *events, const char *path)
{
	while (*events) {
		size_t len = strcspn(events, ",");

		enable_named(events, len);
		events += len + (events[len] == ',');
	}
	if (path)
		snprintf(session.path, sizeof(session.path), "%s", path);
}

static void say_what_was_lost(void)
{
	char line[TRACE_LINE_BYTES];
	int n = snprintf(line, sizeof(line), "# kvmu: process %d: %llu events, %llu lost\n",
			 (int)host_sure(SYS_getpid, 0), (unsigned long long)session.records,
			 (unsigned long long)session.lost);

	if (session.records || session.lost)
		put(line, (size_t)n);
	session.records = session.lost = 0;
}

void kvm_api_trace_finish(void)
{
	/* A child of vfork has its parent's memory, and must not end its parent's trace. */
	if (likely(!session.wanted) || !kvm_process_is_own())
		return;
	pthread_mutex_lock(&session.lock);
	host_trace_disable();
	session.wanted = false;
	drain_locked(~0ull);
	session.lost += host_trace_lost();
	say_what_was_lost();
	write_out();
	pthread_mutex_unlock(&session.lock);
}

void kvm_api_trace_flush_dying(void)
{
	if (likely(!session.wanted) || !kvm_process_is_own() ||
	    pthread_mutex_trylock(&session.lock))
		return;
	drain_locked(~0ull);
	pthread_mutex_unlock(&session.lock);
}

void kvm_trace_fork_prepare(void)
{
	pthread_mutex_lock(&session.lock);
}

void kvm_trace_fork_parent(void)
{
	pthread_mutex_unlock(&session.lock);
}

void kvm_trace_fork_child(void)
{
	host_trace_fork_child();
	session.running = false;
	session.used = 0;
	session.records = session.lost = 0;
	pthread_mutex_unlock(&session.lock);
}
