/* VM entries and VMX instructions that failed, and why. */
#include <stdio.h>

#include "trace/model/text.h"
#include "viewer/view.h"

static struct transition failures[MODEL_FAILURES];
static u32 rows_shown[MODEL_FAILURES];
static u32 nrows;

static void failure_text(const struct view_state *st, const struct transition *t,
			 struct list_line *line)
{
	char fields[TRANSITION_TEXT_BYTES], at[TIMELINE_TEXT_BYTES], who[96];

	if (t->kind != TRANSITION_vm_insn_fail)
		line->look = LOOK(INK_BAD);
	snprintf(line->text, sizeof(line->text), " %s  %-20s %-16s%s",
		 timeline_text(t->vtime_ns, 1, at),
		 model_vcpu_name(st->model, t->vcpu_id, who, sizeof(who)),
		 event_infos[t->kind].name, transition_fields_text(t, true, fields));
}

static void make_line(void *arg, u32 i, struct list_line *line)
{
	failure_text(arg, &failures[rows_shown[i]], line);
}

static void draw(struct view_state *st, int row, int rows)
{
	u32 n = model_failures(st->model, failures, MODEL_FAILURES);
	struct list_line line;

	nrows = 0;
	for (u32 i = 0; i < n; i++) {
		failure_text(st, &failures[i], &line);
		if (list_holds(line.text, st->filter))
			rows_shown[nrows++] = i;
	}
	screen_printf(row, 0, -1, LOOK(INK_HEAD, INK_DEFAULT, ATTR_BOLD),
		      " %u failed VM entries and VMX instructions%s", nrows,
		      n == MODEL_FAILURES ? " (the newest)" : "");
	if (!nrows)
		screen_text(row + 1, 0, -1, LOOK(INK_FAINT), " none");
	list_draw(&st->failures, row + 1, rows - 1, nrows, make_line, st);
}

static bool act(struct view_state *st, enum key_action action)
{
	return list_act(&st->failures, action);
}

static void click(struct view_state *st, int below, int col)
{
	list_click(&st->failures, below - 1);
}

static bool search(struct view_state *st, int step)
{
	return list_search(&st->failures, st->search, step, make_line, st);
}

const struct view view_failures = {.name = "Failures",
				   .draw = draw,
				   .act = act,
				   .click = click,
				   .search = search,
				   .filters = "rows"};
