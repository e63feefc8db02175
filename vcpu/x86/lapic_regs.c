/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's registers as the guest and the owner see them: the page of
 * xAPIC mode (SDM vol. 3, 11.4.1), the MSRs of x2APIC mode (11.12), and the
 * base register that chooses between them.
 */
#include <string.h>

#include "vcpu/x86/core.h"
#include "vcpu/x86/lapic.h"

#define VERSION	 0x14u
#define ICR_BUSY (1u << 12)

/* Vector, pending and mask; delivery mode; what an external pin has besides. */
#define LVT_BASIC	0x110ffu
#define LVT_DELIVERY	0x700u
#define LVT_PIN		0xe000u
#define LVT_TIMER_MODES 0x60000u

static u32 read_reg32(const struct x86_cpu *cpu, u32 offset)
{
	return atomic_peek(x86_lapic_reg(cpu, offset));
}

static void write_reg32(struct x86_cpu *cpu, u32 offset, u32 value)
{
	atomic_poke(x86_lapic_reg(cpu, offset), value);
}

/* ---- ids ---------------------------------------------------------------------------------- */

/* SDM vol. 3, 11.12.10.2: the logical id of x2APIC mode follows from the other. */
static u32 x2apic_ldr(u32 id)
{
	return (id >> 4) << 16 | 1u << (id & 15);
}

static void set_ids(struct x86_cpu *cpu)
{
	u32 id = cpu->vcpu.vcpu_id;

	if (x86_lapic_is_x2apic(cpu)) {
		write_reg32(cpu, X86_LAPIC_ID, id);
		write_reg32(cpu, X86_LAPIC_LDR, x2apic_ldr(id));
	} else {
		write_reg32(cpu, X86_LAPIC_ID, id << 24);
	}
}

/* ---- the local vector table --------------------------------------------------------------- */

/* With the highest number of an entry. */
static void write_version(struct x86_cpu *cpu)
{
	write_reg32(cpu, X86_LAPIC_VERSION, VERSION | (cpu->lapic->has_cmci ? 6u : 5u) << 16);
}

void x86_lapic_set_cmci(struct x86_cpu *cpu, bool there)
{
	if (!cpu->lapic)
		return;
	cpu->lapic->has_cmci = there;
	write_reg32(cpu, X86_LAPIC_LVT_CMCI, there ? X86_LVT_MASKED : 0);
	write_version(cpu);
}

/* ---- the interrupt command register ------------------------------------------------------- */

static void send_icr(struct x86_cpu *cpu, u32 low, u32 dest, bool x2apic)
{
	const struct x86_irq_msg msg = {
		.dest = dest,
		.vector = (u8)low,
		.delivery = (low >> 8) & 7,
		.logical = low & BIT_ULL(11),
		.deassert = !(low & BIT_ULL(14)),
		.level = low & BIT_ULL(15),
		.shorthand = (low >> 18) & 3,
		.x2apic_ids = x2apic,
		.from = cpu,
	};

	x86_lapic_send(cpu->vcpu.kvm, &msg);
}

/* ---- writing ------------------------------------------------------------------------------ */

static void mask_all_lvts(struct x86_cpu *cpu)
{
	for (u32 lvt = X86_LAPIC_LVT_TIMER; lvt <= X86_LAPIC_LVT_ERROR; lvt += 16)
		*x86_lapic_reg(cpu, lvt) |= X86_LVT_MASKED;
	if (cpu->lapic->has_cmci)
		*x86_lapic_reg(cpu, X86_LAPIC_LVT_CMCI) |= X86_LVT_MASKED;
}

static u32 lvt_bits(u32 offset)
{
	switch (offset) {
	case X86_LAPIC_LVT_TIMER:
		return LVT_BASIC | LVT_TIMER_MODES;
	case X86_LAPIC_LVT_LINT0:
	case X86_LAPIC_LVT_LINT1:
		return LVT_BASIC | LVT_DELIVERY | LVT_PIN;
	case X86_LAPIC_LVT_ERROR:
		return LVT_BASIC;
	default:
		return LVT_BASIC | LVT_DELIVERY;
	}
}

static void write_lvt(struct x86_cpu *cpu, u32 offset, u32 value)
{
	value &= lvt_bits(offset);
	if (!x86_lapic_software_enabled(cpu))
		value |= X86_LVT_MASKED;
	if (offset == X86_LAPIC_LVT_TIMER)
		x86_lapic_timer_set_mode(cpu, value);
	else
		write_reg32(cpu, offset, value);
}

