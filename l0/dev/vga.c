/* vga.c - the registers, see vga.h; vga_cold.c has the dump */
#include "l0/dev/vga.h"

#include <errno.h>
#include <stdlib.h>

#include "l0/base/mem_ops.h"
#include "l0/dev/vga_priv.h"

#define PORT_FIRST 0x3b0u
#define PORT_COUNT 0x30u

#define PORT_ATTRIBUTE 0x3c0u
#define PORT_ATTRIBUTE_READ 0x3c1u
#define PORT_MISC_WRITE 0x3c2u /* reads: input status 0 */
#define PORT_SEQUENCER 0x3c4u
#define PORT_DAC_MASK 0x3c6u
#define PORT_DAC_READ_INDEX 0x3c7u
#define PORT_DAC_WRITE_INDEX 0x3c8u
#define PORT_DAC_DATA 0x3c9u
#define PORT_FEATURE_READ 0x3cau
#define PORT_MISC_READ 0x3ccu
#define PORT_GRAPHICS 0x3ceu

#define MISC_COLOUR 0x01u
#define STATUS_RETRACE 0x08u
#define STATUS_BLANK 0x01u
#define LINE_NS 32000u	 /* a line of the picture, the last fifth of it blank */
#define FRAME_LINES 449u /* of which 49 are retrace */

/* Is this the CRTC or status port of the adapter that MISC chose (colour 3dx, mono 3bx)? */
static bool is_crtc(const struct vga *v, u16 port, u32 low)
{
	return port == (v->misc & MISC_COLOUR ? 0x3d0u : 0x3b0u) + low;
}

static u8 status(struct vga *v)
{
	u64 at = bus_now(v->dev.bus), line = at / LINE_NS % FRAME_LINES;
	u8 value = at % LINE_NS > LINE_NS * 4 / 5 ? STATUS_BLANK : 0;

	v->attribute_data = false;
	return line >= 400 ? STATUS_RETRACE | STATUS_BLANK : value;
}

static void write_attribute(struct vga *v, u8 value)
{
	if (v->attribute_data)
		v->attribute[v->attribute_index & 31] = value;
	else
		v->attribute_index = value & 0x3f;
	v->attribute_data = !v->attribute_data;
}

static u8 read_dac(struct vga *v)
{
	u8 value = v->dac[v->dac_read];

	v->dac_read = (u16)((v->dac_read + 1) % VGA_DAC_BYTES);
	return value;
}

static void write_dac(struct vga *v, u8 value)
{
	v->dac[v->dac_write] = value & 0x3f;
	v->dac_write = (u16)((v->dac_write + 1) % VGA_DAC_BYTES);
}

static u8 read_register(struct vga *v, u16 port)
{
	if (is_crtc(v, port, 4))
		return v->crtc_index;
	if (is_crtc(v, port, 5))
		return v->crtc_index < VGA_CRTC_COUNT ? v->crtc[v->crtc_index] : 0;
	if (is_crtc(v, port, 0xa))
		return status(v);
	switch (port) {
	case PORT_ATTRIBUTE: return v->attribute_index;
	case PORT_ATTRIBUTE_READ: return v->attribute[v->attribute_index & 31];
	case PORT_MISC_WRITE: return 0x10;
	case PORT_SEQUENCER: return v->sequencer_index;
	case PORT_SEQUENCER + 1: return v->sequencer[v->sequencer_index & 7];
	case PORT_DAC_MASK: return v->dac_mask;
	case PORT_DAC_READ_INDEX: return 0;
	case PORT_DAC_WRITE_INDEX: return (u8)(v->dac_write / 3);
	case PORT_DAC_DATA: return read_dac(v);
	case PORT_FEATURE_READ: return 0;
	case PORT_MISC_READ: return v->misc;
	case PORT_GRAPHICS: return v->graphics_index;
	case PORT_GRAPHICS + 1: return v->graphics[v->graphics_index & 15];
	default: return 0xff;
	}
}

static void write_register(struct vga *v, u16 port, u8 value)
{
	if (is_crtc(v, port, 4)) {
		v->crtc_index = value;
		return;
	}
	if (is_crtc(v, port, 5)) {
		/* registers 0-7 are protected by bit 7 of 11h, but for bit 4 of 7 */
		if (v->crtc_index >= VGA_CRTC_COUNT)
			return;
		if (v->crtc_index < 8 && (v->crtc[0x11] & 0x80))
			return;
		v->crtc[v->crtc_index] = value;
		return;
	}
	switch (port) {
	case PORT_ATTRIBUTE: write_attribute(v, value); break;
	case PORT_MISC_WRITE: v->misc = value; break;
	case PORT_SEQUENCER: v->sequencer_index = value; break;
	case PORT_SEQUENCER + 1: v->sequencer[v->sequencer_index & 7] = value; break;
	case PORT_DAC_MASK: v->dac_mask = value; break;
	case PORT_DAC_READ_INDEX: v->dac_read = (u16)(value * 3); break;
	case PORT_DAC_WRITE_INDEX: v->dac_write = (u16)(value * 3); break;
	case PORT_DAC_DATA: write_dac(v, value); break;
	case PORT_GRAPHICS: v->graphics_index = value; break;
	case PORT_GRAPHICS + 1: v->graphics[v->graphics_index & 15] = value; break;
	}
}

/* The card is an 8-bit one: wider accesses are bytes at ascending ports. */
static u32 vga_read(void *dev, u16 port, unsigned int size)
{
	struct vga *v = dev;
	u32 value = 0;

	bus_lock(v->dev.bus);
	for (unsigned int i = 0; i < size; i++)
		value |= (u32)read_register(v, (u16)(port + i)) << (8 * i);
	bus_unlock(v->dev.bus);
	return value;
}

static void vga_write(void *dev, u16 port, u32 value, unsigned int size)
{
	struct vga *v = dev;

	bus_lock(v->dev.bus);
	for (unsigned int i = 0; i < size; i++)
		write_register(v, (u16)(port + i), (u8)(value >> (8 * i)));
	bus_unlock(v->dev.bus);
}

static void vga_reset(struct device *d)
{
	struct vga *v = container_of(d, struct vga, dev);
	struct device dev = v->dev;

	*v = (struct vga){.dev = dev, .misc = MISC_COLOUR, .dac_mask = 0xff};
}

static void vga_destroy(struct device *d)
{
	free(container_of(d, struct vga, dev));
}

static const struct device_class vga_class = {
	.name = "vga",
	.reset = vga_reset,
	.destroy = vga_destroy,
};

static const struct port_ops vga_ops = {.read = vga_read, .write = vga_write};

struct vga *vga_create(struct machine_bus *bus, int *err)
{
	struct vga *v = calloc(1, sizeof(*v));

	*err = -ENOMEM;
	if (!v)
		return NULL;
	bus_add_device(bus, &v->dev, &vga_class);
	vga_reset(&v->dev);
	*err = mem_add_ports(bus->mem, "vga", PORT_FIRST, PORT_COUNT, &vga_ops, v);
	return *err ? NULL : v;
}
