/*
 * vtlb_ad.pml - accessed and dirty bits (vtlb/walk.c, fill.c), and C9, a shootdown that is over when it
 * says so: one guest entry. VP 0, the guest's kernel, cleans the page (clears D, then INVLPG on all
 * VPs), and later takes the page away (a swap entry in its place, then INVLPG on all). The others store
 * to the page by write tags, which they get from a walk or from a leaf that any of them left.
 *
 * Properties: a store after the cleaning is over is found in the entry's dirty bit when the page is
 * taken away; no store comes after that is over; an entry that is not present is never changed. Each
 * BREAK_… removes one rule, and must be caught.
 */
#ifndef NVP
#define NVP 2 /* the kernel's, and those that store */
#endif
#define NWORDS (3 + 2 * NVP)
#define PTE 0
#define SLOT 1 /* 0 empty, else IS_LEAF | dirty << 1 | stamp << 2 */
#define GEN 2
#define IPI(p) (3 + (p))
#define ACK(p) (3 + NVP + (p))
#include "tso.pml"

#define P 1
#define A 2
#define D 4
#define SWAPPED 8

bool stored, gone; /* ghosts: since the page was cleaned; it is taken away */

inline invalidate(p, floor) {
	atomic { drained(p) -> mem[GEN]++; floor = mem[GEN] }
}

proctype kernel() {
	byte i, old, floor;

	/* the page is cleaned: its contents go to disk when no processor has a write tag any more */
	atomic { drained(0) -> mem[PTE] = mem[PTE] & (255 - D) }
	invalidate(0, floor);
	for (i : 1 .. NVP - 1) {
		st(0, IPI(i), 1)
	}
	for (i : 1 .. NVP - 1) {
end_c:		mem[ACK(i)] == 1
	}
	stored = false;
	/* and taken away */
	atomic { drained(0) -> old = mem[PTE]; mem[PTE] = SWAPPED }
	invalidate(0, floor);
	for (i : 1 .. NVP - 1) {
		st(0, IPI(i), 2)
	}
	for (i : 1 .. NVP - 1) {
end_k:		mem[ACK(i)] == 2
	}
	atomic {
		assert(!stored || old & D);
		gone = true
	}
	assert(mem[PTE] == SWAPPED)
}

inline store_to_page() { atomic { assert(!gone); stored = true } }

proctype user(byte p) {
	byte e, g, s, n, floor, fills;
	bool tag;

end:	do
	/* a store by the soft TLB's write tag */
	:: tag -> store_to_page()
	/* a hit of the virtual TLB */
	:: !tag ->
	   ld(p, SLOT, s);
	   atomic {
		if
#ifdef BREAK_LEAF_FOREVER
		:: s & 2 -> tag = true
#else
		:: s & 2 && s >> 2 >= floor -> tag = true
#endif
		:: else
		fi;
		s = 0
	   }
	/* a walk for a store */
	:: !tag && fills < 2 ->
	   fills++;
	   ld(p, GEN, g);
again:	   ld(p, PTE, e);
	   if
	   :: !(e & P) -> goto out /* a fault */
	   :: e & D -> skip
	   :: else ->
#ifdef BREAK_TAG_FIRST
	      atomic { tag = true; store_to_page() }
#endif
#ifdef BREAK_STORE
	      st(p, PTE, e | A | D)
#elif defined(BREAK_OR)
	      atomic { drained(p) -> mem[PTE] = mem[PTE] | A | D }
#else
	      atomic {
		 drained(p) ->
		 if
		 :: mem[PTE] == e -> mem[PTE] = e | A | D
		 :: else -> goto again
		 fi
	      }
#endif
	   fi;
	   tag = true;
	   store_to_page();
	   st(p, SLOT, 1 | 2 | g << 2);
out:	   atomic { e = 0; g = 0 }
	/* INVLPG, asked for by the kernel */
	:: true ->
	   ld(p, IPI(p), n);
	   if
	   :: n != mem[ACK(p)] && drained(p) ->
#ifdef BREAK_ACK_FIRST
	      st(p, ACK(p), n);
	      if
	      :: tag -> store_to_page() /* the rest of the handler may */
	      :: else
	      fi;
#endif
	      invalidate(p, floor);
#ifndef BREAK_KEEP_TAG
	      tag = false;
#endif
#ifndef BREAK_ACK_FIRST
	      st(p, ACK(p), n)
#endif
	   :: else
	   fi;
	   n = 0
	od
}

init {
	byte i;

	atomic {
		mem[PTE] = P;
		run kernel();
		run drain(0);
		for (i : 1 .. NVP - 1) {
			run user(i);
			run drain(i)
		}
	}
}
