/* pit8254_test.c - l0/dev/pit8254: modes, latches, gate, and the edges of channel 0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "l0/arch/ports.h"
#include "l0/base/hash.h"
#include "l0/dev/pit8254.h"
#include "tests/unit/bus_fixture.h"

struct pit_fixture {
	struct bus_fixture f;
	bool line;
	u32 edges;
	u64 last_due;
};

static void line_changed(void *arg, u32 gsi, bool level, u32 source, u64 due_ns)
{
	struct pit_fixture *p = arg;

	assert_int_equal(gsi, GSI_PIT);
	p->line = level;
	if (level) {
		p->edges++;
		p->last_due = due_ns;
	}
}

static int setup(void **state)
{
	struct pit_fixture *p = calloc(1, sizeof(*p));
	int err;

	fixture_init(&p->f, 1);
	assert_int_equal(
		irq_add_sink(&p->f.bus.irq, &(struct irq_line){.set = line_changed, .arg = p}), 0);
	assert_non_null(pit_create(&p->f.bus, &err));
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	fixture_fini(&((struct pit_fixture *)*state)->f);
	free(*state);
	return 0;
}

static void out(struct pit_fixture *p, u16 port, u8 value)
{
	fixture_outb(&p->f, port, value);
}

static u8 in(struct pit_fixture *p, u16 port)
{
	return fixture_inb(&p->f, port);
}

static void program(struct pit_fixture *p, u32 channel, u32 mode, u16 count)
{
	out(p, PORT_PIT_CMD, (u8)(channel << 6 | 3 << 4 | mode << 1));
	out(p, (u16)(PORT_PIT_CH0 + channel), (u8)count);
	out(p, (u16)(PORT_PIT_CH0 + channel), (u8)(count >> 8));
}

static u16 read_count(struct pit_fixture *p, u32 channel)
{
	u16 port = (u16)(PORT_PIT_CH0 + channel);

	out(p, PORT_PIT_CMD, (u8)(channel << 6));
	u16 lsb = in(p, port);

	return (u16)(lsb | in(p, port) << 8);
}

/* The first nanosecond of a tick. */
static u64 ns_of(u64 tick)
{
	return (tick * NS_PER_SEC + PIT_HZ - 1) / PIT_HZ;
}

static void to_tick(struct pit_fixture *p, u64 tick)
{
	fixture_run_to(&p->f, ns_of(tick));
}

static void test_mode2(void **state)
{
	struct pit_fixture *p = *state;

	program(p, 0, 2, 1193);
	u32 before = p->edges;

	/* loaded at tick 1; the first edge a period later, then every 1193 ticks, exactly */
	fixture_run_to(&p->f, ns_of(1194) - 1);
	assert_int_equal(p->edges, before);
	for (u32 i = 1; i <= 1000; i++) {
		to_tick(p, 1 + 1193ull * i);
		assert_int_equal(p->edges, before + i);
		assert_int_equal(p->last_due, ns_of(1 + 1193ull * i));
	}
	u64 base = 1 + 1193ull * 1000;

	assert_int_equal(read_count(p, 0), 1193);
	to_tick(p, base + 100);
	assert_int_equal(read_count(p, 0), 1093);
	to_tick(p, base + 1192);
	assert_int_equal(read_count(p, 0), 1);
}

static void test_mode0(void **state)
{
	struct pit_fixture *p = *state;

	program(p, 0, 0, 1000);
	u32 before = p->edges;

	assert_false(p->line);
	to_tick(p, 1000);
	assert_false(p->line);
	assert_int_equal(read_count(p, 0), 1);
	to_tick(p, 1001);
	assert_true(p->line);
	assert_int_equal(p->edges, before + 1);
	to_tick(p, 1002);
	assert_int_equal(read_count(p, 0), 0xffff);
	to_tick(p, 500000);
	assert_int_equal(p->edges, before + 1);
	/* the first byte of a new count stops and lowers the output */
	out(p, PORT_PIT_CH0, 10);
	assert_false(p->line);
	out(p, PORT_PIT_CH0, 0);
	to_tick(p, 500020);
	assert_int_equal(p->edges, before + 2);
}

