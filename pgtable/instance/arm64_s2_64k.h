/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on arm64 stage 2, 64 KiB pages: arm64_s2_64k_map() and so on, see pgtable_api.h. */
#ifndef KVMU_PGTABLE_INSTANCE_ARM64_S2_64K_H
#define KVMU_PGTABLE_INSTANCE_ARM64_S2_64K_H

#include "pgtable/pgtable.h"

#define PGT_NAME(op) arm64_s2_64k_##op
#include "pgtable/pgtable_api.h"
#undef PGT_NAME

#endif
