/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dirty log without a CPU: what a write costs that only logging stopped, and
 * what harvesting costs per page that was written.  The floor is a store to each
 * of the same pages in the same run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench/bench.h"
#include "host/touch.h"
#include "mmu/mmu.h"
#include "pgtable/instance/ept.h"

#define GPA    0x100000000ull
#define PAGES  65536ull
#define BYTES  (PAGES * PAGE_SIZE)
#define ROUNDS 7

struct bench_vm {
	struct kvm kvm;
	struct kvm_vcpu vcpu;
};

static u64 bitmap[PAGES / 64];
static struct kvm_ring_entry ring[KVM_RING_MAX_ENTRIES];
static double floor_ns;

static void must(bool done)
{
	if (!done) {
		fprintf(stderr, "bench_dirty: a call failed\n");
		exit(1);
	}
}

static const struct kvm_dirty_user user = {.put = put_bitmap, .ctx = bitmap};

/* ---- the VM --------------------------------------------------------------------------- */

static void write_page(struct bench_vm *vm, u64 page)
{
	int err;

	must(kvm_mmu_page_fault(&vm->vcpu, GPA + page * PAGE_SIZE, PFERR_WRITE_MASK, &err) ==
	     KVM_MMU_RESUME_GUEST);
}

/* All of @memory mapped and in the log. */
static struct bench_vm *vm_with_log(char *memory, enum kvm_dirty_method method, bool rings)
{
	struct bench_vm *vm = aligned_alloc(_Alignof(struct bench_vm), sizeof(*vm));
	const struct kvm_slot_request slot = {
		.flags = KVM_SLOT_LOG_DIRTY,
		.guest_phys_addr = GPA,
		.memory_size = BYTES,
		.userspace_addr = ptr_to_hva(memory),
	};

	must(vm != NULL);
	memset(vm, 0, sizeof(*vm));
	must(!kvm_mmu_init_vm(&vm->kvm) && !kvm_mmu_add_vcpu(&vm->kvm, &vm->vcpu, 0));
	vm->kvm.dirty.method = method;
	vm->kvm.dirty.ring_bytes = rings ? sizeof(ring) : 0;
	memset(ring, 0, sizeof(ring));
	if (rings)
		kvm_dirty_ring_init(&vm->vcpu.dirty_ring, ring, sizeof(ring), 0);
	must(!kvm_set_memory_region(&vm->kvm, &slot));
	for (u64 page = 0; page < PAGES; page++)
		write_page(vm, page);
	return vm;
}

static void free_vm(struct bench_vm *vm)
{
	kvm_mmu_destroy_vcpu(&vm->vcpu);
	kvm_mmu_uninit_vm(&vm->kvm);
	free(vm);
}

/* ---- what is measured: ns per page ------------------------------------------------------ */

static double store_ns(char *memory)
{
	double start = now_ns();

	for (u64 page = 0; page < PAGES; page++)
		*(volatile char *)(memory + page * PAGE_SIZE) = 1;
	return (now_ns() - start) / (double)PAGES;
}

static double harvest_ns(struct bench_vm *vm, u64 pages)
{
	double start = now_ns();

	must(!kvm_get_dirty_log(&vm->kvm, 0, &user));
	return (now_ns() - start) / (double)pages;
}

static double pass_ns(struct bench_vm *vm)
{
	double start = now_ns();

	for (u64 page = 0; page < PAGES; page++)
		write_page(vm, page);
	return (now_ns() - start) / (double)PAGES;
}

static double reset_ns(struct bench_vm *vm)
{
	double start;

	for (u64 i = 0; i < PAGES; i++)
		ring[i].flags = KVM_RING_RESET;
	start = now_ns();
	must(kvm_reset_dirty_rings(&vm->kvm) == (int)PAGES);
	return (now_ns() - start) / (double)PAGES;
}

/* ---- rows --------------------------------------------------------------------------------- */

static double median(double *values)
{
	return median_of(values, ROUNDS);
}

static void row(const char *what, double ours, const char *budget)
{
	printf("%s\t%.1f a store to the page\t%.1f\tns/page\t%s\n", what, floor_ns, ours, budget);
}

/* Every @step-th page as a CPU writes it that marks and logs. */
static void mark_again(struct bench_vm *vm, u64 step)
{
	for (u64 page = 0; page < PAGES; page += step) {
		gpa_t gpa = GPA + page * PAGE_SIZE;
		struct kvm_pgtable_leaf leaf;

		must(!ept_get_leaf(&vm->kvm.pgt[0], gpa, &leaf) && !leaf.dirty);
		must(!ept_relax_leaf(&vm->kvm.pgt[0], gpa, &leaf, KVM_PGTABLE_PROT_DIRTY, NULL));
		kvm_vcpu_dirty_mark_set(&vm->vcpu, gpa);
	}
}

static void rows_of_bitmaps(char *memory)
{
	struct bench_vm *faults = vm_with_log(memory, KVM_DIRTY_BY_FAULT, false);
	struct bench_vm *marks = vm_with_log(memory, KVM_DIRTY_BY_MARK, false);
	double pass[ROUNDS], all[ROUNDS], by_mark[ROUNDS], some[ROUNDS];

	harvest_ns(marks, PAGES);
	for (int i = 0; i < ROUNDS; i++) {
		all[i] = harvest_ns(faults, PAGES);
		pass[i] = pass_ns(faults);
		mark_again(marks, 1);
		by_mark[i] = harvest_ns(marks, PAGES);
		mark_again(marks, 3);
		some[i] = harvest_ns(marks, PAGES / 3);
	}
	row("a write that only logging stopped, kvm_mmu_page_fault()", median(pass), "500");
	row("KVM_GET_DIRTY_LOG, 256 MiB all dirty, by faults", median(all), "-");
	row("the same by dirty marks", median(by_mark), "-");
	row("the same, every third page dirty", median(some), "-");
	free_vm(faults);
	free_vm(marks);
}

static void rows_of_rings(char *memory)
{
	struct bench_vm *vm = vm_with_log(memory, KVM_DIRTY_BY_FAULT, true);
	double reset[ROUNDS], pass[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		reset[i] = reset_ns(vm);
		pass[i] = pass_ns(vm);
	}
	row("the write that only logging stopped, into a ring", median(pass), "500");
	row("KVM_RESET_DIRTY_RINGS, neighbours", median(reset), "-");
	free_vm(vm);
}

int main(void)
{
	char *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	double floors[ROUNDS];

	must(memory != MAP_FAILED && madvise(memory, BYTES, MADV_NOHUGEPAGE) == 0);
	host_touch_enable();
	store_ns(memory);
	for (int i = 0; i < ROUNDS; i++)
		floors[i] = store_ns(memory);
	floor_ns = median(floors);
	rows_of_bitmaps(memory);
	rows_of_rings(memory);
	munmap(memory, BYTES);
	return 0;
}
