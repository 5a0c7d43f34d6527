/* A trace as a stream of transitions, through a babeltrace2 graph; see reader.h. */
#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "trace/bt2/decode.h"
#include "trace/bt2/reader.h"

#define MAX_TRACES 256
#define SEARCH_DEPTH 16

struct bt_reader {
	const struct bt_reader_ops *ops;
	void *arg;
	bt_graph *graph;
	bt_interrupter *interrupter;
	struct bt_decoder *decoder;
	const bt_component_filter *muxer;
	u64 muxer_ports;
	bool is_live;
	u64 foreign;
	char why[512];
};

bool bt_reader_is_live(const char *source)
{
	return !strncmp(source, "net://", 6) || !strncmp(source, "net4://", 7) ||
	       !strncmp(source, "net6://", 7);
}

/* --- errors: libbabeltrace2 keeps a list of causes, the first of which says most --- */
static void take_error(struct bt_reader *r, const char *doing)
{
	const bt_error *error = bt_current_thread_take_error();
	const char *cause = "no reason given";

	if (error && bt_error_get_cause_count(error))
		cause = bt_error_cause_get_message(bt_error_borrow_cause_by_index(error, 0));
	snprintf(r->why, sizeof(r->why), "%s: %s", doing, cause);
	for (char *p = r->why; *p; p++)
		if (*p == '\n')
			*p = ' ';
	if (error)
		bt_error_release(error);
}

/* --- the sink at the end of the graph --- */
static void deliver(struct bt_reader *r, const bt_message *msg)
{
	struct transition t;
	u64 lost;

	if (bt_message_get_type(msg) == BT_MESSAGE_TYPE_EVENT) {
		if (bt_decode(r->decoder, bt_message_event_borrow_event_const(msg), &t))
			r->ops->event(r->arg, &t);
		else
			r->foreign++;
		return;
	}
	lost = bt_decode_discarded(msg);
	if (lost && r->ops->lost)
		r->ops->lost(r->arg, lost);
}

static bt_graph_simple_sink_component_consume_func_status consume(bt_message_iterator *it,
								  void *user)
{
	struct bt_reader *r = user;
	bt_message_array_const messages;
	uint64_t count;

	switch (bt_message_iterator_next(it, &messages, &count)) {
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_OK: break;
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_END:
		return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_END;
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_AGAIN:
		return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_AGAIN;
	case BT_MESSAGE_ITERATOR_NEXT_STATUS_MEMORY_ERROR:
		return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_MEMORY_ERROR;
	default: return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_ERROR;
	}
	for (uint64_t i = 0; i < count; i++) {
		deliver(r, messages[i]);
		bt_message_put_ref(messages[i]);
	}
	return BT_GRAPH_SIMPLE_SINK_COMPONENT_CONSUME_FUNC_STATUS_OK;
}

/* --- finding traces --- */
struct found_traces {
	char *path[MAX_TRACES];
	u32 count;
};

