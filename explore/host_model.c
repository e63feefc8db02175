/* SPDX-License-Identifier: BSD-2-Clause */
#include "explore/host_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/trace.h"
#include "explore/history.h"
#include "explore/sched.h"
#include "explore/trace.h"
#include "mmu/mmu_host.h"
#include "pgtable/env.h"

struct host_page host_pages[HOST_PAGES];

struct host_page *host_page_at(hva_t hva)
{
	u64 page = (hva - HOST_MEMORY) >> PAGE_SHIFT;

	return page < HOST_PAGES ? &host_pages[page] : NULL;
}

/* ---- memory for the MMU itself ------------------------------------------------------- */

/*
 * Used from the start in each run, so that runs see the same addresses.  Nothing
 * is used twice within a run: what is freed is remembered.
 */
#define OBJECT_BYTES (1u << 20)
#define CHUNKS	     4u

static char objects[OBJECT_BYTES] __attribute__((aligned(64)));
static size_t objects_used;
static char chunks[CHUNKS][PGT_CHUNK_BYTES] __attribute__((aligned(PGT_CHUNK_BYTES)));
static u32 nr_chunks;

/* A chunk's records, and as many of its pages as can have been in use. */
static size_t dirty_bytes(u64 tables)
{
	u64 bytes = 4 * PAGE_SIZE + (tables << PAGE_SHIFT);

	return bytes < PGT_CHUNK_BYTES ? (size_t)bytes : PGT_CHUNK_BYTES;
}

void host_reset(u64 tables)
{
	memset(objects, 0, objects_used);
	objects_used = 0;
	for (u32 i = 0; i < nr_chunks; i++)
		memset(chunks[i], 0, dirty_bytes(tables));
	nr_chunks = 0;
	for (u32 i = 0; i < HOST_PAGES; i++)
		host_pages[i] = (struct host_page){.resident = true};
}

void *mmu_host_alloc_chunk(enum kvmu_site site, size_t bytes)
{
	(void)site;
	if (nr_chunks == CHUNKS || bytes != PGT_CHUNK_BYTES)
		return NULL;
	return chunks[nr_chunks++];
}

void mmu_host_free_chunk(void *chunk, size_t bytes)
{
	memory_forget(chunk, bytes);
}

static char *take_object(size_t bytes)
{
	size_t start = (size_t)align_up(objects_used, 64);

	if (start + bytes > OBJECT_BYTES) {
		sched_fail("the model's memory is used up");
		return NULL;
	}
	objects_used = start + bytes;
	return objects + start;
}

#define FREED_BYTE 0xdb

/* The size stands before what is handed out. */
#define OBJECT_HEAD 64u

void *mmu_host_alloc(enum kvmu_site site, size_t bytes)
{
	char *object = take_object(bytes + OBJECT_HEAD);

	(void)site;
	if (!object)
		return NULL;
	memcpy(object, &bytes, sizeof(bytes));
	return object + OBJECT_HEAD;
}

void mmu_host_free(void *ptr)
{
	size_t bytes;

	if (!ptr)
		return;
	memcpy(&bytes, (char *)ptr - OBJECT_HEAD, sizeof(bytes));
	memory_forget(ptr, bytes);
	/* Whoever still reads it shall not find what was there. */
	memset(ptr, FREED_BYTE, bytes);
}

/* ---- program memory ------------------------------------------------------------------- */

int mmu_host_faultin_page(hva_t hva, bool write)
{
	struct host_page *page = host_page_at(hva);

	(void)write;
	sched_point();
	if (!page || page->gone) {
		trace_note("the host has nothing at page %llu",
			   (unsigned long long)((hva - HOST_MEMORY) >> PAGE_SHIFT));
		return -EFAULT;
	}
	page->resident = true;
	trace_note("the host gives page %u", (u32)(page - host_pages));
	/* The page may go between the answer and its use. */
	sched_point();
	return 0;
}

/* The model has no blocks: all of them would have to be resident. */
enum pg_level mmu_host_resident_level(hva_t hva, enum pg_level max_level)
{
	(void)hva;
	(void)max_level;
	return PG_LEVEL_4K;
}

/* The oracle: KVM itself leaves the memory of slots that are gone alone. */
static void judge_copy(const struct host_page *page)
{
	if (page && !page->in_slot && !page->changing)
		sched_fail("KVM copies from or to page %u of the program, which is in no slot",
			   (u32)(page - host_pages));
}

