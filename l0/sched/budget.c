#include "l0/sched/budget.h"

#define DOWN_PART 4u /* of the way */
/* X goes down towards the largest of so many: what a child that schedules by turns needs is
 * multimodal, and a long job comes back before long. */
#define DOWN_KEPT 8u
#define MARGIN_NS (50 * NS_PER_US)

static u64 clamp(u64 x, u64 limit_ns)
{
	return MAX(MIN(x, limit_ns), (u64)BUDGET_MIN_NS);
}

static void sort_out(struct budget *b, u64 c_ns)
{
	u32 i;

	if (b->n == BUDGET_KEPT) {
		u64 old = b->recent[b->at];
		for (i = 0; b->sorted[i] != old; i++)
			;
		for (; i + 1 < b->n; i++)
			b->sorted[i] = b->sorted[i + 1];
		b->n--;
	}
	b->recent[b->at] = c_ns;
	b->at = (b->at + 1) % BUDGET_KEPT;
	for (i = b->n; i && b->sorted[i - 1] > c_ns; i--)
		b->sorted[i] = b->sorted[i - 1];
	b->sorted[i] = c_ns;
	b->n++;
}

/* The largest of the latest jobs. */
static u64 recent_max_ns(const struct budget *b)
{
	u64 max_ns = 0;

	for (u32 i = 1; i <= MIN(b->n, DOWN_KEPT); i++)
		max_ns = MAX(max_ns, b->recent[(b->at + BUDGET_KEPT - i) % BUDGET_KEPT]);
	return max_ns;
}

static void note_change(struct budget *b, u64 c_ns, u64 before_ns)
{
	b->job_ns = c_ns;
	b->correction_ns = (s64)(b->x_ns - before_ns);
}

void budget_finished(struct budget *b, u64 c_ns, u64 limit_ns)
{
	u64 before_ns = b->x_ns;

	sort_out(b, c_ns);
	u64 level_ns = recent_max_ns(b);
	if (c_ns >= b->x_ns)
		b->x_ns = c_ns;
	else if (level_ns < b->x_ns)
		b->x_ns -= (b->x_ns - level_ns) / DOWN_PART;
	b->x_ns = clamp(b->x_ns, limit_ns);
	note_change(b, c_ns, before_ns);
}

void budget_unfinished(struct budget *b, u64 used_ns, u64 limit_ns)
{
	u64 x = MAX(b->x_ns, used_ns), before_ns = b->x_ns;

	b->x_ns = clamp(x + x / 8, limit_ns);
	note_change(b, used_ns, before_ns);
}

u64 budget_median_ns(const struct budget *b)
{
	return b->n ? b->sorted[b->n / 2] : 0;
}

u64 budget_wanted_ns(const struct budget *b)
{
	u64 median = budget_median_ns(b), usual = median ? median : b->x_ns;

	return MAX(b->x_ns, MIN(b->x_ns, usual) * 11 / 10) + MARGIN_NS;
}

u64 budget_squeezed_ns(const struct budget *b)
{
	u64 median = budget_median_ns(b);

	return (median ? median : b->x_ns) * 51 / 50;
}
