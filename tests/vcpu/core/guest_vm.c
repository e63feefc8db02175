// SPDX-License-Identifier: BSD-2-Clause
#include "tests/vcpu/core/guest_vm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

bool guest_signal_pending;

bool x86_cpu_host_pending(struct x86_cpu *cpu)
{
	(void)cpu;
	return guest_signal_pending;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	x86_cpu_host_fault(ptr_to_hva(info->si_addr));
	signal(sig, SIG_DFL);
}

static void install_handler(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};

	assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
	assert_int_equal(sigaction(SIGBUS, &action, NULL), 0);
}

u64 *guest_u64(struct guest_vm *vm, gpa_t gpa)
{
	return (u64 *)(void *)(vm->memory + gpa);
}

static void write_tables(struct guest_vm *vm)
{
	static const u64 gdt[] = {
		0,
		0x00af9b000000ffff, /* 64-bit code */
		0x00cf93000000ffff, /* data */
		0x00cff3000000ffff, /* user data */
		0x00affb000000ffff, /* user 64-bit code */
		0x00cf9b000000ffff, /* 32-bit code */
		0x00cffb000000ffff, /* user 32-bit code */
	};

	memcpy(vm->memory + GDT_GPA, gdt, sizeof(gdt));
	*guest_u64(vm, GDT_GPA + SEL_TSS) = 0x0000890000000067 | TSS_GPA << 16;
	/* RSP0, or ESP0 */
	memcpy(vm->memory + TSS_GPA + 4, &(u64){STACK_GPA + 0x8000}, 8);
	*guest_u64(vm, PML4_GPA) = (PML4_GPA + 0x1000) | 7;
	*guest_u64(vm, PML4_GPA + 0x1000) = (PML4_GPA + 0x2000) | 7;
	for (u64 i = 0; i < 512; i++)
		*guest_u64(vm, PML4_GPA + 0x2000 + i * 8) = (i << 21) | 0x87;
}

struct guest_vm *guest_vm_new(void)
{
	struct guest_vm *vm = aligned_alloc(_Alignof(struct guest_vm), sizeof(*vm));
	struct kvm_slot_request request = {.memory_size = GUEST_BYTES};
	static struct x86_cpuid_entry entries[X86_MAX_CPUID];

	assert_non_null(vm);
	memset(vm, 0, sizeof(*vm));
	vm->area = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(vm->area, MAP_FAILED);
	vm->memory = vm->area;
	vm->pio = calloc(1, X86_PIO_BYTES);
	assert_int_equal(kvm_mmu_init_vm(&vm->kvm), 0);
	assert_int_equal(x86_cpu_create(&vm->kvm, &vm->machine, 0, vm->pio, &vm->cpu), 0);
	assert_int_equal(x86_cpu_join(vm->cpu), 0);
	request.userspace_addr = ptr_to_hva(vm->memory);
	assert_int_equal(kvm_set_memory_region(&vm->kvm, &request), 0);
	vm->cpu->nr_cpuid = x86_supported_cpuid(entries, X86_MAX_CPUID);
	memcpy(vm->cpu->cpuid, entries, sizeof(entries));
	x86_cpuid_changed(vm->cpu);
	write_tables(vm);
	guest_signal_pending = false;
	return vm;
}

void guest_vm_free(struct guest_vm *vm)
{
	x86_cpu_destroy(vm->cpu);
	kvm_mmu_uninit_vm(&vm->kvm);
	munmap(vm->area, GUEST_BYTES);
	free(vm->pio);
	free(vm);
}

static void load_code(struct guest_vm *vm, const char *begin, const char *end)
{
	memcpy(vm->memory + CODE_GPA, begin, (size_t)(end - begin));
}

void guest_real(struct guest_vm *vm, const char *begin, const char *end)
{
	struct x86_cpu *cpu = vm->cpu;

	load_code(vm, begin, end);
	cpu->seg[X86_CS].selector = CODE_GPA >> 4;
	cpu->seg[X86_CS].base = CODE_GPA;
	cpu->regs[X86_REG_RIP] = 0;
	cpu->regs[X86_RSP] = 0x8000;
	x86_cpu_state_changed(cpu);
}

static struct x86_segment flat(u16 selector, u8 type, bool l)
{
	return (struct x86_segment){.limit = ~0u,
				    .selector = selector,
				    .type = type,
				    .s = true,
				    .present = true,
				    .l = l,
				    .db = !l,
				    .g = true,
				    .dpl = selector & 3};
}

static void common(struct guest_vm *vm, const char *begin, const char *end)
{
	struct x86_cpu *cpu = vm->cpu;

	load_code(vm, begin, end);
	for (unsigned int i = 0; i < X86_SEG_NONE; i++)
		cpu->seg[i] = flat(SEL_DATA, 3, false);
	cpu->gdt = (struct x86_dtable){GDT_GPA, SEL_TSS + 15};
	cpu->idt = (struct x86_dtable){IDT_GPA, 0xfff};
	cpu->seg[X86_TR] = (struct x86_segment){
		.base = TSS_GPA, .limit = 0x67, .selector = SEL_TSS, .type = 11, .present = true};
	cpu->regs[X86_REG_RIP] = CODE_GPA;
	cpu->regs[X86_RSP] = STACK_GPA;
	cpu->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP;
}

void guest_protected(struct guest_vm *vm, const char *begin, const char *end)
{
	common(vm, begin, end);
	vm->cpu->seg[X86_CS] = flat(SEL_CODE32, 11, false);
	x86_cpu_state_changed(vm->cpu);
}

void guest_long(struct guest_vm *vm, const char *begin, const char *end)
{
	struct x86_cpu *cpu = vm->cpu;

	common(vm, begin, end);
	cpu->seg[X86_CS] = flat(SEL_CODE64, 11, true);
	cpu->cr0 |= X86_CR0_PG;
	cpu->cr3 = PML4_GPA;
	cpu->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR;
	cpu->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE | X86_EFER_SCE;
	x86_cpu_state_changed(cpu);
}

void guest_run_to(struct guest_vm *vm, enum x86_exit exit)
{
	enum x86_exit got;

	install_handler(); /* cmocka has put in its own */
	got = x86_cpu_run(vm->cpu, false);

	if (got != exit)
		fprintf(stderr, "exit %d errno %d rip %llx cr2 %llx rsp %llx\n", (int)got,
			vm->cpu->exit_errno, (unsigned long long)vm->cpu->regs[X86_REG_RIP],
			(unsigned long long)vm->cpu->cr2,
			(unsigned long long)vm->cpu->regs[X86_RSP]);
	assert_int_equal(got, exit);
}

void guest_gate(struct guest_vm *vm, unsigned int vector, u64 offset, u8 type_dpl)
{
	u64 *gate = guest_u64(vm, IDT_GPA + vector * 16);

	gate[0] = (offset & 0xffff) | SEL_CODE64 << 16 | (u64)type_dpl << 40 |
		  (offset >> 16 & 0xffff) << 48;
	gate[1] = offset >> 32;
}
