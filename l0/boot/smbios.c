/* smbios.c - see smbios.h */
#include "l0/boot/smbios.h"

#include <string.h>

#include "l0/base/mem_ops.h"

#define VERSION_MAJOR 2
#define VERSION_MINOR 8
#define DEVICE_MAX_MIB 16384ull /* a memory device holds up to 16 GiB here */
#define MAX_DEVICES 32u

enum {
	TYPE_BIOS = 0,
	TYPE_SYSTEM = 1,
	TYPE_ENCLOSURE = 3,
	TYPE_PROCESSOR = 4,
	TYPE_MEMORY_ARRAY = 16,
	TYPE_MEMORY_DEVICE = 17,
	TYPE_MEMORY_RANGE = 19,
	TYPE_BOOT = 32,
	TYPE_END = 127,
};
#define HANDLE(type, n) (u16)((type) << 8 | (n))
#define UNKNOWN 2
#define OTHER 1

/* Start a structure of @bytes, all zero but its header. */
static u8 *begin(struct smbios *s, u8 type, u32 bytes, u32 n)
{
	u8 *p = s->tables + s->bytes;

	memset(p, 0, bytes);
	p[0] = type;
	p[1] = (u8)bytes;
	nm_store16(p + 2, HANDLE(type, n));
	s->bytes += bytes;
	return p;
}

/* Its strings, numbered from 1, NULL at the end; and an empty one behind them. */
static void end(struct smbios *s, const u8 *p, const char *const *strings)
{
	bool any = strings && *strings;

	for (; strings && *strings; strings++) {
		u32 n = (u32)strlen(*strings) + 1;

		memcpy(s->tables + s->bytes, *strings, n);
		s->bytes += n;
	}
	s->tables[s->bytes++] = 0;
	if (!any)
		s->tables[s->bytes++] = 0;
	u32 bytes = (u32)(s->tables + s->bytes - p);

	s->count++;
	s->largest = (u16)(bytes > s->largest ? bytes : s->largest);
}

static void put_bios(struct smbios *s)
{
	static const char *const strings[] = {"nestor", "1", "01/01/2024", NULL};
	u8 *p = begin(s, TYPE_BIOS, 24, 0);

	p[4] = 1;		    /* vendor */
	p[5] = 2;		    /* version */
	nm_store16(p + 6, 0xf000);  /* segment */
	p[8] = 3;		    /* date */
	p[9] = 0;		    /* 64 KiB */
	nm_store64(p + 10, 1 << 3); /* characteristics are not told */
	p[19] = 0x14;		    /* virtual machine; content delivery */
	p[20] = 1;		    /* release 1.0 */
	p[22] = p[23] = 0xff;	    /* no embedded controller */
	end(s, p, strings);
}

static void put_system(struct smbios *s)
{
	static const char *const strings[] = {"nestor", "PC", "1", NULL};
	u8 *p = begin(s, TYPE_SYSTEM, 27, 0);

	p[4] = 1;
	p[5] = 2;
	p[6] = 3;
	p[24] = 6; /* woken by the power switch; UUID all zero: not present */
	end(s, p, strings);
}

static void put_enclosure(struct smbios *s)
{
	static const char *const strings[] = {"nestor", NULL};
	u8 *p = begin(s, TYPE_ENCLOSURE, 22, 0);

	p[4] = 1;
	p[5] = OTHER;
	p[9] = p[10] = p[11] = 3; /* states: safe */
	p[12] = UNKNOWN;
	end(s, p, strings);
}

/* One socket with all processors. */
static void put_processor(struct smbios *s, u32 nvps)
{
	static const char *const strings[] = {"CPU 0", "nestor", NULL};
	u8 *p = begin(s, TYPE_PROCESSOR, 48, 0);

	p[4] = 1;
	p[5] = 3; /* central processor */
	p[6] = OTHER;
	p[7] = 2;
	p[24] = 0x41; /* populated, enabled */
	p[25] = OTHER;
	nm_store16(p + 26, 0xffff); /* no cache structures */
	nm_store16(p + 28, 0xffff);
	nm_store16(p + 30, 0xffff);
	p[35] = p[36] = p[37] = (u8)(nvps < 255 ? nvps : 255);
	nm_store16(p + 38, 0x04); /* 64 bits */
	nm_store16(p + 40, OTHER);
	nm_store16(p + 42, (u16)nvps);
	nm_store16(p + 44, (u16)nvps);
	nm_store16(p + 46, (u16)nvps);
	end(s, p, strings);
}

