/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM's time: its clock, its TSCs, and what guests read of both from their memory. */
#ifndef KVMU_KVM_VM_CLOCK_H
#define KVMU_KVM_VM_CLOCK_H

#include "kvm/vm.h"

/* What turns cycles into ns: shift left by shift (right if negative), times mul, over 2^32. */
struct clock_scale {
	u32 mul;
	s8 shift;
};

struct clock_scale clock_scale_of(u64 khz);
u64 clock_scale(struct clock_scale scale, u64 cycles);

u64 vm_host_tsc_khz(void);

void vm_clock_start(struct vm *vm);
void vm_clock_end(struct vm *vm);
/* The VM's clock, ns, when the host's TSC is @host_tsc. */
u64 vm_clock_at(struct vm *vm, u64 host_tsc);

/* A new vCPU joins the others' TSC. */
void vcpu_tsc_start(struct vcpu *vcpu);
/* The program writes IA32_TSC. */
void vcpu_tsc_write(struct vcpu *vcpu, u64 value);
/* Do all of this VM's TSCs and this vCPU's agree? */
bool vcpu_tsc_matches(struct vcpu *vcpu);

/* Do what cpu->pv.updates says, in guest memory (vcpu_pv.c). Before guest code runs; may sleep. */
void vcpu_pv_update(struct vcpu *vcpu);
/* Once for each KVM_RUN: time has been stolen since the last. */
void vcpu_pv_run_starts(struct vcpu *vcpu);
/* Does the host count how long a thread waited for a processor? */
bool steal_time_is_counted(void);

#endif
