/* SPDX-License-Identifier: BSD-2-Clause */
/* Running EL1, and trying accesses at EL2 itself.  The layout is known to vectors.S. */
#ifndef KVMU_EL2_VCPU_H
#define KVMU_EL2_VCPU_H

#include "base/types.h"

struct el2_vcpu {
	u64 x[31];
	u64 pc;
	u64 pstate;
	/* Why it came back. */
	u64 esr;
	u64 far;
	u64 hpfar;
};

/* Registers that the image's EL1 needs once: stage 1 off, stage 2 as loaded. */
void el2_vcpu_prepare(void);

/* Run until the next exception to EL2. */
void el2_enter(struct el2_vcpu *vcpu);

/* What an access at EL2 led to. */
struct el2_attempt {
	u64 value; /* loaded, to be stored, or returned by the code */
	u64 esr;   /* 0: no exception */
	u64 far;
};

/* An access by EL2 that may abort; one at a time. */
void el2_try_read(u64 va, struct el2_attempt *attempt);
void el2_try_write(u64 va, struct el2_attempt *attempt);
void el2_try_call(u64 va, struct el2_attempt *attempt);

/* Data was written that will be executed: [start, start + bytes) to the point of unification. */
void el2_sync_code(const void *start, size_t bytes);

/* An exception that nobody expects; supplied by the image. */
_Noreturn void el2_unexpected(u64 esr, u64 elr, u64 far);

#endif
