#include "l1-child/vmm/irq.h"

#include "l0/arch/ports.h"
#include "l1-child/lib/console.h"
#include "l1-child/lib/cpu.h"
#include "l1-child/lib/str.h"
#include "l1-child/vmm/clock.h"
#include "l1-child/vmm/vmx_defs.h"

/* local APIC registers, from its base */
#define APIC_BASE_ADDRESS 0xfee00000ull
#define APIC_TPR 0x080
#define APIC_EOI 0x0b0
#define APIC_SVR 0x0f0
#define APIC_SVR_ENABLE (1u << 8)
#define APIC_LVT_TIMER 0x320
#define APIC_LVT_LINT0 0x350
#define APIC_LVT_LINT1 0x360
#define APIC_LVT_ERROR 0x370
#define APIC_LVT_MASKED (1u << 16)
#define APIC_TIMER_INITIAL 0x380
#define APIC_TIMER_CURRENT 0x390
#define APIC_TIMER_DIVIDE 0x3e0
#define APIC_DIVIDE_BY_1 0xb
#define APIC_LVT_EXTINT 0x700

#define PIC_EOI 0x20
#define PIT_CH0_MODE0 0x30 /* low then high byte */
#define PIT_LONGEST 0xffff

struct idt_gate {
	u16 offset_low, selector;
	u8 ist, type;
	u16 offset_middle;
	u32 offset_high, reserved;
};

struct table_pointer {
	u16 limit;
	u64 base;
} __attribute__((packed));

struct tss64 {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3, io_base;
} __attribute__((packed));

#define FAULT_STACK_SIZE 4096
#define GATE_INTERRUPT 0x8e

extern const u8 irq_stubs[256][16];
void irq_trap(struct irq_frame *f);

/* The hardware's anchors: one processor, one set. */
static struct idt_gate idt[256];
static struct tss64 tss;
static u8 fault_stack[FAULT_STACK_SIZE] __attribute__((aligned(16)));
static u64 gdt[5];
static irq_hook_fn hook;
static bool use_pit;
static void (*timer_handler)(void *arg);
static void *timer_arg;
static u32 timer_counts_per_ms;
static u64 timer_longest_tsc;

static void apic_write(u32 reg, u32 v)
{
	*(volatile u32 *)(APIC_BASE_ADDRESS + reg) = v;
}

static u32 apic_read(u32 reg)
{
	return *(volatile u32 *)(APIC_BASE_ADDRESS + reg);
}

static void load_tables(void)
{
	struct table_pointer gdt_ptr = {sizeof(gdt) - 1, (u64)gdt};
	struct table_pointer idt_ptr = {sizeof(idt) - 1, (u64)idt};
	u64 base = (u64)&tss;

	gdt[1] = 0x00af9b000000ffff;
	gdt[2] = 0x00cf93000000ffff;
	gdt[3] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 |
		 (base >> 24 & 0xff) << 56;
	gdt[4] = base >> 32;
	tss.io_base = sizeof(tss);
	tss.ist[0] = (u64)(fault_stack + sizeof(fault_stack));
	for (unsigned int i = 0; i < 256; i++) {
		u64 at = (u64)irq_stubs[i];

		idt[i] = (struct idt_gate){
			.offset_low = (u16)at,
			.selector = SEL_CODE64,
			.ist = i == VECTOR_NMI || i == VECTOR_DF,
			.type = GATE_INTERRUPT,
			.offset_middle = (u16)(at >> 16),
			.offset_high = (u32)(at >> 32),
		};
	}
	__asm__ volatile("lgdt %0; lidt %1; ltr %w2"
			 :
			 : "m"(gdt_ptr), "m"(idt_ptr), "r"(SEL_TSS)
			 : "memory");
}

static void mask_pics(void)
{
	port_out8(PORT_PIC1_CMD, 0x11); /* ICW1: edge, cascade, ICW4 follows */
	port_out8(PORT_PIC2_CMD, 0x11);
	port_out8(PORT_PIC1_DATA, VECTOR_PIC); /* ICW2: vectors */
	port_out8(PORT_PIC2_DATA, VECTOR_PIC + 8);
	port_out8(PORT_PIC1_DATA, 0x04); /* ICW3 */
	port_out8(PORT_PIC2_DATA, 0x02);
	port_out8(PORT_PIC1_DATA, 0x01); /* ICW4: 8086 */
	port_out8(PORT_PIC2_DATA, 0x01);
	port_out8(PORT_PIC1_DATA, 0xff);
	port_out8(PORT_PIC2_DATA, 0xff);
}

