/*
 * run_check.h - checks of a parsed run that need the host, and the defaults that follow from them
 *
 * Called by run_parse() once everything is parsed. Prints one line for the first thing that is
 * wrong. Creates the output folder when the run will write to it; changes nothing else.
 */
#ifndef L0_CMD_RUN_CHECK_H
#define L0_CMD_RUN_CHECK_H

#include "l0/cmd/cmd.h"
#include "l0/cmd/run_options.h"

/**
 * run_check - check files and the host; fill in workers and output
 * Return: RUN_PARSE_OK, or the exit status.
 */
int run_check(const struct cmd *cmd, struct run_options *opts) __must_check;

#endif
