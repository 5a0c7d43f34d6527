#include "l0/lab/lab.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

struct reading {
	const struct lab_reader *reader;
	char section[128]; /* last one seen */
	int header_line;   /* of a section that has had no key yet, or 0 */
	char header[64];   /* that */
	int host_line;	   /* where [host] is, or 0 */
	char *error;
	const char *path;
	int line; /* counted here: this build of the library does not pass it on */
	bool stopped, has_machine;
};

static int stop(struct reading *r, const char *text, const char *what)
{
	if (!r->stopped)
		snprintf(r->error, LAB_ERROR_BYTES, "%s:%d: %s '%s'", r->path, r->line, text, what);
	r->stopped = true;
	return 0;
}

/* A machine without anything; [host] may be empty. */
static bool section_is_empty(struct reading *r)
{
	if (!r->header_line || r->stopped || !strncmp(r->header, "[host]", 6))
		return false;
	r->line = r->header_line;
	stop(r, "nothing follows the section", r->header);
	return true;
}

/* Nothing but a comment follows the ] at @end. */
static bool ends_there(const char *end)
{
	end += 1 + strspn(end + 1, " \t\r\n");
	return !*end || *end == ';' || *end == '#';
}

/* The head of a section: it ends, is one of ours, and there is one [host]. */
static bool section_is_right(struct reading *r, const char *line)
{
	const char *end = strchr(line, ']');
	char first[48];

	if (!end || !ends_there(end) ||
	    (strncmp(line, "[host]", 6) && strncmp(line, "[machine ", 9))) {
		snprintf(first, sizeof(first), "%.*s", (int)strcspn(line, "\r\n"), line);
		stop(r,
		     !end ? "the sections are [host] and [machine NAME]; there is no ] in"
		     : !ends_there(end) ? "a section's line ends with its ], and this is"
					: "the sections are [host] and [machine NAME], not",
		     first);
		return false;
	}
	if (strncmp(line, "[host]", 6)) {
		r->has_machine = true;
		return true;
	}
	if (r->host_line) {
		snprintf(first, sizeof(first), "line %d", r->host_line);
		stop(r, "there is one section [host] only, and it begins in", first);
		return false;
	}
	r->host_line = r->line;
	return true;
}

/* fgets() for the parser, which counts the lines; sections of the same name in a row are two,
 * too, and a key may stand farther to the right (the parser takes that for more of the value
 * before). */
static char *read_line(char *buf, int size, void *stream)
{
	void **both = stream;
	struct reading *r = both[1];
	size_t n;

	r->line++;
	if (!fgets(buf, size, both[0])) {
		if (ferror((FILE *)both[0]))
			stop(r, "cannot be read:", strerror(errno));
		section_is_empty(r);
		return NULL;
	}
	n = strlen(buf);
	if ((!n || buf[n - 1] != '\n') && !feof((FILE *)both[0])) {
		char why[64];

		snprintf(why, sizeof(why),
			 "the line is too long, %d characters are allowed:", size - 2);
		stop(r, n + 1 < (size_t)size ? "this is no text: there is a byte 0 after" : why,
		     buf);
		return NULL;
	}
	memmove(buf, buf + strspn(buf, " \t"), n + 1 - strspn(buf, " \t"));
	if (buf[0] == '[') {
		if (section_is_empty(r) || !section_is_right(r, buf))
			return NULL;
		r->header_line = r->line;
		snprintf(r->header, sizeof(r->header), "%.*s", (int)strcspn(buf, "\r\n"), buf);
	}
	return buf;
}

static int on_key(void *user, const char *section, const char *name, const char *value)
{
	static const char machine[] = "machine ";
	struct reading *r = user;
	bool in_host = !strcmp(section, "host");

	if (r->stopped)
		return 0;
	if (!section[0])
		return stop(r, "keys stand below [host] or [machine NAME], and none is above",
			    name);
	bool begins = r->header_line || strcmp(section, r->section);
	int header_line = r->header_line ? r->header_line : r->line;

	r->header_line = 0;
	if (begins) {
		snprintf(r->section, sizeof(r->section), "%s", section);
		if (!in_host && !r->reader->machine(r->reader->arg, section + sizeof(machine) - 1,
						    header_line)) {
			r->stopped = true;
			return 0;
		}
	}
	if (!r->reader->set(r->reader->arg, in_host, name, value, r->line)) {
		r->stopped = true;
		return 0;
	}
	return 1;
}

bool lab_is_lab_file(const char *path)
{
	size_t n = strlen(path);

	return n > 4 && !strcasecmp(path + n - 4, ".ini");
}

int lab_read(const char *path, const struct lab_reader *reader, char *error)
{
	struct reading r = {.reader = reader, .error = error, .path = path};
	FILE *f = fopen(path, "re");
	void *both[2] = {f, &r};
	int line;

	error[0] = 0;
	if (!f) {
		int err = errno;

		snprintf(error, LAB_ERROR_BYTES, "%s: %s", path, strerror(err));
		return -err;
	}
	line = ini_parse_stream(read_line, both, on_key, &r);
	fclose(f);
	if (line && !r.stopped)
		snprintf(error, LAB_ERROR_BYTES, "%s:%d: neither [section] nor key = value", path,
			 line);
	else if (!r.stopped && !r.has_machine)
		snprintf(error, LAB_ERROR_BYTES, "%s: it has no section [machine NAME]", path);
	return line || r.stopped || !r.has_machine ? -EINVAL : 0;
}
