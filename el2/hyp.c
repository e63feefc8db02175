/* SPDX-License-Identifier: BSD-2-Clause */
/* See hyp.h.  Arm ARM D8.2 (TCR_EL2, MAIR_EL2), D8.14 (TLB maintenance). */
#include "el2/hyp.h"
#include "el2/stage2.h"
#include "el2/sysreg.h"
#include "pgtable/arm64_regs.h"

/* Above so many pages one instruction for everything is cheaper. */
#define FLUSH_PAGES_MAX 16

static void flush_all(void)
{
	dsb(ishst);
	tlbi(alle2is);
	dsb(ish);
	isb();
}

void el2_hyp_flush(const struct kvm_pgtable *pgt, const struct kvm_pgtable_flush *flush)
{
	const unsigned int page_lg2 = pgt->config.granule_lg2 ? pgt->config.granule_lg2 : 12;

	if ((flush->end - flush->start) >> page_lg2 > FLUSH_PAGES_MAX) {
		flush_all();
		return;
	}
	dsb(ishst);
	for (u64 va = flush->start; va < flush->end; va += 1ull << page_lg2)
		tlbi_at(vae2is, va >> 12);
	dsb(ish);
	isb();
}

static void set_sctlr(u64 sctlr)
{
	sysreg_write(sctlr_el2, sctlr);
	isb();
}

void el2_hyp_load(const struct kvm_pgtable *pgt)
{
	el2_hyp_unload();
	sysreg_write(mair_el2, ARM64_HYP_MAIR);
	sysreg_write(tcr_el2,
		     arm64_hyp_tcr(pgt, (unsigned int)min_u64(el2_pa_range(), PA_RANGE_48)));
	sysreg_write(ttbr0_el2, arm64_hyp_ttbr(pgt));
	isb();
	flush_all();
	set_sctlr(SCTLR_EL2_RES1 | SCTLR_M | SCTLR_C | SCTLR_I);
}

void el2_hyp_unload(void)
{
	set_sctlr(SCTLR_EL2_RES1);
	flush_all();
}
