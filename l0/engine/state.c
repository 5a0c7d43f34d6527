/*
 * What is derived from a virtual processor's state, and the rest of the engine's interface: set-up,
 * reset, injection, skipping, linear accesses on behalf of exit handlers.
 */
#include <errno.h>
#include "l0/arch/vmx.h"
#include "l0/base/bits.h"
#include "l0/engine/engine.h"
#include "l0/engine/exec.h"
#include "l0/engine/sys.h"
#include "l0/engine/vec.h"
#include "l0/engine/vec_stub.h"

/* A data segment that needs no check: base 0, 4 GiB, writable, grows up. */
static bool is_flat_data(const struct seg *s)
{
	return s->base == 0 && s->limit == 0xffffffffu && !(s->ar & SEG_AR_UNUSABLE) &&
	       (s->ar & (SEG_AR_S | 0xe)) == (SEG_AR_S | 2);
}

static u32 derive_mode(const struct vp *vp)
{
	const struct cpu_state *c = &vp->cpu;
	const struct seg *cs = &c->seg[SEG_CS];
	u32 mode = vp->cpl == 3 ? VP_MODE_CPL3 : 0;

	if (unlikely(vp->watch_stacks) && vp->cpl == 0)
		mode |= VP_MODE_STACKS;
	if (unlikely(vp->counts_branches ||
		     vp->pmu.branches_in & (vp->cpl == 3 ? PMU_IN_USER : PMU_IN_KERNEL)))
		mode |= VP_MODE_BRANCHES;

	if (vp->cpl == 3 && (c->cr0 & CR0_AM) && (c->rflags & RFLAGS_AC))
		mode |= VP_MODE_AC;
	if (c->efer & EFER_LMA) {
		mode |= VP_MODE_LMA;
		if (cs->ar & SEG_AR_L)
			return mode | VP_MODE_64 | VP_MODE_CSFLAT;
	}
	if (!(c->cr0 & CR0_PE))
		mode |= VP_MODE_REAL;
	else if (c->rflags & RFLAGS_VM)
		mode |= VP_MODE_V86;
	if (cs->ar & SEG_AR_DB)
		mode |= VP_MODE_32;
	if (c->seg[SEG_SS].ar & SEG_AR_DB)
		mode |= VP_MODE_SS32;
	if (cs->limit == 0xffffffffu)
		mode |= VP_MODE_CSFLAT;
	if (cs->base == 0 && cs->limit == 0xffffffffu && is_flat_data(&c->seg[SEG_ES]) &&
	    is_flat_data(&c->seg[SEG_SS]) && is_flat_data(&c->seg[SEG_DS]))
		mode |= VP_MODE_FLAT;
	return mode;
}

static u32 derive_cpl(const struct cpu_state *c)
{
	if (!(c->cr0 & CR0_PE))
		return 0;
	if (c->rflags & RFLAGS_VM)
		return 3;
	return (c->seg[SEG_SS].ar & SEG_AR_DPL) >> SEG_AR_DPL_SHIFT;
}

void vp_update_mode(struct vp *vp)
{
	const struct cpu_state *c = &vp->cpu;

	vp->cpl = derive_cpl(c);
	vp->mode = derive_mode(vp) | (vp->mode & VP_MODE_PLAIN);
	if (unlikely(vp->pmu.is_counting) && vp->pmu.in_user != (vp->cpl == 3))
		pmu_ring_changed(vp);
	vp->va_bits = c->cr4 & CR4_LA57 ? 57 : 48;
	vp->mmu_mode = vp->cpl == 3	       ? SOFTTLB_USER
		       : c->rflags & RFLAGS_AC ? SOFTTLB_SUPERVISOR_AC
					       : SOFTTLB_SUPERVISOR;
	vp->tlb_e = vp->tlb_soft.e[vp->mmu_mode];
	vp_jump_key_update(vp);
	softtlb_page_key(vp);
	if ((vp->mode & VP_MODE_SIZE) == VP_MODE_64) {
		for (u32 i = 0; i < SEG_FS; i++)
			vp->ea_base[i] = 0;
	} else {
		for (u32 i = 0; i < SEG_FS; i++)
			vp->ea_base[i] = c->seg[i].base;
	}
	vp->ea_base[SEG_FS] = c->seg[SEG_FS].base;
	vp->ea_base[SEG_GS] = c->seg[SEG_GS].base;
	vp->ea_base[SEG_COUNT] = 0;
	if (unlikely(c->rflags & RFLAGS_TF || c->pending_dbg))
		vp_request(vp, VP_ATTN_STEP);
	if (likely(!(c->dr[7] & 0xff) && !vp->host_watch)) { /* no L or G bit: nothing is armed */
		if (unlikely(vp->attn & VP_ATTN_WATCH))
			vp_request_clear(vp, VP_ATTN_WATCH);
	} else if (!(vp->attn & VP_ATTN_WATCH)) {
		vp_request(vp, VP_ATTN_WATCH);
		softtlb_flush(vp); /* data accesses are looked at from now on */
	}
}

