/* Help texts and man pages, both from the command and option tables. */
#include <stdio.h>
#include <string.h>

#include "l0/cmd/cmd.h"

#define HELP_WIDTH 80
#define OPTION_COLUMN 28

struct exit_code_row {
	int value;
	const char *meaning;
};

static const struct exit_code_row exit_codes[] = {
#define X(id, value, meaning) {value, meaning},
#include "l0/cmd/exit_codes.def"
#undef X
};

/* Columns that a UTF-8 string takes; all our texts are of width one. */
static int text_columns(const char *s, size_t n)
{
	int cols = 0;

	for (size_t i = 0; i < n; i++)
		cols += ((unsigned char)s[i] & 0xc0) != 0x80;
	return cols;
}

/* Print @text wrapped, starting at column @col, further lines indented by @indent. */
static void print_wrapped(const char *text, int col, int indent)
{
	bool first = true;

	while (*text) {
		size_t len = strcspn(text, " \n");
		int cols = text_columns(text, len);

		if (!first && col + 1 + cols > HELP_WIDTH) {
			printf("\n%*s", indent, "");
			col = indent;
		} else if (!first && col > indent) {
			putchar(' ');
			col++;
		}
		fwrite(text, 1, len, stdout);
		col += cols;
		first = false;
		text += len;
		if (!strncmp(text, "\n\n", 2)) {
			printf("\n\n%*s", indent, "");
			col = indent;
			first = true;
		}
		text += strspn(text, " \n");
	}
	putchar('\n');
}

static void print_option(const struct cmd_option *o)
{
	int col = 2;

	if (!o->name) {
		printf("\n%s:\n", o->help);
		return;
	}
	printf("  ");
	if (o->key < CMD_KEY_LONG)
		col += printf("-%c, ", o->key);
	else
		col += printf("    ");
	col += printf("--%s", o->name);
	if (o->arg)
		col += printf(" %s", o->arg);
	if (col + 2 > OPTION_COLUMN)
		printf("\n%*s", OPTION_COLUMN, "");
	else
		printf("%*s", OPTION_COLUMN - col, "");
	print_wrapped(o->help, OPTION_COLUMN, OPTION_COLUMN);
}

static void print_examples(const char *text)
{
	printf("\nExamples:\n");
	for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
		printf("  %.*s\n", (int)strcspn(text, "\n"), text);
}

void cmd_print_help(const struct cmd *cmd)
{
	static const struct cmd_option help = {"help", 'h', NULL, "Print this help."};

	printf("Usage: nestor %s %s\n", cmd->name, cmd->synopsis);
	printf("%s.\n", cmd->brief);
	if (cmd->details) {
		putchar('\n');
		print_wrapped(cmd->details, 0, 0);
	}
	if (!cmd->noptions || cmd->options[0].name)
		printf("\nOptions:\n");
	for (size_t i = 0; i < cmd->noptions; i++)
		print_option(&cmd->options[i]);
	print_option(&help);
	if (cmd->examples)
		print_examples(cmd->examples);
}

void cmd_print_overview(void)
{
	const struct cmd *cmd;

	printf("Usage: nestor COMMAND [options] [arguments]\n"
	       "nestor runs hypervisors: a parent VMM in user space that gives unmodified child "
	       "VMMs\n"
	       "a complete x86-64 machine with VMX, and records every transition at every level.\n"
	       "\nCommands:\n");
	for (size_t i = 0; (cmd = cmd_by_index(i)); i++)
		if (!cmd->is_hidden)
			printf("  %-10s %s\n", cmd->name, cmd->brief);
	printf("\nExit status:\n");
	for (size_t i = 0; i < ARRAY_SIZE(exit_codes); i++) {
		printf("  %3d  ", exit_codes[i].value);
		print_wrapped(exit_codes[i].meaning, 7, 7);
	}
	printf("  odd  ");
	print_wrapped("What the guest itself asked for: it wrote v to port 0xf4, the status is "
		      "(v << 1) | 1.",
		      7, 7);
	printf("\n'nestor help COMMAND' or 'nestor COMMAND --help' tells more.\n");
}

/* Text for roff: dashes and backslashes escaped, no line that begins with a control character. */
static void man_text(const char *s)
{
	bool at_start = true;

	for (; *s; s++) {
		if (*s == '\n' && s[1] == '\n') {
			printf("\n.PP\n");
			s++;
			at_start = true;
			continue;
		}
		if (at_start && (*s == '.' || *s == '\''))
			printf("\\&");
		if (*s == '\\')
			printf("\\e");
		else if (*s == '-')
			printf("\\-");
		else
			putchar(*s);
		at_start = *s == '\n';
	}
}

static void man_section(const char *title)
{
	printf(".SH %s\n", title);
}

