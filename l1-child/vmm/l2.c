#include "l1-child/vmm/l2.h"

#include "l1-child/lib/console.h"
#include "l1-child/lib/cpu.h"
#include "l1-child/lib/str.h"
#include "l1-child/vmm/blobs.h"
#include "l1-child/vmm/clock.h"
#include "l1-child/vmm/irq.h"
#include "l1-child/vmm/page.h"

BUILD_ASSERT_OFFSET(struct l2, regs, 0);
BUILD_ASSERT_OFFSET(struct l2, launched, 136); /* enter.S */

/* MSRs that SYSCALL uses: loaded at each entry, written only through exits. */
static const u32 switched_msrs[SWITCHED_MSRS] = {MSR_IA32_STAR, MSR_IA32_LSTAR, MSR_IA32_FMASK};

#define PTE_P_W 0x3ull
#define PTE_LARGE 0x80ull
#define SEG_CODE64 0xa09b /* type 11, S, P, L, G */
#define SEG_CODE32 0xc09b /* type 11, S, P, D, G */
#define SEG_DATA 0xc093	  /* type 3, S, P, B, G */
#define SEG_UNUSABLE 0x10000
#define SEG_LDT 0x10000
#define SEG_TSS_BUSY 0x8b
#define PAGES_32BIT 0x83ull /* present, writable, 4 MiB */

extern u8 l2_exited[];

static void make_tables64(struct l2 *g)
{
	u64 *pml4 = (u64 *)(g->ept.window + GUEST_TABLES);
	u64 *pdpt = pml4 + 512, *pd = pdpt + 512;

	pml4[0] = (GUEST_TABLES + 0x1000) | PTE_P_W;
	pdpt[0] = (GUEST_TABLES + 0x2000) | PTE_P_W;
	for (u64 i = 0; i < 512; i++)
		pd[i] = i * PAGE_SIZE_2M | PTE_P_W | PTE_LARGE;
}

static void make_tables32(struct l2 *g)
{
	u32 *pd = (u32 *)(g->ept.window + GUEST_TABLES);

	for (u32 i = 0; i < 1024; i++)
		pd[i] = i << 22 | (u32)PAGES_32BIT;
}

static void fill_shared(struct l2 *g)
{
	const struct guest_config *c = g->config;
	struct guest_shared *s = g->shared;

	s->ram_bytes = c->ram_bytes;
	s->period_tsc = clock_ns_to_tsc(c->period_ns);
	s->tsc_khz = (u32)(clock_hz() / 1000);
	s->work_tsc = (u32)clock_ns_to_tsc(c->work_ns);
	s->vary_permille = c->vary_permille;
	s->processes = c->processes;
	s->pages = c->pages;
	s->round_robin = c->round_robin;
	s->has_fence = c->has_fence;
	s->seed = 0x9e3779b9u * (g->number + 1);
	s->vector = 0x30 + g->number;
	for (u32 i = 0; i < c->changes; i++)
		s->change[i] = (struct guest_change){
			.after_tsc = clock_ns_to_tsc(c->change[i].after_ns),
			.period_tsc = clock_ns_to_tsc(c->change[i].period_ns),
			.work_tsc = (u32)clock_ns_to_tsc(c->change[i].work_ns),
			.valid = 1,
		};
}

static void write_segment(unsigned int seg, u16 selector, u64 base, u32 limit, u32 access)
{
	vmwrite(VMCS_GUEST_ES_SELECTOR + 2 * seg, selector);
	vmwrite(VMCS_GUEST_ES_BASE + 2 * seg, base);
	vmwrite(VMCS_GUEST_ES_LIMIT + 2 * seg, limit);
	vmwrite(VMCS_GUEST_ES_AR_BYTES + 2 * seg, access);
}

