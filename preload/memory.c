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
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/sys.h"
#include "kvm/kvm_api.h"
#include "kvm/user_copy.h"
#include "preload/mappings.h"
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
	host_munmap(at, length);
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

/* What can only shrink or grow where it is keeps its beginning. */
static size_t kept_by_mremap(size_t old_size, size_t new_size, int flags)
{
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
		return 0;
	if (new_size > old_size)
		return flags & MREMAP_MAYMOVE ? 0 : old_size;
	return min_u64(align_up(new_size, PAGE_SIZE), old_size);
}

INTERPOSE void *mremap(void *old, size_t old_size, size_t new_size, int flags, ...)
{
	struct kvm_host_change change;
	size_t kept;
	void *target, *ret;
	va_list args;

	va_start(args, flags);
	target = flags & MREMAP_FIXED ? va_arg(args, void *) : NULL;
	va_end(args);
	kept = kept_by_mremap(old_size, new_size, flags);
	begin(&change, (char *)old + kept, old_size - kept);
	ret = mremap_to(old, old_size, new_size, flags, target);
	end(&change);
	return ret;
}

INTERPOSE int remap_file_pages(void *addr, size_t size, int prot, size_t page, int flags)
{
	struct kvm_host_change change;
	int ret;

	begin(&change, addr, size);
	ret = real()->remap_file_pages(addr, size, prot, page, flags);
	end(&change);
	return ret;
}

/* ---- the heap ---------------------------------------------------------------- */

/* What the break leaves behind when it moves to @to. */
static void begin_heap(struct kvm_host_change *change, const void *to)
{
	hva_t now = kvm_api_has_vms() ? ptr_to_hva(real()->sbrk(0)) : 0;

	kvm_api_change_begin(change, align_up(ptr_to_hva(to), PAGE_SIZE), now);
}

INTERPOSE int brk(void *to)
{
	struct kvm_host_change change;
	int ret;

	begin_heap(&change, to);
	ret = real()->brk(to);
	end(&change);
	return ret;
}

INTERPOSE void *sbrk(intptr_t bytes)
{
	struct kvm_host_change change;
	void *ret;

	if (bytes >= 0 || !kvm_api_has_vms())
		return real()->sbrk(bytes);
	begin_heap(&change, (char *)real()->sbrk(0) + bytes);
	ret = real()->sbrk(bytes);
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

/*
 * MADV_COLD only makes pages old and MADV_COLLAPSE only moves them: they stay
 * at their address, and resident.
 */
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

/* ---- several ranges ---------------------------------------------------------- */

struct changes {
	unsigned int nr;
	struct kvm_host_change change[MAPPINGS_MAX];
};

static void begin_all(struct changes *changes, const struct mappings *mappings)
{
	changes->nr = mappings->everywhere ? 1 : mappings->nr;
	if (mappings->everywhere)
		kvm_api_change_begin(&changes->change[0], 0, WHOLE_END);
	for (unsigned int i = 0; !mappings->everywhere && i < mappings->nr; i++)
		kvm_api_change_begin(&changes->change[i], mappings->range[i].start,
				     mappings->range[i].end);
}

static void end_all(struct changes *changes)
{
	for (unsigned int i = 0; i < changes->nr; i++)
		end(&changes->change[i]);
}

/* The pages go away, wherever they are mapped. */
static int remove_pages(void *addr, size_t length)
{
	hva_t start = ptr_to_hva(addr);
	struct mappings mappings;
	struct changes changes;
	int ret;

	mappings_of_memory(&mappings, start, start + length < start ? WHOLE_END : start + length);
	begin_all(&changes, &mappings);
	ret = real()->madvise(addr, length, MADV_REMOVE);
	end_all(&changes);
	return ret;
}

INTERPOSE int madvise(void *addr, size_t length, int advice)
{
	struct kvm_host_change change;
	int ret;

	if (!advice_takes_away(advice))
		return real()->madvise(addr, length, advice);
	if (advice == MADV_REMOVE && kvm_api_has_vms())
		return remove_pages(addr, length);
	begin(&change, addr, length);
	ret = real()->madvise(addr, length, advice);
	end(&change);
	return ret;
}

/* The ranges; if the process is another one, they are only suspected for nothing. */
static void advised_ranges(struct mappings *out, const struct iovec *iov, size_t nr)
{
	*out = (struct mappings){.everywhere = nr > MAPPINGS_MAX};
	for (size_t i = 0; !out->everywhere && i < nr; i++) {
		struct iovec v;

		if (kvm_copy_from_user(&v, (u64)(uintptr_t)&iov[i], sizeof(v)))
			return;
		out->range[out->nr++] = (struct mapped_range){ptr_to_hva(v.iov_base),
							      ptr_to_hva(v.iov_base) + v.iov_len};
	}
}

INTERPOSE ssize_t process_madvise(int pidfd, const struct iovec *iov, size_t nr, int advice,
				  unsigned int flags)
{
	struct mappings mappings;
	struct changes changes;
	ssize_t ret;

	if (!advice_takes_away(advice) || !kvm_api_has_vms())
		return real()->process_madvise(pidfd, iov, nr, advice, flags);
	advised_ranges(&mappings, iov, nr);
	begin_all(&changes, &mappings);
	ret = real()->process_madvise(pidfd, iov, nr, advice, flags);
	end_all(&changes);
	return ret;
}

/* ---- files ------------------------------------------------------------------- */

/* Bytes of the file whose pages go away when the call succeeds: [*start, *end). */
static bool fallocate_takes_away(int mode, off_t offset, off_t length, u64 *start, u64 *end)
{
	/* These two move all that comes after. */
	bool shifts = mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE);

	if (offset < 0 || length <= 0)
		return false;
	/* A page that is cut in part is cleared in part, and stays. */
	*start = align_up((u64)offset, PAGE_SIZE);
	*end = shifts ? ~0ull : align_down((u64)offset + (u64)length, PAGE_SIZE);
	return shifts || (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE));
}

