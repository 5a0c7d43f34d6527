/* fw_cfg.c - see fw_cfg.h */
#include "l0/dev/fw_cfg.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/base/mem_ops.h"

#define PORT_SELECT 0x510u
#define PORT_DATA 0x511u

#define KEY_SIGNATURE 0x00u
#define KEY_ID 0x01u
#define KEY_RAM_SIZE 0x03u
#define KEY_CPUS 0x05u
#define KEY_MAX_CPUS 0x0fu
#define KEY_DIRECTORY 0x19u
#define KEY_FIRST_FILE 0x20u
#define ID_TRADITIONAL 1u

struct fw_cfg_file {
	u8 *data;
	u32 bytes;
};

/* As it is read: numbers big-endian. */
struct directory {
	u32 count;
	struct {
		u32 bytes;
		u16 key, reserved;
		char name[FW_CFG_NAME_BYTES];
	} entry[FW_CFG_MAX_FILES];
} __packed;

struct fw_cfg {
	struct device dev;
	u16 key;
	u32 offset;
	u32 nfiles;
	struct fw_cfg_file file[FW_CFG_MAX_FILES];
	struct directory directory;
	u64 ram_bytes;
	u16 cpus;
	u32 id;
};

/* What the selected item is. Return: NULL: there is no such item. */
static const u8 *item(const struct fw_cfg *c, u32 *bytes)
{
	u32 file = (u32)c->key - KEY_FIRST_FILE;

	if (file < c->nfiles) {
		*bytes = c->file[file].bytes;
		return c->file[file].data;
	}
	switch (c->key) {
	case KEY_SIGNATURE: *bytes = 4; return (const u8 *)"QEMU";
	case KEY_ID: *bytes = sizeof(c->id); return (const u8 *)&c->id;
	case KEY_RAM_SIZE: *bytes = sizeof(c->ram_bytes); return (const u8 *)&c->ram_bytes;
	case KEY_CPUS:
	case KEY_MAX_CPUS: *bytes = sizeof(c->cpus); return (const u8 *)&c->cpus;
	case KEY_DIRECTORY: *bytes = sizeof(c->directory); return (const u8 *)&c->directory;
	default: *bytes = 0; return NULL;
	}
}

/* Beyond an item's end there are zeros. */
static u8 next_byte(struct fw_cfg *c)
{
	u32 bytes;
	const u8 *data = item(c, &bytes);

	return data && c->offset < bytes ? data[c->offset++] : 0;
}

static u32 fw_cfg_read(void *dev, u16 port, unsigned int size)
{
	struct fw_cfg *c = dev;

	if (port != PORT_DATA || size != 1)
		return port == PORT_SELECT && size == 2 ? c->key : ~0u;
	bus_lock(c->dev.bus);
	u8 value = next_byte(c);

	bus_unlock(c->dev.bus);
	return value;
}

static void fw_cfg_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct fw_cfg *c = dev;

	if (port != PORT_SELECT || size != 2)
		return;
	bus_lock(c->dev.bus);
	c->key = (u16)value;
	c->offset = 0;
	bus_unlock(c->dev.bus);
}

static void copy_name(char *to, const char *name)
{
	u32 i = 0;

	for (; name[i] && i < FW_CFG_NAME_BYTES - 1; i++)
		to[i] = name[i];
	to[i] = 0;
}

static u32 find_or_add(struct fw_cfg *c, const char *name)
{
	u32 i = 0;

	while (i < c->nfiles && !nm_str_equal(c->directory.entry[i].name, name))
		i++;
	if (i < c->nfiles || i == FW_CFG_MAX_FILES)
		return i;
	c->nfiles++;
	c->directory.count = __builtin_bswap32(c->nfiles);
	c->directory.entry[i].key = __builtin_bswap16((u16)(KEY_FIRST_FILE + i));
	copy_name(c->directory.entry[i].name, name);
	return i;
}

int fw_cfg_set(struct fw_cfg *c, const char *name, const void *data, u32 bytes)
{
	u8 *copy = malloc(bytes ? bytes : 1);

	if (!copy)
		return -ENOMEM;
	u32 i = find_or_add(c, name);

	if (i == FW_CFG_MAX_FILES) {
		free(copy);
		return -ENOSPC;
	}
	nm_copy(copy, data, bytes);
	free(c->file[i].data);
	c->file[i] = (struct fw_cfg_file){copy, bytes};
	c->directory.entry[i].bytes = __builtin_bswap32(bytes);
	return 0;
}

static void fw_cfg_reset(struct device *d)
{
	struct fw_cfg *c = container_of(d, struct fw_cfg, dev);

	c->key = 0;
	c->offset = 0;
}

static void fw_cfg_destroy(struct device *d)
{
	struct fw_cfg *c = container_of(d, struct fw_cfg, dev);

	for (u32 i = 0; i < c->nfiles; i++)
		free(c->file[i].data);
	free(c);
}

static const struct device_class fw_cfg_class = {
	.name = "fw-cfg",
	.reset = fw_cfg_reset,
	.destroy = fw_cfg_destroy,
};

static const struct port_ops fw_cfg_ops = {
	.read = fw_cfg_read,
	.write = fw_cfg_write,
	.widths = 1 | 2,
};

struct fw_cfg *fw_cfg_create(struct machine_bus *bus, int *err)
{
	struct fw_cfg *c = calloc(1, sizeof(*c));

	*err = -ENOMEM;
	if (!c)
		return NULL;
	c->ram_bytes = mem_ram_bytes(bus->mem);
	c->cpus = (u16)bus->nvps;
	c->id = ID_TRADITIONAL;
	bus_add_device(bus, &c->dev, &fw_cfg_class);
	*err = mem_add_ports(bus->mem, "fw-cfg", PORT_SELECT, 2, &fw_cfg_ops, c);
	return *err ? NULL : c;
}
