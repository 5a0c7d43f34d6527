/*
 * Random system code in random states under random controls: the engine must neither trip an
 * assertion, nor hang, nor leave the guest's memory (the sanitizer builds see that), and it must
 * do the same when the same seed runs again. Half of the code is random bytes, half comes from a
 * list of system instructions; tables, TSS and page tables are damaged here and there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "l0/arch/vmcs12.h"
#include "l0/base/bits.h"
#include "l0/base/hash.h"
#include "tests/unit/engine_sys_fixture.h"

static u64 rng;

static u64 rnd(void)
{
	return rng_next(&rng);
}
static u32 below(u32 n)
{
	return (u32)(rnd() % n);
}

static const char *const insns[] = {
	"\x0f\x22\xc0",
	"\x0f\x22\xd8",
	"\x0f\x22\xe0",
	"\x0f\x20\xc0",
	"\x0f\x23\xf8",
	"\x0f\x23\xc3",
	"\x0f\x21\xf0",
	"\x0f\x30",
	"\x0f\x32",
	"\x0f\x31",
	"\xf4",
	"\xfa",
	"\xfb",
	"\x9c",
	"\x9d",
	"\xcf",
	"\x48\xcf",
	"\xcb",
	"\xca\x08",
	"\xcc",
	"\xce",
	"\xf1",
	"\xcd\x80",
	"\xcd\x21",
	"\xcd\x0e",
	"\x8e\xd0",
	"\x8e\xd8",
	"\x8e\xe0",
	"\x8e\xc1",
	"\x0f\x00\xd0",
	"\x0f\x00\xd8",
	"\x0f\x00\xc0",
	"\x0f\x00\xe0",
	"\x0f\x01\x10",
	"\x0f\x01\x18",
	"\x0f\x01\x00",
	"\x0f\x01\xf0",
	"\x0f\x01\xe0",
	"\x0f\x06",
	"\x0f\x02\xc0",
	"\x0f\x03\xc0",
	"\x0f\x05",
	"\x0f\x07",
	"\x48\x0f\x07",
	"\x0f\x34",
	"\x0f\x35",
	"\x0f\x01\xf8",
	"\x0f\xa2",
	"\x0f\x09",
	"\x0f\x08",
	"\xf3\x6c",
	"\xf3\x6f",
	"\xe4\x21",
	"\xee",
	"\x0f\x01\xc1",
	"\x0f\x01\xc2",
	"\x0f\x78\xc8",
	"\x0f\x79\xc8",
	"\x0f\xc7\x30",
	"\x66\x0f\xc7\x30",
	"\x66\x0f\x38\x80\x08",
	"\x66\x0f\x38\x82\x08",
	"\x0f\xc7\xf0",
	"\xf3\x90",
	"\x0f\x01\xd0",
	"\x0f\x01\xd1",
	"\x0f\x01\x38",
	"\x0f\xa0",
	"\x0f\xa1",
	"\x16",
	"\x17",
	"\x0f\xb2\x00",
	"\xff\x18",
	"\xff\x28",
	"\x48\xff\x18",
	"\xf3\x0f\xae\xd0",
	"\x0f\x01\xca",
	"\x0f\x01\xcb",
	"\x0f\x01\xc8",
	"\x0f\x01\xc9",
	"\xf3\xa4",
	"\xf3\xab",
	"\x0f\x0b",
	"\x50",
	"\x58",
	"\xc3",
	"\xe8",
	"\xea",
	"\x9a",
};

static u64 address(void)
{
	static const u32 spots[] = {AT_GDT,	 AT_IDT, AT_TSS, AT_TSS2, AT_CODE, AT_DATA,
				    AT_HANDLERS, STACK0, STACK3, AT_PML4, AT_PD,   AT_USER_CODE};

	switch (below(8)) {
	case 0: return rnd();
	case 1: return rnd() >> below(64);
	case 2: return 8 * MIB - below(16);
	default: return spots[below(ARRAY_SIZE(spots))] + below(256);
	}
}

static u64 some_register(void)
{
	switch (below(4)) {
	case 0: return below(0x100); /* selectors, MSR and port numbers */
	case 1: return MSR_IA32_EFER + below(8);
	default: return address();
	}
}

static void random_code(struct sysfix *f, u64 at, u32 bytes)
{
	u8 code[4096];
	u32 n = 0;

	while (n < bytes) {
		if (below(2)) {
			const char *s = insns[below(ARRAY_SIZE(insns))];
			u32 len = (u32)strlen(s) + !strlen(s);

			for (u32 i = 0; i < len && n < bytes; i++)
				code[n++] = (u8)s[i];
		} else {
			code[n++] = (u8)rnd();
		}
	}
	sysfix_bytes(f, at, code, bytes);
}

