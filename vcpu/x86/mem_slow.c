// SPDX-License-Identifier: BSD-2-Clause
/*
 * Guest memory accesses that the first-level TLB does not settle: misses, page
 * crossings, pages that hold cached code, device memory; segment checks (SDM
 * vol. 3, 6.3 to 6.5) and the stack.
 *
 * Nothing here relies on an entry staying in the TLB: what was translated is
 * used through the pointer at hand.
 */
#include <string.h>

#include "base/trace.h"
#include "vcpu/x86/core.h"
#include "vcpu/x86/debug.h"
#include "vcpu/x86/lapic.h"

#define MAX_ACCESS 64

/* ---- devices ------------------------------------------------------------------------ */

static u64 linear_rip_of_op(const struct x86_cpu *cpu)
{
	u64 rip = cpu->op ? x86_op_rip(cpu, cpu->op) : cpu->regs[X86_REG_RIP];

	rip += cpu->seg_base[X86_CS];
	return cpu->mode & X86_MODE_CS64 ? rip : (u32)rip;
}

static bool same_frag(const struct x86_mmio_frag *frag, gpa_t gpa, unsigned int len, bool is_write)
{
	return frag->gpa == gpa && frag->len == len && frag->is_write == is_write;
}

/* The answered access that comes next in this run of the instruction; NULL after asking. */
static struct x86_mmio_frag *next_frag(struct x86_cpu *cpu, gpa_t gpa, unsigned int len,
				       bool is_write, const void *data)
{
	struct x86_mmio *mmio = &cpu->mmio;
	struct x86_mmio_frag *frag;

	/* The mouth of a device in the middle of an event's delivery is beyond us. */
	if (cpu->run.delivering || mmio->cursor == X86_MMIO_FRAGS ||
	    (cpu->op && (cpu->op->flags & X86_OP_NO_DEVICE)))
		x86_unsupported(cpu);
	frag = &mmio->frag[mmio->cursor];
	if (mmio->cursor < mmio->done && same_frag(frag, gpa, len, is_write)) {
		mmio->cursor++;
		return frag;
	}
	/* User space changed what the instruction does in the middle of it: ask anew. */
	mmio->done = mmio->cursor;
	mmio->nr = mmio->cursor + 1;
	mmio->rip = linear_rip_of_op(cpu);
	mmio->pending = true;
	*frag = (struct x86_mmio_frag){.gpa = gpa, .len = (u8)len, .is_write = is_write};
	if (is_write)
		memcpy(frag->data, data, len);
	x86_leave_to_user(cpu, X86_EXIT_MMIO);
}

/* What never gets to user space; type 1 is a read, 2 a write. */
static void trace_lapic(unsigned int type, gpa_t gpa, const void *data, unsigned int bytes)
{
	u64 value = 0;

	memcpy(&value, data, bytes < sizeof(value) ? bytes : sizeof(value));
	kvmu_trace(kvm, kvm_mmio, type, bytes, gpa, value);
}

static void mmio_read(struct x86_cpu *cpu, gpa_t gpa, void *buf, unsigned int bytes)
{
	if (x86_lapic_covers(cpu, gpa)) {
		x86_lapic_mmio_read(cpu, gpa, buf, bytes);
		trace_lapic(1, gpa, buf, bytes);
		return;
	}
	while (bytes) {
		unsigned int len = bytes > 8 ? 8 : bytes;

		memcpy(buf, next_frag(cpu, gpa, len, false, NULL)->data, len);
		buf = (u8 *)buf + len;
		gpa += len;
		bytes -= len;
	}
}

static void mmio_write(struct x86_cpu *cpu, gpa_t gpa, const void *buf, unsigned int bytes)
{
	if (x86_lapic_covers(cpu, gpa)) {
		trace_lapic(2, gpa, buf, bytes);
		x86_lapic_mmio_write(cpu, gpa, buf, bytes);
		return;
	}
	while (bytes) {
		unsigned int len = bytes > 8 ? 8 : bytes;

		next_frag(cpu, gpa, len, true, buf);
		buf = (const u8 *)buf + len;
		gpa += len;
		bytes -= len;
	}
}

/* ---- places --------------------------------------------------------------------------- */

static unsigned int bytes_in_page(u64 addr, unsigned int bytes)
{
	u64 left = PAGE_SIZE - (addr & ~PAGE_MASK);

	return bytes < left ? bytes : (unsigned int)left;
}

static u64 next_page(const struct x86_cpu *cpu, u64 addr)
{
	u64 next = (addr & PAGE_MASK) + PAGE_SIZE;

	return x86_long_mode(cpu) ? next : (u32)next;
}

/* One access in at most two pieces. */
struct pieces {
	struct x86_place place[2];
	unsigned int bytes[2];
};

static struct pieces translate(struct x86_cpu *cpu, u64 addr, unsigned int bytes,
			       enum x86_access access, enum x86_tlb_bank bank)
{
	struct pieces p;

