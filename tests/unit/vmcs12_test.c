/* Fields of a VMCS: encodings, layout, VMREAD and VMWRITE, the copy in guest memory. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "l0/arch/vmx.h"
#include "l0/base/bits.h"
#include "l0/mem/mem.h"
#include "shadow-vmcs/vmcs12.h"

static struct vmx_caps caps;
static struct vmcs12 v;

static int setup(void **state)
{
	vmx_caps_init(&caps, &vmx_implemented, ~0ull, ~0ull, 0, 46, 48);
	memset(&v, 0, sizeof(v));
	return 0;
}

static u32 bytes_of(const struct vmcs_field_info *f)
{
	return vmcs_field_bytes(f->encoding);
}

static void encodings_agree_with_their_columns(void **state)
{
	for (u32 i = 0; i < vmcs_field_count; i++) {
		const struct vmcs_field_info *f = &vmcs_field_table[i];

		assert_int_equal(VMCS_ENCODING_WIDTH(f->encoding), f->width);
		assert_int_equal(VMCS_ENCODING_CLASS(f->encoding), f->class);
		assert_int_equal(f->encoding & (VMCS_HIGH | 0x9000), 0);
		assert_int_equal(!!(f->flags & FIELD_READ_ONLY), f->class == VMCS_CLASS_RO);
		assert_true(f->need < NEED_COUNT);
		assert_string_equal(vmcs_field_name(f->encoding), f->name);
	}
}

static void layout_has_no_overlap(void **state)
{
	static u8 used[sizeof(struct vmcs12)];

	memset(used, 0, sizeof(used));
	for (u32 i = 0; i < vmcs_field_count; i++) {
		const struct vmcs_field_info *f = &vmcs_field_table[i];
		u32 off = vmcs12_offset_of(f->encoding);

		assert_true(off >= 16);
		assert_true(off + bytes_of(f) <= sizeof(struct vmcs12));
		for (u32 b = 0; b < bytes_of(f); b++) {
			assert_int_equal(used[off + b], 0);
			used[off + b] = 1;
		}
	}
}

/* Every 16-bit number but the encodings of the table is no field. */
static void other_encodings_are_refused(void **state)
{
	u32 dirty = 0;
	u64 value;

	for (u32 e = 0; e < 0x20000; e++) {
		bool known = false;

		for (u32 i = 0; i < vmcs_field_count; i++) {
			const struct vmcs_field_info *f = &vmcs_field_table[i];
			bool high = f->width == VMCS_WIDTH_64 && e == (f->encoding | VMCS_HIGH);

			if ((e == f->encoding || high) && vmx_caps_has(&caps, f->need))
				known = true;
		}
		assert_int_equal(vmcs12_read(&v, &caps, e, &value), known);
		if (!known)
			assert_int_equal(vmcs12_write(&v, &caps, e, 1, &dirty),
					 VMXERR_UNSUPPORTED_COMPONENT);
	}
	assert_false(vmcs12_read(&v, &caps, 0x100000000ull | VMCS_GUEST_RIP, &value));
	assert_int_equal(dirty, 0);
}

static void every_field_keeps_what_fits(void **state)
{
	for (u32 i = 0; i < vmcs_field_count; i++) {
		const struct vmcs_field_info *f = &vmcs_field_table[i];
		u64 value, pattern = 0x8123456789abcdefull ^ (u64)f->encoding << 32;
		u32 dirty = 0;

		if (!vmx_caps_has(&caps, f->need))
			continue;
		assert_int_equal(vmcs12_write(&v, &caps, f->encoding, pattern, &dirty), 0);
		assert_true(vmcs12_read(&v, &caps, f->encoding, &value));
		assert_int_equal(value, pattern & mask_low(bytes_of(f) * 8));
		assert_int_equal(dirty, vmcs12_group_of(f->encoding));
		assert_int_equal(dirty == 0, f->class == VMCS_CLASS_RO);
		assert_true(!dirty || is_pow2(dirty));
	}
}

