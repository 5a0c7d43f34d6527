/*
 * VM-execution controls → does this instruction exit? And what an exit reports of an instruction:
 * qualification, instruction information, the address of its memory operand.
 * Source: SDM 3C "VMX Non-Root Operation" (instructions that cause VM exits), "Basic VM-Exit
 * Information", "Information for VM Exits Due to Instruction Execution".
 */
#include "l0/engine/sys_priv.h"

void exit_begin(struct vp *vp, u32 reason, u64 qualification)
{
	nm_zero(&vp->exit, sizeof(vp->exit));
	vp->exit.reason = reason;
	vp->exit.qualification = qualification;
}

_Noreturn void exit_now(struct vp *vp, const struct op *op, u32 reason, u64 qualification)
{
	exit_begin(vp, reason, qualification);
	vp_exit(vp, op);
}

/* --- by a plain control bit ------------------------------------------------------------------- */

enum rule_word { NEVER, PROC, PROC2, ALWAYS, ALWAYS_NON_NATIVE };

static const struct rule {
	u8 word; /* enum rule_word */
	u32 bit;
} rules[EXIT_REASON_COUNT] = {
	[EXIT_REASON_CPUID] = {ALWAYS, 0},
	[EXIT_REASON_GETSEC] = {ALWAYS, 0},
	[EXIT_REASON_HLT] = {PROC, PROC_HLT},
	[EXIT_REASON_INVD] = {ALWAYS_NON_NATIVE, 0},
	[EXIT_REASON_INVLPG] = {PROC, PROC_INVLPG},
	[EXIT_REASON_RDPMC] = {PROC, PROC_RDPMC},
	[EXIT_REASON_RDTSC] = {PROC, PROC_RDTSC},
	[EXIT_REASON_RSM] = {ALWAYS, 0},
	[EXIT_REASON_VMCALL] = {ALWAYS, 0},
	[EXIT_REASON_VMCLEAR] = {ALWAYS, 0},
	[EXIT_REASON_VMLAUNCH] = {ALWAYS, 0},
	[EXIT_REASON_VMPTRLD] = {ALWAYS, 0},
	[EXIT_REASON_VMPTRST] = {ALWAYS, 0},
	[EXIT_REASON_VMREAD] = {ALWAYS, 0},
	[EXIT_REASON_VMRESUME] = {ALWAYS, 0},
	[EXIT_REASON_VMWRITE] = {ALWAYS, 0},
	[EXIT_REASON_VMXOFF] = {ALWAYS, 0},
	[EXIT_REASON_VMXON] = {ALWAYS, 0},
	[EXIT_REASON_DR_ACCESS] = {PROC, PROC_MOV_DR},
	[EXIT_REASON_MWAIT] = {PROC, PROC_MWAIT},
	[EXIT_REASON_MONITOR] = {PROC, PROC_MONITOR},
	[EXIT_REASON_PAUSE] = {PROC, PROC_PAUSE},
	[EXIT_REASON_GDTR_IDTR] = {PROC2, PROC2_DESCRIPTOR_TABLE},
	[EXIT_REASON_LDTR_TR] = {PROC2, PROC2_DESCRIPTOR_TABLE},
	[EXIT_REASON_INVEPT] = {ALWAYS, 0},
	[EXIT_REASON_RDTSCP] = {PROC, PROC_RDTSC},
	[EXIT_REASON_INVVPID] = {ALWAYS, 0},
	[EXIT_REASON_WBINVD] = {PROC2, PROC2_WBINVD},
	[EXIT_REASON_XSETBV] = {ALWAYS_NON_NATIVE, 0},
	[EXIT_REASON_RDRAND] = {PROC2, PROC2_RDRAND},
	[EXIT_REASON_INVPCID] = {PROC, PROC_INVLPG},
	[EXIT_REASON_VMFUNC] = {ALWAYS, 0},
	[EXIT_REASON_RDSEED] = {PROC2, PROC2_RDSEED},
};

static bool rule_wants(const struct vp *vp, const struct rule *r)
{
	switch (r->word) {
	case PROC: return ctl_proc(vp, r->bit);
	case PROC2: return ctl_proc2(vp, r->bit);
	case ALWAYS: return true;
	case ALWAYS_NON_NATIVE: return !vp->ctl.l0_native;
	}
	return false;
}

/* Which reasons report their memory operand: address, displacement as the qualification. */
static bool reports_operand(u32 reason)
{
	switch (reason) {
	case EXIT_REASON_VMCLEAR:
	case EXIT_REASON_VMPTRLD:
	case EXIT_REASON_VMPTRST:
	case EXIT_REASON_VMREAD:
	case EXIT_REASON_VMWRITE:
	case EXIT_REASON_VMXON:
	case EXIT_REASON_INVEPT:
	case EXIT_REASON_INVVPID:
	case EXIT_REASON_INVPCID:
	case EXIT_REASON_GDTR_IDTR:
	case EXIT_REASON_LDTR_TR: return true;
	}
	return false;
}

