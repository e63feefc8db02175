/* SPDX-License-Identifier: BSD-2-Clause */
/* General registers and address translation (api.rst 4.11, 4.12, 4.15). */
#include "kvm/ioctl_table.h"
#include "vcpu/x86/flags.h"

void vcpu_regs_read(struct vcpu *vcpu, struct kvm_regs *regs)
{
	const u64 *r = vcpu->cpu->regs;

	*regs = (struct kvm_regs){
		.rax = r[X86_RAX],
		.rbx = r[X86_RBX],
		.rcx = r[X86_RCX],
		.rdx = r[X86_RDX],
		.rsi = r[X86_RSI],
		.rdi = r[X86_RDI],
		.rsp = r[X86_RSP],
		.rbp = r[X86_RBP],
		.r8 = r[X86_R8],
		.r9 = r[X86_R9],
		.r10 = r[X86_R10],
		.r11 = r[X86_R11],
		.r12 = r[X86_R12],
		.r13 = r[X86_R13],
		.r14 = r[X86_R14],
		.r15 = r[X86_R15],
		.rip = r[X86_REG_RIP],
		.rflags = x86_rflags(vcpu->cpu),
	};
}

/* RFLAGS bits that exist; the others read as written nowhere. */
#define RFLAGS_KNOWN 0x3f7fd7ull

void vcpu_regs_write(struct vcpu *vcpu, const struct kvm_regs *regs)
{
	struct x86_cpu *cpu = vcpu->cpu;
	u64 old_rflags = cpu->rflags;
	u64 *r = cpu->regs;

	r[X86_RAX] = regs->rax;
	r[X86_RBX] = regs->rbx;
	r[X86_RCX] = regs->rcx;
	r[X86_RDX] = regs->rdx;
	r[X86_RSI] = regs->rsi;
	r[X86_RDI] = regs->rdi;
	r[X86_RSP] = regs->rsp;
	r[X86_RBP] = regs->rbp;
	r[X86_R8] = regs->r8;
	r[X86_R9] = regs->r9;
	r[X86_R10] = regs->r10;
	r[X86_R11] = regs->r11;
	r[X86_R12] = regs->r12;
	r[X86_R13] = regs->r13;
	r[X86_R14] = regs->r14;
	r[X86_R15] = regs->r15;
	r[X86_REG_RIP] = regs->rip;
	x86_set_rflags_raw(cpu, regs->rflags & RFLAGS_KNOWN);
	/* The mode word and the TLB bank follow TF, VM and AC: recomputing them is not free. */
	if (cpu->rflags != old_rflags)
		x86_cpu_state_changed(cpu);
	cpu->exception.pending = false;
}

long do_get_regs(struct ioctl_call *call)
{
	vcpu_regs_read(call->vcpu, call->data);
	return 0;
}

long do_set_regs(struct ioctl_call *call)
{
	vcpu_regs_write(call->vcpu, call->data);
	return 0;
}

long do_translate(struct ioctl_call *call)
{
	struct kvm_translation *t = call->data;
	bool writable = false, user = false;
	gpa_t gpa = INVALID_GPA;

	t->valid = x86_translate(call->vcpu->cpu, t->linear_address, &gpa, &writable, &user);
	t->physical_address = t->valid ? gpa : INVALID_GPA;
	/* KVM itself does not look these two up: 1 and 0. */
	t->writeable = 1;
	t->usermode = 0;
	return 0;
}
