/* SPDX-License-Identifier: BSD-2-Clause */
/* kvmu explore: a program of its own, because it holds the MMU built in another way. */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static const char *const explorer_places[] = {
	"../explore/kvmu-explore",
	KVMU_LIBEXECDIR_FROM_BINDIR "/kvmu/kvmu-explore",
	NULL,
};

int cmd_explore(char **argv)
{
	char path[PATH_MAX];

	if (!find_beside_us("kvmu-explore", explorer_places, path))
		return EXIT_OWN_FAILURE;
	execv(path, argv);
	complain("%s: %s", path, strerror(errno));
	return EXIT_OWN_FAILURE;
}
