/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Dirty logging as a program sees it: KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG,
 * KVM_RESET_DIRTY_RINGS and their capabilities (api.rst 4.8, 4.117, 7.18, 8.29).
 */
#include "tests/kvm/kvm_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	   4096ul
#define PAGES	   (FIXTURE_MEM / PAGE)
#define LOG_GPA	   0x200000ul
#define LOG_PAGES  70u /* a word of the log and a bit */
#define RING_BYTES 16384u
#define GFNS	   (RING_BYTES / sizeof(struct kvm_dirty_gfn))

static int enable(const struct fixture *f, uint32_t capability, uint64_t value)
{
	struct kvm_enable_cap cap = {.cap = capability, .args = {value}};

	return ioctl_errno(f->vm, KVM_ENABLE_CAP, &cap);
}

static int set_slot(const struct fixture *f, uint32_t slot, uint32_t flags, uint64_t gpa,
		    uint64_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)f->mem,
	};

	return ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static void start(const struct fixture *f)
{
	assert_int_equal(set_slot(f, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, FIXTURE_MEM), 0);
}

static int get_log(const struct fixture *f, uint32_t slot, void *bitmap)
{
	struct kvm_dirty_log log = {.slot = slot, .dirty_bitmap = bitmap};

	return ioctl_errno(f->vm, KVM_GET_DIRTY_LOG, &log);
}

static int clear_log(const struct fixture *f, uint32_t slot, uint64_t first, uint32_t nr,
		     void *bitmap)
{
	struct kvm_clear_dirty_log log = {
		.slot = slot, .num_pages = nr, .first_page = first, .dirty_bitmap = bitmap};

	return ioctl_errno(f->vm, KVM_CLEAR_DIRTY_LOG, &log);
}

/* Writes a byte to page 2, then to page 5, and halts. */
static void load_writer(struct fixture *f)
{
	LOAD(f, 0xc6, 0x06, 0x00, 0x20, 0x01, /* movb $1, 0x2000 */
	     0xc6, 0x06, 0x00, 0x50, 0x01,    /* movb $1, 0x5000 */
	     0xf4);
}

/* ---- capabilities ----------------------------------------------------------------------- */

static void capabilities_say_what_there_is(void **state)
{
	const struct fixture *f = *state;

	assert_int_equal(ioctl(f->vm, KVM_CHECK_EXTENSION, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2), 3);
	assert_int_equal(ioctl(f->vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING), 1 << 20);
	assert_int_equal(ioctl(f->vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING_ACQ_REL),
			 1 << 20);
	/* KVM on x86 has no use for a bitmap beside the rings. */
	assert_int_equal(ioctl(f->vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP), 0);
	assert_int_equal(enable(f, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0), EINVAL);
}

static void options_of_manual_protect_are_checked(void **state)
{
	const struct fixture *f = *state;

	assert_int_equal(enable(f, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 4), EINVAL);
	assert_int_equal(enable(f, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 2), EINVAL);
	assert_int_equal(enable(f, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 5), EINVAL);
	assert_int_equal(enable(f, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3), 0);
	assert_int_equal(enable(f, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1), 0);
	assert_int_equal(enable(f, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 0), 0);
}

/* ---- bitmaps ------------------------------------------------------------------------------ */

static void what_the_guest_writes_is_in_the_log(void **state)
{
	struct fixture *f = *state;
	uint64_t bitmap[PAGES / 64 + 1];

	start(f);
	load_writer(f);
	memset(bitmap, 0xff, sizeof(bitmap));
	assert_int_equal(get_log(f, 0, bitmap), 0);
	assert_int_equal(bitmap[0], 0); /* what the program writes is not logged */
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(get_log(f, 0, bitmap), 0);
	assert_int_equal(bitmap[0], 1 << 2 | 1 << 5);
	assert_int_equal(bitmap[PAGES / 64], ~0ull); /* not beyond the slot's words */
	assert_int_equal(get_log(f, 0, bitmap), 0);
	assert_int_equal(bitmap[0], 0);
}

