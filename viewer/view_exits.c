/* Exits: by machine, level and reason; where they come from; what one costs in others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "viewer/rows.h"
#include "viewer/text.h"
#include "viewer/view.h"

#define ROWS_MAX 2048u
#define VM_EXITS_MAX 256u

struct exit_row {
	u32 vm;
	struct model_exit exit;
};

/* A line of the tree: a child VM (node EVENT_NO_ID) or a node. */
struct tree_row {
	u32 child, node, depth;
};

static struct exit_row exit_rows[ROWS_MAX];
static struct tree_row tree_rows[ROWS_MAX];
static struct model_place places[VM_EXITS_MAX];
static u32 nrows; /* of the mode that is shown */

static u64 length_ns(const struct view_state *st)
{
	const struct model_totals *t = model_totals(st->model);

	return t->last_ns > st->known_ns ? t->last_ns - st->known_ns : 0;
}

static const char *vm_name(const struct view_state *st, u32 vm)
{
	const struct model_vm *v = model_vm(st->model, vm);

	return v && v->name[0] ? v->name : "?";
}

/* --- by reason --- */
static void reason_line(void *arg, u32 i, struct list_line *line)
{
	const struct view_state *st = arg;
	const struct exit_row *r = &exit_rows[i];
	const struct model_exit *x = &r->exit;
	char count[TEXT_BYTES], rate[TEXT_BYTES], total[TEXT_BYTES], mean[TEXT_BYTES],
		p99[TEXT_BYTES], max[TEXT_BYTES];
	u64 quantile = model_exit_cost(st->model, r->vm, x->level, x->reason, 990);

	snprintf(line->text, sizeof(line->text),
		 " %-8.8s %u %-19.19s %9s %7s %5.1f %7s %6s %6s %7s", vm_name(st, r->vm), x->level,
		 event_exit_reason_text(x->reason), text_count(x->count, count),
		 text_rate(rows_rate(x->count, length_ns(st)), rate),
		 rows_percent(x->reflected, x->count), text_duration(x->host_cost_ns, total),
		 text_duration(x->host_cost_ns / MAX(x->count, 1ull), mean),
		 quantile ? text_duration(quantile, p99) : "-",
		 x->host_cost_max_ns ? text_duration(x->host_cost_max_ns, max) : "-");
}

static void collect_reasons(const struct view_state *st)
{
	static struct model_exit found[VM_EXITS_MAX];
	const struct model_vm *vm;
	struct list_line line;
	u32 n, count;

	nrows = 0;
	vm = model_vms(st->model, &n);
	for (u32 i = 0; i < n; i++) {
		count = MIN(model_exits_by_level(st->model, vm[i].id, found, VM_EXITS_MAX),
			    VM_EXITS_MAX);
		for (u32 k = 0; k < count && nrows < ROWS_MAX; k++) {
			exit_rows[nrows] = (struct exit_row){vm[i].id, found[k]};
			reason_line((void *)st, nrows, &line);
			nrows += list_holds(line.text, st->filter);
		}
	}
}

/* --- the tree --- */
static int by_count(const void *a, const void *b, void *arg)
{
	const struct model_exit_node *nodes = arg;
	const struct model_exit_node *x = &nodes[*(const u32 *)a], *y = &nodes[*(const u32 *)b];

	return x->count > y->count ? -1 : x->count < y->count;
}

static void add_nodes(const struct model_exit_node *nodes, u32 n, u32 parent, u32 child, u32 depth)
{
	u32 *kids = malloc(sizeof(*kids) * (n + 1)), count = 0;

	for (u32 i = 0; kids && i < n; i++)
		if (nodes[i].parent == parent && (parent != EVENT_NO_ID || nodes[i].child == child))
			kids[count++] = i;
	if (count)
		qsort_r(kids, count, sizeof(*kids), by_count, (void *)nodes);
	for (u32 i = 0; i < count && nrows < ROWS_MAX; i++) {
		tree_rows[nrows++] = (struct tree_row){child, kids[i], depth};
		if (depth < MODEL_LEVELS)
			add_nodes(nodes, n, kids[i], child, depth + 1);
	}
	free(kids);
}

static void collect_tree(const struct view_state *st)
{
	const struct model_exit_node *nodes;
	const struct model_child *c;
	char name[64];
	u32 n, nnodes;

	nrows = 0;
	nodes = model_exit_tree(st->model, &nnodes);
	c = model_children(st->model, &n);
	for (u32 i = 0; i < n && nrows < ROWS_MAX; i++) {
		if (!list_holds(model_child_name(st->model, c[i].id, name, sizeof(name)),
				st->filter))
			continue;
		tree_rows[nrows++] = (struct tree_row){c[i].id, EVENT_NO_ID, 0};
		add_nodes(nodes, nnodes, EVENT_NO_ID, c[i].id, 1);
	}
}

