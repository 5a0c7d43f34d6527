/* VMX instructions in root operation: what they accept, how they fail, what they leave. */
#include "tests/nested/vmxt.h"

#define ARITH RFLAGS_ARITH
#define BEYOND_MEMORY (1ull << 52)

static void vmxoff(void)
{
	CHECK_EQ(TRY("vmxoff", "i"(0)), VMX_OK);
}

static u64 vmptrst(void)
{
	u64 pa = 0x5555;

	CHECK_EQ(TRY("vmptrst %[pa]", [pa] "m"(pa)), VMX_OK);
	return pa;
}

/* No VMCS is current afterwards. */
static void forget_vmcs(struct vmxt *t)
{
	CHECK_EQ(try_vmclear(t->vmcs), VMX_OK);
	CHECK_EQ(try_vmclear(t->other_vmcs), VMX_OK);
	CHECK_EQ(vmptrst(), VMX_NO_POINTER);
}

static void vmxon_operands(struct vmxt *t)
{
	u32 *revision = (u32 *)t->vmxon_region;

	vmxoff();
	CHECK_EQ(try_vmxon(t->vmxon_region + 8), VMX_FAIL_INVALID);
	CHECK_EQ(try_vmxon(t->vmxon_region | BEYOND_MEMORY), VMX_FAIL_INVALID);
	*revision = t->caps.revision + 1;
	CHECK_EQ(try_vmxon(t->vmxon_region), VMX_FAIL_INVALID);
	*revision = t->caps.revision | 0x80000000;
	CHECK_EQ(try_vmxon(t->vmxon_region), VMX_FAIL_INVALID);
	*revision = t->caps.revision;
	CHECK_EQ(try_vmxon(t->vmxon_region), VMX_OK);
	CHECK_EQ(vmptrst(), VMX_NO_POINTER);
}

static void vmxon_again(struct vmxt *t)
{
	forget_vmcs(t);
	CHECK_EQ(try_vmxon(t->vmxon_region), VMX_FAIL_INVALID);
	vmxt_prepare(t, NULL);
	CHECK_EQ(try_vmxon(t->vmxon_region), VMX_FAIL_VALID);
	CHECK_EQ(vmxt_error(), VMXERR_VMXON_IN_ROOT);
}

static void vmxon_without_vmxe(struct vmxt *t)
{
	vmxoff();
	cpu_write_cr4(cpu_read_cr4() & ~CR4_VMXE);
	CHECK_EQ(try_vmxon(t->vmxon_region), VMX_FAULT);
	CHECK_EQ(vmxt_fault, VECTOR_UD);
	cpu_write_cr4(cpu_read_cr4() | CR4_VMXE);
	CHECK_EQ(try_vmxon(t->vmxon_region), VMX_OK);
}

static void cr4_vmxe_is_fixed(struct vmxt *t)
{
	u64 v = cpu_read_cr4() & ~CR4_VMXE;

	CHECK_EQ(TRY("mov %[v], %%cr4", [v] "r"(v)), VMX_FAULT);
	CHECK_EQ(vmxt_fault, VECTOR_GP);
	v = cpu_read_cr0() & ~CR0_NE;
	if (t->caps.cr0_fixed0 & CR0_NE) {
		CHECK_EQ(TRY("mov %[v], %%cr0", [v] "r"(v)), VMX_FAULT);
		CHECK_EQ(vmxt_fault, VECTOR_GP);
	}
}

static void outside_vmx(struct vmxt *t)
{
	u64 v = t->vmcs;

	vmxoff();
	CHECK_EQ(try_vmclear(t->vmcs), VMX_FAULT);
	CHECK_EQ(vmxt_fault, VECTOR_UD);
	CHECK_EQ(try_vmptrld(t->vmcs), VMX_FAULT);
	CHECK_EQ(TRY("vmptrst %[v]", [v] "m"(v)), VMX_FAULT);
	CHECK_EQ(try_vmread(VMCS_GUEST_RIP, &v), VMX_FAULT);
	CHECK_EQ(try_vmwrite(VMCS_GUEST_RIP, v), VMX_FAULT);
	CHECK_EQ(TRY("vmlaunch", "i"(0)), VMX_FAULT);
	CHECK_EQ(TRY("vmresume", "i"(0)), VMX_FAULT);
	CHECK_EQ(TRY("vmcall", "i"(0)), VMX_FAULT);
	CHECK_EQ(TRY("vmxoff", "i"(0)), VMX_FAULT);
	CHECK_EQ(vmxt_fault, VECTOR_UD);
	CHECK_EQ(try_vmxon(t->vmxon_region), VMX_OK);
}

