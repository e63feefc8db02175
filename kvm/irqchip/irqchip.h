/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VM's interrupt controllers besides the local APICs, and the ways into
 * them: lines, messages, eventfds.
 *
 * One lock for all of it, a leaf but for what waking a vCPU takes.  A vCPU
 * takes it in guest mode too (EOI): who holds it must not wait for a vCPU.
 */
#ifndef KVMU_KVM_IRQCHIP_H
#define KVMU_KVM_IRQCHIP_H

#include "kvm/irqchip/ioapic.h"
#include "kvm/irqchip/pic.h"
#include "kvm/vm.h"

/* Who holds a line up; it is high while anybody does. */
enum irq_source {
	IRQ_SOURCE_USER = 1u << 0,     /* KVM_IRQ_LINE */
	IRQ_SOURCE_RESAMPLE = 1u << 1, /* irqfds that are lowered by the guest's EOI */
};

#define IRQ_MAX_ROUTES 4096u /* as many GSIs and as many entries, as KVM */

struct irq_routing; /* routing.c */
struct irqfds;	    /* irqfd.c */
struct ioeventfd;   /* ioeventfd.c */
struct vm_pit;	    /* vm_pit.c */

struct irqchip {
	pthread_mutex_t lock;
	bool has_chips; /* PIC and I/O APIC are ours */
	u32 split_pins; /* KVM_CAP_SPLIT_IRQCHIP: GSIs kept for user space's I/O APIC */
	struct pic pic;
	struct ioapic ioapic;
	u8 sources[IOAPIC_PINS]; /* enum irq_source: who holds a GSI up */
	struct irq_routing *routing;
	struct irqfds *irqfds; /* NULL: none yet */
	struct ioeventfd *ioeventfds;
	u32 nr_ioeventfds;    /* looked at without the lock */
	struct vm_pit *timer; /* NULL: none */
};

/* ---- life (irqchip.c) ------------------------------------------------------------------- */

void vm_irqchip_start(struct vm *vm);
void vm_irqchip_end(struct vm *vm);
/* KVM_CAP_SPLIT_IRQCHIP. */
long vm_split_irqchip(struct vm *vm, u64 pins);

/* ---- interrupts (irqchip.c, routing.c) ----------------------------------------------------- */

/*
 * Set @gsi as @source sees it, along its routes.  How many CPUs took it, 0 for
 * one that was held back, -1 when there is no route.
 */
int irqchip_set_gsi(struct vm *vm, u32 gsi, enum irq_source source, bool level);
/* With the lock held, an edge: up and down, unless somebody holds the line up. */
void irqchip_pulse_gsi(struct vm *vm, u32 gsi);

/* With the lock held: one route after the other; the sum as above. */
int irq_routing_set(struct vm *vm, u32 gsi, bool level);
/* Is there a route by message with this level-triggered @vector? (split irqchip) */
bool irq_routing_has_level_vector(struct vm *vm, u8 vector);
/* Does @gsi lead to one of these I/O APIC pins? */
bool irq_routing_leads_to(struct vm *vm, u32 gsi, u32 pins);
/* What has become of the last edge of a line; from bad to good. */
enum irq_edge {
	IRQ_EDGE_BLOCKED, /* it is masked wherever it leads to */
	IRQ_EDGE_BUSY,	  /* the guest has not dealt with it yet: another would be lost */
	IRQ_EDGE_FREE,
};
/* With the lock held. */
enum irq_edge irq_routing_edge_state(struct vm *vm, u32 gsi);
/* The usual PC's table. */
int irq_routing_set_default(struct vm *vm) KVMU_MUST_CHECK;
void irq_routing_free(struct vm *vm);

/* With the lock held; pins of our own chips. */
void irqchip_set_pic(struct vm *vm, u32 pin, bool level);
unsigned int irqchip_set_ioapic(struct vm *vm, u32 pin, bool level);

/* ---- the CPUs' side (irqchip.c) ------------------------------------------------------------- */

/* The vector of the PIC, or -1 when it has thought better of it. */
int irqchip_acknowledge_pic(struct x86_cpu *cpu);
void irqchip_eoi(struct x86_cpu *cpu, u8 vector);
/* Port or memory access of a guest; true: it was one of the chips'. @data as wide as @bytes. */
bool irqchip_port(struct vm *vm, u16 port, u32 bytes, bool write, u8 *data);
bool irqchip_mmio(struct vm *vm, gpa_t gpa, u32 bytes, bool write, u8 *data);

/* ---- the interval timer (vm_pit.c) ---------------------------------------------------------- */

/* As irqchip_port(). */
bool vm_pit_port(struct vm *vm, u16 port, u32 bytes, bool write, u8 *data);
/* Before the vCPUs go: its thread sends to them. */
void vm_pit_end(struct vm *vm);

/* ---- eventfds --------------------------------------------------------------------------- */

/* A guest's write: true, an eventfd has got it. @count elements of a string write. */
bool ioeventfd_write(struct vm *vm, bool pio, u64 addr, u32 bytes, u32 count, const u8 *data);
void ioeventfd_free_all(struct vm *vm);

/* The guest has ended the interrupt of these I/O APIC pins (lock held). */
void irqfd_resample(struct vm *vm, u32 pins);
void irqfd_free_all(struct vm *vm);

#endif
