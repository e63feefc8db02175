/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random ioctls with random arguments and random guest code on a few VMs:
 * whatever the answers, the process lives, and afterwards a good VM works.
 *
 * Usage: random_calls_test [SEED [CALLS]]
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/kvm/kvm_fixture.h"

static uint64_t seed;
static unsigned long calls = 20000;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static uint64_t below(uint64_t n)
{
	return next_random() % n;
}

static const unsigned long requests[] = {
	KVM_CREATE_VCPU,
	KVM_SET_USER_MEMORY_REGION,
	KVM_CHECK_EXTENSION,
	KVM_SET_USER_MEMORY_REGION2,
	KVM_ENABLE_CAP,
	KVM_CREATE_IRQCHIP,
	KVM_SET_TSS_ADDR,
	KVM_SET_IDENTITY_MAP_ADDR,
	KVM_GET_CLOCK,
	KVM_SET_CLOCK,
	KVM_GET_REGS,
	KVM_SET_REGS,
	KVM_GET_SREGS,
	KVM_SET_SREGS,
	KVM_GET_SREGS2,
	KVM_SET_SREGS2,
	KVM_GET_FPU,
	KVM_SET_FPU,
	KVM_GET_XSAVE,
	KVM_SET_XSAVE,
	KVM_GET_XCRS,
	KVM_SET_XCRS,
	KVM_GET_DEBUGREGS,
	KVM_SET_DEBUGREGS,
	KVM_GET_MSRS,
	KVM_SET_MSRS,
	KVM_GET_CPUID2,
	KVM_SET_CPUID2,
	KVM_SET_CPUID,
	KVM_GET_SUPPORTED_CPUID,
	KVM_GET_MSR_INDEX_LIST,
	KVM_GET_EMULATED_CPUID,
	KVM_GET_MP_STATE,
	KVM_SET_MP_STATE,
	KVM_GET_VCPU_EVENTS,
	KVM_SET_VCPU_EVENTS,
	KVM_GET_LAPIC,
	KVM_SET_LAPIC,
	KVM_INTERRUPT,
	KVM_NMI,
	KVM_SMI,
	KVM_TRANSLATE,
	KVM_GET_TSC_KHZ,
	KVM_SET_TSC_KHZ,
	KVM_KVMCLOCK_CTRL,
	KVM_SET_NR_MMU_PAGES,
	KVM_GET_DIRTY_LOG,
};
#define NR_REQUESTS (sizeof(requests) / sizeof(requests[0]))

#define ARG_BYTES 16384u

/* Interesting numbers more often than others. */
static uint64_t random_word(const struct fixture *f)
{
	switch (below(8)) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return 1ull << below(64);
	case 3:
		return below(300);
	case 4:
		return (uintptr_t)f->mem + (below(FIXTURE_MEM) & ~0xfffull);
	case 5:
		return below(FIXTURE_MEM) & ~0xfffull;
	default:
		return next_random();
	}
}

static void fill(const struct fixture *f, uint8_t *arg, size_t bytes)
{
	for (size_t i = 0; i + 8 <= bytes; i += 8) {
		uint64_t word = random_word(f);

		memcpy(arg + i, &word, sizeof(word));
	}
	/* Counts that are plausible, at the start of the lists. */
	if (below(2)) {
		uint32_t count = (uint32_t)below(20);

		memcpy(arg, &count, sizeof(count));
	}
}

/* A good structure with some bytes changed gets further than a random one. */
static void spoil(const struct fixture *f, unsigned long request, uint8_t *arg)
{
	static const struct {
		unsigned long set, get;
	} pairs[] = {
		{KVM_SET_REGS, KVM_GET_REGS},	{KVM_SET_SREGS, KVM_GET_SREGS},
		{KVM_SET_XSAVE, KVM_GET_XSAVE}, {KVM_SET_VCPU_EVENTS, KVM_GET_VCPU_EVENTS},
		{KVM_SET_XCRS, KVM_GET_XCRS},	{KVM_SET_SREGS2, KVM_GET_SREGS2},
	};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		if (pairs[i].set != request || ioctl(f->vcpu, pairs[i].get, arg) < 0)
			continue;
		for (uint64_t n = below(4); n; n--) {
			uint64_t word = random_word(f);

			memcpy(arg + below(_IOC_SIZE(request) - 8), &word, 1u << below(4));
		}
	}
}

