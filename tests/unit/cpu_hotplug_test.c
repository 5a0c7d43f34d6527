/* CPU hot-plug: the registers, requests from outside, plans, what a processor that is out does not
 * get, garbage. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "l0/arch/ports.h"
#include "l0/base/bits.h"
#include "l0/base/hash.h"
#include "l0/dev/acpi_pm.h"
#include "l0/dev/cpu_hotplug.h"
#include "l0/dev/lapic.h"
#include "tests/unit/bus_fixture.h"

#define N 4
#define GPE (PORT_ACPI_PM + ACPI_PM_GPE)
#define FLAGS (PORT_CPU_HOTPLUG + CPU_HOTPLUG_FLAGS)
#define COMMAND (PORT_CPU_HOTPLUG + CPU_HOTPLUG_COMMAND)

struct fix {
	struct bus_fixture f;
	struct machine_bus_ops ops;
	struct cpu_hotplug *h;
	u32 seen[N][CPU_CHANGE_PLUGGED + 1];
	bool sci;
};

static void changed(void *machine, u32 vp, enum cpu_change change)
{
	((struct fix *)machine)->seen[vp][change]++;
}

static void line_changed(void *arg, u32 gsi, bool level, u32 source, u64 due_ns)
{
	struct fix *x = arg;

	if (gsi == GSI_ACPI)
		x->sci = level;
}

static int setup(void **state)
{
	static struct fix x;
	const struct irq_line line = {line_changed, &x};
	int err;

	x = (struct fix){0};
	fixture_init(&x.f, N);
	x.ops = *x.f.bus.ops;
	x.ops.cpu_changed = changed;
	x.f.bus.ops = &x.ops;
	assert_int_equal(irq_add_sink(&x.f.bus.irq, &line), 0);
	for (u32 i = 0; i < N; i++)
		assert_non_null(lapic_create(&x.f.bus, i, &err));
	assert_null(cpu_hotplug_create(&x.f.bus, 0, &err)); /* no ACPI hardware */
	assert_int_equal(err, -EINVAL);
	assert_non_null(acpi_pm_create(&x.f.bus, &err));
	x.h = cpu_hotplug_create(&x.f.bus, BIT(3) | 1, &err); /* 0 is there all the same */
	assert_non_null(x.h);
	assert_int_equal(cpu_hotplug_absent(x.h), BIT(3));
	mem_port_write(x.f.bus.mem, GPE + 2, BIT(ACPI_GPE_CPU), 2);
	*state = &x;
	return 0;
}

static int teardown(void **state)
{
	fixture_fini(&((struct fix *)*state)->f);
	return 0;
}

static void choose(struct fix *x, u32 vp)
{
	mem_port_write(x->f.bus.mem, PORT_CPU_HOTPLUG, vp, 4);
}

static u32 data(struct fix *x)
{
	return mem_port_read(x->f.bus.mem, PORT_CPU_HOTPLUG + CPU_HOTPLUG_DATA, 4);
}

/* What the method of the event does: who is it about, and what? */
static u32 event(struct fix *x)
{
	choose(x, 0);
	fixture_outb(&x->f, COMMAND, 0);
	return data(x);
}

static void eject(struct fix *x, u32 vp)
{
	choose(x, vp);
	fixture_outb(&x->f, FLAGS, 8);
}

static u32 broadcast(struct fix *x)
{
	const struct apic_message nmi = {.dest = 0xffffffff, .delivery = APIC_NMI};

	return apic_bus_send(&x->f.bus, &nmi);
}

static void a_processor_goes_and_comes(void **state)
{
	struct fix *x = *state;
	struct mem *m = x->f.bus.mem;

	assert_int_equal(broadcast(x), 3);
	choose(x, 1);
	assert_int_equal(fixture_inb(&x->f, FLAGS), 1);
	assert_int_equal(cpu_hotplug_unplug(x->h, 1), 0);
	assert_true(x->sci);
	assert_int_equal(x->seen[1][CPU_CHANGE_ASKED], 1);
	mem_port_write(m, GPE, BIT(ACPI_GPE_CPU), 2);
	assert_false(x->sci);
	assert_int_equal(event(x), 1);
	assert_int_equal(fixture_inb(&x->f, FLAGS), 1 | 4);
	fixture_outb(&x->f, FLAGS, 4);
	assert_int_equal(fixture_inb(&x->f, FLAGS), 1);
	eject(x, 1);
	assert_int_equal(fixture_inb(&x->f, FLAGS), 0);
	assert_int_equal(x->seen[1][CPU_CHANGE_EJECTED], 1);
	assert_int_equal(cpu_hotplug_absent(x->h), BIT(1) | BIT(3));
	assert_int_equal(broadcast(x), 2);
	eject(x, 1); /* once */
	assert_int_equal(x->seen[1][CPU_CHANGE_EJECTED], 1);
	assert_int_equal(cpu_hotplug_unplug(x->h, 1), -EALREADY);

	/* wanted again before it has stopped: when it has */
	assert_int_equal(cpu_hotplug_plug(x->h, 1), 0);
	assert_int_equal(cpu_hotplug_absent(x->h), BIT(1) | BIT(3));
	cpu_hotplug_gone(x->h, 1);
	assert_int_equal(cpu_hotplug_absent(x->h), BIT(3));
	assert_int_equal(x->seen[1][CPU_CHANGE_PLUGGED], 1);
	assert_true(x->sci);
	assert_int_equal(event(x), 1);
	assert_int_equal(fixture_inb(&x->f, FLAGS), 1 | 2);
	fixture_outb(&x->f, FLAGS, 2);
	assert_int_equal(fixture_inb(&x->f, FLAGS), 1);
	assert_int_equal(broadcast(x), 3);
	assert_int_equal(cpu_hotplug_plug(x->h, 1), -EALREADY);
}

