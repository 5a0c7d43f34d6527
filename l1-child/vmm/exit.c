/*
 * VM exits of L2s. A table by basic reason; what is not in it is dumped and stops that L2 only.
 */
#include "l0/arch/hypercall.h"
#include "l0/arch/ports.h"
#include "l1-child/lib/console.h"
#include "l1-child/lib/cpu.h"
#include "l1-child/lib/str.h"
#include "l1-child/vmm/irq.h"
#include "l1-child/vmm/vmm.h"
#include "l1-child/vmm/vtimer.h"
#include "l1-child/vmm/clock.h"

typedef bool (*exit_fn)(struct vmm *vm, struct l2 *g);

static void skip_instruction(void)
{
	vmwrite(VMCS_GUEST_RIP, vmread(VMCS_GUEST_RIP) + vmread(VMCS_VM_EXIT_INSTRUCTION_LEN));
}

static void inject_exception(u32 vector, bool has_error)
{
	vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD,
		INTR_INFO_VALID | INTR_INFO_OF(INTR_TYPE_HW_EXCEPTION) | vector |
			(has_error ? INTR_INFO_ERROR_CODE : 0));
	if (has_error)
		vmwrite(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, 0);
}

/* An exit that came while an event was being delivered: deliver it again at the next entry. */
static void redeliver_event(void)
{
	u32 info = (u32)vmread(VMCS_IDT_VECTORING_INFO_FIELD);
	u32 type = (info & INTR_INFO_TYPE) >> INTR_INFO_TYPE_SHIFT;

	if (!(info & INTR_INFO_VALID))
		return;
	vmwrite(VMCS_VM_ENTRY_INTR_INFO_FIELD,
		info & ~INTR_INFO_NMI_UNBLOCKING); /* undefined there */
	if (info & INTR_INFO_ERROR_CODE)
		vmwrite(VMCS_VM_ENTRY_EXCEPTION_ERROR_CODE, vmread(VMCS_IDT_VECTORING_ERROR_CODE));
	if (type >= INTR_TYPE_SW_INTERRUPT && type <= INTR_TYPE_SW_EXCEPTION)
		vmwrite(VMCS_VM_ENTRY_INSTRUCTION_LEN, vmread(VMCS_VM_EXIT_INSTRUCTION_LEN));
}

static bool on_external_interrupt(struct vmm *vm, struct l2 *g)
{
	(void)g;
	if (vm->config.ack_on_exit)
		irq_dispatch((u32)vmread(VMCS_VM_EXIT_INTR_INFO) & INTR_INFO_VECTOR);
	else
		irq_window();
	return true;
}

static bool on_exception_or_nmi(struct vmm *vm, struct l2 *g)
{
	u32 info = (u32)vmread(VMCS_VM_EXIT_INTR_INFO);

	(void)vm;
	if ((info & INTR_INFO_TYPE) != INTR_INFO_OF(INTR_TYPE_NMI))
		return false; /* none is intercepted */
	con_printf("l1-child: NMI while guest %s ran, ignored\n", g->config->name);
	redeliver_event();
	return true;
}

static bool on_triple_fault(struct vmm *vm, struct l2 *g)
{
	(void)vm;
	(void)g;
	return false;
}

static bool on_interrupt_window(struct vmm *vm, struct l2 *g)
{
	(void)vm;
	g->proc_controls &= ~PROC_INTERRUPT_WINDOW;
	vmwrite(VMCS_CPU_BASED_VM_EXEC_CONTROL, g->proc_controls);
	return true; /* the run loop injects */
}

static bool on_cpuid(struct vmm *vm, struct l2 *g)
{
	static const char signature[12] = "NestorChild";
	u32 leaf = (u32)g->regs.rax, r[4];

	(void)vm;
	if (leaf == 0x40000000) {
		r[0] = leaf;
		memcpy(&r[1], signature, sizeof(signature));
	} else {
		cpu_id(leaf, (u32)g->regs.rcx, r);
		if (leaf == 1)
			r[2] = (r[2] & ~CPUID1_ECX_VMX) | CPUID1_ECX_HYPERVISOR;
	}
	g->regs.rax = r[0];
	g->regs.rbx = r[1];
	g->regs.rcx = r[2];
	g->regs.rdx = r[3];
	skip_instruction();
	return true;
}

