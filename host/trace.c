/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The trace points on Linux: a static probe (USDT) for each, for tracers of the
 * system, and rings of records for `kvmu trace`.
 *
 * Each thread has a ring that only it fills, so that recording takes no lock;
 * one reader empties them all.
 */
#include "host/trace.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>

#include "base/atomics.h"
#include "base/bits.h"
#include "host/sys.h"

/* ---- static probes --------------------------------------------------------------------- */

/* In this section a tracer that attaches adds 1 where the probe's note says. */
#define DEFINE_SEMAPHORE(system, name, nr, fields) \
	u16 system##_##name##_semaphore __attribute__((section(".probes")));
KVMU_TRACE_EVENTS(DEFINE_SEMAPHORE)

static u16 *const semaphores[] = {
#define SEMAPHORE_ADDRESS(system, name, nr, fields) &system##_##name##_semaphore,
	KVMU_TRACE_EVENTS(SEMAPHORE_ADDRESS)};

#define PROBE_1(s, n, f) STAP_PROBE1(s, n, f[0])
#define PROBE_2(s, n, f) STAP_PROBE2(s, n, f[0], f[1])
#define PROBE_3(s, n, f) STAP_PROBE3(s, n, f[0], f[1], f[2])
#define PROBE_4(s, n, f) STAP_PROBE4(s, n, f[0], f[1], f[2], f[3])
#define PROBE_5(s, n, f) STAP_PROBE5(s, n, f[0], f[1], f[2], f[3], f[4])
#define PROBE_7(s, n, f) STAP_PROBE7(s, n, f[0], f[1], f[2], f[3], f[4], f[5], f[6])
#define PROBE_8(s, n, f) STAP_PROBE8(s, n, f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7])

static void probe(enum kvmu_trace_event event, const u64 *f)
{
	switch (event) {
#define PROBE(system, name, nr, fields)      \
	case KVMU_TRACE_##name:              \
		PROBE_##nr(system, name, f); \
		break;
		KVMU_TRACE_EVENTS(PROBE)
	case KVMU_TRACE_NR:
		break;
	}
}

/* ---- rings ------------------------------------------------------------------------------- */

struct trace_ring {
	struct trace_ring *next; /* list of all; the reader unlinks */
	u32 head;		 /* written by the thread */
	u32 lost;		 /* since the last record (thread) */
	bool busy;		 /* the thread is inside; a signal handler of it is not */
	bool done;		 /* the thread has ended */
	struct host_trace_thread thread;
	_Alignas(64) u32 tail; /* written by the reader */
	_Alignas(64) struct host_trace_record records[HOST_TRACE_RING_RECORDS];
};

static const u32 field_count[] = {
#define FIELD_COUNT(system, name, nr, fields) nr,
	KVMU_TRACE_EVENTS(FIELD_COUNT)};

static struct {
	struct trace_ring *first;
	u64 recorded;	 /* events that go to the rings, a bit each */
	u64 lost_untold; /* by threads that have ended, or got no ring */
	u32 nr_freed;	 /* rings given back to the system, which may hand them out again */
	int key_error;	 /* -errno: nobody would say when a thread ends */
	pthread_key_t key;
	pthread_once_t once;
} trace = {.once = PTHREAD_ONCE_INIT};

_Static_assert(KVMU_TRACE_NR <= 64, "a bit for each event");

/* Initial-exec: no allocation behind our back at the first use in a thread. */
static __thread struct trace_ring *own_ring __attribute__((tls_model("initial-exec")));

static void thread_ends(void *arg)
{
	struct trace_ring *ring = arg;

	own_ring = NULL;
	/* The last that the thread does to it: pairs with the reader's look before it frees. */
	atomic_publish(&ring->done, true);
}

static void make_key(void)
{
	trace.key_error = kvmu_inject(SITE_trace_key);
	if (!trace.key_error)
		trace.key_error = -pthread_key_create(&trace.key, thread_ends);
}

/* By system calls of ours: the thread may be anywhere, in malloc for instance. */
static struct trace_ring *new_ring(void)
{
	long map = host_call(trace_ring, SYS_mmap, 0, sizeof(struct trace_ring),
			     PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			     -1, 0);
	struct trace_ring *ring;

