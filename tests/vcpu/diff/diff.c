/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The differential tester's main loop and its reports.
 *
 *	diff [--seed N] [--cases N] [--forever] [--mode64] [--keep-going] [--stats]
 *
 * Case number i of a run has the seed N + i and depends on nothing else, so a
 * failure is repeated with --seed (its seed) --cases 1.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/vcpu/diff/diff.h"

#define MAX_REPORTS 20

struct options {
	u64 seed, cases;
	bool forever, mode64, keep_going, stats;
};

static u8 background[DIFF_SCRATCH_PAGES * PAGE_SIZE];
static u64 per_mnemonic[ZYDIS_MNEMONIC_MAX_VALUE + 1], per_exception[32];
static u64 refused; /* cases the interpreter has no handler for */

/* ---- reports --------------------------------------------------------------------------------- */

static const char *exception_name(int exception, char buf[16])
{
	if (exception == DIFF_NO_EXCEPTION)
		return "none";
	if (exception == DIFF_NOT_SELECTED)
		return "no handler";
	snprintf(buf, 16, "vector %d", exception);
	return buf;
}

static void print_instruction(const struct diff_case *c)
{
	char text[128] = "?";
	ZydisFormatter f;

	ZydisFormatterInit(&f, ZYDIS_FORMATTER_STYLE_INTEL);
	ZydisFormatterFormatInstruction(&f, &c->insn, c->operands, c->insn.operand_count_visible,
					text, sizeof(text), diff_native_rip(c), NULL);
	printf("seed %" PRIu64 " (%s, %s):", c->seed, c->family->name,
	       c->mode32 ? "32-bit" : "64-bit");
	for (unsigned int i = 0; i < c->len; i++)
		printf(" %02x", c->bytes[i]);
	printf("  %s\n", text);
}

static void print_registers(const struct diff_case *c, const struct diff_result *native,
			    const struct diff_result *interp)
{
	static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
					      "rsi", "rdi", "r8",  "r9",  "r10", "r11",
					      "r12", "r13", "r14", "r15"};

	printf("  %-6s %-16s %-16s %-16s\n", "", "before", "host", "ours");
	for (unsigned int i = 0; i < (c->mode32 ? 8 : 16); i++)
		printf("  %-6s %016" PRIx64 " %016" PRIx64 " %016" PRIx64 "%s\n", names[i],
		       c->in.gpr[i], native->out.gpr[i], interp->out.gpr[i],
		       native->out.gpr[i] != interp->out.gpr[i] ? "  <--" : "");
	printf("  flags  %016" PRIx64 " %016" PRIx64 " %016" PRIx64 " compared %x\n", c->in.rflags,
	       native->out.rflags, interp->out.rflags, diff_defined_flags(c));
}

static void print_memory(void)
{
	const u8 *native = diff_native_memory(), *interp = diff_interp_memory();
	unsigned int shown = 0;

	for (u64 i = 0; i < DIFF_RW_BYTES && shown < 16; i++) {
		if (native[i] == interp[i])
			continue;
		printf("  [%" PRIx64 "] before %02x host %02x ours %02x\n", (u64)DIFF_SCRATCH + i,
		       background[i], native[i], interp[i]);
		shown++;
	}
}

static void print_fx(const struct diff_case *c, const struct diff_result *native,
		     const struct diff_result *interp)
{
	for (unsigned int i = 0; i < sizeof(c->in.fx.b); i += 16) {
		if (!memcmp(native->out.fx.b + i, interp->out.fx.b + i, 16))
			continue;
		printf("  fx[%u] before/host/ours:", i);
		for (unsigned int k = 0; k < 16; k++)
			printf(" %02x", c->in.fx.b[i + k]);
		printf("\n   ");
		for (unsigned int k = 0; k < 16; k++)
			printf(" %02x", native->out.fx.b[i + k]);
		printf("\n   ");
		for (unsigned int k = 0; k < 16; k++)
			printf(" %02x", interp->out.fx.b[i + k]);
		printf("\n");
	}
}

static void report(const struct diff_case *c, const struct diff_result *native,
		   const struct diff_result *interp, const char *what)
{
	char a[16], b[16];

	printf("\nMISMATCH: %s\n", what);
	print_instruction(c);
	printf("  exception: host %s (error %x, cr2 %" PRIx64 "), ours %s (error %x, cr2 %" PRIx64
	       ")\n",
	       exception_name(native->exception, a), native->error_code, native->cr2,
	       exception_name(interp->exception, b), interp->error_code, interp->cr2);
	print_registers(c, native, interp);
	print_memory();
	if (c->family->fx)
		print_fx(c, native, interp);
}

/* ---- comparison -------------------------------------------------------------- */

static bool same_fx(const struct diff_case *c, const struct diff_fx *a, const struct diff_fx *b)
{
	if (!c->family->fx)
		return true;
	if (!c->family->fx_mask) /* MXCSR and the 16 YMM registers */
		return !memcmp(a->b + 24, b->b + 24, 4) && !memcmp(a->b + 160, b->b + 160, 256) &&
		       (!diff_host_has_avx() || !memcmp(a->b + 576, b->b + 576, 256));
	for (unsigned int i = 0; i < sizeof(a->b); i++)
		if ((a->b[i] ^ b->b[i]) & c->family->fx_mask[i])
			return false;
	return true;
}

/*
 * Processors let these write below the stack pointer, or pop some registers,
 * before they find that they fault.
 */
static bool faults_half_done(ZydisMnemonic mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_ENTER:
	case ZYDIS_MNEMONIC_PUSHA:
	case ZYDIS_MNEMONIC_PUSHAD:
	case ZYDIS_MNEMONIC_POPA:
	case ZYDIS_MNEMONIC_POPAD:
		return true;
	default:
		return false;
	}
}

