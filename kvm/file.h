/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors: what the program holds is a memfd of ours; this maps its number
 * to the object behind it.
 *
 * A struct kvm_file is what the kernel calls an open file: several descriptor
 * numbers (dup) may name one, each holds a reference, and so does every call
 * in progress.  Files live in type-stable memory, so that a lock-free lookup
 * may touch one that has just been released.
 */
#ifndef KVMU_KVM_FILE_H
#define KVMU_KVM_FILE_H

#include "base/errno.h"
#include "base/types.h"

enum kvm_file_kind {
	KVM_FILE_NONE, /* not ours */
	KVM_FILE_SYSTEM,
	KVM_FILE_VM,
	KVM_FILE_VCPU,
	KVM_FILE_GUEST_MEMFD,
	KVM_FILE_STATS, /* of vcpu, or of vm where that is NULL */
};

struct vm;
struct vcpu;
struct kvm_gmem;

struct kvm_file {
	u32 refs; /* 0: free */
	enum kvm_file_kind kind;
	u64 dev, ino; /* identity of the memfd */
	struct vm *vm;
	struct vcpu *vcpu;
	struct kvm_gmem *gmem; /* set between reserve and install */
	void *view;	       /* our mapping of the memfd, unmapped with the file; NULL: none */
	u64 view_bytes;
	struct kvm_file *next_free;
};

/*
 * A memfd of @bytes with a fixed size; the descriptor, or -errno (-EMFILE,
 * -ENFILE, -ENOMEM, -EFBIG).
 */
enum kvm_memfd_flags {
	KVM_MEMFD_CLOEXEC = 1u << 0,
	KVM_MEMFD_EMPTY = 1u << 1, /* zeroes for ever: nobody can write to it */
};
int kvm_memfd_create(const char *name, u64 bytes, unsigned int flags) KVMU_MUST_CHECK;

/*
 * In two steps, so that nothing can fail once the object exists: reserve a
 * file for our memfd @fd (NULL: no memory), then let it stand for (@kind, @vm,
 * @vcpu).  install takes over the caller's reference to @vm.
 */
struct kvm_file *kvm_file_reserve(int fd);
void kvm_file_install(struct kvm_file *file, int fd, enum kvm_file_kind kind, struct vm *vm,
		      struct vcpu *vcpu);
void kvm_file_unreserve(struct kvm_file *file);

/* All of it for a descriptor without pages: the number, or -errno and nothing is taken over. */
int kvm_file_create(const char *name, enum kvm_file_kind kind, bool cloexec,
		    struct vm *vm) KVMU_MUST_CHECK;

/*
 * The file at @fd with a reference, or NULL: not ours.  _checked also proves
 * that the number still names our memfd (one fstat), for the case that it was
 * closed where we could not see it; a stale number is forgotten.
 */
struct kvm_file *kvm_file_get(int fd);
struct kvm_file *kvm_file_get_checked(int fd);
void kvm_file_put(struct kvm_file *file);

/* What @fd stands for, without a reference: good enough to decide "not ours". */
enum kvm_file_kind kvm_file_kind(int fd);

/* @fd is about to be closed or replaced: forget it.  Before the real close. */
void kvm_file_forget(int fd);
void kvm_file_forget_range(unsigned int first, unsigned int last);
/* @fd is now another name for @file. */
void kvm_file_alias(struct kvm_file *file, int fd);

/* Around a fork. */
void kvm_file_pool_lock(void);
void kvm_file_pool_unlock(void);

/* ---- system calls on our own behalf, never interposed; result or -errno ---------- */

void kvm_raw_close(int fd);
/* A second number for @fd, away from the low ones that programs expect to get; -errno. */
int kvm_raw_dup_high(int fd);
/* @fd itself goes there, if it can; -errno stays. */
int kvm_raw_move_high(long fd);
int kvm_raw_map_shared(int fd, u64 bytes, void **view); /* 0 or -errno */

#endif
