/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls that should succeed: what is set is what is read, and what is announced is there. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/kvm/kvm_fixture.h"

#define GET(f, fd, request, out) assert_int_equal(ioctl_errno((f)->fd, request, out), 0)
#define SET			 GET

static void system_calls(void **state)
{
	const struct fixture *f = *state;

	assert_int_equal(ioctl(f->sys, KVM_GET_API_VERSION, 0), 12);
	assert_int_equal(ioctl(f->sys, KVM_GET_VCPU_MMAP_SIZE, 0), 12288);
	assert_int_equal(ioctl(f->sys, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY), 1);
	assert_int_equal(ioctl(f->vm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS), 32764);
	assert_int_equal(ioctl(f->sys, KVM_CHECK_EXTENSION, 0x7fff), 0);
	assert_true(ioctl(f->sys, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS) >= 1);
}

static void general_registers(void **state)
{
	const struct fixture *f = *state;
	struct kvm_regs in, out;

	memset(&in, 0x5a, sizeof(in));
	in.rflags = 0x202;
	in.rip = 0x1234;
	SET(f, vcpu, KVM_SET_REGS, &in);
	GET(f, vcpu, KVM_GET_REGS, &out);
	assert_memory_equal(&in, &out, sizeof(in));
}

/* The reset state of SDM vol. 3, table 9-1. */
static void reset_segments(void **state)
{
	const struct fixture *f = *state;
	struct kvm_sregs s;

	GET(f, vcpu, KVM_GET_SREGS, &s);
	assert_int_equal(s.cs.selector, 0xf000);
	assert_int_equal(s.cs.base, 0xffff0000);
	assert_int_equal(s.cs.limit, 0xffff);
	assert_int_equal(s.cs.type, 11);
	assert_int_equal(s.ds.limit, 0xffff);
	assert_int_equal(s.cr0 & ~0x60000010ull, 0);
	assert_int_equal(s.efer, 0);
	assert_int_equal(s.apic_base, 0xfee00900);
}

static void segments_and_control_registers(void **state)
{
	const struct fixture *f = *state;
	struct kvm_sregs in, out;
	struct kvm_sregs2 two;

	GET(f, vcpu, KVM_GET_SREGS, &in);
	in.cr0 = 0x11;
	in.cs = (struct kvm_segment){.base = 0,
				     .limit = ~0u,
				     .selector = 8,
				     .type = 11,
				     .present = 1,
				     .db = 1,
				     .s = 1,
				     .g = 1};
	in.gdt = (struct kvm_dtable){.base = 0x3000, .limit = 0xfff};
	in.cr2 = 0x77;
	SET(f, vcpu, KVM_SET_SREGS, &in);
	GET(f, vcpu, KVM_GET_SREGS, &out);
	assert_memory_equal(&in, &out, sizeof(in));
	GET(f, vcpu, KVM_GET_SREGS2, &two);
	assert_memory_equal(&in, &two, offsetof(struct kvm_sregs, interrupt_bitmap));
	SET(f, vcpu, KVM_SET_SREGS2, &two);
	two.flags = 2;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS2, &two), EINVAL);
}

static void impossible_control_registers(void **state)
{
	const struct fixture *f = *state;
	struct kvm_sregs good, bad, now;

	GET(f, vcpu, KVM_GET_SREGS, &good);
#define REFUSED(change)                                                              \
	do {                                                                         \
		bad = good;                                                          \
		change;                                                              \
		assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &bad), EINVAL); \
		GET(f, vcpu, KVM_GET_SREGS, &now);                                   \
		assert_memory_equal(&good, &now, sizeof(now));                       \
	} while (0)
	REFUSED(bad.cr4 = 1ull << 40);
	REFUSED(bad.efer = 1ull << 10);				  /* LMA alone */
	REFUSED((bad.efer = 1ull << 8, bad.cr0 = 0x80000011ull)); /* long mode without PAE */
	REFUSED(bad.cs.l = 1);
	REFUSED(bad.apic_base |= 1ull << 10);
	REFUSED(bad.cr0 = 0x80000000ull); /* paging without protection */
}

