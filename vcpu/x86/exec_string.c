/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MOVS, STOS, LODS, CMPS, SCAS, alone and repeated (SDM vol. 1, 7.3.9.1 and
 * vol. 2, "REP").
 *
 * A repeated instruction commits its registers after each element, or after
 * each run of elements inside one page, so that a fault or interruption finds
 * it exactly between two iterations; its RIP is then that of the instruction
 * itself.  Between runs it goes back to the run loop when somebody wants this
 * CPU, or when it has done enough to make looking around worth while.
 *
 * Runs: MOVS and STOS upwards are done by memcpy and the like on host memory.
 * A host fault inside a run restarts the run, so source and destination of one
 * run never overlap.  Memory that the guest sees twice through two slots of
 * different host mappings is not noticed as overlapping.
 */
#include <string.h>

#include "base/atomics.h"
#include "vcpu/x86/core.h"
#include "vcpu/x86/exec_int.h"

/* Bytes, and elements one by one, until the run loop gets its turn. */
#define RUN_BUDGET     (256u << 10)
#define ELEMENT_BUDGET 4096u

/* ---- index registers and addresses ----------------------------------------------------------- */

static inline u64 address_mask(const struct x86_op *op)
{
	if (likely(!(op->flags & (X86_OP_ADDR32 | X86_OP_ADDR16))))
		return ~0ull;
	return op->flags & X86_OP_ADDR32 ? 0xffffffffull : 0xffffull;
}

static inline u64 masked(const struct x86_cpu *cpu, const struct x86_op *op, enum x86_reg reg)
{
	return cpu->regs[reg] & address_mask(op);
}

/* Add @delta in the address size; 32-bit results are zero-extended. */
static inline void advance(struct x86_cpu *cpu, const struct x86_op *op, enum x86_reg reg,
			   s64 delta)
{
	u64 value = cpu->regs[reg] + (u64)delta;

	if (op->flags & X86_OP_ADDR16)
		X86_SET_REG16(cpu, reg * 8, value);
	else if (op->flags & X86_OP_ADDR32)
		X86_SET_REG32(cpu, reg * 8, value);
	else
		cpu->regs[reg] = value;
}

static inline s64 step(const struct x86_cpu *cpu, unsigned int bytes)
{
	return cpu->rflags & X86_EFLAGS_DF ? -(s64)bytes : (s64)bytes;
}

static inline u64 source(struct x86_cpu *cpu, const struct x86_op *op, unsigned int bytes)
{
	u64 off = masked(cpu, op, X86_RSI);

	cpu->op = op;
	if (unlikely(op->flags & X86_OP_LEGACY_SEG))
		return x86_legacy_linear(cpu, op->seg, off, bytes, false);
	return cpu->seg_base[op->seg] + off;
}

/* Always in ES, whose base is 0 in 64-bit code. */
static inline u64 destination(struct x86_cpu *cpu, const struct x86_op *op, unsigned int bytes,
			      bool write)
{
	u64 off = masked(cpu, op, X86_RDI);

	cpu->op = op;
	if (unlikely(op->flags & X86_OP_LEGACY_SEG))
		return x86_legacy_linear(cpu, X86_ES, off, bytes, write);
	return off;
}

/* ---- one element ------------------------------------------------------------- */

