/*
 * MOVS STOS LODS CMPS SCAS. With a REP prefix the operation ends its block, works by runs that stay
 * in one page of source and destination, and can stop after every 64 bytes: then RIP is at itself
 * and the registers say what is left. It counts one instruction for each started 64 bytes of what
 * it did from its own start; vp->block_insns is kept so that a fault in between sees that count.
 *
 * A fault of REP CMPS or SCAS restores the flags from before the instruction (SDM 2 "REP"): they
 * are put into vp->arith only where it ends, and after each iteration of a single-stepped one. So
 * where it stops on the way cannot be seen.
 *
 * One that overwrites itself is fetched anew at the next of those points, whatever tier runs it and
 * whether or not anything else stops it there.
 */
#include "l0/engine/decode.h"

enum { STR_MOVS, STR_STOS, STR_LODS, STR_CMPS, STR_SCAS };

#define COUNT_BYTES 64u
#define ATTN_ONE_ITERATION (VP_ATTN_STEP | VP_ATTN_MTF | VP_ATTN_WATCH)

static u64 reg_by_asize(const struct vp *vp, const struct op *op, u32 r)
{
	return vp->cpu.gpr[r] & size_mask(op->asize);
}

static void advance(struct vp *vp, const struct op *op, u32 r, u64 bytes)
{
	u64 v = vp->cpu.gpr[r];

	reg_set(vp, r, vp->cpu.rflags & RFLAGS_DF ? v - bytes : v + bytes, op->asize);
}

static void compare(struct vp *vp, u64 a, u64 b, u32 size)
{
	u32 ax, sh = 64 - 8 * size;

	/* At the top of the register the flags come out right but for AF and PF: those by the low
	 * byte. */
	__asm__ volatile("cmpq %[b], %[a]" FLAGS_OUT
			 : "=&a"(ax)
			 : [a] "r"(a << sh), [b] "r"(b << sh)
			 : "cc");
	ax &= ~(ARITH_AF | ARITH_PF);
	if ((a & 0xf) < (b & 0xf))
		ax |= ARITH_AF;
	if (!__builtin_parity((u32)((a - b) & 0xff)))
		ax |= ARITH_PF;
	vp->arith = (u16)ax;
}

/* One iteration; faults before anything changes. */
static void iterate(struct vp *vp, const struct op *op)
{
	u64 si = reg_by_asize(vp, op, RSI), di = reg_by_asize(vp, op, RDI);
	u32 size = op->size;

	switch (op->aux) {
	case STR_MOVS:
		seg_write(vp, op, SEG_ES, di, seg_read(vp, op, op->seg, si, size), size);
		break;
	case STR_STOS: seg_write(vp, op, SEG_ES, di, vp->cpu.gpr[RAX], size); break;
	case STR_LODS: reg_set(vp, RAX, seg_read(vp, op, op->seg, si, size), size); break;
	case STR_CMPS: { /* where both fault, processors report the second operand's */
		u64 b = seg_read(vp, op, SEG_ES, di, size);

		compare(vp, seg_read(vp, op, op->seg, si, size), b, size);
		break;
	}
	case STR_SCAS:
		compare(vp, vp->cpu.gpr[RAX], seg_read(vp, op, SEG_ES, di, size), size);
		break;
	}
	if (op->aux != STR_STOS && op->aux != STR_SCAS)
		advance(vp, op, RSI, size);
	if (op->aux != STR_LODS)
		advance(vp, op, RDI, size);
}

/* ---- runs within a page: registers are advanced by the caller ---- */

static void host_movs(u8 *d, const u8 *s, u64 n, u32 size)
{
	u64 bytes = n * size;

	if (d + bytes <= s || s + bytes <= d) {
		nm_copy(d, s, bytes);
		return;
	}
	switch (size) { /* overlapping: element by element, as the guest asked */
	case 1: __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory"); break;
	case 2: __asm__ volatile("rep movsw" : "+D"(d), "+S"(s), "+c"(n) : : "memory"); break;
	case 4: __asm__ volatile("rep movsl" : "+D"(d), "+S"(s), "+c"(n) : : "memory"); break;
	default: __asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	}
}

