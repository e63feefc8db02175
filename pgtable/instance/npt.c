/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine compiled for AMD NPT, which are the long-mode tables. */
#include "pgtable/instance/npt.h"

#define PGT_NAME(op) npt_##op
#define PGT_FORMAT   "pgtable/format/x86_64.h"
#include "pgtable/instance/instantiate.h"