static bool on_hlt(struct vmm *vm, struct l2 *g)
{
	skip_instruction();
	if (vmread(VMCS_GUEST_INTERRUPTIBILITY_INFO))
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY_INFO,
			0); /* the HLT after STI or MOV SS is over */
	if (!g->tick_pending) {
		sched_remove(&vm->sched, g, L2_HALTED);
		g->fresh_slice = true;
	}
	return true;
}

static void print_guest_text(struct l2 *g, u64 gpa, u64 len)
{
	if (gpa >= g->config->ram_bytes || len > g->config->ram_bytes - gpa)
		return;
	for (u64 i = 0; i < len; i++)
		l2_put_char(g, (char)g->ept.window[gpa + i]);
}

/* Tell whoever runs this VMM what @g needs, with something for the entries and exits; once. */
static void declare_needs(struct l2 *g)
{
	u64 ax = HYPERCALL_DECLARE,
	    budget_ns = g->config->work_ns + g->config->work_ns / 20 + 50 * NS_PER_US;
	u8 failed;

	__asm__ volatile("vmcall; setbe %1" /* CF or ZF: VMfail */
			 : "+a"(ax), "=q"(failed)
			 : "b"((u64)g->vmcs), "c"(g->config->period_ns), "d"(budget_ns)
			 : "memory", "cc");
	if (failed)
		con_printf("guest %s: nobody takes a declaration\n", g->config->name);
	else if (ax)
		con_printf("guest %s: its declaration is refused\n", g->config->name);
}

static void set_timer(struct vmm *vm, struct l2 *g)
{
	u64 period = (u32)g->regs.rbx | (u64)(u32)g->regs.rcx << 32;
	u32 vector = (u32)g->regs.rdx;
	u64 phase = clock_ns_to_tsc(g->config->phase_ns);

	if (vector < 0x20 || vector > 0xff || (period && period < clock_ns_to_tsc(10000))) {
		g->regs.rax = ~0u;
		return;
	}
	if (vm->config.declares && period && !g->period_tsc && !strcmp(g->config->kind, "rt"))
		declare_needs(g);
	/* The first timer starts on the common grid, a changed one at the change. */
	vtimer_set(vm, g, period, vector, g->period_tsc ? cpu_tsc() : vm->start_tsc + phase);
	g->regs.rax = 0;
}

static bool on_vmcall(struct vmm *vm, struct l2 *g)
{
	u32 call = (u32)g->regs.rax, dpl;

	skip_instruction();
	if (call == HC_NOP) {
		g->regs.rax = 0;
		return true;
	}
	dpl = (u32)vmread(VMCS_GUEST_ES_AR_BYTES + 2 * VMCS_SEG_SS) >> 5 & 3;
	if (dpl != 0)
		call = ~0u;
	switch (call) {
	case HC_TIMER: set_timer(vm, g); break;
	case HC_PRINT:
		print_guest_text(g, (u32)g->regs.rbx, (u32)g->regs.rcx);
		g->regs.rax = 0;
		break;
	case HC_YIELD:
		g->regs.rax = 0;
		sched_slice_end(&vm->sched);
		break;
	case HC_EXIT:
		con_printf("guest %s: ended with code %u\n", g->config->name, (u32)g->regs.rbx);
		vmm_stop_l2(vm, g, (u32)g->regs.rbx, false);
		break;
	default: g->regs.rax = ~0u; break;
	}
	return true;
}

