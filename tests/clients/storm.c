// SPDX-License-Identifier: BSD-2-Clause
/*
 * Everything at once, for some seconds: four vCPUs write to four kinds of
 * memory while the program discards, protects and replaces it, deletes and
 * moves slots, converts pages and punches holes, harvests the dirty log and
 * kicks vCPUs with signals.
 *
 * In the end no increment is lost, and a copy that was kept up to date from the
 * dirty log alone, as live migration does, equals the logged memory.
 *
 *   storm [SECONDS]
 */
#include "client.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "newer_kvm.h"

#define NR_VCPUS      4
#define REGION_BYTES  (256 * PAGE_BYTES)
#define REGION_GPA(n) (0x10000000ul + (n)*0x200000ul)

enum region {
	LOGGED,	 /* nothing happens to it but writing and harvesting */
	CHURNED, /* the program discards, protects and replaces it */
	MOVED,	 /* its slot comes, goes and moves */
	MIXED,	 /* private and shared by turns, with holes */
	NR_REGIONS,
};

/*
 * rdi: this vCPU's offset in each page; rbx: random state; r12: increments done
 * in the logged region.  The increments there are of a word of its own.
 */
GUEST_CODE(writer, "64",
	   "1:	mov	$6364136223846793005, %rax\n"
	   "	imul	%rax, %rbx\n"
	   "	mov	$1442695040888963407, %rax\n"
	   "	add	%rax, %rbx\n"
	   "	mov	%rbx, %rsi\n"
	   "	shr	$40, %rsi\n"
	   "	and	$0xff000, %esi\n"
	   "	add	%rdi, %rsi\n"
	   "	lock incq 0x10000000(%rsi)\n"
	   "	inc	%r12\n"
	   "	incq	0x10200000(%rsi)\n"
	   "	mov	0x10400000(%rsi), %rax\n"
	   "	mov	%rax, 0x10400000(%rsi)\n"
	   "	incq	0x10600000(%rsi)\n"
	   "	jmp	1b\n");

struct storm {
	int kvm, vm;
	bool mixed; /* guest_memfd and attributes exist */
	int gmem;
	struct client_memory low;
	uint8_t *memory[NR_REGIONS];
	uint8_t *copy; /* of the logged region */
	_Atomic bool stop;
	pthread_mutex_t harvest;
};

struct vcpu {
	struct storm *storm;
	struct client_vm c;
	pthread_t thread;
	unsigned int index;
};

/* ---- the guest's side -------------------------------------------------------------------- */

