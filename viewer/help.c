/* The help window; see help.h. */
#include <string.h>

#include "viewer/help.h"
#include "viewer/keys.h"
#include "viewer/screen.h"

#define KEY_COLS 20
#define TEXT_COLS 42

void help_draw(void)
{
	const struct screen_look ground = {INK_DEFAULT, INK_BAR, 0};
	int width = KEY_COLS + TEXT_COLS + 2, height = ACTION_COUNT + 2;
	int row = MAX((screen_rows() - height) / 2, 0), col = MAX((screen_cols() - width) / 2, 0);
	char names[KEYS_NAME_BYTES];

	for (int i = 0; i < height; i++)
		screen_fill(row + i, col, width, ground);
	screen_text(row, col + 2, -1, LOOK(INK_DEFAULT, INK_BAR, ATTR_BOLD), "Keys");
	for (u32 a = 1; a < ACTION_COUNT; a++) {
		screen_text(row + (int)a, col + 2, KEY_COLS, LOOK(INK_DEFAULT, INK_BAR, ATTR_BOLD),
			    keys_names((enum key_action)a, names));
		screen_text(row + (int)a, col + KEY_COLS, TEXT_COLS, ground,
			    keys_help((enum key_action)a));
	}
	screen_text(row + ACTION_COUNT, col + 2, -1, ground,
		    "Time is the machines' (virtual) time. A number of a");
	screen_text(row + ACTION_COUNT + 1, col + 2, -1, ground,
		    "VM is its own, but CPU % has its guests in it.");
}
