/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes of the program's memory, told to every VM: what the kernel's MMU
 * notifiers are to KVM.  And faults of our own accesses to it.
 */
#include <stdlib.h>

#include "base/bits.h"
#include "host/fork.h"
#include "host/touch.h"
#include "kvm/kvm_api.h"
#include "kvm/params.h"
#include "kvm/process.h"
#include "kvm/stats.h"
#include "kvm/trace.h"
#include "kvm/user_copy.h"
#include "kvm/vm.h"

struct collection {
	struct kvm_host_change *change;
	u32 room;
	bool overflow;
};

/* A VM whose last reference is gone runs no guest any more. */
static void collect_one(struct vm *vm, void *arg)
{
	struct collection *c = arg;

	if (c->change->nr == c->room)
		c->overflow = true;
	else if (vm_tryget(vm))
		c->change->vms[c->change->nr++] = vm;
}

static void release_all(struct kvm_host_change *change)
{
	for (u32 i = 0; i < change->nr; i++)
		vm_put(change->vms[i]);
	if (change->vms != change->inline_vms)
		mmu_host_free(change->vms);
	change->nr = 0;
	change->vms = change->inline_vms;
}

static bool collect(struct kvm_host_change *change, u32 room)
{
	struct collection c = {.change = change, .room = room};

	vm_for_each(collect_one, &c);
	if (c.overflow)
		release_all(change);
	return !c.overflow;
}

/* With no memory for the list, stop every VM rather than let one keep a stale translation. */
static void kill_one(struct vm *vm, void *arg)
{
	(void)arg;
	kvm_vm_bugged(&vm->kvm);
}

static void collect_all(struct kvm_host_change *change)
{
	u32 room = KVM_CHANGE_INLINE_VMS;

	while (!collect(change, room)) {
		room = vm_count() + KVM_CHANGE_INLINE_VMS;
		change->vms = mmu_host_alloc(SITE_host_change, room * sizeof(change->vms[0]));
		if (!change->vms) {
			change->vms = change->inline_vms;
			vm_for_each(kill_one, NULL);
			return;
		}
	}
}

/* Keep those that are touched: only they are owed the end. */
void kvm_api_change_begin(struct kvm_host_change *change, hva_t start, hva_t end)
{
	u32 nr, kept = 0;

	change->nr = 0;
	change->vms = change->inline_vms;
	if (likely(!vm_count()) || start >= end)
		return;
	collect_all(change);
	nr = change->nr;
	for (u32 i = 0; i < nr; i++) {
		struct vm *vm = change->vms[i];

		if (kvm_mmu_hva_change_begin(&vm->kvm, start, end))
			change->vms[kept++] = vm;
		else
			vm_put(vm);
	}
	change->nr = kept;
}

void kvm_api_change_end(struct kvm_host_change *change)
{
	for (u32 i = 0; i < change->nr; i++)
		kvm_mmu_hva_change_end(&change->vms[i]->kvm);
	release_all(change);
}

void kvm_api_start(void)
{
	kvm_process_adopt();
	kvm_params_start();
}

void kvm_api_adopt(void)
{
	kvm_process_adopt();
}

bool kvm_api_has_vms(void)
{
	return vm_count() != 0;
}

/* ---- faults of ours ---------------------------------------------------------------------- */

bool kvm_api_host_fault(hva_t addr, void *ucontext)
{
	if (host_touch_fault(ucontext))
		return true;
	kvm_user_copy_fault(addr);
	if (vcpu_running())
		x86_cpu_host_fault(addr);
	return false;
}

void kvm_api_handlers_installed(void)
{
	host_touch_enable();
}

/* ---- fork ---------------------------------------------------------------------------------- */

/* In the order in which they nest, of which there is none. */
void kvm_api_fork_prepare(void)
{
	kvm_trace_fork_prepare();
	kvm_stats_lock();
	kvm_file_pool_lock();
	vm_list_lock();
	host_fork_prepare();
}

void kvm_api_fork_parent(void)
{
	host_fork_parent();
	vm_list_unlock();
	kvm_file_pool_unlock();
	kvm_stats_unlock();
	kvm_trace_fork_parent();
}

void kvm_api_fork_child(void)
{
	host_fork_child();
	kvm_process_adopt();
	vm_fork_child();
	vcpu_set_running(NULL);
	vm_list_unlock();
	kvm_file_pool_unlock();
	kvm_stats_fork_child();
	kvm_stats_unlock();
	kvm_trace_fork_child();
}
