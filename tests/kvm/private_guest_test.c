/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guests whose memory changes its kind, asks for that by hypercall, or is
 * mapped before it is asked for (KVM_PRE_FAULT_MEMORY).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/kvm_para.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/kvm/private_fixture.h"
#include "tests/kvm/stats_reader.h"

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

/* ---- guests --------------------------------------------------------------- */

/* Each page of slot 1: its first byte to the table at 0x3000, then BL into it. */
GUEST16(walker, "	mov	$0x4000, %ax\n"
		"	xor	%di, %di\n"
		"1:	mov	%ax, %ds\n"
		"	movb	(0), %cl\n"
		"	movb	%bl, (0)\n"
		"	movb	%cl, %es:0x3000(%di)\n"
		"	add	$0x100, %ax\n"
		"	inc	%di\n"
		"	cmp	$64, %di\n"
		"	jne	1b\n"
		"	hlt\n");

static void walk(struct fixture *f, uint8_t value)
{
	struct kvm_regs regs;

	LOAD_GUEST(f, walker);
	regs = get_regs(f);
	regs.rbx = value;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_REGS, &regs), 0);
	run_to(f, KVM_EXIT_HLT);
}

/* What the guest found: @inside for pages [first, last), @outside for the others. */
static void assert_seen(const struct fixture *f, unsigned int first, unsigned int last,
			uint8_t inside, uint8_t outside)
{
	for (unsigned int page = 0; page < DATA_PAGES; page++)
		assert_int_equal(f->mem[0x3000 + page],
				 page >= first && page < last ? inside : outside);
}

static void each_kind_keeps_its_contents(void **state)
{
	struct fixture *f = *state;

	walk(f, 1);
	assert_seen(f, 0, 0, 0, 0);
	assert_int_equal(set_attributes(f->vm, DATA_GPA + 5 * PAGE, 3 * PAGE, PRIVATE), 0);
	walk(f, 2); /* the private pages are new */
	assert_seen(f, 5, 8, 0, 1);
	assert_int_equal(f->mem[DATA_GPA + 4 * PAGE], 2);
	assert_int_equal(f->mem[DATA_GPA + 5 * PAGE], 1);
	assert_int_equal(set_attributes(f->vm, DATA_GPA, DATA_BYTES, 0), 0);
	walk(f, 3); /* and behind them is still what was there before */
	assert_seen(f, 5, 8, 1, 2);
	assert_int_equal(set_attributes(f->vm, DATA_GPA, DATA_BYTES, PRIVATE), 0);
	walk(f, 4);
	assert_seen(f, 5, 8, 2, 0);
	assert_int_equal(fallocate_errno(gmem, PUNCH, 6 * PAGE, PAGE), 0);
	walk(f, 5);
	assert_seen(f, 6, 7, 0, 4);
	assert_int_equal(f->mem[DATA_GPA + 6 * PAGE], 3);
}

static void conversions_and_holes_take_their_own_leaves(void **state)
{
	struct fixture *f = *state;
	struct stats s = stats_open(f->vm);
	uint64_t leaves;

	assert_int_equal(set_attributes(f->vm, DATA_GPA, DATA_BYTES, PRIVATE), 0);
	walk(f, 1);
	leaves = stats_value(&s, "pages_4k");
	assert_int_equal(fallocate_errno(gmem, PUNCH, 6 * PAGE, 2 * PAGE), 0);
	assert_int_equal(stats_value(&s, "pages_4k"), leaves - 2);
	assert_int_equal(set_attributes(f->vm, DATA_GPA + 20 * PAGE, 3 * PAGE, 0), 0);
	assert_int_equal(stats_value(&s, "pages_4k"), leaves - 5);
	/* What is so already is no change. */
	assert_int_equal(set_attributes(f->vm, DATA_GPA + 30 * PAGE, PAGE, PRIVATE), 0);
	assert_int_equal(stats_value(&s, "pages_4k"), leaves - 5);
	/* The shared half of the slot is no business of the private pages', and the reverse. */
	walk(f, 2);
	assert_int_equal(stats_value(&s, "pages_4k"), leaves);
	assert_int_equal(fallocate_errno(gmem, PUNCH, DATA_BYTES, PAGE), 0);
	assert_int_equal(stats_value(&s, "pages_4k"), leaves);
	stats_close(&s);
}

