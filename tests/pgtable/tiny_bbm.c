/* SPDX-License-Identifier: BSD-2-Clause */
/* The tiny format as if its MMU demanded break-before-make. */
#include "tests/pgtable/tiny_bbm.h"

#define PGT_NAME(op)	      tiny_bbm_##op
#define FMT_BREAK_BEFORE_MAKE 1
#define PGT_FORMAT	      "pgtable/format/tiny.h"
#include "pgtable/instance/instantiate.h"
