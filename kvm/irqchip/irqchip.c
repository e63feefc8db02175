/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PIC and I/O APIC in their VM: creation, lines, guests' accesses, and their
 * state for the program (api.rst 4.24, 4.25, 4.26, 4.27, 4.28, 4.70).
 */
#include "kvm/irqchip/irqchip.h"

#include <string.h>

#include "base/bits.h"
#include "kvm/ioctl_table.h"
#include "vcpu/x86/lapic.h"

static unsigned int send(void *arg, const struct x86_irq_msg *msg)
{
	struct vm *vm = arg;

	return x86_lapic_send(&vm->kvm, msg);
}

/* ---- life ------------------------------------------------------------------------------ */

void vm_irqchip_start(struct vm *vm)
{
	struct irqchip *chip = vm->irqchip;

	pthread_mutex_init(&chip->lock, NULL);
	chip->ioapic.send = send;
	chip->ioapic.arg = vm;
	pic_reset(&chip->pic);
	ioapic_reset(&chip->ioapic);
}

void vm_irqchip_end(struct vm *vm)
{
	vm_pit_end(vm);
	irqfd_free_all(vm);
	ioeventfd_free_all(vm);
	irq_routing_free(vm);
	pthread_mutex_destroy(&vm->irqchip->lock);
}

long do_create_irqchip(struct ioctl_call *call)
{
	struct vm *vm = call->vm;
	int ret;

	if (vm->has_irqchip)
		return -EEXIST;
	if (vm->nr_vcpus)
		return -EINVAL;
	ret = irq_routing_set_default(vm);
	if (ret)
		return ret;
	vm->irqchip->has_chips = true;
	vm->has_irqchip = true;
	return 0;
}

long vm_split_irqchip(struct vm *vm, u64 pins)
{
	if (pins > IRQ_MAX_ROUTES)
		return -EINVAL;
	if (vm->has_irqchip)
		return -EEXIST;
	if (vm->nr_vcpus)
		return -EINVAL;
	vm->irqchip->split_pins = (u32)pins;
	vm->has_irqchip = true;
	return 0;
}

/* ---- lines --------------------------------------------------------------------------------- */

/* The CPUs whose local APICs are open to the PIC look at it. */
static void announce_pic(struct vm *vm)
{
	bool output = pic_output(&vm->irqchip->pic);

	atomic_publish(&vm->machine.extint, output);
	if (!output)
		return;
	for (u32 i = 0; i < atomic_observe(&vm->nr_vcpus); i++)
		x86_lapic_notify_extint(vm->vcpu[i]->cpu);
}

void irqchip_set_pic(struct vm *vm, u32 pin, bool level)
{
	pic_set(&vm->irqchip->pic, pin, level);
	announce_pic(vm);
}

unsigned int irqchip_set_ioapic(struct vm *vm, u32 pin, bool level)
{
	return ioapic_set(&vm->irqchip->ioapic, pin, level);
}

/* Several sources share a line. */
static bool combine(struct irqchip *chip, u32 gsi, enum irq_source source, bool level)
{
	if (gsi >= IOAPIC_PINS)
		return level;
	if (level)
		chip->sources[gsi] |= (u8)source;
	else
		chip->sources[gsi] &= (u8)~source;
	return chip->sources[gsi] != 0;
}

int irqchip_set_gsi(struct vm *vm, u32 gsi, enum irq_source source, bool level)
{
	struct irqchip *chip = vm->irqchip;
	int taken;

	pthread_mutex_lock(&chip->lock);
	taken = irq_routing_set(vm, gsi, combine(chip, gsi, source, level));
	pthread_mutex_unlock(&chip->lock);
	return taken;
}

void irqchip_pulse_gsi(struct vm *vm, u32 gsi)
{
	irq_routing_set(vm, gsi, true);
	if (gsi >= IOAPIC_PINS || !vm->irqchip->sources[gsi])
		irq_routing_set(vm, gsi, false);
}

