/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SIGSEGV and SIGBUS: ours first, then the program's.
 *
 * Once our handler is in, the kernel only knows ours; the interposed sigaction
 * keeps the program's disposition here and answers from here, and a fault that
 * is not ours gets what the program asked for: its handler, or the default
 * action, which is taken by putting it back and letting the fault happen again.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/atomics.h"
#include "base/bits.h"
#include "host/inject.h"
#include "host/sys.h"
#include "kvm/kvm_api.h"
#include "preload/preload.h"

/*
 * What the program wants.  A spin lock, since the handler reads it too; nothing
 * that could fault happens while it is held.
 */
static struct {
	u32 lock;
	bool installed;
	struct sigaction segv, bus;
} wanted;

static void lock_wanted(void)
{
	while (__atomic_exchange_n(&wanted.lock, 1, __ATOMIC_ACQUIRE))
		cpu_relax();
}

static void unlock_wanted(void)
{
	atomic_publish(&wanted.lock, 0);
}

static struct sigaction *wanted_of(int sig)
{
	return sig == SIGSEGV ? &wanted.segv : &wanted.bus;
}

/* ---- passing on -------------------------------------------------------------- */

/* As such it may also be sent: by the kernel beforehand, or by vcpu_signal_poison(). */
static bool is_of_broken_memory(int sig, const siginfo_t *info)
{
	return sig == SIGBUS && (info->si_code == BUS_MCEERR_AR || info->si_code == BUS_MCEERR_AO);
}

static void take_default_action(int sig, const siginfo_t *info)
{
	struct sigaction def = {.sa_handler = SIG_DFL};

	kvm_api_print_stats_dying();
	kvm_api_trace_flush_dying();
	inject_report();
	real()->sigaction(sig, &def, NULL);
	/* A fault repeats when we return; what was sent, by kill() for instance, does not. */
	if (info->si_code <= 0 || is_of_broken_memory(sig, info))
		host_sure(SYS_tgkill, host_sure(SYS_getpid, 0), host_sure(SYS_gettid, 0), sig);
}

static struct sigaction take_disposition(int sig)
{
	struct sigaction act;

	lock_wanted();
	act = *wanted_of(sig);
	if (act.sa_flags & (int)SA_RESETHAND)
		wanted_of(sig)->sa_handler = SIG_DFL;
	unlock_wanted();
	return act;
}

/* The mask goes back when our own handler returns to the kernel. */
static void call_handler(const struct sigaction *act, int sig, siginfo_t *info, void *context)
{
	sigset_t mask = act->sa_mask;

	if (!(act->sa_flags & SA_NODEFER))
		sigaddset(&mask, sig);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	if (act->sa_flags & SA_SIGINFO)
		act->sa_sigaction(sig, info, context);
	else
		act->sa_handler(sig);
}

static void pass_on(int sig, siginfo_t *info, void *context)
{
	struct sigaction act = take_disposition(sig);

	if (act.sa_handler == SIG_IGN && info->si_code <= 0)
		return;
	/* A fault cannot be ignored. */
	if (act.sa_handler == SIG_DFL || act.sa_handler == SIG_IGN)
		take_default_action(sig, info);
	else
		call_handler(&act, sig, info, context);
}

static void handler(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	/* Positive: from the kernel, about an access.  A general protection fault has no address.
	 */
	if (info->si_code > 0 &&
	    kvm_api_host_fault(info->si_code == SI_KERNEL ? 0 : ptr_to_hva(info->si_addr),
			       context)) {
		errno = saved;
		return;
	}
	errno = saved;
	pass_on(sig, info, context);
}

/* ---- installing -------------------------------------------------------------- */

static void install_for(int sig)
{
	/* Left by a jump, so it must not change the mask; may run on a small stack of the
	 * program's. */
	struct sigaction ours = {.sa_sigaction = handler,
				 .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};

	sigemptyset(&ours.sa_mask);
	real()->sigaction(sig, &ours, wanted_of(sig));
}

void signals_install(void)
{
	if (likely(atomic_observe(&wanted.installed)))
		return;
	lock_wanted();
	if (!wanted.installed) {
		install_for(SIGSEGV);
		install_for(SIGBUS);
		kvm_api_handlers_installed();
		atomic_publish(&wanted.installed, true);
	}
	unlock_wanted();
}

void signals_fork_child(void)
{
	wanted.lock = 0;
}

/* ---- the program's calls ----------------------------------------------------- */

static bool is_kept(int sig)
{
	return (sig == SIGSEGV || sig == SIGBUS) && atomic_observe(&wanted.installed);
}

static void exchange_wanted(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct sigaction fresh, previous;

	/* The program's pointers are used outside the lock. */
	if (act)
		fresh = *act;
	lock_wanted();
	previous = *wanted_of(sig);
	if (act)
		*wanted_of(sig) = fresh;
	unlock_wanted();
	if (old)
		*old = previous;
}

INTERPOSE int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	if (likely(!is_kept(sig)))
		return real()->sigaction(sig, act, old);
	exchange_wanted(sig, act, old);
	return 0;
}

int __sigaction(int sig, const struct sigaction *act, struct sigaction *old);

INTERPOSE int __sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return sigaction(sig, act, old);
}

static __sighandler_t set_handler(int sig, __sighandler_t function, int flags)
{
	struct sigaction act = {.sa_handler = function, .sa_flags = flags};
	struct sigaction old;

	sigemptyset(&act.sa_mask);
	exchange_wanted(sig, &act, &old);
	return old.sa_handler;
}

INTERPOSE __sighandler_t signal(int sig, __sighandler_t function)
{
	if (likely(!is_kept(sig)))
		return real()->signal(sig, function);
	return set_handler(sig, function, SA_RESTART);
}

__sighandler_t bsd_signal(int sig, __sighandler_t function);
__sighandler_t sysv_signal(int sig, __sighandler_t function);
__sighandler_t __sysv_signal(int sig, __sighandler_t function);

INTERPOSE __sighandler_t bsd_signal(int sig, __sighandler_t function)
{
	return signal(sig, function);
}

INTERPOSE __sighandler_t sysv_signal(int sig, __sighandler_t function)
{
	if (likely(!is_kept(sig)))
		return real()->sysv_signal(sig, function);
	return set_handler(sig, function, (int)(SA_RESETHAND | SA_NODEFER));
}

INTERPOSE __sighandler_t __sysv_signal(int sig, __sighandler_t function)
{
	return sysv_signal(sig, function);
}