	p.bytes[0] = bytes_in_page(addr, bytes);
	p.bytes[1] = bytes - p.bytes[0];
	p.place[0] = x86_tlb_translate(cpu, addr, access, bank);
	if (p.bytes[1])
		p.place[1] = x86_tlb_translate(cpu, next_page(cpu, addr), access, bank);
	return p;
}

static void read_piece(struct x86_cpu *cpu, const struct x86_place *place, void *buf,
		       unsigned int bytes)
{
	if (place->mmio)
		mmio_read(cpu, place->gpa, buf, bytes);
	else
		memcpy(buf, hva_to_ptr(place->hva), bytes);
}

/* Before the first byte moves: may a store go there without changing running code? */
static void announce_store(struct x86_cpu *cpu, const struct pieces *p)
{
	for (unsigned int i = 0; i < 2; i++)
		if (p->bytes[i] && !p->place[i].mmio && x86_code_holds(cpu, p->place[i].hva))
			x86_code_store(cpu, p->place[i].hva, p->bytes[i]);
}

static void write_piece(struct x86_cpu *cpu, const struct x86_place *place, const void *buf,
			unsigned int bytes)
{
	if (place->mmio)
		mmio_write(cpu, place->gpa, buf, bytes);
	else
		memcpy(hva_to_ptr(place->hva), buf, bytes);
}

static void load(struct x86_cpu *cpu, u64 addr, void *buf, unsigned int bytes,
		 enum x86_tlb_bank bank)
{
	struct pieces p = translate(cpu, addr, bytes, X86_ACCESS_READ, bank);

	read_piece(cpu, &p.place[0], buf, p.bytes[0]);
	if (p.bytes[1])
		read_piece(cpu, &p.place[1], (u8 *)buf + p.bytes[0], p.bytes[1]);
	barrier_compiler();
}

static void store(struct x86_cpu *cpu, u64 addr, const void *buf, unsigned int bytes,
		  enum x86_tlb_bank bank)
{
	struct pieces p = translate(cpu, addr, bytes, X86_ACCESS_WRITE, bank);

	announce_store(cpu, &p);
	write_piece(cpu, &p.place[0], buf, p.bytes[0]);
	if (p.bytes[1])
		write_piece(cpu, &p.place[1], (const u8 *)buf + p.bytes[0], p.bytes[1]);
	barrier_compiler();
}

/* ---- slow paths of mem.h ------------------------------------------------------------------ */

u64 x86_load_slow(struct x86_cpu *cpu, u64 addr, unsigned int bytes)
{
	struct pieces p = translate(cpu, addr, bytes, X86_ACCESS_READ, x86_current_bank(cpu));
	void *ptr = hva_to_ptr(p.place[0].hva);
	u64 value = 0;

	x86_debug_note_access(cpu, addr, bytes, false);
	if (likely(!p.bytes[1] && !p.place[0].mmio)) {
		switch (bytes) {
		case 1:
			return x86_host_load8(ptr);
		case 2:
			return x86_host_load16(ptr);
		case 4:
			return x86_host_load32(ptr);
		case 8:
			return x86_host_load64(ptr);
		}
	}
	read_piece(cpu, &p.place[0], &value, p.bytes[0]);
	if (p.bytes[1])
		read_piece(cpu, &p.place[1], (u8 *)&value + p.bytes[0], p.bytes[1]);
	barrier_compiler();
	return value;
}

void x86_store_slow(struct x86_cpu *cpu, u64 addr, unsigned int bytes, u64 value)
{
	struct pieces p = translate(cpu, addr, bytes, X86_ACCESS_WRITE, x86_current_bank(cpu));
	void *ptr = hva_to_ptr(p.place[0].hva);

	x86_debug_note_access(cpu, addr, bytes, true);
	announce_store(cpu, &p);
	if (likely(!p.bytes[1] && !p.place[0].mmio)) {
		switch (bytes) {
		case 1:
			x86_host_store8(ptr, (u8)value);
			return;
		case 2:
			x86_host_store16(ptr, (u16)value);
			return;
		case 4:
			x86_host_store32(ptr, (u32)value);
			return;
		case 8:
			x86_host_store64(ptr, value);
			return;
		}
	}
	write_piece(cpu, &p.place[0], &value, p.bytes[0]);
	if (p.bytes[1])
		write_piece(cpu, &p.place[1], (u8 *)&value + p.bytes[0], p.bytes[1]);
	barrier_compiler();
}

void x86_load_bytes(struct x86_cpu *cpu, u64 addr, void *buf, unsigned int bytes)
{
	kvmu_assert(bytes <= MAX_ACCESS);
	x86_debug_note_access(cpu, addr, bytes, false);
	load(cpu, addr, buf, bytes, x86_current_bank(cpu));
}

