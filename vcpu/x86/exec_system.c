// SPDX-License-Identifier: BSD-2-Clause
/*
 * System instructions: control and debug registers, CPUID, flags, cache
 * and TLB control (SDM vol. 2, the instructions' pages).
 */
#include <string.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "vcpu/x86/core.h"
#include "vcpu/x86/debug.h"
#include "vcpu/x86/exec_int.h"
#include "vcpu/x86/lapic.h"
#include "vcpu/x86/smm.h"

static void require_cpl0(struct x86_cpu *cpu, const struct x86_op *op)
{
	cpu->op = op;
	if (unlikely(cpu->cpl != 0))
		x86_raise_code(cpu, X86_GP, 0);
}

static inline void wait_for_earlier(void)
{
#if defined(__x86_64__)
	_mm_lfence();
#else
	barrier_full();
#endif
}

static bool leaf7_bit(const struct x86_cpu *cpu, bool in_ecx, unsigned int bit)
{
	const struct x86_cpuid_entry *e = x86_find_cpuid(cpu, 7, 0);

	return e && ((in_ecx ? e->ecx : e->ebx) & BIT_ULL(bit));
}

/* ---- control and debug registers -------------------------------------------------------- */

X86_HANDLER(mov_from_cr)
{
	u64 value;

	require_cpl0(cpu, op);
	switch (op->aux) {
	case 0:
		value = cpu->cr0;
		break;
	case 2:
		value = cpu->cr2;
		break;
	case 3:
		value = cpu->cr3;
		break;
	case 4:
		value = cpu->cr4;
		break;
	case 8:
		value = cpu->cr8;
		break;
	default:
		x86_raise(cpu, X86_UD);
	}
	X86_REG(cpu, op->dst, u64) = op->size == 8 ? value : (u32)value;
	X86_NEXT(cpu, op);
}

static bool write_cr(struct x86_cpu *cpu, unsigned int cr, u64 value)
{
	switch (cr) {
	case 0:
		return x86_write_cr0(cpu, value);
	case 2:
		cpu->cr2 = value;
		return true;
	case 3:
		return x86_write_cr3(cpu, value);
	case 4:
		return x86_write_cr4(cpu, value);
	case 8:
		if (value > 15)
			return false;
		x86_set_cr8(cpu, value);
		return true;
	default:
		x86_raise(cpu, X86_UD);
	}
}

X86_HANDLER(mov_to_cr)
{
	u64 value = X86_REG(cpu, op->src, const u64);

	require_cpl0(cpu, op);
	if (!write_cr(cpu, op->aux, op->size == 8 ? value : (u32)value))
		x86_raise_code(cpu, X86_GP, 0);
	return x86_done(cpu, op);
}

/* DR4 and DR5 are DR6 and DR7, unless CR4.DE makes them #UD. */
static unsigned int debug_register(struct x86_cpu *cpu, unsigned int n)
{
	if (n == 4 || n == 5) {
		if (cpu->cr4 & X86_CR4_DE)
			x86_raise(cpu, X86_UD);
		return n + 2;
	}
	return n;
}

static void check_general_detect(struct x86_cpu *cpu)
{
	if (!(x86_debug_dr7(cpu) & X86_DR7_GD))
		return;
	/* The handler must be able to use the registers. */
	cpu->dr[7] &= ~X86_DR7_GD;
	x86_debug_fault(cpu, X86_DR6_BD);
}

X86_HANDLER(mov_from_dr)
{
	unsigned int n;

	require_cpl0(cpu, op);
	n = debug_register(cpu, op->aux);
	check_general_detect(cpu);
	X86_REG(cpu, op->dst, u64) = op->size == 8 ? cpu->dr[n] : (u32)cpu->dr[n];
	X86_NEXT(cpu, op);
}

X86_HANDLER(mov_to_dr)
{
	u64 value = X86_REG(cpu, op->src, const u64);
	unsigned int n;

	require_cpl0(cpu, op);
	n = debug_register(cpu, op->aux);
	check_general_detect(cpu);
	if (op->size != 8)
		value = (u32)value;
	if (n >= 6 && value >> 32)
		x86_raise_code(cpu, X86_GP, 0);
	if (n == 6)
		value = (value & 0x1e00f) | X86_DR6_FIXED;
	if (n == 7)
		value = (value & 0xffff2bff) | X86_DR7_FIXED;
	cpu->dr[n] = value;
	x86_debug_changed(cpu);
	return x86_done(cpu, op);
}

