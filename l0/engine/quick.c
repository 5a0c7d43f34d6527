/*
 * One rule makes this safe: first look, then commit. Every condition of the general way that holds
 * in well-behaved 64-bit code is tested here, in any order, and a miss leaves it all to that way.
 * Attention of any kind is such a miss, so traps, windows and breakpoints are not looked at here.
 * Source: SDM 3A "64-bit Mode Stack Frame", "Stack Switching in IA-32e Mode"; SDM 2 "IRET",
 * "SYSCALL", "SYSRET", "SWAPGS".
 */
#include "l0/engine/quick.h"

#include <Zydis/Zydis.h>
#include "l0/engine/exec.h"

/* Descriptor bits: type, S, P in bits 47:40, L and D/B. */
#define DESC_BYTE(v) ((u64)(v) << 40)
#define DESC_LONG BIT(53)
#define DESC_DB BIT(54)
/* Present, accessed, 64-bit, not conforming. */
#define CODE64_MASK (DESC_BYTE(0x9d) | DESC_LONG | DESC_DB)
#define CODE64 (DESC_BYTE(0x99) | DESC_LONG)
/* Present, accessed, writable. */
#define STACK_MASK DESC_BYTE(0x9b)
#define STACK DESC_BYTE(0x93)
/* Present; interrupt or trap gate. */
#define GATE_MASK DESC_BYTE(0x9e)
#define GATE DESC_BYTE(0x8e)
#define GATE_TRAP DESC_BYTE(1)

static const u8 *sys_page(const struct vp *vp, u64 at, u32 bytes)
{
	const struct softtlb_entry *e =
		softtlb_slot((struct softtlb_entry *)vp->tlb_soft.e[SOFTTLB_SUPERVISOR], at);

	return likely(e->tag_r == softtlb_tag(vp, at, bytes)) ? (const u8 *)(at + e->addend) : NULL;
}

/* The descriptor of @sel, or 0: not known, null, in the LDT. */
static __always_inline u64 gdt_entry(const struct vp *vp, u16 sel)
{
	u64 at = vp->cpu.gdtr.base + (sel & 0xfff8u);
	const u8 *p;

	if (unlikely(sel & SEL_TI || sel < 8 || (sel | 7u) > vp->cpu.gdtr.limit))
		return 0;
	p = sys_page(vp, at, 8);
	return likely(p != NULL) ? nm_load64(p) : 0;
}

static __always_inline u32 dpl_of(u64 desc)
{
	return desc >> 45 & 3;
}

static __always_inline void set_segment(struct seg *s, u64 desc, u16 sel)
{
	struct desc d = {.lo = desc};
	u32 limit = (u32)(desc & 0xffff) | (u32)(desc >> 32 & 0xf0000);

	s->sel = sel;
	s->ar = (u32)(d.lo >> 40) & 0xf0ffu;
	s->base = (desc >> 16 & 0xffffff) | (desc >> 32 & 0xff000000ull);
	s->limit = s->ar & SEG_AR_G ? limit << 12 | 0xfffu : limit;
}

/* RFLAGS without the trap flag and the like; @old: of before, whose AC may have counted. */
static __always_inline void set_flags(struct vp *vp, u64 flags, u64 old, u32 cpl)
{
	vp->cpu.rflags = flags;
	if (unlikely(vp->ev.held && flags & RFLAGS_IF))
		event_release(vp);
	if (cpl != vp->cpl || (flags ^ old) & RFLAGS_AC)
		vp_update_mode(vp);
}

/* --- delivery --------------------------------------------------------------------------------- */

/* Stack that the gate asks for, or 0. */
static __always_inline u64 gate_stack(const struct vp *vp, u64 gate, u32 cpl)
{
	const struct seg *tr = &vp->cpu.seg[SEG_TR];
	u32 ist = gate >> 32 & 7, off;
	const u8 *p;

	if (!ist && cpl == vp->cpl)
		return vp->cpu.gpr[RSP];
	off = ist ? 28 + 8 * ist : 4 + 8 * cpl;
	if (unlikely(off + 7 > tr->limit))
		return 0;
	p = sys_page(vp, tr->base + off, 8);
	return likely(p != NULL) ? nm_load64(p) : 0;
}

static __always_inline u8 *frame_page(const struct vp *vp, u64 low, u32 bytes)
{
	const struct softtlb_entry *e =
		softtlb_slot((struct softtlb_entry *)vp->tlb_soft.e[SOFTTLB_SUPERVISOR], low);

	return likely(e->tag_w == softtlb_tag(vp, low, bytes)) ? (u8 *)(low + e->addend) : NULL;
}

