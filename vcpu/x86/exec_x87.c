/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87 instructions (SDM vol. 1, chapter 8; vol. 2).
 *
 * Control instructions are C.  Everything that computes is the host's own
 * instruction (x87_native.h); on other hosts those are not offered.
 *
 * Limits: the opcode register stays 0, as on processors that update it for
 * unmasked exceptions only; selectors of the pointers are 0; the real-address format of
 * the environment is stored like the 16-bit protected one; a pending
 * exception is #MF whatever CR0.NE says.
 */
#include <string.h>

#include "vcpu/x86/exception.h"
#include "vcpu/x86/flags.h"
#include "vcpu/x86/fpu_state.h"
#include "vcpu/x86/mem.h"
#include "vcpu/x86/x87_native.h"

#define FSW_ES	      (1u << 7) /* an unmasked exception is pending */
#define FSW_B	      (1u << 15)
#define FSW_EXCEPTION 0x3fu
#define FCW_MASKS     0x3fu
#define FCW_FIXED     0x0040u /* reads as 1 */
#define FCW_WRITABLE  0x1f3fu
/* Exceptions that keep a result from being stored in memory when unmasked: all but PE. */
#define FSW_NO_STORE 0x1fu

/* ES and B follow from the exception flags and their masks. */
static void update_summary(struct x86_x87 *x87)
{
	x87->fsw &= (u16) ~(FSW_ES | FSW_B);
	if (x87->fsw & ~x87->fcw & FSW_EXCEPTION)
		x87->fsw |= FSW_ES | FSW_B;
}

static void set_control(struct x86_x87 *x87, u16 fcw)
{
	x87->fcw = (fcw & FCW_WRITABLE) | FCW_FIXED;
	update_summary(x87);
}

/*
 * What waiting instructions do first.  The flags count, not ES: state loaded from
 * memory may have them disagree, and then the processor goes by the flags.
 */
static void check_pending(struct x86_cpu *cpu, const struct x86_op *op)
{
	if (unlikely(cpu->x87.fsw & ~cpu->x87.fcw & FSW_EXCEPTION))
		x86_raise_op(cpu, op, X86_MF);
}

static const struct x86_op *raise_nm(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_raise_op(cpu, op, X86_NM);
}

/* ---- control without memory -------------------------------------------------------------- */

static const struct x86_op *fninit(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_x87_init(&cpu->x87, false);
	X86_NEXT(cpu, op);
}

static const struct x86_op *fnclex(struct x86_cpu *cpu, const struct x86_op *op)
{
	cpu->x87.fsw &= 0x7f00;
	X86_NEXT(cpu, op);
}

static const struct x86_op *fnstsw_ax(struct x86_cpu *cpu, const struct x86_op *op)
{
	X86_REG(cpu, X86_RAX * 8, u16) = cpu->x87.fsw;
	X86_NEXT(cpu, op);
}

static const struct x86_op *fwait(struct x86_cpu *cpu, const struct x86_op *op)
{
	if ((cpu->cr0 & X86_CR0_TS) && (cpu->cr0 & X86_CR0_MP))
		x86_raise_op(cpu, op, X86_NM);
	check_pending(cpu, op);
	X86_NEXT(cpu, op);
}

static const struct x86_op *fnop(struct x86_cpu *cpu, const struct x86_op *op)
{
	check_pending(cpu, op);
	X86_NEXT(cpu, op);
}

static const struct x86_op *emms(struct x86_cpu *cpu, const struct x86_op *op)
{
	check_pending(cpu, op);
	cpu->x87.ftw = 0;
	X86_NEXT(cpu, op);
}

/* ---- control words in memory ----------------------------------------------------------------- */

static const struct x86_op *fldcw(struct x86_cpu *cpu, const struct x86_op *op)
{
	u16 value;

	check_pending(cpu, op);
	value = x86_load16(cpu, x86_ea(cpu, op, 2, false));
	set_control(&cpu->x87, value);
	X86_NEXT(cpu, op);
}

static const struct x86_op *fnstcw(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_store16(cpu, x86_ea(cpu, op, 2, true), cpu->x87.fcw);
	X86_NEXT(cpu, op);
}

static const struct x86_op *fnstsw(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_store16(cpu, x86_ea(cpu, op, 2, true), cpu->x87.fsw);
	X86_NEXT(cpu, op);
}