static void vmclear_operands(struct vmxt *t)
{
	forget_vmcs(t);
	CHECK_EQ(try_vmclear(t->vmcs + 1), VMX_FAIL_INVALID);
	CHECK_EQ(try_vmclear(t->vmxon_region), VMX_FAIL_INVALID);
	vmxt_prepare(t, NULL);
	CHECK_EQ(try_vmclear(t->other_vmcs + 0x10), VMX_FAIL_VALID);
	CHECK_EQ(vmxt_error(), VMXERR_VMCLEAR_INVALID_ADDRESS);
	CHECK_EQ(try_vmclear(BEYOND_MEMORY), VMX_FAIL_VALID);
	CHECK_EQ(vmxt_error(), VMXERR_VMCLEAR_INVALID_ADDRESS);
	CHECK_EQ(try_vmclear(t->vmxon_region), VMX_FAIL_VALID);
	CHECK_EQ(vmxt_error(), VMXERR_VMCLEAR_VMXON_POINTER);
	CHECK_EQ(vmptrst(), t->vmcs);
	CHECK_EQ(try_vmclear(t->other_vmcs), VMX_OK);
	CHECK_EQ(vmptrst(), t->vmcs);
	CHECK_EQ(try_vmclear(t->vmcs), VMX_OK);
	CHECK_EQ(vmptrst(), VMX_NO_POINTER);
}

static void vmptrld_operands(struct vmxt *t)
{
	u32 *revision = (u32 *)t->other_vmcs;

	forget_vmcs(t);
	CHECK_EQ(try_vmptrld(t->vmcs + 8), VMX_FAIL_INVALID);
	vmxt_prepare(t, NULL);
	CHECK_EQ(try_vmptrld(t->other_vmcs + 8), VMX_FAIL_VALID);
	CHECK_EQ(vmxt_error(), VMXERR_VMPTRLD_INVALID_ADDRESS);
	CHECK_EQ(try_vmptrld(t->vmxon_region), VMX_FAIL_VALID);
	CHECK_EQ(vmxt_error(), VMXERR_VMPTRLD_VMXON_POINTER);
	*revision ^= 1;
	CHECK_EQ(try_vmptrld(t->other_vmcs), VMX_FAIL_VALID);
	CHECK_EQ(vmxt_error(), VMXERR_VMPTRLD_WRONG_REVISION);
	*revision ^= 1;
	CHECK_EQ(vmptrst(), t->vmcs);
	CHECK_EQ(try_vmptrld(t->other_vmcs), VMX_OK);
	CHECK_EQ(vmptrst(), t->other_vmcs);
}

static void no_current_vmcs(struct vmxt *t)
{
	u64 v = 0;

	forget_vmcs(t);
	CHECK_EQ(try_vmread(VMCS_GUEST_RIP, &v), VMX_FAIL_INVALID);
	CHECK_EQ(try_vmwrite(VMCS_GUEST_RIP, v), VMX_FAIL_INVALID);
	CHECK_EQ(TRY("vmlaunch", "i"(0)), VMX_FAIL_INVALID);
	CHECK_EQ(TRY("vmresume", "i"(0)), VMX_FAIL_INVALID);
	CHECK_EQ(TRY("vmcall", "i"(0)), VMX_FAIL_INVALID);
}

static void vmread_bad_fields(struct vmxt *t)
{
	static const u32 bad[] = {0x0fffe, 0x6fff, 0x9000, 0x4c02, 0x1001};
	u64 v = 0x1234;

	vmxt_prepare(t, NULL);
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		vmxt_note("field", bad[i]);
		CHECK_EQ(try_vmread(bad[i], &v), VMX_FAIL_VALID);
		CHECK_EQ(vmxt_error(), VMXERR_UNSUPPORTED_COMPONENT);
		CHECK_EQ(v, 0x1234);
		CHECK_EQ(try_vmwrite(bad[i], 0), VMX_FAIL_VALID);
		CHECK_EQ(vmxt_error(), VMXERR_UNSUPPORTED_COMPONENT);
	}
	/* the upper half of a field that has none */
	CHECK_EQ(try_vmread(VMCS_GUEST_RIP | VMCS_HIGH, &v), VMX_FAIL_VALID);
	CHECK_EQ(vmxt_error(), VMXERR_UNSUPPORTED_COMPONENT);
}

