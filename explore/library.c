/* SPDX-License-Identifier: BSD-2-Clause */
/* See library.h. */
#include "explore/library.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "explore/scenario.h"

#define SUFFIX ".scn"

/* From the directory this program is in. */
static const char *const places[] = {
	KVMU_SCENARIOS_FROM_LIBEXEC,
	"../../explore/scenarios", /* a build directory in the source tree */
};

static bool directory(char path[PATH_MAX])
{
	char self[PATH_MAX / 2];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n <= 0)
		return false;
	self[n] = 0;
	slash = strrchr(self, '/');
	if (slash)
		*slash = 0;
	for (unsigned int i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, PATH_MAX, "%s/%s", self, places[i]);
		if (access(path, R_OK | X_OK) == 0)
			return true;
	}
	return false;
}

static bool join(char path[PATH_MAX], const char *dir, const char *name, const char *suffix)
{
	return snprintf(path, PATH_MAX, "%s/%s%s", dir, name, suffix) < PATH_MAX;
}

bool library_find(const char *name, char path[PATH_MAX])
{
	char dir[PATH_MAX];

	char joined[PATH_MAX];

	return !strchr(name, '/') && directory(dir) && join(joined, dir, name, SUFFIX) &&
	       realpath(joined, path);
}

static int is_scenario(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && strcmp(dot, SUFFIX) == 0;
}

static void print_one(const char *dir, const char *name)
{
	static struct scenario scenario;
	char path[PATH_MAX];

	if (join(path, dir, name, "") && scenario_read(path, &scenario) == 0)
		printf("%-28.*s %s\n", (int)(strlen(name) - strlen(SUFFIX)), name, scenario.title);
}

unsigned int library_print(void)
{
	struct dirent **entries;
	char dir[PATH_MAX];
	int nr;

	if (!directory(dir) || (nr = scandir(dir, &entries, is_scenario, alphasort)) < 0)
		return 0;
	for (int i = 0; i < nr; i++) {
		print_one(dir, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return (unsigned int)nr;
}
