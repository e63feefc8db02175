/* SPDX-License-Identifier: BSD-2-Clause */
/* The x86-64 image: nested tables of four levels, with -DLA57 five, walked by the processor. */
#include "base/assert.h"
#include "pgtable/instance/npt.h"
#include "tests/hw/x86/machine.h"

void image_main(void);
_Noreturn void unexpected_exception(u64 vector, u64 error, u64 rip, u64 cr2);
extern u64 idt[32][2];
extern char exception_stubs[];

/* ---- what every image has ------------------------------------------------------------ */

void hw_putchar(char c)
{
	while (!(port_read8(UART_PORT + 5) & 0x20))
		;
	port_write8(UART_PORT, (u8)c);
}

/* isa-debug-exit makes 2 n + 1 of it. */
_Noreturn void hw_exit(bool pass)
{
	port_write8(EXIT_PORT, pass ? 0x10 : 0x11);
	for (;;)
		__asm__ volatile("hlt");
}

static u64 read_tsc(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}

/* The timer's second channel counts 10 ms down (8254: mode 0, 1.193182 MHz). */
static u64 tsc_per_10ms(void)
{
	const u16 count = 11932;
	u64 start;

	port_write8(0x61, (u8)((port_read8(0x61) & ~2u) | 1u));
	port_write8(0x43, 0xb0);
	port_write8(0x42, count & 0xff);
	port_write8(0x42, count >> 8);
	start = read_tsc();
	while (!(port_read8(0x61) & 0x20))
		;
	return read_tsc() - start;
}

u64 hw_time_us(void)
{
	static u64 per_10ms;

	if (!per_10ms)
		per_10ms = tsc_per_10ms();
	return read_tsc() / (per_10ms / 10000 + 1);
}

void unexpected_exception(u64 vector, u64 error, u64 rip, u64 cr2)
{
	hw_printf("unexpected exception %lu, error 0x%lx at 0x%lx, address 0x%lx\n", vector, error,
		  rip, cr2);
	hw_finish(1);
}

/* 64-bit interrupt gates: APM vol. 2, 4.8.4. */
static void fill_idt(void)
{
	for (u64 i = 0; i < 32; i++) {
		u64 at = ptr_to_hva(exception_stubs) + 16 * i;

		idt[i][0] = (at & 0xffff) | 8ull << 16 | 0x8eull << 40 | (at >> 16 & 0xffff) << 48;
		idt[i][1] = at >> 32;
	}
}

/* ---- the test ------------------------------------------------------------------------- */

#ifdef LA57
#define LEVELS 5
#else
#define LEVELS 4
#endif

/* QEMU's guests have 40 bits of physical addresses. */
static const struct format nested = {
	.name = LEVELS == 5 ? "NPT, 5 levels" : "NPT, 4 levels",
	.op = FORMAT_OPS(npt),
	.config = {.input_bits = 40, .levels = LEVELS, .accessed_dirty = true},
	.page_lg2 = 12,
	.table_bits = 9,
	.leaf_level_max = 3,
};

void image_main(void)
{
	struct hw_params params = hw_params_at(PARAMS_ADDRESS);
	struct hw_machine machine;
	struct chunk_heap heap;

	fill_idt();
	params.scale *= 3; /* one geometry, and accesses cost little here */
	hw_printf("\nx86-64, SVM: seed 0x%lx, %lu%%\n", params.seed, params.scale);
	chunk_heap_init(&heap, TABLES_START, BACKING_START);
	nested_machine(&machine, &heap);
	hw_print_heading(&machine);
	hw_finish(hw_test_format(&machine, &nested, &params));
}
