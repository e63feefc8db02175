// SPDX-License-Identifier: BSD-2-Clause
/*
 * The guest's page tables against a plain model: every combination of the
 * entry's bits, of CR0.WP, CR4.SMEP, CR4.SMAP, RFLAGS.AC, EFER.NXE, privilege
 * and kind of access; then the accessed and dirty bits; then the bits that a
 * smaller MAXPHYADDR reserves, in each kind of entry.
 *
 * The guest executes one load, store or jump at the page; what arrives is a
 * HLT behind it or the error code of a page fault.
 */
#include "tests/vcpu/core/guest_vm.h"

enum access {
	READ,
	WRITE,
	EXEC,
};

#define P  1u
#define W  2u
#define U  4u
#define A  0x20u
#define D  0x40u
#define NX (1ull << 63)

#define TARGET	 0x40000000ull /* mapped by a table of its own */
#define PDPT_GPA (PML4_GPA + 0x1000)
#define PD2_GPA	 0x7000ull
#define PT_GPA	 0x8000ull
#define PAGE_GPA 0x300000ull
#define HANDLER	 0x11000ull
#define NO_FAULT (~0u)

GUEST(do_read, "64", "mov (%rdi), %al\n int3");
GUEST(do_write, "64", "mov %al, (%rdi)\n int3");
GUEST(do_exec, "64", "jmp *%rdi");
GUEST(handler, "64", "hlt");
GUEST(done, "64", "int3");

struct setting {
	u64 pte, pde; /* of the page and of the table above */
	bool wp, smep, smap, ac, nxe, user;
	enum access access;
};

/* SDM vol. 3, 5.6 and 5.7, as plain as can be. */
static u32 model(const struct setting *s)
{
	bool present = s->pte & s->pde & P, writable = s->pte & s->pde & W;
	bool user_page = s->pte & s->pde & U, nx = (s->pte | s->pde) & NX;
	u32 code = (s->user ? 4u : 0) | (s->access == WRITE ? 2u : 0);
	bool ok = true;

	if (s->access == EXEC && (s->nxe || s->smep))
		code |= 16;
	if (!present && (!(s->pde & P) || !(s->pte & P))) {
		/* An upper entry with a reserved bit is seen before a lower one is looked at. */
		if ((s->pde & P) && (s->pde & NX) && !s->nxe)
			return code | 9;
		return code;
	}
	if (nx && !s->nxe)
		return code | 9;
	if (s->user && !user_page)
		ok = false;
	if (!s->user && user_page && s->smap && !s->ac && s->access != EXEC)
		ok = false;
	if (!s->user && user_page && s->smep && s->access == EXEC)
		ok = false;
	if (s->access == WRITE && !writable && (s->user || s->wp))
		ok = false;
	if (s->access == EXEC && nx)
		ok = false;
	return ok ? NO_FAULT : code | 1;
}

static void prepare(struct guest_vm *vm, const struct setting *s)
{
	static const struct {
		const char *begin, *end;
	} codes[] = {{do_read_begin, do_read_end},
		     {do_write_begin, do_write_end},
		     {do_exec_begin, do_exec_end}};
	struct x86_cpu *cpu = vm->cpu;

	guest_long(vm, codes[s->access].begin, codes[s->access].end);
	*guest_u64(vm, PDPT_GPA + 8) = PD2_GPA | P | W | U;
	*guest_u64(vm, PD2_GPA) = PT_GPA | s->pde;
	*guest_u64(vm, PT_GPA) = PAGE_GPA | s->pte;
	memcpy(vm->memory + PAGE_GPA, done_begin, (size_t)(done_end - done_begin));
	cpu->regs[X86_RDI] = TARGET;
	if (s->wp)
		cpu->cr0 |= X86_CR0_WP;
	else
		cpu->cr0 &= ~X86_CR0_WP;
	cpu->cr4 |= (s->smep ? X86_CR4_SMEP : 0) | (s->smap ? X86_CR4_SMAP : 0);
	if (!s->nxe)
		cpu->efer &= ~(u64)X86_EFER_NXE;
	x86_set_rflags_raw(cpu, s->ac ? X86_EFLAGS_AC : 0);
	if (s->user) {
		cpu->seg[X86_CS].selector = SEL_UCODE64 | 3;
		cpu->seg[X86_CS].dpl = 3;
		cpu->seg[X86_SS].selector = SEL_UDATA | 3;
		cpu->seg[X86_SS].dpl = 3;
	}
	x86_cpu_state_changed(cpu);
}

