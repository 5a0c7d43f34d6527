/*
 * The operation cache: look-up, making of blocks, and the passes over a new block (dead flags,
 * pairs that run as one operation).
 *
 * Which bytes a block was made from is marked in their frames before they are read
 * (mem_mark_code()), so that a later write of them moves the frame's generation on: the block is
 * either made from the new bytes or dead.
 */
#include "l0/engine/block.h"

#include "l0/arch/vmx.h"
#include "l0/base/assert.h"
#include "l0/engine/decode.h"
#include "l0/engine/vapic.h"

#define CODE_LINE_BYTES (1u << MEM_CODE_LINE_SHIFT)
#define PATCHED_HEAT 100u /* entries without another change until the tier may translate it */

static struct mem_frame
	no_frame; /* of code that lies in no RAM: such blocks are never found again */
struct block block_unlinked = {.n = 1ull << 63, .frame = &no_frame};

/* ---- code fetch ---- */

struct fetch {
	u8 *hva; /* NULL: device memory */
	u64 gpa;
};

/* A fault or an exit that comes of a fetch finds the flags of the instruction before. */
static void write_back_flags(struct vp *vp)
{
	vp->cpu.rflags = vp_rflags(vp);
}

static _Noreturn void fetch_gp(struct vp *vp)
{
	write_back_flags(vp);
	vp_fault(vp, NULL, VECTOR_GP, 0);
}

static struct fetch fetch_page(struct vp *vp, u64 lin)
{
	struct vtlb_xl xl;
	struct vtlb_fault f;
	enum vtlb_status st;

	write_back_flags(vp);
	st = vtlb_translate(&vp->tlb, lin, VTLB_EXEC | (vp->cpl == 3 ? VTLB_USER : 0), &xl, &f);
	if (st != VTLB_OK && st != VTLB_MMIO)
		access_failed(vp, NULL, st, lin, &f);
	vapic_fetch(vp, xl.gpa, lin);
	if (st == VTLB_MMIO)
		return (struct fetch){.gpa = xl.gpa};
	softtlb_fill(vp, vp->cpl == 3 ? SOFTTLB_EXEC_USER : SOFTTLB_EXEC, lin, &xl);
	return (struct fetch){.hva = xl.hva, .gpa = xl.gpa};
}

static u64 code_linear(const struct vp *vp, u64 rip)
{
	return (vp->mode & VP_MODE_SIZE) == VP_MODE_64 ? rip
						       : (u32)(vp->cpu.seg[SEG_CS].base + rip);
}

/* Bytes up to @want at @f, never beyond its page. */
static u32 copy_code(struct vp *vp, const struct fetch *f, u8 *buf, u32 want)
{
	u32 n = MIN(want, (u32)(PAGE_SIZE - f->gpa % PAGE_SIZE));

	if (f->hva) {
		for (u32 i = 0; i < n; i++)
			buf[i] = f->hva[i];
		return n;
	}
	for (u32 i = 0; i < n; i++)
		buf[i] = (u8)mem_mmio_read(vp->mem, f->gpa + i, 1);
	return n;
}

/* Marks lines before they are read; the first mark of a frame takes the write tags of it away. */
static u32 mark_code(struct vp *vp, struct block *b, const struct fetch *f, u32 len)
{
	bool first;
	u32 gen = mem_mark_code(vp->mem, f->gpa, len, &first);

	if (first && !vtlb_protect_frame(&vp->tlb, f->gpa)) {
		gen--; /* too many frames wait for other VPs: the block dies at its next look-up */
		b->fleeting = true;
	}
	return gen;
}

/* ---- passes over a new block ---- */

/* What decoding found out of each operation, beside the operation. */
struct note {
	op_fn noflags;
	enum fuse_kind fuse;
	u8 si;
	bool flat64, may_leave;
	u16 read, written, killed;
};

