/* nestor explain: which checks of a VM entry a VMCS fails, offline, from its fields in a text file.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "l0/arch/vmx.h"
#include "l0/cmd/cmd.h"
#include "l0/cmd/explain_trace.h"
#include "l0/exit/cpuid.h"
#include "shadow-vmcs/explain.h"
#include "shadow-vmcs/vmcs12.h"

enum { KEY_VMCS = CMD_KEY_LONG, KEY_CPU_MODEL, KEY_LEGACY, KEY_SYMBOLS, KEY_ALL };

#define LINE_BYTES 1024
#define SEPARATORS " \t\r\n=:,"

static const struct vmcs_field_info *field_by_name(const char *name)
{
	for (u32 i = 0; i < vmcs_field_count; i++)
		if (!strcasecmp(name, vmcs_field_table[i].name))
			return &vmcs_field_table[i];
	return NULL;
}

/* A field's name or its encoding (0x…). */
static const struct vmcs_field_info *field_of(const char *word)
{
	char *end;
	unsigned long e = strtoul(word, &end, 16);

	if (!strncmp(word, "0x", 2) && !*end)
		for (u32 i = 0; i < vmcs_field_count; i++)
			if (vmcs_field_table[i].encoding == e)
				return &vmcs_field_table[i];
	return field_by_name(word);
}

static void set_field(struct vmcs12 *v, const struct vmcs_field_info *f, u64 value)
{
	memcpy((u8 *)v + vmcs12_offset_of(f->encoding), &value, vmcs_field_bytes(f->encoding));
}

/* Every pair of a field and a hexadecimal number in @in; other words are passed over.
 * Return: how many fields. */
static u32 read_fields(FILE *in, struct vmcs12 *v)
{
	char line[LINE_BYTES];
	u32 n = 0;

	while (fgets(line, sizeof(line), in)) {
		const struct vmcs_field_info *f = NULL;

		for (char *w = strtok(line, SEPARATORS); w; w = strtok(NULL, SEPARATORS)) {
			char *end;
			u64 value = strtoull(w, &end, 16);

			if (f && !*end) {
				set_field(v, f, value);
				f = NULL;
				n++;
			} else {
				f = field_of(w);
			}
		}
	}
	return n;
}

static const char *const outcome[] = {
	[CHECK_GROUP_CTL] = "VMfailValid, VM-instruction error 7: invalid control fields",
	[CHECK_GROUP_HOST] = "VMfailValid, VM-instruction error 8: invalid host-state fields",
	[CHECK_GROUP_GUEST] = "VM-entry failure, exit reason 0x80000021: invalid guest state",
};

/* All failing checks by group; the first group that has one decides. Return: did any fail? */
static bool explain(const struct check_ctx *c)
{
	u32 decided = 0, last_group = ~0u;
	bool failed = false;

	for (u32 id = CHECK_NONE + 1; id < CHECK_COUNT; id++) {
		const struct check_info *i = &check_table[id];
		char text[EXPLAIN_TEXT_BYTES];
		struct explain e;

		if (i->group == CHECK_GROUP_MSR || check_reads_memory(id) || check_passes(c, id))
			continue;
		if (!failed)
			decided = i->group;
		if (i->group != last_group)
			printf("%s%s\n", outcome[i->group],
			       i->group == decided ? ""
						   : " (not reached: the group before decides)");
		last_group = i->group;
		failed = true;
		explain_check(c, id, &e);
		printf("  %s\n", explain_text(&e, text));
		for (u32 k = 0; k < e.also_count; k++)
			printf("    or %s = 0x%llx instead of 0x%llx\n",
			       vmcs_field_name(e.also[k].field),
			       (unsigned long long)e.also[k].pass_value,
			       (unsigned long long)e.also[k].value);
	}
	if (!failed)
		printf("no check fails; not looked at, for want of memory: the shadow VMCS behind "
		       "the "
		       "link pointer, PDPTEs at CR3, VTPR, MSR lists\n");
	return failed;
}

