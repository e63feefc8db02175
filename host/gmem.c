/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory behind a guest_memfd: shared anonymous memory, so that there is no
 * descriptor through which anybody else could get at it.
 */
#include <errno.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "host/sys.h"
#include "mmu/mmu_host.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define LEAF_2M (2ull << 20)
#define LEAF_1G (1ull << 30)

static long map(hva_t at, u64 bytes, int prot, int flags)
{
	return host_call(gmem_map, SYS_mmap, at, bytes, prot, flags | MAP_ANONYMOUS | MAP_NORESERVE,
			 -1, 0);
}

/* Address space with room for the alignment, of which all but the middle is given back. */
static long reserve(u64 bytes, u64 align)
{
	long area = map(0, bytes + align, PROT_NONE, MAP_PRIVATE);
	hva_t start, end;

	if (area < 0)
		return -ENOMEM;
	start = align_up((hva_t)area, align);
	end = (hva_t)area + bytes + align;
	host_munmap(hva_to_ptr((hva_t)area), start - (hva_t)area);
	host_munmap(hva_to_ptr(start + bytes), end - start - bytes);
	return (long)start;
}

/* Neither a child of fork nor a core dump gets what is private. */
static bool hide(long start, u64 bytes)
{
	return !host_call(gmem_map, SYS_madvise, start, bytes, MADV_DONTFORK) &&
	       !host_call(gmem_map, SYS_madvise, start, bytes, MADV_DONTDUMP);
}

int mmu_host_gmem_map(u64 bytes, hva_t *base)
{
	u64 align = bytes >= LEAF_1G ? LEAF_1G : LEAF_2M;
	long start = bytes + align < bytes ? -ENOMEM : reserve(bytes, align);

	if (start < 0)
		return -ENOMEM;
	if (map((hva_t)start, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED) < 0 ||
	    !hide(start, bytes)) {
		host_munmap(hva_to_ptr((hva_t)start), bytes);
		return -ENOMEM;
	}
	*base = (hva_t)start;
	return 0;
}

void mmu_host_gmem_unmap(hva_t base, u64 bytes)
{
	host_munmap(hva_to_ptr(base), bytes);
}

int mmu_host_gmem_punch(hva_t start, u64 bytes)
{
	return host_call(gmem_punch, SYS_madvise, start, bytes, MADV_REMOVE) ? -EIO : 0;
}

int mmu_host_gmem_allocate(hva_t start, u64 bytes)
{
	long ret = host_call(gmem_allocate, SYS_madvise, start, bytes, MADV_POPULATE_WRITE);

	if (!ret)
		return 0;
	return ret == -EINTR || ret == -EAGAIN ? -EINTR : -ENOMEM;
}
