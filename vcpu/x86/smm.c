/* SPDX-License-Identifier: BSD-2-Clause */
/* See smm.h.  Entry: SDM vol. 3, 32.4 and 32.5; RSM: 32.7. */
#include "vcpu/x86/smm.h"

#include <string.h>

#include "base/trace.h"
#include "vcpu/x86/core.h"
#include "vcpu/x86/debug.h"
#include "vcpu/x86/flags.h"

#define REVISION_32 0x20000u
#define REVISION_64 0x20064u

/* Bits of RFLAGS that exist. */
#define RFLAGS_DEFINED 0x3f7fd7ull

/* What is saved, in a form of its own: @value by enum scalar. */
enum scalar {
	RIP = 16, /* below: general registers by enum x86_reg */
	RFLAGS,
	CR0,
	CR3,
	CR4,
	EFER,
	DR6,
	DR7,
	SMBASE,
	REVISION,
	SHADOW, /* of interrupts: bit 0 STI, bit 1 MOV SS */
	GDT_BASE,
	GDT_LIMIT,
	IDT_BASE,
	IDT_LIMIT,
	NR_SCALARS,
};

struct smm_state {
	u64 value[NR_SCALARS];
	struct x86_segment seg[X86_NR_SEGS];
};

/* ---- layouts ------------------------------------------------------------------------ */

/* Offsets from SMBASE. */
struct scalar_place {
	u8 scalar;
	u8 bytes;
	u16 at;
};

struct segment_place {
	u8 seg; /* enum x86_seg_reg */
	u16 selector, attributes, limit, base;
};

struct layout {
	const struct scalar_place *scalars;
	const struct segment_place *segs;
	unsigned int nr_scalars;
	unsigned int attribute_bytes, attribute_shift, base_bytes;
	u32 revision;
};

static const struct scalar_place scalars_64[] = {
	{X86_RAX, 8, 0xfff8},	{X86_RCX, 8, 0xfff0},  {X86_RDX, 8, 0xffe8},
	{X86_RBX, 8, 0xffe0},	{X86_RSP, 8, 0xffd8},  {X86_RBP, 8, 0xffd0},
	{X86_RSI, 8, 0xffc8},	{X86_RDI, 8, 0xffc0},  {X86_R8, 8, 0xffb8},
	{X86_R9, 8, 0xffb0},	{X86_R10, 8, 0xffa8},  {X86_R11, 8, 0xffa0},
	{X86_R12, 8, 0xff98},	{X86_R13, 8, 0xff90},  {X86_R14, 8, 0xff88},
	{X86_R15, 8, 0xff80},	{RIP, 8, 0xff78},      {RFLAGS, 8, 0xff70},
	{DR6, 8, 0xff68},	{DR7, 8, 0xff60},      {CR0, 8, 0xff58},
	{CR3, 8, 0xff50},	{CR4, 8, 0xff48},      {SMBASE, 4, 0xff00},
	{REVISION, 4, 0xfefc},	{EFER, 8, 0xfed0},     {SHADOW, 1, 0xfecb},
	{IDT_LIMIT, 4, 0xfe84}, {IDT_BASE, 8, 0xfe88}, {GDT_LIMIT, 4, 0xfe64},
	{GDT_BASE, 8, 0xfe68},
};

#define SEGMENT_64(seg, at)                           \
	{                                             \
		seg, at, (at) + 2, (at) + 4, (at) + 8 \
	}
static const struct segment_place segs_64[] = {
	SEGMENT_64(X86_ES, 0xfe00),   SEGMENT_64(X86_CS, 0xfe10), SEGMENT_64(X86_SS, 0xfe20),
	SEGMENT_64(X86_DS, 0xfe30),   SEGMENT_64(X86_FS, 0xfe40), SEGMENT_64(X86_GS, 0xfe50),
	SEGMENT_64(X86_LDTR, 0xfe70), SEGMENT_64(X86_TR, 0xfe90),
};

static const struct layout layout_64 = {
	.scalars = scalars_64,
	.nr_scalars = ARRAY_SIZE(scalars_64),
	.segs = segs_64,
	.attribute_bytes = 2,
	.attribute_shift = 8,
	.base_bytes = 8,
	.revision = REVISION_64,
};

