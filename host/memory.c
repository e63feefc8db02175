/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory for the MMU itself: aligned chunks for table pages, small objects. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "host/sys.h"
#include "mmu/mmu_host.h"

void *mmu_host_alloc_chunk(enum kvmu_site site, size_t bytes)
{
	long area = host_call_at(site, SYS_mmap, 0, (long)(2 * bytes), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start, *chunk;

	if (area < 0)
		return NULL;
	start = hva_to_ptr((hva_t)area);
	chunk = hva_to_ptr(align_up((hva_t)area, bytes));
	host_munmap(start, (u64)(chunk - start));
	host_munmap(chunk + bytes, (u64)(start + bytes - chunk));
	return chunk;
}

void mmu_host_free_chunk(void *chunk, size_t bytes)
{
	host_munmap(chunk, bytes);
}

void *mmu_host_alloc(enum kvmu_site site, size_t bytes)
{
	return kvmu_inject(site) ? NULL : calloc(1, bytes);
}

void *mmu_host_alloc_aligned(enum kvmu_site site, size_t bytes, size_t align)
{
	void *object = kvmu_inject(site) ? NULL : aligned_alloc(align, align_up(bytes, align));

	return object ? memset(object, 0, bytes) : NULL;
}

void mmu_host_free(void *ptr)
{
	free(ptr);
}
