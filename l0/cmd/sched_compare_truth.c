#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l0/cmd/sched_compare.h"
#include "l0/cmd/value.h"

#define GUEST "guest="

/* Time at @at, which ends at one of @ends. */
static u64 time_at(const char *at, const char *ends)
{
	char text[32];
	size_t n = strcspn(at, ends);
	u64 ns = 0;

	if (n >= sizeof(text))
		return 0;
	memcpy(text, at, n);
	text[n] = 0;
	return value_parse_time_ns(text, &ns) ? 0 : ns;
}

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

static bool is_periodic(const char *word)
{
	return starts(word, GUEST "rt") || starts(word, GUEST "mixed");
}

/* The guest's own phase, if it states one in its @word of @n bytes, in us. */
static u64 own_phase_us(const char *word, size_t n)
{
	static const char key[] = ",phase=";
	const char *at = memmem(word, n, key, sizeof(key) - 1);

	return at ? time_at(at + sizeof(key) - 1, ", \t") / NS_PER_US : 0;
}

const char *truth_shift(const char *append, u64 phase_us)
{
	size_t room = strlen(append) * 4 + 64;
	char *out = calloc(1, room), *to = out;

	if (!out)
		return append;
	while (*append) {
		size_t word = strcspn(append, " \t");
		to += snprintf(to, room - (size_t)(to - out), "%.*s", (int)word, append);
		if (is_periodic(append))
			to += snprintf(to, room - (size_t)(to - out), ",phase=%luus",
				       own_phase_us(append, word) + phase_us);
		append += word;
		while (*append == ' ' || *append == '\t')
			*to++ = *append++;
	}
	return out;
}

/* AFTER:PERIOD:WORK */
static void read_change(const char *at, struct run_report_guest *g)
{
	struct run_report_part *part = &g->part[g->nparts];
	const char *period = strchr(at, ':'), *work = period ? strchr(period + 1, ':') : NULL;

	if (!work || g->nparts == RUN_REPORT_PARTS)
		return;
	*part = (struct run_report_part){.from_ns = time_at(at, ":"),
					 .y_ns = time_at(period + 1, ":"),
					 .work_ns = time_at(work + 1, ", \t")};
	g->nparts++;
}

/* Options behind the kind, up to the end of the word. */
static void read_options(const char *at, const char *end, struct run_report_guest *g)
{
	while (at < end && *at == ',') {
		at++;
		if (starts(at, "period="))
			g->part[0].y_ns = time_at(at + strlen("period="), ", \t");
		else if (starts(at, "work="))
			g->part[0].work_ns = time_at(at + strlen("work="), ", \t");
		else if (starts(at, "change="))
			read_change(at + strlen("change="), g);
		at += strcspn(at, ", \t");
	}
}

void truth_read(const char *append, struct run_report_machine *m)
{
	u32 n = 0;

	for (const char *at = append; *at && n < RUN_REPORT_GUESTS; at += strspn(at, " \t")) {
		size_t word = strcspn(at, " \t");
		if (starts(at, GUEST)) {
			struct run_report_guest *g = &m->guest[n++];
			if (is_periodic(at)) {
				g->nparts = 1;
				g->part[0].y_ns = 10 * NS_PER_MS;
				g->part[0].work_ns = 2 * NS_PER_MS;
				read_options(at + strcspn(at, ", \t"), at + word, g);
			}
		}
		at += word;
	}
}
