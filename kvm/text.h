/* SPDX-License-Identifier: BSD-2-Clause */
/* Text that grows in a buffer of fixed size: what no longer fits is cut off. */
#pragma once

#include <stddef.h>

struct text {
	char *buf;
	size_t bytes, used; /* used < bytes: a terminating 0 always has room */
};

/* Appends.  Takes no lock, does not sleep. */
__attribute__((format(printf, 2, 3))) void say(struct text *text, const char *format, ...);
