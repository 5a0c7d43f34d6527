/*
 * Each rule is RULE(when it holds, "name"); a group returns at its first that does not. Source:
 * SDM 3C "Checks on VMX Controls and Host-State Area", "Checking and Loading Guest State".
 */
#include "tests/nested/fuzz/oracle.h"

static struct {
	u64 pin, proc, proc2, exit, entry; /* allowed settings: must be 1 | may be 1 << 32 */
	u64 misc, ept_vpid, vmfunc, cr0[2], cr4[2], efer, debugctl, perf_global;
	u32 revision, width, linear;
	u64 ram_end;
} has;

/* The words that most rules are about; the secondary one is 0 unless activated. */
static u64 pin, proc, proc2, exit_ctl, entry_ctl;

#define RULE(holds, name) \
	do { \
		if (!(holds)) \
			return name; \
	} while (0)

static u64 get(u32 encoding)
{
	u64 v = 0;

	return try_vmread(encoding, &v) == VMX_OK ? v : 0;
}
#define F(name) get(VMCS_##name)

static bool try_wrmsr(u32 msr, u64 v)
{
	return TRY("wrmsr", "c"(msr), "a"((u32)v), "d"((u32)(v >> 32))) != VMX_FAULT;
}

/* Bits of an MSR that can be written as 1, found by trying one after the other. */
static u64 writable(u32 msr, u64 keep)
{
	u64 old = cpu_rdmsr(msr), can = keep;

	for (u32 i = 0; i < 64; i++)
		if (!(keep >> i & 1) && try_wrmsr(msr, old | 1ull << i)) {
			can |= 1ull << i;
			try_wrmsr(msr, old);
		}
	return can;
}

void oracle_init(struct vmxt *t, u64 ram_end)
{
	bool is_true = t->caps.basic >> 55 & 1;
	u32 r[4];

	has.pin = cpu_rdmsr(is_true ? MSR_IA32_VMX_TRUE_PINBASED_CTLS : MSR_IA32_VMX_PINBASED_CTLS);
	has.proc =
		cpu_rdmsr(is_true ? MSR_IA32_VMX_TRUE_PROCBASED_CTLS : MSR_IA32_VMX_PROCBASED_CTLS);
	has.exit = cpu_rdmsr(is_true ? MSR_IA32_VMX_TRUE_EXIT_CTLS : MSR_IA32_VMX_EXIT_CTLS);
	has.entry = cpu_rdmsr(is_true ? MSR_IA32_VMX_TRUE_ENTRY_CTLS : MSR_IA32_VMX_ENTRY_CTLS);
	has.proc2 = t->caps.has_secondary ? cpu_rdmsr(MSR_IA32_VMX_PROCBASED_CTLS2) : 0;
	has.misc = cpu_rdmsr(MSR_IA32_VMX_MISC);
	has.ept_vpid = t->caps.ept_vpid;
	has.vmfunc = has.proc2 >> 32 & PROC2_VMFUNC ? cpu_rdmsr(MSR_IA32_VMX_VMFUNC) : 0;
	has.cr0[0] = t->caps.cr0_fixed0, has.cr0[1] = t->caps.cr0_fixed1;
	has.cr4[0] = t->caps.cr4_fixed0, has.cr4[1] = t->caps.cr4_fixed1;
	has.efer = writable(MSR_IA32_EFER, EFER_LME | EFER_LMA);
	has.debugctl = writable(MSR_IA32_DEBUGCTL, 0);
	has.perf_global = (has.exit | has.entry) >> 32 &
					  (EXIT_CTL_LOAD_PERF_GLOBAL | ENTRY_CTL_LOAD_PERF_GLOBAL)
				  ? writable(MSR_IA32_PERF_GLOBAL_CTRL, 0)
				  : 0;
	has.revision = t->caps.revision;
	cpu_id(0x80000008, 0, r);
	has.width = r[0] & 0xff;
	has.linear = r[0] >> 8 & 0xff;
	has.ram_end = ram_end;
}

/* --- words of the SDM --- */

static bool suits(u64 allowed, u64 v)
{
	return (v & (u32)allowed) == (u32)allowed && !(v & ~(allowed >> 32) & 0xffffffff);
}

