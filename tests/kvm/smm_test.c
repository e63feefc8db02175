/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System management mode: SMIs, the second address space, RSM.
 *
 * A guest writes to port 0x10, its SMI handler to 0x12, what else happens to 0x20.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/kvm/kvm_fixture.h"

#define MSR_SMBASE    0x9e
#define MSR_SMI_COUNT 0x34
#define SMBASE	      0x30000ul /* after reset */
#define SMRAM_BYTES   0x20000ul
#define SMRAM_SLOT    0x10001
#define HANDLER	      0x8000
#define VECTOR_CODE   0x5000
#define DATA	      0x3000

#define PORT_GUEST   0x10
#define PORT_HANDLER 0x12
#define PORT_OTHER   0x20

static uint8_t *smram;

static int set_slot(const struct fixture *f, uint32_t slot, uint32_t flags, uint64_t gpa,
		    uint64_t bytes, const void *memory)
{
	struct kvm_userspace_memory_region region = {.slot = slot,
						     .flags = flags,
						     .guest_phys_addr = gpa,
						     .memory_size = bytes,
						     .userspace_addr = (uintptr_t)memory};

	return ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static void add_smram(struct fixture *f, uint64_t gpa)
{
	smram = mmap(NULL, SMRAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(smram, MAP_FAILED);
	assert_int_equal(set_slot(f, SMRAM_SLOT, 0, gpa, SMRAM_BYTES, smram), 0);
}

static int setup(void **state)
{
	fixture_setup(state);
	add_smram(*state, SMBASE);
	return 0;
}

static int setup_irqchip(void **state)
{
	fixture_setup_irqchip(state);
	add_smram(*state, SMBASE);
	return 0;
}

static int teardown(void **state)
{
	fixture_teardown(state);
	munmap(smram, SMRAM_BYTES);
	return 0;
}

#define HANDLER_AT(at, name) memcpy(smram + (at), name##_begin, (size_t)(name##_end - name##_begin))

static void put_vector(const struct fixture *f, uint8_t vector, const uint8_t *begin,
		       const uint8_t *end)
{
	memcpy(f->mem + VECTOR_CODE, begin, (size_t)(end - begin));
	memcpy(f->mem + vector * 4, (const uint16_t[]){VECTOR_CODE, 0}, 4);
}

static void smi(const struct fixture *f)
{
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SMI, NULL), 0);
}

/* Run to a write to @port and return what is written; in SMM or not as the port says. */
static uint8_t run_to_port(const struct fixture *f, uint16_t port)
{
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->run->io.port, port);
	assert_int_equal(f->run->flags, port == PORT_HANDLER ? KVM_RUN_X86_SMM : 0);
	return ((const uint8_t *)f->run)[f->run->io.data_offset];
}

static struct kvm_vcpu_events get_events(const struct fixture *f)
{
	struct kvm_vcpu_events events;

	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_VCPU_EVENTS, &events), 0);
	assert_true(events.flags & KVM_VCPUEVENT_VALID_SMM);
	return events;
}

/* ---- two address spaces ------------------------------------------------------------------- */

GUEST16(reads_smram, "mov $0x3000, %ax\n mov %ax, %ds\n 1: mov 0, %al\n out %al, $0x10\n jmp 1b");
GUEST16(reports_smram, "mov %cs:0, %al\n out %al, $0x12\n mov $0x77, %dl\n rsm");

static void one_gfn_is_other_memory_in_smm(void **state)
{
	struct fixture *f = *state;

	LOAD_GUEST(f, reads_smram);
	HANDLER_AT(HANDLER, reports_smram);
	f->mem[SMBASE] = 1;
	smram[0] = 2;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(run_to_port(f, PORT_GUEST), 1);
		smi(f);
		assert_int_equal(run_to_port(f, PORT_HANDLER), 2);
	}
	assert_int_equal(run_to_port(f, PORT_GUEST), 1);
	/* Nothing of the handler's is left in the registers. */
	assert_int_equal(get_regs(f).rdx & 0xff, 0);
	assert_false(get_events(f).smi.smm);
}

