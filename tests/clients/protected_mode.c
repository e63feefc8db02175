// SPDX-License-Identifier: BSD-2-Clause
/*
 * 32-bit protected mode, first flat, then with the guest's own two-level page
 * tables: a recursive function on a stack, and a page at another address.
 */
#include "client.h"

#define DIRECTORY_GPA 0x20000ul
#define TABLE_GPA     0x21000ul
#define DATA_GPA      0x30000ul
#define DATA_GVA      0x00123000ul /* maps to DATA_GPA when paging is on */

/* eax = fibonacci(eax), the slow way, so that calls and stack are busy. */
GUEST_CODE(fibonacci, "32",
	   "	call	1f\n"
	   "	hlt\n"
	   "1:	cmp	$2, %eax\n"
	   "	jb	2f\n"
	   "	push	%eax\n"
	   "	dec	%eax\n"
	   "	call	1b\n"
	   "	xchg	%eax, (%esp)\n"
	   "	sub	$2, %eax\n"
	   "	call	1b\n"
	   "	pop	%edx\n"
	   "	add	%edx, %eax\n"
	   "2:	ret\n");

/* With paging: write through the virtual address, in three widths. */
GUEST_CODE(paged, "32",
	   "	mov	$0x00123000, %edi\n"
	   "	movl	$0x11223344, (%edi)\n"
	   "	movw	$0x5566, 4(%edi)\n"
	   "	movb	$0x77, 6(%edi)\n"
	   "	mov	(%edi), %eax\n"
	   "	bswap	%eax\n"
	   "	hlt\n");

static void flat(void)
{
	struct client_vm c = client_create();
	struct client_memory m = client_with_code(&c, 0x40000, fibonacci_begin, fibonacci_end);

	client_protected_mode(&c);
	client_set_regs(&c, (struct kvm_regs){.rax = 15});
	client_run_to(&c, KVM_EXIT_HLT);
	EXPECT_EQ(client_get_regs(&c).rax, 610);
	EXPECT_EQ(client_get_regs(&c).rsp, STACK_TOP);
	client_destroy(&c);
	client_free(&m);
}

/* Identity for the first 4 MiB, except that DATA_GVA leads to DATA_GPA. */
static void write_tables(const struct client_memory *m)
{
	uint32_t *directory = (uint32_t *)(void *)(m->bytes + DIRECTORY_GPA);
	uint32_t *table = (uint32_t *)(void *)(m->bytes + TABLE_GPA);

	directory[0] = TABLE_GPA | 3;
	for (uint32_t i = 0; i < 1024; i++)
		table[i] = (i << 12) | 3;
	table[DATA_GVA >> 12] = DATA_GPA | 3;
}

static void enable_paging(const struct client_vm *c)
{
	struct kvm_sregs sregs;

	client_protected_mode(c);
	EXPECT_EQ(ioctl(c->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cr3 = DIRECTORY_GPA;
	sregs.cr0 |= 1u << 31;
	EXPECT_EQ(ioctl(c->vcpu, KVM_SET_SREGS, &sregs), 0);
}

static void with_paging(void)
{
	struct client_vm c = client_create();
	struct client_memory m = client_with_code(&c, 0x40000, paged_begin, paged_end);
	const uint8_t *table = m.bytes + TABLE_GPA;
	uint64_t data;
	uint32_t entry;

	write_tables(&m);
	enable_paging(&c);
	client_set_regs(&c, (struct kvm_regs){0});
	client_run_to(&c, KVM_EXIT_HLT);
	EXPECT_EQ(client_get_regs(&c).rax, 0x44332211);
	memcpy(&data, m.bytes + DATA_GPA, sizeof(data));
	EXPECT_EQ(data, 0x0077556611223344);
	/* The walk marked the page accessed and dirty; its neighbour stays clean. */
	memcpy(&entry, table + (DATA_GVA >> 12) * 4, sizeof(entry));
	EXPECT_EQ(entry, DATA_GPA | 0x63);
	memcpy(&entry, table + ((DATA_GVA >> 12) + 1) * 4, sizeof(entry));
	EXPECT_EQ(entry, (DATA_GVA + PAGE_BYTES) | 3);
	client_destroy(&c);
	client_free(&m);
}

int main(void)
{
	flat();
	with_paging();
	return 0;
}