static int run_explain(const struct cmd *cmd, int argc, char **argv)
{
	static struct cpu_profile profile;
	const char *file = NULL, *model = NULL;
	struct explain_trace trace = {.cmd = cmd};
	bool legacy = false;
	char why[640];
	struct vmcs12 v = {.vmcs_link_pointer = VMX_NO_POINTER};
	struct cmd_args args;
	struct check_ctx c;
	int key;

	cmd_args_init(&args, cmd, argc, argv);
	while ((key = cmd_args_next(&args)) != CMD_END) {
		switch (key) {
		case KEY_VMCS: file = args.value; break;
		case KEY_CPU_MODEL: model = args.value; break;
		case KEY_LEGACY: legacy = true; break;
		case KEY_ALL: trace.shows_all = true; break;
		case KEY_SYMBOLS:
			if (names_add(&trace.names, args.value, why, sizeof(why)))
				return cmd_usage_error(cmd, "--symbols %s", why);
			break;
		case CMD_POSITIONAL:
			if (trace.source)
				return cmd_usage_error(cmd, "one trace at a time");
			trace.source = args.value;
			break;
		default: return cmd_args_status(key);
		}
	}
	if (!file == !trace.source)
		return cmd_usage_error(cmd, "give a TRACE or --vmcs FILE");
	if (trace.source)
		return cmd_finish_output(explain_trace(&trace));
	if (cpu_profile_init(&profile, model, 1, 1000000000))
		return cmd_usage_error(cmd, "no such processor model: %s", model);
	FILE *in = strcmp(file, "-") ? fopen(file, "re") : stdin;
	if (!in)
		return cmd_error(cmd, EXIT_CODE_HOST, "%s: %s", file, strerror(errno));
	u32 n = read_fields(in, &v);
	if (in != stdin)
		fclose(in);
	if (!n)
		return cmd_error(cmd, EXIT_CODE_BAD_TRACE, "%s: no field of a VMCS in it", file);
	check_ctx_init(&c, &v, &profile.caps, NULL, !legacy);
	printf("%s: %u fields, processor model %s\n", file, n, profile.model->name);
	return cmd_finish_output(explain(&c) ? EXIT_CODE_GUEST : EXIT_CODE_OK);
}

static const struct cmd_option options[] = {
	{NULL, 0, NULL, "A recorded run"},
	{"all", KEY_ALL, NULL, "Show what is repeated, too."},
	{"symbols", KEY_SYMBOLS, "[VM=]FILE[@SLIDE]",
	 "Names for guest addresses, from an ELF file or System.map. What the recording was made "
	 "with "
	 "is known without it."},
	{NULL, 0, NULL, "A VMCS as text"},
	{"vmcs", KEY_VMCS, "FILE",
	 "Read the fields from FILE: pairs of a name (guest_cr0) or an encoding (0x6800) and a "
	 "hexadecimal value, any number a line, as a dump prints them; - is standard input."},
	{"cpu-model", KEY_CPU_MODEL, "NAME", "Processor model whose capabilities count."},
	{"legacy", KEY_LEGACY, NULL, "The entry is made outside IA-32e mode."},
};

const struct cmd cmd_explain = {
	.name = "explain",
	.synopsis = "TRACE | --vmcs FILE",
	.brief = "Say why VM entries and VMX instructions failed",
	.details =
		"TRACE is the output folder of a recording. For each VM entry that failed: every "
		"check "
		"of the group that fails, with the field, its value, the bits that are wrong, the "
		"rule and "
		"its section of the SDM; which instruction wrote the field last, and how long "
		"before; the "
		"value that would pass, and other fields that could be changed instead. For each "
		"VMX "
		"instruction that failed: its error and what to look at. And use of VMX that goes "
		"well "
		"here and fails on another processor: a VMCS active on two processors, one that "
		"moved "
		"without VMCLEAR, memory written under an active VMCS, fields that the model does "
		"not "
		"have, wrong revision identifiers. What is repeated is shown once. Status 8 when "
		"anything "
		"was found. nestor run --explain says the same while it happens.\n\n"
		"--vmcs runs every check of the SDM on a VMCS and prints those that fail, by "
		"group: "
		"field, "
		"value, rule and SDM section. Fields that FILE does not name are 0. Works on dumps "
		"of nestor and of anybody else.",
	.examples = "nestor explain build/demo-trace\n"
		    "nestor explain --vmcs dump.txt",
	.options = options,
	.noptions = ARRAY_SIZE(options),
	.run = run_explain,
};
