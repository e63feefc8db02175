/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile guest: the input is its first state, its code, and what it finds in
 * its page tables.  Whatever it does,
 *  - no byte between its slots changes, nor any of its read-only memory;
 *  - each page it wrote in a logged slot is in the log;
 *  - each exit is one of KVM's and what it says is true: MMIO is where no memory
 *    is, port data lies within the run area;
 *  - the process lives, and KVM_RUN fails with EINTR at most; with EIO after an SMI that
 *    finds no memory for the CPU's state.
 * An ordinary KVM program (tests/clients/client.h) with the library linked in.
 */
#include <linux/kvm_para.h>

#include "fuzz/input.h"
#include "fuzz/tick.h"
#include "tests/clients/client.h"

#define LOW_GPA	      0x0ull
#define LOGGED_GPA    0x40000ull
#define READONLY_GPA  0x60000ull
#define HIGH_GPA      0x100000000ull
#define TABLES_GPA    0xa000ull
#define TABLES_BYTES  0x6000ull
#define DIRECTORY_GPA 0xd000ull /* of 32-bit paging */
#define MAX_EXITS     100
#define MAX_STEPS     300
#define MAX_CPUID     256

enum mode {
	REAL,
	PROTECTED,
	PAGING_32,
	PAE,
	LONG,
	COMPATIBILITY,
	NR_MODES,
};

enum option {
	SINGLE_STEP = 1 << 0,
	SUPPORTED_CPUID = 1 << 1,
	IRQCHIP = 1 << 2,
	GUEST_BITS = 1 << 3, /* control registers from the input too */
	SMM = 1 << 4,	     /* SMRAM, with a handler from the input, and SMIs */
};

struct region {
	struct client_memory memory;
	uint32_t slot; /* with the address space above bit 15 */
	uint64_t gpa;
	size_t bytes;
	uint32_t flags;
	uint8_t pattern;
};

struct guest {
	struct client_vm c;
	uint8_t options;
	struct region regions[5];
	struct fuzz_input *input;
	bool dead;
};

#define SMRAM_GPA   0x30000ull
#define SMI_HANDLER 0x8000u

static const struct region layout[5] = {
	{.gpa = LOW_GPA, .bytes = 0x20000},
	{.slot = 1,
	 .gpa = LOGGED_GPA,
	 .bytes = 0x8000,
	 .flags = KVM_MEM_LOG_DIRTY_PAGES,
	 .pattern = 0x90},
	{.slot = 2,
	 .gpa = READONLY_GPA,
	 .bytes = 0x2000,
	 .flags = KVM_MEM_READONLY,
	 .pattern = 0x5a},
	{.slot = 3, .gpa = HIGH_GPA, .bytes = 0x4000, .pattern = 0xcc},
	{.slot = 1 << 16, .gpa = SMRAM_GPA, .bytes = 0x10000},
};
#define NR_REGIONS (sizeof(layout) / sizeof(layout[0]))

/* ---- the machine ---------------------------------------------------------------------- */

static void add_memory(struct guest *g)
{
	for (unsigned int i = 0; i < NR_REGIONS; i++) {
		struct region *r = &g->regions[i];

		*r = layout[i];
		r->memory = client_alloc(r->bytes);
		memset(r->memory.bytes, r->pattern, r->bytes);
		/* Without it an SMI that the guest sends itself ends the VM. */
		if (r->gpa == SMRAM_GPA && !(g->options & SMM))
			continue;
		EXPECT_EQ(client_set_slot(&g->c, r->slot, r->flags, r->gpa, r->memory.bytes,
					  r->bytes),
			  0);
	}
}

static void set_cpuid(const struct guest *g)
{
	static union {
		struct kvm_cpuid2 list;
		uint8_t bytes[sizeof(struct kvm_cpuid2) +
			      MAX_CPUID * sizeof(struct kvm_cpuid_entry2)];
	} cpuid;

	cpuid.list.nent = MAX_CPUID;
	EXPECT_EQ(ioctl(g->c.kvm, KVM_GET_SUPPORTED_CPUID, &cpuid), 0);
	EXPECT_EQ(ioctl(g->c.vcpu, KVM_SET_CPUID2, &cpuid), 0);
}

