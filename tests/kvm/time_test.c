/* SPDX-License-Identifier: BSD-2-Clause */
/* TSCs, kvmclock, the wall clock, stolen time, and the hypercalls between CPUs. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <linux/kvm_para.h>
#include <asm/kvm_para.h>

#include "tests/kvm/kvm_fixture.h"

#define MSR_TSC		    0x10
#define PAGE_GPA	    0x4000
#define NS_PER_S	    1000000000ull
#define MSR_FEATURE_UNKNOWN 0x4b564d04 /* PV EOI: not offered */

struct clock_page {
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad[2];
};

static uint64_t host_now(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t tsc_of(const struct fixture *f)
{
	uint64_t value;

	assert_true(get_msr(f, MSR_TSC, &value));
	return value;
}

/* ---- TSC --------------------------------------------------------------------------------- */

static void a_new_tsc_starts_at_zero(void **state)
{
	const struct fixture *f = *state;
	long khz = ioctl(f->vm, KVM_GET_TSC_KHZ, 0);

	assert_true(khz > 0);
	assert_true(tsc_of(f) < (uint64_t)khz * 2000); /* two seconds at most */
}

#if defined(__x86_64__)
/* The TSC at the time that is returned: a reading that was interrupted is taken again. */
static uint64_t both_clocks(uint64_t *tsc)
{
	uint64_t ns, before;

	do {
		before = __builtin_ia32_rdtsc();
		ns = host_now(CLOCK_MONOTONIC);
		*tsc = __builtin_ia32_rdtsc();
	} while (*tsc - before > 20000);
	return ns;
}

static void the_frequency_is_the_hosts(void **state)
{
	const struct fixture *f = *state;
	uint64_t khz = (uint64_t)ioctl(f->vm, KVM_GET_TSC_KHZ, 0), n0, n1, c0, c1, measured;

	n0 = both_clocks(&c0);
	usleep(100000);
	n1 = both_clocks(&c1);
	measured = (c1 - c0) * 1000000 / (n1 - n0);
	/* 250 ppm is what KVM takes for the same, and so do guests' clocks. */
	assert_in_range(khz, measured - measured / 4000, measured + measured / 4000);
}
#endif

static void a_second_vcpu_joins_the_first(void **state)
{
	const struct fixture *f = *state;
	struct fixture other = *f;
	uint64_t before, between, after;

	assert_true(set_msr(f, MSR_TSC, 1ull << 50));
	other.vcpu = ioctl(f->vm, KVM_CREATE_VCPU, 1);
	before = tsc_of(f);
	between = tsc_of(&other);
	after = tsc_of(f);
	assert_true(before <= between && between <= after);
	/* Within a second of where it should be is the same; further off is meant. */
	assert_true(set_msr(f, MSR_TSC, after));
	assert_true(set_msr(&other, MSR_TSC, after - 1000000));
	before = tsc_of(f);
	between = tsc_of(&other);
	assert_true(before <= between);
	assert_true(set_msr(&other, MSR_TSC, 5));
	assert_true(tsc_of(&other) < 1ull << 49);
	/* And 0 means: as the last one. */
	assert_true(set_msr(f, MSR_TSC, 0));
	before = tsc_of(&other);
	between = tsc_of(f);
	after = tsc_of(&other);
	assert_true(before <= between && between <= after);
	close(other.vcpu);
}

static void the_frequency_can_be_chosen(void **state)
{
	const struct fixture *f = *state;
	long khz = ioctl(f->vcpu, KVM_GET_TSC_KHZ, 0);
	uint64_t t0, t1, n0, n1;

	assert_int_equal(ioctl_errno(f->vm, KVM_SET_TSC_KHZ, (void *)100000l),
			 EINVAL); /* too late */
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_TSC_KHZ, (void *)0x7fffffffl), EINVAL);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_TSC_KHZ, (void *)(khz / 4)), 0);
	assert_int_equal(ioctl(f->vcpu, KVM_GET_TSC_KHZ, 0), khz / 4);
	n0 = host_now(CLOCK_MONOTONIC);
	t0 = tsc_of(f);
	usleep(20000);
	t1 = tsc_of(f);
	n1 = host_now(CLOCK_MONOTONIC);
	/* At least 20 ms have passed between, at most n1 - n0; with 2 % for the clocks. */
	assert_true(t1 - t0 >= (uint64_t)khz / 4 * 196 / 10);
	assert_true(t1 - t0 <= (n1 - n0) * (uint64_t)khz / 4 / 1000000 * 102 / 100);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_TSC_KHZ, NULL), 0);
	assert_int_equal(ioctl(f->vcpu, KVM_GET_TSC_KHZ, 0), khz);
}

