/* SPDX-License-Identifier: BSD-2-Clause */
/* See kvm_fixture.h. */
#include "tests/kvm/kvm_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

int ioctl_errno(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) < 0 ? errno : 0;
}

int enable_cap_errno(int fd, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap enable = {.cap = cap, .args = {arg}};

	return ioctl_errno(fd, KVM_ENABLE_CAP, &enable);
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

bool set_msr(const struct fixture *f, uint32_t index, uint64_t value)
{
	struct one_msr msr = {.head.nmsrs = 1, .entry = {.index = index, .data = value}};

	return ioctl(f->vcpu, KVM_SET_MSRS, &msr) == 1;
}

bool get_msr(const struct fixture *f, uint32_t index, uint64_t *value)
{
	struct one_msr msr = {.head.nmsrs = 1, .entry.index = index};
	bool ok = ioctl(f->vcpu, KVM_GET_MSRS, &msr) == 1;

	*value = msr.entry.data;
	return ok;
}

void set_supported_cpuid(const struct fixture *f)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} table = {.head.nent = 256};

	assert_int_equal(ioctl_errno(f->sys, KVM_GET_SUPPORTED_CPUID, &table), 0);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_CPUID2, &table), 0);
}

struct kvm_regs get_regs(const struct fixture *f)
{
	struct kvm_regs regs;

	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_REGS, &regs), 0);
	return regs;
}

void run_to(const struct fixture *f, uint32_t exit_reason)
{
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, exit_reason);
}

int run_errno(const struct fixture *f)
{
	return ioctl_errno(f->vcpu, KVM_RUN, NULL);
}

static void add_memory(struct fixture *f)
{
	struct kvm_userspace_memory_region region = {.memory_size = FIXTURE_MEM};

	f->mem =
		mmap(NULL, FIXTURE_MEM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(f->mem, MAP_FAILED);
	region.userspace_addr = (uintptr_t)f->mem;
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &region), 0);
}

void fixture_attach(struct fixture *f)
{
	add_memory(f);
	f->vcpu = ioctl(f->vm, KVM_CREATE_VCPU, 0);
	assert_true(f->vcpu >= 0);
	f->run = mmap(NULL, RUN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->vcpu, 0);
	assert_ptr_not_equal(f->run, MAP_FAILED);
}

static int setup(void **state, bool irqchip, unsigned long type)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->sys = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	assert_true(f->sys >= 0);
	f->vm = ioctl(f->sys, KVM_CREATE_VM, type);
	assert_true(f->vm >= 0);
	if (irqchip)
		assert_int_equal(ioctl(f->vm, KVM_CREATE_IRQCHIP), 0);
	fixture_attach(f);
	*state = f;
	return 0;
}

int fixture_setup(void **state)
{
	return setup(state, false, KVM_X86_DEFAULT_VM);
}

int fixture_setup_irqchip(void **state)
{
	return setup(state, true, KVM_X86_DEFAULT_VM);
}

int fixture_setup_private(void **state)
{
	return setup(state, false, KVM_X86_SW_PROTECTED_VM);
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	munmap(f->run, RUN_BYTES);
	close(f->vcpu);
	close(f->vm);
	close(f->sys);
	munmap(f->mem, FIXTURE_MEM);
	free(f);
	return 0;
}

void fixture_load(struct fixture *f, const uint8_t *code, size_t bytes)
{
	struct kvm_regs regs = {.rip = FIXTURE_CODE, .rsp = 0x8000, .rflags = 2};
	struct kvm_sregs sregs;

	memcpy(f->mem + FIXTURE_CODE, code, bytes);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_REGS, &regs), 0);
}

void *unmapped_pointer(void)
{
	static void *nowhere;

	if (!nowhere) {
		nowhere = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		munmap(nowhere, 65536);
	}
	return nowhere;
}

int count_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}