/* Code, stack and tables are reached through supervisor pages unless the guest is in ring 3. */
static void split_identity_map(struct guest_vm *vm, bool user)
{
	u64 bits = user ? 0x87 : 0x83;

	*guest_u64(vm, PML4_GPA + 0x2000) = bits;
	guest_gate(vm, X86_PF, HANDLER, 0x8e);
	guest_gate(vm, X86_BP, HANDLER, 0xee);
	memcpy(vm->memory + HANDLER, handler_begin, (size_t)(handler_end - handler_begin));
}

static u32 observe(struct guest_vm *vm)
{
	/* The stack is aligned before the frame: six words with an error code, five without. */
	guest_run_to(vm, X86_EXIT_HLT);
	if (vm->cpu->regs[X86_RSP] & 15)
		return NO_FAULT;
	return (u32)*guest_u64(vm, vm->cpu->regs[X86_RSP]);
}

static void permissions_match_the_model(void **state)
{
	struct guest_vm *vm = *state;
	unsigned int cases = 0;

	for (u32 bits = 0; bits < 1u << 14; bits++) {
		struct setting s = {
			.pte = (bits & 7) | (bits & 8 ? NX : 0),
			.pde = ((bits >> 4) & 6) | P | (bits & 0x10 ? NX : 0),
			.wp = bits >> 7 & 1,
			.smep = bits >> 8 & 1,
			.smap = bits >> 9 & 1,
			.ac = bits >> 10 & 1,
			.nxe = bits >> 11 & 1,
			.user = bits >> 12 & 1,
		};

		if ((bits >> 13 & 1) && !s.user)
			continue;
		for (s.access = READ; s.access <= EXEC; s.access++) {
			u32 want, got;

			/* The handler of ring 3 code runs on user pages: keep SMEP and SMAP out. */
			if (s.user && (s.smep || s.smap))
				continue;
			split_identity_map(vm, s.user);
			prepare(vm, &s);
			/* HLT in the handler ends it; #PF frames have 6 words, #BP 5. */
			want = model(&s);
			got = observe(vm);
			if (got != want)
				print_error("pte %llx pde %llx wp %d smep %d smap %d ac %d nxe %d "
					    "user %d access %d: got %x want %x\n",
					    (unsigned long long)s.pte, (unsigned long long)s.pde,
					    s.wp, s.smep, s.smap, s.ac, s.nxe, s.user,
					    (int)s.access, got, want);
			assert_int_equal(got, want);
			cases++;
		}
	}
	print_message("%u cases\n", cases);
}

static void accessed_and_dirty_are_set(void **state)
{
	struct guest_vm *vm = *state;

	for (enum access access = READ; access <= EXEC; access++) {
		const struct setting s = {
			.pte = P | W, .pde = P | W, .wp = true, .nxe = true, .access = access};

		split_identity_map(vm, false);
		prepare(vm, &s);
		assert_int_equal(observe(vm), NO_FAULT);
		assert_int_equal(*guest_u64(vm, PD2_GPA), PT_GPA | P | W | A);
		assert_int_equal(*guest_u64(vm, PT_GPA),
				 PAGE_GPA | P | W | A | (access == WRITE ? D : 0));
	}
}

/* A load first, then a store: the write tag of a clean page must not be there yet. */
GUEST(read_then_write, "64", "mov (%rdi), %al\n mov %al, (%rdi)\n int3");

