/* ide_test.c - IDE channels: registers, disk commands, packet commands of CD drives, garbage */
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
#include "l0/dev/ide.h"
#include "l0/dev/pci.h"
#include "tests/unit/bus_fixture.h"

#define DISK_SECTORS 600u
#define CD_BLOCKS 50u
#define PRIMARY 0x1f0
#define SECONDARY 0x170
#define STATUS 7
#define BSY 0x80
#define DRDY 0x40
#define DRQ 0x08
#define ERR 0x01
#define GSI_LINES 16u

struct x {
	struct bus_fixture f;
	struct ide *ide;
	char disk[32], cd[32];
	bool line[GSI_LINES];
};

static void line_set(void *arg, u32 gsi, bool level, u32 source, u64 due_ns)
{
	struct x *x = arg;

	(void)source;
	(void)due_ns;
	if (gsi < GSI_LINES)
		x->line[gsi] = level;
}

/* Each sector begins with its number. */
static void make_file(char *path, const char *template, u32 sectors, u32 bytes)
{
	strcpy(path, template);
	int fd = mkstemp(path);
	u8 *sector = calloc(1, bytes);

	assert_true(fd >= 0);
	for (u32 i = 0; i < sectors; i++) {
		memcpy(sector, &i, 4);
		sector[bytes - 1] = (u8)~i;
		assert_int_equal(write(fd, sector, bytes), bytes);
	}
	free(sector);
	close(fd);
}

static int setup(void **state)
{
	struct x *x = calloc(1, sizeof(*x));
	char err[DISK_ERR_BYTES];
	int e;

	fixture_init(&x->f, 1);
	make_file(x->disk, "/tmp/nestor-ide-XXXXXX", DISK_SECTORS, 512);
	make_file(x->cd, "/tmp/nestor-ide-XXXXXX", CD_BLOCKS, 2048);
	const struct irq_line sink = {line_set, x};

	assert_int_equal(irq_add_sink(&x->f.bus.irq, &sink), 0);
	assert_non_null(pci_host_create(&x->f.bus, &e));
	x->ide = ide_create(&x->f.bus, &e);
	assert_non_null(x->ide);
	ide_attach(x->ide, 0, disk_open(x->disk, false, err), false, "disk");
	ide_attach(x->ide, 2, disk_open(x->cd, true, err), true, "CD");
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct x *x = *state;

	fixture_fini(&x->f);
	unlink(x->disk);
	unlink(x->cd);
	free(x);
	return 0;
}

static u8 in(struct x *x, u16 port)
{
	return fixture_inb(&x->f, port);
}

static void out(struct x *x, u16 port, u8 value)
{
	fixture_outb(&x->f, port, value);
}

static void address(struct x *x, u16 base, u8 device, u32 lba, u8 count)
{
	out(x, base + 6, device | (lba >> 24 & 15));
	out(x, base + 2, count);
	out(x, base + 3, (u8)lba);
	out(x, base + 4, (u8)(lba >> 8));
	out(x, base + 5, (u8)(lba >> 16));
}

/* Write a command, wait until it has been executed. Return: the status. */
static u8 command(struct x *x, u16 base, u8 code)
{
	out(x, base + STATUS, code);
	fixture_run_to(&x->f, x->f.now_ns + IDE_LATENCY_NS);
	return in(x, base + 0x206); /* does not acknowledge */
}

static void read_block(struct x *x, u16 base, void *to, u32 bytes)
{
	for (u32 i = 0; i < bytes; i += 2) {
		u16 word = (u16)mem_port_read(x->f.bus.mem, base, 2);

		memcpy((u8 *)to + i, &word, 2);
	}
}

static void write_block(struct x *x, u16 base, const void *from, u32 bytes)
{
	for (u32 i = 0; i < bytes; i += 4) {
		u32 value;

		memcpy(&value, (const u8 *)from + i, 4);
		mem_port_write(x->f.bus.mem, base, value, 4);
	}
}

static void test_presence(void **state)
{
	struct x *x = *state;

	assert_int_equal(in(x, PRIMARY + STATUS), DRDY | 0x10);
	assert_int_equal(in(x, PRIMARY + 4), 0);
	assert_int_equal(in(x, SECONDARY + 4), 0x14);
	assert_int_equal(in(x, SECONDARY + 5), 0xeb);
	out(x, PRIMARY + 6, 0x10); /* an absent slave: zeros */
	assert_int_equal(in(x, PRIMARY + STATUS), 0);
	assert_int_equal(command(x, PRIMARY, 0xec), 0);
	out(x, PRIMARY + 6, 0xa0);
	/* software reset: busy while it lasts, then the signature */
	out(x, SECONDARY + 0x206, 4);
	assert_int_equal(in(x, SECONDARY + STATUS), BSY);
	out(x, SECONDARY + 0x206, 0);
	assert_int_equal(in(x, SECONDARY + STATUS), 0);
	assert_int_equal(in(x, SECONDARY + 1), 1);
	assert_int_equal(command(x, SECONDARY, 0xec), DRDY | ERR);
	assert_int_equal(in(x, SECONDARY + 5), 0xeb);
	assert_int_equal(command(x, PRIMARY, 0x90), DRDY | 0x10);
	assert_int_equal(in(x, PRIMARY + 1), 1);
}

