/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the rest of kvmu is: in the build directory or installed, relative to this command. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static bool own_directory(char *dir)
{
	ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);
	char *slash;

	if (n <= 0)
		return false;
	dir[n] = '\0';
	slash = strrchr(dir, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return true;
}

bool find_beside_us(const char *what, const char *const *places, char *path)
{
	char dir[PATH_MAX];
	char candidate[2 * PATH_MAX];

	if (!own_directory(dir)) {
		complain("cannot tell where kvmu is installed: %s", strerror(errno));
		return false;
	}
	for (; *places; places++) {
		snprintf(candidate, sizeof(candidate), "%s/%s", dir, *places);
		if (realpath(candidate, path))
			return true;
	}
	complain("%s is neither beside %s/kvmu nor installed", what, dir);
	return false;
}
