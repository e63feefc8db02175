/* SPDX-License-Identifier: BSD-2-Clause */
/* The operations on the test format: tiny_map() and so on, see pgtable_api.h. */
#ifndef KVMU_PGTABLE_INSTANCE_TINY_H
#define KVMU_PGTABLE_INSTANCE_TINY_H

#include "pgtable/pgtable.h"

#define PGT_NAME(op) tiny_##op
#include "pgtable/pgtable_api.h"
#undef PGT_NAME

#endif
