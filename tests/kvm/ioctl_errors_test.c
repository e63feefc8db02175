/* SPDX-License-Identifier: BSD-2-Clause */
/* Every ioctl with bad arguments: a table of (descriptor, request, argument, errno). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/kvm/kvm_fixture.h"

enum on {
	ON_SYS,
	ON_VM,
	ON_VCPU,
};

static int fd_of(const struct fixture *f, enum on on)
{
	return on == ON_SYS ? f->sys : on == ON_VM ? f->vm : f->vcpu;
}

/* ---- pointers ------------------------------------------------------------------------------ */

struct pointer_row {
	const char *name;
	enum on on;
	unsigned long request;
};

#define ROW(on_, request_)                                            \
	{                                                             \
		.name = #request_, .on = (on_), .request = (request_) \
	}

/* Each of these reads or writes through its argument. */
static const struct pointer_row pointer_rows[] = {
	ROW(ON_SYS, KVM_GET_SUPPORTED_CPUID),
	ROW(ON_SYS, KVM_GET_EMULATED_CPUID),
	ROW(ON_SYS, KVM_GET_MSR_INDEX_LIST),
	ROW(ON_SYS, KVM_GET_MSR_FEATURE_INDEX_LIST),
	ROW(ON_SYS, KVM_GET_MSRS),
	ROW(ON_SYS, KVM_X86_GET_MCE_CAP_SUPPORTED),
	ROW(ON_VM, KVM_SET_USER_MEMORY_REGION),
	ROW(ON_VM, KVM_SET_USER_MEMORY_REGION2),
	ROW(ON_VM, KVM_SET_MEMORY_ATTRIBUTES),
	ROW(ON_VM, KVM_CREATE_GUEST_MEMFD),
	ROW(ON_VM, KVM_GET_CLOCK),
	ROW(ON_VM, KVM_SET_CLOCK),
	ROW(ON_VM, KVM_ENABLE_CAP),
	ROW(ON_VM, KVM_IRQ_LINE),
	ROW(ON_VM, KVM_IRQ_LINE_STATUS),
	ROW(ON_VM, KVM_GET_IRQCHIP),
	ROW(ON_VM, KVM_SET_IRQCHIP),
	ROW(ON_VM, KVM_SET_GSI_ROUTING),
	ROW(ON_VM, KVM_SIGNAL_MSI),
	ROW(ON_VM, KVM_IRQFD),
	ROW(ON_VM, KVM_IOEVENTFD),
	ROW(ON_VM, KVM_GET_DIRTY_LOG),
	ROW(ON_VM, KVM_CLEAR_DIRTY_LOG),
	ROW(ON_VM, KVM_REGISTER_COALESCED_MMIO),
	ROW(ON_VM, KVM_UNREGISTER_COALESCED_MMIO),
	ROW(ON_VM, KVM_X86_SET_MSR_FILTER),
	ROW(ON_VCPU, KVM_GET_REGS),
	ROW(ON_VCPU, KVM_SET_REGS),
	ROW(ON_VCPU, KVM_GET_SREGS),
	ROW(ON_VCPU, KVM_SET_SREGS),
	ROW(ON_VCPU, KVM_GET_SREGS2),
	ROW(ON_VCPU, KVM_SET_SREGS2),
	ROW(ON_VCPU, KVM_GET_FPU),
	ROW(ON_VCPU, KVM_SET_FPU),
	ROW(ON_VCPU, KVM_GET_XSAVE),
	ROW(ON_VCPU, KVM_SET_XSAVE),
	ROW(ON_VCPU, KVM_GET_XCRS),
	ROW(ON_VCPU, KVM_SET_XCRS),
	ROW(ON_VCPU, KVM_GET_DEBUGREGS),
	ROW(ON_VCPU, KVM_SET_DEBUGREGS),
	ROW(ON_VCPU, KVM_GET_MSRS),
	ROW(ON_VCPU, KVM_SET_MSRS),
	ROW(ON_VCPU, KVM_SET_CPUID2),
	ROW(ON_VCPU, KVM_GET_CPUID2),
	ROW(ON_VCPU, KVM_GET_MP_STATE),
	ROW(ON_VCPU, KVM_SET_MP_STATE),
	ROW(ON_VCPU, KVM_GET_VCPU_EVENTS),
	ROW(ON_VCPU, KVM_SET_VCPU_EVENTS),
	ROW(ON_VCPU, KVM_INTERRUPT),
	ROW(ON_VCPU, KVM_TRANSLATE),
	ROW(ON_VCPU, KVM_PRE_FAULT_MEMORY),
	ROW(ON_VCPU, KVM_ENABLE_CAP),
	ROW(ON_VCPU, KVM_SET_GUEST_DEBUG),
	ROW(ON_VCPU, KVM_SET_CPUID),
	ROW(ON_VCPU, KVM_GET_XSAVE2),
	ROW(ON_VCPU, KVM_X86_SETUP_MCE),
	ROW(ON_VCPU, KVM_X86_SET_MCE),
	ROW(ON_VCPU, KVM_HAS_DEVICE_ATTR),
	ROW(ON_VCPU, KVM_GET_DEVICE_ATTR),
	ROW(ON_VCPU, KVM_SET_DEVICE_ATTR),
};

