/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See trace_text.h.  Fields are printed as KVM's trace points print them, so
 * that what reads the one can read the other.
 */
#include "kvm/trace_text.h"

#include <errno.h>

#include "base/bits.h"
#include "kvm/kvm_newer.h"
#include "kvm/text.h"
#include "mmu/page_fault.h"

const char trace_text_header[] = "# tracer: kvmu\n"
				 "#\n"
				 "#           TASK-TID     CPU#   TIMESTAMP  FUNCTION\n"
				 "#              | |         |        |         |\n";

/* printf knows unsigned long long, and u64 is not always that. */
typedef unsigned long long ull;

/* ---- names of values --------------------------------------------------------------------- */

struct value_name {
	u64 value;
	const char *name;
};

static void say_name(struct text *text, const struct value_name *names, size_t nr, u64 value)
{
	for (size_t i = 0; i < nr; i++) {
		if (names[i].value == value) {
			say(text, "%s", names[i].name);
			return;
		}
	}
	say(text, "0x%llx", (ull)value);
}
#define SAY_NAME(text, names, value) say_name((text), (names), ARRAY_SIZE(names), (value))

#define EXIT_NAME(x)                         \
	{                                    \
		KVM_EXIT_##x, "KVM_EXIT_" #x \
	}
static const struct value_name userspace_exits[] = {
	EXIT_NAME(UNKNOWN),	 EXIT_NAME(EXCEPTION),	  EXIT_NAME(IO),
	EXIT_NAME(HYPERCALL),	 EXIT_NAME(DEBUG),	  EXIT_NAME(HLT),
	EXIT_NAME(MMIO),	 EXIT_NAME(SHUTDOWN),	  EXIT_NAME(IRQ_WINDOW_OPEN),
	EXIT_NAME(FAIL_ENTRY),	 EXIT_NAME(INTR),	  EXIT_NAME(SET_TPR),
	EXIT_NAME(TPR_ACCESS),	 EXIT_NAME(NMI),	  EXIT_NAME(INTERNAL_ERROR),
	EXIT_NAME(SYSTEM_EVENT), EXIT_NAME(IOAPIC_EOI),	  EXIT_NAME(X86_RDMSR),
	EXIT_NAME(X86_WRMSR),	 EXIT_NAME(X86_BUS_LOCK), EXIT_NAME(DIRTY_RING_FULL),
	EXIT_NAME(MEMORY_FAULT),
};

/* VMX basic exit reasons (SDM vol. 3, appendix C) under the kernel's names. */
static const struct value_name vmx_exits[] = {
	{0, "EXCEPTION_NMI"},
	{1, "EXTERNAL_INTERRUPT"},
	{2, "TRIPLE_FAULT"},
	{7, "INTERRUPT_WINDOW"},
	{12, "HLT"},
	{18, "VMCALL"},
	{30, "IO_INSTRUCTION"},
	{48, "EPT_VIOLATION"},
	{49, "EPT_MISCONFIG"},
};

static const struct value_name mmio_types[] = {
	{0, "unsatisfied-read"},
	{1, "read"},
	{2, "write"},
};

static void say_pferr(struct text *text, u64 error_code)
{
	static const struct value_name bits[] = {{PFERR_PRESENT_MASK, "P"},
						 {PFERR_WRITE_MASK, "W"},
						 {PFERR_USER_MASK, "U"},
						 {PFERR_RSVD_MASK, "RSVD"},
						 {PFERR_FETCH_MASK, "F"}};
	const char *between = "";

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		if (!(error_code & bits[i].value))
			continue;
		say(text, "%s%s", between, bits[i].name);
		between = "|";
		error_code &= ~bits[i].value;
	}
	if (error_code || !*between)
		say(text, "%s0x%llx", between, (ull)error_code);
}

/* ---- an event each --------------------------------------------------------------------------- */

static void say_kvm_entry(struct text *text, const u64 *f)
{
	say(text, "vcpu %llu, rip 0x%llx%s", (ull)f[0], (ull)f[1], f[2] ? "[immediate exit]" : "");
}

