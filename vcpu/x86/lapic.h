/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The local APIC (SDM vol. 3, chapter 11): registers in xAPIC and x2APIC mode,
 * interrupts between CPUs and from outside, the timer, INIT and SIPI.
 *
 * A CPU has one when its VM has interrupt controllers of ours, else
 * cpu->lapic is NULL and events come from the owner alone.  Registers belong
 * to the CPU's thread (or whoever holds it still).  Any thread may deliver to
 * any CPU: it sets bits of IRR, TMR and events, and then says KVM_REQ_EVENT.
 */
#ifndef KVMU_VCPU_X86_LAPIC_H
#define KVMU_VCPU_X86_LAPIC_H

#include "vcpu/x86/cpu_state.h"

/* Offsets in the register page; in x2APIC mode the MSR is 0x800 + offset / 16. */
enum x86_lapic_reg {
	X86_LAPIC_ID = 0x20,
	X86_LAPIC_VERSION = 0x30,
	X86_LAPIC_TPR = 0x80,
	X86_LAPIC_APR = 0x90,
	X86_LAPIC_PPR = 0xa0,
	X86_LAPIC_EOI = 0xb0,
	X86_LAPIC_RRD = 0xc0,
	X86_LAPIC_LDR = 0xd0,
	X86_LAPIC_DFR = 0xe0,
	X86_LAPIC_SPIV = 0xf0,
	X86_LAPIC_ISR = 0x100, /* eight words each, 16 bytes apart */
	X86_LAPIC_TMR = 0x180,
	X86_LAPIC_IRR = 0x200,
	X86_LAPIC_ESR = 0x280,
	X86_LAPIC_LVT_CMCI = 0x2f0,
	X86_LAPIC_ICR = 0x300,
	X86_LAPIC_ICR2 = 0x310,
	X86_LAPIC_LVT_TIMER = 0x320,
	X86_LAPIC_LVT_THERMAL = 0x330,
	X86_LAPIC_LVT_PERF = 0x340,
	X86_LAPIC_LVT_LINT0 = 0x350,
	X86_LAPIC_LVT_LINT1 = 0x360,
	X86_LAPIC_LVT_ERROR = 0x370,
	X86_LAPIC_TIMER_INITIAL = 0x380,
	X86_LAPIC_TIMER_CURRENT = 0x390,
	X86_LAPIC_TIMER_DIVIDE = 0x3e0,
	X86_LAPIC_SELF_IPI = 0x3f0,
	X86_LAPIC_PAGE_BYTES = 0x400, /* of registers */
};
#define X86_LAPIC_WORDS (X86_LAPIC_PAGE_BYTES / 16)

#define X86_LVT_MASKED	    (1u << 16)
#define X86_SPIV_ENABLED    (1u << 8)
#define X86_SPIV_NO_EOI_MSG (1u << 12) /* the I/O APIC gets its EOI from the guest itself */

#define X86_APIC_BASE_BSP     (1ull << 8)
#define X86_APIC_BASE_X2APIC  (1ull << 10)
#define X86_APIC_BASE_ENABLE  (1ull << 11)
#define X86_APIC_BASE_DEFAULT 0xfee00000ull

/* Delivery modes (SDM vol. 3, 11.6.1). */
enum x86_delivery {
	X86_DELIVER_FIXED = 0,
	X86_DELIVER_LOWEST = 1,
	X86_DELIVER_SMI = 2,
	X86_DELIVER_UNHALT = 3, /* reserved there; KVM's "remote read", a kick out of a halt */
	X86_DELIVER_NMI = 4,
	X86_DELIVER_INIT = 5,
	X86_DELIVER_SIPI = 6,
	X86_DELIVER_EXTINT = 7,
};

enum x86_shorthand {
	X86_SHORTHAND_NONE,
	X86_SHORTHAND_SELF,
	X86_SHORTHAND_ALL,
	X86_SHORTHAND_OTHERS,
};

