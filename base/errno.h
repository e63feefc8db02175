/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Error numbers for freestanding code.  The values are Linux's generic ones
 * (x86, arm64 and RISC-V agree), so that a number may cross any boundary.
 *
 * Convention of the whole project: a function that can fail returns int, 0 or
 * -errno; an outcome that is not an error is an enum; bool is for predicates.
 */
#ifndef KVMU_BASE_ERRNO_H
#define KVMU_BASE_ERRNO_H

#if __STDC_HOSTED__
#include <errno.h>
#else
#define ENOENT	   2
#define EINTR	   4
#define EIO	   5
#define ENXIO	   6
#define E2BIG	   7
#define EAGAIN	   11
#define ENOMEM	   12
#define EFAULT	   14
#define EBUSY	   16
#define EEXIST	   17
#define EINVAL	   22
#define ENOSPC	   28
#define ERANGE	   34
#define EOPNOTSUPP 95
#define EHWPOISON  133
#endif

#define KVMU_MUST_CHECK __attribute__((warn_unused_result))

#endif