void vp_update_paging(struct vp *vp)
{
	const struct cpu_state *c = &vp->cpu;
	struct vtlb_context ctx = {
		.cr0 = c->cr0,
		.cr3 = c->cr3,
		.cr4 = c->cr4,
		.efer = c->efer,
		.pdpte = {c->pdpte[0], c->pdpte[1], c->pdpte[2], c->pdpte[3]},
		.eptp = vp->ctl.eptp,
		.vpid = vp->ctl.vpid,
		.pkru = c->pkru,
		.pml_address = vp->ctl.pml_address,
		.pml_index = (vp->ctl.proc & PROC_SECONDARY) && (vp->ctl.proc2 & PROC2_PML)
				     ? &vp->cpu.pml_index
				     : NULL,
		.mbec = (vp->ctl.proc & PROC_SECONDARY) && (vp->ctl.proc2 & PROC2_MODE_BASED_EPT),
	};

	vtlb_set_context(&vp->tlb, &ctx);
}

void engine_state_changed(struct vp *vp)
{
	vp->cpu.gpr[GPR_COUNT] = 0;
	vp_set_rflags(vp, vp->cpu.rflags);
	vp_update_mode(vp);
	vp_update_paging(vp);
	event_state_changed(vp);
}

static void request_safe_point(void *owner)
{
	vp_request(owner, VP_ATTN_SAFE_POINT);
}

/* For the virtual TLB's reports: RIP of the operation whose slow path runs. */
static u64 where(void *owner)
{
	const struct vp *vp = owner;

	return vp->cur ? op_rip(vp, vp->cur) : vp->cpu.rip;
}

int engine_vp_init(struct vp *vp, u64 code_bytes)
{
	vp->code = code_cache_create(code_bytes);
	if (!vp->code)
		return -ENOMEM;
	int err;
	vp->stubs = vec_stubs_create(&err);
	if (!vp->stubs && err != -EPERM) { /* else: without vector instructions */
		code_cache_destroy(vp->code);
		vp->code = NULL;
		return err;
	}
	vp->tlb_soft.gen = vp->tlb_soft.last_gen = 1;
	vp->tlb.flush_soft = softtlb_flush_cb;
	vp->tlb.flush_soft_page = softtlb_flush_page_cb;
	vp->tlb.drop_soft_writes = softtlb_drop_writes_cb;
	vp->tlb.soft_mark = softtlb_mark_cb;
	vp->tlb.soft_return = softtlb_return_cb;
	vp->tlb.request = request_safe_point;
	vp->tlb.where = where;
	vp->tlb.owner = vp;
	vp->cur_block = &block_unlinked;
	return 0;
}

void engine_vp_fini(struct vp *vp)
{
	code_cache_destroy(vp->code);
	vp->code = NULL;
	vec_stubs_destroy(vp->stubs);
	vp->stubs = NULL;
}

/* ---- reset ---- */

static void reset_segments(struct cpu_state *c)
{
	for (u32 i = 0; i < SEG_LDTR; i++)
		c->seg[i] = (struct seg){.ar = SEG_AR_P | SEG_AR_S | 3, .limit = 0xffff};
	c->seg[SEG_CS] = (struct seg){.sel = 0xf000,
				      .ar = SEG_AR_P | SEG_AR_S | 0xb,
				      .limit = 0xffff,
				      .base = 0xffff0000};
	c->seg[SEG_LDTR] = (struct seg){.ar = SEG_AR_P | 2, .limit = 0xffff};
	c->seg[SEG_TR] = (struct seg){.ar = SEG_AR_P | 0xb, .limit = 0xffff};
}

/* Source: SDM 3A "Processor State After Reset": INIT keeps what the second column keeps. */
void engine_reset(struct vp *vp, bool init)
{
	struct cpu_state *c = &vp->cpu;
	u64 cr0_kept = init ? c->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW;

	for (u32 i = 0; i <= GPR_COUNT; i++)
		c->gpr[i] = 0;
	c->gpr[RDX] = 0x600; /* family 6; the model's stepping is told by CPUID */
	c->rip = 0xfff0;
	c->rflags = RFLAGS_FIXED;
	c->cr0 = cr0_kept | CR0_ET;
	c->cr2 = c->cr3 = c->cr4 = c->cr8 = c->efer = 0;
	for (u32 i = 0; i < 4; i++)
		c->dr[i] = c->pdpte[i] = 0;
	c->dr[6] = 0xffff0ff0;
	c->dr[7] = 0x400;
	reset_segments(c);
	c->gdtr = c->idtr = (struct table_reg){.limit = 0xffff};
	c->activity = ACTIVITY_ACTIVE;
	c->interruptibility = 0;
	c->pending_dbg = 0;
	if (!init) {
		c->star = c->lstar = c->cstar = c->fmask = c->kernel_gs_base = 0;
		c->sysenter_cs = c->sysenter_esp = c->sysenter_eip = 0;
		c->pat = 0x0007040600070406ull;
		c->tsc_aux = c->debugctl = c->xss = 0;
		c->misc_enable = MISC_ENABLE_FAST_STRING | MISC_ENABLE_FIXED |
				 (vp->features->has_monitor ? MISC_ENABLE_MONITOR : 0);
		c->xcr0 = 1;
		pmu_reset(vp);
		c->pkru = 0;
		vp_vec_park(vp);
		vec_reset(vp);
	}
	engine_state_changed(vp);
	vtlb_flush(&vp->tlb, true);
}

