/*
 * What L0 remembers of VMCSs: who wrote a field last, by the engine's VMWRITE and by one that
 * exits, across other VMCSs, VM exits and stores to memory; and the misuse that only another
 * processor punishes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "l0/arch/events.h"
#include "shadow-vmcs/explain.h"
#include "shadow-vmcs/explain_record.h"
#include "tests/unit/vmx_fixture.h"

#define VCPU 7u
#define OTHER 8u
#define VMCS_A 0x5000u

static struct vmxfix *f;
static struct vmcs_records *records;

GUEST(vmptrld, 64, "vmptrld 0xc000; hlt");
GUEST(vmclear, 64, "vmclear 0xc000; hlt");
GUEST(vmwrite, 64, "nop; vmwrite %rbx, %rax; hlt");
#define AT_VMWRITE (AT_CODE + 1)

static int setup(void **state)
{
	f = vmxfix_create();
	records = vmcs_records_create(2);
	assert_non_null(records);
	return 0;
}
static int setup_no_shadowing(void **state)
{
	setup(state);
	f->no_shadowing = true;
	return 0;
}
static int teardown(void **state)
{
	vmcs_records_destroy(records);
	vmxfix_destroy(f);
	return 0;
}

#define DO(name) assert_int_equal(vmxfix_do(f, g_##name, g_##name##_end), VMXFIX_HALT)

static void load(u64 vmptr)
{
	sysfix_poke(f->sys, AT_DATA, vmptr, 8);
	DO(vmptrld);
	assert_int_equal(vmxfix_result(f), 0);
}

static void forget(void)
{
	vmcs_records_destroy(records);
	records = vmcs_records_create(2);
	assert_non_null(records);
}

static void begin(void)
{
	vmxfix_on(f);
	forget();
	exit_set_records(f->vp, &f->nv, records, VCPU, false);
	load(AT_VMCS);
}

static void write_field(u32 field, u64 value)
{
	f->vp->cpu.gpr[RAX] = field;
	f->vp->cpu.gpr[RBX] = value;
	DO(vmwrite);
	assert_int_equal(vmxfix_result(f), 0);
}

static struct vmcs_writer writer_of(u32 field)
{
	return vmcs_record_writer(f->nv.record, &f->nv.vmcs12, field);
}

static void the_last_vmwrite_is_known(void **state)
{
	struct vmcs_writer w;
	u64 before;

	begin();
	w = writer_of(VMCS_HOST_CR3);
	assert_int_equal(w.how, FIELD_WRITER_REGION);
	before = f->vp->insns;
	write_field(VMCS_HOST_CR3, 0x1000);
	w = writer_of(VMCS_HOST_CR3);
	assert_int_equal(w.how, FIELD_WRITER_VMWRITE);
	assert_int_equal(w.rip, AT_VMWRITE);
	assert_in_range(w.when_ns, before, f->vp->insns);
	assert_int_equal(writer_of(VMCS_HOST_CR4).how, FIELD_WRITER_REGION);
	/* the upper half counts as the field */
	write_field(VMCS_IO_BITMAP_A | VMCS_HIGH, 1);
	assert_int_equal(writer_of(VMCS_IO_BITMAP_A).how, FIELD_WRITER_VMWRITE);
	assert_int_equal(writer_of(VMCS_IO_BITMAP_B).how, FIELD_WRITER_REGION);
	/* it outlives another VMCS, and VMCLEAR */
	load(AT_VMCS2);
	assert_int_equal(writer_of(VMCS_HOST_CR3).how, FIELD_WRITER_REGION);
	load(AT_VMCS);
	assert_int_equal(writer_of(VMCS_HOST_CR3).rip, AT_VMWRITE);
	DO(vmclear);
	assert_null(f->nv.record);
	load(AT_VMCS);
	assert_int_equal(writer_of(VMCS_HOST_CR3).rip, AT_VMWRITE);
}

