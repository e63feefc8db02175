/* SPDX-License-Identifier: BSD-2-Clause */
/* Statistics of a VM or a vCPU, read as any program reads them (KVM_GET_STATS_FD). */
#ifndef KVMU_TESTS_KVM_STATS_READER_H
#define KVMU_TESTS_KVM_STATS_READER_H

#include <stddef.h>
#include <stdint.h>

#include "kvm/kvm_newer.h"

struct stats {
	int fd;
	struct kvm_stats_header header;
	uint8_t *descs;
};

/* Of VM or vCPU @fd.  What goes wrong fails the test, here and below. */
struct stats stats_open(int fd);
void stats_close(struct stats *s);

size_t stats_desc_bytes(const struct stats *s);
struct kvm_stats_desc *stats_desc(const struct stats *s, uint32_t i);
const struct kvm_stats_desc *stats_find(const struct stats *s, const char *name);
/* The first figure of the statistic, as it is now. */
uint64_t stats_value(const struct stats *s, const char *name);

#endif
