/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The preloaded library's own business: the C library's functions behind ours,
 * and what its files share.
 *
 * Everything is compiled hidden; only what carries INTERPOSE is exported.
 */
#ifndef KVMU_PRELOAD_PRELOAD_H
#define KVMU_PRELOAD_PRELOAD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#define INTERPOSE __attribute__((visibility("default")))

struct statx;

/* name, result, parameters: what dlsym(RTLD_NEXT) finds behind our functions. */
#define REAL_FUNCTIONS(X)                                                                   \
	X(open, int, (const char *, int, ...))                                              \
	X(openat, int, (int, const char *, int, ...))                                       \
	X(close, int, (int))                                                                \
	X(close_range, int, (unsigned int, unsigned int, int))                              \
	X(closefrom, void, (int))                                                           \
	X(dup, int, (int))                                                                  \
	X(dup2, int, (int, int))                                                            \
	X(dup3, int, (int, int, int))                                                       \
	X(fcntl, int, (int, int, ...))                                                      \
	X(ioctl, int, (int, unsigned long, ...))                                            \
	X(read, ssize_t, (int, void *, size_t))                                             \
	X(write, ssize_t, (int, const void *, size_t))                                      \
	X(pread, ssize_t, (int, void *, size_t, off_t))                                     \
	X(__read_chk, ssize_t, (int, void *, size_t, size_t))                               \
	X(__pread_chk, ssize_t, (int, void *, size_t, off_t, size_t))                       \
	X(preadv, ssize_t, (int, const struct iovec *, int, off_t))                         \
	X(pwrite, ssize_t, (int, const void *, size_t, off_t))                              \
	X(readv, ssize_t, (int, const struct iovec *, int))                                 \
	X(writev, ssize_t, (int, const struct iovec *, int))                                \
	X(mmap, void *, (void *, size_t, int, int, int, off_t))                             \
	X(munmap, int, (void *, size_t))                                                    \
	X(mremap, void *, (void *, size_t, size_t, int, ...))                               \
	X(mprotect, int, (void *, size_t, int))                                             \
	X(pkey_mprotect, int, (void *, size_t, int, int))                                   \
	X(madvise, int, (void *, size_t, int))                                              \
	X(process_madvise, ssize_t, (int, const struct iovec *, size_t, int, unsigned int)) \
	X(brk, int, (void *))                                                               \
	X(sbrk, void *, (intptr_t))                                                         \
	X(remap_file_pages, int, (void *, size_t, int, size_t, int))                        \
	X(fallocate, int, (int, int, off_t, off_t))                                         \
	X(ftruncate, int, (int, off_t))                                                     \
	X(truncate, int, (const char *, off_t))                                             \
	X(shmat, void *, (int, const void *, int))                                          \
	X(shmdt, int, (const void *))                                                       \
	X(access, int, (const char *, int))                                                 \
	X(faccessat, int, (int, const char *, int, int))                                    \
	X(euidaccess, int, (const char *, int))                                             \
	X(stat, int, (const char *, struct stat *))                                         \
	X(lstat, int, (const char *, struct stat *))                                        \
	X(fstatat, int, (int, const char *, struct stat *, int))                            \
	X(statx, int, (int, const char *, int, unsigned int, struct statx *))               \
	X(sigaction, int, (int, const struct sigaction *, struct sigaction *))              \
	X(signal, __sighandler_t, (int, __sighandler_t))                                    \
	X(sysv_signal, __sighandler_t, (int, __sighandler_t))                               \
	X(_exit, void, (int))

struct real_functions {
#define REAL_MEMBER(name, type, params) type(*name) params;
	REAL_FUNCTIONS(REAL_MEMBER)
#undef REAL_MEMBER
};

/* Resolved at the first call, which may come before our constructor. */
const struct real_functions *real(void);

/* Is this path, relative to @dirfd, the KVM device's?  Nothing is looked up for others. */
enum path_kind {
	PATH_OTHER,
	PATH_DEV_KVM,
	PATH_UNKNOWN, /* the kernel does not tell where it begins */
};
enum path_kind path_kind(int dirfd, const char *path);

static inline bool path_is_dev_kvm(int dirfd, const char *path)
{
	return path_kind(dirfd, path) == PATH_DEV_KVM;
}

/*
 * So that a child of fork is told what it may not touch; called again until it
 * succeeds.  0 or -ENOMEM.
 */
int fork_hooks_install(void);

/*
 * Installs our SIGSEGV and SIGBUS handler in front of the program's, once.
 * Without it there is no safe access to the program's memory.
 */
void signals_install(void);
/* In the child of fork. */
void signals_fork_child(void);

#endif
