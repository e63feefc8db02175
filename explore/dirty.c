/* SPDX-License-Identifier: BSD-2-Clause */
#include "explore/dirty.h"

#include <string.h>

#include "explore/host_model.h"
#include "explore/sched.h"
#include "explore/trace.h"

#define GUEST_PAGES 128u

/* So small that two writes fill it. */
#define RING_ENTRIES  16u /* a scenario writes less: nobody has to wait for a harvest */
#define RING_RESERVED 2u

static struct kvm *kvm;
static u64 copied[GUEST_PAGES]; /* content of each page when it was copied last */

/* The rings' memory, and where the program is in each. */
static struct {
	struct kvm_vcpu *vcpu;
	struct kvm_ring_entry entry[RING_ENTRIES];
	u32 next;
} rings[SCENARIO_THREADS];
static u32 nr_rings;

/* ---- copying ------------------------------------------------------------------------- */

static struct host_page *page_of(gfn_t gfn)
{
	const struct kvm_memory_slot *slot = kvm_gfn_to_memslot(kvm, gfn);

	return slot ? host_page_at(kvm_slot_gfn_to_hva(slot, gfn)) : NULL;
}

static void copy_page(gfn_t gfn)
{
	const struct host_page *page = page_of(gfn);

	copied[gfn] = page ? page->content : 0;
}

static void copy_named(u32 id, u64 first, u64 mask)
{
	const struct kvm_memory_slot *slot = kvm->slot_by_id[0][id];

	for (; slot && mask; mask &= mask - 1) {
		gfn_t gfn = slot->base_gfn + first + (u64)__builtin_ctzll(mask);

		trace_note("copies guest page %llu", (unsigned long long)gfn);
		copy_page(gfn);
	}
}

/* ---- bitmaps ------------------------------------------------------------------------- */

/* The program's bitmap; slots are smaller than it. */
struct bitmap {
	u64 word;
};

static int put(void *ctx, u64 offset, const void *from, u64 bytes)
{
	struct bitmap *bitmap = ctx;

	if (offset || bytes != sizeof(bitmap->word))
		sched_fail("a bitmap of another size than the slot's");
	bitmap->word = 0;
	if (from)
		memcpy(&bitmap->word, from, sizeof(bitmap->word));
	return 0;
}

static int get(void *ctx, u64 offset, void *to, u64 bytes)
{
	const struct bitmap *bitmap = ctx;

	(void)offset;
	memcpy(to, &bitmap->word, bytes);
	return 0;
}

static void harvest_bitmap(u32 id)
{
	struct bitmap bitmap = {0};
	const struct kvm_dirty_user user = {.put = put, .get = get, .ctx = &bitmap};
	const struct kvm_memory_slot *slot = kvm->slot_by_id[0][id];
	int err = kvm_get_dirty_log(kvm, id, &user);

	if (!err && (kvm->dirty.manual & KVM_DIRTY_MANUAL_PROTECT))
		err = kvm_clear_dirty_log(kvm, id, 0, (u32)slot->npages, &user);
	trace_note("harvest: %d, pages %#llx", err, (unsigned long long)bitmap.word);
	if (!err)
		copy_named(id, 0, bitmap.word);
}

/* ---- rings --------------------------------------------------------------------------- */

/* Entries that are there, released; what they name is copied when it is protected again. */
static u32 collect(u32 ring, struct kvm_ring_entry *found)
{
	u32 nr = 0;

	for (; nr < RING_ENTRIES; nr++) {
		struct kvm_ring_entry *entry = &rings[ring].entry[rings[ring].next % RING_ENTRIES];

		if (!(atomic_observe(&entry->flags) & KVM_RING_DIRTY))
			break;
		found[nr].slot = atomic_peek(&entry->slot);
		found[nr].offset = atomic_peek(&entry->offset);
		atomic_publish(&entry->flags, KVM_RING_RESET);
		rings[ring].next++;
	}
	return nr;
}