/* Without interrupt controllers of ours there are no lines (KVM says -ENXIO). */
static long set_line(struct ioctl_call *call, s32 *status)
{
	struct kvm_irq_level *line = call->data;

	if (!call->vm->has_irqchip)
		return -ENXIO;
	*status = irqchip_set_gsi(call->vm, line->irq, IRQ_SOURCE_USER, line->level != 0);
	return 0;
}

long do_irq_line(struct ioctl_call *call)
{
	s32 status;

	return set_line(call, &status);
}

long do_irq_line_status(struct ioctl_call *call)
{
	struct kvm_irq_level *line = call->data;
	s32 status = 0;
	long ret = set_line(call, &status);

	line->status = status;
	return ret;
}

/* ---- CPUs ------------------------------------------------------------------------------- */

int irqchip_acknowledge_pic(struct x86_cpu *cpu)
{
	struct vm *vm = ((struct vcpu *)cpu->owner)->vm;
	int vector = -1;

	pthread_mutex_lock(&vm->irqchip->lock);
	if (pic_output(&vm->irqchip->pic))
		vector = pic_acknowledge(&vm->irqchip->pic);
	announce_pic(vm);
	pthread_mutex_unlock(&vm->irqchip->lock);
	return vector;
}

/* With a split irqchip the I/O APIC is the program's: it is told. */
static void tell_program(struct vcpu *vcpu, u8 vector)
{
	if (!irq_routing_has_level_vector(vcpu->vm, vector))
		return;
	vcpu->ended_vector = vector;
	kvm_make_request(&vcpu->cpu->vcpu, KVM_REQ_KICK);
}

void irqchip_eoi(struct x86_cpu *cpu, u8 vector)
{
	struct vcpu *vcpu = cpu->owner;
	struct irqchip *chip = vcpu->vm->irqchip;
	u32 pins;

	pthread_mutex_lock(&chip->lock);
	if (chip->has_chips) {
		ioapic_eoi(&chip->ioapic, vector, &pins);
		irqfd_resample(vcpu->vm, pins);
	} else {
		tell_program(vcpu, vector);
	}
	pthread_mutex_unlock(&chip->lock);
}

/* ---- guests' accesses ------------------------------------------------------------------- */

bool irqchip_port(struct vm *vm, u16 port, u32 bytes, bool write, u8 *data)
{
	struct irqchip *chip = vm->irqchip;

	if (!chip->has_chips || !pic_has_port(port))
		return false;
	/* The chips are eight bits wide. */
	if (bytes != 1) {
		if (!write)
			memset(data, 0xff, bytes);
		return true;
	}
	pthread_mutex_lock(&chip->lock);
	if (write)
		pic_write(&chip->pic, port, *data);
	else
		*data = pic_read(&chip->pic, port);
	announce_pic(vm);
	pthread_mutex_unlock(&chip->lock);
	return true;
}

bool irqchip_mmio(struct vm *vm, gpa_t gpa, u32 bytes, bool write, u8 *data)
{
	struct irqchip *chip = vm->irqchip;
	u32 offset = (u32)(gpa - chip->ioapic.base), value = 0;

	if (!chip->has_chips || gpa < chip->ioapic.base || offset >= IOAPIC_BYTES)
		return false;
	pthread_mutex_lock(&chip->lock);
	if (write) {
		memcpy(&value, data, bytes < 4 ? bytes : 4);
		ioapic_write(&chip->ioapic, offset, value);
	} else {
		value = ioapic_read(&chip->ioapic, offset);
		memset(data, 0, bytes);
		memcpy(data, &value, bytes < 4 ? bytes : 4);
	}
	pthread_mutex_unlock(&chip->lock);
	return true;
}

/* ---- the program's ---------------------------------------------------------------------- */