GUEST16(reads_ds, "1: mov 0, %al\n out %al, $0x10\n jmp 1b");
GUEST16(reads_low, "mov %cs:0, %al\n out %al, $0x12\n mov 0x3000, %al\n out %al, $0x12\n rsm");

/* Outside, SMRAM is a device's; inside, the guest's memory is. */
static void what_one_space_has_is_a_device_in_the_other(void **state)
{
	struct fixture *f = *state;
	const uint64_t far = 0x10000000;
	struct kvm_sregs sregs;

	assert_int_equal(set_slot(f, SMRAM_SLOT, 0, 0, 0, NULL), 0);
	assert_int_equal(set_slot(f, SMRAM_SLOT, 0, far, SMRAM_BYTES, smram), 0);
	assert_true(set_msr(f, MSR_SMBASE, far));
	LOAD_GUEST(f, reads_ds);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.ds.base = far;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &sregs), 0);
	HANDLER_AT(HANDLER, reads_low);
	smram[0] = 2;
	for (int i = 0; i < 2; i++) {
		run_to(f, KVM_EXIT_MMIO);
		assert_int_equal(f->run->mmio.phys_addr, far);
		assert_int_equal(f->run->flags, 0);
		f->run->mmio.data[0] = 7;
		assert_int_equal(run_to_port(f, PORT_GUEST), 7);
		smi(f);
		assert_int_equal(run_to_port(f, PORT_HANDLER), 2);
		run_to(f, KVM_EXIT_MMIO);
		assert_int_equal(f->run->mmio.phys_addr, DATA);
		assert_int_equal(f->run->flags, KVM_RUN_X86_SMM);
		f->run->mmio.data[0] = 9;
		assert_int_equal(run_to_port(f, PORT_HANDLER), 9);
	}
}

GUEST16(reads_data, "1: mov 0x3000, %al\n out %al, $0x10\n jmp 1b");
GUEST16(reports_data, "mov 0x3000, %al\n out %al, $0x12\n rsm");

static void the_host_takes_a_page_of_both(void **state)
{
	struct fixture *f = *state;

	/* Elsewhere in the second space; its handler reads 0x3000 of it. */
	assert_int_equal(set_slot(f, SMRAM_SLOT + 1, 0, DATA, 0x1000, f->mem + DATA), 0);
	LOAD_GUEST(f, reads_data);
	HANDLER_AT(HANDLER, reports_data);
	for (uint8_t value = 1; value < 4; value++) {
		f->mem[DATA] = value;
		assert_int_equal(run_to_port(f, PORT_GUEST), value);
		smi(f);
		assert_int_equal(run_to_port(f, PORT_HANDLER), value);
		/* While a CPU is in SMM, and seen from there and from outside. */
		assert_int_equal(madvise(f->mem + DATA, 0x1000, MADV_DONTNEED), 0);
		assert_int_equal(run_to_port(f, PORT_GUEST), 0);
		smi(f);
		assert_int_equal(run_to_port(f, PORT_HANDLER), 0);
		assert_int_equal(run_to_port(f, PORT_GUEST), 0);
		assert_int_equal(run_to_port(f, PORT_GUEST), 0);
	}
}

static uint64_t dirty_pages(const struct fixture *f, uint32_t slot)
{
	uint64_t bitmap[FIXTURE_MEM / 4096 / 64] = {0};
	struct kvm_dirty_log log = {.slot = slot, .dirty_bitmap = bitmap};

	assert_int_equal(ioctl_errno(f->vm, KVM_GET_DIRTY_LOG, &log), 0);
	return bitmap[0];
}

GUEST16(writes_data, "1: incb 0x3000\n out %al, $0x10\n jmp 1b");
GUEST16(writes_smram, "incb %cs:0x1000\n out %al, $0x12\n rsm");

