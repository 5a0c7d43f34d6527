/*
 * The schedule: for each worker a lane with the machine it runs, and below it one lane a level with
 * whose code runs there; or a lane for each machine and child VM. A time axis, a line of marks, a
 * cursor and the facts of the stretch under it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "viewer/lanes.h"
#include "viewer/view.h"

#define LABEL_COLS 11 /* "worker 123 " */
#define TICK_COLS 14u
#define SEGMENTS_MAX (1u << 17)
#define STRETCHES_SHOWN (1u << 16) /* more in a window: shares of the segments do as well */
#define FACT_ROWS 2
#define NOBODY_PERCENT 85 /* a column idle for more counts as idle where only one letter fits */

/* Kept between redraws: only their memory. */
static struct {
	struct model_segment *segments;
	struct model_stretch *stretches;
	struct lane_span *spans;
	struct lane_cell *cells;
	enum mark_kind *marks;
	u32 ncells;
} room;

static bool make_room(u32 cols)
{
	if (!room.segments)
		room.segments = malloc(SEGMENTS_MAX * sizeof(*room.segments));
	if (!room.stretches)
		room.stretches = malloc(STRETCHES_SHOWN * sizeof(*room.stretches));
	if (!room.spans)
		room.spans = malloc(SEGMENTS_MAX * sizeof(*room.spans));
	if (room.ncells < cols) {
		free(room.cells);
		free(room.marks);
		room.cells = malloc(cols * sizeof(*room.cells));
		room.marks = malloc(cols * sizeof(*room.marks));
		room.ncells = room.cells && room.marks ? cols : 0;
	}
	return room.segments && room.stretches && room.spans && room.ncells;
}

u32 view_schedule_cols(void)
{
	return (u32)MAX(screen_cols() - LABEL_COLS, 1);
}

/* --- lanes --- */

static u32 deepest_level(const struct view_state *st)
{
	u32 deepest = 1;

	for (u32 i = 0; i < st->cast.count; i++)
		deepest = MAX(deepest, st->cast.member[i].level);
	return MIN(deepest, MODEL_LEVELS - 1);
}

/* The lane of a worker (level 0: the machine it runs) and, below it, one a level. */
static u32 lanes_a_worker(const struct view_state *st)
{
	return 1 + deepest_level(st);
}

/* Number of the @index-th worker, in ascending order. */
static u32 worker_id(const struct view_state *st, u32 index)
{
	u32 n, id = 0;
	const struct model_worker *w = model_workers(st->model, &n);

	for (u64 from = 0; n; from = (u64)id + 1) {
		id = EVENT_NO_ID;
		for (u32 i = 0; i < n; i++)
			if (w[i].id >= from && w[i].id < id)
				id = w[i].id;
		if (!index--)
			break;
	}
	return id;
}

/* --- lanes of machines, child VMs and processes, in the order of the table --- */

struct vm_lane {
	u32 member;
	u32 process; /* of that member; EVENT_NO_ID: the member itself */
	u32 depth;
};

#define VM_LANES 1024u

static u32 process_lanes(const struct view_state *st, u32 member, struct vm_lane *out, u32 n,
			 u32 depth)
{
	const struct cast_member *x = &st->cast.member[member];
	const struct model_process *p;
	u32 count;

	p = model_processes(st->model, &count);
	for (u32 i = 0; i < count && n < VM_LANES; i++)
		if (x->is_vm ? p[i].vm == x->id && p[i].child == EVENT_NO_ID : p[i].child == x->id)
			out[n++] = (struct vm_lane){member, p[i].id, depth};
	return n;
}

