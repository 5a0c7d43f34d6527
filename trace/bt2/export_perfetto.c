/*
 * Chrome trace-event JSON, as the Perfetto UI reads it; see export.h.
 *
 * Process 1 holds the workers, a track for each level; each machine is a process with a track for
 * each virtual processor at any level. Written as the events come, so that memory does not grow.
 * Source: "Trace Event Format", the document of the Chromium project.
 */
#include <string.h>
#include "trace/bt2/export.h"
#include "trace/bt2/json.h"

#define PID_WORKERS 1u
#define PID_MACHINES 100u

/* One event, after the comma that is due; the caller closes it. */
static struct json begin_event(struct export *x, char ph, u32 pid, u32 tid, u64 at_ns,
			       const char *name)
{
	struct json j = {.out = x->out};

	fputs(x->needs_comma ? ",\n{" : "{", x->out);
	x->needs_comma = true;
	json_string(&j, "name", name);
	json_key(&j, "ph");
	fprintf(x->out, "\"%c\"", ph);
	json_number(&j, "pid", pid);
	json_number(&j, "tid", tid);
	json_key(&j, "ts");
	fprintf(x->out, "%llu.%03llu", (unsigned long long)(at_ns / 1000),
		(unsigned long long)(at_ns % 1000));
	return j;
}

static u32 machine_pid(const struct model *m, u32 vcpu)
{
	const struct model_vcpu *v = model_vcpu(m, vcpu);

	return PID_MACHINES + (v && v->vm != EVENT_NO_ID ? v->vm : 0);
}

static u32 worker_tid(u32 worker, u32 level)
{
	return worker * MODEL_LEVELS + MIN(level, MODEL_LEVELS - 1) + 1;
}

static void put_slice(struct export *x, const struct model_stretch *s, u32 pid, u32 tid,
		      const char *name)
{
	struct json j = begin_event(x, 'X', pid, tid, s->start_ns, name);
	u64 ns = s->end_ns - s->start_ns;

	json_key(&j, "dur");
	fprintf(x->out, "%llu.%03llu", (unsigned long long)(ns / 1000),
		(unsigned long long)(ns % 1000));
	json_open(&j, "args", '{');
	json_number(&j, "level", s->level);
	json_number(&j, "worker", s->worker);
	json_close(&j, '}');
	json_close(&j, '}');
}

static void put_stretch(void *arg, const struct model_stretch *whole)
{
	struct export *x = arg;
	struct model_stretch s = *whole;
	u32 who = picture_who(&s);
	char name[96];

	s.start_ns = MAX(s.start_ns, x->from_ns);
	s.end_ns = MIN(s.end_ns, x->to_ns);
	if (!s.level || s.start_ns >= s.end_ns)
		return;
	model_vcpu_name(x->model, who, name, sizeof(name));
	put_slice(x, &s, PID_WORKERS, worker_tid(s.worker, s.level), name);
	put_slice(x, &s, machine_pid(x->model, s.vcpu), who + 1, "runs");
}

void export_perfetto_begin(struct export *x)
{
	fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", x->out);
	model_on_stretch(x->model, put_stretch, x);
}

/* A point on the track of the event's processor. */
static void put_instant(struct export *x, const struct transition *t, const char *name,
			const char *key, u64 value)
{
	struct json j = begin_event(x, 'i', machine_pid(x->model, t->vcpu_id), t->vcpu_id + 1,
				    t->vtime_ns, name);

	json_string(&j, "s", "t");
	json_open(&j, "args", '{');
	json_number(&j, key, value);
	json_close(&j, '}');
	json_close(&j, '}');
}

static void put_counter(struct export *x, const struct transition *t, const char *name,
			const char *key, u64 value)
{
	struct json j =
		begin_event(x, 'C', machine_pid(x->model, t->vcpu_id), 0, t->vtime_ns, name);

	json_open(&j, "args", '{');
	json_number(&j, key, value);
	json_close(&j, '}');
	json_close(&j, '}');
}