static void each_space_has_its_dirty_log(void **state)
{
	struct fixture *f = *state;
	struct kvm_dirty_log log = {.slot = 0x20000};

	LOAD_GUEST(f, writes_data);
	HANDLER_AT(HANDLER, writes_smram);
	assert_int_equal(
		set_slot(f, SMRAM_SLOT, KVM_MEM_LOG_DIRTY_PAGES, SMBASE, SMRAM_BYTES, smram), 0);
	assert_int_equal(set_slot(f, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, FIXTURE_MEM, f->mem), 0);
	for (int i = 0; i < 2; i++) {
		run_to_port(f, PORT_GUEST);
		assert_int_equal(dirty_pages(f, SMRAM_SLOT), 0);
		assert_int_equal(dirty_pages(f, 0), 1u << (DATA / 4096));
		smi(f);
		run_to_port(f, PORT_HANDLER);
		/* What the handler wrote, and where the CPU saved its state. */
		assert_int_equal(dirty_pages(f, SMRAM_SLOT), 1u << 1 | 1u << 15);
		assert_int_equal(dirty_pages(f, 0), 0);
	}
	assert_int_equal(ioctl_errno(f->vm, KVM_GET_DIRTY_LOG, &log), EINVAL);
}

static void a_slot_that_goes_leaves_the_other_space(void **state)
{
	struct fixture *f = *state;

	LOAD_GUEST(f, reads_smram);
	f->mem[SMBASE] = 1;
	assert_int_equal(run_to_port(f, PORT_GUEST), 1);
	assert_int_equal(set_slot(f, SMRAM_SLOT, 0, 0, 0, NULL), 0);
	assert_int_equal(run_to_port(f, PORT_GUEST), 1);
	/* As KVM: a CPU that cannot save its state is in no state that could go on. */
	smi(f);
	assert_int_equal(run_errno(f), EIO);
	assert_int_equal(run_errno(f), EIO);
}

/* ---- events ------------------------------------------------------------------ */

GUEST16(counts, "1: inc %cx\n out %al, $0x10\n jmp 1b");
GUEST16(speaks_twice, "out %al, $0x12\n out %al, $0x12\n rsm");

static void one_smi_is_latched_in_smm(void **state)
{
	struct fixture *f = *state;
	uint64_t count;

	LOAD_GUEST(f, counts);
	HANDLER_AT(HANDLER, speaks_twice);
	run_to_port(f, PORT_GUEST);
	smi(f);
	assert_true(get_events(f).smi.pending);
	run_to_port(f, PORT_HANDLER);
	assert_true(get_events(f).smi.smm);
	assert_false(get_events(f).smi.pending);
	smi(f);
	smi(f);
	assert_true(get_events(f).smi.pending);
	/* The rest of this one, then the other, and no instruction of the guest between. */
	run_to_port(f, PORT_HANDLER);
	run_to_port(f, PORT_HANDLER);
	assert_false(get_events(f).smi.pending);
	run_to_port(f, PORT_HANDLER);
	run_to_port(f, PORT_GUEST);
	assert_int_equal(get_regs(f).rcx, 2);
	assert_true(get_msr(f, MSR_SMI_COUNT, &count));
	assert_int_equal(count, 2);
}

GUEST16(on_vector, "out %al, $0x20\n iret");
GUEST16(reports, "out %al, $0x12\n rsm");

static void nmis_wait_for_rsm(void **state)
{
	struct fixture *f = *state;

	LOAD_GUEST(f, counts);
	HANDLER_AT(HANDLER, speaks_twice);
	put_vector(f, 2, on_vector_begin, on_vector_end);
	smi(f);
	run_to_port(f, PORT_HANDLER);
	assert_true(get_events(f).nmi.masked);
	assert_false(get_events(f).smi.smm_inside_nmi);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_NMI, NULL), 0);
	run_to_port(f, PORT_HANDLER);
	run_to_port(f, PORT_OTHER);
	/* An SMI in the NMI's handler leaves NMIs masked. */
	smi(f);
	run_to_port(f, PORT_HANDLER);
	assert_true(get_events(f).smi.smm_inside_nmi);
	run_to_port(f, PORT_HANDLER);
	smi(f);
	run_to_port(f, PORT_HANDLER);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_NMI, NULL), 0);
	run_to_port(f, PORT_HANDLER);
	/* IRET, then the second NMI. */
	run_to_port(f, PORT_OTHER);
	run_to_port(f, PORT_GUEST);
}

