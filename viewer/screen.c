/* The terminal, by ncursesw; see screen.h. */
#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>

#include "viewer/screen.h"

/* term.h defines these as macros of capabilities */
#undef columns
#undef lines

#define ESCAPE_DELAY_MS 25

static struct {
	SCREEN *term;
	bool is_open, ascii;
	int colours;	      /* 0: none */
	struct termios saved; /* before curses */
	char restore[256];    /* written when there is no time for endwin() */
	size_t restore_bytes;
} scr;

/* --- colours --- */

/* Terminal colours of an ink in each palette; -1 is the terminal's own. */
struct ink_colours {
	short c256, c16, c8;
};

static const struct ink_colours plain_inks[INK_ENTITY] = {
	[INK_DEFAULT] = {-1, -1, -1},
	[INK_FAINT] = {243, 8, -1},
	[INK_HEAD] = {117, 14, COLOR_CYAN},
	[INK_GOOD] = {78, 10, COLOR_GREEN},
	[INK_WARN] = {220, 11, COLOR_YELLOW},
	[INK_BAD] = {203, 9, COLOR_RED},
	[INK_BAR] = {238, COLOR_BLUE, COLOR_BLUE},
};

/* A hue a machine, shades of it for its guests. */
static const short shades_256[SCREEN_FAMILIES][SCREEN_SHADES] = {
	{33, 117, 69, 159, 75, 111},	/* blues */
	{208, 228, 137, 216, 178, 222}, /* oranges */
	{35, 114, 48, 157, 71, 150},	/* greens */
	{170, 219, 134, 213, 97, 183},	/* purples */
	{167, 210, 131, 217, 174, 203}, /* reds */
	{37, 80, 30, 122, 73, 116},	/* teals */
};
static const short hues_8[] = {COLOR_BLUE,    COLOR_YELLOW, COLOR_GREEN,
			       COLOR_MAGENTA, COLOR_RED,    COLOR_CYAN};

static short ink_colour(u8 ink)
{
	u32 family, shade;

	if (ink < INK_ENTITY)
		return scr.colours >= 256  ? plain_inks[ink].c256
		       : scr.colours >= 16 ? plain_inks[ink].c16
					   : plain_inks[ink].c8;
	family = (ink - INK_ENTITY) / SCREEN_SHADES;
	shade = (ink - INK_ENTITY) % SCREEN_SHADES;
	if (scr.colours >= 256)
		return shades_256[family][shade];
	/* few colours: neighbours differ, by the shade as much as by the family */
	return (short)(hues_8[(family + shade) % ARRAY_SIZE(hues_8)] +
		       (scr.colours >= 16 && shade ? 8 : 0));
}

u8 screen_entity_ink(u32 family, u32 shade)
{
	return (u8)(INK_ENTITY + family % SCREEN_FAMILIES * SCREEN_SHADES + shade % SCREEN_SHADES);
}

/* Black or white, whichever can be read on the colour. */
static short contrast(short ground)
{
	if (ground == -1)
		return -1;
	if (ground == COLOR_BLUE || ground == COLOR_RED || ground == COLOR_MAGENTA || ground == 238)
		return scr.colours >= 256 ? 255 : COLOR_WHITE;
	return scr.colours >= 256 ? 16 : COLOR_BLACK;
}

static int pair_of(struct screen_look look)
{
	short fg, bg;
	int pair;

	if (!scr.colours)
		return 0;
	bg = ink_colour(look.ground);
	fg = look.ink == INK_DEFAULT ? contrast(bg) : ink_colour(look.ink);
	if (fg == -1 && bg == -1)
		return 0;
	pair = alloc_pair(fg, bg);
	return pair > 0 ? pair : 0;
}

