/*
 * The vector state as data: parking it, and the instructions that store or load images of it.
 * cpu.vec has the standard XSAVE format: legacy area (as FXSAVE64), header, YMM high halves.
 */
#include <cpuid.h>

#include "l0/base/assert.h"
#include "l0/engine/vec_priv.h"

#define XSAVE_MASK 7u /* x87, SSE, AVX */
#define XSTATE_BV 512 /* offset of the header */
#define MXCSR_DEFAULT 0x1f80u

#define IMG_FCW 0
#define IMG_FSW 2
#define IMG_FTW 4
#define IMG_FOP 6
#define IMG_FIP 8
#define IMG_FDP 16
#define IMG_MXCSR 24
#define IMG_MXCSR_MASK 28
#define IMG_ST 32
#define IMG_XMM 160
#define YMM_HIGH 576

u32 vec_mxcsr_mask = 0xffbf;

/* Components that the host's XSAVE handles of ours; 0: it has no XSAVE and FXSAVE is used. */
static u32 host_mask;
static bool host_known, host_avx;

static void learn_host(void)
{
	u32 a, b, c, d;
	u8 image[512] __aligned_to(16) = {0};

	if (__get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 27))) {
		u32 lo, hi;
		__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
		host_mask = lo & XSAVE_MASK;
		host_avx = host_mask & 4;
	}
	__asm__ volatile("fxsave64 %0" : "=m"(image));
	u32 mask = nm_load32(image + IMG_MXCSR_MASK);
	if (mask)
		vec_mxcsr_mask = mask;
	host_known = true;
}

/* CPUID bits that mean 256-bit state. */
static bool needs_avx(u32 leaf, u32 reg, u32 bit)
{
	return (leaf == 1 && reg == 2 && (bit == 12 || bit == 28 || bit == 29)) ||
	       (leaf == 7 && reg == 1 && bit == 5);
}

bool vec_host_has(u32 leaf, u32 subleaf, u32 reg, u32 bit)
{
	u32 r[4];

	if (!host_known)
		learn_host();
	if (!__get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]))
		return false;
	return (r[reg] >> bit & 1) && (host_avx || !needs_avx(leaf, reg, bit));
}

void vp_vec_park_slow(struct vp *vp)
{
	const u32 mxcsr = MXCSR_DEFAULT;

	if (host_mask)
		__asm__ volatile("xsave64 (%0)"
				 :
				 : "r"(vp->cpu.vec), "a"(host_mask), "d"(0)
				 : "memory");
	else
		__asm__ volatile("fxsave64 (%0)" : : "r"(vp->cpu.vec) : "memory");
	vp->vec_live = false;
	vp->vec_ok = 0;
	/* What L0's own code may rely on, and no penalty for its SSE code. */
	if (host_avx)
		__asm__ volatile("vzeroupper");
	__asm__ volatile("fninit\n\tldmxcsr %0" : : "m"(mxcsr));
}

void vec_unpark(struct vp *vp)
{
	if (unlikely(!host_known))
		learn_host();
	if (host_mask)
		__asm__ volatile("xrstor64 (%0)"
				 :
				 : "r"(vp->cpu.vec), "a"(host_mask), "d"(0)
				 : "memory");
	else
		__asm__ volatile("fxrstor64 (%0)" : : "r"(vp->cpu.vec) : "memory");
	vp->vec_live = true;
}

/* SDM 3A "Processor State After Reset": FCW 0040, tags of zeros, MXCSR 1f80. */
void vec_reset(struct vp *vp)
{
	u8 *img = vp->cpu.vec;

	if (!host_known)
		learn_host();
	vp->vec_live = false;
	vp->vec_ok = 0;
	nm_set(img, 0, VEC_AREA_BYTES);
	nm_store16(img + IMG_FCW, 0x0040);
	img[IMG_FTW] = 0xff;
	nm_store32(img + IMG_MXCSR, MXCSR_DEFAULT);
	nm_store64(img + XSTATE_BV, 1); /* SSE and AVX are in their initial state */
	vp->fpu_ip = vp->fpu_dp = 0;
	vp->fpu_op = 0;
}

