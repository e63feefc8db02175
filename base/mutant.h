/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mutants: mistakes that MMUs have really made, each written where our code
 * would make it.  With -DKVMU_MUTANTS (`make mutants`) one of them can be
 * switched on, and some test must fail then; otherwise KVMU_MUTANT() is false at
 * compile time and nothing of them is in the program.
 *
 * To add one: a line here, KVMU_MUTANT(NAME) at its place.  tools/mutants.py
 * finds it.  Sources: the kernel's history of the same mistake, or the step of
 * our own protocols (docs/locking.md) that it leaves out.
 */
#ifndef KVMU_BASE_MUTANT_H
#define KVMU_BASE_MUTANT_H

#define KVMU_MUTANT_LIST(X)                                                                     \
	/* faults */                                                                            \
	X(DROP_STALE_TEST, "a fault maps without asking whether it is stale")                   \
	X(TEST_BEFORE_SEQ, "open brackets are looked for before the sequence is read")          \
	X(STALE_TEST_UNLOCKED, "the stale test comes before the lock")                          \
	X(SEQ_AFTER_LOOKUP, "the sequence is read after the page was looked up")                \
	X(FAULT_WITHOUT_BARRIER, "nothing orders the sequence before the look-up")              \
	X(SLOT_NOT_LOOKED_UP_AGAIN, "a fault keeps the slot from before the sequence")          \
	X(WRITABLE_ROM, "a page of a read-only slot is mapped writable")                        \
	X(EPOCH_IGNORED, "a fault maps although its root is obsolete")                          \
	X(EPOCH_BEFORE_RECLAIM, "the root is looked at before reclaim may leave it behind")     \
	X(MMIO_OUTLIVES_SLOTS, "what was MMIO stays so when a slot appears")                    \
	X(MMIO_OF_LATER_SLOTS, "a note of MMIO claims to be of slots that nobody has asked")    \
	X(MMIO_NEVER_FORGOTTEN, "notes of MMIO outlive the return of their generation")         \
	X(MMIO_OVER_LEAF, "a note of MMIO replaces a leaf")                                     \
	X(BLOCK_BEYOND_SLOT, "a big leaf sticks out of its slot")                               \
	X(PREFAULT_ENDLESS, "a prefault waits for an open bracket to close")                    \
	X(PRIVATE_NEVER_STALE, "a private fault skips the stale test")                          \
	X(MISMATCH_UNCHECKED, "private and shared are not told apart")                          \
	X(MISMATCH_BEFORE_SEQ, "private or shared is asked before the sequence is read")        \
	X(HUGE_ACROSS_ATTRIBUTES, "a big leaf covers private and shared pages")                 \
	X(PAGE_NOT_PUT, "what holds a private page is not let go")                              \
	/* invalidation */                                                                      \
	X(SEQ_AFTER_BRACKET, "the bracket is closed before the sequence moves")                 \
	X(END_WITHOUT_BARRIER, "nothing orders the sequence before the bracket")                \
	X(TEST_WITHOUT_BARRIER, "nothing orders the test for brackets before the sequence")     \
	X(SEQ_NOT_MOVED, "the end of a change does not move the sequence")                      \
	X(SEQ_SIGN, "the sequence is compared as a signed 32-bit number")                       \
	X(BRACKET_LEFT_OPEN, "a bracket is opened and never closed")                            \
	X(OPEN_BRACKET_IGNORED, "a fault looks at the sequence and not at open brackets")       \
	X(RETRY_EVERYWHERE, "an open bracket delays faults outside its range")                  \
	X(RANGE_LEFT_OUT, "a bracket is opened without its range")                              \
	X(RANGE_NOT_WIDENED, "a second range replaces the first")                               \
	X(RANGE_ROUNDED_DOWN, "the last page of a range is left out")                           \
	X(RANGE_TEST_AFTER_RESET, "the range is forgotten before it is tested")                 \
	X(SECOND_SLOT_FORGOTTEN, "memory that backs two slots is zapped in one")                \
	X(ONE_SPACE_INVALIDATED, "memory that backs slots of two address spaces goes from one") \
	X(ROOT_OUTLIVES_SMM, "a CPU enters or leaves SMM and walks the tree it walked before")  \
	/* TLBs */                                                                              \
	X(SKIP_FLUSH, "memory is taken back without a TLB flush")                               \
	X(RECOVER_WITHOUT_FLUSH, "pages make room for a block without a TLB flush")             \
	X(FLUSH_NOT_AWAITED, "a flush is asked for and not waited for")                         \
	X(FLUSH_ONE_VCPU, "a flush reaches the first vCPU only")                                \
	X(ENTER_WITHOUT_BARRIER, "a vCPU looks at its requests before it is seen in the guest") \
	X(AGE_WITHOUT_FLUSH, "aged translations stay in TLBs")                                  \
	/* table pages */                                                                       \
	X(FREE_WITHOUT_GRACE, "table pages are freed while look-ups may read them")             \
	X(FREE_BEFORE_FLUSH, "table pages are freed before the flush")                          \
	X(ZAP_ALL_WITHOUT_FLUSH, "an old tree is freed while vCPUs walk it")                    \
	X(ZAP_ALL_AS_READER, "a tree is left behind under the lock for reading")                \
	X(ROOT_BEFORE_JOIN, "a vCPU takes the root before flushes reach it")                    \
	/* memslots */                                                                          \
	X(SLOT_FREED_AT_ONCE, "a slot is freed while look-ups may read it")                     \
	X(LAST_SLOT_UNCHECKED, "a vCPU goes on with the slot that it found last")               \
	X(SLOT_LEAVES_LEAVES, "a deleted slot leaves its translations")                         \
	X(SLOT_IN_OPEN_CHANGE, "a slot appears over memory that is going")                      \
	X(COPY_OUTLIVES_SLOT, "KVM still copies to the memory of a slot that is gone")          \
	X(COPY_LOOKS_ONCE, "a copy counts itself and does not look again")                      \
	/* private memory */                                                                    \
	X(CONVERT_WITHOUT_ZAP, "attributes change under translations")                          \
	X(PUNCH_WITHOUT_ZAP, "a leaf stays over a hole that is punched")                        \
	X(CLOSE_WITHOUT_ZAP, "translations stay when a guest_memfd is closed")                  \
	X(BINDING_OUTLIVES_SLOT, "a guest_memfd keeps a slot that is gone")                     \
	X(FILE_FREED_AT_ONCE, "a guest_memfd is freed while a fault may look at it")            \
	X(ATTRIBUTES_FREED_AT_ONCE, "attributes are freed while look-ups may read them")        \
	/* dirty logging */                                                                     \
	X(LOG_BEFORE_LEAF, "a page is logged before it can be written")                         \
	X(FAST_PATH_UNLOGGED, "a leaf made writable again is not logged")                       \
	X(LOG_AFTER_UNLOCK, "a page is logged when the lock is dropped")                        \
	X(OWN_WRITE_UNLOGGED, "what KVM itself writes is not logged")                           \
	X(BLOCK_CLEANED, "a block loses its dirty mark and stays writable")                     \
	X(LOG_BEGINS_UNPROTECTED, "what was writable stays so when logging begins")             \
	X(RESET_UNPROTECTED, "a page is given back to the ring and stays writable")             \
	X(LOG_LOST_ON_ERROR, "a log that could not be handed over is lost")                     \
	X(CLEAR_WITHOUT_FLUSH, "a cleared page stays writable in TLBs")                         \
	X(RING_FLAGS_FIRST, "a ring entry is seen before its contents")                         \
	X(MARK_UNLOGGED, "a dirty mark that the CPU sets is not logged")                        \
	X(GROUP_BEFORE_WORD, "the upper level of a bitmap is set before the lower")             \
	X(FLAGS_WITHOUT_BRACKET, "a fault keeps the slot from before logging began")            \
	/* entries */                                                                           \
	X(STORE_IN_SHARED_WALK, "a shared walk stores without compare-and-exchange")            \
	X(COUNT_NOT_RESERVED, "a shared walk fills an entry before it counts it")               \
	X(COUNT_REPLACED_TWICE, "a replaced entry is counted once more")                        \
	X(TABLE_LEAKED, "who loses a race keeps his table page")                                \
	X(SKIP_BREAK, "an entry is replaced without break-before-make")                         \
	X(MARKS_LOST, "what the MMU marks during a change is lost")                             \
	X(LAST_ENTRY_SKIPPED, "an unmap skips the last entry of a table")                       \
	X(RESTART_SKIPS_ENTRY, "a walk that starts again begins one page too far")              \
	X(BLOCK_OVER_HOLE, "a block that is bigger than what is zapped stays")                  \
	X(ZAP_GIVES_UP, "a block that cannot be split for want of memory stays")                \
	X(SHORT_FLUSH_RANGE, "a flush covers the first page of a block only")                   \
	X(TABLE_NOT_NOTED, "nobody hears that a table page was unlinked")                       \
	X(FIRST_HPA_AGAIN, "every leaf of a mapping leads to the first page")                   \
	X(RETRY_STALE_COPY, "a repeated visit sees the entry as it was before")

#ifdef KVMU_MUTANTS
#define KVMU_MUTANT_NUMBER(name, what) MUTANT_##name,
enum kvmu_mutant { MUTANT_NONE, KVMU_MUTANT_LIST(KVMU_MUTANT_NUMBER) MUTANT_NR };
/* Which one is on; defined by the test program, set before anything runs. */
extern enum kvmu_mutant kvmu_mutant;
#define KVMU_MUTANT(name) (kvmu_mutant == MUTANT_##name)
#else
#define KVMU_MUTANT(name) 0
#endif

#endif
