/* aml.c - see aml.h */
#include "l0/boot/aml.h"

#include <string.h>

#define OP_ZERO 0x00
#define OP_ONE 0x01
#define OP_NAME 0x08
#define OP_BYTE 0x0a
#define OP_WORD 0x0b
#define OP_DWORD 0x0c
#define OP_QWORD 0x0e
#define OP_BUFFER "\x11"

#define RES_IRQ 0x22
#define RES_IO 0x47
#define RES_END 0x79

void aml_bytes(struct aml *a, const void *bytes, u32 n)
{
	if (n > a->room - a->used) {
		a->overflow = true;
		return;
	}
	memcpy(a->buf + a->used, bytes, n);
	a->used += n;
}

void aml_byte(struct aml *a, u8 byte)
{
	aml_bytes(a, &byte, 1);
}

void aml_integer(struct aml *a, u64 v)
{
	if (v <= 1) {
		aml_byte(a, v ? OP_ONE : OP_ZERO);
	} else if (v <= 0xff) {
		aml_byte(a, OP_BYTE);
		aml_bytes(a, &v, 1);
	} else if (v <= 0xffff) {
		aml_byte(a, OP_WORD);
		aml_bytes(a, &v, 2);
	} else if (v <= 0xffffffff) {
		aml_byte(a, OP_DWORD);
		aml_bytes(a, &v, 4);
	} else {
		aml_byte(a, OP_QWORD);
		aml_bytes(a, &v, 8);
	}
}

void aml_string(struct aml *a, const char *s)
{
	aml_bytes(a, s, (u32)strlen(s));
}

void aml_name(struct aml *a, const char *name)
{
	aml_byte(a, OP_NAME);
	aml_string(a, name);
}

u32 aml_open(struct aml *a, const char *op)
{
	aml_string(a, op);
	u32 at = a->used;

	aml_bytes(a, "\0\0\0", 3);
	return at;
}

void aml_close(struct aml *a, u32 at)
{
	u32 n = a->used - at;

	if (a->overflow)
		return;
	/* the three-byte form: 4 bits in the lead byte, 8 in each of the next */
	a->buf[at] = (u8)(0x80 | (n & 15));
	a->buf[at + 1] = (u8)(n >> 4);
	a->buf[at + 2] = (u8)(n >> 12);
	if (n >> 20)
		a->overflow = true;
}

static u32 hex_digit(char c)
{
	return c <= '9' ? (u32)(c - '0') : (u32)(c - 'A') + 10;
}

/* "PNP0501": three letters in five bits each, four hexadecimal digits, big-endian. */
void aml_hid(struct aml *a, const char *eisa)
{
	u32 letters = (u32)(eisa[0] - '@') << 10 | (u32)(eisa[1] - '@') << 5 | (u32)(eisa[2] - '@');
	u32 number = hex_digit(eisa[3]) << 12 | hex_digit(eisa[4]) << 8 | hex_digit(eisa[5]) << 4 |
		     hex_digit(eisa[6]);

	aml_name(a, "_HID");
	aml_integer(a, __builtin_bswap32(letters << 16 | number));
}

void aml_name_buffer(struct aml *a, const char *name, const void *bytes, u32 n)
{
	aml_name(a, name);
	u32 at = aml_open(a, OP_BUFFER);

	aml_integer(a, n);
	aml_bytes(a, bytes, n);
	aml_close(a, at);
}

void aml_crs(struct aml *a, const struct aml_io io[2], u32 irq)
{
	u8 res[2 * 8 + 3 + 2];
	u32 n = 0;

	for (u32 i = 0; i < 2 && io[i].bytes; i++) {
		u8 lo = (u8)io[i].port, hi = (u8)(io[i].port >> 8);
		const u8 range[] = {RES_IO, 1, lo, hi, lo, hi, 1, io[i].bytes};

		memcpy(res + n, range, sizeof(range));
		n += sizeof(range);
	}
	if (irq != ~0u) {
		const u16 mask = (u16)(1u << irq);

		res[n++] = RES_IRQ;
		res[n++] = (u8)mask;
		res[n++] = (u8)(mask >> 8);
	}
	res[n++] = RES_END;
	res[n++] = 0; /* no checksum */
	aml_name_buffer(a, "_CRS", res, n);
}
