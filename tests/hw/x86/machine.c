/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested paging under the driver: APM vol. 2, chapter 15 (15.25 above all).  The
 * guest runs in long mode on tables of its own, which map what it calls an
 * address to the same guest-physical one, in 1 GiB pages; they and its code lie
 * at the end of its memory.
 *
 * QEMU forgets every translation when it enters or leaves a guest, so a
 * forgotten flush cannot show here.
 */
#include "tests/hw/x86/machine.h"

#include "base/assert.h"
#include "pgtable/instance/npt.h"
#include "tests/hw/x86/svm.h"

/* start.S */
void guest_run(u64 vmcb, u64 rdi, u64 rsi);
extern char guest_page[], guest_load[], guest_store[];

/* The guest's own tables: one page of PML4, and of PDPTs what the input size takes. */
#define GUEST_PDPTS 2u
#define GUEST_BITS  40u

static u64 guest_tables[1 + GUEST_PDPTS][512] __attribute__((aligned(4096)));
static struct vmcb vmcb __attribute__((aligned(4096)));
static char host_save[4096] __attribute__((aligned(4096)));

#define GUEST_TABLES_GPA ((1ull << GUEST_BITS) - sizeof(guest_tables) - PAGE_SIZE)
#define GUEST_CODE_GPA	 ((1ull << GUEST_BITS) - PAGE_SIZE)

/* Present, writable, accessed, dirty: nothing is left for the walk to mark. */
#define GUEST_TABLE 0x63u
#define GUEST_1G    0xe3u

static void build_guest_tables(void)
{
	for (u64 i = 0; i < GUEST_PDPTS; i++)
		guest_tables[0][i] = (GUEST_TABLES_GPA + (1 + i) * PAGE_SIZE) | GUEST_TABLE;
	for (u64 i = 0; i < 512u * GUEST_PDPTS; i++)
		guest_tables[1 + i / 512][i % 512] = i << 30 | GUEST_1G;
}

static void build_vmcb(void)
{
	const struct vmcb_segment data = {.selector = 16, .attributes = 0xc93, .limit = ~0u};

	vmcb = (struct vmcb){
		.intercept_exceptions = ~0u,
		.intercept_3 = INTERCEPT_3_SHUTDOWN,
		.intercept_4 = INTERCEPT_4_VMRUN | INTERCEPT_4_VMMCALL,
		.asid = 1,
		.np_enable = 1,
		.es = data,
		.ss = data,
		.ds = data,
		.cs = {.selector = 8, .attributes = 0xa9b, .limit = ~0u},
		.efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_NXE,
		.cr0 = CR0_PG | CR0_WP | CR0_ET | CR0_PE,
		.cr3 = GUEST_TABLES_GPA,
		.cr4 = CR4_PAE,
		.rflags = 2,
		.dr6 = 0xffff0ff0,
		.dr7 = 0x400,
		.g_pat = 0x0007040600070406,
	};
}

/* ---- tables ------------------------------------------------------------------------- */

static void load(struct hw_machine *m, const struct kvm_pgtable *pgt)
{
	(void)m;
	vmcb.n_cr3 = ptr_to_hva(pgt->root);
	vmcb.tlb_control = TLB_CONTROL_FLUSH_ASID;
}

static void flush(struct hw_machine *m, const struct kvm_pgtable_flush *owed)
{
	(void)m;
	(void)owed;
	vmcb.tlb_control = TLB_CONTROL_FLUSH_ASID;
}

/* Walks of the guest's tables count as writes to them (15.25.5). */
static unsigned int reserve(struct hw_machine *m, const struct kvm_pgtable *pgt,
			    const struct format *format, struct hw_reserved *out)
{
	(void)m;
	(void)format;
	KVMU_BUG_ON(pgt->config.input_bits != GUEST_BITS);
	out[0] = (struct hw_reserved){
		.gpa = GUEST_TABLES_GPA,
		.hpa = ptr_to_hva(guest_tables),
		.size = sizeof(guest_tables),
		.prot = KVM_PGTABLE_PROT_RW,
	};
	out[1] = (struct hw_reserved){
		.gpa = GUEST_CODE_GPA,
		.hpa = ptr_to_hva(guest_page),
		.size = PAGE_SIZE,
		.prot = (enum kvm_pgtable_prot)(KVM_PGTABLE_PROT_R | KVM_PGTABLE_PROT_X),
	};
	return 2;
}

