/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decoder: the first two bytes choose a mode and where in its block the
 * instruction begins, the rest is code.  It ends at a page without access, so
 * that a byte too many is a finding; and
 *  - fewer bytes than an instruction has are never enough, more change nothing;
 *  - the length is that of an instruction, at most 15 bytes (SDM vol. 2, 2.3.11);
 *  - what is selected names registers and segments that exist.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fuzz/input.h"
#include "vcpu/x86/core.h"
#include "vcpu/x86/op.h"

#define PAGE	  4096
#define MAX_CODE  32u
#define MAX_BYTES 15u

#define EXPECT(what)                                                                    \
	do {                                                                            \
		if (!(what)) {                                                          \
			fprintf(stderr, "FAILED: decoder.c:%d: %s\n", __LINE__, #what); \
			abort();                                                        \
		}                                                                       \
	} while (0)

/* Nobody runs here. */
bool x86_cpu_host_pending(struct x86_cpu *cpu)
{
	(void)cpu;
	return true;
}

static const u32 modes[] = {
	0, X86_MODE_PE, X86_MODE_PE | X86_MODE_CS32, X86_MODE_PE | X86_MODE_CS64, X86_MODE_CS32,
};

static u8 *page_before_nothing(void)
{
	u8 *two = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT(two != MAP_FAILED);
	EXPECT(mprotect(two + PAGE, PAGE, PROT_NONE) == 0);
	return two;
}

static bool is_register(u8 offset)
{
	return offset < X86_NR_REGS * 8;
}

static void check_op(const struct x86_op *op, unsigned int avail)
{
	EXPECT(op->fn != NULL);
	EXPECT(op->len >= 1 && op->len <= MAX_BYTES && op->len <= avail);
	EXPECT(is_register(op->base) && is_register(op->index) && op->scale <= 3);
	EXPECT(op->seg < X86_NR_SEGS || op->seg == X86_SEG_NONE);
}

static bool is_whole(enum x86_decode_result result)
{
	return result == X86_DECODE_OK || result == X86_DECODE_LAST;
}

/* With each number of bytes that there may be. */
static void decode_prefixes(u32 mode, unsigned int offset, u8 *page, const u8 *code,
			    unsigned int bytes)
{
	struct x86_op first = {0};
	enum x86_decode_result found = X86_DECODE_MORE;

	for (unsigned int avail = 1; avail <= bytes; avail++) {
		u8 *at = page + PAGE - avail;
		struct x86_op op;
		enum x86_decode_result result;

		memcpy(at, code, avail);
		result = x86_decode_one(mode, at, avail, offset, &op);
		if (found != X86_DECODE_MORE) {
			EXPECT(result == found);
			EXPECT(!is_whole(found) || !memcmp(&op, &first, sizeof(op)));
			continue;
		}
		EXPECT(result != X86_DECODE_MORE || avail < MAX_BYTES);
		if (is_whole(result))
			check_op(&op, avail);
		first = op;
		found = result;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u8 *page;
	struct fuzz_input input = {.bytes = data, .left = size};
	u32 mode = modes[fuzz_below(&input, ARRAY_SIZE(modes))];
	unsigned int offset = (unsigned int)fuzz_below(&input, 256) * 4;

	if (!page)
		page = page_before_nothing();
	decode_prefixes(mode, offset, page, input.bytes,
			(unsigned int)(input.left < MAX_CODE ? input.left : MAX_CODE));
	return 0;
}
