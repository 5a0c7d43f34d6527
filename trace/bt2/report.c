/* The report as text; see report.h. */
#include <stdlib.h>
#include <string.h>
#include "trace/bt2/report.h"

#define MAX_EXIT_ROWS 512
#define MAX_PROCESSES_SHOWN 8
#define MAX_THREADS_SHOWN 5 /* of a process */
#define MAX_TREE_DEPTH 8
#define MAX_TREE_KIDS 4
#define MAX_TREE_ROWS 60
#define MAX_PLACES 8

/* --- numbers for people --- */
struct text {
	char s[32];
};

static struct text grouped(u64 n)
{
	char digits[24];
	struct text t;
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	char *to = t.s;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = 0;
	return t;
}

static struct text duration(u64 ns)
{
	struct text t;

	if (ns >= NS_PER_SEC)
		snprintf(t.s, sizeof(t.s), "%llu.%03llu s", (unsigned long long)(ns / NS_PER_SEC),
			 (unsigned long long)(ns % NS_PER_SEC / NS_PER_MS));
	else if (ns >= NS_PER_MS)
		snprintf(t.s, sizeof(t.s), "%llu.%03llu ms", (unsigned long long)(ns / NS_PER_MS),
			 (unsigned long long)(ns % NS_PER_MS / NS_PER_US));
	else if (ns >= NS_PER_US)
		snprintf(t.s, sizeof(t.s), "%llu.%03llu us", (unsigned long long)(ns / NS_PER_US),
			 (unsigned long long)(ns % NS_PER_US));
	else
		snprintf(t.s, sizeof(t.s), "%llu ns", (unsigned long long)ns);
	return t;
}

static struct text percent(u64 part, u64 whole)
{
	u64 tenths = whole ? (u64)((u128)part * 1000 / whole) : 0;
	struct text t;

	snprintf(t.s, sizeof(t.s), "%llu.%llu %%", (unsigned long long)(tenths / 10),
		 (unsigned long long)(tenths % 10));
	return t;
}

static struct text rate(u64 n, u64 ns)
{
	struct text t = grouped(ns ? (u64)((u128)n * NS_PER_SEC / ns) : 0);

	strcat(t.s, "/s");
	return t;
}

static u64 length_ns(const struct model *m)
{
	const struct model_totals *t = model_totals(m);

	return t->events && t->last_ns > t->first_ns ? t->last_ns - t->first_ns : 0;
}

/* Time that all workers had together. */
static u64 capacity_ns(const struct model *m)
{
	const struct model_totals *t = model_totals(m);
	u64 sum = t->idle_ns;

	for (u32 i = 0; i < MODEL_LEVELS; i++)
		sum += t->level_ns[i];
	return sum;
}

/* --- parts --- */
static void print_head(FILE *out, const struct model *m, const struct report_info *info)
{
	const struct model_totals *t = model_totals(m);
	u32 nworkers;

	model_workers(m, &nworkers);
	if (info->source)
		fprintf(out, "Trace     %s\n", info->source);
	fprintf(out, "Length    %s of virtual time, %u worker%s\n", duration(length_ns(m)).s,
		nworkers, nworkers == 1 ? "" : "s");
	fprintf(out, "Events    %s", grouped(t->events).s);
	if (info->foreign)
		fprintf(out, " (and %s of other programs)", grouped(info->foreign).s);
	if (t->detail == MODEL_LIVE)
		fprintf(out, "; a live trace: exits are summed up every few ms");
	fprintf(out, "\nLost      ");
	if (!t->lost && !t->gaps)
		fprintf(out, "none\n");
	else
		fprintf(out,
			"%s reported, %s missing in the sequence: the figures below are too low\n",
			grouped(t->lost).s, grouped(t->gaps).s);
	if (t->overflow)
		fprintf(out, "Left out  %s things that did not fit in the report's tables\n",
			grouped(t->overflow).s);
}

static const char *const level_texts[MODEL_LEVELS] = {
	"L0, charged for exits",
	"child VMMs",
	"their guests",
	"guests of guests",
};