static void write_controls(struct l2 *g, const struct l2_setup *s)
{
	const struct vmx_caps *caps = s->caps;
	u32 exit = EXIT_CTL_HOST_64 | EXIT_CTL_LOAD_EFER, entry = ENTRY_CTL_LOAD_EFER,
	    proc2 = PROC2_EPT;

	if (s->config->ack_on_exit)
		exit |= EXIT_CTL_ACK_INTERRUPT;
	if (caps->has_save_timer)
		exit |= EXIT_CTL_SAVE_PREEMPTION_TIMER;
	if (g->config->bits == 64)
		entry |= ENTRY_CTL_IA32E;
	if (g->vpid)
		proc2 |= PROC2_VPID;
	g->proc_controls = vmx_adjust(caps, VMX_PROC, PROC_HLT | PROC_IO_BITMAPS | PROC_SECONDARY);
	g->proc_controls &= ~PROC_UNCONDITIONAL_IO;
	vmwrite(VMCS_PIN_BASED_VM_EXEC_CONTROL,
		vmx_adjust(caps, VMX_PIN, PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_PREEMPTION_TIMER));
	vmwrite(VMCS_CPU_BASED_VM_EXEC_CONTROL, g->proc_controls);
	vmwrite(VMCS_SECONDARY_VM_EXEC_CONTROL, vmx_adjust(caps, VMX_PROC2, proc2));
	vmwrite(VMCS_VM_EXIT_CONTROLS, vmx_adjust(caps, VMX_EXIT, exit));
	vmwrite(VMCS_VM_ENTRY_CONTROLS, vmx_adjust(caps, VMX_ENTRY, entry));
	if (g->vpid)
		vmwrite(VMCS_VPID, g->vpid);
	vmwrite(VMCS_EPT_POINTER, ept_pointer(&g->ept));
	vmwrite(VMCS_IO_BITMAP_A, (u64)s->io_bitmaps);
	vmwrite(VMCS_IO_BITMAP_B, (u64)s->io_bitmaps + PAGE_SIZE);
	vmwrite(VMCS_EXCEPTION_BITMAP, 0);
	vmwrite(VMCS_PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmwrite(VMCS_PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmwrite(VMCS_CR3_TARGET_COUNT, 0);
	vmwrite(VMCS_VM_EXIT_MSR_STORE_COUNT, 0);
	vmwrite(VMCS_VM_EXIT_MSR_LOAD_COUNT, 0);
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_ADDR, (u64)g->msrs);
	vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD, 0);
	vmwrite(VMCS_VMCS_LINK_POINTER, ~0ull);
	vmwrite(VMCS_CR0_GUEST_HOST_MASK, caps->cr0_fixed0 & ~(CR0_PE | CR0_PG));
	vmwrite(VMCS_CR4_GUEST_HOST_MASK, caps->cr4_fixed0);
}

static void write_host(struct l2 *g)
{
	vmwrite(VMCS_HOST_CR0, cpu_read_cr0());
	vmwrite(VMCS_HOST_CR3, cpu_read_cr3());
	vmwrite(VMCS_HOST_CR4, cpu_read_cr4());
	vmwrite(VMCS_HOST_ES_SELECTOR, SEL_DATA);
	vmwrite(VMCS_HOST_CS_SELECTOR, SEL_CODE64);
	vmwrite(VMCS_HOST_SS_SELECTOR, SEL_DATA);
	vmwrite(VMCS_HOST_DS_SELECTOR, SEL_DATA);
	vmwrite(VMCS_HOST_FS_SELECTOR, 0);
	vmwrite(VMCS_HOST_GS_SELECTOR, 0);
	vmwrite(VMCS_HOST_TR_SELECTOR, SEL_TSS);
	vmwrite(VMCS_HOST_FS_BASE, 0);
	vmwrite(VMCS_HOST_GS_BASE, 0);
	vmwrite(VMCS_HOST_TR_BASE, irq_tss_base());
	vmwrite(VMCS_HOST_GDTR_BASE, irq_gdt_base());
	vmwrite(VMCS_HOST_IDTR_BASE, irq_idt_base());
	vmwrite(VMCS_HOST_IA32_SYSENTER_CS, 0);
	vmwrite(VMCS_HOST_IA32_SYSENTER_ESP, 0);
	vmwrite(VMCS_HOST_IA32_SYSENTER_EIP, 0);
	vmwrite(VMCS_HOST_IA32_EFER, cpu_rdmsr(MSR_IA32_EFER));
	vmwrite(VMCS_HOST_RSP, (u64)&g->regs + sizeof(g->regs));
	vmwrite(VMCS_HOST_RIP, (u64)l2_exited);
}

