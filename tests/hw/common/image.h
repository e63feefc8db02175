/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every bare-metal image has: a console, an end, a clock, parameters.
 * The first three are the architecture's; console.c and runtime.c have the rest.
 */
#ifndef KVMU_TESTS_HW_IMAGE_H
#define KVMU_TESTS_HW_IMAGE_H

#include <stdarg.h>

#include "base/types.h"

/* ---- supplied by the architecture ---- */

void hw_putchar(char c);
/* End the emulator, telling it the verdict; hw_finish() has printed it. */
_Noreturn void hw_exit(bool pass);
u64 hw_time_us(void);

/* ---- common ---- */

/* %s %c %d %u %x, with l for 64 bits, a width and 0; others print as they are. */
__attribute__((format(printf, 1, 2))) void hw_printf(const char *format, ...);
void hw_vprintf(const char *format, va_list args);

/*
 * Written to a fixed address outside the image by run_image.py (--params-at);
 * without the runner the magic is absent and the defaults hold.
 */
#define HW_PARAMS_MAGIC 0x6b766d7568775031ull
struct hw_params {
	u64 magic;
	u64 seed;
	u64 scale; /* percent of the random cases */
};

struct hw_params hw_params_at(u64 address);

/* The last line, which run_image.py looks for, and the exit. */
_Noreturn void hw_finish(u64 failures);

#endif
