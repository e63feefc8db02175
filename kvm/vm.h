/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The objects behind VM and vCPU descriptors.
 *
 * A VM lives until the last descriptor of it or of one of its vCPUs is gone;
 * a vCPU lives as long as its VM.
 *
 * Locks, outermost first: vcpu->lock, vm->lock, the MMU's own.  The list lock
 * of vm_fd.c is a leaf.
 */
#ifndef KVMU_KVM_VM_H
#define KVMU_KVM_VM_H

#include <pthread.h>
#include <signal.h>

#include "kvm/kvm_newer.h"
#include "vcpu/x86/cpu.h"

#define KVM_MAX_VCPU_IDS 4096u
#define VCPU_MMAP_BYTES	 (3 * PAGE_SIZE) /* kvm_run, PIO data, coalesced MMIO */

struct irqchip; /* irqchip/irqchip.h */

struct vcpu {
	pthread_mutex_t lock; /* one ioctl at a time, KVM_RUN included */
	struct vm *vm;
	struct x86_cpu *cpu;
	struct kvm_run *run; /* our view of the pages behind the descriptor */
	u32 id;
	bool has_run;
	bool hypercall_pending; /* the program has it; its answer comes with the next run */

	bool has_signal_mask;
	sigset_t signal_mask; /* KVM_SET_SIGNAL_MASK: in force during KVM_RUN */
	sigset_t wait_mask;   /* during KVM_RUN: what the program keeps blocked */

	gpa_t vapic; /* KVM_SET_VAPIC_ADDR, 0: none */
	struct tpr_report {
		bool wanted, is_due, is_write;
		u64 rip;
	} tpr_report;		/* KVM_TPR_ACCESS_REPORTING */
	int ended_vector;	/* for KVM_EXIT_IOAPIC_EOI, -1: none */
	u32 clock_version;	/* of the entry in the guest's memory, vcpu_pv.c */
	bool guest_was_stopped; /* KVM_KVMCLOCK_CTRL */
	u64 last_run_delay;	/* of the thread, ns, when the guest was last told */

	pthread_mutex_t wake_lock;
	int wake_fd; /* eventfd while the thread sleeps in a halt, else -1 */
};

/* vm_clock.c, vm_tsc.c; the locks are leaves. */
struct vm_clock {
	pthread_mutex_t lock;
	u64 base_tsc; /* the host's, when the clock was base_ns */
	s64 base_ns;
};

struct vm_tsc {
	pthread_mutex_t lock;
	u64 khz;	/* of vCPUs to come; vm->lock */
	bool written;	/* by the program, ever */
	u64 last_value; /* written or started with, */
	u64 last_khz;	/* by a vCPU with this frequency, */
	u64 last_ns;	/* at this time */
	u64 offset;	/* the one that vCPUs agree on */
};

#define VM_COALESCED_ZONES 1000u /* as many as KVM has room for devices */
struct vm_coalesced {
	pthread_mutex_t lock; /* a leaf */
	u32 nr_zones;	      /* written under it, looked at without */
	struct kvm_coalesced_mmio_zone zones[VM_COALESCED_ZONES];
	struct kvm_coalesced_mmio_ring *ring; /* one page, shared with the program */
};

struct vm {
	struct kvm kvm;
	struct x86_machine machine;
	u32 refs;
	u32 generation; /* of the process: a child of fork finds another */
	pthread_mutex_t lock;
	bool has_irqchip; /* local APICs are ours */
	struct irqchip *irqchip;
	bool exit_on_emulation_failure; /* also of user code, which else gets #UD */
	bool halts_without_exit;	/* KVM_X86_DISABLE_EXITS_HLT */
	bool x2apic_ids_32bit;		/* KVM_GET_LAPIC, KVM_SET_LAPIC and messages */
	u32 max_vcpu_ids;		/* 0: not limited by KVM_ENABLE_CAP */
	u32 nr_vcpus;
	u64 exit_hypercalls; /* bit per number: the program carries these out */
	struct vm_clock clock;
	struct vm_tsc tsc;
	u64 tss_addr, identity_map_addr;
	struct vm_coalesced coalesced;
	struct vcpu *vcpu[KVM_MAX_VCPUS];
	struct vm *next; /* list of live VMs */
};

