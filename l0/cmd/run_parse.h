/*
 * run_parse.h - command line and lab file → struct run_options
 *
 * Called by `nestor run` and `nestor record` only. Prints one line for what is wrong: what, where,
 * what to do. Reads lab files and looks whether images can be read; changes nothing.
 */
#ifndef L0_CMD_RUN_PARSE_H
#define L0_CMD_RUN_PARSE_H

#include "l0/cmd/cmd.h"
#include "l0/cmd/run_options.h"

/* The option table that both commands share. */
enum {
#define OPT(name, key, arg, help) +1
#define HEADING(text) +1
	RUN_CMD_NOPTIONS = 0
#include "l0/cmd/run_options.def"
#undef OPT
#undef HEADING
};
extern const struct cmd_option run_cmd_options[RUN_CMD_NOPTIONS];

#define RUN_PARSE_OK (-1)

/**
 * run_parse - parse and check
 * @opts: filled; its strings point into @argv or live until run_options_fini()
 * Return: RUN_PARSE_OK; otherwise the status to end with (0 after --help).
 */
int run_parse(const struct cmd *cmd, int argc, char **argv, struct run_options *opts) __must_check;

/* Also after run_parse() failed. */
void run_options_fini(struct run_options *opts);

#endif
