/* SPDX-License-Identifier: BSD-2-Clause */
/* The RISC-V second stage as machines for the driver. */
#ifndef KVMU_TESTS_HW_RISCV_MACHINE_H
#define KVMU_TESTS_HW_RISCV_MACHINE_H

#include "pgtable/chunk_heap.h"
#include "tests/hw/common/driver.h"
#include "tests/hw/riscv/layout.h"

#define CSR_STRING_OF(csr) #csr
#define CSR_STRING(csr)	   CSR_STRING_OF(csr)
#define csr_read(csr)                                                                    \
	({                                                                               \
		u64 csr_;                                                                \
		__asm__ volatile("csrr %0, " CSR_STRING(csr) : "=r"(csr_) : : "memory"); \
		csr_;                                                                    \
	})
#define csr_write(csr, value) \
	__asm__ volatile("csrw " CSR_STRING(csr) ", %0" : : "r"((u64)(value)) : "memory")

/* Loads, stores and fetches in VS-mode, with its own stage off. */
void guest_machine(struct hw_machine *m, struct chunk_heap *heap);
/* The same, but loads and stores by HLV and HSV, which translate as the guest does. */
void hypervisor_machine(struct hw_machine *m, struct chunk_heap *heap);

#endif
