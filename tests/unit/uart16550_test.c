/* uart16550_test.c - l0/dev/uart16550 by its registers, and the chardev behind it */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "l0/arch/ports.h"
#include "l0/base/hash.h"
#include "l0/dev/chardev.h"
#include "l0/dev/deadline_port.h"
#include "l0/dev/debugexit.h"
#include "l0/dev/e9.h"
#include "l0/dev/uart16550.h"
#include "tests/unit/bus_fixture.h"

struct uart_fixture {
	struct bus_fixture f;
	struct chardev *out;
	struct uart *uart;
	bool line;
};

static void line_changed(void *arg, u32 gsi, bool level, u32 source, u64 due_ns)
{
	if (gsi == GSI_COM1)
		((struct uart_fixture *)arg)->line = level;
}

static int setup(void **state)
{
	struct uart_fixture *u = calloc(1, sizeof(*u));
	int err;

	fixture_init(&u->f, 1);
	u->out = chardev_open_buffer(4096);
	u->uart = uart_create(&u->f.bus, PORT_COM1, GSI_COM1, u->out, &err);
	assert_non_null(u->uart);
	assert_int_equal(
		irq_add_sink(&u->f.bus.irq, &(struct irq_line){.set = line_changed, .arg = u}), 0);
	*state = u;
	return 0;
}

static int teardown(void **state)
{
	struct uart_fixture *u = *state;

	fixture_fini(&u->f);
	chardev_close(u->out);
	free(u);
	return 0;
}

static u8 in(struct uart_fixture *u, u32 reg)
{
	return fixture_inb(&u->f, (u16)(PORT_COM1 + reg));
}

static void out(struct uart_fixture *u, u32 reg, u8 value)
{
	fixture_outb(&u->f, (u16)(PORT_COM1 + reg), value);
}

static void assert_output(struct uart_fixture *u, const char *want)
{
	size_t n;
	const char *got = chardev_contents(u->out, &n);

	assert_int_equal(n, strlen(want));
	assert_memory_equal(got, want, n);
}

static void test_output(void **state)
{
	struct uart_fixture *u = *state;

	for (const char *s = "hello\n"; *s; s++) {
		assert_int_equal(in(u, UART_LSR) & UART_LSR_THRE, UART_LSR_THRE);
		out(u, UART_DATA, (u8)*s);
	}
	assert_output(u, "hello\n");
	assert_int_equal(in(u, UART_LSR), 0x60);
	assert_int_equal(in(u, UART_FCR), 0x01);
	assert_int_equal(in(u, UART_MSR), 0xb0);
}

static void test_divisor_and_scratch(void **state)
{
	struct uart_fixture *u = *state;

	out(u, UART_LCR, UART_LCR_DLAB | UART_LCR_8N1);
	out(u, UART_DATA, 0x34);
	out(u, UART_IER, 0x12);
	assert_int_equal(in(u, UART_DATA), 0x34);
	assert_int_equal(in(u, UART_IER), 0x12);
	out(u, UART_LCR, UART_LCR_8N1);
	assert_int_equal(in(u, UART_IER), 0);
	out(u, UART_IER, 0xff);
	assert_int_equal(in(u, UART_IER), 0x0f);
	out(u, UART_SCRATCH, 0xa5);
	assert_int_equal(in(u, UART_SCRATCH), 0xa5);
	out(u, UART_MCR, 0xff);
	assert_int_equal(in(u, UART_MCR), 0x1f);
	assert_output(u, "");
}

static void test_thre_interrupt(void **state)
{
	struct uart_fixture *u = *state;

	out(u, UART_IER, 0x02);
	assert_false(u->line); /* OUT2 gates it */
	out(u, UART_MCR, 0x08);
	assert_true(u->line);
	assert_int_equal(in(u, UART_FCR), 0x02); /* reading IIR drops it */
	assert_false(u->line);
	assert_int_equal(in(u, UART_FCR), 0x01);
	out(u, UART_DATA, 'x');
	assert_true(u->line);
	assert_int_equal(in(u, UART_FCR), 0x02);
	out(u, UART_IER, 0);
	out(u, UART_IER, 0x02);
	assert_true(u->line);
}