static void replace(struct op *op, op_fn fn)
{
	if (!(op->flags & OP_REPLACED)) {
		ASSERT_DBG(!op->slow);
		op->slow = op->fn;
		op->flags |= OP_REPLACED;
	}
	op->fn = fn;
}

/* An operation's flags are dead when they are overwritten before anything reads them, and before
 * anything that may fault or leave the block, where they would be seen. */
static void drop_dead_flags(struct block *b, const struct note *notes)
{
	u32 live = RFLAGS_ARITH;

	for (u32 i = b->n_ops; i-- > 0;) {
		const struct note *n = &notes[i];

		if (n->noflags && !(n->written & live)) {
			replace(&b->ops[i], n->noflags);
			b->ops[i].flags |= OP_NOFLAGS;
		}
		live &= ~(u32)n->killed;
		live |= n->may_leave ? RFLAGS_ARITH : n->read;
	}
}

static int jcc_condition(const struct op *op)
{
	switch (op->mnemonic) {
	case ZYDIS_MNEMONIC_JO: return 0;
	case ZYDIS_MNEMONIC_JNO: return 1;
	case ZYDIS_MNEMONIC_JB: return 2;
	case ZYDIS_MNEMONIC_JNB: return 3;
	case ZYDIS_MNEMONIC_JZ: return 4;
	case ZYDIS_MNEMONIC_JNZ: return 5;
	case ZYDIS_MNEMONIC_JBE: return 6;
	case ZYDIS_MNEMONIC_JNBE: return 7;
	case ZYDIS_MNEMONIC_JS: return 8;
	case ZYDIS_MNEMONIC_JNS: return 9;
	case ZYDIS_MNEMONIC_JP: return 10;
	case ZYDIS_MNEMONIC_JNP: return 11;
	case ZYDIS_MNEMONIC_JL: return 12;
	case ZYDIS_MNEMONIC_JNL: return 13;
	case ZYDIS_MNEMONIC_JLE: return 14;
	case ZYDIS_MNEMONIC_JNLE: return 15;
	default: return -1;
	}
}

static void fuse_pairs(struct block *b, const struct note *notes)
{
	for (u32 i = 0; i + 1 < b->n_ops; i++) {
		int cc = notes[i].fuse != FUSE_NONE ? jcc_condition(&b->ops[i + 1]) : -1;
		op_fn fn = cc >= 0 ? op_fused_lookup(notes[i].fuse, notes[i].si, notes[i].flat64,
						     (u32)cc)
				   : NULL;

		if (fn)
			replace(&b->ops[i], fn);
	}
}

/* ---- making ---- */

/* Kills of flags are certain writes; shifts by CL may write nothing, undefined flags may stay. */
static u16 killed_flags(const struct decode *d)
{
	const ZydisAccessedFlags *f = d->insn.cpu_flags;
	u32 k = (f->modified | f->set_0 | f->set_1) & RFLAGS_ARITH;

	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_AND:
	case ZYDIS_MNEMONIC_OR:
	case ZYDIS_MNEMONIC_XOR:
	case ZYDIS_MNEMONIC_TEST: return RFLAGS_ARITH;
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_CMP:
	case ZYDIS_MNEMONIC_ADC:
	case ZYDIS_MNEMONIC_SBB:
	case ZYDIS_MNEMONIC_NEG:
	case ZYDIS_MNEMONIC_INC:
	case ZYDIS_MNEMONIC_DEC: return (u16)k;
	default: return 0;
	}
}

static void take_note(struct note *n, const struct decode *d)
{
	*n = (struct note){.noflags = d->noflags,
			   .fuse = d->fuse,
			   .si = (u8)d->si,
			   .flat64 = d->flat64,
			   .may_leave = d->may_leave,
			   .read = (u16)d->flags_read,
			   .written = (u16)d->flags_written};
	if (d->flags_written)
		n->killed = killed_flags(d);
}

