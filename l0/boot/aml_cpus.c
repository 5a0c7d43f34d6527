/*
 * aml_cpus.c - see aml_cpus.h
 *
 * In ASL, for processor n (its name is Cnn, hexadecimal):
 *
 *	Scope (\_SB) { Device (CPUS) {
 *	    Name (_HID, "ACPI0010")
 *	    OperationRegion (PRST, SystemIO, PORT_CPU_HOTPLUG, 12)
 *	    Field (PRST, ByteAcc, NoLock, WriteAsZeros) {
 *	        Offset (4), CPEN, 1, CINS, 1, CRMV, 1, CEJ0, 1, , 4, CCMD, 8 }
 *	    Field (PRST, DWordAcc, NoLock, Preserve) { CSEL, 32, , 32, CDAT, 32 }
 *	    Mutex (CPLK, 0)
 *	    Method (CSTA, 1, Serialized) {	// _STA of processor Arg0
 *	        Acquire (CPLK, 0xffff)  CSEL = Arg0  Local0 = 0
 *	        If (CPEN == 1) { Local0 = 0xf }
 *	        Release (CPLK)  Return (Local0) }
 *	    Method (CEJT, 1, Serialized) { Acquire (CPLK, 0xffff)  CSEL = Arg0  CEJ0 = 1  Release
 *	    (CPLK) }
 *	    Method (COST, 3, Serialized) {	// _OST of processor Arg0: event, status
 *	        Acquire (CPLK, 0xffff)  CSEL = Arg0  CCMD = 1  CDAT = Arg1  CCMD = 2  CDAT = Arg2
 *	        Release (CPLK) }
 *	    Method (CTFY, 2) { If (Arg0 == n) { Notify (Cnn, Arg1) } ... }
 *	    Method (CSCN, 0, Serialized) {
 *	        Acquire (CPLK, 0xffff)  CSEL = 0  Local0 = 1
 *	        While (Local0 == 1) {
 *	            Local0 = 0  CCMD = 0
 *	            If (CINS == 1) { CTFY (CDAT, 1)  CINS = 1  Local0 = 1 }
 *	            If (CRMV == 1) { CTFY (CDAT, 3)  CRMV = 1  Local0 = 1 } }
 *	        Release (CPLK) }
 *	    Device (Cnn) { Name (_HID, "ACPI0007")  Name (_UID, n)
 *	        Method (_STA) { Return (CSTA (n)) }  Name (_MAT, Buffer () { its entry of the MADT
 *	        })
 *	        Method (_EJ0, 1) { CEJT (n) }  Method (_OST, 3) { COST (n, Arg0, Arg1) } } } }
 *	Scope (\_GPE) { Method (_E02) { \_SB.CPUS.CSCN () } }
 */
#include "l0/boot/aml_cpus.h"

#include <stdio.h>

#include "l0/arch/ports.h"

#define OP_STRING 0x0d
#define OP_SCOPE "\x10"
#define OP_METHOD "\x14"
#define OP_DEVICE "\x5b\x82"
#define OP_FIELD "\x5b\x81"
#define OP_IF "\xa0"
#define OP_WHILE "\xa2"
#define OP_STORE 0x70
#define OP_LOCAL0 0x60
#define OP_ARG0 0x68
#define OP_NOTIFY 0x86
#define OP_EQUAL 0x93
#define OP_RETURN 0xa4
#define SERIALIZED 0x08
#define REGION_IO 1

#define FIELD_BYTE_ZEROS 0x41 /* access by bytes, other bits are written as zeros */
#define FIELD_DWORD 0x03

/* Notifications */
#define NOTIFY_CHECK 1
#define NOTIFY_EJECT 3

static void put_text(struct aml *a, const char *name, const char *text)
{
	aml_name(a, name);
	aml_byte(a, OP_STRING);
	aml_string(a, text);
	aml_byte(a, 0);
}

static u32 open_method(struct aml *a, const char *name, u8 args)
{
	u32 at = aml_open(a, OP_METHOD);

	aml_string(a, name);
	aml_byte(a, args);
	return at;
}

static void acquire(struct aml *a)
{
	aml_bytes(a,
		  "\x5b\x23"
		  "CPLK\xff\xff",
		  8);
}

static void release(struct aml *a)
{
	aml_bytes(a,
		  "\x5b\x27"
		  "CPLK",
		  6);
}

/* Store what the opcode @op (Arg, Zero, One, …) stands for. */
static void store_op(struct aml *a, u8 op, const char *field)
{
	aml_byte(a, OP_STORE);
	aml_byte(a, op);
	aml_string(a, field);
}

static void store(struct aml *a, u64 value, const char *field)
{
	aml_byte(a, OP_STORE);
	aml_integer(a, value);
	aml_string(a, field);
}

static void set_local0(struct aml *a, u64 value)
{
	aml_byte(a, OP_STORE);
	aml_integer(a, value);
	aml_byte(a, OP_LOCAL0);
}

/* If (@field == 1) { … */
static u32 open_if_set(struct aml *a, const char *field)
{
	u32 at = aml_open(a, OP_IF);

	aml_byte(a, OP_EQUAL);
	aml_string(a, field);
	aml_integer(a, 1);
	return at;
}

static void put_unit(struct aml *a, const char *name, u8 bits)
{
	aml_string(a, name);
	aml_byte(a, bits);
}

