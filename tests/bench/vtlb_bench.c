/*
 * vtlb_bench.c - the virtual TLB alone, CPU time: hits, fills with one and with two dimensions,
 * invalidations, switches back to a known address space, memory, and demand paging: VPs of one
 * machine against as many machines, 16 on the host's cores against 2, and for contrast the one lock
 * and the in-fill counters, with what an invalidation waits for.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "l0/base/hash.h"
#include "l0/mem/mem.h"
#include "vtlb/vtlb.h"

#define RAM_BYTES (256 * MIB)
#define TABLES 0x100000ull
#define TABLES2 0x600000ull /* another root for the same */
#define EPT 0x800000ull
#define DATA 0x1000000ull
#define N_PAGES 32768u /* 128 MiB by 4 KiB pages */
#define REPEAT 5

static struct mem *mem;
static u8 *ram;
static volatile u64 sink;

static u64 *word(u64 at)
{
	return (u64 *)(void *)(ram + at);
}

static double clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}
/* Four levels at @root, with @low in every entry, gva → @to; 4 KiB pages. */
static void make_tables(u64 root, u64 to, u64 n_pages, u64 low, u64 leaf)
{
	*word(root) = (root + 0x1000) | low;
	*word(root + 0x1000) = (root + 0x2000) | low;
	for (u64 i = 0; i < n_pages / 512; i++) {
		*word(root + 0x2000 + 8 * i) = (root + 0x3000 + i * 4096) | low;
		for (u64 k = 0; k < 512; k++)
			*word(root + 0x3000 + i * 4096 + 8 * k) =
				(to + (i * 512 + k) * 4096) | leaf;
	}
}

static struct vtlb_context context(bool nested)
{
	return (struct vtlb_context){
		.cr0 = 0x80010001,
		.cr3 = TABLES,
		.cr4 = 0x200b0, /* PCIDE, PGE, PAE, PSE */
		.efer = 0xd00,
		.vpid = nested ? 1 : 0,
		.eptp = nested ? EPT | 0x5e : 0,
	};
}

enum how { AS_IT_IS, ONE_LOCK, ODD_EVEN };

static struct vtlb *make(u32 n_vps, enum how how)
{
	struct vtlb_config cfg = {.max_bytes = 64 * MIB,
				  .max_vps = n_vps,
				  .maxphyaddr = 40,
				  .has_1g_pages = true,
				  .retain = true,
				  .share = true,
				  .ept_caps = ~0ull,
				  .one_lock = how == ONE_LOCK,
				  .odd_even = how == ODD_EVEN};
	int err;
	struct vtlb *t = vtlb_create(mem, &cfg, &err);

	if (!t) {
		fprintf(stderr, "vtlb_bench: no virtual TLB\n");
		exit(1);
	}
	return t;
}

static void touch(struct vtlb_vp *v, u32 first, u32 n, u32 access)
{
	struct vtlb_xl xl;
	struct vtlb_fault f;
	u64 sum = 0;

	for (u32 i = first; i < first + n; i++) {
		if (vtlb_translate(v, (u64)i << 12, access, &xl, &f) != VTLB_OK)
			abort();
		sum += xl.gpa;
	}
	sink = sum;
}

static double best(double (*fn)(struct vtlb_vp *v), struct vtlb_vp *v)
{
	double min = 1e18;

	for (int i = 0; i < REPEAT; i++) {
		double t = fn(v);

		min = t < min ? t : min;
	}
	return min;
}

static double hit_near(struct vtlb_vp *v)
{
	touch(v, 0, 64, VTLB_READ);
	double start = cpu_ns();

	for (int k = 0; k < 2000; k++)
		touch(v, 0, 64, VTLB_READ);
	return (cpu_ns() - start) / (2000 * 64);
}

static double hit_far(struct vtlb_vp *v)
{
	struct vtlb_xl xl;
	struct vtlb_fault f;
	u64 seed = 1;

	touch(v, 0, N_PAGES, VTLB_READ);
	double start = cpu_ns();

	for (int k = 0; k < 200000; k++) {
		vtlb_translate(v, rng_below(&seed, N_PAGES) << 12, VTLB_READ, &xl, &f);
		sink = xl.gpa;
	}
	return (cpu_ns() - start) / 200000;
}

