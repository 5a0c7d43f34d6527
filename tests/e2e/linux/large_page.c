/* large_page.c - a large page that Linux forms out of small ones, and splits again: what is in it stays */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define LARGE (2ul << 20)

int main(void)
{
	unsigned char *area =
		mmap(NULL, 2 * LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *page = (unsigned char *)(((unsigned long)area + LARGE - 1) & ~(LARGE - 1));
	unsigned long wrong = 0;

	madvise(page, LARGE, MADV_NOHUGEPAGE);
	for (unsigned long i = 0; i < LARGE; i += 4096)
		page[i] = i >> 12;
	madvise(page, LARGE, MADV_HUGEPAGE);
	if (madvise(page, LARGE, MADV_COLLAPSE)) {
		perror("MADV_COLLAPSE");
		return 1;
	}
	for (unsigned long i = 0; i < LARGE; i += 4096)
		wrong += page[i]++ != (unsigned char)(i >> 12);
	/* one small page of it is read only: the table of small ones comes back */
	mprotect(page + 4096, 4096, PROT_READ);
	for (unsigned long i = 0; i < LARGE; i += 4096)
		wrong += page[i] != (unsigned char)((i >> 12) + 1);
	printf("large page: %lu wrong\n", wrong);
	return wrong != 0;
}
