/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tree behind memory attributes.  See attributes.h.
 *
 * An entry is a value, shifted up and marked by bit 0, or the address of a
 * node.  Writers hold slots_lock; readers are in a read-side section and may see
 * a change half made, which the invalidation bracket around it makes harmless.
 */
#include "mmu/attributes.h"

#include "mmu/vm.h"

#define NODE_LG2     9u
#define NODE_ENTRIES (1u << NODE_LG2)
#define LEVELS	     6u /* 9 * 6 >= KVM_ATTRIBUTE_GFN_BITS */

_Static_assert(NODE_LG2 *LEVELS >= KVM_ATTRIBUTE_GFN_BITS, "the tree reaches every gfn");

struct attr_node {
	struct attr_node *next; /* writers': spare, or unlinked and waiting for a grace period */
	u64 entry[NODE_ENTRIES];
};

/* One change on its way down the tree. */
struct attr_change {
	gfn_t start, end;
	u64 value; /* the entry that every gfn in it gets */
	struct attr_node *spare;
	struct attr_node *unlinked;
};

/* What an entry stands for: the gfns from @first, as many as @level says. */
struct attr_span {
	gfn_t first;
	unsigned int level; /* 0: one gfn */
};

static const struct attr_span whole = {.first = 0, .level = LEVELS};

static u64 value_entry(u64 attributes)
{
	return attributes << 1 | 1;
}

static bool is_value(u64 entry)
{
	return entry & 1;
}

static struct attr_node *node_of(u64 entry)
{
	return (struct attr_node *)(uintptr_t)entry;
}

static u64 node_entry(const struct attr_node *node)
{
	return (u64)(uintptr_t)node;
}

static gfn_t span_end(struct attr_span span)
{
	return span.first + (1ull << (NODE_LG2 * span.level));
}

static unsigned int index_in(struct attr_span span, gfn_t gfn)
{
	return (gfn >> (NODE_LG2 * (span.level - 1))) & (NODE_ENTRIES - 1);
}

static struct attr_span child_span(struct attr_span span, unsigned int index)
{
	unsigned int level = span.level - 1;

	return (struct attr_span){span.first + ((gfn_t)index << (NODE_LG2 * level)), level};
}

/* ---- look-up ------------------------------------------------------------------- */

/* The value at @gfn, and the span that shares it.  In a read-side section. */
static u64 find_value(const struct kvm *kvm, gfn_t gfn, struct attr_span *span)
{
	u64 entry = atomic_observe(&kvm->mem_attributes);

	*span = whole;
	while (!is_value(entry)) {
		unsigned int index = index_in(*span, gfn);

		entry = atomic_observe(&node_of(entry)->entry[index]);
		*span = child_span(*span, index);
	}
	return entry;
}

u64 kvm_get_memory_attributes(const struct kvm *kvm, gfn_t gfn)
{
	struct attr_span span;
	u64 entry;

	mmu_host_rcu_read_lock();
	entry = find_value(kvm, gfn, &span);
	mmu_host_rcu_read_unlock();
	return entry >> 1;
}

bool kvm_range_has_memory_attributes(const struct kvm *kvm, gfn_t start, gfn_t end, u64 attributes)
{
	u64 wanted = value_entry(attributes);
	struct attr_span span;
	bool same = true;

	mmu_host_rcu_read_lock();
	for (gfn_t gfn = start; same && gfn < end; gfn = span_end(span))
		same = find_value(kvm, gfn, &span) == wanted;
	mmu_host_rcu_read_unlock();
	return same;
}

/* ---- change ---------------------------------------------------------------------- */

static bool covers(const struct attr_change *change, struct attr_span span)
{
	return change->start <= span.first && span_end(span) <= change->end;
}

static unsigned int first_child(const struct attr_change *change, struct attr_span span)
{
	return change->start > span.first ? index_in(span, change->start) : 0;
}

static unsigned int last_child(const struct attr_change *change, struct attr_span span)
{
	return change->end < span_end(span) ? index_in(span, change->end - 1) : NODE_ENTRIES - 1;
}

/*
 * How many nodes the change takes.  They are had in advance, so that it cannot
 * fail half way.  Only the two ends of the range can need any.
 */
static unsigned int nodes_needed(const struct attr_change *change, u64 entry, struct attr_span span)
{
	unsigned int first, last, nr;

	if (covers(change, span) || entry == change->value)
		return 0;
	first = first_child(change, span);
	last = last_child(change, span);
	nr = is_value(entry) ? 1 : 0;
	nr += nodes_needed(change, is_value(entry) ? entry : node_of(entry)->entry[first],
			   child_span(span, first));
	if (last != first)
		nr += nodes_needed(change, is_value(entry) ? entry : node_of(entry)->entry[last],
				   child_span(span, last));
	return nr;
}

static void free_nodes(struct attr_node *node)
{
	while (node) {
		struct attr_node *next = node->next;

		mmu_host_free(node);
		node = next;
	}
}

static int take_spare_nodes(struct attr_change *change, unsigned int nr)
{
	while (nr--) {
		struct attr_node *node = mmu_host_alloc(SITE_attributes, sizeof(*node));

		if (!node) {
			free_nodes(change->spare);
			return -ENOMEM;
		}
		node->next = change->spare;
		change->spare = node;
	}
	return 0;
}