static attr_t attrs_of(struct screen_look look)
{
	attr_t a = A_NORMAL;
	bool grounded = look.ground != INK_DEFAULT;

	if (look.attrs & ATTR_BOLD)
		a |= A_BOLD;
	if (look.attrs & ATTR_UNDERLINE)
		a |= A_UNDERLINE;
	if (look.attrs & ATTR_REVERSE)
		a |= A_REVERSE;
	if (!scr.colours) {
		if (grounded)
			a ^= A_REVERSE;
		if (look.ink == INK_FAINT)
			a |= A_DIM;
		if (look.ink == INK_HEAD || look.ink == INK_WARN || look.ink == INK_BAD)
			a |= A_BOLD;
	}
	return a;
}

/* --- open and close --- */

/* In a handler: no curses, only what is safe there. */
static void restore_raw(void)
{
	if (!scr.is_open)
		return;
	scr.is_open = false;
	if (write(STDOUT_FILENO, scr.restore, scr.restore_bytes) < 0)
		return;
	tcsetattr(STDIN_FILENO, TCSANOW, &scr.saved);
}

/* Where the terminal takes nothing, its settings at least are put back. */
void screen_abandon(void)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL);

	if (flags >= 0)
		fcntl(STDOUT_FILENO, F_SETFL, flags | O_NONBLOCK);
	restore_raw();
	if (flags >= 0)
		fcntl(STDOUT_FILENO, F_SETFL, flags);
}

static void on_death(int sig)
{
	restore_raw();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* What leaves full-screen mode, ready for a handler. */
static void prepare_restore(void)
{
	static const char *const caps[] = {"sgr0", "op", "cnorm", "rmkx", "rmcup"};

	scr.restore_bytes = 0;
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		const char *s = tigetstr((char *)caps[i]);
		size_t n = s && s != (char *)-1 ? strlen(s) : 0;

		/* capabilities of terminals of today hold no delays that would need tputs() */
		if (n && !strchr(s, '$') && scr.restore_bytes + n < sizeof(scr.restore) - 2) {
			memcpy(scr.restore + scr.restore_bytes, s, n);
			scr.restore_bytes += n;
		}
	}
	memcpy(scr.restore + scr.restore_bytes, "\r\n", 2);
	scr.restore_bytes += 2;
}

static void catch_deaths(void)
{
	static const int deaths[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT};
	struct sigaction sa = {.sa_handler = on_death, .sa_flags = (int)SA_RESETHAND};

	for (size_t i = 0; i < ARRAY_SIZE(deaths); i++)
		sigaction(deaths[i], &sa, NULL);
}

/* The user's locale if it says something, else C.UTF-8: nothing set is no wish for ASCII. */
static void choose_locale(const struct screen_options *opts)
{
	const char *lc = getenv("LC_ALL");

	if (!lc || !*lc)
		lc = getenv("LC_CTYPE");
	if (!lc || !*lc)
		lc = getenv("LANG");
	setlocale(LC_ALL, "");
	if ((!lc || !*lc || !setlocale(LC_CTYPE, "")) && MB_CUR_MAX < 4)
		setlocale(LC_CTYPE, "C.UTF-8");
	setlocale(LC_NUMERIC, "C");
	scr.ascii = opts->ascii || strcmp(nl_langinfo(CODESET), "UTF-8");
}

int screen_check(char *why, size_t why_bytes)
{
	const char *term = getenv("TERM"), *cup;
	bool has_cup;
	int err;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
	    tcgetattr(STDIN_FILENO, &scr.saved)) {
		snprintf(why, why_bytes, "the viewer needs a terminal, and standard %s is none",
			 isatty(STDIN_FILENO) ? "output" : "input");
		return -ENOTTY;
	}
	if (!term || !*term) {
		snprintf(why, why_bytes,
			 "TERM is not set, so the terminal's kind is unknown; set it, "
			 "for instance TERM=xterm-256color");
		return -ENOENT;
	}
	if (setupterm(term, STDOUT_FILENO, &err) == ERR) {
		snprintf(why, why_bytes,
			 err < 0 ? "there is no terminfo database for TERM=%s (package "
				   "ncurses-base)"
				 : "unknown terminal TERM=%s; try TERM=xterm-256color",
			 term);
		return -ENOENT;
	}
	cup = tigetstr((char *)"cup");
	has_cup = cup && cup != (char *)-1;
	del_curterm(cur_term);
	if (!has_cup) {
		snprintf(why, why_bytes, "terminal %s cannot move its cursor", term);
		return -ENODEV;
	}
	return 0;
}

