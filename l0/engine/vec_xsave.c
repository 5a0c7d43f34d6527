/*
 * XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS: images with the components x87 (0), SSE (1),
 * AVX (2) and PKRU (9). IA32_XSS has no valid bit, so no supervisor component exists, and nothing
 * can match the XSS-exiting bitmap. Source: SDM 1 "Managing State Using the XSAVE Feature Set".
 */
#include "l0/arch/vmx.h"
#include "l0/engine/vec_priv.h"

#define X87 1u
#define SSE 2u
#define AVX 4u
#define PKRU 0x200u
#define XSTATE_BV 512
#define XCOMP_BV 520
#define COMPACT (1ull << 63)
#define YMM_HIGH XSAVE_AVX_OFFSET
#define MXCSR 24
#define XMM 160

struct target {
	u64 off;
	u32 seg, nregs; /* XMM and YMM registers that the mode has */
	u64 rfbm;
};

enum variant { STANDARD, COMPACTED, SUPERVISOR };

/* Offset of PKRU in an image whose XCOMP_BV is @comp. */
static u32 pkru_offset(u64 comp)
{
	if (!(comp & COMPACT))
		return XSAVE_PKRU_OFFSET;
	return XSAVE_AVX_OFFSET + (comp & AVX ? XSAVE_AVX_BYTES : 0);
}

static struct target operand(struct vp *vp, const struct op *op, enum variant v)
{
	struct target t = {.off = op_ea(vp, op), .seg = op->seg};

	if (!(vp->cpu.cr4 & CR4_OSXSAVE))
		vp_fault(vp, op, VECTOR_UD, 0);
	if (v == SUPERVISOR &&
	    (!(vp->ctl.proc & PROC_SECONDARY) || !(vp->ctl.proc2 & PROC2_XSAVES)))
		vp_fault(vp, op, VECTOR_UD, 0);
	if (v == SUPERVISOR && vp->cpl)
		vp_fault(vp, op, VECTOR_GP, 0);
	if (vp->cpu.cr0 & CR0_TS)
		vp_fault(vp, op, VECTOR_NM, 0);
	if (seg_linear(vp, op, t.seg, t.off, 1, false) & 63)
		vp_fault(vp, op, VECTOR_GP, 0);
	t.nregs = (vp->mode & VP_MODE_SIZE) == VP_MODE_64 ? 16 : 8;
	t.rfbm = vp->cpu.xcr0 & ((vp->cpu.gpr[RDX] << 32) | (u32)vp->cpu.gpr[RAX]);
	return t;
}

static void put(struct vp *vp, const struct op *op, const struct target *t, u32 at, const void *p,
		u32 n)
{
	seg_write_bytes(vp, op, t->seg, t->off + at, p, n);
}

u64 vec_xinuse(struct vp *vp)
{
	vp_vec_park(vp);
	return (nm_load64(vp->cpu.vec + XSTATE_BV) & (X87 | SSE | AVX)) | (vp->cpu.pkru ? PKRU : 0);
}

/* Components @which to memory, PKRU by the format @comp; @wide: 64-bit x87 pointers. */
static void save(struct vp *vp, const struct op *op, const struct target *t, u64 which, bool mxcsr,
		 bool wide, u64 comp)
{
	const u8 *vec = vp->cpu.vec;
	u8 head[24];

	if (which & X87) {
		nm_copy(head, vec, 6);
		nm_store16(head + 6, vp->fpu_op);
		nm_store64(head + 8, wide ? vp->fpu_ip : (u32)vp->fpu_ip);
		nm_store64(head + 16, wide ? vp->fpu_dp : (u32)vp->fpu_dp);
		put(vp, op, t, 0, head, 24);
		put(vp, op, t, 32, vec + 32, 128);
	}
	if (mxcsr) {
		nm_copy(head, vec + MXCSR, 4);
		nm_store32(head + 4, vec_mxcsr_mask);
		put(vp, op, t, MXCSR, head, 8);
	}
	if (which & SSE)
		put(vp, op, t, XMM, vec + XMM, 16 * t->nregs);
	if (which & AVX)
		put(vp, op, t, YMM_HIGH, vec + YMM_HIGH, 16 * t->nregs);
	if (which & PKRU) {
		nm_store64(head, vp->cpu.pkru);
		put(vp, op, t, pkru_offset(comp), head, XSAVE_PKRU_BYTES);
	}
}