/* Both at once: the SMI comes first. */
static void an_smi_goes_before_an_nmi(void **state)
{
	struct fixture *f = *state;

	LOAD_GUEST(f, counts);
	HANDLER_AT(HANDLER, reports);
	put_vector(f, 2, on_vector_begin, on_vector_end);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_NMI, NULL), 0);
	smi(f);
	run_to_port(f, PORT_HANDLER);
	run_to_port(f, PORT_OTHER);
	run_to_port(f, PORT_GUEST);
}

GUEST16(halts, "hlt\n out %al, $0x10\n hlt");

static void an_smi_ends_a_halt(void **state)
{
	struct fixture *f = *state;
	struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_HALTED};

	LOAD_GUEST(f, counts);
	HANDLER_AT(HANDLER, reports);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_MP_STATE, &mp), 0);
	smi(f);
	run_to_port(f, PORT_HANDLER);
	run_to_port(f, PORT_GUEST);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_MP_STATE, &mp), 0);
	assert_int_equal(mp.mp_state, KVM_MP_STATE_RUNNABLE);
}

/* To CPU 1, again and again: one that comes before its HLT does not end that. */
GUEST16(sends_smi, "movl $0x01000000, 0x310\n"
		   "1: movl $0x200, 0x300\n mov $50000, %cx\n"
		   "2: cmpw $0, %es:0x3000\n jne 3f\n loop 2b\n jmp 1b\n"
		   "3: movl $0x40200, 0x300\n mov $1000, %cx\n 4: loop 4b\n" /* and to itself */
		   "out %al, $0x10\n hlt");
GUEST16(on_other_cpu, "out %al, $0x12\n rsm");

struct other_cpu {
	int vcpu;
	int err;
	unsigned int smis;
	uint8_t *meeting;
	struct kvm_run *run;
};

/* Runs CPU 1 from its halt through its handler and on to the write after it. */
static void *run_other(void *arg)
{
	struct other_cpu *other = arg;

	while (!(other->err = ioctl_errno(other->vcpu, KVM_RUN, NULL)) &&
	       other->run->exit_reason == KVM_EXIT_IO && other->run->io.port == PORT_HANDLER)
		other->smis += other->run->flags == KVM_RUN_X86_SMM;
	__atomic_store_n(other->meeting, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void start_other(struct fixture *f, struct other_cpu *other)
{
	struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_RUNNABLE};
	struct kvm_regs regs = {.rip = 0x2000, .rflags = 2};
	struct kvm_sregs sregs;

	*other = (struct other_cpu){.vcpu = ioctl(f->vm, KVM_CREATE_VCPU, 1),
				    .meeting = f->mem + DATA};
	assert_true(other->vcpu >= 0);
	other->run = mmap(NULL, RUN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, other->vcpu, 0);
	assert_int_equal(ioctl_errno(other->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = sregs.cs.selector = 0;
	assert_int_equal(ioctl_errno(other->vcpu, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(ioctl_errno(other->vcpu, KVM_SET_REGS, &regs), 0);
	assert_int_equal(ioctl_errno(other->vcpu, KVM_SET_MP_STATE, &mp), 0);
	memcpy(f->mem + 0x2000, halts_begin, (size_t)(halts_end - halts_begin));
}

static void cpus_send_smis(void **state)
{
	struct fixture *f = *state;
	struct other_cpu other;
	struct kvm_sregs sregs;
	pthread_t thread;

	LOAD_GUEST(f, sends_smi);
	HANDLER_AT(HANDLER, on_other_cpu);
	start_other(f, &other);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.ds.base = 0xfee00000;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(pthread_create(&thread, NULL, run_other, &other), 0);
	/* Its own SMI comes when the other's is through. */
	run_to_port(f, PORT_HANDLER);
	pthread_join(thread, NULL);
	assert_int_equal(other.err, 0);
	assert_true(other.smis > 0);
	assert_int_equal(other.run->io.port, PORT_GUEST);
	assert_int_equal(other.run->flags, 0);
	run_to_port(f, PORT_GUEST);
	munmap(other.run, RUN_BYTES);
	close(other.vcpu);
}

/* ---- INIT ------------------------------------------------------------------------------------ */

static void an_init_is_latched_in_smm(void **state)
{
	struct fixture *f = *state;
	struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_INIT_RECEIVED};
	struct kvm_vcpu_events events;

	LOAD_GUEST(f, counts);
	HANDLER_AT(HANDLER, speaks_twice);
	smi(f);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_MP_STATE, &mp), EINVAL);
	run_to_port(f, PORT_HANDLER);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_MP_STATE, &mp), EINVAL);
	events = get_events(f);
	assert_false(events.smi.latched_init);
	events.smi.latched_init = 1;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_VCPU_EVENTS, &events), 0);
	run_to_port(f, PORT_HANDLER);
	assert_true(get_events(f).smi.latched_init);
	/* The boot processor starts anew, where there is no memory. */
	assert_int_equal(run_errno(f), 0);
	assert_int_not_equal(f->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(get_regs(f).rip, 0xfff0);
	assert_false(get_events(f).smi.smm);
	assert_false(get_events(f).smi.latched_init);
}

