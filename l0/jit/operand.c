/*
 * Memory operands. Each access remembers the page, or part of a large page, that it went to last;
 * others are looked up in the soft TLB out of line. What is remembered is good under one
 * vp->site_key, which is looked at where the block is entered.
 */
#include "l0/jit/translation.h"

#define PAGE_OFTEN 256u /* instructions between two pages: it does not pay to remember them */

static bool has_seg(const struct address *a)
{
	return a->seg == SEG_FS || a->seg == SEG_GS;
}

static void emit_bit_offset(struct translation *t, const struct address *a, bool keep_rcx)
{
	struct emit *e = &t->e;
	bool large = a->bit_size == 8;

	if (keep_rcx)
		emit1(e, 0x51); /* push rcx */
	emit_from(t, 8, large ? 0x8b : 0x63, H_RCX, a->bit_reg);
	emit_rr(e, 8, 0xc1, 7, H_RCX); /* sar rcx, … */
	emit1(e, large ? 6 : 5);
	emit_lea(e, 8, H_RDX, H_RDX, H_RCX, a->bit_size, 0);
	if (keep_rcx)
		emit1(e, 0x59);
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
	if (a->bit_size)
		emit_bit_offset(t, a, keep_rcx);
}

/* ---- shared code ---- */

/* ecx: linear address → rcx: its entry in the soft TLB. */
static void emit_slot(struct emit *e)
{
	BUILD_ASSERT(sizeof(struct softtlb_entry) == 32);
	emit_n(e, 0x0ce9c148, 4);	   /* shr rcx, 12 */
	emit_rr(e, 4, 0x69, H_RCX, H_RCX); /* imul ecx, ecx, … */
	emit_n(e, SOFTTLB_HASH, 4);
	emit_n(e, 0xe9c1 | (27 - SOFTTLB_BITS) << 16, 3); /* shr ecx, … */
	emit_rr(e, 4, 0x81, 4, H_RCX);
	emit_n(e, (SOFTTLB_ENTRIES - 1) * 32, 4); /* and ecx, … */
	emit_rm(e, 8, 0x03, H_RCX, H_RDI, VP_OFF(tlb_e));
}

/* Registers that C may use and translated code holds something in, but for rcx and rdx. */
static const u8 caller_saved[] = {H_RAX, H_RSI, H_RDI, H_R8, H_R9, 10, 11};

static void emit_push_regs(struct emit *e)
{
	for (u32 i = 0; i < ARRAY_SIZE(caller_saved); i++)
		emit_op(e, 4, 0x50 | (caller_saved[i] & 7), 0, 0, caller_saved[i]);
}

static void emit_pop_regs(struct emit *e)
{
	for (u32 i = ARRAY_SIZE(caller_saved); i-- > 0;)
		emit_op(e, 4, 0x58 | (caller_saved[i] & 7), 0, 0, caller_saved[i]);
}

#define PAGE_OFF(m) ((s32) __builtin_offsetof(struct jit_page, m))

/*
 * rdx: linear address, rcx: struct jit_page → rdx: addend, no carry; or carry: the soft TLB does
 * not know it. What changes pages often is not remembered, so that the branch that comes here is
 * always taken. Translated code runs with rsp 8 below a multiple of 16, as functions begin.
 */
