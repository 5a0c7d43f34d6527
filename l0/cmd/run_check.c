#include "l0/cmd/run_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "l0/cmd/count_spec.h"
#include "l0/cmd/run_parse.h"
#include "l0/sched/sched.h"

#define MAX_OUTPUT_NUMBER 100000

/* A file that we shall read later: is it there, a file, readable? @what: its key. */
static int check_file(const struct cmd *cmd, int status, const struct machine_desc *m,
		      const char *what, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	const struct place *at = place_find(m->places, what, NULL);

	/* a lab file says the path where it is named; a command line does not need that twice */
	if (at && at->line)
		what = at->text;
	const char *gap = at && at->line ? ":" : "";

	if (fd < 0)
		return cmd_error(cmd, status, "%s%s %s: %s", what, gap, path, strerror(errno));
	if (fstat(fd, &st))
		st.st_mode = 0;
	close(fd);
	if (S_ISDIR(st.st_mode))
		return cmd_error(cmd, status, "%s%s %s: it is a folder; name a file", what, gap,
				 path);
	return RUN_PARSE_OK;
}

static int check_machine(const struct cmd *cmd, const struct machine_desc *m)
{
	int status;

	if (!m->image)
		return cmd_usage_error(cmd, "machine %s has no image", m->name);
	if (m->is_firmware && (m->initrd || m->append || m->nmodules || m->entry))
		return cmd_usage_error(cmd,
				       "machine %s starts in its firmware, which loads what its "
				       "disks have: no --initrd, --module, "
				       "--append or --entry",
				       m->name);
	status = check_file(cmd, EXIT_CODE_BAD_IMAGE, m, "image", m->image);
	if (status == RUN_PARSE_OK && m->initrd)
		status = check_file(cmd, EXIT_CODE_BAD_IMAGE, m, "initrd", m->initrd);
	if (status == RUN_PARSE_OK && m->input)
		status = check_file(cmd, EXIT_CODE_USAGE, m, "input", m->input);
	for (unsigned i = 0; i < m->ncpu_changes && status == RUN_PARSE_OK; i++)
		if (m->cpu_change[i].cpu >= m->cpus)
			return cmd_usage_error(
				cmd,
				"%s: machine %s has no processor %u, but %u of them, from 0 on",
				place_text(m->places, "cpu-hotplug", NULL), m->name,
				m->cpu_change[i].cpu, m->cpus);
	return status;
}

static bool dir_is_empty(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	bool empty = true;

	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			empty = false;
	if (d)
		closedir(d);
	return empty;
}

/* Make the folder named by -o; a recording never mixes with what is there already. */
static int make_output(const struct cmd *cmd, const struct run_options *o)
{
	if (mkdir(o->output, 0777) && errno != EEXIST)
		return cmd_error(cmd, EXIT_CODE_HOST, "output folder %s: %s", o->output,
				 strerror(errno));
	if (access(o->output, W_OK | X_OK))
		return cmd_error(cmd, EXIT_CODE_HOST, "output folder %s: %s", o->output,
				 strerror(errno));
	if (o->record && !dir_is_empty(o->output))
		return cmd_usage_error(
			cmd, "output folder %s is not empty; name another or remove it", o->output);
	return RUN_PARSE_OK;
}

/* The first ./nestor-trace-N that does not exist yet. */
static int make_default_output(const struct cmd *cmd, struct run_options *o)
{
	static char path[64];

	for (int n = 1; n < MAX_OUTPUT_NUMBER; n++) {
		snprintf(path, sizeof(path), "./nestor-trace-%d", n);
		if (!mkdir(path, 0777)) {
			o->output = path;
			return RUN_PARSE_OK;
		}
		if (errno != EEXIST)
			return cmd_error(cmd, EXIT_CODE_HOST,
					 "output folder %s: %s; name another with -o", path,
					 strerror(errno));
	}
	return cmd_error(cmd, EXIT_CODE_HOST, "./nestor-trace-N: all taken; name one with -o");
}

/* Does anything go to the output folder? */
static bool needs_output(const struct run_options *o)
{
	bool terminal_is_free = o->nmachines == 1 && !o->view;

	if (o->record)
		return true;
	for (unsigned i = 0; i < o->nmachines; i++)
		if (!o->machines[i].serial && !terminal_is_free)
			return true;
	return false;
}

static void default_workers(struct run_options *o)
{
	unsigned vps = 0;
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (!o->workers && o->topology.n && !o->topology.from_host)
		o->workers = o->topology.n;
	if (o->workers)
		return;
	for (unsigned i = 0; i < o->nmachines; i++)
		vps += o->machines[i].cpus;
	if (o->clock == RUN_CLOCK_VIRTUAL)
		o->workers = 1;
	else
		o->workers = online > 0 && (unsigned)online < vps ? (unsigned)online : vps;
	o->workers = MIN(o->workers, (unsigned)RUN_MAX_WORKERS);
}

static int check_nets(const struct cmd *cmd, const struct run_options *o)
{
	for (unsigned i = 0; i < o->nmachines; i++)
		if (o->machines[i].net.user && o->clock == RUN_CLOCK_VIRTUAL &&
		    o->idle != RUN_IDLE_REAL)
			return cmd_usage_error(cmd,
					       "%s: the network does not wait for virtual time; "
					       "add clock host, or idle real",
					       place_text(o->machines[i].places, "net", NULL));
	return RUN_PARSE_OK;
}

