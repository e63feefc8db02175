/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bit tests and bit fiddling: BT, BTS, BTR, BTC, BSF, BSR, TZCNT, LZCNT,
 * POPCNT, BMI1, BMI2 (but its shifts and MULX) and CRC32.
 */
#include "vcpu/x86/exec_int.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* ---- BT, BTS, BTR, BTC: only CF changes ---------------------------------------------------- */

/* OF, SF, AF and PF are undefined and stay; ZF is defined to stay. */
ALWAYS_INLINE void set_cf(struct x86_cpu *cpu, u64 cf)
{
	u32 of = 0;

	if (x86_cc_kind(cpu) <= X86_CC_LOGIC)
		of = (u32)cpu->cc_src & X86_EFLAGS_OF;
	x86_cc_replace_cf_of(cpu, of | (cf & 1 ? X86_EFLAGS_CF : 0));
}

#define BIT_bt(v, mask)	 (v)
#define BIT_bts(v, mask) ((v) | (mask))
#define BIT_btr(v, mask) ((v) & ~(mask))
#define BIT_btc(v, mask) ((v) ^ (mask))

/*
 * With a register as bit offset the memory operand is a bit string that
 * reaches far to both sides of its address: move the address by whole
 * operands, inside the address size (SDM vol. 1, 3.1.1.9).
 */
static u64 bit_string_address(struct x86_cpu *cpu, const struct x86_op *op, s64 offset,
			      unsigned int bytes, bool write)
{
	u64 off = x86_offset(cpu, op) + (u64)(offset >> (3 + x86_size_index(bytes))) * bytes;

	if (op->flags & (X86_OP_ADDR32 | X86_OP_ADDR16))
		off = op->flags & X86_OP_ADDR32 ? (u32)off : (u16)off;
	cpu->op = op;
	if (op->flags & X86_OP_LEGACY_SEG)
		return x86_legacy_linear(cpu, op->seg, off, bytes, write);
	return cpu->seg_base[op->seg] + off;
}

/* Bit number from the second operand and address of the first, by form. */
#define BIT_OFFSET_mr(bits)	    ((s64)X86_REG(cpu, op->src, const s##bits))
#define BIT_OFFSET_mi(bits)	    ((s64)op->imm)
#define BIT_ADDRESS_mr(bits, write) bit_string_address(cpu, op, n, (bits) / 8, write)
#define BIT_ADDRESS_mi(bits, write) x86_ea(cpu, op, (bits) / 8, write)

