/*
 * gdb's "monitor" commands: stops at VMX events, the VMCS of a thread. Output is text for gdb's
 * console.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "l0/arch/events.h"
#include "l0/dev/cpu_hotplug.h"
#include "l0/gdb/gdb_priv.h"
#include "shadow-vmcs/explain.h"
#include "shadow-vmcs/vmcs12.h"

#define WORDS_MAX 6u

__printf_like(2, 3) static void say(struct gdb *g, const char *fmt, ...)
{
	char line[EXPLAIN_TEXT_BYTES + 128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	gdb_out_hex(g, line, (u32)strlen(line));
}

static const struct {
	const char *name;
	enum gdb_catch_kind kind;
	const char *help;
} catches[] = {
	{"exit", CATCH_EXIT, "a VM exit [of REASON, by name or number] [level N]"},
	{"entry", CATCH_ENTRY, "a VM entry that succeeds [level N]"},
	{"vmptrld", CATCH_VMPTRLD, "a VMPTRLD of another VMCS"},
	{"failed-entry", CATCH_FAILED_ENTRY, "a VM entry that fails a check; says which"},
	{"vmfail", CATCH_VMFAIL, "a VMX instruction that fails"},
};

static void help(struct gdb *g)
{
	say(g, "monitor break EVENT   stop at an event, one of:\n");
	for (u32 i = 0; i < ARRAY_SIZE(catches); i++)
		say(g, "    %-14s %s\n", catches[i].name, catches[i].help);
	say(g, "monitor breaks        list what is set\n"
	       "monitor delete [N]    remove number N, or all\n"
	       "monitor vmcs [FIELD]  the VMCS of the thread: of a guest its own, of a processor "
	       "the current one\n"
	       "monitor unplug N      ask the thread's machine to do without its processor N "
	       "(--cpu-hotplug)\n"
	       "monitor plug N        put it in again\n");
}

static bool parse_reason(const char *word, u32 *reason)
{
	char *end;

	for (u32 i = 0; i < event_enum_count; i++) {
		const struct event_enum *e = event_enums[i];

		if (strcmp(e->name, "exit_reason") != 0)
			continue;
		for (u32 k = 0; k < e->count; k++)
			if (!strcasecmp(e->values[k].text, word)) {
				*reason = e->values[k].number;
				return true;
			}
	}
	*reason = (u32)strtoul(word, &end, 0);
	return *word && !*end && *reason < EXIT_REASON_COUNT;
}

static void print_catch(struct gdb *g, u32 i)
{
	const struct gdb_catch *c = &g->catch[i];

	say(g, "%u: %s", i + 1, catches[c->kind].name);
	if (c->kind == CATCH_EXIT && c->reason != CATCH_ANY)
		say(g, " %s", event_exit_reason_text(c->reason));
	if (c->level != CATCH_ANY)
		say(g, " level %u", c->level);
	say(g, "\n");
}

static void add_catch(struct gdb *g, char *const *word, u32 n)
{
	struct gdb_catch c = {.reason = CATCH_ANY, .level = CATCH_ANY};
	u32 i = 0;

	while (n && i < ARRAY_SIZE(catches) && strcmp(catches[i].name, word[0]) != 0)
		i++;
	if (!n || i == ARRAY_SIZE(catches)) {
		say(g, "break what? see monitor help\n");
		return;
	}
	c.kind = catches[i].kind;
	for (u32 k = 1; k < n; k++) {
		if (!strcmp(word[k], "level") && k + 1 < n) {
			c.level = (u32)strtoul(word[++k], NULL, 0);
		} else if (c.kind != CATCH_EXIT || !parse_reason(word[k], &c.reason)) {
			say(g, "%s is no exit reason\n", word[k]);
			return;
		}
	}
	if (g->ncatches == GDB_MAX_CATCHES) {
		say(g, "at most %u; see monitor delete\n", GDB_MAX_CATCHES);
		return;
	}
	g->catch[g->ncatches++] = c;
	print_catch(g, g->ncatches - 1);
}

static void delete_catch(struct gdb *g, const char *word)
{
	u32 i = word ? (u32)strtoul(word, NULL, 0) : 0;

	if (!word) {
		g->ncatches = 0;
		say(g, "none is set\n");
	} else if (!i || i > g->ncatches) {
		say(g, "there is no number %s; see monitor breaks\n", word);
	} else {
		for (; i < g->ncatches; i++)
			g->catch[i - 1] = g->catch[i];
		g->ncatches--;
		say(g, "%u left\n", g->ncatches);
	}
}

static void print_vmcs(struct gdb *g, const char *want)
{
	struct vmcs12 v;
	u32 shown = 0;

	if (!gdb_vmcs12(g, g->thread, &v)) {
		say(g, "the thread has no VMCS\n");
		return;
	}
	for (u32 i = 0; i < vmcs_field_count; i++) {
		const struct vmcs_field_info *f = &vmcs_field_table[i];
		u64 value;

		if (!vmcs12_peek(&v, f->encoding, &value) ||
		    (want ? strcmp(want, f->name) != 0 : !value))
			continue;
		say(g, "%-30s 0x%llx\n", f->name, (unsigned long long)value);
		shown++;
	}
	if (!shown)
		say(g, want ? "no field is called %s\n" : "all fields are 0\n", want);
}

/* "plug N" and "unplug N", of the machine of the selected thread. */
static void change_cpu(struct gdb *g, bool plug, const char *word)
{
	u32 n = word ? (u32)strtoul(word, NULL, 0) : 0;
	struct cpu_hotplug *h = NULL;
	struct gdb_view view;

	if (gdb_view(g, g->thread, &view))
		for (u32 i = 0; i < g->ncpus; i++)
			if (g->cpus[i].vp == view.vp)
				h = g->cpus[i].hotplug;
	if (!h) {
		say(g, "the machine has no --cpu-hotplug\n");
		return;
	}
	switch (plug ? cpu_hotplug_plug(h, n) : cpu_hotplug_unplug(h, n)) {
	case 0:
		say(g,
		    plug ? "processor %u is in\n" : "the guest is asked to let processor %u go\n",
		    n);
		break;
	case -EALREADY:
		say(g, plug ? "processor %u is there\n" : "processor %u is not there\n", n);
		break;
	default: say(g, "processor %u cannot come or go\n", n);
	}
}

