// SPDX-License-Identifier: BSD-2-Clause
/* Guests in each mode: starting, mode changes, events, rings. */
#include "tests/vcpu/core/guest_vm.h"

#include <signal.h>
#include <unistd.h>

static int setup(void **state)
{
	*state = guest_vm_new();
	return 0;
}

static int teardown(void **state)
{
	guest_vm_free(*state);
	return 0;
}

GUEST(hello, "16",
      "mov $0x3f8, %dx\n mov $'h', %al\n out %al, %dx\n mov $'i', %al\n out %al, %dx\n hlt");

static void real_mode_writes_ports_and_halts(void **state)
{
	struct guest_vm *vm = *state;

	guest_real(vm, hello_begin, hello_end);
	for (const char *c = "hi"; *c; c++) {
		guest_run_to(vm, X86_EXIT_IO);
		assert_int_equal(vm->cpu->pio.port, 0x3f8);
		assert_int_equal(vm->cpu->pio.data[0], *c);
		assert_int_equal(vm->cpu->pio.count, 1);
	}
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_REG_RIP], hello_end - hello_begin);
	assert_int_equal(vm->cpu->instructions, 6);
}

GUEST(real_int, "16",
      "movw $handler - real_int_begin, 0x80*4\n movw $0x1000, 0x80*4+2\n"
      "mov $1, %ax\n int $0x80\n add $1, %ax\n hlt\n"
      "handler: add $16, %ax\n iret");

static void real_mode_interrupts_return(void **state)
{
	struct guest_vm *vm = *state;

	guest_real(vm, real_int_begin, real_int_end);
	vm->cpu->idt = (struct x86_dtable){0, 0x3ff};
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RAX], 18);
	assert_int_equal(vm->cpu->regs[X86_RSP], 0x8000);
	assert_int_equal(vm->cpu->instructions, 8);
}

GUEST(to_long, "32",
      "mov $0x20, %eax\n mov %eax, %cr4\n"
      "mov $0x4000, %eax\n mov %eax, %cr3\n"
      "mov $0xc0000080, %ecx\n rdmsr\n or $0x100, %eax\n wrmsr\n"
      "mov %cr0, %eax\n or $0x80000000, %eax\n mov %eax, %cr0\n"
      "ljmp $8, $0x10000 + (in_long - to_long_begin)\n"
      ".code64\n in_long: movabs $0x1122334455667788, %rax\n push %rax\n pop %rbx\n hlt");

static void protected_mode_enters_long_mode(void **state)
{
	struct guest_vm *vm = *state;

	guest_protected(vm, to_long_begin, to_long_end);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_true(vm->cpu->regs[X86_RBX] == 0x1122334455667788);
	assert_true(vm->cpu->efer & X86_EFER_LMA);
	assert_true(vm->cpu->mode & X86_MODE_CS64);
}

GUEST(sum, "64", "xor %eax, %eax\n mov $1000, %ecx\n 1: add %rcx, %rax\n dec %ecx\n jnz 1b\n hlt");

static void long_mode_computes(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, sum_begin, sum_end);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RAX], 500500);
	/* Exact, page faults and their retries on the way notwithstanding. */
	assert_int_equal(vm->cpu->instructions, 2 + 3 * 1000 + 1);
}

GUEST(bad, "64", "mov 0x40000000, %eax\n hlt");

static void fault_without_table_shuts_down(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, bad_begin, bad_end);
	vm->cpu->idt.limit = 0;
	guest_run_to(vm, X86_EXIT_SHUTDOWN);
}

GUEST(pf_handler, "64", "pop %rax\n mov %cr2, %rbx\n hlt");
GUEST(touch, "64",
      "mov $0x40000000, %edi\n testb %sil, %sil\n jnz 1f\n mov (%rdi), %eax\n"
      "1: mov %eax, (%rdi)\n hlt");

static void page_fault_is_delivered(void **state)
{
	struct guest_vm *vm = *state;

	for (u64 write = 0; write < 2; write++) {
		guest_long(vm, touch_begin, touch_end);
		memcpy(vm->memory + 0x11000, pf_handler_begin,
		       (size_t)(pf_handler_end - pf_handler_begin));
		guest_gate(vm, X86_PF, 0x11000, 0x8e);
		vm->cpu->regs[X86_RSI] = write;
		guest_run_to(vm, X86_EXIT_HLT);
		assert_int_equal(vm->cpu->regs[X86_RAX], write ? 2 : 0);
		assert_int_equal(vm->cpu->regs[X86_RBX], 0x40000000);
		assert_int_equal(vm->cpu->regs[X86_RSP], (STACK_GPA & ~15ull) - 5 * 8);
	}
}