static void host_stos(u8 *d, u64 v, u64 n, u32 size)
{
	switch (size) {
	case 1: __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(v) : "memory"); break;
	case 2: __asm__ volatile("rep stosw" : "+D"(d), "+c"(n) : "a"(v) : "memory"); break;
	case 4: __asm__ volatile("rep stosl" : "+D"(d), "+c"(n) : "a"(v) : "memory"); break;
	default: __asm__ volatile("rep stosq" : "+D"(d), "+c"(n) : "a"(v) : "memory");
	}
}

static u64 element(const u8 *p, u32 size)
{
	return size == 1   ? nm_load8(p)
	       : size == 2 ? nm_load16(p)
	       : size == 4 ? nm_load32(p)
			   : nm_load64(p);
}

/* Elements until one ends the repetition, at most @n; the last pair compared goes to the flags. */
static u64 host_compare(struct vp *vp, const struct op *op, const u8 *s, const u8 *d, u64 n)
{
	bool stop_equal = op->flags & OP_REPNE;
	u64 a = vp->cpu.gpr[RAX] & size_mask(op->size), b = 0, i = 0;

	while (i < n) {
		if (s)
			a = element(s + i * op->size, op->size);
		b = element(d + i * op->size, op->size);
		i++;
		if ((a == b) == stop_equal)
			break;
	}
	compare(vp, a, b, op->size);
	return i;
}

/* Elements of @size from linear address @lin, offset @off, to the end of page and address space. */
static u64 room(const struct op *op, u64 lin, u64 off)
{
	u64 bytes = PAGE_SIZE - (lin & ~PAGE_MASK), wrap = size_mask(op->asize) - off;

	return MIN(bytes, wrap) / op->size;
}

static bool is_plain_segment(const struct vp *vp, u32 seg)
{
	return (vp->mode & VP_MODE_SIZE) == VP_MODE_64 ||
	       ((vp->mode & VP_MODE_FLAT) && seg < SEG_FS && seg != SEG_CS);
}

/* Up to @max elements at once where the soft TLB has the pages. Return: how many were done, 0 when
 * this has to go by iterate(). */
static u64 fast_run(struct vp *vp, const struct op *op, u64 max)
{
	bool uses_si = op->aux != STR_STOS && op->aux != STR_SCAS;
	u64 si = reg_by_asize(vp, op, RSI), di = reg_by_asize(vp, op, RDI);
	u64 s = si + vp->ea_base[op->seg], d = di + vp->ea_base[SEG_ES], n = max;
	u8 *ps = NULL, *pd;

	if ((vp->cpu.rflags & RFLAGS_DF) || op->aux == STR_LODS || vp->mode & VP_MODE_AC ||
	    !is_plain_segment(vp, SEG_ES) || !is_plain_segment(vp, op->seg))
		return 0;
	pd = op->aux == STR_SCAS || op->aux == STR_CMPS ? softtlb_read(vp, d, op->size)
							: softtlb_write(vp, d, op->size);
	n = MIN(n, room(op, d, di));
	if (uses_si) {
		ps = softtlb_read(vp, s, op->size);
		n = MIN(n, room(op, s, si));
	}
	if (!pd || (uses_si && !ps) || !n)
		return 0;
	switch (op->aux) {
	case STR_MOVS: host_movs(pd, ps, n, op->size); break;
	case STR_STOS: host_stos(pd, vp->cpu.gpr[RAX], n, op->size); break;
	default: n = host_compare(vp, op, ps, pd, n);
	}
	if (uses_si)
		advance(vp, op, RSI, n * op->size);
	advance(vp, op, RDI, n * op->size);
	return n;
}

static u64 units(u64 bytes)
{
	return (bytes + COUNT_BYTES - 1) / COUNT_BYTES;
}

/*
 * Do as much as may be done now. Return: true when the instruction is finished. vp->block_insns is
 * advanced by what was done.
 */