#define NON_CANONICAL ((void *)0x800000000000ul)
#define KERNEL_HALF   ((void *)0xffff888000000000ul)

static void check_pointer(const struct fixture *f, const struct pointer_row *row, void *arg)
{
	int got = ioctl_errno(fd_of(f, row->on), row->request, arg);

	if (got != EFAULT)
		fail_msg("%s(%p): %s", row->name, arg, strerror(got));
}

static void bad_pointers_are_efault(void **state)
{
	for (size_t i = 0; i < sizeof(pointer_rows) / sizeof(pointer_rows[0]); i++) {
		check_pointer(*state, &pointer_rows[i], NULL);
		check_pointer(*state, &pointer_rows[i], unmapped_pointer());
		check_pointer(*state, &pointer_rows[i], NON_CANONICAL);
		check_pointer(*state, &pointer_rows[i], KERNEL_HALF);
	}
}

/* The structure begins on a page that is there and ends on one that is not. */
static void structures_over_a_hole_are_efault(void **state)
{
	uint8_t *pages =
		mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(pages + 4096, 4096);
	for (size_t i = 0; i < sizeof(pointer_rows) / sizeof(pointer_rows[0]); i++) {
		const struct pointer_row *row = &pointer_rows[i];

		if (_IOC_SIZE(row->request) > 2)
			check_pointer(*state, row, pages + 4096 - 2);
	}
	munmap(pages, 4096);
}

static void read_only_memory_is_efault(void **state)
{
	const struct fixture *f = *state;
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_REGS, page), EFAULT);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_SREGS, page), EFAULT);
	munmap(page, 4096);
}

/* ---- numbers --------------------------------------------------------------------------------- */

struct value_row {
	const char *name;
	enum on on;
	unsigned long request;
	unsigned long arg;
	int wanted;
};

#define VALUE(on_, request_, arg_, wanted_)                                                     \
	{                                                                                       \
		.name = #request_ " " #arg_, .on = (on_), .request = (request_), .arg = (arg_), \
		.wanted = (wanted_)                                                             \
	}

static const struct value_row value_rows[] = {
	VALUE(ON_SYS, KVM_GET_API_VERSION, 1, EINVAL),
	VALUE(ON_SYS, KVM_GET_VCPU_MMAP_SIZE, 1, EINVAL),
	VALUE(ON_SYS, KVM_CREATE_VM, 99, EINVAL),
	VALUE(ON_SYS, _IO(KVMIO, 0xff), 0, EINVAL),
	VALUE(ON_SYS, _IO('T', 1), 0, EINVAL),
	VALUE(ON_SYS, KVM_RUN, 0, EINVAL),
	VALUE(ON_SYS, KVM_CREATE_VCPU, 0, EINVAL),
	VALUE(ON_VM, _IO(KVMIO, 0xff), 0, ENOTTY),
	VALUE(ON_VM, _IO('T', 1), 0, ENOTTY),
	VALUE(ON_VM, KVM_CREATE_VM, 0, ENOTTY),
	VALUE(ON_VM, KVM_RUN, 0, ENOTTY),
	VALUE(ON_VM, KVM_GET_REGS, 0, ENOTTY),
	/* The right number with a wrong size is another request. */
	VALUE(ON_VM, _IOC(_IOC_WRITE, KVMIO, 0x46, 8), 0, ENOTTY),
	VALUE(ON_VM, KVM_CREATE_VCPU, 0, EEXIST),
	VALUE(ON_VM, KVM_CREATE_VCPU, 5000, EINVAL),
	VALUE(ON_VM, KVM_CREATE_VCPU, 0xffffffffful, EINVAL),
	VALUE(ON_VM, KVM_CREATE_IRQCHIP, 0, EINVAL),
	VALUE(ON_VM, KVM_SET_BOOT_CPU_ID, 0, EBUSY),
	VALUE(ON_VM, KVM_SET_TSS_ADDR, 0xffffffffffff, EINVAL),
	VALUE(ON_VM, KVM_SET_NR_MMU_PAGES, 10, EINVAL),
	VALUE(ON_VM, KVM_SET_TSC_KHZ, 1000, EINVAL),
	VALUE(ON_VCPU, _IO(KVMIO, 0xff), 0, EINVAL),
	VALUE(ON_VCPU, _IO('T', 1), 0, EINVAL),
	VALUE(ON_VCPU, KVM_CREATE_VCPU, 0, EINVAL),
	VALUE(ON_VCPU, KVM_RUN, 1, EINVAL),
	VALUE(ON_VCPU, KVM_KVMCLOCK_CTRL, 0, EINVAL),
	VALUE(ON_VCPU, KVM_SET_SIGNAL_MASK, 0, 0),
};

