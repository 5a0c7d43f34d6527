/*
 * vtlb_threads_test.c - VPs on threads: shared tables that change under invalidation, SPT reuse
 * under a tight limit, accessed and dirty bits set by all at once. Meant for MODE=tsan.
 *
 * Each page's entry has one writer, which counts its frame number up. Whoever has read the count
 * and then invalidated must not be led to an older frame: be it by INVLPG, or, with retention, by a
 * load of CR3 that keeps what the tables still say. Writers go through the virtual TLB as the
 * engine does, with a write tag as long as they may keep one. The same holds when each VP keeps all
 * that it may (adversarial mode), and when uses are compared with the tables (the detector, strict
 * mode).
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "l0/base/hash.h"
#include "l0/mem/mem.h"
#include "vtlb/priv.h"

#define RAM_BYTES (64 * MIB)
#define DATA 0x1000000ull
#define VERSIONS 8192u
#define N_PAGES 48u
#define N_ROOTS 4u
#define TABLES 0x100000ull
#define MAX_THREADS 4u
#define KERNEL_HALF 0xffff800000000000ull
#define TABLES_GVA 0x8000000ull /* the tables' own 2 MiB, in the lower half */

struct shared {
	struct mem *mem;
	struct vtlb *t;
	u8 *ram;
	_Atomic u64 version[N_PAGES]; /* what the entry holds at least; written after the entry */
	_Atomic u32 ready;
	u32 n_threads;
	u64 steps;
	bool nested, retain;
	bool is_told; /* writes to tables are noted */
	u64 half;     /* of the address space: the users', or the kernel's, whose SPTs are shared */
};

struct worker {
	struct shared *sh;
	struct vtlb_vp v;
	u32 id;
	u64 seed;
	_Atomic bool requested;
	u64 soft_flushes, checked, wrong, by_fault, wrong_after_load, noted, unnoted;
	bool has_tag[N_PAGES]; /* the soft TLB: a write tag of the page's table */
	u64 told, untrue;      /* reports of the detector */
	struct trace_ctx trace;
	pthread_t thread;
};

static u64 seed; /* printed; NESTOR_SEED */
static _Thread_local struct worker *me;

static struct vtlb_vp *self(void *arg)
{
	return me ? &me->v : NULL;
}
static u64 now(struct trace_ctx *ctx)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}
/* Who reports runs a VP. Frame numbers of a page only grow, so what was held is the lower one. */
static void reported(void *arg, const struct vtlb_stale_report *r)
{
	me->told++;
	me->untrue += r->fresh_gpa != VTLB_NO_GPA && r->held_gpa >= r->fresh_gpa;
}

static u64 *word(struct shared *sh, u64 at)
{
	return (u64 *)(void *)(sh->ram + at);
}

/* Pages far apart, so that every one needs an SPT of its own; the first ones share one. */
static u64 gva_of(const struct shared *sh, u32 page)
{
	return sh->half + (page < 8 ? page * 4096ull : (u64)page << 21);
}
static u64 pte_at(u32 page)
{
	return page < 8 ? TABLES + 0x10000 + page * 8 : TABLES + 0x10000 + page * 4096ull;
}

static void make_tables(struct shared *sh)
{
	u64 pdpt = TABLES + 0x8000, pd = TABLES + 0x9000;

	for (u32 r = 0; r < N_ROOTS; r++)
		*word(sh, TABLES + r * 4096) = *word(sh, TABLES + r * 4096 + 0x800) = pdpt | 7;
	*word(sh, pdpt) = pd | 7;
	*word(sh, pd) = (TABLES + 0x10000) | 7;
	*word(sh, pd + 8 * (TABLES_GVA >> 21)) = (TABLES & ~(2 * MIB - 1)) | 0xe7;
	for (u32 p = 8; p < N_PAGES; p++)
		*word(sh, pd + 8 * p) = (TABLES + 0x10000 + p * 4096ull) | 7;
	for (u32 p = 0; p < N_PAGES; p++)
		*word(sh, pte_at(p)) = DATA | 7 | (p & 1 ? 0x100 : 0);
	/* ept12: identity by 2 MiB pages, accessed and dirty bits on */
	*word(sh, 0x80000) = 0x81000 | 7;
	*word(sh, 0x81000) = 0x82000 | 7;
	for (u64 i = 0; i < 32; i++)
		*word(sh, 0x82000 + 8 * i) = i << 21 | 0xb7;
}

