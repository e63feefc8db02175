/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interposed calls on paths and descriptors.  For a descriptor that is not
 * ours each costs one look at a table before the C library's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/bits.h"
#include "kvm/kvm_api.h"
#include "kvm/user_copy.h"
#include "preload/preload.h"

static long to_libc(long ret)
{
	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

/* ---- open ----------------------------------------------------------------------------------- */

#define NEEDS_MODE(flags) (((flags)&O_CREAT) || ((flags)&O_TMPFILE) == O_TMPFILE)

static int open_dev_kvm(int flags)
{
	int err;

	signals_install();
	err = fork_hooks_install();
	return err ? err : kvm_api_open(flags & O_CLOEXEC);
}

/* True: answered, *@fd is the result. */
static bool open_ours(int dirfd, const char *path, int flags, int *fd)
{
	int ret;

	switch (path_kind(dirfd, path)) {
	case PATH_DEV_KVM:
		*fd = (int)to_libc(open_dev_kvm(flags));
		return true;
	case PATH_UNKNOWN:
		/* It might be the machine's own KVM, which nobody may get through us. */
		*fd = (int)to_libc(-ENOMEM);
		return true;
	case PATH_OTHER:
		break;
	}
	if (!path || strncmp(path, "/sys/module/kvm", 15) != 0)
		return false;
	ret = kvm_api_open_module_param(path, flags & O_CLOEXEC);
	if (ret == -EXDEV)
		return false;
	*fd = (int)to_libc(ret);
	return true;
}

static int do_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;

	if (open_ours(dirfd, path, flags, &fd))
		return fd;
	if (dirfd == AT_FDCWD)
		return real()->open(path, flags, mode);
	return real()->openat(dirfd, path, flags, mode);
}

#define MODE_ARGUMENT(flags)                           \
	({                                             \
		mode_t mode_ = 0;                      \
		if (NEEDS_MODE(flags)) {               \
			va_list args_;                 \
			va_start(args_, flags);        \
			mode_ = va_arg(args_, mode_t); \
			va_end(args_);                 \
		}                                      \
		mode_;                                 \
	})

INTERPOSE int open(const char *path, int flags, ...)
{
	return do_openat(AT_FDCWD, path, flags, MODE_ARGUMENT(flags));
}

INTERPOSE int open64(const char *path, int flags, ...)
{
	return do_openat(AT_FDCWD, path, flags | O_LARGEFILE, MODE_ARGUMENT(flags));
}

INTERPOSE int openat(int dirfd, const char *path, int flags, ...)
{
	return do_openat(dirfd, path, flags, MODE_ARGUMENT(flags));
}

INTERPOSE int openat64(int dirfd, const char *path, int flags, ...)
{
	return do_openat(dirfd, path, flags | O_LARGEFILE, MODE_ARGUMENT(flags));
}

/* What _FORTIFY_SOURCE turns the two-argument calls into. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);

INTERPOSE int __open_2(const char *path, int flags)
{
	return do_openat(AT_FDCWD, path, flags, 0);
}

INTERPOSE int __open64_2(const char *path, int flags)
{
	return do_openat(AT_FDCWD, path, flags | O_LARGEFILE, 0);
}

INTERPOSE int __openat_2(int dirfd, const char *path, int flags)
{
	return do_openat(dirfd, path, flags, 0);
}

INTERPOSE int __openat64_2(int dirfd, const char *path, int flags)
{
	return do_openat(dirfd, path, flags | O_LARGEFILE, 0);
}

/* ---- close ------------------------------------------------------------------- */

/*
 * Forgotten before it is closed: afterwards the number may already be another
 * thread's new VM.
 */
INTERPOSE int close(int fd)
{
	kvm_file_forget(fd);
	return real()->close(fd);
}

INTERPOSE int close_range(unsigned int first, unsigned int last, int flags)
{
	if (!(flags & CLOSE_RANGE_CLOEXEC))
		kvm_file_forget_range(first, last);
	return real()->close_range(first, last, flags);
}

INTERPOSE void closefrom(int low)
{
	kvm_file_forget_range(low > 0 ? (unsigned int)low : 0, UINT_MAX);
	real()->closefrom(low);
}

/* ---- dup --------------------------------------------------------------------- */

/* @fd, if it is one, has become another name for what @old was. */
static int alias(struct kvm_file *file, int fd)
{
	if (fd >= 0 && file)
		kvm_file_alias(file, fd);
	else if (fd >= 0)
		kvm_file_forget(fd);
	if (file)
		kvm_file_put(file);
	return fd;
}

INTERPOSE int dup(int old)
{
	struct kvm_file *file = kvm_file_get_checked(old);

	return alias(file, real()->dup(old));
}

INTERPOSE int dup2(int old, int fd)
{
	if (old == fd)
		return real()->dup2(old, fd);
	return alias(kvm_file_get_checked(old), real()->dup2(old, fd));
}

INTERPOSE int dup3(int old, int fd, int flags)
{
	return alias(kvm_file_get_checked(old), real()->dup3(old, fd, flags));
}

static int do_fcntl(int fd, int command, void *arg)
{
	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		return alias(kvm_file_get_checked(fd), real()->fcntl(fd, command, arg));
	return real()->fcntl(fd, command, arg);
}

#define POINTER_ARGUMENT(last)                \
	({                                    \
		va_list args_;                \
		void *arg_;                   \
		va_start(args_, last);        \
		arg_ = va_arg(args_, void *); \
		va_end(args_);                \
		arg_;                         \
	})

