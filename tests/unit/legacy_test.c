/* legacy_test.c - l0/dev: clock, keyboard controller, reset ports, ACPI fixed hardware, HPET */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "l0/arch/ports.h"
#include "l0/base/hash.h"
#include "l0/dev/acpi_pm.h"
#include "l0/dev/hpet.h"
#include "l0/dev/i8042.h"
#include "l0/dev/pci.h"
#include "l0/dev/pit8254.h"
#include "l0/dev/reset_ports.h"
#include "l0/dev/rtc.h"
#include "l0/dev/testdev.h"
#include "tests/unit/bus_fixture.h"

struct legacy_fixture {
	struct bus_fixture f;
	struct acpi_pm *pm;
	struct pci_host *pci;
	struct pci_function fn;
	u64 written;
	bool line[IRQ_GSI_COUNT];
	u32 rises[IRQ_GSI_COUNT];
	u32 edges[IRQ_GSI_COUNT];
	u64 due_ns;
};

static void line_changed(void *arg, u32 gsi, bool level, u32 source, u64 due_ns)
{
	struct legacy_fixture *x = arg;

	x->rises[gsi] += level && !x->line[gsi];
	x->line[gsi] = level;
	x->edges[gsi] += level;
	x->due_ns = due_ns;
}

static int setup(void **state)
{
	struct legacy_fixture *x = calloc(1, sizeof(*x));
	int err;

	fixture_init(&x->f, 1);
	assert_int_equal(
		irq_add_sink(&x->f.bus.irq, &(struct irq_line){.set = line_changed, .arg = x}), 0);
	assert_int_equal(rtc_create(&x->f.bus, RTC_EPOCH_VIRTUAL), 0);
	assert_int_equal(i8042_create(&x->f.bus), 0);
	assert_int_equal(reset_ports_create(&x->f.bus), 0);
	assert_int_equal(hpet_create(&x->f.bus), 0);
	assert_int_equal(testdev_create(&x->f.bus), 0);
	x->pci = pci_host_create(&x->f.bus, &err);
	assert_non_null(x->pci);
	x->pm = acpi_pm_create(&x->f.bus, &err);
	assert_non_null(x->pm);
	assert_non_null(pit_create(&x->f.bus, &err));
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	fixture_fini(&((struct legacy_fixture *)*state)->f);
	free(*state);
	return 0;
}

static u8 in(struct legacy_fixture *x, u16 port)
{
	return fixture_inb(&x->f, port);
}

static void out(struct legacy_fixture *x, u16 port, u8 value)
{
	fixture_outb(&x->f, port, value);
}

static u8 cmos(struct legacy_fixture *x, u8 cell)
{
	out(x, PORT_CMOS_INDEX, cell);
	return in(x, PORT_CMOS_DATA);
}

static void set_cmos(struct legacy_fixture *x, u8 cell, u8 value)
{
	out(x, PORT_CMOS_INDEX, cell);
	out(x, PORT_CMOS_DATA, value);
}

static void assert_date(struct legacy_fixture *x, u32 century, u32 year, u32 month, u32 day,
			u32 hour, u32 minute, u32 second)
{
	assert_int_equal(cmos(x, 0x32), century);
	assert_int_equal(cmos(x, 9), year);
	assert_int_equal(cmos(x, 8), month);
	assert_int_equal(cmos(x, 7), day);
	assert_int_equal(cmos(x, 4), hour);
	assert_int_equal(cmos(x, 2), minute);
	assert_int_equal(cmos(x, 0), second);
}

