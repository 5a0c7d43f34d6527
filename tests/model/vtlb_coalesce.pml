/*
 * vtlb_coalesce.pml - coalescing (vtlb/fill.c make_shared(), vtlb/spt.c): one entry of a root that leads
 * to an SPT of the address space's own, and a shared SPT for the same table. Every VP may find that out
 * and link the shared one instead; who does gives the own one up, and it is used again, elsewhere, when
 * all have passed.
 *
 * Properties: it is given up once; nobody reads a leaf of another place through a pointer or a link to
 * it. Each BREAK_… removes one rule, and must be caught.
 */
#ifndef NVP
#define NVP 2
#endif
#define NWORDS (5 + NVP)
#define LINK 0 /* of the entry */
#define OWN 1	/* leaf of the own SPT: 0, or the place it is for */
#define SHARED 2 /* of the shared one */
#define REQ 3
#define OTHER 4 /* the own SPT is linked at another place */
#define SEEN(p) (5 + (p))
#include "tso.pml"

#define TO_OWN 1
#define TO_SHARED 2
#define HERE 1
#define THERE 2

byte given_up;

proctype vp(byte p) {
	byte l, s, r, ticket, i, has, fills;

end:	do
	/* a look-up, by a kept pointer or from the root; a fill when the leaf is empty */
	:: true ->
	   if
	   :: has != 0 -> l = has
	   :: else -> ld(p, LINK, l)
	   fi;
	   has = l;
	   if
	   :: l == TO_OWN -> ld(p, OWN, s)
	   :: else -> ld(p, SHARED, s)
	   fi;
	   if
	   :: s == 0 && fills < 2 ->
	      fills++;
	      if
	      :: l == TO_OWN -> st(p, OWN, HERE)
	      :: else -> st(p, SHARED, HERE)
	      fi
	   :: else -> assert(s == 0 || s == HERE)
	   fi;
	   atomic { l = 0; s = 0 }
	/* a fill that finds the shared one */
	:: !given_up ->
	   ld(p, LINK, l);
	   if
	   :: l == TO_OWN ->
#ifdef BREAK_STORE_PLAIN
	      st(p, LINK, TO_SHARED);
	      goto give_up;
#else
	      atomic {
		 drained(p) ->
		 if
		 :: mem[LINK] == TO_OWN -> mem[LINK] = TO_SHARED; goto give_up
		 :: else
		 fi
	      }
#endif
	   :: else
	   fi;
	   l = 0
	/* safe point */
	:: true ->
	   ld(p, REQ, r);
	   ld(p, SEEN(p), s);
	   if
	   :: r != s ->
#ifndef BREAK_KEEP_POINTERS
	      has = 0;
#endif
	      st(p, SEEN(p), r)
	   :: else
	   fi;
	   atomic { r = 0; s = 0 }
	/* whatever fills the place that it is used for next */
	:: atomic { mem[OTHER] == 1 -> s = 1 }
	   st(p, OWN, THERE);
	   s = 0
	od;

give_up:
	atomic { given_up++; assert(given_up == 1) }
#ifndef BREAK_KEEP_OWN
	has = 0;
#endif
	atomic { drained(p) -> mem[REQ]++; ticket = mem[REQ] }
#ifndef BREAK_NO_WAIT
	for (i : 0 .. NVP - 1) {
		if
		:: i != p ->
end_w:		   mem[SEEN(i)] >= ticket
		:: else
		fi
	}
#endif
	st(p, OWN, 0);
	atomic { drained(p) -> mem[OTHER] = 1 }
	atomic { l = 0; i = 0; ticket = 0; goto end }
}

init {
	byte i;

	atomic {
		mem[LINK] = TO_OWN;
		for (i : 0 .. NVP - 1) {
			run vp(i);
			run drain(i)
		}
	}
}
