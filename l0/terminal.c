#include "l0/terminal.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "l0/cmd/value.h"
#include "l0/dev/vga.h"
#include "l0/host.h"

#define POLL_PERIOD_NS NS_PER_MS
#define ESCAPE 0x01 /* Ctrl-A */

struct terminal {
	struct host *host;
	struct machine *machine;
	bool raw, at_end, escaped;
	struct termios saved;
	u64 next_poll_ns;
	u8 buf[256];
	u32 len, sent;
};

struct terminal *terminal_open(struct host *h, struct machine *m)
{
	struct terminal *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->host = h;
	t->machine = m;
	if (isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->saved) == 0) {
		struct termios raw = t->saved;
		cfmakeraw(&raw);
		raw.c_oflag |= OPOST;
		t->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	}
	return t;
}

void terminal_restore(const struct terminal *t)
{
	if (t && t->raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &t->saved);
}

void terminal_close(struct terminal *t)
{
	terminal_restore(t);
	free(t);
}

bool terminal_can_wake(const struct terminal *t)
{
	return t && !t->at_end;
}

static void show_screen(struct terminal *t)
{
	if (worker_self->vcpu)
		vp_vec_park(&worker_self->vcpu->vp);
	fputs("\n--- the VGA text screen ---\n", stderr);
	vga_dump(t->machine->vga, stderr);
	fputs("---\n", stderr);
}

/* Ctrl-A is a prefix on a terminal. Return: whether @ch goes to the guest. */
static bool filter(struct terminal *t, u8 ch)
{
	if (!t->raw)
		return true;
	if (t->escaped) {
		t->escaped = false;
		if (ch == 'x' || ch == 'X')
			host_stop(t->host, HOST_STOP_USER);
		if (ch == 'v' || ch == 'V')
			show_screen(t);
		return ch == ESCAPE;
	}
	t->escaped = ch == ESCAPE;
	return !t->escaped;
}

static void fill(struct terminal *t)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	u8 in[sizeof(t->buf)];

	if (poll(&p, 1, 0) <= 0)
		return;
	ssize_t n = read(STDIN_FILENO, in, sizeof(in));
	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
		t->at_end = true;
		return;
	}
	t->len = t->sent = 0;
	for (ssize_t i = 0; i < n; i++)
		if (filter(t, in[i]))
			t->buf[t->len++] = in[i];
}

void terminal_poll(struct terminal *t, u64 host_ns)
{
	if (host_ns < t->next_poll_ns)
		return;
	t->next_poll_ns = host_ns + POLL_PERIOD_NS;
	if (t->sent == t->len && !t->at_end)
		fill(t);
	if (t->sent < t->len)
		t->sent += (u32)machine_input(t->machine, t->buf + t->sent, t->len - t->sent);
}

/* --- scripted input --- */

struct script_line {
	struct timer timer;
	struct machine *machine;
	u32 len, sent;
	u8 text[];
};

/* The port takes what it has room for; the rest follows a millisecond later. */
static void script_fire(void *arg, u64 deadline_ns)
{
	struct script_line *l = arg;

	l->sent += (u32)machine_input(l->machine, l->text + l->sent, l->len - l->sent);
	if (l->sent < l->len)
		timer_arm(&l->machine->input, &l->timer, deadline_ns + NS_PER_MS);
	else
		free(l);
}

static u32 unescape(const char *s, u8 *out)
{
	u32 n = 0;

	for (; *s && *s != '\n'; s++) {
		if (*s != '\\' || !s[1]) {
			out[n++] = (u8)*s;
			continue;
		}
		switch (*++s) {
		case 'n': out[n++] = '\n'; break;
		case 'r': out[n++] = '\r'; break;
		case 't': out[n++] = '\t'; break;
		case 'x':
			if (isxdigit((unsigned char)s[1]) && isxdigit((unsigned char)s[2])) {
				char hex[3] = {s[1], s[2], 0};
				out[n++] = (u8)strtoul(hex, NULL, 16);
				s += 2;
				break;
			}
			/* fall through */
		default: out[n++] = (u8)*s;
		}
	}
	return n;
}

static int add_line(struct machine *m, u64 at_ns, const char *text)
{
	struct script_line *l = calloc(1, sizeof(*l) + strlen(text) + 1);

	if (!l)
		return -ENOMEM;
	l->machine = m;
	l->len = unescape(text, l->text);
	timer_init(&l->timer, script_fire, l);
	timer_arm(&m->input, &l->timer, at_ns);
	return 0;
}

int input_script_load(struct machine *m, const char *path, char *err, size_t err_bytes)
{
	FILE *f = fopen(path, "r");
	char line[4096];
	int ret = 0;

	if (!f) {
		snprintf(err, err_bytes, "%s: %s", path, strerror(errno));
		return -errno;
	}
	for (u32 n = 1; !ret && fgets(line, sizeof(line), f); n++) {
		char *p = line + strspn(line, " \t");
		if (*p == '#' || *p == '\n' || !*p)
			continue;
		char *end = p + strcspn(p, " \t\n");
		char *text = *end ? end + 1 : end;
		*end = 0;
		u64 at;
		if (value_parse_time_ns(p, &at)) {
			snprintf(err, err_bytes,
				 "%s:%u: \"%s\" is no time; write a number with ns, us, ms or s",
				 path, n, p);
			ret = -EINVAL;
		} else {
			ret = add_line(m, at, text);
		}
	}
	if (ret == -ENOMEM)
		snprintf(err, err_bytes, "%s: out of host memory", path);
	fclose(f);
	return ret;
}