static void random_run(struct fixture *f)
{
	/* A guest that runs for long is interrupted by the timer. */
	f->run->immediate_exit = below(8) == 0;
	f->run->request_interrupt_window = below(4) == 0;
	if (below(4) == 0) {
		uint64_t at = below(FIXTURE_MEM - 16);

		for (int i = 0; i < 16; i++)
			f->mem[at + i] = (uint8_t)next_random();
	}
	if (below(16) == 0)
		memset((uint8_t *)f->run + 32, (int)below(256), 256);
	for (uint64_t i = below(4); i; i--)
		run_errno(f);
}

/* What the library is told to write to, it may write to: nothing but @f's memory. */
static bool names_memory(unsigned long request)
{
	return request == KVM_SET_USER_MEMORY_REGION || request == KVM_SET_USER_MEMORY_REGION2 ||
	       request == KVM_GET_DIRTY_LOG;
}

static bool is_inside(const struct fixture *f, uint64_t start, uint64_t bytes)
{
	uint64_t offset = start - (uintptr_t)f->mem;

	return offset <= FIXTURE_MEM && bytes <= FIXTURE_MEM - offset;
}

/* Both structures of a region begin alike; a log's bitmap is as big as its slot allows. */
static void tame(const struct fixture *f, unsigned long request, uint8_t *arg)
{
	struct kvm_userspace_memory_region *region = (void *)arg;
	struct kvm_dirty_log *log = (void *)arg;

	if (request == KVM_GET_DIRTY_LOG) {
		log->dirty_bitmap = f->mem;
		return;
	}
	if (is_inside(f, region->userspace_addr, region->memory_size))
		return;
	region->userspace_addr = (uintptr_t)f->mem;
	if (region->memory_size > FIXTURE_MEM)
		region->memory_size = below(4) ? FIXTURE_MEM : ~0ull - 0xfff;
}

static void random_call(struct fixture *f, uint8_t *arg)
{
	unsigned long request = requests[below(NR_REQUESTS)];
	int fds[] = {f->vcpu, f->vcpu, f->vcpu, f->vm, f->sys};
	int fd = fds[below(5)];
	int ret;

	fill(f, arg, 4096);
	if (below(2))
		spoil(f, request, arg);
	if (names_memory(request))
		tame(f, request, arg);
	if (below(16) == 0 && !names_memory(request))
		ret = ioctl(fd, request, random_word(f));
	else if (_IOC_SIZE(request))
		ret = ioctl(fd, request, arg);
	else
		ret = ioctl(fd, request, random_word(f));
	/* A vCPU more is not kept. */
	if (ret > 0 && request == KVM_CREATE_VCPU && fd == f->vm)
		close(ret);
}

/* Something to execute: straight-line junk is short-lived, so jump about in it. */
static void random_guest(struct fixture *f)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = {.rip = below(0x8000), .rsp = 0x9000, .rflags = 2};

	for (size_t i = 0; i < FIXTURE_MEM; i++)
		f->mem[i] = (uint8_t)next_random();
	ioctl(f->vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	ioctl(f->vcpu, KVM_SET_SREGS, &sregs);
	ioctl(f->vcpu, KVM_SET_REGS, &regs);
}

static void ignore_signal(int sig)
{
	(void)sig;
}

static void start_timer(void)
{
	struct sigaction act = {.sa_handler = ignore_signal};
	struct itimerval every = {.it_interval.tv_usec = 1000, .it_value.tv_usec = 1000};

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

static void random_calls_do_no_harm(void **state)
{
	uint8_t *arg = malloc(ARG_BYTES);
	struct fixture *f = NULL;
	void *vm;

	printf("seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	start_timer();
	for (unsigned long i = 0; i < calls; i++) {
		if (i % 500 == 0) {
			if (below(2))
				fixture_setup(&vm);
			else
				fixture_setup_irqchip(&vm);
			f = vm;
			random_guest(f);
		}
		random_call(f, arg);
		random_run(f);
		if (i % 500 == 499)
			fixture_teardown(&vm);
	}
	free(arg);
	fixture_setup(&vm);
	f = vm;
	LOAD(f, 0xf4);
	while (run_errno(f) == EINTR)
		continue;
	assert_int_equal(f->run->exit_reason, KVM_EXIT_HLT);
	fixture_teardown(&vm);
	(void)state;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_calls_do_no_harm)};

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
	if (argc > 2)
		calls = strtoul(argv[2], NULL, 0) / 500 * 500;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