/* One interrupt message, as it goes over the bus. */
struct x86_irq_msg {
	u32 dest; /* of the size that the sender's mode has */
	u8 vector;
	u8 delivery;	 /* enum x86_delivery */
	u8 shorthand;	 /* enum x86_shorthand, with @from */
	bool logical;	 /* dest is a logical id */
	bool level;	 /* level-triggered */
	bool deassert;	 /* of a level-triggered one */
	bool x2apic_ids; /* dest is 32 bits wide, not the 8 of an xAPIC, an I/O APIC or an MSI */
	struct x86_cpu *from; /* NULL: a device */
};

/* What waits in struct x86_lapic's events. */
enum x86_lapic_event {
	X86_LAPIC_EVENT_NMI = 1u << 0,
	X86_LAPIC_EVENT_INIT = 1u << 1,
	X86_LAPIC_EVENT_SIPI = 1u << 2,
	X86_LAPIC_EVENT_UNHALT = 1u << 3,
	X86_LAPIC_EVENT_SMI = 1u << 4,
};

struct x86_lapic {
	u32 regs[X86_LAPIC_WORDS]; /* by offset / 16 */
	u32 events;		   /* enum x86_lapic_event, atomic */
	u8 sipi_vector;		   /* of the last SIPI, atomic */
	bool irr_pending;	   /* false: IRR is empty; see lapic.c, atomic */
	bool unhalted;		   /* a kick has come that no halt has used up */
	bool has_cmci;		   /* an entry for corrected machine checks */
	u32 turns;		   /* lowest-priority interrupts taken: the fewest is the next */

	u64 timer_deadline; /* ns of the machine's clock, 0: stopped */
	u64 timer_period;   /* ns */
	u64 tsc_deadline;
};

int x86_lapic_create(struct x86_cpu *cpu) KVMU_MUST_CHECK; /* 0 or -ENOMEM */
void x86_lapic_destroy(struct x86_cpu *cpu);
/* @init: by INIT, which keeps the id and the base. */
void x86_lapic_reset(struct x86_cpu *cpu, bool init);

static inline bool x86_lapic_is_x2apic(const struct x86_cpu *cpu)
{
	const u64 both = X86_APIC_BASE_ENABLE | X86_APIC_BASE_X2APIC;

	return (atomic_peek(&cpu->apic_base) & both) == both;
}

/* Write IA32_APIC_BASE. 0, -EINVAL: reserved bits, or a change that is not allowed. */
int x86_set_apic_base(struct x86_cpu *cpu, u64 value, bool host) KVMU_MUST_CHECK;
bool x86_apic_base_valid(const struct x86_cpu *cpu, u64 value);

/* ---- the guest's accesses (lapic_regs.c) ----------------------------------------------- */

/* Does @gpa lead to the register page? */
static inline bool x86_lapic_covers(const struct x86_cpu *cpu, gpa_t gpa)
{
	const u64 bits = X86_APIC_BASE_ENABLE | X86_APIC_BASE_X2APIC;

	return cpu->lapic && (cpu->apic_base & bits) == X86_APIC_BASE_ENABLE &&
	       (gpa & PAGE_MASK) == (cpu->apic_base & PAGE_MASK);
}

void x86_lapic_mmio_read(struct x86_cpu *cpu, gpa_t gpa, void *buf, unsigned int bytes);
void x86_lapic_mmio_write(struct x86_cpu *cpu, gpa_t gpa, const void *buf, unsigned int bytes);

#define X86_MSR_X2APIC_FIRST 0x800u
#define X86_MSR_X2APIC_LAST  0x8ffu
/* x2APIC registers as MSRs. 0 or -EINVAL. */
int x86_lapic_get_msr(struct x86_cpu *cpu, u32 index, u64 *value) KVMU_MUST_CHECK;
int x86_lapic_set_msr(struct x86_cpu *cpu, u32 index, u64 value) KVMU_MUST_CHECK;

