/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of descriptors: dup, close in any order, fork, leaks, what is not ours. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/kvm/kvm_fixture.h"

/* ---- the device --------------------------------------------------------------------------- */

static void device_is_there(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(access("/dev/kvm", R_OK | W_OK), 0);
	assert_int_equal(stat("/dev/kvm", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(major(st.st_rdev), 10);
	assert_int_equal(minor(st.st_rdev), 232);
}

static void device_opens_by_other_spellings(void **state)
{
	int dev = open("/dev", O_RDONLY | O_DIRECTORY);
	int fds[] = {open("/dev/kvm", O_RDONLY), open("//dev/./kvm", O_RDWR),
		     open("/dev/../dev/kvm", O_RDWR), openat(dev, "kvm", O_RDWR),
		     openat(AT_FDCWD, "/dev/kvm", O_RDWR | O_CLOEXEC)};

	(void)state;
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		assert_true(fds[i] >= 0);
		assert_int_equal(ioctl(fds[i], KVM_GET_API_VERSION, 0), 12);
	}
	assert_int_equal(fcntl(fds[0], F_GETFD), 0);
	assert_int_equal(fcntl(fds[4], F_GETFD), FD_CLOEXEC);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
	close(dev);
}

static void other_paths_are_not_the_device(void **state)
{
	(void)state;
	assert_int_equal(open("/dev/kvm/", O_RDWR), -1);
	assert_int_equal(open("/nonexistent/kvm", O_RDWR), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(access("/tmp/none/kvm", F_OK), -1);
}

/* ---- names of one object ------------------------------------------------------------------- */

static void duplicates_are_the_same_vm(void **state)
{
	const struct fixture *f = *state;
	int a = dup(f->vm);
	int b = fcntl(f->vm, F_DUPFD_CLOEXEC, 100);
	int c = dup2(f->vm, 120);

	assert_int_equal(ioctl(a, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY), 1);
	assert_true(b >= 100);
	assert_int_equal(fcntl(b, F_GETFD), FD_CLOEXEC);
	assert_int_equal(c, 120);
	/* The same: id 0 is taken there too. */
	assert_int_equal(ioctl(c, KVM_CREATE_VCPU, 0), -1);
	assert_int_equal(errno, EEXIST);
	close(a);
	close(b);
	assert_int_equal(ioctl(c, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY), 1);
	/* Replaced by something else, the number is something else. */
	a = open("/dev/null", O_RDONLY);
	assert_int_equal(dup2(a, c), c);
	assert_int_equal(ioctl(c, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY), -1);
	assert_int_equal(errno, ENOTTY);
	close(a);
	close(c);
}

static void vm_lives_while_a_vcpu_does(void **state)
{
	struct fixture *f = *state;

	LOAD(f, 0xf4);
	close(f->vm);
	close(f->sys);
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_HLT);
	f->sys = open("/dev/kvm", O_RDWR);
	f->vm = dup(f->sys);
}

static void closed_descriptors_are_ebadf(void **state)
{
	struct fixture *f = *state;
	int fd = dup(f->vcpu);

	close(fd);
	assert_int_equal(ioctl_errno(fd, KVM_GET_REGS, NULL), EBADF);
	assert_int_equal(ioctl_errno(fd, KVM_RUN, NULL), EBADF);
	assert_int_equal(ioctl_errno(-1, KVM_RUN, NULL), EBADF);
	assert_int_equal(ioctl_errno(1 << 30, KVM_RUN, NULL), EBADF);
}

static void foreign_descriptors_are_enotty(void **state)
{
	int fd = open("/dev/null", O_RDWR);

	(void)state;
	assert_int_equal(ioctl_errno(fd, KVM_RUN, NULL), ENOTTY);
	assert_int_equal(ioctl_errno(fd, KVM_CREATE_VM, NULL), ENOTTY);
	close(fd);
}

/* Closed by a raw system call, where no interposition sees it. */
static void a_number_closed_unseen_is_forgotten(void **state)
{
	const struct fixture *f = *state;
	int fd = dup(f->vm);
	int null;

	syscall(SYS_close, fd);
	assert_int_equal(ioctl_errno(fd, KVM_CHECK_EXTENSION, NULL), EBADF);
	fd = dup(f->vm);
	syscall(SYS_close, fd);
	null = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
	assert_int_equal(null, fd);
	assert_int_equal(ioctl_errno(null, KVM_CHECK_EXTENSION, NULL), ENOTTY);
	close(null);
}

static void no_reading_writing_or_mapping(void **state)
{
	const struct fixture *f = *state;
	const int fds[] = {f->sys, f->vm, f->vcpu};
	char byte = 0;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(read(fds[i], &byte, 1), -1);
		assert_int_equal(errno, EINVAL);
		assert_int_equal(write(fds[i], &byte, 1), -1);
		assert_int_equal(errno, EINVAL);
		assert_int_equal(pread(fds[i], &byte, 1, 0), -1);
	}
	for (int i = 0; i < 2; i++) {
		assert_ptr_equal(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fds[i], 0), MAP_FAILED);
		assert_int_equal(errno, ENODEV);
	}
}