static void fpu_and_xsave(void **state)
{
	const struct fixture *f = *state;
	static struct kvm_xsave in, out;
	struct kvm_fpu fpu, now;

	GET(f, vcpu, KVM_GET_FPU, &fpu);
	assert_int_equal(fpu.fcw, 0x37f);
	fpu.fcw = 0x27f;
	memset(fpu.xmm, 0x42, sizeof(fpu.xmm));
	SET(f, vcpu, KVM_SET_FPU, &fpu);
	GET(f, vcpu, KVM_GET_FPU, &now);
	assert_memory_equal(fpu.xmm, now.xmm, sizeof(fpu.xmm));
	assert_int_equal(now.fcw, 0x27f);
	GET(f, vcpu, KVM_GET_XSAVE, &in);
	memset((uint8_t *)&in + 160, 0x43, 256);
	((uint8_t *)&in)[512] |= 3;
	SET(f, vcpu, KVM_SET_XSAVE, &in);
	GET(f, vcpu, KVM_GET_XSAVE, &out);
	assert_memory_equal((uint8_t *)&in + 160, (uint8_t *)&out + 160, 256);
	GET(f, vcpu, KVM_GET_FPU, &now);
	assert_int_equal(now.xmm[15][15], 0x43);
	((uint8_t *)&in)[519] = 0x80; /* a component that does not exist */
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_XSAVE, &in), EINVAL);
}

static void xcrs_and_debug_registers(void **state)
{
	const struct fixture *f = *state;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs dr = {.db = {1, 2, 3, 4}, .dr6 = 0xffff0ff0, .dr7 = 0x400}, now;

	GET(f, vcpu, KVM_GET_XCRS, &xcrs);
	assert_int_equal(xcrs.nr_xcrs, 1);
	assert_int_equal(xcrs.xcrs[0].value & 1, 1);
	SET(f, vcpu, KVM_SET_XCRS, &xcrs);
	SET(f, vcpu, KVM_SET_DEBUGREGS, &dr);
	GET(f, vcpu, KVM_GET_DEBUGREGS, &now);
	assert_memory_equal(&dr, &now, sizeof(dr));
}

#define XSTATE_BV 512 /* offsets in an XSAVE image, its standard format */
#define YMM_HIGH  576
#define YMM_BYTES 256

static void set_xcr0(const struct fixture *f, uint64_t value, int expected)
{
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0].value = value}, now;

	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_XCRS, &xcrs), expected);
	GET(f, vcpu, KVM_GET_XCRS, &now);
	if (!expected)
		assert_int_equal(now.xcrs[0].value, value);
}

static void avx_state_is_kept(void **state)
{
	const struct fixture *f = *state;
	static struct kvm_xsave xsave;
	uint8_t *image = (uint8_t *)&xsave, expected[YMM_BYTES];

	set_xcr0(f, 3, EINVAL); /* before CPUID says what there is */
	set_supported_cpuid(f);
	set_xcr0(f, 7, 0);
	set_xcr0(f, 5, EINVAL); /* AVX state without SSE's */
	set_xcr0(f, 6, EINVAL);
	set_xcr0(f, 0x207, EINVAL);
	GET(f, vcpu, KVM_GET_XSAVE, &xsave);
	assert_int_equal(image[XSTATE_BV] & 4, 0);
	memset(image + YMM_HIGH, 0x44, YMM_BYTES);
	image[XSTATE_BV] = 7;
	SET(f, vcpu, KVM_SET_XSAVE, &xsave);
	memset(&xsave, 0, sizeof(xsave));
	GET(f, vcpu, KVM_GET_XSAVE2, &xsave);
	assert_int_equal(image[XSTATE_BV] & 4, 4);
	memset(expected, 0x44, YMM_BYTES);
	assert_memory_equal(image + YMM_HIGH, expected, YMM_BYTES);
	/* An image of a CPU without AVX: what is there does not matter, the state is initial. */
	image[XSTATE_BV] = 3;
	SET(f, vcpu, KVM_SET_XSAVE, &xsave);
	GET(f, vcpu, KVM_GET_XSAVE, &xsave);
	assert_int_equal(image[XSTATE_BV] & 4, 0);
	memset(expected, 0, YMM_BYTES);
	assert_memory_equal(image + YMM_HIGH, expected, YMM_BYTES);
}

