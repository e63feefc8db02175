/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making cases: an instruction, from a template or from random bytes; then a
 * state in which all its memory accesses fall into the scratch pages or the
 * unmapped space around them.
 */
#include <string.h>

#include "tests/vcpu/diff/diff.h"

#define MAX_TEMPLATES 2048

struct choice {
	const struct diff_family *family;
	const struct diff_template *tmpl;
};

/*
 * Template and family of each mnemonic, for random bytes, of instructions
 * without and with vector state (MOVSD and CMPSD are names of both); and all
 * templates in a row, to draw from.
 */
static struct choice by_mnemonic[ZYDIS_MNEMONIC_MAX_VALUE + 1][2], drawn[MAX_TEMPLATES];
static unsigned int nr_drawn;

static ZydisDecoder decoder64, decoder32;

/* ---- random numbers (splitmix64) ------------------------------------------------------------- */

static u64 random_state;

void diff_random_seed(u64 seed)
{
	random_state = seed;
}

u64 diff_random(void)
{
	u64 z = (random_state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

u64 diff_random_value(void)
{
	u64 r = diff_random();
	unsigned int bit = (r >> 8) & 63;

	switch (r & 7) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return 1ull << bit;
	case 3:
		return (1ull << bit) - 1;
	case 4:
		return (u64)(s64)(s8)(r >> 16);
	case 5: /* the same small pattern in all sizes */
		return ((r >> 16) & 0xff) * 0x0101010101010101ull;
	default:
		return diff_random();
	}
}

static bool one_in(u32 n)
{
	return diff_below(n) == 0;
}

/* ---- operands of templates --------------------------------------------------- */

static ZydisRegister gpr(unsigned int bytes, unsigned int n)
{
	static const ZydisRegister first[4] = {ZYDIS_REGISTER_AL, ZYDIS_REGISTER_AX,
					       ZYDIS_REGISTER_EAX, ZYDIS_REGISTER_RAX};
	static const ZydisRegister bytes8[16] = {
		ZYDIS_REGISTER_AL,   ZYDIS_REGISTER_CL,	  ZYDIS_REGISTER_DL,   ZYDIS_REGISTER_BL,
		ZYDIS_REGISTER_SPL,  ZYDIS_REGISTER_BPL,  ZYDIS_REGISTER_SIL,  ZYDIS_REGISTER_DIL,
		ZYDIS_REGISTER_R8B,  ZYDIS_REGISTER_R9B,  ZYDIS_REGISTER_R10B, ZYDIS_REGISTER_R11B,
		ZYDIS_REGISTER_R12B, ZYDIS_REGISTER_R13B, ZYDIS_REGISTER_R14B, ZYDIS_REGISTER_R15B};

	if (bytes == 1)
		return bytes8[n];
	return first[__builtin_ctz(bytes)] + n;
}

static ZydisRegister random_gpr(unsigned int bytes, bool mode32)
{
	unsigned int n = diff_below(mode32 ? 8 : 16);

	if (bytes == 1 && (mode32 ? n >= 4 : one_in(4)))
		return ZYDIS_REGISTER_AL + diff_below(8); /* AL..BL, AH..BH */
	return gpr(bytes, n);
}

static void random_memory(ZydisEncoderOperand *o, unsigned int bytes, bool mode32)
{
	unsigned int width = mode32 || one_in(8) ? 4 : 8;
	u32 r = (u32)diff_random();

	o->type = ZYDIS_OPERAND_TYPE_MEMORY;
	o->mem.size = (u16)bytes;
	o->mem.scale = 0;
	if ((r & 15) == 0) { /* no registers at all; the displacement is patched later */
		o->mem.base = !mode32 && r & 16 ? ZYDIS_REGISTER_RIP : ZYDIS_REGISTER_NONE;
		o->mem.displacement = (ZyanI64)DIFF_SCRATCH;
		return;
	}
	if ((r & 15) != 1)
		o->mem.base = gpr(width, diff_below(mode32 ? 8 : 16));
	if (r & 32 || o->mem.base == ZYDIS_REGISTER_NONE) {
		unsigned int n = diff_below(mode32 ? 8 : 16);

		o->mem.index = gpr(width, n == X86_RSP ? X86_RBX : n);
		o->mem.scale = (u8)(1 << diff_below(4));
	}
	if (r & 64)
		o->mem.displacement = r & 128 ? (s32)diff_random() : (s8)diff_random();
}

static void immediate(ZydisEncoderOperand *o, s64 value)
{
	o->type = ZYDIS_OPERAND_TYPE_IMMEDIATE;
	o->imm.s = value;
}

static void random_immediate(ZydisEncoderOperand *o, unsigned int bytes)
{
	u64 value = diff_random_value();

	immediate(o, bytes == 1 ? (s8)value : bytes == 2 ? (s16)value : (s32)value);
}

static void reg(ZydisEncoderOperand *o, ZydisRegister r)
{
	o->type = ZYDIS_OPERAND_TYPE_REGISTER;
	o->reg.value = r;
}

static void reg_or_mem(ZydisEncoderOperand *o, unsigned int bytes, bool mode32)
{
	if (one_in(2))
		random_memory(o, bytes, mode32);
	else
		reg(o, random_gpr(bytes, mode32));
}

static void xmm_or_mem(ZydisEncoderOperand *o, unsigned int bytes, bool mode32)
{
	if (bytes && one_in(2))
		random_memory(o, bytes, mode32);
	else
		reg(o, ZYDIS_REGISTER_XMM0 + diff_below(mode32 ? 8 : 16));
}

static void ymm_or_mem(ZydisEncoderOperand *o, unsigned int bytes, bool mode32)
{
	if (bytes && one_in(2))
		random_memory(o, bytes, mode32);
	else
		reg(o, ZYDIS_REGISTER_YMM0 + diff_below(mode32 ? 8 : 16));
}

/* One letter; false for a letter there is no operand for. */
static bool fill_operand(ZydisEncoderOperand *o, char letter, unsigned int size, bool mode32)
{
	switch (letter) {
	case DIFF_REG:
		reg(o, random_gpr(size, mode32));
		return true;
	case DIFF_MEM:
		random_memory(o, size, mode32);
		return true;
	case DIFF_RM:
		reg_or_mem(o, size, mode32);
		return true;
	case DIFF_RM8:
		reg_or_mem(o, 1, mode32);
		return true;
	case DIFF_RM16:
		reg_or_mem(o, 2, mode32);
		return true;
	case DIFF_RM32:
		reg_or_mem(o, 4, mode32);
		return true;
	case DIFF_REG32:
		reg(o, random_gpr(4, mode32));
		return true;
	case DIFF_RM_NATURAL:
		if (one_in(2))
			random_memory(o, size, mode32);
		else
			reg(o, random_gpr(size < 4 ? 4 : size, mode32));
		return true;
	case DIFF_IMM:
		random_immediate(o, size);
		return true;
	case DIFF_IMM8:
		immediate(o, (u8)diff_random());
		return true;
	case DIFF_IMM16:
		immediate(o, (u16)diff_random() & 0xfff);
		return true;
	case DIFF_IMM64:
		immediate(o, (s64)diff_random());
		return true;
	case DIFF_CL:
		reg(o, ZYDIS_REGISTER_CL);
		return true;
	case DIFF_ONE:
		immediate(o, 1);
		return true;
	case DIFF_MEM_ANY:
		random_memory(o, size, mode32);
		return true;
	case DIFF_MEM128:
		random_memory(o, 16, mode32);
		return true;
	case DIFF_MEM64:
		random_memory(o, 8, mode32);
		return true;
	case DIFF_XMM:
		xmm_or_mem(o, 0, mode32);
		return true;
	case DIFF_XMM_M128:
		xmm_or_mem(o, 16, mode32);
		return true;
	case DIFF_XMM_M64:
		xmm_or_mem(o, 8, mode32);
		return true;
	case DIFF_XMM_M32:
		xmm_or_mem(o, 4, mode32);
		return true;
	case DIFF_YMM:
		ymm_or_mem(o, 0, mode32);
		return true;
	case DIFF_YMM_M256:
		ymm_or_mem(o, 32, mode32);
		return true;
	default:
		return false;
	}
}

/* ---- instructions from templates --------------------------------------------- */

/* One of the alternatives of @spec, and its length. */
static const char *choose_form(const char *spec, size_t *len)
{
	unsigned int forms = 1, pick;

	for (const char *p = spec; *p; p++)
		forms += *p == '|';
	pick = diff_below(forms);
	for (; pick; spec++)
		pick -= *spec == '|';
	*len = strcspn(spec, "|");
	return spec;
}

static unsigned int choose_size(u8 sizes, bool mode32)
{
	unsigned int size;

	if (mode32 && sizes != 8)
		sizes &= 7;
	if (!sizes)
		return 0;
	do
		size = 1u << diff_below(4);
	while (!(sizes & size));
	return size;
}

static ZydisInstructionAttributes random_prefixes(const struct diff_template *t,
						  const ZydisEncoderOperand *first)
{
	if (t->flags & DIFF_LOCKABLE && first->type == ZYDIS_OPERAND_TYPE_MEMORY && one_in(3))
		return ZYDIS_ATTRIB_HAS_LOCK;
	if (t->flags & DIFF_REP && !one_in(3))
		return one_in(2) ? ZYDIS_ATTRIB_HAS_REP
				 : (one_in(2) ? ZYDIS_ATTRIB_HAS_REPE : ZYDIS_ATTRIB_HAS_REPNE);
	return 0;
}

static bool from_template(struct diff_case *c)
{
	unsigned int which = diff_below(nr_drawn), size;
	const struct diff_template *t = drawn[which].tmpl;
	ZydisEncoderRequest req = {0};
	ZyanUSize len = sizeof(c->bytes);
	const char *form;
	size_t nr;

	if (t->flags & (c->mode32 ? DIFF_ONLY64 : DIFF_ONLY32))
		return false;
	form = choose_form(t->operands, &nr);
	size = choose_size(t->sizes, c->mode32);
	req.machine_mode =
		c->mode32 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32 : ZYDIS_MACHINE_MODE_LONG_64;
	req.mnemonic = t->mnemonic;
	req.operand_count = (u8)nr;
	for (unsigned int i = 0; i < nr; i++)
		if (!fill_operand(&req.operands[i], form[i], size, c->mode32))
			return false;
	req.prefixes = random_prefixes(t, &req.operands[0]);
	if (t->flags & (DIFF_REP | DIFF_STACK) && !c->mode32 && one_in(4))
		req.address_size_hint = ZYDIS_ADDRESS_SIZE_HINT_32;
	if (!ZYAN_SUCCESS(ZydisEncoderEncodeInstruction(&req, c->bytes, &len)))
		return false;
	c->len = (u8)len;
	return true;
}

/* ---- instructions from random bytes ------------------------------------------ */

static void random_bytes(struct diff_case *c)
{
	static const u8 prefixes[] = {0x66, 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x3e};
	unsigned int n = 0;
	u64 r = diff_random();

	while (n < 3 && (r & 3) == 0) {
		c->bytes[n++] = prefixes[diff_below(ARRAY_SIZE(prefixes))];
		r >>= 2;
	}
	if (!c->mode32 && r & 4)
		c->bytes[n++] = (u8)(0x40 | ((r >> 8) & 15));
	switch ((r >> 3) & 7) {
	case 0:
	case 1:
	case 2:
		c->bytes[n++] = 0x0f;
		break;
	case 3:
		c->bytes[n++] = 0x0f;
		c->bytes[n++] = r & 64 ? 0x38 : 0x3a;
		break;
	case 4: /* VEX of two or three bytes, one of the three maps; half the time without vvvv */
		if (c->mode32 || n)
			break;
		c->bytes[n++] = r & 64 ? 0xc4 : 0xc5;
		if (r & 64)
			c->bytes[n++] = (u8)((r >> 8 & 0xe0) | (1 + diff_below(3)));
		c->bytes[n++] = (u8)(r >> 16 | (r & 128 ? 0x78 : 0));
		break;
	default:
		break;
	}
	for (; n < 15; n++)
		c->bytes[n] = (u8)diff_random();
	c->len = 15;
}

/* ---- decoding ---------------------------------------------------------------- */

/* Encodings of processors that never were ours or the host's; the decoder has them as #UD. */
static bool is_offered(const ZydisDecodedInstruction *insn)
{
	ZydisISAExt ext = insn->meta.isa_ext;

	if (insn->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return true;
	return insn->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX &&
	       (ext == ZYDIS_ISA_EXT_BMI1 || ext == ZYDIS_ISA_EXT_BMI2 ||
		(x86_offers_avx(ext) && diff_host_has_avx()));
}

/* Vector instructions are those with a vector operand, MXCSR or x87 state. */
static bool is_string_or_general(const struct diff_case *c)
{
	ZydisISASet set = c->insn.meta.isa_set;

	for (unsigned int i = 0; i < c->insn.operand_count_visible; i++)
		if (c->operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(c->operands[i].reg.value) >= ZYDIS_REGCLASS_X87 &&
		    ZydisRegisterGetClass(c->operands[i].reg.value) <= ZYDIS_REGCLASS_ZMM)
			return false;
	return !by_mnemonic[c->insn.mnemonic][1].family || set == ZYDIS_ISA_SET_I86 ||
	       set == ZYDIS_ISA_SET_I386 || set == ZYDIS_ISA_SET_LONGMODE;
}

/*
 * Zydis 4.0 takes a SIB byte with base 101 and mod 00 for [r13d + ...] when
 * there is REX.B and an address size prefix; processors see no base and a
 * displacement (SDM vol. 2, table 2-3, footnote).
 */
static void correct_base(struct diff_case *c)
{
	const ZydisDecodedInstruction *insn = &c->insn;

	if (!(insn->attributes & ZYDIS_ATTRIB_HAS_SIB) || insn->raw.modrm.mod != 0 ||
	    (insn->raw.sib.base & 7) != 5)
		return;
	for (unsigned int i = 0; i < insn->operand_count; i++) {
		ZydisDecodedOperand *o = &c->operands[i];

		if (o->type != ZYDIS_OPERAND_TYPE_MEMORY ||
		    o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN)
			continue;
		o->mem.base = ZYDIS_REGISTER_NONE;
		o->mem.disp.has_displacement = true;
		o->mem.disp.value = insn->raw.disp.value;
	}
}

static bool decode(struct diff_case *c)
{
	const struct choice *choice;
	const ZydisDecoder *d = c->mode32 ? &decoder32 : &decoder64;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(d, c->bytes, c->len, &c->insn, c->operands)))
		return false;
	c->len = c->insn.length;
	choice = &by_mnemonic[c->insn.mnemonic][is_string_or_general(c) ? 0 : 1];
	if (!is_offered(&c->insn))
		return false;
	c->family = choice->family;
	c->tmpl = choice->tmpl;
	correct_base(c);
	return c->family != NULL;
}

