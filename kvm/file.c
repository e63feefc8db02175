/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The map from descriptor numbers to files: two levels of atomic pointers, no
 * lock on lookup.  See file.h.
 */
#include "kvm/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/assert.h"
#include "host/sys.h"
#include "kvm/process.h"
#include "kvm/vm.h"
#include "mmu/gmem.h"
#include "mmu/mmu_host.h"

#define LEAF_LG2   10
#define LEAF_FDS   (1u << LEAF_LG2)
#define NR_LEAVES  1024u /* a million descriptors, the kernel's own default ceiling */
#define POOL_FILES 64u

struct fd_leaf {
	struct kvm_file *file[LEAF_FDS];
};

static struct fd_leaf *leaves[NR_LEAVES];

static struct {
	pthread_mutex_t lock;
	struct kvm_file *free;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- raw calls --------------------------------------------------------------------- */

void kvm_raw_close(int fd)
{
	host_sure(SYS_close, fd);
}

#define HIGH_FD 900

int kvm_raw_dup_high(int fd)
{
	return (int)host_call(dup, SYS_fcntl, fd, F_DUPFD_CLOEXEC, HIGH_FD);
}

int kvm_raw_move_high(long fd)
{
	int high = fd < 0 ? -1 : kvm_raw_dup_high((int)fd);

	if (high < 0)
		return (int)fd;
	kvm_raw_close((int)fd);
	return high;
}

int kvm_raw_map_shared(int fd, u64 bytes, void **view)
{
	long at = host_call(shared_map, SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			    0);

	*view = at < 0 ? NULL : hva_to_ptr((hva_t)at);
	return at < 0 ? (int)at : 0;
}

/* ---- file objects --------------------------------------------------------------------- */

void kvm_file_pool_lock(void)
{
	pthread_mutex_lock(&pool.lock);
}

void kvm_file_pool_unlock(void)
{
	pthread_mutex_unlock(&pool.lock);
}

static void grow_pool_locked(void)
{
	struct kvm_file *files = mmu_host_alloc(SITE_file, POOL_FILES * sizeof(*files));

	for (unsigned int i = 0; files && i < POOL_FILES; i++) {
		files[i].next_free = pool.free;
		pool.free = &files[i];
	}
}

static struct kvm_file *file_alloc(void)
{
	struct kvm_file *file;

	kvm_file_pool_lock();
	if (!pool.free)
		grow_pool_locked();
	file = pool.free;
	if (file)
		pool.free = file->next_free;
	kvm_file_pool_unlock();
	return file;
}

static void file_free(struct kvm_file *file)
{
	pthread_mutex_lock(&pool.lock);
	file->next_free = pool.free;
	pool.free = file;
	pthread_mutex_unlock(&pool.lock);
}

void kvm_file_put(struct kvm_file *file)
{
	struct vm *vm = file->vm;
	struct kvm_gmem *gmem = file->gmem;

	if (atomic_drop(&file->refs))
		return;
	if (file->view)
		host_munmap(file->view, file->view_bytes);
	file_free(file);
	/* A child of fork has a copy of the descriptor, but the file is its parent's. */
	if (gmem && !vm_is_foreign(vm))
		kvm_gmem_release(gmem);
	if (vm)
		vm_put(vm);
}

/* ---- the table --------------------------------------------------------------------------- */

static struct kvm_file **fd_slot(unsigned int fd)
{
	struct fd_leaf *leaf;

	if (fd >= NR_LEAVES * LEAF_FDS)
		return NULL;
	leaf = atomic_observe(&leaves[fd >> LEAF_LG2]);
	return leaf ? &leaf->file[fd & (LEAF_FDS - 1)] : NULL;
}

static struct kvm_file **fd_slot_alloc(unsigned int fd)
{
	struct fd_leaf *fresh, *none = NULL;

