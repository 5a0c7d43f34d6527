/*
 * vga.h - a VGA card as far as its text modes go: registers, and the screen as text
 *
 * The registers at 0x3b0-0x3df keep what is written, with the effects that drivers look for (index
 * and flip-flop, retrace in the status). Its memory at 0xa0000-0xbffff is plain RAM, so text costs
 * nothing and fonts are not kept; planes and graphics are not supported. Source: IBM VGA; Linux
 * vgacon and SeaVGABIOS are its users here.
 */
#ifndef L0_DEV_VGA_H
#define L0_DEV_VGA_H

#include <stdio.h>

#include "l0/dev/bus.h"

struct vga;

/* Return: the card, owned by @bus; NULL with *@err = -EEXIST, -ENOMEM. */
struct vga *vga_create(struct machine_bus *bus, int *err) __must_check;

/*
 * vga_dump - the screen as UTF-8 lines without trailing blanks; one line that says so in a graphics
 * mode Called when no guest vector state is live.
 */
void vga_dump(struct vga *v, FILE *to);

#endif
