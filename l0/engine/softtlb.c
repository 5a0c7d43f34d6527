#include "l0/engine/softtlb.h"

#include "l0/arch/vmx.h"
#include "l0/base/bits.h"
#include "l0/base/mem_ops.h"
#include "l0/mem/mem.h"

/* The list makes taking away the write tags of one frame cheap: code that modifies itself. */
static void note_writable(struct softtlb *t, u32 slot)
{
	if (t->writable_count < SOFTTLB_WRITABLE)
		t->writable[t->writable_count] = (u16)slot;
	if (t->writable_count <= SOFTTLB_WRITABLE)
		t->writable_count++;
}

static bool is_marked(const u64 *marks, u64 addr)
{
	return marks[addr >> (PAGE_SHIFT + 6) & 15] >> (addr >> PAGE_SHIFT & 63) & 1;
}

/* Linux' direct map and the lowest addresses are not to share one. */
static u64 gib_bit(u64 gva)
{
	return BIT((gva >> 30 ^ gva >> 42) & 63);
}

/* Of struct softtlb.part_pairs. */
static u32 pairs_of(u64 gva)
{
	return vp_mark_2m(gva) >> PAGE_SHIFT & 63;
}

static void note_size(struct softtlb *t, u32 slot, u64 gva, const struct vtlb_xl *xl)
{
	u64 *large = &t->large[slot / 64], *part = &t->part[slot / 64], bit = BIT(slot % 64);

	*large = xl->bytes >= PAGE_SIZE_2M ? *large | bit : *large & ~bit;
	if (likely(xl->page_shift == PAGE_SHIFT)) {
		*part &= ~bit;
		return;
	}
	*part |= bit;
	t->part_pairs[pairs_of(gva)] |= BIT(slot / 128);
	if (xl->page_shift == 21)
		vp_mark(t->parts_2m, vp_mark_2m(gva));
	else
		t->parts_1g |= gib_bit(gva);
}

void softtlb_fill(struct vp *vp, u32 mode, u64 gva, const struct vtlb_xl *xl)
{
	struct softtlb_entry *e = softtlb_slot(vp->tlb_soft.e[mode], gva);
	u64 tag = (gva & PAGE_MASK) | vp->tlb_soft.gen;
	u64 addend = (u64)xl->hva - gva;
	u32 prot = xl->prot;

	if (mode >= SOFTTLB_EXEC ||
	    unlikely(__atomic_load_n((u32 *)&vp->attn, __ATOMIC_RELAXED) & VP_ATTN_WATCH))
		prot &= VTLB_EXEC;
	/* Rights come from this translation alone: an older one may have had more. */
	e->tag_r = prot & VTLB_READ ? tag : 0;
	e->tag_w = prot & VTLB_WRITE ? tag : 0;
	e->tag_x = mode >= SOFTTLB_EXEC && prot & VTLB_EXEC ? tag : 0;
	e->addend = addend;
	vp->tlb_soft.modes |= 1u << mode;
	note_size(&vp->tlb_soft, (u32)(e - vp->tlb_soft.e[0]), gva, xl);
	if (prot & VTLB_WRITE) {
		note_writable(&vp->tlb_soft, (u32)(e - vp->tlb_soft.e[0]));
		if (unlikely(vp->tier) && vp->tier->write_filled)
			vp->tier->write_filled(vp, xl->hva);
	}
}

/* ---- keys of what translated code remembers ---- */

#define SITE_KEY_AC 0x8000u /* SMAP is overridden */

static void forget_keys(struct vp *vp)
{
	vp->page_floor = vp->page_last;
	vp->tlb_soft.n_runs = 0;
	nm_zero(vp->page_linear, sizeof(vp->page_linear));
	nm_zero(vp->page_large, sizeof(vp->page_large));
	nm_zero(vp->page_host, sizeof(vp->page_host));
}

void softtlb_page_key(struct vp *vp)
{
	u64 *key = &vp->page_gen_key[vp->tlb_soft.gen];

	BUILD_ASSERT(VP_MODE_END <= SITE_KEY_AC);
	if (unlikely(!vp->tier))
		return;
	if (*key <= vp->page_floor)
		*key = ++vp->page_last;
	vp->site_key =
		*key << 16 | (vp->mmu_mode == SOFTTLB_SUPERVISOR_AC ? SITE_KEY_AC : 0) | vp->mode;
}

/* ---- what translated code may use without asking again ---- */

