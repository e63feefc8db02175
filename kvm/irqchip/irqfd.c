/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events of the program that become interrupts (api.rst 4.75).
 *
 * A thread of the VM's own waits for the eventfds.  All it does and all that
 * is assigned is under the irqchip's lock, so that after a deassignment
 * nothing arrives any more.
 */
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/bits.h"
#include "host/sys.h"
#include "kvm/file.h"
#include "kvm/ioctl_table.h"
#include "kvm/irqchip/eventfd.h"
#include "kvm/irqchip/irqchip.h"

struct irqfd {
	struct irqfd *next;
	struct held_eventfd event, resample;
	u32 gsi;
	u64 key; /* names it in the epoll set: never used again */
};

struct irqfds {
	struct irqfd *first;
	u64 next_key;
	int epoll;
	int stop; /* an eventfd; key 0 */
	pthread_t thread;
};

#define STOP_KEY       0u
#define EVENTS_AT_ONCE 16

/* ---- the thread ------------------------------------------------------------------------ */

/* A level stays up until the guest's EOI, an edge is up and down. */
static void inject(struct vm *vm, const struct irqfd *irqfd)
{
	struct irqchip *chip = vm->irqchip;

	if (irqfd->resample.fd >= 0) {
		if (irqfd->gsi < IOAPIC_PINS)
			chip->sources[irqfd->gsi] |= IRQ_SOURCE_RESAMPLE;
		irq_routing_set(vm, irqfd->gsi, true);
		return;
	}
	irqchip_pulse_gsi(vm, irqfd->gsi);
}

static void handle_event(struct vm *vm, u64 key)
{
	struct irqfd *irqfd = vm->irqchip->irqfds->first;

	while (irqfd && irqfd->key != key)
		irqfd = irqfd->next;
	if (irqfd && eventfd_consume(&irqfd->event))
		inject(vm, irqfd);
}

static void *watch(void *arg)
{
	struct vm *vm = arg;
	struct irqfds *irqfds = vm->irqchip->irqfds;
	struct epoll_event events[EVENTS_AT_ONCE];

	for (;;) {
		long nr = host_call(irqfd_wait, SYS_epoll_pwait, irqfds->epoll, events,
				    EVENTS_AT_ONCE, -1, NULL, 8);

		for (long i = 0; i < nr; i++) {
			if (events[i].data.u64 == STOP_KEY)
				return NULL;
			pthread_mutex_lock(&vm->irqchip->lock);
			handle_event(vm, events[i].data.u64);
			pthread_mutex_unlock(&vm->irqchip->lock);
		}
	}
}

static int add_to_set(const struct irqfds *irqfds, int fd, u64 key)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = key};

	/* KVM has no such set that could be full, nor descriptors to run out of. */
	return host_call(irqfd_set, SYS_epoll_ctl, irqfds->epoll, EPOLL_CTL_ADD, fd, &event)
		       ? -ENOMEM
		       : 0;
}

static void free_irqfds(struct irqfds *irqfds)
{
	if (irqfds->epoll >= 0)
		kvm_raw_close(irqfds->epoll);
	if (irqfds->stop >= 0)
		kvm_raw_close(irqfds->stop);
	mmu_host_free(irqfds);
}

/* On first use; vm->lock is held. */
static int start(struct vm *vm)
{
	struct irqfds *irqfds = mmu_host_alloc(SITE_irqfd, sizeof(*irqfds));
	int ret;

	if (!irqfds)
		return -ENOMEM;
	irqfds->epoll = kvm_raw_move_high(host_call(irqfd_set, SYS_epoll_create1, EPOLL_CLOEXEC));
	irqfds->stop = kvm_raw_move_high(host_call(irqfd_set, SYS_eventfd2, 0, EFD_CLOEXEC));
	ret = irqfds->epoll < 0 || irqfds->stop < 0 ? -ENOMEM
						    : add_to_set(irqfds, irqfds->stop, STOP_KEY);
	vm->irqchip->irqfds = irqfds;
	if (!ret && host_thread_create(SITE_irqfd_thread, &irqfds->thread, watch, vm))
		ret = -ENOMEM;
	if (ret) {
		vm->irqchip->irqfds = NULL;
		free_irqfds(irqfds);
	}
	return ret;
}

/* ---- the program's ---------------------------------------------------------------------- */

static void discard(struct irqfd *irqfd)
{
	eventfd_release(&irqfd->event);
	eventfd_release(&irqfd->resample);
	mmu_host_free(irqfd);
}

