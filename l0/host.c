#include "l0/host.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "l0/arch/ports.h"
#include "l0/cmd/exit_codes.h"
#include "l0/cmd/run_report.h"
#include "l0/dev/chardev.h"
#include "l0/engine/vec.h"
#include "l0/host_report.h"
#include "l0/host_view.h"
#include "l0/exit/coverage.h"
#include "l0/stats.h"
#include "l0/terminal.h"
#include "trace/summary.h"

#define DUMP_EVENTS 64u
#define HANGS_NS (3 * NS_PER_SEC)

static struct host *signalled; /* for the handlers, while a run lasts */

/* --- ending --- */

void host_stop(struct host *h, enum host_stop why)
{
	u32 running = HOST_RUNNING;

	__atomic_compare_exchange_n(&h->stop, &running, why, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	for (u32 i = 0; i < h->nworkers; i++) {
		struct vcpu *c = h->worker[i].vcpu;
		if (c)
			vp_request(&c->vp, VP_ATTN_REQUEST);
	}
}

/* The first ends the run, as does the timeout; what hangs all the same is ended by one that comes
 * some seconds later. */
static void on_signal(int sig)
{
	u64 first = 0, now;

	if (!signalled)
		return;
	now = clock_host_ns(&signalled->clock);
	if (!__atomic_compare_exchange_n(&signalled->first_signal_ns, &first, now, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) &&
	    now - first > HANGS_NS) {
		terminal_restore(signalled->terminal);
		signal(sig, SIG_DFL);
		raise(sig);
	}
	signalled->is_signalled = true;
	host_stop(signalled, sig == SIGALRM ? HOST_STOP_TIMEOUT : HOST_STOP_SIGNAL);
}

static void catch_signals(struct host *h)
{
	const struct sigaction act = {.sa_handler = on_signal};
	const struct sigaction ign = {.sa_handler = SIG_IGN};

	signalled = h;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	sigaction(SIGALRM, &act, NULL);
	sigaction(SIGPIPE, &ign, NULL);
	if (h->opts->timeout_ns) {
		struct itimerval it = {
			.it_value.tv_sec = (time_t)(h->opts->timeout_ns / NS_PER_SEC),
			.it_value.tv_usec = (suseconds_t)(h->opts->timeout_ns % NS_PER_SEC / 1000),
		};
		if (it.it_value.tv_sec == 0 && it.it_value.tv_usec == 0)
			it.it_value.tv_usec = 1;
		setitimer(ITIMER_REAL, &it, NULL);
	}
}

static void release_signals(void)
{
	const struct itimerval off = {0};

	setitimer(ITIMER_REAL, &off, NULL);
	signal(SIGALRM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signalled = NULL;
}

static bool is_abnormal(u32 cause)
{
	return cause == STOP_TRIPLE_FAULT || cause == STOP_UNSUPPORTED || cause == STOP_ERROR;
}

/* Of the processor that stopped it. */
static const char *stop_text(const struct machine *m)
{
	for (u32 v = 0; v < m->nvcpus; v++)
		if (m->vcpu[v].nv.stop_text[0])
			return m->vcpu[v].nv.stop_text;
	return "an error";
}

void host_machine_stopped(struct host *h, struct machine *m)
{
	if (is_abnormal(m->stop_cause)) {
		h->guest_failed = true;
		fprintf(stderr, "nestor: %s stopped: %s\n", m->desc->name, stop_text(m));
	}
	if (h->opts->report && worker_self)
		h->opts->report->machine[m->id].stopped_ns = worker_now(worker_self);
	__atomic_fetch_sub(&h->running, 1, __ATOMIC_SEQ_CST);
}

static void print_events(FILE *out, const struct transition *t, u32 n)
{
	for (; n; n--, t++) {
		const struct event_info *e = &event_infos[t->kind];
		const u64 *p = t->p;
		fprintf(out, "  %14llu L%u vcpu %#x %s", (unsigned long long)t->vtime_ns, t->level,
			t->vcpu_id, e->name);
		for (u32 i = 0; i < e->nfields; p += event_type_words(e->fields[i++].type)) {
			const struct event_field *f = &e->fields[i];
			char text[EVENT_NAME_BYTES];
			if (f->type == EVENT_TYPE_text)
				fprintf(out, " %s=\"%s\"", f->name, event_text_get(p, text));
			else if (f->type == EVENT_TYPE_enum && event_enum_text(f->enumeration, *p))
				fprintf(out, " %s=%s", f->name,
					event_enum_text(f->enumeration, *p));
			else
				fprintf(out, " %s=%#llx", f->name, (unsigned long long)*p);
		}
		fputc('\n', out);
	}
}

/* Names of its own code only: of what runs inside, L0 has no symbols. */
static void print_symbol(FILE *out, struct vcpu *c)
{
	char name[SYMBOLS_NAME_BYTES];

	if (!c->vp.in_l2 && machine_symbol(c->machine, c->vp.cpu.rip, name))
		fprintf(out, "  in %s\n", name);
}

void host_dump_vcpu(struct vcpu *c)
{
	vp_vec_park(&c->vp);
	fprintf(stderr, "nestor: %s, processor %u: %s\n", c->machine->desc->name, c->vp.id,
		c->nv.stop_text[0] ? c->nv.stop_text : "stopped");
	exit_dump(&c->vp, &c->nv, stderr);
	print_symbol(stderr, c);
	if (worker_self) {
		struct transition last[DUMP_EVENTS];
		u32 n = trace_ring_last(&worker_self->ring, last, DUMP_EVENTS, EVENT_NO_ID);
		print_events(stderr, last, n);
	}
}

/* --- serial ports --- */

static bool serial_is_terminal(const struct host *h, const struct machine_desc *d)
{
	if (d->serial)
		return strcmp(d->serial, "-") == 0;
	return h->opts->nmachines == 1 && !h->opts->view;
}

static int open_serial(struct host *h, u32 i)
{
	const struct machine_desc *d = &h->opts->machines[i];
	char path[TRACE_PATH_BYTES + MACHINE_MAX_NAME + 16];
	const char *name = d->serial;
	int err = 0;

	if (serial_is_terminal(h, d)) {
		h->serial[i] = chardev_open_fd(STDOUT_FILENO, false, true);
		return h->serial[i] ? 0 : -ENOMEM;
	}
	if (name && strcmp(name, "none") == 0)
		return 0;
	if (!name) {
		snprintf(path, sizeof(path), "%s/%s.serial", h->opts->output, d->name);
		name = path;
	}
	h->serial[i] = chardev_open_file(name, &err);
	if (!h->serial[i])
		fprintf(stderr, "nestor: %s: %s: cannot write the file %s: %s\n", d->name,
			place_text(d->places, "serial", NULL), name, strerror(-err));
	return err;
}

/* --- parts of a run --- */

static int start_clock(struct host *h)
{
	return clock_init(&h->clock,
			  h->opts->clock == RUN_CLOCK_VIRTUAL ? CLOCK_KIND_VIRTUAL
							      : CLOCK_KIND_HOST,
			  (u32)h->opts->insn_ns, 1, CLOCK_TSC_HZ_DEFAULT);
}

/* A run that cannot be traced goes on; the session has said why. */
static void start_session(struct host *h)
{
	if (!h->opts->record && !h->opts->view)
		return;
	const struct trace_session_config cfg = {
		.output = h->opts->record ? h->opts->output : NULL,
		.flight = {.bytes = h->opts->flight_bytes,
			   .kinds = h->opts->flight_kinds,
			   .wants = h->opts->flight_on ? h->opts->flight_wants : NULL,
			   .wants_arg = (void *)h->opts->flight_on},
		.live = h->opts->view, /* nestor view makes a live session of its own */
	};
	if (trace_session_start(&cfg, &h->session))
		h->session = NULL;
}

static int start_workers(struct host *h)
{
	const struct sched_policy *policy =
		sched_policy_lookup(h->opts->sched ? h->opts->sched : "rr");
	const struct sched_config cfg = {.policy = policy,
					 .workers = h->opts->workers,
					 .slice_ns = h->opts->slice_ns,
					 .parking = h->opts->parking,
					 .topology = &h->opts->topology};

	if (!policy) {
		fprintf(stderr, "nestor: no scheduling policy is called \"%s\"\n", h->opts->sched);
		return -EINVAL;
	}
	int err = sched_init(&h->sched, &cfg);

	if (err)
		return err;
	trace_hub_init(&h->hub);
	h->worker = calloc(cfg.workers, sizeof(*h->worker));
	if (!h->worker)
		return -ENOMEM;
	for (; h->nworkers < cfg.workers && !err; h->nworkers++)
		err = worker_init(&h->worker[h->nworkers], h, h->nworkers,
				  h->session ? trace_session_drain : NULL, h->session);
	return err ? err : worker_register_sinks(h);
}

static int start_exec_log(struct host *h)
{
	const char *path = h->opts->trace_exec;

	if (!path)
		return 0;
	h->exec_log = strcmp(path, "-") == 0 ? stderr : fopen(path, "w");
	if (h->exec_log)
		return 0;
	int err = errno;
	fprintf(stderr, "nestor: %s: %s: %s\n", place_text(h->opts->places, "trace-exec", NULL),
		path, strerror(err));
	return -err;
}

static int start_machine(struct host *h, u32 i)
{
	const struct machine_desc *d = &h->opts->machines[i];
	char line[512];
	int status;

	if (open_serial(h, i))
		return EXIT_CODE_HOST;
	chardev_hurry(h->serial[i], &h->is_signalled);
	struct machine *m = machine_create(h, i, d, h->serial[i], h->console, &status);
	if (!m)
		return status;
	h->machine[h->nmachines++] = m;
	chardev_hurry(m->console_out, &h->is_signalled);
	if (d->input && input_script_load(m, d->input, line, sizeof(line))) {
		fprintf(stderr, "nestor: %s: %s: %s\n", d->name,
			place_text(d->places, "input", NULL), line);
		return EXIT_CODE_USAGE;
	}
	if ((serial_is_terminal(h, d) || m->console_is_terminal) && !d->input && !h->terminal)
		h->terminal = terminal_open(h, m);
	return EXIT_CODE_OK;
}

/* Every processor is ready once; those that wait for a start-up IPI block again at once. */
static int release_machines(struct host *h)
{
	struct worker *w = worker_self = &h->worker[0];

	h->running = h->nmachines;
	for (u32 i = 0; i < h->nmachines; i++) {
		struct machine *m = h->machine[i];
		machine_emit_state(m, w, true);
		m->next_state_ns = NS_PER_SEC;
		for (u32 v = 0; v < m->nvcpus; v++) {
			if (sched_add(&h->sched, &m->vcpu[v].sched))
				return -ENOMEM;
			if (h->exec_log)
				vp_request(&m->vcpu[v].vp, VP_ATTN_TRACE);
			if (v == 0)
				sched_wake(&h->sched, &m->vcpu[v].sched, 0, NULL);
		}
	}
	worker_self = NULL;
	return 0;
}

static bool gdb_stop_wanted(void *arg)
{
	return ((struct host *)arg)->stop != HOST_RUNNING;
}

static void gdb_feed(void *arg, struct trace_worker *worker, const struct transition *t)
{
	(void)worker;
	gdb_on_transition(arg, t);
}

static int start_gdb(struct host *h)
{
	u32 n = 0;
	int err;

	if (!h->opts->gdb_port)
		return 0;
	for (u32 i = 0; i < h->nmachines; i++)
		n += h->machine[i]->nvcpus;
	h->gdb_cpus = calloc(n, sizeof(*h->gdb_cpus));
	if (!h->gdb_cpus)
		return -ENOMEM;
	n = 0;
	for (u32 i = 0; i < h->nmachines; i++)
		for (u32 v = 0; v < h->machine[i]->nvcpus; v++, n++) {
			struct vcpu *c = &h->machine[i]->vcpu[v];

			h->gdb_cpus[n].vp = &c->vp;
			h->gdb_cpus[n].nv = &c->nv;
			h->gdb_cpus[n].track = &c->track;
			h->gdb_cpus[n].machine = h->machine[i]->desc->name;
			h->gdb_cpus[n].hotplug = h->machine[i]->hotplug;
			snprintf(h->gdb_cpus[n].name, sizeof(h->gdb_cpus[n].name),
				 "%s processor %u", h->machine[i]->desc->name, v);
		}
	h->gdb = gdb_open((u16)h->opts->gdb_port, h->gdb_cpus, n, gdb_stop_wanted, h, &err);
	if (!h->gdb) {
		fprintf(stderr, "nestor: --gdb %u: %s; choose another port\n", h->opts->gdb_port,
			strerror(-err));
		return err;
	}
	const struct transition_sink sink = {.kinds = GDB_KINDS, .feed = gdb_feed, .arg = h->gdb};
	err = trace_hub_add(&h->hub, &sink);
	if (err)
		return err;
	fprintf(stderr, "nestor: waiting for gdb on port %u\n", h->opts->gdb_port);
	return 0;
}

/*
 * LTTng keeps a ring for each host CPU. In a flight recorder's, a thread that moves from one to
 * another and back leaves old events in the one and a hole behind them: its threads do not move.
 */
static void pin(const struct worker *w)
{
	const struct topology *t = &w->host->opts->topology;
	cpu_set_t may, one;
	u32 nth;

	if (t->from_host && w->host->clock.kind == CLOCK_KIND_HOST) {
		CPU_ZERO(&one);
		CPU_SET(t->cpu[w->id].host_cpu, &one);
		/* refused: it is where the system wants it */
		sched_setaffinity(0, sizeof(one), &one);
		return;
	}

	if (!w->host->opts->flight_bytes || sched_getaffinity(0, sizeof(may), &may))
		return;
	nth = w->id % (u32)CPU_COUNT(&may);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &may) || nth-- != 0)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one); /* a hole is reported, should it fail */
		return;
	}
}

