/*
 * Between event.c (how an event is delivered) and boundary.c (which one, and when). Nobody else
 * includes it.
 */
#ifndef L0_ENGINE_EVENT_PRIV_H
#define L0_ENGINE_EVENT_PRIV_H

#include "l0/engine/sys_priv.h"

struct event {
	u32 vector, type; /* enum intr_type */
	bool has_error;
	u32 error;
	u64 rip, flags; /* as they are pushed */
};

/* In vp->inject_info only: an exception raised by L0 for an instruction it emulated, not an
 * injection by VM entry. The exception bitmap applies. */
#define INJECT_AS_FAULT 0x40000000u

void event_begin(struct vp *vp, u32 info, u32 error, u32 len);
/* After event_begin(): through the IVT, IDT or a task gate. vp->cpu.rip is the handler's after it.
 */
void event_deliver(struct vp *vp, const struct op *op, const struct event *e);
bool event_exception_exits(const struct vp *vp, u32 vector, u32 error);
bool event_is_fault(const struct vp *vp, u32 vector);
/* DR6, DR7 and DEBUGCTL as the delivery of a #DB changes them. */
void event_debug_registers(struct vp *vp, u64 bits);
/* Debug exception for the breakpoint on the instruction at CS:RIP: bits of DR6, or 0. */
u64 debug_code_match(const struct vp *vp);

#endif
