/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any call on any descriptor with any argument, in any order: the input chooses
 * from the library's own tables, so that none is forgotten.  Arguments end at a
 * page without access, or are no memory at all; numbers that name the process's
 * memory are kept to the guest's, since the library may write there.  Between
 * the calls guests run, memory is taken away and descriptors are closed.
 *
 * Afterwards the memory around the guest's is as it was, no descriptor is left,
 * and a good VM works.
 */
#include <dirent.h>
#include <linux/falloc.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "fuzz/input.h"
#include "fuzz/tick.h"
#include "kvm/ioctl_table.h"
#include "kvm/kvm_newer.h"
#include "tests/clients/client.h"

#define MEMORY_BYTES 0x40000ul
#define ARG_BYTES    0x4000ul
#define MAX_FDS	     12u
#define MAX_CALLS    48
#define MAX_RUNS     4

struct descriptor {
	int fd;
	enum kvm_file_kind kind;
	struct kvm_run *run; /* of a vCPU */
};

struct session {
	struct fuzz_input *input;
	struct client_memory memory;
	uint8_t *arg; /* the page behind ARG_BYTES has no access */
	struct descriptor fds[MAX_FDS];
	unsigned int nr_fds;
};

static uint64_t below(struct session *s, uint64_t bound)
{
	return fuzz_below(s->input, bound);
}

/* ---- descriptors ------------------------------------------------------------------------- */

static void add(struct session *s, int fd, enum kvm_file_kind kind)
{
	struct descriptor d = {.fd = fd, .kind = kind};

	if (fd < 0)
		return;
	if (s->nr_fds == MAX_FDS) {
		EXPECT_EQ(close(fd), 0);
		return;
	}
	if (kind == KVM_FILE_VCPU) {
		d.run = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		EXPECT(d.run != MAP_FAILED);
	}
	s->fds[s->nr_fds++] = d;
}

static void drop(struct session *s, unsigned int i)
{
	EXPECT_EQ(close(s->fds[i].fd), 0);
	if (s->fds[i].run)
		EXPECT_EQ(munmap(s->fds[i].run, PAGE_BYTES), 0);
	s->fds[i] = s->fds[--s->nr_fds];
}

static const struct descriptor *any(struct session *s, enum kvm_file_kind kind)
{
	unsigned int start = (unsigned int)below(s, s->nr_fds);

	for (unsigned int i = 0; i < s->nr_fds; i++) {
		const struct descriptor *d = &s->fds[(start + i) % s->nr_fds];

		if (d->kind == kind)
			return d;
	}
	return NULL;
}

/* ---- arguments ---------------------------------------------------------------------------- */

/* Numbers that mean something more often than others. */
static uint64_t word(struct session *s)
{
	switch (below(s, 9)) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return 1ull << below(s, 64);
	case 3:
		return below(s, 256);
	case 4:
		return (uintptr_t)s->memory.bytes +
		       below(s, MEMORY_BYTES / PAGE_BYTES) * PAGE_BYTES;
	case 5:
		return below(s, 64) * PAGE_BYTES;
	case 6:
		return (uint64_t)s->fds[below(s, s->nr_fds)].fd;
	case 7:
		return 1ull << 32 | below(s, 64);
	default:
		return fuzz_u64(s->input);
	}
}

static void *pointer(struct session *s, size_t bytes)
{
	switch (below(s, 16)) {
	case 0:
		return NULL;
	case 1:
		return s->arg + ARG_BYTES - bytes / 2; /* half of it is there */
	case 2:
		return (void *)(uintptr_t)0xffff888000000000ull;
	case 3:
		return s->arg + ARG_BYTES;
	case 4:
		return s->arg + ARG_BYTES - bytes - 1; /* not aligned */
	default:
		return s->arg + (ARG_BYTES - bytes) / 16 * 16;
	}
}

