/* Checks on guest segment registers. Source: SDM 3C "Checks on Guest Segment Registers". */
#include "shadow-vmcs/checks_priv.h"

struct seg12 {
	u64 base;
	u32 limit, ar;
	u16 sel;
};

#define SEG12(v, s) \
	((struct seg12){(v)->guest_##s##_base, (v)->guest_##s##_limit, (v)->guest_##s##_ar_bytes, \
			(v)->guest_##s##_selector})

static struct seg12 seg12(const struct check_ctx *c, u32 seg)
{
	switch (seg) {
	case SEG_ES: return SEG12(c->v, es);
	case SEG_CS: return SEG12(c->v, cs);
	case SEG_SS: return SEG12(c->v, ss);
	case SEG_DS: return SEG12(c->v, ds);
	case SEG_FS: return SEG12(c->v, fs);
	case SEG_GS: return SEG12(c->v, gs);
	case SEG_LDTR: return SEG12(c->v, ldtr);
	default: return SEG12(c->v, tr);
	}
}

static u32 type_of(u32 ar)
{
	return ar & SEG_AR_TYPE;
}

static u32 dpl_of(u32 ar)
{
	return (ar & SEG_AR_DPL) >> SEG_AR_DPL_SHIFT;
}

/* CS is always checked, other registers only while they are usable. */
static bool usable(u32 seg, const struct seg12 *s)
{
	return seg == SEG_CS || !(s->ar & SEG_AR_UNUSABLE);
}

/* Is the rule on code and data segments about this register at all: not in virtual-8086 mode. */
static bool applies(const struct check_ctx *c, u32 seg, const struct seg12 *s)
{
	return !c->v86 && usable(seg, s);
}

static bool g_suits(const struct seg12 *s)
{
	if ((s->limit & 0xfff) != 0xfff && (s->ar & SEG_AR_G))
		return false;
	return !(s->limit & 0xfff00000u) || (s->ar & SEG_AR_G);
}

#define AR_RESERVED 0xfffe0f00u

bool check_seg_ti(const struct check_ctx *c, u32 seg)
{
	struct seg12 s = seg12(c, seg);

	return (seg == SEG_LDTR && (s.ar & SEG_AR_UNUSABLE)) || !(s.sel & SEL_TI);
}

bool check_guest_ss_rpl(const struct check_ctx *c, u32 arg)
{
	return c->v86 || c->unrestricted ||
	       (c->v->guest_ss_selector & SEL_RPL) == (c->v->guest_cs_selector & SEL_RPL);
}

bool check_seg_base_v86(const struct check_ctx *c, u32 seg)
{
	struct seg12 s = seg12(c, seg);

	return !c->v86 || s.base == (u64)s.sel << 4;
}

bool check_seg_base_canonical(const struct check_ctx *c, u32 seg)
{
	struct seg12 s = seg12(c, seg);

	return (seg == SEG_LDTR && (s.ar & SEG_AR_UNUSABLE)) || canonical(c, s.base);
}

bool check_seg_base_high(const struct check_ctx *c, u32 seg)
{
	struct seg12 s = seg12(c, seg);

	return !usable(seg, &s) || !(s.base >> 32);
}

bool check_seg_limit_v86(const struct check_ctx *c, u32 seg)
{
	return !c->v86 || seg12(c, seg).limit == 0xffff;
}

bool check_seg_ar_v86(const struct check_ctx *c, u32 seg)
{
	return !c->v86 || seg12(c, seg).ar == 0xf3;
}

bool check_guest_cs_type(const struct check_ctx *c, u32 arg)
{
	switch (type_of(c->v->guest_cs_ar_bytes)) {
	case 9:
	case 11:
	case 13:
	case 15: return true;
	case 3: return c->v86 || c->unrestricted;
	default: return c->v86;
	}
}

bool check_guest_ss_type(const struct check_ctx *c, u32 arg)
{
	struct seg12 s = seg12(c, SEG_SS);
	u32 type = type_of(s.ar);

	return !applies(c, SEG_SS, &s) || type == 3 || type == 7;
}

bool check_seg_type_data(const struct check_ctx *c, u32 seg)
{
	struct seg12 s = seg12(c, seg);
	u32 type = type_of(s.ar);

	return !applies(c, seg, &s) || ((type & 1) && (!(type & 8) || (type & 2)));
}

bool check_seg_s(const struct check_ctx *c, u32 seg)
{
	struct seg12 s = seg12(c, seg);

	return !applies(c, seg, &s) || (s.ar & SEG_AR_S);
}

bool check_guest_cs_dpl(const struct check_ctx *c, u32 arg)
{
	u32 cs = c->v->guest_cs_ar_bytes, ss = c->v->guest_ss_ar_bytes;

	if (c->v86)
		return true;
	switch (type_of(cs)) {
	case 3: return dpl_of(cs) == 0;
	case 9:
	case 11: return dpl_of(cs) == dpl_of(ss);
	case 13:
	case 15: return dpl_of(cs) <= dpl_of(ss);
	default: return true; /* the rule on the type speaks */
	}
}

bool check_guest_ss_dpl_rpl(const struct check_ctx *c, u32 arg)
{
	return c->v86 || c->unrestricted ||
	       dpl_of(c->v->guest_ss_ar_bytes) == (c->v->guest_ss_selector & SEL_RPL);
}

bool check_guest_ss_dpl_zero(const struct check_ctx *c, u32 arg)
{
	bool must = type_of(c->v->guest_cs_ar_bytes) == 3 || !(c->v->guest_cr0 & CR0_PE);

	return c->v86 || !must || dpl_of(c->v->guest_ss_ar_bytes) == 0;
}

bool check_seg_dpl_data(const struct check_ctx *c, u32 seg)
{
	struct seg12 s = seg12(c, seg);

	return c->unrestricted || !applies(c, seg, &s) || type_of(s.ar) > 11 ||
	       dpl_of(s.ar) >= (s.sel & SEL_RPL);
}

bool check_seg_p(const struct check_ctx *c, u32 seg)
{
	struct seg12 s = seg12(c, seg);

	return !applies(c, seg, &s) || (s.ar & SEG_AR_P);
}

bool check_seg_ar_reserved(const struct check_ctx *c, u32 seg)
{
	struct seg12 s = seg12(c, seg);

	return !applies(c, seg, &s) || !(s.ar & AR_RESERVED);
}

bool check_guest_cs_db(const struct check_ctx *c, u32 arg)
{
	u32 ar = c->v->guest_cs_ar_bytes;

	return c->v86 || !c->ia32e_guest || !(ar & SEG_AR_L) || !(ar & SEG_AR_DB);
}

bool check_seg_g(const struct check_ctx *c, u32 seg)
{
	struct seg12 s = seg12(c, seg);

	return !applies(c, seg, &s) || g_suits(&s);
}

/* --- LDTR and TR --- */

static bool sys_skips(u32 seg, const struct seg12 *s)
{
	return seg == SEG_LDTR && (s->ar & SEG_AR_UNUSABLE);
}

bool check_guest_tr_type(const struct check_ctx *c, u32 arg)
{
	u32 type = type_of(c->v->guest_tr_ar_bytes);

	return type == SEG_TYPE_TSS32_BUSY || (type == SEG_TYPE_TSS16_BUSY && !c->ia32e_guest);
}

bool check_guest_tr_usable(const struct check_ctx *c, u32 arg)
{
	return !(c->v->guest_tr_ar_bytes & SEG_AR_UNUSABLE);
}

bool check_guest_ldtr_type(const struct check_ctx *c, u32 arg)
{
	u32 ar = c->v->guest_ldtr_ar_bytes;

	return (ar & SEG_AR_UNUSABLE) || type_of(ar) == SEG_TYPE_LDT;
}

bool check_sys_s(const struct check_ctx *c, u32 seg)
{
	struct seg12 s = seg12(c, seg);

	return sys_skips(seg, &s) || !(s.ar & SEG_AR_S);
}

bool check_sys_p(const struct check_ctx *c, u32 seg)
{
	struct seg12 s = seg12(c, seg);

	return sys_skips(seg, &s) || (s.ar & SEG_AR_P);
}

bool check_sys_ar_reserved(const struct check_ctx *c, u32 seg)
{
	struct seg12 s = seg12(c, seg);

	return sys_skips(seg, &s) || !(s.ar & AR_RESERVED);
}

bool check_sys_g(const struct check_ctx *c, u32 seg)
{
	struct seg12 s = seg12(c, seg);

	return sys_skips(seg, &s) || g_suits(&s);
}
