/* Keys and actions; see keys.h. */
#include <stdio.h>
#include <string.h>

#include "viewer/keys.h"
#include "viewer/screen.h"

#define MAX_KEYS 9

static const struct {
	const char *help;
	int keys[MAX_KEYS]; /* ends with 0 */
} actions[ACTION_COUNT] = {
#define KEY(action, text, ...) [ACTION_##action] = {text, {__VA_ARGS__}},
#include "viewer/keys.def"
#undef KEY
};

enum key_action keys_action(int key)
{
	for (u32 a = 1; a < ACTION_COUNT; a++)
		for (u32 i = 0; i < MAX_KEYS && actions[a].keys[i]; i++)
			if (actions[a].keys[i] == key)
				return (enum key_action)a;
	return ACTION_NONE;
}

const char *keys_help(enum key_action action)
{
	return actions[action].help;
}

static void name_key(int key, char *buf, size_t bytes)
{
	static const struct {
		int key;
		const char *name;
	} names[] = {
		{' ', "Space"},
		{KEY_CODE_TAB, "Tab"},
		{KEY_CODE_BACK_TAB, "Shift-Tab"},
		{KEY_CODE_UP, "Up"},
		{KEY_CODE_DOWN, "Down"},
		{KEY_CODE_LEFT, "Left"},
		{KEY_CODE_RIGHT, "Right"},
		{KEY_CODE_PAGE_UP, "PgUp"},
		{KEY_CODE_PAGE_DOWN, "PgDn"},
		{KEY_CODE_HOME, "Home"},
		{KEY_CODE_END, "End"},
		{KEY_CODE_ENTER, "Enter"},
		{KEY_CODE_F1, "F1"},
		{KEY_CODE_F3, "F3"},
		{KEY_CODE_F4, "F4"},
		{KEY_CODE_F10, "F10"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].key == key) {
			snprintf(buf, bytes, "%s", names[i].name);
			return;
		}
	}
	if (key < 32)
		snprintf(buf, bytes, "Ctrl-%c", key + '@');
	else
		snprintf(buf, bytes, "%c", key);
}

const char *keys_names(enum key_action action, char *buf)
{
	size_t n = 0;

	buf[0] = 0;
	for (u32 i = 0; i < MAX_KEYS && actions[action].keys[i]; i++) {
		char one[16];

		name_key(actions[action].keys[i], one, sizeof(one));
		n += (size_t)snprintf(buf + n, KEYS_NAME_BYTES - n, "%s%s", i ? ", " : "", one);
		if (n >= KEYS_NAME_BYTES)
			break;
	}
	return buf;
}
