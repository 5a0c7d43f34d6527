/* Expressions of the log; see filter.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace/model/filter.h"

#define TERM_BYTES 128

/* The value of field @key as the line has it ("key=value"), or of the header. */
static bool value_of(const struct transition *t, const char *text, const char *key, char *out,
		     size_t bytes)
{
	char want[TERM_BYTES + 4];
	const char *at;
	size_t n;

	if (!strcmp(key, "event"))
		snprintf(out, bytes, "%s", event_infos[t->kind].name);
	else if (!strcmp(key, "vtime"))
		snprintf(out, bytes, "%llu", (unsigned long long)t->vtime_ns);
	else if (!strcmp(key, "worker"))
		snprintf(out, bytes, "%u", t->worker);
	else if (!strcmp(key, "level"))
		snprintf(out, bytes, "%u", t->level);
	else if (!strcmp(key, "vcpu_id"))
		snprintf(out, bytes, "%#x", t->vcpu_id);
	else {
		snprintf(want, sizeof(want), " %s=", key);
		at = strstr(text, want);
		if (!at)
			return false;
		at += strlen(want);
		if (*at == '"')
			at++;
		n = MIN(strcspn(at, " \""), bytes - 1);
		memcpy(out, at, n);
		out[n] = 0;
	}
	return true;
}

static bool equals(const char *value, const char *want)
{
	size_t n = strlen(want);

	if (n && want[n - 1] == '*')
		return !strncasecmp(value, want, n - 1);
	/* 0x10 is 16 */
	if (!strcasecmp(value, want))
		return true;
	return *value >= '0' && *value <= '9' && *want >= '0' && *want <= '9' &&
	       strtoull(value, NULL, 0) == strtoull(want, NULL, 0);
}

static bool holds(const char *term, const struct transition *t, const char *text)
{
	size_t key_bytes = strcspn(term, "=<>");
	char key[TERM_BYTES], value[TERM_BYTES];
	const char *want = term + key_bytes + 1;

	if (*term == '!')
		return !holds(term + 1, t, text);
	if (!term[key_bytes] || !key_bytes)
		return strcasestr(text, term) != NULL;
	memcpy(key, term, key_bytes);
	key[key_bytes] = 0;
	if (!value_of(t, text, key, value, sizeof(value)))
		return false;
	switch (term[key_bytes]) {
	case '=': return equals(value, want);
	case '<': return strtoull(value, NULL, 0) < strtoull(want, NULL, 0);
	default: return strtoull(value, NULL, 0) > strtoull(want, NULL, 0);
	}
}

/* One word of the expression: alternatives. */
static bool any_holds(const char *word, size_t bytes, const struct transition *t, const char *text)
{
	char term[TERM_BYTES];

	while (bytes) {
		size_t n = 0;

		while (n < bytes && word[n] != '|')
			n++;
		if (n) {
			memcpy(term, word, MIN(n, sizeof(term) - 1));
			term[MIN(n, sizeof(term) - 1)] = 0;
			if (holds(term, t, text))
				return true;
		}
		n += n < bytes;
		word += n;
		bytes -= n;
	}
	return false;
}

bool filter_takes(const char *expression, const struct transition *t, const char *text)
{
	while (*expression) {
		size_t n = strcspn(expression, " ");

		if (n && !any_holds(expression, n, t, text))
			return false;
		expression += n;
		expression += strspn(expression, " ");
	}
	return true;
}
