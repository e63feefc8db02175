/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interval timer in its VM (api.rst 4.71 to 4.74 and 4.41): ports, the
 * thread that gives the ticks, and its state for the program.
 *
 * Ticks are not lost on a guest that is slow (KVM_REINJECT_CONTROL): the next
 * one waits until the interrupt controllers have nothing left of the last.
 * KVM is told of that by the guest's acknowledgement; the thread here looks.
 */
#include <string.h>
#include <time.h>

#include "host/sys.h"
#include "kvm/ioctl_table.h"
#include "kvm/irqchip/irqchip.h"
#include "kvm/irqchip/pit.h"

#define TICK_GSI      0u
#define LOOK_AGAIN_NS 200000u
#define NS_PER_S      1000000000ull

struct vm_pit {
	struct vm *vm;
	struct pit pit; /* with the irqchip's lock */
	pthread_t thread;
	pthread_cond_t changed; /* @pit, @stop: the thread thinks again */
	u64 ticked;		/* until when ticks have been counted */
	u64 waiting;		/* ticks that are owed to the guest */
	bool keep_ticks;	/* give them later rather than never */
	bool has_speaker;
	bool stop;
};

static u64 now_ns(void)
{
	return vm_machine_ops.now_ns();
}

/* ---- the thread ------------------------------------------------------------------------- */

/* @deadline 0: there is nothing to be done until something changes. */
static void wait_until(struct vm_pit *vp, u64 deadline)
{
	pthread_mutex_t *lock = &vp->vm->irqchip->lock;
	const struct timespec at = {.tv_sec = (time_t)(deadline / NS_PER_S),
				    .tv_nsec = (long)(deadline % NS_PER_S)};

	if (deadline)
		pthread_cond_clockwait(&vp->changed, lock, CLOCK_MONOTONIC, &at);
	else
		pthread_cond_wait(&vp->changed, lock);
}

/* Returns when the next tick is due; 0: none is. */
static u64 count_ticks(struct vm_pit *vp, u64 now)
{
	u64 next = pit_next_tick(&vp->pit, vp->ticked);

	while (next && next <= now) {
		vp->ticked = next;
		vp->waiting = vp->keep_ticks ? vp->waiting + 1 : 1;
		next = pit_next_tick(&vp->pit, next);
	}
	return next;
}

static void *tick(void *arg)
{
	struct vm_pit *vp = arg;
	struct vm *vm = vp->vm;

	pthread_mutex_lock(&vm->irqchip->lock);
	while (!vp->stop) {
		u64 now = now_ns(), next = count_ticks(vp, now);

		switch (irq_routing_edge_state(vm, TICK_GSI)) {
		case IRQ_EDGE_BLOCKED: /* nobody listens: these are lost */
			vp->waiting = 0;
			break;
		case IRQ_EDGE_FREE:
			if (vp->waiting) {
				vp->waiting--;
				irqchip_pulse_gsi(vm, TICK_GSI);
			}
			break;
		case IRQ_EDGE_BUSY:
			break;
		}
		if (vp->waiting && (!next || next > now + LOOK_AGAIN_NS))
			next = now + LOOK_AGAIN_NS;
		wait_until(vp, next);
	}
	pthread_mutex_unlock(&vm->irqchip->lock);
	return NULL;
}

/* With the lock: counter 0 may have been loaded. */
static void rethink(struct vm_pit *vp)
{
	vp->ticked = now_ns();
	vp->waiting = 0;
	pthread_cond_signal(&vp->changed);
}

/* ---- life --------------------------------------------------------------------------------- */

static long create(struct vm *vm, u32 flags)
{
	struct vm_pit *vp;
	int err;

	if (vm->irqchip->timer)
		return -EEXIST;
	if (!vm->irqchip->has_chips)
		return -ENOENT;
	vp = mmu_host_alloc(SITE_pit, sizeof(*vp));
	if (!vp)
		return -ENOMEM;
	vp->vm = vm;
	vp->has_speaker = flags & KVM_PIT_SPEAKER_DUMMY;
	vp->keep_ticks = true;
	pit_reset(&vp->pit, now_ns());
	pthread_cond_init(&vp->changed, NULL);
	err = host_thread_create(SITE_pit_thread, &vp->thread, tick, vp);
	if (err) {
		pthread_cond_destroy(&vp->changed);
		mmu_host_free(vp);
		return -ENOMEM;
	}
	/* Guests' accesses look without vm->lock. */
	pthread_mutex_lock(&vm->irqchip->lock);
	vm->irqchip->timer = vp;
	pthread_mutex_unlock(&vm->irqchip->lock);
	return 0;
}

long do_create_pit(struct ioctl_call *call)
{
	/* The older form has a speaker. */
	return create(call->vm, KVM_PIT_SPEAKER_DUMMY);
}

long do_create_pit2(struct ioctl_call *call)
{
	const struct kvm_pit_config *config = call->data;

	return create(call->vm, config->flags);
}

void vm_pit_end(struct vm *vm)
{
	struct vm_pit *vp = vm->irqchip->timer;

	if (!vp)
		return;
	pthread_mutex_lock(&vm->irqchip->lock);
	vp->stop = true;
	pthread_cond_signal(&vp->changed);
	pthread_mutex_unlock(&vm->irqchip->lock);
	pthread_join(vp->thread, NULL);
	pthread_cond_destroy(&vp->changed);
	mmu_host_free(vp);
}

/* ---- guests' accesses ----------------------------------------------------------------------- */

