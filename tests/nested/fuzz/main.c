/*
 * VM entries with nonsense: a good VMCS, a few fields of it spoilt at random, an L2 of random bytes
 * in a sandbox (its own EPT). Whatever comes of it must come back to L1 as a failed entry or an
 * exit: a processor that hangs, dies or lets the L2 out of its sandbox is wrong.
 *
 * Command line: seed=N n=N; edge=1: VMCSs that are nearly good, held against the SDM (edge.c),
 * before them with rights=N every Nth combination of access rights; ept=1: EPT tables spoilt as
 * well (ept.c); wild=1: spoil everything, host state and pointers too; then L1 itself may be lost,
 * and only whoever runs it must survive.
 * Prints what happened how often, the same for the same seed wherever time is virtual.
 */
#include "tests/nested/fuzz/edge.h"
#include "tests/nested/fuzz/fuzz.h"

#define TABLES 0x1000ull /* the L2's page tables, in the sandbox */
#define CODE 0x10000ull
#define GDT 0x8000ull
#define IDT 0xa000ull
#define TSS 0x8800ull
#define TIMER_TICKS 20000
#define CANARY 0xc0ffee5ca1ab1e5eull

static struct vmxt the_test;
static u64 random_state = 1;
static u8 *sandbox;
static u64 *sandbox_ept;
static bool wild, bad_ept;
static u8 *vapic, *access_page, *posted, *log; /* of L1, beside the sandbox */

