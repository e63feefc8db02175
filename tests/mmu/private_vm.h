/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM whose slot 0 has private memory, a guest_memfd of the same size as the
 * program's, so that each gfn is one or the other.
 *
 * Accesses say themselves what they want (PFERR_PRIVATE_ACCESS), as with
 * hardware that knows; a test may switch to private_by_attribute.
 */
#ifndef KVMU_TESTS_MMU_PRIVATE_VM_H
#define KVMU_TESTS_MMU_PRIVATE_VM_H

#include "mmu/gmem.h"
#include "tests/mmu/test_vm.h"

#define TEST_GFN   (TEST_GPA >> PAGE_SHIFT)
#define TEST_PAGES (TEST_BYTES >> PAGE_SHIFT)

struct private_vm {
	struct test_vm *vm;
	struct kvm_gmem *gmem; /* TEST_PAGES; NULL once the test has released it */
};

struct private_vm *private_vm_new(void);
void private_vm_free(struct private_vm *p);

/* Slot @id over @size bytes of the program's memory and of @gmem from @offset. */
int private_set_slot(struct private_vm *p, u32 id, gpa_t gpa, u64 size, struct kvm_gmem *gmem,
		     u64 offset);
void private_set(struct private_vm *p, u64 page, u64 pages, bool is_private);
/* The last descriptor is closed. */
void private_close(struct private_vm *p);

/* Does a leaf lead to page @page of the file, or of the program's memory? */
bool private_is_mapped(struct private_vm *p, u64 page);
bool shared_is_mapped(struct private_vm *p, u64 page);

#endif
