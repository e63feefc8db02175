/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fault path without a CPU: one call of kvm_mmu_page_fault() per page of
 * fresh anonymous memory, beside the host's own fault (the floor: a plain
 * store to each page) measured in turn in the same run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bench/bench.h"
#include "host/touch.h"
#include "mmu/mmu.h"

#define PAGES  16384ull
#define ROUNDS 7
#define GPA    0x100000000ull

static char *fresh_memory(void)
{
	char *memory = mmap(NULL, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED || madvise(memory, PAGES * PAGE_SIZE, MADV_NOHUGEPAGE)) {
		perror("bench_fault: mmap");
		exit(1);
	}
	return memory;
}

static double host_ns_per_page(void)
{
	char *memory = fresh_memory();
	double start = now_ns();

	for (u64 i = 0; i < PAGES; i++)
		*(volatile char *)(memory + i * PAGE_SIZE) = 1;
	start = (now_ns() - start) / (double)PAGES;
	munmap(memory, PAGES * PAGE_SIZE);
	return start;
}

static double populate_ns_per_page(void)
{
	char *memory = fresh_memory();
	double start = now_ns();

	for (u64 i = 0; i < PAGES; i++) {
		if (mmu_host_faultin_page(ptr_to_hva(memory) + i * PAGE_SIZE, true))
			exit(1);
	}
	start = (now_ns() - start) / (double)PAGES;
	munmap(memory, PAGES * PAGE_SIZE);
	return start;
}

struct bench_vm {
	struct kvm kvm;
	struct kvm_vcpu vcpu;
};

static struct bench_vm *vm_with_slot(const char *memory)
{
	struct bench_vm *vm = aligned_alloc(_Alignof(struct bench_vm), sizeof(*vm));
	const struct kvm_slot_request slot = {
		.guest_phys_addr = GPA,
		.memory_size = PAGES * PAGE_SIZE,
		.userspace_addr = ptr_to_hva(memory),
	};

	if (!vm)
		exit(1);
	memset(vm, 0, sizeof(*vm));
	if (kvm_mmu_init_vm(&vm->kvm) || kvm_mmu_add_vcpu(&vm->kvm, &vm->vcpu, 0) ||
	    kvm_set_memory_region(&vm->kvm, &slot))
		exit(1);
	return vm;
}

static double guest_ns_per_page(void)
{
	char *memory = fresh_memory();
	struct bench_vm *vm = vm_with_slot(memory);
	double start = now_ns();
	int err;

	for (u64 i = 0; i < PAGES; i++) {
		if (kvm_mmu_page_fault(&vm->vcpu, GPA + i * PAGE_SIZE, PFERR_WRITE_MASK, &err) !=
		    KVM_MMU_RESUME_GUEST)
			exit(1);
	}
	start = (now_ns() - start) / (double)PAGES;
	kvm_mmu_destroy_vcpu(&vm->vcpu);
	kvm_mmu_uninit_vm(&vm->kvm);
	free(vm);
	munmap(memory, PAGES * PAGE_SIZE);
	return start;
}

static double median(double *values)
{
	return median_of(values, ROUNDS);
}

static void row(const char *what, double ours, double floor_ns, const char *budget)
{
	printf("%s\t%.0f host's own fault, x%.2f\t%.0f\tns/page\t%s\n", what, floor_ns,
	       ours / floor_ns, ours, budget);
}

int main(void)
{
	double host[ROUNDS];
	double touch[ROUNDS];
	double populate[ROUNDS];
	double guest[ROUNDS];
	double floor_ns;

	for (int i = 0; i < ROUNDS; i++)
		populate[i] = populate_ns_per_page();
	/* As under the preload library; no touch here is refused, so no handler is needed. */
	host_touch_enable();
	for (int i = 0; i < ROUNDS; i++) {
		host[i] = host_ns_per_page();
		touch[i] = populate_ns_per_page();
		guest[i] = guest_ns_per_page();
	}
	floor_ns = median(host);
	/* For tools/bench.py: what, floor, ours, unit, budget. */
	row("page made resident by madvise", median(populate), floor_ns, "-");
	row("page made resident by a touch", median(touch), floor_ns, "-");
	row("kvm_mmu_page_fault(), new page", median(guest), floor_ns, "2000");
	return 0;
}