static void write_guest(struct l2 *g)
{
	bool is64 = g->config->bits == 64;
	u64 cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG, cr4 = is64 ? CR4_PAE : CR4_PSE;

	vmwrite(VMCS_CR0_READ_SHADOW, cr0);
	vmwrite(VMCS_CR4_READ_SHADOW, cr4);
	vmwrite(VMCS_GUEST_CR0, (cr0 | g->caps->cr0_fixed0) & g->caps->cr0_fixed1);
	vmwrite(VMCS_GUEST_CR4, (cr4 | g->caps->cr4_fixed0) & g->caps->cr4_fixed1);
	vmwrite(VMCS_GUEST_CR3, GUEST_TABLES);
	vmwrite(VMCS_GUEST_IA32_EFER, is64 ? EFER_LME | EFER_LMA : 0);
	for (unsigned int seg = VMCS_SEG_ES; seg <= VMCS_SEG_GS; seg++)
		write_segment(seg, 0x10, 0, ~0u, SEG_DATA);
	write_segment(VMCS_SEG_CS, 0x08, 0, ~0u, is64 ? SEG_CODE64 : SEG_CODE32);
	write_segment(VMCS_SEG_LDTR, 0, 0, 0, SEG_LDT);
	write_segment(VMCS_SEG_TR, 0, 0, 0x67, SEG_TSS_BUSY);
	vmwrite(VMCS_GUEST_GDTR_BASE, 0);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, 0);
	vmwrite(VMCS_GUEST_IDTR_BASE, 0);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0);
	vmwrite(VMCS_GUEST_DR7, 0x400);
	vmwrite(VMCS_GUEST_RSP, GUEST_STACK_TOP);
	vmwrite(VMCS_GUEST_RIP, GUEST_IMAGE);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY_INFO, 0);
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, 0);
	vmwrite(VMCS_GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmwrite(VMCS_GUEST_SYSENTER_CS, 0);
	vmwrite(VMCS_GUEST_SYSENTER_ESP, 0);
	vmwrite(VMCS_GUEST_SYSENTER_EIP, 0);
	g->regs.rdi = GUEST_SHARED;
}

void l2_create(struct l2 *g, const struct l2_setup *s)
{
	const struct guest_config *c = &s->config->guest[s->number];
	/* a fence is a little work at each tick, as idle; only its place in the order is another */
	const struct blob *b = blob_find(strcmp(c->kind, "fence") ? c->kind : "idle", c->bits);
	u64 timer_shift = s->caps->timer_shift;

	if (!b)
		con_die("there is no %u-bit guest of kind %s", c->bits, c->kind);
	if (GUEST_IMAGE + b->bytes > c->ram_bytes)
		con_die("guest %s needs more than its memory of %lu KiB", c->name,
			c->ram_bytes / 1024);
	*g = (struct l2){
		.config = c,
		.caps = s->caps,
		.number = s->number,
		.vpid = s->caps->has_vpid && !s->config->no_vpid ? (u16)(s->number + 1) : 0,
		.priority = c->priority,
		.fresh_slice = true,
		.jitter_tsc = clock_ns_to_tsc(c->jitter_ns),
		.seed = 0x85ebca6bu * (s->number + 1),
	};
	g->slice_counts = (u32)((clock_ns_to_tsc(s->config->slice_ns) >> timer_shift) + 1);
	ept_init(&g->ept, s->config->ept, page_alloc(c->ram_bytes / PAGE_SIZE, PAGE_SIZE_2M),
		 c->ram_bytes);
	g->shared = (struct guest_shared *)(g->ept.window + GUEST_SHARED);
	memcpy(g->ept.window + GUEST_IMAGE, b->start, b->bytes);
	if (c->bits == 64)
		make_tables64(g);
	else
		make_tables32(g);
	fill_shared(g);
	g->msrs = page_alloc(1, PAGE_SIZE);
	for (unsigned int i = 0; i < SWITCHED_MSRS; i++)
		g->msrs[i].index = switched_msrs[i];

	g->vmcs = page_alloc(1, PAGE_SIZE);
	*(u32 *)g->vmcs = s->caps->revision;
	vmx_vmclear(g->vmcs);
	vmx_vmptrld(g->vmcs);
	write_controls(g, s);
	write_host(g);
	write_guest(g);
	vmx_invvpid(s->caps, g->vpid);
}

void l2_entry_failed(struct l2 *g, u64 rflags)
{
	u32 e;

	if (rflags & 1)
		con_die("guest %s: VM entry failed: no current VMCS", g->config->name);
	e = (u32)vmread(VMCS_VM_INSTRUCTION_ERROR);
	con_die("guest %s: VM entry failed: %u, %s", g->config->name, e, vmx_error_name(e));
}

