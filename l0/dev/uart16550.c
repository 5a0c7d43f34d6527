/*
 * uart16550.c - 16550A serial port, see uart16550.h
 *
 * Characters to receive wait in @backlog; the receiver takes from it while the FIFO (or the one
 * holding register) has room, so input by a terminal never overruns. Overrun exists only in
 * loopback, where the guest is its own sender.
 */
#include "l0/dev/uart16550.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/arch/ports.h"
#include "l0/dev/chardev.h"

#define FIFO_SIZE 16u
#define BACKLOG_BYTES 4096u   /* power of two */
#define UART_CLOCK_HZ 115200u /* input clock / 16 */

#define IER_RDA 0x01
#define IER_THRE 0x02
#define IER_RLS 0x04
#define IER_MSI 0x08

#define IIR_NONE 0x01
#define IIR_MSI 0x00
#define IIR_THRE 0x02
#define IIR_RDA 0x04
#define IIR_RLS 0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFO_ENABLED 0xc0

#define FCR_ENABLE 0x01
#define FCR_CLEAR_RX 0x02
#define FCR_CLEAR_TX 0x04
#define FCR_KEPT 0xc9

#define LSR_DR 0x01
#define LSR_OE 0x02
#define LSR_BI 0x10
#define LSR_ERRORS 0x1e
#define LSR_THRE 0x20
#define LSR_TEMT 0x40

#define LCR_BREAK 0x40

#define MCR_DTR 0x01
#define MCR_RTS 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10

#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI 0x40
#define MSR_DCD 0x80
#define MSR_TERI 0x04

struct uart {
	struct device dev;
	u16 base;
	u32 gsi;
	struct chardev *out;
	struct timer timeout; /* characters below the trigger level have waited long enough */

	u8 ier, fcr, lcr, mcr, lsr, msr, scratch;
	u16 divisor;
	bool thre_pending, timeout_pending;
	u64 due_ns; /* of the latest event */

	u8 fifo[FIFO_SIZE];
	u32 fifo_head, fifo_count;
	u8 backlog[BACKLOG_BYTES];
	u32 backlog_head, backlog_count;
};

