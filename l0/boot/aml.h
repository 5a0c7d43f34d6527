/*
 * aml.h - writes ACPI machine language: names, packages, devices, resource templates
 *
 * A cursor over the caller's buffer. Writing past the end sets @overflow and writes nothing, so the
 * caller checks once. Packages are written body first: aml_open() leaves room for a two-byte length
 * that aml_close() fills in. Used by firmware.c only.
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
/* Name (_CRS, …) of up to one I/O range and one ISA interrupt; irq ~0: none, @bytes 0: no range. */
void aml_crs(struct aml *a, u16 port, u8 bytes, u32 irq);

#endif
