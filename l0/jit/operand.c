/* Memory operands: the soft TLB inline, as softtlb.h has it. */
#include "l0/jit/translation.h"

struct address {
	u32 base, index; /* guest registers, OP_NO_REG: none */
	u32 scale, asize;
	u64 disp;
	u32 seg; /* SEG_FS, SEG_GS: its base is added */
};

static bool has_seg(const struct address *a)
{
	return a->seg == SEG_FS || a->seg == SEG_GS;
}

/* rdx := linear address; rcx is used unless @keep_rcx. */
static void emit_address(struct translation *t, const struct address *a, bool keep_rcx)
{
	struct emit *e = &t->e;
	int base = -1, index = -1;
	bool add_base = false;

	if (a->base == OP_NO_REG && a->index == OP_NO_REG) {
		emit_mov_imm(e, H_RDX, a->asize == 4 ? (u32)a->disp : a->disp);
	} else {
		if (a->index != OP_NO_REG)
			index = (int)reg_in(t, a->index, H_RDX);
		if (a->base != OP_NO_REG) {
			add_base = !is_pinned(a->base) && index == H_RDX && keep_rcx;
			if (!add_base)
				base = (int)reg_in(t, a->base, index == H_RDX ? H_RCX : H_RDX);
		}
		emit_lea(e, a->asize, H_RDX, base, index, a->scale, (s32)a->disp);
		if (add_base)
			emit_rm(e, a->asize, 0x03, H_RDX, H_RDI, gpr_off(a->base));
	}
	if (has_seg(a))
		emit_rm(e, 8, 0x03, H_RDX, H_RDI, VP_OFF(ea_base) + 8 * (s32)a->seg);
}

/* After the compare, rcx: the entry. */
static struct operand emit_host_address(struct translation *t, const struct address *a)
{
	struct emit *e = &t->e;
	s32 addend = (s32)__builtin_offsetof(struct softtlb_entry, addend);
	bool fits = (u64)(s64)(s32)a->disp == a->disp;

	if (a->asize == 8 && !has_seg(a) && a->index == OP_NO_REG && fits) {
		emit_rm(e, 8, 0x8b, H_RDX, H_RCX, addend);
		if (a->base == OP_NO_REG)
			return (struct operand){H_RDX, -1, (s32)a->disp};
		return (struct operand){H_RDX, (int)reg_in(t, a->base, H_RCX), (s32)a->disp};
	}
	emit_rm(e, 8, 0x8b, H_RCX, H_RCX, addend);
	emit_address(t, a, true);
	return (struct operand){H_RDX, H_RCX, 0};
}

static struct operand find(struct translation *t, u32 k, const struct address *a, u32 size, bool write)
{
	struct emit *e = &t->e;
	s32 tag = write ? (s32)__builtin_offsetof(struct softtlb_entry, tag_w)
			: (s32)__builtin_offsetof(struct softtlb_entry, tag_r);

	BUILD_ASSERT(sizeof(struct softtlb_entry) == 32 && SOFTTLB_ENTRIES == 256);
	want_eax(t);
	t->in_host = false;
	emit_address(t, a, false);
	emit_rr(e, 8, 0x89, H_RDX, H_RCX);
	emit_n(e, 0x0ce9c148, 4); /* shr rcx, 12 */
	emit_rr(e, 4, 0x69, H_RCX, H_RCX); /* imul ecx, ecx, … */
	emit_n(e, SOFTTLB_HASH, 4);
	emit_n(e, 0x13e9c1, 3); /* shr ecx, 19 */
	emit_rr(e, 4, 0x81, 4, H_RCX);
	emit_n(e, 0x1fe0, 4); /* and ecx, … */
	emit_rm(e, 8, 0x03, H_RCX, H_RDI, VP_OFF(tlb_e));
	if (size > 1)
		emit_rm(e, 8, 0x8d, H_RDX, H_RDX, (s32)size - 1);
	emit_n(e, 0xfffff000e28148, 7); /* and rdx, -4096 */
	emit_rm(e, 8, 0x0b, H_RDX, H_RDI, VP_OFF(tlb_soft.gen));
	emit_rm(e, 8, 0x3b, H_RDX, H_RCX, tag);
	add_cold(t, COLD_SITE, k, emit_jcc(e, CC_NE), NULL);
	return emit_host_address(t, a);
}

struct operand operand_find(struct translation *t, u32 k, u32 size, bool write)
{
	const struct op *op = &t->b->ops[k];
	struct address a = {.base = op->base, .index = op->index, .scale = op->scale, .asize = op->asize,
			    .disp = (u64)op->disp, .seg = op->seg};

	return find(t, k, &a, size, write);
}

struct operand operand_stack(struct translation *t, u32 k, u32 r, s32 disp, u32 size, bool write)
{
	struct address a = {.base = r, .index = OP_NO_REG, .asize = size, .disp = (u64)disp, .seg = SEG_SS};

	return find(t, k, &a, size, write);
}

void operand_free_rcx(struct translation *t, struct operand *m)
{
	if (m->index != H_RCX)
		return;
	emit_lea(&t->e, 8, H_RDX, m->base, H_RCX, 1, m->disp);
	*m = (struct operand){H_RDX, -1, 0};
}