static void print_levels(FILE *out, const struct model *m)
{
	const struct model_totals *t = model_totals(m);
	u64 whole = capacity_ns(m);

	fprintf(out, "\nTime by level\n");
	for (u32 i = 0; i < MODEL_LEVELS; i++) {
		if (!t->level_ns[i] && (i == 0 || i > 2))
			continue;
		fprintf(out, "  level %u  %-24s %14s %8s\n", i,
			level_texts[i] ? level_texts[i] : "deeper", duration(t->level_ns[i]).s,
			percent(t->level_ns[i], whole).s);
	}
	fprintf(out, "  idle     %-24s %14s %8s\n", "no machine was ready", duration(t->idle_ns).s,
		percent(t->idle_ns, whole).s);
}

/* Counters summed up over the vCPUs of a machine itself (child EVENT_NO_ID) or of a child VM. */
static struct model_counters sum_vcpus(const struct model *m, u32 vm, u32 child)
{
	struct model_counters sum = {0};
	const struct model_vcpu *v;
	u32 n;

	v = model_vcpus(m, &n);
	for (u32 i = 0; i < n; i++, v++) {
		if (v->vm != vm || v->child != child)
			continue;
		sum.ran_ns += v->total.ran_ns;
		sum.exits += v->total.exits;
		sum.reflected += v->total.reflected;
		sum.switches += v->total.switches;
		sum.halts += v->total.halts;
		sum.misses += v->total.misses;
	}
	return sum;
}

static void print_vm_row(FILE *out, u32 indent, const char *name, u64 ran_ns, u64 whole,
			 const struct model_counters *c)
{
	fprintf(out, "  %*s%-*s %14s %8s", (int)indent, "", (int)(30 - indent), name,
		duration(ran_ns).s, percent(ran_ns, whole).s);
	if (c)
		fprintf(out, " %12s %10s %9s", grouped(c->exits).s, grouped(c->switches).s,
			grouped(c->halts).s);
	fprintf(out, "\n");
}

static int by_time(const void *a, const void *b)
{
	const struct model_process *x = *(const struct model_process *const *)a;
	const struct model_process *y = *(const struct model_process *const *)b;

	return x->ran_ns < y->ran_ns   ? 1
	       : x->ran_ns > y->ran_ns ? -1
	       : x->id < y->id	       ? -1
				       : x->id > y->id;
}

static int threads_by_time(const void *a, const void *b)
{
	const struct model_thread *x = *(const struct model_thread *const *)a;
	const struct model_thread *y = *(const struct model_thread *const *)b;

	return x->ran_ns < y->ran_ns   ? 1
	       : x->ran_ns > y->ran_ns ? -1
	       : x->id < y->id	       ? -1
				       : x->id > y->id;
}

static bool is_of(u32 process, const struct model_process *const *p, u32 np)
{
	while (np)
		if (p[--np]->id == process)
			return true;
	return false;
}

/* Those of the @np processes @p, or (@others) of all but these. */
static void print_threads(FILE *out, const struct model *m, u32 vm, u32 child,
			  const struct model_process *const *p, u32 np, bool others, u32 indent,
			  u64 whole)
{
	u32 n, count = 0;
	const struct model_thread *x = model_threads(m, &n), **mine;
	u64 rest_ns = 0;
	char name[64];

	mine = n ? malloc(sizeof(*mine) * n) : NULL;
	for (u32 i = 0; mine && i < n; i++)
		if (x[i].vm == vm && x[i].child == child && is_of(x[i].process, p, np) != others)
			mine[count++] = &x[i];
	if (count)
		qsort(mine, count, sizeof(*mine), threads_by_time);
	for (u32 i = 0; i < count; i++) {
		if (i >= MAX_THREADS_SHOWN) {
			rest_ns += mine[i]->ran_ns;
			continue;
		}
		snprintf(name, sizeof(name), "thread %#llx", (unsigned long long)mine[i]->stack);
		print_vm_row(out, indent, name, mine[i]->ran_ns, whole, NULL);
	}
	if (count > MAX_THREADS_SHOWN) {
		snprintf(name, sizeof(name), "%u more threads", count - MAX_THREADS_SHOWN);
		print_vm_row(out, indent, name, rest_ns, whole, NULL);
	}
	free(mine);
}

