/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC's timer (SDM vol. 3, 11.5.4): one-shot, periodic and TSC
 * deadline.
 *
 * Nothing ticks: a running timer is a deadline on the machine's clock, which
 * the CPU compares with the time now and then, and its owner while it sleeps.
 */
#include "vcpu/x86/core.h"
#include "vcpu/x86/lapic.h"

enum timer_mode {
	TIMER_ONESHOT = 0,
	TIMER_PERIODIC = 1,
	TIMER_TSC_DEADLINE = 2,
};

#define NS_PER_MS 1000000ull
/* A guest must not be able to keep its host busy with interrupts alone. */
#define SHORTEST_PERIOD_NS 200000ull

static enum timer_mode mode_of(u32 lvt)
{
	return (enum timer_mode)((lvt >> 17) & 3);
}

static enum timer_mode current_mode(const struct x86_cpu *cpu)
{
	return mode_of(*x86_lapic_reg(cpu, X86_LAPIC_LVT_TIMER));
}

/* Bits 0, 1 and 3 of the divide register; 7 means no division. */
static u64 tick_ns(const struct x86_cpu *cpu)
{
	u32 divide = *x86_lapic_reg(cpu, X86_LAPIC_TIMER_DIVIDE);
	u32 lg2 = (((divide & 3) | (divide & 8) >> 1) + 1) & 7;

	return (u64)cpu->machine->apic_bus_ns << lg2;
}

static u64 now(const struct x86_cpu *cpu)
{
	return cpu->machine->ops->now_ns();
}

u32 x86_lapic_timer_current(const struct x86_cpu *cpu)
{
	u64 deadline = cpu->lapic->timer_deadline, at = now(cpu);

	if (!deadline || current_mode(cpu) == TIMER_TSC_DEADLINE)
		return 0;
	/* Between its end and the CPU's next look a periodic one is already in the next period. */
	if (at >= deadline && cpu->lapic->timer_period)
		deadline +=
			((at - deadline) / cpu->lapic->timer_period + 1) * cpu->lapic->timer_period;
	return at >= deadline ? 0 : (u32)((deadline - at) / tick_ns(cpu));
}

void x86_lapic_timer_start(struct x86_cpu *cpu, u32 count)
{
	struct x86_lapic *lapic = cpu->lapic;

	lapic->timer_deadline = lapic->timer_period = 0;
	if (!count || current_mode(cpu) == TIMER_TSC_DEADLINE)
		return;
	if (current_mode(cpu) == TIMER_PERIODIC)
		lapic->timer_period =
			max_u64(*x86_lapic_reg(cpu, X86_LAPIC_TIMER_INITIAL) * tick_ns(cpu),
				SHORTEST_PERIOD_NS);
	lapic->timer_deadline = now(cpu) + count * tick_ns(cpu);
}

/* A change to or from the deadline mode stops the timer (SDM vol. 3, 11.5.4.1). */
void x86_lapic_timer_set_mode(struct x86_cpu *cpu, u32 lvt)
{
	struct x86_lapic *lapic = cpu->lapic;
	enum timer_mode old = current_mode(cpu), new = mode_of(lvt);

	*x86_lapic_reg(cpu, X86_LAPIC_LVT_TIMER) = lvt;
	if (old == new)
		return;
	if (old == TIMER_TSC_DEADLINE || new == TIMER_TSC_DEADLINE) {
		*x86_lapic_reg(cpu, X86_LAPIC_TIMER_INITIAL) = 0;
		lapic->timer_deadline = lapic->timer_period = lapic->tsc_deadline = 0;
		return;
	}
	lapic->timer_period =
		new == TIMER_PERIODIC
			? max_u64(*x86_lapic_reg(cpu, X86_LAPIC_TIMER_INITIAL) * tick_ns(cpu),
				  SHORTEST_PERIOD_NS)
			: 0;
}

/* The count goes on from where it is, at the new speed. */
void x86_lapic_timer_set_divide(struct x86_cpu *cpu, u32 divide)
{
	u32 count = x86_lapic_timer_current(cpu);

	*x86_lapic_reg(cpu, X86_LAPIC_TIMER_DIVIDE) = divide & 0xb;
	if (count)
		x86_lapic_timer_start(cpu, count);
}

/* ---- deadline mode -------------------------------------------------------------------- */

u64 x86_lapic_get_tsc_deadline(const struct x86_cpu *cpu)
{
	return current_mode(cpu) == TIMER_TSC_DEADLINE ? cpu->lapic->tsc_deadline : 0;
}

void x86_lapic_set_tsc_deadline(struct x86_cpu *cpu, u64 tsc)
{
	struct x86_lapic *lapic = cpu->lapic;
	u64 left;

	if (current_mode(cpu) != TIMER_TSC_DEADLINE)
		return;
	lapic->tsc_deadline = tsc;
	lapic->timer_deadline = 0;
	if (!tsc)
		return;
	left = tsc - x86_read_tsc(cpu);
	if ((s64)left < 0)
		left = 0;
	lapic->timer_deadline =
		now(cpu) + (u64)((unsigned __int128)left * NS_PER_MS / cpu->tsc_khz);
}

/* ---- the end -------------------------------------------------------------------------- */

void x86_lapic_timer_poll(struct x86_cpu *cpu)
{
	struct x86_lapic *lapic = cpu->lapic;
	u64 at;

	if (!lapic->timer_deadline)
		return;
	at = now(cpu);
	if (at < lapic->timer_deadline)
		return;
	/* Periods that nobody looked at are one interrupt. */
	if (lapic->timer_period)
		lapic->timer_deadline += ((at - lapic->timer_deadline) / lapic->timer_period + 1) *
					 lapic->timer_period;
	else
		lapic->timer_deadline = 0;
	lapic->tsc_deadline = 0;
	x86_lapic_raise_lvt(cpu, X86_LAPIC_LVT_TIMER);
}