static void who_waits_for_a_sipi_is_not_in_smm(void **state)
{
	struct fixture *f = *state;
	struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_INIT_RECEIVED};
	struct kvm_vcpu_events events = get_events(f);

	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_MP_STATE, &mp), 0);
	events.smi.smm = 1;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_VCPU_EVENTS, &events), EINVAL);
	events.smi.smm = 0;
	events.smi.pending = 1;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_VCPU_EVENTS, &events), EINVAL);
	events.flags &= ~KVM_VCPUEVENT_VALID_SMM;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_VCPU_EVENTS, &events), 0);
	assert_false(get_events(f).smi.pending);
}

/* ---- state ------------------------------------------------------------------------------- */

/* User space puts a CPU into SMM and takes it out again: registers stay. */
static void user_space_sets_the_mode(void **state)
{
	struct fixture *f = *state;
	struct kvm_vcpu_events events = get_events(f);

	/* The same code at the same place of both spaces, reading what differs. */
	assert_int_equal(set_slot(f, SMRAM_SLOT + 1, 0, 0, 0x2000, f->mem), 0);
	LOAD_GUEST(f, reads_smram);
	f->mem[SMBASE] = 1;
	smram[0] = 2;
	assert_int_equal(run_to_port(f, PORT_GUEST), 1);
	events.smi.smm = 1;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_VCPU_EVENTS, &events), 0);
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->run->flags, KVM_RUN_X86_SMM);
	assert_int_equal(get_regs(f).rax & 0xff, 2);
	events.smi.smm = 0;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_VCPU_EVENTS, &events), 0);
	assert_int_equal(run_to_port(f, PORT_GUEST), 1);
}

static void put32(uint64_t at, uint32_t value)
{
	memcpy(smram + at, &value, sizeof(value));
}

static uint32_t get32(uint64_t at)
{
	uint32_t value;

	memcpy(&value, smram + at, sizeof(value));
	return value;
}

GUEST16(only_writes, "1: out %al, $0x10\n jmp 1b");
GUEST16(clobbers, "mov $0x1000, %ax\n mov %ax, %ds\n mov %ax, %es\n mov %ax, %fs\n"
		  "mov %ax, %gs\n mov %ax, %ss\n xor %eax, %eax\n mov %eax, %ebx\n"
		  "mov %eax, %ecx\n mov %eax, %edx\n mov %eax, %esi\n mov %eax, %edi\n"
		  "mov %eax, %ebp\n mov %eax, %esp\n mov %eax, %cr3\n mov %eax, %dr7\n"
		  "lgdtl %cs:0x10\n lidtl %cs:0x10\n out %al, $0x12\n rsm");

struct whole_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debug;
};

static struct whole_state whole_state(const struct fixture *f)
{
	struct whole_state now;

	memset(&now, 0, sizeof(now));
	now.regs = get_regs(f);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_SREGS, &now.sregs), 0);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_DEBUGREGS, &now.debug), 0);
	return now;
}