static u32 vm_lanes(const struct view_state *st, u32 parent, struct vm_lane *out, u32 n, u32 depth)
{
	for (u32 i = 0; i < st->cast.count && depth < MODEL_LEVELS; i++) {
		const struct cast_member *x = &st->cast.member[i];
		bool shown = st->lanes == LANES_TREE || !x->is_vm;

		if (x->parent != parent || n >= VM_LANES)
			continue;
		if (shown)
			out[n++] = (struct vm_lane){i, EVENT_NO_ID,
						    st->lanes == LANES_TREE ? depth : 0};
		n = vm_lanes(st, i, out, n, depth + 1);
		if (shown && st->shows_processes)
			n = process_lanes(st, i, out, n, depth + 1);
	}
	return n;
}

static struct vm_lane vm_lane_at(const struct view_state *st, u32 lane)
{
	static struct vm_lane lanes[VM_LANES];
	u32 n = vm_lanes(st, CAST_NONE, lanes, 0, 0);

	return lane < n ? lanes[lane] : (struct vm_lane){CAST_NONE, EVENT_NO_ID, 0};
}

/* The member that a lane is of. */
static u32 lane_member(const struct view_state *st, u32 lane)
{
	return vm_lane_at(st, lane).member;
}

static u32 lane_count(const struct view_state *st)
{
	static struct vm_lane lanes[VM_LANES];
	u32 n;

	if (st->lanes != LANES_WORKERS)
		return vm_lanes(st, CAST_NONE, lanes, 0, 0);
	model_workers(st->model, &n);
	return n * lanes_a_worker(st);
}

/* A segment as the lane of @level sees it. */
static struct lane_span span_of(const struct view_state *st, const struct model_segment *s,
				u32 level)
{
	struct lane_span out = {s->start_ns, s->end_ns, 0, LANE_NOBODY};
	const struct model_vcpu *inner =
		s->inner == EVENT_NO_ID ? NULL : model_vcpu(st->model, s->inner);
	bool exact = model_totals(st->model)->detail != MODEL_LIVE;
	u64 length = s->end_ns - s->start_ns;
	u32 inner_level = inner ? MAX(inner->level, 2u) : 0;

	if (s->vcpu == EVENT_NO_ID)
		return out;
	if (level == 0) {
		out.ran_ns = length;
		out.who = cast_vcpu(&st->cast, st->model, s->vcpu);
	} else if (level == 1) {
		/* a live stream does not tell a VMM's short stretches between its guest's */
		out.ran_ns = exact ? length - MIN(s->inner_ns, length) : inner ? 0 : length;
		out.who = cast_vcpu(&st->cast, st->model, s->vcpu);
	} else if (level == inner_level) {
		out.ran_ns = exact ? MIN(s->inner_ns, length) : length;
		out.who = cast_vcpu(&st->cast, st->model, s->inner);
	}
	if (out.who == CAST_NONE)
		out.who = LANE_NOBODY;
	return out;
}

static const struct model_worker *worker_of(const struct view_state *st, u32 id)
{
	u32 n;
	const struct model_worker *w = model_workers(st->model, &n);

	for (u32 i = 0; i < n; i++)
		if (w[i].id == id)
			return &w[i];
	return NULL;
}

/* A worker tells that it goes idle at once, and then nothing: in a live stream it is idle until
 * now. */
static void extend_idle(const struct view_state *st, u32 worker, u32 n, u64 to)
{
	const struct model_worker *w = worker_of(st, worker);

	if (n && w && model_totals(st->model)->detail == MODEL_LIVE &&
	    w->current.vcpu == EVENT_NO_ID && room.segments[n - 1].vcpu == EVENT_NO_ID &&
	    room.segments[n - 1].start_ns == w->current.start_ns)
		room.segments[n - 1].end_ns = MAX(room.segments[n - 1].end_ns, to);
}

/* Spans of a level's lane from single stretches. Return: false when there are too many or too few.
 */
