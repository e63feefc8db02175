/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM_RUN (api.rst 4.10 and section 5): the shared page in, the CPU, the
 * shared page out.
 *
 * The page is the program's to write at any moment: each input is read once.
 */
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/trace.h"
#include "kvm/ioctl_table.h"
#include "kvm/irqchip/irqchip.h"
#include "kvm/vcpu_vapic.h"
#include "kvm/vm_clock.h"
#include "kvm/vm_coalesced.h"
#include "vcpu/x86/flags.h"
#include "vcpu/x86/lapic.h"
#include "vcpu/x86/smm.h"

/* What one turn of the CPU leads to. */
enum turn {
	TURN_AGAIN,  /* handled here */
	TURN_RETURN, /* to user space with the value beside it */
};

/* ---- the page, in ------------------------------------------------------------------------- */

static int sync_regs_in(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 dirty = atomic_peek(&run->kvm_dirty_regs);
	struct kvm_sync_regs sync;
	int ret = 0;

	if (likely(!dirty))
		return 0;
	sync = run->s.regs;
	if (dirty & KVM_SYNC_X86_REGS)
		vcpu_regs_write(vcpu, &sync.regs);
	if (dirty & KVM_SYNC_X86_SREGS)
		ret = vcpu_sregs_write(vcpu, &sync.sregs);
	if (!ret && (dirty & KVM_SYNC_X86_EVENTS))
		ret = vcpu_events_write(vcpu, &sync.events);
	if (!ret)
		run->kvm_dirty_regs = 0;
	return ret;
}

static bool sync_masks_valid(const struct kvm_run *run)
{
	u64 masks = atomic_peek(&run->kvm_valid_regs) | atomic_peek(&run->kvm_dirty_regs);

	return !(masks & ~(u64)KVM_SYNC_X86_VALID_FIELDS);
}

/* Without a local APIC of ours CR8 is the program's business. */
static int cr8_in(struct vcpu *vcpu)
{
	u64 cr8 = atomic_peek(&vcpu->run->cr8);

	if (vcpu->vm->has_irqchip)
		return 0;
	if (cr8 > 15)
		return -EINVAL;
	vcpu->cpu->cr8 = cr8;
	return 0;
}

/* ---- device accesses, as the traces tell them ----------------------------------------------- */

/* Values of KVM's trace points. */
enum mmio_trace_type {
	MMIO_READ_UNSATISFIED = 0,
	MMIO_READ = 1,
	MMIO_WRITE = 2,
};

static u64 first_bytes(const void *data, u32 len, u32 max)
{
	u64 value = 0;

	memcpy(&value, data, len < max ? len : max);
	return value;
}

static void trace_mmio(enum mmio_trace_type type, const struct x86_mmio_frag *frag)
{
	kvmu_trace(kvm, kvm_mmio, type, frag->len, frag->gpa,
		   type == MMIO_READ_UNSATISFIED ? 0 : first_bytes(frag->data, frag->len, 8));
}

static void trace_pio(const struct x86_pio *pio)
{
	kvmu_trace(kvm, kvm_pio, !pio->is_in, pio->port, pio->size, pio->count,
		   first_bytes(pio->data, pio->size, 4));
}

/* The program's answer to the MMIO read that the last run ended with. */
static void mmio_answer_in(struct vcpu *vcpu)
{
	struct x86_mmio *mmio = &vcpu->cpu->mmio;
	struct x86_mmio_frag *frag;

	if (!mmio->pending || mmio->done >= X86_MMIO_FRAGS)
		return;
	frag = &mmio->frag[mmio->done];
	if (frag->is_write)
		return;
	memcpy(frag->data, vcpu->run->mmio.data, sizeof(frag->data));
	trace_mmio(MMIO_READ, frag);
}

/* The same for an IN; the data are in the page that the CPU itself reads. */
static void pio_answer_in(const struct vcpu *vcpu)
{
	if (vcpu->cpu->pio.pending && vcpu->cpu->pio.is_in)
		trace_pio(&vcpu->cpu->pio);
}

static void msr_answer_in(struct vcpu *vcpu)
{
	struct x86_msr_exit *msr = &vcpu->cpu->msr;

	if (likely(!msr->pending))
		return;
	msr->error = atomic_peek(&vcpu->run->msr.error) != 0;
	msr->data = atomic_peek(&vcpu->run->msr.data);
}

