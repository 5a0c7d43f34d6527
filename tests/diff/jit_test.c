/*
 * The translator against the interpreter: two virtual processors run the same random programs, with
 * loops, calls, faults, page straddles and stores into their own code, and are compared wherever
 * both stop, at random instruction counts. Again with a tiny arena, with each group of instructions
 * left out, and with pages that come and go under a processor that makes single steps. Seeds are
 * printed; NESTOR_SEED, NESTOR_CASES.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/base/hash.h"
#include "l0/base/mem_ops.h"
#include "l0/engine/engine.h"
#include "l0/engine/softtlb.h"
#include "l0/engine/vec.h"
#include "l0/jit/jit.h"
#include "l0/mem/mem.h"
#include "tests/diff/program.h"
#include "tests/unit/engine_tier.h"
#include "trace/transition.h"

#define CASES_DEFAULT 3000u
#define CODE PROGRAM_CODE
#define DATA 0x10000000ull
#define GPA_TABLES 0x10000u
#define GPA_DATA 0x200000u
#define CODE_ALIAS 0x4000u /* from DATA on, where that is a large page */
#define DATA_BYTES 0x2000u
#define CODE_BYTES PROGRAM_BYTES
#define RUN_INSNS 3000u
#define FAULTS 20u

struct side {
	struct mem *mem;
	struct vtlb *vtlb;
	struct vp *vp;
	u64 next_table;
	struct trace_hub hub;
	struct trace_ctx trace;
};

static u64 seed;
static u64 gpa_code = 0x100000, code_writable = CODE;
static struct cpu_features features = {.cr4_valid = ~0ull,
				       .efer_valid = ~0ull,
				       .maxphyaddr = 40,
				       .linaddr_bits = 48,
				       .has_cx16 = true};

static u32 rnd(u32 n)
{
	return (u32)(rng_next(&seed) % n);
}

static u64 no_tsc(struct vp *v)
{
	return v->insns;
}

static const struct vp_ops ops = {.tsc = no_tsc};

/* The entry that maps a page of 4 KiB; tables are made. */
static u64 *pte(struct side *s, u64 gva)
{
	u64 *ram = (u64 *)mem_ram_base(s->mem), table = GPA_TABLES;

	for (int shift = 39; shift > 12; shift -= 9) {
		u64 *e = &ram[table / 8 + (gva >> shift & 511)];

		if (!*e) {
			*e = s->next_table | 7;
			s->next_table += 0x1000;
		}
		table = *e & ~0xfffull;
	}
	return &ram[table / 8 + (gva >> 12 & 511)];
}

static void map_page(struct side *s, u64 gva, u64 gpa)
{
	*pte(s, gva) = gpa | 0x67;
}

static void map_large(struct side *s, u64 gva, u64 gpa)
{
	u64 *ram = (u64 *)mem_ram_base(s->mem), table = GPA_TABLES;

	for (int shift = 39; shift > 21; shift -= 9)
		table = ram[table / 8 + (gva >> shift & 511)] & ~0xfffull;
	ram[table / 8 + (gva >> 21 & 511)] = gpa | 0xe7;
}

static void create(struct side *s, bool large)
{
	struct vtlb_config cfg = {.max_bytes = MIB, .max_vps = 1, .maxphyaddr = 40};
	struct vp *vp;
	int err;

	s->mem = mem_create(4 * MIB, &err);
	s->vtlb = vtlb_create(s->mem, &cfg, &err);
	assert_non_null(s->vtlb);
	s->next_table = GPA_TABLES + 0x1000;
	vp = s->vp = aligned_alloc(64, ALIGN_UP(sizeof(*vp), 64));
	memset(vp, 0, sizeof(*vp));
	trace_hub_init(&s->hub);
	trace_ctx_init(&s->trace, &s->hub, NULL, 0, 1, NULL, NULL);
	vp->mem = s->mem;
	vp->features = &features;
	vp->ops = &ops;
	vp->trace = vp->tlb.trace = &s->trace;
	assert_int_equal(vtlb_vp_init(s->vtlb, &vp->tlb, 0), 0);
	assert_int_equal(engine_vp_init(vp, 2 * MIB), 0);
	engine_reset(vp, false);
	for (u64 o = 0; o < CODE_BYTES; o += PAGE_SIZE)
		map_page(s, CODE + o, gpa_code + o);
	for (u64 o = 0; o < DATA_BYTES; o += PAGE_SIZE)
		map_page(s, DATA + o, GPA_DATA + o);
	if (large)
		map_large(s, DATA, GPA_DATA);
	vp->cpu.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	vp->cpu.cr3 = GPA_TABLES;
	vp->cpu.cr4 = CR4_PAE;
	vp->cpu.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	vp->ctl.exception_bitmap = ~0u;
}