u8 *vec_own_image(struct vp *vp)
{
	u8 *img = vp->cpu.vec;

	vp_vec_park(vp);
	u64 bv = nm_load64(img + XSTATE_BV);
	if (!(bv & 1)) {
		nm_set(img, 0, IMG_MXCSR);
		nm_set(img + IMG_ST, 0, IMG_XMM - IMG_ST);
		nm_store16(img + IMG_FCW, 0x37f);
	}
	if (!(bv & 2))
		nm_set(img + IMG_XMM, 0, 256);
	if (!(bv & 4))
		nm_set(img + YMM_HIGH, 0, 256);
	nm_store64(img + XSTATE_BV, 3 | (host_avx ? 4 : 0));
	return img;
}

/* ---- FXSAVE, FXRSTOR ---- */

static bool is_64bit(const struct vp *vp)
{
	return (vp->mode & VP_MODE_SIZE) == VP_MODE_64;
}

static u64 state_operand(struct vp *vp, const struct op *op, u32 align)
{
	u64 off = op_ea(vp, op);

	vec_gate_slow(vp, op);
	if (align && (seg_linear(vp, op, op->seg < SEG_COUNT ? op->seg : SEG_DS, off, 1, false) &
		      (align - 1)))
		vp_fault(vp, op, VECTOR_GP, 0);
	return off;
}

static u32 state_seg(const struct op *op)
{
	return op->seg;
}

static void fxsave(struct vp *vp, const struct op *op, bool wide)
{
	u64 off = state_operand(vp, op, 16);
	u8 img[512];

	nm_copy(img, vec_own_image(vp), sizeof(img));
	nm_store16(img + IMG_FOP, vp->fpu_op);
	nm_store64(img + IMG_FIP, wide ? vp->fpu_ip : (u32)vp->fpu_ip);
	nm_store64(img + IMG_FDP, wide ? vp->fpu_dp : (u32)vp->fpu_dp);
	nm_store32(img + IMG_MXCSR_MASK, vec_mxcsr_mask);
	seg_write_bytes(vp, op, state_seg(op), off, img, is_64bit(vp) ? 416 : 288);
}

static void slow_fxsave(struct vp *vp, const struct op *op)
{
	fxsave(vp, op, false);
}

static void slow_fxsave64(struct vp *vp, const struct op *op)
{
	fxsave(vp, op, true);
}

static void fxrstor(struct vp *vp, const struct op *op, bool wide)
{
	u64 off = state_operand(vp, op, 16);
	u8 img[512];

	seg_read_bytes(vp, op, state_seg(op), off, img, sizeof(img));
	if (nm_load32(img + IMG_MXCSR) & ~vec_mxcsr_mask)
		vp_fault(vp, op, VECTOR_GP, 0);
	u8 *vec = vec_own_image(vp);
	vp->fpu_op = nm_load16(img + IMG_FOP) & 0x7ff;
	vp->fpu_ip = wide ? nm_load64(img + IMG_FIP) : nm_load32(img + IMG_FIP);
	vp->fpu_dp = wide ? nm_load64(img + IMG_FDP) : nm_load32(img + IMG_FDP);
	nm_set(img + IMG_FOP, 0, IMG_MXCSR - IMG_FOP);
	nm_copy(vec, img, is_64bit(vp) ? 416 : 288);
	nm_store32(vec + IMG_MXCSR_MASK, 0);
}

static void slow_fxrstor(struct vp *vp, const struct op *op)
{
	fxrstor(vp, op, false);
}

static void slow_fxrstor64(struct vp *vp, const struct op *op)
{
	fxrstor(vp, op, true);
}

/* ---- x87 environment: SDM 1 "Saving the x87 FPU's State with FSTENV/FNSTENV and FSAVE/FNSAVE"
 * ---- */