bool quick_deliver(struct vp *vp, const struct event *e)
{
	struct cpu_state *c = &vp->cpu;
	u32 off = e->vector * 16, cpl, bytes = e->has_error ? 48 : 40;
	u64 gate, rip, sp, code, old = c->rflags;
	const u8 *p;
	u8 *frame;
	u16 sel;

	if (unlikely((vp->mode & (VP_MODE_SIZE | VP_MODE_PLAIN)) != VP_MODE_64 ||
		     off + 15 > c->idtr.limit || vp->watch_stacks))
		return false;
	p = sys_page(vp, c->idtr.base + off, 16);
	if (unlikely(!p))
		return false;
	gate = nm_load64(p);
	if (unlikely((gate & GATE_MASK) != GATE))
		return false;
	if ((e->type == INTR_TYPE_SW_INTERRUPT || e->type == INTR_TYPE_SW_EXCEPTION) &&
	    dpl_of(gate) < vp->cpl)
		return false;
	rip = (gate & 0xffff) | (gate >> 32 & 0xffff0000) | nm_load64(p + 8) << 32;
	sel = (u16)(gate >> 16);
	code = gdt_entry(vp, sel);
	cpl = dpl_of(code);
	if (unlikely((code & CODE64_MASK) != CODE64 || cpl > vp->cpl || cpl == 3 ||
		     !is_canonical_va(vp, rip)))
		return false;
	sp = gate_stack(vp, gate, cpl) & ~15ull;
	frame = frame_page(vp, sp - bytes, bytes);
	if (unlikely(!frame))
		return false;

	if (e->has_error) {
		nm_store64(frame, e->error);
		frame += 8;
	}
	nm_store64(frame, e->rip);
	nm_store64(frame + 8, c->seg[SEG_CS].sel);
	nm_store64(frame + 16, e->flags);
	nm_store64(frame + 24, c->gpr[RSP]);
	nm_store64(frame + 32, c->seg[SEG_SS].sel);
	c->gpr[RSP] = sp - bytes;
	if (cpl != vp->cpl)
		segment_set_null(vp, SEG_SS, (u16)cpl, cpl);
	set_segment(&c->seg[SEG_CS], code, (u16)((sel & ~SEL_RPL) | cpl));
	c->rip = vp->next_rip = rip;
	set_flags(vp,
		  old & ~(RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM |
			  (gate & GATE_TRAP ? 0 : RFLAGS_IF)),
		  old, cpl);
	return true;
}

/* --- operations ------------------------------------------------------------------------------- */

/* No attention, no shadow: nothing between instructions has to know of this one. */
static __always_inline bool is_calm(const struct vp *vp)
{
	return likely(
		!(__atomic_load_n((const u32 *)&vp->attn, __ATOMIC_RELAXED) |
		  (vp->cpu.interruptibility & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS))));
}

static __always_inline void count(struct vp *vp, const struct op *op)
{
	vp->insns = vp->block_insns + op->idx;
}

static void quick_int(struct vp *vp, const struct op *op)
{
	struct event e = {.vector = op->imm & 0xff,
			  .type = INTR_TYPE_SW_INTERRUPT,
			  .rip = op_rip(vp, op) + op->len};

	if (unlikely(!is_calm(vp)))
		return op_slow(vp, op);
	count(vp, op);
	vp->cpu.rflags = vp_rflags(vp);
	e.flags = vp->cpu.rflags & ~RFLAGS_RF;
	if (unlikely(!quick_deliver(vp, &e)))
		return op_slow(vp, op);
	vp->n_exceptions++;
	return chain_indirect(vp, op, vp->next_rip);
}

/* What IRET changes at CPL @cpl. */
static __always_inline u64 iret_flags(u32 cpl, u64 old)
{
	u64 mask = RFLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT | RFLAGS_RF | RFLAGS_AC |
		   RFLAGS_ID;

	if (!cpl)
		mask |= RFLAGS_IOPL | RFLAGS_VIF | RFLAGS_VIP;
	if (cpl <= (old & RFLAGS_IOPL) >> RFLAGS_IOPL_SHIFT)
		mask |= RFLAGS_IF;
	return mask;
}

