// SPDX-License-Identifier: BSD-2-Clause
/*
 * Life of a CPU, its reset state (SDM vol. 3, table 10-1), control registers
 * and what follows from them.
 */
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#else
#include <time.h>
#endif

#include "vcpu/x86/core.h"
#include "vcpu/x86/debug.h"
#include "vcpu/x86/flags.h"
#include "vcpu/x86/fpu_state.h"
#include "vcpu/x86/lapic.h"
#include "vcpu/x86/mce.h"
#include "vcpu/x86/smm.h"

#define CR0_DEFINED                                                                    \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE | \
	 X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
#define EFER_DEFINED (X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE)

/* ---- derived state --------------------------------------------------------------------- */

static u32 code_mode(const struct x86_cpu *cpu)
{
	u32 mode = 0;

	if ((cpu->efer & X86_EFER_LMA) && cpu->seg[X86_CS].l)
		mode |= X86_MODE_CS64;
	else
		mode |= X86_MODE_LEGACY_SEG;
	if (cpu->seg[X86_CS].db)
		mode |= X86_MODE_CS32;
	if (cpu->seg[X86_SS].db)
		mode |= X86_MODE_SS32;
	if ((cpu->cr0 & X86_CR0_PE) && !x86_vm86(cpu))
		mode |= X86_MODE_PE;
	if (cpu->cpl == 3)
		mode |= X86_MODE_USER;
	return mode;
}

static u32 feature_mode(const struct x86_cpu *cpu)
{
	u32 mode = 0;

	if (!(cpu->cr4 & X86_CR4_OSFXSR) || (cpu->cr0 & X86_CR0_EM))
		mode |= X86_MODE_SSE_UD;
	if (cpu->cr0 & X86_CR0_TS)
		mode |= X86_MODE_TS;
	if (cpu->cr0 & X86_CR0_EM)
		mode |= X86_MODE_EM;
	if (cpu->rflags & X86_EFLAGS_TF)
		mode |= X86_MODE_STEP;
	if ((cpu->cr4 & X86_CR4_OSXSAVE) && (cpu->xcr0 & cpu->xcr0_offered & X86_XFEATURE_YMM))
		mode |= X86_MODE_AVX;
	return mode;
}

static enum x86_tlb_bank bank_for(const struct x86_cpu *cpu)
{
	if (cpu->cpl == 3)
		return X86_TLB_USER;
	if ((cpu->cr4 & X86_CR4_SMAP) && (cpu->rflags & X86_EFLAGS_AC))
		return X86_TLB_KERNEL_AC;
	return X86_TLB_KERNEL;
}

void x86_update_mode(struct x86_cpu *cpu)
{
	bool code64;

	cpu->mode = code_mode(cpu) | feature_mode(cpu);
	code64 = cpu->mode & X86_MODE_CS64;
	for (unsigned int i = 0; i < X86_SEG_NONE; i++)
		cpu->seg_base[i] = code64 && i != X86_FS && i != X86_GS ? 0 : cpu->seg[i].base;
	cpu->seg_base[X86_SEG_NONE] = 0;
	cpu->tlb = &cpu->tlbs[bank_for(cpu)];
}

void x86_set_cpl(struct x86_cpu *cpu, u8 cpl)
{
	cpu->cpl = cpl;
	x86_update_mode(cpu);
}

void x86_cpu_state_changed(struct x86_cpu *cpu)
{
	cpu->regs[X86_REG_ZERO] = 0;
	if (x86_vm86(cpu))
		cpu->cpl = 3;
	else if (!(cpu->cr0 & X86_CR0_PE))
		cpu->cpl = 0;
	else
		cpu->cpl = cpu->seg[X86_SS].dpl;
	if (x86_pae_paging(cpu->cr0, cpu->cr4, cpu->efer) &&
	    !x86_load_pdptrs(cpu, cpu->cr3, cpu->pdptr, false))
		memset(cpu->pdptr, 0, sizeof(cpu->pdptr));
	x86_debug_changed(cpu);
	x86_update_mode(cpu);
	x86_flush_tlb(cpu);
	x86_code_changed(cpu);
}

/* ---- control registers -------------------------------------------------------------------- */