static const struct scalar_place scalars_32[] = {
	{X86_RAX, 4, 0xffd0},	{X86_RCX, 4, 0xffd4},  {X86_RDX, 4, 0xffd8},
	{X86_RBX, 4, 0xffdc},	{X86_RSP, 4, 0xffe0},  {X86_RBP, 4, 0xffe4},
	{X86_RSI, 4, 0xffe8},	{X86_RDI, 4, 0xffec},  {RIP, 4, 0xfff0},
	{RFLAGS, 4, 0xfff4},	{CR3, 4, 0xfff8},      {CR0, 4, 0xfffc},
	{DR6, 4, 0xffcc},	{DR7, 4, 0xffc8},      {CR4, 4, 0xff14},
	{SMBASE, 4, 0xfef8},	{REVISION, 4, 0xfefc}, {SHADOW, 1, 0xff1a},
	{IDT_LIMIT, 4, 0xff54}, {IDT_BASE, 4, 0xff58}, {GDT_LIMIT, 4, 0xff70},
	{GDT_BASE, 4, 0xff74},
};

#define SEGMENT_32(seg, selector, at)                 \
	{                                             \
		seg, selector, at, (at) + 4, (at) + 8 \
	}
static const struct segment_place segs_32[] = {
	SEGMENT_32(X86_ES, 0xffa8, 0xff84),   SEGMENT_32(X86_CS, 0xffac, 0xff90),
	SEGMENT_32(X86_SS, 0xffb0, 0xff9c),   SEGMENT_32(X86_DS, 0xffb4, 0xff2c),
	SEGMENT_32(X86_FS, 0xffb8, 0xff38),   SEGMENT_32(X86_GS, 0xffbc, 0xff44),
	SEGMENT_32(X86_LDTR, 0xffc0, 0xff78), SEGMENT_32(X86_TR, 0xffc4, 0xff5c),
};
static_assert(ARRAY_SIZE(segs_32) == ARRAY_SIZE(segs_64), "both have all segments");

static const struct layout layout_32 = {
	.scalars = scalars_32,
	.nr_scalars = ARRAY_SIZE(scalars_32),
	.segs = segs_32,
	.attribute_bytes = 4,
	.attribute_shift = 0,
	.base_bytes = 4,
	.revision = REVISION_32,
};

/* Long mode in CPUID, not in use. */
static bool has_long_mode(const struct x86_cpu *cpu)
{
	const struct x86_cpuid_entry *leaf = x86_find_cpuid(cpu, 0x80000001, 0);

	return leaf && (leaf->edx & BIT_ULL(29));
}

static const struct layout *layout_of(const struct x86_cpu *cpu)
{
	return has_long_mode(cpu) ? &layout_64 : &layout_32;
}

/* As in the second word of a descriptor; a segment that cannot be used is not present. */
static u32 pack_attributes(const struct x86_segment *seg)
{
	return (u32)(seg->type << 8 | seg->s << 12 | seg->dpl << 13 |
		     (seg->present && !seg->unusable) << 15 | seg->avl << 20 | seg->l << 21 |
		     seg->db << 22 | seg->g << 23);
}

static void unpack_attributes(struct x86_segment *seg, u32 attributes)
{
	seg->type = (attributes >> 8) & 15;
	seg->s = attributes >> 12 & 1;
	seg->dpl = (attributes >> 13) & 3;
	seg->present = attributes >> 15 & 1;
	seg->unusable = !seg->present;
	seg->avl = attributes >> 20 & 1;
	seg->l = attributes >> 21 & 1;
	seg->db = attributes >> 22 & 1;
	seg->g = attributes >> 23 & 1;
}

/* Little-endian, as guest memory is. */
static void put(u8 *image, u16 at, u64 value, unsigned int bytes)
{
	memcpy(image + at - X86_SMM_STATE, &value, bytes);
}

static u64 get(const u8 *image, u16 at, unsigned int bytes)
{
	u64 value = 0;

	memcpy(&value, image + at - X86_SMM_STATE, bytes);
	return value;
}

