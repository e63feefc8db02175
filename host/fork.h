/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Around fork: the child has one thread, and read-side sections of the others
 * must not be waited for there.  For pthread_atfork().
 */
#ifndef KVMU_HOST_FORK_H
#define KVMU_HOST_FORK_H

void host_fork_prepare(void);
void host_fork_parent(void);
void host_fork_child(void);

#endif