static void test_mode3(void **state)
{
	struct pit_fixture *p = *state;

	out(p, PORT_SYSTEM_B, 1);
	program(p, 2, 3, 100);
	for (u64 t = 1; t < 400; t++) {
		to_tick(p, t);
		bool high = (t - 1) % 100 < 50;

		assert_int_equal(!!(in(p, PORT_SYSTEM_B) & 0x20), high);
		assert_int_equal(read_count(p, 2), 100 - 2 * ((t - 1) % 50));
	}
}

static void test_modes_4_and_reload(void **state)
{
	struct pit_fixture *p = *state;

	program(p, 0, 4, 50);
	u32 before = p->edges;

	to_tick(p, 60);
	assert_int_equal(p->edges, before + 1);
	program(p, 0, 2, 100); /* loaded at tick 61 */
	before = p->edges;
	to_tick(p, 70);
	out(p, PORT_PIT_CH0, 200); /* takes effect at 161 */
	out(p, PORT_PIT_CH0, 0);
	to_tick(p, 160);
	assert_int_equal(read_count(p, 0), 1);
	to_tick(p, 161);
	assert_int_equal(p->edges, before + 1);
	to_tick(p, 170);
	assert_int_equal(read_count(p, 0), 191);
	to_tick(p, 360);
	assert_int_equal(p->edges, before + 1);
	to_tick(p, 361);
	assert_int_equal(p->edges, before + 2);
}

static void test_latch_and_readback(void **state)
{
	struct pit_fixture *p = *state;

	program(p, 0, 2, 0x1234);
	to_tick(p, 1);
	out(p, PORT_PIT_CMD, 0x00);
	to_tick(p, 500);
	assert_int_equal(in(p, PORT_PIT_CH0), 0x34);
	assert_int_equal(in(p, PORT_PIT_CH0), 0x12);
	out(p, PORT_PIT_CMD, 0xc2); /* count and status of channel 0 */
	assert_int_equal(in(p, PORT_PIT_CH0), 0xb4);
	u16 lsb = in(p, PORT_PIT_CH0);

	assert_int_equal(lsb | in(p, PORT_PIT_CH0) << 8, 0x1234 - 499);
	out(p, PORT_PIT_CMD, 0x34);
	out(p, PORT_PIT_CMD, 0xe2); /* status only: no count yet */
	assert_int_equal(in(p, PORT_PIT_CH0) & 0x40, 0x40);
	/* single-byte access modes */
	out(p, PORT_PIT_CMD, 0x14);
	out(p, PORT_PIT_CH0, 0x80);
	to_tick(p, 501);
	assert_int_equal(in(p, PORT_PIT_CH0), 0x80);
	assert_int_equal(in(p, PORT_PIT_CH0), 0x80);
	assert_int_equal(in(p, PORT_PIT_CMD), 0xff);
}

static void test_bcd(void **state)
{
	struct pit_fixture *p = *state;

	out(p, PORT_PIT_CMD, 0x35);
	out(p, PORT_PIT_CH0, 0x00);
	out(p, PORT_PIT_CH0, 0x10); /* 1000 */
	to_tick(p, 2);
	assert_int_equal(read_count(p, 0), 0x0999);
	to_tick(p, 1001);
	assert_int_equal(read_count(p, 0), 0x1000);
}

