/*
 * firmware.c - ACPI tables, MP table, BIOS data area; see firmware.h
 *
 * RSDP → XSDT → FADT (→ FACS, DSDT), MADT, HPET, MCFG, and an SSDT (aml_cpus.c) where processors
 * come and go. The DSDT holds what cannot be found otherwise: the S5 sleep type, the serial port,
 * the clock, the keyboard controller, the HPET.
 */
#include "l0/boot/firmware.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "l0/arch/ports.h"
#include "l0/boot/aml.h"
#include "l0/boot/aml_cpus.h"
#include "l0/boot/smbios.h"

#define TABLE_MAX 4096u
#define XSDT_ENTRIES 5u
#define SSDT_MAX 16384u

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem_id[6], oem_table_id[8];
	u32 oem_revision;
	char creator_id[4];
	u32 creator_revision;
} __packed;
BUILD_ASSERT_SIZE(struct acpi_header, 36);

struct acpi_gas {
	u8 space, bit_width, bit_offset, access;
	u64 address;
} __packed;
#define GAS_MEMORY 0
#define GAS_IO 1

struct acpi_fadt {
	struct acpi_header h;
	u32 facs, dsdt;
	u8 reserved, profile;
	u16 sci_int;
	u32 smi_cmd;
	u8 acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	u32 pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	u8 pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base,
		cst_cnt;
	u16 p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alarm, month_alarm, century;
	u16 iapc_boot_arch;
	u8 reserved2;
	u32 flags;
	struct acpi_gas reset_reg;
	u8 reset_value;
	u16 arm_boot_arch;
	u8 minor;
	u64 x_facs, x_dsdt;
	struct acpi_gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr, x_gpe0,
		x_gpe1;
} __packed;
BUILD_ASSERT_SIZE(struct acpi_fadt, 244);

#define FADT_WBINVD 0x1u
#define FADT_PROC_C1 0x4u
#define FADT_SLP_BUTTON 0x20u /* there is none as fixed hardware */
#define FADT_TMR_VAL_EXT 0x100u
#define FADT_RESET_REG 0x400u
#define IAPC_LEGACY 0x1u
#define IAPC_8042 0x2u
#define IAPC_NO_VGA 0x4u
/* The PCI bus, as in l0/dev/pci.h. */
#define PCI_SLOTS 32u
#define PCI_GSI_FIRST 16u
#define PCI_GSI_COUNT 4u
#define PCI_MEMORY_START 0xc0000000u
#define PCI_MEMORY_END 0xfec00000u
#define WINDOW_BYTES 26u
#define MEMORY_WINDOWS 56u /* their offset in the root bus's resources */

#define RESET_VALUE 0x06
#define LAT_UNSUPPORTED_C2 101
#define LAT_UNSUPPORTED_C3 1001

#define LAPIC_ADDRESS 0xfee00000u
#define IOAPIC_ADDRESS 0xfec00000u
#define HPET_ADDRESS 0xfed00000ull
#define HPET_BLOCK_ID 0x8086a201u

struct firmware {
	struct boot_ctx *c;
	u64 next, end; /* of the area for tables */
	bool has_vga;
	u32 nvps;
	struct boot_cpus cpus;
	u64 xsdt[XSDT_ENTRIES];
	u32 tables;
	int err;
};

static u8 checksum(const void *data, u32 n)
{
	const u8 *p = data;
	u8 sum = 0;

	while (n--)
		sum += *p++;
	return (u8)-sum;
}

/* Copy to the firmware area. Return: its address; 0 when something failed before or the area is
 * full. */
static u64 put(struct firmware *f, const void *data, u32 n, u32 align)
{
	u64 at = ALIGN_UP(f->next, (u64)align);

	if (f->err)
		return 0;
	if (at + n > f->end || mem_write(f->c->m, at, data, n)) {
		f->err = boot_fail(f->c, f->c->image.path, -E2BIG,
				   "no room for the firmware tables");
		return 0;
	}
	f->next = at + n;
	return at;
}

static void fill_header(struct acpi_header *h, const char *signature, u8 revision, u32 length)
{
	memcpy(h->signature, signature, 4);
	h->length = length;
	h->revision = revision;
	memcpy(h->oem_id, "NESTOR", 6);
	memcpy(h->oem_table_id, "NESTORPC", 8);
	h->oem_revision = 1;
	memcpy(h->creator_id, "NSTR", 4);
	h->creator_revision = 1;
	h->checksum = 0;
}

