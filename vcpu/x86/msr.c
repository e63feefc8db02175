// SPDX-License-Identifier: BSD-2-Clause
/*
 * Model-specific registers (SDM vol. 4, chapter 2).
 *
 * A table of plain storage for most; the few with rules have a check.  Values
 * that do nothing here (MTRRs, microcode level) are kept so that guests and
 * user space read back what they wrote.
 */
#include "vcpu/x86/core.h"
#include "vcpu/x86/lapic.h"
#include "vcpu/x86/mce.h"
#include "vcpu/x86/pv.h"

enum msr_kind {
	MSR_PLAIN,
	MSR_CANONICAL, /* a linear address */
	MSR_EFER,
	MSR_PAT,
	MSR_APIC_BASE,
	MSR_TSC,
	MSR_TSC_DEADLINE,
	MSR_TSC_ADJUST,
	MSR_PLATFORM_INFO,
	MSR_HWCR,
	MSR_OWNER,     /* of the owner alone: for the guest there is none */
	MSR_READ_ONLY, /* for the guest */
	MSR_ZERO,      /* reads as 0, writes of 0 are fine, from user space any are ignored */
	MSR_DROPPED,   /* reads as 0, writes are ignored */
};

struct msr_row {
	u32 index;
	enum msr_kind kind;
	size_t at; /* offset of a u64 in struct x86_cpu */
	u64 zero;  /* MSR_PLAIN: bits that must be 0 */
};

#define STORED(index, kind, field)                              \
	{                                                       \
		index, kind, offsetof(struct x86_cpu, field), 0 \
	}

static const struct msr_row rows[] = {
	STORED(0x10, MSR_TSC, tsc_offset),
	STORED(0x3b, MSR_TSC_ADJUST, tsc_adjust),
	STORED(0x1b, MSR_APIC_BASE, apic_base),
	{0x6e0, MSR_TSC_DEADLINE, 0, 0},
	STORED(0x174, MSR_PLAIN, sysenter_cs),
	STORED(0x175, MSR_CANONICAL, sysenter_esp),
	STORED(0x176, MSR_CANONICAL, sysenter_eip),
	STORED(0x1a0, MSR_PLAIN, misc_enable),
	STORED(0x1fc, MSR_PLAIN, power_ctl),
	STORED(0x277, MSR_PAT, pat),
	STORED(0xc0000080, MSR_EFER, efer),
	STORED(0xc0000081, MSR_PLAIN, star),
	STORED(0xc0000082, MSR_CANONICAL, lstar),
	STORED(0xc0000083, MSR_CANONICAL, cstar),
	{0xc0000084, MSR_PLAIN, offsetof(struct x86_cpu, sfmask), ~0ull << 32},
	STORED(0xc0000100, MSR_CANONICAL, seg[X86_FS].base),
	STORED(0xc0000101, MSR_CANONICAL, seg[X86_GS].base),
	STORED(0xc0000102, MSR_CANONICAL, kernel_gs_base),
	{0xc0000103, MSR_PLAIN, offsetof(struct x86_cpu, tsc_aux), ~0ull << 32},
	STORED(0xce, MSR_PLATFORM_INFO, platform_info),
	STORED(0xc0010015, MSR_HWCR, hwcr),
	{0x17, MSR_ZERO, 0, 0},
	{0x3a, MSR_ZERO, 0, 0},
	{0x8b, MSR_ZERO, 0, 0},
	STORED(0x9e, MSR_OWNER, smbase),
	STORED(0x34, MSR_READ_ONLY, smi_count),
	{0xc1, MSR_ZERO, 0, 0},
	{0x10a, MSR_ZERO, 0, 0},
	{0x119, MSR_ZERO, 0, 0},
	{0x140, MSR_ZERO, 0, 0},
	{0x186, MSR_ZERO, 0, 0},
	{0x198, MSR_ZERO, 0, 0},
	{0x1d9, MSR_ZERO, 0, 0},
	{0x606, MSR_ZERO, 0, 0},
	/* AMD's set-up of processor and northbridge, which its kernels look at. */
	{0xc0010010, MSR_ZERO, 0, 0},
	{0xc001001f, MSR_DROPPED, 0, 0},
	{0xc0010055, MSR_ZERO, 0, 0},
	{0xc0010058, MSR_ZERO, 0, 0},
	{0xc0011022, MSR_DROPPED, 0, 0},
	{0xc0011023, MSR_DROPPED, 0, 0},
	{0xc001102a, MSR_DROPPED, 0, 0},
	{0xc001102c, MSR_DROPPED, 0, 0},
};

