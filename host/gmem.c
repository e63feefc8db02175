/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory behind a guest_memfd: shared anonymous memory, so that there is no
 * descriptor through which anybody else could get at it.
 *
 * Raw system calls, for the reason given in populate.c.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bits.h"
#include "mmu/mmu_host.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define LEAF_2M (2ull << 20)
#define LEAF_1G (1ull << 30)

static long raw_mmap(hva_t at, u64 bytes, int prot, int flags)
{
	return syscall(SYS_mmap, at, bytes, prot, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L);
}

/* Address space with room for the alignment, of which all but the middle is given back. */
static long reserve(u64 bytes, u64 align)
{
	long area = raw_mmap(0, bytes + align, PROT_NONE, MAP_PRIVATE);
	hva_t start, end;

	if (area == -1)
		return -1;
	start = align_up((hva_t)area, align);
	end = (hva_t)area + bytes + align;
	if (start > (hva_t)area)
		syscall(SYS_munmap, area, start - (hva_t)area);
	if (end > start + bytes)
		syscall(SYS_munmap, start + bytes, end - start - bytes);
	return (long)start;
}

int mmu_host_gmem_map(u64 bytes, hva_t *base)
{
	u64 align = bytes >= LEAF_1G ? LEAF_1G : LEAF_2M;
	long start = bytes + align < bytes ? -1 : reserve(bytes, align);

	if (start == -1)
		return -ENOMEM;
	if (raw_mmap((hva_t)start, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED) == -1) {
		syscall(SYS_munmap, start, bytes);
		return -ENOMEM;
	}
	/* Neither a child of fork nor a core dump gets what is private. */
	syscall(SYS_madvise, start, bytes, MADV_DONTFORK);
	syscall(SYS_madvise, start, bytes, MADV_DONTDUMP);
	*base = (hva_t)start;
	return 0;
}

void mmu_host_gmem_unmap(hva_t base, u64 bytes)
{
	syscall(SYS_munmap, base, bytes);
}

int mmu_host_gmem_punch(hva_t start, u64 bytes)
{
	return syscall(SYS_madvise, start, bytes, MADV_REMOVE) ? -EIO : 0;
}

int mmu_host_gmem_allocate(hva_t start, u64 bytes)
{
	if (syscall(SYS_madvise, start, bytes, MADV_POPULATE_WRITE) == 0)
		return 0;
	return errno == EINTR || errno == EAGAIN ? -EINTR : -ENOMEM;
}
