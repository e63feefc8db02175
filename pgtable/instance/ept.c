/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine compiled for Intel EPT. */
#include "pgtable/instance/ept.h"

#define PGT_NAME(op) ept_##op
#define PGT_FORMAT   "pgtable/format/ept.h"
#include "pgtable/instance/instantiate.h"