static const struct {
	u32 encoding;
	const char *name;
	u32 flags, need;
} fields[] = {
#define VMCS_FIELD(encoding, NAME, name, width, class, flags, need, source) \
	{encoding, #name, flags, NEED_##need},
#include "l0/arch/vmcs_fields.def"
#undef VMCS_FIELD
};

/* Bits that a field keeps of what is written to it. */
static u64 field_mask(u32 encoding)
{
	switch (VMCS_ENCODING_WIDTH(encoding)) {
	case VMCS_WIDTH_16: return 0xffff;
	case VMCS_WIDTH_32: return 0xffffffff;
	default: return ~0ull;
	}
}

/* Every field that every processor has: what is written is read, cut to the field's width. */
static void all_fields(struct vmxt *t)
{
	static const u64 patterns[] = {0, ~0ull, 0x0123456789abcdefull, 0xfedcba9876543210ull};
	u64 v, want;

	vmxt_prepare(t, NULL);
	for (u32 i = 0; i < ARRAY_SIZE(fields); i++) {
		u32 e = fields[i].encoding;

		if (fields[i].need != NEED_ALWAYS || (fields[i].flags & FIELD_READ_ONLY) ||
		    e == VMCS_GUEST_SMBASE || e == VMCS_EXECUTIVE_VMCS_POINTER)
			continue;
		for (u32 p = 0; p < ARRAY_SIZE(patterns); p++) {
			vmxt_note(fields[i].name, e);
			want = patterns[p] & field_mask(e);
			/* access rights: only the defined bits need be kept */
			if (e >= VMCS_GUEST_ES_AR_BYTES && e <= VMCS_GUEST_TR_AR_BYTES)
				want &= 0x1f0ff;
			CHECK_EQ(try_vmwrite(e, patterns[p]), VMX_OK);
			v = 0x7777;
			CHECK_EQ(try_vmread(e, &v), VMX_OK);
			if (e >= VMCS_GUEST_ES_AR_BYTES && e <= VMCS_GUEST_TR_AR_BYTES)
				v &= 0x1f0ff;
			CHECK_EQ(v, want);
			if (VMCS_ENCODING_WIDTH(e) != VMCS_WIDTH_64)
				continue;
			CHECK_EQ(try_vmread(e | VMCS_HIGH, &v), VMX_OK);
			CHECK_EQ(v, patterns[p] >> 32);
			CHECK_EQ(try_vmwrite(e | VMCS_HIGH, 0xabcdef), VMX_OK);
			CHECK_EQ(try_vmread(e, &v), VMX_OK);
			CHECK_EQ(v, 0xabcdefull << 32 | (u32)patterns[p]);
		}
	}
}

static void read_only_fields(struct vmxt *t)
{
	bool any = cpu_rdmsr(MSR_IA32_VMX_MISC) & VMX_MISC_VMWRITE_ANY;
	u64 v;

	vmxt_prepare(t, NULL);
	for (u32 i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].need != NEED_ALWAYS || !(fields[i].flags & FIELD_READ_ONLY))
			continue;
		vmxt_note(fields[i].name, fields[i].encoding);
		CHECK_EQ(try_vmread(fields[i].encoding, &v), VMX_OK);
		if (any) {
			CHECK_EQ(try_vmwrite(fields[i].encoding, 1), VMX_OK);
		} else {
			CHECK_EQ(try_vmwrite(fields[i].encoding, 1), VMX_FAIL_VALID);
			CHECK_EQ(vmxt_error(), VMXERR_VMWRITE_READ_ONLY);
		}
	}
}

/* A VMCS keeps its fields while others are current and after VMCLEAR. */
static void fields_survive(struct vmxt *t)
{
	vmxt_prepare(t, NULL);
	vmwrite(VMCS_GUEST_RSP, 0x1111);
	vmwrite(VMCS_GUEST_CR3, 0x3000);
	vmx_vmclear((void *)t->other_vmcs);
	vmx_vmptrld((void *)t->other_vmcs);
	vmwrite(VMCS_GUEST_RSP, 0x2222);
	vmx_vmptrld((void *)t->vmcs);
	CHECK_EQ(vmread(VMCS_GUEST_RSP), 0x1111);
	vmx_vmclear((void *)t->vmcs);
	vmx_vmptrld((void *)t->vmcs);
	CHECK_EQ(vmread(VMCS_GUEST_RSP), 0x1111);
	CHECK_EQ(vmread(VMCS_GUEST_CR3), 0x3000);
	vmx_vmptrld((void *)t->other_vmcs);
	CHECK_EQ(vmread(VMCS_GUEST_RSP), 0x2222);
}

