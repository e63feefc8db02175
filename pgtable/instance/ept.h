/* SPDX-License-Identifier: BSD-2-Clause */
/* The operations on Intel EPT: ept_map() and so on, see pgtable_api.h. */
#ifndef KVMU_PGTABLE_INSTANCE_EPT_H
#define KVMU_PGTABLE_INSTANCE_EPT_H

#include "pgtable/pgtable.h"

#define PGT_NAME(op) ept_##op
#include "pgtable/pgtable_api.h"
#undef PGT_NAME

#endif