/* Finish a table whose header is filled but for the checksum. */
static u64 put_table(struct firmware *f, void *table, u32 length)
{
	((struct acpi_header *)table)->checksum = checksum(table, length);
	return put(f, table, length, 16);
}

static void list_table(struct firmware *f, u64 at)
{
	f->xsdt[f->tables++] = at;
}

/* ---- DSDT ------------------------------------------------------------------------------------ */

static void put_device(struct aml *a, const char *name, const char *hid, const struct aml_io io[2],
		       u32 irq)
{
	u32 at = aml_open(a, "\x5b\x82");

	aml_string(a, name);
	aml_hid(a, hid);
	aml_crs(a, io, irq);
	aml_close(a, at);
}

/* Pin A of slot n: interrupt 16 + n mod 4 of the I/O APIC. */
static void put_prt(struct aml *a)
{
	aml_name(a, "_PRT");
	u32 at = aml_open(a, "\x12");

	aml_byte(a, PCI_SLOTS - 1);
	for (u32 slot = 1; slot < PCI_SLOTS; slot++) {
		u32 entry = aml_open(a, "\x12");

		aml_byte(a, 4);
		aml_integer(a, slot << 16 | 0xffff);
		aml_integer(a, 0);
		aml_integer(a, 0);
		aml_integer(a, PCI_GSI_FIRST + slot % PCI_GSI_COUNT);
		aml_close(a, entry);
	}
	aml_close(a, at);
}

/* A window of the root bus: 32-bit memory, writable, not cached, from @start to @last. */
static void memory_window(u8 *res, u32 start, u32 last)
{
	static const u8 head[] = {0x87, 0x17, 0, 0, 0x0c, 1};
	u32 bytes = last - start + 1;

	memcpy(res, head, sizeof(head));
	memcpy(res + 10, &start, 4);
	memcpy(res + 14, &last, 4);
	memcpy(res + 22, &bytes, 4);
}

/* The root bus: bus 0 alone, all I/O ports, memory from the end of low RAM to the I/O APIC. */
static void put_pci(struct aml *a)
{
	u8 res[] = {/* bus numbers 0-0, 16-bit */
		    0x88, 0x0d, 0, 2, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
		    /* the configuration ports, consumed by the bridge itself */
		    0x47, 1, 0xf8, 0x0c, 0xf8, 0x0c, 1, 8,
		    /* I/O ports 0-0xcf7 and 0xd00-0xffff, 16-bit */
		    0x88, 0x0d, 0, 1, 0x0c, 3, 0, 0, 0, 0, 0xf7, 0x0c, 0, 0, 0xf8, 0x0c, 0x88, 0x0d,
		    0, 1, 0x0c, 3, 0, 0, 0, 0x0d, 0xff, 0xff, 0, 0, 0, 0xf3,
		    /* two memory windows, and the end */
		    [MEMORY_WINDOWS + 2 * WINDOW_BYTES] = 0x79, 0};

	memory_window(res + MEMORY_WINDOWS, PCI_MEMORY_START, FIRMWARE_ECAM - 1);
	memory_window(res + MEMORY_WINDOWS + WINDOW_BYTES, FIRMWARE_ECAM + FIRMWARE_ECAM_BYTES,
		      PCI_MEMORY_END - 1);
	u32 at = aml_open(a, "\x5b\x82");

	aml_string(a, "PCI0");
	aml_hid(a, "PNP0A03");
	aml_name_buffer(a, "_CRS", res, sizeof(res));
	put_prt(a);
	aml_close(a, at);
}

static void put_s5(struct aml *a)
{
	aml_name(a, "_S5_");
	u32 at = aml_open(a, "\x12");

	aml_byte(a, 4);
	aml_integer(a, ACPI_SLP_TYP_S5);
	aml_integer(a, ACPI_SLP_TYP_S5);
	aml_integer(a, 0);
	aml_integer(a, 0);
	aml_close(a, at);
}