#define WINDOW_FIRST (16u * PAGE_SIZE)

static bool in_runs(const struct softtlb *t, u64 hva)
{
	for (u32 i = 0; i < t->n_runs; i++) {
		const struct softtlb_run *r = &t->runs[i];

		if (hva - (r->first + r->addend) < r->end - r->first)
			return true;
	}
	return false;
}

/* May the frame at @hva keep write tags, and translated code write to it without asking again? */
static bool may_write(struct vp *vp, u8 *hva)
{
	return (!vp->tier->may_write || vp->tier->may_write(vp, hva)) &&
	       vtlb_grant_write(&vp->tlb, hva);
}

/* Frames next to @gva's, within @window bytes, that may be written. */
static void find_run(struct vp *vp, u64 gva, struct softtlb_run *r)
{
	u64 low = gva & ~(r->window - 1), high = low + r->window;

	r->first = gva & PAGE_MASK;
	r->end = r->first + PAGE_SIZE;
	while (r->first > low && may_write(vp, (u8 *)(r->first - PAGE_SIZE + r->addend)))
		r->first -= PAGE_SIZE;
	while (r->end < high && may_write(vp, (u8 *)(r->end + r->addend)))
		r->end += PAGE_SIZE;
}

static bool has(const struct softtlb_run *r, u64 gva)
{
	return gva - r->first < r->end - r->first;
}

/* Windows grow as more of a page is used, so that looking at frames pays. They hold @gva to
 * @last. */
static struct softtlb_run *writable_run(struct vp *vp, u64 gva, u64 last, u64 addend)
{
	struct softtlb *t = &vp->tlb_soft;
	u64 large = gva & ~(PAGE_SIZE_2M - 1), window = 0;
	struct softtlb_run *r;

	for (u32 i = 0; i < t->n_runs; i++) {
		r = &t->runs[i];
		if (r->large != large || r->addend != addend || r->serial != t->serial)
			continue;
		if (has(r, gva) && has(r, last))
			return r;
		window = MAX(window, r->window);
	}
	if (t->n_runs == SOFTTLB_RUNS) {
		forget_keys(vp);
		softtlb_page_key(vp);
	}
	r = &t->runs[t->n_runs++];
	*r = (struct softtlb_run){.large = large,
				  .addend = addend,
				  .serial = t->serial,
				  .window = window ? MIN(window * 4, (u64)PAGE_SIZE_2M)
						   : WINDOW_FIRST};
	while (r->window < PAGE_SIZE_2M && (gva ^ last) & ~(r->window - 1))
		r->window *= 2;
	find_run(vp, gva, r);
	return r;
}

/* The APIC-access page may lie anywhere in a large one. */
static bool has_vapic(const struct vp *vp, u64 host)
{
	const u8 *page;

	if (!(vp->ctl.proc2 & PROC2_APIC_ACCESSES))
		return false;
	page = mem_map_hva(mem_map(vp->mem), vp->ctl.apic_access_gpa, 1);
	return page && (u64)page - host < PAGE_SIZE_2M;
}

u64 softtlb_remember(struct vp *vp, u64 gva, u64 bytes, bool write, struct softtlb_range *out)
{
	const struct softtlb_entry *e = softtlb_slot(vp->tlb_e, gva);
	u64 large = gva & ~(PAGE_SIZE_2M - 1);
	u32 slot = (u32)(e - vp->tlb_soft.e[0]);

	vp_mark(vp->page_large, vp_mark_2m(gva));
	*out = (struct softtlb_range){gva & PAGE_MASK, PAGE_SIZE};
	if (vp->tlb_soft.large[slot / 64] >> slot % 64 & 1 && !has_vapic(vp, large + e->addend)) {
		if (write) {
			const struct softtlb_run *r =
				writable_run(vp, gva, gva + bytes - 1, e->addend);

			*out = (struct softtlb_range){r->first, r->end - r->first};
		} else {
			*out = (struct softtlb_range){large, PAGE_SIZE_2M};
		}
		return e->addend;
	}
	vp_mark(vp->page_linear, gva);
	if (write)
		vp_mark(vp->page_host, gva + e->addend);
	return e->addend;
}

