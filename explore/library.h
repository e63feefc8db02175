/* SPDX-License-Identifier: BSD-2-Clause */
/* The scenarios that come with kvmu: found by name, installed or beside the sources. */
#ifndef KVMU_EXPLORE_LIBRARY_H
#define KVMU_EXPLORE_LIBRARY_H

#include <limits.h>

#include "base/types.h"

/* The file of the scenario @name (without ".scn"); false: there is none. */
bool library_find(const char *name, char path[PATH_MAX]);

/* Name and title of each, in order; the number of them, 0 when no directory is there. */
unsigned int library_print(void);

#endif