/* @b has @n_ops operations, made from @bytes. */
static void end_block(const struct vp *vp, struct block *b, u32 n_ops, u32 bytes)
{
	struct op *end = &b->ops[n_ops];

	*end = (struct op){.fn = op_block_end,
			   .rip_off = (u16)bytes,
			   .idx = (u8)n_ops,
			   .link = {&block_unlinked}};
	end->imm = (vp->mode & VP_MODE_SIZE) == VP_MODE_64 ? b->rip + bytes : (u32)(b->rip + bytes);
	b->n_ops = (u16)n_ops;
	b->n = n_ops;
	b->bytes = (u16)bytes;
	b->lines =
		mem_line_mask(b->gpa % PAGE_SIZE, MIN((u64)bytes, PAGE_SIZE - b->gpa % PAGE_SIZE));
}

static void close_block(struct vp *vp, struct block *b, u32 n_ops, u32 bytes, const u8 *code)
{
	end_block(vp, b, n_ops, bytes);
	b->code = (u8 *)&b->ops[n_ops + 1];
	nm_copy(b->code, code, bytes);
	code_cache_take(vp->code, b);
	vp->n_blocks_decoded++;
}

/* An instruction in two pages: alone in its block, checked against both frames. */
static void make_straddling(struct vp *vp, struct decode *d, struct block *b, const struct fetch *f,
			    u64 lin, u64 limit_bytes)
{
	u8 bytes[16];
	u32 first = copy_code(vp, f, bytes, 15), more;
	struct fetch g;

	if (limit_bytes <= first) /* the next byte is outside the code segment */
		fetch_gp(vp);
	lin += first;
	if ((vp->mode & VP_MODE_SIZE) != VP_MODE_64)
		lin = (u32)lin;
	else if (!is_canonical_va(vp, lin))
		fetch_gp(vp);
	g = fetch_page(vp, lin);
	if (g.hva) {
		b->frame2 = mem_frame(vp->mem, g.gpa);
		b->gen2 = mark_code(vp, b, &g, 15 - first);
		b->lines2 = mem_line_mask(0, 15 - first);
	}
	b->hva2 = g.hva;
	if (f->hva)
		b->gen = mark_code(vp, b, f, first);
	copy_code(vp, f, bytes, first);
	more = (u32)MIN((u64)(15 - first), limit_bytes - first);
	more = copy_code(vp, &g, bytes + first, more);
	if (decode_one(d, bytes, first + more, b->rip, 0, 0) == DECODE_MORE)
		fetch_gp(vp); /* the segment ends inside the instruction */
	if (!f->hva || !g.hva)
		b->hva = NULL;
}

/* Do the @want bytes at @at begin a line, so that the bytes before them did not mark it all? */
static bool is_new_line(const struct fetch *at, u32 want)
{
	u64 line = at->gpa / CODE_LINE_BYTES;

	return (at->gpa + want - 1) / CODE_LINE_BYTES != line ||
	       (at->gpa - 1) / CODE_LINE_BYTES != line;
}

/* Instructions until one ends the block; @limit_bytes: what the page and the segment hold. */
static void make_run(struct vp *vp, struct decode *d, struct block *b, const struct fetch *f,
		     u64 lin, u64 limit_bytes)
{
	struct note notes[BLOCK_MAX_OPS];
	u32 off = 0, n = 0, max = b->mode & VP_MODE_ONE || !f->hva ? 1 : BLOCK_MAX_OPS;
	u64 page_left = PAGE_SIZE - lin % PAGE_SIZE;
	u64 left = MIN(page_left, limit_bytes);
	u8 code[BLOCK_MAX_CODE] = {0};

	while (n < max && off < left) {
		u8 *bytes = code + off;
		struct fetch at = {.hva = f->hva ? f->hva + off : NULL, .gpa = f->gpa + off};
		u32 want = (u32)MIN(left - off, 15ull), avail;

		if (f->hva && (n == 0 || is_new_line(&at, want))) {
			u32 gen = mark_code(vp, b, &at, want);

			b->gen = n ? b->gen : gen; /* it moved on meanwhile: the block is dead */
		}
		avail = copy_code(vp, &at, bytes, want);
		d->op = &b->ops[n];
		if (decode_one(d, bytes, avail, b->rip + off, off, n) == DECODE_MORE) {
			if (n)
				break;
			make_straddling(vp, d, b, f, lin, limit_bytes);
		}
		take_note(&notes[n], d);
		off += b->ops[n++].len;
		if (d->ends || b->frame2 || off + 16 > BLOCK_MAX_CODE)
			break;
	}
	close_block(vp, b, n, off, code);
	drop_dead_flags(b, notes);
	if (!(b->mode & VP_MODE_BRANCHES))
		fuse_pairs(b, notes);
}