int mmu_host_copy_from_hva(void *buf, hva_t hva, u64 bytes)
{
	struct host_page *page = host_page_at(hva);

	sched_point();
	judge_copy(page);
	memset(buf, 0, bytes);
	return page && !page->gone ? 0 : -EFAULT;
}

int mmu_host_copy_to_hva(hva_t hva, const void *buf, u64 bytes)
{
	struct host_page *page = host_page_at(hva);

	(void)buf;
	(void)bytes;
	sched_point();
	judge_copy(page);
	if (!page || page->gone)
		return -EFAULT;
	page->content++;
	return 0;
}

int mmu_host_gmem_map(u64 bytes, hva_t *base)
{
	*base = HOST_PAGE_HVA(HOST_SHARED);
	return bytes <= (u64)HOST_PRIVATE << PAGE_SHIFT ? 0 : -ENOMEM;
}

void mmu_host_gmem_unmap(hva_t base, u64 bytes)
{
	for (hva_t hva = base; hva < base + bytes; hva += PAGE_SIZE)
		host_page_at(hva)->gone = true;
}

/* The pages of a hole are gone until they are asked for again. */
int mmu_host_gmem_punch(hva_t start, u64 bytes)
{
	for (hva_t hva = start; hva < start + bytes; hva += PAGE_SIZE)
		host_page_at(hva)->resident = false;
	trace_note("the hole is punched");
	sched_point();
	return 0;
}

int mmu_host_gmem_allocate(hva_t start, u64 bytes)
{
	for (hva_t hva = start; hva < start + bytes; hva += PAGE_SIZE)
		host_page_at(hva)->resident = true;
	return 0;
}

/* ---- locks ------------------------------------------------------------------------------ */

struct lock {
	struct sched_thread *writer;
	u32 readers;
	u32 writers_waiting;
	u32 readers_of[SCHED_THREADS_MAX];
};

_Static_assert(sizeof(struct lock) <= sizeof(struct mmu_rwlock), "lock does not fit");
_Static_assert(sizeof(struct sched_thread *) <= sizeof(struct mmu_mutex), "mutex does not fit");

/* Outside threads everything is held by nobody in particular. */
static struct sched_thread nobody;

static struct sched_thread *self_or_nobody(void)
{
	return sched.current ? sched.current : &nobody;
}

static struct lock *lock_of(struct mmu_rwlock *lock)
{
	return (struct lock *)(void *)lock->opaque;
}

static u32 *own_reads(struct lock *l)
{
	return &l->readers_of[sched.current ? sched.current - sched.thread : 0];
}

void mmu_rwlock_init(struct mmu_rwlock *lock, enum mmu_lock_rank rank)
{
	(void)rank;
	memset(lock, 0, sizeof(*lock));
}

void mmu_rwlock_destroy(struct mmu_rwlock *lock)
{
	if (lock_of(lock)->writer || lock_of(lock)->readers)
		sched_fail("a lock is destroyed while it is held");
}

static bool readable(void *arg)
{
	const struct lock *l = arg;

	return !l->writer && !l->writers_waiting;
}

static bool writable(void *arg)
{
	const struct lock *l = arg;

	return !l->writer && !l->readers;
}

/* Taking and leaving a lock orders everything around it. */
static void ordered(void)
{
	if (sched.current)
		memory_drain(sched.current);
}

/* No load behind it runs ahead of taking a lock. */
static void taken(void)
{
	ordered();
	if (sched.current)
		history_catch_up(sched.current);
}

void mmu_read_lock(struct mmu_rwlock *lock)
{
	struct lock *l = lock_of(lock);

	sched_wait("mmu_lock, to read", readable, l);
	taken();
	l->readers++;
	++*own_reads(l);
	trace_note("takes mmu_lock for reading");
}

void mmu_read_unlock(struct mmu_rwlock *lock)
{
	struct lock *l = lock_of(lock);

	sched_point();
	ordered();
	l->readers--;
	--*own_reads(l);
	sched_wrote();
	trace_note("leaves mmu_lock");
}