static int page_in(struct vcpu *vcpu)
{
	int ret = sync_regs_in(vcpu);

	if (ret)
		return ret;
	ret = cr8_in(vcpu);
	if (ret)
		return ret;
	mmio_answer_in(vcpu);
	msr_answer_in(vcpu);
	pio_answer_in(vcpu);
	vcpu_hypercall_answered(vcpu);
	vcpu->cpu->want_irq_window =
		vcpu->run->request_interrupt_window && !vcpu->vm->irqchip->has_chips;
	return 0;
}

/* ---- the page, out -------------------------------------------------------------------------- */

static bool ready_for_interrupt(const struct vcpu *vcpu)
{
	const struct x86_cpu *cpu = vcpu->cpu;

	if (vcpu->vm->irqchip->has_chips)
		return true;
	return (cpu->rflags & X86_EFLAGS_IF) && !cpu->sti_shadow && !cpu->ss_shadow &&
	       !cpu->interrupt.pending && !cpu->exception.pending;
}

static void page_out(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 valid = atomic_peek(&run->kvm_valid_regs);

	run->if_flag = (vcpu->cpu->rflags & X86_EFLAGS_IF) != 0;
	run->flags = x86_in_smm(vcpu->cpu) ? KVM_RUN_X86_SMM : 0;
	run->cr8 = vcpu->cpu->cr8;
	run->apic_base = vcpu->cpu->apic_base;
	run->ready_for_interrupt_injection = ready_for_interrupt(vcpu);
	if (likely(!valid))
		return;
	if (valid & KVM_SYNC_X86_REGS)
		vcpu_regs_read(vcpu, &run->s.regs.regs);
	if (valid & KVM_SYNC_X86_SREGS)
		vcpu_sregs_read(vcpu, &run->s.regs.sregs);
	if (valid & KVM_SYNC_X86_EVENTS)
		vcpu_events_read(vcpu, &run->s.regs.events);
}

/* ---- exits ------------------------------------------------------------------- */

static enum turn leave(struct vcpu *vcpu, u32 reason)
{
	vcpu->run->exit_reason = reason;
	return TURN_RETURN;
}

/* Our own interrupt controllers and timer, one element after the other. */
static bool irqchip_io(struct vcpu *vcpu)
{
	const struct x86_pio *pio = &vcpu->cpu->pio;

	for (u32 i = 0; i < pio->count; i++) {
		u8 *data = pio->data + i * pio->size;

		if (!irqchip_port(vcpu->vm, pio->port, pio->size, !pio->is_in, data) &&
		    !vm_pit_port(vcpu->vm, pio->port, pio->size, !pio->is_in, data))
			return false;
	}
	return true;
}

static bool coalesce_io(struct vcpu *vcpu)
{
	const struct x86_pio *pio = &vcpu->cpu->pio;
	const struct coalesced_write write = {.pio = true,
					      .addr = pio->port,
					      .bytes = pio->size,
					      .count = pio->count,
					      .data = pio->data};

	return vm_coalesce(vcpu->vm, &write);
}

/* Who answers before the program does. */
static bool device_io(struct vcpu *vcpu)
{
	const struct x86_pio *pio = &vcpu->cpu->pio;

	if (irqchip_io(vcpu))
		return true;
	return !pio->is_in &&
	       (ioeventfd_write(vcpu->vm, true, pio->port, pio->size, pio->count, pio->data) ||
		coalesce_io(vcpu));
}

static enum turn exit_io(struct vcpu *vcpu)
{
	const struct x86_pio *pio = &vcpu->cpu->pio;
	struct kvm_run *run = vcpu->run;

	if (device_io(vcpu))
		return TURN_AGAIN;
	run->io.direction = pio->is_in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = pio->size;
	run->io.port = pio->port;
	run->io.count = pio->count;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	if (!pio->is_in)
		trace_pio(pio);
	return leave(vcpu, KVM_EXIT_IO);
}

/* What we cannot carry out, as KVM says it: the instruction's bytes, 0x90 after them. */
static enum turn exit_emulation(struct vcpu *vcpu, const u8 *bytes, u8 nr)
{
	struct kvm_run *run = vcpu->run;

	memset(&run->internal, 0, sizeof(run->internal));
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 1;
	if (nr) {
		run->emulation_failure.ndata = 3;
		run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.insn_size = nr;
		memset(run->emulation_failure.insn_bytes, 0x90, 15);
		memcpy(run->emulation_failure.insn_bytes, bytes, nr);
	}
	return leave(vcpu, KVM_EXIT_INTERNAL_ERROR);
}

#define MAX_COMPLAINTS 16u

/* Names what was missing, not for ever. */
static bool may_complain(void)
{
	static u32 complaints;

	return atomic_add(&complaints, 1) < MAX_COMPLAINTS;
}