static void test_empty(void **state)
{
	struct bus_fixture f;
	int err;

	(void)state;
	fixture_init(&f, 1);
	pci_host_create(&f.bus, &err);
	assert_non_null(ide_create(&f.bus, &err));
	assert_int_equal(fixture_inb(&f, PRIMARY + STATUS), 0xff);
	assert_int_equal(fixture_inb(&f, SECONDARY + 0x206), 0xff);
	fixture_outb(&f, PRIMARY + STATUS, 0xec);
	fixture_fini(&f);
}

static void test_identify(void **state)
{
	struct x *x = *state;
	u16 id[256];

	out(x, PRIMARY + STATUS, 0xec);
	assert_int_equal(in(x, PRIMARY + STATUS), BSY);
	assert_int_equal(command(x, PRIMARY, 0xec), DRDY | 0x10 | DRQ);
	assert_true(x->line[14]);
	in(x, PRIMARY + STATUS);
	assert_false(x->line[14]);
	read_block(x, PRIMARY, id, 512);
	assert_int_equal(in(x, PRIMARY + STATUS), DRDY | 0x10);
	assert_int_equal(id[60] | id[61] << 16, DISK_SECTORS);
	assert_int_equal(id[100], DISK_SECTORS);
	assert_memory_equal(&id[27], "ents", 4);
	/* nIEN keeps the line low */
	out(x, PRIMARY + 0x206, 2);
	command(x, PRIMARY, 0xec);
	assert_false(x->line[14]);
	out(x, PRIMARY + 0x206, 0);
	assert_true(x->line[14]);
	read_block(x, PRIMARY, id, 512);
	command(x, SECONDARY, 0xa1);
	assert_true(x->line[15]);
	read_block(x, SECONDARY, id, 512);
	assert_int_equal(id[0], 0x85c0);
}

static void expect_sectors(struct x *x, u32 first, u32 n)
{
	u8 sector[512];
	u32 number;

	for (u32 i = 0; i < n; i++) {
		read_block(x, PRIMARY, sector, 512);
		memcpy(&number, sector, 4);
		assert_int_equal(number, first + i);
		assert_int_equal(sector[511], (u8) ~(first + i));
	}
	assert_int_equal(in(x, PRIMARY + STATUS), DRDY | 0x10);
}

static void test_read(void **state)
{
	struct x *x = *state;

	address(x, PRIMARY, 0x40, 5, 3);
	assert_true(command(x, PRIMARY, 0x20) & DRQ);
	expect_sectors(x, 5, 3);
	address(x, PRIMARY, 0x40, 300, 0); /* 256 */
	assert_true(command(x, PRIMARY, 0x20) & DRQ);
	expect_sectors(x, 300, 256);
	/* cylinder 0, head 2, sector 5 of 63 */
	address(x, PRIMARY, 0x02, 5, 1);
	assert_true(command(x, PRIMARY, 0x20) & DRQ);
	expect_sectors(x, 2 * 63 + 4, 1);
	address(x, PRIMARY, 0x02, 0, 1);
	assert_int_equal(command(x, PRIMARY, 0x20), DRDY | ERR);
}

static void test_ext(void **state)
{
	struct x *x = *state;

	/* 48 bits: the bytes before the last are the upper ones */
	address(x, PRIMARY, 0x40, 0, 1);
	address(x, PRIMARY, 0x40, 20, 4);
	assert_true(command(x, PRIMARY, 0x24) & DRQ);
	expect_sectors(x, 20, 260);
	out(x, PRIMARY + 3, 0x12); /* reads of the upper bytes */
	out(x, PRIMARY + 3, 0x34);
	out(x, PRIMARY + 0x206, 0x80);
	assert_int_equal(in(x, PRIMARY + 3), 0x12);
	out(x, PRIMARY + 3, 0); /* a write ends that */
	assert_int_equal(in(x, PRIMARY + 3), 0);
}

