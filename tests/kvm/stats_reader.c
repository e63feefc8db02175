/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/kvm/stats_reader.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/kvm/kvm_fixture.h"

size_t stats_desc_bytes(const struct stats *s)
{
	return sizeof(struct kvm_stats_desc) + s->header.name_size;
}

struct kvm_stats_desc *stats_desc(const struct stats *s, uint32_t i)
{
	return (struct kvm_stats_desc *)(void *)(s->descs + i * stats_desc_bytes(s));
}

struct stats stats_open(int fd)
{
	struct stats s = {.fd = ioctl(fd, KVM_GET_STATS_FD, NULL)};
	size_t bytes;

	assert_true(s.fd >= 0);
	assert_int_equal(pread(s.fd, &s.header, sizeof(s.header), 0), sizeof(s.header));
	bytes = s.header.num_desc * stats_desc_bytes(&s);
	s.descs = malloc(bytes);
	assert_int_equal(pread(s.fd, s.descs, bytes, s.header.desc_offset), bytes);
	return s;
}

void stats_close(struct stats *s)
{
	free(s->descs);
	close(s->fd);
}

const struct kvm_stats_desc *stats_find(const struct stats *s, const char *name)
{
	for (uint32_t i = 0; i < s->header.num_desc; i++) {
		if (!strcmp(stats_desc(s, i)->name, name))
			return stats_desc(s, i);
	}
	fail_msg("no statistic %s", name);
	return NULL;
}

uint64_t stats_value(const struct stats *s, const char *name)
{
	uint64_t figure;
	off_t at = s->header.data_offset + stats_find(s, name)->offset;

	assert_int_equal(pread(s->fd, &figure, sizeof(figure), at), sizeof(figure));
	return figure;
}
