/*
 * IN, OUT, INS, OUTS. Permission by IOPL and the TSS bitmap, then the VMX bitmaps, then the device,
 * in mid-instruction. REP forms commit each iteration, so they can stop anywhere.
 * Source: SDM 1 "Input/Output"; SDM 2 "IN", "INS", "OUT", "OUTS"; SDM 3C table "Exit Qualification
 * for I/O Instructions".
 */
#include "l0/engine/sys_priv.h"
#include "l0/mem/mem.h"

void io_check(struct vp *vp, const struct op *op, u16 port, u32 size)
{
	const struct seg *tr = &vp->cpu.seg[SEG_TR];
	u32 map, bits;

	if (is_real(vp) || (!is_v86(vp) && cur_cpl(vp) <= cur_iopl(vp)))
		return;
	if ((tr->ar & SEG_AR_UNUSABLE) || !(tr->ar & 8) || tr->limit < 103)
		fault_gp0(vp, op);
	map = (u32)sys_read(vp, op, tr->base + 102, 2) + port / 8;
	if (map + 1 > tr->limit)
		fault_gp0(vp, op);
	bits = (u32)sys_read(vp, op, tr->base + map, 2) >> (port & 7);
	if (bits & ((1u << size) - 1))
		fault_gp0(vp, op);
}

#define IO_IN (1u << 3)
#define IO_STRING (1u << 4)
#define IO_REP (1u << 5)
#define IO_IMMEDIATE (1u << 6)

/* Exit for the port when the controls say so; @gla of the memory operand of string forms. */
static void io_intercept(struct vp *vp, const struct op *op, u16 port, u32 size, u32 how, u64 gla)
{
	if (!intercept_port(vp, port, size))
		return;
	exit_begin(vp, EXIT_REASON_IO_INSTRUCTION, (size - 1) | how | (u64)port << 16);
	if (how & IO_STRING) {
		vp->exit.gla = gla;
		vp->exit.insn_info = intercept_insn_info(vp, op);
	}
	vp->exit.io_rcx = vp->cpu.gpr[RCX];
	vp->exit.io_rsi = vp->cpu.gpr[RSI];
	vp->exit.io_rdi = vp->cpu.gpr[RDI];
	vp->exit.io_rip = vp->cpu.rip;
	vp_exit(vp, op);
}

static void watch_port(struct vp *vp, u16 port, u32 size)
{
	if (vp->attn & VP_ATTN_WATCH)
		debug_data_access(vp, port, size, DEBUG_IO);
}

/* E4-E7 take the port from the instruction, EC-EF from DX. */
static u16 port_operand(const struct vp *vp, const struct op *op, u32 *how)
{
	if (op->aux & 8)
		return (u16)vp->cpu.gpr[RDX];
	*how |= IO_IMMEDIATE;
	return op->imm & 0xff;
}

static u32 io_size(const struct op *op)
{
	return op->aux & 1 ? MIN(op->size, 4u) : 1;
}

void op_in(struct vp *vp, const struct op *op)
{
	u32 how = IO_IN, size = io_size(op), val;
	u16 port = port_operand(vp, op, &how);

	io_check(vp, op, port, size);
	io_intercept(vp, op, port, size, how, 0);
	val = mem_port_read(vp->mem, port, size);
	if (size == 1)
		vp->cpu.gpr[RAX] = (vp->cpu.gpr[RAX] & ~0xffull) | (val & 0xff);
	else
		sys_reg_write(vp, RAX, val, size);
	watch_port(vp, port, size);
}

void op_out(struct vp *vp, const struct op *op)
{
	u32 how = 0, size = io_size(op);
	u16 port = port_operand(vp, op, &how);

	io_check(vp, op, port, size);
	io_intercept(vp, op, port, size, how, 0);
	mem_port_write(vp->mem, port, (u32)(vp->cpu.gpr[RAX] & mask_low(size * 8)), size);
	watch_port(vp, port, size);
}

