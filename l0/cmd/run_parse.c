#include "l0/cmd/run_parse.h"

#include "l0/cmd/run_check.h"
#include "l0/cmd/run_parse_priv.h"
#include "l0/lab/lab.h"

const struct cmd_option run_cmd_options[RUN_CMD_NOPTIONS] = {
#define OPT(name, key, arg, help) {name, key, arg, help},
#define HEADING(text) {NULL, 0, NULL, text},
#include "l0/cmd/run_options.def"
#undef OPT
#undef HEADING
};

#define DEFAULT_FIRMWARE "/usr/share/seabios/bios-256k.bin" /* Debian's package seabios */

static const char *option_name(int key)
{
	for (size_t i = 0; i < RUN_CMD_NOPTIONS; i++)
		if (run_cmd_options[i].name && run_cmd_options[i].key == key)
			return run_cmd_options[i].name;
	return "?";
}

/* A machine's options come first: `name` of an option tells which ones a [machine] may hold. */
bool parse_option(struct parse *p, int key, const char *value)
{
	const char *name = option_name(key);
	bool known = true, is_machines, ok;

	if (key == 'k')
		return parse_image(p, value);
	if (key == KEY_FIRMWARE)
		return parse_firmware(p, value);
	ok = parse_machine_option(p, name, key, value, &known);
	is_machines = known;
	if (!known) {
		known = true;
		ok = parse_run_option(p, name, key, value, &known);
	}
	if (!known)
		ok = parse_debug_option(p, name, key, value, &known);
	if (!p->lab_path)
		place_add(!is_machines ? &p->opts->places
			  : p->current ? &p->current->places
				       : &p->defaults.places,
			  &p->opts->strings, NULL, 0, name, value);
	return ok;
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
	arena_init(&opts->strings, KIB, 0);
	cmd_args_init(&args, cmd, argc, argv);
	while ((key = cmd_args_next(&args)) != CMD_END) {
		bool ok;

		if (key == CMD_HELP || key == CMD_ERROR)
			return cmd_args_status(key);
		if (key == CMD_POSITIONAL)
			ok = lab_is_lab_file(args.value) ? parse_lab(&p, args.value)
							 : parse_image(&p, args.value);
		else
			ok = parse_option(&p, key, args.value);
		if (!ok)
			return p.status;
	}
	if (!opts->nmachines && (p.defaults.ndisks || p.defaults.ncdroms) &&
	    !parse_firmware(&p, DEFAULT_FIRMWARE))
		return p.status;
	for (unsigned i = 0; i < opts->nmachines; i++)
		if (opts->machines[i].is_firmware && !opts->machines[i].reset_given)
			opts->machines[i].reboots = true;
	if (!parse_symbols(&p))
		return p.status;
	if (!p.clock_given)
		opts->clock = p.had_lab || opts->engine == RUN_ENGINE_CHECK ? RUN_CLOCK_VIRTUAL
									    : RUN_CLOCK_HOST;
	return run_check(cmd, opts);
}

void run_options_fini(struct run_options *opts)
{
	arena_fini(&opts->strings);
}
