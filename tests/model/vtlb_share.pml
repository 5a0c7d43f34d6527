/*
 * vtlb_share.pml - links to shared SPTs (vtlb/share.c, vtlb/fill.c): two roots, A and B. Root A leads
 * to table 0 for good, the guest makes root B lead to table 1 instead. Each table has an entry, and an
 * SPT (a top) with one leaf. VP 0 runs under root A, the others under root B.
 *
 * Property: what a VP uses, by a link and a leaf stored by anybody, is no older in either part than
 * what was visible in the guest's tables when its own last invalidation took effect; and a top holds
 * only what its own table said. Each BREAK_… removes one rule, and must be caught. That the stamp is
 * loaded before the first entry takes two VPs under one root to show: vtlb_stamp.pml does, and a fill
 * has one stamp for its link and its leaf.
 */
#ifndef NVP
#define NVP 2
#endif
#ifndef INVALS
#define INVALS 1
#endif
#define NWORDS 7
#define ROOT_B 0 /* the table that it leads to */
#define PTE(k) (1 + (k)) /* version */
#define GEN 3
#define LINK 4 /* slot of root B: 0 empty, else 1 + top + stamp * 2 */
#define LEAF(k) (5 + (k)) /* 0 empty, else 1 + table + version * 2 + stamp * 8 */
#include "tso.pml"

#define TOP_OF(l) (((l) - 1) % 2)
#define LINK_STAMP(l) (((l) - 1) / 2)
#define TABLE_OF(s) (((s) - 1) % 2)
#define VERSION_OF(s) ((((s) - 1) / 2) % 4)
#define STAMP_OF(s) (((s) - 1) / 8)

byte must_root[NVP], must_pte[NVP * 2]; /* ghosts */
bool moved, edited;

proctype vp(byte p) {
	byte floor, g, k, l, v, s, invals, fills;

end:	do
	/* the guest's edits, by one VP */
	:: atomic { p == 0 && !moved -> moved = true }
	   st(p, ROOT_B, 1)
	:: atomic { p == 0 && !edited -> edited = true }
	   st(p, PTE(0), 1)
	/* an invalidation */
	:: invals < INVALS ->
	   invals++;
	   atomic {
		drained(p) ->
		mem[GEN] = mem[GEN] + 1;
		floor = mem[GEN];
		must_root[p] = (p == 0 -> 0 : mem[ROOT_B]);
		must_pte[p * 2] = mem[PTE(0)];
		must_pte[p * 2 + 1] = mem[PTE(1)]
	   }
	/* a fill */
#ifdef FILLS
	:: fills < FILLS ->
	   fills++;
#else
	:: true ->
#endif
	   ld(p, GEN, g);
	   if
	   :: p == 0 -> k = 0
	   :: else -> ld(p, ROOT_B, k)
	   fi;
	   ld(p, PTE(k), v);
	   if
	   :: p == 0
	   :: else ->
	      ld(p, LINK, l);
	      if
#ifdef BREAK_OTHER_TOP
	      :: l > 0 && LINK_STAMP(l) >= floor
#else
	      :: l > 0 && TOP_OF(l) == k && LINK_STAMP(l) >= floor
#endif
	      :: else ->
#ifdef BREAK_RESTAMP
		 /* a link that leads somewhere is stamped anew, whatever was read */
		 l = (l > 0 -> 1 + TOP_OF(l) + g * 2 : 1 + k + g * 2);
		 k = TOP_OF(l);
#else
		 l = 1 + k + g * 2;
#endif
		 atomic { drained(p) -> mem[LINK] = l }
	      fi;
	   fi;
#ifdef BREAK_OTHER_TOP
	   s = 1 + k + v * 2 + g * 8;
	   if
	   :: p == 0 -> l = 0
	   :: else -> l = TOP_OF(l)
	   fi;
	   st(p, LEAF(l), s);
#else
	   st(p, LEAF(k), 1 + k + v * 2 + g * 8);
#endif
	   atomic { g = 0; k = 0; l = 0; v = 0; s = 0 }
	/* a hit */
	:: true ->
	   if
	   :: p == 0 -> l = 1 + floor * 2
	   :: else -> ld(p, LINK, l)
	   fi;
	   if
#ifdef BREAK_LINK_FOREVER
	   :: l > 0 ->
#else
	   :: l > 0 && LINK_STAMP(l) >= floor ->
#endif
	      k = TOP_OF(l);
	      ld(p, LEAF(k), s);
	      atomic {
		if
#ifdef BREAK_LEAF_FOREVER
		:: s > 0 ->
#else
		:: s > 0 && STAMP_OF(s) >= floor ->
#endif
		   assert(TABLE_OF(s) == k);
		   assert(k >= must_root[p]);
		   assert(VERSION_OF(s) >= must_pte[p * 2 + k])
		:: else
		fi
	      }
	   :: else
	   fi;
	   atomic { k = 0; l = 0; s = 0 }
	od
}

init {
	byte i;

	atomic {
		for (i : 0 .. NVP - 1) {
			run vp(i);
			run drain(i)
		}
	}
}