/* ---- environment and whole state: op->size is that of the environment, 14 or 28 ---- */

static void put(u8 *to, u32 value, unsigned int bytes)
{
	memcpy(to, &value, bytes);
}

/* The seven fields are words or double words; words in double words have ones above. */
static void build_environment(const struct x86_x87 *x87, u8 *env, unsigned int size)
{
	u16 words[3] = {x87->fcw, x87->fsw, x86_x87_full_tags(x87)};
	unsigned int step = size / 7;

	memset(env, 0, size);
	for (unsigned int i = 0; i < 3; i++)
		put(env + i * step, 0xffff0000u | words[i], step);
	put(env + 3 * step, (u32)x87->fip, step);
	put(env + 5 * step, (u32)x87->fdp, step);
	if (step == 4)
		put(env + 6 * step, 0xffff0000u, step);
}

static u32 field(const u8 *env, unsigned int step, unsigned int i)
{
	u32 value = 0;

	memcpy(&value, env + i * step, step);
	return value;
}

static void load_environment(struct x86_x87 *x87, const u8 *env, unsigned int size)
{
	unsigned int step = size / 7;

	x86_x87_set_fsw(x87, (u16)field(env, step, 1));
	x87->ftw = x86_x87_abridge_tags((u16)field(env, step, 2));
	x87->fip = field(env, step, 3);
	x87->fdp = field(env, step, 5);
	set_control(x87, (u16)field(env, step, 0));
}

static const struct x86_op *fnstenv(struct x86_cpu *cpu, const struct x86_op *op)
{
	u8 env[X87_ENV_BYTES];

	build_environment(&cpu->x87, env, op->size);
	x86_store_bytes(cpu, x86_ea(cpu, op, op->size, true), env, op->size);
	cpu->x87.fcw |= FCW_MASKS;
	update_summary(&cpu->x87);
	X86_NEXT(cpu, op);
}

static const struct x86_op *fldenv(struct x86_cpu *cpu, const struct x86_op *op)
{
	u8 env[X87_ENV_BYTES];

	check_pending(cpu, op);
	x86_load_bytes(cpu, x86_ea(cpu, op, op->size, false), env, op->size);
	load_environment(&cpu->x87, env, op->size);
	X86_NEXT(cpu, op);
}

static const struct x86_op *fnsave(struct x86_cpu *cpu, const struct x86_op *op)
{
	unsigned int bytes = op->size + 80u;
	u64 addr = x86_ea(cpu, op, bytes, true);
	u8 image[X87_SAVE_BYTES];

	build_environment(&cpu->x87, image, op->size);
	for (unsigned int i = 0; i < 8; i++)
		memcpy(image + op->size + 10 * i, cpu->x87.st[i], 10);
	x86_probe(cpu, addr, bytes, true);
	x86_store_bytes(cpu, addr, image, 54);
	x86_store_bytes(cpu, addr + 54, image + 54, bytes - 54);
	x86_x87_init(&cpu->x87, false);
	X86_NEXT(cpu, op);
}

static const struct x86_op *frstor(struct x86_cpu *cpu, const struct x86_op *op)
{
	unsigned int bytes = op->size + 80u;
	u64 addr = x86_ea(cpu, op, bytes, false);
	u8 image[X87_SAVE_BYTES];

	check_pending(cpu, op);
	x86_load_bytes(cpu, addr, image, 54);
	x86_load_bytes(cpu, addr + 54, image + 54, bytes - 54);
	load_environment(&cpu->x87, image, op->size);
	for (unsigned int i = 0; i < 8; i++)
		memcpy(cpu->x87.st[i], image + op->size + 10 * i, 10);
	X86_NEXT(cpu, op);
}

/* ---- what computes: op->aux opcode, op->aux32 ModRM, op->size bytes of memory ---- */

#if X87_NATIVE

static const struct x86_op *compute(struct x86_cpu *cpu, const struct x86_op *op)
{
	u64 flags = x86_flags_compute(cpu);

	check_pending(cpu, op);
	x86_x87_execute(&cpu->x87, op->aux, op->aux32, NULL, &flags);
	cpu->x87.fip = x86_op_rip(cpu, op);
	x86_flags_set(cpu, (u32)flags);
	X86_NEXT(cpu, op);
}

