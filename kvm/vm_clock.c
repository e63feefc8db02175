/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VM's clock (api.rst 4.29, 4.30) and the TSC's frequency (4.55, 4.56).
 * The guest's TSC is the host's plus an offset: its frequency cannot be chosen.
 */
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#include "kvm/ioctl_table.h"

#define NS_PER_S 1000000000ll

static s64 now_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

#if defined(__x86_64__)
static u64 host_tsc(void)
{
	return __rdtsc();
}

/* CPUID 0x15: crystal frequency and the ratio to it (SDM vol. 3, 19.7.3). */
static u64 tsc_khz_by_cpuid(void)
{
	unsigned int den, num, hz, d;

	if (!__get_cpuid(0x15, &den, &num, &hz, &d) || !den || !num || !hz)
		return 0;
	return (u64)hz * num / den / 1000;
}
#else
static u64 host_tsc(void)
{
	return (u64)now_ns(CLOCK_MONOTONIC_RAW);
}

static u64 tsc_khz_by_cpuid(void)
{
	return NS_PER_S / 1000;
}
#endif

#define MEASURE_NS 5000000

static u64 tsc_khz_by_measuring(void)
{
	s64 t0 = now_ns(CLOCK_MONOTONIC_RAW), t1;
	u64 c0 = host_tsc(), c1;

	do {
		t1 = now_ns(CLOCK_MONOTONIC_RAW);
		c1 = host_tsc();
	} while (t1 - t0 < MEASURE_NS);
	return (c1 - c0) * 1000000 / (u64)(t1 - t0);
}

u64 vm_host_tsc_khz(void)
{
	static u64 khz;
	u64 found = atomic_peek(&khz);

	if (found)
		return found;
	found = tsc_khz_by_cpuid();
	if (!found)
		found = tsc_khz_by_measuring();
	atomic_poke(&khz, found);
	return found;
}

void vm_clock_start(struct vm *vm)
{
	vm->clock_offset = -now_ns(CLOCK_MONOTONIC);
}

long do_get_clock(struct ioctl_call *call)
{
	struct kvm_clock_data *data = call->data;

	data->clock = (u64)(now_ns(CLOCK_MONOTONIC) + call->vm->clock_offset);
	data->realtime = (u64)now_ns(CLOCK_REALTIME);
	data->host_tsc = host_tsc();
	data->flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
	return 0;
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
	call->vm->clock_offset = clock - now_ns(CLOCK_MONOTONIC);
	return 0;
}

long do_get_tsc_khz(struct ioctl_call *call)
{
	(void)call;
	return (long)vm_host_tsc_khz();
}

/* Needs KVM_CAP_VM_TSC_CONTROL, which we have not got. */
long do_set_tsc_khz(struct ioctl_call *call)
{
	(void)call;
	return -EINVAL;
}

long do_vcpu_get_tsc_khz(struct ioctl_call *call)
{
	(void)call;
	return (long)vm_host_tsc_khz();
}

/*
 * 0 asks for the host's frequency.  KVM accepts what is within 250 ppm of it
 * without scaling.
 */
long do_vcpu_set_tsc_khz(struct ioctl_call *call)
{
	u64 khz = vm_host_tsc_khz();
	u64 want = call->arg ? (u32)call->arg : khz;
	u64 off = want > khz ? want - khz : khz - want;

	return off <= khz / 4000 ? 0 : -EINVAL;
}

/* Tells a guest's kvmclock that it was paused; no guest here has one. */
long do_kvmclock_ctrl(struct ioctl_call *call)
{
	(void)call;
	return -EINVAL;
}