static void halves_of_64_bit_fields(void **state)
{
	u32 dirty = 0;
	u64 value;

	v.tsc_offset = 0x1111222233334444ull;
	assert_true(vmcs12_read(&v, &caps, VMCS_TSC_OFFSET | VMCS_HIGH, &value));
	assert_int_equal(value, 0x11112222);
	assert_int_equal(
		vmcs12_write(&v, &caps, VMCS_TSC_OFFSET | VMCS_HIGH, 0xaaaabbbbccccddddull, &dirty),
		0);
	assert_int_equal(v.tsc_offset, 0xccccdddd33334444ull);
	/* other widths have no upper half */
	assert_false(vmcs12_read(&v, &caps, VMCS_GUEST_RIP | VMCS_HIGH, &value));
	assert_false(vmcs12_read(&v, &caps, VMCS_GUEST_ES_LIMIT | VMCS_HIGH, &value));
	assert_false(vmcs12_read(&v, &caps, VMCS_GUEST_ES_SELECTOR | VMCS_HIGH, &value));
}

static void read_only_fields_follow_the_capability(void **state)
{
	u32 dirty = 0;

	assert_true(caps.misc & VMX_MISC_VMWRITE_ANY);
	assert_int_equal(vmcs12_write(&v, &caps, VMCS_VM_EXIT_REASON, 7, &dirty), 0);
	caps.misc &= ~VMX_MISC_VMWRITE_ANY;
	assert_int_equal(vmcs12_write(&v, &caps, VMCS_VM_EXIT_REASON, 9, &dirty),
			 VMXERR_VMWRITE_READ_ONLY);
	assert_int_equal(v.vm_exit_reason, 7);
}

static void fields_of_absent_features_do_not_exist(void **state)
{
	struct vmx_model m = vmx_implemented;
	u32 dirty = 0;
	u64 value;

	m.proc2 = 0;
	m.exit &= ~(EXIT_CTL_LOAD_PAT | EXIT_CTL_SAVE_PAT);
	m.entry &= ~ENTRY_CTL_LOAD_PAT;
	vmx_caps_init(&caps, &m, ~0ull, ~0ull, 0, 46, 48);
	assert_false(vmcs12_read(&v, &caps, VMCS_EPT_POINTER, &value));
	assert_false(vmcs12_read(&v, &caps, VMCS_VPID, &value));
	assert_false(vmcs12_read(&v, &caps, VMCS_GUEST_PDPTR0, &value));
	assert_false(vmcs12_read(&v, &caps, VMCS_HOST_IA32_PAT, &value));
	assert_int_equal(vmcs12_write(&v, &caps, VMCS_EPT_POINTER, 1, &dirty),
			 VMXERR_UNSUPPORTED_COMPONENT);
	assert_true(vmcs12_read(&v, &caps, VMCS_HOST_IA32_EFER, &value));
}

static void memory_copy_goes_round(void **state)
{
	int err;
	struct mem *m = mem_create(4 * MIB, &err);
	u32 rev = VMCS12_REVISION, word;
	struct vmcs12 back;

	assert_non_null(m);
	assert_int_equal(mem_write(m, 0x3000, &rev, 4), 0);
	v.guest_rip = 0x1234;
	v.launch_state = VMCS12_LAUNCHED;
	assert_int_equal(vmcs12_flush(&v, m, 0x3000), 0);
	assert_int_equal(vmcs12_load(&back, m, 0x3000), 0);
	assert_int_equal(back.revision_id, VMCS12_REVISION);
	assert_int_equal(back.guest_rip, 0x1234);
	assert_int_equal(back.launch_state, VMCS12_LAUNCHED);
	assert_int_equal(vmcs12_clear_in_memory(m, 0x3000), 0);
	assert_int_equal(vmcs12_load(&back, m, 0x3000), 0);
	assert_int_equal(back.launch_state, VMCS12_CLEAR);
	assert_int_equal(back.guest_rip, 0x1234);
	/* a region that is not RAM, or reaches beyond it */
	assert_true(vmcs12_load(&back, m, 0xfee00000) < 0);
	assert_true(vmcs12_load(&back, m, 4 * MIB - 64) < 0);
	assert_true(vmcs12_flush(&v, m, 4 * MIB - 64) < 0);
	assert_int_equal(mem_read(m, 4 * MIB - 4, &word, 4), 0);
	assert_int_equal(word, 0);
	mem_destroy(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(encodings_agree_with_their_columns, setup),
		cmocka_unit_test_setup(layout_has_no_overlap, setup),
		cmocka_unit_test_setup(other_encodings_are_refused, setup),
		cmocka_unit_test_setup(every_field_keeps_what_fits, setup),
		cmocka_unit_test_setup(halves_of_64_bit_fields, setup),
		cmocka_unit_test_setup(read_only_fields_follow_the_capability, setup),
		cmocka_unit_test_setup(fields_of_absent_features_do_not_exist, setup),
		cmocka_unit_test_setup(memory_copy_goes_round, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
