#include "tests/nested/vmxt.h"

#include "l1-child/vmm/clock.h"

u64 vmxt_vmenter(struct l2_regs *regs, u64 launched);
extern u8 vmxt_exited[];

#define STACK_PAGES 4
#define APIC_BASE 0xfee00000ull
#define APIC_EOI 0x0b0
#define APIC_ID 0x020
#define APIC_ICR_LOW 0x300
#define APIC_ICR_HIGH 0x310
#define ICR_INIT (5u << 8)
#define ICR_SELF (1u << 18)
#define ICR_ASSERT (1u << 14)

u64 vmxt_recover;
volatile s64 vmxt_fault;
volatile u32 vmxt_interrupts, vmxt_last_vector;
struct irq_frame *vmxt_trap_frame;

static bool in_guest, failed, skipped;
static const char *skip_reason, *note_text = "";
static u64 note_value;

void vmxt_check(bool ok, const char *what, const char *file, int line, u64 got, u64 want)
{
	if (ok)
		return;
	failed = true;
	con_printf("# %s:%d: %s: got 0x%lx, want 0x%lx", file, line, what, got, want);
	if (note_text[0])
		con_printf(" (%s 0x%lx)", note_text, note_value);
	con_printf("\n");
}

void vmxt_note(const char *text, u64 value)
{
	note_text = text;
	note_value = value;
}

void vmxt_skip(const char *why)
{
	skipped = true;
	skip_reason = why;
}

u32 vmxt_error(void)
{
	return (u32)vmread(VMCS_VM_INSTRUCTION_ERROR);
}

void vmxt_eoi(void)
{
	*(volatile u32 *)(APIC_BASE + APIC_EOI) = 0;
}

void vmxt_self_interrupt(u32 vector)
{
	*(volatile u32 *)(APIC_BASE + APIC_ICR_LOW) = ICR_SELF | ICR_ASSERT | vector;
}

void vmxt_self_init(void)
{
	*(volatile u32 *)(APIC_BASE + APIC_ICR_HIGH) = *(volatile u32 *)(APIC_BASE + APIC_ID);
	*(volatile u32 *)(APIC_BASE + APIC_ICR_LOW) = ICR_INIT | ICR_ASSERT;
}

/* Runs in whoever trapped: the L2 shares the IDT. */
static bool on_trap(struct irq_frame *f)
{
	if (in_guest) {
		vmxt_trap_frame = f;
		guest_call(GUEST_TRAPPED | f->vector);
		return true;
	}
	if (vmxt_recover) {
		vmxt_fault = (s64)f->vector;
		f->rip = vmxt_recover;
		return true;
	}
	if (f->vector < 0x20)
		return false;
	vmxt_interrupts++;
	vmxt_last_vector = (u32)f->vector;
	vmxt_eoi();
	return true;
}

static void write_host(void)
{
	vmwrite(VMCS_HOST_CR0, cpu_read_cr0());
	vmwrite(VMCS_HOST_CR3, cpu_read_cr3());
	vmwrite(VMCS_HOST_CR4, cpu_read_cr4());
	for (u64 f = VMCS_HOST_ES_SELECTOR; f <= VMCS_HOST_GS_SELECTOR; f += VMCS_SEG_STEP)
		vmwrite(f, SEL_DATA);
	vmwrite(VMCS_HOST_CS_SELECTOR, SEL_CODE64);
	vmwrite(VMCS_HOST_TR_SELECTOR, SEL_TSS);
	vmwrite(VMCS_HOST_FS_BASE, 0);
	vmwrite(VMCS_HOST_GS_BASE, 0);
	vmwrite(VMCS_HOST_TR_BASE, irq_tss_base());
	vmwrite(VMCS_HOST_GDTR_BASE, irq_gdt_base());
	vmwrite(VMCS_HOST_IDTR_BASE, irq_idt_base());
	vmwrite(VMCS_HOST_IA32_SYSENTER_CS, 0);
	vmwrite(VMCS_HOST_IA32_SYSENTER_ESP, 0);
	vmwrite(VMCS_HOST_IA32_SYSENTER_EIP, 0);
	vmwrite(VMCS_HOST_RIP, (u64)vmxt_exited);
}

static void write_segment(u32 seg, u16 selector, u64 base, u32 limit, u32 access)
{
	vmwrite(VMCS_GUEST_ES_SELECTOR + VMCS_SEG_STEP * seg, selector);
	vmwrite(VMCS_GUEST_ES_BASE + VMCS_SEG_STEP * seg, base);
	vmwrite(VMCS_GUEST_ES_LIMIT + VMCS_SEG_STEP * seg, limit);
	vmwrite(VMCS_GUEST_ES_AR_BYTES + VMCS_SEG_STEP * seg, access);
}