static u64 cr4_defined(const struct x86_cpu *cpu)
{
	const struct x86_features features = x86_features(cpu);
	u64 bits = X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_MCE |
		   X86_CR4_PGE | X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;

	/* Before a CPUID table is set KVM lets these through too, though nothing offers them. */
	if (!cpu->nr_cpuid)
		bits |= X86_CR4_VME | X86_CR4_PVI;
	bits |= features.leaf1_ecx & BIT_ULL(26) ? X86_CR4_OSXSAVE : 0;
	bits |= features.leaf1_ecx & BIT_ULL(17) ? X86_CR4_PCIDE : 0;
	bits |= features.leaf7_ebx & BIT_ULL(0) ? X86_CR4_FSGSBASE : 0;
	bits |= features.leaf7_ebx & BIT_ULL(7) ? X86_CR4_SMEP : 0;
	bits |= features.leaf7_ebx & BIT_ULL(20) ? X86_CR4_SMAP : 0;
	bits |= features.leaf7_ecx & BIT_ULL(2) ? X86_CR4_UMIP : 0;
	bits |= features.leaf7_ecx & BIT_ULL(16) ? X86_CR4_LA57 : 0;
	return bits;
}

static bool cr0_valid(u64 cr0)
{
	if (cr0 >> 32)
		return false;
	if ((cr0 & X86_CR0_PG) && !(cr0 & X86_CR0_PE))
		return false;
	return !((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD));
}

bool x86_sregs_valid(const struct x86_cpu *cpu, u64 cr0, u64 cr3, u64 cr4, u64 efer)
{
	bool paging = cr0 & X86_CR0_PG, lma = efer & X86_EFER_LMA;

	if (!cr0_valid(cr0) || (efer & ~(u64)EFER_DEFINED))
		return false;
	if (cr4 & ~cr4_defined(cpu))
		return false;
	if ((efer & X86_EFER_LME) && paging) {
		if (!(cr4 & X86_CR4_PAE) || !lma)
			return false;
		return !(cr3 >> cpu->maxphyaddr);
	}
	return !lma && !((cr4 & X86_CR4_PCIDE) && !lma);
}

/* Entering and leaving IA-32e mode with paging (SDM vol. 3, 11.8.5). */
static bool paging_change_allowed(struct x86_cpu *cpu, u64 value)
{
	bool on = value & X86_CR0_PG;

	if (on && !(cpu->cr0 & X86_CR0_PG)) {
		if (cpu->efer & X86_EFER_LME)
			return (cpu->cr4 & X86_CR4_PAE) && !cpu->seg[X86_CS].l;
		if (cpu->cr4 & X86_CR4_PAE)
			return x86_load_pdptrs(cpu, cpu->cr3, cpu->pdptr, true);
	}
	if (!on && (cpu->cr0 & X86_CR0_PG))
		return !(cpu->mode & X86_MODE_CS64) && !(cpu->cr4 & X86_CR4_PCIDE);
	return true;
}

bool x86_write_cr0(struct x86_cpu *cpu, u64 value)
{
	u64 changed;

	if (!cr0_valid(value) || !paging_change_allowed(cpu, value))
		return false;
	value = (value & CR0_DEFINED) | X86_CR0_ET;
	changed = value ^ cpu->cr0;
	cpu->cr0 = value;
	if (changed & X86_CR0_PG) {
		cpu->efer &= ~(u64)X86_EFER_LMA;
		if ((value & X86_CR0_PG) && (cpu->efer & X86_EFER_LME))
			cpu->efer |= X86_EFER_LMA;
	}
	if ((changed & X86_CR0_PE) && !(value & X86_CR0_PE))
		cpu->cpl = 0;
	x86_update_mode(cpu);
	if (changed & (X86_CR0_PG | X86_CR0_WP | X86_CR0_PE))
		x86_flush_tlb(cpu);
	x86_code_changed(cpu);
	return true;
}

