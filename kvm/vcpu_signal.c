/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals during KVM_RUN (api.rst 4.10, 4.26).
 *
 * All are blocked while guest code runs, so that no handler of the program
 * runs in the middle of our state; what is pending is polled without taking
 * it, and ends the run.  The handler then runs when the old mask comes back,
 * which is before the ioctl returns, as with KVM, and after the last lock is
 * gone: a handler need not return.  A signal that
 * KVM_SET_SIGNAL_MASK unblocks only for the run stays pending.
 */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/sys.h"
#include "kvm/ioctl_table.h"
#include "kvm/kvm_api.h"
#include "kvm/user_copy.h"

#define TLS_FAST __thread __attribute__((tls_model("initial-exec")))

static TLS_FAST struct vcpu *running;

struct vcpu *vcpu_running(void)
{
	return running;
}

void vcpu_set_running(struct vcpu *vcpu)
{
	running = vcpu;
}

bool x86_cpu_host_pending(struct x86_cpu *cpu)
{
	(void)cpu;
	return running && vcpu_signal_pending(running);
}

/* The kernel's own form: signal n is bit n - 1.  The C library's is longer and begins so. */
static u64 bits_of(const sigset_t *set)
{
	u64 bits;

	memcpy(&bits, set, sizeof(bits));
	return bits;
}

static u64 bit_of(int sig)
{
	return BIT_ULL(sig - 1);
}

/* Raised by our own accesses: never blocked, and not what interrupts a run. */
#define SYNCHRONOUS \
	(bit_of(SIGSEGV) | bit_of(SIGBUS) | bit_of(SIGILL) | bit_of(SIGFPE) | bit_of(SIGTRAP))

/*
 * The C library's own two.  The first cancels a thread: its handler may end
 * the thread on the spot, so that it has to wait as any other.  The second
 * makes setuid() true for all threads and must not wait.
 */
#define SIGNAL_CANCEL 32
#define SIGNAL_SETXID 33

static TLS_FAST u64 mask_outside;

static void set_mask(const u64 *mask, u64 *old)
{
	/* Not pthread_sigmask(), which leaves the two alone. */
	host_sure(SYS_rt_sigprocmask, SIG_SETMASK, mask, old, sizeof(*mask));
}

void vcpu_signals_block(void)
{
	static TLS_FAST bool entered_rcu;
	const u64 block = ~(SYNCHRONOUS | bit_of(SIGNAL_SETXID));

	/* A thread's first time changes the mask by the C library's function, and back. */
	if (unlikely(!entered_rcu)) {
		mmu_host_rcu_read_lock();
		mmu_host_rcu_read_unlock();
		entered_rcu = true;
	}
	set_mask(&block, &mask_outside);
}

void vcpu_signals_restore(void)
{
	set_mask(&mask_outside, NULL);
}

void vcpu_signals_choose(struct vcpu *vcpu, bool own_mask)
{
	if (own_mask && vcpu->has_signal_mask)
		vcpu->wait_mask = vcpu->signal_mask;
	else
		memcpy(&vcpu->wait_mask, &mask_outside, sizeof(mask_outside));
}

void vcpu_signal_poison(hva_t hva)
{
	siginfo_t info = {.si_signo = SIGBUS, .si_code = BUS_MCEERR_AR};
	const u64 bus = bit_of(SIGBUS);

	info.si_addr = hva_to_ptr(hva);
	info.si_addr_lsb = PAGE_SHIFT;
	/* Until vcpu_signals_restore(); nothing is touched meanwhile that could fault. */
	host_sure(SYS_rt_sigprocmask, SIG_BLOCK, &bus, NULL, sizeof(bus));
	host_sure(SYS_rt_tgsigqueueinfo, host_sure(SYS_getpid, 0), host_sure(SYS_gettid, 0), SIGBUS,
		  &info);
}

/* ---- what would interrupt a system call -------------------------------------- */

enum effect {
	EFFECT_IGNORED,
	EFFECT_HANDLER,
	EFFECT_DEFAULT, /* ends or stops the process */
};

static enum effect effect_of(int sig)
{
	struct sigaction act;

	if (sig == SIGNAL_CANCEL)
		return EFFECT_HANDLER;
	if (sigaction(sig, NULL, &act) || act.sa_handler == SIG_IGN)
		return EFFECT_IGNORED;
	if (act.sa_handler != SIG_DFL)
		return EFFECT_HANDLER;
	switch (sig) {
	case SIGCHLD:
	case SIGURG:
	case SIGWINCH:
	case SIGCONT:
		return EFFECT_IGNORED;
	default:
		return EFFECT_DEFAULT;
	}
}

/* Only because it is blocked does an ignored signal wait: let it go where it would have gone. */
static void discard(int sig)
{
	const struct timespec now = {0};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	sigtimedwait(&set, NULL, &now);
}

static bool interrupts(int sig)
{
	switch (effect_of(sig)) {
	case EFFECT_IGNORED:
		discard(sig);
		return false;
	case EFFECT_DEFAULT:
		/* Likely the end of the process: there will be no later moment. */
		if (sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU) {
			kvm_api_print_stats_dying();
			kvm_api_trace_flush_dying();
		}
		return true;
	case EFFECT_HANDLER:
		break;
	}
	return true;
}

bool vcpu_signal_pending(struct vcpu *vcpu)
{
	sigset_t pending;
	u64 bits;
	bool found = false;

	if (sigpending(&pending))
		return false;
	bits = bits_of(&pending) & ~bits_of(&vcpu->wait_mask) & ~SYNCHRONOUS;
	while (unlikely(bits)) {
		found |= interrupts(__builtin_ctzll(bits) + 1);
		bits &= bits - 1;
	}
	return found;
}

/* ---- KVM_SET_SIGNAL_MASK ----------------------------------------------------- */

long do_set_signal_mask(struct ioctl_call *call)
{
	struct vcpu *vcpu = call->vcpu;
	struct kvm_signal_mask head;
	u64 bits;

	/* No argument: no mask. */
	if (!call->arg) {
		vcpu->has_signal_mask = false;
		return 0;
	}
	if (kvm_copy_from_user(&head, call->arg, sizeof(head)))
		return -EFAULT;
	if (head.len != sizeof(bits))
		return -EINVAL;
	if (kvm_copy_from_user(&bits, call->arg + offsetof(struct kvm_signal_mask, sigset),
			       sizeof(bits)))
		return -EFAULT;
	sigemptyset(&vcpu->signal_mask);
	memcpy(&vcpu->signal_mask, &bits, sizeof(bits));
	vcpu->has_signal_mask = true;
	return 0;
}
