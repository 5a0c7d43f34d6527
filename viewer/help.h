/* help.h - the window with all keys, from keys.def; drawn over the view by the main loop */
#ifndef VIEWER_HELP_H
#define VIEWER_HELP_H

#include "l0/base/types.h"

/* @top: the first line shown, kept within bounds. */
void help_draw(u32 *top);

#endif
