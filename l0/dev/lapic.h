/*
 * lapic.h - the local APIC of one virtual processor: xAPIC at 0xfee00000, x2APIC by MSRs
 *
 * One a VP, made after the interrupt controllers. The engine reaches it by MMIO like any device and
 * through the functions below (acknowledge cycle, CR8, MSRs); other APICs, the I/O APIC and the
 * 8259 reach it inside the bus lock. It raises the VP's interrupt request whenever a vector above
 * the processor priority waits or the 8259's output is high and let through.
 *
 * The timer counts at 1 GHz before its divider; TSC-deadline mode uses the machine's TSC plus the
 * VP's adjustment. Interrupt instants are exact on the machine's clock.
 * Source: SDM 3A "Advanced Programmable Interrupt Controller (APIC)".
 */
#ifndef L0_DEV_LAPIC_H
#define L0_DEV_LAPIC_H

#include "l0/dev/bus.h"

#define LAPIC_BASE_DEFAULT 0xfee00000ull
#define LAPIC_TIMER_HZ 1000000000ull

/* Delivery modes of ICR, LVT entries and I/O APIC redirections. */
enum apic_delivery {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_STARTUP = 6,
	APIC_EXTINT = 7,
};

struct lapic;

/* A message on the interrupt bus. */
struct apic_message {
	u32 dest;
	bool logical; /* destination mode */
	u8 delivery;  /* enum apic_delivery */
	u8 vector;
	bool level; /* level triggered: its EOI goes to the I/O APIC */
	u32 source; /* INTR_SOURCE_* */
	u64 due_ns;
};

/**
 * lapic_create - the local APIC of VP @id
 * Return: the APIC, owned by the bus (also bus->lapic[id]); NULL with *@err = -EINVAL, -EEXIST or
 * -ENOMEM.
 */
struct lapic *lapic_create(struct machine_bus *bus, u32 id, int *err) __must_check;

/* ---- for the engine's hooks; these take the bus lock ------------------------------------------
 */

/**
 * lapic_ack - the interrupt acknowledge cycle of the VP
 * Return: the vector, now in service (or taken from the 8259); -1 when nothing is pending.
 */
int lapic_ack(struct lapic *l);

/* The VP's EOI, sent by the processor itself: a posted-interrupt notification. */
void lapic_eoi(struct lapic *l);

/* When the interrupt that lapic_ack() returned last was due; for intr_injected. */
u64 lapic_acked_due_ns(const struct lapic *l);

/* A performance counter of the VP has overflowed. */
void lapic_pmi(struct lapic *l);

/* The whole task-priority register; CR8 is its bits 7:4. */
void lapic_set_tpr(struct lapic *l, u8 tpr);
u8 lapic_get_tpr(struct lapic *l);

/**
 * lapic_msr_read, lapic_msr_write - IA32_APIC_BASE and the x2APIC registers (800h-8ffh)
 * Return: false when the access is a #GP: reserved bits, a wrong transition of modes, a register
 * that x2APIC mode lacks, or any 800h MSR outside that mode.
 */
bool lapic_msr_read(struct lapic *l, u32 msr, u64 *value);
bool lapic_msr_write(struct lapic *l, u32 msr, u64 value);

/* IA32_TSC_DEADLINE: 0 unless the timer is in that mode and armed. */
u64 lapic_get_tsc_deadline(struct lapic *l);
void lapic_set_tsc_deadline(struct lapic *l, u64 value);

/* The VP's TSC is the machine's plus @adjust from now on. */
void lapic_set_tsc_adjust(struct lapic *l, u64 adjust);

/* INIT reached the VP: registers as after reset, but the APIC ID and IA32_APIC_BASE stay. */
void lapic_init(struct lapic *l);

/* One line of state for dumps: IRR, ISR, TPR, timer. Return: as snprintf(). */
int lapic_describe(struct lapic *l, char *buf, size_t n);

/* ---- for other devices; lock held -------------------------------------------------------------
 */

/* The LINT pins: LINT0 is the 8259's output, LINT1 the NMI line. */
void lapic_set_lint0(struct lapic *l, bool level);
void lapic_set_lint1(struct lapic *l, bool level);

/* The processor was taken out or put in: as after reset; while it is out, nothing reaches it. */
void lapic_set_present(struct lapic *l, bool present);

/* Deliver a message to the APICs that it addresses. Return: how many accepted it. */
u32 apic_bus_send(struct machine_bus *bus, const struct apic_message *msg);

#endif
