/* SPDX-License-Identifier: BSD-2-Clause */
/* The interval timer: ticks for real guests, its state; the task priority in memory. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tests/kvm/kvm_fixture.h"

#define HANDLER	  0x5000
#define TICKS	  0x3000 /* counted here */
#define NS_PER_MS 1000000ull

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static uint16_t ticks_of(const struct fixture *f)
{
	uint16_t ticks;

	memcpy(&ticks, f->mem + TICKS, sizeof(ticks));
	return ticks;
}

static void create_pit(const struct fixture *f)
{
	struct kvm_pit_config config = {.flags = KVM_PIT_SPEAKER_DUMMY};

	assert_int_equal(ioctl_errno(f->vm, KVM_CREATE_PIT2, &config), 0);
}

static struct kvm_pit_state2 get_pit(const struct fixture *f)
{
	struct kvm_pit_state2 pit;

	assert_int_equal(ioctl_errno(f->vm, KVM_GET_PIT2, &pit), 0);
	return pit;
}

/* ---- ticks --------------------------------------------------------------------------------- */

#define INIT_PIC                                                              \
	"mov $0x11, %al\n out %al, $0x20\n mov $0x20, %al\n out %al, $0x21\n" \
	"mov $4, %al\n out %al, $0x21\n mov $1, %al\n out %al, $0x21\n"
/* Counter 0, rate generator, 1193 cycles: a tick each 0.99985 ms. */
#define INIT_PIT                                                              \
	"mov $0x34, %al\n out %al, $0x43\n mov $0xa9, %al\n out %al, $0x40\n" \
	"mov $0x04, %al\n out %al, $0x40\n"

/* Ready; then 100 ticks. */
GUEST16(ticking,
	INIT_PIC INIT_PIT "out %al, $0x10\n sti\n"
			  "1: hlt\n cmpw $100, 0x3000\n jb 1b\n cli\n out %al, $0x11\n hlt");
GUEST16(tick_handler, "mov $0x20, %al\n out %al, $0x20\n incw %cs:0x3000\n iret");

static void load_ticking(struct fixture *f)
{
	create_pit(f);
	LOAD_GUEST(f, ticking);
	memcpy(f->mem + HANDLER, tick_handler_begin,
	       (size_t)(tick_handler_end - tick_handler_begin));
	memcpy(f->mem + 0x20 * 4, (const uint16_t[]){HANDLER, 0}, 4);
}

/* How long until the guest has its 100 ticks, when it does not listen for @deaf_ms first. */
static uint64_t time_for_100(struct fixture *f, unsigned int deaf_ms)
{
	uint64_t start;

	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->run->io.port, 0x10);
	start = now_ns();
	usleep(deaf_ms * 1000);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->run->io.port, 0x11);
	assert_int_equal(ticks_of(f), 100);
	return now_ns() - start;
}

static void a_halted_guest_gets_each_tick(void **state)
{
	struct fixture *f = *state;

	load_ticking(f);
	/* One may have been due when the clock was looked at. */
	assert_true(time_for_100(f, 0) >= 98 * NS_PER_MS);
	assert_int_equal(get_pit(f).channels[0].count, 1193);
	assert_int_equal(get_pit(f).channels[0].mode, 2);
}

/* 300 ms are enough for all 100: they were kept, and come one after the other. */
static void ticks_are_kept_for_a_guest_that_does_not_listen(void **state)
{
	struct fixture *f = *state;

	load_ticking(f);
	assert_true(time_for_100(f, 300) < 395 * NS_PER_MS);
}

static void ticks_can_be_dropped_instead(void **state)
{
	struct fixture *f = *state;
	struct kvm_reinject_control control = {.pit_reinject = 0};

	load_ticking(f);
	assert_int_equal(ioctl_errno(f->vm, KVM_REINJECT_CONTROL, &control), 0);
	/* One waits in the controller, and perhaps one in the timer. */
	assert_true(time_for_100(f, 300) >= (300 + 97) * NS_PER_MS);
}

/* ---- state ------------------------------------------------------------------------------- */

