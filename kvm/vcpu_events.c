/* SPDX-License-Identifier: BSD-2-Clause */
/* Pending events, injection and the multiprocessing state (api.rst 4.16, 4.38, 4.39, 4.64, 4.66).
 */
#include <string.h>

#include "kvm/ioctl_table.h"
#include "kvm/irqchip/irqchip.h"
#include "vcpu/x86/lapic.h"
#include "vcpu/x86/smm.h"

static struct x86_event make_event(u8 vector, bool has_code, u32 code)
{
	return (struct x86_event){
		.pending = true,
		.vector = vector,
		.has_error_code = has_code,
		.error_code = code,
	};
}

/* ---- vcpu_events ---------------------------------------------------------------------------- */

static bool init_is_latched(const struct x86_cpu *cpu)
{
	return cpu->lapic && (atomic_peek(&cpu->lapic->events) & X86_LAPIC_EVENT_INIT);
}

void vcpu_events_read(struct vcpu *vcpu, struct kvm_vcpu_events *events)
{
	struct x86_cpu *cpu = vcpu->cpu;

	if (cpu->lapic)
		x86_lapic_collect(cpu);
	memset(events, 0, sizeof(*events));
	events->exception.injected = cpu->exception.pending;
	events->exception.nr = cpu->exception.vector;
	events->exception.has_error_code = cpu->exception.has_error_code;
	events->exception.error_code = cpu->exception.error_code;
	events->interrupt.injected = cpu->interrupt.pending && !cpu->interrupt.soft;
	events->interrupt.nr = cpu->interrupt.vector;
	events->interrupt.shadow = (u8)((cpu->ss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0) |
					(cpu->sti_shadow ? KVM_X86_SHADOW_INT_STI : 0));
	events->nmi.pending = cpu->nmi_pending;
	events->nmi.masked = cpu->nmi_masked;
	events->sipi_vector = cpu->lapic ? atomic_peek(&cpu->lapic->sipi_vector) : 0;
	events->smi.smm = x86_in_smm(cpu);
	events->smi.pending = cpu->smi_pending;
	events->smi.smm_inside_nmi = cpu->smm_inside_nmi;
	events->smi.latched_init = init_is_latched(cpu);
	events->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
			KVM_VCPUEVENT_VALID_SMM;
}

/* Payloads and the triple-fault event need capabilities that are not there. */
#define EVENT_FLAGS                                                          \
	(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR | \
	 KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM)

static bool events_valid(const struct x86_cpu *cpu, const struct kvm_vcpu_events *events)
{
	if (events->flags & ~(u32)EVENT_FLAGS)
		return false;
	/* In SMM an INIT is latched, and nobody waits for a SIPI. */
	if ((events->flags & KVM_VCPUEVENT_VALID_SMM) && (events->smi.smm || events->smi.pending) &&
	    cpu->mp_state == X86_MP_INIT_RECEIVED)
		return false;
	/* An exception's number; NMI is none. */
	return !events->exception.injected ||
	       (events->exception.nr <= 31 && events->exception.nr != X86_NMI);
}

static void write_smi(struct x86_cpu *cpu, const struct kvm_vcpu_events *events)
{
	if (x86_in_smm(cpu) != (events->smi.smm != 0))
		x86_set_smm(cpu, events->smi.smm != 0);
	cpu->smi_pending = events->smi.pending != 0;
	if (events->smi.smm)
		cpu->smm_inside_nmi = events->smi.smm_inside_nmi != 0;
	if (!cpu->lapic)
		return;
	if (events->smi.latched_init)
		atomic_or(&cpu->lapic->events, (u32)X86_LAPIC_EVENT_INIT);
	else
		atomic_and(&cpu->lapic->events, ~(u32)X86_LAPIC_EVENT_INIT);
	kvm_make_request(&cpu->vcpu, KVM_REQ_EVENT);
}

