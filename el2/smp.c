/* SPDX-License-Identifier: BSD-2-Clause */
/* See smp.h.  QEMU's virt board answers PSCI calls by SMC where EL2 is the guest's. */
#include "el2/smp.h"
#include "el2/sysreg.h"

#define PSCI_CPU_OFF 0x84000002ull
#define PSCI_CPU_ON  0xc4000003ull

extern char el2_start_secondary[];

static s64 psci(u64 function, u64 a, u64 b, u64 c)
{
	register u64 x0 __asm__("x0") = function;
	register u64 x1 __asm__("x1") = a;
	register u64 x2 __asm__("x2") = b;
	register u64 x3 __asm__("x3") = c;

	__asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
	return (s64)x0;
}

int el2_cpu_on(unsigned int cpu, const struct el2_cpu_start *start)
{
	const u64 at = ptr_to_hva(start);

	__asm__ volatile("dc civac, %0" : : "r"(at) : "memory");
	dsb(sy);
	return (int)psci(PSCI_CPU_ON, cpu, ptr_to_hva(el2_start_secondary), at);
}

_Noreturn void el2_cpu_off(void)
{
	for (;;)
		psci(PSCI_CPU_OFF, 0, 0, 0);
}
