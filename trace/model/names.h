/*
 * names: symbols for the guest addresses of a trace
 *
 * From --symbols of the reading command, and from the file "symbols" that a recording leaves beside
 * the trace (a line a file: machine, slide, path). Used by the report and the viewer; looked up
 * only when an address is printed.
 */
#ifndef TRACE_MODEL_NAMES_H
#define TRACE_MODEL_NAMES_H

#include "l0/symbols/symbols.h"
#include "trace/model/model.h"

#define NAMES_FILES 64u
#define NAMES_FILE "symbols"

struct names {
	struct names_file {
		char owner[96]; /* a machine, or MACHINE/CHILD; empty: every machine */
		struct symbols *symbols;
	} file[NAMES_FILES];
	u32 count;
};

/* [OWNER=]FILE[@SLIDE]. Return: 0; -errno: @why says it in one line. */
int names_add(struct names *n, const char *spec, char *why, size_t why_bytes) __must_check;

/* The files that a recording names, looked for in @folder and up to four above it. What cannot be
 * read any more is left out: names are a help. */
void names_add_recorded(struct names *n, const char *folder);
void names_fini(struct names *n);

/* "name+0x1f" for an address of a machine (@child EVENT_NO_ID) or of a child VM, into @buf of
 * SYMBOLS_NAME_BYTES; NULL: none. */
const char *names_text(const struct names *n, const struct model *m, u32 vm, u32 child, u64 address,
		       char *buf);

#endif