/* An access to what is private, in a slot that has no such memory: the VMM converts. */
static void implicit_conversion(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(set_slot2(f, 1, DATA_GPA, 0, 0, -1, 0), 0);
	assert_int_equal(set_slot2(f, 1, DATA_GPA, DATA_BYTES, 0, -1, 0), 0);
	assert_int_equal(set_attributes(f->vm, DATA_GPA, PAGE, PRIVATE), 0);
	load_writer(f);
	run_to_memory_fault(f, DATA_GPA, PRIVATE);
	run_to_memory_fault(f, DATA_GPA, PRIVATE); /* as often as it is run */
	assert_int_equal(set_attributes(f->vm, DATA_GPA, PAGE, 0), 0);
	run_to(f, KVM_EXIT_HLT);
	assert_int_equal(f->mem[DATA_GPA], 0x77);
	/* Where no slot is, private means a fault and shared means a device. */
	assert_int_equal(set_slot2(f, 1, DATA_GPA, 0, 0, -1, 0), 0);
	load_writer(f);
	run_to(f, KVM_EXIT_MMIO);
	run_errno(f);
	assert_int_equal(set_attributes(f->vm, DATA_GPA, PAGE, PRIVATE), 0);
	load_writer(f);
	run_to_memory_fault(f, DATA_GPA, PRIVATE);
}

/* ---- hypercalls ----------------------------------------------------------- */

/* KVM_HC_MAP_GPA_RANGE of one page at DATA_GPA with attributes 0x15. */
GUEST16(caller, "	mov	$12, %eax\n"
		"	mov	$0x40000, %ebx\n"
		"	mov	$1, %ecx\n"
		"	mov	$0x15, %edx\n"
		"	vmcall\n"
		"	hlt\n");

static void hypercall_goes_to_the_program(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(enable_cap_errno(f->vm, KVM_CAP_EXIT_HYPERCALL, 1 << 11), EINVAL);
	assert_int_equal(enable_cap_errno(f->vm, KVM_CAP_EXIT_HYPERCALL, ~0ull), EINVAL);
	LOAD_GUEST(f, caller);
	run_to(f, KVM_EXIT_HLT);
	assert_int_equal((uint32_t)get_regs(f).rax, (uint32_t)-KVM_ENOSYS);

	assert_int_equal(enable_cap_errno(f->vm, KVM_CAP_EXIT_HYPERCALL, 1 << KVM_HC_MAP_GPA_RANGE),
			 0);
	LOAD_GUEST(f, caller);
	run_to(f, KVM_EXIT_HYPERCALL);
	assert_int_equal(f->run->hypercall.nr, KVM_HC_MAP_GPA_RANGE);
	assert_int_equal(f->run->hypercall.args[0], DATA_GPA);
	assert_int_equal(f->run->hypercall.args[1], 1);
	assert_int_equal(f->run->hypercall.args[2], 0x15);
	assert_int_equal(f->run->hypercall.longmode, 0);
	/* The answer is taken even when nothing else is to be done. */
	f->run->hypercall.ret = 0x1234567890ull;
	f->run->immediate_exit = 1;
	assert_int_equal(run_errno(f), EINTR);
	f->run->immediate_exit = 0;
	assert_int_equal(get_regs(f).rax, 0x34567890);
	f->run->hypercall.ret = 5;
	run_to(f, KVM_EXIT_HLT);
	assert_int_equal(get_regs(f).rax, 0x34567890);
}