static bool in_width(u64 a)
{
	return !(a >> has.width);
}

static bool page(u64 a)
{
	return !(a % PAGE_SIZE) && in_width(a);
}

static bool canonical(u64 a)
{
	u64 top = a >> (has.linear - 1);

	return !top || top == ~0ull >> (has.linear - 1);
}

static bool pat(u64 v)
{
	for (u32 i = 0; i < 8; i++, v >>= 8)
		if ((v & 0xff) > 7 || (v & 0xff) == 2 || (v & 0xff) == 3)
			return false;
	return true;
}

static bool list(u32 count_field, u32 addr_field)
{
	u64 n = get(count_field), a = get(addr_field);

	return !n || (!(a & 15) && in_width(a) && in_width(a + 16 * n - 1));
}

/* Of a present entry of PAE paging. */
static bool pdpte(u64 e)
{
	return !(e & 1) || !(e & (0x1e6 | ~0ull << has.width));
}

/* --- controls --- */

static const char *apic_controls(void)
{
	u32 needs_shadow = PROC2_X2APIC | PROC2_APIC_REGISTER | PROC2_VIRTUAL_INTERRUPT;

	if (proc & PROC_TPR_SHADOW) {
		u64 at = F(VIRTUAL_APIC_PAGE_ADDR), threshold = F(TPR_THRESHOLD);
		u32 vtpr = at < has.ram_end ? *(u8 *)(at + 0x80) : 0xff;

		RULE(page(at), "virtual-APIC page");
		if (!(proc2 & PROC2_VIRTUAL_INTERRUPT)) {
			RULE(threshold < 16, "TPR threshold, reserved bits");
			RULE((proc2 & PROC2_APIC_ACCESSES) || threshold <= vtpr >> 4,
			     "TPR threshold above VTPR");
		}
	} else {
		RULE(!(proc2 & needs_shadow), "APIC controls without TPR shadow");
	}
	RULE(!(proc2 & PROC2_APIC_ACCESSES) || page(F(APIC_ACCESS_ADDR)), "APIC-access page");
	RULE((proc2 & (PROC2_X2APIC | PROC2_APIC_ACCESSES)) != (PROC2_X2APIC | PROC2_APIC_ACCESSES),
	     "x2APIC mode and APIC accesses");
	RULE(!(proc2 & PROC2_VIRTUAL_INTERRUPT) || (pin & PIN_EXTERNAL_INTERRUPT),
	     "virtual interrupts without external-interrupt exiting");
	if (pin & PIN_POSTED_INTERRUPTS) {
		RULE((proc2 & PROC2_VIRTUAL_INTERRUPT) && (exit_ctl & EXIT_CTL_ACK_INTERRUPT),
		     "posted interrupts need delivery and acknowledgement");
		RULE(F(POSTED_INTR_NV) < 256, "posted-interrupt vector");
		RULE(!(F(POSTED_INTR_DESC_ADDR) & 63) && in_width(F(POSTED_INTR_DESC_ADDR)),
		     "posted-interrupt descriptor");
	}
	return NULL;
}

static const char *ept_controls(void)
{
	u64 eptp = F(EPT_POINTER), type = eptp & 7, walk = eptp >> 3 & 7;

	if (proc2 & PROC2_EPT) {
		RULE((type == 0 && (has.ept_vpid >> 8 & 1)) ||
			     (type == 6 && (has.ept_vpid >> 14 & 1)),
		     "EPTP memory type");
		RULE((walk == 3 && (has.ept_vpid >> 6 & 1)) ||
			     (walk == 4 && (has.ept_vpid >> 7 & 1)),
		     "EPTP walk length");
		RULE(!(eptp & 0x40) || (has.ept_vpid >> 21 & 1), "EPTP accessed and dirty flags");
		RULE(!(eptp & 0xf80) && in_width(eptp), "EPTP reserved bits");
	} else {
		RULE(!(proc2 & (PROC2_PML | PROC2_UNRESTRICTED_GUEST | PROC2_MODE_BASED_EPT)),
		     "controls that need EPT");
	}
	RULE(!(proc2 & PROC2_PML) || page(F(PML_ADDRESS)), "PML address");
	if (proc2 & PROC2_VMFUNC) {
		RULE(!(F(VM_FUNCTION_CONTROL) & ~has.vmfunc), "VM functions");
		RULE(!(F(VM_FUNCTION_CONTROL) & 1) ||
			     ((proc2 & PROC2_EPT) && page(F(EPTP_LIST_ADDRESS))),
		     "EPTP list");
	}
	RULE(!(proc2 & PROC2_VE) || page(F(VE_INFO_ADDRESS)), "#VE information");
	return NULL;
}

