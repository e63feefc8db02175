// SPDX-License-Identifier: BSD-2-Clause
/*
 * Segment registers: descriptors, loads with their checks (SDM vol. 3, 3.4,
 * 6.2 to 6.6; the MOV and POP pages of vol. 2), stacks from the TSS (8.7).
 */
#include "vcpu/x86/core.h"

static const struct x86_dtable *table_of(const struct x86_cpu *cpu, u16 selector,
					 struct x86_dtable *ldt)
{
	if (!(selector & 4))
		return &cpu->gdt;
	*ldt = (struct x86_dtable){.base = cpu->seg[X86_LDTR].base,
				   .limit = (u16)min_u64(cpu->seg[X86_LDTR].limit, 0xffff)};
	return cpu->seg[X86_LDTR].unusable ? NULL : ldt;
}

bool x86_read_descriptor(struct x86_cpu *cpu, u16 selector, struct x86_descriptor *desc)
{
	struct x86_dtable ldt;
	const struct x86_dtable *table = table_of(cpu, selector, &ldt);
	u32 index = selector & ~7u;
	bool system;

	if (!table || index + 7 > table->limit)
		return false;
	desc->high = 0;
	x86_load_sys(cpu, table->base + index, &desc->low, 8);
	system = !(desc->low & BIT_ULL(44));
	if (x86_long_mode(cpu) && system) {
		if (index + 15 > table->limit)
			return false;
		x86_load_sys(cpu, table->base + index + 8, &desc->high, 8);
	}
	return true;
}

void x86_unpack_descriptor(u16 selector, u64 low, struct x86_segment *seg)
{
	u32 limit = (u32)((low & 0xffff) | ((low >> 32) & 0xf0000));

	*seg = (struct x86_segment){
		.base = ((low >> 16) & 0xffffff) | ((low >> 32) & 0xff000000),
		.selector = selector,
		.type = (low >> 40) & 15,
		.s = (low >> 44) & 1,
		.dpl = (low >> 45) & 3,
		.present = (low >> 47) & 1,
		.avl = (low >> 52) & 1,
		.l = (low >> 53) & 1,
		.db = (low >> 54) & 1,
		.g = (low >> 55) & 1,
	};
	seg->limit = seg->g ? limit << 12 | 0xfff : limit;
}

/* The accessed bit, if it is not set yet (SDM vol. 3, 3.4.5.1). */
void x86_mark_accessed(struct x86_cpu *cpu, u16 selector, u64 low)
{
	struct x86_dtable ldt;
	const struct x86_dtable *table = table_of(cpu, selector, &ldt);
	u8 type = (u8)(low >> 40) | 1;

	if (!table || (low & BIT_ULL(40)))
		return;
	x86_store_sys(cpu, table->base + (selector & ~7u) + 5, &type, 1);
}

void x86_set_segment(struct x86_cpu *cpu, enum x86_seg_reg reg, const struct x86_segment *seg)
{
	cpu->seg[reg] = *seg;
	if (reg == X86_CS)
		x86_code_forget_jumps(cpu);
	x86_update_mode(cpu);
}

struct x86_segment x86_real_segment(enum x86_seg_reg reg, u16 selector, bool vm86)
{
	return (struct x86_segment){
		.base = (u64)selector << 4,
		.limit = 0xffff,
		.selector = selector,
		.type = reg == X86_CS && !vm86 ? 11 : 3,
		.s = true,
		.present = true,
		.dpl = vm86 ? 3 : 0,
	};
}

/* Null selectors: fine for data, in 64-bit mode below privilege 3 also for SS. */
static void load_null(struct x86_cpu *cpu, enum x86_seg_reg reg, u16 selector)
{
	struct x86_segment seg = {.selector = selector, .unusable = true};

	if (reg == X86_SS) {
		if (!(cpu->mode & X86_MODE_CS64) || cpu->cpl == 3 || (selector & 3) != cpu->cpl)
			x86_raise_code(cpu, X86_GP, 0);
		seg.dpl = cpu->cpl;
		seg.db = true;
	}
	x86_set_segment(cpu, reg, &seg);
}

