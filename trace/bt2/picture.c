/* Stretches and marks for the exports; see picture.h. */
#include <stdlib.h>
#include <string.h>
#include "trace/bt2/picture.h"

#define FIRST_WIDTH_NS (10 * NS_PER_US)

struct picture *picture_create(u64 from_ns, u64 to_ns)
{
	struct picture *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->from_ns = from_ns;
	p->to_ns = to_ns;
	p->origin_ns = ~0ull;
	p->width_ns = FIRST_WIDTH_NS;
	p->has_all = p->has_all_marks = true;
	p->marks = malloc(sizeof(*p->marks) * PICTURE_MARKS);
	if (!p->marks) {
		free(p);
		return NULL;
	}
	return p;
}

void picture_destroy(struct picture *p)
{
	if (!p)
		return;
	for (u32 i = 0; i < p->nlanes; i++)
		free(p->lanes[i].cells);
	free(p->stretches);
	free(p->marks);
	free(p);
}

/* --- columns --- */
static void cell_add(struct picture_cell *c, u32 who, u64 ns)
{
	u32 i, least = 0;

	for (i = 0; i < PICTURE_PARTIES; i++) {
		if (!c->ns[i] || c->who[i] == who) {
			c->who[i] = who;
			c->ns[i] += ns;
			return;
		}
		if (c->ns[i] < c->ns[least])
			least = i;
	}
	if (ns > c->ns[least]) {
		c->other_ns += c->ns[least];
		c->who[least] = who;
		c->ns[least] = ns;
	} else {
		c->other_ns += ns;
	}
}

static void widen_lane(struct picture_lane *lane)
{
	for (u32 i = 0; i < PICTURE_COLUMNS / 2; i++) {
		struct picture_cell sum = lane->cells[2 * i];
		const struct picture_cell *b = &lane->cells[2 * i + 1];

		for (u32 k = 0; k < PICTURE_PARTIES; k++)
			if (b->ns[k])
				cell_add(&sum, b->who[k], b->ns[k]);
		sum.other_ns += b->other_ns;
		lane->cells[i] = sum;
	}
	memset(&lane->cells[PICTURE_COLUMNS / 2], 0,
	       sizeof(lane->cells[0]) * (PICTURE_COLUMNS / 2));
}

static struct picture_lane *lane_of(struct picture *p, u32 worker, u32 level)
{
	struct picture_lane *lane;

	for (u32 i = 0; i < p->nlanes; i++)
		if (p->lanes[i].worker == worker && p->lanes[i].level == level)
			return &p->lanes[i];
	if (p->nlanes == PICTURE_LANES)
		return NULL;
	lane = &p->lanes[p->nlanes];
	lane->cells = calloc(PICTURE_COLUMNS, sizeof(*lane->cells));
	if (!lane->cells)
		return NULL;
	lane->worker = worker;
	lane->level = level;
	p->nlanes++;
	return lane;
}

static void lane_add(struct picture *p, u32 worker, u32 level, u32 who, u64 start, u64 end)
{
	struct picture_lane *lane = lane_of(p, worker, level);

	if (!lane) {
		p->overflow++;
		return;
	}

	while (start < end) {
		u64 i = (start - p->origin_ns) / p->width_ns;
		u64 stop = MIN(p->origin_ns + (i + 1) * p->width_ns, end);

		cell_add(&lane->cells[i], who, stop - start);
		start = stop;
	}
}

static void make_room(struct picture *p, u64 end_ns)
{
	while ((end_ns - 1 - p->origin_ns) / p->width_ns >= PICTURE_COLUMNS) {
		for (u32 i = 0; i < p->nlanes; i++)
			widen_lane(&p->lanes[i]);
		p->width_ns *= 2;
	}
}

