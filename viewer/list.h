/*
 * list: lines that scroll, with a selected one, and can be searched
 *
 * What the views that are lists have in common. A view hands over how many lines there are and how
 * one is made; only those on the screen are made. Called by views on the main loop's thread.
 */
#ifndef VIEWER_LIST_H
#define VIEWER_LIST_H

#include "viewer/keys.h"
#include "viewer/screen.h"

#define LIST_LINE_BYTES 1200

struct list {
	u32 row, top, count, shown; /* the selected line; the first on the screen */
	u32 left;		    /* columns that are scrolled out */
	bool follows;		    /* the selected line is the last, whatever comes */
};

struct list_line {
	struct screen_look look;
	char text[LIST_LINE_BYTES];
};

typedef void (*list_line_fn)(void *arg, u32 i, struct list_line *line);

/* Draw @count lines into [row, row + rows), the selected one reversed. */
void list_draw(struct list *l, int row, int rows, u32 count, list_line_fn make, void *arg);

/* Return: the action moved the selection. */
bool list_act(struct list *l, enum key_action action);

/* The line of the screen that is @below the list's first was clicked. Return: it was one. */
bool list_click(struct list *l, int below);

/* Select the next line (@step 1 or -1) that holds @text, in any case. Return: there is one. */
bool list_search(struct list *l, const char *text, int step, list_line_fn make, void *arg);

/* Does @text hold @part, in any case? An empty part is in every text. */
bool list_holds(const char *text, const char *part);

#endif