static void dirty_is_set_after_a_read(void **state)
{
	struct guest_vm *vm = *state;
	const struct setting s = {.pte = P | W, .pde = P | W, .wp = true, .nxe = true};

	split_identity_map(vm, false);
	prepare(vm, &s);
	memcpy(vm->memory + CODE_GPA, read_then_write_begin,
	       (size_t)(read_then_write_end - read_then_write_begin));
	assert_int_equal(observe(vm), NO_FAULT);
	assert_true(*guest_u64(vm, PT_GPA) & D);
}

static void set_maxphyaddr(struct x86_cpu *cpu, unsigned int width)
{
	for (u32 i = 0; i < cpu->nr_cpuid; i++)
		if (cpu->cpuid[i].function == 0x80000008)
			cpu->cpuid[i].eax = (cpu->cpuid[i].eax & ~0xffu) | width;
	x86_cpuid_changed(cpu);
}

#define PS		 0x80u
#define ERROR_RESERVED	 9u /* and present */
#define PHYS_BITS_MIN	 32u
#define PHYS_BITS_MAX	 52u
#define LARGE_PAGE_ENTRY (0x200000ull | P | W | PS)

/* SDM vol. 3, 5.5.4: what lies at MAXPHYADDR and above must be zero, for any present entry. */
static void bits_above_maxphyaddr_are_reserved(void **state)
{
	struct guest_vm *vm = *state;
	const struct setting s = {.pte = P | W, .pde = P | W, .wp = true, .nxe = true};
	const struct {
		u64 gpa, value; /* an entry, and what it holds in place of prepare()'s */
	} entries[] = {
		{PT_GPA, PAGE_GPA | P | W},  {PD2_GPA, PT_GPA | P | W},
		{PD2_GPA, LARGE_PAGE_ENTRY}, {PDPT_GPA + 8, PD2_GPA | P | W | U},
		{PDPT_GPA + 8, P | W | PS},
	};

	for (unsigned int width = PHYS_BITS_MIN; width <= PHYS_BITS_MAX; width++) {
		set_maxphyaddr(vm->cpu, width);
		for (unsigned int i = 0; i < ARRAY_SIZE(entries); i++) {
			/* Without any of them, last of all, the entry is good. */
			for (unsigned int bit = width; bit <= PHYS_BITS_MAX; bit++) {
				bool reserved = bit < PHYS_BITS_MAX;

				split_identity_map(vm, false);
				prepare(vm, &s);
				*guest_u64(vm, entries[i].gpa) =
					entries[i].value | (reserved ? BIT_ULL(bit) : 0);
				assert_int_equal(observe(vm), reserved ? ERROR_RESERVED : NO_FAULT);
			}
		}
	}
}

/* The highest address bit that is not reserved leads out of the memory: to MMIO. */
static void bit_below_maxphyaddr_is_an_address(void **state)
{
	struct guest_vm *vm = *state;
	const struct setting s = {.pte = P | W, .pde = P | W, .wp = true, .nxe = true};

	for (unsigned int width = PHYS_BITS_MIN; width <= PHYS_BITS_MAX; width++) {
		set_maxphyaddr(vm->cpu, width);
		split_identity_map(vm, false);
		prepare(vm, &s);
		*guest_u64(vm, PT_GPA) |= BIT_ULL(width - 1);
		guest_run_to(vm, X86_EXIT_MMIO);
		assert_int_equal(vm->cpu->mmio.frag[vm->cpu->mmio.done].gpa,
				 PAGE_GPA | BIT_ULL(width - 1));
		assert_int_equal(observe(vm), NO_FAULT);
	}
}

static int setup(void **state)
{
	*state = guest_vm_new();
	return 0;
}

static int teardown(void **state)
{
	guest_vm_free(*state);
	return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(permissions_match_the_model),	       T(accessed_and_dirty_are_set),
		T(dirty_is_set_after_a_read),	       T(bits_above_maxphyaddr_are_reserved),
		T(bit_below_maxphyaddr_is_an_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
