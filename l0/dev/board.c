/* board.c - see board.h */
#include "l0/dev/board.h"

#include "l0/dev/acpi_pm.h"
#include "l0/dev/hpet.h"
#include "l0/dev/i8042.h"
#include "l0/dev/pci.h"
#include "l0/dev/reset_ports.h"
#include "l0/dev/rtc.h"
#include "l0/dev/testdev.h"

int board_create(struct machine_bus *bus, u64 epoch)
{
	int err = reset_ports_create(bus);

	if (!err)
		err = i8042_create(bus);
	if (!err)
		err = rtc_create(bus, epoch);
	if (!err)
		err = hpet_create(bus);
	if (!err)
		acpi_pm_create(bus, &err);
	if (!err)
		pci_host_create(bus, &err);
	if (!err)
		err = testdev_create(bus);
	return err;
}
