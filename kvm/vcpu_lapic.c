/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's state for the program (api.rst 4.57, 4.58), and what local
 * APICs need from here: a clock, and a way to wake a thread that sleeps.  The
 * APIC itself is the CPU's: vcpu/x86/lapic.h.
 */
#include <string.h>
#include <time.h>

#include "kvm/ioctl_table.h"
#include "kvm/irqchip/irqchip.h"
#include "kvm/vcpu_vapic.h"
#include "vcpu/x86/lapic.h"

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
}

static void wake(struct x86_cpu *cpu)
{
	vcpu_wake_up(cpu->owner);
}

const struct x86_machine_ops vm_machine_ops = {
	.now_ns = now_ns,
	.wake = wake,
	.acknowledge_extint = irqchip_acknowledge_pic,
	.eoi = irqchip_eoi,
	.tpr_accessed = vcpu_tpr_accessed,
};

/* Without KVM_X2APIC_API_USE_32BIT_IDS the id has the place it has in an xAPIC. */
static bool ids_are_shifted(const struct vcpu *vcpu)
{
	return x86_lapic_is_x2apic(vcpu->cpu) && !vcpu->vm->x2apic_ids_32bit;
}

long do_get_lapic(struct ioctl_call *call)
{
	struct kvm_lapic_state *state = call->data;
	u32 regs[X86_LAPIC_WORDS];

	if (!call->vcpu->cpu->lapic)
		return -EINVAL;
	x86_lapic_save(call->vcpu->cpu, regs);
	if (ids_are_shifted(call->vcpu))
		regs[X86_LAPIC_ID / 16] <<= 24;
	for (u32 i = 0; i < X86_LAPIC_WORDS; i++)
		memcpy(state->regs + i * 16, &regs[i], sizeof(regs[i]));
	return 0;
}

long do_set_lapic(struct ioctl_call *call)
{
	const struct kvm_lapic_state *state = call->data;
	struct x86_cpu *cpu = call->vcpu->cpu;
	u32 regs[X86_LAPIC_WORDS];

	if (!cpu->lapic)
		return -EINVAL;
	for (u32 i = 0; i < X86_LAPIC_WORDS; i++)
		memcpy(&regs[i], state->regs + i * 16, sizeof(regs[i]));
	if (x86_lapic_is_x2apic(cpu) && call->vm->x2apic_ids_32bit &&
	    regs[X86_LAPIC_ID / 16] != call->vcpu->id)
		return -EINVAL;
	x86_lapic_load(cpu, regs);
	return 0;
}
