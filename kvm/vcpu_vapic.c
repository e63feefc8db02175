/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The task priority, shared with guests that were patched to keep it in memory
 * (KVM_SET_VAPIC_ADDR), and the reports by which a program finds the places to
 * patch (KVM_TPR_ACCESS_REPORTING): QEMU's option ROM for 32-bit Windows.
 *
 * The word in the guest's memory: bits 7:0 the task priority, which the guest
 * writes; 15:8 the class in service and 31:24 the highest vector that waits,
 * so that it knows when lowering the priority needs the APIC after all.
 */
#include "kvm/ioctl_table.h"
#include "kvm/vcpu_vapic.h"
#include "vcpu/x86/lapic.h"
#include "vcpu/x86/op.h"

/* ---- the word ---------------------------------------------------------------------------- */

void vcpu_vapic_to_guest(struct vcpu *vcpu)
{
	u32 word = x86_lapic_priorities(vcpu->cpu);

	/* Memory that is gone is the guest's loss. */
	if (kvm_vcpu_write_guest(&vcpu->cpu->vcpu, vcpu->vapic, &word, sizeof(word)))
		return;
}

void vcpu_vapic_from_guest(struct vcpu *vcpu)
{
	u32 word;

	if (!kvm_read_guest(&vcpu->vm->kvm, vcpu->vapic, &word, sizeof(word)))
		x86_lapic_set_tpr(vcpu->cpu, word & 0xff);
}

long do_set_vapic_addr(struct ioctl_call *call)
{
	const struct kvm_vapic_addr *args = call->data;
	u32 word;

	if (!call->vcpu->cpu->lapic)
		return -EINVAL;
	if (args->vapic_addr &&
	    kvm_read_guest(&call->vm->kvm, args->vapic_addr, &word, sizeof(word)))
		return -EINVAL;
	call->vcpu->vapic = args->vapic_addr;
	return 0;
}

/* ---- reports -------------------------------------------------------------------------------- */

/* Instructions go on to the next jump; then the program hears of it. */
void vcpu_tpr_accessed(struct x86_cpu *cpu, bool is_write)
{
	struct vcpu *vcpu = cpu->owner;
	struct tpr_report *report = &vcpu->tpr_report;

	if (!report->wanted || !cpu->op)
		return;
	report->is_due = true;
	report->is_write = is_write;
	report->rip = x86_op_rip(cpu, cpu->op);
	kvm_make_request(&cpu->vcpu, KVM_REQ_KICK);
}

void vcpu_tpr_report(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	vcpu->tpr_report.is_due = false;
	run->tpr_access.rip = vcpu->tpr_report.rip;
	run->tpr_access.is_write = vcpu->tpr_report.is_write;
	run->exit_reason = KVM_EXIT_TPR_ACCESS;
}

long do_tpr_access_reporting(struct ioctl_call *call)
{
	const struct kvm_tpr_access_ctl *args = call->data;

	if (args->flags)
		return -EINVAL;
	call->vcpu->tpr_report.wanted = args->enabled != 0;
	return 0;
}