static void destroy(struct side *s)
{
	jit_detach(s->vp);
	engine_vp_fini(s->vp);
	vtlb_vp_fini(&s->vp->tlb);
	vtlb_destroy(s->vtlb);
	mem_destroy(s->mem);
	free(s->vp);
}

/* ---- comparison ---- */

static void load(struct side *s, const struct program *p, const u64 *gpr, u64 rflags,
		 const u8 *data)
{
	struct vp *vp = s->vp;

	mem_write(s->mem, gpa_code, p->code, sizeof(p->code));
	mem_write(s->mem, GPA_DATA, data, DATA_BYTES);
	memcpy(vp->cpu.gpr, gpr, 16 * sizeof(u64));
	vp->cpu.rflags = rflags;
	vp_vec_park(vp);
	vec_reset(vp);
	nm_store16(vp->cpu.vec, 0x37f);
	vp->cpu.rip = CODE + p->starts[0];
	vp->cpu.activity = ACTIVITY_ACTIVE;
	for (u32 i = SEG_ES; i <= SEG_GS; i++)
		vp->cpu.seg[i] = (struct seg){.sel = 0x2b, .ar = 0xc0f3, .limit = ~0u};
	vp->cpu.seg[SEG_CS] =
		(struct seg){.sel = 0x33, .ar = p->code64 ? 0xa0fb : 0xc0fb, .limit = ~0u};
	engine_state_changed(vp);
}

/* Parked; the pointers in the image are not the guest's. */
static bool same_x87(const struct vp *x, const struct vp *y)
{
	const u8 *a = x->cpu.vec, *b = y->cpu.vec;
	bool same = !memcmp(a, b, 5) && x->fpu_ip == y->fpu_ip && x->fpu_dp == y->fpu_dp &&
		    x->fpu_op == y->fpu_op;

	for (u32 i = 32; i < 160; i += 16)
		same &= !memcmp(a + i, b + i, 10);
	return same;
}

static bool same(struct side *a, struct side *b)
{
	const struct vp *x = a->vp, *y = b->vp;

	return same_x87(x, y) && !memcmp(x->cpu.gpr, y->cpu.gpr, 16 * sizeof(u64)) &&
	       x->cpu.rip == y->cpu.rip && x->cpu.rflags == y->cpu.rflags && x->insns == y->insns;
}

static bool same_memory(struct side *a, struct side *b)
{
	return !memcmp(mem_ram_hva(a->mem, GPA_DATA, DATA_BYTES),
		       mem_ram_hva(b->mem, GPA_DATA, DATA_BYTES), DATA_BYTES) &&
	       !memcmp(mem_ram_hva(a->mem, gpa_code, CODE_BYTES),
		       mem_ram_hva(b->mem, gpa_code, CODE_BYTES), CODE_BYTES);
}

