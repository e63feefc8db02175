/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupt controllers of ours under real guests and threads: one CPU starts
 * and wakes another, the timer ends a halt, a cancelled thread leaves no lock.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/kvm/kvm_fixture.h"

#define APIC_PAGE 0xfee00000ull
#define FLAG	  0x3000 /* where the guests meet */
#define AP_CODE	  0x2000

/* DS is the APIC's page, ES is flat. */
static void ds_to_apic(const struct fixture *f)
{
	struct kvm_sregs sregs;

	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.ds.base = APIC_PAGE;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &sregs), 0);
}

/* ---- two CPUs ------------------------------------------------------------------------------ */

struct second {
	int vcpu;
	_Atomic bool stop;
	int unexpected; /* errno */
	unsigned int again;
};

static void on_signal(int sig)
{
	(void)sig;
}

static void *run_second(void *arg)
{
	struct second *s = arg;

	while (!s->stop) {
		if (!ioctl(s->vcpu, KVM_RUN, NULL))
			s->unexpected = -1;
		else if (errno == EAGAIN)
			s->again++;
		else if (errno != EINTR)
			s->unexpected = errno;
	}
	return NULL;
}

static void stop_second(struct second *s, pthread_t thread)
{
	struct timespec soon = {.tv_nsec = 10000000};

	s->stop = true;
	while (pthread_kill(thread, SIGUSR1) == 0 && pthread_timedjoin_np(thread, NULL, &soon) != 0)
		usleep(1000);
}

GUEST16(starter, "movl $0x01000000, 0x310\n movl $0x4500, 0x300\n" /* INIT */
		 "movl $0x4602, 0x300\n"			   /* SIPI to 0x2000 */
		 "1: cmpw $1, %es:0x3000\n jne 1b\n"
		 "movl $0x4400, 0x300\n" /* NMI: the other is halted */
		 "2: cmpw $2, %es:0x3000\n jne 2b\n"
		 "out %al, $0x10\n hlt");
GUEST16(started, "movw $1, 0x3000\n 1: hlt\n jmp 1b");
GUEST16(on_nmi, "incw %cs:0x3000\n iret");

static void one_cpu_starts_and_wakes_another(void **state)
{
	struct fixture *f = *state;
	struct second second = {.vcpu = ioctl(f->vm, KVM_CREATE_VCPU, 1)};
	struct sigaction act = {.sa_handler = on_signal};
	struct kvm_mp_state mp;
	pthread_t thread;

	sigaction(SIGUSR1, &act, NULL);
	LOAD_GUEST(f, starter);
	ds_to_apic(f);
	memcpy(f->mem + AP_CODE, started_begin, (size_t)(started_end - started_begin));
	memcpy(f->mem + 0x5000, on_nmi_begin, (size_t)(on_nmi_end - on_nmi_begin));
	memcpy(f->mem + 2 * 4, (const uint16_t[]){0x5000, 0}, 4);
	assert_int_equal(pthread_create(&thread, NULL, run_second, &second), 0);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_MP_STATE, &mp), 0);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	stop_second(&second, thread);
	assert_int_equal(second.unexpected, 0);
	assert_int_equal(second.again, 1); /* the INIT ended its first run */
	assert_int_equal(ioctl_errno(second.vcpu, KVM_GET_MP_STATE, &mp), 0);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_HALTED);
	close(second.vcpu);
}

/* ---- the timer ----------------------------------------------------------------- */

GUEST16(sleeper, "movl $0x1ff, 0xf0\n movl $0xb, 0x3e0\n movl $0x40, 0x320\n"
		 "movl $2000000, 0x380\n"
		 "sti\n hlt\n cli\n out %al, $0x10\n hlt");
GUEST16(on_tick, "movl $0, 0xb0\n incw %cs:0x3000\n iret");

static void the_timer_ends_a_halt(void **state)
{
	struct fixture *f = *state;

	LOAD_GUEST(f, sleeper);
	ds_to_apic(f);
	memcpy(f->mem + 0x5000, on_tick_begin, (size_t)(on_tick_end - on_tick_begin));
	memcpy(f->mem + 0x40 * 4, (const uint16_t[]){0x5000, 0}, 4);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->mem[FLAG], 1);
}

