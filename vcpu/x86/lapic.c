/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC: life, and interrupts from IRR through ISR to EOI (SDM vol.
 * 3, 11.8).
 */
#include <string.h>

#include "vcpu/x86/core.h"
#include "vcpu/x86/lapic.h"

#include "vcpu/x86/smm.h"

/* ---- vectors ------------------------------------------------------------------------------ */

static u32 *vector_word(const struct x86_cpu *cpu, enum x86_lapic_reg first, u8 vector)
{
	return x86_lapic_reg(cpu, (u32)first + vector / 32u * 16);
}

static void set_vector(struct x86_cpu *cpu, enum x86_lapic_reg first, u8 vector)
{
	atomic_or(vector_word(cpu, first, vector), 1u << (vector % 32));
}

static void clear_vector(struct x86_cpu *cpu, enum x86_lapic_reg first, u8 vector)
{
	atomic_and(vector_word(cpu, first, vector), ~(1u << (vector % 32)));
}

static bool test_vector(const struct x86_cpu *cpu, enum x86_lapic_reg first, u8 vector)
{
	return atomic_peek(vector_word(cpu, first, vector)) & (1u << (vector % 32));
}

static int highest_vector(const struct x86_cpu *cpu, enum x86_lapic_reg first)
{
	for (int word = 7; word >= 0; word--) {
		u32 bits = atomic_peek(x86_lapic_reg(cpu, (u32)first + (u32)word * 16));

		if (bits)
			return word * 32 + 31 - __builtin_clz(bits);
	}
	return -1;
}

/* ---- from IRR to ISR ---------------------------------------------------------------------- */

/*
 * irr_pending spares the scan.  The CPU clears it and then looks again; whoever
 * raises sets the bit of IRR first and then the flag.  So either the second
 * look finds the bit, or the flag is set after it was cleared.
 */
static int highest_irr(struct x86_cpu *cpu)
{
	struct x86_lapic *lapic = cpu->lapic;
	int vector;

	if (!atomic_peek(&lapic->irr_pending))
		return -1;
	vector = highest_vector(cpu, X86_LAPIC_IRR);
	if (vector >= 0)
		return vector;
	atomic_poke(&lapic->irr_pending, false);
	barrier_full(); /* pairs with the atomic_or() in x86_lapic_raise() */
	vector = highest_vector(cpu, X86_LAPIC_IRR);
	if (vector >= 0)
		atomic_poke(&lapic->irr_pending, true);
	return vector;
}

/* SDM vol. 3, 11.8.3.1. */
static u32 update_ppr(struct x86_cpu *cpu)
{
	u32 tpr = *x86_lapic_reg(cpu, X86_LAPIC_TPR) & 0xff;
	int in_service = highest_vector(cpu, X86_LAPIC_ISR);
	u32 isr = in_service < 0 ? 0 : (u32)in_service & 0xf0;
	u32 ppr = (tpr & 0xf0) >= isr ? tpr : isr;

	*x86_lapic_reg(cpu, X86_LAPIC_PPR) = ppr;
	return ppr;
}

int x86_lapic_highest(struct x86_cpu *cpu)
{
	u32 ppr = update_ppr(cpu);
	int vector;

	if (!(cpu->apic_base & X86_APIC_BASE_ENABLE))
		return -1;
	vector = highest_irr(cpu);
	return vector >= 0 && ((u32)vector & 0xf0) > (ppr & 0xf0) ? vector : -1;
}

bool x86_lapic_has_vector(const struct x86_cpu *cpu, u8 vector)
{
	return cpu->lapic &&
	       (test_vector(cpu, X86_LAPIC_IRR, vector) || test_vector(cpu, X86_LAPIC_ISR, vector));
}

u32 x86_lapic_priorities(const struct x86_cpu *cpu)
{
	int in_service = highest_vector(cpu, X86_LAPIC_ISR);
	int waiting = highest_vector(cpu, X86_LAPIC_IRR);
	u32 word = *x86_lapic_reg(cpu, X86_LAPIC_TPR) & 0xff;

	if (in_service > 0)
		word |= ((u32)in_service & 0xf0) << 8;
	if (waiting > 0)
		word |= (u32)waiting << 24;
	return word;
}

void x86_lapic_accept(struct x86_cpu *cpu, u8 vector)
{
	clear_vector(cpu, X86_LAPIC_IRR, vector);
	set_vector(cpu, X86_LAPIC_ISR, vector);
	update_ppr(cpu);
}

void x86_lapic_eoi(struct x86_cpu *cpu)
{
	const struct x86_machine *machine = cpu->machine;
	int vector = highest_vector(cpu, X86_LAPIC_ISR);

	if (vector < 0)
		return;
	clear_vector(cpu, X86_LAPIC_ISR, (u8)vector);
	update_ppr(cpu);
	if (test_vector(cpu, X86_LAPIC_TMR, (u8)vector) &&
	    !(*x86_lapic_reg(cpu, X86_LAPIC_SPIV) & X86_SPIV_NO_EOI_MSG) && machine->ops->eoi)
		machine->ops->eoi(cpu, (u8)vector);
}

/* ---- delivery to one CPU -------------------------------------------------------------------- */

static void notify(struct x86_cpu *cpu)
{
	kvm_make_request(&cpu->vcpu, KVM_REQ_EVENT);
	cpu->machine->ops->wake(cpu);
}

void x86_lapic_raise(struct x86_cpu *cpu, u8 vector, bool level)
{
	if (level)
		set_vector(cpu, X86_LAPIC_TMR, vector);
	else
		clear_vector(cpu, X86_LAPIC_TMR, vector);
	set_vector(cpu, X86_LAPIC_IRR, vector);
	atomic_publish(&cpu->lapic->irr_pending, true);
	notify(cpu);
}

