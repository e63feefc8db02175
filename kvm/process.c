/* SPDX-License-Identifier: BSD-2-Clause */
/* See process.h. */
#include "kvm/process.h"

#include "host/sys.h"

static long own_pid;

void kvm_process_adopt(void)
{
	own_pid = host_sure(SYS_getpid, 0);
}

bool kvm_process_is_own(void)
{
	return host_sure(SYS_getpid, 0) == own_pid;
}
