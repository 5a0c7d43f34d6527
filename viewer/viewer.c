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
#define BUSY_WAIT_MS 4
#define LEAVE_S 5 /* from a signal to the end, at most */
#define RATE_NS NS_PER_SEC
#define SEGMENTS_KEPT (1u << 18)

static const struct view *const views[] = {&view_schedule, &view_table,	  &view_exits,
					   &view_vtlb,	   &view_intrs,	  &view_infer,
					   &view_log,	   &view_failures};

/* What is being typed on the bottom line. */
enum prompt { PROMPT_NONE, PROMPT_SEARCH, PROMPT_FILTER };

struct viewer {
	const struct viewer_config *cfg;
	struct model *model;
	struct view_state st;
	u32 view;
	int tab_col[ARRAY_SIZE(views) + 1]; /* where the tabs are */
	enum prompt prompt;
	char typed[VIEW_TEXT_BYTES];
	char filters[ARRAY_SIZE(views)][VIEW_TEXT_BYTES]; /* each view has its own */
	const char *note;				  /* for the status line, until a key */
	u32 help_top;
	bool shows_help, leaves, run_ended, fitted, has_summaries;
	struct source_status source;
	bool changed; /* since the last picture */
	u64 drawn_ns; /* host's time of the last picture */
	/* events a second of host time */
	u64 rate_from_ns, rate_from_events;
	double rate;
};

static volatile sig_atomic_t asked_to_leave;

/* Writing to a terminal that takes nothing is not ended by a signal (ncurses tries again), so what
 * cannot leave in time is ended. */
static void on_leave(int sig)
{
	if (!asked_to_leave)
		alarm(LEAVE_S);
	asked_to_leave = sig;
}

static void on_late(int sig)
{
	int err = errno;

	screen_abandon();
	signal(asked_to_leave, SIG_DFL);
	raise(asked_to_leave);
	errno = err;
}

static u64 host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec;
}

/* --- pictures --- */

static void draw_tabs(struct viewer *v)
{
	int col;

	screen_fill(0, 0, screen_cols(), LOOK(INK_DEFAULT, INK_BAR, 0));
	col = screen_cols() < 92
		      ? 0
		      : screen_text(0, 0, -1, LOOK(INK_DEFAULT, INK_BAR, ATTR_BOLD), " nestor ");
	for (u32 i = 0; i < ARRAY_SIZE(views); i++) {
		v->tab_col[i] = col;
		col = screen_printf(
			0, v->tab_col[i], -1,
			LOOK(INK_DEFAULT, INK_BAR, i == v->view ? ATTR_REVERSE | ATTR_BOLD : 0),
			"%u%s%s ", i + 1, i == v->view ? " " : ".", views[i]->name);
	}
	v->tab_col[ARRAY_SIZE(views)] = col;
}

static void draw_title(const struct viewer *v)
{
	const struct screen_look bar = {INK_DEFAULT, INK_BAR, 0};
	const struct timeline *t = &v->st.time;
	char from[TIMELINE_TEXT_BYTES], to[TIMELINE_TEXT_BYTES], col_text[TIMELINE_TEXT_BYTES],
		right[128];
	int width;

	screen_fill(1, 0, screen_cols(), bar);
	snprintf(right, sizeof(right), "%s to %s  %s a column  %s ",
		 timeline_text(t->from_ns, t->col_ns, from),
		 timeline_text(timeline_to(t), t->col_ns, to), timeline_length(t->col_ns, col_text),
		 t->holds     ? "HELD"
		 : t->follows ? "follows"
			      : "stays");
	width = screen_width(right);
	screen_text(1, MAX(screen_cols() - width, 1), -1, bar, right);
	screen_text(1, 1, screen_cols() - width - 3, bar, v->cfg->source->title);
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
	if (v->note)
		col = screen_text(row, col + 2, -1, LOOK(INK_WARN), v->note);
	else if (v->st.filter[0])
		col = screen_printf(row, col + 2, -1, LOOK(INK_HEAD), "filter: %s", v->st.filter);
	if (v->source.why[0])
		screen_printf(row, col + 2, -1, LOOK(INK_BAD), "%s", v->source.why);
}

