/* SPDX-License-Identifier: BSD-2-Clause */
/* The one stage of translation of EL2 itself. */
#ifndef KVMU_EL2_HYP_H
#define KVMU_EL2_HYP_H

#include "pgtable/pgtable.h"

/*
 * Walk @pgt from now on, with nothing cached; turns the MMU on.  The table maps
 * what runs, at its own address.
 */
void el2_hyp_load(const struct kvm_pgtable *pgt);
/* Back to physical addresses. */
void el2_hyp_unload(void);
/* Flush what is owed on all processors, synchronously. */
void el2_hyp_flush(const struct kvm_pgtable *pgt, const struct kvm_pgtable_flush *flush);

#endif
