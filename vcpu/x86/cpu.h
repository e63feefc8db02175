/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The software CPU as its owner (kvm/) uses it.
 *
 * A vCPU is run by one thread at a time; the caller serialises.  Unless said
 * otherwise a function is called by that thread, or while none runs.
 */
#ifndef KVMU_VCPU_X86_CPU_H
#define KVMU_VCPU_X86_CPU_H

#include "vcpu/x86/cpu_state.h"

/*
 * A CPU of @kvm in its reset state (SDM vol. 3, table 9-1), which nobody else
 * knows until it joins.  @machine outlives it.  @pio_page: X86_PIO_BYTES shared
 * with user space.  0 or -ENOMEM.
 */
int x86_cpu_create(struct kvm *kvm, struct x86_machine *machine, u32 vcpu_id, void *pio_page,
		   struct x86_cpu **out) KVMU_MUST_CHECK;
/* From now on flush requests and interrupts of others reach it.  0 or -EINVAL (too many). */
int x86_cpu_join(struct x86_cpu *cpu) KVMU_MUST_CHECK;
/* One that has not joined, or with all others of its VM. */
void x86_cpu_destroy(struct x86_cpu *cpu);

/*
 * Run until there is something for user space.  A pending MMIO or PIO access
 * that user space has answered is completed first; with @immediate_exit
 * nothing else is done then and X86_EXIT_INTR is returned (cpu->mmio and
 * cpu->pio not touched further).
 *
 * Signals: the caller has blocked them; x86_cpu_host_pending() is asked now
 * and then and a true answer ends the run with X86_EXIT_INTR.
 */
enum x86_exit x86_cpu_run(struct x86_cpu *cpu, bool immediate_exit);

/* While the CPU sleeps: take note of what the local APIC has got.  See cpu->mp_state. */
void x86_cpu_serve_events(struct x86_cpu *cpu);

/* Does a halted CPU go on? */
bool x86_cpu_wakes(struct x86_cpu *cpu);

/* Supplied by the owner: is there a reason outside (a signal) to leave guest code? */
bool x86_cpu_host_pending(struct x86_cpu *cpu);

/*
 * For the owner's SIGSEGV and SIGBUS handler, on the vCPU's thread: if guest
 * code was touching memory at @hva, unwind to the run loop, which faults the
 * page in again or fails the run with -EFAULT; does not return then.  Returns
 * when the fault is not the guest's.
 */
void x86_cpu_host_fault(hva_t hva);

/* ---- state (regs.c) ------------------------------------------------------------- */

/* After user space has changed control registers, EFER, segments or RFLAGS: recompute
 * everything derived (mode word, TLB bank, segment bases) and drop stale translations. */
void x86_cpu_state_changed(struct x86_cpu *cpu);

/* May this set of control state be loaded?  (SDM vol. 3, 2.5; as KVM_SET_SREGS checks.) */
bool x86_sregs_valid(const struct x86_cpu *cpu, u64 cr0, u64 cr3, u64 cr4, u64 efer);

void x86_flush_tlb(struct x86_cpu *cpu);
/* Cached code may differ from memory: compare before it runs again. */
void x86_code_changed(struct x86_cpu *cpu);

/* MSRs, for the guest (@host false: permission and reserved bits) and user space.
 * 0; -ENOENT no such MSR; -EINVAL value not allowed. */
int x86_get_msr(struct x86_cpu *cpu, u32 index, u64 *value, bool host) KVMU_MUST_CHECK;
int x86_set_msr(struct x86_cpu *cpu, u32 index, u64 value, bool host) KVMU_MUST_CHECK;
/* The MSRs user space may save and restore; returns how many. */
u32 x86_msr_list(const u32 **indices);

/* CPUID as the guest sees it, with what follows the CPU's state. */
void x86_cpuid(const struct x86_cpu *cpu, u32 function, u32 index, u32 out[4]);
/* The same for one entry of a table: OSXSAVE, APIC, MWAIT, the size of the XSAVE area. */
void x86_cpuid_live(const struct x86_cpu *cpu, struct x86_cpuid_entry *entry);
/* What this CPU model can do, as KVM_GET_SUPPORTED_CPUID; returns the number of entries. */
u32 x86_supported_cpuid(struct x86_cpuid_entry *entries, u32 max);
/* Adopt a CPUID table: maxphyaddr and the like follow. */
void x86_cpuid_changed(struct x86_cpu *cpu);

/* May the guest have this in XCR0?  (SDM vol. 2, XSETBV; as KVM_SET_XCRS checks.) */
bool x86_xcr0_valid(const struct x86_cpu *cpu, u64 value);

/* The hypercall that the last run left with is done: the answer to RAX, RIP past it. */
void x86_hypercall_return(struct x86_cpu *cpu, u64 answer);
/* May the guest use this paravirtual feature (bit of CPUID 0x40000001:EAX)? */
bool x86_pv_feature(const struct x86_cpu *cpu, unsigned int bit);

/* The host's time stamp counter, what is made of it by the guest's frequency, and the guest's
 * own: that and an offset.  A host without one has a clock in ns in its place. */
u64 x86_host_tsc(void);
u64 x86_scale_tsc(const struct x86_cpu *cpu, u64 host_tsc);
u64 x86_read_tsc(const struct x86_cpu *cpu);

/* Guest-virtual to guest-physical with the current page tables, no side effects: KVM_TRANSLATE. */
bool x86_translate(struct x86_cpu *cpu, u64 gva, gpa_t *gpa, bool *writable, bool *user);

/* INIT: back to the reset state but for what INIT keeps (SDM vol. 3, table 9-1). */
void x86_cpu_reset(struct x86_cpu *cpu, bool init);

#endif
