/* SPDX-License-Identifier: BSD-2-Clause */
/* See sys.h. */
#include "host/sys.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
	int saved = errno;
	long ret = syscall(nr, a, b, c, d, e, f);

	if (ret == -1) {
		ret = -errno;
		errno = saved;
	}
	return ret;
}

long host_call_at(enum kvmu_site site, long nr, long a, long b, long c, long d, long e, long f)
{
	int err = kvmu_inject(site);

	return unlikely(err) ? err : call(nr, a, b, c, d, e, f);
}

long host_sure_call(long nr, long a, long b, long c, long d, long e, long f)
{
	return call(nr, a, b, c, d, e, f);
}

void host_munmap(void *start, u64 bytes)
{
	if (bytes && host_call(munmap, SYS_munmap, start, bytes) < 0 &&
	    host_sure(SYS_madvise, start, bytes, MADV_REMOVE) < 0)
		host_sure(SYS_madvise, start, bytes, MADV_DONTNEED);
}

int host_thread_create(enum kvmu_site site, pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	int err = kvmu_inject(site);
	sigset_t all, saved;

	if (err)
		return err;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	err = -pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return err;
}
