/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The KVM API as preload/ hands the program's calls to it.  Everything here
 * may be called by any thread at any time; nothing sets errno.
 */
#ifndef KVMU_KVM_API_H
#define KVMU_KVM_API_H

#include "base/errno.h"
#include "base/types.h"
#include "kvm/file.h"

/* Once, before anything else. */
void kvm_api_start(void);
/* What comes is this process's: a child that nobody could tell says so before it opens KVM. */
void kvm_api_adopt(void);

/* open("/dev/kvm"): a descriptor or -errno. */
int kvm_api_open(bool cloexec) KVMU_MUST_CHECK;

/*
 * ioctl(): false when @fd is not ours.  *@ret is the result or -errno.
 */
bool kvm_api_ioctl(int fd, u64 request, u64 arg, long *ret);

/* Before a read of @fd, a descriptor of KVM_GET_STATS_FD: bring its data up to date. */
void kvm_api_refresh_stats(int fd);

/*
 * mmap() of the vCPU at @fd: its ring of dirty pages must be shared with us, and
 * is no code.
 */
bool kvm_api_can_map_vcpu(int fd, u64 offset, u64 bytes, bool shared, bool exec);

/* It has been mapped at @at: what all vCPUs share is put in its place. 0 or -errno. */
int kvm_api_vcpu_mapped(int fd, hva_t at, u64 offset, u64 bytes, int prot) KVMU_MUST_CHECK;

/*
 * The kernel's /sys/module/kvm*: what a KVM program reads there describes the
 * machine's KVM, not us.  A descriptor with our answer, -ENOENT for a name
 * below them that we do not have, or -EXDEV when @path is none of these.
 */
int kvm_api_open_module_param(const char *path, bool cloexec) KVMU_MUST_CHECK;

/* fallocate() on a descriptor of ours: false when @fd is not.  *@ret is 0 or -errno. */
bool kvm_api_fallocate(int fd, int mode, s64 offset, s64 length, int *ret);

/*
 * A signal handler's question: was the fault at @addr (0: not known) ours?
 * Either does not return, or says that returning from the handler will do.
 */
bool kvm_api_host_fault(hva_t addr, void *ucontext);
/* The handlers that ask it are in place. */
void kvm_api_handlers_installed(void);

/*
 * The program is about to change memory at [start, end), and has.  Cheap while
 * there is no VM.
 */
#define KVM_CHANGE_INLINE_VMS 16u
struct vm;
struct kvm_host_change {
	hva_t start, end;
	u32 nr;
	bool open;	   /* there are VMs: the thread cannot be cancelled until the end */
	bool from_reserve; /* vms, when there is no memory for more than a few */
	struct vm **vms;
	struct vm *inline_vms[KVM_CHANGE_INLINE_VMS];
};
bool kvm_api_has_vms(void);
void kvm_api_change_begin(struct kvm_host_change *change, hva_t start, hva_t end);
void kvm_api_change_end(struct kvm_host_change *change);

/* Around fork: no lock of ours may be left in the middle. */
void kvm_api_fork_prepare(void);
void kvm_api_fork_parent(void);
void kvm_api_fork_child(void);

/* The summary of `kvmu run --stats`, once per process, and only if it made a VM. */
void kvm_api_print_stats(void);
/* The same in a signal handler, whatever was interrupted: not printed rather than waited for. */
void kvm_api_print_stats_dying(void);
/* From now on it is wanted. */
void kvm_api_want_stats(void);

/*
 * `kvmu trace`: @events, names with commas between, are recorded from now on, and
 * appended to the file at @path; NULL: standard error.
 */
void kvm_api_trace_start(const char *events, const char *path);
/* The program opens /dev/kvm: whoever writes the trace must be there. */
void kvm_api_trace_open(void);
/* The process ends: write what is left, and how much that was. */
void kvm_api_trace_finish(void);
/* In a signal handler that is likely the end: write what there is, or nothing rather than wait. */
void kvm_api_trace_flush_dying(void);

#endif
