/* SPDX-License-Identifier: BSD-2-Clause */
/* Start, fork and end of the process. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/atomics.h"
#include "host/inject.h"
#include "kvm/kvm_api.h"
#include "preload/preload.h"

static void fork_child(void)
{
	kvm_api_fork_child();
	signals_fork_child();
}

int fork_hooks_install(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool installed;
	int err = 0;

	if (likely(atomic_observe(&installed)))
		return 0;
	pthread_mutex_lock(&lock);
	if (!installed) {
		err = kvmu_inject(SITE_fork_hooks);
		if (!err)
			err = -pthread_atfork(kvm_api_fork_prepare, kvm_api_fork_parent,
					      fork_child);
		/* This may be a child of whoever could not be told. */
		kvm_api_adopt();
		atomic_publish(&installed, !err);
	}
	pthread_mutex_unlock(&lock);
	return err;
}

__attribute__((constructor)) static void start(void)
{
	const char *want = getenv("KVMU_STATS"), *events = getenv("KVMU_TRACE");
	const char *failures = getenv("KVMU_INJECT");

	if (failures)
		inject_start_as_told(failures);

	real();
	kvm_api_start();
	fork_hooks_install();
	if (want && strcmp(want, "1") == 0)
		kvm_api_want_stats();
	if (events)
		kvm_api_trace_start(events, getenv("KVMU_TRACE_FILE"));
}

static void last_words(void)
{
	kvm_api_print_stats();
	kvm_api_trace_finish();
	inject_report();
}

__attribute__((destructor)) static void finish(void)
{
	last_words();
}

/* Ends without the exit handlers that finish() is one of. */
INTERPOSE _Noreturn void _exit(int status)
{
	last_words();
	real()->_exit(status);
	__builtin_unreachable();
}

INTERPOSE _Noreturn void _Exit(int status)
{
	_exit(status);
}
