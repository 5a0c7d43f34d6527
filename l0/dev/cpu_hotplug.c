/* cpu_hotplug.c - see cpu_hotplug.h */
#include "l0/dev/cpu_hotplug.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/arch/ports.h"
#include "l0/base/bits.h"
#include "l0/dev/acpi_pm.h"
#include "l0/dev/lapic.h"

/* Status, read */
#define STATUS_PRESENT 0x01
#define STATUS_INSERTED 0x02
#define STATUS_REMOVING 0x04
/* Control, written */
#define CONTROL_INSERT_SEEN 0x02
#define CONTROL_REMOVE_SEEN 0x04
#define CONTROL_EJECT 0x08

enum command { COMMAND_NEXT_EVENT, COMMAND_OST_EVENT, COMMAND_OST_STATUS, COMMAND_GET_ID };

/* _OST's status of an ejection: 0 it was done, 84h and 85h it is under way; all else refuses. */
#define OST_SUCCESS 0u
#define OST_EJECTING 0x84u
#define OST_PENDING 0x85u
/* ... and the events that it may be about: notification 3 and an ejection that the system began. */
#define OST_EJECT_REQUEST 3u
#define OST_EJECT_BY_SYSTEM 0x103u

struct change {
	struct cpu_hotplug *h;
	struct timer timer;
	struct change *next;
	u32 vp;
	bool plug;
};

struct cpu_hotplug {
	struct device dev;
	u64 absent, inserted, removing; /* a bit for each processor */
	u64 leaving;			/* ejected; the machine has not stopped it yet ... */
	u64 wanted;			/* ... and is to plug it at once when it has */
	u32 selector, ost_event;
	u8 command;
	struct change *plan;
};

static void tell(struct cpu_hotplug *h, u32 vp, enum cpu_change change)
{
	struct machine_bus *bus = h->dev.bus;

	if (bus->ops->cpu_changed)
		bus->ops->cpu_changed(bus->machine, vp, change);
}

/* --- what is asked from outside; lock held --- */

static int plug(struct cpu_hotplug *h, u32 vp)
{
	u64 bit = BIT(vp);

	if (!vp || vp >= h->dev.bus->nvps)
		return -EINVAL;
	if (!(h->absent & bit) && !(h->removing & bit))
		return -EALREADY;
	if (h->leaving & bit) {
		h->wanted |= bit;
		return 0;
	}
	h->removing &= ~bit; /* not seen yet: it stays */
	if (h->absent & bit) {
		h->absent &= ~bit;
		h->inserted |= bit;
		lapic_set_present(h->dev.bus->lapic[vp], true);
		acpi_pm_raise_gpe(h->dev.bus->acpi_pm, ACPI_GPE_CPU);
	}
	tell(h, vp, CPU_CHANGE_PLUGGED);
	return 0;
}

static int unplug(struct cpu_hotplug *h, u32 vp)
{
	u64 bit = BIT(vp);

	if (!vp || vp >= h->dev.bus->nvps)
		return -EINVAL;
	h->wanted &= ~bit;
	if (h->absent & bit)
		return -EALREADY;
	h->removing |= bit;
	tell(h, vp, CPU_CHANGE_ASKED);
	acpi_pm_raise_gpe(h->dev.bus->acpi_pm, ACPI_GPE_CPU);
	return 0;
}

int cpu_hotplug_plug(struct cpu_hotplug *h, u32 vp)
{
	bus_lock(h->dev.bus);
	int err = plug(h, vp);
	bus_unlock(h->dev.bus);
	return err;
}

int cpu_hotplug_unplug(struct cpu_hotplug *h, u32 vp)
{
	bus_lock(h->dev.bus);
	int err = unplug(h, vp);
	bus_unlock(h->dev.bus);
	return err;
}

void cpu_hotplug_gone(struct cpu_hotplug *h, u32 vp)
{
	u64 bit = BIT(vp);

	bus_lock(h->dev.bus);
	h->leaving &= ~bit;
	if (h->wanted & bit) {
		h->wanted &= ~bit;
		plug(h, vp);
	}
	bus_unlock(h->dev.bus);
}

u64 cpu_hotplug_absent(const struct cpu_hotplug *h)
{
	return h->absent;
}

static void plan_is_due(void *arg, u64 deadline_ns)
{
	struct change *c = arg;

	(void)deadline_ns;
	if (c->plug)
		plug(c->h, c->vp);
	else
		unplug(c->h, c->vp);
}

int cpu_hotplug_plan(struct cpu_hotplug *h, u64 at_ns, u32 vp, bool plug)
{
	struct change *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	*c = (struct change){.h = h, .next = h->plan, .vp = vp, .plug = plug};
	h->plan = c;
	timer_init(&c->timer, plan_is_due, c);
	bus_lock(h->dev.bus);
	bus_timer_arm(h->dev.bus, &c->timer, at_ns);
	bus_unlock(h->dev.bus);
	return 0;
}

/* --- the ports --- */