static void *worker_thread(void *arg)
{
	pin(arg);
	worker_loop_host(arg);
	return NULL;
}

static void run(struct host *h)
{
	u32 started = 1;

	if (h->clock.kind == CLOCK_KIND_VIRTUAL) {
		pin(&h->worker[0]);
		worker_loop_virtual(h);
		return;
	}
	for (; started < h->nworkers; started++)
		if (pthread_create(&h->worker[started].thread, NULL, worker_thread,
				   &h->worker[started]))
			break;
	pin(&h->worker[0]);
	worker_loop_host(&h->worker[0]);
	for (u32 i = 1; i < started; i++)
		pthread_join(h->worker[i].thread, NULL);
}

static int status_of(struct host *h)
{
	switch ((enum host_stop)h->stop) {
	case HOST_STOP_TIMEOUT:
		fprintf(stderr, "nestor: the host time of --timeout is over\n");
		return EXIT_CODE_TIMEOUT;
	case HOST_STOP_SIGNAL: return EXIT_CODE_INTERRUPTED;
	case HOST_STOP_DEAD:
		fprintf(stderr, "nestor: every processor is halted and nothing is left that could "
				"wake one\n");
		return EXIT_CODE_GUEST;
	case HOST_STOP_TIME:
	case HOST_STOP_USER:
	case HOST_RUNNING: break;
	}
	if (h->guest_failed)
		return EXIT_CODE_GUEST;
	const struct machine *m = h->nmachines == 1 ? h->machine[0] : NULL;
	return m && m->stopped && m->stop_cause == STOP_DEBUG_EXIT ? (int)(m->stop_status & 0xff)
								   : EXIT_CODE_OK;
}

