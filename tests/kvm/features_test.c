/* SPDX-License-Identifier: BSD-2-Clause */
/* What a program may choose about a VM's CPUs: quirks, MSRs that it shows or hides, ids. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm_para.h>

#include "tests/kvm/kvm_fixture.h"

#define MSR_PLATFORM_INFO    0xce
#define MSR_IA32_MISC_ENABLE 0x1a0
#define MISC_ENABLE_MWAIT    (1ull << 18)
#define UD_HANDLER	     0x2000

/* Vector 6 of the real-mode table leads to a HLT of its own. */
static void catch_vector(struct fixture *f, unsigned int vector)
{
	f->mem[UD_HANDLER] = 0xf4;
	memset(f->mem + vector * 4, 0, 4);
	f->mem[vector * 4 + 1] = UD_HANDLER >> 8;
}

static bool halted_in_handler(const struct fixture *f)
{
	run_to(f, KVM_EXIT_HLT);
	return get_regs(f).rip == UD_HANDLER + 1;
}

/* ---- hypercalls ------------------------------------------------------------------------ */

GUEST16(both_hypercalls, "vmcall\n vmmcall\n hlt");

static void a_hypercall_of_the_other_vendor_is_patched(void **state)
{
	struct fixture *f = *state;

	LOAD_GUEST(f, both_hypercalls);
	run_to(f, KVM_EXIT_HLT);
	assert_int_equal(get_regs(f).rip, FIXTURE_CODE + 7);
	assert_memory_equal(f->mem + FIXTURE_CODE, f->mem + FIXTURE_CODE + 3, 3);
}

static void without_the_quirk_it_is_undefined(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		enable_cap_errno(f->vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_FIX_HYPERCALL_INSN),
		0);
	LOAD_GUEST(f, both_hypercalls);
	catch_vector(f, 6);
	assert_true(halted_in_handler(f));
	assert_memory_equal(f->mem + FIXTURE_CODE, both_hypercalls_begin, 7);
}

GUEST16(unknown_hypercall, "xor %bx, %bx\n mov $0x7777, %eax\n"
			   "xchg %cx, %cx\n" /* the test puts the right instruction behind */
			   "nop\n nop\n nop\n hlt");

static void unknown_hypercalls_answer_enosys(void **state)
{
	struct fixture *f = *state;
	uint8_t *nops;

	LOAD_GUEST(f, both_hypercalls);
	run_to(f, KVM_EXIT_HLT);
	LOAD_GUEST(f, unknown_hypercall);
	nops = f->mem + FIXTURE_CODE + (size_t)(unknown_hypercall_end - unknown_hypercall_begin) -
	       4;
	memcpy(nops, both_hypercalls_begin, 3); /* either is right: it is patched */
	run_to(f, KVM_EXIT_HLT);
	assert_int_equal(get_regs(f).rax, (uint32_t)-KVM_ENOSYS);
}

/* ---- MONITOR and MWAIT ------------------------------------------------------- */

GUEST16(mwait, "xor %ecx, %ecx\n xor %edx, %edx\n xor %eax, %eax\n monitor\n mwait\n hlt");

static void mwait_is_a_nop_until_the_quirk_is_off(void **state)
{
	struct fixture *f = *state;

	set_supported_cpuid(f);
	LOAD_GUEST(f, mwait);
	catch_vector(f, 6);
	assert_false(halted_in_handler(f));
	assert_int_equal(enable_cap_errno(f->vm, KVM_CAP_DISABLE_QUIRKS2,
					  KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS |
						  KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT),
			 0);
	LOAD_GUEST(f, mwait);
	assert_true(halted_in_handler(f));
	assert_true(set_msr(f, MSR_IA32_MISC_ENABLE, MISC_ENABLE_MWAIT));
	LOAD_GUEST(f, mwait);
	assert_false(halted_in_handler(f));
}

/* ---- port 0x7e ----------------------------------------------------------------- */

GUEST16(out_7e, "out %al, $0x7e\n hlt");

static void rip_is_past_an_out_to_7e_until_the_quirk_is_off(void **state)
{
	struct fixture *f = *state;

	for (int quirk = 1; quirk >= 0; quirk--) {
		if (!quirk)
			assert_int_equal(enable_cap_errno(f->vm, KVM_CAP_DISABLE_QUIRKS2,
							  KVM_X86_QUIRK_OUT_7E_INC_RIP),
					 0);
		LOAD_GUEST(f, out_7e);
		run_to(f, KVM_EXIT_IO);
		assert_int_equal(f->run->io.port, 0x7e);
		assert_int_equal(f->run->io.count, 1);
		assert_int_equal(get_regs(f).rip, FIXTURE_CODE + (quirk ? 2 : 0));
		run_to(f, KVM_EXIT_HLT);
	}
}

/* ---- MSRs ----------------------------------------------------------------------- */

GUEST16(read_platform_info, "mov $0xce, %ecx\n rdmsr\n hlt");

