/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The touches are a few instructions of assembly without a stack frame, so
 * that the handler can end one by moving the program counter.
 */
#include "host/touch.h"

#include <ucontext.h>

#include "base/atomics.h"

static bool enabled;

#if defined(__x86_64__)

int kvmu_touch_read(hva_t hva);
int kvmu_touch_write(hva_t hva);
extern const char kvmu_touch_end[];
extern const char kvmu_touch_refused[];

/* OR with 0 under a lock: a write that loses no concurrent one. */
__asm__(".pushsection .text\n"
	".hidden kvmu_touch_read\n"
	".globl kvmu_touch_read\n"
	".type kvmu_touch_read, @function\n"
	"kvmu_touch_read:\n"
	"	movb (%rdi), %al\n"
	"	xorl %eax, %eax\n"
	"	ret\n"
	".hidden kvmu_touch_write\n"
	".globl kvmu_touch_write\n"
	".type kvmu_touch_write, @function\n"
	"kvmu_touch_write:\n"
	"	lock orb $0, (%rdi)\n"
	"	xorl %eax, %eax\n"
	"	ret\n"
	".hidden kvmu_touch_end\n"
	".globl kvmu_touch_end\n"
	"kvmu_touch_end:\n"
	".hidden kvmu_touch_refused\n"
	".globl kvmu_touch_refused\n"
	"kvmu_touch_refused:\n"
	"	movl $-14, %eax\n" /* -EFAULT */
	"	ret\n"
	".popsection\n");

void host_touch_enable(void)
{
	atomic_poke(&enabled, true);
}

int host_touch(hva_t hva, bool write)
{
	return write ? kvmu_touch_write(hva) : kvmu_touch_read(hva);
}

bool host_touch_fault(void *ucontext)
{
	greg_t *rip = &((ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];
	u64 at = (u64)*rip;

	if (at < (u64)(uintptr_t)kvmu_touch_read || at >= (u64)(uintptr_t)kvmu_touch_end)
		return false;
	*rip = (greg_t)(uintptr_t)kvmu_touch_refused;
	return true;
}

#else

/* Here pages are populated by madvise(); nothing to enable. */
void host_touch_enable(void)
{
}

int host_touch(hva_t hva, bool write)
{
	(void)hva;
	(void)write;
	return -EFAULT;
}

bool host_touch_fault(void *ucontext)
{
	(void)ucontext;
	return false;
}

#endif

bool host_touch_enabled(void)
{
	return atomic_peek(&enabled);
}
