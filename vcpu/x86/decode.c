// SPDX-License-Identifier: BSD-2-Clause
/*
 * Bytes to operations: Zydis decodes, the family of the mnemonic selects.
 *
 * What Zydis rejects, and instructions of extensions that CPUID does not offer,
 * are #UD to the guest.  What exists and we lack ends in x86_unsupported().
 */
#include <stdio.h>

#include "vcpu/x86/core.h"

static x86_select_fn *select_table[ZYDIS_MNEMONIC_MAX_VALUE + 1];
static ZydisDecoder decoder16, decoder16_real, decoder32, decoder64;

static void add_family(const struct x86_family_entry *family)
{
	for (; family->select; family++)
		select_table[family->mnemonic] = family->select;
}

/* Before main(): everything here is constant afterwards. */
static void __attribute__((constructor)) init_decoder(void)
{
	add_family(x86_family_alu);
	add_family(x86_family_move);
	add_family(x86_family_atomic);
#ifdef KVMU_HAVE_SHIFT
	add_family(x86_family_shift);
#endif
#ifdef KVMU_HAVE_BIT
	add_family(x86_family_bit);
#endif
#ifdef KVMU_HAVE_MULDIV
	add_family(x86_family_muldiv);
#endif
#ifdef KVMU_HAVE_STRING
	add_family(x86_family_string);
#endif
	add_family(x86_family_branch);
	add_family(x86_family_far);
	add_family(x86_family_system);
	add_family(x86_family_descriptor);
	add_family(x86_family_io);
	add_family(x86_family_msr);
#ifdef KVMU_HAVE_SSE
	add_family(x86_family_sse);
#endif
#ifdef KVMU_HAVE_X87
	add_family(x86_family_x87);
#endif
	ZydisDecoderInit(&decoder16_real, ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&decoder16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&decoder32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(&decoder64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

static const ZydisDecoder *decoder_for(u32 mode)
{
	if (mode & X86_MODE_CS64)
		return &decoder64;
	if (mode & X86_MODE_CS32)
		return &decoder32;
	return mode & X86_MODE_PE ? &decoder16 : &decoder16_real;
}

/* ---- operand helpers --------------------------------------------------------------- */

static u8 gpr_offset(ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
		return (u8)((reg - ZYDIS_REGISTER_AH) * 8 + 1);
	if (reg == ZYDIS_REGISTER_NONE)
		return X86_REG_ZERO * 8;
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return X86_REG_RIP * 8;
	return (u8)(ZydisRegisterGetId(reg) * 8);
}

/* SPL..DIL have the ids of AH..BH's neighbours in Zydis: go by the full register. */
static ZydisRegister full_register(ZydisRegister reg)
{
	if (ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_GPR8 &&
	    !(reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH))
		return ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	return reg;
}

u8 x86_dec_gpr(const struct x86_decode *d, unsigned int n)
{
	return gpr_offset(full_register(d->operands[n].reg.value));
}

u8 x86_dec_vec(const struct x86_decode *d, unsigned int n)
{
	return (u8)ZydisRegisterGetId(d->operands[n].reg.value);
}

static enum x86_seg_reg segment_of(ZydisRegister reg)
{
	switch (reg) {
	case ZYDIS_REGISTER_ES:
		return X86_ES;
	case ZYDIS_REGISTER_CS:
		return X86_CS;
	case ZYDIS_REGISTER_SS:
		return X86_SS;
	case ZYDIS_REGISTER_FS:
		return X86_FS;
	case ZYDIS_REGISTER_GS:
		return X86_GS;
	default:
		return X86_DS;
	}
}

/*
 * No base but a displacement: SIB with base 101 and mod 00, whatever REX.B says
 * (SDM vol. 2, table 2-3).  Zydis 4.0 forgets that with an address size prefix.
 */
static bool has_no_base(const struct x86_decode *d, unsigned int n)
{
	return (d->insn->attributes & ZYDIS_ATTRIB_HAS_SIB) && d->insn->raw.modrm.mod == 0 &&
	       (d->insn->raw.sib.base & 7) == 5 &&
	       d->operands[n].visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN;
}

void x86_dec_mem(struct x86_decode *d, unsigned int n)
{
	const ZydisDecodedOperandMem *mem = &d->operands[n].mem;
	enum x86_seg_reg seg = segment_of(mem->segment);
	struct x86_op *op = d->op;
	s64 disp = mem->disp.value;

	op->base = gpr_offset(mem->base);
	if (has_no_base(d, n)) {
		op->base = X86_REG_ZERO * 8;
		disp = d->insn->raw.disp.value;
	}
	op->index = gpr_offset(mem->index);
	op->scale = mem->scale ? (u8)__builtin_ctz(mem->scale) : 0;
	/* Relative to the start of the block, where RIP points while it runs. */
	if (op->base == X86_REG_RIP * 8)
		disp += d->block_offset + d->insn->length;
	op->disp = (s32)disp;
	if (d->mode & X86_MODE_CS64) {
		op->seg = seg == X86_FS || seg == X86_GS ? (u8)seg : X86_SEG_NONE;
		return;
	}
	op->seg = (u8)seg;
	op->flags |= X86_OP_LEGACY_SEG;
}

/* ---- operations for what does not decode --------------------------------------------- */

static const struct x86_op *op_raise(struct x86_cpu *cpu, const struct x86_op *op)
{
	x86_raise_op(cpu, op, (enum x86_exception)op->aux);
}

void x86_decode_raise(struct x86_op *op, enum x86_exception vector)
{
	op->fn = op_raise;
	op->aux = (u8)vector;
}

/* Says once for each mnemonic what is missing. */
static void report_missing(ZydisMnemonic mnemonic)
{
	static bool said[ZYDIS_MNEMONIC_MAX_VALUE + 1];
	char text[64];

	if (atomic_exchange(&said[mnemonic], true))
		return;
	snprintf(text, sizeof(text), "instruction not implemented: %s",
		 ZydisMnemonicGetString(mnemonic));
	kvmu_warn(__FILE__, __LINE__, text);
}

static const struct x86_op *op_missing(struct x86_cpu *cpu, const struct x86_op *op)
{
	cpu->op = op;
	report_missing((ZydisMnemonic)op->aux32);
	x86_unsupported(cpu);
}

/* Does a CPU with our CPUID have it?  Otherwise it is #UD. */
static bool offered(const ZydisDecodedInstruction *insn)
{
	if (x86_offers_avx(insn->meta.isa_ext))
		return true;
	switch (insn->meta.isa_ext) {
	case ZYDIS_ISA_EXT_BASE:
	case ZYDIS_ISA_EXT_LONGMODE:
	case ZYDIS_ISA_EXT_X87:
	case ZYDIS_ISA_EXT_SSE:
	case ZYDIS_ISA_EXT_SSE2:
	case ZYDIS_ISA_EXT_SSE3:
	case ZYDIS_ISA_EXT_SSSE3:
	case ZYDIS_ISA_EXT_SSE4:
	case ZYDIS_ISA_EXT_MMX:
	case ZYDIS_ISA_EXT_XSAVE:
	case ZYDIS_ISA_EXT_BMI1:
	case ZYDIS_ISA_EXT_BMI2:
		return true;
	default:
		return false;
	}
}

/*
 * EVEX and its like; VEX where no instruction of ours has it, as Zydis knows
 * processors that gave it other meanings, and VEX in real and virtual-8086 mode
 * (SDM vol. 2, 2.3.2).
 */
static bool is_foreign_encoding(const ZydisDecodedInstruction *insn, u32 mode)
{
	ZydisISAExt ext = insn->meta.isa_ext;

	if (insn->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	if (insn->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX || !(mode & X86_MODE_PE))
		return true;
	return ext != ZYDIS_ISA_EXT_BMI1 && ext != ZYDIS_ISA_EXT_BMI2 && !x86_offers_avx(ext);
}

static bool is_undefined(const ZydisDecodedInstruction *insn)
{
	return insn->mnemonic == ZYDIS_MNEMONIC_UD0 || insn->mnemonic == ZYDIS_MNEMONIC_UD1 ||
	       insn->mnemonic == ZYDIS_MNEMONIC_UD2;
}

/* RIP-relative operands at the far end of 2 GiB do not survive being made block-relative. */
static bool displacement_fits(const struct x86_decode *d)
{
	for (unsigned int n = 0; n < d->insn->operand_count; n++) {
		s64 disp;

		if (!x86_dec_is_mem(d, n) || d->operands[n].mem.base != ZYDIS_REGISTER_RIP)
			continue;
		disp = d->operands[n].mem.disp.value + d->block_offset + d->insn->length;
		if (disp != (s32)disp)
			return false;
	}
	return true;
}

static u8 op_flags(const ZydisDecodedInstruction *insn, u32 mode)
{
	u8 flags = 0;

	if (insn->address_width == 16)
		flags |= X86_OP_ADDR16;
	if (insn->address_width == 32)
		flags |= X86_OP_ADDR32;
	if (insn->attributes & ZYDIS_ATTRIB_HAS_LOCK)
		flags |= X86_OP_LOCK;
	if (insn->attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
		flags |= X86_OP_REP;
	if (insn->attributes & ZYDIS_ATTRIB_HAS_REPNE)
		flags |= X86_OP_REPNE;
	(void)mode;
	return flags;
}

/* Fill @op from what Zydis says. */
static void select_op(struct x86_decode *d)
{
	ZydisMnemonic mnemonic = d->insn->mnemonic;
	x86_select_fn *select = select_table[mnemonic];
	struct x86_op prepared = *d->op;

	if (is_undefined(d->insn) || is_foreign_encoding(d->insn, d->mode)) {
		x86_decode_raise(d->op, X86_UD);
		d->ends_block = true;
		return;
	}
	d->op->fn = select && displacement_fits(d) ? select(d) : NULL;
	if (d->op->fn)
		return;
	*d->op = prepared;
	d->ends_block = true;
	d->op->aux32 = mnemonic;
	d->op->fn = op_missing;
	if (!select && !offered(d->insn))
		x86_decode_raise(d->op, X86_UD);
}

/*
 * How many bytes of what is no instruction make it none: those that a cached
 * block must find unchanged.
 */
static u8 deciding_bytes(u32 mode, const u8 *bytes)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	u8 n = 1;

	while (ZydisDecoderDecodeFull(decoder_for(mode), bytes, n, &insn, operands) ==
	       ZYDIS_STATUS_NO_MORE_DATA)
		n++;
	return n;
}

enum x86_decode_result x86_decode_one(u32 mode, const u8 *bytes, unsigned int avail,
				      unsigned int offset, struct x86_op *op)
{
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction insn;
	ZyanStatus status;
	struct x86_decode d = {
		.insn = &insn,
		.operands = operands,
		.op = op,
		.mode = mode,
		.block_offset = (u16)offset,
	};

	if (avail > ZYDIS_MAX_INSTRUCTION_LENGTH)
		avail = ZYDIS_MAX_INSTRUCTION_LENGTH;
	*op = (struct x86_op){.rip = offset & 1023,
			      .base = X86_REG_ZERO * 8,
			      .index = X86_REG_ZERO * 8,
			      .seg = X86_SEG_NONE};
	status = ZydisDecoderDecodeFull(decoder_for(mode), bytes, avail, &insn, operands);
	if (status == ZYDIS_STATUS_NO_MORE_DATA)
		return avail < ZYDIS_MAX_INSTRUCTION_LENGTH ? X86_DECODE_MORE : X86_DECODE_TOO_LONG;
	if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
		return X86_DECODE_TOO_LONG;
	if (!ZYAN_SUCCESS(status)) {
		op->len = deciding_bytes(mode, bytes);
		x86_decode_raise(op, X86_UD);
		return X86_DECODE_LAST;
	}
	op->len = insn.length;
	op->flags = op_flags(&insn, mode);
	select_op(&d);
	return d.ends_block ? X86_DECODE_LAST : X86_DECODE_OK;
}

/* ---- the end of a block ---------------------------------------------------------------- */

static const struct x86_op *op_end(struct x86_cpu *cpu, const struct x86_op *op)
{
	X86_GOTO(cpu, x86_chain(cpu, op, x86_wrap_rip(cpu, x86_op_rip(cpu, op))));
}

void x86_decode_end(struct x86_op *op, unsigned int offset, unsigned int last_index)
{
	*op = (struct x86_op){.fn = op_end, .rip = offset & 1023, .nth = last_index & 63};
}
