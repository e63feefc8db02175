/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See x87_native.h.  The host's state is put aside with FNSAVE and the guest's
 * loaded with FRSTOR; no exception can be taken in between: the guest has none
 * pending before the instruction, and what it raises stays pending until FNSAVE.
 * That costs some hundred cycles and gives stack faults, NaN rules, condition
 * codes and unmasked responses exactly.
 */
#include <string.h>

#include "vcpu/x86/fpu_state.h"
#include "vcpu/x86/x87_native.h"

/* Valid, zero, special, empty as FNSTENV tells them. */
static u16 full_tag(const u8 st[16], bool used)
{
	u16 exponent;
	u64 mantissa;

	if (!used)
		return 3;
	memcpy(&mantissa, st, 8);
	memcpy(&exponent, st + 8, 2);
	exponent &= 0x7fff;
	if (!exponent && !mantissa)
		return 1;
	return !exponent || exponent == 0x7fff || !(mantissa >> 63) ? 2 : 0;
}

u16 x86_x87_full_tags(const struct x86_x87 *x87)
{
	unsigned int top = x86_x87_top(x87);
	u16 tags = 0;

	for (unsigned int i = 0; i < 8; i++)
		tags |= (u16)(full_tag(x87->st[(i - top) & 7], x87->ftw >> i & 1) << 2 * i);
	return tags;
}

u8 x86_x87_abridge_tags(u16 full)
{
	u8 tags = 0;

	for (unsigned int i = 0; i < 8; i++)
		tags |= (u8)(((full >> 2 * i & 3) != 3) << i);
	return tags;
}

static void put_word(u8 *to, u16 value)
{
	/* The upper halves are reserved and read as ones. */
	u32 wide = 0xffff0000u | value;

	memcpy(to, &wide, 4);
}

static u16 get_word(const u8 *from)
{
	u16 value;

	memcpy(&value, from, 2);
	return value;
}

void x86_x87_to_save_image(const struct x86_x87 *x87, u8 image[X87_SAVE_BYTES])
{
	memset(image, 0, X87_ENV_BYTES);
	put_word(image + X87_ENV_FCW, x87->fcw);
	/* No exception is pending: without ES and B, which memory may have given us. */
	put_word(image + X87_ENV_FSW, x87->fsw & 0x7f7f);
	put_word(image + X87_ENV_FTW, x86_x87_full_tags(x87));
	for (unsigned int i = 0; i < 8; i++)
		memcpy(image + X87_ENV_BYTES + 10 * i, x87->st[i], 10);
}

void x86_x87_from_save_image(struct x86_x87 *x87, const u8 image[X87_SAVE_BYTES])
{
	x87->fcw = get_word(image + X87_ENV_FCW);
	x87->fsw = get_word(image + X87_ENV_FSW);
	x87->ftw = x86_x87_abridge_tags(get_word(image + X87_ENV_FTW));
	for (unsigned int i = 0; i < 8; i++)
		memcpy(x87->st[i], image + X87_ENV_BYTES + 10 * i, 10);
}

#if X87_NATIVE

/*
 * Every x87 instruction once, four bytes apart, each with its return: register
 * forms by opcode and ModRM, then memory forms with the operand at [RDI].
 * No code is generated at run time.
 */
__asm__(".pushsection .text\n"
	".balign 16\n"
	"kvmu_x87_register_forms:\n"
	".set opcode, 0xd8\n"
	".rept 8\n"
	".set modrm, 0xc0\n"
	".rept 64\n"
	"	.byte opcode, modrm, 0xc3, 0x90\n"
	".set modrm, modrm + 1\n"
	".endr\n"
	".set opcode, opcode + 1\n"
	".endr\n"
	"kvmu_x87_memory_forms:\n"
	".set opcode, 0xd8\n"
	".rept 8\n"
	".set modrm, 0x07\n"
	".rept 8\n"
	"	.byte opcode, modrm, 0xc3, 0x90\n"
	".set modrm, modrm + 8\n"
	".endr\n"
	".set opcode, opcode + 1\n"
	".endr\n"
	/* (code, memory, guest image, host image, flags): RDI, RSI, RDX, RCX, R8 */
	"kvmu_x87_call:\n"
	"	fnsave	(%rcx)\n"
	"	frstor	(%rdx)\n"
	"	mov	%rdi, %rax\n"
	"	mov	%rsi, %rdi\n"
	"	pushq	(%r8)\n"
	"	popfq\n"
	"	call	*%rax\n"
	"	pushfq\n"
	"	popq	(%r8)\n"
	"	cld\n"
	"	fnsave	(%rdx)\n"
	"	frstor	(%rcx)\n"
	"	ret\n"
	".popsection\n");

extern const u8 kvmu_x87_register_forms[8][64][4], kvmu_x87_memory_forms[8][8][4];
void kvmu_x87_call(const u8 *code, void *memory, u8 *guest, u8 *host, u64 *flags);

#define FLAGS_ALWAYS 0x202u /* IF and the fixed bit: POPFQ in user mode keeps to these */

void x86_x87_execute(struct x86_x87 *x87, unsigned int opcode, unsigned int modrm, void *memory,
		     u64 *flags)
{
	u8 guest[X87_SAVE_BYTES], host[X87_SAVE_BYTES];
	const u8 *code = modrm >= 0xc0 ? kvmu_x87_register_forms[opcode][modrm - 0xc0]
				       : kvmu_x87_memory_forms[opcode][modrm >> 3 & 7];
	u64 word = (*flags & X86_EFLAGS_ARITH) | FLAGS_ALWAYS;

	x86_x87_to_save_image(x87, guest);
	kvmu_x87_call(code, memory, guest, host, &word);
	x86_x87_from_save_image(x87, guest);
	*flags = word & X86_EFLAGS_ARITH;
}

#endif
