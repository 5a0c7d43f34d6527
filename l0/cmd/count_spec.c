#include "l0/cmd/count_spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l0/cmd/value.h"

static const struct event_enum *events(void)
{
	for (u32 i = 0; i < event_enum_count; i++)
		if (!strcmp(event_enums[i]->name, "count_event"))
			return event_enums[i];
	return NULL;
}

static bool bad(char *err, const char *what, const char *allowed)
{
	snprintf(err, COUNT_SPEC_ERR_BYTES, "'%.80s' is not %s", what, allowed);
	return false;
}

static bool take_event(const char *name, struct track_count *out, char *err)
{
	const struct event_enum *e = events();
	int at;

	for (u32 i = 0; e && i < e->count; i++)
		if (!strcmp(e->values[i].text, name)) {
			out->event = (enum count_event)e->values[i].number;
			return true;
		}
	at = snprintf(err, COUNT_SPEC_ERR_BYTES, "'%.60s' is no event; there are", name);
	for (u32 i = 0; e && i < e->count; i++)
		at += snprintf(err + at, (size_t)(COUNT_SPEC_ERR_BYTES - at), " %s",
			       e->values[i].text);
	return false;
}

static bool take_machine(const struct run_options *o, const char *name, struct track_match *m,
			 char *err)
{
	if (!strcmp(name, "*"))
		return true;
	m->parts |= MATCH_VM;
	for (m->vm = 0; m->vm < o->nmachines; m->vm++)
		if (!strcmp(o->machines[m->vm].name, name))
			return true;
	return bad(err, name, "the name of a machine, or *");
}

/* Is the thread followed wherever it may run? */
static bool follows_threads(const struct run_options *o, const struct track_match *m)
{
	for (unsigned i = 0; i < o->nmachines; i++)
		if ((!(m->parts & MATCH_VM) || m->vm == i) &&
		    o->machines[i].threads_by == MACHINE_THREADS_OFF)
			return false;
	return true;
}

static bool take_part(const struct run_options *o, const char *part, struct track_match *m,
		      char *err)
{
	const char *eq = strchr(part, '=');
	size_t n = eq ? (size_t)(eq - part) : 0;
	u64 v = 1;

	if (!strcmp(part, "own")) {
		m->parts |= MATCH_LEVEL;
		m->level = 1;
		return true;
	}
	if (!eq || value_parse_u64(eq + 1, &v))
		return bad(err, part, "own, level=N, child=N, cr3=ADDRESS or thread=ADDRESS");
	if (n == 5 && !strncmp(part, "level", n) && v >= 1 && v <= 64) {
		m->parts |= MATCH_LEVEL;
		m->level = (u32)v;
	} else if (n == 5 && !strncmp(part, "child", n) && v <= 0xffff) {
		m->parts |= MATCH_CHILD;
		m->child = (u32)v;
	} else if (n == 3 && !strncmp(part, "cr3", n)) {
		m->parts |= MATCH_CR3;
		m->cr3 = v;
	} else if (n == 6 && !strncmp(part, "thread", n)) {
		m->parts |= MATCH_STACK;
		m->stack = v;
		if (!follows_threads(o, m))
			return bad(err, part, "known without --track threads");
	} else {
		return bad(err, part,
			   "own, level=1 to 64, child=0 to 65535, cr3=ADDRESS or thread=ADDRESS");
	}
	return true;
}

static bool take_words(const struct run_options *o, char *text, struct track_count *out, char *err)
{
	char *at = strchr(text, '@'), *differs = strstr(text, "!="), *save = NULL, *word;

	if (differs && (!at || differs < at)) {
		out->match.differs = true;
		*differs = 0;
		at = differs + 2;
	} else if (at) {
		*at++ = 0;
	} else {
		return bad(err, text, "EVENT@MACHINE[/PART]... or EVENT!=MACHINE[/PART]...");
	}
	if (!take_event(text, out, err))
		return false;
	word = strtok_r(at, "/", &save);
	if (!take_machine(o, word ? word : "", &out->match, err))
		return false;
	while ((word = strtok_r(NULL, "/", &save)))
		if (!take_part(o, word, &out->match, err))
			return false;
	return true;
}

bool count_spec_parse(const struct run_options *o, const char *value, struct track_count *out,
		      char *err)
{
	char *copy = strdup(value);
	bool ok;

	*out = (struct track_count){0};
	if (!copy)
		return bad(err, value, "taken: memory is short");
	ok = take_words(o, copy, out, err);
	free(copy);
	return ok;
}

bool count_spec_fence(const struct run_options *o, unsigned i, struct track_match *out, char *err)
{
	char *copy = strdup(o->machines[i].fence), *save = NULL, *word;
	bool ok = copy != NULL;

	*out = (struct track_match){.parts = MATCH_VM, .vm = i};
	for (word = copy ? strtok_r(copy, "/", &save) : NULL; ok && word;
	     word = strtok_r(NULL, "/", &save))
		ok = take_part(o, word, out, err);
	free(copy);
	if (ok && !(out->parts & MATCH_CHILD))
		return bad(err, o->machines[i].fence,
			   "child=N, perhaps with /cr3=ADDRESS or /thread=ADDRESS");
	return ok;
}
