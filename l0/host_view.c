/* The viewer beside a run; see host_view.h. */
#include "l0/host_view.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct host_view {
	struct host *h;
	pthread_t thread;
	const char *url; /* the session's */
	_Atomic bool is_over;
};

static enum run_phase phase(void *arg)
{
	struct host_view *v = arg;

	if (v->h->is_signalled)
		return RUN_PHASE_LEAVES;
	return v->is_over ? RUN_PHASE_ENDED : RUN_PHASE_GOES_ON;
}

static void quit(void *arg)
{
	host_stop(((struct host_view *)arg)->h, HOST_STOP_USER);
}

static void *show(void *arg)
{
	struct host_view *v = arg;

	v->h->opts->show_live(v->url, phase, quit, v);
	return NULL;
}

void host_view_start(struct host *h)
{
	const char *url = h->session ? trace_session_live_url(h->session) : NULL;
	sigset_t all, old;
	int err;

	if (!h->opts->view || !h->opts->show_live || !url)
		return; /* without a session the reason has been said */
	h->view = calloc(1, sizeof(*h->view));
	if (!h->view)
		return;
	*h->view = (struct host_view){.h = h, .url = url};
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	err = pthread_create(&h->view->thread, NULL, show, h->view);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		fprintf(stderr, "nestor: no live view: %s; the run goes on\n", strerror(err));
		free(h->view);
		h->view = NULL;
	}
}

void host_view_finish(struct host *h)
{
	if (!h->view)
		return;
	h->view->is_over = true;
	pthread_join(h->view->thread, NULL);
	free(h->view);
	h->view = NULL;
}
