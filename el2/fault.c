/* SPDX-License-Identifier: BSD-2-Clause */
/* Decoding of aborts, see fault.h. */
#include "el2/fault.h"
#include "el2/sysreg.h"

void el2_decode_status(unsigned int status, struct el2_fault *fault)
{
	static const enum el2_fault_kind kinds[4] = {EL2_FAULT_ADDRESS_SIZE, EL2_FAULT_TRANSLATION,
						     EL2_FAULT_ACCESS_FLAG, EL2_FAULT_PERMISSION};

	fault->status = status;
	fault->level = 0;
	fault->kind = EL2_FAULT_OTHER;
	if (status < 0x10) {
		fault->kind = kinds[status >> 2];
		fault->level = 4 - (status & 3);
	} else if (status == 0x29 || status == 0x2b) { /* level -1, with 52-bit addresses */
		fault->kind = status == 0x29 ? EL2_FAULT_ADDRESS_SIZE : EL2_FAULT_TRANSLATION;
		fault->level = 5;
	}
}

/*
 * Where a permission fault happened HPFAR_EL2 is not defined, unless the walk of
 * stage 1 caused it; then stage 1 itself is asked what the address means.
 */
static gpa_t faulting_gpa(const struct el2_fault *fault, u64 hpfar)
{
	const u64 offset = fault->va & (PAGE_SIZE - 1);
	u64 par, saved;

	if (fault->kind != EL2_FAULT_PERMISSION || fault->stage1_walk)
		return HPFAR_GPA(hpfar) | offset;
	saved = sysreg_read(par_el1);
	at(s1e1r, fault->va);
	isb();
	par = sysreg_read(par_el1);
	sysreg_write(par_el1, saved);
	return par & PAR_F ? INVALID_GPA : (par & PAR_PA) | offset;
}

bool el2_decode_abort(u64 esr, u64 far, u64 hpfar, struct el2_fault *fault)
{
	const unsigned int class = ESR_EC(esr);
	const bool fetch = class == ESR_EC_IABT_LOW || class == ESR_EC_IABT;

	if (!fetch && class != ESR_EC_DABT_LOW && class != ESR_EC_DABT)
		return false;
	*fault = (struct el2_fault){.va = far};
	el2_decode_status(ESR_FSC(esr), fault);
	fault->stage1_walk = esr & ESR_S1PTW;
	if (fetch)
		fault->access = EL2_FETCH;
	else
		fault->access = esr & ESR_WNR ? EL2_WRITE : EL2_READ;
	if (class == ESR_EC_IABT_LOW || class == ESR_EC_DABT_LOW)
		fault->gpa = faulting_gpa(fault, hpfar);
	return true;
}