static void test_receive(void **state)
{
	struct uart_fixture *u = *state;

	out(u, UART_MCR, 0x08);
	out(u, UART_IER, 0x01);
	assert_int_equal(uart_input(u->uart, "ab", 2), 2);
	assert_true(u->line);
	assert_int_equal(in(u, UART_FCR), 0x04);
	assert_int_equal(in(u, UART_LSR), 0x61);
	assert_int_equal(in(u, UART_DATA), 'a');
	assert_true(u->line);
	assert_int_equal(in(u, UART_DATA), 'b');
	assert_false(u->line);
	assert_int_equal(in(u, UART_LSR), 0x60);
}

static void test_fifo_trigger_and_timeout(void **state)
{
	struct uart_fixture *u = *state;

	out(u, UART_LCR, UART_LCR_DLAB);
	out(u, UART_DATA, 1);
	out(u, UART_IER, 0);
	out(u, UART_LCR, UART_LCR_8N1);
	out(u, UART_FCR, 0x81); /* trigger at 8 */
	out(u, UART_MCR, 0x08);
	out(u, UART_IER, 0x01);
	assert_int_equal(in(u, UART_FCR), 0xc1);
	assert_int_equal(uart_input(u->uart, "1234567", 7), 7);
	assert_false(u->line);
	fixture_run_to(&u->f, 347221); /* four characters at 115200 baud take 347222 ns */
	assert_false(u->line);
	fixture_run_to(&u->f, 347223);
	assert_true(u->line);
	assert_int_equal(in(u, UART_FCR), 0xcc);
	assert_int_equal(in(u, UART_DATA), '1');
	assert_false(u->line);
	assert_int_equal(uart_input(u->uart, "890", 3), 3);
	assert_true(u->line);
	assert_int_equal(in(u, UART_FCR), 0xc4);
	out(u, UART_FCR, 0x83); /* clear the receiver */
	assert_false(u->line);
	assert_int_equal(in(u, UART_LSR), 0x60);
}

/* More input than the FIFO holds waits behind it and is never lost. */
static void test_backlog(void **state)
{
	struct uart_fixture *u = *state;
	u8 bytes[8192];

	for (u32 i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)(i * 7);
	out(u, UART_FCR, 0x01);
	size_t taken = uart_input(u->uart, bytes, sizeof(bytes));

	assert_true(taken >= 4096 && taken < sizeof(bytes));
	for (size_t i = 0; i < taken; i++) {
		assert_int_equal(in(u, UART_LSR) & 0x03, 0x01);
		assert_int_equal(in(u, UART_DATA), bytes[i]);
	}
	assert_int_equal(in(u, UART_LSR), 0x60);
}

static void test_loopback(void **state)
{
	struct uart_fixture *u = *state;

	out(u, UART_MCR, 0x1a); /* loop, RTS, OUT2 */
	assert_int_equal(in(u, UART_MSR) & 0xf0, 0x90);
	out(u, UART_DATA, 'q');
	assert_output(u, "");
	assert_int_equal(in(u, UART_LSR) & 0x01, 0x01);
	out(u, UART_DATA, 'r'); /* overruns the holding register */
	assert_int_equal(in(u, UART_LSR) & 0x02, 0x02);
	assert_int_equal(in(u, UART_LSR) & 0x02, 0);
	assert_int_equal(in(u, UART_DATA), 'r');
	in(u, UART_MSR);
	out(u, UART_MCR, 0);
	assert_int_equal(in(u, UART_MSR), 0xb2); /* DSR came back: its delta */
	assert_int_equal(in(u, UART_MSR), 0xb0);
}

