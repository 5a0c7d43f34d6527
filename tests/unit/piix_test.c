/* piix_test.c - the ISA bridge routes PCI interrupts to ISA lines */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "l0/base/hash.h"
#include "l0/dev/pci.h"
#include "l0/dev/piix.h"
#include "tests/unit/bus_fixture.h"

#define FUNCTIONS 5u
#define BRIDGE_SLOT (1 + FUNCTIONS)

struct x {
	struct bus_fixture f;
	struct pci_function fn[FUNCTIONS]; /* slots 1 to 5 */
	bool line[IRQ_GSI_COUNT];
};

static void line_set(void *arg, u32 gsi, bool level, u32 source, u64 due_ns)
{
	struct x *x = arg;

	(void)source;
	(void)due_ns;
	x->line[gsi] = level;
}

static int setup(void **state)
{
	struct x *x = calloc(1, sizeof(*x));
	const struct irq_line sink = {line_set, x};
	int err;

	fixture_init(&x->f, 1);
	assert_int_equal(irq_add_sink(&x->f.bus.irq, &sink), 0);
	struct pci_host *h = pci_host_create(&x->f.bus, &err);

	assert_non_null(h);
	for (u32 i = 0; i < FUNCTIONS; i++) {
		x->fn[i].name = "test";
		pci_put16(&x->fn[i], PCI_VENDOR, 0x1234);
		assert_int_equal(pci_add(h, &x->fn[i]), 0);
	}
	assert_int_equal(piix_create(&x->f.bus), 0);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct x *x = *state;

	fixture_fini(&x->f);
	free(x);
	return 0;
}

static u32 config(struct x *x, u32 off)
{
	mem_port_write(x->f.bus.mem, 0xcf8, 0x80000000u | BRIDGE_SLOT << 11 | off, 4);
	return mem_port_read(x->f.bus.mem, 0xcfc, 4);
}

static void route(struct x *x, u32 pirqs)
{
	config(x, 0x60);
	mem_port_write(x->f.bus.mem, 0xcfc, pirqs, 4);
}

static void test_routes(void **state)
{
	struct x *x = *state;

	assert_int_equal(config(x, 0), 0x70008086);
	assert_int_equal(config(x, 8) >> 8, 0x060100);
	assert_int_equal(config(x, 0x60), 0x80808080);
	pci_set_intx(&x->fn[0], true, 0);
	assert_true(x->line[17]);
	assert_false(x->line[10]);
	/* A, B: 10; C, D: 11, as firmware does; a line that is high follows */
	route(x, 0x0b0b0a0a);
	assert_true(x->line[10]);
	pci_set_intx(&x->fn[1], true, 0); /* slot 2, B: shares line 10 */
	pci_set_intx(&x->fn[0], false, 0);
	assert_true(x->line[10]);
	pci_set_intx(&x->fn[4], true, 0); /* slot 5 is A again */
	pci_set_intx(&x->fn[1], false, 0);
	assert_true(x->line[10]);
	pci_set_intx(&x->fn[4], false, 0);
	assert_false(x->line[10]);
	pci_set_intx(&x->fn[3], true, 0); /* slot 4, D */
	assert_true(x->line[11]);
	route(x, 0x850b0a0a); /* bit 7: off */
	assert_false(x->line[11]);
	route(x, 0x000b0a0a); /* the timer's line is not to be had */
	assert_false(x->line[0]);
	route(x, 0x050b0a0a);
	assert_true(x->line[5]);
	bus_reset(&x->f.bus);
	assert_false(x->line[5]);
	assert_int_equal(config(x, 0x60), 0x80808080);
}

/* Whatever is routed where: a line is high exactly if a pin that leads there is. */
static void test_random(void **state)
{
	struct x *x = *state;
	u64 seed = fixture_seed(7);
	bool level[FUNCTIONS] = {false};
	u32 pirqs = 0x80808080;

	for (u32 i = 0; i < 5000; i++) {
		u64 r = hash_u64(seed + i);
		u32 n = (u32)(r % FUNCTIONS);
		bool expected[16] = {false};

		if (r >> 20 & 3) {
			level[n] = r >> 22 & 1;
			pci_set_intx(&x->fn[n], level[n], 0);
		} else {
			pirqs = (u32)(r >> 32);
			route(x, pirqs);
		}
		for (u32 k = 0; k < FUNCTIONS; k++) {
			u8 to = (u8)(pirqs >> 8 * (k % 4));

			if (level[k] && !(to & 0x80) && (0x0ce8 >> (to & 15) & 1))
				expected[to & 15] = true;
		}
		for (u32 k = 0; k < 16; k++)
			assert_int_equal(x->line[k], expected[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_routes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
