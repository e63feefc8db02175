/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine compiled for the RISC-V second stage. */
#include "pgtable/instance/riscv_g.h"

#define PGT_NAME(op) riscv_g_##op
#define PGT_FORMAT   "pgtable/format/riscv_g.h"
#include "pgtable/instance/instantiate.h"

u64 riscv_g_hgatp(const struct kvm_pgtable *pgt, unsigned int vmid)
{
	u64 mode = RISCV_HGATP_SV39X4 + (pgt->levels - 3u);

	return mode << 60 | (u64)(vmid & 0x3fff) << 44 | pgt_env_hpa(pgt->root) >> PAGE_SHIFT;
}