static void print_processes(FILE *out, const struct model *m, u32 vm, u32 child, u32 indent,
			    u64 whole)
{
	const struct model_process *p, **mine;
	u64 rest_ns = 0;
	u32 n, count = 0;

	p = model_processes(m, &n);
	mine = malloc(sizeof(*mine) * (n + 1));
	for (u32 i = 0; mine && i < n; i++)
		if (p[i].vm == vm && p[i].child == child)
			mine[count++] = &p[i];
	if (count > 1) { /* a single address space is no news */
		qsort(mine, count, sizeof(*mine), by_time);
		for (u32 i = 0; i < count; i++) {
			char name[EVENT_NAME_BYTES + 48];

			if (i >= MAX_PROCESSES_SHOWN) {
				rest_ns += mine[i]->ran_ns;
				continue;
			}
			snprintf(name, sizeof(name), "process %s%scr3 %#llx", mine[i]->name,
				 mine[i]->name[0] ? ", " : "", (unsigned long long)mine[i]->cr3);
			print_vm_row(out, indent, name, mine[i]->ran_ns, whole, NULL);
			print_threads(out, m, vm, child, &mine[i], 1, false, indent + 2, whole);
		}
		if (count > MAX_PROCESSES_SHOWN) {
			char name[48];

			snprintf(name, sizeof(name), "%u more processes",
				 count - MAX_PROCESSES_SHOWN);
			print_vm_row(out, indent, name, rest_ns, whole, NULL);
		}
	}
	print_threads(out, m, vm, child, mine, count > 1 ? MIN(count, (u32)MAX_PROCESSES_SHOWN) : 0,
		      true, indent, whole);
	free(mine);
}

static void print_children(FILE *out, const struct model *m, u32 vm, u32 parent, u32 depth,
			   u64 whole)
{
	const struct model_child *c;
	u32 n;

	c = model_children(m, &n);
	for (u32 i = 0; i < n; i++) {
		struct model_counters sum;
		char name[EVENT_NAME_BYTES + 16];

		if (c[i].vm != vm || c[i].parent != parent || depth > MAX_TREE_DEPTH)
			continue;
		sum = sum_vcpus(m, vm, c[i].id);
		if (c[i].name[0])
			snprintf(name, sizeof(name), "%s", c[i].name);
		else
			snprintf(name, sizeof(name), "child %u", c[i].id);
		print_vm_row(out, 2 * depth, name, sum.ran_ns, whole, &sum);
		print_processes(out, m, vm, c[i].id, 2 * depth + 2, whole);
		print_children(out, m, vm, c[i].id, depth + 1, whole);
	}
}

static void print_vms(FILE *out, const struct model *m)
{
	const struct model_vm *vm;
	u64 whole = capacity_ns(m);
	u32 n;

	fprintf(out, "\n%-32s %14s %8s %12s %10s %9s\n", "Time by VM", "time", "share", "exits",
		"switches", "halts");
	vm = model_vms(m, &n);
	for (u32 i = 0; i < n; i++) {
		struct model_counters own = sum_vcpus(m, vm[i].id, EVENT_NO_ID);
		char name[EVENT_NAME_BYTES + 16];

		if (vm[i].name[0])
			snprintf(name, sizeof(name), "%s", vm[i].name);
		else
			snprintf(name, sizeof(name), "vm %u", vm[i].id);
		print_vm_row(out, 0, name, vm[i].ran_ns, whole, NULL);
		print_vm_row(out, 2, "its own code", own.ran_ns, whole, &own);
		print_processes(out, m, vm[i].id, EVENT_NO_ID, 4, whole);
		print_children(out, m, vm[i].id, EVENT_NO_ID, 1, whole);
	}
}

/* Quantile of the host cost, "-" when exits were not counted one by one. */
static struct text cost_text(const struct model *m, const struct model_exit *x, u32 permille)
{
	u64 ns = model_exit_cost(m, EVENT_NO_ID, x->level, x->reason, permille);

	return ns ? duration(ns) : (struct text){"-"};
}