/* An event whose table or stack is no memory. */
static enum turn exit_delivery(struct vcpu *vcpu, u8 vector)
{
	struct kvm_run *run = vcpu->run;

	memset(&run->internal, 0, sizeof(run->internal));
	run->internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
	run->internal.ndata = 1;
	run->internal.data[0] = vector;
	return leave(vcpu, KVM_EXIT_INTERNAL_ERROR);
}

static enum turn exit_unsupported(struct vcpu *vcpu)
{
	const struct x86_emulation_failure *failure = &vcpu->cpu->emulation;
	u8 nr = failure->nr_bytes <= 15 ? failure->nr_bytes : 15;
	char hex[3 * 15 + 1] = "";

	if (failure->in_delivery)
		return exit_delivery(vcpu, failure->vector);
	for (u8 i = 0; i < nr; i++)
		snprintf(hex + 3 * i, 4, " %02x", failure->bytes[i]);
	if (may_complain())
		dprintf(2, "kvmu: vcpu %u: cannot execute the instruction at %#llx:%s\n", vcpu->id,
			(unsigned long long)vcpu->cpu->regs[X86_REG_RIP], hex);
	if (atomic_peek(&vcpu->vm->exit_on_emulation_failure))
		return exit_emulation(vcpu, failure->bytes, nr);
	/* As KVM: #UD for the guest, and the program hears of it when it was the kernel's. */
	vcpu->cpu->exception = (struct x86_event){.pending = true, .vector = X86_UD};
	return vcpu->cpu->cpl ? TURN_AGAIN : exit_emulation(vcpu, failure->bytes, nr);
}

static bool coalesce_mmio(struct vcpu *vcpu, const struct x86_mmio_frag *frag)
{
	const struct coalesced_write write = {
		.addr = frag->gpa, .bytes = frag->len, .count = 1, .data = frag->data};

	return vm_coalesce(vcpu->vm, &write);
}

static bool device_mmio(struct vcpu *vcpu, struct x86_mmio_frag *frag)
{
	if (irqchip_mmio(vcpu->vm, frag->gpa, frag->len, frag->is_write, frag->data))
		return true;
	return frag->is_write &&
	       (ioeventfd_write(vcpu->vm, false, frag->gpa, frag->len, 1, frag->data) ||
		coalesce_mmio(vcpu, frag));
}

static enum turn exit_mmio(struct vcpu *vcpu)
{
	struct x86_mmio *mmio = &vcpu->cpu->mmio;
	struct x86_mmio_frag *frag = &mmio->frag[mmio->done];
	struct kvm_run *run = vcpu->run;

	trace_mmio(frag->is_write ? MMIO_WRITE : MMIO_READ_UNSATISFIED, frag);
	if (device_mmio(vcpu, frag))
		return TURN_AGAIN;
	run->mmio.phys_addr = frag->gpa;
	run->mmio.len = frag->len;
	run->mmio.is_write = frag->is_write;
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	if (frag->is_write)
		memcpy(run->mmio.data, frag->data, frag->len <= 8 ? frag->len : 8);
	kvm_stat_add(&vcpu->cpu->vcpu.stat.mmio_exits, 1);
	return leave(vcpu, KVM_EXIT_MMIO);
}

static enum turn exit_msr(struct vcpu *vcpu)
{
	const struct x86_msr_exit *msr = &vcpu->cpu->msr;
	struct kvm_run *run = vcpu->run;

	memset(&run->msr, 0, sizeof(run->msr));
	run->msr.reason = msr->reason;
	run->msr.index = msr->index;
	run->msr.data = msr->data;
	return leave(vcpu, msr->is_write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR);
}

static enum turn exit_fault(struct vcpu *vcpu, long *ret)
{
	struct kvm_vcpu *core = &vcpu->cpu->vcpu;
	struct kvm_run_memory_fault *out = (void *)vcpu->run->padding;

	*ret = vcpu->cpu->exit_errno;
	if (*ret == -EHWPOISON && !core->has_memory_fault) {
		vcpu_signal_poison(core->poisoned_hva);
		*ret = -EINTR;
	}
	if (*ret == -EINTR)
		return leave(vcpu, KVM_EXIT_INTR);
	if ((*ret != -EFAULT && *ret != -EHWPOISON) || !core->has_memory_fault)
		return TURN_RETURN;
	out->flags = core->memory_fault.flags;
	out->gpa = core->memory_fault.gpa;
	out->size = core->memory_fault.size;
	core->has_memory_fault = false;
	return leave(vcpu, KVM_EXIT_MEMORY_FAULT);
}

