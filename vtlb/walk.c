/*
 * The reference walker.
 *
 * Order of events in one translation: the guest's entries top down (each through ept12 when nested,
 * which may end in an EPT violation), not-present and reserved-bit faults where they are met, then
 * access rights, then whether the accessed and dirty bits that are missing can be written, then
 * ept12 for the final address; the guest's accessed and dirty bits are written last, so that a
 * translation that ends in a fault leaves the guest's tables alone.
 */
#include "vtlb/walk.h"

#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/base/bits.h"
#include "vtlb/leaf.h"

#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_G BIT(8)
#define PTE_XD BIT(63)
#define PTE_PKEY_SHIFT 59

#define EPT_R BIT(0)
#define EPT_W BIT(1)
#define EPT_X BIT(2)
#define EPT_MEMTYPE_SHIFT 3
#define EPT_PS BIT(7)
#define EPT_A BIT(8)
#define EPT_D BIT(9)
#define EPT_XU BIT(10)
#define EPT_LEVELS_MAX 5

/* Exit qualification of EPT violations, SDM 3C "Exit Qualification for EPT Violations". */
#define QUAL_PERM_SHIFT 3
#define QUAL_PERM_XU BIT(6)
#define QUAL_GLA_VALID BIT(7)
#define QUAL_FINAL BIT(8) /* access to the translation, not to a paging-structure entry */

#define MAX_LEVELS 5

/* One entry that the guest walk went through. */
struct step {
	void *host;    /* NULL: not RAM */
	u64 gpa;       /* machine address, for mem_note_write() */
	u64 guest_gpa; /* for a violation when it cannot be written */
	u64 entry;
	u32 ept_perm; /* EPT_R, EPT_W, … of its page; this and the next are for nested walks */
	u64 ept_entry;
};

struct path {
	struct step step[MAX_LEVELS];
	u32 count;
	bool is_32;    /* entries of 4 bytes */
	bool has_bits; /* accessed and dirty bits are what they have to be */
};

struct ept_result {
	u64 gpa;  /* machine address */
	u32 perm; /* EPT_R | EPT_W | EPT_X | EPT_XU, all levels */
	u32 shift;
	bool dirty; /* a write needs no D any more */
	u64 entry;  /* the last one */
};

enum walk_mode walk_mode_of(const struct vtlb_context *ctx)
{
	if (!(ctx->cr0 & CR0_PG))
		return WALK_OFF;
	if (ctx->efer & EFER_LMA)
		return ctx->cr4 & CR4_LA57 ? WALK_5LEVEL : WALK_4LEVEL;
	return ctx->cr4 & CR4_PAE ? WALK_PAE : WALK_32;
}

u32 walk_perm_of(const struct vtlb_context *ctx)
{
	u32 perm = ctx->mbec && ctx->eptp ? PERM_MBEC : 0;

	if (!(ctx->cr0 & CR0_PG))
		return perm;
	perm |= ctx->cr0 & CR0_WP ? PERM_WP : 0;
	perm |= ctx->cr4 & CR4_SMEP ? PERM_SMEP : 0;
	perm |= ctx->cr4 & CR4_SMAP ? PERM_SMAP : 0;
	perm |= ctx->cr4 & CR4_PKE && ctx->efer & EFER_LMA ? PERM_PKE : 0;
	if (ctx->cr4 & CR4_SMEP || (ctx->cr4 & CR4_PAE && ctx->efer & EFER_NXE))
		perm |= PERM_FETCH_CODE;
	return perm;
}

static u64 load_entry(const void *host)
{
	return __atomic_load_n((const u64 *)host, __ATOMIC_ACQUIRE);
}

