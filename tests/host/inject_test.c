/* SPDX-License-Identifier: BSD-2-Clause */
/* Plans of failures: what a specification means, which calls fail, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/errno.h"
#include "host/inject.h"
#include "mmu/mmu_host.h"

static void start(const char *spec)
{
	struct inject_plan plan = {0};
	char why[128] = "";

	if (inject_parse(&plan, spec, 0, why, sizeof(why)))
		fail_msg("%s: %s", spec, why);
	inject_start(&plan);
}

/* Which of the next 12 calls at @site fail, '.' or 'x'; all with @error. */
static void expect_calls(enum kvmu_site site, const char *pattern, int error)
{
	for (const char *p = pattern; *p; p++)
		assert_int_equal(kvmu_inject(site), *p == 'x' ? -error : 0);
}

static void when_it_fails(void **state)
{
	(void)state;
	start("memfd");
	expect_calls(SITE_memfd, "xxxx", ENOMEM);
	start("memfd:nth=3");
	expect_calls(SITE_memfd, "..x....", ENOMEM);
	start("memfd:from=3");
	expect_calls(SITE_memfd, "..xxxx", ENOMEM);
	start("memfd:every=3");
	expect_calls(SITE_memfd, "..x..x..x.", ENOMEM);
	start("report");
	expect_calls(SITE_memfd, "....", ENOMEM);
	inject_stop();
	expect_calls(SITE_memfd, "....", ENOMEM);
}

static void who_fails(void **state)
{
	(void)state;
	/* A rule counts the calls of all its sites. */
	start("memfd+gmem:nth=3");
	expect_calls(SITE_memfd, "..", ENOMEM);
	expect_calls(SITE_table_page, "....", ENOMEM);
	expect_calls(SITE_gmem, "x", ENOMEM);
	start("gmem_*");
	expect_calls(SITE_gmem, ".", ENOMEM);
	expect_calls(SITE_gmem_map, "x", ENOMEM);
	expect_calls(SITE_gmem_punch, "x", ENOMEM);
	start("all:nth=2");
	expect_calls(SITE_vm, ".", ENOMEM);
	expect_calls(SITE_faultin, "x", EFAULT);
	/* Two rules, each with a count of its own; the first that says so decides. */
	start("memfd:nth=2;memfd:errno=EMFILE,every=2");
	expect_calls(SITE_memfd, ".x", ENOMEM);
	expect_calls(SITE_memfd, ".x", EMFILE);
	inject_stop();
}

static void with_which_errno(void **state)
{
	(void)state;
	start("memfd:errno=EMFILE");
	expect_calls(SITE_memfd, "xx", EMFILE);
	/* Of all sites those that may fail so. */
	start("all:errno=EMFILE");
	expect_calls(SITE_vm, "..", ENOMEM);
	expect_calls(SITE_dup, "xx", EMFILE);
	inject_stop();
}

static u64 failures_of(const char *spec, u32 calls, char *pattern)
{
	start(spec);
	for (u32 i = 0; i < calls; i++)
		pattern[i] = (char)('.' + (kvmu_inject(SITE_memfd) ? 1 : 0));
	assert_int_equal(inject_times_reached(SITE_memfd), calls);
	inject_stop();
	return inject_times_failed(SITE_memfd);
}

static void chance_is_what_the_seed_says(void **state)
{
	static char one[20000], same[20000], other[20000];

	(void)state;
	assert_in_range(failures_of("memfd:prob=0.1,seed=7", 20000, one), 1800, 2200);
	failures_of("memfd:prob=0.1,seed=7", 20000, same);
	assert_memory_equal(one, same, sizeof(one));
	assert_in_range(failures_of("memfd:seed=8,prob=0.1", 20000, other), 1800, 2200);
	assert_memory_not_equal(one, other, sizeof(one));
	assert_int_equal(failures_of("memfd:prob=0", 1000, one), 0);
	assert_int_equal(failures_of("memfd:prob=1", 1000, one), 1000);
}

static void nonsense_is_refused(void **state)
{
	static const char *const specs[] = {
		"",
		"nowhere",
		"memfd+nowhere",
		"memfd:",
		"memfd:nth",
		"memfd:nth=",
		"memfd:nth=0",
		"memfd:nth=-1",
		"memfd:nth=1x",
		"memfd:every=0",
		"memfd:prob=1.5",
		"memfd:prob=-0.1",
		"memfd:prob=nan",
		"memfd:prob=x",
		"memfd:nth=1,from=2",
		"memfd:seed=4",
		"memfd:seed=4,nth=1",
		"memfd:errno=12",
		"memfd:errno=ENOSUCH",
		"table_page:errno=EIO",
		"memfd:nth=1;",
		"memfd:nth=99999999999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct inject_plan plan = {0};
		char why[128] = "";

		if (!inject_parse(&plan, specs[i], 0, why, sizeof(why)))
			fail_msg("'%s' was taken", specs[i]);
		assert_true(strlen(why) > 5);
	}
}

static void too_much_is_refused(void **state)
{
	struct inject_plan plan = {0};
	char why[128], spec[2000];

	(void)state;
	for (u32 i = 0; i < INJECT_RULES; i++)
		assert_int_equal(inject_parse(&plan, "memfd", 0, why, sizeof(why)), 0);
	assert_int_equal(inject_parse(&plan, "memfd", 0, why, sizeof(why)), -EINVAL);
	memset(spec, '+', sizeof(spec));
	spec[sizeof(spec) - 1] = '\0';
	plan.nr = 0;
	assert_int_equal(inject_parse(&plan, spec, 0, why, sizeof(why)), -EINVAL);
}

/* Each kind of wrapper: what has failed has not been done. */
static void the_host_is_not_asked(void **state)
{
	hva_t base = 0;
	void *chunk;

	(void)state;
	start("all");
	assert_null(mmu_host_alloc(SITE_vm, 100));
	assert_null(mmu_host_alloc_aligned(SITE_vm, 100, 64));
	assert_null(mmu_host_alloc_chunk(SITE_table_chunk, 1 << 21));
	assert_int_equal(mmu_host_gmem_map(1 << 21, &base), -ENOMEM);
	assert_int_equal(base, 0);
	inject_stop();
	/* Memory that munmap() does not take is given back all the same. */
	chunk = mmu_host_alloc_chunk(SITE_table_chunk, 1 << 21);
	assert_non_null(chunk);
	memset(chunk, 1, PAGE_SIZE);
	start("munmap");
	mmu_host_free_chunk(chunk, 1 << 21);
	inject_stop();
	assert_int_equal(*(char *)chunk, 0);
	mmu_host_free_chunk(chunk, 1 << 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(when_it_fails),
		cmocka_unit_test(who_fails),
		cmocka_unit_test(with_which_errno),
		cmocka_unit_test(chance_is_what_the_seed_says),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(the_host_is_not_asked),
	};

	return cmocka_run_group_tests_name("inject", tests, NULL, NULL);
}
