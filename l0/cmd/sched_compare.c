/* nestor sched-compare: one lab under each scheduling policy, in one table. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "l0/cmd/run_parse.h"
#include "l0/cmd/run_report.h"
#include "l0/cmd/sched_compare.h"
#include "l0/cmd/value.h"
#include "l0/lab/lab.h"
#include "l0/sched/sched.h"

enum { KEY_JSON = CMD_KEY_LONG, KEY_PHASES, KEY_FOR, KEY_POLICY, KEY_NO_ALONE };

static const struct cmd_option compare_options[] = {
	{"policy", KEY_POLICY, "NAME", "Compare this policy only; may be repeated (default: all)."},
	{"phases", KEY_PHASES, "N",
	 "Run each policy N times, the real-time guests' timers of the first machine shifted by "
	 "10ms/N each time, those of the second by twice that and so on, and give means (default "
	 "1)."},
	{"for", KEY_FOR, "TIME", "Length of each run in guest time, instead of the lab file's."},
	{"no-alone", KEY_NO_ALONE, NULL,
	 "Do not run each machine alone on the host. Without that the fair share is the one by "
	 "weight."},
	{"json", KEY_JSON, NULL, "Print one JSON object instead of a table."},
};

#define MAX_POLICIES 8u
#define PHASE_SPAN_US 10000u

struct comparison {
	const struct cmd *cmd;
	const char *lab, *length;
	const char *policy[MAX_POLICIES];
	unsigned npolicies;
	u64 phases;
	bool json, no_alone;
};

#define ALL_MACHINES (-1)

/* One run: what is different from others of the lab. */
struct one_run {
	const char *policy;
	u64 phase_us;
	int only; /* this machine alone, or ALL_MACHINES */
};

/* --- one run, in a process of its own --- */

static int run_here(const struct comparison *c, const struct one_run *one,
		    struct run_report *report)
{
	static struct run_options opts;
	const char *argv[10] = {"run", "--serial", "none"};
	int n = 3;

	argv[n++] = c->lab;
	argv[n++] = "--sched";
	argv[n++] = one->policy;
	if (c->length) {
		argv[n++] = "--for";
		argv[n++] = c->length;
	}
	int status = run_parse(&cmd_run, n, (char **)argv, &opts);
	if (status != RUN_PARSE_OK)
		return status;
	if (!opts.for_ns)
		return cmd_usage_error(
			c->cmd, "%s: [host] says no length; add for = 2s, or give --for", c->lab);
	opts.report = report;
	opts.engine = RUN_ENGINE_JIT; /* the same virtual times, sooner */
	if (one->only != ALL_MACHINES) {
		opts.machines[0] = opts.machines[one->only];
		opts.nmachines = 1;
	}
	for (unsigned i = 0; i < opts.nmachines; i++) {
		struct machine_desc *m = &opts.machines[i];
		if (!m->append)
			continue;
		if (one->phase_us)
			m->append = truth_shift(m->append, one->phase_us * (i + 1) % PHASE_SPAN_US);
		truth_read(m->append, &report->machine[i]);
	}
	status = machine_run(&opts);
	/* how a guest ends is its own affair: what it did until then is in the report */
	return report->ran_for_ns && (status & 1 || status == EXIT_CODE_GUEST) ? EXIT_CODE_OK
									       : status;
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

static void run_child(const struct comparison *c, const struct one_run *one, int fd)
{
	static struct run_report report;
	int status = run_here(c, one, &report);

	if (status == EXIT_CODE_OK && write(fd, &report, sizeof(report)) != (ssize_t)sizeof(report))
		status = EXIT_CODE_HOST;
	fflush(NULL);
	_exit(status);
}

/* Return: the run's exit status; @report is valid with EXIT_CODE_OK. */
static int run_apart(const struct comparison *c, const struct one_run *one,
		     struct run_report *report)
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
		run_child(c, one, fd[1]);
	}
	close(fd[1]);
	int err = read_all(fd[0], report, sizeof(*report));
	close(fd[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) != EXIT_CODE_OK)
		return WEXITSTATUS(status);
	if (!WIFEXITED(status) || err)
		return cmd_error(c->cmd, EXIT_CODE_HOST, "the run under %s ended abnormally",
				 one->policy);
	return EXIT_CODE_OK;
}