static u64 put_dsdt(struct firmware *f)
{
	u8 table[TABLE_MAX];
	struct aml a = {.buf = table, .used = sizeof(struct acpi_header), .room = sizeof(table)};

	put_s5(&a);
	u32 sb = aml_open(&a, "\x10");

	aml_string(&a, "_SB_");
	put_device(&a, "COM1", "PNP0501", (struct aml_io[2]){{PORT_COM1, 8}}, 4);
	put_device(&a, "RTC_", "PNP0B00", (struct aml_io[2]){{PORT_CMOS_INDEX, 2}}, 8);
	put_device(&a, "KBD_", "PNP0303", (struct aml_io[2]){{PORT_KBD_DATA, 1}, {PORT_KBD_CMD, 1}},
		   1);
	put_device(&a, "MOU_", "PNP0F13", (struct aml_io[2]){{0}}, 12);
	put_pci(&a);
	aml_close(&a, sb);
	fill_header((struct acpi_header *)table, "DSDT", 2, a.used);
	return put_table(f, table, a.used);
}

/* The processors as devices, where they come and go. */
static void put_cpus(struct firmware *f)
{
	u8 table[SSDT_MAX];
	struct aml a = {.buf = table, .used = sizeof(struct acpi_header), .room = sizeof(table)};

	aml_cpus(&a, f->nvps);
	if (a.overflow)
		f->err = boot_fail(f->c, f->c->image.path, -E2BIG,
				   "no room for the processors' ACPI table");
	fill_header((struct acpi_header *)table, "SSDT", 2, a.used);
	list_table(f, put_table(f, table, a.used));
}

/* ---- the other tables ------------------------------------------------------------------------ */

static struct acpi_gas io_register(u16 port, u8 bits)
{
	/* access size: 2 is 16 bits, 3 is 32 */
	return (struct acpi_gas){GAS_IO, bits, 0, bits == 32 ? 3 : bits == 16 ? 2 : 1, port};
}

static void put_fadt(struct firmware *f, u64 facs, u64 dsdt)
{
	struct acpi_fadt t = {
		.facs = (u32)facs,
		.dsdt = (u32)dsdt,
		.sci_int = 9,
		.pm1a_evt = PORT_ACPI_PM,
		.pm1a_cnt = PORT_ACPI_PM + ACPI_PM_CONTROL,
		.pm_tmr = PORT_ACPI_PM + ACPI_PM_TIMER,
		.pm1_evt_len = 4,
		.pm1_cnt_len = 2,
		.pm_tmr_len = 4,
		.p_lvl2_lat = LAT_UNSUPPORTED_C2,
		.p_lvl3_lat = LAT_UNSUPPORTED_C3,
		.century = 0x32,
		.iapc_boot_arch = IAPC_LEGACY | IAPC_8042 | (f->has_vga ? 0 : IAPC_NO_VGA),
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_TMR_VAL_EXT |
			 FADT_RESET_REG,
		.reset_reg = io_register(PORT_RESET, 8),
		.reset_value = RESET_VALUE,
		.x_dsdt = dsdt,
		.x_pm1a_evt = io_register(PORT_ACPI_PM, 32),
		.x_pm1a_cnt = io_register(PORT_ACPI_PM + ACPI_PM_CONTROL, 16),
		.x_pm_tmr = io_register(PORT_ACPI_PM + ACPI_PM_TIMER, 32),
	};

	if (f->cpus.hotplug) {
		t.gpe0 = PORT_ACPI_PM + ACPI_PM_GPE;
		t.gpe0_len = ACPI_GPE_BYTES;
		t.x_gpe0 = io_register(PORT_ACPI_PM + ACPI_PM_GPE, 8 * ACPI_GPE_BYTES);
	}
	fill_header(&t.h, "FACP", 4, sizeof(t));
	list_table(f, put_table(f, &t, sizeof(t)));
}

static u64 put_facs(struct firmware *f)
{
	u8 facs[64] = "FACS";

	facs[4] = sizeof(facs);
	facs[32] = 2; /* version */
	return put(f, facs, sizeof(facs), 64);
}

