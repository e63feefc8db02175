// SPDX-License-Identifier: BSD-2-Clause
/*
 * CPUID: what this CPU model offers, and the leaves as a guest reads them
 * (SDM vol. 2, CPUID).
 *
 * Only what the interpreter executes is offered.  Vendor, family and brand are
 * the host's where the host is an x86, because programs compare the two.
 */
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "vcpu/x86/core.h"
#include "vcpu/x86/fpu_state.h"
#include "vcpu/x86/pv.h"

#define CPUID_INDEXED 1u /* KVM_CPUID_FLAG_SIGNIFCANT_INDEX */

/* 1:EDX */
#ifdef KVMU_HAVE_X87
#define LEAF1_EDX_X87 (BIT_ULL(0))
#else
#define LEAF1_EDX_X87 0
#endif
#ifdef KVMU_HAVE_SSE
#define LEAF1_EDX_SSE (BIT_ULL(24) | BIT_ULL(25) | BIT_ULL(26))
#define LEAF1_ECX_AVX BIT_ULL(28)
/* SSE3, PCLMULQDQ, SSSE3, SSE4.1, SSE4.2, AES, XSAVE, AVX */
#define LEAF1_ECX_SSE                                                                     \
	(BIT_ULL(0) | BIT_ULL(1) | BIT_ULL(9) | BIT_ULL(19) | BIT_ULL(20) | BIT_ULL(25) | \
	 BIT_ULL(26) | LEAF1_ECX_AVX)
#else
#define LEAF1_EDX_SSE 0
#define LEAF1_ECX_SSE 0
#endif
#ifdef KVMU_HAVE_BIT
#define LEAF1_ECX_POPCNT BIT_ULL(23)
#define LEAF7_EBX_BMI	 (BIT_ULL(3) | BIT_ULL(8))
#define LEAF81_ECX_LZCNT BIT_ULL(5)
#else
#define LEAF1_ECX_POPCNT 0
#define LEAF7_EBX_BMI	 0
#define LEAF81_ECX_LZCNT 0
#endif

/* DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH */
#define LEAF1_EDX                                                                          \
	(BIT_ULL(2) | BIT_ULL(3) | BIT_ULL(4) | BIT_ULL(5) | BIT_ULL(6) | BIT_ULL(7) |     \
	 BIT_ULL(8) | BIT_ULL(9) | BIT_ULL(11) | BIT_ULL(12) | BIT_ULL(13) | BIT_ULL(14) | \
	 BIT_ULL(15) | BIT_ULL(16) | BIT_ULL(17) | BIT_ULL(19) | LEAF1_EDX_X87 | LEAF1_EDX_SSE)
/* CX16, X2APIC, MOVBE, RDRAND, HYPERVISOR */
#define LEAF1_ECX                                                                              \
	(BIT_ULL(13) | BIT_ULL(21) | BIT_ULL(22) | BIT_ULL(30) | BIT_ULL(31) | LEAF1_ECX_SSE | \
	 LEAF1_ECX_POPCNT)
/* FSGSBASE, TSC_ADJUST, SMEP, ERMS, INVPCID, RDSEED, SMAP, CLFLUSHOPT, CLWB */
#define LEAF7_EBX                                                                        \
	(BIT_ULL(0) | BIT_ULL(1) | BIT_ULL(7) | BIT_ULL(9) | BIT_ULL(10) | BIT_ULL(18) | \
	 BIT_ULL(20) | BIT_ULL(23) | BIT_ULL(24) | LEAF7_EBX_BMI)
/* UMIP, LA57, RDPID */
#define LEAF7_ECX (BIT_ULL(2) | BIT_ULL(16) | BIT_ULL(22))
/* FSRM, SERIALIZE */
#define LEAF7_EDX (BIT_ULL(4) | BIT_ULL(14))
/* SYSCALL, NX, PDPE1GB, RDTSCP, LM */
#define LEAF81_EDX (BIT_ULL(11) | BIT_ULL(20) | BIT_ULL(26) | BIT_ULL(27) | BIT_ULL(29))
/* LAHF in 64-bit mode, 3DNOWPREFETCH */
#define LEAF81_ECX (BIT_ULL(0) | BIT_ULL(8) | LEAF81_ECX_LZCNT)