static void test_rtc_date(void **state)
{
	struct legacy_fixture *x = *state;

	assert_date(x, 0x20, 0x24, 0x01, 0x01, 0, 0, 0);
	assert_int_equal(cmos(x, 6), 2); /* a Monday */
	assert_int_equal(cmos(x, 0x0d), 0x80);
	fixture_run_to(&x->f, (59 * 86400ull + 3723) * NS_PER_SEC);
	assert_date(x, 0x20, 0x24, 0x02, 0x29, 0x01, 0x02, 0x03);
	fixture_run_to(&x->f, (365 * 86400ull + 86399) * NS_PER_SEC);
	assert_date(x, 0x20, 0x24, 0x12, 0x31, 0x23, 0x59, 0x59);
	set_cmos(x, 0x0b, 0x04); /* binary, 12 hours */
	assert_int_equal(cmos(x, 4), 0x80 | 11);
	assert_int_equal(cmos(x, 9), 24);
	set_cmos(x, 0x0b, 0x86); /* stop, set 1999-12-31 23:59:58, go */
	set_cmos(x, 0x32, 19);
	set_cmos(x, 9, 99);
	set_cmos(x, 8, 12);
	set_cmos(x, 7, 31);
	set_cmos(x, 4, 23);
	set_cmos(x, 2, 59);
	set_cmos(x, 0, 58);
	fixture_run_to(&x->f, x->f.now_ns + 10 * NS_PER_SEC);
	assert_int_equal(cmos(x, 0), 58);
	set_cmos(x, 0x0b, 0x06);
	fixture_run_to(&x->f, x->f.now_ns + 3 * NS_PER_SEC);
	assert_date(x, 20, 0, 1, 1, 0, 0, 1);
	assert_int_equal(cmos(x, 0x0a) & 0x80, 0);
	fixture_run_to(&x->f, x->f.now_ns / NS_PER_SEC * NS_PER_SEC + NS_PER_SEC - 1000);
	assert_int_equal(cmos(x, 0x0a) & 0x80, 0x80);
	assert_int_equal(cmos(x, 0x15) | cmos(x, 0x16) << 8, 640);
	assert_int_equal(cmos(x, 0x30) | cmos(x, 0x31) << 8, 3072);
	set_cmos(x, 0x40, 0xab);
	assert_int_equal(cmos(x, 0x40), 0xab);
}

static void test_rtc_interrupts(void **state)
{
	struct legacy_fixture *x = *state;

	set_cmos(x, 0x0a, 0x26); /* 1024 Hz */
	set_cmos(x, 0x0b, 0x42);
	fixture_run_to(&x->f, 976562);
	assert_true(x->line[8]);
	assert_int_equal(x->due_ns, 976562);
	assert_int_equal(cmos(x, 0x0c), 0xc0);
	assert_false(x->line[8]);
	fixture_run_to(&x->f, 976562 * 2);
	assert_true(x->line[8]);
	cmos(x, 0x0c);
	set_cmos(x, 0x0b, 0x12); /* update ended */
	fixture_run_to(&x->f, NS_PER_SEC);
	assert_true(x->line[8]);
	assert_int_equal(cmos(x, 0x0c) & 0x90, 0x90);
	set_cmos(x, 0x0b, 0x22); /* alarm at 00:00:05 */
	set_cmos(x, 1, 5);
	set_cmos(x, 3, 0);
	set_cmos(x, 5, 0xff);
	fixture_run_to(&x->f, 5 * NS_PER_SEC - 1);
	assert_false(x->line[8]);
	fixture_run_to(&x->f, 5 * NS_PER_SEC);
	assert_true(x->line[8]);
	assert_int_equal(cmos(x, 0x0c) & 0xa0, 0xa0);
	set_cmos(x, 0x0b, 0x02);
	assert_int_equal(bus_next_deadline(&x->f.bus), TIMER_NEVER);
}

static void test_i8042(void **state)
{
	struct legacy_fixture *x = *state;
	u32 edges;

	assert_int_equal(in(x, PORT_KBD_CMD) & 0x01, 0);
	out(x, PORT_KBD_CMD, 0xaa);
	assert_int_equal(in(x, PORT_KBD_CMD) & 0x09, 0x09);
	assert_int_equal(in(x, PORT_KBD_DATA), 0x55);
	assert_int_equal(in(x, PORT_KBD_CMD) & 0x01, 0);
	out(x, PORT_KBD_CMD, 0x60);
	out(x, PORT_KBD_DATA, 0x65);
	out(x, PORT_KBD_CMD, 0x20);
	assert_int_equal(in(x, PORT_KBD_DATA), 0x65);
	out(x, PORT_KBD_DATA, 0xf2); /* identify */
	assert_true(x->line[1]);
	/* IRQ 1 is an edge: every byte has one of its own, or a driver waits for the second for
	 * ever */
	edges = x->rises[1];
	assert_int_equal(in(x, PORT_KBD_DATA), 0xfa);
	assert_int_equal(x->rises[1], edges + 1);
	assert_int_equal(in(x, PORT_KBD_DATA), 0xab);
	assert_int_equal(x->rises[1], edges + 2);
	assert_int_equal(in(x, PORT_KBD_DATA), 0x83);
	assert_int_equal(x->rises[1], edges + 2);
	assert_false(x->line[1]);
	out(x, PORT_KBD_CMD, 0xd1);
	out(x, PORT_KBD_DATA, 0xcd);
	assert_false(x->f.a20);
	out(x, PORT_KBD_CMD, 0xd1);
	out(x, PORT_KBD_DATA, 0xcf);
	assert_true(x->f.a20);
	assert_int_equal(x->f.resets, 0);
	out(x, PORT_KBD_CMD, 0xfe);
	assert_int_equal(x->f.resets, 1);
	assert_int_equal(x->f.reset_kind, BUS_RESET_HARD);
}

