/* SPDX-License-Identifier: BSD-2-Clause */
/* KVM_GET_STATS_FD: the form of the file, and figures that a known guest leaves in it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/kvm/kvm_fixture.h"
#include "tests/kvm/stats_reader.h"

/* ---- the form ------------------------------------------------------------------------------- */

/* Every block inside the file, none over another, every name once and ended. */
static void check_form(int fd, const char *id_start)
{
	struct stats s = stats_open(fd);
	const struct kvm_stats_header *h = &s.header;
	uint32_t offset = 0;
	char id[64] = "";

	assert_int_equal(h->flags, 0);
	assert_true(h->id_offset >= sizeof(*h));
	assert_true(h->desc_offset >= h->id_offset + h->name_size);
	assert_true(h->data_offset >= h->desc_offset + h->num_desc * stats_desc_bytes(&s));
	assert_int_equal(pread(s.fd, id, h->name_size, h->id_offset), h->name_size);
	assert_memory_equal(id, id_start, strlen(id_start));
	for (uint32_t i = 0; i < h->num_desc; i++) {
		assert_true(strlen(stats_desc(&s, i)->name) < h->name_size);
		assert_ptr_equal(stats_find(&s, stats_desc(&s, i)->name), stats_desc(&s, i));
		assert_int_equal(stats_desc(&s, i)->offset, offset);
		offset += stats_desc(&s, i)->size * (uint32_t)sizeof(uint64_t);
	}
	assert_int_equal(lseek(s.fd, 0, SEEK_END), h->data_offset + offset);
	stats_close(&s);
}

static void files_have_their_form(void **state)
{
	const struct fixture *f = *state;
	char id[64];

	snprintf(id, sizeof(id), "kvm-%d", (int)getpid());
	check_form(f->vm, id);
	snprintf(id, sizeof(id), "kvm-%d/vcpu-0", (int)getpid());
	check_form(f->vcpu, id);
	assert_int_equal(ioctl(f->sys, KVM_CHECK_EXTENSION, KVM_CAP_BINARY_STATS_FD), 1);
}

/* Those of Linux 6.12 on x86: KVM_GENERIC_VM_STATS(), kvm_vm_stats_desc[] and their like. */
static const char *const vm_names[] = {"remote_tlb_flush_requests",
				       "remote_tlb_flush",
				       "mmu_shadow_zapped",
				       "mmu_pte_write",
				       "mmu_pde_zapped",
				       "mmu_flooded",
				       "mmu_recycled",
				       "mmu_cache_miss",
				       "mmu_unsync",
				       "pages_4k",
				       "pages_2m",
				       "pages_1g",
				       "nx_lpage_splits",
				       "max_mmu_rmap_size",
				       "max_mmu_page_hash_collisions"};
static const char *const vcpu_names[] = {"halt_successful_poll",
					 "halt_attempted_poll",
					 "halt_poll_invalid",
					 "halt_wakeup",
					 "halt_poll_success_ns",
					 "halt_poll_fail_ns",
					 "halt_wait_ns",
					 "halt_poll_success_hist",
					 "halt_poll_fail_hist",
					 "halt_wait_hist",
					 "blocking",
					 "pf_taken",
					 "pf_fixed",
					 "pf_emulate",
					 "pf_spurious",
					 "pf_fast",
					 "pf_mmio_spte_created",
					 "pf_guest",
					 "tlb_flush",
					 "invlpg",
					 "exits",
					 "io_exits",
					 "mmio_exits",
					 "signal_exits",
					 "irq_window_exits",
					 "nmi_window_exits",
					 "l1d_flush",
					 "halt_exits",
					 "request_irq_exits",
					 "irq_exits",
					 "host_state_reload",
					 "fpu_reload",
					 "insn_emulation",
					 "insn_emulation_fail",
					 "hypercalls",
					 "irq_injections",
					 "nmi_injections",
					 "req_event",
					 "nested_run",
					 "directed_yield_attempted",
					 "directed_yield_successful",
					 "preemption_reported",
					 "preemption_other",
					 "guest_mode",
					 "notify_window_exits"};

static void check_names(int of, const char *const *names, size_t nr)
{
	struct stats s = stats_open(of);

	assert_int_equal(s.header.num_desc, nr);
	for (size_t i = 0; i < nr; i++)
		assert_non_null(stats_find(&s, names[i]));
	stats_close(&s);
}