/* Every MSR that is listed can be read, and set to what was read. */
static void listed_msrs_can_be_saved(void **state)
{
	const struct fixture *f = *state;
	struct {
		struct kvm_msr_list head;
		uint32_t indices[1024];
	} list = {.head.nmsrs = 1024};

	GET(f, sys, KVM_GET_MSR_INDEX_LIST, &list);
	for (uint32_t i = 0; i < list.head.nmsrs; i++) {
		struct {
			struct kvm_msrs head;
			struct kvm_msr_entry entry;
		} msr = {.head.nmsrs = 1, .entry.index = list.head.indices[i]};

		if (ioctl(f->vcpu, KVM_GET_MSRS, &msr) != 1)
			fail_msg("cannot read MSR %#x", msr.entry.index);
		if (ioctl(f->vcpu, KVM_SET_MSRS, &msr) != 1)
			fail_msg("cannot write MSR %#x", msr.entry.index);
	}
}

static void unknown_msrs_stop_the_list(void **state)
{
	const struct fixture *f = *state;
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[3];
	} msrs = {.head.nmsrs = 3,
		  .entry = {{.index = 0x174}, {.index = 0x12345678}, {.index = 0x175}}};

	assert_int_equal(ioctl(f->vcpu, KVM_GET_MSRS, &msrs), 1);
	assert_int_equal(ioctl(f->vcpu, KVM_SET_MSRS, &msrs), 1);
}

struct cpuid_table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[256];
};

static struct kvm_cpuid_entry2 *find_leaf(struct cpuid_table *table, uint32_t function,
					  uint32_t index)
{
	for (uint32_t i = 0; i < table->head.nent; i++)
		if (table->entries[i].function == function && table->entries[i].index == index)
			return &table->entries[i];
	fail_msg("no CPUID leaf %#x", function);
	return NULL;
}

static void guest_without_avx_has_no_avx_state(void **state)
{
	const struct fixture *f = *state;
	static struct cpuid_table table = {.head.nent = 256};
	static struct kvm_xsave xsave;
	uint8_t *image = (uint8_t *)&xsave;

	GET(f, sys, KVM_GET_SUPPORTED_CPUID, &table);
	assert_int_equal(find_leaf(&table, 1, 0)->ecx >> 28 & 1, 1);
	assert_int_equal(find_leaf(&table, 0xd, 0)->ecx, YMM_HIGH + YMM_BYTES);
	/* What follows XCR0 is told with it. */
	SET(f, vcpu, KVM_SET_CPUID2, &table);
	set_xcr0(f, 7, 0);
	GET(f, vcpu, KVM_GET_CPUID2, &table);
	assert_int_equal(find_leaf(&table, 0xd, 0)->ebx, YMM_HIGH + YMM_BYTES);
	set_xcr0(f, 3, 0);
	GET(f, vcpu, KVM_GET_CPUID2, &table);
	assert_int_equal(find_leaf(&table, 0xd, 0)->ebx, YMM_HIGH);
	find_leaf(&table, 0xd, 0)->eax = 3;
	SET(f, vcpu, KVM_SET_CPUID2, &table);
	set_xcr0(f, 7, EINVAL);
	memset(image + YMM_HIGH, 0x44, YMM_BYTES);
	memcpy(image, (uint8_t[]){0x7f, 3}, 2);
	image[XSTATE_BV] = 7;
	SET(f, vcpu, KVM_SET_XSAVE, &xsave);
	GET(f, vcpu, KVM_GET_XSAVE, &xsave);
	assert_int_equal(image[XSTATE_BV] & 4, 0);
	assert_int_equal(image[YMM_HIGH], 0);
}

static void cpuid_is_kept(void **state)
{
	struct fixture *f = *state;
	static struct cpuid_table in, out;

	in.head.nent = out.head.nent = 256;
	GET(f, sys, KVM_GET_SUPPORTED_CPUID, &in);
	assert_in_range(in.head.nent, 1, 100);
	SET(f, vcpu, KVM_SET_CPUID2, &in);
	GET(f, vcpu, KVM_GET_CPUID2, &out);
	assert_int_equal(in.head.nent, out.head.nent);
	LOAD(f, 0xf4);
	assert_int_equal(run_errno(f), 0);
	/* After the first run only the same table is accepted. */
	SET(f, vcpu, KVM_SET_CPUID2, &in);
	in.entries[0].ebx ^= 1;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_CPUID2, &in), EINVAL);
}