static void set_up_vcpu(struct storm *s, struct vcpu *v, unsigned int index)
{
	v->storm = s;
	v->index = index;
	v->c = (struct client_vm){.kvm = s->kvm, .vm = s->vm};
	v->c.vcpu = ioctl(s->vm, KVM_CREATE_VCPU, index);
	EXPECT(v->c.vcpu >= 0);
	v->c.run_bytes = (size_t)ioctl(s->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	v->c.run = mmap(NULL, v->c.run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, v->c.vcpu, 0);
	EXPECT(v->c.run != MAP_FAILED);
	client_long_mode(&v->c);
	client_set_regs(&v->c, (struct kvm_regs){.rdi = 8 * index, .rbx = 77 + index});
}

/* Memory that the program has taken for a moment, or a kick: again. */
static bool may_go_on(const struct vcpu *v, int ret, int error)
{
	if (ret < 0)
		return error == EINTR || error == EAGAIN || error == EFAULT;
	return v->c.run->exit_reason == KVM_EXIT_MMIO || v->c.run->exit_reason == KVM_EXIT_INTR;
}

static void *run_vcpu(void *arg)
{
	struct vcpu *v = arg;

	while (!atomic_load(&v->storm->stop)) {
		int ret = ioctl(v->c.vcpu, KVM_RUN, 0);

		if (!may_go_on(v, ret, errno))
			client_fail("vCPU %u: KVM_RUN %d (%s), exit reason %u, rip 0x%llx",
				    v->index, ret, strerror(errno), v->c.run->exit_reason,
				    client_get_regs(&v->c).rip);
	}
	return NULL;
}

/* What an exit has left half done is completed, and nothing more is executed. */
static void settle(struct vcpu *v)
{
	v->c.run->immediate_exit = 1;
	EXPECT(ioctl(v->c.vcpu, KVM_RUN, 0) < 0 && errno == EINTR);
}

/* ---- what the program does meanwhile ------------------------------------------------------- */

static uint64_t random_page(uint64_t *state)
{
	*state = *state * 6364136223846793005ul + 1442695040888963407ul;
	return *state >> 40 & 0xff;
}

static void replace(uint8_t *page)
{
	EXPECT(mmap(page, PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
}

static void *churn(void *arg)
{
	struct storm *s = arg;
	uint64_t random = 1;

	for (unsigned int i = 0; !atomic_load(&s->stop); i++) {
		uint8_t *page = s->memory[CHURNED] + random_page(&random) * PAGE_BYTES;

		switch (i % 4) {
		case 0:
			EXPECT_EQ(madvise(page, PAGE_BYTES, MADV_DONTNEED), 0);
			break;
		case 1:
			EXPECT_EQ(mprotect(page, PAGE_BYTES, PROT_READ), 0);
			EXPECT_EQ(mprotect(page, PAGE_BYTES, PROT_READ | PROT_WRITE), 0);
			break;
		case 2:
			replace(page);
			break;
		default:
			EXPECT_EQ(munmap(page, PAGE_BYTES), 0);
			replace(page);
		}
	}
	return NULL;
}

static int set_slot(struct storm *s, enum region region, uint32_t flags, uint64_t gpa, size_t bytes)
{
	const struct client_vm c = {.vm = s->vm};

	return client_set_slot(&c, 1 + region, flags, gpa, s->memory[region], bytes);
}

static void *move(void *arg)
{
	struct storm *s = arg;

	while (!atomic_load(&s->stop)) {
		EXPECT_EQ(set_slot(s, MOVED, 0, 0x20000000, REGION_BYTES), 0);
		EXPECT_EQ(set_slot(s, MOVED, 0, REGION_GPA(MOVED), REGION_BYTES), 0);
		EXPECT_EQ(set_slot(s, MOVED, 0, REGION_GPA(MOVED), 0), 0);
		EXPECT_EQ(set_slot(s, MOVED, 0, REGION_GPA(MOVED), REGION_BYTES), 0);
	}
	return NULL;
}

static void set_private(struct storm *s, uint64_t page, uint64_t pages, bool private)
{
	struct kvm_memory_attributes attributes = {
		.address = REGION_GPA(MIXED) + page * PAGE_BYTES,
		.size = pages * PAGE_BYTES,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	EXPECT_EQ(ioctl(s->vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes), 0);
}

static void *convert(void *arg)
{
	struct storm *s = arg;
	uint64_t random = 2;

	for (unsigned int i = 0; s->mixed && !atomic_load(&s->stop); i++) {
		uint64_t page = random_page(&random) & ~7ul;

		set_private(s, page, 8, i % 2);
		if (i % 3 == 0)
			EXPECT_EQ(fallocate(s->gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					    (off_t)(page * PAGE_BYTES), 4 * PAGE_BYTES),
				  0);
	}
	return NULL;
}

/* ---- the dirty log -------------------------------------------------------------------------- */

/* Bring the copy up to date with what the log says; how many pages that was. */
static unsigned int harvest(struct storm *s)
{
	uint64_t bitmap[REGION_BYTES / PAGE_BYTES / 64];
	struct kvm_dirty_log log = {.slot = 1 + LOGGED, .dirty_bitmap = bitmap};
	unsigned int pages = 0;

	EXPECT_EQ(ioctl(s->vm, KVM_GET_DIRTY_LOG, &log), 0);
	for (size_t i = 0; i < REGION_BYTES / PAGE_BYTES; i++) {
		if (!(bitmap[i / 64] >> (i % 64) & 1))
			continue;
		memcpy(s->copy + i * PAGE_BYTES, s->memory[LOGGED] + i * PAGE_BYTES, PAGE_BYTES);
		pages++;
	}
	return pages;
}

static void *harvest_on(void *arg)
{
	struct storm *s = arg;
	const struct timespec pause = {.tv_nsec = 500000};

	while (!atomic_load(&s->stop)) {
		harvest(s);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

/* ---- before and after ------------------------------------------------------------------------ */

static void set_up_mixed(struct storm *s)
{
	struct kvm_create_guest_memfd create = {.size = REGION_BYTES};
	struct kvm_userspace_memory_region2 region = {
		.slot = 1 + MIXED,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = REGION_GPA(MIXED),
		.memory_size = REGION_BYTES,
		.userspace_addr = (uintptr_t)s->memory[MIXED],
	};

	if (!s->mixed) {
		EXPECT_EQ(set_slot(s, MIXED, 0, REGION_GPA(MIXED), REGION_BYTES), 0);
		return;
	}
	s->gmem = ioctl(s->vm, KVM_CREATE_GUEST_MEMFD, &create);
	EXPECT(s->gmem >= 0);
	region.guest_memfd = (uint32_t)s->gmem;
	EXPECT_EQ(ioctl(s->vm, KVM_SET_USER_MEMORY_REGION2, &region), 0);
}

static void set_up(struct storm *s)
{
	struct client_vm c;

	s->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	EXPECT(s->kvm >= 0);
	s->mixed = ioctl(s->kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) > 0;
	s->vm = ioctl(s->kvm, KVM_CREATE_VM, s->mixed ? KVM_X86_SW_PROTECTED_VM : 0);
	EXPECT(s->vm >= 0);
	c = (struct client_vm){.kvm = s->kvm, .vm = s->vm};
	s->low = client_with_code(&c, 0x40000, writer_begin, writer_end);
	client_identity_tables(&s->low);
	for (int i = 0; i < NR_REGIONS; i++) {
		s->memory[i] = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		EXPECT(s->memory[i] != MAP_FAILED);
	}
	s->copy = calloc(1, REGION_BYTES);
	EXPECT(s->copy != NULL);
	EXPECT_EQ(set_slot(s, LOGGED, KVM_MEM_LOG_DIRTY_PAGES, REGION_GPA(LOGGED), REGION_BYTES),
		  0);
	EXPECT_EQ(set_slot(s, CHURNED, 0, REGION_GPA(CHURNED), REGION_BYTES), 0);
	EXPECT_EQ(set_slot(s, MOVED, 0, REGION_GPA(MOVED), REGION_BYTES), 0);
	set_up_mixed(s);
}

static void check_increments(struct storm *s, const struct vcpu *v)
{
	uint64_t done = client_get_regs(&v->c).r12, found = 0;

	for (size_t i = 0; i < REGION_BYTES / PAGE_BYTES; i++)
		found += *(uint64_t *)(void *)(s->memory[LOGGED] + i * PAGE_BYTES + 8 * v->index);
	printf("vCPU %u: %llu increments\n", v->index, (unsigned long long)done);
	/* It may have been stopped between the increment and its count. */
	if (found - done > 1)
		client_fail("vCPU %u: %llu of %llu increments are in memory", v->index,
			    (unsigned long long)found, (unsigned long long)done);
	if (!done)
		client_fail("vCPU %u made no progress", v->index);
}

static void on_kick(int signal)
{
	(void)signal;
}

static void kick_for(struct vcpu *vcpus, double seconds)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		nanosleep(&pause, NULL);
		for (int i = 0; i < NR_VCPUS; i++)
			EXPECT_EQ(pthread_kill(vcpus[i].thread, SIGUSR1), 0);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((double)(now.tv_sec - start.tv_sec) +
			 (double)(now.tv_nsec - start.tv_nsec) * 1e-9 <
		 seconds);
}

static void stop_vcpus(struct storm *s, struct vcpu *vcpus)
{
	atomic_store(&s->stop, true);
	for (int i = 0; i < NR_VCPUS; i++) {
		vcpus[i].c.run->immediate_exit = 1;
		EXPECT_EQ(pthread_kill(vcpus[i].thread, SIGUSR1), 0);
		EXPECT_EQ(pthread_join(vcpus[i].thread, NULL), 0);
		settle(&vcpus[i]);
	}
}

int main(int argc, char **argv)
{
	static void *(*const events[])(void *) = {churn, move, convert, harvest_on};
	const struct sigaction action = {.sa_handler = on_kick};
	static struct vcpu vcpus[NR_VCPUS];
	static struct storm s = {.gmem = -1};
	pthread_t thread[4];

	EXPECT_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	set_up(&s);
	for (unsigned int i = 0; i < NR_VCPUS; i++)
		set_up_vcpu(&s, &vcpus[i], i);
	for (int i = 0; i < NR_VCPUS; i++)
		EXPECT_EQ(pthread_create(&vcpus[i].thread, NULL, run_vcpu, &vcpus[i]), 0);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(pthread_create(&thread[i], NULL, events[i], &s), 0);
	kick_for(vcpus, argc > 1 ? strtod(argv[1], NULL) : 2);
	stop_vcpus(&s, vcpus);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(pthread_join(thread[i], NULL), 0);

	harvest(&s);
	for (int i = 0; i < NR_VCPUS; i++)
		check_increments(&s, &vcpus[i]);
	if (memcmp(s.copy, s.memory[LOGGED], REGION_BYTES) != 0)
		client_fail("a written page is missing from the dirty log");
	EXPECT_EQ(harvest(&s), 0);
	client_check_canary(&s.low);
	printf("every increment is there, every written page was logged\n");
	return 0;
}
