/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PL011 (Arm DDI 0183), semihosting (Arm IHI "Semihosting for AArch32 and
 * AArch64", SYS_EXIT), generic timer (Arm ARM D11).
 */
#include "el2/platform.h"
#include "el2/sysreg.h"

#define PL011_DATA	0x00
#define PL011_FLAGS	0x18
#define PL011_FLAG_FULL BIT_ULL(5)

#define SEMIHOSTING_EXIT	     0x18
#define SEMIHOSTING_APPLICATION_EXIT 0x20026

static volatile u32 *pl011(u64 offset)
{
	return (volatile u32 *)hva_to_ptr(EL2_PL011_BASE + offset);
}

void el2_putchar(char c)
{
	if (c == '\n')
		el2_putchar('\r');
	while (*pl011(PL011_FLAGS) & PL011_FLAG_FULL)
		;
	*pl011(PL011_DATA) = (u8)c;
}

_Noreturn void el2_exit(int status)
{
	const u64 reason[2] = {SEMIHOSTING_APPLICATION_EXIT, (u64)status};

	for (;;) {
		__asm__ volatile("mov w0, %w0\n\tmov x1, %1\n\thlt #0xf000"
				 :
				 : "r"(SEMIHOSTING_EXIT), "r"(reason)
				 : "x0", "x1", "memory");
	}
}

u64 el2_time_us(void)
{
	return sysreg_read(cntpct_el0) * 1000000 / sysreg_read(cntfrq_el0);
}
