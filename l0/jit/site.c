/*
 * What translated code remembers of its memory accesses and jumps; called by its shared code, with
 * everything that it holds in registers saved.
 */
#include "l0/engine/block.h"
#include "l0/engine/softtlb.h"
#include "l0/jit/jit_priv.h"

/* With another key the block's whole memory is void when it is entered next. */
static void remember(const struct vp *vp, u64 key, struct jit_page *p,
		     const struct softtlb_range *r, u64 addend)
{
	if (unlikely(key != vp->site_key))
		return;
	p->first = r->first;
	p->addend = addend;
	p->host = r->first + addend;
	p->room = r->bytes - p->more;
}

/* softtlb_remember() of @gva to @last; without "linear" of no other pages. */
static u64 look_up(struct vp *vp, u64 gva, u64 last, bool write, struct softtlb_range *r)
{
	const struct jit *j = vp->tier_data;
	u64 addend = softtlb_remember(vp, gva, last - gva + 1, write, r), end = r->first + r->bytes;

	if (unlikely(j->off >> JIT_GROUP_LINEAR & 1)) {
		r->first = MAX(r->first, gva & PAGE_MASK);
		r->bytes = MIN(end - r->first, (last | ~PAGE_MASK) + 1 - r->first);
	}
	return addend;
}

static u64 page_remember(struct vp *vp, struct jit_page *p, u64 gva, bool write)
{
	u64 key = vp->site_key;
	struct softtlb_range r;
	u64 addend = look_up(vp, gva, gva, write, &r);

	if (r.bytes > p->more)
		remember(vp, key, p, &r, addend);
	return addend;
}

u64 jit_page_read(struct vp *vp, struct jit_page *p, u64 gva)
{
	return page_remember(vp, p, gva, false);
}

u64 jit_page_write(struct vp *vp, struct jit_page *p, u64 gva)
{
	return page_remember(vp, p, gva, true);
}

#define RANGE_FAILS 64u /* until a block's accesses are looked up alone */

/* Nothing is remembered but the addend when that is not possible. */
static u64 range_remember(struct vp *vp, struct jit_page *p, u64 gva, bool write)
{
	u64 key = vp->site_key, last = gva + p->more, addend;
	struct softtlb_range r;

	p->room = 0;
	if (!(write ? softtlb_write(vp, gva, 1) : softtlb_read(vp, gva, 1)))
		return 0;
	addend = look_up(vp, gva, last, write, &r);
	if (last < gva || last - r.first >= r.bytes) {
		struct block *b = ((struct jit_keys *)(p - p->index) - 1)->b;

		b->heat += p->more < PAGE_SIZE ? 1 : 8;
		if (b->heat >= RANGE_FAILS)
			jit_set_apart(vp, b);
		return 0;
	}
	p->addend = addend;
	remember(vp, key, p, &r, addend);
	return addend;
}

u64 jit_range_read(struct vp *vp, struct jit_page *p, u64 gva)
{
	return range_remember(vp, p, gva, false);
}

u64 jit_range_write(struct vp *vp, struct jit_page *p, u64 gva)
{
	return range_remember(vp, p, gva, true);
}

void jit_keys_changed(struct vp *vp, struct jit_keys *k)
{
	struct jit_page *p = (struct jit_page *)(k + 1);

	for (u64 i = 0; i < k->pages; i++)
		p[i].room = 0;
	for (struct jit_edge *e = k->far; e; e = e->far)
		e->target = e->cold;
	k->key = vp->site_key;
}

u64 jit_edge_again(struct vp *vp, struct jit_edge *e)
{
	if (!e->to || e->hva != softtlb_exec(vp, e->rip))
		return 0;
	vp_jump_mark(vp, e->rip);
	e->target = e->to->hot;
	return e->target;
}

struct block *jit_find_hot(struct vp *vp, u64 rip)
{
	u8 *hva = softtlb_exec(vp, rip);

	if (unlikely(!hva))
		return NULL;
	for (struct block *b = vp->code->bucket[block_hash(hva)]; b; b = b->next)
		if (b->hva == hva && b->rip == rip && b->mode == vp->mode)
			return b->hot && !b->frame2 && block_is_fresh(b) ? b : NULL;
	return NULL;
}

s64 jit_find_jump(struct vp *vp, u64 rip)
{
	u32 i = jump_index(rip);
	struct jump_slot *s = &vp->jumps[i];
	struct block *b;

	/* Known under another key: the same code and mode? What is stale has key 0. */
	if (s->rip == rip && s->key && (s->key >> 12 & JUMP_KEY_MODE) == vp->mode &&
	    s->hva == softtlb_exec(vp, rip)) {
		s->key = vp->jump_key;
		vp_jump_mark(vp, rip);
	} else {
		b = jit_find_hot(vp, rip);
		if (!b)
			return -1;
		block_remember(vp, b);
	}
	return (s64)(i * sizeof(*s));
}
