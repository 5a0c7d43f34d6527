/*
 * leaf.h - the 64 bits of a shadow page table slot, and what access a leaf allows
 *
 * A leaf keeps the raw permissions of the guest's tables and of ept12 side by side; what they mean
 * for an access (CR0.WP, SMEP, SMAP, PKRU, CPL) is decided at each look-up, so no change of these
 * needs an invalidation. The walker describes what it found in the same bits, so a fresh walk and
 * a hit are judged by one function. Used inside vtlb/ only. Pure; a few ns.
 *
 * A leaf certifies itself: its stamp says at which generation the guest's entries were read. It may
 * be used by a VP whose floors are not above it; so leaves are stored plainly, by anybody, in any
 * order, and no invalidation ever has to find them.
 */
#ifndef VTLB_LEAF_H
#define VTLB_LEAF_H

#include "l0/arch/x86.h"
#include "l0/base/bits.h"
#include "l0/base/types.h"
#include "vtlb/vtlb.h"

#define SLOT_P BIT(0)
#define SLOT_LINK BIT(1) /* bits 63:3: index of the child SPT */
#define SLOT_LINK_SHIFT 3
#define SLOT_SHARED BIT(2) /* of a link: to an SPT that address spaces share, see share.c */
#define TOP_NUMBER_SHIFT 3
#define TOP_NUMBER_BITS 16
#define TOP_LIFE_SHIFT 19
#define TOP_LIFE_BITS 22
#define TOP_STAMP_SHIFT 41 /* 23 bits: generation of the link, counted from its SPT's base */
#define TOP_STAMP_MAX mask_low(23)

#define LEAF_GW BIT(2) /* guest R/W, all levels */
#define LEAF_GU BIT(3) /* guest U/S, all levels */
#define LEAF_GX BIT(4) /* guest XD clear in all levels */
#define LEAF_D BIT(5)  /* a write needs no dirty bit any more, guest's or ept12's */
#define LEAF_ER BIT(6) /* ept12 read, write, execute (supervisor-mode address), execute (user) */
#define LEAF_EW BIT(7)
#define LEAF_EX BIT(8)
#define LEAF_EXU BIT(9)
#define LEAF_EPT_SHIFT 6
#define LEAF_G BIT(10)	    /* global */
#define LEAF_IO BIT(11)	    /* no RAM there */
#define LEAF_CLASS_SHIFT 12 /* 2 bits: size class of the guest's page, LEAF_CLASS_* */
#define LEAF_CLASS (3ull << LEAF_CLASS_SHIFT)
#define LEAF_PKEY_SHIFT 14
#define LEAF_PKEY (15ull << LEAF_PKEY_SHIFT)
#define LEAF_FRAME_SHIFT 18 /* 28 bits: machine physical address >> 12 */
#define LEAF_FRAME_BITS 28
#define LEAF_T BIT(46)	    /* every table on its path is tracked: see track_gpt.c */
#define LEAF_STAMP_SHIFT 47 /* 17 bits: generation of the fill, counted from the SPT's base */
#define LEAF_STAMP_MAX mask_low(17)

#define LEAF_ATTR GENMASK(17, 2)
#define LEAF_EPT_ALL (LEAF_ER | LEAF_EW | LEAF_EX | LEAF_EXU)
#define LEAF_GUEST_ALL (LEAF_GW | LEAF_GU | LEAF_GX)

/* Size classes of guest pages: 4 KiB; 2 MiB; 4 MiB and 1 GiB. */
#define LEAF_CLASS_4K 0u
#define LEAF_CLASS_2M 1u
#define LEAF_CLASS_1G 2u
#define LEAF_CLASS_COUNT 3u

/* What of the paging context decides permissions. */
#define PERM_WP 0x01u
#define PERM_SMEP 0x02u
#define PERM_SMAP 0x04u
#define PERM_PKE 0x08u
#define PERM_MBEC 0x10u
#define PERM_FETCH_CODE 0x20u /* page-fault error codes have the I/D flag */

static inline u32 leaf_class(u64 leaf)
{
	return (u32)(leaf >> LEAF_CLASS_SHIFT) & 3;
}
static inline u64 leaf_gpa(u64 leaf)
{
	return (leaf >> LEAF_FRAME_SHIFT & mask_low(LEAF_FRAME_BITS)) << PAGE_SHIFT;
}

/*
 * Accesses that the guest's own tables allow at the privilege of @access.
 * Source: SDM 3A "Determination of Access Rights", "Protection Keys".
 */
static inline u32 leaf_guest_prot(u32 perm, u32 pkru, u64 leaf, u32 access)
{
	u32 prot = VTLB_READ;

	if (access & VTLB_USER) {
		if (!(leaf & LEAF_GU))
			return 0;
		prot |= leaf & LEAF_GW ? VTLB_WRITE : 0;
		prot |= leaf & LEAF_GX ? VTLB_EXEC : 0;
	} else {
		prot |= leaf & LEAF_GW || !(perm & PERM_WP) ? VTLB_WRITE : 0;
		prot |= leaf & LEAF_GX ? VTLB_EXEC : 0;
		if (leaf & LEAF_GU) {
			if (perm & PERM_SMEP)
				prot &= ~VTLB_EXEC;
			if (perm & PERM_SMAP && (access & (VTLB_AC | VTLB_SYSTEM)) != VTLB_AC)
				prot &= VTLB_EXEC;
		}
	}
	if (unlikely(perm & PERM_PKE) && leaf & LEAF_GU) {
		u32 key = pkru >> (2 * (leaf >> LEAF_PKEY_SHIFT & 15)) & 3;

		if (key & 1)
			prot &= VTLB_EXEC;
		if (key & 2 && (access & VTLB_USER || perm & PERM_WP))
			prot &= ~VTLB_WRITE;
	}
	return prot;
}

/* Accesses that ept12 allows to the page; everything when no EPT is in use (all bits set). */
static inline u32 leaf_ept_prot(u32 perm, u64 leaf)
{
	u64 x = perm & PERM_MBEC && leaf & LEAF_GU ? LEAF_EXU : LEAF_EX;

	return (leaf & LEAF_ER ? VTLB_READ : 0) | (leaf & LEAF_EW ? VTLB_WRITE : 0) |
	       (leaf & x ? VTLB_EXEC : 0);
}

/* Accesses that need neither a fault nor a walk. */
static inline u32 leaf_prot(u32 perm, u32 pkru, u64 leaf, u32 access)
{
	u32 prot = leaf_guest_prot(perm, pkru, leaf, access) & leaf_ept_prot(perm, leaf);

	return leaf & LEAF_D ? prot : prot & ~VTLB_WRITE;
}

#endif