/* ---- fork -------------------------------------------------------------------- */

static int in_child(int (*fn)(const struct fixture *f), const struct fixture *f)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int use_the_parents(const struct fixture *f)
{
	struct kvm_regs regs;

	if (ioctl_errno(f->vcpu, KVM_RUN, NULL) != EIO)
		return 1;
	if (ioctl_errno(f->vcpu, KVM_GET_REGS, &regs) != EIO)
		return 2;
	if (ioctl_errno(f->vm, KVM_CREATE_VCPU, (void *)1) != EIO)
		return 3;
	if (ioctl(f->sys, KVM_GET_API_VERSION, 0) != 12)
		return 4;
	close(f->vcpu);
	close(f->vm);
	return munmap(f->mem, FIXTURE_MEM) ? 5 : 0;
}

static int make_its_own(const struct fixture *parents)
{
	void *state;
	struct fixture *f;

	(void)parents;
	fixture_setup(&state);
	f = state;
	LOAD(f, 0xf4);
	if (run_errno(f) || f->run->exit_reason != KVM_EXIT_HLT)
		return 1;
	fixture_teardown(&state);
	return 0;
}

static void a_child_cannot_use_the_vm(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(in_child(use_the_parents, f), 0);
	LOAD(f, 0xf4);
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_HLT);
}

static void a_child_has_vms_of_its_own(void **state)
{
	assert_int_equal(in_child(make_its_own, *state), 0);
}

/* What a child of vfork closes is its own descriptor, in our memory. */
static void a_vfork_child_may_close(void **state)
{
	const struct fixture *f = *state;
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		close(f->vcpu);
		close_range(3, ~0u, 0);
		_exit(3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 3);
	LOAD(*state, 0xf4);
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_HLT);
}

/* ---- leaks ------------------------------------------------------------------- */

static void one_life(void)
{
	void *state;
	struct fixture *f;

	fixture_setup(&state);
	f = state;
	LOAD(f, 0xa2, 0x00, 0x50, 0xf4); /* mov %al, 0x5000; hlt */
	assert_int_equal(run_errno(f), 0);
	assert_int_equal(f->run->exit_reason, KVM_EXIT_HLT);
	fixture_teardown(&state);
}

static long address_space_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = 0;

	assert_int_equal(fscanf(file, "%ld", &pages), 1);
	fclose(file);
	return pages * 4;
}

#define LIVES 200

static void nothing_is_left_behind(void **state)
{
	long kib;
	int fds;

	(void)state;
	for (int i = 0; i < 20; i++)
		one_life();
	fds = count_open_fds();
	kib = address_space_kib();
	for (int i = 0; i < LIVES; i++)
		one_life();
	assert_int_equal(count_open_fds(), fds);
#ifdef __SANITIZE_ADDRESS__
	/* It keeps what is freed for a while, and looks for leaks itself. */
	(void)kib;
	return;
#endif
	/* Less than a page table's worth for each; the allocator may keep something once. */
	assert_in_range(address_space_kib() - kib + 1024, 0, 1024 + 512);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_is_there),
		cmocka_unit_test(device_opens_by_other_spellings),
		cmocka_unit_test(other_paths_are_not_the_device),
		TEST(duplicates_are_the_same_vm),
		TEST(vm_lives_while_a_vcpu_does),
		TEST(closed_descriptors_are_ebadf),
		TEST(foreign_descriptors_are_enotty),
		TEST(a_number_closed_unseen_is_forgotten),
		TEST(no_reading_writing_or_mapping),
		TEST(a_child_cannot_use_the_vm),
		TEST(a_child_has_vms_of_its_own),
		TEST(a_vfork_child_may_close),
		cmocka_unit_test(nothing_is_left_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
