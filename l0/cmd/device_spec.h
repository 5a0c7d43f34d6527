/*
 * device_spec.h - the values of --disk and --net
 *
 *	FILE[,ro][,ide][,serial=TEXT]
 *	none | user[,hostfwd=tcp|udp::HOSTPORT-:GUESTPORT]...
 *
 * Called by run_parse.c. Strings of the result live until the program ends.
 */
#ifndef L0_CMD_DEVICE_SPEC_H
#define L0_CMD_DEVICE_SPEC_H

#include "l0/lab/machine_desc.h"

#define DEVICE_SPEC_ERR_BYTES 256

/* Return: false with one line in @err (DEVICE_SPEC_ERR_BYTES). */
bool device_spec_disk(const char *value, struct machine_disk *disk, char *err) __must_check;
bool device_spec_net(const char *value, struct machine_net *net, char *err) __must_check;

#endif
