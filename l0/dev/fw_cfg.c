/* fw_cfg.c - see fw_cfg.h */
#include "l0/dev/fw_cfg.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/base/mem_ops.h"

#define PORT_SELECT 0x510u
#define PORT_DATA 0x511u
#define PORT_DMA 0x514u /* upper half of an address; the lower one at 0x518 starts */

#define KEY_SIGNATURE 0x00u
#define KEY_ID 0x01u
#define KEY_RAM_SIZE 0x03u
#define KEY_CPUS 0x05u
#define KEY_MAX_CPUS 0x0fu
#define KEY_DIRECTORY 0x19u
#define KEY_FIRST_FILE 0x20u
#define ID_TRADITIONAL 1u
#define ID_DMA 2u

#define DMA_ERROR 0x01u
#define DMA_READ 0x02u
#define DMA_SKIP 0x04u
#define DMA_SELECT 0x08u /* the item in the upper half */
#define DMA_WRITE 0x10u
#define DMA_MAX_BYTES (64 * MIB)       /* no item is near that */
#define DMA_SIGNATURE_HIGH 0x51454d55u /* "QEMU CFG" */
#define DMA_SIGNATURE_LOW 0x20434647u

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

/* In guest memory, big-endian. */
struct dma_access {
	u32 control, bytes;
	u64 gpa;
} __packed;
BUILD_ASSERT_SIZE(struct dma_access, 16);

struct fw_cfg {
	struct device dev;
	u32 dma_high;
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

/* Copy from the item, and zeros beyond its end. Return: false: not all of it is RAM. */
static bool dma_copy(struct fw_cfg *c, u64 gpa, u32 bytes)
{
	static const u8 zeros[PAGE_SIZE];
	struct mem *mem = c->dev.bus->mem;
	u32 all;
	const u8 *data = item(c, &all);
	u32 n = c->offset < all ? MIN(bytes, all - c->offset) : 0;

	if (bytes && !mem_ram_hva(mem, gpa, bytes))
		return false;
	if (n && mem_write(mem, gpa, data + c->offset, n))
		return false;
	c->offset += n;
	for (; n < bytes; n += MIN(bytes - n, (u32)PAGE_SIZE))
		if (mem_write(mem, gpa + n, zeros, MIN(bytes - n, (u32)PAGE_SIZE)))
			return false;
	return true;
}

static bool dma_perform(struct fw_cfg *c, u32 control, u32 bytes, u64 gpa)
{
	if (control & DMA_SELECT) {
		c->key = (u16)(control >> 16);
		c->offset = 0;
	}
	if (control & DMA_READ)
		return bytes <= DMA_MAX_BYTES && dma_copy(c, gpa, bytes);
	if (control & DMA_WRITE) /* everything is read-only */
		return false;
	if (control & DMA_SKIP)
		c->offset = bytes > ~c->offset ? ~0u : c->offset + bytes;
	return true;
}

/* The control word becomes 0, or the error bit: so the guest knows that it is over. */
static void dma(struct fw_cfg *c, u64 gpa)
{
	struct mem *mem = c->dev.bus->mem;
	struct dma_access a;

	if (mem_read(mem, gpa, &a, sizeof(a)))
		return;
	bool ok = dma_perform(c, __builtin_bswap32(a.control), __builtin_bswap32(a.bytes),
			      __builtin_bswap64(a.gpa));

	a.control = ok ? 0 : __builtin_bswap32(DMA_ERROR);
	if (mem_write(mem, gpa, &a.control, sizeof(a.control)))
		return;
}

static u32 fw_cfg_dma_read(void *dev, u16 port, unsigned int size)
{
	(void)dev;
	(void)size;
	return __builtin_bswap32(port == PORT_DMA ? DMA_SIGNATURE_HIGH : DMA_SIGNATURE_LOW);
}

static void fw_cfg_dma_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct fw_cfg *c = dev;

	(void)size;
	bus_lock(c->dev.bus);
	if (port == PORT_DMA) {
		c->dma_high = __builtin_bswap32(value);
	} else if (port == PORT_DMA + 4) {
		u64 gpa = (u64)c->dma_high << 32 | __builtin_bswap32(value);

		c->dma_high = 0;
		dma(c, gpa);
	}
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
	c->offset = c->dma_high = 0;
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

static const struct port_ops fw_cfg_dma_ops = {
	.read = fw_cfg_dma_read,
	.write = fw_cfg_dma_write,
	.widths = 4,
};

struct fw_cfg *fw_cfg_create(struct machine_bus *bus, int *err)
{
	struct fw_cfg *c = calloc(1, sizeof(*c));

	*err = -ENOMEM;
	if (!c)
		return NULL;
	c->ram_bytes = mem_ram_bytes(bus->mem);
	c->cpus = (u16)bus->nvps;
	c->id = ID_TRADITIONAL | ID_DMA;
	bus_add_device(bus, &c->dev, &fw_cfg_class);
	*err = mem_add_ports(bus->mem, "fw-cfg", PORT_SELECT, 2, &fw_cfg_ops, c);
	if (!*err)
		*err = mem_add_ports(bus->mem, "fw-cfg", PORT_DMA, 8, &fw_cfg_dma_ops, c);
	return *err ? NULL : c;
}
