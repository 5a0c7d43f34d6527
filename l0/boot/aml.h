/*
 * aml.h - writes ACPI machine language: names, packages, devices, resource templates
 *
 * A cursor over the caller's buffer. Writing past the end sets @overflow and writes nothing, so the
 * caller checks once. Packages are written body first: aml_open() leaves room for a three-byte
 * length that aml_close() fills in. Used by firmware.c and aml_cpus.c only.
 * Source: ACPI Specification 6.4, "ACPI Machine Language (AML) Specification".
 */
#ifndef L0_BOOT_AML_H
#define L0_BOOT_AML_H

#include "l0/base/types.h"

struct aml {
	u8 *buf;
	u32 used, room;
	bool overflow;
};

void aml_byte(struct aml *a, u8 byte);
void aml_bytes(struct aml *a, const void *bytes, u32 n);
/* An integer constant in its shortest form. */
void aml_integer(struct aml *a, u64 v);
/* NameOp and a name of four characters ("_S5_"), or \ and such a name; its value follows. */
void aml_name(struct aml *a, const char *name);
/* The opcode bytes @op, then a package length; Return: what aml_close() needs. */
u32 aml_open(struct aml *a, const char *op);
void aml_close(struct aml *a, u32 at);
/* A NameString as it stands. */
void aml_string(struct aml *a, const char *s);

/* Name (_HID, EISAID ("PNPxxxx")). */
void aml_hid(struct aml *a, const char *eisa);
/* Name (NAME, Buffer () {…}) of @n bytes. */
void aml_name_buffer(struct aml *a, const char *name, const void *bytes, u32 n);

/* An I/O range of an ISA device. */
struct aml_io {
	u16 port;
	u8 bytes; /* 0: no more ranges */
};
/* Name (_CRS, …) of up to two I/O ranges and an ISA interrupt (~0: none). */
void aml_crs(struct aml *a, const struct aml_io io[2], u32 irq);

#endif
