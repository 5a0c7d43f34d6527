/*
 * acpi_pm.h - ACPI fixed hardware: PM1 event and control blocks, the PM timer
 *
 * At PORT_ACPI_PM (l0/arch/ports.h): PM1a event block (+0), PM1a control block (+4), PM timer (+8),
 * 32 bits wide at 3.579545 MHz. Where a device has general-purpose events, a GPE
 * block (+20h), edge triggered. Setting SLP_EN with the S5 type powers the machine off. The SCI is
 * line 9, level triggered. There is no SMI: the machine is always in ACPI mode. Source: ACPI
 * Specification 6.4, "ACPI Hardware Specification".
 */
#ifndef L0_DEV_ACPI_PM_H
#define L0_DEV_ACPI_PM_H

#include "l0/dev/bus.h"

struct acpi_pm;

/* Return: the block, owned by the bus; NULL with *@err = -EEXIST or -ENOMEM. */
struct acpi_pm *acpi_pm_create(struct machine_bus *bus, int *err);

/* The GPE block at ACPI_PM_GPE; once. Return: 0, -EEXIST, -ENOMEM. */
int acpi_pm_add_gpe(struct acpi_pm *p) __must_check;

/* General-purpose event @n, below 16, has happened. Lock held; acpi_pm_add_gpe() was called. */
void acpi_pm_raise_gpe(struct acpi_pm *p, u32 n);

/* The power button was pressed: the guest is asked to shut down. Takes the bus lock. */
void acpi_pm_power_button(struct acpi_pm *p);

#endif
