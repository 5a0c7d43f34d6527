/* Options of the run as a whole, and those for debugging. */
#include "l0/cmd/run_parse_priv.h"

#include <stdlib.h>
#include <string.h>

#include "l0/base/log.h"
#include "l0/cmd/value.h"
#include "l0/jit/jit.h"
#include "l0/sched/sched.h"
#include "vtlb/vtlb.h"

static bool take_policy(struct parse *p, const char *name, const char *value)
{
	char list[128] = "";

	p->opts->sched = value;
	if (sched_policy_lookup(value))
		return true;
	for (u32 i = 0;
	     sched_policies[i] && strlen(list) + strlen(sched_policies[i]->name) + 2 < sizeof(list);
	     i++)
		strcat(strcat(list, " "), sched_policies[i]->name);
	return parse_bad(p, name, "no policy is called '%s'; there are:%s", value, list);
}

/* What the lists of some options are made of, each with a blank before it. */
static const char jit_groups[] =
#define GROUP(id, name, text) " " name
#include "l0/jit/jit_groups.def"
#undef GROUP
	;
static const char vtlb_parts[] =
#define PART(id, name, text) " " name
#include "vtlb/parts.def"
#undef PART
	;
static const char log_names[] =
#define X(id, name) " " name
#include "l0/base/log_subsystems.def"
#undef X
	;

/* @bad: the first word of a list that is none of @names, or NULL. */
static bool take_list(struct parse *p, const char *name, const char *bad, const char *what,
		      const char *names)
{
	return !bad || parse_bad(p, name, "%s '%.*s'; there are:%s", what, (int)strcspn(bad, ","),
				 bad, names);
}

bool parse_debug_option(struct parse *p, const char *name, int key, const char *value, bool *known)
{
	static const char *const engines[] = {"interp", "jit", "check"};
	static const char *const tlbs[] = {"normal", "audit", "adversarial", "strict"};
	struct run_options *o = p->opts;
	unsigned i;

	switch (key) {
	case KEY_TRACE_EXEC: o->trace_exec = value; return true;
	case KEY_COUNT:
		if (o->ncounts == COUNTS_MAX)
			return parse_bad(p, name, "there are 32 already");
		o->count_text[o->ncounts++] = parse_keep(p, value);
		return true;
	case KEY_GDB: return parse_unsigned(p, name, value, 65535, &o->gdb_port);
	case KEY_ENGINE:
		if (!parse_word(p, name, value, engines, ARRAY_SIZE(engines), &i))
			return false;
		o->engine = (enum run_engine)(RUN_ENGINE_INTERP + i);
		return true;
	case KEY_JIT_OFF:
		return take_list(p, name, jit_parse_groups(value, &o->jit_off),
				 "no part of the translator is called", jit_groups);
	case KEY_JIT_HEAT: return parse_unsigned(p, name, value, 1000000, &o->jit_heat);
	case KEY_TLB:
		if (!parse_word(p, name, value, tlbs, ARRAY_SIZE(tlbs), &i))
			return false;
		o->tlb = (enum run_tlb)i;
		return true;
	case KEY_VTLB_MEMORY:
		return parse_size(p, name, value, 64 * KIB, 4 * GIB, "64K to 4G", &o->vtlb_memory);
	case KEY_VTLB_WITHOUT:
		return take_list(p, name, vtlb_parse_parts(value, &o->vtlb_without),
				 "the virtual TLB has no part called", vtlb_parts);
	case KEY_VTLB_NODES: return parse_unsigned(p, name, value, VTLB_NODES_MAX, &o->vtlb_nodes);
	case KEY_JIT_MEMORY:
		return parse_size(p, name, value, 128 * KIB, GIB, "128K to 1G", &o->jit_memory);
	case KEY_DETECT_STALE: o->detect_stale = true; return true;
	case KEY_STATS: o->stats = true; return true;
	case KEY_VMX_COVERAGE: o->vmx_coverage = true; return true;
	case KEY_EXPLAIN: o->explain = true; return true;
	case KEY_NO_VMCS_SHADOWING: o->no_vmcs_shadowing = true; return true;
	case KEY_LOG:
		return take_list(p, name, log_set_mask(value), "no subsystem is called", log_names);
	}
	*known = false;
	return true;
}

