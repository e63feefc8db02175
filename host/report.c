/* SPDX-License-Identifier: BSD-2-Clause */
/* Where assertions end: one line on standard error, and abort() for a bug. */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

void kvmu_warn(const char *file, int line, const char *what)
{
	dprintf(2, "kvmu: warning: %s:%d: %s\n", file, line, what);
}

_Noreturn void kvmu_bug(const char *file, int line, const char *what)
{
	dprintf(2, "kvmu: bug: %s:%d: %s\n", file, line, what);
	abort();
}
