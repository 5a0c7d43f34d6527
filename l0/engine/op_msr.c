/*
 * MSRs that the engine keeps itself, time-stamp and random counters, XCR0, FS and GS bases. Every
 * other MSR exits: l0/exit has it, or raises #GP. Source: SDM 2 "RDMSR", "WRMSR", "RDTSC",
 * "XGETBV", "RDRAND"; SDM 4 "Architectural MSRs"; SDM 3C "Time-Stamp Counter Offset and
 * Multiplier".
 */
#include "l0/engine/sys_priv.h"
#include "l0/engine/vapic.h"
#include "l0/engine/vec.h"

static u64 edx_eax(const struct vp *vp)
{
	return (u32)vp->cpu.gpr[RAX] | vp->cpu.gpr[RDX] << 32;
}

static void set_edx_eax(struct vp *vp, u64 val)
{
	vp->cpu.gpr[RAX] = (u32)val;
	vp->cpu.gpr[RDX] = val >> 32;
}

/* --- time-stamp counter ----------------------------------------------------------------------- */

u64 sys_tsc(struct vp *vp)
{
	u64 tsc = vp->ops->tsc(vp);

	if (!ctl_proc(vp, PROC_TSC_OFFSETTING))
		return tsc;
	if (ctl_proc2(vp, PROC2_TSC_SCALING))
		tsc = (u64)((u128)tsc * vp->ctl.tsc_multiplier >> 48);
	return tsc + vp->ctl.tsc_offset;
}

static void check_tsd(struct vp *vp, const struct op *op)
{
	if ((vp->cpu.cr4 & CR4_TSD) && cur_cpl(vp))
		fault_gp0(vp, op);
}

void op_rdtsc(struct vp *vp, const struct op *op)
{
	check_tsd(vp, op);
	intercept_check(vp, op, EXIT_REASON_RDTSC, 0);
	set_edx_eax(vp, sys_tsc(vp));
}

static void check_rdtscp_enabled(struct vp *vp, const struct op *op)
{
	if (!vp->features->has_rdtscp || !ctl_proc2(vp, PROC2_RDTSCP))
		fault_ud(vp, op);
}

void op_rdtscp(struct vp *vp, const struct op *op)
{
	check_rdtscp_enabled(vp, op);
	check_tsd(vp, op);
	intercept_check(vp, op, EXIT_REASON_RDTSCP, 0);
	set_edx_eax(vp, sys_tsc(vp));
	vp->cpu.gpr[RCX] = (u32)vp->cpu.tsc_aux;
}

void op_rdpid(struct vp *vp, const struct op *op)
{
	if (!vp->features->has_rdpid)
		fault_ud(vp, op);
	check_rdtscp_enabled(vp, op);
	vp->cpu.gpr[op->src] = (u32)vp->cpu.tsc_aux;
}

void op_rdpmc(struct vp *vp, const struct op *op)
{
	u64 value;

	if (cur_cpl(vp) && !(vp->cpu.cr4 & CR4_PCE))
		fault_gp0(vp, op);
	intercept_check(vp, op, EXIT_REASON_RDPMC, 0);
	if (!pmu_read_counter(vp, (u32)vp->cpu.gpr[RCX], &value))
		fault_gp0(vp, op);
	set_edx_eax(vp, value);
}

/* --- MSRs ------------------------------------------------------------------------------------- */

/* The field of an MSR that is plain storage, or NULL. */
static u64 *msr_field(struct vp *vp, u32 msr)
{
	struct cpu_state *c = &vp->cpu;

	switch (msr) {
	case MSR_IA32_STAR: return &c->star;
	case MSR_IA32_LSTAR: return &c->lstar;
	case MSR_IA32_CSTAR: return &c->cstar;
	case MSR_IA32_FMASK: return &c->fmask;
	case MSR_IA32_KERNEL_GS_BASE: return &c->kernel_gs_base;
	case MSR_IA32_FS_BASE: return &c->seg[SEG_FS].base;
	case MSR_IA32_GS_BASE: return &c->seg[SEG_GS].base;
	case MSR_IA32_SYSENTER_CS: return &c->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP: return &c->sysenter_esp;
	case MSR_IA32_SYSENTER_EIP: return &c->sysenter_eip;
	case MSR_IA32_PAT: return &c->pat;
	case MSR_IA32_DEBUGCTL: return &c->debugctl;
	case MSR_IA32_EFER: return &c->efer;
	case MSR_IA32_TSC_AUX: return vp->features->has_rdtscp ? &c->tsc_aux : NULL;
	}
	return NULL;
}

