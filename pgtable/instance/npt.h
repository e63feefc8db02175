/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operations on AMD NPT: npt_map() and so on, see pgtable_api.h.  With
 * config.supervisor the same are plain long-mode tables of a kernel.
 */
#ifndef KVMU_PGTABLE_INSTANCE_NPT_H
#define KVMU_PGTABLE_INSTANCE_NPT_H

#include "pgtable/pgtable.h"

#define PGT_NAME(op) npt_##op
#include "pgtable/pgtable_api.h"
#undef PGT_NAME

#endif
