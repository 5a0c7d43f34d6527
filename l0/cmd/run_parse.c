#include "l0/cmd/run_parse.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "l0/base/log.h"
#include "l0/cmd/device_spec.h"
#include "l0/cmd/run_check.h"
#include "l0/cmd/value.h"
#include "l0/jit/jit.h"
#include "l0/lab/lab.h"
#include "vtlb/vtlb.h"
#include "l0/sched/sched.h"

enum {
	KEY_INITRD = CMD_KEY_LONG,
	KEY_MODULE,
	KEY_ENTRY,
	KEY_CPU_MODEL,
	KEY_WEIGHT,
	KEY_RESERVE,
	KEY_TRACK,
	KEY_FENCE,
	KEY_DECLARE,
	KEY_COUNT,
	KEY_INSN_TIME,
	KEY_CHARGE,
	KEY_SERIAL,
	KEY_INPUT,
	KEY_DISK,
	KEY_CDROM,
	KEY_NET,
	KEY_CONSOLE,
	KEY_RNG,
	KEY_RESET,
	KEY_TRIPLE_FAULT,
	KEY_FIRMWARE,
	KEY_VGA_DUMP,
	KEY_SYMBOLS,
	KEY_CLOCK,
	KEY_IDLE,
	KEY_SCHED, KEY_PARKING, KEY_TOPOLOGY,
	KEY_SLICE,
	KEY_FOR,
	KEY_TIMEOUT,
	KEY_SEED,
	KEY_FLIGHT,
	KEY_ON,
	KEY_TRACE_EXEC,
	KEY_JIT_OFF,
	KEY_GDB,
	KEY_ENGINE,
	KEY_TLB,
	KEY_VTLB_MEMORY,
	KEY_VTLB_NODES,
	KEY_JIT_MEMORY,
	KEY_DETECT_STALE,
	KEY_STATS,
	KEY_VMX_COVERAGE,
	KEY_EXPLAIN,
	KEY_NO_VMCS_SHADOWING,
	KEY_LOG,
};

const struct cmd_option run_cmd_options[RUN_CMD_NOPTIONS] = {
#define OPT(name, key, arg, help) {name, key, arg, help},
#define HEADING(text) {NULL, 0, NULL, text},
#include "l0/cmd/run_options.def"
#undef OPT
#undef HEADING
};

#define MAX_SYMBOL_ARGS 64
#define DEFAULT_FIRMWARE "/usr/share/seabios/bios-256k.bin" /* Debian's package seabios */

struct parse {
	const struct cmd *cmd;
	struct run_options *opts;
	struct machine_desc defaults; /* of options before the first image */
	struct machine_desc *current; /* machine that options apply to; NULL: defaults */
	const char *lab_path;	      /* file being read, or NULL: the command line */
	int lab_line, machine_line; /* machine_line: of the section of @current */
	bool clock_given, had_lab;
	struct {
		const char *value;
		int machine; /* index, or -1: before the first image */
	} symbols[MAX_SYMBOL_ARGS];
	unsigned nsymbols;
	int status; /* RUN_PARSE_OK, or of the first error */
};

/* Print an error about option (key) @name and remember the status. Return: false. */
static bool bad_value(struct parse *p, const char *name, const char *fmt, ...) __printf_like(3, 4);

static bool bad_value(struct parse *p, const char *name, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->status = EXIT_CODE_USAGE;
	if (p->lab_path)
		cmd_usage_error(p->cmd, "%s:%d: %s: %s", p->lab_path, p->lab_line, name, text);
	else
		cmd_usage_error(p->cmd, "--%s: %s", name, text);
	return false;
}

static bool take_number(struct parse *p, const char *name, const char *value, u64 min, u64 max,
			u64 *out)
{
	if (value_parse_u64(value, out) || *out < min || *out > max)
		return bad_value(p, name, "'%s' is not a whole number from %lu to %lu", value, min,
				 max);
	return true;
}

static bool take_unsigned(struct parse *p, const char *name, const char *value, unsigned max,
			  unsigned *out)
{
	u64 n;

	if (!take_number(p, name, value, 1, max, &n))
		return false;
	*out = (unsigned)n;
	return true;
}

