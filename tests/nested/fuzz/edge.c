/*
 * Near-valid VMCSs: one that passes, in one of the modes of a guest and with controls at random,
 * then
 * one to three fields at the boundary of a check: allowed settings, canonical and physical-width
 * edges, alignment, the end of RAM, devices, each kind of access rights, MSR lists. What the SDM
 * makes of it (oracle.c) must be what the processor does.
 *
 * The L2 executes one instruction, CPUID, or a harmless one before it, in a sandbox behind its own
 * EPT.
 */
#include "tests/nested/fuzz/edge.h"
#include "tests/nested/fuzz/fuzz.h"

#define TABLES 0x1000ull
#define CODE 0x10000ull
#define GDT 0x8000ull
#define IDT 0xa000ull
#define TSS 0x8800ull
#define PICK(...) pick((const u64[]){__VA_ARGS__}, sizeof((const u64[]){__VA_ARGS__}) / sizeof(u64))

static const struct {
	u32 encoding, class, need;
} fields[] = {
#define VMCS_FIELD(encoding, NAME, name, width, class, flags, need, source) \
	{encoding, VMCS_CLASS_##class, NEED_##need},
#include "l0/arch/vmcs_fields.def"
#undef VMCS_FIELD
};

static u64 good_host[ARRAY_SIZE(fields)];
static u8 *sandbox;
static u64 *ept, ram_end, shadow_region;
static u8 *page_of[8]; /* of this program, one for each use of a page by the VMCS */
static struct vmx_msr_entry *msrs;

static u64 pick(const u64 *list, u64 n)
{
	return list[below(n)];
}

void edge_init(struct vmxt *t, u8 *room, u64 *tables, u64 memory_end)
{
	u32 *region;

	sandbox = room;
	ept = tables;
	ram_end = memory_end;
	for (u32 i = 0; i < ARRAY_SIZE(page_of); i++)
		page_of[i] = page_alloc(1, PAGE_SIZE);
	msrs = page_alloc(3, PAGE_SIZE);
	region = page_alloc(1, PAGE_SIZE);
	*region = t->caps.revision | 1u << 31;
	shadow_region = (u64)region;
	oracle_init(t, memory_end);
}

/* --- the L2 ----------------------------------------------------------------------------------- */

/* One page is mapped by another entry of the PML4 than its neighbours, for long mode; without
 * paging, with 32-bit and with PAE paging the first 4 MiB come from the tables at other places. */
static void fill_tables(void)
{
	u64 *pml4 = (u64 *)(sandbox + TABLES), *pdpt = pml4 + 512, *pd = pdpt + 512;
	u32 *pd32 = (u32 *)(sandbox + 0x5000);

	memset(sandbox, 0, 0x10000);
	pml4[0] = (TABLES + 0x1000) | 7;
	pdpt[0] = (TABLES + 0x2000) | 7;
	for (u64 i = 0; i < 2; i++)
		pd[i] = i * PAGE_SIZE_2M | 0x87;
	((u64 *)(sandbox + 0x4000))[0] = (TABLES + 0x2000) | 1; /* PAE */
	pd32[0] = 0x87;						/* 4 MiB */
}

static void fill_code(void)
{
	static const u8 before[][8] = {
		{0xe4, 0x80},	    /* in al, 80h */
		{0x0f, 0x31},	    /* rdtsc */
		{0x0f, 0x32},	    /* rdmsr */
		{0x0f, 0x01, 0xd4}, /* vmfunc */
		{0x0f, 0x20, 0xd8}, /* mov eax, cr3 */
		{0x0f, 0x78, 0xc8}, /* vmread eax, ecx */
		{0x88, 0x00},	    /* mov [eax], al */
		{0xf4},		    /* hlt */
	};
	u8 *p = sandbox + CODE;

	for (u32 i = 0; i < PAGE_SIZE; i += 2)
		p[i] = 0x0f, p[i + 1] = 0xa2; /* cpuid */
	if (below(2))
		memcpy(p, before[below(ARRAY_SIZE(before))], 2);
	for (u32 i = 0; i < 256; i++) {
		u64 to = CODE + 0x100 + 2 * below(256), *gate = (u64 *)(sandbox + IDT) + 2 * i;

		gate[0] = (to & 0xffff) | 8ull << 16 | 0x8eull << 40 | (to >> 16) << 48;
		gate[1] = 0;
	}
	((u64 *)(sandbox + GDT))[1] = 0x00af9b000000ffff;
	((u64 *)(sandbox + GDT))[2] = 0x00cf93000000ffff;
	for (u32 i = 0; i < 13; i++)
		((u64 *)(sandbox + TSS))[i] = 0x9000;
}

static void write_segment(u32 seg, u64 sel, u64 base, u64 limit, u64 ar)
{
	vmwrite(VMCS_GUEST_ES_SELECTOR + VMCS_SEG_STEP * seg, sel);
	vmwrite(VMCS_GUEST_ES_BASE + VMCS_SEG_STEP * seg, base);
	vmwrite(VMCS_GUEST_ES_LIMIT + VMCS_SEG_STEP * seg, limit);
	vmwrite(VMCS_GUEST_ES_AR_BYTES + VMCS_SEG_STEP * seg, ar);
}

static void clear_bits(u32 field, u64 bits)
{
	vmwrite(field, vmread(field) & ~bits);
}

static void legacy_mode(struct vmxt *t)
{
	clear_bits(VMCS_VM_ENTRY_CONTROLS, ENTRY_CTL_IA32E);
	clear_bits(VMCS_GUEST_IA32_EFER, EFER_LMA | EFER_LME);
	clear_bits(VMCS_GUEST_CR4, CR4_PAE | CR4_PCIDE);
	vmwrite(VMCS_GUEST_CS_AR_BYTES, 0xc09b);
	vmwrite(VMCS_GUEST_CR3, 0x5000);
	switch (below(5)) {
	case 0: /* virtual-8086 */
		vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_VM);
		for (u32 i = VMCS_SEG_ES; i <= VMCS_SEG_GS; i++)
			write_segment(i, 0x1000, 0x10000, 0xffff, 0xf3);
		vmwrite(VMCS_GUEST_RIP, 0);
		break;
	case 1: /* PAE */
		vmwrite(VMCS_GUEST_CR4, vmread(VMCS_GUEST_CR4) | CR4_PAE);
		vmwrite(VMCS_GUEST_CR3, 0x4000);
		vmwrite(VMCS_GUEST_PDPTR0, (TABLES + 0x2000) | 1);
		break;
	case 2: /* real mode */
		if (!vmxt_control(t, VMX_PROC2, PROC2_UNRESTRICTED_GUEST))
			break;
		clear_bits(VMCS_GUEST_CR0, CR0_PE | CR0_PG);
		for (u32 i = VMCS_SEG_ES; i <= VMCS_SEG_GS; i++)
			write_segment(i, 0x1000, 0x10000, 0xffff, i == VMCS_SEG_CS ? 0x9b : 0x93);
		vmwrite(VMCS_GUEST_RIP, 0);
		break;
	case 3: /* without paging */
		if (vmxt_control(t, VMX_PROC2, PROC2_UNRESTRICTED_GUEST))
			clear_bits(VMCS_GUEST_CR0, CR0_PG);
		break;
	}
}