static void bad_numbers(void **state)
{
	for (size_t i = 0; i < sizeof(value_rows) / sizeof(value_rows[0]); i++) {
		const struct value_row *row = &value_rows[i];
		int got = ioctl_errno(fd_of(*state, row->on), row->request, (void *)row->arg);

		if (got != row->wanted)
			fail_msg("%s: %s, expected %s", row->name, strerror(got),
				 strerror(row->wanted));
	}
}

static void sign_extended_requests_are_the_same(void **state)
{
	const struct fixture *f = *state;
	struct kvm_regs regs;
	int request = (int)KVM_GET_REGS;

	assert_int_equal(ioctl(f->vcpu, (unsigned long)(long)request, &regs), 0);
}

/* ---- structures -------------------------------------------------------------- */

static void bad_structures(void **state)
{
	const struct fixture *f = *state;
	struct kvm_interrupt irq = {.irq = 256};
	struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_UNINITIALIZED};
	struct kvm_enable_cap cap = {.cap = 0xffff};
	struct kvm_debugregs dr = {.flags = 1};
	struct kvm_xcrs xcrs = {.nr_xcrs = KVM_MAX_XCRS + 1};
	struct kvm_lapic_state lapic;
	struct {
		struct kvm_signal_mask head;
		uint8_t set[8];
	} mask = {.head.len = 4};

	assert_int_equal(ioctl_errno(f->vcpu, KVM_INTERRUPT, &irq), EINVAL);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_MP_STATE, &mp), EINVAL);
	mp.mp_state = 99;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_MP_STATE, &mp), EINVAL);
	assert_int_equal(ioctl_errno(f->vm, KVM_ENABLE_CAP, &cap), EINVAL);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_ENABLE_CAP, &cap), EINVAL);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_DEBUGREGS, &dr), EINVAL);
	dr = (struct kvm_debugregs){.dr7 = 1ull << 32};
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_DEBUGREGS, &dr), EINVAL);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_XCRS, &xcrs), EINVAL);
	xcrs = (struct kvm_xcrs){.nr_xcrs = 1};
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_XCRS, &xcrs), EINVAL);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SIGNAL_MASK, &mask), EINVAL);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_LAPIC, &lapic), EINVAL);
}

static void lists_too_short_are_e2big(void **state)
{
	const struct fixture *f = *state;
	struct {
		struct kvm_msr_list head;
		uint32_t indices[1024];
	} list = {.head.nmsrs = 0};
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[257];
	} cpuid = {.head.nent = 1};
	struct kvm_msrs msrs = {.nmsrs = 256};

	/* It says how many there are. */
	assert_int_equal(ioctl_errno(f->sys, KVM_GET_MSR_INDEX_LIST, &list), E2BIG);
	assert_in_range(list.head.nmsrs, 1, 1024);
	assert_int_equal(ioctl_errno(f->sys, KVM_GET_MSR_INDEX_LIST, &list), 0);
	list.head.nmsrs = 0;
	assert_int_equal(ioctl_errno(f->sys, KVM_GET_MSR_FEATURE_INDEX_LIST, &list), E2BIG);
	assert_int_equal(ioctl_errno(f->sys, KVM_GET_MSR_FEATURE_INDEX_LIST, &list), 0);
	assert_int_equal(ioctl_errno(f->sys, KVM_GET_SUPPORTED_CPUID, &cpuid), E2BIG);
	cpuid.head.nent = 0;
	assert_int_equal(ioctl_errno(f->sys, KVM_GET_EMULATED_CPUID, &cpuid), E2BIG);
	cpuid.head.nent = 257;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_CPUID2, &cpuid), E2BIG);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_MSRS, &msrs), E2BIG);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_MSRS, &msrs), E2BIG);
}