/* What a GET says is a better start than zeros: KVM numbers most pairs so. */
static void start_from_get(int fd, enum kvm_file_kind kind, const struct ioctl_entry *set,
			   uint8_t *arg)
{
	uint32_t nr;
	const struct ioctl_entry *all = ioctl_entries(kind, &nr);

	for (uint32_t i = 0; i < nr; i++)
		if (all[i].arg == ARG_OUT && all[i].bytes == set->bytes &&
		    _IOC_NR(all[i].request) + 1 == _IOC_NR(set->request))
			ioctl(fd, all[i].request, arg);
}

static void spoil(struct session *s, uint8_t *arg, size_t bytes)
{
	for (uint64_t n = below(s, 8); n && bytes >= 8; n--) {
		uint64_t value = word(s);

		memcpy(arg + (below(s, bytes - 7) & ~3ull), &value, 1u << below(s, 4));
	}
}

/* ---- what names memory of the process ------------------------------------------------------- */

static bool inside(const struct session *s, uint64_t start, uint64_t bytes)
{
	uint64_t offset = start - (uintptr_t)s->memory.bytes;

	return offset <= MEMORY_BYTES && bytes <= MEMORY_BYTES - offset;
}

static void tame(const struct session *s, uint32_t request, uint8_t *arg)
{
	struct kvm_userspace_memory_region *region = (void *)arg; /* both structures begin so */
	struct kvm_dirty_log *log = (void *)arg;
	struct kvm_clear_dirty_log *clear = (void *)arg;

	if (request == (uint32_t)KVM_GET_DIRTY_LOG)
		log->dirty_bitmap = s->memory.bytes;
	if (request == (uint32_t)KVM_CLEAR_DIRTY_LOG)
		clear->dirty_bitmap = s->memory.bytes;
	if (request != (uint32_t)KVM_SET_USER_MEMORY_REGION &&
	    request != (uint32_t)KVM_SET_USER_MEMORY_REGION2)
		return;
	if (inside(s, region->userspace_addr, region->memory_size))
		return;
	region->userspace_addr = (uintptr_t)s->memory.bytes;
	region->memory_size &= MEMORY_BYTES - 1;
}

static bool names_memory(uint32_t request)
{
	return request == (uint32_t)KVM_GET_DIRTY_LOG || request == (uint32_t)KVM_CLEAR_DIRTY_LOG ||
	       request == (uint32_t)KVM_SET_USER_MEMORY_REGION ||
	       request == (uint32_t)KVM_SET_USER_MEMORY_REGION2;
}

/* ---- calls ------------------------------------------------------------------------------ */

static enum kvm_file_kind kind_made_by(uint32_t request)
{
	switch (request) {
	case (uint32_t)KVM_CREATE_VM:
		return KVM_FILE_VM;
	case (uint32_t)KVM_CREATE_VCPU:
		return KVM_FILE_VCPU;
	case (uint32_t)KVM_CREATE_GUEST_MEMFD:
		return KVM_FILE_GUEST_MEMFD;
	case (uint32_t)KVM_GET_STATS_FD:
		return KVM_FILE_STATS;
	default:
		return KVM_FILE_NONE;
	}
}

static long call_with_structure(struct session *s, const struct descriptor *d,
				enum kvm_file_kind kind, const struct ioctl_entry *entry)
{
	size_t bytes = entry->arg == ARG_USER ? ARG_BYTES / 2 : entry->bytes;
	uint8_t *good = s->arg + (ARG_BYTES - bytes) / 16 * 16;
	void *arg = names_memory(entry->request) ? good : pointer(s, bytes);

	memset(good, 0, bytes);
	start_from_get(d->fd, kind, entry, good);
	spoil(s, good, entry->arg == ARG_USER ? 256 : bytes);
	tame(s, entry->request, good);
	return ioctl(d->fd, entry->request, arg);
}

