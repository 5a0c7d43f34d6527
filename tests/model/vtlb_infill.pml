/*
 * vtlb_infill.pml - in-fill counters, odd and even (vtlb/infill.c, the build with VTLB_FILL=oddeven):
 * one guest entry, one slot, VPs that edit the entry, fill, hit and invalidate. Stamps are as late as
 * can be, so that nothing but the wait keeps an invalidation from being undone.
 *
 * Property: a VP never uses a translation older than what was visible in the guest's table when its
 * own last invalidation began. Each BREAK_… removes one rule, and must be caught.
 */
#ifndef NVP
#define NVP 2
#endif
#ifndef WRITES
#define WRITES 1
#endif
#ifndef INVALS
#define INVALS 1
#endif
#ifndef FILLS
#define FILLS 2
#endif
#define NWORDS 6
#define PTE 0
#define SLOT 1 /* 0 empty, else 1 + value * 16 + stamp */
#define GEN 2
#define COUNT(p) (3 + (p))
#include "tso.pml"

#define VALUE(s) (((s) - 1) / 16)
#define STAMP_OF(s) (((s) - 1) % 16)

byte must[NVP], edits;

proctype vp(byte p) {
	byte floor, g, v, s, c, i, invals, fills, before;

end:	do
	:: atomic { p == 0 && edits < WRITES -> edits++; v = edits }
	   st(p, PTE, v);
	   v = 0
	/* it invalidates */
	:: invals < INVALS ->
	   invals++;
#ifdef BREAK_WAIT_UNFENCED
	   atomic { before = mem[PTE]; if :: p == 0 && edits > before -> before = edits :: else fi }
#else
	   atomic { drained(p) -> mem[GEN]++; before = mem[PTE]; floor = mem[GEN] }
#endif
	   i = 0;
	   do
	   :: i < NVP && i != p ->
	      ld(p, COUNT(i), c);
#ifndef BREAK_NO_WAIT
	      if
	      :: c % 2 == 1 ->
end_w:		 mem[COUNT(i)] != c
	      :: else
	      fi;
#endif
	      i++
	   :: i == p -> i++
	   :: i == NVP -> break
	   od;
#ifndef BREAK_FLOOR_FIRST
	   atomic { drained(p) -> mem[GEN]++; floor = mem[GEN] }
#endif
	   atomic { must[p] = before; before = 0; c = 0; i = 0 }
	/* a fill */
	:: fills < FILLS ->
	   fills++;
#ifdef BREAK_ODD_LATE
	   ld(p, PTE, v);
#endif
#ifdef BREAK_ODD_PLAIN
	   ld(p, COUNT(p), c);
	   st(p, COUNT(p), c + 1);
#else
	   atomic { drained(p) -> mem[COUNT(p)]++ }
#endif
#ifndef BREAK_ODD_LATE
	   ld(p, PTE, v);
#endif
#ifdef BREAK_EVEN_EARLY
	   ld(p, COUNT(p), c);
	   st(p, COUNT(p), c + 1);
#endif
	   ld(p, GEN, g);
	   st(p, SLOT, 1 + v * 16 + g);
#ifndef BREAK_EVEN_EARLY
	   ld(p, COUNT(p), c);
	   st(p, COUNT(p), c + 1);
#endif
	   atomic { v = 0; g = 0; c = 0 }
	/* a hit */
	:: true ->
	   ld(p, SLOT, s);
	   atomic {
		if
		:: s > 0 && STAMP_OF(s) >= floor -> assert(VALUE(s) >= must[p])
		:: else
		fi;
		s = 0
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
