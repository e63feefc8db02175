/* SPDX-License-Identifier: BSD-2-Clause */
/* Which CPUs an interrupt message reaches. */
#include "tests/vcpu/lapic/lapic_fixture.h"

#define VECTOR 0x77

static unsigned int sent_by_icr(struct machine *m, u32 from, u32 icr, u32 dest)
{
	apic_write(m->cpu[from], X86_LAPIC_ICR2, dest << 24);
	apic_write(m->cpu[from], X86_LAPIC_ICR, icr | 0x4000 | VECTOR);
	return who_got(m, VECTOR);
}

static unsigned int sent_by_device(struct machine *m, u32 dest, bool logical)
{
	const struct x86_irq_msg msg = {.dest = dest, .vector = VECTOR, .logical = logical};

	x86_lapic_send(&m->kvm, &msg);
	return who_got(m, VECTOR);
}

static void physical_ids(void **state)
{
	struct machine *m = *state;

	for (u32 dest = 0; dest < 0xff; dest++)
		assert_int_equal(sent_by_icr(m, 0, 0, dest), dest < NR_CPUS ? 1u << dest : 0);
	assert_int_equal(sent_by_icr(m, 0, 0, 0xff), 0xf);
	/* The id register of xAPIC mode can be written. */
	apic_write(m->cpu[2], X86_LAPIC_ID, 9u << 24);
	assert_int_equal(sent_by_icr(m, 0, 0, 9), 1u << 2);
	assert_int_equal(sent_by_icr(m, 0, 0, 2), 0);
}

static void shorthands(void **state)
{
	struct machine *m = *state;

	assert_int_equal(sent_by_icr(m, 1, 1u << 18, 0), 1u << 1);
	assert_int_equal(sent_by_icr(m, 1, 2u << 18, 0), 0xf);
	assert_int_equal(sent_by_icr(m, 1, 3u << 18, 0), 0xf & ~(1u << 1));
}

static void flat_logical_ids(void **state)
{
	struct machine *m = *state;

	for (u32 i = 0; i < NR_CPUS; i++)
		apic_write(m->cpu[i], X86_LAPIC_LDR, (1u << i | 0x80) << 24);
	for (u32 dest = 0; dest < 0x80; dest++)
		assert_int_equal(sent_by_icr(m, 0, 0x800, dest), dest & 0xf);
	assert_int_equal(sent_by_icr(m, 0, 0x800, 0x80), 0xf);
	assert_int_equal(sent_by_icr(m, 0, 0x800, 0xff), 0xf);
}

static void clustered_logical_ids(void **state)
{
	struct machine *m = *state;

	/* CPUs 0 and 1 in cluster 2, CPUs 2 and 3 in cluster 5. */
	for (u32 i = 0; i < NR_CPUS; i++) {
		apic_write(m->cpu[i], X86_LAPIC_DFR, 0);
		apic_write(m->cpu[i], X86_LAPIC_LDR,
			   ((i < 2 ? 2u : 5u) << 4 | 1u << (i & 1)) << 24);
	}
	for (u32 dest = 0; dest < 0xff; dest++) {
		u32 cluster = dest >> 4, expect = 0;

		if (cluster == 2)
			expect = dest & 3;
		if (cluster == 5)
			expect = (dest & 3) << 2;
		assert_int_equal(sent_by_icr(m, 0, 0x800, dest), expect);
	}
}

static unsigned int sent_by_x2apic(struct machine *m, u64 icr)
{
	assert_int_equal(x86_lapic_set_msr(m->cpu[0], 0x830, icr | 0x4000 | VECTOR), 0);
	return who_got(m, VECTOR);
}

static void x2apic_ids(void **state)
{
	struct machine *m = *state;

	for (u32 i = 0; i < NR_CPUS; i++)
		to_x2apic(m->cpu[i]);
	for (u64 dest = 0; dest < 600; dest++)
		assert_int_equal(sent_by_x2apic(m, dest << 32), dest < NR_CPUS ? 1u << dest : 0);
	assert_int_equal(sent_by_x2apic(m, 0xffffffffull << 32), 0xf);
	/* Logical: cluster in the upper half, one bit each in the lower. */
	for (u64 dest = 0; dest < 64; dest++)
		assert_int_equal(sent_by_x2apic(m, dest << 32 | 0x800), dest & 0xf);
	assert_int_equal(sent_by_x2apic(m, 0x1000full << 32 | 0x800), 0);
}

static void an_xapic_reaches_cpus_in_x2apic_mode(void **state)
{
	struct machine *m = *state;

	to_x2apic(m->cpu[1]);
	to_x2apic(m->cpu[2]);
	assert_int_equal(sent_by_icr(m, 0, 0, 2), 1u << 2);
	assert_int_equal(sent_by_icr(m, 0, 0, 0xff), 0xf);
}

static void a_device_means_all_by_255_unless_told_otherwise(void **state)
{
	struct machine *m = *state;

	to_x2apic(m->cpu[1]);
	assert_int_equal(sent_by_device(m, 2, false), 1u << 2);
	assert_int_equal(sent_by_device(m, 0xff, false), 0xf);
	m->machine.x2apic_literal_255 = true;
	assert_int_equal(sent_by_device(m, 0xff, false), 0xf & ~(1u << 1));
}

static void lowest_priority_takes_turns(void **state)
{
	struct machine *m = *state;
	unsigned int seen[NR_CPUS] = {0};

	apic_write(m->cpu[3], X86_LAPIC_SPIV, 0xff); /* disabled: never chosen */
	for (int i = 0; i < 30; i++) {
		unsigned int who = sent_by_icr(m, 0, 0x100, 0xff);

		assert_int_equal(__builtin_popcount(who), 1);
		seen[__builtin_ctz(who)]++;
	}
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(seen[i], 10);
	assert_int_equal(seen[3], 0);
}

static void a_globally_disabled_apic_is_not_there(void **state)
{
	struct machine *m = *state;

	assert_int_equal(x86_set_apic_base(m->cpu[2], PAGE_GPA, false), 0);
	assert_int_equal(sent_by_icr(m, 0, 0, 0xff), 0xf & ~(1u << 2));
	assert_int_equal(sent_by_icr(m, 0, 0, 2), 0);
}

static void self_ipi(void **state)
{
	struct machine *m = *state;

	to_x2apic(m->cpu[0]);
	assert_int_equal(x86_lapic_set_msr(m->cpu[0], 0x83f, VECTOR), 0);
	assert_int_equal(who_got(m, VECTOR), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(physical_ids),
		TEST(shorthands),
		TEST(flat_logical_ids),
		TEST(clustered_logical_ids),
		TEST(x2apic_ids),
		TEST(an_xapic_reaches_cpus_in_x2apic_mode),
		TEST(a_device_means_all_by_255_unless_told_otherwise),
		TEST(lowest_priority_takes_turns),
		TEST(a_globally_disabled_apic_is_not_there),
		TEST(self_ipi),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
