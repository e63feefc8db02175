/* SPDX-License-Identifier: BSD-2-Clause */
/* See compare.h. */
#include <stdio.h>
#include <string.h>

#include "tests/vcpu/sse/compare.h"

u64 seed;
unsigned int rounds = 300, nr_forms, nr_wrong;
bool unmasked_run;

/* Does it name a general register that the harness does not carry? */
bool outside_harness(const struct insn *insn)
{
	for (unsigned int i = 0; i < insn->decoded.operand_count; i++) {
		ZydisRegister r = insn->operands[i].reg.value;

		if (insn->operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ((r >= ZYDIS_REGISTER_R10 && r <= ZYDIS_REGISTER_R15) ||
		     (r >= ZYDIS_REGISTER_R10D && r <= ZYDIS_REGISTER_R15D)))
			return true;
	}
	return false;
}

static void print_insn(const struct insn *insn)
{
	for (unsigned int i = 0; i < insn->len; i++)
		fprintf(stderr, "%02x ", insn->bytes[i]);
	fprintf(stderr, " %s\n", ZydisMnemonicGetString(insn->decoded.mnemonic));
}

static void print_vec(const char *what, const union vec *v)
{
	fprintf(stderr, "  %-8s %016llx %016llx\n", what, (unsigned long long)v->uq[1],
		(unsigned long long)v->uq[0]);
}

static void print_ymm(const char *what, const struct state *st, unsigned int n)
{
	print_vec(what, &st->xmm[n]);
	print_vec("  high", &st->high[n]);
}

static void report(const struct insn *insn, const struct state *in, const struct state *ours,
		   const struct state *host)
{
	fprintf(stderr, "seed %llu: ", (unsigned long long)seed);
	print_insn(insn);
	fprintf(stderr, "  mxcsr in %04x ours %04x host %04x; fault ours %d host %d\n", in->mxcsr,
		ours->mxcsr, host->mxcsr, ours->fault, host->fault);
	fprintf(stderr, "  flags ours %03llx host %03llx\n", (unsigned long long)ours->rflags,
		(unsigned long long)host->rflags);
	for (unsigned int i = 0; i < 16; i++) {
		if (memcmp(&ours->xmm[i], &host->xmm[i], 16) == 0 &&
		    memcmp(&ours->high[i], &host->high[i], 16) == 0 && i > 3)
			continue;
		fprintf(stderr, " ymm%u\n", i);
		print_ymm("in", in, i);
		print_ymm("ours", ours, i);
		print_ymm("host", host, i);
	}
	for (unsigned int i = 0; i < 8; i++)
		if (ours->gpr[i] != host->gpr[i])
			fprintf(stderr, "  gpr%u in %llx ours %llx host %llx\n", i,
				(unsigned long long)in->gpr[i], (unsigned long long)ours->gpr[i],
				(unsigned long long)host->gpr[i]);
	print_vec("memory", (const union vec *)(const void *)in->buffer);
}

/*
 * The limits stated in exec_sse_float.c: underflow stays masked here, and PE is
 * not compared when an overflow was unmasked.
 */
static u32 comparable_mxcsr(const struct state *st)
{
	bool overflow = st->fault == X86_XM && (st->mxcsr & 0x408) == 8;

	if (PORTABLE)
		return 0;
	return overflow ? st->mxcsr & ~0x20u : st->mxcsr;
}

static bool same(const struct state *a, const struct state *b)
{
	return a->fault == b->fault && comparable_mxcsr(a) == comparable_mxcsr(b) &&
	       a->rflags == b->rflags && memcmp(a->xmm, b->xmm, sizeof(a->xmm)) == 0 &&
	       memcmp(a->high, b->high, sizeof(a->high)) == 0 &&
	       memcmp(a->gpr, b->gpr, sizeof(a->gpr)) == 0 &&
	       memcmp(a->buffer, b->buffer, sizeof(a->buffer)) == 0;
}

/* The legacy mnemonic's name for both encodings. */
static const char *base_name(const struct insn *insn)
{
	const char *name = ZydisMnemonicGetString(insn->decoded.mnemonic);

	return insn->decoded.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ? name + 1 : name;
}

static bool approximates(const char *name)
{
	return strncmp(name, "rcp", 3) == 0 || strncmp(name, "rsqrt", 5) == 0;
}

static bool rounds_to_integer(const char *name)
{
	return strncmp(name, "round", 5) == 0 || strstr(name, "2dq") || strstr(name, "2si");
}

/* Some hosts have bit 17 of MXCSR (misaligned SSE operands), which ours is without. */
static void tame(const char *name, struct state *st)
{
	if (strcmp(name, "ldmxcsr") == 0)
		st->buffer[2] &= (u8)~2;
}

void compare_form(const struct insn *insn, const struct x86_op *op)
{
	const char *name = base_name(insn);

	(void)op;
	if (PORTABLE && approximates(name))
		return;
	nr_forms++;
	for (unsigned int i = 0; i < rounds; i++) {
		struct state in, ours, host;
		struct insn varied;
		u8 bytes[16];

		/* A fresh immediate where there is one. */
		memcpy(bytes, insn->bytes, sizeof(bytes));
		if (insn->decoded.raw.imm[0].size)
			bytes[insn->decoded.raw.imm[0].offset] = (u8)random64();
		if (!decode(&varied, bytes, sizeof(bytes)))
			continue;
		random_state(&in, unmasked_run);
		in.mxcsr |= 0x800;
		tame(name, &in);
		if (PORTABLE)
			in.mxcsr = 0x1f80 |
				   (rounds_to_integer(name) ? (u32)(random64() & 3) << 13 : 0);
		if (varied.uses_memory)
			in.gpr[varied.fixed_rdi ? 5 : 4] = (u64)(uintptr_t)in.memory;
		ours = host = in;
		run_host(&varied, &host);
		run_ours(&varied, &ours);
		if (same(&ours, &host))
			continue;
		if (nr_wrong++ < 12)
			report(&varied, &in, &ours, &host);
		return;
	}
}

void compare_init(void)
{
	seed = harness_start(&rounds);
}
