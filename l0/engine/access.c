/*
 * The slow side of guest memory accesses: what the soft TLB did not serve. Canonical and alignment
 * checks, accesses across pages, device memory, pages that hold code or page tables, and the faults
 * and exits of all of these.
 *
 * A store in two pages translates both for writing before it changes anything. Device accesses and
 * noted writes may have changed the code that runs: block_stop_if_stale() ends the block then. A
 * device may have raised an interrupt, which is due behind this very instruction.
 */
#include "l0/engine/access.h"

#include "l0/arch/vmx.h"
#include "l0/engine/exec.h"
#include "l0/engine/sys.h"
#include "l0/engine/vapic.h"

/* One translated piece of an access. */
struct piece {
	u8 *p; /* NULL: device memory at gpa */
	u64 gpa;
	bool note;  /* RAM whose writers must be noted */
	bool vapic; /* in the virtual-APIC page, in place of @gpa in the APIC-access page */
};

/* What kind of access it is beside read or write. */
struct how {
	u32 rights;   /* VTLB_USER, VTLB_AC, VTLB_SYSTEM */
	u32 tlb_mode; /* soft-TLB array that may keep the translation */
};

static struct how how_explicit(const struct vp *vp)
{
	if (vp->cpl == 3)
		return (struct how){VTLB_USER, SOFTTLB_USER};
	if (vp->cpu.rflags & RFLAGS_AC)
		return (struct how){VTLB_AC, SOFTTLB_SUPERVISOR_AC};
	return (struct how){0, SOFTTLB_SUPERVISOR};
}

static struct how how_system(void)
{
	return (struct how){VTLB_SYSTEM, SOFTTLB_SUPERVISOR};
}

/* Device callbacks read vp->insns as the clock; slow operations have completed it already. */
static void sync_insns(struct vp *vp, const struct op *op)
{
	if (op && op != vp->completed)
		vp->insns = vp->block_insns + op->idx;
}

/* Offsets in the virtualization-exception information area. */
enum { VE_REASON = 0, VE_BUSY = 4, VE_QUALIFICATION = 8, VE_GLA = 16, VE_GPA = 24, VE_EPTP = 32 };

/* An EPT violation that the guest itself is told. Source: SDM 3C "Virtualization Exceptions". */
static void raise_ve(struct vp *vp, const struct op *op, const struct vtlb_fault *f)
{
	u8 *info = vp->ctl.ve_info;

	if (likely(!info) || f->suppress_ve || vp->delivering || !(vp->cpu.cr0 & CR0_PE) ||
	    nm_load32(info + VE_BUSY))
		return;
	nm_store32(info + VE_REASON, EXIT_REASON_EPT_VIOLATION);
	nm_store32(info + VE_BUSY, ~0u);
	nm_store64(info + VE_QUALIFICATION, f->qualification);
	nm_store64(info + VE_GLA, f->gla);
	nm_store64(info + VE_GPA, f->gpa);
	nm_store16(info + VE_EPTP, vp->ctl.eptp_index);
	mem_note_write(vp->mem, vp->ctl.ve_info_gpa, VE_EPTP + 2);
	vp_fault(vp, op, VECTOR_VE, 0);
}

_Noreturn void access_failed(struct vp *vp, const struct op *op, enum vtlb_status st, u64 gva,
			     const struct vtlb_fault *f)
{
	switch (st) {
	case VTLB_PAGE_FAULT: vp_page_fault(vp, op, gva, f->error_code);
	case VTLB_EPT_VIOLATION:
		raise_ve(vp, op, f);
		vp->exit = (struct vmexit){.reason = EXIT_REASON_EPT_VIOLATION,
					   .qualification = f->qualification,
					   .gla = f->gla,
					   .gpa = f->gpa};
		break;
	case VTLB_PML_FULL: vp->exit = (struct vmexit){.reason = EXIT_REASON_PML_FULL}; break;
	default:
		vp->exit = (struct vmexit){
			.reason = EXIT_REASON_EPT_MISCONFIG, .gla = f->gla, .gpa = f->gpa};
	}
	vp_exit(vp, op);
}

/* @size: of the whole access, of which this is the part that begins at @gva. */
static struct piece translate(struct vp *vp, const struct op *op, u64 gva, bool write,
			      struct how how, u32 size)
{
	struct vtlb_xl xl;
	struct vtlb_fault f;
	enum vtlb_status st;

