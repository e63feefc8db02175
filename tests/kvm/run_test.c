/* SPDX-License-Identifier: BSD-2-Clause */
/* KVM_RUN: exits, immediate_exit, signals, two threads, memory that goes away. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/kvm/kvm_fixture.h"

/* ---- exits ------------------------------------------------------------------------------- */

static void hlt_exits(void **state)
{
	struct fixture *f = *state;

	LOAD(f, 0xf4, 0xf4);
	for (int i = 1; i <= 2; i++) {
		assert_int_equal(run_errno(f), 0);
		assert_int_equal(f->run->exit_reason, KVM_EXIT_HLT);
		assert_int_equal(get_regs(f).rip, FIXTURE_CODE + i);
	}
}

static void port_io_exits(void **state)
{
	struct fixture *f = *state;
	uint8_t *data;

	LOAD(f, 0xb0, 0x5a, 0xe6, 0x10, 0xe4, 0x11, 0xf4); /* mov $0x5a,%al; out; in; hlt */
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(f->run->io.direction, KVM_EXIT_IO_OUT);
	assert_int_equal(f->run->io.port, 0x10);
	assert_int_equal(f->run->io.size, 1);
	assert_int_equal(f->run->io.count, 1);
	data = (uint8_t *)f->run + f->run->io.data_offset;
	assert_int_equal(*data, 0x5a);
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->io.direction, KVM_EXIT_IO_IN);
	*data = 0x77;
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_HLT);
	assert_int_equal(get_regs(f).rax & 0xff, 0x77);
}

static void mmio_exits(void **state)
{
	struct fixture *f = *state;
	struct kvm_sregs sregs;

	/* mov %ds:0x10,%al; mov %ax,%ds:0x20; hlt, with DS far above the slot */
	LOAD(f, 0xa0, 0x10, 0x00, 0xa3, 0x20, 0x00, 0xf4);
	ioctl(f->vcpu, KVM_GET_SREGS, &sregs);
	sregs.ds.base = 0x10000000;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(f->run->mmio.phys_addr, 0x10000010);
	assert_int_equal(f->run->mmio.len, 1);
	assert_int_equal(f->run->mmio.is_write, 0);
	f->run->mmio.data[0] = 0xc3;
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(f->run->mmio.phys_addr, 0x10000020);
	assert_int_equal(f->run->mmio.len, 2);
	assert_int_equal(f->run->mmio.is_write, 1);
	assert_int_equal(f->run->mmio.data[0], 0xc3);
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_HLT);
}

static void the_page_says_what_it_should(void **state)
{
	struct fixture *f = *state;

	LOAD(f, 0xfb, 0x90, 0xf4, 0xfa, 0xf4); /* sti; nop; hlt; cli; hlt */
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->if_flag, 1);
	assert_int_equal(f->run->ready_for_interrupt_injection, 1);
	assert_int_equal(f->run->apic_base & 0xfffff000, 0xfee00000);
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->if_flag, 0);
	assert_int_equal(f->run->ready_for_interrupt_injection, 0);
}

static void interrupt_window(void **state)
{
	struct fixture *f = *state;
	struct kvm_interrupt irq = {.irq = 0x20};

	LOAD(f, 0xfb, 0x90, 0xeb, 0xfe); /* sti; nop; jmp . */
	f->mem[0x2000] = 0xf4;		 /* the handler: hlt */
	f->mem[0x80] = 0x00;
	f->mem[0x81] = 0x20; /* vector 0x20: 0000:2000 */
	f->run->request_interrupt_window = 1;
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_IRQ_WINDOW_OPEN);
	f->run->request_interrupt_window = 0;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_INTERRUPT, &irq), 0);
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_HLT);
	assert_int_equal(get_regs(f).rip, 0x2001);
}

static void nowhere_to_fetch_from_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct kvm_regs regs = {.rip = 0xfff0, .rflags = 2};
	struct kvm_sregs sregs;

	ioctl(f->vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = 0x20000000;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_REGS, &regs), 0);
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	assert_int_equal(f->run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
}