static bool repeat(struct vp *vp, const struct op *op)
{
	u64 base = vp->block_insns,
	    budget = MIN(vp->until - (base + op->idx), 1ull << 40) * COUNT_BYTES;
	u64 left = reg_by_asize(vp, op, RCX), done = 0;
	bool compares = op->aux >= STR_CMPS, stop_equal = op->flags & OP_REPNE;
	u32 before = vp->arith, flags = before;
	bool finished = !left;

	while (!finished) {
		u32 attn = __atomic_load_n((u32 *)&vp->attn, __ATOMIC_RELAXED);
		bool stop = attn || !block_is_current(vp->cur_block);
		u64 bytes = stop ? COUNT_BYTES - done % COUNT_BYTES : budget - done, n = 0;

		if (attn & ATTN_ONE_ITERATION)
			bytes = op->size;
		else
			n = fast_run(vp, op, MIN(left, bytes / op->size));
		if (!n) {
			iterate(vp, op);
			n = 1;
		}
		left -= n;
		done += n * op->size;
		reg_set(vp, RCX, left, op->asize);
		vp->block_insns = base + units(done);
		flags = vp->arith;
		vp->arith = before;
		finished = !left || (compares && !!(flags & ARITH_ZF) == stop_equal);
		if (!finished && ((attn & ATTN_ONE_ITERATION) ||
				  (done % COUNT_BYTES == 0 &&
				   (attn || done >= budget || !block_is_current(vp->cur_block)))))
			break;
	}
	if (finished || (__atomic_load_n((u32 *)&vp->attn, __ATOMIC_RELAXED) & ATTN_ONE_ITERATION))
		vp->arith = flags;
	return finished;
}

static void rep_string(struct vp *vp, const struct op *op)
{
	u64 base = vp->block_insns;

	if (unlikely(vp->compared))
		vp->tier->before_effect(vp, op);
	if (!repeat(vp, op)) {
		u64 done = vp->block_insns;

		op_complete_state(vp, op);
		vp->block_insns = done + op->idx;
		LEAVE(vp);
	}
	/* The operation itself counts one already. */
	if (vp->block_insns > base)
		vp->block_insns--;
	NEXT(vp, op);
}

static void single_string(struct vp *vp, const struct op *op)
{
	iterate(vp, op);
	NEXT(vp, op);
}

static bool pick(struct decode *d, u32 what, u32 size)
{
	struct op *op = d->op;
	bool rep = op->flags & (OP_REP | OP_REPNE);

	if (d->insn.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return false; /* the vector instructions of the same name */
	op->aux = (u16)what;
	op->size = (u8)size;
	op->fn = rep ? rep_string : single_string;
	d->ends = rep;
	d->may_leave = true;
	return true;
}

bool op_string_pick(struct decode *d)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOVSB: return pick(d, STR_MOVS, 1);
	case ZYDIS_MNEMONIC_MOVSW: return pick(d, STR_MOVS, 2);
	case ZYDIS_MNEMONIC_MOVSD: return pick(d, STR_MOVS, 4);
	case ZYDIS_MNEMONIC_MOVSQ: return pick(d, STR_MOVS, 8);
	case ZYDIS_MNEMONIC_STOSB: return pick(d, STR_STOS, 1);
	case ZYDIS_MNEMONIC_STOSW: return pick(d, STR_STOS, 2);
	case ZYDIS_MNEMONIC_STOSD: return pick(d, STR_STOS, 4);
	case ZYDIS_MNEMONIC_STOSQ: return pick(d, STR_STOS, 8);
	case ZYDIS_MNEMONIC_LODSB: return pick(d, STR_LODS, 1);
	case ZYDIS_MNEMONIC_LODSW: return pick(d, STR_LODS, 2);
	case ZYDIS_MNEMONIC_LODSD: return pick(d, STR_LODS, 4);
	case ZYDIS_MNEMONIC_LODSQ: return pick(d, STR_LODS, 8);
	case ZYDIS_MNEMONIC_CMPSB: return pick(d, STR_CMPS, 1);
	case ZYDIS_MNEMONIC_CMPSW: return pick(d, STR_CMPS, 2);
	case ZYDIS_MNEMONIC_CMPSD: return pick(d, STR_CMPS, 4);
	case ZYDIS_MNEMONIC_CMPSQ: return pick(d, STR_CMPS, 8);
	case ZYDIS_MNEMONIC_SCASB: return pick(d, STR_SCAS, 1);
	case ZYDIS_MNEMONIC_SCASW: return pick(d, STR_SCAS, 2);
	case ZYDIS_MNEMONIC_SCASD: return pick(d, STR_SCAS, 4);
	case ZYDIS_MNEMONIC_SCASQ: return pick(d, STR_SCAS, 8);
	default: return false;
	}
}
