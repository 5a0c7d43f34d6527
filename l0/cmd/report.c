/* nestor report: what a recorded trace says, as text or in another format. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "l0/cmd/cmd.h"
#include "l0/cmd/trace_read.h"
#include "l0/cmd/value.h"
#include "trace/bt2/export.h"
#include "trace/bt2/reader.h"

enum { KEY_FROM = CMD_KEY_LONG, KEY_TO, KEY_SYMBOLS, KEY_FORMAT };

#define MAX_TRACES 64

static const struct cmd_option report_options[] = {
	{NULL, 0, NULL, "Formats:"},
#define X(name, picture, fields, several, begin, event, end, help) \
	{#name, KEY_FORMAT + EXPORT_##name, NULL, help},
#include "trace/bt2/export_formats.def"
#undef X
	{NULL, 0, NULL, "What and where to:"},
	{"output", 'o', "FILE", "Write to FILE instead of standard output."},
	{"symbols", KEY_SYMBOLS, "[VM=]FILE[@SLIDE]",
	 "Names for guest addresses (--details), from an ELF file or System.map; VM is a machine "
	 "or "
	 "MACHINE/CHILD. What the recording was made with is known without it."},
	{"from", KEY_FROM, "TIME", "Draw from this virtual time on (--svg, --html, --perfetto)."},
	{"to", KEY_TO, "TIME", "Draw up to this virtual time."},
};

struct report_args {
	const struct export_class *class;
	const char *output;
	const char *sources[MAX_TRACES];
	char *found[MAX_TRACES]; /* of these, what is ours to free */
	u32 nsources, nfound;
	u64 from_ns, to_ns;
	struct names names; /* --symbols */
};

static void take_stretch(void *arg, const struct model_stretch *s)
{
	struct export *x = arg;

	picture_stretch(x->picture, s);
}

static void take_event(void *arg, const struct transition *t)
{
	struct export *x = arg;

	if (x->picture)
		picture_event(x->picture, t);
	if (x->class->event)
		x->class->event(x, t);
}

/* A folder with several traces in it stands for each of them. Return: false: too many. */
static bool add_source(struct report_args *a, const char *source)
{
	char **paths = NULL, why[256];
	u32 n = bt_reader_is_live(source) ? 0 : bt_reader_find(source, &paths, why, sizeof(why));
	bool ok = a->nsources + MAX(n, 1u) <= MAX_TRACES;
	u32 before = a->nsources;

	for (u32 i = 0; i < n; i++) {
		/* a flight recorder's snapshot by its own name, too */
		if (ok && (n > 1 || strstr(paths[i], "/snapshot-")))
			a->sources[a->nsources++] = a->found[a->nfound++] = paths[i];
		else
			free(paths[i]);
	}
	free(paths);
	if (ok && a->nsources == before) /* trace_read() says what is wrong with it */
		a->sources[a->nsources++] = source;
	return ok;
}

static int report_one(const struct cmd *cmd, const struct report_args *a, const char *source,
		      FILE *out)
{
	const struct model_config cfg = {.drills_down = a->class->needs_all_fields};
	struct export x = {.out = out, .from_ns = a->from_ns, .to_ns = a->to_ns};
	struct trace_read r = {.cmd = cmd,
			       .source = source,
			       .wants_all_fields = a->class->needs_all_fields,
			       .arg = &x};
	struct names names = a->names;
	int code = EXIT_CODE_HOST;

	names_add_recorded(&names, source);
	x.info.names = &names;
	x.info.source = source;
	x.class = a->class;
	x.model = r.model = model_create(&cfg);
	if (a->class->needs_picture)
		x.picture = picture_create(a->from_ns, a->to_ns);
	if (!x.model || (a->class->needs_picture && !x.picture)) {
		cmd_error(cmd, code, "out of memory");
		goto out;
	}
	if (x.picture)
		model_on_stretch(x.model, take_stretch, &x);
	if (x.picture || a->class->event)
		r.event = take_event;
	if (a->class->begin)
		a->class->begin(&x);
	code = trace_read(&r);
	x.info.foreign = r.foreign;
	if (!model_totals(x.model)->events)
		goto out;
	if (x.picture)
		picture_end(x.picture);
	a->class->end(&x);
out:
	for (u32 i = a->names.count; i < names.count; i++) /* the recording's own */
		symbols_free(names.file[i].symbols);
	picture_destroy(x.picture);
	model_destroy(x.model);
	return code;
}