static void test_multiple(void **state)
{
	struct x *x = *state;

	address(x, PRIMARY, 0x40, 8, 20);
	assert_int_equal(command(x, PRIMARY, 0xc4), DRDY | ERR); /* not set yet */
	out(x, PRIMARY + 2, 3);
	assert_int_equal(command(x, PRIMARY, 0xc6), DRDY | ERR);
	out(x, PRIMARY + 2, 8);
	assert_int_equal(command(x, PRIMARY, 0xc6), DRDY | 0x10);
	address(x, PRIMARY, 0x40, 8, 20);
	assert_true(command(x, PRIMARY, 0xc4) & DRQ);
	expect_sectors(x, 8, 20);
}

static void test_write(void **state)
{
	struct x *x = *state;
	u32 number = 1234567, found;
	u8 sector[512] = "";

	memcpy(sector, &number, 4);
	address(x, PRIMARY, 0x40, 77, 2);
	assert_int_equal(command(x, PRIMARY, 0x30), DRDY | 0x10 | DRQ);
	assert_false(x->line[14]); /* no interrupt asks for the first block */
	write_block(x, PRIMARY, sector, 512);
	assert_true(x->line[14]);
	assert_true(in(x, PRIMARY + STATUS) & DRQ);
	write_block(x, PRIMARY, sector, 512);
	assert_int_equal(in(x, PRIMARY + STATUS), DRDY | 0x10);
	assert_int_equal(command(x, PRIMARY, 0xe7), DRDY | 0x10);
	address(x, PRIMARY, 0x40, 78, 1);
	command(x, PRIMARY, 0x20);
	read_block(x, PRIMARY, sector, 512);
	memcpy(&found, sector, 4);
	assert_int_equal(found, number);
}

static void test_errors(void **state)
{
	struct x *x = *state;

	address(x, PRIMARY, 0x40, DISK_SECTORS - 1, 2);
	assert_int_equal(command(x, PRIMARY, 0x20), DRDY | ERR);
	assert_int_equal(in(x, PRIMARY + 1), 0x10);
	assert_int_equal(command(x, PRIMARY, 0xc8), DRDY | ERR); /* READ DMA */
	assert_int_equal(in(x, PRIMARY + 1), 0x04);
	assert_int_equal(truncate(x->disk, 10 * 512), 0);
	address(x, PRIMARY, 0x40, 50, 1);
	assert_int_equal(command(x, PRIMARY, 0x20), DRDY | ERR);
	assert_int_equal(in(x, PRIMARY + 1), 0x40);
}

/* Send a packet whose answer comes in blocks of at most @limit bytes. Return: the status. */
static u8 packet(struct x *x, const u8 *bytes, u32 limit)
{
	out(x, SECONDARY + 1, 0);
	out(x, SECONDARY + 4, (u8)limit);
	out(x, SECONDARY + 5, (u8)(limit >> 8));
	assert_true(command(x, SECONDARY, 0xa0) & DRQ);
	assert_int_equal(in(x, SECONDARY + 2) & 3, 1);
	write_block(x, SECONDARY, bytes, 12);
	assert_int_equal(in(x, SECONDARY + STATUS), BSY);
	fixture_run_to(&x->f, x->f.now_ns + IDE_LATENCY_NS);
	return in(x, SECONDARY + 0x206);
}

/* All of the answer, block for block. Return: its bytes. */
static u32 answer(struct x *x, void *to, u32 limit)
{
	u32 sum = 0;

	while (in(x, SECONDARY + STATUS) & DRQ) {
		u32 n = in(x, SECONDARY + 4) | (u32)in(x, SECONDARY + 5) << 8;

		assert_int_equal(in(x, SECONDARY + 2) & 3, 2);
		assert_in_range(n, 1, limit);
		read_block(x, SECONDARY, (u8 *)to + sum, n);
		sum += n;
		assert_true(x->line[15]);
	}
	assert_int_equal(in(x, SECONDARY + 2) & 3, 3);
	return sum;
}

static void test_cd_read(void **state)
{
	struct x *x = *state;
	static u8 data[64 * 2048];
	const u8 read10[12] = {0x28, 0, 0, 0, 0, 3, 0, 0, 40},
		 read12[12] = {0xa8, 0, 0, 0, 0, 1, 0, 0, 0, 2};
	const u8 beyond[12] = {0x28, 0, 0, 0, 0, 48, 0, 0, 3}, none[12] = {0x28};
	const u8 sense[12] = {0x03, 0, 0, 0, 18}, capacity[12] = {0x25};
	u32 number;

	assert_true(packet(x, read10, 2048) & DRQ);
	assert_int_equal(answer(x, data, 2048), 40 * 2048);
	for (u32 i = 0; i < 40; i++) {
		memcpy(&number, data + i * 2048, 4);
		assert_int_equal(number, 3 + i);
		assert_int_equal(data[i * 2048 + 2047], (u8) ~(3 + i));
	}
	packet(x, read10, 3000);
	assert_int_equal(answer(x, data, 3000), 40 * 2048);
	assert_int_equal(data[39 * 2048], 42);
	packet(x, read12, 0);
	assert_int_equal(answer(x, data, 0xfffe), 2 * 2048);
	assert_int_equal(packet(x, none, 2048), DRDY | 0x10);
	assert_int_equal(packet(x, beyond, 2048), DRDY | ERR);
	assert_int_equal(in(x, SECONDARY + 1) >> 4, 5);
	packet(x, sense, 18);
	assert_int_equal(answer(x, data, 18), 18);
	assert_int_equal(data[2], 5);
	assert_int_equal(data[12], 0x21);
	packet(x, capacity, 8);
	assert_int_equal(answer(x, data, 8), 8);
	assert_int_equal(data[3], CD_BLOCKS - 1);
	assert_int_equal(data[6], 8);
}

