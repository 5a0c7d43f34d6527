/*
 * walk.h - the reference walker: what the guest's tables and ept12 say about one linear address
 *
 * Every translation starts here, and every fault comes from here. The walker caches nothing. With
 * @update it sets accessed and dirty bits, by compare-and-exchange on the very entries it read; if
 * one of them changed meanwhile it walks again. Entries that lie outside RAM read as all ones.
 * Called by the fill, by vtlb_peek() and by the audit; never touches SPTs. Cost: one dependent load
 * a level, nested (levels + 1) * 5.
 */
#ifndef VTLB_WALK_H
#define VTLB_WALK_H

#include "l0/base/types.h"
#include "l0/mem/mem.h"
#include "vtlb/vtlb.h"

/* Paging modes. */
enum walk_mode { WALK_OFF, WALK_32, WALK_PAE, WALK_4LEVEL, WALK_5LEVEL };

/* What is constant for a machine. */
struct walk_env {
	struct mem *mem;
	const struct mem_map *map;
	u64 phys_mask; /* bits maxphyaddr-1:12 */
	u64 rsvd_mask; /* bits 51:maxphyaddr */
	u32 maxphyaddr;
	bool has_1g;
	u64 ept_caps; /* EPT_CAP_* */
};

/*
 * The entries that a walk read, in its order, ept12's among them. The values are those before the
 * walk set accessed and dirty bits.
 */
#define WALK_TRAIL_MAX 35u /* five of the guest's, and six walks of five of ept12's */
struct walk_step {
	u64 at; /* machine address */
	u64 value;
	u8 level, bytes; /* 1 to 5; 4 or 8 */
	bool is_ept;
};
struct walk_trail {
	u32 n;
	struct walk_step step[WALK_TRAIL_MAX];
};

struct walk {
	/* in */
	const struct walk_env *env;
	const struct vtlb_context *ctx;
	u32 access; /* VTLB_* */
	bool update;
	struct walk_trail *trail; /* or NULL: filled also by a walk that ends in a fault */
	/* out, after VTLB_OK and VTLB_MMIO */
	u64 attr;	 /* LEAF_* permissions, without frame and stamp */
	u64 guest_gpa;	 /* of the byte, in the running guest */
	u64 gpa;	 /* of the byte, in the machine */
	u32 guest_shift; /* log2 of the guest's page size; 64 when paging is off */
	u32 shift;	 /* of the smaller of guest's and ept12's page */
	/* the tables gone through, in machine addresses by level; @top_level 0: none, or of a shape
	 * that is not 9 bits a level */
	u64 table[6];
	u32 top_level, leaf_level;
	u64 attr_above;	 /* LEAF_GUEST_ALL as the entries above level 3 leave them */
	bool lacks_bits; /* without @update: accessed or dirty bits that it would have set */
	/* out, after a fault */
	struct vtlb_fault fault;
};

/* Start @w. Only what a walk does not always write is cleared: clearing all of it takes longer than
 * the walk. @trail: or NULL. */
static inline void walk_init(struct walk *w, const struct walk_env *env,
			     const struct vtlb_context *ctx, u32 access, bool update,
			     struct walk_trail *trail)
{
	w->env = env;
	w->ctx = ctx;
	w->access = access;
	w->update = update;
	w->trail = trail;
	w->attr = w->attr_above = 0;
	w->guest_gpa = w->gpa = 0;
	w->guest_shift = w->shift = 0;
	w->top_level = w->leaf_level = 0;
	w->lacks_bits = false;
	w->fault = (struct vtlb_fault){0};
}

enum walk_mode walk_mode_of(const struct vtlb_context *ctx);

/* PERM_* of a context. */
u32 walk_perm_of(const struct vtlb_context *ctx);

/**
 * walk_linear - translate @gva for w->access
 * Return: VTLB_OK (RAM), VTLB_MMIO (nothing or a device there), or a fault with w->fault filled.
 * Source: SDM 3A "Paging"; SDM 3C "The Extended Page Table Mechanism (EPT)".
 */
enum vtlb_status walk_linear(struct walk *w, u64 gva);

/* The same for a guest physical address that no linear address leads to (PDPTE loads). */
enum vtlb_status walk_gpa(struct walk *w, u64 guest_gpa);

#endif