static void say_kvm_exit(struct text *text, const u64 *f)
{
	say(text, "vcpu %llu reason ", (ull)f[7]);
	SAY_NAME(text, vmx_exits, f[0]);
	say(text,
	    " rip 0x%llx info1 0x%016llx info2 0x%016llx intr_info 0x%08llx error_code 0x%08llx",
	    (ull)f[1], (ull)f[3], (ull)f[4], (ull)f[5], (ull)f[6]);
}

static void say_kvm_page_fault(struct text *text, const u64 *f)
{
	say(text, "vcpu %llu rip 0x%llx address 0x%016llx error_code 0x%llx", (ull)f[0], (ull)f[1],
	    (ull)f[2], (ull)f[3]);
}

static void say_kvm_hypercall(struct text *text, const u64 *f)
{
	say(text, "nr 0x%llx a0 0x%llx a1 0x%llx a2 0x%llx a3 0x%llx", (ull)f[0], (ull)f[1],
	    (ull)f[2], (ull)f[3], (ull)f[4]);
}

static void say_kvm_inj_virq(struct text *text, const u64 *f)
{
	say(text, "%s 0x%llx%s", f[1] ? "Soft/INTn" : "IRQ", (ull)f[0],
	    f[2] ? " [reinjected]" : "");
}

static void say_kvm_smm_transition(struct text *text, const u64 *f)
{
	say(text, "vcpu %llu: %s SMM, smbase 0x%llx", (ull)f[0], f[2] ? "entering" : "leaving",
	    (ull)f[1]);
}

static void say_kvm_mmio(struct text *text, const u64 *f)
{
	say(text, "mmio ");
	SAY_NAME(text, mmio_types, f[0]);
	say(text, " len %llu gpa 0x%llx val 0x%llx", (ull)f[1], (ull)f[2], (ull)f[3]);
}

static void say_kvm_msr(struct text *text, const u64 *f)
{
	say(text, "msr_%s %llx = 0x%llx%s", f[0] ? "write" : "read", (ull)f[1], (ull)f[2],
	    f[3] ? " (#GP)" : "");
}

static void say_kvm_pio(struct text *text, const u64 *f)
{
	say(text, "pio_%s at 0x%llx size %llu count %llu val 0x%llx %s", f[0] ? "write" : "read",
	    (ull)f[1], (ull)f[2], (ull)f[3], (ull)f[4], f[3] > 1 ? "(...)" : "");
}

static void say_kvm_userspace_exit(struct text *text, const u64 *f)
{
	s64 error = (s64)f[1];

	say(text, "reason ");
	if (error < 0)
		say(text, "%s", error == -EINTR ? "restart" : "error");
	else
		SAY_NAME(text, userspace_exits, f[0]);
	say(text, " (%lld)", (long long)(error < 0 ? -error : (s64)f[0]));
}

static void say_kvm_vcpu_wakeup(struct text *text, const u64 *f)
{
	say(text, "%s time %llu ns, polling %s", f[1] ? "wait" : "poll", (ull)f[0],
	    f[2] ? "valid" : "invalid");
}

static void say_kvm_unmap_hva_range(struct text *text, const u64 *f)
{
	say(text, "mmu notifier unmap range: 0x%014llx -- 0x%014llx", (ull)f[0], (ull)f[1]);
}

static void say_kvm_age_hva(struct text *text, const u64 *f)
{
	say(text, "mmu notifier age hva: 0x%014llx -- 0x%014llx", (ull)f[0], (ull)f[1]);
}

static void say_kvm_test_age_hva(struct text *text, const u64 *f)
{
	say(text, "mmu notifier test age hva: 0x%014llx", (ull)f[0]);
}

static void say_kvm_dirty_ring_push(struct text *text, const u64 *f)
{
	say(text, "ring %llu: dirty 0x%llx reset 0x%llx slot %llu offset 0x%llx (used %u)",
	    (ull)f[0], (ull)f[1], (ull)f[2], (ull)f[3], (ull)f[4], (u32)f[1] - (u32)f[2]);
}

static void say_kvm_dirty_ring_reset(struct text *text, const u64 *f)
{
	say(text, "ring %llu: dirty 0x%llx reset 0x%llx (used %u)", (ull)f[0], (ull)f[1], (ull)f[2],
	    (u32)f[1] - (u32)f[2]);
}

