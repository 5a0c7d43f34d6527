/* firmware_test.c - what firmware needs: ROM, fw_cfg, the VGA card's registers and screen,
 * SMBIOS */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "l0/base/hash.h"
#include "l0/boot/boot.h"
#include "l0/dev/fw_cfg.h"
#include "l0/dev/rom.h"
#include "l0/dev/vga.h"
#include "tests/unit/bus_fixture.h"

struct x {
	struct bus_fixture f;
	struct fw_cfg *fw;
	struct vga *vga;
};

static int setup(void **state)
{
	struct x *x = calloc(1, sizeof(*x));
	int err;

	fixture_init(&x->f, 3);
	x->fw = fw_cfg_create(&x->f.bus, &err);
	x->vga = vga_create(&x->f.bus, &err);
	*state = x;
	return err;
}

static int teardown(void **state)
{
	struct x *x = *state;

	fixture_fini(&x->f);
	free(x);
	return 0;
}

static void read_item(struct x *x, u16 key, void *to, u32 n)
{
	mem_port_write(x->f.bus.mem, 0x510, key, 2);
	for (u32 i = 0; i < n; i++)
		((u8 *)to)[i] = fixture_inb(&x->f, 0x511);
}

static void test_fw_cfg(void **state)
{
	struct x *x = *state;
	struct {
		u32 count, bytes;
		u16 key, reserved;
		char name[FW_CFG_NAME_BYTES];
	} __packed dir;
	char text[8] = "";
	u64 ram = 0;
	u16 cpus = 0;

	read_item(x, 0, text, 6);
	assert_memory_equal(text, "QEMU\0\0", 6);
	read_item(x, 3, &ram, 8);
	assert_int_equal(ram, 4 * MIB);
	read_item(x, 5, &cpus, 2);
	assert_int_equal(cpus, 3);
	read_item(x, 0x4444, &ram, 8);
	assert_int_equal(ram, 0);
	assert_int_equal(fw_cfg_set(x->fw, "etc/one", "abc", 3), 0);
	assert_int_equal(fw_cfg_set(x->fw, "etc/two", "defgh", 5), 0);
	assert_int_equal(fw_cfg_set(x->fw, "etc/one", "wxyz", 4), 0);
	read_item(x, 0x19, &dir, sizeof(dir));
	assert_int_equal(dir.count, __builtin_bswap32(2));
	assert_int_equal(dir.bytes, __builtin_bswap32(4));
	assert_string_equal(dir.name, "etc/one");
	read_item(x, __builtin_bswap16(dir.key), text, 5);
	assert_memory_equal(text, "wxyz\0", 5);
	for (u32 i = 2; i < FW_CFG_MAX_FILES; i++) {
		snprintf(text, sizeof(text), "f%u", i);
		assert_int_equal(fw_cfg_set(x->fw, text, "", 0), 0);
	}
	assert_true(fw_cfg_set(x->fw, "one-too-many", "", 0) < 0);
}

static u32 dma(struct x *x, u32 control, u32 bytes, u64 gpa)
{
	const u64 at = 0x3000;
	struct {
		u32 control, bytes;
		u64 gpa;
	} __packed a = {__builtin_bswap32(control), __builtin_bswap32(bytes),
			__builtin_bswap64(gpa)};

	mem_write(x->f.bus.mem, at, &a, sizeof(a));
	mem_port_write(x->f.bus.mem, 0x514, 0, 4);
	mem_port_write(x->f.bus.mem, 0x518, __builtin_bswap32((u32)at), 4);
	mem_read(x->f.bus.mem, at, &a, sizeof(a));
	return __builtin_bswap32(a.control);
}

