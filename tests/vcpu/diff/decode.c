/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operand helpers of select functions, independent of the interpreter's
 * own decoder: an instruction here is a block of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/vcpu/diff/diff.h"
#include "vcpu/x86/op.h"

static u8 gpr_offset(ZydisRegister reg)
{
	int id;

	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
		return (u8)((reg - ZYDIS_REGISTER_AH) * 8 + 1);
	id = ZydisRegisterGetId(reg);
	if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_R15B && reg > ZYDIS_REGISTER_BH)
		id = reg - ZYDIS_REGISTER_SPL + 4;
	else if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_BL)
		id = reg - ZYDIS_REGISTER_AL;
	if (id < 0 || id > 15)
		abort();
	return (u8)(id * 8);
}

u8 x86_dec_gpr(const struct x86_decode *d, unsigned int n)
{
	if (!x86_dec_is_reg(d, n))
		abort();
	return gpr_offset(d->operands[n].reg.value);
}

u8 x86_dec_vec(const struct x86_decode *d, unsigned int n)
{
	return (u8)(ZydisRegisterGetId(d->operands[n].reg.value) & 15);
}

static u8 address_register(ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_NONE)
		return X86_REG_ZERO * 8;
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
		return X86_REG_RIP * 8;
	return gpr_offset(reg);
}

void x86_dec_mem(struct x86_decode *d, unsigned int n)
{
	const ZydisDecodedOperandMem *mem = &d->operands[n].mem;
	struct x86_op *op = d->op;

	op->base = address_register(mem->base);
	op->index = address_register(mem->index);
	op->scale = mem->scale ? (u8)__builtin_ctz(mem->scale) : 0;
	op->disp = mem->disp.has_displacement ? (s32)mem->disp.value : 0;
	if (op->base == X86_REG_RIP * 8)
		op->disp += op->len + d->block_offset;
	op->seg = X86_SEG_NONE;
	if (!(d->mode & X86_MODE_CS64)) {
		op->seg = X86_DS;
		op->flags |= X86_OP_LEGACY_SEG;
	}
}

/* What the decoder fills in before it calls the select function. */
static void prepare_op(const struct diff_case *c, struct x86_op *op)
{
	memset(op, 0, sizeof(*op));
	op->len = c->len;
	op->base = op->index = X86_REG_ZERO * 8;
	op->seg = X86_SEG_NONE;
	if (c->insn.address_width < 64)
		op->flags = c->insn.address_width == 32 ? X86_OP_ADDR32 : X86_OP_ADDR16;
	if (c->insn.attributes & ZYDIS_ATTRIB_HAS_LOCK)
		op->flags |= X86_OP_LOCK;
}

bool diff_decode(const struct diff_case *c, u32 mode, struct x86_op *op)
{
	struct x86_decode d = {
		.insn = &c->insn,
		.operands = c->operands,
		.op = op,
		.mode = mode,
	};

	for (const struct x86_family_entry *const *table = c->family->tables; *table; table++) {
		for (const struct x86_family_entry *e = *table; e->select; e++) {
			if (e->mnemonic != c->insn.mnemonic)
				continue;
			prepare_op(c, op);
			op->fn = e->select(&d);
			if (op->fn)
				return true;
		}
	}
	return false;
}
