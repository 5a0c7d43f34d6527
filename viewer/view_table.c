/* The table: machines, their child VMs, their processes, and what each did in an interval. */
#include <stdio.h>
#include <string.h>

#include "viewer/rows.h"
#include "viewer/text.h"
#include "viewer/view.h"

#define ROWS_MAX 1024u
#define NAME_COLS_MIN 20
#define NUMBER_COLS 60 /* of everything to the right of the name */
#define WIDE_COLS 12
#define EXACT_BUCKETS 20u /* an interval of fewer history buckets is an estimate at its ends */

static struct table_row all_rows[ROWS_MAX];
static u32 nrows; /* of the table that has a cursor */

/* --- what the numbers are of --- */

struct span {
	u64 from_ns, to_ns;
	bool is_total;	    /* everything there is: exact sums, no histories */
	bool has_processes; /* shares of processes are known */
	bool has_process_switches;
};

static struct span span_of(const struct view_state *st, enum view_interval interval)
{
	const struct timeline *t = &st->time;
	u64 now = timeline_now(t);
	bool is_live = model_totals(st->model)->detail == MODEL_LIVE;
	struct span s = {st->known_ns, now, .is_total = false};

	switch (interval) {
	case INTERVAL_SECOND:
		s.from_ns = now > st->known_ns + NS_PER_SEC ? now - NS_PER_SEC : st->known_ns;
		break;
	case INTERVAL_VISIBLE:
		s.from_ns = MAX(t->from_ns, st->known_ns);
		s.to_ns = MIN(timeline_to(t), now);
		break;
	default:
		/* what a live stream told before its first summary must not count */
		s.has_processes = !t->holds;
		s.is_total = s.has_process_switches = !t->holds && !is_live;
		break;
	}
	s.to_ns = MAX(s.to_ns, s.from_ns);
	return s;
}

/* Is the interval fine enough for the buckets of the histories? */
static bool is_estimate(const struct view_state *st, const struct span *s)
{
	u32 n;
	const struct model_vcpu *v = model_vcpus(st->model, &n);
	u64 width = 0;

	for (u32 i = 0; i < n; i++)
		if (v[i].history)
			width = MAX(width, v[i].history->width_ns);
	return !s->is_total && s->to_ns - s->from_ns < width * EXACT_BUCKETS;
}

/* --- drawing --- */

/* Room for two more columns? */
static bool is_wide(void)
{
	return screen_cols() >= NAME_COLS_MIN + NUMBER_COLS + WIDE_COLS;
}

static int name_cols(void)
{
	return MAX(screen_cols() - NUMBER_COLS - (is_wide() ? WIDE_COLS : 0), NAME_COLS_MIN);
}

static void draw_span(const struct view_state *st, int row, enum view_interval interval,
		      const struct span *s)
{
	static const char *const sort_names[] = {"", "CPU", "exits", "switches", "missed", "name"};
	static const char *const names[] = {"last second", "visible time", "since the begin"};
	char from[TIMELINE_TEXT_BYTES], to[TIMELINE_TEXT_BYTES];
	u32 nworkers;

	model_workers(st->model, &nworkers);
	screen_printf(row, 0, -1, LOOK(INK_FAINT), " %s%s: %s to %s on %u worker%s%s%s%s",
		      is_estimate(st, s) ? "about " : "", names[interval],
		      timeline_text(s->from_ns, NS_PER_MS, from),
		      timeline_text(s->to_ns, NS_PER_MS, to), nworkers, nworkers == 1 ? "" : "s",
		      sort_names[st->sort][0] ? "; by " : "", sort_names[st->sort],
		      st->reverses ? ", reversed" : "");
}

static void draw_head(const struct view_state *st, int row)
{
	const struct screen_look look = {INK_HEAD, INK_DEFAULT, ATTR_BOLD};

	screen_text(row, 0, name_cols(), look, " VM > child VM > process");
	if (st->shows_waits) {
		screen_printf(row, name_cols(), -1, look, "%2s %-8s %6s %7s %7s %7s %7s %4s", "L",
			      "now", "CPU %", "waited", "wake", "longest", "period", "conf");
		if (is_wide())
			screen_printf(row, name_cols() + 56, -1, look, "%7s %6s", "reserve",
				      "spins");
		return;
	}
	screen_printf(row, name_cols(), -1, look, "%2s %-8s %6s %9s %5s %8s %7s %6s", "L", "now",
		      "CPU %", "exits/s", "refl%", "switch/s", "halt/s", "missed");
}

