/* The verdicts of a run as JUnit XML, for continuous integration; see export.h. */
#include "trace/bt2/export.h"

/* A case is written twice: counted, then printed. */
struct cases {
	FILE *out; /* NULL: count */
	u32 count, failed;
};

static void put_case(struct cases *c, const char *class, const char *name, const char *failure)
{
	c->count++;
	c->failed += failure != NULL;
	if (!c->out)
		return;
	fprintf(c->out, "    <testcase classname=\"nestor.%s\" name=\"", class);
	export_xml_text(c->out, name);
	if (!failure) {
		fputs("\"/>\n", c->out);
		return;
	}
	fputs("\">\n      <failure message=\"", c->out);
	export_xml_text(c->out, failure);
	fputs("\"/>\n    </testcase>\n", c->out);
}

static void put_trace(struct cases *c, const struct model *m)
{
	const struct model_totals *t = model_totals(m);
	char why[96];

	snprintf(why, sizeof(why), "%llu events lost, %llu missing in the sequence",
		 (unsigned long long)t->lost, (unsigned long long)t->gaps);
	put_case(c, "trace", "no event is lost", t->lost || t->gaps ? why : NULL);
}

/* A machine that ends by itself says how; one that was stopped from outside did not fail. */
static void put_machines(struct cases *c, const struct model *m)
{
	const struct model_vm *vm;
	char name[64], why[96];
	u32 n;

	vm = model_vms(m, &n);
	for (u32 i = 0; i < n; i++, vm++) {
		const char *cause = event_enum_text(
			event_infos[TRANSITION_vm_stop].fields[1].enumeration, vm->stop_cause);
		bool failed = vm->stop_cause == STOP_TRIPLE_FAULT ||
			      vm->stop_cause == STOP_UNSUPPORTED || vm->stop_cause == STOP_ERROR;

		snprintf(name, sizeof(name), "%s ends well", vm->name);
		snprintf(why, sizeof(why), "%s, status %lld", cause ? cause : "?",
			 (long long)vm->status);
		put_case(c, "machine", name, failed ? why : NULL);
	}
}

static void put_vcpus(struct cases *c, const struct model *m)
{
	const struct model_vcpu *v;
	char name[160], vcpu[96], why[96];
	u32 n;

	v = model_vcpus(m, &n);
	for (u32 i = 0; i < n; i++, v++) {
		model_vcpu_name(m, v->id, vcpu, sizeof(vcpu));
		snprintf(name, sizeof(name), "%s: no VM entry and no VMX instruction fails", vcpu);
		snprintf(why, sizeof(why), "%llu VM entries and %llu VMX instructions failed",
			 (unsigned long long)v->entry_failures,
			 (unsigned long long)v->insn_failures);
		put_case(c, "vmx", name, v->entry_failures || v->insn_failures ? why : NULL);
	}
}

static void put_deadlines(struct cases *c, const struct model *m)
{
	const struct model_deadline *d;
	char name[160], who[96], why[96];
	u32 n;

	d = model_deadlines(m, &n);
	for (u32 i = 0; i < n; i++, d++) {
		if (!d->count[DEADLINE_JOBS] && !d->count[DEADLINE_MISSES])
			continue;
		if (d->child != EVENT_NO_ID)
			model_child_name(m, d->child, who, sizeof(who));
		else
			snprintf(who, sizeof(who), "%s",
				 model_vm(m, d->vm) ? model_vm(m, d->vm)->name : "?");
		snprintf(name, sizeof(name), "%s, guest %u: meets its deadlines", who, d->guest);
		snprintf(why, sizeof(why), "%llu of %llu missed",
			 (unsigned long long)d->count[DEADLINE_MISSES],
			 (unsigned long long)d->count[DEADLINE_JOBS]);
		put_case(c, "deadlines", name, d->count[DEADLINE_MISSES] ? why : NULL);
	}
}

static void put_all(struct cases *c, const struct model *m)
{
	put_trace(c, m);
	put_machines(c, m);
	put_vcpus(c, m);
	put_deadlines(c, m);
}

void export_junit_end(struct export *x)
{
	struct cases count = {NULL}, print = {.out = x->out};

	put_all(&count, x->model);
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"",
	      x->out);
	export_xml_text(x->out, x->info.source ? x->info.source : "trace");
	fprintf(x->out, "\" tests=\"%u\" failures=\"%u\" errors=\"0\">\n", count.count,
		count.failed);
	put_all(&print, x->model);
	fputs("  </testsuite>\n</testsuites>\n", x->out);
}