static enum turn exit_debug(struct vcpu *vcpu)
{
	const struct x86_debug_exit *debug = &vcpu->cpu->debug.exit;

	vcpu->run->debug.arch = (struct kvm_debug_exit_arch){
		.exception = debug->exception,
		.pc = debug->pc,
		.dr6 = debug->dr6,
		.dr7 = debug->dr7,
	};
	return leave(vcpu, KVM_EXIT_DEBUG);
}

/* The program's I/O APIC hears of the end of an interrupt. */
static void exit_eoi(struct vcpu *vcpu)
{
	vcpu->run->eoi.vector = (u8)vcpu->ended_vector;
	vcpu->ended_vector = -1;
	leave(vcpu, KVM_EXIT_IOAPIC_EOI);
}

/* What the program is still to be told; false: nothing. */
static bool exit_late(struct vcpu *vcpu)
{
	if (vcpu->ended_vector >= 0)
		exit_eoi(vcpu);
	else if (vcpu->tpr_report.is_due)
		vcpu_tpr_report(vcpu);
	else
		return false;
	return true;
}

static enum turn exit_interrupted(struct vcpu *vcpu, long *ret)
{
	*ret = -EINTR;
	kvm_stat_add(&vcpu->cpu->vcpu.stat.signal_exits, 1);
	return leave(vcpu, KVM_EXIT_INTR);
}

/*
 * A halt ends with an interrupt; with our APIC that is waited for here, and
 * also if the program does not want to know, else the program waits.
 */
static enum turn exit_hlt(struct vcpu *vcpu)
{
	if (vcpu->cpu->lapic)
		return TURN_AGAIN;
	if (atomic_peek(&vcpu->vm->halts_without_exit)) {
		vcpu->cpu->mp_state = X86_MP_HALTED;
		return TURN_AGAIN;
	}
	return leave(vcpu, KVM_EXIT_HLT);
}

/* What KVM counts at a VM exit; MMIO and signals are counted where they leave to user space. */
static void count_exit(struct kvm_vcpu_stat *stat, enum x86_exit exit)
{
	switch (exit) {
	case X86_EXIT_IO:
		kvm_stat_add(&stat->io_exits, 1);
		break;
	case X86_EXIT_HLT:
		kvm_stat_add(&stat->halt_exits, 1);
		break;
	case X86_EXIT_IRQ_WINDOW:
		kvm_stat_add(&stat->irq_window_exits, 1);
		kvm_stat_add(&stat->request_irq_exits, 1);
		break;
	case X86_EXIT_EMULATION:
		kvm_stat_add(&stat->insn_emulation_fail, 1);
		break;
	case X86_EXIT_HYPERCALL:
		kvm_stat_add(&stat->hypercalls, 1);
		break;
	default:
		break;
	}
}

static enum turn handle_exit(struct vcpu *vcpu, enum x86_exit exit, long *ret)
{
	count_exit(&vcpu->cpu->vcpu.stat, exit);
	switch (exit) {
	case X86_EXIT_IO:
		return exit_io(vcpu);
	case X86_EXIT_MMIO:
		return exit_mmio(vcpu);
	case X86_EXIT_HLT:
		return exit_hlt(vcpu);
	case X86_EXIT_SHUTDOWN:
		return leave(vcpu, KVM_EXIT_SHUTDOWN);
	case X86_EXIT_INTR:
		return exit_late(vcpu) ? TURN_RETURN : exit_interrupted(vcpu, ret);
	case X86_EXIT_IRQ_WINDOW:
		return leave(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	case X86_EXIT_EMULATION:
		return exit_unsupported(vcpu);
	case X86_EXIT_HYPERCALL:
		return vcpu_hypercall(vcpu) ? TURN_AGAIN : leave(vcpu, KVM_EXIT_HYPERCALL);
	case X86_EXIT_FAULT:
		return exit_fault(vcpu, ret);
	case X86_EXIT_MSR:
		return exit_msr(vcpu);
	case X86_EXIT_PV:
		vcpu_pv_update(vcpu);
		return TURN_AGAIN;
	case X86_EXIT_DEBUG:
		return exit_debug(vcpu);
	case X86_EXIT_DIRTY_RING_FULL:
		kvmu_trace(kvm, kvm_dirty_ring_exit, vcpu->id);
		return leave(vcpu, KVM_EXIT_DIRTY_RING_FULL);
	case X86_EXIT_NONE:
		break;
	}
	kvm_vm_bugged(&vcpu->vm->kvm);
	*ret = -EIO;
	return TURN_RETURN;
}

/* ---- running ----------------------------------------------------------------- */

/* INIT, SIPI, an interrupt: does the CPU run again? */
static bool wakes(struct vcpu *vcpu)
{
	struct x86_cpu *cpu = vcpu->cpu;

	atomic_and(&cpu->vcpu.requests, ~(u32)KVM_REQ_EVENT);
	x86_cpu_serve_events(cpu);
	if (cpu->mp_state == X86_MP_HALTED && x86_cpu_wakes(cpu))
		cpu->mp_state = X86_MP_RUNNABLE;
	return cpu->mp_state == X86_MP_RUNNABLE;
}

static enum turn sleep_turn(struct vcpu *vcpu, long *ret)
{
	bool was_uninitialized = vcpu->cpu->mp_state == X86_MP_UNINITIALIZED;
	bool was_halted = vcpu->cpu->mp_state == X86_MP_HALTED;
	bool awake = wakes(vcpu);

