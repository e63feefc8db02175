// SPDX-License-Identifier: BSD-2-Clause
/*
 * A program that calls KVM wrongly: every ioctl with a null and an unmapped
 * pointer, unknown numbers, closed and foreign descriptors, impossible
 * memslots, a VM used by a forked child.  Each gets KVM's errno, nothing dies,
 * and the VM still works afterwards.
 */
#include "client.h"
#include <sys/wait.h>

#define NO_POINTER NULL

GUEST_CODE(halt, "16", "	hlt\n");

static void *unmapped_pointer;

static void expect_errno(const char *what, int ret, int wanted)
{
	int got = ret < 0 ? errno : 0;

	if (got != wanted)
		client_fail("%s: %s, expected %s", what, strerror(got), strerror(wanted));
}

#define EXPECT_ERRNO(call, wanted) expect_errno(#call, (call), (wanted))

/* ---- pointers ------------------------------------------------------------------------ */

struct request {
	const char *name;
	unsigned long number;
};

#define REQUEST(number)         \
	{                       \
#number, number \
	}

static const struct request system_requests[] = {
	REQUEST(KVM_GET_SUPPORTED_CPUID),
	REQUEST(KVM_GET_MSR_INDEX_LIST),
};
static const struct request vm_requests[] = {
	REQUEST(KVM_SET_USER_MEMORY_REGION),
};
static const struct request vcpu_requests[] = {
	REQUEST(KVM_GET_REGS),	REQUEST(KVM_SET_REGS),	 REQUEST(KVM_GET_SREGS),
	REQUEST(KVM_SET_SREGS), REQUEST(KVM_SET_CPUID2), REQUEST(KVM_SET_MP_STATE),
};

static void each_with_bad_pointers(int fd, const struct request *requests, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		expect_errno(requests[i].name, ioctl(fd, requests[i].number, NO_POINTER), EFAULT);
		expect_errno(requests[i].name, ioctl(fd, requests[i].number, unmapped_pointer),
			     EFAULT);
	}
}

static void bad_pointers(const struct client_vm *c)
{
	each_with_bad_pointers(c->kvm, system_requests, 2);
	each_with_bad_pointers(c->vm, vm_requests, 1);
	each_with_bad_pointers(c->vcpu, vcpu_requests, 6);
}

/* ---- numbers and descriptors ------------------------------------------------------------ */

static void unknown_requests(const struct client_vm *c)
{
	const unsigned long unknown = _IO(KVMIO, 0xfe);

	EXPECT(ioctl(c->kvm, unknown, 0) < 0);
	EXPECT(errno == EINVAL || errno == ENOTTY);
	EXPECT(ioctl(c->vm, unknown, 0) < 0);
	EXPECT(errno == EINVAL || errno == ENOTTY);
	EXPECT(ioctl(c->vcpu, unknown, 0) < 0);
	EXPECT(errno == EINVAL || errno == ENOTTY);
	/* A request on a descriptor of another kind. */
	EXPECT(ioctl(c->kvm, KVM_RUN, 0) < 0);
	EXPECT(errno == EINVAL || errno == ENOTTY);
	EXPECT(ioctl(c->vcpu, KVM_CREATE_VM, 0) < 0);
	EXPECT(errno == EINVAL || errno == ENOTTY);
	/* Arguments where there must be none, and a VM type that does not exist. */
	EXPECT_ERRNO(ioctl(c->kvm, KVM_GET_API_VERSION, 1), EINVAL);
	EXPECT_ERRNO(ioctl(c->kvm, KVM_GET_VCPU_MMAP_SIZE, 1), EINVAL);
	EXPECT_ERRNO(ioctl(c->kvm, KVM_CREATE_VM, 0x7777), EINVAL);
	EXPECT_ERRNO(ioctl(c->vcpu, KVM_RUN, 1), EINVAL);
	EXPECT_EQ(ioctl(c->kvm, KVM_CHECK_EXTENSION, 0x7fffffff), 0);
	/* As some programs pass it: the request sign-extended to 64 bits. */
	EXPECT_EQ(ioctl(c->kvm, 0xffffffff00000000ul | KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY),
		  1);
}

static void foreign_descriptors(const struct client_vm *c)
{
	int pipes[2], copy;

	EXPECT_EQ(pipe(pipes), 0);
	EXPECT_ERRNO(ioctl(pipes[0], KVM_RUN, 0), ENOTTY);
	EXPECT_ERRNO(ioctl(pipes[0], KVM_CREATE_VM, 0), ENOTTY);
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_ERRNO(ioctl(pipes[0], KVM_GET_API_VERSION, 0), EBADF);
	EXPECT_ERRNO(ioctl(-1, KVM_GET_API_VERSION, 0), EBADF);
	/* A duplicate is the same thing, and closing it leaves the other alone. */
	copy = dup(c->kvm);
	EXPECT_EQ(ioctl(copy, KVM_GET_API_VERSION, 0), 12);
	EXPECT_EQ(close(copy), 0);
	EXPECT_ERRNO(ioctl(copy, KVM_GET_API_VERSION, 0), EBADF);
	EXPECT_EQ(ioctl(c->kvm, KVM_GET_API_VERSION, 0), 12);
}

