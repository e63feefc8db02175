/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running one instruction on the host processor.
 *
 * A thunk in an executable page loads all registers and the flags from
 * absolute addresses, falls into the instruction, and stores them again; no
 * register is needed for itself.  The 32-bit one is entered by a far jump to
 * the 32-bit code segment that Linux gives every process.
 *
 * Exceptions arrive as signals on an alternate stack, since RSP is the
 * case's.  The handler takes the registers from the signal frame and sends the
 * thread to the thunk's way out.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/vcpu/diff/diff.h"

#if defined(__x86_64__)

/* At DIFF_STATE, below 2 GiB. */
struct shared {
	u64 in[16], in_flags;
	u64 out[16], out_flags;
	u64 host_rsp;
	struct __attribute__((packed)) {
		u32 offset;
		u16 selector;
	} far32;
	u64 spare_stack[16];
	struct diff_fx fx_in, fx_out, fx_host;
};

#define SHARED	      ((struct shared *)DIFF_STATE)
#define ADDR_OF(what) ((u32)(DIFF_STATE + offsetof(struct shared, what)))
#define USER_CS32     0x23
#define USER_CS64     0x33
#define USER_DS	      0x2b

/* Where things are in the code page. */
enum thunk {
	THUNK_64,
	THUNK_64_FX,
	THUNK_32,
	NR_THUNKS,
};

static struct {
	u8 *entry[NR_THUNKS];	/* called as a function */
	u8 *slot[NR_THUNKS];	/* the instruction */
	u8 *tail[NR_THUNKS];	/* saves the state and returns */
	u8 *recover[NR_THUNKS]; /* returns only */
} thunks;

static volatile sig_atomic_t in_thunk;
static struct diff_result *current;
static enum thunk current_thunk;

/* ---- emitting ---------------------------------------------------------------------------- */

static u8 *emit(u8 *p, const void *bytes, size_t n)
{
	memcpy(p, bytes, n);
	return p + n;
}

#define EMIT(p, ...) emit((p), (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static u8 *emit32(u8 *p, u32 value)
{
	return emit(p, &value, 4);
}

/* Opcode with an absolute memory operand; @rex 0 in 32-bit code. */
static u8 *emit_abs(u8 *p, bool code32, u8 rex, u8 opcode, unsigned int reg, u32 addr)
{
	if (code32)
		return emit32(EMIT(p, opcode, (u8)(0x05 | (reg & 7) << 3)), addr);
	rex = (u8)(rex | (reg & 8) >> 1);
	if (rex)
		p = EMIT(p, (u8)(0x40 | rex));
	return emit32(EMIT(p, opcode, (u8)(0x04 | (reg & 7) << 3), 0x25), addr);
}

bool diff_host_has_avx(void)
{
	return __builtin_cpu_supports("avx");
}

/*
 * Save (0) or restore (1) vector and x87 state, 64-bit form: FXSAVE, FXRSTOR or,
 * of three components, XSAVE, XRSTOR.  RAX and RDX are not in use here.
 */
static u8 *emit_fx(u8 *p, unsigned int which, u32 addr)
{
	if (diff_host_has_avx()) {
		p = emit32(EMIT(p, 0xb8), 7);
		p = EMIT(p, 0x31, 0xd2);
		which += 4;
	}
	return emit32(EMIT(p, 0x48, 0x0f, 0xae, (u8)(0x04 | which << 3), 0x25), addr);
}

static u8 *emit_return(u8 *p, bool fx)
{
	p = emit_abs(p, false, 8, 0x8b, 4, ADDR_OF(host_rsp));
	p = EMIT(p, 0xfc); /* cld */
	if (fx) {
		p = emit_fx(p, 0, ADDR_OF(fx_out));
		p = emit_fx(p, 1, ADDR_OF(fx_host));
	}
	/* pop r15, r14, r13, r12, rbp, rbx; ret */
	return EMIT(p, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3);
}

static u8 *emit_registers(u8 *p, bool code32, u8 opcode, u32 block)
{
	unsigned int nr = code32 ? 8 : 16;

	for (unsigned int i = 0; i < nr; i++)
		if (i != 4)
			p = emit_abs(p, code32, 8, opcode, i, block + i * 8);
	return emit_abs(p, code32, 8, opcode, 4, block + 32);
}