static void user_mode(void)
{
	for (u32 i = VMCS_SEG_ES; i <= VMCS_SEG_GS; i++) {
		u32 sel = VMCS_GUEST_ES_SELECTOR + VMCS_SEG_STEP * i,
		    ar = VMCS_GUEST_ES_AR_BYTES + VMCS_SEG_STEP * i;

		vmwrite(sel, vmread(sel) | 3);
		vmwrite(ar, vmread(ar) | 0x60);
	}
}

/* --- the VMCS that passes --------------------------------------------------------------------- */

/* Any of the allowed controls, less what contradicts itself. */
static void any_controls(struct vmxt *t)
{
	static const struct {
		enum vmx_control word;
		u32 mask;
	} words[] = {
		{VMX_PIN, ~0u},
		{VMX_PROC, ~0u},
		{VMX_PROC2, ~0u},
		{VMX_EXIT, ~0u},
		{VMX_ENTRY, ~(u32)ENTRY_CTL_IA32E},
	};

	for (u32 i = 0; i < ARRAY_SIZE(words); i++)
		for (u32 bit = 0; bit < 32; bit++)
			if ((words[i].mask >> bit & 1) && below(3) == 0)
				vmxt_control(t, words[i].word, 1u << bit);
	if (below(16) == 0)
		return;
	vmxt_control(t, VMX_PIN, PIN_EXTERNAL_INTERRUPT | PIN_NMI);
	if (!vmxt_control(t, VMX_PIN, PIN_PREEMPTION_TIMER))
		clear_bits(VMCS_VM_EXIT_CONTROLS, EXIT_CTL_SAVE_PREEMPTION_TIMER);
	if (!(vmread(VMCS_PIN_BASED_VM_EXEC_CONTROL) & PIN_VIRTUAL_NMIS))
		clear_bits(VMCS_CPU_BASED_VM_EXEC_CONTROL, PROC_NMI_WINDOW);
	if (!t->caps.has_secondary)
		return;
	if (!vmxt_control(t, VMX_PROC, PROC_TPR_SHADOW))
		clear_bits(VMCS_SECONDARY_VM_EXEC_CONTROL,
			   PROC2_X2APIC | PROC2_APIC_REGISTER | PROC2_VIRTUAL_INTERRUPT);
	clear_bits(VMCS_SECONDARY_VM_EXEC_CONTROL, below(2) ? PROC2_X2APIC : PROC2_APIC_ACCESSES);
	if (!(vmread(VMCS_SECONDARY_VM_EXEC_CONTROL) & PROC2_VIRTUAL_INTERRUPT) ||
	    !vmxt_control(t, VMX_EXIT, EXIT_CTL_ACK_INTERRUPT))
		clear_bits(VMCS_PIN_BASED_VM_EXEC_CONTROL, PIN_POSTED_INTERRUPTS);
}

