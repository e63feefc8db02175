/* SPDX-License-Identifier: BSD-2-Clause */
/* Other processors: Arm DEN 0022, "Power State Coordination Interface", CPU_ON. */
#ifndef KVMU_EL2_SMP_H
#define KVMU_EL2_SMP_H

#include "base/types.h"

/* Known to vectors.S.  Read by the new processor with its caches off. */
struct el2_cpu_start {
	void *stack_end;
	void (*run)(void); /* does not return */
};

/* PSCI's answer: 0, or negative. */
#define EL2_CPU_ALREADY_ON (-4)
int el2_cpu_on(unsigned int cpu, const struct el2_cpu_start *start);
_Noreturn void el2_cpu_off(void);

#endif
