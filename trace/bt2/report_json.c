/* The report as JSON; see report.h. */
#include <stdlib.h>
#include "trace/bt2/json.h"
#include "trace/bt2/report.h"

#define MAX_EXIT_ROWS 512

static void write_totals(struct json *j, const struct model *m)
{
	const struct model_totals *t = model_totals(m);

	json_string(j, "detail", t->detail == MODEL_LIVE ? "live" : "exact");
	json_number(j, "events", t->events);
	json_number(j, "first_ns", t->events ? t->first_ns : 0);
	json_number(j, "last_ns", t->last_ns);
	json_number(j, "lost", t->lost);
	json_number(j, "sequence_gaps", t->gaps);
	json_number(j, "left_out", t->overflow);
	json_open(j, "level_ns", '[');
	for (u32 i = 0; i < MODEL_LEVELS; i++)
		json_number(j, NULL, t->level_ns[i]);
	json_close(j, ']');
	json_number(j, "idle_ns", t->idle_ns);
	json_number(j, "worker_switches", t->vm_switches);
	json_number(j, "child_switches", t->child_switches);
	json_number(j, "process_switches", t->process_switches);
	json_number(j, "thread_switches", t->thread_switches);
	json_number(j, "vm_entries", t->entries);
	json_number(j, "halts", t->halts);
	json_open(j, "events_by_kind", '{');
	for (u32 k = 0; k < TRANSITION_COUNT; k++)
		if (t->by_kind[k])
			json_number(j, event_infos[k].name, t->by_kind[k]);
	json_close(j, '}');
}

static void write_exit(struct json *j, const struct model *m, const struct model_exit *x)
{
	json_open(j, NULL, '{');
	json_number(j, "level", x->level);
	json_string(j, "reason", event_exit_reason_text(x->reason));
	json_number(j, "number", x->reason);
	json_number(j, "count", x->count);
	json_number(j, "reflected", x->reflected);
	json_number(j, "kept", x->count - x->reflected);
	json_number(j, "charge_ns", x->charge_ns);
	json_number(j, "host_cost_ns", x->host_cost_ns);
	json_number(j, "host_cost_p50_ns",
		    model_exit_cost(m, EVENT_NO_ID, x->level, x->reason, 500));
	json_number(j, "host_cost_p99_ns",
		    model_exit_cost(m, EVENT_NO_ID, x->level, x->reason, 990));
	json_number(j, "host_cost_max_ns", x->host_cost_max_ns);
	json_close(j, '}');
}

static void write_exits(struct json *j, const struct model *m)
{
	struct model_exit *rows = malloc(sizeof(*rows) * MAX_EXIT_ROWS);
	u32 n = rows ? model_exits_by_level(m, EVENT_NO_ID, rows, MAX_EXIT_ROWS) : 0;

	json_open(j, "exits", '[');
	for (u32 i = 0; i < MIN(n, (u32)MAX_EXIT_ROWS); i++)
		write_exit(j, m, &rows[i]);
	json_close(j, ']');
	free(rows);
}

