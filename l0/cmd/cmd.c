#include "l0/cmd/cmd.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "l0/base/assert.h"

/* Written by other modules; missing ones are left out of the table. */
#pragma weak cmd_view
#pragma weak cmd_report
#pragma weak cmd_explain

#define KEY_HELP 'h'

static const struct cmd *const commands[] = {
#define X(name) &cmd_##name,
#include "l0/cmd/commands.def"
#undef X
};

const struct cmd *cmd_by_index(size_t index)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i] && index-- == 0)
			return commands[i];
	return NULL;
}

const struct cmd *cmd_lookup(const char *name)
{
	const struct cmd *cmd;

	for (size_t i = 0; (cmd = cmd_by_index(i)); i++)
		if (!strcmp(cmd->name, name))
			return cmd;
	return NULL;
}

void cmd_args_init(struct cmd_args *args, const struct cmd *cmd, int argc, char **argv)
{
	*args = (struct cmd_args){.cmd = cmd, .argc = argc, .argv = argv};
	optind = 0; /* getopt: start anew */
	opterr = 0;
}

/* The option table as getopt wants it. */
static void build_getopt_tables(const struct cmd *cmd, struct option *longs, char *shorts)
{
	size_t n = 0;

	ASSERT(cmd->noptions <= CMD_MAX_OPTIONS);
	*shorts++ = '-'; /* positional arguments come in order, as key 1 */
	*shorts++ = ':'; /* errors are told apart by ':' and '?' */
	for (size_t i = 0; i < cmd->noptions; i++) {
		const struct cmd_option *o = &cmd->options[i];

		if (!o->name)
			continue;
		longs[n++] = (struct option){o->name, o->arg ? required_argument : no_argument,
					     NULL, o->key};
		if (o->key < CMD_KEY_LONG) {
			*shorts++ = (char)o->key;
			if (o->arg)
				*shorts++ = ':';
		}
	}
	longs[n++] = (struct option){"help", no_argument, NULL, KEY_HELP};
	longs[n] = (struct option){0};
	*shorts++ = KEY_HELP;
	*shorts = 0;
}

/* What the user typed, for an error about an option that getopt refused. */
static int bad_option(struct cmd_args *args, int key)
{
	const char *typed = args->argv[optind - 1];

	if (key == ':')
		cmd_usage_error(args->cmd, "option %s needs a value", typed);
	else if (!strncmp(typed, "--", 2) || !optopt)
		cmd_usage_error(args->cmd, "unknown, ambiguous or wrongly used option %s", typed);
	else
		cmd_usage_error(args->cmd, "unknown option -%c", optopt);
	return CMD_ERROR;
}

int cmd_args_next(struct cmd_args *args)
{
	struct option longs[CMD_MAX_OPTIONS + 2];
	char shorts[2 * CMD_MAX_OPTIONS + 4];
	int key;

	args->value = NULL;
	if (!args->rest_is_positional) {
		build_getopt_tables(args->cmd, longs, shorts);
		key = getopt_long(args->argc, args->argv, shorts, longs, NULL);
		if (key == ':' || key == '?')
			return bad_option(args, key);
		if (key == KEY_HELP) {
			cmd_print_help(args->cmd);
			return CMD_HELP;
		}
		if (key != -1) {
			args->value = optarg;
			return key;
		}
		args->rest_is_positional = true;
	}
	if (optind >= args->argc)
		return CMD_END;
	args->value = args->argv[optind++];
	return CMD_POSITIONAL;
}

int cmd_args_status(int key)
{
	return key == CMD_HELP ? cmd_finish_output(EXIT_CODE_OK) : EXIT_CODE_USAGE;
}

static void print_error(const struct cmd *cmd, const char *fmt, va_list ap)
{
	fflush(stdout);
	fprintf(stderr, "nestor%s%s: ", cmd ? " " : "", cmd ? cmd->name : "");
	vfprintf(stderr, fmt, ap);
}

int cmd_usage_error(const struct cmd *cmd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_error(cmd, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (try 'nestor %s%s--help')\n", cmd ? cmd->name : "", cmd ? " " : "");
	return EXIT_CODE_USAGE;
}

int cmd_error(const struct cmd *cmd, int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_error(cmd, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

int cmd_finish_output(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	if (errno != EPIPE)
		fprintf(stderr, "nestor: writing the output failed: %s\n", strerror(errno));
	return status == EXIT_CODE_OK ? EXIT_CODE_HOST : status;
}

/* The command that @name may have meant: a prefix of one, or one a letter away; or NULL. */
static const struct cmd *guess(const char *name)
{
	const struct cmd *cmd;

	for (size_t i = 0; (cmd = cmd_by_index(i)); i++) {
		size_t same = 0, n = strlen(name), m = strlen(cmd->name);

		while (name[same] && name[same] == cmd->name[same])
			same++;
		if (!cmd->is_hidden && same >= 2 && (same == n || same + 1 >= m))
			return cmd;
	}
	return NULL;
}

int cmd_dispatch(int argc, char **argv)
{
	const struct cmd *cmd;

	if (argc < 2) {
		fprintf(stderr, "nestor: no command given (try 'nestor --help')\n");
		return EXIT_CODE_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		cmd_print_overview();
		return cmd_finish_output(EXIT_CODE_OK);
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		cmd = cmd_lookup("version");
	else
		cmd = cmd_lookup(argv[1]);
	if (!cmd) {
		const struct cmd *meant = guess(argv[1]);

		if (meant)
			return cmd_usage_error(NULL, "unknown command '%s', did you mean '%s'?",
					       argv[1], meant->name);
		return cmd_usage_error(NULL, "unknown command '%s'", argv[1]);
	}
	if (argc == 3 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h"))) {
		cmd_print_help(cmd);
		return cmd_finish_output(EXIT_CODE_OK);
	}
	return cmd->run(cmd, argc - 1, argv + 1);
}
