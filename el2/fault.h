/* SPDX-License-Identifier: BSD-2-Clause */
/* What an abort says: Arm ARM D19.2.37 (ESR_EL2), "ISS encoding for an exception
 * from an Instruction Abort" and "... from a Data Abort"; D19.2.113 (PAR_EL1). */
#ifndef KVMU_EL2_FAULT_H
#define KVMU_EL2_FAULT_H

#include "base/types.h"

enum el2_fault_kind {
	EL2_FAULT_NONE,
	EL2_FAULT_TRANSLATION,
	EL2_FAULT_ACCESS_FLAG,
	EL2_FAULT_PERMISSION,
	EL2_FAULT_ADDRESS_SIZE,
	EL2_FAULT_OTHER,
};

enum el2_access {
	EL2_READ,
	EL2_WRITE,
	EL2_FETCH,
};

struct el2_fault {
	enum el2_fault_kind kind;
	enum el2_access access;
	/*
	 * Of the entry that refused, counted from 1 at the pages as pgtable/
	 * does: the manual's level 3 is 1, its level -1 is 5.
	 */
	unsigned int level;
	bool stage1_walk; /* stage 2 refused an access of the walk of stage 1 */
	gpa_t gpa;	  /* stage 2 only */
	u64 va;
	unsigned int status; /* the fault status code as it is */
};

/* A fault status code (FSC of ESR, FST of PAR). */
void el2_decode_status(unsigned int status, struct el2_fault *fault);

/* An abort taken to EL2; false: @esr is none. */
bool el2_decode_abort(u64 esr, u64 far, u64 hpfar, struct el2_fault *fault);

#endif
