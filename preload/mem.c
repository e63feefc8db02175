/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies of our own of what the compiler calls by itself.
 *
 * A program may export functions of these names (the kernel's selftests do:
 * byte loops), and a preloaded library's calls would then end there.  These
 * are hidden, so calls from inside bind to them.  Compiled with
 * -fno-builtin and without loop idioms, or they would call themselves.
 */
#include <stddef.h>
#include <stdint.h>

/* Eight bytes at any address, aliasing anything. */
struct word {
	uint64_t value;
} __attribute__((packed, may_alias));

#define HIDDEN __attribute__((visibility("hidden")))

HIDDEN void *memcpy(void *restrict to, const void *restrict from, size_t n);
HIDDEN void *memmove(void *to, const void *from, size_t n);
HIDDEN void *memset(void *to, int value, size_t n);
HIDDEN int memcmp(const void *a, const void *b, size_t n);

#if defined(__x86_64__)

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	void *ret = to;

	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	return ret;
}

void *memset(void *to, int value, size_t n)
{
	void *ret = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
	return ret;
}

static void copy_backwards(unsigned char *to, const unsigned char *from, size_t n)
{
	while (n && ((uintptr_t)(to + n) & 7)) {
		n--;
		to[n] = from[n];
	}
	while (n >= 8) {
		n -= 8;
		*(struct word *)(to + n) = *(const struct word *)(from + n);
	}
	while (n--)
		to[n] = from[n];
}

#else

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	for (; n >= 8; n -= 8, t += 8, f += 8)
		*(struct word *)t = *(const struct word *)f;
	while (n--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int value, size_t n)
{
	unsigned char *t = to;

	while (n--)
		*t++ = (unsigned char)value;
	return to;
}

static void copy_backwards(unsigned char *to, const unsigned char *from, size_t n)
{
	while (n--)
		to[n] = from[n];
}

#endif

void *memmove(void *to, const void *from, size_t n)
{
	if ((uintptr_t)to - (uintptr_t)from >= n)
		return memcpy(to, from, n);
	copy_backwards(to, from, n);
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (size_t i = 0; i < n; i++) {
		if (x[i] != y[i])
			return x[i] - y[i];
	}
	return 0;
}
