/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only ways from our code to the kernel and to libc's memory and threads:
 * each that may fail has a site where it can be made to (base/inject.h).
 *
 * Raw system calls: the functions of the C library are interposed, and a change
 * of ours is not one of the program's.  errno is left as it was.
 */
#ifndef KVMU_HOST_SYS_H
#define KVMU_HOST_SYS_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/syscall.h>

#include "base/inject.h"
#include "base/types.h"

/* host_call(site, number, arguments, at least one): the result, or -errno. */
#define host_call(site, nr, ...) \
	host_call_at(SITE_##site, nr, HOST_SIX(__VA_ARGS__, 0, 0, 0, 0, 0, 0))

/* For what cannot fail as it is called here; tools/check_sites.py lists these with their reasons.
 */
#define host_sure(nr, ...) host_sure_call(nr, HOST_SIX(__VA_ARGS__, 0, 0, 0, 0, 0, 0))

#define HOST_SIX(a, b, c, d, e, f, ...) \
	(long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)

long host_call_at(enum kvmu_site site, long nr, long a, long b, long c, long d, long e, long f);
long host_sure_call(long nr, long a, long b, long c, long d, long e, long f);

/*
 * Give [@start, @start + @bytes) back.  Where the kernel cannot take the
 * addresses (they are part of a larger mapping, and there are too many), the
 * memory behind them goes all the same.
 */
void host_munmap(void *start, u64 bytes);

/* A thread that gets none of the program's signals.  0 or -errno. */
int host_thread_create(enum kvmu_site site, pthread_t *thread, void *(*run)(void *arg), void *arg);

#endif