static bool take_time(struct parse *p, const char *name, const char *value, u64 *out)
{
	if (value_parse_time_ns(value, out) || !*out)
		return bad_value(p, name, "'%s' is not a time above 0, as 10s, 500ms or 20us",
				 value);
	return true;
}

/* @range: @min and @max in words */
static bool take_size(struct parse *p, const char *name, const char *value, u64 min, u64 max, const char *range,
		      u64 *out)
{
	if (value_parse_size(value, out) || *out < min || *out > max)
		return bad_value(p, name, "'%s' is not a size from %s", value, range);
	return true;
}

static bool take_memory(struct parse *p, const char *name, const char *value, u64 *out)
{
	u64 n;

	if (value_parse_size(value, &n))
		return bad_value(p, name, "'%s' is not a size, as 64M or 2G", value);
	if (n < MACHINE_MIN_MEMORY || n > MACHINE_MAX_MEMORY || !IS_ALIGNED(n, PAGE_SIZE))
		return bad_value(p, name, "%s is impossible: 1M to 512G in whole 4K pages", value);
	*out = n;
	return true;
}

/* One of the @n words in @words; *@out is its index. */
static bool take_word(struct parse *p, const char *name, const char *value,
		      const char *const *words, unsigned n, unsigned *out)
{
	char list[128] = "";

	for (unsigned i = 0; i < n; i++) {
		if (!strcmp(words[i], value)) {
			*out = i;
			return true;
		}
		strncat(list, i ? ", " : "", sizeof(list) - strlen(list) - 1);
		strncat(list, words[i], sizeof(list) - strlen(list) - 1);
	}
	return bad_value(p, name, "'%s' is none of: %s", value, list);
}

static bool lab_file_is_there(struct parse *p, const char *name, const char *path);

static bool take_policy(struct parse *p, const char *name, const char *value)
{
	char list[128] = "";

	p->opts->sched = value;
	if (sched_policy_lookup(value))
		return true;
	for (u32 i = 0; sched_policies[i] && strlen(list) + strlen(sched_policies[i]->name) + 2 < sizeof(list); i++)
		strcat(strcat(list, " "), sched_policies[i]->name);
	return bad_value(p, name, "no policy is called '%s'; there are:%s", value, list);
}

/* Lab files: paths are relative to the file's own folder. Lives until the program ends. */
static const char *lab_relative(const struct parse *p, const char *path)
{
	const char *slash = p->lab_path ? strrchr(p->lab_path, '/') : NULL;
	char *joined;

	if (!slash || path[0] == '/' || !strcmp(path, "-") || !strcmp(path, "none"))
		return path;
	if (asprintf(&joined, "%.*s/%s", (int)(slash - p->lab_path), p->lab_path, path) < 0)
		return path;
	return joined;
}

static const char *keep(const struct parse *p, const char *value)
{
	char *copy = p->lab_path ? strdup(value) : NULL;

	return copy ? copy : value;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.';
}

static bool name_is_taken(const struct parse *p, const struct machine_desc *self, const char *name)
{
	for (unsigned i = 0; i < p->opts->nmachines; i++)
		if (&p->opts->machines[i] != self && !strcmp(p->opts->machines[i].name, name))
			return true;
	return false;
}

static bool set_name(struct parse *p, struct machine_desc *m, const char *name)
{
	size_t n = strlen(name);

	if (!n || n >= MACHINE_MAX_NAME || name[0] == '.')
		return bad_value(p, "name", "'%s' is not 1 to %d letters, digits, - _ .", name,
				 MACHINE_MAX_NAME - 1);
	for (size_t i = 0; i < n; i++)
		if (!is_name_char(name[i]))
			return bad_value(p, "name", "'%s' has other than letters, digits, - _ .",
					 name);
	if (name_is_taken(p, m, name))
		return bad_value(p, "name", "two machines are called '%s'", name);
	snprintf(m->name, sizeof(m->name), "%s", name);
	return true;
}