/* Where the readers of a recording find names. */
static void leave_symbols(struct host *h)
{
	char path[TRACE_PATH_BYTES + 16];
	bool any = false;
	FILE *f;

	for (u32 i = 0; i < h->nmachines; i++)
		any |= h->machine[i]->desc->nsymbols != 0;
	if (!any || !h->session || !h->opts->record)
		return;
	snprintf(path, sizeof(path), "%s/symbols", h->opts->output);
	f = fopen(path, "we");
	for (u32 i = 0; f && i < h->nmachines; i++)
		machine_list_symbols(h->machine[i], f);
	if (!f || fclose(f))
		fprintf(stderr, "nestor: %s: cannot write it: %s\n", path, strerror(errno));
}

static void tear_down(struct host *h)
{
	for (u32 i = 0; i < h->nmachines && h->nworkers; i++)
		if (h->machine[i])
			machine_emit_tlb(h->machine[i], &h->worker[0]);
	if (h->nworkers && h->opts->ncounts) {
		h->worker[0].about.vcpu_id = EVENT_NO_ID;
		h->worker[0].about.level = 0;
		host_emit_counts(h, &h->worker[0].about);
		host_print_counts(h, stderr);
	}
	for (u32 i = 0; i < h->nworkers; i++)
		trace_ring_drain(&h->worker[i].ring);
	leave_symbols(h);
	host_view_finish(h);
	gdb_close(h->gdb);
	free(h->gdb_cpus);
	release_signals();
	terminal_close(h->terminal);
	for (u32 i = 0; i < h->nmachines && h->opts->stats; i++)
		if (h->machine[i])
			stats_print(h->machine[i], stderr);
	if (h->opts->stats && h->sched.policy_data)
		stats_print_workers(&h->sched, stderr);
	for (u32 i = 0; i < h->nmachines && h->opts->vmx_coverage; i++)
		for (u32 j = 0; h->machine[i] && j < h->machine[i]->nvcpus; j++)
			exit_coverage_print(&h->machine[i]->vcpu[j].nv, stderr);
	for (u32 i = 0; i < h->nmachines; i++) {
		machine_dump_screen(h->machine[i]);
		machine_destroy(h->machine[i]);
	}
	for (u32 i = 0; i < RUN_MAX_MACHINES; i++)
		chardev_close(h->serial[i]);
	chardev_close(h->console);
	for (u32 i = 0; i < h->nworkers; i++)
		worker_fini(&h->worker[i]);
	free(h->worker);
	if (h->sched.running)
		sched_fini(&h->sched);
	world_fini(&h->world);
	trace_session_stop(h->session, NULL);
	if (h->exec_log && h->exec_log != stderr)
		fclose(h->exec_log);
}

