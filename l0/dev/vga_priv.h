/*
 * vga_priv.h - the card's registers, shared by vga.c and vga_cold.c alone
 */
#ifndef L0_DEV_VGA_PRIV_H
#define L0_DEV_VGA_PRIV_H

#include "l0/dev/vga.h"

#define VGA_CRTC_COUNT 0x19u
#define VGA_DAC_BYTES 768u

struct vga {
	struct device dev;
	u8 misc;
	u8 crtc_index, crtc[VGA_CRTC_COUNT];
	u8 sequencer_index, sequencer[8];
	u8 graphics_index, graphics[16];
	u8 attribute_index, attribute[32];
	bool attribute_data; /* the next write to 3c0 is data */
	u8 dac_mask, dac[VGA_DAC_BYTES];
	u16 dac_read, dac_write;
};

#endif
