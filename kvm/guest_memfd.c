/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest_memfd descriptors (api.rst 4.142): memory of a VM that its program can
 * neither map nor read nor write.
 *
 * What the program holds is an empty memfd of the right size, sealed against
 * writing: the memory itself has no descriptor at all.
 */
#include "host/sys.h"
#include "mmu/gmem.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "kvm/guest_memfd.h"
#include "kvm/ioctl_table.h"
#include "kvm/kvm_api.h"
#include "kvm/process.h"

/* ---- creation -------------------------------------------------------------------- */

static int create_on(struct vm *vm, u64 bytes, int fd)
{
	struct kvm_file *file = kvm_file_reserve(fd);
	int err;

	if (!file)
		return -ENOMEM;
	err = kvm_gmem_create(&vm->kvm, bytes >> PAGE_SHIFT, &file->gmem);
	if (err) {
		kvm_file_unreserve(file);
		return err;
	}
	vm_get(vm);
	kvm_file_install(file, fd, KVM_FILE_GUEST_MEMFD, vm, NULL);
	return 0;
}

long do_create_guest_memfd(struct ioctl_call *call)
{
	const struct kvm_create_guest_memfd *args = call->data;
	int fd, err;

	if (args->flags || (s64)args->size <= 0 || !is_aligned(args->size, PAGE_SIZE))
		return -EINVAL;
	fd = kvm_memfd_create("[kvm-gmem]", args->size, KVM_MEMFD_EMPTY);
	if (fd < 0)
		return fd;
	err = create_on(call->vm, args->size, fd);
	if (!err)
		return fd;
	kvm_raw_close(fd);
	return err;
}

/* ---- in a slot --------------------------------------------------------------------- */

struct kvm_file *guest_memfd_get(const struct vm *vm, int fd, int *err)
{
	struct kvm_file *file = kvm_file_get_checked(fd);

	*err = -EINVAL;
	if (!file) {
		if (host_sure(SYS_fcntl, fd, F_GETFD) < 0)
			*err = -EBADF;
		return NULL;
	}
	if (file->kind == KVM_FILE_GUEST_MEMFD && file->vm == vm)
		return file;
	kvm_file_put(file);
	return NULL;
}

/* ---- fallocate() -------------------------------------------------------------------- */

static int check_range(int mode, s64 offset, s64 length)
{
	if (offset < 0 || length <= 0)
		return -EINVAL;
	if (!(mode & FALLOC_FL_KEEP_SIZE) || (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)))
		return -EOPNOTSUPP;
	if ((u64)offset + (u64)length > INT64_MAX)
		return -EFBIG;
	return is_aligned((u64)(offset | length), PAGE_SIZE) ? 0 : -EINVAL;
}

static int allocate_or_punch(struct kvm_file *file, int mode, s64 offset, s64 length)
{
	u64 start = (u64)offset >> PAGE_SHIFT;
	u64 end = start + ((u64)length >> PAGE_SHIFT);
	int err = check_range(mode, offset, length);

	if (err)
		return err;
	/* The memory is the creating process's alone. */
	if (vm_is_foreign(file->vm) || !kvm_process_is_own())
		return -EIO;
	return mode & FALLOC_FL_PUNCH_HOLE ? kvm_gmem_punch_hole(file->gmem, start, end)
					   : kvm_gmem_allocate(file->gmem, start, end);
}

bool kvm_api_fallocate(int fd, int mode, s64 offset, s64 length, int *ret)
{
	struct kvm_file *file;

	if (likely(kvm_file_kind(fd) == KVM_FILE_NONE))
		return false;
	file = kvm_file_get_checked(fd);
	if (!file)
		return false;
	*ret = -ENODEV;
	if (file->kind == KVM_FILE_GUEST_MEMFD)
		*ret = allocate_or_punch(file, mode, offset, length);
	kvm_file_put(file);
	return true;
}
