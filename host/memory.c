/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory for the MMU itself: aligned chunks for table pages, small objects. */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bits.h"
#include "mmu/mmu_host.h"

/* Raw calls, for the reason given in populate.c. */
static char *map_bytes(size_t bytes)
{
	long ret = syscall(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return ret == -1 ? NULL : (char *)ret;
}

static void unmap_bytes(char *start, char *end)
{
	if (start < end)
		syscall(SYS_munmap, start, (size_t)(end - start));
}

void *mmu_host_alloc_chunk(size_t bytes)
{
	char *area = map_bytes(2 * bytes);
	char *chunk;

	if (!area)
		return NULL;
	chunk = hva_to_ptr(align_up(ptr_to_hva(area), bytes));
	unmap_bytes(area, chunk);
	unmap_bytes(chunk + bytes, area + 2 * bytes);
	return chunk;
}

void mmu_host_free_chunk(void *chunk, size_t bytes)
{
	unmap_bytes(chunk, (char *)chunk + bytes);
}

void *mmu_host_alloc(size_t bytes)
{
	return calloc(1, bytes);
}

void mmu_host_free(void *ptr)
{
	free(ptr);
}
