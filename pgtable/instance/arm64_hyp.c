/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine compiled for arm64 stage 1 of EL2. */
#include "pgtable/instance/arm64_hyp.h"

#define PGT_NAME(op) arm64_hyp_##op
#define PGT_FORMAT   "pgtable/format/arm64_hyp.h"
#include "pgtable/instance/instantiate.h"