static void write_exit_tree(struct json *j, const struct model *m)
{
	const struct model_exit_node *x;
	u32 n;

	x = model_exit_tree(m, &n);
	json_open(j, "exit_tree", '[');
	for (u32 i = 0; i < n; i++, x++) {
		json_open(j, NULL, '{');
		json_id(j, "parent", x->parent);
		json_id(j, "vm", x->vm);
		json_id(j, "child", x->child);
		json_number(j, "level", x->level);
		json_string(j, "reason", event_exit_reason_text(x->reason));
		json_number(j, "count", x->count);
		json_number(j, "reflected", x->reflected);
		json_number(j, "charge_ns", x->charge_ns);
		json_number(j, "host_cost_ns", x->host_cost_ns);
		json_number(j, "handled_ns", x->handled_ns);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void write_counters(struct json *j, const char *key, u32 kind, const void *payload)
{
	const struct event_info *info = &event_infos[kind];
	const u64 *words = payload;

	json_open(j, key, '{');
	for (u32 i = 0; i < info->nfields; i++)
		json_number(j, info->fields[i].name, words[i]);
	json_close(j, '}');
}

static void write_tlb_machine(struct json *j, const struct model_vcpu *v)
{
	json_open(j, "tlb_machine", '{');
	for (u32 c = 0; c < VTLB_COUNTERS; c++)
		json_number(j, vtlb_counter_infos[c].name, v->tlb_machine[c]);
	json_close(j, '}');
}

static void write_tlb(struct json *j, const struct model_vcpu *v)
{
	if (v->has_tlb_stats)
		write_counters(j, "tlb", TRANSITION_tlb_stats, &v->tlb);
	if (v->has_tlb_machine)
		write_tlb_machine(j, v);
}

static void write_vms(struct json *j, const struct model *m)
{
	const struct model_vm *vm;
	u32 n;

	vm = model_vms(m, &n);
	json_open(j, "vms", '[');
	for (u32 i = 0; i < n; i++, vm++) {
		json_open(j, NULL, '{');
		json_id(j, "vm", vm->id);
		json_string(j, "name", vm->name);
		json_number(j, "memory_bytes", vm->memory_bytes);
		json_number(j, "vcpus", vm->vcpus);
		json_number(j, "ran_ns", vm->ran_ns);
		json_number(j, "own_ns", vm->own_ns);
		json_number(j, "children_ns", vm->children_ns);
		json_number(j, "stop_cause", vm->stop_cause);
		json_key(j, "status");
		fprintf(j->out, "%lld", (long long)vm->status);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void write_children(struct json *j, const struct model *m)
{
	const struct model_child *c;
	u32 n;

	c = model_children(m, &n);
	json_open(j, "children", '[');
	for (u32 i = 0; i < n; i++, c++) {
		json_open(j, NULL, '{');
		json_id(j, "child", c->id);
		json_id(j, "vm", c->vm);
		json_id(j, "parent", c->parent);
		json_string(j, "name", c->name);
		json_number(j, "level", c->depth);
		json_hex(j, "eptp", c->eptp);
		json_key(j, "inferred");
		fputs(c->inferred ? "true" : "false", j->out);
		json_number(j, "ran_ns", c->ran_ns);
		json_number(j, "switches", c->switches);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void write_vcpus(struct json *j, const struct model *m)
{
	const struct model_vcpu *v;
	u32 n;

	v = model_vcpus(m, &n);
	json_open(j, "vcpus", '[');
	for (u32 i = 0; i < n; i++, v++) {
		json_open(j, NULL, '{');
		json_id(j, "vcpu", v->id);
		json_id(j, "vm", v->vm);
		json_id(j, "child", v->child);
		json_id(j, "parent", v->parent);
		json_number(j, "level", v->level);
		json_number(j, "ran_ns", v->total.ran_ns);
		json_number(j, "halted_ns", v->halted_ns);
		json_number(j, "exits", v->total.exits);
		json_number(j, "reflected", v->total.reflected);
		json_number(j, "switches", v->total.switches);
		json_number(j, "halts", v->total.halts);
		json_number(j, "entries", v->entries);
		json_number(j, "charge_ns", v->charge_ns);
		json_number(j, "host_cost_ns", v->host_cost_ns);
		json_number(j, "entry_failures", v->entry_failures);
		json_number(j, "instruction_failures", v->insn_failures);
		json_number(j, "inferred_misses", v->inferred_misses);
		json_number(j, "ready_ns", v->ready_ns);
		json_number(j, "wakes", v->wakes);
		json_number(j, "wake_runs", v->wake_runs);
		json_number(j, "wake_ns", v->wake_ns);
		json_number(j, "wake_max_ns", v->wake_max_ns);
		write_tlb(j, v);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void write_processes(struct json *j, const struct model *m)
{
	const struct model_process *p;
	u32 n;

	p = model_processes(m, &n);
	json_open(j, "processes", '[');
	for (u32 i = 0; i < n; i++, p++) {
		json_open(j, NULL, '{');
		json_id(j, "process", p->id);
		json_id(j, "vm", p->vm);
		json_id(j, "child", p->child);
		json_string(j, "name", p->name);
		json_hex(j, "cr3", p->cr3);
		json_number(j, "ran_ns", p->ran_ns);
		json_number(j, "switches", p->switches);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void write_threads(struct json *j, const struct model *m)
{
	const struct model_thread *x;
	u32 n;

	x = model_threads(m, &n);
	json_open(j, "threads", '[');
	for (u32 i = 0; i < n; i++, x++) {
		json_open(j, NULL, '{');
		json_id(j, "thread", x->id);
		json_id(j, "vm", x->vm);
		json_id(j, "child", x->child);
		json_id(j, "process", x->process);
		json_hex(j, "stack", x->stack);
		json_number(j, "user", x->user);
		json_number(j, "ran_ns", x->ran_ns);
		json_number(j, "switches", x->switches);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void write_counts(struct json *j, const struct model *m)
{
	u32 n;
	const struct ev_state_count *c = model_counts(m, &n);
	const struct event_enum *e = event_infos[TRANSITION_state_count].fields[1].enumeration;

	json_open(j, "counters", '[');
	for (u32 i = 0; i < n; i++, c++) {
		json_open(j, NULL, '{');
		json_string(j, "event",
			    event_enum_text(e, c->event) ? event_enum_text(e, c->event) : "?");
		json_number(j, "differs", c->differs);
		if (c->parts & 1)
			json_id(j, "vm", (u32)c->vm);
		if (c->parts & 2)
			json_number(j, "level", c->at_level);
		if (c->parts & 4)
			json_number(j, "child", c->child);
		if (c->parts & 8)
			json_hex(j, "cr3", c->cr3);
		if (c->parts & 16)
			json_hex(j, "thread", c->stack);
		json_number(j, "value", c->value);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void write_deadlines(struct json *j, const struct model *m)
{
	const struct model_deadline *d;
	u32 n;

	d = model_deadlines(m, &n);
	json_open(j, "deadlines", '[');
	for (u32 i = 0; i < n; i++, d++) {
		json_open(j, NULL, '{');
		json_id(j, "vm", d->vm);
		json_id(j, "child", d->child);
		json_number(j, "guest", d->guest);
		json_number(j, "jobs", d->count[DEADLINE_JOBS]);
		json_number(j, "misses", d->count[DEADLINE_MISSES]);
		json_number(j, "late_us", d->count[DEADLINE_LATE_US]);
		json_number(j, "work", d->count[DEADLINE_WORK]);
		json_close(j, '}');
	}
	json_close(j, ']');
}

void report_print_json(FILE *out, const struct model *m, const struct report_info *info)
{
	struct json j = {.out = out};

	json_open(&j, NULL, '{');
	if (info->source)
		json_string(&j, "trace", info->source);
	json_number(&j, "foreign_events", info->foreign);
	write_totals(&j, m);
	write_vms(&j, m);
	write_children(&j, m);
	write_vcpus(&j, m);
	write_processes(&j, m);
	write_threads(&j, m);
	write_counts(&j, m);
	write_exits(&j, m);
	write_exit_tree(&j, m);
	write_deadlines(&j, m);
	json_close(&j, '}');
	fputc('\n', out);
}