#define VENDOR_AMD_EBX 0x68747541u /* "Auth" of AuthenticAMD */

#define LEAF1_ECX_MWAIT BIT_ULL(3)
/* Steal time is the owner's to take away where the host does not count it. */
#define PV_FEATURES                                                                         \
	(1u << X86_PV_CLOCKSOURCE | 1u << X86_PV_NOP_IO_DELAY | 1u << X86_PV_CLOCKSOURCE2 | \
	 1u << X86_PV_STEAL_TIME | 1u << X86_PV_UNHALT | 1u << X86_PV_SEND_IPI |            \
	 1u << X86_PV_POLL_CONTROL | 1u << X86_PV_SCHED_YIELD | 1u << X86_PV_CLOCKSOURCE_STABLE)

#define LEAF1_ECX_OSXSAVE BIT_ULL(27)
#define LEAF1_EDX_APIC	  BIT_ULL(9)

static void native(u32 function, u32 out[4])
{
	memset(out, 0, 4 * sizeof(u32));
#if defined(__x86_64__)
	if ((u32)__get_cpuid_max(function & 0x80000000, NULL) >= function)
		__cpuid_count(function, 0, out[0], out[1], out[2], out[3]);
#else
	if (function == 0)
		memcpy(out, (const u32[4]){0xd, 0x756e6547, 0x6c65746e, 0x49656e69}, 16);
	if (function == 1)
		out[0] = 0x306c1;
#endif
}

static struct x86_cpuid_entry *add(struct x86_cpuid_entry *entries, u32 *nr, u32 max, u32 function)
{
	static struct x86_cpuid_entry nowhere;
	struct x86_cpuid_entry *e = *nr < max ? &entries[*nr] : &nowhere;

	++*nr;
	*e = (struct x86_cpuid_entry){.function = function};
	return e;
}

static void add_basic(struct x86_cpuid_entry *entries, u32 *nr, u32 max)
{
	struct x86_cpuid_entry *e = add(entries, nr, max, 0);
	u32 host[4];

	native(0, host);
	e->eax = 0xd;
	e->ebx = host[1];
	e->ecx = host[2];
	e->edx = host[3];

	native(1, host);
	e = add(entries, nr, max, 1);
	e->eax = host[0];
	e->ebx = 8u << 8; /* CLFLUSH of 64 bytes */
	e->ecx = (u32)LEAF1_ECX;
	e->edx = (u32)LEAF1_EDX;

	e = add(entries, nr, max, 2);
	e->eax = 1;
	add(entries, nr, max, 4)->flags = CPUID_INDEXED;
	add(entries, nr, max, 6)->eax = 4; /* ARAT */
	e = add(entries, nr, max, 7);
	e->flags = CPUID_INDEXED;
	e->ebx = (u32)LEAF7_EBX;
	e->ecx = (u32)LEAF7_ECX;
	e->edx = (u32)LEAF7_EDX;
	add(entries, nr, max, 0xb)->flags = CPUID_INDEXED;
}

#define LEAF_D1_EAX_XSAVEOPT BIT_ULL(0)
#define LEAF_D1_EAX_XSAVEC   BIT_ULL(1)

/* State components and where they are (SDM vol. 1, 13.2). */
static void add_xsave(struct x86_cpuid_entry *entries, u32 *nr, u32 max)
{
	struct x86_cpuid_entry *e = add(entries, nr, max, 0xd);

	e->flags = CPUID_INDEXED;
	e->eax = (u32)X86_XFEATURES;
	e->ebx = e->ecx = X86_XSAVE_BYTES;
	e = add(entries, nr, max, 0xd);
	e->flags = CPUID_INDEXED;
	e->index = 1;
	e->eax = (u32)(LEAF_D1_EAX_XSAVEOPT | LEAF_D1_EAX_XSAVEC);
	e->ebx = X86_XSAVE_BYTES;
	e = add(entries, nr, max, 0xd);
	e->flags = CPUID_INDEXED;
	e->index = 2;
	e->eax = X86_XSAVE_BYTES - X86_XS_YMM;
	e->ebx = X86_XS_YMM;
}