static u32 fifo_capacity(const struct uart *u)
{
	return u->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static u32 trigger_level(const struct uart *u)
{
	static const u8 level[4] = {1, 4, 8, 14};

	return u->fcr & FCR_ENABLE ? level[u->fcr >> 6] : 1;
}

/* The identification of the most urgent enabled interrupt, IIR_NONE without one. */
static u8 pending_iir(const struct uart *u)
{
	if ((u->ier & IER_RLS) && (u->lsr & LSR_ERRORS))
		return IIR_RLS;
	if (u->ier & IER_RDA) {
		if (u->fifo_count >= trigger_level(u))
			return IIR_RDA;
		if (u->timeout_pending)
			return IIR_TIMEOUT;
	}
	if ((u->ier & IER_THRE) && u->thre_pending)
		return IIR_THRE;
	if ((u->ier & IER_MSI) && (u->msr & 0x0f))
		return IIR_MSI;
	return IIR_NONE;
}

static void update_irq(struct uart *u)
{
	bool level = pending_iir(u) != IIR_NONE && (u->mcr & MCR_OUT2) && !(u->mcr & MCR_LOOP);

	irq_set(&u->dev.bus->irq, u->gsi, INTR_SOURCE_UART, level, u->due_ns);
}

/* Four characters' time, ten bits each; a divisor of 0 counts as the slowest. */
static u64 timeout_ns(const struct uart *u)
{
	u64 divisor = u->divisor ? u->divisor : 65536;

	return 40 * divisor * NS_PER_SEC / UART_CLOCK_HZ;
}

static void fifo_changed(struct uart *u)
{
	u->timeout_pending = false;
	if (u->fifo_count)
		u->lsr |= LSR_DR;
	else
		u->lsr &= (u8)~LSR_DR;
	if (u->fifo_count && (u->fcr & FCR_ENABLE))
		bus_timer_arm(u->dev.bus, &u->timeout, bus_now(u->dev.bus) + timeout_ns(u));
	else
		timer_cancel(&u->dev.bus->timers, &u->timeout);
}

static void fifo_push(struct uart *u, u8 c)
{
	if (u->fifo_count == fifo_capacity(u)) {
		u->lsr |= LSR_OE;
		if (u->fcr & FCR_ENABLE)
			return;
		u->fifo_count = 0; /* the holding register is overwritten */
	}
	u->fifo[(u->fifo_head + u->fifo_count++) % FIFO_SIZE] = c;
	u->due_ns = bus_now(u->dev.bus);
	fifo_changed(u);
}

/* Move what has room from the backlog to the receiver. */
static void receive(struct uart *u)
{
	if (u->mcr & MCR_LOOP)
		return;
	while (u->backlog_count && u->fifo_count < fifo_capacity(u)) {
		fifo_push(u, u->backlog[u->backlog_head]);
		u->backlog_head = (u->backlog_head + 1) % BACKLOG_BYTES;
		u->backlog_count--;
	}
}

static void timeout_expired(void *arg, u64 deadline_ns)
{
	struct uart *u = arg;

	u->timeout_pending = u->fifo_count != 0;
	u->due_ns = deadline_ns;
	update_irq(u);
}

static void clear_rx(struct uart *u)
{
	u->fifo_head = u->fifo_count = 0;
	fifo_changed(u);
}

static u8 read_rbr(struct uart *u)
{
	u8 c = u->fifo[u->fifo_head]; /* empty: the last character again */

	if (u->fifo_count) {
		u->fifo_head = (u->fifo_head + 1) % FIFO_SIZE;
		u->fifo_count--;
		fifo_changed(u);
		receive(u);
	}
	return c;
}

static void write_thr(struct uart *u, u8 c)
{
	if (u->mcr & MCR_LOOP)
		fifo_push(u, c);
	else
		chardev_write(u->out, &c, 1);
	u->due_ns = bus_now(u->dev.bus);
	u->thre_pending = true;
}

/* Modem inputs: the other end is always there; in loopback, our own outputs. */
static void update_msr(struct uart *u)
{
	u8 lines = MSR_CTS | MSR_DSR | MSR_DCD;

	if (u->mcr & MCR_LOOP) {
		lines = (u8)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
			     (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
	}
	u8 delta = (u8)((lines ^ u->msr) >> 4);

	/* the ring indicator's delta bit reports only its trailing edge */
	if (lines & MSR_RI)
		delta &= (u8)~MSR_TERI;
	u->msr = lines | (u->msr & 0x0f) | delta;
}

static void write_fcr(struct uart *u, u8 value)
{
	if ((value ^ u->fcr) & FCR_ENABLE)
		value |= FCR_CLEAR_RX | FCR_CLEAR_TX;
	/* the other bits are programmed only together with the enable bit */
	u->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
	if (value & FCR_CLEAR_RX)
		clear_rx(u);
	if (value & FCR_CLEAR_TX)
		u->thre_pending = true;
	receive(u);
}

static void write_ier(struct uart *u, u8 value)
{
	/* enabling the interrupt while THR is empty makes it pending at once */
	if ((value & IER_THRE) && !(u->ier & IER_THRE))
		u->thre_pending = true;
	u->ier = value & 0x0f;
}

static void write_lcr(struct uart *u, u8 value)
{
	if ((value & LCR_BREAK) && !(u->lcr & LCR_BREAK) && (u->mcr & MCR_LOOP)) {
		fifo_push(u, 0);
		u->lsr |= LSR_BI;
	}
	u->lcr = value;
}

static u8 read_register(struct uart *u, u32 reg)
{
	u8 value;

	switch (reg) {
	case UART_DATA: return u->lcr & UART_LCR_DLAB ? (u8)u->divisor : read_rbr(u);
	case UART_IER: return u->lcr & UART_LCR_DLAB ? (u8)(u->divisor >> 8) : u->ier;
	case UART_FCR:
		value = pending_iir(u);
		if (value == IIR_THRE)
			u->thre_pending = false;
		return value | (u->fcr & FCR_ENABLE ? IIR_FIFO_ENABLED : 0);
	case UART_LCR: return u->lcr;
	case UART_MCR: return u->mcr;
	case UART_LSR:
		value = u->lsr;
		u->lsr &= (u8)~LSR_ERRORS;
		return value;
	case UART_MSR:
		value = u->msr;
		u->msr &= 0xf0;
		return value;
	default: return u->scratch;
	}
}

static void write_register(struct uart *u, u32 reg, u8 value)
{
	switch (reg) {
	case UART_DATA:
		if (u->lcr & UART_LCR_DLAB)
			u->divisor = (u16)((u->divisor & 0xff00) | value);
		else
			write_thr(u, value);
		break;
	case UART_IER:
		if (u->lcr & UART_LCR_DLAB)
			u->divisor = (u16)((u->divisor & 0x00ff) | value << 8);
		else
			write_ier(u, value);
		break;
	case UART_FCR: write_fcr(u, value); break;
	case UART_LCR: write_lcr(u, value); break;
	case UART_MCR:
		u->mcr = value & 0x1f;
		update_msr(u);
		receive(u);
		break;
	case UART_SCRATCH: u->scratch = value; break;
	default: /* LSR, MSR: writes are for factory tests */ break;
	}
}

/* A wider access reaches the following registers, byte by byte, as on an 8-bit bus. */
static u32 uart_port_read(void *dev, u16 port, unsigned int size)
{
	struct uart *u = dev;
	u32 value = 0;

	bus_lock(u->dev.bus);
	for (unsigned int i = 0; i < size; i++) {
		u32 reg = (u32)(port - u->base) + i;

		value |= (u32)(reg < 8 ? read_register(u, reg) : 0xff) << (8 * i);
	}
	update_irq(u);
	bus_unlock(u->dev.bus);
	return value;
}

static void uart_port_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct uart *u = dev;

	bus_lock(u->dev.bus);
	for (unsigned int i = 0; i < size; i++) {
		u32 reg = (u32)(port - u->base) + i;

		if (reg < 8)
			write_register(u, reg, (u8)(value >> (8 * i)));
	}
	update_irq(u);
	bus_unlock(u->dev.bus);
}

size_t uart_input(struct uart *u, const void *bytes, size_t n)
{
	const u8 *p = bytes;
	size_t taken = 0;

	bus_lock(u->dev.bus);
	while (taken < n && u->backlog_count < BACKLOG_BYTES) {
		u32 slot = (u->backlog_head + u->backlog_count++) % BACKLOG_BYTES;

		u->backlog[slot] = p[taken++];
	}
	receive(u);
	update_irq(u);
	bus_unlock(u->dev.bus);
	return taken;
}

size_t uart_input_room(struct uart *u)
{
	bus_lock(u->dev.bus);
	size_t room = BACKLOG_BYTES - u->backlog_count;

	bus_unlock(u->dev.bus);
	return room;
}

/* Master reset: registers of the data sheet's reset table; the divisor and scratch are undefined
 * there and start at 9600 baud and 0. Characters that wait in the backlog stay. */
static void uart_reset(struct device *d)
{
	struct uart *u = container_of(d, struct uart, dev);

	u->ier = u->fcr = u->lcr = u->mcr = u->scratch = 0;
	u->divisor = 12;
	u->lsr = LSR_THRE | LSR_TEMT;
	u->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	u->thre_pending = false;
	clear_rx(u);
	update_irq(u);
}

static void uart_destroy(struct device *d)
{
	struct uart *u = container_of(d, struct uart, dev);

	timer_cancel(&d->bus->timers, &u->timeout);
	free(u);
}

static const struct device_class uart_class = {
	.name = "uart16550",
	.reset = uart_reset,
	.destroy = uart_destroy,
};

static const struct port_ops uart_port_ops = {
	.read = uart_port_read,
	.write = uart_port_write,
};

struct uart *uart_create(struct machine_bus *bus, u16 base, u32 gsi, struct chardev *out, int *err)
{
	struct uart *u = calloc(1, sizeof(*u));

	if (!u) {
		*err = -ENOMEM;
		return NULL;
	}
	*err = mem_add_ports(bus->mem, "uart16550", base, 8, &uart_port_ops, u);
	if (*err) {
		free(u);
		return NULL;
	}
	u->base = base;
	u->gsi = gsi;
	u->out = out;
	timer_init(&u->timeout, timeout_expired, u);
	bus_add_device(bus, &u->dev, &uart_class);
	uart_reset(&u->dev);
	return u;
}
