/*
 * Several virtual processors of one machine on threads of their own share translated code: each
 * runs the same functions in another order and comes to the results that the interpreter had alone.
 * In an arena with room for all, and in one so small that regions are retired all the time, with a
 * processor among them that no thread runs; meanwhile another thread writes to the code what is
 * there already. The seed is printed; NESTOR_SEED.
 */
#include <errno.h>
#include <pthread.h>
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
#include "l0/engine/vec.h"
#include "l0/jit/jit.h"
#include "l0/mem/mem.h"
#include "trace/transition.h"

#define VPS 5u /* the first is interpreted, the last never run */
#define FUNCTIONS 256u
#define FUNCTION_BYTES 0x100u
#define CODE 0x20000000ull
#define DATA 0x10000000ull
#define DATA_BYTES 0x1000u
#define GPA_CODE 0x400000u
#define GPA_DATA 0x200000u   /* a page for each */
#define GPA_TABLES 0x100000u /* 64 KiB for each */
#define ROUNDS 6u

struct processor {
	struct vp *vp;
	struct trace_ctx trace;
	u32 index, wrong;
	pthread_t thread;
};

static struct mem *mem;
static struct vtlb *vtlb;
static struct trace_hub hub;
static struct processor cpu[VPS];
static u64 expected[FUNCTIONS], seed;
static u8 code[FUNCTIONS * FUNCTION_BYTES];
static _Atomic u32 running;
static const struct cpu_features features = {.cr4_valid = ~0ull,
					     .efer_valid = ~0ull,
					     .maxphyaddr = 40,
					     .linaddr_bits = 48,
					     .has_cx16 = true};

static u64 no_tsc(struct vp *v)
{
	return v->insns;
}

static const struct vp_ops ops = {.tsc = no_tsc};

/* ---- functions ---- */

static u32 put(u32 at, u64 v, u32 bytes)
{
	for (u32 i = 0; i < bytes; i++)
		code[at + i] = (u8)(v >> 8 * i);
	return at + bytes;
}

static u32 rnd(u32 n)
{
	return (u32)(rng_next(&seed) % n);
}

/* On RAX, RDX, R8 … R11 and memory at RBX. */
static u32 put_operation(u32 at)
{
	static const u8 alu[] = {0x01, 0x03, 0x09, 0x0b, 0x21, 0x23, 0x29,
				 0x2b, 0x31, 0x33, 0x39, 0x89, 0x8b};
	static const u8 regs[] = {0, 2, 8, 9, 10, 11};
	u32 reg = regs[rnd(6)], rm = regs[rnd(6)], opc = alu[rnd(ARRAY_SIZE(alu))];

	if (rnd(2))
		rm = 3;
	at = put(at, 0x48 | (reg > 7) << 2 | (rm > 7), 1);
	at = put(at, opc, 1);
	at = put(at, (rm == 3 ? 0x40 : 0xc0) | (reg & 7) << 3 | (rm & 7), 1);
	return rm == 3 ? put(at, rnd(120), 1) : at;
}

static u32 put_call(u32 at, u32 function)
{
	return put(put(at, 0xe8, 1), function * FUNCTION_BYTES - (at + 5), 4);
}

/* A loop; some call the next function in it. The last bytes of each place call it and stop. */
static void make_function(u32 i)
{
	u32 at = i * FUNCTION_BYTES, top;

	at = put(at, 0xb951, 2); /* push rcx; mov ecx, … */
	at = put(at, 1 + rnd(5), 4);
	top = at;
	for (u32 n = 2 + rnd(20); n; n--)
		at = put_operation(at);
	if (i % 8 < 3)
		at = put_call(at, i + 1);
	at = put(at, 0xc9ff48, 3); /* dec rcx; jnz top */
	at = put(at, 0x850f, 2);
	at = put(at, top - (at + 4), 4);
	put(at, 0xc359, 2); /* pop rcx; ret */
	put(put_call((i + 1) * FUNCTION_BYTES - 8, i), 0xf4, 1);
}

/* ---- processors ---- */

static void map_page(u32 index, u64 gva, u64 gpa)
{
	u64 *ram = (u64 *)mem_ram_base(mem), root = GPA_TABLES + index * 0x10000u, table = root,
	    *next = &ram[(root + 0xff00) / 8];

	*next = *next ? *next : root + 0x1000;
	for (int shift = 39; shift > 12; shift -= 9) {
		u64 *e = &ram[table / 8 + (gva >> shift & 511)];

		if (!*e) {
			*e = *next | 7;
			*next += 0x1000;
		}
		table = *e & ~0xfffull;
	}
	ram[table / 8 + (gva >> 12 & 511)] = gpa | 0x67;
}