static void test_reset_ports(void **state)
{
	struct legacy_fixture *x = *state;

	assert_int_equal(in(x, PORT_SYSTEM_A), 2);
	out(x, PORT_SYSTEM_A, 0);
	assert_false(x->f.a20);
	out(x, PORT_SYSTEM_A, 2);
	assert_true(x->f.a20);
	out(x, PORT_SYSTEM_A, 3);
	out(x, PORT_SYSTEM_A, 3);
	assert_int_equal(x->f.resets, 1);
	assert_int_equal(x->f.reset_kind, BUS_RESET_INIT);
	out(x, PORT_RESET, 0x02);
	assert_int_equal(in(x, PORT_RESET), 0x02);
	assert_int_equal(x->f.resets, 1);
	out(x, PORT_RESET, 0x06);
	assert_int_equal(x->f.resets, 2);
	assert_int_equal(x->f.reset_kind, BUS_RESET_HARD);
	out(x, PORT_POST, 0x5a);
	assert_int_equal(in(x, PORT_POST), 0x5a);
}

static u64 fn_read(void *dev, u64 offset, unsigned int size)
{
	return 0x1000 + offset;
}

static void fn_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	((struct legacy_fixture *)dev)->written = offset << 32 | value;
}

static const struct mmio_ops fn_ops = {.read = fn_read, .write = fn_write};

static u32 config(struct legacy_fixture *x, u32 slot, u32 off)
{
	mem_port_write(x->f.bus.mem, 0xcf8, 0x80000000 | slot << 11 | off, 4);
	return mem_port_read(x->f.bus.mem, 0xcfc, 4);
}

static void set_config(struct legacy_fixture *x, u32 slot, u32 off, u32 value)
{
	mem_port_write(x->f.bus.mem, 0xcf8, 0x80000000 | slot << 11 | off, 4);
	mem_port_write(x->f.bus.mem, 0xcfc, value, 4);
}

static void test_pci(void **state)
{
	struct legacy_fixture *x = *state;
	struct mem *m = x->f.bus.mem;

	x->fn.name = "test";
	pci_put16(&x->fn, PCI_VENDOR, 0x1af4);
	x->fn.bar[1].bytes = 4096;
	x->fn.bar[1].ops = &fn_ops;
	x->fn.bar[1].dev = x;
	assert_int_equal(pci_add(x->pci, &x->fn), 0);
	assert_int_equal(config(x, 0, 0), 0x12378086);
	assert_int_equal(config(x, 1, 0), 0x00001af4);
	assert_int_equal(config(x, 2, 0), 0xffffffff);
	mem_port_write(m, 0xcf8, 0x80010000, 4); /* bus 1 */
	assert_int_equal(mem_port_read(m, 0xcfc, 4), 0xffffffff);
	assert_int_equal(mem_port_read(m, 0xcf8, 4), 0x80010000);
	set_config(x, 1, 0x14, 0xffffffff);
	assert_int_equal(config(x, 1, 0x14), 0xfffff000);
	set_config(x, 1, 0x10, 0xffffffff);
	assert_int_equal(config(x, 1, 0x10), 0);
	set_config(x, 1, 0x14, 0xd0000000);
	assert_null(mem_mmio(m, 0xd0000000));
	set_config(x, 1, 4, 2);
	assert_int_equal(mem_mmio_read(m, 0xd0000010, 4), 0x1010);
	set_config(x, 1, 0x14, 0xd8000000);
	assert_null(mem_mmio(m, 0xd0000000));
	mem_mmio_write(m, 0xd8000008, 7, 4);
	assert_int_equal(x->written, 0x800000007ull);
	set_config(x, 1, 0x14, 0x00100000); /* over RAM: decoded nowhere */
	assert_null(mem_mmio(m, 0xd8000000));
	pci_set_intx(&x->fn, true, 5);
	assert_true(x->line[17]);
	assert_int_equal(config(x, 1, 4) >> 16 & 8, 8);
	set_config(x, 1, 4, 0x402); /* interrupts off */
	assert_false(x->line[17]);
	set_config(x, 1, 4, 0x002);
	assert_true(x->line[17]);
	bus_reset(&x->f.bus);
	assert_false(x->line[17]);
	assert_int_equal(config(x, 1, 4) & 0xffff, 0);
	/* one byte at 0xcf9 is the reset register, whatever the address */
	out(x, PORT_RESET, 0x0e);
	assert_int_equal(x->f.reset_kind, BUS_RESET_HARD);
}

