/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One ioctl from request to result: find the descriptor's object and the
 * table's entry, copy in, lock, call, unlock, copy out.
 */
#include <string.h>

#include "base/assert.h"
#include "kvm/ioctl_table.h"
#include "kvm/kvm_api.h"
#include "kvm/process.h"
#include "kvm/user_copy.h"

/*
 * The number is compared by its low 32 bits: some programs (QEMU 7.2) pass it
 * through an int and sign-extend it.  KVM's answers for what it does not know
 * differ by descriptor.
 */
static int unknown_request(enum kvm_file_kind kind)
{
	return kind == KVM_FILE_SYSTEM || kind == KVM_FILE_VCPU ? -EINVAL : -ENOTTY;
}

static pthread_mutex_t *lock_of(const struct ioctl_entry *entry, struct ioctl_call *call)
{
	switch (entry->lock) {
	case LOCK_VM:
		return &call->vm->lock;
	case LOCK_VCPU:
		return &call->vcpu->lock;
	case LOCK_NONE:
		break;
	}
	return NULL;
}

static long call_locked(const struct ioctl_entry *entry, struct ioctl_call *call)
{
	pthread_mutex_t *lock = lock_of(entry, call);
	long ret;

	if (lock)
		pthread_mutex_lock(lock);
	/* A VM with a bug answers -EIO to everything; the process lives on. */
	if (call->vm && atomic_peek(&call->vm->kvm.vm_bugged))
		ret = -EIO;
	else
		ret = entry->handler(call);
	if (lock)
		pthread_mutex_unlock(lock);
	return ret;
}

static long call_with_struct(const struct ioctl_entry *entry, struct ioctl_call *call)
{
	_Alignas(16) u8 data[IOCTL_MAX_BYTES];
	long ret;

	KVMU_BUG_ON(entry->bytes > sizeof(data));
	call->data = data;
	if (entry->arg == ARG_OUT)
		memset(data, 0, entry->bytes);
	else if (kvm_copy_from_user(data, call->arg, entry->bytes))
		return -EFAULT;
	ret = call_locked(entry, call);
	if (ret < 0 || entry->arg == ARG_IN)
		return ret;
	return kvm_copy_to_user(call->arg, data, entry->bytes) ? -EFAULT : ret;
}

static long call_entry(const struct ioctl_entry *entry, struct ioctl_call *call)
{
	switch (entry->arg) {
	case ARG_IN:
	case ARG_OUT:
	case ARG_IN_OUT:
		return call_with_struct(entry, call);
	case ARG_NONE:
	case ARG_VALUE:
	case ARG_USER:
		break;
	}
	return call_locked(entry, call);
}

static long dispatch(struct kvm_file *file, u32 request, u64 arg)
{
	struct ioctl_call call = {.vm = file->vm, .vcpu = file->vcpu, .arg = arg};
	const struct ioctl_entry *entry;

	/* KVM_RUN is checked for fork(), the others for any other way to a new process too. */
	if (file->vm &&
	    (vm_is_foreign(file->vm) || (request != (u32)KVM_RUN && !kvm_process_is_own())))
		return -EIO;
	entry = ioctl_find(file->kind, request);
	return entry ? call_entry(entry, &call) : unknown_request(file->kind);
}

static bool call_on(struct kvm_file *file, u32 request, u64 arg, long *ret)
{
	if (!file)
		return false;
	*ret = dispatch(file, request, arg);
	kvm_file_put(file);
	return true;
}

/* Signals are let in when the last lock and the last reference are gone. */
static bool call_interruptible(struct kvm_file *(*get)(int fd), int fd, u32 request, u64 arg,
			       long *ret)
{
	bool ours;

	vcpu_signals_block();
	ours = call_on(get(fd), request, arg, ret);
	vcpu_signals_restore();
	return ours;
}

bool kvm_api_ioctl(int fd, u64 request, u64 arg, long *ret)
{
	if (likely(kvm_file_kind(fd) == KVM_FILE_NONE))
		return false;
	/* KVM_RUN is the one call whose cost shows; it trusts the number. */
	if ((u32)request == (u32)KVM_RUN)
		return call_interruptible(kvm_file_get, fd, (u32)request, arg, ret);
	if ((u32)request == (u32)KVM_PRE_FAULT_MEMORY)
		return call_interruptible(kvm_file_get_checked, fd, (u32)request, arg, ret);
	return call_on(kvm_file_get_checked(fd), (u32)request, arg, ret);
}