static bool spans_of_stretches(const struct view_state *st, u32 worker, u32 level, u64 to, u32 *n)
{
	if (!stretches_find(&st->stretches, worker, st->time.from_ns, to, room.stretches,
			    STRETCHES_SHOWN, n))
		return false;
	for (u32 i = 0; i < *n; i++) {
		const struct model_stretch *s = &room.stretches[i];
		u64 end = MIN(s->end_ns, to);

		room.spans[i] = (struct lane_span){s->start_ns, end, 0, LANE_NOBODY};
		if (s->level == level && level) {
			room.spans[i].ran_ns = end - s->start_ns;
			room.spans[i].who =
				cast_vcpu(&st->cast, st->model, level > 1 ? s->inner : s->vcpu);
		}
	}
	return true;
}

/* The same from segments, which are stretches of scheduling. */
static u32 spans_of_segments(const struct view_state *st, u32 worker, u32 level, u64 to)
{
	const struct timeline *t = &st->time;
	u32 n = model_lane(st->model, worker, t->from_ns, to, room.segments, SEGMENTS_MAX);

	extend_idle(st, worker, n, to);
	for (u32 i = 0; i < n; i++) {
		struct lane_span *s = &room.spans[i];

		*s = span_of(st, &room.segments[i], level);
		/* what is later than the user's stop does not show */
		if (s->end_ns > to) {
			u64 length = s->end_ns - s->start_ns, cut = to - MIN(s->start_ns, to);

			s->ran_ns = (u64)((u128)s->ran_ns * cut / length);
			s->end_ns = s->start_ns + cut;
		}
	}
	return n;
}

/* Append what a machine (when it has a worker) or a child VM (when it runs) had of @worker. */
static u32 add_member_spans(const struct view_state *st, u32 member, u32 worker, u64 to, u32 n)
{
	const struct cast_member *x = &st->cast.member[member];
	u32 count, who;

	if (!x->is_vm && stretches_find(&st->stretches, worker, st->time.from_ns, to,
					room.stretches, STRETCHES_SHOWN, &count)) {
		for (u32 i = 0; i < count && n < SEGMENTS_MAX; i++) {
			const struct model_stretch *s = &room.stretches[i];

			if (s->level > 1 && cast_vcpu(&st->cast, st->model, s->inner) == member)
				room.spans[n++] = (struct lane_span){
					s->start_ns, MIN(s->end_ns, to),
					MIN(s->end_ns, to) - s->start_ns, member};
		}
		return n;
	}
	count = model_lane(st->model, worker, st->time.from_ns, to, room.segments, SEGMENTS_MAX);
	for (u32 i = 0; i < count && n < SEGMENTS_MAX; i++) {
		const struct model_segment *s = &room.segments[i];
		u64 end = MIN(s->end_ns, to);

		who = s->vcpu == EVENT_NO_ID
			      ? CAST_NONE
			      : cast_vcpu(&st->cast, st->model, x->is_vm ? s->vcpu : s->inner);
		if (who == member && end > s->start_ns)
			room.spans[n++] = (struct lane_span){
				s->start_ns, end,
				x->is_vm || !s->inner_ns ? end - s->start_ns
							 : MIN(s->inner_ns, end - s->start_ns),
				member};
	}
	return n;
}

/* What a process had of @worker: its owner's stretches while it was the one that ran. */
static u32 add_process_spans(const struct view_state *st, const struct vm_lane *lane, u32 vcpu,
			     u32 worker, u64 to, u32 n)
{
	struct switches_walk walk;
	u32 count;

	if (!stretches_find(&st->stretches, worker, st->time.from_ns, to, room.stretches,
			    STRETCHES_SHOWN, &count))
		return n;
	switches_begin(&walk, &st->switches, vcpu);
	for (u32 i = 0; i < count; i++) {
		const struct model_stretch *s = &room.stretches[i];
		u64 at = s->start_ns, end = MIN(s->end_ns, to), until;

		if (!s->level || (s->level > 1 ? s->inner : s->vcpu) != vcpu)
			continue;
		for (; at < end && n < SEGMENTS_MAX; at = MIN(until, end)) {
			u32 process = switches_at(&walk, at, &until);
			u64 stop = MIN(until, end);

			if (process == lane->process)
				room.spans[n++] =
					(struct lane_span){at, stop, stop - at, lane->member};
		}
	}
	return n;
}

