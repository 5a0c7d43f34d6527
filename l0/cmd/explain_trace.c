/* nestor explain TRACE; see explain_trace.h. */
#include <stdio.h>
#include <stdlib.h>
#include "l0/arch/vmcs12.h"
#include "l0/cmd/explain_trace.h"
#include "l0/cmd/trace_read.h"
#include "shadow-vmcs/explain.h"

/* The checks of one failing entry, until the event that says how it ended. */
#define PENDING_VCPUS 64u
#define SEEN_KEYS 4096u

struct pending {
	u32 vcpu;
	struct transition *ev;
	u32 count, room;
};

struct story {
	struct explain_trace *x;
	struct names names;
	const struct model *model;
	struct pending pending[PENDING_VCPUS];
	u32 npending;
	u64 seen[SEEN_KEYS]; /* open addressing; 0: free */
	u32 nseen;
	u64 found, repeated;
	bool out_of_memory;
};

/* --- pieces of text ------------------------------------------------------------------------------
 */

typedef unsigned long long ull;

/* " (name+0x1f)", or nothing. */
static const char *place(const struct story *s, u32 vcpu, u64 rip, char *buf, size_t bytes)
{
	char text[SYMBOLS_NAME_BYTES];
	const char *name = vcpu < EVENT_ID_TRACKED ? names_text(&s->names, s->model, vcpu >> 16,
								EVENT_NO_ID, rip, text)
						   : NULL;

	snprintf(buf, bytes, name ? " (%s)" : "", name);
	return buf;
}

static void print_head(const struct story *s, const struct transition *t, u64 rip)
{
	char name[96], where[SYMBOLS_NAME_BYTES + 4];

	printf("%llu.%09llu s, %s, at 0x%llx%s: ", (ull)(t->vtime_ns / NS_PER_SEC),
	       (ull)(t->vtime_ns % NS_PER_SEC),
	       model_vcpu_name(s->model, t->vcpu_id, name, sizeof(name)), (ull)rip,
	       place(s, t->vcpu_id, rip, where, sizeof(where)));
}

/* "1.234 us" and the like. */
static const char *ago(u64 ns, char *buf, size_t bytes)
{
	if (ns < 10000)
		snprintf(buf, bytes, "%llu ns", (ull)ns);
	else if (ns < 10000000)
		snprintf(buf, bytes, "%llu us", (ull)(ns / 1000));
	else
		snprintf(buf, bytes, "%llu ms", (ull)(ns / 1000000));
	return buf;
}

static void print_writer(const struct story *s, u64 now_ns, u32 how, u64 rip, u64 when_ns, u32 vcpu)
{
	char where[SYMBOLS_NAME_BYTES + 4], time[32], name[96];

	ago(now_ns - when_ns, time, sizeof(time));
	switch (how) {
	case FIELD_WRITER_VMWRITE:
		printf("written at 0x%llx%s by %s, %s before", (ull)rip,
		       place(s, vcpu, rip, where, sizeof(where)),
		       model_vcpu_name(s->model, vcpu, name, sizeof(name)), time);
		break;
	case FIELD_WRITER_EXIT:
		printf("saved by the VM exit at guest RIP 0x%llx, %s before", (ull)rip, time);
		break;
	case FIELD_WRITER_MEMORY:
		printf("stored to the region's memory while the VMCS was active, found %s before",
		       time);
		break;
	case FIELD_WRITER_REGION:
		printf("never written: what the region held at VMPTRLD, %s before", time);
		break;
	default: printf("its writer was not recorded");
	}
}

/* --- a failed entry ------------------------------------------------------------------------------
 */

static void print_check(const struct story *s, const struct transition *t)
{
	const struct ev_entry_failure *f = transition_payload(t, entry_failure);
	const struct explain e = explain_of_event(f);
	char text[EXPLAIN_TEXT_BYTES];

	if (f->check == CHECK_NONE || f->check >= CHECK_COUNT) {
		printf("  a check that this version does not know: %llu\n", (ull)f->check);
		return;
	}
	printf("  %s\n    ", explain_text(&e, text));
	print_writer(s, t->vtime_ns, (u32)f->writer, f->writer_rip, f->writer_ns,
		     (u32)f->writer_vcpu);
	putchar('\n');
}

