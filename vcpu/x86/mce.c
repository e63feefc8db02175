// SPDX-License-Identifier: BSD-2-Clause
/* See mce.h. */
#include <string.h>

#include "vcpu/x86/core.h"
#include "vcpu/x86/lapic.h"
#include "vcpu/x86/mce.h"

#define MSR_MCG_CAP    0x179u
#define MSR_MCG_STATUS 0x17au
#define MSR_MCG_CTL    0x17bu
#define MSR_MC0_CTL2   0x280u
#define MSR_MC0_CTL    0x400u

#define MCG_STATUS_MCIP	     BIT_ULL(2)
#define MCI_STATUS_VAL	     BIT_ULL(63)
#define MCI_STATUS_OVER	     BIT_ULL(62)
#define MCI_STATUS_UC	     BIT_ULL(61)
#define MCI_STATUS_PCC	     BIT_ULL(57)
#define MCI_STATUS_S	     BIT_ULL(56)
#define MCI_STATUS_AR	     BIT_ULL(55)
#define MCI_CTL2_CMCI_EN     BIT_ULL(30)
#define MCI_CTL2_WRITABLE    (MCI_CTL2_CMCI_EN | GENMASK_ULL(14, 0))
#define HWCR_MC_STATUS_WR_EN BIT_ULL(18)

static u32 nr_banks(const struct x86_cpu *cpu)
{
	return (u32)(cpu->mce.cap & 0xff);
}

int x86_mce_setup(struct x86_cpu *cpu, u64 mcg_cap)
{
	struct x86_mce *mce = &cpu->mce;
	u64 banks = mcg_cap & 0xff;

	/* The extended-state count in bits 23:16 is taken as given. */
	if (!banks || banks > X86_MCE_BANKS ||
	    (mcg_cap & ~(X86_MCE_CAPS | 0xff | GENMASK_ULL(23, 16))))
		return -EINVAL;
	mce->cap = mcg_cap;
	if (mcg_cap & X86_MCG_CTL_P)
		mce->ctl = ~0ull;
	for (u64 i = 0; i < banks; i++) {
		mce->bank[i].ctl = ~0ull;
		mce->bank[i].ctl2 = 0;
	}
	x86_lapic_set_cmci(cpu, mcg_cap & X86_MCG_CMCI_P);
	return 0;
}

void x86_mce_reset(struct x86_cpu *cpu)
{
	memset(&cpu->mce, 0, sizeof(cpu->mce));
	cpu->mce.cap = X86_MCE_BANKS;
}

/* ---- errors ------------------------------------------------------------------------------ */

static void record(struct x86_mce_bank *bank, const struct x86_mce_error *error, u64 more)
{
	bank->status = error->status | more;
	bank->addr = error->addr;
	bank->misc = error->misc;
}

/* Uncorrected, no action required (SDM vol. 3, 16.6.3). */
static bool is_ucna(u64 status)
{
	return (status & MCI_STATUS_UC) &&
	       !(status & (MCI_STATUS_PCC | MCI_STATUS_S | MCI_STATUS_AR));
}

static void inject_ucna(struct x86_cpu *cpu, struct x86_mce_bank *bank,
			const struct x86_mce_error *error)
{
	record(bank, error, 0);
	if ((cpu->mce.cap & X86_MCG_CMCI_P) && (bank->ctl2 & MCI_CTL2_CMCI_EN) && cpu->lapic)
		x86_lapic_raise_lvt(cpu, X86_LAPIC_LVT_CMCI);
}

/* SDM vol. 3, 16.3.2.1, 16.3.1.2: reporting may be off, and a second #MC is a shutdown. */
static void inject_uncorrected(struct x86_cpu *cpu, struct x86_mce_bank *bank,
			       const struct x86_mce_error *error)
{
	if (((cpu->mce.cap & X86_MCG_CTL_P) && cpu->mce.ctl != ~0ull) || bank->ctl != ~0ull)
		return;
	if ((cpu->mce.status & MCG_STATUS_MCIP) || !(cpu->cr4 & X86_CR4_MCE)) {
		cpu->shutdown_pending = true;
		return;
	}
	record(bank, error, bank->status & MCI_STATUS_VAL ? MCI_STATUS_OVER : 0);
	cpu->mce.status = error->mcg_status;
	cpu->exception = (struct x86_event){.pending = true, .vector = X86_MC};
}

