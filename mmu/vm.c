/* SPDX-License-Identifier: BSD-2-Clause */
/* Life of a VM's memory and of its vCPUs' part in it; table pages; zapping. */
#include "base/trace.h"
#include "mmu/vm.h"
#include "pgtable/instance/ept.h"

/* ---- table pages --------------------------------------------------------------- */

static void *source_alloc_chunk(void *ctx, size_t bytes)
{
	(void)ctx;
	return mmu_host_alloc_chunk(SITE_table_chunk, bytes);
}

static void source_free_chunk(void *ctx, void *chunk, size_t bytes)
{
	(void)ctx;
	mmu_host_free_chunk(chunk, bytes);
}

static const struct table_arena_source table_source = {
	.alloc_chunk = source_alloc_chunk,
	.free_chunk = source_free_chunk,
};

static void *ops_alloc_table(void *ctx)
{
	struct kvm *kvm = ctx;

	return kvmu_inject(SITE_table_page) ? NULL : table_arena_alloc(&kvm->arena);
}

int kvm_mmu_fill_table_cache(struct kvm *kvm, struct kvm_pgtable_cache *cache)
{
	unsigned int nr = cache->nr;
	int failed = 0, err;

	/* Page by page, so that a failure made on purpose may leave any number of them. */
	while (nr < KVM_PGTABLE_CACHE_PAGES && !failed) {
		failed = kvmu_inject(SITE_table_page);
		nr += !failed;
	}
	err = table_arena_fill(&kvm->arena, cache, nr);
	return err ? err : failed;
}

static void ops_free_table(void *ctx, void *table)
{
	struct kvm *kvm = ctx;

	table_arena_free(&kvm->arena, table);
}

/* Only walks under mmu_lock for writing unlink tables, so the list needs no lock of its own. */
static void ops_retire_table(void *ctx, void *table)
{
	struct kvm *kvm = ctx;

	kvmu_assert(mmu_rwlock_held_write(&kvm->mmu_lock));
	table_list_push(&kvm->retired.first, table);
	kvm_stat_add(&kvm->stat.mmu_shadow_zapped, 1);
}

static void *ops_alloc_root(void *ctx, size_t bytes)
{
	struct kvm *kvm = ctx;

	return kvmu_inject(SITE_table_page) ? NULL : table_arena_alloc_root(&kvm->arena, bytes);
}

static void ops_free_root(void *ctx, void *root, size_t bytes)
{
	struct kvm *kvm = ctx;

	table_arena_free_root(&kvm->arena, root, bytes);
}

static void ops_entry_changed(void *ctx, u64 addr, u8 level, kvm_pte_t old, kvm_pte_t new)
{
	(void)ctx;
	kvmu_trace(kvmmmu, kvm_tdp_mmu_spte_changed, 0, gpa_to_gfn(addr), level, old, new);
}

static void ops_smm_entry_changed(void *ctx, u64 addr, u8 level, kvm_pte_t old, kvm_pte_t new)
{
	(void)ctx;
	kvmu_trace(kvmmmu, kvm_tdp_mmu_spte_changed, 1, gpa_to_gfn(addr), level, old, new);
}

/* The trees differ in the name that a trace gives them. */
#define TABLE_OPS(changed)                                                      \
	{                                                                       \
		.alloc_table = ops_alloc_table, .free_table = ops_free_table,   \
		.retire_table = ops_retire_table, .alloc_root = ops_alloc_root, \
		.free_root = ops_free_root, .entry_changed = (changed),         \
	}
static const struct kvm_pgtable_ops table_ops[KVM_MAX_NR_ADDRESS_SPACES] = {
	TABLE_OPS(ops_entry_changed),
	TABLE_OPS(ops_smm_entry_changed),
};

struct kvm_retired kvm_mmu_take_retired(struct kvm *kvm)
{
	struct kvm_retired retired = kvm->retired;

	kvm->retired.first = NULL;
	return retired;
}

void kvm_mmu_free_retired(struct kvm *kvm, struct kvm_retired retired)
{
	if (!retired.first)
		return;
	if (!KVMU_MUTANT(FREE_WITHOUT_GRACE))
		mmu_host_synchronize_rcu();
	table_arena_free_list(&kvm->arena, &retired.first);
}

/* ---- the VM ------------------------------------------------------------------------ */

static int init_tree(struct kvm *kvm, u32 as_id, struct kvm_pgtable *tree)
{
	const struct kvm_pgtable_config config = {
		.input_bits = KVM_MMU_INPUT_BITS,
		.accessed_dirty = true,
		.watched = &kvmmmu_kvm_tdp_mmu_spte_changed_semaphore,
		.ctx = kvm,
		.ops = &table_ops[as_id],
	};

	return ept_init(tree, &config);
}

