/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU that waits for an interrupt, a signal or a wake-up.
 *
 * Signals are blocked in this thread and must stay pending, so they are
 * watched through a signalfd that is never read.  The descriptors live as long
 * as one wait: the program sees no strangers among its own.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/trace.h"
#include "host/sys.h"
#include "kvm/file.h"
#include "kvm/vm.h"
#include "vcpu/x86/lapic.h"

/* Who asks without a wake-up, a VM that died, is noticed after this. */
#define LONGEST_WAIT_NS 100000000ull

static int open_signals(const struct vcpu *vcpu)
{
	u64 want;

	memcpy(&want, &vcpu->wait_mask, sizeof(want));
	want = ~want;
	return kvm_raw_move_high(host_call(halt_events, SYS_signalfd4, -1, &want, sizeof(want),
					   SFD_CLOEXEC | SFD_NONBLOCK));
}

static void publish_wake_fd(struct vcpu *vcpu, int fd)
{
	pthread_mutex_lock(&vcpu->wake_lock);
	vcpu->wake_fd = fd;
	pthread_mutex_unlock(&vcpu->wake_lock);
}

void vcpu_wake_up(struct vcpu *vcpu)
{
	const u64 one = 1;

	pthread_mutex_lock(&vcpu->wake_lock);
	if (vcpu->wake_fd >= 0)
		host_call(halt_wake, SYS_write, vcpu->wake_fd, &one, sizeof(one));
	pthread_mutex_unlock(&vcpu->wake_lock);
}

static u64 time_to_wait(const struct vcpu *vcpu)
{
	const struct x86_lapic *lapic = vcpu->cpu->lapic;
	u64 deadline = lapic ? lapic->timer_deadline : 0;
	u64 now = vcpu->vm->machine.ops->now_ns();

	if (!deadline)
		return LONGEST_WAIT_NS;
	return deadline <= now ? 0 : min_u64(deadline - now, LONGEST_WAIT_NS);
}

static void wait_for_event(struct vcpu *vcpu)
{
	const struct timespec longest = {.tv_nsec = (long)time_to_wait(vcpu)};
	int wake = kvm_raw_move_high(
		host_call(halt_events, SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK));
	int signals = open_signals(vcpu);
	/* A negative descriptor is passed over. */
	struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = wake, .events = POLLIN}};

	publish_wake_fd(vcpu, wake);
	/*
	 * Requests made before the descriptor was there.  A flush and a full ring
	 * are none to get up for: they concern who runs.
	 */
	if (!(atomic_observe(&vcpu->cpu->vcpu.requests) &
	      ~(u32)(KVM_REQ_TLB_FLUSH | KVM_REQ_DIRTY_RING_SOFT_FULL)))
		host_call(halt_wait, SYS_ppoll, fds, 2, &longest, NULL, 8);
	publish_wake_fd(vcpu, -1);
	if (signals >= 0)
		kvm_raw_close(signals);
	if (wake >= 0)
		kvm_raw_close(wake);
}

static u64 monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000u + (u64)now.tv_nsec;
}

/* Bucket n holds [2^(n-1), 2^n); KVM_STATS_TYPE_LOG_HIST of api.rst 4.133. */
static u32 log_bucket(u64 value)
{
	u32 bucket = value ? 64 - (u32)__builtin_clzll(value) : 0;

	return bucket < KVM_STAT_HALT_HIST_SIZE ? bucket : KVM_STAT_HALT_HIST_SIZE - 1;
}

void vcpu_block(struct vcpu *vcpu)
{
	struct kvm_vcpu_stat *stat = &vcpu->cpu->vcpu.stat;
	u64 ns = monotonic_ns();

	atomic_poke(&stat->blocking, 1);
	wait_for_event(vcpu);
	atomic_poke(&stat->blocking, 0);
	ns = monotonic_ns() - ns;
	kvmu_trace(kvm, kvm_vcpu_wakeup, ns, true, true);
	kvm_stat_add(&stat->halt_wait_ns, ns);
	kvm_stat_add(&stat->halt_wait_hist[log_bucket(ns)], 1);
}
