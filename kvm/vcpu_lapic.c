/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's register page (SDM vol. 3, 11.4.1) as far as it goes: the
 * registers that hold what is written to them, with the reset values and
 * read-only ones of the manual.  Nothing is delivered: writing the interrupt
 * command or the timer's count is refused, and the run ends with an error that
 * names it.
 */
#include <string.h>

#include "base/bits.h"
#include "kvm/ioctl_table.h"

enum lapic_reg {
	LAPIC_ID = 0x20,
	LAPIC_VERSION = 0x30,
	LAPIC_TPR = 0x80,
	LAPIC_PPR = 0xa0,
	LAPIC_EOI = 0xb0,
	LAPIC_LDR = 0xd0,
	LAPIC_DFR = 0xe0,
	LAPIC_SPIV = 0xf0,
	LAPIC_ESR = 0x280,
	LAPIC_LVT_CMCI = 0x2f0,
	LAPIC_ICR = 0x300,
	LAPIC_ICR2 = 0x310,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_ERROR = 0x370,
	LAPIC_TIMER_COUNT = 0x380,
	LAPIC_TIMER_CURRENT = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,
};

#define LVT_MASKED    (1u << 16)
#define VERSION_VALUE 0x50014u /* version 0x14, six LVT entries */

static u32 *reg_of(struct vcpu *vcpu, u32 offset)
{
	return &vcpu->lapic[offset / 16];
}

void vcpu_lapic_reset(struct vcpu *vcpu)
{
	memset(vcpu->lapic, 0, sizeof(vcpu->lapic));
	*reg_of(vcpu, LAPIC_ID) = vcpu->id << 24;
	*reg_of(vcpu, LAPIC_VERSION) = VERSION_VALUE;
	*reg_of(vcpu, LAPIC_DFR) = ~0u;
	*reg_of(vcpu, LAPIC_SPIV) = 0xff;
	for (u32 off = LAPIC_LVT_TIMER; off <= LAPIC_LVT_ERROR; off += 16)
		*reg_of(vcpu, off) = LVT_MASKED;
}

#define APIC_BASE_ENABLE BIT_ULL(11)

bool vcpu_lapic_covers(const struct vcpu *vcpu, gpa_t gpa)
{
	u64 base = vcpu->cpu->apic_base;

	return vcpu->vm->has_irqchip && (base & APIC_BASE_ENABLE) &&
	       align_down(gpa, PAGE_SIZE) == align_down(base, PAGE_SIZE);
}

/* ---- the guest's accesses ---------------------------------------------------- */

/* False: this write would have to deliver something. */
static bool write_reg(struct vcpu *vcpu, u32 offset, u32 value)
{
	switch (offset) {
	case LAPIC_ID:
	case LAPIC_LDR:
	case LAPIC_ICR2:
		*reg_of(vcpu, offset) = value & 0xff000000u;
		break;
	case LAPIC_TPR:
		*reg_of(vcpu, LAPIC_TPR) = value & 0xff;
		*reg_of(vcpu, LAPIC_PPR) = value & 0xff;
		vcpu->cpu->cr8 = (value & 0xff) >> 4;
		break;
	case LAPIC_DFR:
		*reg_of(vcpu, LAPIC_DFR) = value | 0x0fffffffu;
		break;
	case LAPIC_SPIV:
	case LAPIC_TIMER_DIVIDE:
		*reg_of(vcpu, offset) = value & 0x3ff;
		break;
	case LAPIC_ESR:
		*reg_of(vcpu, LAPIC_ESR) = 0;
		break;
	case LAPIC_ICR:
		return false;
	case LAPIC_TIMER_COUNT:
		return value == 0; /* 0 stops a timer that never started */
	default:
		if (offset >= LAPIC_LVT_TIMER && offset <= LAPIC_LVT_ERROR)
			*reg_of(vcpu, offset) = value & 0x317ff;
		break; /* read-only, or EOI with nothing in service */
	}
	return true;
}

static u32 read_reg(struct vcpu *vcpu, u32 offset)
{
	if (offset == LAPIC_TPR)
		return (u32)vcpu->cpu->cr8 << 4 | (*reg_of(vcpu, LAPIC_TPR) & 15);
	return offset == LAPIC_EOI || offset == LAPIC_TIMER_CURRENT ? 0 : *reg_of(vcpu, offset);
}

bool vcpu_lapic_access(struct vcpu *vcpu, struct x86_mmio_frag *frag, bool *unsupported)
{
	u32 offset = (u32)(frag->gpa & (PAGE_SIZE - 1));
	u32 value = 0;

	*unsupported = false;
	if (!vcpu_lapic_covers(vcpu, frag->gpa))
		return false;
	/* Registers are 32 bits wide at multiples of 16; other places ignore and read 0. */
	if (offset >= KVM_APIC_REG_SIZE) {
		if (!frag->is_write)
			memset(frag->data, 0, sizeof(frag->data));
		return true;
	}
	if (frag->is_write) {
		memcpy(&value, frag->data, frag->len < 4 ? frag->len : 4);
		*unsupported = !(offset & 15) && frag->len == 4 && !write_reg(vcpu, offset, value);
		return true;
	}
	value = read_reg(vcpu, offset & ~15u) >> (8 * (offset & 3));
	memset(frag->data, 0, sizeof(frag->data));
	memcpy(frag->data, &value, frag->len < 4 ? frag->len : 4);
	return true;
}

/* ---- the program's ----------------------------------------------------------- */

long do_get_lapic(struct ioctl_call *call)
{
	struct kvm_lapic_state *state = call->data;

	if (!call->vm->has_irqchip)
		return -EINVAL;
	for (u32 i = 0; i < LAPIC_REGS; i++) {
		u32 value = read_reg(call->vcpu, i * 16);

		memcpy(state->regs + i * 16, &value, sizeof(value));
	}
	return 0;
}

long do_set_lapic(struct ioctl_call *call)
{
	const struct kvm_lapic_state *state = call->data;
	struct vcpu *vcpu = call->vcpu;

	if (!call->vm->has_irqchip)
		return -EINVAL;
	for (u32 i = 0; i < LAPIC_REGS; i++)
		memcpy(&vcpu->lapic[i], state->regs + i * 16, sizeof(u32));
	/* What a saved state cannot change. */
	*reg_of(vcpu, LAPIC_VERSION) = VERSION_VALUE;
	vcpu->cpu->cr8 = (*reg_of(vcpu, LAPIC_TPR) & 0xff) >> 4;
	return 0;
}