/* Segment, control and debug registers are other people's; so are segments with a base. */
static bool operands_acceptable(const struct diff_case *c)
{
	for (unsigned int i = 0; i < c->insn.operand_count; i++) {
		const ZydisDecodedOperand *o = &c->operands[i];

		if (o->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			ZydisRegister seg = o->mem.segment;

			if (seg == ZYDIS_REGISTER_FS || seg == ZYDIS_REGISTER_GS ||
			    (c->mode32 && seg == ZYDIS_REGISTER_CS))
				return false;
		}
		if (o->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    o->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN) {
			ZydisRegisterClass k = ZydisRegisterGetClass(o->reg.value);

			if (k == ZYDIS_REGCLASS_SEGMENT || k == ZYDIS_REGCLASS_CONTROL ||
			    k == ZYDIS_REGCLASS_DEBUG)
				return false;
		}
	}
	return true;
}

/* ---- the state --------------------------------------------------------------- */

/* Register number for address computation, -1 for none and RIP. */
static int number_of(ZydisRegister r)
{
	if (r == ZYDIS_REGISTER_NONE || r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP)
		return -1;
	return r == ZYDIS_REGISTER_AL ? 0 : ZydisRegisterGetId(r);
}

static u64 address_mask(const struct diff_case *c)
{
	return c->insn.address_width == 64 ? ~0ull : (1ull << c->insn.address_width) - 1;
}

