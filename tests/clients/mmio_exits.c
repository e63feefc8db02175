// SPDX-License-Identifier: BSD-2-Clause
/*
 * MMIO exits in both directions: every access width, what lands in the
 * register, read-modify-write, and accesses that cross a page and so arrive
 * in parts of 1 to 7 bytes.
 */
#include "client.h"

#define MMIO_GPA 0x10000000ul

GUEST_CODE(stores, "64",
	   "	movb	%al, 0x100(%rdi)\n"
	   "	movw	%ax, 0x200(%rdi)\n"
	   "	movl	%eax, 0x300(%rdi)\n"
	   "	movq	%rax, 0x400(%rdi)\n"
	   "	movb	$0x5a, 0x501(%rdi)\n" /* an immediate, an odd address */
	   "	hlt\n");

GUEST_CODE(loads, "64",
	   "	movb	0x100(%rdi), %al\n"
	   "	movw	0x200(%rdi), %bx\n"
	   "	movl	0x300(%rdi), %ecx\n"
	   "	movq	0x400(%rdi), %rdx\n"
	   "	movzbl	0x500(%rdi), %esi\n"
	   "	movswq	0x600(%rdi), %r8\n"
	   "	hlt\n");

GUEST_CODE(read_modify_write, "64",
	   "	addl	$5, 0x40(%rdi)\n"
	   "	xchgl	%eax, 0x80(%rdi)\n"
	   "	hlt\n");

/* rsi counts from 1 to 7: so many bytes lie below the page boundary. */
GUEST_CODE(crossing, "64",
	   "	mov	$1, %esi\n"
	   "1:	lea	0x1000(%rdi), %rbx\n"
	   "	sub	%rsi, %rbx\n"
	   "	mov	%rax, (%rbx)\n"
	   "	mov	(%rbx), %rdx\n"
	   "	cmp	%rax, %rdx\n"
	   "	jne	2f\n"
	   "	inc	%esi\n"
	   "	cmp	$8, %esi\n"
	   "	jb	1b\n"
	   "2:	hlt\n");

struct guest {
	struct client_vm c;
	struct client_memory m;
};

static struct guest start(const uint8_t *begin, const uint8_t *end, struct kvm_regs regs)
{
	struct guest g = {.c = client_create()};

	g.m = client_with_code(&g.c, 0x40000, begin, end);
	client_identity_tables(&g.m);
	client_long_mode(&g.c);
	regs.rdi = MMIO_GPA;
	client_set_regs(&g.c, regs);
	return g;
}

static void finish(struct guest *g)
{
	client_run_to(&g->c, KVM_EXIT_HLT);
	client_destroy(&g->c);
	client_free(&g->m);
}

static uint64_t data_of(const struct kvm_run *run)
{
	uint64_t value = 0;

	EXPECT(run->mmio.len >= 1 && run->mmio.len <= 8);
	memcpy(&value, run->mmio.data, run->mmio.len);
	return value;
}

static void expect_store(struct guest *g, uint64_t offset, uint32_t len, uint64_t value)
{
	client_run_to(&g->c, KVM_EXIT_MMIO);
	EXPECT_EQ(g->c.run->mmio.is_write, 1);
	EXPECT_EQ(g->c.run->mmio.phys_addr, MMIO_GPA + offset);
	EXPECT_EQ(g->c.run->mmio.len, len);
	EXPECT_EQ(data_of(g->c.run), value);
}

static void answer_load(struct guest *g, uint64_t offset, uint32_t len, uint64_t value)
{
	client_run_to(&g->c, KVM_EXIT_MMIO);
	EXPECT_EQ(g->c.run->mmio.is_write, 0);
	EXPECT_EQ(g->c.run->mmio.phys_addr, MMIO_GPA + offset);
	EXPECT_EQ(g->c.run->mmio.len, len);
	memcpy(g->c.run->mmio.data, &value, sizeof(value));
}

static void stores_of_each_width(void)
{
	struct guest g =
		start(stores_begin, stores_end, (struct kvm_regs){.rax = 0x1122334455667788});

	expect_store(&g, 0x100, 1, 0x88);
	expect_store(&g, 0x200, 2, 0x7788);
	expect_store(&g, 0x300, 4, 0x55667788);
	expect_store(&g, 0x400, 8, 0x1122334455667788);
	expect_store(&g, 0x501, 1, 0x5a);
	finish(&g);
}

/* The bytes behind the width are given too: they must not arrive anywhere. */
static void loads_of_each_width(void)
{
	const uint64_t ones = ~0ull, seen = 0xa1a2a3a4a5a6a7a8;
	struct guest g = start(
		loads_begin, loads_end,
		(struct kvm_regs){.rax = ones, .rbx = ones, .rcx = ones, .rdx = ones, .rsi = ones});
	struct kvm_regs regs;

	answer_load(&g, 0x100, 1, seen);
	answer_load(&g, 0x200, 2, seen);
	answer_load(&g, 0x300, 4, seen);
	answer_load(&g, 0x400, 8, seen);
	answer_load(&g, 0x500, 1, seen);
	answer_load(&g, 0x600, 2, seen);
	client_run_to(&g.c, KVM_EXIT_HLT);
	regs = client_get_regs(&g.c);
	EXPECT_EQ(regs.rax, 0xffffffffffffffa8);
	EXPECT_EQ(regs.rbx, 0xffffffffffffa7a8);
	EXPECT_EQ(regs.rcx, 0xa5a6a7a8);
	EXPECT_EQ(regs.rdx, seen);
	EXPECT_EQ(regs.rsi, 0xa8);
	EXPECT_EQ(regs.r8, 0xffffffffffffa7a8);
	client_destroy(&g.c);
	client_free(&g.m);
}

static void reads_then_writes(void)
{
	struct guest g = start(read_modify_write_begin, read_modify_write_end,
			       (struct kvm_regs){.rax = 0xabcd});
	struct kvm_regs regs;

	answer_load(&g, 0x40, 4, 0xfffffffe);
	expect_store(&g, 0x40, 4, 3);
	answer_load(&g, 0x80, 4, 0x1234);
	expect_store(&g, 0x80, 4, 0xabcd);
	client_run_to(&g.c, KVM_EXIT_HLT);
	regs = client_get_regs(&g.c);
	EXPECT_EQ(regs.rax, 0x1234);
	client_destroy(&g.c);
	client_free(&g.m);
}

/* An 8-byte access with 1..7 bytes in the first page comes in two parts. */
static void parts_of_a_crossing_access(void)
{
	const uint64_t value = 0x8877665544332211;
	struct guest g = start(crossing_begin, crossing_end, (struct kvm_regs){.rax = value});

	for (uint32_t below = 1; below < 8; below++) {
		uint64_t offset = PAGE_BYTES - below;
		uint64_t low = value & ((1ull << (8 * below)) - 1), high = value >> (8 * below);

		expect_store(&g, offset, below, low);
		expect_store(&g, PAGE_BYTES, 8 - below, high);
		answer_load(&g, offset, below, low);
		answer_load(&g, PAGE_BYTES, 8 - below, high);
	}
	client_run_to(&g.c, KVM_EXIT_HLT);
	EXPECT_EQ(client_get_regs(&g.c).rsi, 8); /* every load gave back what was stored */
	client_destroy(&g.c);
	client_free(&g.m);
}

int main(void)
{
	stores_of_each_width();
	loads_of_each_width();
	reads_then_writes();
	parts_of_a_crossing_access();
	return 0;
}