static void destroy_first(struct kvm_pgtable *trees, u32 nr)
{
	while (nr--)
		ept_destroy(&trees[nr]);
}

int kvm_mmu_init_trees(struct kvm *kvm, struct kvm_pgtable trees[KVM_MAX_NR_ADDRESS_SPACES])
{
	for (u32 as_id = 0; as_id < KVM_MAX_NR_ADDRESS_SPACES; as_id++) {
		int err = init_tree(kvm, as_id, &trees[as_id]);

		if (err) {
			destroy_first(trees, as_id);
			return err;
		}
	}
	return 0;
}

void kvm_mmu_destroy_trees(struct kvm_pgtable trees[KVM_MAX_NR_ADDRESS_SPACES])
{
	destroy_first(trees, KVM_MAX_NR_ADDRESS_SPACES);
}

static int init_tables(struct kvm *kvm)
{
	int err = table_arena_init(&kvm->arena, &table_source, PAGE_SHIFT);

	if (err)
		return err;
	err = kvm_mmu_init_trees(kvm, kvm->pgt);
	if (err)
		table_arena_destroy(&kvm->arena);
	return err;
}

int kvm_mmu_init_vm(struct kvm *kvm)
{
	int err = kvm_memslots_init(kvm);

	if (err)
		return err;
	err = init_tables(kvm);
	if (err) {
		kvm_memslots_destroy(kvm);
		return err;
	}
	mmu_rwlock_init(&kvm->mmu_lock, MMU_LOCK_RANK_MMU);
	mmu_mutex_init(&kvm->slots_lock, MMU_LOCK_RANK_SLOTS);
	kvm->mmu_invalidate_range_start = INVALID_GFN;
	kvm->mmu_invalidate_range_end = INVALID_GFN;
	kvm_attributes_init(kvm);
	return 0;
}

void kvm_mmu_uninit_vm(struct kvm *kvm)
{
	/* Each table page reached once, each count exact: after all that has happened to them. */
	for (u32 as_id = 0; as_id < KVM_MAX_NR_ADDRESS_SPACES; as_id++)
		kvmu_assert(ept_check(&kvm->pgt[as_id]) == 0);
	kvm_mmu_destroy_trees(kvm->pgt);
	kvm_attributes_destroy(kvm);
	table_arena_free_list(&kvm->arena, &kvm->retired.first);
	table_arena_destroy(&kvm->arena);
	kvm_memslots_destroy(kvm);
	mmu_mutex_destroy(&kvm->slots_lock);
	mmu_rwlock_destroy(&kvm->mmu_lock);
}

void kvm_vm_bugged(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	u32 i;

	atomic_poke(&kvm->vm_bugged, true);
	kvm_for_each_vcpu (i, vcpu, kvm)
		kvm_make_request(vcpu, KVM_REQ_VM_DEAD);
}

/* ---- vCPUs -------------------------------------------------------------------------- */

static void init_vcpu_mmu(const struct kvm *kvm, struct kvm_vcpu *vcpu)
{
	vcpu->root_mmu = (struct kvm_mmu){
		.page_fault = kvm_tdp_page_fault,
		.root_level = kvm->pgt[0].levels,
	};
	vcpu->mmu = &vcpu->root_mmu;
}

int kvm_mmu_add_vcpu(struct kvm *kvm, struct kvm_vcpu *vcpu, u32 vcpu_id)
{
	int err = 0;

	vcpu->kvm = kvm;
	vcpu->vcpu_id = vcpu_id;
	init_vcpu_mmu(kvm, vcpu);
	if (KVMU_MUTANT(ROOT_BEFORE_JOIN))
		kvm_mmu_reload(vcpu);

	mmu_write_lock(&kvm->mmu_lock);
	/* Not before: who leaves the root behind asks those to flush that have joined. */
	if (!KVMU_MUTANT(ROOT_BEFORE_JOIN))
		kvm_mmu_reload(vcpu);
	vcpu->vcpu_idx = kvm->nr_vcpus;
	if (vcpu->vcpu_idx == KVM_MAX_VCPUS) {
		err = -EINVAL;
	} else {
		/* First the pointer, then the number: pairs with kvm_for_each_vcpu(). */
		atomic_publish(&kvm->vcpus[vcpu->vcpu_idx], vcpu);
		atomic_publish(&kvm->nr_vcpus, vcpu->vcpu_idx + 1);
	}
	mmu_write_unlock(&kvm->mmu_lock);
	return err;
}

void kvm_mmu_destroy_vcpu(struct kvm_vcpu *vcpu)
{
	table_arena_drain(&vcpu->kvm->arena, &vcpu->table_cache);
}