static void test_cd_answers(void **state)
{
	struct x *x = *state;
	u8 data[256];
	const u8 inquiry[12] = {0x12, 0, 0, 0, 36}, toc[12] = {0x43, 0, 0, 0, 0, 0, 0, 0, 100};
	const u8 msf[12] = {0x43, 2, 0, 0, 0, 0, 0xaa, 0, 100},
		 config[12] = {0x46, 0, 0, 0, 0, 0, 0, 0, 100};
	const u8 event[12] = {0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8},
		 mode[12] = {0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 100};
	const u8 eject[12] = {0x1b, 0, 0, 0, 2}, write[12] = {0x2a, 0, 0, 0, 0, 0, 0, 0, 1},
		 ready[12] = {0};

	assert_int_equal(packet(x, ready, 0), DRDY | 0x10);
	packet(x, inquiry, 100);
	assert_int_equal(answer(x, data, 100), 36);
	assert_int_equal(data[0], 5);
	assert_memory_equal(data + 8, "nestor  CD-ROM", 14);
	packet(x, toc, 100);
	assert_int_equal(answer(x, data, 100), 20);
	assert_int_equal(data[1], 18);
	assert_int_equal(data[19], CD_BLOCKS);
	packet(x, msf, 100);
	assert_int_equal(answer(x, data, 100), 12);
	assert_int_equal(data[10], (CD_BLOCKS + 150) / 75);
	packet(x, config, 100);
	assert_int_equal(answer(x, data, 100), 8 + 28);
	assert_int_equal(data[7], 8);
	packet(x, event, 100);
	assert_int_equal(answer(x, data, 100), 8);
	assert_int_equal(data[5], 2);
	packet(x, mode, 100);
	assert_int_equal(answer(x, data, 100), 28);
	assert_int_equal(packet(x, eject, 0), DRDY | ERR);
	assert_int_equal(packet(x, write, 0), DRDY | ERR);
}

/* Whatever is written, nothing breaks, and a reset brings the drives back. */
static void test_garbage(void **state)
{
	struct x *x = *state;
	u64 seed = fixture_seed(1);
	static const u16 bases[] = {PRIMARY, SECONDARY};
	static const u8 codes[] = {0x20, 0x24, 0x30, 0x34, 0xa0, 0xc4,
				   0xc5, 0xc6, 0x90, 0x08, 0xa1, 0x91};

	for (u32 i = 0; i < 200000; i++) {
		u64 r = hash_u64(seed + i);
		u16 base = bases[r & 1], port = r >> 4 & 1 ? base : base + (r >> 1 & 7);

		if ((r >> 8 & 15) == 0)
			out(x, base + 0x206, (u8)(r >> 16));
		else if ((r >> 8 & 15) == 1)
			out(x, base + STATUS, codes[(r >> 16) % ARRAY_SIZE(codes)]);
		else if ((r >> 8 & 15) == 2)
			fixture_run_to(&x->f, x->f.now_ns + (r >> 16) % (2 * IDE_LATENCY_NS));
		else if (r >> 12 & 1)
			mem_port_read(x->f.bus.mem, port, 1u << (r >> 13 & 1));
		else
			mem_port_write(x->f.bus.mem, r >> 16 & 1 ? base : port, (u32)(r >> 20),
				       1u << (r >> 13) % 3);
	}
	bus_reset(&x->f.bus);
	assert_int_equal(in(x, SECONDARY + 4), 0x14);
	address(x, PRIMARY, 0x40, 500, 1);
	assert_true(command(x, PRIMARY, 0x20) & DRQ);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_presence), cmocka_unit_test(test_empty),
		TEST(test_identify), TEST(test_read),
		TEST(test_ext),	     TEST(test_multiple),
		TEST(test_write),    TEST(test_errors),
		TEST(test_cd_read),  TEST(test_cd_answers),
		TEST(test_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
