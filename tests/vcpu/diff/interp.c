/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running one instruction in the interpreter, on a bare CPU: no MMU, no code
 * cache.  The TLB holds the scratch pages; the slow paths below know those
 * pages and raise #PF for everything else.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/vcpu/diff/diff.h"
#include "vcpu/x86/exception.h"
#include "vcpu/x86/exec_int.h"
#include "vcpu/x86/flags.h"
#include "vcpu/x86/mem.h"

static struct x86_cpu *cpu0;
static u8 *memory;
static struct diff_result *current;
static bool completed;

/* ---- exceptions ---------------------------------------------------------------------------- */

static _Noreturn void unwind(struct x86_cpu *cpu, int vector, u32 error_code)
{
	current->exception = vector;
	current->error_code = error_code;
	siglongjmp(cpu->unwind, 1);
}

void x86_raise(struct x86_cpu *cpu, enum x86_exception vector)
{
	unwind(cpu, (int)vector, 0);
}

void x86_raise_code(struct x86_cpu *cpu, enum x86_exception vector, u32 error_code)
{
	unwind(cpu, (int)vector, error_code);
}

void x86_raise_pf(struct x86_cpu *cpu, u64 addr, u32 error_code)
{
	current->cr2 = addr;
	unwind(cpu, X86_PF, error_code);
}

void x86_unsupported(struct x86_cpu *cpu)
{
	unwind(cpu, DIFF_NOT_SELECTED, 0);
}

/* ---- memory: a flat space with the scratch pages in it ----------------------- */

#define PF_PRESENT 1u
#define PF_WRITE   2u
#define PF_USER	   4u

static u8 *byte_at(struct x86_cpu *cpu, u64 addr, bool write)
{
	u64 off = addr - DIFF_SCRATCH;
	u32 code = PF_USER | (write ? PF_WRITE : 0);

	if (off >= DIFF_SCRATCH_PAGES * PAGE_SIZE)
		x86_raise_pf(cpu, addr, code);
	if (write && off >= DIFF_RW_BYTES)
		x86_raise_pf(cpu, addr, code | PF_PRESENT);
	return memory + off;
}

void x86_probe(struct x86_cpu *cpu, u64 addr, unsigned int bytes, bool write)
{
	byte_at(cpu, addr, write);
	byte_at(cpu, addr + bytes - 1, write);
}

void x86_load_bytes(struct x86_cpu *cpu, u64 addr, void *buf, unsigned int bytes)
{
	x86_probe(cpu, addr, bytes, false);
	memcpy(buf, byte_at(cpu, addr, false), bytes);
}

void x86_store_bytes(struct x86_cpu *cpu, u64 addr, const void *buf, unsigned int bytes)
{
	x86_probe(cpu, addr, bytes, true);
	memcpy(byte_at(cpu, addr, true), buf, bytes);
}

u64 x86_load_slow(struct x86_cpu *cpu, u64 addr, unsigned int bytes)
{
	u64 value = 0;

	x86_load_bytes(cpu, addr, &value, bytes);
	return value;
}

void x86_store_slow(struct x86_cpu *cpu, u64 addr, unsigned int bytes, u64 value)
{
	x86_store_bytes(cpu, addr, &value, bytes);
}

static bool in_one_page(u64 addr, unsigned int bytes)
{
	return (addr & ~PAGE_MASK) + bytes <= PAGE_SIZE;
}

void *x86_rmw_ptr(struct x86_cpu *cpu, u64 addr, unsigned int bytes)
{
	x86_probe(cpu, addr, bytes, true);
	return in_one_page(addr, bytes) ? byte_at(cpu, addr, true) : NULL;
}

unsigned int x86_span(struct x86_cpu *cpu, u64 addr, u64 bytes, bool write, void **ptr)
{
	*ptr = byte_at(cpu, addr, write);
	return (unsigned int)min_u64(bytes, PAGE_SIZE - (addr & ~PAGE_MASK));
}

u64 x86_legacy_linear(struct x86_cpu *cpu, unsigned int seg, u64 off, unsigned int bytes,
		      bool write)
{
	(void)cpu;
	(void)seg;
	(void)bytes;
	(void)write;
	return (u32)off;
}

u64 x86_stack_add(const struct x86_cpu *cpu, u64 rsp, s64 delta)
{
	return cpu->mode & X86_MODE_CS64 ? rsp + (u64)delta : (u32)(rsp + (u64)delta);
}

u64 x86_stack_linear(struct x86_cpu *cpu, u64 rsp, unsigned int bytes, bool write)
{
	(void)bytes;
	(void)write;
	return cpu->mode & X86_MODE_CS64 ? rsp : (u32)rsp;
}

