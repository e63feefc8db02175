/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which paths are the KVM device's.  By name alone: the device need not exist,
 * so nothing can be resolved.  A symbolic link of another name is not seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/sys.h"
#include "preload/preload.h"

/* Cheap and never wrong in the negative: the last component must be "kvm". */
static bool ends_in_kvm(const char *path)
{
	size_t length = strlen(path);

	return length >= 3 && !memcmp(path + length - 3, "kvm", 3) &&
	       (length == 3 || path[length - 4] == '/');
}

/*
 * Append @path's components to the absolute @out, which has no "." or ".." and
 * no trailing slash ("" is the root).  False: too long.
 */
static bool append(char *out, size_t room, const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");
		size_t used = strlen(out);

		if (n == 2 && !memcmp(path, "..", 2)) {
			char *slash = strrchr(out, '/');

			if (slash)
				*slash = '\0';
		} else if (n && !(n == 1 && *path == '.')) {
			if (used + n + 2 > room)
				return false;
			out[used] = '/';
			memcpy(out + used + 1, path, n);
			out[used + 1 + n] = '\0';
		}
		path += n;
		path += *path == '/';
	}
	return true;
}

/* Where a relative path starts; 0 or -errno (-ENOENT: @dirfd is no descriptor). */
static int start_of(int dirfd, char *out, size_t room)
{
	char link[64];
	char target[PATH_MAX];
	long n;

	if (dirfd == AT_FDCWD)
		snprintf(link, sizeof(link), "/proc/self/cwd");
	else
		snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	n = host_call(path, SYS_readlinkat, AT_FDCWD, link, target, sizeof(target) - 1);
	if (n < 0)
		return (int)n;
	target[n] = '\0';
	return append(out, room, target) ? 0 : -ENOENT;
}

enum path_kind path_kind(int dirfd, const char *path)
{
	char full[PATH_MAX] = "";
	int err;

	/* A bad pointer is the kernel's to refuse, but we look first: only NULL is caught. */
	if (!path || !ends_in_kvm(path))
		return PATH_OTHER;
	if (!strcmp(path, "/dev/kvm"))
		return PATH_DEV_KVM;
	err = path[0] == '/' ? 0 : start_of(dirfd, full, sizeof(full));
	if (err)
		return err == -ENOENT ? PATH_OTHER : PATH_UNKNOWN;
	return append(full, sizeof(full), path) && !strcmp(full, "/dev/kvm") ? PATH_DEV_KVM
									     : PATH_OTHER;
}