/* MTRRs: capability, default type, 8 variable pairs, 11 fixed ones; plain storage. */
#define MTRR_CAP     0xfe
#define MTRR_DEFTYPE 0x2ff
static const u32 fixed_mtrrs[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
				  0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

static const u32 saved[] = {
	0x10,	    0x3b,	0x174,	    0x175,	0x176,	    0x1a0,	0x277, 0xc0000080,
	0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, 0xc0000103, 0x2ff, 0x200,
	0x201,	    0x202,	0x203,	    0x204,	0x205,	    0x206,	0x207, 0x208,
	0x209,	    0x20a,	0x20b,	    0x20c,	0x20d,	    0x20e,	0x20f, 0x250,
	0x258,	    0x259,	0x268,	    0x269,	0x26a,	    0x26b,	0x26c, 0x26d,
	0x26e,	    0x26f,	0xce,	    0x1fc,	0xc0010015, 0x6e0,	0x11,  0x12,
	0x4b564d00, 0x4b564d01, 0x4b564d03, 0x4b564d05, 0x17a,	    0x9e,	0x34,
};

u32 x86_msr_list(const u32 **indices)
{
	*indices = saved;
	return ARRAY_SIZE(saved);
}

/* Slot of the MTRR in cpu->mtrr, or -1. */
static int mtrr_slot(u32 index)
{
	if (index >= 0x200 && index <= 0x20f)
		return (int)(index - 0x200);
	if (index == MTRR_DEFTYPE)
		return 16;
	for (unsigned int i = 0; i < ARRAY_SIZE(fixed_mtrrs); i++)
		if (fixed_mtrrs[i] == index)
			return (int)(17 + i);
	return -1;
}

static const struct msr_row *find_row(u32 index)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].index == index)
			return &rows[i];
	return NULL;
}

static u64 *storage(struct x86_cpu *cpu, const struct msr_row *row)
{
	return (u64 *)(void *)((char *)cpu + row->at);
}

static bool is_x2apic(u32 index)
{
	return index >= X86_MSR_X2APIC_FIRST && index <= X86_MSR_X2APIC_LAST;
}

int x86_get_msr(struct x86_cpu *cpu, u32 index, u64 *value, bool host)
{
	const struct msr_row *row = find_row(index);
	int slot = mtrr_slot(index);

	*value = 0;
	if (slot >= 0) {
		*value = cpu->mtrr[slot];
		return 0;
	}
	if (index == MTRR_CAP) {
		*value = 0x508; /* 8 variable ranges, fixed ones, write-combining */
		return 0;
	}
	if (is_x2apic(index))
		return x86_lapic_get_msr(cpu, index, value);
	if (x86_mce_is_msr(index))
		return x86_mce_get_msr(cpu, index, value, host);
	if (!row)
		return x86_pv_get_msr(cpu, index, value, host);
	switch (row->kind) {
	case MSR_TSC:
		*value = x86_read_tsc(cpu);
		return 0;
	case MSR_ZERO:
	case MSR_DROPPED:
		return 0;
	case MSR_OWNER:
		if (!host)
			return -EINVAL;
		*value = *storage(cpu, row);
		return 0;
	case MSR_TSC_DEADLINE:
		*value = cpu->lapic ? x86_lapic_get_tsc_deadline(cpu) : 0;
		return 0;
	case MSR_PLATFORM_INFO:
		if (!host && atomic_peek(&cpu->machine->hide_platform_info))
			return -EINVAL;
		*value = cpu->platform_info;
		return 0;
	default:
		*value = *storage(cpu, row);
		return 0;
	}
}

