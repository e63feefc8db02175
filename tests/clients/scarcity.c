// SPDX-License-Identifier: BSD-2-Clause
/*
 * A virtual machine's whole life on a host that is short of memory, descriptors
 * or threads: what fails says why, with an errno that KVM has for it, has
 * changed nothing, and works when it is tried again; no write of the guest is
 * lost, and in the end no descriptor is left.
 *
 * On a host that has everything nothing fails.  `kvmu run --inject` makes it
 * short (tests/kvm/inject_test.py goes through all there is).
 */
#include "client.h"
#include "newer_kvm.h"
#include <dirent.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#define DATA_GPA    0x400000ul
#define DATA_BYTES  (2ul << 20) /* as much as a large page */
#define DATA_PAGES  16ul	/* that the guest works on */
#define WORDS	    (PAGE_BYTES / 8)
#define HIGH_GPA    0x10000000ul
#define PORT	    0x10
#define VECTOR	    0x40
#define APIC_PD_GPA 0xd000ul
#define GDT_GPA	    0x2000ul
#define IDT_GPA	    0x3000ul
#define GSI	    5
#define MANY_VMS    18
#define MOST_TRIES  200

/* rdi: the first page, rcx: how many; rax: the sum of what is there after adding 1 to each. */
GUEST_CODE(worker, "64",
	   "	xor	%eax, %eax\n"
	   "1:	lock incq (%rdi)\n"
	   "	add	(%rdi), %rax\n"
	   "	add	$4096, %rdi\n"
	   "	dec	%rcx\n"
	   "	jnz	1b\n"
	   "	out	%al, $0x10\n");

/* Waits for one interrupt. */
GUEST_CODE(waiter, "64",
	   "	sti\n"
	   "	hlt\n"
	   "	cli\n"
	   "	out	%al, $0x10\n");

GUEST_CODE(handler, "64",
	   "	mov	$0xfee000b0, %eax\n" /* EOI */
	   "	movl	$0, (%rax)\n"
	   "	iretq\n");

#define WAITER_GPA  (CODE_GPA + 0x400)
#define HANDLER_GPA (CODE_GPA + 0x800)

/* ---- trying again -------------------------------------------------------------------------- */

/* What a call may say when the host is short of something; 0 ends. */
typedef const int errnos[6];

static errnos memory = {ENOMEM};
static errnos descriptor = {ENOMEM, EMFILE, ENFILE};
static errnos guest_page = {EFAULT, ENOMEM, EINTR};
static errnos allocation = {ENOMEM, EINTR};
static errnos hole = {EIO};

static void failed(const char *call, errnos allowed, unsigned int tries)
{
	int error = errno;

	for (const int *e = allowed; *e; e++) {
		if (*e == error && tries < MOST_TRIES)
			return;
	}
	client_fail("%s: %s, after %u tries", call, strerrorname_np(error), tries);
}