static void good_pages(void)
{
	static const u32 at[] = {VMCS_VIRTUAL_APIC_PAGE_ADDR, VMCS_APIC_ACCESS_ADDR,
				 VMCS_POSTED_INTR_DESC_ADDR,  VMCS_PML_ADDRESS,
				 VMCS_EPTP_LIST_ADDRESS,      VMCS_VMREAD_BITMAP,
				 VMCS_VMWRITE_BITMAP,	      VMCS_VE_INFO_ADDRESS};

	for (u32 i = 0; i < ARRAY_SIZE(at); i++) {
		memset(page_of[i],
		       at[i] == VMCS_VMREAD_BITMAP || at[i] == VMCS_VMWRITE_BITMAP ? -1 : 0,
		       PAGE_SIZE);
		try_vmwrite(at[i], (u64)page_of[i]);
	}
	((u64 *)page_of[4])[0] = (u64)ept | EPTP_WALK_4 | EPTP_TYPE_WB;
	static const u32 none[] = {VMCS_TPR_THRESHOLD,
				   VMCS_POSTED_INTR_NV,
				   VMCS_VM_FUNCTION_CONTROL,
				   VMCS_GUEST_PDPTR0,
				   VMCS_GUEST_PDPTR1,
				   VMCS_GUEST_PDPTR2,
				   VMCS_GUEST_PDPTR3,
				   VMCS_GUEST_INTR_STATUS,
				   VMCS_GUEST_IA32_PERF_GLOBAL_CTRL,
				   VMCS_HOST_IA32_PERF_GLOBAL_CTRL};

	for (u32 i = 0; i < ARRAY_SIZE(none); i++)
		try_vmwrite(none[i], 0);
	try_vmwrite(VMCS_TSC_MULTIPLIER, 1ull << 48);
	try_vmwrite(VMCS_VPID, 1);
	try_vmwrite(VMCS_GUEST_PML_INDEX, below(4));
	try_vmwrite(VMCS_VMX_PREEMPTION_TIMER_VALUE, 1000);
}