static void tree_line(void *arg, u32 i, struct list_line *line)
{
	const struct view_state *st = arg;
	const struct tree_row *r = &tree_rows[i];
	char name[96], count[TEXT_BYTES], each[TEXT_BYTES] = "", handled[TEXT_BYTES] = "",
					  cost[TEXT_BYTES];
	const struct model_exit_node *nodes, *x, *up;
	u32 n;

	if (r->node == EVENT_NO_ID) {
		line->look = LOOK(INK_HEAD, INK_DEFAULT, ATTR_BOLD);
		snprintf(line->text, sizeof(line->text), " %s",
			 model_child_name(st->model, r->child, name, sizeof(name)));
		return;
	}
	nodes = model_exit_tree(st->model, &n);
	x = &nodes[r->node];
	up = x->parent == EVENT_NO_ID ? NULL : &nodes[x->parent];
	snprintf(name, sizeof(name), "%*sL%u %s", (int)(2 * r->depth), "", x->level,
		 event_exit_reason_text(x->reason));
	if (up && up->count)
		snprintf(each, sizeof(each), "%.2f", (double)x->count / (double)up->count);
	if (x->handled_ns)
		text_duration(x->handled_ns / x->count, handled);
	snprintf(line->text, sizeof(line->text), "%-36.36s %11s %9s %10s %10s", name,
		 text_count(x->count, count), each, handled,
		 text_duration(x->host_cost_ns / MAX(x->count, 1ull), cost));
}

/* --- places --- */
static void place_line(void *arg, u32 i, struct list_line *line)
{
	const struct view_state *st = arg;
	const struct model_place *p = &places[i];
	char name[64], count[TEXT_BYTES], least[TEXT_BYTES], cost[TEXT_BYTES],
		text[SYMBOLS_NAME_BYTES];
	const char *symbol =
		st->names ? names_text(st->names, st->model, p->vm, p->child, p->guest_rip, text)
			  : NULL;

	if (p->child == EVENT_NO_ID)
		snprintf(name, sizeof(name), "%s", vm_name(st, p->vm));
	else
		model_child_name(st->model, p->child, name, sizeof(name));
	snprintf(line->text, sizeof(line->text), " %#-18llx %-16.16s %12s %12s %8s  %s",
		 (unsigned long long)p->guest_rip, name, text_count(p->count, count),
		 text_count(p->count - MIN(p->over, p->count), least),
		 text_duration(p->host_cost_ns / MAX(p->count, 1ull), cost), symbol ? symbol : "");
}

static void collect_places(const struct view_state *st)
{
	nrows = model_places(st->model, EVENT_NO_ID, st->place_level, st->place_reason, places,
			     VM_EXITS_MAX);
}

/* --- the view --- */
static const struct {
	void (*collect)(const struct view_state *st);
	list_line_fn line;
	const char *head;
} modes[EXITS_MODES] = {
	[EXITS_REASONS] = {collect_reasons, reason_line,
			   " VM       L reason                  count  each s refl%  L0 all   mean "
			   "   p99     max"},
	[EXITS_TREE] =
		{collect_tree, tree_line,
		 " what one exit of a guest costs            count  for each handled in    L0 "
		 "each"},
	[EXITS_PLACES] =
		{collect_places, place_line,
		 " address            whose                   count     at least  L0 each"},
};

static void draw(struct view_state *st, int row, int rows)
{
	const char *why = NULL;

	modes[st->exits_mode].collect(st);
	if (st->exits_mode == EXITS_PLACES)
		screen_printf(row, 0, -1, LOOK(INK_HEAD, INK_DEFAULT, ATTR_BOLD),
			      " level %u %s: Enter goes back", st->place_level,
			      event_exit_reason_text(st->place_reason));
	else
		screen_printf(row, 0, -1, LOOK(INK_FAINT),
			      st->exits_mode == EXITS_TREE
				      ? " exits while a VMM handled the one above, to its next "
					"entry; t: by reason"
				      : " since the begin; Enter: where they come from; t: what "
					"one costs");
	screen_text(row + 1, 0, -1, LOOK(INK_HEAD, INK_DEFAULT, ATTR_BOLD),
		    modes[st->exits_mode].head);
	if (!nrows)
		why = model_totals(st->model)->detail == MODEL_LIVE &&
				      st->exits_mode != EXITS_REASONS
			      ? " a live stream sums exits up: record the run to see each of them"
			      : " none";
	if (why)
		screen_text(row + 2, 0, -1, LOOK(INK_FAINT), why);
	list_draw(&st->exits, row + 2, rows - 2, nrows, modes[st->exits_mode].line, st);
}

static bool act(struct view_state *st, enum key_action action)
{
	const struct exit_row *r = &exit_rows[MIN(st->exits.row, ROWS_MAX - 1)];

	if (action == ACTION_TREE) {
		st->exits_mode = st->exits_mode == EXITS_TREE ? EXITS_REASONS : EXITS_TREE;
	} else if (action == ACTION_OPEN && st->exits_mode == EXITS_REASONS && nrows) {
		st->place_level = r->exit.level;
		st->place_reason = r->exit.reason;
		st->exits_mode = EXITS_PLACES;
	} else if (action == ACTION_OPEN) {
		st->exits_mode = EXITS_REASONS;
	} else {
		return list_act(&st->exits, action);
	}
	st->exits.row = 0;
	return true;
}

static void click(struct view_state *st, int below, int col)
{
	list_click(&st->exits, below - 2);
}

static bool search(struct view_state *st, int step)
{
	return list_search(&st->exits, st->search, step, modes[st->exits_mode].line, st);
}

const struct view view_exits = {.name = "Exits",
				.draw = draw,
				.act = act,
				.click = click,
				.search = search,
				.filters = "rows"};
