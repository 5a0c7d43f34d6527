#include "l0/lab/place.h"

#include <stdio.h>
#include <string.h>

void place_add(const struct place **list, struct arena *arena, const char *path, int line,
	       const char *key, const char *value)
{
	struct place *p = arena_new(arena, struct place);
	size_t n = strlen(key) + (path ? strlen(path) : 0) + 24;
	char *text = arena_alloc(arena, n, 1);

	if (!p || !text)
		return;
	if (path)
		snprintf(text, n, "%s:%d: %s", path, line, key);
	else
		snprintf(text, n, "--%s", key);
	*p = (struct place){*list, text + strlen(text) - strlen(key), value, text, path ? line : 0};
	*list = p;
}

const struct place *place_find(const struct place *list, const char *key, const char *value)
{
	for (; list; list = list->next)
		if (!strcmp(list->key, key) &&
		    (!value || (list->value && !strcmp(list->value, value))))
			break;
	return list;
}

const char *place_text(const struct place *list, const char *key, const char *value)
{
	const struct place *p = place_find(list, key, value);

	return p ? p->text : key;
}