/* Are the reservations together within what the workers can give? */
static int check_reserves(const struct cmd *cmd, const struct run_options *o)
{
	u64 ppm = 0, limit = o->workers * (u64)SCHED_RESERVE_MAX_PPM;

	for (unsigned i = 0; i < o->nmachines; i++) {
		const struct machine_desc *m = &o->machines[i];
		if (!m->reserve_ns)
			continue;
		u64 own = m->reserve_ns * 1000000 / m->reserve_period_ns;
		if (own > SCHED_RESERVE_MAX_PPM || ppm + own > limit)
			return cmd_usage_error(cmd,
					       "%s: machine %s: %lu.%lu %% of a processor, and "
					       "%lu.%lu %% are reserved "
					       "already; at most %lu %% of each of %u",
					       place_text(m->places, "reserve", NULL), m->name,
					       own / 10000, own / 1000 % 10, ppm / 10000,
					       ppm / 1000 % 10, (u64)SCHED_RESERVE_MAX_PPM / 10000,
					       o->workers);
		ppm += own;
	}
	for (unsigned i = 0; ppm && i < o->nmachines; i++)
		if (o->machines[i].reserve_ns && strcmp(o->sched, "qos") &&
		    strcmp(o->sched, "qos+state"))
			return cmd_usage_error(
				cmd, "%s: needs the policy qos or qos+state, and this is %s",
				place_text(o->machines[i].places, "reserve", NULL), o->sched);
	return RUN_PARSE_OK;
}

static int check_serials(const struct cmd *cmd, const struct run_options *o)
{
	unsigned on_terminal = 0;

	for (unsigned i = 0; i < o->nmachines; i++)
		on_terminal += (o->machines[i].serial && !strcmp(o->machines[i].serial, "-")) ||
			       (o->machines[i].console && !strcmp(o->machines[i].console, "-"));
	if (on_terminal > 1)
		return cmd_usage_error(
			cmd, "--serial -, --console -: only one machine can have this terminal");
	if (on_terminal && o->view)
		return cmd_usage_error(
			cmd, "--view and --serial - or --console - both want this terminal");
	return RUN_PARSE_OK;
}

int run_check(const struct cmd *cmd, struct run_options *o)
{
	int status;

	if (!o->nmachines)
		return cmd_usage_error(cmd, "no image given");
	for (unsigned i = 0; i < o->nmachines; i++) {
		status = check_machine(cmd, &o->machines[i]);
		if (status != RUN_PARSE_OK)
			return status;
	}
	for (unsigned i = 0; i < o->ncounts; i++) {
		char err[COUNT_SPEC_ERR_BYTES];
		if (!count_spec_parse(o, o->count_text[i], &o->counts[i], err))
			return cmd_usage_error(cmd, "%s: %s: %s",
					       place_text(o->places, "count", o->count_text[i]),
					       o->count_text[i], err);
	}
	for (unsigned i = 0; i < o->nmachines; i++) {
		char err[COUNT_SPEC_ERR_BYTES];
		if (o->machines[i].fence && !count_spec_fence(o, i, &o->fence[i], err))
			return cmd_usage_error(cmd, "%s: %s",
					       place_text(o->machines[i].places, "fence", NULL),
					       err);
	}
	if (!o->sched)
		o->sched = o->nmachines > 1 ? "qos" : "rr";
	if (o->engine == RUN_ENGINE_CHECK && o->clock != RUN_CLOCK_VIRTUAL)
		return cmd_usage_error(cmd,
				       "%s: check needs the virtual clock: nothing else may touch "
				       "memory meanwhile",
				       place_text(o->places, "engine", NULL));
	if (o->idle == RUN_IDLE_REAL && o->clock != RUN_CLOCK_VIRTUAL)
		return cmd_usage_error(cmd, "%s: real needs the virtual clock",
				       place_text(o->places, "idle", NULL));
	for (unsigned i = 0; i < RUN_CHARGES; i++)
		if (o->charge_ns[i] && o->clock != RUN_CLOCK_VIRTUAL)
			return cmd_usage_error(cmd, "%s: needs the virtual clock",
					       place_text(o->places, "charge", NULL));
	if (o->flight_on && !o->flight_bytes)
		return cmd_usage_error(cmd, "%s: needs --flight (flight = SIZE)",
				       place_text(o->places, "on", NULL));
	o->record |= o->flight_bytes != 0;
	status = check_serials(cmd, o);
	if (status == RUN_PARSE_OK)
		status = check_nets(cmd, o);
	if (status != RUN_PARSE_OK)
		return status;
	if (o->view && !(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))) {
		cmd_error(cmd, 0, "no terminal here, so the run goes on without --view");
		o->view = false;
	}
	default_workers(o);
	if (o->topology.n && o->workers > o->topology.n)
		return cmd_usage_error(cmd, "%s: %u, but the topology has only %u processors",
				       place_text(o->places, "workers", NULL), o->workers,
				       o->topology.n);
	status = check_reserves(cmd, o);
	if (status != RUN_PARSE_OK)
		return status;
	if (o->output)
		return make_output(cmd, o);
	return needs_output(o) ? make_default_output(cmd, o) : RUN_PARSE_OK;
}
