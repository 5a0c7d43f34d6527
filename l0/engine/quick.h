/*
 * Transfers of 64-bit code by the short way: interrupts and exceptions through a gate, IRET,
 * SYSCALL, SYSRET, SWAPGS, when everything they read and write is ordinary and the soft TLB has it.
 * What is not is found out before anything changes, and goes to event.c, iret.c, syscall.c, which
 * know all of it. decode.c asks for the handlers, event.c for the delivery. Cost: 10 to 20 ns each.
 */
#ifndef L0_ENGINE_QUICK_H
#define L0_ENGINE_QUICK_H

#include "l0/engine/event_priv.h"
#include "l0/engine/op.h"

/* Handler of the system operation @op: op_slow, op_inline, or its 64-bit form's own. @ends: set to
 * false when the block may go on after it. */
op_fn quick_handler(const struct op *op, u32 mode, bool *ends);

/* Does @op change nothing but the processor's state and memory that the soft TLB serves, or else go
 * the general way? So not: devices, MSRs, what a VMCS keeps. */
bool quick_can_be_undone(const struct op *op);

/**
 * quick_deliver - go through the gate of @e, which nothing intercepts
 * vp->cpu.rip is the handler's and the event is over then, but for event_end()'s part.
 * Return: false: nothing has changed.
 */
bool quick_deliver(struct vp *vp, const struct event *e);

#endif