static void make_page_stub(struct emit *e, bool write, bool range)
{
	u32 fail, remember;
	u64 fn = range ? (write ? (u64)jit_range_write : (u64)jit_range_read)
		       : (write ? (u64)jit_page_write : (u64)jit_page_read);

	emit1(e, 0x56);			   /* push rsi */
	emit1(e, 0x52);			   /* push rdx */
	emit_rr(e, 8, 0x89, H_RCX, H_RSI); /* mov rsi, rcx */
	emit_rr(e, 8, 0x89, H_RDX, H_RCX);
	emit_slot(e);
	emit_rm(e, 8, 0x03, H_RDX, H_RSI, PAGE_OFF(more));
	emit_n(e, 0xfffff000e28148, 7); /* and rdx, -4096 */
	emit_rm(e, 8, 0x0b, H_RDX, H_RDI, VP_OFF(tlb_soft.gen));
	emit_rm(e, 8, 0x3b, H_RDX, H_RCX,
		write ? (s32) __builtin_offsetof(struct softtlb_entry, tag_w)
		      : (s32) __builtin_offsetof(struct softtlb_entry, tag_r));
	fail = emit_jcc(e, CC_NE);
	emit_rm(e, 8, 0x8b, H_RDX, H_RSI, PAGE_OFF(last));
	emit_rm(e, 8, 0x89, H_COUNT, H_RSI, PAGE_OFF(last));
	emit_rr(e, 8, 0x29, H_COUNT, H_RDX);
	emit_rr(e, 8, 0x81, 7, H_RDX);
	emit_n(e, PAGE_OFTEN, 4);
	remember = emit_jcc(e, CC_AE);
	emit_rm(e, 8, 0x8b, H_RDX, H_RCX, (s32) __builtin_offsetof(struct softtlb_entry, addend));
	if (range) { /* the accesses that follow look there */
		emit_rm(e, 8, 0x89, H_RDX, H_RSI, PAGE_OFF(addend));
		emit_rm(e, 8, 0xc7, 0, H_RSI, PAGE_OFF(room));
		emit_n(e, 0, 4);
	}
	emit1(e, 0x59); /* pop rcx */
	emit1(e, 0x5e); /* pop rsi */
	emit1(e, 0xf8); /* clc */
	emit1(e, 0xc3);

	emit_patch(e, fail, emit_pos(e));
	if (!range) {
		emit1(e, 0x59);
		emit1(e, 0x5e);
		emit1(e, 0xf9); /* stc */
		emit1(e, 0xc3);
	}
	emit_patch(e, remember, emit_pos(e));
	emit1(e, 0x5a); /* pop rdx */
	emit_push_regs(e);
	emit_mov_imm(e, H_RAX, fn);
	emit_n(e, 0xd0ff, 2); /* call rax */
	emit_rr(e, 8, 0x89, H_RAX, H_RDX);
	emit_pop_regs(e);
	emit1(e, 0x5e);
	if (range)
		emit_n(e, 0x01fa8348, 4); /* cmp rdx, 1 */
	else
		emit1(e, 0xf8);
	emit1(e, 0xc3);
}

/* rdx: second argument of @fn; rcx := what it returns, and its sign in the host's flags. */
static void make_call_stub(struct emit *e, u64 fn)
{
	emit_push_regs(e);
	emit_n(e, 0x08ec8348, 4); /* sub rsp, 8 */
	emit_rr(e, 8, 0x89, H_RDX, H_RSI);
	emit_mov_imm(e, H_RAX, fn);
	emit_n(e, 0xd0ff, 2); /* call rax */
	emit_rr(e, 8, 0x89, H_RAX, H_RCX);
	emit_n(e, 0x08c48348, 4);
	emit_pop_regs(e);
	emit_rr(e, 8, 0x85, H_RCX, H_RCX);
	emit1(e, 0xc3);
}

/* rdx: struct jit_edge: to its target, or as an edge that was never taken. */
static void make_far_stub(struct jit *j, struct emit *e)
{
	u32 over, known;

	emit1(e, 0x52); /* push rdx, twice for the alignment */
	emit1(e, 0x52);
	emit1(e, 0xe8); /* call the following, and it returns here */
	emit_n(e, 0, 4);
	over = emit_pos(e) - 4;
	emit1(e, 0x5a); /* pop rdx */
	emit1(e, 0x5a);
	known = emit_jcc(e, CC_NE);
	emit_to(e, 0xe9, j->stub.edge, (u64)j->exec);
	emit_patch(e, known, emit_pos(e));
	emit_n(e, 0xe1ff, 2); /* jmp rcx */
	emit_patch(e, over, emit_pos(e));
	make_call_stub(e, (u64)jit_edge_again);
}

