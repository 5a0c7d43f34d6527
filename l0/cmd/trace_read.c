/* Reading a recorded trace into a model; see trace_read.h. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "l0/cmd/trace_read.h"
#include "trace/bt2/reader.h"

#define PROGRESS_AFTER_NS (1000 * NS_PER_MS)
#define PROGRESS_EVERY_EVENTS 65536u

/* A line that is written over, on a terminal, once the work takes more than a second. */
struct progress {
	u64 start_ns, events;
	bool is_shown, is_on;
};

struct reading {
	struct trace_read *r;
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
	struct reading *reading = arg;
	struct trace_read *r = reading->r;

	model_feed(r->model, t);
	if (r->event)
		r->event(r->arg, t);
	if (++reading->progress.events % PROGRESS_EVERY_EVENTS == 0)
		show_progress(&reading->progress);
}

static void take_lost(void *arg, u64 n)
{
	struct reading *reading = arg;

	model_note_lost(reading->r->model, n);
}

int trace_read(struct trace_read *r)
{
	static const struct bt_reader_ops ops = {take_event, take_lost};
	struct reading reading = {
		.r = r, .progress = {.start_ns = host_ns(), .is_on = isatty(STDERR_FILENO)}};
	enum bt_reader_status status;
	struct bt_reader *reader;
	int code = EXIT_CODE_OK;
	char why[512];

	/* LTTng's name for what a flight recorder wrote: it begins in mid-run */
	model_expect_all(r->model, !strstr(r->source, "/snapshot-"));
	reader = bt_reader_open(r->source, &ops, &reading, why, sizeof(why));
	if (!reader)
		return cmd_error(r->cmd, EXIT_CODE_BAD_TRACE, "%s", why);
	if (!r->wants_all_fields)
		bt_reader_for_model(reader);
	do
		status = bt_reader_step(reader);
	while (status == BT_READER_MORE || status == BT_READER_WAIT);
	end_progress(&reading.progress);
	r->foreign = bt_reader_foreign(reader);
	if (status == BT_READER_ERROR)
		code = cmd_error(r->cmd, EXIT_CODE_BAD_TRACE,
				 "%s: %s; the report covers what came before", r->source,
				 bt_reader_why(reader));
	else if (!model_totals(r->model)->events)
		code = cmd_error(r->cmd, EXIT_CODE_BAD_TRACE, "%s: %s", r->source,
				 r->foreign ? "a trace of another program" : "the trace is empty");
	bt_reader_close(reader);
	model_settle(r->model);
	return code;
}
