/* The schedule as a picture in SVG; see export.h. */
#include "trace/bt2/export.h"

/* In points: the width of a text block on A4 paper, twice. */
#define WIDTH 1000u
#define LEFT 110u
#define RIGHT 40u
#define LANE_HEIGHT 18u
#define LANE_GAP 4u
#define HEAD 40u
#define AXIS 24u
#define LEGEND_LINE 16u
#define LEGEND_COLUMNS 4u
#define MAX_LEGEND 64u

struct drawing {
	FILE *out;
	const struct model *m;
	const struct picture *p;
	u64 span_ns;
	u32 legend[MAX_LEGEND];
	u32 nlegend;
};

/* A coordinate in thousandths, without floating point and the locale's comma. */
static void put_milli(FILE *out, const char *name, u64 milli)
{
	fprintf(out, " %s=\"%llu.%03llu\"", name, (unsigned long long)(milli / 1000),
		(unsigned long long)(milli % 1000));
}

static u64 x_milli(const struct drawing *d, u64 at_ns)
{
	u64 since = at_ns > d->p->origin_ns ? at_ns - d->p->origin_ns : 0;

	return LEFT * 1000ull +
	       (u64)((u128)MIN(since, d->span_ns) * (WIDTH - LEFT - RIGHT) * 1000 / d->span_ns);
}

static void note_party(struct drawing *d, u32 who)
{
	for (u32 i = 0; i < d->nlegend; i++)
		if (d->legend[i] == who)
			return;
	if (d->nlegend < MAX_LEGEND)
		d->legend[d->nlegend++] = who;
}

static void draw_rect(struct drawing *d, u64 x0, u64 x1, u64 y0, u64 y1, u32 who)
{
	if (x1 <= x0 || y1 <= y0)
		return;
	fputs("<rect", d->out);
	put_milli(d->out, "x", x0);
	put_milli(d->out, "y", y0);
	put_milli(d->out, "width", x1 - x0);
	put_milli(d->out, "height", y1 - y0);
	fprintf(d->out, " fill=\"#%06x\"/>\n", export_colour(d->m, who));
	note_party(d, who);
}

static bool is_alone(const struct picture *p, const struct picture_cell *c, u32 who)
{
	return c->ns[0] && c->who[0] == who && c->ns[0] * 100 >= p->width_ns * 98;
}

/* Columns [i, n) of one party become one rectangle; shared ones are split in height. */
static u32 draw_columns(struct drawing *d, const struct picture_lane *lane, u32 i, u32 n, u64 y)
{
	const struct picture_cell *c = &lane->cells[i];
	u64 x0 = x_milli(d, d->p->origin_ns + i * d->p->width_ns), base = y + LANE_HEIGHT * 1000;
	u32 who = c->who[0], end = i + 1;

	if (is_alone(d->p, c, who)) {
		while (end < n && is_alone(d->p, &lane->cells[end], who))
			end++;
		if (who != EVENT_NO_ID)
			draw_rect(d, x0, x_milli(d, d->p->origin_ns + end * d->p->width_ns), y,
				  base, who);
		return end;
	}
	for (u32 k = 0; k < PICTURE_PARTIES; k++) {
		u64 height = (u64)((u128)c->ns[k] * LANE_HEIGHT * 1000 / d->p->width_ns);

		if (!c->ns[k] || c->who[k] == EVENT_NO_ID)
			continue;
		draw_rect(d, x0, x_milli(d, d->p->origin_ns + end * d->p->width_ns), base - height,
			  base, c->who[k]);
		base -= height;
	}
	return end;
}

static void draw_lane(struct drawing *d, const struct picture_lane *lane, u64 y)
{
	u32 n = (u32)MIN((d->span_ns + d->p->width_ns - 1) / d->p->width_ns, (u64)PICTURE_COLUMNS);

	fprintf(d->out, "<text x=\"%u\" y=\"%llu\" text-anchor=\"end\">", LEFT - 6,
		(unsigned long long)(y / 1000 + LANE_HEIGHT - 5));
	if (lane->level)
		fprintf(d->out, "level %u", lane->level);
	else
		fprintf(d->out, "worker %u", lane->worker);
	fputs("</text>\n", d->out);
	fprintf(d->out, "<rect x=\"%u\" y=\"%llu\" width=\"%u\" height=\"%u\" fill=\"#f4f4f4\"/>\n",
		LEFT, (unsigned long long)(y / 1000), WIDTH - LEFT - RIGHT, LANE_HEIGHT);
	for (u32 i = 0; i < n;)
		i = draw_columns(d, lane, i, n, y);
}