/* No instruction has more than 15 bytes, wherever in its page it begins. */
static void prefixes_without_end_are_a_protection_fault(void **state)
{
	const struct fixture *f = *state;

	LOAD((struct fixture *)*state, 0xf4);
	f->mem[13 * 4] = 0x00; /* #GP: 0x1000, where there is a HLT */
	f->mem[13 * 4 + 1] = 0x10;
	for (unsigned int start = 0x2000; start <= 0x3000; start += 0xff1) {
		struct kvm_regs regs = get_regs(f);

		memset(f->mem + start, 0x64, 0x100);
		regs.rip = start;
		regs.rsp = 0x8000;
		assert_int_equal(ioctl(f->vcpu, KVM_SET_REGS, &regs), 0);
		run_to(f, KVM_EXIT_HLT);
		assert_int_equal(get_regs(f).rip, 0x1001);
		/* The handler's frame says where. */
		assert_int_equal(f->mem[0x8000 - 6] | f->mem[0x8000 - 5] << 8, start);
	}
}

static void sync_regs_both_ways(void **state)
{
	struct fixture *f = *state;

	LOAD(f, 0x40, 0xf4, 0xf4); /* inc %ax; hlt; hlt */
	f->run->kvm_valid_regs = 1ull << 40;
	assert_int_equal(run_errno(f), EINVAL);
	f->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->s.regs.regs.rax, 1);
	f->run->s.regs.regs.rip = FIXTURE_CODE;
	f->run->s.regs.regs.rax = 7;
	f->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->s.regs.regs.rax, 8);
	assert_int_equal(f->run->kvm_dirty_regs, 0);
}

/* ---- immediate_exit ------------------------------------------------------------------------- */

static void immediate_exit_runs_nothing(void **state)
{
	struct fixture *f = *state;

	LOAD(f, 0xe6, 0x10, 0xf4); /* out; hlt */
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_IO);
	f->run->immediate_exit = 1;
	/* The first finishes the access; both leave the exit as it was. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(run_errno(f), EINTR);
		assert_int_equal(f->run->exit_reason, KVM_EXIT_IO);
		assert_int_equal(f->run->io.port, 0x10);
		assert_int_equal(get_regs(f).rip, FIXTURE_CODE + 2);
	}
	f->run->immediate_exit = 0;
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_HLT);
}

static void immediate_exit_takes_the_answer(void **state)
{
	struct fixture *f = *state;

	LOAD(f, 0xe4, 0x10, 0xf4); /* in; hlt */
	assert_int_equal(run_errno(f), 0);
	*((uint8_t *)f->run + f->run->io.data_offset) = 0x99;
	f->run->immediate_exit = 1;
	assert_int_equal(run_errno(f), EINTR);
	assert_int_equal(get_regs(f).rax & 0xff, 0x99);
}

/* ---- signals ----------------------------------------------------------------- */

static volatile sig_atomic_t handled;

static void count_signal(int sig)
{
	(void)sig;
	handled++;
}

static void handle(int sig, void (*fn)(int))
{
	/* SA_RESTART or not, KVM_RUN ends. */
	struct sigaction act = {.sa_handler = fn, .sa_flags = SA_RESTART};

	handled = 0;
	sigaction(sig, &act, NULL);
}

struct later {
	pthread_t target;
	int sig;
	int delay_ms;
};

static void *send_later(void *arg)
{
	const struct later *later = arg;

	usleep((useconds_t)later->delay_ms * 1000);
	pthread_kill(later->target, later->sig);
	return NULL;
}

static int run_with_signal(struct fixture *f, int sig)
{
	struct later later = {pthread_self(), sig, 20};
	pthread_t thread;
	int err;

	pthread_create(&thread, NULL, send_later, &later);
	err = run_errno(f);
	pthread_join(thread, NULL);
	return err;
}

static void a_signal_ends_the_run(void **state)
{
	struct fixture *f = *state;

	LOAD(f, 0xeb, 0xfe);
	handle(SIGUSR1, count_signal);
	assert_int_equal(run_with_signal(f, SIGUSR1), EINTR);
	assert_int_equal(handled, 1);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_INTR);
	assert_int_equal(get_regs(f).rip, FIXTURE_CODE);
	handle(SIGUSR1, SIG_DFL);
}

static void the_mask_is_as_before(void **state)
{
	struct fixture *f = *state;
	sigset_t before, after;

	LOAD(f, 0xf4);
	sigemptyset(&before);
	sigaddset(&before, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &before, NULL);
	pthread_sigmask(SIG_BLOCK, NULL, &before);
	assert_int_equal(run_errno(f), 0);
	pthread_sigmask(SIG_BLOCK, NULL, &after);
	assert_memory_equal(&before, &after, 8);
	sigdelset(&after, SIGUSR2);
	pthread_sigmask(SIG_SETMASK, &after, NULL);
}

