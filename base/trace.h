/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Trace points, under the names and with the fields of KVM's own.
 *
 * A trace point is one line, kvmu_trace(system, name, field, ...), and costs a
 * load and a branch that is never taken while nobody looks.  Whoever looks, a
 * tracer of the system through the static probe or `kvmu trace`, adds 1 to the
 * point's semaphore.  The semaphores and kvmu_trace_emit() are a service of the
 * machine; host/trace.c supplies it on Linux.
 */
#ifndef KVMU_BASE_TRACE_H
#define KVMU_BASE_TRACE_H

#include "base/bits.h"
#include "base/types.h"

/*
 * X(system, name, number of fields, their names).  What is KVM's is called as in
 * KVM (Linux 6.12: arch/x86/kvm/trace.h, mmu/mmutrace.h, trace/events/kvm.h);
 * system kvmu has what KVM has no trace point for.
 */
#define KVMU_TRACE_EVENTS(X)                                                                       \
	X(kvm, kvm_entry, 3, "vcpu_id rip immediate_exit")                                         \
	X(kvm, kvm_exit, 8, "exit_reason guest_rip isa info1 info2 intr_info error_code vcpu_id")  \
	X(kvm, kvm_page_fault, 4, "vcpu_id guest_rip fault_address error_code")                    \
	X(kvm, kvm_hypercall, 5, "nr a0 a1 a2 a3")                                                 \
	X(kvm, kvm_inj_virq, 3, "vector soft reinjected")                                          \
	X(kvm, kvm_mmio, 4, "type len gpa val")                                                    \
	X(kvm, kvm_msr, 4, "write ecx data exception")                                             \
	X(kvm, kvm_pio, 5, "rw port size count val")                                               \
	X(kvm, kvm_smm_transition, 3, "vcpu_id smbase entering")                                   \
	X(kvm, kvm_userspace_exit, 2, "reason errno")                                              \
	X(kvm, kvm_vcpu_wakeup, 3, "ns waited valid")                                              \
	X(kvm, kvm_unmap_hva_range, 2, "start end")                                                \
	X(kvm, kvm_age_hva, 2, "start end")                                                        \
	X(kvm, kvm_test_age_hva, 1, "hva")                                                         \
	X(kvm, kvm_dirty_ring_push, 5, "index dirty_index reset_index slot offset")                \
	X(kvm, kvm_dirty_ring_reset, 3, "index dirty_index reset_index")                           \
	X(kvm, kvm_dirty_ring_exit, 1, "vcpu_id")                                                  \
	X(kvmmmu, fast_page_fault, 7, "vcpu_id cr2_or_gpa error_code sptep old_spte new_spte ret") \
	X(kvmmmu, handle_mmio_page_fault, 3, "addr gfn access")                                    \
	X(kvmmmu, mark_mmio_spte, 4, "sptep gfn access gen")                                       \
	X(kvmmmu, check_mmio_spte, 3, "kvm_gen spte_gen spte")                                     \
	X(kvmmmu, kvm_mmu_spte_requested, 3, "gfn pfn level")                                      \
	X(kvmmmu, kvm_mmu_set_spte, 7, "gfn spte sptep level r x u")                               \
	X(kvmmmu, kvm_tdp_mmu_spte_changed, 5, "as_id gfn level old_spte new_spte")                \
	X(kvmmmu, kvm_mmu_zap_all_fast, 2, "mmu_valid_gen mmu_used_pages")                         \
	X(kvmu, kvm_page_fault_done, 5, "vcpu_id fault_address error_code ret level")

#define KVMU_TRACE_FIELDS_MAX 8

enum kvmu_trace_event {
#define KVMU_TRACE_NUMBER(system, name, nr, fields) KVMU_TRACE_##name,
	KVMU_TRACE_EVENTS(KVMU_TRACE_NUMBER)
#undef KVMU_TRACE_NUMBER
		KVMU_TRACE_NR
};

/* Names that tracers of the system expect: PROVIDER_NAME_semaphore. */
#define KVMU_TRACE_DECLARE(system, name, nr, fields) \
	extern u16 system##_##name##_semaphore;      \
	enum { KVMU_TRACE_FIELDS_##name = (nr) };
KVMU_TRACE_EVENTS(KVMU_TRACE_DECLARE)
#undef KVMU_TRACE_DECLARE

/*
 * Tell who looks.  @fields: as many as the event has.  From any thread, under any
 * lock, also in a signal handler; never waits.
 */
void kvmu_trace_emit(enum kvmu_trace_event event, const u64 *fields);

/* A builtin: the names of base/atomics.h mark what orders threads, and this does not. */
#define kvmu_trace_wanted(system, name) \
	unlikely(__atomic_load_n(&system##_##name##_semaphore, __ATOMIC_RELAXED))

#define kvmu_trace(system, name, ...)                                          \
	do {                                                                   \
		if (kvmu_trace_wanted(system, name)) {                         \
			const u64 fields_[] = {__VA_ARGS__};                   \
			_Static_assert(sizeof(fields_) / sizeof(fields_[0]) == \
					       KVMU_TRACE_FIELDS_##name,       \
				       "fields of " #name);                    \
			kvmu_trace_emit(KVMU_TRACE_##name, fields_);           \
		}                                                              \
	} while (0)

#endif
