/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dirty logging: KVM_GET_DIRTY_LOG (api.rst 4.8), KVM_CLEAR_DIRTY_LOG (4.117),
 * KVM_RESET_DIRTY_RINGS and the ring's capabilities (8.29),
 * KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 (7.18).
 */
#include "kvm/ioctl_table.h"
#include "kvm/kvm_api.h"
#include "kvm/user_copy.h"
#include "kvm/vm_dirty.h"

/* ---- bitmaps ----------------------------------------------------------------- */

static int user_put(void *ctx, u64 offset, const void *from, u64 bytes)
{
	u64 to = *(const u64 *)ctx + offset;

	return from ? kvm_copy_to_user(to, from, bytes) : kvm_clear_user(to, bytes);
}

static int user_get(void *ctx, u64 offset, void *to, u64 bytes)
{
	return kvm_copy_from_user(to, *(const u64 *)ctx + offset, bytes);
}

/* The program's bitmap at @address, as the MMU reaches it. */
static struct kvm_dirty_user bitmap_at(u64 *address)
{
	return (struct kvm_dirty_user){.put = user_put, .get = user_get, .ctx = address};
}

long do_get_dirty_log(struct ioctl_call *call)
{
	const struct kvm_dirty_log *log = call->data;
	u64 address = (uintptr_t)log->dirty_bitmap;
	const struct kvm_dirty_user user = bitmap_at(&address);

	return kvm_get_dirty_log(&call->vm->kvm, log->slot, &user);
}

long do_clear_dirty_log(struct ioctl_call *call)
{
	const struct kvm_clear_dirty_log *log = call->data;
	u64 address = (uintptr_t)log->dirty_bitmap;
	const struct kvm_dirty_user user = bitmap_at(&address);

	return kvm_clear_dirty_log(&call->vm->kvm, log->slot, log->first_page, log->num_pages,
				   &user);
}

/* INITIALLY_SET makes sense only with the other. */
long vm_enable_manual_protect(struct vm *vm, u64 options)
{
	u64 allowed = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;

	if (options & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE)
		allowed |= KVM_DIRTY_LOG_INITIALLY_SET;
	if (options & ~allowed)
		return -EINVAL;
	atomic_poke(&vm->kvm.dirty.manual, (u32)options);
	return 0;
}

/* ---- rings ------------------------------------------------------------------- */

/* Once, and before the first vCPU, whose descriptor has room for it or has not. */
long vm_enable_dirty_ring(struct vm *vm, u32 bytes)
{
	u32 least = kvm_dirty_ring_reserved(&vm->kvm) * (u32)sizeof(struct kvm_dirty_gfn);

	if (!bytes || (bytes & (bytes - 1)) || bytes < least || bytes < PAGE_SIZE)
		return -EINVAL;
	if (bytes > KVM_RING_MAX_ENTRIES * sizeof(struct kvm_dirty_gfn))
		return -E2BIG;
	if (vm->kvm.dirty.ring_bytes || vm->nr_vcpus)
		return -EINVAL;
	atomic_poke(&vm->kvm.dirty.ring_bytes, bytes);
	return 0;
}

u64 vm_vcpu_file_bytes(const struct vm *vm)
{
	u32 ring = vm->kvm.dirty.ring_bytes;

	return ring ? KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE + ring : VCPU_MMAP_BYTES;
}

void vcpu_attach_dirty_ring(struct vcpu *vcpu)
{
	u32 bytes = vcpu->vm->kvm.dirty.ring_bytes;
	char *memory = (char *)vcpu->run + KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE;

	if (bytes)
		kvm_dirty_ring_init(&vcpu->cpu->vcpu.dirty_ring, memory, bytes,
				    kvm_dirty_ring_reserved(&vcpu->vm->kvm));
}

bool kvm_api_can_map_vcpu(int fd, u64 offset, u64 bytes, bool shared, bool exec)
{
	struct kvm_file *file = kvm_file_get(fd);
	u64 start = KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE, end;

	if (!file || file->kind != KVM_FILE_VCPU) {
		if (file)
			kvm_file_put(file);
		return true; /* the number means something else by now */
	}
	end = start + file->vm->kvm.dirty.ring_bytes;
	kvm_file_put(file);
	return (shared && !exec) || offset >= end || offset + bytes <= start || start == end;
}

long do_reset_dirty_rings(struct ioctl_call *call)
{
	return kvm_reset_dirty_rings(&call->vm->kvm);
}