	if (unlikely(vp->compared))
		vp->tier->before_effect(vp, op);
	vp->n_softtlb_miss++;
	vp->cur = op;
	st = vtlb_translate(&vp->tlb, gva, (write ? VTLB_WRITE : VTLB_READ) | how.rights, &xl, &f);
	if (unlikely(st != VTLB_OK && st != VTLB_MMIO))
		access_failed(vp, op, st, gva, &f);
	if (unlikely(vapic_owns(vp, xl.gpa)))
		return (struct piece){.p = vapic_access(vp, op, xl.gpa, gva, write, size),
				      .gpa = xl.gpa,
				      .vapic = true};
	if (st == VTLB_MMIO)
		return (struct piece){.gpa = xl.gpa};
	softtlb_fill(vp, how.tlb_mode, gva, &xl);
	return (struct piece){.p = xl.hva, .gpa = xl.gpa, .note = !(xl.prot & VTLB_WRITE)};
}

static u64 load_bytes(const u8 *p, u32 size)
{
	u64 v = 0;

	switch (size) {
	case 1: return nm_load8(p);
	case 2: return nm_load16(p);
	case 4: return nm_load32(p);
	case 8: return nm_load64(p);
	}
	for (u32 i = 0; i < size; i++)
		v |= (u64)p[i] << 8 * i;
	return v;
}

static void store_bytes(u8 *p, u64 v, u32 size)
{
	switch (size) {
	case 1: nm_store8(p, (u8)v); break;
	case 2: nm_store16(p, (u16)v); break;
	case 4: nm_store32(p, (u32)v); break;
	case 8: nm_store64(p, v); break;
	default:
		for (u32 i = 0; i < size; i++)
			p[i] = (u8)(v >> 8 * i);
	}
}

static void device_done(struct vp *vp, const struct op *op)
{
	block_stop_if_stale(vp);
	if (unlikely(__atomic_load_n((u32 *)&vp->attn, __ATOMIC_RELAXED)))
		op_stop_behind(vp, op);
}

/* Device memory takes 1, 2, 4 or 8 bytes; other lengths (parts of a crossing access) go by bytes.
 */
static u64 piece_read(struct vp *vp, const struct op *op, const struct piece *pc, u32 size)
{
	u64 v = 0;

	if (likely(pc->p))
		return load_bytes(pc->p, size);
	sync_insns(vp, op);
	if (!(size & (size - 1)))
		v = mem_mmio_read(vp->mem, pc->gpa, size);
	else
		for (u32 i = 0; i < size; i++)
			v |= (mem_mmio_read(vp->mem, pc->gpa + i, 1) & 0xff) << 8 * i;
	device_done(vp, op);
	return v;
}

static void piece_write(struct vp *vp, const struct op *op, const struct piece *pc, u64 v, u32 size)
{
	if (likely(pc->p)) {
		store_bytes(pc->p, v, size);
		if (unlikely(pc->vapic)) {
			vapic_written(vp, pc->gpa, size);
			return;
		}
		if (!pc->note)
			return;
		mem_note_write(vp->mem, pc->gpa, size);
		vtlb_write_done(&vp->tlb);
		block_stop_if_stale(vp);
	} else {
		sync_insns(vp, op);
		if (!(size & (size - 1)))
			mem_mmio_write(vp->mem, pc->gpa, v, size);
		else
			for (u32 i = 0; i < size; i++)
				mem_mmio_write(vp->mem, pc->gpa + i, v >> 8 * i & 0xff, 1);
		device_done(vp, op);
	}
}

static void watch(struct vp *vp, u64 gva, u32 size, enum debug_access kind)
{
	if (unlikely(__atomic_load_n((u32 *)&vp->attn, __ATOMIC_RELAXED) & VP_ATTN_WATCH))
		debug_data_access(vp, gva, size, kind);
}

static u64 lin_wrap(const struct vp *vp, u64 lin)
{
	return (vp->mode & VP_MODE_SIZE) == VP_MODE_64 || vp->mode & VP_MODE_LMA ? lin : (u32)lin;
}