static void put_madt(struct firmware *f)
{
	u8 table[TABLE_MAX];
	struct aml a = {.buf = table, .used = sizeof(struct acpi_header), .room = sizeof(table)};
	const u32 head[2] = {LAPIC_ADDRESS, 1 /* there are 8259s too */};
	const u32 ioapic[2] = {IOAPIC_ADDRESS, 0};
	static const u8 overrides[] = {
		2, 10, 0, 0, 2, 0, 0, 0, 0x00, 0, /* ISA 0 is input 2 */
		2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0, /* the SCI: level, active high */
	};
	static const u8 nmi[] = {4, 6, 0xff, 0, 0, 1}; /* LINT1 of every processor */

	aml_bytes(&a, head, sizeof(head));
	for (u32 i = 0; i < f->nvps; i++) {
		const u8 lapic[] = {0, 8, (u8)i, (u8)i, !(f->cpus.absent >> i & 1), 0, 0, 0};

		aml_bytes(&a, lapic, sizeof(lapic));
	}
	aml_bytes(&a, (const u8[]){1, 12, 0, 0}, 4);
	aml_bytes(&a, ioapic, sizeof(ioapic));
	aml_bytes(&a, overrides, sizeof(overrides));
	aml_bytes(&a, nmi, sizeof(nmi));
	fill_header((struct acpi_header *)table, "APIC", 3, a.used);
	list_table(f, put_table(f, table, a.used));
}

static void put_hpet(struct firmware *f)
{
	struct {
		struct acpi_header h;
		u32 block_id;
		struct acpi_gas base;
		u8 number;
		u16 min_tick;
		u8 protection;
	} __packed t = {
		.block_id = HPET_BLOCK_ID,
		.base = {GAS_MEMORY, 64, 0, 0, HPET_ADDRESS},
		.min_tick = 100,
	};

	fill_header(&t.h, "HPET", 1, sizeof(t));
	list_table(f, put_table(f, &t, sizeof(t)));
}

static void put_mcfg(struct firmware *f)
{
	struct {
		struct acpi_header h;
		u64 reserved, base;
		u16 segment;
		u8 first_bus, last_bus;
		u32 reserved2;
	} __packed t = {.base = FIRMWARE_ECAM};

	fill_header(&t.h, "MCFG", 1, sizeof(t));
	list_table(f, put_table(f, &t, sizeof(t)));
}

static void put_root(struct firmware *f, u8 *rsdp)
{
	u8 table[sizeof(struct acpi_header) + sizeof(f->xsdt)];
	const u32 bytes = f->tables * sizeof(f->xsdt[0]);

	memset(rsdp, 0, FIRMWARE_RSDP_BYTES);
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(table + sizeof(struct acpi_header), f->xsdt, bytes);
	fill_header((struct acpi_header *)table, "XSDT", 1, sizeof(struct acpi_header) + bytes);
	u64 xsdt = put_table(f, table, sizeof(struct acpi_header) + bytes);

	memcpy(rsdp + 9, "NESTOR", 6);
	rsdp[15] = 2; /* revision; no RSDT: 32-bit systems that need one read the MP table */
	rsdp[20] = FIRMWARE_RSDP_BYTES;
	memcpy(rsdp + 24, &xsdt, 8);
	rsdp[8] = checksum(rsdp, 20);
	rsdp[32] = checksum(rsdp, FIRMWARE_RSDP_BYTES);
}

/* ---- MP table -------------------------------------------------------------------------------- */

static void mp_interrupt(struct aml *a, u8 kind, u8 type, u16 flags, u8 irq, u8 dest, u8 input)
{
	const u8 e[] = {kind, type, (u8)flags, (u8)(flags >> 8), 0, irq, dest, input};

	aml_bytes(a, e, sizeof(e));
}

#define MP_HEADER_BYTES 44u