static void add_extended(struct x86_cpuid_entry *entries, u32 *nr, u32 max)
{
	struct x86_cpuid_entry *e = add(entries, nr, max, 0x80000000);
	u32 host[4], phys = 48;

	native(0, host);
	e->eax = 0x80000008;
	/* AMD repeats the vendor here. */
	if (host[1] == VENDOR_AMD_EBX) {
		e->ebx = host[1];
		e->ecx = host[2];
		e->edx = host[3];
	}
	e = add(entries, nr, max, 0x80000001);
	e->ecx = (u32)LEAF81_ECX;
	e->edx = (u32)LEAF81_EDX;
	for (u32 i = 0x80000002; i <= 0x80000004; i++) {
		e = add(entries, nr, max, i);
		native(i, host);
		e->eax = host[0];
		e->ebx = host[1];
		e->ecx = host[2];
		e->edx = host[3];
	}
	e = add(entries, nr, max, 0x80000007);
	e->edx = 1u << 8; /* invariant TSC */
	native(0x80000008, host);
	if ((host[0] & 0xff) && (host[0] & 0xff) < phys)
		phys = host[0] & 0xff;
	e = add(entries, nr, max, 0x80000008);
	e->eax = phys | (LEAF7_ECX & BIT_ULL(16) ? 57u : 48u) << 8;
}

static void add_hypervisor(struct x86_cpuid_entry *entries, u32 *nr, u32 max)
{
	struct x86_cpuid_entry *e = add(entries, nr, max, 0x40000000);

	e->eax = 0x40000001;
	memcpy(&e->ebx, "KVMKVMKVM\0\0\0", 12);
	e = add(entries, nr, max, 0x40000001);
	e->eax = PV_FEATURES;
}

u32 x86_supported_cpuid(struct x86_cpuid_entry *entries, u32 max)
{
	u32 nr = 0;

	add_basic(entries, &nr, max);
	add_xsave(entries, &nr, max);
	add_hypervisor(entries, &nr, max);
	add_extended(entries, &nr, max);
	return nr;
}

/* ---- what a guest reads -------------------------------------------------------------------- */

const struct x86_cpuid_entry *x86_find_cpuid(const struct x86_cpu *cpu, u32 function, u32 index)
{
	for (u32 i = 0; i < cpu->nr_cpuid; i++) {
		const struct x86_cpuid_entry *e = &cpu->cpuid[i];

		if (e->function == function && (!(e->flags & CPUID_INDEXED) || e->index == index))
			return e;
	}
	return NULL;
}

/* Beyond the last leaf Intel answers with that leaf, AMD with zeros. */
static const struct x86_cpuid_entry *out_of_range(const struct x86_cpu *cpu, u32 function,
						  u32 index)
{
	const struct x86_cpuid_entry *basic = x86_find_cpuid(cpu, 0, 0);
	const struct x86_cpuid_entry *limit = x86_find_cpuid(cpu, function & 0xc0000000, 0);

	if (!basic || basic->ebx == VENDOR_AMD_EBX)
		return NULL;
	if (limit && function <= limit->eax)
		return NULL;
	return x86_find_cpuid(cpu, basic->eax, index);
}

static void live_features(const struct x86_cpu *cpu, struct x86_cpuid_entry *e)
{
	e->ecx &= ~(u32)LEAF1_ECX_OSXSAVE;
	if (cpu->cr4 & X86_CR4_OSXSAVE)
		e->ecx |= (u32)LEAF1_ECX_OSXSAVE;
	if (!(cpu->apic_base & BIT_ULL(11)))
		e->edx &= ~(u32)LEAF1_EDX_APIC;
	if (x86_has_quirk(cpu->machine, X86_QUIRK_MISC_ENABLE_NO_MWAIT))
		return;
	e->ecx &= ~(u32)LEAF1_ECX_MWAIT;
	if (cpu->misc_enable & X86_MISC_ENABLE_MWAIT)
		e->ecx |= (u32)LEAF1_ECX_MWAIT;
}

/* The size of the area for what XCR0 enables; sub-leaf 1: of the compacted format, if any. */
static void live_xsave_size(const struct x86_cpu *cpu, struct x86_cpuid_entry *e)
{
	if (e->index == 0 || (e->index == 1 && (e->eax & LEAF_D1_EAX_XSAVEC)))
		e->ebx = x86_xsave_bytes(cpu->xcr0);
}

