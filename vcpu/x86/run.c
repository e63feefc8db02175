// SPDX-License-Identifier: BSD-2-Clause
/*
 * The run loop: guest mode and the kick protocol of mmu.h, events between
 * instructions, unwinding, second-stage faults, device accesses.
 *
 * A device access ends the instruction and the run; the answer arrives with
 * the next run, in which the instruction is executed again from its start,
 * alone, with the answered accesses taken from cpu->mmio or cpu->pio.
 */
#include "vcpu/x86/core.h"
#include "vcpu/x86/debug.h"
#include "vcpu/x86/fpu_state.h"
#include "vcpu/x86/guest_mode.h"
#include "vcpu/x86/flags.h"
#include "vcpu/x86/lapic.h"
#include "vcpu/x86/pv.h"
#include "vcpu/x86/smm.h"

/* Instructions between two looks at the outside world: some 20 to 50 us of guest code. */
#define POLL_INSTRUCTIONS 16384
/* What an unwinding and what follows it take, in instructions. */
#define UNWIND_COST 128

/* The vCPU whose guest code this thread runs, for the signal handler. */
static __thread struct x86_cpu *volatile current_cpu;

void x86_unwind(struct x86_cpu *cpu, enum x86_unwind why)
{
	siglongjmp(cpu->unwind, (int)why);
}

void x86_leave_to_user(struct x86_cpu *cpu, enum x86_exit exit)
{
	cpu->exit = exit;
	x86_unwind(cpu, X86_UNWIND_EXIT);
}

void x86_cpu_host_fault(hva_t hva)
{
	struct x86_cpu *cpu = current_cpu;

	if (!cpu || atomic_peek(&cpu->vcpu.mode) != IN_GUEST_MODE)
		return;
	cpu->run.host_fault = hva;
	x86_unwind(cpu, X86_UNWIND_HOST_FAULT);
}

/* ---- device accesses in flight ---------------------------------------------------------- */

static void drop_access(struct x86_cpu *cpu)
{
	cpu->run.careful = false;
	cpu->run.nr_mmio_pages = 0;
	cpu->mmio.nr = cpu->mmio.done = cpu->mmio.cursor = 0;
	cpu->mmio.pending = false;
	cpu->pio.pending = cpu->pio.done = false;
	cpu->msr.pending = cpu->msr.done = false;
}

/* User space has answered what the last run left with, unless it moved RIP away. */
static void take_answer(struct x86_cpu *cpu)
{
	u64 rip = x86_linear_rip(cpu);

	if ((cpu->pio.pending || cpu->pio.done) && cpu->pio.rip == rip) {
		cpu->pio.pending = false;
		cpu->pio.done = true;
		cpu->run.careful = true;
	} else if ((cpu->msr.pending || cpu->msr.done) && cpu->msr.rip == rip) {
		cpu->msr.pending = false;
		cpu->msr.done = true;
		cpu->run.careful = true;
	} else if (cpu->mmio.pending && cpu->mmio.rip == rip) {
		cpu->mmio.pending = false;
		cpu->mmio.done = cpu->mmio.nr;
		cpu->run.careful = true;
	} else if (!(cpu->mmio.done && cpu->mmio.rip == rip)) {
		drop_access(cpu);
	}
	if (cpu->pio.done && cpu->mmio.pending) {
		cpu->mmio.pending = false;
		cpu->mmio.done = cpu->mmio.nr;
	}
	cpu->mmio.cursor = 0;
}

/* ---- requests ------------------------------------------------------------------------------- */

void x86_cpu_serve_events(struct x86_cpu *cpu)
{
	if (!cpu->lapic)
		return;
	x86_lapic_serve_events(cpu);
	if (cpu->mp_state != X86_MP_RUNNABLE)
		cpu->exit = X86_EXIT_HLT;
}