static void set_up_colours(const struct screen_options *opts)
{
	const char *no = getenv("NO_COLOR");

	scr.colours = 0;
	if (opts->no_colour || (no && *no) || !has_colors())
		return;
	start_color();
	use_default_colors();
	scr.colours = COLORS;
}

int screen_open(const struct screen_options *opts, char *why, size_t why_bytes)
{
	int err = screen_check(why, why_bytes);

	if (err)
		return err;
	choose_locale(opts);
	scr.term = newterm(NULL, stdout, stdin);
	if (!scr.term) {
		snprintf(why, why_bytes, "terminal %s cannot be set up", getenv("TERM"));
		return -ENODEV;
	}
	set_term(scr.term);
	set_escdelay(ESCAPE_DELAY_MS);
	raw();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	leaveok(stdscr, TRUE);
	curs_set(0);
	mouseinterval(0);
	mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, NULL);
	set_up_colours(opts);
	prepare_restore();
	scr.is_open = true;
	catch_deaths();
	atexit(screen_close);
	return 0;
}

void screen_close(void)
{
	if (!scr.is_open)
		return;
	endwin();
	scr.is_open = false;
	delscreen(scr.term);
	scr.term = NULL;
}

/* --- drawing --- */

int screen_rows(void)
{
	return LINES;
}

int screen_cols(void)
{
	return COLS;
}

bool screen_is_ascii(void)
{
	return scr.ascii;
}

bool screen_has_colour(void)
{
	return scr.colours > 0;
}

bool screen_has_grounds(void)
{
	return scr.colours >= 8 && !scr.ascii;
}

void screen_clear(void)
{
	erase();
}

static void put_cell(int row, int col, struct screen_look look, wchar_t wc)
{
	wchar_t text[2] = {wc, 0};
	int pair = pair_of(look);
	cchar_t cell;

	if (row < 0 || row >= LINES || col < 0 || col >= COLS)
		return;
	setcchar(&cell, text, attrs_of(look), 0, &pair);
	mvadd_wch(row, col, &cell);
}

/* The next character of UTF-8 text; '?' for what is no character. Advances @s. */
static wchar_t next_char(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s;
	u32 need = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : p[0] >= 0xc0 ? 1 : 0;
	u32 c = need ? p[0] & (0x3fu >> need) : p[0];

	for (u32 i = 1; i <= need; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			*s += i;
			return '?';
		}
		c = c << 6 | (p[i] & 0x3f);
	}
	*s += need + 1;
	if (c < 32 || c == 127 || (c >= 0x80 && (!need || scr.ascii)))
		return '?';
	return (wchar_t)c;
}

int screen_width(const char *text)
{
	int n = 0;

	while (*text) {
		int w = wcwidth(next_char(&text));

		n += w > 0 ? w : 1;
	}
	return n;
}

int screen_text(int row, int col, int width, struct screen_look look, const char *text)
{
	int end = width < 0 ? COLS : MIN(col + width, COLS);

	while (*text && col < end) {
		wchar_t wc = next_char(&text);
		int w = wcwidth(wc);

		if (w < 1) {
			wc = '?';
			w = 1;
		}
		if (col + w > end)
			break;
		put_cell(row, col, look, wc);
		col += w;
	}
	return col;
}

int screen_printf(int row, int col, int width, struct screen_look look, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return screen_text(row, col, width, look, text);
}

void screen_fill(int row, int col, int n, struct screen_look look)
{
	for (int i = 0; i < n; i++)
		put_cell(row, col + i, look, L' ');
}

