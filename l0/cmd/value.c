#include "l0/cmd/value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Digits at *@s, which moves past them. */
static int parse_digits(const char **s, u64 *out)
{
	char *end;

	if (!isdigit((unsigned char)**s))
		return -EINVAL;
	errno = 0;
	*out = strtoull(*s, &end, 0);
	if (errno == ERANGE)
		return -ERANGE;
	*s = end;
	return 0;
}

int value_parse_u64(const char *s, u64 *out)
{
	int err = parse_digits(&s, out);

	return err ? err : *s ? -EINVAL : 0;
}

int value_parse_size(const char *s, u64 *out)
{
	static const char units[] = "KMGT";
	u64 n;
	int err = parse_digits(&s, &n);

	if (err)
		return err;
	if (*s) {
		const char *unit = strchr(units, toupper((unsigned char)*s));
		unsigned shift;

		if (!unit)
			return -EINVAL;
		shift = 10 * (unsigned)(unit - units + 1);
		s++;
		if (*s && strcasecmp(s, "iB") && strcasecmp(s, "B"))
			return -EINVAL;
		if (n > UINT64_MAX >> shift)
			return -ERANGE;
		n <<= shift;
	}
	*out = n;
	return 0;
}

int value_parse_time_ns(const char *s, u64 *out)
{
	static const struct {
		const char *name;
		u64 ns;
	} units[] = {
		{"ns", 1},	   {"us", NS_PER_US},	   {"ms", NS_PER_MS},
		{"s", NS_PER_SEC}, {"m", 60 * NS_PER_SEC}, {"h", 3600 * NS_PER_SEC},
	};
	const char *unit;
	u64 whole, frac = 0, scale = 1, ns = 0;
	char *end;

	if (!isdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	whole = strtoull(s, &end, 10);
	if (errno == ERANGE)
		return -ERANGE;
	if (*end == '.') {
		for (end++; isdigit((unsigned char)*end); end++)
			if (scale < NS_PER_SEC) {
				frac = frac * 10 + (u64)(*end - '0');
				scale *= 10;
			}
		if (scale == 1)
			return -EINVAL;
	}
	unit = end;
	if (!*unit && !whole && !frac) {
		*out = 0;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (!strcmp(unit, units[i].name))
			ns = units[i].ns;
	if (!ns)
		return -EINVAL;
	if (__builtin_mul_overflow(whole, ns, out) ||
	    __builtin_add_overflow(*out, (u64)((u128)frac * ns / scale), out))
		return -ERANGE;
	return 0;
}
