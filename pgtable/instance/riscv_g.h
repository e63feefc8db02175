/* SPDX-License-Identifier: BSD-2-Clause */
/* The operations on the RISC-V second stage: riscv_g_map() and so on, see pgtable_api.h. */
#ifndef KVMU_PGTABLE_INSTANCE_RISCV_G_H
#define KVMU_PGTABLE_INSTANCE_RISCV_G_H

#include "pgtable/pgtable.h"

#define PGT_NAME(op) riscv_g_##op
#include "pgtable/pgtable_api.h"
#undef PGT_NAME

/* hgatp.MODE */
enum {
	RISCV_HGATP_BARE = 0,
	RISCV_HGATP_SV39X4 = 8,
	RISCV_HGATP_SV48X4 = 9,
	RISCV_HGATP_SV57X4 = 10,
};

/* The value for hgatp: mode by the depth, PPN of the root, @vmid (14 bits). */
u64 riscv_g_hgatp(const struct kvm_pgtable *pgt, unsigned int vmid);

#endif
