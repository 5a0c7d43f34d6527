/*
 * vtlb_inval_test.c - random edits of guest tables and ept12, invalidations and context switches on
 * several VPs, with a record of what was ever valid: a translation may be used after it changed
 * only as long as the VP that uses it has executed nothing that the SDM says invalidates it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/vtlb_inval.h"

static void flush_soft(void *arg)
{
	struct tvp *p = arg;

	memset(p->soft, 0, sizeof(p->soft));
}

static void forget_piece(struct soft *soft, u64 at, u64 gva)
{
	if (soft->valid && at >> soft->page_shift == gva >> soft->page_shift)
		soft->valid = false;
}

static void flush_soft_page(void *arg, u64 gva)
{
	struct tvp *p = arg;

	for (u32 g = 0; g < N_GVA; g++)
		for (u32 user = 0; user < 2; user++) {
			forget_piece(&p->soft[g][user], inval_gvas[g], gva);
			for (u32 i = 0; i < ARRAY_SIZE(p->aside); i++)
				forget_piece(&p->aside[i].soft[g][user], inval_gvas[g], gva);
		}
}

static u64 soft_mark(void *arg)
{
	struct tvp *p = arg;
	u32 at = (u32)(++p->mark % 4);

	p->aside[at].mark = p->mark;
	memcpy(p->aside[at].soft, p->soft, sizeof(p->soft));
	return p->mark;
}

static bool soft_return(void *arg, u64 mark)
{
	struct tvp *p = arg;

	if (p->aside[mark % 4].mark == mark) {
		memcpy(p->soft, p->aside[mark % 4].soft, sizeof(p->soft));
		inval.returns++;
		return true;
	}
	memset(p->soft, 0, sizeof(p->soft));
	return false;
}

static void request(void *arg)
{
	((struct tvp *)arg)->requested = true;
}

static void check(struct tvp *p, u32 g, bool user, u64 gpa, u32 prot, const char *from)
{
	bool stale = false;

	inval.used++;
	if (!inval_is_legal(p, g, user, gpa, prot, &stale))
		fail_msg(
			"time %llu vp %u ctx %u gva %llx %s: gpa %llx prot %x was invalidated (%s)",
			(unsigned long long)inval.now, (u32)(p - inval.vp), p->ctx,
			(unsigned long long)inval_gvas[g], user ? "user" : "supervisor",
			(unsigned long long)gpa, prot, from);
	inval.used_stale += stale;
}

static void touch(struct tvp *p)
{
	static const u32 kinds[] = {VTLB_READ, VTLB_READ, VTLB_WRITE, VTLB_EXEC};
	u32 g = (u32)inval_rnd(N_GVA), kind = kinds[inval_rnd(4)];
	bool user = inval_chance(40);
	u32 access = kind | (user ? VTLB_USER : 0);
	struct soft *soft = &p->soft[g][user];
	struct vtlb_xl xl, fresh;
	struct vtlb_fault f = {0}, f2 = {0};

	if (soft->valid && soft->prot & kind && inval_chance(70)) {
		check(p, g, user, soft->gpa, soft->prot, "soft TLB");
		return;
	}
	enum vtlb_status now = vtlb_peek(&p->v, inval_gvas[g], access, &fresh, &f2);
	enum vtlb_status st = vtlb_translate(&p->v, inval_gvas[g], access, &xl, &f);

	inval_record();
	if (st > VTLB_MMIO) { /* never from the cache */
		assert_int_equal(st, now);
		if (st == VTLB_PAGE_FAULT)
			assert_int_equal(f.error_code, f2.error_code);
		else
			assert_int_equal(f.qualification, f2.qualification);
		return;
	}
	check(p, g, user, xl.gpa, xl.prot | kind, "vtlb");
	soft->valid = st == VTLB_OK;
	soft->gpa = xl.gpa;
	soft->prot = xl.prot;
	soft->page_shift = xl.page_shift;
}

static void log_event(struct tvp *p, struct event ev)
{
	if (p->n_log == p->cap_log) {
		p->cap_log = p->cap_log ? p->cap_log * 2 : 1024;
		p->log = realloc(p->log, p->cap_log * sizeof(*p->log));
	}
	ev.time = inval.now;
	p->log[p->n_log++] = ev;
}