static void write_guest(struct vmxt *t, vmxt_guest_fn fn)
{
	vmwrite(VMCS_GUEST_CR0, cpu_read_cr0());
	vmwrite(VMCS_GUEST_CR3, cpu_read_cr3());
	vmwrite(VMCS_GUEST_CR4, cpu_read_cr4());
	for (u32 seg = VMCS_SEG_ES; seg <= VMCS_SEG_GS; seg++)
		write_segment(seg, SEL_DATA, 0, ~0u, 0xc093);
	write_segment(VMCS_SEG_CS, SEL_CODE64, 0, ~0u, 0xa09b);
	write_segment(VMCS_SEG_LDTR, 0, 0, 0, 0x10000);
	write_segment(VMCS_SEG_TR, SEL_TSS, irq_tss_base(), 0x67, 0x8b);
	vmwrite(VMCS_GUEST_GDTR_BASE, irq_gdt_base());
	vmwrite(VMCS_GUEST_GDTR_LIMIT, 0x27);
	vmwrite(VMCS_GUEST_IDTR_BASE, irq_idt_base());
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0xfff);
	vmwrite(VMCS_GUEST_DR7, DR7_FIXED);
	vmwrite(VMCS_GUEST_RSP, (u64)t->stack + STACK_PAGES * PAGE_SIZE - 8);
	vmwrite(VMCS_GUEST_RIP, (u64)fn);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY_INFO, 0);
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, 0);
	vmwrite(VMCS_GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmwrite(VMCS_GUEST_SYSENTER_CS, 0);
	vmwrite(VMCS_GUEST_SYSENTER_ESP, 0);
	vmwrite(VMCS_GUEST_SYSENTER_EIP, 0);
	vmwrite(VMCS_GUEST_IA32_DEBUGCTL, 0);
}

