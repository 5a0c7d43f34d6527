/*
 * count_spec.h - the values of --count
 *
 *	EVENT@MACHINE[/PART]...     count while that runs
 *	EVENT!=MACHINE[/PART]...    count while anything else runs
 *
 * MACHINE is a name, or * for any; a PART is own (its own code, level 1), level=N, child=N,
 * cr3=ADDRESS or thread=ADDRESS. Called by run_check.c, when all machines are known.
 */
#ifndef L0_CMD_COUNT_SPEC_H
#define L0_CMD_COUNT_SPEC_H

#include "l0/cmd/run_options.h"

#define COUNT_SPEC_ERR_BYTES 256

/* Return: false with one line in @err (COUNT_SPEC_ERR_BYTES). */
bool count_spec_parse(const struct run_options *o, const char *value, struct track_count *out,
		      char *err) __must_check;

/* The value of machine @i's --fence: PARTs, child= among them. */
bool count_spec_fence(const struct run_options *o, unsigned i, struct track_match *out,
		      char *err) __must_check;

#endif