static void switch_context(struct tvp *p)
{
	u32 to = inval.by_turns	   ? inval.by_turns - p->ctx
		 : inval.processes ? (u32)inval_rnd(3)
				   : (u32)inval_rnd(N_CTX);
	const struct vtlb_context *old = &inval.ctx[p->ctx], *new = &inval.ctx[to];
	u64 old_cr3 = old->cr3;
	bool same_world = old->vpid == new->vpid && old->eptp == new->eptp;

	p->ctx = to;
	vtlb_set_context(&p->v, new);
	if (same_world) { /* MOV CR3 */
		bool no_flush = !inval.processes && inval_chance(50);

		vtlb_cr3_load(&p->v, old_cr3, no_flush);
		if (!no_flush)
			log_event(p, (struct event){.what = CR3,
						    .vpid = new->vpid,
						    .pcid = new->cr3 & 0xfff});
	} else if (old->vpid == 0 && new->vpid == 0) { /* VM entry or exit without VPIDs */
		vtlb_flush_vpid(&p->v, 0);
		log_event(p, (struct event){.what = FLUSH_VPID, .vpid = 0});
	}
}

static void invalidate(struct tvp *p)
{
	const struct vtlb_context *c = &inval.ctx[p->ctx];
	struct event ev = {
		.what = (enum what)inval_rnd(FLUSH_VPID), .vpid = c->vpid, .pcid = c->cr3 & 0xfff};

	if (inval_chance(60))
		ev.what = INVLPG;
	/* Not the address itself: anywhere in the page that may be large. */
	ev.gva = inval_gvas[inval_rnd(N_GVA)] + (inval_chance(30) ? inval_rnd(4096) : 0) +
		 (inval_chance(20) ? inval_rnd(512) << 12 : 0);
	switch (ev.what) {
	case INVLPG: vtlb_invlpg(&p->v, ev.gva); break;
	case CR3: vtlb_cr3_load(&p->v, c->cr3, false); break;
	case FLUSH: vtlb_flush(&p->v, false); break;
	case FLUSH_G: vtlb_flush(&p->v, true); break;
	case INVPCID0:
	case INVPCID1:
	case INVPCID2:
	case INVPCID3:
		ev.pcid = (u16)inval_rnd(3);
		vtlb_invpcid(&p->v, ev.what - INVPCID0, ev.pcid, ev.gva);
		break;
	case INVVPID0:
	case INVVPID1:
	case INVVPID2:
	case INVVPID3:
		ev.vpid = (u16)(1 + inval_rnd(2));
		vtlb_invvpid(&p->v, ev.what - INVVPID0, ev.vpid, ev.gva);
		break;
	default:
		ev.eptp = inval.ctx[inval_chance(50) ? 3 : 6].eptp;
		vtlb_invept(&p->v, ev.what == INVEPT1 ? 1 : 2, ev.eptp);
		break;
	}
	log_event(p, ev);
}

static void step(void)
{
	struct tvp *p = &inval.vp[inval_rnd(inval.n_vps)];

	inval.now++;
	if (!(inval.now % AUDIT_EVERY)) {
		const char *broken = vtlb_audit(inval.t);

		if (broken)
			fail_msg("time %llu: this does not hold: %s", (unsigned long long)inval.now,
				 broken);
	}
	if (p->is_offline || inval_chance(1)) {
		p->is_offline = !p->is_offline;
		if (p->is_offline)
			vtlb_offline(&p->v);
		else
			vtlb_online(&p->v);
		if (p->is_offline)
			return;
	}
	if (p->requested && (inval.is_prompt || inval_chance(50))) {
		p->requested = false;
		vtlb_safe_point(&p->v);
	}
	if (inval.by_turns && inval_chance(30)) {
		switch_context(p);
		return;
	}
	switch (inval_rnd(20)) {
	case 0:
		/* now and then so much that it is not worth while to track the tables */
		for (u32 i = inval.processes && inval_chance(5) ? 150 : 1; i; i--)
			inval_edit_guest();
		inval_record();
		break;
	case 1:
		inval_edit_ept();
		inval_record();
		break;
	case 2: switch_context(p); break;
	case 3:
		if (!inval.processes || inval_chance(20))
			invalidate(p);
		break;
	case 4:
		if (inval_chance(1))
			vtlb_memory_changed(inval.t);
		break;
	default: touch(p); break;
	}
}