/* A generation that nothing is tagged with; what others tagged stays, to come back to. */
static void begin_gen(struct vp *vp)
{
	struct softtlb *t = &vp->tlb_soft;

	if (unlikely(++t->last_gen >= PAGE_SIZE)) {
		nm_zero(t->e, sizeof(t->e));
		nm_zero(t->part, sizeof(t->part));
		nm_zero(t->parts_2m, sizeof(t->parts_2m));
		nm_zero(t->part_pairs, sizeof(t->part_pairs));
		t->parts_1g = 0;
		t->modes = 0;
		t->writable_count = 0;
		t->last_gen = 1;
		t->epoch++;
	}
	t->gen = t->last_gen;
	t->serial++;
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

static void forget(struct softtlb_entry *e)
{
	e->tag_r = 0;
	e->tag_w = 0;
	e->tag_x = 0;
}

/* The same of the 64 slots from @first on. Return: those of @slots that still hold a piece. */
static u64 forget_parts_of(struct softtlb *t, u32 first, u64 slots, u64 gva, u64 bytes)
{
	u64 kept = slots;

	for (u64 left = slots; left; left &= left - 1) {
		u32 bit = (u32)__builtin_ctzll(left), slot = first + bit;
		struct softtlb_entry *e = &t->e[slot / SOFTTLB_ENTRIES][slot % SOFTTLB_ENTRIES];
		u64 tag = e->tag_r | e->tag_w | e->tag_x;

		if (tag && (tag ^ gva) & ~(bytes - 1))
			continue;
		forget(e);
		kept &= ~BIT(bit);
	}
	return kept;
}

/* Those of @pairs. */
static u64 forget_pairs(struct softtlb *t, u64 pairs, u64 gva, u64 bytes)
{
	u64 kept = pairs;

	BUILD_ASSERT(SOFTTLB_WORDS % 2 == 0 && SOFTTLB_WORDS <= 2 * 64);
	for (u64 left = pairs; left; left &= left - 1) {
		u32 pair = (u32)__builtin_ctzll(left), i = 2 * pair;

		t->part[i] = forget_parts_of(t, i * 64, t->part[i], gva, bytes);
		t->part[i + 1] = forget_parts_of(t, (i + 1) * 64, t->part[i + 1], gva, bytes);
		if (!(t->part[i] | t->part[i + 1]))
			kept &= ~BIT(pair);
	}
	return kept;
}

/* Pieces of the page of @bytes at @gva, of all privileges and generations. */
static void forget_parts(struct softtlb *t, u64 gva, u64 bytes)
{
	u64 *pairs = &t->part_pairs[pairs_of(gva)];

	if (likely(bytes == PAGE_SIZE_2M)) {
		*pairs = forget_pairs(t, *pairs, gva, bytes);
		return;
	}
	for (pairs = t->part_pairs; pairs < t->part_pairs + ARRAY_SIZE(t->part_pairs); pairs++)
		*pairs = forget_pairs(t, *pairs, gva, bytes);
}

/* Is something in the page of @bytes at @gva marked? @pages, @large: the same by 4 KiB and by 2
 * MiB. */
static __always_inline bool any_marked(const u64 *pages, const u64 *large, u64 gva, u64 bytes)
{
	if (bytes == PAGE_SIZE)
		return is_marked(pages, gva);
	return bytes > PAGE_SIZE_2M || is_marked(large, vp_mark_2m(gva));
}

void softtlb_flush_page(struct vp *vp, u64 gva)
{
	struct softtlb *t = &vp->tlb_soft;
	u64 bytes = t->parts_1g & gib_bit(gva)		      ? BIT(30)
		    : is_marked(t->parts_2m, vp_mark_2m(gva)) ? PAGE_SIZE_2M
							      : PAGE_SIZE;
	bool jumps;

	for (u32 m = t->modes; m; m &= m - 1)
		forget(softtlb_slot(t->e[__builtin_ctz(m)], gva));
	if (bytes != PAGE_SIZE)
		forget_parts(t, gva, bytes);
	jumps = any_marked(vp->jump_pages, vp->jump_large, gva, bytes);
	if (unlikely(jumps)) {
		nm_zero(vp->jump_pages, sizeof(vp->jump_pages));
		nm_zero(vp->jump_large, sizeof(vp->jump_large));
		t->pages++;
		vp_jump_key_update(vp);
	}
	if (unlikely(jumps || any_marked(vp->page_linear, vp->page_large, gva, bytes))) {
		forget_keys(vp);
		softtlb_page_key(vp);
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

	if (is_marked(vp->page_host, (u64)hva) || in_runs(t, (u64)hva)) {
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
