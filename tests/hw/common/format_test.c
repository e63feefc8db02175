/* SPDX-License-Identifier: BSD-2-Clause */
/* All tests on one format and geometry, and the line about them. */
#include "tests/hw/common/driver.h"

/* Static: an image's stack is small, and there is one test at a time. */
static struct hw_test the_test;

void hw_print_heading(const struct hw_machine *machine)
{
	hw_printf("\n%26s%8s%9s%8s%9s%8s | %8s%8s%9s%9s%9s | %8s%8s%8s%6s\n", machine->name, "maps",
		  "leaves", "ops", "accesses", "probes", "absent", "perm", "accessed", "untold",
		  "answered", "flushes", "midway", "damage", "ms");
}

/* Right-aligned columns; "damage" is what the negative controls made and the check noticed. */
static void print_line(const struct hw_test *t, u64 us)
{
	const struct hw_counts *n = &t->n;

	hw_printf("%26s%8lu%9lu%8lu%9lu%8lu | ", t->format->name, n->maps, n->leaves, n->ops,
		  n->accesses, n->probes);
	hw_printf("%8lu%8lu%9lu%9lu%9lu | ", n->faults[HW_FAULT_ABSENT], n->faults[HW_FAULT_PERM],
		  n->faults[HW_FAULT_YOUNG], n->faults[HW_FAULT_UNTOLD], n->on_demand);
	hw_printf("%8lu%8lu%8lu%6lu", n->flushes, n->midway, n->controls, us / 1000);
	if (t->failures)
		hw_printf("  %lu FAILURES", t->failures);
	hw_printf("\n");
}

/* Geometries do not all see the same numbers. */
static u64 seed_of(const struct format *format, u64 seed)
{
	const struct kvm_pgtable_config *c = &format->config;
	u64 mixed = seed ^ (c->input_bits | (u64)c->levels << 8 | (u64)c->granule_lg2 << 16 |
			    (u64)c->accessed_dirty << 24) *
				   0x9e3779b97f4a7c15ull;

	return mixed ? mixed : 1;
}

u64 hw_test_format(struct hw_machine *machine, const struct format *format,
		   const struct hw_params *params)
{
	struct hw_test *t = &the_test;
	u64 start = hw_time_us();

	*t = (struct hw_test){.machine = machine,
			      .format = format,
			      .random = seed_of(format, params->seed),
			      .scale = params->scale,
			      .doing = "set-up"};
	hw_table_setup(t);
	hw_test_leaves(t);
	hw_test_on_demand(t);
	hw_test_marks(t);
	hw_test_controls(t);
	hw_test_random(t);
	t->doing = "teardown";
	hw_table_teardown(t);
	print_line(t, hw_time_us() - start);
	return t->failures;
}
