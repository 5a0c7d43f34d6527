/* Lab files: sections are machines or the host, keys are options. */
#include "l0/cmd/run_parse_priv.h"

#include <string.h>

#include "l0/lab/lab.h"

/* The machine whose section ends here can be started. */
static bool lab_machine_is_whole(struct parse *p)
{
	if (!p->current || p->current->image)
		return true;
	p->lab_line = p->machine_line;
	return parse_bad(p, "image", "machine %s has none; add image = FILE", p->current->name);
}

static bool lab_machine(void *arg, const char *name, int line)
{
	struct parse *p = arg;

	if (!lab_machine_is_whole(p))
		return false;
	p->lab_line = p->machine_line = line;
	struct machine_desc *m = parse_new_machine(p);

	return m && parse_machine_name(p, m, name);
}

/* A flag in a lab file is on with yes, true, on or 1. */
static bool lab_flag(struct parse *p, int key, const char *name, const char *value)
{
	static const char *const words[] = {"no", "false", "off", "0", "yes", "true", "on", "1"};
	unsigned i;

	if (!parse_word(p, name, value, words, ARRAY_SIZE(words), &i))
		return false;
	return i < ARRAY_SIZE(words) / 2 ? true : parse_option(p, key, NULL);
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
			return parse_bad(p, name, "no key of %s; it belongs under %s",
					 in_host ? "[host]" : "[machine NAME]",
					 in_host ? "[machine NAME]" : "[host]");
		else if (is_machine_option != in_host &&
			 strlen(list) + strlen(n) + 2 < sizeof(list))
			strcat(strcat(list, " "), run_cmd_options[i].key == 'k' ? "image" : n);
	}
	return parse_bad(p, name, "no such key; %s has:%s", in_host ? "[host]" : "[machine NAME]",
			 list);
}

/* Keys of which a machine, or the host, may have several. */
static bool may_be_repeated(int key)
{
	return key == KEY_MODULE || key == KEY_DISK || key == KEY_CDROM || key == KEY_SYMBOLS ||
	       key == KEY_COUNT;
}

/* A key stands once in its section. */
static bool is_first(struct parse *p, int key, bool in_host, const char *name)
{
	const struct place *before =
		place_find(in_host ? p->opts->places : p->current->places, name, NULL);

	return !before || !before->line || may_be_repeated(key) ||
	       parse_bad(p, name, "it stands in line %d already; once in a section is allowed",
			 before->line);
}

static bool set_image(struct parse *p, const char *name, const char *value)
{
	if (p->current->image)
		return parse_bad(p, name,
				 "machine %s has an image already; one of image, kernel and "
				 "firmware is allowed",
				 p->current->name);
	place_add(&p->current->places, &p->opts->strings, p->lab_path, p->lab_line, name, value);
	p->current->image = parse_path(p, value);
	p->current->is_firmware = name[0] == 'f';
	return parse_file_is_there(p, name, p->current->image);
}

/* What the command line said before of the run as a whole holds, whatever a lab file says. */
static bool say_again(struct parse *p, int key, const struct place *before)
{
	const char *path = p->lab_path;

	if (!before || before->line || !before->value || may_be_repeated(key))
		return true;
	p->lab_path = NULL;
	bool ok = parse_option(p, key, before->value);

	p->lab_path = path;
	return ok;
}

static bool lab_set(void *arg, bool in_host, const char *name, const char *value, int line)
{
	struct parse *p = arg;
	size_t slot = RUN_CMD_NOPTIONS;
	bool is_machine_option = true;

	p->lab_line = line;
	value = parse_keep(p, value);
	if (!in_host &&
	    (!strcmp(name, "image") || !strcmp(name, "kernel") || !strcmp(name, "firmware")))
		return set_image(p, name, value);
	for (size_t i = 0; i < RUN_CMD_NOPTIONS && slot == RUN_CMD_NOPTIONS; i++) {
		const char *n = run_cmd_options[i].name;

		/* the headings split the table: the first group is the machine's */
		if (!n)
			is_machine_option = i == 0;
		else if (!strcmp(n, name) && run_cmd_options[i].key != 'k')
			slot = i;
	}
	if (slot == RUN_CMD_NOPTIONS || is_machine_option == in_host)
		return bad_key(p, name, in_host);
	if (!is_first(p, run_cmd_options[slot].key, in_host, name))
		return false;
	const struct cmd_option *o = &run_cmd_options[slot];
	const struct place *before = in_host ? place_find(p->opts->places, name, NULL) : NULL;

	place_add(in_host ? &p->opts->places : &p->current->places, &p->opts->strings, p->lab_path,
		  line, name, value);
	return (o->arg ? parse_option(p, o->key, value) : lab_flag(p, o->key, name, value)) &&
	       say_again(p, o->key, before);
}

bool parse_lab(struct parse *p, const char *path)
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