static void names_are_kvms(void **state)
{
	const struct fixture *f = *state;

	check_names(f->vm, vm_names, sizeof(vm_names) / sizeof(vm_names[0]));
	check_names(f->vcpu, vcpu_names, sizeof(vcpu_names) / sizeof(vcpu_names[0]));
}

static void kinds_are_annotated(void **state)
{
	const struct fixture *f = *state;
	struct stats vm = stats_open(f->vm), vcpu = stats_open(f->vcpu);
	const uint32_t type = KVM_STATS_TYPE_MASK, unit = KVM_STATS_UNIT_MASK;

	assert_int_equal(stats_find(&vm, "remote_tlb_flush")->flags & type,
			 KVM_STATS_TYPE_CUMULATIVE);
	assert_int_equal(stats_find(&vm, "pages_4k")->flags & type, KVM_STATS_TYPE_INSTANT);
	assert_int_equal(stats_find(&vm, "max_mmu_page_hash_collisions")->flags & type,
			 KVM_STATS_TYPE_PEAK);
	assert_int_equal(stats_find(&vcpu, "halt_wait_hist")->flags & type,
			 KVM_STATS_TYPE_LOG_HIST);
	assert_int_equal(stats_find(&vcpu, "halt_wait_ns")->flags & unit, KVM_STATS_UNIT_SECONDS);
	assert_int_equal(stats_find(&vcpu, "halt_wait_ns")->exponent, -9);
	assert_int_equal(stats_find(&vcpu, "blocking")->flags & unit, KVM_STATS_UNIT_BOOLEAN);
	stats_close(&vm);
	stats_close(&vcpu);
}

static void reads_in_any_way_agree(void **state)
{
	const struct fixture *f = *state;
	struct stats s = stats_open(f->vcpu);
	size_t bytes = (size_t)lseek(s.fd, 0, SEEK_END);
	uint8_t *whole = malloc(bytes), *parts = malloc(bytes);
	struct iovec iov[2] = {{parts, 100}, {parts + 100, bytes - 100}};

	assert_int_equal(pread(s.fd, whole, bytes + 1000, 0), bytes);
	assert_int_equal(lseek(s.fd, 0, SEEK_SET), 0);
	for (size_t at = 0; at < bytes; at += 7)
		assert_true(read(s.fd, parts + at, bytes - at < 7 ? bytes - at : 7) > 0);
	assert_int_equal(read(s.fd, parts, 1), 0);
	assert_memory_equal(whole, parts, bytes);
	memset(parts, 0, bytes);
	assert_int_equal(preadv(s.fd, iov, 2, 0), bytes);
	assert_memory_equal(whole, parts, bytes);
	assert_int_equal(pread(s.fd, whole, 8, (off_t)bytes + 5), 0);
	free(whole);
	free(parts);
	stats_close(&s);
}

static void files_can_only_be_read(void **state)
{
	const struct fixture *f = *state;
	struct stats s = stats_open(f->vm);

	assert_int_equal(fcntl(s.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(write(s.fd, "x", 1), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(pwrite(s.fd, "x", 1, 0), -1);
	assert_int_equal(errno, EBADF);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ, MAP_SHARED, s.fd, 0), MAP_FAILED);
	assert_int_equal(errno, ENODEV);
	assert_int_equal(ioctl_errno(s.fd, KVM_GET_API_VERSION, NULL), ENOTTY);
	assert_int_equal(ftruncate(s.fd, 0), -1);
	stats_close(&s);
}

/* ---- the figures ------------------------------------------------------------------------ */

/* Store to eight pages, write a port twice, store to a device, halt. */
GUEST16(visitor, "mov $0x2000, %di\n"
		 "mov $8, %cx\n"
		 "1: movb $1, (%di)\n"
		 "add $0x1000, %di\n"
		 "loop 1b\n"
		 "out %al, $0x10\n"
		 "out %al, $0x10\n"
		 "mov $0xf000, %ax\n"
		 "mov %ax, %es\n"
		 "movb $1, %es:(0xffff)\n"
		 "hlt\n");

static void leave_room_for_a_device(const struct fixture *f)
{
	struct kvm_userspace_memory_region region = {.userspace_addr = (uintptr_t)f->mem};

	assert_int_equal(ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &region), 0);
	region.memory_size = 0x10000;
	assert_int_equal(ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &region), 0);
	assert_int_equal(madvise(f->mem, FIXTURE_MEM, MADV_NOHUGEPAGE), 0);
}

