/* SPDX-License-Identifier: BSD-2-Clause */
/* See text.h. */
#include "kvm/text.h"

#include <stdarg.h>
#include <stdio.h>

void say(struct text *text, const char *format, ...)
{
	size_t room = text->bytes - text->used;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text->buf + text->used, room, format, args);
	va_end(args);
	if (n > 0)
		text->used += (size_t)n < room ? (size_t)n : room - 1;
}