static uint32_t answer_to(struct fixture *f, uint32_t gpa, uint32_t pages)
{
	struct kvm_regs regs;

	LOAD(f, 0x0f, 0x01, 0xc1, 0xf4);
	regs = get_regs(f);
	regs.rax = KVM_HC_MAP_GPA_RANGE;
	regs.rbx = gpa;
	regs.rcx = pages;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_REGS, &regs), 0);
	run_to(f, KVM_EXIT_HLT);
	return (uint32_t)get_regs(f).rax;
}

static void bad_hypercalls_are_answered_at_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(enable_cap_errno(f->vm, KVM_CAP_EXIT_HYPERCALL, 1 << KVM_HC_MAP_GPA_RANGE),
			 0);
	assert_int_equal(answer_to(f, DATA_GPA + 1, 1), (uint32_t)-KVM_EINVAL);
	assert_int_equal(answer_to(f, DATA_GPA, 0), (uint32_t)-KVM_EINVAL);
}

/* ---- before the guest asks ------------------------------------------------ */

static int prefault(const struct fixture *f, struct kvm_pre_fault_memory *range)
{
	return ioctl_errno(f->vcpu, KVM_PRE_FAULT_MEMORY, range);
}

struct prefault_row {
	uint64_t gpa, size, flags;
	int wanted;
	uint64_t left;
};

static const struct prefault_row prefault_rows[] = {
	{DATA_GPA + 1, PAGE, 0, EINVAL, PAGE},
	{DATA_GPA, PAGE + 1, 0, EINVAL, PAGE + 1},
	{DATA_GPA, 0, 0, EINVAL, 0},
	{-PAGE, PAGE, 0, EINVAL, PAGE},
	{-PAGE, 2 * PAGE, 0, EINVAL, 2 * PAGE},
	{DATA_GPA, PAGE, 1, EINVAL, PAGE},
	{FREE_GPA, PAGE, 0, ENOENT, PAGE},
	{1ull << 60, PAGE, 0, ENOENT, PAGE},
	{DATA_GPA + DATA_BYTES, PAGE, 0, ENOENT, PAGE},
	{DATA_GPA + DATA_BYTES - PAGE, 3 * PAGE, 0, 0, 2 * PAGE}, /* some is success */
	{DATA_GPA, DATA_BYTES, 0, 0, 0},
	{DATA_GPA, PAGE, 0, 0, 0},
};

static void prefault_as_kvm_answers(void **state)
{
	const struct fixture *f = *state;

	assert_int_equal(set_attributes(f->vm, DATA_GPA, 8 * PAGE, PRIVATE), 0);
	for (size_t i = 0; i < sizeof(prefault_rows) / sizeof(prefault_rows[0]); i++) {
		const struct prefault_row *row = &prefault_rows[i];
		struct kvm_pre_fault_memory range = {
			.gpa = row->gpa, .size = row->size, .flags = row->flags};
		int got = prefault(f, &range);

		if (got != row->wanted || range.size != row->left ||
		    range.gpa != row->gpa + row->size - row->left)
			fail_msg("row %zu: %s, 0x%llx left", i, strerror(got),
				 (unsigned long long)range.size);
	}
}

static void prefaulted_memory_is_not_faulted_again(void **state)
{
	struct fixture *f = *state;
	struct kvm_pre_fault_memory range = {.gpa = 0, .size = DATA_GPA + DATA_BYTES};
	struct stats s = stats_open(f->vcpu);

	/* A read's fault maps writable what the file holds; of the program's memory, only to read.
	 */
	assert_int_equal(set_attributes(f->vm, DATA_GPA, DATA_BYTES, PRIVATE), 0);
	assert_int_equal(prefault(f, &range), 0);
	assert_int_equal(range.size, 0);
	assert_int_equal(stats_value(&s, "pf_taken"), 0);
	walk(f, 9);
	/* The table at 0x3000. */
	assert_in_range(stats_value(&s, "pf_taken"), 0, 1);
	stats_close(&s);
}