static void unlink_node(struct attr_change *change, struct attr_node *node)
{
	node->next = change->unlinked;
	change->unlinked = node;
}

/* Readers may be anywhere below: only the writers' link is touched. */
static void unlink_subtree(struct attr_change *change, u64 entry)
{
	if (is_value(entry))
		return;
	for (unsigned int i = 0; i < NODE_ENTRIES; i++)
		unlink_subtree(change, node_of(entry)->entry[i]);
	unlink_node(change, node_of(entry));
}

static void replace_by_value(struct attr_change *change, u64 *entry, u64 value)
{
	u64 old = *entry;

	atomic_poke(entry, value);
	unlink_subtree(change, old);
}

/* One value becomes a node of equal ones. */
static void split_value(struct attr_change *change, u64 *entry)
{
	struct attr_node *node = change->spare;

	KVMU_BUG_ON(!node);
	change->spare = node->next;
	for (unsigned int i = 0; i < NODE_ENTRIES; i++)
		node->entry[i] = *entry;
	/* Pairs with the observe in find_value(). */
	atomic_publish(entry, node_entry(node));
}

static void merge_if_equal(struct attr_change *change, u64 *entry)
{
	struct attr_node *node = node_of(*entry);
	u64 value = node->entry[0];

	for (unsigned int i = 0; i < NODE_ENTRIES; i++) {
		if (!is_value(value) || node->entry[i] != value)
			return;
	}
	replace_by_value(change, entry, value);
}

static void apply(struct attr_change *change, u64 *entry, struct attr_span span)
{
	unsigned int last = last_child(change, span);

	if (*entry == change->value)
		return;
	if (covers(change, span)) {
		replace_by_value(change, entry, change->value);
		return;
	}
	if (is_value(*entry))
		split_value(change, entry);
	for (unsigned int i = first_child(change, span); i <= last; i++)
		apply(change, &node_of(*entry)->entry[i], child_span(span, i));
	merge_if_equal(change, entry);
}

/* ---- the bracket around it ---------------------------------------------------------- */

static struct kvm_retired begin_change(struct kvm *kvm, gfn_t start, gfn_t end)
{
	gfn_t limit = gpa_to_gfn(1ull << kvm->pgt[0].config.input_bits);
	struct kvm_retired retired;

	mmu_write_lock(&kvm->mmu_lock);
	kvm_mmu_invalidate_begin(kvm);
	kvm_mmu_invalidate_range_add(kvm, start, end);
	/* What lies beyond the tables has no translation. */
	for (u32 as_id = 0; as_id < kvm_nr_address_spaces(kvm); as_id++)
		if (start < limit && !KVMU_MUTANT(CONVERT_WITHOUT_ZAP))
			kvm_mmu_zap_and_flush(kvm, as_id, start, min_u64(end, limit));
	retired = kvm_mmu_take_retired(kvm);
	mmu_write_unlock(&kvm->mmu_lock);
	return retired;
}

static void end_change(struct kvm *kvm)
{
	mmu_write_lock(&kvm->mmu_lock);
	kvm_mmu_invalidate_end(kvm);
	mmu_write_unlock(&kvm->mmu_lock);
}

static int change_attributes(struct kvm *kvm, gfn_t start, gfn_t end, u64 attributes)
{
	struct attr_change change = {.start = start, .end = end, .value = value_entry(attributes)};
	struct kvm_retired retired;
	int err;

	/* No gfn lies between the last one and the end of the tree: let it be one value. */
	if (end == BIT_ULL(KVM_ATTRIBUTE_GFN_BITS))
		change.end = span_end(whole);
	err = take_spare_nodes(&change, nodes_needed(&change, kvm->mem_attributes, whole));
	if (err)
		return err;
	retired = begin_change(kvm, start, end);
	apply(&change, &kvm->mem_attributes, whole);
	end_change(kvm);

	kvm_mmu_free_retired(kvm, retired);
	if (change.unlinked && !KVMU_MUTANT(ATTRIBUTES_FREED_AT_ONCE))
		mmu_host_synchronize_rcu();
	free_nodes(change.unlinked);
	free_nodes(change.spare);
	return 0;
}

int kvm_set_memory_attributes(struct kvm *kvm, gfn_t start, gfn_t end, u64 attributes)
{
	int err = 0;

	kvmu_assert(start < end && end <= BIT_ULL(KVM_ATTRIBUTE_GFN_BITS));
	mmu_mutex_lock(&kvm->slots_lock);
	if (atomic_peek(&kvm->vm_bugged))
		err = -EIO;
	else if (!kvm_range_has_memory_attributes(kvm, start, end, attributes))
		err = change_attributes(kvm, start, end, attributes);
	mmu_mutex_unlock(&kvm->slots_lock);
	return err;
}

/* ---- life ------------------------------------------------------------------------------ */

void kvm_attributes_init(struct kvm *kvm)
{
	kvm->mem_attributes = value_entry(0);
}

void kvm_attributes_destroy(struct kvm *kvm)
{
	struct attr_change change = {0};

	replace_by_value(&change, &kvm->mem_attributes, value_entry(0));
	free_nodes(change.unlinked);
}