static void say_kvm_dirty_ring_exit(struct text *text, const u64 *f)
{
	say(text, "vcpu %llu", (ull)f[0]);
}

static void say_fast_page_fault(struct text *text, const u64 *f)
{
	enum kvm_ret_pf ret = (enum kvm_ret_pf)f[6];

	say(text, "vcpu %llu gva %llx error_code ", (ull)f[0], (ull)f[1]);
	say_pferr(text, f[2]);
	say(text, " sptep %llx old 0x%llx new %llx spurious %d fixed %d ret %s", (ull)f[3],
	    (ull)f[4], (ull)f[5], ret == RET_PF_SPURIOUS, ret == RET_PF_FIXED,
	    kvm_ret_pf_name(ret));
}

static void say_handle_mmio_page_fault(struct text *text, const u64 *f)
{
	say(text, "addr:%llx gfn %llx access %llx", (ull)f[0], (ull)f[1], (ull)f[2]);
}

static void say_mark_mmio_spte(struct text *text, const u64 *f)
{
	say(text, "sptep:%llx gfn %llx access %llx gen %llx", (ull)f[0], (ull)f[1], (ull)f[2],
	    (ull)f[3]);
}

static void say_check_mmio_spte(struct text *text, const u64 *f)
{
	say(text, "spte %llx kvm_gen %llx spte-gen %llx valid %d", (ull)f[2], (ull)f[0], (ull)f[1],
	    f[0] == f[1]);
}

static void say_kvm_mmu_spte_requested(struct text *text, const u64 *f)
{
	say(text, "gfn %llx pfn %llx level %llu", (ull)f[0], (ull)f[1], (ull)f[2]);
}

static void say_kvm_mmu_set_spte(struct text *text, const u64 *f)
{
	/* Bit 1 is W in EPT as it is in the page tables that KVM's line is made for. */
	say(text, "gfn %llx spte %llx (%s%s%s%s) level %llu at %llx", (ull)f[0], (ull)f[1],
	    f[4] ? "r" : "-", f[1] & 2 ? "w" : "-", f[5] ? "x" : "-",
	    f[6] == ~0ull ? ""
	    : f[6]	  ? "u"
			  : "-",
	    (ull)f[3], (ull)f[2]);
}

static void say_kvm_tdp_mmu_spte_changed(struct text *text, const u64 *f)
{
	say(text, "as id %llu gfn %llx level %llu old_spte %llx new_spte %llx", (ull)f[0],
	    (ull)f[1], (ull)f[2], (ull)f[3], (ull)f[4]);
}

static void say_kvm_mmu_zap_all_fast(struct text *text, const u64 *f)
{
	say(text, "kvm-mmu-valid-gen %llu used_pages %llx", (ull)f[0], (ull)f[1]);
}

static void say_kvm_page_fault_done(struct text *text, const u64 *f)
{
	say(text, "vcpu %llu address 0x%016llx error_code 0x%llx ret %s level %llu", (ull)f[0],
	    (ull)f[1], (ull)f[2], kvm_ret_pf_name((enum kvm_ret_pf)f[3]), (ull)f[4]);
}

static const struct {
	const char *name;
	void (*say)(struct text *text, const u64 *fields);
} events[] = {
#define EVENT(system, name, nr, fields) {#name, say_##name},
	KVMU_TRACE_EVENTS(EVENT)};

size_t trace_text_line(char *buf, size_t bytes, const struct host_trace_record *record,
		       const struct host_trace_thread *thread)
{
	struct text text = {.buf = buf, .bytes = bytes};
	u64 us = record->ns / 1000;

	if (record->lost)
		say(&text, "%16.16s-%-7d [LOST %u EVENTS]\n", thread->comm, thread->tid,
		    record->lost);
	say(&text, "%16.16s-%-7d [%03u] %6llu.%06llu: %s: ", thread->comm, thread->tid, record->cpu,
	    (ull)(us / 1000000), (ull)(us % 1000000), events[record->event].name);
	events[record->event].say(&text, record->fields);
	say(&text, "\n");
	return text.used;
}
