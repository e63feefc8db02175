/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two processors on one table: the second runs a guest and maps what it asks for,
 * the first changes the table under it.  What must hold:
 *
 *   - the guest never reads a page that has been taken away: once the flush is
 *     done, the old page is filled with poison;
 *   - after a write-protection and its flush nobody writes;
 *   - where the MMU marks pages dirty, no mark is lost to a change at the same time;
 *   - table pages that were unlinked, overwritten and used anew mislead nobody.
 *
 * All of it stands on flushes that reach both processors, on break-before-make,
 * and on shared walks that meet each other.
 */
#include "base/assert.h"
#include "el2/fault.h"
#include "el2/hyp.h"
#include "el2/smp.h"
#include "el2/stage2.h"
#include "el2/sysreg.h"
#include "el2/vcpu.h"
#include "tests/hw/arm64/machine.h"

#define GPA	   0x1240000000ull /* the guest's memory: some blocks of level 2 */
#define BLOCKS	   3u
#define PAGES	   6u /* of each block that the guest uses: few, so that it comes back to them */
#define PACE	   6  /* accesses of the guest from one change to the next */
#define CHANGES	   400
#define TIME_US	   1500000 /* no more changes after that: a busy host is slow at this */
#define POISON	   0xdeaddeaddeaddeadull
#define STACK_SIZE 16384
#define EXCLUSIVE  ((enum kvm_pgtable_walk_flags)0)
#define AS_VCPU \
	((enum kvm_pgtable_walk_flags)(KVM_PGTABLE_WALK_SHARED | KVM_PGTABLE_WALK_HANDLE_FAULT))

/* Each block of the guest's memory exists twice, and leads to one copy or the other. */
struct two_cpus {
	struct hw_test test;
	const struct kvm_pgtable *own; /* EL2's stage 1 */
	u64 page;		       /* bytes */
	u64 block;		       /* bytes */
	u64 guest_gpa;		       /* of guest_page */
	u32 lock;		       /* the MMU lock: readers, and WRITER */
	u8 copy[BLOCKS];	       /* which one; under the lock */
	/* What the page's second word was when a dirty mark may last have been lost on purpose. */
	u64 clean[BLOCKS][PAGES];
	bool stop;
	bool stopped;
	/* Of the second processor. */
	u64 random;
	u64 reads;
	u64 writes;
	u64 faults;
	u64 wrong;
};

/* The first words of each page of the guest's memory. */
struct guest_page_words {
	u64 name;    /* its gpa, or POISON */
	u64 written; /* by the guest: ever new values */
};

static struct two_cpus two;
static u64 stack[STACK_SIZE / 8] __attribute__((aligned(16)));

/* ---- the MMU lock ------------------------------------------------------------------ */

#define WRITER 0x80000000u

static void read_lock(void)
{
	while (__atomic_fetch_add(&two.lock, 1u, __ATOMIC_ACQUIRE) & WRITER) {
		atomic_sub(&two.lock, 1u);
		while (atomic_peek(&two.lock) & WRITER)
			cpu_relax();
	}
}

static void read_unlock(void)
{
	__atomic_fetch_sub(&two.lock, 1u, __ATOMIC_RELEASE);
}

static void write_lock(void)
{
	u32 none = 0;

	while (!__atomic_compare_exchange_n(&two.lock, &none, WRITER, false, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED)) {
		none = 0;
		cpu_relax();
	}
}

static void write_unlock(void)
{
	__atomic_fetch_and(&two.lock, ~WRITER, __ATOMIC_RELEASE);
}

/* ---- the guest's memory --------------------------------------------------------------- */

static u64 copy_hpa(unsigned int block, unsigned int copy)
{
	return BACKING_START + copy * (BACKING_BYTES / 2) + block * two.block;
}

static volatile struct guest_page_words *words(u64 hpa)
{
	return hva_to_ptr(hpa);
}

/* The pages that the guest uses, spread over the block. */
static u64 page_offset(unsigned int index)
{
	return index * (two.block / PAGES) & ~(two.page - 1);
}

