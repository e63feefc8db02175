/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Coalesced MMIO and port I/O (api.rst 4.116): writes to registered zones go
 * to a ring and do not end the run, until it is full.
 *
 * There is one ring in a VM, and it appears in every vCPU's mapping: a page
 * of ours is laid over the one that the vCPU's own file has there.
 */
#include <string.h>
#include <sys/mman.h>

#include "host/sys.h"
#include "kvm/ioctl_table.h"
#include "kvm/kvm_api.h"
#include "kvm/vm_coalesced.h"

#define RING_START (KVM_COALESCED_MMIO_PAGE_OFFSET * PAGE_SIZE)

int vm_coalesced_create(struct vm *vm)
{
	struct vm_coalesced *c = &vm->coalesced;
	long page = host_call(coalesced_map, SYS_mmap, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (page < 0)
		return -ENOMEM;
	c->ring = hva_to_ptr((hva_t)page);
	pthread_mutex_init(&c->lock, NULL);
	return 0;
}

void vm_coalesced_destroy(struct vm *vm)
{
	host_munmap(vm->coalesced.ring, PAGE_SIZE);
	pthread_mutex_destroy(&vm->coalesced.lock);
}

/* ---- the program's mapping ------------------------------------------------------------- */

/* mremap() of no bytes of a shared mapping makes a second one of the same page. */
static int lay_over(const struct vm *vm, hva_t at, int prot)
{
	if (host_call(coalesced_map, SYS_mremap, vm->coalesced.ring, 0, PAGE_SIZE,
		      MREMAP_MAYMOVE | MREMAP_FIXED, at) < 0)
		return -ENOMEM;
	if (prot != (PROT_READ | PROT_WRITE) &&
	    host_call(coalesced_map, SYS_mprotect, at, PAGE_SIZE, prot) < 0)
		return -ENOMEM;
	return 0;
}

int kvm_api_vcpu_mapped(int fd, hva_t at, u64 offset, u64 bytes, int prot)
{
	struct kvm_file *file = kvm_file_get(fd);
	int ret = 0;

	if (!file)
		return 0;
	if (file->kind == KVM_FILE_VCPU && offset <= RING_START && offset + bytes > RING_START)
		ret = lay_over(file->vm, at + (RING_START - offset), prot);
	kvm_file_put(file);
	return ret;
}

/* ---- zones --------------------------------------------------------------------------------- */

static bool in_zone(const struct kvm_coalesced_mmio_zone *zone, bool pio, u64 addr, u64 bytes)
{
	return (zone->pio != 0) == pio && addr >= zone->addr && addr + bytes >= addr &&
	       addr + bytes <= zone->addr + zone->size;
}

static bool in_any_zone(const struct vm_coalesced *c, bool pio, u64 addr, u64 bytes)
{
	for (u32 i = 0; i < c->nr_zones; i++) {
		if (in_zone(&c->zones[i], pio, addr, bytes))
			return true;
	}
	return false;
}

static bool zone_valid(const struct kvm_coalesced_mmio_zone *zone)
{
	return zone->pio <= 1;
}

long do_register_coalesced(struct ioctl_call *call)
{
	const struct kvm_coalesced_mmio_zone *zone = call->data;
	struct vm_coalesced *c = &call->vm->coalesced;
	long ret = 0;

	if (!zone_valid(zone))
		return -EINVAL;
	pthread_mutex_lock(&c->lock);
	if (c->nr_zones == VM_COALESCED_ZONES) {
		ret = -ENOSPC;
	} else {
		c->zones[c->nr_zones] = *zone;
		atomic_poke(&c->nr_zones, c->nr_zones + 1);
	}
	pthread_mutex_unlock(&c->lock);
	return ret;
}

/* All zones that cover the one given go; there need not be any. */
long do_unregister_coalesced(struct ioctl_call *call)
{
	const struct kvm_coalesced_mmio_zone *zone = call->data;
	struct vm_coalesced *c = &call->vm->coalesced;
	u32 kept = 0;

	if (!zone_valid(zone))
		return -EINVAL;
	pthread_mutex_lock(&c->lock);
	for (u32 i = 0; i < c->nr_zones; i++) {
		if (!in_zone(&c->zones[i], zone->pio != 0, zone->addr, zone->size))
			c->zones[kept++] = c->zones[i];
	}
	atomic_poke(&c->nr_zones, kept);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

/* ---- writes ---------------------------------------------------------------------------------- */

/* Free entries; one is never used.  The indices are the program's to write: garbage is full. */
static u32 room(const struct kvm_coalesced_mmio_ring *ring, u32 *last)
{
	u32 first = atomic_observe(&ring->first);

	*last = atomic_peek(&ring->last);
	if (first >= KVM_COALESCED_MMIO_MAX || *last >= KVM_COALESCED_MMIO_MAX)
		return 0;
	return (u32)((first + KVM_COALESCED_MMIO_MAX - *last - 1) % KVM_COALESCED_MMIO_MAX);
}

static bool append(struct vm_coalesced *c, const struct coalesced_write *write)
{
	struct kvm_coalesced_mmio_ring *ring = c->ring;
	u32 last;

	if (!in_any_zone(c, write->pio, write->addr, write->bytes) ||
	    room(ring, &last) < write->count)
		return false;
	for (u32 i = 0; i < write->count; i++) {
		struct kvm_coalesced_mmio *entry = &ring->coalesced_mmio[last];

		memset(entry, 0, sizeof(*entry));
		entry->phys_addr = write->addr;
		entry->len = write->bytes;
		entry->pio = write->pio;
		memcpy(entry->data, write->data + i * write->bytes, write->bytes);
		last = (last + 1) % (u32)KVM_COALESCED_MMIO_MAX;
	}
	/* The program sees the entries before it sees the index. */
	atomic_publish(&ring->last, last);
	return true;
}

bool vm_coalesce(struct vm *vm, const struct coalesced_write *write)
{
	struct vm_coalesced *c = &vm->coalesced;
	bool done;

	if (likely(!atomic_peek(&c->nr_zones)))
		return false;
	pthread_mutex_lock(&c->lock);
	done = append(c, write);
	pthread_mutex_unlock(&c->lock);
	return done;
}
