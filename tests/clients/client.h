/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the client programs of this directory share: opening a VM, giving it
 * memory between canaries, starting a vCPU in one of three modes, and saying
 * what went wrong.  They are ordinary KVM programs: <linux/kvm.h> and libc,
 * nothing of ours, so that each of them runs on the machine's own KVM too.
 * Exit code 0: as expected, 1: not, 77: cannot be shown here (with a reason).
 */
#ifndef KVMU_TESTS_CLIENTS_CLIENT_H
#define KVMU_TESTS_CLIENTS_CLIENT_H

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_BYTES   4096ul
#define CANARY_BYTES (16 * PAGE_BYTES)
#define CANARY_BYTE  0xc5

/* Where every guest's code goes, and its tables and stack if it has any. */
#define CODE_GPA  0x1000ul
#define STACK_TOP 0x9000ul
#define PML4_GPA  0xa000ul
#define PDPT_GPA  0xb000ul
#define PD_GPA	  0xc000ul

#define EXIT_SKIPPED 77

#define EXPECT(cond)                                                                       \
	do {                                                                               \
		if (!(cond))                                                               \
			client_fail("%s:%d: expected %s", __FILE_NAME__, __LINE__, #cond); \
	} while (0)

#define EXPECT_EQ(got, wanted)                                                             \
	do {                                                                               \
		unsigned long long got_ = (unsigned long long)(got);                       \
		unsigned long long wanted_ = (unsigned long long)(wanted);                 \
		if (got_ != wanted_)                                                       \
			client_fail("%s:%d: %s is 0x%llx, expected 0x%llx", __FILE_NAME__, \
				    __LINE__, #got, got_, wanted_);                        \
	} while (0)

#ifndef __FILE_NAME__ /* GCC 12 has it, clang 14 too; older ones get the path */
#define __FILE_NAME__ __FILE__
#endif

/* A guest's code, written in assembly and copied to where it runs. */
#define GUEST_CODE(name, bits, text)                                                        \
	__asm__(".pushsection .rodata\n"                                                    \
		".balign 64\n"                                                              \
		".code" bits "\n"                                                           \
		".globl " #name "_begin, " #name "_end\n" #name "_begin:\n" text "\n" #name \
		"_end:\n"                                                                   \
		".code64\n"                                                                 \
		".popsection\n");                                                           \
	extern const uint8_t name##_begin[], name##_end[]

__attribute__((format(printf, 1, 2), noreturn)) static inline void client_fail(const char *format,
									       ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "FAILED: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

struct client_vm {
	int kvm;
	int vm;
	int vcpu;
	struct kvm_run *run;
	size_t run_bytes;
};

/* Guest memory with a canary on both sides. */
struct client_memory {
	uint8_t *bytes;
	size_t nbytes;
};

static inline struct client_vm client_create(void)
{
	struct client_vm c;
	int bytes;

	c.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (c.kvm < 0)
		client_fail("open(/dev/kvm): %s", strerror(errno));
	EXPECT_EQ(ioctl(c.kvm, KVM_GET_API_VERSION, 0), 12);
	c.vm = ioctl(c.kvm, KVM_CREATE_VM, 0);
	EXPECT(c.vm >= 0);
	c.vcpu = ioctl(c.vm, KVM_CREATE_VCPU, 0);
	EXPECT(c.vcpu >= 0);
	bytes = ioctl(c.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	EXPECT(bytes >= (int)sizeof(struct kvm_run));
	c.run_bytes = (size_t)bytes;
	c.run = mmap(NULL, c.run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c.vcpu, 0);
	EXPECT(c.run != MAP_FAILED);
	return c;
}

static inline void client_destroy(struct client_vm *c)
{
	EXPECT_EQ(munmap(c->run, c->run_bytes), 0);
	EXPECT_EQ(close(c->vcpu), 0);
	EXPECT_EQ(close(c->vm), 0);
	EXPECT_EQ(close(c->kvm), 0);
}

static inline struct client_memory client_alloc(size_t nbytes)
{
	size_t total = nbytes + 2 * CANARY_BYTES;
	uint8_t *all =
		mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct client_memory m = {.bytes = all + CANARY_BYTES, .nbytes = nbytes};

	EXPECT(all != MAP_FAILED);
	memset(all, CANARY_BYTE, CANARY_BYTES);
	memset(all + CANARY_BYTES + nbytes, CANARY_BYTE, CANARY_BYTES);
	return m;
}

static inline void client_check_canary(const struct client_memory *m)
{
	const uint8_t *below = m->bytes - CANARY_BYTES;
	const uint8_t *above = m->bytes + m->nbytes;

	for (size_t i = 0; i < CANARY_BYTES; i++)
		if (below[i] != CANARY_BYTE || above[i] != CANARY_BYTE)
			client_fail("the guest reached memory outside its slot (byte %zu)", i);
}

static inline void client_free(struct client_memory *m)
{
	client_check_canary(m);
	EXPECT_EQ(munmap(m->bytes - CANARY_BYTES, m->nbytes + 2 * CANARY_BYTES), 0);
}

/* KVM_SET_USER_MEMORY_REGION; returns what the ioctl returns. */
static inline int client_set_slot(const struct client_vm *c, uint32_t slot, uint32_t flags,
				  uint64_t gpa, const void *memory, uint64_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)memory,
	};

	return ioctl(c->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static inline void client_load(const struct client_memory *m, uint64_t gpa, const uint8_t *begin,
			       const uint8_t *end)
{
	size_t bytes = (size_t)(end - begin);

	EXPECT(gpa + bytes <= m->nbytes);
	memcpy(m->bytes + gpa, begin, bytes);
}

/* ---- starting states ------------------------------------------------------------- */

/* 16-bit real mode: the reset state with CS based at 0. */
static inline void client_real_mode(const struct client_vm *c)
{
	struct kvm_sregs sregs;

	EXPECT_EQ(ioctl(c->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	EXPECT_EQ(ioctl(c->vcpu, KVM_SET_SREGS, &sregs), 0);
}

static inline void client_flat_segments(struct kvm_sregs *sregs, bool long_mode)
{
	struct kvm_segment code = {
		.limit = 0xffffffff,
		.selector = 8,
		.type = 11,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = long_mode,
		.db = !long_mode,
	};
	struct kvm_segment data = code;

	data.selector = 16;
	data.type = 3;
	data.l = 0;
	data.db = 1;
	sregs->cs = code;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
}

/* Flat 32-bit protected mode without paging. */
static inline void client_protected_mode(const struct client_vm *c)
{
	struct kvm_sregs sregs;

	EXPECT_EQ(ioctl(c->vcpu, KVM_GET_SREGS, &sregs), 0);
	client_flat_segments(&sregs, false);
	sregs.cr0 = 0x11; /* ET, PE */
	EXPECT_EQ(ioctl(c->vcpu, KVM_SET_SREGS, &sregs), 0);
}

/* Virtual = physical for the first GiB, in 2 MiB pages. */
static inline void client_identity_tables(const struct client_memory *m)
{
	uint64_t *pml4 = (uint64_t *)(void *)(m->bytes + PML4_GPA);
	uint64_t *pdpt = (uint64_t *)(void *)(m->bytes + PDPT_GPA);
	uint64_t *pd = (uint64_t *)(void *)(m->bytes + PD_GPA);

	pml4[0] = PDPT_GPA | 3;
	pdpt[0] = PD_GPA | 3;
	for (uint64_t i = 0; i < 512; i++)
		pd[i] = (i << 21) | 0x83;
}

/* 64-bit mode on the tables at PML4_GPA. */
static inline void client_long_mode(const struct client_vm *c)
{
	struct kvm_sregs sregs;

	EXPECT_EQ(ioctl(c->vcpu, KVM_GET_SREGS, &sregs), 0);
	client_flat_segments(&sregs, true);
	sregs.cr3 = PML4_GPA;
	sregs.cr4 = 0x620;	/* PAE, OSFXSR, OSXMMEXCPT */
	sregs.efer = 0xd00;	/* LME, LMA, NXE */
	sregs.cr0 = 0x80000031; /* PG, NE, ET, PE */
	EXPECT_EQ(ioctl(c->vcpu, KVM_SET_SREGS, &sregs), 0);
}

static inline void client_set_regs(const struct client_vm *c, struct kvm_regs regs)
{
	regs.rflags |= 2;
	if (!regs.rip)
		regs.rip = CODE_GPA;
	if (!regs.rsp)
		regs.rsp = STACK_TOP;
	EXPECT_EQ(ioctl(c->vcpu, KVM_SET_REGS, &regs), 0);
}

static inline struct kvm_regs client_get_regs(const struct client_vm *c)
{
	struct kvm_regs regs;

	EXPECT_EQ(ioctl(c->vcpu, KVM_GET_REGS, &regs), 0);
	return regs;
}

/* ---- running ----------------------------------------------------------------------- */

/* KVM_RUN that must succeed; the exit reason. */
static inline uint32_t client_run(const struct client_vm *c)
{
	if (ioctl(c->vcpu, KVM_RUN, 0) < 0)
		client_fail("KVM_RUN: %s", strerror(errno));
	return c->run->exit_reason;
}

static inline void client_run_to(const struct client_vm *c, uint32_t reason)
{
	uint32_t got = client_run(c);

	if (got != reason)
		client_fail("the guest left with exit reason %u at rip 0x%llx, expected %u", got,
			    client_get_regs(c).rip, reason);
}

static inline uint8_t *client_io_data(const struct client_vm *c)
{
	return (uint8_t *)c->run + c->run->io.data_offset;
}

/* A VM with one slot at 0 and @code in it, the usual start. */
static inline struct client_memory client_with_code(const struct client_vm *c, size_t bytes,
						    const uint8_t *begin, const uint8_t *end)
{
	struct client_memory m = client_alloc(bytes);

	EXPECT_EQ(client_set_slot(c, 0, 0, 0, m.bytes, m.nbytes), 0);
	client_load(&m, CODE_GPA, begin, end);
	return m;
}

#endif