/* --- several phases: sums and maxima --- */

static void add_part(struct run_report_part *to, const struct run_report_part *p)
{
	if (!p->settled_ns || !to->settled_ns)
		to->settled_ns = 0;
	else
		to->settled_ns = MAX(to->settled_ns, p->settled_ns);
	to->r_min_ns = MIN(to->r_min_ns, p->r_min_ns);
	to->r_max_ns = MAX(to->r_max_ns, p->r_max_ns);
	to->r_last_ns = p->r_last_ns;
	to->r_sum_ns += p->r_sum_ns;
	to->c_sum_ns += p->c_sum_ns;
	to->r_off_ppm += p->r_off_ppm;
	to->jobs += p->jobs;
}

static void add_guest(struct run_report_guest *to, const struct run_report_guest *g)
{
	to->misses += g->misses;
	to->early_misses += g->early_misses;
	to->jobs += g->jobs;
	to->late_us = MAX(to->late_us, g->late_us);
	to->work += g->work;
	to->work_at_ns += g->work_at_ns;
	to->last_miss_ns = MAX(to->last_miss_ns, g->last_miss_ns);
	to->r_ns = g->r_ns;
	to->x_ns = g->x_ns;
	to->y_ns = g->y_ns;
	to->work_ns = g->work_ns;
	to->reason = g->reason;
	memcpy(to->why, g->why, sizeof(to->why));
	to->refusals += g->refusals;
	for (u32 i = 0; i < g->nparts; i++)
		add_part(&to->part[i], &g->part[i]);
}

static void add_report(struct run_report *to, const struct run_report *r)
{
	if (!to->nmachines) {
		*to = *r;
		return;
	}
	to->ran_for_ns += r->ran_for_ns;
	to->host_cpu_ns += r->host_cpu_ns;
	for (u32 i = 0; i < r->nmachines; i++) {
		struct run_report_machine *a = &to->machine[i];
		const struct run_report_machine *b = &r->machine[i];
		a->ran_ns += b->ran_ns;
		a->waited_ns += b->waited_ns;
		a->delay_ns += b->delay_ns;
		a->stays += b->stays;
		a->moves += b->moves;
		a->far_moves += b->far_moves;
		a->switches += b->switches;
		a->charged_switch_ns += b->charged_switch_ns;
		a->charged_exit_ns += b->charged_exit_ns;
		a->tlb_misses += b->tlb_misses;
		a->code_misses += b->code_misses;
		a->stopped_ns = MAX(a->stopped_ns, b->stopped_ns);
		a->longest_wait_ns = MAX(a->longest_wait_ns, b->longest_wait_ns);
		for (u32 g = 0; g < RUN_REPORT_GUESTS; g++)
			add_guest(&a->guest[g], &b->guest[g]);
	}
}

/* Each machine without the others: what it takes then is what it wants. */
static int run_alone(const struct comparison *c, u32 nmachines, struct compare_alone *alone)
{
	static struct run_report r;

	for (u32 i = 0; i < nmachines; i++) {
		const struct one_run one = {.policy = "rr", .only = (int)i};
		int status = run_apart(c, &one, &r);
		if (status != EXIT_CODE_OK)
			return status;
		alone->row[i] = compare_row_of(&r, alone, 0);
	}
	alone->known = true;
	return EXIT_CODE_OK;
}

static void note_phase(struct compare_phases *phases, const struct run_report *r)
{
	for (u32 i = 0; i < r->nmachines; i++)
		for (u32 g = 0; g < RUN_REPORT_GUESTS; g++) {
			phases->of[phases->n][i].jobs += r->machine[i].guest[g].jobs;
			phases->of[phases->n][i].misses += r->machine[i].guest[g].misses;
			phases->of[phases->n][i].early += r->machine[i].guest[g].early_misses;
		}
	phases->n++;
}

