/* device_spec.c - see device_spec.h */
#include "l0/cmd/device_spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERIAL_MAX 20

/* The text up to the next comma of *@rest, which moves behind it; NULL at the end. */
static char *next_part(char **rest)
{
	return strsep(rest, ",");
}

bool device_spec_disk(char *text, struct machine_disk *disk, char *err)
{
	char *part;

	if (!text[0] || text[0] == ',') {
		snprintf(err, DEVICE_SPEC_ERR_BYTES, "'%s' names no file", text);
		return false;
	}
	*disk = (struct machine_disk){.path = next_part(&text)};
	while ((part = next_part(&text)) != NULL) {
		if (!strcmp(part, "ro")) {
			disk->read_only = true;
		} else if (!strcmp(part, "ide")) {
			disk->is_ide = true;
		} else if (!strncmp(part, "serial=", 7) && strlen(part + 7) <= SERIAL_MAX) {
			disk->serial = part + 7;
		} else {
			snprintf(err, DEVICE_SPEC_ERR_BYTES,
				 "'%s' is none of: ro, ide, serial= with up to %d characters", part,
				 SERIAL_MAX);
			return false;
		}
	}
	return true;
}

static bool parse_port(const char *s, const char *end, u16 *port)
{
	char *stop;
	unsigned long n = strtoul(s, &stop, 10);

	if (stop == s || stop != end || !n || n > 65535 || *s == '-' || *s == '+')
		return false;
	*port = (u16)n;
	return true;
}

/* "tcp::8080-:80", also with 127.0.0.1 between the first two colons. */
static bool parse_forward(const char *s, struct machine_forward *f)
{
	f->udp = !strncmp(s, "udp:", 4);
	if (!f->udp && strncmp(s, "tcp:", 4))
		return false;
	s += 4;
	if (!strncmp(s, "127.0.0.1", 9))
		s += 9;
	const char *minus = strchr(s, '-');

	return *s == ':' && minus && minus[1] == ':' && parse_port(s + 1, minus, &f->host_port) &&
	       parse_port(minus + 2, minus + strlen(minus), &f->guest_port);
}

bool device_spec_net(char *text, struct machine_net *net, char *err)
{
	bool user = !strcmp(text, "user") || !strncmp(text, "user,", 5);
	char *part;

	*net = (struct machine_net){.user = user};
	if (!user && strcmp(text, "none")) {
		snprintf(err, DEVICE_SPEC_ERR_BYTES, "'%s' is none of: none, user", text);
		return false;
	}
	next_part(&text);
	while ((part = next_part(&text)) != NULL) {
		if (net->nforwards == MACHINE_MAX_FORWARDS) {
			snprintf(err, DEVICE_SPEC_ERR_BYTES, "more than %d ports are forwarded",
				 MACHINE_MAX_FORWARDS);
			return false;
		}
		if (strncmp(part, "hostfwd=", 8) ||
		    !parse_forward(part + 8, &net->forward[net->nforwards++])) {
			snprintf(err, DEVICE_SPEC_ERR_BYTES,
				 "'%s' is not hostfwd=tcp::HOSTPORT-:GUESTPORT (or udp)", part);
			return false;
		}
	}
	return true;
}
