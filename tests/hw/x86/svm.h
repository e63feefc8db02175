/* SPDX-License-Identifier: BSD-2-Clause */
/* The virtual machine control block: APM vol. 2, appendix B. */
#ifndef KVMU_TESTS_HW_X86_SVM_H
#define KVMU_TESTS_HW_X86_SVM_H

#include "base/types.h"

struct vmcb_segment {
	u16 selector;
	u16 attributes; /* descriptor bits 47..40 and 55..52 */
	u32 limit;
	u64 base;
};

struct vmcb {
	/* Control area. */
	u32 intercept_cr;
	u32 intercept_dr;
	u32 intercept_exceptions;
	u32 intercept_3;
	u32 intercept_4;
	u8 reserved_1[0x58 - 0x14];
	u32 asid;
	u8 tlb_control;
	u8 reserved_2[3];
	u8 reserved_3[0x70 - 0x60];
	u64 exit_code;
	u64 exit_info_1;
	u64 exit_info_2;
	u64 exit_int_info;
	u64 np_enable;
	u8 reserved_4[0xb0 - 0x98];
	u64 n_cr3;
	u8 reserved_5[0x400 - 0xb8];
	/* State. */
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	u8 reserved_6[0x4cb - 0x4a0];
	u8 cpl;
	u32 reserved_7;
	u64 efer;
	u8 reserved_8[0x548 - 0x4d8];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
	u8 reserved_9[0x5d8 - 0x580];
	u64 rsp;
	u8 reserved_10[0x5f8 - 0x5e0];
	u64 rax;
	u8 reserved_11[0x668 - 0x600];
	u64 g_pat;
	u8 reserved_12[0x1000 - 0x670];
};

_Static_assert(sizeof(struct vmcb) == 4096 && __builtin_offsetof(struct vmcb, exit_code) == 0x70 &&
		       __builtin_offsetof(struct vmcb, n_cr3) == 0xb0 &&
		       __builtin_offsetof(struct vmcb, cr4) == 0x548 &&
		       __builtin_offsetof(struct vmcb, rax) == 0x5f8,
	       "the block has the manual's layout");

#define INTERCEPT_3_SHUTDOWN (1u << 31)
#define INTERCEPT_4_VMRUN    (1u << 0)
#define INTERCEPT_4_VMMCALL  (1u << 1)

#define TLB_CONTROL_FLUSH_ASID 3

#define VMEXIT_EXCEPTION_UD 0x46
#define VMEXIT_VMMCALL	    0x81
#define VMEXIT_NPF	    0x400

/* EXITINFO1 of a nested page fault: 15.25.6. */
#define NPF_PRESENT  (1ull << 0)
#define NPF_WRITE    (1ull << 1)
#define NPF_USER     (1ull << 2)
#define NPF_RESERVED (1ull << 3)
#define NPF_FETCH    (1ull << 4)
#define NPF_FINAL    (1ull << 32) /* the guest's address itself, not one of its tables */

#endif