static void eject(struct cpu_hotplug *h, u32 vp)
{
	u64 bit = BIT(vp);

	if (!vp) {
		bus_report(h->dev.bus, "cpu-hotplug", "the guest ejects processor 0, which stays");
		return;
	}
	if (h->absent & bit)
		return;
	h->absent |= bit;
	h->leaving |= bit;
	h->inserted &= ~bit;
	h->removing &= ~bit;
	lapic_set_present(h->dev.bus->lapic[vp], false);
	tell(h, vp, CPU_CHANGE_EJECTED);
}

static void next_event(struct cpu_hotplug *h)
{
	u64 events = h->inserted | h->removing;

	/* from the selected one on, and round */
	if (events >> h->selector)
		h->selector += (u32)__builtin_ctzll(events >> h->selector);
	else if (events)
		h->selector = (u32)__builtin_ctzll(events);
}

static void control(struct cpu_hotplug *h, u8 value)
{
	u64 bit = BIT(h->selector);

	if (value & CONTROL_INSERT_SEEN)
		h->inserted &= ~bit;
	if (value & CONTROL_REMOVE_SEEN)
		h->removing &= ~bit;
	if (value & CONTROL_EJECT)
		eject(h, h->selector);
}

static void data(struct cpu_hotplug *h, u32 value)
{
	if (h->command == COMMAND_OST_EVENT)
		h->ost_event = value;
	if (h->command != COMMAND_OST_STATUS ||
	    (h->ost_event != OST_EJECT_REQUEST && h->ost_event != OST_EJECT_BY_SYSTEM))
		return;
	if (value != OST_SUCCESS && value != OST_EJECTING && value != OST_PENDING)
		tell(h, h->selector, CPU_CHANGE_REFUSED);
}

static u8 status(const struct cpu_hotplug *h)
{
	u64 bit = BIT(h->selector);

	return (h->absent & bit ? 0 : STATUS_PRESENT) | (h->inserted & bit ? STATUS_INSERTED : 0) |
	       (h->removing & bit ? STATUS_REMOVING : 0);
}

static u32 hotplug_read(void *dev, u16 port, unsigned int size)
{
	struct cpu_hotplug *h = dev;
	u32 value = 0;

	bus_lock(h->dev.bus);
	if (h->selector < h->dev.bus->nvps) {
		switch (port - PORT_CPU_HOTPLUG) {
		case CPU_HOTPLUG_FLAGS: value = status(h); break;
		case CPU_HOTPLUG_DATA:
			if (h->command == COMMAND_NEXT_EVENT || h->command == COMMAND_GET_ID)
				value = h->selector; /* the APIC ID is the same number */
		}
	}
	bus_unlock(h->dev.bus);
	return size == 4 ? value : value & ((1u << (8 * size)) - 1);
}

static void hotplug_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct cpu_hotplug *h = dev;
	u32 off = port - PORT_CPU_HOTPLUG;

	bus_lock(h->dev.bus);
	if (off == CPU_HOTPLUG_SELECT && size == 4) {
		h->selector = value;
	} else if (h->selector < h->dev.bus->nvps) {
		switch (off) {
		case CPU_HOTPLUG_FLAGS: control(h, (u8)value); break;
		case CPU_HOTPLUG_COMMAND:
			h->command = (u8)value;
			if (h->command == COMMAND_NEXT_EVENT)
				next_event(h);
			break;
		case CPU_HOTPLUG_DATA:
			if (size == 4)
				data(h, value);
		}
	}
	bus_unlock(h->dev.bus);
}

/* --- the device --- */

/* Who is there stays; the tables name them anew. */
static void hotplug_reset(struct device *d)
{
	struct cpu_hotplug *h = container_of(d, struct cpu_hotplug, dev);

	h->inserted = h->removing = h->leaving = h->wanted = 0;
	h->selector = h->ost_event = 0;
	h->command = 0;
}

static void hotplug_destroy(struct device *d)
{
	struct cpu_hotplug *h = container_of(d, struct cpu_hotplug, dev);

	while (h->plan) {
		struct change *c = h->plan;
		h->plan = c->next;
		timer_cancel(&d->bus->timers, &c->timer);
		free(c);
	}
	free(h);
}

static const struct device_class hotplug_class = {
	.name = "cpu-hotplug",
	.reset = hotplug_reset,
	.destroy = hotplug_destroy,
};

static const struct port_ops hotplug_port_ops = {
	.read = hotplug_read,
	.write = hotplug_write,
};

struct cpu_hotplug *cpu_hotplug_create(struct machine_bus *bus, u64 absent, int *err)
{
	struct cpu_hotplug *h = bus->acpi_pm ? calloc(1, sizeof(*h)) : NULL;

	*err = bus->acpi_pm ? -ENOMEM : -EINVAL;
	if (!h)
		return NULL;
	h->absent = absent & ~1ull & (bus->nvps < 64 ? BIT(bus->nvps) - 1 : ~0ull);
	bus_add_device(bus, &h->dev, &hotplug_class);
	*err = mem_add_ports(bus->mem, "cpu-hotplug", PORT_CPU_HOTPLUG, CPU_HOTPLUG_BYTES,
			     &hotplug_port_ops, h);
	if (!*err)
		*err = acpi_pm_add_gpe(bus->acpi_pm);
	if (*err)
		return NULL;
	for (u32 i = 0; i < bus->nvps; i++)
		if (h->absent & BIT(i))
			lapic_set_present(bus->lapic[i], false);
	return h;
}