/* Each value another, where real mode does not care. */
static void set_odd_state(const struct fixture *f)
{
	struct whole_state odd = whole_state(f);

	odd.regs = (struct kvm_regs){.rax = 1, .rbx = 2, .rcx = 3, .rdx = 4, .rsi = 5, .rdi = 6};
	odd.regs.rsp = 7, odd.regs.rbp = 8, odd.regs.r8 = 9, odd.regs.r15 = ~0ull;
	odd.regs.rip = FIXTURE_CODE, odd.regs.rflags = 0xcd7;
	odd.sregs.ds.base = 0x11110, odd.sregs.ds.selector = 0x1111;
	odd.sregs.es.base = 0x22220, odd.sregs.es.selector = 0x2222;
	odd.sregs.fs.base = 0x33330, odd.sregs.fs.limit = 0x7fff;
	odd.sregs.gs.base = 0x44440, odd.sregs.gs.avl = 1;
	odd.sregs.ss.base = 0x55550, odd.sregs.ss.db = 1;
	odd.sregs.tr.base = 0x66660, odd.sregs.tr.limit = 0x67, odd.sregs.tr.selector = 0x28;
	odd.sregs.ldt.base = 0x77770, odd.sregs.ldt.limit = 0x7f, odd.sregs.ldt.selector = 0x30;
	odd.sregs.gdt = (struct kvm_dtable){.base = 0x88880, .limit = 0x3f};
	odd.sregs.idt = (struct kvm_dtable){.base = 0x99990, .limit = 0x1ff};
	odd.sregs.cr3 = 0xa000;
	odd.sregs.cr4 = 0x600;
	odd.sregs.efer = 0x1;
	odd.debug.db[0] = 0xb000, odd.debug.dr7 = 0x401;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &odd.sregs), 0);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_REGS, &odd.regs), 0);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_DEBUGREGS, &odd.debug), 0);
}

/* Where firmware looks for them: the layout of the P6 family, and AMD64's. */
static const struct {
	const char *what;
	uint32_t at[2];
	uint32_t value, mask;
} saved[] = {
	{"EDI", {0xffec, 0xffc0}, 6, ~0u},
	{"ESP", {0xffe0, 0xffd8}, 7, ~0u},
	{"EAX", {0xffd0, 0xfff8}, 1, ~0u},
	{"CR0", {0xfffc, 0xff58}, 0x60000010, ~0u},
	{"CR3", {0xfff8, 0xff50}, 0xa000, ~0u},
	{"CR4", {0xff14, 0xff48}, 0x600, ~0u},
	{"EFLAGS", {0xfff4, 0xff70}, 0xcd7, ~0u},
	{"DR7", {0xffc8, 0xff60}, 0x401, ~0u},
	{"DR6", {0xffcc, 0xff68}, 0xffff0ff0, ~0u},
	{"DS", {0xffb4, 0xfe30}, 0x1111, 0xffff},
	{"DS base", {0xff34, 0xfe38}, 0x11110, ~0u},
	{"ES", {0xffa8, 0xfe00}, 0x2222, 0xffff},
	{"ES base", {0xff8c, 0xfe08}, 0x22220, ~0u},
	{"CS base", {0xff98, 0xfe18}, 0, ~0u},
	{"SS base", {0xffa4, 0xfe28}, 0x55550, ~0u},
	{"FS limit", {0xff3c, 0xfe44}, 0x7fff, ~0u},
	{"GS base", {0xff4c, 0xfe58}, 0x44440, ~0u},
	{"TR", {0xffc4, 0xfe90}, 0x28, 0xffff},
	{"TR limit", {0xff60, 0xfe94}, 0x67, ~0u},
	{"LDTR", {0xffc0, 0xfe70}, 0x30, 0xffff},
	{"LDTR base", {0xff80, 0xfe78}, 0x77770, ~0u},
	{"GDT base", {0xff74, 0xfe68}, 0x88880, ~0u},
	{"GDT limit", {0xff70, 0xfe64}, 0x3f, ~0u},
	{"IDT base", {0xff58, 0xfe88}, 0x99990, ~0u},
	{"IDT limit", {0xff54, 0xfe84}, 0x1ff, ~0u},
	{"SMBASE", {0xfef8, 0xff00}, SMBASE, ~0u},
};