static void harvest_rings(void)
{
	static struct kvm_ring_entry
		found[SCENARIO_THREADS * RING_ENTRIES]; /* threads have small stacks */
	u32 nr = 0;
	int reset;

	for (u32 i = 0; i < nr_rings; i++)
		nr += collect(i, &found[nr]);
	reset = kvm_reset_dirty_rings(kvm);
	trace_note("harvest: %u entries, %d reset", nr, reset);
	if (reset != (int)nr)
		sched_fail("%u entries were released and %d reset", nr, reset);
	for (u32 i = 0; i < nr; i++)
		copy_named(found[i].slot, found[i].offset, 1);
}

static bool has_room(void *arg)
{
	bool full;

	/* A condition takes no steps. */
	sched_quiet(true);
	full = kvm_dirty_ring_soft_full(arg);
	sched_quiet(false);
	return !full;
}

void dirty_wait_for_room(struct kvm_vcpu *vcpu)
{
	trace_note("its ring is full");
	sched_wait("room in its ring", has_room, &vcpu->dirty_ring);
}

/* ---- what a scenario does ------------------------------------------------------------- */

void dirty_harvest(u32 slot)
{
	if (kvm->dirty.ring_bytes)
		harvest_rings();
	else
		harvest_bitmap(slot);
}

void dirty_switch(u32 id, bool on)
{
	const struct kvm_memory_slot *slot = kvm->slot_by_id[0][id];
	struct kvm_slot_request request;
	int err;

	if (!slot)
		return;
	request = (struct kvm_slot_request){
		.slot = id,
		.flags = on ? slot->flags | KVM_SLOT_LOG_DIRTY
			    : slot->flags & ~(u32)KVM_SLOT_LOG_DIRTY,
		.guest_phys_addr = gfn_to_gpa(slot->base_gfn),
		.memory_size = slot->npages << PAGE_SHIFT,
		.userspace_addr = slot->userspace_addr,
	};
	err = kvm_set_memory_region(kvm, &request);
	trace_note("log %s: %d", on ? "on" : "off", err);
	/* From here on it is the log that says what has to be copied again. */
	if (!err && on)
		copy_named(id, 0, ~0ull >> (64 - request.memory_size / PAGE_SIZE));
}

void dirty_poke(gfn_t gfn)
{
	const u8 byte = 1;
	int err = kvm_write_guest(kvm, gfn_to_gpa(gfn), &byte, sizeof(byte));

	trace_note("KVM writes guest page %llu: %d", (unsigned long long)gfn, err);
}

/* ---- before and after -------------------------------------------------------------------- */

void dirty_set_up(struct kvm *the_kvm, const struct scenario_dirty *dirty)
{
	kvm = the_kvm;
	nr_rings = 0;
	memset(rings, 0, sizeof(rings));
	kvm->dirty = (struct kvm_dirty_config){
		.method = dirty->by_mark ? KVM_DIRTY_BY_MARK : KVM_DIRTY_BY_FAULT,
		.eager_split = true,
		.manual = dirty->manual,
		.ring_bytes = dirty->ring ? sizeof(rings[0].entry) : 0,
	};
}

void dirty_add_vcpu(struct kvm_vcpu *vcpu)
{
	if (!kvm->dirty.ring_bytes)
		return;
	kvm_dirty_ring_init(&vcpu->dirty_ring, rings[nr_rings].entry, kvm->dirty.ring_bytes,
			    RING_RESERVED);
	rings[nr_rings++].vcpu = vcpu;
}

void dirty_begin(void)
{
	for (gfn_t gfn = 0; gfn < GUEST_PAGES; gfn++)
		copy_page(gfn);
}

static void judge_slot(const struct kvm_memory_slot *slot)
{
	for (gfn_t gfn = slot->base_gfn; gfn < slot->base_gfn + slot->npages; gfn++) {
		if (page_of(gfn)->content != copied[gfn])
			sched_fail("guest page %llu was written, and the log did not tell",
				   (unsigned long long)gfn);
	}
}

void dirty_judge(void)
{
	for (u32 id = 0; id < SCENARIO_SLOTS; id++) {
		const struct kvm_memory_slot *slot = kvm->slot_by_id[0][id];

		if (!slot || !kvm_slot_dirty_track_enabled(slot))
			continue;
		dirty_harvest(id);
		judge_slot(slot);
	}
}