static bool on_io(struct vmm *vm, struct l2 *g)
{
	u64 q = vmread(VMCS_EXIT_QUALIFICATION);
	unsigned int bytes = (q & 7) + 1, port = q >> 16 & 0xffff;
	u64 mask = bytes == 4 ? 0xffffffff : (1ull << 8 * bytes) - 1;
	bool in = q & (1 << 3), string = q & (1 << 4);

	(void)vm;
	if (string)
		return false;
	skip_instruction();
	if (in) {
		/* 32-bit results clear the upper half as MOV would. */
		g->regs.rax = bytes == 4 ? mask : g->regs.rax | mask;
		return true;
	}
	if (port == PORT_DEADLINE && bytes == 4) {
		u32 v = (u32)g->regs.rax & ~(DEADLINE_GUEST_MASK << DEADLINE_GUEST_SHIFT);

		port_out32(PORT_DEADLINE, v | (g->number & DEADLINE_GUEST_MASK)
							  << DEADLINE_GUEST_SHIFT);
	} else if (port == PORT_DEBUG_CONSOLE) {
		l2_put_char(g, (char)g->regs.rax);
	}
	return true;
}

static u64 *guest_reg(struct l2 *g, unsigned int n)
{
	return &g->regs.rax + n;
}

/* MOV to CR0, CR3, CR4 and MOV from CR3: only what touches bits that VMX fixes, or all CR3 accesses
 * on a processor that cannot let them through. */
static bool on_cr_access(struct vmm *vm, struct l2 *g)
{
	u64 q = vmread(VMCS_EXIT_QUALIFICATION), v;
	unsigned int cr = q & CR_ACCESS_NUMBER, type = q >> CR_ACCESS_TYPE_SHIFT & 3;
	unsigned int reg = q >> CR_ACCESS_REG_SHIFT & 15;

	if (type == CR_ACCESS_MOV_FROM && cr == 3) {
		v = vmread(VMCS_GUEST_CR3);
		if (reg == 4)
			vmwrite(VMCS_GUEST_RSP, v);
		else
			*guest_reg(g, reg) = v;
		skip_instruction();
		return true;
	}
	if (type != CR_ACCESS_MOV_TO)
		return false;
	v = reg == 4 ? vmread(VMCS_GUEST_RSP) : *guest_reg(g, reg);
	if (cr == 3) {
		vmwrite(VMCS_GUEST_CR3, v & ~CR3_NO_FLUSH);
		vmx_invvpid(&vm->caps, g->vpid);
	} else if (cr == 0) {
		vmwrite(VMCS_CR0_READ_SHADOW, v);
		vmwrite(VMCS_GUEST_CR0, (v | vm->caps.cr0_fixed0) & vm->caps.cr0_fixed1);
	} else if (cr == 4) {
		vmwrite(VMCS_CR4_READ_SHADOW, v);
		vmwrite(VMCS_GUEST_CR4, (v | vm->caps.cr4_fixed0) & vm->caps.cr4_fixed1);
	} else {
		return false;
	}
	skip_instruction();
	return true;
}

static bool on_rdmsr(struct vmm *vm, struct l2 *g)
{
	u32 index = (u32)g->regs.rcx;
	u64 v;

	(void)vm;
	if (index == MSR_IA32_EFER)
		v = vmread(VMCS_GUEST_IA32_EFER);
	else if (!l2_get_msr(g, index, &v)) {
		inject_exception(VECTOR_GP, true);
		return true;
	}
	g->regs.rax = (u32)v;
	g->regs.rdx = v >> 32;
	skip_instruction();
	return true;
}

static bool on_wrmsr(struct vmm *vm, struct l2 *g)
{
	u32 index = (u32)g->regs.rcx;
	u64 old, v = (u32)g->regs.rax | g->regs.rdx << 32;

	(void)vm;
	if (index == MSR_IA32_EFER) {
		old = vmread(VMCS_GUEST_IA32_EFER);
		if ((v ^ old) & ~(u64)(EFER_SCE | EFER_NXE | EFER_LMA))
			goto fault;
		vmwrite(VMCS_GUEST_IA32_EFER, (v & ~(u64)EFER_LMA) | (old & EFER_LMA));
	} else if ((index == MSR_IA32_LSTAR && (u64)((s64)(v << 16) >> 16) != v) ||
		   !l2_set_msr(g, index, v)) {
		goto fault;
	}
	skip_instruction();
	return true;
fault:
	inject_exception(VECTOR_GP, true);
	return true;
}

