/*
 * Inference: what L0 thinks that guests need, and how it came to that: the newest estimate of each
 * guest of which something was inferred, and below it why, and the changes, of the selected one.
 */
#include <stdio.h>

#include "viewer/text.h"
#include "viewer/view.h"

#define ROWS_MAX 512u

static u32 entities[ROWS_MAX];
static u32 nrows;

static const char *reason_text(u64 reason)
{
	const struct event_info *info = &event_infos[TRANSITION_sched_reserve];
	const char *text = event_enum_text(info->fields[0].enumeration, reason);

	return text ? text : "?";
}

/* What was inferred of kind @what and holds, or NULL. */
static const struct ev_inferred *inferred(const struct model_vcpu *v, u32 what)
{
	return v->inferences & 1u << what && v->inferred[what].holds ? &v->inferred[what] : NULL;
}

/* Nothing was reserved for it. */
static void bare_text(const struct model_vcpu *v, const char *who, char *out, size_t bytes)
{
	const struct ev_inferred *p = inferred(v, INFER_PERIOD);
	char y[TEXT_BYTES], sure[TEXT_BYTES];

	snprintf(sure, sizeof(sure), "%llu%%", p ? (unsigned long long)p->confidence : 0ull);
	snprintf(out, bytes, " %-14.14s %6s %6s %7s %6s %6s %6s %4s %s", who,
		 p ? text_duration(p->period_ns, y) : "-", "-", "-", "-", "-", "-", p ? sure : "-",
		 "nothing reserved");
}

/* @period: of the period as it is by now, or NULL. */
static void reserve_text(const struct model_reserve *r, const struct ev_inferred *period,
			 const char *who, char *out, size_t bytes)
{
	const struct ev_sched_reserve *e = &r->event;
	char y[TEXT_BYTES], x[TEXT_BYTES], budget[TEXT_BYTES], need[TEXT_BYTES], limit[TEXT_BYTES],
		jitter[TEXT_BYTES];

	snprintf(out, bytes, " %-14.14s %6s %6s %7s %6s %6s %6s %3llu%% %s", who,
		 text_duration(e->period_ns, y), text_duration(e->estimate_ns, x),
		 text_duration(e->budget_ns, budget), text_duration(e->need_ns, need),
		 text_duration(e->limit_ns, limit), text_duration(e->jitter_ns, jitter),
		 (unsigned long long)(period ? period->confidence : e->confidence),
		 reason_text(e->reason));
}

static void make_line(void *arg, u32 i, struct list_line *line)
{
	const struct view_state *st = arg;
	const struct model_vcpu *v = model_vcpu(st->model, entities[i]);
	const struct model_reserve *r = model_reserve_back(v, 0);
	char name[96];

	model_vcpu_name(st->model, v->id, name, sizeof(name));
	if (!r) {
		bare_text(v, name, line->text, sizeof(line->text));
		return;
	}
	if (r->event.reason >= RESERVE_DROPPED)
		line->look = LOOK(INK_WARN);
	reserve_text(r, inferred(v, INFER_PERIOD), name, line->text, sizeof(line->text));
}

static void collect(const struct view_state *st)
{
	const struct model_vcpu *v;
	char name[96];
	u32 n;

	nrows = 0;
	v = model_vcpus(st->model, &n);
	for (u32 i = 0; i < n && nrows < ROWS_MAX; i++, v++)
		if ((v->nreserves || v->inferences) &&
		    list_holds(model_vcpu_name(st->model, v->id, name, sizeof(name)), st->filter))
			entities[nrows++] = v->id;
}