void x86_cpuid_live(const struct x86_cpu *cpu, struct x86_cpuid_entry *e)
{
	if (e->function == 1)
		live_features(cpu, e);
	if (e->function == 0xd)
		live_xsave_size(cpu, e);
}

void x86_cpuid(const struct x86_cpu *cpu, u32 function, u32 index, u32 out[4])
{
	const struct x86_cpuid_entry *e = x86_find_cpuid(cpu, function, index);
	struct x86_cpuid_entry now;

	memset(out, 0, 4 * sizeof(u32));
	if (!e)
		e = out_of_range(cpu, function, index);
	if (!e) {
		/* The APIC id is there for every sub-leaf of 0xb. */
		if (function == 0xb || function == 0x1f) {
			out[2] = index & 0xff;
			out[3] = cpu->vcpu.vcpu_id;
		}
		return;
	}
	now = *e;
	x86_cpuid_live(cpu, &now);
	out[0] = now.eax;
	out[1] = now.ebx;
	out[2] = now.ecx;
	out[3] = now.edx;
}

struct x86_features x86_features(const struct x86_cpu *cpu)
{
	const struct x86_cpuid_entry *leaf1 = x86_find_cpuid(cpu, 1, 0);
	const struct x86_cpuid_entry *leaf7 = x86_find_cpuid(cpu, 7, 0);

	if (!cpu->nr_cpuid)
		return (struct x86_features){(u32)LEAF1_ECX, (u32)LEAF7_EBX, (u32)LEAF7_ECX};
	return (struct x86_features){
		.leaf1_ecx = leaf1 ? leaf1->ecx : 0,
		.leaf7_ebx = leaf7 ? leaf7->ebx : 0,
		.leaf7_ecx = leaf7 ? leaf7->ecx : 0,
	};
}

bool x86_cpuid_has_mwait(const struct x86_cpu *cpu)
{
	u32 out[4];

	x86_cpuid(cpu, 1, 0, out);
	return out[2] & LEAF1_ECX_MWAIT;
}

bool x86_pv_feature(const struct x86_cpu *cpu, unsigned int bit)
{
	const struct x86_cpuid_entry *e = x86_find_cpuid(cpu, 0x40000001, 0);

	return !cpu->enforce_pv_features || (e && (e->eax & BIT_ULL(bit)));
}

bool x86_vendor_is_amd(void)
{
	u32 host[4];

	native(0, host);
	return host[1] == VENDOR_AMD_EBX;
}

/* By leaf 0xD, as KVM: nothing before there is one.  AVX state is nothing for a CPU without AVX. */
static u64 xcr0_offered(const struct x86_cpu *cpu)
{
	const struct x86_cpuid_entry *e = x86_find_cpuid(cpu, 0xd, 0);
	u64 offered = e ? X86_XFEATURES & e->eax : 0;

	if (!(x86_features(cpu).leaf1_ecx & LEAF1_ECX_AVX))
		offered &= ~X86_XFEATURE_YMM;
	return offered;
}

bool x86_xcr0_valid(const struct x86_cpu *cpu, u64 value)
{
	if (!(value & X86_XFEATURE_X87) || (value & ~(cpu->xcr0_offered | X86_XFEATURE_X87)))
		return false;
	return !(value & X86_XFEATURE_YMM) || (value & X86_XFEATURE_SSE);
}

void x86_cpuid_changed(struct x86_cpu *cpu)
{
	const struct x86_cpuid_entry *e = x86_find_cpuid(cpu, 0x80000008, 0);

	cpu->xcr0_offered = xcr0_offered(cpu);
	x86_update_mode(cpu);
	cpu->maxphyaddr = e && (e->eax & 0xff) ? (u8)(e->eax & 0xff) : 36;
	if (cpu->maxphyaddr > 52)
		cpu->maxphyaddr = 52;
	if (cpu->maxphyaddr < 32)
		cpu->maxphyaddr = 32;
	x86_flush_tlb(cpu);
	x86_code_changed(cpu);
}