static void state_goes_on_in_another_timer(void **state)
{
	const struct fixture *f = *state;
	struct kvm_pit_state2 pit = {.flags = KVM_PIT_FLAGS_SPEAKER_DATA_ON}, got;

	create_pit(f);
	pit.channels[0] = (struct kvm_pit_channel_state){.count = 5000,
							 .mode = 3,
							 .rw_mode = 3,
							 .read_state = 3,
							 .write_state = 4,
							 .write_latch = 7,
							 .gate = 1};
	pit.channels[2].count = 0x10000;
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_PIT2, &pit), 0);
	got = get_pit(f);
	assert_int_equal(got.channels[0].count, 5000);
	assert_int_equal(got.channels[0].mode, 3);
	assert_int_equal(got.channels[0].write_state, 4);
	assert_int_equal(got.channels[0].write_latch, 7);
	assert_int_equal(got.channels[2].count, 0x10000);
	assert_int_equal(got.flags, KVM_PIT_FLAGS_SPEAKER_DATA_ON);
	assert_true(got.channels[0].count_load_time > 0);
}

/* Nothing that no counter could be in; not even from the program. */
static void impossible_states_are_mended(void **state)
{
	const struct fixture *f = *state;
	struct kvm_pit_state2 pit, got;

	create_pit(f);
	memset(&pit, 0xff, sizeof(pit));
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_PIT2, &pit), 0);
	got = get_pit(f);
	for (int n = 0; n < 3; n++) {
		assert_in_range(got.channels[n].count, 1, 0x10000);
		assert_in_range(got.channels[n].read_state, 0, 4);
		assert_true(got.channels[n].count_load_time <= (int64_t)now_ns());
	}
	memset(&pit, 0, sizeof(pit));
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_PIT2, &pit), 0);
	assert_int_equal(get_pit(f).channels[0].count, 0x10000);
}

static void what_is_wrong_says_so(void **state)
{
	const struct fixture *f = *state;
	struct kvm_pit_config config = {.flags = 0};
	struct kvm_pit_state2 pit;
	struct kvm_reinject_control control = {.pit_reinject = 1};

	assert_int_equal(ioctl_errno(f->vm, KVM_GET_PIT, &pit), ENXIO);
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_PIT, &pit), ENXIO);
	assert_int_equal(ioctl_errno(f->vm, KVM_GET_PIT2, &pit), ENXIO);
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_PIT2, &pit), ENXIO);
	assert_int_equal(ioctl_errno(f->vm, KVM_REINJECT_CONTROL, &control), ENXIO);
	assert_int_equal(ioctl_errno(f->vm, KVM_CREATE_PIT2, NULL), EFAULT);
	assert_int_equal(ioctl_errno(f->vm, KVM_CREATE_PIT2, &config), 0);
	assert_int_equal(ioctl_errno(f->vm, KVM_CREATE_PIT2, &config), EEXIST);
	assert_int_equal(ioctl_errno(f->vm, KVM_CREATE_PIT, NULL), EEXIST);
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_PIT2, NULL), EFAULT);
}

static void without_interrupt_controllers_there_is_none(void **state)
{
	const struct fixture *f = *state;
	struct kvm_pit_config config = {.flags = 0};

	assert_int_equal(ioctl_errno(f->vm, KVM_CREATE_PIT2, &config), ENOENT);
}

GUEST16(speaker, "mov $3, %al\n out %al, $0x61\n in $0x61, %al\n hlt");

static void without_a_speaker_its_port_is_the_programs(void **state)
{
	struct fixture *f = *state;
	struct kvm_pit_config config = {.flags = 0};

	assert_int_equal(ioctl_errno(f->vm, KVM_CREATE_PIT2, &config), 0);
	LOAD_GUEST(f, speaker);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->run->io.port, 0x61);
}

/* ---- the task priority ------------------------------------------------------------------ */

#define WORD 0x6000

/* DS: the APIC's page.  ES is flat. */
GUEST16(lower_priority, "movl $0x50, 0x80\n jmp 1f\n 1: out %al, $0x10\n movb $0x30, %es:0x6000\n"
			"out %al, $0x11\n mov 0x80, %eax\n jmp 2f\n 2: out %al, $0x12\n hlt");

