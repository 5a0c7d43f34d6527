/*
 * json: writing one JSON value to a stream, piece by piece
 *
 * Used by the report and the exports. Keeps track of commas; the caller opens and closes in pairs.
 * Text of unknown coding is written as Latin-1. Errors stay in the stream (ferror()).
 */
#ifndef TRACE_BT2_JSON_H
#define TRACE_BT2_JSON_H

#include <stdio.h>
#include "l0/base/types.h"

/* A writer that knows where commas go. */
struct json {
	FILE *out;
	bool needs_comma;
};

/* @s as a JSON string, alone. */
void json_text(struct json *j, const char *s);
/* The comma that is due, and @key with a colon (NULL: none). */
void json_key(struct json *j, const char *key);
/* @bracket: { or [; of json_close(): } or ]. */
void json_open(struct json *j, const char *key, char bracket);
void json_close(struct json *j, char bracket);
void json_number(struct json *j, const char *key, u64 n);
/* A number of an entity, or null. */
void json_id(struct json *j, const char *key, u32 id);
void json_string(struct json *j, const char *key, const char *s);
void json_hex(struct json *j, const char *key, u64 n);

#endif
