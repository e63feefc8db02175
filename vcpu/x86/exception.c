// SPDX-License-Identifier: BSD-2-Clause
/*
 * Raising exceptions and what happens when delivering one raises another (SDM
 * vol. 3, 7.15, table 7-5), and the exits that take the place of an
 * instruction.
 */
#include <string.h>

#include "vcpu/x86/core.h"
#include "vcpu/x86/debug.h"

enum severity {
	BENIGN,
	CONTRIBUTORY,
	PAGE_FAULT,
	DOUBLE_FAULT,
};

static enum severity severity_of(u8 vector)
{
	switch (vector) {
	case X86_DE:
	case X86_TS:
	case X86_NP:
	case X86_STACK:
	case X86_GP:
		return CONTRIBUTORY;
	case X86_PF:
		return PAGE_FAULT;
	case X86_DF:
		return DOUBLE_FAULT;
	default:
		return BENIGN;
	}
}

static bool makes_double_fault(enum severity first, enum severity second)
{
	if (first == CONTRIBUTORY)
		return second == CONTRIBUTORY;
	return first == PAGE_FAULT && (second == CONTRIBUTORY || second == PAGE_FAULT);
}

static _Noreturn void raise(struct x86_cpu *cpu, struct x86_event event)
{
	enum severity first = BENIGN, second = severity_of(event.vector);

	if (unlikely(cpu->debug.control))
		x86_debug_intercept(cpu, &event);
	if (cpu->run.delivering) {
		if (!cpu->run.delivering_external)
			first = severity_of(cpu->run.delivering_vector);
		else if (cpu->run.delivering_vector != X86_NMI)
			cpu->interrupt.pending = false; /* taken, and lost */
		cpu->run.delivering = false;
	}
	if (first == DOUBLE_FAULT && second != BENIGN) {
		cpu->exception.pending = false;
		x86_leave_to_user(cpu, X86_EXIT_SHUTDOWN);
	}
	if (makes_double_fault(first, second))
		event = (struct x86_event){.vector = X86_DF, .has_error_code = true};
	event.pending = true;
	cpu->exception = event;
	x86_unwind(cpu, X86_UNWIND_EVENT);
}

void x86_raise(struct x86_cpu *cpu, enum x86_exception vector)
{
	raise(cpu, (struct x86_event){.vector = (u8)vector});
}

void x86_raise_code(struct x86_cpu *cpu, enum x86_exception vector, u32 error_code)
{
	raise(cpu, (struct x86_event){
			   .vector = (u8)vector, .has_error_code = true, .error_code = error_code});
}

void x86_raise_pf(struct x86_cpu *cpu, u64 addr, u32 error_code)
{
	cpu->cr2 = addr;
	x86_raise_code(cpu, X86_PF, error_code);
}

void x86_soft_interrupt(struct x86_cpu *cpu, const struct x86_op *op, u8 vector, bool soft)
{
	cpu->op = op;
	cpu->poll_budget--; /* its delivery is what it does */
	raise(cpu, (struct x86_event){.vector = vector, .soft = soft, .insn_len = op->len});
}

/* The bytes of the instruction at cpu->op, as far as they can be had without a fault. */
static void save_bytes(struct x86_cpu *cpu)
{
	struct x86_emulation_failure *failure = &cpu->emulation;
	u64 linear = cpu->seg_base[X86_CS] + x86_op_rip(cpu, cpu->op);

	for (failure->nr_bytes = 0; failure->nr_bytes < cpu->op->len; failure->nr_bytes++) {
		u64 at = linear + failure->nr_bytes;
		struct x86_place place;

		if (!(cpu->mode & X86_MODE_CS64))
			at = (u32)at;
		place = x86_tlb_translate(cpu, at, X86_ACCESS_EXEC, x86_current_bank(cpu));
		if (place.mmio)
			return;
		failure->bytes[failure->nr_bytes] = *(const u8 *)hva_to_ptr(place.hva);
	}
}

void x86_unsupported(struct x86_cpu *cpu)
{
	memset(&cpu->emulation, 0, sizeof(cpu->emulation));
	cpu->emulation.in_delivery = cpu->run.delivering;
	cpu->emulation.vector = cpu->run.delivering_vector;
	if (cpu->op)
		save_bytes(cpu);
	x86_leave_to_user(cpu, X86_EXIT_EMULATION);
}

void x86_deliver_exception(struct x86_cpu *cpu)
{
	struct x86_event event = cpu->exception;

	/* What a delivery in real mode does not push. */
	if (!x86_protected(cpu) && !x86_vm86(cpu))
		event.has_error_code = false;
	cpu->run.delivering = true;
	cpu->run.delivering_vector = event.vector;
	cpu->run.delivering_external = false;
	x86_vector_through_idt(cpu, &event, false);
	cpu->run.delivering = false;
	cpu->exception.pending = false;
	cpu->sti_shadow = cpu->ss_shadow = false;
}