/* Two tag bits a physical register from the abridged tag and the value. */
static u16 full_tag(const u8 *img)
{
	u32 top = nm_load16(img + IMG_FSW) >> 11 & 7;
	u16 tag = 0;

	for (u32 phys = 0; phys < 8; phys++) {
		u32 t = 3;
		if (img[IMG_FTW] >> phys & 1) {
			const u8 *st = img + IMG_ST + 16 * ((phys - top) & 7);
			u64 frac = nm_load64(st);
			u32 exp = nm_load16(st + 8) & 0x7fff;
			t = exp == 0 && frac == 0			 ? 1
			    : exp == 0 || exp == 0x7fff || !(frac >> 63) ? 2
									 : 0;
		}
		tag |= (u16)(t << (2 * phys));
	}
	return tag;
}

static u8 abridged_tag(u16 tag)
{
	u8 out = 0;

	for (u32 i = 0; i < 8; i++)
		if ((tag >> (2 * i) & 3) != 3)
			out |= (u8)(1u << i);
	return out;
}

static bool is_real_format(const struct vp *vp)
{
	return vp->mode & (VP_MODE_REAL | VP_MODE_V86);
}

/* Build the environment of 14 or 28 bytes. FCS and FDS are stored as 0 (deprecated, CPUID says
 * so). */
static u32 env_build(const struct vp *vp, const u8 *img, u32 size, u8 *env)
{
	u16 fcw = nm_load16(img + IMG_FCW), fsw = nm_load16(img + IMG_FSW), tag = full_tag(img);
	u32 ip = (u32)vp->fpu_ip, dp = (u32)vp->fpu_dp;

	nm_set(env, 0, 28);
	if (size == 2) {
		nm_store16(env, fcw);
		nm_store16(env + 2, fsw);
		nm_store16(env + 4, tag);
		nm_store16(env + 6, (u16)ip);
		nm_store16(env + 10, (u16)dp);
		if (is_real_format(vp)) {
			nm_store16(env + 8, (u16)((ip >> 4 & 0xf000) | vp->fpu_op));
			nm_store16(env + 12, (u16)(dp >> 4 & 0xf000));
		}
		return 14;
	}
	nm_store32(env, 0xffff0000u | fcw);
	nm_store32(env + 4, 0xffff0000u | fsw);
	nm_store32(env + 8, 0xffff0000u | tag);
	if (is_real_format(vp)) {
		nm_store32(env + 12, 0xffff0000u | (ip & 0xffff));
		nm_store32(env + 16, (ip & 0xffff0000u) >> 4 | vp->fpu_op);
		nm_store32(env + 20, 0xffff0000u | (dp & 0xffff));
		nm_store32(env + 24, (dp & 0xffff0000u) >> 4);
	} else {
		nm_store32(env + 12, ip);
		nm_store32(env + 16, (u32)vp->fpu_op << 16);
		nm_store32(env + 20, dp);
		nm_store32(env + 24, 0xffff0000u);
	}
	return 28;
}

static void env_apply(struct vp *vp, const u8 *env, u32 size, u8 *img)
{
	u32 w = size == 2 ? 2 : 4;

	nm_store16(img + IMG_FCW, (u16)((nm_load16(env) & 0x1f7f) | 0x40));
	u16 fsw = nm_load16(env + w);
	/* ES and B follow the unmasked exceptions */
	fsw &= 0x7f7f;
	if (fsw & ~nm_load16(img + IMG_FCW) & 0x3f)
		fsw |= 0x8080;
	nm_store16(img + IMG_FSW, fsw);
	img[IMG_FTW] = abridged_tag(nm_load16(env + 2 * w));
	if (size == 2) {
		vp->fpu_ip = nm_load16(env + 6);
		vp->fpu_dp = nm_load16(env + 10);
		if (is_real_format(vp)) {
			vp->fpu_ip |= (u64)(nm_load16(env + 8) & 0xf000) << 4;
			vp->fpu_op = nm_load16(env + 8) & 0x7ff;
			vp->fpu_dp |= (u64)(nm_load16(env + 12) & 0xf000) << 4;
		}
	} else if (is_real_format(vp)) {
		vp->fpu_ip = nm_load16(env + 12) | (u64)(nm_load32(env + 16) & 0x0ffff000) << 4;
		vp->fpu_op = nm_load16(env + 16) & 0x7ff;
		vp->fpu_dp = nm_load16(env + 20) | (u64)(nm_load32(env + 24) & 0x0ffff000) << 4;
	} else {
		vp->fpu_ip = nm_load32(env + 12);
		vp->fpu_op = (u16)(nm_load32(env + 16) >> 16 & 0x7ff);
		vp->fpu_dp = nm_load32(env + 20);
	}
}

