/*
 * aml_cpus.h - processors as ACPI devices that come and go: the guest's half of
 * l0/dev/cpu_hotplug.h
 *
 * \_SB.CPUS holds the hot-plug ports as a field, a processor device each (_STA, _MAT, _OST and, but
 * for the first, _EJ0), and the scan that general-purpose event 2 starts: it notifies each device
 * that has something pending. Only included inside l0/boot/. Source: ACPI Specification 6.4, "ACPI
 * Machine Language (AML) Specification", "Processor Aggregator and Processor Devices", "Device
 * Insertion, Removal, and Status Objects".
 */
#ifndef L0_BOOT_AML_CPUS_H
#define L0_BOOT_AML_CPUS_H

#include "l0/boot/aml.h"

/* What an SSDT for @n processors holds, below its header. */
void aml_cpus(struct aml *a, u32 n);

#endif