static void put_fields(struct aml *a)
{
	aml_bytes(a, "\x5b\x80PRST", 6);
	aml_byte(a, REGION_IO);
	aml_integer(a, PORT_CPU_HOTPLUG);
	aml_integer(a, CPU_HOTPLUG_BYTES);
	u32 at = aml_open(a, OP_FIELD);

	aml_string(a, "PRST");
	aml_byte(a, FIELD_BYTE_ZEROS);
	aml_bytes(a, (const u8[]){0, 8 * CPU_HOTPLUG_FLAGS}, 2); /* so many bits on */
	put_unit(a, "CPEN", 1);
	put_unit(a, "CINS", 1);
	put_unit(a, "CRMV", 1);
	put_unit(a, "CEJ0", 1);
	aml_bytes(a, (const u8[]){0, 4}, 2);
	put_unit(a, "CCMD", 8);
	aml_close(a, at);
	at = aml_open(a, OP_FIELD);
	aml_string(a, "PRST");
	aml_byte(a, FIELD_DWORD);
	put_unit(a, "CSEL", 32);
	aml_bytes(a, (const u8[]){0, 32}, 2);
	put_unit(a, "CDAT", 32);
	aml_close(a, at);
	aml_bytes(a,
		  "\x5b\x01"
		  "CPLK\0",
		  7);
}

static void put_status(struct aml *a)
{
	u32 at = open_method(a, "CSTA", 1 | SERIALIZED), cond;

	acquire(a);
	store_op(a, OP_ARG0, "CSEL");
	set_local0(a, 0);
	cond = open_if_set(a, "CPEN");
	set_local0(a, 0xf);
	aml_close(a, cond);
	release(a);
	aml_byte(a, OP_RETURN);
	aml_byte(a, OP_LOCAL0);
	aml_close(a, at);
}

static void put_eject_and_ost(struct aml *a)
{
	u32 at = open_method(a, "CEJT", 1 | SERIALIZED);

	acquire(a);
	store_op(a, OP_ARG0, "CSEL");
	store(a, 1, "CEJ0");
	release(a);
	aml_close(a, at);
	at = open_method(a, "COST", 3 | SERIALIZED);
	acquire(a);
	store_op(a, OP_ARG0, "CSEL");
	store(a, 1, "CCMD");
	store_op(a, OP_ARG0 + 1, "CDAT");
	store(a, 2, "CCMD");
	store_op(a, OP_ARG0 + 2, "CDAT");
	release(a);
	aml_close(a, at);
}

/* If what @field says is pending, tell the device. */
static void put_event(struct aml *a, const char *field, u8 notification)
{
	u32 at = open_if_set(a, field);

	aml_string(a, "CTFYCDAT");
	aml_integer(a, notification);
	store(a, 1, field);
	set_local0(a, 1);
	aml_close(a, at);
}

static void put_scan(struct aml *a)
{
	u32 at = open_method(a, "CSCN", SERIALIZED), loop;

	acquire(a);
	store(a, 0, "CSEL");
	set_local0(a, 1);
	loop = aml_open(a, OP_WHILE);
	aml_bytes(a, (const u8[]){OP_EQUAL, OP_LOCAL0}, 2);
	aml_integer(a, 1);
	set_local0(a, 0);
	store(a, 0, "CCMD");
	put_event(a, "CINS", NOTIFY_CHECK);
	put_event(a, "CRMV", NOTIFY_EJECT);
	aml_close(a, loop);
	release(a);
	aml_close(a, at);
}

static const char *device_name(u32 i, char name[5])
{
	snprintf(name, 5, "C%03X", i & 0xfff);
	return name;
}

static void put_notify(struct aml *a, u32 n)
{
	u32 at = open_method(a, "CTFY", 2);
	char name[5];

	for (u32 i = 0; i < n; i++) {
		u32 cond = aml_open(a, OP_IF);

		aml_bytes(a, (const u8[]){OP_EQUAL, OP_ARG0}, 2);
		aml_integer(a, i);
		aml_byte(a, OP_NOTIFY);
		aml_string(a, device_name(i, name));
		aml_byte(a, OP_ARG0 + 1);
		aml_close(a, cond);
	}
	aml_close(a, at);
}

static void put_processor(struct aml *a, u32 i)
{
	const u8 madt[] = {0, 8, (u8)i, (u8)i, 1, 0, 0, 0};
	u32 at = aml_open(a, OP_DEVICE), method;
	char name[5];

	aml_string(a, device_name(i, name));
	put_text(a, "_HID", "ACPI0007");
	aml_name(a, "_UID");
	aml_integer(a, i);
	aml_name_buffer(a, "_MAT", madt, sizeof(madt));
	method = open_method(a, "_STA", 0);
	aml_byte(a, OP_RETURN);
	aml_string(a, "CSTA");
	aml_integer(a, i);
	aml_close(a, method);
	if (i) {
		method = open_method(a, "_EJ0", 1);
		aml_string(a, "CEJT");
		aml_integer(a, i);
		aml_close(a, method);
	}
	method = open_method(a, "_OST", 3);
	aml_string(a, "COST");
	aml_integer(a, i);
	aml_bytes(a, (const u8[]){OP_ARG0, OP_ARG0 + 1}, 2);
	aml_close(a, method);
	aml_close(a, at);
}

void aml_cpus(struct aml *a, u32 n)
{
	u32 scope = aml_open(a, OP_SCOPE);

	aml_string(a, "\\_SB_");
	u32 device = aml_open(a, OP_DEVICE);

	aml_string(a, "CPUS");
	put_text(a, "_HID", "ACPI0010");
	put_fields(a);
	put_status(a);
	put_eject_and_ost(a);
	put_notify(a, n);
	put_scan(a);
	for (u32 i = 0; i < n; i++)
		put_processor(a, i);
	aml_close(a, device);
	aml_close(a, scope);
	scope = aml_open(a, OP_SCOPE);
	aml_string(a, "\\_GPE");
	u32 method = open_method(a, "_E02", 0);

	aml_string(a, "\\\x2f\x03_SB_CPUSCSCN");
	aml_close(a, method);
	aml_close(a, scope);
}