static void print_exits(FILE *out, const struct model *m)
{
	static const char none[] = "  none\n";
	struct model_exit *rows = malloc(sizeof(*rows) * MAX_EXIT_ROWS);
	struct model_exit sum = {0};
	u32 n;

	if (!rows)
		return;
	fprintf(out, "\nExits by reason                                                 virtual    "
		     " host cost\n");
	fprintf(out, "  level reason                    count  reflected       kept     charge     "
		     "    total     mean      p99      max\n");
	n = MIN(model_exits_by_level(m, EVENT_NO_ID, rows, MAX_EXIT_ROWS), (u32)MAX_EXIT_ROWS);
	for (u32 i = 0; i < n; i++) {
		const struct model_exit *x = &rows[i];
		u64 mean = x->count ? x->host_cost_ns / x->count : 0;

		fprintf(out, "  %5u %-20s %10s %10s %10s %10s %13s %8s %8s %8s\n", x->level,
			event_exit_reason_text(x->reason), grouped(x->count).s,
			grouped(x->reflected).s, grouped(x->count - x->reflected).s,
			duration(x->charge_ns).s, duration(x->host_cost_ns).s, duration(mean).s,
			cost_text(m, x, 990).s,
			x->host_cost_max_ns ? duration(x->host_cost_max_ns).s : "-");
		sum.count += x->count;
		sum.reflected += x->reflected;
		sum.charge_ns += x->charge_ns;
		sum.host_cost_ns += x->host_cost_ns;
	}
	if (!n)
		fputs(none, out);
	else
		fprintf(out, "    all %-20s %10s %10s %10s %10s %13s %8s\n", "",
			grouped(sum.count).s, grouped(sum.reflected).s,
			grouped(sum.count - sum.reflected).s, duration(sum.charge_ns).s,
			duration(sum.host_cost_ns).s,
			duration(sum.host_cost_ns / MAX(sum.count, (u64)1)).s);
	free(rows);
}

/* --- the exit-multiplication tree --- */
struct tree_print {
	FILE *out;
	const struct model *m;
	const struct model_exit_node *nodes;
	u32 n, rows;
};

/* The next largest child of @parent below (@count, @after), or EVENT_NO_ID. */
static u32 next_node(const struct tree_print *p, u32 parent, u64 count, u32 after)
{
	u32 best = EVENT_NO_ID;

	for (u32 i = 0; i < p->n; i++) {
		const struct model_exit_node *x = &p->nodes[i];

		if (x->parent != parent || x->count > count || (x->count == count && i <= after))
			continue;
		if (best == EVENT_NO_ID || x->count > p->nodes[best].count)
			best = i;
	}
	return best;
}

static void print_node(struct tree_print *p, u32 index, u32 depth, u64 of)
{
	const struct model_exit_node *x = &p->nodes[index];
	u64 each = x->count ? x->handled_ns / x->count : 0;
	u64 count = ~0ull;
	char name[64], per[24] = "";
	u32 i = EVENT_NO_ID;

	snprintf(name, sizeof(name), "L%u %s", x->level, event_exit_reason_text(x->reason));
	if (of)
		snprintf(per, sizeof(per), "%llu.%02llu", (unsigned long long)(x->count / of),
			 (unsigned long long)(x->count * 100 / of % 100));
	fprintf(p->out, "  %*s%-*s %12s %14s %13s %13s\n", (int)(2 * depth), "",
		(int)(34 - 2 * depth), name, grouped(x->count).s, per,
		x->handled_ns ? duration(each).s : "",
		duration(x->count ? x->host_cost_ns / x->count : 0).s);
	p->rows++;
	for (u32 kids = 0; depth < MAX_TREE_DEPTH && kids < MAX_TREE_KIDS; kids++) {
		i = next_node(p, index, count, i);
		if (i == EVENT_NO_ID)
			break;
		count = p->nodes[i].count;
		print_node(p, i, depth + 1, x->count);
	}
}

