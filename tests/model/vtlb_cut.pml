/*
 * vtlb_cut.pml - retention, one level up (vtlb/track_gpt.c, fill.c, inval.c): an entry U that leads to
 * table 0 and is made to lead to table 1 by VP 0, the slot that shadows it, the SPTs below, each with
 * one leaf, and VPs that fill, hit by the slot or by a pointer kept from before, and load CR3. The
 * tables are tracked already. SPTs are not used again here: vtlb_reclaim.pml has that.
 *
 * Property: after a load of CR3 a VP uses no leaf of the table that U did not lead to any more then.
 */
#define NVP 2
#define NSPTS 3
#define NWORDS 8
#define U 0
#define SLOT 1 /* link: 1 + SPT << 1 + base << 4; else emptied at << 4 */
#define GEN 2
#define WRITING 3
#define LEAF(i) (4 + (i)) /* 0, or IS_LEAF | table << 1: all are to stay over CR3 */
#include "tso.pml"

#define SINCE_OF(s) ((s) >> 4)
#define SPT_OF(s) (((s) >> 1) & 7)

byte must[NVP], next_spt;
bool edited;

proctype vp(byte p) {
	byte g, k, s, i, l, fills, loads, kept; /* kept: region cache, SPT + 1 */
	bool flag;

end:	do
	/* U changes; the store is noted */
	:: atomic { p == 0 && !edited -> edited = true }
	   st(p, WRITING, 1);
	   st(p, U, 1);
	   atomic { drained(p) -> mem[GEN]++; k = mem[GEN] }
#ifdef BREAK_NO_MARK
	   atomic { drained(p) -> mem[SLOT] = 0 }
#else
	   atomic { drained(p) -> mem[SLOT] = k << 4 }
#endif
	   st(p, WRITING, 0);
	   k = 0
	/* MOV CR3 */
	:: p == 1 && loads < 2 ->
	   loads++;
	   atomic { drained(p) -> mem[GEN]++; must[p] = mem[U] }
#ifndef BREAK_KEEP_POINTERS
	   kept = 0;
#endif
#ifndef BREAK_NO_FLAG
	   ld(p, WRITING, flag)
#endif
	/* a fill; while a write was under way nothing that stays is used */
	:: fills < 2 && next_spt < NSPTS ->
	   fills++;
	   ld(p, GEN, g);
	   ld(p, U, k);
	   ld(p, SLOT, s);
	   if
	   :: s & 1 -> i = SPT_OF(s)
#ifndef BREAK_NO_SINCE
	   :: !(s & 1) && SINCE_OF(s) > g -> goto out
#endif
	   :: else ->
	      atomic { i = next_spt; next_spt++ }
	      atomic {
		 drained(p) ->
		 if
		 :: mem[SLOT] == s -> mem[SLOT] = 1 | i << 1 | g << 4; s = mem[SLOT]
		 :: else -> goto out
		 fi
	      }
	   fi;
#ifndef BREAK_NO_BASE
	   if
	   :: g < SINCE_OF(s) -> goto out /* the SPT is younger than what was read */
	   :: else
	   fi;
#endif
	   st(p, LEAF(i), 1 | k << 1);
	   kept = 1 + i;
out:	   atomic { g = 0; k = 0; s = 0; i = 0 }
	/* a hit */
	:: p == 1 && !flag ->
	   if
	   :: kept != 0 -> i = kept
	   :: else ->
	      ld(p, SLOT, s);
	      i = (s & 1 -> 1 + SPT_OF(s) : 0)
	   fi;
	   if
	   :: i != 0 ->
	      ld(p, LEAF(i - 1), l);
	      kept = i;
	      assert(!l || l >> 1 >= must[p])
	   :: else
	   fi;
	   atomic { s = 0; i = 0; l = 0 }
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
