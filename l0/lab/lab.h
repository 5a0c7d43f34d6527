/*
 * lab.h - lab files: several machines described in one INI file
 *
 *	[host]
 *	clock = virtual
 *	workers = 1
 *
 *	[machine A]
 *	image = child.elf          ; relative to the lab file's folder
 *	append = rt batch
 *	memory = 64M
 *
 * This module only reads the file into sections and keys; the meaning of a key is that of the
 * option of the same name, so l0/cmd checks it. Called at start-up; no state.
 */
#ifndef L0_LAB_LAB_H
#define L0_LAB_LAB_H

#include "l0/base/types.h"

struct lab_reader {
	/* [machine NAME] begins. Return: false stops reading (the reader has printed why). */
	bool (*machine)(void *arg, const char *name, int line);
	/* key = value in [host] (in_host) or in the last machine. Return: as above. */
	bool (*set)(void *arg, bool in_host, const char *key, const char *value, int line);
	void *arg;
};

/* Room for an error text of lab_read(). */
#define LAB_ERROR_BYTES 512

/**
 * lab_is_lab_file - is this path meant as a lab file (its name ends in .ini)?
 */
bool lab_is_lab_file(const char *path);

/**
 * lab_read - read the file @path, calling @reader for what it holds in order
 * @error: LAB_ERROR_BYTES; what is wrong, when 0 is not returned; empty when a callback stopped it
 * Return: 0; -errno when the file cannot be read; -EINVAL for bad syntax or a stop.
 */
int lab_read(const char *path, const struct lab_reader *reader, char *error) __must_check;

#endif
