// SPDX-License-Identifier: BSD-2-Clause
/*
 * 64-bit long mode on the guest's own four-level tables: compiled-like code
 * with SSE2 moves, 4 KiB and 2 MiB pages with accessed and dirty bits, and a
 * page fault that the guest takes through its own IDT and repairs itself.
 */
#include "client.h"

#define RESULT_PORT 0x80
#define PD2_GPA	    0xd000ul  /* maps the second GiB of virtual addresses */
#define PT2_GPA	    0xe000ul  /* its first 2 MiB, in 4 KiB pages */
#define PAGE_GPA    0x30000ul /* where the 4 KiB pages lead to */
#define IDT_GPA	    0xf000ul
#define GDT_GPA	    0xf800ul
#define WINDOW_GVA  0x40000000ul

/* Fill 4 KiB at rdi with a pattern made by SSE2 and integer code; rax = its sum. */
GUEST_CODE(pattern, "64",
	   "	movabs	$0x0123456789abcdef, %rax\n"
	   "	movq	%rax, %xmm0\n"
	   "	punpcklqdq %xmm0, %xmm0\n"
	   "	pxor	%xmm1, %xmm1\n"
	   "	mov	%rdi, %rbx\n"
	   "	mov	$256, %ecx\n"
	   "1:	movdqa	%xmm1, (%rbx)\n"
	   "	paddq	%xmm0, %xmm1\n"
	   "	add	$16, %rbx\n"
	   "	dec	%ecx\n"
	   "	jnz	1b\n"
	   "	xor	%eax, %eax\n"
	   "	mov	$512, %ecx\n"
	   "2:	add	-8(%rdi,%rcx,8), %rax\n"
	   "	loop	2b\n"
	   "	hlt\n");

/*
 * Store to a page that is not present: #PF, whose handler reports error code
 * and CR2, makes the entry present and retries.  Then the value is read back.
 */
GUEST_CODE(faulting, "64",
	   "	mov	$0x40001000, %edi\n"
	   "	movl	$0x600d, 0x18(%rdi)\n"
	   "	mov	0x18(%rdi), %eax\n"
	   "	hlt\n"
	   "	.balign 64\n"
	   "	pop	%rbx\n" /* error code */
	   "	mov	%cr2, %rsi\n"
	   "	orq	$3, 0xe008\n" /* PT2_GPA, entry 1 */
	   "	invlpg	(%rsi)\n"
	   "	inc	%ebp\n"
	   "	iretq\n");
#define FAULT_HANDLER (CODE_GPA + 64)

static void map_window(const struct client_memory *m)
{
	uint64_t *pdpt = (uint64_t *)(void *)(m->bytes + PDPT_GPA);
	uint64_t *pd2 = (uint64_t *)(void *)(m->bytes + PD2_GPA);
	uint64_t *pt2 = (uint64_t *)(void *)(m->bytes + PT2_GPA);

	client_identity_tables(m);
	pdpt[1] = PD2_GPA | 3;
	pd2[0] = PT2_GPA | 3;
	pt2[0] = PAGE_GPA | 3;
	pt2[1] = PAGE_GPA + PAGE_BYTES; /* not present */
}

static uint64_t pattern_sum(void)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < 256; i++)
		sum += 2 * i * 0x0123456789abcdefull;
	return sum;
}

static void sse_and_tables(void)
{
	struct client_vm c = client_create();
	struct client_memory m = client_with_code(&c, 0x40000, pattern_begin, pattern_end);
	const uint64_t *page = (const uint64_t *)(const void *)(m.bytes + PAGE_GPA);
	const uint64_t *pt2 = (const uint64_t *)(const void *)(m.bytes + PT2_GPA);

	map_window(&m);
	client_long_mode(&c);
	client_set_regs(&c, (struct kvm_regs){.rdi = WINDOW_GVA});
	client_run_to(&c, KVM_EXIT_HLT);
	EXPECT_EQ(client_get_regs(&c).rax, pattern_sum());
	EXPECT_EQ(page[0], 0);
	EXPECT_EQ(page[511], 255 * 0x0123456789abcdefull);
	client_destroy(&c);
	EXPECT_EQ(pt2[0] & ~0x60ull, PAGE_GPA | 3);
	EXPECT_EQ(pt2[1], PAGE_GPA + PAGE_BYTES);
	client_free(&m);
}

/* A 64-bit interrupt gate for #PF and the segment it loads. */
static void write_idt_and_gdt(const struct client_vm *c, const struct client_memory *m)
{
	uint64_t *gate = (uint64_t *)(void *)(m->bytes + IDT_GPA + 14 * 16);
	uint64_t *gdt = (uint64_t *)(void *)(m->bytes + GDT_GPA);
	struct kvm_sregs sregs;

	gate[0] = (FAULT_HANDLER & 0xffff) | (8ull << 16) | (0x8eull << 40) |
		  ((FAULT_HANDLER >> 16) << 48);
	gate[1] = FAULT_HANDLER >> 32;
	gdt[1] = 0x00af9b000000ffff; /* 64-bit code */
	gdt[2] = 0x00cf93000000ffff; /* data */
	EXPECT_EQ(ioctl(c->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.idt.base = IDT_GPA;
	sregs.idt.limit = 15 * 16 - 1;
	sregs.gdt.base = GDT_GPA;
	sregs.gdt.limit = 3 * 8 - 1;
	EXPECT_EQ(ioctl(c->vcpu, KVM_SET_SREGS, &sregs), 0);
}

static void guest_page_fault(void)
{
	struct client_vm c = client_create();
	struct client_memory m = client_with_code(&c, 0x40000, faulting_begin, faulting_end);
	struct kvm_regs regs;
	uint32_t value;

	map_window(&m);
	client_long_mode(&c);
	write_idt_and_gdt(&c, &m);
	client_set_regs(&c, (struct kvm_regs){0});
	client_run_to(&c, KVM_EXIT_HLT);
	regs = client_get_regs(&c);
	EXPECT_EQ(regs.rbp, 1);		 /* exactly one fault */
	EXPECT_EQ(regs.rbx, 2);		 /* a write, not present, by the supervisor */
	EXPECT_EQ(regs.rsi, 0x40001018); /* CR2 */
	EXPECT_EQ(regs.rax, 0x600d);
	memcpy(&value, m.bytes + PAGE_GPA + PAGE_BYTES + 0x18, sizeof(value));
	EXPECT_EQ(value, 0x600d);
	EXPECT_EQ(regs.rsp, STACK_TOP);
	client_destroy(&c);
	client_free(&m);
}

int main(void)
{
	sse_and_tables();
	guest_page_fault();
	return 0;
}
