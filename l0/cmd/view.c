/* nestor view: the viewer on a saved trace, a live session or a run of this user. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l0/cmd/cmd.h"
#include "trace/bt2/reader.h"
#include "trace/session.h"
#include "viewer/viewer.h"

enum { KEY_ASCII = CMD_KEY_LONG, KEY_NO_COLOUR, KEY_SYMBOLS };

static const struct cmd_option options[] = {
	{"ascii", KEY_ASCII, NULL,
	 "Draw with ASCII characters only, as in a locale without UTF-8."},
	{"no-colour", KEY_NO_COLOUR, NULL,
	 "Draw without colours, as with NO_COLOR in the environment."},
	{"symbols", KEY_SYMBOLS, "[VM=]FILE[@SLIDE]",
	 "Names for guest addresses, from an ELF file or System.map; VM is a machine or "
	 "MACHINE/CHILD. What a recording was made with is known without it."},
};

/* --- trace/bt2's reader as the viewer wants it --- */

static void deliver_event(void *arg, const struct transition *t)
{
	const struct source_sink *sink = arg;

	sink->event(sink->arg, t);
}

static void deliver_lost(void *arg, u64 n)
{
	const struct source_sink *sink = arg;

	sink->lost(sink->arg, n);
}

static void *reader_open(const char *address, const struct source_sink *sink, char *why,
			 size_t why_bytes)
{
	static const struct bt_reader_ops ops = {deliver_event, deliver_lost};

	return bt_reader_open(address, &ops, (void *)sink, why, why_bytes);
}

static enum source_step reader_step(void *reader)
{
	switch (bt_reader_step(reader)) {
	case BT_READER_MORE: return SOURCE_STEP_MORE;
	case BT_READER_WAIT: return SOURCE_STEP_WAIT;
	case BT_READER_END: return SOURCE_STEP_END;
	default: return SOURCE_STEP_ERROR;
	}
}

static const char *reader_why(void *reader)
{
	return bt_reader_why(reader);
}

static void reader_interrupt(void *reader)
{
	bt_reader_interrupt(reader);
}

static void reader_close(void *reader)
{
	bt_reader_close(reader);
}

static const struct source_reader reader = {
	.open = reader_open,
	.step = reader_step,
	.why = reader_why,
	.interrupt = reader_interrupt,
	.close = reader_close,
};

/* --- the command --- */

static bool is_number(const char *s)
{
	if (!*s)
		return false;
	while (isdigit((unsigned char)*s))
		s++;
	return !*s;
}

static int show(const struct cmd *cmd, struct viewer_config *cfg)
{
	char why[SOURCE_WHY_BYTES] = "";
	int err;

	if (!cfg->source)
		return cmd_error(cmd, EXIT_CODE_HOST, "out of memory");
	err = viewer_show(cfg, why, sizeof(why));
	cfg->source->ops->close(cfg->source);
	if (!err)
		return EXIT_CODE_OK;
	return cmd_error(cmd, err == -EIO ? EXIT_CODE_BAD_TRACE : EXIT_CODE_HOST, "%s", why);
}

/* A run of this user: @pid, or 0 for the only one. */
static int show_run(const struct cmd *cmd, struct viewer_config *cfg, pid_t pid)
{
	struct trace_watch *watch;
	char why[512];
	int status;

	if (screen_check(why, sizeof(why)) || trace_watch_start(pid, &watch, why, sizeof(why)))
		return cmd_error(cmd, EXIT_CODE_HOST, "%s", why);
	cfg->source = source_live_create(trace_watch_url(watch), &reader);
	status = show(cmd, cfg);
	trace_watch_stop(watch);
	return status;
}

static int show_named(const struct cmd *cmd, struct viewer_config *cfg, const char *what)
{
	char path[PATH_MAX];

	if (!what)
		return show_run(cmd, cfg, 0);
	if (bt_reader_is_live(what)) {
		cfg->source = source_live_create(what, &reader);
		return show(cmd, cfg);
	}
	/* a folder may have a name of digits */
	if (is_number(what) && !realpath(what, path))
		return show_run(cmd, cfg, (pid_t)atoi(what));
	cfg->source = source_saved_create(what, &reader);
	return show(cmd, cfg);
}

/* Where nestor run --view tells how the run is doing, when it started us. */
static int run_fd(void)
{
	const char *text = getenv(VIEWER_RUN_FD_VARIABLE);

	return text && is_number(text) ? atoi(text) : -1;
}

static int run_view(const struct cmd *cmd, int argc, char **argv)
{
	static struct names names;
	struct viewer_config cfg = {.names = &names};
	char why[640];
	const char *what = NULL;
	struct cmd_args args;
	int key;

	cmd_args_init(&args, cmd, argc, argv);
	while ((key = cmd_args_next(&args)) != CMD_END) {
		switch (key) {
		case KEY_ASCII: cfg.screen.ascii = true; break;
		case KEY_NO_COLOUR: cfg.screen.no_colour = true; break;
		case KEY_SYMBOLS:
			if (names_add(&names, args.value, why, sizeof(why)))
				return cmd_usage_error(cmd, "--symbols %s", why);
			break;
		case CMD_POSITIONAL:
			if (what)
				return cmd_usage_error(cmd, "one trace, URL or process at a time");
			what = args.value;
			break;
		default: return cmd_args_status(key);
		}
	}
	if (what && !bt_reader_is_live(what))
		names_add_recorded(&names, what);
	cfg.run_fd = run_fd();
	return show_named(cmd, &cfg, what);
}

const struct cmd cmd_view = {
	.name = "view",
	.synopsis = "[options] [TRACE | URL | PID]",
	.brief = "Show a trace or a run in this terminal",
	.details = "TRACE is a folder with a recorded trace. URL is a live session, "
		   "net://HOST:PORT/host/NAME/SESSION. PID is a running nestor that is being "
		   "recorded; "
		   "without anything it is the only one that runs.\n\n"
		   "Shows who runs on each worker at each level over time, and a table of "
		   "machines, their "
		   "child VMs and processes. F1 or ? shows the keys.",
	.examples = "nestor view build/demo-trace\n"
		    "nestor view\n"
		    "nestor view 4711",
	.options = options,
	.noptions = ARRAY_SIZE(options),
	.run = run_view,
};