static void show(const struct program *p, const struct side *a, const struct side *b)
{
	const struct vp *x = a->vp, *y = b->vp;

	printf("differ (%s): rip %#llx/%#llx insns %llu/%llu flags %#llx/%#llx\n",
	       p->code64 ? "64" : "32", (unsigned long long)x->cpu.rip,
	       (unsigned long long)y->cpu.rip, (unsigned long long)x->insns,
	       (unsigned long long)y->insns, (unsigned long long)x->cpu.rflags,
	       (unsigned long long)y->cpu.rflags);
	for (u32 i = 0; i < 16; i++)
		if (x->cpu.gpr[i] != y->cpu.gpr[i])
			printf("  gpr%u %#llx/%#llx\n", i, (unsigned long long)x->cpu.gpr[i],
			       (unsigned long long)y->cpu.gpr[i]);
	printf("  code at %#x:", p->starts[0]);
	for (u32 i = p->starts[0]; i < p->len; i++)
		printf(" %02x", p->code[i]);
	printf("\n");
}

static u64 address(void)
{
	return rnd(4) ? DATA + 0x200 + rnd(0x900)
		      : DATA + 0x1000 - rnd(200) + (rnd(3) ? 0 : 0x1000);
}

/* Code that was written over may be a vector instruction: that state is the other one's, too. */
static enum engine_stop run(struct vp *vp, u64 until)
{
	enum engine_stop why = engine_run(vp, until);

	vp_vec_park(vp);
	return why;
}

/* ---- pages that come and go ---- */

static bool pages_move; /* and the interpreter stops after each instruction */

static void set_present(struct side *s, u64 gva, u64 gpa, bool present)
{
	*pte(s, gva) = present ? gpa | 0x67 : 0;
	vtlb_invlpg(&s->vp->tlb, gva);
}

static void set_pages(struct side *s, bool code, bool data)
{
	set_present(s, CODE + PAGE_SIZE, gpa_code + PAGE_SIZE, code);
	set_present(s, DATA + PAGE_SIZE, GPA_DATA + PAGE_SIZE, data);
}

static void move_pages(struct side *a, struct side *b, bool all_present)
{
	bool code = all_present || rnd(2), data = all_present || rnd(3);

	set_pages(a, code, data);
	set_pages(b, code, data);
}

static enum engine_stop run_steps(struct vp *vp, u64 until)
{
	enum engine_stop why;

	do
		why = run(vp, vp->insns + 1);
	while (why == ENGINE_STOP_COUNT && vp->insns < until);
	return why;
}

/* ---- everything compared while it runs (--engine check) ---- */

static u32 n_reports;
static char report[8192];

static void differs(struct vp *vp, u64 rip, const char *text)
{
	(void)vp;
	n_reports++;
	snprintf(report, sizeof(report), "%#llx\n%s", (unsigned long long)rip, text);
}

/* Both run to their end or RUN_INSNS; they stop at the same random counts. */
static bool one_case(struct side *interp, struct side *jit, bool code64)
{
	static struct program p;
	u8 data[DATA_BYTES];
	u64 gpr[16], flags = 0x202 | (rng_next(&seed) & RFLAGS_ARITH), start;
	u32 faults = 0;

	program_generate(&p, code64, &seed, code_writable);
	for (u32 i = 0; i < DATA_BYTES; i += 8)
		nm_store64(data + i, rng_next(&seed));
	for (u32 i = 0; i < 16; i++)
		gpr[i] = rnd(3) ? rng_next(&seed) : rnd(256);
	gpr[RBX] = address();
	gpr[RBP] = address();
	gpr[RSI] = address();
	gpr[RDI] = address();
	gpr[RSP] = DATA + 0x1800;
	gpr[RCX] = rnd(60);
	load(interp, &p, gpr, flags, data);
	load(jit, &p, gpr, flags, data);
	start = interp->vp->insns;
	while (interp->vp->insns < start + RUN_INSNS) {
		u64 until = interp->vp->insns + 1 + rnd(rnd(3) ? 400 : 12);
		enum engine_stop a, b;

		if (pages_move && rnd(3) == 0)
			move_pages(interp, jit, false);
		a = pages_move ? run_steps(interp->vp, until) : run(interp->vp, until);

		if (rnd(3) == 0) /* every access misses once */
			softtlb_flush(jit->vp);
		b = run(jit->vp, until);

		if (a != b || !same(interp, jit) || !same_memory(interp, jit)) {
			show(&p, interp, jit);
			return false;
		}
		if (a == ENGINE_STOP_EXIT) {
			assert_int_equal(interp->vp->exit.reason, jit->vp->exit.reason);
			assert_int_equal(interp->vp->exit.intr_info, jit->vp->exit.intr_info);
			assert_int_equal(interp->vp->exit.qualification,
					 jit->vp->exit.qualification);
			if (!pages_move || (interp->vp->exit.intr_info & 0xff) != VECTOR_PF ||
			    ++faults > FAULTS)
				break;
			move_pages(interp, jit, true);
		}
	}
	return true;
}