static u64 effective_address(const struct diff_case *c, const ZydisDecodedOperandMem *m)
{
	int base = number_of(m->base), index = number_of(m->index);
	u64 addr = m->disp.has_displacement ? (u64)m->disp.value : 0;

	if (m->base == ZYDIS_REGISTER_RIP || m->base == ZYDIS_REGISTER_EIP)
		addr += diff_native_rip(c) + c->len;
	if (base >= 0)
		addr += c->in.gpr[base] & address_mask(c);
	if (m->index == ZYDIS_REGISTER_AL)
		addr += (u8)c->in.gpr[0];
	else if (index >= 0)
		addr += (c->in.gpr[index] & address_mask(c)) * m->scale;
	return addr & address_mask(c);
}

/* Mostly inside a page; sometimes across the border, read-only, half or wholly unmapped. */
static u64 random_target(unsigned int bytes, bool align16)
{
	u64 page = diff_below(2) * PAGE_SIZE, off = diff_below(PAGE_SIZE - 64);

	switch (diff_below(32)) {
	case 0:
		return DIFF_SCRATCH + PAGE_SIZE - 1 - diff_below(bytes + 1);
	case 1:
		return DIFF_SCRATCH + 2 * PAGE_SIZE - 1 - diff_below(bytes + 1);
	case 2:
		return DIFF_SCRATCH + 2 * PAGE_SIZE + off;
	case 3:
		return DIFF_SCRATCH + 3 * PAGE_SIZE - 8 + diff_below(16);
	case 4:
		return DIFF_SCRATCH - 8 + diff_below(16);
	default:
		if (align16 && !one_in(16))
			off &= ~15u;
		return DIFF_SCRATCH + page + off;
	}
}