static void one_call(struct session *s)
{
	static const enum kvm_file_kind kinds[] = {KVM_FILE_SYSTEM, KVM_FILE_VM, KVM_FILE_VM,
						   KVM_FILE_VCPU, KVM_FILE_VCPU};
	enum kvm_file_kind kind = kinds[below(s, 5)];
	const struct ioctl_entry *entry;
	const struct descriptor *d;
	uint32_t nr;
	long ret;

	entry = &ioctl_entries(kind, &nr)[below(s, 256)];
	if (entry >= ioctl_entries(kind, &nr) + nr)
		return;
	d = below(s, 16) ? any(s, kind) : &s->fds[below(s, s->nr_fds)];
	if (!d || entry->request == (uint32_t)KVM_RUN ||
	    entry->request == (uint32_t)KVM_SET_SIGNAL_MASK)
		return; /* those two: run() */
	if (entry->arg == ARG_VALUE || entry->arg == ARG_NONE)
		ret = ioctl(d->fd, entry->request, word(s));
	else
		ret = call_with_structure(s, d, kind, entry);
	if (ret >= 0 && kind_made_by(entry->request) != KVM_FILE_NONE)
		add(s, (int)ret, kind_made_by(entry->request));
}

static void run(struct session *s)
{
	const struct descriptor *d = any(s, KVM_FILE_VCPU);

	if (!d)
		return;
	d->run->immediate_exit = below(s, 8) == 0;
	d->run->request_interrupt_window = below(s, 4) == 0;
	if (below(s, 4) == 0) /* what a program wrote into the answer */
		fuzz_take(s->input, (uint8_t *)d->run + 32, 64);
	if (below(s, 8) == 0)
		ioctl(d->fd, KVM_SET_SIGNAL_MASK, NULL);
	fuzz_tick(true);
	for (int i = 0; i < MAX_RUNS; i++)
		if (ioctl(d->fd, KVM_RUN, below(s, 16) == 0) < 0)
			break;
	fuzz_tick(false);
}

