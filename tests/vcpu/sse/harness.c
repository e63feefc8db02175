/* SPDX-License-Identifier: BSD-2-Clause */
/* See harness.h. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include "tests/vcpu/sse/harness.h"
#include "vcpu/x86/flags.h"

static struct x86_cpu *cpu;
static sigjmp_buf escape;
static int raised;
static u8 *code_page, *memory_pages;

/* ---- what the rest of the CPU gives to handlers -------------------------------------- */

_Noreturn void x86_raise(struct x86_cpu *c, enum x86_exception vector)
{
	(void)c;
	raised = (int)vector;
	siglongjmp(escape, 1);
}

_Noreturn void x86_raise_code(struct x86_cpu *c, enum x86_exception vector, u32 error_code)
{
	(void)error_code;
	x86_raise(c, vector);
}

_Noreturn void x86_unsupported(struct x86_cpu *c)
{
	x86_raise(c, X86_UD);
}

u64 x86_load_slow(struct x86_cpu *c, u64 addr, unsigned int bytes)
{
	u64 value = 0;

	(void)c;
	memcpy(&value, hva_to_ptr(addr), bytes);
	return value;
}

void x86_store_slow(struct x86_cpu *c, u64 addr, unsigned int bytes, u64 value)
{
	(void)c;
	memcpy(hva_to_ptr(addr), &value, bytes);
}

void x86_load_bytes(struct x86_cpu *c, u64 addr, void *buf, unsigned int bytes)
{
	(void)c;
	memcpy(buf, hva_to_ptr(addr), bytes);
}

void x86_store_bytes(struct x86_cpu *c, u64 addr, const void *buf, unsigned int bytes)
{
	(void)c;
	memcpy(hva_to_ptr(addr), buf, bytes);
}

void x86_probe(struct x86_cpu *c, u64 addr, unsigned int bytes, bool write)
{
	(void)c, (void)addr, (void)bytes, (void)write;
}

u64 x86_legacy_linear(struct x86_cpu *c, unsigned int seg, u64 off, unsigned int bytes, bool write)
{
	(void)bytes, (void)write;
	return c->seg_base[seg] + off;
}

/* Not under test; the family refers to it for MOVSD and CMPSD. */
const struct x86_family_entry x86_family_string[] = {{ZYDIS_MNEMONIC_INVALID, NULL}};

/* ---- decoding --------------------------------------------------------------------------- */

static u8 reg_offset(ZydisRegister reg)
{
	int id = (int)ZydisRegisterGetId(reg);

	return (u8)(id * 8);
}

u8 x86_dec_gpr(const struct x86_decode *d, unsigned int n)
{
	return reg_offset(d->operands[n].reg.value);
}

u8 x86_dec_vec(const struct x86_decode *d, unsigned int n)
{
	return (u8)ZydisRegisterGetId(d->operands[n].reg.value);
}

/* The forms tested have a base register and no more. */
void x86_dec_mem(struct x86_decode *d, unsigned int n)
{
	d->op->base = reg_offset(d->operands[n].mem.base);
	d->op->index = X86_REG_ZERO * 8;
	d->op->seg = X86_SEG_NONE;
}

