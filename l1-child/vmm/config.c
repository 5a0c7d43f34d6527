#include "l1-child/vmm/config.h"

#include "l1-child/lib/console.h"
#include "l1-child/lib/str.h"

/* A piece of the command line, not terminated. */
struct word {
	const char *at;
	size_t len;
};

static bool word_is(struct word w, const char *s)
{
	return strlen(s) == w.len && !strncmp(w.at, s, w.len);
}

static char word_buf[64];

/* For messages: the word as a string, cut if long. */
static const char *word_text(struct word w)
{
	size_t n = w.len < sizeof(word_buf) - 1 ? w.len : sizeof(word_buf) - 1;

	memcpy(word_buf, w.at, n);
	word_buf[n] = 0;
	return word_buf;
}

static void word_copy(struct word w, char *to, size_t size)
{
	if (w.len == 0 || w.len >= size)
		con_die("name '%s' must have 1 to %u characters", word_text(w),
			(unsigned int)size - 1);
	memcpy(to, w.at, w.len);
	to[w.len] = 0;
}

/* Splits at the first sep: returns what is before it, *rest is what is after it (or empty). */
static struct word word_cut(struct word w, char sep, struct word *rest)
{
	struct word head = w;
	size_t i;

	for (i = 0; i < w.len && w.at[i] != sep; i++)
		;
	head.len = i;
	rest->at = w.at + (i < w.len ? i + 1 : i);
	rest->len = w.len - (size_t)(rest->at - w.at);
	return head;
}

struct unit {
	const char *name;
	u64 scale;
};

static const struct unit time_units[] = {
	{"ns", 1}, {"us", NS_PER_US}, {"ms", NS_PER_MS}, {"s", NS_PER_SEC}, {NULL, 0},
};
static const struct unit size_units[] = {
	{"k", KIB},
	{"m", MIB},
	{"g", GIB},
	{NULL, 0},
};
static const struct unit plain_units[] = {{"", 1}, {NULL, 0}};
static const struct unit permille_units[] = {{"%", 10}, {NULL, 0}};

/* A decimal number, with a fraction if the unit is larger than 1, and one of the units. */
static u64 parse_number(struct word key, struct word w, const struct unit *units, u64 max)
{
	u64 whole = 0, fraction = 0, fraction_scale = 1, v;
	size_t i = 0;

	for (; i < w.len && w.at[i] >= '0' && w.at[i] <= '9' && whole < (1ull << 40); i++)
		whole = whole * 10 + (u64)(w.at[i] - '0');
	if (i == 0)
		goto bad;
	if (i < w.len && w.at[i] == '.')
		for (i++; i < w.len && w.at[i] >= '0' && w.at[i] <= '9'; i++) {
			if (fraction_scale >= 1000000000)
				goto bad;
			fraction = fraction * 10 + (u64)(w.at[i] - '0');
			fraction_scale *= 10;
		}
	for (; units->name; units++)
		if (word_is((struct word){w.at + i, w.len - i}, units->name))
			break;
	if (!units->name || (fraction_scale > 1 && units->scale == 1))
		goto bad;
	v = mul_div(whole, units->scale, 1);
	if (v > max || v + fraction * units->scale / fraction_scale > max)
		goto bad;
	return v + fraction * units->scale / fraction_scale;
bad:
	con_printf("l1-child: error: %s=", word_text(key));
	con_printf("%s is not a number that is allowed here (units: ns us ms s, k m g, %%)\n",
		   word_text(w));
	con_exit(1);
}

#define MAX_TIME_NS (3600ull * NS_PER_SEC)

static u64 parse_time(struct word key, struct word w)
{
	return parse_number(key, w, time_units, MAX_TIME_NS);
}

static bool parse_switch(struct word key, struct word w)
{
	if (!word_is(w, "on") && !word_is(w, "off"))
		con_die("%s= takes on or off", word_text(key));
	return word_is(w, "on");
}

static const char *const sched_names[] = {"prio", "wake-first", "strict"};
static const char *const timer_names[] = {"lapic", "pit"};
static const char *const end_names[] = {"exit", "abort", "triple", "vmxoff", "hang"};
static const char *const order_names[] = {"fifo", "rr", "fence"};
static const char *const ept_names[] = {"2m", "4k", "lazy"};

const char *config_sched_name(enum sched_kind k)
{
	return sched_names[k];
}

const char *config_ept_name(enum ept_kind k)
{
	return ept_names[k];
}