/* Blocked or ignored ones do not: the alarm that follows does. */
static void other_signals_do_not(void **state)
{
	struct fixture *f = *state;
	struct timespec zero = {0};
	sigset_t set;
	timer_t timer;
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	struct itimerspec in_50_ms = {.it_value.tv_nsec = 50000000};

	LOAD(f, 0xeb, 0xfe);
	handle(SIGALRM, count_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGUSR1, SIG_IGN);
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_settime(timer, 0, &in_50_ms, NULL);
	raise(SIGUSR2);
	run_with_signal(f, SIGUSR1);
	assert_int_equal(handled, 1);
	assert_int_equal(sigtimedwait(&set, NULL, &zero), SIGUSR2);
	timer_delete(timer);
	signal(SIGUSR1, SIG_DFL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	handle(SIGALRM, SIG_DFL);
}

static void set_mask(const struct fixture *f, uint64_t blocked)
{
	struct {
		struct kvm_signal_mask head;
		uint8_t set[8];
	} __attribute__((packed)) mask = {.head.len = 8};

	memcpy((uint8_t *)&mask + offsetof(struct kvm_signal_mask, sigset), &blocked, 8);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SIGNAL_MASK, &mask), 0);
}

/* Blocked outside, unblocked inside: ends the run and is still there afterwards. */
static void a_signal_of_the_mask_stays_pending(void **state)
{
	struct fixture *f = *state;
	struct timespec zero = {0};
	sigset_t set;

	LOAD(f, 0xeb, 0xfe);
	handle(SIGUSR1, count_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	set_mask(f, 0);
	assert_int_equal(run_with_signal(f, SIGUSR1), EINTR);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_INTR);
	/* Still pending, so the next run does not start either. */
	assert_int_equal(run_errno(f), EINTR);
	assert_int_equal(handled, 0);
	assert_int_equal(sigtimedwait(&set, NULL, &zero), SIGUSR1);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SIGNAL_MASK, NULL), 0);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	handle(SIGUSR1, SIG_DFL);
}

static void a_halt_with_irqchip_waits_for_a_signal(void **state)
{
	struct fixture *f = *state;
	struct kvm_mp_state mp;

	LOAD(f, 0xf4);
	handle(SIGUSR1, count_signal);
	assert_int_equal(run_with_signal(f, SIGUSR1), EINTR);
	assert_int_equal(handled, 1);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_INTR);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_MP_STATE, &mp), 0);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_HALTED);
	handle(SIGUSR1, SIG_DFL);
}

static void a_second_processor_waits_to_be_started(void **state)
{
	struct fixture *f = *state;
	int first = f->vcpu;
	struct kvm_mp_state mp;

	f->vcpu = ioctl(f->vm, KVM_CREATE_VCPU, 1);
	assert_true(f->vcpu >= 0);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_MP_STATE, &mp), 0);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_UNINITIALIZED);
	handle(SIGUSR1, count_signal);
	assert_int_equal(run_with_signal(f, SIGUSR1), EINTR);
	close(f->vcpu);
	f->vcpu = first;
	handle(SIGUSR1, SIG_DFL);
}

/* ---- threads ----------------------------------------------------------------- */

struct runner {
	struct fixture *f;
	int err;
	_Atomic int done;
};

static void *run_in_thread(void *arg)
{
	struct runner *r = arg;

	r->err = run_errno(r->f);
	r->done = 1;
	return NULL;
}

/* The second thread gets in when the first has left. */
static void two_threads_take_turns(void **state)
{
	struct fixture *f = *state;
	struct runner a = {.f = f}, b = {.f = f};
	pthread_t ta, tb;

	/* wait: cmpb $0,0x5000; je wait; hlt; hlt */
	LOAD(f, 0x80, 0x3e, 0x00, 0x50, 0x00, 0x74, 0xf9, 0xf4, 0xf4);
	pthread_create(&ta, NULL, run_in_thread, &a);
	usleep(20000);
	pthread_create(&tb, NULL, run_in_thread, &b);
	usleep(20000);
	assert_false(a.done);
	assert_false(b.done);
	__atomic_store_n(&f->mem[0x5000], 1, __ATOMIC_SEQ_CST);
	pthread_join(ta, NULL);
	pthread_join(tb, NULL);
	assert_int_equal(a.err, 0);
	assert_int_equal(b.err, 0);
	assert_int_equal(get_regs(f).rip, FIXTURE_CODE + 9);
}

/* ---- memory that goes away --------------------------------------------------- */