static void run_visitor(const struct fixture *f)
{
	run_to(f, KVM_EXIT_IO);
	run_to(f, KVM_EXIT_IO);
	run_to(f, KVM_EXIT_MMIO);
	run_to(f, KVM_EXIT_HLT);
}

static void a_known_guest_leaves_known_figures(void **state)
{
	struct fixture *f = *state;
	struct stats vm = stats_open(f->vm), vcpu = stats_open(f->vcpu);

	LOAD_GUEST(f, visitor);
	leave_room_for_a_device(f);
	assert_int_equal(stats_value(&vcpu, "exits"), 0);
	run_visitor(f);
	assert_int_equal(stats_value(&vcpu, "io_exits"), 2);
	assert_int_equal(stats_value(&vcpu, "mmio_exits"), 1);
	assert_int_equal(stats_value(&vcpu, "halt_exits"), 1);
	assert_int_equal(stats_value(&vcpu, "signal_exits"), 0);
	/* The code's page and eight more; the device. */
	assert_int_equal(stats_value(&vcpu, "pf_fixed"), 9);
	assert_int_equal(stats_value(&vcpu, "pf_emulate"), 1);
	assert_int_equal(stats_value(&vcpu, "pf_taken"), 10);
	assert_int_equal(stats_value(&vcpu, "insn_emulation"), 1);
	assert_int_equal(stats_value(&vcpu, "pf_mmio_spte_created"), 1);
	/* Each fault and each return to us. */
	assert_true(stats_value(&vcpu, "exits") >= 14);
	assert_int_equal(stats_value(&vm, "pages_4k"), 9);
	assert_int_equal(stats_value(&vm, "pages_2m"), 0);
	assert_int_equal(munmap(f->mem + 0x2000, 0x3000), 0);
	assert_int_equal(stats_value(&vm, "pages_4k"), 6);
	/* Nobody was in the guest. */
	assert_true(stats_value(&vm, "remote_tlb_flush_requests") >= 1);
	assert_int_equal(stats_value(&vm, "remote_tlb_flush"), 0);
	stats_close(&vm);
	stats_close(&vcpu);
}

static void the_file_keeps_its_vm(void **state)
{
	struct fixture *f = *state;
	struct stats s = stats_open(f->vcpu);

	LOAD_GUEST(f, visitor);
	leave_room_for_a_device(f);
	run_visitor(f);
	close(f->vcpu);
	close(f->vm);
	assert_int_equal(stats_value(&s, "io_exits"), 2);
	stats_close(&s);
	f->vm = f->vcpu = -1;
}

static void *read_on_and_on(void *arg)
{
	struct stats *s = arg;

	for (int i = 0; i < 300; i++)
		stats_value(s, "pages_4k");
	return NULL;
}

/* For the thread sanitizer: readers against each other and against a running vCPU. */
static void many_may_read_while_the_guest_runs(void **state)
{
	struct fixture *f = *state;
	struct stats s = stats_open(f->vm), vcpu = stats_open(f->vcpu);
	pthread_t reader[2];

	LOAD_GUEST(f, visitor);
	leave_room_for_a_device(f);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&reader[i], NULL, read_on_and_on, &s), 0);
	for (int i = 0; i < 100; i++) {
		LOAD_GUEST(f, visitor);
		run_visitor(f);
		assert_int_equal(stats_value(&vcpu, "halt_exits"), i + 1);
		madvise(f->mem + 0x2000, 0x8000, MADV_DONTNEED);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(reader[i], NULL);
	stats_close(&s);
	stats_close(&vcpu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_have_their_form, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(names_are_kvms, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(kinds_are_annotated, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(reads_in_any_way_agree, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(files_can_only_be_read, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(a_known_guest_leaves_known_figures, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(the_file_keeps_its_vm, fixture_setup,
						fixture_teardown),
		cmocka_unit_test_setup_teardown(many_may_read_while_the_guest_runs, fixture_setup,
						fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