/* --- stretches --- */
static void keep(struct picture *p, const struct model_stretch *s)
{
	struct model_stretch *grown;
	u32 room;

	if (p->nstretches == p->room) {
		room = p->room ? MIN(p->room * 2, PICTURE_STRETCHES) : 4096;
		grown = room > p->room ? realloc(p->stretches, room * sizeof(*grown)) : NULL;
		if (!grown) {
			p->has_all = false;
			return;
		}
		p->stretches = grown;
		p->room = room;
	}
	p->stretches[p->nstretches++] = *s;
}

void picture_stretch(struct picture *p, const struct model_stretch *whole)
{
	struct model_stretch s = *whole;

	s.start_ns = MAX(s.start_ns, p->from_ns);
	s.end_ns = MIN(s.end_ns, p->to_ns);
	if (s.start_ns >= s.end_ns)
		return;
	if (p->origin_ns == ~0ull)
		p->origin_ns = s.start_ns;
	s.start_ns = MAX(s.start_ns, p->origin_ns); /* another worker's, a batch late */
	if (s.start_ns >= s.end_ns)
		return;
	p->end_ns = MAX(p->end_ns, s.end_ns);
	make_room(p, s.end_ns);
	lane_add(p, s.worker, 0, s.level ? s.vcpu : EVENT_NO_ID, s.start_ns, s.end_ns);
	if (s.level)
		lane_add(p, s.worker, s.level, picture_who(&s), s.start_ns, s.end_ns);
	if (p->has_all)
		keep(p, &s);
}

/* --- marks --- */
static const char *const mark_texts[] = {
	[MARK_MISS] = "deadline missed",
	[MARK_INFERRED_MISS] = "deadline missed, by L0's inference",
	[MARK_ENTRY_FAILURE] = "VM entry failed",
	[MARK_INSN_FAILURE] = "VMX instruction failed",
	[MARK_RESERVE] = "reservation",
	[MARK_STOP] = "machine stopped",
};

const char *picture_mark_text(u32 kind)
{
	return kind < ARRAY_SIZE(mark_texts) ? mark_texts[kind] : "?";
}

static void mark(struct picture *p, const struct transition *t, u32 kind, u64 value)
{
	if (t->vtime_ns < p->from_ns || t->vtime_ns >= p->to_ns)
		return;
	if (p->nmarks == PICTURE_MARKS) {
		p->has_all_marks = false;
		return;
	}
	p->marks[p->nmarks++] =
		(struct picture_mark){t->vtime_ns, t->worker, t->vcpu_id, kind, value};
}

void picture_event(struct picture *p, const struct transition *t)
{
	switch (t->kind) {
	case TRANSITION_guest_deadline:
		if (transition_payload(t, guest_deadline)->kind == DEADLINE_MISSES)
			mark(p, t, MARK_MISS, transition_payload(t, guest_deadline)->count);
		break;
	case TRANSITION_deadline_miss:
		mark(p, t, MARK_INFERRED_MISS, transition_payload(t, deadline_miss)->used_ns);
		break;
	case TRANSITION_entry_failure:
		if (!transition_payload(t, entry_failure)->order)
			mark(p, t, MARK_ENTRY_FAILURE, transition_payload(t, entry_failure)->check);
		break;
	case TRANSITION_vm_insn_fail:
		mark(p, t, MARK_INSN_FAILURE, transition_payload(t, vm_insn_fail)->error);
		break;
	case TRANSITION_sched_reserve:
		mark(p, t, MARK_RESERVE, transition_payload(t, sched_reserve)->reason);
		break;
	case TRANSITION_vm_stop:
		mark(p, t, MARK_STOP, transition_payload(t, vm_stop)->cause);
		break;
	default: break;
	}
}

/* --- the end --- */
static int compare_lanes(const void *a, const void *b)
{
	const struct picture_lane *x = a, *y = b;

	if (x->worker != y->worker)
		return x->worker < y->worker ? -1 : 1;
	return x->level < y->level ? -1 : x->level > y->level;
}

void picture_end(struct picture *p)
{
	if (p->origin_ns == ~0ull)
		p->origin_ns = p->end_ns = 0;
	qsort(p->lanes, p->nlanes, sizeof(p->lanes[0]), compare_lanes);
}