static bool pat_ok(u64 val)
{
	for (u32 i = 0; i < 8; i++) {
		u8 type = (u8)(val >> 8 * i);

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

/* Could WRMSR put @val there? */
static bool msr_value_ok(const struct vp *vp, u32 msr, u64 val)
{
	switch (msr) {
	case MSR_IA32_LSTAR:
	case MSR_IA32_CSTAR:
	case MSR_IA32_KERNEL_GS_BASE:
	case MSR_IA32_FS_BASE:
	case MSR_IA32_GS_BASE:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP: return base_ok(vp, val);
	case MSR_IA32_FMASK:
	case MSR_IA32_TSC_AUX: return !(val >> 32);
	case MSR_IA32_PAT: return pat_ok(val);
	case MSR_IA32_DEBUGCTL: /* no branch records: LBR is kept without effect */
		return !(val & ~(DEBUGCTL_LBR | DEBUGCTL_BTF));
	case MSR_IA32_EFER:
		if (val & ~vp_efer_valid(vp))
			return false;
		return !((vp->cpu.cr0 & CR0_PG) && ((val ^ vp->cpu.efer) & EFER_LME));
	}
	return true;
}

static void msr_store(struct vp *vp, u32 msr, u64 *field, u64 val)
{
	u64 old = *field;

	if (msr == MSR_IA32_EFER) {
		val = (val & ~EFER_LMA) | (old & EFER_LMA);
		*field = val;
		vp_update_mode(vp);
		vp_update_paging(vp);
		return;
	}
	/* SDM 4: bits 63:32 of IA32_SYSENTER_CS are not used; a VMCS has 32 of them */
	*field = msr == MSR_IA32_SYSENTER_CS ? (u32)val : val;
	if (msr == MSR_IA32_FS_BASE || msr == MSR_IA32_GS_BASE)
		vp_update_mode(vp);
	if (unlikely(vp->watch_stacks))
		base_watch(vp, msr, val);
}

/* The counter as a guest reads it by RDMSR is that of RDTSC. */
void op_rdmsr(struct vp *vp, const struct op *op)
{
	u32 msr = (u32)vp->cpu.gpr[RCX];
	u64 *field = msr_field(vp, msr), virtual;

	if (cur_cpl(vp))
		fault_gp0(vp, op);
	if (!field && !intercept_msr(vp, msr, false) && vapic_msr_read(vp, msr, &virtual)) {
		set_edx_eax(vp, virtual);
		return;
	}
	if (intercept_msr(vp, msr, false) || (!field && msr != MSR_IA32_TSC))
		exit_now(vp, op, EXIT_REASON_RDMSR, 0);
	set_edx_eax(vp, field ? *field : sys_tsc(vp));
}

void op_wrmsr(struct vp *vp, const struct op *op)
{
	u32 msr = (u32)vp->cpu.gpr[RCX];
	u64 *field = msr_field(vp, msr), val = edx_eax(vp);

	if (cur_cpl(vp))
		fault_gp0(vp, op);
	if (!field && !intercept_msr(vp, msr, true) && vapic_msr_write(vp, op, msr, val))
		return;
	if (intercept_msr(vp, msr, true) || !field) {
		exit_begin(vp, EXIT_REASON_WRMSR, 0);
		vp->exit.operand_value = val;
		vp_exit(vp, op);
	}
	if (!msr_value_ok(vp, msr, val))
		fault_gp0(vp, op);
	msr_store(vp, msr, field, val);
}

/* RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE: F3 0F AE /0 to /3. */
void op_fsgsbase(struct vp *vp, const struct op *op)
{
	u32 form = op->modrm >> 3 & 7;
	struct seg *s = &vp->cpu.seg[form & 1 ? SEG_GS : SEG_FS];
	u64 val = vp->cpu.gpr[op->src];

	if (!is_code64(vp) || !(vp->cpu.cr4 & CR4_FSGSBASE))
		fault_ud(vp, op);
	if (form < 2) {
		sys_reg_write(vp, op->src, s->base, op->size);
		return;
	}
	if (op->size == 4)
		val = (u32)val;
	if (!base_ok(vp, val))
		fault_gp0(vp, op);
	s->base = val;
	vp_update_mode(vp);
	if (unlikely(vp->watch_stacks))
		base_watch(vp, form & 1 ? MSR_IA32_GS_BASE : MSR_IA32_FS_BASE, val);
}

/* --- XCR0 ------------------------------------------------------------------------------------- */

void op_xgetbv(struct vp *vp, const struct op *op)
{
	if (!(vp->cpu.cr4 & CR4_OSXSAVE))
		fault_ud(vp, op);
	if ((u32)vp->cpu.gpr[RCX] == 1 && vp->features->has_xgetbv1) {
		set_edx_eax(vp, vp->cpu.xcr0 & vec_xinuse(vp));
		return;
	}
	if ((u32)vp->cpu.gpr[RCX])
		fault_gp0(vp, op);
	set_edx_eax(vp, vp->cpu.xcr0);
}

void op_xsetbv(struct vp *vp, const struct op *op)
{
	u64 val = edx_eax(vp);

	if (!(vp->cpu.cr4 & CR4_OSXSAVE))
		fault_ud(vp, op);
	if (cur_cpl(vp))
		fault_gp0(vp, op);
	intercept_check(vp, op, EXIT_REASON_XSETBV, 0);
	if ((u32)vp->cpu.gpr[RCX] || (val & ~vp->features->xcr0_valid) || !(val & XCR0_X87) ||
	    ((val & XCR0_AVX) && !(val & XCR0_SSE)))
		fault_gp0(vp, op);
	vp->cpu.xcr0 = val;
	vp_update_mode(vp);
}

/* --- protection keys -------------------------------------------------------------------------- */

/* RDPKRU 0F 01 EE, WRPKRU 0F 01 EF. */
void op_pkru(struct vp *vp, const struct op *op)
{
	if (!(vp->cpu.cr4 & CR4_PKE))
		fault_ud(vp, op);
	if ((u32)vp->cpu.gpr[RCX])
		fault_gp0(vp, op);
	if (op->modrm == 0xee) {
		set_edx_eax(vp, vp->cpu.pkru);
		return;
	}
	if ((u32)vp->cpu.gpr[RDX])
		fault_gp0(vp, op);
	vp->cpu.pkru = (u32)vp->cpu.gpr[RAX];
	vp_update_paging(vp);
}

/* --- random numbers: a generator of its own for each VP, so that runs repeat -------------------
 */

/* splitmix64, public domain (Sebastiano Vigna). */
static u64 rng_next(struct vp *vp)
{
	u64 z;

	if (!vp->ev.rng)
		vp->ev.rng = 0x9e3779b97f4a7c15ull * (vp->id + 1);
	z = vp->ev.rng += 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* RDRAND 0F C7 /6, RDSEED 0F C7 /7. */
void op_rdrand(struct vp *vp, const struct op *op)
{
	bool seed = (op->modrm >> 3 & 7) == 7;

	if (!(seed ? vp->features->has_rdseed : vp->features->has_rdrand))
		fault_ud(vp, op);
	intercept_check(vp, op, seed ? EXIT_REASON_RDSEED : EXIT_REASON_RDRAND, 0);
	sys_reg_write(vp, op->src, rng_next(vp), op->size);
	sys_arith_flags(vp, RFLAGS_CF);
}
