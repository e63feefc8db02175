/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See stage2.h.  Arm ARM D8.2 (translation process, VTCR_EL2), D8.14 (TLB
 * maintenance).
 */
#include "el2/stage2.h"
#include "el2/sysreg.h"
#include "pgtable/arm64_regs.h"

/* Above so many pages one instruction for everything is cheaper. */
#define FLUSH_PAGES_MAX 16

static unsigned int memory_model(unsigned int shift)
{
	return (unsigned int)(sysreg_read(id_aa64mmfr0_el1) >> shift) & 0xf;
}

/* ID_AA64MMFR0_EL1.TGranX_2: 0 refers to the field of stage 1, 1 is "no". */
static unsigned int granule_support(unsigned int granule_lg2)
{
	switch (granule_lg2) {
	case 12:
		return memory_model(40);
	case 14:
		return memory_model(32);
	default:
		return memory_model(36);
	}
}

bool el2_stage2_has_granule(unsigned int granule_lg2)
{
	return granule_support(granule_lg2) >= 2;
}

unsigned int el2_pa_range(void)
{
	return memory_model(0);
}

bool el2_has_hardware_marks(void)
{
	return (sysreg_read(id_aa64mmfr1_el1) & 0xf) >= 2;
}

static void flush_all(void)
{
	dsb(ishst);
	tlbi(vmalls12e1is);
	dsb(ish);
	isb();
}

/* Stage 2 by address; then stage 1, whose entries are kept combined with it. */
static void flush_pages(u64 start, u64 end, unsigned int page_lg2)
{
	dsb(ishst);
	for (u64 gpa = start; gpa < end; gpa += 1ull << page_lg2)
		tlbi_at(ipas2e1is, gpa >> 12);
	dsb(ish);
	tlbi(vmalle1is);
	dsb(ish);
	isb();
}

void el2_stage2_flush(const struct kvm_pgtable *pgt, const struct kvm_pgtable_flush *flush)
{
	const unsigned int page_lg2 = pgt->config.granule_lg2 ? pgt->config.granule_lg2 : 12;

	if ((flush->end - flush->start) >> page_lg2 > FLUSH_PAGES_MAX)
		flush_all();
	else
		flush_pages(flush->start, flush->end, page_lg2);
}

void el2_stage2_load(const struct kvm_pgtable *pgt, unsigned int vmid)
{
	const unsigned int reach = pgt->config.granule_lg2 == 16 ? PA_RANGE_52 : PA_RANGE_48;

	sysreg_write(vtcr_el2, arm64_s2_vtcr(pgt, (unsigned int)min_u64(el2_pa_range(), reach)));
	sysreg_write(vttbr_el2, arm64_s2_vttbr(pgt, vmid));
	isb();
	flush_all();
}