/* One name of costs.def, with - for _, and its time, in @item. */
static bool take_charge(struct parse *p, const char *name, char *item)
{
	static const char *const names[] = {
#define EXIT_COST(NAME, member, ns, text) #member,
#include "l0/arch/costs.def"
#undef EXIT_COST
	};
	char *eq = strchr(item, '=');
	unsigned i;
	u64 ns;

	if (!eq || value_parse_time_ns(eq + 1, &ns) || ns > NS_PER_MS)
		return parse_bad(p, name, "'%s' is not NAME=TIME with a time up to 1ms", item);
	*eq = 0;
	for (char *c = item; *c; c++)
		*c = *c == '-' ? '_' : *c;
	if (!parse_word(p, name, item, names, ARRAY_SIZE(names), &i))
		return false;
	p->opts->charge_ns[i] = (u32)ns;
	return true;
}

static bool take_charges(struct parse *p, const char *name, const char *value)
{
	char *copy = strdup(value), *rest = copy, *item;
	bool ok = copy;

	while (ok && (item = strsep(&rest, ",")))
		ok = take_charge(p, name, item);
	free(copy);
	return ok;
}

/* Options of the run as a whole. */
bool parse_run_option(struct parse *p, const char *name, int key, const char *value, bool *known)
{
	static const char *const clocks[] = {"virtual", "host"};
	static const char *const idles[] = {"skip", "real"};
	struct run_options *o = p->opts;
	unsigned i;

	switch (key) {
	case KEY_CLOCK:
		if (!parse_word(p, name, value, clocks, ARRAY_SIZE(clocks), &i))
			return false;
		o->clock = (enum run_clock)i;
		p->clock_given = true;
		return true;
	case KEY_IDLE:
		if (!parse_word(p, name, value, idles, ARRAY_SIZE(idles), &i))
			return false;
		o->idle = (enum run_idle)i;
		return true;
	case 'w': return parse_unsigned(p, name, value, RUN_MAX_WORKERS, &o->workers);
	case KEY_PARKING: return o->parking = true;
	case KEY_TOPOLOGY:
		return !topology_parse(&o->topology, value) ||
		       parse_bad(p, name, "'%s' is not flat, host or NODESxCORESxTHREADS, as 2x4x2",
				 value);
	case KEY_SCHED: return take_policy(p, name, value);
	case KEY_SLICE:
		return parse_time(p, name, value, &o->slice_ns) &&
		       ((o->slice_ns >= NS_PER_US && o->slice_ns <= 10 * NS_PER_SEC) ||
			parse_bad(p, name, "'%s' is not from 1us to 10s", value));
	case KEY_INSN_TIME:
		return parse_time(p, name, value, &o->insn_ns) &&
		       (o->insn_ns <= NS_PER_US || parse_bad(p, name, "'%s' is above 1us", value));
	case KEY_CHARGE: return take_charges(p, name, value);
	case KEY_FOR: return parse_time(p, name, value, &o->for_ns);
	case KEY_TIMEOUT: return parse_time(p, name, value, &o->timeout_ns);
	case KEY_SEED: return parse_number(p, name, value, 0, UINT64_MAX, &o->seed);
	case 'r': o->record = true; return true;
	case KEY_FLIGHT:
		return parse_size(p, name, value, 256 * KIB, 16 * GIB, "256K to 16G",
				  &o->flight_bytes);
	case KEY_ON: o->flight_on = value; return true;
	case 'v': o->view = true; return true;
	case 'o': o->output = parse_path(p, value); return true;
	}
	*known = false;
	return true;
}
