/*
 * The short ways of quick.c against the general ones: random transfers of 64-bit code over damaged
 * tables, first with attention and an empty soft TLB, where the general way does it all, then again
 * from the same state with what that run left in the soft TLB. State, memory and reason to stop
 * must be the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "l0/base/hash.h"
#include "l0/engine/softtlb.h"
#include "tests/unit/engine_sys_fixture.h"

#ifdef __SANITIZE_THREAD__ /* fifty times slower */
#define ROUNDS 2000u
#else
#define ROUNDS 60000u
#endif
#define RAM 0x40000u
#define AT_TABLES AT_PML4 /* accessed and dirty bits are set once only */
#define TABLES_END 0x8000u

static u64 rng;

static u64 rnd(void)
{
	return rng_next(&rng);
}

static u32 below(u32 n)
{
	return (u32)(rnd() % n);
}

static bool one_in(u32 n)
{
	return below(n) == 0;
}

/* The last one faults: its handler is entered. */
static const struct {
	u8 len, bytes[4];
} insns[] = {
	{2, {0xcd, 0x30}},	 {2, {0x48, 0xcf}}, {2, {0x0f, 0x05}}, {3, {0x48, 0x0f, 0x07}},
	{3, {0x0f, 0x01, 0xf8}}, {2, {0x0f, 0x07}}, {1, {0xcf}},       {1, {0xcc}},
	{3, {0x48, 0x8b, 0x06}},
};

/* What may come before it: flags, shadows, reads of system registers. */
static const struct {
	u8 len, bytes[3];
} before[] = {
	{0},
	{0},
	{1, {0xfb}},
	{1, {0xfa}},
	{2, {0x8e, 0xd0}},
	{1, {0x9c}},
	{1, {0x9d}},
	{2, {0x0f, 0x31}},
	{3, {0x0f, 0x20, 0xd0}},
	{3, {0x0f, 0x21, 0xf8}},
	{2, {0x8c, 0xda}},
	{3, {0x0f, 0x01, 0xca}},
	{3, {0x0f, 0x01, 0xcb}},
	{2, {0xf3, 0x90}},
	{2, {0x0f, 0x32}},
};

static u16 selector(void)
{
	static const u16 some[] = {S_CODE64,	 S_UCODE64,	 S_DATA32, S_UDATA32,
				   S_CODE32,	 S_CONFORMING64, S_RDONLY, 0,
				   S_CODE64 | 3, S_TSS,		 S_ABSENT, S_LDT | SEL_TI};

	return some[one_in(3) ? below(ARRAY_SIZE(some)) : below(4)];
}

static u64 flags(void)
{
	u64 f = RFLAGS_FIXED | (rnd() & (RFLAGS_ARITH | RFLAGS_IF | RFLAGS_DF));

	if (one_in(3))
		f |= rnd() & (RFLAGS_AC | RFLAGS_IOPL | RFLAGS_ID);
	if (one_in(8))
		f |= rnd() & (RFLAGS_TF | RFLAGS_NT | RFLAGS_RF);
	return f;
}

static u64 stack(bool user)
{
	u64 top = user ? STACK3 : STACK0;

	switch (below(16)) {
	case 0: return top + below(64);
	case 1: return top & PAGE_MASK;
	case 2: return 0x8000000000000000ull + below(32);
	case 3: return 0x8000000000ull; /* not mapped */
	default: return top - 64 - 8 * below(8);
	}
}

static u64 target(bool user)
{
	return one_in(12) ? rnd() : user ? AT_USER_CODE + 0x100 : AT_HANDLERS + 0x310;
}

static void damage(struct sysfix *f)
{
	struct cpu_state *c = &f->vp.cpu;
	u64 at;

	switch (below(10)) {
	case 0: c->idtr.limit = (u16)below(0x400); break;
	case 1: c->gdtr.limit = (u16)below(GDT_LIMIT); break;
	case 2: c->seg[SEG_TR].limit = below(0x68); break;
	case 3: sysfix_poke(f, AT_TSS + 4, rnd(), 8); break;
	case 4: sysfix_poke(f, AT_TSS + 36, rnd() & ~0xffffull, 8); break;
	case 5:
	case 6:
	case 7:
		at = AT_GDT + (selector() & 0xf8);
		sysfix_poke(f, at, sysfix_peek(f, at, 8) ^ 1ull << (40 + below(24)), 8);
		break;
	case 8:
		at = AT_IDT + 0x300;
		sysfix_poke(f, at, sysfix_peek(f, at, 8) ^ 1ull << (32 + below(32)), 8);
		break;
	default: c->efer &= ~(one_in(4) ? EFER_SCE : 0u);
	}
}

