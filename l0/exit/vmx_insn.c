/*
 * The VMX instructions as L1 executes them, one function each. Those of L2 never get here: they are
 * reflected. Emits vmx_on, vmx_off, vmcs_load and vmcs_clear, here only.
 * Source: SDM 3C "VMX Instruction Reference".
 */
#include "l0/arch/hypercall.h"
#include "l0/exit/exit_priv.h"
#include "l0/track/track.h"
#include "shadow-vmcs/vmcs12.h"

/* VM-exit instruction information, SDM 3C "Information for VM Exits Due to Instruction Execution".
 */
#define INFO_REG1(i) ((i) >> 3 & 0xf)
#define INFO_IS_REGISTER(i) ((i) >> 10 & 1)
#define INFO_REG2(i) ((i) >> 28)

/* --- what all begin with ------------------------------------------------------------------------
 */

enum allowed { ALLOWED, FAULTED };

/* Modes in which VMX instructions do not exist. */
static bool is_undefined_mode(const struct vp *vp)
{
	return !(vp->cpu.cr0 & CR0_PE) || (vp->cpu.rflags & RFLAGS_VM) ||
	       ((vp->cpu.efer & EFER_LMA) && !exit_is_code64(vp));
}

/* #UD outside VMX operation, #GP(0) above CPL 0. */
static inline enum allowed root_insn(struct vp *vp)
{
	if (unlikely(!vp->vmxon || is_undefined_mode(vp))) {
		exit_ud(vp);
		return FAULTED;
	}
	if (unlikely(exit_cpl(vp))) {
		exit_gp0(vp);
		return FAULTED;
	}
	return ALLOWED;
}

/* The m64 operand of VMXON, VMCLEAR, VMPTRLD. A fault has been queued when it returns false. */
static bool read_pointer(struct vp *vp, u64 *ptr)
{
	return !engine_read_linear(vp, vp->exit.operand_gva, ptr, sizeof(*ptr));
}

/* Is @ptr a place for a VMCS region: aligned, within the physical-address width. */
static bool pointer_ok(const struct nvmx *nv, u64 ptr)
{
	return !(ptr & ~PAGE_MASK) && !(ptr & ~mask_low(nv->profile->caps.maxphyaddr));
}

/* First word of a region; what is not RAM reads as all ones. */
static u32 revision_at(const struct vp *vp, u64 ptr)
{
	u32 rev;

	return mem_read(vp->mem, ptr, &rev, sizeof(rev)) ? ~0u : rev;
}

/* --- VMX operation ------------------------------------------------------------------------------
 */

/* CR0 and CR4 as VMX operation needs them, and the BIOS's permission. */
static bool may_vmxon(const struct vp *vp, const struct nvmx *nv)
{
	const struct cpu_features *f = vp->features;
	const u64 need = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX;

	return !(~vp->cpu.cr0 & f->cr0_fixed0) && !(vp->cpu.cr0 & ~f->cr0_fixed1) &&
	       !(~vp->cpu.cr4 & f->cr4_fixed0) && !(vp->cpu.cr4 & ~f->cr4_fixed1) &&
	       (nv->msr.feature_control & need) == need;
}

enum exit_action exit_vmxon(struct vp *vp, struct nvmx *nv)
{
	u64 ptr;

	if (!(vp->cpu.cr4 & CR4_VMXE) || is_undefined_mode(vp))
		return exit_ud(vp);
	if (exit_cpl(vp))
		return exit_gp0(vp);
	if (vp->vmxon)
		return vmx_fail_valid(vp, nv, VMXERR_VMXON_IN_ROOT, 0);
	if (!may_vmxon(vp, nv))
		return exit_gp0(vp);
	if (!read_pointer(vp, &ptr))
		return EXIT_ACTION_RUN;
	if (!pointer_ok(nv, ptr) || revision_at(vp, ptr) != VMCS12_REVISION)
		return vmx_fail_invalid(vp, nv, ptr);
	nv->vmxon_ptr = ptr;
	nv->current_vmptr = VMX_NO_POINTER;
	nv->dirty = VMCS12_DIRTY_ALL;
	vp->vmxon = true;
	exit_emit(vp, nv, false);
	VP_TRANSITION(vp, vmx_on, .region = ptr);
	return vmx_succeed(vp);
}

enum exit_action exit_vmxoff(struct vp *vp, struct nvmx *nv)
{
	if (root_insn(vp))
		return EXIT_ACTION_RUN;
	nested_release_vmcs(vp, nv);
	vp->vmxon = false;
	nested_unblock_init(vp, nv);
	exit_emit(vp, nv, false);
	VP_TRANSITION(vp, vmx_off, .region = nv->vmxon_ptr);
	if (nv->track)
		track_vmx_off(nv->track);
	return vmx_succeed(vp);
}