static const char *compare(const struct diff_case *c, const struct diff_result *native,
			   const struct diff_result *interp)
{
	u32 flags = diff_defined_flags(c);

	/* An exception leaves the flags alone, but for what earlier iterations did to them. */
	if (native->exception != DIFF_NO_EXCEPTION)
		flags = c->tmpl->flags & DIFF_REP ? 0 : X86_EFLAGS_ARITH | X86_EFLAGS_DF;
	if (native->exception != interp->exception)
		return "exception";
	/* Was it a write?  Only where pages differ in that. */
	if (native->exception == X86_PF && (native->error_code ^ interp->error_code) & 2)
		return "page fault error code";
	if (native->exception != DIFF_NO_EXCEPTION && faults_half_done(c->insn.mnemonic))
		return NULL;
	for (unsigned int i = 0; i < (c->mode32 ? 8 : 16); i++)
		if (native->out.gpr[i] != interp->out.gpr[i] &&
		    !(c->mode32 && (u32)native->out.gpr[i] == (u32)interp->out.gpr[i]))
			return "registers";
	if ((native->out.rflags ^ interp->out.rflags) & flags)
		return "flags";
	if (!same_fx(c, &native->out.fx, &interp->out.fx))
		return "vector or x87 state";
	if (memcmp(diff_native_memory(), diff_interp_memory(), DIFF_RW_BYTES))
		return "memory";
	return NULL;
}

/* ---- the loop ---------------------------------------------------------------- */

/* Operand bytes of this case into @memory, as far as they fall into it. */
static void patch_memory(const struct diff_case *c, u8 *memory)
{
	u64 off = c->patch_addr - DIFF_SCRATCH;

	memcpy(memory, background, DIFF_RW_BYTES);
	if (off < DIFF_RW_BYTES)
		memcpy(memory + off, c->patch, min_u64(sizeof(c->patch), DIFF_RW_BYTES - off));
}

static const char *run_case(struct diff_case *c, struct diff_result *native,
			    struct diff_result *interp)
{
	patch_memory(c, diff_native_memory());
	patch_memory(c, diff_interp_memory());
	diff_interp_run(c, interp);
	if (interp->exception == DIFF_NOT_SELECTED)
		refused++;
	diff_native_run(c, native);
	per_mnemonic[c->insn.mnemonic]++;
	if (native->exception >= 0)
		per_exception[native->exception & 31]++;
	return compare(c, native, interp);
}

static bool one_case(u64 seed, const struct options *o, bool mode32)
{
	static struct diff_case c;
	static struct diff_result native, interp;
	const char *what;

	diff_random_seed(seed * 0x2545f4914f6cdd1dull);
	c.seed = seed;
	for (unsigned int attempts = 0; !diff_generate(&c, mode32 && !o->mode64); attempts++)
		if (attempts > 10000)
			abort();
	what = run_case(&c, &native, &interp);
	if (what)
		report(&c, &native, &interp, what);
	return !what;
}

static void parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;

		if (!strcmp(argv[i], "--seed") && more)
			o->seed = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--cases") && more)
			o->cases = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--forever"))
			o->forever = true;
		else if (!strcmp(argv[i], "--mode64"))
			o->mode64 = true;
		else if (!strcmp(argv[i], "--keep-going"))
			o->keep_going = true;
		else if (!strcmp(argv[i], "--stats"))
			o->stats = true;
		else {
			fprintf(stderr,
				"usage: %s [--seed N] [--cases N] [--forever] [--mode64] "
				"[--keep-going] [--stats]\n",
				argv[0]);
			exit(2);
		}
	}
}

static void print_stats(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(per_mnemonic); i++)
		if (per_mnemonic[i])
			printf("%-12s %" PRIu64 "\n", ZydisMnemonicGetString((ZydisMnemonic)i),
			       per_mnemonic[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(per_exception); i++)
		if (per_exception[i])
			printf("exception %-2u %" PRIu64 "\n", i, per_exception[i]);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void fill_background(void)
{
	diff_random_seed(1);
	for (size_t i = 0; i < sizeof(background); i += 8) {
		u64 value = diff_random_value();

		memcpy(background + i, &value, 8);
	}
	/* The read-only page has the same content on both sides: zeros, as the host mapped it. */
	memset(background + DIFF_RW_BYTES, 0, PAGE_SIZE);
	memcpy(diff_interp_memory(), background, sizeof(background));
}

int main(int argc, char **argv)
{
	struct options o = {.seed = (u64)time(NULL) * 1000003, .cases = 1000000};
	u64 done = 0, failures = 0;
	double start;
	bool mode32;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(argc, argv, &o);
	if (!diff_native_init(&mode32)) {
		printf("SKIP: the golden model is an x86-64 host processor\n");
		return 77;
	}
	diff_interp_init();
	diff_generate_init();
	fill_background();
	printf("seed %" PRIu64 ", %s 32-bit code\n", o.seed, mode32 ? "with" : "without");
	start = now();
	for (; (o.forever || done < o.cases) && failures < MAX_REPORTS; done++) {
		if (one_case(o.seed + done, &o, mode32))
			continue;
		failures++;
		if (!o.keep_going && !o.forever)
			break;
	}
	printf("%" PRIu64 " cases, %" PRIu64 " mismatches, %" PRIu64 " without handler, %.0f/s\n",
	       done, failures, refused, (double)done / (now() - start));
	if (o.stats)
		print_stats();
	return failures != 0;
}
