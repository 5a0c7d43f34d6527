/*
 * vtlb_joint.pml - the mechanisms together: fills without locks and local invalidation by stamps (C1,
 * C2), write protection (C3) and reuse of SPTs (C4) in two stages, the flush of all VPs at once (C7).
 *
 * One guest entry, one SPT with one slot that can be linked for it (place 1) or for another place (2).
 * VP 0 edits the entry, invalidates, reclaims the SPT, guards the page's frame, and flushes all, once
 * each, in any order and interleaved. All VPs fill, hit and pass safe points, and keep across
 * instructions: a pointer to the SPT, a soft-TLB entry, a write tag.
 *
 * Properties: nothing older than a VP's last own invalidation, or than a flush of all that is over, is
 * used; no leaf is taken for another place's; no store by a write tag once the frame is protected.
 * Each BREAK_… removes one rule, and must be caught.
 */
#define NVP 2
#ifndef FILLS
#define FILLS 1
#endif
#define NWORDS 12
#define PTE 0
#define GEN 1
#define REQ 2
#define LINK 3 /* the SPT is linked for the entry */
#define SLOT 4 /* 0, or place | value << 2 | (stamp - base) << 3 */
#define BASE 5 /* of the SPT; constant while it is linked */
#define ALL 6  /* floor of all VPs */
#define MARK 7 /* the frame is guarded */
#define BIT 8  /* some soft TLB may hold a write tag */
#define SEEN(p) (9 + (p))
#define OTHER 11 /* the SPT serves place 2 */
#include "tso.pml"

byte must[NVP];
bool is_protected;
bool edited, invalidated, reclaimed, guarded, flushed;

#define other_passed(n) (mem[SEEN(1)] >= n)

/* Generations only grow, and no two invalidations have the same. */
byte last_gen;
inline gen_next(p) { drained(p) -> mem[GEN]++; assert(mem[GEN] > last_gen); last_gen = mem[GEN] }
inline request(p, n) { atomic { drained(p) -> mem[REQ]++; n = mem[REQ] } }

proctype vp(byte p) {
	byte floor, g, v, s, b, r, fills;
	byte soft; /* 0, or 1 + value */
	bool has, tag;

end:	do
	/* ---- what all do ---- */
	/* use of the soft TLB */
	:: soft != 0 -> assert(soft - 1 >= must[p]); assert(!tag || !is_protected || p == 0)
	/* a look-up */
	:: soft == 0 ->
	   if
	   :: has -> b = 1
	   :: else -> ld(p, LINK, b)
	   fi;
	   if
	   :: b == 1 ->
	      has = true;
	      ld(p, SLOT, s);
	      ld(p, BASE, b);
	      atomic {
		if
		:: s != 0 && b + (s >> 3) >= floor ->
		   assert((s & 3) == 1);
		   soft = 1 + ((s >> 2) & 1)
		:: else
		fi
	      }
	   :: else
	   fi;
	   atomic { s = 0; b = 0 }
	/* a fill, and a write tag with it */
	:: fills < FILLS ->
	   fills++;
#ifdef BREAK_STAMP_LATE
	   ld(p, PTE, v);
	   ld(p, GEN, g);
#else
	   ld(p, GEN, g);
	   ld(p, PTE, v);
#endif
	   ld(p, LINK, b);
	   if
	   :: b == 1 ->
	      ld(p, BASE, b);
	      if
	      :: g >= b -> st(p, SLOT, 1 | v << 2 | (g - b) << 3); has = true
	      :: else
	      fi
	   :: else
	   fi;
	   soft = 1 + v;
	   ld(p, MARK, r);
	   if
	   :: r == 0 ->
#ifdef BREAK_BIT_PLAIN
	      st(p, BIT, 1);
#else
	      atomic { drained(p) -> mem[BIT] = 1 }
#endif
#ifndef BREAK_NO_RECHECK
	      ld(p, MARK, r);
#endif
	      tag = (r == 0)
	   :: else
	   fi;
	   atomic { g = 0; v = 0; b = 0; r = 0 }
	/* a safe point */
	:: true ->
#ifdef BREAK_ALL_FIRST
	   ld(p, ALL, g);
#endif
	   ld(p, REQ, r);
	   ld(p, SEEN(p), s);
	   if
	   :: r != s ->
#ifndef BREAK_ALL_FIRST
	      ld(p, ALL, g);
#endif
#ifndef BREAK_KEEP_SOFT
	      soft = 0; tag = false;
#endif
#ifndef BREAK_KEEP_POINTERS
	      has = false;
#endif
	      if
#ifndef BREAK_NO_ALL
	      :: g > floor -> floor = g
#endif
	      :: else
	      fi;
	      st(p, SEEN(p), r)
	   :: else
	   fi;
	   atomic { r = 0; s = 0; g = 0 }

	/* ---- by VP 0, once each ---- */
	:: atomic { p == 0 && !edited -> edited = true }
	   st(p, PTE, 1)
	:: atomic { p == 0 && edited && !invalidated -> invalidated = true }
	   atomic { gen_next(p); floor = mem[GEN]; must[p] = mem[PTE] }
#ifdef BREAK_NO_FLOOR
	   floor = 0;
#endif
#ifndef BREAK_KEEP_OWN_SOFT
	   soft = 0; tag = false
#endif
	/* the SPT goes to the other place and is filled there */
	:: atomic { p == 0 && !reclaimed && mem[LINK] == 1 -> reclaimed = true }
#ifndef BREAK_KEEP_OWN_POINTER
	   has = false;
#endif
	   atomic { drained(p) -> mem[LINK] = 0 }
#ifdef BREAK_NO_TICKET
	   ld(p, REQ, r);
#else
	   request(p, r);
#endif
#ifndef BREAK_NO_WAIT
end_r:	   other_passed(r);
#endif
	   ld(p, GEN, g);
	   st(p, SLOT, 0);
	   st(p, BASE, g);
	   atomic { drained(p) -> mem[OTHER] = 1 }
	   st(p, SLOT, 2 | 0 << 3);
	   atomic { r = 0; g = 0 }
	/* the frame comes under guard */
	:: atomic { p == 0 && !guarded -> guarded = true }
#ifdef BREAK_MARK_PLAIN
	   st(p, MARK, 1);
#else
	   atomic { drained(p) -> mem[MARK] = 1 }
#endif
	   ld(p, BIT, b);
	   if
	   :: b == 0
	   :: else ->
	      tag = false;
	      request(p, r);
end_g:	      other_passed(r)
	   fi;
	   is_protected = true;
	   atomic { r = 0; b = 0 }
	/* all are flushed */
	:: atomic { p == 0 && edited && !flushed -> flushed = true }
	   atomic { gen_next(p); g = mem[GEN]; v = mem[PTE] }
#ifdef BREAK_REQUEST_FIRST
	   request(p, r);
	   atomic { drained(p) -> mem[ALL] = g }
#else
	   atomic { drained(p) -> mem[ALL] = g }
	   request(p, r);
#endif
end_f:	   other_passed(r);
	   must[1] = v;
	   atomic { g = 0; r = 0; v = 0 }
	od
}

init {
	byte i;

	atomic {
		mem[LINK] = 1;
		for (i : 0 .. NVP - 1) {
			run vp(i);
			run drain(i)
		}
	}
}