/* SDM vol. 3, 11.8: LINT0 as a wire, or no APIC in the way. */
bool x86_lapic_passes_extint(const struct x86_cpu *cpu)
{
	u32 lint0 = atomic_peek(x86_lapic_reg(cpu, X86_LAPIC_LVT_LINT0));

	if (!(atomic_peek(&cpu->apic_base) & X86_APIC_BASE_ENABLE))
		return true;
	return !(lint0 & X86_LVT_MASKED) && ((lint0 >> 8) & 7) == X86_DELIVER_EXTINT;
}

void x86_lapic_notify_extint(struct x86_cpu *cpu)
{
	if (cpu->lapic && x86_lapic_passes_extint(cpu))
		notify(cpu);
}

static void raise_event(struct x86_cpu *cpu, enum x86_lapic_event event)
{
	atomic_or(&cpu->lapic->events, (u32)event);
	notify(cpu);
}

bool x86_lapic_take_msg(struct x86_cpu *cpu, const struct x86_irq_msg *msg)
{
	switch ((enum x86_delivery)msg->delivery) {
	case X86_DELIVER_FIXED:
	case X86_DELIVER_LOWEST:
		if ((msg->level && msg->deassert) || !x86_lapic_software_enabled(cpu))
			return false;
		x86_lapic_raise(cpu, msg->vector, msg->level);
		return true;
	case X86_DELIVER_NMI:
		raise_event(cpu, X86_LAPIC_EVENT_NMI);
		return true;
	case X86_DELIVER_INIT:
		/* The de-assertion is for arbitration ids that no longer exist. */
		if (msg->level && msg->deassert)
			return false;
		raise_event(cpu, X86_LAPIC_EVENT_INIT);
		return true;
	case X86_DELIVER_SIPI:
		atomic_poke(&cpu->lapic->sipi_vector, msg->vector);
		raise_event(cpu, X86_LAPIC_EVENT_SIPI);
		return true;
	case X86_DELIVER_UNHALT:
		raise_event(cpu, X86_LAPIC_EVENT_UNHALT);
		return true;
	case X86_DELIVER_SMI:
		raise_event(cpu, X86_LAPIC_EVENT_SMI);
		return true;
	case X86_DELIVER_EXTINT: /* the 8259's, which reaches the CPU by its own line */
		break;
	}
	return false;
}

void x86_lapic_raise_lvt(struct x86_cpu *cpu, enum x86_lapic_reg lvt)
{
	u32 entry = *x86_lapic_reg(cpu, lvt);
	const struct x86_irq_msg msg = {
		.vector = (u8)entry,
		.delivery = (entry >> 8) & 7,
		.level = entry & BIT_ULL(15),
	};

	if ((cpu->apic_base & X86_APIC_BASE_ENABLE) && !(entry & X86_LVT_MASKED))
		x86_lapic_take_msg(cpu, &msg);
}

/* ---- INIT, SIPI, NMI -------------------------------------------------------------------- */

/* SDM vol. 3, 9.4: an INIT makes a processor wait for the message that says where to start. */
static void take_init(struct x86_cpu *cpu)
{
	x86_cpu_reset(cpu, true);
	cpu->mp_state = cpu->apic_base & X86_APIC_BASE_BSP ? X86_MP_RUNNABLE : X86_MP_INIT_RECEIVED;
}

static void take_sipi(struct x86_cpu *cpu, u8 vector)
{
	struct x86_segment cs = cpu->seg[X86_CS];

	if (cpu->mp_state != X86_MP_INIT_RECEIVED)
		return;
	cs.selector = (u16)(vector << 8);
	cs.base = (u64)vector << 12;
	cpu->seg[X86_CS] = cs;
	cpu->regs[X86_REG_RIP] = 0;
	cpu->mp_state = X86_MP_RUNNABLE;
	x86_cpu_state_changed(cpu);
}

void x86_lapic_collect(struct x86_cpu *cpu)
{
	const u32 ours = X86_LAPIC_EVENT_NMI | X86_LAPIC_EVENT_SMI;
	u32 events = atomic_and(&cpu->lapic->events, ~ours);

	cpu->nmi_pending |= (events & X86_LAPIC_EVENT_NMI) != 0;
	cpu->smi_pending |= (events & X86_LAPIC_EVENT_SMI) != 0;
}

void x86_lapic_serve_events(struct x86_cpu *cpu)
{
	u32 events;

	x86_lapic_collect(cpu);
	/* SMM blocks INIT, which waits; a SIPI means nothing to who does not wait for it. */
	events = atomic_and(&cpu->lapic->events, x86_in_smm(cpu) ? (u32)X86_LAPIC_EVENT_INIT : 0u);
	if (events & X86_LAPIC_EVENT_UNHALT)
		cpu->lapic->unhalted = true;
	if (x86_in_smm(cpu))
		return;
	if (events & X86_LAPIC_EVENT_INIT)
		take_init(cpu);
	if (events & X86_LAPIC_EVENT_SIPI)
		take_sipi(cpu, atomic_peek(&cpu->lapic->sipi_vector));
}

/* ---- life ------------------------------------------------------------------------------- */

int x86_lapic_create(struct x86_cpu *cpu)
{
	cpu->lapic = mmu_host_alloc(SITE_lapic, sizeof(*cpu->lapic));
	if (!cpu->lapic)
		return -ENOMEM;
	x86_lapic_reset(cpu, false);
	return 0;
}

void x86_lapic_destroy(struct x86_cpu *cpu)
{
	mmu_host_free(cpu->lapic);
	cpu->lapic = NULL;
}
