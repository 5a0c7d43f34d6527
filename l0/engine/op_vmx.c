/*
 * The VMX instructions: what raises #UD or #GP, and the exit that lets L0 do the rest. VMREAD and
 * VMWRITE of a guest with a shadow VMCS are done here when its bitmaps are clear.
 * Source: SDM 3C "VMX Instruction Reference" (the order of the checks), "VMCS Shadowing".
 */
#include <Zydis/Zydis.h>
#include "l0/arch/vmcs12.h"
#include "l0/engine/sys_priv.h"

static u32 reason_of(const struct op *op)
{
	switch (op->mnemonic) {
	case ZYDIS_MNEMONIC_VMXOFF: return EXIT_REASON_VMXOFF;
	case ZYDIS_MNEMONIC_VMCLEAR: return EXIT_REASON_VMCLEAR;
	case ZYDIS_MNEMONIC_VMPTRLD: return EXIT_REASON_VMPTRLD;
	case ZYDIS_MNEMONIC_VMPTRST: return EXIT_REASON_VMPTRST;
	case ZYDIS_MNEMONIC_VMLAUNCH: return EXIT_REASON_VMLAUNCH;
	case ZYDIS_MNEMONIC_VMRESUME: return EXIT_REASON_VMRESUME;
	case ZYDIS_MNEMONIC_INVEPT: return EXIT_REASON_INVEPT;
	}
	return EXIT_REASON_INVVPID;
}

/* Modes in which VMX instructions do not exist: real, virtual-8086, compatibility. */
static bool mode_lacks_vmx(const struct vp *vp)
{
	return !vp->features->has_vmx || is_real(vp) || is_v86(vp) ||
	       (is_lma(vp) && !is_code64(vp));
}

/* A guest of L1 exits whatever its privilege; L1 itself needs level 0. */
static void check_root_privilege(struct vp *vp, const struct op *op)
{
	if (!vp->in_l2 && cur_cpl(vp))
		fault_gp0(vp, op);
}

void op_vmx(struct vp *vp, const struct op *op)
{
	if (mode_lacks_vmx(vp) || !(vp->vmxon || vp->in_l2))
		fault_ud(vp, op);
	check_root_privilege(vp, op);
	intercept_check(vp, op, reason_of(op), 0);
}

void op_vmxon(struct vp *vp, const struct op *op)
{
	if (mode_lacks_vmx(vp) || !(vp->cpu.cr4 & CR4_VMXE))
		fault_ud(vp, op);
	check_root_privilege(vp, op);
	intercept_check(vp, op, EXIT_REASON_VMXON, 0);
}

/* VMCALL in a guest exits in every mode. */
void op_vmcall(struct vp *vp, const struct op *op)
{
	if (!vp->features->has_vmx || !(vp->vmxon || vp->in_l2) ||
	    (!vp->in_l2 && mode_lacks_vmx(vp)))
		fault_ud(vp, op);
	check_root_privilege(vp, op);
	intercept_check(vp, op, EXIT_REASON_VMCALL, 0);
}

void op_vmfunc(struct vp *vp, const struct op *op)
{
	if (!vp->in_l2 || !ctl_proc2(vp, PROC2_VMFUNC) || (u32)vp->cpu.gpr[RAX] > 63)
		fault_ud(vp, op);
	intercept_check(vp, op, EXIT_REASON_VMFUNC, 0);
}

/* --- VMREAD, VMWRITE -------------------------------------------------------------------------- */

/* Does the shadow VMCS serve the field? Unusual ones exit as well; l0/exit knows what they mean. L1
 * has one too: L0 lets it read and write its current VMCS without an exit. */
static bool shadow_serves(const struct vp *vp, u64 encoding, bool write)
{
	const u8 *map = write ? vp->ctl.vmwrite_bitmap : vp->ctl.vmread_bitmap;

	if (!ctl_proc2(vp, PROC2_VMCS_SHADOWING) || !vp->ctl.shadow_vmcs || !map)
		return false;
	if (encoding >> 15 || (map[encoding / 8] >> (encoding & 7) & 1))
		return false;
	if (!vmcs12_offset_of(encoding) || vmcs12_need[VMCS12_KEY((u32)encoding)] == NEED_NEVER)
		return false;
	return !write || VMCS_ENCODING_CLASS(encoding) != VMCS_CLASS_RO;
}

static u32 vmx_operand_size(const struct vp *vp)
{
	return is_code64(vp) ? 8 : 4;
}

static void shadow_read(struct vp *vp, const struct op *op, u32 encoding)
{
	const u8 *p = (const u8 *)vp->ctl.shadow_vmcs + vmcs12_offset_of(encoding);
	u32 bytes = vmcs_field_bytes(encoding), size = vmx_operand_size(vp);
	u64 val = bytes == 2 ? nm_load16(p) : bytes == 4 ? nm_load32(p) : nm_load64(p);

	if (op->flags & OP_MEM)
		seg_write(vp, op, op->seg, op_ea(vp, op), val, size);
	else
		sys_reg_write(vp, op->src, val, size);
}

static void shadow_write(struct vp *vp, const struct op *op, u32 encoding)
{
	u8 *p = (u8 *)vp->ctl.shadow_vmcs + vmcs12_offset_of(encoding);
	u32 bytes = vmcs_field_bytes(encoding), size = vmx_operand_size(vp);
	u64 val = op->flags & OP_MEM ? seg_read(vp, op, op->seg, op_ea(vp, op), size)
				     : vp->cpu.gpr[op->src];

	if (size == 4)
		val = (u32)val;
	if (vp->ctl.shadow_dirty)
		*vp->ctl.shadow_dirty |= vmcs12_group[VMCS12_KEY(encoding)];
	if (bytes == 2)
		nm_store16(p, (u16)val);
	else if (bytes == 4)
		nm_store32(p, (u32)val);
	else
		nm_store64(p, val);
}

/* 0F 78 VMREAD r/m, reg; 0F 79 VMWRITE reg, r/m: the encoding is in ModRM.reg. */
void op_vmread_vmwrite(struct vp *vp, const struct op *op)
{
	bool write = (op->aux & 0xff) == 0x79;
	u64 encoding = vp->cpu.gpr[op->dst];

	if (mode_lacks_vmx(vp) || !(vp->vmxon || vp->in_l2))
		fault_ud(vp, op);
	check_root_privilege(vp, op);
	if (!is_code64(vp))
		encoding = (u32)encoding;
	if (!shadow_serves(vp, encoding, write))
		intercept_check(vp, op, write ? EXIT_REASON_VMWRITE : EXIT_REASON_VMREAD, 0);
	if (cur_cpl(vp))
		fault_gp0(vp, op);
	if (write)
		shadow_write(vp, op, (u32)encoding);
	else
		shadow_read(vp, op, (u32)encoding);
	sys_arith_flags(vp, 0); /* VMsucceed */
}
