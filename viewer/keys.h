/*
 * keys.h - what a key means, and what it is called
 *
 * One table (keys.def) for the actions, the help window and the bottom line. Pure; called by the
 * viewer's main loop.
 */
#ifndef VIEWER_KEYS_H
#define VIEWER_KEYS_H

#include "l0/base/types.h"

enum key_action {
	ACTION_NONE,
#define KEY(action, help, ...) ACTION_##action,
#include "viewer/keys.def"
#undef KEY
	ACTION_COUNT
};

/* Room for the name of a key or of all keys of an action. */
#define KEYS_NAME_BYTES 64

/* The action of key @key (enum screen_key or a character), or ACTION_NONE. */
enum key_action keys_action(int key);

/* What the action does, for the help. */
const char *keys_help(enum key_action action);

/* All keys of an action, as "q, F10, Ctrl-C", into @buf of KEYS_NAME_BYTES; returns @buf. */
const char *keys_names(enum key_action action, char *buf);

#endif
