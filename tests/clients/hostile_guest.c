// SPDX-License-Identifier: BSD-2-Clause
/*
 * Guests that do what they should not: jump to nowhere, load garbage tables,
 * triple-fault, run random bytes, reach past their memory.  Each must leave
 * with one of KVM's exits, and no byte outside the slots may change.
 *   hostile_guest [rounds [seed]]
 */
#include "client.h"
#include <signal.h>
#include <sys/time.h>

#define GUEST_BYTES 0x20000ul

GUEST_CODE(jump_away, "64", "	jmp	*%rax\n");
GUEST_CODE(touch_all, "64",
	   "1:	mov	(%rsi), %rax\n"
	   "	mov	%rax, (%rsi)\n"
	   "	add	%rdx, %rsi\n"
	   "	loop	1b\n"
	   "	hlt\n");
GUEST_CODE(undefined, "64", "	ud2\n");
GUEST_CODE(store_rax, "64", "	mov	%rax, (%rsi)\n	hlt\n");
GUEST_CODE(jump_16, "16", "	ljmp	$0xf000, $0x0\n");

static uint64_t random_state;

static uint64_t next_random(void) /* xorshift64* */
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dull;
}

struct guest {
	struct client_vm c;
	struct client_memory m;
};

static struct guest start(const uint8_t *begin, const uint8_t *end, struct kvm_regs regs)
{
	struct guest g = {.c = client_create()};

	g.m = client_with_code(&g.c, GUEST_BYTES, begin, end);
	client_identity_tables(&g.m);
	client_long_mode(&g.c);
	client_set_regs(&g.c, regs);
	return g;
}

static void finish(struct guest *g)
{
	client_check_canary(&g->m);
	client_destroy(&g->c);
	client_free(&g->m);
}

/* With no IDT any exception is the third. */
static void triple_fault(void)
{
	struct guest g = start(undefined_begin, undefined_end, (struct kvm_regs){0});

	client_run_to(&g.c, KVM_EXIT_SHUTDOWN);
	finish(&g);
}

static void jump_to_nowhere(void)
{
	/* No slot there: KVM cannot fetch, and its emulator says so. */
	struct guest g =
		start(jump_away_begin, jump_away_end, (struct kvm_regs){.rax = 0x30000000});
	uint32_t reason = client_run(&g.c);

	EXPECT(reason == KVM_EXIT_INTERNAL_ERROR || reason == KVM_EXIT_SHUTDOWN ||
	       reason == KVM_EXIT_MMIO);
	finish(&g);
	/* Not mapped, and not canonical: exceptions without an IDT. */
	g = start(jump_away_begin, jump_away_end, (struct kvm_regs){.rax = 0x7f0000000000});
	client_run_to(&g.c, KVM_EXIT_SHUTDOWN);
	finish(&g);
	g = start(jump_away_begin, jump_away_end, (struct kvm_regs){.rax = 0x8000000000000000});
	client_run_to(&g.c, KVM_EXIT_SHUTDOWN);
	finish(&g);
}

/* Prefixes without end, in the middle of a page and up to the next: #GP, without an IDT. */
static void endless_prefixes(void)
{
	for (uint64_t bytes = 14; bytes < 2 * PAGE_BYTES; bytes += 97) {
		struct guest g = start(undefined_begin, undefined_end, (struct kvm_regs){0});

		memset(g.m.bytes + CODE_GPA, 0x66, bytes);
		g.m.bytes[CODE_GPA + bytes] = 0xf4;
		client_run_to(&g.c, bytes < 15 ? KVM_EXIT_HLT : KVM_EXIT_SHUTDOWN);
		finish(&g);
	}
}

static void real_mode_jump_to_nowhere(void)
{
	struct client_vm c = client_create();
	struct client_memory m = client_with_code(&c, GUEST_BYTES, jump_16_begin, jump_16_end);
	uint32_t reason;

	client_real_mode(&c);
	client_set_regs(&c, (struct kvm_regs){0});
	reason = client_run(&c);
	EXPECT(reason == KVM_EXIT_INTERNAL_ERROR || reason == KVM_EXIT_SHUTDOWN ||
	       reason == KVM_EXIT_MMIO);
	client_destroy(&c);
	client_free(&m);
}

/* One byte before and behind the slot is MMIO, the last bytes inside are memory. */
static void access_at_the_edges(void)
{
	struct guest g = start(store_rax_begin, store_rax_end,
			       (struct kvm_regs){.rax = 0x1234, .rsi = GUEST_BYTES - 8});
	uint64_t last;

	client_run_to(&g.c, KVM_EXIT_HLT);
	memcpy(&last, g.m.bytes + GUEST_BYTES - 8, sizeof(last));
	EXPECT_EQ(last, 0x1234);
	finish(&g);

	g = start(store_rax_begin, store_rax_end,
		  (struct kvm_regs){.rax = 0x1122334455667788, .rsi = GUEST_BYTES - 4});
	client_run_to(&g.c, KVM_EXIT_MMIO); /* the half that lies outside */
	EXPECT_EQ(g.c.run->mmio.phys_addr, GUEST_BYTES);
	EXPECT_EQ(g.c.run->mmio.len, 4);
	client_run_to(&g.c, KVM_EXIT_HLT);
	finish(&g);
}

