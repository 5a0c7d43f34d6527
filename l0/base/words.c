#include "l0/base/words.h"

/* Is @word the first @n characters of @list? */
static bool is_word(const char *list, u32 n, const char *word)
{
	u32 i = 0;

	while (i < n && word[i] && word[i] == list[i])
		i++;
	return i == n && !word[i];
}

const char *words_parse(const char *list, const char *const *names, u32 n, u32 *bits)
{
	*bits = 0;
	while (*list) {
		u32 len = 0, i = 0;

		while (list[len] && list[len] != ',')
			len++;
		while (i < n && !is_word(list, len, names[i]))
			i++;
		if (i == n)
			return list;
		*bits |= 1u << i;
		list += len + (list[len] == ',');
	}
	return NULL;
}
