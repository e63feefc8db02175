// SPDX-License-Identifier: BSD-2-Clause
/*
 * What programs rely on in KVM_RUN itself: immediate_exit completes what is
 * pending and runs nothing; a signal ends it with EINTR, whatever SA_RESTART
 * says; a blocked signal does not; a vCPU runs in one thread at a time; the
 * VM outlives its own descriptor.
 */
#include "client.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>

GUEST_CODE(in_then_halt, "16",
	   "	in	$0x42, %al\n"
	   "	mov	%al, %bl\n"
	   "	hlt\n");
GUEST_CODE(spin, "16", "1:	inc	%ecx\n	jmp	1b\n");

struct guest {
	struct client_vm c;
	struct client_memory m;
};

static volatile sig_atomic_t handled;

static void on_signal(int signal)
{
	(void)signal;
	handled++;
}

static struct guest start(const uint8_t *begin, const uint8_t *end)
{
	struct guest g = {.c = client_create()};

	g.m = client_with_code(&g.c, 0x10000, begin, end);
	client_real_mode(&g.c);
	client_set_regs(&g.c, (struct kvm_regs){0});
	return g;
}

static void finish(struct guest *g)
{
	client_destroy(&g->c);
	client_free(&g->m);
}

static void expect_eintr(const struct client_vm *c)
{
	int ret = ioctl(c->vcpu, KVM_RUN, 0);

	EXPECT_EQ(ret, -1);
	EXPECT_EQ(errno, EINTR);
}

static void immediate_exit(void)
{
	struct guest g = start(in_then_halt_begin, in_then_halt_end);
	uint64_t rip;

	/* Before the first instruction: nothing runs. */
	g.c.run->immediate_exit = 1;
	expect_eintr(&g.c);
	EXPECT_EQ(client_get_regs(&g.c).rip, CODE_GPA);
	g.c.run->immediate_exit = 0;
	client_run_to(&g.c, KVM_EXIT_IO);
	EXPECT_EQ(g.c.run->io.port, 0x42);
	*client_io_data(&g.c) = 0x99;
	/* With an IN pending: it completes, and the exit information stays. */
	g.c.run->immediate_exit = 1;
	expect_eintr(&g.c);
	EXPECT_EQ(g.c.run->exit_reason, KVM_EXIT_IO);
	EXPECT_EQ(g.c.run->io.port, 0x42);
	EXPECT_EQ(client_get_regs(&g.c).rax & 0xff, 0x99);
	EXPECT_EQ(client_get_regs(&g.c).rbx & 0xff, 0);
	rip = client_get_regs(&g.c).rip;
	expect_eintr(&g.c);
	EXPECT_EQ(client_get_regs(&g.c).rip, rip);
	g.c.run->immediate_exit = 0;
	client_run_to(&g.c, KVM_EXIT_HLT);
	EXPECT_EQ(client_get_regs(&g.c).rbx & 0xff, 0x99);
	finish(&g);
}

static void alarm_in(long microseconds)
{
	struct itimerval timer = {.it_value = {.tv_usec = microseconds}};

	EXPECT_EQ(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/* The handler has run when KVM_RUN is back, and the guest goes on where it was. */
static void signal_ends_the_run(void)
{
	struct guest g = start(spin_begin, spin_end);
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	uint64_t first;

	EXPECT_EQ(sigaction(SIGALRM, &action, NULL), 0);
	handled = 0;
	alarm_in(20000);
	expect_eintr(&g.c);
	EXPECT_EQ(handled, 1);
	EXPECT_EQ(g.c.run->exit_reason, KVM_EXIT_INTR);
	first = client_get_regs(&g.c).rcx;
	EXPECT(first != 0);
	alarm_in(20000);
	expect_eintr(&g.c);
	EXPECT_EQ(handled, 2);
	EXPECT(client_get_regs(&g.c).rcx != first);
	finish(&g);
}

/* A signal that the thread blocks stays pending and ends nothing; the next one does. */
static void blocked_signal_does_not(void)
{
	struct guest g = start(spin_begin, spin_end);
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t blocked;

	EXPECT_EQ(sigaction(SIGALRM, &action, NULL), 0);
	EXPECT_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	EXPECT_EQ(pthread_sigmask(SIG_BLOCK, &blocked, NULL), 0);
	handled = 0;
	raise(SIGUSR1);
	alarm_in(50000);
	expect_eintr(&g.c);
	EXPECT_EQ(handled, 1); /* the alarm alone */
	EXPECT_EQ(pthread_sigmask(SIG_UNBLOCK, &blocked, NULL), 0);
	EXPECT_EQ(handled, 2);
	finish(&g);
}

static void *run_thread(void *arg)
{
	struct client_vm *c = arg;
	int ret = ioctl(c->vcpu, KVM_RUN, 0);

	EXPECT(ret == -1 && errno == EINTR);
	return NULL;
}

/* SIGUSR2 to the thread until it is in KVM_RUN and has left it. */
static void stop_thread(pthread_t thread)
{
	struct timespec limit;

	for (int i = 0; i < 1000; i++) {
		pthread_kill(thread, SIGUSR2);
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_nsec += 10 * 1000 * 1000;
		if (limit.tv_nsec >= 1000000000) {
			limit.tv_nsec -= 1000000000;
			limit.tv_sec++;
		}
		if (pthread_timedjoin_np(thread, NULL, &limit) == 0)
			return;
	}
	client_fail("a signal did not end KVM_RUN in another thread");
}

/*
 * While one thread runs the vCPU, another's request waits for it: it answers
 * once the first has left, and sees the registers as they are then.
 */
static _Atomic uint64_t seen_rcx;

static void *look_thread(void *arg)
{
	atomic_store(&seen_rcx, client_get_regs(arg).rcx);
	return NULL;
}

static void one_thread_at_a_time(void)
{
	struct guest g = start(spin_begin, spin_end);
	struct sigaction action = {.sa_handler = on_signal};
	pthread_t runner, looker;

	EXPECT_EQ(sigaction(SIGUSR2, &action, NULL), 0);
	atomic_store(&seen_rcx, 0);
	EXPECT_EQ(pthread_create(&runner, NULL, run_thread, &g.c), 0);
	usleep(20000);
	EXPECT_EQ(pthread_create(&looker, NULL, look_thread, &g.c), 0);
	usleep(20000);
	EXPECT_EQ(atomic_load(&seen_rcx), 0);
	stop_thread(runner);
	EXPECT_EQ(pthread_join(looker, NULL), 0);
	EXPECT(atomic_load(&seen_rcx) != 0);
	EXPECT_EQ(atomic_load(&seen_rcx), client_get_regs(&g.c).rcx);
	finish(&g);
}

static void vm_outlives_its_descriptor(void)
{
	struct guest g = start(in_then_halt_begin, in_then_halt_end);

	EXPECT_EQ(close(g.c.vm), 0);
	EXPECT_EQ(close(g.c.kvm), 0);
	client_run_to(&g.c, KVM_EXIT_IO);
	*client_io_data(&g.c) = 7;
	client_run_to(&g.c, KVM_EXIT_HLT);
	EXPECT_EQ(client_get_regs(&g.c).rbx & 0xff, 7);
	EXPECT_EQ(munmap(g.c.run, g.c.run_bytes), 0);
	EXPECT_EQ(close(g.c.vcpu), 0);
	client_free(&g.m);
}

int main(void)
{
	immediate_exit();
	signal_ends_the_run();
	blocked_signal_does_not();
	one_thread_at_a_time();
	vm_outlives_its_descriptor();
	return 0;
}
