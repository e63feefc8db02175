/* SPDX-License-Identifier: BSD-2-Clause */
/* From request through service to the end: priorities, EOI, NMI, INIT and SIPI. */
#include "tests/vcpu/lapic/lapic_fixture.h"

static void the_highest_vector_comes_first(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];

	x86_lapic_raise(cpu, 0x31, false);
	x86_lapic_raise(cpu, 0xe5, false);
	x86_lapic_raise(cpu, 0x60, false);
	assert_int_equal(take(cpu), 0xe5);
	assert_int_equal(take(cpu), -1);
	x86_lapic_eoi(cpu);
	assert_int_equal(take(cpu), 0x60);
	x86_lapic_eoi(cpu);
	assert_int_equal(take(cpu), 0x31);
	x86_lapic_eoi(cpu);
	assert_int_equal(take(cpu), -1);
}

static void only_a_higher_class_interrupts_service(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];

	x86_lapic_raise(cpu, 0x51, false);
	assert_int_equal(take(cpu), 0x51);
	x86_lapic_raise(cpu, 0x5f, false); /* higher, but of the same class */
	assert_int_equal(take(cpu), -1);
	x86_lapic_raise(cpu, 0x60, false);
	assert_int_equal(take(cpu), 0x60);
	assert_int_equal(apic_read(cpu, X86_LAPIC_PPR), 0x60);
	x86_lapic_eoi(cpu);
	assert_int_equal(apic_read(cpu, X86_LAPIC_PPR), 0x50);
	x86_lapic_eoi(cpu);
	assert_int_equal(take(cpu), 0x5f);
}

static void task_priority_holds_back(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];

	apic_write(cpu, X86_LAPIC_TPR, 0x45);
	assert_int_equal(cpu->cr8, 4);
	x86_lapic_raise(cpu, 0x4f, false);
	assert_int_equal(take(cpu), -1);
	assert_int_equal(apic_read(cpu, X86_LAPIC_PPR), 0x45);
	x86_set_cr8(cpu, 3);
	assert_int_equal(apic_read(cpu, X86_LAPIC_TPR), 0x30);
	assert_int_equal(take(cpu), 0x4f);
}

static void only_level_triggered_ends_are_announced(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];

	x86_lapic_raise(cpu, 0x41, false);
	assert_int_equal(take(cpu), 0x41);
	apic_write(cpu, X86_LAPIC_EOI, 0);
	assert_int_equal(test_eoi_vector, -1);
	x86_lapic_raise(cpu, 0x41, true);
	assert_int_equal(take(cpu), 0x41);
	apic_write(cpu, X86_LAPIC_EOI, 0);
	assert_int_equal(test_eoi_vector, 0x41);
}

static void an_eoi_with_nothing_in_service_does_nothing(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];

	x86_lapic_raise(cpu, 0x41, true);
	apic_write(cpu, X86_LAPIC_EOI, 0);
	assert_int_equal(test_eoi_vector, -1);
	assert_int_equal(take(cpu), 0x41);
}

/* Every pair of vectors: the model is the comparison of classes. */
static void every_pair_of_vectors_nests_by_class(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];

	for (unsigned int first = 16; first < 256; first++) {
		for (unsigned int second = 16; second < 256; second++) {
			int expect = second >> 4 > first >> 4 ? (int)second : -1;

			x86_lapic_raise(cpu, (u8)first, false);
			assert_int_equal(take(cpu), (int)first);
			x86_lapic_raise(cpu, (u8)second, false);
			assert_int_equal(take(cpu), expect);
			x86_lapic_eoi(cpu);
			if (expect < 0)
				assert_int_equal(take(cpu), (int)second);
			x86_lapic_eoi(cpu);
			assert_int_equal(take(cpu), -1);
		}
	}
}

static void a_raise_wakes_and_requests(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[2];

	cpu->vcpu.requests = 0;
	x86_lapic_raise(cpu, 0x99, false);
	assert_int_equal(test_wakes, 1);
	assert_true(cpu->vcpu.requests & KVM_REQ_EVENT);
}