static void base_state(struct vmxt *t)
{
	vmxt_prepare(t, (vmxt_guest_fn)CODE);
	any_controls(t);
	vmxt_control(t, VMX_PROC2, PROC2_EPT);
	vmxt_control(t, VMX_EXIT, EXIT_CTL_LOAD_EFER);
	vmxt_control(t, VMX_ENTRY, ENTRY_CTL_LOAD_EFER);
	vmwrite(VMCS_HOST_IA32_EFER, cpu_rdmsr(MSR_IA32_EFER));
	vmwrite(VMCS_GUEST_IA32_EFER, EFER_LMA | EFER_LME);
	try_vmwrite(VMCS_HOST_IA32_PAT, cpu_rdmsr(MSR_IA32_PAT));
	try_vmwrite(VMCS_GUEST_IA32_PAT, cpu_rdmsr(MSR_IA32_PAT));
	vmwrite(VMCS_EPT_POINTER, (u64)ept | EPTP_WALK_4 | EPTP_TYPE_WB);
	vmwrite(VMCS_GUEST_CR3, TABLES);
	vmwrite(VMCS_GUEST_RSP, 0x7800);
	vmwrite(VMCS_GUEST_GDTR_BASE, GDT);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, 0x3ff);
	vmwrite(VMCS_GUEST_IDTR_BASE, IDT);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0xfff);
	vmwrite(VMCS_GUEST_TR_BASE, TSS);
	good_pages();
	if (below(3) == 0)
		legacy_mode(t);
	else if (below(3) == 0)
		user_mode();
	for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].class == VMCS_CLASS_HOST)
			try_vmread(fields[i].encoding, &good_host[i]);
}

/* --- values at the boundaries ----------------------------------------------------------------- */

static u64 physical(u64 old)
{
	u32 r[4];
	u64 width;

	cpu_id(0x80000008, 0, r);
	width = r[0] & 0xff;
	return PICK(0, old | 1, old | 8, old | 0x10, old | 0x40, old | 0x800, ram_end - PAGE_SIZE,
		    ram_end - 16, ram_end, (1ull << width) - PAGE_SIZE, (1ull << width) - 16,
		    1ull << width, 1ull << 63, 0xfee00000, fuzz_device(), fuzz_device(),
		    old | 1ull << below(64));
}

static u64 linear(u64 old)
{
	u32 bits = below(2) ? 48 : 57;

	return PICK(0, (1ull << (bits - 1)) - 1, 1ull << (bits - 1), ~0ull << (bits - 1),
		    (~0ull << (bits - 1)) - 1, 1ull << bits, ~0ull << bits, 0xffffffff, 1ull << 32,
		    ~0ull, old ^ 1ull << below(64));
}

static u64 access_rights(u64 old)
{
	return PICK(old ^ 1u << below(17), old ^ 1u << below(32), (old & ~0xfull) | below(16),
		    (old & ~0x60ull) | below(4) << 5, old ^ below(0x100), rnd() & 0x1f0ff, 0x10000,
		    (old & ~0xe000ull) | below(8) << 13);
}

static u64 event_value(void)
{
	u64 type = below(8), vector = type == 2	  ? 2
				      : type == 7 ? 0
				      : below(3)  ? below(32)
						  : below(256);
	u64 v = 1ull << 31 | type << 8 | (below(8) ? vector : below(256));

	if (type == 3 && (vector == 8 || (vector >= 10 && vector <= 14) || vector == 17))
		v |= 1 << 11;
	return below(4) ? v : v ^ 1ull << below(32);
}

static u64 eptp_value(void)
{
	u64 at = below(2) ? (u64)ept : physical((u64)ept) & ~0xfffull;
	u64 low = below(4) ? 0x1e | (below(4) == 0) << 6 : below(0x1000);

	/* no memory of this program that holds anything else */
	return (at != (u64)ept && at < ram_end - PAGE_SIZE ? (u64)ept : at) | low;
}

static u64 control_register(u64 old)
{
	return PICK(old ^ 1ull << below(32), old ^ 1ull << below(64), 0, ~0ull,
		    old ^ (CR0_PE | CR0_PG), old ^ 1ull << below(23));
}