static void put_deadline(struct export *x, const struct transition *t)
{
	const struct ev_guest_deadline *e = transition_payload(t, guest_deadline);
	char name[64];

	if (e->kind != DEADLINE_MISSES)
		return;
	put_instant(x, t, "deadline missed", "misses", e->count);
	snprintf(name, sizeof(name), "missed deadlines, guest %llu", (unsigned long long)e->guest);
	put_counter(x, t, name, "misses", e->count);
}

static void put_reservation(struct export *x, const struct transition *t)
{
	const struct ev_sched_reserve *e = transition_payload(t, sched_reserve);
	const char *reason = event_enum_text(
		event_infos[TRANSITION_sched_reserve].fields[0].enumeration, e->reason);
	char name[64];

	snprintf(name, sizeof(name), "reservation %s", reason ? reason : "changed");
	put_instant(x, t, name, "budget_ns", e->budget_ns);
	put_counter(x, t, "reserved budget (ns)", "budget_ns", e->budget_ns);
	put_counter(x, t, "inferred period (ns)", "period_ns", e->period_ns);
}

void export_perfetto_event(struct export *x, const struct transition *t)
{
	if (t->vtime_ns < x->from_ns || t->vtime_ns >= x->to_ns)
		return;
	switch (t->kind) {
	case TRANSITION_guest_deadline: put_deadline(x, t); break;
	case TRANSITION_sched_reserve: put_reservation(x, t); break;
	case TRANSITION_entry_failure:
		if (!transition_payload(t, entry_failure)->order)
			put_instant(x, t, "VM entry failed", "check",
				    transition_payload(t, entry_failure)->check);
		break;
	case TRANSITION_vm_insn_fail:
		put_instant(x, t, "VMX instruction failed", "error",
			    transition_payload(t, vm_insn_fail)->error);
		break;
	case TRANSITION_vm_stop:
		put_instant(x, t, "machine stopped", "cause",
			    transition_payload(t, vm_stop)->cause);
		break;
	default: break;
	}
}

/* --- names of processes and tracks, which may come last --- */
static void put_name(struct export *x, const char *what, u32 pid, u32 tid, const char *name)
{
	struct json j = begin_event(x, 'M', pid, tid, 0, what);

	json_open(&j, "args", '{');
	json_string(&j, "name", name);
	json_close(&j, '}');
	json_close(&j, '}');
}

static void put_sort(struct export *x, u32 pid, u32 index)
{
	struct json j = begin_event(x, 'M', pid, 0, 0, "process_sort_index");

	json_open(&j, "args", '{');
	json_number(&j, "sort_index", index);
	json_close(&j, '}');
	json_close(&j, '}');
}

static void put_worker_names(struct export *x)
{
	const struct model_worker *w;
	char name[64];
	u32 n;

	put_name(x, "process_name", PID_WORKERS, 0, "workers");
	put_sort(x, PID_WORKERS, 0);
	w = model_workers(x->model, &n);
	for (u32 i = 0; i < n; i++) {
		for (u32 level = 1; level < MODEL_LEVELS; level++) {
			if (!model_totals(x->model)->level_ns[level])
				continue;
			snprintf(name, sizeof(name), "worker %u, level %u", w[i].id, level);
			put_name(x, "thread_name", PID_WORKERS, worker_tid(w[i].id, level), name);
		}
	}
}

void export_perfetto_end(struct export *x)
{
	const struct model_vcpu *v;
	const struct model_vm *vm;
	char name[96];
	u32 n;

	put_worker_names(x);
	vm = model_vms(x->model, &n);
	for (u32 i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "machine %s", vm[i].name);
		put_name(x, "process_name", PID_MACHINES + vm[i].id, 0, name);
		put_sort(x, PID_MACHINES + vm[i].id, 1 + i);
	}
	v = model_vcpus(x->model, &n);
	for (u32 i = 0; i < n; i++)
		put_name(x, "thread_name", machine_pid(x->model, v[i].id), v[i].id + 1,
			 model_vcpu_name(x->model, v[i].id, name, sizeof(name)));
	fputs("\n]}\n", x->out);
}