/* Exits of a child VM that its VMM got, with what these exits made the VMM do. */
static void print_child_tree(struct tree_print *p, const struct model_child *c)
{
	u64 count = ~0ull;
	u32 i = EVENT_NO_ID, shown = 0;
	char name[64];

	while (shown < MAX_TREE_KIDS && (i = next_node(p, EVENT_NO_ID, count, i)) != EVENT_NO_ID) {
		const struct model_exit_node *x = &p->nodes[i];

		count = x->count;
		if (x->child != c->id || !x->reflected || p->rows > MAX_TREE_ROWS)
			continue;
		if (!p->rows)
			fprintf(p->out,
				"\nWhat one exit of a guest costs            count       per "
				"exit   handled in  L0, each of it\n");
		if (!shown++)
			fprintf(p->out, " %s\n", model_child_name(p->m, c->id, name, sizeof(name)));
		print_node(p, i, 0, 0);
	}
}

static void print_tree(FILE *out, const struct model *m)
{
	struct tree_print p = {.out = out, .m = m};
	const struct model_child *c;
	u32 n;

	p.nodes = model_exit_tree(m, &p.n);
	c = model_children(m, &n);
	for (u32 i = 0; i < n; i++)
		print_child_tree(&p, &c[i]);
}

/* --- the virtual TLB --- */
static void print_counter(FILE *out, const char *name, u64 value, const char *doc)
{
	fprintf(out, "    %-17s %14s  %s\n", name, grouped(value).s, doc);
}

static void print_counters(FILE *out, u32 kind, const void *payload)
{
	const struct event_info *info = &event_infos[kind];
	const u64 *words = payload;

	for (u32 f = 0; f < info->nfields; f++)
		print_counter(out, info->fields[f].name, words[f], info->fields[f].doc);
}

static void print_vtlb(FILE *out, const struct model *m)
{
	const struct model_vcpu *v;
	bool has_head = false;
	char name[96];
	u32 n;

	v = model_vcpus(m, &n);
	for (u32 i = 0; i < n; i++, v++) {
		if (!v->has_tlb_stats && !v->has_tlb_machine)
			continue;
		if (!has_head)
			fprintf(out, "\nVirtual TLB, by processor of L0's machines\n");
		has_head = true;
		model_vcpu_name(m, v->id, name, sizeof(name));
		if (v->has_tlb_machine) {
			fprintf(out, "  the machine of %s\n", name);
			for (u32 c = 0; c < VTLB_COUNTERS; c++)
				print_counter(out, vtlb_counter_infos[c].name, v->tlb_machine[c],
					      vtlb_counter_infos[c].doc);
		}
		if (v->has_tlb_stats) {
			fprintf(out, "  %s\n", name);
			print_counters(out, TRANSITION_tlb_stats, &v->tlb);
		}
	}
}

static void print_switches(FILE *out, const struct model *m)
{
	const struct model_totals *t = model_totals(m);
	u64 ns = length_ns(m);

	fprintf(out, "\nSwitches\n");
	fprintf(out, "  workers, between machines    %12s %12s\n", grouped(t->vm_switches).s,
		rate(t->vm_switches, ns).s);
	fprintf(out, "  VMMs, between child VMs      %12s %12s\n", grouped(t->child_switches).s,
		rate(t->child_switches, ns).s);
	fprintf(out, "  guests, between processes    %12s %12s\n", grouped(t->process_switches).s,
		rate(t->process_switches, ns).s);
	if (t->thread_switches)
		fprintf(out, "  guests, between threads      %12s %12s\n",
			grouped(t->thread_switches).s, rate(t->thread_switches, ns).s);
	fprintf(out, "  VM entries by VMMs           %12s %12s\n", grouped(t->entries).s,
		rate(t->entries, ns).s);
}

static void print_failures(FILE *out, const struct model *m)
{
	const struct model_vcpu *v;
	bool has_head = false;
	char name[96];
	u32 n;

	v = model_vcpus(m, &n);
	for (u32 i = 0; i < n; i++, v++) {
		if (!v->entry_failures && !v->insn_failures)
			continue;
		if (!has_head)
			fprintf(out, "\nFailures                        VM entries   VMX "
				     "instructions\n");
		has_head = true;
		fprintf(out, "  %-28s %11s  %17s\n", model_vcpu_name(m, v->id, name, sizeof(name)),
			grouped(v->entry_failures).s, grouped(v->insn_failures).s);
	}
}