static unsigned int parse_choice(struct word key, struct word w, const char *const *names,
				 unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (word_is(w, names[i]))
			return i;
	con_printf("l1-child: error: %s= takes one of:", word_text(key));
	for (unsigned int i = 0; i < n; i++)
		con_printf(" %s", names[i]);
	con_printf("\n");
	con_exit(1);
}

/* What each kind of guest does unless told otherwise. */
static const struct guest_config kinds[] = {
	{.kind = "rt", .period_ns = 10 * NS_PER_MS, .work_ns = 2 * NS_PER_MS, .priority = 1},
	{.kind = "batch"},
	{.kind = "idle", .period_ns = 50 * NS_PER_MS, .work_ns = 20 * NS_PER_US, .bits = 32},
	{.kind = "fence",
	 .period_ns = 10 * NS_PER_MS,
	 .work_ns = 5 * NS_PER_US,
	 .bits = 32,
	 .priority = 1},
	{.kind = "procs", .period_ns = 5 * NS_PER_MS, .ram_bytes = 8 * MIB, .processes = 3},
	{.kind = "mixed", .period_ns = 10 * NS_PER_MS, .work_ns = 2 * NS_PER_MS},
	{.kind = "spin"},
	{.kind = "cache", .pages = 96},
	{.kind = "crash"},
};

/* change=AFTER:PERIOD:WORK */
static void parse_change(struct guest_config *g, struct word key, struct word w)
{
	struct guest_change_config *ch = &g->change[g->changes];
	struct word rest, last, none;

	if (g->changes == GUEST_CHANGES)
		con_die("at most %d change= for a guest", GUEST_CHANGES);
	ch->after_ns = parse_time(key, word_cut(w, ':', &rest));
	ch->period_ns = parse_time(key, word_cut(rest, ':', &last));
	ch->work_ns = parse_time(key, word_cut(last, ':', &none));
	g->changes++;
}

static void parse_guest_option(struct guest_config *g, struct word opt)
{
	struct word v, key = word_cut(opt, '=', &v);

	if (word_is(key, "period"))
		g->period_ns = parse_time(key, v);
	else if (word_is(key, "work"))
		g->work_ns = parse_time(key, v);
	else if (word_is(key, "jitter"))
		g->jitter_ns = parse_time(key, v);
	else if (word_is(key, "phase"))
		g->phase_ns = parse_time(key, v);
	else if (word_is(key, "vary"))
		g->vary_permille = (u32)parse_number(key, v, permille_units, 900);
	else if (word_is(key, "change"))
		parse_change(g, key, v);
	else if (word_is(key, "n"))
		g->processes = (u32)parse_number(key, v, plain_units, 16);
	else if (word_is(key, "pages"))
		g->pages = (u32)parse_number(key, v, plain_units, 65536);
	else if (word_is(key, "order")) {
		u32 order = parse_choice(key, v, order_names, ARRAY_SIZE(order_names));

		g->round_robin = order == 1;
		g->has_fence = order == 2;
	} else if (word_is(key, "mem"))
		g->ram_bytes = parse_number(key, v, size_units, GIB);
	else if (word_is(key, "bits"))
		g->bits = (u32)parse_number(key, v, plain_units, 64);
	else if (word_is(key, "prio"))
		g->priority = (u32)parse_number(key, v, plain_units, 100);
	else if (word_is(key, "name"))
		word_copy(v, g->name, sizeof(g->name));
	else
		con_die("guest option '%s' is unknown (period work jitter phase vary change n "
			"pages order "
			"mem bits prio name)",
			word_text(key));
}

static void check_guest(const struct guest_config *g)
{
	if (g->bits != 64 && g->bits != 32)
		con_die("bits= takes 64 or 32");
	if (g->ram_bytes < 4 * MIB || g->ram_bytes % (2 * MIB))
		con_die("mem= of guest %s must be a multiple of 2m, 4m or more", g->name);
	if (g->period_ns && g->period_ns < 20 * NS_PER_US)
		con_die("period= of guest %s is below 20us", g->name);
	if (g->jitter_ns * 2 > g->period_ns)
		con_die("jitter= of guest %s is more than half its period", g->name);
	if (!strcmp(g->kind, "procs") && g->processes == 0)
		con_die("n= of guest %s must be 1 to 16", g->name);
	if (!strcmp(g->kind, "procs") && g->ram_bytes < 8 * MIB)
		con_die("mem= of guest %s must be 8m or more", g->name);
	if (g->pages && g->ram_bytes < 3 * MIB + 2ull * g->pages * 4096)
		con_die("mem= of guest %s must be 3m and 8k for each page of pages= or more",
			g->name);
	if (!strcmp(g->kind, "cache") && g->pages == 0)
		con_die("pages= of guest %s must be 1 to 65536", g->name);
}

