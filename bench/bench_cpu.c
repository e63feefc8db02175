// SPDX-License-Identifier: BSD-2-Clause
/*
 * The software CPU against the host's: the same machine code, natively and as a
 * 64-bit guest with its own page tables.  Prints time per program, the ratio,
 * and their geometric mean (budget: 8).
 *
 * The programs lie in a section of their own, refer to nothing outside it, and
 * are copied into the guest as they are.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "mmu/mmu.h"
#include "vcpu/x86/cpu.h"

#define GUEST_BYTES (64ull << 20)
#define CODE_GPA    0x100000ull
#define DATA_GPA    0x1000000ull
#define STACK_GPA   0x80000ull
#define PML4_GPA    0x4000ull
#define PROGRAM	    __attribute__((section("guest_text"), noinline, used))

typedef u64 program_fn(u64 *data);

/* ---- the programs ----------------------------------------------------------------------- */

PROGRAM static u64 byte_hash(u64 *data)
{
	const u8 *p = (const u8 *)data;
	u32 h = 2166136261u;

	for (unsigned int round = 0; round < 100; round++)
		for (unsigned int i = 0; i < 65536; i++)
			h = (h ^ p[i]) * 16777619u;
	return h;
}

PROGRAM static u64 fib(u64 n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

PROGRAM static u64 fib_30(u64 *data)
{
	(void)data;
	return fib(30);
}

PROGRAM static u64 bubble(u64 *data)
{
	u32 *a = (u32 *)data;
	const unsigned int n = 3000;

	for (unsigned int i = 0; i < n; i++)
		a[i] = i * 2654435761u;
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int j = 0; j + 1 < n - i; j++)
			if (a[j] > a[j + 1]) {
				u32 t = a[j];

				a[j] = a[j + 1];
				a[j + 1] = t;
			}
	return a[17];
}

PROGRAM static u64 touch_pages(u64 *data)
{
	u64 sum = 0;

	for (unsigned int round = 0; round < 200; round++)
		for (unsigned int page = 0; page < 4096; page++) {
			data[page * 512 + (round & 511)] = page;
			sum += page;
		}
	return sum;
}

PROGRAM static u64 format_numbers(u64 *data)
{
	char *out = (char *)data;
	u64 sum = 0;

	for (u64 i = 1; i < 400000; i++) {
		u64 v = i * 7919;
		unsigned int n = 0;

		do {
			out[n++] = (char)('0' + v % 10);
			v /= 10;
		} while (v);
		sum += (u64)out[n - 1] + n;
	}
	return sum;
}

PROGRAM static u64 rotl_mix(u64 *data)
{
	u32 a = 1, b = 2, c = 3, d = 4;

	(void)data;
	for (u32 i = 0; i < 3000000; i++) {
		a += b ^ i;
		d ^= a;
		d = d << 16 | d >> 16;
		c += d;
		b ^= c;
		b = b << 12 | b >> 20;
	}
	return a ^ b ^ c ^ d;
}

PROGRAM static u64 machine(u64 *data)
{
	u8 *code = (u8 *)data;
	u64 acc = 0, pc = 0;

	for (unsigned int i = 0; i < 4096; i++)
		code[i] = (u8)(i * 37 % 7);
	for (unsigned int i = 0; i < 3000000; i++) {
		u8 op = code[pc];

		if (op == 0)
			acc += 3;
		else if (op == 1)
			acc ^= acc << 1;
		else if (op == 2)
			acc = acc * 5 + 1;
		else if (op == 3)
			acc -= pc;
		else if (op == 4)
			acc = acc << 7 | acc >> 57;
		else
			acc += op;
		pc = (pc + 1 + (acc & 1)) & 4095;
	}
	return acc;
}

PROGRAM static u64 chase(u64 *data)
{
	u64 at = 0;

	for (u64 i = 0; i < 65536; i++)
		data[i] = (i * 40503 + 7) & 65535;
	for (unsigned int i = 0; i < 3000000; i++)
		at = data[at];
	return at;
}

static const struct {
	const char *name;
	program_fn *run;
} programs[] = {
	{"byte hash", byte_hash},
	{"fib(30)", fib_30},
	{"bubble sort", bubble},
	{"touch pages", touch_pages},
	{"format numbers", format_numbers},
	{"rotate and mix", rotl_mix},
	{"byte-code machine", machine},
	{"pointer chase", chase},
};

/* ---- running them -------------------------------------------------------------------------- */

extern const char __start_guest_text[], __stop_guest_text[];

struct guest {
	struct kvm kvm;
	struct x86_machine machine;
	struct x86_cpu *cpu;
	char *memory;
};