/* --- string forms ----------------------------------------------------------------------------- */

/* Bytes after which a REP form counts as one more instruction (engine.h). */
#define COUNTED_BYTES 64u
#define ATTN_SINGLE (VP_ATTN_STEP | VP_ATTN_MTF | VP_ATTN_WATCH | VP_ATTN_TRACE | VP_ATTN_VAPIC)

static u64 address_mask(const struct op *op)
{
	return mask_low(op->asize * 8u);
}

/* A register moves within the address size: 16 bits keep the upper part, 32 bits clear it. */
static void move_reg(struct vp *vp, const struct op *op, u32 reg, s64 by)
{
	sys_reg_write(vp, reg, vp->cpu.gpr[reg] + (u64)by, op->asize);
}

static void ins_once(struct vp *vp, const struct op *op, u32 size)
{
	u16 port = (u16)vp->cpu.gpr[RDX];
	u64 off = vp->cpu.gpr[RDI] & address_mask(op), lin;

	io_check(vp, op, port, size);
	lin = seg_linear(vp, op, SEG_ES, off, size, true);
	io_intercept(vp, op, port, size,
		     IO_IN | IO_STRING | (op->flags & (OP_REP | OP_REPNE) ? IO_REP : 0), lin);
	lin_probe_write(vp, op, lin, size);
	seg_write(vp, op, SEG_ES, off, mem_port_read(vp->mem, port, size), size);
	watch_port(vp, port, size);
}

static void outs_once(struct vp *vp, const struct op *op, u32 size)
{
	u16 port = (u16)vp->cpu.gpr[RDX];
	u64 off = vp->cpu.gpr[RSI] & address_mask(op), lin, val;

	io_check(vp, op, port, size);
	lin = seg_linear(vp, op, op->seg, off, size, false);
	io_intercept(vp, op, port, size, IO_STRING | (op->flags & (OP_REP | OP_REPNE) ? IO_REP : 0),
		     lin);
	val = seg_read(vp, op, op->seg, off, size);
	mem_port_write(vp->mem, port, (u32)val, size);
	watch_port(vp, port, size);
}

/*
 * One counted group: op_slow counts it as one instruction when it returns. A group that is cut
 * short (single steps) must not be counted again: the count is taken back, and the group goes on
 * where vp->ev.io_* say.
 */
static void string_io(struct vp *vp, const struct op *op, u32 reg,
		      void (*once)(struct vp *, const struct op *, u32))
{
	u32 size = io_size(op);
	bool rep = op->flags & (OP_REP | OP_REPNE), single = vp->attn & ATTN_SINGLE;
	u64 mask = address_mask(op), self = vp->cpu.rip;
	u32 done = vp->ev.io_rip == self && vp->ev.io_rcx == vp->cpu.gpr[RCX] ? vp->ev.io_group : 0;
	bool counted = done;

	while (!rep || (vp->cpu.gpr[RCX] & mask)) {
		once(vp, op, size);
		move_reg(vp, op, reg, vp->cpu.rflags & RFLAGS_DF ? -(s64)size : (s64)size);
		if (!rep)
			return;
		move_reg(vp, op, RCX, -1);
		done += size;
		if (single || done >= COUNTED_BYTES)
			break;
	}
	if (!rep || !(vp->cpu.gpr[RCX] & mask)) {
		vp->ev.io_rip = ~0ull;
	} else {
		vp->next_rip = self;
		vp->ev.io_rip = self;
		vp->ev.io_rcx = vp->cpu.gpr[RCX];
		vp->ev.io_group = done >= COUNTED_BYTES ? 0 : (u8)done;
	}
	if (counted)
		vp->insns--;
}

void op_ins(struct vp *vp, const struct op *op)
{
	string_io(vp, op, RDI, ins_once);
}

void op_outs(struct vp *vp, const struct op *op)
{
	string_io(vp, op, RSI, outs_once);
}
