/* SPDX-License-Identifier: BSD-2-Clause */
/* See entry_text.h; the bits are EPT's, SDM vol. 3, 29.3.2. */
#include "explore/entry_text.h"

#include <stdio.h>

#include "explore/host_model.h"
#include "mmu/mmu.h"
#include "pgtable/env.h"
#include "pgtable/format/ept.h"

#define ENTRIES (1u << FMT_TABLE_BITS)

struct seek {
	const kvm_pte_t *at;
	unsigned int level; /* found there */
	gfn_t gfn;	    /* its first page */
};

/* Entries as they are in memory: nobody runs meanwhile. */
static bool seek_in(struct seek *seek, const kvm_pte_t *table, unsigned int level, gfn_t first)
{
	const u64 pages = 1ull << (FMT_TABLE_BITS * (level - 1));

	if (seek->at >= table && seek->at < table + ENTRIES) {
		seek->level = level;
		seek->gfn = first + (u64)(seek->at - table) * pages;
		return true;
	}
	for (unsigned int i = 0; level > 1 && i < ENTRIES; i++) {
		kvm_pte_t pte = table[i];

		if (fmt_present(pte, level) && fmt_is_table(pte, level) &&
		    seek_in(seek, pgt_env_table(fmt_table_hpa(pte, level)), level - 1,
			    first + i * pages))
			return true;
	}
	return false;
}

unsigned int entry_place(const struct kvm *kvm, const void *at, char *text, size_t bytes)
{
	const char *where[KVM_MAX_NR_ADDRESS_SPACES] = {"", " of SMM"};
	struct seek seek = {.at = at};
	u32 as_id = 0;

	while (as_id < KVM_MAX_NR_ADDRESS_SPACES &&
	       (!kvm->pgt[as_id].root ||
		!seek_in(&seek, kvm->pgt[as_id].root, kvm->pgt[as_id].levels, 0)))
		as_id++;
	if (as_id == KVM_MAX_NR_ADDRESS_SPACES)
		snprintf(text, bytes, "a table not linked");
	else if (seek.level == 1)
		snprintf(text, bytes, "guest page %llu%s", (unsigned long long)seek.gfn,
			 where[as_id]);
	else
		snprintf(text, bytes, "level %u, guest pages %llu-%llu%s", seek.level,
			 (unsigned long long)seek.gfn,
			 (unsigned long long)(seek.gfn +
					      (1ull << (FMT_TABLE_BITS * (seek.level - 1))) - 1),
			 where[as_id]);
	return seek.level;
}

void entry_text(kvm_pte_t pte, unsigned int level, char *text, size_t bytes)
{
	if (!pte)
		snprintf(text, bytes, "nothing");
	else if (!fmt_present(pte, level))
		snprintf(text, bytes, "not present, %#llx", (unsigned long long)pte);
	else if (level > 1 && fmt_is_table(pte, level))
		snprintf(text, bytes, "table");
	else
		snprintf(text, bytes, "%c%c%c %c%c page %llu", pte & EPT_READ ? 'R' : '-',
			 pte & EPT_WRITE ? 'W' : '-', pte & EPT_EXEC ? 'X' : '-',
			 pte & EPT_ACCESSED ? 'A' : '-', pte & EPT_DIRTY ? 'D' : '-',
			 (unsigned long long)(((pte & X86_ADDR) - HOST_MEMORY) >> PAGE_SHIFT));
}