u64 rnd(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

u64 below(u64 n)
{
	return rnd() % n;
}

static const struct {
	u32 encoding, class, flags, need;
} fields[] = {
#define VMCS_FIELD(encoding, NAME, name, width, class, flags, need, source) \
	{encoding, VMCS_CLASS_##class, flags, NEED_##need},
#include "l0/arch/vmcs_fields.def"
#undef VMCS_FIELD
};

/* Fields through which a processor may rightly write to L1's memory or run L1's code. */
static bool is_off_limits(u32 e)
{
	switch (e) {
	case VMCS_VM_EXIT_MSR_STORE_ADDR:
	case VMCS_VM_EXIT_MSR_STORE_COUNT:
	case VMCS_VM_EXIT_MSR_LOAD_ADDR:
	case VMCS_VM_EXIT_MSR_LOAD_COUNT:
	case VMCS_EPT_POINTER:
	case VMCS_EPTP_LIST_ADDRESS:
	case VMCS_PML_ADDRESS:
	case VMCS_VIRTUAL_APIC_PAGE_ADDR:
	case VMCS_POSTED_INTR_DESC_ADDR:
	case VMCS_VE_INFO_ADDRESS:
	case VMCS_VMWRITE_BITMAP:
	case VMCS_VMREAD_BITMAP:
	case VMCS_VMCS_LINK_POINTER:
	case VMCS_EXECUTIVE_VMCS_POINTER: return true;
	default: return false;
	}
}

static u64 random_value(u64 old)
{
	switch (below(8)) {
	case 0: return 0;
	case 1: return ~0ull;
	case 2: return rnd();
	case 3: return rnd() & 0xffff;
	case 4: return 1ull << below(64);
	default: return old ^ 1ull << below(below(2) ? 64 : 20);
	}
}

/* Instructions that reach many places, more often than plain random bytes would. */
static const u8 snippets[][8] = {
	{0x0f, 0xa2},	    /* cpuid */
	{0xf4},		    /* hlt */
	{0x0f, 0x01, 0xc1}, /* vmcall */
	{0x0f, 0x20, 0xc0}, /* mov cr0, eax */
	{0x0f, 0x22, 0xc0}, /* mov eax, cr0 */
	{0x0f, 0x22, 0xd8}, /* mov eax, cr3 */
	{0x0f, 0x22, 0xe0}, /* mov eax, cr4 */
	{0x0f, 0x32},	    /* rdmsr */
	{0x0f, 0x30},	    /* wrmsr */
	{0xcd, 0x30},	    /* int 30h */
	{0xcc},		    /* int3 */
	{0x0f, 0x0b},	    /* ud2 */
	{0xfb},		    /* sti */
	{0x9d},		    /* popf */
	{0xcf},		    /* iret */
	{0xf3, 0xaa},	    /* rep stos */
	{0xf3, 0x6e},	    /* rep outs */
	{0xec},		    /* in al, dx */
	{0x0f, 0x05},	    /* syscall */
	{0x0f, 0x34},	    /* sysenter */
	{0x0f, 0x01, 0x38}, /* invlpg */
	{0x8e, 0xd8},	    /* mov eax, ds */
	{0x8e, 0xd0},	    /* mov eax, ss */
	{0x0f, 0x00, 0xd8}, /* ltr */
	{0x0f, 0x01, 0x18}, /* lidt */
	{0x0f, 0x23, 0xf8}, /* mov eax, dr7 */
	{0xcb},		    /* retf */
	{0xeb, 0xfe},	    /* jmp . */
	{0x0f, 0xc7, 0x30}, /* vmptrld */
	{0x0f, 0x78, 0xc8}, /* vmread */
};

/* GDT, IDT and TSS: mostly good, so that the L2 survives some of its faults. */
static void fill_descriptors(void)
{
	u64 *gdt = (u64 *)(sandbox + GDT), *idt = (u64 *)(sandbox + IDT);

	for (u32 i = 0; i < 128; i++)
		gdt[i] = below(2) ? rnd() : below(2) ? 0x00af9b000000ffff : 0x00cf93000000ffff;
	gdt[1] = 0x00af9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	for (u32 i = 0; i < 256; i++) {
		u64 to = CODE + below(256);

		idt[2 * i] = (to & 0xffff) | 8ull << 16 | 0x8eull << 40 | (to >> 16) << 48;
		idt[2 * i + 1] = 0;
		if (below(8) == 0)
			idt[2 * i] ^= 1ull << below(64);
	}
	for (u32 i = 0; i < 128; i++)
		((u64 *)(sandbox + TSS))[i] = below(2) ? 0x9000 : rnd();
}

static void fill_sandbox(void)
{
	u64 *pml4 = (u64 *)(sandbox + TABLES), *pdpt = pml4 + 512, *pd = pdpt + 512;
	u8 *p = sandbox + CODE;

	memset(pml4, 0, 3 * PAGE_SIZE);
	pml4[0] = (TABLES + 0x1000) | 7;
	pdpt[0] = (TABLES + 0x2000) | 7;
	for (u64 i = 0; i < 4; i++) /* the second half is outside the sandbox */
		pd[i] = i * PAGE_SIZE_2M | 0x87;
	for (u32 n = 0; n < 64; n++) {
		u32 len = (u32)below(6) + 1;

		if (below(3)) {
			const u8 *s = snippets[below(ARRAY_SIZE(snippets))];

			memcpy(p, s, 8);
			for (len = 8; len > 1 && !s[len - 1]; len--)
				;
		} else {
			for (u32 i = 0; i < len; i++)
				p[i] = (u8)rnd();
		}
		p += len;
	}
	p[0] = 0xf4;
	fill_descriptors();
}

/* Any of the APIC's virtualizations, its page filled at random. */
static void virtual_apic(struct vmxt *t)
{
	static const u32 bits[] = {PROC2_APIC_ACCESSES, PROC2_X2APIC, PROC2_APIC_REGISTER,
				   PROC2_VIRTUAL_INTERRUPT};

	vmwrite(VMCS_VIRTUAL_APIC_PAGE_ADDR, (u64)vapic);
	if (!vmx_can(&t->caps, VMX_PROC2, bits[0] | bits[1] | bits[2] | bits[3]) || below(2))
		return;
	vmxt_control(t, VMX_PROC, PROC_TPR_SHADOW);
	for (u32 i = 0; i < ARRAY_SIZE(bits); i++)
		if (below(2))
			vmxt_control(t, VMX_PROC2, bits[i]);
	for (u32 i = 0; i < 512; i++) {
		((u64 *)vapic)[i] = below(2) ? 0 : rnd();
		((u64 *)posted)[i % 8] = rnd();
	}
	vmwrite(VMCS_APIC_ACCESS_ADDR, (u64)(below(2) ? access_page : sandbox + 0x9000));
	vmwrite(VMCS_POSTED_INTR_DESC_ADDR, (u64)posted);
	vmwrite(VMCS_POSTED_INTR_NV, below(256));
	vmwrite(VMCS_TPR_THRESHOLD, below(16));
	vmwrite(VMCS_GUEST_INTR_STATUS, rnd() & 0xffff);
	for (u32 i = 0; i < 4; i++)
		vmwrite(VMCS_EOI_EXIT_BITMAP0 + 2 * i, rnd());
	if (below(2))
		vmxt_control(t, VMX_PIN, PIN_POSTED_INTERRUPTS);
}

/* Bad tables; the log of modified pages and #VE with them. */
static void spoil_ept(struct vmxt *t)
{
	bool ad = (t->caps.ept_vpid & EPT_CAP_AD) && below(2);

	fuzz_ept_spoil(ad, wild);
	vmx_invept_all(&t->caps);
	vmwrite(VMCS_EPT_POINTER,
		(u64)sandbox_ept | EPTP_WALK_4 | EPTP_TYPE_WB | (ad ? EPTP_AD : 0));
	if (below(2) && vmxt_control(t, VMX_PROC2, PROC2_PML)) {
		vmwrite(VMCS_PML_ADDRESS, (u64)log);
		vmwrite(VMCS_GUEST_PML_INDEX, below(4) ? below(4) : rnd() & 0xffff);
	}
	if (below(2) && vmxt_control(t, VMX_PROC2, PROC2_VE)) {
		memset(log, 0, 64);
		vmwrite(VMCS_VE_INFO_ADDRESS, (u64)log);
	}
	if (below(2))
		vmxt_control(t, VMX_PROC2, PROC2_MODE_BASED_EPT);
}

static void base_state(struct vmxt *t)
{
	u64 *r = &t->regs.rax;

	vmxt_prepare(t, (vmxt_guest_fn)CODE);
	vmxt_control(t, VMX_PROC2, PROC2_EPT);
	vmxt_control(t, VMX_ENTRY, ENTRY_CTL_LOAD_EFER);
	vmxt_control(t, VMX_EXIT, EXIT_CTL_LOAD_EFER | EXIT_CTL_ACK_INTERRUPT);
	vmwrite(VMCS_HOST_IA32_EFER, cpu_rdmsr(MSR_IA32_EFER));
	vmwrite(VMCS_GUEST_IA32_EFER, EFER_LMA | EFER_LME);
	vmwrite(VMCS_EPT_POINTER, (u64)sandbox_ept | EPTP_WALK_4 | EPTP_TYPE_WB);
	vmwrite(VMCS_GUEST_CR3, TABLES);
	vmwrite(VMCS_GUEST_RSP, 0x9000);
	vmwrite(VMCS_GUEST_GDTR_BASE, GDT);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, 0x3ff);
	vmwrite(VMCS_GUEST_IDTR_BASE, IDT);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0xfff);
	vmwrite(VMCS_GUEST_TR_BASE, TSS);
	if (below(2))
		vmxt_control(t, VMX_PROC, PROC_HLT);
	virtual_apic(t);
	if (bad_ept)
		spoil_ept(t);
	if (below(3) == 0)
		vmxt_control(t, VMX_PROC2, PROC2_UNRESTRICTED_GUEST);
	if (below(2))
		vmxt_control(t, VMX_PROC2, PROC2_VPID);
	if (below(4) == 0)
		vmwrite(VMCS_EXCEPTION_BITMAP, rnd());
	for (u32 i = 0; i < 16; i++)
		r[i] = below(2) ? rnd() & 0xffff : rnd();
}

