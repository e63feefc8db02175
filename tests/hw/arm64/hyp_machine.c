/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EL2's own stage 1 under the driver: the image runs on the table that is tested,
 * which maps the image, its memory and the serial line at their own addresses.
 */
#include "base/assert.h"
#include "el2/fault.h"
#include "el2/hyp.h"
#include "el2/platform.h"
#include "el2/sysreg.h"
#include "el2/vcpu.h"
#include "tests/hw/arm64/machine.h"

static const struct kvm_pgtable *loaded;

static void load(struct hw_machine *m, const struct kvm_pgtable *pgt)
{
	(void)m;
	loaded = pgt;
	el2_hyp_load(pgt);
}

static void unload(struct hw_machine *m)
{
	(void)m;
	el2_hyp_unload();
}

static void flush(struct hw_machine *m, const struct kvm_pgtable_flush *owed)
{
	(void)m;
	el2_hyp_flush(loaded, owed);
}

static struct hw_reserved identity(u64 start, u64 end, u32 prot)
{
	return (struct hw_reserved){.gpa = start,
				    .hpa = start,
				    .size = end - start,
				    .prot = (enum kvm_pgtable_prot)prot};
}

/* Code cannot be written, data cannot be executed. */
static unsigned int reserve(struct hw_machine *m, const struct kvm_pgtable *pgt,
			    const struct format *format, struct hw_reserved *out)
{
	const u64 text = ptr_to_hva(image_text_start), rodata = ptr_to_hva(image_text_end),
		  data = ptr_to_hva(image_rodata_end);
	const u32 r = KVM_PGTABLE_PROT_R;

	(void)m;
	(void)pgt;
	(void)format;
	out[0] = identity(text, rodata, r | KVM_PGTABLE_PROT_X);
	out[1] = identity(rodata, data, r);
	out[2] = identity(data, BACKING_START, KVM_PGTABLE_PROT_RW);
	out[3] = identity(BACKING_START, BACKING_START + BACKING_BYTES, KVM_PGTABLE_PROT_RW);
	out[4] = identity(EL2_PL011_BASE, EL2_PL011_BASE + format_page(format),
			  KVM_PGTABLE_PROT_RW | KVM_PGTABLE_PROT_DEVICE);
	return 5;
}

/* movz w0, #low; movk w0, #high, lsl #16; ret */
static void put_code(struct hw_machine *m, void *code, u32 value)
{
	(void)m;
	put_return_of(code, value, 0xd65f03c0u);
}

static void access_by_el2(struct hw_machine *m, struct hw_access *access)
{
	static void (*const tries[HW_OPS])(u64, struct el2_attempt *) = {
		[HW_READ] = el2_try_read, [HW_WRITE] = el2_try_write, [HW_FETCH] = el2_try_call};
	struct el2_attempt attempt = {.value = access->value};
	struct el2_fault fault;

	(void)m;
	tries[access->op](access->gpa, &attempt);
	access->value = attempt.value;
	if (!attempt.esr)
		return;
	if (!el2_decode_abort(attempt.esr, attempt.far, 0, &fault)) {
		access->fault = HW_FAULT_OTHER;
		return;
	}
	fault.gpa = fault.va;
	report_fault(&fault, access);
}

static void probe(struct hw_machine *m, struct hw_probe *probe)
{
	(void)m;
	if (probe->op == HW_WRITE)
		at(s1e2w, probe->gpa);
	else
		at(s1e2r, probe->gpa);
	isb();
	report_par(sysreg_read(par_el1), probe);
}

void hyp_machine(struct hw_machine *m, struct chunk_heap *heap)
{
	/* A present leaf of EL2 is readable. */
	static const u16 prots[] = {
		KVM_PGTABLE_PROT_R,
		KVM_PGTABLE_PROT_RW,
		KVM_PGTABLE_PROT_R | KVM_PGTABLE_PROT_X,
		KVM_PGTABLE_PROT_RWX,
	};

	*m = (struct hw_machine){
		.name = "arm64 EL2 stage 1",
		.backing = BACKING_START,
		.backing_size = BACKING_BYTES,
		.tables = chunk_heap_source(heap),
		.hpa_bits = 48,
		.prots = prots,
		.nr_prots = ARRAY_SIZE(prots),
		.caches = true,
		.load = load,
		.unload = unload,
		.flush = flush,
		.access = access_by_el2,
		.put_code = put_code,
		.probe = probe,
		.reserve = reserve,
	};
}
