/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each call by which a program changes its memory, under a guest that has used
 * it: what the guest sees afterwards, and that exactly the leaves of what has
 * changed are gone (KVM's "pages_4k"), no more and no fewer.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/userfaultfd.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/kvm/kvm_fixture.h"
#include "tests/kvm/stats_reader.h"

#define PAGE	   4096ul
#define LOW_BYTES  0x40000ul /* slot 0: code and results */
#define DATA_GPA   0x40000ul /* slot 1: what is changed */
#define DATA_PAGES 64u
#define DATA_BYTES (DATA_PAGES * PAGE)
#define RESULTS	   0x3000ul
#define MARK	   16 /* of each page: the byte that the guest reads; it writes byte 0 */

/* Of the data, what a call changes. */
#define FIRST 10u
#define PAGES 3u

#ifndef MADV_COLD
#define MADV_COLD    20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

GUEST16(visitor, "	mov	$0x4000, %ax\n"
		 "	xor	%di, %di\n"
		 "1:	mov	%ax, %ds\n"
		 "	movb	(16), %bl\n"
		 "	movb	$1, (0)\n"
		 "	movb	%bl, %es:0x3000(%di)\n"
		 "	add	$0x100, %ax\n"
		 "	inc	%di\n"
		 "	cmp	$64, %di\n"
		 "	jne	1b\n"
		 "	hlt\n");

struct guest {
	struct fixture *f;
	struct stats vm, vcpu;
	uint8_t *data;
	uint8_t *alias; /* the same file mapped once more */
	int fd;		/* of the file, or -1 */
	int uffd;
};

/* ---- what the data can be ------------------------------------------------- */

typedef void make_fn(struct guest *g);

static uint8_t *map(void *at, size_t bytes, int flags, int fd)
{
	void *got = mmap(at, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	assert_ptr_not_equal(got, MAP_FAILED);
	return got;
}

static void anonymous(struct guest *g)
{
	/* Room around it, so that it can grow. */
	g->data = map(NULL, 2 * DATA_BYTES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	munmap(g->data + DATA_BYTES, DATA_BYTES);
}

static void file(struct guest *g)
{
	g->fd = memfd_create("data", MFD_CLOEXEC);
	assert_int_equal(ftruncate(g->fd, DATA_BYTES), 0);
	g->data = map(NULL, DATA_BYTES, MAP_SHARED, g->fd);
	g->alias = map(NULL, DATA_BYTES, MAP_SHARED, g->fd);
}

static void segment(struct guest *g)
{
	int id = shmget(IPC_PRIVATE, DATA_BYTES, 0600);

	assert_true(id >= 0);
	g->data = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	assert_ptr_not_equal(g->data, (void *)-1);
}

/* The end of the heap, with enough below it for whoever allocates meanwhile. */
static void heap(struct guest *g)
{
	uintptr_t end;

	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	free(malloc(4 << 20));
	end = (uintptr_t)sbrk(0);
	g->data = (uint8_t *)((end + PAGE - 1) & ~(PAGE - 1));
	assert_ptr_not_equal(sbrk((intptr_t)((uintptr_t)g->data + DATA_BYTES - end)), (void *)-1);
}

/* ---- the guest ------------------------------------------------------------ */

static void set_slot(struct guest *g, uint32_t slot, uint64_t gpa, uint64_t bytes, void *memory)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)memory,
	};

	assert_int_equal(ioctl_errno(g->f->vm, KVM_SET_USER_MEMORY_REGION, &region), 0);
}

static void start(struct guest *g, void **state, make_fn *make)
{
	*g = (struct guest){.fd = -1, .uffd = -1};
	assert_int_equal(fixture_setup(state), 0);
	g->f = *state;
	set_slot(g, 0, 0, 0, NULL);
	set_slot(g, 0, 0, LOW_BYTES, g->f->mem);
	make(g);
	assert_int_equal(madvise(g->data, DATA_BYTES, MADV_NOHUGEPAGE), 0);
	for (unsigned int i = 0; i < DATA_PAGES; i++)
		g->data[i * PAGE + MARK] = (uint8_t)(0x40 + i);
	set_slot(g, 1, DATA_GPA, DATA_BYTES, g->data);
	g->vm = stats_open(g->f->vm);
	g->vcpu = stats_open(g->f->vcpu);
}