void jit_make_page_stubs(struct jit *j, struct emit *e)
{
	j->stub.page_read = (u64)j->exec + emit_pos(e);
	make_page_stub(e, false, false);
	j->stub.page_write = (u64)j->exec + emit_pos(e);
	make_page_stub(e, true, false);
	j->stub.range_read = (u64)j->exec + emit_pos(e);
	make_page_stub(e, false, true);
	j->stub.range_write = (u64)j->exec + emit_pos(e);
	make_page_stub(e, true, true);
	j->stub.keys = (u64)j->exec + emit_pos(e);
	make_call_stub(e, (u64)jit_keys_changed);
	j->stub.find = (u64)j->exec + emit_pos(e);
	make_call_stub(e, (u64)jit_find_jump);
	j->stub.edge_far = (u64)j->exec + emit_pos(e);
	make_far_stub(j, e);
}

/* ---- inline ---- */

static struct page_miss *new_miss(struct translation *t, const struct address *a, u32 size,
				  bool write)
{
	struct page_miss *m = &t->miss[t->n_miss];

	if (!t->keys || t->n_access == t->n_pages || t->n_miss == ARRAY_SIZE(t->miss)) {
		t->e.full = true;
		m->page = (struct jit_page *)t->tier->data;
		return m;
	}
	*m = (struct page_miss){.a = *a, .write = write};
	t->n_miss++;
	m->page = (struct jit_page *)(t->keys + 1) + t->n_access++;
	*m->page = (struct jit_page){.more = size - 1, .index = t->n_access - 1};
	return m;
}

/* rdx: the address := that minus where the access went last; others are looked up. */
static void emit_compare(struct translation *t, u32 k, struct page_miss *m)
{
	struct emit *e = &t->e;

	emit_rip(e, 8, 0x2b, H_RDX, (u64)&m->page->first, t->exec, 0);
	if (t->j[k].vec.align) {
		emit_n(e, 0xc2f6, 2); /* test dl, … */
		emit1(e, t->j[k].vec.align - 1u);
		add_cold_page(t, k, emit_jcc(e, CC_NE), m);
	}
	emit_rip(e, 8, 0x3b, H_RDX, (u64)&m->page->room, t->exec, 0);
	add_cold_page(t, k, emit_jcc(e, CC_AE), m);
}

/* Can an access be [base + rdx + disp], rdx the addend? */
static bool is_plain(const struct address *a)
{
	return a->asize == 8 && !has_seg(a) && !a->bit_size && a->index == OP_NO_REG &&
	       (u64)(s64)(s32)a->disp == a->disp && (a->base == OP_NO_REG || is_pinned(a->base));
}

static struct operand plain_operand(const struct address *a)
{
	return (struct operand){H_RDX, a->base == OP_NO_REG ? -1 : jit_host[a->base], (s32)a->disp};
}

/* Look up the access, or the range whose first it is. */
static struct operand find(struct translation *t, u32 k, const struct address *a, u32 size,
			   bool write, const struct jit_range *r)
{
	struct address begin = *a;
	struct emit *e = &t->e;
	struct page_miss *m;

	lose_host(t);
	begin.disp -= (u64)(s64)r->at;
	m = new_miss(t, &begin, r->id ? r->bytes : size, write || r->write);
	m->range = r->id;
	t->held = (struct held){r->id, RDX_NOTHING};
	if (is_plain(&begin) && is_plain(a)) {
		if (a->base != OP_NO_REG)
			emit_lea(e, 8, H_RDX, jit_host[a->base], -1, 1, (s32)begin.disp);
		else
			emit_mov_imm(e, H_RDX, begin.disp);
		emit_compare(t, k, m);
		emit_rip(e, 8, 0x8b, H_RDX, (u64)&m->page->addend, t->exec, 0);
		m->back = emit_pos(e);
		t->held.what = RDX_ADDEND;
	} else {
		emit_address(t, &begin, false);
		emit_compare(t, k, m);
		emit_rip(e, 8, 0x03, H_RDX, (u64)&m->page->host, t->exec, 0);
		m->add = true;
		m->back = emit_pos(e);
		t->held.what = RDX_BEGIN;
	}
	if (r->id) {
		t->range[r->id].page = m->page;
		range_place_of(&t->values, &t->b->ops[k], &t->j[k], &t->range[r->id].begin);
		t->range[r->id].begin.offset -= r->at;
	}
	return m->add ? (struct operand){H_RDX, -1, r->at} : plain_operand(a);
}

