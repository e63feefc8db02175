/* SPDX-License-Identifier: BSD-2-Clause */
/* A printf of the few conversions the images need. */
#include "tests/hw/common/image.h"

struct conversion {
	char kind;
	char pad;
	bool wide;
	unsigned int width;
};

static const char *parse(const char *at, struct conversion *c)
{
	*c = (struct conversion){.pad = ' '};
	if (*at == '0')
		c->pad = *at++;
	while (*at >= '0' && *at <= '9')
		c->width = c->width * 10 + (unsigned int)(*at++ - '0');
	for (; *at == 'l'; at++)
		c->wide = true;
	c->kind = *at;
	return *at ? at + 1 : at;
}

static void pad(const struct conversion *c, unsigned int length)
{
	for (; length < c->width; length++)
		hw_putchar(c->pad);
}

static void print_number(const struct conversion *c, u64 value, bool negative)
{
	const unsigned int base = c->kind == 'x' ? 16 : 10;
	char digits[24];
	unsigned int length = 0;

	do {
		digits[length++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (negative)
		digits[length++] = '-';
	pad(c, length);
	while (length)
		hw_putchar(digits[--length]);
}

static void print_string(const struct conversion *c, const char *string)
{
	unsigned int length = 0;

	while (string[length])
		length++;
	pad(c, length);
	while (*string)
		hw_putchar(*string++);
}

static void print_signed(const struct conversion *c, s64 value)
{
	print_number(c, value < 0 ? -(u64)value : (u64)value, value < 0);
}

void hw_vprintf(const char *format, va_list args)
{
	struct conversion c;

	while (*format) {
		if (*format != '%') {
			hw_putchar(*format++);
			continue;
		}
		format = parse(format + 1, &c);
		if (c.kind == 's')
			print_string(&c, va_arg(args, const char *));
		else if (c.kind == 'd')
			print_signed(&c, c.wide ? va_arg(args, long) : va_arg(args, int));
		else if (c.kind == 'u' || c.kind == 'x')
			print_number(&c,
				     c.wide ? va_arg(args, unsigned long)
					    : va_arg(args, unsigned int),
				     false);
		else
			hw_putchar(c.kind == 'c' ? (char)va_arg(args, int) : c.kind);
	}
}

void hw_printf(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	hw_vprintf(format, args);
	va_end(args);
}