static int attr(const struct fixture *f, unsigned long request, uint64_t nr, void *addr)
{
	struct kvm_device_attr a = {
		.group = KVM_VCPU_TSC_CTRL, .attr = nr, .addr = (uintptr_t)addr};

	return ioctl_errno(f->vcpu, request, &a);
}

static void the_offset_is_an_attribute(void **state)
{
	const struct fixture *f = *state;
	uint64_t offset = 1ull << 51, now;

	assert_int_equal(attr(f, KVM_HAS_DEVICE_ATTR, KVM_VCPU_TSC_OFFSET, NULL), 0);
	assert_int_equal(attr(f, KVM_HAS_DEVICE_ATTR, 7, NULL), ENXIO);
	assert_int_equal(attr(f, KVM_SET_DEVICE_ATTR, KVM_VCPU_TSC_OFFSET, &offset), 0);
	assert_int_equal(attr(f, KVM_SET_DEVICE_ATTR, KVM_VCPU_TSC_OFFSET, unmapped_pointer()),
			 EFAULT);
	now = tsc_of(f);
	assert_true(now > offset);
	offset = 0;
	assert_int_equal(attr(f, KVM_GET_DEVICE_ATTR, KVM_VCPU_TSC_OFFSET, &offset), 0);
	assert_true(offset == 1ull << 51);
	assert_int_equal(attr(f, KVM_GET_DEVICE_ATTR, 7, &offset), ENXIO);
}

/* ---- kvmclock ------------------------------------------------------------------------------ */

GUEST16(enable_clock, "mov $0x4b564d01, %ecx\n mov $0x4001, %eax\n xor %edx, %edx\n wrmsr\n"
		      "out %al, $0x10\n rdtsc\n hlt");

static uint64_t clock_from_page(const struct fixture *f, uint64_t tsc)
{
	const struct clock_page *page = (const void *)(f->mem + PAGE_GPA);
	uint64_t delta = tsc - page->tsc_timestamp;

	assert_int_equal(page->version & 1, 0);
	delta = page->shift < 0 ? delta >> -page->shift : delta << page->shift;
	return page->system_time + (uint64_t)((unsigned __int128)delta * page->mul >> 32);
}

static uint64_t clock_of(const struct fixture *f)
{
	struct kvm_clock_data data;

	assert_int_equal(ioctl_errno(f->vm, KVM_GET_CLOCK, &data), 0);
	return data.clock;
}

static uint64_t guest_tsc(const struct fixture *f)
{
	struct kvm_regs regs = get_regs(f);

	return regs.rdx << 32 | (uint32_t)regs.rax;
}

static void the_page_is_there_before_the_next_instruction(void **state)
{
	struct fixture *f = *state;
	uint64_t before, after, seen;

	LOAD_GUEST(f, enable_clock);
	run_to(f, KVM_EXIT_IO);
	before = clock_of(f);
	run_to(f, KVM_EXIT_HLT);
	after = clock_of(f);
	seen = clock_from_page(f, guest_tsc(f));
	assert_true(before <= seen && seen <= after);
	assert_true(((const struct clock_page *)(const void *)(f->mem + PAGE_GPA))->flags & 1);
}