bool decode(struct insn *insn, const u8 *bytes, unsigned int len)
{
	ZydisDecoder decoder;

	memset(insn, 0, sizeof(*insn));
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	if (ZYAN_FAILED(
		    ZydisDecoderDecodeFull(&decoder, bytes, len, &insn->decoded, insn->operands)))
		return false;
	insn->len = insn->decoded.length;
	memcpy(insn->bytes, bytes, insn->len);
	for (unsigned int i = 0; i < insn->decoded.operand_count; i++) {
		const ZydisDecodedOperand *o = &insn->operands[i];

		if (o->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		insn->uses_memory = true;
		insn->fixed_rdi = o->mem.base == ZYDIS_REGISTER_RDI;
	}
	return true;
}

x86_op_fn *select_handler(const struct insn *insn, u32 mode, struct x86_op *op)
{
	struct x86_decode d = {
		.insn = &insn->decoded, .operands = insn->operands, .op = op, .mode = mode};
	const struct x86_family_entry *e = x86_family_sse;

	memset(op, 0, sizeof(*op));
	op->len = (u8)insn->len;
	while (e->select && e->mnemonic != insn->decoded.mnemonic)
		e++;
	if (!e->select)
		for (e = x86_family_x87; e->select && e->mnemonic != insn->decoded.mnemonic;)
			e++;
	return e->select ? e->select(&d) : NULL;
}

/* ---- running ------------------------------------------------------------------------------- */

static const struct x86_op *stop(struct x86_cpu *c, const struct x86_op *op)
{
	(void)c, (void)op;
	return NULL;
}

static const u8 gpr_map[8] = {X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RSI, X86_RDI, X86_R8, X86_R9};

static void map_memory(u64 addr)
{
	struct x86_tlb_entry *e;

	/* The first of the two pages hits; the second, and what crosses into it, misses. */
	for (unsigned int i = 0; i < X86_TLB_ENTRIES; i++)
		cpu->tlb->entry[i].read_tag = cpu->tlb->entry[i].write_tag = ~(u64)i << 40;
	addr = align_down(addr, PAGE_SIZE);
	e = &cpu->tlb->entry[x86_tlb_index(addr)];
	e->read_tag = e->write_tag = addr;
	e->addend = 0;
}

static void to_cpu(const struct state *st)
{
	for (unsigned int i = 0; i < 16; i++) {
		*x86_vec(cpu, i) = st->xmm[i];
		x86_ymm(cpu, i)[1] = st->high[i];
	}
	for (unsigned int i = 0; i < 8; i++)
		cpu->regs[gpr_map[i]] = st->gpr[i];
	cpu->mxcsr = st->mxcsr;
	cpu->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	x86_set_rflags_raw(cpu, st->rflags);
}

static void from_cpu(struct state *st)
{
	for (unsigned int i = 0; i < 16; i++) {
		st->xmm[i] = *x86_vec(cpu, i);
		st->high[i] = x86_ymm(cpu, i)[1];
	}
	for (unsigned int i = 0; i < 8; i++)
		st->gpr[i] = cpu->regs[gpr_map[i]];
	st->mxcsr = cpu->mxcsr;
	st->rflags = x86_rflags(cpu) & X86_EFLAGS_ARITH;
}

static void run_in_mode(const struct insn *insn, u32 mode)
{
	struct x86_op ops[2];

	ops[0].fn = select_handler(insn, mode, &ops[0]);
	memset(&ops[1], 0, sizeof(ops[1]));
	ops[1].fn = stop;
	raised = NO_FAULT;
	if (!sigsetjmp(escape, 0)) {
		const struct x86_op *op = ops;

		while (op)
			op = op->fn(cpu, op);
	}
}

static void run_handler(const struct insn *insn)
{
	run_in_mode(insn, X86_MODE_CS64 | X86_MODE_PE | X86_MODE_AVX);
}

int fault_of(const struct insn *insn, u32 mode)
{
	struct x86_x87 fresh = {.fcw = X86_FCW_INIT};

	cpu->mxcsr = X86_MXCSR_INIT;
	cpu->x87 = fresh;
	run_in_mode(insn, mode);
	return raised;
}

void run_ours(const struct insn *insn, struct state *st)
{
	memcpy(st->memory, st->buffer, BUFFER_BYTES);
	map_memory((u64)(uintptr_t)st->memory);
	to_cpu(st);
	run_handler(insn);
	st->fault = raised;
	from_cpu(st);
	memcpy(st->buffer, st->memory, BUFFER_BYTES);
}

void run_x87_ours(const struct insn *insn, struct x87_state *st)
{
	memcpy(memory_pages, st->buffer, X87_BUFFER_BYTES);
	map_memory((u64)(uintptr_t)memory_pages);
	cpu->regs[X86_RSI] = (u64)(uintptr_t)memory_pages;
	cpu->regs[X86_RAX] = st->rax;
	x86_set_rflags_raw(cpu, st->rflags);
	x86_x87_restore(&cpu->x87, st->image);
	run_handler(insn);
	st->fault = raised;
	st->rax = cpu->regs[X86_RAX];
	st->rflags = x86_rflags(cpu) & X86_EFLAGS_ARITH;
	x86_x87_save(&cpu->x87, st->image);
	memcpy(st->buffer, memory_pages, X87_BUFFER_BYTES);
}

/*
 * Loads st->xmm, gpr and rflags, calls @code and stores them again; the second
 * does so with the upper halves of YMM registers too.
 */
void call_on_host(struct state *st, const u8 *code);
void call_on_host_avx(struct state *st, const u8 *code);
/* clang-format off */
#define CALL_ON_HOST(name, load_vector, store_vector, leave)                                  \
	".globl " name "\n" name ":\n"                                                        \
	"	push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"           \
	"	mov %rdi, %r15; mov %rsi, %r14; sub $24, %rsp\n"                              \
	"	stmxcsr (%rsp)\n"                                                             \
	"	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"                              \
	load_vector                                                                           \
	"	.endr\n"                                                                      \
	"	ldmxcsr 328(%r15)\n"                                                          \
	"	pushq 320(%r15); popfq\n"                                                     \
	"	mov 256(%r15), %rax; mov 264(%r15), %rcx; mov 272(%r15), %rdx\n"              \
	"	mov 280(%r15), %rbx; mov 288(%r15), %rsi; mov 296(%r15), %rdi\n"              \
	"	mov 304(%r15), %r8; mov 312(%r15), %r9\n"                                     \
	"	call *%r14\n"                                                                 \
	"	pushfq; popq 320(%r15)\n"                                                     \
	"	mov %rax, 256(%r15); mov %rcx, 264(%r15); mov %rdx, 272(%r15)\n"              \
	"	mov %rbx, 280(%r15); mov %rsi, 288(%r15); mov %rdi, 296(%r15)\n"              \
	"	mov %r8, 304(%r15); mov %r9, 312(%r15)\n"                                     \
	"	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"                              \
	store_vector                                                                          \
	"	.endr\n"                                                                      \
	leave                                                                                 \
	"	stmxcsr 328(%r15)\n"                                                          \
	"	ldmxcsr (%rsp)\n"                                                             \
	"	add $24, %rsp\n"                                                              \
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"                 \
	"	ret\n"
__asm__(".text\n"
	CALL_ON_HOST("call_on_host", "movups 16*\\n(%r15), %xmm\\n\n",
		     "movups %xmm\\n, 16*\\n(%r15)\n", "")
	CALL_ON_HOST("call_on_host_avx",
		     "vmovups 16*\\n(%r15), %xmm\\n\n"
		     "vinsertf128 $1, 416+16*\\n(%r15), %ymm\\n, %ymm\\n\n",
		     "vmovups %xmm\\n, 16*\\n(%r15)\n"
		     "vextractf128 $1, %ymm\\n, 416+16*\\n(%r15)\n",
		     "vzeroupper\n"));
/* clang-format on */
static_assert(offsetof(struct state, gpr) == 256 && offsetof(struct state, rflags) == 320 &&
		      offsetof(struct state, mxcsr) == 328 && offsetof(struct state, high) == 416,
	      "offsets in call_on_host");

bool host_has_avx(void)
{
	return __builtin_cpu_supports("avx");
}

static u32 faulting_mxcsr;

static void on_signal(int signo, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)info;
	faulting_mxcsr = uc->uc_mcontext.fpregs->mxcsr;
	raised = signo == SIGFPE ? X86_XM : signo == SIGILL ? X86_UD : X86_GP;
	siglongjmp(escape, 1);
}