static const char *const exit_names[EXIT_REASON_COUNT] = {
#define EXIT_REASON(number, name, text, ...) [number] = text,
#include "l0/arch/exit_reasons.def"
#undef EXIT_REASON
};

const char *l2_exit_name(u32 reason)
{
	reason &= 0xffff;
	return reason < EXIT_REASON_COUNT && exit_names[reason] ? exit_names[reason]
								: "unknown reason";
}

void l2_dump(const struct l2 *g, u32 reason)
{
	const struct l2_regs *r = &g->regs;

	con_printf("guest %s (number %u, VMCS 0x%lx): exit reason 0x%x: %s\n", g->config->name,
		   g->number, (u64)g->vmcs, reason, l2_exit_name(reason));
	con_printf("  qualification 0x%lx  linear 0x%lx  physical 0x%lx\n",
		   vmread(VMCS_EXIT_QUALIFICATION), vmread(VMCS_GUEST_LINEAR_ADDRESS),
		   vmread(VMCS_GUEST_PHYSICAL_ADDRESS));
	con_printf("  interruption 0x%lx error 0x%lx  vectoring 0x%lx error 0x%lx\n",
		   vmread(VMCS_VM_EXIT_INTR_INFO), vmread(VMCS_VM_EXIT_INTR_ERROR_CODE),
		   vmread(VMCS_IDT_VECTORING_INFO_FIELD), vmread(VMCS_IDT_VECTORING_ERROR_CODE));
	con_printf("  instruction length %lu info 0x%lx  interruptibility 0x%lx activity %lu\n",
		   vmread(VMCS_VM_EXIT_INSTRUCTION_LEN), vmread(VMCS_VMX_INSTRUCTION_INFO),
		   vmread(VMCS_GUEST_INTERRUPTIBILITY_INFO), vmread(VMCS_GUEST_ACTIVITY_STATE));
	con_printf("  rip %lx:0x%lx  rsp %lx:0x%lx  rflags 0x%lx\n",
		   vmread(VMCS_GUEST_ES_SELECTOR + 2 * VMCS_SEG_CS), vmread(VMCS_GUEST_RIP),
		   vmread(VMCS_GUEST_ES_SELECTOR + 2 * VMCS_SEG_SS), vmread(VMCS_GUEST_RSP),
		   vmread(VMCS_GUEST_RFLAGS));
	con_printf("  cr0 0x%lx cr2 0x%lx cr3 0x%lx cr4 0x%lx efer 0x%lx\n", vmread(VMCS_GUEST_CR0),
		   g->cr2, vmread(VMCS_GUEST_CR3), vmread(VMCS_GUEST_CR4),
		   vmread(VMCS_GUEST_IA32_EFER));
	con_printf("  rax %016lx rcx %016lx rdx %016lx rbx %016lx\n", r->rax, r->rcx, r->rdx,
		   r->rbx);
	con_printf("  rbp %016lx rsi %016lx rdi %016lx r8  %016lx\n", r->rbp, r->rsi, r->rdi,
		   r->r8);
	con_printf("  r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", r->r9, r->r10, r->r11,
		   r->r12);
	con_printf("  r13 %016lx r14 %016lx r15 %016lx\n", r->r13, r->r14, r->r15);
}

void l2_put_char(struct l2 *g, char c)
{
	if (c != '\n' && g->text_len < TEXT_LINE - 1) {
		g->text[g->text_len++] = c < ' ' || c > '~' ? '.' : c;
		return;
	}
	g->text[g->text_len] = 0;
	con_printf("[%s] %s\n", g->config->name, g->text);
	g->text_len = 0;
}

bool l2_set_msr(struct l2 *g, u32 index, u64 value)
{
	for (unsigned int i = 0; i < SWITCHED_MSRS; i++)
		if (g->msrs[i].index == index) {
			g->msrs[i].value = value;
			vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, SWITCHED_MSRS);
			return true;
		}
	return false;
}

bool l2_get_msr(const struct l2 *g, u32 index, u64 *value)
{
	for (unsigned int i = 0; i < SWITCHED_MSRS; i++)
		if (g->msrs[i].index == index) {
			*value = g->msrs[i].value;
			return true;
		}
	return false;
}
