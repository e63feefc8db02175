/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine under the MMU, for the explorer: mmu/mmu_host.h on cooperative
 * threads, and a little program memory of which it knows what the host has
 * given and taken back.
 */
#ifndef KVMU_EXPLORE_HOST_MODEL_H
#define KVMU_EXPLORE_HOST_MODEL_H

#include "base/types.h"

#define HOST_SHARED	    64u /* pages of the program */
#define HOST_PRIVATE	    16u /* pages of one guest_memfd, behind them */
#define HOST_PAGES	    (HOST_SHARED + HOST_PRIVATE)
#define HOST_MEMORY	    0x10000000ull /* where the program's pages lie; nobody touches them */
#define HOST_PAGE_HVA(page) (HOST_MEMORY + ((hva_t)(page) << PAGE_SHIFT))

struct host_page {
	bool gone;     /* nothing is mapped there */
	bool resident; /* an access does not fault */
	bool in_slot;  /* when memslots were last changed ... */
	u32 changing;  /* ... and by so many that are at it */
	u64 content;   /* changes with each write */
};

extern struct host_page host_pages[HOST_PAGES];

/* @tables: at most so many table pages were in use since the last reset. */
void host_reset(u64 tables);
/* NULL: no such memory. */
struct host_page *host_page_at(hva_t hva);
static inline bool host_page_is_private(const struct host_page *page)
{
	return page >= &host_pages[HOST_SHARED];
}

#endif