/* --- details: where exits come from, and what was delivered --- */
static void print_places(FILE *out, const struct model *m, const struct names *names)
{
	struct model_exit *rows = malloc(sizeof(*rows) * MAX_EXIT_ROWS);
	struct model_place places[MAX_PLACES];
	char name[64], text[SYMBOLS_NAME_BYTES];
	const char *symbol;
	bool has_head = false;
	u32 n, count;

	if (!rows)
		return;
	n = MIN(model_exits_by_level(m, EVENT_NO_ID, rows, MAX_EXIT_ROWS), (u32)MAX_EXIT_ROWS);
	for (u32 i = 0; i < n; i++) {
		count = model_places(m, EVENT_NO_ID, rows[i].level, rows[i].reason, places,
				     MAX_PLACES);
		if (count && !has_head)
			fprintf(out,
				"\nWhere exits come from                   count    at least   "
				"L0, each of it\n");
		has_head |= count != 0;
		if (count)
			fprintf(out, " level %u  %s\n", rows[i].level,
				event_exit_reason_text(rows[i].reason));
		for (u32 k = 0; k < count; k++) {
			const struct model_place *p = &places[k];

			if (p->child == EVENT_NO_ID)
				snprintf(name, sizeof(name), "%s",
					 model_vm(m, p->vm) ? model_vm(m, p->vm)->name : "?");
			else
				model_child_name(m, p->child, name, sizeof(name));
			symbol = names ? names_text(names, m, p->vm, p->child, p->guest_rip, text)
				       : NULL;
			fprintf(out, "  %#-20llx %-12s %10s %11s %13s  %s\n",
				(unsigned long long)p->guest_rip, name, grouped(p->count).s,
				grouped(p->count - MIN(p->over, p->count)).s,
				duration(p->host_cost_ns / MAX(p->count, (u64)1)).s,
				symbol ? symbol : "");
		}
	}
	free(rows);
}

static void print_intrs(FILE *out, const struct model *m)
{
	const struct model_intr *r;
	char name[96];
	u32 n;

	r = model_intrs(m, &n);
	if (n)
		fprintf(out,
			"\nDelivered events                vector kind                  count  "
			"due to delivered: mean          max\n");
	for (u32 i = 0; i < n; i++, r++) {
		/* its second field is the kind */
		const char *kind = event_enum_text(
			event_infos[TRANSITION_intr_injected].fields[1].enumeration, r->kind);

		fprintf(out, "  %-30s %5u %-18s %9s %23s %12s\n",
			model_vcpu_name(m, r->vcpu, name, sizeof(name)), r->vector,
			kind ? kind : "?", grouped(r->count).s,
			r->timed ? duration(r->late_ns / r->timed).s : "-",
			r->timed ? duration(r->late_max_ns).s : "-");
	}
}

static void print_deadline_head(FILE *out)
{
	fprintf(out,
		"\nDeadlines                         jobs     misses   latest by        misses\n"
		"  who                          (its own)  (its own)  (its own)   (inferred)\n");
}

/* L0's count for the guest, or "-" when nothing was inferred about it. */
static struct text inferred_misses(const struct model *m, u32 child)
{
	const struct model_vcpu *v;
	bool is_known = false;
	u64 sum = 0;
	u32 n;

	v = model_vcpus(m, &n);
	for (u32 i = 0; i < n; i++, v++) {
		if (v->child != child || child == EVENT_NO_ID)
			continue;
		sum += v->inferred_misses;
		is_known |= v->nreserves != 0;
	}
	return is_known ? grouped(sum) : (struct text){"-"};
}