/* What this host has. */
static void set_features(void)
{
	__builtin_cpu_init();
	features.has_popcnt = __builtin_cpu_supports("popcnt");
	features.has_bmi1 = features.has_lzcnt = __builtin_cpu_supports("bmi");
	features.has_bmi2 = __builtin_cpu_supports("bmi2");
}

static struct side interp, jit;

static struct jit_stats stats_of(const struct vp *vp)
{
	struct jit_stats s;

	jit_get_stats(vp, &s);
	return s;
}

/* The test is skipped where there is no translator. */
static void attach(const struct jit_config *cfg)
{
	int err;

	jit_detach(jit.vp);
	err = jit_attach(jit.vp, cfg);
	if (err == -ENOTSUP) {
		print_message("skip: no translator in this build\n");
		skip();
	}
	assert_int_equal(err, 0);
}

static void run_cases(const struct jit_config *cfg, u32 cases, const char *what)
{
	u32 bad = 0;
	u64 translated;

	assert_int_equal(vec_init(), 0); /* after cmocka's own signal handlers */
	attach(cfg);
	for (u32 i = 0; i < cases && bad < 5; i++)
		bad += !one_case(&interp, &jit, i & 1);
	translated = stats_of(jit.vp).translated;
	printf("%s: %u programs, %llu blocks translated, %llu parts retired, %u differ\n", what,
	       cases, (unsigned long long)translated, (unsigned long long)stats_of(jit.vp).retired,
	       bad);
	assert_int_equal(bad, 0);
	assert_true(translated > 0 || cfg->heat == ~0u);
}

static u32 cases(void)
{
	const char *s = getenv("NESTOR_CASES");

	return s ? (u32)atoi(s) : getenv("NESTOR_LONG") ? CASES_DEFAULT * 20 : CASES_DEFAULT;
}

static void both_agree(void **state)
{
	(void)state;
	run_cases(&(struct jit_config){.heat = 1}, cases(), "all translated");
	run_cases(&(struct jit_config){.heat = 4}, cases(), "when warm");
	/* the operation caches were filled more than once */
	assert_true(cases() < 1000 || (interp.vp->n_blocks_retired && jit.vp->n_blocks_retired));
}

static void tiny_arena_is_emptied(void **state)
{
	(void)state;
	run_cases(&(struct jit_config){.heat = 1, .arena_bytes = PAGE_SIZE}, cases() / 2,
		  "tiny arena");
	assert_true(stats_of(jit.vp).retired > 0);
}

static void pages_come_and_go(void **state)
{
	(void)state;
	pages_move = true;
	run_cases(&(struct jit_config){.heat = 1}, cases(), "moving pages");
	run_cases(&(struct jit_config){.heat = ~0u}, cases(), "moving pages, none translated");
	pages_move = false;
	move_pages(&interp, &jit, true);
}