static bool takes_error(u32 vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static const char *injection(void)
{
	u64 info = F(VM_ENTRY_INTR_INFO_FIELD), len = F(VM_ENTRY_INSTRUCTION_LEN);
	u32 vector = info & 0xff, type = info >> 8 & 7;
	bool error = info >> 11 & 1,
	     protected_mode = !(proc2 & PROC2_UNRESTRICTED_GUEST) || (F(GUEST_CR0) & CR0_PE);

	if (!(info >> 31))
		return NULL;
	RULE(type != 1 && (type != 7 || (has.proc >> 32 & PROC_MONITOR_TRAP_FLAG)),
	     "injected type");
	RULE(type != 2 || vector == 2, "vector of an NMI");
	RULE(type != 3 || vector < 32, "vector of an exception");
	RULE(type != 7 || vector == 0, "vector of another event");
	RULE(error == (protected_mode && type == 3 && takes_error(vector)), "error code or none");
	RULE(!(info & 0x7ffff000), "reserved bits of the injected event");
	RULE(!error || F(VM_ENTRY_EXCEPTION_ERROR_CODE) < 0x10000, "error code");
	if (type >= 4 && type <= 6)
		RULE(len <= 15 && (len || (has.misc >> 30 & 1)), "instruction length");
	return NULL;
}

static const char *controls(void)
{
	const char *bad;

	RULE(suits(has.pin, pin), "pin-based controls");
	RULE(suits(has.proc, proc), "processor-based controls");
	RULE(suits(has.proc2, proc2), "secondary controls");
	RULE(F(CR3_TARGET_COUNT) <= (has.misc >> 16 & 0x1ff), "CR3-target count");
	if (proc & PROC_IO_BITMAPS)
		RULE(page(F(IO_BITMAP_A)) && page(F(IO_BITMAP_B)), "I/O bitmaps");
	RULE(!(proc & PROC_MSR_BITMAPS) || page(F(MSR_BITMAP)), "MSR bitmap");
	RULE((pin & PIN_NMI) || !(pin & PIN_VIRTUAL_NMIS), "virtual NMIs");
	RULE((pin & PIN_VIRTUAL_NMIS) || !(proc & PROC_NMI_WINDOW), "NMI window");
	RULE(!(proc2 & PROC2_VPID) || F(VPID), "VPID 0");
	if ((bad = apic_controls()) || (bad = ept_controls()))
		return bad;
	if (proc2 & PROC2_VMCS_SHADOWING)
		RULE(page(F(VMREAD_BITMAP)) && page(F(VMWRITE_BITMAP)),
		     "VMREAD and VMWRITE bitmaps");
	RULE(!(proc2 & PROC2_TSC_SCALING) || F(TSC_MULTIPLIER), "TSC multiplier");
	RULE(suits(has.exit, exit_ctl), "exit controls");
	RULE((pin & PIN_PREEMPTION_TIMER) || !(exit_ctl & EXIT_CTL_SAVE_PREEMPTION_TIMER),
	     "saving the timer");
	RULE(list(VMCS_VM_EXIT_MSR_STORE_COUNT, VMCS_VM_EXIT_MSR_STORE_ADDR), "MSR-store list");
	RULE(list(VMCS_VM_EXIT_MSR_LOAD_COUNT, VMCS_VM_EXIT_MSR_LOAD_ADDR),
	     "MSR-load list on exit");
	RULE(suits(has.entry, entry_ctl), "entry controls");
	if ((bad = injection()))
		return bad;
	RULE(list(VMCS_VM_ENTRY_MSR_LOAD_COUNT, VMCS_VM_ENTRY_MSR_LOAD_ADDR), "MSR-load list");
	return NULL;
}

/* --- host state; this program is in IA-32e mode --- */

static const char *host(void)
{
	bool host64 = exit_ctl & EXIT_CTL_HOST_64;
	u64 cr0 = F(HOST_CR0), cr4 = F(HOST_CR4), efer = F(HOST_IA32_EFER);

	RULE((cr0 & has.cr0[0]) == has.cr0[0] && !(cr0 & ~has.cr0[1]), "host CR0");
	RULE((cr4 & has.cr4[0]) == has.cr4[0] && !(cr4 & ~has.cr4[1]), "host CR4");
	RULE(in_width(F(HOST_CR3)), "host CR3");
	RULE(canonical(F(HOST_IA32_SYSENTER_ESP)) && canonical(F(HOST_IA32_SYSENTER_EIP)),
	     "host SYSENTER");
	RULE(!(exit_ctl & EXIT_CTL_LOAD_PERF_GLOBAL) ||
		     !(F(HOST_IA32_PERF_GLOBAL_CTRL) & ~has.perf_global),
	     "host PERF_GLOBAL_CTRL");
	RULE(!(exit_ctl & EXIT_CTL_LOAD_PAT) || pat(F(HOST_IA32_PAT)), "host PAT");
	if (exit_ctl & EXIT_CTL_LOAD_EFER)
		RULE(!(efer & ~has.efer) && (efer >> 10 & 1) == host64 && (efer >> 8 & 1) == host64,
		     "host EFER");
	for (u32 f = VMCS_HOST_ES_SELECTOR; f <= VMCS_HOST_TR_SELECTOR; f += VMCS_SEG_STEP)
		RULE(!(get(f) & 7), "host selector");
	RULE(F(HOST_CS_SELECTOR) && F(HOST_TR_SELECTOR), "host CS or TR is null");
	RULE(host64 || F(HOST_SS_SELECTOR), "host SS is null");
	RULE(canonical(F(HOST_FS_BASE)) && canonical(F(HOST_GS_BASE)) &&
		     canonical(F(HOST_TR_BASE)) && canonical(F(HOST_GDTR_BASE)) &&
		     canonical(F(HOST_IDTR_BASE)),
	     "host base");
	RULE(host64 && (cr4 & CR4_PAE) && canonical(F(HOST_RIP)), "host address-space size");
	return NULL;
}

/* --- guest state --- */

struct segment {
	u64 sel, base, limit, ar;
	u32 type, dpl;
	bool usable;
};

static struct segment segment(u32 i)
{
	struct segment s = {.sel = get(VMCS_GUEST_ES_SELECTOR + VMCS_SEG_STEP * i),
			    .base = get(VMCS_GUEST_ES_BASE + VMCS_SEG_STEP * i),
			    .limit = get(VMCS_GUEST_ES_LIMIT + VMCS_SEG_STEP * i),
			    .ar = get(VMCS_GUEST_ES_AR_BYTES + VMCS_SEG_STEP * i)};

	s.type = s.ar & 15;
	s.dpl = s.ar >> 5 & 3;
	s.usable = !(s.ar >> 16 & 1);
	return s;
}

static bool granularity(const struct segment *s)
{
	bool g = s->ar >> 15 & 1;

	return ((s->limit & 0xfff) == 0xfff || !g) && (!(s->limit >> 20) || g);
}

static const char *code_segment(const struct segment *cs, const struct segment *ss, bool ia32e,
				bool unrestricted)
{
	RULE((cs->type & 9) == 9 || (unrestricted && cs->type == 3), "CS type");
	RULE(cs->ar >> 4 & 1, "CS S");
	if (cs->type == 3)
		RULE(cs->dpl == 0, "CS DPL of a data segment");
	else if (cs->type & 4)
		RULE(cs->dpl <= ss->dpl, "CS DPL, conforming");
	else
		RULE(cs->dpl == ss->dpl, "CS DPL");
	RULE(cs->ar >> 7 & 1, "CS P");
	RULE(!(cs->ar & 0xfffe0f00), "CS reserved");
	RULE(!ia32e || (cs->ar & 0x6000) != 0x6000, "CS D and L");
	RULE(granularity(cs), "CS G");
	return NULL;
}

static const char *data_segment(u32 i, const struct segment *s, bool unrestricted)
{
	if (!s->usable)
		return NULL;
	if (i == VMCS_SEG_SS) {
		RULE(s->type == 3 || s->type == 7, "SS type");
	} else {
		RULE((s->type & 1) && (!(s->type & 8) || (s->type & 2)), "data type");
		RULE(unrestricted || s->type > 11 || s->dpl >= (s->sel & 3), "data DPL");
	}
	RULE((s->ar >> 4 & 1) && (s->ar >> 7 & 1), "data S or P");
	RULE(!(s->ar & 0xfffe0f00), "data reserved");
	RULE(granularity(s), "data G");
	return NULL;
}

static const char *segments(bool v86, bool ia32e)
{
	bool unrestricted = proc2 & PROC2_UNRESTRICTED_GUEST;
	struct segment cs = segment(VMCS_SEG_CS), ss = segment(VMCS_SEG_SS),
		       tr = segment(VMCS_SEG_TR), ldtr = segment(VMCS_SEG_LDTR);
	const char *bad;

	RULE(!(tr.sel & 4) && (!ldtr.usable || !(ldtr.sel & 4)), "TI of TR or LDTR");
	RULE(v86 || unrestricted || (ss.sel & 3) == (cs.sel & 3), "RPL of SS");
	for (u32 i = VMCS_SEG_ES; i <= VMCS_SEG_GS; i++) {
		struct segment s = segment(i);

		if (v86) {
			RULE(s.base == s.sel << 4 && s.limit == 0xffff && s.ar == 0xf3,
			     "segment in virtual-8086 mode");
			continue;
		}
		if (i != VMCS_SEG_CS && (bad = data_segment(i, &s, unrestricted)))
			return bad;
		if (i == VMCS_SEG_CS || (i < VMCS_SEG_FS && s.usable))
			RULE(!(s.base >> 32), "base above 4 GiB");
	}
	if (!v86) {
		if ((bad = code_segment(&cs, &ss, ia32e, unrestricted)))
			return bad;
		RULE(unrestricted || ss.dpl == (ss.sel & 3), "SS DPL");
		RULE(ss.dpl == 0 || (cs.type != 3 && (F(GUEST_CR0) & CR0_PE)), "SS DPL not 0");
	}
	RULE(canonical(F(GUEST_FS_BASE)) && canonical(F(GUEST_GS_BASE)) && canonical(tr.base) &&
		     (!ldtr.usable || canonical(ldtr.base)),
	     "base of FS, GS, TR or LDTR");
	RULE(tr.type == 11 || (tr.type == 3 && !ia32e), "TR type");
	RULE(tr.usable && (tr.ar & 0x90) == 0x80 && !(tr.ar & 0xfffe0f00) && granularity(&tr),
	     "TR");
	RULE(!ldtr.usable || (ldtr.type == 2 && (ldtr.ar & 0x90) == 0x80 &&
			      !(ldtr.ar & 0xfffe0f00) && granularity(&ldtr)),
	     "LDTR");
	return NULL;
}

static const char *control_registers(bool ia32e)
{
	u64 cr0 = F(GUEST_CR0), cr4 = F(GUEST_CR4), efer = F(GUEST_IA32_EFER), must = has.cr0[0];

	if (proc2 & PROC2_UNRESTRICTED_GUEST)
		must &= ~(u64)(CR0_PE | CR0_PG);
	RULE((cr0 & must) == must && !(cr0 & ~has.cr0[1]), "CR0");
	RULE(!(cr0 & CR0_PG) || (cr0 & CR0_PE), "PG without PE");
	RULE((cr4 & has.cr4[0]) == has.cr4[0] && !(cr4 & ~has.cr4[1]), "CR4");
	if (entry_ctl & ENTRY_CTL_LOAD_DEBUG)
		RULE(!(F(GUEST_IA32_DEBUGCTL) & ~has.debugctl) && !(F(GUEST_DR7) >> 32),
		     "DEBUGCTL or DR7");
	RULE(!ia32e || ((cr0 & CR0_PG) && (cr4 & CR4_PAE)), "IA-32e mode without paging or PAE");
	RULE(ia32e || !(cr4 & CR4_PCIDE), "PCIDE");
	RULE(in_width(F(GUEST_CR3)), "CR3");
	RULE(canonical(F(GUEST_SYSENTER_ESP)) && canonical(F(GUEST_SYSENTER_EIP)), "SYSENTER");
	RULE(!(entry_ctl & ENTRY_CTL_LOAD_PERF_GLOBAL) ||
		     !(F(GUEST_IA32_PERF_GLOBAL_CTRL) & ~has.perf_global),
	     "PERF_GLOBAL_CTRL");
	RULE(!(entry_ctl & ENTRY_CTL_LOAD_PAT) || pat(F(GUEST_IA32_PAT)), "PAT");
	if (entry_ctl & ENTRY_CTL_LOAD_EFER)
		RULE(!(efer & ~has.efer) && (efer >> 10 & 1) == ia32e &&
			     (!(cr0 & CR0_PG) || (efer >> 8 & 1) == (efer >> 10 & 1)),
		     "EFER");
	return NULL;
}

static const char *rip_and_flags(bool v86, bool ia32e)
{
	u64 rip = F(GUEST_RIP), flags = F(GUEST_RFLAGS), info = F(VM_ENTRY_INTR_INFO_FIELD);
	bool code64 = ia32e && (F(GUEST_CS_AR_BYTES) >> 13 & 1);

	RULE(canonical(F(GUEST_GDTR_BASE)) && canonical(F(GUEST_IDTR_BASE)), "GDTR or IDTR base");
	RULE(!(F(GUEST_GDTR_LIMIT) >> 16) && !(F(GUEST_IDTR_LIMIT) >> 16), "GDTR or IDTR limit");
	RULE(code64 ? !(rip >> has.linear) || rip >> has.linear == ~0ull >> has.linear
		    : !(rip >> 32),
	     "RIP");
	RULE(!(flags & 0xffffffffffc08028) && (flags & 2), "RFLAGS reserved");
	RULE(!v86 || (!ia32e && (F(GUEST_CR0) & CR0_PE)), "RFLAGS.VM");
	RULE(!(info >> 31) || (info >> 8 & 7) != 0 || (flags >> 9 & 1), "interrupt with IF = 0");
	return NULL;
}

static bool state_takes(u64 state, u64 info)
{
	u32 type = info >> 8 & 7, vector = info & 0xff;

	switch (state) {
	case 1:
		return type == 0 || type == 2 || type == 7 ||
		       (type == 3 && (vector == 1 || vector == 18));
	case 2: return type == 2 || (type == 3 && vector == 18);
	case 3: return false;
	default: return true;
	}
}

static const char *activity_and_blocking(void)
{
	u64 state = F(GUEST_ACTIVITY_STATE), block = F(GUEST_INTERRUPTIBILITY_INFO),
	    info = F(VM_ENTRY_INTR_INFO_FIELD), pending = F(GUEST_PENDING_DBG_EXCEPTIONS);
	bool injects = info >> 31, tf = F(GUEST_RFLAGS) >> 8 & 1,
	     btf = F(GUEST_IA32_DEBUGCTL) >> 1 & 1;
	u32 type = info >> 8 & 7;

	RULE(state <= 3 && (!state || (has.misc >> (5 + state) & 1)), "activity state");
	RULE(state != 1 || !(F(GUEST_SS_AR_BYTES) >> 5 & 3), "HLT and SS DPL");
	RULE(!state || !(block & 3), "activity and blocking");
	RULE(!injects || state_takes(state, info), "activity and event");
	RULE(block < 16 && (block & 3) != 3 && !(block & 4), "blocking");
	RULE(!(block & 1) || (F(GUEST_RFLAGS) >> 9 & 1), "blocking by STI with IF = 0");
	RULE(!injects || type != 0 || !(block & 3), "interrupt while blocked");
	RULE(!injects || type != 2 || !(block & 2), "NMI while blocked by MOV SS");
	RULE(!injects || type != 2 || !(pin & PIN_VIRTUAL_NMIS) || !(block & 8),
	     "virtual NMI while blocked");
	RULE(!(pending & ~0x500full), "pending debug exceptions");
	if ((block & 3) || state == 1)
		RULE((pending >> 14 & 1) == (tf && !btf), "pending single step");
	return NULL;
}

static const char *link_pointer(u64 vmptr)
{
	u64 link = F(VMCS_LINK_POINTER);
	u32 want = has.revision | (proc2 & PROC2_VMCS_SHADOWING ? 1u << 31 : 0);

	if (link == VMX_NO_POINTER)
		return NULL;
	RULE(page(link), "link pointer");
	RULE(link < has.ram_end && *(u32 *)link == want, "revision behind the link pointer");
	RULE(link != vmptr, "link pointer to the current VMCS");
	return NULL;
}

static const char *pdptes(bool ia32e)
{
	static const u32 in_vmcs[] = {VMCS_GUEST_PDPTR0, VMCS_GUEST_PDPTR1, VMCS_GUEST_PDPTR2,
				      VMCS_GUEST_PDPTR3};
	u64 at = F(GUEST_CR3) & 0xffffffe0;

	if (ia32e || !(F(GUEST_CR0) & CR0_PG) || !(F(GUEST_CR4) & CR4_PAE))
		return NULL;
	for (u32 i = 0; i < 4; i++) {
		u64 in_memory = at < has.ram_end ? ((u64 *)at)[i] : ~0ull;

		RULE(pdpte(proc2 & PROC2_EPT ? get(in_vmcs[i]) : in_memory), "PDPTE");
	}
	return NULL;
}

static struct oracle guest(u64 vmptr)
{
	bool ia32e = entry_ctl & ENTRY_CTL_IA32E, v86 = F(GUEST_RFLAGS) >> 17 & 1;
	struct oracle o = {.outcome = ORACLE_GUEST};

	if ((o.rule = control_registers(ia32e)) || (o.rule = segments(v86, ia32e)) ||
	    (o.rule = rip_and_flags(v86, ia32e)) || (o.rule = activity_and_blocking()))
		o.qualification = 0;
	else if ((o.rule = link_pointer(vmptr)))
		o.qualification = 4;
	else if ((o.rule = pdptes(ia32e)))
		o.qualification = 2;
	else
		o.outcome = ORACLE_ENTERS;
	return o;
}

/* --- the MSR-load list --- */

static const char *msr_entry(const struct vmx_msr_entry *e)
{
	switch (e->index) {
	case MSR_IA32_FS_BASE:
	case MSR_IA32_GS_BASE:
	case MSR_IA32_BIOS_UPDT_TRIG:
	case MSR_IA32_BIOS_SIGN_ID:
	case MSR_IA32_SMM_MONITOR_CTL: return "an MSR that the list may not load";
	}
	RULE(e->index < 0x800 || e->index > 0x8ff, "an x2APIC MSR");
	RULE(!e->reserved, "reserved bits of an entry");
	RULE(try_wrmsr(e->index, e->value), "WRMSR faults");
	return NULL;
}

static struct oracle msr_list(void)
{
	u64 n = F(VM_ENTRY_MSR_LOAD_COUNT), at = F(VM_ENTRY_MSR_LOAD_ADDR);
	u64 most = 512 * ((has.misc >> 25 & 7) + 1);
	struct oracle o = {.outcome = ORACLE_MSR};

	for (u64 i = 0; i < n; i++, at += sizeof(struct vmx_msr_entry)) {
		o.qualification = i + 1;
		o.rule = i >= most	     ? "too many entries"
			 : at >= has.ram_end ? "no memory"
					     : msr_entry((const struct vmx_msr_entry *)at);
		if (o.rule)
			return o;
	}
	return (struct oracle){.outcome = ORACLE_ENTERS};
}

struct oracle oracle_ask(u64 vmptr)
{
	struct oracle o = {.outcome = ORACLE_CONTROLS};

	pin = F(PIN_BASED_VM_EXEC_CONTROL);
	proc = F(CPU_BASED_VM_EXEC_CONTROL);
	proc2 = proc & PROC_SECONDARY ? F(SECONDARY_VM_EXEC_CONTROL) : 0;
	exit_ctl = F(VM_EXIT_CONTROLS);
	entry_ctl = F(VM_ENTRY_CONTROLS);
	if ((o.rule = controls()))
		return o;
	o.outcome = ORACLE_HOST;
	if ((o.rule = host()))
		return o;
	o = guest(vmptr);
	return o.rule ? o : msr_list();
}
