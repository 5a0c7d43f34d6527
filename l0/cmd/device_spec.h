/*
 * device_spec.h - the values of --disk and --net
 *
 *	FILE[,ro][,ide][,serial=TEXT]
 *	none | user[,hostfwd=tcp|udp::HOSTPORT-:GUESTPORT]...
 *
 * Called by run_parse.c.
 */
#ifndef L0_CMD_DEVICE_SPEC_H
#define L0_CMD_DEVICE_SPEC_H

#include "l0/lab/machine_desc.h"

#define DEVICE_SPEC_ERR_BYTES 256

/* @text is cut into pieces, to which the result points.
 * Return: false with one line in @err (DEVICE_SPEC_ERR_BYTES). */
bool device_spec_disk(char *text, struct machine_disk *disk, char *err) __must_check;
bool device_spec_net(char *text, struct machine_net *net, char *err) __must_check;

#endif
