/*
 * bus.h - what a machine gives its devices: memory map, time, interrupt lines, and the way up
 *
 * One struct machine_bus a machine, made by the machine before its devices. Devices reach upwards
 * only through machine_bus_ops; those calls hold the bus lock, may come in mid-instruction, and so
 * only note what happened (set an attention bit, append to a buffer) and never call a device back.
 *
 * Locking: every entry into device code (port and MMIO ops, timer expiry, the functions that the
 * engine's vp_ops call) takes bus_lock(): a mutex under the host's clock, where any worker expires
 * any machine's timers, and in a machine of several VPs. It is not recursive: device-to-device
 * calls are made inside it.
 */
#ifndef L0_DEV_BUS_H
#define L0_DEV_BUS_H

#include <pthread.h>

#include "l0/dev/device.h"
#include "l0/dev/irq.h"
#include "l0/mem/mem.h"
#include "l0/time/clock.h"
#include "l0/time/timer.h"

struct trace_ctx;

/* Timers that fire in one bus_expire(): more only when a guest programs them for the past. */
#define BUS_EXPIRE_LIMIT 4096u
#define BUS_MAX_VPS 64u

enum bus_reset_kind {
	BUS_RESET_HARD, /* reset line: every VP and device as after power-up */
	BUS_RESET_INIT, /* INIT# to every VP (port 0x92 bit 0, keyboard controller) */
	BUS_POWER_OFF,
};

enum cpu_change {
	CPU_CHANGE_ASKED,   /* the guest is asked to eject it */
	CPU_CHANGE_REFUSED, /* it says that it will not */
	CPU_CHANGE_EJECTED, /* it did: stop it, forget it, then cpu_hotplug_gone() */
	CPU_CHANGE_PLUGGED, /* there is one that waits for its start-up IPI */
};

/* Ways out of the machine's devices. All are called with the bus lock held and must not block. */
struct machine_bus_ops {
	/* Machine time now: exact in mid-instruction for the VP that runs on this thread. */
	u64 (*now_ns)(void *machine);
	/* Id of the VP that runs on this thread (whose instruction a device is serving). */
	u32 (*current_vp)(void *machine);
	/* The context for a transition about VP @vp, to be used on this thread; NULL: no trace. */
	struct trace_ctx *(*trace)(void *machine, u32 vp);
	/* The first timer deadline moved to an earlier time: make engine_run() look again. */
	void (*deadline_changed)(void *machine);
	/* The interrupt request of a VP: VP_ATTN_INTR on or off. Wakes a halted VP. */
	void (*set_intr)(void *machine, u32 vp, bool level);
	void (*set_nmi)(void *machine, u32 vp);
	void (*send_init)(void *machine, u32 vp);
	void (*send_sipi)(void *machine, u32 vp, u8 vector);
	/* Reset or power off; acted on when the running instructions are done. */
	void (*reset)(void *machine, enum bus_reset_kind kind);
	/* A guest wrote @value to the debug-exit port: end with status (value << 1) | 1. */
	void (*debug_exit)(void *machine, u32 value);
	/* A guest reported one of its own counts, layout in l0/arch/ports.h: for the trace only. */
	void (*guest_deadline)(void *machine, u32 value);
	/* Processor @vp came, or is to go, or went (cpu_hotplug.h); NULL: that cannot be. */
	void (*cpu_changed)(void *machine, u32 vp, enum cpu_change change);
	/* The address line A20 is forced to 0 (or not); NULL when the machine has no such gate. */
	void (*set_a20)(void *machine, bool on);
	/* A device's MMIO region moved (vtlb_memory_changed()); NULL: nothing caches where they
	 * are. */
	void (*memory_changed)(void *machine);
	/* A device has something to say to the user: that a driver broke a rule, that the host's
	 * side of it failed. NULL: nobody listens. */
	void (*report)(void *machine, const char *device, const char *text);
};

struct acpi_pm;
struct lapic;
struct pic;
struct ioapic;
struct pci_host;

struct machine_bus {
	const struct machine_bus_ops *ops;
	void *machine;
	struct mem *mem;
	const struct clock *clock;
	struct timer_queue timers;
	struct irq_router irq;
	struct list_node devices;
	struct lapic *lapic[BUS_MAX_VPS]; /* by VP id; filled by lapic_create() */
	struct pic *pic;		  /* filled by pic_create(); NULL: none */
	struct ioapic *ioapic;		  /* likewise */
	struct pci_host *pci;		  /* likewise */
	struct acpi_pm *acpi_pm;	  /* likewise */
	u32 nvps;
	u32 maxphyaddr; /* of the processor model, set by the machine; 0: a default */
	bool locked;	/* several threads may reach the devices */
	pthread_mutex_t lock;
};

/**
 * bus_init - an empty bus in the caller's memory
 * @ops, @machine, @mem, @clock: borrowed, outlive the bus
 * @nvps: number of VPs, 1..BUS_MAX_VPS
 * Return: 0, -EINVAL.
 */
int bus_init(struct machine_bus *bus, const struct machine_bus_ops *ops, void *machine,
	     struct mem *mem, const struct clock *clock, u32 nvps) __must_check;

/* Destroy every device, last created first. */
void bus_fini(struct machine_bus *bus);

/* Reset every device in order of creation (the machine resets the VPs). Takes the lock. */
void bus_reset(struct machine_bus *bus);

/* Put a device on the list; for NOUN_create(). */
void bus_add_device(struct machine_bus *bus, struct device *d, const struct device_class *cls);

static inline void bus_lock(struct machine_bus *bus)
{
	if (bus->locked)
		pthread_mutex_lock(&bus->lock);
}

static inline void bus_unlock(struct machine_bus *bus)
{
	if (bus->locked)
		pthread_mutex_unlock(&bus->lock);
}

static inline u64 bus_now(struct machine_bus *bus)
{
	return bus->ops->now_ns(bus->machine);
}

/* An interrupt for VP @vp is due: makes the transition intr_due. @source: INTR_SOURCE_*. Lock held.
 */
void bus_intr_due(struct machine_bus *bus, u32 vp, u32 source, u32 vector, u64 due_ns);

/* Say one line about @device to the user; the machine limits how many. Lock held. */
void bus_report(struct machine_bus *bus, const char *device, const char *text);

/* Arm or cancel (TIMER_NEVER) a device's timer; tells the machine when the first deadline moved up.
 * Lock held. */
void bus_timer_arm(struct machine_bus *bus, struct timer *t, u64 deadline_ns);

/* Deadline of the first timer or TIMER_NEVER, for the worker. Takes the lock. */
u64 bus_next_deadline(struct machine_bus *bus);

/* Fire the timers that are due at @now_ns, for the worker between engine_run()s. Takes the lock.
 * Return: how many fired. */
u32 bus_expire(struct machine_bus *bus, u64 now_ns);

#endif