void run_host(const struct insn *insn, struct state *st)
{
	struct state in = *st;
	u32 saved = 0x1f80;

	memcpy(code_page, insn->bytes, insn->len);
	code_page[insn->len] = 0xc3;
	memcpy(st->memory, st->buffer, BUFFER_BYTES);
	raised = NO_FAULT;
	st->rflags |= X86_EFLAGS_FIXED | X86_EFLAGS_IF;
	if (!sigsetjmp(escape, 1)) {
		(host_has_avx() ? call_on_host_avx : call_on_host)(st, code_page);
	} else {
		__asm__ volatile("ldmxcsr %0" : : "m"(saved));
		*st = in;
		st->mxcsr = raised == X86_XM ? faulting_mxcsr : in.mxcsr;
	}
	st->fault = raised;
	st->rflags &= X86_EFLAGS_ARITH;
	memcpy(st->buffer, st->memory, BUFFER_BYTES);
}

/* (code, memory, state, host image) */
void call_x87_on_host(const u8 *code, void *memory, struct x87_state *st, u8 *host);
__asm__(".text\n"
	".globl call_x87_on_host\n"
	"call_x87_on_host:\n"
	"	push %rbx; push %r12; push %r13\n"
	"	mov %rdx, %rbx; mov %rcx, %r12\n"
	"	fxsave (%r12)\n"
	"	fxrstor (%rbx)\n"
	"	pushq 520(%rbx); popfq\n"
	"	mov 512(%rbx), %rax\n"
	"	call *%rdi\n"
	"	pushfq; popq 520(%rbx)\n"
	"	mov %rax, 512(%rbx)\n"
	"	fxsave (%rbx)\n"
	"	fxrstor (%r12)\n"
	"	pop %r13; pop %r12; pop %rbx\n"
	"	ret\n");
