/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where interrupt lines (GSIs) lead: to pins of our chips and to messages
 * (api.rst 4.52, 4.71).
 */
#include <string.h>

#include "base/bits.h"
#include "kvm/ioctl_table.h"
#include "kvm/irqchip/irqchip.h"
#include "kvm/user_copy.h"
#include "vcpu/x86/lapic.h"

struct irq_routing {
	u32 nr;
	struct kvm_irq_routing_entry entries[];
};

#define PIC_CHIP_PINS (PIC_PINS / 2)

/* ---- messages ------------------------------------------------------------------------- */

/* SDM vol. 3, 11.11: address and data of a message-signalled interrupt. */
static struct x86_irq_msg msi_of(const struct vm *vm, u32 address_lo, u32 address_hi, u32 data)
{
	struct x86_irq_msg msg = {
		.dest = (address_lo >> 12) & 0xff,
		.logical = address_lo & BIT_ULL(2),
		.vector = (u8)data,
		.delivery = (data >> 8) & 7,
		.level = data & BIT_ULL(15),
		.deassert = (data & BIT_ULL(15)) && !(data & BIT_ULL(14)),
	};

	/* The upper half carries the rest of a 32-bit id, in the same bits. */
	if (vm->x2apic_ids_32bit)
		msg.dest |= address_hi & 0xffffff00u;
	if (msg.dest > 0xff)
		msg.x2apic_ids = true;
	/* "Redirection hint": one of those that are meant. */
	if ((address_lo & BIT_ULL(3)) && msg.delivery == X86_DELIVER_FIXED && msg.logical)
		msg.delivery = X86_DELIVER_LOWEST;
	return msg;
}

long do_signal_msi(struct ioctl_call *call)
{
	const struct kvm_msi *msi = call->data;
	struct x86_irq_msg msg = msi_of(call->vm, msi->address_lo, msi->address_hi, msi->data);

	if (!call->vm->has_irqchip || msi->flags)
		return -EINVAL;
	if (call->vm->x2apic_ids_32bit && (msi->address_hi & 0xff))
		return -EINVAL;
	return (long)x86_lapic_send(&call->vm->kvm, &msg);
}

/* ---- lines ------------------------------------------------------------------------------- */

static int set_pin(struct vm *vm, u32 chip, u32 pin, bool level)
{
	switch (chip) {
	case KVM_IRQCHIP_PIC_MASTER:
		irqchip_set_pic(vm, pin, level);
		return 0;
	case KVM_IRQCHIP_PIC_SLAVE:
		irqchip_set_pic(vm, PIC_CHIP_PINS + pin, level);
		return 0;
	default:
		return (int)irqchip_set_ioapic(vm, pin, level);
	}
}

static int set_entry(struct vm *vm, const struct kvm_irq_routing_entry *entry, bool level)
{
	if (entry->type == KVM_IRQ_ROUTING_IRQCHIP)
		return set_pin(vm, entry->u.irqchip.irqchip, entry->u.irqchip.pin, level);
	if (level) {
		struct x86_irq_msg msg = msi_of(vm, entry->u.msi.address_lo,
						entry->u.msi.address_hi, entry->u.msi.data);

		return (int)x86_lapic_send(&vm->kvm, &msg);
	}
	return 0;
}

int irq_routing_set(struct vm *vm, u32 gsi, bool level)
{
	const struct irq_routing *routing = vm->irqchip->routing;
	int taken = -1;

	for (u32 i = 0; routing && i < routing->nr; i++) {
		if (routing->entries[i].gsi != gsi)
			continue;
		taken = (taken < 0 ? 0 : taken) + set_entry(vm, &routing->entries[i], level);
	}
	return taken;
}

bool irq_routing_has_level_vector(struct vm *vm, u8 vector)
{
	const struct irq_routing *routing = vm->irqchip->routing;

	for (u32 i = 0; routing && i < routing->nr; i++) {
		const struct kvm_irq_routing_entry *entry = &routing->entries[i];

		if (entry->gsi < vm->irqchip->split_pins && entry->type == KVM_IRQ_ROUTING_MSI &&
		    (u8)entry->u.msi.data == vector && (entry->u.msi.data & BIT_ULL(15)))
			return true;
	}
	return false;
}

bool irq_routing_leads_to(struct vm *vm, u32 gsi, u32 pins)
{
	const struct irq_routing *routing = vm->irqchip->routing;

	for (u32 i = 0; routing && i < routing->nr; i++) {
		const struct kvm_irq_routing_entry *entry = &routing->entries[i];

		if (entry->gsi == gsi && entry->type == KVM_IRQ_ROUTING_IRQCHIP &&
		    entry->u.irqchip.irqchip == KVM_IRQCHIP_IOAPIC &&
		    (pins & BIT_ULL(entry->u.irqchip.pin)))
			return true;
	}
	return false;
}

static bool any_cpu_has(struct vm *vm, u8 vector)
{
	for (u32 i = 0; i < atomic_observe(&vm->nr_vcpus); i++) {
		if (x86_lapic_has_vector(vm->vcpu[i]->cpu, vector))
			return true;
	}
	return false;
}

static enum irq_edge pin_edge_state(struct vm *vm, const struct kvm_irq_routing_irqchip *to)
{
	u32 pin = to->irqchip == KVM_IRQCHIP_PIC_SLAVE ? PIC_CHIP_PINS + to->pin : to->pin;
	const struct irqchip *chip = vm->irqchip;
	u8 vector;

