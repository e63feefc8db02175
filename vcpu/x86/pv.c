// SPDX-License-Identifier: BSD-2-Clause
/* See pv.h. */
#include "vcpu/x86/core.h"
#include "vcpu/x86/pv.h"

enum pv_msr {
	PV_WALL_CLOCK_OLD = 0x11,
	PV_SYSTEM_TIME_OLD = 0x12,
	PV_WALL_CLOCK = 0x4b564d00,
	PV_SYSTEM_TIME = 0x4b564d01,
	PV_STEAL_TIME = 0x4b564d03,
	PV_POLL_CONTROL = 0x4b564d05,
};

#define STEAL_TIME_RESERVED 0x3eull

struct pv_row {
	u32 index;
	enum x86_pv_feature feature;
	size_t at; /* offset of a u64 in struct x86_cpu */
	u64 zero;  /* bits that must be 0 */
	u32 update;
};

#define ROW(index, feature, field, zero, update)                                 \
	{                                                                        \
		index, feature, offsetof(struct x86_cpu, pv.field), zero, update \
	}

static const struct pv_row rows[] = {
	ROW(PV_WALL_CLOCK_OLD, X86_PV_CLOCKSOURCE, wall_clock, 0, X86_PV_UPDATE_WALL_CLOCK),
	ROW(PV_SYSTEM_TIME_OLD, X86_PV_CLOCKSOURCE, system_time, 0, X86_PV_UPDATE_CLOCK),
	ROW(PV_WALL_CLOCK, X86_PV_CLOCKSOURCE2, wall_clock, 0, X86_PV_UPDATE_WALL_CLOCK),
	ROW(PV_SYSTEM_TIME, X86_PV_CLOCKSOURCE2, system_time, 0, X86_PV_UPDATE_CLOCK),
	ROW(PV_STEAL_TIME, X86_PV_STEAL_TIME, steal_time, STEAL_TIME_RESERVED,
	    X86_PV_UPDATE_STEAL_TIME),
	ROW(PV_POLL_CONTROL, X86_PV_POLL_CONTROL, poll_control, ~1ull, 0),
};

static const struct pv_row *find_row(const struct x86_cpu *cpu, u32 index, bool host)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].index == index)
			return host || x86_pv_feature(cpu, rows[i].feature) ? &rows[i] : NULL;
	return NULL;
}

static u64 *storage(struct x86_cpu *cpu, const struct pv_row *row)
{
	return (u64 *)(void *)((char *)cpu + row->at);
}

int x86_pv_get_msr(struct x86_cpu *cpu, u32 index, u64 *value, bool host)
{
	const struct pv_row *row = find_row(cpu, index, host);

	if (!row)
		return -ENOENT;
	*value = *storage(cpu, row);
	return 0;
}

int x86_pv_set_msr(struct x86_cpu *cpu, u32 index, u64 value, bool host)
{
	const struct pv_row *row = find_row(cpu, index, host);

	if (!row)
		return -ENOENT;
	if (value & row->zero)
		return -EINVAL;
	*storage(cpu, row) = value;
	cpu->pv.updates |= row->update;
	if (!host && row->update)
		cpu->exit = X86_EXIT_PV;
	return 0;
}
