/* SPDX-License-Identifier: BSD-2-Clause */
/* MSRs denied to the guest, and user space in the place of the CPU. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "tests/kvm/kvm_fixture.h"

#define MSR_SYSENTER_CS 0x174
#define MSR_SYSENTER_SP 0x175
#define MSR_UNKNOWN	0x12345
#define HANDLER		0x2000

static void catch_gp(struct fixture *f)
{
	f->mem[HANDLER] = 0xf4;
	memset(f->mem + 13 * 4, 0, 4);
	f->mem[13 * 4 + 1] = HANDLER >> 8;
}

static bool got_gp(const struct fixture *f)
{
	run_to(f, KVM_EXIT_HLT);
	return get_regs(f).rip == HANDLER + 1;
}

/* Denies what @flags say for the two SYSENTER MSRs whose bit is clear. */
static int deny(const struct fixture *f, uint32_t flags, uint8_t allowed)
{
	uint8_t bitmap[8] = {allowed};
	struct kvm_msr_filter filter = {
		.ranges = {
			{.flags = flags, .nmsrs = 2, .base = MSR_SYSENTER_CS, .bitmap = bitmap}}};

	return ioctl_errno(f->vm, KVM_X86_SET_MSR_FILTER, &filter);
}

GUEST16(read_cs, "mov $0x174, %ecx\n rdmsr\n hlt");
GUEST16(write_cs, "mov $0x174, %ecx\n mov $0x55, %eax\n xor %edx, %edx\n wrmsr\n hlt");
GUEST16(read_sp, "mov $0x175, %ecx\n rdmsr\n hlt");
GUEST16(read_unknown, "mov $0x12345, %ecx\n rdmsr\n hlt");
GUEST16(write_invalid, "mov $0x277, %ecx\n mov $2, %eax\n wrmsr\n hlt"); /* PAT type 2 */

static void a_denied_msr_is_a_gp(void **state)
{
	struct fixture *f = *state;

	catch_gp(f);
	assert_int_equal(deny(f, KVM_MSR_FILTER_READ, 2), 0);
	LOAD_GUEST(f, read_cs);
	assert_true(got_gp(f));
	LOAD_GUEST(f, write_cs);
	assert_false(got_gp(f));
	LOAD_GUEST(f, read_sp);
	assert_false(got_gp(f));
	assert_int_equal(deny(f, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, 3), 0);
	LOAD_GUEST(f, read_cs);
	assert_false(got_gp(f));
	assert_int_equal(get_regs(f).rax, 0x55);
}

static void by_default_denied(void **state)
{
	struct fixture *f = *state;
	uint8_t bitmap[8] = {1};
	struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_DENY,
					.ranges = {{.flags = KVM_MSR_FILTER_READ,
						    .nmsrs = 1,
						    .base = MSR_SYSENTER_SP,
						    .bitmap = bitmap}}};

	catch_gp(f);
	assert_int_equal(ioctl_errno(f->vm, KVM_X86_SET_MSR_FILTER, &filter), 0);
	LOAD_GUEST(f, read_sp);
	assert_false(got_gp(f));
	LOAD_GUEST(f, read_cs);
	assert_true(got_gp(f));
	LOAD_GUEST(f, write_cs);
	assert_true(got_gp(f));
	/* The program itself is not concerned. */
	assert_true(set_msr(f, MSR_SYSENTER_CS, 8));
}

static void user_space_reads_and_writes_instead(void **state)
{
	struct fixture *f = *state;

	catch_gp(f);
	assert_int_equal(deny(f, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, 0), 0);
	assert_int_equal(
		enable_cap_errno(f->vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER), 0);
	LOAD_GUEST(f, read_cs);
	run_to(f, KVM_EXIT_X86_RDMSR);
	assert_int_equal(f->run->msr.index, MSR_SYSENTER_CS);
	assert_int_equal(f->run->msr.reason, KVM_MSR_EXIT_REASON_FILTER);
	assert_int_equal(f->run->msr.error, 0);
	f->run->msr.data = 0x1111222233334444ull;
	assert_false(got_gp(f));
	assert_int_equal(get_regs(f).rax, 0x33334444);
	assert_int_equal(get_regs(f).rdx, 0x11112222);

	LOAD_GUEST(f, write_cs);
	run_to(f, KVM_EXIT_X86_WRMSR);
	assert_int_equal(f->run->msr.data, 0x55);
	f->run->msr.error = 1;
	assert_true(got_gp(f));
}