/* The L2 cannot keep the processor: these hold whatever was spoilt. */
static void keep_control(struct vmxt *t)
{
	u64 pin = vmread(VMCS_PIN_BASED_VM_EXEC_CONTROL);

	if (wild && below(4))
		return;
	vmwrite(VMCS_PIN_BASED_VM_EXEC_CONTROL,
		pin | PIN_EXTERNAL_INTERRUPT | PIN_PREEMPTION_TIMER | PIN_NMI);
	vmwrite(VMCS_VMX_PREEMPTION_TIMER_VALUE, TIMER_TICKS >> t->caps.timer_shift);
	/* nor reach the machine's ports and MSRs */
	vmwrite(VMCS_CPU_BASED_VM_EXEC_CONTROL,
		(vmread(VMCS_CPU_BASED_VM_EXEC_CONTROL) | PROC_SECONDARY | PROC_UNCONDITIONAL_IO) &
			~(u64)(PROC_IO_BITMAPS | PROC_MSR_BITMAPS));
	vmwrite(VMCS_SECONDARY_VM_EXEC_CONTROL, vmread(VMCS_SECONDARY_VM_EXEC_CONTROL) | PROC2_EPT);
	if (vmread(VMCS_GUEST_ACTIVITY_STATE) == 3) /* waiting for a start-up IPI: for ever */
		vmwrite(VMCS_GUEST_ACTIVITY_STATE, 0);
	if (vmread(VMCS_VM_ENTRY_MSR_LOAD_COUNT))
		vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 0);
}