INTERPOSE int fcntl(int fd, int command, ...)
{
	return do_fcntl(fd, command, POINTER_ARGUMENT(command));
}

INTERPOSE int fcntl64(int fd, int command, ...)
{
	return do_fcntl(fd, command, POINTER_ARGUMENT(command));
}

/* ---- ioctl ------------------------------------------------------------------- */

/* Declared here: the kernel's header of Debian 12 has no UFFDIO_MOVE. */
struct uffd_move {
	__u64 dst, src, len, mode;
	__s64 move;
};
#define UFFD_MOVE ((u32)_IOWR(UFFDIO, 0x05, struct uffd_move))

/* userfaultfd's calls that take something away from the program's memory; false: none. */
static bool uffd_change(u32 request, u64 arg, hva_t *start, hva_t *end)
{
	struct uffdio_writeprotect wp;
	struct uffd_move move;

	if (request == (u32)UFFDIO_WRITEPROTECT) {
		if (kvm_copy_from_user(&wp, arg, sizeof(wp)))
			return false;
		*start = wp.range.start;
		*end = wp.range.start + wp.range.len;
		return wp.mode & UFFDIO_WRITEPROTECT_MODE_WP;
	}
	if (request != UFFD_MOVE || kvm_copy_from_user(&move, arg, sizeof(move)))
		return false;
	*start = move.src;
	*end = move.src + move.len;
	return true;
}

static int foreign_ioctl(int fd, unsigned long request, void *arg)
{
	struct kvm_host_change change;
	hva_t start, end;
	int ret;

	if (likely(_IOC_TYPE(request) != UFFDIO) || !kvm_api_has_vms() ||
	    !uffd_change((u32)request, (u64)(uintptr_t)arg, &start, &end))
		return real()->ioctl(fd, request, arg);
	kvm_api_change_begin(&change, start, end);
	ret = real()->ioctl(fd, request, arg);
	kvm_api_change_end(&change);
	return ret;
}

INTERPOSE int ioctl(int fd, unsigned long request, ...)
{
	void *arg = POINTER_ARGUMENT(request);
	long ret;

	if (kvm_api_ioctl(fd, request, (u64)(uintptr_t)arg, &ret))
		return (int)to_libc(ret);
	return foreign_ioctl(fd, request, arg);
}

/* ---- read and write: of KVM's descriptors only statistics can be read ------------------- */

/* Nothing to read on ours; a position is refused first where there is none. */
static int no_io(enum kvm_file_kind kind, bool at_position)
{
	return at_position && kind != KVM_FILE_SYSTEM ? -ESPIPE : -EINVAL;
}

/* 0: the C library may go on. */
static int may_read(int fd, bool at_position)
{
	enum kvm_file_kind kind = kvm_file_kind(fd);

	if (likely(kind == KVM_FILE_NONE))
		return 0;
	if (kind != KVM_FILE_STATS)
		return no_io(kind, at_position);
	kvm_api_refresh_stats(fd);
	return 0;
}

static int may_write(int fd, bool at_position)
{
	enum kvm_file_kind kind = kvm_file_kind(fd);

	if (likely(kind == KVM_FILE_NONE))
		return 0;
	return kind == KVM_FILE_STATS ? -EBADF : no_io(kind, at_position);
}

#define DEFINE_IO(name, may, at_position, params, args)   \
	INTERPOSE ssize_t name params                     \
	{                                                 \
		int refused = may(fd, at_position);       \
                                                          \
		if (unlikely(refused))                    \
			return (ssize_t)to_libc(refused); \
		return real()->name args;                 \
	}

/* What _FORTIFY_SOURCE turns reads into. */
ssize_t __read_chk(int fd, void *buf, size_t n, size_t room);
ssize_t __pread_chk(int fd, void *buf, size_t n, off_t at, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t n, off64_t at, size_t room);

DEFINE_IO(read, may_read, false, (int fd, void *buf, size_t n), (fd, buf, n))
DEFINE_IO(__read_chk, may_read, false, (int fd, void *buf, size_t n, size_t room),
	  (fd, buf, n, room))
DEFINE_IO(write, may_write, false, (int fd, const void *buf, size_t n), (fd, buf, n))
DEFINE_IO(readv, may_read, false, (int fd, const struct iovec *iov, int n), (fd, iov, n))
DEFINE_IO(writev, may_write, false, (int fd, const struct iovec *iov, int n), (fd, iov, n))
DEFINE_IO(pread, may_read, true, (int fd, void *buf, size_t n, off_t at), (fd, buf, n, at))
DEFINE_IO(__pread_chk, may_read, true, (int fd, void *buf, size_t n, off_t at, size_t room),
	  (fd, buf, n, at, room))
DEFINE_IO(pwrite, may_write, true, (int fd, const void *buf, size_t n, off_t at), (fd, buf, n, at))
DEFINE_IO(preadv, may_read, true, (int fd, const struct iovec *iov, int n, off_t at),
	  (fd, iov, n, at))

INTERPOSE ssize_t pread64(int fd, void *buf, size_t n, off64_t at)
{
	return pread(fd, buf, n, at);
}

INTERPOSE ssize_t __pread64_chk(int fd, void *buf, size_t n, off64_t at, size_t room)
{
	return __pread_chk(fd, buf, n, at, room);
}

INTERPOSE ssize_t preadv64(int fd, const struct iovec *iov, int n, off64_t at)
{
	return preadv(fd, iov, n, at);
}

INTERPOSE ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t at)
{
	return pwrite(fd, buf, n, at);
}
