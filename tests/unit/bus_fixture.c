#include "tests/unit/bus_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static u64 now_ns(void *machine)
{
	return ((struct bus_fixture *)machine)->now_ns;
}

static u32 current_vp(void *machine)
{
	return ((struct bus_fixture *)machine)->current_vp;
}

static struct trace_ctx *trace(void *machine, u32 vp)
{
	return NULL;
}

static void deadline_changed(void *machine)
{
	((struct bus_fixture *)machine)->deadline_changes++;
}

static void set_intr(void *machine, u32 vp, bool level)
{
	((struct bus_fixture *)machine)->intr[vp] = level;
}

static void set_nmi(void *machine, u32 vp)
{
	((struct bus_fixture *)machine)->nmis[vp]++;
}

static void send_init(void *machine, u32 vp)
{
	((struct bus_fixture *)machine)->inits[vp]++;
}

static void send_sipi(void *machine, u32 vp, u8 vector)
{
	struct bus_fixture *f = machine;

	f->sipis[vp]++;
	f->sipi_vector = vector;
}

static void reset(void *machine, enum bus_reset_kind kind)
{
	struct bus_fixture *f = machine;

	f->resets++;
	f->reset_kind = kind;
}

static void debug_exit(void *machine, u32 value)
{
	struct bus_fixture *f = machine;

	f->exits++;
	f->exit_value = value;
}

static void guest_deadline(void *machine, u32 value)
{
	struct bus_fixture *f = machine;

	f->deadlines++;
	f->deadline_value = value;
}

static void set_a20(void *machine, bool on)
{
	((struct bus_fixture *)machine)->a20 = on;
}

static const struct machine_bus_ops ops = {
	.now_ns = now_ns,
	.current_vp = current_vp,
	.trace = trace,
	.deadline_changed = deadline_changed,
	.set_intr = set_intr,
	.set_nmi = set_nmi,
	.send_init = send_init,
	.send_sipi = send_sipi,
	.reset = reset,
	.debug_exit = debug_exit,
	.guest_deadline = guest_deadline,
	.set_a20 = set_a20,
};

void fixture_init(struct bus_fixture *f, u32 nvps)
{
	int err = 0;
	struct mem *m = mem_create(4 * MIB, &err);

	*f = (struct bus_fixture){0};
	if (!m || clock_init(&f->clock, CLOCK_KIND_VIRTUAL, 1, 1, CLOCK_TSC_HZ_DEFAULT) ||
	    bus_init(&f->bus, &ops, f, m, &f->clock, nvps)) {
		fprintf(stderr, "the fixture cannot be made\n");
		abort();
	}
}

void fixture_fini(struct bus_fixture *f)
{
	bus_fini(&f->bus);
	mem_destroy(f->bus.mem);
}

void fixture_run_to(struct bus_fixture *f, u64 ns)
{
	for (;;) {
		u64 next = bus_next_deadline(&f->bus);

		if (next > ns)
			break;
		f->now_ns = MAX(f->now_ns, next);
		bus_expire(&f->bus, f->now_ns);
	}
	f->now_ns = MAX(f->now_ns, ns);
}

u8 fixture_inb(struct bus_fixture *f, u16 port)
{
	return (u8)mem_port_read(f->bus.mem, port, 1);
}

void fixture_outb(struct bus_fixture *f, u16 port, u8 value)
{
	mem_port_write(f->bus.mem, port, value, 1);
}

u32 fixture_read32(struct bus_fixture *f, u64 pa)
{
	return (u32)mem_mmio_read(f->bus.mem, pa, 4);
}

void fixture_write32(struct bus_fixture *f, u64 pa, u32 value)
{
	mem_mmio_write(f->bus.mem, pa, value, 4);
}

u64 fixture_seed(u64 dflt)
{
	const char *s = getenv("NESTOR_SEED");
	u64 seed = s ? strtoull(s, NULL, 0) : dflt;

	printf("# seed 0x%llx\n", (unsigned long long)seed);
	return seed;
}
