/*
 * Entry checks: a VMCS that passes all, then one case for each check (checks_cases.inc) that fails
 * that check alone, or with those that the case names. Also: which group decides, skipping what did
 * not change, and the explanation.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "l0/arch/cpu_state.h"
#include "l0/arch/vmexit.h"
#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/base/bits.h"
#include "l0/mem/mem.h"
#include "shadow-vmcs/checks.h"
#include "shadow-vmcs/explain.h"
#include "shadow-vmcs/vmcs12.h"
#include "tests/unit/vmx_base.h"

#define AT_VMCS 0x9000u /* the VMCS is current there; its region holds the revision */

static struct mem *mem;
static struct vmx_caps all; /* every control that a check speaks of may be 1 */

static int setup(void **state)
{
	u64 bad_pdpte = 0x3;
	u32 revision = VMCS12_REVISION;
	int err;

	mem = mem_create(8 * MIB, &err);
	assert_non_null(mem);
	assert_int_equal(mem_write(mem, 0x7000 + 16, &bad_pdpte, 8), 0);
	assert_int_equal(mem_write(mem, AT_VMCS, &revision, sizeof(revision)), 0);
	vmx_caps_init(&all, &vmx_implemented, CR4_PAE | CR4_PCIDE | CR4_PSE,
		      EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE, 0, 46, 48);
	all.pin.may_be_1 = ~0u;
	all.proc.may_be_1 = ~0u;
	all.proc2.may_be_1 = 0x7fffffff;
	all.exit.may_be_1 = ~0u;
	all.entry.may_be_1 = ~0u;
	all.vmfunc = 1;
	return 0;
}

static int teardown(void **state)
{
	mem_destroy(mem);
	return 0;
}

/* --- pieces of cases --- */

#define PROC(bits) (v->cpu_based_vm_exec_control |= (bits))
#define PROC2(bits) (v->secondary_vm_exec_control |= (bits))
#define INJECT(type, vector) \
	(v->vm_entry_intr_info_field = INTR_INFO_VALID | (u32)(type) << 8 | (vector))
#define POSTED() \
	(PROC(PROC_TPR_SHADOW), PROC2(PROC2_VIRTUAL_INTERRUPT), \
	 v->pin_based_vm_exec_control |= PIN_POSTED_INTERRUPTS)

/* A guest in protected mode with 32-bit paging under a 64-bit host. */
#define GUEST_32() guest_32(v)
static int guest_32(struct vmcs12 *v)
{
	v->vm_entry_controls &= ~ENTRY_CTL_IA32E;
	v->guest_cr4 &= ~CR4_PAE;
	v->guest_ia32_efer = 0;
	v->guest_cs_ar_bytes = 0xc09b;
	return 0;
}
#define GUEST_PAE() (GUEST_32(), v->guest_cr4 |= CR4_PAE)

/* A 32-bit host and guest, entered from outside IA-32e mode. */
#define HOST_32() (host_32(v), ia32e_now = false)
static int host_32(struct vmcs12 *v)
{
	guest_32(v);
	v->vm_exit_controls &= ~EXIT_CTL_HOST_64;
	v->host_ia32_efer = 0;
	return 0;
}

#define V86() v86(v)
static int v86(struct vmcs12 *v)
{
	guest_32(v);
	v->guest_rflags |= RFLAGS_VM;
#define V86_SEG(s, sel) \
	v->guest_##s##_selector = (sel), v->guest_##s##_base = (sel)*16, \
	v->guest_##s##_limit = 0xffff, v->guest_##s##_ar_bytes = 0xf3
	V86_SEG(es, 0x103);
	V86_SEG(cs, 0x203);
	V86_SEG(ss, 0x303);
	V86_SEG(ds, 0x403);
	V86_SEG(fs, 0x503);
	V86_SEG(gs, 0x603);
	return 0;
}

#define USER() user(v)
static int user(struct vmcs12 *v)
{
	v->guest_cs_selector |= 3;
	v->guest_ss_selector |= 3;
	v->guest_cs_ar_bytes |= 0x60;
	v->guest_ss_ar_bytes |= 0x60;
	return 0;
}

struct test_case {
	u32 id;
	void (*change)(struct vmcs12 *v, struct vmx_caps *caps, bool *ia32e);
	const u32 *implied; /* ends with CHECK_NONE */
};

#define ia32e_now (*ia32e)
#define CASE(NAME, change, ...) \
	static void change_##NAME(struct vmcs12 *v, struct vmx_caps *caps, bool *ia32e) \
	{ \
		(void)(change); \
	}
#include "tests/unit/checks_cases.inc"
#undef CASE
#undef ia32e_now

