// SPDX-License-Identifier: BSD-2-Clause
/*
 * IN, OUT, INS, OUTS (SDM vol. 1, chapter 19; vol. 2).
 *
 * The first execution asks user space (cpu->pio) and ends the run; when it has
 * answered, the instruction runs again and takes the data.  Repeated string
 * forms hand over as many elements at once as one page of memory and the
 * shared page hold, and stay at the instruction until RCX is 0.
 */
#include <string.h>

#include "vcpu/x86/core.h"
#include "vcpu/x86/debug.h"
#include "vcpu/x86/exec_int.h"

/* IOPL, then the bitmap in the TSS (SDM vol. 1, 19.5). */
static void check_port(struct x86_cpu *cpu, u16 port, unsigned int size)
{
	const struct x86_segment *tr = &cpu->seg[X86_TR];
	unsigned int iopl = (unsigned int)(cpu->rflags & X86_EFLAGS_IOPL) >> 12;
	u16 base = 0, bits = 0;

	x86_debug_note_port(cpu, port, size);
	if (!(cpu->cr0 & X86_CR0_PE) || (!x86_vm86(cpu) && cpu->cpl <= iopl))
		return;
	if (tr->unusable || !(tr->type & 8) || tr->limit < 103)
		x86_raise_code(cpu, X86_GP, 0);
	x86_load_sys(cpu, tr->base + 102, &base, 2);
	if (base + port / 8u + 1 > tr->limit)
		x86_raise_code(cpu, X86_GP, 0);
	x86_load_sys(cpu, tr->base + base + port / 8u, &bits, 2);
	if ((bits >> (port & 7)) & ((1u << size) - 1))
		x86_raise_code(cpu, X86_GP, 0);
}

/* Has user space answered this very access? */
static bool answered(const struct x86_cpu *cpu, u16 port, unsigned int size, bool is_in)
{
	return cpu->pio.done && cpu->pio.is_in == is_in && cpu->pio.port == port &&
	       cpu->pio.size == size;
}

static _Noreturn void ask(struct x86_cpu *cpu, u16 port, unsigned int size, u32 count, bool is_in)
{
	u64 rip = cpu->seg_base[X86_CS] + x86_op_rip(cpu, cpu->op);

	cpu->pio.pending = true;
	cpu->pio.done = false;
	cpu->pio.is_in = is_in;
	cpu->pio.size = (u8)size;
	cpu->pio.port = port;
	cpu->pio.count = count;
	cpu->pio.rip = cpu->mode & X86_MODE_CS64 ? rip : (u32)rip;
	x86_leave_to_user(cpu, X86_EXIT_IO);
}

static u16 port_of(const struct x86_cpu *cpu, const struct x86_op *op)
{
	return op->aux ? (u16)(u8)op->imm : (u16)cpu->regs[X86_RDX];
}

X86_HANDLER(in_op)
{
	u16 port = port_of(cpu, op);
	u32 value = 0;

	cpu->op = op;
	check_port(cpu, port, op->size);
	if (!answered(cpu, port, op->size, true))
		ask(cpu, port, op->size, 1, true);
	memcpy(&value, cpu->pio.data, op->size);
	if (op->size == 1)
		X86_SET_REG8(cpu, X86_RAX * 8, value);
	else if (op->size == 2)
		X86_SET_REG16(cpu, X86_RAX * 8, value);
	else
		X86_SET_REG32(cpu, X86_RAX * 8, value);
	return x86_done(cpu, op);
}

X86_HANDLER(out_op)
{
	u16 port = port_of(cpu, op);
	u32 value = (u32)cpu->regs[X86_RAX];

	cpu->op = op;
	check_port(cpu, port, op->size);
	if (answered(cpu, port, op->size, false))
		return x86_done(cpu, op);
	memcpy(cpu->pio.data, &value, op->size);
	/* Old VMMs have their own code at this port, and look at RIP: it is past the OUT. */
	if (port == 0x7e && x86_has_quirk(cpu->machine, X86_QUIRK_OUT_7E_INC_RIP)) {
		x86_done(cpu, op);
		cpu->pio = (struct x86_pio){
			.size = op->size, .port = port, .count = 1, .data = cpu->pio.data};
		cpu->exit = X86_EXIT_IO;
		return NULL;
	}
	ask(cpu, port, op->size, 1, false);
}

static x86_op_fn *select_in_out(struct x86_decode *d)
{
	bool in = d->insn->mnemonic == ZYDIS_MNEMONIC_IN;
	unsigned int data = in ? 0 : 1, port = 1 - data;

	d->ends_block = true;
	d->op->size = x86_dec_bytes(d, data);
	if (x86_dec_is_imm(d, port)) {
		d->op->aux = 1;
		d->op->imm = (u8)d->operands[port].imm.value.u;
	}
	return in ? in_op : out_op;
}

/* ---- strings -------------------------------------------------------------------------------- */

static u64 masked(const struct x86_op *op, u64 value)
{
	if (op->flags & X86_OP_ADDR16)
		return (u16)value;
	return op->flags & X86_OP_ADDR32 ? (u32)value : value;
}

static void set_masked(struct x86_cpu *cpu, const struct x86_op *op, enum x86_reg reg, u64 value)
{
	if (op->flags & X86_OP_ADDR16)
		X86_SET_REG16(cpu, reg * 8u, value);
	else if (op->flags & X86_OP_ADDR32)
		X86_SET_REG32(cpu, reg * 8u, value);
	else
		cpu->regs[reg] = value;
}

static u64 string_linear(struct x86_cpu *cpu, const struct x86_op *op, u64 off, bool write)
{
	if (cpu->mode & X86_MODE_CS64)
		return cpu->seg_base[op->seg] + off;
	return x86_legacy_linear(cpu, op->seg, off, op->size, write);
}

