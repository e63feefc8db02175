// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a page fault costs this machine without any guest: the floor beside
 * which our figures are printed, measured in the same run.  One line per way
 * to get a page, "name ns-per-page", or "name -" where the machine forbids it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"

#define PAGE_BYTES   4096ul
#define PAGES	     16384ul
#define UFFD_PAGES   4096ul
#define ROUNDS	     5
#define NOT_POSSIBLE (-1.0)

/* One store to each page; nanoseconds per page. */
static double touch(volatile char *memory, unsigned long pages)
{
	double start = now_ns();

	for (unsigned long i = 0; i < pages; i++)
		memory[i * PAGE_BYTES] = 1;
	return (now_ns() - start) / (double)pages;
}

static char *map(int flags, int fd, unsigned long pages)
{
	char *memory = mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (memory == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	madvise(memory, pages * PAGE_BYTES, MADV_NOHUGEPAGE);
	return memory;
}

static double anonymous(void)
{
	char *memory = map(MAP_PRIVATE | MAP_ANONYMOUS, -1, PAGES);
	double ns = touch(memory, PAGES);

	munmap(memory, PAGES * PAGE_BYTES);
	return ns;
}

static int memory_file(unsigned long pages)
{
	int fd = memfd_create("floor", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)(pages * PAGE_BYTES)) < 0) {
		perror("memfd");
		exit(1);
	}
	return fd;
}

static double shared_memory(void)
{
	int fd = memory_file(PAGES);
	char *memory = map(MAP_SHARED, fd, PAGES);
	double ns = touch(memory, PAGES);

	munmap(memory, PAGES * PAGE_BYTES);
	close(fd);
	return ns;
}

/* ---- userfaultfd: a thread of this process serves each fault ----------------------- */

struct server {
	int uffd;
	uint64_t mode;
	unsigned long left;
	char *source;
};

static void resolve(const struct server *s, uint64_t page)
{
	struct uffdio_copy copy = {.dst = page, .src = (uintptr_t)s->source, .len = PAGE_BYTES};
	struct uffdio_continue carry_on = {.range = {.start = page, .len = PAGE_BYTES}};

	if (s->mode == UFFDIO_REGISTER_MODE_MISSING)
		ioctl(s->uffd, UFFDIO_COPY, &copy);
	else
		ioctl(s->uffd, UFFDIO_CONTINUE, &carry_on);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	struct uffd_msg msg;

	while (s->left > 0 && read(s->uffd, &msg, sizeof(msg)) == sizeof(msg)) {
		resolve(s, msg.arg.pagefault.address & ~(PAGE_BYTES - 1));
		s->left--;
	}
	return NULL;
}

static double touch_registered(char *memory, int uffd, uint64_t mode)
{
	static char source[PAGE_BYTES] __attribute__((aligned(4096)));
	struct uffdio_register range = {
		.range = {.start = (uintptr_t)memory, .len = UFFD_PAGES * PAGE_BYTES},
		.mode = mode,
	};
	struct server server = {.uffd = uffd, .mode = mode, .left = UFFD_PAGES, .source = source};
	pthread_t thread;
	double ns;

	if (ioctl(uffd, UFFDIO_REGISTER, &range) < 0)
		return NOT_POSSIBLE;
	if (pthread_create(&thread, NULL, serve, &server) != 0)
		return NOT_POSSIBLE;
	ns = touch(memory, UFFD_PAGES);
	pthread_join(thread, NULL);
	return ns;
}

static double with_userfaultfd(uint64_t mode, uint64_t feature)
{
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = {.api = UFFD_API, .features = feature};
	int fd = memory_file(UFFD_PAGES);
	char *alias = map(MAP_SHARED, fd, UFFD_PAGES);
	char *memory = mode == UFFDIO_REGISTER_MODE_MINOR
			       ? map(MAP_SHARED, fd, UFFD_PAGES)
			       : map(MAP_PRIVATE | MAP_ANONYMOUS, -1, UFFD_PAGES);
	double ns = NOT_POSSIBLE;

	if (mode == UFFDIO_REGISTER_MODE_MINOR)
		touch(alias, UFFD_PAGES);
	if (uffd >= 0 && ioctl(uffd, UFFDIO_API, &api) == 0)
		ns = touch_registered(memory, uffd, mode);
	munmap(memory, UFFD_PAGES * PAGE_BYTES);
	munmap(alias, UFFD_PAGES * PAGE_BYTES);
	close(fd);
	close(uffd);
	return ns;
}

static double uffd_missing(void)
{
	return with_userfaultfd(UFFDIO_REGISTER_MODE_MISSING, 0);
}

static double uffd_minor(void)
{
	return with_userfaultfd(UFFDIO_REGISTER_MODE_MINOR, UFFD_FEATURE_MINOR_SHMEM);
}

static void print_median(const char *name, double (*measure)(void))
{
	double ns[ROUNDS];

	for (int i = 0; i < ROUNDS; i++)
		ns[i] = measure();
	if (median_of(ns, ROUNDS) < 0)
		printf("%s -\n", name);
	else
		printf("%s %.0f\n", name, ns[ROUNDS / 2]);
}

/*
 * Use @mib MiB once and give them back.  On a virtual machine whose hypervisor
 * takes free memory away, a page costs several times as much when it must come
 * from there first; nobody wants to measure that.
 */
static int warm(const char *mib)
{
	unsigned long pages = strtoul(mib, NULL, 10) << 8;

	if (!pages)
		return 2;
	touch(map(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, pages), pages);
	return 0;
}

/* Stores to pages that are there: what a guest's pass over its memory comes down to. */
static int again(const char *mib)
{
	unsigned long pages = strtoul(mib, NULL, 10) << 8;
	char *memory;
	double ns = 0;

	if (!pages)
		return 2;
	memory = map(MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, pages);
	touch(memory, pages);
	for (int i = 0; i < ROUNDS; i++) {
		double round = touch(memory, pages);

		ns = i && ns < round ? ns : round;
	}
	printf("again %.1f\n", ns);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--again"))
		return again(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "--warm"))
		return warm(argv[2]);
	print_median("anonymous", anonymous);
	print_median("shmem", shared_memory);
	print_median("uffd_missing", uffd_missing);
	print_median("uffd_minor", uffd_minor);
	return 0;
}