/* A slot that ends within a word gets the whole word. */
static void the_last_word_is_padded(void **state)
{
	struct fixture *f = *state;
	uint64_t bitmap[3] = {~0ull, ~0ull, ~0ull};

	assert_int_equal(set_slot(f, 1, KVM_MEM_LOG_DIRTY_PAGES, LOG_GPA, LOG_PAGES * PAGE), 0);
	assert_int_equal(get_log(f, 1, bitmap), 0);
	assert_int_equal(bitmap[0] | bitmap[1], 0);
	assert_int_equal(bitmap[2], ~0ull);
	assert_int_equal(clear_log(f, 1, 64, LOG_PAGES - 64, bitmap), 0);
	assert_int_equal(clear_log(f, 1, 64, LOG_PAGES - 65, bitmap), EINVAL);
	assert_int_equal(clear_log(f, 1, 0, LOG_PAGES, bitmap), 0);
	assert_int_equal(clear_log(f, 1, 0, 64, bitmap), 0);
	assert_int_equal(clear_log(f, 1, 0, 128, bitmap), EINVAL);
}

static void get_and_clear(void **state)
{
	struct fixture *f = *state;
	uint64_t bitmap[PAGES / 64];
	const uint64_t page2 = 1 << 2;

	assert_int_equal(enable(f, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1), 0);
	start(f);
	load_writer(f);
	assert_int_equal(run_errno(f), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(get_log(f, 0, bitmap), 0);
		assert_int_equal(bitmap[0], 1 << 2 | 1 << 5);
	}
	assert_int_equal(clear_log(f, 0, 0, 64, (void *)(uintptr_t)&page2), 0);
	assert_int_equal(get_log(f, 0, bitmap), 0);
	assert_int_equal(bitmap[0], 1 << 5);
}

static void initially_everything_is_set(void **state)
{
	struct fixture *f = *state;
	uint64_t bitmap[2] = {0};

	assert_int_equal(enable(f, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3), 0);
	assert_int_equal(set_slot(f, 1, KVM_MEM_LOG_DIRTY_PAGES, LOG_GPA, LOG_PAGES * PAGE), 0);
	assert_int_equal(get_log(f, 1, bitmap), 0);
	assert_int_equal(bitmap[0], ~0ull);
	assert_int_equal(bitmap[1], (1 << (LOG_PAGES - 64)) - 1);
}

static void bad_calls_are_refused(void **state)
{
	struct fixture *f = *state;
	uint64_t bitmap[PAGES / 64] = {0};

	assert_int_equal(get_log(f, 0, bitmap), ENOENT); /* does not log */
	assert_int_equal(get_log(f, 5, bitmap), ENOENT); /* is not there */
	assert_int_equal(get_log(f, 32764, bitmap), EINVAL);
	assert_int_equal(get_log(f, 7u << 16, bitmap), EINVAL);
	assert_int_equal(clear_log(f, 0, 0, 64, bitmap), ENOENT);
	start(f);
	assert_int_equal(clear_log(f, 0, 1, 64, bitmap), EINVAL);
	assert_int_equal(clear_log(f, 0, PAGES + 64, 64, bitmap), EINVAL);
	assert_int_equal(clear_log(f, 0, ~63ull, 64, bitmap), EINVAL);
	assert_int_equal(clear_log(f, 0, 0, 65, bitmap), EINVAL);
	assert_int_equal(clear_log(f, 0, 0, ~0u, bitmap), EINVAL);
	assert_int_equal(get_log(f, 0, NULL), EFAULT);
	assert_int_equal(get_log(f, 0, unmapped_pointer()), EFAULT);
	assert_int_equal(clear_log(f, 0, 0, 64, unmapped_pointer()), EFAULT);
	assert_int_equal(ioctl_errno(f->vm, KVM_GET_DIRTY_LOG, unmapped_pointer()), EFAULT);
	assert_int_equal(ioctl_errno(f->vm, KVM_RESET_DIRTY_RINGS, NULL), EINVAL);
}

/* ---- rings --------------------------------------------------------------------------------- */

