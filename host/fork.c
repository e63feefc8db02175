/* SPDX-License-Identifier: BSD-2-Clause */
/* Grace periods across fork.  See fork.h. */
#include "host/fork.h"

#include <urcu/urcu-bp.h>

void host_fork_prepare(void)
{
	urcu_bp_before_fork();
}

void host_fork_parent(void)
{
	urcu_bp_after_fork_parent();
}

void host_fork_child(void)
{
	urcu_bp_after_fork_child();
}
