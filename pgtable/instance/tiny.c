/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine compiled for the test format. */
#include "pgtable/instance/tiny.h"

#define PGT_NAME(op) tiny_##op
#define PGT_FORMAT   "pgtable/format/tiny.h"
#include "pgtable/instance/instantiate.h"
