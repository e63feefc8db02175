/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What runs at EL1: x0 is the address.  It is position independent, because its
 * place in the guest's memory differs from test to test.
 */
	.section .guest, "ax"
	.global	guest_load
guest_load:
	ldr	x0, [x0]
	hvc	#1

	.global	guest_store
guest_store:
	str	x1, [x0]
	hvc	#1