#define IMPLIED_1(a) CHECK_##a,
#define IMPLIED_2(a, ...) CHECK_##a, IMPLIED_1(__VA_ARGS__)
#define IMPLIED_3(a, ...) CHECK_##a, IMPLIED_2(__VA_ARGS__)
#define IMPLIED_4(a, ...) CHECK_##a, IMPLIED_3(__VA_ARGS__)
#define IMPLIED_0()
#define PICK(a, b, c, d, e, n, ...) n
#define IMPLIED(...) \
	PICK(_, ##__VA_ARGS__, IMPLIED_4, IMPLIED_3, IMPLIED_2, IMPLIED_1, IMPLIED_0)(__VA_ARGS__)

static const struct test_case cases[] = {
#define CASE(NAME, change, ...) \
	{CHECK_##NAME, change_##NAME, (const u32[]){IMPLIED(__VA_ARGS__) CHECK_NONE}},
#include "tests/unit/checks_cases.inc"
#undef CASE
};

static bool is_implied(const struct test_case *t, u32 id)
{
	for (const u32 *i = t->implied; *i != CHECK_NONE; i++)
		if (*i == id)
			return true;
	return false;
}

/* --- tests --- */

static void base_passes_everything(void **state)
{
	struct vmcs12 v;
	struct check_ctx c;
	int (*const variant[])(struct vmcs12 *) = {NULL, guest_32, v86, user, host_32};

	for (u32 i = 0; i < ARRAY_SIZE(variant); i++) {
		vmx_base_init(&v, &all);
		if (variant[i])
			variant[i](&v);
		check_ctx_init(&c, &v, &all, mem, v.vm_exit_controls & EXIT_CTL_HOST_64);
		for (u32 id = CHECK_NONE + 1; id < CHECK_COUNT; id++)
			if (!check_passes(&c, id))
				fail_msg("variant %u fails %s", i, check_table[id].name);
	}
}

static void every_check_has_a_case_that_fails_it(void **state)
{
	bool seen[CHECK_COUNT] = {false};
	u32 wrong = 0;

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct test_case *t = &cases[i];
		struct vmx_caps caps = all;
		bool ia32e = true;
		struct check_ctx c;
		struct vmcs12 v;

		vmx_base_init(&v, &caps);
		t->change(&v, &caps, &ia32e);
		check_ctx_init(&c, &v, &caps, mem, ia32e);
		c.vmptr = AT_VMCS;
		seen[t->id] = true;
		if (check_passes(&c, t->id))
			print_error("case of %s: the check passes\n", check_table[t->id].name),
				wrong++;
		for (u32 id = CHECK_NONE + 1; id < CHECK_COUNT; id++)
			if (id != t->id && check_passes(&c, id) == is_implied(t, id))
				print_error("case of %s: %s %s\n", check_table[t->id].name,
					    check_table[id].name,
					    is_implied(t, id) ? "passes" : "fails too"),
					wrong++;
	}
	for (u32 id = CHECK_NONE + 1; id < CHECK_COUNT; id++)
		if (check_table[id].group != CHECK_GROUP_MSR && !seen[id])
			print_error("%s has no case\n", check_table[id].name), wrong++;
	assert_int_equal(wrong, 0);
}

/* checks_run() finds the case when, and only when, a field that the check reads is marked as
 * changed. */
static void skipping_is_by_what_changed(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct test_case *t = &cases[i];
		const struct check_info *info = &check_table[t->id];
		struct vmx_caps caps = all;
		bool ia32e = true;
		struct vmcs12 before, v;
		struct check_ctx c;
		u32 changed = VMCS12_DIRTY_EACH;

		vmx_base_init(&before, &caps);
		v = before;
		t->change(&v, &caps, &ia32e);
		for (u32 f = 0; f < vmcs_field_count; f++) {
			u64 a, b;

			vmcs12_peek(&before, vmcs_field_table[f].encoding, &a);
			vmcs12_peek(&v, vmcs_field_table[f].encoding, &b);
			if (a != b)
				changed |= vmcs12_group_of(vmcs_field_table[f].encoding);
		}
		check_ctx_init(&c, &v, &caps, mem, ia32e);
		c.vmptr = AT_VMCS;
		if (t->implied[0] == CHECK_NONE) {
			if (checks_run(&c, info->group, VMCS12_DIRTY_ALL) != t->id)
				fail_msg("%s is not found", info->name);
			/* the case also changes capabilities or mode: those are constant in a
			 * machine */
			if (t->id != CHECK_EPTP_AD && checks_run(&c, info->group, changed) != t->id)
				fail_msg("%s is not found among what changed", info->name);
		}
		assert_int_equal(checks_run(&c, info->group, 0), CHECK_NONE);
		/* over all groups the first in the table decides */
		u32 first = CHECK_NONE;

		for (u32 id = CHECK_COUNT - 1; id > CHECK_NONE; id--)
			if (!check_passes(&c, id))
				first = id;
		assert_int_equal(checks_run_all(&c, VMCS12_DIRTY_ALL), first);
	}
}

static void table_is_in_groups(void **state)
{
	for (u32 id = CHECK_NONE + 2; id < CHECK_COUNT; id++) {
		assert_true(check_table[id].group >= check_table[id - 1].group);
		assert_true(check_table[id].deps);
		assert_non_null(vmcs_field_name(check_table[id].field));
	}
}