static void pic_out(const struct pic_chip *from, struct kvm_pic_state *to)
{
	*to = (struct kvm_pic_state){
		.last_irr = from->last_irr,
		.irr = from->irr,
		.imr = from->imr,
		.isr = from->isr,
		.priority_add = from->priority_add,
		.irq_base = from->irq_base,
		.read_reg_select = from->read_isr,
		.poll = from->poll,
		.special_mask = from->special_mask,
		.init_state = from->init_state,
		.auto_eoi = from->auto_eoi,
		.rotate_on_auto_eoi = from->rotate_on_auto_eoi,
		.special_fully_nested_mode = from->special_fully_nested_mode,
		.init4 = from->init4,
		.elcr = from->elcr,
		.elcr_mask = from->elcr_mask,
	};
}

/* Only values that the chip could have. */
static void pic_in(struct pic_chip *to, const struct kvm_pic_state *from)
{
	*to = (struct pic_chip){
		.last_irr = from->last_irr,
		.irr = from->irr,
		.imr = from->imr,
		.isr = from->isr,
		.priority_add = from->priority_add & 7,
		.irq_base = from->irq_base & 0xf8,
		.read_isr = from->read_reg_select & 1,
		.poll = from->poll & 1,
		.special_mask = from->special_mask & 1,
		.init_state = from->init_state & 3,
		.auto_eoi = from->auto_eoi & 1,
		.rotate_on_auto_eoi = from->rotate_on_auto_eoi & 1,
		.special_fully_nested_mode = from->special_fully_nested_mode & 1,
		.init4 = from->init4 & 1,
		.elcr = from->elcr & to->elcr_mask,
		.elcr_mask = to->elcr_mask,
	};
}

static void ioapic_out(const struct ioapic *from, struct kvm_ioapic_state *to)
{
	*to = (struct kvm_ioapic_state){
		.base_address = from->base,
		.ioregsel = from->select,
		.id = from->id,
		.irr = from->irr,
	};
	for (u32 pin = 0; pin < IOAPIC_PINS; pin++)
		to->redirtbl[pin].bits = from->entry[pin];
}

static void ioapic_in(struct ioapic *to, const struct kvm_ioapic_state *from)
{
	to->base = from->base_address;
	to->select = (u8)from->ioregsel;
	to->id = from->id & 15;
	to->irr = from->irr & (u32)GENMASK_ULL(IOAPIC_PINS - 1, 0);
	for (u32 pin = 0; pin < IOAPIC_PINS; pin++)
		to->entry[pin] = from->redirtbl[pin].bits;
	ioapic_resume(to);
}

static long get_chip(struct irqchip *chip, struct kvm_irqchip *state)
{
	switch (state->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		pic_out(&chip->pic.chip[state->chip_id], &state->chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		ioapic_out(&chip->ioapic, &state->chip.ioapic);
		return 0;
	default:
		return -EINVAL;
	}
}

static long set_chip(struct irqchip *chip, const struct kvm_irqchip *state)
{
	switch (state->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		pic_in(&chip->pic.chip[state->chip_id], &state->chip.pic);
		return 0;
	case KVM_IRQCHIP_IOAPIC:
		ioapic_in(&chip->ioapic, &state->chip.ioapic);
		return 0;
	default:
		return -EINVAL;
	}
}

long do_get_irqchip(struct ioctl_call *call)
{
	struct irqchip *chip = call->vm->irqchip;
	long ret;

	if (!chip->has_chips)
		return -ENXIO;
	pthread_mutex_lock(&chip->lock);
	ret = get_chip(chip, call->data);
	pthread_mutex_unlock(&chip->lock);
	return ret;
}

long do_set_irqchip(struct ioctl_call *call)
{
	struct irqchip *chip = call->vm->irqchip;
	long ret;

	if (!chip->has_chips)
		return -ENXIO;
	pthread_mutex_lock(&chip->lock);
	ret = set_chip(chip, call->data);
	announce_pic(call->vm);
	pthread_mutex_unlock(&chip->lock);
	return ret;
}