/* ---- accesses ----------------------------------------------------------------------- */

/* mov $value, %eax; vmmcall */
static void put_code(struct hw_machine *m, void *code, u32 value)
{
	u8 *at = code;

	(void)m;
	at[0] = 0xb8;
	__builtin_memcpy(at + 1, &value, sizeof(value));
	at[5] = 0x0f;
	at[6] = 0x01;
	at[7] = 0xd9;
}

static void report_fault(struct hw_access *access)
{
	const u64 code = vmcb.exit_info_1;

	access->fault_gpa = vmcb.exit_info_2;
	access->fault_op = (code & NPF_FETCH) ? HW_FETCH : (code & NPF_WRITE) ? HW_WRITE : HW_READ;
	/* Every access of a guest is a user's, and none of these is of its tables. */
	if ((code & NPF_RESERVED) || !(code & NPF_USER) || !(code & NPF_FINAL)) {
		access->fault = HW_FAULT_OTHER;
		hw_printf("nested page fault 0x%lx at 0x%lx\n", code, vmcb.exit_info_2);
		return;
	}
	access->fault = (code & NPF_PRESENT) ? HW_FAULT_PERM : HW_FAULT_ABSENT;
}

static void report_exit(struct hw_access *access)
{
	switch (vmcb.exit_code) {
	case VMEXIT_NPF:
		report_fault(access);
		break;
	case VMEXIT_EXCEPTION_UD: /* fetched from a page where no code was put */
		access->fault = HW_FAULT_OTHER;
		break;
	default:
		access->fault = HW_FAULT_OTHER;
		hw_printf("exit 0x%lx, 0x%lx, 0x%lx at 0x%lx\n", vmcb.exit_code, vmcb.exit_info_1,
			  vmcb.exit_info_2, vmcb.rip);
	}
}

static u64 guest_rip(const struct hw_access *access)
{
	if (access->op == HW_FETCH)
		return access->gpa;
	return GUEST_CODE_GPA +
	       (u64)((access->op == HW_READ ? guest_load : guest_store) - guest_page);
}

static void access_by_guest(struct hw_machine *m, struct hw_access *access)
{
	(void)m;
	vmcb.rip = guest_rip(access);
	guest_run(ptr_to_hva(&vmcb), access->gpa, access->value);
	vmcb.tlb_control = 0;
	if (vmcb.exit_code != VMEXIT_VMMCALL)
		report_exit(access);
	else if (access->op != HW_WRITE)
		access->value = access->op == HW_FETCH ? (u32)vmcb.rax : vmcb.rax;
}

/* ---- the machine --------------------------------------------------------------------- */

void nested_machine(struct hw_machine *m, struct chunk_heap *heap)
{
	static const u16 prots[] = {
		KVM_PGTABLE_PROT_R,
		KVM_PGTABLE_PROT_RW,
		KVM_PGTABLE_PROT_R | KVM_PGTABLE_PROT_X,
		KVM_PGTABLE_PROT_RWX,
	};

	build_guest_tables();
	build_vmcb();
	msr_write(MSR_VM_HSAVE_PA, ptr_to_hva(host_save));
	*m = (struct hw_machine){
		.name = "SVM guest",
		.backing = BACKING_START,
		.backing_size = BACKING_BYTES,
		.tables = chunk_heap_source(heap),
		.prots = prots,
		.nr_prots = ARRAY_SIZE(prots),
		.load = load,
		.flush = flush,
		.access = access_by_guest,
		.put_code = put_code,
		.reserve = reserve,
	};
}