static void a_new_setting_reaches_the_guest(void **state)
{
	struct fixture *f = *state;
	struct kvm_clock_data data = {.clock = 1000 * NS_PER_S};
	const struct clock_page *page = (const void *)(f->mem + PAGE_GPA);
	uint32_t version;
	uint64_t seen;

	LOAD_GUEST(f, enable_clock);
	run_to(f, KVM_EXIT_IO);
	version = page->version;
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_CLOCK, &data), 0);
	run_to(f, KVM_EXIT_HLT);
	assert_true(page->version > version);
	seen = clock_from_page(f, guest_tsc(f));
	assert_true(seen >= 1000 * NS_PER_S && seen <= clock_of(f));
}

static void a_pause_is_told_once(void **state)
{
	struct fixture *f = *state;
	const struct clock_page *page = (const void *)(f->mem + PAGE_GPA);
	struct kvm_clock_data data = {.clock = 1};

	assert_int_equal(ioctl_errno(f->vcpu, KVM_KVMCLOCK_CTRL, NULL), EINVAL);
	LOAD_GUEST(f, enable_clock);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(page->flags & 2, 0);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_KVMCLOCK_CTRL, NULL), 0);
	run_to(f, KVM_EXIT_HLT);
	assert_int_equal(page->flags & 2, 2);
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_CLOCK, &data), 0);
	LOAD(f, 0xf4);
	run_to(f, KVM_EXIT_HLT);
	assert_int_equal(page->flags & 2, 0);
}

GUEST16(enable_nowhere, "mov $0x4b564d01, %ecx\n mov $1, %eax\n mov $0x7000, %edx\n wrmsr\n hlt");

static void a_page_that_is_no_memory_is_the_guests_loss(void **state)
{
	struct fixture *f = *state;

	LOAD_GUEST(f, enable_nowhere);
	run_to(f, KVM_EXIT_HLT);
}

GUEST16(wall_clock, "mov $0x4b564d00, %ecx\n mov $0x4000, %eax\n xor %edx, %edx\n wrmsr\n hlt");

static void the_wall_clock_is_that_of_clock_zero(void **state)
{
	struct fixture *f = *state;
	const uint32_t *wall = (const void *)(f->mem + PAGE_GPA);
	uint64_t now, told;

	LOAD_GUEST(f, wall_clock);
	run_to(f, KVM_EXIT_HLT);
	now = host_now(CLOCK_REALTIME);
	told = wall[1] * NS_PER_S + wall[2] + clock_of(f);
	assert_int_equal(wall[0] & 1, 0);
	assert_true(told + NS_PER_S / 2 > now && told < now + NS_PER_S / 2);
}

/* ---- stolen time ------------------------------------------------------------------------ */

static void stolen_time_grows_with_each_run(void **state)
{
	struct fixture *f = *state;
	struct kvm_steal_time *steal = (void *)(f->mem + PAGE_GPA);
	uint32_t version;

	assert_false(set_msr(f, MSR_KVM_STEAL_TIME, PAGE_GPA | 2)); /* reserved */
	assert_true(set_msr(f, MSR_KVM_STEAL_TIME, PAGE_GPA | KVM_MSR_ENABLED));
	LOAD(f, 0xf4, 0xf4);
	steal->preempted = 1;
	run_to(f, KVM_EXIT_HLT);
	version = steal->version;
	assert_int_equal(version & 1, 0);
	assert_int_equal(steal->preempted, 0);
	run_to(f, KVM_EXIT_HLT);
	assert_true(steal->version > version);
}

/* ---- what the guest may use ----------------------------------------------------------------- */

static void catch_vector(struct fixture *f, unsigned int vector)
{
	f->mem[0x2000] = 0xf4;
	memset(f->mem + vector * 4, 0, 4);
	f->mem[vector * 4 + 1] = 0x20;
}