static void man_option(const struct cmd_option *o)
{
	if (!o->name) {
		printf(".SS %s\n", o->help);
		return;
	}
	printf(".TP\n");
	if (o->key < CMD_KEY_LONG)
		printf("\\fB\\-%c\\fR, ", o->key);
	printf("\\fB\\-\\-");
	man_text(o->name);
	printf("\\fR");
	if (o->arg) {
		printf(" \\fI");
		man_text(o->arg);
		printf("\\fR");
	}
	putchar('\n');
	man_text(o->help);
	putchar('\n');
}

static void man_exit_status(void)
{
	man_section("EXIT STATUS");
	for (size_t i = 0; i < ARRAY_SIZE(exit_codes); i++) {
		printf(".TP\n%d\n", exit_codes[i].value);
		man_text(exit_codes[i].meaning);
		putchar('\n');
	}
	printf(".TP\nodd\nWhat the guest asked for: it wrote v to port 0xf4, the status is "
	       "(v << 1) | 1.\n");
}

static void man_overview(void)
{
	const struct cmd *cmd;

	printf(".TH NESTOR 1 \"\" \"nestor " CMD_VERSION "\" \"User Commands\"\n");
	man_section("NAME");
	printf("nestor \\- run hypervisors in user space and see every transition\n");
	man_section("SYNOPSIS");
	printf(".B nestor\n.I COMMAND\n[options] [arguments]\n");
	man_section("DESCRIPTION");
	man_text("nestor is a parent VMM in user space. It gives unmodified child VMMs a complete "
		 "x86-64 machine with Intel VMX on any x86-64 Linux host: no VT-x, no kernel "
		 "module, "
		 "no root. It sees every transition at every level and emits each as an LTTng "
		 "event.");
	putchar('\n');
	man_section("COMMANDS");
	for (size_t i = 0; (cmd = cmd_by_index(i)); i++)
		if (!cmd->is_hidden) {
			printf(".TP\n\\fBnestor\\-%s\\fR(1)\n", cmd->name);
			man_text(cmd->brief);
			printf(".\n");
		}
	man_exit_status();
	man_section("SEE ALSO");
	printf("\\fBlttng\\fR(1), \\fBbabeltrace2\\fR(1)\n");
}

void cmd_print_man(const struct cmd *cmd)
{
	if (!cmd) {
		man_overview();
		return;
	}
	printf(".TH NESTOR-%s 1 \"\" \"nestor " CMD_VERSION "\" \"User Commands\"\n", cmd->name);
	man_section("NAME");
	printf("nestor\\-%s \\- ", cmd->name);
	man_text(cmd->brief);
	putchar('\n');
	man_section("SYNOPSIS");
	printf(".B nestor %s\n", cmd->name);
	man_text(cmd->synopsis);
	putchar('\n');
	if (cmd->details) {
		man_section("DESCRIPTION");
		man_text(cmd->details);
		putchar('\n');
	}
	man_section("OPTIONS");
	for (size_t i = 0; i < cmd->noptions; i++)
		man_option(&cmd->options[i]);
	printf(".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nPrint a help text.\n");
	if (cmd->examples) {
		man_section("EXAMPLES");
		printf(".nf\n");
		man_text(cmd->examples);
		printf("\n.fi\n");
	}
	man_exit_status();
	man_section("SEE ALSO");
	printf("\\fBnestor\\fR(1)\n");
}

static int run_help(const struct cmd *cmd, int argc, char **argv)
{
	const struct cmd *about;

	if (argc > 2)
		return cmd_usage_error(cmd, "one command at most");
	if (argc < 2) {
		cmd_print_overview();
		return cmd_finish_output(EXIT_CODE_OK);
	}
	about = !strcmp(argv[1], "--help") ? cmd : cmd_lookup(argv[1]);
	if (!about)
		return cmd_usage_error(cmd, "unknown command '%s'", argv[1]);
	cmd_print_help(about);
	return cmd_finish_output(EXIT_CODE_OK);
}

static int run_man(const struct cmd *cmd, int argc, char **argv)
{
	const struct cmd *about = argc > 1 ? cmd_lookup(argv[1]) : NULL;

	if (argc > 2 || (argc > 1 && !about && strcmp(argv[1], "nestor")))
		return cmd_usage_error(cmd, "'%s' is no command", argv[1]);
	cmd_print_man(about);
	return cmd_finish_output(EXIT_CODE_OK);
}

static int run_version(const struct cmd *cmd, int argc, char **argv)
{
	if (argc > 1)
		return cmd_usage_error(cmd, "takes no arguments");
	printf("nestor " CMD_VERSION "\n");
	return cmd_finish_output(EXIT_CODE_OK);
}

const struct cmd cmd_help = {
	.name = "help",
	.synopsis = "[COMMAND]",
	.brief = "Print the help of the program or of one command",
	.run = run_help,
};

const struct cmd cmd_man = {
	.name = "man",
	.synopsis = "[COMMAND]",
	.brief = "Print the man page of the program or of one command, for man -l -",
	.run = run_man,
	.is_hidden = true,
};

const struct cmd cmd_version = {
	.name = "version",
	.synopsis = "",
	.brief = "Print the version",
	.run = run_version,
};
