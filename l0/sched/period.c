#include "l0/sched/period.h"

#define FRAC 256u
#define PHASE_SHIFT 2 /* correction of the phase: 1/4 of the error */
#define FREQ_SHIFT 5  /* and of the period: 1/32 */
#define NEED_GAPS 4u  /* gaps that must agree for a lock */
#define MAX_MULTIPLE 32u
#define OFF_LIMIT 3 /* of the latest 8 off the grid: look again */
#define HOLES_LIMIT 6
#define TOLERANCE_SHIFT 3 /* a gap is a multiple when within 1/8 of the period */

static u64 diff(u64 a, u64 b)
{
	return a > b ? a - b : b - a;
}

static u64 multiple_of(u64 gap, u64 y)
{
	return (gap + y / 2) / y;
}

u64 period_window_ns(const struct period *p)
{
	u64 window = 2 * p->jitter_ns + p->y_ns / 25;

	return MIN(window, p->y_ns * 9 / 20);
}

u64 period_grid_point(const struct period *p, u64 ns)
{
	if (!p->y_ns)
		return ns;
	if (ns + p->y_ns / 2 < p->anchor_ns)
		return p->anchor_ns;
	u64 since = ns > p->anchor_ns ? ns - p->anchor_ns : 0;
	u64 k = multiple_of(since, p->y_ns);

	return p->anchor_ns + k * p->y_ns + k * p->y_frac / FRAC;
}

bool period_expects(const struct period *p, u64 due_ns)
{
	return p->y_ns && diff(period_grid_point(p, due_ns), due_ns) <= period_window_ns(p);
}

bool period_is_silent(const struct period *p, u64 now_ns)
{
	return p->y_ns && now_ns > p->last_ns && now_ns - p->last_ns > p->y_ns * 9 / 2;
}

void period_drop(struct period *p)
{
	*p = (struct period){0};
}

/* Do all of the @n latest gaps fit @y? *@sum of gaps, *@k of multiples, *@worst error of one. */
static bool gaps_fit(const u64 *gap, u32 n, u64 y, u64 *sum, u64 *k, u64 *worst)
{
	*sum = *k = *worst = 0;
	for (u32 i = 0; i < n; i++) {
		u64 m = multiple_of(gap[i], y);
		u64 err = diff(gap[i], m * y);
		if (m == 0 || m > MAX_MULTIPLE || err > y >> TOLERANCE_SHIFT)
			return false;
		*sum += gap[i];
		*k += m;
		*worst = MAX(*worst, err);
	}
	return true;
}

/* Euclid on lengths that are not exact: a remainder within an eighth of @a counts as none. */
static u64 rough_gcd(u64 a, u64 b)
{
	while (b > PERIOD_MIN_NS / 2) {
		u64 k = multiple_of(a, b), err = diff(a, k * b);
		if (k && err <= b >> TOLERANCE_SHIFT)
			return b;
		u64 rest = a % b;
		a = b;
		b = rest;
	}
	return 0;
}

static u64 candidate(const u64 *gap, u32 n, u64 *k, u64 *worst, bool *by_divisor)
{
	u64 least = gap[0], sum;

	*by_divisor = false;
	for (u32 i = 1; i < n; i++)
		least = MIN(least, gap[i]);
	if (gaps_fit(gap, n, least, &sum, k, worst))
		return sum;
	*by_divisor = true;
	u64 g = gap[0];
	for (u32 i = 1; i < n && g; i++)
		g = gap[i] > g ? rough_gcd(gap[i], g) : rough_gcd(g, gap[i]);
	return g >= PERIOD_MIN_NS && gaps_fit(gap, n, g, &sum, k, worst) ? sum : 0;
}

/* A grid from the latest arrivals, if they agree on one. */
static bool relock(struct period *p)
{
	u64 gap[PERIOD_HISTORY - 1], k, worst;
	u32 n = MIN(p->n_history - 1, NEED_GAPS);

	if (p->n_history < NEED_GAPS + 1)
		return false;
	for (u32 i = 0; i < n; i++)
		gap[i] = p->history[p->n_history - 1 - i] - p->history[p->n_history - 2 - i];
	bool by_divisor;
	u64 sum = candidate(gap, n, &k, &worst, &by_divisor);
	if (!sum || sum / k < PERIOD_MIN_NS || sum / k > PERIOD_MAX_NS)
		return false;
	p->y_ns = sum / k;
	p->y_frac = sum % k * FRAC / k;
	p->anchor_ns = p->last_ns;
	p->jitter_ns = worst;
	p->by_divisor = by_divisor;
	p->confidence = PERIOD_SURE / 4;
	p->lost = 0;
	p->off_mask = 0;
	p->holes = 0;
	return true;
}

static void remember(struct period *p, u64 due_ns)
{
	if (p->n_history == PERIOD_HISTORY) {
		for (u32 i = 1; i < PERIOD_HISTORY; i++)
			p->history[i - 1] = p->history[i];
		p->n_history--;
	}
	p->history[p->n_history++] = due_ns;
	p->last_ns = due_ns;
}

static void correct(struct period *p, u64 due_ns, u64 point)
{
	u64 err = diff(due_ns, point), k = MAX(multiple_of(point - p->anchor_ns, p->y_ns), 1ull);
	u64 y = p->y_ns * FRAC + p->y_frac, step = err * FRAC / k >> FREQ_SHIFT;

	if (due_ns >= point) {
		p->anchor_ns = point + (err >> PHASE_SHIFT);
		y += step;
	} else {
		p->anchor_ns = point - (err >> PHASE_SHIFT);
		y -= MIN(step, y / 2);
	}
	p->y_ns = y / FRAC;
	p->y_frac = y % FRAC;
	if (err > p->jitter_ns)
		p->jitter_ns = err;
	else
		p->jitter_ns -= (p->jitter_ns - err) >> 5;
	p->lost += (u32)MIN(k - 1, 1000ull);
	p->holes = k > 1 ? (u8)MIN(p->holes + 1, 255) : 0;
}

enum period_match period_arrival(struct period *p, u64 due_ns)
{
	if (p->n_history && due_ns <= p->last_ns)
		return p->y_ns ? PERIOD_OFF_GRID : PERIOD_UNKNOWN;
	remember(p, due_ns);
	if (!p->y_ns)
		return relock(p) ? PERIOD_LOCKED : PERIOD_UNKNOWN;
	u64 point = period_grid_point(p, due_ns);
	bool on = diff(point, due_ns) <= period_window_ns(p) && point > p->anchor_ns;
	p->off_mask = (u8)(p->off_mask << 1 | !on);
	if (on) {
		correct(p, due_ns, point);
		p->confidence = MIN(p->confidence + PERIOD_SURE / 16, PERIOD_SURE);
		if (p->holes >= HOLES_LIMIT && relock(p))
			return PERIOD_LOCKED;
		return PERIOD_ON_GRID;
	}
	p->confidence -= p->confidence / 4;
	if (__builtin_popcount(p->off_mask) < OFF_LIMIT)
		return PERIOD_OFF_GRID;
	if (relock(p))
		return PERIOD_LOCKED;
	if (p->off_mask == 0xff) {
		p->y_ns = p->y_frac = 0;
		p->confidence = 0;
	}
	return PERIOD_OFF_GRID;
}