INTERPOSE int fallocate(int fd, int mode, off_t offset, off_t length)
{
	struct mappings mappings;
	struct changes changes;
	u64 start, end;
	int ret;

	if (kvm_api_fallocate(fd, mode, offset, length, &ret)) {
		if (!ret)
			return 0;
		errno = -ret;
		return -1;
	}
	if (!kvm_api_has_vms() || !fallocate_takes_away(mode, offset, length, &start, &end))
		return real()->fallocate(fd, mode, offset, length);
	mappings_of_fd(&mappings, fd, start, end);
	begin_all(&changes, &mappings);
	ret = real()->fallocate(fd, mode, offset, length);
	end_all(&changes);
	return ret;
}

INTERPOSE int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
	return fallocate(fd, mode, offset, length);
}

/* From the first page that is wholly cut off. */
static u64 cut_at(off_t length)
{
	return length < 0 ? ~0ull : align_up((u64)length, PAGE_SIZE);
}

static bool is_ours(int fd)
{
	struct kvm_file *file =
		likely(kvm_file_kind(fd) == KVM_FILE_NONE) ? NULL : kvm_file_get_checked(fd);

	if (file)
		kvm_file_put(file);
	return file != NULL;
}

INTERPOSE int ftruncate(int fd, off_t length)
{
	struct mappings mappings;
	struct changes changes;
	int ret;

	/* None of our files can be resized. */
	if (is_ours(fd)) {
		errno = EINVAL;
		return -1;
	}
	if (!kvm_api_has_vms())
		return real()->ftruncate(fd, length);
	mappings_of_fd(&mappings, fd, cut_at(length), ~0ull);
	begin_all(&changes, &mappings);
	ret = real()->ftruncate(fd, length);
	end_all(&changes);
	return ret;
}

INTERPOSE int ftruncate64(int fd, off64_t length)
{
	return ftruncate(fd, length);
}

INTERPOSE int truncate(const char *path, off_t length)
{
	struct mappings mappings;
	struct changes changes;
	int ret;

	if (!kvm_api_has_vms())
		return real()->truncate(path, length);
	mappings_of_path(&mappings, path, cut_at(length), ~0ull);
	begin_all(&changes, &mappings);
	ret = real()->truncate(path, length);
	end_all(&changes);
	return ret;
}

INTERPOSE int truncate64(const char *path, off64_t length)
{
	return truncate(path, length);
}

/* ---- System V memory --------------------------------------------------------- */

/* Attached over what is there (SHM_REMAP), a segment replaces as much as it is long. */
INTERPOSE void *shmat(int id, const void *addr, int flags)
{
	struct kvm_host_change change;
	struct shmid_ds info;
	void *ret;

	if (!(flags & SHM_REMAP) || !addr || !kvm_api_has_vms())
		return real()->shmat(id, addr, flags);
	/* How long it is cannot be told: anything above may go. */
	if (host_call(maps_stat, SYS_shmctl, id, IPC_STAT, &info))
		info.shm_segsz = SIZE_MAX;
	begin(&change, addr, info.shm_segsz);
	ret = real()->shmat(id, addr, flags);
	end(&change);
	return ret;
}

INTERPOSE int shmdt(const void *addr)
{
	struct mappings mappings;
	struct changes changes;
	int ret;

	if (!kvm_api_has_vms())
		return real()->shmdt(addr);
	mappings_of_segment(&mappings, ptr_to_hva(addr));
	begin_all(&changes, &mappings);
	ret = real()->shmdt(addr);
	end_all(&changes);
	return ret;
}