/* Give register @n the value whose part inside the address size is @value. */
static void set_address_register(struct diff_case *c, int n, u64 value)
{
	u64 mask = address_mask(c);

	c->in.gpr[n] = (c->in.gpr[n] & ~mask) | (value & mask);
	if (c->mode32)
		c->in.gpr[n] = (u32)c->in.gpr[n];
}

/* Patch the displacement so that an operand without registers points at @target. */
static void patch_displacement(struct diff_case *c, ZydisDecodedOperandMem *m, u64 target)
{
	unsigned int bytes = c->insn.raw.disp.size / 8;
	u64 value = target;

	if (m->base == ZYDIS_REGISTER_RIP || m->base == ZYDIS_REGISTER_EIP)
		value = target - (diff_native_rip(c) + c->len);
	memcpy(c->bytes + c->insn.raw.disp.offset, &value, bytes);
	m->disp.value = bytes == 8 ? (s64)value : bytes == 4 ? (s32)value : (s16)value;
	c->insn.raw.disp.value = m->disp.value;
}

static void aim(struct diff_case *c, ZydisDecodedOperandMem *m, u64 target)
{
	int base = number_of(m->base), index = number_of(m->index);
	u64 rest = target - (m->disp.has_displacement ? (u64)m->disp.value : 0);

	if (base < 0 && index < 0)
		patch_displacement(c, m, target);
	else if (m->index == ZYDIS_REGISTER_AL)
		set_address_register(c, base, target - (u8)c->in.gpr[0]);
	else if (base < 0)
		set_address_register(c, index, rest / m->scale);
	else if (base == index)
		set_address_register(c, base, rest / (m->scale + 1u));
	else if (index < 0)
		set_address_register(c, base, rest);
	else
		set_address_register(c, base,
				     rest - (c->in.gpr[index] & address_mask(c)) * m->scale);
}

