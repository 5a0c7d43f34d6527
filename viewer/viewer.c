/* The main loop: events in, keys in, pictures out; see viewer.h. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "viewer/help.h"
#include "viewer/view.h"
#include "viewer/viewer.h"

#define REDRAW_NS (50 * NS_PER_MS) /* 20 pictures a second at most */
#define PUMP_NS (25 * NS_PER_MS)   /* of these so much time at most for events */
#define PUMP_EVENTS 4096u
#define RATE_NS NS_PER_SEC
#define SEGMENTS_KEPT (1u << 18)

static const struct view *const views[] = {&view_schedule, &view_table};

struct viewer {
	const struct viewer_config *cfg;
	struct model *model;
	struct view_state st;
	u32 view;
	bool shows_help, leaves, run_ended, fitted, has_summaries;
	struct source_status source;
	bool changed; /* since the last picture */
	u64 drawn_ns; /* host's time of the last picture */
	/* events a second of host time */
	u64 rate_from_ns, rate_from_events;
	double rate;
};

static volatile sig_atomic_t asked_to_leave;

static void on_leave(int sig)
{
	asked_to_leave = sig;
}

static u64 host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec;
}

/* --- pictures --- */

static void draw_title(const struct viewer *v)
{
	const struct screen_look bar = {INK_DEFAULT, INK_BAR, 0};
	const struct timeline *t = &v->st.time;
	char from[TIMELINE_TEXT_BYTES], to[TIMELINE_TEXT_BYTES], col_text[TIMELINE_TEXT_BYTES],
		right[128];
	int col, width;

	screen_fill(0, 0, screen_cols(), bar);
	col = screen_text(0, 0, -1, LOOK(INK_DEFAULT, INK_BAR, ATTR_BOLD), " nestor ");
	for (u32 i = 0; i < ARRAY_SIZE(views); i++)
		col = screen_printf(
			0, col + 1, -1,
			LOOK(INK_DEFAULT, INK_BAR, i == v->view ? ATTR_REVERSE | ATTR_BOLD : 0),
			" %s ", views[i]->name);
	snprintf(right, sizeof(right), "%s to %s  %s a column  %s ",
		 timeline_text(t->from_ns, t->col_ns, from),
		 timeline_text(timeline_to(t), t->col_ns, to), timeline_length(t->col_ns, col_text),
		 t->holds     ? "HELD"
		 : t->follows ? "follows"
			      : "stays");
	width = screen_width(right);
	screen_text(0, MAX(screen_cols() - width, col + 1), -1, bar, right);
	screen_text(0, col + 2, screen_cols() - width - col - 4, bar, v->cfg->source->title);
}

static const char *source_text(const struct viewer *v)
{
	switch (v->source.state) {
	case SOURCE_CONNECTING: return v->cfg->source->is_live ? "waiting for events" : "opening";
	case SOURCE_READING: return v->cfg->source->is_live ? "live" : "reading";
	case SOURCE_WAITING: return "live, nothing comes";
	case SOURCE_RETRYING: return "connecting again";
	case SOURCE_ENDED: return v->cfg->source->is_live ? "session ended" : "read to its end";
	default: return "failed";
	}
}

static void draw_status(const struct viewer *v, int row)
{
	const struct model_totals *tot = model_totals(v->model);
	const struct screen_look plain = {INK_DEFAULT};
	char clock[TIMELINE_TEXT_BYTES];
	u64 lost = tot->lost + tot->gaps;
	int col;

	if (v->run_ended)
		col = screen_text(row, 1, -1, LOOK(INK_WARN, INK_DEFAULT, ATTR_BOLD),
				  "run ended; q leaves");
	else
		col = screen_text(row, 1, -1,
				  v->source.state == SOURCE_READING ? LOOK(INK_GOOD)
				  : v->source.state >= SOURCE_RETRYING && v->source.why[0]
					  ? LOOK(INK_BAD)
					  : plain,
				  source_text(v));
	col = screen_printf(row, col + 2, -1, plain, "%llu events  %.0f/s",
			    (unsigned long long)tot->events, v->rate);
	col = screen_printf(row, col + 2, -1, lost ? LOOK(INK_BAD, INK_DEFAULT, ATTR_BOLD) : plain,
			    "lost %llu", (unsigned long long)lost);
	col = screen_printf(row, col + 2, -1, v->source.late ? LOOK(INK_WARN) : plain, "late %llu",
			    (unsigned long long)v->source.late);
	if (tot->overflow)
		col = screen_printf(row, col + 2, -1, LOOK(INK_WARN), "not kept %llu",
				    (unsigned long long)tot->overflow);
	col = screen_printf(row, col + 2, -1, plain, "clock %s",
			    timeline_text(v->st.time.last_ns, NS_PER_MS, clock));
	if (tot->detail == MODEL_LIVE)
		col = screen_text(row, col + 2, -1, LOOK(INK_FAINT), "summaries");
	if (v->source.why[0])
		screen_printf(row, col + 2, -1, LOOK(INK_BAD), "%s", v->source.why);
}

