/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM of which all memory but the code's may be private: slot 0 with the code,
 * and slot 1 over program memory and over a guest_memfd, all of it shared.
 */
#ifndef KVMU_TESTS_KVM_PRIVATE_FIXTURE_H
#define KVMU_TESTS_KVM_PRIVATE_FIXTURE_H

#include <sys/types.h>

#include "tests/kvm/kvm_fixture.h"

#define PAGE	   4096ul
#define LOW_BYTES  0x40000ul /* slot 0 */
#define DATA_GPA   0x40000ul /* slot 1 */
#define DATA_BYTES 0x40000ul
#define DATA_PAGES (DATA_BYTES / PAGE)
#define FREE_GPA   0x10000000ul /* no slot */
#define PRIVATE	   KVM_MEMORY_ATTRIBUTE_PRIVATE

/* The file behind slot 1; -1 once the test has closed it. */
extern int gmem;

/* cmocka's setup and teardown. */
int private_setup(void **state);
int private_teardown(void **state);

/* A descriptor, or -1 and errno. */
int create_gmem(int vm, uint64_t size, uint64_t flags);
/* 0 or the errno. */
int set_attributes(int vm, uint64_t gpa, uint64_t size, uint64_t attributes);
int fallocate_errno(int fd, int mode, off_t offset, off_t length);
/* KVM_SET_USER_MEMORY_REGION2 over the program's memory of slot 1. */
int set_slot2(const struct fixture *f, uint32_t slot, uint64_t gpa, uint64_t bytes, uint32_t flags,
	      int fd, uint64_t offset);
/* KVM_RUN fails the test unless it ends with this memory fault. */
void run_to_memory_fault(const struct fixture *f, uint64_t gpa, uint64_t flags);

/* A guest that writes 0x77 to the first byte of slot 1 and halts. */
void load_writer(struct fixture *f);

#endif