static void serve(struct x86_cpu *cpu, u32 requests)
{
	if (requests & KVM_REQ_TLB_FLUSH) {
		kvm_mmu_reload(&cpu->vcpu);
		x86_flush_tlb(cpu);
		x86_code_changed(cpu);
		/* A slot may be where a device was. */
		cpu->run.nr_mmio_pages = 0;
		kvm_stat_add(&cpu->vcpu.stat.tlb_flushes, 1);
	}
	if (requests & KVM_REQ_CLOCK_UPDATE) {
		cpu->pv.updates |= X86_PV_UPDATE_CLOCK;
		cpu->exit = X86_EXIT_PV;
	}
	if (requests & KVM_REQ_EVENT) {
		kvm_stat_add(&cpu->vcpu.stat.req_event, 1);
		x86_cpu_serve_events(cpu);
	}
	if (requests & KVM_REQ_VM_DEAD) {
		atomic_or(&cpu->vcpu.requests, (u32)KVM_REQ_VM_DEAD);
		cpu->exit_errno = -EIO;
		cpu->exit = X86_EXIT_FAULT;
	} else if (requests & KVM_REQ_KICK) {
		cpu->exit = X86_EXIT_INTR;
	} else if ((requests & KVM_REQ_DIRTY_RING_SOFT_FULL) &&
		   kvm_dirty_ring_soft_full(&cpu->vcpu.dirty_ring)) {
		cpu->exit = X86_EXIT_DIRTY_RING_FULL;
	}
}

/* An answered device access is completed before anything else: these wait for that. */
#define CAN_WAIT \
	((u32)(KVM_REQ_KICK | KVM_REQ_EVENT | KVM_REQ_DIRTY_RING_SOFT_FULL | KVM_REQ_CLOCK_UPDATE))

static u32 urgent(const struct x86_cpu *cpu)
{
	u32 requests = atomic_peek(&cpu->vcpu.requests);

	return cpu->run.careful ? requests & ~CAN_WAIT : requests;
}

/* Flushes are done outside guest mode, so that whoever waits need not wait for us. */
static void serve_requests(struct x86_cpu *cpu)
{
	u32 taken = cpu->run.careful ? ~CAN_WAIT : ~0u;

	x86_leave_guest(cpu, X86_VMX_EXTERNAL_INTERRUPT, 0);
	taken &= atomic_and(&cpu->vcpu.requests, ~taken);
	serve(cpu, taken);
	x86_enter_guest(cpu, false);
}

/* A full ring keeps the guest from running, but not a program that only wants its answer in. */
static void look_at_dirty_ring(struct x86_cpu *cpu, bool immediate_exit)
{
	if (immediate_exit)
		atomic_and(&cpu->vcpu.requests, ~(u32)KVM_REQ_DIRTY_RING_SOFT_FULL);
	else if (kvm_dirty_ring_soft_full(&cpu->vcpu.dirty_ring))
		kvm_make_request(&cpu->vcpu, KVM_REQ_DIRTY_RING_SOFT_FULL);
}

/* ---- what ended an instruction ----------------------------------------------- */

static void note_mmio(struct x86_cpu *cpu)
{
	struct x86_run_state *run = &cpu->run;
	u8 access = X86_ACCESS_READ;

	kvm_stat_add(&cpu->vcpu.stat.insn_emulation, 1);
	if (run->fault_code & PFERR_WRITE_MASK)
		access = X86_ACCESS_WRITE;
	if (run->fault_code & PFERR_GUEST_PAGE_MASK)
		access |= X86_ACCESS_TABLE;
	if ((run->fault_code & PFERR_FETCH_MASK) || run->nr_mmio_pages == X86_MMIO_PAGES) {
		cpu->emulation = (struct x86_emulation_failure){.nr_bytes = 0};
		cpu->exit = X86_EXIT_EMULATION;
		return;
	}
	run->mmio_pages[run->nr_mmio_pages++] =
		(struct x86_mmio_page){.gfn = gpa_to_gfn(run->fault_gpa), .access = access};
	run->careful = true;
}

static void second_stage_fault(struct x86_cpu *cpu)
{
	enum kvm_mmu_verdict verdict;
	int err = 0;

	x86_leave_guest(cpu, X86_VMX_EPT_VIOLATION, x86_fault_qualification(cpu));
	x86_tlb_judge(cpu);
	kvmu_trace(kvm, kvm_page_fault, cpu->vcpu.vcpu_id, cpu->regs[X86_REG_RIP],
		   cpu->run.fault_gpa, cpu->run.fault_code);
	verdict = kvm_mmu_page_fault(&cpu->vcpu, cpu->run.fault_gpa, cpu->run.fault_code, &err);
	switch (verdict) {
	case KVM_MMU_RESUME_GUEST:
		break;
	case KVM_MMU_EMULATE:
		note_mmio(cpu);
		break;
	case KVM_MMU_EXIT_USER:
		cpu->exit_errno = err;
		cpu->exit = X86_EXIT_FAULT;
		break;
	}
	x86_enter_guest(cpu, false);
}