static void begin(u32 n_vps, struct vtlb_config cfg)
{
	int err;
	u64 seed = inval.seed;

	memset(&inval, 0, sizeof(inval));
	inval.seed = seed;
	inval.n_vps = n_vps;
	inval.mem = mem_create(RAM_BYTES, &err);
	inval.ram = mem_ram_base(inval.mem);
	cfg.max_vps = n_vps;
	cfg.maxphyaddr = 40;
	cfg.has_1g_pages = true;
	cfg.ept_caps = ~0ull;
	cfg.share = !inval.no_share;
	cfg.refresh_walks = inval.no_refresh ? 0 : 7;
	cfg.seed = seed;
	inval.t = vtlb_create(inval.mem, &cfg, &err);
	assert_non_null(inval.t);
	inval_make_tables();
	inval_make_contexts();
	for (u32 i = 0; i < n_vps; i++) {
		struct tvp *p = &inval.vp[i];

		p->v.owner = p;
		p->v.flush_soft = flush_soft;
		p->v.flush_soft_page = flush_soft_page;
		p->v.request = request;
		p->v.soft_mark = soft_mark;
		p->v.soft_return = soft_return;
		assert_int_equal(vtlb_vp_init(inval.t, &p->v, i), 0);
		vtlb_set_context(&p->v, &inval.ctx[0]);
	}
	inval_record();
}

static void end(void)
{
	struct vtlb_stats st;
	u64 hits = 0, walks = 0;

	vtlb_get_stats(inval.t, &st);
	for (u32 i = 0; i < inval.n_vps; i++) {
		hits += inval.vp[i].v.n_hit;
		walks += inval.vp[i].v.n_walk;
		vtlb_vp_fini(&inval.vp[i].v);
		free(inval.vp[i].log);
	}
	printf("# %u VPs: used %llu (stale, legally: %llu) returns %llu hits %llu walks %llu; SPTs "
	       "%llu of "
	       "%llu, "
	       "evicted %llu, address spaces evicted %llu, uninstalled %llu, audit %llu/%llu, "
	       "shared %llu, "
	       "links %llu, coalesced %llu\n",
	       inval.n_vps, (unsigned long long)inval.used, (unsigned long long)inval.used_stale,
	       (unsigned long long)inval.returns, (unsigned long long)hits,
	       (unsigned long long)walks, (unsigned long long)st.spts_used,
	       (unsigned long long)st.spts_limit, (unsigned long long)st.spt_evictions,
	       (unsigned long long)st.sas_evictions, (unsigned long long)st.uninstalled,
	       (unsigned long long)st.audit_stale, (unsigned long long)st.audit_checks,
	       (unsigned long long)st.shared_tops, (unsigned long long)st.shared_links,
	       (unsigned long long)st.coalesced);
	assert_true(st.spts_used <= st.spts_limit);
	vtlb_destroy(inval.t);
	mem_destroy(inval.mem);
	free(inval.ept_log);
	for (u32 as = 0; as < N_AS; as++)
		free(inval.root_log[as]);
}

static u32 n_steps(void)
{
#ifdef __SANITIZE_THREAD__ /* threads are vtlb_threads_test's; this is slow there */
	return 5000;
#endif
	return getenv("NESTOR_LONG") ? 150000 : 15000;
}

static void run(u32 n_vps, struct vtlb_config cfg)
{
	begin(n_vps, cfg);
	for (u32 i = 0; i < n_steps(); i++)
		step();
	assert_true(inval.used > 1000);
	end();
}

