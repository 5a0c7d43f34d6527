/*
 * Vector registers keep what is in them while the machine runs on, whatever L0 does meanwhile: for
 * e2e/vector_test.sh, which makes a second of the machine's time pass, so that its state is
 * emitted.
 */
#include "tests/guests/kit.h"

#define ROUNDS 40u
#define SPINS 1000000u

static u64 want[16][2], got[16][2];

#define EACH(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define LOAD(n) __asm__ volatile("movdqu %0, %%xmm" #n : : "m"(want[n]));
#define STORE(n) __asm__ volatile("movdqu %%xmm" #n ", %0" : "=m"(got[n]));

int main(void)
{
	u32 a = 1, salt, c, d; /* from the number of processors */
	ulong cr4;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(salt), "=c"(c), "=d"(d));

	__asm__ volatile("mov %%cr4, %0; or $0x600, %0; mov %0, %%cr4"
			 : "=r"(cr4)); /* OSFXSR, OSXMMEXCPT */
	for (u32 i = 0; i < 16; i++) {
		want[i][0] = 0x1111111111111111ul * (i + 1) ^ salt;
		want[i][1] = ~want[i][0];
	}
	EACH(LOAD)
	for (u32 r = 0; r < ROUNDS && !failures; r++) {
		u64 n = SPINS;

		__asm__ volatile("1: dec %0; jnz 1b" : "+r"(n));
		EACH(STORE)
		for (u32 i = 0; i < 16; i++) {
			CHECK_EQ(got[i][0], want[i][0]);
			CHECK_EQ(got[i][1], want[i][1]);
		}
	}
	finish();
}
