/* SPDX-License-Identifier: BSD-2-Clause */
/* A table entry as people read it: whose it is, and what it says. */
#ifndef KVMU_EXPLORE_ENTRY_TEXT_H
#define KVMU_EXPLORE_ENTRY_TEXT_H

#include <stddef.h>

#include "pgtable/pgtable.h"

struct kvm;

/*
 * Where in @kvm's tables the entry at @at is: "guest page 1", "pages 0-1ff" for one that
 * covers more, "a table not linked" when no walk from the root comes by.  Its
 * level; 0 then.
 */
unsigned int entry_place(const struct kvm *kvm, const void *at, char *text, size_t bytes);

/* What @pte says at @level (0: not known): "R W - A D page 3", "table", "nothing". */
void entry_text(kvm_pte_t pte, unsigned int level, char *text, size_t bytes);

#endif
