/* pic8259_test.c - l0/dev/pic8259: command words, priorities, cascade, spurious interrupts */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "l0/arch/ports.h"
#include "l0/base/hash.h"
#include "l0/dev/pic8259.h"
#include "tests/unit/bus_fixture.h"

#define M_CMD PORT_PIC1_CMD
#define M_DATA PORT_PIC1_DATA
#define S_CMD PORT_PIC2_CMD
#define S_DATA PORT_PIC2_DATA

struct pic_fixture {
	struct bus_fixture f;
	struct pic *pic;
};

static void out(struct pic_fixture *p, u16 port, u8 value)
{
	fixture_outb(&p->f, port, value);
}

static u8 in(struct pic_fixture *p, u16 port)
{
	return fixture_inb(&p->f, port);
}

static void program(struct pic_fixture *p, u8 icw4)
{
	out(p, M_CMD, 0x11);
	out(p, M_DATA, 0x20);
	out(p, M_DATA, 0x04);
	out(p, M_DATA, icw4);
	out(p, S_CMD, 0x11);
	out(p, S_DATA, 0x28);
	out(p, S_DATA, 0x02);
	out(p, S_DATA, icw4 & ~0x10);
	out(p, M_DATA, 0);
	out(p, S_DATA, 0);
}

static int setup(void **state)
{
	struct pic_fixture *p = calloc(1, sizeof(*p));
	int err;

	fixture_init(&p->f, 1);
	p->pic = pic_create(&p->f.bus, &err);
	assert_non_null(p->pic);
	program(p, 1);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	fixture_fini(&((struct pic_fixture *)*state)->f);
	free(*state);
	return 0;
}

static void line(struct pic_fixture *p, u32 gsi, bool level)
{
	irq_set(&p->f.bus.irq, gsi, INTR_SOURCE_DEVICE, level, p->f.now_ns);
}

static u8 ack(struct pic_fixture *p)
{
	return pic_ack(p->pic, NULL);
}

static void test_basic(void **state)
{
	struct pic_fixture *p = *state;
	u64 due;

	assert_false(p->f.intr[0]);
	p->f.now_ns = 777;
	line(p, 3, true);
	assert_true(p->f.intr[0]);
	p->f.now_ns = 900;
	assert_int_equal(in(p, M_CMD), 0x08); /* IRR */
	assert_int_equal(pic_ack(p->pic, &due), 0x23);
	assert_int_equal(due, 777);
	assert_false(p->f.intr[0]);
	assert_int_equal(in(p, M_CMD), 0);
	out(p, M_CMD, 0x0b); /* read ISR from now on */
	assert_int_equal(in(p, M_CMD), 0x08);
	line(p, 4, true); /* lower priority: waits */
	assert_false(p->f.intr[0]);
	line(p, 1, true); /* higher: nests */
	assert_true(p->f.intr[0]);
	assert_int_equal(ack(p), 0x21);
	out(p, M_CMD, 0x20);
	assert_int_equal(in(p, M_CMD), 0x08);
	out(p, M_CMD, 0x63); /* specific EOI 3 */
	assert_true(p->f.intr[0]);
	assert_int_equal(ack(p), 0x24);
}

static void test_masking(void **state)
{
	struct pic_fixture *p = *state;

	out(p, M_DATA, 0xff);
	line(p, 5, true);
	assert_false(p->f.intr[0]);
	assert_int_equal(in(p, M_DATA), 0xff);
	out(p, M_DATA, 0xdf);
	assert_true(p->f.intr[0]);
	assert_int_equal(ack(p), 0x25);
}

/* An edge outlives its line; a level does not, and a cycle without a request yields input 7. */
static void test_spurious(void **state)
{
	struct pic_fixture *p = *state;

	line(p, 3, true);
	line(p, 3, false);
	assert_true(p->f.intr[0]);
	assert_int_equal(ack(p), 0x23);
	out(p, M_CMD, 0x20);
	line(p, 3, true);
	assert_int_equal(ack(p), 0x23);
	out(p, M_CMD, 0x20);
	assert_false(p->f.intr[0]); /* still high: no second edge */
	out(p, PORT_PIC1_ELCR, 0x20);
	line(p, 5, true);
	line(p, 5, false);
	assert_false(p->f.intr[0]);
	assert_int_equal(ack(p), 0x27);
	out(p, M_CMD, 0x0b);
	assert_int_equal(in(p, M_CMD), 0);
}

static void test_cascade(void **state)
{
	struct pic_fixture *p = *state;

	line(p, 12, true);
	assert_true(p->f.intr[0]);
	assert_int_equal(ack(p), 0x2c);
	assert_false(p->f.intr[0]);
	line(p, 8, true); /* higher on the slave, but the master serves input 2 */
	assert_false(p->f.intr[0]);
	line(p, 1, true);
	assert_int_equal(ack(p), 0x21);
	out(p, M_CMD, 0x20);
	out(p, S_CMD, 0x20);
	assert_false(p->f.intr[0]);
	out(p, M_CMD, 0x20);
	assert_true(p->f.intr[0]);
	assert_int_equal(ack(p), 0x28);
	out(p, S_CMD, 0x20);
	out(p, M_CMD, 0x20);
	line(p, 9, true);
	out(p, S_DATA, 0xff); /* masked between request and acknowledge */
	assert_false(p->f.intr[0]);
}

