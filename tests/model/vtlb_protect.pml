/*
 * vtlb_protect.pml - taking write tags away from a frame that now holds code (vtlb_protect_frame(),
 * grant_write()): one frame, one VP that decodes, others that get write tags and store through them.
 *
 * Property: once the decoder takes the frame as protected, no store goes through a write tag.
 */
#ifndef NVP
#define NVP 2
#endif
#define NWORDS 6
#define MARK 0	/* code lines of the frame */
#define BIT 1	/* some soft TLB may hold a write tag */
#define REQ 2
#define SEEN(p) (3 + (p))
#include "tso.pml"

bool is_protected; /* ghost */

proctype writer(byte p) {
	byte m, b, r, s;
	bool tag;

end:	do
	:: !tag -> /* a slow-path store asks for a write tag */
	   ld(p, MARK, m);
	   if
	   :: m == 0 ->
	      ld(p, BIT, b);
	      if
	      :: b == 0 ->
#ifdef BREAK_BIT_PLAIN
		 st(p, BIT, 1)
#else
		 atomic { drained(p) -> mem[BIT] = 1 }
#endif
	      :: else
	      fi;
#ifndef BREAK_NO_RECHECK
	      ld(p, MARK, m);
#endif
	      atomic { tag = (m == 0); b = 0 }
	   :: else
	   fi;
	   m = 0
	:: tag -> assert(!is_protected) /* a store through it */
	:: true -> /* safe point */
	   ld(p, REQ, r);
	   ld(p, SEEN(p), s);
	   if
	   :: r != s ->
#ifndef BREAK_KEEP_TAG
	      tag = false;
#endif
	      st(p, SEEN(p), r)
	   :: else
	   fi;
	   atomic { r = 0; s = 0 }
	od
}

proctype decoder(byte p) {
	byte b, ticket, i;

#ifdef BREAK_BIT_FIRST
	ld(p, BIT, b);
#endif
#ifdef BREAK_MARK_PLAIN
	st(p, MARK, 1);
#else
	atomic { drained(p) -> mem[MARK] = 1 }
#endif
#ifndef BREAK_BIT_FIRST
	ld(p, BIT, b);
#endif
	if
	:: b == 0
	:: else ->
	   atomic { drained(p) -> mem[REQ] = mem[REQ] + 1; ticket = mem[REQ] }
#ifndef BREAK_NO_WAIT
	   for (i : 1 .. NVP - 1) {
end:		mem[SEEN(i)] >= ticket
	   }
#endif
	fi;
	is_protected = true
}

init {
	byte i;

	atomic {
		run decoder(0);
		run drain(0);
		for (i : 1 .. NVP - 1) {
			run writer(i);
			run drain(i)
		}
	}
}
