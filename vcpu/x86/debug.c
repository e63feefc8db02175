// SPDX-License-Identifier: BSD-2-Clause
/* See debug.h. */
#include "vcpu/x86/core.h"
#include "vcpu/x86/debug.h"

/* DR7's R/W fields. */
enum watch_kind {
	WATCH_FETCH = 0,
	WATCH_WRITE = 1,
	WATCH_PORT = 2, /* with CR4.DE */
	WATCH_ACCESS = 3,
};

/* Those whose bit in DR7 is set, and what they say. */
static bool is_enabled(u64 dr7, unsigned int n)
{
	return dr7 >> (2 * n) & 3;
}

static enum watch_kind kind_of(u64 dr7, unsigned int n)
{
	return (enum watch_kind)(dr7 >> (16 + 4 * n) & 3);
}

/* The code 2 means eight bytes (SDM vol. 3, 18.2.4). */
static u64 length_of(u64 dr7, unsigned int n)
{
	static const u8 bytes[] = {1, 2, 8, 4};

	return bytes[dr7 >> (18 + 4 * n) & 3];
}

static u64 address_of(const struct x86_cpu *cpu, unsigned int n)
{
	return cpu->debug.control & X86_DEBUG_HW_BP ? cpu->debug.dr[n] : cpu->dr[n];
}

void x86_debug_changed(struct x86_cpu *cpu)
{
	struct x86_debug *debug = &cpu->debug;
	u64 dr7 = x86_debug_dr7(cpu);
	bool hid_pages = debug->watches_data;

	debug->watches_fetch = debug->watches_data = debug->watches_ports = false;
	for (unsigned int n = 0; n < 4; n++) {
		if (!is_enabled(dr7, n))
			continue;
		switch (kind_of(dr7, n)) {
		case WATCH_FETCH:
			debug->watches_fetch = true;
			break;
		case WATCH_PORT:
			debug->watches_ports |= (cpu->cr4 & X86_CR4_DE) != 0;
			break;
		case WATCH_WRITE:
		case WATCH_ACCESS:
			debug->watches_data = true;
			break;
		}
	}
	if (hid_pages || debug->watches_data)
		x86_flush_tlb(cpu);
}

/* ---- matching -------------------------------------------------------------------------- */

/* Lengths align addresses down (SDM vol. 3, 18.2.5). */
static bool touches(const struct x86_cpu *cpu, unsigned int n, u64 addr, u64 bytes)
{
	u64 length = length_of(x86_debug_dr7(cpu), n);
	u64 start = align_down(address_of(cpu, n), length);

	return addr < start + length && start < addr + bytes;
}

/* Bits of DR6 for the breakpoints of the kinds in @kinds that [addr, addr + bytes) touches. */
static u64 matching(const struct x86_cpu *cpu, u32 kinds, u64 addr, u64 bytes)
{
	u64 dr7 = x86_debug_dr7(cpu), hits = 0;

	for (unsigned int n = 0; n < 4; n++)
		if (is_enabled(dr7, n) && (kinds & (1u << kind_of(dr7, n))) &&
		    touches(cpu, n, addr, bytes))
			hits |= BIT_ULL(n);
	return hits;
}

bool x86_debug_hides_page(const struct x86_cpu *cpu, u64 page)
{
	return cpu->debug.watches_data &&
	       matching(cpu, 1u << WATCH_WRITE | 1u << WATCH_ACCESS, page, PAGE_SIZE);
}

/* ---- before the instruction -------------------------------------------------------------- */

/* RF says that this one has had its exception (SDM vol. 3, 18.3.1.1). */
void x86_debug_check_fetch(struct x86_cpu *cpu)
{
	u64 hits;

	if (!cpu->debug.watches_fetch || (cpu->rflags & X86_EFLAGS_RF))
		return;
	hits = matching(cpu, 1u << WATCH_FETCH, x86_linear_rip(cpu), 1);
	if (hits)
		x86_debug_fault(cpu, hits);
}

/* ---- during it ------------------------------------------------------------------------------ */

static void note(struct x86_cpu *cpu, u64 hits)
{
	/* What an event's delivery touches is not the program's doing. */
	if (!hits || cpu->run.delivering)
		return;
	if (!cpu->run.careful)
		x86_unwind(cpu, X86_UNWIND_ALONE);
	cpu->debug.hits |= hits;
}

void x86_debug_note_access(struct x86_cpu *cpu, u64 addr, u64 bytes, bool write)
{
	u32 kinds = 1u << WATCH_ACCESS | (write ? 1u << WATCH_WRITE : 0);

	if (unlikely(cpu->debug.watches_data))
		note(cpu, matching(cpu, kinds, addr, bytes));
}

void x86_debug_note_port(struct x86_cpu *cpu, u16 port, unsigned int bytes)
{
	if (unlikely(cpu->debug.watches_ports))
		note(cpu, matching(cpu, 1u << WATCH_PORT, port, bytes));
}

/* ---- telling --------------------------------------------------------------------------------- */

static bool outside_wants_db(const struct x86_cpu *cpu)
{
	return cpu->debug.control & (X86_DEBUG_STEP | X86_DEBUG_HW_BP);
}

static void fill_exit(struct x86_cpu *cpu, u8 exception, u64 dr6)
{
	cpu->debug.exit = (struct x86_debug_exit){
		.exception = exception,
		.pc = x86_linear_rip(cpu),
		.dr6 = dr6 | X86_DR6_FIXED,
		.dr7 = x86_debug_dr7(cpu),
	};
}

/* The four bits say what happened now, the others what has happened. */
static void set_dr6(struct x86_cpu *cpu, u64 bits)
{
	cpu->dr[6] = (cpu->dr[6] & ~15ull) | bits;
}

void x86_debug_trap(struct x86_cpu *cpu, u64 dr6)
{
	if (outside_wants_db(cpu)) {
		fill_exit(cpu, X86_DB, dr6);
		cpu->exit = X86_EXIT_DEBUG;
		return;
	}
	set_dr6(cpu, dr6);
	cpu->exception = (struct x86_event){.pending = true, .vector = X86_DB};
}

void x86_debug_fault(struct x86_cpu *cpu, u64 dr6)
{
	if (outside_wants_db(cpu)) {
		if (cpu->op)
			cpu->regs[X86_REG_RIP] = x86_wrap_rip(cpu, x86_op_rip(cpu, cpu->op));
		cpu->op = NULL;
		fill_exit(cpu, X86_DB, dr6);
		x86_leave_to_user(cpu, X86_EXIT_DEBUG);
	}
	set_dr6(cpu, dr6);
	x86_raise(cpu, X86_DB);
}

/* INT3, a fault to a debugger, and INT1, a trap; not INT n with their numbers. */
void x86_debug_intercept(struct x86_cpu *cpu, const struct x86_event *event)
{
	bool int3 = event->vector == X86_BP && event->insn_len == 1;
	bool int1 = event->vector == X86_DB && event->insn_len && !event->soft;
	u64 rip = cpu->op ? x86_op_rip(cpu, cpu->op) : cpu->regs[X86_REG_RIP];

	if (!(int3 && (cpu->debug.control & X86_DEBUG_SW_BP)) && !(int1 && outside_wants_db(cpu)))
		return;
	if (int1)
		rip += event->insn_len;
	cpu->op = NULL;
	cpu->regs[X86_REG_RIP] = x86_wrap_rip(cpu, rip);
	fill_exit(cpu, event->vector, 0);
	x86_leave_to_user(cpu, X86_EXIT_DEBUG);
}