static void print_field(const struct story *s, const struct transition *t)
{
	const struct ev_entry_failure_field *f = transition_payload(t, entry_failure_field);
	const char *name = vmcs_field_name((u32)f->field);

	printf("    or %s = 0x%llx instead of 0x%llx: ", name ? name : "?", (ull)f->pass_value,
	       (ull)f->value);
	print_writer(s, t->vtime_ns, (u32)f->writer, f->writer_rip, f->writer_ns,
		     (u32)f->writer_vcpu);
	putchar('\n');
}

static void print_msr(const struct transition *t)
{
	const struct ev_entry_failure_msr *f = transition_payload(t, entry_failure_msr);
	const struct explain_msr m = {.entry = (u32)f->entry,
				      .at = f->address,
				      .is_memory = f->is_memory,
				      .msr = (u32)f->msr,
				      .reserved = (u32)f->reserved,
				      .value = f->value};
	char text[EXPLAIN_MSR_BYTES];

	printf("    %s\n", explain_msr_text(&m, text));
}

static void print_checks(const struct story *s, const struct pending *p)
{
	for (u32 i = 0; i < p->count; i++) {
		switch (p->ev[i].kind) {
		case TRANSITION_entry_failure: print_check(s, &p->ev[i]); break;
		case TRANSITION_entry_failure_field: print_field(s, &p->ev[i]); break;
		default: print_msr(&p->ev[i]);
		}
	}
}

/* --- what was said already -----------------------------------------------------------------------
 */

static u64 mix(u64 h, u64 v)
{
	return (h ^ v) * 0x9e3779b97f4a7c15ull ^ h >> 29;
}

/* Return: it is new, or is shown all the same. A full table shows everything. */
static bool is_news(struct story *s, u64 key)
{
	u32 at = (u32)(key >> 40) % SEEN_KEYS;

	s->found++;
	key |= 1;
	while (s->seen[at] && s->seen[at] != key)
		at = (at + 1) % SEEN_KEYS;
	if (s->seen[at]) {
		s->repeated++;
		return s->x->shows_all;
	}
	if (s->nseen < SEEN_KEYS - 1) {
		s->seen[at] = key;
		s->nseen++;
	}
	return true;
}

/* Check, field and value; all of an MSR. */
static u32 key_words(const struct transition *t)
{
	return t->kind == TRANSITION_entry_failure_msr ? sizeof(struct ev_entry_failure_msr) / 8
						       : 3;
}

static u64 key_of_checks(const struct pending *p, u64 h)
{
	for (u32 i = 0; i < p->count; i++)
		for (u32 w = 0; w < key_words(&p->ev[i]); w++)
			h = mix(h, p->ev[i].p[w]);
	return h;
}

/* --- events --------------------------------------------------------------------------------------
 */

static struct pending *pending_of(struct story *s, u32 vcpu)
{
	for (u32 i = 0; i < s->npending; i++)
		if (s->pending[i].vcpu == vcpu)
			return &s->pending[i];
	if (s->npending == PENDING_VCPUS)
		return &s->pending[vcpu % PENDING_VCPUS];
	s->pending[s->npending].vcpu = vcpu;
	return &s->pending[s->npending++];
}

static void keep(struct story *s, const struct transition *t)
{
	struct pending *p = pending_of(s, t->vcpu_id);

	if (t->kind == TRANSITION_entry_failure && !transition_payload(t, entry_failure)->order)
		p->count = 0;
	if (p->count == p->room) {
		u32 room = p->room ? 2 * p->room : 32;
		struct transition *ev = realloc(p->ev, room * sizeof(*ev));

		if (!ev) {
			s->out_of_memory = true;
			return;
		}
		p->ev = ev;
		p->room = room;
	}
	p->ev[p->count++] = *t;
}

static void tell_insn(struct story *s, const struct transition *t)
{
	const struct ev_vm_insn_fail *f = transition_payload(t, vm_insn_fail);
	struct pending *p = pending_of(s, t->vcpu_id);
	const char *meaning = f->insn == EXIT_REASON_VMXON && !f->error
				      ? "its operand is not 4-KiB aligned, lies beyond the "
					"physical-address width, or its region does not begin with "
					"the revision identifier of IA32_VMX_BASIC"
				      : explain_vmx_error((u32)f->error);
	u64 key = mix(mix(mix(f->insn, f->error), f->operand), f->guest_rip);

	if (is_news(s, key_of_checks(p, key))) {
		print_head(s, t, f->guest_rip);
		if (f->error)
			printf("%s 0x%llx fails: VMfailValid, VM-instruction error %llu: %s\n",
			       event_exit_reason_text(f->insn), (ull)f->operand, (ull)f->error,
			       meaning ? meaning : "unknown");
		else
			printf("%s 0x%llx fails: VMfailInvalid: %s\n",
			       event_exit_reason_text(f->insn), (ull)f->operand, meaning);
		print_checks(s, p);
	}
	p->count = 0;
}