static u32 add_process(const struct view_state *st, const struct vm_lane *lane, u32 worker, u64 to,
		       u32 n)
{
	const struct model_vcpu *v;
	u32 count;

	v = model_vcpus(st->model, &count);
	for (u32 i = 0; i < count; i++)
		if (cast_vcpu(&st->cast, st->model, v[i].id) == lane->member)
			n = add_process_spans(st, lane, v[i].id, worker, to, n);
	return n;
}

static int by_start(const void *a, const void *b)
{
	const struct lane_span *x = a, *y = b;

	return x->start_ns < y->start_ns ? -1 : x->start_ns > y->start_ns;
}

/* On several workers at once it still runs once; between, nobody does. */
static u32 fill_gaps(u32 n, u64 from, u64 to)
{
	u64 at = from;
	u32 extra = 0;

	qsort(room.spans, n, sizeof(*room.spans), by_start);
	for (u32 i = 0; i < n; i++) {
		struct lane_span *s = &room.spans[i];

		s->start_ns = MAX(s->start_ns, at);
		s->end_ns = MAX(s->end_ns, s->start_ns);
		s->ran_ns = MIN(s->ran_ns, s->end_ns - s->start_ns);
		if (s->start_ns > at && n + extra < SEGMENTS_MAX)
			room.spans[n + extra++] =
				(struct lane_span){at, s->start_ns, 0, LANE_NOBODY};
		at = MAX(at, s->end_ns);
	}
	if (to > at && n + extra < SEGMENTS_MAX)
		room.spans[n + extra++] = (struct lane_span){at, to, 0, LANE_NOBODY};
	qsort(room.spans, n + extra, sizeof(*room.spans), by_start);
	return n + extra;
}

static void lay_out_vm(const struct view_state *st, const struct vm_lane *lane)
{
	const struct timeline *t = &st->time;
	u64 to = MIN(timeline_to(t), timeline_now(t)), from = MAX(t->from_ns, t->first_ns);
	const struct model_worker *w;
	u32 nworkers, n = 0;

	w = model_workers(st->model, &nworkers);
	for (u32 i = 0; i < nworkers; i++)
		n = lane->process == EVENT_NO_ID
			    ? add_member_spans(st, lane->member, w[i].id, to, n)
			    : add_process(st, lane, w[i].id, to, n);
	n = fill_gaps(n, from, to);
	lanes_layout(room.spans, n, t->from_ns, t->col_ns, room.cells, t->cols);
}

static void lay_out(const struct view_state *st, u32 worker, u32 level)
{
	const struct timeline *t = &st->time;
	u64 to = MIN(timeline_to(t), timeline_now(t));
	u32 n;

	if (!level || !spans_of_stretches(st, worker, level, to, &n))
		n = spans_of_segments(st, worker, level, to);
	lanes_layout(room.spans, n, t->from_ns, t->col_ns, room.cells, t->cols);
}

static u8 ink_of(const struct view_state *st, u32 who)
{
	return who == LANE_NOBODY ? INK_DEFAULT : st->cast.member[who].ink;
}

/* One column with colours: a solid block, or two parts of it in eighths. */
static void draw_block(const struct view_state *st, int row, int col, const struct lane_picture *p,
		       u8 attrs)
{
	if (p->left == p->right && p->left == LANE_NOBODY)
		screen_glyph(row, col, LOOK(INK_FAINT, INK_DEFAULT, attrs), GLYPH_DOT);
	else if (p->left == p->right)
		screen_fill(row, col, 1, LOOK(INK_DEFAULT, ink_of(st, p->left), attrs));
	else
		screen_split(row, col, p->eighths, ink_of(st, p->left), ink_of(st, p->right),
			     attrs);
}

