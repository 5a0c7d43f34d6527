/*
 * lapic_msr.c - IA32_APIC_BASE and the x2APIC registers
 *
 * Source: SDM 3A "Extended XAPIC (x2APIC)": register address space, reserved bits, state
 * transitions.
 */
#include <stdio.h>

#include "l0/arch/msr.h"
#include "l0/base/log.h"
#include "l0/dev/lapic_priv.h"

#define APIC_BASE_ADDRESS 0x000ffffffffff000ull
#define MAXPHYADDR_DEFAULT 46u
#define ICR_X2APIC_RESERVED 0xfff33000u

static bool write_base(struct lapic *l, u64 value)
{
	u64 max = l->dev.bus->maxphyaddr ? l->dev.bus->maxphyaddr : MAXPHYADDR_DEFAULT;
	u64 valid = (APIC_BASE_ADDRESS & ((1ull << max) - 1)) | APIC_BASE_BSP | APIC_BASE_X2APIC |
		    APIC_BASE_ENABLE;
	u64 old_mode = l->base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC);
	u64 mode = value & (APIC_BASE_ENABLE | APIC_BASE_X2APIC),
	    old_base = l->base & APIC_BASE_ADDRESS;

	if (value & ~valid)
		return false;
	/* EXTD needs EN; x2APIC mode is entered from xAPIC mode and left by disabling */
	if (mode == APIC_BASE_X2APIC || (old_mode == 0 && (mode & APIC_BASE_X2APIC)) ||
	    ((old_mode & APIC_BASE_X2APIC) && mode == APIC_BASE_ENABLE))
		return false;
	if ((value & APIC_BASE_ADDRESS) != old_base) {
		/* one page serves all VPs, so it moves with the first */
		if (l->vp ||
		    mem_move_mmio(l->dev.bus->mem, l, old_base, value & APIC_BASE_ADDRESS)) {
			log_once(LOG_DEV, "not supported: local APIC moved to 0x%llx",
				 (unsigned long long)(value & APIC_BASE_ADDRESS));
			value = (value & ~APIC_BASE_ADDRESS) | old_base;
		} else if (l->dev.bus->ops->memory_changed) {
			l->dev.bus->ops->memory_changed(l->dev.bus->machine);
		}
	}
	l->base = value;
	if (old_mode == mode)
		return true;
	if (mode == (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) {
		l->id = l->vp;
		l->ldr = (l->id >> 4) << 16 | 1u << (l->id & 15);
		l->icr2 = 0;
	} else { /* disabled, or enabled again: the state of power-up */
		l->id = l->vp;
		lapic_reset_registers(l);
	}
	lapic_update(l);
	return true;
}

static bool read_x2apic(struct lapic *l, u32 reg, u64 *value)
{
	switch (reg) {
	case REG_ID:
	case REG_VERSION:
	case REG_TPR:
	case REG_PPR:
	case REG_LDR:
	case REG_SVR:
	case REG_ISR ... REG_IRR + 7:
	case REG_ESR:
	case REG_LVT_TIMER ... REG_LVT_ERROR:
	case REG_TIMER_INITIAL:
	case REG_TIMER_CURRENT:
	case REG_TIMER_DIVIDE: *value = lapic_read_register(l, reg); return true;
	case REG_ICR: *value = (u64)l->icr2 << 32 | l->icr; return true;
	default: /* write-only, reserved, or without a place in x2APIC mode (DFR, ICR high) */
		return false;
	}
}

/* Bits of each register that a write may set; ~0 in a reg that cannot be written. */
static bool is_valid_x2apic(u32 reg, u64 value)
{
	static const u32 valid[REG_COUNT] = {
		[REG_TPR] = 0xff,	   [REG_SVR] = 0x1ff,
		[REG_LVT_TIMER] = 0x710ff, [REG_LVT_THERMAL] = 0x117ff,
		[REG_LVT_PERF] = 0x117ff,  [REG_LVT_LINT0] = 0x1f7ff,
		[REG_LVT_LINT1] = 0x1f7ff, [REG_LVT_ERROR] = 0x110ff,
		[REG_TIMER_INITIAL] = ~0u, [REG_TIMER_DIVIDE] = 0xb,
		[REG_SELF_IPI] = 0xff,
	};

	if (reg == REG_ICR)
		return !(value & ICR_X2APIC_RESERVED);
	if (reg == REG_EOI || reg == REG_ESR)
		return value == 0;
	return reg < REG_COUNT && valid[reg] && !(value & ~(u64)valid[reg]);
}

static bool write_x2apic(struct lapic *l, u32 reg, u64 value)
{
	if (!is_valid_x2apic(reg, value))
		return false;
	switch (reg) {
	case REG_ICR:
		l->icr = (u32)value;
		l->icr2 = (u32)(value >> 32);
		lapic_send_icr(l, l->icr, l->icr2);
		break;
	case REG_SELF_IPI: lapic_send_icr(l, 1u << 18 | (u32)value, 0); break;
	default: lapic_write_register(l, reg, (u32)value);
	}
	return true;
}

bool lapic_msr_read(struct lapic *l, u32 msr, u64 *value)
{
	bool ok = true;

	bus_lock(l->dev.bus);
	if (msr == MSR_IA32_APIC_BASE)
		*value = l->base;
	else if (lapic_is_x2apic(l) && msr - MSR_X2APIC_FIRST < REG_COUNT)
		ok = read_x2apic(l, msr - MSR_X2APIC_FIRST, value);
	else
		ok = false;
	bus_unlock(l->dev.bus);
	return ok;
}

bool lapic_msr_write(struct lapic *l, u32 msr, u64 value)
{
	bool ok = false;

	bus_lock(l->dev.bus);
	if (msr == MSR_IA32_APIC_BASE)
		ok = write_base(l, value);
	else if (lapic_is_x2apic(l) && msr - MSR_X2APIC_FIRST < REG_COUNT)
		ok = write_x2apic(l, msr - MSR_X2APIC_FIRST, value);
	bus_unlock(l->dev.bus);
	return ok;
}

int lapic_describe(struct lapic *l, char *buf, size_t n)
{
	return snprintf(buf, n,
			"lapic %u: base %#llx id %u tpr %02x svr %03x lvt-timer %05x lint0 %05x"
			" irr %016llx%016llx%016llx%016llx isr %016llx%016llx%016llx%016llx"
			" timer-at %lld ns",
			l->vp, (unsigned long long)l->base, l->id, l->tpr, l->svr,
			l->lvt[LVT_TIMER], l->lvt[LVT_LINT0], (unsigned long long)l->irr[3],
			(unsigned long long)l->irr[2], (unsigned long long)l->irr[1],
			(unsigned long long)l->irr[0], (unsigned long long)l->isr[3],
			(unsigned long long)l->isr[2], (unsigned long long)l->isr[1],
			(unsigned long long)l->isr[0], (long long)l->timer_deadline_ns);
}
