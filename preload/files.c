/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does /dev/kvm exist?  Yes: a character device 10:232 that everyone may read
 * and write.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/bits.h"
#include "preload/preload.h"

#define KVM_MAJOR 10
#define KVM_MINOR 232
#define KVM_MODE  (S_IFCHR | 0666)

static int access_ours(int mode)
{
	if (!(mode & X_OK))
		return 0;
	errno = EACCES;
	return -1;
}

INTERPOSE int access(const char *path, int mode)
{
	if (unlikely(path_is_dev_kvm(AT_FDCWD, path)))
		return access_ours(mode);
	return real()->access(path, mode);
}

INTERPOSE int faccessat(int dirfd, const char *path, int mode, int flags)
{
	if (unlikely(path_is_dev_kvm(dirfd, path)))
		return access_ours(mode);
	return real()->faccessat(dirfd, path, mode, flags);
}

INTERPOSE int euidaccess(const char *path, int mode)
{
	if (unlikely(path_is_dev_kvm(AT_FDCWD, path)))
		return access_ours(mode);
	return real()->euidaccess(path, mode);
}

INTERPOSE int eaccess(const char *path, int mode)
{
	return euidaccess(path, mode);
}

/* ---- stat -------------------------------------------------------------------- */

static int stat_ours(struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_mode = KVM_MODE;
	st->st_nlink = 1;
	st->st_rdev = makedev(KVM_MAJOR, KVM_MINOR);
	st->st_blksize = 4096;
	return 0;
}

/* struct stat64 is struct stat on 64-bit machines. */
static struct stat *as_stat(struct stat64 *st)
{
	_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "64-bit file offsets");
	return (struct stat *)(void *)st;
}

INTERPOSE int stat(const char *path, struct stat *st)
{
	if (unlikely(path_is_dev_kvm(AT_FDCWD, path)))
		return stat_ours(st);
	return real()->stat(path, st);
}

INTERPOSE int lstat(const char *path, struct stat *st)
{
	if (unlikely(path_is_dev_kvm(AT_FDCWD, path)))
		return stat_ours(st);
	return real()->lstat(path, st);
}

INTERPOSE int fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	if (unlikely(path_is_dev_kvm(dirfd, path)))
		return stat_ours(st);
	return real()->fstatat(dirfd, path, st, flags);
}

INTERPOSE int stat64(const char *path, struct stat64 *st)
{
	return stat(path, as_stat(st));
}

INTERPOSE int lstat64(const char *path, struct stat64 *st)
{
	return lstat(path, as_stat(st));
}

INTERPOSE int fstatat64(int dirfd, const char *path, struct stat64 *st, int flags)
{
	return fstatat(dirfd, path, as_stat(st), flags);
}

/* What programs linked against an older C library call; @version is the structure's. */
int __xstat(int version, const char *path, struct stat *st);
int __lxstat(int version, const char *path, struct stat *st);
int __xstat64(int version, const char *path, struct stat64 *st);
int __lxstat64(int version, const char *path, struct stat64 *st);

INTERPOSE int __xstat(int version, const char *path, struct stat *st)
{
	(void)version;
	return stat(path, st);
}

INTERPOSE int __lxstat(int version, const char *path, struct stat *st)
{
	(void)version;
	return lstat(path, st);
}

INTERPOSE int __xstat64(int version, const char *path, struct stat64 *st)
{
	(void)version;
	return stat64(path, st);
}

INTERPOSE int __lxstat64(int version, const char *path, struct stat64 *st)
{
	(void)version;
	return lstat64(path, st);
}

INTERPOSE int statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *st)
{
	if (likely(!path_is_dev_kvm(dirfd, path)))
		return real()->statx(dirfd, path, flags, mask, st);
	memset(st, 0, sizeof(*st));
	st->stx_mask = STATX_TYPE | STATX_MODE | STATX_NLINK;
	st->stx_mode = KVM_MODE;
	st->stx_nlink = 1;
	st->stx_blksize = 4096;
	st->stx_rdev_major = KVM_MAJOR;
	st->stx_rdev_minor = KVM_MINOR;
	return 0;
}
