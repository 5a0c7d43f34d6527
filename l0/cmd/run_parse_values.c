/* What all options share: errors with their place, numbers, times, sizes, words, paths. */
#include "l0/cmd/run_parse_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l0/cmd/value.h"

bool parse_bad(struct parse *p, const char *name, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->status = EXIT_CODE_USAGE;
	if (p->lab_path)
		cmd_usage_error(p->cmd, "%s:%d: %s: %s", p->lab_path, p->lab_line, name, text);
	else
		cmd_usage_error(p->cmd, "--%s: %s", name, text);
	return false;
}

bool parse_number(struct parse *p, const char *name, const char *value, u64 min, u64 max, u64 *out)
{
	if (value_parse_u64(value, out) || *out < min || *out > max)
		return parse_bad(p, name, "'%s' is not a whole number from %lu to %lu", value, min,
				 max);
	return true;
}

bool parse_unsigned(struct parse *p, const char *name, const char *value, unsigned max,
		    unsigned *out)
{
	u64 n;

	if (!parse_number(p, name, value, 1, max, &n))
		return false;
	*out = (unsigned)n;
	return true;
}

bool parse_time(struct parse *p, const char *name, const char *value, u64 *out)
{
	if (value_parse_time_ns(value, out) || !*out)
		return parse_bad(p, name,
				 "'%s' is not a time above 0 and below 5000000h, as 10s, 500ms or "
				 "20us",
				 value);
	return true;
}

/* @range: @min and @max in words */
bool parse_size(struct parse *p, const char *name, const char *value, u64 min, u64 max,
		const char *range, u64 *out)
{
	if (value_parse_size(value, out) || *out < min || *out > max)
		return parse_bad(p, name, "'%s' is not a size from %s", value, range);
	return true;
}

/* One of the @n words in @words; *@out is its index. */
bool parse_word(struct parse *p, const char *name, const char *value, const char *const *words,
		unsigned n, unsigned *out)
{
	char list[128] = "";

	for (unsigned i = 0; i < n; i++) {
		if (!strcmp(words[i], value)) {
			*out = i;
			return true;
		}
		strncat(list, i ? ", " : "", sizeof(list) - strlen(list) - 1);
		strncat(list, words[i], sizeof(list) - strlen(list) - 1);
	}
	return parse_bad(p, name, "'%s' is none of: %s", value, list);
}

const char *parse_path(const struct parse *p, const char *path)
{
	const char *slash = p->lab_path ? strrchr(p->lab_path, '/') : NULL;

	if (!slash || path[0] == '/' || !strcmp(path, "-") || !strcmp(path, "none"))
		return path;
	char *joined;

	if (asprintf(&joined, "%.*s/%s", (int)(slash - p->lab_path), p->lab_path, path) < 0)
		return path;
	const char *copy = parse_copy(p, joined);

	free(joined);
	return copy ? copy : path;
}

char *parse_copy(const struct parse *p, const char *value)
{
	return arena_strdup(&p->opts->strings, value);
}

const char *parse_keep(const struct parse *p, const char *value)
{
	char *copy = p->lab_path ? parse_copy(p, value) : NULL;

	return copy ? copy : value;
}
