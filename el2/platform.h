/* SPDX-License-Identifier: BSD-2-Clause */
/* QEMU's "virt" board: a serial line, an end, a clock. */
#ifndef KVMU_EL2_PLATFORM_H
#define KVMU_EL2_PLATFORM_H

#include "base/types.h"

#define EL2_PL011_BASE	0x09000000ull
#define EL2_PL011_BYTES 0x1000ull

void el2_putchar(char c);
/* End the emulation through semihosting with @status. */
_Noreturn void el2_exit(int status);
u64 el2_time_us(void);

#endif
