/*
 * screen.h - the terminal: cells with colours, and keys
 *
 * The only module that touches curses. Opens the terminal with clear errors, draws UTF-8 or ASCII
 * in 256, 16, 8 or no colours, and puts the terminal back as it was: on close, on exit() and when
 * the process dies of a signal. Called by the viewer's main loop on one thread; one screen a
 * process. Knows nothing of machines or traces. Cost: curses sends only what changed.
 */
#ifndef VIEWER_SCREEN_H
#define VIEWER_SCREEN_H

#include "l0/base/types.h"

#define SCREEN_MIN_COLS 80
#define SCREEN_MIN_ROWS 24

/* Inks: what a colour means; the terminal's number for it is the screen's business. */
enum screen_ink {
	INK_DEFAULT,
	INK_FAINT, /* frames, idle time */
	INK_HEAD,  /* headings */
	INK_GOOD,
	INK_WARN,
	INK_BAD,
	INK_BAR,    /* ground of the title and key bars */
	INK_ENTITY, /* + screen_entity_ink(): a machine or one of its guests */
};

/* Families of inks, one a machine; the shades of a family are for its guests. */
#define SCREEN_FAMILIES 6u
#define SCREEN_SHADES 6u
#define SCREEN_INKS (INK_ENTITY + SCREEN_FAMILIES * SCREEN_SHADES)

enum screen_attr { ATTR_BOLD = 1, ATTR_REVERSE = 2, ATTR_UNDERLINE = 4 };

/* How a cell looks. On a ground other than INK_DEFAULT, ink INK_DEFAULT is one that can be read. */
struct screen_look {
	u8 ink, ground, attrs;
};

#define LOOK(...) ((struct screen_look){__VA_ARGS__})

struct screen_options {
	bool ascii;	/* no character above 126 */
	bool no_colour; /* as NO_COLOR in the environment */
};

/* Keys above the characters (which are their Unicode number). */
enum screen_key {
	KEY_CODE_NONE = 0,
	KEY_CODE_TAB = '\t',
	KEY_CODE_ENTER = '\n',
	KEY_CODE_ESC = 27,
	KEY_CODE_UP = 0x110000,
	KEY_CODE_DOWN,
	KEY_CODE_LEFT,
	KEY_CODE_RIGHT,
	KEY_CODE_PAGE_UP,
	KEY_CODE_PAGE_DOWN,
	KEY_CODE_HOME,
	KEY_CODE_END,
	KEY_CODE_BACK_TAB,
	KEY_CODE_F1,
	KEY_CODE_F3,
	KEY_CODE_F4,
	KEY_CODE_BACKSPACE,
	KEY_CODE_MOUSE, /* screen_mouse() says what */
	KEY_CODE_F10,
	KEY_CODE_RESIZE,
	KEY_CODE_HANGUP, /* the terminal is gone */
	KEY_CODE_OTHER,
};

/**
 * screen_check - could the terminal be taken over? Changes nothing.
 * @why: the reason in words, when not
 * Return: 0; -ENOTTY: standard input or output is no terminal; -ENOENT: TERM is unset or unknown;
 *         -ENODEV: the terminal lacks what is needed (cursor movement).
 */
int screen_check(char *why, size_t why_bytes) __must_check;

/* Take the terminal over. Return: as screen_check(). */
int screen_open(const struct screen_options *opts, char *why, size_t why_bytes) __must_check;

/* Give the terminal back; may be called again or without screen_open(). */
void screen_close(void);

/* The same in a signal handler that is about to end the process; never waits. */
void screen_abandon(void);

int screen_rows(void);
int screen_cols(void);
bool screen_is_ascii(void);
bool screen_has_colour(void);
/* Can any two inks meet in a cell (a glyph in one, its ground in the other)? */
bool screen_has_grounds(void);

/* Ink of shade @shade (0: the machine itself) of family @family; both wrap. */
u8 screen_entity_ink(u32 family, u32 shade);

/* Start a new picture: all blank. */
void screen_clear(void);

/**
 * screen_text - write UTF-8 text from @col on, cut at the right border and at @width columns
 * @width: most columns; negative: to the border
 * Return: the column after the text. What does not fit on the screen is left out. Control
 * characters and, on an ASCII screen, all others above 126 show as '?'.
 */
int screen_text(int row, int col, int width, struct screen_look look, const char *text);
int screen_printf(int row, int col, int width, struct screen_look look, const char *fmt, ...)
	__printf_like(5, 6);

/* Fill @n columns with a look and blanks. */
void screen_fill(int row, int col, int n, struct screen_look look);

/* One of the glyphs below, in ASCII where needed. */
enum screen_glyph {
	GLYPH_VLINE,
	GLYPH_HLINE,
	GLYPH_TICK, /* of an axis */
	GLYPH_DOT,  /* idle */
	GLYPH_CHILD,
	GLYPH_UP,
	GLYPH_DOWN,
	GLYPH_COUNT
};
void screen_glyph(int row, int col, struct screen_look look, enum screen_glyph glyph);

/* A cell whose left @eighths (1 to 7) show @left and the rest @right: inks of entities, or
 * INK_DEFAULT for the terminal's own ground. Only where screen_has_grounds(). */
void screen_split(int row, int col, u32 eighths, u8 left, u8 right, u8 attrs);

/* Reverse a cell that is drawn: the cursor. */
void screen_mark(int row, int col);

/* Send all of the next picture, not only what has changed. */
void screen_redraw(void);

/* Send the picture to the terminal. */
void screen_flush(void);

/* The next key, waiting at most @ms; KEY_CODE_NONE: there was none. */
int screen_key(int ms);

enum screen_mouse_kind { MOUSE_CLICK, MOUSE_WHEEL_UP, MOUSE_WHEEL_DOWN };
struct screen_mouse {
	enum screen_mouse_kind kind;
	int row, col;
};

/* After KEY_CODE_MOUSE. Return: false: nothing of use. */
bool screen_mouse(struct screen_mouse *m);

/* Columns that UTF-8 @text takes. */
int screen_width(const char *text);

#endif
