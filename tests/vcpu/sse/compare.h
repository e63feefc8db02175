/* SPDX-License-Identifier: BSD-2-Clause */
/* Forms of vector instructions against the host: random states, all of the state compared. */
#ifndef KVMU_TESTS_VCPU_SSE_COMPARE_H
#define KVMU_TESTS_VCPU_SSE_COMPARE_H

#include "tests/vcpu/sse/harness.h"

/* Built a second time with the computations for hosts that are not x86; sse_fp_portable.h has their
 * limits. */
#if defined(KVMU_SSE_PORTABLE)
#define PORTABLE true
#else
#define PORTABLE false
#endif

/* What is to be done with each form that the family has a handler for. */
typedef void visit_fn(const struct insn *insn, const struct x86_op *op);

extern u64 seed;
extern unsigned int rounds; /* states for each form */
extern unsigned int nr_forms, nr_wrong;
extern bool unmasked_run; /* with exceptions that MXCSR does not mask */

/* harness_start(), with the above. */
void compare_init(void);
/* Does it name a general register that the harness does not carry? */
bool outside_harness(const struct insn *insn);
/* Counts the form; and as wrong when a round differs, which the first few print. */
void compare_form(const struct insn *insn, const struct x86_op *op);

#endif