static void a_halted_cpu_wakes_only_for_what_it_may_take(void **state)
{
	struct x86_cpu *cpu = ((struct machine *)*state)->cpu[0];

	cpu->mp_state = X86_MP_HALTED;
	x86_lapic_raise(cpu, 0x99, false);
	assert_false(x86_cpu_wakes(cpu)); /* interrupts are disabled */
	cpu->rflags |= X86_EFLAGS_IF;
	assert_true(x86_cpu_wakes(cpu));
	apic_write(cpu, X86_LAPIC_TPR, 0x90);
	assert_false(x86_cpu_wakes(cpu));
	cpu->nmi_pending = true;
	assert_true(x86_cpu_wakes(cpu));
}

static void nmi_init_and_sipi(void **state)
{
	struct machine *m = *state;
	struct x86_cpu *ap = m->cpu[1];

	apic_write(m->cpu[0], X86_LAPIC_ICR2, 1u << 24);
	apic_write(m->cpu[0], X86_LAPIC_ICR, 0x4400); /* NMI */
	x86_cpu_serve_events(ap);
	assert_true(ap->nmi_pending);

	ap->regs[X86_RBX] = 77;
	apic_write(m->cpu[0], X86_LAPIC_ICR, 0x4612); /* SIPI: not waited for */
	x86_cpu_serve_events(ap);
	assert_int_equal(ap->regs[X86_RBX], 77);

	apic_write(m->cpu[0], X86_LAPIC_ICR, 0x4500); /* INIT */
	x86_cpu_serve_events(ap);
	assert_int_equal(ap->mp_state, X86_MP_INIT_RECEIVED);
	assert_int_equal(ap->regs[X86_RBX], 0);
	apic_write(m->cpu[0], X86_LAPIC_ICR, 0x8500); /* its de-assertion */
	x86_cpu_serve_events(ap);
	assert_int_equal(ap->mp_state, X86_MP_INIT_RECEIVED);

	apic_write(m->cpu[0], X86_LAPIC_ICR, 0x4612); /* SIPI to 0x12000 */
	x86_cpu_serve_events(ap);
	assert_int_equal(ap->mp_state, X86_MP_RUNNABLE);
	assert_int_equal(ap->seg[X86_CS].selector, 0x1200);
	assert_int_equal(ap->seg[X86_CS].base, 0x12000);
	assert_int_equal(ap->regs[X86_REG_RIP], 0);
}

static void init_to_the_boot_cpu_starts_it_over(void **state)
{
	struct machine *m = *state;

	m->cpu[0]->regs[X86_RBX] = 77;
	apic_write(m->cpu[1], X86_LAPIC_ICR2, 0);
	apic_write(m->cpu[1], X86_LAPIC_ICR, 0x4500);
	x86_cpu_serve_events(m->cpu[0]);
	assert_int_equal(m->cpu[0]->mp_state, X86_MP_RUNNABLE);
	assert_int_equal(m->cpu[0]->regs[X86_RBX], 0);
	assert_int_equal(m->cpu[0]->regs[X86_REG_RIP], 0xfff0);
}

static void a_disabled_apic_takes_no_interrupts(void **state)
{
	struct machine *m = *state;

	apic_write(m->cpu[1], X86_LAPIC_SPIV, 0xff);
	apic_write(m->cpu[0], X86_LAPIC_ICR2, 1u << 24);
	apic_write(m->cpu[0], X86_LAPIC_ICR, 0x4055);
	assert_int_equal(who_got(m, 0x55), 0);
	apic_write(m->cpu[0], X86_LAPIC_ICR, 0x4400); /* but NMIs */
	x86_cpu_serve_events(m->cpu[1]);
	assert_true(m->cpu[1]->nmi_pending);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_highest_vector_comes_first),
		TEST(only_a_higher_class_interrupts_service),
		TEST(task_priority_holds_back),
		TEST(only_level_triggered_ends_are_announced),
		TEST(an_eoi_with_nothing_in_service_does_nothing),
		TEST(every_pair_of_vectors_nests_by_class),
		TEST(a_raise_wakes_and_requests),
		TEST(a_halted_cpu_wakes_only_for_what_it_may_take),
		TEST(nmi_init_and_sipi),
		TEST(init_to_the_boot_cpu_starts_it_over),
		TEST(a_disabled_apic_takes_no_interrupts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
