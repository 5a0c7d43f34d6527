/*
 * export: what nestor report can write; one struct export_class a format
 *
 * The report command feeds each event to its model and then to the export, and calls end() once,
 * when the model is settled. Formats that draw take the picture (picture.h); others read the model
 * only. Output goes to the stream that the command opened.
 */
#ifndef TRACE_BT2_EXPORT_H
#define TRACE_BT2_EXPORT_H

#include <stdio.h>
#include "trace/bt2/picture.h"
#include "trace/bt2/report.h"

struct export_class;

struct export
{
	const struct export_class *class;
	FILE *out;
	struct model *model;
	struct picture *picture; /* of a class with needs_picture, else NULL */
	struct report_info info;
	u64 from_ns, to_ns; /* window; ~0: open */
	bool needs_comma;   /* perfetto: between its events */
};

struct export_class {
	const char *name; /* the option: "svg" is --svg */
	bool needs_picture;
	bool needs_all_fields; /* of events; else only what the model reads */
	bool takes_several;    /* traces one after the other make sense */
	/* Before the first event; the model is empty. May be NULL. */
	void (*begin)(struct export *x);
	/* Each event, after the model has had it. May be NULL. */
	void (*event)(struct export *x, const struct transition *t);
	void (*end)(struct export *x);
};

enum {
#define X(name, ...) EXPORT_##name,
#include "trace/bt2/export_formats.def"
#undef X
	EXPORT_COUNT
};

extern const struct export_class export_classes[EXPORT_COUNT];

/* --- what the formats have in common --- */
/* Colour of a virtual processor, 0xRRGGBB, by its place in the model. */
u32 export_colour(const struct model *m, u32 vcpu);

/* @s for XML and HTML, written to @out. */
void export_xml_text(FILE *out, const char *s);

void export_text_end(struct export *x);
void export_details_end(struct export *x);
void export_json_end(struct export *x);
void export_svg_end(struct export *x);
void export_html_end(struct export *x);
void export_perfetto_begin(struct export *x);
void export_perfetto_event(struct export *x, const struct transition *t);
void export_perfetto_end(struct export *x);
void export_folded_end(struct export *x);
void export_speedscope_end(struct export *x);
void export_junit_end(struct export *x);

#endif
