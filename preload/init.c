/* SPDX-License-Identifier: BSD-2-Clause */
/* Start, fork and end of the process. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm/kvm_api.h"
#include "preload/preload.h"

static void fork_child(void)
{
	kvm_api_fork_child();
	signals_fork_child();
}

__attribute__((constructor)) static void start(void)
{
	const char *want = getenv("KVMU_STATS"), *events = getenv("KVMU_TRACE");

	real();
	kvm_api_start();
	pthread_atfork(kvm_api_fork_prepare, kvm_api_fork_parent, fork_child);
	if (want && strcmp(want, "1") == 0)
		kvm_api_want_stats();
	if (events)
		kvm_api_trace_start(events, getenv("KVMU_TRACE_FILE"));
}

__attribute__((destructor)) static void finish(void)
{
	kvm_api_print_stats();
	kvm_api_trace_finish();
}

/* Ends without the exit handlers that finish() is one of. */
INTERPOSE _Noreturn void _exit(int status)
{
	kvm_api_print_stats();
	kvm_api_trace_finish();
	real()->_exit(status);
	__builtin_unreachable();
}

INTERPOSE _Noreturn void _Exit(int status)
{
	_exit(status);
}
