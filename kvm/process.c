/* SPDX-License-Identifier: BSD-2-Clause */
/* See process.h. */
#include "kvm/process.h"

#include <sys/syscall.h>
#include <unistd.h>

static long own_pid;

void kvm_process_adopt(void)
{
	own_pid = syscall(SYS_getpid);
}

bool kvm_process_is_own(void)
{
	return syscall(SYS_getpid) == own_pid;
}