	if (fd >= NR_LEAVES * LEAF_FDS || fd_slot(fd))
		return fd_slot(fd);
	fresh = mmu_host_alloc(SITE_file, sizeof(*fresh));
	if (!fresh)
		return NULL;
	if (!__atomic_compare_exchange_n(&leaves[fd >> LEAF_LG2], &none, fresh, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		mmu_host_free(fresh);
	return fd_slot(fd);
}

struct kvm_file *kvm_file_get(int fd)
{
	struct kvm_file **slot = fd_slot((unsigned int)fd);
	struct kvm_file *file = slot ? atomic_observe(slot) : NULL;

	if (likely(!file) || !atomic_tryget(&file->refs))
		return NULL;
	/* It may have been released and used again for another number meanwhile. */
	if (likely(atomic_observe(slot) == file))
		return file;
	kvm_file_put(file);
	return NULL;
}

enum kvm_file_kind kvm_file_kind(int fd)
{
	struct kvm_file **slot = fd_slot((unsigned int)fd);
	struct kvm_file *file = slot ? atomic_observe(slot) : NULL;

	return file ? atomic_peek(&file->kind) : KVM_FILE_NONE;
}

static bool file_is_at(const struct kvm_file *file, int fd)
{
	struct stat st;

	long err = host_call(fstat, SYS_fstat, fd, &st);

	/* Where the kernel cannot tell, what the table says is still the best guess. */
	if (err < 0)
		return err != -EBADF;
	return st.st_dev == file->dev && st.st_ino == file->ino;
}

struct kvm_file *kvm_file_get_checked(int fd)
{
	struct kvm_file *file = kvm_file_get(fd);

	if (!file || file_is_at(file, fd))
		return file;
	kvm_file_put(file);
	kvm_file_forget(fd);
	return NULL;
}

static void slot_replace(struct kvm_file **slot, struct kvm_file *file)
{
	struct kvm_file *old = atomic_exchange(slot, file);

	if (old)
		kvm_file_put(old);
}

void kvm_file_forget(int fd)
{
	struct kvm_file **slot = fd_slot((unsigned int)fd);

	if (slot && unlikely(atomic_peek(slot)) && kvm_process_is_own())
		slot_replace(slot, NULL);
}

void kvm_file_forget_range(unsigned int first, unsigned int last)
{
	for (unsigned int i = first >> LEAF_LG2; i < NR_LEAVES && i <= last >> LEAF_LG2; i++) {
		if (!atomic_observe(&leaves[i]))
			continue;
		for (unsigned int fd = i << LEAF_LG2; fd < (i + 1) << LEAF_LG2; fd++) {
			if (fd >= first && fd <= last)
				kvm_file_forget((int)fd);
		}
	}
}

void kvm_file_alias(struct kvm_file *file, int fd)
{
	struct kvm_file **slot = kvm_process_is_own() ? fd_slot_alloc((unsigned int)fd) : NULL;

	/* Without a slot the number is a plain memfd: every ioctl on it says ENOTTY. */
	if (!slot)
		return;
	atomic_add(&file->refs, 1);
	slot_replace(slot, file);
}

/* ---- creation ------------------------------------------------------------------------------ */

int kvm_memfd_create(const char *name, u64 bytes, unsigned int flags)
{
	unsigned int mfd = MFD_ALLOW_SEALING | (flags & KVM_MEMFD_CLOEXEC ? MFD_CLOEXEC : 0);
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL |
		    (flags & KVM_MEMFD_EMPTY ? F_SEAL_WRITE : 0);
	int fd = (int)host_call(memfd, SYS_memfd_create, name, mfd);
	long ret;

	if (fd < 0)
		return fd;
	ret = host_call(memfd_setup, SYS_ftruncate, fd, bytes);
	if (ret == 0)
		ret = host_call(memfd_setup, SYS_fcntl, fd, F_ADD_SEALS, seals);
	if (ret == 0)
		return fd;
	kvm_raw_close(fd);
	return (int)ret;
}

struct kvm_file *kvm_file_reserve(int fd)
{
	struct kvm_file *file;
	struct stat st;

	if (!fd_slot_alloc((unsigned int)fd) || host_call(fstat, SYS_fstat, fd, &st) < 0)
		return NULL;
	file = file_alloc();
	if (!file)
		return NULL;
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	file->gmem = NULL;
	file->view = NULL;
	return file;
}

void kvm_file_unreserve(struct kvm_file *file)
{
	file_free(file);
}

void kvm_file_install(struct kvm_file *file, int fd, enum kvm_file_kind kind, struct vm *vm,
		      struct vcpu *vcpu)
{
	atomic_poke(&file->kind, kind);
	file->vm = vm;
	file->vcpu = vcpu;
	atomic_publish(&file->refs, 1);
	slot_replace(fd_slot((unsigned int)fd), file);
}

int kvm_file_create(const char *name, enum kvm_file_kind kind, bool cloexec, struct vm *vm)
{
	struct kvm_file *file;
	int fd = kvm_memfd_create(name, 0, cloexec ? KVM_MEMFD_CLOEXEC : 0);

	if (fd < 0)
		return fd;
	file = kvm_file_reserve(fd);
	if (!file) {
		kvm_raw_close(fd);
		return -ENOMEM;
	}
	kvm_file_install(file, fd, kind, vm, NULL);
	return fd;
}
