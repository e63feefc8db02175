/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoding through the interpreter's own decoder, so that it is under test as
 * well.  The families it knows that are not tested here are empty.
 */
#include <stdio.h>

#include "base/assert.h"
#include "tests/vcpu/diff/diff.h"
#include "vcpu/x86/core.h"

#define NO_FAMILY(name) \
	const struct x86_family_entry x86_family_##name[] = {{ZYDIS_MNEMONIC_INVALID, NULL}}

NO_FAMILY(branch);
NO_FAMILY(far);
NO_FAMILY(system);
NO_FAMILY(io);
NO_FAMILY(msr);
NO_FAMILY(x87);
NO_FAMILY(descriptor);

void kvmu_warn(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
}

bool diff_decode(const struct diff_case *c, u32 mode, struct x86_op *op)
{
	enum x86_decode_result r = x86_decode_one(mode, c->bytes, c->len, 0, op);

	return r == X86_DECODE_OK || r == X86_DECODE_LAST;
}