/* rdx += guest register @r * @scale + @disp; uses rcx, leaves the flags alone. */
static void add_register(struct translation *t, u32 r, u32 scale, s32 disp)
{
	u32 h = (u32)jit_host[r];

	if (!is_pinned(r)) {
		emit_rm(&t->e, 8, 0x8b, H_RCX, H_RDI, gpr_off(r));
		h = H_RCX;
	}
	emit_lea(&t->e, 8, H_RDX, H_RDX, (int)h, scale, disp);
}

/* The range of the access was looked up. */
static struct operand find_known(struct translation *t, const struct address *a,
				 const struct jit_range *r)
{
	const struct jit_page *page = t->range[r->id].page;
	struct emit *e = &t->e;
	u64 disp = a->disp - (u64)(s64)r->at;
	bool mine = t->held.id == r->id;

	if (mine && t->held.what == RDX_BEGIN)
		return (struct operand){H_RDX, -1, r->at};
	if (!mine || t->held.what != RDX_ADDEND)
		emit_rip(e, 8, 0x8b, H_RDX, (u64)&page->addend, t->exec, 0);
	t->held = (struct held){r->id, RDX_ADDEND};
	if (is_plain(a))
		return plain_operand(a);
	t->held.what = RDX_BEGIN;
	if (a->base == OP_NO_REG && a->index == OP_NO_REG) {
		emit_mov_imm(e, H_RCX, disp);
		emit_lea(e, 8, H_RDX, H_RDX, H_RCX, 1, 0);
	}
	if (a->base != OP_NO_REG)
		add_register(t, a->base, 1, a->index == OP_NO_REG ? (s32)disp : 0);
	if (a->index != OP_NO_REG)
		add_register(t, a->index, a->scale, (s32)disp);
	return (struct operand){H_RDX, -1, r->at};
}

/* ---- entries behind handlers, which may have changed what was looked up ---- */

static bool is_used_from(const struct translation *t, u32 k, u32 id)
{
	for (; k < t->b->n_ops; k++)
		if (t->j[k].range.id == id)
			return true;
	return false;
}

/* A register that holds @value now. */
static u32 holder(const struct translation *t, u32 value)
{
	u32 r = 0;

	while (r < GPR_COUNT && t->values.value[r] != value)
		r++;
	return r;
}

/* The begin of a range by what registers hold now. */
static bool begin_now(const struct translation *t, const struct range_place *p, struct address *a)
{
	s64 disp = p->offset;

	*a = (struct address){
		.base = OP_NO_REG, .index = OP_NO_REG, .scale = 1, .asize = 8, .seg = SEG_DS};
	if (p->base != t->values.none) {
		a->base = holder(t, p->base);
		if (a->base == GPR_COUNT)
			return false;
		disp -= t->values.plus[a->base];
	}
	if (p->index) {
		a->index = holder(t, p->index);
		if (a->index == GPR_COUNT)
			return false;
		a->scale = p->scale;
		disp -= t->values.plus[a->index] * p->scale;
	}
	a->disp = (u64)disp;
	return (s32)disp == disp || (a->base == OP_NO_REG && a->index == OP_NO_REG);
}

void operand_note_entry(struct translation *t, u32 k)
{
	u32 n = t->n_again;

	for (u8 id = 1; id <= RANGE_MAX; id++) {
		const struct known_range *r = &t->range[id];

		if (!r->page || !is_used_from(t, k, id))
			continue;
		if (n == AGAIN_MAX || !begin_now(t, &r->begin, &t->again_at[n].a)) {
			t->entry[k] = false;
			return;
		}
		t->again_at[n].k = (u8)k;
		t->again_at[n++].id = id;
	}
	t->n_again = n;
	if (!is_used_from(t, k, t->held.id))
		t->held.what = RDX_NOTHING;
}

static u32 emit_again(struct translation *t, const struct range_again *x)
{
	const struct jit_page *page = t->range[x->id].page;
	struct emit *e = &t->e;

	emit_address(t, &x->a, false);
	emit_rip(e, 8, 0x2b, H_RDX, (u64)&page->first, t->exec, 0);
	emit_rip(e, 8, 0x3b, H_RDX, (u64)&page->room, t->exec, 0);
	return emit_jcc(e, CC_AE);
}

