/* lapic_priv.h - the local APIC's state, shared by lapic.c (registers, interrupts), lapic_timer.c
 * and lapic_msr.c; not for others */
#ifndef L0_DEV_LAPIC_PRIV_H
#define L0_DEV_LAPIC_PRIV_H

#include "l0/arch/msr.h"
#include "l0/dev/lapic.h"

/* Registers by offset / 16, as in x2APIC MSR numbers. */
#define REG_ID 0x02u
#define REG_VERSION 0x03u
#define REG_TPR 0x08u
#define REG_APR 0x09u
#define REG_PPR 0x0au
#define REG_EOI 0x0bu
#define REG_RRD 0x0cu
#define REG_LDR 0x0du
#define REG_DFR 0x0eu
#define REG_SVR 0x0fu
#define REG_ISR 0x10u
#define REG_TMR 0x18u
#define REG_IRR 0x20u
#define REG_ESR 0x28u
#define REG_ICR 0x30u
#define REG_ICR2 0x31u
#define REG_LVT_TIMER 0x32u
#define REG_LVT_THERMAL 0x33u
#define REG_LVT_PERF 0x34u
#define REG_LVT_LINT0 0x35u
#define REG_LVT_LINT1 0x36u
#define REG_LVT_ERROR 0x37u
#define REG_TIMER_INITIAL 0x38u
#define REG_TIMER_CURRENT 0x39u
#define REG_TIMER_DIVIDE 0x3eu
#define REG_SELF_IPI 0x3fu
#define REG_COUNT 0x40u

#define LVT_COUNT 6u
enum lvt_index { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR };

#define LVT_VECTOR 0xffu
#define LVT_DELIVERY_SHIFT 8
#define LVT_DELIVERY 0x700u
#define LVT_MASKED 0x10000u
#define LVT_TIMER_MODE 0x60000u
#define LVT_TIMER_ONESHOT 0x00000u
#define LVT_TIMER_PERIODIC 0x20000u
#define LVT_TIMER_DEADLINE 0x40000u

#define SVR_ENABLED 0x100u

#define ESR_SEND_ILLEGAL_VECTOR 0x20u
#define ESR_RECEIVE_ILLEGAL_VECTOR 0x40u
#define ESR_ILLEGAL_REGISTER 0x80u

struct lapic {
	struct device dev;
	u32 vp;		/* VP id, also the initial APIC ID */
	u64 base;	/* IA32_APIC_BASE */
	bool is_absent; /* its processor is not there */

	u32 id; /* 8 bits in xAPIC mode, 32 in x2APIC mode */
	u8 tpr;
	u32 ldr, dfr, svr;
	u64 isr[4], tmr[4], irr[4];
	u32 esr, esr_pending;
	u32 icr, icr2;
	u32 lvt[LVT_COUNT];
	bool lint[2]; /* levels of the pins */
	bool intr;    /* what we last told the VP */
	u64 due_ns[256];
	u64 acked_due_ns;

	/* timer: lapic_timer.c */
	struct timer timer;
	u32 timer_initial, timer_divide;
	u64 timer_deadline_ns; /* when the count reaches 0; TIMER_NEVER: stopped */
	u64 tsc_deadline, tsc_adjust;
};

static inline bool lapic_is_x2apic(const struct lapic *l)
{
	return l->base & APIC_BASE_X2APIC;
}

static inline bool lapic_is_enabled(const struct lapic *l)
{
	return (l->base & APIC_BASE_ENABLE) && !l->is_absent;
}

/* lapic.c; lock held */
void lapic_accept(struct lapic *l, u8 vector, bool level, u32 source, u64 due_ns);
void lapic_error(struct lapic *l, u32 bits);
void lapic_update(struct lapic *l);
void lapic_reset_registers(struct lapic *l);
u32 lapic_read_register(struct lapic *l, u32 reg);
void lapic_write_register(struct lapic *l, u32 reg, u32 value);
void lapic_send_icr(struct lapic *l, u32 icr, u32 dest);

/* lapic_timer.c; lock held */
void lapic_timer_fire(void *arg, u64 deadline_ns);
void lapic_timer_stop(struct lapic *l);
u32 lapic_timer_current(struct lapic *l);
void lapic_timer_set_initial(struct lapic *l, u32 value);
void lapic_timer_set_divide(struct lapic *l, u32 value);
void lapic_timer_set_lvt(struct lapic *l, u32 value);

#endif