/* How long it waited, and what is inferred: since the begin. */
static void draw_waits(int row, const struct table_row *r, const struct span *s,
		       struct screen_look look)
{
	char waited[TEXT_BYTES] = "", wake[TEXT_BYTES] = "", longest[TEXT_BYTES] = "",
	     period[TEXT_BYTES] = "", conf[TEXT_BYTES] = "", cpu[TEXT_BYTES] = "-";

	if (r->has_counts || s->has_processes)
		snprintf(cpu, sizeof(cpu), "%.1f", rows_percent(r->ran_ns, s->to_ns - s->from_ns));
	if (r->kind == ROW_VM)
		text_duration(r->ready_ns, waited);
	if (r->wake_runs) {
		text_duration(r->wake_ns / r->wake_runs, wake);
		text_duration(r->wake_max_ns, longest);
	}
	if (r->reserve && r->reserve->event.period_ns) {
		text_duration(r->reserve->event.period_ns, period);
		snprintf(conf, sizeof(conf), "%llu%%",
			 (unsigned long long)r->reserve->event.confidence);
	}
	screen_printf(row, name_cols(), -1, look, "%2u %-8.8s %6s %7s %7s %7s %7s %4s", r->level,
		      r->state, cpu, waited, wake, longest, period, conf);
	if (!is_wide() || !r->has_counts)
		return;
	if (r->reserve)
		text_duration(r->reserve->event.budget_ns, period);
	screen_printf(row, name_cols() + 56, -1, look, "%7s %6llu", r->reserve ? period : "",
		      (unsigned long long)r->spins);
}

static void draw_numbers(int row, const struct table_row *r, const struct span *s,
			 struct screen_look look)
{
	u64 ns = s->to_ns - s->from_ns;
	char exits[32], switches[32], halts[32], cpu[32] = "-";

	if (r->has_counts || s->has_processes)
		snprintf(cpu, sizeof(cpu), "%.1f", rows_percent(r->ran_ns, ns));
	if (r->has_counts)
		screen_printf(row, name_cols(), -1, look, "%2u %-8.8s %6s %9s %5.1f %8s %7s %6llu",
			      r->level, r->state, cpu,
			      text_rate(rows_rate(r->own.exits, ns), exits),
			      rows_percent(r->own.reflected, r->own.exits),
			      text_rate(rows_rate(r->own.switches, ns), switches),
			      text_rate(rows_rate(r->own.halts, ns), halts),
			      (unsigned long long)r->own.misses);
	else
		screen_printf(row, name_cols(), -1, look, "%2u %-8s %6s %9s %5s %8s", r->level, "",
			      cpu, "", "",
			      s->has_process_switches
				      ? text_rate(rows_rate(r->own.switches, ns), switches)
				      : "-");
}

static void draw_row(const struct view_state *st, int row, const struct table_row *r,
		     const struct span *s, bool selected)
{
	const struct cast_member *x = &st->cast.member[r->member];
	struct screen_look look = {.attrs = selected ? ATTR_REVERSE : 0};
	const char letter[2] = {r->kind >= ROW_PROCESS ? ' ' : x->letter, 0};
	int col = 1 + 2 * (int)r->depth;

	if (selected)
		screen_fill(row, 0, screen_cols(), look);
	if (r->depth)
		screen_glyph(row, col - 2, selected ? look : LOOK(INK_FAINT), GLYPH_CHILD);
	if (screen_has_colour() && r->kind < ROW_PROCESS)
		screen_text(row, col, -1, LOOK(INK_DEFAULT, x->ink), letter);
	else
		screen_text(row, col, -1, look, letter);
	screen_text(row, col + 2, name_cols() - col - 3, look, r->name);
	if (r->is_folded)
		screen_text(row, name_cols() - 2, 1, look, "+");
	if (st->shows_waits)
		draw_waits(row, r, s, look);
	else
		draw_numbers(row, r, s, look);
}

