/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies that survive bad pointers.  See user_copy.h. */
#include "kvm/user_copy.h"

#include <errno.h>
#include <setjmp.h>
#include <string.h>

#include "base/atomics.h"
#include "base/bits.h"

struct copy_guard {
	sigjmp_buf unwind;
	hva_t start, end;
};

static __thread struct copy_guard *guard;

void kvm_user_copy_fault(hva_t addr)
{
	struct copy_guard *g = guard;

	/* A non-canonical address faults without telling where. */
	if (!g || (addr && (addr < align_down(g->start, PAGE_SIZE) || addr >= g->end)))
		return;
	guard = NULL;
	siglongjmp(g->unwind, 1);
}

/*
 * @clear: zeros instead.  The mask is not saved: our handler runs with SA_NODEFER and
 * an empty mask, so leaving it by a jump changes nothing.  A null pointer is tried
 * like any other, whatever memcpy's declaration says about it; so is one that a
 * sanitizer knows to be bad.
 */
__attribute__((no_sanitize("undefined", "address"))) static int
guarded_copy(void *to, const void *from, u64 bytes, hva_t user, bool clear)
{
	struct copy_guard g = {.start = user, .end = user + bytes};

	if (g.end < g.start)
		return -EFAULT;
	if (sigsetjmp(g.unwind, 0))
		return -EFAULT;
	guard = &g;
	barrier_compiler();
	if (clear)
		memset(to, 0, bytes);
	else
		memcpy(to, from, bytes);
	barrier_compiler();
	guard = NULL;
	return 0;
}

int kvm_copy_from_user(void *to, u64 from, u64 bytes)
{
	return bytes ? guarded_copy(to, hva_to_ptr(from), bytes, from, false) : 0;
}

int kvm_copy_to_user(u64 to, const void *from, u64 bytes)
{
	return bytes ? guarded_copy(hva_to_ptr(to), from, bytes, to, false) : 0;
}

int kvm_clear_user(u64 to, u64 bytes)
{
	return bytes ? guarded_copy(hva_to_ptr(to), NULL, bytes, to, true) : 0;
}