int vcpu_events_write(struct vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	struct x86_cpu *cpu = vcpu->cpu;

	if (!events_valid(cpu, events))
		return -EINVAL;
	cpu->exception = make_event(events->exception.nr, events->exception.has_error_code,
				    events->exception.error_code);
	cpu->exception.pending = events->exception.injected;
	cpu->interrupt = make_event(events->interrupt.nr, false, 0);
	cpu->interrupt.pending = events->interrupt.injected;
	if (events->flags & KVM_VCPUEVENT_VALID_SHADOW) {
		cpu->sti_shadow = events->interrupt.shadow & KVM_X86_SHADOW_INT_STI;
		cpu->ss_shadow = events->interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
	}
	if (events->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		cpu->nmi_pending = events->nmi.pending || events->nmi.injected;
	cpu->nmi_masked = events->nmi.masked;
	if ((events->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR) && cpu->lapic)
		atomic_poke(&cpu->lapic->sipi_vector, (u8)events->sipi_vector);
	if (events->flags & KVM_VCPUEVENT_VALID_SMM)
		write_smi(cpu, events);
	return 0;
}

long do_get_vcpu_events(struct ioctl_call *call)
{
	vcpu_events_read(call->vcpu, call->data);
	return 0;
}

long do_set_vcpu_events(struct ioctl_call *call)
{
	return vcpu_events_write(call->vcpu, call->data);
}

/* ---- injection --------------------------------------------------------------- */

/* From a program that models the interrupt controller itself. */
long do_interrupt(struct ioctl_call *call)
{
	const struct kvm_interrupt *irq = call->data;

	if (irq->irq >= KVM_NR_INTERRUPTS)
		return -EINVAL;
	if (call->vm->irqchip->has_chips)
		return -ENXIO;
	/* With local APICs of ours the program is the 8259: one at a time. */
	if (call->vm->has_irqchip && call->vcpu->cpu->interrupt.pending)
		return -EEXIST;
	call->vcpu->cpu->interrupt = make_event((u8)irq->irq, false, 0);
	return 0;
}

long do_nmi(struct ioctl_call *call)
{
	call->vcpu->cpu->nmi_pending = true;
	return 0;
}

long do_smi(struct ioctl_call *call)
{
	call->vcpu->cpu->smi_pending = true;
	return 0;
}

/* ---- mp_state ---------------------------------------------------------------- */

long do_get_mp_state(struct ioctl_call *call)
{
	struct kvm_mp_state *state = call->data;

	x86_cpu_serve_events(call->vcpu->cpu);
	/* Without a local APIC KVM knows no other state. */
	state->mp_state =
		call->vcpu->cpu->lapic ? call->vcpu->cpu->mp_state : KVM_MP_STATE_RUNNABLE;
	return 0;
}

/* The states of a vCPU that waits exist only with a local APIC to wake it. */
long do_set_mp_state(struct ioctl_call *call)
{
	const struct kvm_mp_state *state = call->data;
	struct x86_cpu *cpu = call->vcpu->cpu;

	/* An SMI goes before an INIT, and SMM blocks it. */
	if ((x86_in_smm(cpu) || cpu->smi_pending) &&
	    (state->mp_state == KVM_MP_STATE_INIT_RECEIVED ||
	     state->mp_state == KVM_MP_STATE_SIPI_RECEIVED))
		return -EINVAL;
	switch (state->mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		break;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_HALTED:
		if (cpu->lapic)
			break;
		return -EINVAL;
	case KVM_MP_STATE_SIPI_RECEIVED:
		if (!cpu->lapic)
			return -EINVAL;
		/* The vector came with KVM_SET_VCPU_EVENTS. */
		cpu->mp_state = X86_MP_INIT_RECEIVED;
		atomic_or(&cpu->lapic->events, (u32)X86_LAPIC_EVENT_SIPI);
		kvm_make_request(&cpu->vcpu, KVM_REQ_EVENT);
		return 0;
	default:
		return -EINVAL;
	}
	cpu->mp_state = (enum x86_mp_state)state->mp_state;
	return 0;
}
