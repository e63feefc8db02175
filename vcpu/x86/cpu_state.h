/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of one software x86-64 CPU.
 *
 * Two parts: what the generated or interpreted code touches all the time, at
 * fixed offsets from the start of the block (pinned by static_assert below),
 * and everything else.
 *
 * The rule all instruction code stands on: at every point where guest memory
 * is accessed or an exception may be raised, the architectural state is still
 * exactly that of the start of the instruction.  Memory helpers then either
 * return, or never return (longjmp to the run loop, which retries the
 * instruction, delivers the exception or leaves to user space).  So: compute,
 * access memory (reads, then writes), and only then write registers and flags.
 */
#ifndef KVMU_VCPU_X86_CPU_STATE_H
#define KVMU_VCPU_X86_CPU_STATE_H

#include <assert.h>
#include <setjmp.h>

#include "mmu/mmu.h"
#include "vcpu/x86/machine.h"

struct x86_cpu;
struct x86_op;
struct x86_tlb;
struct x86_code_cache;
struct x86_lapic;

/*
 * Execute one operation; returns the next one, or NULL to leave the block
 * (cpu->rip is then exact).  See op.h.
 */
typedef const struct x86_op *x86_op_fn(struct x86_cpu *cpu, const struct x86_op *op);

enum x86_reg {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI,
	X86_R8,
	X86_R9,
	X86_R10,
	X86_R11,
	X86_R12,
	X86_R13,
	X86_R14,
	X86_R15,
	X86_REG_ZERO, /* always 0: absent base or index */
	X86_REG_RIP,  /* start of the block while one runs, exact between blocks */
	X86_NR_REGS,
};

enum x86_seg_reg {
	X86_ES,
	X86_CS,
	X86_SS,
	X86_DS,
	X86_FS,
	X86_GS,
	X86_SEG_NONE, /* base 0, no limit: what 64-bit code sees for ES, CS, SS and DS */
	X86_LDTR,
	X86_TR,
	X86_NR_SEGS,
};

/* The hidden part of a segment register, authoritative as on hardware. */
struct x86_segment {
	u64 base;
	u32 limit; /* bytes, granularity applied */
	u16 selector;
	u8 type; /* descriptor type field, 4 bits */
	bool s, present, avl, l, db, g, unusable;
	u8 dpl;
};

struct x86_dtable {
	u64 base;
	u16 limit;
};

/* RFLAGS */
#define X86_EFLAGS_CF	 (1u << 0)
#define X86_EFLAGS_FIXED (1u << 1)
#define X86_EFLAGS_PF	 (1u << 2)
#define X86_EFLAGS_AF	 (1u << 4)
#define X86_EFLAGS_ZF	 (1u << 6)
#define X86_EFLAGS_SF	 (1u << 7)
#define X86_EFLAGS_TF	 (1u << 8)
#define X86_EFLAGS_IF	 (1u << 9)
#define X86_EFLAGS_DF	 (1u << 10)
#define X86_EFLAGS_OF	 (1u << 11)
#define X86_EFLAGS_IOPL	 (3u << 12)
#define X86_EFLAGS_NT	 (1u << 14)
#define X86_EFLAGS_RF	 (1u << 16)
#define X86_EFLAGS_VM	 (1u << 17)
#define X86_EFLAGS_AC	 (1u << 18)
#define X86_EFLAGS_VIF	 (1u << 19)
#define X86_EFLAGS_VIP	 (1u << 20)
#define X86_EFLAGS_ID	 (1u << 21)
#define X86_EFLAGS_ARITH                                                                 \
	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | X86_EFLAGS_SF | \
	 X86_EFLAGS_OF)

/* Control registers */
#define X86_CR0_PE (1ull << 0)
#define X86_CR0_MP (1ull << 1)
#define X86_CR0_EM (1ull << 2)
#define X86_CR0_TS (1ull << 3)
#define X86_CR0_ET (1ull << 4)
#define X86_CR0_NE (1ull << 5)
#define X86_CR0_WP (1ull << 16)
#define X86_CR0_AM (1ull << 18)
#define X86_CR0_NW (1ull << 29)
#define X86_CR0_CD (1ull << 30)
#define X86_CR0_PG (1ull << 31)

