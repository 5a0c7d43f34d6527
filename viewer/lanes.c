/* Spans into columns; see lanes.h. */
#include <string.h>

#include "viewer/lanes.h"

static u32 smallest_part(const struct lane_cell *c)
{
	u32 least = 0;

	for (u32 i = 1; i < c->nparts; i++)
		if (c->part[i].ns < c->part[least].ns)
			least = i;
	return least;
}

/* Make room for one more part: the smallest goes, its time to a neighbour. */
static void drop_smallest(struct lane_cell *c)
{
	u32 i = smallest_part(c);

	c->part[i ? i - 1 : 1].ns += c->part[i].ns;
	memmove(&c->part[i], &c->part[i + 1], (c->nparts - i - 1) * sizeof(c->part[0]));
	c->nparts--;
}

static void add(struct lane_cell *c, u32 who, u64 ns)
{
	if (!ns)
		return;
	for (u32 i = 0; i < c->nparts; i++) {
		if (c->part[i].who == who) {
			c->part[i].ns += ns;
			return;
		}
	}
	if (c->nparts == LANE_PARTS)
		drop_smallest(c);
	c->part[c->nparts++] = (struct lane_part){who, ns};
}

static void lay_span(const struct lane_span *s, u64 from_ns, u64 col_ns, struct lane_cell *cells,
		     u32 ncols)
{
	u64 length = s->end_ns - s->start_ns, to_ns = from_ns + col_ns * ncols;
	u64 lo = MAX(s->start_ns, from_ns), hi = MIN(s->end_ns, to_ns);
	u64 ran = MIN(s->ran_ns, length);

	while (lo < hi) {
		u64 col = (lo - from_ns) / col_ns;
		u64 end = MIN(from_ns + (col + 1) * col_ns, hi);
		u64 ns = end - lo, part = (u64)((u128)ns * ran / length);

		cells[col].known_ns += ns;
		cells[col].spans++;
		add(&cells[col], s->who, part);
		add(&cells[col], LANE_NOBODY, ns - part);
		lo = end;
	}
}

void lanes_layout(const struct lane_span *spans, u32 n, u64 from_ns, u64 col_ns,
		  struct lane_cell *cells, u32 ncols)
{
	memset(cells, 0, ncols * sizeof(*cells));
	for (u32 i = 0; i < n; i++)
		if (spans[i].end_ns > spans[i].start_ns)
			lay_span(&spans[i], from_ns, col_ns, cells, ncols);
}

/* The two parts with the most time, in the order of appearance; second is -1 when there is one
 * only. */
static void two_largest(const struct lane_cell *c, int *first, int *second)
{
	int a = -1, b = -1;

	for (int i = 0; i < (int)c->nparts; i++) {
		if (a < 0 || c->part[i].ns > c->part[a].ns) {
			b = a;
			a = i;
		} else if (b < 0 || c->part[i].ns > c->part[b].ns) {
			b = i;
		}
	}
	*first = b >= 0 ? MIN(a, b) : a;
	*second = b >= 0 ? MAX(a, b) : -1;
}

struct lane_picture lanes_picture(const struct lane_cell *c)
{
	struct lane_picture p = {LANE_NOBODY, LANE_NOBODY, 0, c->nparts > 0};
	int first, second;
	u64 sum;

	if (!c->nparts)
		return p;
	two_largest(c, &first, &second);
	p.left = p.right = c->part[first].who;
	p.eighths = 8;
	if (second < 0)
		return p;
	sum = c->part[first].ns + c->part[second].ns;
	p.right = c->part[second].who;
	p.eighths = (u32)((8 * c->part[first].ns + sum / 2) / sum);
	/* what is less than half an eighth does not show */
	if (p.eighths == 0) {
		p.left = p.right;
		p.eighths = 8;
	} else if (p.eighths == 8) {
		p.right = p.left;
	}
	return p;
}

u32 lanes_main(const struct lane_cell *c, u32 nobody_percent)
{
	u32 main_part = LANE_NOBODY;
	u64 most = 0, nobody = 0;

	for (u32 i = 0; i < c->nparts; i++) {
		if (c->part[i].who == LANE_NOBODY) {
			nobody = c->part[i].ns;
		} else if (c->part[i].ns > most) {
			most = c->part[i].ns;
			main_part = c->part[i].who;
		}
	}
	return nobody * 100 > c->known_ns * nobody_percent ? LANE_NOBODY : main_part;
}