static void every_field_has_a_writer_of_its_own(void **state)
{
	begin();
	for (u32 i = 0; i < vmcs_field_count; i++) {
		const struct vmcs_field_info *info = &vmcs_field_table[i];
		u32 known = 0;

		if (!vmx_caps_has(&f->profile.caps, info->need) ||
		    (info->class == VMCS_CLASS_RO &&
		     !(f->profile.caps.misc & VMX_MISC_VMWRITE_ANY)))
			continue;
		begin();
		write_field(info->encoding, 1);
		for (u32 k = 0; k < vmcs_field_count; k++)
			known +=
				writer_of(vmcs_field_table[k].encoding).how == FIELD_WRITER_VMWRITE;
		assert_int_equal(known, 1);
		assert_int_equal(writer_of(info->encoding).how, FIELD_WRITER_VMWRITE);
	}
}

static void an_exit_saves_guest_state(void **state)
{
	begin();
	write_field(VMCS_GUEST_RSP, 1);
	write_field(VMCS_GUEST_DR7, 0x400);
	f->nv.record->exit_ns = f->vp->insns + 1;
	f->nv.record->exit_rip = 0x1234;
	assert_int_equal(writer_of(VMCS_GUEST_RSP).how, FIELD_WRITER_EXIT);
	assert_int_equal(writer_of(VMCS_GUEST_RSP).rip, 0x1234);
	assert_int_equal(writer_of(VMCS_GUEST_DR7).how, FIELD_WRITER_VMWRITE); /* not saved */
	assert_int_equal(writer_of(VMCS_HOST_RSP).how, FIELD_WRITER_REGION);
	f->nv.vmcs12.vm_exit_controls |= EXIT_CTL_SAVE_DEBUG;
	assert_int_equal(writer_of(VMCS_GUEST_DR7).how, FIELD_WRITER_EXIT);
}

/* --- misuse, by the records alone --- */

static struct vmcs12 region;
static struct vmcs_misuse found[VMCS_MISUSES];

static struct vmcs_record *load_on(u64 vmptr, u32 vcpu)
{
	return vmcs_record_load(records, vmptr, &region, vcpu, 1, found);
}

static void release_on(struct vmcs_record *rec, u32 vcpu)
{
	vmcs_record_release(records, rec, &region, &region, vcpu, found);
}

static void proper_migration_is_no_misuse(void **state)
{
	forget();
	memset(&region, 0, sizeof(region));
	for (u32 i = 0; i < 10; i++) {
		u32 vcpu = i & 1 ? VCPU : OTHER;
		struct vmcs_record *rec = load_on(VMCS_A, vcpu);

		assert_int_equal(found[0].kind | found[1].kind, 0);
		release_on(rec, vcpu);
		assert_int_equal(found[0].kind | found[1].kind, 0);
		vmcs_record_clear(records, VMCS_A, vcpu);
		region.guest_cr0 = i; /* it is not active: memory is the owner's */
	}
}

static void two_processors_are_found(void **state)
{
	struct vmcs_record *rec;

	forget();
	memset(&region, 0, sizeof(region));
	rec = load_on(VMCS_A, VCPU);
	load_on(VMCS_A, OTHER);
	assert_int_equal(found[0].kind, VMX_MISUSE_ACTIVE_TWICE);
	assert_int_equal(found[0].other_vcpu, VCPU);
	release_on(rec, OTHER);
	/* active, but no longer current */
	load_on(VMCS_A, VCPU);
	assert_int_equal(found[0].kind, VMX_MISUSE_NO_VMCLEAR);
	assert_int_equal(found[0].other_vcpu, OTHER);
	release_on(rec, VCPU);
	/* a VMCLEAR by the wrong processor is none */
	vmcs_record_clear(records, VMCS_A, OTHER);
	load_on(VMCS_A, OTHER);
	assert_int_equal(found[0].kind, VMX_MISUSE_NO_VMCLEAR);
	release_on(rec, OTHER);
	vmcs_records_reset(records, OTHER);
	load_on(VMCS_A, VCPU);
	assert_int_equal(found[0].kind, 0);
}