/* How Linux calibrates its TSC: mode 0 on channel 2, gate by port 0x61, poll the output. */
static void test_gate(void **state)
{
	struct pit_fixture *p = *state;

	out(p, PORT_SYSTEM_B, 0);
	program(p, 2, 0, 11931);
	to_tick(p, 50000);
	assert_int_equal(in(p, PORT_SYSTEM_B) & 0x21, 0);
	out(p, PORT_SYSTEM_B, 1);
	to_tick(p, 50000 + 6000);
	assert_int_equal(in(p, PORT_SYSTEM_B) & 0x21, 0x01);
	out(p, PORT_SYSTEM_B, 0); /* halts the counting */
	to_tick(p, 100000);
	out(p, PORT_SYSTEM_B, 1);
	to_tick(p, 100000 + 5930);
	assert_int_equal(in(p, PORT_SYSTEM_B) & 0x20, 0);
	to_tick(p, 100000 + 5932);
	assert_int_equal(in(p, PORT_SYSTEM_B) & 0x20, 0x20);
}

static void test_one_shot_by_gate(void **state)
{
	struct pit_fixture *p = *state;

	program(p, 2, 1, 100);
	assert_int_equal(in(p, PORT_SYSTEM_B) & 0x20, 0x20);
	to_tick(p, 10);
	out(p, PORT_SYSTEM_B, 1);
	to_tick(p, 12);
	assert_int_equal(in(p, PORT_SYSTEM_B) & 0x20, 0);
	to_tick(p, 111);
	assert_int_equal(in(p, PORT_SYSTEM_B) & 0x20, 0x20);
}

/* Late expiry, as under the host's clock: one edge at once, those that were missed as each is
 * taken, and the next one in step. */
static void test_late(void **state)
{
	struct pit_fixture *p = *state;

	program(p, 0, 2, 1000);
	u32 before = p->edges;

	p->f.now_ns = ns_of(10500);
	assert_true(bus_expire(&p->f.bus, p->f.now_ns) >= 1);
	assert_int_equal(p->edges, before + 1);
	assert_int_equal(bus_next_deadline(&p->f.bus), ns_of(11001));
	for (u32 i = 1; i < 10; i++) {
		assert_int_equal(p->f.bus.irq.owing, 1u << GSI_PIT);
		irq_taken_slow(&p->f.bus.irq, p->f.now_ns);
		assert_int_equal(p->edges, before + 1 + i);
	}
	assert_int_equal(p->f.bus.irq.owing, 0);
	/* what was missed is not owed after new programming, nor when it comes too fast */
	p->f.now_ns = ns_of(20500);
	bus_expire(&p->f.bus, p->f.now_ns);
	assert_int_equal(p->f.bus.irq.owing, 1u << GSI_PIT);
	program(p, 0, 2, 100);
	assert_int_equal(p->f.bus.irq.owing, 0);
	p->f.now_ns = ns_of(30500);
	bus_expire(&p->f.bus, p->f.now_ns);
	assert_int_equal(p->f.bus.irq.owing, 0);
}

static void test_garbage(void **state)
{
	struct pit_fixture *p = *state;
	u64 rng = fixture_seed(0x8254);

	for (int i = 0; i < 100000; i++) {
		u16 port = (u16)(PORT_PIT_CH0 + rng_below(&rng, 5));

		if (port == PORT_PIT_CH0 + 4)
			port = PORT_SYSTEM_B;
		if (rng_below(&rng, 3))
			mem_port_write(p->f.bus.mem, port, (u32)rng_next(&rng),
				       1u << rng_below(&rng, 3));
		else
			mem_port_read(p->f.bus.mem, port, 1u << rng_below(&rng, 3));
		p->f.now_ns += rng_below(&rng, 3000000);
		bus_expire(&p->f.bus, p->f.now_ns);
		assert_true(bus_next_deadline(&p->f.bus) > p->f.now_ns);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_mode2),
		T(test_mode0),
		T(test_mode3),
		T(test_modes_4_and_reload),
		T(test_latch_and_readback),
		T(test_bcd),
		T(test_gate),
		T(test_one_shot_by_gate),
		T(test_late),
		T(test_garbage),
	};

	return cmocka_run_group_tests_name("pit8254", tests, NULL, NULL);
}