/* How many elements go over at once: upwards, inside one page of memory, not wrapping. */
static u32 batch(const struct x86_cpu *cpu, const struct x86_op *op, u64 addr, u64 off)
{
	u64 left = masked(op, cpu->regs[X86_RCX]), room;

	if (!(op->flags & (X86_OP_REP | X86_OP_REPNE)))
		return 1;
	if ((cpu->rflags & X86_EFLAGS_DF) || (cpu->mode & X86_MODE_STEP))
		return 1;
	room = (PAGE_SIZE - (addr & ~PAGE_MASK)) / op->size;
	if (op->flags & X86_OP_ADDR16)
		room = min_u64(room, (0x10000 - off) / op->size);
	/* One by one towards the end of the segment, for its limit check. */
	if (!(cpu->mode & X86_MODE_CS64) && off + room * op->size > cpu->seg[op->seg].limit)
		room = 1;
	return (u32)min_u64(left, room ? room : 1);
}

/* Move on by what was handed over; back to the same instruction while RCX lasts. */
static const struct x86_op *advance(struct x86_cpu *cpu, const struct x86_op *op,
				    enum x86_reg pointer, u32 count)
{
	s64 step = (s64)count * op->size;
	bool repeated = op->flags & (X86_OP_REP | X86_OP_REPNE);

	if (cpu->rflags & X86_EFLAGS_DF)
		step = -step;
	set_masked(cpu, op, pointer, cpu->regs[pointer] + (u64)step);
	if (!repeated)
		return x86_done(cpu, op);
	set_masked(cpu, op, X86_RCX, cpu->regs[X86_RCX] - count);
	if (masked(op, cpu->regs[X86_RCX]))
		return x86_suspend(cpu, op);
	return x86_done(cpu, op);
}

/* As answered(), and RCX still covers what was handed over: user space may have changed it. */
static bool answered_string(const struct x86_cpu *cpu, const struct x86_op *op, u16 port,
			    bool is_in)
{
	u64 left = op->flags & (X86_OP_REP | X86_OP_REPNE) ? masked(op, cpu->regs[X86_RCX]) : 1;

	return answered(cpu, port, op->size, is_in) && cpu->pio.count <= left;
}

static bool nothing_to_do(const struct x86_cpu *cpu, const struct x86_op *op)
{
	return (op->flags & (X86_OP_REP | X86_OP_REPNE)) && !masked(op, cpu->regs[X86_RCX]);
}

static void copy_in(struct x86_cpu *cpu, u64 addr, u8 *data, u32 bytes, unsigned int size)
{
	for (u32 done = 0; done < bytes; done += size)
		x86_load_bytes(cpu, addr + done, data + done, size);
}

X86_HANDLER(outs_op)
{
	u64 off = masked(op, cpu->regs[X86_RSI]), addr;
	u16 port = (u16)cpu->regs[X86_RDX];
	u32 count;

	cpu->op = op;
	check_port(cpu, port, op->size);
	if (nothing_to_do(cpu, op))
		return x86_done(cpu, op);
	if (answered_string(cpu, op, port, false))
		return advance(cpu, op, X86_RSI, cpu->pio.count);
	addr = string_linear(cpu, op, off, false);
	count = batch(cpu, op, addr, off);
	copy_in(cpu, addr, cpu->pio.data, count * op->size, op->size);
	ask(cpu, port, op->size, count, false);
}

X86_HANDLER(ins_op)
{
	u64 off = masked(op, cpu->regs[X86_RDI]), addr;
	u16 port = (u16)cpu->regs[X86_RDX];
	u32 count;
	void *ptr;

	cpu->op = op;
	check_port(cpu, port, op->size);
	if (nothing_to_do(cpu, op))
		return x86_done(cpu, op);
	addr = string_linear(cpu, op, off, true);
	if (answered_string(cpu, op, port, true)) {
		for (u32 i = 0; i < cpu->pio.count; i++)
			x86_store_bytes(cpu, addr + i * op->size, cpu->pio.data + i * op->size,
					op->size);
		return advance(cpu, op, X86_RDI, cpu->pio.count);
	}
	/* Faults come before the device is asked; into a device one element at a time. */
	x86_probe(cpu, addr, op->size, true);
	count = batch(cpu, op, addr, off);
	if (!x86_span(cpu, addr, op->size, true, &ptr))
		count = 1;
	ask(cpu, port, op->size, count, true);
}

static x86_op_fn *select_string(struct x86_decode *d)
{
	bool in;

	d->ends_block = true;
	switch (d->insn->mnemonic) {
	case ZYDIS_MNEMONIC_INSB:
	case ZYDIS_MNEMONIC_INSW:
	case ZYDIS_MNEMONIC_INSD:
		in = true;
		break;
	default:
		in = false;
		break;
	}
	for (unsigned int n = 0; n < d->insn->operand_count; n++) {
		if (!x86_dec_is_mem(d, n))
			continue;
		x86_dec_mem(d, n);
		d->op->size = x86_dec_bytes(d, n);
		break;
	}
	return in ? ins_op : outs_op;
}

const struct x86_family_entry x86_family_io[] = {
	{ZYDIS_MNEMONIC_IN, select_in_out},    {ZYDIS_MNEMONIC_OUT, select_in_out},
	{ZYDIS_MNEMONIC_INSB, select_string},  {ZYDIS_MNEMONIC_INSW, select_string},
	{ZYDIS_MNEMONIC_INSD, select_string},  {ZYDIS_MNEMONIC_OUTSB, select_string},
	{ZYDIS_MNEMONIC_OUTSW, select_string}, {ZYDIS_MNEMONIC_OUTSD, select_string},
	{ZYDIS_MNEMONIC_INVALID, NULL},
};