static void good_slot(struct session *s)
{
	const struct descriptor *d = any(s, KVM_FILE_VM);
	uint64_t first = below(s, 32), pages = below(s, 32);
	struct kvm_userspace_memory_region region = {
		.slot = (uint32_t)(below(s, 6) | (below(s, 4) == 0) << 16),
		.flags = (uint32_t)below(s, 4),
		.guest_phys_addr = below(s, 64) * PAGE_BYTES,
		.memory_size = pages * PAGE_BYTES,
		.userspace_addr = (uintptr_t)s->memory.bytes + first * PAGE_BYTES,
	};

	if (d)
		ioctl(d->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static void change_memory(struct session *s)
{
	uint8_t *at = s->memory.bytes + below(s, 48) * PAGE_BYTES;
	size_t bytes = (1 + below(s, 16)) * PAGE_BYTES;

	switch (below(s, 6)) {
	case 0:
		madvise(at, bytes, MADV_DONTNEED);
		break;
	case 1:
		mprotect(at, bytes, PROT_READ);
		break;
	case 2:
		mprotect(at, bytes, PROT_READ | PROT_WRITE);
		break;
	case 3:
		mprotect(at, bytes, PROT_NONE);
		break;
	case 4:
		EXPECT(mmap(at, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
		break;
	case 5: /* nothing there: the library must bear it, and whoever looks gets SIGSEGV */
		EXPECT_EQ(munmap(at, bytes), 0);
		EXPECT(mmap(at, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
		break;
	}
}

/* Code at the reset vector's place in the low page, and registers that lead there. */
static void write_code(struct session *s)
{
	const struct descriptor *d = any(s, KVM_FILE_VCPU);
	struct kvm_sregs sregs;
	struct kvm_regs regs = {.rip = 0x100, .rsp = 0x2000, .rflags = 2};
	uint8_t *at = s->memory.bytes + below(s, 8) * PAGE_BYTES;

	if (!d || mprotect(at, PAGE_BYTES, PROT_READ | PROT_WRITE))
		return;
	fuzz_take(s->input, at + 0x100, 1 + below(s, 48));
	regs.rbx = below(s, 0x10000);
	ioctl(d->fd, KVM_GET_SREGS, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	ioctl(d->fd, KVM_SET_SREGS, &sregs);
	ioctl(d->fd, KVM_SET_REGS, &regs);
}

static void use_other_files(struct session *s)
{
	const struct descriptor *d = &s->fds[below(s, s->nr_fds)];
	size_t bytes;
	void *map;

	switch (below(s, 4)) {
	case 0:
		pread(d->fd, s->arg, below(s, 4096), (off_t)below(s, 4096));
		break;
	case 1:
		fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)word(s),
			  (off_t)word(s));
		break;
	case 2:
		pwrite(d->fd, s->arg, below(s, 64), 0);
		break;
	case 3:
		bytes = (1 + below(s, 3)) * PAGE_BYTES;
		map = mmap(NULL, bytes, PROT_READ, below(s, 2) ? MAP_SHARED : MAP_PRIVATE, d->fd,
			   (off_t)(below(s, 80) * PAGE_BYTES));
		if (map != MAP_FAILED)
			EXPECT_EQ(munmap(map, bytes), 0);
		break;
	}
}

static void one_step(struct session *s)
{
	switch (below(s, 16)) {
	default:
		one_call(s);
		break;
	case 9:
	case 10:
		run(s);
		break;
	case 11:
		good_slot(s);
		break;
	case 12:
		change_memory(s);
		break;
	case 13:
		write_code(s);
		break;
	case 14:
		use_other_files(s);
		break;
	case 15:
		if (s->nr_fds > 1)
			drop(s, 1 + (unsigned int)below(s, s->nr_fds - 1));
		break;
	}
}

/* ---- a session -------------------------------------------------------------------------- */

/* Without pipes: those are the fuzzer's own, to its symbolizer. */
static unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	unsigned int n = 0;
	struct stat st;

	EXPECT(dir != NULL);
	while ((entry = readdir(dir)))
		n += fstatat(dirfd(dir), entry->d_name, &st, 0) != 0 || !S_ISFIFO(st.st_mode);
	closedir(dir);
	return n;
}

static void good_vm_works(void)
{
	static const uint8_t halt[] = {0xf4};
	struct client_vm c = client_create();
	struct client_memory m = client_with_code(&c, 2 * PAGE_BYTES, halt, halt + 1);

	client_real_mode(&c);
	client_set_regs(&c, (struct kvm_regs){0});
	client_run_to(&c, KVM_EXIT_HLT);
	client_destroy(&c);
	client_free(&m);
}

static uint8_t *argument_memory(void)
{
	uint8_t *arg = mmap(NULL, ARG_BYTES + PAGE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT(arg != MAP_FAILED);
	EXPECT_EQ(mprotect(arg + ARG_BYTES, PAGE_BYTES, PROT_NONE), 0);
	return arg;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static unsigned int fds_before;
	static uint8_t *arg;
	struct fuzz_input input = {.bytes = data, .left = size};
	struct session s = {.input = &input};
	unsigned long type;

	if (!arg) {
		good_vm_works(); /* what the library opens once and keeps */
		arg = argument_memory();
		fds_before = count_fds();
	}
	s.arg = arg;
	s.memory = client_alloc(MEMORY_BYTES);
	type = fuzz_u8(&input) & 1;
	add(&s, open("/dev/kvm", O_RDWR | O_CLOEXEC), KVM_FILE_SYSTEM);
	add(&s, ioctl(s.fds[0].fd, KVM_CREATE_VM, type), KVM_FILE_VM);
	add(&s, ioctl(s.fds[1].fd, KVM_CREATE_VCPU, 0), KVM_FILE_VCPU);
	add(&s, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), KVM_FILE_NONE);
	for (int i = 0; i < MAX_CALLS && fuzz_has_more(&input); i++)
		one_step(&s);
	while (s.nr_fds)
		drop(&s, s.nr_fds - 1);
	client_free(&s.memory); /* looks at the canaries */
	EXPECT_EQ(count_fds(), fds_before);
	good_vm_works();
	return 0;
}