bool x86_write_cr3(struct x86_cpu *cpu, u64 value)
{
	u64 pdptr[4];

	if (cpu->cr4 & X86_CR4_PCIDE)
		value &= ~BIT_ULL(63);
	if (x86_long_mode(cpu) && value >> cpu->maxphyaddr)
		return false;
	if (x86_pae_paging(cpu->cr0, cpu->cr4, cpu->efer)) {
		if (!x86_load_pdptrs(cpu, value, pdptr, true))
			return false;
		memcpy(cpu->pdptr, pdptr, sizeof(pdptr));
	}
	cpu->cr3 = value;
	x86_flush_tlb(cpu);
	return true;
}

bool x86_write_cr4(struct x86_cpu *cpu, u64 value)
{
	const u64 paging = X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP | X86_CR4_SMAP |
			   X86_CR4_LA57 | X86_CR4_PCIDE;
	u64 changed = value ^ cpu->cr4;

	if (value & ~cr4_defined(cpu))
		return false;
	if (x86_long_mode(cpu) && (!(value & X86_CR4_PAE) || (changed & X86_CR4_LA57)))
		return false;
	if ((changed & value & X86_CR4_PCIDE) && (!x86_long_mode(cpu) || (cpu->cr3 & 0xfff)))
		return false;
	if (x86_pae_paging(cpu->cr0, value, cpu->efer) && (changed & paging) &&
	    !x86_load_pdptrs(cpu, cpu->cr3, cpu->pdptr, true))
		return false;
	cpu->cr4 = value;
	if (changed & X86_CR4_DE)
		x86_debug_changed(cpu);
	x86_update_mode(cpu);
	if (changed & paging)
		x86_flush_tlb(cpu);
	x86_code_changed(cpu);
	return true;
}

void x86_write_rflags(struct x86_cpu *cpu, u64 value, u64 mask)
{
	x86_set_rflags_raw(cpu, (x86_rflags(cpu) & ~mask) | (value & mask));
	/* RF lasts for one instruction, which matters to breakpoints alone. */
	if (!(mask & X86_EFLAGS_RF) || !cpu->debug.watches_fetch)
		cpu->rflags &= ~(u64)X86_EFLAGS_RF;
	x86_update_mode(cpu);
}

/* ---- time ------------------------------------------------------------------------------------ */

u64 x86_host_tsc(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#else
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (u64)ts.tv_sec * 1000000000ull + (u64)ts.tv_nsec;
#endif
}

u64 x86_scale_tsc(const struct x86_cpu *cpu, u64 host_tsc)
{
	if (likely(!cpu->tsc_ratio))
		return host_tsc;
	return (u64)((unsigned __int128)host_tsc * cpu->tsc_ratio >> 48);
}

u64 x86_read_tsc(const struct x86_cpu *cpu)
{
	return x86_scale_tsc(cpu, x86_host_tsc()) + cpu->tsc_offset;
}

/* ---- life -------------------------------------------------------------------- */

static void reset_segments(struct x86_cpu *cpu)
{
	for (unsigned int i = 0; i < X86_SEG_NONE; i++)
		cpu->seg[i] = x86_real_segment((enum x86_seg_reg)i, 0, false);
	cpu->seg[X86_CS].selector = 0xf000;
	cpu->seg[X86_CS].base = 0xffff0000;
	cpu->seg[X86_LDTR] = (struct x86_segment){.limit = 0xffff, .type = 2, .present = true};
	cpu->seg[X86_TR] = (struct x86_segment){.limit = 0xffff, .type = 11, .present = true};
	cpu->gdt = cpu->idt = (struct x86_dtable){.limit = 0xffff};
}

static void reset_events(struct x86_cpu *cpu)
{
	memset(&cpu->exception, 0, sizeof(cpu->exception));
	memset(&cpu->interrupt, 0, sizeof(cpu->interrupt));
	cpu->nmi_pending = cpu->nmi_masked = cpu->shutdown_pending = false;
	cpu->smi_pending = cpu->smm_inside_nmi = false;
	cpu->smi_count = 0;
	cpu->sti_shadow = cpu->ss_shadow = false;
	memset(&cpu->mmio, 0, sizeof(cpu->mmio));
	cpu->pio.pending = cpu->pio.done = false;
	cpu->msr = (struct x86_msr_exit){.index = 0};
	cpu->run = (struct x86_run_state){.granted = cpu->run.granted};
}

