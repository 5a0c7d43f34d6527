/* Finding, starting and ending LTTng's session daemon; see daemon.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <lttng/lttng.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "trace/daemon.h"

extern char **environ;

/* liblttng-ctl's own switch for its complaints on stderr; in no header, so perhaps not there. */
extern int lttng_opt_quiet __attribute__((weak));

#define START_TIMEOUT_MS 15000
#define STOP_TIMEOUT_MS 5000

static void sleep_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

/* --- processes --- */

/* Start time of a process in clock ticks since boot, which with the pid names it for good; 0: none.
 */
static u64 process_start_time(pid_t pid)
{
	char path[64], buf[1024], *p;
	u64 start = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fgets(buf, sizeof(buf), f) && (p = strrchr(buf, ')'))) {
		/* field 22; the name in parentheses is field 2 */
		for (int field = 2; p && field < 22; field++)
			p = strchr(p + 1, ' ');
		if (p)
			start = strtoull(p, NULL, 10);
	}
	fclose(f);
	return start;
}

static bool process_is_called(pid_t pid, const char *name)
{
	char path[64], buf[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(buf, sizeof(buf), f))
		buf[0] = 0;
	fclose(f);
	buf[strcspn(buf, "\n")] = 0;
	return !strncmp(buf, name, 15);
}

/* "nestor-PID-START…": does that process run? True for names that are not ours. */
static bool run_is_alive(const char *name)
{
	unsigned long long start;
	int pid;

	if (sscanf(name, "nestor-%d-%llu", &pid, &start) != 2)
		return true;
	return process_start_time(pid) == start;
}

/* --- the private folder --- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static int make_private_dir(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	if (lstat(path, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
		return -EPERM; /* somebody else's: do not trust it */
	return 0;
}

static void choose_dir(struct trace_daemon *d)
{
	const char *run = getenv("XDG_RUNTIME_DIR");

	if (run && run[0] == '/' && strlen(run) < 64 && !access(run, W_OK | X_OK))
		snprintf(d->dir, sizeof(d->dir), "%s/nestor", run);
	else
		snprintf(d->dir, sizeof(d->dir), "/tmp/nestor-%u", (unsigned)geteuid());
}

/* Take the folder's lock; it may be removed by its last user meanwhile. Return: fd or -errno. */
static int lock_dir(const struct trace_daemon *d)
{
	char path[TRACE_PATH_BYTES + 8];
	struct stat held, named;
	int err, fd;

	snprintf(path, sizeof(path), "%s/lock", d->dir);
	for (int tries = 0; tries < 100; tries++) {
		err = make_private_dir(d->dir);
		if (err)
			return err;
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX) == 0 && fstat(fd, &held) == 0 && stat(path, &named) == 0 &&
		    held.st_ino == named.st_ino)
			return fd;
		close(fd);
	}
	return -EAGAIN;
}

static void unlock_dir(int fd)
{
	close(fd);
}

/* --- the mark that a nestor started the daemon: a file with its process id --- */

static void mark_path(const struct trace_daemon *d, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%s/sessiond", d->dir);
}

static pid_t mark_read(const struct trace_daemon *d)
{
	char path[TRACE_PATH_BYTES + 16];
	unsigned long long start = 0;
	int pid = 0;
	FILE *f;

	mark_path(d, path, sizeof(path));
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%d %llu", &pid, &start) != 2 || pid <= 1 ||
	    process_start_time(pid) != start || !process_is_called(pid, "lttng-sessiond"))
		pid = 0;
	fclose(f);
	if (!pid)
		unlink(path);
	return pid;
}

static void mark_write(const struct trace_daemon *d)
{
	char path[TRACE_PATH_BYTES + 16];
	FILE *f;

	mark_path(d, path, sizeof(path));
	f = fopen(path, "we");
	if (!f)
		return;
	fprintf(f, "%d %llu\n", (int)d->sessiond,
		(unsigned long long)process_start_time(d->sessiond));
	fclose(f);
}