static_assert(offsetof(struct x87_state, rax) == 512 && offsetof(struct x87_state, rflags) == 520,
	      "offsets in call_x87_on_host");

void run_x87_host(const struct insn *insn, struct x87_state *st)
{
	static _Alignas(16) u8 host[X86_FXSAVE_BYTES];
	struct x87_state in = *st;

	memcpy(code_page, insn->bytes, insn->len);
	code_page[insn->len] = 0xc3;
	memcpy(memory_pages, st->buffer, X87_BUFFER_BYTES);
	raised = NO_FAULT;
	st->rflags |= X86_EFLAGS_FIXED | X86_EFLAGS_IF;
	if (!sigsetjmp(escape, 1)) {
		call_x87_on_host(code_page, memory_pages, st, host);
	} else {
		__asm__ volatile("fxrstor %0" : : "m"(host));
		*st = in;
		raised = raised == X86_XM ? X86_MF : raised;
	}
	st->fault = raised;
	st->rflags &= X86_EFLAGS_ARITH;
	memcpy(st->buffer, memory_pages, X87_BUFFER_BYTES);
}

/* (code, memory, state, host image, EAX, components that the host has) */
void call_image_on_host(const u8 *code, void *memory, u8 *state, u8 *host, u32 eax, u32 components);
__asm__(".text\n"
	".globl call_image_on_host\n"
	"call_image_on_host:\n"
	"	push %rbx; push %r12; push %r13\n"
	"	mov %rdx, %rbx; mov %rcx, %r12\n"
	"	mov %r9d, %r13d\n"
	"	mov %r13d, %eax; xor %edx, %edx\n"
	"	xsave64 (%r12)\n"
	"	xrstor64 (%rbx)\n"
	"	mov %r8d, %eax\n"
	"	call *%rdi\n"
	"	mov %r13d, %eax\n"
	"	xsave64 (%rbx)\n"
	"	xrstor64 (%r12)\n"
	"	pop %r13; pop %r12; pop %rbx\n"
	"	ret\n");

static u32 host_components(void)
{
	return (u32)(host_has_avx() ? X86_XFEATURES : X86_XFEATURES_LEGACY);
}

/* What of the state is not initial, which is all that the host is to have in use. */
static void mark_in_use(struct image_case *c)
{
	static const u8 zero[256];

	memset(c->state + X86_XS_XSTATE_BV, 0, X86_XS_HEADER_END - X86_XS_XSTATE_BV);
	c->state[X86_XS_XSTATE_BV] = X86_XFEATURE_X87;
	if (memcmp(c->state + X86_FX_XMM, zero, 256))
		c->state[X86_XS_XSTATE_BV] |= X86_XFEATURE_SSE;
	if (memcmp(c->state + X86_XS_YMM, zero, 256) && host_has_avx())
		c->state[X86_XS_XSTATE_BV] |= X86_XFEATURE_YMM;
}

