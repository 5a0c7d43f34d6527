/* Lines that scroll; see list.h. */
#include <string.h>

#include "viewer/list.h"

/* @text without its first @n characters, whatever their bytes. */
static const char *past(const char *text, u32 n)
{
	for (; n && *text; n--)
		do
			text++;
		while (((u8)*text & 0xc0) == 0x80);
	return text;
}

void list_draw(struct list *l, int row, int rows, u32 count, list_line_fn make, void *arg)
{
	static struct list_line line;

	l->count = count;
	l->shown = (u32)MAX(rows, 1);
	if (l->follows || l->row >= count)
		l->row = count ? count - 1 : 0;
	if (l->row < l->top)
		l->top = l->row;
	if (l->row >= l->top + l->shown)
		l->top = l->row - l->shown + 1;
	if (l->top + l->shown > count)
		l->top = count > l->shown ? count - l->shown : 0;
	for (u32 i = l->top; i < count && i < l->top + l->shown; i++) {
		int at = row + (int)(i - l->top);

		line.look = LOOK(INK_DEFAULT);
		line.text[0] = 0;
		make(arg, i, &line);
		if (i == l->row) {
			line.look = LOOK(INK_DEFAULT, INK_DEFAULT, ATTR_REVERSE);
			screen_fill(at, 0, screen_cols(), line.look);
		}
		screen_text(at, 0, -1, line.look, past(line.text, l->left));
	}
}

bool list_act(struct list *l, enum key_action action)
{
	u32 last = l->count ? l->count - 1 : 0;

	switch (action) {
	case ACTION_LEFT: l->left -= MIN(l->left, 8u); return true;
	case ACTION_RIGHT: l->left = MIN(l->left + 8, (u32)LIST_LINE_BYTES); return true;
	case ACTION_UP: l->row -= l->row > 0; break;
	case ACTION_DOWN: l->row += l->row < last; break;
	case ACTION_PAGE_BACK: l->row -= MIN(l->row, l->shown); break;
	case ACTION_PAGE_ON: l->row = MIN(l->row + l->shown, last); break;
	case ACTION_BEGIN: l->row = 0; break;
	case ACTION_END: l->row = last; break;
	default: return false;
	}
	l->follows = l->follows ? l->row == last && action != ACTION_UP : false;
	return true;
}

bool list_click(struct list *l, int below)
{
	if (below < 0 || (u32)below >= l->shown || l->top + (u32)below >= l->count)
		return false;
	l->row = l->top + (u32)below;
	l->follows = false;
	return true;
}

bool list_holds(const char *text, const char *part)
{
	return strcasestr(text, part) != NULL;
}

bool list_search(struct list *l, const char *text, int step, list_line_fn make, void *arg)
{
	static struct list_line line;

	for (u32 k = 1; k <= l->count; k++) {
		u32 i = step > 0 ? (l->row + k) % l->count : (l->row + l->count - k) % l->count;

		line.text[0] = 0;
		make(arg, i, &line);
		if (list_holds(line.text, text)) {
			l->row = i;
			l->follows = false;
			return true;
		}
	}
	return false;
}
