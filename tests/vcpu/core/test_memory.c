// SPDX-License-Identifier: BSD-2-Clause
/* Memory as guests see it: page crossings, devices, code that changes, memory that goes away. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pgtable/instance/ept.h"
#include "tests/vcpu/core/guest_vm.h"

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

GUEST(crossing, "64",
      "movabs $0x8877665544332211, %rax\n mov $1, %ecx\n"
      "1: lea 0x201000(%rcx), %rdi\n sub $8, %rdi\n mov %rax, (%rdi)\n mov (%rdi), %rbx\n"
      "cmp %rax, %rbx\n jne 2f\n lock addq $1, (%rdi)\n sub $1, %rbx\n cmp %rax, %rbx\n"
      "mov $0x201000, %edx\n inc %ecx\n cmp $8, %ecx\n jb 1b\n 2: hlt");

static void accesses_cross_pages(void **state)
{
	struct guest_vm *vm = *state;
	u64 value;

	guest_long(vm, crossing_begin, crossing_end);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RCX], 8);
	memcpy(&value, vm->memory + 0x201000 - 1, 8);
	assert_true(value == 0x8877665544332212);
}

/* ---- devices ------------------------------------------------------------------------ */

static u64 frag_value(const struct x86_mmio_frag *frag)
{
	u64 value = 0;

	memcpy(&value, frag->data, frag->len);
	return value;
}

static struct x86_mmio_frag *next_frag(struct guest_vm *vm, gpa_t gpa, u8 len, bool is_write)
{
	struct x86_mmio_frag *frag;

	guest_run_to(vm, X86_EXIT_MMIO);
	assert_true(vm->cpu->mmio.pending);
	frag = &vm->cpu->mmio.frag[vm->cpu->mmio.done];
	assert_int_equal(frag->gpa, gpa);
	assert_int_equal(frag->len, len);
	assert_int_equal(frag->is_write, is_write);
	return frag;
}

GUEST(mmio, "64",
      "mov $0x10000000, %edi\n"
      "mov %al, 1(%rdi)\n mov %ax, 2(%rdi)\n mov %eax, 4(%rdi)\n mov %rax, 8(%rdi)\n"
      "mov 1(%rdi), %bl\n mov 2(%rdi), %cx\n mov 4(%rdi), %edx\n mov 8(%rdi), %rsi\n"
      "hlt");

static void device_accesses_of_each_width(void **state)
{
	static const u8 lens[] = {1, 2, 4, 8};
	struct guest_vm *vm = *state;
	const u64 value = 0x1122334455667788;

	guest_long(vm, mmio_begin, mmio_end);
	vm->cpu->regs[X86_RAX] = value;
	for (unsigned int i = 0; i < 4; i++)
		assert_true(frag_value(next_frag(vm, MMIO_GPA + lens[i], lens[i], true)) ==
			    (value & (~0ull >> (64 - 8 * lens[i]))));
	for (unsigned int i = 0; i < 4; i++)
		memset(next_frag(vm, MMIO_GPA + lens[i], lens[i], false)->data, 0xa1 + (int)i, 8);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RBX], 0xa1);
	assert_int_equal(vm->cpu->regs[X86_RCX], 0xa2a2);
	assert_int_equal(vm->cpu->regs[X86_RDX], 0xa3a3a3a3);
	assert_true(vm->cpu->regs[X86_RSI] == 0xa4a4a4a4a4a4a4a4);
}

GUEST(mmio_rmw, "64", "mov $0x10000000, %edi\n addl $5, (%rdi)\n addl $5, (%rdi)\n hlt");

static void device_read_modify_write_asks_each_time(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, mmio_rmw_begin, mmio_rmw_end);
	for (u32 i = 0; i < 2; i++) {
		u32 old = 10 + i;

		memcpy(next_frag(vm, MMIO_GPA, 4, false)->data, &old, 4);
		assert_int_equal(frag_value(next_frag(vm, MMIO_GPA, 4, true)), old + 5);
	}
	guest_run_to(vm, X86_EXIT_HLT);
}

GUEST(mmio_movs, "64",
      "mov $0x10000000, %esi\n mov $0x10000800, %edi\n mov $3, %ecx\n rep movsl\n hlt");