static void random_tables(struct sysfix *f)
{
	static const u32 tables[] = {AT_GDT,   AT_IDT,	AT_TSS,	 AT_TSS2,
				     AT_TSS16, AT_PML4, AT_PDPT, AT_PD};

	for (u32 i = below(8); i; i--)
		sysfix_poke(f, tables[below(ARRAY_SIZE(tables))] + below(512), rnd() & 0xff, 1);
	for (u32 i = below(4); i; i--) /* task and call gates, 16-bit gates */
		sysfix_poke(f, AT_IDT + below(256) * 8 + 5, 0x80 | below(0x80), 1);
	for (u32 i = below(4); i; i--)
		sysfix_poke(f, AT_GDT + below(32) * 8 + 5, rnd() & 0xff, 1);
}

static void random_state(struct sysfix *f)
{
	struct vp *vp = &f->vp;

	switch (below(4)) {
	case 0: sysfix_real(f, (u16)(AT_CODE >> 4), 0); break;
	case 1: sysfix_protected(f, AT_CODE); break;
	default: sysfix_long(f, AT_CODE);
	}
	if ((vp->cpu.cr0 & CR0_PE) && !below(3))
		sysfix_user(f, AT_CODE);
	random_tables(f);
	for (u32 r = 0; r < GPR_COUNT; r++)
		if (r != RSP || !below(8))
			vp->cpu.gpr[r] = some_register();
	vp->cpu.rflags |= rnd() & (RFLAGS_ARITH | RFLAGS_IF | RFLAGS_IOPL | RFLAGS_AC | RFLAGS_NT);
	if (!below(8))
		vp->cpu.rflags |= RFLAGS_TF;
	if (!below(8) && (vp->cpu.cr0 & CR0_PE) && !(vp->cpu.efer & EFER_LMA)) {
		vp->cpu.rflags |= RFLAGS_VM;
		for (u32 s = 0; s <= SEG_GS; s++)
			vp->cpu.seg[s] = (struct seg){
				.sel = AT_CODE >> 4, .ar = 0xf3, .limit = 0xffff, .base = AT_CODE};
		vp->cpu.rip = 0;
	}
	if (!below(4)) {
		vp->cpu.dr[7] = (rnd() & 0xffff03ff) | DR7_FIXED;
		for (u32 i = 0; i < 4; i++)
			vp->cpu.dr[i] = address();
	}
	vp->cpu.star = rnd();
	vp->cpu.lstar = AT_HANDLERS;
	vp->cpu.sysenter_cs = below(0x100);
	vp->cpu.sysenter_eip = AT_HANDLERS;
	vp->cpu.cr4 |= rnd() & (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_OSXSAVE | CR4_FSGSBASE |
				CR4_UMIP);
}

static void random_controls(struct sysfix *f, struct vmcs12 *shadow, u8 *apic)
{
	struct vp *vp = &f->vp;

	vp->vmxon = below(2);
	vp->in_l2 = vp->vmxon && below(2);
	if (below(2))
		return;
	vp->ctl.l0_native = below(2);
	vp->ctl.pin = (u32)rnd() & (PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMIS);
	vp->ctl.proc ^= (u32)(rnd() & rnd() & rnd());
	vp->ctl.proc2 ^= (u32)(rnd() & rnd() & rnd()) & ~(PROC2_EPT | PROC2_APIC_ACCESSES);
	vp->ctl.exception_bitmap = (u32)(rnd() & rnd() & rnd());
	vp->ctl.cr0_mask = rnd() & rnd();
	vp->ctl.cr0_shadow = rnd();
	vp->ctl.cr4_mask = rnd() & rnd();
	vp->ctl.cr4_shadow = rnd();
	vp->ctl.virtual_apic = below(2) ? apic : NULL;
	vp->ctl.tpr_threshold = below(16);
	vp->ctl.shadow_vmcs = below(2) ? shadow : NULL;
	vp->ctl.vmread_bitmap = vp->ctl.vmwrite_bitmap = below(2) ? f->msr_bitmap : NULL;
	vp->ctl.ple_gap = below(100);
	vp->ctl.ple_window = below(1000);
	if (below(2)) {
		vp->inject_info = INTR_INFO_VALID |
				  (u32)(rnd() & (INTR_INFO_VECTOR | INTR_INFO_ERROR_CODE)) |
				  below(8) << INTR_INFO_TYPE_SHIFT;
		vp->inject_len = below(16);
		vp_request(vp, VP_ATTN_INJECT);
	}
}

