/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is meant by an interrupt message (SDM vol. 3, 11.6.2), for messages
 * between CPUs and from devices.  Runs in any thread: another CPU's ids and
 * mode are looked at while its own thread may change them, as on a bus.
 */
#include "vcpu/x86/core.h"
#include "vcpu/x86/lapic.h"

#define XAPIC_BROADCAST	 0xffu
#define X2APIC_BROADCAST 0xffffffffu

static u32 reg(const struct x86_cpu *cpu, enum x86_lapic_reg offset)
{
	return atomic_peek(x86_lapic_reg(cpu, offset));
}

/*
 * Eight-bit destinations reach a CPU in x2APIC mode too, and 0xff then means
 * all: from a CPU by what it is, from a device unless the owner says that such
 * ids are meant literally.
 */
static bool is_broadcast(const struct x86_cpu *cpu, const struct x86_irq_msg *msg)
{
	if (msg->x2apic_ids)
		return msg->dest == X2APIC_BROADCAST;
	if (msg->dest != XAPIC_BROADCAST)
		return false;
	return msg->from || !x86_lapic_is_x2apic(cpu) ||
	       !atomic_peek(&cpu->machine->x2apic_literal_255);
}

static bool matches_physical(const struct x86_cpu *cpu, u32 dest)
{
	if (x86_lapic_is_x2apic(cpu))
		return dest == cpu->vcpu.vcpu_id;
	/* An id too large for the register is still that CPU's, for those who hot-plug. */
	return dest == reg(cpu, X86_LAPIC_ID) >> 24 ||
	       (cpu->vcpu.vcpu_id > 0xff && dest == cpu->vcpu.vcpu_id);
}

static bool matches_logical(const struct x86_cpu *cpu, u32 dest)
{
	u32 ldr = reg(cpu, X86_LAPIC_LDR);

	if (x86_lapic_is_x2apic(cpu))
		return ldr >> 16 == dest >> 16 && (ldr & dest & 0xffff);
	ldr >>= 24;
	if (reg(cpu, X86_LAPIC_DFR) >> 28 == 0xf) /* flat */
		return ldr & dest & 0xff;
	return ldr >> 4 == (dest & 0xff) >> 4 && (ldr & dest & 0xf);
}

static bool is_meant(const struct x86_cpu *cpu, const struct x86_irq_msg *msg)
{
	if (!cpu->lapic || !(atomic_peek(&cpu->apic_base) & X86_APIC_BASE_ENABLE))
		return false;
	switch ((enum x86_shorthand)msg->shorthand) {
	case X86_SHORTHAND_SELF:
		return cpu == msg->from;
	case X86_SHORTHAND_ALL:
		return true;
	case X86_SHORTHAND_OTHERS:
		return cpu != msg->from;
	case X86_SHORTHAND_NONE:
		break;
	}
	if (is_broadcast(cpu, msg))
		return true;
	return msg->logical ? matches_logical(cpu, msg->dest) : matches_physical(cpu, msg->dest);
}

static struct x86_cpu *cpu_of(struct kvm_vcpu *vcpu)
{
	return container_of(vcpu, struct x86_cpu, vcpu);
}

static unsigned int send_to_all(struct kvm *kvm, const struct x86_irq_msg *msg)
{
	struct kvm_vcpu *vcpu;
	unsigned int taken = 0;
	u32 i;

	kvm_for_each_vcpu (i, vcpu, kvm)
		if (is_meant(cpu_of(vcpu), msg))
			taken += x86_lapic_take_msg(cpu_of(vcpu), msg);
	return taken;
}

/* To whoever of those that can has had the fewest: priorities are not compared. */
static unsigned int send_to_one(struct kvm *kvm, const struct x86_irq_msg *msg)
{
	struct x86_cpu *best = NULL;
	struct kvm_vcpu *vcpu;
	u32 i;

	kvm_for_each_vcpu (i, vcpu, kvm) {
		struct x86_cpu *cpu = cpu_of(vcpu);

		if (!is_meant(cpu, msg) || !x86_lapic_software_enabled(cpu))
			continue;
		if (!best || atomic_peek(&cpu->lapic->turns) < atomic_peek(&best->lapic->turns))
			best = cpu;
	}
	if (!best)
		return 0;
	atomic_add(&best->lapic->turns, 1u);
	return x86_lapic_take_msg(best, msg);
}

unsigned int x86_lapic_send(struct kvm *kvm, const struct x86_irq_msg *msg)
{
	if (msg->delivery == X86_DELIVER_LOWEST)
		return send_to_one(kvm, msg);
	return send_to_all(kvm, msg);
}