void mmu_write_lock(struct mmu_rwlock *lock)
{
	struct lock *l = lock_of(lock);

	/* Readers may still come first until this writer has found the lock taken. */
	sched_point();
	if (!writable(l)) {
		l->writers_waiting++;
		sched_wait("mmu_lock, to write", writable, l);
		l->writers_waiting--;
	}
	taken();
	l->writer = self_or_nobody();
	sched_wrote();
	trace_note("takes mmu_lock for writing");
}

void mmu_write_unlock(struct mmu_rwlock *lock)
{
	sched_point();
	ordered();
	lock_of(lock)->writer = NULL;
	sched_wrote();
	trace_note("leaves mmu_lock");
}

bool mmu_rwlock_held_write(struct mmu_rwlock *lock)
{
	return lock_of(lock)->writer == self_or_nobody() || !sched.current;
}

bool mmu_rwlock_held(struct mmu_rwlock *lock)
{
	return mmu_rwlock_held_write(lock) || *own_reads(lock_of(lock)) > 0;
}

static struct sched_thread **owner_of(struct mmu_mutex *lock)
{
	return (struct sched_thread **)(void *)lock->opaque;
}

void mmu_mutex_init(struct mmu_mutex *lock, enum mmu_lock_rank rank)
{
	(void)rank;
	*owner_of(lock) = NULL;
}

void mmu_mutex_destroy(struct mmu_mutex *lock)
{
	if (*owner_of(lock))
		sched_fail("a mutex is destroyed while it is held");
}

static bool unowned(void *arg)
{
	return !*(struct sched_thread **)arg;
}

void mmu_mutex_lock(struct mmu_mutex *lock)
{
	sched_wait("a mutex", unowned, owner_of(lock));
	taken();
	*owner_of(lock) = self_or_nobody();
}

void mmu_mutex_unlock(struct mmu_mutex *lock)
{
	sched_point();
	ordered();
	*owner_of(lock) = NULL;
	sched_wrote();
}

/* ---- grace periods ---------------------------------------------------------------------- */

void mmu_host_rcu_read_lock(void)
{
	if (sched.current)
		sched.current->rcu_depth++;
}

void mmu_host_rcu_read_unlock(void)
{
	if (!sched.current || --sched.current->rcu_depth)
		return;
	sched.current->rcu_sections++;
	sched_wrote();
}

struct grace_period {
	u64 sections[SCHED_THREADS_MAX];
	bool waits_for[SCHED_THREADS_MAX];
};

static bool grace_period_over(void *arg)
{
	const struct grace_period *gp = arg;

	for (u32 i = 0; i < sched.nr_threads; i++) {
		if (gp->waits_for[i] && sched.thread[i].rcu_sections == gp->sections[i])
			return false;
	}
	return true;
}

/* liburcu has the kernel run a barrier in each thread, as readers have none. */
static void order_all_threads(void)
{
	for (u32 i = 0; i < sched.nr_threads; i++)
		history_catch_up(&sched.thread[i]);
}

void mmu_host_synchronize_rcu(void)
{
	struct grace_period gp = {0};

	if (sched.current && sched.current->rcu_depth)
		sched_fail("waits for a grace period inside a read-side section");
	sched_point();
	for (u32 i = 0; i < sched.nr_threads; i++) {
		gp.waits_for[i] = sched.thread[i].rcu_depth != 0;
		gp.sections[i] = sched.thread[i].rcu_sections;
	}
	trace_note("waits for a grace period");
	order_all_threads();
	sched_wait("a grace period", grace_period_over, &gp);
	order_all_threads();
}

void mmu_host_wait_turn(unsigned int turn)
{
	(void)turn;
	sched_relax();
}

/* ---- trace points: nobody looks; the explorer has its own trace ---------------------------- */

#define SEMAPHORE(system, name, nr, fields) u16 system##_##name##_semaphore;
KVMU_TRACE_EVENTS(SEMAPHORE)

void kvmu_trace_emit(enum kvmu_trace_event event, const u64 *fields)
{
	(void)event;
	(void)fields;
}

/* ---- what the code itself finds wrong ------------------------------------------------------ */

void kvmu_warn(const char *file, int line, const char *what)
{
	sched_fail("%s:%d warns: %s", trace_file(file), line, what);
}

_Noreturn void kvmu_bug(const char *file, int line, const char *what)
{
	sched_fail("%s:%d: %s", trace_file(file), line, what);
}