/* What INIT leaves alone and RESET does not. */
static void reset_cold(struct x86_cpu *cpu)
{
	memset(cpu->ymm, 0, sizeof(cpu->ymm));
	memset(&cpu->x87, 0, sizeof(cpu->x87));
	cpu->x87.fcw = 0x37f; /* FNINIT's, as KVM hands out new vCPUs; power-up has 0x40 */
	cpu->mxcsr = 0x1f80;
	cpu->xcr0 = 1;
	cpu->pat = 0x0007040600070406ull;
	cpu->misc_enable = BIT_ULL(0); /* fast strings */
	cpu->tsc_adjust = 0;
	cpu->apic_base = X86_APIC_BASE_DEFAULT | X86_APIC_BASE_ENABLE;
	if (cpu->vcpu.vcpu_id == cpu->machine->boot_cpu_id)
		cpu->apic_base |= X86_APIC_BASE_BSP;
	cpu->smbase = X86_SMBASE_RESET;
	x86_mce_reset(cpu);
	cpu->star = cpu->lstar = cpu->cstar = cpu->sfmask = cpu->kernel_gs_base = 0;
	cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
	cpu->tsc_aux = 0;
}

void x86_cpu_reset(struct x86_cpu *cpu, bool init)
{
	const struct x86_cpuid_entry *leaf1 = x86_find_cpuid(cpu, 1, 0);
	u64 cd_nw = cpu->cr0 & (X86_CR0_CD | X86_CR0_NW);

	memset(cpu->regs, 0, sizeof(cpu->regs));
	cpu->regs[X86_RDX] = leaf1 ? leaf1->eax : 0x600;
	cpu->regs[X86_REG_RIP] = 0xfff0;
	x86_set_rflags_raw(cpu, X86_EFLAGS_FIXED);
	cpu->cc_dst = cpu->cc_src2 = 0;
	reset_segments(cpu);
	reset_events(cpu);
	cpu->cr0 = X86_CR0_ET | (init ? cd_nw : X86_CR0_CD | X86_CR0_NW);
	cpu->cr2 = cpu->cr3 = cpu->cr4 = cpu->cr8 = cpu->efer = 0;
	memset(cpu->dr, 0, sizeof(cpu->dr));
	cpu->dr[6] = X86_DR6_FIXED;
	cpu->dr[7] = X86_DR7_FIXED;
	x86_debug_changed(cpu);
	memset(cpu->pdptr, 0, sizeof(cpu->pdptr));
	if (!init)
		reset_cold(cpu);
	if (cpu->lapic)
		x86_lapic_reset(cpu, init);
	cpu->cpl = 0;
	x86_cpu_state_changed(cpu);
}

int x86_cpu_create(struct kvm *kvm, struct x86_machine *machine, u32 vcpu_id, void *pio_page,
		   struct x86_cpu **out)
{
	struct x86_cpu *cpu = mmu_host_alloc_aligned(SITE_vcpu, sizeof(*cpu), 64);
	int err;

	if (!cpu)
		return -ENOMEM;
	cpu->machine = machine;
	cpu->platform_info = X86_PLATFORM_INFO;
	cpu->pio.data = pio_page;
	cpu->maxphyaddr = 36;
	cpu->vcpu.kvm = kvm;
	cpu->vcpu.vcpu_id = vcpu_id;
	err = x86_tlb_create(cpu);
	if (!err)
		err = x86_code_create(cpu);
	if (err) {
		x86_tlb_destroy(cpu);
		x86_code_destroy(cpu);
		mmu_host_free(cpu);
		return err;
	}
	cpu->nr_cpuid = 0;
	x86_cpu_reset(cpu, false);
	*out = cpu;
	return 0;
}

int x86_cpu_join(struct x86_cpu *cpu)
{
	return kvm_mmu_add_vcpu(cpu->vcpu.kvm, &cpu->vcpu, cpu->vcpu.vcpu_id);
}

void x86_cpu_destroy(struct x86_cpu *cpu)
{
	kvm_mmu_destroy_vcpu(&cpu->vcpu);
	x86_lapic_destroy(cpu);
	x86_tlb_destroy(cpu);
	x86_code_destroy(cpu);
	mmu_host_free(cpu);
}
