#include "l0/base/support_file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Folder of the running program; "" when the host does not say. */
static void program_dir(char *dir, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", dir, size - 1);
	char *slash;

	dir[n > 0 ? n : 0] = 0;
	slash = strrchr(dir, '/');
	if (slash)
		*slash = 0;
}

int support_file_find(const char *name, char *path, size_t size)
{
	static const char *const below[] = {"", "/build/rel"};
	const char *env = getenv("NESTOR_LIBDIR");
	char dir[PATH_MAX];

	if (env && *env) {
		if ((size_t)snprintf(path, size, "%s/%s", env, name) >= size)
			return -ENAMETOOLONG;
		if (!access(path, R_OK))
			return 0;
	}
	program_dir(dir, sizeof(dir));
	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		if ((size_t)snprintf(path, size, "%s%s/%s", dir, below[i], name) >= size)
			return -ENAMETOOLONG;
		if (!access(path, R_OK))
			return 0;
	}
	return -ENOENT;
}