/* Its name unless told otherwise: the kind and its number. */
static void name_guest(struct guest_config *g, unsigned int number)
{
	size_t n = strlen(g->kind);

	memcpy(g->name, g->kind, n);
	if (number >= 10)
		g->name[n++] = (char)('0' + number / 10);
	g->name[n++] = (char)('0' + number % 10);
	g->name[n] = 0;
}

/* kind[,option=value]... */
static void parse_guest(struct config *c, struct word w)
{
	struct guest_config *g = &c->guest[c->guests];
	struct word rest, kind = word_cut(w, ',', &rest);
	unsigned int i;

	if (c->guests == MAX_GUESTS)
		con_die("more than %d guests", MAX_GUESTS);
	for (i = 0; i < ARRAY_SIZE(kinds) && !word_is(kind, kinds[i].kind); i++)
		;
	if (i == ARRAY_SIZE(kinds))
		con_die("guest kind '%s' is unknown (rt batch idle fence procs mixed spin cache "
			"crash)",
			word_text(kind));
	*g = kinds[i];
	if (!g->bits)
		g->bits = 64;
	if (!g->ram_bytes)
		g->ram_bytes = 4 * MIB;
	name_guest(g, c->guests);
	while (rest.len)
		parse_guest_option(g, word_cut(rest, ',', &rest));
	check_guest(g);
	c->guests++;
}

static void parse_word(struct config *c, struct word w)
{
	struct word v, key = word_cut(w, '=', &v);

	if (word_is(key, "sched"))
		c->sched = parse_choice(key, v, sched_names, ARRAY_SIZE(sched_names));
	else if (word_is(key, "ept"))
		c->ept = parse_choice(key, v, ept_names, ARRAY_SIZE(ept_names));
	else if (word_is(key, "timer"))
		c->timer = parse_choice(key, v, timer_names, ARRAY_SIZE(timer_names));
	else if (word_is(key, "slice"))
		c->slice_ns = parse_time(key, v);
	else if (word_is(key, "run"))
		c->run_ns = parse_time(key, v);
	else if (word_is(key, "end"))
		c->end = parse_choice(key, v, end_names, ARRAY_SIZE(end_names));
	else if (word_is(key, "ack"))
		c->ack_on_exit = parse_switch(key, v);
	else if (word_is(key, "vpid"))
		c->no_vpid = !parse_switch(key, v);
	else if (word_is(key, "declare"))
		c->declares = parse_switch(key, v);
	else if (word_is(key, "rearm"))
		c->rearm = (u32)parse_number(key, v, plain_units, 1000);
	else if (word_is(key, "name"))
		word_copy(v, c->name, sizeof(c->name));
	else if (word_is(key, "guest"))
		parse_guest(c, v);
	else if (word_is(key, "bench"))
		word_copy(v, c->bench, sizeof(c->bench));
	else if (word_is(key, "n"))
		c->bench_count = parse_number(key, v, plain_units, 1ull << 40);
	else if (word_is(w, "verbose"))
		c->verbose = true;
	else
		con_die("option '%s' is unknown (sched slice guest run end ept ack vpid timer name "
			"rearm declare verbose)",
			word_text(w));
}

/* Loaders differ in whether the image's own name comes first; no option's name has such letters. */
static bool is_image_name(struct word w)
{
	struct word rest, key = word_cut(w, '=', &rest);

	for (size_t i = 0; i < key.len; i++)
		if (key.at[i] == '/' || key.at[i] == '.')
			return true;
	return false;
}

void config_parse(struct config *c, const char *cmdline)
{
	struct word w, rest = {cmdline, strlen(cmdline)};

	*c = (struct config){
		.name = "l1",
		.sched = SCHED_WAKE_FIRST,
		.slice_ns = NS_PER_MS,
		.ack_on_exit = true,
		.bench_count = 100000,
	};
	while (rest.len) {
		w = word_cut(rest, ' ', &rest);
		if (w.len && !(w.at == cmdline && is_image_name(w)))
			parse_word(c, w);
	}
	if (c->slice_ns < 10 * NS_PER_US)
		con_die("slice= is below 10us");
}