void x86_lapic_set_tpr(struct x86_cpu *cpu, u32 value)
{
	write_reg32(cpu, X86_LAPIC_TPR, value & 0xff);
	cpu->cr8 = (value & 0xff) >> 4;
}

static void write_spiv(struct x86_cpu *cpu, u32 value)
{
	write_reg32(cpu, X86_LAPIC_SPIV, value & 0x3ff);
	if (!(value & X86_SPIV_ENABLED))
		mask_all_lvts(cpu);
}

/* What both modes have in common; false: no such register, or a read-only one. */
static bool write_reg(struct x86_cpu *cpu, u32 offset, u32 value)
{
	switch (offset) {
	case X86_LAPIC_TPR:
		x86_lapic_set_tpr(cpu, value);
		return true;
	case X86_LAPIC_EOI:
		x86_lapic_eoi(cpu);
		return true;
	case X86_LAPIC_SPIV:
		write_spiv(cpu, value);
		return true;
	case X86_LAPIC_ESR:
		write_reg32(cpu, offset, 0);
		return true;
	case X86_LAPIC_LVT_CMCI:
		if (cpu->lapic->has_cmci)
			write_lvt(cpu, offset, value);
		return cpu->lapic->has_cmci;
	case X86_LAPIC_LVT_TIMER:
	case X86_LAPIC_LVT_THERMAL:
	case X86_LAPIC_LVT_PERF:
	case X86_LAPIC_LVT_LINT0:
	case X86_LAPIC_LVT_LINT1:
	case X86_LAPIC_LVT_ERROR:
		write_lvt(cpu, offset, value);
		return true;
	case X86_LAPIC_TIMER_INITIAL:
		write_reg32(cpu, offset, value);
		x86_lapic_timer_start(cpu, value);
		return true;
	case X86_LAPIC_TIMER_DIVIDE:
		x86_lapic_timer_set_divide(cpu, value);
		return true;
	default:
		return false;
	}
}

static void write_xapic(struct x86_cpu *cpu, u32 offset, u32 value)
{
	switch (offset) {
	case X86_LAPIC_ID:
	case X86_LAPIC_LDR:
	case X86_LAPIC_ICR2:
		write_reg32(cpu, offset, value & 0xff000000u);
		break;
	case X86_LAPIC_DFR:
		write_reg32(cpu, offset, value | 0x0fffffffu);
		break;
	case X86_LAPIC_ICR:
		write_reg32(cpu, offset, value & ~ICR_BUSY);
		send_icr(cpu, value, read_reg32(cpu, X86_LAPIC_ICR2) >> 24, false);
		break;
	default:
		/* Writes to read-only registers are dropped. */
		write_reg(cpu, offset, value);
	}
}

/* ---- reading -------------------------------------------------------------------------------- */

static u32 read_reg(const struct x86_cpu *cpu, u32 offset)
{
	switch (offset) {
	case X86_LAPIC_EOI:
		return 0;
	case X86_LAPIC_TIMER_CURRENT:
		return x86_lapic_timer_current(cpu);
	default:
		return read_reg32(cpu, offset);
	}
}

/* ---- the page ------------------------------------------------------------------------------- */

static void report(struct x86_cpu *cpu, u32 offset, bool is_write)
{
	const struct x86_machine_ops *ops = cpu->machine->ops;

	if ((offset & ~15u) == X86_LAPIC_TPR && ops->tpr_accessed)
		ops->tpr_accessed(cpu, is_write);
}

/* Registers are 32 bits wide at multiples of 16; between them and behind is nothing. */
void x86_lapic_mmio_read(struct x86_cpu *cpu, gpa_t gpa, void *buf, unsigned int bytes)
{
	u32 offset = (u32)(gpa & ~PAGE_MASK);
	u32 value = 0;

	report(cpu, offset, false);
	if (offset < X86_LAPIC_PAGE_BYTES && (offset & 15) + bytes <= 4)
		value = read_reg(cpu, offset & ~15u) >> 8 * (offset & 3);
	memset(buf, 0, bytes);
	memcpy(buf, &value, bytes < 4 ? bytes : 4);
}