static void run_by_turns(u32 a, u32 b)
{
	begin(2, (struct vtlb_config){.max_bytes = MIB});
	inval.by_turns = a + b;
	for (u32 i = 0; i < 2; i++) {
		inval.vp[i].ctx = a;
		vtlb_set_context(&inval.vp[i].v, &inval.ctx[a]);
	}
	for (u32 i = 0; i < 2 * n_steps(); i++)
		step();
	assert_true(inval.returns > n_steps() / 10);
	end();
}

/* L1 and its guest; two EPTPs of one guest. */
static void test_by_turns(void **state)
{
	run_by_turns(0, 3);
}
static void test_by_turns_ept(void **state)
{
	run_by_turns(3, 6);
}

static void test_one_vp(void **state)
{
	run(1, (struct vtlb_config){.max_bytes = MIB});
}
static void test_retain(void **state)
{
	run(1, (struct vtlb_config){.max_bytes = MIB, .retain = true});
}
static void test_retain_tight(void **state)
{
	run(1, (struct vtlb_config){.max_bytes = 120 * KIB, .retain = true});
}

/* Processes by turns, MOV CR3 that flushes, tables that change now and then. */
static void test_retain_processes(void **state)
{
	struct vtlb_stats st;

	begin(1, (struct vtlb_config){.max_bytes = MIB, .retain = true});
	inval.processes = true;
	for (u32 i = 0; i < 3 * n_steps(); i++)
		step();
	vtlb_get_stats(inval.t, &st);
	printf("# tracked %llu writes %llu released %llu\n", (unsigned long long)st.gpts_tracked,
	       (unsigned long long)st.gpt_writes, (unsigned long long)st.gpt_releases);
	assert_true(st.gpts_tracked > 0 && st.gpt_writes > 100 && st.gpt_releases > 0);
	end();
}
/* The same on several VPs that take turns on one thread. */
static void test_retain_vps(void **state)
{
	struct vtlb_stats st;

	for (u32 n = 2; n <= MAX_VPS; n += 2) {
		begin(n, (struct vtlb_config){.max_bytes = n == 2 ? MIB : 160 * KIB,
					      .retain = true,
					      .one_thread = true});
		inval.processes = true;
		for (u32 i = 0; i < 3 * n_steps(); i++)
			step();
		vtlb_get_stats(inval.t, &st);
		assert_true(st.gpts_tracked > 0 && st.gpt_writes > 50);
		end();
	}
	run(3, (struct vtlb_config){.max_bytes = MIB, .retain = true, .one_thread = true});
	run(MAX_VPS,
	    (struct vtlb_config){.max_bytes = 72 * KIB, .retain = true, .one_thread = true});
}
static void test_two_vps(void **state)
{
	run(2, (struct vtlb_config){.max_bytes = MIB});
}
static void test_four_vps(void **state)
{
	run(4, (struct vtlb_config){.max_bytes = MIB, .audit = true});
}
static void test_tight_memory(void **state)
{
	run(1, (struct vtlb_config){.max_bytes = 56 * KIB});
}
static void test_tight_memory_mp(void **state)
{
	run(4, (struct vtlb_config){.max_bytes = 72 * KIB});
}
static void test_no_memory(void **state)
{
	run(2, (struct vtlb_config){.max_bytes = 0});
}
static void test_one_lock(void **state)
{
	run(3, (struct vtlb_config){.max_bytes = MIB, .one_lock = true});
}
static void test_adversarial(void **state)
{
	run(2, (struct vtlb_config){.max_bytes = MIB, .mode = VTLB_ADVERSARIAL});
}
static void test_adversarial_four(void **state)
{
	run(4, (struct vtlb_config){.max_bytes = 200 * KIB, .mode = VTLB_ADVERSARIAL});
}
/* The detector holds everything as long as it may; what it uses must be legal all the same. */
static void test_detector(void **state)
{
	struct vtlb_stats st;

	begin(3, (struct vtlb_config){.max_bytes = MIB, .detect_stale = true});
	for (u32 i = 0; i < n_steps(); i++)
		step();
	vtlb_get_stats(inval.t, &st);
	assert_true(st.stale_suspects > 20 && st.held_hits > 100);
	end();
}
/* One thread: the soft TLB keeps what watched entries lead to, and still nothing stale is used. */
static void test_strict_watched(void **state)
{
	struct vtlb_stats st;

	begin(MAX_VPS,
	      (struct vtlb_config){.max_bytes = MIB, .mode = VTLB_STRICT, .one_thread = true});
	for (u32 i = 0; i < n_steps(); i++)
		step();
	vtlb_get_stats(inval.t, &st);
	assert_int_equal(inval.used_stale, 0);
	assert_true(st.watched > 10 && st.watch_flushes > 100);
	end();
}
static void test_detector_watched(void **state)
{
	struct vtlb_stats st;

	begin(MAX_VPS, (struct vtlb_config){
			       .max_bytes = 200 * KIB, .detect_stale = true, .one_thread = true});
	for (u32 i = 0; i < n_steps(); i++)
		step();
	vtlb_get_stats(inval.t, &st);
	assert_true(st.stale_suspects > 20 && st.held_hits > 100 && st.watch_flushes > 100);
	end();
}
static void test_eight_vps(void **state)
{
	run(MAX_VPS, (struct vtlb_config){.max_bytes = 400 * KIB});
	run(MAX_VPS, (struct vtlb_config){
			     .max_bytes = 400 * KIB, .mode = VTLB_ADVERSARIAL, .one_thread = true});
}
static void test_strict(void **state)
{
	struct vtlb_stats st;

	begin(2, (struct vtlb_config){.max_bytes = MIB, .mode = VTLB_STRICT});
	inval.is_prompt = true;
	for (u32 i = 0; i < n_steps(); i++)
		step();
	vtlb_get_stats(inval.t, &st);
	assert_int_equal(inval.used_stale, 0);
	assert_true(st.watched > 10 && st.watch_flushes > 100);
	end();
}

