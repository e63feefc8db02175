/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What C, assembly and the linker script agree on: where things are on QEMU's
 * virt machine with 2 GiB, and CSR numbers that LLVM 14 has no names for.
 */
#ifndef KVMU_TESTS_HW_RISCV_LAYOUT_H
#define KVMU_TESTS_HW_RISCV_LAYOUT_H

#define RAM_START      0x80000000
#define PARAMS_ADDRESS 0x801ff000 /* the runner's, see tests/hw/common/image.h */
#define TABLES_START   0x80200000
#define BACKING_START  0xc0000000
#define BACKING_BYTES  0x40000000
#define UART_BASE      0x10000000
#define FINISHER_BASE  0x00100000 /* sifive_test */
#define TIMEBASE_MHZ   10

#define CSR_VSATP   0x280
#define CSR_MENVCFG 0x30a
#define CSR_HSTATUS 0x600
#define CSR_HTVAL   0x643
#define CSR_HGATP   0x680

#define HSTATUS_SPV  0x80
#define HSTATUS_SPVP 0x100
#define SSTATUS_SPP  0x100

#define SCAUSE_ILLEGAL	   2
#define SCAUSE_VS_ECALL	   10
#define SCAUSE_GUEST_FETCH 20
#define SCAUSE_GUEST_LOAD  21
#define SCAUSE_GUEST_STORE 23

#endif
