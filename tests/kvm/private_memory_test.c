/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private memory as a program sees it: each call with good and bad arguments,
 * and descriptors to the end of their life.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/kvm_para.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/kvm/private_fixture.h"

#define KEEP  FALLOC_FL_KEEP_SIZE
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

/* ---- what is announced ---------------------------------------------------- */

static long capability(int fd, long number)
{
	return ioctl(fd, KVM_CHECK_EXTENSION, number);
}

static void capabilities_depend_on_the_vm(void **state)
{
	const struct fixture *f = *state;
	int plain = ioctl(f->sys, KVM_CREATE_VM, KVM_X86_DEFAULT_VM);

	assert_int_equal(capability(f->sys, KVM_CAP_VM_TYPES), 3);
	assert_int_equal(capability(f->sys, KVM_CAP_MEMORY_ATTRIBUTES), PRIVATE);
	assert_int_equal(capability(f->vm, KVM_CAP_MEMORY_ATTRIBUTES), PRIVATE);
	assert_int_equal(capability(plain, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	assert_int_equal(capability(f->sys, KVM_CAP_GUEST_MEMFD), 1);
	assert_int_equal(capability(f->vm, KVM_CAP_GUEST_MEMFD), 1);
	assert_int_equal(capability(plain, KVM_CAP_GUEST_MEMFD), 0);
	assert_int_equal(capability(plain, KVM_CAP_USER_MEMORY2), 1);
	assert_int_equal(capability(plain, KVM_CAP_MEMORY_FAULT_INFO), 1);
	assert_int_equal(capability(plain, KVM_CAP_PRE_FAULT_MEMORY), 1);
	assert_int_equal(capability(plain, KVM_CAP_EXIT_HYPERCALL), 1 << KVM_HC_MAP_GPA_RANGE);
	/* Without private memory there are no attributes but none. */
	assert_int_equal(set_attributes(plain, 0, PAGE, PRIVATE), EINVAL);
	assert_int_equal(set_attributes(plain, 0, PAGE, 0), 0);
	close(plain);
	assert_int_equal(ioctl(f->sys, KVM_CREATE_VM, 2), -1);
	assert_int_equal(errno, EINVAL);
}

/* ---- bad arguments -------------------------------------------------------- */

struct create_row {
	uint64_t size, flags;
	int wanted;
};

static const struct create_row create_rows[] = {
	{0, 0, EINVAL},		 {1, 0, EINVAL},     {PAGE - 1, 0, EINVAL},
	{PAGE + 1, 0, EINVAL},	 {PAGE, 1, EINVAL},  {PAGE, 1ull << 63, EINVAL},
	{1ull << 63, 0, EINVAL}, {-PAGE, 0, EINVAL}, {PAGE, 0, 0},
	{1ull << 38, 0, 0}, /* no page is there before it is touched */
	{1ull << 62, 0, ENOMEM},
};

static void bad_files(void **state)
{
	const struct fixture *f = *state;
	int before = count_open_fds();

	for (size_t i = 0; i < sizeof(create_rows) / sizeof(create_rows[0]); i++) {
		const struct create_row *row = &create_rows[i];
		int fd = create_gmem(f->vm, row->size, row->flags);
		int got = fd < 0 ? errno : 0;

		if (got != row->wanted)
			fail_msg("size 0x%llx: %s", (unsigned long long)row->size, strerror(got));
		if (fd >= 0)
			close(fd);
	}
	assert_int_equal(count_open_fds(), before);
}

struct attribute_row {
	struct kvm_memory_attributes args;
	int wanted;
};

static const struct attribute_row attribute_rows[] = {
	{{0, 0, PRIVATE, 0}, EINVAL},
	{{1, PAGE, PRIVATE, 0}, EINVAL},
	{{0, PAGE + 1, PRIVATE, 0}, EINVAL},
	{{-PAGE, PAGE, PRIVATE, 0}, EINVAL}, /* the end wraps */
	{{-PAGE, 2 * PAGE, PRIVATE, 0}, EINVAL},
	{{0, PAGE, PRIVATE, 1}, EINVAL},
	{{0, PAGE, 1, 0}, EINVAL},
	{{0, PAGE, PRIVATE | 1, 0}, EINVAL},
	{{0, PAGE, 1ull << 63, 0}, EINVAL},
	{{-2 * PAGE, PAGE, PRIVATE, 0}, 0},
	{{0, -PAGE, PRIVATE, 0}, 0}, /* nearly all there is, slots or not */
	{{0, -PAGE, 0, 0}, 0},
};

static void bad_attributes(void **state)
{
	const struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(attribute_rows) / sizeof(attribute_rows[0]); i++) {
		struct kvm_memory_attributes args = attribute_rows[i].args;
		int got = ioctl_errno(f->vm, KVM_SET_MEMORY_ATTRIBUTES, &args);

		if (got != attribute_rows[i].wanted)
			fail_msg("row %zu: %s", i, strerror(got));
	}
}

struct slot_row {
	const char *name;
	uint64_t gpa, bytes, offset;
	uint32_t flags;
	int fd; /* of the file that slot 1 is bound to in its first half; or another number */
	int wanted;
};

#define THE_FILE   (-100)
#define VM_FILE	   (-101)
#define PLAIN_FILE (-102)
#define OTHERS	   (-103)
#define GMEM	   KVM_MEM_GUEST_MEMFD
#define HALF	   (DATA_BYTES / 2)

static const struct slot_row slot_rows[] = {
	{"no descriptor", FREE_GPA, PAGE, HALF, GMEM, -1, EBADF},
	{"closed descriptor", FREE_GPA, PAGE, HALF, GMEM, 999, EBADF},
	{"the VM", FREE_GPA, PAGE, HALF, GMEM, VM_FILE, EINVAL},
	{"a plain memfd", FREE_GPA, PAGE, HALF, GMEM, PLAIN_FILE, EINVAL},
	{"another VM's", FREE_GPA, PAGE, HALF, GMEM, OTHERS, EINVAL},
	{"overlap before the descriptor", DATA_GPA, PAGE, HALF, GMEM, -1, EEXIST},
	{"misaligned offset", FREE_GPA, PAGE, HALF + 8, GMEM, THE_FILE, EINVAL},
	{"wrapping offset", FREE_GPA, 2 * PAGE, -PAGE, GMEM, THE_FILE, EINVAL},
	{"beyond the end", FREE_GPA, HALF + PAGE, HALF, GMEM, THE_FILE, EINVAL},
	{"bound already", FREE_GPA, 2 * PAGE, HALF - PAGE, GMEM, THE_FILE, EINVAL},
	{"logged", FREE_GPA, PAGE, HALF, GMEM | KVM_MEM_LOG_DIRTY_PAGES, THE_FILE, EINVAL},
	{"read-only", FREE_GPA, PAGE, HALF, GMEM | KVM_MEM_READONLY, THE_FILE, EINVAL},
	{"unknown flag", FREE_GPA, PAGE, HALF, 1u << 4, THE_FILE, EINVAL},
	{"without the flag", FREE_GPA, PAGE, 1, 0, -1, 0},
	{"good", FREE_GPA + PAGE, HALF, HALF, GMEM, THE_FILE, EINVAL}, /* slot 2 lives */
};

static void bad_slots(void **state)
{
	const struct fixture *f = *state;
	int other_vm = ioctl(f->sys, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	int others = create_gmem(other_vm, DATA_BYTES, 0);
	int plain = memfd_create("plain", MFD_CLOEXEC);

	assert_int_equal(set_slot2(f, 1, DATA_GPA, 0, 0, -1, 0), 0);
	assert_int_equal(set_slot2(f, 1, DATA_GPA, HALF, GMEM, gmem, 0), 0);
	for (size_t i = 0; i < sizeof(slot_rows) / sizeof(slot_rows[0]); i++) {
		const struct slot_row *row = &slot_rows[i];
		int fd = row->fd == THE_FILE	 ? gmem
			 : row->fd == VM_FILE	 ? f->vm
			 : row->fd == PLAIN_FILE ? plain
			 : row->fd == OTHERS	 ? others
						 : row->fd;
		int got = set_slot2(f, 2, row->gpa, row->bytes, row->flags, fd, row->offset);

		if (got != row->wanted)
			fail_msg("%s: %s", row->name, strerror(got));
	}
	close(plain);
	close(others);
	close(other_vm);
}

/* The older call knows nothing of it. */
static void first_version_of_the_call_refuses_the_flag(void **state)
{
	const struct fixture *f = *state;
	struct kvm_userspace_memory_region region = {
		.slot = 3,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = FREE_GPA,
		.memory_size = PAGE,
		.userspace_addr = (uintptr_t)f->mem,
	};

	assert_int_equal(ioctl_errno(f->vm, KVM_SET_USER_MEMORY_REGION, &region), EINVAL);
}

/* ---- the descriptor ------------------------------------------------------- */

struct fallocate_row {
	int mode;
	off_t offset, length;
	int wanted;
};

static const struct fallocate_row fallocate_rows[] = {
	{KEEP, 0, DATA_BYTES, 0},
	{KEEP, PAGE, PAGE, 0},
	{0, 0, PAGE, EOPNOTSUPP},
	{FALLOC_FL_PUNCH_HOLE, 0, PAGE, EOPNOTSUPP},
	{KEEP | FALLOC_FL_ZERO_RANGE, 0, PAGE, EOPNOTSUPP},
	{FALLOC_FL_COLLAPSE_RANGE, 0, PAGE, EOPNOTSUPP},
	{KEEP, -1, PAGE, EINVAL},
	{KEEP, 0, 0, EINVAL},
	{KEEP, 0, -4096, EINVAL},
	{KEEP, 1, PAGE, EINVAL},
	{KEEP, 0, 1, EINVAL},
	{KEEP, DATA_BYTES, PAGE, EINVAL},
	{KEEP, 0, DATA_BYTES + PAGE, EINVAL},
	{KEEP, 0x7ffffffffffff000, PAGE, EFBIG},
	{PUNCH, 0, PAGE, 0},
	{PUNCH, DATA_BYTES, PAGE, 0},
	{PUNCH, 0, DATA_BYTES + PAGE, 0},
	{PUNCH, PAGE - 1, PAGE, EINVAL},
	{PUNCH, PAGE, PAGE - 1, EINVAL},
	{PUNCH, 0x7ffffffffffff000, PAGE, EFBIG},
};

static void fallocate_as_the_file_allows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(fallocate_rows) / sizeof(fallocate_rows[0]); i++) {
		const struct fallocate_row *row = &fallocate_rows[i];
		int got = fallocate_errno(gmem, row->mode, row->offset, row->length);

		if (got != row->wanted)
			fail_msg("row %zu: %s", i, strerror(got));
	}
}

