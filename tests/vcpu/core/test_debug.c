// SPDX-License-Identifier: BSD-2-Clause
/* Breakpoints in the guest's own debug registers, and of a debugger outside. */
#include "tests/vcpu/core/guest_vm.h"
#include "vcpu/x86/debug.h"

#define HANDLER_GPA 0x11000
#define DATA_GPA    0x300000ull
#define LOG_GPA	    0x310000ull /* RIPs at which the handler was called */

/* Logs RIP and clears DR6; sets RF in the image if R15 says so. */
GUEST(handler, "64",
      "push %rax\n"
      "mov 8(%rsp), %rax\n mov %rax, (%r14)\n add $8, %r14\n"
      "mov %dr6, %rax\n mov %rax, (%r14)\n add $8, %r14\n"
      "xor %eax, %eax\n mov %rax, %dr6\n"
      "test %r15, %r15\n jz 1f\n orl $0x10000, 24(%rsp)\n"
      "1: pop %rax\n iretq");

static int setup(void **state)
{
	struct guest_vm *vm = guest_vm_new();

	memcpy(vm->memory + HANDLER_GPA, handler_begin, (size_t)(handler_end - handler_begin));
	*state = vm;
	return 0;
}

static int teardown(void **state)
{
	guest_vm_free(*state);
	return 0;
}

static void load(struct guest_vm *vm, const char *begin, const char *end)
{
	guest_long(vm, begin, end);
	guest_gate(vm, X86_DB, HANDLER_GPA, 0x8e);
	vm->cpu->regs[X86_R14] = LOG_GPA;
}

/* Breakpoint @n: @kind and @len as DR7 has them. */
static void set_breakpoint(struct guest_vm *vm, unsigned int n, u64 addr, u64 kind, u64 len)
{
	vm->cpu->dr[n] = addr;
	vm->cpu->dr[7] |= 2ull << (2 * n) | kind << (16 + 4 * n) | len << (18 + 4 * n);
	x86_debug_changed(vm->cpu);
}

static unsigned int logged(const struct guest_vm *vm)
{
	return (unsigned int)(vm->cpu->regs[X86_R14] - LOG_GPA) / 16;
}

/* The n-th call of the handler. */
static void expect_log(struct guest_vm *vm, unsigned int n, u64 rip, u64 dr6)
{
	assert_int_equal(*guest_u64(vm, LOG_GPA + n * 16), rip);
	assert_int_equal(*guest_u64(vm, LOG_GPA + n * 16 + 8), dr6 | X86_DR6_FIXED);
}

/* ---- instruction breakpoints -------------------------------------------------------------- */

/* RF from the handler's image lets the instruction run; the loop meets it again. */
GUEST(loop, "64", "mov $3, %ecx\n mov $1, %r15d\n here: inc %rbx\n dec %ecx\n jnz here\n hlt");
#define HERE (CODE_GPA + 11)

static void a_fetch_breakpoint_is_a_fault_each_time(void **state)
{
	struct guest_vm *vm = *state;

	load(vm, loop_begin, loop_end);
	set_breakpoint(vm, 1, HERE, 0, 0);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(logged(vm), 3);
	for (unsigned int i = 0; i < 3; i++)
		expect_log(vm, i, HERE, 2);
	assert_int_equal(vm->cpu->regs[X86_RBX], 3);
}

static void a_disabled_breakpoint_is_none(void **state)
{
	struct guest_vm *vm = *state;

	load(vm, loop_begin, loop_end);
	set_breakpoint(vm, 1, HERE, 0, 0);
	vm->cpu->dr[7] &= ~0xffull;
	x86_debug_changed(vm->cpu);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(logged(vm), 0);
}

static void only_the_first_byte_counts(void **state)
{
	struct guest_vm *vm = *state;

	load(vm, loop_begin, loop_end);
	set_breakpoint(vm, 0, HERE + 1, 0, 0);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(logged(vm), 0);
}

/* ---- data breakpoints ----------------------------------------------------------------------- */

GUEST(touches, "64",
      "mov $0x300000, %esi\n" /*  0: 5 bytes */
      "mov (%rsi), %eax\n"    /*  5: 2 */
      "movb $1, 3(%rsi)\n"    /*  7: 4 */
      "movb $1, 4(%rsi)\n"    /* 11: 4, beside it */
      "lock incl (%rsi)\n"    /* 15: 3 */
      "movq $0, -6(%rsi)\n"   /* 18: 8, overlaps two bytes */
      "hlt");

static void write_breakpoints_trap_after_writes(void **state)
{
	struct guest_vm *vm = *state;

	load(vm, touches_begin, touches_end);
	set_breakpoint(vm, 2, DATA_GPA, 1, 3);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(logged(vm), 3);
	expect_log(vm, 0, CODE_GPA + 11, 4);
	expect_log(vm, 1, CODE_GPA + 18, 4);
	expect_log(vm, 2, CODE_GPA + 26, 4);
}

static void access_breakpoints_trap_after_reads_too(void **state)
{
	struct guest_vm *vm = *state;

	load(vm, touches_begin, touches_end);
	set_breakpoint(vm, 3, DATA_GPA, 3, 3);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(logged(vm), 4);
	expect_log(vm, 0, CODE_GPA + 7, 8);
}

/* The length aligns the address: 0x300003 with length 2 is 0x300002. */
static void lengths_align_addresses(void **state)
{
	struct guest_vm *vm = *state;

	load(vm, touches_begin, touches_end);
	set_breakpoint(vm, 0, DATA_GPA + 3, 1, 1);
	guest_run_to(vm, X86_EXIT_HLT);
	/* The byte at 3; the four of the increment reach it; the last eight end before. */
	assert_int_equal(logged(vm), 2);
}