static void pack(const struct layout *layout, const struct smm_state *state, u8 *image)
{
	for (unsigned int i = 0; i < layout->nr_scalars; i++) {
		const struct scalar_place *place = &layout->scalars[i];

		put(image, place->at, state->value[place->scalar], place->bytes);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(segs_64); i++) {
		const struct segment_place *place = &layout->segs[i];
		const struct x86_segment *seg = &state->seg[place->seg];

		put(image, place->selector, seg->selector, 2);
		put(image, place->attributes, pack_attributes(seg) >> layout->attribute_shift,
		    layout->attribute_bytes);
		put(image, place->limit, seg->limit, 4);
		put(image, place->base, seg->base, layout->base_bytes);
	}
}

/* What the layout does not have stays as it is in @state. */
static void unpack(const struct layout *layout, const u8 *image, struct smm_state *state)
{
	for (unsigned int i = 0; i < layout->nr_scalars; i++) {
		const struct scalar_place *place = &layout->scalars[i];

		state->value[place->scalar] = get(image, place->at, place->bytes);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(segs_64); i++) {
		const struct segment_place *place = &layout->segs[i];
		struct x86_segment *seg = &state->seg[place->seg];

		seg->selector = (u16)get(image, place->selector, 2);
		unpack_attributes(seg, (u32)get(image, place->attributes, layout->attribute_bytes)
					       << layout->attribute_shift);
		seg->limit = (u32)get(image, place->limit, 4);
		seg->base = get(image, place->base, layout->base_bytes);
	}
}

/* ---- the CPU's state ---------------------------------------------------------------- */

static void gather(struct x86_cpu *cpu, struct smm_state *state)
{
	u64 *value = state->value;

	memcpy(value, cpu->regs, 16 * sizeof(value[0]));
	memcpy(state->seg, cpu->seg, sizeof(state->seg));
	value[RIP] = cpu->regs[X86_REG_RIP];
	value[RFLAGS] = x86_rflags(cpu);
	value[CR0] = cpu->cr0;
	value[CR3] = cpu->cr3;
	value[CR4] = cpu->cr4;
	value[EFER] = cpu->efer;
	value[DR6] = cpu->dr[6];
	value[DR7] = cpu->dr[7];
	value[SMBASE] = cpu->smbase;
	value[REVISION] = layout_of(cpu)->revision;
	value[SHADOW] = (u64)cpu->sti_shadow | (u64)cpu->ss_shadow << 1;
	value[GDT_BASE] = cpu->gdt.base;
	value[GDT_LIMIT] = cpu->gdt.limit;
	value[IDT_BASE] = cpu->idt.base;
	value[IDT_LIMIT] = cpu->idt.limit;
}

/* What SMRAM says of LMA counts as little as what is written to EFER. */
static u64 efer_of(const struct smm_state *state)
{
	u64 efer = state->value[EFER] & ~(u64)X86_EFER_LMA;

	return (efer & X86_EFER_LME) && (state->value[CR0] & X86_CR0_PG) ? efer | X86_EFER_LMA
									 : efer;
}

/* SDM vol. 3, 32.4.1: what of the state sends RSM into shutdown; and what no mode has. */
static bool state_valid(const struct x86_cpu *cpu, const struct smm_state *state)
{
	const u64 *value = state->value;
	const u64 efer = efer_of(state);

	if (value[DR6] >> 32 || value[DR7] >> 32)
		return false;
	if (!x86_sregs_valid(cpu, value[CR0], value[CR3], value[CR4], efer))
		return false;
	return !(efer & X86_EFER_LMA) || (!(state->seg[X86_CS].l && state->seg[X86_CS].db) &&
					  !(value[RFLAGS] & X86_EFLAGS_VM));
}

static void load(struct x86_cpu *cpu, const struct smm_state *state)
{
	const u64 *value = state->value;

	memcpy(cpu->regs, value, 16 * sizeof(value[0]));
	memcpy(cpu->seg, state->seg, sizeof(cpu->seg));
	cpu->regs[X86_REG_RIP] = value[RIP];
	x86_set_rflags_raw(cpu, (value[RFLAGS] & RFLAGS_DEFINED) | X86_EFLAGS_FIXED);
	cpu->cr0 = value[CR0] | X86_CR0_ET;
	cpu->cr3 = value[CR3];
	cpu->cr4 = value[CR4];
	cpu->efer = efer_of(state);
	cpu->dr[6] = value[DR6] | X86_DR6_FIXED;
	cpu->dr[7] = value[DR7] | X86_DR7_FIXED;
	cpu->smbase = value[SMBASE];
	cpu->sti_shadow = value[SHADOW] & 1;
	cpu->ss_shadow = value[SHADOW] & 2;
	cpu->gdt = (struct x86_dtable){value[GDT_BASE], (u16)value[GDT_LIMIT]};
	cpu->idt = (struct x86_dtable){value[IDT_BASE], (u16)value[IDT_LIMIT]};
	x86_cpu_state_changed(cpu);
	cpu->regs[X86_REG_RIP] = x86_wrap_rip(cpu, value[RIP]);
}

