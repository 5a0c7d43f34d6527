/* nestor run, nestor record: boot child VMMs. */
#include <string.h>
#include "l0/cmd/run_parse.h"
#include "trace/model/filter.h"
#include "trace/model/text.h"
#include "viewer/viewer.h"

/* The run's viewer in the words of the viewer, which knows nothing of runs. */
struct shown_run {
	enum run_phase (*phase)(void *arg);
	void (*quit)(void *arg);
	void *arg;
};

static enum viewer_run_state shown_state(void *arg)
{
	const struct shown_run *r = arg;

	switch (r->phase(r->arg)) {
	case RUN_PHASE_GOES_ON: return VIEWER_RUN_GOES_ON;
	case RUN_PHASE_ENDED: return VIEWER_RUN_ENDED;
	default: return VIEWER_RUN_LEAVES;
	}
}

static void shown_quit(void *arg)
{
	const struct shown_run *r = arg;

	r->quit(r->arg);
}

static int show_live(const char *url, enum run_phase (*phase)(void *arg), void (*quit)(void *arg),
		     void *arg)
{
	struct shown_run r = {phase, quit, arg};

	return viewer_run_live(url, shown_state, shown_quit, &r);
}

/* --- the flight recorder's condition --- */
static bool flight_wants(void *expression, const struct transition *t)
{
	char text[TRANSITION_TEXT_BYTES];

	return filter_takes(expression, t, transition_text(t, true, text));
}

/* The kinds that the expression names; when it names none it is asked about every event. */
static u64 flight_kinds(const char *expression)
{
	u64 kinds = 0;

	for (u32 k = 0; k < TRANSITION_COUNT; k++)
		if (strstr(expression, event_infos[k].name))
			kinds |= 1ull << k;
	return kinds ? kinds : (1ull << TRANSITION_COUNT) - 1;
}

static int run_main(const struct cmd *cmd, int argc, char **argv)
{
	static struct run_options opts;
	int status = run_parse(cmd, argc, argv, &opts);

	if (status != RUN_PARSE_OK) {
		run_options_fini(&opts);
		return status;
	}
	opts.show_live = show_live;
	opts.flight_wants = flight_wants;
	if (opts.flight_on)
		opts.flight_kinds = flight_kinds(opts.flight_on);
	status = cmd_finish_output(machine_run(&opts));
	run_options_fini(&opts);
	return status;
}

#define RUN_DETAILS \
	"Each IMAGE is a child VMM (or any kernel) in a machine of its own: ELF32, ELF64, " \
	"multiboot 1 and 2, PVH or bzImage. Options of a machine apply to the IMAGE before them, " \
	"or, before the first IMAGE, to all. A file that ends in .ini is a lab file: a section " \
	"[machine NAME] for each machine with image, append, memory and the other options of a " \
	"machine as keys, and a section [host] for the rest, against which the command line " \
	"holds.\n\n" \
	"With one machine and no viewer its first serial port is standard input and output; " \
	"Ctrl-A x ends the run, Ctrl-A v shows the VGA text screen."

const struct cmd cmd_run = {
	.name = "run",
	.synopsis = "[options] IMAGE [machine options] [IMAGE [machine options]]... | LAB.ini",
	.brief = "Boot one or more child VMMs",
	.details = RUN_DETAILS,
	.examples = "nestor run kernel.elf\n"
		    "nestor run --memory 256M --append 'console=ttyS0' vmlinuz --initrd root.cpio\n"
		    "nestor run --clock virtual --for 10s --view a.elf b.elf --name second",
	.options = run_cmd_options,
	.noptions = RUN_CMD_NOPTIONS,
	.run = run_main,
};

const struct cmd cmd_record = {
	.name = "record",
	.synopsis = "[options] IMAGE [machine options] [IMAGE [machine options]]... | LAB.ini",
	.brief = "Boot child VMMs and record every transition with LTTng",
	.details = "The same as nestor run with --record: the trace goes to the output folder, for "
		   "nestor report, nestor view and babeltrace2.\n\n" RUN_DETAILS,
	.examples = "nestor record --clock virtual --for 10s -o trace a.elf b.elf\n"
		    "nestor report trace",
	.options = run_cmd_options,
	.noptions = RUN_CMD_NOPTIONS,
	.run = run_main,
};
