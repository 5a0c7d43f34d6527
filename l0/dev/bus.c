/* bus.c - see bus.h */
#include "l0/dev/bus.h"

#include <errno.h>

#include "trace/transition.h"

int bus_init(struct machine_bus *bus, const struct machine_bus_ops *ops, void *machine,
	     struct mem *mem, const struct clock *clock, u32 nvps)
{
	if (!nvps || nvps > BUS_MAX_VPS)
		return -EINVAL;
	*bus = (struct machine_bus){
		.ops = ops,
		.machine = machine,
		.mem = mem,
		.clock = clock,
		.nvps = nvps,
		.locked = nvps > 1 || clock->kind == CLOCK_KIND_HOST,
	};
	timer_queue_init(&bus->timers);
	list_init(&bus->devices);
	return -pthread_mutex_init(&bus->lock, NULL);
}

void bus_fini(struct machine_bus *bus)
{
	struct device *d;

	while ((d = list_last(&bus->devices, struct device, link)) != NULL) {
		list_del(&d->link);
		d->cls->destroy(d);
	}
	pthread_mutex_destroy(&bus->lock);
}

void bus_reset(struct machine_bus *bus)
{
	struct device *d;

	bus_lock(bus);
	list_for_each (d, &bus->devices, link)
		d->cls->reset(d);
	bus_unlock(bus);
}

void bus_add_device(struct machine_bus *bus, struct device *d, const struct device_class *cls)
{
	d->cls = cls;
	d->bus = bus;
	list_add_tail(&bus->devices, &d->link);
}

void bus_intr_due(struct machine_bus *bus, u32 vp, u32 source, u32 vector, u64 due_ns)
{
	struct trace_ctx *ctx = bus->ops->trace(bus->machine, vp);

	if (ctx)
		TRANSITION(ctx, intr_due, .source = source, .vector = vector, .due_ns = due_ns);
}

void bus_report(struct machine_bus *bus, const char *device, const char *text)
{
	if (bus->ops->report)
		bus->ops->report(bus->machine, device, text);
}

void bus_timer_arm(struct machine_bus *bus, struct timer *t, u64 deadline_ns)
{
	u64 first = timer_queue_next(&bus->timers);

	timer_arm(&bus->timers, t, deadline_ns);
	if (timer_queue_next(&bus->timers) < first && bus->ops->deadline_changed)
		bus->ops->deadline_changed(bus->machine);
}

u64 bus_next_deadline(struct machine_bus *bus)
{
	bus_lock(bus);
	u64 next = timer_queue_next(&bus->timers);

	bus_unlock(bus);
	return next;
}

u32 bus_expire(struct machine_bus *bus, u64 now_ns)
{
	bus_lock(bus);
	u32 fired = timer_queue_expire(&bus->timers, now_ns, BUS_EXPIRE_LIMIT);

	bus_unlock(bus);
	return fired;
}
