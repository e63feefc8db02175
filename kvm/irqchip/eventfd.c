/* SPDX-License-Identifier: BSD-2-Clause */
/* See eventfd.h. */
#include "kvm/irqchip/eventfd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/sys.h"
#include "kvm/file.h"

/* What the kernel says about a descriptor; 0 or -errno. */
static int read_fdinfo(int fd, char *text, size_t bytes)
{
	char path[48];
	long info, got;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = host_call(event_info, SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return info == -ENOENT ? -EBADF : -ENOMEM;
	got = host_call(event_info, SYS_read, info, text, bytes - 1);
	kvm_raw_close((int)info);
	if (got < 0)
		return -ENOMEM;
	text[got] = '\0';
	return 0;
}

int eventfd_identify(int fd, u64 *id)
{
	static const char key[] = "eventfd-id:";
	char text[512];
	const char *line;
	int ret = read_fdinfo(fd, text, sizeof(text));

	if (ret)
		return ret;
	line = strstr(text, key);
	if (!line)
		return -EINVAL;
	*id = strtoull(line + sizeof(key) - 1, NULL, 10);
	return 0;
}

int eventfd_hold(struct held_eventfd *held, int fd)
{
	int ret = eventfd_identify(fd, &held->id);

	held->fd = -1;
	if (ret)
		return ret;
	held->fd = kvm_raw_dup_high(fd);
	return held->fd < 0 ? -ENOMEM : 0;
}

void eventfd_release(struct held_eventfd *held)
{
	if (held->fd >= 0)
		kvm_raw_close(held->fd);
	held->fd = -1;
}

void eventfd_signal(const struct held_eventfd *held)
{
	const u64 one = 1;

	/* Full already: whoever reads it learns as much. */
	if (held->fd >= 0)
		host_call(event_io, SYS_write, held->fd, &one, sizeof(one));
}

bool eventfd_consume(const struct held_eventfd *held)
{
	u64 count;

	return host_call(event_io, SYS_read, held->fd, &count, sizeof(count)) == sizeof(count);
}
