/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What must not grow with the size of things: faults with several vCPUs, a slot
 * of 1 TiB of which little is used, a look-up among 32764 slots, the dirty log
 * of a huge slot, MMIO, memory.  Each beside the same in small, or what the machine
 * itself takes.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench/bench.h"
#include "host/touch.h"
#include "mmu/dirty_log.h"
#include "mmu/mmu.h"

#define GPA	  0x100000000ull
#define TOUCHED	  (1ull << 30)
#define SPARSE	  (1ull << 40)
#define MAX_VCPUS 4u
#define ROUNDS	  5

struct bench_vm {
	struct kvm kvm;
	struct kvm_vcpu vcpu[MAX_VCPUS];
};

static void must(int err)
{
	if (err) {
		fprintf(stderr, "bench_scale: error %d\n", err);
		exit(1);
	}
}

static char *reserve(u64 bytes)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED || madvise(memory, bytes, MADV_NOHUGEPAGE)) {
		perror("bench_scale: mmap");
		exit(1);
	}
	return memory;
}

static struct bench_vm *new_vm(u32 vcpus)
{
	struct bench_vm *vm = aligned_alloc(_Alignof(struct bench_vm), sizeof(*vm));

	if (!vm)
		exit(1);
	memset(vm, 0, sizeof(*vm));
	must(kvm_mmu_init_vm(&vm->kvm));
	for (u32 i = 0; i < vcpus; i++)
		must(kvm_mmu_add_vcpu(&vm->kvm, &vm->vcpu[i], i));
	return vm;
}

static void free_vm(struct bench_vm *vm)
{
	for (u32 i = 0; i < vm->kvm.nr_vcpus; i++)
		kvm_mmu_destroy_vcpu(&vm->vcpu[i]);
	kvm_mmu_uninit_vm(&vm->kvm);
	free(vm);
}

static void set_slot(struct bench_vm *vm, u32 id, gpa_t gpa, const char *memory, u64 bytes,
		     u32 flags)
{
	const struct kvm_slot_request slot = {
		.slot = id,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = ptr_to_hva(memory),
	};

	must(kvm_set_memory_region(&vm->kvm, &slot));
}

/* ---- several vCPUs ------------------------------------------------------------------ */

#define SHARED_BYTES (64ull << 20) /* what the threads divide among them */

struct share {
	struct kvm_vcpu *vcpu; /* NULL: the host's own faults */
	char *memory;
	u64 start, end;
	double cpu_ns; /* of the thread */
};

static double thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *touch_share(void *arg)
{
	struct share *s = arg;
	double start = thread_ns();
	int err;

	for (u64 at = s->start; at < s->end; at += PAGE_SIZE) {
		if (!s->vcpu)
			*(volatile char *)(s->memory + at) = 1;
		else if (kvm_mmu_page_fault(s->vcpu, GPA + at, PFERR_WRITE_MASK, &err) !=
			 KVM_MMU_RESUME_GUEST)
			must(err);
	}
	s->cpu_ns = thread_ns() - start;
	return NULL;
}

/* What a page costs when threads share the work: by the clock, and in their own time. */
struct page_cost {
	double wall_ns, cpu_ns;
};

/* @vm NULL: without an MMU. */
static struct page_cost cost_of_page(struct bench_vm *vm, u32 threads)
{
	const double pages = (double)(SHARED_BYTES >> PAGE_SHIFT);
	char *memory = reserve(SHARED_BYTES);
	struct share share[MAX_VCPUS];
	pthread_t thread[MAX_VCPUS];
	struct page_cost cost = {0};

	if (vm)
		set_slot(vm, 0, GPA, memory, SHARED_BYTES, 0);
	cost.wall_ns = now_ns();
	for (u32 i = 0; i < threads; i++) {
		share[i] =
			(struct share){vm ? &vm->vcpu[i] : NULL, memory, SHARED_BYTES / threads * i,
				       SHARED_BYTES / threads * (i + 1), 0};
		must(pthread_create(&thread[i], NULL, touch_share, &share[i]));
	}
	for (u32 i = 0; i < threads; i++) {
		pthread_join(thread[i], NULL);
		cost.cpu_ns += share[i].cpu_ns / pages;
	}
	cost.wall_ns = (now_ns() - cost.wall_ns) / pages;
	if (vm)
		set_slot(vm, 0, GPA, memory, 0, 0);
	munmap(memory, SHARED_BYTES);
	return cost;
}

static double median(double *values)
{
	return median_of(values, ROUNDS);
}