/* Code that jumps straight to another page, which INVLPG then tells to be another frame. */
static void target_page_is_mapped_anew(void **state)
{
	/* mov ecx, 200; 1: call CODE + 0x1000; dec ecx; jnz 1b; hlt */
	static const u8 caller[] = {0xb9, 200, 0,    0,	   0,	 0xe8, 0xf6, 0x0e,
				    0,	  0,   0xff, 0xc9, 0x75, 0xf7, 0xf4};
	static const u8 one[] = {0x83, 0xc0, 1, 0xc3},
			two[] = {0x83, 0xc0, 2, 0xc3}; /* add eax, n; ret */
	struct program p = {.len = 0x100, .code64 = true, .starts = {0x100}, .n = 1};
	u64 gpr[16] = {[RSP] = DATA + 0x1800}, other = 0x180000;
	u8 data[DATA_BYTES] = {0};

	(void)state;
	attach(&(struct jit_config){.heat = 2});
	memcpy(p.code + 0x100, caller, sizeof(caller));
	memcpy(p.code + 0x1000, one, sizeof(one));
	mem_write(jit.mem, other, two, sizeof(two));
	for (u32 i = 0; i < 6; i++) {
		bool second = i & 1;

		load(&jit, &p, gpr, 0x202, data);
		map_page(&jit, CODE + 0x1000, second ? other : gpa_code + 0x1000);
		vtlb_invlpg(&jit.vp->tlb, CODE + 0x1000);
		engine_run(jit.vp, jit.vp->insns + RUN_INSNS);
		assert_int_equal(jit.vp->cpu.gpr[RAX], second ? 400 : 200);
	}
	map_page(&jit, CODE + 0x1000, gpa_code + 0x1000);
	vtlb_invlpg(&jit.vp->tlb, CODE + 0x1000);
}

/* Data in a large page of which translated code remembers parts; the code lies in it, too. */
static void large_page(void **state)
{
	(void)state;
	gpa_code = GPA_DATA + CODE_ALIAS;
	code_writable = DATA + CODE_ALIAS;
	destroy(&interp);
	destroy(&jit);
	interp = jit = (struct side){0};
	create(&interp, true);
	create(&jit, true);
	run_cases(&(struct jit_config){.heat = 1}, cases(), "large page");
	run_cases(&(struct jit_config){.heat = 3}, cases() / 2, "large page, when warm");
}

static void groups_can_be_switched_off(void **state)
{
	(void)state;
	for (u32 g = 0; g < JIT_GROUPS; g++)
		run_cases(&(struct jit_config){.heat = 1, .off = 1u << g}, cases() / 20 + 1,
			  "a group off");
}

/* The check agrees with a right translator, and leaves the same state as without it. */
static void check_finds_nothing(void **state)
{
	struct jit_checked c;

	(void)state;
	n_reports = 0;
	run_cases(&(struct jit_config){.heat = 1, .differs = differs}, cases() / 3, "checked");
	if (n_reports)
		printf("%s", report);
	assert_int_equal(n_reports, 0);
	jit_get_checked(jit.vp, &c);
	printf("%llu stretches, %llu instructions, %llu alone\n", (unsigned long long)c.stretches,
	       (unsigned long long)c.insns, (unsigned long long)c.alone);
	assert_true(c.stretches > cases() / 3 && c.insns > c.alone);
	run_cases(&(struct jit_config){.heat = 1, .differs = differs, .arena_bytes = PAGE_SIZE},
		  cases() / 6, "checked, tiny arena");
	assert_int_equal(n_reports, 0);
}

/* The comparison's outcome changes on the way and is added up: what the host's flags are without it
 * does not give the same sum. */
static const u8 lossy_code[] = {
	0x48, 0x01, 0xc8,	/* 1: add rax, rcx */
	0x89, 0x06,		/* mov [rsi], eax */
	0x80, 0xf9, 0x14,	/* cmp cl, 20 */
	0x48, 0x83, 0xd2, 0x00, /* adc rdx, 0 */
	0x48, 0xff, 0xc9,	/* dec rcx */
	0x75, 0xef,		/* jnz 1b */
	0xf4,
};

/* By itself: where vector state does not stay in the host's registers (VEC_PARKS), handlers do what
 * comes behind in a block. */
static const u8 lossy_vec_code[] = {
	0x48, 0x01, 0xc8,	/* 1: add rax, rcx */
	0x66, 0x0f, 0xfe, 0xc1, /* paddd xmm0, xmm1 */
	0x66, 0x0f, 0x6f, 0xc8, /* movdqa xmm1, xmm0 */
	0x48, 0xff, 0xc9,	/* dec rcx */
	0x75, 0xf0,		/* jnz 1b */
	0xf4,
};

