// SPDX-License-Identifier: BSD-2-Clause
/*
 * The program takes guest memory away while the guest writes to it: unmapped,
 * the access ends KVM_RUN with EFAULT; discarded, the guest sees zeroes and
 * goes on; replaced by another mapping, it writes to the new one and never
 * again to the old; truncated, EFAULT once more.
 */
#include "client.h"
#include <pthread.h>
#include <stdatomic.h>

#define DATA_GPA   0x40000000ul
#define DATA_BYTES (64 * PAGE_BYTES)

/* For ever: increase the first word of each of the 64 pages. */
GUEST_CODE(writer, "64",
	   "1:	mov	%rdi, %rbx\n"
	   "	mov	$64, %ecx\n"
	   "2:	incq	(%rbx)\n"
	   "	add	$4096, %rbx\n"
	   "	dec	%ecx\n"
	   "	jnz	2b\n"
	   "	jmp	1b\n");

struct guest {
	struct client_vm c;
	struct client_memory m;
	uint8_t *data;
	pthread_t thread;
	_Atomic int run_errno; /* of the KVM_RUN that failed; -1 while it runs */
};

static void *vcpu_thread(void *arg)
{
	struct guest *g = arg;
	int ret = ioctl(g->c.vcpu, KVM_RUN, 0);

	atomic_store(&g->run_errno, ret < 0 ? errno : 0);
	return NULL;
}

static uint64_t first_word(const uint8_t *page)
{
	return __atomic_load_n((const uint64_t *)(const void *)page, __ATOMIC_RELAXED);
}

/* Wait until the guest has written behind our back; a bound makes a hang a failure. */
static void wait_for_change(const uint8_t *page)
{
	uint64_t before = first_word(page);

	for (int i = 0; i < 20000; i++) {
		if (first_word(page) != before)
			return;
		usleep(500);
	}
	client_fail("the guest stopped writing");
}

static void start(struct guest *g, int prot_flags, int fd)
{
	g->c = client_create();
	g->m = client_with_code(&g->c, 0x40000, writer_begin, writer_end);
	g->data = mmap(NULL, DATA_BYTES, PROT_READ | PROT_WRITE, prot_flags, fd, 0);
	EXPECT(g->data != MAP_FAILED);
	EXPECT_EQ(client_set_slot(&g->c, 1, 0, DATA_GPA, g->data, DATA_BYTES), 0);
	client_identity_tables(&g->m);
	((uint64_t *)(void *)(g->m.bytes + PDPT_GPA))[1] = (PD_GPA + PAGE_BYTES) | 3;
	((uint64_t *)(void *)(g->m.bytes + PD_GPA + PAGE_BYTES))[0] = DATA_GPA | 0x83;
	client_long_mode(&g->c);
	client_set_regs(&g->c, (struct kvm_regs){.rdi = DATA_GPA});
	atomic_init(&g->run_errno, -1);
	EXPECT_EQ(pthread_create(&g->thread, NULL, vcpu_thread, g), 0);
	wait_for_change(g->data);
}

static void expect_efault(struct guest *g)
{
	EXPECT_EQ(pthread_join(g->thread, NULL), 0);
	if (atomic_load(&g->run_errno) == 0)
		client_fail("KVM_RUN returned with exit reason %u, expected EFAULT",
			    g->c.run->exit_reason);
	EXPECT_EQ(atomic_load(&g->run_errno), EFAULT);
	client_destroy(&g->c);
	client_free(&g->m);
}

static void unmapped(void)
{
	struct guest g;

	start(&g, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	EXPECT_EQ(munmap(g.data + 8 * PAGE_BYTES, PAGE_BYTES), 0);
	expect_efault(&g);
	EXPECT_EQ(munmap(g.data, DATA_BYTES), 0);
}

static void forbidden(void)
{
	struct guest g;

	start(&g, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	EXPECT_EQ(mprotect(g.data + 8 * PAGE_BYTES, PAGE_BYTES, PROT_READ), 0);
	expect_efault(&g);
	EXPECT_EQ(munmap(g.data, DATA_BYTES), 0);
}

static void truncated(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	struct guest g;

	EXPECT_EQ(ftruncate(fd, DATA_BYTES), 0);
	start(&g, MAP_SHARED, fd);
	EXPECT_EQ(ftruncate(fd, DATA_BYTES / 2), 0);
	expect_efault(&g);
	EXPECT_EQ(munmap(g.data, DATA_BYTES), 0);
	close(fd);
}

static void discarded(void)
{
	struct guest g;

	start(&g, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (int i = 0; i < 200; i++) {
		uint8_t *page = g.data + (unsigned int)i % 64 * PAGE_BYTES;

		/* Something the guest does not write, so that it shows the new page. */
		page[PAGE_BYTES - 1] = 0x77;
		EXPECT_EQ(madvise(page, PAGE_BYTES, MADV_DONTNEED), 0);
		EXPECT_EQ(page[PAGE_BYTES - 1], 0);
		wait_for_change(page);
	}
	EXPECT_EQ(atomic_load(&g.run_errno), -1);
	EXPECT_EQ(munmap(g.data, DATA_BYTES), 0);
	expect_efault(&g);
}

/* Put a fresh mapping in place of a page; the old page is still visible elsewhere. */
static void replaced(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	uint8_t *old, *page;
	struct guest g;
	uint64_t last;

	EXPECT_EQ(ftruncate(fd, DATA_BYTES), 0);
	start(&g, MAP_SHARED, fd);
	old = mmap(NULL, DATA_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	EXPECT(old != MAP_FAILED);
	page = g.data + 5 * PAGE_BYTES;
	EXPECT(mmap(page, PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
	last = first_word(old + 5 * PAGE_BYTES);
	wait_for_change(page);
	wait_for_change(page);
	EXPECT_EQ(first_word(old + 5 * PAGE_BYTES), last); /* not one store came too late */
	EXPECT_EQ(munmap(g.data, DATA_BYTES), 0);
	expect_efault(&g);
	EXPECT_EQ(munmap(old, DATA_BYTES), 0);
	close(fd);
}

int main(void)
{
	unmapped();
	forbidden();
	truncated();
	discarded();
	replaced();
	return 0;
}
