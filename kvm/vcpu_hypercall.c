/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls: VMCALL and VMMCALL (Documentation/virt/kvm/x86/hypercalls.rst).
 * The number is in RAX, arguments in RBX, RCX, RDX, RSI, the answer in RAX.
 *
 * The CPU has stopped at the instruction; x86_hypercall_return() completes it.
 */
#include <sched.h>
#include <time.h>

#include <linux/kvm_para.h>

#include "base/trace.h"
#include "kvm/vm.h"
#include "vcpu/x86/lapic.h"
#include "vcpu/x86/pv.h"

struct hypercall {
	u64 nr;
	u64 arg[4];
};

static struct hypercall fetch(const struct x86_cpu *cpu)
{
	const u64 *r = cpu->regs;
	u64 mask = cpu->mode & X86_MODE_CS64 ? ~0ull : ~0u;

	return (struct hypercall){
		.nr = r[X86_RAX] & mask,
		.arg = {r[X86_RBX] & mask, r[X86_RCX] & mask, r[X86_RDX] & mask, r[X86_RSI] & mask},
	};
}

/* Answer of carry_out(): not here. */
#define TO_THE_PROGRAM 1

/* Memory changes its kind: what that means is the program's to decide, if it wants to. */
static s64 map_gpa_range(struct vcpu *vcpu, const struct hypercall *call)
{
	u64 gpa = call->arg[0], npages = call->arg[1];
	u64 forwarded = atomic_peek(&vcpu->vm->exit_hypercalls);
	struct kvm_run *run = vcpu->run;

	if (!(forwarded & BIT_ULL(KVM_HC_MAP_GPA_RANGE)))
		return -KVM_ENOSYS;
	if (!is_aligned(gpa, PAGE_SIZE) || gpa_to_gfn(gpa) + npages <= gpa_to_gfn(gpa))
		return -KVM_EINVAL;
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	run->hypercall.args[0] = gpa;
	run->hypercall.args[1] = npages;
	run->hypercall.args[2] = call->arg[2];
	run->hypercall.ret = 0;
	/* In the place of "longmode", which newer kernels call "flags". */
	run->hypercall.longmode = (vcpu->cpu->mode & X86_MODE_CS64) != 0;
	return TO_THE_PROGRAM;
}

/* ---- other CPUs --------------------------------------------------------------------------- */

/* The CPU with that id, if it waits for a lock in a halt, has it now. */
static s64 kick_cpu(struct vcpu *vcpu, const struct hypercall *call)
{
	const struct x86_irq_msg msg = {
		.dest = (u32)call->arg[1], .delivery = X86_DELIVER_UNHALT, .x2apic_ids = true};

	if (!x86_pv_feature(vcpu->cpu, X86_PV_UNHALT))
		return -KVM_ENOSYS;
	x86_lapic_send(&vcpu->vm->kvm, &msg);
	sched_yield();
	return 0;
}

/* One interrupt to each CPU of a bitmap, whose first bit is @first; how many took it. */
static s64 send_to_bitmap(struct vcpu *vcpu, struct x86_irq_msg msg, u64 bitmap, u32 first)
{
	s64 taken = 0;

	for (; bitmap; bitmap &= bitmap - 1) {
		msg.dest = first + (u32)__builtin_ctzll(bitmap);
		taken += x86_lapic_send(&vcpu->vm->kvm, &msg);
	}
	return taken;
}

static s64 send_ipi(struct vcpu *vcpu, const struct hypercall *call)
{
	bool is_64 = vcpu->cpu->mode & X86_MODE_CS64;
	u32 icr = (u32)call->arg[3], first = (u32)call->arg[2];
	const struct x86_irq_msg msg = {
		.vector = (u8)icr, .delivery = (icr >> 8) & 7, .x2apic_ids = true};

	if (!x86_pv_feature(vcpu->cpu, X86_PV_SEND_IPI))
		return -KVM_ENOSYS;
	/* Anything but these two and a destination mode is nonsense here. */
	if (icr & ~0xfffu || (msg.delivery != X86_DELIVER_FIXED && msg.delivery != X86_DELIVER_NMI))
		return -KVM_EINVAL;
	return send_to_bitmap(vcpu, msg, call->arg[0], first) +
	       send_to_bitmap(vcpu, msg, call->arg[1], first + (is_64 ? 64 : 32));
}

/* ---- time ------------------------------------------------------------------------------------ */

static s64 clock_pairing(struct vcpu *vcpu, const struct hypercall *call)
{
	struct kvm_clock_pairing pairing = {.flags = 0};
	struct timespec now;

	if (call->arg[1] != KVM_CLOCK_PAIRING_WALLCLOCK)
		return -KVM_EOPNOTSUPP;
	pairing.tsc = x86_read_tsc(vcpu->cpu);
	clock_gettime(CLOCK_REALTIME, &now);
	pairing.sec = now.tv_sec;
	pairing.nsec = now.tv_nsec;
	if (kvm_vcpu_write_shared(&vcpu->cpu->vcpu, call->arg[0], &pairing, sizeof(pairing)))
		return -KVM_EFAULT;
	return 0;
}

/* ---- all of them ------------------------------------------------------------------------ */

static s64 carry_out(struct vcpu *vcpu, const struct hypercall *call)
{
	switch (call->nr) {
	case KVM_HC_VAPIC_POLL_IRQ:
		return 0;
	case KVM_HC_SCHED_YIELD:
		if (!x86_pv_feature(vcpu->cpu, X86_PV_SCHED_YIELD))
			return -KVM_ENOSYS;
		sched_yield();
		return 0;
	case KVM_HC_KICK_CPU:
		return kick_cpu(vcpu, call);
	case KVM_HC_SEND_IPI:
		return send_ipi(vcpu, call);
	case KVM_HC_CLOCK_PAIRING:
		return clock_pairing(vcpu, call);
	case KVM_HC_MAP_GPA_RANGE:
		return map_gpa_range(vcpu, call);
	default:
		return -KVM_ENOSYS;
	}
}

bool vcpu_hypercall(struct vcpu *vcpu)
{
	const struct hypercall call = fetch(vcpu->cpu);
	s64 answer;

	kvmu_trace(kvm, kvm_hypercall, call.nr, call.arg[0], call.arg[1], call.arg[2], call.arg[3]);
	answer = vcpu->cpu->cpl ? -KVM_EPERM : carry_out(vcpu, &call);
	vcpu->hypercall_pending = answer == TO_THE_PROGRAM;
	if (!vcpu->hypercall_pending)
		x86_hypercall_return(vcpu->cpu, (u64)answer);
	return !vcpu->hypercall_pending;
}

void vcpu_hypercall_answered(struct vcpu *vcpu)
{
	if (likely(!vcpu->hypercall_pending))
		return;
	vcpu->hypercall_pending = false;
	x86_hypercall_return(vcpu->cpu, atomic_peek(&vcpu->run->hypercall.ret));
}
