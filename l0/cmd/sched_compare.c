/* nestor sched-compare: one lab under each scheduling policy, in one table. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "l0/arch/events.h"
#include "l0/cmd/run_parse.h"
#include "l0/cmd/run_report.h"
#include "l0/cmd/value.h"
#include "l0/lab/lab.h"
#include "l0/sched/sched.h"

enum { KEY_JSON = CMD_KEY_LONG, KEY_PHASES, KEY_FOR, KEY_POLICY };

static const struct cmd_option compare_options[] = {
	{"policy", KEY_POLICY, "NAME", "Compare this policy only; may be repeated (default: all)."},
	{"phases", KEY_PHASES, "N", "Run each policy N times, the real-time guests' timers of the first machine shifted by 10ms/N each time, those of the second by twice that and so on, and give means (default 1)."},
	{"for", KEY_FOR, "TIME", "Length of each run in guest time, instead of the lab file's."},
	{"json", KEY_JSON, NULL, "Print one JSON object instead of a table."},
};

#define MAX_PHASES 100u
#define MAX_POLICIES 8u
#define PHASE_SPAN_US 10000u

struct comparison {
	const struct cmd *cmd;
	const char *lab, *length;
	const char *policy[MAX_POLICIES];
	unsigned npolicies;
	u64 phases;
	bool json, printed;
};

/* --- one run, in a process of its own --- */

/* The guest's own phase, if it states one in its @word of @n bytes, in us. */
static u64 own_phase_us(const char *word, size_t n)
{
	static const char key[] = ",phase=";
	const char *at = memmem(word, n, key, sizeof(key) - 1);
	char *text = at ? strndup(at + sizeof(key) - 1, strcspn(at + sizeof(key) - 1, ", ")) : NULL;
	u64 ns = 0;

	if (text && value_parse_time_ns(text, &ns))
		ns = 0;
	free(text);
	return ns / NS_PER_US;
}

/* @append with ",phase=…" behind each real-time guest; lives until the process ends. */
static const char *with_phase(const char *append, u64 phase_us)
{
	static const char rt[] = "guest=rt";
	size_t room = strlen(append) * 4 + 64;
	char *out = calloc(1, room), *to = out;

	if (!out)
		return append;
	while (*append) {
		size_t word = strcspn(append, " \t");
		bool is_rt = !strncmp(append, rt, sizeof(rt) - 1);
		to += snprintf(to, room - (size_t)(to - out), "%.*s", (int)word, append);
		if (is_rt)
			to += snprintf(to, room - (size_t)(to - out), ",phase=%luus",
				       own_phase_us(append, word) + phase_us);
		append += word;
		while (*append == ' ' || *append == '\t')
			*to++ = *append++;
	}
	return out;
}

static int run_here(const struct comparison *c, const char *policy, u64 phase_us, struct run_report *report)
{
	static struct run_options opts;
	const char *argv[10] = {"run", "--serial", "none"};
	int n = 3;

	argv[n++] = c->lab;
	argv[n++] = "--sched";
	argv[n++] = policy;
	if (c->length) {
		argv[n++] = "--for";
		argv[n++] = c->length;
	}
	int status = run_parse(&cmd_run, n, (char **)argv, &opts);
	if (status != RUN_PARSE_OK)
		return status;
	if (!opts.for_ns)
		return cmd_usage_error(c->cmd, "%s: [host] says no length; add for = 2s, or give --for", c->lab);
	opts.report = report;
	opts.engine = RUN_ENGINE_JIT; /* the same virtual times, sooner */
	for (unsigned i = 0; i < opts.nmachines; i++)
		if (phase_us && opts.machines[i].append)
			opts.machines[i].append =
				with_phase(opts.machines[i].append, phase_us * (i + 1) % PHASE_SPAN_US);
	return machine_run(&opts);
}

