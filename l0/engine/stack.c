/*
 * Stacks of far transfers and event delivery: the current one, and one of an inner privilege level
 * that comes from the TSS. Source: SDM 3A "Stack Switching", "Stack Switching in IA-32e Mode".
 */
#include "l0/engine/softtlb.h"
#include "l0/engine/sys_priv.h"

u64 stack_mask(const struct vp *vp)
{
	if (is_code64(vp))
		return ~0ull;
	return vp->cpu.seg[SEG_SS].ar & SEG_AR_DB ? 0xffffffffull : 0xffffull;
}

static u64 sp_under(u64 mask, u64 old, u64 sp)
{
	return mask == 0xffff ? (old & ~0xffffull) | (sp & 0xffff) : sp & mask;
}

void stack_set(struct vp *vp, u64 sp)
{
	vp->cpu.gpr[RSP] = sp_under(stack_mask(vp), vp->cpu.gpr[RSP], sp);
}

u64 stack_push(struct vp *vp, const struct op *op, const u64 *v, u32 n, u32 size)
{
	u64 mask = stack_mask(vp), sp = vp->cpu.gpr[RSP] & mask, low = (sp - (u64)n * size) & mask;

	/* one probe for all, so that nothing is written when the last would fault */
	if (low < sp || !sp)
		lin_probe_write(vp, op, seg_linear(vp, op, SEG_SS, low, n * size, true), n * size);
	for (u32 i = 0; i < n; i++) {
		sp = (sp - size) & mask;
		seg_write(vp, op, SEG_SS, sp, v[i], size);
	}
	return sp;
}

u64 stack_push_inner(struct vp *vp, const struct op *op, const struct seg *ss, u64 sp, bool code64,
		     const u64 *v, u32 n, u32 size)
{
	u64 mask = code64 ? ~0ull : ss->ar & SEG_AR_DB ? 0xffffffffull : 0xffffull;
	u64 base = code64 ? 0 : ss->base;

	for (u32 pass = 0; pass < 2; pass++) { /* probe all, then write all */
		u64 at = sp & mask;

		for (u32 i = 0; i < n; i++) {
			at = (at - size) & mask;
			u64 lin = code64 ? at : (u32)(base + at);

			if (code64 ? !linear_ok(vp, lin) : !segment_limit_ok(ss, at, size))
				fault_sel(vp, op, VECTOR_SS, code64 ? 0 : ss->sel);
			if (pass)
				sys_write(vp, op, lin, v[i], size);
			else
				sys_probe_write(vp, op, lin, size);
		}
	}
	return sp_under(mask, sp, (sp & mask) - (u64)n * size);
}

u64 stack_peek(struct vp *vp, const struct op *op, u32 index, u32 size)
{
	return seg_read(vp, op, SEG_SS, (vp->cpu.gpr[RSP] + (u64)index * size) & stack_mask(vp),
			size);
}

void stack_peek_frame(struct vp *vp, const struct op *op, u64 *v, u32 n, u32 size)
{
	u64 sp = vp->cpu.gpr[RSP];
	const u8 *p = NULL;

	if (size == 8 && is_code64(vp) && likely(!(vp->mode & VP_MODE_AC && sp & 7)))
		p = softtlb_read(vp, sp, n * 8);
	for (u32 i = 0; i < n; i++)
		v[i] = p ? nm_load64(p + i * 8) : stack_peek(vp, op, i, size);
}

/* A field of the current TSS, or #TS(TR) when it lies beyond its limit. */
static u64 tss_read(struct vp *vp, const struct op *op, u32 off, u32 size)
{
	const struct seg *tr = &vp->cpu.seg[SEG_TR];

	if (off + size - 1 > tr->limit)
		fault_sel(vp, op, VECTOR_TS, tr->sel);
	return sys_read(vp, op, is_lma(vp) ? tr->base + off : (u32)(tr->base + off), size);
}

void stack_from_tss(struct vp *vp, const struct op *op, u32 cpl, struct seg *ss, u64 *sp)
{
	bool tss32 = vp->cpu.seg[SEG_TR].ar & 8;
	struct desc d;
	u16 sel;

	if (tss32) {
		sel = (u16)tss_read(vp, op, 8 + cpl * 8, 2);
		*sp = tss_read(vp, op, 4 + cpl * 8, 4);
	} else {
		sel = (u16)tss_read(vp, op, 4 + cpl * 4, 2);
		*sp = tss_read(vp, op, 2 + cpl * 4, 2);
	}
	desc_fetch_or(vp, op, sel, VECTOR_TS, &d);
	if ((sel & SEL_RPL) != cpl || desc_dpl(&d) != cpl || !desc_is_writable_data(&d))
		fault_sel(vp, op, VECTOR_TS, sel);
	if (!desc_p(&d))
		fault_sel(vp, op, VECTOR_SS, sel);
	desc_set_accessed(vp, op, &d);
	desc_to_seg(&d, sel, ss);
}

u64 stack_from_tss64(struct vp *vp, const struct op *op, u32 slot)
{
	/* RSP0 at 4, RSP2 at 20, eight reserved bytes, IST1 at 36 */
	u64 sp = tss_read(vp, op, slot < 3 ? 4 + slot * 8 : 36 + (slot - 4) * 8, 8);

	if (!linear_ok(vp, sp))
		vp_fault(vp, op, VECTOR_SS, event_ext(vp));
	return sp;
}
