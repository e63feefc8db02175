/* SPDX-License-Identifier: BSD-2-Clause */
/* The /dev/kvm descriptor and its simplest calls (api.rst 4.1 - 4.5). */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "host/sys.h"
#include "kvm/ioctl_table.h"
#include "kvm/kvm_api.h"
#include "kvm/params.h"

int kvm_api_open(bool cloexec)
{
	kvm_api_trace_open();
	return kvm_file_create("/dev/kvm", KVM_FILE_SYSTEM, cloexec, NULL);
}

long do_get_api_version(struct ioctl_call *call)
{
	return call->arg ? -EINVAL : KVM_API_VERSION;
}

long do_create_vm(struct ioctl_call *call)
{
	return vm_create(call->arg);
}

long do_get_vcpu_mmap_size(struct ioctl_call *call)
{
	return call->arg ? -EINVAL : (long)VCPU_MMAP_BYTES;
}

/* ---- module parameters ------------------------------------------------------------------ */

struct module_param {
	const char *path; /* below /sys/module/ */
	const char *value;
};

static const struct module_param module_params[] = {
	{"kvm/parameters/force_emulation_prefix", "0\n"},
	{"kvm/parameters/ignore_msrs", "N\n"},
	{"kvm/parameters/enable_pmu", "N\n"},
	{"kvm/parameters/enable_vmware_backdoor", "N\n"},
	{"kvm/parameters/tdp_mmu", "Y\n"},
	{"kvm/parameters/nx_huge_pages", "N\n"},
	{"kvm_intel/parameters/ept", "Y\n"},
	{"kvm_intel/parameters/eptad", "Y\n"},
	{"kvm_intel/parameters/unrestricted_guest", "Y\n"},
	{"kvm_intel/parameters/allow_smaller_maxphyaddr", "N\n"},
	{"kvm_amd/parameters/npt", "Y\n"},
	{"kvm_amd/parameters/avic", "N\n"},
};

static bool is_kvm_module(const char *rest)
{
	return !strncmp(rest, "kvm/", 4) || !strncmp(rest, "kvm_intel/", 10) ||
	       !strncmp(rest, "kvm_amd/", 8);
}

static int open_param(const char *path, const char *value, bool cloexec)
{
	size_t bytes = strlen(value);
	long fd = host_call(memfd, SYS_memfd_create, path, cloexec ? MFD_CLOEXEC : 0);

	if (fd < 0)
		return (int)fd;
	if (host_call(memfd_setup, SYS_pwrite64, fd, value, bytes, 0) == (long)bytes)
		return (int)fd;
	kvm_raw_close((int)fd);
	return -EIO;
}

/* Those that can be chosen. */
static const struct {
	const char *path;
	enum kvm_param param;
} chosen_params[] = {
	{"kvm/parameters/eager_page_split", KVM_PARAM_EAGER_PAGE_SPLIT},
	{"kvm_intel/parameters/pml", KVM_PARAM_PML},
};

int kvm_api_open_module_param(const char *path, bool cloexec)
{
	static const char top[] = "/sys/module/";
	const char *rest = path + sizeof(top) - 1;

	if (strncmp(path, top, sizeof(top) - 1) || !is_kvm_module(rest))
		return -EXDEV;
	for (size_t i = 0; i < ARRAY_SIZE(module_params); i++) {
		if (!strcmp(rest, module_params[i].path))
			return open_param(rest, module_params[i].value, cloexec);
	}
	for (size_t i = 0; i < ARRAY_SIZE(chosen_params); i++) {
		if (!strcmp(rest, chosen_params[i].path))
			return open_param(rest, kvm_param(chosen_params[i].param) ? "Y\n" : "N\n",
					  cloexec);
	}
	return -ENOENT;
}
