/* SPDX-License-Identifier: BSD-2-Clause */
/* See vcpu.h. */
#include "el2/vcpu.h"
#include "el2/sysreg.h"

_Static_assert(offsetof(struct el2_vcpu, pc) == 31 * 8, "known to vectors.S");
_Static_assert(offsetof(struct el2_vcpu, esr) == 33 * 8, "known to vectors.S");
_Static_assert(offsetof(struct el2_vcpu, hpfar) == 35 * 8, "known to vectors.S");
_Static_assert(offsetof(struct el2_attempt, esr) == 8, "known to vectors.S");

void el2_vcpu_prepare(void)
{
	sysreg_write(sctlr_el1, SCTLR_EL1_OFF);
	sysreg_write(hcr_el2, HCR_RW | HCR_DC | HCR_VM);
	isb();
}

void el2_sync_code(const void *start, size_t bytes)
{
	/* The smallest line there is; smaller steps than needed do no harm. */
	const u64 line = 16, end = ptr_to_hva(start) + bytes;

	for (u64 va = align_down(ptr_to_hva(start), line); va < end; va += line)
		__asm__ volatile("dc cvau, %0" : : "r"(va) : "memory");
	dsb(ish);
	for (u64 va = align_down(ptr_to_hva(start), line); va < end; va += line)
		__asm__ volatile("ic ivau, %0" : : "r"(va) : "memory");
	dsb(ish);
	isb();
}