static int hold_both(struct irqfd *irqfd, const struct kvm_irqfd *args)
{
	int ret = eventfd_hold(&irqfd->event, (int)args->fd);

	if (!ret && (args->flags & KVM_IRQFD_FLAG_RESAMPLE))
		ret = eventfd_hold(&irqfd->resample, (int)args->resamplefd);
	return ret;
}

/* One eventfd is one interrupt. */
static int link_irqfd(struct irqchip *chip, struct irqfd *irqfd)
{
	int ret;

	for (struct irqfd *at = chip->irqfds->first; at; at = at->next) {
		if (at->event.id == irqfd->event.id)
			return -EBUSY;
	}
	irqfd->key = ++chip->irqfds->next_key;
	ret = add_to_set(chip->irqfds, irqfd->event.fd, irqfd->key);
	if (ret)
		return ret;
	irqfd->next = chip->irqfds->first;
	chip->irqfds->first = irqfd;
	return 0;
}

static struct irqfd *unlink_irqfd(struct irqchip *chip, u64 id, u32 gsi)
{
	for (struct irqfd **link = &chip->irqfds->first; *link; link = &(*link)->next) {
		struct irqfd *irqfd = *link;

		if (irqfd->event.id == id && irqfd->gsi == gsi) {
			*link = irqfd->next;
			return irqfd;
		}
	}
	return NULL;
}

static long assign(struct vm *vm, const struct kvm_irqfd *args)
{
	struct irqfd *irqfd = mmu_host_alloc(SITE_irqfd, sizeof(*irqfd));
	long ret;

	if (!irqfd)
		return -ENOMEM;
	irqfd->event.fd = irqfd->resample.fd = -1;
	irqfd->gsi = args->gsi;
	ret = hold_both(irqfd, args);
	if (!ret && !vm->irqchip->irqfds)
		ret = start(vm);
	if (!ret) {
		pthread_mutex_lock(&vm->irqchip->lock);
		ret = link_irqfd(vm->irqchip, irqfd);
		pthread_mutex_unlock(&vm->irqchip->lock);
	}
	if (ret)
		discard(irqfd);
	return ret;
}

static long deassign(struct vm *vm, const struct kvm_irqfd *args)
{
	struct irqfd *irqfd = NULL;
	u64 id;
	int ret = eventfd_identify((int)args->fd, &id);

	if (ret)
		return ret;
	if (!vm->irqchip->irqfds)
		return 0;
	pthread_mutex_lock(&vm->irqchip->lock);
	irqfd = unlink_irqfd(vm->irqchip, id, args->gsi);
	if (irqfd)
		host_sure(SYS_epoll_ctl, vm->irqchip->irqfds->epoll, EPOLL_CTL_DEL, irqfd->event.fd,
			  NULL);
	pthread_mutex_unlock(&vm->irqchip->lock);
	if (irqfd)
		discard(irqfd);
	return 0;
}

long do_irqfd(struct ioctl_call *call)
{
	const struct kvm_irqfd *args = call->data;

	if (args->flags & ~(u32)(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (args->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return deassign(call->vm, args);
	if (!call->vm->has_irqchip || args->gsi >= IRQ_MAX_ROUTES)
		return -EINVAL;
	return assign(call->vm, args);
}

void irqfd_resample(struct vm *vm, u32 pins)
{
	struct irqchip *chip = vm->irqchip;
	struct irqfd *irqfd = chip->irqfds ? chip->irqfds->first : NULL;

	for (; irqfd; irqfd = irqfd->next) {
		if (irqfd->resample.fd < 0 || !irq_routing_leads_to(vm, irqfd->gsi, pins))
			continue;
		if (irqfd->gsi < IOAPIC_PINS)
			chip->sources[irqfd->gsi] &= (u8)~IRQ_SOURCE_RESAMPLE;
		irq_routing_set(vm, irqfd->gsi,
				irqfd->gsi < IOAPIC_PINS && chip->sources[irqfd->gsi]);
		eventfd_signal(&irqfd->resample);
	}
}

void irqfd_free_all(struct vm *vm)
{
	struct irqfds *irqfds = vm->irqchip->irqfds;
	const u64 one = 1;

	if (!irqfds)
		return;
	host_sure(SYS_write, irqfds->stop, &one, sizeof(one));
	pthread_join(irqfds->thread, NULL);
	while (irqfds->first) {
		struct irqfd *irqfd = irqfds->first;

		irqfds->first = irqfd->next;
		discard(irqfd);
	}
	vm->irqchip->irqfds = NULL;
	free_irqfds(irqfds);
}
