/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on arm64 stage 1 of EL2: arm64_hyp_map() and so on, see pgtable_api.h. */
#ifndef KVMU_PGTABLE_INSTANCE_ARM64_HYP_H
#define KVMU_PGTABLE_INSTANCE_ARM64_HYP_H

#include "pgtable/pgtable.h"

#define PGT_NAME(op) arm64_hyp_##op
#include "pgtable/pgtable_api.h"
#undef PGT_NAME

#endif