static void guest_calls_once(void)
{
	for (u64 i = 1;; i++)
		guest_call(i);
}

static void launch_states(struct vmxt *t)
{
	vmxt_prepare(t, guest_calls_once);
	t->launched = true; /* VMRESUME of a clear VMCS */
	vmxt_enter(t);
	CHECK(t->entry_flags & RFLAGS_ZF);
	CHECK_EQ(vmxt_error(), VMXERR_VMRESUME_NOT_LAUNCHED);
	t->launched = false;
	EXPECT_CALL(t, 1);
	t->launched = false; /* VMLAUNCH of a launched one */
	vmxt_enter(t);
	CHECK(t->entry_flags & RFLAGS_ZF);
	CHECK_EQ(vmxt_error(), VMXERR_VMLAUNCH_NOT_CLEAR);
	t->launched = true;
	EXPECT_CALL(t, 2);
	vmx_vmclear((void *)t->vmcs);
	vmx_vmptrld((void *)t->vmcs);
	t->launched = true;
	vmxt_enter(t);
	CHECK_EQ(vmxt_error(), VMXERR_VMRESUME_NOT_LAUNCHED);
	t->launched = false;
	EXPECT_CALL(t, 3);
}

static void vmcall_in_root(struct vmxt *t)
{
	vmxt_prepare(t, NULL);
	CHECK_EQ(TRY("vmcall", "i"(0)), VMX_FAIL_VALID);
	CHECK_EQ(vmxt_error(), VMXERR_VMCALL_IN_ROOT);
}

/* Success clears all six arithmetic flags. */
static void success_clears_flags(struct vmxt *t)
{
	u64 flags, pa = t->vmcs;

	vmxt_prepare(t, NULL);
	__asm__ volatile("mov $0xff, %%eax; add $0x7fffff81, %%eax; stc; vmptrld %1; pushfq; pop %0"
			 : "=r"(flags)
			 : "m"(pa)
			 : "rax", "cc", "memory");
	CHECK_EQ(flags & ARITH, 0);
	__asm__ volatile("stc; vmwrite %1, %2; pushfq; pop %0"
			 : "=r"(flags)
			 : "r"(0ull), "r"((u64)VMCS_GUEST_RSP)
			 : "cc", "memory");
	CHECK_EQ(flags & ARITH, 0);
	__asm__ volatile("stc; vmwrite %1, %2; pushfq; pop %0"
			 : "=r"(flags)
			 : "r"(0ull), "r"(0x6ffeull)
			 : "cc", "memory");
	CHECK_EQ(flags & ARITH, RFLAGS_ZF);
}

static enum vmxt_status invept(u64 type, u64 eptp, u64 reserved)
{
	u64 d[2] = {eptp, reserved};

	return TRY("invept %[d], %[t]", [d] "m"(d), [t] "r"(type));
}

static enum vmxt_status invvpid(u64 type, u64 vpid, u64 address)
{
	u64 d[2] = {vpid, address};

	return TRY("invvpid %[d], %[t]", [d] "m"(d), [t] "r"(type));
}

static void invept_operands(struct vmxt *t)
{
	u64 eptp = t->vmcs | EPTP_WALK_4 | EPTP_TYPE_WB;

	NEED(t->caps.ept_vpid & EPT_CAP_INVEPT, "no INVEPT");
	vmxt_prepare(t, NULL);
	CHECK_EQ(invept(0, eptp, 0), VMX_FAIL_VALID);
	CHECK_EQ(vmxt_error(), VMXERR_INVALID_INVEPT_INVVPID);
	CHECK_EQ(invept(3, eptp, 0), VMX_FAIL_VALID);
	if (t->caps.ept_vpid & EPT_CAP_INVEPT_SINGLE) {
		CHECK_EQ(invept(INVEPT_SINGLE, eptp, 0), VMX_OK);
		CHECK_EQ(invept(INVEPT_SINGLE, eptp | EPTP_RESERVED, 0), VMX_FAIL_VALID);
		CHECK_EQ(vmxt_error(), VMXERR_INVALID_INVEPT_INVVPID);
	}
	if (t->caps.ept_vpid & EPT_CAP_INVEPT_ALL)
		CHECK_EQ(invept(INVEPT_ALL, ~0ull, 0), VMX_OK);
}