/* In VMX root operation without the dual-monitor treatment. */
enum exit_action exit_vmcall(struct vp *vp, struct nvmx *nv)
{
	if (!vp->vmxon)
		return exit_ud(vp);
	if (exit_cpl(vp))
		return exit_gp0(vp);
	if (is_undefined_mode(vp))
		return exit_ud(vp);
	if (unlikely(nv->declares && (u32)vp->cpu.gpr[RAX] == HYPERCALL_DECLARE)) {
		bool taken = nv->hooks->declare &&
			     nv->hooks->declare(vp, vp->cpu.gpr[RBX], vp->cpu.gpr[RCX],
						vp->cpu.gpr[RDX]);
		vp->cpu.gpr[RAX] = taken ? 0 : HYPERCALL_REFUSED;
		return vmx_succeed(vp);
	}
	return vmx_fail_valid(vp, nv, VMXERR_VMCALL_IN_ROOT, 0);
}

/* --- the current VMCS ---------------------------------------------------------------------------
 */

enum exit_action exit_vmclear(struct vp *vp, struct nvmx *nv)
{
	u64 ptr;

	if (root_insn(vp) || !read_pointer(vp, &ptr))
		return EXIT_ACTION_RUN;
	if (!pointer_ok(nv, ptr))
		return vmx_fail_valid(vp, nv, VMXERR_VMCLEAR_INVALID_ADDRESS, ptr);
	if (ptr == nv->vmxon_ptr)
		return vmx_fail_valid(vp, nv, VMXERR_VMCLEAR_VMXON_POINTER, ptr);
	if (ptr == nv->current_vmptr) {
		nv->vmcs12.launch_state = VMCS12_CLEAR;
		nested_release_vmcs(vp, nv);
	} else {
		/* what is no RAM keeps no launch state */
		(void)vmcs12_clear_in_memory(vp->mem, ptr);
	}
	exit_emit(vp, nv, false);
	if (nv->records)
		record_clear(nv, ptr);
	if (nv->track)
		track_vmcs_clear(nv->track, ptr);
	VP_TRANSITION(vp, vmcs_clear, .vmcs = ptr);
	return vmx_succeed(vp);
}

enum exit_action exit_vmptrld(struct vp *vp, struct nvmx *nv)
{
	const bool shadowing = nv->profile->caps.proc2.may_be_1 & PROC2_VMCS_SHADOWING;
	u64 ptr, prev = nv->current_vmptr;
	u32 rev;

	if (root_insn(vp) || !read_pointer(vp, &ptr))
		return EXIT_ACTION_RUN;
	if (!pointer_ok(nv, ptr))
		return vmx_fail_valid(vp, nv, VMXERR_VMPTRLD_INVALID_ADDRESS, ptr);
	if (ptr == nv->vmxon_ptr)
		return vmx_fail_valid(vp, nv, VMXERR_VMPTRLD_VMXON_POINTER, ptr);
	rev = revision_at(vp, ptr);
	if ((rev & ~VMCS12_SHADOW_INDICATOR) != VMCS12_REVISION ||
	    ((rev & VMCS12_SHADOW_INDICATOR) && !shadowing))
		return vmx_fail_valid(vp, nv, VMXERR_VMPTRLD_WRONG_REVISION, ptr);
	if (ptr != prev) {
		nested_release_vmcs(vp, nv);
		if (vmcs12_load(&nv->vmcs12, vp->mem, ptr)) /* the region's end is beyond RAM */
			return vmx_fail_valid(vp, nv, VMXERR_VMPTRLD_WRONG_REVISION, ptr);
		nv->current_vmptr = ptr;
		nv->dirty = VMCS12_DIRTY_ALL;
		nested_current_changed(vp, nv);
		exit_emit(vp, nv, false);
		if (nv->records)
			record_load(vp, nv);
		if (nv->track)
			track_vmcs_load(nv->track, ptr);
		VP_TRANSITION(vp, vmcs_load, .vmcs = ptr, .prev_vmcs = prev);
	}
	return vmx_succeed(vp);
}

enum exit_action exit_vmptrst(struct vp *vp, struct nvmx *nv)
{
	if (root_insn(vp) || engine_write_linear(vp, vp->exit.operand_gva, &nv->current_vmptr,
						 sizeof(nv->current_vmptr)))
		return EXIT_ACTION_RUN;
	return vmx_succeed(vp);
}

/* --- fields -------------------------------------------------------------------------------------
 */

enum exit_action exit_vmread(struct vp *vp, struct nvmx *nv)
{
	u32 info = vp->exit.insn_info;
	bool code64 = exit_is_code64(vp);
	u64 field, value;