static void fill_msr_list(void)
{
	static const u32 any[] = {MSR_IA32_SYSENTER_CS,
				  MSR_IA32_SYSENTER_ESP,
				  MSR_IA32_SYSENTER_EIP,
				  MSR_IA32_PAT,
				  MSR_IA32_STAR,
				  MSR_IA32_LSTAR,
				  MSR_IA32_FMASK,
				  MSR_IA32_KERNEL_GS_BASE,
				  MSR_IA32_FS_BASE,
				  MSR_IA32_GS_BASE,
				  MSR_IA32_TSC_AUX,
				  MSR_IA32_BIOS_SIGN_ID,
				  MSR_IA32_SMM_MONITOR_CTL,
				  0x7ff,
				  0x800,
				  0x808,
				  0x8ff,
				  0x12345,
				  MSR_IA32_VMX_BASIC};
	u64 pat = cpu_rdmsr(MSR_IA32_PAT);

	for (u32 i = 0; i < 768; i++)
		msrs[i] = (struct vmx_msr_entry){MSR_IA32_SYSENTER_CS, 0, 8};
	for (u32 i = 0; i < 4; i++) {
		msrs[i].index = any[below(below(2) ? 8 : ARRAY_SIZE(any))];
		msrs[i].value = msrs[i].index == MSR_IA32_PAT
					? (below(2) ? pat : pat ^ 1ull << below(64))
					: linear(0);
		msrs[i].reserved = below(8) ? 0 : 1u << below(32);
	}
	if (below(2))
		vmwrite(VMCS_VM_ENTRY_MSR_LOAD_ADDR,
			below(4) ? (u64)msrs : PICK(ram_end - 16, ram_end - 32, (u64)msrs + 16));
}

static bool is_between(u32 e, u32 first, u32 last)
{
	return e >= first && e <= last;
}

static u64 guest_value(struct vmxt *t, u32 e, u64 old)
{
	if (is_between(e, VMCS_GUEST_ES_SELECTOR, VMCS_GUEST_TR_SELECTOR))
		return below(4) ? old ^ below(8) : rnd();
	if (is_between(e, VMCS_GUEST_ES_AR_BYTES, VMCS_GUEST_TR_AR_BYTES))
		return access_rights(old);
	if (is_between(e, VMCS_GUEST_ES_LIMIT, VMCS_GUEST_IDTR_LIMIT))
		return PICK(0, 0xfff, 0xffff, 0x10000, 0xfffff, 0x100000, 0xfffff000, ~0u, 0x1000,
			    old ^ 1u << below(32));
	switch (e) {
	case VMCS_GUEST_CR0:
	case VMCS_GUEST_CR4: return control_register(old);
	case VMCS_GUEST_CR3: return PICK(physical(old), linear(old));
	case VMCS_GUEST_IA32_EFER:
		return old ^ PICK(1, 1 << 8, 1 << 10, 5 << 8, 1 << 11, 1ull << below(64));
	case VMCS_GUEST_IA32_DEBUGCTL: return 1ull << below(below(2) ? 64 : 16);
	case VMCS_GUEST_DR7: return 0x400 | 1ull << below(64);
	case VMCS_GUEST_IA32_PAT: return old ^ 1ull << below(64);
	case VMCS_GUEST_IA32_PERF_GLOBAL_CTRL: return 1ull << below(64);
	case VMCS_GUEST_RFLAGS: return old ^ 1ull << below(below(4) ? 23 : 64);
	case VMCS_GUEST_ACTIVITY_STATE: return PICK(0, 1, 2, 3, 4, ~0u);
	case VMCS_GUEST_INTERRUPTIBILITY_INFO: return below(4) ? below(32) : 1ull << below(32);
	case VMCS_GUEST_PENDING_DBG_EXCEPTIONS:
		return PICK(1ull << 14, 1ull << below(64), 0x5003, below(0x20));
	case VMCS_VMCS_LINK_POINTER:
		return PICK(t->vmcs, t->other_vmcs, shadow_region, shadow_region,
			    physical(t->other_vmcs), VMX_NO_POINTER - 1);
	case VMCS_GUEST_PDPTR0:
	case VMCS_GUEST_PDPTR1:
	case VMCS_GUEST_PDPTR2:
	case VMCS_GUEST_PDPTR3: return PICK(1, 0x1e6, 1 | 1ull << below(64), (TABLES + 0x2000) | 1);
	}
	return linear(old);
}

