/* SPDX-License-Identifier: BSD-2-Clause */
/* VMs: creation, references, the list of those that live, and their simplest calls. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "kvm/ioctl_table.h"
#include "kvm/irqchip/irqchip.h"
#include "kvm/params.h"
#include "kvm/stats.h"
#include "kvm/user_copy.h"
#include "kvm/vm_clock.h"
#include "kvm/vm_coalesced.h"
#include "kvm/vm_msr_filter.h"

static struct {
	pthread_mutex_t lock;
	struct vm *first;
	u32 count;
	u32 generation; /* counts forks on the way from the first process to this one */
} live = {.lock = PTHREAD_MUTEX_INITIALIZER};

u32 vm_count(void)
{
	/* Pairs with nothing: a VM that is being created has no slot yet. */
	return atomic_observe(&live.count);
}

static void list_add(struct vm *vm)
{
	pthread_mutex_lock(&live.lock);
	vm->next = live.first;
	live.first = vm;
	atomic_publish(&live.count, live.count + 1);
	pthread_mutex_unlock(&live.lock);
}

static void list_del(struct vm *vm)
{
	struct vm **link;

	pthread_mutex_lock(&live.lock);
	for (link = &live.first; *link != vm; link = &(*link)->next)
		KVMU_BUG_ON(!*link);
	*link = vm->next;
	atomic_publish(&live.count, live.count - 1);
	pthread_mutex_unlock(&live.lock);
}

void vm_list_lock(void)
{
	pthread_mutex_lock(&live.lock);
}

bool vm_list_trylock(void)
{
	return pthread_mutex_trylock(&live.lock) == 0;
}

void vm_list_unlock(void)
{
	pthread_mutex_unlock(&live.lock);
}

void vm_for_each_locked(void (*fn)(struct vm *vm, void *arg), void *arg)
{
	for (struct vm *vm = live.first; vm; vm = vm->next)
		fn(vm, arg);
}

void vm_for_each(void (*fn)(struct vm *vm, void *arg), void *arg)
{
	vm_list_lock();
	vm_for_each_locked(fn, arg);
	vm_list_unlock();
}

/* ---- fork ------------------------------------------------------------------------------------ */

/*
 * VMs of the parent stay in memory, since their locks may be held by threads
 * that the child has not got; they are never touched again.
 */
static struct vm *volatile abandoned; /* volatile: leak checkers must find it, no one else reads */

void vm_fork_child(void)
{
	if (live.first)
		abandoned = live.first;
	live.first = NULL;
	live.count = 0;
	live.generation++;
}

bool vm_is_foreign(const struct vm *vm)
{
	return unlikely(vm->generation != live.generation);
}

/* ---- life -------------------------------------------------------------------- */

/* Those that can fail; all or none. */
static int init_parts(struct vm *vm)
{
	int ret = vm_coalesced_create(vm);

	if (ret)
		return ret;
	vm->irqchip = mmu_host_alloc(SITE_irqchip, sizeof(*vm->irqchip));
	ret = vm->irqchip ? kvm_mmu_init_vm(&vm->kvm) : -ENOMEM;
	if (ret) {
		mmu_host_free(vm->irqchip);
		vm_coalesced_destroy(vm);
		return ret;
	}
	vm_irqchip_start(vm);
	return 0;
}

static struct vm *vm_alloc(u64 type)
{
	/* The MMU's locks want a cache line of their own. */
	struct vm *vm = mmu_host_alloc_aligned(SITE_vm, sizeof(*vm), _Alignof(struct vm));

	if (!vm)
		return NULL;
	if (kvm_host_change_reserve()) {
		mmu_host_free(vm);
		return NULL;
	}
	if (init_parts(vm)) {
		kvm_host_change_unreserve();
		mmu_host_free(vm);
		return NULL;
	}
	pthread_mutex_init(&vm->lock, NULL);
	vm->kvm.has_private_mem = vm->kvm.private_by_attribute = type == KVM_X86_SW_PROTECTED_VM;
	vm->kvm.dirty.method = kvm_param(KVM_PARAM_PML) ? KVM_DIRTY_BY_MARK : KVM_DIRTY_BY_FAULT;
	vm->kvm.dirty.eager_split = kvm_param(KVM_PARAM_EAGER_PAGE_SPLIT);
	vm->refs = 1;
	vm->generation = live.generation;
	vm->machine.ops = &vm_machine_ops;
	vm->machine.apic_bus_ns = 1;
	vm_clock_start(vm);
	return vm;
}

static void vm_destroy(struct vm *vm)
{
	list_del(vm);
	kvm_host_change_unreserve();
	kvm_stats_collect(vm);
	vm_irqchip_end(vm);
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		vcpu_destroy(vm->vcpu[i]);
	kvm_mmu_uninit_vm(&vm->kvm);
	vm_coalesced_destroy(vm);
	vm_clock_end(vm);
	mmu_host_free(vm->irqchip);
	vm_msr_filter_destroy(vm);
	pthread_mutex_destroy(&vm->lock);
	mmu_host_free(vm);
}

void vm_get(struct vm *vm)
{
	atomic_add(&vm->refs, 1);
}

bool vm_tryget(struct vm *vm)
{
	return atomic_tryget(&vm->refs);
}

void vm_put(struct vm *vm)
{
	if (vm_is_foreign(vm))
		return;
	if (atomic_drop(&vm->refs) == 0)
		vm_destroy(vm);
}

int vm_create(u64 type)
{
	struct vm *vm;
	int fd;

	if (type != KVM_X86_DEFAULT_VM && type != KVM_X86_SW_PROTECTED_VM)
		return -EINVAL;
	vm = vm_alloc(type);
	if (!vm)
		return -ENOMEM;
	list_add(vm);
	fd = kvm_file_create("kvm-vm", KVM_FILE_VM, true, vm);
	if (fd < 0)
		vm_put(vm);
	return fd;
}

/* ---- calls ------------------------------------------------------------------- */

/* The limit that KVM_CAP_MAX_VCPU_ID has set, or ours. */
static u32 nr_vcpu_ids(const struct vm *vm)
{
	return vm->max_vcpu_ids ? vm->max_vcpu_ids : KVM_MAX_VCPU_IDS;
}

long do_create_vcpu(struct ioctl_call *call)
{
	struct vm *vm = call->vm;

	if (call->arg >= nr_vcpu_ids(vm))
		return -EINVAL;
	return vcpu_create(vm, (u32)call->arg);
}

long do_set_boot_cpu_id(struct ioctl_call *call)
{
	if (call->vm->nr_vcpus)
		return -EBUSY;
	if (call->arg >= nr_vcpu_ids(call->vm))
		return -EINVAL;
	call->vm->machine.boot_cpu_id = (u32)call->arg;
	return 0;
}

/*
 * The two addresses give Intel's hardware room for its own tables; a software
 * CPU needs none.  They are checked and kept as KVM does.
 */
long do_set_tss_addr(struct ioctl_call *call)
{
	if (call->arg > (u32)(-3 * (s64)PAGE_SIZE))
		return -EINVAL;
	call->vm->tss_addr = call->arg;
	return 0;
}

long do_set_identity_map_addr(struct ioctl_call *call)
{
	if (call->vm->nr_vcpus)
		return -EINVAL;
	return kvm_copy_from_user(&call->vm->identity_map_addr, call->arg, sizeof(u64));
}