void x86_store_bytes(struct x86_cpu *cpu, u64 addr, const void *buf, unsigned int bytes)
{
	kvmu_assert(bytes <= MAX_ACCESS);
	x86_debug_note_access(cpu, addr, bytes, true);
	store(cpu, addr, buf, bytes, x86_current_bank(cpu));
}

void x86_load_sys(struct x86_cpu *cpu, u64 addr, void *buf, unsigned int bytes)
{
	load(cpu, addr, buf, bytes, X86_TLB_KERNEL);
}

void x86_store_sys(struct x86_cpu *cpu, u64 addr, const void *buf, unsigned int bytes)
{
	store(cpu, addr, buf, bytes, X86_TLB_KERNEL);
}

void *x86_rmw_ptr(struct x86_cpu *cpu, u64 addr, unsigned int bytes)
{
	struct pieces p = translate(cpu, addr, bytes, X86_ACCESS_WRITE, x86_current_bank(cpu));

	x86_debug_note_access(cpu, addr, bytes, true);
	announce_store(cpu, &p);
	if (p.bytes[1] || p.place[0].mmio)
		return NULL;
	return hva_to_ptr(p.place[0].hva);
}

unsigned int x86_span(struct x86_cpu *cpu, u64 addr, u64 bytes, bool write, void **ptr)
{
	const struct x86_tlb_entry *e = &cpu->tlb->entry[x86_tlb_index(addr)];
	unsigned int span =
		bytes_in_page(addr, bytes < PAGE_SIZE ? (unsigned int)bytes : PAGE_SIZE);
	struct x86_place place;

	if (likely(addr - (write ? e->write_tag : e->read_tag) < PAGE_SIZE)) {
		*ptr = hva_to_ptr(addr + e->addend);
		return span;
	}
	place = x86_tlb_translate(cpu, addr, write ? X86_ACCESS_WRITE : X86_ACCESS_READ,
				  x86_current_bank(cpu));
	*ptr = NULL;
	x86_debug_note_access(cpu, addr, span, write);
	if (place.mmio)
		return 0;
	if (write && x86_code_holds(cpu, place.hva))
		x86_code_store(cpu, place.hva, span);
	*ptr = hva_to_ptr(place.hva);
	return span;
}

void x86_probe(struct x86_cpu *cpu, u64 addr, unsigned int bytes, bool write)
{
	struct pieces p = translate(cpu, addr, bytes, write ? X86_ACCESS_WRITE : X86_ACCESS_READ,
				    x86_current_bank(cpu));

	if (write)
		announce_store(cpu, &p);
}

/* ---- segments ----------------------------------------------------------------------------- */

/* Do @bytes at @off fit?  (SDM vol. 3, 6.3) */
static bool inside_limit(const struct x86_segment *seg, u64 off, unsigned int bytes)
{
	bool expand_down = seg->s && !(seg->type & 8) && (seg->type & 4);
	u64 last = off + bytes - 1;

	if (!expand_down)
		return last <= seg->limit;
	return off > seg->limit && last <= (seg->db ? 0xffffffffull : 0xffffull);
}

/* SDM vol. 3, 6.5.1. */
static bool type_allows(const struct x86_segment *seg, bool write)
{
	if (seg->type & 8)
		return !write && (seg->type & 2);
	return !write || (seg->type & 2);
}

u64 x86_legacy_linear(struct x86_cpu *cpu, unsigned int seg_reg, u64 off, unsigned int bytes,
		      bool write)
{
	const struct x86_segment *seg = &cpu->seg[seg_reg];
	bool ok = inside_limit(seg, off, bytes);

	if (seg_reg == X86_SEG_NONE)
		return (u32)off;
	if (x86_protected(cpu))
		ok = ok && !seg->unusable && type_allows(seg, write);
	if (unlikely(!ok))
		x86_raise_code(cpu, seg_reg == X86_SS ? X86_STACK : X86_GP, 0);
	return (u32)(seg->base + off);
}

/* ---- the stack ------------------------------------------------------------------------------ */

u64 x86_stack_add(const struct x86_cpu *cpu, u64 rsp, s64 delta)
{
	if (likely(cpu->mode & X86_MODE_CS64))
		return rsp + (u64)delta;
	if (cpu->mode & X86_MODE_SS32)
		return (u32)(rsp + (u64)delta);
	return (rsp & ~0xffffull) | (u16)(rsp + (u64)delta);
}

u64 x86_stack_linear(struct x86_cpu *cpu, u64 rsp, unsigned int bytes, bool write)
{
	if (likely(cpu->mode & X86_MODE_CS64)) {
		if (unlikely(!x86_canonical(cpu, rsp) || !x86_canonical(cpu, rsp + bytes - 1)))
			x86_raise_code(cpu, X86_STACK, 0);
		return rsp;
	}
	return x86_legacy_linear(cpu, X86_SS, cpu->mode & X86_MODE_SS32 ? (u32)rsp : (u16)rsp,
				 bytes, write);
}
