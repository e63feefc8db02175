/* SPDX-License-Identifier: BSD-2-Clause */
/* One schedule of a scenario: build the VM, run the threads, judge what is left. */
#ifndef KVMU_EXPLORE_RUN_H
#define KVMU_EXPLORE_RUN_H

#include "explore/scenario.h"
#include "explore/search.h"

/* False: an oracle has spoken; sched.failure says what. */
bool run_schedule(const struct scenario *scenario, struct search *search);

#endif