/* Both sides are devices: read and write for each element, registers move with them. */
static void string_moves_between_devices(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, mmio_movs_begin, mmio_movs_end);
	for (u32 i = 0; i < 3; i++) {
		u32 value = 0x100 + i;

		memcpy(next_frag(vm, MMIO_GPA + i * 4, 4, false)->data, &value, 4);
		assert_int_equal(vm->cpu->regs[X86_RCX], 3 - i);
		assert_int_equal(frag_value(next_frag(vm, MMIO_GPA + 0x800 + i * 4, 4, true)),
				 value);
	}
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RCX], 0);
}

/* The slot ends at 32 MiB: half of the access is memory, half a device. */
GUEST(half, "64", "mov $0x2000000 - 3, %edi\n mov %rax, (%rdi)\n mov (%rdi), %rbx\n hlt");

static void access_with_one_side_device(void **state)
{
	struct guest_vm *vm = *state;
	const u64 value = 0x1122334455667788;

	guest_long(vm, half_begin, half_end);
	vm->cpu->regs[X86_RAX] = value;
	assert_true(frag_value(next_frag(vm, GUEST_BYTES, 5, true)) == value >> 24);
	memcpy(next_frag(vm, GUEST_BYTES, 5, false)->data, &(u64){value >> 24}, 5);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_true(vm->cpu->regs[X86_RBX] == value);
	assert_memory_equal(vm->memory + GUEST_BYTES - 3, &value, 3);
}

GUEST(mmio_then_moved, "64", "mov 0x10000000, %eax\n hlt\n mov $7, %ebx\n hlt");

static void answer_is_dropped_when_rip_moves(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, mmio_then_moved_begin, mmio_then_moved_end);
	(void)next_frag(vm, MMIO_GPA, 4, false);
	vm->cpu->regs[X86_REG_RIP] += 8; /* behind the first HLT */
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RBX], 7);
	assert_int_equal(vm->cpu->regs[X86_RAX], 0);
}

/* ---- code that changes ------------------------------------------------------------------ */

/* The immediate of the MOV right behind the store changes each time round. */
GUEST(smc, "64",
      "xor %ebx, %ebx\n mov $10, %ecx\n"
      "1: mov %cl, 2f+1-smc_begin+0x10000\n"
      "2: mov $0, %al\n movzbl %al, %eax\n add %eax, %ebx\n dec %ecx\n jnz 1b\n hlt");

static void code_changed_by_itself_is_exact(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, smc_begin, smc_end);
	/* The label arithmetic gives "mov $0, %al" at 2: with its immediate one byte in. */
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RBX], 55);
}

GUEST(patched, "64", "1: mov $1, %eax\n hlt\n jmp 1b");

/* User space writes guest code between two runs. */
static void code_changed_by_the_program_is_seen(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, patched_begin, patched_end);
	for (u8 i = 1; i < 5; i++) {
		vm->memory[CODE_GPA + 1] = (char)i;
		guest_run_to(vm, X86_EXIT_HLT);
		assert_int_equal(vm->cpu->regs[X86_RAX], i);
	}
}

/* The same bytes at another address, and an instruction across two pages. */
GUEST(split_insn, "64", "movabs $0x1122334455667788, %rax\n hlt");

static void instructions_cross_pages(void **state)
{
	struct guest_vm *vm = *state;

	for (unsigned int before = 1; before < 10; before++) {
		guest_long(vm, split_insn_begin, split_insn_end);
		memcpy(vm->memory + 0x12000 - before, split_insn_begin,
		       (size_t)(split_insn_end - split_insn_begin));
		vm->cpu->regs[X86_RAX] = 0;
		vm->cpu->regs[X86_REG_RIP] = 0x12000 - before;
		guest_run_to(vm, X86_EXIT_HLT);
		assert_true(vm->cpu->regs[X86_RAX] == 0x1122334455667788);
	}
}

/* ---- hostile guests ------------------------------------------------------------------------ */

GUEST(jump_away, "64", "jmp *%rax");

