/* SPDX-License-Identifier: BSD-2-Clause */
/* The image's own memory, mapped by the library: what it may not do to itself. */
#include "base/assert.h"
#include "el2/fault.h"
#include "el2/vcpu.h"
#include "tests/hw/arm64/machine.h"

struct attempt {
	const char *what;
	const void *at;
	void (*try)(u64 va, struct el2_attempt *attempt);
	enum el2_fault_kind expected;
};

static u64 data = 1;
static const u64 rodata = 1;

static bool as_expected(const struct attempt *a)
{
	struct el2_attempt result = {.value = 1};
	struct el2_fault fault = {.kind = EL2_FAULT_NONE};

	a->try(ptr_to_hva(a->at), &result);
	if (result.esr && !el2_decode_abort(result.esr, result.far, 0, &fault))
		return false;
	return fault.kind == a->expected && (!result.esr || fault.va == ptr_to_hva(a->at));
}

static struct hw_test own;

const struct kvm_pgtable *hyp_own_begin(struct hw_machine *machine, const struct format *format)
{
	own = (struct hw_test){
		.machine = machine, .format = format, .doing = "own memory", .random = 1};
	hw_table_setup(&own);
	return &own.pgt;
}

void hyp_own_test(void)
{
	const struct attempt attempts[] = {
		{"reading text", image_text_start, el2_try_read, EL2_FAULT_NONE},
		{"writing text", image_text_start, el2_try_write, EL2_FAULT_PERMISSION},
		{"reading constants", &rodata, el2_try_read, EL2_FAULT_NONE},
		{"writing constants", &rodata, el2_try_write, EL2_FAULT_PERMISSION},
		{"calling constants", &rodata, el2_try_call, EL2_FAULT_PERMISSION},
		{"writing data", &data, el2_try_write, EL2_FAULT_NONE},
		{"calling data", &data, el2_try_call, EL2_FAULT_PERMISSION},
		{"reading what is not mapped", NULL, el2_try_read, EL2_FAULT_TRANSLATION},
		{"calling what is not mapped", NULL, el2_try_call, EL2_FAULT_TRANSLATION},
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(attempts); i++) {
		if (!as_expected(&attempts[i]))
			hw_fail(&own, NULL, "%s was not judged as it should", attempts[i].what);
	}
	hw_printf("EL2 on tables of its own: %lu attempts judged\n", (u64)ARRAY_SIZE(attempts));
}

u64 hyp_own_end(void)
{
	hw_table_teardown(&own);
	return own.failures;
}