/* A name from the image's file name: "dir/child-a.elf" is "child-a", the next one "child-a-2". */
static void name_after_image(struct parse *p, struct machine_desc *m, const char *image)
{
	const char *base = strrchr(image, '/');
	char stem[MACHINE_MAX_NAME - 8];
	size_t n = 0;

	base = base ? base + 1 : image;
	while (base[n] && base[n] != '.' && n < sizeof(stem) - 1) {
		stem[n] = is_name_char(base[n]) ? base[n] : '_';
		n++;
	}
	stem[n] = 0;
	snprintf(m->name, sizeof(m->name), "%s", n ? stem : "vm");
	for (unsigned i = 2; name_is_taken(p, m, m->name); i++)
		snprintf(m->name, sizeof(m->name), "%s-%u", n ? stem : "vm", i);
}

static struct machine_desc *new_machine(struct parse *p)
{
	struct run_options *o = p->opts;

	if (o->nmachines == RUN_MAX_MACHINES) {
		p->status = cmd_usage_error(p->cmd, "more than %d machines", RUN_MAX_MACHINES);
		return NULL;
	}
	p->current = &o->machines[o->nmachines++];
	*p->current = p->defaults;
	return p->current;
}

static bool add_image(struct parse *p, const char *image)
{
	struct machine_desc *m = new_machine(p);

	if (!m)
		return false;
	m->image = image;
	name_after_image(p, m, image);
	return true;
}

static bool add_firmware(struct parse *p, const char *path)
{
	if (!add_image(p, path))
		return false;
	p->current->is_firmware = true;
	return true;
}

static bool add_symbols(struct parse *p, const char *value)
{
	if (p->nsymbols == MAX_SYMBOL_ARGS)
		return bad_value(p, "symbols", "given more than %d times", MAX_SYMBOL_ARGS);
	p->symbols[p->nsymbols].value = value;
	p->symbols[p->nsymbols++].machine = p->current ? (int)(p->current - p->opts->machines) : -1;
	return true;
}

static bool add_disk(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	char err[DEVICE_SPEC_ERR_BYTES];

	if (m->ndisks == MACHINE_MAX_DISKS)
		return bad_value(p, name, "more than %d disks", MACHINE_MAX_DISKS);
	if (!device_spec_disk(lab_relative(p, value), &m->disk[m->ndisks++], err))
		return bad_value(p, name, "%s", err);
	unsigned ide = 0;

	for (unsigned i = 0; i < m->ndisks; i++)
		ide += m->disk[i].is_ide;
	return ide <= MACHINE_MAX_IDE_DISKS || bad_value(p, name, "more than %d IDE disks", MACHINE_MAX_IDE_DISKS);
}

static bool add_cdrom(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	if (m->ncdroms == MACHINE_MAX_CDROMS)
		return bad_value(p, name, "more than %d drives", MACHINE_MAX_CDROMS);
	m->cdrom[m->ncdroms++] = lab_relative(p, value);
	return true;
}

static bool add_module(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	if (m->nmodules == MACHINE_MAX_MODULES)
		return bad_value(p, name, "more than %d modules", MACHINE_MAX_MODULES);
	char *path = strdup(lab_relative(p, value)); /* until the program ends */

	if (!path)
		return bad_value(p, name, "out of host memory");
	char *gap = strchr(path, ' ');

	if (gap)
		*gap++ = 0;
	m->module[m->nmodules++] = (struct machine_module){path, gap};
	return path[0] || bad_value(p, name, "'%s' names no file", value);
}

static bool set_entry(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	static const char *const words[] = {"16", "32", "64"};
	unsigned i;

	if (!take_word(p, name, value, words, ARRAY_SIZE(words), &i))
		return false;
	m->entry = 16u << i;
	return true;
}

static bool set_net(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	char err[DEVICE_SPEC_ERR_BYTES];

	return device_spec_net(value, &m->net, err) || bad_value(p, name, "%s", err);
}

static bool set_reset(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	static const char *const words[] = {"exit", "reboot"};
	unsigned i;

	if (!take_word(p, name, value, words, ARRAY_SIZE(words), &i))
		return false;
	m->reboots = i == 1;
	m->reset_given = true;
	return true;
}

static bool set_triple_fault(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	static const char *const words[] = {"stop", "reset"};
	unsigned i;

	if (!take_word(p, name, value, words, ARRAY_SIZE(words), &i))
		return false;
	m->triple_resets = i == 1;
	return true;
}

/* TIME/PERIOD */
static bool set_reserve(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	const char *slash = strchr(value, '/');
	char *first = slash ? strndup(value, (size_t)(slash - value)) : NULL, *at = NULL;
	bool ok = first && !value_parse_time_ns(first, &m->reserve_ns) &&
		  !value_parse_time_ns(slash + 1, &m->reserve_period_ns);

	free(first);
	if (!ok || m->reserve_ns < 10 * NS_PER_US || m->reserve_period_ns < NS_PER_MS / 2 ||
	    m->reserve_period_ns > 2 * NS_PER_SEC)
		return bad_value(p, name, "'%s' is not TIME/PERIOD, as 2ms/10ms, with a time from 10us on in a period from 500us to 2s", value);
	if (m->reserve_ns > m->reserve_period_ns)
		return bad_value(p, name, "'%s' is more time than the period has", value);
	if (p->lab_path && asprintf(&at, "%s:%d: reserve", p->lab_path, p->lab_line) < 0)
		at = NULL;
	m->reserve_at = at ? at : "--reserve";
	return true;
}

/* threads, threads=fs, threads=gs, threads=SIZE */
static bool set_track(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	const char *by = !strcmp(value, "threads") ? "16K" : !strncmp(value, "threads=", 8) ? value + 8 : NULL;
	u64 bytes = 0;

	if (by && (!strcmp(by, "fs") || !strcmp(by, "gs"))) {
		m->threads_by = *by == 'f' ? MACHINE_THREADS_FS : MACHINE_THREADS_GS;
		return true;
	}
	if (!by || value_parse_size(by, &bytes) || bytes < 1024 || bytes > MIB || bytes & (bytes - 1))
		return bad_value(p, name, "'%s' is not threads, threads=fs, threads=gs or threads=SIZE, with the size of a "
				 "kernel stack, a power of two from 1K to 1M", value);
	m->threads_by = MACHINE_THREADS_STACK;
	m->stack_bytes = (unsigned)bytes;
	return true;
}

/* Options of a machine. *@known is false when @key is none. */
static bool apply_machine(struct parse *p, const char *name, int key, const char *value,
			  bool *known)
{
	struct machine_desc *m = p->current ? p->current : &p->defaults;

	switch (key) {
	case KEY_INITRD:
		m->initrd = lab_relative(p, value);
		return !p->lab_path || lab_file_is_there(p, name, m->initrd);
	case KEY_MODULE: return add_module(p, m, name, value);
	case KEY_ENTRY: return set_entry(p, m, name, value);
	case 'a': m->append = value; return true;
	case 'm': return take_memory(p, name, value, &m->memory_bytes);
	case 'c': return take_unsigned(p, name, value, MACHINE_MAX_CPUS, &m->cpus);
	case KEY_WEIGHT: return take_unsigned(p, name, value, MACHINE_MAX_WEIGHT, &m->weight);
	case KEY_RESERVE: return set_reserve(p, m, name, value);
	case KEY_TRACK: return set_track(p, m, name, value);
	case KEY_DECLARE: m->declares = true; return true;
	case KEY_FENCE: m->fence = keep(p, value); return true;
	case KEY_CPU_MODEL: m->cpu_model = value; return true;
	case 'n':
		if (!p->current)
			return bad_value(p, name,
					 "stands before the first image; put it after its IMAGE");
		return set_name(p, m, value);
	case KEY_SERIAL: m->serial = lab_relative(p, value); return true;
	case KEY_INPUT: m->input = lab_relative(p, value); return true;
	case KEY_DISK: return add_disk(p, m, name, value);
	case KEY_CDROM: return add_cdrom(p, m, name, value);
	case KEY_NET: return set_net(p, m, name, value);
	case KEY_CONSOLE: m->console = lab_relative(p, value); return true;
	case KEY_RNG: m->rng = true; return true;
	case KEY_RESET: return set_reset(p, m, name, value);
	case KEY_TRIPLE_FAULT: return set_triple_fault(p, m, name, value);
	case KEY_VGA_DUMP: m->vga_dump = lab_relative(p, value); return true;
	case KEY_SYMBOLS: return add_symbols(p, lab_relative(p, value));
	}
	*known = false;
	return true;
}