/* Process id of the daemon that liblttng-ctl talks to now. */
static pid_t find_sessiond(void)
{
	const char *home = getenv("LTTNG_HOME");
	char path[TRACE_PATH_BYTES];
	int pid = 0;
	FILE *f;

	if (!home)
		home = getenv("HOME");
	if (geteuid() == 0)
		snprintf(path, sizeof(path), "/var/run/lttng/lttng-sessiond.pid");
	else
		snprintf(path, sizeof(path), "%s/.lttng/lttng-sessiond.pid", home ? home : "");
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%d", &pid) != 1 || !process_is_called(pid, "lttng-sessiond"))
		pid = 0;
	fclose(f);
	return pid;
}

/* --- starting --- */

static int wait_for_child(pid_t pid, long timeout_ms)
{
	int status;

	for (long waited = 0; waited < timeout_ms; waited += 5) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
		if (got < 0 && errno != EINTR)
			return 255;
		sleep_ms(5);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -ETIME;
}

static int spawn_sessiond(void)
{
	char *argv[] = {(char *)"lttng-sessiond", (char *)"--daemonize", (char *)"--no-kernel",
			(char *)"--quiet", NULL};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int err;

	/* a session of its own, so that a Ctrl-C meant for us does not reach it on its way up */
	posix_spawnattr_init(&attr);
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	err = posix_spawnp(&pid, argv[0], &fa, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	if (err)
		return -err;
	err = wait_for_child(pid, START_TIMEOUT_MS);
	return err < 0 ? err : err ? -EIO : 0;
}

static int start_sessiond(struct trace_daemon *d)
{
	int err = spawn_sessiond();

	if (err == -EIO && lttng_session_daemon_alive())
		return 0; /* somebody else was faster */
	if (err)
		return err;
	for (int ms = 0; !lttng_session_daemon_alive(); ms += 10) {
		if (ms >= START_TIMEOUT_MS)
			return -ETIME;
		sleep_ms(10);
	}
	d->started_now = true;
	return 0;
}

/* Destroy what crashed runs left. */
static void clean_up_stale(const struct trace_daemon *d)
{
	struct lttng_session *sessions = NULL;
	int n = lttng_list_sessions(&sessions);
	DIR *dir = opendir(d->dir);
	struct dirent *e;

	for (int i = 0; i < n; i++)
		if (!run_is_alive(sessions[i].name))
			lttng_destroy_session_no_wait(sessions[i].name);
	if (n >= 0)
		free(sessions);
	while (dir && (e = readdir(dir))) {
		char path[TRACE_PATH_BYTES + 300];

		if (run_is_alive(e->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", d->dir, e->d_name);
		remove_tree(path);
	}
	if (dir)
		closedir(dir);
}

/* Select the daemon: the one of the surroundings, else that of our private home. */
static bool find_running(const struct trace_daemon *d)
{
	char home[TRACE_PATH_BYTES + 8];

	if (lttng_session_daemon_alive())
		return true;
	if (geteuid() == 0)
		return false;
	snprintf(home, sizeof(home), "%s/home", d->dir);
	if (make_private_dir(home))
		return false;
	setenv("LTTNG_HOME", home, 1);
	return lttng_session_daemon_alive();
}

static int acquire_locked(struct trace_daemon *d, bool may_start, char *why, size_t why_bytes)
{
	int err = 0;

	if (!find_running(d)) {
		err = may_start ? start_sessiond(d) : -ENOENT;
		if (err == -ENOENT && may_start)
			snprintf(why, why_bytes,
				 "lttng-sessiond is not installed (package lttng-tools)");
		else if (err == -ENOENT)
			snprintf(why, why_bytes, "no session daemon runs");
		else if (err == -ETIME)
			snprintf(why, why_bytes, "lttng-sessiond does not answer");
		else if (err)
			snprintf(why, why_bytes, "lttng-sessiond does not start: %s",
				 strerror(-err));
		if (err)
			return err;
	}
	d->sessiond = find_sessiond();
	if (d->started_now)
		mark_write(d);
	clean_up_stale(d);
	if (mkdir(d->run_dir, 0700) && errno != EEXIST) {
		err = -errno;
		snprintf(why, why_bytes, "%s: %s", d->run_dir, strerror(errno));
	}
	return err;
}

static void remove_dir_if_unused(const struct trace_daemon *d)
{
	char path[TRACE_PATH_BYTES + 8];
	DIR *dir = opendir(d->dir);
	struct dirent *e;
	bool used = false;

	while (dir && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
		    strcmp(e->d_name, "lock") && strcmp(e->d_name, "home"))
			used = true;
	if (dir)
		closedir(dir);
	if (used)
		return;
	snprintf(path, sizeof(path), "%s/home", d->dir);
	remove_tree(path);
	snprintf(path, sizeof(path), "%s/lock", d->dir);
	unlink(path);
	rmdir(d->dir);
}

int trace_daemon_acquire(struct trace_daemon *d, bool may_start, char *why, size_t why_bytes)
{
	int fd, err;

	memset(d, 0, sizeof(*d));
	if (&lttng_opt_quiet)
		lttng_opt_quiet = 1;
	choose_dir(d);
	snprintf(d->run_name, sizeof(d->run_name), "nestor-%d-%llu", (int)getpid(),
		 (unsigned long long)process_start_time(getpid()));
	snprintf(d->run_dir, sizeof(d->run_dir), "%.400s/%s", d->dir, d->run_name);
	fd = lock_dir(d);
	if (fd < 0) {
		snprintf(why, why_bytes, "private folder %s: %s", d->dir, strerror(-fd));
		return fd;
	}
	err = acquire_locked(d, may_start, why, why_bytes);
	if (err)
		remove_dir_if_unused(d);
	unlock_dir(fd);
	return err;
}

static void end_sessiond(const struct trace_daemon *d, pid_t pid)
{
	char path[TRACE_PATH_BYTES + 16];

	kill(pid, SIGTERM);
	for (int ms = 0; ms < STOP_TIMEOUT_MS && process_is_called(pid, "lttng-sessiond"); ms += 5)
		sleep_ms(5);
	mark_path(d, path, sizeof(path));
	unlink(path);
}

void trace_daemon_release(struct trace_daemon *d)
{
	struct lttng_session *sessions = NULL;
	pid_t ours;
	int fd, n;

	if (!d->dir[0])
		return;
	fd = lock_dir(d);
	if (fd < 0)
		return;
	remove_tree(d->run_dir);
	ours = mark_read(d);
	if (ours) {
		n = lttng_list_sessions(&sessions);
		if (n >= 0)
			free(sessions);
		if (n <= 0)
			end_sessiond(d, ours);
	}
	remove_dir_if_unused(d);
	unlock_dir(fd);
	d->dir[0] = 0;
}

bool trace_daemon_is_alive(const struct trace_daemon *d)
{
	return !d->sessiond || kill(d->sessiond, 0) == 0 || errno == EPERM;
}

void trace_daemon_publish(const struct trace_daemon *d)
{
	char path[TRACE_PATH_BYTES + 8];
	int fd;

	snprintf(path, sizeof(path), "%s/traced", d->run_dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
}

static bool is_published(const struct trace_daemon *d, const char *run_name)
{
	char path[TRACE_PATH_BYTES + 300];

	snprintf(path, sizeof(path), "%s/%s/traced", d->dir, run_name);
	return access(path, F_OK) == 0 && run_is_alive(run_name);
}

int trace_daemon_each_run(const struct trace_daemon *d, void (*each)(void *arg, pid_t pid),
			  void *arg)
{
	unsigned long long start;
	DIR *dir = opendir(d->dir);
	struct dirent *e;
	int pid, n = 0;

	while (dir && (e = readdir(dir)))
		if (sscanf(e->d_name, "nestor-%d-%llu", &pid, &start) == 2 && pid != getpid() &&
		    is_published(d, e->d_name)) {
			each(arg, pid);
			n++;
		}
	if (dir)
		closedir(dir);
	return n;
}
