// SPDX-License-Identifier: BSD-2-Clause
/*
 * Live migration, again and again: two vCPUs write wherever they can while the
 * program copies their memory, then only what the dirty log names, and at last,
 * with the vCPUs stopped, what it still names.  Memory and copy must be equal.
 *
 * The log is read in four ways, each under both of kvmu's methods to notice a
 * write (KVMU_PML; a real KVM has its own).  The guest's page tables lie in the
 * logged memory, and the guest clears their accessed and dirty bits: what the
 * processor's walk writes is logged too.
 *
 *   migrate [SECONDS for each way, 0.3 unless given]
 */
#include "client.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

#define NR_VCPUS     2u
#define MEMORY_PAGES 1024ul
#define MEMORY_BYTES (MEMORY_PAGES * PAGE_BYTES)
#define PT_GPA	     0xd000ul
#define RING_MAX     65536u /* bytes */
#define ROUNDS	     2

/*
 * rdi: this vCPU's offset in each page; rbx: random state; r12: rounds.  Pages of
 * 4 KiB from 0x100000 on, one of 2 MiB at 0x200000.
 */
GUEST_CODE(writer, "64",
	   "1:	mov	$6364136223846793005, %rax\n"
	   "	imul	%rax, %rbx\n"
	   "	mov	$1442695040888963407, %rax\n"
	   "	add	%rax, %rbx\n"
	   "	mov	%rbx, %rsi\n"
	   "	shr	$40, %rsi\n"
	   "	and	$0xfe, %esi\n"
	   "	mov	%rsi, %rdx\n"
	   "	shl	$12, %rdx\n"
	   "	lock incq 0x100000(%rdx, %rdi)\n"
	   "	lock incq 0x200000(%rdx, %rdi)\n"
	   "	test	$0x3ff, %r12d\n" /* not often: translations shall live */
	   "	jnz	2f\n"
	   "	lock andq $~0x60, 0xd800(, %rsi, 8)\n" /* its entry: neither accessed nor dirty */
	   "	invlpg	0x100000(%rdx)\n"
	   "	incq	0x100000(%rdx, %rdi)\n"
	   "2:\n"
	   "	mov	%rbx, 0x300ffc(%rdx)\n" /* across two pages */
	   "	push	%rdi\n"
	   "	lea	0x280000(%rdx), %rdi\n"
	   "	lea	0x100000(%rdx), %rsi\n"
	   "	mov	$544, %ecx\n"
	   "	rep movsq\n" /* a page and some more */
	   "	pop	%rdi\n"
	   "	inc	%r12\n"
	   "	jmp	1b\n");

enum way {
	BITMAP,
	MANUAL,
	INITIALLY_SET,
	RING,
	NR_WAYS,
};

static const char *const way_names[NR_WAYS] = {"bitmap", "get and clear", "initially set", "ring"};

struct vcpu {
	struct migration *m;
	struct client_vm c;
	pthread_t thread;
	struct kvm_dirty_gfn *ring;
	uint32_t next; /* entry of the ring to look at */
};

struct migration {
	enum way way;
	uint32_t ring_bytes;
	struct client_vm c; /* without a vCPU */
	struct client_memory memory;
	uint8_t *copy;
	struct vcpu vcpu[NR_VCPUS];
	_Atomic bool stop;
	_Atomic uint64_t full; /* exits because a ring was */
};

/* ---- the guest's side ----------------------------------------------------------------- */

static void set_up_vcpu(struct migration *m, unsigned int index)
{
	struct vcpu *v = &m->vcpu[index];

	v->m = m;
	v->c = m->c;
	v->c.vcpu = ioctl(m->c.vm, KVM_CREATE_VCPU, index);
	EXPECT(v->c.vcpu >= 0);
	v->c.run_bytes = (size_t)ioctl(m->c.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	v->c.run = mmap(NULL, v->c.run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->c.vcpu, 0);
	EXPECT(v->c.run != MAP_FAILED);
	if (m->way == RING) {
		v->ring = mmap(NULL, m->ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->c.vcpu,
			       KVM_DIRTY_LOG_PAGE_OFFSET * (off_t)PAGE_BYTES);
		EXPECT(v->ring != MAP_FAILED);
	}
	client_long_mode(&v->c);
	client_set_regs(&v->c, (struct kvm_regs){.rdi = 8 * index,
						 .rbx = 77 + index,
						 .rsp = STACK_TOP - 0x1000 * index});
}

static void *run_vcpu(void *arg)
{
	struct vcpu *v = arg;

	while (!atomic_load(&v->m->stop)) {
		int ret = ioctl(v->c.vcpu, KVM_RUN, 0);

		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0 || v->c.run->exit_reason != KVM_EXIT_DIRTY_RING_FULL)
			client_fail("KVM_RUN %d (%s), exit reason %u, rip 0x%llx", ret,
				    strerror(errno), v->c.run->exit_reason,
				    client_get_regs(&v->c).rip);
		atomic_fetch_add(&v->m->full, 1);
		sched_yield();
	}
	return NULL;
}