static void load_lowering(struct fixture *f)
{
	struct kvm_sregs sregs;

	LOAD_GUEST(f, lower_priority);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.ds.base = 0xfee00000;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &sregs), 0);
}

static void the_priority_can_be_in_memory(void **state)
{
	struct fixture *f = *state;
	struct kvm_vapic_addr at = {.vapic_addr = WORD};
	struct kvm_lapic_state lapic;

	load_lowering(f);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_VAPIC_ADDR, &at), 0);
	run_to(f, KVM_EXIT_IO);
	/* The guest's own write by the page was overruled by what is in memory. */
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->run->io.port, 0x11);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_LAPIC, &lapic), 0);
	assert_int_equal((uint8_t)lapic.regs[0x80], 0x30);
	assert_int_equal(f->run->cr8, 3);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal((uint8_t)get_regs(f).rax, 0x30);
}

static void a_waiting_vector_is_shown_there(void **state)
{
	struct fixture *f = *state;
	struct kvm_vapic_addr at = {.vapic_addr = WORD};
	struct kvm_lapic_state lapic;

	load_lowering(f);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_LAPIC, &lapic), 0);
	lapic.regs[0xf1] |= 1;
	lapic.regs[0x200 + 0x40 / 32 * 16] |= 2; /* vector 0x41 is requested */
	lapic.regs[0x100 + 0x60 / 32 * 16] |= 4; /* vector 0x62 is being served */
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_LAPIC, &lapic), 0);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_VAPIC_ADDR, &at), 0);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->mem[WORD + 1], 0x60);
	assert_int_equal(f->mem[WORD + 3], 0x41);
}

static void uses_of_the_priority_are_reported(void **state)
{
	struct fixture *f = *state;
	struct kvm_tpr_access_ctl ctl = {.enabled = 1};

	load_lowering(f);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_TPR_ACCESS_REPORTING, &ctl), 0);
	run_to(f, KVM_EXIT_TPR_ACCESS);
	assert_int_equal(f->run->tpr_access.rip, FIXTURE_CODE);
	assert_int_equal(f->run->tpr_access.is_write, 1);
	assert_true(get_regs(f).rip > FIXTURE_CODE); /* it has been executed */
	run_to(f, KVM_EXIT_IO);
	run_to(f, KVM_EXIT_IO);
	run_to(f, KVM_EXIT_TPR_ACCESS);
	assert_int_equal(f->run->tpr_access.is_write, 0);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal((uint8_t)get_regs(f).rax, 0x50);
}

static void bad_priorities(void **state)
{
	const struct fixture *f = *state;
	struct kvm_vapic_addr at = {.vapic_addr = FIXTURE_MEM};
	struct kvm_tpr_access_ctl ctl = {.enabled = 1, .flags = 1};

	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_VAPIC_ADDR, &at), EINVAL);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_VAPIC_ADDR, NULL), EFAULT);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_TPR_ACCESS_REPORTING, &ctl), EINVAL);
}

static void without_an_apic_there_is_no_word(void **state)
{
	const struct fixture *f = *state;
	struct kvm_vapic_addr at = {.vapic_addr = 0};

	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_VAPIC_ADDR, &at), EINVAL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define TEST_IRQCHIP(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup_irqchip, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST_IRQCHIP(a_halted_guest_gets_each_tick),
		TEST_IRQCHIP(ticks_are_kept_for_a_guest_that_does_not_listen),
		TEST_IRQCHIP(ticks_can_be_dropped_instead),
		TEST_IRQCHIP(state_goes_on_in_another_timer),
		TEST_IRQCHIP(impossible_states_are_mended),
		TEST_IRQCHIP(what_is_wrong_says_so),
		TEST(without_interrupt_controllers_there_is_none),
		TEST_IRQCHIP(without_a_speaker_its_port_is_the_programs),
		TEST_IRQCHIP(the_priority_can_be_in_memory),
		TEST_IRQCHIP(a_waiting_vector_is_shown_there),
		TEST_IRQCHIP(uses_of_the_priority_are_reported),
		TEST_IRQCHIP(bad_priorities),
		TEST(without_an_apic_there_is_no_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