static void random_events(struct sysfix *f)
{
	if (!below(4)) {
		f->irq = (int)below(256);
		vp_request(&f->vp, VP_ATTN_INTR);
	}
	if (!below(16))
		vp_request(&f->vp, VP_ATTN_NMI);
	if (!below(64))
		vp_request(&f->vp, VP_ATTN_INIT);
	if (!below(64))
		vp_request(&f->vp, VP_ATTN_REQUEST);
}

/* What the handler of an exit might do. */
static void answer_exit(struct sysfix *f)
{
	struct vp *vp = &f->vp;

	if (vp->exit.insn_len && below(4))
		engine_skip(vp, vp->exit.insn_len);
	else if (below(2))
		engine_inject(vp,
			      INTR_INFO_VALID | INTR_INFO_ERROR_CODE |
				      INTR_TYPE_HW_EXCEPTION << INTR_INFO_TYPE_SHIFT | VECTOR_GP,
			      0, 0);
	else
		vp->insns++;
	if (!below(8))
		engine_state_changed(vp);
	vp->cpu.activity = ACTIVITY_ACTIVE;
}

#define RUN_INSNS 2000
#ifdef __SANITIZE_THREAD__ /* there is one thread, and it is fifty times slower */
#define CASES 400u
#else
#define CASES 2000u
#endif

static void clear_ram(struct sysfix *f)
{
	static const u8 zero[MIB];

	for (u64 at = 0; at < 8 * MIB; at += sizeof(zero))
		sysfix_bytes(f, at, zero, sizeof(zero));
}

/* One random machine. Return: a hash of where it ends. */
static u64 one_case(struct sysfix *f, u64 seed, struct vmcs12 *shadow, u8 *apic)
{
	struct vp *vp = &f->vp;
	u64 h;

	rng = seed;
	sysfix_reset(f);
	memset(shadow, 0, 4096);
	memset(apic, 0, 4096);
	random_state(f);
	random_code(f, AT_CODE, 256);
	random_code(f, AT_HANDLERS, 4096);
	random_controls(f, shadow, apic);
	engine_state_changed(vp);
	vtlb_flush(&vp->tlb, true);
	for (u32 stops = 0; stops < 4000 && vp->insns < RUN_INSNS; stops++) {
		enum engine_stop s;

		random_events(f);
		s = engine_run(vp, MIN(vp->insns + 1 + below(200), (u64)RUN_INSNS));
		assert_false(vp->delivering);
		if (s == ENGINE_STOP_EXIT) {
			assert_true(vp->exit.reason < EXIT_REASON_COUNT);
			if (vp->exit.reason == EXIT_REASON_TRIPLE_FAULT)
				break;
			answer_exit(f);
		} else if (s == ENGINE_STOP_HALT) {
			vp->cpu.activity = ACTIVITY_ACTIVE;
			vp->insns++;
		}
	}
	h = hash_u64(vp->insns ^ hash_u64(vp->cpu.rip ^ hash_u64(vp->cpu.rflags)));
	for (u32 i = 0; i < GPR_COUNT; i++)
		h = hash_u64(h ^ vp->cpu.gpr[i]);
	return h;
}

static void random_machines(void **state)
{
	struct sysfix *f = sysfix_create();
	struct vmcs12 *shadow = calloc(1, 4096);
	u8 *apic = calloc(1, 4096);
	const char *s = getenv("NESTOR_SEED");
	u64 seed = s ? strtoull(s, NULL, 0) : 1;
	u32 n = getenv("NESTOR_LONG") ? 100000 : CASES;

	printf("# seed %llu, %u cases\n", (unsigned long long)seed, n);
	alarm(600); /* a hang is a failure */
	for (u32 i = 0; i < n; i++) {
		u64 case_seed = seed * 1000003 + i, a;

		if (i % 8 == 0)
			clear_ram(f);
		a = one_case(f, case_seed, shadow, apic);
		if (i % 8)
			continue;
		clear_ram(f);
		if (a != one_case(f, case_seed, shadow, apic))
			fail_msg("case %u of seed %llu differs from itself", i,
				 (unsigned long long)seed);
	}
	alarm(0);
	free(shadow);
	free(apic);
	sysfix_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_machines)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
