// SPDX-License-Identifier: BSD-2-Clause
/*
 * A guest whose every fault is known beforehand: what tests of traces are held
 * against.  Each step is named in its output.
 */
#include "client.h"

#include <sys/wait.h>

#define MEMORY_BYTES 0x20000ul

GUEST_CODE(faults, "16",
	   "	mov	$0x4000, %bx\n"
	   "	movb	$1, (%bx)\n" /* a page never touched: written */
	   "	mov	$0x5000, %bx\n"
	   "	mov	(%bx), %al\n" /* another: read ... */
	   "	movb	$1, (%bx)\n"  /* ... and then written */
	   "	out	%al, $0x10\n" /* the program takes the page away */
	   "	movb	$2, (%bx)\n"
	   "	in	$0x11, %al\n"
	   "	mov	$0x3000, %bx\n"
	   "	mov	%bx, %es\n"
	   "	movb	$7, %es:(0x10)\n" /* a device at 0x30010 */
	   "	mov	%es:(0x20), %al\n"
	   "	mov	$0xc0000100, %ecx\n" /* FS.base */
	   "	mov	$0x1234, %ax\n"
	   "	xor	%dx, %dx\n"
	   "	wrmsr\n"
	   "	rdmsr\n"
	   "	hlt\n");

static void run_guest(void)
{
	struct client_vm c = client_create();
	struct client_memory m = client_with_code(&c, MEMORY_BYTES, faults_begin, faults_end);

	/* One page at a time: the trace tells of each. */
	EXPECT_EQ(madvise(m.bytes, m.nbytes, MADV_NOHUGEPAGE), 0);
	client_real_mode(&c);
	client_set_regs(&c, (struct kvm_regs){0});

	client_run_to(&c, KVM_EXIT_IO);
	EXPECT_EQ(c.run->io.port, 0x10);
	EXPECT_EQ(madvise(m.bytes + 0x5000, PAGE_BYTES, MADV_DONTNEED), 0);
	client_run_to(&c, KVM_EXIT_IO);
	*(uint8_t *)client_io_data(&c) = 0x5a;
	client_run_to(&c, KVM_EXIT_MMIO);
	EXPECT_EQ(c.run->mmio.phys_addr, 0x30010);
	client_run_to(&c, KVM_EXIT_MMIO);
	EXPECT_EQ(c.run->mmio.is_write, 0);
	c.run->mmio.data[0] = 0x99;
	client_run_to(&c, KVM_EXIT_HLT);
	client_destroy(&c);
	client_free(&m);
}

/*
 * With the name of a file: closes every descriptor and makes many of that file,
 * as a program may; then runs the guest again, in a child.
 */
int main(int argc, char **argv)
{
	int status, file;
	pid_t child;

	run_guest();
	if (argc < 2)
		return 0;
	/* Whoever writes a trace has opened its file by now. */
	usleep(50000);
	closefrom(3);
	file = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
	EXPECT(file >= 0);
	for (int fd = 800; fd < 1000; fd++)
		EXPECT_EQ(dup2(file, fd), fd);
	/* A child that shares the memory and ends at once, as one whose exec failed does. */
	child = vfork();
	if (!child)
		_exit(3);
	EXPECT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(WEXITSTATUS(status), 3);
	run_guest();
	child = fork();
	EXPECT(child >= 0);
	if (!child) {
		run_guest();
		_exit(0);
	}
	EXPECT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	return 0;
}
