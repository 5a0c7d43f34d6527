/*
 * One self-contained page: timeline.html with the picture and the tables put into it as JSON.
 * See export.h. The page loads nothing.
 */
#include <stdlib.h>
#include <string.h>
#include "trace/bt2/export.h"
#include "trace/bt2/json.h"

#define MAX_EXIT_ROWS 512
#define DATA_MARK "/*DATA*/"

/* The page, as it lies in the source tree. */
__asm__(".section .rodata\n"
	".globl export_html_page\n"
	"export_html_page: .incbin \"trace/bt2/timeline.html\"\n"
	".byte 0\n"
	".previous\n");
extern const char export_html_page[];

static void put_parties(struct json *j, const struct model *m)
{
	const struct model_vcpu *v;
	char text[96];
	u32 n;

	v = model_vcpus(m, &n);
	json_open(j, "parties", '[');
	for (u32 i = 0; i < n; i++, v++) {
		json_open(j, NULL, '{');
		json_number(j, "id", v->id);
		json_string(j, "name", model_vcpu_name(m, v->id, text, sizeof(text)));
		snprintf(text, sizeof(text), "#%06x", export_colour(m, v->id));
		json_string(j, "colour", text);
		json_number(j, "level", v->level);
		json_id(j, "vm", v->vm);
		json_number(j, "ran_ns", v->total.ran_ns);
		json_number(j, "exits", v->total.exits);
		json_number(j, "reflected", v->total.reflected);
		json_number(j, "switches", v->total.switches);
		json_number(j, "halts", v->total.halts);
		json_number(j, "misses", v->total.misses);
		json_close(j, '}');
	}
	json_close(j, ']');
}

/* A vCPU's number; -1: nobody. */
static void put_who(struct json *j, u32 who)
{
	json_key(j, NULL);
	fprintf(j->out, "%lld", who == EVENT_NO_ID ? -1ll : (long long)who);
}

/* Flat numbers: start after the origin, length, worker, level, who (-1: idle), level-1
 * processor. */
static void put_stretches(struct json *j, const struct picture *p)
{
	json_open(j, "stretches", '[');
	for (u32 i = 0; i < p->nstretches && p->has_all; i++) {
		const struct model_stretch *s = &p->stretches[i];

		json_number(j, NULL, s->start_ns - p->origin_ns);
		json_number(j, NULL, s->end_ns - s->start_ns);
		json_number(j, NULL, s->worker);
		json_number(j, NULL, s->level);
		put_who(j, picture_who(s));
		put_who(j, s->level ? s->vcpu : EVENT_NO_ID);
	}
	json_close(j, ']');
}

/* Lanes of columns: [column, who, ns, who, ns, …] for each column in which somebody ran. */
static void put_lanes(struct json *j, const struct picture *p)
{
	json_open(j, "lanes", '[');
	for (u32 i = 0; i < p->nlanes; i++) {
		const struct picture_lane *lane = &p->lanes[i];

		json_open(j, NULL, '{');
		json_number(j, "worker", lane->worker);
		json_number(j, "level", lane->level);
		json_open(j, "columns", '[');
		for (u32 c = 0; c < PICTURE_COLUMNS && !p->has_all; c++) {
			const struct picture_cell *cell = &lane->cells[c];

			if (!cell->ns[0])
				continue;
			json_open(j, NULL, '[');
			json_number(j, NULL, c);
			for (u32 k = 0; k < PICTURE_PARTIES && cell->ns[k]; k++) {
				put_who(j, cell->who[k]);
				json_number(j, NULL, cell->ns[k]);
			}
			json_close(j, ']');
		}
		json_close(j, ']');
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void put_marks(struct json *j, const struct picture *p)
{
	json_open(j, "marks", '[');
	for (u32 i = 0; i < p->nmarks; i++) {
		const struct picture_mark *k = &p->marks[i];

		json_open(j, NULL, '[');
		json_number(j, NULL, k->at_ns > p->origin_ns ? k->at_ns - p->origin_ns : 0);
		json_number(j, NULL, k->worker);
		put_who(j, k->who);
		json_string(j, NULL, picture_mark_text(k->kind));
		json_number(j, NULL, k->value);
		json_close(j, ']');
	}
	json_close(j, ']');
}

static void put_exits(struct json *j, const struct model *m)
{
	struct model_exit *rows = malloc(sizeof(*rows) * MAX_EXIT_ROWS);
	u32 n = rows ? model_exits_by_level(m, EVENT_NO_ID, rows, MAX_EXIT_ROWS) : 0;

	json_open(j, "exits", '[');
	for (u32 i = 0; i < MIN(n, (u32)MAX_EXIT_ROWS); i++) {
		const struct model_exit *x = &rows[i];

		json_open(j, NULL, '[');
		json_number(j, NULL, x->level);
		json_string(j, NULL, event_exit_reason_text(x->reason));
		json_number(j, NULL, x->count);
		json_number(j, NULL, x->reflected);
		json_number(j, NULL, x->charge_ns);
		json_number(j, NULL, x->host_cost_ns);
		json_number(j, NULL, model_exit_cost(m, EVENT_NO_ID, x->level, x->reason, 990));
		json_number(j, NULL, x->host_cost_max_ns);
		json_close(j, ']');
	}
	json_close(j, ']');
	free(rows);
}

static void put_data(const struct export *x)
{
	const struct model_totals *t = model_totals(x->model);
	const struct picture *p = x->picture;
	struct json j = {.out = x->out};

	json_open(&j, NULL, '{');
	json_string(&j, "source", x->info.source ? x->info.source : "trace");
	json_number(&j, "origin_ns", p->origin_ns);
	json_number(&j, "span_ns", MAX(p->end_ns - p->origin_ns, (u64)1));
	json_number(&j, "width_ns", p->width_ns);
	json_number(&j, "events", t->events);
	json_number(&j, "lost", t->lost);
	json_number(&j, "gaps", t->gaps);
	json_key(&j, "is_live");
	fputs(t->detail == MODEL_LIVE ? "true" : "false", x->out);
	json_key(&j, "exact");
	fputs(p->has_all ? "true" : "false", x->out);
	json_key(&j, "all_marks");
	fputs(p->has_all_marks ? "true" : "false", x->out);
	json_open(&j, "level_ns", '[');
	for (u32 i = 0; i < MODEL_LEVELS; i++)
		json_number(&j, NULL, t->level_ns[i]);
	json_close(&j, ']');
	json_number(&j, "idle_ns", t->idle_ns);
	put_parties(&j, x->model);
	put_lanes(&j, p);
	put_stretches(&j, p);
	put_marks(&j, p);
	put_exits(&j, x->model);
	json_close(&j, '}');
}

void export_html_end(struct export *x)
{
	const char *mark = strstr(export_html_page, DATA_MARK);

	fwrite(export_html_page, 1, (size_t)(mark - export_html_page), x->out);
	put_data(x);
	fputs(mark + strlen(DATA_MARK), x->out);
}