static double fill(struct vtlb_vp *v)
{
	touch(v, 0, N_PAGES, VTLB_WRITE);
	vtlb_flush(v, true);
	double start = cpu_ns();

	touch(v, 0, N_PAGES, VTLB_WRITE);
	return (cpu_ns() - start) / N_PAGES;
}

static double flush(struct vtlb_vp *v)
{
	double start = cpu_ns();

	for (int k = 0; k < 100000; k++)
		vtlb_flush(v, true);
	return (cpu_ns() - start) / 100000;
}

static double invlpg(struct vtlb_vp *v)
{
	double start = cpu_ns();

	for (u64 k = 0; k < 100000; k++)
		vtlb_invlpg(v, (k & 63) << 12);
	return (cpu_ns() - start) / 100000;
}

/* Two address spaces by turns, PCIDs, no flush; 64 pages touched after each switch. */
static double switch_back(struct vtlb_vp *v)
{
	struct vtlb_context c = v->ctx;
	u64 walks = 0;
	double start = 0;

	for (int k = 0; k < 2000; k++) {
		if (k == 4) {
			walks = v->n_walk;
			start = cpu_ns();
		}
		c.cr3 = TABLES | (1 + (k & 1));
		vtlb_set_context(v, &c);
		vtlb_cr3_load(v, c.cr3, true);
		touch(v, 0, 64, VTLB_READ);
	}
	if (v->n_walk != walks)
		printf("vtlb switch-back walked %llu times\n",
		       (unsigned long long)(v->n_walk - walks));
	return (cpu_ns() - start) / 1996;
}

/* The same by MOV CR3 that flushes, as without PCIDs; the tables get tracked in the first rounds.
 */
static double switch_flush(struct vtlb_vp *v)
{
	struct vtlb_context c = v->ctx;
	u64 walks = 0;
	double start = 0;

	for (int k = 0; k < 2000; k++) {
		if (k == 8) {
			walks = v->n_walk;
			start = cpu_ns();
		}
		c.cr3 = k & 1 ? TABLES : TABLES2;
		vtlb_set_context(v, &c);
		vtlb_cr3_load(v, c.cr3, false);
		touch(v, 0, 64, VTLB_READ);
	}
	if (v->n_walk != walks)
		printf("vtlb flushing switch walked %llu times\n",
		       (unsigned long long)(v->n_walk - walks));
	return (cpu_ns() - start) / 1992;
}

/* L1 ↔ L2: no touch at all. */
static double world_switch(struct vtlb_vp *v)
{
	struct vtlb_context l2 = context(true), l1 = context(false);
	double start = cpu_ns();

	for (int k = 0; k < 50000; k++) {
		vtlb_set_context(v, &l1);
		vtlb_set_context(v, &l2);
	}
	return (cpu_ns() - start) / 100000;
}

static void single(bool nested)
{
	struct vtlb *t = make(1, AS_IT_IS);
	struct vtlb_vp v = {0};
	struct vtlb_context c = context(nested);
	const char *dim = nested ? "nested" : "one-level";

	if (vtlb_vp_init(t, &v, 0))
		abort();
	vtlb_set_context(&v, &c);
	printf("vtlb %s hit, 64 pages            %7.1f ns\n", dim, best(hit_near, &v));
	printf("vtlb %s hit, 32768 pages, random %7.1f ns\n", dim, best(hit_far, &v));
	printf("vtlb %s fill by walk             %7.1f ns\n", dim, best(fill, &v));
	printf("vtlb %s flush                    %7.1f ns\n", dim, best(flush, &v));
	printf("vtlb %s INVLPG                   %7.1f ns\n", dim, best(invlpg, &v));
	printf("vtlb %s switch back + 64 pages   %7.1f ns\n", dim, best(switch_back, &v));
	printf("vtlb %s MOV CR3 + 64 pages       %7.1f ns\n", dim, best(switch_flush, &v));
	printf("vtlb %s world switch             %7.1f ns\n", dim, best(world_switch, &v));
	vtlb_vp_fini(&v);
	vtlb_destroy(t);
}

/* ---- demand paging on threads ---- */

#define ROUNDS 160
#define PAIRS 7
#define INVALS 4096u