static const struct x86_op *compute_load(struct x86_cpu *cpu, const struct x86_op *op)
{
	u64 addr = x86_ea(cpu, op, op->size, false), flags = 0;
	u8 operand[16];

	check_pending(cpu, op);
	x86_load_bytes(cpu, addr, operand, op->size);
	x86_x87_execute(&cpu->x87, op->aux, op->aux32, operand, &flags);
	cpu->x87.fip = x86_op_rip(cpu, op);
	cpu->x87.fdp = addr;
	X86_NEXT(cpu, op);
}

static const struct x86_op *compute_store(struct x86_cpu *cpu, const struct x86_op *op)
{
	u64 addr = x86_ea(cpu, op, op->size, true), flags = 0;
	struct x86_x87 after = cpu->x87;
	u8 operand[16];

	check_pending(cpu, op);
	x86_x87_execute(&after, op->aux, op->aux32, operand, &flags);
	if (!(after.fsw & ~after.fcw & FSW_NO_STORE))
		x86_store_bytes(cpu, addr, operand, op->size);
	else
		x86_probe(cpu, addr, op->size, true);
	after.fip = x86_op_rip(cpu, op);
	after.fdp = addr;
	cpu->x87 = after;
	X86_NEXT(cpu, op);
}

#endif

/* ---- selection --------------------------------------------------------------- */

static bool refused(const struct x86_decode *d)
{
	return d->mode & (X86_MODE_EM | X86_MODE_TS);
}

/* The memory operand, visible or not; its index or -1. */
static int memory_operand(const struct x86_decode *d)
{
	for (unsigned int n = 0; n < d->insn->operand_count; n++)
		if (x86_dec_is_mem(d, n))
			return (int)n;
	return -1;
}

static x86_op_fn *select_memory(struct x86_decode *d, x86_op_fn *fn)
{
	int n = memory_operand(d);

	if (n < 0)
		return NULL;
	if (refused(d))
		return raise_nm;
	x86_dec_mem(d, (unsigned int)n);
	if (fn != fnstcw && fn != fnstsw)
		d->op->flags |= X86_OP_NO_DEVICE;
	return fn;
}

#define CONTROL(name, fn)                                     \
	static x86_op_fn *select_##name(struct x86_decode *d) \
	{                                                     \
		return refused(d) ? raise_nm : fn;            \
	}
#define CONTROL_MEMORY(name)                                  \
	static x86_op_fn *select_##name(struct x86_decode *d) \
	{                                                     \
		return select_memory(d, name);                \
	}
/* Environments: 14 bytes with 16-bit operands, 28 otherwise; 80 more for the registers. */
#define ENVIRONMENT(name)                                             \
	static x86_op_fn *select_##name(struct x86_decode *d)         \
	{                                                             \
		d->op->size = d->insn->operand_width == 16 ? 14 : 28; \
		return select_memory(d, name);                        \
	}

CONTROL(fninit, fninit)
CONTROL(fnclex, fnclex)
CONTROL(fnop, fnop)
CONTROL_MEMORY(fldcw)
CONTROL_MEMORY(fnstcw)
ENVIRONMENT(fnstenv)
ENVIRONMENT(fldenv)
ENVIRONMENT(fnsave)
ENVIRONMENT(frstor)

static x86_op_fn *select_fnstsw(struct x86_decode *d)
{
	if (memory_operand(d) >= 0)
		return select_memory(d, fnstsw);
	return refused(d) ? raise_nm : fnstsw_ax;
}

/* CR0.EM does not concern it; CR0.TS does only with CR0.MP, seen when it runs. */
static x86_op_fn *select_fwait(struct x86_decode *d)
{
	(void)d;
	return fwait;
}

static const struct x86_op *raise_ud(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_raise_op(cpu, op, X86_UD);
}

static x86_op_fn *select_emms(struct x86_decode *d)
{
	if (d->mode & X86_MODE_EM)
		return raise_ud;
	return refused(d) ? raise_nm : emms;
}

#if X87_NATIVE