static void unknown_and_invalid_are_reasons_of_their_own(void **state)
{
	struct fixture *f = *state;

	catch_gp(f);
	LOAD_GUEST(f, read_unknown);
	assert_true(got_gp(f));
	assert_int_equal(
		enable_cap_errno(f->vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN),
		0);
	LOAD_GUEST(f, read_unknown);
	run_to(f, KVM_EXIT_X86_RDMSR);
	assert_int_equal(f->run->msr.index, MSR_UNKNOWN);
	assert_int_equal(f->run->msr.reason, KVM_MSR_EXIT_REASON_UNKNOWN);
	LOAD_GUEST(f, write_invalid);
	assert_true(got_gp(f));
	assert_int_equal(
		enable_cap_errno(f->vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_INVAL), 0);
	LOAD_GUEST(f, write_invalid);
	run_to(f, KVM_EXIT_X86_WRMSR);
	assert_int_equal(f->run->msr.reason, KVM_MSR_EXIT_REASON_INVAL);
}

/* The program may answer and stop at once; and may go elsewhere instead of answering. */
static void immediate_exit_completes_the_access(void **state)
{
	struct fixture *f = *state;
	struct kvm_regs regs;

	assert_int_equal(
		enable_cap_errno(f->vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN),
		0);
	LOAD_GUEST(f, read_unknown);
	run_to(f, KVM_EXIT_X86_RDMSR);
	f->run->msr.data = 0x77;
	f->run->immediate_exit = 1;
	assert_int_equal(run_errno(f), EINTR);
	f->run->immediate_exit = 0;
	regs = get_regs(f);
	assert_int_equal(regs.rax, 0x77);
	run_to(f, KVM_EXIT_HLT);

	LOAD_GUEST(f, read_unknown);
	run_to(f, KVM_EXIT_X86_RDMSR);
	regs = get_regs(f);
	regs.rip += 2;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_REGS, &regs), 0);
	f->run->msr.data = 0x99;
	run_to(f, KVM_EXIT_HLT);
	assert_int_not_equal(get_regs(f).rax, 0x99);
}

static void bad_filters(void **state)
{
	const struct fixture *f = *state;
	uint8_t bitmap[8] = {0};
	const struct kvm_msr_filter good = {
		.ranges = {{.flags = KVM_MSR_FILTER_READ, .nmsrs = 1, .bitmap = bitmap}}};
	struct kvm_msr_filter bad;

#define REFUSED(change, err)                                                             \
	do {                                                                             \
		bad = good;                                                              \
		change;                                                                  \
		assert_int_equal(ioctl_errno(f->vm, KVM_X86_SET_MSR_FILTER, &bad), err); \
	} while (0)
	REFUSED(bad.flags = 2, EINVAL);
	REFUSED(bad.ranges[0].flags = 4, EINVAL);
	REFUSED(bad.ranges[0].flags = 0, EINVAL);
	REFUSED(bad.ranges[0].nmsrs = 0x600 * 8 + 1, EINVAL);
	REFUSED(bad.ranges[0].nmsrs = ~0u, EINVAL);
	REFUSED(bad.ranges[0].bitmap = unmapped_pointer(), EFAULT);
	REFUSED((bad.flags = KVM_MSR_FILTER_DEFAULT_DENY, bad.ranges[0].nmsrs = 0), EINVAL);
	REFUSED((void)0, 0);
	assert_int_equal(enable_cap_errno(f->vm, KVM_CAP_X86_USER_SPACE_MSR, 8), EINVAL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_denied_msr_is_a_gp),
		TEST(by_default_denied),
		TEST(user_space_reads_and_writes_instead),
		TEST(unknown_and_invalid_are_reasons_of_their_own),
		TEST(immediate_exit_completes_the_access),
		TEST(bad_filters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
