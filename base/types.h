/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address types and their conversions: the words every layer shares.
 *
 * The names are KVM's.  Suffixes are units: a gfn counts 4 KiB pages, a gpa
 * counts bytes.  In user space the "physical" page number of host memory is
 * its place in the process's own address space, so hva_to_pfn() is a shift.
 * Ranges are half open: [start, end).
 */
#ifndef KVMU_BASE_TYPES_H
#define KVMU_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

typedef u64 gva_t;     /* guest virtual address, bytes */
typedef u64 gpa_t;     /* guest physical address, bytes */
typedef u64 gfn_t;     /* guest frame number: gpa >> PAGE_SHIFT */
typedef u64 hva_t;     /* host virtual address, bytes */
typedef u64 hpa_t;     /* what a table entry points at, bytes */
typedef u64 kvm_pfn_t; /* hpa >> PAGE_SHIFT */

#define PAGE_SHIFT 12
#define PAGE_SIZE  (1ull << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))

#define INVALID_GPA (~(gpa_t)0)
#define INVALID_GFN (~(gfn_t)0)

/*
 * Mapping levels count from the leaf, in every layer and every format: level 1
 * is a page, 2 the block above it.  The format headers translate to the
 * numbering of their manuals.
 */
enum pg_level {
	PG_LEVEL_NONE = 0,
	PG_LEVEL_4K = 1,
	PG_LEVEL_2M = 2,
	PG_LEVEL_1G = 3,
	PG_LEVEL_512G = 4,
	PG_LEVEL_256T = 5,
};

static inline gfn_t gpa_to_gfn(gpa_t gpa)
{
	return gpa >> PAGE_SHIFT;
}

static inline gpa_t gfn_to_gpa(gfn_t gfn)
{
	return gfn << PAGE_SHIFT;
}

static inline kvm_pfn_t hva_to_pfn(hva_t hva)
{
	return hva >> PAGE_SHIFT;
}

static inline hva_t pfn_to_hva(kvm_pfn_t pfn)
{
	return pfn << PAGE_SHIFT;
}

/* The one place where an hva becomes a pointer. */
static inline void *hva_to_ptr(hva_t hva)
{
	return (void *)(uintptr_t)hva;
}

static inline hva_t ptr_to_hva(const void *ptr)
{
	return (hva_t)(uintptr_t)ptr;
}

static inline enum pg_level min_level(enum pg_level a, enum pg_level b)
{
	return a < b ? a : b;
}

/* Pages of 4 KiB that one x86 leaf of @level covers. */
static inline u64 pages_per_level(enum pg_level level)
{
	return 1ull << (9u * ((unsigned int)level - 1u));
}

#endif
