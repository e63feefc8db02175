/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VM's clock (api.rst 4.29, 4.30), which guests see as kvmclock.
 *
 * It runs by the host's TSC from a pair of values taken when it was set, as
 * KVM's does when the TSC can be relied on: what a guest computes from its
 * page and what KVM_GET_CLOCK says are the same.
 */
#include <time.h>

#include "kvm/ioctl_table.h"
#include "kvm/vm_clock.h"
#include "vcpu/x86/pv.h"

#define NS_PER_S 1000000000ll

static s64 now_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* ---- cycles and ns -------------------------------------------------------------------- */

/* Shifted into (1, 2] GHz the factor has 32 significant bits. */
struct clock_scale clock_scale_of(u64 khz)
{
	const u64 ghz = NS_PER_S;
	struct clock_scale scale = {0, 0};
	u64 hz = khz * 1000;

	while (hz > 2 * ghz) {
		hz = (hz + 1) / 2;
		scale.shift--;
	}
	while (hz <= ghz) {
		hz *= 2;
		scale.shift++;
	}
	scale.mul = (u32)(((unsigned __int128)ghz << 32) / hz);
	return scale;
}

u64 clock_scale(struct clock_scale scale, u64 cycles)
{
	if (scale.shift < 0)
		cycles >>= -scale.shift;
	else
		cycles <<= scale.shift;
	return (u64)((unsigned __int128)cycles * scale.mul >> 32);
}

/* ---- the clock ------------------------------------------------------------------------- */

static void set_base(struct vm *vm, s64 ns)
{
	pthread_mutex_lock(&vm->clock.lock);
	vm->clock.base_tsc = x86_host_tsc();
	vm->clock.base_ns = ns;
	pthread_mutex_unlock(&vm->clock.lock);
}

void vm_clock_start(struct vm *vm)
{
	pthread_mutex_init(&vm->clock.lock, NULL);
	pthread_mutex_init(&vm->tsc.lock, NULL);
	vm->tsc.khz = vm_host_tsc_khz();
	set_base(vm, 0);
}

void vm_clock_end(struct vm *vm)
{
	pthread_mutex_destroy(&vm->clock.lock);
	pthread_mutex_destroy(&vm->tsc.lock);
}

u64 vm_clock_at(struct vm *vm, u64 host_tsc)
{
	struct clock_scale scale = clock_scale_of(vm_host_tsc_khz());
	u64 ns;

	pthread_mutex_lock(&vm->clock.lock);
	ns = (u64)vm->clock.base_ns + clock_scale(scale, host_tsc - vm->clock.base_tsc);
	pthread_mutex_unlock(&vm->clock.lock);
	return ns;
}

long do_get_clock(struct ioctl_call *call)
{
	struct kvm_clock_data *data = call->data;

	data->host_tsc = x86_host_tsc();
	data->clock = vm_clock_at(call->vm, data->host_tsc);
	data->realtime = (u64)now_ns(CLOCK_REALTIME);
	data->flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
	return 0;
}

/* Guests that read the clock from their memory must see the new one at once. */
static void update_guests(struct vm *vm)
{
	for (u32 i = 0; i < atomic_observe(&vm->nr_vcpus); i++) {
		struct x86_cpu *cpu = vm->vcpu[i]->cpu;

		/* One that is being enabled just now is written from the new base. */
		if (!(atomic_peek(&cpu->pv.system_time) & X86_PV_ENABLED))
			continue;
		kvm_make_request(&cpu->vcpu, KVM_REQ_CLOCK_UPDATE);
		vcpu_wake_up(vm->vcpu[i]);
	}
}

long do_set_clock(struct ioctl_call *call)
{
	const struct kvm_clock_data *data = call->data;
	s64 clock = (s64)data->clock;

	if (data->flags & ~(u32)KVM_CLOCK_REALTIME)
		return -EINVAL;
	/* The time since user space read the pair, never backwards. */
	if (data->flags & KVM_CLOCK_REALTIME) {
		s64 passed = now_ns(CLOCK_REALTIME) - (s64)data->realtime;

		if (passed > 0)
			clock += passed;
	}
	set_base(call->vm, clock);
	update_guests(call->vm);
	return 0;
}