/* The page behind a leaf is gone, or asks for less than the leaf gives: fault it in anew. */
static void host_fault(struct x86_cpu *cpu)
{
	struct x86_run_state *run = &cpu->run;
	u64 rip = cpu->regs[X86_REG_RIP];
	hva_t page = run->host_fault & PAGE_MASK;

	if (run->host_fault_rip != rip || run->host_fault_page != page)
		run->host_fault_count = 0;
	run->host_fault_count++;
	run->host_fault_rip = rip;
	run->host_fault_page = page;
	if (run->host_fault_count > 3) {
		run->host_fault_count = 0;
		cpu->exit_errno = -EFAULT;
		cpu->exit = X86_EXIT_FAULT;
		return;
	}
	x86_leave_guest(cpu, X86_VMX_EXTERNAL_INTERRUPT, 0);
	kvm_mmu_hva_change_begin(cpu->vcpu.kvm, page, page + PAGE_SIZE);
	kvm_mmu_hva_change_end(cpu->vcpu.kvm, page, page + PAGE_SIZE);
	atomic_or(&cpu->vcpu.requests, (u32)KVM_REQ_TLB_FLUSH);
	x86_enter_guest(cpu, false);
}

/* RIP is what SMRAM says. */
static void return_from_smm(struct x86_cpu *cpu)
{
	drop_access(cpu);
	cpu->poll_budget--;
	x86_leave_guest(cpu, X86_VMX_EXCEPTION_NMI, 0);
	x86_leave_smm(cpu);
	x86_enter_guest(cpu, false);
}

static void unwound(struct x86_cpu *cpu, enum x86_unwind why)
{
	if (cpu->op) {
		cpu->poll_budget -= cpu->op->nth;
		cpu->regs[X86_REG_RIP] = x86_wrap_rip(cpu, x86_op_rip(cpu, cpu->op));
	}
	cpu->op = NULL;
	cpu->mmio.cursor = 0;
	cpu->run.delivering = false;
	/* A guest that only faults retires nothing, and must be interruptible all the same. */
	x86_hasten_poll(cpu, UNWIND_COST);
	switch (why) {
	case X86_UNWIND_EVENT:
		drop_access(cpu);
		break;
	case X86_UNWIND_EPT:
		second_stage_fault(cpu);
		break;
	case X86_UNWIND_ALONE:
		cpu->run.careful = true;
		break;
	case X86_UNWIND_HOST_FAULT:
		host_fault(cpu);
		break;
	case X86_UNWIND_RSM:
		return_from_smm(cpu);
		break;
	case X86_UNWIND_EXIT:
		if (cpu->exit == X86_EXIT_EMULATION || cpu->exit == X86_EXIT_SHUTDOWN)
			drop_access(cpu);
		break;
	case X86_UNWIND_NONE:
	case X86_UNWIND_RETRY:
		break;
	}
}

/* ---- executing --------------------------------------------------------------- */

static void execute(struct x86_cpu *cpu, const struct x86_op *op)
{
	do
		op = op->fn(cpu, op);
	while (op);
}

static const struct x86_op *known_block(const struct x86_cpu *cpu)
{
	u64 linear = x86_linear_rip(cpu);
	const struct x86_jump *jump = &cpu->code->jump[x86_jump_index(linear)];

	return jump->rip == linear && jump->key == (cpu->code->stamp | cpu->mode) ? jump->op : NULL;
}

static void run_blocks(struct x86_cpu *cpu)
{
	const struct x86_op *op = known_block(cpu);

	execute(cpu, op ? op : x86_code_find(cpu));
}

/* Retired so far is what was ever granted less what is left. */
static void set_budget(struct x86_cpu *cpu, s32 budget)
{
	cpu->run.granted += (u64)((s64)budget - cpu->poll_budget);
	cpu->poll_budget = budget;
}

/*
 * SDM vol. 3, 18.3.1.4: the trap comes after the instruction that began with TF
 * set, or that touched what is watched.
 */
static void trap_after(struct x86_cpu *cpu, bool step)
{
	u64 dr6 = cpu->debug.hits;

	if (step && !cpu->ss_shadow)
		dr6 |= X86_DR6_BS;
	if (dr6)
		x86_debug_trap(cpu, dr6);
}