static void check_saved(bool long_mode)
{
	for (size_t i = 0; i < sizeof(saved) / sizeof(saved[0]); i++)
		if ((get32(saved[i].at[long_mode]) ^ saved[i].value) & saved[i].mask)
			fail_msg("%s is %#x", saved[i].what, get32(saved[i].at[long_mode]));
	assert_int_equal(get32(0xfefc), long_mode ? 0x20064 : 0x20000);
	if (long_mode) {
		assert_int_equal(get32(0xfed0), 1);   /* EFER */
		assert_int_equal(get32(0xff84), ~0u); /* R15's upper half */
	}
}

static void rsm_restores_what_was(void **state)
{
	struct fixture *f = *state;

	for (int long_mode = 0; long_mode < 2; long_mode++) {
		struct whole_state before, after;

		if (long_mode) {
			teardown(state);
			setup(state);
			f = *state;
			set_supported_cpuid(f);
		}
		LOAD_GUEST(f, only_writes);
		HANDLER_AT(HANDLER, clobbers);
		set_odd_state(f);
		run_to_port(f, PORT_GUEST);
		before = whole_state(f);
		smi(f);
		run_to_port(f, PORT_HANDLER);
		check_saved(long_mode);
		run_to_port(f, PORT_GUEST);
		after = whole_state(f);
		assert_memory_equal(&before.regs, &after.regs, sizeof(before.regs));
		assert_memory_equal(&before.sregs, &after.sregs, sizeof(before.sregs));
		assert_memory_equal(&before.debug, &after.debug, sizeof(before.debug));
	}
}

static void the_handler_moves_smbase(void **state)
{
	struct fixture *f = *state;
	uint64_t smbase;

	LOAD_GUEST(f, counts);
	HANDLER_AT(HANDLER, reports);
	smi(f);
	run_to_port(f, PORT_HANDLER);
	assert_int_equal(get32(0xfef8), SMBASE);
	assert_int_equal(get32(0xfefc), 0x20000);
	put32(0xfef8, SMBASE + 0x1000);
	run_to_port(f, PORT_GUEST);
	assert_true(get_msr(f, MSR_SMBASE, &smbase));
	assert_int_equal(smbase, SMBASE + 0x1000);
	memset(smram + HANDLER, 0, 16);
	HANDLER_AT(HANDLER + 0x1000, reports);
	smi(f);
	run_to_port(f, PORT_HANDLER);
	run_to_port(f, PORT_GUEST);
	assert_int_equal(get32(0x10ef8), SMBASE + 0x1000);
}

struct bad_state {
	const char *what;
	bool has_long_mode;
	uint64_t at;
	uint32_t value;
};

static const struct bad_state bad_states[] = {
	{"paging without protection", false, 0xfffc, 0x80000010},
	{"not write-through, with caching", false, 0xfffc, 0x20000010},
	{"a bit of CR4 that is not defined", false, 0xff14, 1u << 31},
	{"paging without protection", true, 0xff58, 0x80000010},
	{"upper half of CR0", true, 0xff5c, 1},
	{"a bit of CR4 that is not defined", true, 0xff48, 1u << 31},
	{"upper half of DR6", true, 0xff6c, 1},
	{"upper half of DR7", true, 0xff64, 1},
	{"a bit of EFER that is not defined", true, 0xfed0, 2},
};

static void run_bad_state(const struct bad_state *bad)
{
	struct fixture *f;
	void *state;

	setup(&state);
	f = state;
	if (bad->has_long_mode)
		set_supported_cpuid(f);
	LOAD_GUEST(f, counts);
	HANDLER_AT(HANDLER, reports);
	smi(f);
	run_to_port(f, PORT_HANDLER);
	assert_int_equal(get32(0xfefc), bad->has_long_mode ? 0x20064 : 0x20000);
	put32(bad->at, bad->value);
	if (run_errno(f) || f->run->exit_reason != KVM_EXIT_SHUTDOWN)
		fail_msg("%s: exit %u", bad->what, f->run->exit_reason);
	assert_false(get_events(f).smi.smm);
	teardown(&state);
}