	if (map < 0)
		return NULL;
	/* Whoever had this memory before is done with it: pairs with free_ring(). */
	(void)atomic_observe(&trace.nr_freed);
	ring = hva_to_ptr((hva_t)map);
	ring->thread.tid = (int)host_sure(SYS_gettid, 0);
	prctl(PR_GET_NAME, ring->thread.comm);
	pthread_setspecific(trace.key, ring);
	ring->next = atomic_peek(&trace.first);
	/* Pairs with the reader's walk of the list. */
	while (!__atomic_compare_exchange_n(&trace.first, &ring->next, ring, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		continue;
	own_ring = ring;
	return ring;
}

u64 host_trace_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000u + (u64)now.tv_nsec;
}

static void fill(struct trace_ring *ring, enum kvmu_trace_event event, const u64 *fields)
{
	struct host_trace_record *record = &ring->records[ring->head % HOST_TRACE_RING_RECORDS];

	record->ns = host_trace_now();
	record->event = (u16)event;
	record->cpu = (u16)sched_getcpu();
	/* A signal handler of this thread may be counting at any instruction. */
	record->lost = atomic_peek(&ring->lost) ? atomic_exchange(&ring->lost, 0) : 0;
	for (u32 i = 0; i < field_count[event]; i++)
		record->fields[i] = fields[i];
	/* The record before the head: pairs with the reader. */
	atomic_publish(&ring->head, ring->head + 1);
}

static void record(enum kvmu_trace_event event, const u64 *fields)
{
	struct trace_ring *ring = own_ring ? own_ring : new_ring();

	if (!ring) {
		atomic_add(&trace.lost_untold, 1);
		return;
	}
	/* A signal handler that came while its thread was filling a record. */
	if (ring->busy || ring->head - atomic_observe(&ring->tail) == HOST_TRACE_RING_RECORDS) {
		atomic_add(&ring->lost, 1);
		return;
	}
	ring->busy = true;
	barrier_compiler();
	fill(ring, event, fields);
	barrier_compiler();
	ring->busy = false;
}

void kvmu_trace_emit(enum kvmu_trace_event event, const u64 *fields)
{
	probe(event, fields);
	if (atomic_peek(&trace.recorded) & BIT_ULL(event))
		record(event, fields);
}

/* ---- the reader ------------------------------------------------------------------------------ */

int host_trace_enable(enum kvmu_trace_event event)
{
	pthread_once(&trace.once, make_key);
	if (trace.key_error)
		return trace.key_error;
	__atomic_fetch_or(&trace.recorded, BIT_ULL(event), __ATOMIC_RELAXED);
	atomic_add(semaphores[event], 1);
	return 0;
}

void host_trace_disable(void)
{
	u64 recorded = __atomic_exchange_n(&trace.recorded, 0, __ATOMIC_RELAXED);

	for (u32 i = 0; i < KVMU_TRACE_NR; i++) {
		if (recorded & BIT_ULL(i))
			atomic_sub(semaphores[i], 1);
	}
}

static bool ring_empty(const struct trace_ring *ring)
{
	return atomic_observe(&ring->head) == ring->tail;
}

static void free_ring(struct trace_ring *ring)
{
	atomic_publish(&trace.nr_freed, trace.nr_freed + 1);
	host_munmap(ring, sizeof(*ring));
}

/* Only the reader unlinks; threads push at the front meanwhile. */
static void unlink_ring(struct trace_ring **link, struct trace_ring *ring)
{
	struct trace_ring *seen = ring;

	if (link != &trace.first) {
		*link = ring->next;
		return;
	}
	if (__atomic_compare_exchange_n(&trace.first, &seen, ring->next, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return;
	while (seen->next != ring)
		seen = seen->next;
	seen->next = ring->next;
}

/* The ring with the earliest record, and the ends of threads cleaned up on the way. */
static struct trace_ring *earliest_ring(u64 until_ns)
{
	struct trace_ring **link = &trace.first, *ring, *best = NULL;
	u64 best_ns = until_ns;

	for (ring = atomic_observe(link); ring; ring = atomic_peek(link)) {
		/* In this order: the thread ends after its last record. */
		bool done = atomic_observe(&ring->done);

		if (done && ring_empty(ring)) {
			atomic_add(&trace.lost_untold, ring->lost);
			unlink_ring(link, ring);
			free_ring(ring);
			continue;
		}
		if (!ring_empty(ring)) {
			u64 ns = ring->records[ring->tail % HOST_TRACE_RING_RECORDS].ns;

			if (ns < best_ns) {
				best_ns = ns;
				best = ring;
			}
		}
		link = &ring->next;
	}
	return best;
}

u64 host_trace_lost(void)
{
	u64 lost = atomic_peek(&trace.lost_untold);

	for (struct trace_ring *ring = atomic_observe(&trace.first); ring; ring = ring->next)
		lost += atomic_peek(&ring->lost);
	return lost;
}

bool host_trace_take(u64 until_ns, struct host_trace_record *record_out,
		     struct host_trace_thread *thread)
{
	struct trace_ring *ring = earliest_ring(until_ns);

	if (!ring)
		return false;
	*record_out = ring->records[ring->tail % HOST_TRACE_RING_RECORDS];
	*thread = ring->thread;
	/* The copy before the room: pairs with record(). */
	atomic_publish(&ring->tail, ring->tail + 1);
	return true;
}

void host_trace_fork_child(void)
{
	struct trace_ring *ring = trace.first;

	while (ring) {
		struct trace_ring *next = ring->next;

		free_ring(ring);
		ring = next;
	}
	trace.first = NULL;
	if (own_ring)
		pthread_setspecific(trace.key, NULL);
	own_ring = NULL;
}
