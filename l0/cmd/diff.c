/* nestor diff: two recorded runs side by side. */
#include <stdio.h>
#include "l0/cmd/cmd.h"
#include "l0/cmd/trace_read.h"
#include "trace/bt2/reader.h"
#include "trace/bt2/report_diff.h"

enum { KEY_JSON = CMD_KEY_LONG, KEY_ALL, KEY_HOST };

static const struct cmd_option diff_options[] = {
	{"all", KEY_ALL, NULL, "Show the figures that are equal, too."},
	{"host", KEY_HOST, NULL, "Compare the host time that L0 spent on exits, too."},
	{"json", KEY_JSON, NULL, "Print one JSON object instead of text."},
};

static int diff(const struct cmd *cmd, struct report_diff *d)
{
	struct model *model[2] = {NULL, NULL};
	int code = EXIT_CODE_OK;

	for (u32 i = 0; i < 2 && !code; i++) {
		struct trace_read r = {.cmd = cmd, .source = d->source[i]};

		d->model[i] = r.model = model[i] = model_create(NULL);
		code = model[i] ? trace_read(&r) : cmd_error(cmd, EXIT_CODE_HOST, "out of memory");
	}
	if (!code && report_diff_print(stdout, d) < 0)
		code = cmd_error(cmd, EXIT_CODE_HOST, "out of memory");
	model_destroy(model[0]);
	model_destroy(model[1]);
	return code;
}

static int diff_main(const struct cmd *cmd, int argc, char **argv)
{
	struct report_diff d = {.as_json = false};
	struct cmd_args args;
	u32 n = 0;
	int key;

	cmd_args_init(&args, cmd, argc, argv);
	while ((key = cmd_args_next(&args)) != CMD_END) {
		switch (key) {
		case KEY_JSON: d.as_json = true; break;
		case KEY_ALL: d.shows_equal = true; break;
		case KEY_HOST: d.with_host = true; break;
		case CMD_POSITIONAL:
			if (n == 2)
				return cmd_usage_error(cmd, "two traces, no more");
			if (bt_reader_is_live(args.value))
				return cmd_usage_error(cmd, "%s is a live session", args.value);
			d.source[n++] = args.value;
			break;
		default: return cmd_args_status(key);
		}
	}
	if (n != 2)
		return cmd_usage_error(cmd, "give two traces");
	return cmd_finish_output(diff(cmd, &d));
}

const struct cmd cmd_diff = {
	.name = "diff",
	.synopsis = "[--all] [--host] [--json] TRACE TRACE",
	.brief = "Compare two recorded traces",
	.details = "Prints the figures that differ: time by level and by processor, switches, "
		   "exits by "
		   "reason, the guests' own counts of deadlines. Machines and child VMs are "
		   "matched by "
		   "their names. Two runs of one configuration under --clock virtual have no "
		   "difference.",
	.examples = "nestor diff build/before build/after\n"
		    "nestor diff --json a b | jq '.figures[] | select(.section == \"exits\")'",
	.options = diff_options,
	.noptions = ARRAY_SIZE(diff_options),
	.run = diff_main,
};
