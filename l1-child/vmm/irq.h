/*
 * Interrupts of the child VMM itself: descriptor tables, the 8259s (masked: nothing here uses
 * them), the local APIC and its one-shot timer. Interrupts are off except where the VMM halts or
 * opens a window on purpose, so handlers run between VM exits and need no locks.
 */
#ifndef L1_CHILD_VMM_IRQ_H
#define L1_CHILD_VMM_IRQ_H

#include "l1-child/lib/types.h"

#define VECTOR_PIC 0x20 /* interrupt requests 0 to 15 */
#define VECTOR_PIC_SPURIOUS (VECTOR_PIC + 7)
#define VECTOR_TIMER 0x40
#define VECTOR_SPURIOUS 0xff

/* selectors of the VMM's own GDT */
#define SEL_CODE64 0x08
#define SEL_DATA 0x10
#define SEL_TSS 0x18

/* What a trap leaves on the stack (traps.S). */
struct irq_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

/* Gets every trap and interrupt that comes through the IDT first; true: it is dealt with. For
 * programs that cause traps on purpose. */
typedef bool (*irq_hook_fn)(struct irq_frame *f);
void irq_set_hook(irq_hook_fn fn);

/* Loads GDT, TSS and IDT; masks the 8259s; enables the local APIC. on_timer(arg) runs at each timer
 * interrupt, with interrupts off, after the end-of-interrupt. */
void irq_init(void (*on_timer)(void *arg), void *arg);

/* Handles the interrupt of this vector as the IDT would have (acknowledge-interrupt-on-exit). */
void irq_dispatch(unsigned int vector);

/* Lets pending interrupts in through the IDT for one instruction. */
void irq_window(void);

/* Waits for an interrupt; returns after its handler. */
void irq_halt(void);

/* Bases that the VMCS host-state area wants. */
u64 irq_gdt_base(void);
u64 irq_idt_base(void);
u64 irq_tss_base(void);

/* Measures the local APIC timer against the time stamp counter. Call once, after clock_init(). */
void irq_calibrate_timer(void);

/* Uses channel 0 of the 8254 instead: interrupt request 0 of the 8259, which the local APIC passes
 * on (LINT0, ExtINT). Call instead of irq_calibrate_timer(). */
void irq_use_pit(void);

/* Starts the one-shot timer: an interrupt about delta_tsc ticks from now (at least one count). */
void irq_timer_arm(u64 delta_tsc);
void irq_timer_stop(void);

#endif