static void jumps_to_nowhere_end_in_exits(void **state)
{
	static const u64 targets[] = {0x40000000, 0x8000000000000000, 0xffffffffffffffff,
				      0x3ffffff0};
	struct guest_vm *vm = *state;

	for (unsigned int i = 0; i < 4; i++) {
		guest_long(vm, jump_away_begin, jump_away_end);
		vm->cpu->idt.limit = 0;
		vm->cpu->regs[X86_RAX] = targets[i];
		/* 0x3ffffff0 is mapped, but there is no memory to fetch from. */
		guest_run_to(vm, i == 3 ? X86_EXIT_EMULATION : X86_EXIT_SHUTDOWN);
	}
}

static void garbage_tables_end_in_exits(void **state)
{
	struct guest_vm *vm = *state;
	u64 seed = 0x1234567, x = seed;

	print_message("seed %llx\n", (unsigned long long)seed);
	for (unsigned int round = 0; round < 200; round++) {
		enum x86_exit exit;

		guest_long(vm, jump_away_begin, jump_away_end);
		for (u64 i = 0; i < 3 * 512; i++) {
			x = x * 6364136223846793005ull + 1442695040888963407ull;
			*guest_u64(vm, PML4_GPA + i * 8) = x >> (round % 40);
		}
		x86_cpu_state_changed(vm->cpu);
		vm->cpu->idt.limit = 0;
		exit = x86_cpu_run(vm->cpu, false);
		assert_true(exit == X86_EXIT_SHUTDOWN || exit == X86_EXIT_EMULATION ||
			    exit == X86_EXIT_MMIO || exit == X86_EXIT_FAULT);
	}
}

GUEST(reader, "64", "mov $0x400000, %edi\n mov (%rdi), %rax\n hlt");

/* munmap that nobody announced: SIGSEGV in guest mode becomes -EFAULT. */
static void memory_gone_is_an_error_not_a_crash(void **state)
{
	struct guest_vm *vm = *state;

	guest_long(vm, reader_begin, reader_end);
	*guest_u64(vm, 0x400000) = 42;
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RAX], 42);
	assert_int_equal(mprotect(vm->memory + 0x400000, 4096, PROT_NONE), 0);
	vm->cpu->regs[X86_REG_RIP] = CODE_GPA;
	guest_run_to(vm, X86_EXIT_FAULT);
	assert_int_equal(vm->cpu->exit_errno, -EFAULT);
	assert_int_equal(vm->cpu->regs[X86_REG_RIP], CODE_GPA + 5);
	assert_int_equal(mprotect(vm->memory + 0x400000, 4096, PROT_READ | PROT_WRITE), 0);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(vm->cpu->regs[X86_RAX], 42);
}

#ifdef KVMU_DEBUG
/* ---- the oracle of stale translations --------------------------------------------------- */

GUEST(read_and_halt, "64", "1: mov 0x400000, %eax\n hlt\n jmp 1b");

/* How a process ends in which the guest goes on, its page taken away behind its back or not. */
static int end_of_process(struct guest_vm *vm, bool taken_away)
{
	const pid_t child = fork();
	struct kvm_pgtable_leaf leaf;
	int status;

	if (!child) {
		signal(SIGABRT, SIG_DFL);
		if (ept_get_leaf(&vm->kvm.pgt[0], 0x400000, &leaf) != 0 || !leaf.present)
			_exit(2);
		if (taken_away)
			*leaf.ptep = 0; /* and nobody is told */
		for (int run = 0; run < 1000; run++) {
			if (x86_cpu_run(vm->cpu, false) != X86_EXIT_HLT)
				_exit(1);
		}
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void a_stale_translation_is_found(void **state)
{
	struct guest_vm *vm = *state;
	int status;

	guest_long(vm, read_and_halt_begin, read_and_halt_end);
	guest_run_to(vm, X86_EXIT_HLT);
	assert_int_equal(end_of_process(vm, false), 0);
	status = end_of_process(vm, true);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
#endif

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(accesses_cross_pages),
		T(device_accesses_of_each_width),
		T(device_read_modify_write_asks_each_time),
		T(string_moves_between_devices),
		T(access_with_one_side_device),
		T(answer_is_dropped_when_rip_moves),
		T(code_changed_by_itself_is_exact),
		T(code_changed_by_the_program_is_seen),
		T(instructions_cross_pages),
		T(jumps_to_nowhere_end_in_exits),
		T(garbage_tables_end_in_exits),
		T(memory_gone_is_an_error_not_a_crash),
#ifdef KVMU_DEBUG
		T(a_stale_translation_is_found),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
