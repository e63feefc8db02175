/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a file is mapped in this process, as /proc/self/maps says
 * (proc(5)): for changes that reach memory through the file and not through an
 * address.
 */
#ifndef KVMU_PRELOAD_MAPPINGS_H
#define KVMU_PRELOAD_MAPPINGS_H

#include "base/types.h"

/* Ranges that are bracketed one by one; more are taken for everything. */
#define MAPPINGS_MAX 8u

struct mapped_range {
	hva_t start;
	hva_t end;
};

struct mappings {
	bool everywhere; /* too many, or it cannot be told: all memory is suspected */
	unsigned int nr;
	struct mapped_range range[MAPPINGS_MAX];
};

/* Of bytes [@start, @end) of the file at descriptor @fd, or by @path. */
void mappings_of_fd(struct mappings *out, int fd, u64 start, u64 end);
void mappings_of_path(struct mappings *out, const char *path, u64 start, u64 end);
/* Of the file behind [@start, @end) of the address space, there and elsewhere. */
void mappings_of_memory(struct mappings *out, hva_t start, hva_t end);
/* Of a System V segment that is attached at @addr: the addresses up to its end. */
void mappings_of_segment(struct mappings *out, hva_t addr);

#endif