/* ---- life (vm_fd.c, vcpu_fd.c) --------------------------------------------------------- */

/* The descriptor, or -errno. */
int vm_create(u64 type) KVMU_MUST_CHECK;
void vm_get(struct vm *vm);
/* False: the last reference is gone, the VM is being destroyed. */
bool vm_tryget(struct vm *vm);
void vm_put(struct vm *vm);
/* In a child of fork the VM belongs to the parent: KVM answers -EIO. */
bool vm_is_foreign(const struct vm *vm);

/* A new vCPU's descriptor, or -errno. */
int vcpu_create(struct vm *vm, u32 id) KVMU_MUST_CHECK;
void vcpu_destroy(struct vcpu *vcpu);

/* Room for one more in the list that a change of memory makes of them (host_change.c). */
int kvm_host_change_reserve(void) KVMU_MUST_CHECK;
void kvm_host_change_unreserve(void);

/*
 * Call @fn for each live VM, under the list lock: a leaf, so @fn takes no
 * other lock.
 */
void vm_for_each(void (*fn)(struct vm *vm, void *arg), void *arg);
/* How many live; may change at once. */
u32 vm_count(void);
/* The list's lock around a fork, and what the child does with the parent's VMs. */
void vm_list_lock(void);
bool vm_list_trylock(void);
void vm_list_unlock(void);
void vm_for_each_locked(void (*fn)(struct vm *vm, void *arg), void *arg);
void vm_fork_child(void);

/* ---- running (vcpu_run.c, vcpu_block.c, vcpu_signal.c) --------------------------------------- */

/* Sleep until a signal, a request, a wake-up or the local APIC's timer. */
void vcpu_block(struct vcpu *vcpu);
void vcpu_wake_up(struct vcpu *vcpu);

/*
 * Around the calls that a signal interrupts: block signals, so that they can be
 * seen, and let them come.  choose: in between, which of them count: those the
 * program does not block, or with @own_mask what KVM_SET_SIGNAL_MASK says.
 */
void vcpu_signals_block(void);
void vcpu_signals_restore(void);
void vcpu_signals_choose(struct vcpu *vcpu, bool own_mask);
/*
 * The program shall learn of the broken page at @hva, by the signal that an
 * access of its own would get; it comes when the run has ended.
 */
void vcpu_signal_poison(hva_t hva);
/* Is a signal pending that would interrupt a system call of the program? */
bool vcpu_signal_pending(struct vcpu *vcpu);

/* The vCPU this thread runs, or NULL. */
struct vcpu *vcpu_running(void);
void vcpu_set_running(struct vcpu *vcpu);

/*
 * Carry out the hypercall that the CPU left with (vcpu_hypercall.c).  False: it
 * is the program's, as the shared page says, and completed with its answer.
 */
bool vcpu_hypercall(struct vcpu *vcpu);
void vcpu_hypercall_answered(struct vcpu *vcpu);

/* What the VM's CPUs ask of us (vcpu_lapic.c). */
extern const struct x86_machine_ops vm_machine_ops;

/* ---- shared between register handlers -------------------------------------------------------- */

void vcpu_regs_read(struct vcpu *vcpu, struct kvm_regs *regs);
void vcpu_regs_write(struct vcpu *vcpu, const struct kvm_regs *regs);
void vcpu_sregs_read(struct vcpu *vcpu, struct kvm_sregs *sregs);
int vcpu_sregs_write(struct vcpu *vcpu, const struct kvm_sregs *sregs) KVMU_MUST_CHECK;
void vcpu_events_read(struct vcpu *vcpu, struct kvm_vcpu_events *events);
int vcpu_events_write(struct vcpu *vcpu, const struct kvm_vcpu_events *events) KVMU_MUST_CHECK;

#endif