static void platform_info_is_the_programs_to_set_and_hide(void **state)
{
	struct fixture *f = *state;

	catch_vector(f, 13);
	assert_true(set_msr(f, MSR_PLATFORM_INFO, 0x1234));
	LOAD_GUEST(f, read_platform_info);
	assert_false(halted_in_handler(f));
	assert_int_equal(get_regs(f).rax, 0x1234);
	assert_int_equal(enable_cap_errno(f->vm, KVM_CAP_MSR_PLATFORM_INFO, 0), 0);
	LOAD_GUEST(f, read_platform_info);
	assert_true(halted_in_handler(f));
}

GUEST16(write_platform_info, "mov $0xce, %ecx\n wrmsr\n hlt");

static void platform_info_is_read_only_for_the_guest(void **state)
{
	struct fixture *f = *state;

	catch_vector(f, 13);
	LOAD_GUEST(f, write_platform_info);
	assert_true(halted_in_handler(f));
}

/* ---- instructions that are not emulated ------------------------------------------ */

GUEST16(fld_device, "flds 0x10\n hlt");

static void load_fld(struct fixture *f)
{
	struct kvm_sregs sregs;

	LOAD_GUEST(f, fld_device);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.ds.base = 0x10000000;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &sregs), 0);
}

/* KVM has no emulation of x87 loads from devices: a program that needs one must see it here too. */
static void x87_loads_from_devices_fail(void **state)
{
	struct fixture *f = *state;

	catch_vector(f, 6);
	load_fld(f);
	run_to(f, KVM_EXIT_INTERNAL_ERROR);
	assert_int_equal(f->run->emulation_failure.suberror, KVM_INTERNAL_ERROR_EMULATION);
	assert_memory_equal(f->run->emulation_failure.insn_bytes, fld_device_begin, 4);
	/* Who goes on all the same has the guest get an exception. */
	assert_true(halted_in_handler(f));

	assert_int_equal(enable_cap_errno(f->vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 2), EINVAL);
	assert_int_equal(enable_cap_errno(f->vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1), 0);
	load_fld(f);
	run_to(f, KVM_EXIT_INTERNAL_ERROR);
	run_to(f, KVM_EXIT_INTERNAL_ERROR);
}

/* ---- debugging ------------------------------------------------------------------ */

GUEST16(just_halt, "hlt");

static void an_injected_exception_reaches_the_guest_once(void **state)
{
	struct fixture *f = *state;
	struct kvm_guest_debug debug = {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_BP};
	int controls = ioctl(f->sys, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2);

	assert_true(controls & KVM_GUESTDBG_INJECT_BP);
	catch_vector(f, 3);
	LOAD_GUEST(f, just_halt);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_GUEST_DEBUG, &debug), 0);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_GUEST_DEBUG, &debug), EBUSY);
	assert_true(halted_in_handler(f));
	LOAD_GUEST(f, just_halt);
	assert_false(halted_in_handler(f));
}

/* ---- refusals ------------------------------------------------------------------- */

static void unknown_quirks_are_refused(void **state)
{
	const struct fixture *f = *state;
	int known = ioctl(f->sys, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);

	assert_true(known > 0);
	assert_int_equal(enable_cap_errno(f->vm, KVM_CAP_DISABLE_QUIRKS2, (uint64_t)known), 0);
	assert_int_equal(enable_cap_errno(f->vm, KVM_CAP_DISABLE_QUIRKS2, 1ull << 40), EINVAL);
	assert_int_equal(enable_cap_errno(f->vm, KVM_CAP_DISABLE_QUIRKS, 0), 0);
}

static void boot_cpu_must_be_a_possible_id(void **state)
{
	const struct fixture *f = *state;
	int vm = ioctl(f->sys, KVM_CREATE_VM, 0);
	unsigned long max = (unsigned long)ioctl(f->sys, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID);

	assert_int_equal(ioctl_errno(vm, KVM_SET_BOOT_CPU_ID, (void *)(max + 1)), EINVAL);
	assert_int_equal(ioctl_errno(vm, KVM_SET_BOOT_CPU_ID, (void *)(1ul << 32)), EINVAL);
	assert_int_equal(ioctl_errno(vm, KVM_SET_BOOT_CPU_ID, (void *)2), 0);
	assert_int_equal(enable_cap_errno(vm, KVM_CAP_MAX_VCPU_ID, 1), EINVAL);
	assert_int_equal(enable_cap_errno(vm, KVM_CAP_MAX_VCPU_ID, 2), 0);
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_BOOT_CPU_ID, NULL), EBUSY);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_hypercall_of_the_other_vendor_is_patched),
		TEST(without_the_quirk_it_is_undefined),
		TEST(unknown_hypercalls_answer_enosys),
		TEST(mwait_is_a_nop_until_the_quirk_is_off),
		TEST(rip_is_past_an_out_to_7e_until_the_quirk_is_off),
		TEST(platform_info_is_the_programs_to_set_and_hide),
		TEST(platform_info_is_read_only_for_the_guest),
		TEST(x87_loads_from_devices_fail),
		TEST(an_injected_exception_reaches_the_guest_once),
		TEST(unknown_quirks_are_refused),
		TEST(boot_cpu_must_be_a_possible_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
