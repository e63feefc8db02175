/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SSE and AVX in the differential tester: any mix of registers and
 * addressing modes, page crossings and page faults.  Encodings and values are
 * gone through more densely by tests/vcpu/sse.
 */
#include <string.h>

#include "tests/vcpu/diff/diff.h"
#include "vcpu/x86/exec_sse.h"
#include "vcpu/x86/fpu_state.h"

/*
 * Every shape an SSE instruction can have; the encoder refuses those that a
 * mnemonic has not, and the generator tries again.
 */
#define SHAPES			 "xX|xX|xXj|xXj|xy|xyj|xz|xzj|xj|Xx|yx|zx|xe|xej|ex|exj|ry|rz|rx|rxj|mr"
#define TEMPLATE(mnemonic, name) {ZYDIS_MNEMONIC_##mnemonic, SHAPES, 15, DIFF_ALIGN16},

/* clang-format off */
static const struct diff_template sse_templates[] = {
	X86_SSE_MOVE_LIST(TEMPLATE)
	X86_SSE_LANE_LIST(TEMPLATE)
	TEMPLATE(MOVNTI, movnti)
	X86_SSE_ARITH_LIST(TEMPLATE)
	X86_SSE_SHUFFLE_LIST(TEMPLATE)
	X86_SSE_STRING_LIST(TEMPLATE)
	X86_SSE_CRYPTO_LIST(TEMPLATE)
	X86_SSE_FLOAT_LIST(TEMPLATE)
	X86_SSE_CONVERT_LIST(TEMPLATE)
	{ZYDIS_MNEMONIC_LDMXCSR, "m", 4, 0},
	{ZYDIS_MNEMONIC_STMXCSR, "m", 4, 0},
};
/* clang-format on */

static bool is_mmx(const struct diff_case *c)
{
	for (unsigned int i = 0; i < c->insn.operand_count; i++)
		if (c->operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(c->operands[i].reg.value) == ZYDIS_REGCLASS_MMX)
			return true;
	return false;
}

static u64 random_number(void)
{
	static const u64 table[] = {0x3ff0000000000000, 0xbfe0000000000000, 0x7ff0000000000000,
				    0x7ff8000000000001, 0xfff4000000000000, 0x000fffffffffffff,
				    0x41e0000000000000, 0xc3e0000000000000, 0x3f8000003fc00000,
				    0x7f8000017f800000, 0x00000001807fffff, 0x4f0000005f000000};

	return diff_below(3) ? diff_random_value() : table[diff_below(ARRAY_SIZE(table))];
}

static void random_registers(u8 *image)
{
	for (unsigned int i = 0; i < 256; i += 8) {
		u64 value = random_number();

		memcpy(image + i, &value, 8);
	}
}

/*
 * Numbers for registers and memory, and any MXCSR but unmasked underflow, where
 * exec_sse_float.c says we fall short; overflow stays masked for the same reason.
 */
static bool sse_adjust(struct diff_case *c)
{
	u32 mxcsr = diff_below(2) ? 0x1f80 : ((u32)diff_random() & 0xffff) | 0x1c00;

	if (is_mmx(c))
		return false;
	/* Whether bytes that the mask leaves out can fault is the processor's choice. */
	if ((c->insn.mnemonic == ZYDIS_MNEMONIC_MASKMOVDQU ||
	     c->insn.mnemonic == ZYDIS_MNEMONIC_VMASKMOVDQU) &&
	    c->patch_addr - DIFF_SCRATCH > DIFF_RW_BYTES - 16)
		return false;
	memcpy(c->in.fx.b + X86_FX_MXCSR, &mxcsr, 4);
	random_registers(c->in.fx.b + X86_FX_XMM);
	random_registers(c->in.fx.b + X86_XS_YMM);
	for (unsigned int i = 0; i < 32; i += 8) {
		u64 value = random_number();

		memcpy(c->patch + i, &value, 8);
	}
	/* Some hosts have bit 17 (misaligned SSE operands), which ours is without. */
	if (c->insn.mnemonic == ZYDIS_MNEMONIC_LDMXCSR ||
	    c->insn.mnemonic == ZYDIS_MNEMONIC_VLDMXCSR)
		c->patch[2] &= (u8)~2;
	return true;
}

static void sse_to_cpu(struct x86_cpu *cpu, const struct diff_fx *fx)
{
	cpu->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	memcpy(&cpu->mxcsr, fx->b + X86_FX_MXCSR, 4);
	cpu->mode |= X86_MODE_AVX;
	x86_xmm_restore(cpu, fx->b, 16);
	x86_ymm_restore(cpu, fx->b, 16);
}