/* Medians of rounds in turn, the first of which only warms up. */
static void row_of_vcpus(u32 vcpus)
{
	double host_wall[ROUNDS], host_cpu[ROUNDS], wall[ROUNDS], cpu[ROUNDS];
	struct bench_vm *vm = new_vm(vcpus);

	for (int i = -1; i < ROUNDS; i++) {
		struct page_cost host = cost_of_page(NULL, vcpus), ours = cost_of_page(vm, vcpus);

		if (i < 0)
			continue;
		host_wall[i] = host.wall_ns;
		host_cpu[i] = host.cpu_ns;
		wall[i] = ours.wall_ns;
		cpu[i] = ours.cpu_ns;
	}
	printf("faults of %u vCPU%s, together\t%.2f M/s host's own\t%.2f\tM/s\t-\n", vcpus,
	       vcpus > 1 ? "s" : "", 1e3 / median(host_wall), 1e3 / median(wall));
	printf("their processor time\t%.0f host's own\t%.0f\tns/fault\t-\n", median(host_cpu),
	       median(cpu));
	free_vm(vm);
}

/* ---- sparse slots --------------------------------------------------------------------- */

/* Deleting a slot of @bytes with TOUCHED mapped at its end: ns per mapped page. */
static double zap_ns(u64 bytes)
{
	struct bench_vm *vm = new_vm(1);
	char *memory = reserve(bytes);
	struct share all = {&vm->vcpu[0], memory, bytes - TOUCHED, bytes, 0};
	double start;

	set_slot(vm, 0, GPA, memory, bytes, 0);
	touch_share(&all);
	start = now_ns();
	set_slot(vm, 0, GPA, memory, 0, 0);
	start = (now_ns() - start) / (double)(TOUCHED >> PAGE_SHIFT);
	free_vm(vm);
	munmap(memory, bytes);
	return start;
}

static int get(void *ctx, u64 offset, void *to, u64 bytes)
{
	memcpy(to, (char *)ctx + offset, bytes);
	return 0;
}

static void row_of_sparse_log(void)
{
	const u64 bytes = SPARSE >> PAGE_SHIFT >> 3;
	struct bench_vm *vm = new_vm(1);
	char *memory = reserve(SPARSE);
	char *bitmap = calloc(1, bytes);
	struct share some = {&vm->vcpu[0], memory, SPARSE / 2, SPARSE / 2 + (1 << 20), 0};
	const struct kvm_dirty_user user = {.put = put_bitmap, .get = get, .ctx = bitmap};
	double start, floor_ns;

	if (!bitmap)
		exit(1);
	set_slot(vm, 0, GPA, memory, SPARSE, KVM_SLOT_LOG_DIRTY);
	touch_share(&some);
	memset(bitmap, 1, bytes);
	floor_ns = now_ns();
	memset(bitmap, 0, bytes);
	floor_ns = now_ns() - floor_ns;
	start = now_ns();
	must(kvm_get_dirty_log(&vm->kvm, 0, &user));
	start = now_ns() - start;
	printf("KVM_GET_DIRTY_LOG, 1 TiB, 256 pages dirty\t%.2f clear the 32 MiB "
	       "bitmap\t%.2f\tms\t-\n",
	       floor_ns * 1e-6, start * 1e-6);
	free(bitmap);
	free_vm(vm);
	munmap(memory, SPARSE);
}

/* ---- memory ----------------------------------------------------------------------------- */

/* Reads of memory that nobody has written: the host need not have it. */
static void rows_of_memory(void)
{
	const u64 bytes = 1ull << 30;
	struct bench_vm *vm = new_vm(1);
	char *memory = reserve(bytes);
	u64 pages;
	int err;

	set_slot(vm, 0, GPA, memory, bytes, 0);
	for (u64 at = 0; at < bytes; at += PAGE_SIZE)
		(void)kvm_mmu_page_fault(&vm->vcpu[0], GPA + at, 0, &err);
	pages = vm->kvm.arena.pages - vm->vcpu[0].table_cache.nr;
	printf("tables of 1 GiB in 4K pages\t%llu 8 bytes a page\t%llu\tKiB\t-\n",
	       (unsigned long long)(bytes >> PAGE_SHIFT) * 8 >> 10,
	       (unsigned long long)(pages << PAGE_SHIFT) >> 10);
	printf("memory of a vCPU in the MMU\t%.1f its tables in store\t%.1f\tKiB\t-\n",
	       KVM_PGTABLE_CACHE_PAGES * (double)PAGE_SIZE / 1024,
	       (KVM_PGTABLE_CACHE_PAGES * (double)PAGE_SIZE + sizeof(struct kvm_vcpu)) / 1024);
	free_vm(vm);
	munmap(memory, bytes);
}

/* ---- many slots ------------------------------------------------------------------------ */

#define LOOKUPS 1000000u

static double lookup_ns(struct kvm *kvm, u32 slots)
{
	u64 random = 1, found = 0;
	double start = now_ns();

	for (u32 i = 0; i < LOOKUPS; i++) {
		gfn_t gfn;

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		gfn = (GPA >> PAGE_SHIFT) + (random >> 33) % slots;
		mmu_host_rcu_read_lock();
		found += kvm_gfn_to_memslot(kvm, gfn) != NULL;
		mmu_host_rcu_read_unlock();
	}
	if (found != LOOKUPS)
		exit(1);
	return (now_ns() - start) / LOOKUPS;
}