void screen_glyph(int row, int col, struct screen_look look, enum screen_glyph glyph)
{
	static const struct {
		wchar_t utf8, ascii;
	} glyphs[GLYPH_COUNT] = {
		[GLYPH_VLINE] = {0x2502, '|'}, [GLYPH_HLINE] = {0x2500, '-'},
		[GLYPH_TICK] = {0x253c, '+'},  [GLYPH_DOT] = {0x00b7, '.'},
		[GLYPH_CHILD] = {0x2514, '`'}, [GLYPH_UP] = {0x25b2, '^'},
		[GLYPH_DOWN] = {0x25bc, 'v'},
	};

	put_cell(row, col, look, scr.ascii ? glyphs[glyph].ascii : glyphs[glyph].utf8);
}

void screen_split(int row, int col, u32 eighths, u8 left, u8 right, u8 attrs)
{
	/* U+258F is one eighth from the left, U+2589 seven; there are none from the right */
	wchar_t block = (wchar_t)(0x2590 - MIN(MAX(eighths, 1u), 7u));

	if (left == INK_DEFAULT)
		put_cell(row, col, LOOK(right, INK_DEFAULT, attrs | ATTR_REVERSE), block);
	else
		put_cell(row, col, LOOK(left, right, attrs), block);
}

void screen_mark(int row, int col)
{
	cchar_t cell;
	wchar_t wc[CCHARW_MAX];
	attr_t a;
	short ignored;
	int pair = 0;

	if (row < 0 || row >= LINES || col < 0 || col >= COLS)
		return;
	mvin_wch(row, col, &cell);
	getcchar(&cell, wc, &a, &ignored, &pair);
	setcchar(&cell, wc, a ^ A_REVERSE, 0, &pair);
	mvadd_wch(row, col, &cell);
}

void screen_redraw(void)
{
	clearok(stdscr, TRUE);
}

void screen_flush(void)
{
	refresh();
}

/* --- keys --- */

static int translate(wint_t c)
{
	static const struct {
		int curses, code;
	} keys[] = {
		{KEY_UP, KEY_CODE_UP},	       {KEY_DOWN, KEY_CODE_DOWN},
		{KEY_LEFT, KEY_CODE_LEFT},     {KEY_RIGHT, KEY_CODE_RIGHT},
		{KEY_PPAGE, KEY_CODE_PAGE_UP}, {KEY_NPAGE, KEY_CODE_PAGE_DOWN},
		{KEY_HOME, KEY_CODE_HOME},     {KEY_END, KEY_CODE_END},
		{KEY_BTAB, KEY_CODE_BACK_TAB}, {KEY_ENTER, KEY_CODE_ENTER},
		{KEY_F(1), KEY_CODE_F1},       {KEY_F(10), KEY_CODE_F10},
		{KEY_F(3), KEY_CODE_F3},       {KEY_F(4), KEY_CODE_F4},
		{KEY_MOUSE, KEY_CODE_MOUSE},   {KEY_BACKSPACE, KEY_CODE_BACKSPACE},
		{KEY_RESIZE, KEY_CODE_RESIZE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if ((int)c == keys[i].curses)
			return keys[i].code;
	return KEY_CODE_OTHER;
}

/* A terminal that went away reads as its end again and again: curses calls that "no key". */
static bool hung_up(void)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

bool screen_mouse(struct screen_mouse *m)
{
	MEVENT e;

	if (getmouse(&e) != OK)
		return false;
	m->row = e.y;
	m->col = e.x;
	if (e.bstate & BUTTON4_PRESSED)
		m->kind = MOUSE_WHEEL_UP;
	else if (e.bstate & BUTTON5_PRESSED)
		m->kind = MOUSE_WHEEL_DOWN;
	else if (e.bstate & BUTTON1_PRESSED)
		m->kind = MOUSE_CLICK;
	else
		return false;
	return true;
}

int screen_key(int ms)
{
	wint_t c;
	int got;

	timeout(ms);
	got = get_wch(&c);
	if (got == ERR)
		return hung_up() ? KEY_CODE_HANGUP : KEY_CODE_NONE;
	if (got == KEY_CODE_YES)
		return translate(c);
	return c == '\r' ? KEY_CODE_ENTER : (int)c;
}