static void draw_prompt(const struct viewer *v, int row)
{
	const struct screen_look look = {INK_DEFAULT, INK_BAR, 0};
	int col;

	screen_fill(row, 0, screen_cols(), look);
	if (v->prompt == PROMPT_SEARCH)
		col = screen_printf(row, 0, -1, look, " search: %s", v->typed);
	else
		col = screen_printf(row, 0, -1, look, " filter %s (empty: all): %s",
				    views[v->view]->filters, v->typed);
	screen_mark(row, MIN(col, screen_cols() - 1));
}

static void draw_keys(int row)
{
	static const struct {
		enum key_action action;
		const char *text;
	} shown[] = {{ACTION_HELP, "Help"},	{ACTION_NEXT_VIEW, "View"},
		     {ACTION_SEARCH, "Find"},	{ACTION_FILTER, "Filter"},
		     {ACTION_PAUSE, "Hold"},	{ACTION_ZOOM_IN, "Zoom"},
		     {ACTION_ZOOM_OUT, ""},	{ACTION_FIT, "Fit"},
		     {ACTION_FOLLOW, "Follow"}, {ACTION_QUIT, "Quit"}};
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
	draw_tabs(v);
	draw_title(v);
	v->st.is_busy = false;
	views[v->view]->draw(&v->st, 2, rows - 4);
	v->changed |= v->st.is_busy;
	draw_status(v, rows - 2);
	if (v->prompt)
		draw_prompt(v, rows - 1);
	else
		draw_keys(rows - 1);
	if (v->shows_help)
		help_draw(&v->help_top);
	screen_flush();
}

/* --- keys --- */

static void show_view(struct viewer *v, u32 view)
{
	memcpy(v->filters[v->view], v->st.filter, sizeof(v->st.filter));
	v->view = view;
	memcpy(v->st.filter, v->filters[view], sizeof(v->st.filter));
}

static void open_prompt(struct viewer *v, enum prompt prompt)
{
	if (prompt == PROMPT_FILTER && !views[v->view]->filters)
		v->note = "nothing to filter in this view";
	else if (prompt == PROMPT_SEARCH && !views[v->view]->search)
		v->note = "nothing to search in this view";
	else
		v->prompt = prompt;
	v->typed[0] = 0;
	if (v->prompt == PROMPT_FILTER)
		memcpy(v->typed, v->st.filter, sizeof(v->typed));
}

static void search(struct viewer *v, int step)
{
	if (!v->st.search[0] || !views[v->view]->search)
		v->note = "nothing to search for";
	else if (!views[v->view]->search(&v->st, step))
		v->note = "not found";
}

static void close_prompt(struct viewer *v)
{
	enum prompt prompt = v->prompt;

	v->prompt = PROMPT_NONE;
	if (prompt == PROMPT_FILTER) {
		memcpy(v->st.filter, v->typed, sizeof(v->st.filter));
		return;
	}
	if (v->typed[0])
		memcpy(v->st.search, v->typed, sizeof(v->st.search));
	search(v, 1);
}

/* The last character, all its bytes. */
static void rub_out(char *text)
{
	size_t n = strlen(text);

	while (n && ((u8)text[n - 1] & 0xc0) == 0x80)
		n--;
	text[n ? n - 1 : 0] = 0;
}

static void type(struct viewer *v, int key)
{
	size_t n = strlen(v->typed);

	switch (key) {
	case KEY_CODE_ENTER: close_prompt(v); return;
	case 3: /* Ctrl-C */
	case KEY_CODE_ESC: v->prompt = PROMPT_NONE; return;
	case KEY_CODE_BACKSPACE:
	case 8:
	case 127: rub_out(v->typed); return;
	case 21: v->typed[0] = 0; return; /* Ctrl-U */
	default: break;
	}
	if (key >= ' ' && key < 127 && n + 1 < sizeof(v->typed)) {
		v->typed[n] = (char)key;
		v->typed[n + 1] = 0;
	}
}

static void quit(struct viewer *v)
{
	if (v->shows_help)
		v->shows_help = false;
	else
		v->leaves = true;
}

/* Keys of the help window. Return: it was one. */
static bool act_on_help(struct viewer *v, enum key_action action)
{
	switch (action) {
	case ACTION_UP: v->help_top -= v->help_top > 0; return true;
	case ACTION_DOWN: v->help_top++; return true;
	case ACTION_PAGE_BACK: v->help_top -= MIN(v->help_top, 10u); return true;
	case ACTION_PAGE_ON: v->help_top += 10; return true;
	default: return false;
	}
}

