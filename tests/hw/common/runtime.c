/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the compiler and the library take for granted: the four memory functions,
 * the sinks of base/assert.h; and the parameters and the verdict of image.h.
 */
#include "base/assert.h"
#include "tests/hw/common/image.h"

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
	char *t = to;
	const char *f = from;

	while (bytes--)
		*t++ = *f++;
	return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
	char *t = to;
	const char *f = from;

	if (t < f)
		return memcpy(to, from, bytes);
	while (bytes--)
		t[bytes] = f[bytes];
	return to;
}

/* Table pages are what is cleared most: by words where the ends allow. */
void *memset(void *to, int value, size_t bytes)
{
	const u64 pattern = (u8)value * 0x0101010101010101ull;
	char *t = to;

	for (; bytes && ((uintptr_t)t & 7); bytes--)
		*t++ = (char)value;
	for (; bytes >= 8; bytes -= 8, t += 8)
		*(u64 *)(void *)t = pattern;
	while (bytes--)
		*t++ = (char)value;
	return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const u8 *x = a, *y = b;

	for (; bytes; bytes--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

_Noreturn void kvmu_bug(const char *file, int line, const char *what)
{
	hw_printf("BUG: %s:%d: %s\n", file, line, what);
	hw_finish(1);
}

void kvmu_warn(const char *file, int line, const char *what)
{
	hw_printf("warning: %s:%d: %s\n", file, line, what);
}

struct hw_params hw_params_at(u64 address)
{
	const struct hw_params *given = hva_to_ptr(address);

	if (given->magic != HW_PARAMS_MAGIC)
		return (struct hw_params){.seed = 1, .scale = 100};
	return *given;
}

_Noreturn void hw_finish(u64 failures)
{
	if (failures)
		hw_printf("VERDICT: fail, %lu failures\n", failures);
	else
		hw_printf("VERDICT: pass\n");
	hw_exit(!failures);
}