static void rsm_with_a_bad_state_shuts_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_states) / sizeof(bad_states[0]); i++)
		run_bad_state(&bad_states[i]);
}

/* SMRAM that goes while the handler is in it. */
static void rsm_without_smram_shuts_down(void **state)
{
	struct fixture *f = *state;

	/* The handler in a slot of its own, the state in the other. */
	assert_int_equal(set_slot(f, SMRAM_SLOT, 0, 0, 0, NULL), 0);
	assert_int_equal(set_slot(f, SMRAM_SLOT, 0, SMBASE, 0xf000, smram), 0);
	assert_int_equal(set_slot(f, SMRAM_SLOT + 1, 0, SMBASE + 0xf000, 0x1000, smram + 0xf000),
			 0);
	LOAD_GUEST(f, counts);
	HANDLER_AT(HANDLER, reports);
	smi(f);
	run_to_port(f, PORT_HANDLER);
	assert_int_equal(set_slot(f, SMRAM_SLOT + 1, 0, 0, 0, NULL), 0);
	run_to(f, KVM_EXIT_SHUTDOWN);
}

/* ---- what is not there ------------------------------------------------------------------ */

GUEST16(rsm_outside, "rsm\n hlt");
GUEST16(reads_msr, "mov $0x9e, %ecx\n rdmsr\n hlt");
GUEST16(writes_msr, "mov $0x9e, %ecx\n wrmsr\n hlt");
GUEST16(writes_count, "mov $0x34, %ecx\n wrmsr\n hlt");

static void the_guest_has_no_part_in_it(void **state)
{
	struct fixture *f = *state;

	put_vector(f, 6, on_vector_begin, on_vector_end);
	LOAD_GUEST(f, rsm_outside);
	run_to_port(f, PORT_OTHER);
	put_vector(f, 13, on_vector_begin, on_vector_end);
	LOAD_GUEST(f, reads_msr);
	run_to_port(f, PORT_OTHER);
	LOAD_GUEST(f, writes_msr);
	run_to_port(f, PORT_OTHER);
	LOAD_GUEST(f, writes_count);
	run_to_port(f, PORT_OTHER);
}

static void private_memory_has_one_space(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ioctl(f->sys, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE), 2);
	assert_int_equal(ioctl(f->vm, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE), 1);
	assert_int_equal(ioctl(f->vm, KVM_CHECK_EXTENSION, KVM_CAP_X86_SMM), 1);
	assert_int_equal(set_slot(f, SMRAM_SLOT, 0, SMBASE, 0x1000, f->mem), EINVAL);
}

int main(void)
{
#define TEST(name)	   cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_IRQCHIP(name) cmocka_unit_test_setup_teardown(name, setup_irqchip, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_gfn_is_other_memory_in_smm),
		TEST(what_one_space_has_is_a_device_in_the_other),
		TEST(the_host_takes_a_page_of_both),
		TEST(each_space_has_its_dirty_log),
		TEST(a_slot_that_goes_leaves_the_other_space),
		TEST(one_smi_is_latched_in_smm),
		TEST(nmis_wait_for_rsm),
		TEST(an_smi_goes_before_an_nmi),
		TEST_IRQCHIP(an_smi_ends_a_halt),
		TEST_IRQCHIP(cpus_send_smis),
		TEST_IRQCHIP(an_init_is_latched_in_smm),
		TEST_IRQCHIP(who_waits_for_a_sipi_is_not_in_smm),
		TEST(user_space_sets_the_mode),
		TEST(rsm_restores_what_was),
		TEST(the_handler_moves_smbase),
		cmocka_unit_test(rsm_with_a_bad_state_shuts_down),
		TEST(rsm_without_smram_shuts_down),
		TEST(the_guest_has_no_part_in_it),
		cmocka_unit_test_setup_teardown(private_memory_has_one_space, fixture_setup_private,
						fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