static void explanation_names_check_field_and_value(void **state)
{
	char line[EXPLAIN_TEXT_BYTES];
	struct vmcs12 v;
	struct check_ctx c;

	vmx_base_init(&v, &all);
	v.host_cr3 = 0x1234000000000000;
	check_ctx_init(&c, &v, &all, mem, true);
	check_explain(&c, checks_run(&c, CHECK_GROUP_HOST, VMCS12_DIRTY_ALL), line, sizeof(line));
	assert_non_null(strstr(line, "HOST_CR3"));
	assert_non_null(strstr(line, "host_cr3 = 0x1234000000000000"));
	assert_non_null(strstr(line, "Checks on Host Control Registers"));
	check_explain(&c, CHECK_COUNT + 5, line, sizeof(line));
	check_explain(&c, CHECK_HOST_CR3, line, 10);
	assert_int_equal(strlen(line), 9);
}

static bool passes_with(const struct vmcs12 *v, const struct check_ctx *c, u32 id, u32 field,
			u64 value)
{
	struct vmcs12 w = *v;
	struct check_ctx d;

	memcpy((u8 *)&w + vmcs12_offset_of(field), &value, vmcs_field_bytes(field));
	check_ctx_init(&d, &w, c->caps, c->mem, c->ia32e_now);
	d.vmptr = c->vmptr;
	return check_passes(&d, id);
}

/* Of every check: the text says what the table says, and the values it advises pass. */
static void every_explanation_is_the_table_and_its_advice_works(void **state)
{
	char text[EXPLAIN_TEXT_BYTES], want[128];
	u32 wrong = 0;

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct test_case *t = &cases[i];
		const struct check_info *info = &check_table[t->id];
		struct vmx_caps caps = all;
		bool ia32e = true;
		struct check_ctx c;
		struct explain e;
		struct vmcs12 v;

		vmx_base_init(&v, &caps);
		t->change(&v, &caps, &ia32e);
		check_ctx_init(&c, &v, &caps, mem, ia32e);
		c.vmptr = AT_VMCS;
		explain_check(&c, t->id, &e);
		explain_text(&e, text);
		snprintf(want, sizeof(want), "check %s: %s = 0x%llx", info->name,
			 vmcs_field_name(info->field), (unsigned long long)e.value);
		if (!strstr(text, want) || !strstr(text, info->rule) || !strstr(text, info->title))
			print_error("%s: its text is: %s\n", info->name, text), wrong++;
		/* outside IA-32e mode two words must change */
		if (!e.pass_known && !e.also_count && t->id != CHECK_HOST_SIZE_LEGACY)
			print_error("%s: no value that would pass\n", info->name), wrong++;
		if (e.pass_known && !passes_with(&v, &c, t->id, e.field, e.pass_value))
			print_error("%s: the advice fails: %s\n", info->name, text), wrong++;
		if (e.pass_known && ((e.value | e.must_set) & ~e.must_clear) != e.pass_value)
			print_error("%s: bits and value differ: %s\n", info->name, text), wrong++;
		for (u32 k = 0; k < e.also_count; k++)
			if (!passes_with(&v, &c, t->id, e.also[k].field, e.also[k].pass_value))
				print_error("%s: %s is no advice\n", info->name,
					    vmcs_field_name(e.also[k].field)),
					wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* Any content whatever: no check may do more than say no. */
static void random_content_is_only_refused(void **state)
{
	u64 seed = 0x243f6a8885a308d3ull;
	struct vmcs12 v;

	print_message("seed 0x%llx\n", (unsigned long long)seed);
	for (u32 round = 0; round < 20000; round++) {
		struct check_ctx c;

		vmx_base_init(&v, &all);
		for (u32 n = 0; n < 1 + round % 8; n++) {
			const struct vmcs_field_info *f;
			u32 dirty;

			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			f = &vmcs_field_table[(seed >> 33) % vmcs_field_count];
			vmcs12_write(&v, &all, f->encoding, seed ^ seed >> 29, &dirty);
		}
		check_ctx_init(&c, &v, &all, mem, round & 1);
		for (u32 g = CHECK_GROUP_CTL; g <= CHECK_GROUP_GUEST; g++) {
			u32 id = checks_run(&c, g, VMCS12_DIRTY_ALL);

			assert_true(id == CHECK_NONE || check_table[id].group == g);
			assert_true(check_qualification(id) <= ENTRY_FAIL_LINK_POINTER);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base_passes_everything),
		cmocka_unit_test(every_check_has_a_case_that_fails_it),
		cmocka_unit_test(skipping_is_by_what_changed),
		cmocka_unit_test(table_is_in_groups),
		cmocka_unit_test(explanation_names_check_field_and_value),
		cmocka_unit_test(every_explanation_is_the_table_and_its_advice_works),
		cmocka_unit_test(random_content_is_only_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
