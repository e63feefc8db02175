/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage 2 under the driver: accesses are made at EL1, aborts are taken to EL2. */
#include "base/assert.h"
#include "el2/fault.h"
#include "el2/stage2.h"
#include "el2/sysreg.h"
#include "el2/vcpu.h"
#include "tests/hw/arm64/machine.h"

static struct {
	const struct kvm_pgtable *pgt;
	u64 guest_gpa; /* of guest_page */
} stage2;

static void load(struct hw_machine *m, const struct kvm_pgtable *pgt)
{
	(void)m;
	stage2.pgt = pgt;
	el2_stage2_load(pgt, VMID);
	el2_vcpu_prepare();
}

static void flush(struct hw_machine *m, const struct kvm_pgtable_flush *owed)
{
	(void)m;
	el2_stage2_flush(stage2.pgt, owed);
}

/* The last page of the input, so that the highest entries of the root are walked too. */
static unsigned int reserve(struct hw_machine *m, const struct kvm_pgtable *pgt,
			    const struct format *format, struct hw_reserved *out)
{
	const u64 page = format_page(format);

	(void)m;
	stage2.guest_gpa = (1ull << pgt->config.input_bits) - page;
	*out = (struct hw_reserved){
		.gpa = stage2.guest_gpa,
		.hpa = ptr_to_hva(guest_page),
		.size = page,
		.prot = (enum kvm_pgtable_prot)(KVM_PGTABLE_PROT_R | KVM_PGTABLE_PROT_X),
	};
	return 1;
}

/* movz w0, #low; movk w0, #high, lsl #16; hvc #1 */
static void put_code(struct hw_machine *m, void *code, u32 value)
{
	(void)m;
	put_return_of(code, value, 0xd4000022u);
}

static u64 guest_address(const char *code)
{
	return stage2.guest_gpa + (u64)(code - guest_page);
}

static void access_by_guest(struct hw_machine *m, struct hw_access *access)
{
	struct el2_vcpu vcpu = {.x = {access->gpa, access->value}, .pstate = SPSR_EL1H_MASKED};
	struct el2_fault fault;

	(void)m;
	if (access->op == HW_FETCH)
		vcpu.pc = access->gpa;
	else
		vcpu.pc = guest_address(access->op == HW_READ ? guest_load : guest_store);
	el2_enter(&vcpu);
	if (ESR_EC(vcpu.esr) == ESR_EC_HVC && ESR_HVC_IMM(vcpu.esr) == 1) {
		access->value = vcpu.x[0];
		return;
	}
	if (!el2_decode_abort(vcpu.esr, vcpu.far, vcpu.hpfar, &fault)) {
		hw_printf("exception 0x%lx at 0x%lx\n", vcpu.esr, vcpu.pc);
		access->fault = HW_FAULT_OTHER;
		return;
	}
	report_fault(&fault, access);
}

static void probe(struct hw_machine *m, struct hw_probe *probe)
{
	(void)m;
	if (probe->op == HW_WRITE)
		at(s12e1w, probe->gpa);
	else
		at(s12e1r, probe->gpa);
	isb();
	report_par(sysreg_read(par_el1), probe);
}

void stage2_machine(struct hw_machine *m, struct chunk_heap *heap)
{
	static const u16 prots[] = {
		KVM_PGTABLE_PROT_R,
		KVM_PGTABLE_PROT_RW,
		KVM_PGTABLE_PROT_R | KVM_PGTABLE_PROT_X,
		KVM_PGTABLE_PROT_RWX,
		KVM_PGTABLE_PROT_X,
		KVM_PGTABLE_PROT_W,
		KVM_PGTABLE_PROT_W | KVM_PGTABLE_PROT_X,
	};

	*m = (struct hw_machine){
		.name = "arm64 stage 2",
		.backing = BACKING_START,
		.backing_size = BACKING_BYTES,
		.tables = chunk_heap_source(heap),
		.hpa_bits = 48,
		.prots = prots,
		.nr_prots = ARRAY_SIZE(prots),
		.caches = true,
		.guest_bits = 52,
		.load = load,
		.flush = flush,
		.access = access_by_guest,
		.put_code = put_code,
		.probe = probe,
		.reserve = reserve,
	};
}