/* An x87 instruction that waits reports a pending unmasked exception first. */
static void wait_pending(struct vp *vp, const struct op *op)
{
	vp_vec_park(vp);
	if (nm_load16(vp->cpu.vec + IMG_FSW) & 0x80)
		vp_fault(vp, op, VECTOR_MF, 0);
}

static u32 env_size(const struct op *op)
{
	return op->size == 14 || op->size == 94 || op->size == 2 ? 2 : 4;
}

static void slow_fnstenv(struct vp *vp, const struct op *op)
{
	u64 off = state_operand(vp, op, 0);
	u8 env[28];

	u32 n = env_build(vp, vec_own_image(vp), env_size(op), env);
	seg_write_bytes(vp, op, state_seg(op), off, env, n);
	u8 *img = vec_own_image(vp);
	nm_store16(img + IMG_FCW, nm_load16(img + IMG_FCW) | 0x3f); /* masks all exceptions */
	nm_store16(img + IMG_FSW, nm_load16(img + IMG_FSW) & 0x7f7f);
}

static void slow_fldenv(struct vp *vp, const struct op *op)
{
	u64 off = state_operand(vp, op, 0);
	u8 env[28];

	wait_pending(vp, op);
	seg_read_bytes(vp, op, state_seg(op), off, env, env_size(op) == 2 ? 14 : 28);
	env_apply(vp, env, env_size(op), vec_own_image(vp));
}

static void slow_fnsave(struct vp *vp, const struct op *op)
{
	u64 off = state_operand(vp, op, 0);
	u8 buf[28 + 80];

	u32 n = env_build(vp, vec_own_image(vp), env_size(op), buf);
	for (u32 i = 0; i < 8; i++, n += 10)
		nm_copy(buf + n, vp->cpu.vec + IMG_ST + 16 * i, 10);
	seg_write_bytes(vp, op, state_seg(op), off, buf, n);
	u8 *img = vec_own_image(vp);
	nm_store16(img + IMG_FCW, 0x037f);
	nm_store16(img + IMG_FSW, 0);
	img[IMG_FTW] = 0;
	vp->fpu_ip = vp->fpu_dp = 0;
	vp->fpu_op = 0;
}

static void slow_frstor(struct vp *vp, const struct op *op)
{
	u64 off = state_operand(vp, op, 0);
	u32 n = env_size(op) == 2 ? 14 : 28;
	u8 buf[28 + 80];

	wait_pending(vp, op);
	seg_read_bytes(vp, op, state_seg(op), off, buf, n + 80);
	u8 *img = vec_own_image(vp);
	env_apply(vp, buf, env_size(op), img);
	for (u32 i = 0; i < 8; i++, n += 10) {
		nm_copy(img + IMG_ST + 16 * i, buf + n, 10);
		nm_set(img + IMG_ST + 16 * i + 10, 0, 6);
	}
}

op_fn vec_state_lookup(u16 mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_FXSAVE: return slow_fxsave;
	case ZYDIS_MNEMONIC_FXSAVE64: return slow_fxsave64;
	case ZYDIS_MNEMONIC_FXRSTOR: return slow_fxrstor;
	case ZYDIS_MNEMONIC_FXRSTOR64: return slow_fxrstor64;
	case ZYDIS_MNEMONIC_FNSTENV: return slow_fnstenv;
	case ZYDIS_MNEMONIC_FLDENV: return slow_fldenv;
	case ZYDIS_MNEMONIC_FNSAVE: return slow_fnsave;
	case ZYDIS_MNEMONIC_FRSTOR: return slow_frstor;
	default: return NULL;
	}
}
