/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine compiled for arm64 stage 2 with 4 KiB pages. */
#include "pgtable/instance/arm64_s2_4k.h"

#define PGT_NAME(op)	  arm64_s2_4k_##op
#define ARM64_GRANULE_LG2 12
#define PGT_FORMAT	  "pgtable/format/arm64_s2.h"
#include "pgtable/instance/instantiate.h"