static void invvpid_operands(struct vmxt *t)
{
	u64 cap = t->caps.ept_vpid;

	NEED(cap & VPID_CAP_INVVPID, "no INVVPID");
	vmxt_prepare(t, NULL);
	CHECK_EQ(invvpid(4, 1, 0), VMX_FAIL_VALID);
	CHECK_EQ(vmxt_error(), VMXERR_INVALID_INVEPT_INVVPID);
	if (cap & VPID_CAP_ADDRESS) {
		CHECK_EQ(invvpid(INVVPID_ADDRESS, 1, 0x1000), VMX_OK);
		CHECK_EQ(invvpid(INVVPID_ADDRESS, 0, 0x1000), VMX_FAIL_VALID);
		CHECK_EQ(invvpid(INVVPID_ADDRESS, 1, 1ull << 62), VMX_FAIL_VALID);
		CHECK_EQ(invvpid(INVVPID_ADDRESS, 0x10001, 0x1000), VMX_FAIL_VALID);
	}
	if (cap & VPID_CAP_SINGLE) {
		CHECK_EQ(invvpid(INVVPID_SINGLE, 1, 0), VMX_OK);
		CHECK_EQ(invvpid(INVVPID_SINGLE, 0, 0), VMX_FAIL_VALID);
	}
	if (cap & VPID_CAP_ALL)
		CHECK_EQ(invvpid(INVVPID_ALL, 0, 0), VMX_OK);
	if (cap & VPID_CAP_SINGLE_NON_GLOBAL)
		CHECK_EQ(invvpid(INVVPID_SINGLE_NON_GLOBAL, 1, 0), VMX_OK);
}

/* What the capability MSRs promise of each other. */
static void capability_msrs(struct vmxt *t)
{
	u64 basic = cpu_rdmsr(MSR_IA32_VMX_BASIC), plain, exact;

	CHECK((basic & 0x80000000) == 0);
	CHECK((basic >> VMX_BASIC_SIZE_SHIFT & 0x1fff) <= 4096);
	for (u32 i = 0; i < 4; i++) {
		plain = cpu_rdmsr(MSR_IA32_VMX_PINBASED_CTLS + i);
		vmxt_note("MSR", MSR_IA32_VMX_PINBASED_CTLS + i);
		CHECK(!((u32)plain & ~(u32)(plain >> 32)));
		if (!(basic & VMX_BASIC_TRUE_CTLS))
			continue;
		exact = cpu_rdmsr(MSR_IA32_VMX_TRUE_PINBASED_CTLS + i);
		CHECK_EQ(exact >> 32, plain >> 32);
		CHECK(!((u32)exact & ~(u32)plain));
	}
	CHECK(!(t->caps.cr0_fixed0 & ~t->caps.cr0_fixed1));
	CHECK(!(t->caps.cr4_fixed0 & ~t->caps.cr4_fixed1));
	CHECK(t->caps.cr4_fixed0 & CR4_VMXE);
	vmxt_note("", 0);
	CHECK_EQ(TRY("wrmsr", "c"(MSR_IA32_VMX_BASIC), "a"(0), "d"(0)), VMX_FAULT);
	CHECK_EQ(vmxt_fault, VECTOR_GP);
	CHECK_EQ(TRY("wrmsr", "c"(MSR_IA32_FEATURE_CONTROL), "a"(5), "d"(0)), VMX_FAULT);
	CHECK_EQ(vmxt_fault, VECTOR_GP);
}

const struct vmxt_case vmxt_insn_cases[] = {
	{"insn: capability MSRs agree with each other", capability_msrs},
	{"insn: VMXON checks its operand", vmxon_operands},
	{"insn: VMXON in root operation fails", vmxon_again},
	{"insn: VMXON without CR4.VMXE is #UD", vmxon_without_vmxe},
	{"insn: CR4.VMXE and CR0.NE stay set", cr4_vmxe_is_fixed},
	{"insn: outside VMX operation all is #UD", outside_vmx},
	{"insn: VMCLEAR checks its operand", vmclear_operands},
	{"insn: VMPTRLD checks its operand", vmptrld_operands},
	{"insn: without a current VMCS all is VMfailInvalid", no_current_vmcs},
	{"insn: fields that do not exist", vmread_bad_fields},
	{"insn: every field keeps what is written", all_fields},
	{"insn: read-only fields", read_only_fields},
	{"insn: a VMCS survives others and VMCLEAR", fields_survive},
	{"insn: launch states", launch_states},
	{"insn: VMCALL in root operation fails", vmcall_in_root},
	{"insn: success clears the arithmetic flags", success_clears_flags},
	{"insn: INVEPT", invept_operands},
	{"insn: INVVPID", invvpid_operands},
	{NULL, NULL},
};
