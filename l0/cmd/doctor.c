/* nestor doctor: what this host has and lacks, in one screen. */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "l0/base/code_mem.h"
#include "l0/base/support_file.h"
#include "l0/cmd/cmd.h"

#define PROVIDER_FILE "libnestor-provider.so"
#define PLUGIN_FILE "babeltrace-plugin-nestor.so"

/* Lossless recording wants eight sub-buffers of 4 MiB for each possible processor. */
#define TRACE_BUFFER_BYTES_PER_CPU (8 * 4 * MIB)

struct screen {
	bool colour;
	unsigned lacking; /* lines of kind LACKS */
};

enum verdict { HAS, NOTE, LACKS };

/* One line: what, how it stands, and for LACKS what to do. */
static void line(struct screen *s, enum verdict v, const char *what, const char *fmt, ...)
	__printf_like(4, 5);

static void line(struct screen *s, enum verdict v, const char *what, const char *fmt, ...)
{
	static const struct {
		const char *word, *colour;
	} verdicts[] = {[HAS] = {"ok  ", "\033[32m"},
			[NOTE] = {"note", "\033[33m"},
			[LACKS] = {"LACK", "\033[31m"}};
	va_list ap;

	printf("%s%s%s %-12s ", s->colour ? verdicts[v].colour : "", verdicts[v].word,
	       s->colour ? "\033[0m" : "", what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	s->lacking += v == LACKS;
}

/* First line of a file of /proc or /sys, without its end of line; false when there is none. */
static bool read_line(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(buf, (int)size, f);

	if (f)
		fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = 0;
	return ok;
}

static bool find_in_path(const char *name, char *path, size_t size)
{
	const char *dirs = getenv("PATH");

	for (; dirs && *dirs; dirs += *dirs == ':') {
		size_t n = strcspn(dirs, ":");

		snprintf(path, size, "%.*s/%s", (int)n, dirs, name);
		if (!access(path, X_OK))
			return true;
		dirs += n;
	}
	return false;
}

static void check_processor(struct screen *s)
{
	static const struct {
		unsigned leaf, reg, bit; /* reg: 0 eax … 3 edx */
		const char *name;
	} features[] = {
		{1, 3, 26, "sse2"},  {1, 2, 0, "sse3"}, {1, 2, 19, "sse4.1"}, {1, 2, 23, "popcnt"},
		{1, 2, 26, "xsave"}, {1, 2, 28, "avx"}, {7, 1, 5, "avx2"},    {7, 1, 16, "avx512f"},
		{7, 1, 3, "bmi1"},   {7, 1, 8, "bmi2"}, {7, 1, 9, "erms"},
	};
	unsigned r[12], regs[4];
	char brand[49] = "unknown", list[160] = "";

	if (__get_cpuid_max(0x80000000, NULL) >= 0x80000004) {
		for (unsigned i = 0; i < 3; i++)
			__get_cpuid(0x80000002 + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2],
				    &r[4 * i + 3]);
		memcpy(brand, r, 48);
		brand[48] = 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (__get_cpuid_count(features[i].leaf, 0, &regs[0], &regs[1], &regs[2],
				      &regs[3]) &&
		    (regs[features[i].reg] >> features[i].bit) & 1) {
			strcat(list, " ");
			strcat(list, features[i].name);
		}
	}
	line(s, HAS, "processor", "%s, %ld online", brand + strspn(brand, " "),
	     sysconf(_SC_NPROCESSORS_ONLN));
	line(s, strstr(list, "xsave") ? HAS : NOTE, "features", "%s", list + 1);
	line(s, HAS, "VT-x", "not needed: every guest runs in software");
}

static void check_memory(struct screen *s)
{
	u64 pages = (u64)sysconf(_SC_PHYS_PAGES), free_pages = (u64)sysconf(_SC_AVPHYS_PAGES);
	char over[16] = "0";

	read_line("/proc/sys/vm/overcommit_memory", over, sizeof(over));
	line(s, over[0] == '2' ? NOTE : HAS, "memory", "%lu MiB, %lu MiB free%s",
	     pages * (u64)sysconf(_SC_PAGESIZE) / MIB,
	     free_pages * (u64)sysconf(_SC_PAGESIZE) / MIB,
	     over[0] == '2' ? "; overcommit is off, so guest RAM counts in full" : "");
}

static void check_translator(struct screen *s)
{
	int fd = code_mem_create(PAGE_SIZE);

	if (fd >= 0) {
		close(fd);
		line(s, HAS, "translator",
		     "memory for code, never writable and executable at once");
	} else {
		line(s, NOTE, "translator",
		     "no memory for code: guests are slow, and have no x87, SSE and AVX; allow "
		     "memfd_create(), or mount /dev/shm, /tmp or /var/tmp without noexec");
	}
}

static void check_perf(struct screen *s)
{
	char level[16];

	if (!read_line("/proc/sys/kernel/perf_event_paranoid", level, sizeof(level)))
		line(s, NOTE, "perf",
		     "this kernel has no perf events; only `make bench` would use them");
	else if (atoi(level) > 2 && geteuid())
		line(s, NOTE, "perf", "perf_event_paranoid is %s; counters need 2 or less, or root",
		     level);
	else
		line(s, HAS, "perf", "perf_event_paranoid is %s", level);
}

