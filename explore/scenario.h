/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A scenario: some memory, and what a few threads do with it, in text.
 *
 *   # What it is about; the first comment is its title.
 *   slot 0 gfn 0 page 0 pages 4          guest pages 0-3 are program pages 0-3
 *   mapped 0-1                           guest pages written once before the start
 *   bound 3                              interruptions to try, where --bound does not say
 *   vcpu a: write 1; read 2              a vCPU's accesses, by guest page
 *   vcpu b late: read 2                  one that joins the VM while the others run
 *   host: unmap 1; map 1                 the program's calls, by program page
 *
 * Words of a slot line after pages: readonly, logged, private (a guest_memfd behind
 * the slot, whose page N is what guest page N has when private), smm (in the other
 * address space; not to be logged).  A line "dirty"
 * says how pages are logged: marks (not faults), ring (not bitmap), manual, all
 * (initially set).  "host NAME:" names
 * a thread.
 * What a vCPU may do: read N, write N, smm and rsm (into the other address space, and back).  What
 * the host may do, with N or N-M: unmap (munmap: gone)    map (there again)    discard
 * (MADV_DONTNEED) age                     zap-all              slot ID gfn G page P pages K delete
 * ID [smm]         move ID G            flush private, shared (attributes of guest pages)  punch
 * (pages of the guest_memfd) close (the guest_memfd) log ID    unlog ID    harvest ID (the log, and
 * copy what it names) poke (KVM writes guest pages by itself) look (at guest pages without the
 * lock, as a fault does before it takes it)
 */
#ifndef KVMU_EXPLORE_SCENARIO_H
#define KVMU_EXPLORE_SCENARIO_H

#include "base/types.h"

#define SCENARIO_THREADS 6u
#define SCENARIO_OPS	 12u
#define SCENARIO_SLOTS	 4u
#define SCENARIO_BOUND	 2u /* if it names none */

/* In a slot's id: of the second address space. */
#define SCENARIO_SMM_SLOT (1u << 16)

enum scenario_verb {
	DO_READ,
	DO_WRITE,
	DO_SMM,
	DO_RSM,
	DO_UNMAP,
	DO_MAP,
	DO_DISCARD,
	DO_AGE,
	DO_LOOK,
	DO_ZAP_ALL,
	DO_FLUSH,
	DO_SLOT,
	DO_DELETE,
	DO_MOVE,
	DO_PRIVATE,
	DO_SHARED,
	DO_PUNCH,
	DO_CLOSE,
	DO_LOG,
	DO_UNLOG,
	DO_HARVEST,
	DO_POKE,
	DO_NR,
};

struct scenario_slot {
	u32 id;
	u64 gfn;
	u32 page;
	u32 pages; /* 0: delete */
	u32 flags; /* enum kvm_slot_flags */
};

struct scenario_op {
	enum scenario_verb verb;
	u32 first, last; /* pages: of the guest for vCPUs, of the program for the host */
	struct scenario_slot slot;
};

struct scenario_thread {
	char name[16];
	bool is_vcpu;
	bool is_late;
	u32 nr_ops;
	struct scenario_op op[SCENARIO_OPS];
};

struct scenario_dirty {
	bool by_mark;
	bool ring;
	u32 manual; /* enum kvm_dirty_manual */
};

struct scenario {
	char title[128];
	u32 nr_slots;
	struct scenario_slot slot[SCENARIO_SLOTS];
	u64 mapped; /* bit per guest page */
	struct scenario_dirty dirty;
	u32 bound;
	u32 nr_threads;
	struct scenario_thread thread[SCENARIO_THREADS];
};

/* 0, or -errno after saying on stderr what is wrong with which line. */
int scenario_read(const char *path, struct scenario *scenario);

const char *scenario_verb_name(enum scenario_verb verb);

#endif