static void draw_keys(int row)
{
	static const struct {
		enum key_action action;
		const char *text;
	} shown[] = {{ACTION_HELP, "Help"},	{ACTION_NEXT_VIEW, "View"},
		     {ACTION_PAUSE, "Hold"},	{ACTION_ZOOM_IN, "Zoom"},
		     {ACTION_ZOOM_OUT, ""},	{ACTION_FIT, "Fit"},
		     {ACTION_FOLLOW, "Follow"}, {ACTION_LEFT, ""},
		     {ACTION_RIGHT, "Cursor"},	{ACTION_QUIT, "Quit"}};
	char names[KEYS_NAME_BYTES];
	int col = 0;

	for (size_t i = 0; i < ARRAY_SIZE(shown); i++) {
		keys_names(shown[i].action, names);
		names[strcspn(names + 1, ",") + 1] = 0;
		col = screen_printf(row, col, -1, LOOK(INK_DEFAULT, INK_DEFAULT, ATTR_BOLD), " %s",
				    names);
		if (!shown[i].text[0])
			continue;
		col = screen_printf(row, col + 1, -1, LOOK(INK_DEFAULT, INK_BAR), "%s",
				    shown[i].text);
	}
}

static void draw(struct viewer *v)
{
	const struct model_totals *tot = model_totals(v->model);
	int rows = screen_rows();

	v->changed = false;
	screen_clear();
	if (rows < SCREEN_MIN_ROWS || screen_cols() < SCREEN_MIN_COLS) {
		screen_printf(0, 0, -1, LOOK(INK_DEFAULT), "too small: %dx%d, needs %dx%d",
			      screen_cols(), rows, SCREEN_MIN_COLS, SCREEN_MIN_ROWS);
		screen_flush();
		return;
	}
	model_settle(v->model);
	cast_update(&v->st.cast, v->model);
	timeline_update(&v->st.time, tot->events ? tot->first_ns : 0, tot->last_ns,
			view_schedule_cols());
	/* a saved trace is shown whole when it is read, unless the user has chosen otherwise */
	if (!v->cfg->source->is_live && !v->fitted) {
		timeline_fit(&v->st.time);
		v->fitted = v->source.state >= SOURCE_ENDED;
	}
	if (tot->detail != MODEL_LIVE)
		v->st.known_ns = tot->first_ns;
	else if (!v->has_summaries)
		v->st.known_ns = tot->last_ns;
	v->has_summaries |= tot->by_kind[TRANSITION_time_summary] > 0;
	draw_title(v);
	views[v->view]->draw(&v->st, 1, rows - 3);
	draw_status(v, rows - 2);
	draw_keys(rows - 1);
	if (v->shows_help)
		help_draw();
	screen_flush();
}

/* --- keys --- */

static void act(struct viewer *v, enum key_action action)
{
	switch (action) {
	case ACTION_QUIT:
		if (v->shows_help)
			v->shows_help = false;
		else
			v->leaves = true;
		return;
	case ACTION_HELP: v->shows_help = !v->shows_help; return;
	case ACTION_NEXT_VIEW: v->view = (v->view + 1) % ARRAY_SIZE(views); return;
	case ACTION_PREV_VIEW:
		v->view = (v->view + ARRAY_SIZE(views) - 1) % ARRAY_SIZE(views);
		return;
	case ACTION_REDRAW: screen_redraw(); return;
	default: break;
	}
	v->fitted = true;
	switch (action) {
	case ACTION_PAUSE: timeline_hold(&v->st.time, !v->st.time.holds); return;
	case ACTION_FOLLOW: timeline_end(&v->st.time); return;
	case ACTION_ZOOM_IN: timeline_zoom(&v->st.time, true); return;
	case ACTION_ZOOM_OUT: timeline_zoom(&v->st.time, false); return;
	case ACTION_FIT: timeline_fit(&v->st.time); return;
	default: views[v->view]->act(&v->st, action); return;
	}
}

static void handle_key(struct viewer *v, int key)
{
	if (key == KEY_CODE_HANGUP) {
		v->leaves = true;
		return;
	}
	v->changed = true;
	if (key == KEY_CODE_ESC)
		v->shows_help = false;
	else if (keys_action(key) != ACTION_NONE)
		act(v, keys_action(key));
}

