/* SPDX-License-Identifier: BSD-2-Clause */
/* The RISC-V image: every mode of the second stage, walked by the processor's MMU. */
#include "base/assert.h"
#include "pgtable/instance/riscv_g.h"
#include "tests/hw/riscv/machine.h"

void image_main(void);
_Noreturn void unexpected_trap(u64 cause, u64 pc, u64 value);

void hw_putchar(char c)
{
	*(volatile u8 *)UART_BASE = (u8)c;
}

_Noreturn void hw_exit(bool pass)
{
	*(volatile u32 *)FINISHER_BASE = pass ? 0x5555 : 1u << 16 | 0x3333;
	for (;;)
		__asm__ volatile("wfi");
}

u64 hw_time_us(void)
{
	return csr_read(time) / TIMEBASE_MHZ;
}

void unexpected_trap(u64 cause, u64 pc, u64 value)
{
	hw_printf("unexpected trap: cause %lu at 0x%lx, value 0x%lx\n", cause, pc, value);
	hw_finish(1);
}

/*
 * Half of the input size: QEMU 7.2 takes guest-physical addresses for signed and
 * refuses the upper half.  It sets the accessed and dirty bits by itself.
 */
#define MODE(label, bits, depth)                                                              \
	{                                                                                     \
		.name = label, .op = FORMAT_OPS(riscv_g),                                     \
		.config = {.input_bits = (bits)-1, .accessed_dirty = true, .svpbmt = true},   \
		.page_lg2 = 12, .table_bits = 9, .leaf_level_max = (depth),                   \
		.lacks = KVM_PGTABLE_PROT_SW2 | KVM_PGTABLE_PROT_SW3, .keeps_refusals = true, \
		.breaks = true,                                                               \
	}

static const struct format modes[] = {
	MODE("Sv39x4", 41, 3),
	MODE("Sv48x4", 50, 4),
	MODE("Sv57x4", 59, 5),
};

static u64 test_machine(struct hw_machine *machine, const struct hw_params *params)
{
	u64 failures = 0;

	hw_print_heading(machine);
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++)
		failures += hw_test_format(machine, &modes[i], params);
	return failures;
}

void image_main(void)
{
	struct hw_params params = hw_params_at(PARAMS_ADDRESS);
	struct hw_machine machine;
	struct chunk_heap heap;
	u64 failures;

	params.scale *= 5; /* there are few geometries, and accesses cost little here */
	hw_printf("RISC-V, HS-mode: seed 0x%lx, %lu%%\n", params.seed, params.scale);
	chunk_heap_init(&heap, TABLES_START, BACKING_START);
	guest_machine(&machine, &heap);
	failures = test_machine(&machine, &params);
	hypervisor_machine(&machine, &heap);
	failures += test_machine(&machine, &params);
	hw_finish(failures);
}
