/*
 * cpu_hotplug.h - processors that come and go: ACPI CPU hot-plug (mechanism B9)
 *
 * Twelve bytes of ports at PORT_CPU_HOTPLUG in the layout that QEMU and firmware for it agree on
 * ("QEMU<->ACPI BIOS CPU hotplug interface", its modern form); the AML that drives them is
 * l0/boot/aml_cpus.c's. A processor is present or not; a change is announced by general-purpose
 * event 2 (acpi_pm.h), whose method asks here what it is about. The guest takes a processor in use
 * offline by itself and then ejects it, or says by _OST that it will not. One that is not present
 * gets no interrupts, no INIT and no start-up IPI. Processor 0 always stays.
 *
 * Made by the machine where it is asked for. Never decides who goes: the user, a plan or the
 * scheduler does.
 */
#ifndef L0_DEV_CPU_HOTPLUG_H
#define L0_DEV_CPU_HOTPLUG_H

#include "l0/dev/bus.h"

struct cpu_hotplug;

/**
 * cpu_hotplug_create - the ports, and GPE block of the ACPI hardware, which exists
 * @absent: a bit for each processor that is not there at the start
 * Return: the device, owned by the bus; NULL with *@err = -EEXIST, -ENOMEM, -EINVAL.
 */
struct cpu_hotplug *cpu_hotplug_create(struct machine_bus *bus, u64 absent, int *err) __must_check;

/**
 * cpu_hotplug_plug - put processor @vp in / cpu_hotplug_unplug - ask the guest to let it go
 * Return: 0; -EALREADY: it is there (gone) or on its way; -EINVAL: no such processor, or 0. Take
 * the bus lock.
 */
int cpu_hotplug_plug(struct cpu_hotplug *h, u32 vp);
int cpu_hotplug_unplug(struct cpu_hotplug *h, u32 vp);

/* Do so at @at_ns of machine time. Return: 0, -ENOMEM. */
int cpu_hotplug_plan(struct cpu_hotplug *h, u64 at_ns, u32 vp, bool plug) __must_check;

/* The machine has stopped and reset @vp, which was ejected: it may be plugged again. Takes the bus
 * lock. */
void cpu_hotplug_gone(struct cpu_hotplug *h, u32 vp);

/* A bit for each processor that is not present. */
u64 cpu_hotplug_absent(const struct cpu_hotplug *h);

#endif
