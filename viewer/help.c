/* The help window; see help.h. */
#include <string.h>

#include "viewer/help.h"
#include "viewer/keys.h"
#include "viewer/screen.h"

#define KEY_COLS 20
#define TEXT_COLS 42

static const char *const notes[] = {
	"",
	"Mouse: tabs, rows and lanes; the wheel scrolls or zooms.",
	"Time is the machines' (virtual) time. A number of a VM",
	"is its own, but CPU % has its guests in it.",
};

#define LINES (ACTION_COUNT - 1 + (u32)ARRAY_SIZE(notes))

static void draw_line(int row, int col, u32 line)
{
	const struct screen_look ground = {INK_DEFAULT, INK_BAR, 0};
	enum key_action action = (enum key_action)(line + 1);
	char names[KEYS_NAME_BYTES];

	if (line >= ACTION_COUNT - 1) {
		screen_text(row, col, -1, ground, notes[line - (ACTION_COUNT - 1)]);
		return;
	}
	screen_text(row, col, KEY_COLS, LOOK(INK_DEFAULT, INK_BAR, ATTR_BOLD),
		    keys_names(action, names));
	screen_text(row, col + KEY_COLS, TEXT_COLS, ground, keys_help(action));
}

void help_draw(u32 *top)
{
	u32 shown = MIN(LINES, (u32)MAX(screen_rows() - 4, 1));
	int width = KEY_COLS + TEXT_COLS + 4, height = (int)shown + 1;
	int row = MAX((screen_rows() - height) / 2, 0), col = MAX((screen_cols() - width) / 2, 0);

	*top = MIN(*top, LINES - shown);
	for (int i = 0; i < height; i++)
		screen_fill(row + i, col, width, LOOK(INK_DEFAULT, INK_BAR, 0));
	screen_printf(row, col + 2, -1, LOOK(INK_DEFAULT, INK_BAR, ATTR_BOLD), "Keys%s",
		      shown < LINES ? " (Up and Down scroll)" : "");
	for (u32 i = 0; i < shown; i++)
		draw_line(row + 1 + (int)i, col + 2, *top + i);
}