void x86_lapic_mmio_write(struct x86_cpu *cpu, gpa_t gpa, const void *buf, unsigned int bytes)
{
	u32 offset = (u32)(gpa & ~PAGE_MASK);
	u32 value;

	if (offset >= X86_LAPIC_PAGE_BYTES || (offset & 15) || bytes < 4)
		return;
	memcpy(&value, buf, 4);
	report(cpu, offset, true);
	write_xapic(cpu, offset, value);
}

/* ---- x2APIC: MSRs ----------------------------------------------------------------------- */

/* Those that can be read; ISR, TMR and IRR are ranges. */
static bool x2apic_readable(const struct x86_cpu *cpu, u32 offset)
{
	if (offset == X86_LAPIC_LVT_CMCI)
		return cpu->lapic->has_cmci;
	if (offset >= X86_LAPIC_ISR && offset < X86_LAPIC_ESR)
		return true;
	switch (offset) {
	case X86_LAPIC_ID:
	case X86_LAPIC_VERSION:
	case X86_LAPIC_TPR:
	case X86_LAPIC_PPR:
	case X86_LAPIC_LDR:
	case X86_LAPIC_SPIV:
	case X86_LAPIC_ESR:
	case X86_LAPIC_ICR:
	case X86_LAPIC_TIMER_INITIAL:
	case X86_LAPIC_TIMER_CURRENT:
	case X86_LAPIC_TIMER_DIVIDE:
		return true;
	default:
		return offset >= X86_LAPIC_LVT_TIMER && offset <= X86_LAPIC_LVT_ERROR;
	}
}

int x86_lapic_get_msr(struct x86_cpu *cpu, u32 index, u64 *value)
{
	u32 offset = (index - X86_MSR_X2APIC_FIRST) * 16;

	*value = 0;
	if (!cpu->lapic || !x86_lapic_is_x2apic(cpu) || !x2apic_readable(cpu, offset))
		return -EINVAL;
	*value = read_reg(cpu, offset);
	if (offset == X86_LAPIC_ICR)
		*value |= (u64)read_reg32(cpu, X86_LAPIC_ICR2) << 32;
	return 0;
}

/* SDM vol. 3, 11.12.9: the one register of 64 bits. */
static int write_x2apic_icr(struct x86_cpu *cpu, u64 value)
{
	const u64 reserved = GENMASK_ULL(31, 20) | GENMASK_ULL(17, 16) | BIT_ULL(13);

	if (value & reserved)
		return -EINVAL;
	value &= ~(u64)ICR_BUSY;
	write_reg32(cpu, X86_LAPIC_ICR, (u32)value);
	write_reg32(cpu, X86_LAPIC_ICR2, (u32)(value >> 32));
	send_icr(cpu, (u32)value, (u32)(value >> 32), true);
	return 0;
}

int x86_lapic_set_msr(struct x86_cpu *cpu, u32 index, u64 value)
{
	u32 offset = (index - X86_MSR_X2APIC_FIRST) * 16;

	if (!cpu->lapic || !x86_lapic_is_x2apic(cpu))
		return -EINVAL;
	if (offset == X86_LAPIC_ICR)
		return write_x2apic_icr(cpu, value);
	if (value >> 32)
		return -EINVAL;
	switch (offset) {
	case X86_LAPIC_SELF_IPI:
		if (value > 0xff)
			return -EINVAL;
		send_icr(cpu, (u32)value | X86_SHORTHAND_SELF << 18, 0, true);
		return 0;
	case X86_LAPIC_TPR:
		if (value > 0xff)
			return -EINVAL;
		break;
	case X86_LAPIC_EOI:
	case X86_LAPIC_ESR:
		if (value)
			return -EINVAL;
		break;
	default:
		break;
	}
	return write_reg(cpu, offset, (u32)value) ? 0 : -EINVAL;
}

void x86_set_cr8(struct x86_cpu *cpu, u64 value)
{
	cpu->cr8 = value & 15;
	if (cpu->lapic)
		write_reg32(cpu, X86_LAPIC_TPR, (u32)cpu->cr8 << 4);
}

/* ---- the base register ------------------------------------------------------------------ */

enum apic_mode {
	APIC_DISABLED,
	APIC_INVALID, /* x2APIC without the enable bit */
	APIC_XAPIC,
	APIC_X2APIC,
};

static enum apic_mode mode_of(u64 base)
{
	if (base & X86_APIC_BASE_ENABLE)
		return base & X86_APIC_BASE_X2APIC ? APIC_X2APIC : APIC_XAPIC;
	return base & X86_APIC_BASE_X2APIC ? APIC_INVALID : APIC_DISABLED;
}