static void create_vp(u32 i)
{
	struct vp *vp = cpu[i].vp = aligned_alloc(64, ALIGN_UP(sizeof(*vp), 64));

	memset(vp, 0, sizeof(*vp));
	trace_ctx_init(&cpu[i].trace, &hub, NULL, i, 1, NULL, NULL);
	cpu[i].index = i;
	vp->mem = mem;
	vp->features = &features;
	vp->ops = &ops;
	vp->trace = vp->tlb.trace = &cpu[i].trace;
	assert_int_equal(vtlb_vp_init(vtlb, &vp->tlb, i), 0);
	vtlb_offline(&vp->tlb);
	assert_int_equal(engine_vp_init(vp, 2 * MIB), 0);
	engine_reset(vp, false);
	for (u64 o = 0; o < sizeof(code); o += PAGE_SIZE)
		map_page(i, CODE + o, GPA_CODE + o);
	map_page(i, DATA, GPA_DATA + i * DATA_BYTES);
	vp->cpu.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	vp->cpu.cr3 = GPA_TABLES + i * 0x10000u;
	vp->cpu.cr4 = CR4_PAE;
	vp->cpu.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	vp->ctl.exception_bitmap = ~0u;
}

/* Run function @f; return what came of it. */
static u64 run(struct processor *c, u32 f, u64 *rng)
{
	u64 *data = (u64 *)mem_ram_hva(mem, GPA_DATA + c->index * DATA_BYTES, DATA_BYTES), h = f;
	struct vp *vp = c->vp;
	enum engine_stop why;

	for (u32 i = 0; i < DATA_BYTES / 8; i++)
		data[i] = i * 0x9e3779b97f4a7c15ull + f;
	for (u32 i = 0; i < 16; i++)
		vp->cpu.gpr[i] = i * f;
	vp->cpu.gpr[RBX] = DATA;
	vp->cpu.gpr[RSP] = DATA + 0x800;
	vp->cpu.rflags = 2;
	vp->cpu.rip = CODE + (f + 1) * FUNCTION_BYTES - 8;
	vp->cpu.activity = ACTIVITY_ACTIVE;
	for (u32 i = SEG_ES; i <= SEG_GS; i++)
		vp->cpu.seg[i] = (struct seg){.sel = 0x2b, .ar = 0xc0f3, .limit = ~0u};
	vp->cpu.seg[SEG_CS] = (struct seg){.sel = 0x33, .ar = 0xa0fb, .limit = ~0u};
	engine_state_changed(vp);
	do {
		why = engine_run(vp, vp->insns + 1 + rng_next(rng) % 5000);
		vp_vec_park(vp);
	} while (why != ENGINE_STOP_EXIT);
	for (u32 i = 0; i < 16; i++)
		h = hash_combine(h, vp->cpu.gpr[i]);
	for (u32 i = 0; i < DATA_BYTES / 8; i++)
		h = hash_combine(h, data[i]);
	return hash_combine(hash_combine(h, vp->cpu.rip), vp->cpu.rflags);
}

