/*
 * vtlb_track.pml - retention over MOV CR3 with VPs on threads (vtlb/track_gpt.c, fill.c, inval.c): one
 * guest entry in a table that comes under guard and may be let go again, the slot it is shadowed by,
 * VP 0 that edits the entry, by a write tag while it has one, and VPs that load CR3, fill and hit.
 *
 * Property: after a load of CR3 a VP uses nothing older than what was visible in the table then, by a
 * leaf that stayed or by any other. Each BREAK_… removes one rule, and must be caught.
 */
#ifndef NVP
#define NVP 2
#endif
#if defined(BREAK_KEEP_TAG) || defined(BREAK_NO_GRACE)
#define FIRST_TAG (p == 0) /* what it takes to show */
#else
#define FIRST_TAG false
#endif
#if !defined(BREAK_HIDE_LATE) && !defined(RELEASE)
#define NO_RELEASE
#endif
#ifndef WRITES
#define WRITES 1
#endif
#ifndef LOADS
#define LOADS 1
#endif
#ifndef FILLS
#define FILLS 1
#endif
#define NWORDS 12
#define PTE 0
#define SLOT 1 /* LEAF | T | value << 2 | stamp << 4, or emptied at << 4 */
#define GEN 2
#define GUARD 3
#define LOCK 4
#define SINCE 5 /* the table is guarded, and was last written, at; 0: not yet */
#define NODE 6	/* the same when the SPT became known as its shadow; 0: it is not */
#define WRITING 7 /* VP 0 is between its store and the end of the notice */
#define REQ 8
#define SEEN(p) (9 + (p))
#include "tso.pml"

#define IS_LEAF 1
#define IS_T 2
#define VALUE(s) (((s) >> 2) & 3)
#define SINCE_OF(s) ((s) >> 4)

byte must[NVP];
byte edits, ticket;
bool was_tracked, was_released;

#define all_passed (mem[SEEN(0)] >= ticket && mem[SEEN(1)] >= ticket)

inline lock(p) { atomic { drained(p) && mem[LOCK] == 0 -> mem[LOCK] = 1 } }
inline unlock(p) { st(p, LOCK, 0) }
inline gen_next(p, out) { atomic { drained(p) -> mem[GEN]++; out = mem[GEN] } }

/* What the entry has made goes, if its SPT is known. */
inline kill(p, gen, n) {
	ld(p, NODE, n);
	if
	:: n != 0 ->
#ifdef BREAK_NO_MARK
	   atomic { drained(p) -> mem[SLOT] = 0 }
#else
	   atomic { drained(p) -> mem[SLOT] = gen << 4 }
#endif
	:: else
	fi
}

proctype vp(byte p) {
	byte floor, floor_t, g, k, v, s, n, loads, fills;
	bool tag = FIRST_TAG, t;

end:	do
	/* the guest's store */
	:: atomic { p == 0 && edits < WRITES -> edits++; v = edits }
	   if
	   :: tag -> st(p, PTE, v)
	   :: else ->
	      ld(p, GUARD, n);
	      if
	      :: n == 0 -> tag = true; st(p, PTE, v)
	      :: else ->
#ifdef BREAK_NO_FLAG
#else
		 st(p, WRITING, 1); /* leaves the store buffer before the entry does */
#endif
#ifdef BREAK_GEN_EARLY
		 gen_next(p, k);
#endif
		 st(p, PTE, v);
#ifdef BREAK_FLAG_DOWN_EARLY
		 st(p, WRITING, 0);
#endif
		 lock(p);
#ifndef BREAK_GEN_EARLY
		 gen_next(p, k);
#endif
#ifndef BREAK_OLD_SINCE
		 ld(p, SINCE, n);
		 if
		 :: n != 0 -> st(p, SINCE, k)
		 :: else
		 fi;
#endif
		 kill(p, k, n);
		 unlock(p);
		 st(p, WRITING, 0)
	      fi
	   fi;
	   v = 0; n = 0; k = 0
	/* the table comes under guard */
	:: atomic { p == 1 && !was_tracked -> was_tracked = true }
	   lock(p);
	   atomic { drained(p) -> mem[GUARD] = 1 }
	   atomic { drained(p) -> mem[REQ]++; ticket = mem[REQ] }
	   unlock(p)
#ifndef NO_RELEASE
	/* and is let go */
	:: atomic { p == 1 && ticket && !was_released -> was_released = true }
	   lock(p);
#ifndef BREAK_HIDE_LATE
	   ld(p, NODE, n);
	   st(p, NODE, 0);
	   gen_next(p, k);
	   if
	   :: n != 0 -> atomic { drained(p) -> mem[SLOT] = k << 4 }
	   :: else
	   fi;
#else
	   gen_next(p, k);
	   kill(p, k, n);
	   st(p, NODE, 0);
#endif
	   st(p, SINCE, 0);
	   atomic { drained(p) -> mem[GUARD] = 0 }
	   unlock(p);
	   n = 0; k = 0
#endif
	/* MOV CR3 */
	:: p == 1 && loads < LOADS ->
	   loads++;
	   atomic { drained(p) -> mem[GEN]++; floor = mem[GEN]; must[p] = mem[PTE] }
	   ld(p, WRITING, n);
	   if
	   :: n != 0 -> floor_t = floor
	   :: else
	   fi;
	   n = 0
	/* a fill */
	:: fills < FILLS ->
	   fills++;
	   ld(p, GEN, g);
	   ld(p, PTE, v);
	   assert(v >= must[p]);
	   ld(p, NODE, n);
	   if
	   :: n == 0 -> /* the SPT becomes known, when the guard is in force */
	      lock(p);
	      ld(p, SINCE, n);
	      if
#ifdef BREAK_NO_GRACE
	      :: n == 0 && mem[GUARD] ->
#else
	      :: n == 0 && mem[GUARD] && all_passed ->
#endif
		 gen_next(p, n);
		 st(p, SINCE, n)
	      :: else
	      fi;
	      if
	      :: n != 0 -> st(p, NODE, n)
	      :: p == 0 && n != 0 -> n = 0 /* it was another SPT of the table's */
	      :: else
	      fi;
	      unlock(p)
	   :: else
	   fi;
#ifdef BREAK_ANY_AGE
	   t = (n != 0);
#else
	   t = (n != 0 && g >= n);
#endif
	   ld(p, SLOT, s);
	   if
#ifndef BREAK_NO_SINCE
	   :: SINCE_OF(s) > g
#endif
	   :: else ->
#ifdef BREAK_STORE_PLAIN
	      st(p, SLOT, IS_LEAF | (t -> IS_T : 0) | v << 2 | g << 4)
#else
	      atomic {
		 drained(p) ->
		 if
		 :: mem[SLOT] == s -> mem[SLOT] = IS_LEAF | (t -> IS_T : 0) | v << 2 | g << 4
		 :: else
		 fi
	      }
#endif
	   fi;
	   atomic { g = 0; v = 0; s = 0; n = 0; t = false }
	/* a hit */
	:: p == 1 ->
	   ld(p, SLOT, s);
	   atomic {
		if
		:: s & IS_LEAF && SINCE_OF(s) >= (s & IS_T -> floor_t : floor) ->
		   assert(VALUE(s) >= must[p])
		:: else
		fi;
		s = 0
	   }
	/* safe point */
	:: true ->
	   ld(p, REQ, g);
	   ld(p, SEEN(p), s);
	   if
	   :: g != s ->
#ifndef BREAK_KEEP_TAG
	      tag = false;
#endif
	      st(p, SEEN(p), g)
	   :: else
	   fi;
	   atomic { g = 0; s = 0 }
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