static void put_memory(struct smbios *s, u64 ram_bytes)
{
	static const char *const strings[] = {"DIMM", NULL};
	u64 mib = ram_bytes / MIB;
	u32 devices = (u32)((mib + DEVICE_MAX_MIB - 1) / DEVICE_MAX_MIB);
	u8 *p = begin(s, TYPE_MEMORY_ARRAY, 23, 0);

	devices = devices ? devices < MAX_DEVICES ? devices : MAX_DEVICES : 1;
	p[4] = 1;			/* location: other */
	p[5] = 3;			/* system memory */
	p[6] = 6;			/* multi-bit ECC */
	nm_store32(p + 7, 0x80000000u); /* the extended field below */
	nm_store16(p + 11, 0xfffe);
	nm_store16(p + 13, (u16)devices);
	nm_store64(p + 15, ram_bytes);
	end(s, p, NULL);
	for (u32 i = 0; i < devices; i++) {
		u64 size = mib < DEVICE_MAX_MIB ? mib : DEVICE_MAX_MIB;

		p = begin(s, TYPE_MEMORY_DEVICE, 40, i);
		nm_store16(p + 4, HANDLE(TYPE_MEMORY_ARRAY, 0));
		nm_store16(p + 6, 0xfffe);
		nm_store16(p + 8, 0xffff);
		nm_store16(p + 10, 0xffff);
		nm_store16(p + 12, (u16)(size < 0x7fff ? size : 0x7fff));
		p[14] = 9; /* DIMM */
		p[16] = 1;
		p[18] = 7; /* RAM */
		nm_store16(p + 19, 2);
		nm_store32(p + 28, size < 0x7fff ? 0 : (u32)size);
		end(s, p, strings);
		mib -= size;
	}
	p = begin(s, TYPE_MEMORY_RANGE, 31, 0);
	nm_store32(p + 4, 0xffffffffu); /* the extended fields below */
	nm_store32(p + 8, 0xffffffffu);
	nm_store16(p + 12, HANDLE(TYPE_MEMORY_ARRAY, 0));
	p[14] = 1;
	nm_store64(p + 23, ram_bytes - 1);
	end(s, p, NULL);
}

void smbios_build(struct smbios *s, u64 ram_bytes, u32 nvps)
{
	s->bytes = s->count = s->largest = 0;
	put_bios(s);
	put_system(s);
	put_enclosure(s);
	put_processor(s, nvps);
	put_memory(s, ram_bytes);
	end(s, begin(s, TYPE_BOOT, 11, 0), NULL);
	end(s, begin(s, TYPE_END, 4, 0), NULL);
}

static u8 checksum(const u8 *p, u32 n)
{
	u8 sum = 0;

	while (n--)
		sum += *p++;
	return (u8)-sum;
}

void smbios_anchor(const struct smbios *s, u32 gpa, u8 a[SMBIOS_ANCHOR_BYTES])
{
	memset(a, 0, SMBIOS_ANCHOR_BYTES);
	memcpy(a, "_SM_", 4);
	a[5] = SMBIOS_ANCHOR_BYTES;
	a[6] = VERSION_MAJOR;
	a[7] = VERSION_MINOR;
	nm_store16(a + 8, s->largest);
	memcpy(a + 16, "_DMI_", 5);
	nm_store16(a + 22, (u16)s->bytes);
	nm_store32(a + 24, gpa);
	nm_store16(a + 28, s->count);
	a[30] = VERSION_MAJOR << 4 | VERSION_MINOR;
	a[21] = checksum(a + 16, 15);
	a[4] = checksum(a, SMBIOS_ANCHOR_BYTES);
}

u32 boot_smbios(const struct mem *m, u32 nvps, u8 *tables, u8 anchor[SMBIOS_ANCHOR_BYTES])
{
	static struct smbios s;

	smbios_build(&s, mem_ram_bytes(m), nvps);
	smbios_anchor(&s, 0, anchor);
	memcpy(tables, s.tables, s.bytes);
	return s.bytes;
}
