// SPDX-License-Identifier: BSD-2-Clause
/*
 * The smallest KVM program, after the LWN article "Using the KVM API": 16-bit
 * code adds two registers, prints the sum as a digit to a serial port, a line
 * end after it, and halts.
 */
#include "client.h"

#define SERIAL_PORT 0x3f8

GUEST_CODE(adder, "16",
	   "	mov	$0x3f8, %dx\n"
	   "	add	%bl, %al\n"
	   "	add	$'0', %al\n"
	   "	out	%al, (%dx)\n"
	   "	mov	$'\\n', %al\n"
	   "	out	%al, (%dx)\n"
	   "	hlt\n");

static char printed_character(const struct client_vm *c)
{
	client_run_to(c, KVM_EXIT_IO);
	EXPECT_EQ(c->run->io.direction, KVM_EXIT_IO_OUT);
	EXPECT_EQ(c->run->io.port, SERIAL_PORT);
	EXPECT_EQ(c->run->io.size, 1);
	EXPECT_EQ(c->run->io.count, 1);
	return (char)*client_io_data(c);
}

int main(void)
{
	struct client_vm c = client_create();
	struct client_memory m = client_with_code(&c, 0x10000, adder_begin, adder_end);

	client_real_mode(&c);
	client_set_regs(&c, (struct kvm_regs){.rax = 2, .rbx = 2});
	EXPECT_EQ(printed_character(&c), '4');
	EXPECT_EQ(printed_character(&c), '\n');
	client_run_to(&c, KVM_EXIT_HLT);
	/* RIP stands behind HLT, as the processor leaves it. */
	EXPECT_EQ(client_get_regs(&c).rip, CODE_GPA + (uint64_t)(adder_end - adder_begin));
	client_destroy(&c);
	client_free(&m);
	printf("2 + 2 = 4\n");
	return 0;
}
