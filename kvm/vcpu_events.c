/* SPDX-License-Identifier: BSD-2-Clause */
/* Pending events, injection and the multiprocessing state (api.rst 4.16, 4.38, 4.39, 4.64, 4.66).
 */
#include <string.h>

#include "kvm/ioctl_table.h"
#include "kvm/irqchip/irqchip.h"
#include "vcpu/x86/lapic.h"

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

void vcpu_events_read(struct vcpu *vcpu, struct kvm_vcpu_events *events)
{
	const struct x86_cpu *cpu = vcpu->cpu;

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
	events->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
}

/* SMM, payloads and the triple-fault event need capabilities that are not there. */
#define EVENT_FLAGS                                                          \
	(KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR | \
	 KVM_VCPUEVENT_VALID_SHADOW)

static bool events_valid(const struct kvm_vcpu_events *events)
{
	if (events->flags & ~(u32)EVENT_FLAGS)
		return false;
	/* An exception's number; NMI is none. */
	return !events->exception.injected ||
	       (events->exception.nr <= 31 && events->exception.nr != X86_NMI);
}

int vcpu_events_write(struct vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	struct x86_cpu *cpu = vcpu->cpu;

	if (!events_valid(events))
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