#define TRY(allowed, call)                                \
	({                                                \
		unsigned int tries_ = 0;                  \
		long ret_;                                \
		while ((ret_ = (long)(call)) == -1)       \
			failed(#call, allowed, ++tries_); \
		ret_;                                     \
	})

/* ---- the machine ----------------------------------------------------------------------------- */

struct life {
	struct client_vm c;
	struct client_memory low;
	int file; /* of the data */
	void *area;
	uint64_t *data;	 /* in the area, aligned */
	uint64_t rounds; /* the guest has added so much to each page of them */
};

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int nr = 0;

	EXPECT(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static void set_slot(struct life *l, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t bytes)
{
	TRY(memory, client_set_slot(&l->c, slot, flags, gpa, l->data, bytes));
}

static void set_up_descriptors(struct life *l)
{
	uint64_t *gdt = (uint64_t *)(void *)(l->low.bytes + GDT_GPA);
	uint64_t *gate = (uint64_t *)(void *)(l->low.bytes + IDT_GPA + 16 * VECTOR);

	gdt[1] = 0x00af9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	gate[0] = HANDLER_GPA | 8ull << 16 | 0x8e00ull << 32;
	gate[1] = 0;
}

static void create_machine(struct life *l)
{
	bool private = false;
	int dev = open("/dev", O_RDONLY | O_DIRECTORY);

	EXPECT(dev >= 0);
	l->c.kvm = (int)TRY(descriptor, openat(dev, "kvm", O_RDWR | O_CLOEXEC));
	EXPECT_EQ(close(dev), 0);
	private = ioctl(l->c.kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) > 0;
	l->c.vm = (int)TRY(descriptor,
			   ioctl(l->c.kvm, KVM_CREATE_VM, private ? KVM_X86_SW_PROTECTED_VM : 0));
	TRY(memory, ioctl(l->c.vm, KVM_CREATE_IRQCHIP, 0));
	l->c.vcpu = (int)TRY(descriptor, ioctl(l->c.vm, KVM_CREATE_VCPU, 0));
	l->c.run_bytes = (size_t)ioctl(l->c.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	l->c.run = (void *)TRY(memory, mmap(NULL, l->c.run_bytes, PROT_READ | PROT_WRITE,
					    MAP_SHARED, l->c.vcpu, 0));
}

static void create_memory(struct life *l)
{
	l->file = memfd_create("data", MFD_CLOEXEC);
	EXPECT(l->file >= 0 && ftruncate(l->file, DATA_BYTES) == 0);
	l->area = mmap(NULL, 2 * DATA_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(l->area != MAP_FAILED);
	l->data = (void *)(((uintptr_t)l->area + DATA_BYTES - 1) & ~(DATA_BYTES - 1));
	EXPECT(mmap(l->data, DATA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, l->file,
		    0) == l->data);
	l->low = client_alloc(0x10000);
	client_load(&l->low, CODE_GPA, worker_begin, worker_end);
	client_load(&l->low, WAITER_GPA, waiter_begin, waiter_end);
	client_load(&l->low, HANDLER_GPA, handler_begin, handler_end);
	client_identity_tables(&l->low);
	/* And where the local APIC is. */
	((uint64_t *)(void *)(l->low.bytes + PDPT_GPA))[3] = APIC_PD_GPA | 3;
	((uint64_t *)(void *)(l->low.bytes + APIC_PD_GPA))[503] = 0xfee00083;
	set_up_descriptors(l);
	TRY(memory, client_set_slot(&l->c, 0, 0, 0, l->low.bytes, l->low.nbytes));
	set_slot(l, 1, 0, DATA_GPA, DATA_BYTES);
}

static void start_processor(struct life *l)
{
	struct kvm_lapic_state lapic;
	struct kvm_sregs sregs;

	client_long_mode(&l->c);
	EXPECT_EQ(ioctl(l->c.vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.idt.base = IDT_GPA;
	sregs.idt.limit = 0xfff;
	sregs.gdt.base = GDT_GPA;
	sregs.gdt.limit = 23;
	EXPECT_EQ(ioctl(l->c.vcpu, KVM_SET_SREGS, &sregs), 0);
	EXPECT_EQ(ioctl(l->c.vcpu, KVM_GET_LAPIC, &lapic), 0);
	lapic.regs[0xf1] = 1; /* enabled by software */
	EXPECT_EQ(ioctl(l->c.vcpu, KVM_SET_LAPIC, &lapic), 0);
}

/* ---- the guest at work --------------------------------------------------------------------- */

static void *broken_page; /* of the last signal */
static unsigned int broken_pages;

static void bus_error(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (info->si_code != BUS_MCEERR_AR)
		abort();
	broken_page = info->si_addr;
	broken_pages++;
}

static bool is_inside(const void *p, const void *start, size_t bytes)
{
	return (uintptr_t)p - (uintptr_t)start < bytes;
}

/* A broken page is told by a signal, and the run is interrupted. */
static void run_to_port(struct life *l)
{
	broken_page = NULL;
	TRY(guest_page, ioctl(l->c.vcpu, KVM_RUN, 0));
	EXPECT(!broken_page || is_inside(broken_page, l->low.bytes, l->low.nbytes) ||
	       is_inside(broken_page, l->data, DATA_BYTES));
	EXPECT_EQ(l->c.run->exit_reason, KVM_EXIT_IO);
	EXPECT_EQ(l->c.run->io.port, PORT);
}

/* Returns the sum over the pages. */
static uint64_t work(struct life *l, uint64_t gpa, uint64_t pages)
{
	client_set_regs(&l->c, (struct kvm_regs){.rdi = gpa, .rcx = pages});
	run_to_port(l);
	return client_get_regs(&l->c).rax;
}

static void work_on_data(struct life *l, uint64_t gpa)
{
	l->rounds++;
	EXPECT_EQ(work(l, gpa, DATA_PAGES), l->rounds * DATA_PAGES);
	for (uint64_t i = 0; i < DATA_PAGES; i++)
		EXPECT_EQ(l->data[i * WORDS], l->rounds);
}

/* ---- stages --------------------------------------------------------------------------------- */

static void log_dirty_pages(struct life *l)
{
	uint64_t bitmap[DATA_BYTES / PAGE_BYTES / 64];
	struct kvm_dirty_log log = {.slot = 1, .dirty_bitmap = bitmap};

	set_slot(l, 1, KVM_MEM_LOG_DIRTY_PAGES, DATA_GPA, DATA_BYTES);
	for (int pass = 0; pass < 2; pass++) {
		work_on_data(l, DATA_GPA);
		EXPECT_EQ(ioctl(l->c.vm, KVM_GET_DIRTY_LOG, &log), 0);
		EXPECT_EQ(bitmap[0], (1ull << DATA_PAGES) - 1);
		EXPECT_EQ(bitmap[1], 0);
	}
	EXPECT_EQ(ioctl(l->c.vm, KVM_GET_DIRTY_LOG, &log), 0);
	EXPECT_EQ(bitmap[0], 0);
	set_slot(l, 1, 0, DATA_GPA, DATA_BYTES);
	work_on_data(l, DATA_GPA);
}

static void move_slot(struct life *l)
{
	set_slot(l, 1, 0, HIGH_GPA, DATA_BYTES);
	work_on_data(l, HIGH_GPA);
	set_slot(l, 1, 0, DATA_GPA, DATA_BYTES);
}

/* The program takes pages away, by address and by file; the guest finds zeros there. */
static void take_pages_away(struct life *l)
{
	for (int way = 0; way < 2; way++) {
		const uint64_t gone = 8;

		if (way)
			EXPECT_EQ(madvise(l->data, gone * PAGE_BYTES, MADV_REMOVE), 0);
		else
			EXPECT_EQ(fallocate(l->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
					    (off_t)(gone * PAGE_BYTES)),
				  0);
		EXPECT_EQ(work(l, DATA_GPA, gone), gone);
		for (uint64_t i = 0; i < gone; i++)
			l->data[i * WORDS] = l->rounds;
	}
	work_on_data(l, DATA_GPA);
}

/* More of them than a change of memory has room for without asking for some. */
static void many_machines(struct life *l)
{
	int vm[MANY_VMS];

	for (int i = 0; i < MANY_VMS; i++)
		vm[i] = (int)TRY(descriptor, ioctl(l->c.kvm, KVM_CREATE_VM, 0));
	EXPECT_EQ(madvise(l->low.bytes + 0x8000, PAGE_BYTES, MADV_DONTNEED), 0);
	work_on_data(l, DATA_GPA);
	for (int i = 0; i < MANY_VMS; i++)
		EXPECT_EQ(close(vm[i]), 0);
}

static void share(struct life *l, uint64_t attributes)
{
	struct kvm_memory_attributes args = {
		.address = HIGH_GPA, .size = 16 * PAGE_BYTES, .attributes = attributes};

	TRY(memory, ioctl(l->c.vm, KVM_SET_MEMORY_ATTRIBUTES, &args));
}

static int private_slot(struct life *l)
{
	struct kvm_create_guest_memfd gmem = {.size = 16 * PAGE_BYTES};
	int fd = (int)TRY(descriptor, ioctl(l->c.vm, KVM_CREATE_GUEST_MEMFD, &gmem));
	struct kvm_userspace_memory_region2 region = {
		.slot = 2,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = HIGH_GPA,
		.memory_size = 16 * PAGE_BYTES,
		.userspace_addr = (uintptr_t)l->data,
		.guest_memfd = (uint32_t)fd,
	};

	TRY(memory, ioctl(l->c.vm, KVM_SET_USER_MEMORY_REGION2, &region));
	return fd;
}

static void private_memory(struct life *l)
{
	int fd;

	if (ioctl(l->c.kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) <= 0)
		return;
	fd = private_slot(l);
	share(l, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	TRY(allocation, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4 * PAGE_BYTES));
	EXPECT_EQ(work(l, HIGH_GPA, 16), 16);
	EXPECT_EQ(work(l, HIGH_GPA, 16), 32);
	TRY(hole, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8 * PAGE_BYTES));
	EXPECT_EQ(work(l, HIGH_GPA, 16), 8 * 1 + 8 * 3);
	share(l, 0);
	EXPECT_EQ(work(l, HIGH_GPA, 16), 16 * (l->rounds + 1));
	for (uint64_t i = 0; i < 16; i++)
		l->data[i * WORDS] = l->rounds;
	EXPECT_EQ(close(fd), 0);
	TRY(memory, client_set_slot(&l->c, 2, 0, HIGH_GPA, l->data, 0));
}

static void route(struct life *l)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} routing = {
		.head.nr = 1,
		.entry = {.gsi = GSI,
			  .type = KVM_IRQ_ROUTING_MSI,
			  .u.msi = {.address_lo = 0xfee00000, .data = VECTOR}},
	};

	TRY(memory, ioctl(l->c.vm, KVM_SET_GSI_ROUTING, &routing));
}

/* When the guest, most likely, sleeps. */
static void *send_later(void *arg)
{
	usleep(2000);
	EXPECT_EQ(eventfd_write(*(int *)arg, 1), 0);
	return NULL;
}

static void interrupts(struct life *l)
{
	int event = eventfd(0, EFD_CLOEXEC);
	struct kvm_irqfd irqfd = {.fd = (uint32_t)event, .gsi = GSI};

	pthread_t sender;

	EXPECT(event >= 0);
	route(l);
	TRY(memory, ioctl(l->c.vm, KVM_IRQFD, &irqfd));
	for (int i = 0; i < 3; i++) {
		client_set_regs(&l->c, (struct kvm_regs){.rip = WAITER_GPA});
		EXPECT_EQ(pthread_create(&sender, NULL, send_later, &event), 0);
		run_to_port(l);
		EXPECT_EQ(pthread_join(sender, NULL), 0);
	}
	irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	TRY(memory, ioctl(l->c.vm, KVM_IRQFD, &irqfd));
	EXPECT_EQ(close(event), 0);
}

/* The guest's OUT becomes an event, and the run goes on to where there is no memory. */
static void events_of_the_guest(struct life *l)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct kvm_ioeventfd io = {
		.addr = PORT, .len = 1, .fd = event, .flags = KVM_IOEVENTFD_FLAG_PIO};
	eventfd_t count = 0;

	EXPECT(event >= 0);
	TRY(memory, ioctl(l->c.vm, KVM_IOEVENTFD, &io));
	io.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
	EXPECT_EQ(eventfd_read(event, &count), -1);
	TRY(memory, ioctl(l->c.vm, KVM_IOEVENTFD, &io));
	EXPECT_EQ(close(event), 0);
	work_on_data(l, DATA_GPA);
}

static void filter_msrs(struct life *l)
{
	uint8_t bits[8] = {0};
	struct kvm_msr_filter filter = {
		.ranges[0] = {
			.flags = KVM_MSR_FILTER_READ, .nmsrs = 64, .base = 0x10, .bitmap = bits}};

	for (int i = 0; i < 2; i++)
		TRY(memory, ioctl(l->c.vm, KVM_X86_SET_MSR_FILTER, &filter));
}

static void statistics(struct life *l)
{
	const int of[] = {l->c.vm, l->c.vcpu};
	struct kvm_stats_header header;

	for (int i = 0; i < 2; i++) {
		int fd = (int)TRY(descriptor, ioctl(of[i], KVM_GET_STATS_FD, NULL));

		EXPECT_EQ(read(fd, &header, sizeof(header)), sizeof(header));
		EXPECT(header.num_desc > 0);
		EXPECT_EQ(close(fd), 0);
	}
}

/* What KVM tells a guest about time lies in the guest's memory. */
static void tell_the_time(struct life *l)
{
	struct kvm_pit_config timer = {.flags = 0};
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[2];
	} msrs = {
		.head.nmsrs = 2,
		.entry = {{.index = 0x4b564d01, .data = (CODE_GPA + 0xc00) | 1},
			  {.index = 0x4b564d03, .data = (CODE_GPA + 0xd00) | 1}},
	};

	TRY(memory, ioctl(l->c.vm, KVM_CREATE_PIT2, &timer));
	/* Without its feature in CPUID an MSR is none. */
	EXPECT(ioctl(l->c.vcpu, KVM_SET_MSRS, &msrs) >= 0);
	work_on_data(l, DATA_GPA);
}

static void end(struct life *l)
{
	set_slot(l, 1, 0, DATA_GPA, 0);
	TRY(memory, client_set_slot(&l->c, 0, 0, 0, l->low.bytes, 0));
	client_destroy(&l->c);
	EXPECT_EQ(munmap(l->area, 2 * DATA_BYTES), 0);
	EXPECT_EQ(close(l->file), 0);
	client_free(&l->low);
}

int main(void)
{
	struct life l = {.rounds = 0};
	struct sigaction act = {.sa_sigaction = bus_error, .sa_flags = SA_SIGINFO};
	int fds = open_fds();

	EXPECT_EQ(sigaction(SIGBUS, &act, NULL), 0);
	create_machine(&l);
	create_memory(&l);
	start_processor(&l);
	work_on_data(&l, DATA_GPA);
	log_dirty_pages(&l);
	move_slot(&l);
	take_pages_away(&l);
	private_memory(&l);
	interrupts(&l);
	events_of_the_guest(&l);
	filter_msrs(&l);
	tell_the_time(&l);
	statistics(&l);
	many_machines(&l);
	end(&l);
	EXPECT_EQ(open_fds(), fds);
	printf("%llu rounds, nothing lost, %u broken pages\n", (unsigned long long)l.rounds,
	       broken_pages);
	return 0;
}
