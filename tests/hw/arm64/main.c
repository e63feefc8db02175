/* SPDX-License-Identifier: BSD-2-Clause */
/* The arm64 image: every granule and input size of stage 2 that the processor has. */
#include "base/assert.h"
#include "el2/platform.h"
#include "el2/stage2.h"
#include "el2/sysreg.h"
#include "el2/vcpu.h"
#include "pgtable/instance/arm64_hyp.h"
#include "pgtable/instance/arm64_s2_16k.h"
#include "pgtable/instance/arm64_s2_4k.h"
#include "pgtable/instance/arm64_s2_64k.h"
#include "tests/hw/arm64/machine.h"

void el2_main(void);

void hw_putchar(char c)
{
	el2_putchar(c);
}

_Noreturn void hw_exit(bool pass)
{
	el2_exit(pass ? 0 : 1);
}

u64 hw_time_us(void)
{
	return el2_time_us();
}

_Noreturn void el2_unexpected(u64 esr, u64 elr, u64 far)
{
	hw_printf("unexpected exception at EL2: ESR 0x%lx, ELR 0x%lx, FAR 0x%lx\n", esr, elr, far);
	hw_finish(1);
}

/* ---- what is tested ------------------------------------------------------------------ */

/* Depth 0 is the least, with as many tables side by side for a root as that takes. */
#define FORMAT(prefix, granule, leaf, bits, depth, ad, label)                               \
	{                                                                                   \
		.name = label, .op = FORMAT_OPS(prefix),                                    \
		.config = {.input_bits = (bits),                                            \
			   .levels = (depth),                                               \
			   .granule_lg2 = (granule),                                        \
			   .accessed_dirty = (ad)},                                         \
		.page_lg2 = (granule), .table_bits = (granule)-3, .leaf_level_max = (leaf), \
		.lacks = KVM_PGTABLE_PROT_SW3, .keeps_refusals = true, .breaks = true,      \
	}
#define S2_4K(...)  FORMAT(arm64_s2_4k, 12, 3, __VA_ARGS__)
#define S2_16K(...) FORMAT(arm64_s2_16k, 14, 2, __VA_ARGS__)
#define S2_64K(...) FORMAT(arm64_s2_64k, 16, 2, __VA_ARGS__)

static const struct format stage2_formats[] = {
	S2_4K(32, 0, false, "4K 32, root of 4"),
	S2_4K(40, 0, false, "4K 40, root of 2"),
	S2_4K(40, 4, true, "4K 40, 4 levels, A/D"),
	S2_4K(42, 0, true, "4K 42, root of 8, A/D"),
	S2_4K(44, 0, false, "4K 44"),
	S2_4K(48, 0, true, "4K 48, A/D"),
	S2_16K(40, 0, false, "16K 40, root of 16"),
	S2_16K(42, 0, true, "16K 42, A/D"),
	S2_16K(44, 0, false, "16K 44"),
	S2_16K(48, 0, true, "16K 48, root of 2, A/D"),
	S2_64K(40, 0, false, "64K 40"),
	S2_64K(42, 0, true, "64K 42, A/D"),
	S2_64K(44, 0, false, "64K 44, root of 4"),
	S2_64K(48, 0, true, "64K 48, A/D"),
	S2_64K(52, 0, false, "64K 52"),
};

static const struct format hyp_formats[] = {
	FORMAT(arm64_hyp, 12, 3, 39, 0, false, "4K 39"),
	FORMAT(arm64_hyp, 12, 3, 48, 0, true, "4K 48, A/D"),
};

/* ---- the tests --------------------------------------------------------------------------- */

static bool processor_has(const struct format *format)
{
	return el2_stage2_has_granule(format->page_lg2) &&
	       (format->config.input_bits <= 48 || el2_pa_range() >= PA_RANGE_52) &&
	       (!format->config.accessed_dirty || el2_has_hardware_marks());
}

static u64 test_stage2(struct hw_machine *machine, const struct kvm_pgtable *own,
		       const struct hw_params *params)
{
	u64 failures = 0;

	hw_print_heading(machine);
	for (unsigned int i = 0; i < ARRAY_SIZE(stage2_formats); i++) {
		const struct format *format = &stage2_formats[i];

		if (!processor_has(format)) {
			hw_printf("%26s  not on this processor\n", format->name);
			continue;
		}
		machine->hpa_bits = format->config.input_bits > 48 ? 52 : 48;
		failures += hw_test_format(machine, format, params);
	}
	failures += stage2_test_two_stages(machine, &stage2_formats[1], params);
	failures += stage2_test_two_cpus(machine, &stage2_formats[1], own, params);
	if (processor_has(&stage2_formats[2]))
		failures += stage2_test_two_cpus(machine, &stage2_formats[2], own, params);
	return failures;
}

void el2_main(void)
{
	const struct hw_params params = hw_params_at(PARAMS_ADDRESS);
	struct hw_machine stage2, hyp;
	const struct kvm_pgtable *own;
	struct chunk_heap heap;
	u64 failures;

	hw_printf("arm64 at EL2: MMFR0 0x%lx, MMFR1 0x%lx; seed 0x%lx, %lu%%\n",
		  sysreg_read(id_aa64mmfr0_el1), sysreg_read(id_aa64mmfr1_el1), params.seed,
		  params.scale);
	chunk_heap_init(&heap, ptr_to_hva(image_end), BACKING_START);
	stage2_machine(&stage2, &heap);
	hyp_machine(&hyp, &heap);

	own = hyp_own_begin(&hyp, &hyp_formats[0]);
	hyp_own_test();
	failures = test_stage2(&stage2, own, &params);
	failures += hyp_own_end();

	hw_print_heading(&hyp);
	for (unsigned int i = 0; i < ARRAY_SIZE(hyp_formats); i++)
		failures += hw_test_format(&hyp, &hyp_formats[i], &params);
	hw_finish(failures);
}