static u64 page_gpa(unsigned int block, unsigned int index)
{
	return GPA + block * two.block + page_offset(index);
}

static volatile struct guest_page_words *page_words(unsigned int block, unsigned int copy,
						    unsigned int index)
{
	return words(copy_hpa(block, copy) + page_offset(index));
}

static void name_pages(unsigned int block, unsigned int copy, bool poison)
{
	for (unsigned int i = 0; i < PAGES; i++)
		page_words(block, copy, i)->name = poison ? POISON : page_gpa(block, i);
}

/* ---- the second processor: a guest, and its faults ------------------------------------- */

static int map_for(u64 gpa, bool write, struct kvm_pgtable_cache *cache,
		   struct kvm_pgtable_flush *flush)
{
	const bool whole = !test_below(&two.random, 4);
	const u64 bytes = whole ? two.block : two.page, start = align_down(gpa, bytes);
	const unsigned int block = (unsigned int)((gpa - GPA) / two.block);
	struct kvm_pgtable_map map = {
		.addr = start,
		.size = bytes,
		.hpa = copy_hpa(block, two.copy[block]) + (start & (two.block - 1)),
		.prot = write ? KVM_PGTABLE_PROT_RW : KVM_PGTABLE_PROT_R,
		.flags = AS_VCPU,
		.cache = cache,
		.flush = flush,
	};

	return two.test.format->op.map(&two.test.pgt, &map);
}

static void answer(const struct el2_fault *fault)
{
	const struct format_ops *op = &two.test.format->op;
	const bool write = fault->access == EL2_WRITE;
	struct kvm_pgtable_cache cache = {0};
	struct kvm_pgtable_flush flush = {0};
	int err = table_arena_fill(&two.test.arena, &cache, two.test.pgt.levels);

	read_lock();
	if (!err && fault->kind == EL2_FAULT_TRANSLATION)
		err = map_for(fault->gpa, write, &cache, &flush);
	else if (fault->kind == EL2_FAULT_PERMISSION)
		err = op->relax_perms(&two.test.pgt, fault->gpa, KVM_PGTABLE_PROT_RW, AS_VCPU,
				      &flush);
	else if (fault->kind == EL2_FAULT_ACCESS_FLAG)
		err = op->mkyoung(&two.test.pgt, fault->gpa, AS_VCPU);
	if (kvm_pgtable_flush_owed(&flush))
		el2_stage2_flush(&two.test.pgt, &flush);
	read_unlock();
	table_arena_drain(&two.test.arena, &cache);
	/* Lost a race, or the leaf is gone: the guest tries again. */
	if (err && err != -EAGAIN && err != -ENOENT)
		two.wrong++;
}

/* False: the guest was refused something that makes no sense. */
static bool guest_access(u64 gpa, bool write)
{
	const u64 code = (u64)((write ? guest_store : guest_load) - guest_page);
	struct el2_fault fault;

	while (!atomic_observe(&two.stop)) {
		struct el2_vcpu vcpu = {.x = {gpa, two.writes},
					.pc = two.guest_gpa + code,
					.pstate = SPSR_EL1H_MASKED};

		el2_enter(&vcpu);
		if (ESR_EC(vcpu.esr) == ESR_EC_HVC)
			return write || vcpu.x[0] == align_down(gpa, two.page);
		two.faults++;
		if (!el2_decode_abort(vcpu.esr, vcpu.far, vcpu.hpfar, &fault) ||
		    align_down(fault.gpa ^ gpa, two.page))
			return false;
		answer(&fault);
	}
	return true;
}

static void run_second(void)
{
	el2_hyp_load(two.own);
	el2_stage2_load(&two.test.pgt, VMID);
	el2_vcpu_prepare();
	while (!atomic_observe(&two.stop)) {
		const bool write = test_below(&two.random, 2);
		const u64 gpa = page_gpa((unsigned int)test_below(&two.random, BLOCKS),
					 (unsigned int)test_below(&two.random, PAGES));

		two.wrong += !guest_access(gpa + (write ? 8 : 0), write);
		atomic_publish(write ? &two.writes : &two.reads,
			       (write ? two.writes : two.reads) + 1);
	}
	atomic_publish(&two.stopped, true);
	el2_cpu_off();
}

