/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System registers of arm64 at EL2: names, the fields that are used, access.
 * Arm ARM (DDI 0487), D19 "AArch64 System register descriptions".
 */
#ifndef KVMU_EL2_SYSREG_H
#define KVMU_EL2_SYSREG_H

#include "base/bits.h"
#include "base/types.h"

#define sysreg_read(name)                                          \
	({                                                         \
		u64 value_;                                        \
		__asm__ volatile("mrs %0, " #name : "=r"(value_)); \
		value_;                                            \
	})
#define sysreg_write(name, value)                                      \
	do {                                                           \
		u64 value_ = (value);                                  \
		__asm__ volatile("msr " #name ", %0" : : "r"(value_)); \
	} while (0)

#define dsb(domain) __asm__ volatile("dsb " #domain : : : "memory")
#define isb()	    __asm__ volatile("isb" : : : "memory")
/* TLB maintenance, with and without an address; address translation. */
#define tlbi(op)	 __asm__ volatile("tlbi " #op : : : "memory")
#define tlbi_at(op, arg) __asm__ volatile("tlbi " #op ", %0" : : "r"((u64)(arg)) : "memory")
#define at(op, va)	 __asm__ volatile("at " #op ", %0" : : "r"((u64)(va)) : "memory")

/* HCR_EL2 */
#define HCR_VM BIT_ULL(0)  /* stage 2 on */
#define HCR_DC BIT_ULL(12) /* stage 1 off gives normal write-back memory */
#define HCR_RW BIT_ULL(31) /* EL1 is AArch64 */

/* SCTLR_EL1 with everything off, and SCTLR_EL2; bits that read as one where unused. */
#define SCTLR_EL1_OFF  0x30d00800ull
#define SCTLR_EL2_RES1 0x30c50830ull
#define SCTLR_M	       BIT_ULL(0)
#define SCTLR_C	       BIT_ULL(2)
#define SCTLR_I	       BIT_ULL(12)

/* ESR_EL2 */
#define ESR_EC(esr)	 (((esr) >> 26) & 0x3f)
#define ESR_EC_HVC	 0x16
#define ESR_EC_IABT_LOW	 0x20 /* instruction abort from a lower level */
#define ESR_EC_IABT	 0x21
#define ESR_EC_DABT_LOW	 0x24
#define ESR_EC_DABT	 0x25
#define ESR_WNR		 BIT_ULL(6)
#define ESR_S1PTW	 BIT_ULL(7)
#define ESR_FSC(esr)	 ((unsigned int)(esr)&0x3f)
#define ESR_HVC_IMM(esr) ((unsigned int)(esr)&0xffff)

/* HPFAR_EL2: bits 51..12 of the intermediate address, from bit 4 on. */
#define HPFAR_GPA(hpfar) (((hpfar)&GENMASK_ULL(43, 4)) << 8)

/* PAR_EL1 */
#define PAR_F	      BIT_ULL(0)
#define PAR_FST(par)  ((unsigned int)((par) >> 1) & 0x3f)
#define PAR_S	      BIT_ULL(9) /* the fault was of stage 2 */
#define PAR_PA	      GENMASK_ULL(51, 12)
#define PAR_ATTR(par) ((unsigned int)((par) >> 56))

/* SPSR_EL2: EL1 with its own stack pointer, all interrupts masked. */
#define SPSR_EL1H_MASKED 0x3c5ull

#endif