static void quick_iret(struct vp *vp, const struct op *op)
{
	struct cpu_state *c = &vp->cpu;
	const u8 *frame = softtlb_read(vp, c->gpr[RSP], 40);
	u64 old = c->rflags, rip, flags, code, stack = 0, mask;
	u32 cpl;
	u16 cs, ss;

	if (unlikely(!is_calm(vp) || !frame || op->size != 8 || old & RFLAGS_NT ||
		     (vp->mode & VP_MODE_AC && c->gpr[RSP] & 7) ||
		     c->interruptibility & INTERRUPTIBILITY_NMI))
		return op_slow(vp, op);
	rip = nm_load64(frame);
	cs = (u16)nm_load64(frame + 8);
	flags = nm_load64(frame + 16);
	ss = (u16)nm_load64(frame + 32);
	cpl = cs & SEL_RPL;
	code = gdt_entry(vp, cs);
	if (unlikely((code & CODE64_MASK) != CODE64 || dpl_of(code) != cpl || cpl < vp->cpl ||
		     (ss & SEL_RPL) != cpl || flags & (RFLAGS_TF | RFLAGS_VM) ||
		     !is_canonical_va(vp, rip)))
		return op_slow(vp, op);
	if (unlikely(sel_is_null(ss))) {
		if (cpl == 3)
			return op_slow(vp, op);
	} else {
		stack = gdt_entry(vp, ss);
		if (unlikely((stack & STACK_MASK) != STACK || dpl_of(stack) != cpl))
			return op_slow(vp, op);
	}

	count(vp, op);
	vp->ev.iret_unblocked = false;
	c->gpr[RSP] = nm_load64(frame + 24);
	if (stack)
		set_segment(&c->seg[SEG_SS], stack, ss);
	else
		c->seg[SEG_SS] =
			(struct seg){.sel = ss, .ar = SEG_AR_UNUSABLE | cpl << SEG_AR_DPL_SHIFT};
	set_segment(&c->seg[SEG_CS], code, cs);
	if (cpl != vp->cpl)
		segment_drop_privileged(vp, cpl);
	mask = iret_flags(vp->cpl, old);
	set_flags(vp, (old & ~mask) | (flags & mask) | RFLAGS_FIXED, old, cpl);
	vp->arith = arith_from_rflags(flags);
	if (flags & RFLAGS_RF) /* the way back from a fault */
		event_cover(vp, vp->insns + 1);
	return chain_indirect(vp, op, rip);
}

#define AR_CODE64 0xa09bu
#define AR_DATA 0xc093u
#define AR_DPL3 (3u << SEG_AR_DPL_SHIFT)

static __always_inline void set_flat(struct vp *vp, u32 seg, u16 sel, u32 ar)
{
	vp->cpu.seg[seg] = (struct seg){.sel = sel, .ar = ar, .limit = 0xffffffff, .base = 0};
}

static __always_inline bool can_syscall(const struct vp *vp)
{
	return likely(vp->cpu.efer & EFER_SCE && vp->features->has_syscall && is_calm(vp));
}

static void quick_syscall(struct vp *vp, const struct op *op)
{
	struct cpu_state *c = &vp->cpu;
	u16 sel = (u16)(c->star >> 32) & 0xfffc;
	u64 old, flags;

	if (unlikely(!can_syscall(vp) || !is_canonical_va(vp, c->lstar)))
		return op_slow(vp, op);
	count(vp, op);
	old = vp_rflags(vp) & ~RFLAGS_RF;
	c->gpr[RCX] = op_rip(vp, op) + op->len;
	c->gpr[11] = old;
	set_flat(vp, SEG_CS, sel, AR_CODE64);
	set_flat(vp, SEG_SS, (u16)(sel + 8), AR_DATA);
	flags = (old & ~c->fmask) | RFLAGS_FIXED;
	set_flags(vp, flags, old, 0);
	vp->arith = arith_from_rflags(flags);
	return chain_indirect(vp, op, c->lstar);
}

static void quick_sysret(struct vp *vp, const struct op *op)
{
	struct cpu_state *c = &vp->cpu;
	u16 sel = (u16)(c->star >> 48);
	u64 flags = c->gpr[11] & RFLAGS_DEFINED & ~(RFLAGS_RF | RFLAGS_VM);

	if (unlikely(!can_syscall(vp) || vp->cpl || op->size != 8 || flags & RFLAGS_TF ||
		     !is_canonical_va(vp, c->gpr[RCX])))
		return op_slow(vp, op);
	count(vp, op);
	set_flat(vp, SEG_CS, (u16)(sel + 16) | 3, AR_CODE64 | AR_DPL3);
	set_flat(vp, SEG_SS, (u16)(sel + 8) | 3, AR_DATA | AR_DPL3);
	set_flags(vp, flags | RFLAGS_FIXED, c->rflags, 3);
	vp->arith = arith_from_rflags(flags);
	return chain_indirect(vp, op, c->gpr[RCX]);
}