static void check_canonical(struct vp *vp, const struct op *op, u64 lin, u32 size, u32 seg)
{
	if (unlikely(!is_canonical_va(vp, lin) || !is_canonical_va(vp, lin + size - 1)))
		vp_fault(vp, op, seg == SEG_SS ? VECTOR_SS : VECTOR_GP, 0);
}

static u32 bytes_in_page(u64 lin)
{
	return (u32)(PAGE_SIZE - (lin & ~PAGE_MASK));
}

static u64 do_read(struct vp *vp, const struct op *op, u64 lin, u32 size, u32 seg, struct how how)
{
	u32 first = bytes_in_page(lin);
	struct piece a, b;
	u64 v;

	check_canonical(vp, op, lin, size, seg);
	a = translate(vp, op, lin, false, how, size);
	if (likely(first >= size)) {
		v = piece_read(vp, op, &a, size);
	} else {
		b = translate(vp, op, lin_wrap(vp, lin + first), false, how, size);
		v = piece_read(vp, op, &a, first);
		v |= piece_read(vp, op, &b, size - first) << 8 * first;
	}
	watch(vp, lin, size, DEBUG_READ);
	return v;
}

static void do_write(struct vp *vp, const struct op *op, u64 lin, u64 v, u32 size, u32 seg,
		     struct how how)
{
	u32 first = bytes_in_page(lin);
	struct piece a, b;

	check_canonical(vp, op, lin, size, seg);
	a = translate(vp, op, lin, true, how, size);
	if (likely(first >= size)) {
		piece_write(vp, op, &a, v, size);
	} else {
		b = translate(vp, op, lin_wrap(vp, lin + first), true, how, size);
		piece_write(vp, op, &a, v, first);
		piece_write(vp, op, &b, v >> 8 * first, size - first);
	}
	watch(vp, lin, size, DEBUG_WRITE);
}

u64 access_read(struct vp *vp, const struct op *op, u64 lin, u32 size, u32 seg)
{
	return do_read(vp, op, lin_wrap(vp, lin), size, seg, how_explicit(vp));
}

void access_write(struct vp *vp, const struct op *op, u64 lin, u64 value, u32 size, u32 seg)
{
	do_write(vp, op, lin_wrap(vp, lin), value, size, seg, how_explicit(vp));
}

/* ---- read-modify-write ---- */

/* Locked operations that the host cannot do as one access exclude each other by this. */
static u32 split_lock;