static void stop(struct guest *g, void **state)
{
	stats_close(&g->vm);
	stats_close(&g->vcpu);
	fixture_teardown(state);
	munmap(g->data, DATA_BYTES);
	if (g->alias)
		munmap(g->alias, DATA_BYTES);
	if (g->fd >= 0)
		close(g->fd);
	if (g->uffd >= 0)
		close(g->uffd);
}

static void run_visitor(struct guest *g)
{
	memset(g->f->mem + RESULTS, 0xff, DATA_PAGES);
	LOAD_GUEST(g->f, visitor);
	run_to(g->f, KVM_EXIT_HLT);
}

/* ---- the changes ---------------------------------------------------------- */

/* Of @pages at @at, in the middle of the data. */
typedef int change_fn(struct guest *g, uint8_t *at, size_t bytes);

static int unmap(struct guest *g, uint8_t *at, size_t bytes)
{
	(void)g;
	return munmap(at, bytes);
}

static int map_over(struct guest *g, uint8_t *at, size_t bytes)
{
	(void)g;
	map(at, bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
	return 0;
}

static int move_away(struct guest *g, uint8_t *at, size_t bytes)
{
	uint8_t *room = map(NULL, bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	void *moved = mremap(at, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, room);

	(void)g;
	assert_ptr_equal(moved, room);
	return munmap(room, bytes);
}

/* Moved without being unmapped: there, but empty. */
static int move_contents_away(struct guest *g, uint8_t *at, size_t bytes)
{
	void *moved = mremap(at, bytes, bytes, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);

	(void)g;
	assert_ptr_not_equal(moved, MAP_FAILED);
	assert_ptr_not_equal(moved, at);
	return munmap(moved, bytes);
}

static int move_here(struct guest *g, uint8_t *at, size_t bytes)
{
	uint8_t *other = map(NULL, bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	(void)g;
	for (size_t i = 0; i < bytes; i += PAGE)
		other[i + MARK] = 0x20;
	return mremap(other, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at ? 0 : -1;
}

/* Only the tail goes: the part after the changed pages is given up too, and mapped anew. */
static int shrink(struct guest *g, uint8_t *at, size_t bytes)
{
	size_t kept = (size_t)(at - g->data);

	assert_ptr_equal(mremap(g->data, kept + bytes, kept, MREMAP_MAYMOVE), g->data);
	return 0;
}

static int grow_in_place(struct guest *g, uint8_t *at, size_t bytes)
{
	void *grown = mremap(g->data, DATA_BYTES, DATA_BYTES + PAGE, 0);

	(void)at;
	(void)bytes;
	return grown == g->data ? munmap(g->data + DATA_BYTES, PAGE) : -1;
}

static int lower_the_break(struct guest *g, uint8_t *at, size_t bytes)
{
	assert_ptr_equal(sbrk(0), g->data + DATA_BYTES);
	(void)bytes;
	return brk(at);
}

static int lower_the_break_by(struct guest *g, uint8_t *at, size_t bytes)
{
	assert_ptr_equal(sbrk(0), g->data + DATA_BYTES);
	(void)at;
	return sbrk(-(intptr_t)bytes) == g->data + DATA_BYTES ? 0 : -1;
}

static int protect(struct guest *g, uint8_t *at, size_t bytes)
{
	(void)g;
	return mprotect(at, bytes, PROT_READ);
}

static int protect_by_key(struct guest *g, uint8_t *at, size_t bytes)
{
	(void)g;
	return pkey_mprotect(at, bytes, PROT_READ, -1);
}

static int protect_as_it_is(struct guest *g, uint8_t *at, size_t bytes)
{
	(void)g;
	return mprotect(at, bytes, PROT_READ | PROT_WRITE);
}

static int shuffle(struct guest *g, uint8_t *at, size_t bytes)
{
	(void)g;
	/* The first pages of the file. */
	return remap_file_pages(at, bytes, 0, 0, 0);
}

#define DEFINE_ADVICE(name, advice)                                 \
	static int name(struct guest *g, uint8_t *at, size_t bytes) \
	{                                                           \
		(void)g;                                            \
		return madvise(at, bytes, advice);                  \
	}

DEFINE_ADVICE(discard, MADV_DONTNEED)
DEFINE_ADVICE(offer, MADV_FREE)
DEFINE_ADVICE(page_out, MADV_PAGEOUT)
DEFINE_ADVICE(make_cold, MADV_COLD)
DEFINE_ADVICE(will_need, MADV_WILLNEED)
DEFINE_ADVICE(remove_here, MADV_REMOVE)

static int remove_through_the_alias(struct guest *g, uint8_t *at, size_t bytes)
{
	return madvise(g->alias + (at - g->data), bytes, MADV_REMOVE);
}

static int advise_as_a_process(struct guest *g, uint8_t *at, size_t bytes)
{
	struct iovec iov[2] = {{at, PAGE}, {at + PAGE, bytes - PAGE}};
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	ssize_t done = process_madvise(pidfd, iov, 2, MADV_PAGEOUT, 0);

	(void)g;
	close(pidfd);
	return done == (ssize_t)bytes ? 0 : -1;
}

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static int punch(struct guest *g, uint8_t *at, size_t bytes)
{
	return fallocate(g->fd, PUNCH, at - g->data, (off_t)bytes);
}

/* The first page in part, which only clears that part of it. */
static int punch_parts(struct guest *g, uint8_t *at, size_t bytes)
{
	return fallocate(g->fd, PUNCH, at - g->data + 100, (off_t)bytes - 100);
}

/* The last page in part; its mark is in the part that is cleared. */
static int punch_most(struct guest *g, uint8_t *at, size_t bytes)
{
	return fallocate(g->fd, PUNCH, at - g->data, (off_t)bytes - 100);
}

static int punch_another_file(struct guest *g, uint8_t *at, size_t bytes)
{
	int other = memfd_create("other", MFD_CLOEXEC);
	uint8_t *mapped;
	int ret;

	assert_int_equal(ftruncate(other, DATA_BYTES), 0);
	mapped = map(NULL, DATA_BYTES, MAP_SHARED, other);
	ret = fallocate(other, PUNCH, at - g->data, (off_t)bytes);
	munmap(mapped, DATA_BYTES);
	close(other);
	return ret;
}

static int allocate(struct guest *g, uint8_t *at, size_t bytes)
{
	return fallocate(g->fd, 0, at - g->data, (off_t)bytes);
}

/* The end goes and comes back, empty; the pages before it stay. */
static int cut(struct guest *g, uint8_t *at, size_t bytes)
{
	(void)bytes;
	if (ftruncate(g->fd, at - g->data))
		return -1;
	return ftruncate(g->fd, DATA_BYTES);
}

static int cut_by_name(struct guest *g, uint8_t *at, size_t bytes)
{
	char name[32];

	(void)bytes;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", g->fd);
	if (truncate(name, at - g->data))
		return -1;
	return truncate(name, DATA_BYTES);
}

static int lengthen(struct guest *g, uint8_t *at, size_t bytes)
{
	(void)at;
	(void)bytes;
	return ftruncate(g->fd, 2 * DATA_BYTES);
}

static int detach(struct guest *g, uint8_t *at, size_t bytes)
{
	(void)at;
	(void)bytes;
	return shmdt(g->data);
}

static int attach_over(struct guest *g, uint8_t *at, size_t bytes)
{
	int id = shmget(IPC_PRIVATE, bytes, 0600);
	void *got = shmat(id, at, SHM_REMAP);

	(void)g;
	shmctl(id, IPC_RMID, NULL);
	return got == at ? 0 : -1;
}

/* ---- the table ------------------------------------------------------------ */

enum sees {
	SAME,
	ZERO,
	FORBIDDEN, /* as FAULT, but the read before the write has succeeded */
	FAULT,	   /* until there is memory again */
	OTHER,	   /* 0x20, what move_here() brings */
	EITHER,	   /* the same, or zero */
	SHUFFLED   /* what the first pages hold */
};

struct row {
	const char *name;
	make_fn *make;
	change_fn *change;
	unsigned int first, pages; /* whose leaves go; without any, FIRST and PAGES are asked for */
	enum sees sees;
};

#define LAST_PAGES (DATA_PAGES - PAGES), PAGES

static const struct row rows[] = {
	{"munmap", anonymous, unmap, FIRST, PAGES, FAULT},
	{"munmap of shared memory", file, unmap, FIRST, PAGES, FAULT},
	{"mmap over it", anonymous, map_over, FIRST, PAGES, ZERO},
	{"mremap away", anonymous, move_away, FIRST, PAGES, FAULT},
	{"mremap of the contents", anonymous, move_contents_away, FIRST, PAGES, ZERO},
	{"mremap over it", anonymous, move_here, FIRST, PAGES, OTHER},
	{"mremap to less", anonymous, shrink, LAST_PAGES, FAULT},
	{"mremap to more", anonymous, grow_in_place, 0, 0, SAME},
	{"brk", heap, lower_the_break, LAST_PAGES, FAULT},
	{"sbrk", heap, lower_the_break_by, LAST_PAGES, FAULT},
	{"mprotect", anonymous, protect, FIRST, PAGES, FORBIDDEN},
	{"pkey_mprotect", anonymous, protect_by_key, FIRST, PAGES, FORBIDDEN},
	{"mprotect as before", anonymous, protect_as_it_is, FIRST, PAGES, SAME},
	{"remap_file_pages", file, shuffle, FIRST, PAGES, SHUFFLED},
	{"MADV_DONTNEED", anonymous, discard, FIRST, PAGES, ZERO},
	{"MADV_DONTNEED of shared memory", file, discard, FIRST, PAGES, SAME},
	{"MADV_FREE", anonymous, offer, FIRST, PAGES, EITHER},
	{"MADV_PAGEOUT", anonymous, page_out, FIRST, PAGES, SAME},
	{"MADV_COLD", anonymous, make_cold, 0, 0, SAME},
	{"MADV_WILLNEED", file, will_need, 0, 0, SAME},
	{"MADV_REMOVE", file, remove_here, FIRST, PAGES, ZERO},
	{"MADV_REMOVE elsewhere", file, remove_through_the_alias, FIRST, PAGES, ZERO},
	{"process_madvise", anonymous, advise_as_a_process, FIRST, PAGES, SAME},
	{"punch", file, punch, FIRST, PAGES, ZERO},
	{"punch of parts", file, punch_parts, FIRST, PAGES, ZERO},
	{"punch of most", file, punch_most, FIRST, PAGES, ZERO},
	{"punch of another file", file, punch_another_file, 0, 0, SAME},
	{"fallocate", file, allocate, 0, 0, SAME},
	{"ftruncate", file, cut, LAST_PAGES, ZERO},
	{"truncate", file, cut_by_name, LAST_PAGES, ZERO},
	{"ftruncate to more", file, lengthen, 0, 0, SAME},
	{"shmdt", segment, detach, 0, DATA_PAGES, FAULT},
	{"shmat over it", anonymous, attach_over, FIRST, PAGES, ZERO},
};

static bool faults(const struct row *row)
{
	return row->sees == FAULT || row->sees == FORBIDDEN;
}

static bool is_changed(const struct row *row, unsigned int page)
{
	return page >= row->first && page < row->first + row->pages;
}

/* Of a page that is punched in part the leaf stays. */
static unsigned int leaves_lost(const struct row *row)
{
	bool in_part = row->change == punch_parts || row->change == punch_most;

	return row->pages - in_part;
}

static bool is_as_expected(const struct row *row, unsigned int page, uint8_t seen)
{
	uint8_t mark = (uint8_t)(0x40 + page);

	if (!is_changed(row, page) || (row->change == punch_parts && page == row->first))
		return seen == mark;
	switch (row->sees) {
	case ZERO:
	case FAULT: /* and then memory that is new */
		return seen == 0;
	case OTHER:
		return seen == 0x20;
	case FORBIDDEN:
	case EITHER:
		return seen == 0 || seen == mark;
	case SHUFFLED:
		return seen == 0x40 + page - row->first;
	case SAME:
		break;
	}
	return seen == mark;
}

static void check_results(const struct guest *g, const struct row *row)
{
	for (unsigned int page = 0; page < DATA_PAGES; page++) {
		uint8_t seen = g->f->mem[RESULTS + page];

		if (!is_as_expected(row, page, seen))
			fail_msg("%s: the guest saw 0x%x in page %u", row->name, seen, page);
	}
}

/* KVM_RUN says where; with memory there again, the guest goes on as if nothing had been. */
static void expect_fault_then_repair(struct guest *g, const struct row *row)
{
	const struct kvm_run_memory_fault *fault = (const void *)g->f->run->padding;
	uint8_t *at = g->data + row->first * PAGE;

	LOAD_GUEST(g->f, visitor);
	assert_int_equal(run_errno(g->f), EFAULT);
	assert_int_equal(g->f->run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	assert_int_equal(fault->gpa, DATA_GPA + row->first * PAGE);
	assert_int_equal(fault->size, PAGE);
	assert_int_equal(fault->flags, 0);
	map(at, row->pages * PAGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
	run_to(g->f, KVM_EXIT_HLT);
}

static int apply(const struct row *row, struct guest *g)
{
	unsigned int first = row->pages ? row->first : FIRST;
	unsigned int pages = row->pages ? row->pages : PAGES;

	return row->change(g, g->data + first * PAGE, pages * PAGE);
}

static void run_row(const struct row *row, void **state)
{
	uint64_t leaves, fixed;
	struct guest g;

	start(&g, state, row->make);
	run_visitor(&g);
	leaves = stats_value(&g.vm, "pages_4k");
	assert_true(leaves > DATA_PAGES);
	if (apply(row, &g))
		fail_msg("%s: %s", row->name, strerror(errno));
	if (stats_value(&g.vm, "pages_4k") != leaves - leaves_lost(row))
		fail_msg("%s: %d leaves are gone", row->name,
			 (int)(leaves - stats_value(&g.vm, "pages_4k")));
	fixed = stats_value(&g.vcpu, "pf_fixed");
	if (faults(row))
		expect_fault_then_repair(&g, row);
	else
		run_visitor(&g);
	check_results(&g, row);
	assert_int_equal(stats_value(&g.vm, "pages_4k"), leaves);
	/* A read and then a write of each page whose leaf was gone, and of no other. */
	assert_in_range(stats_value(&g.vcpu, "pf_fixed") - fixed, leaves_lost(row),
			2 * leaves_lost(row) + faults(row));
	stop(&g, state);
}

static void each_change_takes_its_own_leaves(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run_row(&rows[i], state);
}

/* ---- userfaultfd: write-protection ------------------------------------------------------ */

static int uffd_protect(int uffd, const uint8_t *at, size_t bytes, uint64_t mode)
{
	struct uffdio_writeprotect wp = {.range = {(uintptr_t)at, bytes}, .mode = mode};

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp);
}

/* False: this machine does not offer it. */
static bool watch(struct guest *g)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP};
	struct uffdio_register reg = {.range = {(uintptr_t)g->data, DATA_BYTES},
				      .mode = UFFDIO_REGISTER_MODE_WP};

	g->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	return g->uffd >= 0 && !ioctl(g->uffd, UFFDIO_API, &api) &&
	       !ioctl(g->uffd, UFFDIO_REGISTER, &reg);
}

static unsigned int served;

/* Let each write through that is waiting, and count it. */
static void *serve_writes(void *arg)
{
	const struct guest *g = arg;
	struct pollfd fd = {.fd = g->uffd, .events = POLLIN};
	struct uffd_msg msg;

	while (served < PAGES && poll(&fd, 1, 5000) == 1) {
		const uint8_t *at;

		if (read(g->uffd, &msg, sizeof(msg)) != sizeof(msg) ||
		    !(msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP))
			break;
		at = (const uint8_t *)(uintptr_t)(msg.arg.pagefault.address & ~(PAGE - 1));
		served++;
		if (uffd_protect(g->uffd, at, PAGE, 0))
			break;
	}
	return NULL;
}

static void write_protection_takes_its_own_leaves(void **state)
{
	static const struct row row = {"write-protect", anonymous, NULL, FIRST, PAGES, SAME};
	pthread_t thread;
	uint64_t leaves;
	struct guest g;

	start(&g, state, anonymous);
	if (!watch(&g)) {
		print_message("no userfaultfd here: not shown\n");
		stop(&g, state);
		skip();
	}
	run_visitor(&g);
	leaves = stats_value(&g.vm, "pages_4k");
	assert_int_equal(uffd_protect(g.uffd, g.data + FIRST * PAGE, PAGES * PAGE,
				      UFFDIO_WRITEPROTECT_MODE_WP),
			 0);
	assert_int_equal(stats_value(&g.vm, "pages_4k"), leaves - PAGES);
	served = 0;
	assert_int_equal(pthread_create(&thread, NULL, serve_writes, &g), 0);
	run_visitor(&g);
	pthread_join(thread, NULL);
	assert_int_equal(served, PAGES);
	check_results(&g, &row);
	assert_int_equal(stats_value(&g.vm, "pages_4k"), leaves);
	stop(&g, state);
}

/* ---- many mappings of one file ---------------------------------------------------------- */

#define ALIASES 20

/* More than are bracketed one by one: then everything goes, and nothing is forgotten. */
static void many_aliases_are_all_found(void **state)
{
	uint8_t *more[ALIASES];
	struct guest g;

	start(&g, state, file);
	for (int i = 0; i < ALIASES; i++)
		more[i] = map(NULL, DATA_BYTES, MAP_SHARED, g.fd);
	set_slot(&g, 1, DATA_GPA, 0, NULL);
	set_slot(&g, 1, DATA_GPA, DATA_BYTES, more[ALIASES - 1]);
	run_visitor(&g);
	assert_int_equal(punch(&g, g.data + FIRST * PAGE, PAGES * PAGE), 0);
	assert_true(stats_value(&g.vm, "pages_4k") <= DATA_PAGES - PAGES);
	run_visitor(&g);
	for (unsigned int page = 0; page < DATA_PAGES; page++) {
		bool punched = page >= FIRST && page < FIRST + PAGES;

		assert_int_equal(g.f->mem[RESULTS + page], punched ? 0 : 0x40 + page);
	}
	for (int i = 0; i < ALIASES; i++)
		munmap(more[i], DATA_BYTES);
	stop(&g, state);
}

/* ---- a thread that ends in the middle ---------------------------------------------------- */

/* fallocate() is where a cancelled thread may end. */
static void *punch_cancelled(void *arg)
{
	struct guest *g = arg;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	pthread_cancel(pthread_self());
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	punch(g, g->data + FIRST * PAGE, PAGES * PAGE);
	pthread_testcancel();
	return NULL;
}

static void a_cancelled_thread_leaves_nothing_open(void **state)
{
	pthread_t thread;
	struct guest g;
	void *end;

	start(&g, state, file);
	run_visitor(&g);
	assert_int_equal(pthread_create(&thread, NULL, punch_cancelled, &g), 0);
	pthread_join(thread, &end);
	assert_ptr_equal(end, PTHREAD_CANCELED);
	/* A change of the slots waits for changes of memory that are under way. */
	alarm(20);
	set_slot(&g, 1, DATA_GPA, 0, NULL);
	alarm(0);
	set_slot(&g, 1, DATA_GPA, DATA_BYTES, g.data);
	run_visitor(&g);
	stop(&g, state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_change_takes_its_own_leaves),
		cmocka_unit_test(write_protection_takes_its_own_leaves),
		cmocka_unit_test(many_aliases_are_all_found),
		cmocka_unit_test(a_cancelled_thread_leaves_nothing_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