static void vcpu_ids(const struct client_vm *c)
{
	EXPECT_ERRNO(ioctl(c->vm, KVM_CREATE_VCPU, 0), EEXIST);
	EXPECT_ERRNO(ioctl(c->vm, KVM_CREATE_VCPU, 0x7fffffff), EINVAL);
}

/* ---- memslots -------------------------------------------------------------------------- */

static void bad_memslots(const struct client_vm *c, const struct client_memory *m)
{
	const uint64_t far = 0x100000000;
	uint8_t *hva = m->bytes;

	EXPECT_ERRNO(client_set_slot(c, 1, 0, far + 1, hva, PAGE_BYTES), EINVAL);
	EXPECT_ERRNO(client_set_slot(c, 1, 0, far, hva + 1, PAGE_BYTES), EINVAL);
	EXPECT_ERRNO(client_set_slot(c, 1, 0, far, hva, PAGE_BYTES + 1), EINVAL);
	EXPECT_ERRNO(client_set_slot(c, 1, 0, 0 - PAGE_BYTES, hva, 2 * PAGE_BYTES), EINVAL);
	EXPECT_ERRNO(client_set_slot(c, 1, 0x8000, far, hva, PAGE_BYTES), EINVAL);
	EXPECT_ERRNO(client_set_slot(c, 1, 0, far, (void *)0xfffffffffffff000, PAGE_BYTES), EINVAL);
	EXPECT_ERRNO(client_set_slot(c, 0xffff, 0, far, hva, PAGE_BYTES), EINVAL);
	EXPECT_ERRNO(client_set_slot(c, 0x70000, 0, far, hva, PAGE_BYTES), EINVAL);
	/* Overlaps the slot that is there, at its end and as a whole. */
	EXPECT_ERRNO(client_set_slot(c, 1, 0, m->nbytes - PAGE_BYTES, hva, 2 * PAGE_BYTES), EEXIST);
	EXPECT_ERRNO(client_set_slot(c, 1, 0, 0, hva, m->nbytes), EEXIST);
	/* A live slot cannot change its size; one that is not there cannot go. */
	EXPECT_ERRNO(client_set_slot(c, 0, 0, 0, hva, m->nbytes / 2), EINVAL);
	EXPECT_ERRNO(client_set_slot(c, 1, 0, far, hva, 0), EINVAL);
	/* Side by side is fine, and what was made goes again. */
	EXPECT_EQ(client_set_slot(c, 1, 0, m->nbytes, hva, PAGE_BYTES), 0);
	EXPECT_EQ(client_set_slot(c, 1, 0, m->nbytes, hva, 0), 0);
}

/* ---- fork -------------------------------------------------------------------------------- */

/* In the child: KVM knows that the VM's memory is another process's. */
static void use_in_child(const struct client_vm *c)
{
	struct kvm_regs regs;

	EXPECT_ERRNO(ioctl(c->vcpu, KVM_GET_REGS, &regs), EIO);
	EXPECT_ERRNO(ioctl(c->vcpu, KVM_RUN, 0), EIO);
	EXPECT_ERRNO(ioctl(c->vm, KVM_CREATE_VCPU, 1), EIO);
	EXPECT_EQ(ioctl(c->kvm, KVM_GET_API_VERSION, 0), 12);
	EXPECT_EQ(close(c->vcpu), 0);
	EXPECT_EQ(close(c->vm), 0);
	/* Its own VM works. */
	struct client_vm own = client_create();
	struct client_memory m = client_with_code(&own, 0x10000, halt_begin, halt_end);

	client_real_mode(&own);
	client_set_regs(&own, (struct kvm_regs){0});
	client_run_to(&own, KVM_EXIT_HLT);
	client_destroy(&own);
	client_free(&m);
	exit(0);
}

static void forked_child(const struct client_vm *c)
{
	int status;
	pid_t child = fork();

	EXPECT(child >= 0);
	if (child == 0)
		use_in_child(c);
	EXPECT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
}

/* After all of it the VM runs as if nothing had been. */
static void still_works(const struct client_vm *c)
{
	client_real_mode(c);
	client_set_regs(c, (struct kvm_regs){0});
	client_run_to(c, KVM_EXIT_HLT);
}

int main(void)
{
	struct client_vm c = client_create();
	struct client_memory m = client_with_code(&c, 0x10000, halt_begin, halt_end);

	unmapped_pointer = mmap(NULL, PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(unmapped_pointer != MAP_FAILED);
	bad_pointers(&c);
	unknown_requests(&c);
	foreign_descriptors(&c);
	vcpu_ids(&c);
	bad_memslots(&c, &m);
	still_works(&c);
	forked_child(&c);
	still_works(&c);
	client_destroy(&c);
	client_free(&m);
	return 0;
}