/* Is there an entry for corrected machine checks? */
void x86_lapic_set_cmci(struct x86_cpu *cpu, bool there);

void x86_lapic_set_tpr(struct x86_cpu *cpu, u32 value);
/* Task priority, class in service << 8, highest vector that waits << 24; 0 where there is none. */
u32 x86_lapic_priorities(const struct x86_cpu *cpu);
/* CR8, the upper half of the task priority. */
void x86_set_cr8(struct x86_cpu *cpu, u64 value);

/* ---- the owner's (lapic_regs.c) ---------------------------------------------------------- */

/* All registers by offset / 16, ids in the form of the current mode. */
void x86_lapic_save(struct x86_cpu *cpu, u32 regs[X86_LAPIC_WORDS]);
/* Ids in x2APIC mode and what is read-only are kept. */
void x86_lapic_load(struct x86_cpu *cpu, const u32 regs[X86_LAPIC_WORDS]);

/* ---- interrupts (lapic.c, lapic_ipi.c) ----------------------------------------------------- */

/* From any thread. How many CPUs of @kvm took it. */
unsigned int x86_lapic_send(struct kvm *kvm, const struct x86_irq_msg *msg);
/* To this CPU alone. @level and @vector as in a message. */
void x86_lapic_raise(struct x86_cpu *cpu, u8 vector, bool level);
/* From any thread: is @vector requested, or being served? */
bool x86_lapic_has_vector(const struct x86_cpu *cpu, u8 vector);
/* From any thread: machine->extint is up, which may concern this CPU. */
void x86_lapic_notify_extint(struct x86_cpu *cpu);
/* Does the 8259's line get through to this CPU? */
bool x86_lapic_passes_extint(const struct x86_cpu *cpu);
/* An interrupt of the APIC itself, by its entry in the local vector table. */
void x86_lapic_raise_lvt(struct x86_cpu *cpu, enum x86_lapic_reg lvt);

/* The vector that could be taken now, or -1. */
int x86_lapic_highest(struct x86_cpu *cpu);
/* @vector is taken: from IRR to ISR. */
void x86_lapic_accept(struct x86_cpu *cpu, u8 vector);
void x86_lapic_eoi(struct x86_cpu *cpu);

/* Take over NMIs and SMIs that have come, so that cpu->nmi_pending and smi_pending tell. */
void x86_lapic_collect(struct x86_cpu *cpu);
/* That, and serve INIT, SIPI and kicks; follows KVM_REQ_EVENT. */
void x86_lapic_serve_events(struct x86_cpu *cpu);

/* ---- timer (lapic_timer.c) -------------------------------------------------------------- */

void x86_lapic_timer_poll(struct x86_cpu *cpu);
u32 x86_lapic_timer_current(const struct x86_cpu *cpu);
/* Start from TIMER_INITIAL; from @count instead when a saved state goes on. */
void x86_lapic_timer_start(struct x86_cpu *cpu, u32 count);
void x86_lapic_timer_set_mode(struct x86_cpu *cpu, u32 lvt);
void x86_lapic_timer_set_divide(struct x86_cpu *cpu, u32 divide);
u64 x86_lapic_get_tsc_deadline(const struct x86_cpu *cpu);
void x86_lapic_set_tsc_deadline(struct x86_cpu *cpu, u64 tsc);

/* ---- shared between the files ------------------------------------------------------------- */

/* Deliver to this CPU; false: it does not take such a message. */
bool x86_lapic_take_msg(struct x86_cpu *cpu, const struct x86_irq_msg *msg);

static inline u32 *x86_lapic_reg(const struct x86_cpu *cpu, u32 offset)
{
	return &cpu->lapic->regs[offset / 16];
}

static inline bool x86_lapic_software_enabled(const struct x86_cpu *cpu)
{
	return atomic_peek(x86_lapic_reg(cpu, X86_LAPIC_SPIV)) & X86_SPIV_ENABLED;
}

#endif
