/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The summary: what the VMs of this process did, those that have ended and
 * those that live.  Figures of running vCPUs are read as they stand.
 */
#include "kvm/stats.h"

#include <time.h>
#include <unistd.h>

#include "host/sys.h"
#include "kvm/kvm_api.h"
#include "kvm/process.h"
#include "kvm/text.h"
#include "kvm/vm.h"

struct totals {
	u64 vms, vcpus;
	u64 instructions, tlb_misses;
	u64 table_pages_max;
	struct kvm_vcpu_stat vcpu;
	struct kvm_vm_stat vm;
};

static struct {
	pthread_mutex_t lock;
	struct totals ended;
	bool wanted;
	u32 printed;
	struct timespec start;
} stats = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- adding up --------------------------------------------------------------------------- */

/* Both structures hold nothing but u64, written by other threads meanwhile. */
static void add_figures(u64 *to, const u64 *from, size_t bytes)
{
	for (size_t i = 0; i < bytes / sizeof(u64); i++)
		to[i] += atomic_peek(&from[i]);
}

static void add_vcpu(struct totals *t, const struct x86_cpu *cpu)
{
	t->vcpus++;
	t->instructions += cpu->instructions;
	t->tlb_misses += cpu->tlb_misses;
	add_figures((u64 *)&t->vcpu, (const u64 *)&cpu->vcpu.stat, sizeof(t->vcpu));
}

struct kvm_vm_stat kvm_stats_of_vm(const struct vm *vm)
{
	struct kvm_vm_stat stat = {0};

	add_figures((u64 *)&stat, (const u64 *)&vm->kvm.stat, sizeof(stat));
	return stat;
}

static void add_vm(struct vm *vm, void *arg)
{
	struct totals *t = arg;
	u32 nr_vcpus = atomic_observe(&vm->nr_vcpus);

	t->vms++;
	for (u32 i = 0; i < nr_vcpus; i++)
		add_vcpu(t, vm->vcpu[i]->cpu);
	add_figures((u64 *)&t->vm, (const u64 *)&vm->kvm.stat, sizeof(t->vm));
	t->table_pages_max += atomic_peek(&vm->kvm.arena.pages_max);
}

void kvm_stats_lock(void)
{
	pthread_mutex_lock(&stats.lock);
}

void kvm_stats_unlock(void)
{
	pthread_mutex_unlock(&stats.lock);
}

void kvm_stats_collect(struct vm *vm)
{
	kvm_stats_lock();
	add_vm(vm, &stats.ended);
	kvm_stats_unlock();
}

/* ---- printing ------------------------------------------------------------------------------- */

static void say_count(struct text *text, const char *name, u64 value)
{
	say(text, "  %-28s %14llu\n", name, (unsigned long long)value);
}

static void say_outcomes(struct text *text, const struct totals *t)
{
	say(text, " guest page faults, by outcome\n");
#define SAY_OUTCOME(name, value, permuted) \
	say_count(text, kvm_ret_pf_name(RET_PF_##name), t->vcpu.pf_by_outcome[RET_PF_##name]);
	KVM_RET_PF_OUTCOMES(SAY_OUTCOME)
#undef SAY_OUTCOME
	say_count(text, "all", t->vcpu.pf_taken);
}

static void say_causes(struct text *text, const struct totals *t)
{
	say(text, " guest page faults, by cause\n");
	say_count(text, "read", t->vcpu.pf_read);
	say_count(text, "write", t->vcpu.pf_write);
	say_count(text, "instruction fetch", t->vcpu.pf_exec);
	say_count(text, "guest page tables", t->vcpu.pf_guest_table);
	say_count(text, "MMIO", t->vcpu.pf_mmio);
}

static void say_memory(struct text *text, const struct totals *t)
{
	say(text, " guest memory\n");
	say_count(text, "pages mapped, 4 KiB", t->vcpu.pages_mapped[PG_LEVEL_4K]);
	say_count(text, "pages mapped, 2 MiB", t->vcpu.pages_mapped[PG_LEVEL_2M]);
	say_count(text, "pages mapped, 1 GiB", t->vcpu.pages_mapped[PG_LEVEL_1G]);
	say_count(text, "table pages, most", t->table_pages_max);
	say_count(text, "memslot updates", t->vm.memslot_updates);
	say_count(text, "invalidations", t->vm.invalidations);
	say_count(text, "invalidated leaves", t->vm.invalidated_leaves);
	say_count(text, "retries", t->vcpu.pf_by_outcome[RET_PF_RETRY]);
}

static void say_cpu(struct text *text, const struct totals *t, double seconds)
{
	say(text, " cpu\n");
	say_count(text, "instructions", t->instructions);
	say_count(text, "TLB misses", t->tlb_misses);
	say_count(text, "TLB flushes served", t->vcpu.tlb_flushes);
	say_count(text, "TLB flushes asked for", t->vm.remote_tlb_flush_requests);
	say(text, "  %-28s %14.3f s\n", "wall time", seconds);
}

static double seconds_since_start(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - stats.start.tv_sec) +
	       (double)(now.tv_nsec - stats.start.tv_nsec) / 1e9;
}

void kvm_api_want_stats(void)
{
	clock_gettime(CLOCK_MONOTONIC, &stats.start);
	stats.wanted = true;
}

static void print(const struct totals *t)
{
	char buf[4096];
	struct text text = {.buf = buf, .bytes = sizeof(buf)};

	if (!t->vms)
		return;
	say(&text, "kvmu: process %d: %llu VM%s, %llu vCPU%s\n", (int)getpid(),
	    (unsigned long long)t->vms, t->vms == 1 ? "" : "s", (unsigned long long)t->vcpus,
	    t->vcpus == 1 ? "" : "s");
	say_outcomes(&text, t);
	say_causes(&text, t);
	say_memory(&text, t);
	say_cpu(&text, t, seconds_since_start());
	/* One write: lines of the program do not come between. */
	host_call(summary, SYS_write, 2, text.buf, text.used);
}

void kvm_api_print_stats(void)
{
	struct totals t;

	if (!stats.wanted || !kvm_process_is_own() || atomic_exchange(&stats.printed, 1))
		return;
	kvm_stats_lock();
	t = stats.ended;
	kvm_stats_unlock();
	vm_for_each(add_vm, &t);
	print(&t);
}

void kvm_api_print_stats_dying(void)
{
	struct totals t;

	if (!stats.wanted || !kvm_process_is_own() || atomic_exchange(&stats.printed, 1))
		return;
	if (pthread_mutex_trylock(&stats.lock))
		return;
	t = stats.ended;
	kvm_stats_unlock();
	if (!vm_list_trylock())
		return;
	vm_for_each_locked(add_vm, &t);
	vm_list_unlock();
	print(&t);
}

void kvm_stats_fork_child(void)
{
	stats.ended = (struct totals){0};
	atomic_poke(&stats.printed, 0);
	if (stats.wanted)
		kvm_api_want_stats();
}