/* A VM with rings needs them before its first vCPU. */
static int setup_ring(void **state)
{
	struct fixture *f;

	fixture_setup(state);
	f = *state;
	munmap(f->run, RUN_BYTES);
	close(f->vcpu);
	close(f->vm);
	f->vm = ioctl(f->sys, KVM_CREATE_VM, 0);
	assert_true(f->vm >= 0);
	return 0;
}

static void add_vcpu(struct fixture *f)
{
	f->vcpu = ioctl(f->vm, KVM_CREATE_VCPU, 0);
	assert_true(f->vcpu >= 0);
	f->run = mmap(NULL, RUN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->vcpu, 0);
	assert_ptr_not_equal(f->run, MAP_FAILED);
}

static void *map_ring(const struct fixture *f, int prot, int flags)
{
	return mmap(NULL, RING_BYTES, prot, flags, f->vcpu,
		    KVM_DIRTY_LOG_PAGE_OFFSET * (off_t)PAGE);
}

static void ring_sizes_are_checked(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(enable(f, KVM_CAP_DIRTY_LOG_RING, 0), EINVAL);
	assert_int_equal(enable(f, KVM_CAP_DIRTY_LOG_RING, 2048), EINVAL);
	assert_int_equal(enable(f, KVM_CAP_DIRTY_LOG_RING, 20000), EINVAL);
	assert_int_equal(enable(f, KVM_CAP_DIRTY_LOG_RING, 2 << 20), E2BIG);
	assert_int_equal(enable(f, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 1 << 20), 0);
	assert_int_equal(enable(f, KVM_CAP_DIRTY_LOG_RING, RING_BYTES), EINVAL); /* once */
	add_vcpu(f);
}

static void rings_come_before_vcpus(void **state)
{
	struct fixture *f = *state;

	add_vcpu(f);
	assert_int_equal(enable(f, KVM_CAP_DIRTY_LOG_RING, RING_BYTES), EINVAL);
}

static void a_ring_is_mapped_shared_and_not_as_code(void **state)
{
	struct fixture *f = *state;
	void *ring;

	assert_int_equal(enable(f, KVM_CAP_DIRTY_LOG_RING, RING_BYTES), 0);
	add_vcpu(f);
	assert_ptr_equal(map_ring(f, PROT_READ, MAP_PRIVATE), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	assert_ptr_equal(map_ring(f, PROT_READ | PROT_EXEC, MAP_SHARED), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	ring = map_ring(f, PROT_READ | PROT_WRITE, MAP_SHARED);
	assert_ptr_not_equal(ring, MAP_FAILED);
	assert_int_equal(munmap(ring, RING_BYTES), 0);
}

static struct kvm_dirty_gfn *start_with_ring(struct fixture *f)
{
	struct kvm_dirty_gfn *ring;

	assert_int_equal(enable(f, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, RING_BYTES), 0);
	add_vcpu(f);
	start(f);
	ring = map_ring(f, PROT_READ | PROT_WRITE, MAP_SHARED);
	assert_ptr_not_equal(ring, MAP_FAILED);
	return ring;
}

static void a_ring_names_pages_in_the_order_of_their_writing(void **state)
{
	struct fixture *f = *state;
	struct kvm_dirty_gfn *ring = start_with_ring(f);
	uint64_t bitmap[PAGES / 64];

	load_writer(f);
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_HLT);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ring[i].flags, KVM_DIRTY_GFN_F_DIRTY);
		assert_int_equal(ring[i].slot, 0);
		assert_int_equal(ring[i].offset, i ? 5 : 2);
	}
	assert_int_equal(ring[2].flags, 0);
	assert_int_equal(ioctl(f->vm, KVM_RESET_DIRTY_RINGS, 0), 0);
	ring[0].flags = ring[1].flags = KVM_DIRTY_GFN_F_RESET;
	assert_int_equal(ioctl(f->vm, KVM_RESET_DIRTY_RINGS, 0), 2);
	assert_int_equal(ring[0].flags | ring[1].flags, 0);
	assert_int_equal(get_log(f, 0, bitmap), ENXIO);
	assert_int_equal(clear_log(f, 0, 0, 64, bitmap), ENXIO);
	munmap(ring, RING_BYTES);
}