static u32 collect(const struct view_state *st, const struct span *s, bool processes, bool selects)
{
	const struct rows_config cfg = {.from_ns = s->is_total ? 0 : s->from_ns,
					.to_ns = s->is_total ? 0 : MAX(s->to_ns, 1ull),
					.processes = processes,
					.sort = selects ? st->sort : SORT_NUMBER,
					.reverses = selects && st->reverses,
					.folds = selects ? st->folds : NULL,
					.filter = selects ? st->filter : NULL};

	return rows_collect(st->model, &st->cast, &cfg, all_rows, ROWS_MAX);
}

static void draw_table(struct view_state *st, int row, int rows, enum view_interval interval,
		       bool selects, bool processes)
{
	struct span s = span_of(st, interval);
	u32 n = collect(st, &s, processes, selects), shown = (u32)MAX(rows - 2, 1), top = 0;

	draw_span(st, row, interval, &s);
	draw_head(st, row + 1);
	if (selects) {
		nrows = n;
		st->row = n ? MIN(st->row, n - 1) : 0;
		if (st->row < st->top_row)
			st->top_row = st->row;
		if (st->row >= st->top_row + shown)
			st->top_row = st->row - shown + 1;
		top = st->top_row;
	}
	if (!selects && n > shown) {
		shown--;
		screen_printf(row + 2 + (int)shown, 0, -1, LOOK(INK_FAINT), "   and %u more: Tab",
			      n - shown);
	}
	for (u32 i = 0; i < shown && top + i < n; i++)
		draw_row(st, row + 2 + (int)i, &all_rows[top + i], &s,
			 selects && top + i == st->row);
}

void view_table_below(struct view_state *st, int row, int rows)
{
	draw_table(st, row, rows, INTERVAL_VISIBLE, false, false);
}

static void draw(struct view_state *st, int row, int rows)
{
	draw_table(st, row, rows, st->interval, true, !st->hides_processes);
}

/* Hide or show what is in the selected row. */
static void fold(struct view_state *st)
{
	if (st->row < nrows && all_rows[st->row].kind < ROW_PROCESS)
		st->folds[all_rows[st->row].member] ^= true;
}

static bool act(struct view_state *st, enum key_action action)
{
	u32 page = (u32)MAX(screen_rows() - 6, 1);

	switch (action) {
	case ACTION_UP: st->row -= st->row > 0; return true;
	case ACTION_DOWN: st->row++; return true;
	case ACTION_PAGE_BACK: st->row -= MIN(st->row, page); return true;
	case ACTION_PAGE_ON: st->row += page; return true;
	case ACTION_BEGIN: st->row = 0; return true;
	case ACTION_END: st->row = ROWS_MAX; return true;
	case ACTION_INTERVAL: st->interval = (st->interval + 1) % INTERVAL_COUNT; return true;
	case ACTION_PROCESSES: st->hides_processes = !st->hides_processes; return true;
	case ACTION_SORT: st->sort = (st->sort + 1) % SORT_COUNT; return true;
	case ACTION_REVERSE: st->reverses = !st->reverses; return true;
	case ACTION_COLUMNS: st->shows_waits = !st->shows_waits; return true;
	case ACTION_OPEN: fold(st); return true;
	default: return false;
	}
}

/* Two lines of headings. */
static void click(struct view_state *st, int below, int col)
{
	u32 row = st->top_row + (u32)(below - 2);

	if (below < 2 || row >= nrows)
		return;
	if (row == st->row)
		fold(st);
	st->row = row;
}

static bool search(struct view_state *st, int step)
{
	for (u32 k = 1; k <= nrows; k++) {
		u32 i = step > 0 ? (st->row + k) % nrows : (st->row + nrows - k) % nrows;

		if (list_holds(all_rows[i].name, st->search)) {
			st->row = i;
			return true;
		}
	}
	return false;
}

const struct view view_table = {.name = "Table",
				.draw = draw,
				.act = act,
				.click = click,
				.search = search,
				.filters = "names"};