static void act(struct viewer *v, enum key_action action, int key)
{
	if (v->shows_help && act_on_help(v, action))
		return;
	switch (action) {
	case ACTION_QUIT: quit(v); return;
	case ACTION_HELP: v->shows_help = !v->shows_help; return;
	case ACTION_VIEW: show_view(v, (u32)(key - '1')); return;
	case ACTION_NEXT_VIEW: show_view(v, (v->view + 1) % ARRAY_SIZE(views)); return;
	case ACTION_PREV_VIEW:
		show_view(v, (v->view + ARRAY_SIZE(views) - 1) % ARRAY_SIZE(views));
		return;
	case ACTION_SEARCH: open_prompt(v, PROMPT_SEARCH); return;
	case ACTION_SEARCH_ON: search(v, 1); return;
	case ACTION_SEARCH_BACK: search(v, -1); return;
	case ACTION_FILTER: open_prompt(v, PROMPT_FILTER); return;
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

static void handle_mouse(struct viewer *v)
{
	const struct view *view = views[v->view];
	struct screen_mouse m;

	if (!screen_mouse(&m))
		return;
	if (m.kind != MOUSE_CLICK) {
		bool up = m.kind == MOUSE_WHEEL_UP;

		if (view == &view_schedule)
			act(v, up ? ACTION_ZOOM_IN : ACTION_ZOOM_OUT, 0);
		for (u32 i = 0; i < 3 && view != &view_schedule; i++)
			act(v, up ? ACTION_UP : ACTION_DOWN, 0);
		return;
	}
	for (u32 i = 0; i < ARRAY_SIZE(views) && m.row == 0; i++)
		if (m.col >= v->tab_col[i] && m.col < v->tab_col[i + 1])
			show_view(v, i);
	if (m.row >= 2 && m.row < screen_rows() - 2 && view->click) {
		v->fitted = true;
		view->click(&v->st, m.row - 2, m.col);
	}
}

static void handle_key(struct viewer *v, int key)
{
	if (key == KEY_CODE_HANGUP) {
		v->leaves = true;
		return;
	}
	v->changed = true;
	v->note = NULL;
	if (key == KEY_CODE_MOUSE)
		handle_mouse(v);
	else if (v->prompt)
		type(v, key);
	else if (key == KEY_CODE_ESC)
		v->shows_help = false;
	else if (keys_action(key) != ACTION_NONE)
		act(v, keys_action(key), key);
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

/* With more to read at once, only look for keys; while events come, be back before the queue is
 * full, at whatever rate. */
static int wait_ms(const struct viewer *v, u64 got, u64 since_ns)
{
	bool is_busy = !v->cfg->source->is_live && v->source.state <= SOURCE_READING;

	if (got || is_busy)
		return got >= PUMP_EVENTS ? 0 : BUSY_WAIT_MS;
	return (int)((REDRAW_NS - MIN(since_ns, REDRAW_NS - NS_PER_MS)) / NS_PER_MS);
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
	take_keys(v, wait_ms(v, got, since));
}

static const int leaving[] = {SIGINT, SIGTERM, SIGHUP};

static void catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_leave}, late = {.sa_handler = on_late};

	sigaction(SIGALRM, &late, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(leaving); i++)
		sigaction(leaving[i], &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* From here on they end the process. */
static void release_signals(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(leaving); i++)
		signal(leaving[i], SIG_DFL);
	alarm(0);
}

static void take_event(void *arg, const struct transition *t)
{
	struct view_state *st = arg;

	log_add(&st->log, t);
	marks_add(&st->marks, t);
	switches_add(&st->switches, t);
}

static int set_up(struct viewer *v, char *why, size_t why_bytes)
{
	const struct model_config mc = {.lane_segments = SEGMENTS_KEPT,
					.detail = v->cfg->source->is_live ? MODEL_LIVE
									  : MODEL_UNKNOWN,
					.drills_down = true};
	char source_why[SOURCE_WHY_BYTES] = "";
	int err;

	v->model = model_create(&mc);
	if (!v->model) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	v->st.model = v->model;
	v->st.names = v->cfg->names;
	if (!log_init(&v->st.log)) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	model_on_event(v->model, take_event, &v->st);
	v->st.log_list.follows = true;
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
		release_signals();
	}
	model_destroy(v->model);
	stretches_fini(&v->st.stretches);
	log_fini(&v->st.log);
	marks_fini(&v->st.marks);
	switches_fini(&v->st.switches);
	free(v);
	return err;
}
