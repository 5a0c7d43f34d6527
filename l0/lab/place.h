/*
 * place.h - where each option was given, for messages about it that come later
 *
 * A list for each machine and one for the host, newest first. Filled by l0/cmd while it reads the
 * command line and lab files; read by whoever finds out what is wrong with a value. Start-up only.
 */
#ifndef L0_LAB_PLACE_H
#define L0_LAB_PLACE_H

#include "l0/base/arena.h"
#include "l0/base/types.h"

struct place {
	const struct place *next;
	const char *key;
	const char *value; /* or NULL: the option has none */
	const char *text;  /* "FILE:LINE: KEY" of a lab file, "--KEY" of the command line */
	int line;	   /* 0: the command line */
};

/**
 * place_add - remember where option @key was given
 * @list: head of the list, which changes
 * @arena: what the list lives in; short of memory, nothing is remembered
 * @value: lives as long
 * @path: the lab file, or NULL: the command line
 */
void place_add(const struct place **list, struct arena *arena, const char *path, int line,
	       const char *key, const char *value);

/* The newest place of @key (with @value, unless that is NULL); NULL: it was not given. */
const struct place *place_find(const struct place *list, const char *key, const char *value);

/* As place_find(), as a text; when it was not given that is @key. */
const char *place_text(const struct place *list, const char *key, const char *value);

#endif