	/* KVM ends the run of a vCPU that has just had its first INIT. */
	if (was_uninitialized && vcpu->cpu->mp_state != X86_MP_UNINITIALIZED) {
		*ret = -EAGAIN;
		return TURN_RETURN;
	}
	if (awake) {
		if (was_halted)
			kvm_stat_add(&vcpu->cpu->vcpu.stat.halt_wakeup, 1);
		return TURN_AGAIN;
	}
	if (vcpu_signal_pending(vcpu))
		return exit_interrupted(vcpu, ret);
	if (atomic_peek(&vcpu->vm->kvm.vm_bugged)) {
		*ret = -EIO;
		return TURN_RETURN;
	}
	vcpu_block(vcpu);
	return TURN_AGAIN;
}

static enum turn run_turn(struct vcpu *vcpu, long *ret)
{
	enum x86_exit exit;

	if (vcpu->cpu->mp_state != X86_MP_RUNNABLE)
		return sleep_turn(vcpu, ret);
	if (unlikely(vcpu->vapic))
		vcpu_vapic_to_guest(vcpu);
	exit = x86_cpu_run(vcpu->cpu, false);
	if (unlikely(vcpu->vapic))
		vcpu_vapic_from_guest(vcpu);
	return handle_exit(vcpu, exit, ret);
}

static long run_until_exit(struct vcpu *vcpu)
{
	long ret = 0;

	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	/* Signals unblocked only in here may have been waiting. */
	if (unlikely(vcpu->has_signal_mask && vcpu_signal_pending(vcpu))) {
		exit_interrupted(vcpu, &ret);
		return ret;
	}
	/* From a run that was over before it could say so. */
	if (unlikely(exit_late(vcpu)))
		return 0;
	while (run_turn(vcpu, &ret) == TURN_AGAIN)
		continue;
	return ret;
}

/*
 * immediate_exit: finish the access at hand, then -EINTR with exit_reason and
 * the union as they were.  Finishing may itself end in a further access.
 */
static long complete_only(struct vcpu *vcpu)
{
	long ret = 0;
	enum x86_exit exit;

	if (vcpu->cpu->mp_state != X86_MP_RUNNABLE)
		return -EINTR;
	do {
		exit = x86_cpu_run(vcpu->cpu, true);
		if (exit == X86_EXIT_INTR)
			return -EINTR;
	} while (handle_exit(vcpu, exit, &ret) == TURN_AGAIN);
	return ret;
}

static long run_vcpu(struct vcpu *vcpu)
{
	bool immediate_exit = atomic_peek(&vcpu->run->immediate_exit) != 0;
	long ret = page_in(vcpu);

	if (ret)
		return ret;
	vcpu->has_run = true;
	vcpu_pv_run_starts(vcpu);
	ret = immediate_exit ? complete_only(vcpu) : run_until_exit(vcpu);
	page_out(vcpu);
	return ret;
}

long do_run(struct ioctl_call *call)
{
	struct vcpu *vcpu = call->vcpu;
	long ret;

	if (call->arg || !sync_masks_valid(vcpu->run))
		return -EINVAL;
	vcpu_signals_choose(vcpu, true);
	vcpu_set_running(vcpu);
	ret = run_vcpu(vcpu);
	kvmu_trace(kvm, kvm_userspace_exit, vcpu->run->exit_reason, (u64)ret);
	vcpu_set_running(NULL);
	kvm_stat_add(&vcpu->cpu->vcpu.stat.fpu_reload, 1);
	return ret;
}
