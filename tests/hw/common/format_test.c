/* SPDX-License-Identifier: BSD-2-Clause */
/* All tests on one format and geometry, and the line about them. */
#include "tests/hw/common/driver.h"

/* Static: an image's stack is small, and there is one test at a time. */
static struct hw_test the_test;

static void print_line(const struct hw_test *t, u64 us)
{
	const struct hw_counts *n = &t->n;

	hw_printf("%s: %lu maps, %lu leaves, %lu other ops; %lu accesses, %lu probes; "
		  "faults: %lu absent, %lu perm, %lu accessed, %lu untold; %lu answered; "
		  "flushes %lu + %lu midway; damage noticed %lu; %lu failures; %lu ms\n",
		  t->format->name, n->maps, n->leaves, n->ops, n->accesses, n->probes,
		  n->faults[HW_FAULT_ABSENT], n->faults[HW_FAULT_PERM], n->faults[HW_FAULT_YOUNG],
		  n->faults[HW_FAULT_UNTOLD], n->on_demand, n->flushes, n->midway, n->controls,
		  t->failures, us / 1000);
}

u64 hw_test_format(struct hw_machine *machine, const struct format *format,
		   const struct hw_params *params)
{
	struct hw_test *t = &the_test;
	u64 start = hw_time_us();

	*t = (struct hw_test){.machine = machine,
			      .format = format,
			      .random = params->seed ? params->seed : 1,
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