/* Ring 3 and back: iretq down, int 0x80 up, with the stack from the TSS. */
GUEST(rings, "64",
      "push $0x1b\n push $0x70000\n push $0x202\n push $0x23\n"
      "push $0x10000 + (ring3 - rings_begin)\n iretq\n"
      "ring3: mov %cs, %eax\n mov %rsp, %rbx\n int $0x80\n 1: jmp 1b");
GUEST(ring_handler, "64", "mov %cs, %ecx\n mov (%rsp), %rdx\n mov 24(%rsp), %rsi\n hlt");

static void interrupt_gate_changes_rings(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, rings_begin, rings_end);
	memcpy(vm->memory + 0x11000, ring_handler_begin,
	       (size_t)(ring_handler_end - ring_handler_begin));
	guest_gate(vm, 0x80, 0x11000, 0xee);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RAX], 0x23);
	assert_int_equal(vm->cpu->regs[X86_RBX], 0x70000);
	assert_int_equal(vm->cpu->regs[X86_RCX], SEL_CODE64);
	assert_int_equal(vm->cpu->regs[X86_RSI], 0x70000);
	assert_int_equal(vm->cpu->regs[X86_RSP], STACK_GPA + 0x8000 - 40);
	assert_int_equal(vm->cpu->cpl, 0);
}

/* A gate of DPL 0 is not for ring 3: #GP with the gate's index. */
static void privileged_gate_is_refused(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, rings_begin, rings_end);
	memcpy(vm->memory + 0x11000, pf_handler_begin, (size_t)(pf_handler_end - pf_handler_begin));
	guest_gate(vm, 0x80, 0x11000, 0x8e);
	guest_gate(vm, X86_GP, 0x11000, 0x8e);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RAX], 0x80 * 8 + 2);
}

GUEST(stepped, "64",
      "pushf\n orl $0x100, (%rsp)\n popf\n nop\n nop\n mov $7, %ecx\n"
      "pushf\n andl $~0x100, (%rsp)\n popf\n hlt");
GUEST(step_handler, "64", "inc %rbx\n mov (%rsp), %rdx\n iretq");

static void trap_flag_steps_each_instruction(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, stepped_begin, stepped_end);
	memcpy(vm->memory + 0x11000, step_handler_begin,
	       (size_t)(step_handler_end - step_handler_begin));
	guest_gate(vm, X86_DB, 0x11000, 0x8e);
	guest_run_to(vm, X86_EXIT_HLT);
	/* nop, nop, mov, pushf, and, popf */
	assert_int_equal(vm->cpu->regs[X86_RBX], 6);
	assert_int_equal(vm->cpu->regs[X86_RCX], 7);
	assert_true(vm->cpu->dr[6] & (1u << 14));
}

GUEST(irq_wait, "64", "cli\n mov $0x80000, %esp\n sti\n nop\n 1: jmp 1b");

static void interrupt_waits_for_if_and_shadow(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, irq_wait_begin, irq_wait_end);
	memcpy(vm->memory + 0x11000, ring_handler_begin,
	       (size_t)(ring_handler_end - ring_handler_begin));
	guest_gate(vm, 0x30, 0x11000, 0x8e);
	vm->cpu->interrupt = (struct x86_event){.pending = true, .vector = 0x30};
	guest_run_to(vm, X86_EXIT_HLT);
	/* Not before the instruction after STI. */
	assert_int_equal(vm->cpu->regs[X86_RDX],
			 CODE_GPA + (u64)(irq_wait_end - irq_wait_begin) - 2);
}

GUEST(spin, "64", "1: jmp 1b");

static void pending_signal_ends_the_run(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, spin_begin, spin_end);
	guest_signal_pending = true;
	guest_run_to(vm, X86_EXIT_INTR);
	assert_int_equal(vm->cpu->regs[X86_REG_RIP], CODE_GPA);
}

static void note_alarm(int sig)
{
	(void)sig;
	guest_signal_pending = true;
}

GUEST(fault_storm, "16", "ud2");

/* Its handler is the same instruction: nothing ever retires. */
static void guest_that_only_faults_can_be_interrupted(void **state)
{
	struct guest_vm *vm = *state;
	u16 vector[2] = {0, CODE_GPA >> 4};

	guest_real(vm, fault_storm_begin, fault_storm_end);
	vm->cpu->idt = (struct x86_dtable){0, 0x3ff};
	memcpy(vm->memory + 4 * X86_UD, vector, sizeof(vector));
	/* The frames go round in a segment of their own. */
	vm->cpu->seg[X86_SS].selector = 0x2000;
	vm->cpu->seg[X86_SS].base = 0x20000;
	x86_cpu_state_changed(vm->cpu);
	signal(SIGALRM, note_alarm);
	ualarm(20000, 0);
	guest_run_to(vm, X86_EXIT_INTR);
	signal(SIGALRM, SIG_DFL);
	assert_int_equal(vm->cpu->instructions, 0);
}