static void events(void **state)
{
	const struct fixture *f = *state;
	struct kvm_vcpu_events events, now;
	struct kvm_mp_state mp;

	GET(f, vcpu, KVM_GET_VCPU_EVENTS, &events);
	events.nmi.masked = 1;
	SET(f, vcpu, KVM_SET_VCPU_EVENTS, &events);
	GET(f, vcpu, KVM_GET_VCPU_EVENTS, &now);
	assert_int_equal(now.nmi.masked, 1);
	events.flags |= 1u << 30;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_VCPU_EVENTS, &events), EINVAL);
	GET(f, vcpu, KVM_GET_MP_STATE, &mp);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_RUNNABLE);
	SET(f, vcpu, KVM_SET_MP_STATE, &mp);
	SET(f, vcpu, KVM_NMI, NULL);
}

static void lapic_page(void **state)
{
	const struct fixture *f = *state;
	struct kvm_lapic_state lapic;
	uint32_t version;

	GET(f, vcpu, KVM_GET_LAPIC, &lapic);
	memcpy(&version, lapic.regs + 0x30, 4);
	assert_int_equal(version & 0xff, 0x14);
	SET(f, vcpu, KVM_SET_LAPIC, &lapic);
	assert_int_equal(ioctl_errno(f->vm, KVM_CREATE_IRQCHIP, NULL), EEXIST);
}

static void clocks(void **state)
{
	const struct fixture *f = *state;
	struct kvm_clock_data a, b;

	GET(f, vm, KVM_GET_CLOCK, &a);
	usleep(2000);
	GET(f, vm, KVM_GET_CLOCK, &b);
	assert_true(b.clock >= a.clock + 2000000);
	a = (struct kvm_clock_data){.clock = 1000000000000ull};
	SET(f, vm, KVM_SET_CLOCK, &a);
	GET(f, vm, KVM_GET_CLOCK, &b);
	assert_in_range(b.clock, a.clock, a.clock + 1000000000ull);
	assert_true(ioctl(f->vm, KVM_GET_TSC_KHZ, 0) > 0);
	assert_int_equal(ioctl(f->vcpu, KVM_GET_TSC_KHZ, 0), ioctl(f->vm, KVM_GET_TSC_KHZ, 0));
}

static void translation_in_real_mode(void **state)
{
	const struct fixture *f = *state;
	struct kvm_translation t = {.linear_address = 0x1234};

	SET(f, vcpu, KVM_TRANSLATE, &t);
	assert_int_equal(t.valid, 1);
	assert_int_equal(t.physical_address, 0x1234);
}

static void vcpu_id_limit(void **state)
{
	const struct fixture *f = *state;
	int vm = ioctl(f->sys, KVM_CREATE_VM, 0);
	struct kvm_enable_cap cap = {.cap = KVM_CAP_MAX_VCPU_ID, .args = {5000}};

	assert_int_equal(ioctl_errno(vm, KVM_ENABLE_CAP, &cap), EINVAL);
	cap.args[0] = 4;
	assert_int_equal(ioctl_errno(vm, KVM_ENABLE_CAP, &cap), 0);
	assert_int_equal(ioctl_errno(vm, KVM_CREATE_VCPU, (void *)4), EINVAL);
	close(vm);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define TEST_IRQCHIP(name) \
	cmocka_unit_test_setup_teardown(name, fixture_setup_irqchip, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(system_calls),
		TEST(general_registers),
		TEST(reset_segments),
		TEST(segments_and_control_registers),
		TEST(impossible_control_registers),
		TEST(fpu_and_xsave),
		TEST(xcrs_and_debug_registers),
		TEST(listed_msrs_can_be_saved),
		TEST(unknown_msrs_stop_the_list),
		TEST(cpuid_is_kept),
		TEST(avx_state_is_kept),
		TEST(guest_without_avx_has_no_avx_state),
		TEST(events),
		TEST_IRQCHIP(lapic_page),
		TEST(clocks),
		TEST(translation_in_real_mode),
		TEST(vcpu_id_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