/* A guest that flushes after every change of a table never meets a stale translation. */
static void test_careful_guest(void **state)
{
	struct vtlb_stats st;

	begin(2, (struct vtlb_config){.max_bytes = MIB, .audit = true});
	for (u32 i = 0; i < n_steps(); i++) {
		struct tvp *p = &inval.vp[inval_rnd(2)];

		inval.now++;
		if (inval_chance(10)) {
			inval_edit_guest();
			inval_edit_ept();
			inval_record();
			for (u32 k = 0; k < 2; k++) {
				for (u16 vpid = 0; vpid < 3; vpid++)
					vtlb_invvpid(&inval.vp[k].v, 1, vpid, 0);
				vtlb_invept(&inval.vp[k].v, 2, 0);
			}
		} else if (inval_chance(10)) {
			p->ctx = (u32)inval_rnd(N_CTX);
			vtlb_set_context(&p->v, &inval.ctx[p->ctx]);
		} else {
			touch(p);
		}
	}
	vtlb_get_stats(inval.t, &st);
	assert_true(st.audit_checks > 100);
	assert_int_equal(st.audit_stale, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_vp),		 cmocka_unit_test(test_two_vps),
		cmocka_unit_test(test_retain),		 cmocka_unit_test(test_retain_tight),
		cmocka_unit_test(test_retain_processes), cmocka_unit_test(test_four_vps),
		cmocka_unit_test(test_tight_memory),	 cmocka_unit_test(test_tight_memory_mp),
		cmocka_unit_test(test_no_memory),	 cmocka_unit_test(test_one_lock),
		cmocka_unit_test(test_adversarial),	 cmocka_unit_test(test_strict),
		cmocka_unit_test(test_strict_watched),	 cmocka_unit_test(test_detector_watched),
		cmocka_unit_test(test_eight_vps),	 cmocka_unit_test(test_by_turns),
		cmocka_unit_test(test_by_turns_ept),	 cmocka_unit_test(test_careful_guest),
		cmocka_unit_test(test_adversarial_four), cmocka_unit_test(test_detector),
		cmocka_unit_test(test_retain_vps),
	};

	inval.seed = getenv("NESTOR_SEED") ? strtoull(getenv("NESTOR_SEED"), NULL, 0) : 1;
	printf("# seed %llu\n", (unsigned long long)inval.seed);
	return cmocka_run_group_tests_name("vtlb_inval", tests, NULL, NULL);
}
