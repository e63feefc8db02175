/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Grace periods by liburcu's "bulletproof" flavour: threads are the program's
 * own and come unannounced, so readers register themselves.
 */
#include <urcu/urcu-bp.h>

#include "mmu/mmu_host.h"

/*
 * ThreadSanitizer does not see into liburcu.  These say in its words what
 * synchronize_rcu() guarantees: all that readers did has happened before.
 */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
static char reader_epoch;
#define NOTE_READER_DONE()  __tsan_release(&reader_epoch)
#define NOTE_READERS_SEEN() __tsan_acquire(&reader_epoch)
#else
#define NOTE_READER_DONE()  ((void)0)
#define NOTE_READERS_SEEN() ((void)0)
#endif

void mmu_host_rcu_read_lock(void)
{
	urcu_bp_read_lock();
}

void mmu_host_rcu_read_unlock(void)
{
	NOTE_READER_DONE();
	urcu_bp_read_unlock();
}

void mmu_host_synchronize_rcu(void)
{
	urcu_bp_synchronize_rcu();
	NOTE_READERS_SEEN();
}