static void forget_found(struct found_traces *f)
{
	for (u32 i = 0; i < f->count; i++)
		free(f->path[i]);
	f->count = 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Every folder at or below @source that holds a file called metadata. */
static bool find_traces(struct bt_reader *r, const char *source, struct found_traces *f)
{
	char *roots[] = {(char *)source, NULL};
	FTS *fts;
	FTSENT *e;
	struct stat st;

	if (stat(source, &st)) {
		snprintf(r->why, sizeof(r->why), "%s: %s", source, strerror(errno));
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		snprintf(r->why, sizeof(r->why), "%s: not a folder; a trace is a folder", source);
		return false;
	}
	fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	while (fts && (e = fts_read(fts)) && f->count < MAX_TRACES) {
		if (e->fts_level > SEARCH_DEPTH)
			fts_set(fts, e, FTS_SKIP);
		if (e->fts_info != FTS_F || strcmp(e->fts_name, "metadata"))
			continue;
		f->path[f->count] = strndup(e->fts_path, strlen(e->fts_path) - strlen("/metadata"));
		f->count += f->path[f->count] != NULL;
	}
	if (fts)
		fts_close(fts);
	if (f->count == MAX_TRACES)
		snprintf(r->why, sizeof(r->why), "%s: more than %d traces in it", source,
			 MAX_TRACES - 1);
	else if (!f->count)
		snprintf(r->why, sizeof(r->why), "%s: no trace in it (no file called metadata)",
			 source);
	return f->count && f->count < MAX_TRACES;
}

u32 bt_reader_find(const char *folder, char ***paths, char *why, size_t why_bytes)
{
	struct bt_reader r = {.why = ""};
	struct found_traces f = {.count = 0};

	*paths = NULL;
	if (find_traces(&r, folder, &f))
		*paths = calloc(f.count, sizeof(**paths));
	if (!*paths) {
		snprintf(why, why_bytes, "%s", r.why[0] ? r.why : "out of memory");
		forget_found(&f);
		return 0;
	}
	memcpy(*paths, f.path, f.count * sizeof(**paths));
	return f.count;
}

/*
 * libbabeltrace2 2.0 reads a metadata file that ends within a packet for ever, so look first.
 * Packets (CTF 1.8, 7.1) begin with a magic number; content and packet sizes in bits are at 24
 * and 28.
 */
#define METADATA_MAGIC 0x75d11d57u
#define METADATA_HEADER_BYTES 37u

static bool metadata_is_whole(const char *trace)
{
	u8 header[METADATA_HEADER_BYTES];
	char path[PATH_MAX];
	u64 at = 0, size;
	bool whole = true;
	struct stat st;
	u32 magic, content, packet;
	FILE *f;

	snprintf(path, sizeof(path), "%s/metadata", trace);
	f = fopen(path, "re");
	if (!f || fstat(fileno(f), &st)) {
		if (f)
			fclose(f);
		return true; /* libbabeltrace2 says why */
	}
	size = (u64)st.st_size;
	while (whole && at < size) {
		if (fseek(f, (long)at, SEEK_SET) || fread(header, 1, sizeof(header), f) < 4)
			break;
		memcpy(&magic, header, sizeof(magic));
		if (magic != METADATA_MAGIC)
			break; /* plain text, or of another byte order */
		memcpy(&content, header + 24, sizeof(content));
		memcpy(&packet, header + 28, sizeof(packet));
		whole = size - at >= METADATA_HEADER_BYTES && content <= packet &&
			packet / 8 >= METADATA_HEADER_BYTES && packet / 8 <= size - at;
		at += packet / 8;
	}
	fclose(f);
	return whole;
}

/* --- building the graph --- */
static const bt_plugin *find_plugin(struct bt_reader *r, const char *name)
{
	const bt_plugin *plugin = NULL;

	if (bt_plugin_find(name, BT_TRUE, BT_TRUE, BT_TRUE, BT_FALSE, BT_TRUE, &plugin) !=
	    BT_PLUGIN_FIND_STATUS_OK) {
		take_error(r, "babeltrace2");
		snprintf(r->why, sizeof(r->why),
			 "babeltrace2's plugin '%s' is missing (package libbabeltrace2)", name);
		return NULL;
	}
	return plugin;
}

static const bt_component_source *add_source(struct bt_reader *r, const bt_plugin *ctf,
					     const char *input, const char *name)
{
	const bt_component_class_source *class =
		bt_plugin_borrow_source_component_class_by_name_const(ctf, r->is_live ? "lttng-live"
										      : "fs");
	const bt_component_source *source = NULL;
	bt_value *params = bt_value_map_create(), *inputs = NULL;
	bool ok = class && params &&
		  bt_value_map_insert_empty_array_entry(params, "inputs", &inputs) ==
			  BT_VALUE_MAP_INSERT_ENTRY_STATUS_OK &&
		  bt_value_array_append_string_element(inputs, input) ==
			  BT_VALUE_ARRAY_APPEND_ELEMENT_STATUS_OK;

	if (ok && r->is_live)
		ok = bt_value_map_insert_string_entry(params, "session-not-found-action", "end") ==
		     BT_VALUE_MAP_INSERT_ENTRY_STATUS_OK;
	if (!ok ||
	    bt_graph_add_source_component(r->graph, class, name, params, BT_LOGGING_LEVEL_NONE,
					  &source) != BT_GRAPH_ADD_COMPONENT_STATUS_OK) {
		take_error(r, input);
		source = NULL;
	}
	bt_value_put_ref(params);
	return source;
}

static bool connect(struct bt_reader *r, const bt_port_output *out, const bt_port_input *in)
{
	if (bt_graph_connect_ports(r->graph, out, in, NULL) == BT_GRAPH_CONNECT_PORTS_STATUS_OK)
		return true;
	take_error(r, "babeltrace2");
	return false;
}

/* All streams of @source into the muxer, which grows a port whenever its last one is taken. */
static bool connect_source(struct bt_reader *r, const bt_component_source *source)
{
	u64 ports = bt_component_source_get_output_port_count(source);

	for (u64 i = 0; i < ports; i++) {
		const bt_port_output *out =
			bt_component_source_borrow_output_port_by_index_const(source, i);
		const bt_port_input *in = bt_component_filter_borrow_input_port_by_index_const(
			r->muxer, r->muxer_ports);

		if (!connect(r, out, in))
			return false;
		r->muxer_ports++;
	}
	return true;
}

static bool add_muxer(struct bt_reader *r)
{
	const bt_plugin *utils = find_plugin(r, "utils");
	const bt_component_class_filter *class;
	bool ok;

	if (!utils)
		return false;
	class = bt_plugin_borrow_filter_component_class_by_name_const(utils, "muxer");
	ok = class &&
	     bt_graph_add_filter_component(r->graph, class, "muxer", NULL, BT_LOGGING_LEVEL_NONE,
					   &r->muxer) == BT_GRAPH_ADD_COMPONENT_STATUS_OK;
	if (!ok)
		take_error(r, "babeltrace2's muxer");
	bt_plugin_put_ref(utils);
	return ok;
}

static bool build_saved(struct bt_reader *r, const bt_plugin *ctf, const bt_component_sink *sink,
			const struct found_traces *f)
{
	const bt_component_source *source;
	char name[32];

	if (f->count > 1) {
		snprintf(r->why, sizeof(r->why), "%u traces in it; give one, like %s", f->count,
			 f->path[0]);
		return false;
	}
	if (!add_muxer(r))
		return false;
	for (u32 i = 0; i < f->count; i++) {
		if (!metadata_is_whole(f->path[i])) {
			snprintf(r->why, sizeof(r->why), "%s: its metadata file is cut off",
				 f->path[i]);
			return false;
		}
		snprintf(name, sizeof(name), "trace-%u", i);
		source = add_source(r, ctf, f->path[i], name);
		if (!source || !connect_source(r, source))
			return false;
	}
	return connect(r, bt_component_filter_borrow_output_port_by_index_const(r->muxer, 0),
		       bt_component_sink_borrow_input_port_by_index_const(sink, 0));
}

static bool build_live(struct bt_reader *r, const bt_plugin *ctf, const bt_component_sink *sink,
		       const char *url)
{
	const bt_component_source *source = add_source(r, ctf, url, "live");

	return source &&
	       connect(r, bt_component_source_borrow_output_port_by_index_const(source, 0),
		       bt_component_sink_borrow_input_port_by_index_const(sink, 0));
}

static bool build(struct bt_reader *r, const char *source, const struct found_traces *f)
{
	const bt_plugin *ctf = find_plugin(r, "ctf");
	const bt_component_sink *sink;
	bool ok;

	if (!ctf)
		return false;
	ok = bt_graph_add_simple_sink_component(r->graph, "nestor", NULL, consume, NULL, r,
						&sink) == BT_GRAPH_ADD_COMPONENT_STATUS_OK;
	if (!ok)
		take_error(r, "babeltrace2");
	else
		ok = r->is_live ? build_live(r, ctf, sink, source) : build_saved(r, ctf, sink, f);
	bt_plugin_put_ref(ctf);
	return ok;
}

struct bt_reader *bt_reader_open(const char *source, const struct bt_reader_ops *ops, void *arg,
				 char *why, size_t why_bytes)
{
	struct bt_reader *r = calloc(1, sizeof(*r));
	struct found_traces f = {.count = 0};
	bool ok;

	if (!r) {
		snprintf(why, why_bytes, "out of memory");
		return NULL;
	}
	bt_logging_set_global_level(BT_LOGGING_LEVEL_NONE); /* errors come back as values */
	r->ops = ops;
	r->arg = arg;
	r->is_live = bt_reader_is_live(source);
	r->decoder = bt_decoder_create();
	r->graph = bt_graph_create(0);
	r->interrupter = bt_interrupter_create();
	ok = r->decoder && r->graph && r->interrupter &&
	     bt_graph_add_interrupter(r->graph, r->interrupter) ==
		     BT_GRAPH_ADD_INTERRUPTER_STATUS_OK;
	if (!ok)
		snprintf(r->why, sizeof(r->why), "out of memory");
	ok = ok && (r->is_live || find_traces(r, source, &f)) && build(r, source, &f);
	forget_found(&f);
	if (!ok) {
		snprintf(why, why_bytes, "%s", r->why);
		bt_reader_close(r);
		return NULL;
	}
	return r;
}

void bt_reader_close(struct bt_reader *r)
{
	if (!r)
		return;
	bt_graph_put_ref(r->graph);
	bt_interrupter_put_ref(r->interrupter);
	bt_decoder_destroy(r->decoder);
	free(r);
}

void bt_reader_for_model(struct bt_reader *r)
{
	bt_decoder_for_model(r->decoder);
}

enum bt_reader_status bt_reader_step(struct bt_reader *r)
{
	if (bt_interrupter_is_set(r->interrupter))
		return BT_READER_END;
	switch (bt_graph_run_once(r->graph)) {
	case BT_GRAPH_RUN_ONCE_STATUS_OK: return BT_READER_MORE;
	case BT_GRAPH_RUN_ONCE_STATUS_AGAIN: return BT_READER_WAIT;
	case BT_GRAPH_RUN_ONCE_STATUS_END: return BT_READER_END;
	default:
		if (bt_interrupter_is_set(r->interrupter)) {
			take_error(r, "interrupted");
			return BT_READER_END;
		}
		take_error(r, r->is_live ? "live session" : "trace");
		return BT_READER_ERROR;
	}
}

const char *bt_reader_why(const struct bt_reader *r)
{
	return r->why;
}

void bt_reader_interrupt(struct bt_reader *r)
{
	bt_interrupter_set(r->interrupter);
}

u64 bt_reader_foreign(const struct bt_reader *r)
{
	return r->foreign;
}
