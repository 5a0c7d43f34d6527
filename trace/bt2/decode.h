/*
 * decode: a babeltrace2 event of the provider "nestor" to struct transition
 *
 * Used by the plugin's components, by the report and by the viewer's sources. Fields are matched by
 * name once for each event class, then read by index. Unknown events and fields are left out,
 * missing fields are 0, so traces of other versions stay readable. One decoder for one thread.
 * Cost: about 5 ns a field.
 */
#ifndef TRACE_BT2_DECODE_H
#define TRACE_BT2_DECODE_H

#include <babeltrace2/babeltrace.h>
#include "l0/arch/events.h"

struct bt_decoder;

struct bt_decoder *bt_decoder_create(void) __must_check;
void bt_decoder_destroy(struct bt_decoder *d);

/**
 * bt_decode - read one event
 * @out: header and the words of its kind's payload are filled
 * Return: true; false when the event is none of ours (or of a kind that this build does not know).
 */
bool bt_decode(struct bt_decoder *d, const bt_event *event, struct transition *out);

/* Leave fields with these names 0, to save their time; @names ends with NULL and is kept by
 * reference. Before the first event. */
void bt_decoder_skip(struct bt_decoder *d, const char *const *names);

/* Skip what model_feed() does not look at. For readers that do nothing but feed a model. */
void bt_decoder_for_model(struct bt_decoder *d);

/* Events that @msg says were discarded; 0 when it is no such message. An unknown number counts
 * as 1. */
u64 bt_decode_discarded(const bt_message *msg);

#endif