/* Set bits of an 8-byte entry that must still be what was read. False: it changed. */
static bool set_bits64(void *host, u64 old, u64 bits)
{
	return __atomic_compare_exchange_n((u64 *)host, &old, old | bits, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

static bool set_bits32(void *host, u32 old, u32 bits)
{
	return __atomic_compare_exchange_n((u32 *)host, &old, old | bits, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

/* The walker set a bit in an entry: the frame may hold code. (Trackers do not care for these bits.)
 */
static void note_entry_write(const struct walk_env *env, u64 gpa)
{
	s64 at = mem_map_hpa(env->map, gpa, 4);

	if (at >= 0 && unlikely(env->map->frames[at >> PAGE_SHIFT].code_lines))
		mem_note_write(env->mem, gpa & ~3ull, 4);
}

static void leave_trail(struct walk *w, u64 at, u64 value, u32 level, u32 bytes, bool is_ept)
{
	struct walk_trail *tr = w->trail;

	if (tr->n < WALK_TRAIL_MAX)
		tr->step[tr->n++] = (struct walk_step){at, value, (u8)level, (u8)bytes, is_ept};
}

/* ---- EPT ---- */

static bool has_ept_ad(const struct walk *w)
{
	return w->ctx->eptp & EPTP_AD && w->env->ept_caps & EPT_CAP_AD;
}

/* 4 or 5: the checks at VM entry let nothing else pass. */
static u32 ept_levels(const struct vtlb_context *ctx)
{
	return (ctx->eptp & EPTP_WALK_MASK) == EPTP_WALK_5 ? 5 : 4;
}

/* @entry: the last one of ept12 that was read. */
static enum vtlb_status ept_violation(struct walk *w, u64 guest_gpa, u32 need, u32 perm, u64 qual,
				      u64 entry)
{
	qual |= (need & (EPT_R | EPT_W)) | (need & (EPT_X | EPT_XU) ? EPT_X : 0);
	qual |= (u64)(perm & (EPT_R | EPT_W | EPT_X)) << QUAL_PERM_SHIFT;
	if (w->ctx->mbec && perm & EPT_XU)
		qual |= QUAL_PERM_XU;
	w->fault.qualification = qual;
	w->fault.gpa = guest_gpa;
	w->fault.suppress_ve = entry & EPT_ENTRY_SUPPRESS_VE;
	return VTLB_EPT_VIOLATION;
}

/* A present entry; @present: the bits that make it so. Source: SDM 3C "EPT Misconfigurations". */
static bool ept_is_misconfigured(const struct walk_env *env, u64 e, u64 present, u32 level,
				 bool is_leaf)
{
	if ((e & (EPT_R | EPT_W)) == EPT_W || e & env->rsvd_mask)
		return true;
	if (!(e & EPT_R) && e & present && !(env->ept_caps & EPT_CAP_EXECUTE_ONLY))
		return true;
	if (!is_leaf)
		return e & (level >= 4 ? GENMASK(7, 3) : GENMASK(6, 3));
	u32 memtype = (u32)(e >> EPT_MEMTYPE_SHIFT) & 7;

	if (memtype == 2 || memtype == 3 || memtype == 7)
		return true;
	if (level == 3)
		return !(env->ept_caps & EPT_CAP_1G) || e & GENMASK(29, 12);
	return level == 2 && (!(env->ept_caps & EPT_CAP_2M) || e & GENMASK(20, 12));
}

/* Set A, and D in the leaf, along the entries host[level], or say that they lack. False: walk
 * again. */
static bool ept_update(struct walk *w, void *const *host, const u64 *entry, const u64 *gpa,
		       u32 leaf_level, bool write)
{
	for (u32 level = ept_levels(w->ctx); level >= leaf_level; level--) {
		u64 bits = EPT_A | (write && level == leaf_level ? EPT_D : 0);

		if ((entry[level] & bits) == bits || !host[level])
			continue;
		if (unlikely(!w->update)) {
			w->lacks_bits = true;
			continue;
		}
		if (!set_bits64(host[level], entry[level], bits))
			return false;
		note_entry_write(w->env, gpa[level]);
	}
	return true;
}

#define PML_ENTRIES 512

/* The dirty bit of a page was set. Source: SDM 3C "Page-Modification Logging". */
static void pml_log(struct walk *w, u64 guest_gpa)
{
	u64 at = w->ctx->pml_address + 8ull * *w->ctx->pml_index;
	u8 *host = mem_map_hva(w->env->map, at, 8);

	--*w->ctx->pml_index;
	if (!host)
		return;
	__atomic_store_n((u64 *)host, guest_gpa & PAGE_MASK, __ATOMIC_RELEASE);
	note_entry_write(w->env, at);
	note_entry_write(w->env, at + 4);
}

/*
 * ept_walk - guest physical → machine address
 * @need: EPT_R, EPT_W, EPT_X or EPT_XU, together
 * @qual: QUAL_GLA_VALID, QUAL_FINAL as they are to be reported
 * Sets the accessed and dirty bits of ept12, with an entry in the page-modification log.
 */
static enum vtlb_status ept_walk(struct walk *w, u64 guest_gpa, u32 need, u64 qual,
				 struct ept_result *o)
{
	const struct walk_env *env = w->env;
	u64 present = w->ctx->mbec ? EPT_R | EPT_W | EPT_X | EPT_XU : EPT_R | EPT_W | EPT_X;
	bool has_ad = has_ept_ad(w);
	void *host[EPT_LEVELS_MAX + 1];
	u64 entry[EPT_LEVELS_MAX + 1], at[EPT_LEVELS_MAX + 1];
	u64 table, e, perm;
	u32 level, begun = w->trail ? w->trail->n : 0;

again:
	if (unlikely(w->trail))
		w->trail->n = begun;
	table = w->ctx->eptp & env->phys_mask;
	perm = EPT_R | EPT_W | EPT_X | EPT_XU;
	if (unlikely(guest_gpa >> (PAGE_SHIFT + 9 * ept_levels(w->ctx))))
		return ept_violation(w, guest_gpa, need, 0, qual, EPT_ENTRY_SUPPRESS_VE);
	for (level = ept_levels(w->ctx);; level--) {
		at[level] = table | (guest_gpa >> (3 + 9 * level) & 0x1ff) << 3;
		host[level] = mem_map_hva(env->map, at[level], 8);
		e = likely(host[level] != NULL) ? load_entry(host[level]) : ~0ull;
		entry[level] = e;
		if (unlikely(w->trail))
			leave_trail(w, at[level], e, level, 8, true);
		if (unlikely(!(e & present)))
			return ept_violation(w, guest_gpa, need, 0, qual, e);
		bool is_leaf = level == 1 || (e & EPT_PS && level < 4);

		if (unlikely(ept_is_misconfigured(env, e, present, level, is_leaf))) {
			w->fault.gpa = guest_gpa;
			return VTLB_EPT_MISCONFIG;
		}
		perm &= e;
		if (is_leaf)
			break;
		table = e & env->phys_mask;
	}
	if (!w->ctx->mbec) /* bit 10 is ignored, bit 2 speaks for both kinds of address */
		perm = (perm & ~EPT_XU) | (perm & EPT_X ? EPT_XU : 0);
	if (unlikely(need & ~perm))
		return ept_violation(w, guest_gpa, need, (u32)perm, qual, e);
	if (has_ad && need & EPT_W && w->update && !(e & EPT_D) && unlikely(w->ctx->pml_index) &&
	    *w->ctx->pml_index >= PML_ENTRIES)
		return VTLB_PML_FULL;
	if (has_ad && !ept_update(w, host, entry, at, level, need & EPT_W))
		goto again;
	if (has_ad && need & EPT_W && w->update && !(e & EPT_D) && unlikely(w->ctx->pml_index))
		pml_log(w, guest_gpa);
	o->shift = 3 + 9 * level;
	o->gpa = (e & env->phys_mask & ~mask_low(o->shift)) | (guest_gpa & mask_low(o->shift));
	o->perm = (u32)perm;
	o->entry = e;
	o->dirty = !has_ad || e & EPT_D || (need & EPT_W && w->update);
	return VTLB_OK;
}

/* ---- the guest's own tables ---- */

static enum vtlb_status page_fault(struct walk *w, u32 code)
{
	u32 perm = walk_perm_of(w->ctx);

	code |= w->access & VTLB_WRITE ? PFERR_W : 0;
	code |= w->access & VTLB_USER ? PFERR_U : 0;
	code |= w->access & VTLB_EXEC && perm & PERM_FETCH_CODE ? PFERR_I : 0;
	w->fault.error_code = code;
	return VTLB_PAGE_FAULT;
}

/* Find and read the entry at @guest_gpa; step->entry is right for 4-byte entries too. @is_nested:
 * a constant, so that walks without ept12 have nothing of it in them. */
static __always_inline enum vtlb_status read_step(struct walk *w, struct step *s, u64 guest_gpa,
						  u32 level, bool is_32, bool is_nested)
{
	s->gpa = guest_gpa;
	if (is_nested) {
		struct ept_result r;
		enum vtlb_status st = ept_walk(w, guest_gpa, EPT_R | (has_ept_ad(w) ? EPT_W : 0),
					       QUAL_GLA_VALID, &r);

		if (unlikely(st != VTLB_OK))
			return st;
		s->guest_gpa = guest_gpa;
		s->gpa = r.gpa;
		s->ept_perm = r.perm;
		s->ept_entry = r.entry;
	}
	s->host = mem_map_hva(w->env->map, s->gpa, is_32 ? 4 : 8);
	if (unlikely(!s->host))
		s->entry = is_32 ? 0xffffffffull : ~0ull;
	else if (is_32)
		s->entry = __atomic_load_n((const u32 *)s->host, __ATOMIC_ACQUIRE);
	else
		s->entry = load_entry(s->host);
	if (unlikely(w->trail))
		leave_trail(w, s->gpa, s->entry, level, is_32 ? 4 : 8, false);
	return VTLB_OK;
}

/* Reserved bits of an 8-byte entry; @rsvd: those at every level.
 * Source: SDM 3A, figures of "4-Level Paging", "PAE Paging". */
static __always_inline bool is_reserved64(const struct walk_env *env, u64 rsvd, u64 e, u32 level)
{
	if (level >= 4) {
		rsvd |= PTE_PS;
	} else if (level > 1 && e & PTE_PS) {
		if (level == 3)
			rsvd |= env->has_1g ? GENMASK(29, 13) : PTE_PS;
		else
			rsvd |= GENMASK(20, 13);
	}
	return e & rsvd;
}

/* PAE, 4-level and 5-level paging: fills @path, w->guest_gpa, w->guest_shift, guest part of attr.
 * @is_nested: a constant. */
static __always_inline enum vtlb_status descend64(struct walk *w, u64 gva, enum walk_mode mode,
						  struct path *path, bool is_nested)
{
	const struct vtlb_context *ctx = w->ctx;
	bool is_pae = mode == WALK_PAE;
	u64 table = ctx->cr3, all = ~0ull, any = 0, e;
	u64 rsvd = w->env->rsvd_mask | (ctx->efer & EFER_NXE ? 0 : PTE_XD);
	u32 level = mode == WALK_5LEVEL ? 5 : 4;

	if (is_pae) {
		rsvd |= GENMASK(62, 52);
		table = ctx->pdpte[gva >> 30 & 3];
		level = 2;
		if (!(table & PTE_P))
			return page_fault(w, 0);
	}
	for (;; level--) {
		struct step *s = &path->step[path->count++];
		u64 at = (table & w->env->phys_mask) | (gva >> (3 + 9 * level) & 0x1ff) << 3;
		enum vtlb_status st = read_step(w, s, at, level, false, is_nested);

		if (unlikely(st != VTLB_OK))
			return st;
		e = s->entry;
		if (unlikely(!(e & PTE_P)))
			return page_fault(w, 0);
		if (unlikely(is_reserved64(w->env, rsvd, e, level)))
			return page_fault(w, PFERR_P | PFERR_RSVD);
		all &= e;
		any |= e;
		w->table[level] = s->gpa & PAGE_MASK;
		if (level == 4)
			w->attr_above = (all & PTE_W ? LEAF_GW : 0) | (all & PTE_U ? LEAF_GU : 0) |
					(any & PTE_XD ? 0 : LEAF_GX);
		if (level == 1 || (level < 4 && e & PTE_PS))
			break;
		table = e;
	}
	path->has_bits = all & PTE_A && (!(w->access & VTLB_WRITE) || e & PTE_D);
	w->top_level = is_pae ? 2 : mode == WALK_5LEVEL ? 5 : 4;
	w->leaf_level = level;
	w->guest_shift = 3 + 9 * level;
	w->guest_gpa = (e & w->env->phys_mask & ~mask_low(w->guest_shift)) |
		       (gva & mask_low(w->guest_shift));
	w->attr = (all & PTE_W ? LEAF_GW : 0) | (all & PTE_U ? LEAF_GU : 0) |
		  (any & PTE_XD ? 0 : LEAF_GX) | (e & PTE_D ? LEAF_D : 0) |
		  (e & PTE_G && ctx->cr4 & CR4_PGE ? LEAF_G : 0);
	if (!is_pae)
		w->attr |= (e >> PTE_PKEY_SHIFT & 15) << LEAF_PKEY_SHIFT;
	return VTLB_OK;
}

/* 32-bit paging. Source: SDM 3A "32-Bit Paging". */
static __always_inline enum vtlb_status descend32(struct walk *w, u64 gva, struct path *path,
						  bool is_nested)
{
	const struct vtlb_context *ctx = w->ctx;
	struct step *s = &path->step[path->count++];
	u64 all, e;
	enum vtlb_status st;

	path->is_32 = true;
	st = read_step(w, s, (ctx->cr3 & 0xfffff000) | (gva >> 22 & 0x3ff) << 2, 2, true,
		       is_nested);
	if (unlikely(st != VTLB_OK))
		return st;
	e = all = s->entry;
	if (!(e & PTE_P))
		return page_fault(w, 0);
	if (e & PTE_PS && ctx->cr4 & CR4_PSE) {
		u32 bits = MIN(40u, w->env->maxphyaddr); /* PSE-36: PDE bits 20:13 are 39:32 */

		if (e & BIT(21) || bits_get(e, 20, 13) >> (bits - 32))
			return page_fault(w, PFERR_P | PFERR_RSVD);
		w->guest_shift = 22;
		w->guest_gpa = (e & 0xffc00000) | bits_get(e, 20, 13) << 32 | (gva & mask_low(22));
	} else {
		s = &path->step[path->count++];
		st = read_step(w, s, (e & 0xfffff000) | (gva >> 12 & 0x3ff) << 2, 1, true,
			       is_nested);
		if (unlikely(st != VTLB_OK))
			return st;
		e = s->entry;
		if (!(e & PTE_P))
			return page_fault(w, 0);
		all &= e;
		w->guest_shift = 12;
		w->guest_gpa = (e & 0xfffff000) | (gva & mask_low(12));
	}
	w->attr = LEAF_GX | (all & PTE_W ? LEAF_GW : 0) | (all & PTE_U ? LEAF_GU : 0) |
		  (e & PTE_D ? LEAF_D : 0) | (e & PTE_G && ctx->cr4 & CR4_PGE ? LEAF_G : 0);
	return VTLB_OK;
}

static enum vtlb_status descend(struct walk *w, u64 gva, enum walk_mode mode, struct path *path)
{
	if (mode == WALK_32)
		return w->ctx->eptp ? descend32(w, gva, path, true)
				    : descend32(w, gva, path, false);
	return w->ctx->eptp ? descend64(w, gva, mode, path, true)
			    : descend64(w, gva, mode, path, false);
}

/* Access rights of the guest's tables. Source: SDM 3A "Access Rights", "Page-Fault Exceptions". */
static enum vtlb_status check_rights(struct walk *w)
{
	u32 perm = walk_perm_of(w->ctx);
	u32 need = w->access & VTLB_ACCESS_MASK, code = PFERR_P;

	if (likely(!(need & ~leaf_guest_prot(perm, w->ctx->pkru, w->attr, w->access))))
		return VTLB_OK;
	if (perm & PERM_PKE && w->attr & LEAF_GU && !(need & VTLB_EXEC)) {
		u32 key = w->ctx->pkru >> (2 * (w->attr >> LEAF_PKEY_SHIFT & 15)) & 3;
		bool honours_wd = w->access & VTLB_USER || perm & PERM_WP;

		if (key & 1 || (key & 2 && need & VTLB_WRITE && honours_wd))
			code |= PFERR_PK;
	}
	return page_fault(w, code);
}

/* A and D that the entry of @s lacks. */
static u64 missing_bits(const struct walk *w, const struct step *s, bool is_last)
{
	u64 bits = PTE_A | (is_last && w->access & VTLB_WRITE ? PTE_D : 0);

	return s->host ? bits & ~s->entry : 0;
}

/* Accessed and dirty bits that ept12 keeps the processor from writing are EPT violations. */
static enum vtlb_status check_update(struct walk *w, const struct path *path)
{
	for (u32 i = 0; i < path->count; i++) {
		const struct step *s = &path->step[i];

		if (unlikely(!(s->ept_perm & EPT_W) && missing_bits(w, s, i + 1 == path->count)))
			return ept_violation(w, s->guest_gpa, EPT_R | EPT_W, s->ept_perm,
					     QUAL_GLA_VALID, s->ept_entry);
	}
	return VTLB_OK;
}

/* The same in the guest's tables. False: an entry changed since it was read, walk again. */
static bool update_guest(struct walk *w, const struct path *path)
{
	for (u32 i = 0; i < path->count; i++) {
		const struct step *s = &path->step[i];
		u64 bits = missing_bits(w, s, i + 1 == path->count);

		if (likely(!bits))
			continue;
		if (unlikely(!w->update)) {
			w->lacks_bits = true;
			continue;
		}
		if (!(path->is_32 ? set_bits32(s->host, (u32)s->entry, (u32)bits)
				  : set_bits64(s->host, s->entry, bits)))
			return false;
		note_entry_write(w->env, s->gpa);
	}
	return true;
}

/* ---- together ---- */

/* w->guest_gpa through ept12 to w->gpa. */
static enum vtlb_status walk_final(struct walk *w, u64 qual)
{
	w->shift = w->guest_shift;
	if (w->ctx->eptp) {
		u32 need = w->access & (VTLB_READ | VTLB_WRITE);
		struct ept_result r;

		if (w->access & VTLB_EXEC)
			need |= w->ctx->mbec && w->attr & LEAF_GU ? EPT_XU : EPT_X;
		enum vtlb_status st = ept_walk(w, w->guest_gpa, need, qual, &r);

		if (unlikely(st != VTLB_OK))
			return st;
		w->gpa = r.gpa;
		w->shift = MIN(w->shift, r.shift);
		w->attr |= (u64)(r.perm & (EPT_R | EPT_W | EPT_X)) << LEAF_EPT_SHIFT |
			   (r.perm & EPT_XU ? LEAF_EXU : 0);
		if (!r.dirty)
			w->attr &= ~LEAF_D;
	} else {
		w->gpa = w->guest_gpa;
		w->attr |= LEAF_EPT_ALL;
	}
	return VTLB_OK;
}

static enum vtlb_status classify(struct walk *w)
{
	if (likely(mem_map_hpa(w->env->map, w->gpa, 1) >= 0))
		return VTLB_OK;
	w->attr |= LEAF_IO;
	return VTLB_MMIO;
}

enum vtlb_status walk_gpa(struct walk *w, u64 guest_gpa)
{
	enum vtlb_status st;

	w->guest_gpa = guest_gpa;
	w->guest_shift = 64;
	w->attr = LEAF_GUEST_ALL | LEAF_D;
	st = walk_final(w, 0);
	return st == VTLB_OK ? classify(w) : st;
}

enum vtlb_status walk_linear(struct walk *w, u64 gva)
{
	enum walk_mode mode = walk_mode_of(w->ctx);
	struct path path;
	enum vtlb_status st;

	do {
		path.count = 0;
		path.is_32 = false;
		path.has_bits = false;
		if (unlikely(w->trail))
			w->trail->n = 0;
		w->fault.gla = gva;
		w->top_level = 0;
		if (mode == WALK_OFF) {
			w->guest_gpa = gva;
			w->guest_shift = 64;
			w->attr = LEAF_GUEST_ALL | LEAF_D;
		} else {
			st = descend(w, gva, mode, &path);
			if (unlikely(st != VTLB_OK))
				return st;
			st = check_rights(w);
			if (unlikely(st != VTLB_OK))
				return st;
			if (w->ctx->eptp && w->update && !path.has_bits) {
				st = check_update(w, &path);
				if (unlikely(st != VTLB_OK))
					return st;
			}
		}
		st = walk_final(w, QUAL_GLA_VALID | QUAL_FINAL);
		if (unlikely(st != VTLB_OK))
			return st;
	} while (unlikely(!path.has_bits && !update_guest(w, &path)));
	if (w->access & VTLB_WRITE && w->update)
		w->attr |= LEAF_D;
	return classify(w);
}