static void image_on_host(const struct insn *insn, struct image_case *c)
{
	static _Alignas(64) u8 host[X86_XSAVE_BYTES];
	struct image_case in = *c;

	memcpy(code_page, insn->bytes, insn->len);
	code_page[insn->len] = 0xc3;
	memcpy(memory_pages, c->memory, X86_XSAVE_BYTES);
	raised = NO_FAULT;
	if (!sigsetjmp(escape, 1)) {
		mark_in_use(c);
		call_image_on_host(code_page, memory_pages, c->state, host, c->rfbm,
				   host_components());
	} else {
		__asm__ volatile("xrstor64 %0" : : "m"(host), "a"(host_components()), "d"(0));
		*c = in;
	}
	c->fault = raised;
	memcpy(c->memory, memory_pages, X86_XSAVE_BYTES);
}

static void image_in_ours(const struct insn *insn, struct image_case *c)
{
	memcpy(memory_pages, c->memory, X86_XSAVE_BYTES);
	map_memory((u64)(uintptr_t)memory_pages);
	cpu->regs[X86_RSI] = (u64)(uintptr_t)memory_pages;
	cpu->regs[X86_RAX] = c->rfbm;
	cpu->regs[X86_RDX] = 0;
	cpu->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXSAVE;
	cpu->xcr0 = host_components();
	if (x86_fxrstor_image(cpu, c->state))
		abort();
	x86_ymm_restore(cpu, c->state, 16);
	run_handler(insn);
	c->fault = raised;
	x86_fxsave_image(cpu, c->state);
	x86_ymm_save(cpu, c->state, 16);
	memcpy(c->memory, memory_pages, X86_XSAVE_BYTES);
}

/* The legacy part but for opcode, pointers, MXCSR_MASK and what is above each x87 register. */
static bool same_legacy(const u8 *a, const u8 *b)
{
	for (unsigned int i = 0; i < 8; i++)
		if (memcmp(a + X86_FX_ST + 16 * i, b + X86_FX_ST + 16 * i, 10))
			return false;
	return memcmp(a, b, 5) == 0 && memcmp(a + X86_FX_MXCSR, b + X86_FX_MXCSR, 4) == 0 &&
	       memcmp(a + X86_FX_XMM, b + X86_FX_XMM, X86_FXSAVE_BYTES - X86_FX_XMM) == 0;
}

/* The parts that hold state: FXSAVE writes zeroes above where the architecture is silent. */
static bool same_state(const u8 *a, const u8 *b)
{
	for (unsigned int i = 0; i < 8; i++)
		if (memcmp(a + X86_FX_ST + 16 * i, b + X86_FX_ST + 16 * i, 10))
			return false;
	return memcmp(a, b, 5) == 0 && memcmp(a + X86_FX_MXCSR, b + X86_FX_MXCSR, 4) == 0 &&
	       memcmp(a + X86_FX_XMM, b + X86_FX_XMM, X86_FX_XMM_END - X86_FX_XMM) == 0 &&
	       memcmp(a + X86_XS_YMM, b + X86_XS_YMM, X86_XSAVE_BYTES - X86_XS_YMM) == 0;
}

static void print_difference(const char *what, const u8 *in, const u8 *ours, const u8 *host,
			     unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		if (ours[i] != host[i])
			fprintf(stderr, "  %s[%u] in %02x ours %02x host %02x\n", what, i, in[i],
				ours[i], host[i]);
}

static bool same_result(const struct image_case *host, const struct image_case *ours)
{
	return host->fault == ours->fault && same_state(host->state, ours->state) &&
	       same_legacy(host->memory, ours->memory) &&
	       memcmp(host->memory + X86_XS_XSTATE_BV, ours->memory + X86_XS_XSTATE_BV,
		      X86_XSAVE_BYTES - X86_XS_XSTATE_BV) == 0;
}

/*
 * More than once: a switch to another thread between load and save leaves a
 * component of the host's in use that was initial, and its XSTATE_BV says so.
 */