static void sse_from_cpu(const struct x86_cpu *cpu, struct diff_fx *fx)
{
	memcpy(fx->b + X86_FX_MXCSR, &cpu->mxcsr, 4);
	x86_xmm_save(cpu, fx->b, 16);
	x86_ymm_save(cpu, fx->b, 16);
}

/* What Zydis calls undefined here, processors clear, and so do we. */
static u32 sse_undefined(const struct diff_case *c)
{
	(void)c;
	return 0;
}

const struct diff_family diff_sse_family = {
	.name = "sse",
	.templates = sse_templates,
	.nr_templates = ARRAY_SIZE(sse_templates),
	.tables = {x86_family_sse, NULL},
	.fx = true,
	.adjust = sse_adjust,
	.undefined_flags = sse_undefined,
	.fx_to_cpu = sse_to_cpu,
	.fx_from_cpu = sse_from_cpu,
};

/* ---- AVX -------------------------------------------------------------------------------- */

#define AVX_SHAPES                                                                                 \
	"xxX|vvY|xxXj|vvYj|xX|vY|xXj|vYj|xxXx|vvYv|xxy|xxz|xxyj|xxzj|xy|xz|vy|vz|vX|xY|Xx|Yv|Xxx|" \
	"Yvv|yx|zx|xxj|xxe|xxej|xe|ex|exj|rx|rv|rxj|ry|rz|vvXj|Xvj"
#define AVX_TEMPLATE(mnemonic, name) {ZYDIS_MNEMONIC_##mnemonic, AVX_SHAPES, 15, DIFF_ALIGN16},
#define VEX_TEMPLATE(mnemonic, name) AVX_TEMPLATE(V##mnemonic, name)

/* clang-format off */
static const struct diff_template avx_templates[] = {
	X86_SSE_MOVE_LIST(VEX_TEMPLATE)
	X86_SSE_LANE_LIST(VEX_TEMPLATE)
	X86_SSE_ARITH_LIST(VEX_TEMPLATE)
	X86_SSE_SHUFFLE_LIST(VEX_TEMPLATE)
	X86_SSE_STRING_LIST(VEX_TEMPLATE)
	X86_SSE_CRYPTO_LIST(VEX_TEMPLATE)
	X86_SSE_FLOAT_LIST(VEX_TEMPLATE)
	X86_SSE_CONVERT_LIST(VEX_TEMPLATE)
	{ZYDIS_MNEMONIC_VBROADCASTSS, "xz|vz", 0, 0},
	{ZYDIS_MNEMONIC_VBROADCASTSD, "vy", 0, 0},
	{ZYDIS_MNEMONIC_VBROADCASTF128, "vO", 0, 0},
	{ZYDIS_MNEMONIC_VINSERTF128, "vvXj", 0, 0},
	{ZYDIS_MNEMONIC_VEXTRACTF128, "Xvj", 0, 0},
	{ZYDIS_MNEMONIC_VPERM2F128, "vvYj", 0, 0},
	{ZYDIS_MNEMONIC_VPERMILPS, "xxX|vvY|xXj|vYj", 0, 0},
	{ZYDIS_MNEMONIC_VPERMILPD, "xxX|vvY|xXj|vYj", 0, 0},
	{ZYDIS_MNEMONIC_VMASKMOVPS, "xxX|vvY|Xxx|Yvv", 0, 0},
	{ZYDIS_MNEMONIC_VMASKMOVPD, "xxX|vvY|Xxx|Yvv", 0, 0},
	{ZYDIS_MNEMONIC_VTESTPS, "xX|vY", 0, 0},
	{ZYDIS_MNEMONIC_VTESTPD, "xX|vY", 0, 0},
	{ZYDIS_MNEMONIC_VZEROALL, "", 0, 0},
	{ZYDIS_MNEMONIC_VZEROUPPER, "", 0, 0},
	{ZYDIS_MNEMONIC_VLDMXCSR, "m", 4, 0},
	{ZYDIS_MNEMONIC_VSTMXCSR, "m", 4, 0},
};
/* clang-format on */

const struct diff_family diff_avx_family = {
	.name = "avx",
	.templates = avx_templates,
	.nr_templates = ARRAY_SIZE(avx_templates),
	.tables = {x86_family_sse, NULL},
	.fx = true,
	.adjust = sse_adjust,
	.undefined_flags = sse_undefined,
	.fx_to_cpu = sse_to_cpu,
	.fx_from_cpu = sse_from_cpu,
};