static void create(struct guest *g)
{
	int bytes;

	g->c.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	EXPECT(g->c.kvm >= 0);
	g->c.vm = ioctl(g->c.kvm, KVM_CREATE_VM, 0);
	EXPECT(g->c.vm >= 0);
	if (g->options & IRQCHIP)
		EXPECT_EQ(ioctl(g->c.vm, KVM_CREATE_IRQCHIP, 0), 0);
	g->c.vcpu = ioctl(g->c.vm, KVM_CREATE_VCPU, 0);
	EXPECT(g->c.vcpu >= 0);
	bytes = ioctl(g->c.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	g->c.run_bytes = (size_t)bytes;
	g->c.run = mmap(NULL, g->c.run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, g->c.vcpu, 0);
	EXPECT(g->c.run != MAP_FAILED);
	add_memory(g);
	if (g->options & SUPPORTED_CPUID)
		set_cpuid(g);
}

/* ---- the first state -------------------------------------------------------------------- */

static uint8_t *low(const struct guest *g, uint64_t gpa)
{
	return g->regions[0].memory.bytes + gpa;
}

/* Virtual is physical, in the biggest pages; what the input has for the tables comes on top. */
static void fill_tables(const struct guest *g, enum mode mode)
{
	uint32_t *directory = (uint32_t *)(void *)low(g, DIRECTORY_GPA);
	uint64_t *pdpt = (uint64_t *)(void *)low(g, PDPT_GPA);

	client_identity_tables(&g->regions[0].memory);
	for (uint32_t i = 0; i < 1024; i++)
		directory[i] = i << 22 | 0x83;
	for (unsigned int i = 1; mode != PAE && i < 8; i++)
		pdpt[i] = i << 30 | 0x83;
	if (mode == PAE) /* its four entries have no permissions */
		pdpt[0] = PD_GPA | 1;
}

static void patch_tables(const struct guest *g, unsigned int patches)
{
	while (patches--) {
		uint64_t slot = fuzz_below(g->input, TABLES_BYTES / 8);
		uint64_t entry = fuzz_u64(g->input);

		memcpy(low(g, TABLES_GPA + slot * 8), &entry, sizeof(entry));
	}
}

static void set_mode(struct kvm_sregs *s, enum mode mode)
{
	if (mode == REAL) {
		s->cs.base = 0;
		s->cs.selector = 0;
		return;
	}
	client_flat_segments(s, mode == LONG);
	s->cr4 = 0x600; /* OSFXSR, OSXMMEXCPT */
	s->cr0 = 0x31;
	if (mode == PROTECTED)
		return;
	s->cr0 |= 0x80000000;
	s->cr4 |= mode == PAGING_32 ? 0x10 : 0x20;
	s->cr3 = mode == PAGING_32 ? DIRECTORY_GPA : mode == PAE ? PDPT_GPA : PML4_GPA;
	s->efer = mode == PAE ? 0x800 : mode == PAGING_32 ? 0 : 0xd00;
}

/* Whatever the input has: KVM_SET_SREGS may say no. */
static void spoil_sregs(struct fuzz_input *input, struct kvm_sregs *s)
{
	struct kvm_segment *const segments[] = {&s->cs, &s->ds, &s->ss, &s->es, &s->tr, &s->ldt};

	s->cr0 ^= fuzz_u64(input) & 0x50021;
	s->cr4 ^= fuzz_u64(input) & 0x371fff;
	s->efer ^= fuzz_u64(input) & 0x801;
	s->idt.base = fuzz_u64(input) & 0x1ffff;
	s->idt.limit = (uint16_t)fuzz_below(input, 0x10000);
	s->gdt.base = fuzz_u64(input) & 0x1ffff;
	s->gdt.limit = (uint16_t)fuzz_below(input, 0x10000);
	for (uint8_t n = fuzz_u8(input) & 3; n; n--)
		fuzz_take(input, segments[fuzz_below(input, 6)], sizeof(*segments[0]));
}

static bool set_state(const struct guest *g, enum mode mode)
{
	struct kvm_regs regs = {.rip = CODE_GPA, .rsp = STACK_TOP};
	struct kvm_sregs sregs;

	EXPECT_EQ(ioctl(g->c.vcpu, KVM_GET_SREGS, &sregs), 0);
	set_mode(&sregs, mode);
	if (g->options & GUEST_BITS)
		spoil_sregs(g->input, &sregs);
	regs.rax = fuzz_u64(g->input);
	regs.rbx = fuzz_u64(g->input) & 0x1ffffffffull;
	regs.rcx = fuzz_u64(g->input) & 0xfff;
	regs.rdx = fuzz_u64(g->input);
	regs.rsi = fuzz_u64(g->input) & 0x7ffff;
	regs.rdi = fuzz_u64(g->input) & 0x7ffff;
	regs.rflags = 2 | (fuzz_u64(g->input) & 0x3f7fd5);
	return ioctl(g->c.vcpu, KVM_SET_SREGS, &sregs) == 0 &&
	       ioctl(g->c.vcpu, KVM_SET_REGS, &regs) == 0;
}

/* ---- running ------------------------------------------------------------------------------ */

static bool overlaps(const struct region *r, uint64_t gpa, uint64_t bytes)
{
	return gpa < r->gpa + r->bytes && r->gpa < gpa + bytes;
}

static void check_mmio(const struct guest *g)
{
	const struct kvm_run *run = g->c.run;

	EXPECT(run->mmio.len >= 1 && run->mmio.len <= 8);
	for (unsigned int i = 0; i < NR_REGIONS; i++)
		if (g->regions[i].slot >> 16 == (run->flags & KVM_RUN_X86_SMM) &&
		    overlaps(&g->regions[i], run->mmio.phys_addr, run->mmio.len))
			EXPECT(run->mmio.is_write && (g->regions[i].flags & KVM_MEM_READONLY));
}

static void serve_io(const struct guest *g)
{
	struct kvm_run *run = g->c.run;
	uint64_t bytes = (uint64_t)run->io.size * run->io.count;

	EXPECT(run->io.size == 1 || run->io.size == 2 || run->io.size == 4);
	EXPECT(run->io.data_offset + bytes <= g->c.run_bytes);
	if (run->io.direction == KVM_EXIT_IO_IN)
		memset((uint8_t *)run + run->io.data_offset, fuzz_u8(g->input), bytes);
}

/* False: the guest has ended. */
static bool serve_exit(const struct guest *g)
{
	struct kvm_run *run = g->c.run;

	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		check_mmio(g);
		if (!run->mmio.is_write)
			fuzz_take(g->input, run->mmio.data, sizeof(run->mmio.data));
		return true;
	case KVM_EXIT_IO:
		serve_io(g);
		return true;
	case KVM_EXIT_DEBUG:
		EXPECT(g->options & SINGLE_STEP);
		return true;
	case KVM_EXIT_HLT:
		return !(g->options & IRQCHIP);
	case KVM_EXIT_SHUTDOWN:
	case KVM_EXIT_INTERNAL_ERROR:
	case KVM_EXIT_FAIL_ENTRY:
		return false;
	case KVM_EXIT_INTR:
	case KVM_EXIT_SET_TPR:
		return true;
	default:
		client_fail("exit reason %u", run->exit_reason);
	}
}