static void test_line_status_interrupt(void **state)
{
	struct uart_fixture *u = *state;

	out(u, UART_FCR, 0x01);
	out(u, UART_IER, 0x04);
	out(u, UART_MCR, 0x18);
	for (int i = 0; i < 17; i++)
		out(u, UART_DATA, (u8)i);
	assert_int_equal(in(u, UART_FCR), 0xc6);
	assert_int_equal(in(u, UART_LSR), 0x63);
	assert_int_equal(in(u, UART_FCR), 0xc1);
	for (int i = 0; i < 16; i++)
		assert_int_equal(in(u, UART_DATA), i);
}

/* Any register writes and reads: nothing but the architecture's own state changes. */
static void test_garbage(void **state)
{
	struct uart_fixture *u = *state;
	u64 rng = fixture_seed(0x0a27);

	for (int i = 0; i < 100000; i++) {
		u16 port = (u16)(PORT_COM1 + rng_below(&rng, 8));
		unsigned int size = 1u << rng_below(&rng, 3);

		if (rng_below(&rng, 2))
			mem_port_write(u->f.bus.mem, port, (u32)rng_next(&rng), size);
		else
			mem_port_read(u->f.bus.mem, port, size);
		if (rng_below(&rng, 16) == 0)
			uart_input(u->uart, "xyz", rng_below(&rng, 4));
		fixture_run_to(&u->f, u->f.now_ns + rng_below(&rng, 100000));
	}
}

static void test_debug_ports(void **state)
{
	struct uart_fixture *u = *state;
	struct mem *m = u->f.bus.mem;

	assert_int_equal(debugexit_create(&u->f.bus), 0);
	assert_int_equal(e9_create(&u->f.bus, u->out), 0);
	assert_int_equal(deadline_port_create(&u->f.bus), 0);
	mem_port_write(m, PORT_DEBUG_EXIT, 5, 4);
	mem_port_write(m, 0x501, 0x31, 1);
	assert_int_equal(u->f.exits, 2);
	assert_int_equal(u->f.exit_value, 0x31);
	assert_int_equal(fixture_inb(&u->f, PORT_DEBUG_CONSOLE), 0xe9);
	fixture_outb(&u->f, PORT_DEBUG_CONSOLE, '!');
	assert_output(u, "!");
	mem_port_write(m, PORT_DEADLINE, 7, 1);
	assert_int_equal(u->f.deadlines, 0);
	mem_port_write(m, PORT_DEADLINE, 0x701, 4);
	assert_int_equal(u->f.deadlines, 1);
	assert_int_equal(u->f.deadline_value, 0x701);
	assert_int_equal(mem_port_read(m, PORT_DEADLINE, 4), 0xffffffff);
	assert_int_equal(e9_create(&u->f.bus, NULL) < 0, 1);
}

/* A pipe: everything arrives, in order, though it is larger than pipe and buffer. */
static void test_chardev_pipe(void **state)
{
	int p[2];
	char got[65536];
	size_t sent = 0, received = 0;

	assert_int_equal(pipe(p), 0);
	struct chardev *c = chardev_open_fd(p[1], true, false);

	assert_non_null(c);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	while (sent < 2000000) {
		char chunk[1000];

		for (size_t i = 0; i < sizeof(chunk); i++, sent++)
			chunk[i] = (char)(sent * 31 + sent / 977);
		chardev_write(c, chunk, sizeof(chunk));
		for (;;) {
			ssize_t n = read(p[0], got, sizeof(got));

			if (n <= 0)
				break;
			for (ssize_t i = 0; i < n; i++, received++)
				assert_int_equal(got[i], (char)(received * 31 + received / 977));
		}
	}
	chardev_flush(c);
	close(p[0]);
	chardev_close(c); /* the other end is gone: reported, not fatal (SIGPIPE is ignored) */
	assert_true(received > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_output, setup, teardown),
		cmocka_unit_test_setup_teardown(test_divisor_and_scratch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_thre_interrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_receive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fifo_trigger_and_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backlog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loopback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_line_status_interrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_debug_ports, setup, teardown),
		cmocka_unit_test(test_chardev_pipe),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("uart16550", tests, NULL, NULL);
}
