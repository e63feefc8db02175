/* SPDX-License-Identifier: BSD-2-Clause */
/* Debugging a guest, and its debug registers (api.rst 4.33, 4.34, 4.87). */
#include "base/bits.h"
#include "kvm/ioctl_table.h"
#include "vcpu/x86/debug.h"

long do_get_debugregs(struct ioctl_call *call)
{
	const u64 *dr = call->vcpu->cpu->dr;
	struct kvm_debugregs *regs = call->data;

	for (int i = 0; i < 4; i++)
		regs->db[i] = dr[i];
	regs->dr6 = dr[6];
	regs->dr7 = dr[7];
	return 0;
}

long do_set_debugregs(struct ioctl_call *call)
{
	const struct kvm_debugregs *regs = call->data;
	struct x86_cpu *cpu = call->vcpu->cpu;

	if (regs->flags || regs->dr6 >> 32 || regs->dr7 >> 32)
		return -EINVAL;
	for (int i = 0; i < 4; i++)
		cpu->dr[i] = regs->db[i];
	cpu->dr[6] = regs->dr6 | X86_DR6_FIXED;
	cpu->dr[7] = regs->dr7 | X86_DR7_FIXED;
	x86_debug_changed(cpu);
	return 0;
}

/* ---- KVM_SET_GUEST_DEBUG ---------------------------------------------------------------- */

/* Put an exception on its way into the guest; one that waits already keeps its place. */
static int inject(struct x86_cpu *cpu, u32 control)
{
	if (!(control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)))
		return 0;
	if (cpu->exception.pending)
		return -EBUSY;
	cpu->exception = (struct x86_event){
		.pending = true,
		.vector = control & KVM_GUESTDBG_INJECT_DB ? X86_DB : X86_BP,
	};
	return 0;
}

#define WISHES (X86_DEBUG_STEP | X86_DEBUG_SW_BP | X86_DEBUG_HW_BP | X86_DEBUG_BLOCK_IRQ)

long do_set_guest_debug(struct ioctl_call *call)
{
	const struct kvm_guest_debug *debug = call->data;
	struct x86_cpu *cpu = call->vcpu->cpu;
	int ret = inject(cpu, debug->control);

	if (ret)
		return ret;
	cpu->debug.control = debug->control & KVM_GUESTDBG_ENABLE ? debug->control & WISHES : 0;
	for (int i = 0; i < 4; i++)
		cpu->debug.dr[i] = debug->arch.debugreg[i];
	cpu->debug.dr7 = debug->arch.debugreg[7];
	x86_debug_changed(cpu);
	return 0;
}