/* How X came about at a change: the arrival, the job that taught, the controller's correction. */
static void change_text(const struct model_reserve *r, char *out, size_t bytes)
{
	const struct ev_sched_reserve *e = &r->event;
	s64 correction = (s64)e->correction_ns;
	char at[TIMELINE_TEXT_BYTES], arrival[TIMELINE_TEXT_BYTES], y[TEXT_BYTES], job[TEXT_BYTES],
		by[TEXT_BYTES], x[TEXT_BYTES], median[TEXT_BYTES], budget[TEXT_BYTES];

	snprintf(out, bytes, " %-13s %-13s %6s %6s %c%6s %6s %6s %7s %3llu%% %s",
		 timeline_text(r->at_ns, NS_PER_US, at),
		 timeline_text(e->arrival_ns, NS_PER_US, arrival), text_duration(e->period_ns, y),
		 text_duration(e->job_ns, job), correction < 0 ? '-' : '+',
		 text_duration(correction < 0 ? (u64)-correction : (u64)correction, by),
		 text_duration(e->estimate_ns, x), text_duration(e->median_ns, median),
		 text_duration(e->budget_ns, budget), (unsigned long long)e->confidence,
		 reason_text(e->reason));
}

/* Why: what was inferred, from how many observations, how surely; a line each. Return: lines. */
static int draw_why(const struct model_vcpu *v, int row)
{
	const struct event_field *fields = event_infos[TRANSITION_inferred].fields;
	char text[160];
	int n = 0;

	for (u32 i = 0; i < MODEL_INFERENCES; i++) {
		const struct ev_inferred *e = &v->inferred[i];
		const char *what = event_enum_text(fields[2].enumeration, i);
		const char *why = event_enum_text(fields[3].enumeration, e->reason);

		if (!(v->inferences & 1u << i))
			continue;
		snprintf(text, sizeof(text), " %s%s: %s (%llu of %llu, %llu%%)%s",
			 e->holds ? "" : "not ", what ? what : "?", why ? why : "?",
			 (unsigned long long)e->agree, (unsigned long long)e->seen,
			 (unsigned long long)e->confidence,
			 e->process == EVENT_NO_ID ? "" : " of a process");
		screen_text(row + n++, 0, -1, LOOK(INK_DEFAULT), text);
	}
	return n;
}

/* The changes of the selected one, the newest first. */
static void draw_changes(const struct view_state *st, int row, int rows)
{
	const struct model_vcpu *v = model_vcpu(st->model, entities[st->infer.row]);
	char text[256], name[96];

	screen_printf(row, 0, -1, LOOK(INK_HEAD, INK_DEFAULT, ATTR_BOLD), " %s: %llu changes",
		      model_vcpu_name(st->model, v->id, name, sizeof(name)),
		      (unsigned long long)v->nreserves);
	int why = draw_why(v, row + 1);

	row += why;
	rows -= why;
	if (rows < 2)
		return;
	screen_text(
		row + 1, 0, -1, LOOK(INK_HEAD),
		" at            arrival       period    job correct   work median reserve conf");
	for (int i = 0; i + 2 < rows; i++) {
		const struct model_reserve *r = model_reserve_back(v, (u32)i);

		if (!r)
			return;
		change_text(r, text, sizeof(text));
		screen_text(row + 2 + i, 0, -1, LOOK(INK_DEFAULT), text);
	}
}

static void draw(struct view_state *st, int row, int rows)
{
	int below = MAX(rows / 2, 4);

	collect(st);
	screen_text(row, 0, -1, LOOK(INK_HEAD, INK_DEFAULT, ATTR_BOLD),
		    " guest          period   work reserve   need  limit jitter conf what became "
		    "of it");
	if (!nrows) {
		screen_text(
			row + 1, 0, -1, LOOK(INK_FAINT),
			" nothing inferred: the qos policies (--sched qos) infer periods and work");
		return;
	}
	list_draw(&st->infer, row + 1, rows - below - 1, nrows, make_line, st);
	draw_changes(st, row + rows - below, below);
}

static bool act(struct view_state *st, enum key_action action)
{
	return list_act(&st->infer, action);
}

static void click(struct view_state *st, int below, int col)
{
	list_click(&st->infer, below - 1);
}

static bool search(struct view_state *st, int step)
{
	return list_search(&st->infer, st->search, step, make_line, st);
}

const struct view view_infer = {.name = "Inference",
				.draw = draw,
				.act = act,
				.click = click,
				.search = search,
				.filters = "guests"};
