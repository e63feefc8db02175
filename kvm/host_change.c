/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changes of the program's memory, told to every VM: what the kernel's MMU
 * notifiers are to KVM.  And faults of our own accesses to it.
 */
#include <pthread.h>

#include "base/assert.h"
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

/*
 * A change of memory cannot be refused, so lists for more VMs than fit in one
 * place are there before the VMs are.  Held by the thread whose change got no
 * other; that may have several, one for each part.
 */
#define RESERVE_LISTS 32u

static struct {
	pthread_mutex_t lock;
	u32 owed; /* VMs that there may be */
	u32 room; /* of each list */
	u32 used; /* a bit for each */
	struct vm **vms;
} reserve = {.lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP, .room = KVM_CHANGE_INLINE_VMS};

static int grow_reserve_locked(void)
{
	u32 room = 2 * atomic_peek(&reserve.owed);
	struct vm **vms;

	if (atomic_peek(&reserve.owed) <= reserve.room)
		return 0;
	vms = mmu_host_alloc(SITE_host_change, RESERVE_LISTS * room * sizeof(vms[0]));
	if (!vms)
		return -ENOMEM;
	mmu_host_free(reserve.vms);
	reserve.vms = vms;
	reserve.room = room;
	return 0;
}

int kvm_host_change_reserve(void)
{
	int err;

	pthread_mutex_lock(&reserve.lock);
	atomic_add(&reserve.owed, 1);
	err = grow_reserve_locked();
	if (err)
		atomic_sub(&reserve.owed, 1);
	pthread_mutex_unlock(&reserve.lock);
	return err;
}

/* Not under the lock: the last reference may be a change's. */
void kvm_host_change_unreserve(void)
{
	atomic_sub(&reserve.owed, 1);
}

/* The room of the list. */
static u32 take_from_reserve(struct kvm_host_change *change)
{
	u32 list;

	pthread_mutex_lock(&reserve.lock);
	KVMU_BUG_ON(!reserve.vms || !~reserve.used);
	list = (u32)__builtin_ctz(~reserve.used);
	reserve.used |= 1u << list;
	change->vms = reserve.vms + list * reserve.room;
	change->from_reserve = true;
	return reserve.room;
}

static void free_list(struct kvm_host_change *change)
{
	if (change->from_reserve) {
		reserve.used &= ~(1u << ((u32)(change->vms - reserve.vms) / reserve.room));
		pthread_mutex_unlock(&reserve.lock);
	} else if (change->vms != change->inline_vms) {
		mmu_host_free(change->vms);
	}
	change->from_reserve = false;
	change->vms = change->inline_vms;
}

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
	free_list(change);
	change->nr = 0;
}

static bool collect(struct kvm_host_change *change, u32 room)
{
	struct collection c = {.change = change, .room = room};

	vm_for_each(collect_one, &c);
	if (c.overflow)
		release_all(change);
	return !c.overflow;
}

static void collect_all(struct kvm_host_change *change)
{
	u32 room = KVM_CHANGE_INLINE_VMS;

	while (!collect(change, room)) {
		room = vm_count() + KVM_CHANGE_INLINE_VMS;
		change->vms = mmu_host_alloc(SITE_host_change, room * sizeof(change->vms[0]));
		if (!change->vms)
			room = take_from_reserve(change);
	}
}

/*
 * A bracket that nobody ends would keep memslot changes waiting for ever: the
 * thread cannot be cancelled while it has one.
 */
static _Thread_local struct {
	u32 brackets;
	int cancel_state; /* before the first */
} own;

static void keep_thread(void)
{
	if (!own.brackets++)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &own.cancel_state);
}

static void let_thread_go(void)
{
	if (!--own.brackets)
		pthread_setcancelstate(own.cancel_state, NULL);
}

void kvm_api_change_begin(struct kvm_host_change *change, hva_t start, hva_t end)
{
	change->start = start;
	change->end = end;
	change->nr = 0;
	change->from_reserve = false;
	change->vms = change->inline_vms;
	change->open = vm_count() && start < end;
	if (likely(!change->open))
		return;
	keep_thread();
	collect_all(change);
	for (u32 i = 0; i < change->nr; i++)
		kvm_mmu_hva_change_begin(&change->vms[i]->kvm, start, end);
}

void kvm_api_change_end(struct kvm_host_change *change)
{
	if (likely(!change->open))
		return;
	for (u32 i = 0; i < change->nr; i++)
		kvm_mmu_hva_change_end(&change->vms[i]->kvm, change->start, change->end);
	release_all(change);
	let_thread_go();
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

/* Another thread of the parent may have held it. */
static void reserve_fork_child(void)
{
	reserve.lock = (pthread_mutex_t)PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	reserve.used = reserve.owed = 0;
}

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
	reserve_fork_child();
	kvm_process_adopt();
	vm_fork_child();
	vcpu_set_running(NULL);
	vm_list_unlock();
	kvm_file_pool_unlock();
	kvm_stats_fork_child();
	kvm_stats_unlock();
	kvm_trace_fork_child();
}