/* One column without: a letter. */
static void draw_letter(const struct view_state *st, int row, int col, const struct lane_cell *c,
			u8 attrs)
{
	u32 who = lanes_main(c, NOBODY_PERCENT);
	char text[2] = {who == LANE_NOBODY ? '.' : st->cast.member[who].letter, 0};

	if (who == LANE_NOBODY)
		screen_glyph(row, col, LOOK(INK_FAINT, INK_DEFAULT, attrs), GLYPH_DOT);
	else if (screen_has_colour())
		screen_text(row, col, 1, LOOK(INK_DEFAULT, ink_of(st, who), attrs), text);
	else
		screen_text(row, col, 1, LOOK(INK_DEFAULT, INK_DEFAULT, attrs), text);
}

/* The name, or at least the letter, on a stretch of solid columns. */
static void label_run(const struct view_state *st, int row, u32 col, u32 len, u32 who)
{
	const struct cast_member *x = &st->cast.member[who];
	const char letter[2] = {x->letter, 0};
	bool fits = (u32)screen_width(x->name) + 1 <= len;

	screen_text(row, LABEL_COLS + (int)col, (int)len, LOOK(INK_DEFAULT, x->ink),
		    fits ? x->name : letter);
}

static void label_runs(const struct view_state *st, int row, u32 cols)
{
	u32 start = 0, who = LANE_NOBODY;

	for (u32 i = 0; i <= cols; i++) {
		struct lane_picture p = {LANE_NOBODY, LANE_NOBODY, 0, false};
		u32 now = LANE_NOBODY;

		if (i < cols)
			p = lanes_picture(&room.cells[i]);
		if (p.is_known && p.left == p.right)
			now = p.left;
		if (now == who && i < cols)
			continue;
		if (who != LANE_NOBODY)
			label_run(st, row, start, i - start, who);
		start = i;
		who = now;
	}
}

static void draw_cells(const struct view_state *st, int row)
{
	u32 cols = st->time.cols, cursor = timeline_cursor_col(&st->time);

	if (screen_has_grounds()) {
		for (u32 i = 0; i < cols; i++) {
			struct lane_picture p = lanes_picture(&room.cells[i]);

			if (p.is_known)
				draw_block(st, row, LABEL_COLS + (int)i, &p, 0);
		}
		label_runs(st, row, cols);
	} else {
		for (u32 i = 0; i < cols; i++)
			if (room.cells[i].nparts)
				draw_letter(st, row, LABEL_COLS + (int)i, &room.cells[i], 0);
	}
	screen_mark(row, LABEL_COLS + (int)cursor);
}

static void label_vm_lane(const struct view_state *st, int row, const struct vm_lane *lane,
			  struct screen_look look)
{
	const struct cast_member *x = &st->cast.member[lane->member];
	const struct model_process *p =
		lane->process == EVENT_NO_ID ? NULL : model_process(st->model, lane->process);
	int indent = (int)MIN(lane->depth, 4u);

	screen_fill(row, 0, LABEL_COLS - 1, look);
	if (!p)
		screen_printf(row, 0, LABEL_COLS - 1, look, "%*s%c %s", indent, "", x->letter,
			      x->name);
	else if (p->name[0])
		screen_printf(row, 0, LABEL_COLS - 1, look, "%*s%s", indent, "", p->name);
	else
		screen_printf(row, 0, LABEL_COLS - 1, look, "%*s%llx", indent, "",
			      (unsigned long long)p->cr3);
}

static void draw_vm_lane(const struct view_state *st, int row, u32 lane)
{
	struct vm_lane x = vm_lane_at(st, lane);

	if (x.member == CAST_NONE)
		return;
	label_vm_lane(st, row, &x,
		      LOOK(INK_DEFAULT, INK_DEFAULT, lane == st->lane ? ATTR_REVERSE : 0));
	lay_out_vm(st, &x);
	draw_cells(st, row);
}

