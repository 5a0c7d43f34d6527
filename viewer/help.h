/* help.h - the window with all keys, from keys.def; drawn over the view by the main loop */
#ifndef VIEWER_HELP_H
#define VIEWER_HELP_H

void help_draw(void);

#endif