static void test_fw_cfg_dma(void **state)
{
	struct x *x = *state;
	struct mem *mem = x->f.bus.mem;
	char text[8];
	u8 id;

	assert_int_equal(mem_port_read(mem, 0x514, 4), __builtin_bswap32(0x51454d55));
	assert_int_equal(mem_port_read(mem, 0x518, 4), __builtin_bswap32(0x20434647));
	read_item(x, 1, &id, 1);
	assert_int_equal(id, 3);
	assert_int_equal(fw_cfg_set(x->fw, "etc/one", "abcdef", 6), 0);
	mem_write(mem, 0x4000, "........", 8);
	assert_int_equal(dma(x, 0x20 << 16 | 8, 0, 0), 0); /* select */
	assert_int_equal(dma(x, 4, 2, 0), 0);		   /* skip */
	assert_int_equal(dma(x, 2, 7, 0x4000), 0);	   /* read, beyond its end */
	mem_read(mem, 0x4000, text, 8);
	assert_memory_equal(text, "cdef\0\0\0.", 8);
	assert_int_equal(dma(x, 0x20 << 16 | 10, 3, 0x4001), 0);
	mem_read(mem, 0x4000, text, 8);
	assert_memory_equal(text, "cabc\0\0\0.", 8);
	assert_int_equal(fixture_inb(&x->f, 0x511), 'd');
	/* not RAM, more than there is, a write, skips that overflow */
	assert_int_equal(dma(x, 0x20 << 16 | 10, 3, 4 * MIB - 2), 1);
	assert_int_equal(dma(x, 2, ~0u, 0), 1);
	assert_int_equal(dma(x, 0x10, 4, 0x4000), 1);
	assert_int_equal(dma(x, 4, ~0u, 0), 0);
	assert_int_equal(dma(x, 4, ~0u, 0), 0);
	assert_int_equal(fixture_inb(&x->f, 0x511), 0);
	assert_int_equal(dma(x, 0x5555 << 16 | 10, 4, 0x4000), 0); /* no such item: zeros */
	/* the request itself is not in RAM */
	mem_port_write(mem, 0x514, ~0u, 4);
	mem_port_write(mem, 0x518, ~0u, 4);
}

/* A register behind an index. */
static void indexed(struct x *x, u16 port, u8 index, u8 value)
{
	mem_port_write(x->f.bus.mem, port, (u32)index | (u32)value << 8, 2);
}

static void screen_is(struct x *x, const char *expected)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	vga_dump(x->vga, f);
	fclose(f);
	assert_string_equal(text, expected);
	free(text);
}

static void test_vga(void **state)
{
	struct x *x = *state;
	static const u8 crtc[] = {0x5f, 3, 0, 0, 0, 0, 0, 0, 0,	 0x0f,
				  0,	0, 0, 1, 0, 0, 0, 0, 47, 4};

	screen_is(x, "(the screen was never switched on)\n");
	/* 4 columns, 3 rows of 16 lines, a pitch of 8, from the second cell on */
	for (u8 i = 0; i < sizeof(crtc); i++)
		indexed(x, 0x3d4, i, crtc[i]);
	indexed(x, 0x3ce, 6, 0x0c);
	mem_write(x->f.bus.mem, 0xb8000, "-.H.\x84.\xdb.", 8);
	mem_write(x->f.bus.mem, 0xb8000 + 2 * 9, "o.k.", 4);
	screen_is(x, "Hä█\nok\n\n");
	/* registers keep what was written; 0-7 of the CRTC can be protected */
	indexed(x, 0x3d4, 0x11, 0x80);
	indexed(x, 0x3d4, 1, 9);
	fixture_outb(&x->f, 0x3d4, 1);
	assert_int_equal(fixture_inb(&x->f, 0x3d5), 3);
	fixture_inb(&x->f, 0x3da);
	fixture_outb(&x->f, 0x3c0, 0x10);
	fixture_outb(&x->f, 0x3c0, 0x01);
	fixture_outb(&x->f, 0x3c0, 0x10);
	assert_int_equal(fixture_inb(&x->f, 0x3c1), 1);
	screen_is(x, "(a graphics mode: not supported)\n");
	fixture_outb(&x->f, 0x3c8, 1);
	for (u8 i = 0; i < 3; i++)
		fixture_outb(&x->f, 0x3c9, 10 + i);
	fixture_outb(&x->f, 0x3c7, 1);
	assert_int_equal(fixture_inb(&x->f, 0x3c9), 10);
	/* both phases of the retrace come */
	u32 seen = 0;

	for (u32 i = 0; i < 1000; i++) {
		x->f.now_ns += 20011;
		seen |= 1u << (fixture_inb(&x->f, 0x3da) >> 3 & 1);
	}
	assert_int_equal(seen, 3);
	bus_reset(&x->f.bus);
	screen_is(x, "(the screen was never switched on)\n");
}