static void flush_soft(void *arg)
{
	struct worker *w = arg;

	w->soft_flushes++;
	memset(w->has_tag, 0, sizeof(w->has_tag));
}
static void request(void *arg)
{
	atomic_store(&((struct worker *)arg)->requested, true);
}

/* A store to the page's entry. What follows from it can be seen before the store is noted. */
static void store_entry(struct worker *w, u32 page, u64 entry, u64 version)
{
	struct shared *sh = w->sh;
	u64 at = pte_at(page), *host = word(sh, at);
	bool noted = false;

	if (sh->is_told && !w->has_tag[page]) {
		struct vtlb_xl xl;
		struct vtlb_fault f;
		u64 gva = TABLES_GVA + at % (2 * MIB);

		if (vtlb_translate(&w->v, gva, VTLB_WRITE, &xl, &f) != VTLB_OK || xl.gpa != at)
			abort();
		host = (u64 *)(void *)xl.hva;
		noted = !(xl.prot & VTLB_WRITE);
		w->has_tag[page] = !noted;
	}
	__atomic_store_n(host, entry, __ATOMIC_RELAXED);
	__atomic_store_n((u64 *)&sh->version[page], version, __ATOMIC_RELEASE);
	w->noted += noted;
	w->unnoted += !noted;
	if (noted) {
		if (!rng_below(&w->seed, 4)) /* others see what is not noted yet */
			for (u32 i = 0; i < 300; i++)
				__builtin_ia32_pause();
		mem_note_write(sh->mem, at, 8);
		vtlb_write_done(&w->v);
	}
}

/* The owner moves its page to the next frame, as a guest does: entry, then INVLPG. */
static void remap(struct worker *w, u32 page)
{
	struct shared *sh = w->sh;
	u64 n = atomic_load(&sh->version[page]);

	if (n + 1 == VERSIONS)
		return;
	store_entry(w, page, (DATA + (n + 1) * 4096) | 7 | (page & 1 ? 0x100 : 0), n + 1);
	vtlb_invlpg(&w->v, gva_of(w->sh, page));
}

static void check(struct worker *w, u32 page, u64 at_least)
{
	struct vtlb_xl xl;
	struct vtlb_fault f;
	u32 access = rng_below(&w->seed, 3) ? VTLB_READ : VTLB_WRITE;

	w->checked++;
	if (vtlb_translate(&w->v, gva_of(w->sh, page), access, &xl, &f) != VTLB_OK)
		w->by_fault++;
	else if (xl.gpa < DATA + at_least * 4096)
		w->wrong++;
}

static void switch_root(struct worker *w)
{
	struct vtlb_context c = w->v.ctx;

	c.cr3 = TABLES + rng_below(&w->seed, N_ROOTS) * 4096;
	vtlb_set_context(&w->v, &c);
	vtlb_cr3_load(&w->v, c.cr3, false);
}

static u64 version_of(const struct shared *sh, u32 page)
{
	return __atomic_load_n((const u64 *)&sh->version[page], __ATOMIC_ACQUIRE);
}

/* After a load of CR3 nothing older than it is used, but for what is global. */
static void load_and_check(struct worker *w, u32 page)
{
	u64 seen = version_of(w->sh, page), wrong = w->wrong;

	switch_root(w);
	if (page & 1 && !w->sh->retain)
		return; /* global */
	check(w, page, page & 1 ? 0 : seen);
	w->wrong_after_load += w->wrong - wrong;
}

static void invalidate_and_check(struct worker *w, u32 page)
{
	u64 seen = version_of(w->sh, page);

	vtlb_invlpg(&w->v, gva_of(w->sh, page));
	check(w, page, seen);
}

