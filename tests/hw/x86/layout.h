/* SPDX-License-Identifier: BSD-2-Clause */
/* What C, assembly and the linker script agree on: memory of QEMU's pc machine with 2 GiB. */
#ifndef KVMU_TESTS_HW_X86_LAYOUT_H
#define KVMU_TESTS_HW_X86_LAYOUT_H

#define IMAGE_START    0x00100000
#define PARAMS_ADDRESS 0x00f00000 /* the runner's, see tests/hw/common/image.h */
#define TABLES_START   0x01000000
#define BACKING_START  0x40000000
#define BACKING_BYTES  0x40000000
#define UART_PORT      0x3f8
#define EXIT_PORT      0xf4 /* isa-debug-exit */

#define MSR_EFER	0xc0000080
#define MSR_VM_HSAVE_PA 0xc0010117
#define EFER_LME	0x0100
#define EFER_LMA	0x0400
#define EFER_NXE	0x0800
#define EFER_SVME	0x1000
#define CR0_PE		0x00000001
#define CR0_ET		0x00000010
#define CR0_WP		0x00010000
#define CR0_PG		0x80000000
#define CR4_PAE		0x00000020
#define CR4_LA57	0x00001000

#endif
