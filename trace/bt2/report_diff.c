/* Two runs side by side; see report_diff.h. */
#include <stdlib.h>
#include <string.h>
#include "trace/bt2/json.h"
#include "trace/bt2/report_diff.h"

#define MAX_ROWS 8192u
#define MAX_EXIT_ROWS 512u
#define NAME_BYTES 120

enum unit { UNIT_COUNT, UNIT_NS, UNIT_HOST_NS };

/* One figure of both runs; has[i] false: run i does not have it. */
struct row {
	char section[24], name[NAME_BYTES];
	enum unit unit;
	bool has[2];
	u64 value[2];
};

struct rows {
	struct row *row;
	u32 n, run;
};

static void add(struct rows *r, const char *section, const char *name, enum unit unit, u64 value)
{
	struct row *row = r->row;

	for (; row < r->row + r->n; row++)
		if (!strcmp(row->section, section) && !strcmp(row->name, name) && row->unit == unit)
			break;
	if (row == r->row + r->n) {
		if (r->n == MAX_ROWS)
			return;
		r->n++;
		memset(row, 0, sizeof(*row));
		snprintf(row->section, sizeof(row->section), "%s", section);
		snprintf(row->name, sizeof(row->name), "%s", name);
		row->unit = unit;
	}
	row->has[r->run] = true;
	row->value[r->run] += value; /* entities of one name are one */
}

static void add_totals(struct rows *r, const struct model *m)
{
	const struct model_totals *t = model_totals(m);
	char name[32];

	add(r, "run", "virtual time", UNIT_NS,
	    t->last_ns > t->first_ns ? t->last_ns - t->first_ns : 0);
	add(r, "run", "events", UNIT_COUNT, t->events);
	add(r, "run", "lost events", UNIT_COUNT, t->lost + t->gaps);
	for (u32 i = 0; i < MODEL_LEVELS; i++) {
		if (!t->level_ns[i] && i > 2)
			continue;
		snprintf(name, sizeof(name), "level %u", i);
		add(r, "time by level", name, UNIT_NS, t->level_ns[i]);
	}
	add(r, "time by level", "idle", UNIT_NS, t->idle_ns);
	add(r, "switches", "workers, between machines", UNIT_COUNT, t->vm_switches);
	add(r, "switches", "VMMs, between child VMs", UNIT_COUNT, t->child_switches);
	add(r, "switches", "guests, between processes", UNIT_COUNT, t->process_switches);
	add(r, "switches", "VM entries", UNIT_COUNT, t->entries);
}

static void add_vcpus(struct rows *r, const struct model *m)
{
	const struct model_vcpu *v;
	char name[NAME_BYTES - 28], key[NAME_BYTES];
	u32 n;

	v = model_vcpus(m, &n);
	for (u32 i = 0; i < n; i++, v++) {
		model_vcpu_name(m, v->id, name, sizeof(name));
#define PUT(what, unit, value) \
	do { \
		snprintf(key, sizeof(key), "%s: %s", name, what); \
		add(r, "processors", key, unit, value); \
	} while (0)
		PUT("time", UNIT_NS, v->total.ran_ns);
		PUT("exits", UNIT_COUNT, v->total.exits);
		PUT("switches", UNIT_COUNT, v->total.switches);
		PUT("halts", UNIT_COUNT, v->total.halts);
		PUT("waited for a worker", UNIT_NS, v->ready_ns);
		PUT("failed VM entries", UNIT_COUNT, v->entry_failures);
		PUT("failed VMX instructions", UNIT_COUNT, v->insn_failures);
#undef PUT
	}
}

static void add_exits(struct rows *r, const struct model *m)
{
	struct model_exit *x = malloc(sizeof(*x) * MAX_EXIT_ROWS);
	u32 n = x ? model_exits_by_level(m, EVENT_NO_ID, x, MAX_EXIT_ROWS) : 0;
	char name[NAME_BYTES];

	for (u32 i = 0; i < MIN(n, MAX_EXIT_ROWS); i++) {
		snprintf(name, sizeof(name), "level %u %s", x[i].level,
			 event_exit_reason_text(x[i].reason));
		add(r, "exits", name, UNIT_COUNT, x[i].count);
		add(r, "exits, reflected", name, UNIT_COUNT, x[i].reflected);
		add(r, "exits, charged", name, UNIT_NS, x[i].charge_ns);
		add(r, "exits, host time each", name, UNIT_HOST_NS,
		    x[i].host_cost_ns / MAX(x[i].count, (u64)1));
	}
	free(x);
}

static void add_deadlines(struct rows *r, const struct model *m)
{
	const struct model_deadline *d;
	char who[96], name[NAME_BYTES];
	u32 n;

	d = model_deadlines(m, &n);
	for (u32 i = 0; i < n; i++, d++) {
		if (d->child != EVENT_NO_ID)
			model_child_name(m, d->child, who, sizeof(who));
		else
			snprintf(who, sizeof(who), "%s",
				 model_vm(m, d->vm) ? model_vm(m, d->vm)->name : "?");
		snprintf(name, sizeof(name), "%s, guest %u", who, d->guest);
		add(r, "jobs", name, UNIT_COUNT, d->count[DEADLINE_JOBS]);
		add(r, "missed deadlines", name, UNIT_COUNT, d->count[DEADLINE_MISSES]);
		add(r, "latest by", name, UNIT_NS, d->count[DEADLINE_LATE_US] * NS_PER_US);
		add(r, "work done", name, UNIT_COUNT, d->count[DEADLINE_WORK]);
	}
}

