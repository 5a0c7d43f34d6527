/*
 * Shared inside the system side of the engine (segment, far, iret, syscall, task, event, debug,
 * intercept, op_*.c): descriptors, stacks of transfers, the few tests of the mode that all need.
 * Everything here runs in a slow operation or between instructions; nothing is hot.
 */
#ifndef L0_ENGINE_SYS_PRIV_H
#define L0_ENGINE_SYS_PRIV_H

#include "l0/arch/msr.h"
#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/base/assert.h"
#include "l0/base/bits.h"
#include "l0/base/mem_ops.h"
#include "l0/engine/access.h"
#include "l0/engine/engine.h"
#include "l0/engine/sys.h"
#include "trace/transition.h"

/* --- mode ------------------------------------------------------------------------------------- */

static inline bool is_real(const struct vp *vp)
{
	return !(vp->cpu.cr0 & CR0_PE);
}
static inline bool is_v86(const struct vp *vp)
{
	return vp->cpu.rflags & RFLAGS_VM;
}
/* Protected mode proper: descriptors count. */
static inline bool is_protected(const struct vp *vp)
{
	return (vp->cpu.cr0 & CR0_PE) && !(vp->cpu.rflags & RFLAGS_VM);
}
static inline bool is_lma(const struct vp *vp)
{
	return vp->cpu.efer & EFER_LMA;
}
static inline bool is_code64(const struct vp *vp)
{
	return is_lma(vp) && (vp->cpu.seg[SEG_CS].ar & SEG_AR_L);
}
/* The privilege level is SS.DPL in protected mode, as in the VMCS. */
static inline u32 cur_cpl(const struct vp *vp)
{
	if (is_real(vp))
		return 0;
	if (is_v86(vp))
		return 3;
	return (vp->cpu.seg[SEG_SS].ar & SEG_AR_DPL) >> SEG_AR_DPL_SHIFT;
}
static inline u32 cur_iopl(const struct vp *vp)
{
	return (u32)(vp->cpu.rflags & RFLAGS_IOPL) >> RFLAGS_IOPL_SHIFT;
}
static inline bool linear_ok(const struct vp *vp, u64 addr)
{
	return is_canonical(addr, vp->cpu.cr4 & CR4_LA57 ? 57 : 48);
}
/* Bases in registers and MSRs, and what INVLPG and INVPCID name, may have the width that the
 * processor supports, whatever CR4.LA57 says. */
static inline bool base_ok(const struct vp *vp, u64 addr)
{
	return is_canonical(addr, vp->features->linaddr_bits);
}
/* Control bits; the secondary ones count only when they are activated. */
static inline bool ctl_pin(const struct vp *vp, u32 bit)
{
	return vp->ctl.pin & bit;
}
static inline bool ctl_proc(const struct vp *vp, u32 bit)
{
	return vp->ctl.proc & bit;
}
static inline bool ctl_proc2(const struct vp *vp, u32 bit)
{
	return (vp->ctl.proc & PROC_SECONDARY) && (vp->ctl.proc2 & bit);
}

/* --- faults ----------------------------------------------------------------------------------- */

/* Is the event being delivered one from outside the program: its faults carry EXT. */
static inline u32 event_ext(const struct vp *vp)
{
	u32 type = (vp->idtv_info & INTR_INFO_TYPE) >> INTR_INFO_TYPE_SHIFT;

	return vp->delivering && type != INTR_TYPE_SW_INTERRUPT && type != INTR_TYPE_SW_EXCEPTION;
}
_Noreturn static inline void fault_sel(struct vp *vp, const struct op *op, u32 vector, u16 sel)
{
	vp_fault(vp, op, vector, (sel & 0xfffcu) | event_ext(vp));
}
_Noreturn static inline void fault_gp0(struct vp *vp, const struct op *op)
{
	vp_fault(vp, op, VECTOR_GP, event_ext(vp));
}
_Noreturn static inline void fault_ud(struct vp *vp, const struct op *op)
{
	vp_fault(vp, op, VECTOR_UD, 0);
}

/* --- descriptors (segment.c) ------------------------------------------------------------------ */

struct desc {
	u64 lo, hi; /* hi: upper half of a 16-byte system descriptor, else 0 */
	u64 gva;    /* where it lies */
};

#define DESC_TYPE_TSS16 1u
#define DESC_TYPE_LDT 2u
#define DESC_TYPE_TSS16_BUSY 3u
#define DESC_TYPE_CALL16 4u
#define DESC_TYPE_TASK 5u
#define DESC_TYPE_INT16 6u
#define DESC_TYPE_TRAP16 7u
#define DESC_TYPE_TSS32 9u
#define DESC_TYPE_TSS32_BUSY 11u
#define DESC_TYPE_CALL32 12u
#define DESC_TYPE_INT32 14u
#define DESC_TYPE_TRAP32 15u