static void tell_entry(struct story *s, const struct transition *t)
{
	const struct ev_vm_entry_failed *f = transition_payload(t, vm_entry_failed);
	struct pending *p = pending_of(s, t->vcpu_id);

	if (is_news(s, key_of_checks(p, mix(mix(f->exit_reason, f->info1), f->guest_rip)))) {
		print_head(s, t, f->guest_rip);
		printf("VM entry with vmcs 0x%llx fails: exit reason 0x%llx (%s), qualification "
		       "%llu\n",
		       (ull)f->vmcs, 0x80000000ull | f->exit_reason,
		       event_exit_reason_text(f->exit_reason), (ull)f->info1);
		print_checks(s, p);
	}
	p->count = 0;
}

static void tell_misuse(struct story *s, const struct transition *t)
{
	const struct ev_vmx_misuse *f = transition_payload(t, vmx_misuse);
	const char *meaning = explain_misuse((u32)f->kind), *field = vmcs_field_name((u32)f->field);
	char name[96];

	if (!is_news(s, mix(mix(mix(f->kind, f->vmcs), f->field), f->guest_rip)))
		return;
	print_head(s, t, f->guest_rip);
	printf("%s: vmcs 0x%llx: %s\n",
	       f->kind == VMX_MISUSE_UNSUPPORTED_FIELD || f->kind == VMX_MISUSE_WRONG_REVISION
		       ? "depends on the processor"
		       : "works here, fails on another processor",
	       (ull)f->vmcs, meaning ? meaning : "unknown");
	switch (f->kind) {
	case VMX_MISUSE_ACTIVE_TWICE:
	case VMX_MISUSE_NO_VMCLEAR:
		printf("  it is active on %s\n",
		       model_vcpu_name(s->model, (u32)f->other_vcpu, name, sizeof(name)));
		break;
	case VMX_MISUSE_UNSUPPORTED_FIELD:
		printf("  field 0x%llx%s%s\n", (ull)f->field, field ? ", " : "",
		       field ? field : "");
		break;
	case VMX_MISUSE_MEMORY_WRITTEN:
		printf("  first field: %s is 0x%llx in memory, was 0x%llx\n", field ? field : "?",
		       (ull)f->value, (ull)f->expected);
		break;
	case VMX_MISUSE_WRONG_REVISION:
		printf("  it begins with 0x%llx, IA32_VMX_BASIC says 0x%llx\n", (ull)f->value,
		       (ull)f->expected);
		break;
	}
}

static void take_event(void *arg, const struct transition *t)
{
	struct story *s = arg;

	switch (t->kind) {
	case TRANSITION_entry_failure:
	case TRANSITION_entry_failure_field:
	case TRANSITION_entry_failure_msr: keep(s, t); break;
	case TRANSITION_vm_insn_fail: tell_insn(s, t); break;
	case TRANSITION_vm_entry_failed: tell_entry(s, t); break;
	case TRANSITION_vmx_misuse: tell_misuse(s, t); break;
	default: break;
	}
}

int explain_trace(struct explain_trace *x)
{
	static struct story s; /* its table is large */
	struct trace_read r = {.cmd = x->cmd,
			       .source = x->source,
			       .wants_all_fields = true,
			       .event = take_event,
			       .arg = &s};
	int code = EXIT_CODE_HOST;

	s.x = x;
	s.names = x->names;
	names_add_recorded(&s.names, x->source);
	s.model = r.model = model_create(NULL);
	if (r.model)
		code = trace_read(&r);
	if (!r.model || s.out_of_memory)
		code = cmd_error(x->cmd, EXIT_CODE_HOST, "out of memory");
	if (s.repeated && !x->shows_all)
		printf("%llu repeated, not shown (--all shows them)\n", (ull)s.repeated);
	if (!s.found && !code)
		printf("no VM entry and no VMX instruction failed\n");
	for (u32 i = 0; i < s.npending; i++)
		free(s.pending[i].ev);
	model_destroy(r.model);
	names_fini(&s.names);
	return code ? code : s.found ? EXIT_CODE_GUEST : EXIT_CODE_OK;
}