static void test_vga_garbage(void **state)
{
	struct x *x = *state;
	u64 rng = fixture_seed(0x76a);
	FILE *null = fopen("/dev/null", "w");

	assert_non_null(null);
	for (u32 i = 0; i < 200000; i++) {
		u16 port = (u16)(0x3b0 + rng_below(&rng, 0x30));
		unsigned int size = 1u << rng_below(&rng, 3);

		if (rng_below(&rng, 3))
			mem_port_write(x->f.bus.mem, port, (u32)rng_next(&rng), size);
		else
			mem_port_read(x->f.bus.mem, port, size);
		if (rng_below(&rng, 1000) == 0)
			vga_dump(x->vga, null);
		mem_port_write(x->f.bus.mem, 0x510, (u32)rng_next(&rng), 2);
		mem_port_read(x->f.bus.mem, 0x511, 1);
	}
	fclose(null);
}

static void test_rom(void **state)
{
	struct x *x = *state;
	char err[ROM_ERR_BYTES], path[] = "/tmp/nestor-rom-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_null(rom_create(&x->f.bus, "/nowhere", err));
	assert_non_null(strstr(err, "No such file"));
	assert_null(rom_create(&x->f.bus, path, err));
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_null(rom_create(&x->f.bus, path, err));
	assert_non_null(strstr(err, "multiple of 64 KiB"));
	assert_int_equal(ftruncate(fd, 128 * KIB), 0);
	assert_int_equal(pwrite(fd, "end!", 4, 128 * KIB - 4), 4);
	assert_non_null(rom_create(&x->f.bus, path, err));
	close(fd);
	unlink(path);
	assert_int_equal(mem_mmio_read(x->f.bus.mem, 0xfffffffc, 4), 0x21646e65);
	mem_mmio_write(x->f.bus.mem, 0xfffffffc, 0, 4);
	assert_int_equal(mem_mmio_read(x->f.bus.mem, 0xfffffffc, 4), 0x21646e65);
}

static u8 sum(const u8 *p, u32 n)
{
	u8 s = 0;

	while (n--)
		s += *p++;
	return s;
}

/* Walk the structures as a reader does. */
static void test_smbios(void **state)
{
	struct x *x = *state;
	static u8 tables[SMBIOS_TABLES_MAX];
	u8 anchor[SMBIOS_ANCHOR_BYTES];
	u32 bytes = boot_smbios(x->f.bus.mem, 64, tables, anchor), at = 0, count = 0,
	    types[128] = {0};

	assert_memory_equal(anchor, "_SM_", 4);
	assert_int_equal(sum(anchor, SMBIOS_ANCHOR_BYTES), 0);
	assert_int_equal(sum(anchor + 16, 15), 0);
	assert_int_equal(anchor[22] | anchor[23] << 8, bytes);
	while (at < bytes) {
		assert_true(tables[at] < 128 && tables[at + 1] >= 4);
		types[tables[at]]++;
		at += tables[at + 1];
		while (tables[at] || tables[at + 1])
			at++;
		at += 2;
		count++;
	}
	assert_int_equal(at, bytes);
	assert_int_equal(anchor[28] | anchor[29] << 8, count);
	assert_int_equal(types[0], 1);
	assert_int_equal(types[1], 1);
	assert_int_equal(types[4], 1);
	assert_int_equal(types[127], 1);
}

static void test_reset_vector(void **state)
{
	struct x *x = *state;
	static u8 rom[256 * KIB];
	struct boot_state b;
	char err[BOOT_ERR_BYTES];
	int e;
	struct mem *small = mem_create(4 * MIB, &e), *m = mem_create(16 * MIB, &e);
	u8 got[4];

	memcpy(rom + sizeof(rom) - 16, "rst!", 4);
	assert_true(boot_firmware(small, "bios", rom, sizeof(rom), (struct boot_cpus){1}, &b, err,
				  sizeof(err)) < 0);
	assert_non_null(strstr(err, "8 MiB"));
	assert_int_equal(boot_firmware(m, "bios", rom, sizeof(rom), (struct boot_cpus){2}, &b, err,
				       sizeof(err)),
			 0);
	assert_int_equal(mem_read(m, 0xffff0, got, 4), 0);
	assert_memory_equal(got, "rst!", 4);
	assert_memory_equal(b.rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(b.rsdp, 36), 0);
	assert_true(b.ram_end < 16 * MIB);
	mem_destroy(small);
	mem_destroy(m);
	(void)x;
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_fw_cfg), T(test_fw_cfg_dma), T(test_vga),	  T(test_vga_garbage),
		T(test_rom),	T(test_smbios),	    T(test_reset_vector),
	};

	return cmocka_run_group_tests_name("firmware", tests, NULL, NULL);
}
