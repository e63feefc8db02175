/* SPDX-License-Identifier: BSD-2-Clause */
/* The second stage of the MMU: which table it walks, and its TLB. */
#ifndef KVMU_EL2_STAGE2_H
#define KVMU_EL2_STAGE2_H

#include "pgtable/pgtable.h"

/* The granules that stage 2 of this processor has (granule_lg2 12, 14 or 16). */
bool el2_stage2_has_granule(unsigned int granule_lg2);
/* ID_AA64MMFR0_EL1.PARange: how many bits a physical address has, coded. */
#define PA_RANGE_48 5u
#define PA_RANGE_52 6u
unsigned int el2_pa_range(void);
/* The processor sets accessed and dirty bits by itself (FEAT_HAFDBS). */
bool el2_has_hardware_marks(void);

/* Walk @pgt from now on as @vmid, with nothing cached. */
void el2_stage2_load(const struct kvm_pgtable *pgt, unsigned int vmid);
/* Flush what is owed on all processors, synchronously. */
void el2_stage2_flush(const struct kvm_pgtable *pgt, const struct kvm_pgtable_flush *flush);

#endif