static void prepare(struct sysfix *f)
{
	struct vp *vp = &f->vp;
	struct cpu_state *c = &vp->cpu;
	u32 insn = below(ARRAY_SIZE(insns)), first = below(ARRAY_SIZE(before)),
	    n = before[first].len;
	bool user = one_in(2);
	u64 at = user ? AT_USER_CODE : AT_CODE, sp = stack(user);

	sysfix_reset(f);
	sysfix_long(f, at);
	if (user)
		sysfix_user(f, at);
	sysfix_bytes(f, at, before[first].bytes, n);
	sysfix_bytes(f, at + n, insns[insn].bytes, insns[insn].len);
	sysfix_poke(f, at + n + insns[insn].len, 0x9090909090909090ull, 8);
	sysfix_poke(f, AT_USER_CODE + 0x100, 0x9090909090909090ull, 8);
	sysfix_gate64(f, 0x30, one_in(6) ? selector() : S_CODE64, target(false), 14 + below(2),
		      one_in(3) ? 0 : 3, one_in(4));
	sysfix_gate64(f, VECTOR_PF, S_CODE64, AT_HANDLERS + 0x310, 14, 0, one_in(4));
	if (sp < RAM - 64) { /* what IRET pops */
		bool out = user || one_in(2);

		sysfix_poke(f, sp, target(out), 8);
		sysfix_poke(f, sp + 8, one_in(4) ? selector() : out ? S_UCODE64 : S_CODE64, 8);
		sysfix_poke(f, sp + 16, flags(), 8);
		sysfix_poke(f, sp + 24, stack(out), 8);
		sysfix_poke(f, sp + 32, one_in(4) ? selector() : out ? S_UDATA32 : S_DATA32, 8);
	}
	for (u32 r = 0; r < 16; r++)
		c->gpr[r] = rnd();
	c->gpr[RSP] = sp;
	c->gpr[RAX] = user ? S_UDATA32 : S_DATA32;
	c->gpr[RSI] = 0x8000000000ull;
	c->gpr[RCX] = target(true);
	c->gpr[11] = flags();
	c->star = (u64)S_CODE64 << 32 | (u64)(S_UCODE64 - 16) << 48;
	c->lstar = AT_HANDLERS + 0x310;
	c->fmask = rnd() & RFLAGS_DEFINED;
	c->kernel_gs_base = rnd() >> 20;
	c->rflags = flags();
	if (one_in(3))
		c->cr0 |= CR0_AM;
	if (one_in(3))
		c->cr4 |= CR4_SMAP;
	if (one_in(6))
		c->interruptibility = one_in(2) ? INTERRUPTIBILITY_NMI : INTERRUPTIBILITY_STI;
	if (one_in(2))
		damage(f);
	if (one_in(8))
		f->irq = 0x31;
}

struct outcome {
	struct cpu_state cpu;
	struct vmexit exit;
	enum engine_stop stop;
	u64 insns;
	u32 attn, mode, cpl, mmu_mode;
	u64 fs, gs;
	int irq;
	u8 ram[RAM];
};

/* @attn: VP_ATTN_TRACE without a tracer: attention, so no short way, and nothing else. */
static void run(struct sysfix *f, u32 n, u32 attn, struct outcome *o)
{
	struct vp *vp = &f->vp;

	memset(&vp->exit, 0, sizeof(vp->exit));
	engine_state_changed(vp);
	vp_request(vp, attn);
	if (f->irq >= 0)
		vp_request(vp, VP_ATTN_INTR);
	o->stop = sysfix_run(f, n);
	vp_vec_park(vp);
	o->cpu = vp->cpu;
	memset(o->cpu.seg, 0, sizeof(o->cpu.seg)); /* with what lies between the members */
	for (u32 i = 0; i < ARRAY_SIZE(o->cpu.seg); i++) {
		o->cpu.seg[i].sel = vp->cpu.seg[i].sel;
		o->cpu.seg[i].ar = vp->cpu.seg[i].ar;
		o->cpu.seg[i].limit = vp->cpu.seg[i].limit;
		o->cpu.seg[i].base = vp->cpu.seg[i].base;
	}
	o->exit = vp->exit;
	o->insns = vp->insns;
	o->attn = vp->attn & ~(VP_ATTN_TRACE | VP_ATTN_STEP); /* when it is looked at differs */
	o->mode = vp->mode;
	o->cpl = vp->cpl;
	o->mmu_mode = vp->mmu_mode;
	o->fs = vp->ea_base[SEG_FS];
	o->gs = vp->ea_base[SEG_GS];
	o->irq = f->irq;
	assert_int_equal(mem_read(f->mem, 0, o->ram, RAM), 0);
	memset(o->ram + AT_TABLES, 0, TABLES_END - AT_TABLES);
}

static void both_ways_agree(void **state)
{
	struct sysfix *f = sysfix_create();
	struct outcome *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	u8 *ram = malloc(RAM);
	const char *seed = getenv("NESTOR_SEED");
	u64 first = seed ? strtoull(seed, NULL, 0) : 1;

	print_message("# seed %llu\n", (unsigned long long)first);
	for (u32 i = 0; i < ROUNDS; i++) {
		struct cpu_state cpu;
		u32 n = 1 + below(5);
		int irq;

		rng = first * 0x10000000ull + i;
		prepare(f);
		cpu = f->vp.cpu;
		irq = f->irq;
		assert_int_equal(mem_read(f->mem, 0, ram, RAM), 0);
		softtlb_flush(&f->vp);
		run(f, n, VP_ATTN_TRACE, a);

		memset(&f->vp.ev, 0, sizeof(f->vp.ev));
		f->vp.cpu = cpu;
		f->vp.insns = 0;
		f->vp.attn = 0;
		f->vp.delivering = false;
		f->irq = irq;
		sysfix_bytes(f, 0, ram, AT_TABLES);
		sysfix_bytes(f, TABLES_END, ram + TABLES_END, RAM - TABLES_END);
		run(f, n, 0, b);
		if (memcmp(a, b, sizeof(*a))) {
			u32 at = 0;

			while (((u8 *)a)[at] == ((u8 *)b)[at])
				at++;
			print_error("seed %llu, round %u: differs at byte %u; rip %llx and %llx, "
				    "flags %llx and %llx\n",
				    (unsigned long long)first, i, at,
				    (unsigned long long)a->cpu.rip, (unsigned long long)b->cpu.rip,
				    (unsigned long long)a->cpu.rflags,
				    (unsigned long long)b->cpu.rflags);
			fail();
		}
	}
	free(ram);
	free(a);
	free(b);
	sysfix_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(both_ways_agree)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
