/*
 * vtlb_stamp.pml - self-certifying leaves (vtlb/fill.c, vtlb/inval.c): one guest entry, one slot of
 * an SPT, VPs that edit the entry, fill, hit and invalidate, in any order.
 *
 * Property: a VP never uses a translation older than what was visible in the guest's table when its
 * own last invalidation took effect. Each BREAK_… removes one rule, and must be caught.
 */
#ifndef NVP
#define NVP 2
#endif
#ifndef WRITES
#define WRITES 2
#endif
#ifndef INVALS
#define INVALS 2
#endif
#define NWORDS 4
#define PTE 0
#define SLOT 1 /* 0 empty, else 1 + value * 16 + stamp: one store */
#define GEN 2
#define STAMP 3 /* BREAK_SPLIT only */
#include "tso.pml"

#define VALUE(s) (((s) - 1) / 16)
#define STAMP_OF(s) (((s) - 1) % 16)

byte must[NVP]; /* ghost: the entry as it was at the VP's last invalidation */
byte edits, fills;

inline use(p, v) { assert(v >= must[p]) }

proctype vp(byte p) {
	byte floor, g, v, s, invals;

end:	do
	/* the guest edits its table: one writer, so that the entry's values only grow */
	:: atomic { p == 0 && edits < WRITES -> edits++; v = edits }
	   st(p, PTE, v);
	/* it invalidates */
	:: invals < INVALS ->
	   invals++;
#ifdef BREAK_NO_LOCK
	   ld(p, GEN, g);
	   atomic { must[p] = mem[PTE]; floor = g + 1 }
	   st(p, GEN, g + 1)
#elif defined(BREAK_NOT_ATOMIC)
	   drained(p);
	   ld(p, GEN, g);
	   atomic { drained(p) -> mem[GEN] = g + 1; floor = g + 1; must[p] = mem[PTE] }
#elif defined(BREAK_NO_INCREMENT)
	   atomic { drained(p) -> floor = mem[GEN]; must[p] = mem[PTE] }
#else
	   atomic { drained(p) -> mem[GEN] = mem[GEN] + 1; floor = mem[GEN]; must[p] = mem[PTE] }
#endif
	/* a fill */
#ifdef FILLS /* of all VPs together */
	:: atomic { fills < FILLS -> fills++ }
#else
	:: true ->
#endif
#ifdef BREAK_STAMP_LATE
	   ld(p, PTE, v);
	   ld(p, GEN, g);
#else
	   ld(p, GEN, g);
	   ld(p, PTE, v);
#endif
	   use(p, v);
#ifdef BREAK_SPLIT
	   st(p, SLOT, 1 + v * 16);
	   st(p, STAMP, g);
#else
	   st(p, SLOT, 1 + v * 16 + g);
#endif
	   v = 0; g = 0
	/* a hit */
	:: true ->
	   ld(p, SLOT, s);
#ifdef BREAK_SPLIT
	   ld(p, STAMP, g);
#else
	   g = (s > 0 -> STAMP_OF(s) : 0);
#endif
	   atomic {
		if
#ifdef BREAK_NO_FLOOR
		:: s > 0 -> use(p, VALUE(s))
#else
		:: s > 0 && g >= floor -> use(p, VALUE(s))
#endif
		:: else
		fi;
		s = 0; g = 0
	   }
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
