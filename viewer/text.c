/* Numbers in columns; see text.h. */
#include <stdio.h>

#include "viewer/text.h"

const char *text_duration(u64 ns, char *buf)
{
	static const struct {
		u64 unit;
		const char *name;
	} units[] = {{NS_PER_SEC, "s"}, {NS_PER_MS, "ms"}, {NS_PER_US, "us"}};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		double v = (double)ns / (double)units[i].unit;

		if (ns < units[i].unit)
			continue;
		snprintf(buf, TEXT_BYTES,
			 v < 10	   ? "%.2f%s"
			 : v < 100 ? "%.1f%s"
				   : "%.0f%s",
			 v, units[i].name);
		return buf;
	}
	snprintf(buf, TEXT_BYTES, "%lluns", (unsigned long long)ns);
	return buf;
}

const char *text_rate(double rate, char *buf)
{
	if (rate < 0.05)
		snprintf(buf, TEXT_BYTES, "0");
	else if (rate < 100)
		snprintf(buf, TEXT_BYTES, "%.1f", rate);
	else if (rate < 1e6)
		snprintf(buf, TEXT_BYTES, "%.0f", rate);
	else
		snprintf(buf, TEXT_BYTES, "%.1fM", rate / 1e6);
	return buf;
}

const char *text_count(u64 n, char *buf)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	char *to = buf;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = 0;
	return buf;
}