/* Now and then, and always when there is an SMI handler to start with. */
static void send_smi(const struct guest *g, bool first)
{
	if ((g->options & SMM) && (first || (fuzz_u8(g->input) & 7) == 1))
		EXPECT_EQ(ioctl(g->c.vcpu, KVM_SMI, 0), 0);
}

/* As KVM: the CPU's state is nowhere, so that the VM cannot go on. */
static bool may_be_dead(const struct guest *g)
{
	return errno == EIO && (g->options & (SMM | IRQCHIP));
}

static void run_guest(struct guest *g)
{
	const struct kvm_guest_debug step = {.control =
						     KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP};
	int turns = g->options & SINGLE_STEP ? MAX_STEPS : MAX_EXITS;

	if (g->options & SINGLE_STEP)
		EXPECT_EQ(ioctl(g->c.vcpu, KVM_SET_GUEST_DEBUG, &step), 0);
	fuzz_tick(true);
	send_smi(g, true);
	while (turns--) {
		if (ioctl(g->c.vcpu, KVM_RUN, 0) < 0) {
			g->dead = may_be_dead(g);
			EXPECT(g->dead || errno == EINTR);
			break;
		}
		if (!serve_exit(g))
			break;
		send_smi(g, false);
	}
	fuzz_tick(false);
}

/* ---- afterwards ------------------------------------------------------------------------------ */

static bool page_has_pattern(const struct region *r, size_t page)
{
	for (size_t i = 0; i < PAGE_BYTES; i++)
		if (r->memory.bytes[page * PAGE_BYTES + i] != r->pattern)
			return false;
	return true;
}

static void check_log(const struct guest *g, uint32_t slot)
{
	uint64_t bitmap = 0;
	struct kvm_dirty_log log = {.slot = slot, .dirty_bitmap = &bitmap};

	EXPECT_EQ(ioctl(g->c.vm, KVM_GET_DIRTY_LOG, &log), 0);
	for (size_t page = 0; page < g->regions[slot].bytes / PAGE_BYTES; page++)
		EXPECT((bitmap >> page & 1) || page_has_pattern(&g->regions[slot], page));
}

static void destroy(struct guest *g)
{
	for (unsigned int i = 0; i < NR_REGIONS; i++) {
		struct region *r = &g->regions[i];

		for (size_t page = 0; page < r->bytes / PAGE_BYTES; page++)
			if (r->flags & KVM_MEM_READONLY)
				EXPECT(page_has_pattern(r, page));
		if ((r->flags & KVM_MEM_LOG_DIRTY_PAGES) && !g->dead)
			check_log(g, i);
		client_free(&r->memory); /* looks at its canaries */
	}
	client_destroy(&g->c);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input input = {.bytes = data, .left = size};
	struct guest g = {.input = &input};
	enum mode mode = (enum mode)fuzz_below(&input, NR_MODES);
	unsigned int patches;
	size_t code;

	g.options = fuzz_u8(&input);
	patches = fuzz_u8(&input) & 31;
	code = fuzz_u8(&input);
	create(&g);
	fill_tables(&g, mode);
	patch_tables(&g, patches);
	fuzz_take(&input, low(&g, CODE_GPA), code);
	if (g.options & SMM)
		fuzz_take(&input, g.regions[4].memory.bytes + SMI_HANDLER, 32);
	if (set_state(&g, mode))
		run_guest(&g);
	destroy(&g);
	return 0;
}
