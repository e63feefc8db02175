/* SPDX-License-Identifier: BSD-2-Clause */
/* Touching and populating pages of every kind of mapping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/touch.h"
#include "mmu/mmu_host.h"

static void on_fault(int sig, siginfo_t *info, void *ucontext)
{
	(void)info;
	if (!host_touch_fault(ucontext))
		_exit(128 + sig);
}

/* In each test: the test library installs handlers of its own around it. */
static void install_handler(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
	assert_int_equal(sigaction(SIGBUS, &action, NULL), 0);
}

static char *pages(int prot, int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	char *memory = mmap(NULL, 4 * PAGE_SIZE, prot, flags, fd, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	return memory;
}

struct expectation {
	const char *what;
	int prot;
	int read;
	int write;
};

static const struct expectation expectations[] = {
	{"read and write", PROT_READ | PROT_WRITE, 0, 0},
	{"read only", PROT_READ, 0, -EFAULT},
	{"nothing", PROT_NONE, -EFAULT, -EFAULT},
};

static void check_mapping(const struct expectation *e)
{
	char *memory = pages(e->prot, -1);

	if (mmu_host_faultin_page(ptr_to_hva(memory), false) != e->read)
		fail_msg("%s: read", e->what);
	if (mmu_host_faultin_page(ptr_to_hva(memory) + PAGE_SIZE, true) != e->write)
		fail_msg("%s: write", e->what);
	munmap(memory, 4 * PAGE_SIZE);
	assert_int_equal(mmu_host_faultin_page(ptr_to_hva(memory), false), -EFAULT);
}

static void check_hole_in_file(void)
{
	int fd = memfd_create("hole", MFD_CLOEXEC);
	char *memory;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, PAGE_SIZE), 0);
	memory = pages(PROT_READ | PROT_WRITE, fd);
	assert_int_equal(mmu_host_faultin_page(ptr_to_hva(memory), true), 0);
	assert_int_equal(mmu_host_faultin_page(ptr_to_hva(memory) + PAGE_SIZE, true), -EFAULT);
	munmap(memory, 4 * PAGE_SIZE);
	close(fd);
}

static void check_all(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(expectations); i++)
		check_mapping(&expectations[i]);
	check_hole_in_file();
}

static void populating_answers_with_an_errno(void **state)
{
	(void)state;
	assert_false(host_touch_enabled());
	check_all();
}

static void touching_answers_the_same(void **state)
{
	(void)state;
	install_handler();
	host_touch_enable();
	check_all();
}

static void touching_keeps_the_contents(void **state)
{
	char *memory = pages(PROT_READ | PROT_WRITE, -1);

	(void)state;
	install_handler();
	memory[0] = 0x5a;
	assert_int_equal(mmu_host_faultin_page(ptr_to_hva(memory), true), 0);
	assert_int_equal(memory[0], 0x5a);
	munmap(memory, 4 * PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(populating_answers_with_an_errno),
		cmocka_unit_test(touching_answers_the_same),
		cmocka_unit_test(touching_keeps_the_contents),
	};

	return cmocka_run_group_tests_name("touch", tests, NULL, NULL);
}