static void step(struct worker *w)
{
	const struct shared *sh = w->sh;
	u32 page = (u32)rng_below(&w->seed, N_PAGES);

	if (atomic_exchange(&w->requested, false))
		vtlb_safe_point(&w->v);
	switch (rng_below(&w->seed, 16)) {
	case 0:
		page -= page % sh->n_threads;
		if (page + w->id < N_PAGES)
			remap(w, page + w->id);
		break;
	case 1: load_and_check(w, page); break;
	case 2:
	case 3:
	case 4: invalidate_and_check(w, page); break;
	case 5:
		if (!rng_below(&w->seed, 50)) {
			vtlb_offline(&w->v);
			vtlb_online(&w->v);
		} else {
			sched_yield(); /* threads mix on a loaded host, too */
		}
		break;
	case 6: vtlb_protect_frame(&w->v, DATA + rng_below(&w->seed, 64) * 4096); break;
	default: check(w, page, 0); break;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct shared *sh = w->sh;

	me = w;
	atomic_fetch_add(&sh->ready, 1);
	while (atomic_load(&sh->ready) < sh->n_threads)
		;
	for (u64 i = 0; i < sh->steps; i++)
		step(w);
	vtlb_offline(&w->v);
	return NULL;
}

static struct shared *create(u64 half, u32 n_threads, u64 max_bytes, const struct vtlb_config *how)
{
	struct shared *sh = calloc(1, sizeof(*sh));
	struct vtlb_config cfg = *how;
	int err;

	sh->mem = mem_create(RAM_BYTES, &err);
	sh->ram = mem_ram_base(sh->mem);
	sh->n_threads = n_threads;
	sh->half = half;
	sh->retain = how->retain;
	sh->is_told = how->retain || how->mode == VTLB_STRICT || how->detect_stale;
	sh->steps = getenv("NESTOR_LONG") ? 2000000 : 30000;
	cfg.max_bytes = max_bytes;
	cfg.max_vps = n_threads;
	cfg.maxphyaddr = 40;
	cfg.ept_caps = ~0ull;
	cfg.share = true;
	cfg.refresh_walks = 5;
	cfg.seed = seed;
	cfg.self = self;
	cfg.stale = reported;
	sh->t = vtlb_create(sh->mem, &cfg, &err);
	assert_non_null(sh->t);
	make_tables(sh);
	return sh;
}

static void init_worker(struct worker *w, struct shared *sh, u32 id, bool nested)
{
	*w = (struct worker){.sh = sh,
			     .id = id,
			     .seed = seed * 100000 + 1000 * sh->n_threads + id,
			     .trace.now = now,
			     .v = {.trace = &w->trace,
				   .owner = w,
				   .flush_soft = flush_soft,
				   .request = request}};
	assert_int_equal(vtlb_vp_init(sh->t, &w->v, id), 0);
	vtlb_set_context(&w->v, &(struct vtlb_context){
					.cr0 = 0x80010001,
					.cr3 = TABLES,
					.cr4 = 0xb0,
					.efer = 0xd00,
					.vpid = nested ? 1 : 0,
					.eptp = nested ? 0x8005e : 0,
				});
}

/* What all threads did. */
struct sum {
	u64 checked, hits, noted, unnoted, told;
};

static struct sum join(struct worker *w, u32 n_threads)
{
	struct sum sum = {0};

	for (u32 i = 0; i < n_threads; i++) {
		pthread_join(w[i].thread, NULL);
		sum.checked += w[i].checked;
		sum.hits += w[i].v.n_hit;
		sum.noted += w[i].noted;
		sum.unnoted += w[i].unnoted;
		sum.told += w[i].told;
		assert_int_equal(w[i].wrong_after_load, 0);
		assert_int_equal(w[i].wrong, 0);
		assert_int_equal(w[i].by_fault, 0);
		assert_int_equal(w[i].untrue, 0);
	}
	return sum;
}

static void judge_stale(const struct vtlb_config *how, const struct vtlb_stats *st, u64 told)
{
	if (how->detect_stale) {
		printf("# %llu suspects, %llu cleared, %llu reported; %llu held translations "
		       "used\n",
		       (unsigned long long)st->stale_suspects,
		       (unsigned long long)st->stale_cleared, (unsigned long long)st->stale_reports,
		       (unsigned long long)st->held_hits);
		assert_true(st->stale_suspects > 0 && st->stale_cleared > 0);
		assert_int_equal(told, st->stale_reports);
	}
	if (how->detect_stale || how->mode == VTLB_ADVERSARIAL)
		assert_true(st->held_hits > 100);
}

static void judge_retention(bool retain, u64 half, const struct vtlb_stats *st,
			    const struct sum *sum)
{
	if (!retain || st->odd_even) {
		assert_int_equal(st->gpts_tracked, 0);
		return;
	}
	printf("# %llu tables tracked, %llu writes noted and %llu not, %llu taken out, %llu "
	       "released, %llu loads of CR3 in a write\n",
	       (unsigned long long)st->gpts_tracked, (unsigned long long)sum->noted,
	       (unsigned long long)sum->unnoted, (unsigned long long)st->gpt_purged,
	       (unsigned long long)st->gpt_releases, (unsigned long long)st->gpt_unsettled);
	/* how much is taken out depends on how often the host switches the threads */
	assert_true(half || (sum->noted > 100 && st->gpt_writes > 100 && st->gpt_purged > 0));
}

static void run_in(u64 half, u32 n_threads, u64 max_bytes, bool nested,
		   const struct vtlb_config *how)
{
	struct shared *sh = create(half, n_threads, max_bytes, how);
	struct worker *w = calloc(n_threads, sizeof(*w));
	struct vtlb_stats st;

	for (u32 i = 0; i < n_threads; i++)
		init_worker(&w[i], sh, i, nested);
	for (u32 i = 0; i < n_threads; i++)
		pthread_create(&w[i].thread, NULL, work, &w[i]);
	struct sum sum = join(w, n_threads);

	vtlb_get_stats(sh->t, &st);
	printf("# %u threads: checked %llu hits %llu; SPTs %llu of %llu, evicted %llu, limbo "
	       "%llu, shared %llu by %llu links, waited for fills %llu times\n",
	       n_threads, (unsigned long long)sum.checked, (unsigned long long)sum.hits,
	       (unsigned long long)st.spts_used, (unsigned long long)st.spts_limit,
	       (unsigned long long)st.spt_evictions, (unsigned long long)st.spts_limbo,
	       (unsigned long long)st.shared_tops, (unsigned long long)st.shared_links,
	       (unsigned long long)st.infill_waits);
	judge_stale(how, &st, sum.told);
	assert_true(how->mode == VTLB_STRICT ? !st.spts_used : !half == !st.shared_links);
	assert_true(st.odd_even || !st.infill_waits);
	judge_retention(how->retain, half, &st, &sum);
	assert_true(sum.checked > 1000 && st.spts_used <= st.spts_limit);
	for (u32 i = 0; i < n_threads; i++)
		vtlb_vp_fini(&w[i].v);
	vtlb_destroy(sh->t);
	mem_destroy(sh->mem);
	free(w);
	free(sh);
}

static void run(u32 n_threads, u64 max_bytes, bool nested, bool one_lock)
{
	const struct vtlb_config how = {.one_lock = one_lock};

	run_in(0, n_threads, max_bytes, nested, &how);
	run_in(KERNEL_HALF, n_threads, max_bytes, nested, &how);
}

static void test_two(void **state)
{
	run(2, 4 * MIB, false, false);
}
static void test_four(void **state)
{
	run(4, 4 * MIB, false, false);
}
static void test_nested(void **state)
{
	run(3, 4 * MIB, true, false);
}
static void test_tight(void **state)
{
	run(2, 160 * KIB, false, false);
}
static void test_tight_nested(void **state)
{
	run(4, 200 * KIB, true, false);
}
static void test_one_lock(void **state)
{
	run(3, 160 * KIB, false, true);
}

static const struct vtlb_config retaining = {.retain = true}, counting = {.odd_even = true};

static void test_retain(void **state)
{
	run_in(0, 2, 4 * MIB, false, &retaining);
	run_in(0, 4, 4 * MIB, true, &retaining);
	run_in(KERNEL_HALF, 3, 4 * MIB, false, &retaining);
}
static void test_retain_tight(void **state)
{
	run_in(0, 2, 240 * KIB, false, &retaining);
	run_in(0, 4, 280 * KIB, true, &retaining);
}
static void test_odd_even(void **state)
{
	run_in(0, 2, 4 * MIB, false, &counting);
	run_in(KERNEL_HALF, 3, 4 * MIB, true, &counting);
	run_in(0, 4, 200 * KIB, true, &counting);
}

static void run_mode(const struct vtlb_config *how)
{
	run_in(0, 2, 4 * MIB, false, how);
	run_in(KERNEL_HALF, 3, 4 * MIB, true, how);
	run_in(0, 4, 200 * KIB, true, how);
}
static void test_adversarial(void **state)
{
	run_mode(&(struct vtlb_config){.mode = VTLB_ADVERSARIAL});
}
static void test_detector(void **state)
{
	run_mode(&(struct vtlb_config){.detect_stale = true});
}
static void test_adversarial_detector(void **state)
{
	run_mode(&(struct vtlb_config){.mode = VTLB_ADVERSARIAL, .detect_stale = true});
}
static void test_strict(void **state)
{
	run_mode(&(struct vtlb_config){.mode = VTLB_STRICT});
}

struct waiter {
	struct vtlb t;
	double ns; /* of CPU time, by which the lock was waited for */
};

static double thread_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void *wait_for_lock(void *arg)
{
	struct waiter *w = arg;
	double begin = thread_cpu_ns();

	vtlb_spin_lock(&w->t, &w->t.lock);
	w->ns = thread_cpu_ns() - begin;
	return NULL;
}

/* Who finds a lock taken waits once and gives up the CPU after VTLB_SPINS looks. How long these
 * take is told, not judged: it is the host's affair. */
static void test_waits_are_short(void **state)
{
	struct waiter *w = aligned_alloc(64, ALIGN_UP(sizeof(*w), 64));
	double best = 1e9;
	pthread_t thread;

	for (u32 round = 0; round < 8; round++) {
		memset(w, 0, sizeof(*w));
		w->t.lock = 1;
		pthread_create(&thread, NULL, wait_for_lock, w);
		while (__atomic_load_n(&w->t.stats.lock_yields, __ATOMIC_RELAXED) < 2000)
			sched_yield();
		vtlb_spin_unlock(&w->t.lock);
		pthread_join(thread, NULL);
		assert_int_equal(w->t.stats.lock_waits, 1);
		best = MIN(best, w->ns / (double)w->t.stats.lock_yields);
	}
	printf("# %u looks at a taken lock and giving up the CPU: %.0f ns\n", VTLB_SPINS, best);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two),	     cmocka_unit_test(test_four),
		cmocka_unit_test(test_nested),	     cmocka_unit_test(test_tight),
		cmocka_unit_test(test_tight_nested), cmocka_unit_test(test_one_lock),
		cmocka_unit_test(test_retain),	     cmocka_unit_test(test_retain_tight),
		cmocka_unit_test(test_odd_even),     cmocka_unit_test(test_adversarial),
		cmocka_unit_test(test_detector),     cmocka_unit_test(test_adversarial_detector),
		cmocka_unit_test(test_strict),	     cmocka_unit_test(test_waits_are_short),
	};
	const char *s = getenv("NESTOR_SEED");

	seed = s ? strtoull(s, NULL, 0) : 1;
	printf("# seed %llu\n", (unsigned long long)seed);

	return cmocka_run_group_tests_name("vtlb_threads", tests, NULL, NULL);
}