#define X86_CR4_VME	   (1ull << 0)
#define X86_CR4_PVI	   (1ull << 1)
#define X86_CR4_TSD	   (1ull << 2)
#define X86_CR4_DE	   (1ull << 3)
#define X86_CR4_PSE	   (1ull << 4)
#define X86_CR4_PAE	   (1ull << 5)
#define X86_CR4_MCE	   (1ull << 6)
#define X86_CR4_PGE	   (1ull << 7)
#define X86_CR4_PCE	   (1ull << 8)
#define X86_CR4_OSFXSR	   (1ull << 9)
#define X86_CR4_OSXMMEXCPT (1ull << 10)
#define X86_CR4_UMIP	   (1ull << 11)
#define X86_CR4_LA57	   (1ull << 12)
#define X86_CR4_FSGSBASE   (1ull << 16)
#define X86_CR4_PCIDE	   (1ull << 17)
#define X86_CR4_OSXSAVE	   (1ull << 18)
#define X86_CR4_SMEP	   (1ull << 20)
#define X86_CR4_SMAP	   (1ull << 21)
#define X86_CR4_PKE	   (1ull << 22)

#define X86_EFER_SCE (1ull << 0)
#define X86_EFER_LME (1ull << 8)
#define X86_EFER_LMA (1ull << 10)
#define X86_EFER_NXE (1ull << 11)

enum x86_exception {
	X86_DE = 0,
	X86_DB = 1,
	X86_NMI = 2,
	X86_BP = 3,
	X86_OF = 4,
	X86_BR = 5,
	X86_UD = 6,
	X86_NM = 7,
	X86_DF = 8,
	X86_TS = 10,
	X86_NP = 11,
	X86_STACK = 12,
	X86_GP = 13,
	X86_PF = 14,
	X86_MF = 16,
	X86_AC = 17,
	X86_MC = 18,
	X86_XM = 19,
};

/*
 * The mode word: what decoding depends on.  Part of the key of a cached block.
 */
enum x86_mode {
	X86_MODE_CS32 = 1u << 0,       /* default operand and address size 32 (CS.D) */
	X86_MODE_CS64 = 1u << 1,       /* 64-bit code */
	X86_MODE_LEGACY_SEG = 1u << 2, /* segment limits are checked (not 64-bit code) */
	X86_MODE_SS32 = 1u << 3,       /* 32-bit stack pointer outside 64-bit code (SS.B) */
	X86_MODE_USER = 1u << 4,       /* CPL 3 */
	X86_MODE_PE = 1u << 5,	       /* CR0.PE and not virtual-8086 */
	X86_MODE_SSE_UD = 1u << 6,     /* CR4.OSFXSR clear or CR0.EM set: SSE is #UD */
	X86_MODE_TS = 1u << 7,	       /* CR0.TS: SSE and x87 are #NM */
	X86_MODE_STEP = 1u << 8,       /* RFLAGS.TF: one instruction a block */
	X86_MODE_EM = 1u << 9,	       /* CR0.EM */
	X86_MODE_AVX = 1u << 10,       /* CR4.OSXSAVE and XCR0 allow VEX */
};

/* Why x86_cpu_run() came back. */
enum x86_exit {
	X86_EXIT_NONE = 0,	  /* internal: go on */
	X86_EXIT_IO,		  /* cpu->pio */
	X86_EXIT_MMIO,		  /* cpu->mmio */
	X86_EXIT_HLT,		  /* mp_state says what for, if there is a local APIC */
	X86_EXIT_SHUTDOWN,	  /* triple fault */
	X86_EXIT_INTR,		  /* KVM_REQ_KICK or a signal: return -EINTR */
	X86_EXIT_IRQ_WINDOW,	  /* interrupts can be injected now and the caller asked to know */
	X86_EXIT_EMULATION,	  /* an instruction we lack: cpu->emulation */
	X86_EXIT_HYPERCALL,	  /* cpu->regs hold it, RIP at it; x86_hypercall_return() */
	X86_EXIT_FAULT,		  /* cpu->exit_errno, a negative errno for KVM_RUN */
	X86_EXIT_DEBUG,		  /* cpu->debug.exit */
	X86_EXIT_MSR,		  /* cpu->msr */
	X86_EXIT_PV,		  /* cpu->pv.updates */
	X86_EXIT_DIRTY_RING_FULL, /* until user space has harvested and reset the ring */
};

/*
 * One device access of the current instruction.  An instruction that touches
 * MMIO is run again from its start after user space has answered; accesses
 * that are done are then satisfied from this list in the same order.
 */
#define X86_MMIO_FRAGS 8 /* a 64-byte access is eight; more than any instruction we have splits */
struct x86_mmio_frag {
	gpa_t gpa;
	u8 len; /* 1, 2, 4 or 8, naturally bounded by what user space sees */
	bool is_write;
	u8 data[8];
};

