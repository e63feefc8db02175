/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failures on purpose: every allocation and every call to the host that may
 * fail goes through one of these sites, and fails there when asked to
 * (docs/injection.md).
 *
 * While nobody asks, a site is a load and a branch that is never taken, and
 * none of them is where guest code or the fast page fault runs.  Who decides is
 * a service of the machine; host/inject.c supplies it.
 */
#ifndef KVMU_BASE_INJECT_H
#define KVMU_BASE_INJECT_H

#include "base/bits.h"

/*
 * X(name, what fails there, errno, ...): the first errno is what is injected
 * when none is named.  What is memory fails with ENOMEM alone.
 */
#define KVMU_SITES(X)                                                                              \
	X(vm, "memory for a VM", ENOMEM)                                                           \
	X(vcpu, "memory for a vCPU and its CPU", ENOMEM)                                           \
	X(tlb, "memory for a CPU's TLB", ENOMEM)                                                   \
	X(code_cache, "memory for a CPU's decoded instructions", ENOMEM)                           \
	X(lapic, "memory for a local APIC", ENOMEM)                                                \
	X(irqchip, "memory for the interrupt controllers", ENOMEM)                                 \
	X(irq_routing, "memory for an interrupt routing", ENOMEM)                                  \
	X(irqfd, "memory for an irqfd, and for their set", ENOMEM)                                 \
	X(pit, "memory for an interval timer", ENOMEM)                                             \
	X(ioeventfd, "memory for an ioeventfd", ENOMEM)                                            \
	X(msr_filter, "memory for an MSR filter", ENOMEM)                                          \
	X(file, "memory for a descriptor's object, and for the table of them", ENOMEM)             \
	X(memslot, "memory for a memslot, and for the set it is in", ENOMEM)                       \
	X(slot_index, "memory for an index over the memslots", ENOMEM)                             \
	X(dirty_bitmap, "memory for a memslot's dirty bitmap", ENOMEM)                             \
	X(attributes, "memory for memory attributes", ENOMEM)                                      \
	X(gmem, "memory for a guest_memfd, and for its bindings", ENOMEM)                          \
	X(host_change, "memory for the list of VMs that a change of memory concerns", ENOMEM)      \
	X(table_page, "a page-table page: of a cache's filling, a root, or one alone", ENOMEM)     \
	X(table_chunk, "mmap: a chunk to cut page-table pages from", ENOMEM)                       \
	X(munmap, "munmap: giving memory of ours back", ENOMEM)                                    \
	X(faultin, "a guest page is to become resident", EFAULT, ENOMEM, EHWPOISON, EINTR)         \
	X(touch, "the touch that makes it so; then madvise is tried", EFAULT)                      \
	X(populate, "madvise(MADV_POPULATE): a guest page that no touch can get", ENOMEM, EFAULT,  \
	  EINVAL, EAGAIN, EHWPOISON)                                                               \
	X(pagemap, "open and read of /proc/self/pagemap: is a block resident?", ENOENT, EMFILE,    \
	  ENFILE, EACCES, ENOMEM)                                                                  \
	X(guest_copy, "process_vm_readv or _writev: guest memory outside KVM_RUN", EFAULT, ENOMEM, \
	  EPERM)                                                                                   \
	X(gmem_map, "mmap and madvise: a guest_memfd's memory", ENOMEM)                            \
	X(gmem_allocate, "madvise: fallocate of a guest_memfd", ENOMEM, EFAULT, EINTR)             \
	X(gmem_punch, "madvise: a hole in a guest_memfd", ENOMEM, EIO)                             \
	X(memfd, "memfd_create: the file behind a descriptor", ENOMEM, EMFILE, ENFILE)             \
	X(memfd_setup, "ftruncate, fcntl and pwrite: its size, seals, contents", ENOMEM)           \
	X(fstat, "fstat: whose descriptor is it?", ENOMEM)                                         \
	X(dup, "fcntl(F_DUPFD): a descriptor of ours, to where it is in nobody's way", EMFILE)     \
	X(shared_map, "mmap: the pages that a vCPU or statistics share with their file", ENOMEM)   \
	X(coalesced_map, "mmap, mremap, mprotect: the ring of coalesced writes", ENOMEM)           \
	X(stats_reopen, "open: statistics for reading only", ENOENT, EMFILE, ENFILE, ENOMEM)       \
	X(event_info, "open and read of /proc/self/fdinfo: which eventfd is it?", EMFILE, ENFILE,  \
	  ENOMEM)                                                                                  \
	X(event_io, "read or write of an eventfd", EAGAIN)                                         \
	X(irqfd_set, "epoll_create, eventfd, epoll_ctl: the eventfds that are watched", ENOMEM,    \
	  EMFILE, ENFILE, ENOSPC)                                                                  \
	X(irqfd_wait, "epoll_wait: waiting for eventfds", EINTR)                                   \
	X(irqfd_thread, "pthread_create: who waits for them", EAGAIN)                              \
	X(pit_thread, "pthread_create: who gives the interval timer's ticks", EAGAIN)              \
	X(halt_events, "eventfd, signalfd: what ends a vCPU's halt", EMFILE, ENFILE, ENOMEM)       \
	X(halt_wait, "ppoll: the halt", EINTR, ENOMEM)                                             \
	X(halt_wake, "write: ending a vCPU's halt", EAGAIN)                                        \
	X(steal_time, "open and read of a thread's schedstat", ENOENT, EMFILE, ENFILE, ENOMEM)     \
	X(maps, "open and read of /proc/self/maps: where is a file mapped?", EMFILE, ENFILE,       \
	  ENOMEM)                                                                                  \
	X(maps_stat, "stat and statfs: which file is it?", ENOMEM)                                 \
	X(path, "readlink: where does a relative path begin?", ENOMEM, EACCES)                     \
	X(fork_hooks, "pthread_atfork: to be told of forks", ENOMEM)                               \
	X(trace_key, "pthread_key_create: to be told of threads' ends", EAGAIN)                    \
	X(trace_ring, "mmap: a thread's ring of trace records", ENOMEM)                            \
	X(trace_thread, "pthread_create: who writes the trace", EAGAIN)                            \
	X(trace_output, "open, fcntl, fstat, write: the trace's file", EMFILE, ENFILE, ENOSPC,     \
	  EIO, EINTR)                                                                              \
	X(summary, "write: what --stats prints", EIO)

enum kvmu_site {
#define KVMU_SITE_NUMBER(name, what, ...) SITE_##name,
	KVMU_SITES(KVMU_SITE_NUMBER)
#undef KVMU_SITE_NUMBER
		NR_SITES
};

/* Does anybody want failures, or to know what is reached? */
extern bool kvmu_inject_wanted;

/* Not directly: kvmu_inject().  From any thread, under any lock, in a signal handler. */
int kvmu_inject_reached(enum kvmu_site site);

/* 0, or the -errno that @site is to fail with now, without trying. */
static inline int kvmu_inject(enum kvmu_site site)
{
	if (likely(!__atomic_load_n(&kvmu_inject_wanted, __ATOMIC_RELAXED)))
		return 0;
	return kvmu_inject_reached(site);
}

#endif
