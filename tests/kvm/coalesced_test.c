/* SPDX-License-Identifier: BSD-2-Clause */
/* Coalesced MMIO and port I/O: the ring, its zones, and that all vCPUs show the same one. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/kvm/kvm_fixture.h"

#define DEVICE 0x10000000ull
#define RING_MAX \
	((4096 - sizeof(struct kvm_coalesced_mmio_ring)) / sizeof(struct kvm_coalesced_mmio))
#define RING_PAGE ((unsigned long)KVM_COALESCED_MMIO_PAGE_OFFSET * 4096)

static int zone(const struct fixture *f, unsigned long request, uint64_t addr, uint32_t size,
		uint32_t pio)
{
	struct kvm_coalesced_mmio_zone z = {.addr = addr, .size = size, .pio = pio};

	return ioctl_errno(f->vm, request, &z);
}

static struct kvm_coalesced_mmio_ring *ring_of(const struct fixture *f)
{
	return (void *)((char *)f->run + RING_PAGE);
}

/* DS begins at the device. */
static void load_for_device(struct fixture *f, const uint8_t *code, size_t bytes)
{
	struct kvm_sregs sregs;

	fixture_load(f, code, bytes);
	assert_int_equal(ioctl_errno(f->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.ds.base = DEVICE;
	assert_int_equal(ioctl_errno(f->vcpu, KVM_SET_SREGS, &sregs), 0);
}
#define LOAD_DEVICE(f, name) load_for_device((f), name##_begin, (size_t)(name##_end - name##_begin))

GUEST16(writes, "movl $0x11223344, 0x10\n movw $0x5566, 0x16\n mov $0x77, %al\n out %al, $0x80\n"
		"movb $1, 0x20\n hlt");

static void writes_to_zones_go_to_the_ring(void **state)
{
	struct fixture *f = *state;
	struct kvm_coalesced_mmio_ring *ring = ring_of(f);

	assert_int_equal(ioctl(f->vm, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO),
			 KVM_COALESCED_MMIO_PAGE_OFFSET);
	assert_int_equal(zone(f, KVM_REGISTER_COALESCED_MMIO, DEVICE + 0x10, 8, 0), 0);
	assert_int_equal(zone(f, KVM_REGISTER_COALESCED_MMIO, 0x80, 1, 1), 0);
	LOAD_DEVICE(f, writes);
	run_to(f, KVM_EXIT_MMIO); /* the one that is in no zone */
	assert_int_equal(f->run->mmio.phys_addr, DEVICE + 0x20);
	assert_int_equal(ring->first, 0);
	assert_int_equal(ring->last, 3);
	assert_int_equal(ring->coalesced_mmio[0].phys_addr, DEVICE + 0x10);
	assert_int_equal(ring->coalesced_mmio[0].len, 4);
	assert_memory_equal(ring->coalesced_mmio[0].data, "\x44\x33\x22\x11", 4);
	assert_int_equal(ring->coalesced_mmio[1].phys_addr, DEVICE + 0x16);
	assert_int_equal(ring->coalesced_mmio[1].pio, 0);
	assert_int_equal(ring->coalesced_mmio[2].phys_addr, 0x80);
	assert_int_equal(ring->coalesced_mmio[2].pio, 1);
	assert_int_equal(ring->coalesced_mmio[2].data[0], 0x77);
}

GUEST16(straddles, "movl $1, 0x16\n hlt");

static void an_access_partly_outside_is_not_coalesced(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(zone(f, KVM_REGISTER_COALESCED_MMIO, DEVICE + 0x10, 8, 0), 0);
	LOAD_DEVICE(f, straddles);
	run_to(f, KVM_EXIT_MMIO);
	assert_int_equal(ring_of(f)->last, 0);
}

GUEST16(reads, "mov 0x10, %eax\n hlt");

static void reads_are_not_coalesced(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(zone(f, KVM_REGISTER_COALESCED_MMIO, DEVICE, 4096, 0), 0);
	LOAD_DEVICE(f, reads);
	run_to(f, KVM_EXIT_MMIO);
	assert_int_equal(f->run->mmio.is_write, 0);
}

GUEST16(many, "1: movl %ecx, 0x10\n inc %ecx\n jmp 1b");

static void a_full_ring_ends_the_run(void **state)
{
	struct fixture *f = *state;
	struct kvm_coalesced_mmio_ring *ring = ring_of(f);

	assert_int_equal(zone(f, KVM_REGISTER_COALESCED_MMIO, DEVICE, 4096, 0), 0);
	LOAD_DEVICE(f, many);
	run_to(f, KVM_EXIT_MMIO);
	assert_int_equal(ring->last, RING_MAX - 1);
	assert_int_equal(*(uint32_t *)(void *)f->run->mmio.data, RING_MAX - 1);
	ring->first = 10; /* ten are drained */
	run_to(f, KVM_EXIT_MMIO);
	assert_int_equal(ring->last, 9);
	assert_int_equal(*(uint32_t *)(void *)f->run->mmio.data, RING_MAX - 1 + 11);
}

static void garbage_indices_are_a_full_ring(void **state)
{
	struct fixture *f = *state;
	struct kvm_coalesced_mmio_ring *ring = ring_of(f);

	assert_int_equal(zone(f, KVM_REGISTER_COALESCED_MMIO, DEVICE, 4096, 0), 0);
	LOAD_DEVICE(f, many);
	ring->last = ~0u;
	run_to(f, KVM_EXIT_MMIO);
	ring->last = 0;
	ring->first = 1u << 31;
	run_to(f, KVM_EXIT_MMIO);
	assert_int_equal(*(uint32_t *)(void *)f->run->mmio.data, 1);
}

GUEST16(rep_outs, "mov $3, %cx\n mov $0x3000, %si\n mov $0x80, %dx\n rep outsw\n hlt");

static void string_writes_coalesce_as_a_whole(void **state)
{
	struct fixture *f = *state;
	struct kvm_coalesced_mmio_ring *ring = ring_of(f);

	assert_int_equal(zone(f, KVM_REGISTER_COALESCED_MMIO, 0x80, 2, 1), 0);
	LOAD_GUEST(f, rep_outs);
	memcpy(f->mem + 0x3000, "abcdef", 6);
	run_to(f, KVM_EXIT_HLT);
	assert_int_equal(ring->last, 3);
	assert_memory_equal(ring->coalesced_mmio[2].data, "ef", 2);
	LOAD_GUEST(f, rep_outs);
	ring->first = 6; /* room for two */
	run_to(f, KVM_EXIT_IO);
	assert_int_equal(f->run->io.count, 3);
	assert_int_equal(ring->last, 3);
}

static void unregistering_takes_covering_zones_away(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(zone(f, KVM_REGISTER_COALESCED_MMIO, DEVICE, 64, 0), 0);
	assert_int_equal(zone(f, KVM_UNREGISTER_COALESCED_MMIO, DEVICE + 0x100, 4, 0), 0);
	LOAD_DEVICE(f, writes);
	run_to(f, KVM_EXIT_IO); /* memory-mapped ones went to the ring */
	assert_int_equal(ring_of(f)->last, 2);
	assert_int_equal(zone(f, KVM_UNREGISTER_COALESCED_MMIO, DEVICE, 64, 1), 0);
	assert_int_equal(zone(f, KVM_UNREGISTER_COALESCED_MMIO, DEVICE + 0x20, 4, 0), 0);
	run_to(f, KVM_EXIT_MMIO);
}

static void bad_zones(void **state)
{
	const struct fixture *f = *state;
	unsigned int n = 0;

	assert_int_equal(zone(f, KVM_REGISTER_COALESCED_MMIO, 0, 1, 2), EINVAL);
	assert_int_equal(zone(f, KVM_UNREGISTER_COALESCED_MMIO, 0, 1, 2), EINVAL);
	assert_int_equal(ioctl_errno(f->vm, KVM_REGISTER_COALESCED_MMIO, NULL), EFAULT);
	while (zone(f, KVM_REGISTER_COALESCED_MMIO, n, 1, 1) == 0)
		n++;
	assert_int_equal(zone(f, KVM_REGISTER_COALESCED_MMIO, n, 1, 1), ENOSPC);
	assert_true(n >= 100);
}

static void all_vcpus_show_one_ring(void **state)
{
	struct fixture *f = *state;
	int second = ioctl(f->vm, KVM_CREATE_VCPU, 1);
	char *whole = mmap(NULL, RUN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, second, 0);
	struct kvm_coalesced_mmio_ring *part =
		mmap(NULL, 4096, PROT_READ, MAP_SHARED, second, (off_t)RING_PAGE);

	assert_ptr_not_equal(whole, MAP_FAILED);
	assert_ptr_not_equal(part, MAP_FAILED);
	assert_int_equal(zone(f, KVM_REGISTER_COALESCED_MMIO, DEVICE, 4096, 0), 0);
	LOAD_DEVICE(f, writes);
	run_to(f, KVM_EXIT_IO);
	assert_memory_equal(whole + RING_PAGE, ring_of(f), 4096);
	assert_memory_equal(part, ring_of(f), 4096);
	munmap(whole, RUN_BYTES);
	munmap(part, 4096);
	close(second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(writes_to_zones_go_to_the_ring),
		TEST(an_access_partly_outside_is_not_coalesced),
		TEST(reads_are_not_coalesced),
		TEST(a_full_ring_ends_the_run),
		TEST(garbage_indices_are_a_full_ring),
		TEST(string_writes_coalesce_as_a_whole),
		TEST(unregistering_takes_covering_zones_away),
		TEST(bad_zones),
		TEST(all_vcpus_show_one_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