static int read_all(int fd, void *buf, size_t n)
{
	for (char *at = buf; n;) {
		ssize_t got = read(fd, at, n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -EIO;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

static void run_child(const struct comparison *c, const char *policy, u64 phase_us, int fd)
{
	static struct run_report report;
	int status = run_here(c, policy, phase_us, &report);

	if (status == EXIT_CODE_OK && write(fd, &report, sizeof(report)) != (ssize_t)sizeof(report))
		status = EXIT_CODE_HOST;
	fflush(NULL);
	_exit(status);
}

/* Return: the run's exit status; @report is valid with EXIT_CODE_OK. */
static int run_apart(const struct comparison *c, const char *policy, u64 phase_us, struct run_report *report)
{
	int fd[2], status;

	fflush(NULL);
	if (pipe(fd))
		return cmd_error(c->cmd, EXIT_CODE_HOST, "pipe: %s", strerror(errno));
	pid_t pid = fork();
	if (pid < 0)
		return cmd_error(c->cmd, EXIT_CODE_HOST, "fork: %s", strerror(errno));
	if (pid == 0) {
		close(fd[0]);
		run_child(c, policy, phase_us, fd[1]);
	}
	close(fd[1]);
	int err = read_all(fd[0], report, sizeof(*report));
	close(fd[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) != EXIT_CODE_OK)
		return WEXITSTATUS(status);
	if (!WIFEXITED(status) || err)
		return cmd_error(c->cmd, EXIT_CODE_HOST, "the run under %s ended abnormally", policy);
	return EXIT_CODE_OK;
}

/* --- several phases: sums and maxima --- */

static void add_guest(struct run_report_guest *to, const struct run_report_guest *g)
{
	to->misses += g->misses;
	to->early_misses += g->early_misses;
	to->jobs += g->jobs;
	to->late_us = MAX(to->late_us, g->late_us);
	to->work += g->work;
}

static void add_report(struct run_report *to, const struct run_report *r)
{
	u64 ran_for_ns = to->ran_for_ns + r->ran_for_ns;

	if (!to->nmachines) {
		*to = *r;
		return;
	}
	to->ran_for_ns = ran_for_ns;
	for (u32 i = 0; i < r->nmachines; i++) {
		struct run_report_machine *a = &to->machine[i];
		const struct run_report_machine *b = &r->machine[i];
		a->ran_ns += b->ran_ns;
		a->waited_ns += b->waited_ns;
		a->switches += b->switches;
		a->refusals += b->refusals;
		a->longest_wait_ns = MAX(a->longest_wait_ns, b->longest_wait_ns);
		a->x_ns = b->x_ns;
		a->y_ns = b->y_ns;
		a->r_ns = b->r_ns;
		a->reason = b->reason;
		for (u32 g = 0; g < RUN_REPORT_GUESTS; g++)
			add_guest(&a->guest[g], &b->guest[g]);
	}
}

/* --- printing --- */

struct row {
	u64 jobs, misses, early, late_us, work;
	double cpu, fair; /* percent of all workers */
};

static struct row row_of(const struct run_report *r, u32 i)
{
	const struct run_report_machine *m = &r->machine[i];
	double all = (double)r->ran_for_ns * r->workers, weights = 0;
	struct row row = {0};

	for (u32 k = 0; k < r->nmachines; k++)
		weights += r->machine[k].weight;
	for (u32 g = 0; g < RUN_REPORT_GUESTS; g++) {
		row.jobs += m->guest[g].jobs;
		row.misses += m->guest[g].misses;
		row.early += m->guest[g].early_misses;
		row.late_us = MAX(row.late_us, m->guest[g].late_us);
		row.work += m->guest[g].work;
	}
	row.cpu = 100.0 * (double)m->ran_ns / all;
	row.fair = 100.0 * m->weight / weights;
	return row;
}

static const char *reason_text(u32 reason)
{
	for (u32 i = 0; i < event_enum_count; i++)
		if (!strcmp(event_enums[i]->name, "reserve_reason"))
			return event_enum_text(event_enums[i], reason);
	return NULL;
}

static void print_text(const char *policy, const struct run_report *r)
{
	double seconds = (double)r->ran_for_ns / 1e9, idle = 100;

	printf("%-8s %-10s %7s %7s %7s %9s %7s %7s %9s %9s  %s\n", policy, "machine", "jobs", "missed", "settled",
	       "late us", "CPU %", "fair %", "switch/s", "gap ms", "inferred X / Y, reserved R");
	for (u32 i = 0; i < r->nmachines; i++) {
		const struct run_report_machine *m = &r->machine[i];
		const struct row row = row_of(r, i);
		const char *why = reason_text(m->reason);

		idle -= row.cpu;
		printf("%-8s %-10s %7lu %7lu %7lu %9lu %7.2f %7.2f %9.0f %9.2f  ", "", m->name, row.jobs, row.misses,
		       row.misses - row.early, row.late_us, row.cpu, row.fair, (double)m->switches / seconds,
		       (double)m->longest_wait_ns / 1e6);
		if (m->reason)
			printf("%.3f / %.3f ms, %.3f ms %s", (double)m->x_ns / 1e6, (double)m->y_ns / 1e6,
			       (double)m->r_ns / 1e6, why ? why : "");
		else
			printf("-");
		printf(m->refusals ? " (refused %u times)\n" : "\n", m->refusals);
	}
	printf("%-8s idle %.2f %%\n\n", "", idle < 0 ? 0 : idle);
}

static void print_json(const char *policy, const struct run_report *r, bool first)
{
	printf("%s\n  {\"policy\": \"%s\", \"ran_for_ns\": %lu, \"workers\": %u, \"machines\": [", first ? "" : ",", policy,
	       r->ran_for_ns, r->workers);
	for (u32 i = 0; i < r->nmachines; i++) {
		const struct run_report_machine *m = &r->machine[i];
		const struct row row = row_of(r, i);
		const char *why = reason_text(m->reason);

		printf("%s\n    {\"name\": \"%s\", \"weight\": %u, \"jobs\": %lu, \"missed\": %lu, \"missed_settled\": %lu, "
		       "\"late_us\": %lu, \"work\": %lu, \"cpu_percent\": %.3f, \"fair_percent\": %.3f, \"switches\": %lu, "
		       "\"longest_wait_ns\": %lu, \"x_ns\": %lu, \"y_ns\": %lu, \"r_ns\": %lu, \"reservation\": \"%s\", "
		       "\"refusals\": %u}",
		       i ? "," : "", m->name, m->weight, row.jobs, row.misses, row.misses - row.early, row.late_us,
		       row.work, row.cpu, row.fair, m->switches, m->longest_wait_ns, m->x_ns, m->y_ns, m->r_ns,
		       why ? why : "", m->refusals);
	}
	printf("]}");
}

static int compare(struct comparison *c)
{
	for (unsigned i = 0; i < c->npolicies; i++) {
		static struct run_report sum, one;

		sum = (struct run_report){0};
		for (u64 k = 0; k < c->phases; k++) {
			int status = run_apart(c, c->policy[i], k * PHASE_SPAN_US / c->phases, &one);
			if (status != EXIT_CODE_OK)
				return status;
			add_report(&sum, &one);
		}
		if (c->json && i == 0)
			printf("{\"policies\": [");
		if (c->json)
			print_json(c->policy[i], &sum, i == 0);
		else
			print_text(c->policy[i], &sum);
	}
	if (c->json)
		printf("]}\n");
	return EXIT_CODE_OK;
}

static int take_policy(struct comparison *c, const char *name)
{
	if (!sched_policy_lookup(name))
		return cmd_usage_error(c->cmd, "--policy: no policy is called '%s'", name);
	if (c->npolicies == MAX_POLICIES)
		return cmd_usage_error(c->cmd, "--policy: given more than %u times", MAX_POLICIES);
	c->policy[c->npolicies++] = name;
	return EXIT_CODE_OK;
}

static int take_option(struct comparison *c, int key, const char *value)
{
	u64 ns;

	switch (key) {
	case KEY_JSON: c->json = true; return EXIT_CODE_OK;
	case KEY_POLICY: return take_policy(c, value);
	case KEY_PHASES:
		if (value_parse_u64(value, &c->phases) || !c->phases || c->phases > MAX_PHASES)
			return cmd_usage_error(c->cmd, "--phases: '%s' is not a whole number from 1 to %u", value,
					       MAX_PHASES);
		return EXIT_CODE_OK;
	case KEY_FOR:
		if (value_parse_time_ns(value, &ns) || !ns)
			return cmd_usage_error(c->cmd, "--for: '%s' is not a time above 0", value);
		c->length = value;
		return EXIT_CODE_OK;
	case CMD_POSITIONAL:
		if (c->lab)
			return cmd_usage_error(c->cmd, "one lab file at a time");
		if (!lab_is_lab_file(value))
			return cmd_usage_error(c->cmd, "'%s' is no lab file (its name ends in .ini)", value);
		c->lab = value;
		return EXIT_CODE_OK;
	default: return cmd_args_status(key);
	}
}

static int compare_main(const struct cmd *cmd, int argc, char **argv)
{
	struct comparison c = {.cmd = cmd, .phases = 1};
	struct cmd_args args;
	int key;

	cmd_args_init(&args, cmd, argc, argv);
	while ((key = cmd_args_next(&args)) != CMD_END) {
		int status = take_option(&c, key, args.value);
		if (status != EXIT_CODE_OK || key == CMD_HELP)
			return status;
	}
	if (!c.lab)
		return cmd_usage_error(cmd, "no lab file given");
	if (!c.npolicies)
		for (; sched_policies[c.npolicies]; c.npolicies++)
			c.policy[c.npolicies] = sched_policies[c.npolicies]->name;
	return cmd_finish_output(compare(&c));
}

const struct cmd cmd_sched_compare = {
	.name = "sched-compare",
	.synopsis = "[--policy NAME]... [--phases N] [--for TIME] [--json] LAB.ini",
	.brief = "Run a lab under each scheduling policy and compare",
	.details = "For each machine: jobs and missed deadlines by its guests' own counts (settled: after the "
		   "first second), worst lateness, CPU time beside the share by weight, switches, longest wait for a "
		   "processor, and what the scheduler inferred and reserved last (qos). Counts of several phases "
		   "are added up.",
	.examples = "nestor sched-compare docs/labs/lab1.ini\n"
		    "nestor sched-compare --policy rr --policy qos --phases 8 docs/labs/lab1.ini",
	.options = compare_options,
	.noptions = ARRAY_SIZE(compare_options),
	.run = compare_main,
};
