/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests' TSCs (api.rst 4.55, 4.56; vCPU attribute KVM_VCPU_TSC_CTRL): the
 * host's, scaled, plus an offset.
 *
 * All vCPUs should have one offset, and programs set them one after the other.
 * KVM guesses what they mean: 0, or a value within a second of where the last
 * one written would be by now, is "the same as that one".
 */
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "kvm/ioctl_table.h"
#include "kvm/user_copy.h"
#include "kvm/vm_clock.h"
#include "vcpu/x86/pv.h"

#define MEASURE_NS 2000000 /* an error of 50 ns is one of 25 ppm; guests are told 250 */
#define SAMPLES	   8
#define KHZ_LIMIT  0x7fffffffull

/* ---- the host's ------------------------------------------------------------------------ */

#if defined(__x86_64__)
/* CPUID 0x15: crystal frequency and the ratio to it (SDM vol. 3, 19.7.3). */
static u64 khz_by_cpuid(void)
{
	unsigned int den, num, hz, d;

	if (!__get_cpuid(0x15, &den, &num, &hz, &d) || !den || !num || !hz)
		return 0;
	return (u64)hz * num / den / 1000;
}
#else
static u64 khz_by_cpuid(void)
{
	return 1000000; /* x86_host_tsc() counts ns */
}
#endif

struct sample {
	u64 ns, tsc;
};

/*
 * Both clocks at one moment.  A thread may lose its processor between the two
 * readings, which on a busy machine would falsify the frequency by a tenth and
 * more; of several attempts the narrowest one was not interrupted.
 */
static struct sample read_both_clocks(void)
{
	struct sample best = {.ns = 0, .tsc = 0};
	u64 narrowest = ~0ull;

	for (int i = 0; i < SAMPLES; i++) {
		u64 before = x86_host_tsc(), ns = vm_machine_ops.now_ns();
		u64 width = x86_host_tsc() - before;

		if (width >= narrowest)
			continue;
		narrowest = width;
		best = (struct sample){.ns = ns, .tsc = before + width / 2};
	}
	return best;
}

static u64 khz_by_measuring(void)
{
	struct sample start = read_both_clocks(), end;

	do
		end = read_both_clocks();
	while (end.ns - start.ns < MEASURE_NS);
	return (end.tsc - start.tsc) * 1000000 / (end.ns - start.ns);
}

u64 vm_host_tsc_khz(void)
{
	static u64 khz;
	u64 found = atomic_peek(&khz);

	if (found)
		return found;
	found = khz_by_cpuid();
	if (!found)
		found = khz_by_measuring();
	atomic_poke(&khz, found);
	return found;
}

/* ---- frequency --------------------------------------------------------------------------- */

/* Within 250 ppm of the host's it is the host's: nobody could tell. */
static bool needs_scaling(u64 khz)
{
	u64 host = vm_host_tsc_khz();

	return (khz > host ? khz - host : host - khz) > host / 4000;
}

static void set_khz(struct vcpu *vcpu, u64 khz)
{
	struct x86_cpu *cpu = vcpu->cpu;

	cpu->tsc_khz = khz;
	cpu->tsc_ratio = 0;
	if (needs_scaling(khz))
		cpu->tsc_ratio = (u64)(((unsigned __int128)khz << 48) / vm_host_tsc_khz());
	cpu->pv.updates |= X86_PV_UPDATE_CLOCK;
}

/* 0 asks for the host's. */
static u64 wanted_khz(u64 arg)
{
	return (u32)arg ? (u32)arg : vm_host_tsc_khz();
}

long do_get_tsc_khz(struct ioctl_call *call)
{
	return (long)call->vm->tsc.khz;
}

/* For vCPUs to come. */
long do_set_tsc_khz(struct ioctl_call *call)
{
	if (wanted_khz(call->arg) >= KHZ_LIMIT || call->vm->nr_vcpus)
		return -EINVAL;
	call->vm->tsc.khz = wanted_khz(call->arg);
	return 0;
}

long do_vcpu_get_tsc_khz(struct ioctl_call *call)
{
	return (long)call->vcpu->cpu->tsc_khz;
}