X86_HANDLER(clts)
{
	require_cpl0(cpu, op);
	cpu->cr0 &= ~X86_CR0_TS;
	x86_update_mode(cpu);
	return x86_done(cpu, op);
}

/* ---- MOV of control and debug registers ---- */

static bool is_class(const struct x86_decode *d, unsigned int n, ZydisRegisterClass class)
{
	return x86_dec_is_reg(d, n) && ZydisRegisterGetClass(d->operands[n].reg.value) == class;
}

x86_op_fn *x86_select_mov_system(struct x86_decode *d)
{
	bool to = !is_class(d, 0, ZYDIS_REGCLASS_GPR64) && !is_class(d, 0, ZYDIS_REGCLASS_GPR32);
	unsigned int special = to ? 0 : 1;
	bool control;

	if (is_class(d, 0, ZYDIS_REGCLASS_SEGMENT) || is_class(d, 1, ZYDIS_REGCLASS_SEGMENT))
		return x86_select_mov_seg(d);
	control = is_class(d, special, ZYDIS_REGCLASS_CONTROL);
	if (!control && !is_class(d, special, ZYDIS_REGCLASS_DEBUG))
		return NULL;
	d->op->aux = (u8)ZydisRegisterGetId(d->operands[special].reg.value);
	d->op->size = d->mode & X86_MODE_CS64 ? 8 : 4;
	d->ends_block = true;
	if (to) {
		d->op->src = x86_dec_gpr(d, 1);
		return control ? mov_to_cr : mov_to_dr;
	}
	d->op->dst = x86_dec_gpr(d, 0);
	return control ? mov_from_cr : mov_from_dr;
}

/* ---- flags ------------------------------------------------------------------- */

static bool vm86_iopl_fault(const struct x86_cpu *cpu)
{
	return x86_vm86(cpu) && (cpu->rflags & X86_EFLAGS_IOPL) != X86_EFLAGS_IOPL;
}

X86_HANDLER(pushf_op)
{
	u64 rsp = x86_stack_add(cpu, cpu->regs[X86_RSP], -(s64)op->size), slot, value;

	cpu->op = op;
	if (vm86_iopl_fault(cpu))
		x86_raise_code(cpu, X86_GP, 0);
	value = x86_rflags(cpu) & ~(u64)(X86_EFLAGS_VM | X86_EFLAGS_RF);
	slot = x86_stack_linear(cpu, rsp, op->size, true);
	if (op->size == 2)
		x86_store16(cpu, slot, (u16)value);
	else if (op->size == 4)
		x86_store32(cpu, slot, (u32)value);
	else
		x86_store64(cpu, slot, value);
	cpu->regs[X86_RSP] = rsp;
	X86_NEXT(cpu, op);
}

/* SDM vol. 2, POPF: IOPL only at CPL 0, IF only at CPL <= IOPL. */
static u64 popf_mask(const struct x86_cpu *cpu)
{
	u64 mask = X86_EFLAGS_ARITH | X86_EFLAGS_TF | X86_EFLAGS_DF | X86_EFLAGS_NT |
		   X86_EFLAGS_AC | X86_EFLAGS_ID;
	unsigned int iopl = (cpu->rflags & X86_EFLAGS_IOPL) >> 12;

	if (cpu->cpl == 0)
		mask |= X86_EFLAGS_IOPL;
	if (cpu->cpl <= iopl)
		mask |= X86_EFLAGS_IF;
	return mask;
}

