/* SPDX-License-Identifier: BSD-2-Clause */
/* Intel EPT (SDM vol. 3, 29.3 "The Extended Page Table Mechanism"), 4 and 5 level. */
#ifndef KVMU_PGTABLE_INSTANCE_EPT_H
#define KVMU_PGTABLE_INSTANCE_EPT_H

#include "pgtable/pgtable.h"

#define PGT_NAME(op) ept_##op
#include "pgtable/pgtable_api.h"
#undef PGT_NAME

#endif