void intercept_check(struct vp *vp, const struct op *op, u32 exit_reason, u64 qualification)
{
	if (!rule_wants(vp, &rules[exit_reason]))
		return;
	exit_begin(vp, exit_reason, qualification);
	if (reports_operand(exit_reason)) {
		if (op->flags & OP_MEM) {
			vp->exit.qualification = (u64)op->disp;
			vp->exit.operand_gva = intercept_operand_gva(vp, op);
			vp->exit.gla = vp->exit.operand_gva;
		}
		vp->exit.insn_info = intercept_insn_info(vp, op);
	} else if (exit_reason == EXIT_REASON_RDRAND || exit_reason == EXIT_REASON_RDSEED) {
		vp->exit.insn_info = intercept_insn_info(vp, op);
	}
	vp_exit(vp, op);
}

u64 intercept_operand_gva(struct vp *vp, const struct op *op)
{
	u64 lin = op_ea(vp, op) + vp->ea_base[op->seg];

	return is_code64(vp) ? lin : (u32)lin;
}

/* --- bitmaps ---------------------------------------------------------------------------------- */

bool intercept_msr(const struct vp *vp, u32 msr, bool write)
{
	const u8 *map = vp->ctl.msr_bitmap;
	u32 n = msr & 0x1fff;

	if (!ctl_proc(vp, PROC_MSR_BITMAPS) || !map)
		return true;
	if (msr >= 0xc0000000u && msr <= 0xc0001fffu)
		map += 1024;
	else if (msr > 0x1fff)
		return true;
	if (write)
		map += 2048;
	return map[n / 8] >> (n % 8) & 1;
}

bool intercept_port(const struct vp *vp, u16 port, u32 size)
{
	if (!ctl_proc(vp, PROC_IO_BITMAPS))
		return ctl_proc(vp, PROC_UNCONDITIONAL_IO);
	if ((u32)port + size > 0x10000) /* wraps around: exits */
		return true;
	for (u32 p = port; p < port + size; p++) {
		const u8 *map = p & 0x8000 ? vp->ctl.io_bitmap_b : vp->ctl.io_bitmap_a;

		if (!map || (map[(p & 0x7fff) / 8] >> (p % 8) & 1))
			return true;
	}
	return false;
}

/* --- instruction information ------------------------------------------------------------------ */

#define INFO_REGISTER (1u << 10)
#define INFO_NO_INDEX (1u << 22)
#define INFO_NO_BASE (1u << 27)

static u32 log2_size(u32 n)
{
	return n >= 8 ? 3 : n >= 4 ? 2 : n >= 2 ? 1 : 0;
}

/* The segment an address uses when the operation has it optimised away. */
static u32 operand_seg(const struct op *op)
{
	if (op->seg < SEG_LDTR)
		return op->seg;
	return op->base == RSP || op->base == RBP ? SEG_SS : SEG_DS;
}

static u32 info_address_size(const struct op *op)
{
	return (log2_size(op->asize) - 1) << 7;
}

static u32 info_memory(const struct op *op)
{
	u32 info = info_address_size(op) | operand_seg(op) << 15;

	if (op->index < OP_NO_REG)
		info |= log2_size(op->scale) | (u32)op->index << 18;
	else
		info |= INFO_NO_INDEX;
	info |= op->base < OP_NO_REG ? (u32)op->base << 23 : INFO_NO_BASE;
	return info;
}

/* r/m operand: a register in bits 6:3, or memory. */
static u32 info_rm(const struct op *op)
{
	return op->flags & OP_MEM ? info_memory(op) : INFO_REGISTER | (u32)op->src << 3;
}

u32 intercept_insn_info(struct vp *vp, const struct op *op)
{
	u32 ext = op->modrm >> 3 & 7;

	switch (vp->exit.reason) {
	case EXIT_REASON_VMREAD:
	case EXIT_REASON_VMWRITE: return info_rm(op) | (u32)op->dst << 28;
	case EXIT_REASON_INVEPT:
	case EXIT_REASON_INVVPID:
	case EXIT_REASON_INVPCID: return info_memory(op) | (u32)op->dst << 28;
	case EXIT_REASON_GDTR_IDTR: /* 0F 01 /0 SGDT /1 SIDT /2 LGDT /3 LIDT */
		return info_memory(op) | (op->size > 2 ? 1u << 11 : 0) | (ext & 3) << 28;
	case EXIT_REASON_LDTR_TR: /* 0F 00 /0 SLDT /1 STR /2 LLDT /3 LTR */
		return info_rm(op) | (ext & 3) << 28;
	case EXIT_REASON_RDRAND:
	case EXIT_REASON_RDSEED: return (u32)op->src << 3 | (log2_size(op->size) - 1) << 11;
	case EXIT_REASON_IO_INSTRUCTION: /* INS, OUTS */
		return info_address_size(op) | operand_seg(op) << 15;
	}
	return info_memory(op); /* VMCLEAR, VMPTRLD, VMPTRST, VMXON, XSAVES, XRSTORS */
}
