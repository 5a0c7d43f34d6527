/* The relay daemon behind live views; see daemon.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "trace/daemon.h"

#define RELAY_TIMEOUT_MS 10000
#define RELAY_TRIES 3
#define METADATA_TIMEOUT_MS 3000

static void sleep_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

static struct sockaddr_in loopback(u16 port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

/* Three free ports at once, so that they differ; another program may still take one before relayd.
 */
static int find_free_ports(u16 *ports, int n)
{
	int fds[8], opened = 0, err = 0;

	for (; opened < n; opened++) {
		struct sockaddr_in a = loopback(0);
		socklen_t len = sizeof(a);

		fds[opened] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fds[opened] < 0 || bind(fds[opened], (struct sockaddr *)&a, sizeof(a)) ||
		    getsockname(fds[opened], (struct sockaddr *)&a, &len)) {
			err = -errno;
			if (fds[opened] >= 0)
				close(fds[opened]);
			break;
		}
		ports[opened] = ntohs(a.sin_port);
	}
	while (opened > 0)
		close(fds[--opened]);
	return err;
}

static bool port_answers(u16 port)
{
	struct sockaddr_in a = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* In the child: only calls that are safe after fork. */
static _Noreturn void exec_relay(char *const argv[], pid_t parent, int err_fd)
{
	int null = open("/dev/null", O_RDWR);
	int err;

	setsid(); /* Ctrl-C is for the program, which ends it in order */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	execvp(argv[0], argv);
	err = errno;
	if (write(err_fd, &err, sizeof(err)) < 0)
		_exit(2);
	_exit(1);
}

static int spawn_relay(struct trace_relay *r, char *const argv[])
{
	pid_t parent = getpid();
	int pipe_fd[2], err = 0;
	sigset_t all, old;

	if (pipe2(pipe_fd, O_CLOEXEC))
		return -errno;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	r->pid = fork();
	if (r->pid == 0) {
		sigset_t none;

		for (int sig = 1; sig < NSIG; sig++)
			signal(sig, SIG_DFL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		exec_relay(argv, parent, pipe_fd[1]);
	}
	if (r->pid < 0)
		err = errno;
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(pipe_fd[1]);
	if (r->pid > 0 && read(pipe_fd[0], &err, sizeof(err)) != sizeof(err))
		err = 0;
	close(pipe_fd[0]);
	if (err && r->pid > 0)
		waitpid(r->pid, NULL, 0);
	if (err)
		r->pid = 0;
	return -err;
}

static int start_once(struct trace_relay *r)
{
	char control[64], data[64], live[64], output[TRACE_PATH_BYTES + 32];
	char *argv[] = {(char *)"lttng-relayd", control, data, live, output, NULL};
	u16 ports[3];
	int err = find_free_ports(ports, 3);

	if (err)
		return err;
	snprintf(control, sizeof(control), "--control-port=tcp://127.0.0.1:%u", ports[0]);
	snprintf(data, sizeof(data), "--data-port=tcp://127.0.0.1:%u", ports[1]);
	snprintf(live, sizeof(live), "--live-port=tcp://127.0.0.1:%u", ports[2]);
	snprintf(output, sizeof(output), "--output=%s", r->dir);
	r->control_port = ports[0];
	r->data_port = ports[1];
	r->live_port = ports[2];
	err = spawn_relay(r, argv);
	if (err)
		return err;
	for (int ms = 0; ms < RELAY_TIMEOUT_MS; ms += 5) {
		if (port_answers(ports[0]) && port_answers(ports[2]))
			return 0;
		if (waitpid(r->pid, NULL, WNOHANG) == r->pid) {
			r->pid = 0;
			return -EADDRINUSE;
		}
		sleep_ms(5);
	}
	trace_relay_stop(r);
	return -ETIME;
}

int trace_relay_start(struct trace_relay *r, const struct trace_daemon *d)
{
	int err = 0;

	memset(r, 0, sizeof(*r));
	snprintf(r->dir, sizeof(r->dir), "%s/relay", d->run_dir);
	if (mkdir(r->dir, 0700) && errno != EEXIST)
		return -errno;
	for (int i = 0; i < RELAY_TRIES; i++) {
		err = start_once(r);
		if (err != -EADDRINUSE)
			break;
	}
	return err;
}

/* Has the file the class of the events' streams, which comes behind all events? */
static bool is_whole(const char *path)
{
	static const char text[] = "stream {";
	u32 matched = 0;
	FILE *f = fopen(path, "re");
	int c;

	if (!f)
		return false;
	while (text[matched] && (c = getc(f)) != EOF)
		matched = c == text[matched] ? matched + 1 : c == text[0];
	fclose(f);
	return !text[matched];
}

void trace_relay_wait_metadata(const struct trace_relay *r)
{
	char pattern[sizeof(r->dir) + 32];
	glob_t found;
	bool whole;

	snprintf(pattern, sizeof(pattern), "%s/*/*/ust/*/*/*/metadata", r->dir);
	for (int ms = 0; ms < METADATA_TIMEOUT_MS; ms += 10) {
		whole = !glob(pattern, 0, NULL, &found) && is_whole(found.gl_pathv[0]);
		globfree(&found);
		if (whole)
			return;
		sleep_ms(10);
	}
}

void trace_relay_stop(struct trace_relay *r)
{
	if (!r->pid)
		return;
	kill(r->pid, SIGTERM);
	for (int ms = 0; waitpid(r->pid, NULL, WNOHANG) == 0; ms += 5) {
		if (ms > 3000)
			kill(r->pid, SIGKILL);
		sleep_ms(5);
	}
	r->pid = 0;
}
