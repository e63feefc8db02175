/* SPDX-License-Identifier: BSD-2-Clause */
/* Machine checks that the program injects (api.rst 4.104, 4.105, 4.107). */
#include "kvm/ioctl_table.h"
#include "vcpu/x86/mce.h"

long do_get_mce_caps(struct ioctl_call *call)
{
	u64 *caps = call->data;

	*caps = X86_MCE_CAPS;
	return 0;
}

long do_setup_mce(struct ioctl_call *call)
{
	const u64 *cap = call->data;

	return x86_mce_setup(call->vcpu->cpu, *cap);
}

long do_set_mce(struct ioctl_call *call)
{
	const struct kvm_x86_mce *mce = call->data;
	const struct x86_mce_error error = {
		.status = mce->status,
		.addr = mce->addr,
		.misc = mce->misc,
		.mcg_status = mce->mcg_status,
		.bank = mce->bank,
	};

	return x86_mce_inject(call->vcpu->cpu, &error);
}
