/*
 * exit_priv.h - shared inside l0/exit: faults, transitions, the pieces of nested entry and exit
 */
#ifndef L0_EXIT_EXIT_PRIV_H
#define L0_EXIT_EXIT_PRIV_H

#include "l0/arch/events.h"
#include "l0/arch/msr.h"
#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/base/assert.h"
#include "l0/base/bits.h"
#include "l0/base/mem_ops.h"
#include "l0/exit/exit.h"
#include "l0/mem/mem.h"
#include "shadow-vmcs/checks.h"
#include "trace/transition.h"

/* A transition of @vp, if it is traced at all. */
#define VP_TRANSITION(vp, name, ...) \
	do { \
		if ((vp)->trace) \
			TRANSITION((vp)->trace, name, __VA_ARGS__); \
	} while (0)

typedef enum exit_action (*exit_handler)(struct vp *vp, struct nvmx *nv);

/* --- dispatch.c --- */

/* The vm_exit transition of the exit being handled, unless it was made already. Called before
 * anything else is emitted and at the end of exit_handle(). */
void exit_emit(struct vp *vp, struct nvmx *nv, bool reflected);

/* The machine cannot go on: fill the stop fields. Return: EXIT_ACTION_STOP. */
enum exit_action exit_stop(struct vp *vp, struct nvmx *nv, u32 cause, const char *text);

/* Raise an exception for the instruction that exited; RIP stays at it. */
enum exit_action exit_fault(struct vp *vp, u32 vector, bool has_error, u32 error);
static inline enum exit_action exit_gp0(struct vp *vp)
{
	return exit_fault(vp, VECTOR_GP, true, 0);
}
static inline enum exit_action exit_ud(struct vp *vp)
{
	return exit_fault(vp, VECTOR_UD, false, 0);
}

/* The instruction is done. */
static inline enum exit_action exit_done(struct vp *vp)
{
	engine_skip(vp, vp->exit.insn_len);
	return EXIT_ACTION_RUN;
}

static inline bool exit_is_code64(const struct vp *vp)
{
	return (vp->cpu.efer & EFER_LMA) && (vp->cpu.seg[SEG_CS].ar & SEG_AR_L);
}

static inline u32 exit_cpl(const struct vp *vp)
{
	if (!(vp->cpu.cr0 & CR0_PE))
		return 0;
	if (vp->cpu.rflags & RFLAGS_VM)
		return 3;
	return (vp->cpu.seg[SEG_SS].ar & SEG_AR_DPL) >> SEG_AR_DPL_SHIFT;
}

/* --- nested.c --- */

/* VMLAUNCH or VMRESUME with all preconditions but the VMCS's own met. */
enum exit_action nested_entry(struct vp *vp, struct nvmx *nv, bool launch);
/* vp->exit goes to L1. */
enum exit_action nested_exit(struct vp *vp, struct nvmx *nv);
/* Make the cached vmcs12 go back to memory; there is no current VMCS after it. */
void nested_release_vmcs(struct vp *vp, struct nvmx *nv);

/* VMX root operation ends, for L2 or for good: an INIT that it blocked is pending again. */
void nested_unblock_init(struct vp *vp, struct nvmx *nv);
/* nv->current_vmptr changed: where VMREAD and VMWRITE of L1 go. */
void nested_current_changed(struct vp *vp, struct nvmx *nv);
/* Would VM entry take this EPT pointer? */
bool nested_eptp_ok(const struct nvmx *nv, u64 eptp);
/* VMFUNC of L2. */
enum exit_action exit_vmfunc(struct vp *vp, struct nvmx *nv);

/* VMfail with a current VMCS: flags, error field, transition. Skips the instruction. */
enum exit_action vmx_fail_valid(struct vp *vp, struct nvmx *nv, u32 error, u64 operand);
enum exit_action vmx_fail_invalid(struct vp *vp, struct nvmx *nv, u64 operand);
enum exit_action vmx_succeed(struct vp *vp);

/* --- vmx_insn.c --- */

enum exit_action exit_vmcall(struct vp *vp, struct nvmx *nv);
enum exit_action exit_vmclear(struct vp *vp, struct nvmx *nv);
enum exit_action exit_vmlaunch(struct vp *vp, struct nvmx *nv);
enum exit_action exit_vmptrld(struct vp *vp, struct nvmx *nv);
enum exit_action exit_vmptrst(struct vp *vp, struct nvmx *nv);
enum exit_action exit_vmread(struct vp *vp, struct nvmx *nv);
enum exit_action exit_vmresume(struct vp *vp, struct nvmx *nv);
enum exit_action exit_vmwrite(struct vp *vp, struct nvmx *nv);
enum exit_action exit_vmxoff(struct vp *vp, struct nvmx *nv);
enum exit_action exit_vmxon(struct vp *vp, struct nvmx *nv);
enum exit_action exit_invept(struct vp *vp, struct nvmx *nv);
enum exit_action exit_invvpid(struct vp *vp, struct nvmx *nv);

/* --- msr.c --- */

enum exit_action exit_rdmsr(struct vp *vp, struct nvmx *nv);
enum exit_action exit_wrmsr(struct vp *vp, struct nvmx *nv);
void exit_msrs_reset(struct vp *vp, struct nvmx *nv, bool init);

/* --- record.c: nothing unless exit_set_records() was called --- */

void record_load(struct vp *vp, struct nvmx *nv);
void record_release(struct vp *vp, struct nvmx *nv);
/* The VP is reset. */
void record_reset(struct nvmx *nv);
void record_clear(struct nvmx *nv, u64 vmptr);
void record_vmwrite(struct vp *vp, struct nvmx *nv, u64 encoding);
void record_exit(struct vp *vp, struct nvmx *nv);
/* A VMX instruction fails with @error. */
void record_insn_failure(struct vp *vp, struct nvmx *nv, u32 error, u64 operand);

/* --- explain_cold.c --- */

struct vmcs_misuse;
/* Check @id and the others of its group that fail: events, and words if wanted. */
void explain_entry_failure(struct vp *vp, struct nvmx *nv, const struct check_ctx *c, u32 id);
void explain_say_misuse(struct vp *vp, struct nvmx *nv, u64 vmptr, const struct vmcs_misuse *m);

/* --- text_cold.c --- */

void exit_stop_text(struct vp *vp, struct nvmx *nv, const char *text);

/* What a VMX abort is about, in one line: @cause is a VMX_ABORT_*, @bad the entry of the MSR
 * list. */
#define EXIT_ABORT_BYTES 160
const char *exit_abort_text(struct vp *vp, struct nvmx *nv, u32 cause, u32 bad, char *buf);

void exit_report_msr(struct vp *vp, struct nvmx *nv, u32 msr, bool write, u64 value);
void exit_report_event(struct vp *vp, struct nvmx *nv, u32 event);
void exit_report_check(struct vp *vp, struct nvmx *nv, const struct check_ctx *c, u32 id);
u64 exit_host_ns(void);

#endif