#define HOLE 0x40000ul

/* loop: incb 0x5000 (DS base 0x3b000: HOLE); jmp loop */
static void start_toucher(struct fixture *f, struct runner *r, pthread_t *thread)
{
	struct kvm_sregs sregs;

	LOAD(f, 0xfe, 0x06, 0x00, 0x50, 0xeb, 0xfa);
	ioctl(f->vcpu, KVM_GET_SREGS, &sregs);
	sregs.ds.base = HOLE - 0x5000;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &sregs), 0);
	r->f = f;
	pthread_create(thread, NULL, run_in_thread, r);
	usleep(20000);
	assert_false(r->done);
}

static void munmap_under_a_guest_is_efault(void **state)
{
	struct fixture *f = *state;
	struct runner r = {0};
	pthread_t thread;

	start_toucher(f, &r, &thread);
	munmap(f->mem + HOLE, 4096);
	pthread_join(thread, NULL);
	assert_int_equal(r.err, EFAULT);
	/* With memory there again it goes on. */
	assert_ptr_equal(mmap(f->mem + HOLE, 4096, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 f->mem + HOLE);
	handle(SIGUSR1, count_signal);
	assert_int_equal(run_with_signal(f, SIGUSR1), EINTR);
	assert_true(f->mem[HOLE] != 0);
	handle(SIGUSR1, SIG_DFL);
}

static void mprotect_under_a_guest_is_efault(void **state)
{
	struct fixture *f = *state;
	struct runner r = {0};
	pthread_t thread;

	start_toucher(f, &r, &thread);
	mprotect(f->mem + HOLE, 4096, PROT_READ);
	pthread_join(thread, NULL);
	assert_int_equal(r.err, EFAULT);
	mprotect(f->mem + HOLE, 4096, PROT_READ | PROT_WRITE);
}

static void memory_replaced_under_a_guest_is_the_new(void **state)
{
	struct fixture *f = *state;
	struct runner r = {0};
	pthread_t thread;
	pthread_t self = pthread_self();

	(void)self;
	start_toucher(f, &r, &thread);
	for (int i = 0; i < 50; i++) {
		mmap(f->mem + HOLE, 4096, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		madvise(f->mem + HOLE, 4096, MADV_DONTNEED);
	}
	handle(SIGUSR1, count_signal);
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	assert_int_equal(r.err, EINTR);
	handle(SIGUSR1, SIG_DFL);
}

/* ---- the program's own faults ------------------------------------------------ */

static sigjmp_buf after_fault;
static void *volatile fault_address;

static void on_segv(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	fault_address = info->si_addr;
	siglongjmp(after_fault, 1);
}

static void a_fault_of_the_program_is_its_own(void **state)
{
	struct sigaction act = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO}, old, now;
	volatile char *nowhere = unmapped_pointer();

	(void)state;
	assert_int_equal(sigaction(SIGSEGV, &act, &old), 0);
	assert_int_equal(sigaction(SIGSEGV, NULL, &now), 0);
	assert_ptr_equal(now.sa_sigaction, on_segv);
	for (int i = 0; i < 2; i++) {
		fault_address = NULL;
		if (!sigsetjmp(after_fault, 1))
			*nowhere = 1;
		assert_ptr_equal(fault_address, nowhere);
	}
	sigaction(SIGSEGV, &old, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define TEST_IRQCHIP(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup_irqchip, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(hlt_exits),
		TEST(port_io_exits),
		TEST(mmio_exits),
		TEST(the_page_says_what_it_should),
		TEST(interrupt_window),
		TEST(nowhere_to_fetch_from_is_an_error),
		TEST(prefixes_without_end_are_a_protection_fault),
		TEST(sync_regs_both_ways),
		TEST(immediate_exit_runs_nothing),
		TEST(immediate_exit_takes_the_answer),
		TEST(a_signal_ends_the_run),
		TEST(the_mask_is_as_before),
		TEST(other_signals_do_not),
		TEST(a_signal_of_the_mask_stays_pending),
		TEST_IRQCHIP(a_halt_with_irqchip_waits_for_a_signal),
		TEST_IRQCHIP(a_second_processor_waits_to_be_started),
		TEST(two_threads_take_turns),
		TEST(munmap_under_a_guest_is_efault),
		TEST(mprotect_under_a_guest_is_efault),
		TEST(memory_replaced_under_a_guest_is_the_new),
		TEST(a_fault_of_the_program_is_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
