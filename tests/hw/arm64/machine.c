/* SPDX-License-Identifier: BSD-2-Clause */
/* What both stages have in common: reports in the driver's words, code to call. */
#include "el2/sysreg.h"
#include "el2/vcpu.h"
#include "tests/hw/arm64/machine.h"

static enum hw_fault fault_kind(const struct el2_fault *fault)
{
	switch (fault->kind) {
	case EL2_FAULT_NONE:
		return HW_FAULT_NONE;
	case EL2_FAULT_TRANSLATION:
		return HW_FAULT_ABSENT;
	case EL2_FAULT_PERMISSION:
		return HW_FAULT_PERM;
	case EL2_FAULT_ACCESS_FLAG:
		return HW_FAULT_YOUNG;
	default:
		return HW_FAULT_OTHER;
	}
}

void report_fault(const struct el2_fault *fault, struct hw_access *access)
{
	static const enum hw_op ops[] = {
		[EL2_READ] = HW_READ, [EL2_WRITE] = HW_WRITE, [EL2_FETCH] = HW_FETCH};

	access->fault = fault_kind(fault);
	access->fault_gpa = fault->gpa;
	access->fault_op = ops[fault->access];
	access->level = fault->level;
	if (access->fault == HW_FAULT_OTHER)
		hw_printf("fault status 0x%x at 0x%lx\n", fault->status, fault->va);
}

void report_par(u64 par, struct hw_probe *probe)
{
	struct el2_fault fault = {.kind = EL2_FAULT_NONE};

	if (par & PAR_F) {
		el2_decode_status(PAR_FST(par), &fault);
		probe->fault = fault_kind(&fault);
		probe->level = fault.level;
		return;
	}
	probe->fault = HW_FAULT_NONE;
	probe->hpa = (par & PAR_PA) | (probe->gpa & (PAGE_SIZE - 1));
	probe->device = !(PAR_ATTR(par) & 0xf0);
}

void put_return_of(void *code, u32 value, u32 last)
{
	volatile u32 *at = code;

	at[0] = 0x52800000u | (value & 0xffff) << 5;
	at[1] = 0x72a00000u | (value >> 16) << 5;
	at[2] = last;
	el2_sync_code(code, 12);
}