static void note_ripple(struct run_report *r)
{
	for (u32 i = 0; i < r->nmachines; i++)
		for (u32 g = 0; g < RUN_REPORT_GUESTS; g++)
			for (u32 k = 0; k < r->machine[i].guest[g].nparts; k++) {
				struct run_report_part *p = &r->machine[i].guest[g].part[k];
				u64 mean_ns = p->jobs ? p->r_sum_ns / p->jobs : 0;
				if (mean_ns)
					p->r_off_ppm =
						MAX(mean_ns - p->r_min_ns, p->r_max_ns - mean_ns) *
						1000000 / mean_ns;
			}
}

static int run_phases(const struct comparison *c, const char *policy, struct run_report *sum,
		      struct compare_phases *phases)
{
	static struct run_report report;

	*sum = (struct run_report){0};
	*phases = (struct compare_phases){0};
	for (u64 k = 0; k < c->phases; k++) {
		const struct one_run one = {policy, k * PHASE_SPAN_US / c->phases, ALL_MACHINES};
		int status = run_apart(c, &one, &report);
		if (status != EXIT_CODE_OK)
			return status;
		note_ripple(&report);
		add_report(sum, &report);
		note_phase(phases, &report);
	}
	return EXIT_CODE_OK;
}

static void print_alone(const struct comparison *c, const struct run_report *r,
			const struct compare_alone *alone)
{
	if (!c->json)
		compare_text_head();
	else
		printf("{");
	if (alone->known && c->json)
		compare_json_alone(r, alone);
	else if (alone->known)
		compare_text_alone(r, alone);
	if (c->json)
		printf("\"policies\": [");
}

static int compare(struct comparison *c)
{
	static struct run_report sum;
	static struct compare_alone alone;
	static struct compare_phases phases;

	for (unsigned i = 0; i < c->npolicies; i++) {
		int status = run_phases(c, c->policy[i], &sum, &phases);
		if (status == EXIT_CODE_OK && i == 0 && !c->no_alone)
			status = run_alone(c, sum.nmachines, &alone);
		if (status != EXIT_CODE_OK)
			return status;
		if (i == 0)
			print_alone(c, &sum, &alone);
		if (c->json)
			compare_json_policy(c->policy[i], &sum, &phases, &alone, i == 0);
		else
			compare_text_policy(c->policy[i], &sum, &alone);
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
	case KEY_NO_ALONE: c->no_alone = true; return EXIT_CODE_OK;
	case KEY_POLICY: return take_policy(c, value);
	case KEY_PHASES:
		if (value_parse_u64(value, &c->phases) || !c->phases ||
		    c->phases > COMPARE_MAX_PHASES)
			return cmd_usage_error(c->cmd,
					       "--phases: '%s' is not a whole number from 1 to %u",
					       value, COMPARE_MAX_PHASES);
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
			return cmd_usage_error(
				c->cmd, "'%s' is no lab file (its name ends in .ini)", value);
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
	.synopsis = "[--policy NAME]... [--phases N] [--for TIME] [--no-alone] [--json] LAB.ini",
	.brief = "Run a lab under each scheduling policy and compare",
	.details = "For each machine: jobs and missed deadlines by its guests' own counts (> 1 s: "
		   "after the first "
		   "second), worst lateness, longest wait for a processor, CPU time beside its "
		   "fair share (by weight, "
		   "among those who want more), switches. Below that, for each real-time guest, "
		   "what the scheduler "
		   "inferred (qos) beside the truth: period and work are those of the lab file, X "
		   "is compared with the "
		   "mean CPU time that its machine needed from arrival to completion; then what "
		   "became of its "
		   "reservation, how long it took until both period and work were within 10 % for "
		   "eight jobs in a "
		   "row, and on what that rests. First each machine alone on the host. Counts of "
		   "several phases are "
		   "added up; guests of l1-child tell theirs at each miss and each hundredth job. "
		   "Guests run translated: virtual times are the same in both engines.",
	.examples = "nestor sched-compare docs/labs/lab1.ini\n"
		    "nestor sched-compare --policy rr --policy qos --phases 8 docs/labs/lab1.ini",
	.options = compare_options,
	.noptions = ARRAY_SIZE(compare_options),
	.run = compare_main,
};
