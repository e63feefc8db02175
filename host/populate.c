/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest pages on Linux: madvise(2) faults them in as a real access would and
 * answers with an errno in place of a signal; pagemap says what is resident.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "base/bits.h"
#include "host/sys.h"
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
	case -EINVAL:
	case -ENOMEM:
	case -EFAULT:
	case -EPERM:
		return -EFAULT;
	case -EAGAIN:
		return -EINTR;
	default:
		return err;
	}
}

static int populate_page(hva_t hva, bool write)
{
	int advice = write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
	hva_t page = align_down(hva, PAGE_SIZE);

	return populate_errno((int)host_call(populate, SYS_madvise, page, PAGE_SIZE, advice));
}

static bool touched(hva_t hva, bool write)
{
	return likely(host_touch_enabled()) && !kvmu_inject(SITE_touch) &&
	       likely(host_touch(hva, write) == 0);
}

/* A touch is cheaper; populating says why not, which a signal does not. */
int mmu_host_faultin_page(hva_t hva, bool write)
{
	int err = kvmu_inject(SITE_faultin);

	if (unlikely(err))
		return err;
	return touched(hva, write) ? 0 : populate_page(hva, write);
}

/* Documentation/admin-guide/mm/pagemap.rst */
#define PM_UFFD_WP BIT_ULL(57)
#define PM_PRESENT BIT_ULL(63)

#define BLOCK_PAGES 512u
#define BLOCK_BYTES (BLOCK_PAGES * PAGE_SIZE)

static bool entries_resident(const u64 *entries, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		if (!(entries[i] & PM_PRESENT) || (entries[i] & PM_UFFD_WP))
			return false;
	}
	return true;
}

static bool block_resident(int pagemap, hva_t block)
{
	u64 entries[BLOCK_PAGES];
	long got = host_call(pagemap, SYS_pread64, pagemap, entries, sizeof(entries),
			     (block >> PAGE_SHIFT) * 8);

	return got == (long)sizeof(entries) && entries_resident(entries, BLOCK_PAGES);
}

/* From the block that was asked for to both ends, so that a gap nearby ends the search early. */
static bool blocks_resident(int pagemap, hva_t start, hva_t end, hva_t around)
{
	for (hva_t block = around; block < end; block += BLOCK_BYTES) {
		if (!block_resident(pagemap, block))
			return false;
	}
	for (hva_t block = around; block > start; block -= BLOCK_BYTES) {
		if (!block_resident(pagemap, block - BLOCK_BYTES))
			return false;
	}
	return true;
}

static enum pg_level resident_level(int pagemap, hva_t hva, enum pg_level max_level)
{
	hva_t block = align_down(hva, BLOCK_BYTES);
	hva_t gib = align_down(hva, 1ull << 30);

	if (!block_resident(pagemap, block))
		return PG_LEVEL_4K;
	if (max_level < PG_LEVEL_1G || !blocks_resident(pagemap, gib, gib + (1ull << 30), block))
		return PG_LEVEL_2M;
	return PG_LEVEL_1G;
}

/*
 * A descriptor per question rather than one kept: the program sees no stranger
 * among its files, and a child of fork asks about itself.
 */
enum pg_level mmu_host_resident_level(hva_t hva, enum pg_level max_level)
{
	enum pg_level level = PG_LEVEL_4K;
	int pagemap;

	if (max_level == PG_LEVEL_4K)
		return level;
	pagemap = (int)host_call(pagemap, SYS_openat, AT_FDCWD, "/proc/self/pagemap",
				 O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return level;
	level = resident_level(pagemap, hva, max_level);
	host_sure(SYS_close, pagemap);
	return level;
}

/*
 * The kernel copies on our behalf and reports what a plain access would die
 * of.  The remote side is this very process.
 */
static int copy_hva(void *buf, hva_t hva, u64 bytes, long nr)
{
	struct iovec local = {.iov_base = buf, .iov_len = bytes};
	struct iovec remote = {.iov_base = hva_to_ptr(hva), .iov_len = bytes};
	long done = host_call(guest_copy, nr, host_sure(SYS_getpid, 0), &local, 1, &remote, 1, 0);

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