/* The loop, or what is behind the store: the first of those is done alone, and what comes then is a
 * block, too. */
static bool names_block(void)
{
	return (strstr(report, "0x20000200") || strstr(report, "0x20000205")) &&
	       strstr(report, "dec rcx");
}

/* A translator that leaves operations out is found, and it is said what it left out. */
static void check_finds(u32 lose, const char *what)
{
	struct program p = {.code64 = true, .len = 0x200, .starts = {0x200}, .n = 1};
	const struct jit_config cfg = {.heat = 2, .differs = differs, .lose = lose};
	u64 gpr[16] = {[RCX] = 40, [RSI] = DATA + 0x100, [RSP] = DATA + 0x1800};
	u8 data[DATA_BYTES] = {1};

	if (lose == JIT_LOSE_VEC)
		memcpy(p.code + p.len, lossy_vec_code, sizeof(lossy_vec_code));
	else
		memcpy(p.code + p.len, lossy_code, sizeof(lossy_code));
	n_reports = 0;
	report[0] = 0;
	jit_detach(jit.vp);
	assert_int_equal(jit_attach(jit.vp, &cfg), 0);
	load(&interp, &p, gpr, 2, data);
	load(&jit, &p, gpr, 2, data);
	for (struct side *s = &interp; s; s = s == &interp ? &jit : NULL) {
		struct vp *vp = s->vp;

		vp->cpu.cr4 |= CR4_OSFXSR;
		vp_vec_park(vp);
		vec_reset(vp);
		memset(vp->cpu.vec + 160, 1, 32);
		nm_store64(vp->cpu.vec + 512, 3);
		engine_state_changed(vp);
		/* the first to find it goes on right */
		assert_int_equal(run(vp, vp->insns + 1000), ENGINE_STOP_EXIT);
	}
	jit.vp->insns = interp.vp->insns;
	if (n_reports != 1 || !strstr(report, what) || !names_block())
		printf("lose %u, expected %s, %u reports: %s", lose, what, n_reports, report);
	assert_int_equal(n_reports, 1);
	assert_non_null(strstr(report, what));
	assert_true(names_block());
}

static void check_finds_errors(void **state)
{
	(void)state;
	run_cases(&(struct jit_config){.heat = 1}, 1,
		  "before"); /* skips where there is no translator */
	check_finds(JIT_LOSE_ALU, "rax");
	check_finds(JIT_LOSE_CMP, "rdx");
	check_finds(JIT_LOSE_STORE, "memory at physical 0x200100");
	check_finds(JIT_LOSE_VEC, "xmm0+0");
	check_finds(JIT_LOSE_JCC, "rip");
	check_finds(JIT_LOSE_COUNT, "rip"); /* one instruction too few */
}

static void group_names(void **state)
{
	u32 off;

	(void)state;
	assert_null(jit_parse_groups("mov,chain", &off));
	assert_int_equal(off, 1u << JIT_GROUP_MOV | 1u << JIT_GROUP_CHAIN);
	assert_string_equal(jit_parse_groups("alu,nothing", &off), "nothing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(both_agree),
					   cmocka_unit_test(pages_come_and_go),
					   cmocka_unit_test(tiny_arena_is_emptied),
					   cmocka_unit_test(check_finds_nothing),
					   cmocka_unit_test(check_finds_errors),
					   cmocka_unit_test(groups_can_be_switched_off),
					   cmocka_unit_test(group_names),
					   cmocka_unit_test(target_page_is_mapped_anew),
					   cmocka_unit_test(large_page)};

	seed = getenv("NESTOR_SEED") ? strtoull(getenv("NESTOR_SEED"), NULL, 0) : 20261121;
	printf("seed %llu\n", (unsigned long long)seed);
	set_features();
	create(&interp, false);
	create(&jit, false);
	int failed = cmocka_run_group_tests_name("jit", tests, NULL, NULL);

	destroy(&interp);
	destroy(&jit);
	return failed;
}
