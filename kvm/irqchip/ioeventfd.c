/* SPDX-License-Identifier: BSD-2-Clause */
/* Guests' writes that become events of the program (api.rst 4.59). */
#include <string.h>

#include "base/bits.h"
#include "kvm/ioctl_table.h"
#include "kvm/irqchip/eventfd.h"
#include "kvm/irqchip/irqchip.h"

struct ioeventfd {
	struct ioeventfd *next;
	struct held_eventfd event;
	bool pio;
	u64 addr;
	u32 bytes; /* 0: any */
	bool has_match;
	u64 match;
};

/* As many as KVM has room for devices. */
#define MAX_IOEVENTFDS 1000u

static bool wants(const struct ioeventfd *e, bool pio, u64 addr, u32 bytes, const u8 *data)
{
	u64 value = 0;

	if (e->pio != pio || e->addr != addr || (e->bytes && e->bytes != bytes))
		return false;
	if (!e->has_match)
		return true;
	memcpy(&value, data, bytes < 8 ? bytes : 8);
	return value == e->match;
}

static struct ioeventfd *find_taker(struct irqchip *chip, bool pio, u64 addr, u32 bytes,
				    const u8 *data)
{
	struct ioeventfd *e = chip->ioeventfds;

	while (e && !wants(e, pio, addr, bytes, data))
		e = e->next;
	return e;
}

/* A string write is one event for each element, and only as a whole. */
bool ioeventfd_write(struct vm *vm, bool pio, u64 addr, u32 bytes, u32 count, const u8 *data)
{
	struct irqchip *chip = vm->irqchip;
	bool all = true;

	if (likely(!atomic_peek(&chip->nr_ioeventfds)))
		return false;
	pthread_mutex_lock(&chip->lock);
	for (u32 i = 0; i < count && all; i++)
		all = find_taker(chip, pio, addr, bytes, data + i * bytes) != NULL;
	for (u32 i = 0; i < count && all; i++)
		eventfd_signal(&find_taker(chip, pio, addr, bytes, data + i * bytes)->event);
	pthread_mutex_unlock(&chip->lock);
	return all;
}

/* ---- the program's ------------------------------------------------------------------- */

#define FLAGS \
	((u32)(KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN))

static bool args_valid(const struct kvm_ioeventfd *args)
{
	switch (args->len) {
	case 0: /* any length: then there is nothing to compare */
		if (args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH)
			return false;
		break;
	case 1:
	case 2:
	case 4:
	case 8:
		break;
	default:
		return false;
	}
	return args->addr + args->len >= args->addr && !(args->flags & ~FLAGS);
}

/* Would both want the same write? */
static bool collides(const struct ioeventfd *a, const struct ioeventfd *b)
{
	return a->pio == b->pio && a->addr == b->addr &&
	       (!a->bytes || !b->bytes ||
		(a->bytes == b->bytes && (!a->has_match || !b->has_match || a->match == b->match)));
}

static struct ioeventfd from_args(const struct kvm_ioeventfd *args)
{
	return (struct ioeventfd){
		.pio = args->flags & KVM_IOEVENTFD_FLAG_PIO,
		.addr = args->addr,
		.bytes = args->len,
		.has_match = args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH,
		.match = args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH ? args->datamatch : 0,
	};
}

static long insert(struct irqchip *chip, struct ioeventfd *e)
{
	for (struct ioeventfd *at = chip->ioeventfds; at; at = at->next) {
		if (collides(at, e))
			return -EEXIST;
	}
	if (chip->nr_ioeventfds == MAX_IOEVENTFDS)
		return -ENOSPC;
	e->next = chip->ioeventfds;
	chip->ioeventfds = e;
	atomic_poke(&chip->nr_ioeventfds, chip->nr_ioeventfds + 1);
	return 0;
}

static void discard(struct ioeventfd *e)
{
	eventfd_release(&e->event);
	mmu_host_free(e);
}

static long assign(struct irqchip *chip, const struct kvm_ioeventfd *args)
{
	struct ioeventfd *e = mmu_host_alloc(SITE_ioeventfd, sizeof(*e));
	long ret;

	if (!e)
		return -ENOMEM;
	*e = from_args(args);
	ret = eventfd_hold(&e->event, args->fd);
	if (!ret) {
		pthread_mutex_lock(&chip->lock);
		ret = insert(chip, e);
		pthread_mutex_unlock(&chip->lock);
	}
	if (ret)
		discard(e);
	return ret;
}

static bool is_same(const struct ioeventfd *e, const struct ioeventfd *wanted)
{
	return e->event.id == wanted->event.id && e->pio == wanted->pio &&
	       e->addr == wanted->addr && e->bytes == wanted->bytes &&
	       e->has_match == wanted->has_match && e->match == wanted->match;
}

static struct ioeventfd *unlink_same(struct irqchip *chip, const struct ioeventfd *wanted)
{
	for (struct ioeventfd **link = &chip->ioeventfds; *link; link = &(*link)->next) {
		struct ioeventfd *e = *link;

		if (is_same(e, wanted)) {
			*link = e->next;
			atomic_poke(&chip->nr_ioeventfds, chip->nr_ioeventfds - 1);
			return e;
		}
	}
	return NULL;
}

static long deassign(struct irqchip *chip, const struct kvm_ioeventfd *args)
{
	struct ioeventfd wanted = from_args(args), *found;
	long ret = eventfd_identify(args->fd, &wanted.event.id);

	if (ret)
		return ret;
	pthread_mutex_lock(&chip->lock);
	found = unlink_same(chip, &wanted);
	pthread_mutex_unlock(&chip->lock);
	if (!found)
		return -ENOENT;
	discard(found);
	return 0;
}

long do_ioeventfd(struct ioctl_call *call)
{
	const struct kvm_ioeventfd *args = call->data;

	/* Taking one away is as lenient as KVM is. */
	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		return deassign(call->vm->irqchip, args);
	return args_valid(args) ? assign(call->vm->irqchip, args) : -EINVAL;
}

void ioeventfd_free_all(struct vm *vm)
{
	while (vm->irqchip->ioeventfds) {
		struct ioeventfd *e = vm->irqchip->ioeventfds;

		vm->irqchip->ioeventfds = e->next;
		discard(e);
	}
}