static void print_deadline(FILE *out, const struct model *m, const struct model_deadline *d)
{
	char name[96], buf[64];

	if (d->child != EVENT_NO_ID)
		model_child_name(m, d->child, buf, sizeof(buf));
	else if (model_vm(m, d->vm))
		snprintf(buf, sizeof(buf), "%s", model_vm(m, d->vm)->name);
	else
		snprintf(buf, sizeof(buf), "?");
	if (d->guest)
		snprintf(name, sizeof(name), "%s, guest %u", buf, d->guest);
	else
		snprintf(name, sizeof(name), "%s", buf);
	fprintf(out, "  %-28s %9s  %9s  %9s  %11s\n", name, grouped(d->count[DEADLINE_JOBS]).s,
		grouped(d->count[DEADLINE_MISSES]).s,
		duration(d->count[DEADLINE_LATE_US] * NS_PER_US).s, inferred_misses(m, d->child).s);
}

/* The register's value, as --count takes it. */
static void count_text(const struct model *m, const struct ev_state_count *c, char *buf,
		       size_t bytes)
{
	const struct event_enum *e = event_infos[TRANSITION_state_count].fields[1].enumeration;
	const struct model_vm *vm = c->parts & 1 ? model_vm(m, (u32)c->vm) : NULL;
	int n = snprintf(buf, bytes, "%s%s",
			 event_enum_text(e, c->event) ? event_enum_text(e, c->event) : "?",
			 c->differs ? "!=" : "@");

	if (!(c->parts & 1))
		n += snprintf(buf + n, bytes - (size_t)n, "*");
	else if (vm && vm->name[0])
		n += snprintf(buf + n, bytes - (size_t)n, "%s", vm->name);
	else
		n += snprintf(buf + n, bytes - (size_t)n, "vm%llu", (unsigned long long)c->vm);
	if (c->parts & 2)
		n += snprintf(buf + n, bytes - (size_t)n, "/level=%llu",
			      (unsigned long long)c->at_level);
	if (c->parts & 4)
		n += snprintf(buf + n, bytes - (size_t)n, "/child=%llu",
			      (unsigned long long)c->child);
	if (c->parts & 8)
		n += snprintf(buf + n, bytes - (size_t)n, "/cr3=%#llx", (unsigned long long)c->cr3);
	if (c->parts & 16)
		snprintf(buf + n, bytes - (size_t)n, "/thread=%#llx", (unsigned long long)c->stack);
}

static void print_counts(FILE *out, const struct model *m)
{
	u32 n;
	const struct ev_state_count *c = model_counts(m, &n);
	char name[192];

	if (n)
		fprintf(out, "\nState-match counters\n");
	for (u32 i = 0; i < n; i++) {
		count_text(m, &c[i], name, sizeof(name));
		fprintf(out, "  %-44s %18s\n", name, grouped(c[i].value).s);
	}
}

static void print_deadlines(FILE *out, const struct model *m)
{
	const struct model_deadline *d;
	bool has_head = false;
	u32 n;

	d = model_deadlines(m, &n);
	for (u32 i = 0; i < n; i++, d++) {
		if (!d->count[DEADLINE_JOBS] && !d->count[DEADLINE_MISSES] &&
		    !d->count[DEADLINE_LATE_US])
			continue; /* a guest without deadlines that counts its work */
		if (!has_head)
			print_deadline_head(out);
		has_head = true;
		print_deadline(out, m, d);
	}
}

void report_print_text(FILE *out, const struct model *m, const struct report_info *info)
{
	u32 parts = info->parts ? info->parts : REPORT_ALL;

	if (parts & REPORT_HEAD)
		print_head(out, m, info);
	if (!model_totals(m)->events)
		return;
	if (parts & REPORT_LEVELS)
		print_levels(out, m);
	if (parts & REPORT_VMS)
		print_vms(out, m);
	if (parts & REPORT_EXITS)
		print_exits(out, m);
	if (parts & REPORT_TREE)
		print_tree(out, m);
	if (parts & REPORT_PLACES)
		print_places(out, m, info->names);
	if (parts & REPORT_INTRS)
		print_intrs(out, m);
	if (parts & REPORT_SWITCHES) {
		print_switches(out, m);
		print_counts(out, m);
	}
	if (parts & REPORT_VTLB)
		print_vtlb(out, m);
	if (parts & REPORT_FAILURES)
		print_failures(out, m);
	if (parts & REPORT_DEADLINES)
		print_deadlines(out, m);
}