/* A worse error that is there already stays. */
static void inject_corrected(struct x86_mce_bank *bank, const struct x86_mce_error *error)
{
	if ((bank->status & MCI_STATUS_VAL) && (bank->status & MCI_STATUS_UC))
		bank->status |= MCI_STATUS_OVER;
	else
		record(bank, error, bank->status & MCI_STATUS_VAL ? MCI_STATUS_OVER : 0);
}

int x86_mce_inject(struct x86_cpu *cpu, const struct x86_mce_error *error)
{
	struct x86_mce_bank *bank;

	if (error->bank >= nr_banks(cpu) || !(error->status & MCI_STATUS_VAL))
		return -EINVAL;
	bank = &cpu->mce.bank[error->bank];
	if (is_ucna(error->status))
		inject_ucna(cpu, bank, error);
	else if (error->status & MCI_STATUS_UC)
		inject_uncorrected(cpu, bank, error);
	else
		inject_corrected(bank, error);
	return 0;
}

/* ---- MSRs ---------------------------------------------------------------------------------- */

static bool is_ctl2(u32 index)
{
	return index >= MSR_MC0_CTL2 && index < MSR_MC0_CTL2 + X86_MCE_BANKS;
}

static bool is_bank(u32 index)
{
	return index >= MSR_MC0_CTL && index < MSR_MC0_CTL + 4 * X86_MCE_BANKS;
}

bool x86_mce_is_msr(u32 index)
{
	return (index >= MSR_MCG_CAP && index <= MSR_MCG_CTL) || is_ctl2(index) || is_bank(index);
}

/* CTL, STATUS, ADDR, MISC lie one behind the other, as their MSRs do. */
static u64 *bank_word(struct x86_cpu *cpu, u32 index)
{
	struct x86_mce_bank *bank = &cpu->mce.bank[(index - MSR_MC0_CTL) / 4];
	u64 *const words[] = {&bank->ctl, &bank->status, &bank->addr, &bank->misc};

	return words[(index - MSR_MC0_CTL) % 4];
}

/* Beyond the banks that there are. */
static bool no_such_bank(const struct x86_cpu *cpu, u32 index)
{
	return is_bank(index) && (index - MSR_MC0_CTL) / 4 >= nr_banks(cpu);
}

int x86_mce_get_msr(struct x86_cpu *cpu, u32 index, u64 *value, bool host)
{
	const struct x86_mce *mce = &cpu->mce;

	if (no_such_bank(cpu, index))
		return -EINVAL;
	if (is_bank(index)) {
		*value = *bank_word(cpu, index);
	} else if (is_ctl2(index)) {
		if (!(mce->cap & X86_MCG_CMCI_P) && !host)
			return -EINVAL;
		*value = mce->bank[index - MSR_MC0_CTL2].ctl2;
	} else if (index == MSR_MCG_CTL) {
		if (!(mce->cap & X86_MCG_CTL_P) && !host)
			return -EINVAL;
		*value = mce->ctl;
	} else {
		*value = index == MSR_MCG_CAP ? mce->cap : mce->status;
	}
	return 0;
}

static int set_bank(struct x86_cpu *cpu, u32 index, u64 value, bool host)
{
	/* Old guests leave bit 10 of a bank, or bit 0, clear. */
	const u64 tolerated = BIT_ULL(10) | BIT_ULL(0);

	switch ((index - MSR_MC0_CTL) % 4) {
	case 0:
		if (value && (value | tolerated) != ~0ull)
			return -EINVAL;
		break;
	case 1: /* software clears it, unless AMD's HWCR says more */
		if (!host && value && !(cpu->hwcr & HWCR_MC_STATUS_WR_EN))
			return -EINVAL;
		break;
	default:
		break;
	}
	*bank_word(cpu, index) = value;
	return 0;
}

int x86_mce_set_msr(struct x86_cpu *cpu, u32 index, u64 value, bool host)
{
	struct x86_mce *mce = &cpu->mce;

	if (no_such_bank(cpu, index))
		return -EINVAL;
	if (is_bank(index))
		return set_bank(cpu, index, value, host);
	if (is_ctl2(index)) {
		if ((!(mce->cap & X86_MCG_CMCI_P) && (value || !host)) ||
		    (value & ~MCI_CTL2_WRITABLE))
			return -EINVAL;
		mce->bank[index - MSR_MC0_CTL2].ctl2 = value;
		return 0;
	}
	switch (index) {
	case MSR_MCG_STATUS:
		mce->status = value;
		return 0;
	case MSR_MCG_CTL:
		if ((!(mce->cap & X86_MCG_CTL_P) && (value || !host)) || (value && value != ~0ull))
			return -EINVAL;
		mce->ctl = value;
		return 0;
	default:
		return -EINVAL;
	}
}