void irq_init(void (*on_timer)(void *arg), void *arg)
{
	u64 base = cpu_rdmsr(MSR_IA32_APIC_BASE);

	timer_handler = on_timer;
	timer_arg = arg;
	load_tables();
	mask_pics();
	if ((base & ~0xfffull) != APIC_BASE_ADDRESS)
		con_die("the local APIC is at 0x%lx, not at 0x%lx", base & ~(u64)0xfff,
			(u64)APIC_BASE_ADDRESS);
	if (!(base & APIC_BASE_ENABLE))
		cpu_wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_ENABLE);
	apic_write(APIC_SVR, APIC_SVR_ENABLE | VECTOR_SPURIOUS);
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED | VECTOR_TIMER);
	apic_write(APIC_LVT_LINT0, APIC_LVT_MASKED);
	apic_write(APIC_LVT_LINT1, APIC_LVT_MASKED);
	apic_write(APIC_LVT_ERROR, APIC_LVT_MASKED);
	apic_write(APIC_TPR, 0);
}

void irq_calibrate_timer(void)
{
	u64 start, ticks, per_ms = clock_hz() / 1000;
	u32 counted;

	apic_write(APIC_TIMER_DIVIDE, APIC_DIVIDE_BY_1);
	apic_write(APIC_TIMER_INITIAL, ~0u);
	start = cpu_tsc();
	while (cpu_tsc() - start < per_ms)
		cpu_pause();
	counted = ~0u - apic_read(APIC_TIMER_CURRENT);
	ticks = cpu_tsc() - start;
	apic_write(APIC_TIMER_INITIAL, 0);
	timer_counts_per_ms = (u32)mul_div(counted, per_ms, ticks);
	if (!timer_counts_per_ms)
		con_die("the local APIC timer does not count");
	timer_longest_tsc = mul_div(0x7fffffff, per_ms, timer_counts_per_ms);
	apic_write(APIC_LVT_TIMER, VECTOR_TIMER); /* one-shot, not masked */
}

void irq_use_pit(void)
{
	use_pit = true;
	apic_write(APIC_LVT_LINT0, APIC_LVT_EXTINT);
	port_out8(PORT_PIC1_DATA, (u8)~1u); /* request 0 only */
}

/* Mode 0: one pulse at the end of the count. A long wait is made of several. */
static void pit_arm(u64 delta_tsc)
{
	u64 counts = mul_div(delta_tsc, PIT_HZ, clock_hz()) + 1;

	if (counts > PIT_LONGEST)
		counts = PIT_LONGEST;
	port_out8(PORT_PIT_CMD, PIT_CH0_MODE0);
	port_out8(PORT_PIT_CH0, (u8)counts);
	port_out8(PORT_PIT_CH0, (u8)(counts >> 8));
}

void irq_timer_arm(u64 delta_tsc)
{
	if (use_pit) {
		pit_arm(delta_tsc);
		return;
	}
	u64 counts;

	if (delta_tsc > timer_longest_tsc)
		delta_tsc = timer_longest_tsc;
	/* Rounded up: an interrupt that comes a count early would only have to be armed again. */
	counts = mul_div(delta_tsc, timer_counts_per_ms, clock_hz() / 1000) + 1;
	apic_write(APIC_TIMER_INITIAL, (u32)counts);
}

void irq_timer_stop(void)
{
	if (use_pit) {
		port_out8(PORT_PIT_CMD, PIT_CH0_MODE0); /* waits for a count that never comes */
		return;
	}
	apic_write(APIC_TIMER_INITIAL, 0);
}

void irq_dispatch(unsigned int vector)
{
	if (vector == VECTOR_SPURIOUS || vector == VECTOR_PIC_SPURIOUS)
		return; /* the request went away before it was taken; no end-of-interrupt */
	if (vector == VECTOR_PIC) {
		port_out8(PORT_PIC1_CMD, PIC_EOI);
		timer_handler(timer_arg);
		return;
	}
	apic_write(APIC_EOI, 0);
	if (vector == VECTOR_TIMER)
		timer_handler(timer_arg);
	else
		con_printf("l1-child: interrupt %x that nobody asked for\n", vector);
}

void irq_set_hook(irq_hook_fn fn)
{
	hook = fn;
}

void irq_trap(struct irq_frame *f)
{
	if (hook && hook(f))
		return;
	if (f->vector >= 0x20) {
		irq_dispatch((unsigned int)f->vector);
		return;
	}
	if (f->vector == VECTOR_NMI) {
		con_printf("l1-child: NMI at rip 0x%lx, ignored\n", f->rip);
		return;
	}
	con_die("exception %lu (error code 0x%lx) in the VMM at rip 0x%lx, rsp 0x%lx, cr2 0x%lx",
		f->vector, f->error, f->rip, f->rsp, f->vector == VECTOR_PF ? cpu_read_cr2() : 0);
}

void irq_window(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory");
}

void irq_halt(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

u64 irq_gdt_base(void)
{
	return (u64)gdt;
}

u64 irq_idt_base(void)
{
	return (u64)idt;
}

u64 irq_tss_base(void)
{
	return (u64)&tss;
}