#define DEFINE_ELEMENTS(bits)                                                                     \
	static inline void movs_element##bits(struct x86_cpu *cpu, const struct x86_op *op)       \
	{                                                                                         \
		u##bits v = x86_load##bits(cpu, source(cpu, op, (bits) / 8));                     \
		s64 delta = step(cpu, (bits) / 8);                                                \
		x86_store##bits(cpu, destination(cpu, op, (bits) / 8, true), v);                  \
		advance(cpu, op, X86_RSI, delta);                                                 \
		advance(cpu, op, X86_RDI, delta);                                                 \
	}                                                                                         \
	static inline void stos_element##bits(struct x86_cpu *cpu, const struct x86_op *op)       \
	{                                                                                         \
		u##bits v = X86_REG(cpu, X86_RAX * 8, const u##bits);                             \
		x86_store##bits(cpu, destination(cpu, op, (bits) / 8, true), v);                  \
		advance(cpu, op, X86_RDI, step(cpu, (bits) / 8));                                 \
	}                                                                                         \
	static inline void lods_element##bits(struct x86_cpu *cpu, const struct x86_op *op)       \
	{                                                                                         \
		u##bits v = x86_load##bits(cpu, source(cpu, op, (bits) / 8));                     \
		X86_SET_REG##bits(cpu, X86_RAX * 8, v);                                           \
		advance(cpu, op, X86_RSI, step(cpu, (bits) / 8));                                 \
	}                                                                                         \
	static inline void compare##bits(struct x86_cpu *cpu, u##bits a, u##bits b)               \
	{                                                                                         \
		x86_cc_record3(cpu, X86_CC(X86_CC_SUB, X86_SI##bits),                             \
			       (s64)(s##bits)(u##bits)(a - b), (s64)(s##bits)b, (s64)(s##bits)a); \
	}                                                                                         \
	static inline void cmps_element##bits(struct x86_cpu *cpu, const struct x86_op *op)       \
	{                                                                                         \
		u##bits a = x86_load##bits(cpu, source(cpu, op, (bits) / 8));                     \
		u##bits b = x86_load##bits(cpu, destination(cpu, op, (bits) / 8, false));         \
		s64 delta = step(cpu, (bits) / 8);                                                \
		compare##bits(cpu, a, b);                                                         \
		advance(cpu, op, X86_RSI, delta);                                                 \
		advance(cpu, op, X86_RDI, delta);                                                 \
	}                                                                                         \
	static inline void scas_element##bits(struct x86_cpu *cpu, const struct x86_op *op)       \
	{                                                                                         \
		u##bits b = x86_load##bits(cpu, destination(cpu, op, (bits) / 8, false));         \
		compare##bits(cpu, X86_REG(cpu, X86_RAX * 8, const u##bits), b);                  \
		advance(cpu, op, X86_RDI, step(cpu, (bits) / 8));                                 \
	}

DEFINE_ELEMENTS(8)
DEFINE_ELEMENTS(16)
DEFINE_ELEMENTS(32)
DEFINE_ELEMENTS(64)

/* ---- runs inside a page ------------------------------------------------------ */

/* As x86_span(), asking the TLB first. */
static unsigned int span(struct x86_cpu *cpu, u64 addr, u64 bytes, bool write, void **ptr)
{
	const struct x86_tlb_entry *e = &cpu->tlb->entry[x86_tlb_index(addr)];
	u64 in_page = PAGE_SIZE - (addr & ~PAGE_MASK);

	if (unlikely(addr - (write ? e->write_tag : e->read_tag) > PAGE_SIZE - 1))
		return x86_span(cpu, addr, bytes, write, ptr);
	*ptr = hva_to_ptr(addr + e->addend);
	return (unsigned int)min_u64(bytes, in_page);
}

/* How many bytes upwards of @off in segment @seg are as good as the first element. */
static u64 segment_room(const struct x86_cpu *cpu, const struct x86_op *op, unsigned int seg,
			u64 off, unsigned int bytes)
{
	const struct x86_segment *s = &cpu->seg[seg];
	u64 room = address_mask(op) - off;

	if (op->flags & X86_OP_LEGACY_SEG) {
		bool expand_down = s->s && (s->type & 0xc) == 0x4;

		if (expand_down || off > s->limit)
			return bytes;
		room = min_u64(room, s->limit - off);
	}
	return room == ~0ull ? room : room + 1;
}

/* Bytes of a run of @count elements that segments and wrapping allow. */
static u64 run_bytes(const struct x86_cpu *cpu, const struct x86_op *op, u64 count, bool has_source)
{
	const unsigned int bytes = op->size;
	u64 room = min_u64(count, PAGE_SIZE) * bytes;

	room = min_u64(room, segment_room(cpu, op, X86_ES, masked(cpu, op, X86_RDI), bytes));
	if (has_source)
		room = min_u64(room,
			       segment_room(cpu, op, op->seg, masked(cpu, op, X86_RSI), bytes));
	return room;
}

/* Elements moved; 0 when the next one has to go by itself (page crossing, devices, overlap). */
static u64 movs_run(struct x86_cpu *cpu, const struct x86_op *op, u64 count)
{
	u64 room, distance, n, src, dst;
	void *from, *to;

	if (cpu->rflags & X86_EFLAGS_DF)
		return 0;
	src = source(cpu, op, op->size);
	dst = destination(cpu, op, op->size, true);
	room = run_bytes(cpu, op, count, true);
	n = span(cpu, src, room, false, &from);
	if (n < op->size)
		return 0;
	n = span(cpu, dst, n, true, &to);
	distance = (u64)((uintptr_t)to > (uintptr_t)from ? (uintptr_t)to - (uintptr_t)from
							 : (uintptr_t)from - (uintptr_t)to);
	n = min_u64(n, distance) / op->size;
	if (n == 0)
		return 0;
	memcpy(to, from, n * op->size);
	barrier_compiler();
	advance(cpu, op, X86_RSI, (s64)(n * op->size));
	advance(cpu, op, X86_RDI, (s64)(n * op->size));
	return n;
}

static void fill(void *ptr, u64 value, unsigned int bytes, u64 n)
{
	char *p = ptr;

	if (bytes == 1 || value == 0) {
		memset(p, (int)(u8)value, n * bytes);
		return;
	}
	for (u64 i = 0; i < n; i++, p += bytes) {
		if (bytes == 8)
			memcpy(p, &value, 8);
		else if (bytes == 4)
			memcpy(p, &(u32){(u32)value}, 4);
		else
			memcpy(p, &(u16){(u16)value}, 2);
	}
}

static u64 stos_run(struct x86_cpu *cpu, const struct x86_op *op, u64 count)
{
	u64 n, dst;
	void *to;

	if (cpu->rflags & X86_EFLAGS_DF)
		return 0;
	dst = destination(cpu, op, op->size, true);
	n = span(cpu, dst, run_bytes(cpu, op, count, false), true, &to) / op->size;
	if (n == 0)
		return 0;
	fill(to, cpu->regs[X86_RAX], op->size, n);
	barrier_compiler();
	advance(cpu, op, X86_RDI, (s64)(n * op->size));
	return n;
}

static u64 no_run(struct x86_cpu *cpu, const struct x86_op *op, u64 count)
{
	(void)cpu;
	(void)op;
	(void)count;
	return 0;
}

/* ---- repetition -------------------------------------------------------------- */

/*
 * Must the rest wait?  After an element that touched a device too: what user
 * space answered must not satisfy the next one, and the run loop drops it.
 */
static inline bool interrupted(const struct x86_cpu *cpu, u64 cost)
{
	return cost >= RUN_BUDGET || cpu->mmio.nr || (cpu->mode & X86_MODE_STEP) ||
	       atomic_peek(&cpu->vcpu.requests);
}

/* Does the flag end the repetition?  Only CMPS and SCAS look. */
static inline bool stops(const struct x86_cpu *cpu, const struct x86_op *op, bool compares)
{
	return compares && x86_cc_zero(cpu) == !!(op->flags & X86_OP_REPNE);
}

typedef void element_fn(struct x86_cpu *cpu, const struct x86_op *op);
typedef u64 run_fn(struct x86_cpu *cpu, const struct x86_op *op, u64 count);

/* Returns true when the instruction is complete. */
static inline __attribute__((always_inline)) bool repeat(struct x86_cpu *cpu,
							 const struct x86_op *op,
							 element_fn *element, run_fn *run,
							 bool compares)
{
	u64 count = masked(cpu, op, X86_RCX);
	const bool single = cpu->mode & X86_MODE_STEP;
	u64 cost = 0;

	while (count) {
		u64 n = single ? 0 : run(cpu, op, count);

		if (n == 0) {
			element(cpu, op);
			n = 1;
			cost += RUN_BUDGET / ELEMENT_BUDGET;
		}
		cost += n * op->size;
		advance(cpu, op, X86_RCX, -(s64)n);
		count -= n;
		if (stops(cpu, op, compares))
			return true;
		if (count && interrupted(cpu, cost))
			return false;
	}
	return true;
}

#define STRING(name, run, compares, bits)                                  \
	X86_HANDLER(name##_once##bits)                                     \
	{                                                                  \
		name##_element##bits(cpu, op);                             \
		X86_NEXT(cpu, op);                                         \
	}                                                                  \
	X86_HANDLER(name##_rep##bits)                                      \
	{                                                                  \
		if (!repeat(cpu, op, name##_element##bits, run, compares)) \
			return x86_suspend(cpu, op);                       \
		X86_NEXT(cpu, op);                                         \
	}

struct string_ops {
	x86_op_fn *once[4], *rep[4];
	bool has_source;
};

/* F2 repeats MOVS, STOS and LODS like F3; of several prefixes the last counts. */
static void read_rep_prefix(struct x86_decode *d)
{
	d->op->flags &= (u8) ~(X86_OP_REP | X86_OP_REPNE);
	for (unsigned int i = 0; i < d->insn->raw.prefix_count; i++) {
		u8 prefix = d->insn->raw.prefixes[i].value;

		if (prefix != 0xf2 && prefix != 0xf3)
			continue;
		d->op->flags &= (u8) ~(X86_OP_REP | X86_OP_REPNE);
		d->op->flags |= prefix == 0xf2 ? X86_OP_REPNE : X86_OP_REP;
	}
}

/* The source has RSI as base and may be in any segment; take it from the hidden operand. */
static void read_source(struct x86_decode *d)
{
	for (unsigned int n = 0; n < d->insn->operand_count; n++) {
		ZydisRegister base = d->operands[n].mem.base;

		if (x86_dec_is_mem(d, n) &&
		    (base == ZYDIS_REGISTER_SI || base == ZYDIS_REGISTER_ESI ||
		     base == ZYDIS_REGISTER_RSI))
			x86_dec_mem(d, n);
	}
}

static x86_op_fn *select_string(struct x86_decode *d, const struct string_ops *ops,
				unsigned int bytes)
{
	unsigned int size = x86_size_index(bytes);

	/* MOVSD and CMPSD are SSE instructions too: theirs to select. */
	if (d->insn->opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return NULL;
	/* For the flags; a source replaces the rest. */
	for (unsigned int n = 0; n < d->insn->operand_count; n++) {
		if (x86_dec_is_mem(d, n)) {
			x86_dec_mem(d, n);
			break;
		}
	}
	if (ops->has_source)
		read_source(d);
	d->op->size = (u8)bytes;
	read_rep_prefix(d);
	return d->op->flags & (X86_OP_REP | X86_OP_REPNE) ? ops->rep[size] : ops->once[size];
}

#define SELECT(name, suffix, bytes)                                   \
	static x86_op_fn *select_##name##suffix(struct x86_decode *d) \
	{                                                             \
		return select_string(d, &name##_ops, bytes);          \
	}

#define DEFINE_STRING(name, run, compares, source_index)                                   \
	STRING(name, run, compares, 8)                                                     \
	STRING(name, run, compares, 16)                                                    \
	STRING(name, run, compares, 32)                                                    \
	STRING(name, run, compares, 64)                                                    \
	static const struct string_ops name##_ops = {X86_SIZES(name##_once),               \
						     X86_SIZES(name##_rep), source_index}; \
	SELECT(name, b, 1)                                                                 \
	SELECT(name, w, 2)                                                                 \
	SELECT(name, d, 4)                                                                 \
	SELECT(name, q, 8)

DEFINE_STRING(movs, movs_run, false, true)
DEFINE_STRING(stos, stos_run, false, false)
DEFINE_STRING(lods, no_run, false, true)
DEFINE_STRING(cmps, no_run, true, true)
DEFINE_STRING(scas, no_run, true, false)

const struct x86_family_entry x86_family_string[] = {
	{ZYDIS_MNEMONIC_MOVSB, select_movsb}, {ZYDIS_MNEMONIC_MOVSW, select_movsw},
	{ZYDIS_MNEMONIC_MOVSD, select_movsd}, {ZYDIS_MNEMONIC_MOVSQ, select_movsq},
	{ZYDIS_MNEMONIC_STOSB, select_stosb}, {ZYDIS_MNEMONIC_STOSW, select_stosw},
	{ZYDIS_MNEMONIC_STOSD, select_stosd}, {ZYDIS_MNEMONIC_STOSQ, select_stosq},
	{ZYDIS_MNEMONIC_LODSB, select_lodsb}, {ZYDIS_MNEMONIC_LODSW, select_lodsw},
	{ZYDIS_MNEMONIC_LODSD, select_lodsd}, {ZYDIS_MNEMONIC_LODSQ, select_lodsq},
	{ZYDIS_MNEMONIC_CMPSB, select_cmpsb}, {ZYDIS_MNEMONIC_CMPSW, select_cmpsw},
	{ZYDIS_MNEMONIC_CMPSD, select_cmpsd}, {ZYDIS_MNEMONIC_CMPSQ, select_cmpsq},
	{ZYDIS_MNEMONIC_SCASB, select_scasb}, {ZYDIS_MNEMONIC_SCASW, select_scasw},
	{ZYDIS_MNEMONIC_SCASD, select_scasd}, {ZYDIS_MNEMONIC_SCASQ, select_scasq},
	{ZYDIS_MNEMONIC_INVALID, NULL},
};
