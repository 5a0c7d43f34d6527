/*
 * vtlb_reclaim.pml - reuse of an SPT (vtlb/spt.c, vtlb/gen.c): one SPT that can be linked at either
 * of two places, VPs that look up, fill, keep pointers between look-ups, pass safe points, go offline
 * and come back, and one of them that unlinks it and uses it again.
 *
 * Property: nobody reads, through a pointer found at one place, a leaf that was stored for the other.
 */
#ifndef NVP
#define NVP 2
#endif
#ifndef RECLAIMS
#define RECLAIMS 2
#endif
#define NWORDS 9
#define LINK 0	/* [2]: 1 the SPT is linked there */
#define SLOT 2	/* 0 empty, else 1 + place it was filled for */
#define REQ 3
#define SEEN(p) (4 + (p))	/* [NVP] up to 2 */
#define OFFLINE(p) (6 + (p))
#include "tso.pml"

bool is_free = true;
byte reclaims;

#define passed(q, ticket) (mem[OFFLINE(q)] == 1 || mem[SEEN(q)] >= ticket)

proctype vp(byte p) {
	byte l, s, g, r, ticket, place;
	bool has[2]; /* region cache: pointer kept for this place */

end:	do
	/* look a place up; fill it when it is empty */
	:: place = 0; goto look
	:: place = 1; goto look
	/* safe point */
	:: true -> goto safe
	/* off the worker and back */
	:: true ->
	   st(p, OFFLINE(p), 1);
	   drained(p);
#ifdef BREAK_ONLINE_PLAIN
	   st(p, OFFLINE(p), 0);
#else
	   atomic { drained(p) -> mem[OFFLINE(p)] = 0 }
#endif
	   goto safe
	/* reclaim, by VP 0 only: it holds nothing then */
	:: p == 0 && reclaims < RECLAIMS && (mem[LINK] == 1 || mem[LINK + 1] == 1) ->
	   reclaims++;
#ifndef BREAK_KEEP_OWN
	   has[0] = false; has[1] = false;
#endif
#ifdef BREAK_TICKET_EARLY
	   atomic { drained(p) -> mem[REQ] = mem[REQ] + 1; ticket = mem[REQ] }
#endif
	   atomic { drained(p) -> place = (mem[LINK] == 1 -> 0 : 1); mem[LINK + place] = 0 }
#ifndef BREAK_TICKET_EARLY
#ifdef BREAK_NO_INCREMENT
	   ld(p, REQ, ticket);
#else
	   atomic { drained(p) -> mem[REQ] = mem[REQ] + 1; ticket = mem[REQ] }
#endif
#endif
#ifndef BREAK_NO_WAIT
	   passed(1, ticket);
#endif
	   is_free = true; ticket = 0
	od;

look:	if
	:: has[place] -> l = 1
	:: else -> ld(p, LINK + place, l)
	fi;
	if
	:: l == 0 ->
	   if
	   :: atomic { is_free -> is_free = false }
#ifndef BREAK_NO_CLEAR
	      st(p, SLOT, 0); /* an empty SPT */
#endif
	      atomic { drained(p) -> mem[LINK + place] = 1 }
	   :: else -> goto out
	   fi
	:: else
	fi;
	has[place] = true;
	ld(p, SLOT, s);
	if
	:: s == 0 -> st(p, SLOT, 1 + place)
	:: else -> assert(s == 1 + place)
	fi;
out:	atomic { l = 0; s = 0; place = 0; goto end }

safe:	ld(p, REQ, r);
	ld(p, SEEN(p), s);
	if
	:: r != s ->
#ifndef BREAK_KEEP_POINTERS
	   has[0] = false; has[1] = false;
#endif
	   st(p, SEEN(p), r)
	:: else
	fi;
	atomic { r = 0; s = 0; goto end }
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
