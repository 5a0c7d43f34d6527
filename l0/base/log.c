#include "l0/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "l0/base/vecguard.h"

u64 log_mask;

static const char *const names[LOG_NSUBSYSTEMS] = {
#define X(id, name) [LOG_##id] = name,
#include "l0/base/log_subsystems.def"
#undef X
};

const char *log_subsystem_name(enum log_subsystem sub)
{
	return sub < LOG_NSUBSYSTEMS ? names[sub] : "?";
}

void log_write(enum log_subsystem sub, const char *fmt, ...)
{
	char line[512];
	struct vecguard guard;
	va_list ap;
	int n;

	vecguard_save(&guard);
	n = snprintf(line, sizeof(line), "nestor: %s: ", log_subsystem_name(sub));
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s\n", line);
	vecguard_restore(&guard);
}

static int subsystem_by_name(const char *name, size_t len)
{
	for (int i = 0; i < LOG_NSUBSYSTEMS; i++)
		if (strlen(names[i]) == len && !strncmp(names[i], name, len))
			return i;
	return -1;
}

const char *log_set_mask(const char *list)
{
	u64 mask = 0;

	while (list && *list) {
		size_t len = strcspn(list, ",");
		int sub = subsystem_by_name(list, len);

		if (sub >= 0)
			mask |= 1ull << sub;
		else if (len == 3 && !strncmp(list, "all", 3))
			mask = ~0ull;
		else
			return list;
		list += len;
		list += *list == ',';
	}
	log_mask = mask;
	return NULL;
}
