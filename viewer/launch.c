/* `nestor view URL` as a child process of a run; see viewer.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "viewer/viewer.h"

#define POLL_MS 50
#define URGE_MS 3000u
#define KILL_MS 12000u /* it ends itself before that; see viewer.c */
#define TAKE_MS 2000   /* a terminal that takes nothing for so long gets nothing more */

extern char **environ;

/* What the run writes meanwhile, kept back. */
struct aside {
	int file;
	int saved[2]; /* of standard output and error */
};

static void aside_begin(struct aside *a)
{
	fflush(NULL);
	a->file = memfd_create("nestor-output", MFD_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		a->saved[i] = a->file < 0 ? -1 : fcntl(1 + i, F_DUPFD_CLOEXEC, 3);
		if (a->saved[i] >= 0)
			dup2(a->file, 1 + i);
	}
}

/* Everything in the order it was written, on standard error. */
static void aside_end(struct aside *a)
{
	struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
	char buf[256]; /* as much as a terminal takes without waiting when poll() says so */
	ssize_t n;

	fflush(NULL);
	for (int i = 0; i < 2; i++) {
		if (a->saved[i] < 0)
			continue;
		dup2(a->saved[i], 1 + i);
		close(a->saved[i]);
	}
	if (a->file < 0)
		return;
	lseek(a->file, 0, SEEK_SET);
	while ((n = read(a->file, buf, sizeof(buf))) > 0)
		if (poll(&out, 1, TAKE_MS) <= 0 || write(STDERR_FILENO, buf, (size_t)n) < 0)
			break;
	close(a->file);
}

/* Ours, and where the viewer finds the pipe. Freed by the caller; its strings are not its own. */
static char **viewer_environment(void)
{
	size_t n = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 2, sizeof(*env));
	if (!env)
		return NULL;
	env[0] = (char *)VIEWER_RUN_FD_VARIABLE "=3";
	memcpy(env + 1, environ, n * sizeof(*env));
	return env;
}

/* The viewer with the pipe's reading end as descriptor 3, default signals, and the terminal. */
static int spawn_viewer(const char *url, int pipe_fd, pid_t *pid)
{
	char *argv[] = {(char *)"nestor", (char *)"view", (char *)url, NULL};
	char **env = viewer_environment();
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int err;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipe_fd, 3);
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	err = env ? posix_spawn(pid, "/proc/self/exe", &actions, &attr, argv, env) : ENOMEM;
	free(env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -err;
}

/* SIGPIPE must not end the run: the viewer may be gone. */
static void send_message(int fd, char msg)
{
	sigset_t pipe_set, old;
	struct timespec zero = {0, 0};

	sigemptyset(&pipe_set);
	sigaddset(&pipe_set, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_set, &old);
	if (write(fd, &msg, 1) < 0)
		sigtimedwait(&pipe_set, NULL, &zero);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* It was asked to leave @ms ago and is still there: it may not be able to read that. */
static void urge(pid_t pid, u32 ms)
{
	if (ms == URGE_MS)
		kill(pid, SIGTERM);
	else if (ms == KILL_MS)
		kill(pid, SIGKILL);
}

/* Until the viewer is gone, tell it how the run is doing. Return: the run still went on. */
static bool accompany(pid_t pid, int fd, enum viewer_run_state (*state)(void *arg), void *arg,
		      int *status)
{
	enum viewer_run_state told = VIEWER_RUN_GOES_ON, now;
	struct timespec ts = {0, POLL_MS * 1000000l};
	u32 asked_ms = 0;

	for (;;) {
		pid_t got = waitpid(pid, status, WNOHANG);

		if (got == pid || (got < 0 && errno != EINTR))
			return told == VIEWER_RUN_GOES_ON;
		now = state(arg);
		if (now != told)
			send_message(fd, now == VIEWER_RUN_LEAVES ? VIEWER_MSG_LEAVE
								  : VIEWER_MSG_RUN_ENDED);
		told = now;
		if (told == VIEWER_RUN_LEAVES)
			urge(pid, asked_ms += POLL_MS);
		nanosleep(&ts, NULL);
	}
}

int viewer_run_live(const char *url, enum viewer_run_state (*state)(void *arg),
		    void (*quit)(void *arg), void *arg)
{
	int fds[2], err, status = 0;
	bool goes_on, shown;
	struct aside aside;
	char why[256];
	pid_t pid;

	err = screen_check(why, sizeof(why));
	if (err) {
		fprintf(stderr, "nestor: no live view: %s; the run goes on\n", why);
		return err;
	}
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	err = spawn_viewer(url, fds[0], &pid);
	close(fds[0]);
	if (err) {
		close(fds[1]);
		fprintf(stderr, "nestor: no live view: %s; the run goes on\n", strerror(-err));
		return err;
	}
	aside_begin(&aside);
	goes_on = accompany(pid, fds[1], state, arg, &status);
	shown = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (goes_on && shown)
		quit(arg);
	close(fds[1]);
	aside_end(&aside);
	if (goes_on && WIFSIGNALED(status))
		fprintf(stderr, "nestor: the viewer ended by signal %d; the run goes on\n",
			WTERMSIG(status));
	return shown ? 0 : -EIO;
}