static inline u32 desc_type(const struct desc *d)
{
	return d->lo >> 40 & 0xf;
}
static inline bool desc_s(const struct desc *d)
{
	return d->lo >> 44 & 1;
}
static inline u32 desc_dpl(const struct desc *d)
{
	return d->lo >> 45 & 3;
}
static inline bool desc_p(const struct desc *d)
{
	return d->lo >> 47 & 1;
}
static inline bool desc_l(const struct desc *d)
{
	return d->lo >> 53 & 1;
}
static inline bool desc_db(const struct desc *d)
{
	return d->lo >> 54 & 1;
}
static inline bool desc_is_code(const struct desc *d)
{
	return desc_s(d) && (desc_type(d) & 8);
}
static inline bool desc_is_conforming(const struct desc *d)
{
	return desc_is_code(d) && (desc_type(d) & 4);
}
static inline bool desc_is_writable_data(const struct desc *d)
{
	return desc_s(d) && (desc_type(d) & 10) == 2;
}
static inline bool sel_is_null(u16 sel)
{
	return !(sel & 0xfffc);
}

/* Read the descriptor of @sel. Return: false when it lies beyond its table's limit. */
bool desc_fetch(struct vp *vp, const struct op *op, u16 sel, struct desc *d);
/* The same; beyond the limit, or null, is #@vector(sel). */
void desc_fetch_or(struct vp *vp, const struct op *op, u16 sel, u32 vector, struct desc *d);
/* Read the upper half of a system descriptor under long mode; its type field must be 0: #GP(sel).
 */
void desc_fetch_upper(struct vp *vp, const struct op *op, u16 sel, struct desc *d);
void desc_to_seg(const struct desc *d, u16 sel, struct seg *s);
u64 desc_system_base(const struct desc *d);
/* Set the accessed bit in memory and in @d. */
void desc_set_accessed(struct vp *vp, const struct op *op, struct desc *d);
/* New code segment of a transfer at privilege @cpl: sel with that RPL, accessed bit set in memory.
 */
void desc_to_cs(struct vp *vp, const struct op *op, struct desc *d, u16 sel, u32 cpl,
		struct seg *cs);
void segment_set_null(struct vp *vp, u32 seg, u16 sel, u32 dpl);
void segment_set_v86(struct vp *vp, u32 seg, u16 sel);
/* Data segments that privilege @cpl may not use become null (return to an outer level). */
void segment_drop_privileged(struct vp *vp, u32 cpl);
/* Would [off, off+len) be inside @s? Limit check only, expand-down included. */
bool segment_limit_ok(const struct seg *s, u64 off, u32 len);

/* --- stacks of transfers (stack.c) ------------------------------------------------------------ */

u64 stack_mask(const struct vp *vp);
/* RSP := @sp under the current stack size (the upper part of ESP is kept by a 16-bit stack). */
void stack_set(struct vp *vp, u64 sp);
/* Push @n values of @size bytes on the current stack; nothing is committed. Return: new SP. */
u64 stack_push(struct vp *vp, const struct op *op, const u64 *v, u32 n, u32 size);
/* Push on a stack that is not loaded yet, with supervisor rights. Return: new SP. */
u64 stack_push_inner(struct vp *vp, const struct op *op, const struct seg *ss, u64 sp, bool code64,
		     const u64 *v, u32 n, u32 size);
/* Value @index (of @size bytes) above the stack pointer. */
u64 stack_peek(struct vp *vp, const struct op *op, u32 index, u32 size);
/* The first @n of them. */
void stack_peek_frame(struct vp *vp, const struct op *op, u64 *v, u32 n, u32 size);
/* SS:SP for privilege @cpl from the current TSS, checked; legacy (16- and 32-bit TSS). */
void stack_from_tss(struct vp *vp, const struct op *op, u32 cpl, struct seg *ss, u64 *sp);
/* A 64-bit stack pointer from the TSS: @slot 0-2 RSP0-2, 3 + n: IST n (1-7). */
u64 stack_from_tss64(struct vp *vp, const struct op *op, u32 slot);

/* A far transfer by an instruction has happened: counted when code of its mode is (op_branch.c). */
void branch_far(struct vp *vp);

/* --- threads (op_watch.c); only while vp->watch_stacks --- */

/* The stack pointer was loaded, and CPL is 0: tell it. @how: enum thread_cause; @prev: RSP
 * before. */