/* A register that moves the address of a bit string: keep it near. */
static void tame_bit_offset(struct diff_case *c)
{
	int n;

	if (!(c->tmpl->flags & DIFF_BITSTRING) ||
	    c->operands[1].type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    c->operands[0].type != ZYDIS_OPERAND_TYPE_MEMORY)
		return;
	n = ZydisRegisterGetId(c->operands[1].reg.value);
	c->in.gpr[n] = (u64)(s64)((int)diff_below(16384) - 8192);
	if (c->mode32)
		c->in.gpr[n] = (u32)c->in.gpr[n];
}

static s64 bit_offset_bytes(const struct diff_case *c)
{
	u64 value;

	if (!(c->tmpl->flags & DIFF_BITSTRING) ||
	    c->operands[1].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return 0;
	value = c->in.gpr[ZydisRegisterGetId(c->operands[1].reg.value)];
	switch (c->operands[1].size) {
	case 16:
		return (s16)value >> 3;
	case 32:
		return (s32)value >> 3;
	default:
		return (s64)value >> 3;
	}
}

static bool is_harmless(u64 addr)
{
	return addr - (DIFF_SCRATCH - DIFF_GUARD / 2) < DIFF_GUARD + DIFF_SCRATCH_PAGES * PAGE_SIZE;
}

/* Nothing outside the scratch pages and the guards may be touched natively. */
static bool accesses_confined(const struct diff_case *c)
{
	if (c->insn.mnemonic == ZYDIS_MNEMONIC_LEA)
		return true;
	for (unsigned int i = 0; i < c->insn.operand_count; i++) {
		const ZydisDecodedOperand *o = &c->operands[i];
		u64 addr;

		if (o->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		addr = effective_address(c, &o->mem);
		if (!is_harmless(addr) ||
		    (i == 0 && !is_harmless((addr + (u64)bit_offset_bytes(c)) & address_mask(c))))
			return false;
	}
	return true;
}

static void random_registers(struct diff_case *c)
{
	u64 flags = diff_random();

	for (unsigned int i = 0; i < 16; i++) {
		c->in.gpr[i] = diff_random_value();
		if (c->mode32)
			c->in.gpr[i] = i < 8 ? (u32)c->in.gpr[i] : 0;
	}
	c->in.rflags = flags & (X86_EFLAGS_ARITH | X86_EFLAGS_DF);
	/* A quotient that fits needs help. */
	if (one_in(2)) {
		c->in.gpr[X86_RDX] = (u64) - (s64)(flags >> 63);
		if (c->mode32)
			c->in.gpr[X86_RDX] = (u32)c->in.gpr[X86_RDX];
	}
}

/* Aim all operands; the explicit one last, it decides. */
static void aim_operands(struct diff_case *c)
{
	bool align16 = c->tmpl->flags & DIFF_ALIGN16;

	if (c->tmpl->flags & DIFF_STACK) {
		c->in.gpr[X86_RSP] = random_target(8, false);
		c->in.gpr[X86_RBP] = random_target(8, false);
	}
	if (c->tmpl->flags & DIFF_REP)
		set_address_register(c, X86_RCX, diff_below(one_in(8) ? 300 : 12));
	tame_bit_offset(c);
	for (unsigned int i = c->insn.operand_count; i-- > 0;) {
		ZydisDecodedOperand *o = &c->operands[i];
		u64 target = random_target(o->size / 8, align16);

		if (o->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		if (c->tmpl->flags & DIFF_STACK && o->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN)
			continue;
		aim(c, &o->mem, target);
		c->patch_addr = effective_address(c, &o->mem);
	}
}

static void random_patch(struct diff_case *c)
{
	for (unsigned int i = 0; i < sizeof(c->patch); i += 8) {
		u64 value = diff_random_value();

		memcpy(c->patch + i, &value, 8);
	}
	/* What CMPXCHG compares with is sometimes there. */
	if (one_in(2)) {
		memcpy(c->patch, &c->in.gpr[X86_RAX], 8);
		if (c->insn.mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B)
			memcpy(c->patch + 4, &c->in.gpr[X86_RDX], 4);
		else
			memcpy(c->patch + 8, &c->in.gpr[X86_RDX], 8);
	}
}

static void random_fx(struct diff_case *c)
{
	for (unsigned int i = 0; i < sizeof(c->in.fx.b); i += 8) {
		u64 value = diff_random_value();

		memcpy(c->in.fx.b + i, &value, 8);
	}
	memset(c->in.fx.b, 0, 32); /* empty x87, default control words */
	c->in.fx.b[0] = 0x7f;
	c->in.fx.b[1] = 0x03;
	c->in.fx.b[24] = 0x80;
	c->in.fx.b[25] = 0x1f;
	memset(c->in.fx.b + 512, 0, 64); /* all three components are there */
	c->in.fx.b[512] = 7;
}

bool diff_generate(struct diff_case *c, bool allow32)
{
	c->mode32 = allow32 && one_in(4);
	c->patch_addr = 0;
	if (one_in(2)) {
		if (!from_template(c))
			return false;
	} else {
		random_bytes(c);
	}
	if (!decode(c) || !operands_acceptable(c) || (c->mode32 && c->family->fx))
		return false;
	random_registers(c);
	aim_operands(c);
	if (c->family->fx)
		random_fx(c);
	if (!accesses_confined(c))
		return false;
	random_patch(c);
	return !c->family->adjust || c->family->adjust(c);
}

u32 diff_defined_flags(const struct diff_case *c)
{
	u32 undefined = c->family->undefined_flags ? c->family->undefined_flags(c)
			: c->insn.cpu_flags	   ? c->insn.cpu_flags->undefined
						   : 0;

	return (X86_EFLAGS_ARITH | X86_EFLAGS_DF) & ~undefined;
}

void diff_generate_init(void)
{
	ZydisDecoderInit(&decoder64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	ZydisDecoderInit(&decoder32, ZYDIS_MACHINE_MODE_LONG_COMPAT_32, ZYDIS_STACK_WIDTH_32);
	for (const struct diff_family *const *f = diff_families; *f; f++) {
		for (unsigned int i = 0; i < (*f)->nr_templates && nr_drawn < MAX_TEMPLATES; i++) {
			const struct diff_template *t = &(*f)->templates[i];

			drawn[nr_drawn].family = *f;
			drawn[nr_drawn++].tmpl = t;
			by_mnemonic[t->mnemonic][(*f)->fx] = drawn[nr_drawn - 1];
		}
	}
}
