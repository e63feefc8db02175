/* SPDX-License-Identifier: BSD-2-Clause */
/* vCPUs: creation and end (api.rst 4.7). */
#include <stdio.h>

#include "base/assert.h"
#include "host/sys.h"
#include "kvm/file.h"
#include "kvm/vm.h"
#include "kvm/vm_clock.h"
#include "kvm/vm_dirty.h"
#include "vcpu/x86/lapic.h"

static int check_id(const struct vm *vm, u32 id)
{
	if (vm->nr_vcpus >= KVM_MAX_VCPUS)
		return -EINVAL;
	for (u32 i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpu[i]->id == id)
			return -EEXIST;
	}
	return 0;
}

static void vcpu_init(struct vcpu *vcpu, struct vm *vm, u32 id)
{
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_mutex_init(&vcpu->wake_lock, NULL);
	vcpu->wake_fd = -1;
	vcpu->ended_vector = -1;
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->cpu->owner = vcpu;
	vcpu_tsc_start(vcpu);
	/* The others wait for the INIT and SIPI that only a local APIC delivers. */
	if (vcpu->cpu->lapic && id != vm->machine.boot_cpu_id)
		vcpu->cpu->mp_state = X86_MP_UNINITIALIZED;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	x86_cpu_destroy(vcpu->cpu);
	host_munmap(vcpu->run, vm_vcpu_file_bytes(vcpu->vm));
	pthread_mutex_destroy(&vcpu->lock);
	pthread_mutex_destroy(&vcpu->wake_lock);
	mmu_host_free(vcpu);
}

/* Our view of @fd's pages, and the CPU whose PIO page is the second of them. */
static int create_cpu(struct vm *vm, struct vcpu *vcpu, u32 id)
{
	void *pio = (char *)vcpu->run + KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	int ret = x86_cpu_create(&vm->kvm, &vm->machine, id, pio, &vcpu->cpu);

	if (ret || !vm->has_irqchip)
		return ret;
	ret = x86_lapic_create(vcpu->cpu);
	if (ret)
		x86_cpu_destroy(vcpu->cpu);
	return ret;
}

static int vcpu_alloc(struct vm *vm, u32 id, int fd, struct vcpu **out)
{
	struct vcpu *vcpu = mmu_host_alloc(SITE_vcpu, sizeof(*vcpu));
	void *run;
	int ret;

	if (!vcpu)
		return -ENOMEM;
	ret = kvm_raw_map_shared(fd, vm_vcpu_file_bytes(vm), &run);
	if (ret) {
		mmu_host_free(vcpu);
		return ret;
	}
	vcpu->run = run;
	ret = create_cpu(vm, vcpu, id);
	if (ret) {
		host_munmap(vcpu->run, vm_vcpu_file_bytes(vm));
		mmu_host_free(vcpu);
		return ret;
	}
	vcpu_init(vcpu, vm, id);
	vcpu_attach_dirty_ring(vcpu);
	/* All that may fail is done, and all is there that others reach for. */
	ret = x86_cpu_join(vcpu->cpu);
	if (ret)
		vcpu_destroy(vcpu);
	else
		*out = vcpu;
	return ret;
}

static int vcpu_create_on(struct vm *vm, u32 id, int fd)
{
	struct kvm_file *file = kvm_file_reserve(fd);
	struct vcpu *vcpu;
	int ret;

	if (!file)
		return -ENOMEM;
	ret = vcpu_alloc(vm, id, fd, &vcpu);
	if (ret) {
		kvm_file_unreserve(file);
		return ret;
	}
	vm->vcpu[vm->nr_vcpus] = vcpu;
	atomic_publish(&vm->nr_vcpus, vm->nr_vcpus + 1);
	vm_get(vm);
	kvm_file_install(file, fd, KVM_FILE_VCPU, vm, vcpu);
	return 0;
}

int vcpu_create(struct vm *vm, u32 id)
{
	char name[32];
	int ret = check_id(vm, id);
	int fd;

	if (ret)
		return ret;
	snprintf(name, sizeof(name), "kvm-vcpu:%u", id);
	fd = kvm_memfd_create(name, vm_vcpu_file_bytes(vm), KVM_MEMFD_CLOEXEC);
	if (fd < 0)
		return fd;
	ret = vcpu_create_on(vm, id, fd);
	if (ret)
		kvm_raw_close(fd);
	return ret ? ret : fd;
}
