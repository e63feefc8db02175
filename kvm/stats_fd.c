/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * KVM_GET_STATS_FD (api.rst 4.133): statistics of a VM or a vCPU as a file of
 * header, id, descriptors and data, under KVM's own names.
 *
 * The file is a memfd of ours that the program can only read.  Header, id and
 * descriptors never change; the data are brought up to date before each read
 * that we see (preload/), so that reading, seeking and the end of the file are
 * the kernel's own business.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/sys.h"
#include "kvm/ioctl_table.h"
#include "kvm/kvm_api.h"
#include "kvm/process.h"
#include "kvm/stats.h"

#define NAME_BYTES 48u /* KVM_STATS_NAME_SIZE */

struct stat_desc {
	char name[NAME_BYTES];
	u32 flags;
	s16 exponent;
	u16 size;   /* values, more than one in a histogram */
	s32 source; /* offset in the structure with the figures, or NO_SOURCE: always 0 */
};

/* What a software MMU without shadow paging, nesting or polling has no case of. */
#define NO_SOURCE (-1)

#define ENTRY(stat, type, unit, exp10, nr, where)                                     \
	{                                                                             \
		.name = stat, .flags = KVM_STATS_TYPE_##type | KVM_STATS_UNIT_##unit, \
		.exponent = (exp10), .size = (nr), .source = (s32)(where)             \
	}
#define COUNTER(stat, where)	 ENTRY(stat, CUMULATIVE, NONE, 0, 1, where)
#define INSTANT(stat, where)	 ENTRY(stat, INSTANT, NONE, 0, 1, where)
#define PEAK(stat, where)	 ENTRY(stat, PEAK, NONE, 0, 1, where)
#define BOOLEAN(stat, where)	 ENTRY(stat, INSTANT, BOOLEAN, 0, 1, where)
#define NANOSECONDS(stat, where) ENTRY(stat, CUMULATIVE, SECONDS, -9, 1, where)
#define LOG_HIST(stat, where)	 ENTRY(stat, LOG_HIST, SECONDS, -9, KVM_STAT_HALT_HIST_SIZE, where)

/* What the VM's descriptors point into: its own figures, and the leaves counted on reading. */
struct vm_figures {
	struct kvm_vm_stat stat;
	u64 leaves[KVM_STAT_LEVELS];
};

#define VM(member)     offsetof(struct vm_figures, stat.member)
#define LEAVES(level)  offsetof(struct vm_figures, leaves[level])
#define VCPU(member)   offsetof(struct kvm_vcpu_stat, member)
#define OUTCOME(which) offsetof(struct kvm_vcpu_stat, pf_by_outcome[RET_PF_##which])

static const struct stat_desc vm_descs[] = {
	COUNTER("remote_tlb_flush_requests", VM(remote_tlb_flush_requests)),
	COUNTER("remote_tlb_flush", VM(remote_tlb_flushes)),
	COUNTER("mmu_shadow_zapped", VM(mmu_shadow_zapped)),
	COUNTER("mmu_pte_write", NO_SOURCE),
	COUNTER("mmu_pde_zapped", NO_SOURCE),
	COUNTER("mmu_flooded", NO_SOURCE),
	COUNTER("mmu_recycled", NO_SOURCE),
	COUNTER("mmu_cache_miss", NO_SOURCE),
	INSTANT("mmu_unsync", NO_SOURCE),
	INSTANT("pages_4k", LEAVES(PG_LEVEL_4K)),
	INSTANT("pages_2m", LEAVES(PG_LEVEL_2M)),
	INSTANT("pages_1g", LEAVES(PG_LEVEL_1G)),
	INSTANT("nx_lpage_splits", NO_SOURCE),
	PEAK("max_mmu_rmap_size", NO_SOURCE),
	PEAK("max_mmu_page_hash_collisions", NO_SOURCE),
};