/* Ticks above the lanes. */
static void draw_marks(struct drawing *d, u64 top)
{
	for (u32 i = 0; i < d->p->nmarks; i++) {
		const struct picture_mark *k = &d->p->marks[i];
		u64 x = x_milli(d, k->at_ns);

		if (k->kind == MARK_RESERVE || k->kind == MARK_STOP)
			continue;
		fputs("<line", d->out);
		put_milli(d->out, "x1", x);
		put_milli(d->out, "x2", x);
		put_milli(d->out, "y1", top - 8000);
		put_milli(d->out, "y2", top - 1000);
		fprintf(d->out, " stroke=\"#c00\" stroke-width=\"0.6\"><title>%s</title></line>\n",
			picture_mark_text(k->kind));
	}
}

/* Ticks at 1, 2 or 5 times a power of ten, about ten of them. */
static u64 tick_ns(u64 span_ns)
{
	static const u64 steps[] = {1, 2, 5};
	u64 unit = 1;

	for (;; unit *= 10)
		for (u32 i = 0; i < ARRAY_SIZE(steps); i++)
			if (steps[i] * unit * 10 >= span_ns)
				return steps[i] * unit;
}

static void put_time(FILE *out, u64 ns, u64 tick)
{
	if (tick >= NS_PER_MS)
		fprintf(out, "%llu.%03llu s", (unsigned long long)(ns / NS_PER_SEC),
			(unsigned long long)(ns % NS_PER_SEC / NS_PER_MS));
	else
		fprintf(out, "%llu.%09llu s", (unsigned long long)(ns / NS_PER_SEC),
			(unsigned long long)(ns % NS_PER_SEC));
}

static void draw_axis(struct drawing *d, u64 y)
{
	u64 tick = tick_ns(d->span_ns);
	u64 at = (d->p->origin_ns + tick - 1) / tick * tick;

	for (; at <= d->p->origin_ns + d->span_ns; at += tick) {
		u64 x = x_milli(d, at);

		fputs("<line stroke=\"#888\" stroke-width=\"0.5\"", d->out);
		put_milli(d->out, "x1", x);
		put_milli(d->out, "x2", x);
		put_milli(d->out, "y1", y);
		put_milli(d->out, "y2", y + 4000);
		fputs("/><text text-anchor=\"middle\"", d->out);
		put_milli(d->out, "x", x);
		put_milli(d->out, "y", y + 15000);
		fputs(">", d->out);
		put_time(d->out, at, tick);
		fputs("</text>\n", d->out);
	}
}

static void draw_legend(struct drawing *d, u32 y)
{
	u32 step = (WIDTH - LEFT - RIGHT) / LEGEND_COLUMNS;
	char name[96];

	for (u32 i = 0; i < d->nlegend; i++) {
		u32 x = LEFT + i % LEGEND_COLUMNS * step;
		u32 at = y + i / LEGEND_COLUMNS * LEGEND_LINE;

		fprintf(d->out,
			"<rect x=\"%u\" y=\"%u\" width=\"10\" height=\"10\" fill=\"#%06x\"/>"
			"<text x=\"%u\" y=\"%u\">",
			x, at, export_colour(d->m, d->legend[i]), x + 14, at + 9);
		export_xml_text(d->out, model_vcpu_name(d->m, d->legend[i], name, sizeof(name)));
		fputs("</text>\n", d->out);
	}
}

static void draw_title(const struct export *x)
{
	const struct model_totals *t = model_totals(x->model);

	fprintf(x->out, "<text x=\"%u\" y=\"16\" font-size=\"13\">", LEFT);
	export_xml_text(x->out, x->info.source ? x->info.source : "trace");
	fputs("</text>", x->out);
	if (t->lost || t->gaps)
		fprintf(x->out,
			"<text x=\"%u\" y=\"30\" fill=\"#c00\">%llu events lost, %llu missing in "
			"the sequence: times are not exact</text>",
			LEFT, (unsigned long long)t->lost, (unsigned long long)t->gaps);
	fputc('\n', x->out);
}

void export_svg_end(struct export *x)
{
	struct drawing d = {.out = x->out, .m = x->model, .p = x->picture};
	u32 height = HEAD + d.p->nlanes * (LANE_HEIGHT + LANE_GAP);
	u32 legend = (MAX_LEGEND + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
	u32 vcpus;

	d.span_ns = MAX(d.p->end_ns - d.p->origin_ns, (u64)1);
	model_vcpus(x->model, &vcpus);
	legend = MIN(legend, (vcpus + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS);
	fprintf(d.out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %u %u\" "
		"font-family=\"sans-serif\" font-size=\"10\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		WIDTH, height + AXIS + legend * LEGEND_LINE + 10);
	draw_title(x);
	for (u32 i = 0; i < d.p->nlanes; i++)
		draw_lane(&d, &d.p->lanes[i], (HEAD + i * (LANE_HEIGHT + LANE_GAP)) * 1000ull);
	draw_marks(&d, HEAD * 1000ull);
	draw_axis(&d, height * 1000ull);
	draw_legend(&d, height + AXIS);
	fputs("</svg>\n", d.out);
}