void stack_watch(struct vp *vp, u32 how, u64 prev);
/* @msr, a base register, is @value now. Tells it of FS and GS at CPL 0. */
void base_watch(struct vp *vp, u32 msr, u64 value);

/* --- transfers -------------------------------------------------------------------------------- */

void far_jump(struct vp *vp, const struct op *op, u16 sel, u64 off, u32 size);
void far_call(struct vp *vp, const struct op *op, u16 sel, u64 off, u32 size);
/**
 * far_return - RET far and IRET to a protected-mode code segment, same or outer level
 * @rip, @sel: popped; @size: of a stack slot; @at: bytes from SP to the SP:SS slots (or to where SP
 *             ends up at the same level)
 * @pop_stack: SS:SP are popped at the same level too (IRET in 64-bit mode)
 * @flags, @flags_mask: RFLAGS to write, IRET
 */
void far_return(struct vp *vp, const struct op *op, u64 rip, u16 sel, u32 size, u64 at,
		bool pop_stack, u64 flags, u64 flags_mask);
/* A shadow of one instruction begins: INTERRUPTIBILITY_STI or _MOV_SS. */
void event_shadow(struct vp *vp, u32 shadow);
/* RFLAGS := @val in the bits of @mask, with what follows from it (mode, attention). */
void flags_write(struct vp *vp, u64 val, u64 mask);
/* The same for a caller that calls vp_update_mode() itself. */
void flags_merge(struct vp *vp, u64 val, u64 mask);

enum task_cause { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE }; /* exit qualification, bits 31:30 */
/**
 * task_switch - to the TSS @sel
 * @d: its descriptor, present, of an available (IRET: busy) TSS
 * @next_rip, @flags: RIP and RFLAGS saved in the old task
 * @has_error, @error: error code that an exception pushes on the new stack
 */
void task_switch(struct vp *vp, const struct op *op, u16 sel, struct desc *d, enum task_cause cause,
		 u64 next_rip, u64 flags, bool has_error, u32 error);
/* Task gate or TSS descriptor named by a far JMP or CALL: checks, then task_switch(). */
void task_far(struct vp *vp, const struct op *op, u16 sel, struct desc *d, enum task_cause cause);

/* --- control registers, exits ----------------------------------------------------------------- */

/* Write a control register as MOV does: checks (#GP), flushes, mode. @op for the fault. */
void cr0_write(struct vp *vp, const struct op *op, u64 val);
void cr3_write(struct vp *vp, const struct op *op, u64 val);
/* CR3 := @val, checked already: flush of the virtual TLB, transition. */
void cr3_commit(struct vp *vp, u64 val);
void cr4_write(struct vp *vp, const struct op *op, u64 val);
/* The time-stamp counter as the running guest reads it. */
u64 sys_tsc(struct vp *vp);
/* PDPTEs at @cr3 under PAE paging, for MOV CR and task switch: exits on EPT faults. Return: false
 * when a reserved bit is set. */
bool pdptes_load(struct vp *vp, const struct op *op, u64 cr3, u64 pdpte[4]);

/* Start vp->exit: everything 0 but these. */
void exit_begin(struct vp *vp, u32 reason, u64 qualification);
_Noreturn void exit_now(struct vp *vp, const struct op *op, u32 reason, u64 qualification);
/* Linear address of the memory operand without any check, for exits. */
u64 intercept_operand_gva(struct vp *vp, const struct op *op);

/* Register @reg := @val of @size bytes; 4 clears the upper half. */
static inline void sys_reg_write(struct vp *vp, u32 reg, u64 val, u32 size)
{
	if (size == 2)
		vp->cpu.gpr[reg] = (vp->cpu.gpr[reg] & ~0xffffull) | (val & 0xffff);
	else
		vp->cpu.gpr[reg] = size == 4 ? (u32)val : val;
}
/* RFLAGS of an instruction that sets all arithmetic flags to @set. */
static inline void sys_arith_flags(struct vp *vp, u64 set)
{
	vp_set_rflags(vp, (vp->cpu.rflags & ~RFLAGS_ARITH) | set);
}

/* --- slow operations of the table in op_sys.c ------------------------------------------------- */

#define SYS_OP(mnemonic, fn) void fn(struct vp *vp, const struct op *op);
#include "l0/engine/op_sys.def"
#undef SYS_OP
void op_mov_sreg(struct vp *vp, const struct op *op);

/* Port permission by IOPL and the TSS bitmap: #GP(0). Source: SDM 1 "I/O Privilege Level". */
void io_check(struct vp *vp, const struct op *op, u16 port, u32 size);

#endif
