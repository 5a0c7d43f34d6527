/* Interrupts and other events that were delivered: by processor, vector and kind. */
#include <stdio.h>

#include "viewer/rows.h"
#include "viewer/text.h"
#include "viewer/view.h"

static u32 intr_rows[MODEL_INTRS]; /* indexes in the model's table */
static u32 nrows;

static void intr_text(const struct view_state *st, u32 index, struct list_line *line)
{
	const struct model_intr *r;
	const char *kind;
	char name[96], count[TEXT_BYTES], rate[TEXT_BYTES], mean[TEXT_BYTES] = "-",
							    max[TEXT_BYTES] = "-";
	u32 n;

	r = &model_intrs(st->model, &n)[index];
	/* the event's second field is the kind */
	kind = event_enum_text(event_infos[TRANSITION_intr_injected].fields[1].enumeration,
			       r->kind);
	if (r->timed) {
		text_duration(r->late_ns / r->timed, mean);
		text_duration(r->late_max_ns, max);
	}
	snprintf(line->text, sizeof(line->text), " %-16.16s %6u %-18.18s %9s %7s %7s %7s",
		 model_vcpu_name(st->model, r->vcpu, name, sizeof(name)), r->vector,
		 kind ? kind : "?", text_count(r->count, count),
		 text_rate(rows_rate(r->count, model_totals(st->model)->last_ns), rate), mean, max);
}

static void make_line(void *arg, u32 i, struct list_line *line)
{
	intr_text(arg, intr_rows[i], line);
}

static void draw(struct view_state *st, int row, int rows)
{
	struct list_line line;
	u32 n;

	nrows = 0;
	model_intrs(st->model, &n);
	for (u32 i = 0; i < n; i++) {
		intr_text(st, i, &line);
		if (list_holds(line.text, st->filter))
			intr_rows[nrows++] = i;
	}
	screen_text(
		row, 0, -1, LOOK(INK_HEAD, INK_DEFAULT, ATTR_BOLD),
		" processor        vector kind                   count  each s    late longest");
	if (!nrows)
		screen_text(row + 1, 0, -1, LOOK(INK_FAINT), " none");
	list_draw(&st->intrs, row + 1, rows - 1, nrows, make_line, st);
}

static bool act(struct view_state *st, enum key_action action)
{
	return list_act(&st->intrs, action);
}

static void click(struct view_state *st, int below, int col)
{
	list_click(&st->intrs, below - 1);
}

static bool search(struct view_state *st, int step)
{
	return list_search(&st->intrs, st->search, step, make_line, st);
}

const struct view view_intrs = {.name = "Interrupts",
				.draw = draw,
				.act = act,
				.click = click,
				.search = search,
				.filters = "rows"};