static u8 *emit_entry(u8 *p)
{
	p = EMIT(p, 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57);
	return emit_abs(p, false, 8, 0x89, 4, ADDR_OF(host_rsp));
}

static u8 *emit_thunk64(u8 *p, enum thunk t)
{
	bool fx = t == THUNK_64_FX;

	thunks.entry[t] = p;
	p = emit_entry(p);
	if (fx) {
		p = emit_fx(p, 0, ADDR_OF(fx_host));
		p = emit_fx(p, 1, ADDR_OF(fx_in));
	}
	p = emit_abs(p, false, 0, 0xff, 6, ADDR_OF(in_flags)); /* push */
	p = EMIT(p, 0x9d);
	p = emit_registers(p, false, 0x8b, ADDR_OF(in));
	thunks.slot[t] = p;
	p += 32;
	thunks.tail[t] = p;
	p = emit_registers(p, false, 0x89, ADDR_OF(out));
	p = emit_abs(p, false, 8, 0x8b, 4, ADDR_OF(host_rsp));
	p = EMIT(p, 0x9c);
	p = emit_abs(p, false, 0, 0x8f, 0, ADDR_OF(out_flags)); /* pop */
	thunks.recover[t] = p;
	return emit_return(p, fx);
}

static u8 *emit_thunk32(u8 *p)
{
	const u32 stack = ADDR_OF(spare_stack) + 64;

	thunks.entry[THUNK_32] = p;
	p = emit_entry(p);
	p = emit_abs(p, false, 0, 0xff, 5, ADDR_OF(far32)); /* far jump */
	SHARED->far32.offset = (u32)(uintptr_t)p;
	SHARED->far32.selector = USER_CS32;
	p = emit32(EMIT(p, 0xbc), stack);
	p = emit_abs(p, true, 0, 0xff, 6, ADDR_OF(in_flags));
	p = EMIT(p, 0x9d);
	p = emit_registers(p, true, 0x8b, ADDR_OF(in));
	thunks.slot[THUNK_32] = p;
	p += 32;
	thunks.tail[THUNK_32] = p;
	p = emit_registers(p, true, 0x89, ADDR_OF(out));
	p = emit32(EMIT(p, 0xbc), stack);
	p = EMIT(p, 0x9c);
	p = emit_abs(p, true, 0, 0x8f, 0, ADDR_OF(out_flags));
	/* far jump back, to the bytes right behind */
	p = emit32(EMIT(p, 0xea), (u32)(uintptr_t)p + 7);
	p = EMIT(p, USER_CS64, 0);
	thunks.recover[THUNK_32] = p;
	return emit_return(p, false);
}

/* ---- exceptions ----------------------------------------------------------------------------- */

static void take_state(const ucontext_t *uc, struct diff_state *s)
{
	static const u8 from[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				    REG_RSI, REG_RDI, REG_R8,  REG_R9,	REG_R10, REG_R11,
				    REG_R12, REG_R13, REG_R14, REG_R15};

	for (unsigned int i = 0; i < 16; i++)
		s->gpr[i] = (u64)uc->uc_mcontext.gregs[from[i]];
	s->rflags = (u64)uc->uc_mcontext.gregs[REG_EFL];
}

static void on_exception(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *regs = uc->uc_mcontext.gregs;
	u64 rip = (u64)regs[REG_RIP];

	(void)info;
	if (!in_thunk || rip < DIFF_CODE || rip >= DIFF_CODE + PAGE_SIZE) {
		signal(sig, SIG_DFL);
		return;
	}
	take_state(uc, &current->out);
	current->exception = (int)regs[REG_TRAPNO];
	current->error_code = (u32)regs[REG_ERR];
	current->cr2 = (u64)regs[REG_CR2];
	regs[REG_RIP] = (greg_t)(uintptr_t)thunks.recover[current_thunk];
	regs[REG_CSGSFS] = (regs[REG_CSGSFS] & ~0xffffll) | USER_CS64;
	regs[REG_EFL] &= ~(greg_t)X86_EFLAGS_TF;
}