/* Is a session daemon of this user alive? Judged by its pid file, so nothing is started. */
static bool session_daemon_runs(void)
{
	const char *home = getenv("LTTNG_HOME");
	char path[PATH_MAX], pid[32];

	if (!home)
		home = getenv("HOME");
	if (geteuid())
		snprintf(path, sizeof(path), "%s/.lttng/lttng-sessiond.pid", home ? home : "");
	else
		snprintf(path, sizeof(path), "/var/run/lttng/lttng-sessiond.pid");
	if (!read_line(path, pid, sizeof(pid)) || atoi(pid) <= 0)
		return false;
	return !kill(atoi(pid), 0) || errno == EPERM;
}

static void check_tracing(struct screen *s)
{
	char path[PATH_MAX];

	if (!find_in_path("lttng-sessiond", path, sizeof(path)))
		line(s, LACKS, "recording", "no lttng-sessiond; install lttng-tools");
	else
		line(s, HAS, "recording", "%s, %s", path,
		     session_daemon_runs() ? "running: it will be used" : "started when needed");
	if (!find_in_path("lttng-relayd", path, sizeof(path)))
		line(s, LACKS, "live", "no lttng-relayd; install lttng-tools");
	else
		line(s, HAS, "live", "%s", path);
	if (support_file_find(PROVIDER_FILE, path, sizeof(path)))
		line(s, LACKS, "provider", "no " PROVIDER_FILE "; run make, or set NESTOR_LIBDIR");
	else
		line(s, HAS, "provider", "%s", path);
}

static void check_shm(struct screen *s)
{
	u64 want = TRACE_BUFFER_BYTES_PER_CPU * (u64)sysconf(_SC_NPROCESSORS_CONF);
	struct statvfs fs;
	u64 avail;

	if (statvfs("/dev/shm", &fs)) {
		line(s, LACKS, "/dev/shm", "%s; trace buffers need it", strerror(errno));
		return;
	}
	avail = (u64)fs.f_bavail * fs.f_frsize;
	if (avail / 4 >= want)
		line(s, HAS, "/dev/shm", "%lu MiB free, full trace buffers are %lu MiB",
		     avail / MIB, want / MIB);
	else
		line(s, NOTE, "/dev/shm",
		     "%lu MiB free; full trace buffers are %lu MiB, so they will be cut",
		     avail / MIB, want / MIB);
}

static void check_reading(struct screen *s)
{
	char path[PATH_MAX], plugin[PATH_MAX];

	if (!find_in_path("babeltrace2", path, sizeof(path)))
		line(s, NOTE, "babeltrace2", "not installed; `nestor report` works without it");
	else
		line(s, HAS, "babeltrace2", "%s", path);
	if (support_file_find(PLUGIN_FILE, plugin, sizeof(plugin))) {
		line(s, LACKS, "plugin", "no " PLUGIN_FILE "; run make, or set NESTOR_LIBDIR");
		return;
	}
	*strrchr(plugin, '/') = 0;
	line(s, HAS, "plugin", "--plugin-path=%s", plugin);
}

static void check_terminal(struct screen *s)
{
	const char *term = getenv("TERM");
	struct winsize ws = {0};

	setlocale(LC_ALL, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8"))
		line(s, NOTE, "locale", "%s is not UTF-8; the viewer falls back to C.UTF-8",
		     nl_langinfo(CODESET));
	else
		line(s, HAS, "locale", "%s", setlocale(LC_CTYPE, NULL));
	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws))
		line(s, NOTE, "terminal", "none here; --view needs one");
	else if (!term || !*term || !strcmp(term, "dumb"))
		line(s, LACKS, "terminal", "TERM is %s; set it for --view",
		     term ? term : "not set");
	else
		line(s, ws.ws_col >= 80 ? HAS : NOTE, "terminal", "%s, %u columns, %u lines", term,
		     ws.ws_col, ws.ws_row);
}

static int run_doctor(const struct cmd *cmd, int argc, char **argv)
{
	struct screen s = {.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR")};
	struct cmd_args args;
	struct utsname host;
	int key;

	cmd_args_init(&args, cmd, argc, argv);
	while ((key = cmd_args_next(&args)) != CMD_END) {
		if (key == CMD_POSITIONAL)
			return cmd_usage_error(cmd, "takes no arguments");
		return cmd_args_status(key);
	}
	if (!uname(&host))
		line(&s, HAS, "host", "%s %s %s", host.sysname, host.release, host.machine);
	check_processor(&s);
	check_memory(&s);
	check_translator(&s);
	check_perf(&s);
	check_tracing(&s);
	check_shm(&s);
	check_reading(&s);
	check_terminal(&s);
	if (s.lacking)
		printf("%u lacking; runs without a trace and a viewer work all the same\n",
		       s.lacking);
	return cmd_finish_output(s.lacking ? EXIT_CODE_HOST : EXIT_CODE_OK);
}

const struct cmd cmd_doctor = {
	.name = "doctor",
	.synopsis = "",
	.brief = "Show what this host has and lacks",
	.details = "One line for each thing that nestor uses: ok, note (works, with a limit) or "
		   "LACK with "
		   "what to do. Starts nothing and changes nothing.",
	.run = run_doctor,
};