/* Wait at most @ms for a key, then take all that are there. */
static void take_keys(struct viewer *v, int ms)
{
	int key = screen_key(ms);

	while (key != KEY_CODE_NONE && !v->leaves) {
		handle_key(v, key);
		key = screen_key(0);
	}
}

/* --- events --- */

static u64 take_events(struct viewer *v)
{
	u64 until = host_now() + PUMP_NS, total = 0;
	u32 n;

	do {
		n = v->cfg->source->ops->pump(v->cfg->source, v->model, PUMP_EVENTS);
		total += n;
	} while (n == PUMP_EVENTS && host_now() < until);
	return total;
}

static void watch_source(struct viewer *v)
{
	struct source_status before = v->source;

	v->cfg->source->ops->status(v->cfg->source, &v->source);
	if (before.state != v->source.state || before.late != v->source.late ||
	    strcmp(before.why, v->source.why))
		v->changed = true;
}

static void measure_rate(struct viewer *v)
{
	u64 now = host_now(), events = model_totals(v->model)->events;
	double rate;

	if (now - v->rate_from_ns < RATE_NS)
		return;
	rate = (double)(events - v->rate_from_events) * 1e9 / (double)(now - v->rate_from_ns);
	if (rate > 0 || v->rate > 0)
		v->changed = true;
	v->rate = rate;
	v->rate_from_ns = now;
	v->rate_from_events = events;
}

/* What the run says, if there is one. */
static void watch_run(struct viewer *v)
{
	struct pollfd p = {.fd = v->cfg->run_fd, .events = POLLIN};
	char msg;

	if (v->cfg->run_fd < 0 || poll(&p, 1, 0) != 1)
		return;
	if (read(v->cfg->run_fd, &msg, 1) != 1 || msg == VIEWER_MSG_LEAVE) {
		v->leaves = true;
	} else if (msg == VIEWER_MSG_RUN_ENDED) {
		v->run_ended = true;
		v->changed = true;
		if (v->cfg->source->ops->run_ended)
			v->cfg->source->ops->run_ended(v->cfg->source);
	}
}

static void step(struct viewer *v)
{
	u64 got = take_events(v), since;

	v->changed |= got > 0;
	watch_source(v);
	watch_run(v);
	measure_rate(v);
	since = host_now() - v->drawn_ns;
	if (v->changed && since >= REDRAW_NS) {
		v->drawn_ns = host_now();
		draw(v);
		since = 0;
	}
	/* with more to read at once, only look for keys */
	take_keys(v, got >= PUMP_EVENTS
			     ? 0
			     : (int)((REDRAW_NS - MIN(since, REDRAW_NS - NS_PER_MS)) / NS_PER_MS));
}

static void catch_signals(void)
{
	static const int leaving[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = on_leave};

	for (size_t i = 0; i < ARRAY_SIZE(leaving); i++)
		sigaction(leaving[i], &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int set_up(struct viewer *v, char *why, size_t why_bytes)
{
	const struct model_config mc = {.lane_segments = SEGMENTS_KEPT,
					.detail = v->cfg->source->is_live ? MODEL_LIVE
									  : MODEL_UNKNOWN};
	char source_why[SOURCE_WHY_BYTES] = "";
	int err;

	v->model = model_create(&mc);
	if (!v->model) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	v->st.model = v->model;
	if (!v->cfg->source->is_live)
		model_on_stretch(v->model, stretches_add, &v->st.stretches);
	timeline_init(&v->st.time, v->cfg->source->is_live);
	v->st.interval = v->cfg->source->is_live ? INTERVAL_SECOND : INTERVAL_ALL;
	v->changed = true;
	v->rate_from_ns = host_now();
	err = v->cfg->source->ops->open(v->cfg->source, source_why);
	if (err)
		snprintf(why, why_bytes, "%s", source_why);
	return err;
}

int viewer_show(const struct viewer_config *cfg, char *why, size_t why_bytes)
{
	struct viewer *v = calloc(1, sizeof(*v));
	int err;

	if (!v) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	v->cfg = cfg;
	err = screen_check(why, why_bytes);
	if (!err)
		err = set_up(v, why, why_bytes);
	if (!err)
		err = screen_open(&cfg->screen, why, why_bytes);
	if (!err) {
		catch_signals();
		while (!v->leaves && !asked_to_leave)
			step(v);
		screen_close();
	}
	model_destroy(v->model);
	stretches_fini(&v->st.stretches);
	free(v);
	return err;
}