bool x86_apic_base_valid(const struct x86_cpu *cpu, u64 value)
{
	const struct x86_cpuid_entry *leaf1 = x86_find_cpuid(cpu, 1, 0);
	u64 allowed = X86_APIC_BASE_BSP | X86_APIC_BASE_ENABLE;

	if (cpu->maxphyaddr > PAGE_SHIFT)
		allowed |= GENMASK_ULL(cpu->maxphyaddr - 1, PAGE_SHIFT);
	if (leaf1 && (leaf1->ecx & BIT_ULL(21)))
		allowed |= X86_APIC_BASE_X2APIC;
	return !(value & ~allowed) && mode_of(value) != APIC_INVALID;
}

/* SDM vol. 3, figure 11-27: from x2APIC only to disabled, from there only to xAPIC. */
static bool change_allowed(enum apic_mode from, enum apic_mode to)
{
	return !(from == APIC_X2APIC && to == APIC_XAPIC) &&
	       !(from == APIC_DISABLED && to == APIC_X2APIC);
}

int x86_set_apic_base(struct x86_cpu *cpu, u64 value, bool host)
{
	u64 old = cpu->apic_base;

	if (!x86_apic_base_valid(cpu, value) ||
	    (!host && !change_allowed(mode_of(old), mode_of(value))))
		return -EINVAL;
	atomic_poke(&cpu->apic_base, value);
	if (cpu->lapic && mode_of(value) != mode_of(old))
		set_ids(cpu);
	/* The page may have moved to where memory is known to be, or from there. */
	if ((value ^ old) & ~X86_APIC_BASE_BSP)
		x86_flush_tlb(cpu);
	return 0;
}

/* ---- reset ------------------------------------------------------------------------------ */

/* SDM vol. 3, 11.4.7.1; INIT keeps the base and, in xAPIC mode, the id (11.4.7.3). */
void x86_lapic_reset(struct x86_cpu *cpu, bool init)
{
	u32 id = read_reg32(cpu, X86_LAPIC_ID);

	for (u32 i = 0; i < X86_LAPIC_WORDS; i++)
		write_reg32(cpu, i * 16, 0);
	if (init)
		write_reg32(cpu, X86_LAPIC_ID, id);
	if (!init || x86_lapic_is_x2apic(cpu))
		set_ids(cpu);
	write_version(cpu);
	write_reg32(cpu, X86_LAPIC_DFR, ~0u);
	write_reg32(cpu, X86_LAPIC_SPIV, 0xff);
	mask_all_lvts(cpu);
	/* What firmware would do, for programs without: the 8259's line is open. */
	if (!init && (cpu->apic_base & X86_APIC_BASE_BSP) &&
	    x86_has_quirk(cpu->machine, X86_QUIRK_LINT0_REENABLED))
		write_reg32(cpu, X86_LAPIC_LVT_LINT0, X86_DELIVER_EXTINT << 8);
	cpu->lapic->timer_deadline = cpu->lapic->timer_period = cpu->lapic->tsc_deadline = 0;
	cpu->lapic->unhalted = false;
	cpu->cr8 = 0;
}

/* ---- saving and loading --------------------------------------------------------------------- */

void x86_lapic_save(struct x86_cpu *cpu, u32 regs[X86_LAPIC_WORDS])
{
	for (u32 i = 0; i < X86_LAPIC_WORDS; i++)
		regs[i] = read_reg(cpu, i * 16);
}

void x86_lapic_load(struct x86_cpu *cpu, const u32 regs[X86_LAPIC_WORDS])
{
	for (u32 i = 0; i < X86_LAPIC_WORDS; i++)
		write_reg32(cpu, i * 16, regs[i]);
	if (x86_lapic_is_x2apic(cpu))
		set_ids(cpu);
	write_version(cpu);
	write_reg32(cpu, X86_LAPIC_TIMER_CURRENT, 0);
	cpu->cr8 = (read_reg32(cpu, X86_LAPIC_TPR) & 0xff) >> 4;
	atomic_poke(&cpu->lapic->irr_pending, true);
	x86_lapic_timer_start(cpu, regs[X86_LAPIC_TIMER_CURRENT / 16]);
	kvm_make_request(&cpu->vcpu, KVM_REQ_EVENT);
}
