// SPDX-License-Identifier: BSD-2-Clause
/*
 * An ordinary KVM program: a 64-bit guest walks memory that nobody has touched.
 *
 * The guest's memory is plain anonymous memory of this process.  It has no
 * pages until somebody touches it; here the guest is the first to do so, and
 * each first touch of a page is a fault in the second-stage tables that KVM
 * (or kvmu) serves while the guest waits.  Three passes show it:
 *
 *   1. write a number into every page        every page faults once
 *   2. read them all back                    no page faults
 *   3. the host takes every second page      half of the pages fault again,
 *      away, the guest reads once more       and read as zero
 *
 * It uses nothing but <linux/kvm.h>, and runs on the machine's own KVM too:
 *   demand_paging_walk [MiB]        the amount of memory to walk, 1 to 1024
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096ul
#define MIB	   (1ul << 20)

/* Guest-physical layout: one small slot for code and tables, one for the walk. */
#define SYSTEM_BYTES 0x10000ul
#define CODE_GPA     0x1000ul
#define PML4_GPA     0x2000ul
#define PDPT_GPA     0x3000ul
#define LOW_PD_GPA   0x4000ul /* maps 0 .. 1 GiB */
#define WALK_PD_GPA  0x5000ul /* maps 1 .. 2 GiB */
#define WALK_GPA     0x40000000ul

/*
 * The guest, position independent.  Both functions get the address of the
 * first page in rdi and the number of pages in rsi, and end with HLT, which
 * takes us back to the host.
 */
__asm__(".pushsection .rodata\n"
	".globl guest_code, guest_write_pages, guest_sum_pages, guest_code_end\n"
	"guest_code:\n"
	"guest_write_pages:\n" /* page i gets the number i + 1 */
	"	xor	%ecx, %ecx\n"
	"1:	inc	%rcx\n"
	"	mov	%rcx, (%rdi)\n"
	"	add	$4096, %rdi\n"
	"	cmp	%rsi, %rcx\n"
	"	jb	1b\n"
	"	hlt\n"
	"guest_sum_pages:\n" /* rax = the sum of the numbers */
	"	xor	%eax, %eax\n"
	"2:	add	(%rdi), %rax\n"
	"	add	$4096, %rdi\n"
	"	dec	%rsi\n"
	"	jnz	2b\n"
	"	hlt\n"
	"guest_code_end:\n"
	".popsection\n");
extern const char guest_code[], guest_write_pages[], guest_sum_pages[], guest_code_end[];

struct machine {
	int vm;
	int vcpu;
	struct kvm_run *run;
	uint8_t *system; /* host address of guest-physical 0 */
	uint8_t *walk;	 /* host address of guest-physical WALK_GPA */
	uint64_t pages;
};

struct pass_result {
	uint64_t rax;
	long faults;
	double seconds;
};

static void *reserve(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap of %zu bytes", bytes);
	/* One fault per 4 KiB page, not one per 2 MiB: this is what we came to see. */
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	return memory;
}

static void add_slot(int vm, uint32_t slot, uint64_t gpa, void *memory, uint64_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)memory,
	};

	if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		err(1, "KVM_SET_USER_MEMORY_REGION");
}

/* The guest's own page tables: virtual = physical, in 2 MiB pages. */
static void write_guest_tables(uint8_t *system)
{
	const uint64_t present_write = 3, big_page = 1 << 7;
	uint64_t *pml4 = (uint64_t *)(system + PML4_GPA);
	uint64_t *pdpt = (uint64_t *)(system + PDPT_GPA);
	uint64_t *low_pd = (uint64_t *)(system + LOW_PD_GPA);
	uint64_t *walk_pd = (uint64_t *)(system + WALK_PD_GPA);

	pml4[0] = PDPT_GPA | present_write;
	pdpt[0] = LOW_PD_GPA | present_write;
	pdpt[1] = WALK_PD_GPA | present_write;
	for (uint64_t i = 0; i < 512; i++) {
		low_pd[i] = (i * 2 * MIB) | present_write | big_page;
		walk_pd[i] = (WALK_GPA + i * 2 * MIB) | present_write | big_page;
	}
}

/* Start in 64-bit mode: no boot code, the segment registers say it all. */
static void enter_long_mode(int vcpu)
{
	struct kvm_segment code = {
		.limit = 0xffffffff,
		.selector = 8,
		.type = 11,
		.present = 1,
		.s = 1,
		.l = 1,
		.g = 1,
	};
	struct kvm_segment data = code;
	struct kvm_sregs sregs;

	if (ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		err(1, "KVM_GET_SREGS");
	data.selector = 16;
	data.type = 3;
	data.l = 0;
	data.db = 1;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr3 = PML4_GPA;
	sregs.cr4 = 1 << 5;		       /* PAE */
	sregs.efer = (1 << 8) | (1 << 10);     /* LME, LMA */
	sregs.cr0 = (1u << 31) | (1 << 4) | 1; /* PG, ET, PE */
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0)
		err(1, "KVM_SET_SREGS");
}

