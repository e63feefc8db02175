/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From multiboot's 32-bit entry (multiboot specification 0.6.96, 3.2) to long
 * mode with the first 4 GiB mapped to themselves, and into a guest and back
 * (APM vol. 2, 15.5).  With -DLA57 the image's own tables have five levels, and
 * with them the nested ones (APM vol. 2, 15.25.3).
 */
#include "tests/hw/x86/layout.h"

	.section .text.start, "ax"
	.code32
	/* The address fields are used, so that the file may be 64-bit ELF. */
	.balign	4
multiboot_header:
	.long	0x1badb002
	.long	0x00010000
	.long	-(0x1badb002 + 0x00010000)
	.long	multiboot_header
	.long	image_start
	.long	image_data_end
	.long	image_end
	.long	_start

	.globl	_start
_start:
	cli
	cld
	mov	$stack_top, %esp
	/* 1 GiB pages: present, writable, big. */
	movl	$(pdpt + 3), pml4
	movl	$0x00000083, pdpt
	movl	$0x40000083, pdpt + 8
	movl	$0x80000083, pdpt + 16
	movl	$0xc0000083, pdpt + 24
	mov	$CR4_PAE, %eax
	mov	$pml4, %edx
#ifdef LA57
	movl	$(pml4 + 3), pml5
	or	$CR4_LA57, %eax
	mov	$pml5, %edx
#endif
	mov	%eax, %cr4
	mov	%edx, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$(EFER_LME | EFER_NXE | EFER_SVME), %eax
	wrmsr
	mov	$(CR0_PG | CR0_WP | CR0_ET | CR0_PE), %eax
	mov	%eax, %cr0
	lgdt	gdt_pointer
	ljmp	$8, $long_mode

	.code64
long_mode:
	mov	$16, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	lidt	idt_pointer
	call	image_main
1:	hlt
	jmp	1b

/*
 * void guest_run(u64 vmcb, u64 rdi, u64 rsi): run the guest until it exits.  Its
 * RAX is in the VMCB; it changes no other register.
 */
	.globl	guest_run
guest_run:
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	vmrun	%rax
	ret

/* Any exception of the image itself: vectors 0 to 31 end here. */
	.globl	exception_stubs
exception_stubs:
	.set	vector, 0
	.rept	32
	.balign	16
	.if	!(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
	push	$0
	.endif
	push	$vector
	jmp	exception
	.set	vector, vector + 1
	.endr
exception:
	pop	%rdi
	pop	%rsi
	mov	(%rsp), %rdx
	mov	%cr2, %rcx
	and	$-16, %rsp
	call	unexpected_exception

/* The guest's own code, on a page that is mapped at an address of its own. */
	.balign	4096
	.globl	guest_page, guest_load, guest_store
guest_page:
guest_load:
	mov	(%rdi), %rax
	vmmcall
guest_store:
	mov	%rsi, (%rdi)
	vmmcall
	.balign	4096

	.data
	.balign	16
gdt:
	.quad	0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.quad	gdt
	.globl	idt
idt_pointer:
	.word	32 * 16 - 1
	.quad	idt

	.bss
	.balign	4096
pml5:	.space	4096
pml4:	.space	4096
pdpt:	.space	4096
idt:	.space	32 * 16
	.balign	16
	.space	65536
stack_top:
