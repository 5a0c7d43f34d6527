/* Options of a machine, and the machines themselves. */
#include "l0/cmd/run_parse_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "l0/cmd/device_spec.h"
#include "l0/cmd/value.h"
#include "l0/exit/cpuid.h"

static bool take_memory(struct parse *p, const char *name, const char *value, u64 *out)
{
	u64 n;

	if (value_parse_size(value, &n))
		return parse_bad(p, name, "'%s' is not a size, as 64M or 2G", value);
	if (n < MACHINE_MIN_MEMORY || n > MACHINE_MAX_MEMORY || !IS_ALIGNED(n, PAGE_SIZE))
		return parse_bad(p, name, "%s is impossible: 1M to 512G in whole 4K pages", value);
	*out = n;
	return true;
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

bool parse_machine_name(struct parse *p, struct machine_desc *m, const char *name)
{
	size_t n = strlen(name);

	if (!n || n >= MACHINE_MAX_NAME || name[0] == '.')
		return parse_bad(p, "name", "'%s' is not 1 to %d letters, digits, - _ .", name,
				 MACHINE_MAX_NAME - 1);
	for (size_t i = 0; i < n; i++)
		if (!is_name_char(name[i]))
			return parse_bad(p, "name", "'%s' has other than letters, digits, - _ .",
					 name);
	if (name_is_taken(p, m, name))
		return parse_bad(p, "name", "two machines are called '%s'", name);
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

struct machine_desc *parse_new_machine(struct parse *p)
{
	struct run_options *o = p->opts;

	if (o->nmachines == RUN_MAX_MACHINES) {
		if (p->lab_path)
			parse_bad(p, "machine", "there are more than %d", RUN_MAX_MACHINES);
		else
			p->status =
				cmd_usage_error(p->cmd, "more than %d machines", RUN_MAX_MACHINES);
		return NULL;
	}
	p->current = &o->machines[o->nmachines++];
	*p->current = p->defaults;
	return p->current;
}

bool parse_image(struct parse *p, const char *image)
{
	struct machine_desc *m = parse_new_machine(p);

	if (!m)
		return false;
	m->image = image;
	name_after_image(p, m, image);
	return true;
}

bool parse_firmware(struct parse *p, const char *path)
{
	if (!parse_image(p, path))
		return false;
	p->current->is_firmware = true;
	return true;
}

static bool add_symbols(struct parse *p, const char *value)
{
	if (p->nsymbols == MAX_SYMBOL_ARGS)
		return parse_bad(p, "symbols", "given more than %d times", MAX_SYMBOL_ARGS);
	p->symbols[p->nsymbols].value = value;
	p->symbols[p->nsymbols].at =
		p->lab_path ? place_text(p->current->places, "symbols", NULL) : "--symbols";
	p->symbols[p->nsymbols++].machine = p->current ? (int)(p->current - p->opts->machines) : -1;
	return true;
}

static bool add_disk(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	char err[DEVICE_SPEC_ERR_BYTES];

	if (m->ndisks == MACHINE_MAX_DISKS)
		return parse_bad(p, name, "more than %d disks", MACHINE_MAX_DISKS);
	char *text = parse_copy(p, parse_path(p, value));

	if (!text)
		return parse_bad(p, name, "out of host memory");
	if (!device_spec_disk(text, &m->disk[m->ndisks++], err))
		return parse_bad(p, name, "%s", err);
	if (p->lab_path && !parse_file_is_there(p, name, m->disk[m->ndisks - 1].path))
		return false;
	unsigned ide = 0;

	for (unsigned i = 0; i < m->ndisks; i++)
		ide += m->disk[i].is_ide;
	return ide <= MACHINE_MAX_IDE_DISKS ||
	       parse_bad(p, name, "more than %d IDE disks", MACHINE_MAX_IDE_DISKS);
}

static bool add_cdrom(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	if (m->ncdroms == MACHINE_MAX_CDROMS)
		return parse_bad(p, name, "more than %d drives", MACHINE_MAX_CDROMS);
	m->cdrom[m->ncdroms++] = parse_path(p, value);
	return !p->lab_path || parse_file_is_there(p, name, m->cdrom[m->ncdroms - 1]);
}

static bool add_module(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	if (m->nmodules == MACHINE_MAX_MODULES)
		return parse_bad(p, name, "more than %d modules", MACHINE_MAX_MODULES);
	char *path = parse_copy(p, parse_path(p, value));

	if (!path)
		return parse_bad(p, name, "out of host memory");
	char *gap = strchr(path, ' ');

	if (gap)
		*gap++ = 0;
	m->module[m->nmodules++] = (struct machine_module){path, gap};
	if (!path[0])
		return parse_bad(p, name, "'%s' names no file", value);
	return !p->lab_path || parse_file_is_there(p, name, path);
}

static bool set_entry(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	static const char *const words[] = {"16", "32", "64"};
	unsigned i;

	if (!parse_word(p, name, value, words, ARRAY_SIZE(words), &i))
		return false;
	m->entry = 16u << i;
	return true;
}

static bool set_net(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	char err[DEVICE_SPEC_ERR_BYTES], *text = parse_copy(p, value);

	if (!text)
		return parse_bad(p, name, "out of host memory");
	return device_spec_net(text, &m->net, err) || parse_bad(p, name, "%s", err);
}

static bool set_reset(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	static const char *const words[] = {"exit", "reboot"};
	unsigned i;

	if (!parse_word(p, name, value, words, ARRAY_SIZE(words), &i))
		return false;
	m->reboots = i == 1;
	m->reset_given = true;
	return true;
}

static bool set_triple_fault(struct parse *p, struct machine_desc *m, const char *name,
			     const char *value)
{
	static const char *const words[] = {"stop", "reset"};
	unsigned i;

	if (!parse_word(p, name, value, words, ARRAY_SIZE(words), &i))
		return false;
	m->triple_resets = i == 1;
	return true;
}

/* TIME/PERIOD */
static bool set_reserve(struct parse *p, struct machine_desc *m, const char *name,
			const char *value)
{
	const char *slash = strchr(value, '/');
	char *first = slash ? strndup(value, (size_t)(slash - value)) : NULL;
	bool ok = first && !value_parse_time_ns(first, &m->reserve_ns) &&
		  !value_parse_time_ns(slash + 1, &m->reserve_period_ns);

	free(first);
	if (!ok || m->reserve_ns < 10 * NS_PER_US || m->reserve_period_ns < NS_PER_MS / 2 ||
	    m->reserve_period_ns > 2 * NS_PER_SEC)
		return parse_bad(p, name,
				 "'%s' is not TIME/PERIOD, as 2ms/10ms, with a time from 10us on "
				 "in a period from 500us to 2s",
				 value);
	if (m->reserve_ns > m->reserve_period_ns)
		return parse_bad(p, name, "'%s' is more time than the period has", value);
	return true;
}

/* One TIME-N or TIME+N, in @item. */
static bool add_cpu_change(struct parse *p, struct machine_desc *m, const char *name, char *item)
{
	char *sign = strpbrk(item, "+-");
	bool plug = sign && *sign == '+';
	u64 at_ns, cpu;

	if (m->ncpu_changes == MACHINE_MAX_CPU_CHANGES)
		return parse_bad(p, name, "more than %d changes", MACHINE_MAX_CPU_CHANGES);
	if (sign)
		*sign = 0;
	if (!sign || value_parse_time_ns(item, &at_ns) || value_parse_u64(sign + 1, &cpu)) {
		if (sign)
			*sign = plug ? '+' : '-';
		return parse_bad(p, name, "'%s' is not TIME-N or TIME+N, as 2s-3", item);
	}
	if (!cpu || cpu >= MACHINE_MAX_CPUS)
		return parse_bad(p, name,
				 "processor %lu cannot come or go: 1 to %d can, with --cpus", cpu,
				 MACHINE_MAX_CPUS - 1);
	m->cpu_change[m->ncpu_changes].at_ns = at_ns;
	m->cpu_change[m->ncpu_changes].cpu = (unsigned)cpu;
	m->cpu_change[m->ncpu_changes++].plug = plug;
	return true;
}

static bool set_cpu_hotplug(struct parse *p, struct machine_desc *m, const char *name,
			    const char *value)
{
	char *copy = strdup(value), *rest = copy, *item;
	bool ok = copy;

	m->cpu_hotplug = true;
	if (strcmp(value, "on") != 0)
		while (ok && (item = strsep(&rest, ",")))
			ok = add_cpu_change(p, m, name, item);
	free(copy);
	return ok;
}

/* threads, threads=fs, threads=gs, threads=SIZE */
static bool set_track(struct parse *p, struct machine_desc *m, const char *name, const char *value)
{
	const char *by = !strcmp(value, "threads")	  ? "16K"
			 : !strncmp(value, "threads=", 8) ? value + 8
							  : NULL;
	u64 bytes = 0;

	if (by && (!strcmp(by, "fs") || !strcmp(by, "gs"))) {
		m->threads_by = *by == 'f' ? MACHINE_THREADS_FS : MACHINE_THREADS_GS;
		return true;
	}
	if (!by || value_parse_size(by, &bytes) || bytes < 1024 || bytes > MIB ||
	    bytes & (bytes - 1))
		return parse_bad(p, name,
				 "'%s' is not threads, threads=fs, threads=gs or threads=SIZE, "
				 "with the size of a "
				 "kernel stack, a power of two from 1K to 1M",
				 value);
	m->threads_by = MACHINE_THREADS_STACK;
	m->stack_bytes = (unsigned)bytes;
	return true;
}

static bool is_cpu_model(struct parse *p, const char *name, const char *value)
{
	char list[256] = "";

	for (u32 i = 0; cpu_model_name(i); i++) {
		if (!strcmp(cpu_model_name(i), value))
			return true;
		strncat(list, " ", sizeof(list) - strlen(list) - 1);
		strncat(list, cpu_model_name(i), sizeof(list) - strlen(list) - 1);
	}
	return parse_bad(p, name, "no model is called '%s'; there are:%s", value, list);
}

/* The machine could not start: say so where its file is named. */
bool parse_file_is_there(struct parse *p, const char *name, const char *path)
{
	struct stat st;

	if (path[0] && !access(path, R_OK) && !stat(path, &st) &&
	    (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)))
		return true;
	if (!path[0])
		parse_bad(p, name, "no file is named");
	else if (!access(path, R_OK))
		parse_bad(p, name, "%s: neither a file nor a disk", path);
	else
		parse_bad(p, name, "%s: %s", path, strerror(errno));
	p->status = EXIT_CODE_BAD_IMAGE;
	return false;
}

/* Options of a machine. *@known is false when @key is none. */
bool parse_machine_option(struct parse *p, const char *name, int key, const char *value,
			  bool *known)
{
	struct machine_desc *m = p->current ? p->current : &p->defaults;

	switch (key) {
	case KEY_INITRD:
		m->initrd = parse_path(p, value);
		return !p->lab_path || parse_file_is_there(p, name, m->initrd);
	case KEY_MODULE: return add_module(p, m, name, value);
	case KEY_ENTRY: return set_entry(p, m, name, value);
	case 'a': m->append = value; return true;
	case 'm': return take_memory(p, name, value, &m->memory_bytes);
	case 'c': return parse_unsigned(p, name, value, MACHINE_MAX_CPUS, &m->cpus);
	case KEY_CPU_HOTPLUG: return set_cpu_hotplug(p, m, name, value);
	case KEY_WEIGHT: return parse_unsigned(p, name, value, MACHINE_MAX_WEIGHT, &m->weight);
	case KEY_RESERVE: return set_reserve(p, m, name, value);
	case KEY_TRACK: return set_track(p, m, name, value);
	case KEY_DECLARE: m->declares = true; return true;
	case KEY_FENCE: m->fence = value; return true;
	case KEY_CPU_MODEL: m->cpu_model = value; return is_cpu_model(p, name, value);
	case 'n':
		if (!p->current)
			return parse_bad(p, name,
					 "stands before the first image; put it after its IMAGE");
		return parse_machine_name(p, m, value);
	case KEY_SERIAL: m->serial = parse_path(p, value); return true;
	case KEY_INPUT:
		m->input = parse_path(p, value);
		return !p->lab_path || parse_file_is_there(p, name, m->input);
	case KEY_DISK: return add_disk(p, m, name, value);
	case KEY_CDROM: return add_cdrom(p, m, name, value);
	case KEY_NET: return set_net(p, m, name, value);
	case KEY_CONSOLE: m->console = parse_path(p, value); return true;
	case KEY_RNG: m->rng = true; return true;
	case KEY_RESET: return set_reset(p, m, name, value);
	case KEY_TRIPLE_FAULT: return set_triple_fault(p, m, name, value);
	case KEY_VGA_DUMP: m->vga_dump = parse_path(p, value); return true;
	case KEY_SYMBOLS: return add_symbols(p, parse_path(p, value));
	}
	*known = false;
	return true;
}

/* Hand each --symbols to its machine, now that all names are known. */
bool parse_symbols(struct parse *p)
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
				return parse_bad(p, "symbols", "more than %d files for machine %s",
						 MACHINE_MAX_SYMBOLS, m->name);
			m->symbols_at[m->nsymbols] = p->symbols[i].at;
			m->symbols[m->nsymbols++] = value;
		}
	}
	return true;
}