static void xsave(struct vp *vp, const struct op *op, bool wide, enum variant v)
{
	struct target t = operand(vp, op, v);
	u8 header[16];

	u64 inuse = vec_xinuse(vp);
	if (v != STANDARD) {
		/* MXCSR belongs to SSE; it counts as in use when it is not the default */
		if (nm_load32(vp->cpu.vec + MXCSR) != 0x1f80)
			inuse |= SSE;
		nm_store64(header, inuse & t.rfbm);
		nm_store64(header + 8, COMPACT | t.rfbm);
		save(vp, op, &t, inuse & t.rfbm, inuse & t.rfbm & SSE, wide, COMPACT | t.rfbm);
		put(vp, op, &t, XSTATE_BV, header, 16);
		return;
	}
	u64 old;
	seg_read_bytes(vp, op, t.seg, t.off + XSTATE_BV, &old, 8);
	nm_store64(header, (old & ~t.rfbm) | (inuse & t.rfbm));
	/* an init component is saved as what it is, so that its bytes are right too */
	vec_own_image(vp);
	save(vp, op, &t, t.rfbm, t.rfbm & (SSE | AVX), wide, 0);
	put(vp, op, &t, XSTATE_BV, header, 8);
	nm_store64(vp->cpu.vec + XSTATE_BV, inuse & (X87 | SSE | AVX));
}

/* The header says a format that the processor and XCR0 allow. */
static bool header_valid(const struct vp *vp, const u8 *h)
{
	u64 bv = nm_load64(h), comp = nm_load64(h + 8), rest = 0;

	for (u32 i = 16; i < 64; i += 8)
		if (i < 24 || (comp & COMPACT))
			rest |= nm_load64(h + i);
	if (rest)
		return false;
	if (!(comp & COMPACT))
		return !comp && !(bv & ~vp->cpu.xcr0);
	return !(comp & ~COMPACT & ~vp->cpu.xcr0) && !(bv & ~comp);
}

static void load_x87(struct vp *vp, const u8 *img, bool wide)
{
	u8 *vec = vp->cpu.vec;

	if (!img) {
		nm_set(vec, 0, 24);
		nm_set(vec + 32, 0, 128);
		nm_store16(vec, 0x37f);
		vp->fpu_ip = vp->fpu_dp = 0;
		vp->fpu_op = 0;
		return;
	}
	nm_copy(vec, img, 6);
	nm_copy(vec + 32, img + 32, 128);
	vp->fpu_op = nm_load16(img + 6) & 0x7ff;
	vp->fpu_ip = wide ? nm_load64(img + 8) : nm_load32(img + 8);
	vp->fpu_dp = wide ? nm_load64(img + 16) : nm_load32(img + 16);
}

static void load_part(u8 *to, const u8 *from, u32 n)
{
	if (from)
		nm_copy(to, from, n);
	else
		nm_set(to, 0, n);
}