int machine_run(const struct run_options *opts)
{
	static struct host host; /* its machines and workers point to it */
	struct host *h = &host;
	int status = EXIT_CODE_HOST;

	*h = (struct host){.opts = opts};
	world_init(&h->world);
	if (vec_init() || start_exec_log(h))
		goto out;
	start_session(h);
	/* the clock after the session: starting LTTng takes no guest time */
	if (start_clock(h) || start_workers(h))
		goto out;
	h->console = chardev_open_fd(STDERR_FILENO, false, false);
	chardev_hurry(h->console, &h->is_signalled);
	catch_signals(h);
	status = EXIT_CODE_OK;
	for (u32 i = 0; i < opts->nmachines && status == EXIT_CODE_OK; i++)
		status = start_machine(h, i);
	if (status != EXIT_CODE_OK)
		goto out;
	host_report_start(h);
	host_view_start(h);
	if (start_gdb(h)) {
		status = EXIT_CODE_HOST;
		goto out;
	}
	if (release_machines(h)) {
		status = EXIT_CODE_HOST;
		fprintf(stderr, "nestor: out of host memory\n");
		goto out;
	}
	if (h->gdb)
		gdb_wait(h->gdb);
	run(h);
	host_report_finish(h);
	status = status_of(h);
out:
	tear_down(h);
	return status;
}