static int report(const struct cmd *cmd, const struct report_args *a)
{
	FILE *out = stdout;
	int code = EXIT_CODE_OK, one;

	if (a->output) {
		out = fopen(a->output, "we");
		if (!out)
			return cmd_error(cmd, EXIT_CODE_HOST, "%s: %s", a->output, strerror(errno));
	}
	for (u32 i = 0; i < a->nsources; i++) {
		if (i)
			fputc('\n', out);
		one = report_one(cmd, a, a->sources[i], out);
		code = code ? code : one;
	}
	if (a->output && (ferror(out) | fclose(out)) && !code)
		code = cmd_error(cmd, EXIT_CODE_HOST, "%s: cannot write it: %s", a->output,
				 strerror(errno));
	return code;
}

static int check_args(const struct cmd *cmd, const struct report_args *a)
{
	if (!a->nsources)
		return cmd_usage_error(cmd, "no trace given");
	for (u32 i = 0; i < a->nsources; i++)
		if (bt_reader_is_live(a->sources[i]))
			return cmd_usage_error(cmd, "%s is a live session; nestor view shows it",
					       a->sources[i]);
	if (a->nsources > 1 && !a->class->takes_several)
		return cmd_usage_error(cmd, "--%s: one trace at a time", a->class->name);
	if (a->from_ns >= a->to_ns)
		return cmd_usage_error(cmd, "--from is not before --to");
	return EXIT_CODE_OK;
}

static int report_main(const struct cmd *cmd, int argc, char **argv)
{
	struct report_args a = {.class = &export_classes[EXPORT_text], .to_ns = ~0ull};
	struct cmd_args args;
	char why[640];
	int key, code;

	cmd_args_init(&args, cmd, argc, argv);
	while ((key = cmd_args_next(&args)) != CMD_END) {
		switch (key) {
		case 'o': a.output = args.value; break;
		case KEY_SYMBOLS:
			if (names_add(&a.names, args.value, why, sizeof(why)))
				return cmd_usage_error(cmd, "--symbols %s", why);
			break;
		case KEY_FROM:
		case KEY_TO:
			if (value_parse_time_ns(args.value,
						key == KEY_FROM ? &a.from_ns : &a.to_ns))
				return cmd_usage_error(cmd, "%s is no time; use 250ms, 1.5s",
						       args.value);
			break;
		case CMD_POSITIONAL:
			if (!add_source(&a, args.value))
				return cmd_usage_error(cmd, "at most %u traces", MAX_TRACES);
			break;
		default:
			if (key < KEY_FORMAT)
				return cmd_args_status(key);
			a.class = &export_classes[key - KEY_FORMAT];
		}
	}
	code = check_args(cmd, &a);
	if (code)
		return code;
	code = cmd_finish_output(report(cmd, &a));
	names_fini(&a.names);
	for (u32 i = 0; i < a.nfound; i++)
		free(a.found[i]);
	return code;
}

const struct cmd cmd_report = {
	.name = "report",
	.synopsis = "[--FORMAT] [-o FILE] TRACE...",
	.brief = "Tell the story of a recorded trace",
	.details =
		"TRACE is the output folder of a recording, or any folder with a trace in it.\n\n"
		"Prints time by level and by VM, exits by reason (how many, reflected to the "
		"guest's VMM "
		"or kept by L0, and what they cost: virtual time charged and host time spent, "
		"apart), "
		"what one exit of a guest costs in exits of its VMM, switches, processes, the "
		"guests' own counts of missed deadlines, and lost "
		"events.\n\n"
		"The same is in the babeltrace2 plugin as sink.nestor.summary.",
	.examples = "nestor report build/demo-trace\n"
		    "nestor report --json build/demo-trace | jq .exits\n"
		    "nestor report --html -o demo.html build/demo-trace\n"
		    "nestor report --svg --from 100ms --to 200ms build/demo-trace >schedule.svg\n"
		    "nestor report --perfetto -o demo.json build/demo-trace",
	.options = report_options,
	.noptions = ARRAY_SIZE(report_options),
	.run = report_main,
};
