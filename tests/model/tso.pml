/*
 * tso.pml - x86-TSO for the models here: words of memory, and for each VP a FIFO of stores that only
 * it sees until they drain. A locked operation waits until the VP's own buffer is empty.
 * The including model defines NVP (VPs) and NWORDS. Numbers are bytes.
 */
#define DEPTH 2
byte mem[NWORDS];
byte buf_at[NVP * DEPTH];
byte buf_val[NVP * DEPTH];
byte buf_n[NVP];

#define drained(p) (buf_n[p] == 0)

inline st(p, at, v) {
	atomic {
		buf_n[p] < DEPTH ->
		buf_at[p * DEPTH + buf_n[p]] = at;
		buf_val[p * DEPTH + buf_n[p]] = v;
		buf_n[p]++
	}
}

/* The newest of the VP's own stores, else memory. */
inline ld(p, at, out) {
	atomic {
		if
		:: buf_n[p] == 2 && buf_at[p * DEPTH + 1] == at -> out = buf_val[p * DEPTH + 1]
		:: buf_n[p] >= 1 && buf_at[p * DEPTH] == at &&
		   !(buf_n[p] == 2 && buf_at[p * DEPTH + 1] == at) -> out = buf_val[p * DEPTH]
		:: else -> out = mem[at]
		fi
	}
}

proctype drain(byte p) {
end:	do
	:: atomic {
		buf_n[p] > 0 ->
		mem[buf_at[p * DEPTH]] = buf_val[p * DEPTH];
		buf_at[p * DEPTH] = buf_at[p * DEPTH + 1];
		buf_val[p * DEPTH] = buf_val[p * DEPTH + 1];
		buf_at[p * DEPTH + 1] = 0;
		buf_val[p * DEPTH + 1] = 0;
		buf_n[p]--
	}
	od
}
