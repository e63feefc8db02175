/* SPDX-License-Identifier: BSD-2-Clause */
/* See params.h. */
#include "kvm/params.h"

#include <stdlib.h>
#include <string.h>

static struct {
	const char *name;
	bool value;
} params[KVM_NR_PARAMS] = {
	[KVM_PARAM_PML] = {"KVMU_PML", true},
	[KVM_PARAM_EAGER_PAGE_SPLIT] = {"KVMU_EAGER_PAGE_SPLIT", true},
};

/* As the kernel reads a boolean parameter; anything else leaves it as it is. */
static void read_bool(const char *text, bool *value)
{
	if (!text || !*text)
		return;
	if (strchr("1yY", *text))
		*value = true;
	else if (strchr("0nN", *text))
		*value = false;
}

void kvm_params_start(void)
{
	for (unsigned int i = 0; i < KVM_NR_PARAMS; i++)
		read_bool(getenv(params[i].name), &params[i].value);
}

bool kvm_param(enum kvm_param param)
{
	return params[param].value;
}