struct worker {
	struct vtlb_vp v;
	pthread_t thread;
	u32 id, n;
	_Atomic u32 *ready;
	_Atomic bool requested;
	double cpu_ns;
	double *wait_ns; /* of each invalidation, INVALS of them; or NULL */
};

static void request(void *arg)
{
	atomic_store(&((struct worker *)arg)->requested, true);
}

/* Its own stretch of pages, flushed and filled again. */
static void *demand(void *arg)
{
	struct worker *w = arg;
	u32 share = N_PAGES / 16;

	touch(&w->v, w->id % 16 * share, share, VTLB_WRITE); /* page faults of the host's */
	atomic_fetch_add(w->ready, 1);
	while (atomic_load(w->ready) < w->n)
		sched_yield();
	double start = cpu_ns();

	for (int k = 0; k < ROUNDS; k++) {
		vtlb_flush(&w->v, true);
		touch(&w->v, w->id % 16 * share, share, VTLB_WRITE);
		if (atomic_exchange(&w->requested, false))
			vtlb_safe_point(&w->v);
	}
	w->cpu_ns = cpu_ns() - start;
	vtlb_offline(&w->v);
	return NULL;
}

/* The same with an INVLPG for every 64 fills, each of them timed by the wall. */
static void *invalidate(void *arg)
{
	struct worker *w = arg;
	u32 share = N_PAGES / 16;

	touch(&w->v, w->id % 16 * share, share, VTLB_WRITE);
	atomic_fetch_add(w->ready, 1);
	while (atomic_load(w->ready) < w->n)
		sched_yield();
	for (u32 k = 0; k < INVALS; k++) {
		u32 first = w->id % 16 * share + k % (share / 64) * 64;

		if (!(k % (share / 64)))
			vtlb_flush(&w->v, true);
		touch(&w->v, first, 64, VTLB_WRITE);
		double start = clock_ns(CLOCK_MONOTONIC);

		vtlb_invlpg(&w->v, (u64)first << 12);
		w->wait_ns[k] = clock_ns(CLOCK_MONOTONIC) - start;
		if (atomic_exchange(&w->requested, false))
			vtlb_safe_point(&w->v);
	}
	vtlb_offline(&w->v);
	return NULL;
}