static void draw_lane(const struct view_state *st, int row, u32 lane)
{
	if (st->lanes != LANES_WORKERS) {
		draw_vm_lane(st, row, lane);
		return;
	}
	u32 worker = worker_id(st, lane / lanes_a_worker(st)), level = lane % lanes_a_worker(st);
	struct screen_look look = {.attrs = lane == st->lane ? ATTR_REVERSE : 0};

	if (level)
		screen_printf(row, 0, LABEL_COLS - 1, look, "  level %u  ", level);
	else
		screen_printf(row, 0, LABEL_COLS - 1, look, "worker %-3u", worker);
	lay_out(st, worker, level);
	draw_cells(st, row);
}

/* --- axis, legend, facts --- */

static void draw_axis(const struct view_state *st, int row)
{
	const struct timeline *t = &st->time;
	u64 tick = timeline_tick(t, TICK_COLS), to = timeline_to(t);
	char text[TIMELINE_TEXT_BYTES];

	screen_text(row, 0, LABEL_COLS, LOOK(INK_FAINT), "time");
	screen_glyph(row, LABEL_COLS + (int)timeline_cursor_col(t), LOOK(INK_WARN), GLYPH_DOWN);
	for (u64 ns = (t->from_ns + tick - 1) / tick * tick; ns < to; ns += tick) {
		int col = LABEL_COLS + (int)((ns - t->from_ns) / t->col_ns);

		screen_glyph(row, col, LOOK(INK_FAINT), GLYPH_VLINE);
		screen_text(row, col + 1, (int)(tick / t->col_ns) - 2, LOOK(INK_HEAD),
			    timeline_text(ns, tick, text));
	}
	screen_mark(row, LABEL_COLS + (int)timeline_cursor_col(t));
}

/* In lanes of VMs: the marks of the selected one and of what is in it. */
static bool is_of_lane(void *arg, const struct mark *mark)
{
	const struct view_state *st = arg;
	u32 selected = lane_member(st, st->lane);
	u32 member = mark->child == EVENT_NO_ID ? cast_vcpu(&st->cast, st->model, mark->vcpu)
						: cast_child(&st->cast, mark->child);

	while (member != CAST_NONE && member != selected)
		member = st->cast.member[member].parent;
	return member != CAST_NONE;
}

static void draw_marks(const struct view_state *st, int row)
{
	static const struct {
		char letter;
		u8 ink;
	} shown[] = {[MARK_INTERRUPT] = {'i', INK_FAINT},
		     [MARK_INFERRED] = {'?', INK_WARN},
		     [MARK_MISSED] = {'!', INK_BAD},
		     [MARK_FAILED] = {'x', INK_BAD}};
	u32 cols = st->time.cols;

	screen_text(row, 0, LABEL_COLS, LOOK(INK_FAINT), "marks");
	marks_columns(&st->marks, st->time.from_ns, st->time.col_ns, cols,
		      st->lanes == LANES_WORKERS ? NULL : is_of_lane, (void *)st, room.marks);
	for (u32 i = 0; i < cols; i++) {
		const char text[2] = {room.marks[i] ? shown[room.marks[i]].letter : 0, 0};

		if (room.marks[i])
			screen_text(row, LABEL_COLS + (int)i, 1,
				    LOOK(shown[room.marks[i]].ink, INK_DEFAULT,
					 room.marks[i] > MARK_INTERRUPT ? ATTR_BOLD : 0),
				    text);
	}
	screen_mark(row, LABEL_COLS + (int)timeline_cursor_col(&st->time));
}

static void draw_legend(const struct view_state *st, int row)
{
	int col = 0;

	for (u32 i = 0; i < st->cast.count && col < screen_cols(); i++) {
		const struct cast_member *x = &st->cast.member[i];
		const char letter[4] = {' ', x->letter, ' ', 0};

		if (screen_has_colour())
			col = screen_text(row, col, -1, LOOK(INK_DEFAULT, x->ink), letter);
		else
			col = screen_text(row, col, -1, LOOK(INK_DEFAULT, INK_DEFAULT, ATTR_BOLD),
					  letter);
		col = screen_printf(row, col, -1, LOOK(INK_DEFAULT), " %s  ", x->name);
	}
}