static void start_vcpus(struct migration *m)
{
	atomic_store(&m->stop, false);
	for (unsigned int i = 0; i < NR_VCPUS; i++) {
		m->vcpu[i].c.run->immediate_exit = 0;
		EXPECT_EQ(pthread_create(&m->vcpu[i].thread, NULL, run_vcpu, &m->vcpu[i]), 0);
	}
}

static void stop_vcpus(struct migration *m)
{
	atomic_store(&m->stop, true);
	for (unsigned int i = 0; i < NR_VCPUS; i++) {
		m->vcpu[i].c.run->immediate_exit = 1;
		EXPECT_EQ(pthread_kill(m->vcpu[i].thread, SIGUSR1), 0);
		EXPECT_EQ(pthread_join(m->vcpu[i].thread, NULL), 0);
	}
}

/* ---- the log --------------------------------------------------------------------------- */

static void copy_page(struct migration *m, uint64_t page)
{
	EXPECT(page < MEMORY_PAGES);
	memcpy(m->copy + page * PAGE_BYTES, m->memory.bytes + page * PAGE_BYTES, PAGE_BYTES);
}

static bool is_set(const uint64_t *bitmap, uint64_t page)
{
	return bitmap[page / 64] >> (page % 64) & 1;
}

/* In pieces, as programs do that do not want to stop the guest for long. */
static void clear(struct migration *m, uint64_t *bitmap)
{
	for (uint64_t first = 0; first < MEMORY_PAGES; first += 128) {
		struct kvm_clear_dirty_log log = {
			.num_pages = 128, .first_page = first, .dirty_bitmap = bitmap + first / 64};

		EXPECT_EQ(ioctl(m->c.vm, KVM_CLEAR_DIRTY_LOG, &log), 0);
	}
}

static unsigned int harvest_bitmap(struct migration *m)
{
	uint64_t bitmap[MEMORY_PAGES / 64];
	struct kvm_dirty_log log = {.dirty_bitmap = bitmap};
	unsigned int pages = 0;

	memset(bitmap, 0x55, sizeof(bitmap));
	EXPECT_EQ(ioctl(m->c.vm, KVM_GET_DIRTY_LOG, &log), 0);
	if (m->way != BITMAP)
		clear(m, bitmap);
	for (uint64_t page = 0; page < MEMORY_PAGES; page++) {
		if (!is_set(bitmap, page))
			continue;
		copy_page(m, page);
		pages++;
	}
	return pages;
}