/* CPU time of one fill: @n VPs in one machine, or in a machine each. */
static double threads(u32 n, enum how how, bool independent)
{
	u32 n_machines = independent ? n : 1;
	struct vtlb *t[16];
	struct worker *w = calloc(n, sizeof(*w));
	_Atomic u32 ready = 0;
	struct vtlb_context c = context(true);
	double cpu = 0;

	for (u32 i = 0; i < n_machines; i++)
		t[i] = make(independent ? 2 : MAX(n, 2u), how);
	for (u32 i = 0; i < n; i++) {
		w[i].id = i;
		w[i].n = n;
		w[i].ready = &ready;
		w[i].v.owner = &w[i];
		w[i].v.request = request;
		if (vtlb_vp_init(t[independent ? i : 0], &w[i].v, independent ? 0 : i))
			abort();
		vtlb_set_context(&w[i].v, &c);
	}
	for (u32 i = 0; i < n; i++)
		pthread_create(&w[i].thread, NULL, demand, &w[i]);
	for (u32 i = 0; i < n; i++)
		pthread_join(w[i].thread, NULL);
	for (u32 i = 0; i < n; i++) {
		cpu += w[i].cpu_ns;
		vtlb_vp_fini(&w[i].v);
	}
	free(w);
	for (u32 i = 0; i < n_machines; i++)
		vtlb_destroy(t[i]);
	return cpu / ((double)ROUNDS * (N_PAGES / 16) * n);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/*
 * @n VPs of one machine against @m: VPs in a machine each (@independent) or in one. Pairs run one
 * after another, so that what else the host does meets both; the middle ratio counts.
 */
static void compare(const char *what, u32 n, u32 m, bool independent, enum how how)
{
	double ratio[PAIRS], ns[PAIRS];

	for (int i = 0; i < PAIRS; i++) {
		double base = threads(m, AS_IT_IS, independent);

		ns[i] = threads(n, how, false);
		ratio[i] = base / ns[i];
	}
	qsort(ratio, PAIRS, sizeof(*ratio), by_value);
	qsort(ns, PAIRS, sizeof(*ns), by_value);
	printf("vtlb nested fill, %-48s %5.0f ns, throughput %.2f\n", what, ns[PAIRS / 2],
	       ratio[PAIRS / 2]);
}

/* How long INVLPG takes while @n VPs of one machine fill: the middle, and one in a thousand. */
static void latency(u32 n, enum how how, const char *what)
{
	struct vtlb *t = make(n, how);
	struct worker *w = calloc(n, sizeof(*w));
	double *all = calloc((size_t)n * INVALS, sizeof(*all));
	struct vtlb_context c = context(true);
	_Atomic u32 ready = 0;

	if (!w || !all)
		abort();
	for (u32 i = 0; i < n; i++) {
		w[i] = (struct worker){
			.id = i, .n = n, .ready = &ready, .wait_ns = all + i * INVALS};
		w[i].v.owner = &w[i];
		w[i].v.request = request;
		if (vtlb_vp_init(t, &w[i].v, i))
			abort();
		vtlb_set_context(&w[i].v, &c);
	}
	for (u32 i = 0; i < n; i++)
		pthread_create(&w[i].thread, NULL, invalidate, &w[i]);
	for (u32 i = 0; i < n; i++)
		pthread_join(w[i].thread, NULL);
	qsort(all, (size_t)n * INVALS, sizeof(*all), by_value);
	printf("vtlb INVLPG while %2u VPs fill, %-10s %7.0f ns, one in 1000 from %9.0f ns\n", n,
	       what, all[n * INVALS / 2], all[n * (u64)INVALS * 999 / 1000]);
	for (u32 i = 0; i < n; i++)
		vtlb_vp_fini(&w[i].v);
	vtlb_destroy(t);
	free(all);
	free(w);
}

/* Shadow page tables for 128 MiB in 4 KiB pages, as bytes of a GiB. */
static void memory(bool nested)
{
	struct vtlb *t = make(1, AS_IT_IS);
	struct vtlb_vp v = {0};
	struct vtlb_context c = context(nested);
	struct vtlb_stats s;

	if (vtlb_vp_init(t, &v, 0))
		abort();
	vtlb_set_context(&v, &c);
	touch(&v, 0, N_PAGES, VTLB_READ);
	vtlb_get_stats(t, &s);
	printf("vtlb %s memory, 4 KiB pages      %7.2f MiB for each GiB mapped\n",
	       nested ? "nested" : "one-level",
	       (double)s.spts_used * 4096 / MIB * (262144.0 / N_PAGES));
	vtlb_vp_fini(&v);
	vtlb_destroy(t);
}

int main(void)
{
	int err;

	mem = mem_create(RAM_BYTES, &err);
	if (!mem) {
		fprintf(stderr, "vtlb_bench: no memory\n");
		return 1;
	}
	ram = mem_ram_base(mem);
	memset(ram, 0, RAM_BYTES);
	make_tables(TABLES, DATA, N_PAGES, 7, 0x67);
	*word(TABLES2) = *word(TABLES);
	make_tables(EPT, 0, RAM_BYTES / 4096, 7, 0x337);
	/* ept12 is the identity and reaches over guest tables and data alike */
	single(false);
	single(true);
	memory(false);
	memory(true);
	compare("2 VPs, against 2 machines of one VP", 2, 2, true, AS_IT_IS);
	compare("16 VPs, against 2 VPs", 16, 2, false, AS_IT_IS);
	compare("2 VPs with one lock, against 2 without", 2, 2, false, ONE_LOCK);
	compare("16 VPs with one lock, against 2 without", 16, 2, false, ONE_LOCK);
	compare("2 VPs with in-fill counters, against 2 without", 2, 2, false, ODD_EVEN);
	compare("16 VPs with in-fill counters, against 2 without", 16, 2, false, ODD_EVEN);
	for (u32 n = 2; n <= 16; n += 14) {
		latency(n, AS_IT_IS, "stamps:");
		latency(n, ONE_LOCK, "one lock:");
		latency(n, ODD_EVEN, "odd/even:");
	}
	mem_destroy(mem);
	return 0;
}