	if (to->irqchip == KVM_IRQCHIP_IOAPIC) {
		if (!ioapic_passes(&chip->ioapic, to->pin, &vector))
			return IRQ_EDGE_BLOCKED;
		return any_cpu_has(vm, vector) ? IRQ_EDGE_BUSY : IRQ_EDGE_FREE;
	}
	if (pic_is_masked(&chip->pic, pin))
		return IRQ_EDGE_BLOCKED;
	return pic_is_busy(&chip->pic, pin) ? IRQ_EDGE_BUSY : IRQ_EDGE_FREE;
}

/* A line may lead to several: it is as free as the freest. */
enum irq_edge irq_routing_edge_state(struct vm *vm, u32 gsi)
{
	const struct irq_routing *routing = vm->irqchip->routing;
	enum irq_edge found = IRQ_EDGE_BLOCKED;

	for (u32 i = 0; routing && i < routing->nr; i++) {
		const struct kvm_irq_routing_entry *entry = &routing->entries[i];
		enum irq_edge state = IRQ_EDGE_FREE; /* a message is never held back */

		if (entry->gsi != gsi)
			continue;
		if (entry->type == KVM_IRQ_ROUTING_IRQCHIP)
			state = pin_edge_state(vm, &entry->u.irqchip);
		found = state > found ? state : found;
	}
	return found;
}

/* ---- the table ------------------------------------------------------------------------------ */

static void replace(struct vm *vm, struct irq_routing *routing)
{
	struct irq_routing *old;

	pthread_mutex_lock(&vm->irqchip->lock);
	old = vm->irqchip->routing;
	vm->irqchip->routing = routing;
	pthread_mutex_unlock(&vm->irqchip->lock);
	mmu_host_free(old);
}

void irq_routing_free(struct vm *vm)
{
	mmu_host_free(vm->irqchip->routing);
}

static struct kvm_irq_routing_entry to_pin(u32 gsi, u32 chip, u32 pin)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = {.irqchip = chip, .pin = pin},
	};
}

/* The first 16 lines reach both, as on a PC. */
int irq_routing_set_default(struct vm *vm)
{
	u32 nr = IOAPIC_PINS + PIC_PINS;
	struct irq_routing *routing = mmu_host_alloc(
		SITE_irq_routing, sizeof(*routing) + nr * sizeof(routing->entries[0]));

	if (!routing)
		return -ENOMEM;
	for (u32 gsi = 0; gsi < IOAPIC_PINS; gsi++)
		routing->entries[routing->nr++] = to_pin(gsi, KVM_IRQCHIP_IOAPIC, gsi);
	for (u32 gsi = 0; gsi < PIC_PINS; gsi++)
		routing->entries[routing->nr++] = to_pin(
			gsi, gsi < PIC_CHIP_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
			gsi % PIC_CHIP_PINS);
	replace(vm, routing);
	return 0;
}

static bool pin_valid(const struct vm *vm, const struct kvm_irq_routing_irqchip *to)
{
	if (!vm->irqchip->has_chips)
		return false;
	switch (to->irqchip) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		return to->pin < PIC_CHIP_PINS;
	case KVM_IRQCHIP_IOAPIC:
		return to->pin < IOAPIC_PINS;
	default:
		return false;
	}
}

static bool entry_valid(const struct vm *vm, const struct kvm_irq_routing_entry *entry)
{
	if (entry->flags || entry->gsi >= IRQ_MAX_ROUTES)
		return false;
	switch (entry->type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		return pin_valid(vm, &entry->u.irqchip);
	case KVM_IRQ_ROUTING_MSI:
		return !(vm->x2apic_ids_32bit && (entry->u.msi.address_hi & 0xff));
	default:
		return false;
	}
}

/* A line leads to one pin of each chip at most, or to one message. */
static bool conflicts(u8 *seen, const struct kvm_irq_routing_entry *entry)
{
	const u8 message = 0x80;
	bool is_message = entry->type == KVM_IRQ_ROUTING_MSI;
	u8 bit = message;
	bool conflict;

	if (!is_message)
		bit = (u8)(1u << entry->u.irqchip.irqchip);
	conflict = (*seen & (bit | message)) || (is_message && *seen);
	*seen |= bit;
	return conflict;
}

static bool table_valid(const struct vm *vm, const struct irq_routing *routing)
{
	u8 seen[IRQ_MAX_ROUTES] = {0};

	for (u32 i = 0; i < routing->nr; i++) {
		const struct kvm_irq_routing_entry *entry = &routing->entries[i];

		if (!entry_valid(vm, entry) || conflicts(&seen[entry->gsi], entry))
			return false;
	}
	return true;
}

long do_set_gsi_routing(struct ioctl_call *call)
{
	struct kvm_irq_routing head;
	struct irq_routing *routing;
	u64 bytes;

	if (kvm_copy_from_user(&head, call->arg, sizeof(head)))
		return -EFAULT;
	if (!call->vm->has_irqchip || head.nr > IRQ_MAX_ROUTES || head.flags)
		return -EINVAL;
	bytes = (u64)head.nr * sizeof(routing->entries[0]);
	routing = mmu_host_alloc(SITE_irq_routing, sizeof(*routing) + bytes);
	if (!routing)
		return -ENOMEM;
	routing->nr = head.nr;
	if (kvm_copy_from_user(routing->entries,
			       call->arg + offsetof(struct kvm_irq_routing, entries), bytes)) {
		mmu_host_free(routing);
		return -EFAULT;
	}
	if (!table_valid(call->vm, routing)) {
		mmu_host_free(routing);
		return -EINVAL;
	}
	replace(call->vm, routing);
	return 0;
}
