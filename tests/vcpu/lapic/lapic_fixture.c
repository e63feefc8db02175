/* SPDX-License-Identifier: BSD-2-Clause */
/* See lapic_fixture.h. */
#include "tests/vcpu/lapic/lapic_fixture.h"

#include <stdlib.h>

u64 test_now_ns;
unsigned int test_wakes;
int test_eoi_vector;

bool x86_cpu_host_pending(struct x86_cpu *cpu)
{
	(void)cpu;
	return false;
}

static u64 now_ns(void)
{
	return test_now_ns;
}

static void wake(struct x86_cpu *cpu)
{
	(void)cpu;
	test_wakes++;
}

static void eoi(struct x86_cpu *cpu, u8 vector)
{
	(void)cpu;
	test_eoi_vector = vector;
}

static const struct x86_machine_ops ops = {.now_ns = now_ns, .wake = wake, .eoi = eoi};

static struct x86_cpu *new_cpu(struct machine *m, u32 id)
{
	struct x86_cpu *cpu;

	assert_int_equal(x86_cpu_create(&m->kvm, &m->machine, id, m->pio[id], &cpu), 0);
	assert_int_equal(x86_lapic_create(cpu), 0);
	assert_int_equal(x86_cpu_join(cpu), 0);
	cpu->tsc_khz = TSC_KHZ;
	cpu->nr_cpuid = x86_supported_cpuid(cpu->cpuid, X86_MAX_CPUID);
	x86_cpuid_changed(cpu);
	apic_write(cpu, X86_LAPIC_SPIV, 0x1ff);
	return cpu;
}

int machine_setup(void **state)
{
	struct machine *m = aligned_alloc(_Alignof(struct machine), sizeof(*m));

	assert_non_null(m);
	memset(m, 0, sizeof(*m));
	m->machine.ops = &ops;
	m->machine.apic_bus_ns = 1;
	assert_int_equal(kvm_mmu_init_vm(&m->kvm), 0);
	for (u32 i = 0; i < NR_CPUS; i++)
		m->cpu[i] = new_cpu(m, i);
	test_now_ns = 1000;
	test_wakes = 0;
	test_eoi_vector = -1;
	*state = m;
	return 0;
}

int machine_teardown(void **state)
{
	struct machine *m = *state;

	for (u32 i = 0; i < NR_CPUS; i++)
		x86_cpu_destroy(m->cpu[i]);
	kvm_mmu_uninit_vm(&m->kvm);
	free(m);
	return 0;
}

u32 apic_read(struct x86_cpu *cpu, u32 offset)
{
	u32 value;

	x86_lapic_mmio_read(cpu, PAGE_GPA + offset, &value, 4);
	return value;
}

void apic_write(struct x86_cpu *cpu, u32 offset, u32 value)
{
	x86_lapic_mmio_write(cpu, PAGE_GPA + offset, &value, 4);
}

void to_x2apic(struct x86_cpu *cpu)
{
	assert_int_equal(x86_set_apic_base(cpu, cpu->apic_base | X86_APIC_BASE_X2APIC, false), 0);
}

int take(struct x86_cpu *cpu)
{
	int vector = x86_lapic_highest(cpu);

	if (vector >= 0)
		x86_lapic_accept(cpu, (u8)vector);
	return vector;
}

bool requested(struct x86_cpu *cpu, u8 vector)
{
	return apic_read(cpu, X86_LAPIC_IRR + vector / 32u * 16) & (1u << (vector % 32));
}

unsigned int who_got(struct machine *m, u8 vector)
{
	unsigned int who = 0;

	for (u32 i = 0; i < NR_CPUS; i++) {
		who |= (unsigned int)requested(m->cpu[i], vector) << i;
		memset(x86_lapic_reg(m->cpu[i], X86_LAPIC_IRR), 0, 8 * sizeof(u32));
	}
	return who;
}
