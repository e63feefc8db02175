/* SPDX-License-Identifier: BSD-2-Clause */
/* Every format and geometry that the tests of operations run on. */
#include "tests/pgtable/harness.h"

#include <string.h>

#include "pgtable/instance/arm64_hyp.h"
#include "pgtable/instance/arm64_s2_16k.h"
#include "pgtable/instance/arm64_s2_4k.h"
#include "pgtable/instance/arm64_s2_64k.h"
#include "pgtable/instance/ept.h"
#include "pgtable/instance/npt.h"
#include "pgtable/instance/riscv_g.h"
#include "pgtable/instance/tiny.h"
#include "tests/pgtable/tiny_bbm.h"

#define X86(prefix, label, bits, depth, ad, ...)                      \
	{                                                             \
		.name = label, .op = FORMAT_OPS(prefix),              \
		.config = {.input_bits = (bits),                      \
			   .levels = (depth),                         \
			   .accessed_dirty = (ad),                    \
			   __VA_ARGS__},                              \
		.page_lg2 = 12, .table_bits = 9, .leaf_level_max = 3, \
	}

/* Two software bits; memory types and hardware marks where asked for. */
#define RISCV(label, bits, ad, pbmt)                                                        \
	{                                                                                   \
		.name = label, .op = FORMAT_OPS(riscv_g),                                   \
		.config = {.input_bits = (bits), .accessed_dirty = (ad), .svpbmt = (pbmt)}, \
		.page_lg2 = 12, .table_bits = 9,                                            \
		.leaf_level_max = (bits) > 50	? 5                                         \
				  : (bits) > 41 ? 4                                         \
						: 3,                                        \
		.lacks = KVM_PGTABLE_PROT_SW2 | KVM_PGTABLE_PROT_SW3 |                      \
			 ((pbmt) ? 0 : KVM_PGTABLE_PROT_DEVICE),                            \
		.keeps_refusals = true, .breaks = true,                                     \
	}

/* Three software bits. */
#define ARM64(prefix, label, bits, granule, largest, ad)                                       \
	{                                                                                      \
		.name = label, .op = FORMAT_OPS(prefix),                                       \
		.config = {.input_bits = (bits),                                               \
			   .granule_lg2 = (granule),                                           \
			   .accessed_dirty = (ad)},                                            \
		.page_lg2 = (granule), .table_bits = (granule)-3, .leaf_level_max = (largest), \
		.lacks = KVM_PGTABLE_PROT_SW3, .keeps_refusals = true, .breaks = true,         \
	}

const struct format formats[] = {
	{.name = "tiny",
	 .op = FORMAT_OPS(tiny),
	 .config = {.input_bits = 18},
	 .page_lg2 = 12,
	 .table_bits = 2,
	 .leaf_level_max = 3},
	{.name = "tiny-4",
	 .op = FORMAT_OPS(tiny),
	 .config = {.input_bits = 20, .accessed_dirty = true},
	 .page_lg2 = 12,
	 .table_bits = 2,
	 .leaf_level_max = 3},
	{.name = "tiny-bbm",
	 .op = FORMAT_OPS(tiny_bbm),
	 .config = {.input_bits = 18},
	 .page_lg2 = 12,
	 .table_bits = 2,
	 .leaf_level_max = 3,
	 .breaks = true},
	X86(ept, "ept-4", 48, 4, false),
	X86(ept, "ept-4-ad", 48, 0, true),
	X86(ept, "ept-5", 57, 5, false),
	X86(ept, "ept-5-ad", 52, 0, true),
	X86(npt, "npt-4", 48, 0, true),
	X86(npt, "npt-5", 57, 5, true),
	X86(npt, "x86_64-4-supervisor", 47, 4, true, .supervisor = true),
	ARM64(arm64_s2_4k, "arm64-s2-4k-40", 40, 12, 3, false),
	ARM64(arm64_s2_4k, "arm64-s2-4k-44", 44, 12, 3, false),
	ARM64(arm64_s2_4k, "arm64-s2-4k-48-ad", 48, 12, 3, true),
	ARM64(arm64_s2_16k, "arm64-s2-16k-42", 42, 14, 2, false),
	ARM64(arm64_s2_16k, "arm64-s2-16k-48-ad", 48, 14, 2, true),
	ARM64(arm64_s2_64k, "arm64-s2-64k-42-ad", 42, 16, 2, true),
	ARM64(arm64_s2_64k, "arm64-s2-64k-52", 52, 16, 2, false),
	ARM64(arm64_hyp, "arm64-hyp-48", 48, 12, 3, false),
	ARM64(arm64_hyp, "arm64-hyp-39-ad", 39, 12, 3, true),
	RISCV("riscv-sv39x4", 41, false, true),
	RISCV("riscv-sv39x4-plain", 38, false, false),
	RISCV("riscv-sv48x4", 50, false, true),
	RISCV("riscv-sv48x4-ad", 48, true, true),
	RISCV("riscv-sv57x4", 59, true, false),
};

const unsigned int nr_formats = ARRAY_SIZE(formats);

const struct format *format_named(const char *name)
{
	for (unsigned int i = 0; i < nr_formats; i++) {
		if (!strcmp(formats[i].name, name))
			return &formats[i];
	}
	return NULL;
}