void gdb_monitor(struct gdb *g, const char *hex)
{
	char line[256], *word[WORDS_MAX], *save = NULL;
	u32 n = 0;

	line[gdb_parse_hex(hex, (u8 *)line, sizeof(line) - 1)] = 0;
	for (char *w = strtok_r(line, " ", &save); w && n < WORDS_MAX;
	     w = strtok_r(NULL, " ", &save))
		word[n++] = w;
	if (n && !strcmp(word[0], "break"))
		add_catch(g, word + 1, n - 1);
	else if (n && !strcmp(word[0], "breaks"))
		for (u32 i = 0; i < g->ncatches; i++)
			print_catch(g, i);
	else if (n && !strcmp(word[0], "delete"))
		delete_catch(g, n > 1 ? word[1] : NULL);
	else if (n && (!strcmp(word[0], "plug") || !strcmp(word[0], "unplug")))
		change_cpu(g, word[0][0] == 'p', n > 1 ? word[1] : NULL);
	else if (n && !strcmp(word[0], "vmcs"))
		print_vmcs(g, n > 1 ? word[1] : NULL);
	else
		help(g);
	if (!g->out_bytes)
		gdb_out(g, "OK");
}

/* --- what was caught -----------------------------------------------------------------------------
 */

static void tell(struct gdb *g, const struct transition *t)
{
	switch (t->kind) {
	case TRANSITION_vm_exit: {
		const struct ev_vm_exit *e = transition_payload(t, vm_exit);

		say(g, "VM exit %s at rip 0x%llx, qualification 0x%llx, %s\n",
		    event_exit_reason_text(e->exit_reason), (unsigned long long)e->guest_rip,
		    (unsigned long long)e->info1, e->reflected ? "to its VMM" : "kept by level 0");
		break;
	}
	case TRANSITION_vm_entry:
		say(g, "VM entry with vmcs 0x%llx at rip 0x%llx\n",
		    (unsigned long long)transition_payload(t, vm_entry)->vmcs,
		    (unsigned long long)transition_payload(t, vm_entry)->guest_rip);
		break;
	case TRANSITION_vmcs_load:
		say(g, "VMPTRLD of vmcs 0x%llx\n",
		    (unsigned long long)transition_payload(t, vmcs_load)->vmcs);
		break;
	case TRANSITION_entry_failure: {
		const struct ev_entry_failure *f = transition_payload(t, entry_failure);
		const struct explain e = explain_of_event(f);
		char text[EXPLAIN_TEXT_BYTES];

		say(g, "VM entry with vmcs 0x%llx fails: %s", (unsigned long long)f->vmcs,
		    explain_text(&e, text));
		if (f->writer == FIELD_WRITER_VMWRITE)
			say(g, "; written at 0x%llx", (unsigned long long)f->writer_rip);
		say(g, "\n");
		break;
	}
	case TRANSITION_vm_insn_fail: {
		const struct ev_vm_insn_fail *f = transition_payload(t, vm_insn_fail);
		const char *meaning = explain_vmx_error((u32)f->error);

		say(g, "%s at rip 0x%llx fails, error %llu: %s\n", event_exit_reason_text(f->insn),
		    (unsigned long long)f->guest_rip, (unsigned long long)f->error,
		    meaning ? meaning : "unknown");
		break;
	}
	}
}

void gdb_tell_caught(struct gdb *g)
{
	if (!g->is_caught)
		return;
	g->is_caught = false;
	g->out_bytes = 0;
	gdb_out(g, "O");
	tell(g, &g->caught);
	gdb_packet_put(g);
}