struct x86_mmio {
	u8 nr;	      /* recorded */
	u8 done;      /* answered by user space */
	u8 cursor;    /* next one in this run of the instruction */
	bool pending; /* the exit at hand is for frag[done] */
	u64 rip;      /* linear RIP the list belongs to; another RIP drops it */
	struct x86_mmio_frag frag[X86_MMIO_FRAGS];
};

#define X86_PIO_BYTES 4096
struct x86_pio {
	bool pending; /* user space was asked */
	bool done;    /* and has answered: the re-run instruction takes data */
	bool is_in;
	u8 size;
	u16 port;
	u32 count;
	u64 rip;  /* linear RIP of the instruction */
	u8 *data; /* X86_PIO_BYTES, the page behind kvm_run */
};

/* Machine checks: mce.h. */
#define X86_MCE_BANKS 32
struct x86_mce_bank {
	u64 ctl, status, addr, misc, ctl2;
};

struct x86_mce {
	u64 cap, status, ctl;
	struct x86_mce_bank bank[X86_MCE_BANKS];
};

/* Paravirtual MSRs: pv.h. */
struct x86_pv {
	u64 wall_clock, system_time, steal_time, poll_control;
	u32 updates; /* enum x86_pv_update: what the owner has not done yet */
};

/* Breakpoints and steps: debug.h. */
struct x86_debug_exit {
	u8 exception; /* X86_DB or X86_BP */
	u64 pc;	      /* linear */
	u64 dr6, dr7;
};

struct x86_debug {
	u32 control; /* enum x86_debug_control: the debugger outside */
	u64 dr[4], dr7;
	bool watches_fetch, watches_data, watches_ports; /* by whoever's registers are in force */
	u64 hits; /* data breakpoints of the current instruction, as bits of DR6 */
	struct x86_debug_exit exit;
};

/* RDMSR or WRMSR that user space carries out. */
struct x86_msr_exit {
	bool pending; /* user space was asked */
	bool done;    /* and has answered */
	bool is_write;
	bool error; /* the answer: #GP */
	enum x86_msr_reason reason;
	u32 index;
	u64 data;
	u64 rip; /* linear RIP of the instruction */
};

struct x86_emulation_failure {
	bool in_delivery; /* of an event, not an instruction */
	u8 vector;	  /* its */
	u8 nr_bytes;
	u8 bytes[15];
};

union x86_xmm {
	u8 b[16];
	u16 w[8];
	u32 d[4];
	u64 q[2];
	float f[4];
	double lf[2];
};

union x86_ymm {
	union x86_xmm x[2]; /* x[0] is the XMM part */
	u64 q[4];
};

struct x86_x87 {
	u16 fcw, fsw, fop;
	u8 ftw; /* abridged, 1 = valid */
	u64 fip, fdp;
	u8 st[8][16]; /* 80-bit values, as FXSAVE stores them */
};

/* What the CPU waits for; the KVM API's KVM_MP_STATE_*.  Only with a local APIC does it wait. */
enum x86_mp_state {
	X86_MP_RUNNABLE,
	X86_MP_UNINITIALIZED, /* INIT, then SIPI */
	X86_MP_INIT_RECEIVED, /* SIPI */
	X86_MP_HALTED,	      /* an interrupt */
};

struct x86_event {
	bool pending;
	bool has_error_code;
	bool soft; /* INT n, INT3, INTO: return address is the next instruction */
	u8 vector;
	u8 insn_len; /* soft only */
	u32 error_code;
};

/* A plain copyable table of guest-visible CPUID leaves; ABI layout of kvm_cpuid_entry2. */
struct x86_cpuid_entry {
	u32 function, index, flags, eax, ebx, ecx, edx, padding[3];
};
#define X86_MAX_CPUID 256

/* The run loop's own state (core.h). */
#define X86_MMIO_PAGES 8
struct x86_mmio_page {
	gfn_t gfn;
	u8 access; /* enum x86_access, or'ed with X86_ACCESS_TABLE */
};

struct x86_run_state {
	gpa_t fault_gpa; /* the second-stage fault that ended the instruction */
	u64 fault_code;
	hva_t host_fault; /* the same for a signal, and how often it came in a row */
	u64 host_fault_rip;
	hva_t host_fault_page;
	u64 granted; /* instructions, ever; less poll_budget it is what has been retired */
	u32 host_fault_count;
	bool careful; /* the next instruction runs alone: it takes device data, or is being stepped
		       */
	u8 nr_mmio_pages; /* found during this instruction to be no memory */
	struct x86_mmio_page mmio_pages[X86_MMIO_PAGES];
	bool delivering; /* an event: what is raised now combines with it */
	u8 delivering_vector;
	bool delivering_external; /* interrupt or NMI: the EXT bit */
	bool entered;		  /* guest mode, as the traces have told it */
};