X86_HANDLER(popf_op)
{
	u64 rsp = cpu->regs[X86_RSP], mask = popf_mask(cpu), slot, value;

	cpu->op = op;
	if (vm86_iopl_fault(cpu))
		x86_raise_code(cpu, X86_GP, 0);
	slot = x86_stack_linear(cpu, rsp, op->size, false);
	if (op->size == 2) {
		value = x86_load16(cpu, slot);
		mask &= 0xffff;
	} else {
		value = op->size == 4 ? x86_load32(cpu, slot) : x86_load64(cpu, slot);
	}
	cpu->regs[X86_RSP] = x86_stack_add(cpu, rsp, op->size);
	x86_write_rflags(cpu, value, mask);
	return x86_done(cpu, op);
}

static x86_op_fn *select_pushf(struct x86_decode *d)
{
	bool pop = d->insn->mnemonic == ZYDIS_MNEMONIC_POPF ||
		   d->insn->mnemonic == ZYDIS_MNEMONIC_POPFD ||
		   d->insn->mnemonic == ZYDIS_MNEMONIC_POPFQ;

	switch (d->insn->mnemonic) {
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_POPF:
		d->op->size = 2;
		break;
	case ZYDIS_MNEMONIC_PUSHFD:
	case ZYDIS_MNEMONIC_POPFD:
		d->op->size = 4;
		break;
	default:
		d->op->size = 8;
		break;
	}
	d->ends_block = pop;
	return pop ? popf_op : pushf_op;
}

static bool may_change_if(const struct x86_cpu *cpu)
{
	return cpu->cpl <= (cpu->rflags & X86_EFLAGS_IOPL) >> 12;
}

X86_HANDLER(cli_op)
{
	cpu->op = op;
	if (!may_change_if(cpu))
		x86_raise_code(cpu, X86_GP, 0);
	cpu->rflags &= ~(u64)X86_EFLAGS_IF;
	X86_NEXT(cpu, op);
}

X86_HANDLER(sti_op)
{
	cpu->op = op;
	if (!may_change_if(cpu))
		x86_raise_code(cpu, X86_GP, 0);
	if (!(cpu->rflags & X86_EFLAGS_IF))
		cpu->sti_shadow = true;
	cpu->rflags |= X86_EFLAGS_IF;
	return x86_done(cpu, op);
}

X86_HANDLER(cld_op)
{
	cpu->rflags &= ~(u64)X86_EFLAGS_DF;
	X86_NEXT(cpu, op);
}

X86_HANDLER(std_op)
{
	cpu->rflags |= X86_EFLAGS_DF;
	X86_NEXT(cpu, op);
}

X86_HANDLER(clc_op)
{
	x86_flags_set(cpu, x86_flags_compute(cpu) & ~X86_EFLAGS_CF);
	X86_NEXT(cpu, op);
}

X86_HANDLER(stc_op)
{
	x86_flags_set(cpu, x86_flags_compute(cpu) | X86_EFLAGS_CF);
	X86_NEXT(cpu, op);
}

X86_HANDLER(cmc_op)
{
	x86_flags_set(cpu, x86_flags_compute(cpu) ^ X86_EFLAGS_CF);
	X86_NEXT(cpu, op);
}

X86_HANDLER(lahf_op)
{
	X86_REG(cpu, X86_RAX * 8 + 1, u8) = (u8)(x86_flags_compute(cpu) | X86_EFLAGS_FIXED);
	X86_NEXT(cpu, op);
}

X86_HANDLER(sahf_op)
{
	const u32 low =
		X86_EFLAGS_SF | X86_EFLAGS_ZF | X86_EFLAGS_AF | X86_EFLAGS_PF | X86_EFLAGS_CF;
	u32 ah = X86_REG(cpu, X86_RAX * 8 + 1, const u8);

	x86_flags_set(cpu, (x86_flags_compute(cpu) & X86_EFLAGS_OF) | (ah & low));
	X86_NEXT(cpu, op);
}

static void set_ac(struct x86_cpu *cpu, const struct x86_op *op, bool on)
{
	cpu->op = op;
	if (cpu->cpl != 0 || !leaf7_bit(cpu, false, 20))
		x86_raise(cpu, X86_UD);
	if (on)
		cpu->rflags |= X86_EFLAGS_AC;
	else
		cpu->rflags &= ~(u64)X86_EFLAGS_AC;
	x86_update_mode(cpu);
}