static void only_memory_can_be_allocated(void **state)
{
	const struct fixture *f = *state;

	assert_int_equal(fallocate_errno(f->vm, KEEP, 0, PAGE), ENODEV);
	assert_int_equal(fallocate_errno(f->vcpu, KEEP, 0, PAGE), ENODEV);
	assert_int_equal(ftruncate(f->vcpu, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ioctl_errno(gmem, KVM_GET_API_VERSION, NULL), ENOTTY);
	assert_int_equal(ioctl_errno(gmem, KVM_RUN, NULL), ENOTTY);
}

static void the_program_cannot_look_inside(void **state)
{
	struct fixture *f = *state;
	char buf[8] = "unread";
	struct iovec iov = {buf, sizeof(buf)};
	struct stat st;
	char *raw;

	assert_int_equal(set_attributes(f->vm, DATA_GPA, DATA_BYTES, PRIVATE), 0);
	load_writer(f);
	run_to(f, KVM_EXIT_HLT);
	assert_int_equal(f->mem[DATA_GPA], 0);

	assert_int_equal(fstat(gmem, &st), 0);
	assert_int_equal(st.st_size, DATA_BYTES);
	assert_int_equal(st.st_blksize, PAGE);
	assert_int_equal(read(gmem, buf, 8), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(write(gmem, buf, 8), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(readv(gmem, &iov, 1), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(pread(gmem, buf, 8, 0), -1);
	assert_int_equal(errno, ESPIPE);
	assert_int_equal(pwrite(gmem, buf, 8, 0), -1);
	assert_int_equal(errno, ESPIPE);
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, gmem, 0), MAP_FAILED);
	assert_int_equal(errno, ENODEV);
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, gmem, 0), MAP_FAILED);
	assert_int_equal(errno, ENODEV);
	assert_int_equal(ftruncate(gmem, 0), -1);
	assert_int_equal(errno, EINVAL);

	/* Nor by going around us: what is behind the number is not the memory. */
	assert_int_equal(syscall(SYS_pwrite64, gmem, "x", 1, 0), -1);
	assert_int_equal(syscall(SYS_pread64, gmem, buf, 1, 0), 1);
	assert_int_equal(buf[0], 0);
	raw = (char *)syscall(SYS_mmap, NULL, PAGE, PROT_READ, MAP_PRIVATE, gmem, 0);
	if (raw != MAP_FAILED) {
		assert_int_equal(raw[0], 0);
		munmap(raw, PAGE);
	}
}