/* The entries; Return: how many. */
static u16 put_mp_entries(struct firmware *f, struct aml *a)
{
	static const u8 isa_bus[] = {1, 0, 'I', 'S', 'A', ' ', ' ', ' '};
	u16 n = 0;

	for (u32 i = 0; i < f->nvps; i++) {
		if (f->cpus.absent >> i & 1)
			continue;
		/* ID, version, enabled (the first: boot processor), signature, features */
		u8 cpu[20] = {0, (u8)i, 0x14, i ? 1 : 3, 0, 0x06, 0, 0, 0x01, 0x02};

		aml_bytes(a, cpu, sizeof(cpu));
		n++;
	}
	aml_bytes(a, isa_bus, sizeof(isa_bus));
	aml_bytes(a, (const u8[]){2, 0, 0x20, 1, 0, 0, 0xc0, 0xfe}, 8); /* I/O APIC */
	n += 2;
	for (u8 irq = 0; irq < 16; irq++) {
		if (irq == 2)
			continue; /* the cascade */
		mp_interrupt(a, 3, 0, irq == 9 ? 0x0d : 0, irq, 0, irq ? irq : 2);
		n++;
	}
	mp_interrupt(a, 4, 3, 0, 0, 0xff, 0); /* ExtINT at LINT0 */
	mp_interrupt(a, 4, 1, 0, 0, 0xff, 1); /* NMI at LINT1 */
	return (u16)(n + 2);
}

static void put_mp(struct firmware *f)
{
	u8 table[TABLE_MAX] = "PCMP", pointer[16] = "_MP_";
	struct aml a = {.buf = table, .used = MP_HEADER_BYTES, .room = sizeof(table)};
	const u32 lapic = LAPIC_ADDRESS;
	u16 entries = put_mp_entries(f, &a);

	memcpy(table + 4, &a.used, 2);
	table[6] = 4; /* specification 1.4 */
	memcpy(table + 8, "NESTOR  PC          ", 20);
	memcpy(table + 34, &entries, 2);
	memcpy(table + 36, &lapic, 4);
	table[7] = checksum(table, a.used);
	u32 at = (u32)put(f, table, a.used, 16);

	memcpy(pointer + 4, &at, 4);
	pointer[8] = 1; /* of 16 bytes */
	pointer[9] = 4;
	pointer[10] = checksum(pointer, sizeof(pointer));
	put(f, pointer, sizeof(pointer), 16);
}

/* ---- BIOS data area -------------------------------------------------------------------------- */

static void put_bda(struct firmware *f)
{
	const u16 com1 = PORT_COM1, ebda = 0x9fc0, base_kib = 639;

	if (mem_write(f->c->m, 0x400, &com1, 2) || mem_write(f->c->m, 0x40e, &ebda, 2) ||
	    mem_write(f->c->m, 0x413, &base_kib, 2))
		f->err = -EFAULT;
}

static void put_acpi(struct firmware *f, u8 *rsdp)
{
	u64 facs = put_facs(f), dsdt = put_dsdt(f);

	put_fadt(f, facs, dsdt);
	put_madt(f);
	if (f->cpus.hotplug)
		put_cpus(f);
	put_hpet(f);
	put_mcfg(f);
	put_root(f, rsdp);
}

static int put_smbios(struct firmware *f)
{
	struct smbios *s = malloc(sizeof(*s));
	u8 anchor[SMBIOS_ANCHOR_BYTES];

	if (!s)
		return boot_fail(f->c, f->c->image.path, -ENOMEM, "out of host memory");
	smbios_build(s, mem_ram_bytes(f->c->m), f->nvps);
	smbios_anchor(s, (u32)put(f, s->tables, s->bytes, 16), anchor);
	put(f, anchor, sizeof(anchor), 16);
	free(s);
	return 0;
}

int firmware_write(struct boot_ctx *c, struct boot_cpus cpus)
{
	u8 rsdp[FIRMWARE_RSDP_BYTES];
	struct firmware f = {
		.c = c,
		.nvps = cpus.n ? cpus.n : 1,
		.cpus = cpus,
		.next = FIRMWARE_RSDP + ALIGN_UP(FIRMWARE_RSDP_BYTES, 16u),
		.end = FIRMWARE_END,
	};

	put_bda(&f);
	put_mp(&f);
	put_acpi(&f, rsdp);
	int err = put_smbios(&f);

	if (err || f.err)
		return err ? err : f.err;
	return mem_write(c->m, FIRMWARE_RSDP, rsdp, sizeof(rsdp));
}

int firmware_write_acpi(struct boot_ctx *c, struct boot_cpus cpus, u64 start, u64 end, u8 *rsdp)
{
	struct firmware f = {.c = c,
			     .nvps = cpus.n ? cpus.n : 1,
			     .cpus = cpus,
			     .next = start,
			     .end = end,
			     .has_vga = true};

	put_acpi(&f, rsdp);
	return f.err;
}