static void test_testdev(void **state)
{
	struct legacy_fixture *x = *state;
	struct mem *m = x->f.bus.mem;

	mem_port_write(m, 0xe0, 0x12345678, 4);
	mem_port_write(m, 0xe1, 0xab, 1);
	assert_int_equal(mem_port_read(m, 0xe0, 4), 0x1234ab78);
	assert_int_equal(mem_port_read(m, 0xe2, 2), 0x1234);
	out(x, 0xe8, 0x5a);
	assert_int_equal(in(x, 0xe8), 0x5a);
	out(x, 0x2000 + 14, 1);
	assert_true(x->line[14]);
	out(x, 0x2000 + 14, 0);
	assert_false(x->line[14]);
	mem_mmio_write(m, TESTDEV_MEMORY + 0xfff8, 0x1122334455667788, 8);
	assert_int_equal(mem_mmio_read(m, TESTDEV_MEMORY + 0xfffc, 4), 0x11223344);
}

static void test_acpi_pm(void **state)
{
	struct legacy_fixture *x = *state;
	struct mem *m = x->f.bus.mem;

	fixture_run_to(&x->f, NS_PER_SEC);
	assert_int_equal(mem_port_read(m, PORT_ACPI_PM + 8, 4), ACPI_PM_HZ);
	assert_int_equal(mem_port_read(m, PORT_ACPI_PM + 4, 2), 1);
	mem_port_write(m, PORT_ACPI_PM + 2, 0x0100, 2);
	acpi_pm_power_button(x->pm);
	assert_true(x->line[GSI_ACPI]);
	assert_int_equal(mem_port_read(m, PORT_ACPI_PM, 2), 0x0100);
	mem_port_write(m, PORT_ACPI_PM, 0x0100, 2);
	assert_false(x->line[GSI_ACPI]);
	mem_port_write(m, PORT_ACPI_PM + 2, 0x0001, 2);
	u64 overflow = ((1ull << 31) * NS_PER_SEC + ACPI_PM_HZ - 1) / ACPI_PM_HZ;

	fixture_run_to(&x->f, overflow - 1);
	assert_false(x->line[GSI_ACPI]);
	fixture_run_to(&x->f, overflow);
	assert_true(x->line[GSI_ACPI]);
	mem_port_write(m, PORT_ACPI_PM + 4, 0x2000, 2); /* another type than S5 */
	assert_int_equal(x->f.resets, 0);
	mem_port_write(m, PORT_ACPI_PM + 4, 0x2000 | ACPI_SLP_TYP_S5 << 10, 2);
	assert_int_equal(x->f.resets, 1);
	assert_int_equal(x->f.reset_kind, BUS_POWER_OFF);
}

#define HPET HPET_BASE_DEFAULT

static void test_hpet(void **state)
{
	struct legacy_fixture *x = *state;
	struct mem *m = x->f.bus.mem;

	assert_int_equal(mem_mmio_read(m, HPET, 8), 0x009896808086a201ull);
	assert_int_equal(fixture_read32(&x->f, HPET + 4), 10000000);
	assert_int_equal(fixture_read32(&x->f, HPET + 0xf0), 0);
	fixture_run_to(&x->f, 1000);
	mem_mmio_write(m, HPET + 0x10, 1, 8);
	fixture_run_to(&x->f, 2000);
	assert_int_equal(fixture_read32(&x->f, HPET + 0xf0), 100);
	/* one shot on line 20, edge */
	mem_mmio_write(m, HPET + 0x100, 20 << 9 | 4, 8);
	mem_mmio_write(m, HPET + 0x108, 150, 8);
	fixture_run_to(&x->f, 2499);
	assert_int_equal(x->edges[20], 0);
	fixture_run_to(&x->f, 100000);
	assert_int_equal(x->edges[20], 1);
	assert_int_equal(x->due_ns, 2500);
	/* periodic on line 21, level: value, then period */
	u64 now = mem_mmio_read(m, HPET + 0xf0, 8);

	mem_mmio_write(m, HPET + 0x120, 21 << 9 | 0x4e, 8);
	mem_mmio_write(m, HPET + 0x128, now + 100, 8);
	mem_mmio_write(m, HPET + 0x128, 50, 8);
	fixture_run_to(&x->f, 101000);
	assert_true(x->line[21]);
	assert_int_equal(fixture_read32(&x->f, HPET + 0x20), 2);
	mem_mmio_write(m, HPET + 0x20, 2, 8);
	assert_false(x->line[21]);
	fixture_run_to(&x->f, 101500);
	assert_true(x->line[21]);
	assert_int_equal(mem_mmio_read(m, HPET + 0x128, 8), now + 200);
	/* stopping the counter stops the matches */
	mem_mmio_write(m, HPET + 0x10, 0, 8);
	assert_int_equal(bus_next_deadline(&x->f.bus), TIMER_NEVER);
	/* a line that it may not have reads back as 0 */
	mem_mmio_write(m, HPET + 0x140, 4 << 9, 8);
	assert_int_equal(fixture_read32(&x->f, HPET + 0x140) & 0x3e00, 0);
}