/* ---- slots ------------------------------------------------------------------- */

struct slot_row {
	const char *name;
	struct kvm_userspace_memory_region region;
	int wanted;
};

/* Slot 0 covers [0, FIXTURE_MEM); "userspace_addr" is relative to its memory. */
static const struct slot_row slot_rows[] = {
	{"overlap", {1, 0, 0x8000, 0x10000, 0}, EEXIST},
	{"overlap at the end", {1, 0, FIXTURE_MEM - 0x1000, 0x2000, 0}, EEXIST},
	{"misaligned gpa", {1, 0, 0x200800, 0x1000, 0}, EINVAL},
	{"misaligned size", {1, 0, 0x200000, 0x800, 0}, EINVAL},
	{"misaligned address", {1, 0, 0x200000, 0x1000, 1}, EINVAL},
	{"gpa wraps", {1, 0, ~0xfffull, 0x2000, 0}, EINVAL},
	{"unknown flag", {1, 16, 0x200000, 0x1000, 0}, EINVAL},
	{"guest_memfd without one", {1, 4, 0x200000, 0x1000, 0}, EINVAL},
	{"id too large", {32764, 0, 0x200000, 0x1000, 0}, EINVAL},
	{"address space 2", {0x20000, 0, 0x200000, 0x1000, 0}, EINVAL},
	{"id too large in address space 1", {0x10000 + 32764, 0, 0x200000, 0x1000, 0}, EINVAL},
	{"delete what only address space 0 has", {0x10000, 0, 0, 0, 0}, EINVAL},
	{"address space 1, over slot 0", {0x10000, 0, 0, 0x1000, 0}, 0},
	{"overlap in address space 1", {0x10001, 0, 0, 0x1000, 0}, EEXIST},
	{"delete in address space 1", {0x10000, 0, 0, 0, 0}, 0},
	{"delete what is not there", {5, 0, 0, 0, 0}, EINVAL},
	{"resize", {0, 0, 0, FIXTURE_MEM / 2, 0}, EINVAL},
	{"other memory", {0, 0, 0, FIXTURE_MEM, 0x1000}, EINVAL},
	{"too many pages", {3, 0, 1ull << 40, 1ull << 44, 0}, EINVAL},
	{"beyond the address width", {3, 0, 1ull << 52, 0x1000, 0}, EINVAL},
	{"the same again", {0, 0, 0, FIXTURE_MEM, 0}, 0},
	{"move", {0, 0, 0x400000, FIXTURE_MEM, 0}, 0},
	{"move back", {0, 0, 0, FIXTURE_MEM, 0}, 0},
	{"delete", {0, 0, 0, 0, 0}, 0},
	{"delete again", {0, 0, 0, 0, 0}, EINVAL},
	{"read-only", {7, 2, 0x10000000, 0x1000, 0}, 0},
	{"delete read-only", {7, 0, 0, 0, 0}, 0},
};

static void slots_as_kvm_answers(void **state)
{
	const struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(slot_rows) / sizeof(slot_rows[0]); i++) {
		struct kvm_userspace_memory_region region = slot_rows[i].region;
		int got;

		region.userspace_addr += (uintptr_t)f->mem;
		got = ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &region);
		if (got != slot_rows[i].wanted)
			fail_msg("%s: %s, expected %s", slot_rows[i].name, strerror(got),
				 strerror(slot_rows[i].wanted));
	}
}

static void kernel_addresses_are_no_slot(void **state)
{
	const struct fixture *f = *state;
	struct kvm_userspace_memory_region region = {
		.slot = 1,
		.guest_phys_addr = 0x200000,
		.memory_size = 0x1000,
		.userspace_addr = 0xffff888000000000ull,
	};

	assert_int_equal(ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &region), EINVAL);
	/* Nothing need be mapped there, though. */
	region.userspace_addr = (uintptr_t)unmapped_pointer();
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &region), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(bad_pointers_are_efault),
		TEST(structures_over_a_hole_are_efault),
		TEST(read_only_memory_is_efault),
		TEST(bad_numbers),
		TEST(sign_extended_requests_are_the_same),
		TEST(bad_structures),
		TEST(lists_too_short_are_e2big),
		TEST(slots_as_kvm_answers),
		TEST(kernel_addresses_are_no_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