static void create_machine(struct machine *m, uint64_t pages)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int run_bytes;

	if (kvm < 0)
		err(1, "/dev/kvm");
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		errx(1, "/dev/kvm does not speak version %d of the API", KVM_API_VERSION);
	m->pages = pages;
	m->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (m->vm < 0)
		err(1, "KVM_CREATE_VM");
	m->system = reserve(SYSTEM_BYTES);
	m->walk = reserve(pages * PAGE_BYTES);
	add_slot(m->vm, 0, 0, m->system, SYSTEM_BYTES);
	add_slot(m->vm, 1, WALK_GPA, m->walk, pages * PAGE_BYTES);
	memcpy(m->system + CODE_GPA, guest_code, (size_t)(guest_code_end - guest_code));
	write_guest_tables(m->system);

	m->vcpu = ioctl(m->vm, KVM_CREATE_VCPU, 0);
	if (m->vcpu < 0)
		err(1, "KVM_CREATE_VCPU");
	run_bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (run_bytes < 0)
		err(1, "KVM_GET_VCPU_MMAP_SIZE");
	m->run = mmap(NULL, (size_t)run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	if (m->run == MAP_FAILED)
		err(1, "mmap of the vCPU");
	enter_long_mode(m->vcpu);
	close(kvm);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Page faults of this thread so far, those that KVM takes for the guest included. */
static long fault_count(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt;
}

static struct pass_result run_pass(struct machine *m, const char *guest_function)
{
	struct kvm_regs regs = {
		.rip = CODE_GPA + (uint64_t)(guest_function - guest_code),
		.rflags = 2,
		.rdi = WALK_GPA,
		.rsi = m->pages,
	};
	struct pass_result result;
	double start;

	if (ioctl(m->vcpu, KVM_SET_REGS, &regs) < 0)
		err(1, "KVM_SET_REGS");
	result.faults = fault_count();
	start = now();
	if (ioctl(m->vcpu, KVM_RUN, 0) < 0)
		err(1, "KVM_RUN");
	result.seconds = now() - start;
	result.faults = fault_count() - result.faults;
	if (m->run->exit_reason != KVM_EXIT_HLT)
		errx(1, "the guest stopped with exit reason %u, expected HLT", m->run->exit_reason);
	if (ioctl(m->vcpu, KVM_GET_REGS, &regs) < 0)
		err(1, "KVM_GET_REGS");
	result.rax = regs.rax;
	return result;
}

static void print_pass(const struct machine *m, const char *what, const struct pass_result *result)
{
	printf("  %-34s %8llu %8ld %9.1f ms %8.3f us\n", what, (unsigned long long)m->pages,
	       result->faults, result->seconds * 1e3, result->seconds * 1e6 / (double)m->pages);
}

static void take_every_second_page_away(struct machine *m)
{
	for (uint64_t page = 1; page < m->pages; page += 2)
		if (madvise(m->walk + page * PAGE_BYTES, PAGE_BYTES, MADV_DONTNEED) < 0)
			err(1, "madvise");
}

static int check(const char *what, uint64_t got, uint64_t expected)
{
	if (got == expected) {
		printf("  ok: %s\n", what);
		return 0;
	}
	printf("  WRONG: %s: got %llu, expected %llu\n", what, (unsigned long long)got,
	       (unsigned long long)expected);
	return 1;
}

int main(int argc, char **argv)
{
	unsigned long mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 256;
	struct pass_result first, again, half;
	struct machine m;
	uint64_t odd_pages;
	int wrong = 0;

	if (argc > 2 || mib < 1 || mib > 1024)
		errx(2, "usage: %s [MiB, 1 to 1024]", argv[0]);
	create_machine(&m, mib * MIB / PAGE_BYTES);
	printf("A 64-bit guest walks %lu MiB of memory that nobody has touched yet.\n\n", mib);
	printf("  %-34s %8s %8s %12s %11s\n", "pass", "pages", "faults", "time", "per page");

	first = run_pass(&m, guest_write_pages);
	print_pass(&m, "1. write a number to each page", &first);
	again = run_pass(&m, guest_sum_pages);
	print_pass(&m, "2. read them back", &again);
	take_every_second_page_away(&m);
	half = run_pass(&m, guest_sum_pages);
	print_pass(&m, "3. read, every second page is gone", &half);

	printf("\n");
	odd_pages = m.pages / 2; /* pages 0, 2, 4 ... hold the odd numbers 1, 3, 5 ... */
	wrong += check("every page kept its own number", again.rax, m.pages * (m.pages + 1) / 2);
	wrong += check("pages taken away read as zero, their neighbours are whole", half.rax,
		       odd_pages * odd_pages);
	return wrong != 0;
}