#define BIT_REG(name, form, read, bits)                                       \
	X86_HANDLER(name##_##form##bits)                                      \
	{                                                                     \
		read(bits, n);                                                \
		u##bits a = X86_REG(cpu, op->dst, const u##bits);             \
		u##bits mask = (u##bits)((u##bits)1 << (n & ((bits)-1)));     \
		if (IS_WRITE_##name)                                          \
			X86_SET_REG##bits(cpu, op->dst, BIT_##name(a, mask)); \
		set_cf(cpu, (a & mask) != 0);                                 \
		X86_NEXT(cpu, op);                                            \
	}

#define IS_WRITE_bt  0
#define IS_WRITE_bts 1
#define IS_WRITE_btr 1
#define IS_WRITE_btc 1

#define BIT_TEST_MEM(form, bits)                                                  \
	X86_HANDLER(bt_##form##bits)                                              \
	{                                                                         \
		s64 n = BIT_OFFSET_##form(bits);                                  \
		u##bits a = x86_load##bits(cpu, BIT_ADDRESS_##form(bits, false)); \
		set_cf(cpu, (a >> (n & ((bits)-1))) & 1);                         \
		X86_NEXT(cpu, op);                                                \
	}

/*
 * Plain and locked take the same way: a compare-and-exchange costs little
 * beside the rest, and only programs that race could tell.
 */
#define BIT_CHANGE_MEM(name, form, bits)                                                  \
	X86_HANDLER(name##_##form##bits)                                                  \
	{                                                                                 \
		s64 n = BIT_OFFSET_##form(bits);                                          \
		u##bits mask = (u##bits)((u##bits)1 << (n & ((bits)-1)));                 \
		u64 addr = BIT_ADDRESS_##form(bits, true);                                \
		struct x86_atomic at;                                                     \
		u##bits a = x86_atomic_begin_at##bits(cpu, addr, &at);                    \
		while (!x86_atomic_end##bits(cpu, &at, &a, (u##bits)BIT_##name(a, mask))) \
			;                                                                 \
		set_cf(cpu, (a & mask) != 0);                                             \
		X86_NEXT(cpu, op);                                                        \
	}

#define FOR_WORDS(macro, ...) macro(__VA_ARGS__, 16) macro(__VA_ARGS__, 32) macro(__VA_ARGS__, 64)

struct bit_ops {
	x86_op_fn *fn[X86_NR_FORMS][4];
	bool lockable;
};

static x86_op_fn *select_bit_test(struct x86_decode *d, const struct bit_ops *ops)
{
	int form = x86_dec_binary(d);

	if (form < 0 || form == X86_FORM_RM)
		return NULL;
	if (form == X86_FORM_MI) /* the offset stays inside the operand */
		d->op->imm &= d->op->size * 8 - 1;
	if (d->op->flags & X86_OP_LOCK &&
	    (!ops->lockable || form == X86_FORM_RR || form == X86_FORM_RI))
		return NULL;
	return ops->fn[form][x86_size_index(d->op->size)];
}

#define DEFINE_BIT_SELECT(name, can_lock)                                    \
	static x86_op_fn *select_##name(struct x86_decode *d)                \
	{                                                                    \
		static const struct bit_ops ops = {{X86_SIZES_W(name##_rr),  \
						    X86_SIZES_W(name##_ri),  \
						    {NULL},                  \
						    X86_SIZES_W(name##_mr),  \
						    X86_SIZES_W(name##_mi)}, \
						   can_lock};                \
		return select_bit_test(d, &ops);                             \
	}

#define DEFINE_BIT_REG(name)                      \
	FOR_WORDS(BIT_REG, name, rr, X86_READ_RR) \
	FOR_WORDS(BIT_REG, name, ri, X86_READ_RI)

#define DEFINE_BIT_CHANGE(name)             \
	DEFINE_BIT_REG(name)                \
	FOR_WORDS(BIT_CHANGE_MEM, name, mr) \
	FOR_WORDS(BIT_CHANGE_MEM, name, mi) \
	DEFINE_BIT_SELECT(name, true)

DEFINE_BIT_REG(bt)
FOR_WORDS(BIT_TEST_MEM, mr)
FOR_WORDS(BIT_TEST_MEM, mi)
DEFINE_BIT_SELECT(bt, false)
DEFINE_BIT_CHANGE(bts)
DEFINE_BIT_CHANGE(btr)
DEFINE_BIT_CHANGE(btc)

/* ---- one source, one destination, flags from the result or the source ------------------------ */

/* BSF and BSR of 0 leave the destination alone, as all processors do, and set ZF of the source. */
#define SCAN(name, how, form, read, bits)                              \
	X86_HANDLER(name##_##form##bits)                               \
	{                                                              \
		read(bits, v);                                         \
		if (v)                                                 \
			X86_SET_REG##bits(cpu, op->dst, how(v, bits)); \
		x86_cc_result(cpu, X86_SI##bits, (s64)(s##bits)v, 0);  \
		X86_NEXT(cpu, op);                                     \
	}

/* TZCNT, LZCNT: CF says that the source was 0, ZF that the result is. */
#define COUNT(name, how, form, read, bits)                                  \
	X86_HANDLER(name##_##form##bits)                                    \
	{                                                                   \
		read(bits, v);                                              \
		u##bits r = (u##bits)(v ? how(v, bits) : (bits));           \
		X86_SET_REG##bits(cpu, op->dst, r);                         \
		x86_cc_result(cpu, X86_SI##bits, r, v ? 0 : X86_EFLAGS_CF); \
		X86_NEXT(cpu, op);                                          \
	}

/* POPCNT: ZF of the source, the others clear, PF too. */
#define POPCNT(form, read, bits)                                          \
	X86_HANDLER(popcnt_##form##bits)                                  \
	{                                                                 \
		read(bits, v);                                            \
		X86_SET_REG##bits(cpu, op->dst, __builtin_popcountll(v)); \
		x86_flags_set(cpu, v ? 0 : X86_EFLAGS_ZF);                \
		X86_NEXT(cpu, op);                                        \
	}

#define FROM_BELOW(v, bits)   __builtin_ctzll(v)
#define FROM_ABOVE(v, bits)   (__builtin_clzll(v) - (64 - (bits)))
#define INDEX_OF_TOP(v, bits) (63 - __builtin_clzll(v))

#define BOTH_FORMS(macro, ...)                         \
	FOR_WORDS(macro, __VA_ARGS__, rr, X86_READ_RR) \
	FOR_WORDS(macro, __VA_ARGS__, rm, X86_READ_RM)

struct scan_ops {
	x86_op_fn *fn[2][4];
};

static x86_op_fn *select_scan(struct x86_decode *d, const struct scan_ops *ops)
{
	int form = x86_dec_binary(d);

	if (form != X86_FORM_RR && form != X86_FORM_RM)
		return NULL;
	return ops->fn[form == X86_FORM_RM][x86_size_index(d->op->size)];
}

#define DEFINE_SCAN_SELECT(name)                                           \
	static x86_op_fn *select_##name(struct x86_decode *d)              \
	{                                                                  \
		static const struct scan_ops ops = {                       \
			{X86_SIZES_W(name##_rr), X86_SIZES_W(name##_rm)}}; \
		return select_scan(d, &ops);                               \
	}

BOTH_FORMS(SCAN, bsf, FROM_BELOW)
BOTH_FORMS(SCAN, bsr, INDEX_OF_TOP)
BOTH_FORMS(COUNT, tzcnt, FROM_BELOW)
BOTH_FORMS(COUNT, lzcnt, FROM_ABOVE)
FOR_WORDS(POPCNT, rr, X86_READ_RR)
FOR_WORDS(POPCNT, rm, X86_READ_RM)
DEFINE_SCAN_SELECT(bsf)
DEFINE_SCAN_SELECT(bsr)
DEFINE_SCAN_SELECT(tzcnt)
DEFINE_SCAN_SELECT(lzcnt)
DEFINE_SCAN_SELECT(popcnt)

/* ---- BMI1 and BMI2 ----------------------------------------------------------- */

/*
 * A computation from v (the register or memory source) and w (the other
 * register, whose offset is in aux) to r, 32 and 64 bits.
 */
#define CALC_blsi(bits)	   u##bits r = v & (u##bits) - v
#define FLAGS_blsi(bits)   (v ? X86_EFLAGS_CF : 0)
#define CALC_blsmsk(bits)  u##bits r = v ^ (v - 1)
#define FLAGS_blsmsk(bits) (v ? 0 : X86_EFLAGS_CF)
#define CALC_blsr(bits)	   u##bits r = v & (v - 1)
#define FLAGS_blsr(bits)   (v ? 0 : X86_EFLAGS_CF)
#define CALC_andn(bits)	   u##bits r = ~w & v
#define FLAGS_andn(bits)   0
#define CALC_bzhi(bits)         \
	unsigned int n = (u8)w; \
	u##bits r = n < (bits) ? v & (((u##bits)1 << n) - 1) : v
#define FLAGS_bzhi(bits)  (n < (bits) ? 0 : X86_EFLAGS_CF)
#define CALC_bextr(bits)  u##bits r = (u##bits)bit_field(v, (u32)w)
#define FLAGS_bextr(bits) 0

/* Start in bits 7..0 of @control, length in bits 15..8. */
static u64 bit_field(u64 v, u32 control)
{
	unsigned int start = (u8)control, len = (u8)(control >> 8);

	if (start > 63)
		return 0;
	v >>= start;
	return len > 63 ? v : v & ((1ull << len) - 1);
}

#define BMI_FLAGS(name, form, read, bits)                                 \
	X86_HANDLER(name##_##form##bits)                                  \
	{                                                                 \
		read(bits, v);                                            \
		u##bits w = X86_REG(cpu, op->aux, const u##bits);         \
		CALC_##name(bits);                                        \
		u32 flags = FLAGS_##name(bits);                           \
		(void)w;                                                  \
		X86_SET_REG##bits(cpu, op->dst, r);                       \
		x86_cc_result(cpu, X86_SI##bits, (s64)(s##bits)r, flags); \
		X86_NEXT(cpu, op);                                        \
	}

/* PDEP and PEXT: w is the data, v the mask; one step per bit set in the mask. */
static u64 deposit(u64 data, u64 mask)
{
	u64 result = 0;

	for (; mask; mask &= mask - 1, data >>= 1)
		if (data & 1)
			result |= mask & -mask;
	return result;
}

static u64 extract(u64 data, u64 mask)
{
	u64 result = 0;

	for (unsigned int n = 0; mask; mask &= mask - 1, n++)
		if (data & mask & -mask)
			result |= 1ull << n;
	return result;
}

#define BMI_PLAIN(name, how, form, read, bits)                                                 \
	X86_HANDLER(name##_##form##bits)                                                       \
	{                                                                                      \
		read(bits, v);                                                                 \
		X86_SET_REG##bits(cpu, op->dst, how(X86_REG(cpu, op->aux, const u##bits), v)); \
		X86_NEXT(cpu, op);                                                             \
	}

#define BMI_ALL(macro, ...)                                                             \
	macro(__VA_ARGS__, rr, X86_READ_RR, 32) macro(__VA_ARGS__, rr, X86_READ_RR, 64) \
		macro(__VA_ARGS__, rm, X86_READ_RM, 32) macro(__VA_ARGS__, rm, X86_READ_RM, 64)

/* Operand numbers of the source (register or memory) and of the other register, 0 if none. */
static x86_op_fn *select_bmi(struct x86_decode *d, x86_op_fn *const ops[2][2], unsigned int source,
			     unsigned int other)
{
	bool mem = x86_dec_is_mem(d, source);

	d->op->size = x86_dec_bytes(d, 0);
	d->op->dst = x86_dec_gpr(d, 0);
	d->op->aux = other ? x86_dec_gpr(d, other) : X86_REG_ZERO * 8;
	if (mem)
		x86_dec_mem(d, source);
	else
		d->op->src = x86_dec_gpr(d, source);
	return ops[mem][d->op->size == 8];
}

#define DEFINE_BMI_SELECT(name, source, other)                                    \
	static x86_op_fn *select_##name(struct x86_decode *d)                     \
	{                                                                         \
		static x86_op_fn *const ops[2][2] = {{name##_rr32, name##_rr64},  \
						     {name##_rm32, name##_rm64}}; \
		return select_bmi(d, ops, source, other);                         \
	}

BMI_ALL(BMI_FLAGS, blsi)
BMI_ALL(BMI_FLAGS, blsmsk)
BMI_ALL(BMI_FLAGS, blsr)
BMI_ALL(BMI_FLAGS, andn)
BMI_ALL(BMI_FLAGS, bzhi)
BMI_ALL(BMI_FLAGS, bextr)
BMI_ALL(BMI_PLAIN, pdep, deposit)
BMI_ALL(BMI_PLAIN, pext, extract)
DEFINE_BMI_SELECT(blsi, 1, 0)
DEFINE_BMI_SELECT(blsmsk, 1, 0)
DEFINE_BMI_SELECT(blsr, 1, 0)
DEFINE_BMI_SELECT(andn, 2, 1)
DEFINE_BMI_SELECT(bzhi, 1, 2)
DEFINE_BMI_SELECT(bextr, 1, 2)
DEFINE_BMI_SELECT(pdep, 2, 1)
DEFINE_BMI_SELECT(pext, 2, 1)

/* ---- CRC32 (the Castagnoli polynomial, reflected) ---------------------------- */

static u32 crc32c(u32 crc, u64 data, unsigned int bits)
{
	for (unsigned int i = 0; i < bits; i += 8) {
		crc ^= (u8)(data >> i);
		for (unsigned int k = 0; k < 8; k++)
			crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}

/* The destination is a 32-bit value, zero-extended with REX.W too. */
#define CRC32(form, read, bits)                                                           \
	X86_HANDLER(crc32_##form##bits)                                                   \
	{                                                                                 \
		read(bits, v);                                                            \
		X86_SET_REG32(cpu, op->dst, crc32c(X86_REG(cpu, op->dst, u32), v, bits)); \
		X86_NEXT(cpu, op);                                                        \
	}

CRC32(rr, X86_READ_RR, 8)
CRC32(rm, X86_READ_RM, 8)
FOR_WORDS(CRC32, rr, X86_READ_RR)
FOR_WORDS(CRC32, rm, X86_READ_RM)

static x86_op_fn *select_crc32(struct x86_decode *d)
{
	static x86_op_fn *const ops[2][4] = {X86_SIZES(crc32_rr), X86_SIZES(crc32_rm)};
	int form = x86_dec_binary(d);

	if (form != X86_FORM_RR && form != X86_FORM_RM)
		return NULL;
	d->op->size = x86_dec_bytes(d, 1);
	return ops[form == X86_FORM_RM][x86_size_index(d->op->size)];
}

const struct x86_family_entry x86_family_bit[] = {
	{ZYDIS_MNEMONIC_BT, select_bt},		{ZYDIS_MNEMONIC_BTS, select_bts},
	{ZYDIS_MNEMONIC_BTR, select_btr},	{ZYDIS_MNEMONIC_BTC, select_btc},
	{ZYDIS_MNEMONIC_BSF, select_bsf},	{ZYDIS_MNEMONIC_BSR, select_bsr},
	{ZYDIS_MNEMONIC_TZCNT, select_tzcnt},	{ZYDIS_MNEMONIC_LZCNT, select_lzcnt},
	{ZYDIS_MNEMONIC_POPCNT, select_popcnt}, {ZYDIS_MNEMONIC_BLSI, select_blsi},
	{ZYDIS_MNEMONIC_BLSMSK, select_blsmsk}, {ZYDIS_MNEMONIC_BLSR, select_blsr},
	{ZYDIS_MNEMONIC_ANDN, select_andn},	{ZYDIS_MNEMONIC_BZHI, select_bzhi},
	{ZYDIS_MNEMONIC_BEXTR, select_bextr},	{ZYDIS_MNEMONIC_PDEP, select_pdep},
	{ZYDIS_MNEMONIC_PEXT, select_pext},	{ZYDIS_MNEMONIC_CRC32, select_crc32},
	{ZYDIS_MNEMONIC_INVALID, NULL},
};