static const struct stat_desc vcpu_descs[] = {
	COUNTER("halt_successful_poll", NO_SOURCE),
	COUNTER("halt_attempted_poll", NO_SOURCE),
	COUNTER("halt_poll_invalid", NO_SOURCE),
	COUNTER("halt_wakeup", VCPU(halt_wakeup)),
	NANOSECONDS("halt_poll_success_ns", NO_SOURCE),
	NANOSECONDS("halt_poll_fail_ns", NO_SOURCE),
	NANOSECONDS("halt_wait_ns", VCPU(halt_wait_ns)),
	LOG_HIST("halt_poll_success_hist", NO_SOURCE),
	LOG_HIST("halt_poll_fail_hist", NO_SOURCE),
	LOG_HIST("halt_wait_hist", VCPU(halt_wait_hist)),
	BOOLEAN("blocking", VCPU(blocking)),
	COUNTER("pf_taken", VCPU(pf_taken)),
	COUNTER("pf_fixed", OUTCOME(FIXED)),
	COUNTER("pf_emulate", OUTCOME(EMULATE)),
	COUNTER("pf_spurious", OUTCOME(SPURIOUS)),
	COUNTER("pf_fast", VCPU(pf_fast)),
	COUNTER("pf_mmio_spte_created", VCPU(pf_mmio_spte_created)),
	COUNTER("pf_guest", NO_SOURCE),
	COUNTER("tlb_flush", VCPU(tlb_flushes)),
	COUNTER("invlpg", NO_SOURCE),
	COUNTER("exits", VCPU(exits)),
	COUNTER("io_exits", VCPU(io_exits)),
	COUNTER("mmio_exits", VCPU(mmio_exits)),
	COUNTER("signal_exits", VCPU(signal_exits)),
	COUNTER("irq_window_exits", VCPU(irq_window_exits)),
	COUNTER("nmi_window_exits", NO_SOURCE),
	COUNTER("l1d_flush", NO_SOURCE),
	COUNTER("halt_exits", VCPU(halt_exits)),
	COUNTER("request_irq_exits", VCPU(request_irq_exits)),
	COUNTER("irq_exits", NO_SOURCE),
	COUNTER("host_state_reload", NO_SOURCE),
	COUNTER("fpu_reload", VCPU(fpu_reload)),
	COUNTER("insn_emulation", VCPU(insn_emulation)),
	COUNTER("insn_emulation_fail", VCPU(insn_emulation_fail)),
	COUNTER("hypercalls", VCPU(hypercalls)),
	COUNTER("irq_injections", VCPU(irq_injections)),
	COUNTER("nmi_injections", VCPU(nmi_injections)),
	COUNTER("req_event", VCPU(req_event)),
	COUNTER("nested_run", NO_SOURCE),
	COUNTER("directed_yield_attempted", NO_SOURCE),
	COUNTER("directed_yield_successful", NO_SOURCE),
	COUNTER("preemption_reported", NO_SOURCE),
	COUNTER("preemption_other", NO_SOURCE),
	BOOLEAN("guest_mode", NO_SOURCE),
	COUNTER("notify_window_exits", NO_SOURCE),
};

struct stat_set {
	const struct stat_desc *descs;
	u32 nr;
};

static const struct stat_set vm_set = {vm_descs, ARRAY_SIZE(vm_descs)};
static const struct stat_set vcpu_set = {vcpu_descs, ARRAY_SIZE(vcpu_descs)};

/* ---- the file ------------------------------------------------------------------------------ */

#define DESC_BYTES (sizeof(struct kvm_stats_desc) + NAME_BYTES)

static struct kvm_stats_header header_of(const struct stat_set *set)
{
	struct kvm_stats_header header = {
		.name_size = NAME_BYTES, .num_desc = set->nr, .id_offset = sizeof(header)};

	header.desc_offset = header.id_offset + NAME_BYTES;
	header.data_offset = header.desc_offset + set->nr * (u32)DESC_BYTES;
	return header;
}

static u32 data_bytes(const struct stat_set *set)
{
	u32 values = 0;

	for (u32 i = 0; i < set->nr; i++)
		values += set->descs[i].size;
	return values * (u32)sizeof(u64);
}