/* Walk far past the end: every access there is an exit, never a byte of ours. */
static void walk_past_the_end(void)
{
	struct guest g = start(touch_all_begin, touch_all_end,
			       (struct kvm_regs){.rsi = GUEST_BYTES, .rdx = 4096, .rcx = 64});

	for (int i = 0; i < 128; i++) {
		client_run_to(&g.c, KVM_EXIT_MMIO);
		EXPECT_EQ(g.c.run->mmio.is_write, i & 1);
		EXPECT_EQ(g.c.run->mmio.phys_addr, GUEST_BYTES + 4096ull * (unsigned int)(i / 2));
	}
	client_run_to(&g.c, KVM_EXIT_HLT);
	finish(&g);
}

/* ---- random guests ------------------------------------------------------------------ */

static void on_alarm(int signal)
{
	(void)signal; /* its only purpose is to end KVM_RUN with EINTR */
}

static void alarm_in(long microseconds)
{
	/* Again and again: the first may come between two runs and interrupt neither. */
	struct itimerval timer = {.it_value = {.tv_usec = microseconds},
				  .it_interval = {.tv_usec = microseconds}};

	EXPECT_EQ(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/* Run until the guest has had its say: a final exit, an alarm, or many small exits. */
static void run_for_a_while(struct guest *g)
{
	alarm_in(20000);
	for (int exits = 0; exits < 200; exits++) {
		if (ioctl(g->c.vcpu, KVM_RUN, 0) < 0) {
			EXPECT(errno == EINTR || errno == EFAULT);
			break;
		}
		uint32_t reason = g->c.run->exit_reason;

		if (reason == KVM_EXIT_SHUTDOWN || reason == KVM_EXIT_INTERNAL_ERROR ||
		    reason == KVM_EXIT_FAIL_ENTRY)
			break;
		EXPECT(reason == KVM_EXIT_IO || reason == KVM_EXIT_MMIO || reason == KVM_EXIT_HLT ||
		       reason == KVM_EXIT_INTR);
	}
	alarm_in(0);
}

static struct kvm_regs random_regs(void)
{
	struct kvm_regs regs = {0};

	regs.rax = next_random();
	regs.rbx = next_random() % (2 * GUEST_BYTES);
	regs.rcx = next_random() % 64;
	regs.rdx = next_random() & 0xffff;
	regs.rsi = next_random() % (2 * GUEST_BYTES);
	regs.rdi = next_random() % (2 * GUEST_BYTES);
	return regs;
}

/* Tables of random entries, some of them plausible, under ordinary code. */
static void garbage_tables(void)
{
	struct kvm_regs regs = random_regs();
	struct guest g;

	regs.rcx = 100;
	regs.rdx = next_random() >> (next_random() % 64);
	regs.rsi = next_random() >> 17;
	g = start(touch_all_begin, touch_all_end, regs);
	for (uint64_t gpa = PML4_GPA; gpa < PD_GPA + PAGE_BYTES; gpa += 8) {
		uint64_t entry = next_random();

		if (entry % 4 == 0) /* a table that is there, perhaps this one */
			entry = (PML4_GPA + entry / 4 % 4 * PAGE_BYTES) | (next_random() & 0xfff);
		if (gpa % PAGE_BYTES != 0 || entry % 8 != 0) /* often keep what maps the code */
			memcpy(g.m.bytes + gpa, &entry, sizeof(entry));
	}
	run_for_a_while(&g);
	finish(&g);
}

static void random_code(bool long_mode)
{
	struct guest g = {.c = client_create()};
	uint64_t word;

	g.m = client_with_code(&g.c, GUEST_BYTES, undefined_begin, undefined_end);
	for (uint64_t gpa = CODE_GPA; gpa < CODE_GPA + 256; gpa += sizeof(word)) {
		word = next_random();
		memcpy(g.m.bytes + gpa, &word, sizeof(word));
	}
	client_identity_tables(&g.m);
	if (long_mode)
		client_long_mode(&g.c);
	else
		client_real_mode(&g.c);
	client_set_regs(&g.c, random_regs());
	run_for_a_while(&g);
	finish(&g);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 100;
	struct sigaction action = {.sa_handler = on_alarm};

	random_state = argc > 2 ? strtoull(argv[2], NULL, 0) : 0x6b766d75;
	printf("rounds %d, seed 0x%llx\n", rounds, (unsigned long long)random_state);
	fflush(stdout);
	EXPECT(random_state != 0);
	EXPECT_EQ(sigaction(SIGALRM, &action, NULL), 0);
	triple_fault();
	jump_to_nowhere();
	endless_prefixes();
	real_mode_jump_to_nowhere();
	access_at_the_edges();
	walk_past_the_end();
	for (int i = 0; i < rounds; i++) {
		garbage_tables();
		random_code(true);
		random_code(false);
	}
	return 0;
}
