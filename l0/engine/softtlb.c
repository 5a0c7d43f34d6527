#include "l0/engine/softtlb.h"

#include "l0/base/mem_ops.h"

void softtlb_fill(struct vp *vp, u32 mode, u64 gva, const struct vtlb_xl *xl)
{
	struct softtlb_entry *e = softtlb_slot(vp->tlb_soft.e[mode], gva);
	u64 tag = (gva & PAGE_MASK) | vp->tlb_soft.gen;
	u64 addend = (u64)xl->hva - gva;
	u32 prot = xl->prot;

	if (unlikely(__atomic_load_n((u32 *)&vp->attn, __ATOMIC_RELAXED) & VP_ATTN_WATCH))
		prot &= VTLB_EXEC;
	/* Rights come from this translation alone: an older one may have had more. */
	e->tag_r = prot & VTLB_READ ? tag : 0;
	e->tag_w = prot & VTLB_WRITE ? tag : 0;
	e->tag_x = prot & VTLB_EXEC ? tag : 0;
	e->addend = addend;
}

void softtlb_flush(struct vp *vp)
{
	if (likely(++vp->tlb_soft.gen < PAGE_SIZE))
		return;
	nm_zero(vp->tlb_soft.e, sizeof(vp->tlb_soft.e));
	vp->tlb_soft.gen = 1;
}

void softtlb_flush_page(struct vp *vp, u64 gva)
{
	for (u32 m = 0; m < SOFTTLB_MODES; m++) {
		struct softtlb_entry *e = softtlb_slot(vp->tlb_soft.e[m], gva);

		e->tag_r = 0;
		e->tag_w = 0;
		e->tag_x = 0;
	}
}

void softtlb_drop_writes_cb(void *owner, const u8 *hva)
{
	struct vp *vp = owner;
	struct softtlb_entry *e = vp->tlb_soft.e[0];

	for (u32 i = 0; i < SOFTTLB_MODES * SOFTTLB_ENTRIES; i++)
		if (e[i].tag_w && ((e[i].tag_w + e[i].addend) & PAGE_MASK) == ((u64)hva & PAGE_MASK))
			e[i].tag_w = 0;
}

void softtlb_flush_cb(void *vp)
{
	softtlb_flush(vp);
}

void softtlb_flush_page_cb(void *vp, u64 gva)
{
	softtlb_flush_page(vp, gva);
}
