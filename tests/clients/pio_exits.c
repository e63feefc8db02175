// SPDX-License-Identifier: BSD-2-Clause
/*
 * Port I/O in both directions: the three widths, what an IN leaves in the rest
 * of the register, and string instructions with their memory operands.
 */
#include "client.h"

#define BUFFER_GPA 0x5000ul

GUEST_CODE(widths, "64",
	   "	mov	$0x1234, %edx\n"
	   "	out	%al, %dx\n"
	   "	out	%ax, %dx\n"
	   "	out	%eax, %dx\n"
	   "	mov	%rax, %rbx\n"
	   "	in	%dx, %al\n"
	   "	xchg	%rax, %rbx\n"
	   "	mov	%rax, %rcx\n"
	   "	in	%dx, %ax\n"
	   "	xchg	%rax, %rcx\n"
	   "	in	%dx, %eax\n"
	   "	hlt\n");

/* Send four bytes, then receive three words. */
GUEST_CODE(strings, "64",
	   "	mov	$0x60, %edx\n"
	   "	mov	$0x5000, %esi\n"
	   "	mov	$4, %ecx\n"
	   "	rep outsb\n"
	   "	mov	$0x5100, %edi\n"
	   "	mov	$3, %ecx\n"
	   "	rep insw\n"
	   "	hlt\n");

struct guest {
	struct client_vm c;
	struct client_memory m;
};

static struct guest start(const uint8_t *begin, const uint8_t *end, uint64_t rax)
{
	struct guest g = {.c = client_create()};

	g.m = client_with_code(&g.c, 0x40000, begin, end);
	client_identity_tables(&g.m);
	client_long_mode(&g.c);
	client_set_regs(&g.c, (struct kvm_regs){.rax = rax});
	return g;
}

/* The exit for one IN or OUT of @size bytes; where its data is. */
static uint8_t *next_io(struct guest *g, uint8_t direction, uint16_t port, uint8_t size)
{
	client_run_to(&g->c, KVM_EXIT_IO);
	EXPECT_EQ(g->c.run->io.direction, direction);
	EXPECT_EQ(g->c.run->io.port, port);
	EXPECT_EQ(g->c.run->io.size, size);
	return client_io_data(&g->c);
}

static void expect_out(struct guest *g, uint8_t size, uint32_t value)
{
	uint32_t got = 0;

	memcpy(&got, next_io(g, KVM_EXIT_IO_OUT, 0x1234, size), size);
	EXPECT_EQ(got, value);
	EXPECT_EQ(g->c.run->io.count, 1);
}

static void answer_in(struct guest *g, uint8_t size, uint32_t value)
{
	memcpy(next_io(g, KVM_EXIT_IO_IN, 0x1234, size), &value, size);
}

static void each_width(void)
{
	struct guest g = start(widths_begin, widths_end, 0x1122334455667788);
	struct kvm_regs regs;

	expect_out(&g, 1, 0x88);
	expect_out(&g, 2, 0x7788);
	expect_out(&g, 4, 0x55667788);
	answer_in(&g, 1, 0xaa);
	answer_in(&g, 2, 0xbbbb);
	answer_in(&g, 4, 0xcccccccc);
	client_run_to(&g.c, KVM_EXIT_HLT);
	regs = client_get_regs(&g.c);
	EXPECT_EQ(regs.rbx, 0x11223344556677aa);
	EXPECT_EQ(regs.rcx, 0x112233445566bbbb);
	EXPECT_EQ(regs.rax, 0xcccccccc); /* a 32-bit IN clears the upper half */
	client_destroy(&g.c);
	client_free(&g.m);
}

/* KVM may hand over any number of elements at a time, in order. */
static void collect_outsb(struct guest *g, uint8_t *got, uint32_t nr)
{
	for (uint32_t done = 0; done < nr;) {
		const uint8_t *data = next_io(g, KVM_EXIT_IO_OUT, 0x60, 1);
		uint32_t count = g->c.run->io.count;

		EXPECT(count >= 1 && count <= nr - done);
		memcpy(got + done, data, count);
		done += count;
	}
}

static void answer_insw(struct guest *g, const uint16_t *values, uint32_t nr)
{
	for (uint32_t done = 0; done < nr;) {
		uint8_t *data = next_io(g, KVM_EXIT_IO_IN, 0x60, 2);
		uint32_t count = g->c.run->io.count;

		EXPECT(count >= 1 && count <= nr - done);
		memcpy(data, values + done, 2ul * count);
		done += count;
	}
}

static void string_instructions(void)
{
	const uint16_t words[3] = {0x1111, 0x2222, 0x3333};
	struct guest g = start(strings_begin, strings_end, 0);
	struct kvm_regs regs;
	uint8_t sent[4];

	memcpy(g.m.bytes + BUFFER_GPA, "kvmu", 4);
	collect_outsb(&g, sent, sizeof(sent));
	EXPECT_EQ(memcmp(sent, "kvmu", 4), 0);
	answer_insw(&g, words, 3);
	client_run_to(&g.c, KVM_EXIT_HLT);
	EXPECT_EQ(memcmp(g.m.bytes + BUFFER_GPA + 0x100, words, sizeof(words)), 0);
	EXPECT_EQ(g.m.bytes[BUFFER_GPA + 0x106], 0);
	regs = client_get_regs(&g.c);
	EXPECT_EQ(regs.rsi, BUFFER_GPA + 4);
	EXPECT_EQ(regs.rdi, BUFFER_GPA + 0x106);
	EXPECT_EQ(regs.rcx, 0);
	client_destroy(&g.c);
	client_free(&g.m);
}

int main(void)
{
	each_width();
	string_instructions();
	return 0;
}