static void features_can_be_enforced(void **state)
{
	struct fixture *f = *state;
	uint64_t value;

	catch_vector(f, 13);
	assert_false(get_msr(f, MSR_FEATURE_UNKNOWN, &value));
	assert_int_equal(enable_cap_errno(f->vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1), 0);
	LOAD_GUEST(f, wall_clock);
	run_to(f, KVM_EXIT_HLT); /* no CPUID: #GP */
	assert_int_equal(get_regs(f).rip, 0x2001);
	assert_true(get_msr(f, MSR_KVM_WALL_CLOCK_NEW, &value)); /* the program may all the same */
	assert_int_equal(enable_cap_errno(f->vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 0), 0);
	LOAD_GUEST(f, wall_clock);
	run_to(f, KVM_EXIT_HLT);
	assert_int_equal(get_regs(f).rip,
			 FIXTURE_CODE + (uint64_t)(wall_clock_end - wall_clock_begin));
}

/* ---- hypercalls between CPUs ---------------------------------------------------------------- */

#define HYPERCALL "vmcall\n" /* patched where VMMCALL is right */
GUEST16(send_ipi, "mov $10, %eax\n mov $3, %ebx\n xor %ecx, %ecx\n xor %edx, %edx\n"
		  "mov $0x55, %esi\n" HYPERCALL "out %al, $0x10\n"
		  "mov $10, %eax\n mov $0x155, %esi\n" HYPERCALL "out %al, $0x10\n hlt");

static bool irr_has(int vcpu, unsigned int vector)
{
	struct kvm_lapic_state lapic;

	assert_int_equal(ioctl_errno(vcpu, KVM_GET_LAPIC, &lapic), 0);
	return ((const uint8_t *)lapic.regs)[0x200 + vector / 32 * 16 + vector % 32 / 8] &
	       (1 << (vector % 8));
}

static void enable_apic(int vcpu)
{
	struct kvm_lapic_state lapic;

	assert_int_equal(ioctl_errno(vcpu, KVM_GET_LAPIC, &lapic), 0);
	lapic.regs[0xf1] |= 1;
	assert_int_equal(ioctl_errno(vcpu, KVM_SET_LAPIC, &lapic), 0);
}

static void one_hypercall_interrupts_many(void **state)
{
	struct fixture *f = *state;
	int second = ioctl(f->vm, KVM_CREATE_VCPU, 1);

	enable_apic(f->vcpu);
	enable_apic(second);
	LOAD_GUEST(f, send_ipi);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(get_regs(f).rax, 2);
	assert_true(irr_has(f->vcpu, 0x55));
	assert_true(irr_has(second, 0x55));
	run_to(f, KVM_EXIT_IO); /* lowest priority makes no sense here */
	assert_int_equal((int32_t)get_regs(f).rax, -KVM_EINVAL);
	close(second);
}

GUEST16(pair_clocks, "mov $9, %eax\n mov $0x4000, %ebx\n xor %ecx, %ecx\n" HYPERCALL "hlt");

static void clocks_can_be_paired(void **state)
{
	struct fixture *f = *state;
	const struct kvm_clock_pairing *pairing = (const void *)(f->mem + PAGE_GPA);
	uint64_t before = host_now(CLOCK_REALTIME), told;

	LOAD_GUEST(f, pair_clocks);
	run_to(f, KVM_EXIT_HLT);
	assert_int_equal(get_regs(f).rax, 0);
	told = (uint64_t)pairing->sec * NS_PER_S + (uint64_t)pairing->nsec;
	assert_true(before <= told && told <= host_now(CLOCK_REALTIME));
	assert_true(pairing->tsc <= tsc_of(f));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define TEST_IRQCHIP(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup_irqchip, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_new_tsc_starts_at_zero),
#if defined(__x86_64__)
		TEST(the_frequency_is_the_hosts),
#endif
		TEST(a_second_vcpu_joins_the_first),
		TEST(the_frequency_can_be_chosen),
		TEST(the_offset_is_an_attribute),
		TEST(the_page_is_there_before_the_next_instruction),
		TEST(a_new_setting_reaches_the_guest),
		TEST(a_pause_is_told_once),
		TEST(a_page_that_is_no_memory_is_the_guests_loss),
		TEST(the_wall_clock_is_that_of_clock_zero),
		TEST(stolen_time_grows_with_each_run),
		TEST(features_can_be_enforced),
		TEST_IRQCHIP(one_hypercall_interrupts_many),
		TEST(clocks_can_be_paired),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