static bool answer_is_there(const struct x86_cpu *cpu)
{
	return cpu->pio.done || cpu->msr.done || cpu->mmio.done;
}

static void run_alone(struct x86_cpu *cpu)
{
	bool step = (cpu->mode & X86_MODE_STEP) || (cpu->debug.control & X86_DEBUG_STEP);
	bool shadow = cpu->ss_shadow || cpu->sti_shadow;
	u64 resume = cpu->rflags & X86_EFLAGS_RF;
	s32 budget = cpu->poll_budget;
	const struct x86_op *op;

	if (!answer_is_there(cpu))
		x86_debug_check_fetch(cpu);
	op = x86_code_alone(cpu);
	cpu->debug.hits = 0;
	set_budget(cpu, 0); /* branches must not go on by themselves */
	cpu->run.careful = true;
	execute(cpu, op);
	set_budget(cpu, budget + cpu->poll_budget);
	drop_access(cpu);
	cpu->rflags &= ~resume;
	if (shadow)
		cpu->ss_shadow = cpu->sti_shadow = false;
	trap_after(cpu, step);
}

static void poll(struct x86_cpu *cpu)
{
	set_budget(cpu, POLL_INSTRUCTIONS);
	x86_code_changed(cpu);
	if (cpu->lapic)
		x86_lapic_timer_poll(cpu);
	if (x86_cpu_host_pending(cpu))
		cpu->exit = X86_EXIT_INTR;
}

/* The delivery of an interrupt that has begun comes first; true: the state has changed. */
static bool take_smi(struct x86_cpu *cpu)
{
	if (!x86_smi_open(cpu) || (cpu->debug.control & X86_DEBUG_BLOCK_IRQ) ||
	    (cpu->interrupt.pending && x86_interrupts_open(cpu)))
		return false;
	x86_leave_guest(cpu, X86_VMX_EXTERNAL_INTERRUPT, 0);
	x86_enter_smm(cpu);
	x86_enter_guest(cpu, false);
	return true;
}

/* One step between two looks at everything that can interrupt. */
static void step(struct x86_cpu *cpu, bool immediate_exit)
{
	if (unlikely(urgent(cpu))) {
		serve_requests(cpu);
		return;
	}
	if (cpu->run.careful && !cpu->exception.pending) {
		run_alone(cpu);
		return;
	}
	if (immediate_exit) {
		cpu->exit = X86_EXIT_INTR;
		return;
	}
	if (cpu->exception.pending) {
		x86_deliver_exception(cpu);
		return;
	}
	if (cpu->poll_budget < 0) {
		poll(cpu);
		return;
	}
	if (take_smi(cpu) || x86_take_interrupt(cpu))
		return;
	if (cpu->want_irq_window && x86_interrupts_open(cpu)) {
		cpu->exit = X86_EXIT_IRQ_WINDOW;
		return;
	}
	if ((cpu->mode & X86_MODE_STEP) || cpu->sti_shadow || cpu->ss_shadow ||
	    x86_debug_alone(cpu))
		run_alone(cpu);
	else
		run_blocks(cpu);
}

enum x86_exit x86_cpu_run(struct x86_cpu *cpu, bool immediate_exit)
{
	const u32 host_mxcsr = x86_fp_enter();
	int why;

	cpu->exit = X86_EXIT_NONE;
	if (unlikely(cpu->shutdown_pending)) {
		cpu->shutdown_pending = false;
		cpu->exit = X86_EXIT_SHUTDOWN;
	}
	cpu->op = NULL;
	set_budget(cpu, -1); /* a signal may be pending already */
	take_answer(cpu);
	look_at_dirty_ring(cpu, immediate_exit);
	x86_code_changed(cpu);
	x86_enter_guest(cpu, immediate_exit);
	current_cpu = cpu;
	why = sigsetjmp(cpu->unwind, 0);
	if (why)
		unwound(cpu, (enum x86_unwind)why);
	while (cpu->exit == X86_EXIT_NONE)
		step(cpu, immediate_exit);
	cpu->instructions = cpu->run.granted - (u64)(s64)cpu->poll_budget;
	current_cpu = NULL;
	x86_leave_guest(cpu, x86_exit_reason(cpu), x86_exit_qualification(cpu));
	x86_tlb_judge(cpu);
	x86_fp_leave(host_mxcsr);
	return cpu->exit;
}
