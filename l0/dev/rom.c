/* rom.c - see rom.h */
#include "l0/dev/rom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "l0/base/mem_ops.h"

#define ROM_UNIT (64 * KIB)

struct rom {
	struct device dev;
	u64 bytes;
	u8 data[];
};

static u64 rom_read(void *dev, u64 offset, unsigned int size)
{
	u64 value = 0;

	nm_copy(&value, ((const struct rom *)dev)->data + offset, size);
	return value;
}

static void rom_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	(void)dev;
	(void)offset;
	(void)value;
	(void)size;
}

static void rom_reset(struct device *d)
{
	(void)d;
}

static void rom_destroy(struct device *d)
{
	free(container_of(d, struct rom, dev));
}

static const struct device_class rom_class = {
	.name = "rom",
	.reset = rom_reset,
	.destroy = rom_destroy,
};

static const struct mmio_ops rom_ops = {.read = rom_read, .write = rom_write};

static struct rom *load(int fd, const char *path, char *err)
{
	struct stat st;
	struct rom *r = NULL;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size % ROM_UNIT ||
	    st.st_size > (off_t)ROM_MAX_BYTES) {
		snprintf(err, ROM_ERR_BYTES,
			 "%s: firmware is a file of a multiple of 64 KiB, up to 8 MiB", path);
		return NULL;
	}
	r = calloc(1, sizeof(*r) + (size_t)st.st_size);
	if (!r) {
		snprintf(err, ROM_ERR_BYTES, "%s: out of host memory", path);
		return NULL;
	}
	r->bytes = (u64)st.st_size;
	if (read(fd, r->data, r->bytes) != st.st_size) {
		snprintf(err, ROM_ERR_BYTES, "%s: cannot be read", path);
		free(r);
		return NULL;
	}
	return r;
}

struct rom *rom_create(struct machine_bus *bus, const char *path, char *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		snprintf(err, ROM_ERR_BYTES, "%s: %s", path, strerror(errno));
		return NULL;
	}
	struct rom *r = load(fd, path, err);

	close(fd);
	if (!r)
		return NULL;
	bus_add_device(bus, &r->dev, &rom_class);
	if (mem_add_mmio(bus->mem, "rom", 4 * GIB - r->bytes, r->bytes, &rom_ops, r)) {
		snprintf(err, ROM_ERR_BYTES, "%s: no room for it below 4 GiB", path);
		return NULL;
	}
	return r;
}

const u8 *rom_contents(const struct rom *r, u64 *bytes)
{
	*bytes = r->bytes;
	return r->data;
}