static void two_breakpoints_are_one_exception(void **state)
{
	struct guest_vm *vm = *state;

	load(vm, touches_begin, touches_end);
	set_breakpoint(vm, 0, DATA_GPA + 4, 1, 0);
	set_breakpoint(vm, 1, DATA_GPA + 4, 3, 3);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(logged(vm), 1);
	expect_log(vm, 0, CODE_GPA + 15, 3);
}

GUEST(rep_store, "64", "mov $0x2ff800, %edi\n mov $0x1000, %ecx\n mov $7, %al\n rep stosb\n hlt");

static void string_stores_are_noticed(void **state)
{
	struct guest_vm *vm = *state;

	load(vm, rep_store_begin, rep_store_end);
	set_breakpoint(vm, 0, DATA_GPA + 0x40, 1, 0);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_true(logged(vm) >= 1);
	assert_int_equal(vm->memory[DATA_GPA + 0x7ff], 7);
	assert_int_equal(vm->cpu->regs[X86_RCX], 0);
}

/* ---- ports and the registers themselves ------------------------------------------------- */

GUEST(ports, "64",
      "mov %cr4, %rax\n or $8, %eax\n mov %rax, %cr4\n out %al, $0x80\n in $0x81, %al\n hlt");

static void port_breakpoints_need_cr4_de(void **state)
{
	struct guest_vm *vm = *state;

	load(vm, ports_begin, ports_end);
	set_breakpoint(vm, 0, 0x81, 2, 0);
	guest_run_to(vm, X86_EXIT_IO);
	guest_run_to(vm, X86_EXIT_IO);
	assert_int_equal(logged(vm), 0);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(logged(vm), 1);
	expect_log(vm, 0, CODE_GPA + (u64)(ports_end - ports_begin) - 1, 1);
}

GUEST(detect, "64",
      "mov %dr7, %rax\n or $0x2000, %eax\n mov %rax, %dr7\n here_gd: mov %dr0, %rax\n hlt");

static void general_detect_guards_the_registers(void **state)
{
	struct guest_vm *vm = *state;

	load(vm, detect_begin, detect_end);
	guest_run_to(vm, X86_EXIT_HLT);
	/* The exception clears the bit, and the instruction runs after all. */
	assert_int_equal(logged(vm), 1);
	expect_log(vm, 0, CODE_GPA + 11, X86_DR6_BD);
}

/* ---- a debugger outside ----------------------------------------------------------------- */

static void expect_debug_exit(struct guest_vm *vm, u8 exception, u64 pc, u64 dr6)
{
	const struct x86_debug_exit *exit = &vm->cpu->debug.exit;

	guest_run_to(vm, X86_EXIT_DEBUG);
	assert_int_equal(exit->exception, exception);
	assert_int_equal(exit->pc, pc);
	assert_int_equal(exit->dr6, dr6 | X86_DR6_FIXED);
}

static void stepping_from_outside(void **state)
{
	struct guest_vm *vm = *state;

	load(vm, loop_begin, loop_end);
	vm->cpu->debug.control = X86_DEBUG_STEP;
	expect_debug_exit(vm, X86_DB, CODE_GPA + 5, X86_DR6_BS);
	expect_debug_exit(vm, X86_DB, HERE, X86_DR6_BS);
	for (int i = 0; i < 3; i++) {
		expect_debug_exit(vm, X86_DB, HERE + 3, X86_DR6_BS);
		expect_debug_exit(vm, X86_DB, HERE + 5, X86_DR6_BS);
		expect_debug_exit(vm, X86_DB, i < 2 ? HERE : HERE + 7, X86_DR6_BS);
	}
	vm->cpu->debug.control = 0;
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RBX], 3);
	assert_int_equal(vm->cpu->dr[6], X86_DR6_FIXED); /* the guest's own are untouched */
}

static void its_registers_take_the_place_of_the_guests(void **state)
{
	struct guest_vm *vm = *state;

	load(vm, loop_begin, loop_end);
	set_breakpoint(vm, 1, HERE, 0, 0);
	vm->cpu->debug.control = X86_DEBUG_HW_BP;
	vm->cpu->debug.dr[2] = HERE + 3;
	vm->cpu->debug.dr7 = 0x400 | 1 << 4;
	x86_debug_changed(vm->cpu);
	expect_debug_exit(vm, X86_DB, HERE + 3, 4);
	vm->cpu->debug.control = 0;
	x86_debug_changed(vm->cpu);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(logged(vm), 2);
}

GUEST(breaks, "64", "nop\n int3\n int1\n hlt");

static void int3_ends_the_run_where_it_stands(void **state)
{
	struct guest_vm *vm = *state;

	load(vm, breaks_begin, breaks_end);
	vm->cpu->debug.control = X86_DEBUG_SW_BP | X86_DEBUG_HW_BP;
	expect_debug_exit(vm, X86_BP, CODE_GPA + 1, 0);
	assert_int_equal(vm->cpu->regs[X86_REG_RIP], CODE_GPA + 1);
	vm->cpu->regs[X86_REG_RIP]++;
	expect_debug_exit(vm, X86_DB, CODE_GPA + 3, 0);
	guest_run_to(vm, X86_EXIT_HLT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_fetch_breakpoint_is_a_fault_each_time),
		T(a_disabled_breakpoint_is_none),
		T(only_the_first_byte_counts),
		T(write_breakpoints_trap_after_writes),
		T(access_breakpoints_trap_after_reads_too),
		T(lengths_align_addresses),
		T(two_breakpoints_are_one_exception),
		T(string_stores_are_noticed),
		T(port_breakpoints_need_cr4_de),
		T(general_detect_guards_the_registers),
		T(stepping_from_outside),
		T(its_registers_take_the_place_of_the_guests),
		T(int3_ends_the_run_where_it_stands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
