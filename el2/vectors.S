/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Start at EL2, exceptions, the way into EL1 and back (el2/vcpu.h).
 *
 * While EL1 runs, TPIDR_EL2 holds its struct el2_vcpu and the stack what
 * el2_enter() saved.  While EL2 tries an access, TPIDR_EL2 holds its struct
 * el2_attempt with bit 0 set; otherwise it is 0.
 */
#define VCPU_PC		(31 * 8)
#define VCPU_ESR	(33 * 8)
#define VCPU_HPFAR	(35 * 8)
#define ATTEMPT_ESR	8

	.section .text.start, "ax"
	.global	el2_start
el2_start:
	mrs	x0, CurrentEL
	cmp	x0, #(2 << 2)
	b.ne	.			// started at another level: no stack, no console
	adrp	x0, el2_stack_end
	add	x0, x0, :lo12:el2_stack_end
	adrp	x1, el2_main
	add	x1, x1, :lo12:el2_main

/* x0 is the end of the stack, x1 what to call on it. */
start_on_stack:
	msr	spsel, #1
	mov	sp, x0
	adr	x0, el2_vectors
	msr	vbar_el2, x0
	msr	tpidr_el2, xzr
	msr	cptr_el2, xzr		// no traps of floating point
	isb
	blr	x1
	b	.

/* Another processor: PSCI hands over a struct el2_cpu_start. */
	.global	el2_start_secondary
el2_start_secondary:
	ldp	x0, x1, [x0]
	b	start_on_stack

	.text
/* Callee-saved registers and the link register: what C expects back. */
.macro save_callee_saved
	stp	x19, x20, [sp, #-96]!
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
.endm

.macro restore_callee_saved
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	ldp	x19, x20, [sp], #96
.endm

	.global	el2_enter
el2_enter:
	save_callee_saved
	msr	tpidr_el2, x0
	ldp	x1, x2, [x0, #VCPU_PC]
	msr	elr_el2, x1
	msr	spsr_el2, x2
	dsb	ish			// table entries written before are seen by the walks
	ldp	x2, x3, [x0, #16]
	ldp	x4, x5, [x0, #32]
	ldp	x6, x7, [x0, #48]
	ldp	x8, x9, [x0, #64]
	ldp	x10, x11, [x0, #80]
	ldp	x12, x13, [x0, #96]
	ldp	x14, x15, [x0, #112]
	ldp	x16, x17, [x0, #128]
	ldp	x18, x19, [x0, #144]
	ldp	x20, x21, [x0, #160]
	ldp	x22, x23, [x0, #176]
	ldp	x24, x25, [x0, #192]
	ldp	x26, x27, [x0, #208]
	ldp	x28, x29, [x0, #224]
	ldr	x30, [x0, #240]
	ldp	x0, x1, [x0]
	eret

/* From EL1: back into the caller of el2_enter(). */
guest_exit:
	stp	x0, x1, [sp, #-16]!
	mrs	x0, tpidr_el2
	stp	x2, x3, [x0, #16]
	stp	x4, x5, [x0, #32]
	stp	x6, x7, [x0, #48]
	stp	x8, x9, [x0, #64]
	stp	x10, x11, [x0, #80]
	stp	x12, x13, [x0, #96]
	stp	x14, x15, [x0, #112]
	stp	x16, x17, [x0, #128]
	stp	x18, x19, [x0, #144]
	stp	x20, x21, [x0, #160]
	stp	x22, x23, [x0, #176]
	stp	x24, x25, [x0, #192]
	stp	x26, x27, [x0, #208]
	stp	x28, x29, [x0, #224]
	str	x30, [x0, #240]
	ldp	x2, x3, [sp], #16
	stp	x2, x3, [x0]
	mrs	x1, elr_el2
	mrs	x2, spsr_el2
	stp	x1, x2, [x0, #VCPU_PC]
	mrs	x1, esr_el2
	mrs	x2, far_el2
	stp	x1, x2, [x0, #VCPU_ESR]
	mrs	x1, hpfar_el2
	str	x1, [x0, #VCPU_HPFAR]
	msr	tpidr_el2, xzr
	restore_callee_saved
	ret

/* x0 is the address, x1 the attempt: TPIDR_EL2 says so to own_exception. */
.macro begin_attempt
	save_callee_saved
	mov	x19, sp
	orr	x2, x1, #1
	msr	tpidr_el2, x2
	str	xzr, [x1, #ATTEMPT_ESR]
	dsb	ish
	isb
.endm

	.global	el2_try_read
el2_try_read:
	begin_attempt
	ldr	x0, [x0]
	b	attempt_done

	.global	el2_try_write
el2_try_write:
	begin_attempt
	ldr	x2, [x1]
	str	x2, [x0]
	mov	x0, x2
	b	attempt_done

	.global	el2_try_call
el2_try_call:
	begin_attempt
	mov	x20, x1
	blr	x0
	mov	x1, x20
attempt_done:
	str	x0, [x1]
attempt_over:
	msr	tpidr_el2, xzr
	restore_callee_saved
	ret

/* At EL2: an attempt that failed, or a bug. */
own_exception:
	mrs	x1, tpidr_el2
	tbz	x1, #0, unexpected
	and	x1, x1, #~1
	mrs	x2, esr_el2
	mrs	x3, far_el2
	stp	x2, x3, [x1, #ATTEMPT_ESR]
	mov	sp, x19			// kept by whatever was called, or that never ran
	adr	x0, attempt_over
	msr	elr_el2, x0
	eret

unexpected:
	adrp	x0, el2_stack_end
	add	x0, x0, :lo12:el2_stack_end
	mov	sp, x0
	mrs	x0, esr_el2
	mrs	x1, elr_el2
	mrs	x2, far_el2
	b	el2_unexpected

.macro vector target
	.balign	0x80
	b	\target
.endm

	.balign	0x800
el2_vectors:
	vector	unexpected		// EL2 with SP_EL0
	vector	unexpected
	vector	unexpected
	vector	unexpected
	vector	own_exception		// EL2: synchronous
	vector	unexpected
	vector	unexpected
	vector	unexpected
	vector	guest_exit		// EL1, AArch64: synchronous
	vector	unexpected
	vector	unexpected
	vector	unexpected
	vector	unexpected		// EL1, AArch32
	vector	unexpected
	vector	unexpected
	vector	unexpected

	.bss
	.balign	16
el2_stack:
	.space	65536
el2_stack_end:
