/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SSE4.2 string comparison: PCMPISTRI, PCMPISTRM, PCMPESTRI, PCMPESTRM
 * (SDM vol. 2, 4.1).  The memory operand needs no alignment.
 */
#include "vcpu/x86/exec_sse.h"
#include "vcpu/x86/flags.h"

/* The immediate. */
#define WORDS(imm)	 ((imm)&1)
#define SIGNED(imm)	 ((imm) >> 1 & 1)
#define AGGREGATION(imm) ((imm) >> 2 & 3)
#define NEGATE(imm)	 ((imm) >> 4 & 1)
#define VALID_ONLY(imm)	 ((imm) >> 5 & 1) /* negate results of valid elements only */
#define LAST(imm)	 ((imm) >> 6 & 1) /* index: the highest one; mask: whole elements */

enum aggregation { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

/* One operand: its elements widened and how many of them are valid. */
struct string {
	s32 element[16];
	unsigned int valid;
};

static void widen(struct string *str, const union vec *v, u32 imm, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		if (WORDS(imm))
			str->element[i] = SIGNED(imm) ? v->sw[i] : v->uw[i];
		else
			str->element[i] = SIGNED(imm) ? v->sb[i] : v->ub[i];
	}
}

static void until_null(struct string *str, unsigned int count)
{
	for (str->valid = 0; str->valid < count; str->valid++)
		if (!str->element[str->valid])
			return;
}

/* Result of element @j of @b in each aggregation. */

static bool equals_any(const struct string *a, const struct string *b, unsigned int j)
{
	for (unsigned int i = 0; i < a->valid; i++)
		if (j < b->valid && a->element[i] == b->element[j])
			return true;
	return false;
}

static bool in_ranges(const struct string *a, const struct string *b, unsigned int j)
{
	for (unsigned int i = 0; i + 1 < a->valid; i += 2)
		if (j < b->valid && a->element[i] <= b->element[j] &&
		    b->element[j] <= a->element[i + 1])
			return true;
	return false;
}

static bool equals_each(const struct string *a, const struct string *b, unsigned int j)
{
	if (j >= a->valid || j >= b->valid)
		return j >= a->valid && j >= b->valid;
	return a->element[j] == b->element[j];
}

/* Does @a begin at element @j, as far as @b's register reaches? */
static bool begins_at(const struct string *a, const struct string *b, unsigned int j,
		      unsigned int count)
{
	for (unsigned int i = 0; i < a->valid && i + j < count; i++)
		if (i + j >= b->valid || a->element[i] != b->element[i + j])
			return false;
	return true;
}

static u32 aggregate(const struct string *a, const struct string *b, u32 imm, unsigned int count)
{
	u32 result = 0;

	for (unsigned int j = 0; j < count; j++) {
		bool hit = false;

		switch ((enum aggregation)AGGREGATION(imm)) {
		case EQUAL_ANY:
			hit = equals_any(a, b, j);
			break;
		case RANGES:
			hit = in_ranges(a, b, j);
			break;
		case EQUAL_EACH:
			hit = equals_each(a, b, j);
			break;
		case EQUAL_ORDERED:
			hit = begins_at(a, b, j, count);
			break;
		}
		result |= (u32)hit << j;
	}
	return result;
}

static u32 polarise(u32 result, const struct string *b, u32 imm, unsigned int count)
{
	if (!NEGATE(imm))
		return result;
	return result ^ ((1u << (VALID_ONLY(imm) ? b->valid : count)) - 1);
}

/* The whole comparison but for where the result goes; sets the flags. */
static u32 compare(struct x86_cpu *cpu, const struct string *a, const struct string *b, u32 imm,
		   unsigned int count)
{
	u32 result = polarise(aggregate(a, b, imm, count), b, imm, count);

	x86_flags_set(cpu, (result ? X86_EFLAGS_CF : 0) | (b->valid < count ? X86_EFLAGS_ZF : 0) |
				   (a->valid < count ? X86_EFLAGS_SF : 0) |
				   (result & 1 ? X86_EFLAGS_OF : 0));
	return result;
}

static u32 compare_implicit(struct x86_cpu *cpu, const struct x86_op *op, const union vec *s)
{
	u32 imm = (u32)op->imm;
	unsigned int count = WORDS(imm) ? 8 : 16;
	struct string a, b;

	widen(&a, x86_vec(cpu, op->dst), imm, count);
	widen(&b, s, imm, count);
	until_null(&a, count);
	until_null(&b, count);
	return compare(cpu, &a, &b, imm, count);
}

/* Lengths in RAX and RDX: absolute values, no more than fit (op->aux: 64-bit registers). */
static unsigned int explicit_length(u64 value, bool wide, unsigned int count)
{
	s64 v = wide ? (s64)value : (s32)value;
	u64 magnitude = v < 0 ? 0 - (u64)v : (u64)v;

	return magnitude < count ? (unsigned int)magnitude : count;
}

static u32 compare_explicit(struct x86_cpu *cpu, const struct x86_op *op, const union vec *s)
{
	u32 imm = (u32)op->imm;
	unsigned int count = WORDS(imm) ? 8 : 16;
	struct string a, b;

	widen(&a, x86_vec(cpu, op->dst), imm, count);
	widen(&b, s, imm, count);
	a.valid = explicit_length(cpu->regs[X86_RAX], op->aux, count);
	b.valid = explicit_length(cpu->regs[X86_RDX], op->aux, count);
	return compare(cpu, &a, &b, imm, count);
}

/* Index form: to ECX. */
static void put_index(struct x86_cpu *cpu, u32 imm, u32 result)
{
	u32 index = WORDS(imm) ? 8 : 16;

	if (result)
		index = LAST(imm) ? log2_u64(result) : (u32)__builtin_ctz(result);
	cpu->regs[X86_RCX] = index;
}

/* Mask form: to XMM0, as bits or as whole elements. */
static union vec mask_of(u32 imm, u32 result)
{
	union vec out = {.uq = {result, 0}};

	if (!LAST(imm))
		return out;
	for (unsigned int i = 0; i < 16; i++)
		out.ub[i] = result >> (WORDS(imm) ? i / 2 : i) & 1 ? 0xff : 0;
	return out;
}

static void put_mask(struct x86_cpu *cpu, u32 imm, u32 result)
{
	*x86_vec(cpu, 0) = mask_of(imm, result);
}

static void put_vex_mask(struct x86_cpu *cpu, u32 imm, u32 result)
{
	x86_put_xmm(cpu, 0, mask_of(imm, result));
}

#define STRING_HANDLERS(name, lengths, put)                                                 \
	static const struct x86_op *name##_rr(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                   \
		put(cpu, (u32)op->imm, lengths(cpu, op, x86_vec(cpu, op->src)));            \
		X86_NEXT(cpu, op);                                                          \
	}                                                                                   \
	static const struct x86_op *name##_rm(struct x86_cpu *cpu, const struct x86_op *op) \
	{                                                                                   \
		union vec s = x86_src128(cpu, op);                                          \
		put(cpu, (u32)op->imm, lengths(cpu, op, &s));                               \
		X86_NEXT(cpu, op);                                                          \
	}

STRING_HANDLERS(pcmpistri, compare_implicit, put_index)
STRING_HANDLERS(pcmpestri, compare_explicit, put_index)
STRING_HANDLERS(pcmpistrm, compare_implicit, put_mask)
STRING_HANDLERS(pcmpestrm, compare_explicit, put_mask)
STRING_HANDLERS(vpcmpistrm, compare_implicit, put_vex_mask)
STRING_HANDLERS(vpcmpestrm, compare_explicit, put_vex_mask)

/* W: the lengths are 64-bit registers. */
static u8 wide_lengths(const struct x86_decode *d)
{
	if (x86_dec_is_vex(d))
		return d->insn->raw.vex.W;
	return (d->insn->attributes & ZYDIS_ATTRIB_HAS_REX) && d->insn->raw.rex.W;
}

#define STRING_COMPARE(name, vex)                                                   \
	x86_op_fn *x86_select_##name(struct x86_decode *d)                          \
	{                                                                           \
		d->op->aux = wide_lengths(d);                                       \
		return x86_vec_select(d, name##_rr, name##_rm, vex##_rr, vex##_rm); \
	}

STRING_COMPARE(pcmpistri, pcmpistri)
STRING_COMPARE(pcmpestri, pcmpestri)
STRING_COMPARE(pcmpistrm, vpcmpistrm)
STRING_COMPARE(pcmpestrm, vpcmpestrm)
