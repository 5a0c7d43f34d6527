/*
 * viewer.h - the viewer as a whole: its main loop, and how a run shows itself
 *
 * viewer_show() takes the terminal and the calling thread until the user leaves; called by
 * l0/cmd/view.c in a process of its own. viewer_run_live() is for the process that runs machines:
 * it starts `nestor view URL` as a child process, so that the viewer's terminal, signals, memory
 * and faults stay apart from the run.
 */
#ifndef VIEWER_VIEWER_H
#define VIEWER_VIEWER_H

#include "trace/model/names.h"
#include "viewer/screen.h"
#include "viewer/source.h"

struct viewer_config {
	struct source *source;	   /* stays the caller's */
	const struct names *names; /* of guest addresses; NULL: none; stays the caller's */
	struct screen_options screen;
	int run_fd; /* of viewer_run_live(), from VIEWER_RUN_FD_VARIABLE; -1: none */
};

/**
 * viewer_show - show a source until the user leaves or a signal (INT, TERM, HUP) says so
 * @why: the reason in words, when the screen cannot be opened or the source cannot be read
 * Return: 0; -errno of screen_open() or of the source, the terminal is as it was.
 */
int viewer_show(const struct viewer_config *cfg, char *why, size_t why_bytes) __must_check;

enum viewer_run_state {
	VIEWER_RUN_GOES_ON,
	VIEWER_RUN_ENDED,  /* stay on the screen until the user leaves */
	VIEWER_RUN_LEAVES, /* the run was told to end at once: leave, too */
};

/**
 * viewer_run_live - show the live session of this process until the user leaves
 * @url:   of the session (trace_session_live_url())
 * @state: how the run is doing; called every 50 ms
 * @quit:  called once if the user leaves while the run goes on: it should end
 * @arg:   for both
 * Return: 0 when the viewer was shown; -errno when not: why was said in one line on stderr, and the
 * run goes on.
 *
 * Call it on a thread of its own, from after trace_session_start() on; join that thread before
 * trace_session_stop(), so that the session is there as long as the viewer. While the viewer has
 * the terminal, what the process writes to standard output and error is kept back and written after
 * it.
 */
int viewer_run_live(const char *url, enum viewer_run_state (*state)(void *arg),
		    void (*quit)(void *arg), void *arg);

/* In the environment of the viewer that viewer_run_live() starts: number of a descriptor. */
#define VIEWER_RUN_FD_VARIABLE "NESTOR_VIEW_RUN_FD"

/* Bytes that viewer_run_live() writes to the viewer's run_fd; its end: the run's process is gone.
 */
#define VIEWER_MSG_RUN_ENDED 'e'
#define VIEWER_MSG_LEAVE 'q'

#endif