/* A random fault where a page is mapped already: all of the path but the host's part. */
static double spurious_fault_ns(struct bench_vm *vm, u32 slots)
{
	u64 random = 1;
	double start = now_ns();
	int err;

	for (u32 i = 0; i < LOOKUPS; i++) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		(void)kvm_mmu_page_fault(&vm->vcpu[0], GPA + ((random >> 33) % slots << PAGE_SHIFT),
					 PFERR_WRITE_MASK, &err);
	}
	return (now_ns() - start) / LOOKUPS;
}

/* A random access to one of @holes pages without memory, each behind one that has some. */
static double mmio_fault_ns(struct bench_vm *vm, u64 holes)
{
	u64 random = 1, emulated = vm->vcpu[0].stat.pf_mmio;
	double start = now_ns();
	int err;

	for (u32 i = 0; i < LOOKUPS; i++) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		(void)kvm_mmu_page_fault(&vm->vcpu[0],
					 GPA + (((random >> 33) % holes * 2 + 1) << PAGE_SHIFT),
					 PFERR_WRITE_MASK, &err);
	}
	if (vm->vcpu[0].stat.pf_mmio != emulated + LOOKUPS)
		exit(1);
	return (now_ns() - start) / LOOKUPS;
}

/* With a limit on tables that is passed already, no note is made. */
static void row_of_mmio(const char *memory, u32 slots)
{
	double with[ROUNDS], without[ROUNDS];
	struct bench_vm *vm = new_vm(1);

	for (u64 i = 0; i < slots; i++)
		set_slot(vm, (u32)i, GPA + (2 * i << PAGE_SHIFT), memory, PAGE_SIZE, 0);
	vm->kvm.table_pages_max = 1;
	for (u32 i = 0; i < ROUNDS; i++)
		without[i] = mmio_fault_ns(vm, slots);
	vm->kvm.table_pages_max = 0;
	(void)mmio_fault_ns(vm, slots);
	for (u32 i = 0; i < ROUNDS; i++)
		with[i] = mmio_fault_ns(vm, slots);
	printf("MMIO fault, random between slots, %u of them\t%.1f without notes\t%.1f\tns\t-\n",
	       slots, median(without), median(with));
	free_vm(vm);
}

/* One VM with one slot and one with as many as there can be, over the same memory. */
static void fill_slots(struct bench_vm *one, struct bench_vm *many, char *memory)
{
	const u64 nr = KVM_USER_MEM_SLOTS;
	struct share all = {&one->vcpu[0], memory, 0, nr << PAGE_SHIFT, 0};
	double create;

	set_slot(one, 0, GPA, memory, nr << PAGE_SHIFT, 0);
	touch_share(&all);
	create = now_ns();
	for (u64 i = 0; i < nr; i++)
		set_slot(many, (u32)i, GPA + (i << PAGE_SHIFT), memory + (i << PAGE_SHIFT),
			 PAGE_SIZE, 0);
	create = (now_ns() - create) / (double)nr;
	all.vcpu = &many->vcpu[0];
	touch_share(&all);
	printf("create a slot, up to 32764\t-\t%.2f\tus\t-\n", create * 1e-3);
}

static void rows_of_many_slots(void)
{
	const u32 nr = KVM_USER_MEM_SLOTS;
	struct bench_vm *one = new_vm(1), *many = new_vm(1);
	char *memory = reserve((u64)nr << PAGE_SHIFT);
	double look[2][ROUNDS], fault[2][ROUNDS];

	fill_slots(one, many, memory);
	for (u32 i = 0; i < ROUNDS; i++) {
		look[0][i] = lookup_ns(&one->kvm, nr);
		look[1][i] = lookup_ns(&many->kvm, nr);
		fault[0][i] = spurious_fault_ns(one, nr);
		fault[1][i] = spurious_fault_ns(many, nr);
	}
	/* By gfn, for any thread: not where a vCPU looked last. */
	printf("slot look-up, random, 32764 slots\t%.1f with one slot\t%.1f\tns\t%.1f\n",
	       median(look[0]), median(look[1]), 2 * median(look[0]));
	printf("random fault on a mapped page, 32764 slots\t%.1f with one slot\t%.1f\tns\t-\n",
	       median(fault[0]), median(fault[1]));
	row_of_mmio(memory, 16);
	row_of_mmio(memory, nr);
	free_vm(one);
	free_vm(many);
	munmap(memory, (u64)nr << PAGE_SHIFT);
}

int main(void)
{
	double small;

	host_touch_enable();
	(void)cost_of_page(NULL, 1); /* the machine may have to give us memory first */
	for (u32 vcpus = 1; vcpus <= MAX_VCPUS; vcpus *= 2)
		row_of_vcpus(vcpus);
	small = zap_ns(TOUCHED);
	printf("delete a slot of 1 TiB, 1 GiB mapped\t%.2f a slot of 1 GiB\t%.2f\tns/page\t-\n",
	       small, zap_ns(SPARSE));
	row_of_sparse_log();
	rows_of_memory();
	rows_of_many_slots();
	return 0;
}