static bool on_ept_violation(struct vmm *vm, struct l2 *g)
{
	(void)vm;
	if (!ept_fill(&g->ept, vmread(VMCS_GUEST_PHYSICAL_ADDRESS)))
		return false;
	redeliver_event();
	return true;
}

static bool on_preemption_timer(struct vmm *vm, struct l2 *g)
{
	if (sched_pick(&vm->sched) == g)
		sched_slice_end(&vm->sched);
	return true;
}

static bool on_vmx_instruction(struct vmm *vm, struct l2 *g)
{
	(void)vm;
	(void)g;
	inject_exception(VECTOR_UD, false);
	return true;
}

static bool on_xsetbv(struct vmm *vm, struct l2 *g)
{
	(void)vm;
	(void)g;
	inject_exception(VECTOR_GP, true);
	return true;
}

static bool on_unknown(struct vmm *vm, struct l2 *g)
{
	(void)vm;
	(void)g;
	return false;
}

/* Every slot is filled: false means that the exit is not one this VMM handles. */
static const exit_fn handlers[EXIT_REASON_COUNT] = {
	[0 ... EXIT_REASON_COUNT - 1] = on_unknown,
	[EXIT_REASON_EXCEPTION_NMI] = on_exception_or_nmi,
	[EXIT_REASON_EXTERNAL_INTERRUPT] = on_external_interrupt,
	[EXIT_REASON_TRIPLE_FAULT] = on_triple_fault,
	[EXIT_REASON_INTERRUPT_WINDOW] = on_interrupt_window,
	[EXIT_REASON_CPUID] = on_cpuid,
	[EXIT_REASON_HLT] = on_hlt,
	[EXIT_REASON_VMCALL] = on_vmcall,
	[EXIT_REASON_VMCLEAR... EXIT_REASON_VMXON] = on_vmx_instruction,
	[EXIT_REASON_CR_ACCESS] = on_cr_access,
	[EXIT_REASON_IO_INSTRUCTION] = on_io,
	[EXIT_REASON_RDMSR] = on_rdmsr,
	[EXIT_REASON_WRMSR] = on_wrmsr,
	[EXIT_REASON_EPT_VIOLATION] = on_ept_violation,
	[EXIT_REASON_INVEPT] = on_vmx_instruction,
	[EXIT_REASON_PREEMPTION_TIMER] = on_preemption_timer,
	[EXIT_REASON_INVVPID] = on_vmx_instruction,
	[EXIT_REASON_XSETBV] = on_xsetbv,
};

/* What a timer that is armed anew all the time does; 0: disarmed, so nothing comes of it. */
static void rearm_deadline(u32 times)
{
	while (times--)
		cpu_wrmsr(MSR_IA32_TSC_DEADLINE, 0);
}

void exit_handle(struct vmm *vm, struct l2 *g, u32 reason)
{
	u32 basic = reason & 0xffff;

	g->exits_total++;
	if (vm->config.rearm)
		rearm_deadline(vm->config.rearm);
	if (basic < EXIT_REASON_COUNT && !(reason & EXIT_REASON_ENTRY_FAILURE)) {
		g->exits[basic]++;
		if (handlers[basic](vm, g))
			return;
	}
	if (reason & EXIT_REASON_ENTRY_FAILURE)
		con_printf("guest %s: VM entry failed\n", g->config->name);
	l2_dump(g, reason);
	con_printf("guest %s: stopped\n", g->config->name);
	vmm_stop_l2(vm, g, ~0u, true);
}
