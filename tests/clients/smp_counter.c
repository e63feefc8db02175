// SPDX-License-Identifier: BSD-2-Clause
/*
 * Two vCPUs in two threads on one memory: locked increments must not lose a
 * single count, an exchange lock must exclude, and memory must be ordered as
 * the architecture promises (a message is seen whole once its flag is seen).
 */
#include "client.h"
#include <pthread.h>

#define NR_VCPUS   2
#define ROUNDS	   200000ul
#define SHARED_GPA 0x20000ul /* counters, one per cache line */

/*
 * rdi = shared area, rcx = rounds.  Line 0: lock inc.  Line 1: lock xadd.
 * Line 2: cmpxchg loop.  Line 3: the xchg lock, line 4 what it protects.
 */
GUEST_CODE(counting, "64",
	   "1:	lock incq (%rdi)\n"
	   "	mov	$3, %eax\n"
	   "	lock xadd %rax, 64(%rdi)\n"
	   "	mov	128(%rdi), %rax\n"
	   "2:	lea	1(%rax), %rdx\n"
	   "	lock cmpxchg %rdx, 128(%rdi)\n"
	   "	jne	2b\n"
	   "3:	mov	$1, %eax\n"
	   "	xchg	%eax, 192(%rdi)\n"
	   "	test	%eax, %eax\n"
	   "	jz	4f\n"
	   "	pause\n"
	   "	jmp	3b\n"
	   "4:	incq	256(%rdi)\n" /* not atomic: the lock's job */
	   "	movl	$0, 192(%rdi)\n"
	   "	dec	%rcx\n"
	   "	jnz	1b\n"
	   "	hlt\n");

/* rbx = 0: write data, then sequence; rbx = 1: read sequence, then data. */
GUEST_CODE(messages, "64",
	   "	test	%ebx, %ebx\n"
	   "	jnz	2f\n"
	   "1:	mov	%rcx, 64(%rdi)\n"
	   "	mov	%rcx, (%rdi)\n"
	   "	inc	%rcx\n"
	   "	cmp	%rsi, %rcx\n"
	   "	jb	1b\n"
	   "	hlt\n"
	   "2:	mov	(%rdi), %rax\n"
	   "	mov	64(%rdi), %rdx\n"
	   "	cmp	%rax, %rdx\n" /* data may be newer than its flag, never older */
	   "	jb	3f\n"
	   "	inc	%rax\n"
	   "	cmp	%rsi, %rax\n"
	   "	jb	2b\n"
	   "	xor	%ebp, %ebp\n"
	   "	hlt\n"
	   "3:	mov	$1, %ebp\n"
	   "	hlt\n");

struct machine {
	struct client_vm c[NR_VCPUS]; /* the same VM, a vCPU each */
	struct client_memory m;
};

static struct machine create(const uint8_t *begin, const uint8_t *end)
{
	struct machine g = {0};

	g.c[0] = client_create();
	g.m = client_with_code(&g.c[0], 0x40000, begin, end);
	client_identity_tables(&g.m);
	g.c[1] = g.c[0];
	g.c[1].vcpu = ioctl(g.c[0].vm, KVM_CREATE_VCPU, 1);
	EXPECT(g.c[1].vcpu >= 0);
	g.c[1].run =
		mmap(NULL, g.c[1].run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, g.c[1].vcpu, 0);
	EXPECT(g.c[1].run != MAP_FAILED);
	return g;
}

static void destroy(struct machine *g)
{
	EXPECT_EQ(munmap(g->c[1].run, g->c[1].run_bytes), 0);
	EXPECT_EQ(close(g->c[1].vcpu), 0);
	client_destroy(&g->c[0]);
	client_free(&g->m);
}

static void *run_to_halt(void *c)
{
	client_run_to(c, KVM_EXIT_HLT);
	return NULL;
}

static void run_all(struct machine *g)
{
	pthread_t threads[NR_VCPUS];

	for (int i = 0; i < NR_VCPUS; i++)
		EXPECT_EQ(pthread_create(&threads[i], NULL, run_to_halt, &g->c[i]), 0);
	for (int i = 0; i < NR_VCPUS; i++)
		EXPECT_EQ(pthread_join(threads[i], NULL), 0);
}

static void counters_lose_nothing(void)
{
	struct machine g = create(counting_begin, counting_end);
	const uint64_t *shared = (const uint64_t *)(const void *)(g.m.bytes + SHARED_GPA);

	for (int i = 0; i < NR_VCPUS; i++) {
		client_long_mode(&g.c[i]);
		client_set_regs(&g.c[i], (struct kvm_regs){.rdi = SHARED_GPA, .rcx = ROUNDS});
	}
	run_all(&g);
	EXPECT_EQ(shared[0], NR_VCPUS * ROUNDS);
	EXPECT_EQ(shared[8], NR_VCPUS * ROUNDS * 3);
	EXPECT_EQ(shared[16], NR_VCPUS * ROUNDS);
	EXPECT_EQ(shared[32], NR_VCPUS * ROUNDS);
	destroy(&g);
}

static void messages_arrive_in_order(void)
{
	struct machine g = create(messages_begin, messages_end);

	for (unsigned int i = 0; i < NR_VCPUS; i++) {
		client_long_mode(&g.c[i]);
		client_set_regs(&g.c[i],
				(struct kvm_regs){.rdi = SHARED_GPA, .rsi = ROUNDS * 10, .rbx = i});
	}
	run_all(&g);
	EXPECT_EQ(client_get_regs(&g.c[1]).rbp, 0);
	destroy(&g);
}

int main(void)
{
	counters_lose_nothing();
	messages_arrive_in_order();
	return 0;
}