static u64 control_value(u32 e, u64 old)
{
	switch (e) {
	case VMCS_PIN_BASED_VM_EXEC_CONTROL:
	case VMCS_CPU_BASED_VM_EXEC_CONTROL:
	case VMCS_SECONDARY_VM_EXEC_CONTROL:
	case VMCS_VM_EXIT_CONTROLS:
	case VMCS_VM_ENTRY_CONTROLS: return below(16) ? old ^ 1u << below(32) : PICK(0, ~0u, rnd());
	case VMCS_CR3_TARGET_COUNT: return PICK(0, 4, 5, 0x100, 0x1ff, 0x200, ~0u);
	case VMCS_VM_EXIT_MSR_STORE_COUNT:
	case VMCS_VM_EXIT_MSR_LOAD_COUNT:
	case VMCS_VM_ENTRY_MSR_LOAD_COUNT: return PICK(1, 2, 3, 4, 512, 513, 1u << 31, ~0u);
	case VMCS_VPID: return PICK(0, 1, 0xffff, 0x10000);
	case VMCS_EPT_POINTER: return eptp_value();
	case VMCS_VM_ENTRY_INTR_INFO_FIELD: return event_value();
	case VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE: return PICK(0xffff, 0x8000, 0x10000, ~0u);
	case VMCS_VM_ENTRY_INSTRUCTION_LEN: return PICK(0, 1, 15, 16, ~0u);
	case VMCS_TPR_THRESHOLD: return PICK(0, 1, 15, 16, 0x80, ~0u);
	case VMCS_POSTED_INTR_NV: return PICK(0, 0xff, 0x100, 0xffff);
	case VMCS_VM_FUNCTION_CONTROL: return PICK(0, 1, 2, 1ull << 63);
	case VMCS_TSC_MULTIPLIER: return PICK(0, 1, 1ull << 63, ~0ull);
	case VMCS_EXCEPTION_BITMAP: return rnd();
	}
	return e >= 0x2000 && e < 0x2030 ? physical(old) : old ^ 1ull << below(64);
}

static u64 host_value(u32 e, u64 old)
{
	if (is_between(e, VMCS_HOST_ES_SELECTOR, VMCS_HOST_TR_SELECTOR))
		return below(2) ? old ^ below(8) : 0;
	switch (e) {
	case VMCS_HOST_CR0:
	case VMCS_HOST_CR4: return control_register(old);
	case VMCS_HOST_CR3: return physical(old);
	case VMCS_HOST_IA32_EFER: return old ^ PICK(1 << 8, 1 << 10, 5 << 8, 1ull << below(64));
	case VMCS_HOST_IA32_PAT: return old ^ 1ull << below(64);
	case VMCS_HOST_IA32_PERF_GLOBAL_CTRL: return 1ull << below(64);
	}
	return linear(old);
}

static void mutate(struct vmxt *t)
{
	for (u64 n = below(8) ? 1 : below(4); n; n--) {
		u32 i = (u32)below(ARRAY_SIZE(fields)), e = fields[i].encoding;
		u64 old;

		if (below(4) == 0)
			e = PICK(VMCS_VM_ENTRY_INTR_INFO_FIELD, VMCS_GUEST_INTERRUPTIBILITY_INFO,
				 VMCS_GUEST_ACTIVITY_STATE, VMCS_EPT_POINTER,
				 VMCS_GUEST_CS_AR_BYTES, VMCS_GUEST_SS_AR_BYTES,
				 VMCS_VM_ENTRY_MSR_LOAD_COUNT, VMCS_VMCS_LINK_POINTER,
				 VMCS_GUEST_RFLAGS, VMCS_TPR_THRESHOLD);
		if (fields[i].need == NEED_NEVER || try_vmread(e, &old) != VMX_OK)
			continue;
		switch (e >> 10 & 3) { /* control, read-only, guest, host */
		case 0: try_vmwrite(e, control_value(e, old)); break;
		case 2: try_vmwrite(e, guest_value(t, e, old)); break;
		case 3: try_vmwrite(e, host_value(e, old)); break;
		}
	}
	fill_msr_list();
}

/* --- a round ---------------------------------------------------------------------------------- */