static void spoil(void)
{
	for (u64 n = below(4); n; n--) {
		u32 i = (u32)below(ARRAY_SIZE(fields));
		u64 v;

		if (!wild &&
		    (fields[i].class == VMCS_CLASS_HOST || fields[i].class == VMCS_CLASS_RO ||
		     is_off_limits(fields[i].encoding) || fields[i].need == NEED_NEVER))
			continue;
		if (try_vmread(fields[i].encoding, &v) == VMX_OK)
			try_vmwrite(fields[i].encoding, random_value(v));
	}
}

struct counts {
	u64 errors[32], reasons[EXIT_REASON_COUNT], failed[EXIT_REASON_COUNT], other;
	u64 hash;
};

static void count(struct vmxt *t, struct counts *c)
{
	u32 basic = t->reason & 0xffff;

	if (t->entry_flags) {
		c->errors[vmxt_error() & 31]++;
		return;
	}
	if (basic >= EXIT_REASON_COUNT)
		c->other++;
	else if (t->reason & EXIT_REASON_ENTRY_FAILURE)
		c->failed[basic]++;
	else
		c->reasons[basic]++;
	c->hash = (c->hash ^ t->reason ^ t->qualification ^ vmread(VMCS_GUEST_RIP)) * 0x100000001b3;
}

/* Steps over what exited or lets it run on, a few times. */
static void one_round(struct vmxt *t, struct counts *c)
{
	fill_sandbox();
	base_state(t);
	spoil();
	for (u32 i = 0; i < 8; i++) {
		keep_control(t);
		vmxt_enter(t);
		count(t, c);
		if (t->entry_flags || (t->reason & EXIT_REASON_ENTRY_FAILURE) ||
		    t->reason == EXIT_REASON_TRIPLE_FAULT)
			return;
		if (t->reason == EXIT_REASON_PREEMPTION_TIMER && below(2))
			return;
		if (below(4) == 0)
			spoil();
		vmwrite(VMCS_GUEST_RIP,
			vmread(VMCS_GUEST_RIP) + (vmread(VMCS_VM_EXIT_INSTRUCTION_LEN) & 15));
		if (below(4) == 0)
			vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD,
				INTR_INFO_VALID | below(8) << 8 | below(2) << 11 | below(64));
	}
}