/* Bytes of the code segment from @rip on; 0 when @rip is outside. */
static u64 segment_bytes_left(const struct vp *vp, u64 rip)
{
	if (vp->mode & VP_MODE_CSFLAT)
		return (vp->mode & VP_MODE_SIZE) == VP_MODE_64 ? ~0ull : 0x100000000ull - rip;
	return rip > vp->cpu.seg[SEG_CS].limit ? 0 : (u64)vp->cpu.seg[SEG_CS].limit - rip + 1;
}

static struct block *make_block(struct vp *vp, u32 mode, u64 lin, const struct fetch *f)
{
	struct code_cache *c = vp->code;
	struct decode d = {.vp = vp, .mode = mode};
	struct block *b;
	u64 left = segment_bytes_left(vp, vp->cpu.rip);

	if (!left)
		fetch_gp(vp);
	vp_vec_park(vp);
	b = code_cache_room(vp);
	*b = (struct block){
		.rip = vp->cpu.rip, .hva = f->hva, .gpa = f->gpa, .mode = mode, .frame = &no_frame};
	if (f->hva)
		b->frame = mem_frame(vp->mem, f->gpa);
	make_run(vp, &d, b, f, lin, left);
	if (b->hva) {
		struct block **head = &c->bucket[block_hash(b->hva)];

		b->next = *head;
		*head = b;
	}
	if (vp->tier)
		vp->tier->block_made(vp, b);
	return b;
}

struct block *block_start(struct vp *vp, const struct block *b, u32 n)
{
	struct block *s = vp->code->start;

	ASSERT_DBG(n && n <= b->n_ops);
	*s = (struct block){.rip = b->rip,
			    .hva = b->hva,
			    .gpa = b->gpa,
			    .code = b->code,
			    .frame = b->frame,
			    .gen = b->gen,
			    .mode = b->mode | VP_MODE_START,
			    .fleeting = b->fleeting};
	nm_copy(s->ops, b->ops, n * sizeof(struct op));
	if (vp->tier)
		vp->tier->give_back(vp, b, s->ops, n);
	for (u32 i = 0; i < n; i++)
		if (s->ops[i].flags & OP_REPLACED)
			s->ops[i].fn = s->ops[i].slow;
	end_block(vp, s, n, s->ops[n - 1].rip_off + s->ops[n - 1].len);
	return s;
}

bool block_renew(const struct vp *vp, struct block *b)
{
	u32 now;

	if (b->fleeting || b->frame == &no_frame ||
	    !mem_code_is_intact(mem_map(vp->mem), b->frame, b->lines, b->gen, &now))
		return false;
	b->gen = now;
	return true;
}

/* A stale block whose bytes are what they were lives on under the new generation. The lines are
 * marked first: a write after the comparison makes it stale again. */
static bool revive(struct vp *vp, struct block *b)
{
	struct fetch f = {.hva = b->hva, .gpa = b->gpa};
	u32 gen;

	if (b->frame2 || !b->hva || !nm_equal(b->hva, b->code, b->bytes))
		return false;
	b->fleeting = false;
	gen = mark_code(vp, b, &f, b->bytes);
	if (!nm_equal(b->hva, b->code, b->bytes))
		return false;
	b->gen = gen;
	return true;
}