/* Filled once: the host memory behind the scratch pages does not move. */
static void fill_tlb(struct x86_cpu *cpu)
{
	struct x86_tlb *tlb = cpu->tlb;

	for (unsigned int i = 0; i < X86_TLB_ENTRIES; i++)
		tlb->entry[i].read_tag = tlb->entry[i].write_tag = tlb->entry[i].exec_tag = 1ull
											    << 62;
	for (u64 page = 0; page < DIFF_SCRATCH_PAGES; page++) {
		u64 addr = DIFF_SCRATCH + page * PAGE_SIZE;
		struct x86_tlb_entry *e = &tlb->entry[x86_tlb_index(addr)];

		e->read_tag = addr;
		if (page * PAGE_SIZE < DIFF_RW_BYTES)
			e->write_tag = addr;
		e->addend = ptr_to_hva(memory) - DIFF_SCRATCH;
	}
}

/* ---- what other files of the interpreter would supply ------------------------ */

x86_op_fn *x86_select_mov_system(struct x86_decode *d)
{
	(void)d;
	return NULL;
}

x86_op_fn *x86_select_pushpop_seg(struct x86_decode *d)
{
	(void)d;
	return NULL;
}

/* ---- running ----------------------------------------------------------------- */

static const struct x86_op *stop(struct x86_cpu *cpu, const struct x86_op *op)
{
	(void)cpu;
	(void)op;
	completed = true;
	return NULL;
}

static void execute(struct x86_cpu *cpu, const struct x86_op *op)
{
	const u64 rip = cpu->regs[X86_REG_RIP];

	completed = false;
	while (!completed) {
		const struct x86_op *next = op;

		while (next)
			next = next->fn(cpu, next);
		/* A repeated instruction that was asked to stop has its own address in RIP. */
		if (cpu->regs[X86_REG_RIP] != rip)
			abort();
	}
}

static void load_state(const struct diff_case *c, struct x86_cpu *cpu)
{
	memcpy(cpu->regs, c->in.gpr, sizeof(c->in.gpr));
	cpu->regs[X86_REG_ZERO] = 0;
	cpu->regs[X86_REG_RIP] = diff_native_rip(c);
	cpu->mode =
		X86_MODE_PE | X86_MODE_USER |
		(c->mode32 ? X86_MODE_CS32 | X86_MODE_SS32 | X86_MODE_LEGACY_SEG : X86_MODE_CS64);
	x86_set_rflags_raw(cpu, c->in.rflags);
	/* Half of the repeated instructions are interrupted after each step. */
	cpu->vcpu.requests = (u32)(c->seed & 1);
	if (c->family->fx)
		c->family->fx_to_cpu(cpu, &c->in.fx);
}

static void store_state(const struct diff_case *c, const struct x86_cpu *cpu, struct diff_state *s)
{
	memcpy(s->gpr, cpu->regs, sizeof(s->gpr));
	s->rflags = x86_rflags(cpu);
	if (c->family->fx) {
		s->fx = c->in.fx;
		c->family->fx_from_cpu(cpu, &s->fx);
	}
}

void diff_interp_run(const struct diff_case *c, struct diff_result *r)
{
	struct x86_op ops[2];

	current = r;
	r->exception = DIFF_NO_EXCEPTION;
	load_state(c, cpu0);
	memset(&ops[1], 0, sizeof(ops[1]));
	ops[1].fn = stop;
	if (!diff_decode(c, cpu0->mode, &ops[0]))
		r->exception = DIFF_NOT_SELECTED;
	else if (sigsetjmp(cpu0->unwind, 0) == 0)
		execute(cpu0, &ops[0]);
	store_state(c, cpu0, &r->out);
}

void diff_interp_init(void)
{
	cpu0 = aligned_alloc(64, (sizeof(*cpu0) + 63) & ~63ul);
	memory = aligned_alloc(PAGE_SIZE, DIFF_SCRATCH_PAGES * PAGE_SIZE);
	if (!cpu0 || !memory)
		abort();
	memset(cpu0, 0, sizeof(*cpu0));
	cpu0->tlb = calloc(X86_TLB_BANKS, sizeof(*cpu0->tlb));
	cpu0->tlbs = cpu0->tlb;
	if (!cpu0->tlb)
		abort();
	for (unsigned int i = 0; i < X86_NR_SEGS; i++)
		cpu0->seg[i] = (struct x86_segment){.limit = 0xffffffff, .s = true, .type = 3};
	fill_tlb(cpu0);
}

u8 *diff_interp_memory(void)
{
	return memory;
}