static void a_child_of_fork_has_no_part_in_it(void **state)
{
	const struct fixture *f = *state;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int err = fallocate_errno(gmem, PUNCH, 0, PAGE);

		close(gmem);
		_exit(err);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), EIO);
	/* Closed there, it is open here, and bound. */
	assert_int_equal(set_attributes(f->vm, DATA_GPA, DATA_BYTES, PRIVATE), 0);
	load_writer(*state);
	run_to(f, KVM_EXIT_HLT);
}

/* ---- the end of a file ---------------------------------------------------- */

static void a_slot_does_not_keep_its_file(void **state)
{
	struct fixture *f = *state;
	int second = dup(gmem);

	assert_int_equal(set_attributes(f->vm, DATA_GPA, DATA_BYTES, PRIVATE), 0);
	load_writer(f);
	run_to(f, KVM_EXIT_HLT);
	close(gmem);
	gmem = -1;
	load_writer(f);
	run_to(f, KVM_EXIT_HLT);
	/* The last name. */
	close(second);
	load_writer(f);
	run_to_memory_fault(f, DATA_GPA, PRIVATE);
	/* What the memory is, is the program's choice: it goes on as shared. */
	assert_int_equal(set_attributes(f->vm, DATA_GPA, DATA_BYTES, 0), 0);
	run_to(f, KVM_EXIT_HLT);
	assert_int_equal(f->mem[DATA_GPA], 0x77);
	assert_int_equal(set_slot2(f, 1, DATA_GPA, 0, 0, -1, 0), 0);
}

/* It keeps its VM, though: the memory can be given back after everything else is closed. */
static void a_file_outlives_its_vms_descriptors(void **state)
{
	struct fixture *f = *state;

	close(f->vcpu);
	close(f->vm);
	assert_int_equal(fallocate_errno(gmem, KEEP, 0, DATA_BYTES), 0);
	assert_int_equal(fallocate_errno(gmem, PUNCH, 0, DATA_BYTES), 0);
	close(gmem);
	gmem = -1;
	f->vm = ioctl(f->sys, KVM_CREATE_VM, 0);
	f->vcpu = dup(f->vm);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, private_setup, private_teardown)
	const struct CMUnitTest tests[] = {
		TEST(capabilities_depend_on_the_vm),
		TEST(bad_files),
		TEST(bad_attributes),
		TEST(bad_slots),
		TEST(first_version_of_the_call_refuses_the_flag),
		TEST(fallocate_as_the_file_allows),
		TEST(only_memory_can_be_allocated),
		TEST(the_program_cannot_look_inside),
		TEST(a_child_of_fork_has_no_part_in_it),
		TEST(a_slot_does_not_keep_its_file),
		TEST(a_file_outlives_its_vms_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
