/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interposed changes of the address space: each is bracketed, so that no guest
 * keeps a translation to what goes away.  While there is no VM that is one
 * load.
 *
 * Only what makes an address inaccessible, or not resident, matters: a leaf
 * leads to the address, not to the page behind it.
 */
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <fcntl.h>
#include <linux/falloc.h>

#include "base/bits.h"
#include "kvm/kvm_api.h"
#include "preload/preload.h"

/* Newer than Debian 12's headers. */
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define WHOLE_END (~(hva_t)0 & PAGE_MASK)

/* Up to the end of the last page; a length that wraps is the kernel's to refuse. */
static void begin(struct kvm_host_change *change, const void *addr, size_t bytes)
{
	hva_t start = ptr_to_hva(addr);
	hva_t end = start + bytes < start ? WHOLE_END : start + bytes;

	kvm_api_change_begin(change, start, end);
}

static void begin_everywhere(struct kvm_host_change *change)
{
	kvm_api_change_begin(change, 0, WHOLE_END);
}

/* Ends the bracket without disturbing what the call says. */
static void end(struct kvm_host_change *change)
{
	int saved = errno;

	kvm_api_change_end(change);
	errno = saved;
}

/* ---- mmap ------------------------------------------------------------------------------------ */

/* Of ours only a vCPU can be mapped.  0 or an errno. */
static int why_not_map(int flags, int fd, int prot, size_t length, off_t offset)
{
	bool shared = (flags & MAP_TYPE) != MAP_PRIVATE;
	enum kvm_file_kind kind = flags & MAP_ANONYMOUS ? KVM_FILE_NONE : kvm_file_kind(fd);

	if (kind == KVM_FILE_NONE)
		return 0;
	if (kind != KVM_FILE_VCPU)
		return ENODEV;
	return kvm_api_can_map_vcpu(fd, (u64)offset, length, shared, prot & PROT_EXEC) ? 0 : EINVAL;
}

/* A mapping that is not whole is none. */
static void *complete_vcpu(void *at, size_t length, int prot, int fd, off_t offset)
{
	int err;

	if (at == MAP_FAILED)
		return at;
	err = kvm_api_vcpu_mapped(fd, (hva_t)(uintptr_t)at, (u64)offset, length, prot);
	if (!err)
		return at;
	real()->munmap(at, length);
	errno = -err;
	return MAP_FAILED;
}

static void *map(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	void *at = real()->mmap(addr, length, prot, flags, fd, offset);

	if (!(flags & MAP_ANONYMOUS) && unlikely(kvm_file_kind(fd) == KVM_FILE_VCPU))
		return complete_vcpu(at, length, prot, fd, offset);
	return at;
}

INTERPOSE void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	struct kvm_host_change change;
	void *ret;

	int err = why_not_map(flags, fd, prot, length, offset);

	if (err) {
		errno = err;
		return MAP_FAILED;
	}
	if (!(flags & MAP_FIXED))
		return map(addr, length, prot, flags, fd, offset);
	begin(&change, addr, length);
	ret = map(addr, length, prot, flags, fd, offset);
	end(&change);
	return ret;
}

INTERPOSE void *mmap64(void *addr, size_t length, int prot, int flags, int fd, off64_t offset)
{
	return mmap(addr, length, prot, flags, fd, offset);
}

INTERPOSE int munmap(void *addr, size_t length)
{
	struct kvm_host_change change;
	int ret;

	begin(&change, addr, length);
	ret = real()->munmap(addr, length);
	end(&change);
	return ret;
}

static void *mremap_to(void *old, size_t old_size, size_t new_size, int flags, void *target)
{
	struct kvm_host_change change;
	void *ret;

	if (!(flags & MREMAP_FIXED))
		return real()->mremap(old, old_size, new_size, flags, target);
	begin(&change, target, new_size);
	ret = real()->mremap(old, old_size, new_size, flags, target);
	end(&change);
	return ret;
}

INTERPOSE void *mremap(void *old, size_t old_size, size_t new_size, int flags, ...)
{
	struct kvm_host_change change;
	void *target, *ret;
	va_list args;

	va_start(args, flags);
	target = flags & MREMAP_FIXED ? va_arg(args, void *) : NULL;
	va_end(args);
	begin(&change, old, old_size);
	ret = mremap_to(old, old_size, new_size, flags, target);
	end(&change);
	return ret;
}

/* ---- protection and advice --------------------------------------------------- */

INTERPOSE int mprotect(void *addr, size_t length, int prot)
{
	struct kvm_host_change change;
	int ret;

	begin(&change, addr, length);
	ret = real()->mprotect(addr, length, prot);
	end(&change);
	return ret;
}

INTERPOSE int pkey_mprotect(void *addr, size_t length, int prot, int pkey)
{
	struct kvm_host_change change;
	int ret;

	begin(&change, addr, length);
	ret = real()->pkey_mprotect(addr, length, prot, pkey);
	end(&change);
	return ret;
}

static bool advice_takes_away(int advice)
{
	switch (advice) {
	case MADV_DONTNEED:
	case MADV_FREE:
	case MADV_REMOVE:
	case MADV_PAGEOUT:
	case MADV_DONTNEED_LOCKED:
	case MADV_GUARD_INSTALL:
	case MADV_HWPOISON:
	case MADV_SOFT_OFFLINE:
		return true;
	default:
		return false;
	}
}

INTERPOSE int madvise(void *addr, size_t length, int advice)
{
	struct kvm_host_change change;
	int ret;

	if (!advice_takes_away(advice))
		return real()->madvise(addr, length, advice);
	begin(&change, addr, length);
	ret = real()->madvise(addr, length, advice);
	end(&change);
	return ret;
}

/* The process may be this one: rare enough to be coarse. */
INTERPOSE ssize_t process_madvise(int pidfd, const struct iovec *iov, size_t nr, int advice,
				  unsigned int flags)
{
	struct kvm_host_change change;
	ssize_t ret;

	if (!advice_takes_away(advice))
		return real()->process_madvise(pidfd, iov, nr, advice, flags);
	begin_everywhere(&change);
	ret = real()->process_madvise(pidfd, iov, nr, advice, flags);
	end(&change);
	return ret;
}

/* ---- what is mapped somewhere ------------------------------------------------ */

/* Where the file is mapped is not known: all memory of all VMs is suspected. */
INTERPOSE int fallocate(int fd, int mode, off_t offset, off_t length)
{
	struct kvm_host_change change;
	int ret;

	if (kvm_api_fallocate(fd, mode, offset, length, &ret)) {
		if (!ret)
			return 0;
		errno = -ret;
		return -1;
	}
	if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_ZERO_RANGE |
		      FALLOC_FL_INSERT_RANGE)))
		return real()->fallocate(fd, mode, offset, length);
	begin_everywhere(&change);
	ret = real()->fallocate(fd, mode, offset, length);
	end(&change);
	return ret;
}

INTERPOSE int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
	return fallocate(fd, mode, offset, length);
}

/* The segment's size is not ours to know; it ends before the address space does. */
INTERPOSE int shmdt(const void *addr)
{
	struct kvm_host_change change;
	int ret;

	kvm_api_change_begin(&change, ptr_to_hva(addr), WHOLE_END);
	ret = real()->shmdt(addr);
	end(&change);
	return ret;
}