static void catch_exceptions(void)
{
	static u8 stack[65536];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {.sa_sigaction = on_exception, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};

	sigaltstack(&alternate, NULL);
	for (unsigned int i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, NULL);
}

/* ---- interface --------------------------------------------------------------- */

static bool map_at(u64 addr, size_t bytes, int prot)
{
	void *p = mmap(hva_to_ptr(addr), bytes, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return p == hva_to_ptr(addr);
}

/* In 64-bit code DS and ES mean nothing; 32-bit code needs them. */
static void load_data_segments(void)
{
	__asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(USER_DS) : "memory");
}

static bool can_run_32(void)
{
	struct diff_case c = {.mode32 = true, .bytes = {0x40}, .len = 1}; /* inc eax */
	struct diff_result r;
	struct diff_family none = {.fx = false};

	c.family = &none;
	c.in.gpr[0] = 41;
	diff_native_run(&c, &r);
	return r.exception == DIFF_NO_EXCEPTION && (u32)r.out.gpr[0] == 42;
}

bool diff_native_init(bool *mode32)
{
	u8 *p = hva_to_ptr(DIFF_CODE);

	if (!map_at(DIFF_CODE, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC) ||
	    !map_at(DIFF_STATE, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE) ||
	    !map_at(DIFF_SCRATCH - DIFF_GUARD, 2 * DIFF_GUARD + DIFF_SCRATCH_PAGES * PAGE_SIZE,
		    PROT_NONE))
		return false;
	if (mprotect(hva_to_ptr(DIFF_SCRATCH), DIFF_RW_BYTES, PROT_READ | PROT_WRITE) ||
	    mprotect(hva_to_ptr(DIFF_SCRATCH + DIFF_RW_BYTES), PAGE_SIZE, PROT_READ))
		return false;
	p = emit_thunk64(p, THUNK_64);
	p = emit_thunk64(p, THUNK_64_FX);
	emit_thunk32(p);
	catch_exceptions();
	load_data_segments();
	*mode32 = can_run_32();
	return true;
}

u8 *diff_native_memory(void)
{
	return hva_to_ptr(DIFF_SCRATCH);
}

static void put_instruction(const struct diff_case *c, u8 *slot, const u8 *tail)
{
	memcpy(slot, c->bytes, c->len);
	slot[c->len] = 0xe9;
	emit32(slot + c->len + 1, (u32)(tail - (slot + c->len + 5)));
}

void diff_native_run(const struct diff_case *c, struct diff_result *r)
{
	enum thunk t = c->mode32 ? THUNK_32 : c->family->fx ? THUNK_64_FX : THUNK_64;
	void (*entry)(void);

	put_instruction(c, thunks.slot[t], thunks.tail[t]);
	memcpy(SHARED->in, c->in.gpr, sizeof(SHARED->in));
	SHARED->in_flags = c->in.rflags | X86_EFLAGS_FIXED | X86_EFLAGS_IF;
	if (c->family->fx)
		SHARED->fx_in = c->in.fx;
	r->exception = DIFF_NO_EXCEPTION;
	current = r;
	current_thunk = t;
	memcpy(&entry, &thunks.entry[t], sizeof(entry));
	in_thunk = 1;
	entry();
	in_thunk = 0;
	if (r->exception == DIFF_NO_EXCEPTION) {
		memcpy(r->out.gpr, SHARED->out, sizeof(r->out.gpr));
		r->out.rflags = SHARED->out_flags;
	}
	if (c->family->fx)
		r->out.fx = SHARED->fx_out;
}

u64 diff_native_rip(const struct diff_case *c)
{
	enum thunk t = c->mode32 ? THUNK_32 : c->family->fx ? THUNK_64_FX : THUNK_64;

	return ptr_to_hva(thunks.slot[t]);
}

#else

u64 diff_native_rip(const struct diff_case *c)
{
	(void)c;
	return 0;
}

bool diff_host_has_avx(void)
{
	return false;
}

bool diff_native_init(bool *mode32)
{
	*mode32 = false;
	return false;
}

void diff_native_run(const struct diff_case *c, struct diff_result *r)
{
	(void)c;
	(void)r;
}

u8 *diff_native_memory(void)
{
	return NULL;
}

#endif
