/*
 * Descriptors and segment registers. Source: SDM 3A "Protected-Mode Memory Management",
 * "Protection"; SDM 2 "MOV", "POP", "LDS/LES/LFS/LGS/LSS".
 */
#include "l0/engine/sys_priv.h"

bool desc_fetch(struct vp *vp, const struct op *op, u16 sel, struct desc *d)
{
	u64 base;
	u32 limit;

	if (sel & SEL_TI) {
		const struct seg *ldt = &vp->cpu.seg[SEG_LDTR];

		if (ldt->ar & SEG_AR_UNUSABLE)
			return false;
		base = ldt->base;
		limit = ldt->limit;
	} else {
		base = vp->cpu.gdtr.base;
		limit = vp->cpu.gdtr.limit;
	}
	if ((sel | 7u) > limit)
		return false;
	d->gva = base + (sel & 0xfff8u);
	if (!is_lma(vp))
		d->gva = (u32)d->gva;
	d->hi = 0;
	d->lo = sys_read(vp, op, d->gva, 8);
	return true;
}

void desc_fetch_or(struct vp *vp, const struct op *op, u16 sel, u32 vector, struct desc *d)
{
	if (sel_is_null(sel) || !desc_fetch(vp, op, sel, d))
		fault_sel(vp, op, vector, sel);
}

void desc_fetch_upper(struct vp *vp, const struct op *op, u16 sel, struct desc *d)
{
	u32 limit = sel & SEL_TI ? vp->cpu.seg[SEG_LDTR].limit : vp->cpu.gdtr.limit;

	if ((sel | 7u) + 8u > limit)
		fault_sel(vp, op, VECTOR_GP, sel);
	d->hi = sys_read(vp, op, d->gva + 8, 8);
	if (d->hi >> 40 & 0x1f)
		fault_sel(vp, op, VECTOR_GP, sel);
}

void desc_to_seg(const struct desc *d, u16 sel, struct seg *s)
{
	u32 limit = (u32)(d->lo & 0xffff) | (u32)(d->lo >> 32 & 0xf0000);

	s->sel = sel;
	s->unused = 0;
	s->unused2 = 0;
	s->ar = (u32)(d->lo >> 40) & 0xf0ffu;
	s->base = (d->lo >> 16 & 0xffffff) | (d->lo >> 32 & 0xff000000ull);
	s->limit = s->ar & SEG_AR_G ? limit << 12 | 0xfffu : limit;
}

u64 desc_system_base(const struct desc *d)
{
	return (d->lo >> 16 & 0xffffff) | (d->lo >> 32 & 0xff000000ull) | d->hi << 32;
}

void desc_set_accessed(struct vp *vp, const struct op *op, struct desc *d)
{
	if (d->lo >> 40 & 1)
		return;
	d->lo |= BIT(40);
	sys_write(vp, op, d->gva + 5, d->lo >> 40 & 0xff, 1);
}

void desc_to_cs(struct vp *vp, const struct op *op, struct desc *d, u16 sel, u32 cpl,
		struct seg *cs)
{
	desc_set_accessed(vp, op, d);
	desc_to_seg(d, (u16)((sel & ~SEL_RPL) | cpl), cs);
}

void segment_set_null(struct vp *vp, u32 seg, u16 sel, u32 dpl)
{
	struct seg *s = &vp->cpu.seg[seg];

	s->sel = sel;
	s->base = 0;
	s->limit = 0;
	s->ar = SEG_AR_UNUSABLE | dpl << SEG_AR_DPL_SHIFT;
}

/* Limit and attributes keep what protected mode left there ("unreal mode"). */
void segment_set_real(struct vp *vp, u32 seg, u16 sel)
{
	struct seg *s = &vp->cpu.seg[seg];

	s->sel = sel;
	s->base = (u64)sel << 4;
	if (s->ar & SEG_AR_UNUSABLE) {
		s->ar = 0x93;
		s->limit = 0xffff;
	}
}

void segment_set_v86(struct vp *vp, u32 seg, u16 sel)
{
	struct seg *s = &vp->cpu.seg[seg];

	s->sel = sel;
	s->base = (u64)sel << 4;
	s->limit = 0xffff;
	s->ar = 0xf3;
}

void segment_drop_privileged(struct vp *vp, u32 cpl)
{
	static const u8 data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	for (u32 i = 0; i < ARRAY_SIZE(data); i++) {
		struct seg *s = &vp->cpu.seg[data[i]];
		u32 dpl = (s->ar & SEG_AR_DPL) >> SEG_AR_DPL_SHIFT;
		bool conforming = (s->ar & 0xc) == 0xc;

		/* The base stays: 64-bit code goes on using those of FS and GS, and a VMM may have
		 * entered with a null selector in a usable register. */
		if (!(s->ar & SEG_AR_UNUSABLE) && dpl < cpl && !conforming) {
			s->sel = 0;
			s->ar = SEG_AR_UNUSABLE;
		}
	}
}

bool segment_limit_ok(const struct seg *s, u64 off, u32 len)
{
	u64 last = off + len - 1;

	if ((s->ar & 0xc) == 4) /* expand-down data */
		return off > s->limit && last <= (s->ar & SEG_AR_DB ? 0xffffffffull : 0xffffull);
	return last <= s->limit;
}

static void load_ss(struct vp *vp, const struct op *op, u16 sel)
{
	u32 cpl = cur_cpl(vp);
	struct desc d;

	if (sel_is_null(sel)) {
		if (!is_code64(vp) || cpl == 3 || (sel & SEL_RPL) != cpl)
			fault_gp0(vp, op);
		segment_set_null(vp, SEG_SS, sel, cpl);
		return;
	}
	desc_fetch_or(vp, op, sel, VECTOR_GP, &d);
	if ((sel & SEL_RPL) != cpl || !desc_is_writable_data(&d) || desc_dpl(&d) != cpl)
		fault_sel(vp, op, VECTOR_GP, sel);
	if (!desc_p(&d))
		fault_sel(vp, op, VECTOR_SS, sel);
	desc_set_accessed(vp, op, &d);
	desc_to_seg(&d, sel, &vp->cpu.seg[SEG_SS]);
}

static void load_data(struct vp *vp, const struct op *op, u32 seg, u16 sel)
{
	u32 rpl = sel & SEL_RPL, cpl = cur_cpl(vp);
	struct desc d;

	if (sel_is_null(sel)) {
		segment_set_null(vp, seg, sel, 0);
		return;
	}
	desc_fetch_or(vp, op, sel, VECTOR_GP, &d);
	if (!desc_s(&d) || (desc_type(&d) & 10) == 8) /* system, or code that cannot be read */
		fault_sel(vp, op, VECTOR_GP, sel);
	if (!desc_is_conforming(&d) && (rpl > desc_dpl(&d) || cpl > desc_dpl(&d)))
		fault_sel(vp, op, VECTOR_GP, sel);
	if (!desc_p(&d))
		fault_sel(vp, op, VECTOR_NP, sel);
	desc_set_accessed(vp, op, &d);
	desc_to_seg(&d, sel, &vp->cpu.seg[seg]);
}

void segment_load(struct vp *vp, const struct op *op, u32 seg, u16 sel)
{
	if (is_real(vp))
		segment_set_real(vp, seg, sel);
	else if (is_v86(vp))
		segment_set_v86(vp, seg, sel);
	else if (seg == SEG_SS)
		load_ss(vp, op, sel);
	else
		load_data(vp, op, seg, sel);
	vp_update_mode(vp);
}