bool same_image_case(const struct insn *insn, const struct image_case *c)
{
	struct image_case host, ours = *c;

	image_in_ours(insn, &ours);
	for (unsigned int turn = 0; turn < 3; turn++) {
		host = *c;
		image_on_host(insn, &host);
		if (same_result(&host, &ours))
			return true;
	}
	fprintf(stderr, "%s rfbm %u: fault ours %d host %d\n",
		ZydisMnemonicGetString(insn->decoded.mnemonic), c->rfbm, ours.fault, host.fault);
	print_difference("state", c->state, ours.state, host.state, X86_XSAVE_BYTES);
	print_difference("memory", c->memory, ours.memory, host.memory, X86_XSAVE_BYTES);
	return false;
}

void harness_catch_signals(void)
{
	static const int signals[] = {SIGFPE, SIGSEGV, SIGILL, SIGBUS};
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

	for (unsigned int i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, NULL);
}

void harness_init(void)
{
	if (posix_memalign((void **)&cpu, 64, sizeof(*cpu)))
		abort();
	memset(cpu, 0, sizeof(*cpu));
	cpu->tlb = calloc(1, sizeof(*cpu->tlb));
	code_page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory_pages = mmap(NULL, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!cpu->tlb || code_page == MAP_FAILED || memory_pages == MAP_FAILED)
		abort();
}

/* ---- random input ------------------------------------------------------------ */

static u64 rng;

void random_seed(u64 seed)
{
	rng = seed * 0x9e3779b97f4a7c15ull + 1;
}

u64 harness_start(unsigned int *rounds)
{
	const char *given = getenv("KVMU_TEST_SEED"), *count = getenv("KVMU_TEST_ROUNDS");
	u64 seed = given ? strtoull(given, NULL, 0) : (u64)time(NULL);

	if (count)
		*rounds = (unsigned int)strtoul(count, NULL, 0);
	printf("seed %llu\n", (unsigned long long)seed);
	random_seed(seed);
	harness_init();
	return seed;
}