bool x86_cpu_host_pending(struct x86_cpu *cpu)
{
	(void)cpu;
	return false;
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void *anonymous(u64 bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		abort();
	return at;
}

static void put64(struct guest *g, gpa_t gpa, u64 value)
{
	memcpy(g->memory + gpa, &value, 8);
}

/* 4 KiB pages, so that misses walk both stages to the end. */
static void write_tables(struct guest *g)
{
	const gpa_t pd = PML4_GPA + 0x2000, pt = pd + 0x1000;

	put64(g, PML4_GPA, (PML4_GPA + 0x1000) | 3);
	put64(g, PML4_GPA + 0x1000, pd | 3);
	for (u64 i = 0; i < GUEST_BYTES >> 21; i++)
		put64(g, pd + i * 8, (pt + i * 4096) | 3);
	for (u64 i = 0; i < GUEST_BYTES >> 12; i++)
		put64(g, pt + i * 8, i << 12 | 3);
}

static void start(struct guest *g)
{
	static char pio[X86_PIO_BYTES];
	struct kvm_slot_request request = {.memory_size = GUEST_BYTES};

	g->memory = anonymous(GUEST_BYTES);
	request.userspace_addr = ptr_to_hva(g->memory);
	if (kvm_mmu_init_vm(&g->kvm) || x86_cpu_create(&g->kvm, &g->machine, 0, pio, &g->cpu) ||
	    x86_cpu_join(g->cpu) || kvm_set_memory_region(&g->kvm, &request))
		abort();
	g->cpu->nr_cpuid = x86_supported_cpuid(g->cpu->cpuid, X86_MAX_CPUID);
	x86_cpuid_changed(g->cpu);
	write_tables(g);
	memcpy(g->memory + CODE_GPA, __start_guest_text,
	       (size_t)(__stop_guest_text - __start_guest_text));
	g->memory[0x1000] = (char)0xf4; /* HLT, where programs return to */
	g->cpu->seg[X86_CS].l = true;
	g->cpu->seg[X86_CS].db = false;
	g->cpu->seg[X86_CS].base = 0;
	g->cpu->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP;
	g->cpu->cr3 = PML4_GPA;
	g->cpu->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR;
	g->cpu->efer = X86_EFER_LME | X86_EFER_LMA;
	x86_cpu_state_changed(g->cpu);
}

static double run_guest(struct guest *g, program_fn *program, u64 *result)
{
	struct x86_cpu *cpu = g->cpu;
	double begin;

	cpu->regs[X86_REG_RIP] = CODE_GPA + (u64)((const char *)program - __start_guest_text);
	cpu->regs[X86_RSP] = STACK_GPA - 8;
	cpu->regs[X86_RDI] = DATA_GPA;
	put64(g, STACK_GPA - 8, 0x1000);
	begin = now_ms();
	if (x86_cpu_run(cpu, false) != X86_EXIT_HLT) {
		fprintf(stderr, "guest left with %d at %llx\n", (int)cpu->exit,
			(unsigned long long)cpu->regs[X86_REG_RIP]);
		exit(1);
	}
	*result = cpu->regs[X86_RAX];
	return now_ms() - begin;
}

int main(void)
{
	struct guest *g = aligned_alloc(_Alignof(struct guest), sizeof(*g));
	u64 *data = anonymous(32ull << 20);
	double product = 1;

	if (!g)
		return 1;
	memset(g, 0, sizeof(*g));
	start(g);
	for (unsigned int i = 0; i < ARRAY_SIZE(programs); i++) {
		double native = 1e9, guest = 1e9, begin, t;
		u64 want = 0, got = 0;

		for (unsigned int round = 0; round < 5; round++) {
			memset(data, 0, 1 << 20);
			begin = now_ms();
			want = programs[i].run(data);
			t = now_ms() - begin;
			native = t < native ? t : native;
			memset(g->memory + DATA_GPA, 0, 1 << 20);
			t = run_guest(g, programs[i].run, &got);
			guest = t < guest ? t : guest;
		}
		if (got != want) {
			fprintf(stderr, "%s: %llx, natively %llx\n", programs[i].name,
				(unsigned long long)got, (unsigned long long)want);
			return 1;
		}
		product *= guest / native;
		printf("%-20s native %8.2f ms  guest %8.2f ms  x %5.1f\n", programs[i].name, native,
		       guest, guest / native);
	}
	printf("geometric mean x %.2f\n", pow(product, 1.0 / (double)ARRAY_SIZE(programs)));
	return 0;
}
