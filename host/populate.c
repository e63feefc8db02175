/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest pages on Linux: madvise(2) faults them in as a real access would and
 * answers with an errno in place of a signal; pagemap says what is resident.
 *
 * Raw system calls throughout: the libc functions are interposed, and a change
 * of ours is not a change of the program's.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/touch.h"
#include "mmu/mmu_host.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

/*
 * EINVAL is the mapping forbidding the access (seen on Linux 6.18) and ENOMEM
 * nothing being mapped; a page that cannot be had for want of memory is EFAULT
 * or ENOMEM too, madvise(2) does not tell them apart.
 */
static int populate_errno(int err)
{
	switch (err) {
	case EINVAL:
	case ENOMEM:
	case EFAULT:
	case EPERM:
		return -EFAULT;
	case EAGAIN:
		return -EINTR;
	default:
		return -err;
	}
}

static int populate_page(hva_t hva, bool write)
{
	int advice = write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
	hva_t page = align_down(hva, PAGE_SIZE);

	if (likely(syscall(SYS_madvise, page, PAGE_SIZE, advice) == 0))
		return 0;
	return populate_errno(errno);
}

/* A touch is cheaper; populating says why not, which a signal does not. */
int mmu_host_faultin_page(hva_t hva, bool write)
{
	if (likely(host_touch_enabled()) && likely(host_touch(hva, write) == 0))
		return 0;
	return populate_page(hva, write);
}

/* Documentation/admin-guide/mm/pagemap.rst */
#define PM_UFFD_WP BIT_ULL(57)
#define PM_PRESENT BIT_ULL(63)

#define BLOCK_PAGES 512u

static bool entries_resident(const u64 *entries, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		if (!(entries[i] & PM_PRESENT) || (entries[i] & PM_UFFD_WP))
			return false;
	}
	return true;
}

/*
 * A descriptor per question rather than one kept: the program sees no stranger
 * among its files, and a child of fork asks about itself.
 */
static bool block_resident(hva_t block)
{
	u64 entries[BLOCK_PAGES];
	long fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);
	long got;

	if (fd < 0)
		return false;
	got = syscall(SYS_pread64, fd, entries, sizeof(entries), (block >> PAGE_SHIFT) * 8);
	syscall(SYS_close, fd);
	return got == (long)sizeof(entries) && entries_resident(entries, BLOCK_PAGES);
}

enum pg_level mmu_host_resident_level(hva_t hva, enum pg_level max_level)
{
	if (max_level >= PG_LEVEL_2M && block_resident(align_down(hva, BLOCK_PAGES * PAGE_SIZE)))
		return PG_LEVEL_2M;
	return PG_LEVEL_4K;
}

/*
 * The kernel copies on our behalf and reports what a plain access would die
 * of.  The remote side is this very process.
 */
static int copy_hva(void *buf, hva_t hva, u64 bytes, long nr)
{
	struct iovec local = {.iov_base = buf, .iov_len = bytes};
	struct iovec remote = {.iov_base = hva_to_ptr(hva), .iov_len = bytes};
	long done = syscall(nr, getpid(), &local, 1, &remote, 1, 0);

	return done == (long)bytes ? 0 : -EFAULT;
}

int mmu_host_copy_from_hva(void *buf, hva_t hva, u64 bytes)
{
	return copy_hva(buf, hva, bytes, SYS_process_vm_readv);
}

int mmu_host_copy_to_hva(hva_t hva, const void *buf, u64 bytes)
{
	return copy_hva((void *)(uintptr_t)buf, hva, bytes, SYS_process_vm_writev);
}
