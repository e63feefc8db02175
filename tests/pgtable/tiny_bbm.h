/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef KVMU_TESTS_PGTABLE_TINY_BBM_H
#define KVMU_TESTS_PGTABLE_TINY_BBM_H

#include "pgtable/pgtable.h"

#define PGT_NAME(op) tiny_bbm_##op
#include "pgtable/pgtable_api.h"
#undef PGT_NAME

#endif