/* ---- the first processor: changes -------------------------------------------------------- */

struct change {
	u64 gpa;
	u64 size;
	unsigned int block;
	struct kvm_pgtable_flush flush;
};

/* Leaves of the block may have gone, or been made clean: from now on marks count anew. */
static void note_clean(unsigned int block)
{
	for (unsigned int i = 0; i < PAGES; i++)
		two.clean[block][i] = page_words(block, two.copy[block], i)->written;
}

/* With the lock for writing: what has been written since is marked. */
static void check_dirty(unsigned int block)
{
	struct hw_test *t = &two.test;

	if (!t->format->config.accessed_dirty)
		return;
	for (unsigned int i = 0; i < PAGES; i++) {
		const u64 written = page_words(block, two.copy[block], i)->written;
		struct kvm_pgtable_leaf leaf = {0};

		if (written == two.clean[block][i])
			continue;
		if (t->format->op.get_leaf(&t->pgt, page_gpa(block, i), &leaf) || !leaf.dirty)
			hw_fail(t, NULL, "written but not dirty: 0x%lx, present %d, level %u",
				page_gpa(block, i), leaf.present, leaf.level);
	}
}

/* The block leads to its other copy; the old one is poisoned when nobody can see it any more. */
static int move(struct change *c)
{
	struct hw_test *t = &two.test;
	const unsigned int old = two.copy[c->block], new = !old;
	const u64 start = GPA + c->block * two.block;
	struct kvm_pgtable_map map = {
		.addr = start,
		.size = two.block,
		.hpa = copy_hpa(c->block, new),
		.prot = KVM_PGTABLE_PROT_RW,
		.max_level = (u8)(1 + hw_below(t, 2)),
		.flush = &c->flush,
	};
	int err;

	name_pages(c->block, new, false);
	write_lock();
	check_dirty(c->block);
	if (hw_below(t, 2))
		err = t->format->op.map(&t->pgt, &map);
	else
		err = t->format->op.unmap(&t->pgt, start, two.block, EXCLUSIVE, NULL, &c->flush);
	hw_settle(t, &c->flush);
	two.copy[c->block] = (u8) new;
	note_clean(c->block);
	write_unlock();
	name_pages(c->block, old, true);
	return err;
}

static u64 sum_of_writes(unsigned int block)
{
	u64 sum = 0;

	for (unsigned int i = 0; i < PAGES; i++)
		sum = sum * 31 + page_words(block, two.copy[block], i)->written;
	return sum;
}

static int protect_and_watch(struct change *c)
{
	struct hw_test *t = &two.test;
	u64 sum;
	int err;

	write_lock();
	err = t->format->op.wrprotect(&t->pgt, GPA + c->block * two.block, two.block, EXCLUSIVE,
				      &c->flush);
	hw_settle(t, &c->flush);
	sum = sum_of_writes(c->block);
	check_dirty(c->block);
	for (unsigned int i = 0; i < 500; i++)
		cpu_relax();
	if (sum_of_writes(c->block) != sum)
		hw_fail(t, NULL, "the guest wrote to protected memory");
	write_unlock();
	return err;
}

static int collapse(struct change *c)
{
	struct hw_test *t = &two.test;
	int err;

	write_lock();
	err = t->format->op.collapse(&t->pgt, GPA, BLOCKS * two.block, 2, &c->flush);
	hw_settle(t, &c->flush);
	write_unlock();
	return err;
}