static u64 option(const char *cmdline, const char *name, u64 v)
{
	size_t n = strlen(name);

	for (const char *p = cmdline; *p; p++)
		if ((p == cmdline || p[-1] == ' ') && !strncmp(p, name, n)) {
			v = 0;
			for (p += n; *p >= '0' && *p <= '9'; p++)
				v = v * 10 + (u64)(*p - '0');
			break;
		}
	return v;
}

static void print(const struct counts *c)
{
	for (u32 i = 0; i < ARRAY_SIZE(c->errors); i++)
		if (c->errors[i])
			con_printf("%10lu  refused: %s\n", c->errors[i], vmx_error_name(i));
	for (u32 i = 0; i < EXIT_REASON_COUNT; i++)
		if (c->failed[i])
			con_printf("%10lu  entry failed, reason %u\n", c->failed[i], i);
	for (u32 i = 0; i < EXIT_REASON_COUNT; i++)
		if (c->reasons[i])
			con_printf("%10lu  exit reason %u\n", c->reasons[i], i);
	if (c->other)
		con_printf("%10lu  exit reasons that do not exist\n", c->other);
	con_printf("hash %016lx\n", c->hash);
}

static void edges(struct vmxt *t, u64 memory_end, u64 seed, u64 n, u64 rights)
{
	static const char *const name[] = {"entered", "controls", "host state", "guest state",
					   "MSR list"};
	static struct edge_counts c;

	edge_init(t, sandbox, sandbox_ept, memory_end);
	if (rights && !edge_rights(t, &c, (u32)(seed % rights), (u32)rights))
		con_die("edge: seed %lu, access rights: not as the SDM says", seed);
	for (u64 i = 0; i < n; i++)
		if (!edge_round(t, &c))
			con_die("edge: seed %lu, round %lu: not as the SDM says", seed, i);
	for (u32 i = 0; i < ORACLE_OUTCOMES; i++)
		con_printf("%10lu  %s\n", c.outcomes[i], name[i]);
	for (u32 i = 0; i < EXIT_REASON_COUNT; i++)
		if (c.reasons[i])
			con_printf("%10lu  exit reason %u\n", c.reasons[i], i);
	con_printf("hash %016lx\nvmxfuzz: edge, seed %lu, %lu rounds\n", c.hash, seed, n);
	con_exit(0);
}

void child_main(u64 info, u64 magic)
{
	static struct boot_info boot;
	static struct counts counts;
	struct vmxt *t = &the_test;
	u64 *before, *after, n, seed;

	vmxt_begin(t, &boot, info, magic);
	vmx_need_ept(&t->caps);
	seed = option(boot.cmdline, "seed=", 1);
	n = option(boot.cmdline, "n=", 10000);
	wild = option(boot.cmdline, "wild=", 0);
	bad_ept = option(boot.cmdline, "ept=", 0);
	vapic = page_alloc(1, PAGE_SIZE);
	access_page = page_alloc(1, PAGE_SIZE);
	posted = page_alloc(1, PAGE_SIZE);
	log = page_alloc(1, PAGE_SIZE);
	random_state = seed * 0x9e3779b97f4a7c15ull + 1;
	before = page_alloc(1, PAGE_SIZE);
	sandbox = page_alloc(SANDBOX / PAGE_SIZE, PAGE_SIZE_2M);
	after = page_alloc(1, PAGE_SIZE);
	for (u32 i = 0; i < 512; i++)
		before[i] = after[i] = CANARY;
	sandbox_ept = fuzz_ept_make(sandbox);
	if (option(boot.cmdline, "edge=", 0))
		edges(t, boot.memory_end, seed, n, option(boot.cmdline, "rights=", 0));
	for (u64 i = 0; i < n; i++) {
		one_round(t, &counts);
		if (before[511] != CANARY || after[0] != CANARY)
			con_die("round %lu: the L2 wrote outside its memory", i);
	}
	print(&counts);
	con_printf("vmxfuzz: seed %lu, %lu rounds\n", seed, n);
	con_exit(0);
}