static void split_lock_take(void)
{
	while (__atomic_exchange_n(&split_lock, 1, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
}

static void rmw_copy_in(struct vp *vp, const struct op *op, const struct piece *a,
			const struct piece *b, u32 first, u32 size)
{
	if (size > 8) { /* 16-byte compare and exchange: aligned, one page */
		struct piece hi = *a;

		hi.gpa += 8;
		hi.p = a->p ? a->p + 8 : NULL;
		vp->rmw_value[0] = piece_read(vp, op, a, 8);
		vp->rmw_value[1] = piece_read(vp, op, &hi, 8);
		return;
	}
	if (first >= size) {
		vp->rmw_value[0] = piece_read(vp, op, a, size);
		return;
	}
	vp->rmw_value[0] = piece_read(vp, op, a, first);
	vp->rmw_value[0] |= piece_read(vp, op, b, size - first) << 8 * first;
}

u8 *access_rmw_begin(struct vp *vp, const struct op *op, u64 lin, u32 size, u32 seg, bool locked)
{
	struct how how = how_explicit(vp);
	u32 first;
	struct piece a, b = {0};

	lin = lin_wrap(vp, lin);
	first = bytes_in_page(lin);
	check_canonical(vp, op, lin, size, seg);
	a = translate(vp, op, lin, true, how, size);
	vp->rmw_lin = lin;
	vp->rmw_gpa = a.gpa;
	vp->rmw_size = (u8)size;
	if (first >= size && a.p && !a.vapic && !(locked && (lin & 63) + size > 64)) {
		bool watched = __atomic_load_n((u32 *)&vp->attn, __ATOMIC_RELAXED) & VP_ATTN_WATCH;

		vp->rmw_kind = a.note || watched ? RMW_NOTE : RMW_NONE;
		return a.p;
	}
	if (first < size)
		b = translate(vp, op, lin_wrap(vp, lin + first), true, how, size);
	if (locked)
		split_lock_take();
	rmw_copy_in(vp, op, &a, &b, first, size);
	vp->rmw_kind = locked ? RMW_COPY_LOCKED : RMW_COPY;
	return (u8 *)vp->rmw_value;
}

void access_rmw_end(struct vp *vp, const struct op *op)
{
	u32 kind = vp->rmw_kind, size = vp->rmw_size;

	vp->rmw_kind = RMW_NONE;
	if (kind == RMW_NOTE) {
		mem_note_write(vp->mem, vp->rmw_gpa, size);
		vtlb_write_done(&vp->tlb);
		block_stop_if_stale(vp);
		watch(vp, vp->rmw_lin, size, DEBUG_WRITE);
		return;
	}
	for (u32 i = 0; i * 8 < size; i++)
		access_write(vp, op, vp->rmw_lin + 8 * i, vp->rmw_value[i], MIN(size, 8u), op->seg);
	if (kind == RMW_COPY_LOCKED)
		__atomic_store_n(&split_lock, 0, __ATOMIC_RELEASE);
}

/* ---- segments ---- */

_Noreturn static void seg_fault(struct vp *vp, const struct op *op, u32 seg)
{
	vp_fault(vp, op, seg == SEG_SS ? VECTOR_SS : VECTOR_GP, 0);
}

static void seg_check(struct vp *vp, const struct op *op, u32 seg, u64 off, u32 size, bool write)
{
	const struct seg *s = &vp->cpu.seg[seg];
	u64 last = off + size - 1;

	if (!(vp->mode & (VP_MODE_REAL | VP_MODE_V86))) {
		if (unlikely(s->ar & SEG_AR_UNUSABLE))
			seg_fault(vp, op, seg);
		if (s->ar & 8) { /* code: never written, read only when readable */
			if (write || !(s->ar & 2))
				seg_fault(vp, op, seg);
		} else if (write && !(s->ar & 2)) {
			seg_fault(vp, op, seg);
		}
	}
	if (unlikely((s->ar & 0xc) == 4)) { /* expand-down data */
		u64 top = s->ar & SEG_AR_DB ? 0xffffffffull : 0xffffull;

		if (off <= s->limit || last > top)
			seg_fault(vp, op, seg);
	} else if (unlikely(last > s->limit)) {
		seg_fault(vp, op, seg);
	}
}

/* #AC comes after the page fault of the same access. */
static void alignment_check(struct vp *vp, const struct op *op, u64 lin, u32 size, bool write)
{
	if (likely(!(lin & (size - 1))) || (size & (size - 1)) || size > 8)
		return;
	translate(vp, op, lin, write, how_explicit(vp), size);
	if (bytes_in_page(lin) < size)
		translate(vp, op, lin_wrap(vp, lin + bytes_in_page(lin)), write, how_explicit(vp),
			  size);
	vp_fault(vp, op, VECTOR_AC, 0);
}

u64 seg_linear(struct vp *vp, const struct op *op, u32 seg, u64 off, u32 size, bool write)
{
	u64 lin;

	if ((vp->mode & VP_MODE_SIZE) == VP_MODE_64) {
		lin = off + vp->ea_base[seg];
		check_canonical(vp, op, lin, size, seg);
	} else {
		off = (u32)off;
		if (!(vp->mode & VP_MODE_FLAT) || seg == SEG_CS || seg >= SEG_FS)
			seg_check(vp, op, seg, off, size, write);
		lin = (u32)(off + vp->ea_base[seg]);
	}
	if (unlikely(vp->mode & VP_MODE_AC))
		alignment_check(vp, op, lin, size, write);
	return lin;
}

const u64 ea_masks[9] = {[2] = 0xffff, [4] = 0xffffffff, [8] = ~0ull};

u64 op_ea(struct vp *vp, const struct op *op)
{
	return ea_flat64(vp, op) & ea_masks[op->asize];
}

u64 op_linear(struct vp *vp, const struct op *op, u32 size, bool write)
{
	u64 ea = op_ea(vp, op);

	if (op->flags & OP_SEGCHECK)
		return seg_linear(vp, op, op->seg, ea, size, write);
	ea += vp->ea_base[op->seg];
	return (vp->mode & VP_MODE_SIZE) == VP_MODE_64 ? ea : (u32)ea;
}

u64 lin_read(struct vp *vp, const struct op *op, u64 gva, u32 size)
{
	u8 *p = softtlb_read(vp, gva, size);

	return likely(p) ? load_bytes(p, size) : access_read(vp, op, gva, size, SEG_DS);
}

void lin_write(struct vp *vp, const struct op *op, u64 gva, u64 value, u32 size)
{
	u8 *p = softtlb_write(vp, gva, size);

	if (likely(p))
		store_bytes(p, value, size);
	else
		access_write(vp, op, gva, value, size, SEG_DS);
}

static void do_probe(struct vp *vp, const struct op *op, u64 gva, u32 len, struct how how)
{
	if (likely(softtlb_slot(vp->tlb_soft.e[how.tlb_mode], gva)->tag_w ==
		   softtlb_tag(vp, gva, len)))
		return; /* one page, and writable */
	check_canonical(vp, op, gva, len, SEG_DS);
	translate(vp, op, gva, true, how, len);
	for (u64 p = (gva & PAGE_MASK) + PAGE_SIZE; p - gva < len; p += PAGE_SIZE)
		translate(vp, op, lin_wrap(vp, p), true, how, len);
}

void lin_probe_write(struct vp *vp, const struct op *op, u64 gva, u32 len)
{
	do_probe(vp, op, lin_wrap(vp, gva), len, how_explicit(vp));
}

u64 seg_read(struct vp *vp, const struct op *op, u32 seg, u64 off, u32 size)
{
	u64 lin = seg_linear(vp, op, seg, off, size, false);
	u8 *p = softtlb_read(vp, lin, size);

	return likely(p) ? load_bytes(p, size) : access_read(vp, op, lin, size, seg);
}

void seg_write(struct vp *vp, const struct op *op, u32 seg, u64 off, u64 value, u32 size)
{
	u64 lin = seg_linear(vp, op, seg, off, size, true);
	u8 *p = softtlb_write(vp, lin, size);

	if (likely(p))
		store_bytes(p, value, size);
	else
		access_write(vp, op, lin, value, size, seg);
}

u64 seg_read_rmw(struct vp *vp, const struct op *op, u32 seg, u64 off, u32 size)
{
	u64 lin = seg_linear(vp, op, seg, off, size, true);
	u8 *p = softtlb_write(vp, lin, size);

	if (likely(p))
		return load_bytes(p, size);
	do_probe(vp, op, lin, size, how_explicit(vp));
	return access_read(vp, op, lin, size, seg);
}

/* ---- bulk ---- */

void seg_read_bytes(struct vp *vp, const struct op *op, u32 seg, u64 off, void *buf, u32 len)
{
	u64 lin = seg_linear(vp, op, seg, off, len, false);
	struct how how = how_explicit(vp);
	u8 *d = buf;

	check_canonical(vp, op, lin, len, seg);
	while (len) {
		u32 part = MIN(len, bytes_in_page(lin));
		u8 *p = softtlb_read(vp, lin, part);

		if (likely(p)) {
			nm_copy(d, p, part);
		} else {
			struct piece pc = translate(vp, op, lin, false, how, len);

			for (u32 i = 0; i < part; pc.gpa += 8, i += 8) {
				u32 n = MIN(part - i, 8u);
				u64 v = piece_read(vp, op, &pc, n);

				store_bytes(d + i, v, n);
				pc.p = pc.p ? pc.p + 8 : NULL;
			}
		}
		watch(vp, lin, part, DEBUG_READ);
		d += part;
		len -= part;
		lin = lin_wrap(vp, lin + part);
	}
}

void seg_write_bytes(struct vp *vp, const struct op *op, u32 seg, u64 off, const void *buf, u32 len)
{
	u64 lin = seg_linear(vp, op, seg, off, len, true);
	struct how how = how_explicit(vp);
	const u8 *s = buf;

	check_canonical(vp, op, lin, len, seg);
	if (bytes_in_page(lin) < len)
		do_probe(vp, op, lin, len, how);
	while (len) {
		u32 part = MIN(len, bytes_in_page(lin));
		u8 *p = softtlb_write(vp, lin, part);

		if (likely(p)) {
			nm_copy(p, s, part);
		} else {
			struct piece pc = translate(vp, op, lin, true, how, len);

			for (u32 i = 0; i < part; pc.gpa += 8, i += 8) {
				u32 n = MIN(part - i, 8u);

				piece_write(vp, op, &pc, load_bytes(s + i, n), n);
				pc.p = pc.p ? pc.p + 8 : NULL;
			}
		}
		watch(vp, lin, part, DEBUG_WRITE);
		s += part;
		len -= part;
		lin = lin_wrap(vp, lin + part);
	}
}

/* ---- implicit supervisor accesses ---- */

u64 sys_read(struct vp *vp, const struct op *op, u64 gva, u32 size)
{
	const struct softtlb_entry *e = softtlb_slot(vp->tlb_soft.e[SOFTTLB_SUPERVISOR], gva);

	if (likely(e->tag_r == softtlb_tag(vp, gva, size)))
		return load_bytes((u8 *)(gva + e->addend), size);
	return do_read(vp, op, lin_wrap(vp, gva), size, SEG_DS, how_system());
}

void sys_write(struct vp *vp, const struct op *op, u64 gva, u64 value, u32 size)
{
	const struct softtlb_entry *e = softtlb_slot(vp->tlb_soft.e[SOFTTLB_SUPERVISOR], gva);

	if (likely(e->tag_w == softtlb_tag(vp, gva, size)))
		store_bytes((u8 *)(gva + e->addend), value, size);
	else
		do_write(vp, op, lin_wrap(vp, gva), value, size, SEG_DS, how_system());
}

void sys_probe_write(struct vp *vp, const struct op *op, u64 gva, u32 len)
{
	do_probe(vp, op, lin_wrap(vp, gva), len, how_system());
}

/* ---- flags ---- */

u64 vp_rflags(const struct vp *vp)
{
	return rflags_with_arith(vp->cpu.rflags, vp->arith);
}

void vp_set_rflags(struct vp *vp, u64 rflags)
{
	vp->cpu.rflags = rflags | RFLAGS_FIXED;
	if (unlikely(vp->ev.held) && rflags & RFLAGS_IF)
		event_release(vp);
	vp->arith = arith_from_rflags(rflags);
}

/* ---- entries that keep registers, see SLOW_CALL4 in exec.h ---- */

u64 slow_read(struct vp *vp, const struct op *op, u64 lin, u64 size_seg)
{
	return access_read(vp, op, lin, (u8)size_seg, (u32)(size_seg >> 8));
}

u64 slow_write(struct vp *vp, const struct op *op, u64 lin, u64 size_seg, u64 value)
{
	access_write(vp, op, lin, value, (u8)size_seg, (u32)(size_seg >> 8));
	return 0;
}

u64 slow_rmw_begin(struct vp *vp, const struct op *op, u64 lin, u64 size_seg)
{
	return (u64)access_rmw_begin(vp, op, lin, (u8)size_seg, (u32)(size_seg >> 8), false);
}

u64 slow_rmw_begin_locked(struct vp *vp, const struct op *op, u64 lin, u64 size_seg)
{
	return (u64)access_rmw_begin(vp, op, lin, (u8)size_seg, (u32)(size_seg >> 8), true);
}

u64 slow_rmw_end(struct vp *vp, const struct op *op, u64 unused1, u64 unused2)
{
	access_rmw_end(vp, op);
	return 0;
}

u64 slow_linear(struct vp *vp, const struct op *op, u64 size, u64 write)
{
	return op_linear(vp, op, (u32)size, write);
}

#if ENGINE_SIBLING_CALLS
#define THUNK(func) \
	__asm__(".text\n.type " #func "_keep, @function\n.globl " #func "_keep\n" #func "_keep:\n" \
		"push %rbp\n mov %rsp, %rbp\n push %rcx\n push %rdx\n push %rsi\n push %rdi\n" \
		"push %r8\n push %r9\n push %r10\n push %r11\n and $-16, %rsp\n call " #func "\n" \
		"lea -64(%rbp), %rsp\n pop %r11\n pop %r10\n pop %r9\n pop %r8\n" \
		"pop %rdi\n pop %rsi\n pop %rdx\n pop %rcx\n pop %rbp\n ret\n" \
		".size " #func "_keep, . - " #func "_keep\n")
THUNK(slow_read);
THUNK(slow_write);
THUNK(slow_rmw_begin);
THUNK(slow_rmw_begin_locked);
THUNK(slow_rmw_end);
THUNK(slow_linear);
#endif