u32 operand_entry(struct translation *t, u32 k, u32 *fail)
{
	const struct held *held = &t->entry_held[k];
	const struct range_again *last = NULL;
	u32 n = 0;

	for (u32 i = 0; i < t->n_again; i++) {
		const struct range_again *x = &t->again_at[i];

		if (x->k != k)
			continue;
		if (held->what && x->id == held->id)
			last = x;
		else
			fail[n++] = emit_again(t, x);
	}
	if (!last)
		return n;
	fail[n++] = emit_again(t, last);
	if (held->what == RDX_ADDEND)
		emit_rip(&t->e, 8, 0x8b, H_RDX, (u64)&t->range[last->id].page->addend, t->exec, 0);
	else
		emit_rip(&t->e, 8, 0x03, H_RDX, (u64)&t->range[last->id].page->host, t->exec, 0);
	return n;
}

/* Another page: by the soft TLB. */
void operand_miss(struct translation *t, u32 k, const struct page_miss *m)
{
	struct emit *e = &t->e;

	t->in_eax = true;
	emit_address(t, &m->a, false);
	if (t->j[k].vec.align) {
		emit_n(e, 0xc2f6, 2); /* test dl, … */
		emit1(e, t->j[k].vec.align - 1u);
		add_cold(t, COLD_SITE, k, emit_jcc(e, CC_NE), NULL);
	}
	emit_rip(e, 8, 0x8d, H_RCX, (u64)m->page, t->exec, 0);
	if (m->range)
		emit_to(e, 0xe8, m->write ? t->tier->stub.range_write : t->tier->stub.range_read,
			t->exec);
	else
		emit_to(e, 0xe8, m->write ? t->tier->stub.page_write : t->tier->stub.page_read,
			t->exec);
	add_cold(t, COLD_SITE, k, emit_jcc(e, CC_B), NULL);
	if (m->add) {
		emit_rr(e, 8, 0x89, H_RDX, H_RCX);
		emit_address(t, &m->a, true);
		emit_rr(e, 8, 0x01, H_RCX, H_RDX);
	}
	emit_patch(e, emit_jmp(e), m->back);
}

static struct address address_of(const struct op *op)
{
	return (struct address){.base = op->base,
				.index = op->index,
				.scale = op->scale,
				.asize = op->asize,
				.disp = (u64)op->disp,
				.seg = op->seg};
}

void operand_offset(struct translation *t, u32 k)
{
	struct address a = address_of(&t->b->ops[k]);

	a.seg = SEG_DS; /* whose base is none */
	emit_address(t, &a, false);
}

struct operand operand_find(struct translation *t, u32 k, u32 size, bool write)
{
	static const struct jit_range alone;
	const struct op *op = &t->b->ops[k];
	struct address a = address_of(op);
	/* that is the push's */
	const struct jit_range *r = t->j[k].kind == J_CALL_IND ? &alone : &t->j[k].range;

	if (t->j[k].kind == J_BIT && !t->j[k].has_imm) {
		a.bit_reg = op->src;
		a.bit_size = size;
	}
	return r->id && !r->first ? find_known(t, &a, r) : find(t, k, &a, size, write, r);
}

struct operand operand_stack(struct translation *t, u32 k, u32 r, s32 disp, u32 size, bool write)
{
	struct address a = {
		.base = r, .index = OP_NO_REG, .asize = size, .disp = (u64)disp, .seg = SEG_SS};
	const struct jit_range *range = &t->j[k].range;

	return range->id && !range->first ? find_known(t, &a, range)
					  : find(t, k, &a, size, write, range);
}

struct operand operand_run(struct translation *t, u32 k, u32 r, u32 bytes, bool write)
{
	struct address a = {.base = r, .index = OP_NO_REG, .asize = 8, .seg = SEG_DS};

	return find(t, k, &a, bytes, write, &t->j[k].range);
}

void operand_free_rcx(struct translation *t, struct operand *m)
{
	if (m->index != H_RCX)
		return;
	emit_lea(&t->e, 8, H_RDX, m->base, H_RCX, 1, m->disp);
	*m = (struct operand){H_RDX, -1, 0};
}