long do_vcpu_set_tsc_khz(struct ioctl_call *call)
{
	if (wanted_khz(call->arg) >= KHZ_LIMIT)
		return -EINVAL;
	set_khz(call->vcpu, wanted_khz(call->arg));
	return 0;
}

/* ---- offset ------------------------------------------------------------------------------- */

static u64 offset_for(const struct x86_cpu *cpu, u64 value)
{
	return value - x86_scale_tsc(cpu, x86_host_tsc());
}

/* Is @value what the last one written has become by now, give or take a second? */
static bool is_continuation(const struct vm_tsc *tsc, u64 khz, u64 value, u64 now)
{
	u64 cycles = (u64)((unsigned __int128)(now - tsc->last_ns) * khz / 1000000);
	u64 expected = tsc->last_value + cycles, second = khz * 1000;

	return value < expected + second && value + second > expected;
}

static void set_offset(struct vcpu *vcpu, u64 value, u64 offset, bool join)
{
	struct vm_tsc *tsc = &vcpu->vm->tsc;
	struct x86_cpu *cpu = vcpu->cpu;

	if (join && tsc->last_khz == cpu->tsc_khz)
		offset = tsc->offset;
	cpu->tsc_offset = offset;
	tsc->offset = offset;
	tsc->last_value = value;
	tsc->last_khz = cpu->tsc_khz;
	tsc->last_ns = vcpu->vm->machine.ops->now_ns();
	cpu->pv.updates |= X86_PV_UPDATE_CLOCK;
}

void vcpu_tsc_start(struct vcpu *vcpu)
{
	set_khz(vcpu, vcpu->vm->tsc.khz);
	pthread_mutex_lock(&vcpu->vm->tsc.lock);
	set_offset(vcpu, 0, offset_for(vcpu->cpu, 0), true);
	pthread_mutex_unlock(&vcpu->vm->tsc.lock);
}

void vcpu_tsc_write(struct vcpu *vcpu, u64 value)
{
	struct vm_tsc *tsc = &vcpu->vm->tsc;
	bool join;

	pthread_mutex_lock(&tsc->lock);
	join = !value || (tsc->written && is_continuation(tsc, vcpu->cpu->tsc_khz, value,
							  vcpu->vm->machine.ops->now_ns()));
	tsc->written = true;
	set_offset(vcpu, value, offset_for(vcpu->cpu, value), join);
	pthread_mutex_unlock(&tsc->lock);
}

bool vcpu_tsc_matches(struct vcpu *vcpu)
{
	struct vm_tsc *tsc = &vcpu->vm->tsc;
	bool matches;

	pthread_mutex_lock(&tsc->lock);
	matches = tsc->offset == vcpu->cpu->tsc_offset && tsc->last_khz == vcpu->cpu->tsc_khz;
	pthread_mutex_unlock(&tsc->lock);
	return matches;
}

/* ---- the offset as an attribute ------------------------------------------------------------ */

static bool is_tsc_offset(const struct kvm_device_attr *attr)
{
	return attr->group == KVM_VCPU_TSC_CTRL && attr->attr == KVM_VCPU_TSC_OFFSET;
}

long do_vcpu_has_attr(struct ioctl_call *call)
{
	return is_tsc_offset(call->data) ? 0 : -ENXIO;
}

long do_vcpu_get_attr(struct ioctl_call *call)
{
	const struct kvm_device_attr *attr = call->data;

	if (!is_tsc_offset(attr))
		return -ENXIO;
	return kvm_copy_to_user(attr->addr, &call->vcpu->cpu->tsc_offset, sizeof(u64));
}

long do_vcpu_set_attr(struct ioctl_call *call)
{
	const struct kvm_device_attr *attr = call->data;
	struct vcpu *vcpu = call->vcpu;
	u64 offset;

	if (!is_tsc_offset(attr))
		return -ENXIO;
	if (kvm_copy_from_user(&offset, attr->addr, sizeof(offset)))
		return -EFAULT;
	pthread_mutex_lock(&vcpu->vm->tsc.lock);
	set_offset(vcpu, x86_scale_tsc(vcpu->cpu, x86_host_tsc()) + offset, offset, false);
	pthread_mutex_unlock(&vcpu->vm->tsc.lock);
	return 0;
}
