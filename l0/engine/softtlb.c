#include "l0/engine/softtlb.h"

#include "l0/base/mem_ops.h"

/* The list makes taking away the write tags of one frame cheap: code that modifies itself. */
static void note_writable(struct softtlb *t, u32 slot)
{
	if (t->writable_count < SOFTTLB_WRITABLE)
		t->writable[t->writable_count] = (u16)slot;
	if (t->writable_count <= SOFTTLB_WRITABLE)
		t->writable_count++;
}

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
	if (prot & VTLB_WRITE) {
		note_writable(&vp->tlb_soft, (u32)(e - vp->tlb_soft.e[0]));
		if (unlikely(vp->tier) && vp->tier->write_filled)
			vp->tier->write_filled(vp, xl->hva);
	}
}

/* ---- keys of what translated code remembers ---- */

#define PAGE_KEY_AC 32u /* SMAP is overridden; lower bits are those of the alignment */
#define PAGE_KEY_STEP 64u

static void forget_keys(struct vp *vp)
{
	vp->page_floor = vp->page_last;
	nm_zero(vp->page_linear, sizeof(vp->page_linear));
	nm_zero(vp->page_host, sizeof(vp->page_host));
}

void softtlb_page_key(struct vp *vp)
{
	u16 *key = &vp->page_gen_key[vp->tlb_soft.gen];

	if (unlikely(!vp->tier))
		return;
	if (*key <= vp->page_floor) {
		if (vp->page_last + PAGE_KEY_STEP >= PAGE_SIZE) {
			vp->tier->forget_pages(vp);
			nm_zero(vp->page_gen_key, sizeof(vp->page_gen_key));
			vp->page_last = 0;
			forget_keys(vp);
		}
		vp->page_last += PAGE_KEY_STEP;
		*key = (u16)vp->page_last;
	}
	vp->page_key = *key | (vp->mmu_mode == SOFTTLB_SUPERVISOR_AC ? PAGE_KEY_AC : 0);
}

static bool is_marked(const u64 *marks, u64 addr)
{
	return marks[addr >> (PAGE_SHIFT + 6) & 15] >> (addr >> PAGE_SHIFT & 63) & 1;
}

/* A generation that nothing is tagged with; what others tagged stays, to come back to. */
static void begin_gen(struct vp *vp)
{
	struct softtlb *t = &vp->tlb_soft;

	if (unlikely(++t->last_gen >= PAGE_SIZE)) {
		nm_zero(t->e, sizeof(t->e));
		t->writable_count = 0;
		t->last_gen = 1;
		t->epoch++;
	}
	t->gen = t->last_gen;
	vp->page_gen_key[t->gen] = 0;
	vp_jump_key_update(vp);
	softtlb_page_key(vp);
}

void softtlb_flush(struct vp *vp)
{
	vp->tlb_soft.epoch++;
	vp->tlb_soft.writable_count = 0; /* older generations do not come back */
	begin_gen(vp);
}

void softtlb_flush_page(struct vp *vp, u64 gva)
{
	for (u32 m = 0; m < SOFTTLB_MODES; m++) {
		struct softtlb_entry *e = softtlb_slot(vp->tlb_soft.e[m], gva);

		e->tag_r = 0;
		e->tag_w = 0;
		e->tag_x = 0;
	}
	if (unlikely(is_marked(vp->page_linear, gva))) {
		forget_keys(vp);
		softtlb_page_key(vp);
	}
	if (unlikely(is_marked(vp->jump_pages, gva))) {
		nm_zero(vp->jump_pages, sizeof(vp->jump_pages));
		vp->tlb_soft.pages++;
		vp_jump_key_update(vp);
	}
}

void softtlb_drop_writes_cb(void *owner, const u8 *hva)
{
	struct softtlb *t = &((struct vp *)owner)->tlb_soft;
	struct softtlb_entry *e = t->e[0];
	u32 n = t->writable_count <= SOFTTLB_WRITABLE ? t->writable_count
						      : SOFTTLB_MODES * SOFTTLB_ENTRIES;
	bool listed = n == t->writable_count;
	struct vp *vp = owner;

	if (is_marked(vp->page_host, (u64)hva)) {
		forget_keys(vp);
		softtlb_page_key(vp);
	}
	t->writable_count = 0;
	for (u32 i = 0; i < n; i++) {
		u32 slot = listed ? t->writable[i] : i;

		if (!e[slot].tag_w)
			continue;
		if (((e[slot].tag_w + e[slot].addend) & PAGE_MASK) == ((u64)hva & PAGE_MASK))
			e[slot].tag_w = 0;
		else
			note_writable(t, slot);
	}
}

void softtlb_flush_cb(void *vp)
{
	begin_gen(vp);
}

u64 softtlb_mark_cb(void *vp)
{
	const struct softtlb *t = &((struct vp *)vp)->tlb_soft;

	return t->epoch << PAGE_SHIFT | t->gen;
}

bool softtlb_return_cb(void *owner, u64 mark)
{
	struct vp *vp = owner;
	struct softtlb *t = &vp->tlb_soft;

	if (unlikely(mark >> PAGE_SHIFT != t->epoch)) {
		begin_gen(vp);
		return false;
	}
	t->gen = mark & ~PAGE_MASK;
	vp_jump_key_update(vp);
	softtlb_page_key(vp);
	return true;
}

void softtlb_flush_page_cb(void *vp, u64 gva)
{
	softtlb_flush_page(vp, gva);
}
