/* Names for a trace's addresses; see names.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "trace/model/names.h"

#define LINE_BYTES 1024
#define FOLDERS_UP 4

static int add(struct names *n, const char *owner, size_t owner_bytes, const char *file, char *why,
	       size_t why_bytes)
{
	struct names_file *f = &n->file[n->count];
	int err;

	if (n->count == NAMES_FILES) {
		snprintf(why, why_bytes, "more than %u files of symbols", NAMES_FILES);
		return -ENOSPC;
	}
	err = symbols_load(file, &f->symbols, why, why_bytes);
	if (err)
		return err;
	snprintf(f->owner, sizeof(f->owner), "%.*s", (int)owner_bytes, owner);
	n->count++;
	return 0;
}

int names_add(struct names *n, const char *spec, char *why, size_t why_bytes)
{
	const char *eq = strchr(spec, '=');

	return add(n, spec, eq ? (size_t)(eq - spec) : 0, eq ? eq + 1 : spec, why, why_bytes);
}

/* "MACHINE<tab>SLIDE<tab>PATH" */
static void add_line(struct names *n, char *line)
{
	char *slide = strchr(line, '\t'), *path = slide ? strchr(slide + 1, '\t') : NULL;
	char file[LINE_BYTES + 32], why[512];

	if (!path)
		return;
	*path++ = 0;
	path[strcspn(path, "\n")] = 0;
	snprintf(file, sizeof(file), "%s@%s", path, slide + 1);
	if (add(n, line, (size_t)(slide - line), file, why, sizeof(why)))
		return;
}

void names_add_recorded(struct names *n, const char *folder)
{
	char path[LINE_BYTES], line[LINE_BYTES];
	FILE *f = NULL;

	for (int up = 0; up <= FOLDERS_UP && !f; up++) {
		int used = snprintf(path, sizeof(path), "%s", folder);

		for (int i = 0; i < up && used < (int)sizeof(path) - 4; i++)
			used += snprintf(path + used, sizeof(path) - (size_t)used, "/..");
		snprintf(path + used, sizeof(path) - (size_t)used, "/%s", NAMES_FILE);
		f = fopen(path, "re");
	}
	while (f && fgets(line, sizeof(line), f))
		add_line(n, line);
	if (f)
		fclose(f);
}

void names_fini(struct names *n)
{
	for (u32 i = 0; i < n->count; i++)
		symbols_free(n->file[i].symbols);
	n->count = 0;
}

const char *names_text(const struct names *n, const struct model *m, u32 vm, u32 child, u64 address,
		       char *buf)
{
	const struct model_vm *machine = model_vm(m, vm);
	char owner[96] = "";

	if (!n->count)
		return NULL;
	if (child != EVENT_NO_ID)
		model_child_name(m, child, owner, sizeof(owner));
	else if (machine)
		snprintf(owner, sizeof(owner), "%s", machine->name);
	for (u32 i = 0; i < n->count; i++) {
		const struct names_file *f = &n->file[i];
		bool is_owner = f->owner[0] ? !strcmp(f->owner, owner) : child == EVENT_NO_ID;
		const char *text = is_owner ? symbols_name(f->symbols, address, buf) : NULL;

		if (text)
			return text;
	}
	return NULL;
}