/* The pages that the ring names, which are released but not copied yet. */
static unsigned int collect(struct vcpu *v, uint64_t *pages)
{
	unsigned int nr = 0;

	for (;; v->next++, nr++) {
		struct kvm_dirty_gfn *entry =
			&v->ring[v->next % (v->m->ring_bytes / sizeof(struct kvm_dirty_gfn))];

		if (__atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
			return nr;
		EXPECT_EQ(entry->slot, 0);
		pages[nr] = entry->offset;
		__atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	}
}

static unsigned int harvest_rings(struct migration *m)
{
	static uint64_t pages[NR_VCPUS * RING_MAX / sizeof(struct kvm_dirty_gfn)];
	unsigned int nr = 0;

	for (unsigned int i = 0; i < NR_VCPUS; i++) {
		unsigned int found = collect(&m->vcpu[i], &pages[nr]);

		EXPECT(found <= m->ring_bytes / sizeof(struct kvm_dirty_gfn));
		nr += found;
	}
	EXPECT_EQ(ioctl(m->c.vm, KVM_RESET_DIRTY_RINGS, 0), nr);
	for (unsigned int i = 0; i < nr; i++)
		copy_page(m, pages[i]);
	return nr;
}

static unsigned int harvest(struct migration *m)
{
	return m->way == RING ? harvest_rings(m) : harvest_bitmap(m);
}

/* ---- a migration ------------------------------------------------------------------------ */

static void set_logging(struct migration *m, bool on)
{
	EXPECT_EQ(client_set_slot(&m->c, 0, on ? KVM_MEM_LOG_DIRTY_PAGES : 0, 0, m->memory.bytes,
				  MEMORY_BYTES),
		  0);
}

static void harvest_for(struct migration *m, double seconds)
{
	struct timespec start, now, pause = {.tv_nsec = 200000};

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		harvest(m);
		nanosleep(&pause, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((double)(now.tv_sec - start.tv_sec) +
			 (double)(now.tv_nsec - start.tv_nsec) * 1e-9 <
		 seconds);
}

static void check_copy(struct migration *m)
{
	for (uint64_t page = 0; page < MEMORY_PAGES; page++) {
		if (memcmp(m->copy + page * PAGE_BYTES, m->memory.bytes + page * PAGE_BYTES,
			   PAGE_BYTES) != 0)
			client_fail("%s: page %llu was written and is missing from the log",
				    way_names[m->way], (unsigned long long)page);
	}
}

static void migrate(struct migration *m, double seconds)
{
	start_vcpus(m);
	usleep(10000);
	set_logging(m, true);
	/* A log that begins with everything set asks for the whole copy by itself. */
	for (uint64_t page = 0; m->way != INITIALLY_SET && page < MEMORY_PAGES; page++)
		copy_page(m, page);
	harvest_for(m, seconds / ROUNDS);
	stop_vcpus(m);
	harvest(m);
	check_copy(m);
	EXPECT_EQ(harvest(m), 0);
	set_logging(m, false);
}

/* ---- before and after ------------------------------------------------------------------- */

static int enable(struct migration *m, uint32_t capability, uint64_t value)
{
	struct kvm_enable_cap cap = {.cap = capability, .args = {value}};

	return ioctl(m->c.vm, KVM_ENABLE_CAP, &cap);
}

static void choose_way(struct migration *m)
{
	int err = 0;

	if (m->way == MANUAL)
		err = enable(m, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			     KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	if (m->way == INITIALLY_SET)
		err = enable(m, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			     KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
	/* The smallest that there is, so that it is full every few milliseconds. */
	for (m->ring_bytes = PAGE_BYTES; m->way == RING; m->ring_bytes *= 2) {
		err = enable(m, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, m->ring_bytes);
		if (!err || m->ring_bytes == RING_MAX)
			break;
	}
	EXPECT_EQ(err, 0);
}

/* The first 2 MiB in pages of 4 KiB. */
static void small_pages(const struct client_memory *m)
{
	uint64_t *pd = (uint64_t *)(void *)(m->bytes + PD_GPA);
	uint64_t *pt = (uint64_t *)(void *)(m->bytes + PT_GPA);

	pd[0] = PT_GPA | 3;
	for (uint64_t i = 0; i < 512; i++)
		pt[i] = (i << 12) | 3;
}

static void set_up(struct migration *m)
{
	m->c.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	EXPECT(m->c.kvm >= 0);
	m->c.vm = ioctl(m->c.kvm, KVM_CREATE_VM, 0);
	EXPECT(m->c.vm >= 0);
	choose_way(m);
	m->memory = client_with_code(&m->c, MEMORY_BYTES, writer_begin, writer_end);
	client_identity_tables(&m->memory);
	small_pages(&m->memory);
	m->copy = calloc(1, MEMORY_BYTES);
	EXPECT(m->copy != NULL);
	for (unsigned int i = 0; i < NR_VCPUS; i++)
		set_up_vcpu(m, i);
}

static void tear_down(struct migration *m)
{
	for (unsigned int i = 0; i < NR_VCPUS; i++) {
		struct vcpu *v = &m->vcpu[i];

		EXPECT(client_get_regs(&v->c).r12 > 0);
		if (v->ring)
			EXPECT_EQ(munmap(v->ring, m->ring_bytes), 0);
		EXPECT_EQ(munmap(v->c.run, v->c.run_bytes), 0);
		EXPECT_EQ(close(v->c.vcpu), 0);
	}
	close(m->c.vm);
	close(m->c.kvm);
	client_free(&m->memory);
	free(m->copy);
}

static void migrate_one_way(enum way way, double seconds)
{
	struct migration m = {.way = way};

	set_up(&m);
	for (int i = 0; i < ROUNDS; i++)
		migrate(&m, seconds);
	if (way == RING)
		EXPECT(atomic_load(&m.full) > 0);
	tear_down(&m);
	printf("%s: memory and copy are equal\n", way_names[way]);
}

static void on_kick(int signal)
{
	(void)signal;
}

/* kvmu reads its parameters when a process starts: each value has a process of its own. */
static void in_a_process_of_its_own(char *self, char *seconds, const char *pml)
{
	char *const args[] = {self, seconds, (char[]){"child"}, NULL};
	pid_t child = fork();
	int status;

	EXPECT(child >= 0);
	if (!child) {
		setenv("KVMU_PML", pml, 1);
		execv("/proc/self/exe", args);
		_exit(1);
	}
	EXPECT_EQ(waitpid(child, &status, 0), child);
	if (status != 0)
		client_fail("with KVMU_PML=%s: status %#x", pml, (unsigned int)status);
}

int main(int argc, char **argv)
{
	const struct sigaction action = {.sa_handler = on_kick};
	char *seconds = argc > 1 ? argv[1] : (char[]){"0.3"};

	if (argc < 3) {
		in_a_process_of_its_own(argv[0], seconds, "1");
		in_a_process_of_its_own(argv[0], seconds, "0");
		return 0;
	}
	EXPECT_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	for (int way = 0; way < NR_WAYS; way++)
		migrate_one_way((enum way)way, strtod(seconds, NULL));
	return 0;
}