X86_HANDLER(clac_op)
{
	set_ac(cpu, op, false);
	X86_NEXT(cpu, op);
}

X86_HANDLER(stac_op)
{
	set_ac(cpu, op, true);
	X86_NEXT(cpu, op);
}

/* ---- CPUID, time ------------------------------------------------------- */

static void set_edx_eax(struct x86_cpu *cpu, u64 value)
{
	cpu->regs[X86_RAX] = (u32)value;
	cpu->regs[X86_RDX] = value >> 32;
}

static u64 edx_eax(const struct x86_cpu *cpu)
{
	return cpu->regs[X86_RDX] << 32 | (u32)cpu->regs[X86_RAX];
}

X86_HANDLER(cpuid_op)
{
	u32 out[4];

	x86_cpuid(cpu, (u32)cpu->regs[X86_RAX], (u32)cpu->regs[X86_RCX], out);
	cpu->regs[X86_RAX] = out[0];
	cpu->regs[X86_RBX] = out[1];
	cpu->regs[X86_RCX] = out[2];
	cpu->regs[X86_RDX] = out[3];
	x86_code_changed(cpu);
	return x86_done(cpu, op);
}

X86_HANDLER(rdtsc_op)
{
	cpu->op = op;
	if ((cpu->cr4 & X86_CR4_TSD) && cpu->cpl != 0)
		x86_raise_code(cpu, X86_GP, 0);
	if (op->aux) /* RDTSCP waits, RDTSC does not */
		wait_for_earlier();
	set_edx_eax(cpu, x86_read_tsc(cpu));
	if (op->aux)
		cpu->regs[X86_RCX] = (u32)cpu->tsc_aux;
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_rdtsc(struct x86_decode *d)
{
	d->op->aux = d->insn->mnemonic == ZYDIS_MNEMONIC_RDTSCP;
	return rdtsc_op;
}

X86_HANDLER(rdpid_op)
{
	X86_REG(cpu, op->dst, u64) = (u32)cpu->tsc_aux;
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_rdpid(struct x86_decode *d)
{
	d->op->dst = x86_dec_gpr(d, 0);
	return rdpid_op;
}

/* No performance counters: every index is out of range. */
X86_HANDLER(rdpmc_op)
{
	x86_raise_op(cpu, op, X86_GP);
}

/* A generator of our own: a guest must not be able to draw the host's out of entropy. */
static u64 next_random(struct x86_cpu *cpu)
{
	static u64 state;
	u64 z = atomic_add(&state, 0x9e3779b97f4a7c15ull) + x86_read_tsc(cpu);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

X86_HANDLER(rdrand_op)
{
	u64 value = next_random(cpu);

	if (op->size == 2)
		X86_SET_REG16(cpu, op->dst, value);
	else if (op->size == 4)
		X86_SET_REG32(cpu, op->dst, value);
	else
		X86_SET_REG64(cpu, op->dst, value);
	x86_flags_set(cpu, X86_EFLAGS_CF);
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_rdrand(struct x86_decode *d)
{
	d->op->dst = x86_dec_gpr(d, 0);
	d->op->size = x86_dec_bytes(d, 0);
	return rdrand_op;
}

/* ---- FS and GS bases --------------------------------------------------------- */

X86_HANDLER(swapgs_op)
{
	u64 base;

	require_cpl0(cpu, op);
	base = cpu->seg[X86_GS].base;
	cpu->seg[X86_GS].base = cpu->kernel_gs_base;
	cpu->kernel_gs_base = base;
	cpu->seg_base[X86_GS] = cpu->seg[X86_GS].base;
	X86_NEXT(cpu, op);
}

static void require_fsgsbase(struct x86_cpu *cpu, const struct x86_op *op)
{
	cpu->op = op;
	if (!(cpu->cr4 & X86_CR4_FSGSBASE))
		x86_raise(cpu, X86_UD);
}

X86_HANDLER(rdbase_op)
{
	u64 base = cpu->seg[op->aux].base;

	require_fsgsbase(cpu, op);
	X86_REG(cpu, op->dst, u64) = op->size == 8 ? base : (u32)base;
	X86_NEXT(cpu, op);
}

X86_HANDLER(wrbase_op)
{
	u64 base = X86_REG(cpu, op->dst, const u64);

	require_fsgsbase(cpu, op);
	if (op->size == 4)
		base = (u32)base;
	if (!x86_canonical(cpu, base))
		x86_raise_code(cpu, X86_GP, 0);
	cpu->seg[op->aux].base = base;
	cpu->seg_base[op->aux] = base;
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_base(struct x86_decode *d)
{
	bool fs = d->insn->mnemonic == ZYDIS_MNEMONIC_RDFSBASE ||
		  d->insn->mnemonic == ZYDIS_MNEMONIC_WRFSBASE;
	bool read = d->insn->mnemonic == ZYDIS_MNEMONIC_RDFSBASE ||
		    d->insn->mnemonic == ZYDIS_MNEMONIC_RDGSBASE;

	d->op->aux = fs ? X86_FS : X86_GS;
	d->op->dst = x86_dec_gpr(d, 0);
	d->op->size = x86_dec_bytes(d, 0);
	return read ? rdbase_op : wrbase_op;
}

/* ---- TLB, caches, waiting ---------------------------------------------------- */

X86_HANDLER(invlpg_op)
{
	require_cpl0(cpu, op);
	x86_flush_tlb(cpu);
	x86_code_changed(cpu);
	return x86_done(cpu, op);
}

static x86_op_fn *select_invlpg(struct x86_decode *d)
{
	d->ends_block = true;
	x86_dec_mem(d, 0);
	return invlpg_op;
}

/* SDM vol. 2, INVPCID: type, PCID and linear address are checked; everything is flushed. */
X86_HANDLER(invpcid_op)
{
	u64 type = X86_REG(cpu, op->src, const u64), desc[2];

	require_cpl0(cpu, op);
	x86_load_bytes(cpu, x86_ea(cpu, op, 16, false), desc, 16);
	if (type > 3 || (type < 2 && desc[0] >> 12))
		x86_raise_code(cpu, X86_GP, 0);
	if (type < 2 && !(cpu->cr4 & X86_CR4_PCIDE) && desc[0])
		x86_raise_code(cpu, X86_GP, 0);
	if (type == 0 && !x86_canonical(cpu, desc[1]))
		x86_raise_code(cpu, X86_GP, 0);
	x86_flush_tlb(cpu);
	return x86_done(cpu, op);
}

static x86_op_fn *select_invpcid(struct x86_decode *d)
{
	d->ends_block = true;
	d->op->src = x86_dec_gpr(d, 0);
	x86_dec_mem(d, 1);
	return invpcid_op;
}

X86_HANDLER(wbinvd_op)
{
	require_cpl0(cpu, op);
	return x86_done(cpu, op);
}

/* CLFLUSH and kin: caches do not exist here, the access check does. */
X86_HANDLER(clflush_op)
{
	x86_probe(cpu, x86_ea(cpu, op, 1, false), 1, false);
	X86_NEXT(cpu, op);
}

static x86_op_fn *select_clflush(struct x86_decode *d)
{
	x86_dec_mem(d, 0);
	return clflush_op;
}

X86_HANDLER(nop_op)
{
	X86_NEXT(cpu, op);
}

/* Order other memory accesses as the guest asks: the host's own fence. */
X86_HANDLER(fence_op)
{
	barrier_full();
	X86_NEXT(cpu, op);
}

/* What stands before it has been executed, reading the time included (SDM vol. 2, LFENCE). */
X86_HANDLER(lfence_op)
{
	wait_for_earlier();
	X86_NEXT(cpu, op);
}

X86_HANDLER(serialize_op)
{
	x86_code_changed(cpu);
	return x86_done(cpu, op);
}

X86_HANDLER(hlt_op)
{
	require_cpl0(cpu, op);
	x86_done(cpu, op);
	if (x86_would_wake(cpu))
		return NULL;
	if (cpu->lapic)
		cpu->mp_state = X86_MP_HALTED;
	cpu->exit = X86_EXIT_HLT;
	return NULL;
}

/* SDM vol. 2: at any privilege, in SMM only; what it loads is read outside guest mode. */
X86_HANDLER(rsm_op)
{
	if (!x86_in_smm(cpu))
		x86_raise_op(cpu, op, X86_UD);
	cpu->op = op;
	x86_unwind(cpu, X86_UNWIND_RSM);
}

X86_HANDLER(pause_op)
{
	/* Somebody waits: let the thread he waits for run, and look at the world. */
	x86_hasten_poll(cpu, 64);
	cpu_relax();
	X86_NEXT(cpu, op);
}

/*
 * MONITOR and MWAIT are not offered in CPUID, but KVM lets guests that try
 * have them as NOPs, unless its caller wants the hardware's answer.
 */
X86_HANDLER(mwait_op)
{
	cpu->op = op;
	if (cpu->cpl != 0 || (!x86_has_quirk(cpu->machine, X86_QUIRK_MWAIT_NEVER_UD_FAULTS) &&
			      !x86_cpuid_has_mwait(cpu)))
		x86_raise(cpu, X86_UD);
	X86_NEXT(cpu, op);
}

/* VMCALL is Intel's, VMMCALL AMD's. */
static bool is_native_hypercall(const struct x86_op *op)
{
	return (op->aux != 0) == x86_vendor_is_amd();
}

/* KVM puts the right instruction in the place of the wrong one, and runs that. */
static const struct x86_op *patch_hypercall(struct x86_cpu *cpu, const struct x86_op *op)
{
	static const u8 vmcall[3] = {0x0f, 0x01, 0xc1}, vmmcall[3] = {0x0f, 0x01, 0xd9};
	u64 rip = x86_op_rip(cpu, op);

	cpu->op = op;
	if (!x86_has_quirk(cpu->machine, X86_QUIRK_FIX_HYPERCALL_INSN))
		x86_raise(cpu, X86_UD);
	x86_store_bytes(cpu, cpu->seg_base[X86_CS] + rip, x86_vendor_is_amd() ? vmmcall : vmcall,
			3);
	x86_code_changed(cpu);
	cpu->poll_budget -= op->nth;
	cpu->regs[X86_REG_RIP] = rip;
	cpu->op = NULL;
	return NULL;
}

/* The owner answers it; the instruction is complete when it has. */
X86_HANDLER(vmcall_op)
{
	if (!is_native_hypercall(op))
		return patch_hypercall(cpu, op);
	cpu->op = op;
	cpu->hypercall_len = op->len;
	x86_leave_to_user(cpu, X86_EXIT_HYPERCALL);
}

void x86_hypercall_return(struct x86_cpu *cpu, u64 answer)
{
	u64 rip = cpu->regs[X86_REG_RIP] + cpu->hypercall_len;

	cpu->regs[X86_RAX] = cpu->mode & X86_MODE_CS64 ? answer : (u32)answer;
	cpu->regs[X86_REG_RIP] = x86_wrap_rip(cpu, rip);
	cpu->sti_shadow = cpu->ss_shadow = false;
}

/* ---- XCR0 -------------------------------------------------------------------- */

static void require_osxsave(struct x86_cpu *cpu, const struct x86_op *op)
{
	cpu->op = op;
	if (!(cpu->cr4 & X86_CR4_OSXSAVE))
		x86_raise(cpu, X86_UD);
}

X86_HANDLER(xgetbv_op)
{
	require_osxsave(cpu, op);
	if ((u32)cpu->regs[X86_RCX] != 0)
		x86_raise_code(cpu, X86_GP, 0);
	set_edx_eax(cpu, cpu->xcr0);
	X86_NEXT(cpu, op);
}

X86_HANDLER(xsetbv_op)
{
	u64 value = edx_eax(cpu);

	require_osxsave(cpu, op);
	require_cpl0(cpu, op);
	if ((u32)cpu->regs[X86_RCX] != 0 || !x86_xcr0_valid(cpu, value))
		x86_raise_code(cpu, X86_GP, 0);
	cpu->xcr0 = value;
	x86_update_mode(cpu);
	return x86_done(cpu, op);
}

/* ---- the table --------------------------------------------------------------- */

#define PLAIN(name)                                           \
	static x86_op_fn *select_##name(struct x86_decode *d) \
	{                                                     \
		(void)d;                                      \
		return name##_op;                             \
	}
#define ENDING(name)                                          \
	static x86_op_fn *select_##name(struct x86_decode *d) \
	{                                                     \
		d->ends_block = true;                         \
		return name##_op;                             \
	}

PLAIN(cli)
PLAIN(cld)
PLAIN(std)
PLAIN(clc)
PLAIN(stc)
PLAIN(cmc)
PLAIN(lahf)
PLAIN(sahf)
PLAIN(clac)
PLAIN(stac)
PLAIN(swapgs)
PLAIN(nop)
PLAIN(fence)
PLAIN(lfence)
PLAIN(pause)
PLAIN(xgetbv)
ENDING(sti)
ENDING(cpuid)
ENDING(rdpmc)
ENDING(wbinvd)
ENDING(serialize)
ENDING(hlt)
ENDING(rsm)
ENDING(xsetbv)
PLAIN(mwait)

static x86_op_fn *select_clts(struct x86_decode *d)
{
	d->ends_block = true;
	return clts;
}

static x86_op_fn *select_vmcall(struct x86_decode *d)
{
	d->ends_block = true;
	d->op->aux = d->insn->mnemonic == ZYDIS_MNEMONIC_VMMCALL;
	return vmcall_op;
}

#define ROW(name, select)                              \
	{                                              \
		ZYDIS_MNEMONIC_##name, select_##select \
	}

const struct x86_family_entry x86_family_system[] = {
	ROW(CLTS, clts),
	ROW(PUSHF, pushf),
	ROW(PUSHFD, pushf),
	ROW(PUSHFQ, pushf),
	ROW(POPF, pushf),
	ROW(POPFD, pushf),
	ROW(POPFQ, pushf),
	ROW(CLI, cli),
	ROW(STI, sti),
	ROW(CLD, cld),
	ROW(STD, std),
	ROW(CLC, clc),
	ROW(STC, stc),
	ROW(CMC, cmc),
	ROW(LAHF, lahf),
	ROW(SAHF, sahf),
	ROW(CLAC, clac),
	ROW(STAC, stac),
	ROW(CPUID, cpuid),
	ROW(RDTSC, rdtsc),
	ROW(RDTSCP, rdtsc),
	ROW(RDPID, rdpid),
	ROW(RDPMC, rdpmc),
	ROW(RDRAND, rdrand),
	ROW(RDSEED, rdrand),
	ROW(SWAPGS, swapgs),
	ROW(RDFSBASE, base),
	ROW(RDGSBASE, base),
	ROW(WRFSBASE, base),
	ROW(WRGSBASE, base),
	ROW(INVLPG, invlpg),
	ROW(INVPCID, invpcid),
	ROW(INVD, wbinvd),
	ROW(WBINVD, wbinvd),
	ROW(CLFLUSH, clflush),
	ROW(CLFLUSHOPT, clflush),
	ROW(CLWB, clflush),
	ROW(CLDEMOTE, nop),
	ROW(NOP, nop),
	ROW(ENDBR32, nop),
	ROW(ENDBR64, nop),
	ROW(RDSSPD, nop),
	ROW(RDSSPQ, nop),
	ROW(PREFETCH, nop),
	ROW(PREFETCHNTA, nop),
	ROW(PREFETCHT0, nop),
	ROW(PREFETCHT1, nop),
	ROW(PREFETCHT2, nop),
	ROW(PREFETCHW, nop),
	ROW(PREFETCHWT1, nop),
	ROW(LFENCE, lfence),
	ROW(MFENCE, fence),
	ROW(SFENCE, fence),
	ROW(PAUSE, pause),
	ROW(SERIALIZE, serialize),
	ROW(HLT, hlt),
	ROW(RSM, rsm),
	ROW(VMCALL, vmcall),
	ROW(VMMCALL, vmcall),
	ROW(MONITOR, mwait),
	ROW(MWAIT, mwait),
	ROW(XGETBV, xgetbv),
	ROW(XSETBV, xsetbv),
	{ZYDIS_MNEMONIC_INVALID, NULL},
};
