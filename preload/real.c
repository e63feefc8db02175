/* SPDX-License-Identifier: BSD-2-Clause */
/* The C library's functions behind ours. */
#include <dlfcn.h>

#include "base/atomics.h"
#include "base/bits.h"
#include "preload/preload.h"

static struct real_functions functions;
static bool resolved;

/* Two threads may do this at the same time: they write the same values. */
static void resolve(void)
{
#define REAL_RESOLVE(name, type, params) \
	atomic_poke((void **)(void *)&functions.name, dlsym(RTLD_NEXT, #name));
	REAL_FUNCTIONS(REAL_RESOLVE)
#undef REAL_RESOLVE
	atomic_publish(&resolved, true);
}

const struct real_functions *real(void)
{
	if (unlikely(!atomic_observe(&resolved)))
		resolve();
	return &functions;
}