static bool apply_debug(struct parse *p, const char *name, int key, const char *value, bool *known)
{
	static const char *const engines[] = {"interp", "jit", "check"};
	static const char *const tlbs[] = {"normal", "audit", "adversarial", "strict"};
	struct run_options *o = p->opts;
	const char *bad;
	unsigned i;

	switch (key) {
	case KEY_TRACE_EXEC: o->trace_exec = value; return true;
	case KEY_COUNT:
		if (o->ncounts == COUNTS_MAX)
			return bad_value(p, name, "there are 32 already");
		o->count_text[o->ncounts++] = keep(p, value);
		return true;
	case KEY_GDB: return take_unsigned(p, name, value, 65535, &o->gdb_port);
	case KEY_ENGINE:
		if (!take_word(p, name, value, engines, ARRAY_SIZE(engines), &i))
			return false;
		o->engine = (enum run_engine)(RUN_ENGINE_INTERP + i);
		return true;
	case KEY_JIT_OFF:
		bad = jit_parse_groups(value, &o->jit_off);
		return bad ? bad_value(p, name, "no group of instructions is called '%s'", bad) : true;
	case KEY_TLB:
		if (!take_word(p, name, value, tlbs, ARRAY_SIZE(tlbs), &i))
			return false;
		o->tlb = (enum run_tlb)i;
		return true;
	case KEY_VTLB_MEMORY: return take_size(p, name, value, 256 * KIB, 4 * GIB, "256K to 4G", &o->vtlb_memory);
	case KEY_VTLB_NODES: return take_unsigned(p, name, value, VTLB_NODES_MAX, &o->vtlb_nodes);
	case KEY_JIT_MEMORY: return take_size(p, name, value, 128 * KIB, GIB, "128K to 1G", &o->jit_memory);
	case KEY_DETECT_STALE: o->detect_stale = true; return true;
	case KEY_STATS: o->stats = true; return true;
	case KEY_VMX_COVERAGE: o->vmx_coverage = true; return true;
	case KEY_EXPLAIN: o->explain = true; return true;
	case KEY_NO_VMCS_SHADOWING: o->no_vmcs_shadowing = true; return true;
	case KEY_LOG:
		bad = log_set_mask(value);
		return bad ? bad_value(p, name, "no subsystem is called '%s'", bad) : true;
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
		return bad_value(p, name, "'%s' is not NAME=TIME with a time up to 1ms", item);
	*eq = 0;
	for (char *c = item; *c; c++)
		*c = *c == '-' ? '_' : *c;
	if (!take_word(p, name, item, names, ARRAY_SIZE(names), &i))
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
static bool apply_run(struct parse *p, const char *name, int key, const char *value, bool *known)
{
	static const char *const clocks[] = {"virtual", "host"};
	static const char *const idles[] = {"skip", "real"};
	struct run_options *o = p->opts;
	unsigned i;

	switch (key) {
	case KEY_CLOCK:
		if (!take_word(p, name, value, clocks, ARRAY_SIZE(clocks), &i))
			return false;
		o->clock = (enum run_clock)i;
		p->clock_given = true;
		return true;
	case KEY_IDLE:
		if (!take_word(p, name, value, idles, ARRAY_SIZE(idles), &i))
			return false;
		o->idle = (enum run_idle)i;
		return true;
	case 'w': return take_unsigned(p, name, value, RUN_MAX_WORKERS, &o->workers);
	case KEY_PARKING: return o->parking = true;
	case KEY_TOPOLOGY:
		return !topology_parse(&o->topology, value) ||
		       bad_value(p, name, "'%s' is not flat, host or NODESxCORESxTHREADS, as 2x4x2", value);
	case KEY_SCHED: return take_policy(p, name, value);
	case KEY_SLICE: return take_time(p, name, value, &o->slice_ns);
	case KEY_INSN_TIME:
		return take_time(p, name, value, &o->insn_ns) &&
		       (o->insn_ns <= NS_PER_US || bad_value(p, name, "'%s' is above 1us", value));
	case KEY_CHARGE: return take_charges(p, name, value);
	case KEY_FOR: return take_time(p, name, value, &o->for_ns);
	case KEY_TIMEOUT: return take_time(p, name, value, &o->timeout_ns);
	case KEY_SEED: return take_number(p, name, value, 0, UINT64_MAX, &o->seed);
	case 'r': o->record = true; return true;
	case KEY_FLIGHT: return take_size(p, name, value, 256 * KIB, 16 * GIB, "256K to 16G", &o->flight_bytes);
	case KEY_ON: o->flight_on = value; return true;
	case 'v': o->view = true; return true;
	case 'o': o->output = lab_relative(p, value); return true;
	}
	*known = false;
	return true;
}

static const char *option_name(int key)
{
	for (size_t i = 0; i < RUN_CMD_NOPTIONS; i++)
		if (run_cmd_options[i].name && run_cmd_options[i].key == key)
			return run_cmd_options[i].name;
	return "?";
}

/* A machine's options come first: `name` of an option tells which ones a [machine] may hold. */
static bool apply(struct parse *p, int key, const char *value)
{
	const char *name = option_name(key);
	bool known = true, ok;

	if (key == 'k')
		return add_image(p, value);
	if (key == KEY_FIRMWARE)
		return add_firmware(p, value);
	ok = apply_machine(p, name, key, value, &known);
	if (!known) {
		known = true;
		ok = apply_run(p, name, key, value, &known);
	}
	if (!known)
		ok = apply_debug(p, name, key, value, &known);
	return ok;
}

/* The machine whose section ends here can be started. */
static bool lab_machine_is_whole(struct parse *p)
{
	if (!p->current || p->current->image)
		return true;
	p->lab_line = p->machine_line;
	return bad_value(p, "image", "machine %s has none; add image = FILE", p->current->name);
}

static bool lab_machine(void *arg, const char *name, int line)
{
	struct parse *p = arg;

	if (!lab_machine_is_whole(p))
		return false;
	struct machine_desc *m = new_machine(p);

	p->lab_line = p->machine_line = line;
	return m && set_name(p, m, name);
}

/* A flag in a lab file is on with yes, true, on or 1. */
static bool lab_flag(struct parse *p, int key, const char *name, const char *value)
{
	static const char *const words[] = {"no", "false", "off", "0", "yes", "true", "on", "1"};
	unsigned i;

	if (!take_word(p, name, value, words, ARRAY_SIZE(words), &i))
		return false;
	return i < ARRAY_SIZE(words) / 2 ? true : apply(p, key, NULL);
}

/* The machine could not start: say so where its file is named. */
static bool lab_file_is_there(struct parse *p, const char *name, const char *path)
{
	if (!access(path, R_OK))
		return true;
	bad_value(p, name, "%s: %s", path, strerror(errno));
	p->status = EXIT_CODE_BAD_IMAGE;
	return false;
}

/* No such key: say where it belongs, or which ones there are. */
static bool bad_key(struct parse *p, const char *name, bool in_host)
{
	char list[1024] = "";
	bool is_machine_option = true;

	for (size_t i = 0; i < RUN_CMD_NOPTIONS; i++) {
		const char *n = run_cmd_options[i].name;

		if (!n)
			is_machine_option = i == 0;
		else if (!strcmp(n, name) && is_machine_option == in_host)
			return bad_value(p, name, "no key of %s; it belongs under %s", in_host ? "[host]" : "[machine NAME]",
					 in_host ? "[machine NAME]" : "[host]");
		else if (is_machine_option != in_host && strlen(list) + strlen(n) + 2 < sizeof(list))
			strcat(strcat(list, " "), run_cmd_options[i].key == 'k' ? "image" : n);
	}
	return bad_value(p, name, "no such key; %s has:%s", in_host ? "[host]" : "[machine NAME]", list);
}

static bool lab_set(void *arg, bool in_host, const char *name, const char *value, int line)
{
	struct parse *p = arg;
	const struct cmd_option *o = NULL;
	bool is_machine_option = true;

	p->lab_line = line;
	if (!in_host && (!strcmp(name, "image") || !strcmp(name, "kernel") || !strcmp(name, "firmware"))) {
		p->current->image = lab_relative(p, keep(p, value));
		p->current->is_firmware = name[0] == 'f';
		return lab_file_is_there(p, name, p->current->image);
	}
	for (size_t i = 0; i < RUN_CMD_NOPTIONS && !o; i++) {
		const char *n = run_cmd_options[i].name;

		/* the headings split the table: the first group is the machine's */
		if (!n)
			is_machine_option = i == 0;
		else if (!strcmp(n, name) && run_cmd_options[i].key != 'k')
			o = &run_cmd_options[i];
	}
	if (!o || is_machine_option == in_host)
		return bad_key(p, name, in_host);
	return o->arg ? apply(p, o->key, keep(p, value)) : lab_flag(p, o->key, name, value);
}

static bool add_lab(struct parse *p, const char *path)
{
	const struct lab_reader reader = {lab_machine, lab_set, p};
	char error[LAB_ERROR_BYTES];

	p->lab_path = path;
	p->had_lab = true;
	if (lab_read(path, &reader, error)) {
		if (p->status == RUN_PARSE_OK)
			p->status = cmd_error(p->cmd, EXIT_CODE_USAGE, "%s", error);
		return false;
	}
	if (!lab_machine_is_whole(p))
		return false;
	p->lab_path = NULL;
	p->current = NULL;
	return true;
}

/* Hand each --symbols to its machine, now that all names are known. */
static bool resolve_symbols(struct parse *p)
{
	for (unsigned i = 0; i < p->nsymbols; i++) {
		const char *value = p->symbols[i].value, *eq = strchr(value, '=');
		int only = p->symbols[i].machine;

		for (unsigned k = 0; eq && k < p->opts->nmachines; k++) {
			const char *name = p->opts->machines[k].name;

			if (strlen(name) == (size_t)(eq - value) &&
			    !strncmp(name, value, strlen(name))) {
				only = (int)k;
				value = eq + 1;
				eq = NULL;
			}
		}
		for (int k = 0; k < (int)p->opts->nmachines; k++) {
			struct machine_desc *m = &p->opts->machines[k];

			if (only >= 0 && k != only)
				continue;
			if (m->nsymbols == MACHINE_MAX_SYMBOLS)
				return bad_value(p, "symbols", "more than %d files for machine %s",
						 MACHINE_MAX_SYMBOLS, m->name);
			m->symbols[m->nsymbols++] = value;
		}
	}
	return true;
}

int run_parse(const struct cmd *cmd, int argc, char **argv, struct run_options *opts)
{
	struct parse p = {
		.cmd = cmd,
		.opts = opts,
		.defaults = {.memory_bytes = MACHINE_DEFAULT_MEMORY, .cpus = 1},
		.status = RUN_PARSE_OK,
	};
	struct cmd_args args;
	int key;

	*opts = (struct run_options){
		.slice_ns = 10 * NS_PER_MS, .insn_ns = 1, .seed = 1, .record = cmd == &cmd_record};
	cmd_args_init(&args, cmd, argc, argv);
	while ((key = cmd_args_next(&args)) != CMD_END) {
		bool ok;

		if (key == CMD_HELP || key == CMD_ERROR)
			return cmd_args_status(key);
		if (key == CMD_POSITIONAL)
			ok = lab_is_lab_file(args.value) ? add_lab(&p, args.value)
							 : add_image(&p, args.value);
		else
			ok = apply(&p, key, args.value);
		if (!ok)
			return p.status;
	}
	if (!opts->nmachines && (p.defaults.ndisks || p.defaults.ncdroms) && !add_firmware(&p, DEFAULT_FIRMWARE))
		return p.status;
	for (unsigned i = 0; i < opts->nmachines; i++)
		if (opts->machines[i].is_firmware && !opts->machines[i].reset_given)
			opts->machines[i].reboots = true;
	if (!resolve_symbols(&p))
		return p.status;
	if (!p.clock_given)
		opts->clock = p.had_lab || opts->engine == RUN_ENGINE_CHECK ? RUN_CLOCK_VIRTUAL : RUN_CLOCK_HOST;
	return run_check(cmd, opts);
}
