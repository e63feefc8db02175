/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Machine mode to HS-mode, and the two ways in which HS-mode meets a trap: after
 * hypervisor loads and stores of its own, and back from the guest in VS-mode.
 * Privileged spec: machine-level CSRs, hypervisor extension.
 */
#include "tests/hw/riscv/layout.h"

	.section .text.start, "ax"
	.globl _start
_start:
	csrr	t0, mhartid
	bnez	t0, park
	la	sp, stack_top
	la	t0, machine_trap
	csrw	mtvec, t0
	/* All of memory for the modes below. */
	li	t0, -1
	csrw	pmpaddr0, t0
	li	t0, 0x1f
	csrw	pmpcfg0, t0
	/* Every exception that can be is HS-mode's. */
	li	t0, -1
	csrw	medeleg, t0
	csrw	mideleg, zero
	csrw	mcounteren, t0		/* the clock */
	/* The guest's entries may say memory types where the CPU has them (PBMTE). */
	li	t0, 1 << 62
	csrw	CSR_MENVCFG, t0
	li	t0, 3 << 11		/* MPP: S, with MPV clear */
	csrc	mstatus, t0
	li	t0, 1 << 11
	csrs	mstatus, t0
	la	t0, hypervisor
	csrw	mepc, t0
	mret

hypervisor:
	la	t0, trap
	csrw	stvec, t0
	csrw	satp, zero
	call	image_main
park:
	wfi
	j	park

	.balign	4
machine_trap:
	csrr	a0, mcause
	csrr	a1, mepc
	csrr	a2, mtval
	call	unexpected_trap

/*
 * u64 guest_run(u64 pc, u64 a0, u64 a1): run the guest at pc until it traps; what
 * it had in a0 then.
 */
	.globl	guest_run
guest_run:
	addi	sp, sp, -112
	sd	ra, 0(sp)
	sd	s0, 8(sp)
	sd	s1, 16(sp)
	sd	s2, 24(sp)
	sd	s3, 32(sp)
	sd	s4, 40(sp)
	sd	s5, 48(sp)
	sd	s6, 56(sp)
	sd	s7, 64(sp)
	sd	s8, 72(sp)
	sd	s9, 80(sp)
	sd	s10, 88(sp)
	sd	s11, 96(sp)
	sd	gp, 104(sp)
	csrw	sscratch, sp
	csrw	sepc, a0
	li	t0, HSTATUS_SPV | HSTATUS_SPVP
	csrs	CSR_HSTATUS, t0
	li	t0, SSTATUS_SPP
	csrs	sstatus, t0
	mv	a0, a1
	mv	a1, a2
	sret

	.balign	4
trap:
	/* Free to use: in the guest all registers, between hyp_begin and hyp_end t5 and t6. */
	csrr	t6, CSR_HSTATUS
	andi	t6, t6, HSTATUS_SPV
	bnez	t6, from_guest
	csrr	t6, sepc
	la	t5, hyp_begin
	bltu	t6, t5, trap_in_hypervisor
	la	t5, hyp_end
	bgeu	t6, t5, trap_in_hypervisor
	addi	t6, t6, 4
	csrw	sepc, t6
	li	t6, 1			/* says that it trapped */
	sret

from_guest:
	li	t0, HSTATUS_SPV
	csrc	CSR_HSTATUS, t0
	csrr	sp, sscratch
	ld	ra, 0(sp)
	ld	s0, 8(sp)
	ld	s1, 16(sp)
	ld	s2, 24(sp)
	ld	s3, 32(sp)
	ld	s4, 40(sp)
	ld	s5, 48(sp)
	ld	s6, 56(sp)
	ld	s7, 64(sp)
	ld	s8, 72(sp)
	ld	s9, 80(sp)
	ld	s10, 88(sp)
	ld	s11, 96(sp)
	ld	gp, 104(sp)
	addi	sp, sp, 112
	ret
trap_in_hypervisor:
	csrr	a0, scause
	csrr	a1, sepc
	csrr	a2, stval
	call	unexpected_trap

/*
 * bool hyp_load(u64 gpa, u64 *value), hyp_store(u64 gpa, u64 value): with the
 * guest's translation; true: it trapped.  LLVM 14 has no names for these.
 */
hyp_begin:
	.globl	hyp_load
hyp_load:
	li	t6, 0
	.insn	r 0x73, 4, 0x36, t0, a0, x0	/* hlv.d t0, (a0) */
	sd	t0, 0(a1)
	mv	a0, t6
	ret

	.globl	hyp_store
hyp_store:
	li	t6, 0
	.insn	r 0x73, 4, 0x37, x0, a0, a1	/* hsv.d a1, (a0) */
	mv	a0, t6
	ret
hyp_end:

/* void fence_page(u64 gpa), fence_all(void): hfence.gvma for every VMID. */
	.globl	fence_page
fence_page:
	srli	a0, a0, 2
	.insn	r 0x73, 0, 0x31, x0, a0, x0
	ret

	.globl	fence_all
fence_all:
	.insn	r 0x73, 0, 0x31, x0, x0, x0
	ret

/*
 * The guest's own code, on a page that is mapped at an address of its own: a0 is
 * an address, a1 a value.
 */
	.balign	4096
	.globl	guest_page, guest_load, guest_store
guest_page:
guest_load:
	ld	a0, 0(a0)
	ecall
guest_store:
	sd	a1, 0(a0)
	ecall
	.balign	4096

	.bss
	.balign	16
	.space	65536
stack_top:
