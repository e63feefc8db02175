/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One x87 instruction on the host's own x87 unit, guest state loaded.
 *
 * x86-64 hosts only; elsewhere X87_NATIVE is 0 and the arithmetic
 * instructions are not offered.
 */
#ifndef KVMU_VCPU_X86_X87_NATIVE_H
#define KVMU_VCPU_X86_X87_NATIVE_H

#include "vcpu/x86/cpu_state.h"

#if defined(__x86_64__)
#define X87_NATIVE 1
#else
#define X87_NATIVE 0
#endif

/* Offsets in the 32-bit protected-mode image of FNSAVE (SDM vol. 1, figure 8-9). */
#define X87_ENV_FCW    0
#define X87_ENV_FSW    4
#define X87_ENV_FTW    8
#define X87_ENV_FIP    12
#define X87_ENV_FDP    20
#define X87_ENV_BYTES  28
#define X87_SAVE_BYTES 108

/* Full tag word: two bits a register, 3 = empty (SDM vol. 1, 8.1.7). */
u16 x86_x87_full_tags(const struct x86_x87 *x87);
u8 x86_x87_abridge_tags(u16 full);

/* State to and from that image; pointers and opcode are not among it. */
void x86_x87_to_save_image(const struct x86_x87 *x87, u8 image[X87_SAVE_BYTES]);
void x86_x87_from_save_image(struct x86_x87 *x87, const u8 image[X87_SAVE_BYTES]);

#if X87_NATIVE
/*
 * Execute the instruction of opcode D8h + @opcode and @modrm on *x87.  A memory
 * operand is at @memory, whatever @modrm says about where.  *flags: RFLAGS'
 * arithmetic bits, in and out.  @x87 must have no exception pending.
 */
void x86_x87_execute(struct x86_x87 *x87, unsigned int opcode, unsigned int modrm, void *memory,
		     u64 *flags);
#endif

#endif