	if (root_insn(vp))
		return EXIT_ACTION_RUN;
	field = vp->cpu.gpr[INFO_REG2(info)];
	if (!code64)
		field = (u32)field;
	if (unlikely(nv->current_vmptr == VMX_NO_POINTER))
		return vmx_fail_invalid(vp, nv, field);
	if (unlikely(!vmcs12_read(&nv->vmcs12, &nv->profile->caps, field, &value)))
		return vmx_fail_valid(vp, nv, VMXERR_UNSUPPORTED_COMPONENT, field);
	if (INFO_IS_REGISTER(info))
		vp->cpu.gpr[INFO_REG1(info)] = code64 ? value : (u32)value;
	else if (engine_write_linear(vp, vp->exit.operand_gva, &value, code64 ? 8 : 4))
		return EXIT_ACTION_RUN;
	return vmx_succeed(vp);
}

enum exit_action exit_vmwrite(struct vp *vp, struct nvmx *nv)
{
	u32 info = vp->exit.insn_info, error;
	bool code64 = exit_is_code64(vp);
	u64 field, value = 0;

	if (root_insn(vp))
		return EXIT_ACTION_RUN;
	field = vp->cpu.gpr[INFO_REG2(info)];
	if (INFO_IS_REGISTER(info))
		value = vp->cpu.gpr[INFO_REG1(info)];
	if (!code64) {
		field = (u32)field;
		value = (u32)value;
	}
	if (unlikely(nv->current_vmptr == VMX_NO_POINTER))
		return vmx_fail_invalid(vp, nv, field);
	if (!INFO_IS_REGISTER(info) &&
	    engine_read_linear(vp, vp->exit.operand_gva, &value, code64 ? 8 : 4))
		return EXIT_ACTION_RUN;
	error = vmcs12_write(&nv->vmcs12, &nv->profile->caps, field, value, &nv->dirty);
	if (unlikely(error))
		return vmx_fail_valid(vp, nv, error, field);
	if (nv->record)
		record_vmwrite(vp, nv, field);
	return vmx_succeed(vp);
}

/* --- entries ------------------------------------------------------------------------------------
 */

enum exit_action exit_vmlaunch(struct vp *vp, struct nvmx *nv)
{
	return root_insn(vp) ? EXIT_ACTION_RUN : nested_entry(vp, nv, true);
}

enum exit_action exit_vmresume(struct vp *vp, struct nvmx *nv)
{
	return root_insn(vp) ? EXIT_ACTION_RUN : nested_entry(vp, nv, false);
}

/* --- translations -------------------------------------------------------------------------------
 */

/* The type in a register and the 128-bit descriptor in memory. */
static bool read_descriptor(struct vp *vp, u64 *type, u64 desc[2])
{
	*type = vp->cpu.gpr[INFO_REG2(vp->exit.insn_info)];
	if (!exit_is_code64(vp))
		*type = (u32)*type;
	return !engine_read_linear(vp, vp->exit.operand_gva, desc, 16);
}

enum exit_action exit_invept(struct vp *vp, struct nvmx *nv)
{
	const u64 caps = nv->profile->caps.ept_vpid;
	u64 type, desc[2];

	if (!(caps & EPT_CAP_INVEPT))
		return exit_ud(vp);
	if (root_insn(vp) || !read_descriptor(vp, &type, desc))
		return EXIT_ACTION_RUN;
	if (!(type == INVEPT_SINGLE && (caps & EPT_CAP_INVEPT_SINGLE) &&
	      nested_eptp_ok(nv, desc[0])) &&
	    !(type == INVEPT_ALL && (caps & EPT_CAP_INVEPT_ALL)))
		return vmx_fail_valid(vp, nv, VMXERR_INVALID_INVEPT_INVVPID, type);
	vtlb_invept(&vp->tlb, (u32)type, desc[0]);
	return vmx_succeed(vp);
}

enum exit_action exit_invvpid(struct vp *vp, struct nvmx *nv)
{
	const u64 caps = nv->profile->caps.ept_vpid;
	static const u64 cap_of[] = {VPID_CAP_ADDRESS, VPID_CAP_SINGLE, VPID_CAP_ALL,
				     VPID_CAP_SINGLE_NON_GLOBAL};
	u64 type, desc[2];

	if (!(caps & VPID_CAP_INVVPID))
		return exit_ud(vp);
	if (root_insn(vp) || !read_descriptor(vp, &type, desc))
		return EXIT_ACTION_RUN;
	if (type >= ARRAY_SIZE(cap_of) || !(caps & cap_of[type]) || desc[0] >> 16 ||
	    (type != INVVPID_ALL && !desc[0]) ||
	    (type == INVVPID_ADDRESS && !is_canonical(desc[1], nv->profile->caps.linaddr_bits)))
		return vmx_fail_valid(vp, nv, VMXERR_INVALID_INVEPT_INVVPID, type);
	vtlb_invvpid(&vp->tlb, (u32)type, (u16)desc[0], desc[1]);
	return vmx_succeed(vp);
}
