/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program's eventfds, as we hold on to them: by a descriptor of our own,
 * since the program may close its.
 */
#ifndef KVMU_KVM_IRQCHIP_EVENTFD_H
#define KVMU_KVM_IRQCHIP_EVENTFD_H

#include "base/errno.h"
#include "base/types.h"

struct held_eventfd {
	int fd; /* -1: none */
	u64 id; /* the kernel's: two descriptors of one eventfd have the same */
};

/* -EBADF, -EINVAL (not an eventfd), -ENOMEM; KVM needs no descriptor of its own for it. */
int eventfd_hold(struct held_eventfd *held, int fd) KVMU_MUST_CHECK;
void eventfd_release(struct held_eventfd *held);
/* The identity alone, for one that is to be found again. Same errors. */
int eventfd_identify(int fd, u64 *id) KVMU_MUST_CHECK;

void eventfd_signal(const struct held_eventfd *held);
/* Take the count back to 0; false: it was. */
bool eventfd_consume(const struct held_eventfd *held);

#endif
