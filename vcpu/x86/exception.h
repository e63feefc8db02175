/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Raising exceptions and leaving instructions.  Nothing here returns: all
 * unwind to the run loop with the state of the start of cpu->op, so set
 * cpu->op (x86_ea() does) or use the _op form before.
 */
#ifndef KVMU_VCPU_X86_EXCEPTION_H
#define KVMU_VCPU_X86_EXCEPTION_H

#include "vcpu/x86/op.h"

/* Exceptions without and with an error code (SDM vol. 3, table 6-1). */
_Noreturn void x86_raise(struct x86_cpu *cpu, enum x86_exception vector);
_Noreturn void x86_raise_code(struct x86_cpu *cpu, enum x86_exception vector, u32 error_code);
_Noreturn void x86_raise_pf(struct x86_cpu *cpu, u64 addr, u32 error_code);

static inline _Noreturn void x86_raise_op(struct x86_cpu *cpu, const struct x86_op *op,
					  enum x86_exception vector)
{
	cpu->op = op;
	if (vector == X86_GP || vector == X86_STACK || vector == X86_NP || vector == X86_TS ||
	    vector == X86_AC)
		x86_raise_code(cpu, vector, 0);
	x86_raise(cpu, vector);
}

/* The instruction at cpu->op cannot be executed by us: emulation failure with its bytes. */
_Noreturn void x86_unsupported(struct x86_cpu *cpu);

#endif