static void write_desc(u8 *at, const struct stat_desc *from, u32 offset)
{
	const struct kvm_stats_desc desc = {
		.flags = from->flags | KVM_STATS_BASE_POW10,
		.exponent = from->exponent,
		.size = from->size,
		.offset = offset,
	};

	memcpy(at, &desc, sizeof(desc));
	memcpy(at + sizeof(desc), from->name, NAME_BYTES);
}

static void write_static_part(u8 *file, const struct stat_set *set, const char *id)
{
	const struct kvm_stats_header header = header_of(set);
	u32 offset = 0;

	memcpy(file, &header, sizeof(header));
	strncpy((char *)file + header.id_offset, id, NAME_BYTES - 1);
	for (u32 i = 0; i < set->nr; i++) {
		write_desc(file + header.desc_offset + i * DESC_BYTES, &set->descs[i], offset);
		offset += set->descs[i].size * (u32)sizeof(u64);
	}
}

/* Other threads may be reading the file, and one more be doing the same. */
static void write_data(u8 *file, const struct stat_set *set, const void *figures)
{
	u64 *data = (u64 *)(void *)(file + header_of(set).data_offset);

	for (u32 i = 0; i < set->nr; i++) {
		const struct stat_desc *desc = &set->descs[i];
		const u64 *from = (const u64 *)((const char *)figures + desc->source);

		for (u32 j = 0; j < desc->size; j++, data++)
			atomic_poke(data, desc->source == NO_SOURCE ? 0 : atomic_peek(&from[j]));
	}
}

static void write_vm_data(u8 *file, struct vm *vm)
{
	struct vm_figures figures = {.stat = kvm_stats_of_vm(vm)};

	kvm_mmu_count_leaves(&vm->kvm, figures.leaves);
	write_data(file, &vm_set, &figures);
}

void kvm_api_refresh_stats(int fd)
{
	struct kvm_file *file;

	/* A child of fork reads what its parent last did. */
	if (!kvm_process_is_own())
		return;
	file = kvm_file_get_checked(fd);
	if (!file)
		return;
	if (file->kind == KVM_FILE_STATS && file->vcpu)
		write_data(file->view, &vcpu_set, &file->vcpu->cpu->vcpu.stat);
	else if (file->kind == KVM_FILE_STATS)
		write_vm_data(file->view, file->vm);
	kvm_file_put(file);
}

/* ---- the descriptor ------------------------------------------------------------------------ */

/* The same memfd for reading only, as KVM's is; without /proc it stays as it is. */
static int reopen_read_only(int fd)
{
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = (int)host_call(stats_reopen, SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (again < 0)
		return fd;
	kvm_raw_close(fd);
	return again;
}

static int install(struct ioctl_call *call, int fd, u8 *view, u64 bytes)
{
	struct kvm_file *file = kvm_file_reserve(fd);

	if (!file)
		return -ENOMEM;
	file->view = view;
	file->view_bytes = bytes;
	vm_get(call->vm);
	kvm_file_install(file, fd, KVM_FILE_STATS, call->vm, call->vcpu);
	return fd;
}

static long create(struct ioctl_call *call, const struct stat_set *set, const char *id)
{
	u64 bytes = header_of(set).data_offset + data_bytes(set);
	int fd = kvm_memfd_create("kvm-stats", bytes, true);
	void *view;
	int ret;

	if (fd < 0)
		return fd;
	ret = kvm_raw_map_shared(fd, bytes, &view);
	if (ret) {
		kvm_raw_close(fd);
		return ret;
	}
	write_static_part(view, set, id);
	fd = reopen_read_only(fd);
	ret = install(call, fd, view, bytes);
	if (ret >= 0)
		return ret;
	host_munmap(view, bytes);
	kvm_raw_close(fd);
	return ret;
}

long do_vm_get_stats_fd(struct ioctl_call *call)
{
	char id[NAME_BYTES];

	snprintf(id, sizeof(id), "kvm-%d", (int)getpid());
	return create(call, &vm_set, id);
}

long do_vcpu_get_stats_fd(struct ioctl_call *call)
{
	char id[NAME_BYTES];

	snprintf(id, sizeof(id), "kvm-%d/vcpu-%u", (int)getpid(), call->vcpu->id);
	return create(call, &vcpu_set, id);
}
