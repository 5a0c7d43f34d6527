/* The events as they come, filtered by an expression (filter.h). */
#include <stdio.h>

#include "trace/model/text.h"
#include "viewer/view.h"

static void make_line(void *arg, u32 i, struct list_line *line)
{
	const struct view_state *st = arg;
	char text[TRANSITION_TEXT_BYTES];

	snprintf(line->text, sizeof(line->text), " %s",
		 transition_text(log_get(&st->log, i), true, text));
}

static void draw(struct view_state *st, int row, int rows)
{
	bool is_done = log_update(&st->log, st->filter);

	st->is_busy = !is_done;
	screen_printf(row, 0, -1, LOOK(INK_FAINT),
		      " %u of the newest %llu events%s; &: filter, like level=2 vm_exit|vm_entry "
		      "!exit_reason=HLT",
		      st->log.nshown, (unsigned long long)MIN(st->log.count, (u64)EVENT_LOG_EVENTS),
		      is_done ? "" : " so far");
	list_draw(&st->log_list, row + 1, rows - 1, st->log.nshown, make_line, st);
}

static bool act(struct view_state *st, enum key_action action)
{
	bool moved = list_act(&st->log_list, action);

	if (action == ACTION_END)
		st->log_list.follows = true;
	return moved;
}

static void click(struct view_state *st, int below, int col)
{
	list_click(&st->log_list, below - 1);
}

static bool search(struct view_state *st, int step)
{
	return list_search(&st->log_list, st->search, step, make_line, st);
}

const struct view view_log = {.name = "Log",
			      .draw = draw,
			      .act = act,
			      .click = click,
			      .search = search,
			      .filters = "events by an expression"};
