/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The second stage under the driver: hgatp, guest-page faults, HLV and HSV.
 * Privileged spec, hypervisor extension.  vsatp stays Bare, so that the guest's
 * addresses are guest-physical.
 *
 * Two machines, because QEMU forgets every translation when it enters or leaves
 * a guest: only with HLV and HSV does a forgotten flush show.  HLVX is not used:
 * QEMU 7.2 lets it read where loads may, not where fetches may.
 */
#include "tests/hw/riscv/machine.h"

#include "base/assert.h"
#include "pgtable/instance/riscv_g.h"

/* start.S */
u64 guest_run(u64 pc, u64 a0, u64 a1);
bool hyp_load(u64 gpa, u64 *value);
bool hyp_store(u64 gpa, u64 value);
void fence_page(u64 gpa);
void fence_all(void);
extern char guest_page[], guest_load[], guest_store[];

static u64 guest_gpa; /* of guest_page */

/* ---- tables ------------------------------------------------------------------------------- */

static void load(struct hw_machine *m, const struct kvm_pgtable *pgt)
{
	const u64 hgatp = riscv_g_hgatp(pgt, 1);

	(void)m;
	csr_write(CSR_VSATP, 0);
	csr_write(CSR_HGATP, hgatp);
	fence_all();
	/* A mode that the processor has not leaves the register as it was. */
	KVMU_BUG_ON(csr_read(CSR_HGATP) != hgatp);
}

static void unload(struct hw_machine *m)
{
	(void)m;
	csr_write(CSR_HGATP, RISCV_HGATP_BARE);
	fence_all();
}

/* A fence for one address reaches leaves, not what is cached of the tables above. */
static void flush(struct hw_machine *m, const struct kvm_pgtable_flush *owed)
{
	const u64 pages_max = 64;

	(void)m;
	if (owed->tables || owed->end - owed->start > pages_max * PAGE_SIZE) {
		fence_all();
		return;
	}
	for (u64 gpa = owed->start; gpa < owed->end; gpa += PAGE_SIZE)
		fence_page(gpa);
}

/* The last page of the input, so that the highest entries of the root are walked too. */
static unsigned int reserve(struct hw_machine *m, const struct kvm_pgtable *pgt,
			    const struct format *format, struct hw_reserved *out)
{
	(void)m;
	(void)format;
	guest_gpa = (1ull << pgt->config.input_bits) - PAGE_SIZE;
	*out = (struct hw_reserved){
		.gpa = guest_gpa,
		.hpa = ptr_to_hva(guest_page),
		.size = PAGE_SIZE,
		.prot = (enum kvm_pgtable_prot)(KVM_PGTABLE_PROT_R | KVM_PGTABLE_PROT_X),
	};
	return 1;
}

/* ---- accesses ----------------------------------------------------------------------------- */

/* lui a0, high; addiw a0, a0, low; ecall */
static void put_code(struct hw_machine *m, void *code, u32 value)
{
	const u32 low = value & 0xfff, high = value - (low ^ 0x800) + 0x800;
	volatile u32 *at = code;

	(void)m;
	at[0] = (high & 0xfffff000) | 10u << 7 | 0x37;
	at[1] = low << 20 | 10u << 15 | 10u << 7 | 0x1b;
	at[2] = 0x73;
	__asm__ volatile("fence.i" : : : "memory");
}

static void report_fault(struct hw_access *access)
{
	const u64 cause = csr_read(scause);

	access->fault = HW_FAULT_UNTOLD;
	access->fault_gpa = csr_read(CSR_HTVAL) << 2 | (csr_read(stval) & 3);
	switch (cause) {
	case SCAUSE_GUEST_LOAD:
		access->fault_op = HW_READ;
		break;
	case SCAUSE_GUEST_STORE:
		access->fault_op = HW_WRITE;
		break;
	case SCAUSE_GUEST_FETCH:
		access->fault_op = HW_FETCH;
		break;
	case SCAUSE_ILLEGAL: /* fetched from a page where no code was put */
		access->fault = HW_FAULT_OTHER;
		break;
	default:
		access->fault = HW_FAULT_OTHER;
		hw_printf("cause %lu, value 0x%lx\n", cause, csr_read(stval));
	}
}

static u64 guest_pc(const struct hw_access *access)
{
	if (access->op == HW_FETCH)
		return access->gpa;
	return guest_gpa + (u64)((access->op == HW_READ ? guest_load : guest_store) - guest_page);
}

static void access_by_guest(struct hw_machine *m, struct hw_access *access)
{
	const u64 a0 = guest_run(guest_pc(access), access->gpa, access->value);

	(void)m;
	if (csr_read(scause) != SCAUSE_VS_ECALL)
		report_fault(access);
	else if (access->op != HW_WRITE)
		access->value = access->op == HW_FETCH ? (u32)a0 : a0;
}

static void access_by_hypervisor(struct hw_machine *m, struct hw_access *access)
{
	bool trapped;

	if (access->op == HW_FETCH) {
		access_by_guest(m, access);
		return;
	}
	if (access->op == HW_READ)
		trapped = hyp_load(access->gpa, &access->value);
	else
		trapped = hyp_store(access->gpa, access->value);
	if (trapped)
		report_fault(access);
}

/* ---- the machines ---------------------------------------------------------------------------- */

void guest_machine(struct hw_machine *m, struct chunk_heap *heap)
{
	static const u16 prots[] = {
		KVM_PGTABLE_PROT_R,   KVM_PGTABLE_PROT_RW, KVM_PGTABLE_PROT_R | KVM_PGTABLE_PROT_X,
		KVM_PGTABLE_PROT_RWX, KVM_PGTABLE_PROT_X,
	};

	*m = (struct hw_machine){
		.name = "VS-mode",
		.backing = BACKING_START,
		.backing_size = BACKING_BYTES,
		.tables = chunk_heap_source(heap),
		.prots = prots,
		.nr_prots = ARRAY_SIZE(prots),
		.tamper = BIT_ULL(10), /* lowest of the page number */
		.load = load,
		.unload = unload,
		.flush = flush,
		.access = access_by_guest,
		.put_code = put_code,
		.reserve = reserve,
	};
}

void hypervisor_machine(struct hw_machine *m, struct chunk_heap *heap)
{
	guest_machine(m, heap);
	m->name = "HLV, HSV";
	m->caches = true;
	m->access = access_by_hypervisor;
}