static void quick_swapgs(struct vp *vp, const struct op *op)
{
	struct cpu_state *c = &vp->cpu;
	u64 base = c->seg[SEG_GS].base;

	if (unlikely(vp->cpl))
		return op_slow(vp, op);
	c->seg[SEG_GS].base = vp->ea_base[SEG_GS] = c->kernel_gs_base;
	c->kernel_gs_base = base;
	NEXT(vp, op);
}

/* Its block goes on when the translation of its own page is still there. */
static void quick_invlpg(struct vp *vp, const struct op *op)
{
	u64 gva = intercept_operand_gva(vp, op), rip = op_rip(vp, op);

	if (unlikely(!is_calm(vp) || vp->cpl || vp->ctl.proc & PROC_INVLPG || vp->compared ||
		     !is_canonical_va(vp, gva)))
		return op_slow(vp, op);
	count(vp, op);
	vp->cur = op;
	vtlb_invlpg(&vp->tlb, gva);
	if (likely(softtlb_exec(vp, rip) == vp->cur_block->hva + op->rip_off))
		NEXT(vp, op);
	return chain_indirect(vp, op, rip + op->len);
}

/* Slow operations that leave RIP alone and the processor running. */
static bool goes_on(const struct op *op)
{
	switch (op->mnemonic) {
	case ZYDIS_MNEMONIC_CLI:
	case ZYDIS_MNEMONIC_STI:
	case ZYDIS_MNEMONIC_CLAC:
	case ZYDIS_MNEMONIC_STAC:
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFD:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_RDTSC:
	case ZYDIS_MNEMONIC_RDTSCP:
	case ZYDIS_MNEMONIC_RDMSR:
	case ZYDIS_MNEMONIC_WRMSR:
	case ZYDIS_MNEMONIC_RDPKRU:
	case ZYDIS_MNEMONIC_RDFSBASE:
	case ZYDIS_MNEMONIC_RDGSBASE:
	case ZYDIS_MNEMONIC_SLDT:
	case ZYDIS_MNEMONIC_STR:
	case ZYDIS_MNEMONIC_VMREAD:
	case ZYDIS_MNEMONIC_VMWRITE:
	case ZYDIS_MNEMONIC_IN:
	case ZYDIS_MNEMONIC_OUT: return true;
	case ZYDIS_MNEMONIC_MOV: /* from CR, from DR, from a segment register */
		return op->aux == 0x120 || op->aux == 0x121 || op->aux == 0x8c;
	}
	return false;
}

bool quick_can_be_undone(const struct op *op)
{
	switch (op->mnemonic) {
	case ZYDIS_MNEMONIC_RDMSR:
	case ZYDIS_MNEMONIC_WRMSR:
	case ZYDIS_MNEMONIC_VMREAD:
	case ZYDIS_MNEMONIC_VMWRITE:
	case ZYDIS_MNEMONIC_IN:
	case ZYDIS_MNEMONIC_OUT: return false;
	case ZYDIS_MNEMONIC_INT:
	case ZYDIS_MNEMONIC_IRETQ:
	case ZYDIS_MNEMONIC_SYSCALL:
	case ZYDIS_MNEMONIC_SYSRET:
	case ZYDIS_MNEMONIC_SWAPGS: return true;
	}
	return goes_on(op);
}

op_fn quick_handler(const struct op *op, u32 mode, bool *ends)
{
	if (goes_on(op)) {
		*ends = false;
		return op_inline;
	}
	/* those who follow stacks or count branches do so on the general way */
	if ((mode & VP_MODE_SIZE) != VP_MODE_64 || mode & (VP_MODE_STACKS | VP_MODE_BRANCHES))
		return op_slow;
	switch (op->mnemonic) {
	case ZYDIS_MNEMONIC_INT: return quick_int;
	case ZYDIS_MNEMONIC_IRETQ: return quick_iret;
	case ZYDIS_MNEMONIC_SYSCALL: return quick_syscall;
	case ZYDIS_MNEMONIC_SYSRET: return quick_sysret;
	case ZYDIS_MNEMONIC_INVLPG: *ends = false; return quick_invlpg;
	case ZYDIS_MNEMONIC_SWAPGS: *ends = false; return quick_swapgs;
	}
	return op_slow;
}