/* A late host: what a periodic comparator missed is raised again as interrupts are taken. */
static void test_hpet_late(void **state)
{
	struct legacy_fixture *x = *state;
	struct mem *m = x->f.bus.mem;

	mem_mmio_write(m, HPET + 0x100, 20 << 9 | 0x4c, 8);
	mem_mmio_write(m, HPET + 0x108, 100000, 8); /* every millisecond */
	mem_mmio_write(m, HPET + 0x10, 1, 8);
	x->f.now_ns = 5500000;
	bus_expire(&x->f.bus, x->f.now_ns);
	assert_int_equal(x->edges[20], 1);
	for (u32 i = 2; i <= 5; i++) {
		assert_int_equal(x->f.bus.irq.owing, 1u << 20);
		irq_taken_slow(&x->f.bus.irq, x->f.now_ns);
		assert_int_equal(x->edges[20], i);
	}
	assert_int_equal(x->f.bus.irq.owing, 0);
	assert_int_equal(bus_next_deadline(&x->f.bus), 6000000);
	x->f.now_ns = 9500000;
	bus_expire(&x->f.bus, x->f.now_ns);
	mem_mmio_write(m, HPET + 0x10, 0, 8);
	assert_int_equal(x->f.bus.irq.owing, 0);
}

/* Legacy routing: comparator 0 takes line 0 from the PIT, which gets it back. */
static void test_hpet_legacy(void **state)
{
	struct legacy_fixture *x = *state;
	struct mem *m = x->f.bus.mem;

	out(x, PORT_PIT_CMD, 0x34);
	out(x, PORT_PIT_CH0, 0);
	out(x, PORT_PIT_CH0, 4);
	assert_true(x->line[0]);
	mem_mmio_write(m, HPET + 0x10, 3, 8);
	assert_false(x->line[0]);
	u32 before = x->edges[0];

	mem_mmio_write(m, HPET + 0x100, 0x4, 8);
	mem_mmio_write(m, HPET + 0x108, 1000, 8);
	fixture_run_to(&x->f, 9999);
	assert_int_equal(x->edges[0], before);
	fixture_run_to(&x->f, 5000000);
	assert_int_equal(x->edges[0], before + 1);
	mem_mmio_write(m, HPET + 0x10, 0, 8);
	before = x->edges[0];
	fixture_run_to(&x->f, 10000000);
	assert_true(x->edges[0] > before);
}

static void test_garbage(void **state)
{
	struct legacy_fixture *x = *state;
	struct mem *m = x->f.bus.mem;
	static const u16 ports[] = {0x60, 0x64,	 0x70,	0x71,  0x71,  0x92,  0xcf9,
				    0x80, 0x600, 0x602, 0x604, 0x608, 0x60f, 0x601};
	u64 rng = fixture_seed(0x1e6a);

	for (int i = 0; i < 200000; i++) {
		u16 port = ports[rng_below(&rng, ARRAY_SIZE(ports))];
		u64 at = HPET + rng_below(&rng, 0x80) * 4;
		unsigned int size = 1u << rng_below(&rng, 3);

		switch (rng_below(&rng, 4)) {
		case 0: mem_port_read(m, port, size); break;
		case 1: mem_port_write(m, port, (u32)rng_next(&rng), size); break;
		case 2: mem_mmio_read(m, at, 4u << rng_below(&rng, 2)); break;
		default:
			mem_mmio_write(m, at, rng_next(&rng) >> rng_below(&rng, 64),
				       4u << rng_below(&rng, 2));
		}
		x->f.now_ns += rng_below(&rng, 1000000);
		bus_expire(&x->f.bus, x->f.now_ns);
		assert_true(bus_next_deadline(&x->f.bus) > x->f.now_ns);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_rtc_date),    T(test_rtc_interrupts), T(test_i8042),
		T(test_reset_ports), T(test_acpi_pm),	     T(test_pci),
		T(test_testdev),     T(test_hpet),	     T(test_hpet_late),
		T(test_hpet_legacy), T(test_garbage),
	};

	return cmocka_run_group_tests_name("legacy", tests, NULL, NULL);
}