static void *run_all(void *arg)
{
	struct processor *c = arg;
	u64 rng = seed + c->index;

	for (u32 round = 0; round < ROUNDS; round++) {
		vtlb_online(&c->vp->tlb);
		for (u32 i = 0; i < FUNCTIONS; i++) {
			u32 f = (i * (2 * c->index + 1) + round * 37) % FUNCTIONS;

			if (f % FUNCTIONS != FUNCTIONS - 1)
				c->wrong += run(c, f, &rng) != expected[f];
		}
		vtlb_offline(&c->vp->tlb);
	}
	__atomic_fetch_sub((u32 *)&running, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static struct jit_stats sum(void)
{
	struct jit_stats all = {0}, s;

	for (u32 i = 1; i < VPS; i++) {
		jit_get_stats(cpu[i].vp, &s);
		all.translated += s.translated;
		all.taken_over += s.taken_over;
		all.retired += s.retired;
	}
	return all;
}

static void attach_all(u64 bytes)
{
	struct jit_config cfg = {.heat = 3, .arena_bytes = bytes};

	for (u32 i = 1; i < VPS; i++)
		jit_detach(cpu[i].vp);
	for (u32 i = 1; i < VPS; i++) {
		int err = jit_attach(cpu[i].vp, &cfg);

		if (err == -ENOTSUP) {
			print_message("skip: no translator in this build\n");
			skip();
		}
		assert_int_equal(err, 0);
		cfg.with = cpu[1].vp;
	}
}

/* Processors @first to @last at the same time. */
static struct jit_stats run_threads(u32 first, u32 last)
{
	struct jit_stats s;
	u64 rng = seed;
	u32 wrong = 0;

	running = last - first + 1;
	for (u32 i = first; i <= last; i++)
		assert_int_equal(pthread_create(&cpu[i].thread, NULL, run_all, &cpu[i]), 0);
	while (__atomic_load_n((u32 *)&running, __ATOMIC_SEQ_CST)) {
		u32 at = (u32)(rng_next(&rng) % sizeof(code));

		mem_write(mem, GPA_CODE + at, code + at, 1);
		for (u32 i = 0; i < 20000; i++)
			__builtin_ia32_pause();
	}
	for (u32 i = first; i <= last; i++) {
		pthread_join(cpu[i].thread, NULL);
		wrong += cpu[i].wrong;
	}
	s = sum();
	printf("%u threads: %llu blocks translated, %llu taken over, %llu regions given up, %u "
	       "results wrong\n",
	       last - first + 1, (unsigned long long)s.translated, (unsigned long long)s.taken_over,
	       (unsigned long long)s.retired, wrong);
	assert_int_equal(wrong, 0);
	return s;
}

/* One after the other, since how much each finds depends on when it looks. */
static void code_is_shared(void **state)
{
	struct jit_stats one, all;

	(void)state;
	attach_all(0);
	one = run_threads(1, 1);
	run_threads(2, 2);
	all = run_threads(3, 3);
	assert_true(all.translated <= one.translated * 11 / 10);
	assert_true(all.taken_over >= one.translated * 3 / 2);
	assert_int_equal(all.retired, 0);
}

static void all_at_once(void **state)
{
	(void)state;
	attach_all(0);
	assert_true(run_threads(1, VPS - 2).taken_over > 0);
}

static void regions_are_retired(void **state)
{
	(void)state;
	for (u32 n = 1; n <= VPS - 2; n++) {
		attach_all(PAGE_SIZE);
		assert_true(run_threads(1, n).retired > 2);
	}
	attach_all(300 * KIB);
	assert_true(run_threads(1, VPS - 2).retired > 2);
}

/* Processor 1 runs all functions; return how many blocks it has translated. */
static u64 all_on_the_first(void)
{
	struct jit_stats s;
	u64 rng = seed;

	for (u32 f = 0; f < FUNCTIONS - 1; f++)
		assert_int_equal(run(&cpu[1], f, &rng), expected[f]);
	jit_get_stats(cpu[1].vp, &s);
	return s.translated;
}

/* A processor that stands still in the middle of something, as far as others know, is waited for
 * before its code is written over. */
static void slow_one_is_waited_for(void **state)
{
	u64 rng = seed, n;

	(void)state;
	attach_all(PAGE_SIZE);
	vtlb_online(&cpu[1].vp->tlb);
	vtlb_online(&cpu[2].vp->tlb);
	for (u32 f = 0; f < 8; f++)
		assert_int_equal(run(&cpu[2], f, &rng), expected[f]);
	n = all_on_the_first();
	assert_int_equal(all_on_the_first(), n);
	for (u32 f = 0; f < 8; f++) /* it goes on */
		assert_int_equal(run(&cpu[2], f, &rng), expected[f]);
	assert_true(all_on_the_first() > n);
	n = all_on_the_first();
	assert_int_equal(all_on_the_first(), n);
	vtlb_offline(&cpu[2].vp->tlb); /* it is nowhere */
	assert_true(all_on_the_first() > n);
	vtlb_offline(&cpu[1].vp->tlb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_is_shared), cmocka_unit_test(all_at_once),
		cmocka_unit_test(regions_are_retired), cmocka_unit_test(slow_one_is_waited_for)};
	struct vtlb_config cfg = {.max_bytes = MIB, .max_vps = VPS, .maxphyaddr = 40};
	u64 rng;
	int err;

	seed = getenv("NESTOR_SEED") ? strtoull(getenv("NESTOR_SEED"), NULL, 0) : 20261121;
	printf("seed %llu\n", (unsigned long long)seed);
	mem = mem_create(8 * MIB, &err);
	vtlb = vtlb_create(mem, &cfg, &err);
	trace_hub_init(&hub);
	for (u32 i = 0; i < FUNCTIONS; i++)
		make_function(i);
	mem_write(mem, GPA_CODE, code, sizeof(code));
	for (u32 i = 0; i < VPS; i++)
		create_vp(i);
	rng = seed;
	vtlb_online(&cpu[0].vp->tlb);
	for (u32 f = 0; f < FUNCTIONS - 1; f++)
		expected[f] = run(&cpu[0], f, &rng);
	vtlb_offline(&cpu[0].vp->tlb);
	if (vec_init())
		return 1;
	int failed = cmocka_run_group_tests_name("jit_threads", tests, NULL, NULL);

	for (u32 i = 0; i < VPS; i++) {
		jit_detach(cpu[i].vp);
		engine_vp_fini(cpu[i].vp);
		vtlb_vp_fini(&cpu[i].vp->tlb);
		free(cpu[i].vp);
	}
	vtlb_destroy(vtlb);
	mem_destroy(mem);
	return failed;
}
