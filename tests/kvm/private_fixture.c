/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/kvm/private_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

GUEST16(writer, "	mov	$0x4000, %ax\n"
		"	mov	%ax, %ds\n"
		"	movb	$0x77, (0)\n"
		"	movb	(1), %bl\n"
		"	hlt\n");

/* ---- calls ---------------------------------------------------------------- */

int create_gmem(int vm, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd args = {.size = size, .flags = flags};

	return ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);
}

int set_attributes(int vm, uint64_t gpa, uint64_t size, uint64_t attributes)
{
	struct kvm_memory_attributes args = {
		.address = gpa, .size = size, .attributes = attributes};

	return ioctl_errno(vm, KVM_SET_MEMORY_ATTRIBUTES, &args);
}

int set_slot2(const struct fixture *f, uint32_t slot, uint64_t gpa, uint64_t bytes, uint32_t flags,
	      int fd, uint64_t offset)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)f->mem + DATA_GPA,
		.guest_memfd = (uint32_t)fd,
		.guest_memfd_offset = offset,
	};

	return ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION2, &region);
}

int fallocate_errno(int fd, int mode, off_t offset, off_t length)
{
	return fallocate(fd, mode, offset, length) ? errno : 0;
}

static const struct kvm_run_memory_fault *memory_fault(const struct fixture *f)
{
	return (const void *)f->run->padding;
}

void run_to_memory_fault(const struct fixture *f, uint64_t gpa, uint64_t flags)
{
	assert_int_equal(run_errno(f), EFAULT);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	assert_int_equal(memory_fault(f)->gpa, gpa);
	assert_int_equal(memory_fault(f)->size, PAGE);
	assert_int_equal(memory_fault(f)->flags, flags);
}

/* ---- a VM with private memory at DATA_GPA --------------------------------- */

int gmem;

int private_setup(void **state)
{
	struct kvm_userspace_memory_region low = {.slot = 0};
	struct fixture *f;

	fixture_setup_private(state);
	f = *state;
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &low), 0);
	low.memory_size = LOW_BYTES;
	low.userspace_addr = (uintptr_t)f->mem;
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &low), 0);
	gmem = create_gmem(f->vm, DATA_BYTES, 0);
	assert_true(gmem >= 0);
	assert_int_equal(set_slot2(f, 1, DATA_GPA, DATA_BYTES, KVM_MEM_GUEST_MEMFD, gmem, 0), 0);
	return 0;
}

int private_teardown(void **state)
{
	if (gmem >= 0)
		close(gmem);
	gmem = -1;
	return fixture_teardown(state);
}

void load_writer(struct fixture *f)
{
	LOAD_GUEST(f, writer);
}