/* The segment of the selected lane's worker at the cursor. */
static bool segment_at_cursor(const struct view_state *st, u32 worker, struct model_segment *s)
{
	const struct model_worker *w = worker_of(st, worker);
	u64 ns = st->time.cursor_ns;

	/* the end belongs to what ran last; a worker's batch may not have come yet */
	if (w && st->time.follows && !st->time.holds)
		ns = MIN(ns, w->last_ns);
	return model_lane(st->model, worker, ns, ns + 1, s, 1) == 1 ||
	       (ns && model_lane(st->model, worker, ns - 1, ns, s, 1) == 1);
}

static void draw_segment(const struct view_state *st, int row, u32 worker,
			 const struct model_segment *s)
{
	u64 length = s->end_ns - s->start_ns;
	bool exact = model_totals(st->model)->detail != MODEL_LIVE;
	char who[96] = "idle", inner[96], from[TIMELINE_TEXT_BYTES], to[TIMELINE_TEXT_BYTES],
	     len[TIMELINE_TEXT_BYTES];
	int col;

	if (s->vcpu != EVENT_NO_ID)
		model_vcpu_name(st->model, s->vcpu, who, sizeof(who));
	col = screen_printf(row, 0, -1, LOOK(INK_DEFAULT), " worker %u: ", worker);
	col = screen_text(row, col, -1, LOOK(INK_DEFAULT, INK_DEFAULT, ATTR_BOLD), who);
	if (s->inner != EVENT_NO_ID) {
		const struct model_vcpu *v = model_vcpu(st->model, s->inner);

		model_vcpu_name(st->model, s->inner, inner, sizeof(inner));
		col = screen_text(row, col, -1, LOOK(INK_DEFAULT),
				  exact ? ", guest " : ", in or for guest ");
		col = screen_text(row, col, -1, LOOK(INK_DEFAULT, INK_DEFAULT, ATTR_BOLD), inner);
		if (exact && length)
			col = screen_printf(row, col, -1, LOOK(INK_DEFAULT), " (level %u, %.1f %%)",
					    v ? MAX(v->level, 2u) : 2,
					    100.0 * (double)s->inner_ns / (double)length);
	}
	screen_printf(row + 1, 0, -1, LOOK(INK_DEFAULT), "   %s from %s to %s",
		      timeline_length(length, len), timeline_text(s->start_ns, NS_PER_US, from),
		      timeline_text(s->end_ns, NS_PER_US, to));
}

/* What exactly ran at the cursor: one stretch between an entry and an exit. */
static void draw_stretch(const struct view_state *st, int row, u32 worker)
{
	char who[96], length[TIMELINE_TEXT_BYTES], from[TIMELINE_TEXT_BYTES];
	u64 ns = st->time.cursor_ns;
	struct model_stretch s;
	u32 n;

	stretches_find(&st->stretches, worker, ns, ns + 1, &s, 1, &n);
	if (!n || !s.level)
		return;
	screen_printf(
		row, screen_cols() / 2, -1, LOOK(INK_DEFAULT), " level %u: %s, %s from %s", s.level,
		model_vcpu_name(st->model, s.level > 1 ? s.inner : s.vcpu, who, sizeof(who)),
		timeline_length(s.end_ns - s.start_ns, length), timeline_text(s.start_ns, 1, from));
}

/* The worker that the selected lane is about at the cursor; of a VM: one that has it. */
static u32 worker_at_cursor(const struct view_state *st)
{
	struct model_segment s;
	const struct model_worker *w;
	u32 n, member = lane_member(st, st->lane);

	if (st->lanes == LANES_WORKERS)
		return worker_id(st, st->lane / lanes_a_worker(st));
	w = model_workers(st->model, &n);
	for (u32 i = 0; i < n; i++)
		if (segment_at_cursor(st, w[i].id, &s) && s.vcpu != EVENT_NO_ID &&
		    (cast_vcpu(&st->cast, st->model, s.vcpu) == member ||
		     cast_vcpu(&st->cast, st->model, s.inner) == member))
			return w[i].id;
	return EVENT_NO_ID;
}