static void stores_to_memory_are_found(void **state)
{
	struct vmcs12 flushed;
	struct vmcs_record *rec;

	forget();
	memset(&region, 0, sizeof(region));
	rec = load_on(VMCS_A, VCPU);
	flushed = region;
	flushed.guest_rip = 0x77; /* by VMWRITE */
	vmcs_record_release(records, rec, &region, &flushed, VCPU, found);
	assert_int_equal(found[0].kind, 0);
	region = flushed;
	region.host_cr3 = 0x55;
	load_on(VMCS_A, VCPU);
	assert_int_equal(found[1].kind, VMX_MISUSE_MEMORY_WRITTEN);
	assert_int_equal(found[1].field, VMCS_HOST_CR3);
	assert_int_equal(found[1].value, 0x55);
	assert_int_equal(found[1].expected, 0);
	assert_int_equal(vmcs_record_writer(rec, &region, VMCS_HOST_CR3).how, FIELD_WRITER_MEMORY);
	assert_int_equal(vmcs_record_writer(rec, &region, VMCS_HOST_CR4).how, FIELD_WRITER_REGION);
	/* while it is current: the flush covers it */
	flushed = region;
	region.vpid = 3;
	vmcs_record_release(records, rec, &region, &flushed, VCPU, found);
	assert_int_equal(found[0].kind, VMX_MISUSE_MEMORY_WRITTEN);
	assert_int_equal(found[0].field, VMCS_VPID);
	/* of a shadow VMCS guests write the memory */
	region = flushed;
	region.revision_id |= VMCS12_SHADOW_INDICATOR;
	region.vpid = 4;
	load_on(VMCS_A, VCPU);
	assert_int_equal(found[1].kind, 0);
}

/* More VMCSs than records: no end, and what is current stays. */
static void records_are_bounded(void **state)
{
	struct vmcs_record *mine;

	forget();
	memset(&region, 0, sizeof(region));
	mine = load_on(VMCS_A, VCPU);
	for (u64 i = 1; i < 1000; i++) {
		struct vmcs_record *rec = load_on(VMCS_A + i * PAGE_SIZE, OTHER);

		assert_ptr_not_equal(rec, mine);
		release_on(rec, OTHER);
		vmcs_record_clear(records, VMCS_A + i * PAGE_SIZE, OTHER);
	}
	assert_int_equal(mine->vmptr, VMCS_A);
	assert_int_equal(mine->current_on, VCPU);
}

static void every_error_and_misuse_has_its_words(void **state)
{
#define VMX_ERROR(number, name) assert_non_null(explain_vmx_error(number));
#include "l0/arch/vmx_errors.def"
#undef VMX_ERROR
	assert_non_null(explain_vmx_error(0));
	assert_null(explain_vmx_error(99));
	for (u32 kind = VMX_MISUSE_ACTIVE_TWICE; kind <= VMX_MISUSE_WRONG_REVISION; kind++)
		assert_non_null(explain_misuse(kind));
	assert_null(explain_misuse(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_vmwrite_is_known),
		cmocka_unit_test(every_field_has_a_writer_of_its_own),
		cmocka_unit_test(an_exit_saves_guest_state),
		cmocka_unit_test(proper_migration_is_no_misuse),
		cmocka_unit_test(two_processors_are_found),
		cmocka_unit_test(stores_to_memory_are_found),
		cmocka_unit_test(records_are_bounded),
		cmocka_unit_test(every_error_and_misuse_has_its_words),
	};
	int failed = cmocka_run_group_tests_name("VMWRITE by the engine", tests, setup, teardown);

	return failed +
	       cmocka_run_group_tests_name("VMWRITE exits", tests, setup_no_shadowing, teardown);
}
