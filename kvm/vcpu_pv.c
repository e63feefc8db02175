/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest reads of time from its own memory (Documentation/virt/kvm/x86:
 * msr.rst, cpuid.rst): the clock, the wall clock at boot, time stolen.
 *
 * A version that is odd says "being written"; memory that is not there is the
 * guest's own loss.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <asm/kvm_para.h>

#include "host/sys.h"
#include "kvm/file.h"
#include "kvm/ioctl_table.h"
#include "kvm/vm_clock.h"
#include "vcpu/x86/pv.h"

static bool put(struct vcpu *vcpu, gpa_t gpa, const void *buf, u64 bytes)
{
	return kvm_vcpu_write_shared(&vcpu->cpu->vcpu, gpa, buf, bytes) == 0;
}

/*
 * Write a structure with a version so that other CPUs never see a mixture:
 * odd version, the rest, even version.
 */
static bool put_versioned(struct vcpu *vcpu, gpa_t gpa, void *data, u64 bytes, u32 *version)
{
	u64 at = (u64)((char *)version - (char *)data);

	*version |= 1;
	if (!put(vcpu, gpa + at, version, sizeof(*version)))
		return false;
	barrier_write();
	if (!put(vcpu, gpa, data, bytes))
		return false;
	++*version;
	barrier_write();
	return put(vcpu, gpa + at, version, sizeof(*version));
}

/* ---- kvmclock --------------------------------------------------------------------------- */

/* One page entry of the guest, as the paravirtual clock's ABI has it. */
struct clock_page {
	u32 version;
	u32 pad0;
	u64 tsc_timestamp;
	u64 system_time;
	u32 tsc_to_system_mul;
	s8 tsc_shift;
	u8 flags;
	u8 pad[2];
};

#define CLOCK_TSC_STABLE    1u /* all CPUs may use any CPU's entry */
#define CLOCK_GUEST_STOPPED 2u

static void update_clock(struct vcpu *vcpu)
{
	struct x86_cpu *cpu = vcpu->cpu;
	gpa_t gpa = cpu->pv.system_time & ~X86_PV_ENABLED;
	struct clock_scale scale = clock_scale_of(cpu->tsc_khz);
	u64 host_tsc = x86_host_tsc();
	struct clock_page page = {
		.version = vcpu->clock_version + 1,
		.tsc_timestamp = x86_scale_tsc(cpu, host_tsc) + cpu->tsc_offset,
		.system_time = vm_clock_at(vcpu->vm, host_tsc),
		.tsc_to_system_mul = scale.mul,
		.tsc_shift = scale.shift,
	};

	if (!(cpu->pv.system_time & X86_PV_ENABLED))
		return;
	if (vcpu_tsc_matches(vcpu))
		page.flags |= CLOCK_TSC_STABLE;
	if (vcpu->guest_was_stopped)
		page.flags |= CLOCK_GUEST_STOPPED;
	vcpu->guest_was_stopped = false;
	put_versioned(vcpu, gpa, &page, sizeof(page), &page.version);
	vcpu->clock_version = page.version;
}

long do_kvmclock_ctrl(struct ioctl_call *call)
{
	struct x86_cpu *cpu = call->vcpu->cpu;

	if (!(cpu->pv.system_time & X86_PV_ENABLED))
		return -EINVAL;
	call->vcpu->guest_was_stopped = true;
	cpu->pv.updates |= X86_PV_UPDATE_CLOCK;
	return 0;
}

/* ---- the wall clock ------------------------------------------------------------------------ */

/* Real time when the VM's clock was 0. */
static void update_wall_clock(struct vcpu *vcpu)
{
	struct {
		u32 version, sec, nsec;
	} wall = {.version = 1};
	gpa_t gpa = vcpu->cpu->pv.wall_clock;
	struct timespec now;
	s64 ns;

	if (!gpa)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	ns = now.tv_sec * 1000000000ll + now.tv_nsec - (s64)vm_clock_at(vcpu->vm, x86_host_tsc());
	wall.sec = (u32)(ns / 1000000000);
	wall.nsec = (u32)(ns % 1000000000);
	put_versioned(vcpu, gpa, &wall, sizeof(wall), &wall.version);
}

/* ---- stolen time ---------------------------------------------------------------------------- */

/* How long this thread was ready to run and did not, ns: the second number of schedstat. */
static bool run_delay(u64 *ns)
{
	char text[96];
	long fd = host_call(steal_time, SYS_openat, AT_FDCWD, "/proc/thread-self/schedstat",
			    O_RDONLY | O_CLOEXEC);
	long got;
	char *second;

	if (fd < 0)
		return false;
	got = host_call(steal_time, SYS_read, fd, text, sizeof(text) - 1);
	kvm_raw_close((int)fd);
	if (got <= 0)
		return false;
	text[got] = '\0';
	second = strchr(text, ' ');
	if (!second)
		return false;
	*ns = strtoull(second, NULL, 10);
	return true;
}

bool steal_time_is_counted(void)
{
	u64 ns;

	return run_delay(&ns);
}

static void update_steal_time(struct vcpu *vcpu)
{
	u64 msr = vcpu->cpu->pv.steal_time, delay;
	gpa_t gpa = msr & KVM_STEAL_VALID_BITS;
	struct kvm_steal_time steal;

	if (!(msr & KVM_MSR_ENABLED) || !run_delay(&delay) ||
	    kvm_read_guest(&vcpu->vm->kvm, gpa, &steal, sizeof(steal)))
		return;
	if (steal.version & 1)
		steal.version++; /* as a guest left it that never cleared it */
	steal.preempted = 0;
	steal.steal += delay - vcpu->last_run_delay;
	vcpu->last_run_delay = delay;
	put_versioned(vcpu, gpa, &steal, sizeof(steal), &steal.version);
}

/* ---- doing it --------------------------------------------------------------------------- */

void vcpu_pv_update(struct vcpu *vcpu)
{
	u32 updates = vcpu->cpu->pv.updates;

	vcpu->cpu->pv.updates = 0;
	if (updates & X86_PV_UPDATE_CLOCK)
		update_clock(vcpu);
	if (updates & X86_PV_UPDATE_WALL_CLOCK)
		update_wall_clock(vcpu);
	if (updates & X86_PV_UPDATE_STEAL_TIME)
		update_steal_time(vcpu);
}

void vcpu_pv_run_starts(struct vcpu *vcpu)
{
	struct x86_cpu *cpu = vcpu->cpu;

	if (unlikely(cpu->pv.steal_time & KVM_MSR_ENABLED))
		cpu->pv.updates |= X86_PV_UPDATE_STEAL_TIME;
	if (unlikely(cpu->pv.updates))
		vcpu_pv_update(vcpu);
}
