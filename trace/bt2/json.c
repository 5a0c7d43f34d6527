/* Writing JSON; see json.h. */
#include "l0/arch/events.h"
#include "trace/bt2/json.h"

void json_text(struct json *j, const char *s)
{
	fputc('"', j->out);
	for (; *s; s++) {
		u8 c = (u8)*s;

		if (c == '"' || c == '\\')
			fprintf(j->out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f || c == '<') /* <: no end of a script element */
			fprintf(j->out, "\\u%04x", c); /* bytes of unknown coding: as Latin-1 */
		else
			fputc(c, j->out);
	}
	fputc('"', j->out);
}

void json_key(struct json *j, const char *key)
{
	if (j->needs_comma)
		fputc(',', j->out);
	j->needs_comma = true;
	if (key) {
		json_text(j, key);
		fputc(':', j->out);
	}
}

void json_open(struct json *j, const char *key, char bracket)
{
	json_key(j, key);
	fputc(bracket, j->out);
	j->needs_comma = false;
}

void json_close(struct json *j, char bracket)
{
	fputc(bracket, j->out);
	j->needs_comma = true;
}

void json_number(struct json *j, const char *key, u64 n)
{
	json_key(j, key);
	fprintf(j->out, "%llu", (unsigned long long)n);
}

/* A number of an entity, or null. */
void json_id(struct json *j, const char *key, u32 id)
{
	json_key(j, key);
	if (id == EVENT_NO_ID)
		fputs("null", j->out);
	else
		fprintf(j->out, "%u", id);
}

void json_string(struct json *j, const char *key, const char *s)
{
	json_key(j, key);
	json_text(j, s);
}

void json_hex(struct json *j, const char *key, u64 n)
{
	json_key(j, key);
	fprintf(j->out, "\"%#llx\"", (unsigned long long)n);
}