static bool pat_valid(u64 pat)
{
	for (unsigned int i = 0; i < 64; i += 8) {
		u8 type = (u8)(pat >> i);

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

static int set_efer(struct x86_cpu *cpu, u64 value, bool host)
{
	const u64 known = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;

	if (value & ~known)
		return -EINVAL;
	if (!host && ((value ^ cpu->efer) & X86_EFER_LME) && (cpu->cr0 & X86_CR0_PG))
		return -EINVAL;
	if (!host)
		value = (value & ~(u64)X86_EFER_LMA) | (cpu->efer & X86_EFER_LMA);
	cpu->efer = value;
	x86_update_mode(cpu);
	x86_flush_tlb(cpu);
	return 0;
}

static int set_tsc(struct x86_cpu *cpu, const struct msr_row *row, u64 value, bool host)
{
	u64 old = cpu->tsc_adjust;

	if (row->kind == MSR_TSC_ADJUST) {
		cpu->tsc_adjust = value;
		if (!host)
			cpu->tsc_offset += value - old;
		return 0;
	}
	value -= x86_read_tsc(cpu);
	cpu->tsc_offset += value;
	if (!host)
		cpu->tsc_adjust += value;
	return 0;
}

/* AMD APM vol. 2, HWCR: what guests set in passing is dropped, two bits are kept. */
static int set_hwcr(struct x86_cpu *cpu, u64 value)
{
	const u64 dropped = BIT_ULL(3) | BIT_ULL(6) | BIT_ULL(8);
	const u64 kept = BIT_ULL(18) | BIT_ULL(24);

	if (value & ~(dropped | kept))
		return -EINVAL;
	cpu->hwcr = value & kept;
	return 0;
}

static int set_row(struct x86_cpu *cpu, const struct msr_row *row, u64 value, bool host)
{
	switch (row->kind) {
	case MSR_PLAIN:
		if (value & row->zero)
			return -EINVAL;
		break;
	case MSR_CANONICAL:
		if (!x86_canonical(cpu, value))
			return -EINVAL;
		break;
	case MSR_PAT:
		if (!pat_valid(value))
			return -EINVAL;
		break;
	case MSR_EFER:
		return set_efer(cpu, value, host);
	case MSR_TSC:
	case MSR_TSC_ADJUST:
		return set_tsc(cpu, row, value, host);
	case MSR_APIC_BASE:
		return x86_set_apic_base(cpu, value, host);
	case MSR_TSC_DEADLINE:
		if (cpu->lapic)
			x86_lapic_set_tsc_deadline(cpu, value);
		return 0;
	case MSR_ZERO:
		return value && !host ? -EINVAL : 0;
	case MSR_DROPPED:
		return 0;
	case MSR_PLATFORM_INFO:
	case MSR_OWNER:
	case MSR_READ_ONLY:
		if (!host)
			return -EINVAL;
		break;
	case MSR_HWCR:
		return set_hwcr(cpu, value);
	}
	*storage(cpu, row) = value;
	x86_update_mode(cpu);
	return 0;
}

int x86_set_msr(struct x86_cpu *cpu, u32 index, u64 value, bool host)
{
	const struct msr_row *row = find_row(index);
	int slot = mtrr_slot(index);

	if (slot >= 0) {
		cpu->mtrr[slot] = value;
		return 0;
	}
	if (index == MTRR_CAP)
		return -EINVAL;
	if (is_x2apic(index))
		return x86_lapic_set_msr(cpu, index, value);
	if (x86_mce_is_msr(index))
		return x86_mce_set_msr(cpu, index, value, host);
	if (!row)
		return x86_pv_set_msr(cpu, index, value, host);
	/* Microcode updates are accepted and do nothing (SDM vol. 3, 11.11.6). */
	if (index == 0x8b)
		return 0;
	return set_row(cpu, row, value, host);
}
