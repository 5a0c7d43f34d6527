/*
 * fw_cfg.h - the configuration device by which firmware learns about the machine: ports 0x510-0x51b
 *
 * A selector and a byte stream: fixed items (signature, RAM size, number of processors) and named
 * files, read byte by byte or copied to guest RAM by the DMA interface. Read-only. Source: QEMU's
 * "QEMU Firmware Configuration (fw_cfg) Device" specification; SeaBIOS and kvm-unit-tests are its
 * readers here.
 */
#ifndef L0_DEV_FW_CFG_H
#define L0_DEV_FW_CFG_H

#include "l0/dev/bus.h"

#define FW_CFG_MAX_FILES 16u
#define FW_CFG_NAME_BYTES 56u

struct fw_cfg;

/* Return: the device with its fixed items, owned by @bus; NULL with *@err = -EEXIST, -ENOMEM. */
struct fw_cfg *fw_cfg_create(struct machine_bus *bus, int *err) __must_check;

/**
 * fw_cfg_set - add the file @name or replace its contents; while the machine does not run
 * @name: below FW_CFG_NAME_BYTES characters. @data is copied.
 * Return: 0, -ENOSPC, -ENOMEM.
 */
int fw_cfg_set(struct fw_cfg *c, const char *name, const void *data, u32 bytes) __must_check;

#endif