/* Beside the second processor's faults, under the same kind of lock. */
static int change_shared(struct change *c)
{
	const enum kvm_pgtable_walk_flags shared = KVM_PGTABLE_WALK_SHARED;
	const struct format_ops *op = &two.test.format->op;
	struct kvm_pgtable *pgt = &two.test.pgt;
	struct hw_test *t = &two.test;
	bool young;
	int err;

	read_lock();
	switch (hw_below(t, 5)) {
	case 0:
		err = op->unmap(pgt, c->gpa, c->size, shared, NULL, &c->flush);
		break;
	case 1:
		err = op->split(pgt, c->gpa, c->size, 1, shared, NULL, &c->flush);
		break;
	case 2:
		err = op->wrprotect(pgt, c->gpa, c->size, shared, &c->flush);
		break;
	case 3:
		err = op->mkclean(pgt, c->gpa, c->size, shared, &c->flush);
		break;
	default:
		err = op->mkold(pgt, c->gpa, c->size, shared, &young, &c->flush);
	}
	read_unlock();
	if (kvm_pgtable_flush_owed(&c->flush))
		t->machine->flush(t->machine, &c->flush);
	note_clean(c->block);
	/* The grace period: the other processor leaves its walk. */
	write_lock();
	write_unlock();
	c->flush = (struct kvm_pgtable_flush){0};
	hw_settle(t, &c->flush);
	return err;
}

static void change_something(void)
{
	struct hw_test *t = &two.test;
	const u64 pages = two.block / two.page, first = hw_below(t, pages);
	struct change c = {.block = (unsigned int)hw_below(t, BLOCKS)};
	static int (*const changes[])(struct change *) = {
		move, protect_and_watch, collapse, change_shared, change_shared, change_shared};
	int err;

	c.gpa = GPA + c.block * two.block + first * two.page;
	c.size = two.page * (1 + hw_below(t, pages - first));
	t->n.ops++;
	err = changes[hw_below(t, ARRAY_SIZE(changes))](&c);
	if (err)
		hw_fail(t, NULL, "error %d", err);
}

static u64 guest_accesses(void)
{
	return atomic_peek(&two.reads) + atomic_peek(&two.writes);
}

static void wait_for_guest(void)
{
	const u64 now = guest_accesses();

	while (guest_accesses() - now < PACE)
		cpu_relax();
}

static void start_second(void)
{
	static struct el2_cpu_start start;
	int err;

	start = (struct el2_cpu_start){.stack_end = (char *)stack + sizeof(stack),
				       .run = run_second};
	/* From an earlier test it may still be on its way out. */
	while ((err = el2_cpu_on(1, &start)) == EL2_CPU_ALREADY_ON)
		cpu_relax();
	KVMU_BUG_ON(err);
}

static void set_up(struct hw_machine *machine, const struct format *format,
		   const struct kvm_pgtable *own, const struct hw_params *params)
{
	two = (struct two_cpus){.test = {.machine = machine,
					 .format = format,
					 .random = params->seed,
					 .doing = "two processors"},
				.own = own,
				.random = ~params->seed,
				.page = format_page(format),
				.block = format_level_bytes(format, 2)};
	hw_table_setup(&two.test);
	two.guest_gpa = two.test.reserved[0].gpa;
	for (unsigned int block = 0; block < BLOCKS; block++) {
		name_pages(block, 0, false);
		note_clean(block);
	}
}

u64 stage2_test_two_cpus(struct hw_machine *machine, const struct format *format,
			 const struct kvm_pgtable *own, const struct hw_params *params)
{
	const u64 changes = CHANGES * params->scale / 100 + 1, start = hw_time_us();
	struct hw_test *t = &two.test;

	set_up(machine, format, own, params);
	start_second();
	while (t->n.ops < changes && !t->failures && hw_time_us() - start < TIME_US) {
		change_something();
		wait_for_guest();
	}
	atomic_publish(&two.stop, true);
	while (!atomic_observe(&two.stopped))
		cpu_relax();
	if (two.wrong)
		hw_fail(t, NULL, "the second processor saw %lu wrong things", two.wrong);
	if (!two.reads || !two.faults)
		hw_fail(t, NULL, "the second processor did nothing");
	hw_table_teardown(t);
	hw_printf("two processors: %lu changes under %lu reads and %lu writes, %lu faults, "
		  "%lu failures, %lu ms\n",
		  t->n.ops, two.reads, two.writes, two.faults, t->failures,
		  (hw_time_us() - start) / 1000);
	return t->failures;
}