static bool is_fresh_or_renewed(const struct vp *vp, struct block *b)
{
	return likely(block_is_fresh(b)) || block_renew(vp, b);
}

/* Is the code in the second page of a straddling instruction what it was? */
static bool second_is_fresh(const struct vp *vp, struct block *b)
{
	u32 now;

	if (b->gen2 == __atomic_load_n((u32 *)&b->frame2->code_gen, __ATOMIC_RELAXED))
		return true;
	if (b->fleeting ||
	    !mem_code_is_intact(mem_map(vp->mem), b->frame2, b->lines2, b->gen2, &now))
		return false;
	b->gen2 = now;
	return true;
}

static u64 immediate(const u8 *p, u32 imm_bytes)
{
	u32 n = imm_bytes & ~OP_IMM_SIGNED, sh = 64 - 8 * n;
	u64 v = 0;

	for (u32 i = 0; i < n; i++)
		v |= (u64)p[i] << 8 * i;
	return imm_bytes & OP_IMM_SIGNED ? (u64)((s64)(v << sh) >> sh) : v;
}

/* Are immediates all that changed in @code, the bytes of @b? */
static bool only_immediates(const struct block *b, const u8 *code)
{
	for (u32 k = 0, i = 0; k < b->n_ops; k++) {
		const struct op *op = &b->ops[k];
		u32 fixed = op->rip_off + op->len - (op->imm_bytes & ~OP_IMM_SIGNED);

		for (; i < fixed; i++)
			if (code[i] != b->code[i])
				return false;
		i = op->rip_off + op->len;
	}
	return true;
}

/*
 * Code that changes the immediates of other code: the operations get the new ones, which costs a
 * tenth of making the block. Host code has them in it, so a translated block is made anew.
 */
static bool patch(struct vp *vp, struct block *b)
{
	struct fetch f = {.hva = b->hva, .gpa = b->gpa};
	u8 code[BLOCK_MAX_CODE];
	u32 gen;

	if (b->frame2 || !b->hva || b->hot)
		return false;
	b->fleeting = false;
	gen = mark_code(vp, b, &f, b->bytes);
	nm_copy(code, b->hva, b->bytes);
	if (!only_immediates(b, code))
		return false;
	for (u32 k = 0; k < b->n_ops; k++) {
		struct op *op = &b->ops[k];
		u32 n = op->imm_bytes & ~OP_IMM_SIGNED;

		if (n)
			op->imm = immediate(code + op->rip_off + op->len - n, op->imm_bytes);
	}
	nm_copy(b->code, code, b->bytes);
	b->gen = gen;
	if (b->heat)
		b->heat = PATCHED_HEAT;
	return true;
}

/* Is the second page of a straddling instruction still the one it was? */
static bool second_page_is_same(struct vp *vp, struct block *b, u64 lin)
{
	u64 next = ((lin & PAGE_MASK) + PAGE_SIZE);
	u8 *p;

	if ((vp->mode & VP_MODE_SIZE) != VP_MODE_64)
		next = (u32)next;
	p = softtlb_exec(vp, next);
	if (!p)
		p = fetch_page(vp, next).hva;
	return p == b->hva2 && second_is_fresh(vp, b);
}

/*
 * The blocks of one place in memory that are kept. Programs that are loaded somewhere else each
 * time they start (address-space randomization) leave some for every run, which nobody asks for
 * again.
 */
#define BLOCK_VARIANTS 4u
#define BLOCK_VERSIONS 4u /* of one block, by the bytes it was made from */

/* Find a block from @link on; of those in the same place and not wanted, the oldest is
 * forgotten. */
