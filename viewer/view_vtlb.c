/* The virtual TLB's counters, by processor, and with its first one each machine's. */
#include <stdio.h>

#include "viewer/rows.h"
#include "viewer/text.h"
#include "viewer/view.h"

#define ROWS_MAX 1024u

/* A heading (field EVENT_NO_ID) or a counter: of a processor, or of the machine that it is the
 * first of. */
static struct vtlb_row {
	u32 vcpu, field, kind;
} vtlb_rows[ROWS_MAX];
static u32 nrows;

static void make_line(void *arg, u32 i, struct list_line *line)
{
	const struct view_state *st = arg;
	const struct vtlb_row *r = &vtlb_rows[i];
	const struct model_vcpu *v = model_vcpu(st->model, r->vcpu);
	const struct event_info *info = &event_infos[r->kind];
	bool machine = r->kind == TRANSITION_tlb_machine;
	const u64 *words = machine ? v->tlb_machine : (const u64 *)(const void *)&v->tlb;
	char name[96], count[TEXT_BYTES], rate[TEXT_BYTES];

	if (r->field == EVENT_NO_ID) {
		line->look = LOOK(INK_HEAD, INK_DEFAULT, ATTR_BOLD);
		model_vcpu_name(st->model, v->id, name, sizeof(name));
		if (machine)
			snprintf(line->text, sizeof(line->text), " the machine of %s", name);
		else
			snprintf(line->text, sizeof(line->text),
				 " %s: %.2f %% of the soft TLB's misses are "
				 "answered without a walk",
				 name, rows_percent(v->tlb.hits, v->tlb.translates));
		return;
	}
	const struct vtlb_counter_info *c = machine ? &vtlb_counter_infos[r->field] : NULL;
	bool is_level = c && c->is_level;

	text_rate(rows_rate(words[r->field], model_totals(st->model)->last_ns), rate);
	snprintf(line->text, sizeof(line->text), "   %-17s %16s %9s%s  %s",
		 c ? c->name : info->fields[r->field].name, text_count(words[r->field], count),
		 is_level ? "" : rate, is_level ? "  " : "/s",
		 c ? c->doc : info->fields[r->field].doc);
}

static void add_rows(u32 vcpu, u32 kind)
{
	u32 n = kind == TRANSITION_tlb_machine ? VTLB_COUNTERS : event_infos[kind].nfields;

	if (nrows + n + 1 > ROWS_MAX)
		return;
	vtlb_rows[nrows++] = (struct vtlb_row){vcpu, EVENT_NO_ID, kind};
	for (u32 f = 0; f < n; f++)
		vtlb_rows[nrows++] = (struct vtlb_row){vcpu, f, kind};
}

static void collect(const struct view_state *st)
{
	const struct model_vcpu *v;
	char name[96];
	u32 n;

	nrows = 0;
	v = model_vcpus(st->model, &n);
	for (u32 i = 0; i < n; i++, v++) {
		if (!list_holds(model_vcpu_name(st->model, v->id, name, sizeof(name)), st->filter))
			continue;
		if (v->has_tlb_stats)
			add_rows(v->id, TRANSITION_tlb_stats);
		if (v->has_tlb_machine)
			add_rows(v->id, TRANSITION_tlb_machine);
	}
}

static void draw(struct view_state *st, int row, int rows)
{
	collect(st);
	screen_text(row, 0, -1, LOOK(INK_HEAD, INK_DEFAULT, ATTR_BOLD),
		    " counter                      since start    mean");
	if (!nrows)
		screen_text(row + 1, 0, -1, LOOK(INK_FAINT), " no counters yet");
	list_draw(&st->vtlb, row + 1, rows - 1, nrows, make_line, st);
}

static bool act(struct view_state *st, enum key_action action)
{
	return list_act(&st->vtlb, action);
}

static void click(struct view_state *st, int below, int col)
{
	list_click(&st->vtlb, below - 1);
}

static bool search(struct view_state *st, int step)
{
	return list_search(&st->vtlb, st->search, step, make_line, st);
}

const struct view view_vtlb = {.name = "vTLB",
			       .draw = draw,
			       .act = act,
			       .click = click,
			       .search = search,
			       .filters = "processors"};
