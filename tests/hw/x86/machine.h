/* SPDX-License-Identifier: BSD-2-Clause */
/* AMD nested paging as a machine for the driver. */
#ifndef KVMU_TESTS_HW_X86_MACHINE_H
#define KVMU_TESTS_HW_X86_MACHINE_H

#include "pgtable/chunk_heap.h"
#include "tests/hw/common/driver.h"
#include "tests/hw/x86/layout.h"

/* A guest in long mode whose addresses are guest-physical ones. */
void nested_machine(struct hw_machine *m, struct chunk_heap *heap);

static inline void msr_write(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

static inline void port_write8(u16 port, u8 value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8 port_read8(u16 port)
{
	u8 value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

#endif