static void check_data_segment(struct x86_cpu *cpu, u16 selector, const struct x86_segment *seg)
{
	bool code = seg->type & 8, conforming = code && (seg->type & 4);
	u8 rpl = selector & 3;

	if (!seg->s || (code && !(seg->type & 2)))
		x86_raise_code(cpu, X86_GP, selector & ~3u);
	if (!conforming && (rpl > seg->dpl || cpu->cpl > seg->dpl))
		x86_raise_code(cpu, X86_GP, selector & ~3u);
	if (!seg->present)
		x86_raise_code(cpu, X86_NP, selector & ~3u);
}

struct x86_segment x86_check_stack_segment(struct x86_cpu *cpu, u16 selector, u8 cpl,
					   enum x86_exception vector)
{
	struct x86_descriptor desc;
	struct x86_segment seg;

	if (!(selector & ~3))
		x86_raise_code(cpu, vector, 0);
	if (!x86_read_descriptor(cpu, selector, &desc))
		x86_raise_code(cpu, vector, selector & ~3u);
	x86_unpack_descriptor(selector, desc.low, &seg);
	if (!seg.s || (seg.type & 8) || !(seg.type & 2) || (selector & 3) != cpl || seg.dpl != cpl)
		x86_raise_code(cpu, vector, selector & ~3u);
	if (!seg.present)
		x86_raise_code(cpu, X86_STACK, selector & ~3u);
	x86_mark_accessed(cpu, selector, desc.low);
	seg.type |= 1;
	return seg;
}

void x86_load_segment(struct x86_cpu *cpu, enum x86_seg_reg reg, u16 selector)
{
	struct x86_descriptor desc;
	struct x86_segment seg;

	if (!x86_protected(cpu)) {
		/* Real mode keeps limit and attributes, virtual-8086 mode has its own. */
		seg = x86_vm86(cpu) ? x86_real_segment(reg, selector, true) : cpu->seg[reg];
		seg.selector = selector;
		seg.base = (u64)selector << 4;
		x86_set_segment(cpu, reg, &seg);
		return;
	}
	if (!(selector & ~3)) {
		load_null(cpu, reg, selector);
		return;
	}
	if (reg == X86_SS) {
		seg = x86_check_stack_segment(cpu, selector, cpu->cpl, X86_GP);
		x86_set_segment(cpu, reg, &seg);
		return;
	}
	if (!x86_read_descriptor(cpu, selector, &desc))
		x86_raise_code(cpu, X86_GP, selector & ~3u);
	x86_unpack_descriptor(selector, desc.low, &seg);
	check_data_segment(cpu, selector, &seg);
	x86_mark_accessed(cpu, selector, desc.low);
	seg.type |= 1;
	x86_set_segment(cpu, reg, &seg);
}

/* ---- stacks in the TSS ------------------------------------------------------------------ */

void x86_tss_stack(struct x86_cpu *cpu, u8 cpl, u16 *ss, u32 *esp)
{
	const struct x86_segment *tr = &cpu->seg[X86_TR];
	bool wide = tr->type & 8;
	u32 offset = wide ? 4 + cpl * 8u : 2 + cpl * 4u;

	if (tr->unusable || offset + (wide ? 5 : 3) > tr->limit)
		x86_raise_code(cpu, X86_TS, tr->selector & ~3u);
	*esp = 0;
	*ss = 0;
	x86_load_sys(cpu, tr->base + offset, esp, wide ? 4 : 2);
	x86_load_sys(cpu, tr->base + offset + (wide ? 4 : 2), ss, 2);
}

/* RSP0 to RSP2 are slots 0 to 2, IST1 to IST7 slots 4 to 10, of 8 bytes from 4 on. */
u64 x86_tss_rsp(struct x86_cpu *cpu, unsigned int slot)
{
	const struct x86_segment *tr = &cpu->seg[X86_TR];
	u32 offset = 4 + slot * 8u;
	u64 rsp;

	if (tr->unusable || offset + 7 > tr->limit)
		x86_raise_code(cpu, X86_TS, tr->selector & ~3u);
	x86_load_sys(cpu, tr->base + offset, &rsp, 8);
	return rsp;
}
