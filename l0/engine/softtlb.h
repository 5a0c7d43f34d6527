/*
 * The soft TLB of one virtual processor: guest linear page → host address, arrays by use and
 * privilege (struct softtlb in vp.h). It holds no authority: everything in it came from
 * vtlb_translate() and vanishes when the virtual TLB says so.
 *
 * A hit is one compare: the slot is chosen by the address of the first byte, the tag is compared
 * with the page of the last byte | generation, so an access that crosses into the next page cannot
 * match (neighbouring pages never share a slot). A flush increments the generation.
 * Cost: about 6 host instructions a hit; a flush is O(1), a real clear every 4095 flushes; to
 * forget a page some ns, and some more for each entry that is a piece of a larger page when it may
 * be one.
 */
#ifndef L0_ENGINE_SOFTTLB_H
#define L0_ENGINE_SOFTTLB_H

#include "l0/engine/vp.h"

/* Data by privilege, AC: with SMAP overridden by RFLAGS.AC; code by privilege, so that it is not
 * driven out by data. */
enum softtlb_mode {
	SOFTTLB_SUPERVISOR,
	SOFTTLB_USER,
	SOFTTLB_SUPERVISOR_AC,
	SOFTTLB_EXEC,
	SOFTTLB_EXEC_USER
};

/* Multiplicative hash: strides of any power of two spread, and page p + 1 is never in p's slot
 * because the top bits of the factor are neither all 0 nor all 1. */
#define SOFTTLB_HASH 0x9e3779b1u

static __always_inline struct softtlb_entry *softtlb_slot(struct softtlb_entry *e, u64 gva)
{
	return e + ((u32)(gva >> PAGE_SHIFT) * SOFTTLB_HASH >> (32 - SOFTTLB_BITS));
}

static __always_inline u64 softtlb_tag(const struct vp *vp, u64 gva, u32 size)
{
	return ((gva + size - 1) & PAGE_MASK) | vp->tlb_soft.gen;
}

/* Host address for a data access with the VP's current rights, or NULL: take the slow path. */
static __always_inline u8 *softtlb_read(struct vp *vp, u64 gva, u32 size)
{
	const struct softtlb_entry *e = softtlb_slot(vp->tlb_e, gva);

	return likely(e->tag_r == softtlb_tag(vp, gva, size)) ? (u8 *)(gva + e->addend) : NULL;
}

static __always_inline u8 *softtlb_write(struct vp *vp, u64 gva, u32 size)
{
	const struct softtlb_entry *e = softtlb_slot(vp->tlb_e, gva);

	return likely(e->tag_w == softtlb_tag(vp, gva, size)) ? (u8 *)(gva + e->addend) : NULL;
}

/* Host address of the instruction byte at @gva (linear), or NULL. */
static __always_inline u8 *softtlb_exec(struct vp *vp, u64 gva)
{
	const struct softtlb_entry *e =
		softtlb_slot(vp->tlb_soft.e[vp->cpl == 3 ? SOFTTLB_EXEC_USER : SOFTTLB_EXEC], gva);

	return likely(e->tag_x == softtlb_tag(vp, gva, 1)) ? (u8 *)(gva + e->addend) : NULL;
}

/* vp->site_key after @vp's generation or mode changed. */
void softtlb_page_key(struct vp *vp);

/* Enter what vtlb_translate() found for the page of @gva into array @mode, rights of its use. Under
 * armed debug registers data accesses get no tag, so that every access is looked at. */
void softtlb_fill(struct vp *vp, u32 mode, u64 gva, const struct vtlb_xl *xl);

/* Linear addresses that one addend is good for. */
struct softtlb_range {
	u64 first, bytes;
};

/**
 * softtlb_remember - how far translated code may use the entry of @gva, which was a hit
 * @bytes: from @gva on, that one range had better hold
 * @out: what it may remember until vp->site_key changes; at least the page
 * Return: the addend. vp->site_key may have changed: the caller looks after the call.
 */
u64 softtlb_remember(struct vp *vp, u64 gva, u64 bytes, bool write, struct softtlb_range *out);

/* Forget everything; forget the page at @gva, whatever its size (all privileges, all
 * generations). */
void softtlb_flush(struct vp *vp);
void softtlb_flush_page(struct vp *vp, u64 gva);
/* Forget that the frame at host page @hva may be written: it holds code now. */
void softtlb_drop_writes_cb(void *vp, const u8 *hva);

/* The same with the signatures of struct vtlb_vp's callbacks. */
void softtlb_flush_cb(void *vp);
void softtlb_flush_page_cb(void *vp, u64 gva);
/* Contents are told apart by generation: several stay side by side, one is current. */
u64 softtlb_mark_cb(void *vp);
bool softtlb_return_cb(void *vp, u64 mark);

#endif