static u8 port_read(struct vm_pit *vp, u16 port)
{
	u64 now = now_ns();

	return port == PIT_SPEAKER_PORT ? pit_speaker_read(&vp->pit, now)
					: pit_read(&vp->pit, port, now);
}

static void port_write(struct vm_pit *vp, u16 port, u8 value)
{
	u64 loaded = vp->pit.counter[0].loaded_ns, now = now_ns();

	if (port == PIT_SPEAKER_PORT)
		pit_speaker_write(&vp->pit, value, now);
	else
		pit_write(&vp->pit, port, value, now);
	if (vp->pit.counter[0].loaded_ns != loaded)
		rethink(vp);
}

bool vm_pit_port(struct vm *vm, u16 port, u32 bytes, bool write, u8 *data)
{
	struct vm_pit *vp;
	bool ours;

	if (!pit_has_port(port) && port != PIT_SPEAKER_PORT)
		return false;
	pthread_mutex_lock(&vm->irqchip->lock);
	vp = vm->irqchip->timer;
	ours = vp && (port != PIT_SPEAKER_PORT || vp->has_speaker);
	if (ours && write) {
		port_write(vp, port, *data);
	} else if (ours) {
		memset(data, 0, bytes);
		*data = port_read(vp, port);
	}
	pthread_mutex_unlock(&vm->irqchip->lock);
	return ours;
}

/* ---- the program's ---------------------------------------------------------------------- */

static void counter_out(const struct pit_counter *from, struct kvm_pit_channel_state *to)
{
	*to = (struct kvm_pit_channel_state){
		.count = from->count,
		.latched_count = from->latched,
		.count_latched = from->count_latched,
		.status_latched = from->status_latched,
		.status = from->status,
		.read_state = from->read_state,
		.write_state = from->write_state,
		.write_latch = from->write_latch,
		.rw_mode = from->rw_mode,
		.mode = from->mode,
		.bcd = from->bcd,
		.gate = from->gate,
		.count_load_time = (s64)from->loaded_ns,
	};
}

static u8 bytes_in(u8 state)
{
	return state <= PIT_HIGH_OF_BOTH ? state : PIT_LATCH;
}

/* Only values that the counter could have; one that began in the future begins now. */
static void counter_in(struct pit_counter *to, const struct kvm_pit_channel_state *from, u64 now)
{
	u32 most = from->bcd ? 10000 : 0x10000;

	*to = (struct pit_counter){
		.count = from->count && from->count < most ? from->count : most,
		.latched = from->latched_count,
		.count_latched = bytes_in(from->count_latched),
		.status_latched = from->status_latched != 0,
		.status = from->status,
		.read_state = bytes_in(from->read_state),
		.write_state = bytes_in(from->write_state),
		.write_latch = from->write_latch,
		.rw_mode = from->rw_mode & 3,
		.mode = from->mode,
		.bcd = from->bcd != 0,
		.gate = from->gate != 0,
		.loaded_ns = from->count_load_time < 0 || (u64)from->count_load_time > now
				     ? now
				     : (u64)from->count_load_time,
	};
}

/* With the lock held; each of them for one call below, @data as it has it. */
typedef void timer_action(struct vm_pit *vp, void *data);

static void read_counters(struct vm_pit *vp, void *data)
{
	struct kvm_pit_state *state = data;

	for (u32 n = 0; n < PIT_COUNTERS; n++)
		counter_out(&vp->pit.counter[n], &state->channels[n]);
}

/* The newer state is the older one with flags behind it. */
static_assert(offsetof(struct kvm_pit_state2, flags) == sizeof(struct kvm_pit_state),
	      "both begin alike");

static void read_all(struct vm_pit *vp, void *data)
{
	struct kvm_pit_state2 *state = data;

	read_counters(vp, data);
	state->flags = (vp->pit.silent ? KVM_PIT_FLAGS_HPET_LEGACY : 0) |
		       (vp->pit.speaker_on ? KVM_PIT_FLAGS_SPEAKER_DATA_ON : 0);
}

static void write_counters(struct vm_pit *vp, void *data)
{
	const struct kvm_pit_state *state = data;
	u64 now = now_ns();

	for (u32 n = 0; n < PIT_COUNTERS; n++)
		counter_in(&vp->pit.counter[n], &state->channels[n], now);
	/* Ticks go on from here. */
	vp->pit.counter[0].loaded_ns = now;
	rethink(vp);
}

static void write_all(struct vm_pit *vp, void *data)
{
	const struct kvm_pit_state2 *state = data;

	vp->pit.silent = state->flags & KVM_PIT_FLAGS_HPET_LEGACY;
	vp->pit.speaker_on = state->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	write_counters(vp, data);
}

static void choose_ticks(struct vm_pit *vp, void *data)
{
	const struct kvm_reinject_control *control = data;

	vp->keep_ticks = control->pit_reinject;
}

static long with_timer(const struct ioctl_call *call, timer_action *act)
{
	struct irqchip *chip = call->vm->irqchip;

	if (!chip->timer)
		return -ENXIO;
	pthread_mutex_lock(&chip->lock);
	act(chip->timer, call->data);
	pthread_mutex_unlock(&chip->lock);
	return 0;
}

long do_get_pit(struct ioctl_call *call)
{
	return with_timer(call, read_counters);
}

long do_get_pit2(struct ioctl_call *call)
{
	return with_timer(call, read_all);
}

long do_set_pit(struct ioctl_call *call)
{
	return with_timer(call, write_counters);
}

long do_set_pit2(struct ioctl_call *call)
{
	return with_timer(call, write_all);
}

long do_reinject_control(struct ioctl_call *call)
{
	return with_timer(call, choose_ticks);
}