/* SDM vol. 3, table 32-4: like real mode, with limits of 4 GiB. */
static void load_initial(struct x86_cpu *cpu)
{
	const struct x86_segment flat = {
		.limit = ~0u, .type = 3, .s = true, .present = true, .g = true};

	for (unsigned int i = X86_ES; i <= X86_GS; i++)
		cpu->seg[i] = flat;
	cpu->seg[X86_CS].selector = (u16)(cpu->smbase >> 4);
	cpu->seg[X86_CS].base = cpu->smbase;
	x86_set_rflags_raw(cpu, X86_EFLAGS_FIXED);
	cpu->regs[X86_REG_RIP] = X86_SMM_ENTRY;
	cpu->sti_shadow = cpu->ss_shadow = false;
	cpu->cr0 &= ~(u64)(X86_CR0_PE | X86_CR0_EM | X86_CR0_TS | X86_CR0_PG);
	cpu->cr4 = 0;
	cpu->efer = has_long_mode(cpu) ? 0 : cpu->efer & ~(u64)X86_EFER_LMA;
	cpu->idt = (struct x86_dtable){0, 0};
	cpu->dr[7] = X86_DR7_FIXED;
	x86_cpu_state_changed(cpu);
}

/* ---- in and out ---------------------------------------------------------------------- */

void x86_set_smm(struct x86_cpu *cpu, bool smm)
{
	kvmu_trace(kvm, kvm_smm_transition, cpu->vcpu.vcpu_id, cpu->smbase, smm);
	kvm_mmu_set_smm(&cpu->vcpu, smm);
	if (!smm) {
		cpu->smm_inside_nmi = false;
		/* An INIT may have been latched. */
		kvm_make_request(&cpu->vcpu, KVM_REQ_EVENT);
	}
	/* What no memory was may be some here; no translation is good for both. */
	cpu->run.nr_mmio_pages = 0;
	x86_cpu_state_changed(cpu);
}

void x86_enter_smm(struct x86_cpu *cpu)
{
	u8 image[X86_SMM_BYTES] = {0};
	struct smm_state state;

	cpu->smi_pending = false;
	cpu->smi_count++;
	gather(cpu, &state);
	pack(layout_of(cpu), &state, image);
	x86_set_smm(cpu, true);
	if (kvm_vcpu_write_guest(&cpu->vcpu, cpu->smbase + X86_SMM_STATE, image, sizeof(image))) {
		kvm_vm_bugged(cpu->vcpu.kvm);
		return;
	}
	cpu->smm_inside_nmi = cpu->nmi_masked;
	cpu->nmi_masked = true;
	load_initial(cpu);
}

static bool pdptrs_there(struct x86_cpu *cpu, const struct smm_state *state)
{
	u64 pdptr[4];

	return !x86_pae_paging(state->value[CR0], state->value[CR4], efer_of(state)) ||
	       x86_load_pdptrs(cpu, state->value[CR3], pdptr, false);
}

void x86_leave_smm(struct x86_cpu *cpu)
{
	u8 image[X86_SMM_BYTES];
	struct smm_state state;

	if (kvm_vcpu_read_guest(&cpu->vcpu, cpu->smbase + X86_SMM_STATE, image, sizeof(image))) {
		cpu->exit = X86_EXIT_SHUTDOWN;
		return;
	}
	gather(cpu, &state);
	unpack(layout_of(cpu), image, &state);
	cpu->nmi_masked = cpu->smm_inside_nmi;
	x86_set_smm(cpu, false);
	if (state_valid(cpu, &state) && pdptrs_there(cpu, &state))
		load(cpu, &state);
	else
		cpu->exit = X86_EXIT_SHUTDOWN;
}
