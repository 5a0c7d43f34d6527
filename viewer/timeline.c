/* The window on virtual time; see timeline.h. */
#include <stdio.h>

#include "viewer/timeline.h"

#define FIRST_COL_NS (1 * NS_PER_MS)
/* Times of a damaged trace end here: 73 years, far from where sums could overflow. */
#define LAST_TIME_NS (1ull << 61)

/* The steps of the zoom: 1, 2, 5, 10, … */
static u64 next_step(u64 ns)
{
	u64 unit = 1;

	while (unit * 10 <= ns)
		unit *= 10;
	return ns < 2 * unit ? 2 * unit : ns < 5 * unit ? 5 * unit : 10 * unit;
}

static u64 step_below(u64 ns)
{
	u64 unit = 1;

	while (unit * 10 < ns)
		unit *= 10;
	return ns > 5 * unit ? 5 * unit : ns > 2 * unit ? 2 * unit : unit;
}

void timeline_init(struct timeline *t, bool follows)
{
	*t = (struct timeline){.col_ns = FIRST_COL_NS, .cols = 1, .follows = follows};
}

u64 timeline_now(const struct timeline *t)
{
	return t->holds ? t->hold_ns : t->last_ns;
}

u64 timeline_to(const struct timeline *t)
{
	return t->from_ns + t->col_ns * t->cols;
}

u32 timeline_cursor_col(const struct timeline *t)
{
	if (t->cursor_ns < t->from_ns)
		return 0;
	return (u32)MIN((t->cursor_ns - t->from_ns) / t->col_ns, (u64)t->cols - 1);
}

/* Left edge such that @ns is in column @col. */
static void place(struct timeline *t, u64 ns, u32 col)
{
	u64 at = ns / t->col_ns;

	t->from_ns = (at > col ? at - col : 0) * t->col_ns;
}

static void show_end(struct timeline *t)
{
	t->cursor_ns = timeline_now(t);
	place(t, t->cursor_ns, t->cols - 1);
}

void timeline_update(struct timeline *t, u64 first_ns, u64 last_ns, u32 cols)
{
	t->first_ns = MIN(first_ns, LAST_TIME_NS);
	t->last_ns = MIN(last_ns, LAST_TIME_NS);
	t->cols = MAX(cols, 1u);
	if (t->follows)
		show_end(t);
	else if (t->cursor_ns >= timeline_to(t))
		place(t, t->cursor_ns, t->cols - 1);
}

void timeline_move(struct timeline *t, s64 cols)
{
	u64 step = t->col_ns * (u64)(cols < 0 ? -cols : cols);
	u64 at = t->cursor_ns;

	if (cols < 0) {
		t->follows = false;
		at = at > step ? at - step : 0;
		t->cursor_ns = MAX(at, MIN(t->first_ns, t->cursor_ns));
	} else {
		t->cursor_ns = MIN(at + step, timeline_now(t));
	}
	if (t->cursor_ns < t->from_ns)
		place(t, t->cursor_ns, 0);
	else if (t->cursor_ns >= timeline_to(t))
		place(t, t->cursor_ns, t->cols - 1);
}

void timeline_begin(struct timeline *t)
{
	t->follows = false;
	t->cursor_ns = t->first_ns;
	place(t, t->first_ns, 0);
}

void timeline_end(struct timeline *t)
{
	t->holds = false;
	t->follows = true;
	show_end(t);
}

void timeline_hold(struct timeline *t, bool hold)
{
	t->hold_ns = t->last_ns;
	t->holds = hold;
	if (t->follows)
		show_end(t);
}

void timeline_zoom(struct timeline *t, bool in)
{
	u32 col = timeline_cursor_col(t);
	u64 ns = in ? step_below(t->col_ns) : next_step(t->col_ns);

	if (ns < TIMELINE_MIN_COL_NS || ns > TIMELINE_MAX_COL_NS)
		return;
	t->col_ns = ns;
	place(t, t->cursor_ns, t->follows ? t->cols - 1 : col);
}

void timeline_fit(struct timeline *t)
{
	u64 now = timeline_now(t), length = now > t->first_ns ? now - t->first_ns : 0;
	u64 ns = TIMELINE_MIN_COL_NS;

	/* the first column may begin before the first event */
	while (ns * (t->cols - 1) < length + 1 && ns < TIMELINE_MAX_COL_NS)
		ns = next_step(ns);
	t->col_ns = MIN(ns, TIMELINE_MAX_COL_NS);
	t->follows = false;
	t->from_ns = t->first_ns / t->col_ns * t->col_ns;
	if (t->cursor_ns < t->from_ns || t->cursor_ns >= timeline_to(t))
		t->cursor_ns = t->first_ns;
}

u64 timeline_tick(const struct timeline *t, u32 min_cols)
{
	u64 ns = t->col_ns;

	while (ns < t->col_ns * min_cols || ns % t->col_ns)
		ns = next_step(ns);
	return ns;
}

const char *timeline_text(u64 ns, u64 step_ns, char *buf)
{
	u64 unit = NS_PER_SEC;
	int digits = 0;

	for (; digits < 9 && step_ns % unit; digits++)
		unit /= 10;
	if (digits)
		snprintf(buf, TIMELINE_TEXT_BYTES, "%llu.%0*llu s",
			 (unsigned long long)(ns / NS_PER_SEC), digits,
			 (unsigned long long)(ns % NS_PER_SEC / unit));
	else
		snprintf(buf, TIMELINE_TEXT_BYTES, "%llu s", (unsigned long long)(ns / NS_PER_SEC));
	return buf;
}

const char *timeline_length(u64 ns, char *buf)
{
	static const struct {
		u64 ns;
		const char *name;
	} units[] = {{NS_PER_SEC, "s"}, {NS_PER_MS, "ms"}, {NS_PER_US, "us"}, {1, "ns"}};
	u32 i = 0;

	while (i + 1 < ARRAY_SIZE(units) && ns < units[i].ns)
		i++;
	if (ns % units[i].ns)
		snprintf(buf, TIMELINE_TEXT_BYTES, "%.4g %s", (double)ns / (double)units[i].ns,
			 units[i].name);
	else
		snprintf(buf, TIMELINE_TEXT_BYTES, "%llu %s",
			 (unsigned long long)(ns / units[i].ns), units[i].name);
	return buf;
}