/* Host state will be loaded, sooner or later: what this program needs to come back. */
static void make_safe(struct vmxt *t)
{
	for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].class == VMCS_CLASS_HOST)
			try_vmwrite(fields[i].encoding, good_host[i]);
	vmxt_control(t, VMX_PIN, PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_PREEMPTION_TIMER);
	vmxt_control(t, VMX_EXIT, EXIT_CTL_LOAD_EFER);
	vmxt_control(t, VMX_PROC2, PROC2_EPT);
	vmxt_control(t, VMX_PROC, PROC_UNCONDITIONAL_IO);
	clear_bits(VMCS_CPU_BASED_VM_EXEC_CONTROL, PROC_MSR_BITMAPS | PROC_IO_BITMAPS);
	vmwrite(VMCS_VM_EXIT_MSR_STORE_COUNT, 0);
	vmwrite(VMCS_VM_EXIT_MSR_LOAD_COUNT, 0);
	if (vmread(VMCS_GUEST_ACTIVITY_STATE) == 3)
		vmwrite(VMCS_GUEST_ACTIVITY_STATE, 0);
	vmwrite(VMCS_VMX_PREEMPTION_TIMER_VALUE, 1000);
}

static enum oracle_outcome outcome_of(const struct vmxt *t)
{
	if (t->entry_flags)
		return vmxt_error() == VMXERR_ENTRY_INVALID_HOST_STATE ? ORACLE_HOST
								       : ORACLE_CONTROLS;
	switch (t->reason) {
	case EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_INVALID_GUEST_STATE: return ORACLE_GUEST;
	case EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_MSR_LOADING: return ORACLE_MSR;
	default: return ORACLE_ENTERS;
	}
}

static void show(const struct vmxt *t, const struct oracle *o, enum oracle_outcome got)
{
	static const char *const name[] = {"it enters", "bad controls", "bad host state",
					   "bad guest state", "a bad MSR list"};
	u64 v;

	con_printf("the SDM says %s (%s, %lu), the processor: %s (reason %x, %lu, error %u)\n",
		   name[o->outcome], o->rule ? o->rule : "", o->qualification, name[got], t->reason,
		   t->qualification, vmxt_error());
	for (u32 i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].class != VMCS_CLASS_RO &&
		    try_vmread(fields[i].encoding, &v) == VMX_OK)
			con_printf("0x%x %lx\n", fields[i].encoding, v);
	for (u32 i = 0; i < 4; i++)
		con_printf("MSR list %u: %x %x %lx\n", i, msrs[i].index, msrs[i].reserved,
			   (u64)msrs[i].value);
}

/* Enters and compares. */
static bool judge(struct vmxt *t, struct edge_counts *c)
{
	enum oracle_outcome got;
	struct oracle o = oracle_ask(t->vmcs);

	if (o.outcome != ORACLE_CONTROLS && o.outcome != ORACLE_HOST) {
		make_safe(t);
		o = oracle_ask(t->vmcs);
	}
	vmxt_enter(t);
	got = outcome_of(t);
	c->outcomes[got]++;
	if (got == ORACLE_ENTERS && (t->reason & 0xffff) < EXIT_REASON_COUNT)
		c->reasons[t->reason & 0xffff]++;
	c->hash = (c->hash ^ (t->entry_flags ? vmxt_error() : t->reason ^ t->qualification)) *
		  0x100000001b3;
	if (got == o.outcome && (got < ORACLE_GUEST || t->qualification == o.qualification))
		return true;
	show(t, &o, got);
	return false;
}

bool edge_round(struct vmxt *t, struct edge_counts *c)
{
	fill_tables();
	fill_code();
	base_state(t);
	mutate(t);
	return judge(t, c);
}

bool edge_rights(struct vmxt *t, struct edge_counts *c, u32 first, u32 step)
{
	static const u32 segs[] = {VMCS_SEG_ES, VMCS_SEG_CS,   VMCS_SEG_SS,
				   VMCS_SEG_FS, VMCS_SEG_LDTR, VMCS_SEG_TR};

	for (u32 ar = first; ar < 1u << 17; ar += step) {
		if ((ar - first) / step % 64 == 0) {
			fill_tables();
			fill_code();
		}
		base_state(t);
		for (u32 i = 0; i < ARRAY_SIZE(segs); i++) {
			u32 field = VMCS_GUEST_ES_AR_BYTES + VMCS_SEG_STEP * segs[i];
			u64 old = vmread(field);

			vmwrite(field, ar);
			if (!judge(t, c))
				return false;
			vmwrite(field, old);
			vmwrite(VMCS_GUEST_RIP, vmread(VMCS_GUEST_RIP) & ~0xffull);
		}
	}
	return true;
}
