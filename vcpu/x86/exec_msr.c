// SPDX-License-Identifier: BSD-2-Clause
/*
 * RDMSR and WRMSR (SDM vol. 2), with KVM's two additions: a filter that denies
 * MSRs to the guest, and user space standing in for those it is denied
 * (api.rst 4.97, KVM_CAP_X86_USER_SPACE_MSR).
 *
 * As with ports, an access that user space carries out ends the run; in the
 * next one the instruction runs again and takes the answer.
 */
#include "base/trace.h"
#include "vcpu/x86/core.h"
#include "vcpu/x86/exec_int.h"
#include "vcpu/x86/lapic.h"

static bool range_denies(const struct x86_msr_range *range, u32 index)
{
	u32 bit = index - range->base;

	return !(range->bitmap[bit / 8] & (1u << (bit % 8)));
}

static bool filter_denies(const struct x86_msr_filter *filter, u32 index, bool is_write)
{
	u32 direction = is_write ? X86_MSR_FILTER_WRITE : X86_MSR_FILTER_READ;

	for (u32 i = 0; i < filter->nr_ranges; i++) {
		const struct x86_msr_range *range = &filter->ranges[i];

		if ((range->flags & direction) && index - range->base < range->nr)
			return range_denies(range, index);
	}
	return filter->default_deny;
}

/* x2APIC registers are beyond the filter, as with KVM: hardware may serve them alone. */
static bool denied(const struct x86_machine *machine, u32 index, bool is_write)
{
	bool denies;

	if (likely(!atomic_peek(&machine->msr_filter)) ||
	    (index >= X86_MSR_X2APIC_FIRST && index <= X86_MSR_X2APIC_LAST))
		return false;
	mmu_host_rcu_read_lock();
	{
		const struct x86_msr_filter *filter = atomic_observe(&machine->msr_filter);

		denies = filter && filter_denies(filter, index, is_write);
	}
	mmu_host_rcu_read_unlock();
	return denies;
}

/* ---- refusals ------------------------------------------------------------------------- */

static enum x86_msr_reason reason_of(int err)
{
	return err == -ENOENT ? X86_MSR_UNKNOWN : X86_MSR_INVALID;
}

/* #GP, or user space's business if it wants to be asked for that reason. */
static _Noreturn void refuse(struct x86_cpu *cpu, struct x86_msr_exit msr)
{
	u64 rip = cpu->seg_base[X86_CS] + x86_op_rip(cpu, cpu->op);

	if (!(atomic_peek(&cpu->machine->user_msr_reasons) & msr.reason)) {
		kvmu_trace(kvm, kvm_msr, msr.is_write, msr.index, msr.data, true);
		x86_raise_code(cpu, X86_GP, 0);
	}
	msr.pending = true;
	msr.rip = cpu->mode & X86_MODE_CS64 ? rip : (u32)rip;
	cpu->msr = msr;
	x86_leave_to_user(cpu, X86_EXIT_MSR);
}

/* True: user space has carried this access out. */
static bool answered(struct x86_cpu *cpu, u32 index, bool is_write)
{
	const struct x86_msr_exit *msr = &cpu->msr;

	if (!msr->done || msr->index != index || msr->is_write != is_write)
		return false;
	if (msr->error)
		x86_raise_code(cpu, X86_GP, 0);
	return true;
}

static void require_cpl0(struct x86_cpu *cpu, const struct x86_op *op)
{
	cpu->op = op;
	if (unlikely(cpu->cpl != 0))
		x86_raise_code(cpu, X86_GP, 0);
}

X86_HANDLER(rdmsr_op)
{
	struct x86_msr_exit msr = {.index = (u32)cpu->regs[X86_RCX], .reason = X86_MSR_FILTERED};
	u64 value = 0;
	int err = 0;

	require_cpl0(cpu, op);
	if (unlikely(answered(cpu, msr.index, false))) {
		value = cpu->msr.data;
	} else {
		if (denied(cpu->machine, msr.index, false))
			refuse(cpu, msr);
		err = x86_get_msr(cpu, msr.index, &value, false);
	}
	if (err) {
		msr.reason = reason_of(err);
		refuse(cpu, msr);
	}
	kvmu_trace(kvm, kvm_msr, false, msr.index, value, false);
	cpu->regs[X86_RAX] = (u32)value;
	cpu->regs[X86_RDX] = value >> 32;
	return x86_done(cpu, op);
}

X86_HANDLER(wrmsr_op)
{
	struct x86_msr_exit msr = {.index = (u32)cpu->regs[X86_RCX],
				   .is_write = true,
				   .reason = X86_MSR_FILTERED,
				   .data = cpu->regs[X86_RDX] << 32 | (u32)cpu->regs[X86_RAX]};
	int err = 0;

	require_cpl0(cpu, op);
	if (likely(!answered(cpu, msr.index, true))) {
		if (denied(cpu->machine, msr.index, true))
			refuse(cpu, msr);
		err = x86_set_msr(cpu, msr.index, msr.data, false);
	}
	if (err) {
		msr.reason = reason_of(err);
		refuse(cpu, msr);
	}
	kvmu_trace(kvm, kvm_msr, true, msr.index, msr.data, false);
	x86_code_changed(cpu);
	return x86_done(cpu, op);
}

static x86_op_fn *select_msr(struct x86_decode *d)
{
	d->ends_block = true;
	return d->insn->mnemonic == ZYDIS_MNEMONIC_RDMSR ? rdmsr_op : wrmsr_op;
}

const struct x86_family_entry x86_family_msr[] = {
	{ZYDIS_MNEMONIC_RDMSR, select_msr},
	{ZYDIS_MNEMONIC_WRMSR, select_msr},
	{ZYDIS_MNEMONIC_INVALID, NULL},
};
