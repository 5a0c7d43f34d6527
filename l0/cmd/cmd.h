/*
 * cmd.h - subcommands of the program: table, options, help, errors
 *
 * A subcommand is one file l0/cmd/NAME.c with one `const struct cmd cmd_NAME`, named in
 * commands.def. Its option table gives the parsing (GNU getopt_long), `nestor help NAME`,
 * `nestor NAME --help` and the man page. Called from main() only; start-up time only.
 * Never exits by itself: a command returns an exit status (exit_codes.h).
 *
 *	static int frob(const struct cmd *cmd, int argc, char **argv)
 *	{
 *		struct cmd_args args;
 *		int key;
 *
 *		cmd_args_init(&args, cmd, argc, argv);
 *		while ((key = cmd_args_next(&args)) != CMD_END)
 *			switch (key) {
 *			case 'x': …args.value…; break;
 *			case CMD_POSITIONAL: …args.value…; break;
 *			default: return cmd_args_status(key);
 *			}
 */
#ifndef L0_CMD_CMD_H
#define L0_CMD_CMD_H

#include "l0/base/types.h"
#include "l0/cmd/exit_codes.h"

struct cmd_option {
	const char *name; /* long name without dashes; NULL: a heading, its text in help */
	int key;	  /* short letter, or a value from CMD_KEY_LONG up for none */
	const char *arg;  /* the argument's name in the help; NULL: takes none */
	const char *help; /* one sentence, wrapped when printed */
};

struct cmd {
	const char *name;
	const char *synopsis; /* what follows the name, "[options] IMAGE..." */
	const char *brief;    /* one line, no full stop */
	const char *details;  /* paragraphs separated by blank lines; NULL: none */
	const char *examples; /* one command a line; NULL: none */
	const struct cmd_option *options;
	size_t noptions;
	int (*run)(const struct cmd *cmd, int argc, char **argv); /* argv[0] is the name */
	bool is_hidden;						  /* not in the list of the help */
};

enum {
	CMD_KEY_LONG = 256, /* first key of options that have no short letter */
	CMD_POSITIONAL = 1, /* cmd_args_next(): value is not an option's */
	CMD_END = -1,	    /* no more arguments */
	CMD_HELP = -2,	    /* --help was given and printed */
	CMD_ERROR = -3,	    /* a usage error was printed */
};

#define CMD_MAX_OPTIONS 96

struct cmd_args {
	const struct cmd *cmd;
	int argc;
	char **argv;
	bool rest_is_positional; /* after "--" */
	const char *value;	 /* of the option or positional argument just returned */
};

/**
 * cmd_args_init - start to parse a command's arguments
 * @argv: argv[0] is the command's name; not changed, must outlive the values
 *
 * One parser at a time: getopt keeps its place in global variables.
 */
void cmd_args_init(struct cmd_args *args, const struct cmd *cmd, int argc, char **argv);

/**
 * cmd_args_next - the next option or positional argument, in the order given
 * Return: the option's key or CMD_POSITIONAL, with args->value; CMD_END; CMD_HELP; CMD_ERROR.
 */
int cmd_args_next(struct cmd_args *args);

/* Exit status for a key that a command does not handle: CMD_HELP or CMD_ERROR. */
int cmd_args_status(int key);

/**
 * cmd_usage_error - print "nestor NAME: TEXT (try 'nestor NAME --help')" to stderr
 * Return: EXIT_CODE_USAGE, for `return cmd_usage_error(…)`.
 */
int cmd_usage_error(const struct cmd *cmd, const char *fmt, ...) __printf_like(2, 3);

/* Print "nestor NAME: TEXT" to stderr. Return: @status. */
int cmd_error(const struct cmd *cmd, int status, const char *fmt, ...) __printf_like(3, 4);

/* Help of one command on stdout. */
void cmd_print_help(const struct cmd *cmd);

/* The overview, as `nestor --help` prints it. */
void cmd_print_overview(void);

/* The man page of @cmd (or with NULL, of the program) on stdout. */
void cmd_print_man(const struct cmd *cmd);

/* The command called @name, or NULL. */
const struct cmd *cmd_lookup(const char *name);

/* The @index-th command, or NULL past the last. */
const struct cmd *cmd_by_index(size_t index);

/**
 * cmd_dispatch - run the program's command line
 * Return: the exit status.
 */
int cmd_dispatch(int argc, char **argv);

/* Flush stdout; a failed write (disk full, closed pipe) turns status 0 into EXIT_CODE_HOST. */
int cmd_finish_output(int status);

#define CMD_VERSION "0.1"

#define X(name) extern const struct cmd cmd_##name;
#include "l0/cmd/commands.def"
#undef X

#endif
