/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Touching a page of the program the way guest code will, cheaper than asking
 * the kernel to populate it, and blocking on userfaultfd in user mode, which
 * is all an unprivileged handler may be told about (UFFD_USER_MODE_ONLY).
 *
 * A touch that is refused is a signal.  Whoever owns the SIGSEGV and SIGBUS
 * handlers calls host_touch_fault() first and host_touch_enable() once they
 * are in place; until then, and on machines without an implementation, pages
 * are populated by madvise().
 */
#ifndef KVMU_HOST_TOUCH_H
#define KVMU_HOST_TOUCH_H

#include "base/errno.h"
#include "base/types.h"

void host_touch_enable(void);
bool host_touch_enabled(void);

/* Read or write one byte, changing nothing.  0 or -EFAULT.  May sleep. */
int host_touch(hva_t hva, bool write);

/*
 * In the handler, with its third argument: if the signal comes from a touch,
 * arrange for the touch to fail when the handler returns, and say so.
 */
bool host_touch_fault(void *ucontext);

#endif