/* From the middle of one block to the middle of the next: each is one leaf. */
static void prefault_goes_from_block_to_block(void **state)
{
	const unsigned long block = 2ul << 20;
	const struct fixture *f = *state;
	uint8_t *area =
		mmap(NULL, 3 * block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {
		.slot = 2,
		.guest_phys_addr = 64 * block,
		.memory_size = 2 * block,
		.userspace_addr = ((uintptr_t)area + block - 1) & ~(block - 1),
	};
	struct kvm_pre_fault_memory range = {.gpa = 64 * block + block / 2, .size = block};
	struct stats s = stats_open(f->vm);

	assert_ptr_not_equal(area, MAP_FAILED);
	memset(area, 1, 3 * block);
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &region), 0);
	assert_int_equal(prefault(f, &range), 0);
	assert_int_equal(range.size, 0);
	assert_int_equal(stats_value(&s, "pages_2m"), 2);
	stats_close(&s);
	munmap(area, 3 * block);
}

static void prefault_of_what_has_no_memory_fails(void **state)
{
	const struct fixture *f = *state;
	struct kvm_pre_fault_memory range = {.gpa = DATA_GPA, .size = PAGE};

	assert_int_equal(mprotect(f->mem + DATA_GPA, PAGE, PROT_NONE), 0);
	assert_int_equal(prefault(f, &range), EFAULT);
	assert_int_equal(range.size, PAGE);
	assert_int_equal(mprotect(f->mem + DATA_GPA, PAGE, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(set_attributes(f->vm, DATA_GPA, PAGE, PRIVATE), 0);
	close(gmem);
	gmem = -1;
	assert_int_equal(prefault(f, &range), EFAULT);
}

#define MANY_BYTES (64ul << 20)

static atomic_int alarms;

static void count_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void *send_alarms(void *arg)
{
	pthread_t target = *(pthread_t *)arg;

	while (alarms < 20) {
		pthread_kill(target, SIGUSR1);
		usleep(200);
	}
	return NULL;
}

/* A signal ends a call: with success if anything is done, and the rest can be asked for. */
static void signals_interrupt_a_long_prefault(void **state)
{
	const struct fixture *f = *state;
	struct kvm_userspace_memory_region region = {
		.slot = 5, .guest_phys_addr = FREE_GPA, .memory_size = MANY_BYTES};
	struct kvm_pre_fault_memory range = {.gpa = FREE_GPA, .size = MANY_BYTES};
	struct sigaction act = {.sa_handler = count_alarm};
	pthread_t self = pthread_self(), thread;
	unsigned int calls = 0;
	void *memory = mmap(NULL, MANY_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_int_equal(madvise(memory, MANY_BYTES, MADV_NOHUGEPAGE), 0);
	region.userspace_addr = (uintptr_t)memory;
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &region), 0);
	sigaction(SIGUSR1, &act, NULL);
	alarms = 0;
	assert_int_equal(pthread_create(&thread, NULL, send_alarms, &self), 0);
	while (range.size) {
		uint64_t before = range.size;
		int err = prefault(f, &range);

		assert_true(err == 0 || err == EINTR);
		assert_int_equal(range.size < before, err == 0);
		calls++;
	}
	pthread_join(thread, NULL);
	assert_int_equal(range.gpa, FREE_GPA + MANY_BYTES);
	assert_true(calls > 1);
	assert_true(alarms >= 20);
	signal(SIGUSR1, SIG_DFL);
	munmap(memory, MANY_BYTES);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, private_setup, private_teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_kind_keeps_its_contents),
		TEST(conversions_and_holes_take_their_own_leaves),
		TEST(implicit_conversion),
		TEST(hypercall_goes_to_the_program),
		TEST(bad_hypercalls_are_answered_at_once),
		TEST(prefault_as_kvm_answers),
		TEST(prefaulted_memory_is_not_faulted_again),
		TEST(prefault_goes_from_block_to_block),
		TEST(prefault_of_what_has_no_memory_fails),
		TEST(signals_interrupt_a_long_prefault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