/* Sections in the order of the report, whichever run had a row first. */
static int compare_rows(const void *a, const void *b)
{
	static const char *const order[] = {
		"run",	 "time by level",    "switches",       "processors",
		"exits", "exits, reflected", "exits, charged", "exits, host time each",
		"jobs",	 "missed deadlines", "latest by",      "work done"};
	const struct row *x = a, *y = b;
	u32 ix = 0, iy = 0;

	while (ix < ARRAY_SIZE(order) && strcmp(order[ix], x->section))
		ix++;
	while (iy < ARRAY_SIZE(order) && strcmp(order[iy], y->section))
		iy++;
	return ix != iy ? (ix < iy ? -1 : 1) : strcmp(x->name, y->name);
}

/* --- printing --- */
static void put_value(FILE *out, const struct row *row, u32 run)
{
	char text[32];
	u64 v = row->value[run];

	if (!row->has[run])
		snprintf(text, sizeof(text), "-");
	else if (row->unit == UNIT_COUNT)
		snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	else if (v >= NS_PER_SEC)
		snprintf(text, sizeof(text), "%llu.%06llu s", (unsigned long long)(v / NS_PER_SEC),
			 (unsigned long long)(v % NS_PER_SEC / NS_PER_US));
	else
		snprintf(text, sizeof(text), "%llu.%03llu us", (unsigned long long)(v / NS_PER_US),
			 (unsigned long long)(v % NS_PER_US));
	fprintf(out, " %16s", text);
}

static void put_change(FILE *out, const struct row *row)
{
	u64 a = row->value[0], b = row->value[1], tenths;

	if (a == b) {
		fprintf(out, " %10s\n", "=");
		return;
	}
	if (!a) {
		fprintf(out, " %10s\n", "new");
		return;
	}
	tenths = (u64)((u128)(a < b ? b - a : a - b) * 1000 / a);
	fprintf(out, " %c%7llu.%llu%%\n", a < b ? '+' : '-', (unsigned long long)(tenths / 10),
		(unsigned long long)(tenths % 10));
}

static void print_text(FILE *out, const struct report_diff *d, const struct rows *r, int differ)
{
	const char *section = "";

	fprintf(out, "A  %s\nB  %s\n", d->source[0], d->source[1]);
	for (u32 i = 0; i < r->n; i++) {
		const struct row *row = &r->row[i];

		if (!d->shows_equal && row->value[0] == row->value[1])
			continue;
		if (strcmp(section, row->section))
			fprintf(out, "\n%-44s %16s %16s %10s\n", row->section, "A", "B", "change");
		section = row->section;
		fprintf(out, "  %-42s", row->name);
		put_value(out, row, 0);
		put_value(out, row, 1);
		put_change(out, row);
	}
	fprintf(out, "\n%d of %u figures differ\n", differ, r->n);
}

static void print_json(FILE *out, const struct report_diff *d, const struct rows *r)
{
	struct json j = {.out = out};

	json_open(&j, NULL, '{');
	json_string(&j, "a", d->source[0]);
	json_string(&j, "b", d->source[1]);
	json_open(&j, "figures", '[');
	for (u32 i = 0; i < r->n; i++) {
		const struct row *row = &r->row[i];

		if (!d->shows_equal && row->value[0] == row->value[1])
			continue;
		json_open(&j, NULL, '{');
		json_string(&j, "section", row->section);
		json_string(&j, "name", row->name);
		json_string(&j, "unit", row->unit == UNIT_COUNT ? "count" : "ns");
		for (u32 run = 0; run < 2; run++) {
			json_key(&j, run ? "b" : "a");
			if (row->has[run])
				fprintf(out, "%llu", (unsigned long long)row->value[run]);
			else
				fputs("null", out);
		}
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_close(&j, '}');
	fputc('\n', out);
}

int report_diff_print(FILE *out, const struct report_diff *d)
{
	struct rows r = {.row = malloc(sizeof(*r.row) * MAX_ROWS)};
	int differ = 0;
	u32 kept = 0;

	if (!r.row)
		return -1;
	for (r.run = 0; r.run < 2; r.run++) {
		const struct model *m = d->model[r.run];

		add_totals(&r, m);
		add_vcpus(&r, m);
		add_exits(&r, m);
		add_deadlines(&r, m);
	}
	for (u32 i = 0; i < r.n; i++)
		if (r.row[i].unit != UNIT_HOST_NS || d->with_host)
			r.row[kept++] = r.row[i];
	r.n = kept;
	qsort(r.row, r.n, sizeof(*r.row), compare_rows);
	for (u32 i = 0; i < r.n; i++)
		differ += r.row[i].value[0] != r.row[i].value[1];
	if (d->as_json)
		print_json(out, d, &r);
	else
		print_text(out, d, &r, differ);
	free(r.row);
	return differ;
}