static x86_op_fn *select_compute(struct x86_decode *d)
{
	int n = memory_operand(d);

	if (refused(d))
		return raise_nm;
	d->op->aux = d->insn->opcode & 7;
	d->op->aux32 = (u32)d->insn->raw.modrm.mod << 6 | (u32)d->insn->raw.modrm.reg << 3 |
		       d->insn->raw.modrm.rm;
	if (n < 0)
		return compute;
	d->op->size = (u8)(d->operands[n].size / 8);
	if (d->op->size > 10)
		return NULL;
	x86_dec_mem(d, (unsigned int)n);
	d->op->flags |= X86_OP_NO_DEVICE;
	return d->operands[n].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? compute_store
									: compute_load;
}

#define COMPUTE(mnemonic) {ZYDIS_MNEMONIC_##mnemonic, select_compute},
#else
#define COMPUTE(mnemonic)
#endif

/* clang-format off */
const struct x86_family_entry x86_family_x87[] = {
	{ZYDIS_MNEMONIC_FNINIT, select_fninit},
	{ZYDIS_MNEMONIC_FNCLEX, select_fnclex},
	{ZYDIS_MNEMONIC_FLDCW, select_fldcw},
	{ZYDIS_MNEMONIC_FNSTCW, select_fnstcw},
	{ZYDIS_MNEMONIC_FNSTSW, select_fnstsw},
	{ZYDIS_MNEMONIC_FNSTENV, select_fnstenv},
	{ZYDIS_MNEMONIC_FLDENV, select_fldenv},
	{ZYDIS_MNEMONIC_FNSAVE, select_fnsave},
	{ZYDIS_MNEMONIC_FRSTOR, select_frstor},
	{ZYDIS_MNEMONIC_FWAIT, select_fwait},
	{ZYDIS_MNEMONIC_FNOP, select_fnop},
	{ZYDIS_MNEMONIC_EMMS, select_emms},
	COMPUTE(F2XM1) COMPUTE(FABS) COMPUTE(FADD) COMPUTE(FADDP) COMPUTE(FBLD) COMPUTE(FBSTP)
	COMPUTE(FCHS) COMPUTE(FCMOVB) COMPUTE(FCMOVBE) COMPUTE(FCMOVE) COMPUTE(FCMOVNB)
	COMPUTE(FCMOVNBE) COMPUTE(FCMOVNE) COMPUTE(FCMOVNU) COMPUTE(FCMOVU) COMPUTE(FCOM)
	COMPUTE(FCOMI) COMPUTE(FCOMIP) COMPUTE(FCOMP) COMPUTE(FCOMPP) COMPUTE(FCOS)
	COMPUTE(FDECSTP) COMPUTE(FDIV) COMPUTE(FDIVP) COMPUTE(FDIVR) COMPUTE(FDIVRP)
	COMPUTE(FFREE) COMPUTE(FIADD) COMPUTE(FICOM) COMPUTE(FICOMP) COMPUTE(FIDIV)
	COMPUTE(FIDIVR) COMPUTE(FILD) COMPUTE(FIMUL) COMPUTE(FINCSTP) COMPUTE(FIST)
	COMPUTE(FISTP) COMPUTE(FISTTP) COMPUTE(FISUB) COMPUTE(FISUBR) COMPUTE(FLD)
	COMPUTE(FLD1) COMPUTE(FLDL2E) COMPUTE(FLDL2T) COMPUTE(FLDLG2) COMPUTE(FLDLN2)
	COMPUTE(FLDPI) COMPUTE(FLDZ) COMPUTE(FMUL) COMPUTE(FMULP) COMPUTE(FPATAN)
	COMPUTE(FPREM) COMPUTE(FPREM1) COMPUTE(FPTAN) COMPUTE(FRNDINT) COMPUTE(FSCALE)
	COMPUTE(FSIN) COMPUTE(FSINCOS) COMPUTE(FSQRT) COMPUTE(FST) COMPUTE(FSTP)
	COMPUTE(FSUB) COMPUTE(FSUBP) COMPUTE(FSUBR) COMPUTE(FSUBRP) COMPUTE(FTST)
	COMPUTE(FUCOM) COMPUTE(FUCOMI) COMPUTE(FUCOMIP) COMPUTE(FUCOMP) COMPUTE(FUCOMPP)
	COMPUTE(FXAM) COMPUTE(FXCH) COMPUTE(FXTRACT) COMPUTE(FYL2X) COMPUTE(FYL2XP1)
	{ZYDIS_MNEMONIC_INVALID, NULL},
};
/* clang-format on */
