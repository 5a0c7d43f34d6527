/* nestor report: what a recorded trace says, on one page. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "l0/cmd/cmd.h"
#include "trace/bt2/reader.h"
#include "trace/bt2/report.h"

enum { KEY_JSON = CMD_KEY_LONG };

static const struct cmd_option report_options[] = {
	{"json", KEY_JSON, NULL, "Print one JSON object instead of text."},
};

#define PROGRESS_AFTER_NS (1000 * NS_PER_MS)
#define PROGRESS_EVERY_EVENTS 65536u

/* A line that is written over, on a terminal, once the work takes more than a second. */
struct progress {
	u64 start_ns, events;
	bool is_shown, is_on;
};

struct reading {
	struct model *model;
	struct progress progress;
};

static u64 host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec;
}

static void show_progress(struct progress *p)
{
	if (!p->is_on || host_ns() - p->start_ns < PROGRESS_AFTER_NS)
		return;
	p->is_shown = true;
	fprintf(stderr, "\rreading: %llu events ", (unsigned long long)p->events);
}

static void end_progress(struct progress *p)
{
	if (p->is_shown)
		fprintf(stderr, "\r%40s\r", "");
}

static void take_event(void *arg, const struct transition *t)
{
	struct reading *r = arg;

	model_feed(r->model, t);
	if (++r->progress.events % PROGRESS_EVERY_EVENTS == 0)
		show_progress(&r->progress);
}

static void take_lost(void *arg, u64 n)
{
	struct reading *r = arg;

	model_note_lost(r->model, n);
}

static int report(const struct cmd *cmd, const char *source, bool as_json)
{
	static const struct bt_reader_ops ops = {take_event, take_lost};
	struct reading r = {.progress = {.start_ns = host_ns(), .is_on = isatty(STDERR_FILENO)}};
	struct report_info info = {.source = source};
	enum bt_reader_status status;
	struct bt_reader *reader;
	int code = EXIT_CODE_OK;
	char why[512];

	r.model = model_create(NULL);
	if (!r.model)
		return cmd_error(cmd, EXIT_CODE_HOST, "out of memory");
	model_expect_all(r.model);
	reader = bt_reader_open(source, &ops, &r, why, sizeof(why));
	if (!reader) {
		model_destroy(r.model);
		return cmd_error(cmd, EXIT_CODE_BAD_TRACE, "%s", why);
	}
	bt_reader_for_model(reader);
	do
		status = bt_reader_step(reader);
	while (status == BT_READER_MORE || status == BT_READER_WAIT);
	end_progress(&r.progress);
	if (status == BT_READER_ERROR)
		code = cmd_error(cmd, EXIT_CODE_BAD_TRACE,
				 "%s: %s; the report covers what came before", source,
				 bt_reader_why(reader));
	info.foreign = bt_reader_foreign(reader);
	bt_reader_close(reader);
	if (!model_totals(r.model)->events) {
		if (code == EXIT_CODE_OK)
			code = cmd_error(cmd, EXIT_CODE_BAD_TRACE, "%s: %s", source,
					 info.foreign ? "a trace of another program"
						      : "the trace is empty");
	} else {
		model_settle(r.model);
		if (as_json)
			report_print_json(stdout, r.model, &info);
		else
			report_print_text(stdout, r.model, &info);
	}
	model_destroy(r.model);
	return code;
}

static int report_main(const struct cmd *cmd, int argc, char **argv)
{
	const char *source = NULL;
	struct cmd_args args;
	bool as_json = false;
	int key;

	cmd_args_init(&args, cmd, argc, argv);
	while ((key = cmd_args_next(&args)) != CMD_END) {
		switch (key) {
		case KEY_JSON: as_json = true; break;
		case CMD_POSITIONAL:
			if (source)
				return cmd_usage_error(cmd, "one trace at a time");
			source = args.value;
			break;
		default: return cmd_args_status(key);
		}
	}
	if (!source)
		return cmd_usage_error(cmd, "no trace given");
	if (bt_reader_is_live(source))
		return cmd_usage_error(cmd, "%s is a live session; nestor view shows it", source);
	return cmd_finish_output(report(cmd, source, as_json));
}

const struct cmd cmd_report = {
	.name = "report",
	.synopsis = "[--json] TRACE",
	.brief = "Tell the story of a recorded trace",
	.details =
		"TRACE is the output folder of a recording, or any folder with a trace in it.\n\n"
		"Prints time by level and by VM, exits by reason (how many, reflected to the "
		"guest's VMM "
		"or kept by L0, and what they cost: virtual time charged and host time spent, "
		"apart), "
		"switches, processes, the guests' own counts of missed deadlines, and lost "
		"events.\n\n"
		"The same is in the babeltrace2 plugin as sink.nestor.summary.",
	.examples = "nestor report build/demo-trace\n"
		    "nestor report --json build/demo-trace | jq .exits",
	.options = report_options,
	.noptions = ARRAY_SIZE(report_options),
	.run = report_main,
};
