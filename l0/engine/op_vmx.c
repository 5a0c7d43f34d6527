/*
 * The VMX instructions: what raises #UD or #GP, and the exit that lets L0 do the rest. VMREAD and
 * VMWRITE of a guest with a shadow VMCS are done here when its bitmaps are clear.
 * Source: SDM 3C "VMX Instruction Reference" (the order of the checks), "VMCS Shadowing".
 */
#include <Zydis/Zydis.h>
#include "l0/arch/events.h"
#include "l0/arch/vmcs12.h"
#include "l0/engine/exec.h"
#include "l0/engine/sys_priv.h"
#include "trace/transition.h"

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

/* What becomes of a VMREAD or VMWRITE. */
enum shadow_answer { SHADOW_EXITS, SHADOW_SERVES, SHADOW_NO_VMCS, SHADOW_NO_FIELD };

/* In L1's own VMCS: what does not exist has its bit set in the bitmap. */
static bool field_exists(const struct vp *vp, u32 field)
{
	u32 need = vmcs12_need[VMCS12_KEY(field)];

	return need != NEED_NEVER && (!vp->in_l2 || (vp->ctl.vmcs_needs >> need & 1));
}

/* A guest whose bitmap is clear gets its answer from the shadow VMCS, a failure too. L1 has one as
 * well: L0 lets it read and write its current VMCS without an exit; what is unusual exits, l0/exit
 * knows what it means. */
static enum shadow_answer shadow_asks(const struct vp *vp, u64 encoding, bool write)
{
	const u8 *map = write ? vp->ctl.vmwrite_bitmap : vp->ctl.vmread_bitmap;
	u64 field = vp->in_l2 ? encoding & ~(u64)VMCS_HIGH : encoding;

	if (!ctl_proc2(vp, PROC2_VMCS_SHADOWING) || !map)
		return SHADOW_EXITS;
	if (encoding >> 15 || (map[encoding / 8] >> (encoding & 7) & 1))
		return SHADOW_EXITS;
	if (!vp->ctl.shadow_vmcs)
		return vp->in_l2 ? SHADOW_NO_VMCS : SHADOW_EXITS;
	if (!vmcs12_offset_of(field) || !field_exists(vp, (u32)field) ||
	    (field != encoding && VMCS_ENCODING_WIDTH(field) != VMCS_WIDTH_64))
		return vp->in_l2 ? SHADOW_NO_FIELD : SHADOW_EXITS;
	if (write && !vp->in_l2 && VMCS_ENCODING_CLASS(encoding) == VMCS_CLASS_RO)
		return SHADOW_EXITS;
	return SHADOW_SERVES;
}

/* Where the field is; *@bytes: how wide it is, four for the upper half of a 64-bit one. */
static u8 *shadow_field(const struct vp *vp, u32 encoding, u32 *bytes)
{
	bool high = encoding & VMCS_HIGH;

	encoding &= ~VMCS_HIGH;
	*bytes = high ? 4 : vmcs_field_bytes(encoding);
	return (u8 *)vp->ctl.shadow_vmcs + vmcs12_offset_of(encoding) + (high ? 4 : 0);
}

static u32 vmx_operand_size(const struct vp *vp)
{
	return is_code64(vp) ? 8 : 4;
}

static void shadow_read(struct vp *vp, const struct op *op, u32 encoding)
{
	u32 bytes, size = vmx_operand_size(vp);
	const u8 *p = shadow_field(vp, encoding, &bytes);
	u64 val = bytes == 2 ? nm_load16(p) : bytes == 4 ? nm_load32(p) : nm_load64(p);

	if (op->flags & OP_MEM)
		seg_write(vp, op, op->seg, op_ea(vp, op), val, size);
	else
		sys_reg_write(vp, op->src, val, size);
}

/* Who wrote the field, for explanations. */
static void note_writer(struct vp *vp, const struct op *op, u32 encoding)
{
	struct vmcs_writer *w =
		&vp->ctl.field_writers[vmcs12_number[VMCS12_KEY(encoding & ~VMCS_HIGH)]];

	*w = (struct vmcs_writer){.rip = op_rip(vp, op),
				  .when_ns = vp->trace ? vp->trace->now(vp->trace) : vp->insns,
				  .vcpu = vp->trace ? vp->trace->vcpu_id : vp->id,
				  .how = FIELD_WRITER_VMWRITE};
}

static void shadow_write(struct vp *vp, const struct op *op, u32 encoding)
{
	u32 bytes, size = vmx_operand_size(vp);
	u8 *p = shadow_field(vp, encoding, &bytes);
	u64 val = op->flags & OP_MEM ? seg_read(vp, op, op->seg, op_ea(vp, op), size)
				     : vp->cpu.gpr[op->src];

	if (size == 4)
		val = (u32)val;
	if (vp->ctl.shadow_dirty)
		*vp->ctl.shadow_dirty |= vmcs12_group[VMCS12_KEY(encoding)];
	if (unlikely(vp->ctl.field_writers))
		note_writer(vp, op, encoding);
	if (bytes == 2)
		nm_store16(p, (u16)val);
	else if (bytes == 4)
		nm_store32(p, (u32)val);
	else
		nm_store64(p, val);
	if (vp->in_l2) /* in the guest's memory */
		mem_note_write(vp->mem,
			       vp->ctl.shadow_vmcs_gpa + (u64)(p - (u8 *)vp->ctl.shadow_vmcs),
			       bytes);
}

/* 0F 78 VMREAD r/m, reg; 0F 79 VMWRITE reg, r/m: the encoding is in ModRM.reg. */
void op_vmread_vmwrite(struct vp *vp, const struct op *op)
{
	bool write = (op->aux & 0xff) == 0x79;
	u64 encoding = vp->cpu.gpr[op->dst];
	enum shadow_answer answer;

	if (mode_lacks_vmx(vp) || !(vp->vmxon || vp->in_l2))
		fault_ud(vp, op);
	check_root_privilege(vp, op);
	if (!is_code64(vp))
		encoding = (u32)encoding;
	answer = shadow_asks(vp, encoding, write);
	if (answer == SHADOW_EXITS)
		intercept_check(vp, op, write ? EXIT_REASON_VMWRITE : EXIT_REASON_VMREAD, 0);
	if (cur_cpl(vp))
		fault_gp0(vp, op);
	if (answer == SHADOW_NO_VMCS) {
		sys_arith_flags(vp, RFLAGS_CF); /* VMfailInvalid */
		return;
	}
	if (answer == SHADOW_NO_FIELD) {
		if (vp->ctl.insn_error)
			*vp->ctl.insn_error = VMXERR_UNSUPPORTED_COMPONENT;
		sys_arith_flags(vp, RFLAGS_ZF); /* VMfailValid */
		return;
	}
	if (write)
		shadow_write(vp, op, (u32)encoding);
	else
		shadow_read(vp, op, (u32)encoding);
	sys_arith_flags(vp, 0); /* VMsucceed */
}