u64 random64(void)
{
	u64 z = rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static u64 special64(void)
{
	static const u64 table[] = {0,
				    1,
				    0x8000000000000000, /* -0 */
				    0x3ff0000000000000, /* 1 */
				    0xbfe0000000000000, /* -0.5 */
				    0x3ff8000000000000,
				    0x7ff0000000000000, /* infinities, NaNs */
				    0xfff0000000000000,
				    0x7ff8000000000001,
				    0xfff8123400000000,
				    0x7ff0000000000001,
				    0xfff4000000000000,
				    0x000fffffffffffff, /* denormals */
				    0x8000000000000001,
				    0x0010000000000000,
				    0x7fefffffffffffff,
				    0x41dfffffffe00000, /* around 2^31, 2^32, 2^63 */
				    0x41e0000000000000,
				    0xc1e0000000100000,
				    0x41efffffffe00000,
				    0x43e0000000000000,
				    0xc3e0000000000000,
				    0x36a0000000000000, /* tiny and huge as single */
				    0x3800000000000000,
				    0x47f0000000000000};

	return table[random64() % ARRAY_SIZE(table)];
}

static u32 special32(void)
{
	static const u32 table[] = {0,		0x80000000, 0x3f800000, 0xbf000000, 0x3fc00000,
				    0x7f800000, 0xff800000, 0x7fc00001, 0xffc12345, 0x7f800001,
				    0xffa00000, 0x007fffff, 0x80000001, 0x00800000, 0x7f7fffff,
				    0x4f000000, 0xcf000000, 0x4effffff, 0x5f000000, 1};

	return table[random64() % ARRAY_SIZE(table)];
}

static void random_vec(union vec *v)
{
	v->uq[0] = random64();
	v->uq[1] = random64();
	switch (random64() % 6) {
	case 0:
		v->uq[random64() & 1] = special64();
		v->uq[random64() & 1] = special64();
		break;
	case 1:
		for (unsigned int i = 0; i < 4; i++)
			v->ud[i] = random64() & 1 ? special32() : v->ud[i];
		break;
	case 2: /* numbers near each other */
		for (unsigned int i = 0; i < 4; i++)
			v->ud[i] = 0x3f000000 + (v->ud[i] & 0x1ffffff);
		break;
	case 3:
		for (unsigned int i = 0; i < 2; i++)
			v->uq[i] = 0x3fe0000000000000 + (v->uq[i] & 0x03ffffffffffffff);
		break;
	case 4: /* text with repeats and ends */
		for (unsigned int i = 0; i < 16; i++)
			v->ub[i] = v->ub[i] % 24 ? (u8)('a' + v->ub[i] % 4) : 0;
		break;
	default:
		break;
	}
}

void random_state(struct state *st, bool unmasked)
{
	memset(st, 0, sizeof(*st));
	for (unsigned int i = 0; i < 16; i++)
		random_vec(&st->xmm[i]), random_vec(&st->high[i]);
	for (unsigned int i = 0; i < 8; i++)
		st->gpr[i] = random64() & 1 ? random64() : (u64)(s64)(random64() % 41) - 20;
	for (unsigned int i = 0; i < BUFFER_BYTES / 16; i++) {
		union vec v;

		random_vec(&v);
		memcpy(st->buffer + 16 * i, &v, 16);
	}
	st->rflags = random64() & X86_EFLAGS_ARITH;
	st->mxcsr = 0x1f80;
	if (unmasked)
		st->mxcsr = (u32)random64() & 0xffff;
	else if (random64() & 3)
		st->mxcsr |= (u32)random64() & 0xffff;
	st->memory = memory_pages + (random64() & 3 ? 1024 : PAGE_SIZE - 64 + random64() % 64);
	if (!(random64() & 1))
		st->memory = (u8 *)((uintptr_t)st->memory & ~(uintptr_t)15);
}

static void random_extended(u8 *st)
{
	static const u16 exponents[] = {0,	0,	1,	0x3fff, 0x3ffe, 0x4000, 0x401e,
					0x403e, 0x7ffe, 0x7fff, 0x3f80, 0x3c00, 0x43ff, 0x407e};
	static const u64 mantissas[] = {0,	    1,
					1ull << 63, 3ull << 62,
					~0ull,	    (1ull << 63) + 1,
					1ull << 62, 0xfffffffffffff800};
	u64 mantissa = mantissas[random64() % ARRAY_SIZE(mantissas)];
	u16 exponent = exponents[random64() % ARRAY_SIZE(exponents)];

	if (random64() & 1)
		mantissa = random64() | 1ull << 63;
	if (random64() & 1)
		exponent = (u16)(0x3fff - 32 + random64() % 64);
	exponent |= (u16)((random64() & 1) << 15);
	memcpy(st, &mantissa, 8);
	memcpy(st + 8, &exponent, 2);
}

void random_x87_state(struct x87_state *st)
{
	u32 mxcsr = 0x1f80;
	u16 fcw = (u16)(random64() & 0x0f3f) | 0x40, fsw = (u16)random64();

	memset(st, 0, sizeof(*st));
	if (random64() & 3)
		fcw |= 0x3f;
	fsw &= 0x7f7f;
	if (random64() & 7)
		fsw &= (u16) ~(~fcw & 0x3f);
	if (fsw & ~fcw & 0x3f)
		fsw |= 0x8080;
	memcpy(st->image, &fcw, 2);
	memcpy(st->image + 2, &fsw, 2);
	st->image[4] = (u8)(random64() & 1 ? 0xff : random64());
	memcpy(st->image + X86_FX_MXCSR, &mxcsr, 4);
	for (unsigned int i = 0; i < 8; i++)
		random_extended(st->image + X86_FX_ST + 16 * i);
	for (unsigned int i = 0; i < X87_BUFFER_BYTES; i += 8) {
		u64 v = random64() & 1 ? random64() : special64();

		memcpy(st->buffer + i, &v, 8);
	}
	if (!(random64() & 3)) {
		u32 v = special32();

		memcpy(st->buffer, &v, 4);
	}
	if (!(random64() & 3))
		random_extended(st->buffer);
	st->rax = random64();
	st->rflags = random64() & X86_EFLAGS_ARITH;
}