struct x86_cpu {
	/* ---- hot ---------------------------------------------------------------- */
	u64 regs[X86_NR_REGS];
	/*
	 * Lazy arithmetic flags, see flags.h: what the last flag-setting
	 * operation was and its operands; everything else of RFLAGS in rflags.
	 */
	u64 cc_dst, cc_src, cc_src2;
	u32 cc_op;
	u32 mode;			/* enum x86_mode */
	u64 rflags;			/* without the six arithmetic flags */
	const struct x86_op *op;	/* the operation that last touched memory or may fault */
	struct x86_tlb *tlb;		/* the bank for the current privilege */
	u64 seg_base[X86_SEG_NONE + 1]; /* by enum x86_seg_reg; 0 for ES..DS in 64-bit mode */
	struct kvm_vcpu vcpu;		/* requests, mode: polled at block edges */

	_Alignas(64) union x86_ymm ymm[16];
	u32 mxcsr;
	u8 cpl;

	/* ---- system state --------------------------------------------------------- */
	struct x86_segment seg[X86_NR_SEGS];
	struct x86_dtable gdt, idt;
	u64 cr0, cr2, cr3, cr4, cr8, efer, xcr0;
	u64 xcr0_offered; /* by CPUID; x87 may be set in XCR0 besides */
	u64 dr[8];
	u64 pdptr[4];		 /* PAE: loaded with CR3 */
	u64 apic_base;		 /* read by other CPUs too: atomic */
	struct x86_lapic *lapic; /* NULL: the owner has no use for one */
	enum x86_mp_state mp_state;
	u64 star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat, misc_enable, tsc_aux, tsc_offset, tsc_adjust, smbase;
	u64 tsc_khz;   /* of the guest's TSC */
	u64 tsc_ratio; /* to the host's, 48 bits of fraction; 0: the same */
	u64 platform_info, hwcr, power_ctl;
	u64 mtrr[28]; /* msr.c: stored, without effect */
	struct x86_x87 x87;

	/* ---- events --------------------------------------------------------------- */
	struct x86_event exception; /* to be delivered before the next instruction */
	struct x86_event interrupt; /* KVM_INTERRUPT: waits for IF */
	bool nmi_pending, nmi_masked;
	bool smi_pending, smm_inside_nmi; /* smm.h; the other: were NMIs masked before? */
	u64 smi_count;
	bool sti_shadow, ss_shadow; /* one-instruction interrupt shadows */
	bool shutdown_pending;	    /* a machine check that nobody could take */
	bool want_irq_window;	    /* user space asked to be told */

	/* ---- exits ---------------------------------------------------------------- */
	enum x86_exit exit;
	int exit_errno;
	struct x86_mmio mmio;
	struct x86_pio pio;
	struct x86_msr_exit msr;
	struct x86_debug debug;
	struct x86_pv pv;
	struct x86_mce mce;
	struct x86_emulation_failure emulation;
	u8 hypercall_len;  /* of the instruction that left with X86_EXIT_HYPERCALL */
	sigjmp_buf unwind; /* the run loop; valid while it runs */

	/* ---- guest-visible identity ------------------------------------------------ */
	struct x86_machine *machine; /* the owner's, shared by the VM's CPUs */
	void *owner;		     /* the owner's own object */
	struct x86_cpuid_entry cpuid[X86_MAX_CPUID];
	u32 nr_cpuid;
	bool enforce_pv_features; /* refuse what CPUID 0x40000001 does not offer */
	u8 maxphyaddr;		  /* from CPUID 0x80000008, 36 without */

	/* ---- engines --------------------------------------------------------------- */
	struct x86_tlb *tlbs; /* X86_TLB_BANKS */
	struct x86_code_cache *code;
	struct x86_tlb2 *tlb2;
	struct x86_run_state run;
	s32 poll_budget;  /* instructions until the outside world is looked at */
	u64 instructions; /* retired, as of the last exit */
	u64 tlb_misses;
};

static_assert(offsetof(struct x86_cpu, regs) == 0, "registers come first");
static_assert(offsetof(struct x86_cpu, vcpu) < 512, "polled words stay in the hot part");
static_assert(X86_NR_REGS * 8 <= 256, "an operation names registers by byte offset in a u8");

#endif