static void draw_facts(const struct view_state *st, int row)
{
	u32 worker = worker_at_cursor(st);
	struct model_segment s;

	if (worker == EVENT_NO_ID) {
		screen_printf(row, 0, -1, LOOK(INK_FAINT), " %s has no worker at this time",
			      st->cast.member[lane_member(st, st->lane)].name);
		return;
	}
	if (segment_at_cursor(st, worker, &s)) {
		draw_segment(st, row, worker, &s);
		draw_stretch(st, row + 1, worker);
	} else {
		screen_printf(row, 0, -1, LOOK(INK_FAINT),
			      " worker %u: nothing is known of this time", worker);
	}
}

/* --- the view --- */

static void draw(struct view_state *st, int row, int rows)
{
	u32 lanes = lane_count(st), shown;
	int below;

	if (!make_room(st->time.cols)) {
		screen_text(row, 0, -1, LOOK(INK_BAD), " out of memory");
		return;
	}
	if (!lanes) {
		screen_text(row + 1, 0, -1, LOOK(INK_FAINT), " no events yet");
		return;
	}
	/* axis, marks, lanes, facts, legend; what is left is the table's */
	shown = MIN(lanes, (u32)MAX(rows - 3 - FACT_ROWS - 1, 1));
	st->lane = MIN(st->lane, lanes - 1);
	st->top_lane = MIN(st->top_lane, lanes - shown);
	if (st->lane < st->top_lane)
		st->top_lane = st->lane;
	if (st->lane >= st->top_lane + shown)
		st->top_lane = st->lane - shown + 1;
	draw_axis(st, row);
	draw_marks(st, row + 1);
	for (u32 i = 0; i < shown; i++)
		draw_lane(st, row + 2 + (int)i, st->top_lane + i);
	below = row + 2 + (int)shown;
	draw_facts(st, below);
	draw_legend(st, below + FACT_ROWS);
	below += FACT_ROWS + 2;
	if (row + rows - below >= 3)
		view_table_below(st, below, row + rows - below);
}

static bool act(struct view_state *st, enum key_action action)
{
	u32 lanes = lane_count(st);

	switch (action) {
	case ACTION_LEFT: timeline_move(&st->time, -1); return true;
	case ACTION_RIGHT: timeline_move(&st->time, 1); return true;
	case ACTION_PAGE_BACK: timeline_move(&st->time, -(s64)st->time.cols); return true;
	case ACTION_PAGE_ON: timeline_move(&st->time, st->time.cols); return true;
	case ACTION_BEGIN: timeline_begin(&st->time); return true;
	case ACTION_END: timeline_end(&st->time); return true;
	case ACTION_UP: st->lane -= st->lane > 0; return true;
	case ACTION_DOWN: st->lane += st->lane + 1 < lanes; return true;
	case ACTION_PROCESSES: st->shows_processes = !st->shows_processes; return true;
	case ACTION_LANES:
		st->lanes = (st->lanes + 1) % LANES_MODES;
		st->lane = st->top_lane = 0;
		return true;
	default: return false;
	}
}

/* The first lines are the axis and the marks. */
static void click(struct view_state *st, int below, int col)
{
	int at = col - (screen_cols() - (int)st->time.cols);

	if (at >= 0)
		timeline_move(&st->time, at - (s64)timeline_cursor_col(&st->time));
	if (below >= 2 && st->top_lane + (u32)below - 2 < lane_count(st))
		st->lane = st->top_lane + (u32)below - 2;
}

const struct view view_schedule = {.name = "Schedule", .draw = draw, .act = act, .click = click};