/* ---- for exit handlers ---- */

static int linear_failed(struct vp *vp, u64 gva, enum vtlb_status st, const struct vtlb_fault *f)
{
	if (st == VTLB_PAGE_FAULT) {
		vp->fault_cr2 = gva;
		engine_inject(vp,
			      INTR_INFO_VALID | INTR_INFO_ERROR_CODE |
				      INTR_TYPE_HW_EXCEPTION << INTR_INFO_TYPE_SHIFT | VECTOR_PF,
			      f->error_code, 0);
		return -EFAULT;
	}
	if (st == VTLB_MMIO)
		return -EFAULT; /* no operand of a VMX instruction lies in device memory */
	vp->exit =
		(struct vmexit){.gla = f->gla, .gpa = f->gpa, .reason = EXIT_REASON_EPT_MISCONFIG};
	if (st == VTLB_EPT_VIOLATION) {
		vp->exit.reason = EXIT_REASON_EPT_VIOLATION;
		vp->exit.qualification = f->qualification;
	}
	return -EREMOTE;
}

/* Segment register of a memory operand: bits 17:15 of the VM-exit instruction information. */
#define INSN_INFO_SEGMENT(info) ((info) >> 15 & 7)

/* A non-canonical operand faults by its segment, before any translation. */
static int check_canonical(struct vp *vp, u64 gva, u32 len)
{
	u32 vector = INSN_INFO_SEGMENT(vp->exit.insn_info) == SEG_SS ? VECTOR_SS : VECTOR_GP;
	u32 bits = vp->cpu.cr4 & CR4_LA57 ? 57 : 48;

	if ((vp->mode & VP_MODE_SIZE) != VP_MODE_64 ||
	    (is_canonical(gva, bits) && is_canonical(gva + len - 1, bits)))
		return 0;
	engine_inject(vp,
		      INTR_INFO_VALID | INTR_INFO_ERROR_CODE |
			      INTR_TYPE_HW_EXCEPTION << INTR_INFO_TYPE_SHIFT | vector,
		      0, 0);
	return -EFAULT;
}

static int linear_access(struct vp *vp, u64 gva, u8 *buf, u32 len, u32 kind)
{
	if (unlikely(check_canonical(vp, gva, len)))
		return -EFAULT;
	u32 rights = vp->cpl == 3 ? VTLB_USER : vp->cpu.rflags & RFLAGS_AC ? VTLB_AC : 0;

	while (len) {
		u32 part = MIN(len, (u32)(PAGE_SIZE - gva % PAGE_SIZE));
		struct vtlb_xl xl;
		struct vtlb_fault f;
		enum vtlb_status st = vtlb_translate(&vp->tlb, gva, kind | rights, &xl, &f);

		if (st != VTLB_OK)
			return linear_failed(vp, gva, st, &f);
		if (kind == VTLB_READ) {
			nm_copy(buf, xl.hva, part);
		} else {
			nm_copy(xl.hva, buf, part);
			mem_note_write(vp->mem, xl.gpa, part);
			vtlb_write_done(&vp->tlb);
		}
		buf += part;
		gva += part;
		len -= part;
	}
	return 0;
}

int engine_read_linear(struct vp *vp, u64 gva, void *buf, u32 len)
{
	return linear_access(vp, gva, buf, len, VTLB_READ);
}

int engine_write_linear(struct vp *vp, u64 gva, const void *buf, u32 len)
{
	return linear_access(vp, gva, (u8 *)buf, len, VTLB_WRITE);
}

int engine_load_pdptes(struct vp *vp)
{
	u64 reserved = ~(mask_low(vp->features->maxphyaddr) & PAGE_MASK) & ~0xe19ull;
	u64 table = vp->cpu.cr3 & 0xffffffe0ull, pdpte[4];

	for (u32 i = 0; i < 4; i++) {
		struct vtlb_xl xl;
		struct vtlb_fault f;

		if (vtlb_translate_gpa(&vp->tlb, table + 8 * i, VTLB_READ, &xl, &f) != VTLB_OK)
			return -EINVAL;
		pdpte[i] = nm_load64(xl.hva);
		if ((pdpte[i] & 1) && (pdpte[i] & reserved))
			return -EINVAL;
	}
	for (u32 i = 0; i < 4; i++)
		vp->cpu.pdpte[i] = pdpte[i];
	return 0;
}
