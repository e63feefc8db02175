/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage 2 and the image's own stage 1 as machines for the driver. */
#ifndef KVMU_TESTS_HW_ARM64_MACHINE_H
#define KVMU_TESTS_HW_ARM64_MACHINE_H

#include "el2/fault.h"
#include "pgtable/chunk_heap.h"
#include "tests/hw/common/driver.h"

/* RAM that the linker script leaves to us. */
#define BACKING_START  0x80000000ull
#define BACKING_BYTES  0x40000000ull
#define PARAMS_ADDRESS 0x401ff000ull

extern char image_text_start[], image_text_end[], image_rodata_end[], image_end[];
/* guest.S: a page as big as the largest granule, and what it holds. */
extern char guest_page[], guest_load[], guest_store[];

#define VMID 1
/* The guest is EL1, with its stage 1 off. */
void stage2_machine(struct hw_machine *m, struct chunk_heap *heap);
/* The "guest" is the image itself, at EL2. */
void hyp_machine(struct hw_machine *m, struct chunk_heap *heap);

/*
 * EL2's own table, on from begin to end: what runs in between runs on it.  The
 * test is of what the image may not do to itself; end returns the failures.
 */
const struct kvm_pgtable *hyp_own_begin(struct hw_machine *machine, const struct format *format);
void hyp_own_test(void);
u64 hyp_own_end(void);

/* Tests beside the driver's; each returns the number of failures. */
u64 stage2_test_two_stages(struct hw_machine *machine, const struct format *format,
			   const struct hw_params *params);
u64 stage2_test_two_cpus(struct hw_machine *machine, const struct format *format,
			 const struct kvm_pgtable *own, const struct hw_params *params);

/* ---- shared by the two ---- */

void report_fault(const struct el2_fault *fault, struct hw_access *access);
void report_par(u64 par, struct hw_probe *probe);
/* Two instructions that put @value into w0, then @last. */
void put_return_of(void *code, u32 value, u32 last);

#endif