#define BIG_GPA	  0x800000ul
#define BIG_PAGES 2048u

/* A byte into each of many pages, by 32-bit addresses in real mode, then a halt. */
static void load_sweep(struct fixture *f, uint8_t *memory)
{
	struct kvm_userspace_memory_region region = {
		.slot = 1,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
		.guest_phys_addr = BIG_GPA,
		.memory_size = BIG_PAGES * PAGE,
		.userspace_addr = (uintptr_t)memory,
	};
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	assert_int_equal(ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &region), 0);
	LOAD(f, 0x67, 0xc6, 0x03, 0x01,		       /* 1: movb $1, (%ebx) */
	     0x66, 0x81, 0xc3, 0x00, 0x10, 0x00, 0x00, /*    add $0x1000, %ebx */
	     0x49,				       /*    dec %cx */
	     0x75, 0xf2,			       /*    jnz 1b */
	     0xf4);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.ds.limit = 0xffffffff;
	sregs.ds.g = 1;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_REGS, &regs), 0);
	regs.rbx = BIG_GPA;
	regs.rcx = BIG_PAGES;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_REGS, &regs), 0);
}

/* Still full: nothing runs, however often it is asked; but an immediate exit is one. */
static void expect_full(struct fixture *f)
{
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_DIRTY_RING_FULL);
	f->run->immediate_exit = 1;
	assert_int_equal(run_errno(f), EINTR);
	f->run->immediate_exit = 0;
}

static void a_full_ring_keeps_the_guest_out_until_it_is_reset(void **state)
{
	struct fixture *f = *state;
	struct kvm_dirty_gfn *ring = start_with_ring(f);
	uint8_t *memory = mmap(NULL, BIG_PAGES * PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t next = 0, pages = 0;
	int exits = 0;

	assert_ptr_not_equal(memory, MAP_FAILED);
	load_sweep(f, memory);
	for (;;) {
		uint32_t first = next;

		assert_int_equal(run_errno(f), 0);
		for (; ring[next % GFNS].flags == KVM_DIRTY_GFN_F_DIRTY; next++) {
			assert_int_equal(ring[next % GFNS].slot, 1);
			/* The write that filled the ring may have been logged and not done. */
			if (next == first && pages && ring[next % GFNS].offset == pages - 1)
				continue;
			assert_int_equal(ring[next % GFNS].offset, pages++);
		}
		if (f->run->exit_reason == KVM_EXIT_HLT)
			break;
		assert_int_equal(f->run->exit_reason, KVM_EXIT_DIRTY_RING_FULL);
		exits++;
		expect_full(f);
		assert_int_equal(ring[next % GFNS].flags, 0);
		for (uint32_t i = first; i < next; i++)
			ring[i % GFNS].flags = KVM_DIRTY_GFN_F_RESET;
		assert_int_equal(ioctl(f->vm, KVM_RESET_DIRTY_RINGS, 0), next - first);
	}
	assert_true(exits > 1);
	assert_int_equal(pages, BIG_PAGES);
	munmap(ring, RING_BYTES);
	munmap(memory, BIG_PAGES * PAGE);
}

#define BITMAP_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
#define RING_TEST(test)	  cmocka_unit_test_setup_teardown(test, setup_ring, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BITMAP_TEST(capabilities_say_what_there_is),
		BITMAP_TEST(options_of_manual_protect_are_checked),
		BITMAP_TEST(what_the_guest_writes_is_in_the_log),
		BITMAP_TEST(the_last_word_is_padded),
		BITMAP_TEST(get_and_clear),
		BITMAP_TEST(initially_everything_is_set),
		BITMAP_TEST(bad_calls_are_refused),
		RING_TEST(ring_sizes_are_checked),
		RING_TEST(rings_come_before_vcpus),
		RING_TEST(a_ring_is_mapped_shared_and_not_as_code),
		RING_TEST(a_ring_names_pages_in_the_order_of_their_writing),
		RING_TEST(a_full_ring_keeps_the_guest_out_until_it_is_reset),
	};

	return cmocka_run_group_tests_name("dirty", tests, NULL, NULL);
}