static void xrstor(struct vp *vp, const struct op *op, bool wide, enum variant v)
{
	struct target t = operand(vp, op, v);
	u8 img[YMM_HIGH + XSAVE_AVX_BYTES], pkru[XSAVE_PKRU_BYTES] = {0};

	seg_read_bytes(vp, op, t.seg, t.off, img, YMM_HIGH);
	const u8 *header = img + XSTATE_BV;
	bool compact = nm_load64(header + 8) & COMPACT;
	if (!header_valid(vp, header) || (v == SUPERVISOR && !compact))
		vp_fault(vp, op, VECTOR_GP, 0);
	u64 bv = nm_load64(header) & t.rfbm;
	if (bv & AVX)
		seg_read_bytes(vp, op, t.seg, t.off + YMM_HIGH, img + YMM_HIGH, 16 * t.nregs);
	if (bv & PKRU)
		seg_read_bytes(vp, op, t.seg, t.off + pkru_offset(nm_load64(header + 8)), pkru,
			       sizeof(pkru));
	bool mxcsr = compact ? t.rfbm & SSE : t.rfbm & (SSE | AVX);
	u32 value = compact && !(bv & SSE) ? 0x1f80 : nm_load32(img + MXCSR);
	if (mxcsr && (value & ~vec_mxcsr_mask))
		vp_fault(vp, op, VECTOR_GP, 0);

	vp_vec_park(vp);
	u64 inuse = nm_load64(vp->cpu.vec + XSTATE_BV);
	u8 *vec = vec_own_image(vp);
	if (t.rfbm & X87)
		load_x87(vp, bv & X87 ? img : NULL, wide);
	if (mxcsr)
		nm_store32(vec + MXCSR, value);
	if (t.rfbm & SSE)
		load_part(vec + XMM, bv & SSE ? img + XMM : NULL, 16 * t.nregs);
	if (t.rfbm & AVX)
		load_part(vec + YMM_HIGH, bv & AVX ? img + YMM_HIGH : NULL, 16 * t.nregs);
	/* what was initialised is no longer in use */
	inuse = (inuse & ~t.rfbm) | bv | (t.nregs < 16 ? inuse & t.rfbm : 0);
	nm_store64(vec + XSTATE_BV, inuse & (X87 | SSE | AVX));
	nm_store64(vec + XCOMP_BV, 0);
	if ((t.rfbm & PKRU) && vp->cpu.pkru != nm_load32(pkru)) {
		vp->cpu.pkru = nm_load32(pkru);
		vp_update_paging(vp);
	}
}

#define DEFINE(name, call) \
	static void name(struct vp *vp, const struct op *op) \
	{ \
		call; \
	}
DEFINE(slow_xsave, xsave(vp, op, false, STANDARD))
DEFINE(slow_xsave64, xsave(vp, op, true, STANDARD))
DEFINE(slow_xsavec, xsave(vp, op, false, COMPACTED))
DEFINE(slow_xsavec64, xsave(vp, op, true, COMPACTED))
DEFINE(slow_xsaves, xsave(vp, op, false, SUPERVISOR))
DEFINE(slow_xsaves64, xsave(vp, op, true, SUPERVISOR))
DEFINE(slow_xrstor, xrstor(vp, op, false, STANDARD))
DEFINE(slow_xrstor64, xrstor(vp, op, true, STANDARD))
DEFINE(slow_xrstors, xrstor(vp, op, false, SUPERVISOR))
DEFINE(slow_xrstors64, xrstor(vp, op, true, SUPERVISOR))

op_fn vec_xsave_lookup(const struct cpu_features *f, u16 mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_XSAVE:
	case ZYDIS_MNEMONIC_XSAVEOPT: /* which may, but need not, leave parts out */
		return slow_xsave;
	case ZYDIS_MNEMONIC_XSAVE64:
	case ZYDIS_MNEMONIC_XSAVEOPT64: return slow_xsave64;
	case ZYDIS_MNEMONIC_XSAVEC: return slow_xsavec;
	case ZYDIS_MNEMONIC_XSAVEC64: return slow_xsavec64;
	case ZYDIS_MNEMONIC_XRSTOR: return slow_xrstor;
	case ZYDIS_MNEMONIC_XRSTOR64: return slow_xrstor64;
	}
	if (!f->has_xsaves)
		return NULL;
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_XSAVES: return slow_xsaves;
	case ZYDIS_MNEMONIC_XSAVES64: return slow_xsaves64;
	case ZYDIS_MNEMONIC_XRSTORS: return slow_xrstors;
	case ZYDIS_MNEMONIC_XRSTORS64: return slow_xrstors64;
	}
	return NULL;
}