GUEST(in_twice, "64", "mov $0x10, %edx\n in %dx, %al\n mov %eax, %ebx\n in %dx, %eax\n hlt");

static void immediate_exit_completes_the_access(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, in_twice_begin, in_twice_end);
	vm->cpu->regs[X86_RAX] = 0x1100;
	guest_run_to(vm, X86_EXIT_IO);
	assert_int_equal(vm->cpu->regs[X86_REG_RIP], CODE_GPA + 5);
	vm->cpu->pio.data[0] = 0x5a;
	assert_int_equal(x86_cpu_run(vm->cpu, true), X86_EXIT_INTR);
	assert_int_equal(vm->cpu->regs[X86_RAX], 0x115a);
	assert_int_equal(vm->cpu->regs[X86_REG_RIP], CODE_GPA + 6);
	assert_int_equal(x86_cpu_run(vm->cpu, true), X86_EXIT_INTR);
	assert_int_equal(vm->cpu->regs[X86_REG_RIP], CODE_GPA + 6);
	guest_run_to(vm, X86_EXIT_IO);
	memcpy(vm->cpu->pio.data, &(u32){0xcafebabe}, 4);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RBX], 0x115a);
	assert_int_equal(vm->cpu->regs[X86_RAX], 0xcafebabe);
}

GUEST(syscalls, "64",
      "mov $0x10000 + (entry - syscalls_begin), %eax\n xor %edx, %edx\n"
      "mov $0xc0000082, %ecx\n wrmsr\n"
      "mov $0xc0000081, %ecx\n mov $0x00100008, %edx\n xor %eax, %eax\n wrmsr\n"
      "mov $0x10000 + (user - syscalls_begin), %ecx\n mov $0x202, %r11d\n sysretq\n"
      "user: mov %cs, %ebx\n syscall\n"
      "entry: mov %cs, %esi\n mov %ss, %edi\n hlt");

static void syscall_and_sysret_change_rings(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, syscalls_begin, syscalls_end);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RBX], 0x23);
	assert_int_equal(vm->cpu->regs[X86_RSI], 0x08);
	assert_int_equal(vm->cpu->regs[X86_RDI], 0x10);
	assert_int_equal(vm->cpu->regs[X86_R11] & 0x202, 0x202);
}

GUEST(ud, "64", "ud2");
/* Zydis reads a POPCNT here, which one family of coprocessors had. */
GUEST(vex_popcnt, "64", ".byte 0xc5, 0xfa, 0xb8, 0xe5");

static void expect_ud(struct guest_vm *vm, const char *begin, const char *end)
{
	guest_long(vm, begin, end);
	memcpy(vm->memory + 0x11000, ring_handler_begin,
	       (size_t)(ring_handler_end - ring_handler_begin));
	guest_gate(vm, X86_UD, 0x11000, 0x8e);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RDX], CODE_GPA);
}

static void undefined_opcode_reaches_the_guest(void **state)
{
	expect_ud(*state, ud_begin, ud_end);
}

static void foreign_encoding_is_undefined(void **state)
{
	expect_ud(*state, vex_popcnt_begin, vex_popcnt_end);
}

/* Not an instruction until its second byte is another (LOCK NOP; LOCK INC): nothing of it may stay.
 */
static void undefined_opcode_can_be_mended(void **state)
{
	static const char bad[] = "\xf0\x90\xf4", good[] = "\xf0\xff\x06\xf4";
	struct guest_vm *vm = *state;

	expect_ud(vm, bad, bad + 3);
	vm->cpu->regs[X86_RSI] = FREE_GPA;
	guest_long(vm, good, good + 4);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(*guest_u64(vm, FREE_GPA), 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(real_mode_writes_ports_and_halts),
		T(real_mode_interrupts_return),
		T(protected_mode_enters_long_mode),
		T(long_mode_computes),
		T(fault_without_table_shuts_down),
		T(page_fault_is_delivered),
		T(interrupt_gate_changes_rings),
		T(privileged_gate_is_refused),
		T(trap_flag_steps_each_instruction),
		T(interrupt_waits_for_if_and_shadow),
		T(guest_that_only_faults_can_be_interrupted),
		T(pending_signal_ends_the_run),
		T(immediate_exit_completes_the_access),
		T(syscall_and_sysret_change_rings),
		T(undefined_opcode_reaches_the_guest),
		T(foreign_encoding_is_undefined),
		T(undefined_opcode_can_be_mended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