static void several_events_are_found(void **state)
{
	struct fix *x = *state;

	assert_int_equal(cpu_hotplug_unplug(x->h, 2), 0);
	assert_int_equal(cpu_hotplug_plug(x->h, 3), 0);
	assert_int_equal(event(x), 2);
	fixture_outb(&x->f, FLAGS, 4);
	assert_int_equal(event(x), 3);
	assert_int_equal(fixture_inb(&x->f, FLAGS), 1 | 2);
	fixture_outb(&x->f, FLAGS, 2);
	assert_int_equal(event(x), 0); /* none: the selected one stays */
	assert_int_equal(fixture_inb(&x->f, FLAGS), 1);
	fixture_outb(&x->f, COMMAND, 3); /* the APIC ID */
	choose(x, 2);
	assert_int_equal(data(x), 2);
}

static void refusals_and_nonsense(void **state)
{
	struct fix *x = *state;
	struct mem *m = x->f.bus.mem;

	assert_int_equal(cpu_hotplug_unplug(x->h, 0), -EINVAL);
	assert_int_equal(cpu_hotplug_unplug(x->h, N), -EINVAL);
	assert_int_equal(cpu_hotplug_plug(x->h, N), -EINVAL);
	eject(x, 0);
	choose(x, 0);
	assert_int_equal(fixture_inb(&x->f, FLAGS), 1);

	/* _OST (3, 0x84) is under way, (3, 1) is a refusal */
	assert_int_equal(cpu_hotplug_unplug(x->h, 1), 0);
	choose(x, 1);
	for (u32 status = 0x84; status; status = status == 0x84) {
		fixture_outb(&x->f, COMMAND, 1);
		mem_port_write(m, PORT_CPU_HOTPLUG + CPU_HOTPLUG_DATA, 3, 4);
		fixture_outb(&x->f, COMMAND, 2);
		mem_port_write(m, PORT_CPU_HOTPLUG + CPU_HOTPLUG_DATA, status, 4);
		assert_int_equal(x->seen[1][CPU_CHANGE_REFUSED], status == 1);
	}
	/* asked for, not yet seen, wanted again: it stays */
	assert_int_equal(cpu_hotplug_plug(x->h, 1), 0);
	assert_int_equal(fixture_inb(&x->f, FLAGS), 1);

	choose(x, N);
	assert_int_equal(fixture_inb(&x->f, FLAGS), 0);
	fixture_outb(&x->f, FLAGS, 8);
	assert_int_equal(data(x), 0);
	assert_int_equal(cpu_hotplug_absent(x->h), BIT(3));
}

static void plans(void **state)
{
	struct fix *x = *state;

	assert_int_equal(cpu_hotplug_plan(x->h, 2000, 3, true), 0);
	assert_int_equal(cpu_hotplug_plan(x->h, 1000, 1, false), 0);
	fixture_run_to(&x->f, 999);
	assert_false(x->sci);
	fixture_run_to(&x->f, 1000);
	assert_int_equal(event(x), 1);
	fixture_run_to(&x->f, 2000);
	assert_int_equal(cpu_hotplug_absent(x->h), 0);
	bus_reset(&x->f.bus); /* who is there stays, what is pending does not */
	assert_int_equal(event(x), 0);
	assert_int_equal(cpu_hotplug_absent(x->h), 0);
}

static void garbage(void **state)
{
	struct fix *x = *state;
	struct mem *m = x->f.bus.mem;
	u64 seed = fixture_seed(7);

	for (u32 i = 0; i < 200000; i++) {
		u64 r = hash_u64(seed + i);
		u16 port = (u16)((r & 1 ? PORT_CPU_HOTPLUG : GPE) + (r >> 1 & 15));
		u32 size = 1u << (r >> 8 & 1), value = (u32)(r >> 32) >> (r >> 12 & 31);

		size <<= r >> 9 & 1;
		if (r & 1u << 11)
			mem_port_write(m, port, value, size);
		else
			mem_port_read(m, port, size);
		if (r >> 24 & 1)
			cpu_hotplug_plug(x->h, (u32)(r >> 25 & 7));
		else if (r >> 24 & 2)
			cpu_hotplug_unplug(x->h, (u32)(r >> 25 & 7));
		else if (r >> 24 & 4)
			cpu_hotplug_gone(x->h, (u32)(r >> 25 & 3));
		assert_false(cpu_hotplug_absent(x->h) & ~0xeull);
		assert_int_equal(broadcast(x), N - __builtin_popcountll(cpu_hotplug_absent(x->h)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_processor_goes_and_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(several_events_are_found, setup, teardown),
		cmocka_unit_test_setup_teardown(refusals_and_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(plans, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage, setup, teardown),
	};

	return cmocka_run_group_tests_name("cpu_hotplug", tests, NULL, NULL);
}
