/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compile the engine for one format.  Before: PGT_NAME(op) names the symbols,
 * PGT_FORMAT is the format's header, and the instance's own header is included.
 */
#include PGT_FORMAT
#include "pgtable/engine/op_life.h"
#include "pgtable/engine/op_map.h"
#include "pgtable/engine/op_unmap.h"
#include "pgtable/engine/op_lookup.h"
#include "pgtable/engine/op_attr.h"
#include "pgtable/engine/op_dirty.h"
#include "pgtable/engine/op_resize.h"
#include "pgtable/engine/op_owner.h"
#include "pgtable/engine/op_unlinked.h"
#include "pgtable/engine/check.h"