static struct block **find(struct block **link, const u8 *hva, u64 rip, u32 mode)
{
	struct block **last = NULL;
	u32 others = 0;

	for (struct block *b; (b = *link); link = &b->next) {
		if (b->hva != hva)
			continue;
		if (b->rip == rip && b->mode == mode)
			return link;
		last = link;
		others++;
	}
	if (others >= BLOCK_VARIANTS)
		*last = (*last)->next;
	return NULL;
}

/* Does @b hold what memory holds now? */
static bool is_usable(struct vp *vp, struct block *b, u64 lin)
{
	return !b->dead && (is_fresh_or_renewed(vp, b) || revive(vp, b)) &&
	       (!b->frame2 || second_page_is_same(vp, b, lin));
}

static void kill(struct vp *vp, struct block **link)
{
	(*link)->dead = true;
	*link = (*link)->next;
	vp->n_block_kills++;
}

/*
 * The block at *@link is stale. Code is often changed back and forth (trace points, jump labels),
 * so what was made from other bytes is kept, up to BLOCK_VERSIONS of them. Return: one that is
 * right now, or NULL.
 */
static struct block *other_version(struct vp *vp, struct block **link, u64 lin)
{
	struct block *stale = *link, **head = &vp->code->bucket[block_hash(stale->hva)], **at,
		     **last = link;
	u32 n = 1;

	if (stale->frame2 || stale->dead) {
		kill(vp, link);
		return NULL;
	}
	for (at = &stale->next; (at = find(at, stale->hva, stale->rip, stale->mode));
	     at = &(*at)->next) {
		struct block *b = *at;

		if (is_usable(vp, b, lin)) {
			*at = b->next;
			b->next = *head;
			*head = b;
			return b;
		}
		last = at;
		n++;
	}
	if (patch(vp, stale))
		return stale;
	if (n >= BLOCK_VERSIONS)
		kill(vp, last);
	return NULL;
}

struct block *block_get(struct vp *vp, u32 mode)
{
	u64 rip = vp->cpu.rip, lin = code_linear(vp, rip);
	struct fetch f = {.hva = softtlb_exec(vp, lin)};

	if (unlikely(!f.hva)) {
		vp->n_code_misses++;
		if ((mode & VP_MODE_SIZE) == VP_MODE_64 && !is_canonical_va(vp, lin))
			fetch_gp(vp);
		if (!(mode & VP_MODE_CSFLAT) && !segment_bytes_left(vp, rip))
			fetch_gp(vp);
		f = fetch_page(vp, lin);
	}
	if (likely(f.hva)) {
		struct block **link = find(&vp->code->bucket[block_hash(f.hva)], f.hva, rip, mode);
		struct block *b = link ? *link : NULL;

		if (b && unlikely(!is_usable(vp, b, lin)))
			b = other_version(vp, link, lin);
		if (b && likely(mode & VP_MODE_CSFLAT || b->bytes <= segment_bytes_left(vp, rip)))
			return b;
	}
	if (f.hva && !f.gpa) {
		f = fetch_page(vp, lin); /* the soft TLB does not know the physical address */
		ASSERT_DBG(f.hva);
	}
	return make_block(vp, mode, lin, &f);
}

void block_stop_if_stale(struct vp *vp)
{
	struct block *b = vp->cur_block;

	if (!b || b == &block_unlinked)
		return;
	if (likely(is_fresh_or_renewed(vp, b) && (!b->frame2 || second_is_fresh(vp, b))) ||
	    revive(vp, b))
		return;
	b->dead = true;
	/* Take it out of the cache: what follows the running operation is overwritten. */
	if (b->hva) {
		struct block **link = &vp->code->bucket[block_hash(b->hva)];

		while (*link && *link != b)
			link = &(*link)->next;
		if (*link)
			*link = b->next;
	}
	for (u32 i = 1; i <= b->n_ops; i++)
		b->ops[i].fn = op_leave;
	vp->stop_at = NULL;
}
