/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vector instructions as a family of the differential tester.  The
 * templates say register and 16 bytes of memory for each mnemonic; the other
 * forms come from random bytes.
 */
#include <string.h>

#include "tests/vcpu/diff/diff.h"
#include "vcpu/x86/exec_sse.h"

/* Places in an FXSAVE image (SDM vol. 1, table 10-2). */
#define FX_MXCSR 24
#define FX_XMM	 160

#define TEMPLATE(mnemonic, name) \
	{ZYDIS_MNEMONIC_##mnemonic, "xX|xy|xz|xXj|xyj|xzj", 0, DIFF_ALIGN16},

static const struct diff_template sse_templates[] = {
	X86_SSE_MOVE_LIST(TEMPLATE) X86_SSE_ARITH_LIST(TEMPLATE) X86_SSE_SHUFFLE_LIST(TEMPLATE)
		X86_SSE_STRING_LIST(TEMPLATE) X86_SSE_CRYPTO_LIST(TEMPLATE)
			X86_SSE_FLOAT_LIST(TEMPLATE) X86_SSE_CONVERT_LIST(TEMPLATE)};

/* Legal MXCSR: all exceptions masked, any rounding; no MMX, no VEX. */
static bool sse_adjust(struct diff_case *c)
{
	u32 mxcsr = 0x1f80 | (diff_below(4) << 13) | (diff_below(8) == 0 ? 0x8040 : 0);

	for (unsigned int i = 0; i < c->insn.operand_count_visible; i++)
		if (c->operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(c->operands[i].reg.value) == ZYDIS_REGCLASS_MMX)
			return false;
	/* Whether masked-out bytes can fault is up to the processor. */
	if (c->insn.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU &&
	    c->patch_addr - DIFF_SCRATCH > DIFF_RW_BYTES - 16)
		return false;
	memcpy(c->in.fx.b + FX_MXCSR, &mxcsr, sizeof(mxcsr));
	return c->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
}

static void sse_to_cpu(struct x86_cpu *cpu, const struct diff_fx *fx)
{
	memcpy(&cpu->mxcsr, fx->b + FX_MXCSR, sizeof(cpu->mxcsr));
	for (unsigned int i = 0; i < 16; i++)
		memcpy(&cpu->ymm[i].x[0], fx->b + FX_XMM + 16 * i, 16);
}

static void sse_from_cpu(const struct x86_cpu *cpu, struct diff_fx *fx)
{
	memcpy(fx->b + FX_MXCSR, &cpu->mxcsr, sizeof(cpu->mxcsr));
	for (unsigned int i = 0; i < 16; i++)
		memcpy(fx->b + FX_XMM + 16 * i, &cpu->ymm[i].x[0], 16);
}

const struct diff_family diff_sse_family = {
	.name = "sse",
	.templates = sse_templates,
	.nr_templates = ARRAY_SIZE(sse_templates),
	.tables = {x86_family_sse, NULL},
	.fx = true,
	.adjust = sse_adjust,
	.fx_to_cpu = sse_to_cpu,
	.fx_from_cpu = sse_from_cpu,
};
