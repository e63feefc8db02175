/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver of the walker images: builds tables with the library, lets the
 * processor's MMU walk them, and holds what the MMU did against a model that
 * knows nothing of entries.  The architecture supplies struct hw_machine.
 *
 * How to make an image of another architecture:
 *
 *   1. tests/hw/ARCH/: start-up code, linker script, a main that turns the MMU
 *      of the second stage on, and the functions of struct hw_machine.
 *   2. main calls hw_params_at(), hw_test_format() for each format and geometry
 *      (struct format as the host's tests have it), then hw_finish().
 *   3. Add it to tests/hw/meson.build.
 *
 * Test memory ("backing") must be real RAM that the image uses for nothing
 * else, reached by the image at its physical address, aligned to its size (a
 * power of two).
 */
#ifndef KVMU_TESTS_HW_DRIVER_H
#define KVMU_TESTS_HW_DRIVER_H

#include "pgtable/arena.h"
#include "tests/hw/common/image.h"
#include "tests/pgtable/format_ops.h"
#include "tests/random.h"

enum hw_op {
	HW_READ,
	HW_WRITE,
	HW_FETCH,
	HW_OPS,
};

enum hw_fault {
	HW_FAULT_NONE,
	HW_FAULT_ABSENT, /* nothing is mapped */
	HW_FAULT_PERM,	 /* mapped, but not for this */
	HW_FAULT_YOUNG,	 /* the leaf is not marked accessed and the MMU does not do that */
	HW_FAULT_UNTOLD, /* refused, and the hardware does not say why (RISC-V) */
	HW_FAULT_OTHER,	 /* anything else: always wrong */
	HW_FAULTS,
};

/* One access by the guest: a 64-bit load or store, or a call of put_code()'s code. */
struct hw_access {
	u64 gpa; /* 8-byte aligned */
	enum hw_op op;
	u64 value; /* in: what to store; out: what was loaded, or what the code returned */

	enum hw_fault fault;
	u64 fault_gpa;	     /* as the hardware gives it; at least the page is right */
	unsigned int level;  /* of the entry that refused, counted from 1; 0: not told */
	enum hw_op fault_op; /* as the hardware gives it */
};

/* The MMU asked without an access. */
struct hw_probe {
	u64 gpa;
	enum hw_op op; /* READ or WRITE */

	enum hw_fault fault;
	unsigned int level;
	u64 hpa; /* of gpa */
	bool device;
};

/* Memory the guest needs for itself: mapped by the driver, kept out of the tests. */
struct hw_reserved {
	u64 gpa;
	u64 hpa;
	u64 size;
	enum kvm_pgtable_prot prot;
};
#define HW_RESERVED_MAX 8

struct hw_machine {
	const char *name;
	u64 backing; /* test memory: start and size, see above */
	u64 backing_size;
	struct table_arena_source tables; /* see pgtable/chunk_heap.h */
	unsigned int hpa_bits;		  /* where there is a probe: leaves lead to below 2^this */
	const u16 *prots;		  /* combinations of R, W, X to try; 0 is "none" */
	unsigned int nr_prots;
	enum kvm_pgtable_prot preset; /* marks put on every mapping where nobody else sets them */
	/* Flip this bit of a page's entry and it leads to another page; 0: the page size. */
	u64 tamper;
	/* A translation is kept until it is flushed: leaving a flush out must show. */
	bool caches;
	/* The guest can name addresses of so many bits; those beyond the input are absent.  0: no.
	 */
	unsigned int guest_bits;

	/* Walk @pgt from now on, with nothing cached. */
	void (*load)(struct hw_machine *m, const struct kvm_pgtable *pgt);
	/* Walk it no more: it is about to be freed.  NULL: nothing to do. */
	void (*unload)(struct hw_machine *m);
	/* Flush what is owed, synchronously. */
	void (*flush)(struct hw_machine *m, const struct kvm_pgtable_flush *flush);
	void (*access)(struct hw_machine *m, struct hw_access *access);
	/* Code at @code that returns @value to access(), in at most 64 bytes. */
	void (*put_code)(struct hw_machine *m, void *code, u32 value);
	/* May be NULL. */
	void (*probe)(struct hw_machine *m, struct hw_probe *probe);
	/* How many ranges, filled in for this geometry; NULL: none. */
	unsigned int (*reserve)(struct hw_machine *m, const struct kvm_pgtable *pgt,
				const struct format *format, struct hw_reserved *out);
};

/* A page of the guest that is looked at, and what is known of it. */
struct hw_point {
	u64 gpa;
	bool mapped;
	u64 hpa;
	u32 prot;
	u32 owner;
};

/* A stretch of the guest's memory, aligned to its size, in which points lie. */
struct hw_cluster {
	u64 base;
	u64 bytes;
	u64 natural; /* hpa of base where a mapping as big as the cluster is wanted */
};

#define HW_CLUSTERS	      8
#define HW_POINTS_PER_CLUSTER 24
#define HW_POINTS	      (HW_CLUSTERS * HW_POINTS_PER_CLUSTER)

struct hw_counts {
	u64 maps;
	u64 leaves;
	u64 ops; /* other operations */
	u64 accesses;
	u64 probes;
	u64 faults[HW_FAULTS];
	u64 flushes;   /* owed and done */
	u64 midway;    /* demanded in the middle of an operation */
	u64 on_demand; /* faults that were answered by mapping */
	u64 controls;  /* damage that was noticed, as it should be */
	u64 stale;     /* flushes left out on purpose that were missed */
};

struct hw_test {
	struct hw_machine *machine;
	const struct format *format;
	struct kvm_pgtable pgt;
	struct kvm_pgtable_ops ops;
	struct table_arena arena;
	void *retired;
	u64 random;
	u64 scale;

	struct hw_reserved reserved[HW_RESERVED_MAX];
	unsigned int nr_reserved;
	struct hw_cluster clusters[HW_CLUSTERS];
	struct hw_point points[HW_POINTS];

	struct hw_counts n;
	u64 failures;
	bool expect_damage; /* a negative control: failures are not reported */
	const char *doing;  /* for reports */
};

/* What the columns of hw_test_format() are. */
void hw_print_heading(const struct hw_machine *machine);
/* All of the below on one format and geometry; prints a line; returns the number of failures. */
u64 hw_test_format(struct hw_machine *machine, const struct format *format,
		   const struct hw_params *params);

/* ---- parts, for tests of an architecture's own ---- */

static inline u64 hw_below(struct hw_test *t, u64 bound)
{
	return test_below(&t->random, bound);
}

/* A table of @format with what the machine reserves, loaded.  Fails by kvmu_bug(). */
void hw_table_setup(struct hw_test *t);
void hw_table_teardown(struct hw_test *t);

/* Note a failure: a line with the point and what was seen. */
__attribute__((format(printf, 3, 4))) void hw_fail(struct hw_test *t, const struct hw_point *p,
						   const char *format, ...);
/* Do the flush that an operation owes and free what it retired. */
void hw_settle(struct hw_test *t, struct kvm_pgtable_flush *flush);

/* Is what the guest sees at @p what the model says?  False: no, and it has been counted. */
bool hw_check(struct hw_test *t, const struct hw_point *p, enum hw_op op);
/* The same by the MMU alone; @level is that of the entry the walk ends at. */
bool hw_check_mmu(struct hw_test *t, const struct hw_point *p, enum hw_op op, unsigned int level);
bool hw_check_all_ops(struct hw_test *t, const struct hw_point *p);
/* An access with the page's mark of access set on the way where the MMU asks for it. */
void hw_access(struct hw_test *t, struct hw_access *access);
bool hw_overlaps_reserved(const struct hw_test *t, u64 start, u64 size);
/* A multiple of @bytes below @bound, which is more than that. */
static inline u64 hw_aligned_below(struct hw_test *t, u64 bytes, u64 bound)
{
	return bytes * hw_below(t, bound / bytes);
}
/* A place for @bytes of guest memory, aligned to them, that is not reserved.  False: there is none.
 */
bool hw_place(struct hw_test *t, u64 bytes, u64 *gpa);
/*
 * Map @bytes from @p on as it says, with @marks (ACCESSED) besides, exclusive.
 * The memory is unmapped before, so that nothing is owed.
 */
bool hw_map(struct hw_test *t, const struct hw_point *p, u64 bytes, unsigned int max_level,
	    u32 marks);
void hw_unmap(struct hw_test *t, u64 gpa, u64 bytes);

/* The parts of hw_test_format(). */
void hw_test_leaves(struct hw_test *t);	   /* each size, permission and type */
void hw_test_random(struct hw_test *t);	   /* operations at random against the model */
void hw_test_on_demand(struct hw_test *t); /* faults answered by mapping */
void hw_test_marks(struct hw_test *t);	   /* accessed and dirty */
void hw_test_controls(struct hw_test *t);  /* damage must be noticed */

#endif