GUEST16(waiter, "movl $0x1ff, 0xf0\n movl $0xb, 0x3e0\n movl $0x40, 0x320\n"
		"movl $2000000, 0x380\n"
		"sti\n 1: cmpw $0, %es:0x3000\n je 1b\n out %al, $0x10\n hlt");

static void the_timer_interrupts_a_busy_guest(void **state)
{
	struct fixture *f = *state;

	LOAD_GUEST(f, waiter);
	ds_to_apic(f);
	memcpy(f->mem + 0x5000, on_tick_begin, (size_t)(on_tick_end - on_tick_begin));
	memcpy(f->mem + 0x40 * 4, (const uint16_t[]){0x5000, 0}, 4);
	run_to(f, KVM_EXIT_IO);
}

/* ---- state --------------------------------------------------------------------- */

static void an_interrupt_survives_being_saved(void **state)
{
	struct fixture *f = *state;
	struct kvm_lapic_state lapic;
	uint32_t *irr = (void *)(lapic.regs + 0x200 + 0x20);

	LOAD_GUEST(f, waiter);
	ds_to_apic(f);
	f->mem[FIXTURE_CODE] = 0xfb; /* sti, jmp . */
	memcpy(f->mem + FIXTURE_CODE + 1, "\xeb\xfe", 2);
	memcpy(f->mem + 0x5000, "\xe6\x10", 2); /* out */
	memcpy(f->mem + 0x40 * 4, (const uint16_t[]){0x5000, 0}, 4);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_LAPIC, &lapic), 0);
	*irr = 1; /* vector 0x40 */
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_LAPIC, &lapic), 0);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_LAPIC, &lapic), 0);
	assert_int_equal(*irr, 0);
	assert_int_equal(*(uint32_t *)(void *)(lapic.regs + 0x100 + 0x20), 1); /* in service */
}

static void a_start_vector_can_be_restored(void **state)
{
	struct fixture *f = *state;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_SIPI_RECEIVED};

	memcpy(f->mem + 0x7000, "\xe6\x10", 2); /* out */
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_VCPU_EVENTS, &events), 0);
	events.sipi_vector = 7;
	events.flags |= KVM_VCPUEVENT_VALID_SIPI_VECTOR;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_VCPU_EVENTS, &events), 0);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_MP_STATE, &mp), 0);
	run_to(f, KVM_EXIT_IO);
}

/* ---- cancelled threads ----------------------------------------------------------- */

static void *run_to_be_cancelled(void *arg)
{
	struct fixture *f = arg;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	ioctl(f->vcpu, KVM_RUN, NULL);
	return NULL;
}

static void cancel_in_run(struct fixture *f)
{
	struct kvm_regs regs;
	pthread_t thread;
	void *ret;

	assert_int_equal(pthread_create(&thread, NULL, run_to_be_cancelled, f), 0);
	usleep(20000);
	assert_int_equal(pthread_cancel(thread), 0);
	assert_int_equal(pthread_join(thread, &ret), 0);
	assert_ptr_equal(ret, PTHREAD_CANCELED);
	/* Neither the vCPU nor its VM is stuck. */
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_REGS, &regs), 0);
}

static void a_cancelled_thread_leaves_the_vcpu_usable(void **state)
{
	struct fixture *f = *state;
	struct kvm_userspace_memory_region region = {.slot = 0};

	LOAD(f, 0xeb, 0xfe); /* jmp . */
	cancel_in_run(f);
	LOAD(f, 0xf4); /* a halt that nothing ends */
	cancel_in_run(f);
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &region), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup_irqchip, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_cpu_starts_and_wakes_another),
		TEST(the_timer_ends_a_halt),
		TEST(the_timer_interrupts_a_busy_guest),
		TEST(an_interrupt_survives_being_saved),
		TEST(a_start_vector_can_be_restored),
		TEST(a_cancelled_thread_leaves_the_vcpu_usable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