void vmxt_prepare(struct vmxt *t, vmxt_guest_fn fn)
{
	vmx_vmclear((void *)t->vmcs);
	vmx_vmptrld((void *)t->vmcs);
	t->launched = false;
	t->regs = (struct l2_regs){0};
	vmwrite(VMCS_PIN_BASED_VM_EXEC_CONTROL, vmx_adjust(&t->caps, VMX_PIN, 0));
	vmwrite(VMCS_CPU_BASED_VM_EXEC_CONTROL, vmx_adjust(&t->caps, VMX_PROC, 0));
	if (t->caps.has_secondary)
		vmwrite(VMCS_SECONDARY_VM_EXEC_CONTROL, 0);
	vmwrite(VMCS_VM_EXIT_CONTROLS, vmx_adjust(&t->caps, VMX_EXIT, EXIT_CTL_HOST_64));
	vmwrite(VMCS_VM_ENTRY_CONTROLS, vmx_adjust(&t->caps, VMX_ENTRY, ENTRY_CTL_IA32E));
	vmwrite(VMCS_EXCEPTION_BITMAP, 0);
	vmwrite(VMCS_PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmwrite(VMCS_PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmwrite(VMCS_CR3_TARGET_COUNT, 0);
	vmwrite(VMCS_VM_EXIT_MSR_STORE_COUNT, 0);
	vmwrite(VMCS_VM_EXIT_MSR_LOAD_COUNT, 0);
	vmwrite(VMCS_VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD, 0);
	vmwrite(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, 0);
	vmwrite(VMCS_VM_ENTRY_INSTRUCTION_LEN, 0);
	vmwrite(VMCS_VMCS_LINK_POINTER, VMX_NO_POINTER);
	vmwrite(VMCS_CR0_GUEST_HOST_MASK, 0);
	vmwrite(VMCS_CR4_GUEST_HOST_MASK, 0);
	vmwrite(VMCS_CR0_READ_SHADOW, 0);
	vmwrite(VMCS_CR4_READ_SHADOW, 0);
	vmwrite(VMCS_TSC_OFFSET, 0);
	memset(t->io_bitmaps, 0, 2 * PAGE_SIZE);
	memset(t->msr_bitmap, 0, PAGE_SIZE);
	vmwrite(VMCS_IO_BITMAP_A, (u64)t->io_bitmaps);
	vmwrite(VMCS_IO_BITMAP_B, (u64)t->io_bitmaps + PAGE_SIZE);
	if (vmx_can(&t->caps, VMX_PROC, PROC_MSR_BITMAPS))
		vmwrite(VMCS_MSR_BITMAP, (u64)t->msr_bitmap);
	write_host();
	write_guest(t, fn);
}

bool vmxt_control(struct vmxt *t, enum vmx_control which, u32 bits)
{
	static const u32 field[] = {
		[VMX_PIN] = VMCS_PIN_BASED_VM_EXEC_CONTROL,
		[VMX_PROC] = VMCS_CPU_BASED_VM_EXEC_CONTROL,
		[VMX_EXIT] = VMCS_VM_EXIT_CONTROLS,
		[VMX_ENTRY] = VMCS_VM_ENTRY_CONTROLS,
		[VMX_PROC2] = VMCS_SECONDARY_VM_EXEC_CONTROL,
	};

	if (which == VMX_PROC2 && (!t->caps.has_secondary || !vmx_can(&t->caps, VMX_PROC2, bits) ||
				   !vmxt_control(t, VMX_PROC, PROC_SECONDARY)))
		return false;
	if (!vmx_can(&t->caps, which, bits))
		return false;
	vmwrite(field[which], vmread(field[which]) | bits);
	return true;
}

bool vmxt_identity_ept(struct vmxt *t)
{
	u64 *pdpt, *pd;

	if (!(t->caps.ept_vpid & EPT_CAP_2M) || !vmxt_control(t, VMX_PROC2, PROC2_EPT))
		return false;
	if (!t->ept) {
		t->ept = page_alloc(1, PAGE_SIZE);
		pdpt = page_alloc(1, PAGE_SIZE);
		pd = page_alloc(1, PAGE_SIZE);
		t->ept[0] = (u64)pdpt | EPT_ENTRY_RWX;
		pdpt[0] = (u64)pd | EPT_ENTRY_RWX;
		for (u64 i = 0; i < 512; i++)
			pd[i] = i * PAGE_SIZE_2M | EPT_ENTRY_RWX | EPT_ENTRY_WB | EPT_ENTRY_LARGE;
	}
	vmwrite(VMCS_EPT_POINTER, (u64)t->ept | EPTP_WALK_4 | EPTP_TYPE_WB);
	return true;
}

void vmxt_enter(struct vmxt *t)
{
	in_guest = true;
	t->entry_flags = vmxt_vmenter(&t->regs, t->launched);
	in_guest = false;
	if (t->entry_flags)
		return;
	t->reason = (u32)vmread(VMCS_VM_EXIT_REASON);
	t->qualification = vmread(VMCS_EXIT_QUALIFICATION);
	if (!(t->reason & EXIT_REASON_ENTRY_FAILURE))
		t->launched = true;
}

void vmxt_step_over(void)
{
	vmwrite(VMCS_GUEST_RIP, vmread(VMCS_GUEST_RIP) + vmread(VMCS_VM_EXIT_INSTRUCTION_LEN));
}

static void expect(struct vmxt *t, u64 number, const char *file, int line)
{
	vmxt_enter(t);
	vmxt_check(!t->entry_flags, "the entry succeeds", file, line,
		   t->entry_flags ? vmxt_error() : 0, 0);
	if (t->entry_flags)
		return;
	vmxt_check(t->reason == EXIT_REASON_VMCALL, "the guest gets to its VMCALL", file, line,
		   t->reason, EXIT_REASON_VMCALL);
	if (t->reason != EXIT_REASON_VMCALL)
		return;
	vmxt_check(t->regs.rax == number, "the number that the guest calls with", file, line,
		   t->regs.rax, number);
	vmxt_step_over();
}

void vmxt_expect_call(struct vmxt *t, u64 number, const char *file, int line)
{
	expect(t, number, file, line);
}

void vmxt_expect_trap(struct vmxt *t, u32 vector, const char *file, int line)
{
	expect(t, GUEST_TRAPPED | vector, file, line);
}

static u64 make_region(struct vmxt *t)
{
	u32 *r = page_alloc(1, PAGE_SIZE);

	*r = t->caps.revision;
	return (u64)r;
}

void vmxt_begin(struct vmxt *t, struct boot_info *boot, u64 info, u64 magic)
{
	con_init();
	boot_read(boot, info, magic);
	page_init(boot->memory_start, boot->memory_end);
	clock_init();
	irq_init(NULL, NULL);
	irq_set_hook(on_trap);
	vmx_enable(&t->caps);
	irq_calibrate_timer();
	t->vmxon_region = t->caps.vmxon_region;
	t->vmcs = make_region(t);
	t->other_vmcs = make_region(t);
	t->io_bitmaps = page_alloc(2, PAGE_SIZE);
	t->msr_bitmap = page_alloc(1, PAGE_SIZE);
	t->stack = page_alloc(STACK_PAGES, PAGE_SIZE);
}

enum vmxt_result vmxt_run_case(struct vmxt *t, const struct vmxt_case *c, const char **why)
{
	failed = skipped = false;
	note_text = "";
	c->fn(t);
	*why = skip_reason;
	return failed ? VMXT_FAILED : skipped ? VMXT_SKIPPED : VMXT_PASSED;
}