static void test_special_fully_nested(void **state)
{
	struct pic_fixture *p = *state;

	program(p, 0x11);
	line(p, 12, true);
	assert_int_equal(ack(p), 0x2c);
	line(p, 8, true);
	assert_true(p->f.intr[0]);
	assert_int_equal(ack(p), 0x28);
}

static void test_level(void **state)
{
	struct pic_fixture *p = *state;

	out(p, PORT_PIC1_ELCR, 0xff);
	out(p, PORT_PIC2_ELCR, 0xff);
	assert_int_equal(in(p, PORT_PIC1_ELCR), 0xf8);
	assert_int_equal(in(p, PORT_PIC2_ELCR), 0xde);
	line(p, 5, true);
	assert_int_equal(ack(p), 0x25);
	out(p, M_CMD, 0x20);
	assert_true(p->f.intr[0]); /* asks again while the line is high */
	assert_int_equal(ack(p), 0x25);
	line(p, 5, false);
	out(p, M_CMD, 0x20);
	assert_false(p->f.intr[0]);
}

static void test_shared_line(void **state)
{
	struct pic_fixture *p = *state;

	out(p, PORT_PIC1_ELCR, 0x20);
	irq_set(&p->f.bus.irq, 5, INTR_SOURCE_DEVICE, true, 0);
	irq_set(&p->f.bus.irq, 5, INTR_SOURCE_UART, true, 0);
	irq_set(&p->f.bus.irq, 5, INTR_SOURCE_DEVICE, false, 0);
	assert_true(p->f.intr[0]);
	irq_set(&p->f.bus.irq, 5, INTR_SOURCE_UART, false, 0);
	assert_false(p->f.intr[0]);
}

static void test_auto_eoi_and_rotation(void **state)
{
	struct pic_fixture *p = *state;

	program(p, 0x03);
	out(p, M_CMD, 0x80); /* rotate in automatic EOI mode */
	out(p, M_CMD, 0x0b);
	line(p, 0, true);
	line(p, 1, true);
	assert_int_equal(ack(p), 0x20);
	assert_int_equal(in(p, M_CMD), 0);
	line(p, 0, false);
	line(p, 0, true); /* now the lowest */
	assert_int_equal(ack(p), 0x21);
	assert_int_equal(ack(p), 0x20);
	program(p, 1);
	out(p, M_CMD, 0xc4); /* set priority: 5 is the highest */
	line(p, 0, false);
	line(p, 0, true);
	line(p, 5, true);
	assert_int_equal(ack(p), 0x25);
	out(p, M_CMD, 0xa0); /* rotate on non-specific EOI: 5 is the lowest */
	line(p, 5, false);
	line(p, 5, true);
	assert_int_equal(ack(p), 0x20);
}

static void test_special_mask(void **state)
{
	struct pic_fixture *p = *state;

	line(p, 1, true);
	assert_int_equal(ack(p), 0x21);
	line(p, 6, true);
	assert_false(p->f.intr[0]);
	out(p, M_DATA, 0x02);
	out(p, M_CMD, 0x68);
	assert_true(p->f.intr[0]);
	out(p, M_CMD, 0x48);
	assert_false(p->f.intr[0]);
}

static void test_poll(void **state)
{
	struct pic_fixture *p = *state;

	out(p, M_CMD, 0x0c);
	assert_int_equal(in(p, M_CMD), 0);
	line(p, 6, true);
	out(p, M_CMD, 0x0c);
	assert_int_equal(in(p, M_CMD), 0x86);
	out(p, M_CMD, 0x0b);
	assert_int_equal(in(p, M_CMD), 0x40);
	assert_false(p->f.intr[0]);
}

/* Any writes: the output always says whether an acknowledge cycle finds something. */
static void test_random(void **state)
{
	struct pic_fixture *p = *state;
	static const u16 ports[] = {M_CMD, M_DATA, S_CMD, S_DATA, PORT_PIC1_ELCR, PORT_PIC2_ELCR};
	u64 rng = fixture_seed(0x8259);

	for (int i = 0; i < 200000; i++) {
		u16 port = ports[rng_below(&rng, ARRAY_SIZE(ports))];

		switch (rng_below(&rng, 4)) {
		case 0:
			mem_port_write(p->f.bus.mem, port, (u32)rng_next(&rng),
				       1u << rng_below(&rng, 3));
			break;
		case 1: in(p, port); break;
		case 2: line(p, (u32)rng_below(&rng, 20), rng_below(&rng, 2)); break;
		default:
			if (!p->f.intr[0])
				break;
			ack(p);
		}
		assert_int_equal(p->f.intr[0], pic_has_interrupt(p->pic));
	}
	program(p, 1);
	for (u32 i = 0; i < 16; i++)
		line(p, i, false);
	line(p, 3, true);
	assert_int_equal(ack(p), 0x23);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_basic),
		T(test_masking),
		T(test_spurious),
		T(test_cascade),
		T(test_special_fully_nested),
		T(test_level),
		T(test_shared_line),
		T(test_auto_eoi_and_rotation),
		T(test_special_mask),
		T(test_poll),
		T(test_random),
	};

	return cmocka_run_group_tests_name("pic8259", tests, NULL, NULL);
}
