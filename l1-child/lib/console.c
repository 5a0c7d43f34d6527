#include "l1-child/lib/console.h"

#include <stdarg.h>

#include "l0/arch/ports.h"
#include "l1-child/lib/cpu.h"
#include "l1-child/lib/str.h"

void con_init(void)
{
	port_out8(PORT_COM1 + UART_IER, 0);
	port_out8(PORT_COM1 + UART_LCR, UART_LCR_DLAB);
	port_out8(PORT_COM1 + UART_DATA, 1); /* divisor 1: 115200 */
	port_out8(PORT_COM1 + UART_IER, 0);
	port_out8(PORT_COM1 + UART_LCR, UART_LCR_8N1);
	port_out8(PORT_COM1 + UART_FCR, 0x07); /* enable and clear both FIFOs */
	port_out8(PORT_COM1 + UART_MCR, 0x03); /* DTR, RTS */
}

static void put(char c)
{
	while (!(port_in8(PORT_COM1 + UART_LSR) & UART_LSR_THRE))
		cpu_pause();
	port_out8(PORT_COM1 + UART_DATA, (u8)c);
}

void con_write(const char *s, size_t n)
{
	while (n--)
		put(*s++);
}

struct spec {
	bool left, zero, is_long;
	int width;
};

static void put_field(const struct spec *sp, const char *s, size_t n)
{
	int fill = sp->width > (int)n ? sp->width - (int)n : 0;

	if (!sp->left)
		while (fill-- > 0)
			put(sp->zero ? '0' : ' ');
	con_write(s, n);
	if (sp->left)
		while (fill-- > 0)
			put(' ');
}

static void put_number(const struct spec *sp, u64 v, unsigned int base, bool negative)
{
	char buf[24];
	size_t at = sizeof(buf);

	do
		buf[--at] = "0123456789abcdef"[v % base];
	while ((v /= base));
	if (negative)
		buf[--at] = '-';
	put_field(sp, buf + at, sizeof(buf) - at);
}

static const char *parse_spec(const char *p, struct spec *sp)
{
	*sp = (struct spec){0};
	for (; *p == '-' || *p == '0'; p++) {
		if (*p == '-')
			sp->left = true;
		else
			sp->zero = true;
	}
	for (; *p >= '0' && *p <= '9'; p++)
		sp->width = sp->width * 10 + (*p - '0');
	for (; *p == 'l' || *p == 'z'; p++)
		sp->is_long = true;
	return p;
}

static void print_va(const char *p, va_list ap)
{
	struct spec sp;
	const char *s;
	s64 d;
	char c;

	for (; *p; p++) {
		if (*p != '%') {
			if (*p == '\n')
				put('\r');
			put(*p);
			continue;
		}
		p = parse_spec(p + 1, &sp);
		switch (*p) {
		case 'c':
			c = (char)va_arg(ap, int);
			put_field(&sp, &c, 1);
			break;
		case 's':
			s = va_arg(ap, const char *);
			put_field(&sp, s, strlen(s));
			break;
		case 'd':
			d = sp.is_long ? va_arg(ap, long) : va_arg(ap, int);
			put_number(&sp, d < 0 ? 0 - (u64)d : (u64)d, 10, d < 0);
			break;
		case 'u':
		case 'x':
			put_number(&sp,
				   sp.is_long ? va_arg(ap, unsigned long)
					      : va_arg(ap, unsigned int),
				   *p == 'u' ? 10 : 16, false);
			break;
		default: put(*p); break;
		}
	}
}

void con_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_va(fmt, ap);
	va_end(ap);
}

void con_exit(u8 code)
{
	port_out32(PORT_DEBUG_EXIT, code);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void con_die(const char *fmt, ...)
{
	va_list ap;

	con_printf("l1-child: error: ");
	va_start(ap, fmt);
	print_va(fmt, ap);
	va_end(ap);
	con_printf("\n");
	con_exit(1);
}
